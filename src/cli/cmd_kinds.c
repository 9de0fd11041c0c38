/* SPDX-License-Identifier: Apache-2.0 */
/* claviger list-requests, claviger list-ops: what a policy may list. */
#include <stdio.h>

#include "cli/commands.h"
#include "signer/names.h"

static enum cv_exit print(const struct cv_cli *cli, const char *title, const char *const *names)
{
    if (cli->json) {
        (void)printf("[");
        for (size_t i = 0; names[i] != NULL; i++) {
            (void)printf("%s\"%s\"", i > 0 ? "," : "", names[i]);
        }
        (void)printf("]\n");
        return cv_cli_finish();
    }
    (void)printf("%s\n", title);
    for (size_t i = 0; names[i] != NULL; i++) {
        (void)printf("    - %s\n", names[i]);
    }
    return cv_cli_finish();
}

static enum cv_exit run_requests(const struct cv_cli *cli, int argc, char **argv)
{
    if (!cv_options_parse(&cv_cmd_list_requests, NULL, 0, argc, argv, NULL)) {
        return CV_EXIT_USAGE;
    }
    return print(cli, "Possible request types:", cv_request_names);
}

static enum cv_exit run_ops(const struct cv_cli *cli, int argc, char **argv)
{
    if (!cv_options_parse(&cv_cmd_list_ops, NULL, 0, argc, argv, NULL)) {
        return CV_EXIT_USAGE;
    }
    return print(cli, "Possible operation types:", cv_operation_names);
}

const struct cv_command cv_cmd_list_requests = {
    .name = "list-requests",
    .summary = "show the request kinds that a policy may allow",
    .usage = "",
    .help = "Example: claviger list-requests\n",
    .run = run_requests,
};

const struct cv_command cv_cmd_list_ops = {
    .name = "list-ops",
    .summary = "show the operation kinds that a policy may allow",
    .usage = "",
    .help =
        "They go under `allow.generic`; ballots also as ballot:yay, ballot:nay, ballot:pass.\n\n"
        "Example: claviger list-ops --json\n",
    .run = run_ops,
};
