/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this the enclave that the vault is to have? Each session is asked for a
 * fresh document, and one of another image does not get as far as the keys.
 *
 * This finds mistakes: the wrong image, debug mode, another enclave on the CID.
 * It is no defence against the parent instance, which stands between. What the
 * parent must not be able to do is guarded elsewhere: by the key's policy in
 * KMS, and by an import that is sealed to the enclave whose document it read.
 */
#include <stdlib.h>
#include <string.h>

#include "claviger/attest.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "eif/measure.h"
#include "signer/vault_impl.h"

#define NONCE_LEN 32
#define MAX_AGE_MS (5 * 60 * 1000)
#define ASK_MS 10000
#define ROOT_MAX 16384

struct cv_vault_expectation {
    struct cv_attest_policy policy;
    struct cv_buf root; /* the policy refers to it */
    struct cv_call call;
    struct cv_vault *vault;
    uint8_t nonce[NONCE_LEN];
};

static int expect(struct cv_attest_policy *p, unsigned index, const uint8_t *value,
                  const char *source, struct cv_error *err)
{
    return cv_attest_expect_pcr(p, index, value, CV_CONFIG_PCR_LEN) == CV_ATTEST_OK
               ? 0
               : cv_error_set(err, CV_ERR_CONFIG, "expected_pcrs and %.200s differ in PCR%u",
                              source, index);
}

static int expect_image(struct cv_attest_policy *p, const char *path, struct cv_error *err)
{
    struct cv_eif_pcrs pcrs;
    int rc = cv_eif_measure_path(path, &pcrs, err);
    if (rc != 0) {
        (void)cv_error_wrap(err, "enclave_image");
        return rc;
    }
    rc = expect(p, 0, pcrs.pcr0, path, err);
    if (rc == 0) {
        rc = expect(p, 1, pcrs.pcr1, path, err);
    }
    if (rc == 0) {
        rc = expect(p, 2, pcrs.pcr2, path, err);
    }
    return rc == 0 && pcrs.has_pcr8 ? expect(p, 8, pcrs.pcr8, path, err) : rc;
}

/* Registers of zeros are those of debug mode: who writes them down means it. */
static void allow_debug(struct cv_vault *v, struct cv_attest_policy *p)
{
    static const uint8_t zeros[CV_CONFIG_PCR_LEN];
    if ((p->pcr_mask & 1) != 0 && memcmp(p->pcr[0], zeros, sizeof(zeros)) == 0) {
        p->allow_debug = true;
        cv_log(CV_LOG_WARN,
               "the configuration expects an enclave in debug mode: its keys are not protected",
               "vault", v->config->name, NULL);
    }
}

int cv_vault_expect_open(struct cv_vault *v, struct cv_error *err)
{
    const struct cv_config_expected *c = &v->config->expected;
    int rc = 0;
    if (!c->given) {
        return 0;
    }
    struct cv_vault_expectation *e = calloc(1, sizeof(*e));
    if (e == NULL) {
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for a vault");
    }
    v->expectation = e;
    e->vault = v;
    cv_buf_init(&e->root, ROOT_MAX);
    cv_attest_policy_init(&e->policy);
    for (unsigned i = 0; i < CV_CONFIG_PCRS && rc == 0; i++) {
        if ((c->pcr_mask & (UINT32_C(1) << i)) != 0) {
            rc = expect(&e->policy, i, c->pcr[i], "expected_pcrs", err);
        }
    }
    if (rc == 0 && c->image != NULL) {
        rc = expect_image(&e->policy, c->image, err);
    }
    if (rc == 0 && c->root != NULL) {
        rc = cv_file_read(&e->root, c->root, err);
        e->policy.root = e->root.p;
        e->policy.root_len = e->root.n;
        if (rc == 0 && e->root.n == 0) {
            rc = cv_error_set(err, CV_ERR_CONFIG, "%.200s is empty", c->root);
        }
        if (rc != 0) {
            (void)cv_error_wrap(err, "attestation_root");
        }
    }
    allow_debug(v, &e->policy);
    return rc;
}

void cv_vault_expect_close(struct cv_vault *v)
{
    if (v->expectation != NULL) {
        cv_buf_free(&v->expectation->root);
        free(v->expectation);
        v->expectation = NULL;
    }
}

const struct cv_attest_policy *cv_vault_expected(const struct cv_vault *vault)
{
    return vault->expectation != NULL ? &vault->expectation->policy : NULL;
}

static int verify(const struct cv_vault_expectation *e, struct cv_bytes document,
                  struct cv_error *err)
{
    struct cv_attest_policy p = e->policy;
    struct cv_attest_error refused;
    cv_attest_expect_nonce(&p, e->nonce, sizeof(e->nonce));
    p.now_ms = p.time_ms = cv_unix_ms();
    p.max_age_ms = MAX_AGE_MS;
    enum cv_attest_code code = cv_attest_verify(NULL, document.p, document.n, &p, &refused);
    return code == CV_ATTEST_OK
               ? 0
               : cv_error_set(err, CV_ERR_DENIED,
                              "this is not the enclave that the configuration expects (%s): %.300s",
                              cv_attest_code_name(code), refused.message);
}

static void on_offer(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                     const struct cv_error *err)
{
    struct cv_vault_expectation *e =
        (struct cv_vault_expectation *)(void *)((char *)call -
                                                offsetof(struct cv_vault_expectation, call));
    struct cv_bytes document = {NULL, 0};
    struct cv_error own;
    cv_error_clear(&own);
    if (code == CV_ERR_CLOSED || code == CV_ERR_CANCELLED) {
        return; /* the next connection asks anew */
    }
    if (code != 0) {
        own = *err;
        (void)cv_error_wrap(&own, "asking the enclave for a document");
    } else {
        code = cv_rpc_reply_read_bytes(&document, reply, &own);
    }
    if (code == 0) {
        code = verify(e, document, &own);
    }
    if (code != 0) {
        cv_session_drop(e->vault->session, &own);
        return;
    }
    cv_log(CV_LOG_INFO, "the enclave is the one expected", "vault", e->vault->config->name, NULL);
    cv_vault_verified(e->vault);
}

void cv_vault_expect_check(struct cv_vault *v)
{
    struct cv_vault_expectation *e = v->expectation;
    struct cv_error err;
    int rc;
    cv_error_clear(&err);
    if (e == NULL) {
        cv_vault_verified(v);
        return;
    }
    cv_random(e->nonce, sizeof(e->nonce));
    struct cv_rpc_request request = {.op = CV_RPC_IMPORT_OFFER,
                                     .nonce = CV_BYTES(e->nonce, sizeof(e->nonce))};
    e->call.done = on_offer;
    rc = v->sealed_import
             ? cv_session_call(v->session, &e->call, &request, NULL, cv_deadline(ASK_MS), &err)
             : cv_error_set(&err, CV_ERR_UNSUPPORTED,
                            "this enclave gives no document by which it could be known as the one "
                            "that expected_pcrs or enclave_image describe");
    if (rc != 0) {
        cv_session_drop(v->session, &err);
    }
}
