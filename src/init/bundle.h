/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The encrypted configurations of an image on their way: fetched, opened,
 * checked. One bundle holds them all; on a rotation a second one is made and
 * takes the place of the first when all of it is good.
 */
#ifndef CV_INIT_BUNDLE_H
#define CV_INIT_BUNDLE_H

#include "aws/kms.h"
#include "crypto/rsa.h"
#include "init/control.h"
#include "nsm/nsm.h"
#include "sealed/config.h"
#include "sealed/secrets.h"
#include "settings/boot.h"

#define CV_BUNDLE_PCRS 4 /* 0, 1, 2 and 8: told when KMS denies */

/* What opening needs; everything is borrowed. */
struct cv_opener {
    const struct cv_boot_settings *settings;
    struct cv_control *control;
    struct cv_aws_client *s3; /* NULL without s3 sources */
    struct cv_kms *kms;
    struct cv_nsm *nsm;
    struct cv_rsa *rsa;
    char pcr[CV_BUNDLE_PCRS][2 * CV_NSM_PCR_MAX + 1]; /* hexadecimal */
};

struct cv_bundle_item {
    const struct cv_boot_source *source;
    struct cv_buf object; /* body, or a whole container file */
    struct cv_bytes body; /* in it */
    struct cv_s3ec_pairs metadata;
    struct cv_s3ec_meta meta;
    uint64_t version;
    bool fetched, opened;
    struct cv_secret plaintext;
    struct cv_secrets secrets; /* views into plaintext */
};

struct cv_bundle {
    struct cv_bundle_item item[CV_BOOT_MAX_SOURCES];
    size_t n;
};

void cv_bundle_init(struct cv_bundle *b, const struct cv_boot_settings *settings);
void cv_bundle_free(struct cv_bundle *b);

/* Each step goes on where it was interrupted when it is called again. */

/* Gets the objects. */
int cv_bundle_fetch(struct cv_bundle *b, const struct cv_opener *o, int64_t deadline,
                    struct cv_error *err) CV_NODISCARD;
/* Checks format, signature, version and context, then asks KMS for the data
 * keys, in the attested form and naming the CMK, and decrypts. A denial by KMS
 * is told with our PCRs. */
int cv_bundle_open(struct cv_bundle *b, const struct cv_opener *o, int64_t deadline,
                   struct cv_error *err) CV_NODISCARD;
/* Reads the plaintexts and holds each name and path against the allow lists.
 * OLD (may be NULL): the versions in use, which must not go back. */
int cv_bundle_check(struct cv_bundle *b, const struct cv_boot_settings *settings,
                    const struct cv_bundle *old, struct cv_error *err) CV_NODISCARD;

/* The file of PATH that counts, from the last source that has it; NULL. */
const struct cv_secret_file *cv_bundle_file(const struct cv_bundle *b, const char *path);

#endif
