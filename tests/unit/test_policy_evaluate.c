/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key policies decided as AWS documents it. Each case is one policy (single
 * quotes stand for double ones), one request and the documented outcome; the
 * page that says so is named where it is not obvious.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "policy/context.h"
#include "policy/policy.h"

#define ACCT "111122223333"
#define KEY "arn:aws:kms:us-west-2:" ACCT ":key/1234abcd-12ab-34cd-56ef-1234567890ab"
#define ROLE "arn:aws:iam::" ACCT ":role/Enclave"
#define SESSION "arn:aws:sts::" ACCT ":assumed-role/Enclave/i-0123456789abcdef0"
#define USER "arn:aws:iam::" ACCT ":user/alice"
#define ROOT "arn:aws:iam::" ACCT ":root"
#define OTHER "arn:aws:iam::444455556666:role/Enclave"
#define P0 "aa11"
#define P3 "bb22"

static struct cv_policy *parse(const char *text, enum cv_policy_kind kind)
{
    struct cv_policy *p = NULL;
    struct cv_error err;
    char json[8192], why[512];
    cv_error_clear(&err);
    snprintf(json, sizeof json, "%s", text);
    for (char *c = json; *c; c++)
        if (*c == '\'')
            *c = '"';
    if (cv_policy_parse(&p, kind, cv_bytes_str(json), &err))
        fail_msg("%s\n%s", cv_error_format(why, sizeof why, &err), json);
    return p;
}

/* "key=value;key=value" */
static void add_attrs(struct cv_policy_context *c, const char *attrs)
{
    char copy[2048], *save = NULL;
    snprintf(copy, sizeof copy, "%s", attrs ? attrs : "");
    for (char *one = strtok_r(copy, ";", &save); one; one = strtok_r(NULL, ";", &save)) {
        char *eq = strchr(one, '=');
        assert_non_null(eq);
        *eq = '\0';
        assert_int_equal(cv_policy_context_add(c, one, eq + 1), 0);
    }
}

static void evaluate(struct cv_policy_decision *d, const char *policy, const char *action,
                     const char *principal, const char *role, const char *service,
                     const char *attrs)
{
    struct cv_policy *p = parse(policy, CV_POLICY_KEY);
    static struct cv_policy_context c;
    cv_policy_context_init(&c);
    if (principal)
        assert_int_equal(cv_policy_context_add_caller(&c, principal, role), 0);
    add_attrs(&c, attrs);
    struct cv_policy_request r = {action, KEY, principal, role, service, c.attrs, c.n};
    cv_policy_evaluate(d, p, &r);
    cv_policy_context_free(&c);
    cv_policy_free(p);
}

/* ---- conditions: one Allow statement, one condition ---- */

struct condition_case {
    const char *condition; /* inside of "Condition": {…} */
    const char *attrs;
    bool holds;
};

