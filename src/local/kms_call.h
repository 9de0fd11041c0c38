/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the KMS stand-in share: one call from parse to reply. */
#ifndef CV_LOCAL_KMS_CALL_H
#define CV_LOCAL_KMS_CALL_H

#include <jansson.h>
#include <pthread.h>

#include "common/secret.h"
#include "local/kms.h"
#include "local/kms_blob.h"
#include "local/kms_fault.h"
#include "local/session.h"
#include "policy/context.h"

struct cv_local_kms {
    pthread_mutex_t lock; /* over all below */
    struct cv_local_kms_state state;
    struct cv_local_faults faults;
    struct cv_buf root; /* the attestation root, PEM; empty = none */
    int64_t (*clock)(void *ctx);
    void *clock_ctx;
};

/* The Recipient of a request, verified. */
struct cv_local_recipient {
    bool present;
    struct cv_buf document; /* the SPKI below lies in it */
    struct cv_bytes spki;
    char module_id[128];
    char pcr0[2 * 64 + 1];
    uint64_t age_ms;
};

struct cv_local_kms_call {
    struct cv_local_kms *kms;
    const char *service;                  /* what the signature must be for: "kms" */
    struct cv_local_session session;      /* of a caller with temporary credentials */
    const struct cv_local_principal *who; /* NULL until authenticated */
    const char *action;                   /* "Decrypt", from a table */
    const json_t *in;
    json_t *out;
    struct cv_local_fault fault;
    /* For the log line. */
    const struct cv_local_key *key;
    struct cv_local_recipient recipient;
    struct cv_policy_context context; /* condition keys */
    char decision[1024];
    /* The refusal, when status is not 0. */
    int status;
    const char *code;
    char message[640];
};

/* A call before anything is known of it, and its end. */
void cv_local_call_init(struct cv_local_kms_call *c, struct cv_local_kms *kms, const char *service);
void cv_local_call_free(struct cv_local_kms_call *c);

/* Records an AWS error; is -1, so that "return cv_local_refuse(…)" ends an
 * operation. The message may be "" (as KMS itself sends at times). */
void cv_local_note_refusal(struct cv_local_kms_call *c, int status, const char *code,
                           const char *fmt, ...) CV_PRINTF(4, 5);
#define cv_local_refuse(...) (cv_local_note_refusal(__VA_ARGS__), -1)

/* Members of the request. 0 or -1 with SerializationException recorded. */
int cv_local_in_text(struct cv_local_kms_call *c, const char *name, const char **out);
int cv_local_in_bool(struct cv_local_kms_call *c, const char *name, bool *out);
int cv_local_in_int(struct cv_local_kms_call *c, const char *name, bool *present, int64_t *out);
/* Base64 of 1 to out->limit - 2 bytes; *PRESENT false when absent. OUT is
 * emptied first. */
int cv_local_in_blob(struct cv_local_kms_call *c, const char *name, bool *present,
                     struct cv_buf *out);
/* EncryptionContext: checked and put among the condition keys. */
int cv_local_in_context(struct cv_local_kms_call *c, const json_t **out);
/* Recipient: absent, or verified down to the root, with its registers put
 * among the condition keys. */
int cv_local_in_recipient(struct cv_local_kms_call *c);
/* GrantTokens must be absent or empty: there are no grants here. */
int cv_local_in_no_grants(struct cv_local_kms_call *c);
/* KeyId, which must be there and name a key. */
int cv_local_in_key(struct cv_local_kms_call *c, struct cv_local_key **out);

/* May the caller do this to KEY (NULL: to the account)? Says no with
 * AccessDeniedException, and why in c->decision. With DryRun asked for, "yes"
 * is DryRunOperationException. */
int cv_local_authorize(struct cv_local_kms_call *c, const struct cv_local_key *key);
/* The same for another action than c->action, without DryRun; no refusal is
 * recorded. */
bool cv_local_may(struct cv_local_kms_call *c, const char *action, const struct cv_local_key *key,
                  const struct cv_policy *policy);
/* DisabledException unless it is enabled. */
int cv_local_usable(struct cv_local_kms_call *c, const struct cv_local_key *key);
/* InvalidKeyUsageException unless it encrypts. */
int cv_local_encrypts(struct cv_local_kms_call *c, const struct cv_local_key *key);

/* Members of the reply. 0, or -1 with KMSInternalException recorded. */
int cv_local_out_text(struct cv_local_kms_call *c, const char *name, const char *value);
/* KeyId, or what a fault makes of it. */
int cv_local_out_key_id(struct cv_local_kms_call *c, const struct cv_local_key *key);
int cv_local_out_blob(struct cv_local_kms_call *c, const char *name, struct cv_bytes value);
/* PLAINTEXT, for the recipient when there is one, as "Plaintext" otherwise. */
int cv_local_out_plaintext(struct cv_local_kms_call *c, struct cv_bytes plaintext);
int cv_local_save(struct cv_local_kms_call *c);
int64_t cv_local_now(const struct cv_local_kms *kms);

/* The operations; the lock is held. */
typedef int cv_local_operation(struct cv_local_kms_call *c);
cv_local_operation cv_local_op_create_key, cv_local_op_describe_key, cv_local_op_list_keys,
    cv_local_op_get_key_policy, cv_local_op_put_key_policy, cv_local_op_list_key_policies,
    cv_local_op_create_alias, cv_local_op_delete_alias, cv_local_op_list_aliases,
    cv_local_op_enable_key, cv_local_op_disable_key;
cv_local_operation cv_local_op_encrypt, cv_local_op_decrypt, cv_local_op_generate_data_key,
    cv_local_op_generate_data_key_without_plaintext, cv_local_op_generate_random;
cv_local_operation cv_local_op_sign, cv_local_op_verify, cv_local_op_get_public_key;

/* What a fault makes of a finished reply. */
void cv_local_fault_apply(const struct cv_local_fault *f, struct cv_local_kms_reply *r);

/* Who signed the request: *OUT, or a refusal. */
int cv_local_authenticate(struct cv_local_kms_call *c, const struct cv_http_message *request,
                          const struct cv_local_principal **out);

#endif
