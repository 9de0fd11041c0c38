/* SPDX-License-Identifier: Apache-2.0 */
#include "init/control.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "json/json.h"
#include "transport/stream.h"

#define QUEUE_MAX 256      /* messages that wait */
#define OUT_MAX (1u << 20) /* bytes that wait for the socket */
#define CONNECT_MS 5000
#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 5000
#define HANGUP_MS 2000

struct cv_control {
    struct cv_control_config config;
    struct cv_addr addr;
    pthread_t thread;
    int wake, events; /* eventfds: something to send; orders for the main loop */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* below: under the lock */
    char *queue[QUEUE_MAX];
    size_t first, queued;
    bool stopping, sent_all;
    int64_t last_id, asked;        /* asked: id of the open question, 0 = none */
    enum cv_control_type expected; /* of its answer */
    char *question;
    bool question_sent, answered;
    struct cv_control_message answer;
    struct cv_control_orders orders;
    /* below: the thread's own */
    int fd;
    struct cv_buf in, out;
};

static void ring(int fd)
{
    uint64_t one = 1;
    ssize_t ignored = write(fd, &one, sizeof one);
    (void)ignored;
}

static void quiet(int fd)
{
    uint64_t count;
    ssize_t ignored = read(fd, &count, sizeof count);
    (void)ignored;
}

/* A line with its newline, or NULL without memory. O is taken over. */
static char *line_of(json_t *o)
{
    struct cv_buf text;
    char *line = NULL;
    cv_buf_init(&text, CV_CONTROL_LINE);
    if (o != NULL && cv_json_dump(&text, o) == 0 && cv_buf_append_str(&text, "\n") == 0)
        line = strdup((const char *)text.p);
    cv_buf_free(&text);
    json_decref(o);
    return line;
}

void cv_control_send(struct cv_control *c, json_t *o)
{
    char *line = line_of(o);
    if (line == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    if (c->queued == QUEUE_MAX) {
        free(c->queue[c->first]);
        c->first = (c->first + 1) % QUEUE_MAX;
        c->queued--;
    }
    c->queue[(c->first + c->queued++) % QUEUE_MAX] = line;
    c->sent_all = false;
    pthread_mutex_unlock(&c->lock);
    ring(c->wake);
}

void cv_control_stage(struct cv_control *c, const char *stage, const char *state, const char *error)
{
    json_t *o = json_pack("{s:s, s:s, s:s}", "type", "stage", "stage", stage, "state", state);
    if (o != NULL && error != NULL)
        json_object_set_new(o, "error", json_string(error));
    cv_control_send(c, o);
}

/* ---- the thread: sending ---- */

static void hello(struct cv_control *c)
{
    const struct cv_control_config *g = &c->config;
    char *line = line_of(json_pack("{s:s, s:i, s:s, s:s, s:b, s:s}", "type", "hello", "protocol", 1,
                                   "version", g->version, "build", g->build, "debug",
                                   g->debug ? 1 : 0, "pcr0", g->pcr0));
    cv_buf_reset(&c->out);
    cv_buf_reset(&c->in);
    if (line != NULL && cv_buf_append_str(&c->out, line) != 0)
        cv_log(CV_LOG_WARN, "no memory for the parent's greeting", NULL);
    free(line);
}

/* Moves what waits into the output, as far as it has room. */
static void gather(struct cv_control *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->queued != 0 && cv_buf_append_str(&c->out, c->queue[c->first]) == 0) {
        free(c->queue[c->first]);
        c->first = (c->first + 1) % QUEUE_MAX;
        c->queued--;
    }
    if (c->question != NULL && !c->question_sent && cv_buf_append_str(&c->out, c->question) == 0)
        c->question_sent = true;
    pthread_mutex_unlock(&c->lock);
}

