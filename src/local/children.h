/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that `up`, `run` and `vm` start: each in a process group of its own,
 * so that a Ctrl-C reaches the parent alone, and ended with it whatever way that
 * ends (PR_SET_PDEATHSIG). They read nothing: their standard input is empty.
 */
#ifndef CV_LOCAL_CHILDREN_H
#define CV_LOCAL_CHILDREN_H

#include <sys/types.h>

#include "transport/addr.h"

#define CV_LOCAL_ARGS 64

struct cv_local_child {
    const char *name;
    const char *program;
    const char *args[CV_LOCAL_ARGS]; /* borrowed */
    size_t n_args;
    const char *log;            /* file for its standard error; NULL = ours */
    bool all_to_log;            /* its standard output as well: then OUT stays -1 */
    bool own_users;             /* in a user namespace where we are root */
    char address[CV_ADDR_TEXT]; /* where it answers; "" until it says so */
    pid_t pid;                  /* 0 = not running */
    int out;                    /* its standard output; -1 */
};

/* A descriptor for signalfd(2), non-blocking, of what ends a program that has
 * children (SIGTERM, SIGINT, SIGHUP) and of theirs (SIGCHLD), which are blocked
 * from here on; -1 and errno. */
int cv_local_children_signals(void);
void cv_local_child_arg(struct cv_local_child *c, const char *a);
int cv_local_child_spawn(struct cv_local_child *c, struct cv_error *err) CV_NODISCARD;
/* True, with the status of waitpid(2), when it is gone since the last call. */
bool cv_local_child_gone(struct cv_local_child *c, int *status);
/* Takes the address from a line "ready ADDRESS" that it has printed, if any;
 * true for a line "ready" alone. Never waits. */
bool cv_local_child_ready(struct cv_local_child *c);
/* True when somebody listens at its address. */
bool cv_local_child_answers(const struct cv_local_child *c);
/* SIGTERM in reverse order, then SIGKILL, each with some seconds; waits for all. */
void cv_local_children_stop(struct cv_local_child *c, size_t n);

#endif
