/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/instruments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "watermark/signatory.h"

#ifndef CV_VERSION
#define CV_VERSION "unknown"
#endif

enum family {
    SIGNING_OPS,
    VAULT_DURATION,
    VAULT_ERRORS,
    HANDLER_DURATION,
    HANDLER_REQUESTS,
    CONSENSUS_ROUND,
    POLICY_VIOLATION,
    WATERMARK_REJECTION,
    AUTHENTICATION_FAILURE,
    WATERMARK_OPERATIONS,
    WATERMARK_DURATION,
    WATERMARK_IO_OPERATIONS,
    WATERMARK_IO_LATENCY,
    WATERMARK_IO_ERRORS,
    BUILD_INFO,
    ROUND_TRIP,
    VAULT_UP,
    VAULT_KEYS,
    RECONNECTS,
    KMS_REQUESTS,
    WAITING,
    FLUSHES,
    FLUSHED_RECORDS,
    FAMILIES
};

static const double milliseconds[] = {10, 100, 1e3, 1e4, 1e5};
static const double wm_seconds[] = {0.001, 0.002, 0.004, 0.008, 0.016,
                                    0.032, 0.064, 0.128, 0.256, 0.512};
static const double io_seconds[] = {0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064,
                                    0.0128, 0.0256, 0.0512, 0.1024, 0.2048, 0.4096, 0.8192};
static const double trip_seconds[] = {0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002,
                                      0.005,   0.01,   0.05,   0.1,    1,     10};
#define BUCKETS(array) array, (unsigned)(sizeof(array) / sizeof(array[0]))

