/* SPDX-License-Identifier: Apache-2.0 */
/* claviger secrets verify: would the enclave take it? */
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/secrets_expect.h"
#include "cli/secrets_store.h"
#include "common/file.h"
#include "common/hex.h"
#include "json/json.h"

struct request {
    const char *where, *cmk, *publisher, *minimum;
    struct cv_option_list context;
    bool no_decrypt;
    struct cv_secrets_aws aws;
    struct cv_secrets_expect enclave;
};

struct result {
    uint64_t version;
    char arn[CV_KMS_KEY_ID_MAX + 1];
    size_t variables, files;
};

/* ---- expectations ---- */

/* A public key in PEM into base64 of its DER. */
static int read_publisher(struct request *r, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 16384);
    int rc = cv_file_read(&text, r->publisher, err);
    if (rc != 0) {
        return rc;
    }
    BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
    static char none[] = "";
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PUBKEY(bio, NULL, NULL, none) : NULL;
    BIO_free(bio);
    uint8_t *der = NULL;
    int n = key != NULL ? i2d_PUBKEY(key, &der) : -1;
    EVP_PKEY_free(key);
    char encoded[CV_BASE64_LEN(512) + 1];
    if (n <= 0 || n > 512) {
        OPENSSL_free(der);
        return cv_error_set(err, CV_ERR_INVALID, "%s is no public key in PEM", r->publisher);
    }
    cv_base64_encode(encoded, der, (size_t)n);
    OPENSSL_free(der);
    rc = cv_boot_text_set(&r->enclave.settings.publisher_key, encoded);
    return rc == 0 ? 0 : cv_error_set(err, rc, "out of memory");
}

static int expectations(struct request *r, struct cv_error *err)
{
    int rc = cv_secrets_expect_read(&r->enclave, err);
    if (rc == 0 && r->publisher != NULL) {
        rc = read_publisher(r, err);
    }
    for (size_t i = 0; rc == 0 && i < r->context.count; i++) {
        rc = cv_boot_list_add(&r->enclave.settings.context, r->context.item[i]);
    }
    if (rc == 0 && r->minimum != NULL) {
        char rest;
        unsigned long long v;
        if (sscanf(r->minimum, "%llu%c", &v, &rest) != 1) {
            rc = cv_error_set(err, CV_ERR_INVALID, "--minimum-version wants a number");
        } else {
            r->enclave.settings.minimum_version = v;
        }
    }
    return rc;
}

/* ---- checks ---- */

static int check_content(struct request *r, const struct cv_secrets_object *o,
                         struct result *result, struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret plain = CV_SECRET_INIT;
    struct cv_secrets secrets;
    const char *cmk = r->cmk != NULL                       ? r->cmk
                      : r->enclave.settings.cmk.count == 1 ? r->enclave.settings.cmk.item[0]
                                                           : NULL;
    int rc = cv_secrets_open(&r->aws, cmk, o, &plain, &secrets, result->arn, err);
    if (rc == CV_ERR_DENIED) {
        cv_error_wrap(err, "what can be checked without the key is good (--no-decrypt checks that "
                           "alone), and opening it is not for you");
    }
    if (rc == 0) {
        rc = cv_secrets_expect_key(&r->enclave, result->arn, err);
    }
    if (rc == 0) {
        rc = cv_secrets_expect_names(&r->enclave, r->where, &secrets, err);
    }
    result->variables = secrets.env_count;
    result->files = secrets.file_count;
    cv_secrets_free(&secrets);
    return rc;
}

static int verify(struct request *r, struct result *result, struct cv_error *err)
{
    struct cv_secrets_object o;
    memset(&o, 0, sizeof o);
    int rc = expectations(r, err);
    if (rc == 0) {
        rc = cv_secrets_load(&o, &r->aws, r->where, err);
    }
    struct cv_config_expect expect = cv_secrets_expect_stored(&r->enclave);
    expect.any_context = !r->enclave.known && r->context.count == 0;
    if (rc == 0) {
        rc = cv_config_check(&o.meta, &o.pairs, o.body, &expect, &result->version, err);
    }
    if (rc == 0 && !r->no_decrypt) {
        rc = check_content(r, &o, result, err);
    }
    cv_secrets_object_free(&o);
    return rc;
}

