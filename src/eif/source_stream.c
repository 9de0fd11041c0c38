/* SPDX-License-Identifier: Apache-2.0 */
/* A source that cannot be read twice, such as a pipe from docker save: kept in a
 * nameless file of its own, since archives are read out of order. */
#include <errno.h>
#include <unistd.h>

#include "common/file.h"
#include "eif/source.h"
#include "eif/write.h"

#define PIECE 65536u

/* Up to N bytes; 0 at the end. */
static ssize_t read_some(int fd, void *p, size_t n)
{
    ssize_t got;
    do {
        got = read(fd, p, n);
    } while (got < 0 && errno == EINTR);
    return got;
}

int cv_source_keep_stream(struct cv_source *s, int stream, int *fd, uint64_t *size,
                          struct cv_error *err)
{
    uint8_t piece[PIECE];
    uint64_t limit = 2 * s->options->max_bytes;
    int rc = cv_eif_spool_open(fd, s->options->spool_dir, err);
    if (rc == 0) {
        rc = cv_source_keep_fd(s, *fd, err);
    }
    *size = 0;
    while (rc == 0) {
        ssize_t n = read_some(stream, piece, sizeof piece);
        if (n <= 0) {
            return n == 0 ? 0 : cv_error_errno(err, CV_ERR_IO, errno, "reading");
        }
        *size += (uint64_t)n;
        if (*size > limit) {
            rc = cv_error_set(err, CV_ERR_LIMIT,
                              "the source has more than %llu MiB; --max-size raises the limit",
                              (unsigned long long)limit >> 20);
        } else if (cv_fd_write_all(*fd, piece, (size_t)n) != 0) {
            rc = cv_error_errno(err, CV_ERR_IO, errno, "writing to the spool file in %s",
                                s->options->spool_dir);
        }
        if (rc == 0 && s->options->progress != NULL) {
            s->options->progress(s->options->progress_ctx, "receiving", *size, *size);
        }
    }
    return rc;
}
