/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base58 keys. Encrypted ones are salt (8) || secretbox (48) of the 32 bytes
 * that the plain kind holds; the box's key is PBKDF2-HMAC-SHA-512 of the
 * password over 32768 rounds, its nonce zero, since the salt is never reused.
 */
#include <string.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "tezos/keyimport_kinds.h"
#include "tezos/keytext.h"

#define SALT_LEN 8
#define BOX_LEN (CV_PRIVATE_KEY_LEN + crypto_secretbox_MACBYTES)
#define ROUNDS 32768

static bool encrypted_kind(enum cv_text_kind kind)
{
    return kind >= CV_TEXT_ESK_ED25519 && kind <= CV_TEXT_ESK_BLS;
}

bool cv_key_is_encrypted_base58(struct cv_bytes in)
{
    uint8_t payload[CV_TEXT_PAYLOAD_MAX];
    enum cv_text_kind kind;
    size_t n;
    bool yes = cv_text_parse(&kind, payload, &n, in) == 0 && encrypted_kind(kind);
    cv_wipe(payload, sizeof(payload));
    return yes;
}

/* The plain kind's payload out of the encrypted kind's. */
static int open_box(uint8_t plain[CV_PRIVATE_KEY_LEN], const uint8_t *payload,
                    struct cv_bytes password, struct cv_error *err)
{
    static const uint8_t nonce[crypto_secretbox_NONCEBYTES];
    uint8_t key[crypto_secretbox_KEYBYTES];
    const char *text = password.n > 0 ? (const char *)password.p : "";
    if (PKCS5_PBKDF2_HMAC(text, (int)password.n, payload, SALT_LEN, ROUNDS, EVP_sha512(),
                          sizeof(key), key) != 1) {
        ERR_clear_error();
        return cv_error_set(err, CV_ERR_CRYPTO, "PBKDF2 failed");
    }
    int rc = crypto_secretbox_open_easy(plain, payload + SALT_LEN, BOX_LEN, nonce, key);
    cv_wipe(key, sizeof(key));
    if (rc != 0)
        return cv_error_set(err, CV_ERR_DENIED, "the password of the encrypted key is wrong");
    return 0;
}

/* Decrypts, and reads the result as the plain kind through its text, so that
 * there is one way only from bytes to a key. */
static int import_encrypted(struct cv_secret *out, enum cv_scheme *scheme, enum cv_text_kind kind,
                            const uint8_t *payload, struct cv_bytes password, struct cv_error *err)
{
    uint8_t plain[CV_PRIVATE_KEY_LEN];
    char text[CV_BASE58_TEXT_MAX];
    enum cv_text_kind plain_kind =
        (enum cv_text_kind)((unsigned)kind - CV_TEXT_ESK_ED25519 + CV_TEXT_SK_ED25519_SEED);
    if (password.n > CV_KEY_FILE_MAX)
        return cv_error_set(err, CV_ERR_INVALID, "the password is too long");
    int rc = open_box(plain, payload, password, err);
    if (rc != 0)
        return rc;
    rc = cv_text_format(text, sizeof(text), plain_kind, CV_BYTES(plain, sizeof(plain)));
    if (rc == 0)
        rc = cv_secret_key_from_text(out, scheme, cv_bytes_str(text));
    cv_wipe(plain, sizeof(plain));
    cv_wipe(text, sizeof(text));
    if (rc != 0)
        return cv_error_set(err, rc, "the decrypted value is no private key of its type");
    return 0;
}

/* What was found where a private key was wanted. */
static const char *what_is_wrong(int rc)
{
    switch (rc) {
    case CV_ERR_CRYPTO:
        return "the checksum of the key is wrong: a character is missing or mistyped";
    case CV_ERR_NOMEM:
        return "no secret memory for a private key";
    default:
        return "it is no private key: expected PEM, DER, or base58 that starts with edsk, spsk, "
               "p2sk, BLsk, edesk, spesk, p2esk or BLesk";
    }
}

int cv_key_import_base58(struct cv_secret *out, enum cv_scheme *scheme, struct cv_bytes in,
                         struct cv_bytes password, struct cv_error *err)
{
    uint8_t payload[CV_TEXT_PAYLOAD_MAX];
    enum cv_text_kind kind;
    size_t n;
    int rc = cv_text_parse(&kind, payload, &n, in);
    if (rc != 0) {
        cv_error_set(err, rc, "%s", what_is_wrong(rc));
        rc = rc == CV_ERR_CRYPTO ? CV_ERR_INVALID : rc;
        if (err != NULL)
            err->code = rc;
        return rc;
    }
    if (encrypted_kind(kind)) {
        rc = import_encrypted(out, scheme, kind, payload, password, err);
    } else {
        rc = cv_secret_key_from_text(out, scheme, in);
        if (rc != 0)
            cv_error_set(err, rc, "%s", what_is_wrong(rc));
    }
    cv_wipe(payload, sizeof(payload));
    return rc;
}
