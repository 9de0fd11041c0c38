/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics in Prometheus' text format (version 0.0.4).
 *
 * Families are declared once; their series come into being with their first
 * use. Cardinality is bounded: past a family's cap, new label values are
 * counted in one series whose labels are all "other". A series may be kept by
 * its user, so that the signing path adds to a number and nothing more.
 *
 * One owner: the loop thread changes and renders.
 */
#ifndef CV_METRICS_METRICS_H
#define CV_METRICS_METRICS_H

#include "common/bytes.h"

#define CV_METRIC_LABELS_MAX 5
#define CV_METRIC_BUCKETS_MAX 16
#define CV_METRIC_SERIES_MAX 1024 /* of one family */
#define CV_METRIC_LABEL_MAX 96    /* bytes of a label's value with its NUL; longer ones are cut */

enum cv_metric_type { CV_METRIC_COUNTER, CV_METRIC_GAUGE, CV_METRIC_HISTOGRAM };

/* What a family is; lives as long as the metrics. */
struct cv_metric_info {
    const char *name;
    const char *help;
    enum cv_metric_type type;
    const char *labels[CV_METRIC_LABELS_MAX]; /* ended by NULL when fewer */
    const double *buckets;                    /* histogram: ascending upper bounds, without +Inf */
    unsigned bucket_count;
};

struct cv_metrics;
struct cv_metric_series;

/* COUNT families, in the order of the output. CV_ERR_NOMEM. */
int cv_metrics_new(struct cv_metrics **out, const struct cv_metric_info *families,
                   size_t count) CV_NODISCARD;
void cv_metrics_free(struct cv_metrics *metrics);

/* The series of FAMILY (its index) with these label values, as many as the
 * family has labels; made when absent. NULL only without memory: the functions
 * below take that and do nothing. Good for the life of the metrics. */
struct cv_metric_series *cv_metric(struct cv_metrics *metrics, size_t family,
                                   const char *const *values);
void cv_metric_add(struct cv_metric_series *series, double by);    /* counter (by >= 0), gauge */
void cv_metric_set(struct cv_metric_series *series, double value); /* gauge */
void cv_metric_observe(struct cv_metric_series *series, double value); /* histogram */

/* cv_metric(m, F, CV_LABELS("a", "b")) */
#define CV_LABELS(...) ((const char *const[]){__VA_ARGS__})

/* Appends the exposition. CV_ERR_LIMIT, CV_ERR_NOMEM. */
int cv_metrics_render(const struct cv_metrics *metrics, struct cv_buf *out) CV_NODISCARD;
/* Appends process_cpu_seconds_total, process_resident_memory_bytes,
 * process_virtual_memory_bytes, process_open_fds, process_max_fds and
 * process_start_time_seconds of this process; what cannot be read is left out. */
int cv_metrics_render_process(struct cv_buf *out) CV_NODISCARD;

#endif
