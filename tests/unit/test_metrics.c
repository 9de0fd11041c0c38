/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "metrics/metrics.h"

static const double bounds[] = {0.001, 0.5, 10};
static const struct cv_metric_info families[] = {
    {.name = "signing_ops_total",
     .help = "Signatures.",
     .type = CV_METRIC_COUNTER,
     .labels = {"address", "kind"}},
    {.name = "depth", .help = "Queue\ndepth \\ now.", .type = CV_METRIC_GAUGE},
    {.name = "took_seconds",
     .help = "Time.",
     .type = CV_METRIC_HISTOGRAM,
     .labels = {"backend"},
     .buckets = bounds,
     .bucket_count = 3},
};

static const char *render(struct cv_metrics *m, struct cv_buf *b)
{
    cv_buf_init(b, 1 << 22);
    assert_int_equal(cv_metrics_render(m, b), CV_OK);
    return b->p != NULL ? (const char *)b->p : "";
}

static void test_text(void **state)
{
    (void)state;
    struct cv_metrics *m;
    struct cv_buf b;
    assert_int_equal(cv_metrics_new(&m, families, 3), CV_OK);
    assert_string_equal(render(m, &b), "");
    cv_buf_free(&b);
    cv_metric_add(cv_metric(m, 0, CV_LABELS("tz1a", "block")), 2);
    cv_metric_add(cv_metric(m, 0, CV_LABELS("tz1a", "block")), 1);
    cv_metric_add(cv_metric(m, 0, CV_LABELS("a\"\\\n", "")), 1);
    cv_metric_set(cv_metric(m, 1, NULL), 1.5);
    struct cv_metric_series *h = cv_metric(m, 2, CV_LABELS("file"));
    cv_metric_observe(h, 0.001); /* a bound belongs to its bucket */
    cv_metric_observe(h, 0.25);
    cv_metric_observe(h, 11);
    assert_string_equal(render(m, &b), "# HELP signing_ops_total Signatures.\n"
                                       "# TYPE signing_ops_total counter\n"
                                       "signing_ops_total{address=\"tz1a\",kind=\"block\"} 3\n"
                                       "signing_ops_total{address=\"a\\\"\\\\\\n\",kind=\"\"} 1\n"
                                       "# HELP depth Queue\\ndepth \\\\ now.\n"
                                       "# TYPE depth gauge\n"
                                       "depth 1.5\n"
                                       "# HELP took_seconds Time.\n"
                                       "# TYPE took_seconds histogram\n"
                                       "took_seconds_bucket{backend=\"file\",le=\"0.001\"} 1\n"
                                       "took_seconds_bucket{backend=\"file\",le=\"0.5\"} 2\n"
                                       "took_seconds_bucket{backend=\"file\",le=\"10\"} 2\n"
                                       "took_seconds_bucket{backend=\"file\",le=\"+Inf\"} 3\n"
                                       "took_seconds_sum{backend=\"file\"} 11.251\n"
                                       "took_seconds_count{backend=\"file\"} 3\n");
    cv_buf_free(&b);
    cv_metrics_free(m);
}

static void test_cardinality(void **state)
{
    (void)state;
    struct cv_metrics *m;
    struct cv_buf b;
    char value[32];
    assert_int_equal(cv_metrics_new(&m, families, 3), CV_OK);
    for (int i = 0; i < 3 * CV_METRIC_SERIES_MAX; i++) {
        snprintf(value, sizeof value, "client-%d", i);
        cv_metric_add(cv_metric(m, 0, CV_LABELS(value, "x")), 1);
    }
    const char *text = render(m, &b);
    assert_non_null(strstr(text, "{address=\"other\",kind=\"other\"} 2048\n"));
    size_t lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++) {
        lines++;
    }
    assert_int_equal(lines, 2 + CV_METRIC_SERIES_MAX + 1);
    cv_buf_free(&b);
    cv_metrics_free(m);
}

static void test_long_values_are_cut(void **state)
{
    (void)state;
    struct cv_metrics *m;
    char value[300];
    memset(value, 'a', sizeof value);
    value[sizeof value - 1] = '\0';
    assert_int_equal(cv_metrics_new(&m, families, 3), CV_OK);
    struct cv_metric_series *s = cv_metric(m, 2, CV_LABELS(value));
    value[200] = 'b'; /* behind the cut: the same series */
    assert_ptr_equal(cv_metric(m, 2, CV_LABELS(value)), s);
    cv_metrics_free(m);
}

static void test_process(void **state)
{
    (void)state;
    struct cv_buf b;
    cv_buf_init(&b, 1 << 16);
    assert_int_equal(cv_metrics_render_process(&b), CV_OK);
    const char *rss = strstr((const char *)b.p, "\nprocess_resident_memory_bytes ");
    double value = 0;
    assert_non_null(rss);
    assert_int_equal(sscanf(rss, "\nprocess_resident_memory_bytes %lf", &value), 1);
    assert_true(value > 100000);
    assert_non_null(strstr((const char *)b.p, "\nprocess_start_time_seconds "));
    cv_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_cardinality),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
