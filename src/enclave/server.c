/* SPDX-License-Identifier: Apache-2.0 */
#include "enclave/server.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "common/log.h"
#include "enclave/build.h"
#include "enclave/queue.h"
#include "enclave/sandbox.h"
#include "enclave/session.h"
#include "enclave/signer.h"
#include "transport/listen.h"

#define SIGNERS_MAX 64
#define EVENTS_MAX 32
#define THREAD_STACK (512u * 1024)
#define DONE_BATCH 8 /* answers that may wait for one wake-up of the I/O thread */

/* Places for sessions: the live ones, and dead ones whose jobs still run. */
#define PLACES CV_QUEUE_LANES

struct worker {
    struct cv_server *server;
    struct cv_queue *queue;
    struct cv_signer *signer; /* NULL on a KMS thread */
    pthread_t thread;
};

struct cv_server {
    const struct cv_enclave *enclave;
    struct cv_queue signing, kms;
    struct worker workers[SIGNERS_MAX + CV_SERVER_KMS_THREADS];
    unsigned worker_count, signer_count;
    struct cv_signer *own; /* the I/O thread signs too when there is one job */
    struct {
        pthread_mutex_t lock;
        struct cv_job *first, *last;
        unsigned count;
        bool told; /* the event was written and not read */
    } done;
    int epoll, event, signals;
    struct cv_listener listener;
    bool listening; /* the listener is in the epoll set */
    struct cv_session *places[PLACES];
    uint32_t last_number;
    bool stop;
};

/* What an event of epoll is about. */
#define TAG_LISTENER 0
#define TAG_DONE 1
#define TAG_SIGNAL 2
#define TAG_SESSION 16 /* + place */

/* ---- workers ---- */

static void wake_io(struct cv_server *s)
{
    uint64_t one = 1;
    if (write(s->event, &one, sizeof one) < 0)
        cv_log(CV_LOG_ERROR, "the I/O thread cannot be woken", NULL);
}

/* Hands a finished step to the I/O thread. It is woken NOW, or when there are
 * some more, or by tell_done(). */
static void push_done(struct cv_server *s, struct cv_job *job, bool now)
{
    pthread_mutex_lock(&s->done.lock);
    job->next = NULL;
    if (s->done.first == NULL)
        s->done.first = job;
    else
        s->done.last->next = job;
    s->done.last = job;
    s->done.count++;
    bool tell = !s->done.told && (now || s->done.count >= DONE_BATCH);
    s->done.told |= tell;
    pthread_mutex_unlock(&s->done.lock);
    if (tell)
        wake_io(s);
}

/* Before a worker rests: nothing that is done may lie there. */
static void tell_done(struct cv_server *s)
{
    pthread_mutex_lock(&s->done.lock);
    bool tell = !s->done.told && s->done.first != NULL;
    s->done.told |= tell;
    pthread_mutex_unlock(&s->done.lock);
    if (tell)
        wake_io(s);
}

static struct cv_job *take_done(struct cv_server *s)
{
    pthread_mutex_lock(&s->done.lock);
    struct cv_job *list = s->done.first;
    s->done.first = s->done.last = NULL;
    s->done.count = 0;
    s->done.told = false;
    pthread_mutex_unlock(&s->done.lock);
    return list;
}

static bool is_slow(const struct cv_job *job)
{
    return job->key != NULL && job->key->scheme == CV_SCHEME_BLS;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    for (;;) {
        struct cv_job *job = cv_queue_pop(w->queue, false);
        if (job == NULL) {
            tell_done(w->server);
            job = cv_queue_pop(w->queue, true);
        }
        if (job == NULL)
            return NULL;
        job->run(job, w->signer);
        push_done(w->server, job, w->signer == NULL || is_slow(job));
    }
}

