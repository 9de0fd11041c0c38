/* SPDX-License-Identifier: Apache-2.0 */
/* claviger generate */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/vaults.h"

static enum cv_exit generate(const struct cv_cli *cli, const struct cv_config *config,
                             struct cv_cli_vault *v, enum cv_scheme scheme, unsigned num)
{
    struct cv_error err;
    enum cv_exit rc = CV_EXIT_OK;
    size_t made = 0;
    struct cv_vault_key **keys = calloc(num, sizeof(struct cv_vault_key *));
    if (keys == NULL) {
        return cv_cli_fail(NULL, "no memory for %u keys", num);
    }
    cv_error_clear(&err);
    while (made < num && rc == CV_EXIT_OK) {
        size_t batch = num - made < CV_VAULT_GENERATE_MAX ? num - made : CV_VAULT_GENERATE_MAX,
               n = 0;
        if (cv_vault_generate(v->vault, scheme, batch, keys + made, &n,
                              cv_cli_deadline(CV_VAULT_KMS_MS), &err) != 0) {
            rc = cv_cli_fail(&err, "generating key %zu of %u in vault %s", made + n + 1, num,
                             cv_vault_name(v->vault));
        }
        for (size_t end = made + n; made < end; made++) {
            cv_log(CV_LOG_INFO, "key generated", "pkh", keys[made]->pkh_text, "vault",
                   cv_vault_name(v->vault), NULL);
            if (!cli->json) {
                cv_cli_print_key(config, keys[made]);
            }
        }
        (void)fflush(stdout);
    }
    /* Those that were made are stored, so they are told also after a failure. */
    cv_cli_tell_unlisted(cli, config, keys, made);
    enum cv_exit printed = cli->json ? cv_cli_print_keys_json(config, keys, made) : cv_cli_finish();
    free(keys);
    return rc != CV_EXIT_OK ? rc : printed;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    const char *vault = NULL, *type = "ed25519";
    unsigned num = 1;
    const struct cv_option options[] = {
        {"vault", 'v', CV_OPT_TEXT, &vault},
        {"type", 't', CV_OPT_TEXT, &type},
        {"num", 'n', CV_OPT_COUNT, &num},
    };
    enum cv_scheme scheme;
    struct cv_cli_vault v;
    CV_CLEANUP(cv_config_free) struct cv_config *config = NULL;
    if (!cv_options_parse(&cv_cmd_generate, options, 3, argc, argv, NULL)) {
        return CV_EXIT_USAGE;
    }
    if (vault == NULL) {
        return cv_cli_usage(&cv_cmd_generate, "--vault is wanted");
    }
    if (cv_scheme_parse(&scheme, type) != 0) {
        char quoted[40];
        return cv_cli_usage(
            &cv_cmd_generate,
            "unknown key type: %s (tz1, tz2, tz3, tz4, ed25519, secp256k1, p256, bls)",
            cv_error_quote(quoted, sizeof(quoted), type, cv_bytes_str(type).n));
    }
    if (!cv_cli_configuration(cli, &config) || !cv_cli_vault_open(&v, config, vault, false)) {
        return CV_EXIT_FAILURE;
    }
    enum cv_exit rc = generate(cli, config, &v, scheme, num);
    cv_cli_vault_close(&v);
    return rc;
}

const struct cv_command cv_cmd_generate = {
    .name = "generate",
    .summary = "make new keys inside an enclave",
    .usage = "-v VAULT [-t TYPE] [-n NUM]",
    .help = "  -v, --vault VAULT   the vault's name in the configuration\n"
            "  -t, --type TYPE     tz1, tz2, tz3, tz4, ed25519, secp256k1, p256 or bls\n"
            "                      (default ed25519)\n"
            "  -n, --num NUM       how many (default 1)\n\n"
            "A key is printed once its sealed blob is stored durably.\n\n"
            "Example: claviger generate -v nitro -t tz4\n",
    .run = run,
};
