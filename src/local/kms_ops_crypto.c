/* SPDX-License-Identifier: Apache-2.0 */
/* Encrypt, Decrypt, GenerateDataKey, GenerateDataKeyWithoutPlaintext,
 * GenerateRandom (KMS API Reference, the pages of these names). */
#include "local/kms_call.h"

#include <string.h>

#define DATA_KEY_MAX 1024

/* EncryptionAlgorithm: keys here are symmetric. */
static int check_algorithm(struct cv_local_kms_call *c)
{
    const char *algorithm;
    if (cv_local_in_text(c, "EncryptionAlgorithm", &algorithm))
        return -1;
    if (algorithm && strcmp(algorithm, "SYMMETRIC_DEFAULT"))
        return cv_local_refuse(c, 400, "InvalidKeyUsageException",
                               "the key is symmetric: its only algorithm is SYMMETRIC_DEFAULT");
    return 0;
}

int cv_local_op_encrypt(struct cv_local_kms_call *c)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) plaintext, blob;
    struct cv_local_key *key;
    const json_t *context;
    bool present;
    cv_buf_init(&plaintext, CV_LOCAL_PLAINTEXT_MAX + 2);
    cv_buf_init(&blob, CV_LOCAL_BLOB_MAX);
    if (cv_local_in_key(c, &key) || check_algorithm(c) || cv_local_in_no_grants(c) ||
        cv_local_in_context(c, &context) || cv_local_in_blob(c, "Plaintext", &present, &plaintext))
        return -1;
    if (!present)
        return cv_local_refuse(c, 400, "ValidationException",
                               "1 validation error detected: Value null at 'plaintext' failed to "
                               "satisfy constraint: Member must not be null");
    if (cv_local_authorize(c, key) || cv_local_usable(c, key) || cv_local_encrypts(c, key))
        return -1;
    if (cv_local_blob_seal(&blob, key, context, cv_buf_view(&plaintext)))
        return cv_local_refuse(c, 500, "KMSInternalException", "encryption failed");
    return cv_local_out_blob(c, "CiphertextBlob", cv_buf_view(&blob)) ||
                   cv_local_out_key_id(c, key) ||
                   cv_local_out_text(c, "EncryptionAlgorithm", "SYMMETRIC_DEFAULT")
               ? -1
               : 0;
}

/* The key that sealed BLOB, which must be the one that was named, if any was. */
static int blob_key(struct cv_local_kms_call *c, struct cv_bytes blob, struct cv_local_key **out)
{
    char id[CV_LOCAL_KMS_ID];
    struct cv_local_key *named = NULL;
    const char *text;
    if (cv_local_in_text(c, "KeyId", &text) || (text && cv_local_in_key(c, &named)) ||
        (named && cv_local_encrypts(c, named)))
        return -1;
    if (cv_local_blob_key_id(id, blob) || !(*out = cv_local_kms_key_by_id(&c->kms->state, id)))
        return cv_local_refuse(c, 400, "InvalidCiphertextException", "%s", "");
    if (named && named != *out)
        return cv_local_refuse(c, 400, "IncorrectKeyException",
                               "The key ID in the request does not identify a CMK that can "
                               "perform this operation.");
    return 0;
}

int cv_local_op_decrypt(struct cv_local_kms_call *c)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) blob;
    struct cv_secret CV_SECRET_AUTO plaintext = CV_SECRET_INIT;
    struct cv_local_key *key = NULL;
    const json_t *context;
    bool present;
    cv_buf_init(&blob, CV_LOCAL_BLOB_MAX + 2);
    if (check_algorithm(c) || cv_local_in_no_grants(c) || cv_local_in_context(c, &context) ||
        cv_local_in_blob(c, "CiphertextBlob", &present, &blob))
        return -1;
    if (!present)
        return cv_local_refuse(c, 400, "ValidationException",
                               "1 validation error detected: Value null at 'ciphertextBlob' "
                               "failed to satisfy constraint: Member must not be null");
    /* Permission is decided before the context is tried, so that the error
     * tells a stranger nothing about the blob. */
    if (blob_key(c, cv_buf_view(&blob), &key) || cv_local_in_recipient(c) ||
        cv_local_authorize(c, key) || cv_local_usable(c, key))
        return -1;
    if (cv_local_blob_open(&plaintext, key, context, cv_buf_view(&blob)))
        return cv_local_refuse(c, 400, "InvalidCiphertextException", "%s", "");
    return cv_local_out_plaintext(c, cv_secret_view(&plaintext)) || cv_local_out_key_id(c, key) ||
                   cv_local_out_text(c, "EncryptionAlgorithm", "SYMMETRIC_DEFAULT")
               ? -1
               : 0;
}

