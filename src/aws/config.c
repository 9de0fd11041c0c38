/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/config.h"

#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aws/config_private.h"
#include "common/file.h"
#include "json/json.h"

const char *cv_aws_env(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && *v != '\0' ? v : NULL;
}

const char *cv_aws_setting(const struct cv_aws_config *c, const char *env, const char *key)
{
    const char *v = env != NULL ? cv_aws_env(env) : NULL;
    return v != NULL ? v : cv_aws_ini_get(c->ini, CV_AWS_INI_PROFILE, c->profile, key);
}

bool cv_aws_setting_true(const struct cv_aws_config *c, const char *env, const char *key)
{
    const char *v = cv_aws_setting(c, env, key);
    return v != NULL && strcasecmp(v, "true") == 0;
}

bool cv_aws_number(unsigned *out, const char *text, unsigned min, unsigned max)
{
    size_t n = strlen(text);
    if (n == 0 || n > 9 || strspn(text, "0123456789") != n)
        return false;
    unsigned long v = strtoul(text, NULL, 10);
    if (v < min || v > max)
        return false;
    *out = (unsigned)v;
    return true;
}

/* ---- the files ---- */

static char *home_path(const char *rest)
{
    char *out = NULL, buf[4096];
    struct passwd pw, *found = NULL;
    const char *home = cv_aws_env("HOME");
    if (home == NULL && getpwuid_r(getuid(), &pw, buf, sizeof buf, &found) == 0 && found != NULL)
        home = pw.pw_dir;
    return home != NULL && asprintf(&out, "%s%s", home, rest) >= 0 ? out : strdup("");
}

static char *file_path(const char *env, const char *rest)
{
    const char *v = cv_aws_env(env);
    if (v == NULL)
        return home_path(rest);
    return strncmp(v, "~/", 2) == 0 ? home_path(v + 1) : strdup(v);
}

static int read_file(struct cv_aws_ini *ini, enum cv_aws_ini_file kind, const char *path,
                     struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_AWS_INI_MAX);
    /* An empty name, and the usual way of saying "none". */
    if (*path == '\0' || strcmp(path, "/dev/null") == 0)
        return 0;
    int rc = cv_file_read(&text, path, err);
    /* Also in a home that is another's, as HOME is after su: not there for us,
     * as AWS's own programs have it. A file that is there must be readable. */
    if (rc == CV_ERR_NOT_FOUND || (rc != 0 && access(path, F_OK) != 0))
        return 0;
    if (rc != 0) {
        cv_error_wrap(err, "reading the AWS file %s", path);
        return CV_ERR_CONFIG;
    }
    return cv_aws_ini_add(ini, kind, cv_buf_view(&text), path, err);
}

