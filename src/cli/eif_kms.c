/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/eif_kms.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/kms_sign.h"
#include "common/clock.h"
#include "settings/arn.h"

#define CALL_MS 60000

bool cv_eif_kms_names(const char *key)
{
    return strncmp(key, "arn:", 4) == 0;
}

static int public_key(void *ctx, struct cv_buf *spki, struct cv_error *err)
{
    const struct cv_eif_kms *k = ctx;
    return cv_kms_public_key(k->client, k->arn, spki, cv_deadline(CALL_MS), err);
}

static int sign(void *ctx, struct cv_bytes digest, struct cv_buf *der, struct cv_error *err)
{
    const struct cv_eif_kms *k = ctx;
    char algorithm[32];
    (void)snprintf(algorithm, sizeof(algorithm), "ECDSA_SHA_%zu", 8 * digest.n);
    return cv_kms_sign(k->client, k->arn, algorithm, digest, der, cv_deadline(CALL_MS), err);
}

struct cv_eif_remote_key cv_eif_kms_key(struct cv_eif_kms *k)
{
    return (struct cv_eif_remote_key){
        .name = k->arn, .public_key = public_key, .sign = sign, .ctx = k};
}

int cv_eif_kms_open(struct cv_eif_kms *out, const char *key, struct cv_error *err)
{
    struct cv_kms_arn arn;
    char region[CV_REGION_MAX], quoted[160];
    struct cv_aws_options o = {.region = region};
    memset(out, 0, sizeof(*out));
    if (cv_kms_arn_parse(&arn, cv_bytes_str(key)) != 0) {
        return cv_error_set(
            err, CV_ERR_INVALID,
            "\"%s\" is not the ARN of a KMS key (arn:aws:kms:REGION:ACCOUNT:key/ID; "
            "an alias may point elsewhere later, name its key)",
            cv_error_quote(quoted, sizeof(quoted), key, strlen(key)));
    }
    (void)snprintf(region, sizeof(region), "%.*s", (int)arn.region.n, (const char *)arn.region.p);
    out->arn = strdup(key);
    if (out->arn == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the key's name");
    }
    int rc = cv_aws_config_load(&out->aws, &o, err);
    return rc == 0 ? cv_aws_config_client(out->aws, &out->client, "kms", region, NULL,
                                          cv_deadline(CALL_MS), err)
                   : rc;
}

void cv_eif_kms_close(struct cv_eif_kms *k)
{
    cv_aws_client_free(&k->client);
    cv_aws_config_free(&k->aws);
    free(k->arn);
    memset(k, 0, sizeof(*k));
}
