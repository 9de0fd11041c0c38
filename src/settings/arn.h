/* SPDX-License-Identifier: Apache-2.0 */
/* Names of AWS: regions, and the ARN of a KMS key. */
#ifndef CV_SETTINGS_ARN_H
#define CV_SETTINGS_ARN_H

#include "common/bytes.h"

#define CV_ARN_MAX 256   /* characters of a KMS key ARN that we take, with the NUL */
#define CV_REGION_MAX 64 /* the same for a region */

/* arn:PARTITION:kms:REGION:ACCOUNT:key/ID; views into the text. */
struct cv_kms_arn {
    struct cv_bytes partition; /* aws, aws-cn, aws-us-gov … */
    struct cv_bytes region;
    struct cv_bytes account; /* 12 digits */
    struct cv_bytes key;     /* a UUID, or mrk- and 32 hexadecimal digits */
};

/* CV_ERR_INVALID unless TEXT is the ARN of a key: not of an alias, which its
 * owner can point elsewhere, and not a bare key id. */
int cv_kms_arn_parse(struct cv_kms_arn *arn, struct cv_bytes text) CV_NODISCARD;
/* [a-z0-9-]+ of at most 63 characters, with a letter first and no dash last:
 * what may become a part of a host name. */
bool cv_region_valid(struct cv_bytes text);

#endif