int cv_aws_files_read(struct cv_aws_ini **out, const struct cv_aws_config *c, struct cv_error *err)
{
    if (cv_aws_ini_new(out) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the AWS configuration");
    int rc = read_file(*out, CV_AWS_INI_CONFIG, c->config_file, err);
    if (rc == 0)
        rc = read_file(*out, CV_AWS_INI_CREDENTIALS, c->credentials_file, err);
    if (rc != 0)
        cv_aws_ini_free(out);
    return rc;
}

void cv_aws_files_stamp(struct cv_aws_stamp out[2], const struct cv_aws_config *c)
{
    const char *const paths[2] = {c->config_file, c->credentials_file};
    memset(out, 0, 2 * sizeof *out);
    for (size_t i = 0; i < 2; i++) {
        struct stat st;
        if (*paths[i] != '\0' && stat(paths[i], &st) == 0)
            out[i] = (struct cv_aws_stamp){true, st.st_mtim, st.st_size, st.st_ino};
    }
}

bool cv_aws_stamp_equal(const struct cv_aws_stamp a[2], const struct cv_aws_stamp b[2])
{
    for (size_t i = 0; i < 2; i++)
        if (a[i].present != b[i].present || a[i].size != b[i].size || a[i].ino != b[i].ino ||
            a[i].mtime.tv_sec != b[i].mtime.tv_sec || a[i].mtime.tv_nsec != b[i].mtime.tv_nsec)
            return false;
    return true;
}

/* ---- loading ---- */

static int fill(struct cv_aws_config *c, const struct cv_aws_options *o, struct cv_error *err)
{
    const char *profile = o->profile != NULL ? o->profile : cv_aws_env("AWS_PROFILE");
    const char *ca = o->ca_file;
    c->profile_explicit = o->profile != NULL;
    c->profile_named = profile != NULL;
    c->profile = strdup(profile != NULL ? profile : "default");
    c->region = o->region != NULL ? strdup(o->region) : NULL;
    c->config_file = file_path("AWS_CONFIG_FILE", "/.aws/config");
    c->credentials_file = file_path("AWS_SHARED_CREDENTIALS_FILE", "/.aws/credentials");
    if (c->profile == NULL || c->config_file == NULL || c->credentials_file == NULL ||
        (o->region != NULL && c->region == NULL) ||
        (o->credentials != NULL && cv_aws_credentials_copy(&c->explicit, o->credentials) != 0))
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the AWS configuration");
    int rc = cv_aws_files_read(&c->ini, c, err);
    if (rc == 0)
        rc = cv_aws_config_check_retries(c, err);
    if (rc != 0)
        return rc;
    if (ca == NULL)
        ca = cv_aws_setting(c, "AWS_CA_BUNDLE", "ca_bundle");
    rc = cv_aws_curl_new(&c->transport, ca, err);
    if (rc == 0)
        rc = cv_aws_curl_new_direct(&c->direct, ca, err);
    return rc != 0 ? rc : cv_aws_cache_new(&c->provider, c, err);
}

int cv_aws_config_load(struct cv_aws_config **out, const struct cv_aws_options *options,
                       struct cv_error *err)
{
    static const struct cv_aws_options none;
    struct cv_aws_config *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for the AWS configuration");
    pthread_mutex_init(&c->imds_lock, NULL);
    int rc = fill(c, options != NULL ? options : &none, err);
    if (rc != 0) {
        cv_aws_config_free(&c);
        return rc;
    }
    *out = c;
    return 0;
}

void cv_aws_config_free(struct cv_aws_config **config)
{
    if (config == NULL || *config == NULL)
        return;
    struct cv_aws_config *c = *config;
    cv_aws_provider_free(&c->provider);
    cv_aws_transport_free(&c->transport);
    cv_aws_transport_free(&c->direct);
    cv_aws_ini_free(&c->ini);
    cv_aws_credentials_free(&c->explicit);
    cv_wipe(c->imds_token, sizeof c->imds_token);
    pthread_mutex_destroy(&c->imds_lock);
    free(c->profile);
    free(c->region);
    free(c->config_file);
    free(c->credentials_file);
    free(c);
    *config = NULL;
}

struct cv_aws_transport *cv_aws_config_transport(struct cv_aws_config *c)
{
    return c->transport;
}

struct cv_aws_provider *cv_aws_config_provider(struct cv_aws_config *c)
{
    return c->provider;
}

const char *cv_aws_config_profile(const struct cv_aws_config *c)
{
    return c->profile;
}

/* ---- region ---- */

static int imds_region(struct cv_aws_config *c, char out[CV_AWS_REGION_MAX + 1], int64_t deadline,
                       struct cv_error *err)
{
    struct cv_http_message m;
    CV_JSON_AUTO json_t *doc = NULL;
    const char *region = NULL;
    cv_http_message_init(&m, 65536);
    int rc = cv_aws_imds_get(c, "/latest/dynamic/instance-identity/document", &m, deadline, err);
    if (rc == 0 &&
        (m.status != 200 ||
         cv_json_parse_object(&doc, cv_buf_view(&m.body), 65536, "identity", NULL) != 0 ||
         cv_json_get_str(doc, "region", &region, NULL) != 0 || !cv_aws_region_valid(region)))
        rc = cv_error_set(err, CV_ERR_NOT_FOUND, "IMDS names no region");
    if (rc == 0)
        snprintf(out, CV_AWS_REGION_MAX + 1, "%s", region);
    cv_http_message_free(&m);
    return rc;
}

int cv_aws_config_region(struct cv_aws_config *c, char out[CV_AWS_REGION_MAX + 1], int64_t deadline,
                         struct cv_error *err)
{
    const char *v = c->region;
    if (v == NULL)
        v = cv_aws_env("AWS_REGION");
    if (v == NULL)
        v = cv_aws_setting(c, "AWS_DEFAULT_REGION", "region");
    if (v == NULL) {
        if (imds_region(c, out, deadline, err) == 0)
            return 0;
        cv_error_wrap(err, "no AWS region: set AWS_REGION, or region in the profile %s",
                      c->profile);
        return CV_ERR_CONFIG;
    }
    if (!cv_aws_region_valid(v)) {
        char quoted[80];
        return cv_error_set(err, CV_ERR_CONFIG, "\"%s\" is no AWS region",
                            cv_error_quote(quoted, sizeof quoted, v, strlen(v)));
    }
    snprintf(out, CV_AWS_REGION_MAX + 1, "%s", v);
    return 0;
}

/* ---- endpoints ---- */

/* Of the profile's services section: [services X] with "kms = \n endpoint_url = …". */
static const char *services_url(const struct cv_aws_config *c, const char *service)
{
    char key[64];
    const char *section = cv_aws_ini_get(c->ini, CV_AWS_INI_PROFILE, c->profile, "services");
    snprintf(key, sizeof key, "%s.endpoint_url", service);
    return section != NULL ? cv_aws_ini_get(c->ini, CV_AWS_INI_SERVICES, section, key) : NULL;
}

static const char *configured_url(const struct cv_aws_config *c, const char *service)
{
    char name[64] = "AWS_ENDPOINT_URL_";
    size_t n = strlen(name);
    const char *v;
    if (cv_aws_setting_true(c, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
                            "ignore_configured_endpoint_urls"))
        return NULL;
    for (const char *p = service; *p != '\0' && n < sizeof name - 1; p++)
        name[n++] = (char)toupper((unsigned char)*p);
    name[n] = '\0';
    if ((v = cv_aws_env(name)) != NULL || (v = cv_aws_env("AWS_ENDPOINT_URL")) != NULL ||
        (v = services_url(c, service)) != NULL)
        return v;
    return cv_aws_ini_get(c->ini, CV_AWS_INI_PROFILE, c->profile, "endpoint_url");
}

int cv_aws_config_endpoint(struct cv_aws_config *c, struct cv_aws_endpoint *out,
                           const char *service, const char *region, const char *url,
                           struct cv_error *err)
{
    unsigned flags = 0;
    if (url == NULL)
        url = configured_url(c, service);
    if (url != NULL)
        return cv_aws_endpoint_parse(out, url, true, err) == 0 ? 0 : CV_ERR_CONFIG;
    if (cv_aws_setting_true(c, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"))
        flags |= CV_AWS_FIPS;
    if (cv_aws_setting_true(c, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint"))
        flags |= CV_AWS_DUALSTACK;
    return cv_aws_endpoint_compute(out, service, region, flags, err);
}

int cv_aws_config_client(struct cv_aws_config *c, struct cv_aws_client **out, const char *service,
                         const char *region, const char *url, int64_t deadline,
                         struct cv_error *err)
{
    char found[CV_AWS_REGION_MAX + 1];
    struct cv_aws_endpoint e;
    int rc = 0;
    *out = NULL;
    if (region == NULL) {
        rc = cv_aws_config_region(c, found, deadline, err);
        region = found;
    }
    if (rc == 0)
        rc = cv_aws_config_endpoint(c, &e, service, region, url, err);
    if (rc != 0)
        return rc;
    struct cv_aws_client_config cc = {
        .service = service,
        .region = region,
        .endpoint = &e,
        .transport = c->transport,
        .provider = c->provider,
    };
    rc = cv_aws_config_retries(c, &cc, err);
    return rc == 0 ? cv_aws_client_new(out, &cc, err) : rc;
}
