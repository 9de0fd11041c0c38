/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/read.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/reader.h"

#define PIECE 65536u

const char *cv_eif_type_name(enum cv_eif_type type)
{
    switch (type) {
    case CV_EIF_KERNEL:
        return "kernel";
    case CV_EIF_CMDLINE:
        return "cmdline";
    case CV_EIF_RAMDISK:
        return "ramdisk";
    case CV_EIF_SIGNATURE:
        return "signature";
    case CV_EIF_METADATA:
        return "metadata";
    }
    return "unknown";
}

int cv_eif_read_at(const struct cv_eif *eif, uint64_t offset, void *p, size_t n,
                   struct cv_error *err)
{
    uint8_t *at = p;
    while (n != 0) {
        ssize_t got = pread(eif->fd, at, n, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return cv_error_errno(err, CV_ERR_IO, errno, "reading the image");
        }
        if (got == 0) {
            return cv_error_set(err, CV_ERR_TRUNCATED, "the image ends at byte %llu, too early",
                                (unsigned long long)offset);
        }
        at += got;
        offset += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

/* ---- header ---- */

struct table {
    uint64_t offsets[CV_EIF_MAX_SECTIONS];
    uint64_t sizes[CV_EIF_MAX_SECTIONS];
};

static int parse_header(struct cv_eif *eif, struct table *t, struct cv_bytes raw,
                        struct cv_error *err)
{
    struct cv_reader r;
    cv_reader_init(&r, raw);
    struct cv_bytes magic = cv_read_bytes(&r, 4);
    eif->version = cv_read_be16(&r);
    eif->flags = cv_read_be16(&r);
    eif->default_mem = cv_read_be64(&r);
    eif->default_cpus = cv_read_be64(&r);
    uint16_t reserved = cv_read_be16(&r);
    eif->count = cv_read_be16(&r);
    for (unsigned i = 0; i < CV_EIF_MAX_SECTIONS; i++) {
        t->offsets[i] = cv_read_be64(&r);
    }
    for (unsigned i = 0; i < CV_EIF_MAX_SECTIONS; i++) {
        t->sizes[i] = cv_read_be64(&r);
    }
    uint32_t unused = cv_read_be32(&r);
    eif->crc = cv_read_be32(&r);
    if (cv_reader_end(&r) != 0) {
        return cv_error_set(err, CV_ERR_TRUNCATED, "the file is shorter than an image's header");
    }
    if (!cv_bytes_equal_str(magic, ".eif")) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "this is no enclave image: it does not begin "
                            "with \".eif\"");
    }
    if (eif->version < 2 || eif->version > 4) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "image format version %u is not supported "
                            "(2, 3 and 4 are)",
                            eif->version);
    }
    if ((eif->flags & ~CV_EIF_FLAG_ARM64) != 0) {
        return cv_error_set(err, CV_ERR_INVALID, "unknown header flags 0x%04x", eif->flags);
    }
    if (reserved != 0 || unused != 0) {
        return cv_error_set(err, CV_ERR_INVALID, "a reserved field of the header is not zero");
    }
    if (eif->count < 2 || eif->count > CV_EIF_MAX_SECTIONS) {
        return cv_error_set(err, CV_ERR_INVALID, "%u sections, where 2 to %u are allowed",
                            eif->count, CV_EIF_MAX_SECTIONS);
    }
    for (unsigned i = eif->count; i < CV_EIF_MAX_SECTIONS; i++) {
        if (t->offsets[i] != 0 || t->sizes[i] != 0) {
            return cv_error_set(err, CV_ERR_INVALID,
                                "the header's table has an entry %u beyond "
                                "its %u sections",
                                i, eif->count);
        }
    }
    return 0;
}

/* ---- sections ---- */

