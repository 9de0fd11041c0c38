/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "common/hex.h"
#include "common/log.h"
#include "enclave/build.h"
#include "enclave/enclave.h"

static int nsm_fill(void *ctx, void *out, size_t n)
{
    struct cv_error err;
    cv_error_clear(&err);
    int rc = cv_nsm_random(ctx, out, n, &err);
    if (rc != 0)
        cv_log_error(CV_LOG_ERROR, "the NSM gave no randomness", &err);
    return rc;
}

static int read_pcr0(struct cv_enclave *e, struct cv_error *err)
{
    static const uint8_t zero[CV_PCR_LEN];
    struct cv_nsm_pcr pcr;
    int rc = cv_nsm_describe_pcr(e->nsm, 0, &pcr, err);
    if (rc != 0)
        return rc;
    if (pcr.n != CV_PCR_LEN)
        return cv_error_set(err, CV_ERR_PROTOCOL, "PCR0 has %zu bytes, not %d", pcr.n, CV_PCR_LEN);
    memcpy(e->pcr0, pcr.data, CV_PCR_LEN);
    cv_hex_encode(e->pcr0_hex, e->pcr0, CV_PCR_LEN);
    e->debug = memcmp(e->pcr0, zero, CV_PCR_LEN) == 0;
    return 0;
}

static int start_nsm(struct cv_enclave *e, struct cv_error *err)
{
    bool credited = false;
    const char *path = e->settings.nsm_address[0] != '\0' ? e->settings.nsm_address : NULL;
    int rc = cv_nsm_open(&e->nsm, path, err);
    if (rc == 0)
        rc = cv_nsm_seed_kernel(e->nsm, cv_enclave_build.must_credit, &credited, err);
    if (rc == 0)
        rc = read_pcr0(e, err);
    if (rc != 0) {
        cv_error_wrap(err, "starting the NSM");
        return rc;
    }
    e->random = (struct cv_random_source){.fill = nsm_fill, .ctx = e->nsm};
    cv_log(CV_LOG_INFO, "kernel seeded from the NSM", "credited", credited ? "yes" : "no", "pcr0",
           e->pcr0_hex, NULL);
    return 0;
}

/* vsock to the parent; a development build may name another address. */
static int proxy_address(struct cv_addr *addr, const struct cv_settings *s, struct cv_error *err)
{
    if (s->proxy_address[0] != '\0')
        return cv_addr_parse(addr, s->proxy_address, err);
    *addr = (struct cv_addr){.kind = CV_ADDR_VSOCK, .cid = s->parent_cid, .port = s->proxy_port};
    return 0;
}

static int listen_address(struct cv_addr *addr, const struct cv_settings *s, struct cv_error *err)
{
    if (s->listen_address[0] != '\0')
        return cv_addr_parse(addr, s->listen_address, err);
    char text[CV_ADDR_TEXT];
    snprintf(text, sizeof text, "vsock:any:%u", (unsigned)s->listen_port);
    return cv_addr_parse(addr, text, err);
}

static int start_transport(struct cv_enclave *e, struct cv_error *err)
{
    const struct cv_settings *s = &e->settings;
    struct cv_addr proxy;
    int rc = listen_address(&e->listen, s, err);
    if (rc == 0)
        rc = proxy_address(&proxy, s, err);
    if (rc == 0 && s->endpoint[0] != '\0') {
        rc = cv_aws_endpoint_parse(&e->endpoint, s->endpoint,
                                   cv_enclave_build.settings == CV_SETTINGS_DEVELOPMENT, err);
        e->has_endpoint = rc == 0;
    }
    if (rc == 0)
        rc = cv_aws_stream_new(&e->transport, &proxy, s->ca_file[0] != '\0' ? s->ca_file : NULL,
                               err);
    if (rc != 0)
        cv_error_wrap(err, "preparing the way to KMS");
    return rc;
}

int cv_enclave_start(struct cv_enclave *e, struct cv_error *err)
{
    int rc = start_nsm(e, err);
    if (rc == 0 && (rc = cv_rsa_generate(&e->rsa)) != 0)
        (void)cv_error_set(err, rc, "making the RSA key: %s", cv_strerror(rc));
    return rc != 0 ? rc : start_transport(e, err);
}

void cv_enclave_stop(struct cv_enclave *e)
{
    cv_aws_transport_free(&e->transport);
    if (e->rsa != NULL)
        cv_rsa_free(e->rsa);
    if (e->nsm != NULL)
        cv_nsm_close(e->nsm);
    e->rsa = NULL;
    e->nsm = NULL;
}
