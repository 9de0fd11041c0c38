/* SPDX-License-Identifier: Apache-2.0 */
/* Image signing with a key that lives in KMS. */
#ifndef CV_CLI_EIF_KMS_H
#define CV_CLI_EIF_KMS_H

#include "aws/config.h"
#include "eif/sign.h"

struct cv_eif_kms {
    struct cv_aws_config *aws;
    struct cv_aws_client *client;
    char *arn;
};

/* True for "arn:…": a key of KMS, not a file. */
bool cv_eif_kms_names(const char *key);
/* KEY is the ARN of a key, not of an alias: what was signed with must be plain
 * to see later. Region and partition are the ARN's; credentials and endpoint as
 * everywhere. OUT is zeroed first, and good for cv_eif_kms_close() in any case. */
int cv_eif_kms_open(struct cv_eif_kms *out, const char *key, struct cv_error *err) CV_NODISCARD;
void cv_eif_kms_close(struct cv_eif_kms *k);
/* For cv_eif_sign_remote(); K lives as long. */
struct cv_eif_remote_key cv_eif_kms_key(struct cv_eif_kms *k);

#endif
