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
};

/* By the system's resolver (nsswitch), at most until DEADLINE: the system call
 * that hangs is left to a thread of its own. An IP address resolves to itself.
 * CV_ERR_NOT_FOUND: no such name; CV_ERR_TIMEOUT; CV_ERR_IO: resolver failure. */
int cv_resolve(struct cv_resolved *out, const char *host, uint16_t port,
               enum cv_resolve_family family, int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* Connects to ADDR of any kind; for a tcp name each address is tried in turn,
 * the time left being shared among them. The sentence tells the last failure
 * and how many addresses were tried. */
int cv_resolve_connect(struct cv_stream **out, const struct cv_addr *addr, int64_t deadline,
                       struct cv_error *err) CV_NODISCARD;

#endif
