/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials as IMDS, containers, processes and operators write them. */
#include <string.h>

#include "aws/credentials.h"
#include "common/clock.h"
#include "json/json.h"

int cv_aws_credentials_from_json(struct cv_aws_credentials *out, struct cv_bytes json,
                                 const char *source, struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = NULL;
    const char *id, *secret, *token, *expires, *code, *session;
    int64_t ms = 0;
    if (cv_json_parse_object(&doc, json, 65536, "credentials", NULL) != 0)
        return cv_error_set(err, CV_ERR_PROTOCOL, "%s: no JSON object", source);
    if (cv_json_opt_str(doc, "Code", &code, NULL, NULL) == 0 && code != NULL &&
        strcmp(code, "Success") != 0) {
        char quoted[80];
        return cv_error_set(err, CV_ERR_DENIED, "%s: %s", source,
                            cv_error_quote(quoted, sizeof quoted, code, strlen(code)));
    }
    if (cv_json_get_str(doc, "AccessKeyId", &id, NULL) != 0 ||
        cv_json_get_str(doc, "SecretAccessKey", &secret, NULL) != 0 ||
        cv_json_opt_str(doc, "Token", &token, "", NULL) != 0 ||
        cv_json_opt_str(doc, "SessionToken", &session, token, NULL) != 0 ||
        cv_json_opt_str(doc, "Expiration", &expires, "", NULL) != 0)
        return cv_error_set(err, CV_ERR_PROTOCOL, "%s: no credentials in the answer", source);
    if (*expires != '\0' && cv_rfc3339_parse(&ms, expires) != 0)
        return cv_error_set(err, CV_ERR_PROTOCOL, "%s: a malformed Expiration", source);
    return cv_aws_credentials_set(out, cv_bytes_str(id), cv_bytes_str(secret),
                                  cv_bytes_str(session), ms, source, err);
}
