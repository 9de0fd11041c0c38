/* SPDX-License-Identifier: Apache-2.0 */
/* What PutKeyPolicy refuses, and that no damaged policy gets past the parser
 * to do harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/policy.h"

static int parse(const char *text, size_t n, enum cv_policy_kind kind, struct cv_error *err)
{
    struct cv_policy *p = NULL;
    cv_error_clear(err);
    int rc = cv_policy_parse(&p, kind, CV_BYTES(text, n), err);
    assert_int_equal(rc == 0, p != NULL);
    cv_policy_free(p);
    return rc;
}

static void quotes(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text);
    for (char *c = out; *c; c++)
        if (*c == '\'')
            *c = '"';
}

#define GOOD_TAIL "'Effect':'Allow','Principal':'*','Action':'kms:*','Resource':'*'"

static const char *const accepted[] = {
    "{'Statement':[{" GOOD_TAIL "}]}",
    "{'Version':'2012-10-17','Id':'x','Statement':{" GOOD_TAIL "}}",
    "{'Version':'2012-10-17','Statement':[{'Sid':''," GOOD_TAIL "},{'Sid':''," GOOD_TAIL "}]}",
    "{'Version':'2012-10-17','Statement':[{'Sid':'Allow use of the key'," GOOD_TAIL "}]}",
    "{'Statement':[{" GOOD_TAIL ",'Condition':{}}]}",
    "{'Statement':[{" GOOD_TAIL ",'Condition':{'Bool':{'kms:GrantIsForAWSResource':true}}}]}",
    "{'Statement':[{'Effect':'Deny','NotPrincipal':{'AWS':'111122223333'},'NotAction':['kms:*'],"
    "'NotResource':'arn:aws:kms:*'}]}",
    "{'Statement':[{'Effect':'Allow','Principal':{'AWS':'AROACKCEVSQ6C2EXAMPLE'},'Action':'kms:*',"
    "'Resource':'*'}]}",
    "{'Statement':[{'Effect':'Allow','Principal':{'AWS':'arn:aws-us-gov:iam::111122223333:root',"
    "'Service':['a.amazonaws.com']},'Action':'*','Resource':['*']}]}",
};

/* Each with a word that the sentence must hold. */
static const struct {
    const char *policy, *word;
} refused[] = {
    {"", "JSON"},
    {"[]", "object"},
    {"{}", "Statement"},
    {"{'Statement':[]}", "Statement"},
    {"{'Statement':[{" GOOD_TAIL "}]} x", "JSON"},
    {"{'Statement':[{" GOOD_TAIL "}],'Statement':[{" GOOD_TAIL "}]}", "JSON"},
    {"{'Version':'2013-10-17','Statement':[{" GOOD_TAIL "}]}", "Version"},
    {"{'Version':2012,'Statement':[{" GOOD_TAIL "}]}", "Version"},
    {"{'Foo':1,'Statement':[{" GOOD_TAIL "}]}", "unknown element 'Foo'"},
    {"{'Statement':['x']}", "statement 1 is not an object"},
    {"{'Statement':[{" GOOD_TAIL ",'Conditions':{}}]}", "unknown element 'Conditions'"},
    {"{'Statement':[{'Sid':'a/b'," GOOD_TAIL "}]}", "Sid"},
    {"{'Statement':[{'Sid':'a'," GOOD_TAIL "},{'Sid':'a'," GOOD_TAIL "}]}", "same Sid"},
    {"{'Statement':[{'Effect':'allow','Principal':'*','Action':'kms:*','Resource':'*'}]}",
     "Effect"},
    {"{'Statement':[{'Principal':'*','Action':'kms:*','Resource':'*'}]}", "Effect"},
    {"{'Statement':[{'Effect':'Allow','Action':'kms:*','Resource':'*'}]}", "Principal"},
    {"{'Statement':[{'Effect':'Deny','Principal':'*','NotPrincipal':'*','Action':'kms:*',"
     "'Resource':'*'}]}",
     "exclude"},
    {"{'Statement':[{'Effect':'Allow','NotPrincipal':{'AWS':'111122223333'},'Action':'kms:*',"
     "'Resource':'*'}]}",
     "NotPrincipal"},
    {"{'Statement':[{'Effect':'Allow','Principal':'me','Action':'kms:*','Resource':'*'}]}",
     "Principal"},
    {"{'Statement':[{'Effect':'Allow','Principal':{},'Action':'kms:*','Resource':'*'}]}",
     "Principal"},
    {"{'Statement':[{'Effect':'Allow','Principal':{'AWS':[]},'Action':'kms:*','Resource':'*'}]}",
     "empty"},
    {"{'Statement':[{'Effect':'Allow','Principal':{'AWS':'arn:aws:iam::111122223333:role/*'},"
     "'Action':'kms:*','Resource':'*'}]}",
     "principal"},
    {"{'Statement':[{'Effect':'Allow','Principal':{'AWS':'1234'},'Action':'kms:*',"
     "'Resource':'*'}]}",
     "principal"},
    {"{'Statement':[{'Effect':'Allow','Principal':{'Aws':'*'},'Action':'kms:*','Resource':'*'}]}",
     "kind of principal"},
    {"{'Statement':[{'Effect':'Allow','Principal':'*','Action':'Decrypt','Resource':'*'}]}",
     "action"},
    {"{'Statement':[{'Effect':'Allow','Principal':'*','Action':[],'Resource':'*'}]}", "Action"},
    {"{'Statement':[{'Effect':'Allow','Principal':'*','Action':[1],'Resource':'*'}]}", "Action"},
    {"{'Statement':[{'Effect':'Allow','Principal':'*','Action':'kms:*','NotAction':'kms:*',"
     "'Resource':'*'}]}",
     "Action"},
    {"{'Statement':[{'Effect':'Allow','Principal':'*','Action':'kms:*'}]}", "Resource"},
    {"{'Statement':[{'Effect':'Allow','Principal':'*','Action':'kms:*','Resource':'key/1'}]}",
     "resource"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':[]}]}", "Condition"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'StringEquals':'x'}}]}", "operator"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'StringEqual':{'kms:x':'y'}}}]}",
     "'StringEqual' is no condition operator"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'stringequals':{'kms:x':'y'}}}]}", "operator"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'NullIfExists':{'kms:x':'true'}}}]}", "operator"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'ForSome:StringEquals':{'kms:x':'y'}}}]}",
     "operator"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'StringEquals':{'x':'y'}}}]}", "condition key"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'StringEquals':{'kms:x':{}}}}]}", "string"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'NumericEquals':{'kms:x':'ten'}}}]}",
     "'ten' is no value"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'DateEquals':{'kms:x':'now'}}}]}", "value"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'Bool':{'kms:x':'yes'}}}]}", "value"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'IpAddress':{'aws:SourceIp':'1.2.3.4/33'}}}]}",
     "value"},
    {"{'Statement':[{" GOOD_TAIL ",'Condition':{'BinaryEquals':{'kms:x':'*'}}}]}", "value"},
};

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        char json[2048], why[512];
        struct cv_error err;
        quotes(json, sizeof json, accepted[i]);
        if (parse(json, strlen(json), CV_POLICY_KEY, &err))
            fail_msg("%s: %s", json, cv_error_format(why, sizeof why, &err));
    }
}

