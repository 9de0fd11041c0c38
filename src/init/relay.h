/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes between two sockets, both ways, each end by itself. */
#ifndef CV_INIT_RELAY_H
#define CV_INIT_RELAY_H

#include <stdint.h>

#define CV_RELAY_IDLE_MS (2 * 60 * 60 * 1000) /* nothing moved */
#define CV_RELAY_HALF_MS (5 * 60 * 1000)      /* the same when one side has ended */

/* Runs until both directions have ended, a side is lost, or nothing moved for
 * so long. A and B are non-blocking and stay the caller's. STOP is a
 * descriptor that is readable when everything must end. */
void cv_relay_run(int a, int b, int stop);

#endif
