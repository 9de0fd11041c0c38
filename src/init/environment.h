/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The application's environment. Layers are laid over each other, lowest
 * first: the image's, the parent's (only names of untrusted_env), those of the
 * encrypted configurations. What is still missing then gets a default: PATH,
 * HOME, HOSTNAME, as container runtimes have it.
 */
#ifndef CV_INIT_ENVIRONMENT_H
#define CV_INIT_ENVIRONMENT_H

#include "settings/boot.h"

#define CV_ENVIRONMENT_MAX 8192u          /* variables */
#define CV_ENVIRONMENT_VALUE (128u << 10) /* bytes of one: the kernel's MAX_ARG_STRLEN */
#define CV_DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* "NAME=value" strings for execve(2), ended by NULL. Ordinary memory, since
 * it goes to a child, wiped when it is freed. */
struct cv_environment {
    char **v;
    size_t n;
};

/* Sets NAME, in its old place when it is there. CV_ERR_INVALID for a name that
 * is none or a value with a NUL, CV_ERR_LIMIT, CV_ERR_NOMEM. */
int cv_environment_set(struct cv_environment *e, const char *name,
                       struct cv_bytes value) CV_NODISCARD;
/* The same from "NAME=value" of the image itself: any name that execve(2) takes. */
int cv_environment_assign(struct cv_environment *e, const char *assignment) CV_NODISCARD;
/* All of the image's own. */
int cv_environment_image(struct cv_environment *e, const struct cv_boot_settings *s,
                         struct cv_error *err) CV_NODISCARD;
/* NULL when it is not set. */
const char *cv_environment_get(const struct cv_environment *e, const char *name);
/* Sets NAME only where it is not set yet. */
int cv_environment_default(struct cv_environment *e, const char *name,
                           const char *value) CV_NODISCARD;
bool cv_environment_equal(const struct cv_environment *a, const struct cv_environment *b);
/* Wipes and frees; can be used again. */
void cv_environment_free(struct cv_environment *e);

#endif