/* ---- the command ---- */

static enum cv_exit report(const struct cv_cli *cli, const struct request *r,
                           const struct result *result)
{
    bool signature = r->enclave.settings.publisher_key != NULL;
    if (cli->json) {
        CV_JSON_AUTO json_t *doc = json_pack(
            "{s:b, s:I, s:b, s:b, s:s?, s:I, s:I}", "good", 1, "version",
            (json_int_t)result->version, "signature_checked", signature, "decrypted",
            !r->no_decrypt, "key_arn", result->arn[0] != 0 ? result->arn : NULL, "variables",
            (json_int_t)result->variables, "files", (json_int_t)result->files);
        (void)json_dumpf(doc, stdout, JSON_INDENT(2));
        (void)putchar('\n');
        return cv_cli_finish();
    }
    (void)printf("good: version %llu, %s%s", (unsigned long long)result->version,
                 signature ? "signed by the publisher" : "no signature asked for",
                 r->no_decrypt ? ", not decrypted\n" : "");
    if (!r->no_decrypt) {
        (void)printf(", %zu variables and %zu files under %s\n", result->variables, result->files,
                     result->arn);
    }
    return cv_cli_finish();
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct request r = {.where = NULL};
    int operands;
    const struct cv_option options[] = {
        {"eif", 0, CV_OPT_TEXT, &r.enclave.eif},
        {"enclave-config-file", 0, CV_OPT_TEXT, &r.enclave.config},
        {"cmk", 0, CV_OPT_TEXT, &r.cmk},
        {"context", 0, CV_OPT_LIST, &r.context},
        {"minimum-version", 0, CV_OPT_TEXT, &r.minimum},
        {"publisher-key", 0, CV_OPT_TEXT, &r.publisher},
        {"no-decrypt", 0, CV_OPT_FLAG, &r.no_decrypt},
        {"profile", 0, CV_OPT_TEXT, &r.aws.profile},
        {"region", 0, CV_OPT_TEXT, &r.aws.region},
    };
    if (!cv_options_parse(&cv_cmd_secrets_verify, options, sizeof options / sizeof options[0], argc,
                          argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands != 1 || (r.enclave.eif != NULL && r.enclave.config != NULL)) {
        return cv_cli_usage(&cv_cmd_secrets_verify, "name one configuration, and at most one of "
                                                    "--eif and --enclave-config-file");
    }
    r.where = argv[1];
    struct cv_error err;
    cv_error_clear(&err);
    struct result result = {.version = 0};
    int rc = verify(&r, &result, &err);
    enum cv_exit status =
        rc == 0 ? report(cli, &r, &result) : cv_cli_fail(&err, "%s is refused", r.where);
    cv_secrets_expect_free(&r.enclave);
    cv_secrets_aws_free(&r.aws);
    return status;
}

const struct cv_command cv_cmd_secrets_verify = {
    .name = "secrets verify",
    .summary = "check that an enclave would take an encrypted configuration",
    .usage = "[--eif IMAGE.eif | --enclave-config-file YAML] [options] (FILE | s3://BUCKET/KEY)",
    .help =
        "Checks what the enclave checks: signature, version, encryption context; then decrypts\n"
        "with your credentials and checks the key and the allow lists. Values are not shown.\n"
        "Exit status 1 on any refusal.\n"
        "\n"
        "  --eif FILE                  the image whose measured settings decide\n"
        "  --enclave-config-file FILE  the same from its enclave.yaml\n"
        "  --publisher-key FILE        public key in PEM that must have signed it\n"
        "  --context NAME=VALUE        pair that the encryption context must hold\n"
        "  --minimum-version N         lowest version\n"
        "  --cmk ARN                   the KMS key that it must be encrypted under\n"
        "  --no-decrypt                check what can be checked without the key\n"
        "  --profile, --region         of the AWS credentials\n"
        "\n"
        "Example: claviger secrets verify --eif web.eif s3://secrets/web\n",
    .run = run,
};
