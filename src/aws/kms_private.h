/* SPDX-License-Identifier: Apache-2.0 */
/* One KMS call, shared by who writes requests and who reads replies. */
#ifndef CV_AWS_KMS_PRIVATE_H
#define CV_AWS_KMS_PRIVATE_H

#include "aws/kms.h"

/* What a reply must have. */
enum {
    CV_KMS_REPLY_KEY_ID = 1,
    CV_KMS_REPLY_CIPHERTEXT = 2,
    CV_KMS_REPLY_PLAINTEXT = 4,
    CV_KMS_REPLY_METADATA = 8,
};

struct cv_kms_call {
    const char *action;
    const char *key_id;
    const char *encryption_algorithm;
    const char *key_spec;
    size_t number_of_bytes;
    struct cv_bytes plaintext, ciphertext;
    bool wants_plaintext, wants_ciphertext; /* of the request */
    const struct cv_kms_context *context;
    const struct cv_kms_recipient *recipient;
    size_t length;  /* that the reply's plaintext must have; 0 = any */
    unsigned reply; /* bits of CV_KMS_REPLY_… */
};

/* Reads the JSON of a good reply. */
int cv_kms_read_reply(struct cv_kms_result *out, const struct cv_kms_call *k, struct cv_bytes body,
                      struct cv_error *err) CV_NODISCARD;
void cv_kms_note_request_id(struct cv_kms_result *out, const struct cv_http_message *m);

#endif
