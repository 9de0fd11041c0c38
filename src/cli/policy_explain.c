/* SPDX-License-Identifier: Apache-2.0 */
/* claviger policy explain */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/attest_document.h"
#include "cli/attest_expect.h"
#include "cli/commands.h"
#include "cli/eif_show.h"
#include "cli/policy_image.h"
#include "common/file.h"
#include "common/hex.h"
#include "policy/context.h"
#include "policy/explain.h"

#define TEXT_MAX (1u << 20)

struct explain_options {
    struct cv_expect_options expect;
    struct cv_option_list actions, context;
    const char *document, *principal, *key, *identity;
};

/* One request and the policies that it is asked of. */
struct inquiry {
    const struct explain_options *o;
    const struct cv_policy *policy;
    struct cv_policy *identity; /* NULL = none */
    struct cv_policy_image image;
    char principal[256], role[256], key[256]; /* role "" for a user or root */
    json_t *statements, *warnings, *requests; /* for --json */
    bool json, refused;
};

static int load(struct cv_policy **out, enum cv_policy_kind kind, const char *path,
                struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_POLICY_MAX + 1);
    int rc = strcmp(path, "-") == 0 ? cv_fd_read_all(&text, 0, "standard input", err)
                                    : cv_file_read(&text, path, err);
    if (rc == 0)
        rc = cv_policy_parse(out, kind, cv_buf_view(&text), err);
    return rc;
}

/* The registers of a document, which is not verified here: a policy speaks of
 * what a genuine one with these values may do. */
static int document_registers(struct cv_attest_policy *policy, const char *path,
                              struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf bytes = {0};
    struct cv_attest_document doc;
    struct cv_attest_error why;
    int rc = cv_cli_document_load(&bytes, path, err);
    if (rc != 0)
        return rc;
    if (cv_attest_parse_unverified(&doc, bytes.p, bytes.n, false, &why) != CV_ATTEST_OK)
        return cv_error_set(err, CV_ERR_INVALID, "%s is no attestation document: %s", path,
                            why.message);
    for (unsigned r = 0; r < CV_ATTEST_PCRS; r++)
        if ((doc.pcr_mask & (UINT32_C(1) << r)) != 0 &&
            cv_attest_expect_pcr(policy, r, doc.pcr[r].p, doc.pcr[r].n) != CV_ATTEST_OK)
            return cv_error_set(err, CV_ERR_CONFIG,
                                "the document and the options name different values "
                                "of register %u",
                                r);
    return 0;
}

/* "arn:aws:iam::A:role/path/NAME" stands for a session of it. */
static void set_caller(struct inquiry *q, const char *arn)
{
    const char *account = strstr(arn, "::"), *name = strrchr(arn, '/');
    const char *role = strstr(arn, ":role/");
    if (account == NULL || role == NULL || name == NULL) {
        (void)snprintf(q->principal, sizeof q->principal, "%.255s", arn);
        return;
    }
    (void)snprintf(q->role, sizeof q->role, "%.255s", arn);
    (void)snprintf(q->principal, sizeof q->principal,
                   "arn:aws:sts::%.12s:assumed-role/%.128s/session", account + 2, name + 1);
}

static int prepare(struct inquiry *q, struct cv_error *err)
{
    const struct explain_options *o = q->o;
    struct cv_attest_policy registers;
    CV_CLEANUP(cv_buf_free) struct cv_buf root;
    cv_buf_init(&root, 1);
    cv_attest_policy_init(&registers);
    int rc = cv_expect_apply(&registers, &root, &o->expect, err);
    if (rc == 0 && o->document != NULL)
        rc = document_registers(&registers, o->document, err);
    if (rc == 0)
        rc = cv_cli_image_from(&q->image, &registers, UINT32_MAX, true, err);
    if (rc == 0 && o->identity != NULL)
        rc = load(&q->identity, CV_POLICY_IDENTITY, o->identity, err);
    if (rc != 0)
        return rc;
    if (o->principal != NULL)
        set_caller(q, o->principal);
    const char *account = strstr(q->principal, "::");
    if (o->key != NULL)
        (void)snprintf(q->key, sizeof q->key, "%.255s", o->key);
    else
        (void)snprintf(q->key, sizeof q->key,
                       "arn:aws:kms:us-east-1:%.12s:key/"
                       "00000000-0000-0000-0000-000000000000",
                       account != NULL ? account + 2 : "");
    return 0;
}

/* --- statements and traps --- */

static enum cv_exit say_statements(struct inquiry *q)
{
    for (size_t i = 0; i < cv_policy_statements(q->policy); i++) {
        CV_CLEANUP(cv_buf_free) struct cv_buf text;
        cv_buf_init(&text, TEXT_MAX);
        if (cv_policy_say(&text, q->policy, i) != 0)
            return cv_cli_fail(NULL, "no memory");
        if (q->json)
            json_array_append_new(q->statements,
                                  json_pack("{s:s, s:s}", "sid", cv_policy_sid(q->policy, i),
                                            "text", (const char *)text.p));
        else
            (void)printf("%3zu. %s%s%s\n", i + 1, cv_policy_sid(q->policy, i),
                         *cv_policy_sid(q->policy, i) != '\0' ? ": " : "", (const char *)text.p);
    }
    return CV_EXIT_OK;
}

