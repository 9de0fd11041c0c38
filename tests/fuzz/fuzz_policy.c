/* SPDX-License-Identifier: Apache-2.0 */
/* Key policies: parse, evaluate and explain whatever comes. */
#include <string.h>

#include "policy/context.h"
#include "policy/explain.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void visit(void *ctx, const struct cv_policy_trace *t)
{
    size_t *n = ctx;
    *n += t->n_notes;
}

static void trap(void *ctx, const struct cv_policy_trap *t)
{
    size_t *n = ctx;
    *n += strlen(t->text);
}

/* In words, and its traps. */
static void read_aloud(const struct cv_policy *p)
{
    struct cv_buf words;
    size_t n = 0;
    (void)cv_policy_traps(p, trap, &n);
    cv_buf_init(&words, 1u << 20);
    for (size_t i = 0; i < cv_policy_statements(p); i++)
        if (cv_policy_say(&words, p, i))
            break;
    cv_buf_free(&words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cv_policy_attr attrs[] = {
        {"kms:RecipientAttestation:ImageSha384", "aa11"},
        {"kms:EncryptionContext:App", "x"},
        {"kms:EncryptionContextKeys", "App"},
        {"kms:EncryptionContextKeys", "Env"},
        {"aws:PrincipalArn", "arn:aws:iam::111122223333:role/Enclave"},
        {"aws:SourceIp", "192.0.2.1"},
        {"aws:CurrentTime", "2026-11-29T06:25:12Z"},
        {"kms:n", "10"},
    };
    struct cv_policy_request r = {
        "kms:Decrypt",
        "arn:aws:kms:us-west-2:111122223333:key/1",
        "arn:aws:sts::111122223333:assumed-role/Enclave/i-1",
        "arn:aws:iam::111122223333:role/Enclave",
        NULL,
        attrs,
        sizeof attrs / sizeof attrs[0],
    };
    for (int kind = CV_POLICY_KEY; kind <= CV_POLICY_IDENTITY; kind++) {
        struct cv_policy *p = NULL;
        struct cv_policy_decision d, again;
        char text[1024];
        size_t notes = 0;
        if (cv_policy_parse(&p, (enum cv_policy_kind)kind, CV_BYTES(data, size), NULL))
            continue;
        cv_policy_evaluate(&d, p, &r);
        if (cv_policy_explain(p, &r, visit, &notes, &again) == 0 && d.effect != again.effect)
            __builtin_trap();
        cv_policy_sentence(text, sizeof text, &d);
        if (strlen(text) >= sizeof text)
            __builtin_trap();
        read_aloud(p);
        cv_policy_free(p);
    }
    return 0;
}