static const struct condition_case conditions[] = {
    /* String operators. */
    {"'StringEquals':{'kms:x':'abc'}", "kms:x=abc", true},
    {"'StringEquals':{'kms:x':'abc'}", "kms:x=ABC", false},
    {"'StringEquals':{'kms:x':'abc'}", "kms:x=abcd", false},
    {"'StringEquals':{'kms:x':'abc'}", "", false},
    {"'StringEquals':{'kms:x':['a','b']}", "kms:x=b", true},
    {"'StringEquals':{'kms:x':'a*'}", "kms:x=abc", false},
    {"'StringEquals':{'kms:x':'a*'}", "kms:x=a*", true},
    {"'StringEquals':{'KMS:X':'abc'}", "kms:x=abc", true}, /* key names ignore case */
    {"'StringNotEquals':{'kms:x':'abc'}", "kms:x=abc", false},
    {"'StringNotEquals':{'kms:x':'abc'}", "kms:x=xyz", true},
    {"'StringNotEquals':{'kms:x':'abc'}", "", true},             /* negated and absent: true */
    {"'StringNotEquals':{'kms:x':['a','b']}", "kms:x=b", false}, /* NOR */
    {"'StringNotEquals':{'kms:x':['a','b']}", "kms:x=c", true},
    {"'StringEqualsIgnoreCase':{'kms:x':'aBc'}", "kms:x=AbC", true},
    {"'StringEqualsIgnoreCase':{'kms:x':'aBc'}", "", false},
    {"'StringNotEqualsIgnoreCase':{'kms:x':'aBc'}", "kms:x=AbC", false},
    {"'StringNotEqualsIgnoreCase':{'kms:x':'aBc'}", "kms:x=z", true},
    {"'StringNotEqualsIgnoreCase':{'kms:x':'aBc'}", "", true},
    {"'StringLike':{'kms:x':'a*z'}", "kms:x=abcz", true},
    {"'StringLike':{'kms:x':'a*z'}", "kms:x=az", true},
    {"'StringLike':{'kms:x':'a?z'}", "kms:x=abz", true},
    {"'StringLike':{'kms:x':'a?z'}", "kms:x=az", false},
    {"'StringLike':{'kms:x':'A*'}", "kms:x=abc", false},
    {"'StringLike':{'kms:x':'*'}", "", false}, /* absent matches no pattern */
    {"'StringLike':{'kms:x':'*a*b*c*'}", "kms:x=xxaxxbxxcxx", true},
    {"'StringLike':{'kms:x':'*a*b*c*'}", "kms:x=xxaxxcxxbxx", false},
    {"'StringNotLike':{'kms:x':'a*'}", "kms:x=abc", false},
    {"'StringNotLike':{'kms:x':'a*'}", "", true},
    /* IfExists. */
    {"'StringEqualsIfExists':{'kms:x':'a'}", "", true},
    {"'StringEqualsIfExists':{'kms:x':'a'}", "kms:x=a", true},
    {"'StringEqualsIfExists':{'kms:x':'a'}", "kms:x=b", false},
    {"'StringNotEqualsIfExists':{'kms:x':'a'}", "", true},
    {"'StringNotEqualsIfExists':{'kms:x':'a'}", "kms:x=a", false},
    {"'NumericLessThanIfExists':{'kms:x':'5'}", "", true},
    {"'BoolIfExists':{'kms:x':'true'}", "", true},
    {"'BoolIfExists':{'kms:x':'true'}", "kms:x=false", false},
    /* Null: "true" wants the key absent. */
    {"'Null':{'kms:x':'true'}", "", true},
    {"'Null':{'kms:x':'true'}", "kms:x=a", false},
    {"'Null':{'kms:x':'false'}", "", false},
    {"'Null':{'kms:x':'false'}", "kms:x=a", true},
    {"'Null':{'kms:x':true}", "", true},
    {"'Null':{'kms:x':false}", "kms:x=", true},
    /* Sets: AND over the request's values, or any of them. */
    {"'ForAllValues:StringEquals':{'kms:x':['a','b']}", "kms:x=a;kms:x=b", true},
    {"'ForAllValues:StringEquals':{'kms:x':['a','b','c']}", "kms:x=a", true},
    {"'ForAllValues:StringEquals':{'kms:x':['a','b']}", "kms:x=a;kms:x=c", false},
    {"'ForAllValues:StringEquals':{'kms:x':['a','b']}", "", true}, /* the trap: absent passes */
    {"'ForAllValues:StringNotEquals':{'kms:x':['a','b']}", "kms:x=c;kms:x=d", true},
    {"'ForAllValues:StringNotEquals':{'kms:x':['a','b']}", "kms:x=c;kms:x=a", false},
    {"'ForAllValues:StringLike':{'kms:x':'Created*'}", "kms:x=CreatedBy;kms:x=CreatedAt", true},
    {"'ForAnyValue:StringEquals':{'kms:x':['a','b']}", "kms:x=z;kms:x=b", true},
    {"'ForAnyValue:StringEquals':{'kms:x':['a','b']}", "kms:x=z", false},
    {"'ForAnyValue:StringEquals':{'kms:x':['a','b']}", "", false},
    {"'ForAnyValue:StringNotEquals':{'kms:x':['a']}", "kms:x=a;kms:x=b", true},
    {"'ForAnyValue:StringNotEquals':{'kms:x':['a']}", "kms:x=a", false},
    {"'ForAnyValue:StringNotEquals':{'kms:x':['a']}", "", false},
    {"'ForAnyValue:StringEqualsIgnoreCase':{'kms:x':'A'}", "kms:x=a", true},
    /* Numbers, dates, Booleans. */
    {"'NumericEquals':{'kms:x':'10'}", "kms:x=10.0", true},
    {"'NumericEquals':{'kms:x':10}", "kms:x=10", true},
    {"'NumericEquals':{'kms:x':'10'}", "kms:x=ten", false},
    {"'NumericNotEquals':{'kms:x':'10'}", "kms:x=11", true},
    {"'NumericNotEquals':{'kms:x':'10'}", "", true},
    {"'NumericLessThan':{'kms:x':'10'}", "kms:x=9", true},
    {"'NumericLessThan':{'kms:x':'10'}", "kms:x=10", false},
    {"'NumericLessThanEquals':{'kms:x':'10'}", "kms:x=10", true},
    {"'NumericGreaterThan':{'kms:x':'10'}", "kms:x=10.5", true},
    {"'NumericGreaterThan':{'kms:x':'10'}", "kms:x=9", false},
    {"'NumericGreaterThanEquals':{'kms:x':'10'}", "kms:x=10", true},
    {"'NumericGreaterThanEquals':{'kms:x':'10'}", "", false},
    {"'DateLessThan':{'aws:CurrentTime':'2027-01-01T00:00:00Z'}",
     "aws:CurrentTime=2026-11-29T06:25:12Z", true},
    {"'DateLessThan':{'aws:CurrentTime':'2026-01-01T00:00:00Z'}",
     "aws:CurrentTime=2026-11-29T06:25:12Z", false},
    {"'DateGreaterThan':{'aws:CurrentTime':'2026-01-01'}", "aws:CurrentTime=2026-11-29T06:25:12Z",
     true},
    {"'DateGreaterThan':{'aws:EpochTime':'1700000000'}", "aws:EpochTime=1764397512", true},
    {"'DateEquals':{'aws:CurrentTime':'2026-11-29T07:25:12+01:00'}",
     "aws:CurrentTime=2026-11-29T06:25:12Z", true},
    {"'Bool':{'kms:x':'true'}", "kms:x=true", true},
    {"'Bool':{'kms:x':'true'}", "kms:x=false", false},
    {"'Bool':{'kms:x':true}", "kms:x=true", true},
    {"'Bool':{'kms:x':'false'}", "", false},
    {"'BinaryEquals':{'kms:x':'QmluYXJ5'}", "kms:x=QmluYXJ5", true},
    {"'BinaryEquals':{'kms:x':'QmluYXJ5'}", "kms:x=QmluYXJ6", false},
    /* Addresses. */
    {"'IpAddress':{'aws:SourceIp':'203.0.113.0/24'}", "aws:SourceIp=203.0.113.7", true},
    {"'IpAddress':{'aws:SourceIp':'203.0.113.0/24'}", "aws:SourceIp=203.0.114.7", false},
    {"'IpAddress':{'aws:SourceIp':'203.0.113.9'}", "aws:SourceIp=203.0.113.9", true},
    {"'IpAddress':{'aws:SourceIp':'2001:db8::/32'}", "aws:SourceIp=2001:db8:1::1", true},
    {"'IpAddress':{'aws:SourceIp':'2001:db8::/32'}", "aws:SourceIp=2001:db9::1", false},
    {"'NotIpAddress':{'aws:SourceIp':'203.0.113.0/24'}", "aws:SourceIp=198.51.100.1", true},
    {"'NotIpAddress':{'aws:SourceIp':'203.0.113.0/24'}", "", true},
    {"'IpAddress':{'aws:SourceIp':'203.0.113.0/24'}", "", false},
    /* ARNs: six parts, each with its own wildcards; Equals and Like alike. */
    {"'ArnLike':{'aws:SourceArn':'arn:aws:iam::*:role/E*'}",
     "aws:SourceArn=arn:aws:iam::111122223333:role/Enclave", true},
    {"'ArnEquals':{'aws:SourceArn':'arn:aws:iam::*:role/E*'}",
     "aws:SourceArn=arn:aws:iam::111122223333:role/Enclave", true},
    {"'ArnEquals':{'aws:SourceArn':'arn:aws:s*:role/E'}",
     "aws:SourceArn=arn:aws:sns:us-east-1:1:role/E", false},
    {"'ArnNotLike':{'aws:SourceArn':'arn:aws:iam::*:role/E*'}",
     "aws:SourceArn=arn:aws:iam::111122223333:user/x", true},
    {"'ArnNotEquals':{'aws:SourceArn':'arn:aws:iam::1:role/E'}", "", true},
    {"'ArnLike':{'aws:SourceArn':'arn:aws:iam::*:role/E*'}", "", false},
    /* Several keys and operators are AND. */
    {"'StringEquals':{'kms:x':'a','kms:y':'b'}", "kms:x=a;kms:y=b", true},
    {"'StringEquals':{'kms:x':'a','kms:y':'b'}", "kms:x=a", false},
    {"'StringEquals':{'kms:x':'a'},'Null':{'kms:y':'true'}", "kms:x=a;kms:y=b", false},
    {"", "", true},
    /* Variables. */
    {"'StringEquals':{'kms:x':'${aws:PrincipalAccount}'}", "kms:x=" ACCT, true},
    {"'StringEquals':{'kms:x':'${aws:nothing}'}", "kms:x=", false},
    {"'StringEquals':{'kms:x':'${aws:nothing, \\u0027dflt\\u0027}'}", "kms:x=dflt", true},
    {"'StringEquals':{'kms:x':'${kms:y, \\u0027dflt\\u0027}'}", "kms:x=dflt;kms:y=z", false},
    {"'StringLike':{'kms:x':'a${*}b'}", "kms:x=axb", false},
    {"'StringLike':{'kms:x':'a${*}b'}", "kms:x=a*b", true},
    {"'StringLike':{'kms:x':'${kms:y}'}", "kms:y=*;kms:x=anything", false},
    {"'StringLike':{'kms:x':'${kms:y}'}", "kms:y=*;kms:x=*", true},
    {"'StringNotEquals':{'kms:x':'${aws:PrincipalAccount}'}", "kms:x=" ACCT, false},
    /* The caller. */
    {"'StringEquals':{'kms:CallerAccount':'" ACCT "'}", "", true},
    {"'StringEquals':{'kms:CallerAccount':'444455556666'}", "", false},
    {"'ArnEquals':{'aws:PrincipalArn':'" ROLE "'}", "", true}, /* of the role, not the session */
    {"'ArnEquals':{'aws:PrincipalArn':'" SESSION "'}", "", false},
    {"'StringEquals':{'aws:PrincipalType':'AssumedRole'}", "", true},
    {"'StringEquals':{'kms:ViaService':'s3.us-west-2.amazonaws.com'}", "", false},
    {"'StringNotEquals':{'kms:ViaService':'s3.us-west-2.amazonaws.com'}", "", true},
};

