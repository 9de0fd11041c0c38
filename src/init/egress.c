/* SPDX-License-Identifier: Apache-2.0 */
#include "init/egress.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

static const struct cv_egress_entry *same_host(const struct cv_egress *e, const char *host)
{
    for (size_t i = 0; i < e->n; i++) {
        if (strcmp(e->entry[i].host, host) == 0)
            return &e->entry[i];
    }
    return NULL;
}

/* One way to write each host: names in lower case, IPv6 addresses as RFC 5952 has them. */
static void canonical(char host[CV_ADDR_HOST])
{
    struct in6_addr six;
    if (inet_pton(AF_INET6, host, &six) == 1)
        inet_ntop(AF_INET6, &six, host, CV_ADDR_HOST);
    for (char *p = host; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
}

static void place(struct cv_egress *e, struct cv_egress_entry *entry, unsigned *names)
{
    const struct cv_egress_entry *old = same_host(e, entry->host);
    if (old != NULL) {
        snprintf(entry->address, sizeof entry->address, "%s", old->address);
    } else if (strcmp(entry->host, "localhost") == 0) {
        snprintf(entry->address, sizeof entry->address, "127.0.0.1");
    } else if (cv_host_is_ip(entry->host)) {
        snprintf(entry->address, sizeof entry->address, "%s", entry->host);
        entry->is_ip = !loopback(entry->host);
    } else {
        unsigned n = ++*names;
        snprintf(entry->address, sizeof entry->address, CV_EGRESS_NET ".%u.%u", n / 250,
                 n % 250 + 1);
        entry->in_hosts = true;
    }
}

int cv_egress_plan(struct cv_egress *e, const struct cv_boot_list *list, struct cv_error *err)
{
    unsigned names = 0;
    *e = (struct cv_egress){NULL, 0};
    if (list->count == 0)
        return 0;
    e->entry = calloc(list->count, sizeof *e->entry);
    if (e->entry == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the list of hosts");
    for (size_t i = 0; i < list->count; i++) {
        struct cv_egress_entry entry = {.port = 0};
        int rc = cv_hostport_parse(entry.host, &entry.port, list->item[i], 0, err);
        if (rc != 0) {
            cv_egress_free(e);
            cv_error_wrap(err, "egress");
            return CV_ERR_CONFIG;
        }
        canonical(entry.host);
        if (cv_egress_allows(e, entry.host, entry.port))
            continue;
        place(e, &entry, &names);
        e->entry[e->n++] = entry;
    }
    return 0;
}

void cv_egress_free(struct cv_egress *e)
{
    free(e->entry);
    *e = (struct cv_egress){NULL, 0};
}

bool cv_egress_allows(const struct cv_egress *e, const char *host, uint16_t port)
{
    char name[CV_ADDR_HOST];
    size_t n = strlen(host);
    if (n == 0 || n >= sizeof name)
        return false;
    memcpy(name, host, n + 1);
    if (name[n - 1] == '.')
        name[n - 1] = '\0';
    canonical(name);
    for (size_t i = 0; i < e->n; i++) {
        if (e->entry[i].port == port && strcmp(e->entry[i].host, name) == 0)
            return true;
    }
    return false;
}

int cv_egress_hosts(const struct cv_egress *e, struct cv_bytes old, const char *hostname,
                    struct cv_buf *out)
{
    int rc = old.n != 0 ? cv_buf_append(out, old.p, old.n)
                        : cv_buf_append_str(out, "127.0.0.1 localhost\n::1 localhost\n");
    if (rc == 0 && out->p[out->n - 1] != '\n')
        rc = cv_buf_append_str(out, "\n");
    if (rc == 0 && hostname != NULL)
        rc = cv_buf_printf(out, "127.0.0.1 %s\n", hostname);
    for (size_t i = 0; rc == 0 && i < e->n; i++) {
        if (e->entry[i].in_hosts)
            rc = cv_buf_printf(out, "%s %s\n", e->entry[i].address, e->entry[i].host);
    }
    return rc;
}