static const struct cv_metric_info families[FAMILIES] = {
    [SIGNING_OPS] = {"signing_ops_total",
                     "Signatures by key, kind of request and operation.",
                     CV_METRIC_COUNTER,
                     {"address", "vault", "op", "kind", "chain_id"},
                     NULL,
                     0},
    [VAULT_DURATION] = {"vault_sign_request_duration_milliseconds",
                        "Time in watermark and vault of signed requests.",
                        CV_METRIC_HISTOGRAM,
                        {"vault", "address", "op", "chain_id"},
                        BUCKETS(milliseconds)},
    [VAULT_ERRORS] = {"vault_sign_request_error_total",
                      "Requests that watermark or vault refused.",
                      CV_METRIC_COUNTER,
                      {"vault", "code", "chain_id"},
                      NULL,
                      0},
    [HANDLER_DURATION] = {"sign_handler_request_duration_milliseconds",
                          "Time of signing requests.",
                          CV_METRIC_HISTOGRAM,
                          {"address", "status"},
                          BUCKETS(milliseconds)},
    [HANDLER_REQUESTS] = {"sign_handler_requests_total",
                          "Signing requests by status.",
                          CV_METRIC_COUNTER,
                          {"address", "status"},
                          NULL,
                          0},
    [CONSENSUS_ROUND] = {"consensus_round_total",
                         "Signed consensus requests by round.",
                         CV_METRIC_COUNTER,
                         {"address", "operation_type", "chain_id", "round"},
                         NULL,
                         0},
    [POLICY_VIOLATION] = {"policy_violation_total",
                          "Requests that the policy refused.",
                          CV_METRIC_COUNTER,
                          {"violation_type", "address", "operation_type"},
                          NULL,
                          0},
    [WATERMARK_REJECTION] = {"watermark_rejection_total",
                             "Requests that the watermark refused.",
                             CV_METRIC_COUNTER,
                             {"address", "operation_type", "chain_id", "reason"},
                             NULL,
                             0},
    [AUTHENTICATION_FAILURE] = {"authentication_failure_total",
                                "Clients that were not let in.",
                                CV_METRIC_COUNTER,
                                {"status", "auth_method", "client_ip"},
                                NULL,
                                0},
    [WATERMARK_OPERATIONS] = {"watermark_operations_total",
                              "Watermark checks by result.",
                              CV_METRIC_COUNTER,
                              {"result", "backend", "request_type"},
                              NULL,
                              0},
    [WATERMARK_DURATION] = {"watermark_operation_duration_seconds",
                            "Time of a watermark check with its flush.",
                            CV_METRIC_HISTOGRAM,
                            {"backend"},
                            BUCKETS(wm_seconds)},
    [WATERMARK_IO_OPERATIONS] = {"watermark_io_operations_total",
                                 "Input and output of the watermark store.",
                                 CV_METRIC_COUNTER,
                                 {"backend", "operation", "table_name", "result"},
                                 NULL,
                                 0},
    [WATERMARK_IO_LATENCY] = {"watermark_io_latency_seconds",
                              "Time of input and output of the watermark store.",
                              CV_METRIC_HISTOGRAM,
                              {"backend", "operation", "table_name"},
                              BUCKETS(io_seconds)},
    [WATERMARK_IO_ERRORS] = {"watermark_io_errors_total",
                             "Failed input and output of the watermark store.",
                             CV_METRIC_COUNTER,
                             {"backend", "error_type", "table_name", "operation"},
                             NULL,
                             0},
    [BUILD_INFO] = {"signatory_build_info",
                    "Always 1; the labels tell what runs.",
                    CV_METRIC_GAUGE,
                    {"path", "version", "checksum", "revision", "branch"},
                    NULL,
                    0},
    [ROUND_TRIP] = {"claviger_enclave_round_trip_seconds",
                    "From a request to the enclave to its reply.",
                    CV_METRIC_HISTOGRAM,
                    {NULL},
                    BUCKETS(trip_seconds)},
    [VAULT_UP] = {"claviger_vault_up",
                  "1 when the vault's enclave is connected and its keys were tried.",
                  CV_METRIC_GAUGE,
                  {"vault"},
                  NULL,
                  0},
    [VAULT_KEYS] = {"claviger_vault_keys",
                    "Keys of the vault, stored and usable.",
                    CV_METRIC_GAUGE,
                    {"vault", "state"},
                    NULL,
                    0},
    [RECONNECTS] = {"claviger_vault_connections_lost_total",
                    "Connections to the enclave that were lost or failed.",
                    CV_METRIC_COUNTER,
                    {"vault"},
                    NULL,
                    0},
    [KMS_REQUESTS] = {"claviger_enclave_kms_requests_total",
                      "Requests to the enclave for which it may ask KMS.",
                      CV_METRIC_COUNTER,
                      {"vault", "request", "result"},
                      NULL,
                      0},
    [WAITING] = {"claviger_requests_waiting",
                 "Requests that wait for the enclave or the disk.",
                 CV_METRIC_GAUGE,
                 {NULL},
                 NULL,
                 0},
    [FLUSHES] = {"claviger_watermark_flushes_total",
                 "Flushes of the watermark log.",
                 CV_METRIC_COUNTER,
                 {NULL},
                 NULL,
                 0},
    [FLUSHED_RECORDS] = {"claviger_watermark_records_total",
                         "Records written to the watermark log.",
                         CV_METRIC_COUNTER,
                         {NULL},
                         NULL,
                         0},
};

struct cv_instruments {
    struct cv_metrics *metrics;
    const char *backend;
    struct cv_metric_series *round_trip, *waiting, *flushes, *records;
    struct cv_wm_stats last;
    bool failed;
};

int cv_instruments_new(struct cv_instruments **out, const struct cv_config *config,
                       struct cv_error *err)
{
    static const char *const backends[] = {[CV_CONFIG_WATERMARK_FILE] = "file",
                                           [CV_CONFIG_WATERMARK_MEM] = "mem",
                                           [CV_CONFIG_WATERMARK_AWS] = "aws"};
    *out = NULL;
    struct cv_instruments *in = calloc(1, sizeof(*in));
    if (in == NULL || cv_metrics_new(&in->metrics, families, FAMILIES) != 0) {
        free(in);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the metrics");
    }
    in->backend = backends[config->watermark];
    in->round_trip = cv_metric(in->metrics, ROUND_TRIP, NULL);
    in->waiting = cv_metric(in->metrics, WAITING, NULL);
    in->flushes = cv_metric(in->metrics, FLUSHES, NULL);
    in->records = cv_metric(in->metrics, FLUSHED_RECORDS, NULL);
    /* From 0 on: Prometheus sees no increase of what appears as 1. */
    cv_metric_add(cv_metric(in->metrics, WATERMARK_IO_OPERATIONS,
                            CV_LABELS(in->backend, "write", "", "error")),
                  0);
    cv_metric_add(
        cv_metric(in->metrics, WATERMARK_IO_ERRORS, CV_LABELS(in->backend, "io", "", "write")), 0);
    cv_metric_set(cv_metric(in->metrics, BUILD_INFO, CV_LABELS("claviger", CV_VERSION, "", "", "")),
                  1);
    *out = in;
    return 0;
}

