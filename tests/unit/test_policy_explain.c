/* SPDX-License-Identifier: Apache-2.0 */
/* Policies in words, and the traps that must be found in them - and only those. */
#include <stdlib.h>

#include "cv_test.h"

#include "policy/explain.h"

#define ROLE "'Principal':{'AWS':'arn:aws:iam::111122223333:role/R'}"
#define ROOT "'Principal':{'AWS':'arn:aws:iam::111122223333:root'}"
#define HEX \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define UPPER \
    "AAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ZEROS \
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
#define IMAGE "kms:RecipientAttestation:ImageSha384"
#define ALLOW(who, action, condition) \
    "{'Effect':'Allow'," who ",'Action':" action ",'Resource':'*'" condition "}"
#define DENY(action, condition) \
    "{'Effect':'Deny','Principal':'*','Action':" action ",'Resource':'*'" condition "}"
#define IS(op, value) ",'Condition':{'" op "':{'" IMAGE "':'" value "'}}"

static struct cv_policy *parse(const char *statements)
{
    char json[8192];
    struct cv_policy *p = NULL;
    struct cv_error err;
    cv_error_clear(&err);
    snprintf(json, sizeof json, "{'Version':'2012-10-17','Statement':[%s]}", statements);
    for (char *c = json; *c; c++)
        if (*c == '\'')
            *c = '"';
    assert_code(cv_policy_parse(&p, CV_POLICY_KEY, cv_bytes_str(json), &err), 0, &err);
    return p;
}

struct seen {
    char codes[1024];
};

static void note(void *ctx, const struct cv_policy_trap *t)
{
    struct seen *s = ctx;
    size_t n = strlen(s->codes);
    assert_true(strlen(t->text) > 20);
    snprintf(s->codes + n, sizeof s->codes - n, "%s%s", n ? " " : "", t->code);
}

static const struct {
    const char *statements, *codes;
} cases[] = {
    /* A policy that binds. */
    {ALLOW(ROLE, "['kms:Decrypt','kms:GenerateDataKey']", IS("StringEqualsIgnoreCase", HEX)), ""},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("StringEquals", HEX)), ""},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("StringLike", HEX)), ""},
    /* AWS's default key policy. */
    {ALLOW(ROOT, "'kms:*'", ""), "unattested-decrypt unattested-data-key unattested-shared-secret "
                                 "re-encrypt grant unattested-encrypt can-change-policy"},
    {ALLOW(ROOT, "'kms:*'",
           "") "," DENY("['kms:Decrypt','kms:GenerateDataKey*','kms:DeriveSharedSecret']",
                        IS("StringNotEqualsIgnoreCase",
                           HEX)) "," DENY("['kms:ReEncrypt*','kms:CreateGrant','kms:Encrypt']", ""),
     "can-change-policy"},
    /* The Deny must be for everybody, everything, and hold without attestation. */
    {ALLOW(ROLE, "'kms:Decrypt'", "") "," DENY("'kms:Decrypt'", IS("StringNotEquals", HEX)), ""},
    {ALLOW(ROLE, "'kms:Decrypt'", "") "," DENY("'kms:Decrypt'", IS("Null", "true")), "any-enclave"},
    /* Any attestation, of whatever enclave. */
    {ALLOW(ROLE, "'kms:Decrypt'", IS("Null", "false")), "any-enclave"},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("StringLike", "*")), "any-enclave"},
    {ALLOW(ROLE, "'kms:GenerateDataKey*'", IS("StringLike", "??*")), "any-enclave"},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("StringLike", "aa*")), ""},
    {ALLOW(ROLE, "'kms:DescribeKey'", IS("Null", "false")), ""},
    {ALLOW(ROLE, "'kms:Decrypt'",
           IS("Null", "false")) "," DENY("'kms:Decrypt'", IS("StringNotEqualsIgnoreCase", HEX)),
     ""},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("Null", "false")) "," DENY("'*'", IS("StringEquals", ZEROS)),
     ""},
    {ALLOW(ROLE, "'kms:Decrypt'", "") "," DENY("'kms:Decrypt'", IS("StringNotEqualsIfExists", HEX)),
     ""},
    {ALLOW(ROLE, "'kms:Decrypt'", "") "," DENY("'kms:Decrypt'", IS("StringEquals", HEX)),
     "unattested-decrypt"},
    {ALLOW(ROLE, "'kms:Decrypt'", "") "," DENY("'kms:Encrypt'", ""), "unattested-decrypt"},
    {ALLOW(ROLE, "'kms:Decrypt'", "") ",{'Effect':'Deny'," ROLE ",'Action':'kms:*','Resource':'*'}",
     "unattested-decrypt"},
    {ALLOW(ROLE, "'kms:Decrypt'",
           "") ",{'Effect':'Deny','Principal':'*','Action':'kms:*','Resource':"
               "'arn:aws:kms:*:*:key/x'}",
     "unattested-decrypt"},
    {ALLOW(ROLE, "'kms:Decrypt'", "") "," DENY("'kms:Decrypt'",
                                               ",'Condition':{'StringNotEquals':{'" IMAGE "':'" HEX
                                               "','aws:PrincipalArn':'x'}}"),
     "unattested-decrypt"},
    /* Operators that pass when the key is absent. */
    {ALLOW(ROLE, "'kms:Decrypt'", IS("StringEqualsIfExists", HEX)),
     "unattested-decrypt passes-when-absent"},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("ForAllValues:StringEquals", HEX)),
     "unattested-decrypt passes-when-absent"},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("Null", "true")), "unattested-decrypt passes-when-absent"},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("StringNotEquals", HEX)),
     "unattested-decrypt passes-when-absent"},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("ForAnyValue:StringEquals", HEX)), ""},
    /* Values. */
    {ALLOW(ROLE, "'kms:Decrypt'", IS("StringEqualsIgnoreCase", ZEROS)), "zero-register"},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("StringEquals", UPPER)), "upper-case"},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("StringEqualsIgnoreCase", UPPER)), ""},
    {ALLOW(ROLE, "'kms:Decrypt'", IS("StringEqualsIgnoreCase", "abcd")), "bad-value"},
    /* Keys. */
    {ALLOW(ROLE, "'kms:Decrypt'",
           ",'Condition':{'StringEquals':{'kms:RecipientAttestation':'" HEX "'}}"),
     "unknown-key"},
    {ALLOW(ROLE, "'kms:Decrypt'",
           ",'Condition':{'StringEquals':{'kms:RecipientAttestation:PCR32':'" HEX "'}}"),
     "unknown-key"},
    {ALLOW(ROLE, "'kms:Decrypt'",
           ",'Condition':{'StringEquals':{'KMS:recipientattestation:pcr8':'" HEX "'}}"),
     ""},
    /* Others. */
    {ALLOW("'Principal':'*'", "'kms:Decrypt'", IS("StringEquals", HEX)), ""},
    {ALLOW("'Principal':'*'", "'kms:DescribeKey'", ""), "everybody"},
    {ALLOW(ROLE, "'kms:Encrypt'", ""), "unattested-encrypt"},
    {ALLOW(ROLE, "'kms:Create*'", ""), "grant"},
    {"{'Effect':'Allow'," ROOT ",'NotAction':'kms:Decrypt','Resource':'*'}",
     "unattested-data-key unattested-shared-secret re-encrypt grant unattested-encrypt can-change-policy"},
    {ALLOW(ROLE, "'kms:Decrypt'", ",'Condition':{'StringEquals':{'kms:ViaService':'x'}}"),
     "unattested-decrypt"},
};