static int start_worker(struct cv_server *s, struct cv_queue *queue, bool signer)
{
    struct worker *w = &s->workers[s->worker_count];
    pthread_attr_t attr;
    *w = (struct worker){.server = s, .queue = queue};
    if (signer && cv_signer_new(&w->signer, s->enclave->settings.self_check) != 0)
        return CV_ERR_NOMEM;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, THREAD_STACK);
    int rc = pthread_create(&w->thread, &attr, work, w);
    pthread_attr_destroy(&attr);
    if (rc != 0) {
        cv_signer_free(w->signer);
        return CV_ERR_IO;
    }
    s->worker_count++;
    s->signer_count += signer;
    return 0;
}

static int start_workers(struct cv_server *s, struct cv_error *err)
{
    int cpus = get_nprocs();
    int rc = cv_signer_new(&s->own, s->enclave->settings.self_check);
    for (int i = 0; rc == 0 && i < cpus && i < SIGNERS_MAX; i++)
        rc = start_worker(s, &s->signing, true);
    for (int i = 0; rc == 0 && i < CV_SERVER_KMS_THREADS; i++)
        rc = start_worker(s, &s->kms, false);
    if (rc != 0)
        return cv_error_set(err, rc, "starting the workers: %s", cv_strerror(rc));
    return 0;
}

static void stop_workers(struct cv_server *s)
{
    cv_queue_stop(&s->signing);
    cv_queue_stop(&s->kms);
    for (unsigned i = 0; i < s->worker_count; i++)
        pthread_join(s->workers[i].thread, NULL);
}

/* ---- for sessions ---- */

void cv_server_sign(struct cv_server *s, struct cv_job *job)
{
    cv_queue_push(&s->signing, job->session->lane, job);
}

void cv_server_kms(struct cv_server *s, struct cv_job *job)
{
    cv_queue_push(&s->kms, job->session->lane, job);
    cv_queue_wake(&s->kms, 1);
}

static void run_then(struct cv_job *list)
{
    while (list != NULL) {
        struct cv_job *job = list;
        list = job->next;
        job->next = NULL;
        job->then(job);
    }
}

void cv_server_forget_jobs(struct cv_server *s, struct cv_session *session)
{
    struct cv_job *lists[] = {cv_queue_drain(&s->signing, session->lane),
                              cv_queue_drain(&s->kms, session->lane)};
    for (size_t i = 0; i < 2; i++) {
        for (struct cv_job *job = lists[i]; job != NULL; job = job->next)
            cv_job_fail(job, CV_ERR_CANCELLED, "the connection was closed", NULL);
        run_then(lists[i]); /* each undoes what it counted */
    }
}

void cv_server_forget_keys(struct cv_server *s, uint32_t number)
{
    cv_signer_purge(s->own, number);
    for (unsigned i = 0; i < s->signer_count; i++)
        cv_signer_purge(s->workers[i].signer, number);
}

/* ---- connections ---- */

static unsigned live_sessions(const struct cv_server *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < PLACES; i++)
        n += s->places[i] != NULL && !s->places[i]->dead;
    return n;
}

/* The connection that has waited longest without initialising, closed. */
static bool make_room(struct cv_server *s)
{
    struct cv_session *oldest = NULL;
    for (unsigned i = 0; i < PLACES; i++) {
        struct cv_session *x = s->places[i];
        if (x != NULL && !x->dead && !x->initialised && (oldest == NULL || x->idle < oldest->idle))
            oldest = x;
    }
    if (oldest == NULL)
        return false;
    cv_log(CV_LOG_WARN, "connection dropped to make room: it never initialised", "session",
           cv_logf("%u", (unsigned)oldest->number), NULL);
    cv_session_close(oldest);
    return true;
}

static void reap(struct cv_server *s)
{
    for (unsigned i = 0; i < PLACES; i++) {
        if (s->places[i] == NULL || !cv_session_gone(s->places[i]))
            continue;
        cv_log(CV_LOG_INFO, "session over, its keys are forgotten", "session",
               cv_logf("%u", (unsigned)s->places[i]->number), NULL);
        cv_session_free(s->places[i]);
        s->places[i] = NULL;
    }
}

