/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate chain. The document fixes its order, so it is not searched
 * for: names, rules and times are checked one by one, which gives each refusal
 * its name; OpenSSL then validates the whole path (RFC 5280: signatures,
 * critical extensions, name constraints), and must have walked the same one.
 * Revocation lists are left out, as AWS's description of the process demands.
 */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "attest/internal.h"
#include "common/hex.h"

#define AUTH_LEVEL 2 /* no key under 112 bits of security, no SHA-1 */

const char *cv_attest_chain_field(char out[48], const struct cv_attest_chain *chain,
                                  size_t position)
{
    if (position == 0)
        snprintf(out, 48, "certificate");
    else
        snprintf(out, 48, "cabundle[%zu]", chain->count - 1 - position);
    return out;
}

bool cv_attest_asn1_time(int64_t *ms, const ASN1_TIME *at)
{
    struct tm tm;

    if (at == NULL || ASN1_TIME_to_tm(at, &tm) != 1)
        return false;
    *ms = (int64_t)timegm(&tm) * 1000;
    return true;
}

X509 *cv_attest_x509_read(const uint8_t *der, size_t n)
{
    const unsigned char *p = der;
    X509 *cert = d2i_X509(NULL, &p, (long)n);

    if (cert != NULL && p != der + n) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

void cv_attest_chain_free(struct cv_attest_chain *chain)
{
    for (size_t i = 0; i < chain->count; i++)
        X509_free(chain->cert[i]);
    memset(chain, 0, sizeof *chain);
}

enum cv_attest_code cv_attest_chain_read(struct cv_attest_chain *chain,
                                         const struct cv_attest_document *doc,
                                         struct cv_attest_error *err)
{
    size_t count = doc->cabundle_count + 1;
    char field[48];

    memset(chain, 0, sizeof *chain);
    for (size_t i = 0; i < count; i++) {
        struct cv_attest_span der = i == 0 ? doc->certificate : doc->cabundle[count - 1 - i];
        X509 *cert = cv_attest_x509_read(der.p, der.n);
        if (cert == NULL || X509_get_version(cert) != X509_VERSION_3 ||
            (X509_get_extension_flags(cert) & EXFLAG_INVALID) != 0) {
            X509_free(cert);
            chain->count = count; /* for the name of the field */
            cv_attest_chain_field(field, chain, i);
            chain->count = i;
            return cv_attest_fail(err, CV_ATTEST_ERR_CERTIFICATE, field,
                                  "is not a well-formed X.509 version 3 certificate");
        }
        chain->cert[i] = cert;
        chain->count = i + 1;
    }
    return CV_ATTEST_OK;
}

static bool digest(uint8_t out[32], const uint8_t *der, size_t n)
{
    unsigned len = 32;

    return EVP_Digest(der, n, out, &len, EVP_sha256(), NULL) == 1;
}

/* SHA-256 of the certificate that a caller gave as root, as DER or PEM. It is
 * not read here: the document's own, which is equal or refused, will be. */
static bool root_digest(uint8_t out[32], const uint8_t *p, size_t n)
{
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    bool ok = false;

    if (n == 0 || n > INT32_MAX)
        return false;
    if (p[0] == 0x30) /* SEQUENCE: DER */
        return digest(out, p, n);
    BIO *bio = BIO_new_mem_buf(p, (int)n);
    if (bio != NULL && PEM_read_bio(bio, &name, &header, &der, &len) == 1)
        ok = len > 0 && strstr(name, "CERTIFICATE") != NULL && digest(out, der, (size_t)len);
    BIO_free(bio);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    return ok;
}

static enum cv_attest_code check_root(const struct cv_attest_document *doc,
                                      const struct cv_attest_policy *policy,
                                      struct cv_attest_error *err)
{
    uint8_t found[32], wanted[32];

    if (!digest(found, doc->cabundle[0].p, doc->cabundle[0].n))
        return cv_attest_fail(err, CV_ATTEST_ERR_INTERNAL, "", "SHA-256 failed");
    memcpy(wanted, policy->root_sha256, sizeof wanted);
    if (policy->root != NULL && !root_digest(wanted, policy->root, policy->root_len))
        return cv_attest_fail(err, CV_ATTEST_ERR_ARGUMENT, "root",
                              "the given root is not a certificate in DER or PEM");
    if (memcmp(found, wanted, sizeof wanted) != 0) {
        char hex[65];
        cv_hex_encode(hex, found, sizeof found);
        return cv_attest_fail(err, CV_ATTEST_ERR_ROOT, "cabundle[0]",
                              "is not the trusted root certificate; its SHA-256 is %s", hex);
    }
    return CV_ATTEST_OK;
}

/* What a certificate may do, by its own words. */
static enum cv_attest_code check_rules(const struct cv_attest_chain *chain, size_t i,
                                       struct cv_attest_error *err)
{
    X509 *cert = chain->cert[i];
    uint32_t flags = X509_get_extension_flags(cert);
    uint32_t usage = (flags & EXFLAG_KUSAGE) != 0 ? X509_get_key_usage(cert) : 0;
    long path_len = X509_get_pathlen(cert);
    char field[48];

    cv_attest_chain_field(field, chain, i);
    if (i == 0) {
        if ((flags & EXFLAG_CA) != 0 || path_len >= 0)
            return cv_attest_fail(err, CV_ATTEST_ERR_CONSTRAINT, field,
                                  "is a CA's certificate, not that of an enclave");
        if ((usage & KU_DIGITAL_SIGNATURE) == 0)
            return cv_attest_fail(err, CV_ATTEST_ERR_CONSTRAINT, field,
                                  "does not allow its key to make digital signatures");
        return CV_ATTEST_OK;
    }
    if ((flags & EXFLAG_CA) == 0 || (flags & EXFLAG_BCONS) == 0)
        return cv_attest_fail(err, CV_ATTEST_ERR_CONSTRAINT, field, "is not a CA's certificate");
    if ((usage & KU_KEY_CERT_SIGN) == 0)
        return cv_attest_fail(err, CV_ATTEST_ERR_CONSTRAINT, field,
                              "does not allow its key to sign certificates");
    /* Position 1 signs the leaf, and has no CA below itself. */
    if (path_len >= 0 && (size_t)path_len < i - 1)
        return cv_attest_fail(err, CV_ATTEST_ERR_CONSTRAINT, field,
                              "allows a path of %ld certificates below it, and there are %zu",
                              path_len, i - 1);
    return CV_ATTEST_OK;
}

static enum cv_attest_code check_time(const struct cv_attest_chain *chain, size_t i,
                                      int64_t time_ms, struct cv_attest_error *err)
{
    int64_t from, to;
    char field[48];

    cv_attest_chain_field(field, chain, i);
    if (!cv_attest_asn1_time(&from, X509_get0_notBefore(chain->cert[i])) ||
        !cv_attest_asn1_time(&to, X509_get0_notAfter(chain->cert[i])))
        return cv_attest_fail(err, CV_ATTEST_ERR_CERTIFICATE, field,
                              "has a validity that cannot be read");
    /* Both ends belong to the validity (RFC 5280 section 4.1.2.5), in seconds. */
    if (time_ms < from)
        return cv_attest_fail(err, CV_ATTEST_ERR_NOT_YET_VALID, field,
                              "becomes valid %lld seconds after the time of the check",
                              (long long)((from - time_ms + 999) / 1000));
    if (time_ms > to + 999)
        return cv_attest_fail(err, CV_ATTEST_ERR_EXPIRED, field,
                              "expired %lld seconds before the time of the check",
                              (long long)((time_ms - to) / 1000));
    return CV_ATTEST_OK;
}

static enum cv_attest_code openssl_refusal(X509_STORE_CTX *ctx, const struct cv_attest_chain *chain,
                                           struct cv_attest_error *err)
{
    int reason = X509_STORE_CTX_get_error(ctx);
    int depth = X509_STORE_CTX_get_error_depth(ctx);
    size_t position = depth >= 0 && (size_t)depth < chain->count ? (size_t)depth : 0;
    enum cv_attest_code code = CV_ATTEST_ERR_CONSTRAINT;
    char field[48];

    switch (reason) {
    case X509_V_ERR_OUT_OF_MEM:
    case X509_V_ERR_UNSPECIFIED:
        code = CV_ATTEST_ERR_INTERNAL;
        break;
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
    case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
    case X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SUBJECT_ISSUER_MISMATCH:
    case X509_V_ERR_AKID_SKID_MISMATCH:
    case X509_V_ERR_AKID_ISSUER_SERIAL_MISMATCH:
        code = CV_ATTEST_ERR_CHAIN;
        break;
    default:
        break;
    }
    return cv_attest_fail(err, code, cv_attest_chain_field(field, chain, position), "%s",
                          X509_verify_cert_error_string(reason));
}

/* True when OpenSSL's path is the document's, certificate by certificate. */
static bool same_path(X509_STORE_CTX *ctx, const struct cv_attest_chain *chain)
{
    STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);

    if (path == NULL || (size_t)sk_X509_num(path) != chain->count)
        return false;
    for (size_t i = 0; i < chain->count; i++) {
        if (X509_cmp(sk_X509_value(path, (int)i), chain->cert[i]) != 0)
            return false;
    }
    return true;
}

