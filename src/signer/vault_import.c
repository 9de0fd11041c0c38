/* SPDX-License-Identifier: Apache-2.0 */
/* Import of a key that was sealed to the enclave (docs/protocol/enclave-rpc.md,
 * ImportOffer and ImportSealed). */
#include <string.h>

#include "attest/statement.h"
#include "claviger/attest.h"
#include "common/clock.h"
#include "common/log.h"
#include "crypto/hpke.h"
#include "signer/vault_impl.h"

#define NONCE_LEN 32
#define MAX_AGE_MS (5 * 60 * 1000)

bool cv_vault_takes_sealed(const struct cv_vault *vault)
{
    return vault->sealed_import;
}

/* What the enclave will seal under is what the vault's configuration names: an
 * ARN for the id that is its last part. The parent could otherwise have the key
 * end up under a CMK of its own. */
static bool same_cmk(const char *configured, struct cv_bytes offered)
{
    size_t n = strlen(configured);
    if (cv_bytes_equal_str(offered, configured)) {
        return true;
    }
    return n > 0 && offered.n > n && memcmp(offered.p + offered.n - n, configured, n) == 0 &&
           offered.p[offered.n - n - 1] == '/' && memchr(configured, ':', n) == NULL;
}

/* Takes the document apart, verified or not; its views point into BYTES. */
static int take_document(struct cv_attest_document *doc, struct cv_bytes bytes,
                         struct cv_bytes nonce, const struct cv_attest_policy *policy,
                         struct cv_error *err)
{
    struct cv_attest_error refused;
    enum cv_attest_code code;
    if (policy == NULL) {
        code = cv_attest_parse_unverified(doc, bytes.p, bytes.n, false, &refused);
    } else {
        struct cv_attest_policy p = *policy;
        cv_attest_expect_nonce(&p, nonce.p, nonce.n);
        p.now_ms = p.time_ms = cv_unix_ms();
        p.max_age_ms = MAX_AGE_MS;
        code = cv_attest_verify(doc, bytes.p, bytes.n, &p, &refused);
    }
    if (code != CV_ATTEST_OK) {
        return cv_error_set(err, CV_ERR_DENIED,
                            "the enclave's document is refused (%s): %.240s; the key was not sent",
                            cv_attest_code_name(code), refused.message);
    }
    return 0;
}

/* The statement of an offer whose document may be trusted. */
static int take_offer(struct cv_offer_statement *offer, const struct cv_attest_document *doc,
                      const struct cv_vault *v, struct cv_error *err)
{
    char quoted[200];
    int rc = cv_offer_statement_read(offer, CV_BYTES(doc->user_data.p, doc->user_data.n), err);
    if (rc != 0) {
        return rc;
    }
    if (doc->public_key.p != NULL) {
        return cv_error_set(err, CV_ERR_DENIED,
                            "the enclave's document could serve another purpose");
    }
    if (!same_cmk(v->config->encryption_key_id, offer->cmk)) {
        return cv_error_set(
            err, CV_ERR_DENIED,
            "the enclave would seal the key under %s, not under the vault's CMK; the "
            "key was not sent",
            cv_error_quote(quoted, sizeof(quoted), offer->cmk.p, offer->cmk.n));
    }
    return 0;
}

static int seal_and_send(struct cv_vault *v, const struct cv_offer_statement *offer,
                         struct cv_bytes info, enum cv_scheme scheme, const struct cv_secret *key,
                         struct cv_vault_key **out, int64_t deadline, struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret plain = CV_SECRET_INIT;
    uint8_t enc[CV_HPKE_KEY_LEN], sealed[CV_RPC_PRIVATE_KEY_CBOR + CV_HPKE_TAG_LEN];
    struct cv_writer w;
    if (key->n != CV_RPC_PRIVATE_KEY_LEN || cv_secret_alloc(&plain, CV_RPC_PRIVATE_KEY_CBOR) != 0) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory that can be locked");
    }
    cv_writer_init(&w, plain.p, plain.n);
    int rc = cv_rpc_private_key_encode(&w, scheme, key->p);
    if (rc == 0) {
        rc = cv_hpke_seal(enc, sealed, offer->public_key, info, CV_BYTES(NULL, 0),
                          cv_writer_view(&w), NULL);
    }
    if (rc != 0) {
        return cv_error_set(err, rc, "sealing the key to the enclave failed");
    }
    struct cv_rpc_request request = {
        .op = CV_RPC_IMPORT_SEALED,
        .offer = CV_BYTES(offer->public_key, CV_OFFER_KEY_LEN),
        .enc = CV_BYTES(enc, sizeof(enc)),
        .ciphertext = CV_BYTES(sealed, w.n + CV_HPKE_TAG_LEN),
    };
    return cv_vault_make(v, &request, out, deadline, err);
}

int cv_vault_import_sealed(struct cv_vault *vault, enum cv_scheme scheme,
                           const struct cv_secret *key, const struct cv_attest_policy *policy,
                           struct cv_vault_key **out, int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf document;
    struct cv_attest_document doc;
    struct cv_offer_statement offer;
    uint8_t nonce[NONCE_LEN];
    struct cv_rpc_request request = {.op = CV_RPC_IMPORT_OFFER,
                                     .nonce = CV_BYTES(nonce, sizeof(nonce))};
    *out = NULL;
    cv_buf_init(&document, CV_ATTEST_MAX_DOCUMENT);
    if (!vault->sealed_import) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "the enclave of vault %.40s takes no sealed keys", vault->config->name);
    }
    cv_random(nonce, sizeof(nonce));
    int rc = cv_vault_ask_bytes(vault, &request, &document, deadline, err);
    if (rc == 0) {
        rc = take_document(&doc, cv_buf_view(&document), request.nonce, policy, err);
    }
    if (rc == 0) {
        rc = take_offer(&offer, &doc, vault, err);
    }
    if (rc == 0) {
        rc = seal_and_send(vault, &offer, CV_BYTES(doc.user_data.p, doc.user_data.n), scheme, key,
                           out, deadline, err);
    }
    return rc;
}