static void test_refused_with_a_sentence(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char json[2048], why[512];
        struct cv_error err;
        quotes(json, sizeof json, refused[i].policy);
        if (parse(json, strlen(json), CV_POLICY_KEY, &err) != CV_ERR_INVALID)
            fail_msg("accepted: %s", json);
        cv_error_format(why, sizeof why, &err);
        if (!strstr(why, refused[i].word))
            fail_msg("%s: '%s' does not mention '%s'", json, why, refused[i].word);
    }
}

static void test_kinds(void **state)
{
    (void)state;
    struct cv_error err;
    static const char with[] = "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\","
                               "\"Action\":\"kms:*\",\"Resource\":\"*\"}}";
    static const char without[] = "{\"Statement\":{\"Effect\":\"Allow\","
                                  "\"Action\":\"kms:*\",\"Resource\":\"*\"}}";
    assert_int_equal(parse(with, sizeof with - 1, CV_POLICY_KEY, &err), 0);
    assert_int_equal(parse(with, sizeof with - 1, CV_POLICY_IDENTITY, &err), CV_ERR_INVALID);
    assert_int_equal(parse(without, sizeof without - 1, CV_POLICY_IDENTITY, &err), 0);
    assert_int_equal(parse(without, sizeof without - 1, CV_POLICY_KEY, &err), CV_ERR_INVALID);
}

static void test_size(void **state)
{
    (void)state;
    struct cv_error err;
    static char json[CV_POLICY_MAX + 1];
    static const char body[] = "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\","
                               "\"Action\":\"kms:*\",\"Resource\":\"*\"}}";
    memset(json, ' ', sizeof json);
    memcpy(json, body, sizeof body - 1);
    assert_int_equal(parse(json, CV_POLICY_MAX, CV_POLICY_KEY, &err), 0);
    assert_int_equal(parse(json, CV_POLICY_MAX + 1, CV_POLICY_KEY, &err), CV_ERR_LIMIT);
    memset(json, '[', CV_POLICY_MAX);
    assert_int_equal(parse(json, CV_POLICY_MAX, CV_POLICY_KEY, &err), CV_ERR_INVALID);
}

static const char sample[] =
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"E\",\"Effect\":\"Allow\",\"Principal\":"
    "{\"AWS\":\"arn:aws:iam::111122223333:role/R\"},\"Action\":[\"kms:Decrypt\"],\"Resource\":\"*\","
    "\"Condition\":{\"StringEqualsIgnoreCase\":{\"kms:RecipientAttestation:PCR0\":\"aa\"}}}]}";

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    struct cv_error err;
    for (size_t n = 0; n < sizeof sample - 1; n++) {
        char *copy = malloc(n + 1); /* exact, so that a sanitizer sees an over-read */
        assert_non_null(copy);
        memcpy(copy, sample, n);
        assert_int_not_equal(parse(copy, n, CV_POLICY_KEY, &err), 0);
        free(copy);
    }
}

/* A flipped bit is refused or changes what is allowed; it never crashes, and a
 * request that the sample refuses is not allowed by a policy with one bit of
 * its condition's value changed. */
static void test_every_bit_flip(void **state)
{
    (void)state;
    struct cv_policy_request r = {"kms:Decrypt",
                                  "arn:aws:kms:us-west-2:111122223333:key/k",
                                  "arn:aws:iam::111122223333:user/x",
                                  NULL,
                                  NULL,
                                  NULL,
                                  0};
    for (size_t bit = 0; bit < 8 * (sizeof sample - 1); bit++) {
        char copy[sizeof sample];
        struct cv_policy *p = NULL;
        struct cv_policy_decision d;
        memcpy(copy, sample, sizeof sample);
        copy[bit / 8] = (char)(copy[bit / 8] ^ (1 << (bit % 8)));
        if (cv_policy_parse(&p, CV_POLICY_KEY, CV_BYTES(copy, sizeof sample - 1), NULL))
            continue;
        cv_policy_evaluate(&d, p, &r);
        assert_int_equal(d.effect, CV_POLICY_DENY_IMPLICIT);
        cv_policy_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused_with_a_sentence),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_size),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_every_bit_flip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
