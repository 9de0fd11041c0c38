/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who the application runs as: "user", "uid", "user:group", "uid:gid", read in
 * the image's own /etc/passwd and /etc/group, as container runtimes do. No
 * name service is asked: there is none inside.
 */
#ifndef CV_INIT_USERS_H
#define CV_INIT_USERS_H

#include <sys/types.h>

#include "common/bytes.h"

#define CV_USER_GROUPS 64u          /* supplementary groups that are kept */
#define CV_USER_HOME 256u           /* bytes of a home directory's path, with the NUL */
#define CV_USER_MAX_FILE (1u << 20) /* of /etc/passwd and /etc/group */

struct cv_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[CV_USER_GROUPS]; /* of /etc/group where the user is a member */
    size_t group_count;           /* 0 when SPEC named a group */
    char home[CV_USER_HOME];      /* "/" when unknown */
};

/* SPEC NULL or "" is root. A number that no entry has stands for itself, with
 * group 0; a name must be there (CV_ERR_NOT_FOUND, with the name). */
int cv_user_resolve(struct cv_user *out, struct cv_bytes passwd, struct cv_bytes group,
                    const char *spec, struct cv_error *err) CV_NODISCARD;
/* The same with the files below the directory ROOT; an absent file is empty. */
int cv_user_find(struct cv_user *out, const char *root, const char *spec,
                 struct cv_error *err) CV_NODISCARD;

#endif
