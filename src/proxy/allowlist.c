/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/allowlist.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "yaml/yaml.h"

static void read_entry(struct cv_yaml_problems *p, const struct cv_yaml_node *node,
                       struct cv_allowlist_entry *e)
{
    static const char *const keys[] = {"address", "port", NULL};
    const struct cv_yaml_node *address = cv_yaml_get(node, "address");
    const struct cv_yaml_node *port = cv_yaml_get(node, "port");
    const char *text = "";
    uint64_t number = 0;
    if (!cv_yaml_check_keys(p, node, keys))
        return;
    if (address == NULL || port == NULL) {
        cv_yaml_problem(p, node, "an entry has an address and a port");
        return;
    }
    if (cv_yaml_text(p, address, &text) && !cv_host_is_ip(text) && !cv_host_is_name(text))
        cv_yaml_problem(p, address, "this is neither a host name nor an IP address");
    else
        snprintf(e->host, sizeof e->host, "%s", text);
    if (cv_yaml_uint(p, port, &number, 1, 65535))
        e->port = (uint16_t)number;
}

static int read_root(struct cv_allowlist *out, struct cv_yaml_problems *p,
                     const struct cv_yaml_node *root)
{
    static const char *const keys[] = {"allowlist", NULL};
    const struct cv_yaml_node *list = cv_yaml_get(root, "allowlist");
    (void)cv_yaml_check_keys(p, root, keys);
    if (list == NULL) {
        cv_yaml_problem(p, NULL, "there is no allowlist");
        return 0;
    }
    if (!cv_yaml_is(p, list, CV_YAML_SEQUENCE))
        return 0;
    if (list->count > CV_ALLOWLIST_MAX) {
        cv_yaml_problem(p, list, "more than %d entries", CV_ALLOWLIST_MAX);
        return 0;
    }
    out->entries = calloc(list->count + 1, sizeof *out->entries);
    if (out->entries == NULL)
        return CV_ERR_NOMEM;
    for (const struct cv_yaml_node *n = list->first; n != NULL; n = n->next)
        read_entry(p, n, &out->entries[out->n++]);
    return 0;
}

int cv_allowlist_read(struct cv_allowlist *out, const char *path, struct cv_error *err)
{
    struct cv_yaml_problems *p = calloc(1, sizeof *p);
    struct cv_yaml_doc *doc = NULL;
    memset(out, 0, sizeof *out);
    if (p == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the allowlist");
    cv_yaml_problems_init(p, path);
    int rc = cv_yaml_parse_file(&doc, path, p);
    if (rc == 0)
        rc = read_root(out, p, cv_yaml_root(doc));
    if (p->count != 0)
        rc = cv_yaml_problems_error(p, err);
    else if (rc != 0)
        cv_error_set(err, rc, "reading the allowlist %s: %s", path, cv_strerror(rc));
    cv_yaml_free(doc);
    free(p);
    if (rc != 0)
        cv_allowlist_free(out);
    return rc;
}

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
