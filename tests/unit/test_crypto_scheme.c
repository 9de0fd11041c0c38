/* SPDX-License-Identifier: Apache-2.0 */
/* Known signatures, key ranges, public keys, generation, and what is refused. */
#include "unit/cv_test.h"
#include "unit/from_hex.h"

#include "crypto/blake2b.h"
#include "crypto/init.h"
#include "crypto/rfc6979.h"
#include "crypto/scheme.h"
#include "crypto/sha.h"
#include "crypto/table.h"

static const char P256_ORDER[] = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
static const char SECP256K1_ORDER[] =
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
static const char BLS_ORDER[] = "73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001";

static void key_from_hex(struct cv_signing_key *key, enum cv_scheme scheme, const char *hex)
{
    uint8_t secret[32];
    assert_int_equal(from_hex(secret, sizeof(secret), hex), 32);
    assert_int_equal(cv_signing_key_init(key, scheme, secret), 0);
}

/* RFC 8032 section 7.1. The scheme signs what it is given; that this is a
 * digest is the business of cv_sign(). */
static void rfc8032(void **state)
{
    (void)state;
    static const struct {
        const char *seed, *public_key, *message, *sig;
    } cases[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
         "46bd25bf5f0595bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
         "d8c387b2eaeb4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
         "6594a7c15e9716ed28dc027beceea1ec40a"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cv_signing_key key;
        uint8_t message[4], sig[64];
        struct cv_bytes in = CV_BYTES(message, from_hex(message, 4, cases[i].message));
        key_from_hex(&key, CV_SCHEME_ED25519, cases[i].seed);
        assert_hex(key.public_key.p, 32, cases[i].public_key);
        assert_int_equal(cv_ed25519_ops.sign(&key, CV_SIGN_VERSION_2, in, sig), 0);
        assert_hex(sig, 64, cases[i].sig);
        assert_int_equal(cv_ed25519_verify(key.public_key.p, CV_SIGN_VERSION_2, in, sig), 0);
        cv_signing_key_free(&key);
    }
}

/* RFC 6979 appendix A.2.5 (P-256, SHA-256), and the well-known vectors for
 * secp256k1, whose s is in the lower half. */
