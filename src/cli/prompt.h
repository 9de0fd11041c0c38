/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets that an operator types, or pipes in. */
#ifndef CV_CLI_PROMPT_H
#define CV_CLI_PROMPT_H

#include "common/secret.h"

/* Asks on the controlling terminal with the echo off; one line without its end.
 * CV_ERR_IO when there is no terminal, CV_ERR_LIMIT, CV_ERR_CANCELLED for an
 * end of input. */
int cv_prompt_secret(struct cv_secret *out, const char *question, size_t limit,
                     struct cv_error *err) CV_NODISCARD;
/* Everything from FD, at most LIMIT bytes. */
int cv_prompt_read_all(struct cv_secret *out, int fd, size_t limit,
                       struct cv_error *err) CV_NODISCARD;

#endif