static void say_trap(void *ctx, const struct cv_policy_trap *t)
{
    struct inquiry *q = ctx;
    if (q->json)
        json_array_append_new(q->warnings, json_pack("{s:s, s:i, s:s}", "code", t->code,
                                                     "statement", t->statement, "text", t->text));
    else
        (void)printf("  ! %s [%s]\n", t->text, t->code);
}

/* --- requests --- */

static int fill_context(struct cv_policy_context *c, const struct inquiry *q, bool attested,
                        struct cv_error *err)
{
    int rc = cv_policy_context_add_caller(c, q->principal, *q->role != '\0' ? q->role : NULL);
    for (unsigned r = 0; attested && r < CV_POLICY_REGISTERS && rc == 0; r++) {
        uint8_t value[48];
        size_t n;
        if ((q->image.mask & (UINT32_C(1) << r)) == 0)
            continue;
        rc = cv_hex_decode(value, sizeof value, &n, cv_bytes_str(q->image.pcr[r]));
        if (rc == 0)
            rc = cv_policy_context_add_pcr(c, r, value, n);
    }
    for (size_t i = 0; i < q->o->context.count && rc == 0; i++) {
        struct cv_policy_attr pair = {NULL, NULL};
        rc = cv_cli_context_pair(&pair, q->o->context.item[i], err);
        if (rc == 0)
            rc = cv_policy_context_add_encryption(c, pair.key, pair.value);
        free((void *)(uintptr_t)pair.key);
        free((void *)(uintptr_t)pair.value);
    }
    return rc;
}

/* Statements that speak of the request, and what each of them says to it. */
static void say_trace(void *ctx, const struct cv_policy_trace *t)
{
    (void)ctx;
    if (!t->principal || !t->action || !t->resource)
        return;
    (void)printf("        %zu. %s: %s%s\n", t->index + 1, *t->sid != '\0' ? t->sid : "(no Sid)",
                 t->allow ? "Allow" : "Deny", t->conditions ? " applies" : " does not apply");
    for (size_t i = 0; i < t->n_notes; i++) {
        const struct cv_policy_condition_note *n = &t->notes[i];
        (void)printf("             %s %s %s: expected %s, %s%s\n",
                     n->satisfied ? "holds:" : "fails:", n->op, n->key, n->expected,
                     n->absent ? "the request has none" : "the request has ",
                     n->absent ? "" : n->actual);
    }
}

static const char *verdict_of(bool allowed, const struct cv_policy_decision *key,
                              const struct inquiry *q)
{
    if (allowed)
        return "allowed";
    return key->effect == CV_POLICY_DELEGATED && q->identity == NULL ? "left to IAM" : "denied";
}

