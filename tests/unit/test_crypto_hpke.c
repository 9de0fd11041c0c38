/* SPDX-License-Identifier: Apache-2.0 */
/* HPKE against RFC 9180 appendix A.2.1, and every change of what was sealed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"
#include "crypto/hpke.h"

#define INFO "4f6465206f6e2061204772656369616e2055726e"
#define AAD "436f756e742d30"
#define PLAIN "4265617574792069732074727574682c20747275746820626561757479"
#define SK_EPHEMERAL "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600"
#define ENC "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"
#define PK_RECIPIENT "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a"
#define SK_RECIPIENT "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb"
#define CIPHER \
    "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28"

struct hex {
    uint8_t p[64];
    size_t n;
};

static struct hex from(const char *text)
{
    struct hex h = {.n = 0};

    assert_int_equal(cv_hex_decode(h.p, sizeof h.p, &h.n, cv_bytes_str(text)), 0);
    return h;
}
#define VIEW(h) CV_BYTES((h).p, (h).n)

static int fixed(void *ctx, void *out, size_t n)
{
    memcpy(out, ctx, n);
    return 0;
}

static int failing(void *ctx, void *out, size_t n)
{
    (void)ctx, (void)out, (void)n;
    return CV_ERR_IO;
}

static void rfc_vector(void **state)
{
    struct hex ephemeral = from(SK_EPHEMERAL), pk = from(PK_RECIPIENT), sk = from(SK_RECIPIENT),
               info = from(INFO), aad = from(AAD), plain = from(PLAIN), enc = from(ENC),
               cipher = from(CIPHER);
    const struct cv_random_source source = {fixed, ephemeral.p};
    uint8_t got_enc[32], out[64], got_pk[32], got_sk[32];

    (void)state;
    assert_int_equal(cv_hpke_seal(got_enc, out, pk.p, VIEW(info), VIEW(aad), VIEW(plain), &source),
                     0);
    assert_memory_equal(got_enc, enc.p, 32);
    assert_int_equal(cipher.n, plain.n + CV_HPKE_TAG_LEN);
    assert_memory_equal(out, cipher.p, cipher.n);
    assert_int_equal(cv_hpke_open(out, sk.p, enc.p, VIEW(info), VIEW(aad), VIEW(cipher)), 0);
    assert_memory_equal(out, plain.p, plain.n);
    const struct cv_random_source recipient = {fixed, sk.p};
    assert_int_equal(cv_hpke_keypair(got_sk, got_pk, &recipient), 0);
    assert_memory_equal(got_pk, pk.p, 32);
}

static void changes_are_found(void **state)
{
    struct hex sk = from(SK_RECIPIENT), info = from(INFO), aad = from(AAD), enc = from(ENC),
               cipher = from(CIPHER);
    struct hex *const parts[] = {&sk, &info, &aad, &enc, &cipher};
    uint8_t out[64], zeros[64] = {0};

    (void)state;
    for (size_t part = 0; part < 5; part++) {
        for (size_t bit = 0; bit < 8 * parts[part]->n; bit++) {
            /* X25519 leaves out five bits of a scalar, and one of a point. */
            bool ignored =
                (part == 0 && (bit < 3 || bit == 254 || bit == 255)) || (part == 3 && bit == 255);
            parts[part]->p[bit / 8] ^= (uint8_t)(1U << bit % 8);
            memset(out, 0xAA, sizeof out);
            int rc = cv_hpke_open(out, sk.p, enc.p, VIEW(info), VIEW(aad), VIEW(cipher));
            if (rc != CV_ERR_CRYPTO && !(part == 0 && ignored))
                fail_msg("part %zu, bit %zu: %d", part, bit, rc);
            if (rc != 0)
                assert_memory_equal(out, zeros, cipher.n - CV_HPKE_TAG_LEN);
            parts[part]->p[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
    }
    for (size_t n = 0; n < cipher.n; n++)
        assert_int_equal(
            cv_hpke_open(out, sk.p, enc.p, VIEW(info), VIEW(aad), CV_BYTES(cipher.p, n)),
            n < CV_HPKE_TAG_LEN ? CV_ERR_TRUNCATED : CV_ERR_CRYPTO);
}

static void round_trips(void **state)
{
    uint8_t sk[32], pk[32], enc[32], other[32], in[300], sealed[316], out[300];

    (void)state;
    assert_int_equal(cv_hpke_keypair(sk, pk, NULL), 0);
    for (size_t n = 0; n <= sizeof in; n += 50) {
        memset(in, (int)n, sizeof in);
        assert_int_equal(cv_hpke_seal(enc, sealed, pk, CV_BYTES(NULL, 0), CV_BYTES(NULL, 0),
                                      CV_BYTES(in, n), NULL),
                         0);
        assert_int_equal(cv_hpke_open(out, sk, enc, CV_BYTES(NULL, 0), CV_BYTES(NULL, 0),
                                      CV_BYTES(sealed, n + 16)),
                         0);
        assert_memory_equal(out, in, n);
        assert_int_equal(cv_hpke_seal(other, sealed, pk, CV_BYTES(NULL, 0), CV_BYTES(NULL, 0),
                                      CV_BYTES(in, n), NULL),
                         0);
        assert_memory_not_equal(enc, other, 32);
    }
}

static void refusals(void **state)
{
    static const uint8_t large[CV_HPKE_MESSAGE_MAX + 17];
    uint8_t zero[32] = {0}, one[32] = {1}, sk[32], pk[32], enc[32], out[64];
    const struct cv_random_source broken = {failing, NULL};

    (void)state;
    assert_int_equal(cv_hpke_keypair(sk, pk, &broken), CV_ERR_IO);
    assert_int_equal(cv_hpke_keypair(sk, pk, NULL), 0);
    assert_int_equal(
        cv_hpke_seal(enc, out, zero, CV_BYTES(NULL, 0), CV_BYTES(NULL, 0), CV_BYTES(NULL, 0), NULL),
        CV_ERR_INVALID);
    assert_int_equal(
        cv_hpke_seal(enc, out, one, CV_BYTES(NULL, 0), CV_BYTES(NULL, 0), CV_BYTES(NULL, 0), NULL),
        CV_ERR_INVALID);
    assert_int_equal(cv_hpke_seal(enc, out, pk, CV_BYTES(NULL, 0), CV_BYTES(NULL, 0),
                                  CV_BYTES(large, sizeof large), NULL),
                     CV_ERR_LIMIT);
    assert_int_equal(
        cv_hpke_open(out, sk, zero, CV_BYTES(NULL, 0), CV_BYTES(NULL, 0), CV_BYTES(large, 32)),
        CV_ERR_CRYPTO);
    assert_int_equal(cv_hpke_open(out, sk, pk, CV_BYTES(NULL, 0), CV_BYTES(NULL, 0),
                                  CV_BYTES(large, sizeof large)),
                     CV_ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_vector),
        cmocka_unit_test(changes_are_found),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
