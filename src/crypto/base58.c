/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both directions work on limbs: five digits of base 58 at a time (58^5 <
 * 2^32), 32 bits at a time. Encoding adds up multiples of the powers of 2^32,
 * which are kept in base 58^5: multiplications that do not wait for each other,
 * and carries only where the sums would become too large.
 */
#include "crypto/base58.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "crypto/sha.h"

#define CHECKSUM 4
#define INPUT_MAX (CV_BASE58_PAYLOAD_MAX + CHECKSUM)
#define DIGITS_PER_LIMB 5
#define LIMB_58 656356768u /* 58^5 */
#define LIMBS_58 (CV_BASE58_TEXT_MAX / DIGITS_PER_LIMB + 1)
#define LIMBS_32 (INPUT_MAX / 4 + 2)
#define WORDS (INPUT_MAX / 4)
/* A word times a limb is below 2^61.3: six of them and a carry fit 64 bits. */
#define SUMMANDS 6

static_assert(INPUT_MAX % 4 == 0, "whole words");

static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/* Value of each character plus one; 0 for what is not in the alphabet. */
static const uint8_t values[128] = {
    ['1'] = 1,  ['2'] = 2,  ['3'] = 3,  ['4'] = 4,  ['5'] = 5,  ['6'] = 6,  ['7'] = 7,  ['8'] = 8,
    ['9'] = 9,  ['A'] = 10, ['B'] = 11, ['C'] = 12, ['D'] = 13, ['E'] = 14, ['F'] = 15, ['G'] = 16,
    ['H'] = 17, ['J'] = 18, ['K'] = 19, ['L'] = 20, ['M'] = 21, ['N'] = 22, ['P'] = 23, ['Q'] = 24,
    ['R'] = 25, ['S'] = 26, ['T'] = 27, ['U'] = 28, ['V'] = 29, ['W'] = 30, ['X'] = 31, ['Y'] = 32,
    ['Z'] = 33, ['a'] = 34, ['b'] = 35, ['c'] = 36, ['d'] = 37, ['e'] = 38, ['f'] = 39, ['g'] = 40,
    ['h'] = 41, ['i'] = 42, ['j'] = 43, ['k'] = 44, ['m'] = 45, ['n'] = 46, ['o'] = 47, ['p'] = 48,
    ['q'] = 49, ['r'] = 50, ['s'] = 51, ['t'] = 52, ['u'] = 53, ['v'] = 54, ['w'] = 55, ['x'] = 56,
    ['y'] = 57, ['z'] = 58,
};

static void checksum(uint8_t out[CHECKSUM], struct cv_bytes payload)
{
    uint8_t digest[CV_SHA256_LEN];
    cv_sha256(digest, payload);
    cv_sha256(digest, CV_BYTES(digest, sizeof(digest)));
    memcpy(out, digest, CHECKSUM);
}

/* powers.limb[i] is 2^(32 i), little-endian limbs of base 58^5. */
static struct {
    uint32_t limb[WORDS][LIMBS_58];
    size_t used[WORDS];
} powers;
static pthread_once_t powers_made = PTHREAD_ONCE_INIT;

static void make_powers(void)
{
    powers.limb[0][0] = 1;
    powers.used[0] = 1;
    for (size_t i = 1; i < WORDS; i++) {
        uint64_t carry = 0;
        size_t n = 0;
        for (; n < powers.used[i - 1] || carry > 0; n++) {
            carry += (uint64_t)powers.limb[i - 1][n] << 32;
            powers.limb[i][n] = (uint32_t)(carry % LIMB_58);
            carry /= LIMB_58;
        }
        powers.used[i] = n;
    }
}

/* Each sum below 58^5 plus what the one before it had too much: 2^35. */
static void carry_over(uint64_t *sums, size_t n)
{
    uint64_t before = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t much = sums[i] / LIMB_58;
        sums[i] = sums[i] % LIMB_58 + before;
        before = much;
    }
    sums[n] += before;
}

/* The N bytes at IN, big-endian, as limbs, little-endian. Returns how many. */
static size_t to_limbs(uint32_t limbs[static LIMBS_58], const uint8_t *in, size_t n)
{
    CV_UNINITIALIZED uint64_t sums[LIMBS_58 + 1];
    size_t used = n > 0 ? powers.used[(n - 1) / 4] : 0;
    const size_t room = (used + 1) * sizeof(sums[0]);
    memset(sums, 0, room);
    for (size_t i = 0; n > 0; i++) {
        uint32_t word = 0;
        size_t bytes = n < 4 ? n : 4;
        for (size_t k = 0; k < bytes; k++)
            word |= (uint32_t)in[n - 1 - k] << 8 * k;
        n -= bytes;
        used = powers.used[i];
        for (size_t k = 0; k < used; k++)
            sums[k] += (uint64_t)word * powers.limb[i][k];
        if (i % SUMMANDS == SUMMANDS - 1)
            carry_over(sums, used);
    }
    uint64_t carry = 0;
    for (size_t i = 0; i < used; i++) {
        carry += sums[i];
        limbs[i] = (uint32_t)(carry % LIMB_58);
        carry /= LIMB_58;
    }
    carry += sums[used];
    while (carry > 0) {
        limbs[used++] = (uint32_t)(carry % LIMB_58);
        carry /= LIMB_58;
    }
    cv_wipe(sums, room);
    return used;
}

