/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS KMS: Encrypt, Decrypt, GenerateDataKey, GenerateRandom, DescribeKey, the
 * first three also in the attested form, where KMS encrypts what it returns to
 * the RSA key in an attestation document ("Recipient").
 *
 * Secrets of replies go from the wire into struct cv_secret; every buffer that
 * they pass through is wiped. Usable from several threads; each call has its
 * own deadline.
 */
#ifndef CV_AWS_KMS_H
#define CV_AWS_KMS_H

#include "aws/client.h"

#define CV_KMS_KEY_ID_MAX 2048
#define CV_KMS_PLAINTEXT_MAX 4096
#define CV_KMS_CIPHERTEXT_MAX 6144
#define CV_KMS_RANDOM_MAX 1024
#define CV_KMS_DOCUMENT_MAX 262144
#define CV_KMS_CONTEXT_MAX 8192 /* bytes of all names and values together */

struct cv_kms;

struct cv_kms_config {
    const char *region;
    const struct cv_aws_endpoint *endpoint; /* NULL = kms.REGION.amazonaws.com and its like */
    struct cv_aws_transport *transport;     /* borrowed */
    struct cv_aws_provider *provider;       /* borrowed */
    unsigned max_attempts;                  /* 0 = default */
    int64_t attempt_ms;                     /* 0 = default */
    int64_t retry_base_ms;                  /* 0 = default */
};

int cv_kms_new(struct cv_kms **out, const struct cv_kms_config *config,
               struct cv_error *err) CV_NODISCARD;
void cv_kms_free(struct cv_kms **kms);
struct cv_aws_client *cv_kms_client(struct cv_kms *kms);

/* The encryption context, in any order. */
struct cv_kms_context {
    const struct cv_aws_param *pairs;
    size_t n;
};

/* The attested receiver. */
struct cv_kms_recipient {
    void *ctx;
    /* Appends a fresh attestation document that holds the receiver's RSA public
     * key. Called once for each attempt, since KMS refuses stale ones. */
    int (*document)(void *ctx, struct cv_buf *out, struct cv_error *err);
    /* Opens CiphertextForRecipient (a CMS EnvelopedData) with the private key. */
    int (*unwrap)(void *ctx, struct cv_secret *out, struct cv_bytes cms, struct cv_error *err);
};

struct cv_kms_result {
    /* as KMS returned it: the key's ARN; the caller checks it */
    char key_id[CV_KMS_KEY_ID_MAX + 1];
    struct cv_buf ciphertext; /* CiphertextBlob */
    struct cv_secret plaintext;
    struct cv_aws_error aws;          /* filled when KMS said no; aws.status 0 otherwise */
    char request_id[CV_AWS_CODE_MAX]; /* of the last reply, also when it was good */
    bool enabled;                     /* DescribeKey: Enabled */
    char key_spec[64];                /* DescribeKey */
    char key_usage[64];               /* DescribeKey */
};

/* Before the first use; every call empties it first. */
void cv_kms_result_init(struct cv_kms_result *r);
/* Wipes and frees; r->aws and request_id stay readable. */
void cv_kms_result_free(struct cv_kms_result *r);

/* Each: 0, or a code with a sentence such as
 *   "KMS Decrypt: AccessDeniedException (HTTP 400, request id …): …".
 * A reply without what it must have, with a Plaintext where a Recipient was
 * sent, or of a wrong length, is CV_ERR_PROTOCOL. */
int cv_kms_encrypt(struct cv_kms *kms, const char *key_id, struct cv_bytes plaintext,
                   const struct cv_kms_context *context, struct cv_kms_result *out,
                   int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* KEY_ID may be NULL (symmetric blobs name their key). RECIPIENT may be NULL. */
int cv_kms_decrypt(struct cv_kms *kms, const char *key_id, struct cv_bytes ciphertext,
                   const struct cv_kms_context *context, const struct cv_kms_recipient *recipient,
                   struct cv_kms_result *out, int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* KMS's parameter EncryptionAlgorithm of an asymmetric key ("RSAES_OAEP_SHA_256"). */
int cv_kms_decrypt_with(struct cv_kms *kms, const char *key_id, const char *encryption_algorithm,
                        struct cv_bytes ciphertext, const struct cv_kms_context *context,
                        const struct cv_kms_recipient *recipient, struct cv_kms_result *out,
                        int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* BYTES of key, 16 ("AES_128"), 32 ("AES_256") or any number to 1024. */
int cv_kms_generate_data_key(struct cv_kms *kms, const char *key_id, size_t bytes,
                             const struct cv_kms_context *context,
                             const struct cv_kms_recipient *recipient, struct cv_kms_result *out,
                             int64_t deadline, struct cv_error *err) CV_NODISCARD;
int cv_kms_generate_random(struct cv_kms *kms, size_t bytes,
                           const struct cv_kms_recipient *recipient, struct cv_kms_result *out,
                           int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* KEY_ID may be an id, an ARN or an alias; out->key_id is the ARN. */
int cv_kms_describe_key(struct cv_kms *kms, const char *key_id, struct cv_kms_result *out,
                        int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* True when ARN (of a reply) is the key that ID names: an equal ARN, or a bare
 * key id that is the ARN's last part. An alias never matches: compare what
 * cv_kms_describe_key() says. */
bool cv_kms_key_matches(const char *arn, const char *id);
/* "arn:aws:kms:REGION:ACCOUNT:key/…" → REGION; CV_ERR_INVALID. */
int cv_kms_arn_region(char out[CV_AWS_REGION_MAX + 1], const char *arn) CV_NODISCARD;

#endif
