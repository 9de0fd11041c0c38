/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "common/file.h"
#include "common/hex.h"
#include "common/secret.h"
#include "common/writer.h"

#define BUFFER (256u << 10)

int cv_eif_dirname(char *dir, size_t size, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t n = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (n + 1 > size) {
        return CV_ERR_LIMIT;
    }
    memcpy(dir, slash == NULL ? "." : path, n);
    dir[n] = 0;
    return 0;
}

static void random_name(char *out, size_t size, const char *prefix)
{
    uint8_t raw[6];
    char hex[13];
    cv_random(raw, sizeof raw);
    cv_hex_encode(hex, raw, sizeof raw);
    snprintf(out, size, "%s.%s", prefix, hex);
}

int cv_eif_spool_open(int *fd, const char *dir, struct cv_error *err)
{
    *fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*fd >= 0) {
        return 0;
    }
    char path[4096 + 32], prefix[4096 + 16];
    snprintf(prefix, sizeof prefix, "%s/.claviger", dir);
    random_name(path, sizeof path, prefix);
    *fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (*fd < 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "making a temporary file in %s", dir);
    }
    unlink(path);
    return 0;
}

int cv_eif_writer_open(struct cv_eif_writer *w, const char *out_path, uint16_t flags,
                       struct cv_error *err)
{
    memset(w, 0, sizeof *w);
    w->fd = -1;
    w->version = 4;
    w->flags = flags;
    w->default_mem = CV_EIF_DEFAULT_MEM;
    w->default_cpus = CV_EIF_DEFAULT_CPUS;
    char dir[sizeof w->path];
    if ((size_t)snprintf(w->path, sizeof w->path, "%s", out_path) >= sizeof w->path ||
        cv_eif_dirname(dir, sizeof dir, out_path) != 0) {
        return cv_error_set(err, CV_ERR_LIMIT, "the output file's name is too long");
    }
    w->buffer = malloc(BUFFER);
    w->measured = EVP_MD_CTX_new();
    if (w->buffer == NULL || w->measured == NULL ||
        EVP_DigestInit_ex(w->measured, EVP_sha384(), NULL) != 1) {
        cv_eif_writer_close(w);
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    /* Without a name nothing is left behind, however the program ends. */
    w->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        random_name(w->tmp, sizeof w->tmp, w->path);
        w->fd = open(w->tmp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0666);
    }
    if (w->fd < 0) {
        int e = errno;
        w->tmp[0] = 0;
        cv_eif_writer_close(w);
        return cv_error_errno(err, CV_ERR_IO, e, "creating %s", out_path);
    }
    if (lseek(w->fd, CV_EIF_HEADER_LEN, SEEK_SET) < 0) {
        int e = errno;
        cv_eif_writer_close(w);
        return cv_error_errno(err, CV_ERR_IO, e, "writing %s", out_path);
    }
    w->at = CV_EIF_HEADER_LEN;
    w->crc = (uint32_t)crc32(0, NULL, 0);
    return 0;
}

static int flush(struct cv_eif_writer *w, struct cv_error *err)
{
    if (w->used != 0 && cv_fd_write_all(w->fd, w->buffer, w->used) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "writing %s", w->path);
    }
    w->used = 0;
    return 0;
}

