/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/allowlist.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void cv_allowlist_builtin(struct cv_allowlist *out)
{
    *out = (struct cv_allowlist){.builtin = true};
}

void cv_allowlist_free(struct cv_allowlist *list)
{
    free(list->entries);
    *list = (struct cv_allowlist){.entries = NULL};
}

/* "kms[-fips].REGION.SUFFIX" with a suffix that is AWS's. */
static bool is_kms(const char *host, uint16_t port)
{
    static const char *const suffixes[] = {
        "amazonaws.com", "amazonaws.com.cn", "api.aws",        "api.amazonwebservices.com.cn",
        "c2s.ic.gov",    "sc2s.sgov.gov",    "csp.hci.ic.gov", "cloud.adc-e.uk",
        "amazonaws.eu",
    };
    const char *p = host;
    if (port != 443)
        return false;
    if (strncasecmp(p, "kms.", 4) == 0)
        p += 4;
    else if (strncasecmp(p, "kms-fips.", 9) == 0)
        p += 9;
    else
        return false;
    size_t region = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-");
    if (region == 0 || p[region] != '.')
        return false;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (strcasecmp(p + region + 1, suffixes[i]) == 0)
            return true;
    return false;
}

static bool same_ip(const char *a, const char *b)
{
    struct in6_addr x, y;
    struct in_addr u, v;
    if (inet_pton(AF_INET, a, &u) == 1 && inet_pton(AF_INET, b, &v) == 1)
        return u.s_addr == v.s_addr;
    return inet_pton(AF_INET6, a, &x) == 1 && inet_pton(AF_INET6, b, &y) == 1 &&
           IN6_ARE_ADDR_EQUAL(&x, &y);
}

static bool resolves_to(const char *name, const char *ip, int64_t deadline)
{
    struct cv_resolved r;
    if (cv_resolve(&r, name, 1, CV_RESOLVE_ANY, deadline, NULL) != 0)
        return false;
    for (size_t i = 0; i < r.n; i++)
        if (same_ip(r.addr[i].host, ip))
            return true;
    return false;
}

static bool entry_allows(const struct cv_allowlist_entry *e, const char *host, int64_t deadline)
{
    bool entry_ip = cv_host_is_ip(e->host), host_ip = cv_host_is_ip(host);
    if (entry_ip && host_ip)
        return same_ip(e->host, host);
    if (!entry_ip && !host_ip)
        return strcasecmp(e->host, host) == 0;
    return entry_ip ? resolves_to(host, e->host, deadline) : resolves_to(e->host, host, deadline);
}

static bool lists_address(const struct cv_allowlist *list, const char *ip, uint16_t port)
{
    for (size_t i = 0; i < list->n; i++)
        if (list->entries[i].port == port && cv_host_is_ip(list->entries[i].host) &&
            same_ip(list->entries[i].host, ip))
            return true;
    return false;
}

void cv_allowlist_filter(const struct cv_allowlist *list, const char *host, uint16_t port,
                         struct cv_resolved *r)
{
    size_t kept = 0;
    if (cv_host_is_ip(host) || (list->builtin && is_kms(host, port)))
        return;
    for (size_t i = 0; i < list->n; i++)
        if (list->entries[i].port == port && strcasecmp(list->entries[i].host, host) == 0)
            return;
    for (size_t i = 0; i < r->n; i++)
        if (lists_address(list, r->addr[i].host, port))
            r->addr[kept++] = r->addr[i];
    r->n = kept;
}

int cv_allowlist_check(const struct cv_allowlist *list, const char *host, uint16_t port,
                       int64_t deadline, struct cv_error *err)
{
    if (list->builtin && is_kms(host, port))
        return 0;
    /* What needs no resolver first. */
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < list->n; i++) {
            const struct cv_allowlist_entry *e = &list->entries[i];
            bool mixed = cv_host_is_ip(e->host) != cv_host_is_ip(host);
            if (e->port == port && mixed == (round == 1) && entry_allows(e, host, deadline))
                return 0;
        }
    return cv_error_set(err, CV_ERR_DENIED, "%s:%u is not on the allowlist%s", host, port,
                        list->builtin ? " (without a file, only KMS endpoints are)" : "");
}
