/* SPDX-License-Identifier: Apache-2.0 */
/* claviger version */
#include <stdio.h>

#include "cli/commands.h"

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    if (!cv_options_parse(&cv_cmd_version, NULL, 0, argc, argv, NULL)) {
        return CV_EXIT_USAGE;
    }
    if (cli->json) {
        (void)printf("{\"version\":\"%s\"}\n", CV_VERSION);
    } else {
        (void)printf("Release Version: %s\n", CV_VERSION);
    }
    return cv_cli_finish();
}

const struct cv_command cv_cmd_version = {
    .name = "version",
    .alias = "v",
    .summary = "print the version",
    .usage = "",
    .help = "Example: claviger version --json\n",
    .run = run,
};