static void test_conditions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof conditions / sizeof conditions[0]; i++) {
        const struct condition_case *c = &conditions[i];
        struct cv_policy_decision d;
        char policy[4096];
        snprintf(policy, sizeof policy,
                 "{'Version':'2012-10-17','Statement':[{'Sid':'S','Effect':'Allow','Principal':"
                 "{'AWS':'" ROLE "'},'Action':'kms:Decrypt','Resource':'*','Condition':{%s}}]}",
                 c->condition);
        evaluate(&d, policy, "kms:Decrypt", SESSION, ROLE, NULL, c->attrs);
        if ((d.effect == CV_POLICY_ALLOW) != c->holds)
            fail_msg("case %zu: %s with '%s' should%s hold", i, c->condition, c->attrs,
                     c->holds ? "" : " not");
        /* What failed is named, unless it held. */
        assert_int_equal(d.near_statement, c->holds ? -1 : 0);
        if (!c->holds) {
            assert_false(d.near_condition.satisfied);
            assert_true(d.near_condition.op[0] != '\0');
        }
    }
}

/* ---- whole policies ---- */

struct policy_case {
    const char *name;
    const char *policy; /* the list of statements */
    const char *action, *principal, *role, *service, *attrs;
    enum cv_policy_effect effect;
    const char *sid; /* deciding statement; NULL: do not look */
};

