/* SPDX-License-Identifier: Apache-2.0 */
/* AES-256-GCM: McGrew and Viega's vectors (also in NIST's), and what is refused. */
#include "unit/cv_test.h"
#include "unit/from_hex.h"

#include "crypto/aead.h"
#include "crypto/init.h"

/* Test cases 14 (no AAD) and 16 (AAD) of "The Galois/Counter Mode". */
static void vectors(void **state)
{
    (void)state;
    uint8_t key[32] = {0}, iv[12] = {0}, in[64] = {0}, out[80], back[64], aad[20];
    assert_int_equal(cv_aead_seal(out, key, iv, CV_BYTES(NULL, 0), CV_BYTES(in, 16)), 0);
    assert_hex(out, 32, "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
    assert_int_equal(cv_aead_seal(out, key, iv, CV_BYTES(NULL, 0), CV_BYTES(NULL, 0)), 0);
    assert_hex(out, 16, "530f8afbc74536b9a963b4f1c4cb738b");
    assert_int_equal(cv_aead_open(back, key, iv, CV_BYTES(NULL, 0), CV_BYTES(out, 16)), 0);

    from_hex(key, 32, "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    from_hex(iv, 12, "cafebabefacedbaddecaf888");
    from_hex(in, 64,
             "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
             "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    from_hex(aad, 20, "feedfacedeadbeeffeedfacedeadbeefabaddad2");
    assert_int_equal(cv_aead_seal(out, key, iv, CV_BYTES(aad, 20), CV_BYTES(in, 60)), 0);
    assert_hex(
        out, 76,
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b");
    assert_int_equal(cv_aead_open(back, key, iv, CV_BYTES(aad, 20), CV_BYTES(out, 76)), 0);
    assert_memory_equal(back, in, 60);

    /* no flipped bit anywhere, and no truncation, opens; what was decrypted on
     * the way is gone */
    uint8_t zero[64] = {0};
    for (size_t bit = 0; bit < 76 * 8; bit++) {
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(cv_aead_open(back, key, iv, CV_BYTES(aad, 20), CV_BYTES(out, 76)),
                         CV_ERR_CRYPTO);
        assert_memory_equal(back, zero, 60);
        out[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 20 * 8; bit++) {
        aad[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(cv_aead_open(back, key, iv, CV_BYTES(aad, 20), CV_BYTES(out, 76)),
                         CV_ERR_CRYPTO);
        aad[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t n = 0; n < 76; n++)
        assert_int_equal(cv_aead_open(back, key, iv, CV_BYTES(aad, 20), CV_BYTES(out, n)),
                         n < 16 ? CV_ERR_TRUNCATED : CV_ERR_CRYPTO);
    assert_int_equal(cv_aead_open(back, key, iv, CV_BYTES(NULL, 0), CV_BYTES(out, 76)),
                     CV_ERR_CRYPTO);
    size_t huge = ((size_t)1 << 30) + 17;
    assert_int_equal(cv_aead_open(back, key, iv, CV_BYTES(aad, 20), CV_BYTES(out, huge)),
                     CV_ERR_LIMIT);
    assert_int_equal(cv_aead_seal(back, key, iv, CV_BYTES(aad, 20), CV_BYTES(out, huge)),
                     CV_ERR_LIMIT);
}

static int setup(void **state)
{
    (void)state;
    return cv_crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
