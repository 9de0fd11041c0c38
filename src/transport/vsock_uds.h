/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vsock of a virtual machine whose device lives in another process of this
 * host (claviger-local vm, Firecracker, cloud-hypervisor): the host has no
 * AF_VSOCK to it, but UNIX sockets.
 *
 *   host to guest   connect to the socket PATH, send "CONNECT <port>\n", read
 *                   "OK <port of the host's side>\n"; then the bytes are the guest's
 *   guest to host   for its port P the device connects to the socket PATH_P,
 *                   where the host listens
 *
 * For programs of the parent only (library cv_transport_vsock_uds).
 */
#ifndef CV_TRANSPORT_VSOCK_UDS_H
#define CV_TRANSPORT_VSOCK_UDS_H

#include "transport/stream.h"

/* "OK 4294967295\n" without more. */
#define CV_VSOCK_UDS_REPLY 14

/* The greeting of one connection, for those who may not wait. */
struct cv_vsock_uds_greeting {
    char reply[CV_VSOCK_UDS_REPLY];
    size_t n;
};

/* Sends the request for ADDR's port on FD, a connected non-blocking socket on
 * which nothing was sent yet (so that it takes these bytes at once). */
int cv_vsock_uds_ask(int fd, const struct cv_addr *addr, struct cv_error *err) CV_NODISCARD;
/* Takes what has come of the reply and no byte after it. 0 when the connection
 * is made, CV_ERR_BUSY when more must come, CV_ERR_CLOSED when nobody listens
 * at that port in the guest, CV_ERR_PROTOCOL, CV_ERR_IO. G is zeros at first. */
int cv_vsock_uds_take(struct cv_vsock_uds_greeting *g, int fd, struct cv_error *err) CV_NODISCARD;

/* Connects and greets. */
int cv_vsock_uds_connect(struct cv_stream **out, const struct cv_addr *addr, int64_t deadline,
                         struct cv_error *err) CV_NODISCARD;
/* The address to listen at for the guest's connections to ADDR's port. */
int cv_vsock_uds_listen_addr(struct cv_addr *out, const struct cv_addr *addr,
                             struct cv_error *err) CV_NODISCARD;

#endif
