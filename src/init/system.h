/* SPDX-License-Identifier: Apache-2.0 */
/* Host name, loopback interface and its addresses. */
#ifndef CV_INIT_SYSTEM_H
#define CV_INIT_SYSTEM_H

#include "common/bytes.h"

/* NAME NULL leaves what the kernel has. */
int cv_system_hostname(const char *name, struct cv_error *err) CV_NODISCARD;
/* Brings lo up. */
int cv_system_loopback(struct cv_error *err) CV_NODISCARD;
/* Gives lo the address IP (IPv4 or IPv6) as well, so that connections to it end
 * here. NUMBER tells several of them apart. CV_ERR_UNSUPPORTED where the kernel
 * has no IPv6. */
int cv_system_local_address(const char *ip, unsigned number, struct cv_error *err) CV_NODISCARD;

#endif
