/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/hpke.h"

#include <sodium.h>
#include <string.h>

#include "common/secret.h"
#include "crypto/sha.h"

#define NONCE_LEN 12
#define CONTEXT_LEN (1 + 2 * CV_SHA256_LEN)

/* suite_id of the KEM (RFC 9180 section 4.1) and of HPKE (section 5.1). */
static const uint8_t kem_suite[] = {'K', 'E', 'M', 0x00, 0x20};
static const uint8_t hpke_suite[] = {'H', 'P', 'K', 'E', 0x00, 0x20, 0x00, 0x01, 0x00, 0x03};
#define KEM CV_BYTES(kem_suite, sizeof kem_suite)
#define HPKE CV_BYTES(hpke_suite, sizeof hpke_suite)
#define NOTHING CV_BYTES(NULL, 0)

struct keys {
    uint8_t key[32];
    uint8_t nonce[NONCE_LEN];
};

static void update(struct cv_hmac_sha256_ctx *ctx, struct cv_bytes b)
{
    if (b.n > 0)
        cv_hmac_sha256_update(ctx, b);
}

/* LabeledExtract: HMAC(salt, "HPKE-v1" || suite_id || label || ikm). */
static void extract(uint8_t out[CV_SHA256_LEN], struct cv_bytes suite, struct cv_bytes salt,
                    const char *label, struct cv_bytes ikm)
{
    struct cv_hmac_sha256_ctx ctx;

    cv_hmac_sha256_init(&ctx, salt);
    update(&ctx, CV_BYTES_LIT("HPKE-v1"));
    update(&ctx, suite);
    update(&ctx, cv_bytes_str(label));
    update(&ctx, ikm);
    cv_hmac_sha256_final(&ctx, out);
}

/* LabeledExpand of at most one block: HMAC(prk, I2OSP(L, 2) || "HPKE-v1" ||
 * suite_id || label || info || 0x01). */
static void expand(uint8_t *out, size_t n, struct cv_bytes suite, const uint8_t prk[CV_SHA256_LEN],
                   const char *label, struct cv_bytes info)
{
    const uint8_t length[2] = {0, (uint8_t)n}, counter[1] = {1};
    uint8_t block[CV_SHA256_LEN];
    struct cv_hmac_sha256_ctx ctx;

    cv_hmac_sha256_init(&ctx, CV_BYTES(prk, CV_SHA256_LEN));
    update(&ctx, CV_BYTES(length, sizeof length));
    update(&ctx, CV_BYTES_LIT("HPKE-v1"));
    update(&ctx, suite);
    update(&ctx, cv_bytes_str(label));
    update(&ctx, info);
    update(&ctx, CV_BYTES(counter, sizeof counter));
    cv_hmac_sha256_final(&ctx, block);
    memcpy(out, block, n);
    cv_wipe(block, sizeof block);
}

/* Section 4.1: the shared secret of a Diffie-Hellman result. */
static void kem_secret(uint8_t out[CV_SHA256_LEN], const uint8_t dh[32], const uint8_t enc[32],
                       const uint8_t recipient[32])
{
    uint8_t context[64], prk[CV_SHA256_LEN];

    memcpy(context, enc, 32);
    memcpy(context + 32, recipient, 32);
    extract(prk, KEM, NOTHING, "eae_prk", CV_BYTES(dh, 32));
    expand(out, CV_SHA256_LEN, KEM, prk, "shared_secret", CV_BYTES(context, sizeof context));
    cv_wipe(prk, sizeof prk);
}

