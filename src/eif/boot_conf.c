/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/boot_conf.h"

#include <string.h>
#include <sys/stat.h>

#include "eif/cpio.h"
#include "eif/input.h"

#define HEADER 110u
#define FIELDS 13u

enum field { MODE = 1, FILESIZE = 6, NAMESIZE = 11 };

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

struct entry {
    char name[CV_CPIO_MAX_NAME];
    uint32_t field[FIELDS];
};

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

/* 1 with an entry, 0 at the end. */
static int next_entry(struct cv_input *in, struct entry *e, struct cv_error *err)
{
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
        if (!hex8(&e->field[i], head + 6 + 8 * i)) {
            return bad(err);
        }
    }
    uint32_t n = e->field[NAMESIZE];
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
    return rc == 0 ? 1 : rc;
}

/* The file's text into OUT when it is in this ramdisk. */
static int search(struct cv_input *in, struct cv_buf *out, bool *found, struct cv_error *err)
{
    struct entry e = {.name = ""};
    for (;;) {
        int rc = next_entry(in, &e, err);
        if (rc <= 0) {
            return rc;
        }
        uint32_t size = e.field[FILESIZE];
        bool wanted = strcmp(e.name, CV_BOOT_FILE) == 0 && S_ISREG(e.field[MODE]);
        if (wanted) {
            cv_buf_reset(out);
            uint8_t *room = size <= CV_BOOT_MAX_TEXT ? cv_buf_reserve(out, size) : NULL;
            if (room == NULL) {
                return cv_error_set(err, CV_ERR_LIMIT, "the measured settings are too large");
            }
            rc = size != 0 ? cv_input_exact(in, room, size, err) : 0;
            cv_buf_commit(out, rc == 0 ? size : 0);
            *found = true;
        } else {
            rc = cv_input_skip(in, size, err);
        }
        if (rc == 0) {
            rc = cv_input_skip(in, (4 - size % 4) % 4, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
}

int cv_eif_boot_settings(const struct cv_eif *eif, struct cv_boot_settings *s,
                         struct cv_error *err)
{
    cv_boot_init(s);
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_BOOT_MAX_TEXT);
    bool found = false;
    for (unsigned i = 0; i < eif->count; i++) {
        const struct cv_eif_section *section = &eif->sections[i];
        if (section->type != CV_EIF_RAMDISK) {
            continue;
        }
        struct cv_input in;
        int rc = cv_input_open(&in, eif->fd, section->offset, section->size, false, false, err);
        if (rc == 0) {
            rc = search(&in, &text, &found, err);
            cv_input_close(&in);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return found ? cv_boot_decode(s, cv_buf_view(&text), err)
                 : cv_error_set(err, CV_ERR_NOT_FOUND, "the image has no measured settings: it "
                                "was not made by \"claviger eif build\"");
}
