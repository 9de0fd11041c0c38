/* SPDX-License-Identifier: Apache-2.0 */
#include "common/log.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/utf8.h"

#define LINE_MAX_BYTES 16384             /* one line; longer values are cut */
#define GATHERED_MAX ((size_t)64 * 1024) /* bytes of lines that wait to be written */

static const struct {
    const char *name;
    char priority; /* of syslog(3) */
} levels[] = {
    [CV_LOG_ERROR] = {"error", '3'}, [CV_LOG_WARN] = {"warn", '4'},   [CV_LOG_INFO] = {"info", '6'},
    [CV_LOG_DEBUG] = {"debug", '7'}, [CV_LOG_TRACE] = {"trace", '7'},
};
#define LEVELS (sizeof(levels) / sizeof(levels[0]))

static _Atomic int threshold = CV_LOG_INFO;
static _Atomic bool as_json;

static pthread_mutex_t sink_lock = PTHREAD_MUTEX_INITIALIZER;
static void (*sink_fn)(void *ctx, const char *line, size_t n);
static void *sink_ctx;

void cv_log_setup(enum cv_log_level level, bool json)
{
    atomic_store(&threshold, (int)level);
    atomic_store(&as_json, json);
}

int cv_log_level_parse(enum cv_log_level *level, const char *name)
{
    for (size_t i = 0; i < LEVELS; i++) {
        if (strcmp(levels[i].name, name) == 0) {
            *level = (enum cv_log_level)i;
            return 0;
        }
    }
    return CV_ERR_INVALID;
}

bool cv_log_enabled(enum cv_log_level level)
{
    return (int)level <= atomic_load(&threshold);
}

void cv_log_sink(void (*sink)(void *ctx, const char *line, size_t n), void *ctx)
{
    pthread_mutex_lock(&sink_lock);
    sink_fn = sink;
    sink_ctx = ctx;
    pthread_mutex_unlock(&sink_lock);
}

/* A line being made, without the heap: the log must work when memory is out.
 * What does not fit is left out; room for the end of the line is kept. */
struct line {
    char p[LINE_MAX_BYTES];
    size_t n;
};

#define TAIL 16 /* kept for closing quotes, brackets and the end of the line */

static bool fits(const struct line *l, size_t n)
{
    return l->n <= sizeof(l->p) - TAIL && n <= sizeof(l->p) - TAIL - l->n;
}

static void add(struct line *l, const char *s, size_t n)
{
    if (fits(l, n)) {
        memcpy(l->p + l->n, s, n);
        l->n += n;
    }
}

static void add_str(struct line *l, const char *s)
{
    add(l, s, strlen(s));
}

/* The inside of a JSON string; the same escapes serve quoted text values. A
 * byte that is not UTF-8 is shown as the text \xNN. */
static void add_escaped(struct line *l, const char *s)
{
    struct cv_bytes in = cv_bytes_str(s);
    while (in.n > 0) {
        size_t n = cv_utf8_next(in);
        unsigned char c = in.p[0];
        char esc[8];
        if (n == 0) {
            n = 1;
            (void)snprintf(esc, sizeof(esc), "\\\\x%02x", (unsigned)c);
        } else if (c == '"' || c == '\\') {
            (void)snprintf(esc, sizeof(esc), "\\%c", c);
        } else if (c == '\n') {
            (void)snprintf(esc, sizeof(esc), "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            (void)snprintf(esc, sizeof(esc), "\\u%04x", (unsigned)c);
        } else if (n == 2 && c == 0xc2 && in.p[1] < 0xa0) { /* C1 controls */
            (void)snprintf(esc, sizeof(esc), "\\u%04x", (unsigned)in.p[1]);
        } else {
            memcpy(esc, in.p, n);
            esc[n] = '\0';
        }
        if (!fits(l, strlen(esc)))
            return;
        add_str(l, esc);
        in.p += n;
        in.n -= n;
    }
}

static bool is_bare(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == '=')
            return false;
    }
    return true;
}

static void add_quoted(struct line *l, const char *s)
{
    add(l, "\"", 1);
    add_escaped(l, s);
    /* In the tail when the string was cut: at most the message, one key and
     * one value are, so it suffices. */
    l->p[l->n++] = '"';
}

/* True when standard error is the journal's stream: JOURNAL_STREAM, which
 * children inherit, names its device and inode (systemd.exec(5)). */
