/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the KMS stand-in knows: principals, keys, aliases. One file (kms.json,
 * mode 0600), replaced durably after each change. Its key material protects
 * nothing: the file says so.
 */
#ifndef CV_LOCAL_KMS_STATE_H
#define CV_LOCAL_KMS_STATE_H

#include "common/bytes.h"
#include "local/kms_pair.h"
#include "policy/policy.h"

#define CV_LOCAL_KMS_ID 37 /* a key's id (UUID) with its NUL */
#define CV_LOCAL_KMS_ARN 160
#define CV_LOCAL_KMS_ALIAS 257   /* "alias/…" with its NUL */
#define CV_LOCAL_KMS_MATERIAL 32 /* AES-256 */
#define CV_LOCAL_KMS_STATE_MAX (16u << 20)

/* Who may sign requests. */
struct cv_local_principal {
    char *access_key_id;
    char *secret_access_key;
    char *session_token; /* NULL for long-term credentials */
    char *arn;           /* user, assumed-role session, or account root */
    char *role_arn;      /* of a session; NULL otherwise */
    int64_t expires_ms;  /* 0 = never */
    char *policy_text;   /* identity policy, NULL = none */
    struct cv_policy *policy;
};

struct cv_local_key {
    char id[CV_LOCAL_KMS_ID];
    char arn[CV_LOCAL_KMS_ARN];
    char *description;
    int64_t created_ms;
    bool enabled;
    uint8_t material[CV_LOCAL_KMS_MATERIAL]; /* of a symmetric key */
    const struct cv_local_key_spec *spec;    /* NULL: SYMMETRIC_DEFAULT */
    EVP_PKEY *pair;                          /* with SPEC */
    char *policy_text;
    struct cv_policy *policy;
};

struct cv_local_alias {
    char name[CV_LOCAL_KMS_ALIAS];
    char key_id[CV_LOCAL_KMS_ID];
    int64_t created_ms;
};

struct cv_local_kms_state {
    char *path; /* NULL: kept in memory only (tests) */
    char region[64];
    char account[13];
    struct cv_local_principal *principals;
    size_t n_principals;
    struct cv_local_key **keys; /* a key keeps its address */
    size_t n_keys;
    struct cv_local_alias *aliases;
    size_t n_aliases;
};

void cv_local_kms_state_init(struct cv_local_kms_state *s);
void cv_local_kms_state_free(struct cv_local_kms_state *s);
/* An absent file gives an empty state of REGION and ACCOUNT (CV_ERR_NOT_FOUND
 * is not an error here). A file that cannot be read as one is CV_ERR_CONFIG. */
int cv_local_kms_state_load(struct cv_local_kms_state *s, const char *path, const char *region,
                            const char *account, struct cv_error *err) CV_NODISCARD;
int cv_local_kms_state_save(const struct cv_local_kms_state *s, struct cv_error *err) CV_NODISCARD;

/* Copies the texts; EXPIRES_MS 0 = never. CV_ERR_EXISTS for a known access key. */
int cv_local_kms_principal_add(struct cv_local_kms_state *s, const char *access_key_id,
                               const char *secret, const char *session_token, const char *arn,
                               const char *role_arn, int64_t expires_ms, const char *policy,
                               struct cv_error *err) CV_NODISCARD;
/* The account root, with random credentials. */
int cv_local_kms_admin_add(struct cv_local_kms_state *s, struct cv_error *err) CV_NODISCARD;
/* A session of ROLE (a name), with random temporary credentials. POLICY as above. */
int cv_local_kms_role_add(struct cv_local_kms_state *s, const char *role, const char *session,
                          const char *policy, struct cv_error *err) CV_NODISCARD;
const struct cv_local_principal *cv_local_kms_principal(const struct cv_local_kms_state *s,
                                                        const char *access_key_id);

/* A new enabled key with random id and material. POLICY must parse. */
int cv_local_kms_key_add(struct cv_local_key **out, struct cv_local_kms_state *s,
                         const char *description, const char *policy, int64_t now_ms,
                         struct cv_error *err) CV_NODISCARD;
/* Takes out and frees the key that was added last. */
void cv_local_kms_key_undo(struct cv_local_kms_state *s);
/* Replaces the policy; the old one stays when the new does not parse. */
int cv_local_kms_key_set_policy(struct cv_local_key *key, const char *policy,
                                struct cv_error *err) CV_NODISCARD;
struct cv_local_key *cv_local_kms_key_by_id(const struct cv_local_kms_state *s, const char *id);
/* By id, key ARN, alias name or alias ARN; NULL when there is none. */
struct cv_local_key *cv_local_kms_key_find(const struct cv_local_kms_state *s, const char *any);
int cv_local_kms_alias_add(struct cv_local_kms_state *s, const char *name, const char *key_id,
                           int64_t now_ms) CV_NODISCARD;

/* A random UUID (RFC 9562, version 4) as text. */
void cv_local_uuid(char out[CV_LOCAL_KMS_ID]);

#endif