#define ST(sid, effect, who, action, rest) \
    "{'Sid':'" sid "','Effect':'" effect "'," who ",'Action':" action ",'Resource':'*'" rest "}"
#define TO_ROLE "'Principal':{'AWS':'" ROLE "'}"
#define TO_ROOT "'Principal':{'AWS':'" ROOT "'}"
#define ATTESTED                                                                     \
    ",'Condition':{'StringEqualsIgnoreCase':{'kms:RecipientAttestation:ImageSha384'" \
    ":'" P0 "'}}"
#define UNATTESTED                               \
    ",'Condition':{'StringNotEqualsIgnoreCase':" \
    "{'kms:RecipientAttestation:ImageSha384':'" P0 "'}}"
#define I0 "kms:RecipientAttestation:ImageSha384=" P0
#define IX "kms:RecipientAttestation:ImageSha384=dead"
#define DEC "kms:Decrypt"

static const struct policy_case policies[] = {
    {"no statement for the caller", ST("A", "Allow", TO_ROLE, "'kms:*'", ""), DEC, USER, NULL, NULL,
     "", CV_POLICY_DENY_IMPLICIT, NULL},
    {"role named, session asks", ST("A", "Allow", TO_ROLE, "'kms:*'", ""), DEC, SESSION, ROLE, NULL,
     "", CV_POLICY_ALLOW, "A"},
    {"session named", ST("A", "Allow", "'Principal':{'AWS':'" SESSION "'}", "'kms:*'", ""), DEC,
     SESSION, ROLE, NULL, "", CV_POLICY_ALLOW, "A"},
    {"another session of the role named",
     ST("A", "Allow", "'Principal':{'AWS':'arn:aws:sts::" ACCT ":assumed-role/Enclave/other'}",
        "'kms:*'", ""),
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_DENY_IMPLICIT, NULL},
    {"everyone", ST("A", "Allow", "'Principal':'*'", "'kms:*'", ""), DEC, USER, NULL, NULL, "",
     CV_POLICY_ALLOW, "A"},
    {"everyone as AWS", ST("A", "Allow", "'Principal':{'AWS':'*'}", "'kms:*'", ""), DEC, USER, NULL,
     NULL, "", CV_POLICY_ALLOW, "A"},
    {"list of principals",
     ST("A", "Allow", "'Principal':{'AWS':['" USER "','" ROLE "']}", "'kms:*'", ""), DEC, SESSION,
     ROLE, NULL, "", CV_POLICY_ALLOW, "A"},
    /* KMS Developer Guide, "Default key policy": root delegates to IAM. */
    {"root statement delegates", ST("Root", "Allow", TO_ROOT, "'kms:*'", ""), DEC, USER, NULL, NULL,
     "", CV_POLICY_DELEGATED, "Root"},
    {"account id delegates", ST("Root", "Allow", "'Principal':{'AWS':'" ACCT "'}", "'kms:*'", ""),
     DEC, USER, NULL, NULL, "", CV_POLICY_DELEGATED, "Root"},
    {"root itself is allowed", ST("Root", "Allow", TO_ROOT, "'kms:*'", ""), DEC, ROOT, NULL, NULL,
     "", CV_POLICY_ALLOW, "Root"},
    {"a direct allow beats delegation",
     ST("Root", "Allow", TO_ROOT, "'kms:*'", "") "," ST("A", "Allow", TO_ROLE, "'kms:Decrypt'", ""),
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_ALLOW, "A"},
    {"another account's root does not",
     ST("Root", "Allow", "'Principal':{'AWS':'444455556666'}", "'kms:*'", ""), DEC, USER, NULL,
     NULL, "", CV_POLICY_DENY_IMPLICIT, NULL},
    {"a caller of another account needs its own policies too",
     ST("X", "Allow", "'Principal':{'AWS':'" OTHER "'}", "'kms:*'", ""), DEC, OTHER, NULL, NULL, "",
     CV_POLICY_DELEGATED, "X"},
    {"service",
     ST("A", "Allow", "'Principal':{'Service':'logs.us-west-2.amazonaws.com'}", "'kms:Decrypt'",
        ""),
     DEC, NULL, NULL, "logs.us-west-2.amazonaws.com", "", CV_POLICY_ALLOW, "A"},
    {"another service",
     ST("A", "Allow", "'Principal':{'Service':'s3.amazonaws.com'}", "'kms:Decrypt'", ""), DEC, NULL,
     NULL, "logs.us-west-2.amazonaws.com", "", CV_POLICY_DENY_IMPLICIT, NULL},
    {"a service is not an AWS principal", ST("A", "Allow", TO_ROOT, "'kms:Decrypt'", ""), DEC, NULL,
     NULL, "s3.amazonaws.com", "", CV_POLICY_DENY_IMPLICIT, NULL},
    /* Actions. */
    {"action ignores case", ST("A", "Allow", TO_ROLE, "'KMS:decrypt'", ""), DEC, SESSION, ROLE,
     NULL, "", CV_POLICY_ALLOW, "A"},
    {"action wildcard", ST("A", "Allow", TO_ROLE, "'kms:GenerateDataKey*'", ""),
     "kms:GenerateDataKeyWithoutPlaintext", SESSION, ROLE, NULL, "", CV_POLICY_ALLOW, "A"},
    {"action wildcard, no match", ST("A", "Allow", TO_ROLE, "'kms:GenerateDataKey?*'", ""),
     "kms:GenerateDataKey", SESSION, ROLE, NULL, "", CV_POLICY_DENY_IMPLICIT, NULL},
    {"action list", ST("A", "Allow", TO_ROLE, "['kms:Encrypt','kms:Decrypt']", ""), DEC, SESSION,
     ROLE, NULL, "", CV_POLICY_ALLOW, "A"},
    {"another service's action", ST("A", "Allow", TO_ROLE, "'s3:*'", ""), DEC, SESSION, ROLE, NULL,
     "", CV_POLICY_DENY_IMPLICIT, NULL},
    {"NotAction allows the rest",
     "{'Sid':'N','Effect':'Allow'," TO_ROLE ",'NotAction':'kms:Decrypt','Resource':'*'}",
     "kms:Encrypt", SESSION, ROLE, NULL, "", CV_POLICY_ALLOW, "N"},
    {"NotAction leaves out",
     "{'Sid':'N','Effect':'Allow'," TO_ROLE ",'NotAction':'kms:Decrypt','Resource':'*'}", DEC,
     SESSION, ROLE, NULL, "", CV_POLICY_DENY_IMPLICIT, NULL},
    {"NotAction with Deny",
     ST("A", "Allow", TO_ROLE, "'kms:*'", "") ",{'Sid':'N','Effect':'Deny'," TO_ROLE
                                              ",'NotAction':['kms:Decrypt'],'Resource':'*'}",
     "kms:Encrypt", SESSION, ROLE, NULL, "", CV_POLICY_DENY_EXPLICIT, "N"},
    /* Resources. */
    {"resource ARN",
     "{'Sid':'A','Effect':'Allow'," TO_ROLE ",'Action':'kms:*','Resource':'" KEY "'}", DEC, SESSION,
     ROLE, NULL, "", CV_POLICY_ALLOW, "A"},
    {"resource wildcard",
     "{'Sid':'A','Effect':'Allow'," TO_ROLE ",'Action':'kms:*','Resource':"
     "'arn:aws:kms:us-*:" ACCT ":key/*'}",
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_ALLOW, "A"},
    {"another key",
     "{'Sid':'A','Effect':'Allow'," TO_ROLE ",'Action':'kms:*','Resource':"
     "'arn:aws:kms:us-west-2:" ACCT ":key/other'}",
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_DENY_IMPLICIT, NULL},
    {"NotResource",
     "{'Sid':'A','Effect':'Allow'," TO_ROLE ",'Action':'kms:*','NotResource':"
     "'arn:aws:kms:us-west-2:" ACCT ":key/other'}",
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_ALLOW, "A"},
    /* Explicit deny wins, wherever it stands. */
    {"deny after allow",
     ST("A", "Allow", TO_ROLE, "'kms:*'", "") "," ST("D", "Deny", "'Principal':'*'",
                                                     "'kms:Decrypt'", ""),
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_DENY_EXPLICIT, "D"},
    {"deny before allow",
     ST("D", "Deny", "'Principal':'*'", "'kms:Decrypt'", "") "," ST("A", "Allow", TO_ROLE,
                                                                    "'kms:*'", ""),
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_DENY_EXPLICIT, "D"},
    {"deny for the account strikes its roles",
     ST("A", "Allow", TO_ROLE, "'kms:*'", "") "," ST("D", "Deny", TO_ROOT, "'kms:Decrypt'", ""),
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_DENY_EXPLICIT, "D"},
    {"deny whose condition fails does nothing",
     ST("A", "Allow", TO_ROLE, "'kms:*'", "") "," ST("D", "Deny", "'Principal':'*'",
                                                     "'kms:Decrypt'", UNATTESTED),
     DEC, SESSION, ROLE, NULL, I0, CV_POLICY_ALLOW, "A"},
    /* NotPrincipal: account, role and session must all be listed. */
    {"NotPrincipal spares",
     ST("A", "Allow", TO_ROLE, "'kms:*'",
        "") "," ST("D", "Deny", "'NotPrincipal':{'AWS':['" ROOT "','" ROLE "','" SESSION "']}",
                   "'kms:*'", ""),
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_ALLOW, "A"},
    {"NotPrincipal without the session",
     ST("A", "Allow", TO_ROLE, "'kms:*'",
        "") "," ST("D", "Deny", "'NotPrincipal':{'AWS':['" ROOT "','" ROLE "']}", "'kms:*'", ""),
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_DENY_EXPLICIT, "D"},
    {"NotPrincipal without the account",
     ST("A", "Allow", "'Principal':{'AWS':'" USER "'}", "'kms:*'",
        "") "," ST("D", "Deny", "'NotPrincipal':{'AWS':'" USER "'}", "'kms:*'", ""),
     DEC, USER, NULL, NULL, "", CV_POLICY_DENY_EXPLICIT, "D"},
    {"NotPrincipal with user and account",
     ST("A", "Allow", "'Principal':{'AWS':'" USER "'}", "'kms:*'",
        "") "," ST("D", "Deny", "'NotPrincipal':{'AWS':['" USER "','" ACCT "']}", "'kms:*'", ""),
     DEC, USER, NULL, NULL, "", CV_POLICY_ALLOW, "A"},
    {"NotPrincipal strikes others",
     ST("A", "Allow", "'Principal':'*'", "'kms:*'",
        "") "," ST("D", "Deny", "'NotPrincipal':{'AWS':['" ROOT "','" USER "']}", "'kms:*'", ""),
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_DENY_EXPLICIT, "D"},
    /* Attestation (KMS Developer Guide, "Condition keys for AWS Nitro Enclaves"). */
    {"attested", ST("E", "Allow", TO_ROLE, "'kms:Decrypt'", ATTESTED), DEC, SESSION, ROLE, NULL, I0,
     CV_POLICY_ALLOW, "E"},
    {"attested, upper case in the request", ST("E", "Allow", TO_ROLE, "'kms:Decrypt'", ATTESTED),
     DEC, SESSION, ROLE, NULL, "kms:RecipientAttestation:ImageSha384=AA11", CV_POLICY_ALLOW, "E"},
    {"another image", ST("E", "Allow", TO_ROLE, "'kms:Decrypt'", ATTESTED), DEC, SESSION, ROLE,
     NULL, IX, CV_POLICY_DENY_IMPLICIT, NULL},
    {"no attestation", ST("E", "Allow", TO_ROLE, "'kms:Decrypt'", ATTESTED), DEC, SESSION, ROLE,
     NULL, "", CV_POLICY_DENY_IMPLICIT, NULL},
    {"deny form strikes without attestation",
     ST("A", "Allow", TO_ROLE, "'kms:*'", "") "," ST("D", "Deny", "'Principal':'*'",
                                                     "'kms:Decrypt'", UNATTESTED),
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_DENY_EXPLICIT, "D"},
    {"deny form strikes another image",
     ST("A", "Allow", TO_ROLE, "'kms:*'", "") "," ST("D", "Deny", "'Principal':'*'",
                                                     "'kms:Decrypt'", UNATTESTED),
     DEC, SESSION, ROLE, NULL, IX, CV_POLICY_DENY_EXPLICIT, "D"},
    {"the key that does not exist",
     ST("E", "Allow", TO_ROLE, "'kms:Decrypt'",
        ",'Condition':{'StringEquals':{'kms:RecipientAttestation':'" P0 "'}}"),
     DEC, SESSION, ROLE, NULL, I0, CV_POLICY_DENY_IMPLICIT, NULL},
    {"two registers, one wrong",
     ST("E", "Allow", TO_ROLE, "'kms:Decrypt'",
        ",'Condition':{'StringEqualsIgnoreCase':{'kms:RecipientAttestation:PCR0':'" P0
        "','kms:RecipientAttestation:PCR3':'" P3 "'}}"),
     DEC, SESSION, ROLE, NULL,
     "kms:RecipientAttestation:PCR0=" P0 ";kms:RecipientAttestation:PCR3=cc",
     CV_POLICY_DENY_IMPLICIT, NULL},
    /* Encryption context (KMS Developer Guide, kms:EncryptionContext). */
    {"context value",
     ST("E", "Allow", TO_ROLE, "'kms:Decrypt'",
        ",'Condition':{'StringEquals':{'kms:EncryptionContext:App':'Claviger'}}"),
     DEC, SESSION, ROLE, NULL, "kms:EncryptionContext:App=Claviger", CV_POLICY_ALLOW, "E"},
    {"context value case",
     ST("E", "Allow", TO_ROLE, "'kms:Decrypt'",
        ",'Condition':{'StringEquals':{'kms:EncryptionContext:App':'Claviger'}}"),
     DEC, SESSION, ROLE, NULL, "kms:EncryptionContext:App=claviger", CV_POLICY_DENY_IMPLICIT, NULL},
    {"only these context keys",
     ST("E", "Allow", TO_ROLE, "'kms:Decrypt'",
        ",'Condition':{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']},"
        "'Null':{'kms:EncryptionContextKeys':'false'}}"),
     DEC, SESSION, ROLE, NULL, "kms:EncryptionContextKeys=a;kms:EncryptionContextKeys=b",
     CV_POLICY_ALLOW, "E"},
    {"only these context keys, none given",
     ST("E", "Allow", TO_ROLE, "'kms:Decrypt'",
        ",'Condition':{'ForAllValues:StringEquals':{'kms:EncryptionContextKeys':['a','b']},"
        "'Null':{'kms:EncryptionContextKeys':'false'}}"),
     DEC, SESSION, ROLE, NULL, "", CV_POLICY_DENY_IMPLICIT, NULL},
};

