/* SPDX-License-Identifier: Apache-2.0 */
/* Which source of credentials wins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/config_private.h"
#include "aws/sts.h"
#include "common/clock.h"
#include "common/file.h"

#define TOKEN_FILE_MAX 32768
#define DEPTH_MAX 8 /* profiles that lead to each other */

/* ---- STS ---- */

int cv_aws_sts_once(struct cv_aws_sts_once *out, struct cv_aws_config *c, const char *region,
                    const struct cv_aws_credentials *creds, struct cv_error *err)
{
    struct cv_aws_endpoint e;
    memset(out, 0, sizeof *out);
    if (region == NULL)
        region = c->region;
    if (region == NULL)
        region = cv_aws_env("AWS_REGION");
    if (region == NULL)
        region = cv_aws_setting(c, "AWS_DEFAULT_REGION", "region");
    if (region == NULL)
        region = "us-east-1"; /* STS answers for every region of the partition */
    int rc = cv_aws_config_endpoint(c, &e, "sts", region, NULL, err);
    if (rc == 0 && creds != NULL)
        rc = cv_aws_provider_static(&out->provider, creds, err);
    struct cv_aws_client_config cc = {
        .service = "sts",
        .region = region,
        .endpoint = &e,
        .transport = c->transport,
        .provider = out->provider,
    };
    if (rc == 0)
        rc = cv_aws_config_retries(c, &cc, err);
    if (rc == 0)
        rc = cv_aws_client_new(&out->client, &cc, err);
    if (rc != 0)
        cv_aws_sts_once_free(out);
    return rc;
}

void cv_aws_sts_once_free(struct cv_aws_sts_once *s)
{
    cv_aws_client_free(&s->client);
    cv_aws_provider_free(&s->provider);
}

static const char *session_name(char *buf, size_t size, const char *given)
{
    if (given != NULL)
        return given;
    snprintf(buf, size, "claviger-%lld", (long long)cv_unix_ms());
    return buf;
}

int cv_aws_source_web_identity(struct cv_aws_config *c, const char *region, const char *token_file,
                               const char *role_arn, const char *session, const char *source,
                               struct cv_aws_credentials *out, int64_t deadline,
                               struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf token;
    struct cv_aws_sts_once sts;
    char name[64];
    struct cv_sts_role role = {.role_arn = role_arn,
                               .session_name = session_name(name, sizeof name, session)};
    cv_buf_init(&token, TOKEN_FILE_MAX);
    /* Read each time: whoever issues tokens replaces the file. */
    if (cv_file_read(&token, token_file, err) != 0) {
        cv_error_wrap(err, "%s: the web identity token file", source);
        return CV_ERR_CONFIG;
    }
    while (token.n > 0 && token.p[token.n - 1] <= ' ')
        token.n--;
    int rc = cv_aws_sts_once(&sts, c, region, NULL, err);
    if (rc == 0)
        rc = cv_sts_assume_role_with_web_identity(sts.client, &role, cv_buf_view(&token), source,
                                                  out, deadline, err);
    cv_aws_sts_once_free(&sts);
    return rc;
}

int cv_aws_source_web_identity_env(struct cv_aws_config *c, struct cv_aws_credentials *out,
                                   int64_t deadline, struct cv_error *err)
{
    const char *file = cv_aws_env("AWS_WEB_IDENTITY_TOKEN_FILE");
    const char *role = cv_aws_env("AWS_ROLE_ARN");
    if (file == NULL)
        return cv_error_set(err, CV_ERR_NOT_FOUND, "no web identity is set");
    if (role == NULL)
        return cv_error_set(err, CV_ERR_CONFIG,
                            "AWS_WEB_IDENTITY_TOKEN_FILE is set without AWS_ROLE_ARN");
    return cv_aws_source_web_identity(c, NULL, file, role, cv_aws_env("AWS_ROLE_SESSION_NAME"),
                                      "web identity of the environment", out, deadline, err);
}

/* ---- profiles ---- */

struct walk {
    struct cv_aws_config *c;
    const struct cv_aws_ini *ini;
    int64_t deadline;
    struct cv_error *err;
    const char *seen[DEPTH_MAX];
    size_t depth;
};

static const char *get(const struct walk *w, const char *profile, const char *key)
{
    return cv_aws_ini_get(w->ini, CV_AWS_INI_PROFILE, profile, key);
}

