/* SPDX-License-Identifier: Apache-2.0 */
#include "init/environment.h"

#include <stdlib.h>
#include <string.h>

#include "settings/boot.h"

static char **find(const struct cv_environment *e, const char *name, size_t n)
{
    for (size_t i = 0; i < e->n; i++) {
        if (strncmp(e->v[i], name, n) == 0 && e->v[i][n] == '=')
            return &e->v[i];
    }
    return NULL;
}

static void drop(char *text)
{
    cv_wipe(text, strlen(text));
    free(text);
}

static int append(struct cv_environment *e, char *text)
{
    if (e->n >= CV_ENVIRONMENT_MAX)
        return CV_ERR_LIMIT;
    char **v = realloc(e->v, (e->n + 2) * sizeof *v);
    if (v == NULL)
        return CV_ERR_NOMEM;
    e->v = v;
    e->v[e->n++] = text;
    e->v[e->n] = NULL;
    return 0;
}

/* Of N bytes that are a name, whichever. */
static int set(struct cv_environment *e, const char *name, size_t n, struct cv_bytes value)
{
    if (n == 0 || (value.n != 0 && memchr(value.p, 0, value.n) != NULL))
        return CV_ERR_INVALID;
    if (n >= CV_ENVIRONMENT_VALUE / 2 || value.n >= CV_ENVIRONMENT_VALUE - n - 2)
        return CV_ERR_LIMIT;
    char *text = malloc(n + value.n + 2);
    if (text == NULL)
        return CV_ERR_NOMEM;
    memcpy(text, name, n);
    text[n] = '=';
    if (value.n != 0)
        memcpy(text + n + 1, value.p, value.n);
    text[n + 1 + value.n] = '\0';
    char **old = find(e, name, n);
    if (old != NULL) {
        drop(*old);
        *old = text;
        return 0;
    }
    int rc = append(e, text);
    if (rc != 0)
        drop(text);
    return rc;
}

int cv_environment_set(struct cv_environment *e, const char *name, struct cv_bytes value)
{
    size_t n = strlen(name);
    return cv_boot_env_name(name, n) ? set(e, name, n, value) : CV_ERR_INVALID;
}

int cv_environment_assign(struct cv_environment *e, const char *assignment)
{
    size_t n = strcspn(assignment, "=");
    return assignment[n] == '\0' ? CV_ERR_INVALID
                                 : set(e, assignment, n, cv_bytes_str(assignment + n + 1));
}

int cv_environment_image(struct cv_environment *e, const struct cv_boot_settings *s,
                         struct cv_error *err)
{
    for (size_t i = 0; i < s->env.count; i++) {
        int rc = cv_environment_assign(e, s->env.item[i]);
        if (rc != 0) {
            char quoted[80];
            return cv_error_set(
                err, rc, "the variable %s: %s",
                cv_error_quote(quoted, sizeof quoted, s->env.item[i], strcspn(s->env.item[i], "=")),
                cv_strerror(rc));
        }
    }
    return 0;
}

const char *cv_environment_get(const struct cv_environment *e, const char *name)
{
    size_t n = strlen(name);
    char **at = find(e, name, n);
    return at != NULL ? *at + n + 1 : NULL;
}

int cv_environment_default(struct cv_environment *e, const char *name, const char *value)
{
    return cv_environment_get(e, name) != NULL ? 0
                                               : cv_environment_set(e, name, cv_bytes_str(value));
}

bool cv_environment_equal(const struct cv_environment *a, const struct cv_environment *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->v[i], b->v[i]) != 0)
            return false;
    }
    return true;
}

void cv_environment_free(struct cv_environment *e)
{
    for (size_t i = 0; i < e->n; i++)
        drop(e->v[i]);
    free(e->v);
    *e = (struct cv_environment){NULL, 0};
}
