/* SPDX-License-Identifier: Apache-2.0 */
/* claviger import */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/attest_expect.h"
#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/import_options.h"
#include "cli/prompt.h"
#include "cli/vaults.h"
#include "common/file.h"
#include "tezos/keyimport.h"

/* The key's text: from a file, a pipe, or typed where nobody can read it. */
static int read_key(struct cv_secret *out, const char *from, struct cv_error *err)
{
    if (from != NULL && strcmp(from, "-") != 0) {
        return cv_file_read_secret(out, from, CV_KEY_FILE_MAX, err);
    }
    if (from == NULL && isatty(STDIN_FILENO)) {
        return cv_prompt_secret(out, "Enter the secret key: ", CV_KEY_FILE_MAX, err);
    }
    return cv_prompt_read_all(out, STDIN_FILENO, CV_KEY_FILE_MAX, err);
}

/* One line: its end is no part of the password. */
static int read_password(struct cv_secret *out, const char *file, struct cv_error *err)
{
    if (file == NULL) {
        return cv_prompt_secret(out, "Enter the password: ", 4096, err);
    }
    int rc = cv_file_read_secret(out, file, 4096, err);
    if (rc == 0 && out->n > 0 && out->p[out->n - 1] == '\n') {
        cv_secret_shrink(out, out->n - 1);
    }
    if (rc == 0 && out->n > 0 && out->p[out->n - 1] == '\r') {
        cv_secret_shrink(out, out->n - 1);
    }
    return rc;
}

/* Everything that can be wrong with the key is found before the enclave is
 * bothered. */
static int take_key(struct cv_secret *key, enum cv_scheme *scheme, const char *from,
                    const char *password_file, struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret text = CV_SECRET_INIT;
    CV_SECRET_AUTO struct cv_secret password = CV_SECRET_INIT;
    int rc = read_key(&text, from, err);
    if (rc != 0) {
        (void)cv_error_wrap(err, "reading the secret key");
        return rc;
    }
    if (cv_key_is_encrypted(cv_secret_view(&text))) {
        rc = read_password(&password, password_file, err);
        if (rc != 0) {
            (void)cv_error_wrap(err, "reading the password");
            return rc;
        }
    }
    return cv_key_import(key, scheme, cv_secret_view(&text), cv_secret_view(&password), err);
}

static enum cv_exit refuse_arguments(int count)
{
    return cv_cli_usage(&cv_cmd_import,
                        count > 0
                            ? "a key on the command line is seen by every user of this machine, "
                              "and kept in the shell's history: use --from FILE, a pipe, or the "
                              "prompt"
                            : "a password on the command line is seen by every user of this "
                              "machine: use --password-file FILE, or the prompt");
}

struct how {
    struct cv_expect_options expect;
    bool plain;
};

static bool expects_something(const struct cv_expect_options *e)
{
    return e->pcr.count > 0 || e->pcrs != NULL || e->eif != NULL || e->role_arn != NULL ||
           e->instance_id != NULL || e->root != NULL;
}

/* Sealed to the enclave wherever it offers that; in clear only to one that does
 * not, or when asked for. */