static int broken(const struct walk *w, const char *profile, const char *what)
{
    char quoted[80];
    return cv_error_set(w->err, CV_ERR_CONFIG, "profile %s: %s",
                        cv_error_quote(quoted, sizeof quoted, profile, strlen(profile)), what);
}

/* Keys in the profile itself. */
static int static_keys(struct walk *w, const char *profile, struct cv_aws_credentials *out)
{
    const char *id = get(w, profile, "aws_access_key_id");
    const char *secret = get(w, profile, "aws_secret_access_key");
    const char *token = get(w, profile, "aws_session_token");
    char source[CV_AWS_SOURCE_MAX];
    if (token == NULL)
        token = get(w, profile, "aws_security_token"); /* its older name */
    if (id == NULL && secret == NULL)
        return CV_ERR_NOT_FOUND;
    if (id == NULL || secret == NULL)
        return broken(w, profile,
                      id != NULL ? "aws_access_key_id without aws_secret_access_key"
                                 : "aws_secret_access_key without aws_access_key_id");
    snprintf(source, sizeof source, "profile %s", profile);
    int rc = cv_aws_credentials_set(out, cv_bytes_str(id), cv_bytes_str(secret),
                                    cv_bytes_str(token != NULL ? token : ""), 0, source, w->err);
    return rc == CV_ERR_INVALID ? CV_ERR_CONFIG : rc;
}

static int from_profile(struct walk *w, const char *profile, struct cv_aws_credentials *out);

/* What a role is assumed with. */
static int role_source(struct walk *w, const char *profile, struct cv_aws_credentials *out)
{
    const char *source = get(w, profile, "source_profile");
    const char *named = get(w, profile, "credential_source");
    int rc;
    if ((source != NULL) == (named != NULL))
        return broken(w, profile, "role_arn needs either source_profile or credential_source");
    if (source != NULL && strcmp(source, profile) == 0)
        rc = static_keys(w, profile, out);
    else if (source != NULL)
        rc = cv_aws_ini_has(w->ini, CV_AWS_INI_PROFILE, source)
                 ? from_profile(w, source, out)
                 : broken(w, profile, "its source_profile does not exist");
    else if (strcmp(named, "Environment") == 0)
        rc = cv_aws_credentials_from_env(out, w->err);
    else if (strcmp(named, "Ec2InstanceMetadata") == 0)
        rc = cv_aws_source_imds(w->c, out, w->deadline, w->err);
    else if (strcmp(named, "EcsContainer") == 0)
        rc = cv_aws_source_container(w->c, out, w->deadline, w->err);
    else
        return broken(w, profile,
                      "credential_source is Environment, Ec2InstanceMetadata or EcsContainer");
    if (rc == CV_ERR_NOT_FOUND)
        return broken(w, profile, "what its role is assumed with has no credentials");
    return rc;
}

static int assume_role(struct walk *w, const char *profile, const char *role_arn,
                       struct cv_aws_credentials *out)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials base = CV_AWS_CREDENTIALS_INIT;
    struct cv_aws_sts_once sts;
    char name[64], source[CV_AWS_SOURCE_MAX];
    const char *duration = get(w, profile, "duration_seconds");
    struct cv_sts_role role = {
        .role_arn = role_arn,
        .session_name = session_name(name, sizeof name, get(w, profile, "role_session_name")),
        .external_id = get(w, profile, "external_id"),
    };
    if (get(w, profile, "mfa_serial") != NULL)
        return broken(w, profile, "roles with MFA are not supported");
    if (duration != NULL) {
        if (!cv_aws_number(&role.duration_seconds, duration, 900, 43200))
            return broken(w, profile, "duration_seconds is a number from 900 to 43200");
    }
    int rc = role_source(w, profile, &base);
    if (rc != 0)
        return rc;
    snprintf(source, sizeof source, "profile %s, role %s", profile, role_arn);
    rc = cv_aws_sts_once(&sts, w->c, get(w, profile, "region"), &base, w->err);
    if (rc == 0)
        rc = cv_sts_assume_role(sts.client, &role, source, out, w->deadline, w->err);
    cv_aws_sts_once_free(&sts);
    if (rc != 0)
        cv_error_wrap(w->err, "profile %s", profile);
    return rc == CV_ERR_NOT_FOUND ? CV_ERR_REMOTE : rc;
}

