/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/init.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <sodium.h>

#include "common/bytes.h"
#include "crypto/table.h"

/* Each block of OpenSSL's heap is preceded by its size, so that it can be
 * wiped without asking the allocator how large it really is. */
#define HEAD 16

#if defined(__GNUC__) && !defined(__clang__)
/* gcc 12 believes that malloc's pointer + HEAD may be NULL, and so leaked. */
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

static void *wiping_malloc(size_t n, const char *file, int line)
{
    (void)file;
    (void)line;
    if (n == 0 || n > SIZE_MAX - HEAD)
        return NULL;
    uint8_t *p = malloc(n + HEAD);
    if (p == NULL)
        return NULL;
    memcpy(p, &n, sizeof(n));
    return p + HEAD;
}

static void wiping_free(void *ptr, const char *file, int line)
{
    (void)file;
    (void)line;
    if (ptr == NULL)
        return;
    uint8_t *p = (uint8_t *)ptr - HEAD;
    size_t n;
    memcpy(&n, p, sizeof(n));
    cv_wipe(p, n + HEAD);
    free(p);
}

static void *wiping_realloc(void *ptr, size_t n, const char *file, int line)
{
    if (ptr == NULL)
        return wiping_malloc(n, file, line);
    if (n == 0) {
        wiping_free(ptr, file, line);
        return NULL;
    }
    size_t old;
    memcpy(&old, (uint8_t *)ptr - HEAD, sizeof(old));
    void *fresh = wiping_malloc(n, file, line);
    if (fresh == NULL)
        return NULL;
    memcpy(fresh, ptr, old < n ? old : n);
    wiping_free(ptr, file, line);
    return fresh;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int result;

static void start(void)
{
    if (CRYPTO_set_mem_functions(wiping_malloc, wiping_realloc, wiping_free) != 1) {
        result = CV_ERR_STATE;
        return;
    }
    if (sodium_init() < 0) {
        result = CV_ERR_CRYPTO;
        return;
    }
    result = cv_secp256k1_start();
}

int cv_crypto_init(void)
{
    pthread_once(&once, start);
    return result;
}
