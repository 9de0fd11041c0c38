/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/nitro_cli.h"

#include <string.h>

#include "common/clock.h"
#include "json/json.h"
#include "program/program.h"

#define OUTPUT_MAX (1024 * 1024)
#define CID_LEAST 3 /* below are the hypervisor, this machine, and its parent (vsock(7)) */

static const char *const command[] = {"nitro-cli", "describe-enclaves", NULL};

int cv_nitro_cli_allow(struct cv_error *err)
{
    return cv_program_helper_open() ? cv_program_helper_allow(command, err) : 0;
}

int cv_nitro_cli_cid(uint32_t *cid, const char *name, int64_t deadline, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    int status;
    cv_buf_init(&text, OUTPUT_MAX);
    int rc = cv_program_run(command, &text, &status, deadline, err);
    if (rc != 0) {
        return cv_error_wrap(err, "enclave_cid is auto, and nitro-cli describe-enclaves");
    }
    if (status != 0) {
        return cv_error_set(err, CV_ERR_CONFIG,
                            "enclave_cid is auto, and nitro-cli describe-enclaves failed with "
                            "status %d",
                            status);
    }
    return cv_nitro_cli_choose(cid, name, cv_buf_view(&text), err);
}

static bool fits(const json_t *enclave, const char *name)
{
    const char *state = json_string_value(json_object_get(enclave, "State"));
    const char *its = json_string_value(json_object_get(enclave, "EnclaveName"));
    return state != NULL && strcmp(state, "RUNNING") == 0 &&
           (name == NULL || (its != NULL && strcmp(its, name) == 0));
}

int cv_nitro_cli_choose(uint32_t *cid, const char *name, struct cv_bytes json, struct cv_error *err)
{
    CV_JSON_AUTO json_t *list = NULL;
    size_t found = 0;
    int rc = cv_json_parse(&list, json, OUTPUT_MAX, "output of nitro-cli", err);
    if (rc != 0) {
        return rc;
    }
    if (!json_is_array(list)) {
        return cv_error_set(err, CV_ERR_INVALID, "nitro-cli describe-enclaves prints no list");
    }
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *enclave = json_array_get(list, i);
        const json_t *number = json_object_get(enclave, "EnclaveCID");
        json_int_t v = json_integer_value(number);
        if (!fits(enclave, name)) {
            continue;
        }
        if (!json_is_integer(number) || v < CID_LEAST || v >= UINT32_MAX) {
            return cv_error_set(err, CV_ERR_INVALID,
                                "nitro-cli describe-enclaves tells no good EnclaveCID");
        }
        *cid = (uint32_t)v;
        found++;
    }
    if (found == 0) {
        return cv_error_set(err, CV_ERR_NOT_FOUND, "nitro-cli knows no running enclave%s%.64s",
                            name != NULL ? " of the name " : "", name != NULL ? name : "");
    }
    return found == 1
               ? 0
               : cv_error_set(err, CV_ERR_CONFIG,
                              "nitro-cli knows %zu running enclaves%s: name one with enclave_name",
                              found, name != NULL ? " of that name" : "");
}