static void rfc6979(void **state)
{
    (void)state;
    static const struct {
        enum cv_scheme scheme;
        const char *key, *public_key, *message, *sig;
    } cases[] = {
        {CV_SCHEME_P256, "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
         "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6", "sample",
         "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716"
         "f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8"},
        {CV_SCHEME_P256, "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721",
         "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6", "test",
         "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367"
         "019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083"},
        {CV_SCHEME_SECP256K1, "0000000000000000000000000000000000000000000000000000000000000001",
         "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798", "Satoshi Nakamoto",
         "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
         "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"},
        {CV_SCHEME_SECP256K1, "0000000000000000000000000000000000000000000000000000000000000001",
         "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
         "All those moments will be lost in time, like tears in rain. Time to die...",
         "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b"
         "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cv_signing_key key;
        struct cv_signature sig;
        uint8_t digest[32];
        key_from_hex(&key, cases[i].scheme, cases[i].key);
        assert_hex(key.public_key.p, 33, cases[i].public_key);
        cv_sha256(digest, cv_bytes_str(cases[i].message));
        assert_int_equal(cv_sign_digest(&key, CV_SIGN_VERSION_2, CV_BYTES(NULL, 0), digest, &sig),
                         0);
        assert_hex(sig.p, 64, cases[i].sig);
        cv_signing_key_free(&key);
    }
}

/* After a rejected candidate the generator goes on as section 3.2 step h.3
 * says: candidates computed by an independent script. */
static void rfc6979_reject(void **state)
{
    (void)state;
    struct cv_rfc6979 g;
    uint8_t key[32], digest[32], nonce[32];
    from_hex(key, 32, "c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721");
    cv_sha256(digest, CV_BYTES_LIT("sample"));
    cv_rfc6979_init(&g, key, digest);
    cv_rfc6979_next(&g, nonce);
    assert_hex(nonce, 32, "a6e3c57dd01abe90086538398355dd4c3b17aa873382b0f24d6129493d8aad60");
    cv_rfc6979_reject(&g);
    cv_rfc6979_next(&g, nonce);
    assert_hex(nonce, 32, "8e83dc490bc5fc4d5992bd63cd87f254adffcb930f8a8011702a88870f638fdb");
    cv_rfc6979_reject(&g);
    cv_rfc6979_next(&g, nonce);
    assert_hex(nonce, 32, "7b8dc9ad8ce159abca1b9915fc1470e91d5ad2443b3032557e78f47e180ab702");
    cv_rfc6979_wipe(&g);
    struct cv_rfc6979 zero = {0};
    assert_memory_equal(&g, &zero, sizeof(g));
}

/* Keys and signatures computed with py_ecc. */
static const struct {
    const char *key, *message, *public_key, *v2, *v1, *pop;
} bls_cases[] = {
    {"263dbd792f5b1be47ed85f8938c0f29586af0d3ac7b977f21c278fe1462040e3", "",
     "a491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20fd6e10c1b77654d067c0618f6e5a7f79a",
     "b6b4caa2a4bfa3612b79437d0e549aba52551d434315717635f823337431c0e068d47cf616a40a47b81b489e9c733817"
     "06355724af3542ae49b16c6341b120b7d664369f9816b3cedce7cc9c4707f514e2865ba2131211de29e09a6e42f686da",
     "94380b81f52c676fa55a93d076b5dfc71efff337aec7247f3cd1aab254d5b2340aaf4819cab53e7f3f536734cecaa1ee"
     "18849940966f6162e4218f3c5d11ea7b75a3ff6c4972c1be67855ce7d853d7409a9cb4909b68d15efcebb0372e39c41e",
     "b803eb0ed93ea10224a73b6b9c725796be9f5fefd215ef7a5b97234cc956cf6870db6127b7e4d824ec62276078e787db"
     "05584ce1adbf076bc0808ca0f15b73d59060254b25393d95dfc7abe3cda566842aaedf50bbb062aae1bbb6ef3b1f77e1"},
    {"0000000000000000000000000000000000000000000000000000000000000001",
     "111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111"
     "1111111111111111111111111111111111111111111111111111111111111111",
     "97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb",
     "a697f4bfa7690f35cf56d96d505a7d4365f174f9ed111910d2330b9e52b8bdbf4eeabd965d09847469aa0af3e268b057"
     "01db8fa149e998277e8335739de2402ed1b14ef853ec2c52a2cd46242ee4e714215570407e95bc8251711e4decb1b2ce",
     "906eb6f7c1125112b808e7af0ea55079dd2a16fe451a64fda301ae515e07f7c74aa600d63193ef926405ef2dec4f4516"
     "0021a716a4244bf5207f7b9a2e251b0016206d6ba27220aa6eb0da9288833672a3b5c7e07f0293db21f2d01b283fa1bf",
     "abd367bf7fe788f30632c5d7e92a9958da6164eea2f0cc2d4678a1bcc281f1bede7fc92f5624c84718da7c203f8f69cc"
     "016b555c691666c80d48dbebdbb5985eff6618683e563660d926ab2e336376e011717f4d35754ba8cac2b33e0ab21f9a"},
    {"73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000000", "636c617669676572",
     "b7f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb",
     "abfc65f2aa14107add0c608e3901efa3666d4fb6dfa831cd352d4c8b2c70f2f2bd9d122483a38221060bffbd4559748b"
     "14cae3ebc01b94218e9987c093fe0803d75a640b3826e3fdfd381b33f47cb6a2a4ef566bf921f40050043cc6bf1f9a0c",
     "aca21e593c7adc16b5a2b801aeb68449b44d12e1f1c6a1be52ee34f5506fa5ed23804c5cc8900f6e7d39677bb776746e"
     "0896f3028173c75514c40dcfe43b9845174e64a81729fd81e6283550f1d8a3846ba3baa478c584d4dde02972078c429b",
     "8448ad9769b27f70830fdbac6173b4c27f50150d69f3c5b34fef875ffe3c0f65d38125b51c456aa964e194f09d1317b9"
     "061cb27011ab44a7db8536719245c857a562e1ac7e5dc2a10ee926ab14146da8af21a5879cc3047cbdb46e7ab3f1852d"},
};

static void bls(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bls_cases) / sizeof(bls_cases[0]); i++) {
        struct cv_signing_key key;
        struct cv_signature sig;
        uint8_t message[80];
        struct cv_bytes in = CV_BYTES(message, from_hex(message, 80, bls_cases[i].message));
        key_from_hex(&key, CV_SCHEME_BLS, bls_cases[i].key);
        assert_hex(key.public_key.p, 48, bls_cases[i].public_key);
        assert_int_equal(cv_sign(&key, CV_SIGN_VERSION_1, in, &sig), 0);
        assert_hex(sig.p, 96, bls_cases[i].v1);
        assert_int_equal(cv_verify(&key.public_key, CV_SIGN_VERSION_1, in, &sig), 0);
        assert_int_equal(cv_verify(&key.public_key, CV_SIGN_VERSION_2, in, &sig), CV_ERR_CRYPTO);
        assert_int_equal(cv_sign(&key, CV_SIGN_VERSION_2, in, &sig), 0);
        assert_hex(sig.p, 96, bls_cases[i].v2);
        assert_int_equal(cv_verify(&key.public_key, CV_SIGN_VERSION_LATEST, in, &sig), 0);
        assert_int_equal(cv_sign(&key, CV_SIGN_VERSION_LATEST, in, &sig), 0);
        assert_hex(sig.p, 96, bls_cases[i].v2);
        assert_int_equal(cv_prove_possession(&key, &sig), 0);
        assert_hex(sig.p, 96, bls_cases[i].pop);
        assert_int_equal(cv_verify_possession(&key.public_key, &sig), 0);
        sig.p[95] ^= 1;
        assert_int_equal(cv_verify_possession(&key.public_key, &sig), CV_ERR_CRYPTO);
        assert_int_equal(cv_sign(&key, CV_SIGN_VERSION_0, in, &sig), CV_ERR_UNSUPPORTED);
        assert_int_equal(cv_sign(&key, (enum cv_sign_version)3, in, &sig), CV_ERR_UNSUPPORTED);
        cv_signing_key_free(&key);
    }
}