/* KeySpec or NumberOfBytes, exactly one of them. */
static int data_key_size(struct cv_local_kms_call *c, size_t *out)
{
    const char *spec;
    bool present;
    int64_t bytes;
    if (cv_local_in_text(c, "KeySpec", &spec) ||
        cv_local_in_int(c, "NumberOfBytes", &present, &bytes))
        return -1;
    if (!spec == !present)
        return cv_local_refuse(c, 400, "ValidationException",
                               "Please specify either number of bytes or key spec.");
    if (spec && !strcmp(spec, "AES_256"))
        bytes = 32;
    else if (spec && !strcmp(spec, "AES_128"))
        bytes = 16;
    else if (spec)
        return cv_local_refuse(
            c, 400, "ValidationException",
            "1 validation error detected: Value at 'keySpec' failed to satisfy "
            "constraint: Member must satisfy enum value set: [AES_256, AES_128]");
    if (bytes < 1 || bytes > DATA_KEY_MAX)
        return cv_local_refuse(c, 400, "ValidationException",
                               "1 validation error detected: Value at 'numberOfBytes' failed to "
                               "satisfy constraint: Member must be between 1 and 1024");
    *out = (size_t)bytes;
    return 0;
}

/* KMS allows both calls with the permission of the same name as the call. */
static int generate_data_key(struct cv_local_kms_call *c, bool with_plaintext)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) blob;
    struct cv_secret CV_SECRET_AUTO secret = CV_SECRET_INIT;
    struct cv_local_key *key;
    const json_t *context;
    size_t n = 0;
    cv_buf_init(&blob, CV_LOCAL_BLOB_MAX);
    if (cv_local_in_key(c, &key) || cv_local_in_no_grants(c) || cv_local_in_context(c, &context) ||
        data_key_size(c, &n) || (with_plaintext && cv_local_in_recipient(c)) ||
        cv_local_authorize(c, key) || cv_local_usable(c, key) || cv_local_encrypts(c, key))
        return -1;
    if (cv_secret_alloc(&secret, n))
        return cv_local_refuse(c, 500, "KMSInternalException", "no memory");
    cv_random(secret.p, n);
    if (cv_local_blob_seal(&blob, key, context, cv_secret_view(&secret)))
        return cv_local_refuse(c, 500, "KMSInternalException", "encryption failed");
    return cv_local_out_blob(c, "CiphertextBlob", cv_buf_view(&blob)) ||
                   cv_local_out_key_id(c, key) ||
                   (with_plaintext && cv_local_out_plaintext(c, cv_secret_view(&secret)))
               ? -1
               : 0;
}

int cv_local_op_generate_data_key(struct cv_local_kms_call *c)
{
    return generate_data_key(c, true);
}

int cv_local_op_generate_data_key_without_plaintext(struct cv_local_kms_call *c)
{
    return generate_data_key(c, false);
}

int cv_local_op_generate_random(struct cv_local_kms_call *c)
{
    struct cv_secret CV_SECRET_AUTO secret = CV_SECRET_INIT;
    const char *store;
    bool present;
    int64_t n;
    if (cv_local_in_int(c, "NumberOfBytes", &present, &n) ||
        cv_local_in_text(c, "CustomKeyStoreId", &store))
        return -1;
    if (store)
        return cv_local_refuse(c, 400, "CustomKeyStoreNotFoundException",
                               "the local KMS has no custom key stores");
    if (!present || n < 1 || n > DATA_KEY_MAX)
        return cv_local_refuse(c, 400, "ValidationException",
                               "1 validation error detected: Value at 'numberOfBytes' failed to "
                               "satisfy constraint: Member must be between 1 and 1024");
    if (cv_local_in_recipient(c) || cv_local_authorize(c, NULL))
        return -1;
    if (cv_secret_alloc(&secret, (size_t)n))
        return cv_local_refuse(c, 500, "KMSInternalException", "no memory");
    cv_random(secret.p, secret.n);
    return cv_local_out_plaintext(c, cv_secret_view(&secret));
}
