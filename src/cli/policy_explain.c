/* SPDX-License-Identifier: Apache-2.0 */
/* claviger policy explain */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/attest_document.h"
#include "cli/attest_expect.h"
#include "cli/commands.h"
#include "cli/eif_show.h"
#include "cli/policy_image.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/hex.h"
#include "policy/context.h"
#include "policy/explain.h"

#define TEXT_MAX (1u << 20)

struct explain_options {
    struct cv_expect_options expect;
    struct cv_option_list actions, context, attributes;
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
    bool json, refused, allowed;              /* some request was */
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
static void set_role_or_user(struct inquiry *q, const char *arn)
{
    q->role[0] = '\0';
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

/* Who asks, and of which key: one of the caller's account, where none is named. */
static void set_caller(struct inquiry *q, const char *arn)
{
    set_role_or_user(q, arn);
    const char *account = strstr(q->principal, "::");
    if (q->o->key != NULL)
        (void)snprintf(q->key, sizeof q->key, "%.255s", q->o->key);
    else
        (void)snprintf(q->key, sizeof q->key,
                       "arn:aws:kms:us-east-1:%.12s:key/"
                       "00000000-0000-0000-0000-000000000000",
                       account != NULL ? account + 2 : "");
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

/* --attribute KEY=VALUE: other condition keys, which take the place of ours. */
static int add_attributes(struct cv_policy_context *c, const struct inquiry *q,
                          struct cv_error *err)
{
    char name[CV_POLICY_TEXT], quoted[96];
    for (size_t i = 0; i < q->o->attributes.count; i++) {
        const char *text = q->o->attributes.item[i], *eq = strchr(text, '=');
        const char *colon = strchr(text, ':');
        if (eq == NULL || colon == NULL || colon > eq || (size_t)(eq - text) >= sizeof name)
            return cv_error_set(err, CV_ERR_CONFIG, "--attribute wants KEY=VALUE, not '%s'",
                                cv_error_quote(quoted, sizeof quoted, text, strlen(text)));
        (void)snprintf(name, sizeof name, "%.*s", (int)(eq - text), text);
        int rc = cv_policy_context_add(c, name, eq + 1);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static bool given(const struct inquiry *q, const char *key)
{
    for (size_t i = 0; i < q->o->attributes.count; i++) {
        const char *text = q->o->attributes.item[i];
        if (strncasecmp(text, key, strlen(key)) == 0 && text[strlen(key)] == '=')
            return true;
    }
    return false;
}

/* What KMS would say by itself, but for what was given. */
static void drop_given(struct cv_policy_context *c, const struct inquiry *q)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->n; i++)
        if (!given(q, c->attrs[i].key))
            c->attrs[kept++] = c->attrs[i];
    c->n = kept;
}

static int fill_context(struct cv_policy_context *c, const struct inquiry *q, const char *action,
                        bool attested, struct cv_error *err)
{
    int rc = cv_policy_context_add_caller(c, q->principal, *q->role != '\0' ? q->role : NULL);
    if (rc == 0)
        rc = cv_policy_context_add_request(c, cv_unix_ms());
    if (rc == 0)
        rc = cv_policy_context_add_key(c, action, "SYMMETRIC_DEFAULT", "ENCRYPT_DECRYPT");
    drop_given(c, q);
    if (rc == 0)
        rc = add_attributes(c, q, err);
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
    int rc = fill_context(c, q, action, attested, err);
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
        bool counts = attested == (q->image.mask != 0);
        q->refused = q->refused || (counts && !allowed);
        q->allowed = q->allowed || (counts && allowed);
        cv_policy_sentence(sentence, sizeof sentence, &key);
        if (q->json)
            json_array_append_new(q->requests, json_pack("{s:s, s:s, s:b, s:s, s:s}", "principal",
                                                         *q->role != '\0' ? q->role : q->principal,
                                                         "action", action, "attested", attested,
                                                         "decision", verdict, "reason", sentence));
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

static int ask_for(struct inquiry *q, const char *arn, struct cv_error *err)
{
    set_caller(q, arn);
    int rc = q->image.mask != 0 ? ask_all(q, true, err) : 0;
    return rc == 0 ? ask_all(q, false, err) : rc;
}

/* Nobody was named: for each principal that the policy names; and for a role
 * of some account, when it is for everybody. */
static int ask_everyone(struct inquiry *q, struct cv_error *err)
{
    char who[CV_POLICY_WHO];
    int rc = 0;
    size_t i = 0;
    if (q->image.mask == 0 && q->o->actions.count == 0)
        return 0;
    for (; rc == 0 && cv_policy_named(q->policy, i, who); i++)
        rc = ask_for(q, who, err);
    return rc == 0 && i == 0 ? ask_for(q, "arn:aws:iam::111122223333:role/anybody", err) : rc;
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
    int rc = q->o->principal != NULL ? ask_for(q, q->o->principal, &err) : ask_everyone(q, &err);
    if (rc == CV_ERR_CONFIG)
        return cv_cli_usage(&cv_cmd_policy_explain, "%s", cv_error_top(&err));
    if (rc != 0)
        return cv_cli_fail(&err, "evaluating the policy");
    if (q->json)
        cv_eif_show_json(json_pack("{s:O, s:O, s:O}", "statements", q->statements, "warnings",
                                   q->warnings, "requests", q->requests));
    status = cv_cli_finish();
    /* Of those that the policy names, one that may is enough. */
    bool failed = q->o->principal != NULL ? q->refused : !q->allowed;
    return status == CV_EXIT_OK && q->o->actions.count != 0 && failed ? CV_EXIT_FAILURE : status;
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
        {"attribute", 0, CV_OPT_LIST, &o.attributes},
        {"identity-policy", 0, CV_OPT_TEXT, &o.identity},
    };
    if (!cv_options_parse(&cv_cmd_policy_explain, options, sizeof options / sizeof options[0], argc,
                          argv, &operands))
        return CV_EXIT_USAGE;
    if (operands != 1)
        return cv_cli_usage(&cv_cmd_policy_explain, "name one policy file");
    if (o.expect.role_arn != NULL && o.principal == NULL)
        o.principal = o.expect.role_arn;
    return explain(cli, &o, argv[1]);
}

const struct cv_command cv_cmd_policy_explain = {
    .name = "policy explain",
    .summary = "say what a KMS key policy allows, to whom, and why; warn of its traps",
    .usage = "POLICY [--principal ARN] [--document DOC | --eif IMAGE | --pcrs FILE | --pcr N=HEX…]",
    .help =
        "Reads a key policy (JSON, '-' = standard input), says statement by statement who may do\n"
        "what, and warns of what voids a binding to enclaves. With a principal or an enclave\n"
        "it decides requests as KMS would: from the enclave described, and without attestation.\n"
        "\n"
        "  --principal ARN     who asks: a role, a user, an account root (default: each one\n"
        "                      that the policy names)\n"
        "  --action kms:NAME   what is asked (may be repeated); then every statement that\n"
        "                      speaks of it is shown, and the exit status is 1 when it is\n"
        "                      not allowed\n"
        "  --document FILE     registers of this attestation document (not verified here)\n" CV_EXPECT_HELP
        "  --context NAME=VALUE encryption context of the request (may be repeated)\n"
        "  --attribute KEY=VALUE  another condition key, such as aws:SourceVpce (may be repeated)\n"
        "  --key ARN           the key, where statements name one\n"
        "  --identity-policy FILE  the principal's own policy\n"
        "\n"
        "Example: claviger policy explain policy.json --principal "
        "arn:aws:iam::111122223333:role/Signer --eif signer.eif\n",
    .run = run,
};
