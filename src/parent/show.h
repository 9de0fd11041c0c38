/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the enclave says, shown to people or machines: the lines of its log, the
 * stages of its boot, its end; and this process's own log lines, in their order.
 * A thread writes, so that whoever does not read holds nobody up: past a ceiling
 * no more of the enclave's log is taken, and past another one lines are dropped
 * and counted.
 */
#ifndef CV_PARENT_SHOW_H
#define CV_PARENT_SHOW_H

#include "parent/parent.h"

struct cv_parent_show;

/* LOG_DIR: the log goes to the file enclave.log in it, with times; NULL: to
 * standard output (the application's own) and standard error (the rest). JSON:
 * everything as JSON lines on standard output. Takes over cv_log()'s lines. */
int cv_parent_show_start(struct cv_parent_show **out, const char *log_dir, bool json,
                         struct cv_error *err) CV_NODISCARD;
/* Fills the members of EVENTS but those of signals; ctx is the SHOW. */
void cv_parent_show_events(struct cv_parent_show *s, struct cv_parent_events *events);
/* Writes what is left, for MS at most. False: not all of it could be written. */
bool cv_parent_show_stop(struct cv_parent_show **s, int64_t ms);

#endif
