/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While the application runs: its signals, its end, the children it left
 * behind, and the orders of the parent.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "init/application.h"
#include "init/init.h"
#include "init/machine.h"

#define ROTATION_MS 60000
#define RESTART_MS 10000 /* for the application to end before it is started anew */

struct supervisor {
    struct cv_init *i;
    int status; /* of the application, once ended */
    bool ended;
    int64_t kill_at; /* CV_NO_DEADLINE: nothing to kill */
    bool restarting;
    bool stopping; /* asked to end: it is not started again */
    /* rotation */
    pthread_t thread;
    bool rotating, again; /* again: asked for while one was under way */
    int done;             /* eventfd */
    struct cv_bundle *next;
    int rc;
    struct cv_error err;
};

/* ---- rotation ---- */

static void *obtain(void *arg)
{
    struct supervisor *s = arg;
    uint64_t one = 1;
    s->rc = cv_secrets_obtain(s->i, s->next, s->i->bundle, cv_deadline(ROTATION_MS), &s->err);
    ssize_t ignored = write(s->done, &one, sizeof one);
    (void)ignored;
    return NULL;
}

static void drop_next(struct supervisor *s)
{
    if (s->next != NULL)
        cv_bundle_free(s->next);
    free(s->next);
    s->next = NULL;
}

static void tell_rotation(struct supervisor *s, int rc, const char *effect)
{
    char sentence[2048];
    json_t *o = json_pack("{s:s, s:s}", "type", "rotated", "effect", rc == 0 ? effect : "failed");
    if (rc != 0) {
        cv_log_error(CV_LOG_ERROR, "rotation failed, the application goes on as it was", &s->err);
        json_object_set_new(o, "error",
                            json_string(cv_error_format(sentence, sizeof sentence, &s->err)));
    } else {
        cv_log(CV_LOG_INFO, "rotated", "effect", effect, NULL);
    }
    cv_control_send(s->i->control, o);
}

static void rotate(struct supervisor *s)
{
    if (s->rotating) {
        s->again = true;
        return;
    }
    cv_error_clear(&s->err);
    s->next = calloc(1, sizeof *s->next);
    if (s->next != NULL)
        cv_bundle_init(s->next, &s->i->settings);
    if (s->next == NULL || pthread_create(&s->thread, NULL, obtain, s) != 0) {
        drop_next(s);
        tell_rotation(s, cv_error_set(&s->err, CV_ERR_NOMEM, "no memory for a rotation"), NULL);
        return;
    }
    s->rotating = true;
}

static void stop_application(struct supervisor *s, int64_t ms)
{
    if (s->i->application > 0)
        kill(s->i->application, cv_machine_stop_signal(s->i->settings.stop_signal));
    s->kill_at = cv_deadline(ms);
}

/* Files are swapped; a running program cannot be given other variables, so it
 * is started anew when those have changed, and else told to look again. */
static int take_over(struct supervisor *s, const char **effect)
{
    struct cv_init *i = s->i;
    struct cv_environment env = {NULL, 0};
    unsigned files = 0;
    *effect = "none";
    int rc = cv_apply_environment(&env, i, s->next, &s->err);
    if (rc == 0)
        rc = cv_apply_files(i, s->next, i->bundle, &files, &s->err);
    if (rc != 0) {
        cv_environment_free(&env);
        return rc;
    }
    if (!cv_environment_equal(&env, &i->env) && !s->stopping) {
        *effect = "restarted";
        s->restarting = true;
        stop_application(s, RESTART_MS);
    } else if (files != 0 && i->application > 0) {
        *effect = "signalled";
        kill(i->application, SIGHUP);
    }
    cv_environment_free(&i->env);
    i->env = env;
    struct cv_bundle *old = i->bundle;
    i->bundle = s->next;
    s->next = old;
    return 0;
}

static void rotation_done(struct supervisor *s)
{
    const char *effect = "none";
    uint64_t count;
    ssize_t ignored = read(s->done, &count, sizeof count);
    (void)ignored;
    pthread_join(s->thread, NULL);
    s->rotating = false;
    if (s->rc == 0)
        s->rc = take_over(s, &effect);
    else
        cv_error_wrap(&s->err, "stage %s", cv_stage_name(s->i->stage));
    tell_rotation(s, s->rc, effect);
    drop_next(s);
    if (s->again) {
        s->again = false;
        rotate(s);
    }
}

/* ---- the application ---- */

static void start_again(struct supervisor *s)
{
    const struct cv_application a = {&s->i->settings, cv_logs_pipe(s->i->logs, 0),
                                     cv_logs_pipe(s->i->logs, 1)};
    struct cv_error err;
    cv_error_clear(&err);
    s->restarting = false;
    s->kill_at = CV_NO_DEADLINE;
    if (cv_application_start(&s->i->application, &a, &s->i->env, &err) == 0)
        return;
    cv_log_error(CV_LOG_ERROR, "the application could not be started again", &err);
    s->ended = true;
    s->status = 127 << 8;
}

static void reap(struct supervisor *s)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != s->i->application)
            continue;
        s->i->application = -1;
        if (s->restarting) {
            start_again(s);
        } else {
            s->ended = true;
            s->status = status;
        }
    }
}

static void on_signal(struct supervisor *s)
{
    struct signalfd_siginfo info;
    if (read(s->i->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    int number = (int)info.ssi_signo;
    if (number == SIGCHLD) {
        reap(s);
        return;
    }
    bool ends;
    number = cv_machine_signal_for(number, s->i->settings.stop_signal, &ends);
    if (ends) {
        s->restarting = false;
        s->stopping = true;
    }
    if (s->i->application > 0)
        kill(s->i->application, number);
}

static void on_order(struct supervisor *s)
{
    struct cv_control_orders o = cv_control_orders(s->i->control);
    if (o.rotate)
        rotate(s);
    if (o.stop) {
        cv_log(CV_LOG_INFO, "the parent stops the application", NULL);
        s->restarting = false;
        s->stopping = true;
        stop_application(s, o.stop_seconds * 1000);
    }
}

static void kill_when_due(struct supervisor *s)
{
    if (s->kill_at == CV_NO_DEADLINE || cv_now_ms() < s->kill_at)
        return;
    s->kill_at = CV_NO_DEADLINE;
    if (s->i->application > 0)
        kill(s->i->application, SIGKILL);
}

/* What the application left behind ends with it. */
static void clear_away(void)
{
    kill(-1, SIGKILL);
    for (int64_t until = cv_deadline(1000); cv_now_ms() < until;) {
        pid_t pid = waitpid(-1, NULL, WNOHANG);
        if (pid < 0 && errno == ECHILD)
            return;
        if (pid == 0)
            cv_sleep_ms(5);
    }
}

int cv_init_supervise(struct cv_init *i)
{
    struct supervisor s = {.i = i, .kill_at = CV_NO_DEADLINE};
    s.done = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    while (!s.ended) {
        struct pollfd p[3] = {
            {.fd = i->signals, .events = POLLIN},
            {.fd = cv_control_event_fd(i->control), .events = POLLIN},
            {.fd = s.done, .events = POLLIN},
        };
        int n = poll(p, 3, cv_deadline_poll(s.kill_at));
        kill_when_due(&s);
        if (n <= 0)
            continue;
        if (p[0].revents != 0)
            on_signal(&s);
        if (p[1].revents != 0 && !s.ended)
            on_order(&s);
        if (p[2].revents != 0)
            rotation_done(&s);
    }
    clear_away();
    if (s.rotating) /* its thread still reads what the process would free */
        pthread_detach(s.thread);
    else
        close(s.done);
    return s.status;
}