/* False when the connection is lost. */
static bool flush(struct cv_control *c)
{
    while (c->out.n != 0) {
        ssize_t n = send(c->fd, c->out.p, c->out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            cv_buf_consume(&c->out, (size_t)n);
        else if (errno == EAGAIN)
            return true;
        else if (errno != EINTR)
            return false;
    }
    pthread_mutex_lock(&c->lock);
    c->sent_all = c->queued == 0;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return true;
}

/* ---- the thread: receiving ---- */

static void take_credentials(struct cv_control *c, struct cv_control_message *m)
{
    struct cv_error err;
    cv_error_clear(&err);
    if (m->has_error)
        return;
    if (cv_aws_provider_replace(c->config.provider, &m->credentials, &err) != 0)
        cv_log_error(CV_LOG_ERROR, "the parent's credentials cannot be used", &err);
}

static void give_order(struct cv_control *c, const struct cv_control_message *m)
{
    pthread_mutex_lock(&c->lock);
    if (m->type == CV_CONTROL_ROTATE) {
        c->orders.rotate = true;
    } else {
        c->orders.stop = true;
        c->orders.stop_seconds = m->seconds;
    }
    pthread_mutex_unlock(&c->lock);
    ring(c->events);
}

/* True when M is kept as the answer. One of another kind than what was asked for
 * is as good as none. */
static bool give_answer(struct cv_control *c, struct cv_control_message *m)
{
    pthread_mutex_lock(&c->lock);
    bool wanted = m->id != 0 && m->id == c->asked && !c->answered;
    if (wanted) {
        if (!m->has_error && m->type != c->expected) {
            m->has_error = true;
            snprintf(m->error, sizeof m->error, "it answered with something else");
        }
        c->answer = *m;
        c->answered = true;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return wanted;
}

static bool handle(struct cv_control *c, struct cv_bytes line)
{
    struct cv_control_message m;
    struct cv_error err;
    cv_error_clear(&err);
    int rc = cv_control_parse(&m, line, &err);
    bool kept = false;
    if (rc != 0) {
        cv_log_error(CV_LOG_WARN, "control connection ended", &err);
    } else if (m.type == CV_CONTROL_ROTATE || m.type == CV_CONTROL_STOP) {
        give_order(c, &m);
    } else if (m.type != CV_CONTROL_UNKNOWN || m.has_error) {
        if (m.type == CV_CONTROL_CREDENTIALS)
            take_credentials(c, &m);
        kept = give_answer(c, &m);
    }
    if (!kept)
        cv_control_message_free(&m);
    return rc == 0;
}

static bool receive(struct cv_control *c)
{
    uint8_t *room = cv_buf_reserve(&c->in, 16384);
    if (room == NULL && (room = cv_buf_reserve(&c->in, 1)) == NULL) {
        cv_log(CV_LOG_WARN, "control connection ended: the parent's line is too long", NULL);
        return false;
    }
    size_t space = c->in.limit - c->in.n < 16384 ? 1 : 16384;
    ssize_t n = recv(c->fd, room, space, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        return false;
    size_t seen = c->in.n, done = 0;
    if (n > 0)
        cv_buf_commit(&c->in, (size_t)n);
    for (;;) {
        size_t from = seen > done ? seen : done;
        const uint8_t *end = from < c->in.n ? memchr(c->in.p + from, '\n', c->in.n - from) : NULL;
        if (end == NULL)
            break;
        size_t stop = (size_t)(end - c->in.p);
        if (stop != done && !handle(c, CV_BYTES(c->in.p + done, stop - done)))
            return false;
        done = stop + 1;
    }
    cv_buf_consume(&c->in, done);
    return true;
}

/* ---- the thread ---- */

static bool stopping(struct cv_control *c)
{
    pthread_mutex_lock(&c->lock);
    bool yes = c->stopping;
    pthread_mutex_unlock(&c->lock);
    return yes;
}

static void serve(struct cv_control *c)
{
    hello(c);
    pthread_mutex_lock(&c->lock);
    c->question_sent = false;
    pthread_mutex_unlock(&c->lock);
    while (!stopping(c)) {
        gather(c);
        if (!flush(c))
            return;
        struct pollfd p[2] = {
            {.fd = c->fd, .events = (short)(POLLIN | (c->out.n != 0 ? POLLOUT : 0))},
            {.fd = c->wake, .events = POLLIN},
        };
        if (poll(p, 2, -1) < 0)
            continue;
        if (p[1].revents != 0)
            quiet(c->wake);
        if ((p[0].revents & ~POLLOUT) != 0 && !receive(c))
            return;
    }
    /* So that the last lines arrive before the enclave is gone. */
    uint8_t rest[512];
    int64_t until = cv_deadline(HANGUP_MS);
    if (shutdown(c->fd, SHUT_WR) != 0)
        return;
    while (cv_fd_wait(c->fd, POLLIN, until) == 0 &&
           recv(c->fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
        ;
}

/* Waits MS, or until there is a reason to look. */
static void pause_for(struct cv_control *c, int64_t ms)
{
    int64_t until = cv_deadline(ms);
    while (!stopping(c) && cv_fd_wait(c->wake, POLLIN, until) == 0)
        quiet(c->wake);
}

static void *run(void *arg)
{
    struct cv_control *c = arg;
    int64_t pause_ms = PAUSE_MIN_MS;
    while (!stopping(c)) {
        if (cv_connect_fd(&c->fd, &c->addr, cv_deadline(CONNECT_MS), NULL) != 0) {
            pause_for(c, pause_ms);
            pause_ms = 2 * pause_ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : 2 * pause_ms;
            continue;
        }
        int64_t since = cv_now_ms();
        serve(c);
        close(c->fd);
        c->fd = -1;
        /* A parent that hangs up at once is not asked in a tight loop. */
        if (cv_now_ms() - since > PAUSE_MAX_MS)
            pause_ms = PAUSE_MIN_MS;
        pause_for(c, pause_ms);
        pause_ms = 2 * pause_ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : 2 * pause_ms;
    }
    return NULL;
}

/* ---- for the other threads ---- */

static void free_all(struct cv_control *c)
{
    for (; c->queued != 0; c->queued--, c->first = (c->first + 1) % QUEUE_MAX)
        free(c->queue[c->first]);
    free(c->question);
    cv_buf_free(&c->in);
    cv_buf_free(&c->out);
    if (c->wake >= 0)
        close(c->wake);
    if (c->events >= 0)
        close(c->events);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

int cv_control_start(struct cv_control **out, const struct cv_control_config *config,
                     struct cv_error *err)
{
    struct cv_control *c = calloc(1, sizeof *c);
    pthread_condattr_t attr;
    *out = NULL;
    if (c == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the control connection");
    c->config = *config;
    c->fd = -1;
    cv_parent_address(&c->addr, config->parent, CV_PORT_CONTROL);
    cv_buf_init(&c->in, CV_CONTROL_LINE + 1);
    cv_buf_init(&c->out, OUT_MAX);
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->changed, &attr);
    pthread_condattr_destroy(&attr);
    c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    c->events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (c->wake < 0 || c->events < 0 || pthread_create(&c->thread, NULL, run, c) != 0) {
        free_all(c);
        return cv_error_set(err, CV_ERR_IO, "starting the control connection");
    }
    *out = c;
    return 0;
}

/* Under the lock; false at the deadline. */
static bool wait_change(struct cv_control *c, int64_t deadline)
{
    if (deadline == CV_NO_DEADLINE)
        return pthread_cond_wait(&c->changed, &c->lock) == 0;
    struct timespec t = {.tv_sec = deadline / 1000, .tv_nsec = deadline % 1000 * 1000000};
    return pthread_cond_timedwait(&c->changed, &c->lock, &t) == 0;
}

void cv_control_stop(struct cv_control **pc, int64_t ms)
{
    struct cv_control *c = *pc;
    if (c == NULL)
        return;
    *pc = NULL;
    int64_t deadline = cv_deadline(ms);
    pthread_mutex_lock(&c->lock);
    while (!c->sent_all && wait_change(c, deadline))
        ;
    c->stopping = true;
    pthread_mutex_unlock(&c->lock);
    ring(c->wake);
    pthread_join(c->thread, NULL);
    free_all(c);
}

static int ask(struct cv_control *c, const char *what, const char *name)
{
    json_t *o = json_pack("{s:s, s:I, s:s}", "type", "want", "id", (json_int_t)(c->last_id + 1),
                          "what", what);
    if (o != NULL && name != NULL)
        json_object_set_new(o, "name", json_string(name));
    free(c->question);
    c->question = line_of(o);
    if (c->question == NULL)
        return CV_ERR_NOMEM;
    c->asked = ++c->last_id;
    c->expected = strcmp(what, "credentials") == 0   ? CV_CONTROL_CREDENTIALS
                  : strcmp(what, "environment") == 0 ? CV_CONTROL_ENVIRONMENT
                                                     : CV_CONTROL_FILE_CONTENT;
    c->question_sent = c->answered = false;
    ring(c->wake);
    return 0;
}

int cv_control_ask(struct cv_control *c, const char *what, const char *name,
                   struct cv_control_message *answer, int64_t deadline, struct cv_error *err)
{
    memset(answer, 0, sizeof *answer);
    cv_buf_init(&answer->content, 0);
    pthread_mutex_lock(&c->lock);
    int rc = ask(c, what, name);
    bool in_time = true;
    while (rc == 0 && !c->answered && in_time)
        in_time = wait_change(c, deadline);
    if (rc == 0 && c->answered)
        *answer = c->answer;
    else if (rc == 0)
        rc = CV_ERR_TIMEOUT;
    bool sent = c->question_sent;
    c->asked = 0;
    c->answered = false;
    free(c->question);
    c->question = NULL;
    pthread_mutex_unlock(&c->lock);
    if (rc == CV_ERR_TIMEOUT)
        return cv_error_set(err, rc,
                            sent ? "the parent does not answer the question for %s%s%s"
                                 : "no connection to the parent to ask for %s%s%s",
                            what, name != NULL ? " " : "", name != NULL ? name : "");
    if (rc != 0)
        return cv_error_set(err, rc, "no memory to ask the parent for %s", what);
    if (answer->has_error)
        return cv_error_set(err, CV_ERR_REMOTE, "the parent has no %s%s%s for us: %s", what,
                            name != NULL ? " " : "", name != NULL ? name : "", answer->error);
    return 0;
}

int cv_control_event_fd(const struct cv_control *c)
{
    return c->events;
}

struct cv_control_orders cv_control_orders(struct cv_control *c)
{
    quiet(c->events);
    pthread_mutex_lock(&c->lock);
    struct cv_control_orders o = c->orders;
    c->orders = (struct cv_control_orders){.rotate = false};
    pthread_mutex_unlock(&c->lock);
    return o;
}