static int from_profile(struct walk *w, const char *profile, struct cv_aws_credentials *out)
{
    const char *role = get(w, profile, "role_arn"),
               *token = get(w, profile, "web_identity_token_file");
    const char *process = get(w, profile, "credential_process");
    char source[CV_AWS_SOURCE_MAX];
    for (size_t i = 0; i < w->depth; i++)
        if (strcmp(w->seen[i], profile) == 0)
            return broken(w, profile, "source_profile leads round in a circle");
    if (w->depth == DEPTH_MAX)
        return broken(w, profile, "too many profiles lead to each other");
    w->seen[w->depth++] = profile;
    snprintf(source, sizeof source, "profile %s", profile);
    if (role != NULL && token != NULL)
        return cv_aws_source_web_identity(w->c, get(w, profile, "region"), token, role,
                                          get(w, profile, "role_session_name"), source, out,
                                          w->deadline, w->err);
    if (role != NULL)
        return assume_role(w, profile, role, out);
    int rc = static_keys(w, profile, out);
    if (rc != CV_ERR_NOT_FOUND)
        return rc;
    if (process != NULL) {
        rc = cv_aws_source_process(process, source, out, w->deadline, w->err);
        if (rc != 0)
            cv_error_wrap(w->err, "profile %s", profile);
        return rc;
    }
    if (get(w, profile, "sso_session") != NULL || get(w, profile, "sso_start_url") != NULL)
        return broken(w, profile,
                      "SSO is not supported: use credential_process with "
                      "\"aws configure export-credentials\"");
    return cv_error_set(w->err, CV_ERR_NOT_FOUND, "profile %s holds no credentials", profile);
}

int cv_aws_source_profile(struct cv_aws_config *c, const struct cv_aws_ini *ini, const char *name,
                          struct cv_aws_credentials *out, int64_t deadline, struct cv_error *err)
{
    struct walk w = {.c = c, .ini = ini, .deadline = deadline, .err = err};
    if (!cv_aws_ini_has(ini, CV_AWS_INI_PROFILE, name)) {
        char quoted[80];
        cv_error_quote(quoted, sizeof quoted, name, strlen(name));
        if (c->profile_named)
            return cv_error_set(err, CV_ERR_CONFIG, "profile %s is neither in %s nor in %s", quoted,
                                c->config_file, c->credentials_file);
        return cv_error_set(err, CV_ERR_NOT_FOUND, "there is no profile %s", quoted);
    }
    int rc = from_profile(&w, name, out);
    if (rc == CV_ERR_NOT_FOUND && c->profile_explicit)
        return CV_ERR_CONFIG;
    return rc;
}

/* ---- the chain ---- */

int cv_aws_chain(struct cv_aws_config *c, struct cv_aws_credentials *out, int64_t deadline,
                 struct cv_error *err)
{
    struct cv_aws_ini *ini = NULL;
    struct cv_error last;
    cv_error_clear(&last);
    if (c->explicit.access_key_id[0] != '\0')
        return cv_aws_credentials_copy(out, &c->explicit);
    int rc = c->profile_explicit ? CV_ERR_NOT_FOUND : cv_aws_credentials_from_env(out, &last);
    if (rc == CV_ERR_NOT_FOUND && !c->profile_explicit)
        rc = cv_aws_source_web_identity_env(c, out, deadline, &last);
    if (rc == CV_ERR_NOT_FOUND) {
        rc = cv_aws_files_read(&ini, c, &last);
        if (rc == 0)
            rc = cv_aws_source_profile(c, ini, c->profile, out, deadline, &last);
    }
    if (rc == CV_ERR_NOT_FOUND)
        rc = cv_aws_source_container(c, out, deadline, &last);
    if (rc == CV_ERR_NOT_FOUND)
        rc = cv_aws_source_imds(c, out, deadline, &last);
    cv_aws_ini_free(&ini);
    if (rc == 0)
        return 0;
    if (err != NULL)
        *err = last;
    if (rc == CV_ERR_NOT_FOUND) {
        cv_error_wrap(err,
                      "no AWS credentials: neither environment, nor profile %s, nor container "
                      "endpoint, nor instance role has any",
                      c->profile);
        return CV_ERR_CONFIG;
    }
    cv_error_wrap(err, "AWS credentials");
    return rc;
}
