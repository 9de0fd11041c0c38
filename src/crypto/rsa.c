/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/rsa.h"

#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/rsa_key.h"

void cv_rsa_free(struct cv_rsa *rsa)
{
    if (rsa == NULL)
        return;
    EVP_PKEY_free(rsa->pkey);
    OPENSSL_free(rsa->spki);
    OPENSSL_free(rsa);
}

/* Takes PKEY, which may be NULL. */
static int wrap(struct cv_rsa **out, EVP_PKEY *pkey)
{
    struct cv_rsa *rsa = OPENSSL_zalloc(sizeof(*rsa));
    int n = -1;
    if (pkey == NULL || rsa == NULL) {
        EVP_PKEY_free(pkey);
        goto fail;
    }
    rsa->pkey = pkey;
    n = i2d_PUBKEY(pkey, &rsa->spki);
    if (n <= 0)
        goto fail;
    rsa->spki_len = (size_t)n;
    *out = rsa;
    return 0;
fail:
    cv_rsa_free(rsa);
    ERR_clear_error();
    return CV_ERR_CRYPTO;
}

int cv_rsa_generate(struct cv_rsa **out)
{
    *out = NULL;
    return wrap(out, EVP_RSA_gen(CV_RSA_BITS)); /* its default exponent is 65537 */
}

int cv_rsa_from_pkcs8(struct cv_rsa **out, struct cv_bytes der)
{
    *out = NULL;
    const unsigned char *p = der.p;
    if (der.n > CV_CMS_MAX)
        return CV_ERR_INVALID;
    EVP_PKEY *pkey = d2i_AutoPrivateKey(NULL, &p, (long)der.n);
    if (pkey == NULL || p != der.p + der.n || !EVP_PKEY_is_a(pkey, "RSA") ||
        EVP_PKEY_get_bits(pkey) != CV_RSA_BITS) {
        EVP_PKEY_free(pkey);
        ERR_clear_error();
        return CV_ERR_INVALID;
    }
    return wrap(out, pkey);
}

struct cv_bytes cv_rsa_spki(const struct cv_rsa *rsa)
{
    return CV_BYTES(rsa->spki, rsa->spki_len);
}
