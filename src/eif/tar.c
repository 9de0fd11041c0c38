/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/tar.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK 512u

/* Offsets in a header block. */
enum {
    AT_NAME = 0,
    AT_MODE = 100,
    AT_UID = 108,
    AT_GID = 116,
    AT_SIZE = 124,
    AT_SUM = 148,
    AT_TYPE = 156,
    AT_LINK = 157,
    AT_MAGIC = 257,
    AT_MAJOR = 329,
    AT_MINOR = 337,
    AT_PREFIX = 345,
    AT_SPARSE = 386,
    AT_EXTENDED = 482,
    AT_REAL = 483,
};

static int bad(struct cv_error *err, const char *what)
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

/* ---- fields ---- */

/* Octal digits, or GNU's binary form with the top bit set. */
static bool number(uint64_t *out, const uint8_t *p, size_t n)
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
    if (!number(&want, h + AT_SUM, 8)) {
        return false;
    }
    uint32_t sum = 0;
    int32_t old = 0; /* some old tars added signed characters */
    for (size_t i = 0; i < BLOCK; i++) {
        uint8_t b = i >= AT_SUM && i < AT_SUM + 8 ? ' ' : h[i];
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
    t->pad = (BLOCK - size % BLOCK) % BLOCK;
}

int cv_tar_read(struct cv_tar *t, void *p, size_t n, struct cv_error *err)
{
    if (n > t->left) {
        return bad(err, "data beyond the entry");
    }
    t->left -= n;
    t->entry.stored = t->left;
    return cv_input_exact(t->in, p, n, err);
}

