/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/tar_private.h"

#include <stdlib.h>
#include <string.h>

int cv_tar_bad(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_INVALID, "damaged tar archive: %s", what);
}

void cv_tar_init(struct cv_tar *t, struct cv_input *in, bool need_end)
{
    memset(t, 0, sizeof *t);
    t->in = in;
    t->need_end = need_end;
    cv_tar_pax_init(&t->global);
    cv_tar_pax_init(&t->local);
    cv_buf_init(&t->long_name, CV_TAR_MAX_PAX);
    cv_buf_init(&t->long_link, CV_TAR_MAX_PAX);
}

static void clear_entry(struct cv_tar *t)
{
    free(t->entry.name);
    free(t->entry.link);
    free(t->entry.extents);
    memset(&t->entry, 0, sizeof t->entry);
}

void cv_tar_free(struct cv_tar *t)
{
    clear_entry(t);
    cv_tar_pax_free(&t->global);
    cv_tar_pax_free(&t->local);
    cv_buf_free(&t->long_name);
    cv_buf_free(&t->long_link);
}

/* ---- headers ---- */

bool cv_tar_number(uint64_t *out, const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    if ((p[0] & 0x80) != 0) {
        if (p[0] != 0x80) {
            return false; /* negative, or beyond 64 bits */
        }
        for (size_t i = 1; i < n; i++) {
            if (v >> 56 != 0) {
                return false;
            }
            v = v << 8 | p[i];
        }
        *out = v;
        return true;
    }
    size_t i = 0;
    while (i < n && p[i] == ' ') {
        i++;
    }
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
        if (v >> 61 != 0) {
            return false;
        }
        v = v << 3 | (uint64_t)(p[i] - '0');
    }
    for (; i < n; i++) {
        if (p[i] != ' ' && p[i] != 0) {
            return false;
        }
    }
    *out = v;
    return true;
}

static bool checksum_good(const uint8_t *h)
{
    uint64_t want;
    if (!cv_tar_number(&want, h + CV_TAR_AT_SUM, 8)) {
        return false;
    }
    uint32_t sum = 0;
    int32_t old = 0; /* some old tars added signed characters */
    for (size_t i = 0; i < CV_TAR_BLOCK_SIZE; i++) {
        uint8_t b = i >= CV_TAR_AT_SUM && i < CV_TAR_AT_SUM + 8 ? ' ' : h[i];
        sum += b;
        old += (int8_t)b;
    }
    return want == sum || (old >= 0 && want == (uint64_t)old);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != 0) {
            return false;
        }
    }
    return true;
}

/* ---- data ---- */

static void set_data(struct cv_tar *t, uint64_t size)
{
    t->left = size;
    t->pad = (CV_TAR_BLOCK_SIZE - size % CV_TAR_BLOCK_SIZE) % CV_TAR_BLOCK_SIZE;
}

int cv_tar_read(struct cv_tar *t, void *p, size_t n, struct cv_error *err)
{
    if (n > t->left) {
        return cv_tar_bad(err, "data beyond the entry");
    }
    t->left -= n;
    t->entry.stored = t->left;
    return cv_input_exact(t->in, p, n, err);
}

int cv_tar_skip(struct cv_tar *t, uint64_t n, struct cv_error *err)
{
    if (n > t->left) {
        return cv_tar_bad(err, "data beyond the entry");
    }
    t->left -= n;
    return cv_input_skip(t->in, n, err);
}

static int skip_rest(struct cv_tar *t, struct cv_error *err)
{
    int rc = cv_input_skip(t->in, t->left, err);
    if (rc == 0) {
        rc = cv_input_skip(t->in, t->pad, err);
    }
    t->left = t->pad = 0;
    return rc;
}

/* 1 with a header in H, 0 at the end of the archive. */
static int read_block(struct cv_tar *t, uint8_t h[CV_TAR_BLOCK_SIZE], struct cv_error *err)
{
    size_t have = 0;
    while (have < CV_TAR_BLOCK_SIZE) {
        size_t got;
        int rc = cv_input_read(t->in, h + have, CV_TAR_BLOCK_SIZE - have, &got, err);
        if (rc != 0) {
            return rc;
        }
        if (got == 0) {
            break;
        }
        have += got;
    }
    if (have == 0 && !t->need_end) {
        return 0;
    }
    bool whole = have == CV_TAR_BLOCK_SIZE;
    if (whole && all_zero(h, CV_TAR_BLOCK_SIZE)) {
        return 0; /* one block of zeros is enough for GNU tar as well */
    }
    if (whole && checksum_good(h)) {
        return 1;
    }
    const char *packed = t->entries == 0 ? cv_input_packed_with(h, have) : NULL;
    if (packed != NULL) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "it is packed with %s: unpack it first, or pack it with gzip or zstd",
                            packed);
    }
    if (!whole) {
        return cv_error_set(err, CV_ERR_TRUNCATED, "the tar archive ends too early");
    }
    return cv_tar_bad(err, "a header's checksum is wrong");
}

