/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand-in for AWS KMS that enforces what KMS enforces: signatures of
 * requests, key policies with attestation and encryption context, attestation
 * documents down to a local root. Requests and replies are KMS's JSON protocol
 * (AWS KMS API Reference).
 *
 * The logic is a function from request to reply, over a state that is one
 * file; sockets and TLS stand in kms_server.c alone.
 */
#ifndef CV_LOCAL_KMS_H
#define CV_LOCAL_KMS_H

#include "http/message.h"
#include "local/kms_state.h"
#include "transport/tls.h"

#define CV_LOCAL_KMS_BODY_MAX (1u << 20)      /* bytes of a request or a reply */
#define CV_LOCAL_KMS_FRESH_MS (5 * 60 * 1000) /* age of an attestation document */
#define CV_LOCAL_KMS_SKEW_MS (5 * 60 * 1000)  /* of X-Amz-Date, as AWS has it */

struct cv_local_kms_config {
    const char *state_path;      /* kms.json; made when absent */
    const char *region;          /* of a new state; NULL = "us-west-2" */
    const char *account;         /* of a new state; NULL = "111122223333" */
    const char *root_path;       /* PEM of the attestation root; NULL: every Recipient is refused */
    const char *fault_path;      /* read again for each request; NULL = none */
    int64_t (*clock)(void *ctx); /* Unix ms; NULL = the system's clock */
    void *clock_ctx;
};

struct cv_local_kms;
int cv_local_kms_new(struct cv_local_kms **out, const struct cv_local_kms_config *config,
                     struct cv_error *err) CV_NODISCARD;
void cv_local_kms_free(struct cv_local_kms *kms);
struct cv_local_kms_state *cv_local_kms_state(struct cv_local_kms *kms);

/* What is to be sent, and how badly. */
enum cv_local_kms_sending {
    CV_LOCAL_SEND_WHOLE,
    CV_LOCAL_SEND_HALF,    /* the head, half of the body, then the connection is closed */
    CV_LOCAL_SEND_NOTHING, /* closed without a reply */
    CV_LOCAL_SEND_HANG,    /* no reply, the connection stays open until the peer leaves */
    CV_LOCAL_SEND_SLOWLY,  /* one byte at a time */
};

struct cv_local_kms_reply {
    int status;
    char request_id[37];
    char error[64]; /* AWS's error name; "" when it went well */
    const char *content_type;
    int64_t date_ms;  /* for the Date header: the stand-in's clock */
    int64_t delay_ms; /* wait so long first */
    enum cv_local_kms_sending sending;
    struct cv_buf body;
};
void cv_local_kms_reply_free(struct cv_local_kms_reply *r);

/* Answers one HTTP request, whatever it holds. Usable from several threads.
 * *REPLY is initialised here and freed by the caller. */
void cv_local_kms_handle(struct cv_local_kms *kms, const struct cv_http_message *request,
                         struct cv_local_kms_reply *reply);

/* The same behind authentication: ACTION ("Decrypt") with BODY in the name of
 * PRINCIPAL. For tests and fuzzing. */
void cv_local_kms_dispatch(struct cv_local_kms *kms, const struct cv_local_principal *principal,
                           const char *action, struct cv_bytes body,
                           struct cv_local_kms_reply *reply);

/* The certificate authority and the server's certificate for TLS: CA_PATH is
 * made when absent (its key beside it, as "<ca>.key", mode 0600); the server's
 * certificate is made anew, for localhost, 127.0.0.1, ::1 and HOST. */
int cv_local_tls_credentials(struct cv_buf *chain_pem, struct cv_buf *key_pem, const char *ca_path,
                             const char *host, struct cv_error *err) CV_NODISCARD;

/* Serves KMS over TLS on ADDR until STOP_FD becomes readable; READY is told the
 * address bound (with the port chosen for 0). 0 after a stop. */
int cv_local_kms_serve(struct cv_local_kms *kms, const struct cv_addr *addr, struct cv_tls *tls,
                       int stop_fd, void (*ready)(void *ctx, const struct cv_addr *addr),
                       void *ready_ctx, struct cv_error *err) CV_NODISCARD;

#endif
