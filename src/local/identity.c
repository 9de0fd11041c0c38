/* SPDX-License-Identifier: Apache-2.0 */
/* An enclave's certificates, made in memory and re-issued as they expire. */
#include <openssl/ecdsa.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"
#include "local/pki_internal.h"

#define SECOND_MS INT64_C(1000)
#define HOUR_MS (3600 * SECOND_MS)
#define DAY_MS (24 * HOUR_MS)
#define SPARE_MS (60 * SECOND_MS) /* a certificate with less life left is re-issued */
#define REGION_MAX 14             /* keeps every common name within 64 characters */
#define TEXT_SIZE 320

enum level { REGIONAL, ZONAL, INSTANCE, LEAF, LEVELS };

/* Lives as observed on AWS's certificates. */
static const struct {
    enum cv_local_profile profile;
    int64_t before_ms; /* how long before its making it is valid */
    int64_t life_ms;
} levels[LEVELS] = {
    [REGIONAL] = {CV_LOCAL_REGIONAL, HOUR_MS, 20 * DAY_MS},
    [ZONAL] = {CV_LOCAL_ZONAL, HOUR_MS, 6 * DAY_MS},
    [INSTANCE] = {CV_LOCAL_INSTANCE, HOUR_MS, DAY_MS},
    [LEAF] = {CV_LOCAL_LEAF, 3 * SECOND_MS, 3 * HOUR_MS},
};

struct issued {
    EVP_PKEY *key;
    X509 *cert;
    struct cv_buf der;
    int64_t not_before_ms, not_after_ms;
};

struct cv_local_identity {
    struct cv_local_pki *pki;
    char region[REGION_MAX + 1];
    char *instance_id;
    char *module_id;
    struct issued at[LEVELS];
};

int cv_local_identity_new(struct cv_local_identity **out, struct cv_local_pki *pki,
                          const char *region, const char *instance_id, const char *module_id,
                          struct cv_error *err)
{
    *out = NULL;
    if (strlen(region) == 0 || strlen(region) > REGION_MAX)
        return cv_error_set(err, CV_ERR_INVALID, "a region has 1 to %d characters", REGION_MAX);
    if (strlen(module_id) == 0 || strlen(module_id) > 255 || strlen(instance_id) == 0 ||
        strlen(instance_id) > 128)
        return cv_error_set(err, CV_ERR_INVALID, "module id or instance id is empty or too long");
    struct cv_local_identity *id = calloc(1, sizeof *id);
    if (id == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    id->pki = pki;
    memcpy(id->region, region, strlen(region) + 1);
    id->instance_id = strdup(instance_id);
    id->module_id = strdup(module_id);
    for (size_t i = 0; i < LEVELS; i++)
        cv_buf_init(&id->at[i].der, CV_LOCAL_CERT_MAX);
    if (id->instance_id == NULL || id->module_id == NULL) {
        cv_local_identity_free(id);
        return cv_error_set(err, CV_ERR_NOMEM, "no memory");
    }
    *out = id;
    return 0;
}

static void issued_clear(struct issued *c)
{
    EVP_PKEY_free(c->key);
    X509_free(c->cert);
    c->key = NULL;
    c->cert = NULL;
    cv_buf_reset(&c->der);
}

void cv_local_identity_free(struct cv_local_identity *id)
{
    if (id == NULL)
        return;
    for (size_t i = 0; i < LEVELS; i++) {
        issued_clear(&id->at[i]);
        cv_buf_free(&id->at[i].der);
    }
    free(id->instance_id);
    free(id->module_id);
    free(id);
}

/* Names, in the order of their parts as AWS has them. */
static void name_for(const struct cv_local_identity *id, enum level level, char text[TEXT_SIZE],
                     struct cv_local_name_part parts[CV_LOCAL_NAME_PARTS])
{
    static const struct cv_local_name_part regional[] = {
        {NID_countryName, "US"},
        {NID_organizationName, CV_LOCAL_ORGANIZATION},
        {NID_organizationalUnitName, "Not AWS"},
        {NID_commonName, NULL}};
    static const struct cv_local_name_part zonal[] = {{NID_commonName, NULL},
                                                      {NID_organizationalUnitName, "Not AWS"},
                                                      {NID_organizationName, CV_LOCAL_ORGANIZATION},
                                                      {NID_countryName, "US"},
                                                      {NID_stateOrProvinceName, "WA"},
                                                      {NID_localityName, "Seattle"}};
    static const struct cv_local_name_part machine[] = {
        {NID_countryName, "US"},
        {NID_stateOrProvinceName, "Washington"},
        {NID_localityName, "Seattle"},
        {NID_organizationName, CV_LOCAL_ORGANIZATION},
        {NID_organizationalUnitName, "Not AWS"},
        {NID_commonName, NULL}};
    uint8_t random[8];
    char hex[17];