static void test_policies(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        const struct policy_case *c = &policies[i];
        struct cv_policy_decision d;
        char policy[6000];
        snprintf(policy, sizeof policy, "{'Version':'2012-10-17','Statement':[%s]}", c->policy);
        evaluate(&d, policy, c->action, c->principal, c->role, c->service, c->attrs);
        if (d.effect != c->effect)
            fail_msg("%s: effect %d instead of %d", c->name, (int)d.effect, (int)c->effect);
        if (c->sid && strcmp(d.sid, c->sid))
            fail_msg("%s: decided by %s instead of %s", c->name, d.sid, c->sid);
        assert_int_equal(d.statement < 0, d.effect == CV_POLICY_DENY_IMPLICIT);
    }
}

static void test_near_miss_names_both_values(void **state)
{
    (void)state;
    struct cv_policy_decision d;
    char text[1024];
    evaluate(&d,
             "{'Version':'2012-10-17','Statement':[" ST(
                 "Far", "Allow", TO_ROLE, "'kms:Decrypt'",
                 ",'Condition':{'StringEquals':"
                 "{'kms:a':'1','kms:b':'2'}}") "," ST("Near", "Allow", TO_ROLE, "'kms:Decrypt'",
                                                      ATTESTED) "]}",
             DEC, SESSION, ROLE, NULL, IX);
    assert_int_equal(d.effect, CV_POLICY_DENY_IMPLICIT);
    assert_string_equal(d.near_sid, "Near");
    assert_int_equal(d.near_statement, 1);
    assert_string_equal(d.near_condition.key, "kms:RecipientAttestation:ImageSha384");
    assert_string_equal(d.near_condition.expected, P0);
    assert_string_equal(d.near_condition.actual, "dead");
    assert_false(d.near_condition.absent);
    cv_policy_sentence(text, sizeof text, &d);
    assert_non_null(strstr(text, "expected " P0));
    assert_non_null(strstr(text, "'dead'"));

    evaluate(&d,
             "{'Version':'2012-10-17','Statement':[" ST("Near", "Allow", TO_ROLE, "'kms:Decrypt'",
                                                        ATTESTED) "]}",
             DEC, SESSION, ROLE, NULL, "");
    assert_true(d.near_condition.absent);
    assert_non_null(strstr(cv_policy_sentence(text, sizeof text, &d), "the request has none"));

    evaluate(&d,
             "{'Version':'2012-10-17','Statement':[" ST(
                 "Far", "Allow", "'Principal':{'AWS':'" USER "'}", "'kms:Decrypt'", "") "]}",
             DEC, SESSION, ROLE, NULL, "");
    assert_int_equal(d.near_statement, -1);
    assert_non_null(strstr(cv_policy_sentence(text, sizeof text, &d), "no statement is about"));
}

