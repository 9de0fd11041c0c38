/* SPDX-License-Identifier: Apache-2.0 */
/* What the eif commands share: measurements and JSON on standard output. */
#ifndef CV_CLI_EIF_SHOW_H
#define CV_CLI_EIF_SHOW_H

#include <jansson.h>

#include "cli/command.h"
#include "eif/measure.h"

/* Prints O (taken over) as nitro-cli does: two spaces of indent, a newline. */
void cv_eif_show_json(json_t *o);
/* "PCR0  <hex>" lines. */
void cv_eif_show_pcrs(const struct cv_eif_pcrs *pcrs);
/* {"Measurements": …} or the lines, after a command that wrote an image. */
void cv_eif_show_measurements(const struct cv_cli *cli, const struct cv_eif_pcrs *pcrs);
/* The operand or --eif-path, exactly one: false after a usage message. */
bool cv_eif_show_path(const struct cv_command *cmd, const char **path, const char *option,
                      int operands, char **argv);
/* --time: "now", "" (now) or RFC 3339, as Unix milliseconds. */
bool cv_eif_show_time(const struct cv_command *cmd, int64_t *at, const char *text);

#endif