/* ---- names ---- */

static char *field_text(const uint8_t *p, size_t n)
{
    return strndup((const char *)p, n);
}

static char *header_name(const uint8_t *h)
{
    bool posix = memcmp(h + CV_TAR_AT_MAGIC, "ustar\0", 6) == 0;
    if (!posix || h[CV_TAR_AT_PREFIX] == 0) {
        return field_text(h, 100);
    }
    char *full;
    int n = asprintf(&full, "%.*s/%.*s", (int)strnlen((const char *)h + CV_TAR_AT_PREFIX, 155),
                     (const char *)h + CV_TAR_AT_PREFIX, (int)strnlen((const char *)h, 100),
                     (const char *)h);
    return n < 0 ? NULL : full;
}

/* The text that wins: pax, GNU long name, header. */
static char *choose(const struct cv_buf *pax, bool has_pax, const struct cv_buf *global,
                    bool has_global, const struct cv_buf *gnu, char *header)
{
    const struct cv_buf *from = has_pax ? pax : gnu->n != 0 ? gnu : has_global ? global : NULL;
    if (from == NULL) {
        return header;
    }
    free(header);
    return strndup((const char *)from->p, from->n);
}

/* ---- entries ---- */

static int read_extra(struct cv_tar *t, struct cv_buf *out, uint64_t size, struct cv_error *err)
{
    cv_buf_reset(out);
    if (size > CV_TAR_MAX_PAX) {
        return cv_error_set(err, CV_ERR_LIMIT, "a tar header of %llu bytes",
                            (unsigned long long)size);
    }
    set_data(t, size);
    uint8_t *room = cv_buf_reserve(out, (size_t)size);
    if (room == NULL && size != 0) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    int rc = size != 0 ? cv_tar_read(t, room, (size_t)size, err) : 0;
    if (rc == 0 && size != 0) {
        cv_buf_commit(out, (size_t)size);
    }
    return rc == 0 ? skip_rest(t, err) : rc;
}

/* A header about the next entry. 1 when H was one, 0 when it is an entry. */
static int take_extra(struct cv_tar *t, const uint8_t *h, uint64_t size, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_TAR_MAX_PAX);
    int rc;
    switch (h[CV_TAR_AT_TYPE]) {
    case 'x':
    case 'X':
    case 'g':
        rc = read_extra(t, &text, size, err);
        if (rc == 0) {
            rc = cv_tar_pax_parse(h[CV_TAR_AT_TYPE] == 'g' ? &t->global : &t->local,
                                  cv_buf_view(&text), err);
        }
        return rc == 0 ? 1 : rc;
    case 'L':
    case 'K': {
        struct cv_buf *out = h[CV_TAR_AT_TYPE] == 'L' ? &t->long_name : &t->long_link;
        rc = read_extra(t, out, size, err);
        if (rc == 0 && out->n != 0) {
            out->n = strnlen((const char *)out->p, out->n); /* stored with its NUL */
        }
        return rc == 0 ? 1 : rc;
    }
    case 'V': /* the archive's label */
        set_data(t, size);
        rc = skip_rest(t, err);
        return rc == 0 ? 1 : rc;
    default:
        return 0;
    }
}

static int set_type(struct cv_tar_entry *e, uint8_t type, struct cv_error *err)
{
    static const struct {
        char flag;
        enum cv_tar_type type;
    } types[] = {{'0', CV_TAR_FILE}, {0, CV_TAR_FILE},        {'7', CV_TAR_FILE},
                 {'S', CV_TAR_FILE}, {'1', CV_TAR_HARD_LINK}, {'2', CV_TAR_SYMLINK},
                 {'3', CV_TAR_CHAR}, {'4', CV_TAR_BLOCK},     {'5', CV_TAR_FOLDER},
                 {'6', CV_TAR_FIFO}};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (types[i].flag == (char)type) {
            e->type = types[i].type;
            return 0;
        }
    }
    return cv_error_set(err, CV_ERR_UNSUPPORTED, "a tar entry of the unknown type 0x%02x", type);
}

