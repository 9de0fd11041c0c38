/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vectors/keys.txt (made by make_keys.py): every format of a private
 * key, wrong passwords, foreign kinds, damage. */
#include "unit/cv_test.h"
#include "unit/from_hex.h"

#include <stdlib.h>

#include "crypto/init.h"
#include "tezos/keyimport.h"

static struct {
    char name[64], result[16], scheme[16];
    uint8_t key[32], password[64], content[4096];
    size_t key_len, password_len, content_len;
} c;

static size_t field(uint8_t *out, size_t cap, const char *text)
{
    return strcmp(text, "-") == 0 ? 0 : from_hex(out, cap, text);
}

static bool next_case(FILE *f)
{
    static char line[10000], key[100], password[140], content[9000];
    if (fgets(line, sizeof(line), f) == NULL)
        return false;
    assert_int_equal(sscanf(line, "%63s %15s %15s %99s %139s %8999s", c.name, c.result, c.scheme,
                            key, password, content),
                     6);
    c.key_len = field(c.key, sizeof(c.key), key);
    c.password_len = field(c.password, sizeof(c.password), password);
    c.content_len = field(c.content, sizeof(c.content), content);
    return true;
}

static FILE *open_cases(void)
{
    char path[512];
    const char *dir = getenv("CV_VECTORS");
    snprintf(path, sizeof(path), "%s/keys.txt", dir != NULL ? dir : "tests/vectors");
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    return f;
}

static int wanted(void)
{
    static const struct {
        const char *name;
        int code;
    } results[] = {{"ok", 0},
                   {"invalid", CV_ERR_INVALID},
                   {"denied", CV_ERR_DENIED},
                   {"unsupported", CV_ERR_UNSUPPORTED}};
    for (size_t i = 0; i < 4; i++) {
        if (strcmp(c.result, results[i].name) == 0)
            return results[i].code;
    }
    fail_msg("unknown result %s", c.result);
    return 1;
}

static void cases(void **state)
{
    (void)state;
    unsigned count = 0;
    FILE *f = open_cases();
    for (; next_case(f); count++) {
        CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
        struct cv_error err;
        enum cv_scheme scheme;
        struct cv_bytes in = CV_BYTES(c.content, c.content_len);
        cv_error_clear(&err);
        int rc = cv_key_import(&out, &scheme, in, CV_BYTES(c.password, c.password_len), &err);
        if (rc != wanted())
            fail_msg("%s: %d instead of %d (%s)", c.name, rc, wanted(), cv_error_top(&err));
        if (rc == 0) {
            if (strcmp(cv_scheme_name(scheme), c.scheme) != 0)
                fail_msg("%s: %s", c.name, cv_scheme_name(scheme));
            assert_int_equal(out.n, 32);
            assert_memory_equal(out.p, c.key, 32);
        } else {
            assert_null(out.p);
            assert_int_equal(err.code, rc);
            assert_true(strlen(cv_error_top(&err)) > 10);
        }
        /* the question for the password comes exactly where it is needed */
        bool locked = strstr(c.name, "esk") != NULL || strstr(c.name, "encrypted") != NULL ||
                      strstr(c.name, "wrong-password") != NULL ||
                      strstr(c.name, "no-password") != NULL;
        if (strstr(c.name, "unencrypted") != NULL)
            locked = false;
        if (cv_key_is_encrypted(in) != locked)
            fail_msg("%s: asks for a password: %d", c.name, !locked);
    }
    fclose(f);
    assert_in_range(count, 130, 1000);
}

/* Every truncation is refused; no flipped bit does harm, and what it gives
 * when it passes is a valid key. */
static void damage(void **state)
{
    (void)state;
    FILE *f = open_cases();
    while (next_case(f)) {
        CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
        enum cv_scheme scheme;
        /* decryption is slow, and covered above */
        if (strcmp(c.result, "ok") != 0 || c.password_len != 0 || strstr(c.name, "empty-pass"))
            continue;
        for (size_t n = 0; n + 8 < c.content_len; n += 7)
            assert_int_not_equal(
                cv_key_import(&out, &scheme, CV_BYTES(c.content, n), CV_BYTES(NULL, 0), NULL), 0);
        for (size_t bit = 0; bit < c.content_len * 8; bit += 17) {
            c.content[bit / 8] ^= (uint8_t)(1u << bit % 8);
            int rc = cv_key_import(&out, &scheme, CV_BYTES(c.content, c.content_len),
                                   CV_BYTES(NULL, 0), NULL);
            if (rc == 0) {
                assert_int_equal(out.n, 32);
                assert_int_equal(cv_private_key_check(scheme, out.p), 0);
            }
            c.content[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    fclose(f);
    static uint8_t large[CV_KEY_FILE_MAX + 1];
    CV_SECRET_AUTO struct cv_secret out = CV_SECRET_INIT;
    enum cv_scheme scheme;
    struct cv_bytes in = CV_BYTES(large, sizeof(large));
    assert_int_equal(cv_key_import(&out, &scheme, in, CV_BYTES(NULL, 0), NULL), CV_ERR_INVALID);
    assert_false(cv_key_is_encrypted(in));
}

static int setup(void **state)
{
    (void)state;
    return cv_crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(cases), cmocka_unit_test(damage)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
