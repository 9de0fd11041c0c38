/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_sign: the raw primitive on one core. For each scheme, signs a message
 * of 80 bytes for a while with a key that is ready, as a worker of the enclave
 * does, and prints {"tz1": nanoseconds, …} as JSON.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "crypto/init.h"
#include "crypto/scheme.h"

#define WARM_UP_US 100000
#define MEASURE_US 600000

/* Of processor time: what else the machine does does not count. */
static int64_t cpu_us(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) {
        exit(1);
    }
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static double nanoseconds(enum cv_scheme scheme)
{
    uint8_t secret[CV_PRIVATE_KEY_LEN];
    uint8_t message[80] = {0x13};
    struct cv_signing_key key = {.ready = false};
    struct cv_signature signature;
    if (cv_private_key_generate(scheme, secret, NULL) != CV_OK ||
        cv_signing_key_init(&key, scheme, secret) != CV_OK) {
        exit(1);
    }
    unsigned long count = 0;
    int64_t began = cpu_us();
    int64_t from = began + WARM_UP_US;
    int64_t now;
    int64_t counted_from = 0;
    do {
        message[79] = (uint8_t)count;
        if (cv_sign(&key, CV_SIGN_VERSION_2, CV_BYTES(message, sizeof message), &signature) !=
            CV_OK) {
            exit(1);
        }
        now = cpu_us();
        if (counted_from == 0 && now >= from) {
            counted_from = now;
            count = 0;
        } else {
            count++;
        }
    } while (counted_from == 0 || now < counted_from + MEASURE_US);
    cv_signing_key_free(&key);
    return (double)(now - counted_from) * 1000 / (double)count;
}

int main(void)
{
    if (cv_crypto_init() != CV_OK) {
        return 1;
    }
    printf("{");
    for (int i = 0; i < CV_SCHEME_COUNT; i++) {
        printf("%s\"%s\": %.0f", i > 0 ? ", " : "", cv_scheme_tz_name((enum cv_scheme)i),
               nanoseconds((enum cv_scheme)i));
    }
    printf("}\n");
    return 0;
}
