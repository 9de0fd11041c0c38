/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/credentials.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

/* Credentials stand in headers and in the credential scope: printable ASCII,
 * no space, and of the key id no slash. */
static bool lawful(struct cv_bytes b, size_t max, bool slash)
{
    if (b.n == 0 || b.n > max)
        return false;
    for (size_t i = 0; i < b.n; i++)
        if (b.p[i] <= 0x20 || b.p[i] >= 0x7f || (b.p[i] == '/' && !slash))
            return false;
    return true;
}

int cv_aws_credentials_set(struct cv_aws_credentials *c, struct cv_bytes id, struct cv_bytes secret,
                           struct cv_bytes token, int64_t expires_ms, const char *source,
                           struct cv_error *err)
{
    cv_aws_credentials_free(c);
    if (!lawful(id, CV_AWS_KEY_ID_MAX, false))
        return cv_error_set(err, CV_ERR_INVALID,
                            "AWS credentials of %s: the access key id is malformed", source);
    if (!lawful(secret, CV_AWS_SECRET_MAX, true))
        return cv_error_set(err, CV_ERR_INVALID,
                            "AWS credentials of %s: the secret access key is malformed", source);
    if (token.n > 0 && !lawful(token, CV_AWS_SESSION_TOKEN_MAX, true))
        return cv_error_set(err, CV_ERR_INVALID,
                            "AWS credentials of %s: the session token is malformed", source);
    if (cv_secret_copy(&c->secret_access_key, secret.p, secret.n) != 0 ||
        (token.n > 0 && cv_secret_copy(&c->session_token, token.p, token.n) != 0)) {
        cv_aws_credentials_free(c);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for AWS credentials");
    }
    memcpy(c->access_key_id, id.p, id.n);
    c->access_key_id[id.n] = '\0';
    c->expires_ms = expires_ms;
    snprintf(c->source, sizeof c->source, "%s", source);
    return 0;
}

int cv_aws_credentials_copy(struct cv_aws_credentials *to, const struct cv_aws_credentials *from)
{
    return cv_aws_credentials_set(
        to, cv_bytes_str(from->access_key_id), cv_secret_view(&from->secret_access_key),
        cv_secret_view(&from->session_token), from->expires_ms, from->source, NULL);
}

void cv_aws_credentials_free(struct cv_aws_credentials *c)
{
    cv_secret_free(&c->secret_access_key);
    cv_secret_free(&c->session_token);
    *c = (struct cv_aws_credentials)CV_AWS_CREDENTIALS_INIT;
}

/* ---- the provider of one set that can be replaced ---- */

struct static_provider {
    struct cv_aws_provider base;
    pthread_mutex_t lock;
    struct cv_aws_credentials c;
};

static int static_get(struct cv_aws_provider *base, struct cv_aws_credentials *out, bool force,
                      int64_t deadline, struct cv_error *err)
{
    struct static_provider *p = (struct static_provider *)base;
    (void)force, (void)deadline;
    pthread_mutex_lock(&p->lock);
    int rc = p->c.access_key_id[0] == '\0' ? CV_ERR_STATE : cv_aws_credentials_copy(out, &p->c);
    pthread_mutex_unlock(&p->lock);
    if (rc == CV_ERR_STATE)
        return cv_error_set(err, rc, "there are no AWS credentials yet");
    return rc == 0 ? 0 : cv_error_set(err, rc, "no memory for AWS credentials");
}

static void static_free(struct cv_aws_provider *base)
{
    struct static_provider *p = (struct static_provider *)base;
    cv_aws_credentials_free(&p->c);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

int cv_aws_provider_replace(struct cv_aws_provider *base, const struct cv_aws_credentials *c,
                            struct cv_error *err)
{
    struct static_provider *p = (struct static_provider *)base;
    if (base->get != static_get)
        return cv_error_set(err, CV_ERR_INTERNAL, "these AWS credentials cannot be replaced");
    pthread_mutex_lock(&p->lock);
    int rc = cv_aws_credentials_copy(&p->c, c);
    pthread_mutex_unlock(&p->lock);
    return rc == 0 ? 0 : cv_error_set(err, rc, "AWS credentials that cannot be used");
}

int cv_aws_provider_static(struct cv_aws_provider **out, const struct cv_aws_credentials *c,
                           struct cv_error *err)
{
    struct static_provider *p = calloc(1, sizeof *p);
    *out = NULL;
    if (p == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for AWS credentials");
    p->base.get = static_get;
    p->base.free = static_free;
    pthread_mutex_init(&p->lock, NULL);
    int rc = c != NULL ? cv_aws_provider_replace(&p->base, c, err) : 0;
    if (rc != 0) {
        static_free(&p->base);
        return rc;
    }
    *out = &p->base;
    return 0;
}

void cv_aws_provider_free(struct cv_aws_provider **p)
{
    if (p == NULL || *p == NULL)
        return;
    (*p)->free(*p);
    *p = NULL;
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && *v != '\0' ? v : NULL;
}

int cv_aws_credentials_from_env(struct cv_aws_credentials *out, struct cv_error *err)
{
    const char *id = env("AWS_ACCESS_KEY_ID"), *secret = env("AWS_SECRET_ACCESS_KEY");
    const char *token = env("AWS_SESSION_TOKEN"), *expires = env("AWS_CREDENTIAL_EXPIRATION");
    int64_t ms = 0;
    if (id == NULL && secret == NULL)
        return cv_error_set(err, CV_ERR_NOT_FOUND, "the environment holds no AWS credentials");
    if (id == NULL || secret == NULL)
        return cv_error_set(err, CV_ERR_CONFIG, "the environment holds %s without %s",
                            id != NULL ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
                            id != NULL ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
    if (token == NULL)
        token = env("AWS_SECURITY_TOKEN");
    if (expires != NULL && cv_rfc3339_parse(&ms, expires) != 0)
        return cv_error_set(err, CV_ERR_CONFIG, "AWS_CREDENTIAL_EXPIRATION is no RFC 3339 time");
    int rc =
        cv_aws_credentials_set(out, cv_bytes_str(id), cv_bytes_str(secret),
                               cv_bytes_str(token != NULL ? token : ""), ms, "environment", err);
    return rc == CV_ERR_INVALID ? CV_ERR_CONFIG : rc;
}