static void bls_bad_public_keys(void **state)
{
    (void)state;
    struct cv_public_key key;
    uint8_t in[48];
    /* infinity; a point of the curve outside the subgroup (x = 4); x not on
     * the curve; x not below the field's order; an uncompressed head */
    static const char *const bad[] = {
        "c00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
        "800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000004",
        "800000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
        "9fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        from_hex(in, 48, bad[i]);
        assert_int_equal(cv_public_key_parse(&key, CV_SCHEME_BLS, CV_BYTES(in, 48)),
                         CV_ERR_INVALID);
    }
}

static void bad_public_keys(void **state)
{
    (void)state;
    struct cv_public_key key;
    uint8_t in[65] = {0};
    /* Ed25519: the neutral point, order 4, and y not on the curve */
    in[0] = 1;
    assert_int_equal(cv_public_key_parse(&key, CV_SCHEME_ED25519, CV_BYTES(in, 32)),
                     CV_ERR_INVALID);
    in[0] = 0;
    assert_int_equal(cv_public_key_parse(&key, CV_SCHEME_ED25519, CV_BYTES(in, 32)),
                     CV_ERR_INVALID);
    in[0] = 2;
    assert_int_equal(cv_public_key_parse(&key, CV_SCHEME_ED25519, CV_BYTES(in, 32)),
                     CV_ERR_INVALID);
    for (int s = CV_SCHEME_SECP256K1; s <= CV_SCHEME_P256; s++) {
        enum cv_scheme scheme = (enum cv_scheme)s;
        memset(in, 0xff, sizeof(in));
        for (int head = 0; head < 256; head++) {
            in[0] = (uint8_t)head; /* x = 2^256 - 1 is not in the field */
            assert_int_equal(cv_public_key_parse(&key, scheme, CV_BYTES(in, 33)), CV_ERR_INVALID);
        }
        memset(in, 0, sizeof(in));
        in[0] = 2; /* x = 0 is on neither curve… */
        int rc = cv_public_key_parse(&key, scheme, CV_BYTES(in, 33));
        assert_int_equal(rc, scheme == CV_SCHEME_P256 ? 0 : CV_ERR_INVALID); /* …but on P-256 */
        assert_int_equal(cv_public_key_parse(&key, scheme, CV_BYTES(in, 1)), CV_ERR_INVALID);
        assert_int_equal(cv_public_key_parse(&key, scheme, CV_BYTES(in, 65)), CV_ERR_INVALID);
        assert_int_equal(cv_public_key_parse(&key, scheme, CV_BYTES(NULL, 0)), CV_ERR_INVALID);
    }
}