static void add_session(struct cv_server *s, int fd)
{
    if (live_sessions(s) >= CV_RPC_SESSIONS_MAX && make_room(s))
        reap(s);
    unsigned place = 0;
    while (place < PLACES && s->places[place] != NULL)
        place++;
    if (live_sessions(s) >= CV_RPC_SESSIONS_MAX || place == PLACES) {
        cv_log(CV_LOG_WARN, "connection refused: all sessions are in use", NULL);
        close(fd);
        return;
    }
    struct cv_session *x = cv_session_new(s, s->enclave, fd, ++s->last_number, place);
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = TAG_SESSION + place};
    if (x == NULL)
        return;
    s->places[place] = x;
    x->interest = EPOLLIN;
    if (epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev) != 0)
        cv_session_close(x);
    else
        cv_log(CV_LOG_INFO, "session opened", "session", cv_logf("%u", (unsigned)x->number), NULL);
}

static void accept_all(struct cv_server *s)
{
    int fd;
    for (int i = 0; i < CV_RPC_SESSIONS_MAX; i++) {
        struct cv_error err;
        cv_error_clear(&err);
        int rc = cv_accept_fd(&fd, &s->listener, 0, &err);
        if (rc == 0)
            add_session(s, fd);
        else if (rc == CV_ERR_TIMEOUT)
            return;
        else {
            cv_log_error(CV_LOG_WARN, "a connection could not be accepted", &err);
            cv_sleep_ms(10); /* not a busy loop when descriptors ran out */
            return;
        }
    }
}

static void update_interest(struct cv_server *s)
{
    for (unsigned i = 0; i < PLACES; i++) {
        struct cv_session *x = s->places[i];
        if (x == NULL || x->dead)
            continue;
        uint32_t want = cv_session_interest(x);
        struct epoll_event ev = {.events = want, .data.u32 = TAG_SESSION + i};
        if (want == x->interest)
            continue;
        x->interest = want;
        if (epoll_ctl(s->epoll, EPOLL_CTL_MOD, x->fd, &ev) != 0)
            cv_session_close(x);
    }
}

/* ---- the loop ---- */

static void on_session(struct cv_server *s, unsigned place, uint32_t events)
{
    struct cv_session *x = place < PLACES ? s->places[place] : NULL;
    if (x == NULL || x->dead)
        return;
    if (events & EPOLLOUT)
        cv_session_writable(x);
    if (events & EPOLLIN)
        cv_session_readable(x);
    else if (events & (EPOLLERR | EPOLLHUP))
        cv_session_close(x); /* both directions are over */
}

static void on_event(struct cv_server *s, const struct epoll_event *ev)
{
    uint64_t ignored;
    struct signalfd_siginfo info;
    switch (ev->data.u32) {
    case TAG_LISTENER:
        accept_all(s);
        break;
    case TAG_DONE:
        (void)!read(s->event, &ignored, sizeof ignored);
        break;
    case TAG_SIGNAL:
        s->stop = read(s->signals, &info, sizeof info) == (ssize_t)sizeof info;
        break;
    default:
        on_session(s, ev->data.u32 - TAG_SESSION, ev->events);
    }
}

static void settle_all(struct cv_server *s)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (s->places[i] != NULL && !s->places[i]->dead)
            cv_session_settle(s->places[i]);
}

/* One short job is faster done here than handed over: no two switches of
 * thread. More of them, and the slow ones, go to the signers. */
static void sign_or_wake(struct cv_server *s)
{
    size_t n = cv_queue_count(&s->signing);
    while (n == 1) {
        struct cv_job *job = cv_queue_pop(&s->signing, false);
        if (job == NULL)
            return; /* a signer was faster */
        if (is_slow(job)) {
            cv_queue_push(&s->signing, job->session->lane, job);
            break;
        }
        job->run(job, s->own);
        run_then(job);
        settle_all(s);
        n = cv_queue_count(&s->signing);
    }
    if (n > 0)
        cv_queue_wake(&s->signing, n < s->signer_count ? n : s->signer_count);
}