void cv_instruments_free(struct cv_instruments **in)
{
    if (*in != NULL) {
        cv_metrics_free((*in)->metrics);
        free(*in);
        *in = NULL;
    }
}

static const char *kind_of(const struct cv_request *r)
{
    return r != NULL ? cv_request_names[r->kind] : "";
}

static const char *chain_of(const struct cv_request *r, char text[CV_CHAIN_TEXT_SIZE])
{
    text[0] = 0;
    if (r != NULL && r->consensus) {
        cv_chain_format(text, r->chain);
    }
    return text;
}

void cv_instruments_handled(struct cv_instruments *in, const char *address, unsigned status,
                            int64_t us)
{
    char code[] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                   (char)('0' + status % 10), 0}; /* an HTTP status */
    if (in == NULL) {
        return;
    }
    cv_metric_add(cv_metric(in->metrics, HANDLER_REQUESTS, CV_LABELS(address, code)), 1);
    cv_metric_observe(cv_metric(in->metrics, HANDLER_DURATION, CV_LABELS(address, code)),
                      (double)us / 1e3);
}

void cv_instruments_signed(struct cv_instruments *in, const char *address,
                           const struct cv_request *request, int64_t us)
{
    char chain[CV_CHAIN_TEXT_SIZE];
    char round[16];
    if (in == NULL) {
        return;
    }
    const char *kind = kind_of(request);
    (void)chain_of(request, chain);
    if (request->kind == CV_REQUEST_GENERIC) {
        struct cv_operations it;
        struct cv_operation op;
        cv_operations_start(&it, request);
        while (cv_operations_next(&it, &op)) {
            cv_metric_add(cv_metric(in->metrics, SIGNING_OPS,
                                    CV_LABELS(address, "NitroEnclave", kind,
                                              cv_operation_names[op.kind], "")),
                          1);
        }
    } else {
        cv_metric_add(cv_metric(in->metrics, SIGNING_OPS,
                                CV_LABELS(address, "NitroEnclave", kind, "", chain)),
                      1);
    }
    cv_metric_observe(
        cv_metric(in->metrics, VAULT_DURATION, CV_LABELS("NitroEnclave", address, kind, chain)),
        (double)us / 1e3);
    if (request->consensus) {
        (void)snprintf(round, sizeof(round), "%d", (int)request->round);
        cv_metric_add(
            cv_metric(in->metrics, CONSENSUS_ROUND, CV_LABELS(address, kind, chain, round)), 1);
    }
}

void cv_instruments_vault_error(struct cv_instruments *in, unsigned status,
                                const struct cv_request *request)
{
    char chain[CV_CHAIN_TEXT_SIZE];
    char code[12];
    if (in != NULL) {
        (void)snprintf(code, sizeof(code), "%u", status);
        cv_metric_add(cv_metric(in->metrics, VAULT_ERRORS,
                                CV_LABELS("NitroEnclave", code, chain_of(request, chain))),
                      1);
    }
}

void cv_instruments_watermark(struct cv_instruments *in, const char *address,
                              const struct cv_request *request, bool accepted, const char *reason,
                              int64_t us)
{
    char chain[CV_CHAIN_TEXT_SIZE];
    if (in == NULL) {
        return;
    }
    cv_metric_add(
        cv_metric(in->metrics, WATERMARK_OPERATIONS,
                  CV_LABELS(accepted ? "success" : "rejected", in->backend, kind_of(request))),
        1);
    cv_metric_observe(cv_metric(in->metrics, WATERMARK_DURATION, CV_LABELS(in->backend)),
                      (double)us / 1e6);
    if (!accepted) {
        cv_metric_add(
            cv_metric(in->metrics, WATERMARK_REJECTION,
                      CV_LABELS(address, kind_of(request), chain_of(request, chain), reason)),
            1);
    }
}

