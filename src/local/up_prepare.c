/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder: made once, completed and kept by every later `up`. The key comes
 * first, since its ARN stands in enclave.conf; enclave.conf is measured; the
 * key policy then names the measurement. A policy that is there is kept, so
 * that another image finds itself refused.
 */
#include "local/up.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"
#include "transport/addr.h"

/* Paths stand in settings files, and sockets have short names. */
static int check_dir(const char *dir, struct cv_error *err)
{
    char quoted[256];
    size_t longest = sizeof "/enclave.sock" - 1;
    for (const char *c = dir; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return cv_error_set(err, CV_ERR_INVALID,
                                "the folder's name holds control characters: %s",
                                cv_error_quote(quoted, sizeof quoted, dir, strlen(dir)));
    if (strlen(dir) + longest >= CV_ADDR_PATH)
        return cv_error_set(err, CV_ERR_LIMIT,
                            "the folder's path is too long for the sockets in it: "
                            "%zu bytes, at most %zu",
                            strlen(dir), CV_ADDR_PATH - 1 - longest);
    return 0;
}

static const struct cv_local_principal *find_principal(const struct cv_local_kms_state *s,
                                                       const char *role_arn)
{
    for (size_t i = 0; i < s->n_principals; i++) {
        const struct cv_local_principal *p = &s->principals[i];
        size_t n = strlen(p->arn);
        if (role_arn ? p->role_arn && !strcmp(p->role_arn, role_arn)
                     : n > 5 && !strcmp(p->arn + n - 5, ":root"))
            return p;
    }
    return NULL;
}

static int complete_principals(struct cv_up_plan *plan, struct cv_local_kms_state *s,
                               struct cv_error *err)
{
    int rc = 0;
    snprintf(plan->role_arn, sizeof plan->role_arn, "arn:aws:iam::%s:role/" CV_UP_ROLE, s->account);
    if (!find_principal(s, NULL))
        rc = cv_local_kms_admin_add(s, err);
    if (!rc && !find_principal(s, plan->role_arn))
        rc = cv_local_kms_role_add(s, CV_UP_ROLE, "parent", NULL, err);
    return rc;
}

static int measure(struct cv_up_plan *plan, struct cv_error *err)
{
    char conf[CV_UP_PATH];
    const char *const files[] = {plan->options.enclave, cv_up_path(conf, plan, "enclave.conf")};
    if (plan->options.debug_mode)
        memset(plan->pcr0, 0, sizeof plan->pcr0);
    else if (plan->options.has_pcr0)
        memcpy(plan->pcr0, plan->options.pcr0, sizeof plan->pcr0);
    else
        return cv_local_measure(plan->pcr0, files, 2, err);
    return 0;
}

/* A new key has no policy that could name a measurement yet: at first nobody
 * but the account may do anything with it. */
static int make_key(struct cv_local_key **out, struct cv_local_kms_state *s, struct cv_error *err)
{
    static const char zeros[] = "";
    char *policy = cv_up_policy_new(s->account, "arn:aws:iam::111122223333:role/nobody", zeros);
    int rc = policy ? cv_local_kms_key_add(out, s, "claviger-local up", policy, cv_unix_ms(), err)
                    : cv_error_set(err, CV_ERR_NOMEM, "no memory for a key policy");
    free(policy);
    if (!rc && cv_local_kms_alias_add(s, CV_UP_ALIAS, (*out)->id, cv_unix_ms()))
        rc = cv_error_set(err, CV_ERR_NOMEM, "no memory for an alias");
    return rc;
}

static int first_policy(const struct cv_up_plan *plan, const struct cv_local_kms_state *s,
                        struct cv_local_key *key, const char *pcr0, struct cv_error *err)
{
    char *policy = cv_up_policy_new(s->account, plan->role_arn, pcr0);
    int rc = policy ? cv_local_kms_key_set_policy(key, policy, err)
                    : cv_error_set(err, CV_ERR_NOMEM, "no memory for a key policy");
    free(policy);
    return rc;
}

static int adjust_policy(const struct cv_up_plan *plan, struct cv_local_key *key, const char *pcr0,
                         struct cv_error *err)
{
    const struct cv_up_options *o = &plan->options;
    char *changed = NULL;
    int rc = o->sealed_version || o->accept_image
                 ? cv_up_policy_adjust(&changed, key->policy_text, plan->role_arn,
                                       o->sealed_version == 1, o->accept_image ? pcr0 : NULL)
                 : 0;
    if (rc == CV_ERR_INVALID)
        cv_log(CV_LOG_WARN, "the key policy is not as up wrote it, and is left alone", NULL);
    else if (!rc && changed)
        rc = cv_local_kms_key_set_policy(key, changed, err);
    free(changed);
    if (!cv_up_policy_accepts(key->policy_text, pcr0))
        cv_log(CV_LOG_WARN,
               "the key policy does not accept this enclave: KMS will refuse it "
               "(--accept-image changes that)",
               "pcr0", pcr0, NULL);
    return rc == CV_ERR_INVALID ? 0 : rc;
}

/* With the state loaded: key, settings, measurement, policy, files. */
static int complete(struct cv_up_plan *plan, struct cv_local_kms_state *s, struct cv_error *err)
{
    char pcr0[2 * CV_LOCAL_PCR_BYTES + 1];
    struct cv_local_key *key = cv_local_kms_key_find(s, CV_UP_ALIAS);
    bool fresh = key == NULL;
    int rc = complete_principals(plan, s, err);
    if (!rc && fresh)
        rc = make_key(&key, s, err);
    if (rc || !key)
        return rc ? rc : CV_ERR_INTERNAL;
    snprintf(plan->key_arn, sizeof plan->key_arn, "%s", key->arn);
    if ((rc = cv_up_write_enclave_conf(plan, err)) || (rc = measure(plan, err)))
        return rc;
    cv_hex_encode(pcr0, plan->pcr0, sizeof plan->pcr0);
    if ((fresh && (rc = first_policy(plan, s, key, pcr0, err))) ||
        (rc = adjust_policy(plan, key, pcr0, err)) || (rc = cv_local_kms_state_save(s, err)))
        return rc;
    const struct cv_local_principal *role = find_principal(s, plan->role_arn);
    rc = cv_up_write_signatory_yaml(plan, role, err);
    return rc ? rc : cv_up_write_credentials(plan, find_principal(s, NULL), role, err);
}

int cv_up_prepare(struct cv_up_plan *plan, const struct cv_up_options *options,
                  struct cv_error *err)
{
    struct cv_local_kms_state state;
    char path[CV_UP_PATH];
    memset(plan, 0, sizeof *plan);
    plan->options = *options;
    int rc = check_dir(options->dir, err);
    if (rc || (rc = cv_local_kms_state_load(&state, cv_up_path(path, plan, "kms.json"),
                                            options->region ? options->region : CV_UP_REGION,
                                            CV_UP_ACCOUNT, err)))
        return rc;
    snprintf(plan->region, sizeof plan->region, "%s", state.region);
    if (options->region && strcmp(options->region, state.region))
        rc = cv_error_set(err, CV_ERR_CONFIG,
                          "%s is of region %s already; another region needs "
                          "another folder",
                          options->dir, state.region);
    else
        rc = complete(plan, &state, err);
    cv_local_kms_state_free(&state);
    return rc;
}
