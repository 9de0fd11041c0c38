/* SPDX-License-Identifier: Apache-2.0 */
/* What the attest commands share: documents from files, and how they look. */
#ifndef CV_CLI_ATTEST_DOCUMENT_H
#define CV_CLI_ATTEST_DOCUMENT_H

#include <jansson.h>

#include "claviger/attest.h"
#include "common/bytes.h"

/* Reads PATH ("-" = standard input) into BYTES: the document's own bytes, or
 * its base64 or hex as people store it, white space allowed. */
int cv_cli_document_load(struct cv_buf *bytes, const char *path, struct cv_error *err) CV_NODISCARD;

/* Everything in DOC as JSON; NULL without memory. */
json_t *cv_cli_document_json(const struct cv_attest_document *doc);
/* The same as text on standard output. */
void cv_cli_document_print(const struct cv_attest_document *doc);

/* What register INDEX measures, and what this value says; "" for those that
 * have no fixed meaning. OUT has SIZE bytes. */
const char *cv_cli_pcr_meaning(char *out, size_t size, const struct cv_attest_document *doc,
                               unsigned index);

/* For messages: says on standard error, loudly, that DOC is from an enclave in
 * debug mode. */
void cv_cli_warn_debug(void);

#endif
