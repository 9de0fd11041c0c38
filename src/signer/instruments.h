/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the daemon counts and times: Signatory's metrics by their names and
 * labels, and ours beside them (docs/operating.md lists all).
 *
 * Every function takes NULL, and does nothing then. Belongs to the loop thread.
 */
#ifndef CV_SIGNER_INSTRUMENTS_H
#define CV_SIGNER_INSTRUMENTS_H

#include "metrics/metrics.h"
#include "signer/gate.h"

struct cv_instruments;

int cv_instruments_new(struct cv_instruments **out, const struct cv_config *config,
                       struct cv_error *err) CV_NODISCARD;
void cv_instruments_free(struct cv_instruments **in);

/* A POST on a key was answered. ADDRESS is "unknown" until the hash was read. */
void cv_instruments_handled(struct cv_instruments *in, const char *address, unsigned status,
                            int64_t us);
/* A signature left. US: since the request was handed to watermark and vault. */
void cv_instruments_signed(struct cv_instruments *in, const char *address,
                           const struct cv_request *request, int64_t us);
/* Watermark or vault said no: STATUS of the answer. REQUEST may be NULL. */
void cv_instruments_vault_error(struct cv_instruments *in, unsigned status,
                                const struct cv_request *request);
void cv_instruments_watermark(struct cv_instruments *in, const char *address,
                              const struct cv_request *request, bool accepted, const char *reason,
                              int64_t us);
/* TYPE: "authentication", "policy_hook", or the refused kind. */
void cv_instruments_policy_violation(struct cv_instruments *in, const char *address,
                                     const char *type);
void cv_instruments_authentication_failure(struct cv_instruments *in, unsigned status,
                                           const char *method, const char *client_ip);
/* ours */
void cv_instruments_round_trip(struct cv_instruments *in, int64_t us);
void cv_instruments_vault(struct cv_instruments *in, const char *vault, bool up, size_t keys,
                          size_t active);
void cv_instruments_reconnect(struct cv_instruments *in, const char *vault);
/* A REQUEST to the enclave for which it may have asked KMS. */
void cv_instruments_kms(struct cv_instruments *in, const char *vault, const char *request,
                        bool good);
void cv_instruments_waiting(struct cv_instruments *in, size_t requests);
void cv_instruments_flushes(struct cv_instruments *in, const struct cv_wm_stats *stats);
/* The store is poisoned: counted once. */
void cv_instruments_flush_failed(struct cv_instruments *in);

int cv_instruments_render(const struct cv_instruments *in, struct cv_buf *out) CV_NODISCARD;

#endif