static int hand_in(struct cv_vault *vault, const struct how *how, enum cv_scheme scheme,
                   const struct cv_secret *key, struct cv_vault_key **made, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf root = {0};
    struct cv_attest_policy policy;
    int64_t deadline = cv_cli_deadline(CV_VAULT_KMS_MS);
    const struct cv_attest_policy *configured = cv_vault_expected(vault);
    bool verify = expects_something(&how->expect) || configured != NULL;
    if (how->plain) {
        return cv_vault_import(vault, scheme, key, made, deadline, err);
    }
    if (!cv_vault_takes_sealed(vault)) {
        if (verify) {
            return cv_error_set(
                err, CV_ERR_UNSUPPORTED,
                "this enclave takes keys in clear only, so it cannot be verified first; "
                "--plain hands the key in all the same");
        }
        cv_log(CV_LOG_WARN, "the key goes to the enclave in clear: the parent instance sees it",
               NULL);
        return cv_vault_import(vault, scheme, key, made, deadline, err);
    }
    cv_attest_policy_init(&policy);
    if (configured != NULL) { /* the options may add to it, but not say otherwise */
        policy = *configured;
    }
    int rc = cv_expect_apply(&policy, &root, &how->expect, err);
    if (rc != 0) {
        return rc;
    }
    policy.allow_debug = policy.allow_debug || (configured != NULL && configured->allow_debug);
    if (!verify) {
        cv_log(CV_LOG_WARN,
               "the enclave is not verified before it gets the key: say what is expected of "
               "it (--eif, --pcrs, --pcr, or expected_pcrs in the vault's configuration)",
               NULL);
    } else if (policy.pcr_mask == 0) {
        cv_log(CV_LOG_WARN,
               "no register is compared: any image may get the key (--eif, --pcrs, --pcr)", NULL);
    }
    return cv_vault_import_sealed(vault, scheme, key, verify ? &policy : NULL, made, deadline, err);
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    const char *vault = NULL, *from = NULL, *password_file = NULL, *password = NULL;
    struct cv_option_list ignored = {.count = 0};
    struct how how = {.plain = false};
    const struct cv_option options[] = {
        {"vault", 'v', CV_OPT_TEXT, &vault},
        {"from", 'f', CV_OPT_TEXT, &from},
        {"password-file", 0, CV_OPT_TEXT, &password_file},
        {"password", 0, CV_OPT_TEXT, &password},
        {"opt", 'o', CV_OPT_LIST, &ignored},
        {"plain", 0, CV_OPT_FLAG, &how.plain},
        CV_EXPECT_OPTIONS(&how.expect),
    };
    int operands = 0;
    enum cv_scheme scheme = CV_SCHEME_ED25519;
    struct cv_cli_vault v;
    struct cv_vault_key *made = NULL;
    struct cv_error err;
    CV_SECRET_AUTO struct cv_secret key = CV_SECRET_INIT;
    CV_CLEANUP(cv_config_free) struct cv_config *config = NULL;
    cv_error_clear(&err);
    if (!cv_options_parse(&cv_cmd_import, options, sizeof(options) / sizeof(options[0]), argc, argv,
                          &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands > 0 || password != NULL) {
        return refuse_arguments(operands);
    }
    if (how.plain && expects_something(&how.expect)) {
        return cv_cli_usage(&cv_cmd_import, "--plain verifies nothing: leave out what is expected");
    }
    for (size_t i = 0; i < ignored.count; i++) {
        if (!cv_import_options_valid(ignored.item[i])) {
            return cv_cli_usage(&cv_cmd_import, "-o: unexpected end of the string: key:value, more "
                                                "of them after commas");
        }
    }
    if (vault == NULL) {
        return cv_cli_usage(&cv_cmd_import, "--vault is wanted");
    }
    if (!cv_cli_configuration(cli, &config)) {
        return CV_EXIT_FAILURE;
    }
    if (cv_config_vault_find(config, vault) != NULL &&
        take_key(&key, &scheme, from, password_file, &err) != 0) {
        return cv_cli_fail(&err, "importing the key");
    }
    if (!cv_cli_vault_open(&v, config, vault, false)) {
        return CV_EXIT_FAILURE;
    }
    enum cv_exit rc;
    if (hand_in(v.vault, &how, scheme, &key, &made, &err) != 0) {
        rc = cv_cli_fail(&err, "importing the key into vault %s", vault);
    } else {
        cv_log(CV_LOG_INFO, "key imported", "pkh", made->pkh_text, "vault", vault, NULL);
        cv_cli_tell_unlisted(cli, config, &made, 1);
        if (cli->json) {
            rc = cv_cli_print_keys_json(config, &made, 1);
        } else {
            cv_cli_print_key(config, made);
            rc = cv_cli_finish();
        }
    }
    cv_cli_vault_close(&v);
    return rc;
}

const struct cv_command cv_cmd_import = {
    .name = "import",
    .summary = "hand an existing key to an enclave",
    .usage = "-v VAULT [-f FILE] [--password-file FILE] [--eif IMAGE] [--pcr N=HEX]...",
    .help =
        "  -v, --vault VAULT   the vault's name in the configuration\n"
        "  -f, --from FILE     file with the key (\"-\": standard input); without it a pipe\n"
        "                      or a prompt that shows nothing\n"
        "      --password-file FILE  password of an encrypted key; else a prompt\n"
        "  -o, --opt K:V[,...] accepted for Signatory's sake; has no effect\n"
        "      --plain         hand the key in clear to the parent instance, unverified\n" CV_EXPECT_HELP
        "\nThe key is sealed to the enclave where it offers that, so that the parent instance\n"
        "never sees it. Whether that enclave is the right one is known only when it is told\n"
        "what to expect, here or by expected_pcrs or enclave_image of the vault: then its\n"
        "attestation document is verified before the key leaves.\n\n"
        "Reads PEM and DER (PKCS#8, SEC1) and Base58 (edsk, spsk, p2sk, BLsk, and encrypted\n"
        "edesk, spesk, p2esk, BLesk).\n\n"
        "Example: claviger import -v nitro --from key.pem --eif signer.eif\n",
    .run = run,
};
