/* SPDX-License-Identifier: Apache-2.0 */
/* claviger list */
#include <stdio.h>
#include <stdlib.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/vaults.h"
#include "common/clock.h"

/* Keys of one vault; those that cannot be used are told on standard error. */
static enum cv_exit list(const struct cv_cli *cli, const struct cv_config *config,
                         struct cv_vault *v, struct cv_vault_key ***all, size_t *count)
{
    enum cv_exit rc = CV_EXIT_OK;
    size_t n = cv_vault_key_count(v);
    struct cv_vault_key **more = reallocarray(*all, *count + n + 1, sizeof(struct cv_vault_key *));
    if (more == NULL) {
        return cv_cli_fail(NULL, "no memory for %zu keys", n);
    }
    *all = more;
    for (size_t i = 0; i < n; i++) {
        struct cv_vault_key *k = cv_vault_key_at(v, i);
        more[(*count)++] = k;
        if (!cli->json) {
            cv_cli_print_key(config, k);
        }
        if (!k->active) {
            rc = cv_cli_fail(NULL, "vault %s: key %s is not usable: %s", cv_vault_name(v),
                             k->pkh_text, k->fault[0] != 0 ? k->fault : "no answer in time");
        }
    }
    return rc;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    CV_CLEANUP(cv_config_free) struct cv_config *config = NULL;
    struct cv_vault_key **keys = NULL;
    size_t count = 0, opened = 0;
    enum cv_exit rc = CV_EXIT_OK;
    if (!cv_options_parse(&cv_cmd_list, NULL, 0, argc, argv, NULL)) {
        return CV_EXIT_USAGE;
    }
    if (!cv_cli_configuration(cli, &config)) {
        return CV_EXIT_FAILURE;
    }
    struct cv_cli_vault *v = calloc(config->vault_count + 1, sizeof(*v));
    if (v == NULL) {
        return cv_cli_fail(NULL, "no memory");
    }
    int64_t end = cv_cli_deadline(CV_CLI_VAULT_MS);
    for (size_t i = 0; i < config->vault_count; i++) {
        /* A vault that hangs does not take the time of those after it. */
        int64_t left = end - cv_now_ms();
        int64_t share = left / (int64_t)(config->vault_count - i);
        if (!cv_cli_vault_open_to_list(&v[opened], config, config->vaults[i].name, share)) {
            rc = CV_EXIT_FAILURE; /* the others are listed all the same */
        } else if (list(cli, config, v[opened++].vault, &keys, &count) != CV_EXIT_OK) {
            rc = CV_EXIT_FAILURE;
        }
    }
    enum cv_exit printed =
        cli->json ? cv_cli_print_keys_json(config, keys, count) : cv_cli_finish();
    free(keys);
    for (size_t i = 0; i < opened; i++) {
        cv_cli_vault_close(&v[i]);
    }
    free(v);
    return rc != CV_EXIT_OK ? rc : printed;
}

const struct cv_command cv_cmd_list = {
    .name = "list",
    .summary = "show the keys of every vault",
    .usage = "",
    .help =
        "A key is active when it is listed under `tezos` in the configuration. The command has\n"
        "two minutes altogether, or what --timeout gives it; keys that no enclave opened by\n"
        "then are shown without their public key, and the exit status is 1.\n\n"
        "Example: claviger list --json --timeout 30\n",
    .run = run,
};
