/* SPDX-License-Identifier: Apache-2.0 */
#include "eif/describe.h"

#include <openssl/err.h>
#include <string.h>

#include "common/hex.h"
#include "eif/signature.h"

static int no_memory(struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOMEM, "out of memory");
}

static int put_pcr(json_t *o, const char *name, const uint8_t pcr[CV_EIF_PCR_LEN])
{
    char hex[2 * CV_EIF_PCR_LEN + 1];
    cv_hex_encode(hex, pcr, CV_EIF_PCR_LEN);
    return json_object_set_new(o, name, json_string(hex));
}

json_t *cv_eif_measurements_json(const struct cv_eif_pcrs *pcrs)
{
    json_t *o = json_object();
    /* The literal text that nitro-cli prints for its hash. */
    if (json_object_set_new(o, "HashAlgorithm", json_string("Sha384 { ... }")) != 0 ||
        put_pcr(o, "PCR0", pcrs->pcr0) != 0 || put_pcr(o, "PCR1", pcrs->pcr1) != 0 ||
        put_pcr(o, "PCR2", pcrs->pcr2) != 0 ||
        (pcrs->has_pcr8 && put_pcr(o, "PCR8", pcrs->pcr8) != 0)) {
        json_decref(o);
        return NULL;
    }
    return o;
}

/* ---- certificate ---- */

static json_t *issuer_json(const X509 *cert)
{
    json_t *o = json_object();
    const X509_NAME *name = X509_get_issuer_name(cert);
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        const X509_NAME_ENTRY *e = X509_NAME_get_entry(name, i);
        char label[128];
        OBJ_obj2txt(label, sizeof label, X509_NAME_ENTRY_get_object(e), 0);
        unsigned char *text = NULL;
        int n = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(e));
        if (n >= 0) {
            (void)json_object_set_new(o, label, json_stringn((const char *)text, (size_t)n));
        }
        OPENSSL_free(text);
    }
    return o;
}

static json_t *time_json(const ASN1_TIME *time)
{
    json_t *text = NULL;
    BIO *bio = BIO_new(BIO_s_mem());
    char *p;
    if (bio != NULL && ASN1_TIME_print(bio, time) == 1) {
        long n = BIO_get_mem_data(bio, &p);
        text = json_stringn(p, (size_t)n);
    }
    BIO_free(bio);
    return text != NULL ? text : json_null();
}

static json_t *signature_json(const ASN1_BIT_STRING *sig)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 4 * (size_t)CV_EIF_MAX_SIGNATURE);
    for (int i = 0; i < ASN1_STRING_length(sig); i++) {
        if (cv_buf_printf(&text, "%s%02X", i != 0 ? ":" : "", ASN1_STRING_get0_data(sig)[i]) != 0) {
            return NULL;
        }
    }
    return json_stringn((const char *)text.p, text.n);
}

static json_t *certificate_json(const X509 *cert)
{
    const ASN1_BIT_STRING *sig;
    const X509_ALGOR *alg;
    X509_get0_signature(&sig, &alg, cert);
    const ASN1_OBJECT *oid;
    X509_ALGOR_get0(&oid, NULL, NULL, alg);
    char name[128];
    OBJ_obj2txt(name, sizeof name, oid, 0);
    json_t *o = json_object();
    if (json_object_set_new(o, "IssuerName", issuer_json(cert)) != 0 ||
        json_object_set_new(o, "Algorithm", json_string(name)) != 0 ||
        json_object_set_new(o, "NotBefore", time_json(X509_get0_notBefore(cert))) != 0 ||
        json_object_set_new(o, "NotAfter", time_json(X509_get0_notAfter(cert))) != 0 ||
        json_object_set_new(o, "Signature", signature_json(sig)) != 0) {
        json_decref(o);
        o = NULL;
    }
    ERR_clear_error();
    return o;
}

/* ---- metadata ---- */

static const char *const build_keys[] = {"BuildTime", "BuildTool", "BuildToolVersion",
                                         "OperatingSystem", "KernelVersion"};

