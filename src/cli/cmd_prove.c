/* SPDX-License-Identifier: Apache-2.0 */
/* claviger prove */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/vaults.h"

struct proving {
    struct cv_sign sign;
    bool done;
    int code;
    struct cv_signature proof;
    struct cv_error *err;
};

static void on_proved(struct cv_sign *sign, int code, const struct cv_signature *sig,
                      const struct cv_error *err)
{
    struct proving *p = (struct proving *)(void *)sign;
    p->done = true;
    p->code = code;
    if (code == 0) {
        p->proof = *sig;
    } else {
        *p->err = *err;
    }
}

static int prove(struct cv_cli_vault *v, struct cv_vault_key *key, struct proving *p)
{
    int64_t deadline = cv_cli_deadline(CV_CLI_VAULT_MS);
    p->sign.done = on_proved;
    int rc = cv_vault_prove(key, &p->sign, deadline, p->err);
    if (rc != 0) {
        return rc;
    }
    while (!p->done) {
        if (cv_loop_once(v->loop, deadline) != 0) {
            struct cv_error why;
            cv_error_clear(&why);
            (void)cv_error_set(&why, CV_ERR_IO, "waiting for the enclave failed");
            cv_session_drop(cv_vault_session(v->vault), &why);
        }
    }
    /* What the enclave says is checked before it is shown. */
    if (p->code == 0 && cv_verify_possession(&key->public_key, &p->proof) != 0) {
        return cv_error_set(p->err, CV_ERR_CRYPTO, "the enclave's proof does not verify");
    }
    return p->code;
}

/* The vault that stores PKH; opens it with its keys. NULL, and said why. */
static struct cv_vault_key *find(struct cv_cli_vault *v, const struct cv_config *config,
                                 const struct cv_pkh *pkh, const char *text)
{
    bool opened = true;
    for (size_t i = 0; i < config->vault_count; i++) {
        if (!cv_cli_vault_open(v, config, config->vaults[i].name, true)) {
            opened = false;
            continue;
        }
        for (size_t k = 0; k < cv_vault_key_count(v->vault); k++) {
            if (cv_pkh_equal(&cv_vault_key_at(v->vault, k)->pkh, pkh)) {
                return cv_vault_key_at(v->vault, k);
            }
        }
        cv_cli_vault_close(v);
    }
    if (opened) {
        (void)cv_cli_fail(NULL, "%s is in no vault", text);
    }
    return NULL;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    int operands = 0;
    struct cv_pkh pkh;
    struct cv_error err;
    struct cv_cli_vault v;
    struct proving p = {.err = &err};
    CV_CLEANUP(cv_config_free) struct cv_config *config = NULL;
    cv_error_clear(&err);
    if (!cv_options_parse(&cv_cmd_prove, NULL, 0, argc, argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands != 1 || cv_pkh_parse(&pkh, cv_bytes_str(argv[1])) != 0 ||
        pkh.scheme != CV_SCHEME_BLS) {
        return cv_cli_usage(&cv_cmd_prove, "one tz4 public key hash is wanted");
    }
    if (!cv_cli_configuration(cli, &config)) {
        return CV_EXIT_FAILURE;
    }
    struct cv_vault_key *key = find(&v, config, &pkh, argv[1]);
    if (key == NULL) {
        return CV_EXIT_FAILURE;
    }
    enum cv_exit rc;
    char text[CV_SIG_TEXT_SIZE];
    if (prove(&v, key, &p) != 0) {
        rc = cv_cli_fail(&err, "proving possession of %s", argv[1]);
    } else {
        cv_signature_format(text, &p.proof, false);
        if (cli->json) {
            (void)printf(
                "{\"public_key_hash\":\"%s\",\"public_key\":\"%s\",\"bls_prove_possession\":\"%s\"}\n",
                key->pkh_text, key->public_key_text, text);
        } else {
            (void)printf("%s\n", text);
        }
        rc = cv_cli_finish();
    }
    cv_cli_vault_close(&v);
    return rc;
}

const struct cv_command cv_cmd_prove = {
    .name = "prove",
    .summary = "prove possession of a tz4 key",
    .usage = "PUBLIC_KEY_HASH",
    .help =
        "The proof is a BLS signature of the public key, as a reveal of a tz4 key carries it.\n\n"
        "Example: claviger prove tz4Qv3fhfDBQoNewnsLr93aim77Ty3EXAn2j\n",
    .run = run,
};
