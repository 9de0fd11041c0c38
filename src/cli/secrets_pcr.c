/* SPDX-License-Identifier: Apache-2.0 */
/* claviger secrets pcr: the register by which others see what an enclave was
 * started with (sealed/applied.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/secrets_store.h"
#include "common/hex.h"
#include "common/utf8.h"
#include "eif/boot_conf.h"
#include "json/json.h"
#include "sealed/applied.h"

struct request {
    const char *eif;
    unsigned number; /* of the register */
    struct cv_option_list env;
    struct cv_secrets_aws aws;
    char **where;
    size_t count;
    struct cv_boot_settings settings; /* of EIF */
};

static int read_image(struct request *r, struct cv_error *err)
{
    struct cv_eif eif;
    int rc = cv_eif_open(&eif, r->eif, err);
    if (rc == 0) {
        rc = cv_eif_boot_settings(&eif, &r->settings, err);
        cv_eif_close(&eif);
    }
    if (rc == 0 && r->settings.config_pcr == 0) {
        rc = cv_error_set(err, CV_ERR_STATE,
                          "the image measures nothing of what it is started with");
    }
    if (rc == 0 && r->settings.source_count != r->count) {
        rc = cv_error_set(err, CV_ERR_CONFIG,
                          "the image opens %zu configurations: name as many, in its order",
                          r->settings.source_count);
    }
    if (rc != 0) {
        cv_error_wrap(err, "%s", r->eif);
    }
    r->number = (unsigned)r->settings.config_pcr;
    return rc;
}

/* NAME=value into its parts; the name's copy lies in NAMES. */
static int take_variable(const struct request *r, struct cv_applied_variable *out, char *text,
                         struct cv_error *err)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || !cv_boot_env_name(text, (size_t)(equals - text)) ||
        !cv_utf8_valid(cv_bytes_str(equals))) {
        return cv_error_set(err, CV_ERR_INVALID, "--env wants NAME=VALUE");
    }
    *equals = 0;
    *out = (struct cv_applied_variable){text, cv_bytes_str(equals + 1)};
    if (r->eif != NULL && !cv_boot_allows_untrusted(&r->settings, text)) {
        return cv_error_set(err, CV_ERR_DENIED,
                            "the image does not let its parent set the variable %s", text);
    }
    return 0;
}

/* The parent's object of variables has each name once: the last one given. */
static size_t only_last(struct cv_applied_variable *v, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool again = false;
        for (size_t k = i + 1; k < n; k++) {
            again = again || strcmp(v[i].name, v[k].name) == 0;
        }
        if (!again) {
            v[kept++] = v[i];
        }
    }
    return kept;
}

static int take_configurations(struct request *r, struct cv_applied_config *out,
                               struct cv_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->count; i++) {
        struct cv_secrets_object o;
        uint64_t version = 0;
        memset(&o, 0, sizeof o);
        rc = cv_secrets_load(&o, &r->aws, r->where[i], err);
        if (rc == 0) {
            rc = cv_config_version(&o.meta, &version, err);
        }
        if (rc == 0) {
            rc = cv_applied_take(&out[i], version, &o.pairs, o.body, err);
        }
        cv_secrets_object_free(&o);
        if (rc != 0) {
            cv_error_wrap(err, "%s", r->where[i]);
        }
    }
    return rc;
}

static int compute(struct request *r, uint8_t out[CV_SHA384_LEN], struct cv_error *err)
{
    struct cv_applied_config config[CV_BOOT_MAX_SOURCES];
    struct cv_applied_variable env[CV_OPTION_LIST_MAX];
    char *copies[CV_OPTION_LIST_MAX] = {NULL};
    int rc = r->eif != NULL ? read_image(r, err) : 0;
    if (rc == 0) {
        rc = take_configurations(r, config, err);
    }
    for (size_t i = 0; rc == 0 && i < r->env.count; i++) {
        copies[i] = strdup(r->env.item[i]);
        rc = copies[i] != NULL ? take_variable(r, &env[i], copies[i], err)
                               : cv_error_set(err, CV_ERR_NOMEM, "no memory");
    }
    if (rc == 0) {
        uint8_t digest[CV_SHA384_LEN];
        cv_applied_digest(digest, config, r->count, env, only_last(env, r->env.count));
        cv_applied_register(out, digest);
    }
    for (size_t i = 0; i < CV_OPTION_LIST_MAX; i++) {
        free(copies[i]);
    }
    return rc;
}

static enum cv_exit report(const struct cv_cli *cli, const struct request *r,
                           const uint8_t value[CV_SHA384_LEN])
{
    char hex[2 * CV_SHA384_LEN + 1], name[16];
    cv_hex_encode(hex, value, CV_SHA384_LEN);
    (void)snprintf(name, sizeof name, "PCR%u", r->number);
    if (cli->json) {
        CV_JSON_AUTO json_t *doc = json_pack("{s:s}", name, hex);
        (void)json_dumpf(doc, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    } else {
        (void)printf("%s  %s\n", name, hex);
    }
    return cv_cli_finish();
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct request r = {.number = CV_APPLIED_REGISTER};
    int operands;
    const struct cv_option options[] = {
        {"eif", 0, CV_OPT_TEXT, &r.eif},
        {"env", 'e', CV_OPT_LIST, &r.env},
        {"profile", 0, CV_OPT_TEXT, &r.aws.profile},
        {"region", 0, CV_OPT_TEXT, &r.aws.region},
    };
    if (!cv_options_parse(&cv_cmd_secrets_pcr, options, sizeof options / sizeof options[0], argc,
                          argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands > (int)CV_BOOT_MAX_SOURCES || (operands == 0 && r.env.count == 0)) {
        return cv_cli_usage(&cv_cmd_secrets_pcr,
                            "name the configurations that the image opens (at most %u), or "
                            "variables",
                            CV_BOOT_MAX_SOURCES);
    }
    r.where = argv + 1;
    r.count = (size_t)operands;
    cv_boot_init(&r.settings);
    struct cv_error err;
    cv_error_clear(&err);
    uint8_t value[CV_SHA384_LEN];
    int rc = compute(&r, value, &err);
    cv_boot_free(&r.settings);
    cv_secrets_aws_free(&r.aws);
    return rc == 0 ? report(cli, &r, value) : cv_cli_fail(&err, "measuring");
}

const struct cv_command cv_cmd_secrets_pcr = {
    .name = "secrets pcr",
    .summary = "the measurement (PCR16) of what an enclave is started with",
    .usage = "[--eif IMAGE.eif] [-e NAME=VALUE]... (FILE | s3://BUCKET/KEY)...",
    .help =
        "claviger-init extends a register with the encrypted configurations that it opened and\n"
        "the variables that it took from its parent, and locks it: documents that the enclave\n"
        "attests tell it from then on. This prints the register's value; no key is needed.\n"
        "\n"
        "  --eif FILE            the image, to hold what is named against its settings\n"
        "  -e, --env NAME=VALUE  a variable that the parent gives (enclave serve -e)\n"
        "  --profile, --region   of the AWS credentials\n"
        "\n"
        "Example: claviger secrets pcr --eif web.eif s3://secrets/web\n",
    .run = run,
};
