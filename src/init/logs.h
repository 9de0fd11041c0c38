/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of the init and of its application, on its way to the parent. The
 * application's pipes are always read, whoever listens: it never waits for us.
 */
#ifndef CV_INIT_LOGS_H
#define CV_INIT_LOGS_H

#include "init/parent.h"

struct cv_logs;

/* From now on the lines of cv_log() go there as well as to standard error.
 * ECHO: the application's output goes to our standard error too. */
int cv_logs_start(struct cv_logs **out, const struct cv_parent *parent, bool echo,
                  struct cv_error *err) CV_NODISCARD;
/* The ends of the application's standard output (0) and error (1) to write to;
 * they stay open for an application that is started again. */
int cv_logs_pipe(const struct cv_logs *l, int which);
/* Reads what is still in the pipes, sends what it can, for MS at most. */
void cv_logs_stop(struct cv_logs **l, int64_t ms);

#endif
