/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Version 2 of a sealed key (docs/protocol/sealed-key.md):
 *
 *   header    "CVSK" | 2 | scheme | u16 public key | u16 CMK ARN |
 *             u16 wrapped data key | 32-byte salt
 *   32 bytes  commitment
 *   48 bytes  AES-256-GCM of the 32-byte private key, and its tag
 */
#include <string.h>

#include "common/reader.h"
#include "common/writer.h"
#include "crypto/aead.h"
#include "crypto/hkdf.h"
#include "crypto/sha.h"
#include "sealed/key.h"

#define MAGIC "CVSK"
#define MAGIC_LEN 4
#define FORMAT 2
#define COMMITMENT_LEN 32
#define SEALED_LEN (CV_SEALED_PRIVATE_LEN + CV_AEAD_TAG_LEN)
#define ARN_PREFIX "arn:"

/* Numbers of the format, which outlive any order of our own enum. */
static const uint8_t scheme_numbers[CV_SCHEME_COUNT] = {
    [CV_SCHEME_ED25519] = 1,
    [CV_SCHEME_SECP256K1] = 2,
    [CV_SCHEME_P256] = 3,
    [CV_SCHEME_BLS] = 4,
};

/* Of one blob: its own key and what commits to it. */
struct blob_keys {
    uint8_t key[CV_AEAD_KEY_LEN];
    uint8_t commitment[COMMITMENT_LEN];
};

static int derive(struct blob_keys *out, const uint8_t data_key[CV_SEALED_DATA_KEY_LEN],
                  struct cv_bytes salt, struct cv_bytes header)
{
    uint8_t hash[CV_SHA256_LEN], okm[sizeof *out];
    cv_sha256(hash, header);
    int rc = cv_hkdf_sha512(okm, sizeof okm, CV_BYTES(data_key, CV_SEALED_DATA_KEY_LEN), salt,
                            CV_BYTES(hash, sizeof hash));
    memcpy(out->key, okm, sizeof out->key);
    memcpy(out->commitment, okm + sizeof out->key, sizeof out->commitment);
    cv_wipe(okm, sizeof okm);
    return rc;
}

/* Each blob has a key of its own from a random salt, so the IV is constant. */
static const uint8_t iv[CV_AEAD_IV_LEN];

int cv_sealed_key_version(struct cv_bytes blob)
{
    return blob.n >= MAGIC_LEN && memcmp(blob.p, MAGIC, MAGIC_LEN) == 0 ? 2 : 1;
}

static int scheme_of(uint8_t number, enum cv_scheme *scheme)
{
    for (int i = 0; i < CV_SCHEME_COUNT; i++) {
        if (scheme_numbers[i] == number) {
            *scheme = (enum cv_scheme)i;
            return 0;
        }
    }
    return CV_ERR_UNSUPPORTED;
}

static bool is_arn(struct cv_bytes s)
{
    if (s.n > CV_SEALED_ARN_MAX || s.n < sizeof ARN_PREFIX - 1 ||
        memcmp(s.p, ARN_PREFIX, sizeof ARN_PREFIX - 1) != 0)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= ' ' || s.p[i] > '~')
            return false;
    return true;
}

static struct cv_bytes read_counted(struct cv_reader *r)
{
    uint16_t n = cv_read_be16(r);
    return cv_read_bytes(r, n);
}

/* The header's fields; R stands behind it afterwards. */
static int parse_header(struct cv_sealed_header *h, struct cv_reader *r, struct cv_error *err)
{
    cv_read_skip(r, MAGIC_LEN);
    uint8_t format = cv_read_u8(r);
    if (r->err == 0 && format != FORMAT)
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "sealed key of unknown format %u", format);
    uint8_t number = cv_read_u8(r);
    if (r->err == 0 && scheme_of(number, &h->scheme) != 0)
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "sealed key of unknown scheme %u", number);
    h->public_key = read_counted(r);
    h->cmk = read_counted(r);
    h->wrapped = read_counted(r);
    h->salt = cv_read_bytes(r, CV_SEALED_SALT_LEN);
    if (r->err != 0)
        return cv_error_set(err, r->err, "sealed key: %s", cv_strerror(r->err));
    if (h->public_key.n != cv_public_key_len(h->scheme))
        return cv_error_set(err, CV_ERR_INVALID, "sealed key: wrong length of the public key");
    if (!is_arn(h->cmk))
        return cv_error_set(err, CV_ERR_INVALID, "sealed key: malformed CMK ARN");
    if (h->wrapped.n == 0 || h->wrapped.n > CV_SEALED_WRAPPED_MAX)
        return cv_error_set(err, CV_ERR_INVALID, "sealed key: wrong length of the data key");
    return 0;
}

/* The three parts of a blob, with every length checked. */
struct parts {
    struct cv_sealed_header fields;
    struct cv_bytes header, commitment, sealed;
};

