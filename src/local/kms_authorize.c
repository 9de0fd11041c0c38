/* SPDX-License-Identifier: Apache-2.0 */
/* May the caller? The key policy with the caller's identity policy, as IAM
 * combines them (KMS Developer Guide, "Determining access to KMS keys"). */
#include "local/kms_call.h"

#include <stdio.h>
#include <string.h>

static bool is_root(const struct cv_local_principal *who)
{
    size_t n = strlen(who->arn);
    return n > 5 && !strcmp(who->arn + n - 5, ":root");
}

/* What the caller's own policies say; the account root needs none. */
static void ask_identity(struct cv_policy_decision *d, const struct cv_local_principal *who,
                         const struct cv_policy_request *req)
{
    if (who->policy) {
        cv_policy_evaluate(d, who->policy, req);
        return;
    }
    memset(d, 0, sizeof *d);
    d->statement = -1;
    d->near_statement = -1;
    d->effect = is_root(who) ? CV_POLICY_ALLOW : CV_POLICY_DENY_IMPLICIT;
}

static int add_caller(struct cv_local_kms_call *c, const struct cv_local_key *key)
{
    char action[96];
    snprintf(action, sizeof action, "kms:%s", c->action);
    return cv_policy_context_add_caller(&c->context, c->who->arn, c->who->role_arn) ||
           cv_policy_context_add_request(&c->context, cv_local_now(c->kms)) ||
           cv_policy_context_add(&c->context, "aws:SourceIp", "127.0.0.1") ||
           (key && cv_policy_context_add_key(&c->context, action,
                                             key->spec ? key->spec->name : "SYMMETRIC_DEFAULT",
                                             key->spec ? "SIGN_VERIFY" : "ENCRYPT_DECRYPT"));
}

struct verdict {
    bool allowed;
    struct cv_policy_decision key, identity;
};

static void ask(struct cv_local_kms_call *c, struct verdict *v, const char *action,
                const struct cv_local_key *key, const struct cv_policy *policy)
{
    char full[96];
    snprintf(full, sizeof full, "kms:%s", action);
    struct cv_policy_request req = {
        .action = full,
        .resource = key ? key->arn : "*",
        .principal_arn = c->who->arn,
        .role_arn = c->who->role_arn,
        .attrs = c->context.attrs,
        .n_attrs = c->context.n,
    };
    ask_identity(&v->identity, c->who, &req);
    if (policy) {
        cv_policy_evaluate(&v->key, policy, &req);
    } else {
        /* Nothing but the account's own policies speaks of the account. */
        memset(&v->key, 0, sizeof v->key);
        v->key.statement = v->key.near_statement = -1;
        v->key.effect = CV_POLICY_DELEGATED;
    }
    v->allowed = cv_policy_allowed(&v->key, &v->identity);
}

bool cv_local_may(struct cv_local_kms_call *c, const char *action, const struct cv_local_key *key,
                  const struct cv_policy *policy)
{
    struct verdict v;
    ask(c, &v, action, key, policy);
    return v.allowed;
}

static void explain(struct cv_local_kms_call *c, const struct verdict *v)
{
    char key[900];
    cv_policy_sentence(key, sizeof key, &v->key);
    if (v->identity.effect == CV_POLICY_DENY_EXPLICIT)
        snprintf(c->decision, sizeof c->decision, "denied by the caller's identity policy");
    else if (v->key.effect == CV_POLICY_DELEGATED && c->key)
        snprintf(c->decision, sizeof c->decision, "%s; these %s", key,
                 v->allowed ? "allow it" : "do not allow it");
    else if (v->key.effect == CV_POLICY_DELEGATED)
        snprintf(c->decision, sizeof c->decision, "the caller's IAM policies %s",
                 v->allowed ? "allow it" : "do not allow it");
    else
        snprintf(c->decision, sizeof c->decision, "key policy: %s", key);
}

static const char *reason(const struct verdict *v, char *out, size_t size, const char *action)
{
    if (v->key.effect == CV_POLICY_DENY_EXPLICIT)
        return "with an explicit deny in a resource-based policy";
    if (v->identity.effect == CV_POLICY_DENY_EXPLICIT)
        return "with an explicit deny in an identity-based policy";
    snprintf(out, size, "because no %s policy allows the kms:%s action",
             v->key.effect == CV_POLICY_DELEGATED ? "identity-based" : "resource-based", action);
    return out;
}

int cv_local_authorize(struct cv_local_kms_call *c, const struct cv_local_key *key)
{
    struct verdict v;
    char why[160];
    bool dry_run;
    c->key = key;
    if (cv_local_in_bool(c, "DryRun", &dry_run))
        return -1;
    if (add_caller(c, key))
        return cv_local_refuse(c, 500, "KMSInternalException", "no room for condition keys");
    ask(c, &v, c->action, key, key ? key->policy : NULL);
    explain(c, &v);
    /* AWS names neither the statement nor the condition; our log does. */
    if (!v.allowed)
        return cv_local_refuse(c, 400, "AccessDeniedException",
                               "User: %s is not authorized to perform: kms:%s on resource: %s %s",
                               c->who->arn, c->action, key ? key->arn : "*",
                               reason(&v, why, sizeof why, c->action));
    if (dry_run)
        return cv_local_refuse(c, 400, "DryRunOperationException",
                               "The request would have succeeded, but the DryRun option is set.");
    return 0;
}

int cv_local_encrypts(struct cv_local_kms_call *c, const struct cv_local_key *key)
{
    return !key->spec ? 0
                      : cv_local_refuse(c, 400, "InvalidKeyUsageException",
                                        "%s key usage is SIGN_VERIFY which is not valid for %s.",
                                        key->arn, c->action);
}

int cv_local_usable(struct cv_local_kms_call *c, const struct cv_local_key *key)
{
    return key->enabled ? 0
                        : cv_local_refuse(c, 400, "DisabledException", "%s is disabled.", key->arn);
}
