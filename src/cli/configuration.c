/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/configuration.h"

#include <stdio.h>
#include <stdlib.h>

bool cv_cli_configuration(const struct cv_cli *cli, struct cv_config **out)
{
    struct cv_config_options options = {.base_dir = cli->base_dir, .lenient = cli->lenient};
    struct cv_config_report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        (void)cv_cli_fail(NULL, "no memory for the configuration");
        return false;
    }
    int r = cv_config_load(out, cli->config, &options, report);
    cv_yaml_problems_print(&report->warnings, stderr);
    if (r != CV_OK) {
        cv_yaml_problems_print(&report->errors, stderr);
    }
    free(report);
    return r == CV_OK;
}
