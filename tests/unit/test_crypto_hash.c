/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b (RFC 7693), SHA-2 (FIPS 180-4), HMAC (RFC 4231), HKDF (RFC 5869). */
#include "unit/cv_test.h"
#include "unit/from_hex.h"

#include "common/bytes.h"
#include "crypto/blake2b.h"
#include "crypto/hkdf.h"
#include "crypto/sha.h"

static void blake2b(void **state)
{
    (void)state;
    uint8_t out[64];
    /* RFC 7693 appendix A; the shorter ones by Python's hashlib. */
    cv_blake2b(out, 64, CV_BYTES_LIT("abc"));
    assert_hex(out, 64,
               "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
               "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
    cv_blake2b_256(out, CV_BYTES(NULL, 0));
    assert_hex(out, 32, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    cv_blake2b_256(out, CV_BYTES_LIT("abc"));
    assert_hex(out, 32, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
    cv_blake2b_160(out, CV_BYTES_LIT("abc"));
    assert_hex(out, 20, "384264f676f39536840523f284921cdc68b6846b");
}

static void sha2(void **state)
{
    (void)state;
    uint8_t out[64];
    cv_sha256(out, CV_BYTES_LIT("abc"));
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    cv_sha256(out, CV_BYTES(NULL, 0));
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    cv_sha384(out, CV_BYTES_LIT("abc"));
    assert_hex(out, 48,
               "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
               "8086072ba1e7cc2358baeca134c825a7");
    cv_sha512(out, CV_BYTES_LIT("abc"));
    assert_hex(out, 64,
               "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
               "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

/* In pieces of every size the result is the same as at once. */
static void pieces(void **state)
{
    (void)state;
    uint8_t data[300], once[48], parts[48];
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    for (size_t step = 1; step < sizeof(data); step++) {
        struct cv_sha256_ctx c256;
        struct cv_sha384_ctx c384;
        cv_sha256_init(&c256);
        cv_sha384_init(&c384);
        for (size_t at = 0; at < sizeof(data); at += step) {
            size_t n = sizeof(data) - at < step ? sizeof(data) - at : step;
            cv_sha256_update(&c256, CV_BYTES(data + at, n));
            cv_sha384_update(&c384, CV_BYTES(data + at, n));
        }
        cv_sha256(once, CV_BYTES(data, sizeof(data)));
        cv_sha256_final(&c256, parts);
        assert_memory_equal(once, parts, 32);
        cv_sha384(once, CV_BYTES(data, sizeof(data)));
        cv_sha384_final(&c384, parts);
        assert_memory_equal(once, parts, 48);
    }
}

static void hmac(void **state)
{
    (void)state;
    uint8_t out[32], key[131];
    cv_hmac_sha256(out, CV_BYTES_LIT("Jefe"), CV_BYTES_LIT("what do ya want for nothing?"));
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof(key));
    cv_hmac_sha256(out, CV_BYTES(key, sizeof(key)),
                   CV_BYTES_LIT("Test Using Larger Than Block-Size Key - Hash Key First"));
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

static void hkdf(void **state)
{
    (void)state;
    uint8_t ikm[80], salt[80], info[80], out[82];
    memset(ikm, 0x0b, 22);
    for (uint8_t i = 0; i < 13; i++)
        salt[i] = i;
    for (uint8_t i = 0; i < 10; i++)
        info[i] = (uint8_t)(0xf0 + i);
    /* RFC 5869 A.1 and A.3 */
    assert_int_equal(
        cv_hkdf_sha256(out, 42, CV_BYTES(ikm, 22), CV_BYTES(salt, 13), CV_BYTES(info, 10)), 0);
    assert_hex(
        out, 42,
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
    assert_int_equal(
        cv_hkdf_sha256(out, 42, CV_BYTES(ikm, 22), CV_BYTES(NULL, 0), CV_BYTES(NULL, 0)), 0);
    assert_hex(
        out, 42,
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
    /* The same inputs under SHA-512, by Python's hmac. */
    assert_int_equal(
        cv_hkdf_sha512(out, 82, CV_BYTES(ikm, 22), CV_BYTES(salt, 13), CV_BYTES(info, 10)), 0);
    assert_hex(
        out, 82,
        "832390086cda71fb47625bb5ceb168e4c8e26a1a16ed34d9fc7fe92c1481579338da362cb8d9f925d7cb"
        "cce0dff7098769cf15959867d571c1715450cb530137be3fb62f3cf32b84feba8f1eb1b563e20d97");
    assert_int_equal(
        cv_hkdf_sha512(out, 42, CV_BYTES(ikm, 22), CV_BYTES(NULL, 0), CV_BYTES(NULL, 0)), 0);
    assert_hex(
        out, 42,
        "f5fa02b18298a72a8c23898a8703472c6eb179dc204c03425c970e3b164bf90fff22d04836d0e2343bac");
    /* RFC 5869 A.2 */
    for (uint8_t i = 0; i < 80; i++) {
        ikm[i] = i;
        salt[i] = (uint8_t)(0x60 + i);
        info[i] = (uint8_t)(0xb0 + i);
    }
    assert_int_equal(
        cv_hkdf_sha256(out, 82, CV_BYTES(ikm, 80), CV_BYTES(salt, 80), CV_BYTES(info, 80)), 0);
    assert_hex(
        out, 82,
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb"
        "41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87");
}

static void hkdf_limit(void **state)
{
    (void)state;
    static uint8_t out[255 * 64 + 1];
    struct cv_bytes none = CV_BYTES(NULL, 0);
    assert_int_equal(cv_hkdf_sha512(out, 255 * 64, CV_BYTES_LIT("k"), none, none), 0);
    assert_int_equal(cv_hkdf_sha512(out, 255 * 64 + 1, CV_BYTES_LIT("k"), none, none),
                     CV_ERR_LIMIT);
    assert_int_equal(cv_hkdf_sha256(out, 255 * 32 + 1, CV_BYTES_LIT("k"), none, none),
                     CV_ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blake2b), cmocka_unit_test(sha2), cmocka_unit_test(pieces),
        cmocka_unit_test(hmac),    cmocka_unit_test(hkdf), cmocka_unit_test(hkdf_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
