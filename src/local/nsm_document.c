/* SPDX-License-Identifier: Apache-2.0 */
/* Attestation documents: COSE_Sign1 (RFC 9052) over the payload map that AWS
 * describes, fields in the order in which real documents have them. */
#include "cbor/cbor.h"
#include "local/nsm_internal.h"

static const uint8_t protected_header[] = {0xA1, 0x01, 0x38, 0x22}; /* {1: -35}: ES384 */

static void write_pcrs(const struct cv_local_nsm *nsm, struct cv_writer *w)
{
    uint64_t locked = 0;

    for (unsigned i = 0; i < CV_LOCAL_PCRS; i++)
        locked += nsm->pcr[i].locked;
    cv_cbor_write_map(w, locked);
    for (unsigned i = 0; i < CV_LOCAL_PCRS; i++) {
        if (nsm->pcr[i].locked) {
            cv_cbor_write_uint(w, i);
            cv_cbor_write_bstr(w, CV_BYTES(nsm->pcr[i].data, CV_LOCAL_PCR_BYTES));
        }
    }
}

static void write_optional(struct cv_writer *w, const char *key, struct cv_bytes v)
{
    cv_cbor_write_tstr(w, key);
    if (v.p == NULL)
        cv_cbor_write_null(w);
    else
        cv_cbor_write_bstr(w, v);
}

static void write_payload(const struct cv_local_nsm *nsm, const struct cv_local_nsm_request *req,
                          int64_t now_ms, struct cv_writer *w)
{
    if (nsm->indefinite)
        cv_write_u8(w, 0xBF);
    else
        cv_cbor_write_map(w, 9);
    cv_cbor_write_tstr(w, "module_id");
    cv_cbor_write_tstr(w, nsm->module_id);
    cv_cbor_write_tstr(w, "digest");
    cv_cbor_write_tstr(w, "SHA384");
    cv_cbor_write_tstr(w, "timestamp");
    cv_cbor_write_uint(w, (uint64_t)now_ms);
    cv_cbor_write_tstr(w, "pcrs");
    write_pcrs(nsm, w);
    cv_cbor_write_tstr(w, "certificate");
    cv_cbor_write_bstr(w, cv_local_identity_leaf(nsm->identity));
    cv_cbor_write_tstr(w, "cabundle");
    cv_cbor_write_array(w, CV_LOCAL_BUNDLE);
    for (unsigned i = 0; i < CV_LOCAL_BUNDLE; i++)
        cv_cbor_write_bstr(w, cv_local_identity_bundle(nsm->identity, i));
    write_optional(w, "public_key", req->public_key);
    write_optional(w, "user_data", req->user_data);
    write_optional(w, "nonce", req->nonce);
    if (nsm->indefinite)
        cv_write_u8(w, 0xFF);
}

int cv_local_nsm_document(struct cv_local_nsm *nsm, const struct cv_local_nsm_request *req,
                          struct cv_writer *w, struct cv_error *err)
{
    uint8_t payload_bytes[CV_LOCAL_NSM_RESPONSE_MAX], tbs_bytes[CV_LOCAL_NSM_RESPONSE_MAX];
    struct cv_writer payload, tbs;
    uint8_t signature[96];
    int64_t now_ms = nsm->clock(nsm->clock_ctx);
    int rc;

    rc = cv_local_identity_refresh(nsm->identity, now_ms, err);
    if (rc != 0)
        return rc;
    cv_writer_init(&payload, payload_bytes, sizeof payload_bytes);
    write_payload(nsm, req, now_ms, &payload);

    /* Sig_structure, RFC 9052 section 4.4 */
    cv_writer_init(&tbs, tbs_bytes, sizeof tbs_bytes);
    cv_cbor_write_array(&tbs, 4);
    cv_cbor_write_tstr(&tbs, "Signature1");
    cv_cbor_write_bstr(&tbs, CV_BYTES(protected_header, sizeof protected_header));
    cv_cbor_write_bstr(&tbs, (struct cv_bytes){NULL, 0});
    cv_cbor_write_bstr(&tbs, cv_writer_view(&payload));
    if (payload.err != 0 || tbs.err != 0)
        return cv_error_set(err, CV_ERR_LIMIT, "the attestation document would be too long");
    rc = cv_local_identity_sign(nsm->identity, cv_writer_view(&tbs), signature, err);
    if (rc != 0)
        return rc;

    if (nsm->tagged)
        cv_cbor_write_head(w, CV_CBOR_TAG, 18);
    cv_cbor_write_array(w, 4);
    cv_cbor_write_bstr(w, CV_BYTES(protected_header, sizeof protected_header));
    cv_cbor_write_map(w, 0);
    cv_cbor_write_bstr(w, cv_writer_view(&payload));
    cv_cbor_write_bstr(w, CV_BYTES(signature, sizeof signature));
    return cv_writer_end(w, NULL);
}