/* Build data, DockerInfo, and the custom keys beside them, as nitro-cli does. */
static json_t *flatten(json_t *meta)
{
    json_t *o = json_object();
    json_t *build = json_object_get(meta, "BuildMetadata");
    for (size_t i = 0; i < sizeof build_keys / sizeof build_keys[0]; i++) {
        json_t *v = json_object_get(build, build_keys[i]);
        if (v != NULL) {
            (void)json_object_set(o, build_keys[i], v);
        }
    }
    json_t *docker = json_object_get(meta, "DockerInfo");
    (void)json_object_set(o, "DockerInfo", docker != NULL ? docker : json_null());
    json_t *custom = json_object_get(meta, "CustomMetadata");
    if (json_is_object(custom)) {
        (void)json_object_update_missing(o, custom);
    } else if (custom != NULL && !json_is_null(custom)) {
        (void)json_object_set(o, "CustomMetadata", custom);
    }
    return o;
}

static int add_metadata(const struct cv_eif *eif, json_t *out, struct cv_error *err)
{
    const struct cv_eif_section *section = cv_eif_find(eif, CV_EIF_METADATA);
    if (section == NULL) {
        return 0;
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf raw;
    cv_buf_init(&raw, CV_EIF_MAX_METADATA);
    int rc = cv_eif_read_section(eif, section, &raw, err);
    if (rc != 0) {
        return rc;
    }
    json_error_t why;
    json_t *meta = json_loadb((const char *)raw.p, raw.n, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(meta)) {
        json_decref(meta);
        char quoted[120];
        return cv_error_set(err, CV_ERR_INVALID, "the metadata section is no JSON object: %s",
                            cv_error_quote(quoted, sizeof quoted, why.text, strlen(why.text)));
    }
    static const char *const names[] = {"ImageName", "ImageVersion"};
    for (size_t i = 0; i < 2; i++) {
        json_t *v = json_object_get(meta, names[i]);
        if (v != NULL && !json_is_string(v)) {
            rc = cv_error_set(err, CV_ERR_INVALID, "%s in the metadata is no text", names[i]);
        } else if (v != NULL) {
            (void)json_object_set(out, names[i], v);
        }
    }
    if (json_object_set_new(out, "Metadata", flatten(meta)) != 0 && rc == 0) {
        rc = no_memory(err);
    }
    json_decref(meta);
    return rc;
}

/* ---- the whole ---- */

static int add_signature(const struct cv_eif *eif, const struct cv_eif_pcrs *pcrs, int64_t at,
                         json_t *out, bool *good, struct cv_error *err)
{
    CV_CLEANUP(cv_eif_signature_free) struct cv_eif_signature s;
    int rc = cv_eif_signature_read(&s, eif, err);
    if (rc != 0) {
        return rc;
    }
    struct cv_error why;
    cv_error_clear(&why);
    bool verified = cv_eif_signature_verify(&s, pcrs->pcr0, at, &why) == 0;
    *good = *good && verified;
    if (json_object_set_new(out, "SigningCertificate", certificate_json(s.cert)) != 0) {
        return no_memory(err);
    }
    (void)json_object_set_new(out, "SignatureCheck", json_boolean(verified));
    return 0;
}

/* Puts back the order in which nitro-cli prints. */
static json_t *ordered(json_t *from)
{
    static const char *const names[] = {"EifVersion",         "Measurements", "IsSigned",
                                        "SigningCertificate", "CheckCRC",     "SignatureCheck",
                                        "ImageName",          "ImageVersion", "Metadata"};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        json_t *v = json_object_get(from, names[i]);
        if (v != NULL) {
            (void)json_object_set(o, names[i], v);
        }
    }
    json_decref(from);
    return o;
}

int cv_eif_describe(const struct cv_eif *eif, int64_t at, json_t **out, bool *good,
                    struct cv_error *err)
{
    *out = NULL;
    struct cv_eif_pcrs pcrs;
    int rc = cv_eif_measure(eif, &pcrs, err);
    if (rc == 0) {
        rc = cv_eif_check_crc(eif, good, err);
    }
    if (rc != 0) {
        return rc;
    }
    json_t *o = json_object();
    if (json_object_set_new(o, "EifVersion", json_integer(eif->version)) != 0 ||
        json_object_set_new(o, "Measurements", cv_eif_measurements_json(&pcrs)) != 0 ||
        json_object_set_new(o, "IsSigned", json_boolean(pcrs.has_pcr8)) != 0 ||
        json_object_set_new(o, "CheckCRC", json_boolean(*good)) != 0) {
        rc = no_memory(err);
    }
    if (rc == 0 && pcrs.has_pcr8) {
        rc = add_signature(eif, &pcrs, at, o, good, err);
    }
    if (rc == 0) {
        rc = add_metadata(eif, o, err);
    }
    if (rc != 0) {
        json_decref(o);
        return rc;
    }
    *out = ordered(o);
    return 0;
}