static enum cv_attest_code verify_path(const struct cv_attest_chain *chain,
                                       struct cv_attest_error *err)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    STACK_OF(X509) *between = sk_X509_new_null();
    enum cv_attest_code code = CV_ATTEST_ERR_INTERNAL;
    bool ready = store != NULL && ctx != NULL && between != NULL &&
                 X509_STORE_add_cert(store, chain->cert[chain->count - 1]) == 1;

    for (size_t i = 1; ready && i + 1 < chain->count; i++)
        ready = sk_X509_push(between, chain->cert[i]) > 0;
    if (!ready || X509_STORE_CTX_init(ctx, store, chain->cert[0], between) != 1) {
        cv_attest_fail(err, code, "", "OpenSSL could not prepare the check of the chain");
        goto out;
    }
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
    /* Times were checked already, at the second; the root is trusted as it is. */
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_depth(param, CV_ATTEST_CHAIN_MAX);
    X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
    if (X509_verify_cert(ctx) != 1)
        code = openssl_refusal(ctx, chain, err);
    else if (!same_path(ctx, chain))
        code = cv_attest_fail(
            err, CV_ATTEST_ERR_CHAIN, "cabundle",
            "holds other certificates than those of one path from the root to the leaf");
    else
        code = CV_ATTEST_OK;
out:
    sk_X509_free(between);
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    return code;
}

enum cv_attest_code cv_attest_chain_verify(const struct cv_attest_chain *chain,
                                           const struct cv_attest_document *doc,
                                           const struct cv_attest_policy *policy, int64_t time_ms,
                                           struct cv_attest_error *err)
{
    enum cv_attest_code code = check_root(doc, policy, err);
    char field[48];

    for (size_t i = chain->count; i-- > 0 && code == CV_ATTEST_OK;) {
        if (i + 1 < chain->count && X509_NAME_cmp(X509_get_issuer_name(chain->cert[i]),
                                                  X509_get_subject_name(chain->cert[i + 1])) != 0)
            return cv_attest_fail(err, CV_ATTEST_ERR_CHAIN, cv_attest_chain_field(field, chain, i),
                                  "was issued by another than the certificate before it");
    }
    for (size_t i = chain->count; i-- > 0 && code == CV_ATTEST_OK;)
        code = check_rules(chain, i, err);
    for (size_t i = chain->count; i-- > 0 && code == CV_ATTEST_OK;)
        code = check_time(chain, i, time_ms, err);
    return code == CV_ATTEST_OK ? verify_path(chain, err) : code;
}
