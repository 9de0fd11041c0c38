/* SPDX-License-Identifier: Apache-2.0 */
/* What the stand-ins of instance metadata, STS and S3 share. */
#ifndef CV_LOCAL_STANDIN_H
#define CV_LOCAL_STANDIN_H

#include "local/kms_call.h"
#include "local/web.h"

/* The state of kms.json as it is now; *KMS is freed by the caller with
 * cv_local_kms_free(). */
int cv_local_standin_state(struct cv_local_kms **kms, const char *path,
                           struct cv_error *err) CV_NODISCARD;

/* A header whose value is copied; false when there is no room. */
bool cv_local_web_header(struct cv_local_web_reply *r, const char *name, const char *value);
/* Text with XML's five characters escaped. */
int cv_local_xml_append(struct cv_buf *out, const char *text) CV_NODISCARD;

/* Options that all of them have. */
struct cv_local_standin_options {
    const char *state, *listen, *ca, *dir, *role, *region, *token;
    unsigned life_s;
};
/* Reads argv by LONG names that are in WANTED ("state listen ca …"); a usage
 * error is told and gives false. */
bool cv_local_standin_read(struct cv_local_standin_options *o, const char *name, const char *wanted,
                           int argc, char **argv);

#endif
