/* SPDX-License-Identifier: Apache-2.0 */
/* cv_kms_read_reply: the JSON of a KMS that lies. */
#include "aws/kms_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int document(void *ctx, struct cv_buf *out, struct cv_error *err)
{
    (void)ctx, (void)out, (void)err;
    return CV_ERR_INTERNAL;
}

static int unwrap(void *ctx, struct cv_secret *out, struct cv_bytes cms, struct cv_error *err)
{
    (void)ctx, (void)err;
    return cv_secret_copy(out, cms.p, cms.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    static const struct cv_kms_recipient recipient = {NULL, document, unwrap};
    struct cv_kms_result r;
    if (n < 1)
        return 0;
    struct cv_kms_call k = {
        .action = "Decrypt",
        .recipient = (p[0] & 1) != 0 ? &recipient : NULL,
        .length = (p[0] & 2) != 0 ? 3 : 0,
        .reply = (p[0] >> 2) & 15,
    };
    cv_kms_result_init(&r);
    if (cv_kms_read_reply(&r, &k, CV_BYTES(p + 1, n - 1), NULL) == 0 &&
        (k.reply & (CV_KMS_REPLY_PLAINTEXT | CV_KMS_REPLY_METADATA)) == CV_KMS_REPLY_PLAINTEXT &&
        (r.plaintext.n == 0 || (k.length != 0 && r.plaintext.n != k.length)))
        __builtin_trap();
    cv_kms_result_free(&r);
    return 0;
}
