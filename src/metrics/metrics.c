/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_SIZE 512 /* heads of the chains of one family; a power of two */

struct cv_metric_series {
    const struct cv_metric_info *info;
    struct cv_metric_series *next_in_chain;
    struct cv_metric_series *next; /* in order of creation */
    uint32_t hash;
    double value; /* of a histogram: the sum */
    uint64_t counts[CV_METRIC_BUCKETS_MAX + 1];
    size_t lengths[CV_METRIC_LABELS_MAX];
    char values[CV_METRIC_LABELS_MAX][CV_METRIC_LABEL_MAX];
};

struct family {
    const struct cv_metric_info *info;
    struct cv_metric_series *first;
    struct cv_metric_series *last;
    size_t count;
    struct cv_metric_series *chain[TABLE_SIZE];
};

struct cv_metrics {
    size_t count;
    struct family families[];
};

int cv_metrics_new(struct cv_metrics **out, const struct cv_metric_info *families, size_t count)
{
    struct cv_metrics *m = calloc(1, sizeof *m + count * sizeof m->families[0]);
    if (m == NULL) {
        return CV_ERR_NOMEM;
    }
    m->count = count;
    for (size_t i = 0; i < count; i++) {
        m->families[i].info = &families[i];
    }
    *out = m;
    return CV_OK;
}

void cv_metrics_free(struct cv_metrics *metrics)
{
    for (size_t i = 0; metrics != NULL && i < metrics->count; i++) {
        for (struct cv_metric_series *s = metrics->families[i].first; s != NULL;) {
            struct cv_metric_series *next = s->next;
            free(s);
            s = next;
        }
    }
    free(metrics);
}

static unsigned label_count(const struct cv_metric_info *info)
{
    unsigned n = 0;
    while (n < CV_METRIC_LABELS_MAX && info->labels[n] != NULL) {
        n++;
    }
    return n;
}

/* Length of VALUE as it is kept: cut, but never inside a UTF-8 character. */
static size_t kept_length(const char *value)
{
    size_t n = strnlen(value, CV_METRIC_LABEL_MAX - 1);
    while (n == CV_METRIC_LABEL_MAX - 1 && n > 0 && ((uint8_t)value[n] & 0xc0) == 0x80) {
        n--;
    }
    return n;
}

/* A label's values as they are looked for. */
struct wanted {
    unsigned count;
    const char *const *values;
    size_t lengths[CV_METRIC_LABELS_MAX];
    uint32_t hash;
};

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

/* Eight bytes at a time: each request looks up some series. Which series share
 * a chain is no secret and cannot be chosen from outside: the count of a
 * family's series is bounded. */
static void want(struct wanted *w, const struct cv_metric_info *info, const char *const *values)
{
    uint64_t h = 0;
    w->count = label_count(info);
    w->values = values;
    for (unsigned i = 0; i < w->count; i++) {
        const char *p = values[i];
        size_t n = w->lengths[i] = kept_length(p);
        uint64_t word = 0;
        h = mix(h, n);
        for (; n >= sizeof word; n -= sizeof word, p += sizeof word) {
            memcpy(&word, p, sizeof word);
            h = mix(h, word);
        }
        word = 0;
        memcpy(&word, p, n);
        h = mix(h, word);
    }
    w->hash = (uint32_t)h;
}

static bool same(const struct cv_metric_series *s, const struct wanted *w)
{
    for (unsigned i = 0; i < w->count; i++) {
        if (s->lengths[i] != w->lengths[i] ||
            memcmp(s->values[i], w->values[i], w->lengths[i]) != 0) {
            return false;
        }
    }
    return true;
}

static struct cv_metric_series *make(struct family *f, const struct wanted *w)
{
    struct cv_metric_series *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->info = f->info;
    s->hash = w->hash;
    for (unsigned i = 0; i < w->count; i++) {
        memcpy(s->values[i], w->values[i], w->lengths[i]);
        s->lengths[i] = w->lengths[i];
    }
    struct cv_metric_series **head = &f->chain[w->hash & (TABLE_SIZE - 1)];
    s->next_in_chain = *head;
    *head = s;
    if (f->last != NULL) {
        f->last->next = s;
    } else {
        f->first = s;
    }
    f->last = s;
    f->count++;
    return s;
}

struct cv_metric_series *cv_metric(struct cv_metrics *metrics, size_t family,
                                   const char *const *values)
{
    static const char *const other[CV_METRIC_LABELS_MAX] = {"other", "other", "other", "other",
                                                            "other"};
    struct family *f = &metrics->families[family];
    struct wanted w;
    for (int turn = 0; turn < 2; turn++) {
        want(&w, f->info, values);
        for (struct cv_metric_series *s = f->chain[w.hash & (TABLE_SIZE - 1)]; s != NULL;
             s = s->next_in_chain) {
            if (s->hash == w.hash && same(s, &w)) {
                return s;
            }
        }
        if (f->count < CV_METRIC_SERIES_MAX || turn == 1) {
            return make(f, &w);
        }
        values = other;
    }
    return NULL;
}

