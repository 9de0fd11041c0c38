/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/sign.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "cbor/cbor.h"
#include "common/clock.h"
#include "eif/cert.h"
#include "eif/write.h"

#define MAX_COSE 1024u

struct material {
    struct cv_buf pem;
    X509 *cert;
    int alg;
    unsigned field; /* bytes of r and of s */
};

static void material_free(struct material *m)
{
    cv_buf_free(&m->pem);
    X509_free(m->cert);
}

static const EVP_MD *alg_md(int alg)
{
    return alg == -7 ? EVP_sha256() : alg == -35 ? EVP_sha384() : EVP_sha512();
}

static int material_load(struct material *m, const char *cert_path, struct cv_error *err)
{
    memset(m, 0, sizeof *m);
    cv_buf_init(&m->pem, CV_EIF_MAX_CERT_FILE);
    int rc = cv_eif_cert_load(&m->cert, &m->pem, cert_path, true, err);
    if (rc != 0) {
        return rc;
    }
    EVP_PKEY *key = X509_get0_pubkey(m->cert);
    rc = key != NULL ? cv_eif_signature_alg(&m->alg, key, err)
                     : cv_error_set(err, CV_ERR_INVALID, "%s has no usable key", cert_path);
    m->field = m->alg == -7 ? 32 : m->alg == -35 ? 48 : 66;
    return rc;
}

static void write_protected(struct cv_writer *w, int alg)
{
    cv_cbor_write_map(w, 1);
    cv_cbor_write_uint(w, 1);
    cv_cbor_write_int(w, alg);
}

/* TBS true: the Sig_structure; false: the COSE_Sign1 with SIG. */
static int encode(struct cv_buf *out, bool tbs, int alg, const uint8_t pcr0[CV_EIF_PCR_LEN],
                  struct cv_bytes sig, struct cv_error *err)
{
    uint8_t head[16], raw[MAX_COSE];
    struct cv_writer h, w;
    cv_writer_init(&h, head, sizeof head);
    write_protected(&h, alg);
    CV_CLEANUP(cv_buf_free) struct cv_buf payload;
    cv_buf_init(&payload, 256);
    if (cv_eif_signature_payload(&payload, pcr0) != 0) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    cv_writer_init(&w, raw, sizeof raw);
    cv_cbor_write_array(&w, 4);
    if (tbs) {
        cv_cbor_write_tstr(&w, "Signature1");
    }
    cv_cbor_write_bstr(&w, cv_writer_view(&h));
    if (tbs) {
        cv_cbor_write_bstr(&w, CV_BYTES(NULL, 0));
    } else {
        cv_cbor_write_map(&w, 0);
    }
    cv_cbor_write_bstr(&w, cv_buf_view(&payload));
    if (!tbs) {
        cv_cbor_write_bstr(&w, sig);
    }
    size_t n;
    if (cv_writer_end(&w, &n) != 0 || cv_buf_append(out, raw, n) != 0) {
        return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    return 0;
}

/* serde's way of writing bytes: a list of integers. */
static int append_octets(struct cv_buf *out, const char *name, struct cv_bytes v)
{
    uint8_t raw[64];
    struct cv_writer w;
    cv_writer_init(&w, raw, sizeof raw);
    cv_cbor_write_tstr(&w, name);
    cv_cbor_write_array(&w, v.n);
    int rc = cv_buf_append(out, raw, w.n);
    for (size_t i = 0; rc == 0 && i < v.n; i++) {
        w.n = 0;
        cv_cbor_write_uint(&w, v.p[i]);
        rc = cv_buf_append(out, raw, w.n);
    }
    return rc;
}

/* The section, and the proof that it is what a verifier accepts. */
static int make_section(struct cv_buf *section, const struct material *m, struct cv_bytes cose,
                        const uint8_t pcr0[CV_EIF_PCR_LEN], struct cv_error *err)
{
    cv_buf_reset(section);
    if (cv_buf_append(section, "\x81\xa2", 2) != 0 ||
        append_octets(section, "signing_certificate", cv_buf_view(&m->pem)) != 0 ||
        append_octets(section, "signature", cose) != 0 || section->n > CV_EIF_MAX_SIGNATURE) {
        return cv_error_set(err, CV_ERR_LIMIT, "certificate and signature take more than %u bytes",
                            CV_EIF_MAX_SIGNATURE);
    }
    CV_CLEANUP(cv_eif_signature_free) struct cv_eif_signature s;
    int rc = cv_eif_signature_parse(&s, cv_buf_view(section), err);
    return rc == 0 ? cv_eif_signature_verify(&s, pcr0, cv_unix_ms(), err) : rc;
}

/* DER Ecdsa-Sig-Value into r||s. */
static int der_to_raw(uint8_t *raw, unsigned field, struct cv_bytes der)
{
    const uint8_t *p = der.p;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &p, (long)der.n);
    bool good = pair != NULL && p == der.p + der.n &&
                BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, (int)field) == (int)field &&
                BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + field, (int)field) == (int)field;
    ECDSA_SIG_free(pair);
    ERR_clear_error();
    return good ? 0 : CV_ERR_INVALID;
}