static void add(uint8_t n[32], int v)
{
    for (int i = 31; i >= 0 && v != 0; i--) {
        v += n[i];
        n[i] = (uint8_t)v;
        v >>= 8;
    }
}

static void ranges(void **state)
{
    (void)state;
    static const struct {
        enum cv_scheme scheme;
        const char *order;
    } cases[] = {{CV_SCHEME_SECP256K1, SECP256K1_ORDER},
                 {CV_SCHEME_P256, P256_ORDER},
                 {CV_SCHEME_BLS, BLS_ORDER}};
    for (size_t i = 0; i < 3; i++) {
        struct cv_signing_key key;
        uint8_t n[32];
        for (int delta = -300; delta <= 300; delta++) {
            from_hex(n, 32, cases[i].order);
            add(n, delta);
            int want = delta < 0 ? 0 : CV_ERR_INVALID;
            assert_int_equal(cv_private_key_check(cases[i].scheme, n), want);
        }
        assert_int_equal(cv_signing_key_init(&key, cases[i].scheme, n), CV_ERR_INVALID);
        cv_signing_key_free(&key);
        memset(n, 0, 32);
        assert_int_equal(cv_private_key_check(cases[i].scheme, n), CV_ERR_INVALID);
        for (int byte = 0; byte < 32; byte++) {
            n[byte] = 1; /* below every order, whichever byte it is */
            assert_int_equal(cv_private_key_check(cases[i].scheme, n), 0);
            n[byte] = 0;
        }
        memset(n, 0xff, 32);
        assert_int_equal(cv_private_key_check(cases[i].scheme, n), CV_ERR_INVALID);
    }
    uint8_t zero[32] = {0};
    assert_int_equal(cv_private_key_check(CV_SCHEME_ED25519, zero), 0);
}

/* A source that gives prepared draws of 32 bytes, then an error. */
struct script {
    const uint8_t (*draws)[32];
    size_t count, used;
};

static int scripted(void *ctx, void *out, size_t n)
{
    struct script *s = ctx;
    assert_int_equal(n, 32);
    if (s->used == s->count)
        return CV_ERR_IO;
    memcpy(out, s->draws[s->used++], 32);
    return 0;
}