/* Digits of a limb, with leading zeros. */
static void write_limb(char out[static DIGITS_PER_LIMB], uint32_t v)
{
    for (int j = DIGITS_PER_LIMB - 1; j >= 0; j--) {
        out[j] = alphabet[v % 58];
        v /= 58;
    }
}

static size_t digits_of(uint32_t v)
{
    size_t n = 0;
    for (; v > 0; v /= 58)
        n++;
    return n;
}

int cv_base58check_encode(char *out, size_t size, struct cv_bytes payload)
{
    CV_UNINITIALIZED uint8_t in[INPUT_MAX];
    CV_UNINITIALIZED uint32_t limbs[LIMBS_58];
    char first[DIGITS_PER_LIMB];
    if (payload.n > CV_BASE58_PAYLOAD_MAX)
        return CV_ERR_LIMIT;
    pthread_once(&powers_made, make_powers);
    if (payload.n > 0)
        memcpy(in, payload.p, payload.n);
    checksum(in + payload.n, payload);
    size_t len = payload.n + CHECKSUM, zeros = 0;
    while (zeros < len && in[zeros] == 0)
        zeros++;
    size_t used = to_limbs(limbs, in, len);
    while (used > 0 && limbs[used - 1] == 0)
        used--;
    size_t top = used > 0 ? digits_of(limbs[used - 1]) : 0;
    size_t n = zeros + top + (used > 0 ? (used - 1) * DIGITS_PER_LIMB : 0);
    int rc = n < size ? 0 : CV_ERR_LIMIT;
    if (rc == 0) {
        memset(out, '1', zeros);
        char *at = out + zeros;
        if (used > 0) {
            write_limb(first, limbs[used - 1]);
            memcpy(at, first + DIGITS_PER_LIMB - top, top);
            at += top;
        }
        for (size_t i = used > 0 ? used - 1 : 0; i-- > 0; at += DIGITS_PER_LIMB)
            write_limb(at, limbs[i]);
        *at = '\0';
    }
    cv_wipe(in, len);
    cv_wipe(limbs, sizeof(limbs));
    cv_wipe(first, sizeof(first));
    return rc;
}

/* limbs = limbs * MUL + ADD, little-endian limbs of base 2^32; 0 used limbs
 * mean zero. False when it would not fit. */
static bool mul_add_32(uint32_t *limbs, size_t *used, uint32_t mul, uint32_t add)
{
    uint64_t carry = add;
    for (size_t i = 0; i < *used; i++) {
        carry += (uint64_t)limbs[i] * mul;
        limbs[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry > 0) {
        if (*used == LIMBS_32)
            return false;
        limbs[(*used)++] = (uint32_t)carry;
    }
    return true;
}

/* All characters of TEXT from FROM on into the limbs. */
static int digits_to_limbs(uint32_t *limbs, size_t *used, struct cv_bytes text, size_t from)
{
    for (size_t at = from; at < text.n;) {
        uint32_t mul = 1, add = 0;
        for (int j = 0; j < DIGITS_PER_LIMB && at < text.n; j++, at++) {
            uint8_t c = text.p[at];
            if (c >= sizeof(values) || values[c] == 0)
                return CV_ERR_INVALID;
            add = add * 58 + values[c] - 1u;
            mul *= 58;
        }
        if (!mul_add_32(limbs, used, mul, add))
            return CV_ERR_LIMIT;
    }
    return 0;
}

int cv_base58check_decode(uint8_t *out, size_t cap, size_t *n, struct cv_bytes text)
{
    uint32_t limbs[LIMBS_32];
    uint8_t bytes[LIMBS_32 * 4 + CV_BASE58_TEXT_MAX];
    uint8_t sum[CHECKSUM];
    size_t used = 0, zeros = 0, len;
    if (text.n >= CV_BASE58_TEXT_MAX)
        return CV_ERR_LIMIT;
    while (zeros < text.n && text.p[zeros] == '1')
        zeros++;
    int rc = digits_to_limbs(limbs, &used, text, zeros);
    if (rc != 0)
        goto out;

    memset(bytes, 0, zeros);
    len = zeros;
    for (size_t i = used; i-- > 0;) {
        for (int shift = 24; shift >= 0; shift -= 8) {
            uint8_t b = (uint8_t)(limbs[i] >> shift);
            if (len > zeros || b != 0)
                bytes[len++] = b;
        }
    }
    if (len < CHECKSUM) {
        rc = CV_ERR_INVALID;
        goto out;
    }
    len -= CHECKSUM;
    checksum(sum, CV_BYTES(bytes, len));
    if (!cv_equal_ct(sum, bytes + len, CHECKSUM)) {
        rc = CV_ERR_CRYPTO;
    } else if (len > cap || len > CV_BASE58_PAYLOAD_MAX) {
        rc = CV_ERR_LIMIT;
    } else {
        memcpy(out, bytes, len);
        *n = len;
    }
out:
    cv_wipe(limbs, sizeof(limbs));
    cv_wipe(bytes, sizeof(bytes));
    return rc;
}
