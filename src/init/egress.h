/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the application may reach, as addresses inside: each name of the
 * measured list gets a loopback address of its own, written to /etc/hosts, so
 * that a program that resolves names and connects finds a forwarder there. An
 * IP address stands for itself, and is given to the loopback interface.
 */
#ifndef CV_INIT_EGRESS_H
#define CV_INIT_EGRESS_H

#include "settings/boot.h"
#include "transport/addr.h"

#define CV_EGRESS_NET "127.77" /* .x.y: of 127/8, where nobody looks for anything */

struct cv_egress_entry {
    char host[CV_ADDR_HOST];    /* as listed: a name in lower case, an address */
    char address[CV_ADDR_HOST]; /* where it is found inside */
    uint16_t port;
    bool is_ip;    /* host is an address that lo must get (not of 127/8) */
    bool in_hosts; /* a name of its own for /etc/hosts: the first of this host */
};

struct cv_egress {
    struct cv_egress_entry *entry;
    size_t n;
};

/* From "host:port" texts. CV_ERR_CONFIG, CV_ERR_NOMEM. */
int cv_egress_plan(struct cv_egress *e, const struct cv_boot_list *list,
                   struct cv_error *err) CV_NODISCARD;
void cv_egress_free(struct cv_egress *e);
/* Is HOST:PORT on the list? In any case of letters, a last dot left out. */
bool cv_egress_allows(const struct cv_egress *e, const char *host, uint16_t port);
/* OLD, the image's /etc/hosts (may be empty), with the names appended: kept as
 * it is, localhost added where nothing was. HOSTNAME may be NULL. */
int cv_egress_hosts(const struct cv_egress *e, struct cv_bytes old, const char *hostname,
                    struct cv_buf *out) CV_NODISCARD;

#endif
