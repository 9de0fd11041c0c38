/* SPDX-License-Identifier: Apache-2.0 */
/* Policies that we write: who may do what, asked of the policy itself for every
 * combination of registers; and that no trap is in them. */
#include <stdlib.h>

#include "cv_test.h"

#include "policy/context.h"
#include "policy/explain.h"
#include "policy/write.h"

#define ROLE "arn:aws:iam::111122223333:role/Signer"
#define SESSION "arn:aws:sts::111122223333:assumed-role/Signer/i-1"
#define ROOT "arn:aws:iam::111122223333:root"
#define KEY "arn:aws:kms:eu-west-1:111122223333:key/1"

static const char *const roles[] = {ROLE};

static void set(struct cv_policy_image *image, unsigned r, char digit)
{
    image->mask |= UINT32_C(1) << r;
    memset(image->pcr[r], digit, 96);
    image->pcr[r][96] = '\0';
}

static struct cv_policy *write_it(const struct cv_policy_spec *spec)
{
    struct cv_policy *p = NULL;
    struct cv_error err;
    struct cv_buf text;
    cv_error_clear(&err);
    cv_buf_init(&text, 65536);
    assert_code(cv_policy_write(&text, spec, &err), 0, &err);
    assert_code(cv_policy_parse(&p, CV_POLICY_KEY, cv_buf_view(&text), &err), 0, &err);
    cv_buf_free(&text);
    return p;
}

/* REGISTERS: "0=a 8=b", digits that fill the register; NULL = no attestation. */
static bool may(const struct cv_policy *p, const char *who, const char *role, const char *action,
                const char *registers)
{
    static struct cv_policy_context c;
    struct cv_policy_decision d;
    char value[97];
    cv_policy_context_init(&c);
    assert_int_equal(cv_policy_context_add_caller(&c, who, role), 0);
    for (const char *s = registers; s && *s; s += strcspn(s, " "), s += strspn(s, " ")) {
        char key[64];
        char *eq;
        unsigned long r = strtoul(s, &eq, 10);
        memset(value, eq[1], 96);
        value[96] = '\0';
        snprintf(key, sizeof key, "kms:RecipientAttestation:PCR%lu", r);
        assert_int_equal(cv_policy_context_add(&c, key, value), 0);
        if (r == 0)
            assert_int_equal(
                cv_policy_context_add(&c, "kms:RecipientAttestation:ImageSha384", value), 0);
    }
    struct cv_policy_request req = {action, KEY, who, role, NULL, c.attrs, c.n};
    cv_policy_evaluate(&d, p, &req);
    cv_policy_context_free(&c);
    return d.effect == CV_POLICY_ALLOW;
}

static bool enclave(const struct cv_policy *p, const char *action, const char *registers)
{
    return may(p, SESSION, ROLE, action, registers);
}

static void no_trap(void *ctx, const struct cv_policy_trap *t)
{
    const char *const *expected = ctx;
    for (; *expected; expected++)
        if (!strcmp(*expected, t->code))
            return;
    fail_msg("%s: %s", t->code, t->text);
}

static void test_one_image(void **state)
{
    struct cv_policy_image image = {.mask = 0};
    (void)state;
    set(&image, 0, 'a');
    set(&image, 8, 'b');
    struct cv_policy_spec spec = {
        .principals = roles, .n_principals = 1, .images = &image, .n_images = 1};
    struct cv_policy *p = write_it(&spec);
    static const char *const used[] = {"kms:Decrypt", "kms:GenerateDataKey"};
    for (size_t i = 0; i < 2; i++) {
        assert_true(enclave(p, used[i], "0=a 8=b"));
        assert_false(enclave(p, used[i], "0=a 8=c"));
        assert_false(enclave(p, used[i], "0=c 8=b"));
        assert_false(enclave(p, used[i], "0=a"));
        assert_false(enclave(p, used[i], "0=0 8=0"));
        assert_false(enclave(p, used[i], NULL));
        assert_false(may(p, ROOT, NULL, used[i], "0=a 8=b"));
        assert_false(may(p, "arn:aws:iam::111122223333:user/x", NULL, used[i], "0=a 8=b"));
    }
    static const char *const never[] = {"kms:Encrypt",
                                        "kms:CreateGrant",
                                        "kms:ReEncryptFrom",
                                        "kms:ReEncryptTo",
                                        "kms:GenerateDataKeyWithoutPlaintext",
                                        "kms:GenerateDataKeyPair",
                                        "kms:DeriveSharedSecret"};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++) {
        assert_false(enclave(p, never[i], NULL));
        assert_false(may(p, ROOT, NULL, never[i], NULL));
    }
    static const char *const kept[] = {"kms:PutKeyPolicy",      "kms:GetKeyPolicy",
                                       "kms:DescribeKey",       "kms:ScheduleKeyDeletion",
                                       "kms:EnableKeyRotation", "kms:TagResource"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        assert_true(may(p, ROOT, NULL, kept[i], NULL));
        assert_false(enclave(p, kept[i], "0=a 8=b"));
    }
    static const char *const known[] = {"can-change-policy", NULL};
    assert_int_equal(cv_policy_traps(p, no_trap, (void *)(uintptr_t)known), 1);
    cv_policy_free(p);
}