static int parse_section(struct cv_eif *eif, const struct table *t, unsigned i, uint64_t *at,
                         struct cv_error *err)
{
    if (t->offsets[i] != *at) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "section %u begins at byte %llu, but the "
                            "header's table says %llu",
                            i, (unsigned long long)*at, (unsigned long long)t->offsets[i]);
    }
    if (eif->file_size - *at < CV_EIF_SECTION_HEADER_LEN) {
        return cv_error_set(err, CV_ERR_TRUNCATED, "the image ends in the header of section %u", i);
    }
    uint8_t raw[CV_EIF_SECTION_HEADER_LEN];
    int rc = cv_eif_read_at(eif, *at, raw, sizeof raw, err);
    if (rc != 0) {
        return rc;
    }
    struct cv_reader r;
    cv_reader_init(&r, CV_BYTES(raw, sizeof raw));
    uint16_t type = cv_read_be16(&r);
    uint16_t flags = cv_read_be16(&r);
    uint64_t size = cv_read_be64(&r);
    if (type < CV_EIF_KERNEL || type > CV_EIF_METADATA) {
        return cv_error_set(err, CV_ERR_INVALID, "section %u has the unknown type %u", i, type);
    }
    if (flags != 0) {
        return cv_error_set(err, CV_ERR_INVALID, "section %u has unknown flags 0x%04x", i, flags);
    }
    if (size != t->sizes[i]) {
        return cv_error_set(
            err, CV_ERR_INVALID, "section %u has %llu bytes, but the header's table says %llu%s", i,
            (unsigned long long)size, (unsigned long long)t->sizes[i],
            type == CV_EIF_SIGNATURE ? ": nitro-cli leaves it so when it signs an image again"
                                     : "");
    }
    *at += CV_EIF_SECTION_HEADER_LEN;
    if (size > eif->file_size - *at) {
        return cv_error_set(err, CV_ERR_TRUNCATED,
                            "section %u (%s) announces %llu bytes, more "
                            "than the file has",
                            i, cv_eif_type_name((enum cv_eif_type)type), (unsigned long long)size);
    }
    eif->sections[i] = (struct cv_eif_section){(enum cv_eif_type)type, *at, size};
    *at += size;
    return 0;
}

static int check_rules(const struct cv_eif *eif, struct cv_error *err)
{
    unsigned seen[CV_EIF_METADATA + 1] = {0};
    for (unsigned i = 0; i < eif->count; i++) {
        const struct cv_eif_section *s = &eif->sections[i];
        if (s->type == CV_EIF_RAMDISK && seen[CV_EIF_KERNEL] == 0) {
            return cv_error_set(err, CV_ERR_INVALID, "a ramdisk stands before the kernel");
        }
        seen[s->type]++;
        if (s->type == CV_EIF_SIGNATURE && s->size > CV_EIF_MAX_SIGNATURE) {
            return cv_error_set(err, CV_ERR_LIMIT, "the signature section is larger than %u bytes",
                                CV_EIF_MAX_SIGNATURE);
        }
        if (s->type == CV_EIF_METADATA && s->size > CV_EIF_MAX_METADATA) {
            return cv_error_set(err, CV_ERR_LIMIT, "the metadata section is larger than %u bytes",
                                CV_EIF_MAX_METADATA);
        }
        if (s->type == CV_EIF_CMDLINE && s->size > CV_EIF_MAX_CMDLINE) {
            return cv_error_set(err, CV_ERR_LIMIT,
                                "the kernel's command line is longer than %u "
                                "bytes",
                                CV_EIF_MAX_CMDLINE);
        }
    }
    for (unsigned type = CV_EIF_KERNEL; type <= CV_EIF_METADATA; type++) {
        if (type != CV_EIF_RAMDISK && seen[type] > 1) {
            return cv_error_set(err, CV_ERR_INVALID, "more than one %s section",
                                cv_eif_type_name((enum cv_eif_type)type));
        }
        bool needed = type <= CV_EIF_RAMDISK || (type == CV_EIF_METADATA && eif->version >= 4);
        if (needed && seen[type] == 0) {
            return cv_error_set(err, CV_ERR_INVALID, "no %s section",
                                cv_eif_type_name((enum cv_eif_type)type));
        }
    }
    return 0;
}

