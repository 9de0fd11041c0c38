/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/eif_signer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "settings/settings.h"

#define PROGRAM "claviger-enclave"
#define CA_FILE "/etc/claviger/ca.pem"

bool cv_eif_signer_given(const struct cv_eif_signer *o)
{
    return o->cmk.count != 0 || o->set.count != 0 || o->unpinned || o->region != NULL ||
           o->endpoint != NULL || o->ca_file != NULL || o->program != NULL;
}

static int find_program(char path[4096], const struct cv_eif_signer *o, const char *program_dir,
                        struct cv_error *err)
{
    char *found = o->program != NULL ? strdup(o->program) : cv_build_program(program_dir, PROGRAM);
    if (found == NULL) {
        return cv_error_set(err, CV_ERR_NOT_FOUND,
                            PROGRAM " is neither beside this program nor in "
                                    "/usr/libexec/claviger: name it with --program");
    }
    int n = snprintf(path, 4096, "%s", found);
    free(found);
    return n < 4096 ? 0 : cv_error_set(err, CV_ERR_LIMIT, "the program's path is too long");
}

static int write_settings(struct cv_buf *out, const struct cv_eif_signer *o)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < o->cmk.count; i++) {
        rc = cv_buf_printf(out, "cmk_arn=%s\n", o->cmk.item[i]);
    }
    if (rc == 0 && o->region != NULL) {
        rc = cv_buf_printf(out, "region=%s\n", o->region);
    }
    if (rc == 0 && o->endpoint != NULL) {
        rc = cv_buf_printf(out, "endpoint=%s\n", o->endpoint);
    }
    if (rc == 0 && o->ca_file != NULL) {
        rc = cv_buf_append_str(out, "ca_file=" CA_FILE "\n");
    }
    for (size_t i = 0; rc == 0 && i < o->set.count; i++) {
        rc = cv_buf_printf(out, "%s\n", o->set.item[i]);
    }
    return rc;
}

int cv_eif_signer_fill(const struct cv_eif_signer *o, const char *program_dir,
                       struct cv_source *source, struct cv_boot_settings *settings,
                       struct cv_error *err)
{
    if ((o->cmk.count != 0) == o->unpinned) {
        return cv_error_set(err, CV_ERR_CONFIG,
                            "say with --cmk ARN which KMS keys the signer may "
                            "use, or --unpinned when the parent is to choose");
    }
    char path[4096];
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 65536);
    struct cv_settings check;
    cv_settings_default(&check);
    int rc = find_program(path, o, program_dir, err);
    if (rc == 0) {
        rc = write_settings(&text, o);
    }
    if (rc == 0) {
        rc = cv_settings_parse(&check, cv_buf_view(&text), "the signer's settings",
                               CV_SETTINGS_RELEASE, err);
    }
    if (rc == 0) {
        settings->parent_cid = check.parent_cid; /* init and signer have one parent */
        rc = cv_source_put_file(source, CV_SETTINGS_FILE, 0444, 0, 0, cv_buf_view(&text), err);
    }
    if (rc == 0 && o->ca_file != NULL) {
        rc = cv_source_put_host_file(source, CA_FILE, 0444, 0, 0, o->ca_file, err);
    }
    if (rc == 0) {
        rc = cv_source_put_host_file(source, "/" PROGRAM, 0555, 0, 0, path, err);
    }
    if (rc == 0) {
        rc = cv_boot_list_add(&settings->argv, "/" PROGRAM);
    }
    return rc;
}
