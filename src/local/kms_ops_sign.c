/* SPDX-License-Identifier: Apache-2.0 */
/* Sign, Verify, GetPublicKey (KMS API Reference, the pages of these names). */
#include "local/kms_call.h"

#include <openssl/evp.h>
#include <string.h>

#define MESSAGE_MAX 4096
#define SIGNATURE_MAX 6144

static int null_member(struct cv_local_kms_call *c, const char *name)
{
    return cv_local_refuse(c, 400, "ValidationException",
                           "1 validation error detected: Value null at '%s' failed to satisfy "
                           "constraint: Member must not be null",
                           name);
}

static bool one_of(const char *v, const char *const *list)
{
    while (*list && strcmp(*list, v))
        list++;
    return *list;
}

/* What Sign and Verify have in common; DIGEST has room for EVP_MAX_MD_SIZE. */
struct signing {
    struct cv_local_key *key;
    const char *algorithm, *type;
    struct cv_buf message;
    uint8_t digest[EVP_MAX_MD_SIZE];
};

static int read_request(struct cv_local_kms_call *c, struct signing *s)
{
    static const char *const algorithms[] = {
        "RSASSA_PSS_SHA_256",
        "RSASSA_PSS_SHA_384",
        "RSASSA_PSS_SHA_512",
        "RSASSA_PKCS1_V1_5_SHA_256",
        "RSASSA_PKCS1_V1_5_SHA_384",
        "RSASSA_PKCS1_V1_5_SHA_512",
        "ECDSA_SHA_256",
        "ECDSA_SHA_384",
        "ECDSA_SHA_512",
        "SM2DSA",
        "ML_DSA_SHAKE_256",
        "ED25519_SHA_512",
        "ED25519_PH_SHA_512",
        NULL,
    };
    static const char *const types[] = {"RAW", "DIGEST", "EXTERNAL_MU", NULL};
    bool present;
    cv_buf_init(&s->message, MESSAGE_MAX + 2);
    if (cv_local_in_key(c, &s->key) || cv_local_in_no_grants(c) ||
        cv_local_in_blob(c, "Message", &present, &s->message) ||
        cv_local_in_text(c, "MessageType", &s->type) ||
        cv_local_in_text(c, "SigningAlgorithm", &s->algorithm))
        return -1;
    if (!present)
        return null_member(c, "message");
    if (!s->algorithm)
        return null_member(c, "signingAlgorithm");
    s->type = s->type ? s->type : "RAW";
    if (!one_of(s->algorithm, algorithms) || !one_of(s->type, types))
        return cv_local_refuse(c, 400, "ValidationException",
                               "1 validation error detected: Value at '%s' failed to satisfy "
                               "constraint: Member must satisfy enum value set",
                               one_of(s->type, types) ? "signingAlgorithm" : "messageType");
    if (cv_policy_context_add(&c->context, "kms:SigningAlgorithm", s->algorithm) ||
        cv_policy_context_add(&c->context, "kms:MessageType", s->type))
        return cv_local_refuse(c, 500, "KMSInternalException", "no room for condition keys");
    return 0;
}

/* The key can do it, and this is the digest. */
static int prepare(struct cv_local_kms_call *c, struct signing *s)
{
    const struct cv_local_key_spec *spec = s->key->spec;
    if (!spec)
        return cv_local_refuse(c, 400, "InvalidKeyUsageException",
                               "%s key usage is ENCRYPT_DECRYPT which is not valid for %s.",
                               s->key->arn, c->action);
    if (strcmp(s->algorithm, spec->algorithm))
        return cv_local_refuse(c, 400, "InvalidKeyUsageException",
                               "Algorithm %s is incompatible with key spec %s.", s->algorithm,
                               spec->name);
    if (!strcmp(s->type, "EXTERNAL_MU"))
        return cv_local_refuse(c, 400, "ValidationException",
                               "EXTERNAL_MU is for ML-DSA keys only.");
    if (!strcmp(s->type, "DIGEST") && s->message.n != spec->digest_len)
        return cv_local_refuse(c, 400, "ValidationException",
                               "Digest is invalid length for algorithm %s.", s->algorithm);
    if (!strcmp(s->type, "DIGEST")) {
        memcpy(s->digest, s->message.p, s->message.n);
        return 0;
    }
    return EVP_Digest(s->message.p, s->message.n, s->digest, NULL,
                      EVP_get_digestbyname(spec->digest), NULL) == 1
               ? 0
               : cv_local_refuse(c, 500, "KMSInternalException", "hashing failed");
}