static int ask(struct inquiry *q, const char *action, bool attested, bool trace,
               struct cv_error *err)
{
    struct cv_policy_context *c = malloc(sizeof *c);
    struct cv_policy_decision key, identity;
    char sentence[1024];
    if (c == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    cv_policy_context_init(c);
    int rc = fill_context(c, q, attested, err);
    struct cv_policy_request req = {
        .action = action,
        .resource = q->key,
        .principal_arn = q->principal,
        .role_arn = *q->role != '\0' ? q->role : NULL,
        .attrs = c->attrs,
        .n_attrs = c->n,
    };
    if (rc == 0) {
        cv_policy_evaluate(&key, q->policy, &req);
        if (q->identity != NULL)
            cv_policy_evaluate(&identity, q->identity, &req);
        bool allowed = cv_policy_allowed(&key, q->identity != NULL ? &identity : NULL);
        const char *verdict = verdict_of(allowed, &key, q);
        q->refused = q->refused || (!allowed && attested == (q->image.mask != 0));
        cv_policy_sentence(sentence, sizeof sentence, &key);
        if (q->json)
            json_array_append_new(q->requests,
                                  json_pack("{s:s, s:b, s:s, s:s}", "action", action, "attested",
                                            attested, "decision", verdict, "reason", sentence));
        else
            (void)printf("    %-40s %s\n        %s\n", action, verdict, sentence);
        if (trace && !q->json)
            rc = cv_policy_explain(q->policy, &req, say_trace, NULL, NULL);
    }
    cv_policy_context_free(c);
    free(c);
    return rc;
}

static int ask_all(struct inquiry *q, bool attested, struct cv_error *err)
{
    static const char *const usual[] = {"kms:Decrypt",     "kms:GenerateDataKey",
                                        "kms:Encrypt",     "kms:GenerateDataKeyWithoutPlaintext",
                                        "kms:CreateGrant", "kms:PutKeyPolicy"};
    const struct cv_option_list *named = &q->o->actions;
    size_t n = named->count ? named->count : sizeof usual / sizeof usual[0];
    int rc = 0;
    if (!q->json)
        (void)printf("\n%s %s:\n", *q->role != '\0' ? q->role : q->principal,
                     attested ? "from this enclave" : "without attestation");
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = ask(q, named->count ? named->item[i] : usual[i], attested, named->count != 0, err);
    return rc;
}

static enum cv_exit report(struct inquiry *q)
{
    struct cv_error err;
    cv_error_clear(&err);
    enum cv_exit status = say_statements(q);
    if (status != CV_EXIT_OK)
        return status;
    if (!q->json)
        (void)puts("");
    if (cv_policy_traps(q->policy, say_trap, q) == 0 && !q->json)
        (void)puts("  no trap was found");
    int rc = 0;
    if (*q->principal != '\0' && q->image.mask != 0)
        rc = ask_all(q, true, &err);
    if (rc == 0 && *q->principal != '\0')
        rc = ask_all(q, false, &err);
    if (rc == CV_ERR_CONFIG)
        return cv_cli_usage(&cv_cmd_policy_explain, "%s", cv_error_top(&err));
    if (rc != 0)
        return cv_cli_fail(&err, "evaluating the policy");
    if (q->json)
        cv_eif_show_json(json_pack("{s:O, s:O, s:O}", "statements", q->statements, "warnings",
                                   q->warnings, "requests", q->requests));
    status = cv_cli_finish();
    return status == CV_EXIT_OK && q->o->actions.count != 0 && q->refused ? CV_EXIT_FAILURE
                                                                          : status;
}

static enum cv_exit explain(const struct cv_cli *cli, const struct explain_options *o,
                            const char *path)
{
    struct inquiry *q = calloc(1, sizeof *q);
    struct cv_policy *policy = NULL;
    struct cv_error err;
    enum cv_exit status;
    cv_error_clear(&err);
    if (q == NULL)
        return cv_cli_fail(NULL, "no memory");
    q->o = o;
    q->json = cli->json;
    q->statements = json_array();
    q->warnings = json_array();
    q->requests = json_array();
    int rc = load(&policy, CV_POLICY_KEY, path, &err);
    q->policy = policy;
    if (rc != 0) {
        status = cv_cli_fail(&err, "reading %s", path);
    } else if ((rc = prepare(q, &err)) == CV_ERR_CONFIG) {
        status = cv_cli_usage(&cv_cmd_policy_explain, "%s", cv_error_top(&err));
    } else if (rc != 0) {
        status = cv_cli_fail(&err, "reading what is asked");
    } else {
        status = report(q);
    }
    json_decref(q->statements);
    json_decref(q->warnings);
    json_decref(q->requests);
    cv_policy_free(q->identity);
    cv_policy_free(policy);
    free(q);
    return status;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct explain_options o = {.document = NULL};
    int operands;
    const struct cv_option options[] = {
        CV_EXPECT_OPTIONS(&o.expect),
        {"document", 0, CV_OPT_TEXT, &o.document},
        {"principal", 0, CV_OPT_TEXT, &o.principal},
        {"action", 0, CV_OPT_LIST, &o.actions},
        {"key", 0, CV_OPT_TEXT, &o.key},
        {"context", 0, CV_OPT_LIST, &o.context},
        {"identity-policy", 0, CV_OPT_TEXT, &o.identity},
    };
    if (!cv_options_parse(&cv_cmd_policy_explain, options, sizeof options / sizeof options[0], argc,
                          argv, &operands))
        return CV_EXIT_USAGE;
    if (operands != 1)
        return cv_cli_usage(&cv_cmd_policy_explain, "name one policy file");
    if (o.expect.role_arn != NULL && o.principal == NULL)
        o.principal = o.expect.role_arn;
    if (o.principal == NULL &&
        (o.actions.count != 0 || o.document != NULL || o.expect.eif != NULL ||
         o.expect.pcrs != NULL || o.expect.pcr.count != 0))
        return cv_cli_usage(&cv_cmd_policy_explain, "who asks? --principal ARN");
    return explain(cli, &o, argv[1]);
}

const struct cv_command cv_cmd_policy_explain = {
    .name = "policy explain",
    .summary = "say what a KMS key policy allows, to whom, and why; warn of its traps",
    .usage = "POLICY [--principal ARN [--document DOC | --eif IMAGE | --pcrs FILE | --pcr N=HEX…]]",
    .help =
        "Reads a key policy (JSON, '-' = standard input), says statement by statement who may do\n"
        "what, and warns of what voids a binding to enclaves. With a principal it decides\n"
        "requests as KMS would: from the enclave described, and without attestation.\n"
        "\n"
        "  --principal ARN     who asks: a role, a user, an account root\n"
        "  --action kms:NAME   what is asked (may be repeated); then every statement that\n"
        "                      speaks of it is shown, and the exit status is 1 when it is\n"
        "                      not allowed\n"
        "  --document FILE     registers of this attestation document (not verified here)\n" CV_EXPECT_HELP
        "  --context NAME=VALUE encryption context of the request (may be repeated)\n"
        "  --key ARN           the key, where statements name one\n"
        "  --identity-policy FILE  the principal's own policy\n"
        "\n"
        "Example: claviger policy explain policy.json --principal "
        "arn:aws:iam::111122223333:role/Signer --eif signer.eif\n",
    .run = run,
};
