/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy hook: a service of the operator's that is asked before each
 * signature. A POST of JSON; with authorized_keys its reply must be signed by
 * one of them, and answer the question's nonce.
 */
#ifndef CV_SIGNER_HOOK_H
#define CV_SIGNER_HOOK_H

#include "signer/config.h"
#include "signer/pool.h"

#define CV_HOOK_REPLY_MAX 65536
#define CV_HOOK_NONCE_LEN 32

/* Embedded by the caller, alive until DONE. */
struct cv_hook_call {
    /* STATUS 0: go on. Else refuse with STATUS and TEXT. */
    void (*done)(struct cv_hook_call *call);
    unsigned status;
    char text[256];
    /* the question; borrowed until DONE */
    struct cv_bytes request;
    const char *source;          /* IP address, "" when unknown */
    const char *client_key_hash; /* NULL */
    const char *public_key_hash;
    /* the hook's */
    struct cv_job job;
    const struct cv_config *config;
    uint8_t nonce[CV_HOOK_NONCE_LEN];
};

struct cv_hook {
    const struct cv_config *config; /* may be replaced; alive as long as calls are */
    struct cv_pool *pool;
};

/* CV_ERR_BUSY when too many calls wait; DONE is not called then. */
int cv_hook_ask(const struct cv_hook *hook, struct cv_hook_call *call) CV_NODISCARD;

/* Judges a reply: sets STATUS and TEXT of CALL. For tests and the fuzzer.
 * REASON is the status line's text ("403 Forbidden" is made of both). */
void cv_hook_judge(struct cv_hook_call *call, const struct cv_config_keys *keys, long status,
                   const char *reason, struct cv_bytes body);

#endif
