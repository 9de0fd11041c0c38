/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/signature.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <string.h>

#include "cbor/cbor.h"
#include "common/clock.h"
#include "eif/cert.h"

#define CBOR_DEPTH 16u

/* RFC 9053 §2.1: ECDSA algorithms, here each with the curve of its size. */
static const struct {
    int alg;
    const char *group;
    unsigned field; /* bytes of r and of s */
    const EVP_MD *(*md)(void);
} algs[] = {
    {-7, "prime256v1", 32, EVP_sha256},
    {-35, "secp384r1", 48, EVP_sha384},
    {-36, "secp521r1", 66, EVP_sha512},
};

static int bad(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_INVALID, "the signature section is malformed: %s", what);
}

/* ---- parsing ---- */

/* Bytes as a list of small integers, or as a byte string. */
static int read_octets(struct cv_reader *r, struct cv_buf *out, struct cv_error *err)
{
    struct cv_cbor_head head;
    if (cv_cbor_peek(r, &head) != 0) {
        return bad(err, "it ends too early");
    }
    if (head.major == CV_CBOR_BSTR) {
        struct cv_bytes v;
        if (cv_cbor_read_bstr(r, &v) != 0) {
            return bad(err, "a byte string is cut");
        }
        return cv_buf_append(out, v.p, v.n) == 0 ? 0 : bad(err, "too long");
    }
    struct cv_cbor_iter it;
    if (cv_cbor_enter_array(r, &it) != 0) {
        return bad(err, "bytes expected");
    }
    while (cv_cbor_next(r, &it)) {
        uint64_t v;
        if (cv_cbor_read_uint(r, &v) != 0 || v > 255) {
            return bad(err, "a byte is not from 0 to 255");
        }
        if (cv_buf_append_u8(out, (uint8_t)v) != 0) {
            return bad(err, "too long");
        }
    }
    return r->err == 0 ? 0 : bad(err, "it ends too early");
}

static int read_entry(struct cv_reader *r, struct cv_eif_signature *s, struct cv_error *err)
{
    struct cv_cbor_iter it;
    if (cv_cbor_enter_map(r, &it) != 0) {
        return bad(err, "an element is no map");
    }
    bool have_cert = false, have_sig = false;
    while (cv_cbor_next(r, &it)) {
        struct cv_bytes key;
        if (cv_cbor_read_tstr(r, &key) != 0) {
            return bad(err, "a key is no text");
        }
        bool cert = cv_bytes_equal_str(key, "signing_certificate");
        bool sig = cv_bytes_equal_str(key, "signature");
        if ((!cert && !sig) || (cert && have_cert) || (sig && have_sig)) {
            return bad(err, "unknown or repeated key");
        }
        have_cert = have_cert || cert;
        have_sig = have_sig || sig;
        int rc = read_octets(r, cert ? &s->pem : &s->cose, err);
        if (rc != 0) {
            return rc;
        }
    }
    if (r->err != 0 || !have_cert || !have_sig) {
        return bad(err, "an element lacks certificate or signature");
    }
    return 0;
}

static int read_protected(struct cv_eif_signature *s, struct cv_error *err)
{
    struct cv_reader r;
    cv_reader_init(&r, s->protected_header);
    struct cv_cbor_iter it;
    bool found = false;
    if (cv_cbor_enter_map(&r, &it) != 0) {
        return bad(err, "the protected header is no map");
    }
    while (cv_cbor_next(&r, &it)) {
        int64_t label, alg;
        if (cv_cbor_read_int(&r, &label) != 0 || label != 1 || found ||
            cv_cbor_read_int(&r, &alg) != 0 || alg < INT_MIN || alg > INT_MAX) {
            return bad(err, "the protected header holds more than the algorithm");
        }
        s->alg = (int)alg;
        found = true;
    }
    return cv_reader_end(&r) == 0 && found ? 0 : bad(err, "no algorithm in the protected header");
}

/* RFC 9052 §4.2: [protected, unprotected, payload, signature], tag 18 or none. */
static int read_cose(struct cv_eif_signature *s, struct cv_error *err)
{
    struct cv_reader r;
    cv_reader_init(&r, cv_buf_view(&s->cose));
    struct cv_cbor_head head;
    if (cv_cbor_peek(&r, &head) == 0 && head.major == CV_CBOR_TAG) {
        if (head.value != 18 || cv_cbor_read_head(&r, &head) != 0) {
            return bad(err, "the COSE tag is not 18");
        }
    }
    struct cv_cbor_iter it;
    if (cv_cbor_enter_array(&r, &it) != 0 || it.indefinite || it.left != 4 ||
        cv_cbor_read_bstr(&r, &s->protected_header) != 0) {
        return bad(err, "no COSE_Sign1");
    }
    struct cv_cbor_iter none;
    if (cv_cbor_enter_map(&r, &none) != 0 || none.indefinite || none.left != 0) {
        return bad(err, "the unprotected header is not empty");
    }
    if (cv_cbor_read_bstr(&r, &s->payload) != 0 || cv_cbor_read_bstr(&r, &s->sig) != 0 ||
        cv_reader_end(&r) != 0) {
        return bad(err, "no COSE_Sign1");
    }
    return read_protected(s, err);
}