static void test_traps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct cv_policy *p = parse(cases[i].statements);
        struct seen seen = {.codes = ""};
        (void)cv_policy_traps(p, note, &seen);
        if (strcmp(seen.codes, cases[i].codes))
            fail_msg("case %zu %s\n found: %s\nwanted: %s", i, cases[i].statements, seen.codes,
                     cases[i].codes);
        cv_policy_free(p);
    }
}

static void says(const char *statement, const char *words)
{
    struct cv_policy *p = parse(statement);
    struct cv_buf text;
    cv_buf_init(&text, 8192);
    assert_int_equal(cv_policy_say(&text, p, 0), 0);
    assert_string_equal((char *)text.p, words);
    cv_buf_free(&text);
    cv_policy_free(p);
}

static void test_words(void **state)
{
    (void)state;
    says(ALLOW(ROLE, "['kms:Decrypt','kms:Encrypt']", IS("StringEqualsIgnoreCase", "aa")),
         "allows arn:aws:iam::111122223333:role/R kms:Decrypt, kms:Encrypt, if " IMAGE
         " is aa (in any case)");
    says(DENY("'kms:*'",
              ",'Condition':{'Null':{'" IMAGE "':'true'},'NumericLessThan':{'kms:n':[1,2]}}"),
         "denies everybody kms:*, if " IMAGE " is absent, and kms:n is less than 1 or 2");
    says(
        "{'Effect':'Deny','NotPrincipal':{'AWS':'111122223333','Service':'a.b'},'NotAction':'kms:Get*',"
        "'NotResource':'arn:aws:kms:*'}",
        "denies everybody but 111122223333; the service a.b everything but kms:Get* on all but "
        "arn:aws:kms:*");
    says(
        ALLOW(ROLE, "'kms:Decrypt'",
              ",'Condition':{'ForAllValues:StringNotLike':{'kms:x':['a*','b']}}"),
        "allows arn:aws:iam::111122223333:role/R kms:Decrypt, if every value of kms:x does not match "
        "a* nor b, or it is absent");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_traps),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
