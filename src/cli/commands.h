/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the table: one line for each command, in alphabetical order. */
#ifndef CV_CLI_COMMANDS_H
#define CV_CLI_COMMANDS_H

#include "cli/command.h"

extern const struct cv_command cv_cmd_attest_get;
extern const struct cv_command cv_cmd_attest_show;
extern const struct cv_command cv_cmd_attest_verify;
extern const struct cv_command cv_cmd_audit_verify;
extern const struct cv_command cv_cmd_aws_whoami;
extern const struct cv_command cv_cmd_eif_build;
extern const struct cv_command cv_cmd_eif_describe;
extern const struct cv_command cv_cmd_eif_extract;
extern const struct cv_command cv_cmd_eif_pcr;
extern const struct cv_command cv_cmd_eif_sign;
extern const struct cv_command cv_cmd_eif_verify;
extern const struct cv_command cv_cmd_generate;
extern const struct cv_command cv_cmd_import;
extern const struct cv_command cv_cmd_keys_reseal;
extern const struct cv_command cv_cmd_list;
extern const struct cv_command cv_cmd_list_ops;
extern const struct cv_command cv_cmd_list_requests;
extern const struct cv_command cv_cmd_policy_create;
extern const struct cv_command cv_cmd_policy_explain;
extern const struct cv_command cv_cmd_prove;
extern const struct cv_command cv_cmd_enclave_serve;
extern const struct cv_command cv_cmd_proxy;
extern const struct cv_command cv_cmd_secrets_copy;
extern const struct cv_command cv_cmd_secrets_decrypt;
extern const struct cv_command cv_cmd_secrets_diff;
extern const struct cv_command cv_cmd_secrets_encrypt;
extern const struct cv_command cv_cmd_secrets_pcr;
extern const struct cv_command cv_cmd_secrets_show;
extern const struct cv_command cv_cmd_secrets_verify;
extern const struct cv_command cv_cmd_serve;
extern const struct cv_command cv_cmd_version;
extern const struct cv_command cv_cmd_watermark_export;
extern const struct cv_command cv_cmd_watermark_import;
extern const struct cv_command cv_cmd_watermark_init;
extern const struct cv_command cv_cmd_watermark_list;
extern const struct cv_command cv_cmd_watermark_raise;

#endif
