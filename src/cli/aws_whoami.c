/* SPDX-License-Identifier: Apache-2.0 */
/* claviger aws whoami: which credentials are found here, and whose they are. */
#include <stdio.h>
#include <string.h>

#include "aws/config.h"
#include "aws/sts.h"
#include "cli/commands.h"
#include "common/clock.h"
#include "json/json.h"

#define ALL_MS 60000

struct answer {
    struct cv_aws_credentials creds;
    struct cv_sts_identity who;
    char region[CV_AWS_REGION_MAX + 1];
    char endpoint[CV_AWS_HOST_MAX];
    char expires[CV_RFC3339_LEN]; /* "" = never */
};

static enum cv_exit print_json(const struct answer *a)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf out;
    cv_buf_init(&out, 65536);
    CV_JSON_AUTO json_t *doc =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s?}", "account", a->who.account, "arn",
                  a->who.arn, "user_id", a->who.user_id, "region", a->region, "access_key_id",
                  a->creds.access_key_id, "source", a->creds.source, "sts_endpoint", a->endpoint,
                  "expires", a->expires[0] != 0 ? a->expires : NULL);
    if (doc == NULL || cv_json_dump(&out, doc) != 0)
        return cv_cli_fail(NULL, "no memory");
    (void)printf("%s\n", (const char *)out.p);
    return cv_cli_finish();
}

static enum cv_exit print_text(const struct answer *a)
{
    (void)printf("account      %s\narn          %s\nuser id      %s\nregion       %s\n"
                 "key id       %s\nsource       %s\nexpires      %s\n",
                 a->who.account, a->who.arn, a->who.user_id, a->region, a->creds.access_key_id,
                 a->creds.source, a->expires[0] != 0 ? a->expires : "never");
    return cv_cli_finish();
}

static int ask(struct cv_aws_config *c, struct answer *a, int64_t deadline, struct cv_error *err)
{
    struct cv_aws_client *sts = NULL;
    struct cv_aws_provider *p = cv_aws_config_provider(c);
    int rc = p->get(p, &a->creds, false, deadline, err);
    if (rc == 0)
        rc = cv_aws_config_region(c, a->region, deadline, err);
    if (rc == 0)
        rc = cv_aws_config_client(c, &sts, "sts", a->region, NULL, deadline, err);
    if (rc == 0) {
        (void)cv_aws_endpoint_host(a->endpoint, cv_aws_client_endpoint(sts));
        rc = cv_sts_get_caller_identity(sts, &a->who, deadline, err);
    }
    if (rc == 0 && a->creds.expires_ms != 0)
        cv_rfc3339_format(a->expires, a->creds.expires_ms);
    if (rc != 0 && a->creds.access_key_id[0] != 0)
        (void)cv_error_wrap(err, "with the credentials of %s", a->creds.source);
    cv_aws_client_free(&sts);
    return rc;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct cv_aws_options o = {.profile = NULL};
    const struct cv_option options[] = {
        {"profile", 0, CV_OPT_TEXT, &o.profile},
        {"region", 0, CV_OPT_TEXT, &o.region},
    };
    struct answer a = {.creds = CV_AWS_CREDENTIALS_INIT};
    struct cv_aws_config *c = NULL;
    struct cv_error err;
    cv_error_clear(&err);
    if (!cv_options_parse(&cv_cmd_aws_whoami, options, 2, argc, argv, NULL))
        return CV_EXIT_USAGE;
    int rc = cv_aws_config_load(&c, &o, &err);
    if (rc == 0)
        rc = ask(c, &a, cv_cli_deadline(ALL_MS), &err);
    enum cv_exit result;
    if (rc != 0)
        result = cv_cli_fail(&err, "%s", "");
    else
        result = cli->json ? print_json(&a) : print_text(&a);
    cv_aws_credentials_free(&a.creds);
    cv_aws_config_free(&c);
    return result;
}

const struct cv_command cv_cmd_aws_whoami = {
    .name = "aws whoami",
    .summary = "show which AWS credentials are found, and whose they are",
    .usage = "[--profile NAME] [--region REGION]",
    .help = "Looks for credentials as every command does: environment, web identity,\n"
            "profile, container endpoint, instance metadata; then asks STS.\n\n"
            "      --profile NAME   of ~/.aws/config and ~/.aws/credentials\n"
            "      --region REGION  instead of the environment's or the profile's\n\n"
            "Example: claviger aws whoami --json\n",
    .run = run,
};
