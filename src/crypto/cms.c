/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>

#include "crypto/cms_asn1.h"
#include "crypto/pkcs7.h"
#include "crypto/rsa_key.h"

#define CONTENT_KEY_LEN 32
#define BLOCK CV_PKCS7_BLOCK

/* One text for whatever goes wrong once the ciphertexts are touched, so that
 * nobody who sends us messages learns which step it was. */
static int opaque_failure(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_CRYPTO, "the CMS envelope does not open with this key");
}

static int malformed(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_PROTOCOL, "CMS envelope: %s", what);
}

static bool is_oid(const ASN1_OBJECT *obj, int nid)
{
    return OBJ_obj2nid(obj) == nid;
}

static bool version_is_0_or_2(const ASN1_INTEGER *version)
{
    int64_t v;
    return ASN1_INTEGER_get_int64(&v, version) == 1 && (v == 0 || v == 2);
}

/* SHA-256 with NULL or absent parameters. */
static bool is_sha256(const X509_ALGOR *alg)
{
    const ASN1_OBJECT *oid;
    int type;
    if (alg == NULL)
        return false; /* the default is SHA-1 */
    X509_ALGOR_get0(&oid, &type, NULL, alg);
    return is_oid(oid, NID_sha256) && (type == V_ASN1_NULL || type == V_ASN1_UNDEF);
}

/* MGF1 with SHA-256 (RFC 8017 appendix B.2.1). */
static bool is_mgf1_sha256(const X509_ALGOR *alg)
{
    if (alg == NULL || !is_oid(alg->algorithm, NID_mgf1) || alg->parameter == NULL)
        return false;
    X509_ALGOR *hash = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(X509_ALGOR), alg->parameter);
    bool ok = is_sha256(hash);
    X509_ALGOR_free(hash);
    return ok;
}

/* No label: absent, or pSpecified with an empty string. */
static bool no_label(const X509_ALGOR *source)
{
    if (source == NULL)
        return true;
    const ASN1_OBJECT *oid;
    const void *value;
    int type;
    X509_ALGOR_get0(&oid, &type, &value, source);
    return is_oid(oid, NID_pSpecified) && type == V_ASN1_OCTET_STRING &&
           ASN1_STRING_length(value) == 0;
}

static bool is_oaep_sha256(const X509_ALGOR *alg)
{
    if (!is_oid(alg->algorithm, NID_rsaesOaep) || alg->parameter == NULL)
        return false;
    RSA_OAEP_PARAMS *p = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(RSA_OAEP_PARAMS), alg->parameter);
    bool ok = p != NULL && is_sha256(p->hashFunc) && is_mgf1_sha256(p->maskGenFunc) &&
              no_label(p->pSourceFunc);
    RSA_OAEP_PARAMS_free(p);
    return ok;
}

