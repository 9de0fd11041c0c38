/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vsock device for one or several virtual machines of this host (virtio 1.2,
 * 5.10, over vhost-user), which reach each other by their CIDs, as a parent
 * instance and its enclaves do. This host is CID 2 to each of them:
 *
 *   host to guest   connect to the machine's socket HOST, send "CONNECT <port>\n",
 *                   read "OK <port of the host's side>\n"; then the bytes are the
 *                   guest's. No guest, or nobody at that port: the end.
 *   guest to host   for the guest's connection to CID 2, port P, the socket
 *                   HOST_P is connected to; refused when nobody listens there
 *
 * (transport/vsock_uds.h is the other side.) Streams only. What is on its way
 * to a machine is bounded: by the streams' own credit, and by holding up the
 * machine that sends too much. A packet for a CID that is not there, or where
 * no guest runs, is answered with a reset. A machine that ends resets what the
 * host had with it; its peers among the machines learn when they next send.
 */
#ifndef CV_LOCAL_VSOCK_SWITCH_H
#define CV_LOCAL_VSOCK_SWITCH_H

#include "common/bytes.h"
#include "common/error.h"

#define CV_VSOCK_HOST_CID 2u
#define CV_VSOCK_PATH 108 /* sun_path; HOST leaves room for "_<port>" */

struct cv_vsock_place {
    uint32_t cid;
    char vhost[CV_VSOCK_PATH]; /* QEMU connects to it, one at a time */
    char host[CV_VSOCK_PATH];
};

struct cv_vsock_switch;

/* Listens at the sockets of N places. */
int cv_vsock_switch_new(struct cv_vsock_switch **out, const struct cv_vsock_place *places, size_t n,
                        struct cv_error *err) CV_NODISCARD;
/* Serves until STOP_FD is readable. */
int cv_vsock_switch_serve(struct cv_vsock_switch *s, int stop_fd,
                          struct cv_error *err) CV_NODISCARD;
/* Closes everything and removes the sockets. Harmless on NULL. */
void cv_vsock_switch_free(struct cv_vsock_switch **s);

#endif
