/* SPDX-License-Identifier: Apache-2.0 */
/* The table of base58check prefixes, and both directions over it. */
#include <string.h>

#include "tezos/keytext.h"

#define PREFIX_MAX 5

struct kind {
    uint8_t prefix[PREFIX_MAX];
    uint8_t prefix_len;
    uint8_t payload_len;
};

#define KIND(len, ...)                                               \
    {                                                                \
        {__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), (len) \
    }

static const struct kind kinds[CV_TEXT_KIND_COUNT] = {
    [CV_TEXT_PKH_ED25519] = KIND(20, 6, 161, 159),
    [CV_TEXT_PKH_SECP256K1] = KIND(20, 6, 161, 161),
    [CV_TEXT_PKH_P256] = KIND(20, 6, 161, 164),
    [CV_TEXT_PKH_BLS] = KIND(20, 6, 161, 166),
    [CV_TEXT_PK_ED25519] = KIND(32, 13, 15, 37, 217),
    [CV_TEXT_PK_SECP256K1] = KIND(33, 3, 254, 226, 86),
    [CV_TEXT_PK_P256] = KIND(33, 3, 178, 139, 127),
    [CV_TEXT_PK_BLS] = KIND(48, 6, 149, 135, 204),
    [CV_TEXT_SK_ED25519_SEED] = KIND(32, 13, 15, 58, 7),
    [CV_TEXT_SK_SECP256K1] = KIND(32, 17, 162, 224, 201),
    [CV_TEXT_SK_P256] = KIND(32, 16, 81, 238, 189),
    [CV_TEXT_SK_BLS] = KIND(32, 3, 150, 192, 40),
    [CV_TEXT_SK_ED25519] = KIND(64, 43, 246, 78, 7),
    [CV_TEXT_ESK_ED25519] = KIND(56, 7, 90, 60, 179, 41),
    [CV_TEXT_ESK_SECP256K1] = KIND(56, 9, 237, 241, 174, 150),
    [CV_TEXT_ESK_P256] = KIND(56, 9, 48, 57, 115, 171),
    [CV_TEXT_ESK_BLS] = KIND(56, 2, 5, 30, 53, 25),
    [CV_TEXT_SIG_ED25519] = KIND(64, 9, 245, 205, 134, 18),
    [CV_TEXT_SIG_SECP256K1] = KIND(64, 13, 115, 101, 19, 63),
    [CV_TEXT_SIG_P256] = KIND(64, 54, 240, 44, 52),
    [CV_TEXT_SIG_BLS] = KIND(96, 40, 171, 64, 207),
    [CV_TEXT_SIG_GENERIC] = KIND(64, 4, 130, 43),
    [CV_TEXT_CONTRACT] = KIND(20, 2, 90, 121),
    [CV_TEXT_SMART_ROLLUP] = KIND(20, 6, 124, 117),
    [CV_TEXT_ZK_ROLLUP] = KIND(20, 1, 23, 224, 125),
    [CV_TEXT_CHAIN_ID] = KIND(4, 87, 82, 0),
    [CV_TEXT_BLOCK_HASH] = KIND(32, 1, 52),
    [CV_TEXT_OPERATION_HASH] = KIND(32, 5, 116),
    [CV_TEXT_PAYLOAD_HASH] = KIND(32, 1, 106, 242),
    [CV_TEXT_PROTOCOL_HASH] = KIND(32, 2, 170),
    [CV_TEXT_OPERATION_LIST_HASH] = KIND(32, 133, 233),
    [CV_TEXT_OPERATION_LIST_LIST_HASH] = KIND(32, 29, 159, 109),
    [CV_TEXT_CONTEXT_HASH] = KIND(32, 79, 199),
    [CV_TEXT_SR_STATE_HASH] = KIND(32, 17, 165, 235, 240),
    [CV_TEXT_SR_COMMITMENT_HASH] = KIND(32, 17, 165, 134, 138),
    [CV_TEXT_SCRIPT_EXPR_HASH] = KIND(32, 13, 44, 64, 27),
    [CV_TEXT_NONCE_HASH] = KIND(32, 69, 220, 169),
    [CV_TEXT_DAL_COMMITMENT] = KIND(48, 2, 116, 180),
};

size_t cv_text_payload_len(enum cv_text_kind kind)
{
    return kinds[kind].payload_len;
}

int cv_text_format(char *out, size_t size, enum cv_text_kind kind, struct cv_bytes payload)
{
    const struct kind *k = &kinds[kind];
    uint8_t buf[PREFIX_MAX + CV_TEXT_PAYLOAD_MAX];
    if (payload.n != k->payload_len)
        return CV_ERR_INVALID;
    memcpy(buf, k->prefix, k->prefix_len);
    memcpy(buf + k->prefix_len, payload.p, payload.n);
    int rc = cv_base58check_encode(out, size, CV_BYTES(buf, k->prefix_len + payload.n));
    cv_wipe(buf, sizeof(buf));
    return rc;
}

int cv_text_parse(enum cv_text_kind *kind, uint8_t out[CV_TEXT_PAYLOAD_MAX], size_t *n,
                  struct cv_bytes text)
{
    uint8_t buf[CV_BASE58_PAYLOAD_MAX];
    size_t len;
    int rc = cv_base58check_decode(buf, sizeof(buf), &len, text);
    if (rc == CV_ERR_LIMIT)
        rc = CV_ERR_INVALID; /* longer than anything we know */
    if (rc != 0)
        return rc;
    rc = CV_ERR_INVALID;
    for (unsigned i = 0; i < CV_TEXT_KIND_COUNT && rc != 0; i++) {
        const struct kind *k = &kinds[i];
        if (len != (size_t)k->prefix_len + k->payload_len ||
            memcmp(buf, k->prefix, k->prefix_len) != 0)
            continue;
        *kind = (enum cv_text_kind)i;
        *n = k->payload_len;
        memcpy(out, buf + k->prefix_len, k->payload_len);
        rc = 0;
    }
    cv_wipe(buf, sizeof(buf));
    return rc;
}