static int put(struct cv_eif_writer *w, const uint8_t *p, size_t n, struct cv_error *err)
{
    while (n != 0) {
        size_t room = BUFFER - w->used, part = n < room ? n : room;
        memcpy(w->buffer + w->used, p, part);
        w->used += part;
        w->at += part;
        p += part;
        n -= part;
        int rc = w->used == BUFFER ? flush(w, err) : 0;
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static void section_header(uint8_t raw[CV_EIF_SECTION_HEADER_LEN],
                           const struct cv_eif_section *section)
{
    struct cv_writer w;
    cv_writer_init(&w, raw, CV_EIF_SECTION_HEADER_LEN);
    cv_write_be16(&w, (uint16_t)section->type);
    cv_write_be16(&w, 0);
    cv_write_be64(&w, section->size);
}

int cv_eif_writer_begin(struct cv_eif_writer *w, enum cv_eif_type type, struct cv_error *err)
{
    if (w->open || w->count == CV_EIF_MAX_SECTIONS) {
        return cv_error_set(err, CV_ERR_STATE, "no room for another section");
    }
    struct cv_eif_section *section = &w->sections[w->count];
    *section = (struct cv_eif_section){type, w->at + CV_EIF_SECTION_HEADER_LEN, 0};
    uint8_t raw[CV_EIF_SECTION_HEADER_LEN];
    section_header(raw, section);
    w->open = true;
    w->data_crc = (uint32_t)crc32(0, NULL, 0);
    return put(w, raw, sizeof raw, err);
}

int cv_eif_writer_data(struct cv_eif_writer *w, const void *p, size_t n, struct cv_error *err)
{
    struct cv_eif_section *section = &w->sections[w->count];
    section->size += n;
    const uint8_t *at = p;
    while (n != 0) {
        size_t part = n < (1u << 30) ? n : 1u << 30;
        w->data_crc = (uint32_t)crc32(w->data_crc, at, (uInt)part);
        if ((section->type == CV_EIF_KERNEL || section->type == CV_EIF_CMDLINE ||
             section->type == CV_EIF_RAMDISK) &&
            EVP_DigestUpdate(w->measured, at, part) != 1) {
            return cv_error_set(err, CV_ERR_NOMEM, "SHA-384 failed");
        }
        int rc = put(w, at, part, err);
        if (rc != 0) {
            return rc;
        }
        at += part;
        n -= part;
    }
    return 0;
}

int cv_eif_writer_copy(struct cv_eif_writer *w, int fd, uint64_t offset, uint64_t n,
                       struct cv_error *err)
{
    uint8_t piece[65536];
    while (n != 0) {
        ssize_t got = pread(fd, piece, n < sizeof piece ? (size_t)n : sizeof piece, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return cv_error_errno(err, CV_ERR_IO, errno, "reading");
        }
        if (got == 0) {
            return cv_error_set(err, CV_ERR_TRUNCATED, "a file became shorter while it was read");
        }
        int rc = cv_eif_writer_data(w, piece, (size_t)got, err);
        if (rc != 0) {
            return rc;
        }
        offset += (uint64_t)got;
        n -= (uint64_t)got;
    }
    return 0;
}

int cv_eif_writer_end(struct cv_eif_writer *w, struct cv_error *err)
{
    struct cv_eif_section *section = &w->sections[w->count];
    uint8_t raw[CV_EIF_SECTION_HEADER_LEN];
    section_header(raw, section);
    int rc = flush(w, err);
    if (rc != 0) {
        return rc;
    }
    /* The size stands before the data, and is known behind them. */
    if (pwrite(w->fd, raw, sizeof raw, (off_t)(section->offset - sizeof raw)) !=
        (ssize_t)sizeof raw) {
        return cv_error_errno(err, CV_ERR_IO, errno, "writing %s", w->path);
    }
    w->crc = (uint32_t)crc32(w->crc, raw, sizeof raw);
    w->crc = (uint32_t)crc32_combine(w->crc, w->data_crc, (z_off_t)section->size);
    w->open = false;
    w->count++;
    return 0;
}

int cv_eif_writer_section(struct cv_eif_writer *w, enum cv_eif_type type, struct cv_bytes data,
                          struct cv_error *err)
{
    int rc = cv_eif_writer_begin(w, type, err);
    if (rc == 0) {
        rc = cv_eif_writer_data(w, data.p, data.n, err);
    }
    return rc == 0 ? cv_eif_writer_end(w, err) : rc;
}

int cv_eif_writer_pcr0(const struct cv_eif_writer *w, uint8_t pcr0[CV_EIF_PCR_LEN],
                       struct cv_error *err)
{
    uint8_t digest[CV_EIF_PCR_LEN];
    EVP_MD_CTX *copy = EVP_MD_CTX_new();
    bool good = copy != NULL && EVP_MD_CTX_copy_ex(copy, w->measured) == 1 &&
                EVP_DigestFinal_ex(copy, digest, NULL) == 1;
    EVP_MD_CTX_free(copy);
    return good ? cv_eif_pcr_of_digest(pcr0, digest, err)
                : cv_error_set(err, CV_ERR_NOMEM, "SHA-384 failed");
}

static int sink_write(void *ctx, const void *p, size_t n, struct cv_error *err)
{
    return cv_eif_writer_data(ctx, p, n, err);
}

struct cv_sink cv_eif_writer_sink(struct cv_eif_writer *w)
{
    return (struct cv_sink){sink_write, w};
}

static int write_header(struct cv_eif_writer *e, struct cv_error *err)
{
    uint8_t raw[CV_EIF_HEADER_LEN];
    struct cv_writer w;
    cv_writer_init(&w, raw, sizeof raw);
    cv_write_raw(&w, ".eif", 4);
    cv_write_be16(&w, e->version);
    cv_write_be16(&w, e->flags);
    cv_write_be64(&w, e->default_mem);
    cv_write_be64(&w, e->default_cpus);
    cv_write_be16(&w, 0);
    cv_write_be16(&w, (uint16_t)e->count);
    for (unsigned i = 0; i < CV_EIF_MAX_SECTIONS; i++) {
        bool used = i < e->count;
        cv_write_be64(&w, used ? e->sections[i].offset - CV_EIF_SECTION_HEADER_LEN : 0);
    }
    for (unsigned i = 0; i < CV_EIF_MAX_SECTIONS; i++) {
        cv_write_be64(&w, i < e->count ? e->sections[i].size : 0);
    }
    cv_write_be32(&w, 0);
    uLong crc = crc32(crc32(0, NULL, 0), raw, CV_EIF_CRC_OFFSET);
    crc = crc32_combine(crc, e->crc, (z_off_t)(e->at - CV_EIF_HEADER_LEN));
    cv_write_be32(&w, (uint32_t)crc);
    if (pwrite(e->fd, raw, sizeof raw, 0) != (ssize_t)sizeof raw) {
        return cv_error_errno(err, CV_ERR_IO, errno, "writing %s", e->path);
    }
    return 0;
}

int cv_eif_writer_finish(struct cv_eif_writer *w, struct cv_error *err)
{
    int rc = flush(w, err);
    if (rc == 0) {
        rc = write_header(w, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (fsync(w->fd) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "writing %s", w->path);
    }
    if (w->tmp[0] == 0) {
        char self[64];
        snprintf(self, sizeof self, "/proc/self/fd/%d", w->fd);
        random_name(w->tmp, sizeof w->tmp, w->path);
        if (linkat(AT_FDCWD, self, AT_FDCWD, w->tmp, AT_SYMLINK_FOLLOW) != 0) {
            int e = errno;
            w->tmp[0] = 0;
            return cv_error_errno(err, CV_ERR_IO, e, "writing %s", w->path);
        }
    }
    if (rename(w->tmp, w->path) != 0) {
        return cv_error_errno(err, CV_ERR_IO, errno, "writing %s", w->path);
    }
    w->tmp[0] = 0;
    char dir[sizeof w->path];
    rc = cv_eif_dirname(dir, sizeof dir, w->path);
    return rc == 0 ? cv_dir_sync(dir, err) : rc;
}

void cv_eif_writer_close(struct cv_eif_writer *w)
{
    if (w->fd >= 0) {
        close(w->fd);
    }
    if (w->tmp[0] != 0) {
        unlink(w->tmp);
    }
    EVP_MD_CTX_free(w->measured);
    free(w->buffer);
    w->fd = -1;
    w->tmp[0] = 0;
    w->measured = NULL;
    w->buffer = NULL;
}
