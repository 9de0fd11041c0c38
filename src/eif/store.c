/* SPDX-License-Identifier: Apache-2.0 */
/* Members of a container archive or layout, by name. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/hex.h"
#include "eif/source.h"

#define MAX_LINKS 8u

void cv_store_free(struct cv_store *st)
{
    for (size_t i = 0; i < st->count; i++) {
        free(st->members[i].name);
        free(st->members[i].link);
    }
    free(st->members);
    st->members = NULL;
    st->count = st->cap = 0;
}

static const struct cv_member *member(const struct cv_store *st, const char *name)
{
    for (size_t i = st->count; i-- > 0;) { /* the last of a name wins, as in tar */
        if (strcmp(st->members[i].name, name) == 0) {
            return &st->members[i];
        }
    }
    return NULL;
}

/* Where a link of the member NAME leads, both as names of members. */
static int link_target(char *out, size_t size, const char *name, const char *link)
{
    char joined[2048];
    const char *slash = strrchr(name, '/');
    int folder = slash != NULL ? (int)(slash - name) : 0;
    if ((size_t)snprintf(joined, sizeof joined, "%.*s/%s", folder, name, link) >= sizeof joined) {
        return CV_ERR_LIMIT;
    }
    size_t n = 0;
    out[0] = 0;
    for (char *save = NULL, *part = strtok_r(joined, "/", &save); part != NULL;
         part = strtok_r(NULL, "/", &save)) {
        if (strcmp(part, ".") == 0) {
            continue;
        }
        if (strcmp(part, "..") == 0) {
            while (n > 0 && out[--n] != '/') {
            }
            out[n] = 0;
            continue;
        }
        int w = snprintf(out + n, size - n, "%s%s", n != 0 ? "/" : "", part);
        if (w < 0 || (size_t)w >= size - n) {
            return CV_ERR_LIMIT;
        }
        n += (size_t)w;
    }
    return 0;
}

static int find_member(struct cv_store *st, const char *name, uint64_t *offset, uint64_t *size)
{
    char at[1024], next[1024];
    if ((size_t)snprintf(at, sizeof at, "%s", name) >= sizeof at) {
        return CV_ERR_NOT_FOUND;
    }
    for (unsigned hops = 0; hops < MAX_LINKS; hops++) {
        const struct cv_member *m = member(st, at);
        if (m == NULL) {
            return CV_ERR_NOT_FOUND;
        }
        if (m->link == NULL) {
            *offset = m->offset;
            *size = m->size;
            return 0;
        }
        if (link_target(next, sizeof next, at, m->link) != 0) {
            return CV_ERR_NOT_FOUND;
        }
        memcpy(at, next, sizeof at);
    }
    return CV_ERR_NOT_FOUND;
}

/* No links, no "..": what a layout names is a plain path below its folder. */
static int open_below(int dir, const char *name)
{
    char part[256];
    int at = dup(dir);
    while (at >= 0) {
        size_t n = strcspn(name, "/");
        if (n == 0 || n >= sizeof part || (n <= 2 && strspn(name, ".") >= n)) {
            close(at);
            errno = ENOENT;
            return -1;
        }
        memcpy(part, name, n);
        part[n] = 0;
        bool last = name[n] == 0;
        int next = openat(
            at, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | (last ? 0 : O_DIRECTORY));
        int e = errno;
        close(at);
        errno = e;
        if (last || next < 0) {
            return next;
        }
        at = next;
        name += n + 1;
    }
    return -1;
}

static int not_there(const char *name, struct cv_error *err)
{
    char quoted[160];
    return cv_error_set(err, CV_ERR_NOT_FOUND, "the container image lacks \"%s\"",
                        cv_error_quote(quoted, sizeof quoted, name, strlen(name)));
}

int cv_store_find(struct cv_source *s, struct cv_store *st, const char *name, int *fd,
                  uint64_t *offset, uint64_t *size, struct cv_error *err)
{
    if (!st->folder) {
        *fd = st->fd;
        return find_member(st, name, offset, size) == 0 ? 0 : not_there(name, err);
    }
    int opened = open_below(st->fd, name);
    struct stat info;
    if (opened < 0 || fstat(opened, &info) != 0 || !S_ISREG(info.st_mode)) {
        if (opened >= 0) {
            close(opened);
        }
        return not_there(name, err);
    }
    *fd = opened;
    *offset = 0;
    *size = (uint64_t)info.st_size;
    return cv_source_keep_fd(s, opened, err);
}

bool cv_store_has(struct cv_source *s, struct cv_store *st, const char *name)
{
    int fd;
    uint64_t offset, size;
    return cv_store_find(s, st, name, &fd, &offset, &size, NULL) == 0;
}

static int check_digest(const void *p, size_t n, const char *digest, const char *name,
                        struct cv_error *err)
{
    uint8_t sum[32];
    char hex[65];
    if (EVP_Digest(p, n, sum, NULL, EVP_sha256(), NULL) != 1) {
        return cv_error_set(err, CV_ERR_NOMEM, "SHA-256 failed");
    }
    cv_hex_encode(hex, sum, sizeof sum);
    if (strncmp(digest, "sha256:", 7) != 0 || strcmp(digest + 7, hex) != 0) {
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "%.80s has not the digest that the container "
                            "image tells: it is damaged or was exchanged",
                            name);
    }
    return 0;
}

int cv_store_json(struct cv_source *s, struct cv_store *st, const char *name, const char *digest,
                  uint64_t size, json_t **out, struct cv_error *err)
{
    *out = NULL;
    int fd;
    uint64_t offset, have;
    int rc = cv_store_find(s, st, name, &fd, &offset, &have, err);
    if (rc != 0) {
        return rc;
    }
    if (have > CV_SOURCE_MAX_JSON || (size != 0 && size != have)) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "%.80s has %llu bytes, not what is announced or "
                            "possible",
                            name, (unsigned long long)have);
    }
    char *text = malloc((size_t)have + 1);
    struct cv_input in;
    if (text == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    rc = cv_input_open(&in, fd, offset, have, false, false, err);
    if (rc == 0) {
        rc = cv_input_exact(&in, text, (size_t)have, err);
        cv_input_close(&in);
    }
    if (rc == 0 && digest != NULL) {
        rc = check_digest(text, (size_t)have, digest, name, err);
    }
    json_error_t why;
    if (rc == 0 && (*out = json_loadb(text, (size_t)have, JSON_REJECT_DUPLICATES, &why)) == NULL) {
        rc = cv_error_set(err, CV_ERR_INVALID, "%.80s is no JSON (line %d)", name, why.line);
    }
    free(text);
    return rc;
}