static void test_identity_policies(void **state)
{
    (void)state;
    struct cv_policy *allow = parse("{'Version':'2012-10-17','Statement':{'Effect':'Allow',"
                                    "'Action':'kms:*','Resource':'*'}}",
                                    CV_POLICY_IDENTITY);
    struct cv_policy *deny = parse("{'Version':'2012-10-17','Statement':{'Effect':'Deny',"
                                   "'Action':'kms:Decrypt','Resource':'*'}}",
                                   CV_POLICY_IDENTITY);
    struct cv_policy_request r = {DEC, KEY, USER, NULL, NULL, NULL, 0};
    struct cv_policy_decision a, d, key = {.effect = CV_POLICY_DELEGATED};
    cv_policy_evaluate(&a, allow, &r);
    cv_policy_evaluate(&d, deny, &r);
    assert_int_equal(a.effect, CV_POLICY_ALLOW);
    assert_int_equal(d.effect, CV_POLICY_DENY_EXPLICIT);
    assert_true(cv_policy_allowed(&key, &a));
    assert_false(cv_policy_allowed(&key, &d));
    assert_false(cv_policy_allowed(&key, NULL));
    key.effect = CV_POLICY_ALLOW;
    assert_true(cv_policy_allowed(&key, NULL));
    assert_false(cv_policy_allowed(&key, &d));
    key.effect = CV_POLICY_DENY_IMPLICIT;
    assert_false(cv_policy_allowed(&key, &a));
    key.effect = CV_POLICY_DENY_EXPLICIT;
    assert_false(cv_policy_allowed(&key, &a));
    cv_policy_free(allow);
    cv_policy_free(deny);
}