static void generation(void **state)
{
    (void)state;
    uint8_t draws[3][32], key[32];
    for (int s = CV_SCHEME_SECP256K1; s <= CV_SCHEME_P256; s++) {
        from_hex(draws[0], 32, s == CV_SCHEME_P256 ? P256_ORDER : SECP256K1_ORDER);
        memset(draws[1], 0, 32);
        memset(draws[2], 0x5a, 32);
        struct script script = {(const uint8_t(*)[32])draws, 3, 0};
        struct cv_random_source source = {scripted, &script};
        assert_int_equal(cv_private_key_generate((enum cv_scheme)s, key, &source), 0);
        assert_int_equal(script.used, 3);
        assert_memory_equal(key, draws[2], 32);
        /* a source that fails, and one that never gives anything usable */
        memset(key, 1, 32);
        assert_int_equal(cv_private_key_generate((enum cv_scheme)s, key, &source), CV_ERR_IO);
        uint8_t zeros[200][32] = {{0}};
        assert_memory_equal(key, zeros[0], 32);
        struct script dead = {(const uint8_t(*)[32])zeros, 200, 0};
        source.ctx = &dead;
        assert_int_equal(cv_private_key_generate((enum cv_scheme)s, key, &source), CV_ERR_CRYPTO);
        assert_int_equal(dead.used, 100);
    }
    for (uint8_t i = 0; i < 32; i++)
        draws[0][i] = i;
    struct script script = {(const uint8_t(*)[32])draws, 1, 0};
    struct cv_random_source source = {scripted, &script};
    assert_int_equal(cv_private_key_generate(CV_SCHEME_ED25519, key, &source), 0);
    assert_memory_equal(key, draws[0], 32);
    script.used = 0;
    /* KeyGen by py_ecc */
    assert_int_equal(cv_private_key_generate(CV_SCHEME_BLS, key, &source), 0);
    assert_hex(key, 32, "23360db7e337b0a32b264e06bc11c1b474d16f55665373de1ce93cf15ddb3456");
    for (int s = 0; s < CV_SCHEME_COUNT; s++) {
        uint8_t other[32];
        assert_int_equal(cv_private_key_generate((enum cv_scheme)s, key, NULL), 0);
        assert_int_equal(cv_private_key_generate((enum cv_scheme)s, other, NULL), 0);
        assert_memory_not_equal(key, other, 32);
        assert_int_equal(cv_private_key_check((enum cv_scheme)s, key), 0);
    }
}

/* For each scheme: sign, verify, determinism, and that no flipped bit of
 * signature, message or public key verifies. */
static void round_trip(void **state)
{
    (void)state;
    static const uint8_t message[] = "\x03 a message of some length";
    struct cv_bytes in = CV_BYTES(message, sizeof(message));
    for (int s = 0; s < CV_SCHEME_COUNT; s++) {
        struct cv_signing_key key;
        struct cv_public_key parsed;
        struct cv_signature sig, again, bad;
        uint8_t secret[32], digest[32];
        assert_int_equal(cv_private_key_generate((enum cv_scheme)s, secret, NULL), 0);
        assert_int_equal(cv_signing_key_init(&key, (enum cv_scheme)s, secret), 0);
        assert_int_equal(cv_public_key_parse(&parsed, (enum cv_scheme)s,
                                             CV_BYTES(key.public_key.p, key.public_key.n)),
                         0);
        assert_true(cv_public_key_equal(&parsed, &key.public_key));
        assert_int_equal(cv_sign(&key, CV_SIGN_VERSION_2, in, &sig), 0);
        assert_int_equal(sig.n, cv_signature_len((enum cv_scheme)s));
        cv_blake2b_256(digest, in);
        assert_int_equal(cv_sign_digest(&key, CV_SIGN_VERSION_2, in, digest, &again), 0);
        assert_memory_equal(sig.p, again.p, sig.n);
        assert_int_equal(cv_verify(&parsed, CV_SIGN_VERSION_2, in, &sig), 0);
        size_t step = s == CV_SCHEME_BLS ? 29 : 1; /* its verification is slow */
        for (size_t bit = 0; bit < sig.n * 8; bit += step) {
            bad = sig;
            bad.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_int_equal(cv_verify(&parsed, CV_SIGN_VERSION_2, in, &bad), CV_ERR_CRYPTO);
        }
        assert_int_equal(cv_verify(&parsed, CV_SIGN_VERSION_2, CV_BYTES(message, in.n - 1), &sig),
                         CV_ERR_CRYPTO);
        bad = sig;
        memset(bad.p, 0, sizeof(bad.p));
        assert_int_equal(cv_verify(&parsed, CV_SIGN_VERSION_2, in, &bad), CV_ERR_CRYPTO);
        memset(bad.p, 0xff, sizeof(bad.p));
        assert_int_equal(cv_verify(&parsed, CV_SIGN_VERSION_2, in, &bad), CV_ERR_CRYPTO);
        bad = sig;
        bad.scheme = (enum cv_scheme)((s + 1) % CV_SCHEME_COUNT);
        assert_int_equal(cv_verify(&parsed, CV_SIGN_VERSION_2, in, &bad), CV_ERR_CRYPTO);
        bad = sig;
        bad.n--;
        assert_int_equal(cv_verify(&parsed, CV_SIGN_VERSION_2, in, &bad), CV_ERR_CRYPTO);
        if (s != CV_SCHEME_BLS) {
            assert_int_equal(cv_prove_possession(&key, &again), CV_ERR_UNSUPPORTED);
            assert_int_equal(cv_verify_possession(&parsed, &sig), CV_ERR_UNSUPPORTED);
        }
        cv_signing_key_free(&key);
        struct cv_signing_key zero = {0};
        assert_memory_equal(&key, &zero, sizeof(key));
        assert_int_equal(cv_sign(&key, CV_SIGN_VERSION_2, in, &sig), CV_ERR_STATE);
        assert_int_equal(cv_sign_digest(&key, CV_SIGN_VERSION_2, in, digest, &sig), CV_ERR_STATE);
        assert_int_equal(cv_prove_possession(&key, &sig), CV_ERR_STATE);
        cv_signing_key_free(&key);
    }
}

