/* SPDX-License-Identifier: Apache-2.0 */
/* claviger-local imds: instance metadata, version 2 alone, and the container
 * endpoint (EC2 User Guide, "Use IMDSv2"; SDKs and Tools Reference Guide). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/hex.h"
#include "common/log.h"
#include "json/json.h"
#include "local/local.h"
#include "local/standin.h"

const char cv_local_imds_usage[] =
    "usage: claviger-local imds --state FILE [OPTION]...\n"
    "\n"
    "Instance metadata (IMDSv2 only) that gives temporary credentials of a role; the KMS,\n"
    "STS and S3 stand-ins on the same state take them until they expire.\n"
    "\n"
    "  --state FILE      kms.json of claviger-local kms\n"
    "  --listen ADDRESS  default tcp:127.0.0.1:0\n"
    "  --role NAME       default claviger-local\n"
    "  --life SECONDS    of the credentials (21600); they are renewed at half of it\n"
    "  --region NAME     of the identity document; default that of the state\n"
    "  --token TEXT      Authorization that /v2/credentials (containers) wants\n"
    "\n"
    "Prints 'ready ADDRESS' on standard output. For AWS_EC2_METADATA_SERVICE_ENDPOINT, and\n"
    "http://HOST:PORT/v2/credentials for AWS_CONTAINER_CREDENTIALS_FULL_URI.\n"
    "example: claviger-local imds --state kms.json --life 10\n";

#define TOKENS 64
#define ROLE_PATH "/latest/meta-data/iam/security-credentials/"

struct imds {
    struct cv_local_standin_options o;
    pthread_mutex_t lock;
    struct {
        char text[65];
        int64_t until; /* monotonic */
    } tokens[TOKENS];
    size_t next;
    struct cv_local_session session;
    int64_t issued_ms, renew_ms; /* Unix */
};

static void text_reply(struct cv_local_web_reply *r, int status, const char *text)
{
    r->status = status;
    cv_buf_reset(&r->body);
    (void)!cv_buf_append_str(&r->body, text);
    (void)cv_local_web_header(r, "Content-Type", "text/plain");
}

static void give_token(struct imds *m, const struct cv_http_message *q,
                       struct cv_local_web_reply *r)
{
    const char *ttl = cv_http_header(q, "x-aws-ec2-metadata-token-ttl-seconds");
    size_t n = ttl != NULL ? strlen(ttl) : 0;
    uint8_t raw[32];
    if (cv_http_header(q, "x-forwarded-for") != NULL) {
        text_reply(r, 403, "");
        return;
    }
    unsigned long seconds =
        n > 0 && n < 6 && strspn(ttl, "0123456789") == n ? strtoul(ttl, NULL, 10) : 0;
    if (seconds < 1 || seconds > 21600) {
        text_reply(r, 400, "");
        return;
    }
    size_t i = m->next++ % TOKENS;
    cv_random(raw, sizeof raw);
    cv_hex_encode(m->tokens[i].text, raw, sizeof raw);
    m->tokens[i].until = cv_deadline((int64_t)seconds * 1000);
    text_reply(r, 200, m->tokens[i].text);
    (void)cv_local_web_header(r, "X-aws-ec2-metadata-token-ttl-seconds", ttl);
}

static bool token_good(const struct imds *m, const struct cv_http_message *q)
{
    const char *given = cv_http_header(q, "x-aws-ec2-metadata-token");
    for (size_t i = 0; given != NULL && i < TOKENS; i++)
        if (m->tokens[i].text[0] != '\0' && strcmp(m->tokens[i].text, given) == 0)
            return cv_now_ms() < m->tokens[i].until;
    return false;
}

static int session(struct imds *m, struct cv_error *err)
{
    struct cv_local_kms *kms;
    int64_t now = cv_unix_ms();
    if (now < m->renew_ms)
        return 0;
    int rc = cv_local_standin_state(&kms, m->o.state, err);
    if (rc == 0)
        rc = cv_local_session_issue(&m->session, &kms->state, m->o.role, "i-0123456789abcdef0",
                                    now + (int64_t)m->o.life_s * 1000, err);
    cv_local_kms_free(kms);
    m->issued_ms = now;
    m->renew_ms = rc == 0 ? now + (int64_t)m->o.life_s * 500 : 0;
    /* The policy lies in the state, which is gone. */
    m->session.principal.policy = NULL;
    m->session.principal.policy_text = NULL;
    return rc;
}

static void give_json(struct cv_local_web_reply *r, json_t *doc)
{
    r->status = doc != NULL && cv_json_dump_indent(&r->body, doc, 2) == 0 ? 200 : 500;
    (void)cv_local_web_header(r, "Content-Type", "application/json");
    json_decref(doc);
}

