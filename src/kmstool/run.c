/* SPDX-License-Identifier: Apache-2.0 */
/* The commands. */
#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "common/hex.h"
#include "common/log.h"
#include "kmstool/kmstool.h"

#define NONCE_MAX 1024 /* more than AWS documents, but what its NSM signs */
#define USER_DATA_MAX 1024

struct tool {
    const struct cv_kmstool_options *o;
    struct cv_nsm *nsm;
    struct cv_rsa *rsa;
    struct cv_aws_transport *transport;
    struct cv_aws_provider *provider;
    struct cv_kms *kms;
    struct cv_kms_result result;
    int64_t deadline;
};

/* ---- the attested receiver ---- */

static int document(void *ctx, struct cv_buf *out, struct cv_error *err)
{
    struct tool *t = ctx;
    const struct cv_nsm_attest fields = {.public_key = cv_rsa_spki(t->rsa)};
    return cv_nsm_attest(t->nsm, &fields, out, err);
}

static int unwrap(void *ctx, struct cv_secret *out, struct cv_bytes cms, struct cv_error *err)
{
    struct tool *t = ctx;
    return cv_cms_unwrap(out, t->rsa, cms, err);
}

/* KMS says only "not allowed"; which measurement it saw is what helps. */
static void print_registers(struct tool *t)
{
    static const uint16_t indices[] = {0, 1, 2, 3, 4, 8};
    fputs("The attestation document says:\n", stderr);
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
        struct cv_nsm_pcr pcr;
        char hex[2 * CV_NSM_PCR_MAX + 1];
        if (cv_nsm_describe_pcr(t->nsm, indices[i], &pcr, NULL) != 0)
            continue;
        cv_hex_encode(hex, pcr.data, pcr.n);
        fprintf(stderr, "  PCR%u %s\n", indices[i], hex);
    }
    fputs("Compare them with kms:RecipientAttestation conditions of the key's policy; all zeros\n"
          "mean an enclave in debug mode. Principal, action and encryption context count too.\n",
          stderr);
}

/* ---- setting up ---- */

static int open_nsm(struct tool *t, struct cv_error *err)
{
    int rc = cv_nsm_open(&t->nsm, t->o->nsm, err);
    if (rc != 0) {
        cv_error_wrap(err,
                      "opening the Nitro Security Module (this program runs inside an enclave)");
        return rc;
    }
    /* Before the RSA key: an enclave's kernel may have no entropy of its own. */
    return cv_nsm_seed_kernel(t->nsm, false, NULL, err);
}

static int open_kms(struct tool *t, struct cv_error *err)
{
    CV_AWS_CREDENTIALS_AUTO struct cv_aws_credentials creds = CV_AWS_CREDENTIALS_INIT;
    struct cv_aws_endpoint endpoint;
    struct cv_kms_config config = {.region = t->o->region};
    int rc = cv_kmstool_credentials(&creds, t->o, err);
    if (rc == 0)
        rc = cv_aws_provider_static(&t->provider, &creds, err);
    if (rc == 0 && t->o->endpoint != NULL) {
        rc = cv_aws_endpoint_parse(&endpoint, t->o->endpoint, false, err);
        config.endpoint = &endpoint;
    }
    if (rc == 0)
        rc = cv_aws_stream_new(&t->transport, &t->o->proxy, t->o->ca_file, err);
    if (rc == CV_ERR_CONFIG)
        cv_error_wrap(err, "the roots that KMS is verified with (--ca-file FILE names others)");
    config.transport = t->transport;
    config.provider = t->provider;
    return rc == 0 ? cv_kms_new(&t->kms, &config, err) : rc;
}

static void tear_down(struct tool *t)
{
    cv_kms_result_free(&t->result);
    cv_kms_free(&t->kms);
    cv_aws_transport_free(&t->transport);
    cv_aws_provider_free(&t->provider);
    cv_rsa_free(t->rsa);
    if (t->nsm != NULL)
        cv_nsm_close(t->nsm);
}

/* ---- commands ---- */

static int print_result(struct tool *t, struct cv_error *err)
{
    struct cv_kmstool_output out = {
        .ciphertext = cv_buf_view(&t->result.ciphertext),
        .plaintext = cv_secret_view(&t->result.plaintext),
        .key_id = t->result.key_id,
        .request_id = t->result.request_id,
    };
    return cv_kmstool_print(t->o, &out, err);
}

