/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/message.h"

#include <string.h>

#include "common/clock.h"
#include "common/hex.h"
#include "json/json.h"

/* A text of the enclave as people may see it. */
static int take_text(const json_t *o, const char *key, char *out, size_t size, bool needed,
                     struct cv_error *err)
{
    const char *text = "";
    int rc = needed ? cv_json_get_str(o, key, &text, err) : cv_json_opt_str(o, key, &text, "", err);
    if (rc == 0)
        cv_error_quote(out, size, text, strlen(text));
    return rc;
}

static int parse_hello(struct cv_parent_message *m, const json_t *o, struct cv_error *err)
{
    int rc = cv_json_get_int(o, "protocol", 1, INT32_MAX, &m->protocol, err);
    if (rc == 0)
        rc = take_text(o, "version", m->version, sizeof m->version, false, err);
    if (rc == 0)
        rc = take_text(o, "build", m->build, sizeof m->build, false, err);
    if (rc == 0)
        rc = take_text(o, "pcr0", m->pcr0, sizeof m->pcr0, false, err);
    if (rc == 0)
        rc = cv_json_opt_bool(o, "debug", &m->debug, false, err);
    return rc;
}

static int parse_want(struct cv_parent_message *m, const json_t *o, struct cv_error *err)
{
    const char *what, *name;
    int rc = cv_json_get_int(o, "id", 1, INT64_MAX, &m->id, err);
    if (rc == 0)
        rc = cv_json_get_str(o, "what", &what, err);
    if (rc != 0)
        return rc;
    m->want = strcmp(what, "credentials") == 0   ? CV_PARENT_CREDENTIALS
              : strcmp(what, "environment") == 0 ? CV_PARENT_ENVIRONMENT
              : strcmp(what, "file") == 0        ? CV_PARENT_FILE
                                                 : CV_PARENT_WANT_OTHER;
    if (m->want != CV_PARENT_FILE)
        return 0;
    rc = cv_json_get_str(o, "name", &name, err);
    if (rc == 0 && strlen(name) >= sizeof m->name)
        rc = cv_error_set(err, CV_ERR_LIMIT, "the name of a file is longer than %zu bytes",
                          sizeof m->name - 1);
    if (rc == 0)
        memcpy(m->name, name, strlen(name) + 1);
    return rc;
}

static int parse_stage(struct cv_parent_message *m, const json_t *o, struct cv_error *err)
{
    int rc = take_text(o, "stage", m->stage, sizeof m->stage, true, err);
    if (rc == 0)
        rc = take_text(o, "state", m->state, sizeof m->state, true, err);
    if (rc == 0)
        rc = take_text(o, "error", m->error, sizeof m->error, false, err);
    return rc;
}

static int parse_exit(struct cv_parent_message *m, const json_t *o, struct cv_error *err)
{
    int64_t status, sig;
    int rc = cv_json_opt_int(o, "status", 0, 255, &status, -1, err);
    if (rc == 0)
        rc = cv_json_opt_int(o, "signal", 1, 127, &sig, -1, err);
    if (rc == 0 && (status < 0) == (sig < 0))
        rc = cv_error_set(err, CV_ERR_INVALID, "an exit has either a status or a signal");
    m->signalled = rc == 0 && sig > 0;
    m->status = m->signalled ? sig : status;
    return rc;
}

int cv_parent_message_parse(struct cv_parent_message *m, struct cv_bytes line, struct cv_error *err)
{
    static const struct {
        const char *name;
        enum cv_parent_type type;
        int (*parse)(struct cv_parent_message *m, const json_t *o, struct cv_error *err);
    } types[] = {
        {"hello", CV_PARENT_HELLO, parse_hello},
        {"want", CV_PARENT_WANT, parse_want},
        {"stage", CV_PARENT_STAGE, parse_stage},
        {"exit", CV_PARENT_EXIT, parse_exit},
    };
    CV_JSON_AUTO json_t *o = NULL;
    const char *type;
    memset(m, 0, sizeof *m);
    int rc = cv_json_parse_object(&o, line, CV_PARENT_LINE_MAX, "a line of the enclave", err);
    if (rc == 0)
        rc = cv_json_get_str(o, "type", &type, err);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(type, types[i].name) != 0)
            continue;
        rc = types[i].parse(m, o, err);
        if (rc != 0) {
            cv_error_wrap(err, "\"%s\"", type);
            return rc;
        }
        m->type = types[i].type;
    }
    return 0;
}

/* ---- lines to the enclave ---- */

/* Appends O, which it releases; NULL is a failure of whoever made it. */
static int put_line(struct cv_buf *out, json_t *o)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf line;
    cv_buf_init(&line, CV_PARENT_LINE_MAX + 1);
    int rc = o != NULL ? cv_json_dump(&line, o) : CV_ERR_NOMEM;
    json_decref(o);
    if (rc == 0)
        rc = cv_buf_append_u8(&line, '\n');
    return rc != 0 ? rc : cv_buf_append(out, line.p, line.n);
}

static json_t *text_of(const struct cv_secret *s)
{
    return json_stringn((const char *)s->p, s->n);
}

int cv_parent_write_credentials(struct cv_buf *out, int64_t id, const struct cv_aws_credentials *c)
{
    char expires[CV_RFC3339_LEN];
    cv_rfc3339_format(expires, c->expires_ms);
    return put_line(out,
                    json_pack("{s:s, s:I, s:s, s:o, s:o, s:s?}", "type", "credentials", "id",
                              (json_int_t)id, "access_key_id", c->access_key_id,
                              "secret_access_key", text_of(&c->secret_access_key), "session_token",
                              c->session_token.n > 0 ? text_of(&c->session_token) : json_string(""),
                              "expiration", c->expires_ms != 0 ? expires : NULL));
}

int cv_parent_write_environment(struct cv_buf *out, int64_t id, const struct cv_parent_pair *pairs,
                                size_t n)
{
    json_t *variables = json_object();
    for (size_t i = 0; i < n; i++) {
        if (json_object_set_new(variables, pairs[i].name, json_string(pairs[i].value)) != 0) {
            json_decref(variables);
            return CV_ERR_NOMEM;
        }
    }
    return put_line(out, json_pack("{s:s, s:I, s:o}", "type", "environment", "id", (json_int_t)id,
                                   "variables", variables));
}

int cv_parent_write_file(struct cv_buf *out, int64_t id, struct cv_bytes content)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CV_PARENT_LINE_MAX);
    int rc = cv_base64_append(&text, content.p, content.n);
    if (rc != 0)
        return rc;
    return put_line(out, json_pack("{s:s, s:I, s:o}", "type", "file", "id", (json_int_t)id,
                                   "content", json_stringn((const char *)text.p, text.n)));
}

int cv_parent_write_error(struct cv_buf *out, const char *type, int64_t id, const char *error)
{
    return put_line(
        out, json_pack("{s:s, s:I, s:s}", "type", type, "id", (json_int_t)id, "error", error));
}

int cv_parent_write_rotate(struct cv_buf *out)
{
    return put_line(out, json_pack("{s:s}", "type", "rotate"));
}

int cv_parent_write_stop(struct cv_buf *out, unsigned seconds)
{
    return put_line(out, json_pack("{s:s, s:i}", "type", "stop", "seconds", (int)seconds));
}
