/* SPDX-License-Identifier: Apache-2.0 */
/* Telling systemd how we are (sd_notify(3)), without its library. */
#ifndef CV_SIGNER_NOTIFY_H
#define CV_SIGNER_NOTIFY_H

#include <stdint.h>

/* Sends STATE ("READY=1", "STATUS=…", lines) to NOTIFY_SOCKET; does nothing
 * without one. */
void cv_notify(const char *state);
/* How often WATCHDOG=1 is due, in ms (half of what systemd waits); 0 = never. */
int64_t cv_notify_watchdog_ms(void);

#endif