int cv_local_op_sign(struct cv_local_kms_call *c)
{
    struct signing s;
    struct cv_buf CV_CLEANUP(cv_buf_free) der;
    cv_buf_init(&der, SIGNATURE_MAX);
    int rc = read_request(c, &s) || cv_local_authorize(c, s.key) || cv_local_usable(c, s.key) ||
                     prepare(c, &s)
                 ? -1
                 : 0;
    if (!rc && cv_local_pair_sign(&der, s.key->pair, CV_BYTES(s.digest, s.key->spec->digest_len)))
        rc = cv_local_refuse(c, 500, "KMSInternalException", "signing failed");
    if (!rc &&
        (cv_local_out_blob(c, "Signature", cv_buf_view(&der)) || cv_local_out_key_id(c, s.key) ||
         cv_local_out_text(c, "SigningAlgorithm", s.algorithm)))
        rc = -1;
    cv_buf_free(&s.message);
    return rc;
}

int cv_local_op_verify(struct cv_local_kms_call *c)
{
    struct signing s;
    struct cv_buf CV_CLEANUP(cv_buf_free) der;
    bool present = true;
    cv_buf_init(&der, SIGNATURE_MAX + 2);
    int rc = read_request(c, &s) || cv_local_in_blob(c, "Signature", &present, &der) ? -1 : 0;
    if (!rc && !present)
        rc = null_member(c, "signature");
    if (!rc && (cv_local_authorize(c, s.key) || cv_local_usable(c, s.key) || prepare(c, &s)))
        rc = -1;
    if (!rc && !cv_local_pair_verify(s.key->pair, CV_BYTES(s.digest, s.key->spec->digest_len),
                                     cv_buf_view(&der)))
        rc = cv_local_refuse(c, 400, "KMSInvalidSignatureException", "%s", "");
    if (!rc &&
        (json_object_set_new(c->out, "SignatureValid", json_true()) ||
         cv_local_out_key_id(c, s.key) || cv_local_out_text(c, "SigningAlgorithm", s.algorithm)))
        rc = -1;
    cv_buf_free(&s.message);
    return rc;
}

int cv_local_op_get_public_key(struct cv_local_kms_call *c)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) der;
    struct cv_local_key *key;
    cv_buf_init(&der, 8192);
    if (cv_local_in_key(c, &key) || cv_local_in_no_grants(c) || cv_local_authorize(c, key) ||
        cv_local_usable(c, key))
        return -1;
    if (!key->spec)
        return cv_local_refuse(c, 400, "UnsupportedOperationException",
                               "%s is a symmetric key: it has no public key.", key->arn);
    if (cv_local_pair_public(&der, key->pair))
        return cv_local_refuse(c, 500, "KMSInternalException", "writing the public key failed");
    json_t *algorithms = json_pack("[s]", key->spec->algorithm);
    if (json_object_set_new(c->out, "SigningAlgorithms", algorithms))
        return cv_local_refuse(c, 500, "KMSInternalException", "no memory");
    return cv_local_out_blob(c, "PublicKey", cv_buf_view(&der)) || cv_local_out_key_id(c, key) ||
                   cv_local_out_text(c, "KeySpec", key->spec->name) ||
                   cv_local_out_text(c, "CustomerMasterKeySpec", key->spec->name) ||
                   cv_local_out_text(c, "KeyUsage", "SIGN_VERIFY")
               ? -1
               : 0;
}
