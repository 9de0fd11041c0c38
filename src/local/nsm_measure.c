/* SPDX-License-Identifier: Apache-2.0 */
/* Registers from files and names: one extension of a register of zeros, as AWS
 * measures images, roles and instances. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "local/nsm_internal.h"

static const uint8_t zeros[CV_LOCAL_PCR_BYTES];

void cv_local_sha384(uint8_t out[CV_LOCAL_PCR_BYTES], struct cv_bytes a, struct cv_bytes b)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, a.p, a.n) != 1 || EVP_DigestUpdate(ctx, b.p, b.n) != 1 ||
        EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        memset(out, 0, CV_LOCAL_PCR_BYTES);
    EVP_MD_CTX_free(ctx);
}

void cv_local_measure_text(uint8_t out[CV_LOCAL_PCR_BYTES], const char *text)
{
    cv_local_sha384(out, CV_BYTES(zeros, sizeof zeros), cv_bytes_str(text));
}

static int hash_file(EVP_MD_CTX *ctx, const char *path, struct cv_error *err)
{
    uint8_t buf[65536];
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return cv_error_errno(err, errno == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, errno,
                              "measuring %s", path);
    for (;;) {
        ssize_t n = read(fd, buf, sizeof buf);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = cv_error_errno(err, CV_ERR_IO, errno, "measuring %s", path);
        if (n <= 0)
            break;
        if (EVP_DigestUpdate(ctx, buf, (size_t)n) != 1) {
            rc = cv_error_set(err, CV_ERR_CRYPTO, "hashing %s failed", path);
            break;
        }
    }
    close(fd);
    return rc;
}

int cv_local_measure(uint8_t out[CV_LOCAL_PCR_BYTES], const char *const *paths, size_t count,
                     struct cv_error *err)
{
    uint8_t digest[CV_LOCAL_PCR_BYTES];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    int rc = 0;

    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) != 1)
        rc = cv_error_set(err, CV_ERR_CRYPTO, "SHA-384 is not to be had");
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = hash_file(ctx, paths[i], err);
    if (rc == 0 && EVP_DigestFinal_ex(ctx, digest, NULL) != 1)
        rc = cv_error_set(err, CV_ERR_CRYPTO, "SHA-384 failed");
    EVP_MD_CTX_free(ctx);
    if (rc == 0)
        cv_local_sha384(out, CV_BYTES(zeros, sizeof zeros), CV_BYTES(digest, sizeof digest));
    return rc;
}
