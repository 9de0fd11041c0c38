/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/vaults.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "json/json.h"
#include "proxy/proxy.h"
#include "signer/daemon.h"
#include "yaml/yaml.h"

/* The built-in proxy, so that the enclave reaches KMS. A daemon that runs has
 * one already: then this one cannot listen, and is not needed. */
static void start_proxy(struct cv_cli_vault *v, const struct cv_config *config,
                        const struct cv_config_vault *c)
{
    struct cv_proxy_config p = {.listen = c->proxy_local, .port = c->proxy_remote_port};
    struct cv_error err;
    if (c->proxy_remote_host == NULL) {
        return;
    }
    cv_error_clear(&err);
    (void)snprintf(p.host, sizeof(p.host), "%s", c->proxy_remote_host);
    p.cid_count = cv_config_cids(config, p.cids, CV_PROXY_CIDS);
    if (cv_proxy_start(&v->proxy, &p, &err) != 0) {
        cv_log_error(CV_LOG_INFO, "no proxy is started (the daemon's is used if it runs)", &err);
    }
}

static void unknown_vault(const struct cv_config *config, const char *name)
{
    const char *names[65];
    char quoted[80];
    size_t n = 0;
    for (; n < config->vault_count && n < 64; n++) {
        names[n] = config->vaults[n].name;
    }
    names[n] = NULL;
    const char *near = cv_yaml_nearest(name, names);
    cv_error_quote(quoted, sizeof(quoted), name, strlen(name));
    (void)cv_cli_fail(NULL, "vault %s is not found in the configuration%s%s%s", quoted,
                      near != NULL ? "; did you mean " : "", near != NULL ? near : "",
                      near != NULL ? "?" : "");
}

static bool open_vault(struct cv_cli_vault *v, const struct cv_config *config, const char *name,
                       bool keys, bool to_list, int64_t ms)
{
    const struct cv_vault_events none = {.state = NULL};
    const struct cv_config_vault *c = cv_config_vault_find(config, name);
    struct cv_error err;
    memset(v, 0, sizeof(*v));
    cv_error_clear(&err);
    if (c == NULL) {
        unknown_vault(config, name);
        return false;
    }
    if (c->cid_defaulted) {
        cv_log(CV_LOG_WARN, "no enclave_cid is configured and ENCLAVE_CID is not set: using 16",
               "vault", c->name, NULL);
    }
    int rc = cv_daemon_prepare_base_dir(config->base_dir, &err);
    if (rc == 0) {
        rc = cv_loop_new(&v->loop, &err);
    }
    if (rc == 0) {
        start_proxy(v, config, c);
        rc = cv_vault_new(&v->vault, v->loop, c, NULL, &none, &err);
    }
    if (rc == 0) {
        rc = cv_vault_open_now(v->vault, keys, cv_cli_deadline(ms), &err);
    }
    v->late = to_list && rc == CV_ERR_TIMEOUT && cv_vault_listed(v->vault);
    if (v->late) {
        (void)cv_cli_fail(&err, "opening vault %s: not every key was imported", c->name);
    } else if (rc != 0) {
        (void)cv_cli_fail(&err, "opening vault %s", c->name);
        cv_cli_vault_close(v);
        return false;
    }
    return true;
}

bool cv_cli_vault_open(struct cv_cli_vault *v, const struct cv_config *config, const char *name,
                       bool keys)
{
    return open_vault(v, config, name, keys, false, CV_CLI_VAULT_MS);
}

bool cv_cli_vault_open_to_list(struct cv_cli_vault *v, const struct cv_config *config,
                               const char *name, int64_t ms)
{
    return open_vault(v, config, name, true, true, ms);
}

void cv_cli_vault_close(struct cv_cli_vault *v)
{
    cv_vault_free(&v->vault);
    cv_proxy_stop(&v->proxy);
    cv_loop_free(&v->loop);
}

void cv_cli_tell_unlisted(const struct cv_cli *cli, const struct cv_config *config,
                          struct cv_vault_key *const *keys, size_t count)
{
    size_t unlisted = 0;
    for (size_t i = 0; i < count; i++) {
        unlisted += cv_config_key_find(config, &keys[i]->pkh) == NULL ? 1 : 0;
    }
    if (unlisted > 0) {
        cv_log(CV_LOG_INFO, "a key signs once the configuration lists it under `tezos`", "unlisted",
               cv_logf("%zu", unlisted), "configuration", cli->config, NULL);
    }
}

static void print_set(const char *title, const char *const *names, size_t count, uint64_t set)
{
    bool first = true;
    (void)printf("%-26s [", title);
    for (size_t i = 0; i < count; i++) {
        if (set >> i & 1) {
            (void)printf("%s%s", first ? "" : " ", names[i]);
            first = false;
        }
    }
    (void)printf("]\n");
}

/* Operations with the ballots among them, in alphabetical order. */
static void print_operations(const struct cv_config_key *k)
{
    const char *names[64 + 4];
    uint64_t set = 0;
    size_t n = 0;
    for (size_t i = 0; cv_operation_names[i] != NULL; i++) {
        set |= (k->operations >> i & 1) << n;
        names[n++] = cv_operation_names[i];
        for (size_t b = 0; strcmp(cv_operation_names[i], "ballot") == 0 && b < CV_BALLOT_NAME_COUNT;
             b++) {
            set |= (k->operations >> (cv_operation_name_count() + b) & 1) << n;
            names[n++] = cv_ballot_names[b];
        }
    }
    print_set("Allowed Operations:", names, n, set);
}

void cv_cli_print_key(const struct cv_config *config, const struct cv_vault_key *key)
{
    const struct cv_config_key *k = cv_config_key_find(config, &key->pkh);
    (void)printf("%-26s %s\n", "Public Key Hash:", key->pkh_text);
    (void)printf("%-26s %s\n", "Public Key:", key->known ? key->public_key_text : "");
    (void)printf("%-26s \n", "Reference:");
    (void)printf("%-26s %s\n", "Vault:", CV_VAULT_TITLE);
    (void)printf("%-26s %s\n", "Active:", k != NULL ? "true" : "false");
    if (k != NULL) {
        print_set("Allowed Requests:", cv_request_names, CV_REQUEST_NAME_COUNT, k->requests);
        print_operations(k);
        (void)printf("%-26s %s\n",
                     "Allow Proof of Possession:", k->allow_proof_of_possession ? "true" : "false");
    }
    (void)printf("\n");
}

enum cv_exit cv_cli_print_keys_json(const struct cv_config *config,
                                    struct cv_vault_key *const *keys, size_t count)
{
    CV_JSON_AUTO json_t *array = json_array();
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 64u * 1024 * 1024);
    for (size_t i = 0; i < count; i++) {
        const struct cv_vault_key *k = keys[i];
        json_t *item =
            json_pack("{s:s, s:s, s:s, s:b}", "public_key_hash", k->pkh_text, "public_key",
                      k->known ? k->public_key_text : "", "vault", cv_vault_name(k->vault),
                      "active", cv_config_key_find(config, &k->pkh) != NULL);
        if (array == NULL || item == NULL || json_array_append_new(array, item) != 0) {
            return cv_cli_fail(NULL, "no memory for the result");
        }
    }
    if (array == NULL || cv_json_dump_indent(&text, array, 2) != 0) {
        return cv_cli_fail(NULL, "no memory for the result");
    }
    (void)printf("%s\n", (const char *)text.p);
    return cv_cli_finish();
}