static int sign_text(uint8_t *raw, const struct material *m, EVP_PKEY *key, struct cv_bytes text,
                     struct cv_error *err)
{
    uint8_t der[256];
    size_t n = sizeof der;
    CV_CLEANUP(cv_eif_free_mdctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, alg_md(m->alg), NULL, key) != 1 ||
        EVP_DigestSign(ctx, der, &n, text.p, text.n) != 1 ||
        der_to_raw(raw, m->field, CV_BYTES(der, n)) != 0) {
        char why[160];
        return cv_error_set(err, CV_ERR_CRYPTO, "signing failed: %s", cv_eif_openssl_error(why));
    }
    return 0;
}

int cv_eif_sign_section(struct cv_buf *section, const uint8_t pcr0[CV_EIF_PCR_LEN],
                        const char *cert_path, const char *key_path, struct cv_error *err)
{
    CV_CLEANUP(material_free) struct material m;
    int rc = material_load(&m, cert_path, err);
    if (rc != 0) {
        return rc;
    }
    CV_CLEANUP(cv_eif_free_pkey) EVP_PKEY *key = NULL;
    rc = cv_eif_key_load(&key, key_path, err);
    if (rc != 0) {
        return rc;
    }
    if (X509_check_private_key(m.cert, key) != 1) {
        ERR_clear_error();
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "the key in %s is not that of the certificate in "
                            "%s",
                            key_path, cert_path);
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf text, cose;
    cv_buf_init(&text, MAX_COSE);
    cv_buf_init(&cose, MAX_COSE);
    uint8_t raw[2 * 66];
    rc = encode(&text, true, m.alg, pcr0, CV_BYTES(NULL, 0), err);
    if (rc == 0) {
        rc = sign_text(raw, &m, key, cv_buf_view(&text), err);
    }
    if (rc == 0) {
        rc = encode(&cose, false, m.alg, pcr0, CV_BYTES(raw, 2 * (size_t)m.field), err);
    }
    return rc == 0 ? make_section(section, &m, cv_buf_view(&cose), pcr0, err) : rc;
}

/* ---- a key elsewhere ---- */

static int check_remote(const struct material *m, const char *cert_path,
                        const struct cv_eif_remote_key *key, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf spki;
    CV_CLEANUP(cv_eif_free_pkey) EVP_PKEY *theirs = NULL;
    cv_buf_init(&spki, 8192);
    int rc = key->public_key(key->ctx, &spki, err);
    if (rc != 0) {
        return rc;
    }
    const uint8_t *p = spki.p;
    theirs = d2i_PUBKEY(NULL, &p, (long)spki.n);
    bool same = theirs != NULL && p == spki.p + spki.n &&
                EVP_PKEY_eq(theirs, X509_get0_pubkey(m->cert)) == 1;
    ERR_clear_error();
    return same ? 0
                : cv_error_set(err, CV_ERR_CRYPTO,
                               "the key %s is not that of the certificate in %s: the certificate "
                               "has to be made for the public key that KMS gives",
                               key->name, cert_path);
}

int cv_eif_sign_check_remote(const char *cert_path, const struct cv_eif_remote_key *key,
                             struct cv_error *err)
{
    CV_CLEANUP(material_free) struct material m;
    int rc = material_load(&m, cert_path, err);
    return rc == 0 ? check_remote(&m, cert_path, key, err) : rc;
}

int cv_eif_sign_remote(struct cv_buf *section, const uint8_t pcr0[CV_EIF_PCR_LEN],
                       const char *cert_path, const struct cv_eif_remote_key *key,
                       struct cv_error *err)
{
    CV_CLEANUP(material_free) struct material m;
    CV_CLEANUP(cv_buf_free) struct cv_buf text, der, cose;
    uint8_t digest[EVP_MAX_MD_SIZE], raw[2 * 66];
    unsigned n = 0;
    cv_buf_init(&text, MAX_COSE);
    cv_buf_init(&der, 6144);
    cv_buf_init(&cose, MAX_COSE);
    int rc = material_load(&m, cert_path, err);
    if (rc == 0) {
        rc = check_remote(&m, cert_path, key, err);
    }
    if (rc == 0) {
        rc = encode(&text, true, m.alg, pcr0, CV_BYTES(NULL, 0), err);
    }
    if (rc == 0 && EVP_Digest(text.p, text.n, digest, &n, alg_md(m.alg), NULL) != 1) {
        rc = cv_error_set(err, CV_ERR_CRYPTO, "hashing failed");
    }
    if (rc == 0) {
        rc = key->sign(key->ctx, CV_BYTES(digest, n), &der, err);
    }
    if (rc == 0 && der_to_raw(raw, m.field, cv_buf_view(&der)) != 0) {
        rc = cv_error_set(err, CV_ERR_PROTOCOL, "%s answered with no ECDSA signature", key->name);
    }
    if (rc == 0) {
        rc = encode(&cose, false, m.alg, pcr0, CV_BYTES(raw, 2 * (size_t)m.field), err);
    }
    return rc == 0 ? make_section(section, &m, cv_buf_view(&cose), pcr0, err) : rc;
}

