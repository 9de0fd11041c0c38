/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/scheme.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/secret.h"
#include "crypto/blake2b.h"
#include "crypto/table.h"

static const struct cv_scheme_ops *const table[CV_SCHEME_COUNT] = {
    [CV_SCHEME_ED25519] = &cv_ed25519_ops,
    [CV_SCHEME_SECP256K1] = &cv_secp256k1_ops,
    [CV_SCHEME_P256] = &cv_p256_ops,
    [CV_SCHEME_BLS] = &cv_bls_ops,
};

static const struct cv_scheme_ops *ops(enum cv_scheme scheme)
{
    /* Another value is a bug of the caller: schemes come from our parsers. */
    if ((unsigned)scheme >= CV_SCHEME_COUNT)
        abort();
    return table[scheme];
}

size_t cv_public_key_len(enum cv_scheme scheme)
{
    return ops(scheme)->public_key_len;
}

size_t cv_signature_len(enum cv_scheme scheme)
{
    return ops(scheme)->signature_len;
}

const char *cv_scheme_rpc_name(enum cv_scheme scheme)
{
    return ops(scheme)->rpc_name;
}

const char *cv_scheme_tz_name(enum cv_scheme scheme)
{
    return ops(scheme)->tz_name;
}

const char *cv_scheme_name(enum cv_scheme scheme)
{
    return ops(scheme)->name;
}

int cv_scheme_from_rpc_name(enum cv_scheme *scheme, struct cv_bytes name)
{
    for (unsigned i = 0; i < CV_SCHEME_COUNT; i++) {
        if (cv_bytes_equal_str(name, table[i]->rpc_name)) {
            *scheme = (enum cv_scheme)i;
            return 0;
        }
    }
    return CV_ERR_NOT_FOUND;
}

int cv_scheme_parse(enum cv_scheme *scheme, const char *name)
{
    for (unsigned i = 0; i < CV_SCHEME_COUNT; i++) {
        if (strcasecmp(name, table[i]->name) == 0 || strcasecmp(name, table[i]->tz_name) == 0) {
            *scheme = (enum cv_scheme)i;
            return 0;
        }
    }
    return CV_ERR_NOT_FOUND;
}

bool cv_scalar_in_range(const uint8_t key[32], const uint8_t order[32])
{
    unsigned any = 0, borrow = 0;
    for (int i = 31; i >= 0; i--) {
        any |= key[i];
        unsigned d = (unsigned)key[i] - order[i] - borrow;
        borrow = (d >> 8) & 1; /* 1 as long as key's low bytes are below order's */
    }
    unsigned nonzero = (any + 0xff) >> 8;
    return (nonzero & borrow) != 0;
}

int cv_private_key_generate(enum cv_scheme scheme, uint8_t out[CV_PRIVATE_KEY_LEN],
                            const struct cv_random_source *source)
{
    const struct cv_scheme_ops *o = ops(scheme);
    uint8_t random[32];
    int rc;
    /* A draw is refused with a probability of 2^-32 (P-256) or less: a source
     * that is refused a hundred times is broken. */
    for (int i = 0; i < 100; i++) {
        if (source == NULL) {
            cv_random(random, sizeof(random));
            rc = 0;
        } else {
            rc = source->fill(source->ctx, random, sizeof(random));
        }
        if (rc != 0)
            break;
        rc = o->from_random(out, random);
        if (rc == 0)
            break;
        rc = CV_ERR_CRYPTO;
    }
    cv_wipe(random, sizeof(random));
    if (rc != 0)
        cv_wipe(out, CV_PRIVATE_KEY_LEN);
    return rc;
}

int cv_private_key_check(enum cv_scheme scheme, const uint8_t key[CV_PRIVATE_KEY_LEN])
{
    return ops(scheme)->check(key);
}

int cv_public_key_parse(struct cv_public_key *out, enum cv_scheme scheme, struct cv_bytes in)
{
    const struct cv_scheme_ops *o = ops(scheme);
    if (in.n != o->public_key_len || o->parse(in) != 0)
        return CV_ERR_INVALID;
    memset(out, 0, sizeof(*out));
    out->scheme = scheme;
    out->n = in.n;
    memcpy(out->p, in.p, in.n);
    return 0;
}

bool cv_public_key_equal(const struct cv_public_key *a, const struct cv_public_key *b)
{
    return a->scheme == b->scheme && a->n == b->n && memcmp(a->p, b->p, a->n) == 0;
}

int cv_signing_key_init(struct cv_signing_key *key, enum cv_scheme scheme,
                        const uint8_t private_key[CV_PRIVATE_KEY_LEN])
{
    const struct cv_scheme_ops *o = ops(scheme);
    memset(key, 0, sizeof(*key));
    key->public_key.scheme = scheme;
    key->public_key.n = o->public_key_len;
    int rc = o->check(private_key);
    if (rc == 0)
        rc = o->init(key, private_key);
    if (rc != 0) {
        cv_wipe(key, sizeof(*key));
        return rc;
    }
    key->ready = true;
    return 0;
}

void cv_signing_key_free(struct cv_signing_key *key)
{
    if (key->ready && ops(key->public_key.scheme)->release != NULL)
        ops(key->public_key.scheme)->release(key);
    cv_wipe(key, sizeof(*key));
}

static int sign_prepared(const struct cv_signing_key *key, enum cv_sign_version version,
                         struct cv_bytes in, struct cv_signature *out)
{
    const struct cv_scheme_ops *o = ops(key->public_key.scheme);
    memset(out, 0, sizeof(*out));
    out->scheme = key->public_key.scheme;
    out->n = o->signature_len;
    int rc = o->sign(key, version, in, out->p);
    if (rc != 0)
        cv_wipe(out->p, sizeof(out->p));
    return rc;
}

int cv_sign_digest(const struct cv_signing_key *key, enum cv_sign_version version,
                   struct cv_bytes message, const uint8_t digest[32], struct cv_signature *out)
{
    if (!key->ready)
        return CV_ERR_STATE;
    bool prehash = ops(key->public_key.scheme)->prehash;
    return sign_prepared(key, version, prehash ? CV_BYTES(digest, 32) : message, out);
}

int cv_sign(const struct cv_signing_key *key, enum cv_sign_version version, struct cv_bytes message,
            struct cv_signature *out)
{
    uint8_t digest[CV_BLAKE2B_256_LEN] = {0};
    if (!key->ready)
        return CV_ERR_STATE;
    if (ops(key->public_key.scheme)->prehash)
        cv_blake2b_256(digest, message);
    return cv_sign_digest(key, version, message, digest, out);
}

int cv_prove_possession(const struct cv_signing_key *key, struct cv_signature *out)
{
    if (!key->ready)
        return CV_ERR_STATE;
    if (key->public_key.scheme != CV_SCHEME_BLS)
        return CV_ERR_UNSUPPORTED;
    memset(out, 0, sizeof(*out));
    out->scheme = CV_SCHEME_BLS;
    out->n = cv_bls_ops.signature_len;
    return cv_bls_prove(key, out->p);
}
