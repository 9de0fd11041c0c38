/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/show.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "common/utf8.h"
#include "json/json.h"

#define ENOUGH (256u << 10) /* with more, the enclave's log is not read */
#define FULL (2u << 20)     /* with more, lines are dropped */

enum { TO_STDOUT, TO_STDERR, TO_FILE, OUTPUTS };

struct cv_parent_show {
    bool json, stop, failed, done;
    int fd[OUTPUTS]; /* -1: not in use */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t cond;     /* there is something to write, or to stop */
    pthread_cond_t finished; /* the thread has ended */
    struct cv_buf queue[OUTPUTS];
    uint64_t dropped;
};

static const char *const names[] = {[CV_PARENT_LOG_INIT] = "init",
                                    [CV_PARENT_LOG_STDOUT] = "stdout",
                                    [CV_PARENT_LOG_STDERR] = "stderr"};

/* ---- the writing thread ---- */

static bool pending(const struct cv_parent_show *s)
{
    for (size_t i = 0; i < OUTPUTS; i++) {
        if (s->queue[i].n > 0)
            return true;
    }
    return false;
}

static void *run(void *arg)
{
    struct cv_parent_show *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->stop && !pending(s))
            pthread_cond_wait(&s->cond, &s->lock);
        if (!pending(s))
            break;
        for (size_t i = 0; i < OUTPUTS; i++) {
            struct cv_buf out = s->queue[i];
            if (out.n == 0)
                continue;
            cv_buf_init(&s->queue[i], FULL);
            pthread_mutex_unlock(&s->lock);
            bool bad = s->fd[i] < 0 || cv_fd_write_all(s->fd[i], out.p, out.n) != 0;
            cv_buf_free(&out);
            pthread_mutex_lock(&s->lock);
            s->failed = s->failed || bad;
        }
    }
    s->done = true;
    pthread_cond_signal(&s->finished);
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Queues LINE, which ends with a newline. */
static void put(struct cv_parent_show *s, size_t to, const void *line, size_t n)
{
    pthread_mutex_lock(&s->lock);
    if (cv_buf_append(&s->queue[to], line, n) != 0)
        s->dropped++;
    pthread_cond_signal(&s->cond);
    pthread_mutex_unlock(&s->lock);
}

static void own_log(void *ctx, const char *line, size_t n)
{
    put(ctx, TO_STDERR, line, n);
}

/* ---- lines ---- */

/* Appends TEXT of the enclave without what a terminal would obey. */
static int append_plain(struct cv_buf *out, struct cv_bytes text)
{
    int rc = 0;
    for (size_t i = 0; i < text.n && rc == 0;) {
        size_t n = cv_utf8_next(CV_BYTES(text.p + i, text.n - i));
        uint8_t c = text.p[i];
        bool control =
            (c < 0x20 && c != '\t') || c == 0x7f || (n == 2 && c == 0xc2 && text.p[i + 1] < 0xa0);
        if (n == 0 || control) {
            n = 1;
            rc = cv_buf_printf(out, "\\x%02x", c);
        } else {
            rc = cv_buf_append(out, text.p + i, n);
        }
        i += n;
    }
    return rc;
}

static void put_text(struct cv_parent_show *s, size_t to, const char *head, struct cv_bytes text)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf line;
    char now[CV_RFC3339_LEN];
    int rc = 0;
    cv_buf_init(&line, 65536);
    if (to == TO_FILE) {
        cv_rfc3339_format(now, cv_unix_ms());
        rc = cv_buf_printf(&line, "%s ", now);
    }
    if (rc == 0)
        rc = cv_buf_printf(&line, "%s: ", head);
    if (rc == 0)
        rc = append_plain(&line, text);
    if (rc == 0)
        rc = cv_buf_append_u8(&line, '\n');
    if (rc == 0)
        put(s, to, line.p, line.n);
}

/* Sends O, which it releases, as a line of JSON with the time. */
static void put_json(struct cv_parent_show *s, json_t *o)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf line;
    char now[CV_RFC3339_LEN];
    cv_buf_init(&line, 131072);
    cv_rfc3339_format(now, cv_unix_ms());
    if (o != NULL && json_object_set_new(o, "time", json_string(now)) == 0 &&
        cv_json_dump(&line, o) == 0 && cv_buf_append_u8(&line, '\n') == 0)
        put(s, TO_STDOUT, line.p, line.n);
    json_decref(o);
}

static void show_log(void *ctx, enum cv_parent_stream stream, struct cv_bytes text)
{
    struct cv_parent_show *s = ctx;
    CV_CLEANUP(cv_buf_free) struct cv_buf plain;
    cv_buf_init(&plain, 65536);
    if (s->fd[TO_FILE] >= 0) {
        put_text(s, TO_FILE, names[stream], text);
    } else if (!s->json) {
        put_text(s, stream == CV_PARENT_LOG_STDOUT ? TO_STDOUT : TO_STDERR, names[stream], text);
    } else if (append_plain(&plain, text) == 0) {
        put_json(s, json_pack("{s:s, s:s, s:s%}", "type", "log", "stream", names[stream], "text",
                              plain.n > 0 ? (const char *)plain.p : "", plain.n));
    }
}

/* A line about the enclave, for people. */
static void say(struct cv_parent_show *s, const char *text)
{
    put_text(s, TO_STDERR, "enclave", cv_bytes_str(text));
    if (s->fd[TO_FILE] >= 0)
        put_text(s, TO_FILE, "enclave", cv_bytes_str(text));
}

