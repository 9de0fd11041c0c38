/* SPDX-License-Identifier: Apache-2.0 */
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "init/init.h"

#define ATTEMPT_MS 30000 /* one try of a stage */
#define PAUSE_MIN_MS 250
#define PAUSE_MAX_MS 5000
#define SENTENCE 2048

const char *cv_stage_name(enum cv_stage stage)
{
    static const char *const names[CV_STAGES] = {"start",   "clock", "network", "fetch", "attest",
                                                 "decrypt", "check", "apply",   "exec"};
    return (unsigned)stage < CV_STAGES ? names[stage] : "?";
}

void cv_stage_begin(struct cv_init *i, enum cv_stage stage)
{
    cv_log(CV_LOG_INFO, "stage", "name", cv_stage_name(stage), NULL);
    cv_control_stage(i->control, cv_stage_name(stage), "begin", NULL);
}

void cv_stage_end(struct cv_init *i, enum cv_stage stage)
{
    cv_control_stage(i->control, cv_stage_name(stage), "end", NULL);
}

static bool may_pass(int rc, bool denied_passes)
{
    switch (rc) {
    case CV_ERR_TIMEOUT:
    case CV_ERR_CLOSED:
    case CV_ERR_TRUNCATED:
    case CV_ERR_IO:
    case CV_ERR_REMOTE:
    case CV_ERR_THROTTLED:
    case CV_ERR_BUSY:
    case CV_ERR_NOT_FOUND:
    case CV_ERR_STATE: /* no credentials yet */
        return true;
    default:
        return rc == CV_ERR_DENIED && denied_passes;
    }
}

static bool told_by_signal(struct cv_init *i)
{
    struct signalfd_siginfo s;
    return read(i->signals, &s, sizeof s) == (ssize_t)sizeof s &&
           (s.ssi_signo == SIGTERM || s.ssi_signo == SIGINT);
}

/* Waits; false when we are told to stop meanwhile. Only the boot is watched so:
 * later both descriptors are the supervisor's. */
static bool pause_for(struct cv_init *i, int64_t ms)
{
    int64_t until = cv_deadline(ms);
    if (!i->booting) {
        cv_sleep_ms(ms);
        return true;
    }
    while (cv_now_ms() < until) {
        struct pollfd p[2] = {
            {.fd = i->signals, .events = POLLIN},
            {.fd = cv_control_event_fd(i->control), .events = POLLIN},
        };
        if (poll(p, 2, cv_deadline_poll(until)) <= 0)
            continue;
        if ((p[0].revents != 0 && told_by_signal(i)) ||
            (p[1].revents != 0 && cv_control_orders(i->control).stop))
            return false;
    }
    return true;
}

int cv_stage_try(struct cv_init *i, enum cv_stage stage, cv_stage_step step, void *ctx,
                 bool denied_passes, int64_t deadline, struct cv_error *err)
{
    char sentence[SENTENCE];
    int64_t pause_ms = PAUSE_MIN_MS;
    for (;;) {
        int64_t until = cv_deadline(ATTEMPT_MS);
        cv_error_clear(err);
        int rc = step(i, ctx, until < deadline ? until : deadline, err);
        if (rc == 0 || !may_pass(rc, denied_passes))
            return rc;
        uint16_t chance;
        cv_random(&chance, sizeof chance);
        int64_t wait_ms = pause_ms / 2 + pause_ms * chance / 65536 / 2;
        if (cv_now_ms() + wait_ms >= deadline) {
            cv_error_wrap(err, "the time for the boot is over, at last");
            return rc;
        }
        cv_control_stage(i->control, cv_stage_name(stage), "retry",
                         cv_error_format(sentence, sizeof sentence, err));
        cv_log_error(CV_LOG_WARN, "trying again", err);
        if (!pause_for(i, wait_ms))
            return cv_error_set(err, CV_ERR_CANCELLED, "told to stop");
        pause_ms = 2 * pause_ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : 2 * pause_ms;
    }
}
