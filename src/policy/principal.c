/* SPDX-License-Identifier: Apache-2.0 */
/* Who a statement is about (IAM User Guide, "AWS JSON policy elements:
 * Principal" and "NotPrincipal"). */
#include "policy/model.h"

#include <ctype.h>
#include <string.h>

static bool is_account(const char *s)
{
    return strlen(s) == 12 && strspn(s, "0123456789") == 12;
}

/* The text after the Nth colon, NULL when there are fewer. */
static const char *after_colon(const char *arn, int n)
{
    while (n-- > 0) {
        arn = strchr(arn, ':');
        if (!arn)
            return NULL;
        arn++;
    }
    return arn;
}

bool cv_policy_arn_account(char out[13], const char *arn)
{
    const char *account = arn ? after_colon(arn, 4) : NULL;
    if (!account || strncmp(arn, "arn:", 4) || strspn(account, "0123456789") != 12 ||
        account[12] != ':')
        return false;
    memcpy(out, account, 12);
    out[12] = '\0';
    return true;
}

/* "123456789012" and "arn:aws:iam::123456789012:root" mean the account. */
static bool names_account(char out[13], const char *principal)
{
    if (is_account(principal)) {
        memcpy(out, principal, 13);
        return true;
    }
    const char *service = after_colon(principal, 2), *resource = after_colon(principal, 5);
    return service && resource && !strncmp(service, "iam:", 4) && !strcmp(resource, "root") &&
           cv_policy_arn_account(out, principal);
}

bool cv_policy_principal_valid(const char *text)
{
    char account[13];
    if (!strcmp(text, "*") || is_account(text))
        return true;
    size_t n = strlen(text);
    if (!strncmp(text, "arn:", 4)) {
        const char *service = after_colon(text, 2), *resource = after_colon(text, 5);
        if (!service || !resource || !*resource || strpbrk(text, "*?"))
            return false;
        return (!strncmp(service, "iam::", 5) || !strncmp(service, "sts::", 5)) &&
               cv_policy_arn_account(account, text);
    }
    /* What AWS shows once the principal is deleted: AIDA…, AROA… */
    for (size_t i = 0; i < n; i++)
        if (!isupper((unsigned char)text[i]) && !isdigit((unsigned char)text[i]))
            return false;
    return n >= 16 && n <= 128;
}

static bool listed(const struct cv_policy_list *l, const char *text)
{
    for (size_t i = 0; text && i < l->n; i++)
        if (!strcmp(l->v[i], text))
            return true;
    return false;
}

static bool account_listed(const struct cv_policy_list *l, const char *account)
{
    char named[13];
    for (size_t i = 0; i < l->n; i++)
        if (names_account(named, l->v[i]) && !strcmp(named, account))
            return true;
    return false;
}

/* NotPrincipal spares a caller only when everything that the caller is - the
 * account, the role, the session - is listed: AWS checks the account first,
 * then the role, then the session, and denies at the first that is not. */
static bool spared(const struct cv_policy_principals *ps, const struct cv_policy_request *req)
{
    char account[13], root[13];
    if (ps->everyone)
        return true;
    if (req->service)
        return listed(&ps->service, req->service);
    if (!cv_policy_arn_account(account, req->principal_arn) || !account_listed(&ps->aws, account))
        return false;
    if (names_account(root, req->principal_arn))
        return true;
    return listed(&ps->aws, req->principal_arn) &&
           (!req->role_arn || listed(&ps->aws, req->role_arn));
}

static enum cv_policy_principal_match named(const struct cv_policy_principals *ps,
                                            const struct cv_policy_request *req)
{
    char account[13], root[13];
    if (ps->everyone || listed(&ps->service, req->service))
        return CV_PRINCIPAL_SELF;
    if (listed(&ps->aws, req->principal_arn) || listed(&ps->aws, req->role_arn))
        return CV_PRINCIPAL_SELF;
    if (!cv_policy_arn_account(account, req->principal_arn) || !account_listed(&ps->aws, account))
        return CV_PRINCIPAL_NO;
    return names_account(root, req->principal_arn) ? CV_PRINCIPAL_SELF : CV_PRINCIPAL_ACCOUNT;
}

enum cv_policy_principal_match cv_policy_principal_match(const struct cv_policy_principals *ps,
                                                         const struct cv_policy_request *req)
{
    /* An identity policy speaks of whom it is attached to. */
    if (!ps->present)
        return CV_PRINCIPAL_SELF;
    if (ps->negated)
        return spared(ps, req) ? CV_PRINCIPAL_NO : CV_PRINCIPAL_SELF;
    return named(ps, req);
}