static void test_old_version_has_no_variables(void **state)
{
    (void)state;
    struct cv_policy_decision d;
    const char *policy = "{'Version':'2008-10-17','Statement':[" ST(
        "A", "Allow", TO_ROLE, "'kms:*'",
        ",'Condition':{'StringEquals':{'kms:x':'${aws:PrincipalAccount}'}}") "]}";
    evaluate(&d, policy, DEC, SESSION, ROLE, NULL, "kms:x=" ACCT);
    assert_int_equal(d.effect, CV_POLICY_DENY_IMPLICIT);
    evaluate(&d, policy, DEC, SESSION, ROLE, NULL, "kms:x=${aws:PrincipalAccount}");
    assert_int_equal(d.effect, CV_POLICY_ALLOW);
}

static void count_visit(void *ctx, const struct cv_policy_trace *t)
{
    unsigned *seen = ctx;
    if (t->index == 0) {
        assert_true(t->allow && t->principal && t->action && t->resource);
        assert_false(t->conditions);
        assert_int_equal(t->n_notes, 1);
        assert_false(t->notes[0].satisfied);
    } else {
        assert_string_equal(t->sid, "R");
        assert_true(t->delegates && t->conditions);
        assert_int_equal(t->n_notes, 0);
    }
    (*seen)++;
}

