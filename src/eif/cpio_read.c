/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/cpio_read.h"

#include <string.h>

#define HEADER 110u
#define FIELDS 13u

enum field { INO, MODE, UID, GID, NLINK, MTIME, FILESIZE, NAMESIZE = 11 };

static int bad(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_INVALID, "a ramdisk is no cpio archive of the newc kind");
}

static bool hex8(uint32_t *out, const char *p)
{
    uint32_t v = 0;
    for (int i = 0; i < 8; i++) {
        char c = p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                                : 16;
        if (digit > 15) {
            return false;
        }
        v = v << 4 | digit;
    }
    *out = v;
    return true;
}

/* Zeros stand between archives. 1 with the first byte of a header in *FIRST. */
static int skip_zeros(struct cv_input *in, char *first, struct cv_error *err)
{
    size_t got = 1;
    *first = 0;
    while (got != 0 && *first == 0) {
        int rc = cv_input_read(in, first, 1, &got, err);
        if (rc != 0) {
            return rc;
        }
    }
    return got != 0 ? 1 : 0;
}

int cv_cpio_next(struct cv_input *in, struct cv_cpio_found *e, struct cv_error *err)
{
    uint32_t field[FIELDS];
    char head[HEADER];
    int rc = skip_zeros(in, &head[0], err);
    if (rc <= 0) {
        return rc;
    }
    rc = cv_input_exact(in, head + 1, HEADER - 1, err);
    if (rc != 0 || memcmp(head, "070701", 6) != 0) {
        return rc != 0 ? rc : bad(err);
    }
    for (unsigned i = 0; i < FIELDS; i++) {
        if (!hex8(&field[i], head + 6 + 8 * i)) {
            return bad(err);
        }
    }
    uint32_t n = field[NAMESIZE];
    if (n == 0 || n > sizeof e->name) {
        return bad(err);
    }
    rc = cv_input_exact(in, e->name, n, err);
    if (rc == 0 && e->name[n - 1] != 0) {
        return bad(err);
    }
    if (rc == 0) {
        rc = cv_input_skip(in, (4 - (HEADER + n) % 4) % 4, err);
    }
    e->ino = field[INO];
    e->mode = field[MODE];
    e->uid = field[UID];
    e->gid = field[GID];
    e->nlink = field[NLINK];
    e->mtime = field[MTIME];
    e->size = field[FILESIZE];
    return rc == 0 ? 1 : rc;
}

int cv_cpio_pad(struct cv_input *in, const struct cv_cpio_found *e, struct cv_error *err)
{
    return cv_input_skip(in, (4 - e->size % 4) % 4, err);
}