int cv_eif_signature_parse(struct cv_eif_signature *s, struct cv_bytes section,
                           struct cv_error *err)
{
    memset(s, 0, sizeof *s);
    cv_buf_init(&s->pem, CV_EIF_MAX_SIGNATURE);
    cv_buf_init(&s->cose, CV_EIF_MAX_SIGNATURE);
    struct cv_reader r;
    cv_reader_init(&r, section);
    struct cv_cbor_iter it;
    if (cv_cbor_enter_array(&r, &it) != 0) {
        return bad(err, "it is no list");
    }
    while (cv_cbor_next(&r, &it)) {
        int rc = 0;
        if (s->entries++ == 0) {
            rc = read_entry(&r, s, err);
        } else if (cv_cbor_skip(&r, CBOR_DEPTH, NULL) != 0) {
            rc = bad(err, "it ends too early");
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (cv_reader_end(&r) != 0 || s->entries == 0) {
        return bad(err, s->entries == 0 ? "it is empty" : "it does not end where it should");
    }
    int rc = cv_eif_cert_parse(&s->cert, cv_buf_view(&s->pem), true, err);
    return rc == 0 ? read_cose(s, err) : rc;
}

int cv_eif_signature_read(struct cv_eif_signature *s, const struct cv_eif *eif,
                          struct cv_error *err)
{
    memset(s, 0, sizeof *s);
    const struct cv_eif_section *section = cv_eif_find(eif, CV_EIF_SIGNATURE);
    if (section == NULL) {
        return cv_error_set(err, CV_ERR_NOT_FOUND, "the image is not signed");
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf raw;
    cv_buf_init(&raw, CV_EIF_MAX_SIGNATURE);
    int rc = cv_eif_read_section(eif, section, &raw, err);
    return rc == 0 ? cv_eif_signature_parse(s, cv_buf_view(&raw), err) : rc;
}

void cv_eif_signature_free(struct cv_eif_signature *s)
{
    cv_buf_free(&s->pem);
    cv_buf_free(&s->cose);
    X509_free(s->cert);
    s->cert = NULL;
}

/* ---- what is signed ---- */

int cv_eif_signature_payload(struct cv_buf *out, const uint8_t pcr0[CV_EIF_PCR_LEN])
{
    uint8_t raw[160];
    struct cv_writer w;
    cv_writer_init(&w, raw, sizeof raw);
    cv_cbor_write_map(&w, 2);
    cv_cbor_write_tstr(&w, "register_index");
    cv_cbor_write_uint(&w, 0);
    cv_cbor_write_tstr(&w, "register_value");
    cv_cbor_write_array(&w, CV_EIF_PCR_LEN);
    for (size_t i = 0; i < CV_EIF_PCR_LEN; i++) {
        cv_cbor_write_uint(&w, pcr0[i]);
    }
    size_t n;
    int rc = cv_writer_end(&w, &n);
    return rc == 0 ? cv_buf_append(out, raw, n) : rc;
}

static int alg_index(EVP_PKEY *key)
{
    char group[64];
    size_t len;
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
        EVP_PKEY_get_group_name(key, group, sizeof group, &len) != 1) {
        return -1;
    }
    for (int i = 0; i < (int)(sizeof algs / sizeof algs[0]); i++) {
        if (strcmp(group, algs[i].group) == 0) {
            return i;
        }
    }
    return -1;
}

int cv_eif_signature_alg(int *alg, EVP_PKEY *key, struct cv_error *err)
{
    int i = alg_index(key);
    ERR_clear_error();
    if (i < 0) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "images are signed with EC keys on P-256, "
                            "P-384 or P-521 only");
    }
    *alg = algs[i].alg;
    return 0;
}

/* ---- verification ---- */