/* s of secp256k1 is never in the upper half, s of P-256 comes as it comes. */
static void halves(void **state)
{
    (void)state;
    unsigned high = 0;
    for (int s = CV_SCHEME_SECP256K1; s <= CV_SCHEME_P256; s++) {
        struct cv_signing_key key;
        struct cv_signature sig;
        key_from_hex(&key, (enum cv_scheme)s,
                     "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
        for (uint32_t i = 0; i < 200; i++) {
            assert_int_equal(cv_sign(&key, CV_SIGN_VERSION_2, CV_BYTES(&i, sizeof(i)), &sig), 0);
            assert_int_equal(
                cv_verify(&key.public_key, CV_SIGN_VERSION_2, CV_BYTES(&i, sizeof(i)), &sig), 0);
            if (s == CV_SCHEME_SECP256K1)
                assert_true(sig.p[32] < 0x80);
            else
                high += sig.p[32] >= 0x80;
        }
        cv_signing_key_free(&key);
    }
    assert_in_range(high, 50, 150);
}

static void names(void **state)
{
    (void)state;
    static const char *const rpc[] = {"Ed25519", "Secp256k1", "NistP256", "Bls"};
    static const char *const cli[] = {"ed25519", "secp256k1", "p256", "bls"};
    static const char *const tz[] = {"tz1", "tz2", "tz3", "TZ4"};
    for (int s = 0; s < CV_SCHEME_COUNT; s++) {
        enum cv_scheme got;
        assert_string_equal(cv_scheme_rpc_name((enum cv_scheme)s), rpc[s]);
        assert_string_equal(cv_scheme_name((enum cv_scheme)s), cli[s]);
        assert_int_equal(cv_scheme_from_rpc_name(&got, cv_bytes_str(rpc[s])), 0);
        assert_int_equal(got, s);
        assert_int_equal(cv_scheme_parse(&got, cli[s]), 0);
        assert_int_equal(got, s);
        assert_int_equal(cv_scheme_parse(&got, tz[s]), 0);
        assert_int_equal(got, s);
        assert_int_equal(cv_scheme_from_rpc_name(&got, cv_bytes_str(cli[s])), CV_ERR_NOT_FOUND);
    }
    enum cv_scheme got;
    assert_int_equal(cv_scheme_parse(&got, "tz5"), CV_ERR_NOT_FOUND);
    assert_int_equal(cv_scheme_parse(&got, ""), CV_ERR_NOT_FOUND);
}

static int setup(void **state)
{
    (void)state;
    return cv_crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc8032),
        cmocka_unit_test(rfc6979),
        cmocka_unit_test(rfc6979_reject),
        cmocka_unit_test(bls),
        cmocka_unit_test(bls_bad_public_keys),
        cmocka_unit_test(bad_public_keys),
        cmocka_unit_test(ranges),
        cmocka_unit_test(generation),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(halves),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