/* Section 5.1, mode base. */
static void schedule(struct keys *out, const uint8_t shared[CV_SHA256_LEN], struct cv_bytes info)
{
    uint8_t context[CONTEXT_LEN] = {0}, secret[CV_SHA256_LEN];
    const struct cv_bytes view = CV_BYTES(context, sizeof context);

    extract(context + 1, HPKE, NOTHING, "psk_id_hash", NOTHING);
    extract(context + 1 + CV_SHA256_LEN, HPKE, NOTHING, "info_hash", info);
    extract(secret, HPKE, CV_BYTES(shared, CV_SHA256_LEN), "secret", NOTHING);
    expand(out->key, sizeof out->key, HPKE, secret, "key", view);
    expand(out->nonce, sizeof out->nonce, HPKE, secret, "base_nonce", view);
    cv_wipe(secret, sizeof secret);
}

/* The keys of a message between OWN and PEER; CV_ERR_INVALID when the shared
 * point is the neutral one (section 7.1.4). */
static int agree(struct keys *out, const uint8_t own[32], const uint8_t peer[32],
                 const uint8_t enc[32], const uint8_t recipient[32], struct cv_bytes info)
{
    uint8_t dh[32], shared[CV_SHA256_LEN];

    if (crypto_scalarmult_curve25519(dh, own, peer) != 0) {
        cv_wipe(dh, sizeof dh);
        return CV_ERR_INVALID;
    }
    kem_secret(shared, dh, enc, recipient);
    schedule(out, shared, info);
    cv_wipe(dh, sizeof dh);
    cv_wipe(shared, sizeof shared);
    return 0;
}

int cv_hpke_keypair(uint8_t private_key[CV_HPKE_KEY_LEN], uint8_t public_key[CV_HPKE_KEY_LEN],
                    const struct cv_random_source *source)
{
    if (source == NULL) {
        cv_random(private_key, CV_HPKE_KEY_LEN);
    } else {
        int rc = source->fill(source->ctx, private_key, CV_HPKE_KEY_LEN);
        if (rc != 0)
            return rc;
    }
    return crypto_scalarmult_curve25519_base(public_key, private_key) == 0 ? 0 : CV_ERR_CRYPTO;
}

int cv_hpke_seal(uint8_t enc[CV_HPKE_KEY_LEN], uint8_t *out,
                 const uint8_t public_key[CV_HPKE_KEY_LEN], struct cv_bytes info,
                 struct cv_bytes aad, struct cv_bytes in, const struct cv_random_source *source)
{
    uint8_t ephemeral[CV_HPKE_KEY_LEN];
    struct keys k;

    if (in.n > CV_HPKE_MESSAGE_MAX)
        return CV_ERR_LIMIT;
    int rc = cv_hpke_keypair(ephemeral, enc, source);
    if (rc == 0)
        rc = agree(&k, ephemeral, public_key, enc, public_key, info);
    cv_wipe(ephemeral, sizeof ephemeral);
    if (rc != 0)
        return rc;
    (void)crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in.p, in.n, aad.p, aad.n, NULL,
                                                    k.nonce, k.key);
    cv_wipe(&k, sizeof k);
    return 0;
}

int cv_hpke_open(uint8_t *out, const uint8_t private_key[CV_HPKE_KEY_LEN],
                 const uint8_t enc[CV_HPKE_KEY_LEN], struct cv_bytes info, struct cv_bytes aad,
                 struct cv_bytes in)
{
    uint8_t public_key[CV_HPKE_KEY_LEN];
    struct keys k;

    if (in.n < CV_HPKE_TAG_LEN)
        return CV_ERR_TRUNCATED;
    if (in.n > CV_HPKE_MESSAGE_MAX + CV_HPKE_TAG_LEN)
        return CV_ERR_LIMIT;
    if (crypto_scalarmult_curve25519_base(public_key, private_key) != 0 ||
        agree(&k, private_key, enc, enc, public_key, info) != 0)
        return CV_ERR_CRYPTO;
    int rc = crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in.p, in.n, aad.p, aad.n,
                                                       k.nonce, k.key);
    cv_wipe(&k, sizeof k);
    if (rc == 0)
        return 0;
    cv_wipe(out, in.n - CV_HPKE_TAG_LEN);
    return CV_ERR_CRYPTO;
}
