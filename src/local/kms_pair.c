/* SPDX-License-Identifier: Apache-2.0 */
#include "local/kms_pair.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

static const struct cv_local_key_spec specs[] = {
    {"ECC_NIST_P256", "P-256", "ECDSA_SHA_256", "SHA256", 32},
    {"ECC_NIST_P384", "P-384", "ECDSA_SHA_384", "SHA384", 48},
    {"ECC_NIST_P521", "P-521", "ECDSA_SHA_512", "SHA512", 64},
    {"ECC_SECG_P256K1", "secp256k1", "ECDSA_SHA_256", "SHA256", 32},
};

const struct cv_local_key_spec *cv_local_key_spec(const char *name)
{
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++)
        if (!strcmp(specs[i].name, name))
            return &specs[i];
    return NULL;
}

int cv_local_pair_make(EVP_PKEY **out, const struct cv_local_key_spec *spec)
{
    *out = EVP_EC_gen(spec->curve);
    ERR_clear_error();
    return *out ? 0 : CV_ERR_CRYPTO;
}

int cv_local_pair_read(EVP_PKEY **out, const struct cv_local_key_spec *spec, struct cv_bytes der)
{
    const uint8_t *p = der.p;
    char group[64];
    EVP_PKEY *pair = d2i_AutoPrivateKey(NULL, &p, (long)der.n);
    EVP_PKEY *other = EVP_EC_gen(spec->curve);
    char want[64];
    bool good = pair && other && p == der.p + der.n &&
                EVP_PKEY_get_group_name(pair, group, sizeof group, NULL) == 1 &&
                EVP_PKEY_get_group_name(other, want, sizeof want, NULL) == 1 &&
                !strcmp(group, want);
    EVP_PKEY_free(other);
    ERR_clear_error();
    if (!good) {
        EVP_PKEY_free(pair);
        return CV_ERR_INVALID;
    }
    *out = pair;
    return 0;
}

static int take_der(struct cv_buf *out, uint8_t *der, int n)
{
    int rc = n > 0 ? cv_buf_append(out, der, (size_t)n) : CV_ERR_CRYPTO;
    OPENSSL_clear_free(der, n > 0 ? (size_t)n : 0);
    ERR_clear_error();
    return rc;
}

int cv_local_pair_write(struct cv_buf *out, EVP_PKEY *pair)
{
    uint8_t *der = NULL;
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pair);
    int n = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;
    PKCS8_PRIV_KEY_INFO_free(info);
    return take_der(out, der, n);
}

int cv_local_pair_public(struct cv_buf *out, EVP_PKEY *pair)
{
    uint8_t *der = NULL;
    int n = i2d_PUBKEY(pair, &der);
    return take_der(out, der, n);
}

int cv_local_pair_sign(struct cv_buf *out, EVP_PKEY *pair, struct cv_bytes digest)
{
    uint8_t der[256];
    size_t n = sizeof der;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
    bool good =
        ctx && EVP_PKEY_sign_init(ctx) == 1 && EVP_PKEY_sign(ctx, der, &n, digest.p, digest.n) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return good ? cv_buf_append(out, der, n) : CV_ERR_CRYPTO;
}

bool cv_local_pair_verify(EVP_PKEY *pair, struct cv_bytes digest, struct cv_bytes signature)
{
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pair, NULL);
    bool good = ctx && EVP_PKEY_verify_init(ctx) == 1 &&
                EVP_PKEY_verify(ctx, signature.p, signature.n, digest.p, digest.n) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return good;
}
