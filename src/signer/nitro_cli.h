/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking nitro-cli which enclave runs: its CID changes with each start.
 * ("nitro-cli describe-enclaves", AWS Nitro Enclaves User Guide.)
 */
#ifndef CV_SIGNER_NITRO_CLI_H
#define CV_SIGNER_NITRO_CLI_H

#include <stdint.h>

#include "common/bytes.h"

/* The CID of the one enclave that runs, or of that NAME (NULL = any). Runs
 * nitro-cli of the PATH, at most until DEADLINE. CV_ERR_NOT_FOUND when none
 * runs, CV_ERR_CONFIG when several do, or nitro-cli is not there. Blocks. */
int cv_nitro_cli_cid(uint32_t *cid, const char *name, int64_t deadline,
                     struct cv_error *err) CV_NODISCARD;
/* Names it to this process's helper (program/program.h), when there is one. */
int cv_nitro_cli_allow(struct cv_error *err) CV_NODISCARD;
/* The same as cv_nitro_cli_cid() from what it printed. */
int cv_nitro_cli_choose(uint32_t *cid, const char *name, struct cv_bytes json,
                        struct cv_error *err) CV_NODISCARD;

#endif
