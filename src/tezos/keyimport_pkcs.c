/* SPDX-License-Identifier: Apache-2.0 */
/* PEM and DER: PKCS #8 plain and encrypted (RFC 5958), and SEC 1 (RFC 5915). */
#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "tezos/keyimport_kinds.h"

static const char pem_start[] = "-----BEGIN ";

/* Position of NEEDLE in IN, or in.n. */
static size_t find(struct cv_bytes in, const char *needle)
{
    void *at = in.n == 0 ? NULL : memmem(in.p, in.n, needle, strlen(needle));
    return at == NULL ? in.n : (size_t)((const uint8_t *)at - in.p);
}

/* "-----BEGIN " at the start of a line: "EC PARAMETERS" or bag attributes may
 * stand before the key. */
bool cv_key_is_pem(struct cv_bytes in)
{
    size_t at = find(in, pem_start);
    return at < in.n && (at == 0 || in.p[at - 1] == '\n');
}

bool cv_key_is_encrypted_pem(struct cv_bytes in)
{
    return find(in, "-----BEGIN ENCRYPTED PRIVATE KEY-----") < in.n ||
           find(in, "\nProc-Type: 4,ENCRYPTED") < in.n;
}

bool cv_key_is_der(struct cv_bytes in)
{
    /* The tag of a SEQUENCE is the character '0', which is not in the alphabet
     * of base58. */
    return in.n > 2 && in.p[0] == 0x30;
}

bool cv_key_is_encrypted_der(struct cv_bytes in)
{
    const unsigned char *p = in.p;
    X509_SIG *sig = d2i_X509_SIG(NULL, &p, (long)in.n);
    bool yes = sig != NULL;
    X509_SIG_free(sig);
    ERR_clear_error();
    return yes;
}

/* Gives OpenSSL the password, and remembers that it asked. */
struct password {
    struct cv_bytes bytes;
    bool asked;
};

static int give_password(char *out, int size, int writing, void *ctx)
{
    struct password *password = ctx;
    (void)writing;
    password->asked = true;
    if (size < 0 || password->bytes.n == 0 || password->bytes.n > (size_t)size)
        return -1;
    memcpy(out, password->bytes.p, password->bytes.n);
    return (int)password->bytes.n;
}

/* The private scalar, 32 bytes big-endian. */
static int take_scalar(uint8_t key[CV_PRIVATE_KEY_LEN], const EVP_PKEY *pkey)
{
    BIGNUM *d = NULL;
    int rc = CV_ERR_INVALID;
    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1 &&
        BN_bn2binpad(d, key, CV_PRIVATE_KEY_LEN) == CV_PRIVATE_KEY_LEN)
        rc = 0;
    BN_clear_free(d);
    return rc;
}

static int take_ec(uint8_t key[CV_PRIVATE_KEY_LEN], enum cv_scheme *scheme, const EVP_PKEY *pkey,
                   struct cv_error *err)
{
    char group[64];
    if (EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group),
                                       NULL) != 1)
        return cv_error_set(err, CV_ERR_INVALID, "the curve of the private key has no name");
    if (strcmp(group, "prime256v1") == 0 || strcmp(group, "P-256") == 0)
        *scheme = CV_SCHEME_P256;
    else if (strcmp(group, "secp256k1") == 0)
        *scheme = CV_SCHEME_SECP256K1;
    else
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "the private key is on a curve that Tezos does not use; expected "
                            "P-256, secp256k1 or Ed25519");
    if (take_scalar(key, pkey) != 0 || cv_private_key_check(*scheme, key) != 0)
        return cv_error_set(err, CV_ERR_INVALID, "the private scalar is not in the curve's range");
    return 0;
}

static int take_key(uint8_t key[CV_PRIVATE_KEY_LEN], enum cv_scheme *scheme, const EVP_PKEY *pkey,
                    struct cv_error *err)
{
    if (EVP_PKEY_is_a(pkey, "EC"))
        return take_ec(key, scheme, pkey, err);
    if (!EVP_PKEY_is_a(pkey, "ED25519"))
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "not a private key of a type that Tezos uses; expected P-256, "
                            "secp256k1 or Ed25519");
    size_t n = CV_PRIVATE_KEY_LEN;
    *scheme = CV_SCHEME_ED25519;
    if (EVP_PKEY_get_raw_private_key(pkey, key, &n) != 1 || n != CV_PRIVATE_KEY_LEN)
        return cv_error_set(err, CV_ERR_INVALID, "the Ed25519 key is not a seed of 32 bytes");
    return 0;
}

/* Takes PKEY. The public half that the file may hold has to belong to it:
 * what is imported must be what its owner thinks it is. */
