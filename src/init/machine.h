/* SPDX-License-Identifier: Apache-2.0 */
/* What claviger-init and claviger-init-small do alike with the machine that they
 * are the first process of. */
#ifndef CV_INIT_MACHINE_H
#define CV_INIT_MACHINE_H

#include "init/build.h"
#include "init/parent.h"
#include "settings/boot.h"

/* The measured settings below the folder IMAGE. Freed by the caller in any case. */
int cv_machine_settings(struct cv_boot_settings *s, const char *image,
                        struct cv_error *err) CV_NODISCARD;
/* Makes IMAGE/rootfs the root directory, mounts what applications expect, brings
 * the loopback interface up and sets the host name. */
int cv_machine_enter(const char *image, const struct cv_boot_settings *s,
                     struct cv_error *err) CV_NODISCARD;
/* Blocks signals in this thread and those it starts; what the first process looks
 * at comes from *FD, a signalfd(2) that does not block. */
int cv_machine_signals(int *fd, struct cv_error *err) CV_NODISCARD;
/* What a signal means for the application: STOP_SIGNAL (a name, or NULL) where we
 * are asked to end, else itself. */
int cv_machine_signal_for(int number, const char *stop_signal, bool *ends);
/* The signal of that name; SIGTERM for none, and for one that does not exist. */
int cv_machine_stop_signal(const char *name);
/* nitro-cli's heartbeat, waited for until DEADLINE and ten seconds at most. That
 * it is missing is an error only where the settings say so: other launchers have
 * none, and what is secret is not protected by it. */
int cv_machine_heartbeat(const struct cv_parent *parent, const struct cv_boot_settings *s,
                         int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* Logs how the application ended, as waitpid(2) tells it. Returns its exit status,
 * or 128 and the signal's number; *BY_SIGNAL and *VALUE tell them apart. */
int cv_machine_ended(int status, bool *by_signal, int *value);
/* Ends the machine where there is one; else returns. */
void cv_machine_end(void);

#endif
