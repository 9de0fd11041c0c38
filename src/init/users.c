/* SPDX-License-Identifier: Apache-2.0 */
#include "init/users.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"

#define FIELDS 7

/* The next line of *TEXT, split at its colons. The last field keeps the rest. */
static bool next_entry(struct cv_bytes *text, struct cv_bytes field[FIELDS], size_t want,
                       size_t *found)
{
    if (text->n == 0)
        return false;
    const uint8_t *end = memchr(text->p, '\n', text->n);
    size_t n = end != NULL ? (size_t)(end - text->p) : text->n;
    struct cv_bytes line = CV_BYTES(text->p, n);
    size_t skip = end != NULL ? n + 1 : n;
    text->p += skip;
    text->n -= skip;
    *found = 0;
    while (*found < want) {
        const uint8_t *colon = line.n != 0 ? memchr(line.p, ':', line.n) : NULL;
        if (colon == NULL || *found + 1 == want) {
            field[(*found)++] = line;
            break;
        }
        size_t part = (size_t)(colon - line.p);
        field[(*found)++] = CV_BYTES(line.p, part);
        line.p += part + 1;
        line.n -= part + 1;
    }
    return true;
}

/* A decimal number of at most 2^32 - 2: the last one means "unchanged" to chown(2). */
static bool number(struct cv_bytes text, uint32_t *out)
{
    uint64_t v = 0;
    if (text.n == 0 || text.n > 10)
        return false;
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text.p[i] - '0');
    }
    if (v >= UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

/* name:password:uid:gid:comment:home:shell. An entry of that name beats one of
 * that number. */
static bool find_user(struct cv_user *out, struct cv_bytes passwd, struct cv_bytes wanted,
                      struct cv_bytes *name)
{
    struct cv_bytes field[FIELDS], text = passwd;
    uint32_t id = 0, uid, gid;
    bool numeric = number(wanted, &id), found = false;
    size_t n;
    while (next_entry(&text, field, FIELDS, &n)) {
        if (n < 6 || !number(field[2], &uid) || !number(field[3], &gid))
            continue;
        bool by_name = cv_bytes_equal(field[0], wanted);
        if (!by_name && (found || !numeric || uid != id))
            continue;
        found = true;
        *name = field[0];
        out->uid = uid;
        out->gid = gid;
        if (field[5].n != 0 && field[5].n < sizeof out->home && field[5].p[0] == '/' &&
            memchr(field[5].p, 0, field[5].n) == NULL)
            snprintf(out->home, sizeof out->home, "%.*s", (int)field[5].n,
                     (const char *)field[5].p);
        if (by_name)
            break;
    }
    return found;
}

static bool find_group(gid_t *gid, struct cv_bytes group, struct cv_bytes wanted)
{
    struct cv_bytes field[FIELDS];
    uint32_t id;
    size_t n;
    while (next_entry(&group, field, 4, &n)) {
        if (n >= 3 && cv_bytes_equal(field[0], wanted) && number(field[2], &id)) {
            *gid = id;
            return true;
        }
    }
    if (!number(wanted, &id))
        return false;
    *gid = id;
    return true;
}

static bool member(struct cv_bytes list, struct cv_bytes name)
{
    while (list.n != 0) {
        const uint8_t *comma = memchr(list.p, ',', list.n);
        size_t n = comma != NULL ? (size_t)(comma - list.p) : list.n;
        if (cv_bytes_equal(CV_BYTES(list.p, n), name))
            return true;
        size_t skip = comma != NULL ? n + 1 : n;
        list.p += skip;
        list.n -= skip;
    }
    return false;
}

static void find_memberships(struct cv_user *out, struct cv_bytes group, struct cv_bytes name)
{
    struct cv_bytes field[FIELDS];
    uint32_t gid;
    size_t n;
    while (out->group_count < CV_USER_GROUPS && next_entry(&group, field, 4, &n)) {
        if (n == 4 && number(field[2], &gid) && member(field[3], name))
            out->groups[out->group_count++] = gid;
    }
}

int cv_user_resolve(struct cv_user *out, struct cv_bytes passwd, struct cv_bytes group,
                    const char *spec, struct cv_error *err)
{
    char quoted[80];
    if (spec == NULL || *spec == '\0')
        spec = "0";
    const char *colon = strchr(spec, ':');
    struct cv_bytes user = CV_BYTES(spec, colon != NULL ? (size_t)(colon - spec) : strlen(spec));
    struct cv_bytes name = {NULL, 0};
    *out = (struct cv_user){.home = "/"};
    if (user.n == 0)
        user = CV_BYTES_LIT("0");
    if (!find_user(out, passwd, user, &name)) {
        uint32_t uid;
        if (!number(user, &uid))
            return cv_error_set(err, CV_ERR_NOT_FOUND,
                                "the image has no user \"%s\" in /etc/passwd",
                                cv_error_quote(quoted, sizeof quoted, user.p, user.n));
        out->uid = uid;
        out->gid = 0;
    }
    if (colon == NULL || colon[1] == '\0') {
        if (name.n != 0)
            find_memberships(out, group, name);
        return 0;
    }
    if (!find_group(&out->gid, group, cv_bytes_str(colon + 1)))
        return cv_error_set(err, CV_ERR_NOT_FOUND, "the image has no group \"%s\" in /etc/group",
                            cv_error_quote(quoted, sizeof quoted, colon + 1, strlen(colon + 1)));
    return 0;
}

static int load(struct cv_buf *out, const char *root, const char *name, struct cv_error *err)
{
    char path[PATH_MAX];
    int rc = cv_path_join(path, sizeof path, root, name);
    if (rc != 0)
        return cv_error_set(err, rc, "the path of %s is too long", name);
    rc = cv_file_read(out, path, err);
    return rc == CV_ERR_NOT_FOUND ? 0 : rc;
}

int cv_user_find(struct cv_user *out, const char *root, const char *spec, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf passwd, group;
    cv_buf_init(&passwd, CV_USER_MAX_FILE);
    cv_buf_init(&group, CV_USER_MAX_FILE);
    int rc = load(&passwd, root, "etc/passwd", err);
    if (rc == 0)
        rc = load(&group, root, "etc/group", err);
    return rc != 0 ? rc
                   : cv_user_resolve(out, cv_buf_view(&passwd), cv_buf_view(&group), spec, err);
}
