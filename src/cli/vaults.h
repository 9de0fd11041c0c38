/* SPDX-License-Identifier: Apache-2.0 */
/* A vault opened for one command, and how commands show its keys. */
#ifndef CV_CLI_VAULTS_H
#define CV_CLI_VAULTS_H

#include "cli/command.h"
#include "signer/vault.h"

#define CV_CLI_VAULT_MS 120000 /* for connecting and importing every key */

struct cv_proxy;

struct cv_cli_vault {
    struct cv_loop *loop;
    struct cv_vault *vault;
    struct cv_proxy *proxy;
    bool late; /* not all keys were imported in time */
};

/* Connects to vault NAME of CONFIG and, with KEYS, imports its keys. On failure the error
 * was printed, and the command ends with CV_EXIT_FAILURE. */
bool cv_cli_vault_open(struct cv_cli_vault *v, const struct cv_config *config, const char *name,
                       bool keys) CV_NODISCARD;
/* The same for `list`, with its keys and within MS: when the time was not
 * enough for all keys, those of the store are there, v->late is set, and the
 * error was printed. */
bool cv_cli_vault_open_to_list(struct cv_cli_vault *v, const struct cv_config *config,
                               const char *name, int64_t ms) CV_NODISCARD;
void cv_cli_vault_close(struct cv_cli_vault *v);

/* Says in the log how many of COUNT new keys the configuration does not list,
 * since those sign nothing. */
void cv_cli_tell_unlisted(const struct cv_cli *cli, const struct cv_config *config,
                          struct cv_vault_key *const *keys, size_t count);

/* One key as people read it (`list`, `generate`), or COUNT of them as a JSON
 * array. CONFIG tells what is listed under `tezos`. */
void cv_cli_print_key(const struct cv_config *config, const struct cv_vault_key *key);
enum cv_exit cv_cli_print_keys_json(const struct cv_config *config,
                                    struct cv_vault_key *const *keys, size_t count);

#endif
