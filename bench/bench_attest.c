/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_attest DOCUMENT ROOT.pem: what the verification of an attestation
 * document costs on one core, against the raw cost of the five ECDSA P-384
 * verifications in it. Prints JSON: nanoseconds of each.
 */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "claviger/attest.h"
#include "common/file.h"

#define MEASURE_US 1500000
#define RAW_VERIFICATIONS 5 /* regional, zonal, instance, leaf, document */

static int64_t cpu_us(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) {
        exit(1);
    }
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

struct raw {
    EVP_PKEY *key;
    uint8_t message[600]; /* about a certificate */
    uint8_t sig[128];
    size_t n;
};

static void raw_make(struct raw *r)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    r->key = EVP_EC_gen("P-384");
    r->n = sizeof r->sig;
    if (ctx == NULL || r->key == NULL ||
        EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, r->key) != 1 ||
        EVP_DigestSign(ctx, r->sig, &r->n, r->message, sizeof r->message) != 1) {
        exit(1);
    }
    EVP_MD_CTX_free(ctx);
}

static void raw_once(const struct raw *r)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestVerifyInit(ctx, NULL, EVP_sha384(), NULL, r->key) != 1 ||
        EVP_DigestVerify(ctx, r->sig, r->n, r->message, sizeof r->message) != 1) {
        exit(1);
    }
    EVP_MD_CTX_free(ctx);
}

static double raw_nanoseconds(const struct raw *r)
{
    unsigned long count = 0;
    int64_t from = cpu_us(), now;
    do {
        raw_once(r);
        count++;
        now = cpu_us();
    } while (now < from + MEASURE_US);
    return (double)(now - from) * 1000 / (double)count;
}

static double document_nanoseconds(struct cv_bytes document, const struct cv_attest_policy *policy)
{
    struct cv_attest_error err;
    unsigned long count = 0;
    int64_t from = cpu_us(), now;
    do {
        if (cv_attest_verify(NULL, document.p, document.n, policy, &err) != CV_ATTEST_OK) {
            (void)fprintf(stderr, "bench_attest: refused: %s\n", err.message);
            exit(1);
        }
        count++;
        now = cpu_us();
    } while (now < from + MEASURE_US);
    return (double)(now - from) * 1000 / (double)count;
}

int main(int argc, char **argv)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf document, root;
    struct cv_attest_policy policy;
    struct cv_error err;
    struct raw raw = {0};
    cv_buf_init(&document, CV_ATTEST_MAX_DOCUMENT);
    cv_buf_init(&root, 16384);
    cv_error_clear(&err);
    if (argc != 3 || cv_file_read(&document, argv[1], &err) != 0 ||
        cv_file_read(&root, argv[2], &err) != 0) {
        (void)fprintf(stderr, "usage: bench_attest DOCUMENT ROOT.pem\n");
        return 2;
    }
    cv_attest_policy_init(&policy);
    policy.root = root.p;
    policy.root_len = root.n;
    raw_make(&raw);
    double one = raw_nanoseconds(&raw);
    double whole = document_nanoseconds(cv_buf_view(&document), &policy);
    EVP_PKEY_free(raw.key);
    (void)printf(
        "{\"p384_verify_ns\": %.0f, \"five_ns\": %.0f, \"document_ns\": %.0f, \"documents_per_second\": %.1f, "
        "\"over_raw\": %.3f}\n",
        one, RAW_VERIFICATIONS * one, whole, 1e9 / whole, whole / (RAW_VERIFICATIONS * one));
    return 0;
}
