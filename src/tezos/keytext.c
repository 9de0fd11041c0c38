/* SPDX-License-Identifier: Apache-2.0 */
#include "tezos/keytext.h"

#include <stdlib.h>
#include <string.h>

#include "crypto/blake2b.h"

/* The kinds of the four schemes stand in the order of enum cv_scheme. */
static enum cv_text_kind kind_of(enum cv_text_kind first, enum cv_scheme scheme)
{
    return (enum cv_text_kind)((unsigned)first + (unsigned)scheme);
}

/* True, and the scheme, when KIND is one of the four that start at FIRST. */
static bool scheme_of(enum cv_scheme *scheme, enum cv_text_kind first, enum cv_text_kind kind)
{
    if (kind < first || (unsigned)kind >= (unsigned)first + CV_SCHEME_COUNT)
        return false;
    *scheme = (enum cv_scheme)((unsigned)kind - (unsigned)first);
    return true;
}

/* For buffers whose size the header fixes: they cannot be too small. */
static void format(char *out, size_t size, enum cv_text_kind kind, const uint8_t *p, size_t n)
{
    if (cv_text_format(out, size, kind, CV_BYTES(p, n)) != 0)
        abort();
}

void cv_pkh_of(struct cv_pkh *out, const struct cv_public_key *key)
{
    out->scheme = key->scheme;
    cv_blake2b_160(out->p, CV_BYTES(key->p, key->n));
}

bool cv_pkh_equal(const struct cv_pkh *a, const struct cv_pkh *b)
{
    return a->scheme == b->scheme && memcmp(a->p, b->p, CV_PKH_LEN) == 0;
}

void cv_pkh_format(char out[CV_PKH_TEXT_SIZE], const struct cv_pkh *pkh)
{
    format(out, CV_PKH_TEXT_SIZE, kind_of(CV_TEXT_PKH_ED25519, pkh->scheme), pkh->p, CV_PKH_LEN);
}

int cv_pkh_parse(struct cv_pkh *out, struct cv_bytes text)
{
    uint8_t payload[CV_TEXT_PAYLOAD_MAX];
    enum cv_text_kind kind;
    size_t n;
    int rc = cv_text_parse(&kind, payload, &n, text);
    if (rc != 0)
        return rc;
    if (!scheme_of(&out->scheme, CV_TEXT_PKH_ED25519, kind))
        return CV_ERR_INVALID;
    memcpy(out->p, payload, CV_PKH_LEN);
    return 0;
}

void cv_public_key_format(char out[CV_PK_TEXT_SIZE], const struct cv_public_key *key)
{
    format(out, CV_PK_TEXT_SIZE, kind_of(CV_TEXT_PK_ED25519, key->scheme), key->p, key->n);
}

int cv_public_key_from_text(struct cv_public_key *out, struct cv_bytes text)
{
    uint8_t payload[CV_TEXT_PAYLOAD_MAX];
    enum cv_text_kind kind;
    enum cv_scheme scheme;
    size_t n;
    int rc = cv_text_parse(&kind, payload, &n, text);
    if (rc != 0)
        return rc;
    if (!scheme_of(&scheme, CV_TEXT_PK_ED25519, kind))
        return CV_ERR_INVALID;
    return cv_public_key_parse(out, scheme, CV_BYTES(payload, n));
}

void cv_signature_format(char out[CV_SIG_TEXT_SIZE], const struct cv_signature *sig, bool generic)
{
    enum cv_text_kind kind = kind_of(CV_TEXT_SIG_ED25519, sig->scheme);
    if (generic && sig->scheme != CV_SCHEME_BLS)
        kind = CV_TEXT_SIG_GENERIC;
    format(out, CV_SIG_TEXT_SIZE, kind, sig->p, sig->n);
}

int cv_signature_from_text(struct cv_signature *out, enum cv_scheme expected, struct cv_bytes text)
{
    uint8_t payload[CV_TEXT_PAYLOAD_MAX];
    enum cv_text_kind kind;
    enum cv_scheme scheme;
    size_t n;
    int rc = cv_text_parse(&kind, payload, &n, text);
    if (rc != 0)
        return rc;
    if (kind == CV_TEXT_SIG_GENERIC) {
        if (expected == CV_SCHEME_BLS)
            return CV_ERR_INVALID;
    } else if (!scheme_of(&scheme, CV_TEXT_SIG_ED25519, kind) || scheme != expected) {
        return CV_ERR_INVALID;
    }
    memset(out, 0, sizeof(*out));
    out->scheme = expected;
    out->n = n;
    memcpy(out->p, payload, n);
    return 0;
}

/* BLsk holds the scalar little-endian; we hold scalars big-endian. */
static void reverse(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        uint8_t t = p[i];
        p[i] = p[n - 1 - i];
        p[n - 1 - i] = t;
    }
}

/* PAYLOAD is seed || public key; the second half must belong to the first. */
static int check_long_edsk(const uint8_t payload[64])
{
    CV_SIGNING_KEY_AUTO struct cv_signing_key key;
    int rc = cv_signing_key_init(&key, CV_SCHEME_ED25519, payload);
    if (rc == 0 && !cv_equal_ct(key.public_key.p, payload + 32, 32))
        rc = CV_ERR_INVALID;
    return rc;
}

/* PAYLOAD of KIND as 32 bytes at its start. */
static int take_secret(uint8_t *payload, enum cv_scheme *scheme, enum cv_text_kind kind)
{
    if (scheme_of(scheme, CV_TEXT_ESK_ED25519, kind))
        return CV_ERR_UNSUPPORTED;
    if (kind == CV_TEXT_SK_ED25519) {
        *scheme = CV_SCHEME_ED25519;
        return check_long_edsk(payload);
    }
    if (!scheme_of(scheme, CV_TEXT_SK_ED25519_SEED, kind))
        return CV_ERR_INVALID;
    if (*scheme == CV_SCHEME_BLS)
        reverse(payload, CV_PRIVATE_KEY_LEN);
    return cv_private_key_check(*scheme, payload);
}

int cv_secret_key_from_text(struct cv_secret *out, enum cv_scheme *scheme, struct cv_bytes text)
{
    uint8_t payload[CV_TEXT_PAYLOAD_MAX];
    enum cv_text_kind kind;
    size_t n;
    int rc = cv_text_parse(&kind, payload, &n, text);
    if (rc == 0)
        rc = take_secret(payload, scheme, kind);
    if (rc == 0)
        rc = cv_secret_copy(out, payload, CV_PRIVATE_KEY_LEN);
    cv_wipe(payload, sizeof(payload));
    return rc;
}

int cv_secret_key_to_text(struct cv_secret *out, enum cv_scheme scheme,
                          const uint8_t key[CV_PRIVATE_KEY_LEN])
{
    uint8_t payload[CV_PRIVATE_KEY_LEN];
    char text[CV_BASE58_TEXT_MAX];
    int rc = cv_private_key_check(scheme, key);
    if (rc != 0)
        return rc;
    memcpy(payload, key, sizeof(payload));
    if (scheme == CV_SCHEME_BLS)
        reverse(payload, sizeof(payload));
    rc = cv_text_format(text, sizeof(text), kind_of(CV_TEXT_SK_ED25519_SEED, scheme),
                        CV_BYTES(payload, sizeof(payload)));
    if (rc == 0)
        rc = cv_secret_copy(out, text, strlen(text));
    cv_wipe(payload, sizeof(payload));
    cv_wipe(text, sizeof(text));
    return rc;
}
