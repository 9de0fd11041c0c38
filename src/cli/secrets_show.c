/* SPDX-License-Identifier: Apache-2.0 */
/* claviger secrets show, and secrets copy: what needs no key */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/secrets_store.h"
#include "json/json.h"

static json_t *describe(const struct cv_secrets_object *o, uint64_t version)
{
    json_t *context = json_object();
    for (size_t i = 0; i < o->meta.context.n; i++) {
        (void)json_object_set_new(context, o->meta.context.pair[i].name,
                                  json_string(o->meta.context.pair[i].value));
    }
    return json_pack("{s:i, s:b, s:I, s:b, s:o, s:I, s:I}", "format", (int)o->meta.format,
                     "key_commitment", o->meta.format == CV_S3EC_V3, "version", (json_int_t)version,
                     "signed", cv_s3ec_pairs_get(&o->pairs, CV_CONFIG_SIGNATURE) != NULL,
                     "encryption_context", context, "wrapped_key_bytes", (json_int_t)o->meta.edk.n,
                     "body_bytes", (json_int_t)o->body.n);
}

static void print_text(const struct cv_secrets_object *o, uint64_t version)
{
    (void)printf("format     %d, %s\n", (int)o->meta.format,
                 o->meta.format == CV_S3EC_V3 ? "with key commitment"
                 : o->meta.legacy_kms         ? "wrapped without a context (an enclave refuses it)"
                                              : "without key commitment");
    if (version != 0) {
        (void)printf("version    %llu\n", (unsigned long long)version);
    } else {
        (void)printf("version    none\n");
    }
    (void)printf("signed     %s\n", cv_s3ec_pairs_get(&o->pairs, CV_CONFIG_SIGNATURE) != NULL
                                        ? "yes (\"secrets verify\" checks it)"
                                        : "no");
    for (size_t i = 0; i < o->meta.context.n; i++) {
        const struct cv_s3ec_pair *p = &o->meta.context.pair[i];
        char name[160], value[160];
        (void)printf("context    %s=%s\n",
                     cv_error_quote(name, sizeof name, p->name, strlen(p->name)),
                     cv_error_quote(value, sizeof value, p->value, strlen(p->value)));
    }
    (void)printf("data key   wrapped, %zu bytes\n", o->meta.edk.n);
    (void)printf("body       %zu bytes\n", o->body.n);
}

static enum cv_exit run_show(const struct cv_cli *cli, int argc, char **argv)
{
    struct cv_secrets_aws aws = {NULL, NULL, NULL};
    int operands;
    const struct cv_option options[] = {
        {"profile", 0, CV_OPT_TEXT, &aws.profile},
        {"region", 0, CV_OPT_TEXT, &aws.region},
    };
    if (!cv_options_parse(&cv_cmd_secrets_show, options, 2, argc, argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands != 1) {
        return cv_cli_usage(&cv_cmd_secrets_show, "name one configuration");
    }
    struct cv_error err;
    cv_error_clear(&err);
    struct cv_secrets_object o;
    uint64_t version = 0;
    int rc = cv_secrets_load(&o, &aws, argv[1], &err);
    if (rc == 0) {
        rc = cv_config_version(&o.meta, &version, &err);
    }
    if (rc == 0 && cli->json) {
        CV_JSON_AUTO json_t *doc = describe(&o, version);
        (void)json_dumpf(doc, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    } else if (rc == 0) {
        print_text(&o, version);
    }
    cv_secrets_object_free(&o);
    cv_secrets_aws_free(&aws);
    return rc == 0 ? cv_cli_finish() : cv_cli_fail(&err, "showing");
}

const struct cv_command cv_cmd_secrets_show = {
    .name = "secrets show",
    .summary = "show what can be seen of an encrypted configuration without its key",
    .usage = "(FILE | s3://BUCKET/KEY)",
    .help = "Prints format, version, encryption context and sizes.\n"
            "\n"
            "  --profile, --region  of the AWS credentials\n"
            "\n"
            "Example: claviger secrets show secrets.enc\n",
    .run = run_show,
};

static enum cv_exit run_copy(const struct cv_cli *cli, int argc, char **argv)
{
    (void)cli;
    struct cv_secrets_aws aws = {NULL, NULL, NULL};
    struct cv_secrets_save save = {.where = NULL};
    int operands;
    const struct cv_option options[] = {
        {"instruction-file", 0, CV_OPT_FLAG, &save.instruction},
        {"create", 0, CV_OPT_FLAG, &save.create},
        {"profile", 0, CV_OPT_TEXT, &aws.profile},
        {"region", 0, CV_OPT_TEXT, &aws.region},
    };
    if (!cv_options_parse(&cv_cmd_secrets_copy, options, 4, argc, argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands != 2) {
        return cv_cli_usage(&cv_cmd_secrets_copy, "name a source and a destination");
    }
    struct cv_error err;
    cv_error_clear(&err);
    struct cv_secrets_object o;
    save.where = argv[2];
    int rc = cv_secrets_load(&o, &aws, argv[1], &err);
    if (rc == 0) {
        rc = cv_secrets_save(&save, &aws, &o.meta, cv_s3ec_pairs_get(&o.pairs, CV_CONFIG_SIGNATURE),
                             o.body, &err);
    }
    cv_secrets_object_free(&o);
    cv_secrets_aws_free(&aws);
    return rc == 0 ? cv_cli_finish() : cv_cli_fail(&err, "copying");
}

const struct cv_command cv_cmd_secrets_copy = {
    .name = "secrets copy",
    .summary = "copy an encrypted configuration between a container file and S3",
    .usage = "[--instruction-file] [--create] FROM TO",
    .help = "FROM and TO are container files or s3:// addresses. Nothing is decrypted.\n"
            "\n"
            "  --instruction-file   metadata in KEY.instruction instead of on the S3 object\n"
            "  --create             never replace what is there\n"
            "  --profile, --region  of the AWS credentials\n"
            "\n"
            "Example: claviger secrets copy s3://secrets/web web.enc\n",
    .run = run_copy,
};
