/* SPDX-License-Identifier: Apache-2.0 */
/* Images in memory for the tests of src/eif. */
#ifndef CV_TESTS_EIF_SUPPORT_H
#define CV_TESTS_EIF_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "common/file.h"
#include "eif/describe.h"
#include "eif/signature.h"

#define AT_2024 1704067200000LL

/* A descriptor of a file that holds the N bytes at P. */
static inline int image_fd(const void *p, size_t n)
{
    int fd = memfd_create("image", MFD_CLOEXEC);
    if (fd < 0 || cv_fd_write_all(fd, p, n) != 0) {
        abort();
    }
    return fd;
}

static inline void image_load(struct cv_buf *out, const char *folder_env, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", getenv(folder_env), name);
    cv_buf_init(out, 1 << 20);
    if (cv_file_read(out, path, NULL) != 0) {
        fprintf(stderr, "cannot read %s\n", path);
        abort();
    }
}

/* Stores the CRC that belongs to the image, so that a test reaches the check
 * that it is about. */
static inline void image_fix_crc(uint8_t *p, size_t n)
{
    uLong crc = crc32(crc32(0, NULL, 0), p, CV_EIF_CRC_OFFSET);
    crc = crc32(crc, p + CV_EIF_HEADER_LEN, (uInt)(n - CV_EIF_HEADER_LEN));
    for (unsigned i = 0; i < 4; i++) {
        p[CV_EIF_CRC_OFFSET + i] = (uint8_t)(crc >> (24 - 8 * i));
    }
}

/* Everything a verifier would do: 0 only for an image that is whole and, when
 * signed, validly so in 2024. */
static inline int image_check(const void *p, size_t n, struct cv_eif_pcrs *pcrs,
                              struct cv_error *err)
{
    struct cv_eif eif;
    int rc = cv_eif_open_fd(&eif, image_fd(p, n), err);
    if (rc != 0) {
        return rc;
    }
    json_t *json = NULL;
    bool good = false;
    rc = cv_eif_measure(&eif, pcrs, err);
    if (rc == 0) {
        rc = cv_eif_describe(&eif, AT_2024, &json, &good, err);
    }
    json_decref(json);
    cv_eif_close(&eif);
    return rc != 0 ? rc : good ? 0 : CV_ERR_CRYPTO;
}

#endif
