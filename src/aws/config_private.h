/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of cv_aws_credentials; not for other modules. */
#ifndef CV_AWS_CONFIG_PRIVATE_H
#define CV_AWS_CONFIG_PRIVATE_H

#include <pthread.h>
#include <sys/stat.h>

#include "aws/config.h"
#include "aws/ini.h"

#define CV_AWS_TOKEN_MAX 256 /* of IMDS */

/* A file as it was when it was read, to notice a change. */
struct cv_aws_stamp {
    bool present;
    struct timespec mtime;
    off_t size;
    ino_t ino;
};

struct cv_aws_config {
    struct cv_aws_ini *ini; /* as of the start: region, endpoints and the like */
    char *config_file, *credentials_file;
    char *profile;
    bool profile_named;    /* it must exist */
    bool profile_explicit; /* by the caller: beats the environment's keys */
    char *region;          /* explicit, or NULL */
    struct cv_aws_credentials explicit;
    struct cv_aws_transport *transport;
    struct cv_aws_transport *direct; /* for metadata: past every proxy */
    struct cv_aws_provider *provider;
    pthread_mutex_t imds_lock;
    char imds_token[CV_AWS_TOKEN_MAX + 1];
};

/* An environment variable; NULL when unset or empty. */
const char *cv_aws_env(const char *name);
/* The environment's ENV (may be NULL), else KEY of the profile; NULL. */
const char *cv_aws_setting(const struct cv_aws_config *c, const char *env, const char *key);
bool cv_aws_setting_true(const struct cv_aws_config *c, const char *env, const char *key);

/* Retry mode and number of attempts, checked when the configuration was read. */
int cv_aws_config_check_retries(const struct cv_aws_config *c, struct cv_error *err) CV_NODISCARD;

/* A decimal number from MIN to MAX, nothing else; *OUT only then. */
bool cv_aws_number(unsigned *out, const char *text, unsigned min, unsigned max);

/* Both files as they are now. */
int cv_aws_files_read(struct cv_aws_ini **out, const struct cv_aws_config *c,
                      struct cv_error *err) CV_NODISCARD;
void cv_aws_files_stamp(struct cv_aws_stamp out[2], const struct cv_aws_config *c);
bool cv_aws_stamp_equal(const struct cv_aws_stamp a[2], const struct cv_aws_stamp b[2]);

/*
 * Sources. 0; CV_ERR_NOT_FOUND: there is no such source here (the sentence
 * says why); every other code: it is there and broken.
 */
typedef int cv_aws_source(struct cv_aws_config *c, struct cv_aws_credentials *out, int64_t deadline,
                          struct cv_error *err);
cv_aws_source cv_aws_source_imds;
cv_aws_source cv_aws_source_container;
cv_aws_source cv_aws_source_web_identity_env;
/* The profile NAME of INI. */
int cv_aws_source_profile(struct cv_aws_config *c, const struct cv_aws_ini *ini, const char *name,
                          struct cv_aws_credentials *out, int64_t deadline,
                          struct cv_error *err) CV_NODISCARD;
int cv_aws_source_process(const char *command, const char *source, struct cv_aws_credentials *out,
                          int64_t deadline, struct cv_error *err) CV_NODISCARD;
/* A token file and a role, from the environment or a profile. */
int cv_aws_source_web_identity(struct cv_aws_config *c, const char *region, const char *token_file,
                               const char *role_arn, const char *session, const char *source,
                               struct cv_aws_credentials *out, int64_t deadline,
                               struct cv_error *err) CV_NODISCARD;
/* All of them in their order. */
int cv_aws_chain(struct cv_aws_config *c, struct cv_aws_credentials *out, int64_t deadline,
                 struct cv_error *err) CV_NODISCARD;

/* A client of STS that signs with CREDS (NULL: not at all), with what it
 * borrows, for one call. */
struct cv_aws_sts_once {
    struct cv_aws_client *client;
    struct cv_aws_provider *provider;
};
int cv_aws_sts_once(struct cv_aws_sts_once *out, struct cv_aws_config *c, const char *region,
                    const struct cv_aws_credentials *creds, struct cv_error *err) CV_NODISCARD;
void cv_aws_sts_once_free(struct cv_aws_sts_once *s);

/* One request to a metadata endpoint, tried ATTEMPTS times for TIMEOUT_MS each. */
struct cv_aws_metadata {
    const struct cv_aws_endpoint *endpoint;
    const char *method;
    const char *target;
    struct cv_http_header header; /* one more, or {NULL, NULL} */
    int64_t timeout_ms;
    unsigned attempts;
    int64_t sleep_ms; /* between them */
};
int cv_aws_metadata_call(struct cv_aws_config *c, const struct cv_aws_metadata *r,
                         struct cv_http_message *m, int64_t deadline,
                         struct cv_error *err) CV_NODISCARD;
/* GET of PATH at IMDS with a session token. The codes of a source; a status
 * other than 200 is left in m->status with code 0. */
int cv_aws_imds_get(struct cv_aws_config *c, const char *path, struct cv_http_message *m,
                    int64_t deadline, struct cv_error *err) CV_NODISCARD;

/* The cache over cv_aws_chain(). C outlives it. */
int cv_aws_cache_new(struct cv_aws_provider **out, struct cv_aws_config *c,
                     struct cv_error *err) CV_NODISCARD;

#endif
