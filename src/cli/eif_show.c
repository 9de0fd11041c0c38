/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/eif_show.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/hex.h"
#include "eif/describe.h"

void cv_eif_show_json(json_t *o)
{
    (void)json_dumpf(o, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(o);
}

static void line(const char *name, const uint8_t pcr[CV_EIF_PCR_LEN])
{
    char hex[2 * CV_EIF_PCR_LEN + 1];
    cv_hex_encode(hex, pcr, CV_EIF_PCR_LEN);
    (void)printf("%s  %s\n", name, hex);
}

void cv_eif_show_pcrs(const struct cv_eif_pcrs *pcrs)
{
    line("PCR0", pcrs->pcr0);
    line("PCR1", pcrs->pcr1);
    line("PCR2", pcrs->pcr2);
    if (pcrs->has_pcr8) {
        line("PCR8", pcrs->pcr8);
    }
}

void cv_eif_show_measurements(const struct cv_cli *cli, const struct cv_eif_pcrs *pcrs)
{
    if (cli->json) {
        cv_eif_show_json(json_pack("{s:o}", "Measurements", cv_eif_measurements_json(pcrs)));
    } else {
        cv_eif_show_pcrs(pcrs);
    }
}

bool cv_eif_show_path(const struct cv_command *cmd, const char **path, const char *option,
                      int operands, char **argv)
{
    if (operands + (option != NULL ? 1 : 0) != 1) {
        (void)cv_cli_usage(cmd, "name one image file");
        return false;
    }
    *path = option != NULL ? option : argv[1];
    return true;
}

bool cv_eif_show_time(const struct cv_command *cmd, int64_t *at, const char *text)
{
    *at = cv_unix_ms();
    if (text == NULL || strcmp(text, "now") == 0 || cv_rfc3339_parse(at, text) == 0) {
        return true;
    }
    (void)cv_cli_usage(cmd, "--time wants \"now\" or a time like 2026-11-29T06:25:12Z");
    return false;
}
