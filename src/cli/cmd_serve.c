/* SPDX-License-Identifier: Apache-2.0 */
/* claviger serve */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "program/program.h"
#include "signer/daemon.h"

static struct cv_config *reload(void *ctx)
{
    const struct cv_cli *cli = ctx;
    struct cv_config *config = NULL;
    return cv_cli_configuration(cli, &config) ? config : NULL;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    bool check = false, no_list = false, require_vaults = false;
    struct cv_cli again = *cli; /* for SIGHUP */
    const struct cv_option options[] = {
        {"check", 0, CV_OPT_FLAG, &check},
        {"no-list", 0, CV_OPT_FLAG, &no_list},
        {"require-vaults", 0, CV_OPT_FLAG, &require_vaults},
    };
    struct cv_error err;
    CV_CLEANUP(cv_config_free) struct cv_config *config = NULL;
    if (!cv_options_parse(&cv_cmd_serve, options, 3, argc, argv, NULL)) {
        return CV_EXIT_USAGE;
    }
    cv_error_clear(&err);
    /* Before anything secret is read. */
    if (!check && cv_program_helper_start(&err) != 0) {
        return cv_cli_fail(&err, "serve");
    }
    if (!cv_cli_configuration(cli, &config)) {
        return CV_EXIT_FAILURE;
    }
    if (check) {
        (void)printf("%s: the configuration is good: %zu vault%s, %zu key%s listed\n",
                     cli->config[0] != 0 ? cli->config : "no file", config->vault_count,
                     config->vault_count == 1 ? "" : "s", config->key_count,
                     config->key_count == 1 ? "" : "s");
        return cv_cli_finish();
    }
    struct cv_daemon_options d = {.config = config,
                                  .no_list = no_list,
                                  .require_vaults = require_vaults,
                                  .reload = reload,
                                  .ctx = &again};
    config = NULL; /* the daemon's now */
    if (cv_daemon_run(&d, &err) != 0) {
        return cv_cli_fail(&err, "serve");
    }
    return CV_EXIT_OK;
}

const struct cv_command cv_cmd_serve = {
    .name = "serve",
    .summary = "answer signing requests over HTTP",
    .usage = "[--check] [--no-list] [--require-vaults]",
    .help = "      --check         read the configuration, tell every problem, and exit\n"
            "      --no-list       do not log the keys of the vaults\n"
            "      --require-vaults  end when a vault does not come up at the start\n\n"
            "SIGHUP reloads keys, policies, clients and certificates; SIGTERM ends it gently.\n\n"
            "Example: claviger -c /etc/signatory.yaml serve\n",
    .run = run,
};
