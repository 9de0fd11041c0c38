/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts signatures and key import behind standard input and output, for tests
 * in Python. One command a line, bytes in hexadecimal ("-" for none):
 *
 *   sign SCHEME VERSION KEY MESSAGE -> PUBLIC_KEY_TEXT SIGNATURE_TEXT PROOF_TEXT
 *   import PASSWORD CONTENT         -> SCHEME KEY PUBLIC_KEY_TEXT PKH SECRET_TEXT
 *
 * or "error CODE". VERSION is that of the enclave protocol; the proof is "-"
 * but for BLS.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "crypto/init.h"
#include "tezos/keyimport.h"
#include "tezos/keytext.h"

#define FIELD 20000

static uint8_t buffers[2][FIELD / 2];

static struct cv_bytes bytes(int which, const char *text)
{
    size_t n = 0;
    if (strcmp(text, "-") != 0 &&
        cv_hex_decode(buffers[which], sizeof(buffers[which]), &n, cv_bytes_str(text)) != 0)
        exit(1);
    return CV_BYTES(buffers[which], n);
}

static int sign(enum cv_scheme scheme, int version, struct cv_bytes key_bytes,
                struct cv_bytes message)
{
    CV_SIGNING_KEY_AUTO struct cv_signing_key key = {.ready = false};
    struct cv_signature sig, proof;
    char key_text[CV_PK_TEXT_SIZE], sig_text[CV_SIG_TEXT_SIZE], proof_text[CV_SIG_TEXT_SIZE] = "-";
    if (key_bytes.n != CV_PRIVATE_KEY_LEN)
        return CV_ERR_INVALID;
    int rc = cv_signing_key_init(&key, scheme, key_bytes.p);
    if (rc == 0)
        rc = cv_sign(&key, (enum cv_sign_version)version, message, &sig);
    if (rc == 0 && scheme == CV_SCHEME_BLS)
        rc = cv_prove_possession(&key, &proof);
    if (rc != 0)
        return rc;
    cv_public_key_format(key_text, &key.public_key);
    cv_signature_format(sig_text, &sig, false);
    if (scheme == CV_SCHEME_BLS)
        cv_signature_format(proof_text, &proof, false);
    printf("%s %s %s\n", key_text, sig_text, proof_text);
    return 0;
}

static int import(struct cv_bytes password, struct cv_bytes content)
{
    CV_SIGNING_KEY_AUTO struct cv_signing_key key = {.ready = false};
    CV_SECRET_AUTO struct cv_secret secret = CV_SECRET_INIT;
    CV_SECRET_AUTO struct cv_secret text = CV_SECRET_INIT;
    char hex[65], key_text[CV_PK_TEXT_SIZE], pkh_text[CV_PKH_TEXT_SIZE];
    enum cv_scheme scheme;
    struct cv_pkh pkh;
    int rc = cv_key_import(&secret, &scheme, content, password, NULL);
    if (rc == 0)
        rc = cv_signing_key_init(&key, scheme, secret.p);
    if (rc == 0)
        rc = cv_secret_key_to_text(&text, scheme, secret.p);
    if (rc != 0)
        return rc;
    cv_hex_encode(hex, secret.p, secret.n);
    cv_public_key_format(key_text, &key.public_key);
    cv_pkh_of(&pkh, &key.public_key);
    cv_pkh_format(pkh_text, &pkh);
    printf("%s %s %s %s %.*s\n", cv_scheme_name(scheme), hex, key_text, pkh_text, (int)text.n,
           (const char *)text.p);
    return 0;
}

static int command(const char *line)
{
    static char a[FIELD + 1], b[FIELD + 1];
    char scheme_name[32];
    enum cv_scheme scheme;
    int version;
    if (sscanf(line, "sign %31s %d %20000s %20000s", scheme_name, &version, a, b) == 4 &&
        cv_scheme_parse(&scheme, scheme_name) == 0)
        return sign(scheme, version, bytes(0, a), bytes(1, b));
    if (sscanf(line, "import %20000s %20000s", a, b) == 2)
        return import(bytes(0, a), bytes(1, b));
    exit(1);
}

int main(void)
{
    char *line = NULL;
    size_t cap = 0;
    if (cv_crypto_init() != 0)
        return 1;
    while (getline(&line, &cap, stdin) > 0) {
        int rc = command(line);
        if (rc != 0)
            printf("error %d\n", rc);
        fflush(stdout);
    }
    free(line);
    return 0;
}
