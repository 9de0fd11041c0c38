/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which targets a proxy may have (reading: library cv_proxy_allowlist). The file is that
 * of AWS's vsock-proxy:
 *
 *   allowlist:
 *   - {address: kms.us-east-1.amazonaws.com, port: 443}
 */
#ifndef CV_PROXY_ALLOWLIST_H
#define CV_PROXY_ALLOWLIST_H

#include "transport/resolve.h"

#define CV_ALLOWLIST_DEFAULT "/etc/nitro_enclaves/vsock-proxy.yaml"
#define CV_ALLOWLIST_MAX 4096 /* entries */

struct cv_allowlist_entry {
    char host[CV_ADDR_HOST]; /* name or IP address */
    uint16_t port;
};

struct cv_allowlist {
    struct cv_allowlist_entry *entries;
    size_t n;
    bool builtin; /* no file: the KMS endpoints of every region */
};

/* Reads PATH; CV_ERR_CONFIG tells every problem with its line. */
int cv_allowlist_read(struct cv_allowlist *out, const char *path,
                      struct cv_error *err) CV_NODISCARD;
/* kms.REGION and kms-fips.REGION of every partition, port 443. */
void cv_allowlist_builtin(struct cv_allowlist *out);
void cv_allowlist_free(struct cv_allowlist *list);

/* 0 when HOST:PORT is allowed: an entry of the same port has the same name (in
 * any case) or the same IP address; or, when one of the two is a name and the
 * other an IP address, the name resolves to that address. CV_ERR_DENIED. */
int cv_allowlist_check(const struct cv_allowlist *list, const char *host, uint16_t port,
                       int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* For each time that the name HOST is resolved: unless the name itself is on
 * the list, only those of its addresses stay in R that are. */
void cv_allowlist_filter(const struct cv_allowlist *list, const char *host, uint16_t port,
                         struct cv_resolved *r);

#endif