void cv_instruments_policy_violation(struct cv_instruments *in, const char *address,
                                     const char *type)
{
    if (in != NULL) {
        cv_metric_add(cv_metric(in->metrics, POLICY_VIOLATION, CV_LABELS(type, address, "request")),
                      1);
    }
}

void cv_instruments_authentication_failure(struct cv_instruments *in, unsigned status,
                                           const char *method, const char *client_ip)
{
    char code[12];
    if (in != NULL) {
        (void)snprintf(code, sizeof(code), "%u", status);
        cv_metric_add(
            cv_metric(in->metrics, AUTHENTICATION_FAILURE, CV_LABELS(code, method, client_ip)), 1);
    }
}

void cv_instruments_round_trip(struct cv_instruments *in, int64_t us)
{
    if (in != NULL) {
        cv_metric_observe(in->round_trip, (double)us / 1e6);
    }
}

void cv_instruments_vault(struct cv_instruments *in, const char *vault, bool up, size_t keys,
                          size_t active)
{
    if (in != NULL) {
        cv_metric_set(cv_metric(in->metrics, VAULT_UP, CV_LABELS(vault)), up ? 1 : 0);
        cv_metric_set(cv_metric(in->metrics, VAULT_KEYS, CV_LABELS(vault, "stored")), (double)keys);
        cv_metric_set(cv_metric(in->metrics, VAULT_KEYS, CV_LABELS(vault, "usable")),
                      (double)active);
    }
}

void cv_instruments_reconnect(struct cv_instruments *in, const char *vault)
{
    if (in != NULL) {
        cv_metric_add(cv_metric(in->metrics, RECONNECTS, CV_LABELS(vault)), 1);
    }
}

void cv_instruments_kms(struct cv_instruments *in, const char *vault, const char *request,
                        bool good)
{
    if (in != NULL) {
        cv_metric_add(cv_metric(in->metrics, KMS_REQUESTS,
                                CV_LABELS(vault, request, good ? "success" : "error")),
                      1);
    }
}

void cv_instruments_waiting(struct cv_instruments *in, size_t requests)
{
    if (in != NULL) {
        cv_metric_set(in->waiting, (double)requests);
    }
}

void cv_instruments_flushes(struct cv_instruments *in, const struct cv_wm_stats *stats)
{
    if (in == NULL || stats->flushes == in->last.flushes) {
        return;
    }
    uint64_t flushes = stats->flushes - in->last.flushes;
    cv_metric_add(in->flushes, (double)flushes);
    cv_metric_add(in->records, (double)(stats->records - in->last.records));
    cv_metric_add(cv_metric(in->metrics, WATERMARK_IO_OPERATIONS,
                            CV_LABELS(in->backend, "write", "", "success")),
                  (double)flushes);
    cv_metric_observe(
        cv_metric(in->metrics, WATERMARK_IO_LATENCY, CV_LABELS(in->backend, "write", "")),
        (double)stats->flush_us_last / 1e6);
    in->last = *stats;
}

void cv_instruments_flush_failed(struct cv_instruments *in)
{
    if (in != NULL && !in->failed) {
        in->failed = true;
        cv_metric_add(cv_metric(in->metrics, WATERMARK_IO_OPERATIONS,
                                CV_LABELS(in->backend, "write", "", "error")),
                      1);
        cv_metric_add(
            cv_metric(in->metrics, WATERMARK_IO_ERRORS, CV_LABELS(in->backend, "io", "", "write")),
            1);
    }
}

int cv_instruments_render(const struct cv_instruments *in, struct cv_buf *out)
{
    int rc = cv_metrics_render(in->metrics, out);
    return rc != 0 ? rc : cv_metrics_render_process(out);
}
