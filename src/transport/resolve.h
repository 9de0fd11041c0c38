/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names into addresses (library cv_transport_resolve): for programs of the
 * parent only, since the enclave has no resolver and links none.
 */
#ifndef CV_TRANSPORT_RESOLVE_H
#define CV_TRANSPORT_RESOLVE_H

#include "transport/stream.h"

#define CV_RESOLVE_MAX 16 /* addresses of one name that are kept */

enum cv_resolve_family { CV_RESOLVE_ANY, CV_RESOLVE_IPV4, CV_RESOLVE_IPV6 };

struct cv_resolved {
    size_t n;
    struct cv_addr addr[CV_RESOLVE_MAX]; /* kind tcp, host = IP address, in order of preference */
    int32_t ttl;                         /* seconds they are good for, when that was asked for */
};
#define CV_RESOLVE_TTL_UNKNOWN (-1)

/* By the system's resolver (nsswitch), at most until DEADLINE: the system call
 * that hangs is left to a thread of its own. An IP address resolves to itself.
 * CV_ERR_NOT_FOUND: no such name; CV_ERR_TIMEOUT; CV_ERR_IO: resolver failure. */
int cv_resolve(struct cv_resolved *out, const char *host, uint16_t port,
               enum cv_resolve_family family, int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* The same without waiting, for event loops: a look-up in a thread of its own,
 * which adds 1 to the eventfd NOTIFY when it is done. With TTL the name server
 * is asked how long the answer is good for, too. */
struct cv_lookup;
int cv_lookup_start(struct cv_lookup **out, const char *host, enum cv_resolve_family family,
                    bool ttl, int notify, struct cv_error *err) CV_NODISCARD;
/* CV_ERR_BUSY while it runs; otherwise what cv_resolve() returns. */
int cv_lookup_result(struct cv_lookup *l, struct cv_resolved *out, uint16_t port,
                     struct cv_error *err) CV_NODISCARD;
/* Sets it to NULL, harmless on NULL; one that still runs ends by itself. */
void cv_lookup_free(struct cv_lookup **l);

/* Connects to ADDR of any kind; for a tcp name each address is tried in turn,
 * the time left being shared among them. The sentence tells the last failure
 * and how many addresses were tried. */
int cv_resolve_connect(struct cv_stream **out, const struct cv_addr *addr, int64_t deadline,
                       struct cv_error *err) CV_NODISCARD;

#endif
