/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own code that touches secrets, run with the secrets marked as undefined
 * memory: valgrind then reports every branch and every address that depends on
 * one. What may be known (is the scalar in range) is marked as defined again.
 * With the argument "leak" it branches on a secret, to show that it is seen.
 */
#include <stdio.h>
#include <string.h>

#include <valgrind/memcheck.h>

#include "crypto/hkdf.h"
#include "crypto/init.h"
#include "crypto/pkcs7.h"
#include "crypto/rfc6979.h"
#include "crypto/table.h"

static const uint8_t order[32] = {0xff, 0xff, 0xff, 0xff, [8] = 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff,       0xbc};

static void secret(void *p, size_t n)
{
    VALGRIND_MAKE_MEM_UNDEFINED(p, n);
}

static void public(void *p, size_t n)
{
    VALGRIND_MAKE_MEM_DEFINED(p, n);
}

static unsigned nonces(void)
{
    struct cv_rfc6979 g;
    uint8_t key[32], digest[32] = {9}, nonce[32];
    unsigned taken = 0;
    memset(key, 0x42, sizeof(key));
    secret(key, sizeof(key));
    cv_rfc6979_init(&g, key, digest);
    for (int i = 0; i < 8; i++) {
        cv_rfc6979_next(&g, nonce);
        bool ok = cv_scalar_in_range(nonce, order);
        public(&ok, sizeof(ok));
        taken += ok;
        cv_rfc6979_reject(&g);
    }
    cv_rfc6979_wipe(&g);
    return taken;
}

static void ranges(void)
{
    uint8_t key[32] = {0};
    secret(key, sizeof(key));
    int rc = cv_private_key_check(CV_SCHEME_P256, key);
    public(&rc, sizeof(rc));
}

static void derivation(void)
{
    uint8_t ikm[32] = {1}, out[80];
    secret(ikm, sizeof(ikm));
    (void)!cv_hkdf_sha512(out, sizeof(out), CV_BYTES(ikm, 32), CV_BYTES_LIT("s"),
                          CV_BYTES_LIT("i"));
    (void)!cv_hkdf_sha256(out, sizeof(out), CV_BYTES(ikm, 32), CV_BYTES_LIT("s"),
                          CV_BYTES_LIT("i"));
}

static void padding(void)
{
    uint8_t block[32];
    for (unsigned pad = 0; pad < 256; pad++) {
        memset(block, (int)pad, sizeof(block));
        secret(block, sizeof(block));
        size_t n = cv_pkcs7_unpadded(block, sizeof(block));
        public(&n, sizeof(n));
    }
}

static void comparison(void)
{
    uint8_t a[32] = {1}, b[32] = {1};
    secret(a, sizeof(a));
    bool same = cv_equal_ct(a, b, sizeof(a));
    public(&same, sizeof(same));
}

int main(int argc, char **argv)
{
    if (cv_crypto_init() != 0)
        return 2;
    if (argc > 1 && strcmp(argv[1], "leak") == 0) {
        uint8_t key[32] = {1};
        secret(key, sizeof(key));
        if (memcmp(key, order, sizeof(key)) == 0)
            puts("equal");
        return 0;
    }
    ranges();
    derivation();
    padding();
    comparison();
    return nonces() == 0; /* all out of range: impossible */
}
