/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recipient: the attestation document of a request, verified as KMS verifies
 * it: down to the (local) root, certificates valid now, fresh, with an RSA
 * public key. Debug documents are genuine, so they pass here; their registers
 * are zeros, which the key policy judges.
 */
#include "local/kms_call.h"

#include <claviger/attest.h>
#include <stdio.h>
#include <string.h>

#include "common/hex.h"

#define DOCUMENT_MAX 262144 /* bytes, KMS API Reference: RecipientInfo */

static int bad_document(struct cv_local_kms_call *c, const char *why)
{
    snprintf(c->decision, sizeof c->decision, "attestation document refused: %s", why);
    return cv_local_refuse(c, 400, "ValidationException", "Recipient.AttestationDocument: %s", why);
}

static int read_recipient(struct cv_local_kms_call *c, const json_t *v)
{
    struct cv_local_recipient *r = &c->recipient;
    const json_t *doc = json_object_get(v, "AttestationDocument");
    const char *algorithm = json_string_value(json_object_get(v, "KeyEncryptionAlgorithm"));
    const char *text = json_string_value(doc);
    size_t n;
    if (!json_is_object(v) || (doc && !text))
        return cv_local_refuse(c, 400, "SerializationException", "Recipient has a wrong shape");
    if (!algorithm || strcmp(algorithm, "RSAES_OAEP_SHA_256"))
        return cv_local_refuse(c, 400, "ValidationException",
                               "Recipient.KeyEncryptionAlgorithm must be RSAES_OAEP_SHA_256");
    if (!text || !*text)
        return cv_local_refuse(c, 400, "ValidationException",
                               "Recipient.AttestationDocument is missing");
    size_t max = CV_BASE64_MAX(strlen(text));
    uint8_t *room = max <= DOCUMENT_MAX ? cv_buf_reserve(&r->document, max ? max : 1) : NULL;
    if (!room)
        return bad_document(c, "it is longer than 262144 bytes");
    if (cv_base64_decode(room, max, &n, cv_bytes_str(text)))
        return cv_local_refuse(c, 400, "SerializationException",
                               "Recipient.AttestationDocument is not base64");
    cv_buf_commit(&r->document, n);
    return 0;
}

static int verify(struct cv_local_kms_call *c, struct cv_attest_document *doc)
{
    struct cv_attest_policy policy;
    struct cv_attest_error why;
    char text[400];
    int64_t now = cv_local_now(c->kms);
    if (!c->kms->root.n)
        return bad_document(c, "this KMS was started without an attestation root");
    cv_attest_policy_init(&policy);
    policy.root = c->kms->root.p;
    policy.root_len = c->kms->root.n;
    policy.time_ms = now;
    policy.now_ms = now;
    policy.max_age_ms = CV_LOCAL_KMS_FRESH_MS;
    policy.allow_debug = true;
    if (cv_attest_verify(doc, c->recipient.document.p, c->recipient.document.n, &policy, &why)) {
        snprintf(text, sizeof text, "%s: %s", cv_attest_code_name(why.code), why.message);
        return bad_document(c, text);
    }
    c->recipient.age_ms = now > (int64_t)doc->timestamp_ms ? (uint64_t)now - doc->timestamp_ms : 0;
    return 0;
}

static int note_registers(struct cv_local_kms_call *c, const struct cv_attest_document *doc)
{
    for (unsigned i = 0; i < CV_ATTEST_PCRS; i++) {
        if (!(doc->pcr_mask & (UINT32_C(1) << i)))
            continue;
        if (cv_policy_context_add_pcr(&c->context, i, doc->pcr[i].p, doc->pcr[i].n))
            return cv_local_refuse(c, 500, "KMSInternalException", "no room for a register");
        if (i == 0)
            cv_hex_encode(c->recipient.pcr0, doc->pcr[i].p, doc->pcr[i].n);
    }
    return 0;
}

int cv_local_in_recipient(struct cv_local_kms_call *c)
{
    struct cv_local_recipient *r = &c->recipient;
    const json_t *v = json_object_get(c->in, "Recipient");
    struct cv_attest_document doc = {0};
    if (!v || json_is_null(v))
        return 0;
    cv_buf_init(&r->document, DOCUMENT_MAX + 4);
    r->present = true;
    if (read_recipient(c, v) || verify(c, &doc))
        return -1;
    cv_error_quote(r->module_id, sizeof r->module_id, doc.module_id.p, doc.module_id.n);
    if (!doc.public_key.p || !doc.public_key.n)
        return bad_document(c, "it holds no public key");
    r->spki = CV_BYTES(doc.public_key.p, doc.public_key.n);
    if (cv_local_cms_check_key(r->spki))
        return bad_document(c,
                            "its public key is no RSA SubjectPublicKeyInfo of 2048 to 4096 bits");
    return note_registers(c, &doc);
}
