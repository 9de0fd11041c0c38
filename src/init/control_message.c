/* SPDX-License-Identifier: Apache-2.0 */
#include "init/control_message.h"

#include <stdio.h>
#include <string.h>

#include "common/clock.h"
#include "json/json.h"

static int parse_credentials(struct cv_control_message *m, const json_t *o, struct cv_error *err)
{
    const char *id, *secret, *token, *expiration;
    int64_t expires = 0;
    int rc = cv_json_get_str(o, "access_key_id", &id, err);
    if (rc == 0)
        rc = cv_json_get_str(o, "secret_access_key", &secret, err);
    if (rc == 0)
        rc = cv_json_opt_str(o, "session_token", &token, "", err);
    if (rc == 0)
        rc = cv_json_opt_str(o, "expiration", &expiration, NULL, err);
    if (rc == 0 && expiration != NULL && cv_rfc3339_parse(&expires, expiration) != 0)
        rc = cv_error_set(err, CV_ERR_INVALID, "\"expiration\" is not a time of RFC 3339");
    if (rc != 0)
        return rc;
    return cv_aws_credentials_set(&m->credentials, cv_bytes_str(id), cv_bytes_str(secret),
                                  cv_bytes_str(token), expires, "the parent", err);
}

static int parse_environment(struct cv_control_message *m, json_t *o, struct cv_error *err)
{
    json_t *variables = json_object_get(o, "variables"), *value;
    const char *name;
    if (!json_is_object(variables))
        return cv_error_set(err, CV_ERR_INVALID, "\"variables\" is not an object");
    json_object_foreach (variables, name, value) {
        if (!json_is_string(value))
            return cv_error_set(err, CV_ERR_INVALID, "a variable is not a string");
    }
    m->variables = json_incref(variables);
    return 0;
}

static int parse_type(struct cv_control_message *m, json_t *o, const char *type,
                      struct cv_error *err)
{
    if (strcmp(type, "credentials") == 0) {
        m->type = CV_CONTROL_CREDENTIALS;
        return m->has_error ? 0 : parse_credentials(m, o, err);
    }
    if (strcmp(type, "environment") == 0) {
        m->type = CV_CONTROL_ENVIRONMENT;
        return m->has_error ? 0 : parse_environment(m, o, err);
    }
    if (strcmp(type, "file") == 0) {
        m->type = CV_CONTROL_FILE_CONTENT;
        return m->has_error ? 0 : cv_json_get_base64(o, "content", &m->content, err);
    }
    if (strcmp(type, "rotate") == 0) {
        m->type = CV_CONTROL_ROTATE;
        return 0;
    }
    if (strcmp(type, "stop") == 0) {
        m->type = CV_CONTROL_STOP;
        return cv_json_opt_int(o, "seconds", 0, CV_CONTROL_STOP_MAX, &m->seconds, 10, err);
    }
    return 0;
}

int cv_control_parse(struct cv_control_message *m, struct cv_bytes line, struct cv_error *err)
{
    CV_JSON_AUTO json_t *o = NULL;
    const char *type, *error;
    memset(m, 0, sizeof *m);
    cv_buf_init(&m->content, CV_CONTROL_FILE);
    int rc = cv_json_parse_object(&o, line, CV_CONTROL_LINE, "a control message", err);
    if (rc == 0)
        rc = cv_json_get_str(o, "type", &type, err);
    if (rc == 0)
        rc = cv_json_opt_int(o, "id", 0, INT64_MAX, &m->id, 0, err);
    if (rc == 0)
        rc = cv_json_opt_str(o, "error", &error, NULL, err);
    if (rc == 0 && error != NULL) {
        m->has_error = true;
        cv_error_quote(m->error, sizeof m->error, error, strlen(error));
    }
    if (rc == 0)
        rc = parse_type(m, o, type, err);
    if (rc != 0)
        cv_error_wrap(err, "control message of the parent");
    return rc;
}

void cv_control_message_free(struct cv_control_message *m)
{
    cv_aws_credentials_free(&m->credentials);
    cv_json_release(&m->variables);
    m->variables = NULL;
    cv_buf_free(&m->content);
}
