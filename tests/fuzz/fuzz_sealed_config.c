/* SPDX-License-Identifier: Apache-2.0 */
/* Container files, instruction files, and decrypted secrets. */
#include <stdlib.h>
#include <string.h>

#include "sealed/config.h"
#include "sealed/secrets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void container(struct cv_bytes in)
{
    static const uint8_t key[CV_S3EC_KEY_LEN];
    struct cv_s3ec_pairs pairs;
    struct cv_bytes body;
    struct cv_s3ec_meta m = {.format = CV_S3EC_V3};
    if (cv_config_unpack(&pairs, &body, in, NULL) == 0 &&
        cv_s3ec_meta_parse(&m, &pairs, NULL) == 0) {
        struct cv_config_expect expect = {.minimum_version = 1};
        struct cv_secret out = CV_SECRET_INIT;
        int rc = cv_config_check(&m, &pairs, body, &expect, NULL, NULL);
        (void)rc;
        if (cv_s3ec_open(&m, CV_BYTES(key, sizeof key), body, &out, NULL) == 0) {
            cv_secret_free(&out);
        }
        struct cv_s3ec_pairs again = {.n = 0};
        struct cv_s3ec_meta back;
        if (cv_s3ec_meta_emit(&again, &m, NULL) == 0) {
            if (cv_s3ec_meta_parse(&back, &again, NULL) != 0 || back.edk.n != m.edk.n) {
                abort();
            }
            cv_s3ec_meta_free(&back);
        }
        cv_s3ec_pairs_free(&again);
    }
    cv_s3ec_meta_free(&m);
    cv_s3ec_pairs_free(&pairs);
}

static void secrets(struct cv_bytes in)
{
    struct cv_secrets s;
    if (cv_secrets_decode(&s, in, NULL) == 0) {
        struct cv_secret out = CV_SECRET_INIT;
        if (cv_secrets_encode(&out, &s, NULL) != 0 || out.n > in.n) {
            abort();
        }
        cv_secret_free(&out);
    }
    cv_secrets_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    container(CV_BYTES(data, size));
    secrets(CV_BYTES(data, size));
    struct cv_s3ec_pairs object = {.n = 0};
    int rc = cv_s3ec_instruction_parse(&object, CV_BYTES(data, size), NULL);
    (void)rc;
    cv_s3ec_pairs_free(&object);
    return 0;
}
