/* SPDX-License-Identifier: Apache-2.0 */
/* Signing with a key of a vault. */
#include <string.h>

#include "signer/vault_impl.h"

#define CV_VAULT_VERIFY_ONE_IN 256 /* on average */
#define CV_VAULT_VERIFY_BLS 8      /* of which one for keys whose verification takes that longer */

#define SIGN_OF(call_ptr) \
    ((struct cv_sign *)(void *)((char *)(call_ptr)-offsetof(struct cv_sign, call)))

/* An enclave that knows ids says which key and which bytes its answer is about,
 * and that was compared; verifying each signature too would take longer than
 * all else here. So that one that lies in its echo is found out, the first
 * signature of each key in a session is verified, and some of the others. */
static bool must_verify(struct cv_vault_key *key, bool proof)
{
    struct cv_vault *v = key->vault;
    if (proof || !key->proven || v->config->verify_signatures || !cv_session_has_ids(v->session)) {
        return true;
    }
    if (v->unverified > 0) {
        v->unverified--;
        return false;
    }
    cv_random(&v->unverified, sizeof(v->unverified));
    bool bls = key->public_key.scheme == CV_SCHEME_BLS;
    bool spared = bls && v->unverified / (2 * CV_VAULT_VERIFY_ONE_IN) % CV_VAULT_VERIFY_BLS != 0;
    v->unverified %= 2 * CV_VAULT_VERIFY_ONE_IN;
    return !spared;
}

static int take_signature(const struct cv_sign *sign, const struct cv_rpc_reply *reply,
                          struct cv_signature *sig, struct cv_error *err)
{
    const struct cv_public_key *pk = &sign->key->public_key;
    bool proof = sign->call.op == CV_RPC_PROVE_POSSESSION;
    int rc = proof ? cv_rpc_reply_read_proof(sig, reply, err)
                   : cv_rpc_reply_read_signature(sig, reply, err);
    if (rc != 0) {
        return rc;
    }
    if (sig->scheme != pk->scheme || sig->n != cv_signature_len(pk->scheme)) {
        return cv_error_set(err, CV_ERR_PROTOCOL, "the enclave's signature is of another scheme");
    }
    if (!must_verify(sign->key, proof)) {
        return 0;
    }
    rc = proof ? cv_verify_possession(pk, sig)
               : cv_verify(pk, (enum cv_sign_version)sign->version, sign->message, sig);
    if (rc != 0) {
        return cv_error_set(err, CV_ERR_CRYPTO,
                            "the enclave's signature is not of this key and message");
    }
    sign->key->proven = true;
    return 0;
}

static void on_signed(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                      const struct cv_error *err)
{
    struct cv_sign *sign = SIGN_OF(call);
    struct cv_session *session = sign->key->vault->session;
    struct cv_error *own = &sign->key->vault->sign_error;
    struct cv_signature sig;
    if (code != 0) {
        sign->done(sign, code, NULL, err);
        return;
    }
    cv_error_clear(own);
    code = take_signature(sign, reply, &sig, own);
    if (code == 0) {
        sign->done(sign, 0, &sig, NULL);
        return;
    }
    /* A peer that answers so is not to be believed in what it says next. What
     * ends with the connection has other errors: this one is copied. */
    struct cv_error why = *own;
    sign->done(sign, code, NULL, &why);
    cv_session_drop(session, &why);
}

static int not_usable(const struct cv_vault_key *key, struct cv_error *err)
{
    const struct cv_vault *v = key->vault;
    char why[CV_ERROR_SENTENCE];
    if (v->state == CV_VAULT_DOWN) {
        return cv_error_set(err, CV_ERR_STATE, "the enclave of vault %.40s is not connected: %s",
                            v->config->name, cv_error_format(why, sizeof(why), &v->why));
    }
    return cv_error_set(err, CV_ERR_STATE, "this key is not imported into the enclave%s%s",
                        key->fault[0] != 0 ? ": " : " yet", key->fault);
}

int cv_vault_key_usable(const struct cv_vault_key *key, struct cv_error *err)
{
    return key->active ? 0 : not_usable(key, err);
}

static int submit(struct cv_vault_key *key, struct cv_sign *sign, struct cv_rpc_request *request,
                  int64_t deadline, struct cv_error *err)
{
    int rc = cv_vault_key_usable(key, err);
    if (rc != 0) {
        return rc;
    }
    sign->key = key;
    sign->call.done = on_signed;
    request->handle = key->handle;
    return cv_session_call(key->vault->session, &sign->call, request, sign->digest, deadline, err);
}

int cv_vault_sign(struct cv_vault_key *key, struct cv_sign *sign, int64_t deadline,
                  struct cv_error *err)
{
    struct cv_rpc_request request = {
        .op = CV_RPC_SIGN, .message = sign->message, .version = sign->version};
    return submit(key, sign, &request, deadline, err);
}

int cv_vault_prove(struct cv_vault_key *key, struct cv_sign *sign, int64_t deadline,
                   struct cv_error *err)
{
    struct cv_rpc_request request = {.op = CV_RPC_PROVE_POSSESSION};
    sign->message = CV_BYTES(NULL, 0);
    return submit(key, sign, &request, deadline, err);
}