static int set_numbers(struct cv_tar *t, const uint8_t *h, struct cv_error *err)
{
    struct cv_tar_entry *e = &t->entry;
    uint64_t mode, uid, gid, major, minor;
    if (!cv_tar_number(&mode, h + CV_TAR_AT_MODE, 8) ||
        !cv_tar_number(&uid, h + CV_TAR_AT_UID, 8) || !cv_tar_number(&gid, h + CV_TAR_AT_GID, 8)) {
        return cv_tar_bad(err, "a number of a header");
    }
    uid = t->local.has_uid ? t->local.uid : t->global.has_uid ? t->global.uid : uid;
    gid = t->local.has_gid ? t->local.gid : t->global.has_gid ? t->global.gid : gid;
    if (uid > UINT32_MAX - 1 || gid > UINT32_MAX - 1) {
        return cv_tar_bad(err, "an owner beyond 32 bits");
    }
    e->mode = (uint32_t)mode & 07777;
    e->uid = (uint32_t)uid;
    e->gid = (uint32_t)gid;
    if (e->type == CV_TAR_CHAR || e->type == CV_TAR_BLOCK) {
        if (!cv_tar_number(&major, h + CV_TAR_AT_MAJOR, 8) ||
            !cv_tar_number(&minor, h + CV_TAR_AT_MINOR, 8) || major > 0xfff ||
            minor > 0xfffff) { /* what a Linux dev_t holds */
            return cv_tar_bad(err, "a device number");
        }
        e->rmajor = (uint32_t)major;
        e->rminor = (uint32_t)minor;
    }
    return 0;
}

static int set_names(struct cv_tar *t, const uint8_t *h, struct cv_error *err)
{
    struct cv_tar_entry *e = &t->entry;
    e->name = choose(&t->local.path, t->local.has_path, &t->global.path, t->global.has_path,
                     &t->long_name, header_name(h));
    e->link = choose(&t->local.linkpath, t->local.has_link, &t->global.linkpath, t->global.has_link,
                     &t->long_link, field_text(h + CV_TAR_AT_LINK, 100));
    if (e->name == NULL || e->link == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    size_t n = strlen(e->name);
    if (n == 0) {
        return cv_tar_bad(err, "an entry without a name");
    }
    if (e->type == CV_TAR_FILE && e->name[n - 1] == '/') {
        e->type = CV_TAR_FOLDER; /* before POSIX, folders had no type */
    }
    if ((e->type == CV_TAR_HARD_LINK || e->type == CV_TAR_SYMLINK) && e->link[0] == 0) {
        return cv_tar_bad(err, "a link to nothing");
    }
    return 0;
}

static int set_entry(struct cv_tar *t, const uint8_t *h, uint64_t size, struct cv_error *err)
{
    struct cv_tar_entry *e = &t->entry;
    int rc = set_type(e, h[CV_TAR_AT_TYPE], err);
    if (rc == 0) {
        rc = set_names(t, h, err);
    }
    if (rc == 0) {
        rc = set_numbers(t, h, err);
    }
    if (rc == 0 && h[CV_TAR_AT_TYPE] == 'S') {
        rc = cv_tar_sparse_old(t, h, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (t->local.has_size) {
        size = t->local.size;
    }
    if (size > INT64_MAX) {
        return cv_tar_bad(err, "a size beyond any file");
    }
    e->has_xattr = t->local.xattr || t->global.xattr;
    /* Only files have data, whatever the others announce. */
    set_data(t, e->type == CV_TAR_FILE ? size : 0);
    e->size = t->left;
    if (e->type == CV_TAR_FILE && t->local.sparse) {
        rc = cv_tar_sparse_set(t, err);
    }
    e->stored = t->left;
    return rc;
}

int cv_tar_next(struct cv_tar *t, struct cv_tar_entry **entry, struct cv_error *err)
{
    clear_entry(t);
    cv_tar_pax_reset(&t->local);
    cv_buf_reset(&t->long_name);
    cv_buf_reset(&t->long_link);
    int rc = skip_rest(t, err);
    while (rc == 0) {
        uint8_t h[CV_TAR_BLOCK_SIZE];
        uint64_t size;
        rc = read_block(t, h, err);
        if (rc <= 0) {
            return rc;
        }
        if (++t->entries > CV_TAR_MAX_ENTRIES) {
            return cv_error_set(err, CV_ERR_LIMIT, "more than %u entries in a tar archive",
                                CV_TAR_MAX_ENTRIES);
        }
        if (!cv_tar_number(&size, h + CV_TAR_AT_SIZE, 12)) {
            return cv_tar_bad(err, "the size of an entry");
        }
        rc = take_extra(t, h, size, err);
        if (rc == 0) {
            rc = set_entry(t, h, size, err);
            *entry = &t->entry;
            return rc == 0 ? 1 : rc;
        }
        rc = rc > 0 ? 0 : rc;
    }
    return rc;
}