static bool to_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat st;
    if (stream == NULL || fstat(STDERR_FILENO, &st) != 0)
        return false;
    char mine[48];
    (void)snprintf(mine, sizeof(mine), "%llu:%llu", (unsigned long long)st.st_dev,
                   (unsigned long long)st.st_ino);
    return strcmp(stream, mine) == 0;
}

static void begin(struct line *l, enum cv_log_level level, const char *message, bool json)
{
    char now[CV_RFC3339_LEN];
    cv_rfc3339_format(now, cv_unix_ms());
    l->n = 0;
    if (json) {
        add_str(l, "{\"time\":\"");
        add_str(l, now);
        add_str(l, "\",\"level\":\"");
        add_str(l, levels[level].name);
        add_str(l, "\",\"msg\":");
        add_quoted(l, message);
        return;
    }
    if (to_journal()) { /* which knows the time */
        char priority[4] = {'<', levels[level].priority, '>', '\0'};
        add_str(l, priority);
    } else {
        add_str(l, now);
        add(l, " ", 1);
        add_str(l, levels[level].name);
        add(l, " ", 1);
    }
    add_escaped(l, message);
}

/* Either the whole pair gets in (its value perhaps cut) or none of it. */
static void field(struct line *l, const char *key, const char *value, bool json)
{
    if (!fits(l, strlen(key) + 8))
        return;
    if (json) {
        add(l, ",", 1);
        add_quoted(l, key);
        add(l, ":", 1);
        add_quoted(l, value);
        return;
    }
    add(l, " ", 1);
    add_str(l, key);
    add(l, "=", 1);
    if (is_bare(value) && fits(l, strlen(value) + 2))
        add_str(l, value);
    else
        add_quoted(l, value);
}

/* Lines of one thread that wait for cv_log_flush(). */
static _Thread_local struct {
    char *p; /* NULL: they do not wait */
    size_t n;
} gathered;

/* Nobody can be told when standard error is gone. */
static void write_out(const char *p, size_t n)
{
    if (cv_fd_write_all(STDERR_FILENO, p, n) != 0)
        return;
}

void cv_log_flush(void)
{
    if (gathered.n > 0)
        write_out(gathered.p, gathered.n);
    gathered.n = 0;
}

void cv_log_gather(bool on)
{
    cv_log_flush();
    if (!on) {
        free(gathered.p);
        gathered.p = NULL;
    } else if (gathered.p == NULL) {
        gathered.p = malloc(GATHERED_MAX);
    }
}

/* True when the line waits. What waits is written before one that does not. */
static bool gather(const struct line *l, enum cv_log_level level)
{
    if (gathered.p == NULL)
        return false;
    if (level < CV_LOG_INFO || l->n > GATHERED_MAX - gathered.n)
        cv_log_flush();
    if (level < CV_LOG_INFO)
        return false;
    memcpy(gathered.p + gathered.n, l->p, l->n);
    gathered.n += l->n;
    return true;
}

static void finish(struct line *l, enum cv_log_level level, bool json)
{
    if (json)
        l->p[l->n++] = '}';
    l->p[l->n++] = '\n';
    pthread_mutex_lock(&sink_lock);
    void (*fn)(void *, const char *, size_t) = sink_fn;
    void *ctx = sink_ctx;
    if (fn != NULL)
        fn(ctx, l->p, l->n);
    pthread_mutex_unlock(&sink_lock);
    if (fn == NULL && !gather(l, level))
        write_out(l->p, l->n);
}

void cv_log(enum cv_log_level level, const char *message, ...)
{
    if (!cv_log_enabled(level))
        return;
    bool json = atomic_load(&as_json);
    CV_UNINITIALIZED struct line l;
    begin(&l, level, message, json);
    va_list ap;
    va_start(ap, message);
    const char *key;
    while ((key = va_arg(ap, const char *)) != NULL) {
        const char *value = va_arg(ap, const char *);
        if (value != NULL)
            field(&l, key, value, json);
    }
    va_end(ap);
    finish(&l, level, json);
}

void cv_log_error(enum cv_log_level level, const char *message, const struct cv_error *err)
{
    char text[CV_ERROR_SENTENCE];
    cv_log(level, message, "error", cv_error_format(text, sizeof(text), err), NULL);
}

const char *cv_logf(const char *fmt, ...)
{
    static _Thread_local char ring[8][256];
    static _Thread_local unsigned next;
    char *out = ring[next++ % 8];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(out, sizeof(ring[0]), fmt, ap);
    va_end(ap);
    return out;
}