static void show_lost(void *ctx, uint64_t bytes)
{
    struct cv_parent_show *s = ctx;
    char text[128];
    if (s->json) {
        put_json(s, json_pack("{s:s, s:I}", "type", "lost", "bytes", (json_int_t)bytes));
        return;
    }
    (void)snprintf(text, sizeof text, "%llu bytes of its log are lost", (unsigned long long)bytes);
    say(s, text);
}

static void show_message_json(struct cv_parent_show *s, const struct cv_parent_message *m)
{
    if (m->type == CV_PARENT_HELLO)
        put_json(s, json_pack("{s:s, s:s, s:s, s:b, s:s}", "type", "hello", "version", m->version,
                              "build", m->build, "debug", m->debug, "pcr0", m->pcr0));
    else if (m->type == CV_PARENT_STAGE)
        put_json(s, json_pack("{s:s, s:s, s:s, s:s?}", "type", "stage", "stage", m->stage, "state",
                              m->state, "error", m->error[0] != 0 ? m->error : NULL));
    else if (m->type == CV_PARENT_EXIT)
        put_json(s, json_pack("{s:s, s:I}", "type", "exit", m->signalled ? "signal" : "status",
                              (json_int_t)m->status));
}

static void show_message(void *ctx, const struct cv_parent_message *m)
{
    struct cv_parent_show *s = ctx;
    char text[CV_PARENT_TEXT_MAX + 3 * CV_PARENT_NAME_MAX + 64];
    if (s->json) {
        show_message_json(s, m);
        return;
    }
    if (m->type == CV_PARENT_HELLO)
        (void)snprintf(text, sizeof text, "claviger-init %s, %s build%s, PCR0 %s", m->version,
                       m->build, m->debug ? ", DEBUG MODE" : "", m->pcr0);
    else if (m->type == CV_PARENT_STAGE)
        (void)snprintf(text, sizeof text, "%s: %s%s%s", m->stage, m->state,
                       m->error[0] != 0 ? ": " : "", m->error);
    else if (m->signalled)
        (void)snprintf(text, sizeof text, "the application was killed by signal %d",
                       (int)m->status);
    else
        (void)snprintf(text, sizeof text, "the application ended with status %d", (int)m->status);
    say(s, text);
}

static bool room(void *ctx)
{
    struct cv_parent_show *s = ctx;
    size_t n = 0;
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < OUTPUTS; i++)
        n += s->queue[i].n;
    pthread_mutex_unlock(&s->lock);
    return n < ENOUGH;
}

void cv_parent_show_events(struct cv_parent_show *s, struct cv_parent_events *events)
{
    events->ctx = s;
    events->message = show_message;
    events->log = show_log;
    events->lost = show_lost;
    events->room = room;
}

/* ---- life ---- */

static int open_file(struct cv_parent_show *s, const char *dir, struct cv_error *err)
{
    char path[4096];
    if (cv_path_join(path, sizeof path, dir, "enclave.log") != 0)
        return cv_error_set(err, CV_ERR_LIMIT, "the path of the log folder is too long");
    s->fd[TO_FILE] = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (s->fd[TO_FILE] < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "opening %s", path);
    return 0;
}

static int start_thread(struct cv_parent_show *s)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&s->thread, NULL, run, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc;
}

static void free_show(struct cv_parent_show *s)
{
    for (size_t i = 0; i < OUTPUTS; i++)
        cv_buf_free(&s->queue[i]);
    if (s->fd[TO_FILE] >= 0)
        close(s->fd[TO_FILE]);
    free(s);
}

int cv_parent_show_start(struct cv_parent_show **out, const char *log_dir, bool json,
                         struct cv_error *err)
{
    struct cv_parent_show *s = calloc(1, sizeof *s);
    pthread_condattr_t attr;
    *out = NULL;
    if (s == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    s->json = json;
    s->fd[TO_STDOUT] = STDOUT_FILENO;
    s->fd[TO_STDERR] = STDERR_FILENO;
    s->fd[TO_FILE] = -1;
    for (size_t i = 0; i < OUTPUTS; i++)
        cv_buf_init(&s->queue[i], FULL);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->cond, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->finished, &attr);
    pthread_condattr_destroy(&attr);
    int rc = log_dir != NULL ? open_file(s, log_dir, err) : 0;
    if (rc == 0 && start_thread(s) != 0)
        rc = cv_error_set(err, CV_ERR_NOMEM, "no thread for the output");
    if (rc != 0) {
        free_show(s);
        return rc;
    }
    cv_log_sink(own_log, s);
    *out = s;
    return 0;
}

bool cv_parent_show_stop(struct cv_parent_show **sp, int64_t ms)
{
    struct cv_parent_show *s = *sp;
    int64_t at = cv_deadline(ms);
    struct timespec until = {.tv_sec = at / 1000, .tv_nsec = at % 1000 * 1000000};
    if (s == NULL)
        return true;
    cv_log_sink(NULL, NULL);
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->cond);
    while (!s->done && pthread_cond_timedwait(&s->finished, &s->lock, &until) != ETIMEDOUT)
        ;
    bool done = s->done, good = done && !s->failed && s->dropped == 0;
    pthread_mutex_unlock(&s->lock);
    *sp = NULL;
    if (!done) {
        /* It hangs in a write; it and its memory end with the process. */
        pthread_detach(s->thread);
        return false;
    }
    pthread_join(s->thread, NULL);
    free_show(s);
    return good;
}
