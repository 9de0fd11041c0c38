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

static uint32_t hash_values(const struct cv_metric_info *info, const char *const *values)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (unsigned i = 0; i < label_count(info); i++) {
        size_t n = kept_length(values[i]);
        for (size_t k = 0; k < n; k++) {
            h = (h ^ (uint8_t)values[i][k]) * 16777619u;
        }
        h = (h ^ 0xffu) * 16777619u;
    }
    return h;
}

static bool same(const struct cv_metric_series *s, const char *const *values)
{
    for (unsigned i = 0; i < label_count(s->info); i++) {
        size_t n = kept_length(values[i]);
        if (strlen(s->values[i]) != n || memcmp(s->values[i], values[i], n) != 0) {
            return false;
        }
    }
    return true;
}

static struct cv_metric_series *make(struct family *f, const char *const *values, uint32_t hash)
{
    struct cv_metric_series *s = calloc(1, sizeof *s);
    if (s == NULL) {
        return NULL;
    }
    s->info = f->info;
    s->hash = hash;
    for (unsigned i = 0; i < label_count(f->info); i++) {
        memcpy(s->values[i], values[i], kept_length(values[i]));
    }
    struct cv_metric_series **head = &f->chain[hash & (TABLE_SIZE - 1)];
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
    for (int turn = 0; turn < 2; turn++) {
        uint32_t hash = hash_values(f->info, values);
        for (struct cv_metric_series *s = f->chain[hash & (TABLE_SIZE - 1)]; s != NULL;
             s = s->next_in_chain) {
            if (s->hash == hash && same(s, values)) {
                return s;
            }
        }
        if (f->count < CV_METRIC_SERIES_MAX || turn == 1) {
            return make(f, values, hash);
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
