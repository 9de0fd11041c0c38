/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwarders: from the application to the parent (by loopback address, or
 * through an HTTP proxy on 127.0.0.1), and from the parent to the application.
 * One thread accepts, one serves each connection; their number is bounded, and
 * at the bound new ones wait.
 */
#ifndef CV_INIT_FORWARD_H
#define CV_INIT_FORWARD_H

#include "init/egress.h"
#include "init/parent.h"

#define CV_FORWARD_MAX 256 /* connections at a time */

struct cv_forward;

/* Listens everywhere that EGRESS and PORTS ("LISTEN" or "LISTEN:TARGET") say.
 * Both are borrowed. */
int cv_forward_start(struct cv_forward **out, const struct cv_parent *parent,
                     const struct cv_egress *egress, const struct cv_boot_list *ports,
                     struct cv_error *err) CV_NODISCARD;
/* Port of the HTTP proxy on 127.0.0.1; 0 without egress. */
uint16_t cv_forward_proxy_port(const struct cv_forward *f);
void cv_forward_stop(struct cv_forward **f);

#endif