static int decrypt(struct tool *t, const struct cv_kms_context *context,
                   const struct cv_kms_recipient *recipient, struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret blob = CV_SECRET_INIT;
    int rc = cv_kmstool_input(&blob, "the ciphertext", t->o->ciphertext, t->o->ciphertext_file,
                              CV_KMS_CIPHERTEXT_MAX, err);
    if (rc != 0)
        return rc;
    rc =
        cv_kms_decrypt_with(t->kms, t->o->key_id, t->o->encryption_algorithm, cv_secret_view(&blob),
                            context, recipient, &t->result, t->deadline, err);
    if (rc == 0 && t->o->key_id != NULL && strncmp(t->o->key_id, "arn:", 4) == 0 &&
        strstr(t->o->key_id, ":key/") != NULL &&
        !cv_kms_key_matches(t->result.key_id, t->o->key_id))
        rc = cv_error_set(err, CV_ERR_PROTOCOL, "KMS answered with another key than --key-id");
    return rc;
}

static int encrypt(struct tool *t, const struct cv_kms_context *context, struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret plain = CV_SECRET_INIT;
    int rc = cv_kmstool_input(&plain, "the plaintext", t->o->plaintext, t->o->plaintext_file,
                              CV_KMS_PLAINTEXT_MAX, err);
    return rc != 0 ? rc
                   : cv_kms_encrypt(t->kms, t->o->key_id, cv_secret_view(&plain), context,
                                    &t->result, t->deadline, err);
}

static int with_kms(struct tool *t, struct cv_error *err)
{
    struct cv_kms_context context = {t->o->context, t->o->ncontext};
    struct cv_kms_recipient recipient = {t, document, unwrap};
    int rc = open_kms(t, err);
    if (rc == 0 && t->o->command != CV_KMSTOOL_ENCRYPT) {
        rc = open_nsm(t, err);
        if (rc == 0 && cv_rsa_generate(&t->rsa) != 0)
            rc = cv_error_set(err, CV_ERR_CRYPTO, "making an RSA key");
    }
    if (rc != 0)
        return rc;
    switch (t->o->command) {
    case CV_KMSTOOL_DECRYPT:
        rc = decrypt(t, &context, &recipient, err);
        break;
    case CV_KMSTOOL_GENKEY:
        rc = cv_kms_generate_data_key(t->kms, t->o->key_id, strstr(t->o->key_spec, "256") ? 32 : 16,
                                      &context, &recipient, &t->result, t->deadline, err);
        break;
    case CV_KMSTOOL_GENRANDOM:
        rc = cv_kms_generate_random(t->kms, t->o->length, &recipient, &t->result, t->deadline, err);
        break;
    default:
        rc = encrypt(t, &context, err);
        break;
    }
    if (rc != 0 && t->nsm != NULL && strcmp(t->result.aws.code, "AccessDeniedException") == 0)
        print_registers(t);
    return rc != 0 ? rc : print_result(t, err);
}

/* public_key stays empty: a document that names a key of somebody else would
 * let KMS answer to that key. */
static int attest(struct tool *t, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf doc;
    CV_SECRET_AUTO struct cv_secret nonce = CV_SECRET_INIT;
    CV_SECRET_AUTO struct cv_secret user_data = CV_SECRET_INIT;
    int rc = 0;
    cv_buf_init(&doc, CV_NSM_RESPONSE_MAX);
    if (t->o->nonce != NULL)
        rc = cv_kmstool_input(&nonce, "the nonce", t->o->nonce, NULL, NONCE_MAX, err);
    if (rc == 0 && t->o->user_data != NULL)
        rc = cv_kmstool_input(&user_data, "the user data", t->o->user_data, NULL, USER_DATA_MAX,
                              err);
    if (rc == 0)
        rc = open_nsm(t, err);
    struct cv_nsm_attest fields = {.user_data = cv_secret_view(&user_data),
                                   .nonce = cv_secret_view(&nonce)};
    if (rc == 0)
        rc = cv_nsm_attest(t->nsm, &fields, &doc, err);
    struct cv_kmstool_output out = {.document = cv_buf_view(&doc)};
    return rc != 0 ? rc : cv_kmstool_print(t->o, &out, err);
}

int cv_kmstool_run(const struct cv_kmstool_options *o, struct cv_error *err)
{
    struct tool t = {.o = o, .deadline = cv_deadline((int64_t)o->timeout_s * 1000)};
    cv_kms_result_init(&t.result);
    int rc = o->command == CV_KMSTOOL_ATTEST ? attest(&t, err) : with_kms(&t, err);
    if (rc == 0 && o->verbose && t.result.request_id[0] != '\0')
        cv_log(CV_LOG_INFO, "done", "command", o->name, "request_id", t.result.request_id, "key",
               t.result.key_id, NULL);
    tear_down(&t);
    return rc;
}