    RAND_bytes(random, sizeof random);
    cv_hex_encode(hex, random, sizeof random);
    memset(parts, 0, CV_LOCAL_NAME_PARTS * sizeof *parts);
    switch (level) {
    case REGIONAL:
        snprintf(text, TEXT_SIZE, "%s.%s." CV_LOCAL_ZONE, hex, id->region);
        memcpy(parts, regional, sizeof regional);
        break;
    case ZONAL:
        snprintf(text, TEXT_SIZE, "%.12s.zonal.%s." CV_LOCAL_ZONE, hex, id->region);
        memcpy(parts, zonal, sizeof zonal);
        break;
    case INSTANCE:
        snprintf(text, TEXT_SIZE, "%s.%s." CV_LOCAL_ZONE, id->instance_id, id->region);
        memcpy(parts, machine, sizeof machine);
        break;
    default:
        snprintf(text, TEXT_SIZE, "%s.%s.local", id->module_id, id->region);
        memcpy(parts, machine, sizeof machine);
        break;
    }
    for (size_t i = 0; i < CV_LOCAL_NAME_PARTS; i++) {
        if (parts[i].nid == NID_commonName)
            parts[i].value = text;
    }
}

static int issue(struct cv_local_identity *id, enum level level, int64_t now_ms,
                 struct cv_error *err)
{
    struct issued *c = &id->at[level];
    char text[TEXT_SIZE];
    struct cv_local_certificate_spec spec = {
        .profile = levels[level].profile,
        .not_before_ms = now_ms - levels[level].before_ms,
        .not_after_ms = now_ms + levels[level].life_ms,
        .issuer = level == REGIONAL ? id->pki->cert : id->at[level - 1].cert,
        .issuer_key = level == REGIONAL ? id->pki->key : id->at[level - 1].key,
        .crl_url =
            "URI:http://crl.claviger-local.invalid/crl/00000000-0000-0000-0000-000000000000.crl",
    };

    issued_clear(c);
    name_for(id, level, text, spec.subject);
    c->key = cv_local_key_new();
    spec.key = c->key;
    if (c->key != NULL)
        c->cert = cv_local_certificate_new(&spec);
    if (c->cert == NULL || cv_local_certificate_der(&c->der, c->cert) != 0) {
        issued_clear(c);
        return cv_error_set(err, CV_ERR_CRYPTO, "issuing a local certificate failed");
    }
    c->not_before_ms = spec.not_before_ms;
    c->not_after_ms = spec.not_after_ms;
    return 0;
}

int cv_local_identity_refresh(struct cv_local_identity *id, int64_t now_ms, struct cv_error *err)
{
    bool again = false; /* a certificate above was replaced */

    for (enum level i = REGIONAL; i < LEVELS; i++) {
        const struct issued *c = &id->at[i];
        if (again || c->cert == NULL || now_ms < c->not_before_ms ||
            now_ms > c->not_after_ms - SPARE_MS) {
            int rc = issue(id, i, now_ms, err);
            if (rc != 0)
                return rc;
            again = true;
        }
    }
    return 0;
}

struct cv_bytes cv_local_identity_leaf(const struct cv_local_identity *id)
{
    return cv_buf_view(&id->at[LEAF].der);
}

struct cv_bytes cv_local_identity_bundle(const struct cv_local_identity *id, unsigned index)
{
    return index == 0 ? cv_local_pki_root(id->pki) : cv_buf_view(&id->at[index - 1].der);
}

int cv_local_identity_sign(struct cv_local_identity *id, struct cv_bytes tbs, uint8_t out[96],
                           struct cv_error *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t der[128];
    size_t n = sizeof der;
    ECDSA_SIG *sig = NULL;
    bool ok = false;

    if (ctx != NULL && EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, id->at[LEAF].key) == 1 &&
        EVP_DigestSign(ctx, der, &n, tbs.p, tbs.n) == 1) {
        const uint8_t *p = der;
        sig = d2i_ECDSA_SIG(NULL, &p, (long)n);
    }
    if (sig != NULL)
        ok = BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, 48) == 48 &&
             BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + 48, 48) == 48;
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : cv_error_set(err, CV_ERR_CRYPTO, "signing an attestation document failed");
}