static struct cv_bytes string_view(const ASN1_STRING *s)
{
    return CV_BYTES(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
}

struct envelope {
    struct cv_bytes wrapped_key;
    struct cv_bytes iv;
    struct cv_bytes ciphertext;
};

static int check_recipient(struct envelope *e, const CV_CMS_ENVELOPED *env, struct cv_error *err)
{
    if (sk_CV_CMS_RECIPIENT_num(env->recipients) != 1)
        return malformed(err, "it is not for exactly one recipient");
    const CV_CMS_RECIPIENT *r = sk_CV_CMS_RECIPIENT_value(env->recipients, 0);
    if (!version_is_0_or_2(r->version))
        return malformed(err, "unexpected version of the recipient");
    if (!is_oaep_sha256(r->algorithm))
        return malformed(err, "the key is not wrapped with RSAES-OAEP and SHA-256");
    e->wrapped_key = string_view(r->encrypted_key);
    if (e->wrapped_key.n != CV_RSA_BYTES)
        return malformed(err, "the wrapped key is not as long as the RSA modulus");
    return 0;
}

static int check_content(struct envelope *e, const CV_CMS_CONTENT *c, struct cv_error *err)
{
    const ASN1_OBJECT *oid;
    const void *value;
    int type;
    if (!is_oid(c->type, NID_pkcs7_data))
        return malformed(err, "unexpected content type");
    X509_ALGOR_get0(&oid, &type, &value, c->algorithm);
    if (!is_oid(oid, NID_aes_256_cbc) || type != V_ASN1_OCTET_STRING)
        return malformed(err, "the content is not encrypted with AES-256-CBC");
    e->iv = string_view(value);
    if (e->iv.n != BLOCK)
        return malformed(err, "the IV has not 16 bytes");
    if (c->encrypted == NULL)
        return malformed(err, "the encrypted content is missing");
    e->ciphertext = string_view(c->encrypted);
    if (e->ciphertext.n == 0 || e->ciphertext.n % BLOCK != 0)
        return malformed(err, "the encrypted content is not a number of whole blocks");
    return 0;
}

static int check(struct envelope *e, const CV_CMS *cms, struct cv_error *err)
{
    if (!is_oid(cms->type, NID_pkcs7_enveloped))
        return malformed(err, "it is not enveloped data");
    if (!version_is_0_or_2(cms->enveloped->version))
        return malformed(err, "unexpected version");
    int rc = check_recipient(e, cms->enveloped, err);
    return rc == 0 ? check_content(e, cms->enveloped->content, err) : rc;
}

/* RSAES-OAEP; KEY gets the content key, or random bytes when it fails. */
static bool unwrap_key(uint8_t key[CONTENT_KEY_LEN], const struct cv_rsa *rsa,
                       struct cv_bytes wrapped)
{
    uint8_t buf[CV_RSA_BYTES];
    size_t n = sizeof(buf);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, rsa->pkey, NULL);
    bool ok = ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, "SHA256", NULL) == 1 &&
              EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, "SHA256", NULL) == 1 &&
              EVP_PKEY_decrypt(ctx, buf, &n, wrapped.p, wrapped.n) == 1 && n == CONTENT_KEY_LEN;
    cv_random(key, CONTENT_KEY_LEN);
    if (ok)
        memcpy(key, buf, CONTENT_KEY_LEN);
    cv_wipe(buf, sizeof(buf));
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* OUT gets as many bytes as the ciphertext has, padding included. */
static bool decrypt(uint8_t *out, const uint8_t *key, const struct envelope *e)
{
    int n = 0, tail = 0;
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool ok = ctx != NULL && EVP_DecryptInit_ex2(ctx, EVP_aes_256_cbc(), key, e->iv.p, NULL) == 1 &&
              EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
              EVP_DecryptUpdate(ctx, out, &n, e->ciphertext.p, (int)e->ciphertext.n) == 1 &&
              EVP_DecryptFinal_ex(ctx, out + n, &tail) == 1 &&
              (size_t)n + (size_t)tail == e->ciphertext.n;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

static int open_envelope(struct cv_secret *out, const struct cv_rsa *rsa, const struct envelope *e,
                         struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret plain = CV_SECRET_INIT;
    uint8_t key[CONTENT_KEY_LEN];
    if (cv_secret_alloc(&plain, e->ciphertext.n) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no secret memory for a CMS content");
    bool ok = unwrap_key(key, rsa, e->wrapped_key);
    /* Goes on with a random key, so that a failed unwrapping and a bad padding
     * take the same way. */
    ok &= decrypt(plain.p, key, e);
    cv_wipe(key, sizeof(key));
    size_t n = cv_pkcs7_unpadded(plain.p, plain.n);
    ok &= n <= plain.n;
    if (!ok)
        return opaque_failure(err);
    cv_secret_shrink(&plain, n);
    cv_secret_move(out, &plain);
    return 0;
}

int cv_cms_unwrap(struct cv_secret *out, const struct cv_rsa *rsa, struct cv_bytes in,
                  struct cv_error *err)
{
    struct envelope e = {0};
    cv_secret_free(out);
    if (in.n > CV_CMS_MAX)
        return malformed(err, "larger than KMS makes them");
    CV_CMS *cms = in.n == 0 ? NULL : cv_cms_decode(in.p, in.n);
    if (cms == NULL)
        return malformed(err, "it is not one CMS structure for a key transport recipient");
    int rc = check(&e, cms, err);
    if (rc == 0)
        rc = open_envelope(out, rsa, &e, err);
    cv_cms_free(cms);
    ERR_clear_error();
    return rc;
}
