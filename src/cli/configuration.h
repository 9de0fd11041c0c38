/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration, as commands load it. */
#ifndef CV_CLI_CONFIGURATION_H
#define CV_CLI_CONFIGURATION_H

#include "cli/command.h"
#include "signer/config.h"

/* Loads what the global flags name; every problem goes to standard error, one
 * a line. False: the command ends with CV_EXIT_FAILURE. */
bool cv_cli_configuration(const struct cv_cli *cli, struct cv_config **out) CV_NODISCARD;

#endif