/* RFC 9052 §4.4: ["Signature1", protected, external_aad, payload]. */
static int tbs(struct cv_buf *out, struct cv_bytes protected_header, struct cv_bytes payload)
{
    uint8_t raw[512];
    struct cv_writer w;
    cv_writer_init(&w, raw, sizeof raw);
    cv_cbor_write_array(&w, 4);
    cv_cbor_write_tstr(&w, "Signature1");
    cv_cbor_write_bstr(&w, protected_header);
    cv_cbor_write_bstr(&w, CV_BYTES(NULL, 0));
    cv_cbor_write_bstr(&w, payload);
    size_t n;
    int rc = cv_writer_end(&w, &n);
    return rc == 0 ? cv_buf_append(out, raw, n) : rc;
}

static int check_sig(EVP_PKEY *key, unsigned index, struct cv_bytes sig, struct cv_bytes text,
                     struct cv_error *err)
{
    unsigned field = algs[index].field;
    if (sig.n != 2 * (size_t)field) {
        return cv_error_set(err, CV_ERR_CRYPTO, "the image's signature has a wrong length");
    }
    int rc = CV_ERR_NOMEM;
    uint8_t *der = NULL;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(sig.p, (int)field, NULL);
    BIGNUM *s = BN_bin2bn(sig.p + field, (int)field, NULL);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (pair == NULL || r == NULL || s == NULL || ctx == NULL || ECDSA_SIG_set0(pair, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        (void)cv_error_set(err, rc, "out of memory");
        goto out;
    }
    int n = i2d_ECDSA_SIG(pair, &der);
    rc = CV_ERR_CRYPTO;
    if (n <= 0 || EVP_DigestVerifyInit(ctx, NULL, algs[index].md(), NULL, key) != 1 ||
        EVP_DigestVerify(ctx, der, (size_t)n, text.p, text.n) != 1) {
        (void)cv_error_set(err, rc, "the image's signature is not that of its certificate's key");
        goto out;
    }
    rc = 0;
out:
    ERR_clear_error();
    OPENSSL_free(der);
    ECDSA_SIG_free(pair);
    EVP_MD_CTX_free(ctx);
    return rc;
}

static int check_validity(const X509 *cert, int64_t at, struct cv_error *err)
{
    time_t t = (time_t)(at / 1000);
    char now[CV_RFC3339_LEN];
    cv_rfc3339_format(now, at);
    if (X509_cmp_time(X509_get0_notBefore(cert), &t) >= 0) {
        /* 0 is an error, 1 is "later than t"; equality counts as -1. */
        return cv_error_set(err, CV_ERR_DENIED, "the signing certificate is not valid yet at %s",
                            now);
    }
    int after = X509_cmp_time(X509_get0_notAfter(cert), &t);
    time_t before = t - 1;
    if (after == 0 || (after < 0 && X509_cmp_time(X509_get0_notAfter(cert), &before) <= 0)) {
        return cv_error_set(err, CV_ERR_DENIED,
                            "the signing certificate has expired at %s: the "
                            "enclave would not start; sign the image with a new one",
                            now);
    }
    return 0;
}

int cv_eif_signature_verify(const struct cv_eif_signature *s, const uint8_t pcr0[CV_EIF_PCR_LEN],
                            int64_t at, struct cv_error *err)
{
    EVP_PKEY *key = X509_get0_pubkey(s->cert);
    if (key == NULL) {
        return cv_error_set(err, CV_ERR_INVALID, "the signing certificate has no usable key");
    }
    int alg;
    int rc = cv_eif_signature_alg(&alg, key, err);
    if (rc != 0) {
        return rc;
    }
    if (alg != s->alg) {
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "the signature's algorithm %d is not that of the "
                            "certificate's key (%d)",
                            s->alg, alg);
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf payload, text;
    cv_buf_init(&payload, 256);
    cv_buf_init(&text, 512);
    if (cv_eif_signature_payload(&payload, pcr0) != 0) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    if (!cv_bytes_equal(s->payload, cv_buf_view(&payload))) {
        return cv_error_set(err, CV_ERR_CRYPTO, "the image's signature is over another PCR0");
    }
    if (tbs(&text, s->protected_header, s->payload) != 0) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    rc = check_sig(key, (unsigned)alg_index(key), s->sig, cv_buf_view(&text), err);
    return rc == 0 ? check_validity(s->cert, at, err) : rc;
}

int cv_eif_signature_pcr8(const struct cv_eif_signature *s, uint8_t pcr8[CV_EIF_PCR_LEN],
                          struct cv_error *err)
{
    uint8_t digest[CV_EIF_PCR_LEN];
    if (X509_digest(s->cert, EVP_sha384(), digest, NULL) != 1) {
        return cv_error_set(err, CV_ERR_NOMEM, "SHA-384 failed");
    }
    return cv_eif_pcr_of_digest(pcr8, digest, err);
}
