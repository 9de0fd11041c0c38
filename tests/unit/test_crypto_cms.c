/* SPDX-License-Identifier: Apache-2.0 */
/* CMS envelopes of tests/vectors/cms (made by make_cms.py), their damage, and
 * the RSA key. */
#include "unit/cv_test.h"
#include "unit/from_hex.h"

#include <stdlib.h>

#include "common/file.h"
#include "crypto/init.h"
#include "crypto/rsa.h"

static struct cv_rsa *rsa;

static const char *vector(const char *name)
{
    static char path[512];
    const char *dir = getenv("CV_VECTORS");
    snprintf(path, sizeof(path), "%s/cms/%s", dir != NULL ? dir : "tests/vectors", name);
    return path;
}

static int setup(void **state)
{
    (void)state;
    CV_CLEANUP(cv_buf_free) struct cv_buf der;
    cv_buf_init(&der, 8192);
    if (cv_crypto_init() != 0 || cv_file_read(&der, vector("key.der"), NULL) != 0)
        return -1;
    return cv_rsa_from_pkcs8(&rsa, cv_buf_view(&der));
}

static int teardown(void **state)
{
    (void)state;
    cv_rsa_free(rsa);
    return 0;
}

struct one {
    char name[64], result[16];
    uint8_t plain[4096], cms[8192];
    size_t plain_len, cms_len;
};

/* The next line of the file, or false at its end. */
static bool next_case(FILE *f, struct one *c)
{
    static char line[32768], plain[8200], cms[16400];
    if (fgets(line, sizeof(line), f) == NULL)
        return false;
    assert_int_equal(sscanf(line, "%63s %15s %8199s %16399s", c->name, c->result, plain, cms), 4);
    c->plain_len = plain[0] == '-' ? 0 : from_hex(c->plain, sizeof(c->plain), plain);
    c->cms_len = cms[0] == '-' ? 0 : from_hex(c->cms, sizeof(c->cms), cms);
    return true;
}

static void cases(void **state)
{
    (void)state;
    static struct one c;
    unsigned count = 0;
    FILE *f = fopen(vector("cases.txt"), "re");
    assert_non_null(f);
    for (; next_case(f, &c); count++) {
        CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
        struct cv_error err;
        cv_error_clear(&err);
        int rc = cv_cms_unwrap(&out, rsa, CV_BYTES(c.cms, c.cms_len), &err);
        int want = strcmp(c.result, "ok") == 0       ? 0
                   : strcmp(c.result, "crypto") == 0 ? CV_ERR_CRYPTO
                                                     : CV_ERR_PROTOCOL;
        if (rc != want)
            fail_msg("%s: %d instead of %d (%s)", c.name, rc, want, cv_error_top(&err));
        if (want == 0) {
            assert_int_equal(out.n, c.plain_len);
            assert_memory_equal(out.p, c.plain, c.plain_len);
        } else {
            assert_null(out.p);
            assert_int_equal(err.code, want);
        }
        if (want == CV_ERR_CRYPTO) /* one sentence for all of them */
            assert_string_equal(cv_error_top(&err), "the CMS envelope does not open with this key");
    }
    fclose(f);
    assert_in_range(count, 45, 1000);
}

/* Every truncation, and every flipped bit of the short envelopes, is refused
 * or leaves no trace of memory damage (run under the sanitizers too). A flip
 * in IV or ciphertext may go unnoticed: CMS has no integrity. */
static void damage(void **state)
{
    (void)state;
    static struct one c;
    FILE *f = fopen(vector("cases.txt"), "re");
    assert_non_null(f);
    for (unsigned i = 0; i < 4 && next_case(f, &c); i++) {
        CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
        for (size_t n = 0; n < c.cms_len; n++)
            assert_int_not_equal(cv_cms_unwrap(&out, rsa, CV_BYTES(c.cms, n), NULL), 0);
        for (size_t bit = 0; bit < c.cms_len * 8; bit += 3) {
            c.cms[bit / 8] ^= (uint8_t)(1u << bit % 8);
            int rc = cv_cms_unwrap(&out, rsa, CV_BYTES(c.cms, c.cms_len), NULL);
            assert_true(rc == 0 || rc == CV_ERR_CRYPTO || rc == CV_ERR_PROTOCOL);
            c.cms[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    fclose(f);
    static uint8_t large[CV_CMS_MAX + 1];
    CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
    assert_int_equal(cv_cms_unwrap(&out, rsa, CV_BYTES(large, sizeof(large)), NULL),
                     CV_ERR_PROTOCOL);
}

static void keys(void **state)
{
    (void)state;
    struct cv_rsa *fresh = NULL, *bad = NULL;
    /* SubjectPublicKeyInfo of RFC 8017: rsaEncryption, NULL, BIT STRING */
    static const char head[] = "30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
    assert_int_equal(cv_rsa_generate(&fresh), 0);
    struct cv_bytes spki = cv_rsa_spki(fresh);
    assert_int_equal(spki.n, 294);
    assert_hex(spki.p, sizeof(head) / 2, head);
    assert_hex(spki.p + spki.n - 5, 5, "0203010001");
    /* what was made for another key does not open */
    static struct one c;
    CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
    FILE *f = fopen(vector("cases.txt"), "re");
    assert_non_null(f);
    assert_true(next_case(f, &c));
    fclose(f);
    assert_int_equal(cv_cms_unwrap(&out, fresh, CV_BYTES(c.cms, c.cms_len), NULL), CV_ERR_CRYPTO);
    cv_rsa_free(fresh);
    assert_int_equal(cv_rsa_from_pkcs8(&bad, CV_BYTES(c.cms, c.cms_len)), CV_ERR_INVALID);
    assert_int_equal(cv_rsa_from_pkcs8(&bad, CV_BYTES(NULL, 0)), CV_ERR_INVALID);
    assert_null(bad);
    cv_rsa_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(damage),
        cmocka_unit_test(keys),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
