/* SPDX-License-Identifier: Apache-2.0 */
/* claviger attest verify */
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "attest/statement.h"
#include "cli/attest_document.h"
#include "cli/attest_expect.h"
#include "cli/commands.h"
#include "cli/eif_show.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/hex.h"
#include "tezos/keytext.h"

#define MAX_AGE_DIGITS 10 /* three centuries */

struct verify_options {
    struct cv_expect_options expect;
    const char *nonce, *user_data, *public_key, *module_id, *time, *key, *max_age;
    bool strict;
};

/* What the policy points to. */
struct inputs {
    struct cv_buf root, nonce, user_data, public_key;
};

static int take_hex(struct cv_buf *out, const char *hex, const char *option, struct cv_error *err)
{
    size_t n = 0;
    size_t len = strlen(hex);
    uint8_t *room = cv_buf_reserve(out, len / 2 + 1);

    if (room == NULL || cv_hex_decode(room, len / 2 + 1, &n, cv_bytes_str(hex)) != 0)
        return cv_error_set(err, CV_ERR_CONFIG, "%s wants hex digits", option);
    cv_buf_commit(out, n);
    return 0;
}

/* A public key file: PEM becomes DER, anything else is taken as it is. */
static int take_public_key(struct cv_buf *out, const char *path, struct cv_error *err)
{
    unsigned char *der = NULL;

    int rc = cv_file_read(out, path, err);
    if (rc != 0)
        return rc;
    BIO *bio = BIO_new_mem_buf(out->p, (int)out->n);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
    int n = key != NULL ? i2d_PUBKEY(key, &der) : 0;
    if (n > 0) {
        cv_buf_reset(out);
        rc = cv_buf_append(out, der, (size_t)n);
    }
    OPENSSL_free(der);
    EVP_PKEY_free(key);
    BIO_free(bio);
    return rc;
}

/* Seconds, to milliseconds; 0 is less than a millisecond, not "any age". */
static int take_age(int64_t *ms, const char *text, struct cv_error *err)
{
    size_t n = strlen(text);
    int64_t seconds = 0;

    for (size_t i = 0; i < n; i++) {
        if (text[i] < '0' || text[i] > '9' || n > MAX_AGE_DIGITS)
            n = 0;
        else
            seconds = 10 * seconds + (text[i] - '0');
    }
    if (n == 0)
        return cv_error_set(err, CV_ERR_CONFIG, "--max-age wants a number of seconds");
    *ms = seconds > 0 ? seconds * 1000 : 1;
    return 0;
}

static int take_times(struct cv_attest_policy *policy, const struct verify_options *o,
                      struct cv_error *err)
{
    policy->now_ms = cv_unix_ms();
    if (o->max_age != NULL && take_age(&policy->max_age_ms, o->max_age, err) != 0)
        return CV_ERR_CONFIG;
    if (o->time == NULL)
        return 0;
    if (strcmp(o->time, "now") != 0 && cv_rfc3339_parse(&policy->now_ms, o->time) != 0)
        return cv_error_set(err, CV_ERR_CONFIG,
                            "--time wants \"now\" or a time like 2026-11-29T06:25:12Z");
    if (policy->now_ms <= 0)
        policy->now_ms = 1; /* 1970 and before: no certificate was valid */
    policy->time_ms = policy->now_ms;
    return 0;
}

static int make_policy(struct cv_attest_policy *policy, struct inputs *in,
                       const struct verify_options *o, struct cv_error *err)
{
    int rc;

    cv_attest_policy_init(policy);
    policy->strict = o->strict;
    if ((rc = cv_expect_apply(policy, &in->root, &o->expect, err)) != 0 ||
        (rc = take_times(policy, o, err)) != 0)
        return rc;
    if (o->nonce != NULL) {
        if ((rc = take_hex(&in->nonce, o->nonce, "--nonce", err)) != 0)
            return rc;
        cv_attest_expect_nonce(policy, in->nonce.p, in->nonce.n);
    }
    if (o->user_data != NULL) {
        if ((rc = take_hex(&in->user_data, o->user_data, "--user-data", err)) != 0)
            return rc;
        cv_attest_expect_user_data(policy, in->user_data.p, in->user_data.n);
    }
    if (o->public_key != NULL) {
        if ((rc = take_public_key(&in->public_key, o->public_key, err)) != 0)
            return rc;
        cv_attest_expect_public_key(policy, in->public_key.p, in->public_key.n);
    }
    if (o->module_id != NULL)
        cv_attest_expect_module_id(policy, o->module_id);
    return 0;
}

/* --key: the document speaks of this key, and cannot serve for anything else. */
static int check_key(const struct cv_attest_document *doc, const struct cv_pkh *want,
                     struct cv_error *err)
{
    struct cv_key_statement st;
    struct cv_pkh found;
    char text[CV_PKH_TEXT_SIZE];

    int rc = cv_key_statement_read(&st, CV_BYTES(doc->user_data.p, doc->user_data.n), err);
    if (rc != 0)
        return rc;
    cv_pkh_of(&found, &st.public_key);
    if (!cv_pkh_equal(&found, want)) {
        cv_pkh_format(text, &found);
        return cv_error_set(err, CV_ERR_DENIED, "the document is about another key, %s", text);
    }
    if (doc->public_key.p != NULL)
        return cv_error_set(err, CV_ERR_DENIED,
                            "a document about a key has no public_key, and this has one");
    return 0;
}

