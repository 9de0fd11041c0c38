/* SPDX-License-Identifier: Apache-2.0 */
/* credential_process: a program of the operator that prints credentials. */
#include "aws/config_private.h"
#include "common/clock.h"
#include "json/json.h"
#include "program/program.h"

#define OUTPUT_MAX 65536
#define RUN_MS 60000

static int check_version(struct cv_bytes json, struct cv_error *err)
{
    CV_JSON_AUTO json_t *doc = NULL;
    int64_t version;
    if (cv_json_parse_object(&doc, json, OUTPUT_MAX, "output", NULL) != 0)
        return cv_error_set(err, CV_ERR_CONFIG, "it prints no JSON object");
    if (cv_json_get_int(doc, "Version", 1, 1, &version, NULL) != 0)
        return cv_error_set(err, CV_ERR_CONFIG, "what it prints is not of Version 1");
    return 0;
}

int cv_aws_source_process(const char *command, const char *source, struct cv_aws_credentials *out,
                          int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    int64_t mine = cv_deadline(RUN_MS);
    int status;
    cv_buf_init(&text, OUTPUT_MAX);
    int rc = cv_program_run(argv, &text, &status, mine < deadline ? mine : deadline, err);
    if (rc == 0 && status != 0)
        rc = cv_error_set(err, CV_ERR_CONFIG,
                          status > 0 ? "it failed with status %d" : "it was killed (%d)", status);
    if (rc == 0)
        rc = check_version(cv_buf_view(&text), err);
    if (rc == 0)
        rc = cv_aws_credentials_from_json(out, cv_buf_view(&text), source, err);
    if (rc != 0)
        cv_error_wrap(err, "credential_process");
    return rc;
}