int cv_eif_sign_tbs(struct cv_buf *out, const uint8_t pcr0[CV_EIF_PCR_LEN], const char *cert_path,
                    struct cv_error *err)
{
    CV_CLEANUP(material_free) struct material m;
    int rc = material_load(&m, cert_path, err);
    return rc == 0 ? encode(out, true, m.alg, pcr0, CV_BYTES(NULL, 0), err) : rc;
}

/* A whole section, certificate and all. */
static int attach_section(struct cv_buf *section, const uint8_t pcr0[CV_EIF_PCR_LEN],
                          struct cv_bytes in, struct cv_error *err)
{
    CV_CLEANUP(cv_eif_signature_free) struct cv_eif_signature s;
    cv_buf_reset(section);
    int rc = cv_eif_signature_parse(&s, in, err);
    if (rc == 0) {
        rc = cv_eif_signature_verify(&s, pcr0, cv_unix_ms(), err);
    }
    if (rc == 0 && cv_buf_append(section, in.p, in.n) != 0) {
        rc = cv_error_set(err, CV_ERR_LIMIT, "the signature takes more than %u bytes",
                          CV_EIF_MAX_SIGNATURE);
    }
    return rc;
}

int cv_eif_sign_attach(struct cv_buf *section, const uint8_t pcr0[CV_EIF_PCR_LEN],
                       const char *cert_path, struct cv_bytes sig, struct cv_error *err)
{
    if (sig.n > 0 && sig.p[0] == 0x81) {
        return attach_section(section, pcr0, sig, err);
    }
    if (cert_path == NULL) {
        return cv_error_set(err, CV_ERR_INVALID,
                            "a signature without its certificate: name that "
                            "with --signing-certificate");
    }
    CV_CLEANUP(material_free) struct material m;
    int rc = material_load(&m, cert_path, err);
    if (rc != 0) {
        return rc;
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf cose;
    cv_buf_init(&cose, MAX_COSE);
    uint8_t raw[2 * 66];
    if (sig.n > 0 && sig.p[0] == 0xd2) { /* tag 18, which AWS's reader does not know */
        sig = CV_BYTES(sig.p + 1, sig.n - 1);
    }
    if (sig.n == 2 * (size_t)m.field) {
        rc = encode(&cose, false, m.alg, pcr0, sig, err);
    } else if (sig.n > 0 && sig.p[0] == 0x30) {
        rc = der_to_raw(raw, m.field, sig);
        if (rc != 0) {
            return cv_error_set(err, rc, "the signature is no DER of an ECDSA signature");
        }
        rc = encode(&cose, false, m.alg, pcr0, CV_BYTES(raw, 2 * (size_t)m.field), err);
    } else if (sig.n > 0 && sig.n <= MAX_COSE && sig.p[0] == 0x84) {
        rc = cv_buf_append(&cose, sig.p, sig.n);
    } else {
        return cv_error_set(err, CV_ERR_INVALID,
                            "the signature is neither DER, nor %u bytes of "
                            "r||s, nor a COSE_Sign1",
                            2 * m.field);
    }
    return rc == 0 ? make_section(section, &m, cv_buf_view(&cose), pcr0, err) : rc;
}

int cv_eif_write_signed(const struct cv_eif *in, struct cv_bytes section, const char *out_path,
                        struct cv_error *err)
{
    struct cv_eif_writer w;
    int rc = cv_eif_writer_open(&w, out_path, in->flags, err);
    if (rc != 0) {
        return rc;
    }
    w.version = in->version;
    w.default_mem = in->default_mem;
    w.default_cpus = in->default_cpus;
    for (unsigned i = 0; rc == 0 && i < in->count; i++) {
        const struct cv_eif_section *s = &in->sections[i];
        if (s->type == CV_EIF_SIGNATURE) {
            continue;
        }
        rc = cv_eif_writer_begin(&w, s->type, err);
        if (rc == 0) {
            rc = cv_eif_writer_copy(&w, in->fd, s->offset, s->size, err);
        }
        if (rc == 0) {
            rc = cv_eif_writer_end(&w, err);
        }
    }
    if (rc == 0) {
        rc = cv_eif_writer_section(&w, CV_EIF_SIGNATURE, section, err);
    }
    if (rc == 0) {
        rc = cv_eif_writer_finish(&w, err);
    }
    cv_eif_writer_close(&w);
    return rc;
}
