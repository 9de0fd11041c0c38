/* SPDX-License-Identifier: Apache-2.0 */
/* Where the parent is: docs/protocol/parent.md has the ports. */
#ifndef CV_INIT_PARENT_H
#define CV_INIT_PARENT_H

#include "transport/addr.h"

#define CV_PORT_AWS 8000
#define CV_PORT_EGRESS 8001
#define CV_PORT_HEARTBEAT 9000
#define CV_PORT_CONTROL 9001
#define CV_PORT_LOGS 9002

struct cv_parent {
    uint32_t cid;       /* vsock */
    const char *folder; /* NULL, or a folder of UNIX sockets instead (development builds) */
};

/* The parent's PORT, and our own to listen on. */
void cv_parent_address(struct cv_addr *out, const struct cv_parent *parent, uint32_t port);
void cv_parent_own_address(struct cv_addr *out, const struct cv_parent *parent, uint32_t port);

/* Tells nitro-cli that the enclave has booted: one byte 0xB7 each way. Asked
 * again until DEADLINE while nobody answers. */
int cv_heartbeat(const struct cv_parent *parent, int64_t deadline,
                 struct cv_error *err) CV_NODISCARD;

#endif