static int64_t next_deadline(const struct cv_server *s)
{
    int64_t first = CV_NO_DEADLINE;
    for (unsigned i = 0; i < PLACES; i++) {
        if (s->places[i] == NULL)
            continue;
        int64_t d = cv_session_deadline(s->places[i]);
        first = d < first ? d : first;
    }
    return first;
}

static void check_times(struct cv_server *s, int64_t now)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (s->places[i] != NULL)
            cv_session_check_time(s->places[i], now);
}

static void loop(struct cv_server *s)
{
    while (!s->stop) {
        struct epoll_event events[EVENTS_MAX];
        int64_t deadline = next_deadline(s), now;
        int n = epoll_wait(s->epoll, events, EVENTS_MAX, cv_deadline_poll(deadline));
        for (int i = 0; i < n; i++)
            on_event(s, &events[i]);
        if (deadline != CV_NO_DEADLINE && (now = cv_now_ms()) >= deadline)
            check_times(s, now);
        run_then(take_done(s));
        settle_all(s);
        sign_or_wake(s);
        reap(s);
        update_interest(s);
    }
}

/* ---- start and end ---- */

static int watch(struct cv_server *s, int fd, uint32_t tag)
{
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = tag};
    return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static int open_descriptors(struct cv_server *s, struct cv_error *err)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    /* Before the workers start, so that they inherit it. */
    if (pthread_sigmask(SIG_BLOCK, &signals, NULL) != 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
        return cv_error_set(err, CV_ERR_IO, "setting up signals failed");
    s->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    s->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s->signals < 0 || s->event < 0 || s->epoll < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "preparing the event loop");
    int rc = cv_listen(&s->listener, &s->enclave->listen, err);
    if (rc != 0)
        return rc;
    if (watch(s, s->listener.fd, TAG_LISTENER) != 0 || watch(s, s->event, TAG_DONE) != 0 ||
        watch(s, s->signals, TAG_SIGNAL) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "preparing the event loop");
    return 0;
}

static void close_all(struct cv_server *s)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (s->places[i] != NULL)
            cv_session_close(s->places[i]);
    stop_workers(s);
    run_then(take_done(s));
    reap(s);
    for (unsigned i = 0; i < s->worker_count; i++)
        cv_signer_free(s->workers[i].signer);
    cv_signer_free(s->own);
    cv_listener_close(&s->listener);
    int fds[] = {s->epoll, s->event, s->signals};
    for (size_t i = 0; i < sizeof fds / sizeof fds[0]; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

/* A developer's container may forbid filters; an enclave's kernel never does. */
static int enter_sandbox(struct cv_error *err)
{
    bool development = cv_enclave_build.settings == CV_SETTINGS_DEVELOPMENT;
    int rc = cv_sandbox_enter(development, err);
    if (rc == 0 || !development)
        return rc;
    cv_log_error(CV_LOG_WARN, "serving without a seccomp filter", err);
    cv_error_clear(err);
    return 0;
}

int cv_server_run(const struct cv_enclave *e, struct cv_error *err)
{
    static struct cv_server server;
    struct cv_server *s = &server;
    char address[CV_ADDR_TEXT];
    memset(s, 0, sizeof *s);
    s->enclave = e;
    s->epoll = s->event = s->signals = -1;
    s->listener = (struct cv_listener)CV_LISTENER_INIT;
    cv_queue_init(&s->signing);
    cv_queue_init(&s->kms);
    pthread_mutex_init(&s->done.lock, NULL);
    int rc = open_descriptors(s, err);
    if (rc == 0)
        rc = start_workers(s, err);
    if (rc == 0)
        rc = enter_sandbox(err);
    if (rc == 0) {
        cv_log(CV_LOG_INFO, "serving", "address", cv_addr_format(address, &s->listener.addr),
               "signers", cv_logf("%u", s->signer_count), NULL);
        loop(s);
        cv_log(CV_LOG_INFO, "stopping", NULL);
    }
    close_all(s);
    return rc;
}