static enum cv_exit refuse(const struct cv_cli *cli, const char *code, const char *field,
                           const char *message)
{
    if (cli->json) {
        cv_eif_show_json(json_pack("{s:b,s:s,s:s,s:s}", "verified", 0, "code", code, "field", field,
                                   "message", message));
        (void)cv_cli_finish();
    }
    return cv_cli_fail(NULL, "refused (%s): %s", code, message);
}

static enum cv_exit accepted(const struct cv_cli *cli, const struct cv_attest_document *doc,
                             const struct cv_attest_policy *policy)
{
    if (cv_attest_is_debug(doc))
        cv_cli_warn_debug();
    if (policy->pcr_mask == 0)
        (void)fputs(
            "Note: no register was compared: the document is genuine, but of which image is open "
            "(--pcr, --pcrs, --eif).\n",
            stderr);
    if (cli->json) {
        json_t *o = cv_cli_document_json(doc);
        if (o == NULL)
            return cv_cli_fail(NULL, "no memory");
        json_object_set_new(o, "verified", json_true());
        cv_eif_show_json(o);
    } else {
        cv_cli_document_print(doc);
        (void)puts("verified");
    }
    return cv_cli_finish();
}

static enum cv_exit verify(const struct cv_cli *cli, const char *path,
                           const struct verify_options *o, struct inputs *in)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf bytes = {0};
    struct cv_attest_policy policy;
    struct cv_attest_document doc;
    struct cv_attest_error refused;
    struct cv_error err;
    struct cv_pkh pkh;

    cv_error_clear(&err);
    if (o->key != NULL && cv_pkh_parse(&pkh, cv_bytes_str(o->key)) != 0)
        return cv_cli_usage(&cv_cmd_attest_verify, "--key wants a public key hash (tz1… to tz4…)");
    int rc = make_policy(&policy, in, o, &err);
    if (rc == CV_ERR_CONFIG)
        return cv_cli_usage(&cv_cmd_attest_verify, "%s", cv_error_top(&err));
    if (rc != 0)
        return cv_cli_fail(&err, "reading what is expected");
    if (cv_cli_document_load(&bytes, path, &err) != 0)
        return cv_cli_fail(&err, "reading the document");
    enum cv_attest_code code = cv_attest_verify(&doc, bytes.p, bytes.n, &policy, &refused);
    if (code != CV_ATTEST_OK)
        return refuse(cli, cv_attest_code_name(code), refused.field, refused.message);
    if (o->key != NULL && check_key(&doc, &pkh, &err) != 0)
        return refuse(cli, "key_mismatch", "user_data", cv_error_top(&err));
    return accepted(cli, &doc, &policy);
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct verify_options o = {0};
    struct inputs in = {0};
    const struct cv_option options[] = {
        CV_EXPECT_OPTIONS(&o.expect),
        {"nonce", 0, CV_OPT_TEXT, &o.nonce},
        {"user-data", 0, CV_OPT_TEXT, &o.user_data},
        {"public-key", 0, CV_OPT_TEXT, &o.public_key},
        {"module-id", 0, CV_OPT_TEXT, &o.module_id},
        {"max-age", 0, CV_OPT_TEXT, &o.max_age},
        {"time", 0, CV_OPT_TEXT, &o.time},
        {"key", 0, CV_OPT_TEXT, &o.key},
        {"strict", 0, CV_OPT_FLAG, &o.strict},
    };
    int operands;

    if (!cv_options_parse(&cv_cmd_attest_verify, options, sizeof options / sizeof options[0], argc,
                          argv, &operands))
        return CV_EXIT_USAGE;
    if (operands != 1)
        return cv_cli_usage(&cv_cmd_attest_verify, "name one document");
    cv_buf_init(&in.nonce, CV_ATTEST_MAX_DOCUMENT);
    cv_buf_init(&in.user_data, CV_ATTEST_MAX_DOCUMENT);
    cv_buf_init(&in.public_key, CV_ATTEST_MAX_DOCUMENT);
    enum cv_exit status = verify(cli, argv[1], &o, &in);
    cv_buf_free(&in.root);
    cv_buf_free(&in.nonce);
    cv_buf_free(&in.user_data);
    cv_buf_free(&in.public_key);
    return status;
}

const struct cv_command cv_cmd_attest_verify = {
    .name = "attest verify",
    .summary = "verify an attestation document, offline",
    .usage = "[--pcr N=HEX]... [--pcrs FILE] [--eif IMAGE] [--nonce HEX] [--time now|RFC3339] FILE",
    .help =
        "Exit status 0 only when FILE is genuine and as expected; otherwise 1, and the rule\n"
        "that it breaks. FILE is the document, or its base64 or hex; '-' is standard input.\n\n" CV_EXPECT_HELP
        "  --nonce HEX         the nonce that was sent\n"
        "  --user-data HEX     expected user data\n"
        "  --public-key FILE   expected public key (PEM, or the bytes themselves)\n"
        "  --module-id ID      expected module id\n"
        "  --key PKH           the document is the signer's statement about this key\n"
        "  --max-age SECONDS   refuse an older document; measured at --time, or now\n"
        "  --time TIME         when the certificates have to be valid: now, or RFC 3339\n"
        "                      (default: the document's own time)\n"
        "  --strict            refuse fields that are not known\n\n"
        "Example: claviger attest verify --eif signer.eif --nonce 00aa --max-age 300 document.cbor\n",
    .run = run,
};