static void test_explain_visits_every_statement(void **state)
{
    (void)state;
    struct cv_policy *p = parse("{'Version':'2012-10-17','Statement':[" ST(
                                    "E", "Allow", TO_ROLE, "'kms:Decrypt'",
                                    ATTESTED) "," ST("R", "Allow", TO_ROOT, "'kms:*'", "") "]}",
                                CV_POLICY_KEY);
    struct cv_policy_request r = {DEC, KEY, SESSION, ROLE, NULL, NULL, 0};
    struct cv_policy_decision d;
    unsigned seen = 0;
    assert_int_equal(cv_policy_explain(p, &r, count_visit, &seen, &d), 0);
    assert_int_equal(seen, 2);
    assert_int_equal(d.effect, CV_POLICY_DELEGATED);
    cv_policy_free(p);
}

static void test_context_of_a_request(void **state)
{
    (void)state;
    static struct cv_policy_context c;
    uint8_t pcr[48];
    memset(pcr, 0xab, sizeof pcr);
    cv_policy_context_init(&c);
    assert_int_equal(cv_policy_context_add_pcr(&c, 0, pcr, sizeof pcr), 0);
    assert_int_equal(c.n, 2);
    assert_string_equal(c.attrs[0].key, "kms:RecipientAttestation:PCR0");
    assert_string_equal(c.attrs[1].key, "kms:RecipientAttestation:ImageSha384");
    assert_string_equal(c.attrs[0].value, c.attrs[1].value);
    assert_int_equal(strlen(c.attrs[0].value), 96);
    assert_int_equal(cv_policy_context_add_pcr(&c, 31, pcr, 48), 0);
    assert_string_equal(c.attrs[2].key, "kms:RecipientAttestation:PCR31");
    assert_int_equal(cv_policy_context_add_encryption(&c, "App", "x"), 0);
    assert_string_equal(c.attrs[3].key, "kms:EncryptionContext:App");
    assert_string_equal(c.attrs[4].key, "kms:EncryptionContextKeys");
    while (c.n < CV_POLICY_CONTEXT_MAX)
        assert_int_equal(cv_policy_context_add(&c, "a:b", "c"), 0);
    assert_int_equal(cv_policy_context_add(&c, "a:b", "c"), CV_ERR_LIMIT);
    cv_policy_context_free(&c);
}

static void test_wildcards_end(void **state)
{
    (void)state;
    char text[3000], pattern[1001];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < 1000; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[1000] = '\0';
    pattern[999] = 'b';
    assert_false(cv_policy_wildcard(pattern, text, false));
    assert_true(cv_policy_wildcard("*", "", false));
    assert_false(cv_policy_wildcard("?", "", false));
    assert_true(cv_policy_wildcard("", "", false));
    assert_false(cv_policy_wildcard("", "a", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_policies),
        cmocka_unit_test(test_near_miss_names_both_values),
        cmocka_unit_test(test_identity_policies),
        cmocka_unit_test(test_old_version_has_no_variables),
        cmocka_unit_test(test_explain_visits_every_statement),
        cmocka_unit_test(test_context_of_a_request),
        cmocka_unit_test(test_wildcards_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