static int parse(struct cv_eif *eif, struct cv_error *err)
{
    struct stat st;
    if (fstat(eif->fd, &st) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "reading the image");
    }
    if (!S_ISREG(st.st_mode)) {
        return cv_error_set(err, CV_ERR_INVALID, "an enclave image must be a regular file");
    }
    eif->file_size = (uint64_t)st.st_size;
    if (eif->file_size < CV_EIF_HEADER_LEN) {
        return cv_error_set(err, CV_ERR_TRUNCATED, "the file is shorter than an image's header");
    }
    uint8_t raw[CV_EIF_HEADER_LEN];
    struct table t;
    int rc = cv_eif_read_at(eif, 0, raw, sizeof raw, err);
    if (rc == 0) {
        rc = parse_header(eif, &t, CV_BYTES(raw, sizeof raw), err);
    }
    uint64_t at = CV_EIF_HEADER_LEN;
    for (unsigned i = 0; rc == 0 && i < eif->count; i++) {
        rc = parse_section(eif, &t, i, &at, err);
    }
    if (rc == 0 && at != eif->file_size) {
        rc = cv_error_set(err, CV_ERR_TRAILING, "%llu bytes stand after the last section",
                          (unsigned long long)(eif->file_size - at));
    }
    return rc == 0 ? check_rules(eif, err) : rc;
}

int cv_eif_open_fd(struct cv_eif *eif, int fd, struct cv_error *err)
{
    *eif = (struct cv_eif){.fd = fd};
    int rc = parse(eif, err);
    if (rc != 0) {
        cv_eif_close(eif);
    }
    return rc;
}

int cv_eif_open(struct cv_eif *eif, const char *path, struct cv_error *err)
{
    /* O_NONBLOCK: a FIFO of that name must not hold us up. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        eif->fd = -1;
        return cv_error_errno(err, errno == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, errno,
                              "opening %s", path);
    }
    int rc = cv_eif_open_fd(eif, fd, err);
    if (rc != 0) {
        cv_error_wrap(err, "%s", path);
    }
    return rc;
}

void cv_eif_close(struct cv_eif *eif)
{
    if (eif->fd >= 0) {
        close(eif->fd);
    }
    eif->fd = -1;
    eif->count = 0;
}

const struct cv_eif_section *cv_eif_find(const struct cv_eif *eif, enum cv_eif_type type)
{
    for (unsigned i = 0; i < eif->count; i++) {
        if (eif->sections[i].type == type) {
            return &eif->sections[i];
        }
    }
    return NULL;
}

int cv_eif_read_section(const struct cv_eif *eif, const struct cv_eif_section *section,
                        struct cv_buf *out, struct cv_error *err)
{
    cv_buf_reset(out);
    if (section->size > out->limit) {
        return cv_error_set(err, CV_ERR_LIMIT, "the %s section is larger than %zu bytes",
                            cv_eif_type_name(section->type), out->limit);
    }
    size_t n = (size_t)section->size;
    uint8_t *room = cv_buf_reserve(out, n);
    if (room == NULL) {
        return n == 0 ? 0 : cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    int rc = cv_eif_read_at(eif, section->offset, room, n, err);
    if (rc == 0) {
        cv_buf_commit(out, n);
    }
    return rc;
}

int cv_eif_check_crc(const struct cv_eif *eif, bool *good, struct cv_error *err)
{
    static const unsigned skip = 4; /* the CRC itself */
    uint8_t piece[PIECE];
    uLong crc = crc32(0, NULL, 0);
    uint64_t at = 0;
    while (at < eif->file_size) {
        uint64_t end = at < CV_EIF_CRC_OFFSET ? CV_EIF_CRC_OFFSET : eif->file_size;
        size_t n = end - at < PIECE ? (size_t)(end - at) : PIECE;
        int rc = cv_eif_read_at(eif, at, piece, n, err);
        if (rc != 0) {
            return rc;
        }
        crc = crc32(crc, piece, (uInt)n);
        at += n;
        if (at == CV_EIF_CRC_OFFSET) {
            at += skip;
        }
    }
    *good = (uint32_t)crc == eif->crc;
    return 0;
}
