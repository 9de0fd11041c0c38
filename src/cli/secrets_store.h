/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypted configurations where they lie: container files and S3 objects; and
 * their data keys. AWS is asked for nothing until something needs it. */
#ifndef CV_CLI_SECRETS_STORE_H
#define CV_CLI_SECRETS_STORE_H

#include "aws/config.h"
#include "aws/kms.h"
#include "aws/s3.h"
#include "cli/command.h"
#include "sealed/config.h"
#include "sealed/secrets.h"

#define CV_SECRETS_DEADLINE_MS 120000

struct cv_secrets_aws {
    const char *profile, *region; /* options, or NULL */
    struct cv_aws_config *config; /* loaded at the first use */
};
void cv_secrets_aws_free(struct cv_secrets_aws *aws);

struct cv_secrets_object {
    struct cv_s3ec_pairs pairs; /* metadata, the signature among them */
    struct cv_s3ec_meta meta;
    struct cv_buf file;   /* what was read */
    struct cv_bytes body; /* view into it */
};
void cv_secrets_object_free(struct cv_secrets_object *o);

/* WHERE: s3://bucket/key[?versionId=…] or a container file. */
int cv_secrets_load(struct cv_secrets_object *o, struct cv_secrets_aws *aws, const char *where,
                    struct cv_error *err) CV_NODISCARD;
struct cv_secrets_save {
    const char *where;
    bool instruction;                       /* S3: metadata in an instruction file */
    bool create;                            /* never replace what is there */
    char version_id[CV_S3_VERSION_MAX + 1]; /* filled by S3 */
};
/* META and SIGNATURE (or NULL) become the metadata. */
int cv_secrets_save(struct cv_secrets_save *s, struct cv_secrets_aws *aws,
                    const struct cv_s3ec_meta *meta, const char *signature, struct cv_bytes body,
                    struct cv_error *err) CV_NODISCARD;

/* A new data key under CMK for META's context: key in KEY, wrapped in META. */
int cv_secrets_new_key(struct cv_secrets_aws *aws, const char *cmk, struct cv_s3ec_meta *meta,
                       struct cv_secret *key, char arn[CV_KMS_KEY_ID_MAX + 1],
                       struct cv_error *err) CV_NODISCARD;
/* Opens O with KMS, whatever its content is; the rest as below. */
int cv_secrets_open_raw(struct cv_secrets_aws *aws, const char *cmk,
                        const struct cv_secrets_object *o, struct cv_secret *plain,
                        char arn[CV_KMS_KEY_ID_MAX + 1], struct cv_error *err) CV_NODISCARD;
/* Opens O with KMS and decodes it. CMK may be NULL: the key that the blob names.
 * ARN gets the key that KMS used. PLAIN must outlive SECRETS. */
int cv_secrets_open(struct cv_secrets_aws *aws, const char *cmk, const struct cv_secrets_object *o,
                    struct cv_secret *plain, struct cv_secrets *secrets,
                    char arn[CV_KMS_KEY_ID_MAX + 1], struct cv_error *err) CV_NODISCARD;

#endif