int cv_tar_skip(struct cv_tar *t, uint64_t n, struct cv_error *err)
{
    if (n > t->left) {
        return bad(err, "data beyond the entry");
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
static int read_block(struct cv_tar *t, uint8_t h[BLOCK], struct cv_error *err)
{
    size_t have = 0;
    while (have < BLOCK) {
        size_t got;
        int rc = cv_input_read(t->in, h + have, BLOCK - have, &got, err);
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
    if (have < BLOCK) {
        return cv_error_set(err, CV_ERR_TRUNCATED, "the tar archive ends too early");
    }
    if (all_zero(h, BLOCK)) {
        return 0; /* one block of zeros is enough for GNU tar as well */
    }
    return checksum_good(h) ? 1 : bad(err, "a header's checksum is wrong");
}

/* ---- names ---- */

static char *field_text(const uint8_t *p, size_t n)
{
    return strndup((const char *)p, n);
}

static char *header_name(const uint8_t *h)
{
    bool posix = memcmp(h + AT_MAGIC, "ustar\0", 6) == 0;
    if (!posix || h[AT_PREFIX] == 0) {
        return field_text(h, 100);
    }
    char *full;
    int n =
        asprintf(&full, "%.*s/%.*s", (int)strnlen((const char *)h + AT_PREFIX, 155),
                 (const char *)h + AT_PREFIX, (int)strnlen((const char *)h, 100), (const char *)h);
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

/* ---- sparse files ---- */

static int old_sparse(struct cv_tar *t, const uint8_t *h, struct cv_error *err)
{
    struct cv_tar_pax *p = &t->local;
    uint8_t more[BLOCK];
    const uint8_t *at = h + AT_SPARSE;
    unsigned slots = 4;
    bool extended = h[AT_EXTENDED] != 0;
    if (!number(&p->real_size, h + AT_REAL, 12)) {
        return bad(err, "the size of a sparse file");
    }
    for (;;) {
        for (unsigned i = 0; i < slots && at[24 * i + 12] != 0; i++) {
            uint64_t offset, length;
            if (!number(&offset, at + 24 * i, 12) || !number(&length, at + 24 * i + 12, 12)) {
                return bad(err, "the map of a sparse file");
            }
            int rc = cv_tar_add_extent(p, offset, length, err);
            if (rc != 0) {
                return rc;
            }
        }
        if (!extended) {
            break;
        }
        int rc = cv_input_exact(t->in, more, BLOCK, err);
        if (rc != 0) {
            return rc;
        }
        at = more;
        slots = 21;
        extended = more[504] != 0;
    }
    p->sparse = p->has_real = true;
    return 0;
}

/* Format 1.0: the map stands before the data, decimal numbers one a line. */
static int map_number(struct cv_tar *t, uint64_t *out, uint64_t *used, struct cv_error *err)
{
    uint64_t v = 0;
    for (unsigned digits = 0;; digits++) {
        char c;
        int rc = cv_tar_read(t, &c, 1, err);
        if (rc != 0) {
            return rc;
        }
        (*used)++;
        if (c == '\n' && digits != 0) {
            *out = v;
            return 0;
        }
        if (c < '0' || c > '9' || digits > 18) {
            return bad(err, "the map of a sparse file");
        }
        v = v * 10 + (uint64_t)(c - '0');
    }
}

static int map_in_data(struct cv_tar *t, struct cv_error *err)
{
    uint64_t used = 0, count;
    int rc = map_number(t, &count, &used, err);
    if (rc == 0 && count > CV_TAR_MAX_EXTENTS) {
        rc = cv_error_set(err, CV_ERR_LIMIT, "a sparse file of more than %u pieces",
                          CV_TAR_MAX_EXTENTS);
    }
    for (uint64_t i = 0; rc == 0 && i < count; i++) {
        uint64_t offset = 0, length = 0;
        rc = map_number(t, &offset, &used, err);
        if (rc == 0) {
            rc = map_number(t, &length, &used, err);
        }
        if (rc == 0) {
            rc = cv_tar_add_extent(&t->local, offset, length, err);
        }
    }
    uint64_t pad = (BLOCK - used % BLOCK) % BLOCK;
    return rc == 0 ? cv_tar_skip(t, pad, err) : rc;
}

static int set_sparse(struct cv_tar *t, struct cv_error *err)
{
    struct cv_tar_pax *p = &t->local;
    if (p->map_in_data) {
        int rc = map_in_data(t, err);
        if (rc != 0) {
            return rc;
        }
    }
    uint64_t sum = 0, end = 0;
    if (p->extent_count != 0) {
        const struct cv_tree_extent *last = &p->extents[p->extent_count - 1];
        sum = last->from + last->length;
        end = last->at + last->length;
    }
    if (!p->has_real || end > p->real_size || sum != t->left || p->real_size > INT64_MAX) {
        return bad(err, "the map of a sparse file does not fit its data");
    }
    t->entry.size = p->real_size;
    t->entry.extents = p->extents;
    t->entry.extent_count = p->extent_count;
    p->extents = NULL;
    p->extent_count = p->extent_cap = 0;
    return 0;
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
    switch (h[AT_TYPE]) {
    case 'x':
    case 'X':
    case 'g':
        rc = read_extra(t, &text, size, err);
        if (rc == 0) {
            rc = cv_tar_pax_parse(h[AT_TYPE] == 'g' ? &t->global : &t->local, cv_buf_view(&text),
                                  err);
        }
        return rc == 0 ? 1 : rc;
    case 'L':
    case 'K': {
        struct cv_buf *out = h[AT_TYPE] == 'L' ? &t->long_name : &t->long_link;
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
    if (!number(&mode, h + AT_MODE, 8) || !number(&uid, h + AT_UID, 8) ||
        !number(&gid, h + AT_GID, 8)) {
        return bad(err, "a number of a header");
    }
    uid = t->local.has_uid ? t->local.uid : t->global.has_uid ? t->global.uid : uid;
    gid = t->local.has_gid ? t->local.gid : t->global.has_gid ? t->global.gid : gid;
    if (uid > UINT32_MAX - 1 || gid > UINT32_MAX - 1) {
        return bad(err, "an owner beyond 32 bits");
    }
    e->mode = (uint32_t)mode & 07777;
    e->uid = (uint32_t)uid;
    e->gid = (uint32_t)gid;
    if (e->type == CV_TAR_CHAR || e->type == CV_TAR_BLOCK) {
        if (!number(&major, h + AT_MAJOR, 8) || !number(&minor, h + AT_MINOR, 8) || major > 0xfff ||
            minor > 0xfffff) { /* what a Linux dev_t holds */
            return bad(err, "a device number");
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
                     &t->long_link, field_text(h + AT_LINK, 100));
    if (e->name == NULL || e->link == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    size_t n = strlen(e->name);
    if (n == 0) {
        return bad(err, "an entry without a name");
    }
    if (e->type == CV_TAR_FILE && e->name[n - 1] == '/') {
        e->type = CV_TAR_FOLDER; /* before POSIX, folders had no type */
    }
    if ((e->type == CV_TAR_HARD_LINK || e->type == CV_TAR_SYMLINK) && e->link[0] == 0) {
        return bad(err, "a link to nothing");
    }
    return 0;
}

static int set_entry(struct cv_tar *t, const uint8_t *h, uint64_t size, struct cv_error *err)
{
    struct cv_tar_entry *e = &t->entry;
    int rc = set_type(e, h[AT_TYPE], err);
    if (rc == 0) {
        rc = set_names(t, h, err);
    }
    if (rc == 0) {
        rc = set_numbers(t, h, err);
    }
    if (rc == 0 && h[AT_TYPE] == 'S') {
        rc = old_sparse(t, h, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (t->local.has_size) {
        size = t->local.size;
    }
    if (size > INT64_MAX) {
        return bad(err, "a size beyond any file");
    }
    e->has_xattr = t->local.xattr || t->global.xattr;
    /* Only files have data, whatever the others announce. */
    set_data(t, e->type == CV_TAR_FILE ? size : 0);
    e->size = t->left;
    if (e->type == CV_TAR_FILE && t->local.sparse) {
        rc = set_sparse(t, err);
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
        uint8_t h[BLOCK];
        uint64_t size;
        rc = read_block(t, h, err);
        if (rc <= 0) {
            return rc;
        }
        if (++t->entries > CV_TAR_MAX_ENTRIES) {
            return cv_error_set(err, CV_ERR_LIMIT, "more than %u entries in a tar archive",
                                CV_TAR_MAX_ENTRIES);
        }
        if (!number(&size, h + AT_SIZE, 12)) {
            return bad(err, "the size of an entry");
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