static int split(struct parts *p, struct cv_bytes blob, struct cv_error *err)
{
    struct cv_reader r;
    memset(p, 0, sizeof *p);
    if (cv_sealed_key_version(blob) != 2)
        return cv_error_set(err, CV_ERR_INVALID, "not a version 2 sealed key");
    cv_reader_init(&r, blob);
    int rc = parse_header(&p->fields, &r, err);
    if (rc != 0)
        return rc;
    p->header = CV_BYTES(blob.p, r.off);
    p->commitment = cv_read_bytes(&r, COMMITMENT_LEN);
    p->sealed = cv_read_bytes(&r, SEALED_LEN);
    rc = cv_reader_end(&r);
    if (rc != 0)
        return cv_error_set(err, rc, "sealed key: %s", cv_strerror(rc));
    return 0;
}

int cv_sealed_key_parse(struct cv_sealed_header *h, struct cv_bytes blob, struct cv_error *err)
{
    struct parts p;
    int rc = split(&p, blob, err);
    *h = p.fields;
    return rc;
}

static void write_counted(struct cv_writer *w, struct cv_bytes b)
{
    cv_write_be16(w, (uint16_t)b.n);
    cv_write_bytes(w, b);
}

static void write_header(struct cv_writer *w, const struct cv_sealed_header *h)
{
    cv_write_raw(w, MAGIC, MAGIC_LEN);
    cv_write_u8(w, FORMAT);
    cv_write_u8(w, scheme_numbers[h->scheme]);
    write_counted(w, h->public_key);
    write_counted(w, h->cmk);
    write_counted(w, h->wrapped);
    cv_write_bytes(w, h->salt);
}

int cv_sealed_key_seal_with_salt(struct cv_buf *out, const struct cv_sealed_header *h,
                                 const uint8_t private_key[CV_SEALED_PRIVATE_LEN],
                                 const uint8_t data_key[CV_SEALED_DATA_KEY_LEN],
                                 struct cv_error *err)
{
    uint8_t blob[CV_SEALED_BLOB_MAX], sealed[SEALED_LEN];
    struct blob_keys keys;
    struct cv_writer w;
    if ((unsigned)h->scheme >= CV_SCHEME_COUNT || h->public_key.n != cv_public_key_len(h->scheme) ||
        h->salt.n != CV_SEALED_SALT_LEN || h->wrapped.n == 0 ||
        h->wrapped.n > CV_SEALED_WRAPPED_MAX || !is_arn(h->cmk))
        return cv_error_set(err, CV_ERR_INVALID, "the parts of a sealed key do not fit the format");
    cv_writer_init(&w, blob, sizeof blob);
    write_header(&w, h);
    struct cv_bytes header = cv_writer_view(&w);
    int rc = derive(&keys, data_key, h->salt, header);
    if (rc == 0)
        rc = cv_aead_seal(sealed, keys.key, iv, header,
                          CV_BYTES(private_key, CV_SEALED_PRIVATE_LEN));
    if (rc == 0) {
        cv_write_raw(&w, keys.commitment, sizeof keys.commitment);
        cv_write_raw(&w, sealed, sizeof sealed);
        rc = cv_writer_end(&w, NULL);
    }
    if (rc == 0)
        rc = cv_buf_append(out, blob, w.n);
    cv_wipe(&keys, sizeof keys);
    return rc == 0 ? 0 : cv_error_set(err, rc, "sealing a key: %s", cv_strerror(rc));
}

int cv_sealed_key_seal(struct cv_buf *out, const struct cv_sealed_header *h,
                       const uint8_t private_key[CV_SEALED_PRIVATE_LEN],
                       const uint8_t data_key[CV_SEALED_DATA_KEY_LEN], struct cv_error *err)
{
    uint8_t salt[CV_SEALED_SALT_LEN];
    struct cv_sealed_header with_salt = *h;
    cv_random(salt, sizeof salt);
    with_salt.salt = CV_BYTES(salt, sizeof salt);
    return cv_sealed_key_seal_with_salt(out, &with_salt, private_key, data_key, err);
}

int cv_sealed_key_open(uint8_t private_key[CV_SEALED_PRIVATE_LEN], struct cv_bytes blob,
                       const uint8_t data_key[CV_SEALED_DATA_KEY_LEN], struct cv_error *err)
{
    struct parts p;
    struct blob_keys keys;
    memset(private_key, 0, CV_SEALED_PRIVATE_LEN);
    int rc = split(&p, blob, err);
    if (rc != 0)
        return rc;
    rc = derive(&keys, data_key, p.fields.salt, p.header);
    /* The commitment first: AES-GCM alone would let one ciphertext open under
     * two keys that someone chose together. */
    if (rc == 0 && !cv_equal_ct(keys.commitment, p.commitment.p, COMMITMENT_LEN))
        rc = CV_ERR_CRYPTO;
    if (rc == 0)
        rc = cv_aead_open(private_key, keys.key, iv, p.header, p.sealed);
    cv_wipe(&keys, sizeof keys);
    if (rc == 0)
        return 0;
    cv_wipe(private_key, CV_SEALED_PRIVATE_LEN);
    return cv_error_set(
        err, rc, "the sealed key does not open: it was changed, or its data key is another one");
}
