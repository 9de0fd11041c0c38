/* SPDX-License-Identifier: Apache-2.0 */
/* The application as a process. */
#ifndef CV_INIT_APPLICATION_H
#define CV_INIT_APPLICATION_H

#include "init/environment.h"
#include "init/users.h"
#include "settings/boot.h"

struct cv_application {
    const struct cv_boot_settings *settings;
    int out, err; /* its standard output and error */
};

/* Starts it: as its user, in its directory (made when absent), in a session
 * and with a signal mask of its own. *PID is its process. When the program
 * cannot be run, the sentence tells the step, and nothing is left. */
int cv_application_start(pid_t *pid, const struct cv_application *a,
                         const struct cv_environment *env, struct cv_error *err) CV_NODISCARD;

/* "SIGTERM", "TERM", "RTMIN+3" or a number; 0 when it is none. NULL: SIGTERM. */
int cv_signal_number(const char *name);

#endif
