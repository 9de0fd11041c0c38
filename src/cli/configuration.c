/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/configuration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line each, as compilers write them; lines of JSON for those who read the
 * log by machine. */
static void tell(struct cv_yaml_problems *p, enum cv_log_level level, bool json)
{
    char place[4200];
    size_t n = cv_yaml_problems_sort(p);
    for (size_t i = 0; i < n; i++) {
        (void)cv_yaml_problem_place(place, sizeof place, p, &p->list[i]);
        if (json) {
            cv_log(level, "configuration", "at", place, "problem", p->list[i].text, NULL);
        } else {
            (void)fprintf(stderr, "%s: %s%s\n", place, level == CV_LOG_WARN ? "warning: " : "",
                          p->list[i].text);
        }
    }
    if (p->count > n && json) {
        cv_log(level, "configuration", "at", p->file, "problem",
               cv_logf("and %zu more", p->count - n), NULL);
    } else if (p->count > n) {
        (void)fprintf(stderr, "%s: and %zu more problems\n", p->file, p->count - n);
    }
}

static bool has_unknown_key(const struct cv_yaml_problems *p)
{
    for (size_t i = 0; i < p->count && i < CV_YAML_MAX_PROBLEMS; i++) {
        if (strncmp(p->list[i].text, "unknown key", 11) == 0) {
            return true;
        }
    }
    return false;
}

bool cv_cli_configuration(const struct cv_cli *cli, struct cv_config **out)
{
    struct cv_config_options options = {.base_dir = cli->base_dir, .lenient = cli->lenient};
    struct cv_config_report *report = calloc(1, sizeof *report);
    if (report == NULL) {
        (void)cv_cli_fail(NULL, "no memory for the configuration");
        return false;
    }
    int r = cv_config_load(out, cli->config, &options, report);
    tell(&report->warnings, CV_LOG_WARN, cli->log_json);
    if (r != CV_OK) {
        tell(&report->errors, CV_LOG_ERROR, cli->log_json);
        if (!cli->log_json && has_unknown_key(&report->errors)) {
            (void)fprintf(stderr, "With --lenient, unknown keys are warnings.\n");
        }
    }
    free(report);
    return r == CV_OK;
}
