/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifies an attestation document with libclaviger-attest.
 *
 *     cc attest_verify.c $(pkg-config --cflags --libs claviger-attest) -o attest_verify
 *     ./attest_verify DOCUMENT PCR0-HEX [ROOT.pem]
 *
 * Without a root it is AWS's. The document's age is not limited here; a server
 * that challenges an enclave sets now_ms, max_age_ms and the nonce as well.
 */
#include <claviger/attest.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t read_file(const char *path, unsigned char *out, size_t cap)
{
    FILE *f = fopen(path, "rb");
    size_t n = f != NULL ? fread(out, 1, cap, f) : 0;

    if (f == NULL || ferror(f)) {
        perror(path);
        exit(2);
    }
    fclose(f);
    return n;
}

static int parse_pcr(const char *hex, unsigned char out[48])
{
    for (size_t i = 0; i < 48; i++) {
        unsigned v;
        if (strlen(hex) != 96 || sscanf(hex + 2 * i, "%2x", &v) != 1)
            return -1;
        out[i] = (unsigned char)v;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static unsigned char bytes[CV_ATTEST_MAX_DOCUMENT + 1], root[8192];
    unsigned char pcr0[48];
    struct cv_attest_policy policy;
    struct cv_attest_document doc;
    struct cv_attest_error err;

    if (argc < 3 || argc > 4 || parse_pcr(argv[2], pcr0) != 0) {
        fprintf(stderr, "usage: %s DOCUMENT PCR0-HEX [ROOT.pem]\n", argv[0]);
        return 2;
    }
    size_t n = read_file(argv[1], bytes, sizeof bytes);
    cv_attest_policy_init(&policy);
    if (argc == 4) {
        policy.root_len = read_file(argv[3], root, sizeof root);
        policy.root = root;
    }
    if (cv_attest_expect_pcr(&policy, 0, pcr0, sizeof pcr0) != CV_ATTEST_OK ||
        cv_attest_verify(&doc, bytes, n, &policy, &err) != CV_ATTEST_OK) {
        fprintf(stderr, "refused (%s): %s\n", cv_attest_code_name(err.code), err.message);
        return 1;
    }
    printf("genuine: %.*s\n", (int)doc.module_id.n, (const char *)doc.module_id.p);
    return 0;
}
