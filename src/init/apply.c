/* SPDX-License-Identifier: Apache-2.0 */
/* Stage "apply": variables and files of the encrypted configurations. */
#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "init/files.h"
#include "init/init.h"
#include "init/users.h"

static int no_variable(struct cv_error *err, int rc, const char *name)
{
    char quoted[80];
    return cv_error_set(err, rc, "the variable %s: %s",
                        cv_error_quote(quoted, sizeof quoted, name, strcspn(name, "=")),
                        cv_strerror(rc));
}

static int add_parents(struct cv_environment *env, const struct cv_init *i, struct cv_error *err)
{
    const char *name;
    json_t *value;
    json_object_foreach (i->parents_variables, name, value) {
        if (!cv_boot_allows_untrusted(&i->settings, name)) {
            cv_log(CV_LOG_WARN, "a variable of the parent is not allowed", "name", name, NULL);
            continue;
        }
        struct cv_bytes v = CV_BYTES(json_string_value(value), json_string_length(value));
        int rc = cv_environment_set(env, name, v);
        if (rc != 0)
            return no_variable(err, rc, name);
    }
    return 0;
}

static int add_bundle(struct cv_environment *env, const struct cv_bundle *b, struct cv_error *err)
{
    for (size_t k = 0; k < b->n; k++) {
        const struct cv_secrets *s = &b->item[k].secrets;
        for (size_t j = 0; j < s->env_count; j++) {
            int rc = cv_environment_set(env, s->env[j].name, s->env[j].value);
            if (rc != 0)
                return no_variable(err, rc, s->env[j].name);
        }
    }
    return 0;
}

/* Programs that do not resolve names ask a proxy: tell them of ours, unless
 * they are told of another one. */
static int add_proxy(struct cv_environment *env, const struct cv_init *i)
{
    static const char *const names[] = {"http_proxy", "https_proxy", "HTTPS_PROXY"};
    char url[64], none[512];
    uint16_t port = i->forward != NULL ? cv_forward_proxy_port(i->forward) : 0;
    if (port == 0 || cv_environment_get(env, "http_proxy") != NULL ||
        cv_environment_get(env, "https_proxy") != NULL ||
        cv_environment_get(env, "HTTPS_PROXY") != NULL)
        return 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%u", (unsigned)port);
    snprintf(none, sizeof none, "localhost,127.0.0.1,::1%s%s",
             i->settings.hostname != NULL ? "," : "",
             i->settings.hostname != NULL ? i->settings.hostname : "");
    int rc = 0;
    for (size_t k = 0; rc == 0 && k < sizeof names / sizeof names[0]; k++)
        rc = cv_environment_default(env, names[k], url);
    if (rc == 0)
        rc = cv_environment_default(env, "no_proxy", none);
    return rc != 0 ? rc : cv_environment_default(env, "NO_PROXY", none);
}

static int add_defaults(struct cv_environment *env, const struct cv_init *i, struct cv_error *err)
{
    struct cv_user user;
    int rc = cv_user_find(&user, "/", i->settings.user, err);
    if (rc != 0)
        return rc;
    rc = cv_environment_default(env, "PATH", CV_DEFAULT_PATH);
    if (rc == 0)
        rc = cv_environment_default(env, "HOME", user.home);
    if (rc == 0 && i->settings.hostname != NULL)
        rc = cv_environment_default(env, "HOSTNAME", i->settings.hostname);
    if (rc == 0)
        rc = add_proxy(env, i);
    return rc != 0 ? cv_error_set(err, rc, "the environment's defaults: %s", cv_strerror(rc)) : 0;
}

int cv_apply_environment(struct cv_environment *env, const struct cv_init *i,
                         const struct cv_bundle *b, struct cv_error *err)
{
    int rc = cv_environment_image(env, &i->settings, err);
    if (rc == 0)
        rc = add_parents(env, i, err);
    if (rc == 0)
        rc = add_bundle(env, b, err);
    return rc != 0 ? rc : add_defaults(env, i, err);
}

static bool same(const struct cv_secret_file *a, const struct cv_secret_file *b)
{
    return b != NULL && a->mode == b->mode && strcmp(a->owner, b->owner) == 0 &&
           a->content.n == b->content.n && cv_equal_ct(a->content.p, b->content.p, a->content.n);
}

static int write_file(const struct cv_init *i, const struct cv_secret_file *f, struct cv_error *err)
{
    struct cv_user user;
    int rc = cv_user_find(&user, "/", f->owner, err);
    if (rc != 0) {
        cv_error_wrap(err, "owner of %s", f->path);
        return rc;
    }
    const struct cv_file_owner owner = {user.uid, user.gid, (mode_t)f->mode};
    return cv_files_write(i->root, f->path, &owner, f->content, err);
}

int cv_apply_files(const struct cv_init *i, const struct cv_bundle *b, const struct cv_bundle *old,
                   unsigned *changed, struct cv_error *err)
{
    *changed = 0;
    for (size_t k = 0; k < b->n; k++) {
        const struct cv_secrets *s = &b->item[k].secrets;
        for (size_t j = 0; j < s->file_count; j++) {
            const struct cv_secret_file *f = &s->file[j];
            if (cv_bundle_file(b, f->path) != f ||
                (old != NULL && same(f, cv_bundle_file(old, f->path))))
                continue;
            int rc = write_file(i, f, err);
            if (rc != 0)
                return rc;
            ++*changed;
        }
    }
    for (size_t k = 0; old != NULL && k < old->n; k++) {
        const struct cv_secrets *s = &old->item[k].secrets;
        for (size_t j = 0; j < s->file_count; j++) {
            if (cv_bundle_file(b, s->file[j].path) != NULL)
                continue;
            int rc = cv_files_remove(i->root, s->file[j].path, err);
            if (rc != 0)
                return rc;
            ++*changed;
        }
    }
    return 0;
}