static int import(struct cv_secret *out, enum cv_scheme *scheme, EVP_PKEY *pkey,
                  struct cv_error *err)
{
    uint8_t key[CV_PRIVATE_KEY_LEN];
    int rc = take_key(key, scheme, pkey, err);
    if (rc == 0 && EVP_PKEY_is_a(pkey, "EC")) {
        EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
        if (ctx == NULL || EVP_PKEY_pairwise_check(ctx) != 1)
            rc = cv_error_set(err, CV_ERR_INVALID,
                              "the public half in the file does not belong to the private one");
        EVP_PKEY_CTX_free(ctx);
    }
    if (rc == 0 && cv_secret_copy(out, key, sizeof(key)) != 0)
        rc = cv_error_set(err, CV_ERR_NOMEM, "no secret memory for a private key");
    cv_wipe(key, sizeof(key));
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return rc;
}

/* NULL, with the reason, when IN is no private key. */
static int decode(EVP_PKEY **pkey, const char *format, struct cv_bytes in,
                  struct password *password, struct cv_error *err)
{
    const unsigned char *p = in.p;
    size_t n = in.n;
    int ok = 0;
    OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(
        pkey, format, NULL, NULL, OSSL_KEYMGMT_SELECT_PRIVATE_KEY, NULL, NULL);
    if (ctx != NULL && OSSL_DECODER_CTX_set_pem_password_cb(ctx, give_password, password) == 1)
        ok = OSSL_DECODER_from_data(ctx, &p, &n);
    OSSL_DECODER_CTX_free(ctx);
    ERR_clear_error();
    if (ok == 1 && *pkey != NULL && n == 0)
        return 0;
    bool trailing = ok == 1 && *pkey != NULL;
    EVP_PKEY_free(*pkey);
    *pkey = NULL;
    if (trailing)
        return cv_error_set(err, CV_ERR_INVALID, "there is more after the private key");
    if (password->asked && password->bytes.n == 0)
        return cv_error_set(err, CV_ERR_DENIED, "the private key is encrypted: give its password");
    if (password->asked)
        return cv_error_set(err, CV_ERR_DENIED, "the password of the encrypted key is wrong");
    return cv_error_set(err, CV_ERR_INVALID, "the %s is malformed or holds no private key", format);
}

int cv_key_import_der(struct cv_secret *out, enum cv_scheme *scheme, struct cv_bytes in,
                      struct cv_bytes password, struct cv_error *err)
{
    struct password pw = {password, false};
    EVP_PKEY *pkey = NULL;
    int rc = decode(&pkey, "DER", in, &pw, err);
    return rc == 0 ? import(out, scheme, pkey, err) : rc;
}

/* The block of IN that holds the private key, from BEGIN to END: parameters,
 * certificates and remarks around it are left out. Empty when there is none,
 * or more than one. */
static struct cv_bytes private_block(struct cv_bytes in)
{
    static const char *const labels[] = {"PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"};
    struct cv_bytes found = {NULL, 0};
    unsigned count = 0;
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        char begin[64], end[64];
        snprintf(begin, sizeof(begin), "-----BEGIN %s-----", labels[i]);
        snprintf(end, sizeof(end), "-----END %s-----", labels[i]);
        for (struct cv_bytes rest = in; find(rest, begin) < rest.n;) {
            size_t from = find(rest, begin);
            size_t to = find(rest, end);
            if (to >= rest.n || to < from)
                return CV_BYTES(NULL, 0);
            found = CV_BYTES(rest.p + from, to + strlen(end) - from);
            rest = CV_BYTES(rest.p + to + strlen(end), rest.n - to - strlen(end));
            count++;
        }
    }
    return count == 1 ? found : CV_BYTES(NULL, 0);
}

/* OpenSSL's decoder stops behind the END line, which wants its newline. */
int cv_key_import_pem(struct cv_secret *out, enum cv_scheme *scheme, struct cv_bytes in,
                      struct cv_bytes password, struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret text = CV_SECRET_INIT;
    struct password pw = {password, false};
    EVP_PKEY *pkey = NULL;
    struct cv_bytes block = private_block(in);
    if (block.n == 0)
        return cv_error_set(err, CV_ERR_INVALID,
                            "the PEM text does not hold exactly one PRIVATE KEY, EC PRIVATE KEY "
                            "or ENCRYPTED PRIVATE KEY");
    if (cv_secret_alloc(&text, block.n + 1) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no secret memory for a private key");
    memcpy(text.p, block.p, block.n);
    text.p[block.n] = '\n';
    int rc = decode(&pkey, "PEM", cv_secret_view(&text), &pw, err);
    return rc == 0 ? import(out, scheme, pkey, err) : rc;
}