void cv_metric_add(struct cv_metric_series *series, double by)
{
    if (series != NULL) {
        series->value += by;
    }
}

void cv_metric_set(struct cv_metric_series *series, double value)
{
    if (series != NULL) {
        series->value = value;
    }
}

void cv_metric_observe(struct cv_metric_series *series, double value)
{
    if (series == NULL) {
        return;
    }
    unsigned i = 0;
    while (i < series->info->bucket_count && value > series->info->buckets[i]) {
        i++;
    }
    series->counts[i]++;
    series->value += value;
}

/* ---- rendering ---- */

static int append_escaped(struct cv_buf *out, const char *text, bool quotes)
{
    int r = CV_OK;
    for (; r == CV_OK && *text != '\0'; text++) {
        if (*text == '\\') {
            r = cv_buf_append_str(out, "\\\\");
        } else if (*text == '\n') {
            r = cv_buf_append_str(out, "\\n");
        } else if (*text == '"' && quotes) {
            r = cv_buf_append_str(out, "\\\"");
        } else {
            r = cv_buf_append_u8(out, (uint8_t)*text);
        }
    }
    return r;
}

static int append_number(struct cv_buf *out, double v)
{
    if (isinf(v)) {
        return cv_buf_append_str(out, v > 0 ? "+Inf" : "-Inf");
    }
    if (v == floor(v) && fabs(v) < 1e15) {
        return cv_buf_printf(out, "%.0f", v);
    }
    char text[32]; /* the shorter spelling when it says the same number */
    snprintf(text, sizeof text, "%.15g", v);
    return strtod(text, NULL) == v ? cv_buf_append_str(out, text) : cv_buf_printf(out, "%.17g", v);
}

/* NAME SUFFIX {labels, le} VALUE; LE NULL = none. */
static int append_line(struct cv_buf *out, const struct cv_metric_series *s, const char *suffix,
                       const double *le, double value)
{
    unsigned labels = label_count(s->info);
    int r = cv_buf_printf(out, "%s%s", s->info->name, suffix);
    for (unsigned i = 0; r == CV_OK && i < labels; i++) {
        r = cv_buf_printf(out, "%s%s=\"", i == 0 ? "{" : ",", s->info->labels[i]);
        if (r == CV_OK) {
            r = append_escaped(out, s->values[i], true);
        }
        if (r == CV_OK) {
            r = cv_buf_append_u8(out, '"');
        }
    }
    if (r == CV_OK && le != NULL) {
        r = cv_buf_printf(out, "%sle=\"", labels == 0 ? "{" : ",");
        if (r == CV_OK) {
            r = append_number(out, *le);
        }
        if (r == CV_OK) {
            r = cv_buf_append_u8(out, '"');
        }
    }
    if (r == CV_OK && (labels > 0 || le != NULL)) {
        r = cv_buf_append_u8(out, '}');
    }
    if (r == CV_OK) {
        r = cv_buf_append_u8(out, ' ');
    }
    if (r == CV_OK) {
        r = append_number(out, value);
    }
    return r == CV_OK ? cv_buf_append_u8(out, '\n') : r;
}

static int append_histogram(struct cv_buf *out, const struct cv_metric_series *s)
{
    uint64_t below = 0;
    int r = CV_OK;
    for (unsigned i = 0; r == CV_OK && i <= s->info->bucket_count; i++) {
        double le = i < s->info->bucket_count ? s->info->buckets[i] : HUGE_VAL;
        below += s->counts[i];
        r = append_line(out, s, "_bucket", &le, (double)below);
    }
    if (r == CV_OK) {
        r = append_line(out, s, "_sum", NULL, s->value);
    }
    return r == CV_OK ? append_line(out, s, "_count", NULL, (double)below) : r;
}

static int append_family(struct cv_buf *out, const struct family *f)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    if (f->first == NULL) {
        return CV_OK;
    }
    int r = cv_buf_printf(out, "# HELP %s ", f->info->name);
    if (r == CV_OK) {
        r = append_escaped(out, f->info->help, false);
    }
    if (r == CV_OK) {
        r = cv_buf_printf(out, "\n# TYPE %s %s\n", f->info->name, types[f->info->type]);
    }
    for (const struct cv_metric_series *s = f->first; r == CV_OK && s != NULL; s = s->next) {
        r = f->info->type == CV_METRIC_HISTOGRAM ? append_histogram(out, s)
                                                 : append_line(out, s, "", NULL, s->value);
    }
    return r;
}

int cv_metrics_render(const struct cv_metrics *metrics, struct cv_buf *out)
{
    int r = CV_OK;
    for (size_t i = 0; r == CV_OK && i < metrics->count; i++) {
        r = append_family(out, &metrics->families[i]);
    }
    return r;
}