static void test_version_1_may_encrypt(void **state)
{
    struct cv_policy_image image = {.mask = 0};
    (void)state;
    set(&image, 0, 'a');
    struct cv_policy_spec spec = {
        .principals = roles, .n_principals = 1, .images = &image, .n_images = 1, .encrypt = true};
    struct cv_policy *p = write_it(&spec);
    assert_true(enclave(p, "kms:Encrypt", NULL));
    assert_false(may(p, ROOT, NULL, "kms:Encrypt", NULL));
    assert_false(enclave(p, "kms:Decrypt", NULL));
    static const char *const known[] = {"can-change-policy", "unattested-encrypt", NULL};
    assert_int_equal(cv_policy_traps(p, no_trap, (void *)(uintptr_t)known), 2);
    cv_policy_free(p);
}

static void test_upgrade(void **state)
{
    struct cv_policy_image images[2] = {{.mask = 0}, {.mask = 0}};
    (void)state;
    /* Two images that differ in one register: one statement. */
    set(&images[0], 0, 'a');
    set(&images[1], 0, 'b');
    set(&images[0], 3, 'd');
    set(&images[1], 3, 'd');
    struct cv_policy_spec spec = {
        .principals = roles, .n_principals = 1, .images = images, .n_images = 2};
    struct cv_policy *p = write_it(&spec);
    assert_true(enclave(p, "kms:Decrypt", "0=a 3=d"));
    assert_true(enclave(p, "kms:Decrypt", "0=b 3=d"));
    assert_false(enclave(p, "kms:Decrypt", "0=b 3=e"));
    assert_false(enclave(p, "kms:Decrypt", "0=c 3=d"));
    size_t n = cv_policy_statements(p);
    cv_policy_free(p);

    /* In two: no mixture of them passes. */
    set(&images[1], 3, 'e');
    p = write_it(&spec);
    assert_int_equal(cv_policy_statements(p), n + 1);
    assert_true(enclave(p, "kms:Decrypt", "0=a 3=d"));
    assert_true(enclave(p, "kms:Decrypt", "0=b 3=e"));
    assert_false(enclave(p, "kms:Decrypt", "0=a 3=e"));
    assert_false(enclave(p, "kms:Decrypt", "0=b 3=d"));
    cv_policy_free(p);

    /* Different registers altogether. */
    memset(images, 0, sizeof images);
    set(&images[0], 0, 'a');
    set(&images[1], 8, 'b');
    p = write_it(&spec);
    assert_true(enclave(p, "kms:Decrypt", "0=a"));
    assert_true(enclave(p, "kms:Decrypt", "0=c 8=b"));
    assert_false(enclave(p, "kms:Decrypt", "0=c 8=a"));
    assert_false(enclave(p, "kms:Decrypt", NULL));
    assert_false(may(p, ROOT, NULL, "kms:Decrypt", NULL));
    cv_policy_free(p);
}

static void test_context_is_demanded(void **state)
{
    static const struct cv_policy_attr context[] = {{"purpose", "boot"}};
    struct cv_policy_image image = {.mask = 0};
    static struct cv_policy_context c;
    struct cv_policy_decision d;
    (void)state;
    set(&image, 0, 'a');
    struct cv_policy_spec spec = {.principals = roles,
                                  .n_principals = 1,
                                  .images = &image,
                                  .n_images = 1,
                                  .context = context,
                                  .n_context = 1};
    struct cv_policy *p = write_it(&spec);
    assert_false(enclave(p, "kms:Decrypt", "0=a"));
    uint8_t pcr[48];
    memset(pcr, 0xaa, sizeof pcr);
    cv_policy_context_init(&c);
    assert_int_equal(cv_policy_context_add_pcr(&c, 0, pcr, 48), 0);
    assert_int_equal(cv_policy_context_add_encryption(&c, "purpose", "boot"), 0);
    struct cv_policy_request req = {"kms:Decrypt", KEY, SESSION, ROLE, NULL, c.attrs, c.n};
    cv_policy_evaluate(&d, p, &req);
    assert_int_equal(d.effect, CV_POLICY_ALLOW);
    cv_policy_context_free(&c);
    cv_policy_free(p);
}

