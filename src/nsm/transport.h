/* SPDX-License-Identifier: Apache-2.0 */
/* How a request reaches the NSM. Two files implement this, nsm_device.c and
 * nsm_socket.c; the link line of a program chooses one. */
#ifndef CV_NSM_TRANSPORT_H
#define CV_NSM_TRANSPORT_H

#include "common/bytes.h"

/* PATH NULL = the transport's default, if it has one. */
int cv_nsm_transport_open(int *fd, const char *path, struct cv_error *err) CV_NODISCARD;
/* Sends REQUEST and receives one reply into RESPONSE (CAP bytes), *N = its
 * length. After an error FD is of no further use. */
int cv_nsm_transport_exchange(int fd, struct cv_bytes request, uint8_t *response, size_t cap,
                              size_t *n, struct cv_error *err) CV_NODISCARD;

#endif
