/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/secrets_expect.h"

#include <stdio.h>
#include <string.h>

#include "aws/kms.h"
#include "common/file.h"
#include "eif/boot_conf.h"
#include "eif/enclave_yaml.h"

static int read_eif(struct cv_secrets_expect *e, struct cv_error *err)
{
    struct cv_eif eif;
    int rc = cv_eif_open(&eif, e->eif, err);
    if (rc == 0) {
        cv_boot_free(&e->settings);
        rc = cv_eif_boot_settings(&eif, &e->settings, err);
        cv_eif_close(&eif);
        if (rc != 0) {
            cv_error_wrap(err, "%s", e->eif);
        }
    }
    return rc;
}

static int read_yaml(struct cv_secrets_expect *e, struct cv_error *err)
{
    static struct cv_yaml_problems problems; /* large */
    struct cv_enclave_config config;
    const char *slash = strrchr(e->config, '/');
    char dir[4096];
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_YAML_MAX_TEXT);
    int rc = cv_file_read(&text, e->config, err);
    if (rc != 0) {
        return rc;
    }
    int n = slash == NULL
                ? snprintf(dir, sizeof dir, ".")
                : snprintf(dir, sizeof dir, "%.*s", (int)(slash - e->config) + 1, e->config);
    if (n < 0 || (size_t)n >= sizeof dir) {
        return cv_error_set(err, CV_ERR_LIMIT, "the file's name is too long");
    }
    cv_yaml_problems_init(&problems, e->config);
    rc = cv_enclave_config_parse(&config, cv_buf_view(&text), dir, &problems);
    if (problems.count != 0) {
        cv_yaml_problems_print(&problems, stderr);
        rc = cv_error_set(err, CV_ERR_CONFIG, "%zu problems in %s", problems.count, e->config);
    }
    if (rc == 0) {
        rc = cv_enclave_config_apply(&config, &e->settings, err);
    }
    cv_enclave_config_free(&config);
    return rc;
}

int cv_secrets_expect_read(struct cv_secrets_expect *e, struct cv_error *err)
{
    cv_boot_init(&e->settings);
    if (e->eif == NULL && e->config == NULL) {
        return 0;
    }
    e->known = true;
    return e->eif != NULL ? read_eif(e, err) : read_yaml(e, err);
}

void cv_secrets_expect_free(struct cv_secrets_expect *e)
{
    cv_boot_free(&e->settings);
}

/* What may be set: the source of this address, or, when the settings name
 * others, any of them. */
static const struct cv_boot_source *source_of(const struct cv_secrets_expect *e, const char *where)
{
    for (size_t i = 0; i < e->settings.source_count; i++) {
        if (strcmp(e->settings.source[i].location, where) == 0) {
            return &e->settings.source[i];
        }
    }
    return e->settings.source_count == 1 ? &e->settings.source[0] : NULL;
}

int cv_secrets_expect_names(const struct cv_secrets_expect *e, const char *where,
                            const struct cv_secrets *s, struct cv_error *err)
{
    const struct cv_boot_source *source = source_of(e, where);
    if (!e->known) {
        return 0;
    }
    if (source == NULL) {
        return cv_error_set(err, CV_ERR_DENIED,
                            "the enclave's settings name no such "
                            "configuration");
    }
    for (size_t i = 0; i < s->env_count; i++) {
        if (!cv_boot_allows_env(&e->settings, source, s->env[i].name)) {
            return cv_error_set(err, CV_ERR_DENIED,
                                "the enclave does not let a configuration set "
                                "the variable %s",
                                s->env[i].name);
        }
    }
    for (size_t i = 0; i < s->file_count; i++) {
        if (!cv_boot_allows_path(&e->settings, source, s->file[i].path)) {
            return cv_error_set(err, CV_ERR_DENIED,
                                "the enclave does not let a configuration "
                                "write the file %.200s",
                                s->file[i].path);
        }
    }
    return 0;
}

int cv_secrets_expect_key(const struct cv_secrets_expect *e, const char *arn, struct cv_error *err)
{
    for (size_t i = 0; i < e->settings.cmk.count; i++) {
        if (cv_kms_key_matches(arn, e->settings.cmk.item[i])) {
            return 0;
        }
    }
    return e->settings.cmk.count == 0
               ? 0
               : cv_error_set(err, CV_ERR_DENIED,
                              "it is encrypted under %s, which the enclave's "
                              "settings do not list",
                              arn);
}

struct cv_config_expect cv_secrets_expect_stored(const struct cv_secrets_expect *e)
{
    return (struct cv_config_expect){
        .context = (const char *const *)e->settings.context.item,
        .context_count = e->settings.context.count,
        .minimum_version = e->settings.minimum_version,
        .minimum_format = e->settings.minimum_format,
        .publisher_key = e->settings.publisher_key,
    };
}
