/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/attest_fixture.h"

#include <stdlib.h>

#include <openssl/ecdsa.h>
#include <openssl/objects.h>

#include "cbor/cbor.h"

#define REQUIRE(x)   \
    do {             \
        if (!(x))    \
            abort(); \
    } while (0)

static const struct {
    const char *name;
    enum cv_local_profile profile;
    int64_t life_ms;
} levels[F_LEVELS] = {
    [F_ROOT] = {"root", CV_LOCAL_ROOT, 24 * 365 * FIXTURE_HOUR_MS},
    [F_REGIONAL] = {"regional", CV_LOCAL_REGIONAL, 480 * FIXTURE_HOUR_MS},
    [F_ZONAL] = {"zonal", CV_LOCAL_ZONAL, 144 * FIXTURE_HOUR_MS},
    [F_INSTANCE] = {"instance", CV_LOCAL_INSTANCE, 24 * FIXTURE_HOUR_MS},
    [F_LEAF] = {"leaf", CV_LOCAL_LEAF, 3 * FIXTURE_HOUR_MS},
};

static X509 *make_cert(const struct fixture *f, int level, EVP_PKEY *key,
                       const struct fixture_bend *bend)
{
    bool bent = bend != NULL && bend->level == level;
    struct cv_local_certificate_spec spec = {
        .profile = levels[level].profile,
        .subject = {{NID_countryName, "US"}, {NID_commonName, levels[level].name}},
        /* The outermost certificates begin earliest. */
        .not_before_ms = FIXTURE_NOW_MS - (F_LEVELS - level) * FIXTURE_HOUR_MS,
        .not_after_ms = FIXTURE_NOW_MS + levels[level].life_ms,
        .key = key,
        .issuer = level == F_ROOT ? NULL : f->cert[level - 1],
        .issuer_key = level == F_ROOT ? NULL : f->key[level - 1],
    };

    if (bent && bend->profile >= 0)
        spec.profile = (enum cv_local_profile)bend->profile;
    if (bent && bend->not_before_ms != 0)
        spec.not_before_ms = bend->not_before_ms;
    if (bent && bend->not_after_ms != 0)
        spec.not_after_ms = bend->not_after_ms;
    if (bent && bend->issuer_key != NULL)
        spec.issuer_key = bend->issuer_key;
    if (bent && bend->common_name != NULL)
        spec.subject[1].value = bend->common_name;
    X509 *cert = cv_local_certificate_new(&spec);
    REQUIRE(cert != NULL);
    return cert;
}

void fixture_make(struct fixture *f, const struct fixture_bend *bend)
{
    *f = (struct fixture){0};
    for (int i = 0; i < F_LEVELS; i++) {
        const char *curve =
            bend != NULL && bend->level == i && bend->curve != NULL ? bend->curve : "P-384";
        f->key[i] = EVP_EC_gen(curve);
        REQUIRE(f->key[i] != NULL);
        f->cert[i] = make_cert(f, i, f->key[i], bend);
        cv_buf_init(&f->der[i], 4096);
        REQUIRE(cv_local_certificate_der(&f->der[i], f->cert[i]) == 0);
        if (i < F_LEAF)
            f->bundle[f->bundle_count++] = cv_buf_view(&f->der[i]);
    }
    f->leaf = cv_buf_view(&f->der[F_LEAF]);
    f->signer = f->key[F_LEAF];
}

void fixture_free(struct fixture *f)
{
    for (int i = 0; i < F_LEVELS; i++) {
        EVP_PKEY_free(f->key[i]);
        X509_free(f->cert[i]);
        cv_buf_free(&f->der[i]);
    }
}

X509 *fixture_sibling(const struct fixture *f, int level, EVP_PKEY **key)
{
    *key = cv_local_key_new();
    REQUIRE(*key != NULL);
    return make_cert(f, level, *key, NULL);
}

