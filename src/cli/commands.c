/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands, in the order in which --help lists them. */
#include "cli/commands.h"

#include <string.h>

static const struct cv_command *const table[] = {
    &cv_cmd_serve,
    &cv_cmd_generate,
    &cv_cmd_import,
    &cv_cmd_list,
    &cv_cmd_list_ops,
    &cv_cmd_list_requests,
    &cv_cmd_prove,
    &cv_cmd_keys_reseal,
    &cv_cmd_policy_create,
    &cv_cmd_policy_explain,
    &cv_cmd_eif_build,
    &cv_cmd_eif_describe,
    &cv_cmd_eif_pcr,
    &cv_cmd_eif_sign,
    &cv_cmd_eif_verify,
    &cv_cmd_eif_extract,
    &cv_cmd_secrets_encrypt,
    &cv_cmd_secrets_decrypt,
    &cv_cmd_secrets_verify,
    &cv_cmd_secrets_show,
    &cv_cmd_secrets_diff,
    &cv_cmd_secrets_copy,
    &cv_cmd_secrets_pcr,
    &cv_cmd_watermark_list,
    &cv_cmd_watermark_export,
    &cv_cmd_watermark_import,
    &cv_cmd_watermark_init,
    &cv_cmd_watermark_raise,
    &cv_cmd_audit_verify,
    &cv_cmd_attest_get,
    &cv_cmd_attest_show,
    &cv_cmd_attest_verify,
    &cv_cmd_enclave_serve,
    &cv_cmd_proxy,
    &cv_cmd_aws_whoami,
    &cv_cmd_version,
};

const struct cv_command *const *cv_command_table(size_t *count)
{
    *count = sizeof(table) / sizeof(table[0]);
    return table;
}

const struct cv_command *cv_command_find(const char *name)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct cv_command *c = table[i];
        if (strcmp(c->name, name) == 0 || (c->alias != NULL && strcmp(c->alias, name) == 0)) {
            return c;
        }
    }
    return NULL;
}