static void give_credentials(struct imds *m, struct cv_local_web_reply *r, bool container)
{
    struct cv_error err;
    char issued[CV_RFC3339_LEN], expires[CV_RFC3339_LEN];
    cv_error_clear(&err);
    if (session(m, &err) != 0) {
        cv_log_error(CV_LOG_WARN, "no credentials", &err);
        text_reply(r, 404, "");
        return;
    }
    cv_rfc3339_format(issued, m->issued_ms);
    cv_rfc3339_format(expires, m->session.principal.expires_ms);
    json_t *doc = json_pack("{s:s, s:s, s:s, s:s}", "AccessKeyId", m->session.access_key_id,
                            "SecretAccessKey", m->session.secret, "Token", m->session.token,
                            "Expiration", expires);
    if (doc != NULL && container)
        json_object_set_new(doc, "RoleArn", json_string(m->session.role_arn));
    if (doc != NULL && !container) {
        json_object_set_new(doc, "Code", json_string("Success"));
        json_object_set_new(doc, "Type", json_string("AWS-HMAC"));
        json_object_set_new(doc, "LastUpdated", json_string(issued));
    }
    give_json(r, doc);
}

static void give_identity(struct imds *m, struct cv_local_web_reply *r, bool document)
{
    struct cv_local_kms *kms;
    if (cv_local_standin_state(&kms, m->o.state, NULL) != 0) {
        text_reply(r, 500, "");
        return;
    }
    const char *region = m->o.region != NULL ? m->o.region : kms->state.region;
    if (document)
        give_json(r, json_pack("{s:s, s:s, s:s}", "accountId", kms->state.account, "region", region,
                               "instanceId", "i-0123456789abcdef0"));
    else
        text_reply(r, 200, region);
    cv_local_kms_free(kms);
}

static void get(struct imds *m, const char *path, struct cv_local_web_reply *r)
{
    if (strcmp(path, ROLE_PATH) == 0 || strncmp(path, ROLE_PATH, strlen(path) + 1) == 0)
        text_reply(r, 200, m->o.role);
    else if (strncmp(path, ROLE_PATH, sizeof ROLE_PATH - 1) == 0 &&
             strcmp(path + sizeof ROLE_PATH - 1, m->o.role) == 0)
        give_credentials(m, r, false);
    else if (strcmp(path, "/latest/dynamic/instance-identity/document") == 0)
        give_identity(m, r, true);
    else if (strcmp(path, "/latest/meta-data/placement/region") == 0)
        give_identity(m, r, false);
    else
        text_reply(r, 404, "");
}

static void handle_locked(struct imds *m, const struct cv_http_message *q,
                          struct cv_local_web_reply *r)
{
    const char *auth = cv_http_header(q, "authorization");
    if (strcmp(q->target, "/v2/credentials") == 0 && strcmp(q->method, "GET") == 0) {
        if (m->o.token != NULL && (auth == NULL || strcmp(auth, m->o.token) != 0))
            text_reply(r, 401, "");
        else
            give_credentials(m, r, true);
    } else if (strcmp(q->target, "/latest/api/token") == 0) {
        if (strcmp(q->method, "PUT") == 0)
            give_token(m, q, r);
        else
            text_reply(r, 405, "");
    } else if (strcmp(q->method, "GET") != 0) {
        text_reply(r, 405, "");
    } else if (!token_good(m, q)) {
        text_reply(r, 401, "");
    } else {
        get(m, q->target, r);
    }
}

static void handle(void *ctx, const struct cv_http_message *q, struct cv_local_web_reply *r)
{
    struct imds *m = ctx;
    pthread_mutex_lock(&m->lock);
    handle_locked(m, q, r);
    pthread_mutex_unlock(&m->lock);
}

int cv_local_cmd_imds(int argc, char **argv)
{
    static struct imds m = {
        .o = {.listen = "tcp:127.0.0.1:0", .role = "claviger-local", .life_s = 21600},
        .lock = PTHREAD_MUTEX_INITIALIZER,
    };
    struct cv_error err;
    cv_error_clear(&err);
    if (!cv_local_standin_read(&m.o, "imds", "state listen role life region token", argc, argv))
        return 2;
    struct cv_local_web web = {.name = "IMDS", .body_max = 65536, .handle = handle, .ctx = &m};
    if (cv_addr_parse(&web.listen, m.o.listen, &err) != 0 || cv_local_web_run(&web, &err) != 0) {
        cv_log_error(CV_LOG_ERROR, "claviger-local imds ends", &err);
        return 1;
    }
    return 0;
}