static void test_administrators(void **state)
{
    static const char *const admins[] = {"arn:aws:iam::111122223333:role/Admin", "444455556666"};
    struct cv_policy_image image = {.mask = 0};
    (void)state;
    set(&image, 0, 'a');
    struct cv_policy_spec spec = {.principals = roles,
                                  .n_principals = 1,
                                  .images = &image,
                                  .n_images = 1,
                                  .admins = admins,
                                  .n_admins = 2};
    struct cv_policy *p = write_it(&spec);
    assert_true(may(p, admins[0], NULL, "kms:PutKeyPolicy", NULL));
    assert_false(may(p, ROOT, NULL, "kms:PutKeyPolicy", NULL));
    cv_policy_free(p);
}

static void test_refused(void **state)
{
    static const char *const odd[] = {"arn:aws:iam::1:role/x"};
    static const char *const all[] = {"*"};
    static const char *const account[] = {"111122223333"};
    struct cv_policy_image image = {.mask = 0}, none = {.mask = 0};
    (void)state;
    set(&image, 0, 'a');
    const struct cv_policy_spec specs[] = {
        {.images = &image, .n_images = 1},
        {.principals = roles, .n_principals = 1},
        {.principals = roles, .n_principals = 1, .images = &none, .n_images = 1},
        {.principals = odd, .n_principals = 1, .images = &image, .n_images = 1},
        {.principals = all, .n_principals = 1, .images = &image, .n_images = 1},
        {.principals = account, .n_principals = 1, .images = &image, .n_images = 1},
        {.principals = roles,
         .n_principals = 1,
         .images = &image,
         .n_images = 1,
         .admins = all,
         .n_admins = 1},
    };
    for (size_t i = 0; i < sizeof specs / sizeof specs[0]; i++) {
        struct cv_buf text;
        struct cv_error err;
        cv_error_clear(&err);
        cv_buf_init(&text, 65536);
        assert_int_equal(cv_policy_write(&text, &specs[i], &err), CV_ERR_INVALID);
        assert_int_equal(text.n, 0);
        cv_buf_free(&text);
    }
}

static void test_publishers(void **state)
{
    static const char *const publisher[] = {"arn:aws:iam::111122223333:role/Publisher"};
    static const char session[] = "arn:aws:sts::111122223333:assumed-role/Publisher/me";
    static struct cv_policy_image image;
    const struct cv_policy_spec spec = {.principals = roles,
                                        .n_principals = 1,
                                        .images = &image,
                                        .n_images = 1,
                                        .publishers = publisher,
                                        .n_publishers = 1};
    (void)state;
    set(&image, 0, 'a');
    struct cv_policy *p = write_it(&spec);
    assert_true(may(p, SESSION, ROLE, "kms:Decrypt", "0=a"));
    assert_false(may(p, SESSION, ROLE, "kms:Decrypt", "0=b"));
    assert_false(may(p, SESSION, ROLE, "kms:Decrypt", NULL));
    assert_false(may(p, SESSION, ROLE, "kms:GenerateDataKey", "0=a"));
    assert_false(may(p, SESSION, ROLE, "kms:GenerateDataKey", NULL));
    assert_true(may(p, session, publisher[0], "kms:GenerateDataKey", NULL));
    assert_false(may(p, session, publisher[0], "kms:Decrypt", NULL));
    assert_false(may(p, session, publisher[0], "kms:Decrypt", "0=a"));
    assert_false(may(p, session, publisher[0], "kms:Encrypt", NULL));
    assert_false(may(p, ROOT, NULL, "kms:GenerateDataKey", NULL));
    cv_policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_publishers),
        cmocka_unit_test(test_one_image),
        cmocka_unit_test(test_version_1_may_encrypt),
        cmocka_unit_test(test_upgrade),
        cmocka_unit_test(test_context_is_demanded),
        cmocka_unit_test(test_administrators),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