void fixture_sign(struct cv_buf *out, EVP_PKEY *key, struct cv_bytes payload)
{
    static const uint8_t header[] = {0xA1, 0x01, 0x38, 0x22};
    static uint8_t tbs_bytes[40000], doc_bytes[40000];
    uint8_t der[160], raw[96] = {0};
    size_t n = sizeof der;
    struct cv_writer tbs, doc;

    cv_writer_init(&tbs, tbs_bytes, sizeof tbs_bytes);
    cv_cbor_write_array(&tbs, 4);
    cv_cbor_write_tstr(&tbs, "Signature1");
    cv_cbor_write_bstr(&tbs, CV_BYTES(header, sizeof header));
    cv_cbor_write_bstr(&tbs, CV_BYTES(NULL, 0));
    cv_cbor_write_bstr(&tbs, payload);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    REQUIRE(ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, key) == 1 &&
            EVP_DigestSign(ctx, der, &n, tbs.p, tbs.n) == 1);
    EVP_MD_CTX_free(ctx);
    const uint8_t *p = der;
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
    REQUIRE(sig != NULL);
    /* Another curve's signature does not fit, and is not looked at either. */
    (void)BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 48);
    (void)BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 48, 48);
    ECDSA_SIG_free(sig);

    cv_writer_init(&doc, doc_bytes, sizeof doc_bytes);
    cv_cbor_write_array(&doc, 4);
    cv_cbor_write_bstr(&doc, CV_BYTES(header, sizeof header));
    cv_cbor_write_map(&doc, 0);
    cv_cbor_write_bstr(&doc, payload);
    cv_cbor_write_bstr(&doc, CV_BYTES(raw, sizeof raw));
    REQUIRE(cv_writer_end(&doc, NULL) == 0);
    cv_buf_init(out, sizeof doc_bytes);
    REQUIRE(cv_buf_append(out, doc.p, doc.n) == 0);
}

void fixture_document(struct cv_buf *out, const struct fixture *f)
{
    static uint8_t bytes[20000];
    uint8_t pcr[48];
    struct cv_writer w;

    for (size_t i = 0; i < sizeof pcr; i++)
        pcr[i] = 0x11;
    cv_writer_init(&w, bytes, sizeof bytes);
    cv_cbor_write_map(&w, 9);
    cv_cbor_write_tstr(&w, "module_id");
    cv_cbor_write_tstr(&w, "i-1-enc1");
    cv_cbor_write_tstr(&w, "digest");
    cv_cbor_write_tstr(&w, "SHA384");
    cv_cbor_write_tstr(&w, "timestamp");
    cv_cbor_write_uint(&w, (uint64_t)FIXTURE_NOW_MS);
    cv_cbor_write_tstr(&w, "pcrs");
    cv_cbor_write_map(&w, 1);
    cv_cbor_write_uint(&w, 0);
    cv_cbor_write_bstr(&w, CV_BYTES(pcr, sizeof pcr));
    cv_cbor_write_tstr(&w, "certificate");
    cv_cbor_write_bstr(&w, f->leaf);
    cv_cbor_write_tstr(&w, "cabundle");
    cv_cbor_write_array(&w, f->bundle_count);
    for (size_t i = 0; i < f->bundle_count; i++)
        cv_cbor_write_bstr(&w, f->bundle[i]);
    cv_cbor_write_tstr(&w, "public_key");
    cv_cbor_write_null(&w);
    cv_cbor_write_tstr(&w, "user_data");
    cv_cbor_write_null(&w);
    cv_cbor_write_tstr(&w, "nonce");
    cv_cbor_write_null(&w);
    REQUIRE(cv_writer_end(&w, NULL) == 0);
    fixture_sign(out, f->signer, cv_writer_view(&w));
}

void fixture_policy(struct cv_attest_policy *policy, const struct fixture *f)
{
    cv_attest_policy_init(policy);
    policy->root = f->der[F_ROOT].p;
    policy->root_len = f->der[F_ROOT].n;
}
