/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control connection to the parent, in a thread of its own: it is made
 * anew when it is lost, what could not be sent waits, and what was asked is
 * asked again. Renewed credentials go straight to their provider.
 */
#ifndef CV_INIT_CONTROL_H
#define CV_INIT_CONTROL_H

#include "init/control_message.h"
#include "init/parent.h"

struct cv_control;

struct cv_control_config {
    const struct cv_parent *parent;
    struct cv_aws_provider *provider; /* borrowed */
    const char *version, *build, *pcr0;
    bool debug;
};

int cv_control_start(struct cv_control **out, const struct cv_control_config *config,
                     struct cv_error *err) CV_NODISCARD;
/* Sends what waits, for MS at most, waits for the parent to hang up, ends the
 * thread and frees. */
void cv_control_stop(struct cv_control **c, int64_t ms);

/* Queues a message. O is taken over. When the parent is away for long, the
 * oldest are dropped. */
void cv_control_send(struct cv_control *c, json_t *o);
void cv_control_stage(struct cv_control *c, const char *stage, const char *state,
                      const char *error);

/* Asks for WHAT ("credentials", "environment", "file" with NAME) and waits for
 * the answer, which the caller frees in any case. Credentials go to the
 * provider too. One question at a time. CV_ERR_TIMEOUT; CV_ERR_REMOTE with
 * the parent's text when it cannot. */
int cv_control_ask(struct cv_control *c, const char *what, const char *name,
                   struct cv_control_message *answer, int64_t deadline,
                   struct cv_error *err) CV_NODISCARD;

/* What the parent wants of us; readable (poll) when there is something. */
int cv_control_event_fd(const struct cv_control *c);
struct cv_control_orders {
    bool rotate, stop;
    int64_t stop_seconds;
};
/* Takes them: they are given once. */
struct cv_control_orders cv_control_orders(struct cv_control *c);

#endif
