/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate's audit log. A line is in the file before the answer that it tells
 * of leaves: signatures, which come by the hundreds in one turn of the loop,
 * are written with one write before the server sends (cv_gate_write_audit());
 * what is refused is written at once, since the server may answer it within
 * the call that asked.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"
#include "signer/gate_impl.h"
#include "watermark/signatory.h"

/* A log whose end a power cut damaged is moved aside: the signer must start. */
int cv_gate_open_audit(struct cv_gate *g, struct cv_error *err)
{
    char path[PATH_MAX];
    char aside[PATH_MAX + 64];
    char when[17];
    if (cv_path_join(path, sizeof path, g->o.config->base_dir, CV_GATE_AUDIT_NAME) != CV_OK) {
        return cv_error_set(err, CV_ERR_LIMIT, "base_dir is too long");
    }
    int r = cv_audit_open(&g->audit, path, err);
    if (r != CV_ERR_INVALID) {
        return r;
    }
    cv_log_error(CV_LOG_ERROR, "the audit log is damaged; a new one is begun", err);
    cv_amz_date(when, cv_unix_ms());
    snprintf(aside, sizeof aside, "%s.damaged-%s", path, when);
    if (rename(path, aside) != 0) {
        return r;
    }
    cv_error_clear(err);
    r = cv_audit_open(&g->audit, path, err);
    return r == CV_OK ? cv_audit_add(g->audit, "begin", "after", aside, NULL) : r;
}

void cv_gate_write_audit(struct cv_gate *g)
{
    struct cv_error err;
    cv_error_clear(&err);
    if (g->audit != NULL && cv_audit_flush(g->audit, &err) != CV_OK) {
        cv_log_error(CV_LOG_ERROR, "the audit log cannot be written; going on without it", &err);
        cv_audit_close(g->audit);
        g->audit = NULL;
    }
}

void cv_gate_audit(struct cv_gate *gate, const char *decision, const char *pkh,
                   const struct cv_request *request, const struct cv_verdict *verdict,
                   const uint8_t digest[CV_MARK_HASH_LEN], const char *client)
{
    char chain[CV_CHAIN_TEXT_SIZE];
    char level[16];
    char round[16];
    char hash[2 * CV_MARK_HASH_LEN + 1];
    bool consensus = request != NULL && request->consensus;
    if (gate->audit == NULL) {
        return;
    }
    if (consensus) {
        cv_chain_format(chain, request->chain);
        (void)snprintf(level, sizeof level, "%d", (int)request->level);
        (void)snprintf(round, sizeof round, "%d", (int)request->round);
    }
    if (digest != NULL) {
        cv_hex_encode(hash, digest, CV_MARK_HASH_LEN);
    }
    /* A second time when the buffer is full in the middle of a turn. */
    int r = CV_ERR_LIMIT;
    for (int i = 0; i < 2 && r == CV_ERR_LIMIT && gate->audit != NULL; i++) {
        r = cv_audit_add(gate->audit, decision, "pkh", pkh, "kind", verdict->kind, "chain",
                         consensus ? chain : NULL, "level", consensus ? level : NULL, "round",
                         consensus ? round : NULL, "digest", digest != NULL ? hash : NULL, "client",
                         client, "reason", verdict->status != 0 ? verdict->text : NULL, NULL);
        if (r == CV_ERR_LIMIT || verdict->status != 0) {
            cv_gate_write_audit(gate);
        }
    }
}
