/* SPDX-License-Identifier: Apache-2.0 */
/* claviger secrets encrypt */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/secrets_expect.h"
#include "cli/secrets_store.h"
#include "common/file.h"
#include "json/json.h"
#include "sealed/secrets_file.h"

#define MAX_KEY_FILE 16384u

struct request {
    const char *input, *cmk, *key, *format, *version;
    struct cv_option_list context;
    bool env_file;
    struct cv_secrets_aws aws;
    struct cv_secrets_save save;
    struct cv_secrets_expect enclave; /* that is to open it */
};

/* ---- input ---- */

static bool looks_like_env(const char *name)
{
    const char *slash = strrchr(name, '/'), *base = slash != NULL ? slash + 1 : name;
    const char *dot = strrchr(base, '.');
    return dot != NULL && strcmp(dot, ".env") == 0;
}

static int read_input(struct cv_secret *plain, const struct request *r, struct cv_error *err)
{
    static struct cv_yaml_problems problems; /* large */
    CV_SECRET_AUTO struct cv_secret text = CV_SECRET_INIT;
    char dir[4096];
    const char *slash = strrchr(r->input, '/');
    int n = slash == NULL
                ? snprintf(dir, sizeof dir, ".")
                : snprintf(dir, sizeof dir, "%.*s", (int)(slash - r->input) + 1, r->input);
    if (n < 0 || (size_t)n >= sizeof dir) {
        return cv_error_set(err, CV_ERR_LIMIT, "the file's name is too long");
    }
    int rc = cv_file_read_secret(&text, r->input, CV_SECRETS_MAX_BYTES, err);
    if (rc != 0) {
        return rc;
    }
    cv_yaml_problems_init(&problems, r->input);
    rc = r->env_file || looks_like_env(r->input)
             ? cv_secrets_from_env(plain, cv_secret_view(&text), &problems)
             : cv_secrets_from_yaml(plain, cv_secret_view(&text), dir, &problems);
    if (problems.count != 0) {
        cv_yaml_problems_print(&problems, stderr);
        return cv_error_set(err, CV_ERR_CONFIG, "%zu problem%s in %s", problems.count,
                            problems.count == 1 ? "" : "s", r->input);
    }
    return rc;
}

static int add_pair(struct cv_s3ec_pairs *user, const char *text, struct cv_error *err)
{
    char *pair = strdup(text);
    char *equals = pair != NULL ? strchr(pair, '=') : NULL;
    int rc = 0;
    if (equals == NULL) {
        rc = cv_error_set(err, CV_ERR_INVALID, "--context wants NAME=VALUE");
    } else {
        *equals = 0;
        rc = cv_s3ec_pairs_add(user, pair, equals + 1, false);
        if (rc != 0) {
            (void)cv_error_set(err, rc, "--context names \"%.60s\" twice, or is too large", pair);
        }
    }
    free(pair);
    return rc;
}

static int make_context(struct cv_s3ec_meta *m, const struct request *r, struct cv_error *err)
{
    const struct cv_boot_list *asked = &r->enclave.settings.context;
    struct cv_s3ec_pairs user = {.n = 0};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->context.count; i++) {
        rc = add_pair(&user, r->context.item[i], err);
    }
    /* What the enclave asks for, where nothing is given. */
    for (size_t i = 0; rc == 0 && r->context.count == 0 && i < asked->count; i++) {
        rc = add_pair(&user, asked->item[i], err);
    }
    if (rc == 0 && r->version != NULL) {
        rc = cv_s3ec_pairs_add(&user, CV_CONFIG_VERSION, r->version, false);
        if (rc != 0) {
            (void)cv_error_set(err, rc, "the version is given by --context already");
        }
    }
    if (rc == 0) {
        rc = cv_s3ec_context(&m->context, &user, m->format, err);
    }
    uint64_t version;
    if (rc == 0) {
        rc = cv_config_version(m, &version, err);
    }
    cv_s3ec_pairs_free(&user);
    return rc;
}

static int sign(char **signature, const struct cv_s3ec_meta *m, struct cv_bytes body,
                const char *key_path, struct cv_error *err)
{
    struct cv_s3ec_pairs pairs = {.n = 0};
    CV_SECRET_AUTO struct cv_secret key = CV_SECRET_INIT;
    int rc = cv_file_read_secret(&key, key_path, MAX_KEY_FILE, err);
    if (rc == 0) {
        rc = cv_s3ec_meta_emit(&pairs, m, err);
    }
    if (rc == 0) {
        rc = cv_config_sign(&pairs, body, cv_secret_view(&key), err);
    }
    if (rc == 0) {
        *signature = strdup(cv_s3ec_pairs_get(&pairs, CV_CONFIG_SIGNATURE));
        rc = *signature != NULL ? 0 : cv_error_set(err, CV_ERR_NOMEM, "out of memory");
    }
    cv_s3ec_pairs_free(&pairs);
    return rc;
}

/* ---- what the enclave will say to it ---- */

static int check_content(const struct request *r, const struct cv_secret *plain,
                         struct cv_error *err)
{
    struct cv_secrets secrets;
    if (!r->enclave.known) {
        return 0;
    }
    memset(&secrets, 0, sizeof secrets);
    int rc = cv_secrets_decode(&secrets, cv_secret_view(plain), err);
    if (rc == 0) {
        rc = cv_secrets_expect_names(&r->enclave, r->save.where, &secrets, err);
    }
    cv_secrets_free(&secrets);
    return rc;
}

static int check_stored(const struct request *r, const struct cv_s3ec_meta *m,
                        const char *signature, struct cv_bytes body, const char *arn,
                        struct cv_error *err)
{
    struct cv_s3ec_pairs pairs = {.n = 0};
    if (!r->enclave.known) {
        return 0;
    }
    const struct cv_config_expect expect = cv_secrets_expect_stored(&r->enclave);
    int rc = cv_s3ec_meta_emit(&pairs, m, err);
    if (rc == 0 && signature != NULL) {
        rc = cv_s3ec_pairs_add(&pairs, CV_CONFIG_SIGNATURE, signature, true);
    }
    if (rc == 0) {
        rc = cv_config_check(m, &pairs, body, &expect, NULL, err);
    }
    cv_s3ec_pairs_free(&pairs);
    if (rc == 0) {
        rc = cv_secrets_expect_key(&r->enclave, arn, err);
    }
    if (rc != 0) {
        cv_error_wrap(err, "the enclave would refuse it");
    }
    return rc;
}

/* ---- the whole ---- */

static int choose_key(struct request *r, struct cv_error *err)
{
    const struct cv_boot_list *cmk = &r->enclave.settings.cmk;
    if (r->cmk == NULL && cmk->count == 1) {
        r->cmk = cmk->item[0];
    }
    return r->cmk != NULL
               ? 0
               : cv_error_set(err, CV_ERR_CONFIG, "the enclave takes %zu keys: name one with --cmk",
                              cmk->count);
}

static int encrypt(struct request *r, struct cv_s3ec_meta *m, char arn[CV_KMS_KEY_ID_MAX + 1],
                   struct cv_error *err)
{
    CV_SECRET_AUTO struct cv_secret plain = CV_SECRET_INIT, key = CV_SECRET_INIT;
    CV_CLEANUP(cv_buf_free) struct cv_buf body;
    cv_buf_init(&body, CV_S3EC_MAX_BODY);
    char *signature = NULL;
    int rc = cv_secrets_expect_read(&r->enclave, err);
    if (rc == 0) {
        rc = choose_key(r, err);
    }
    if (rc == 0) {
        rc = read_input(&plain, r, err);
    }
    if (rc == 0) {
        rc = check_content(r, &plain, err);
    }
    if (rc == 0) {
        rc = make_context(m, r, err);
    }
    if (rc == 0) {
        rc = cv_secrets_new_key(&r->aws, r->cmk, m, &key, arn, err);
    }
    if (rc == 0) {
        rc = cv_s3ec_seal(m, key.p, cv_secret_view(&plain), &body, err);
    }
    if (rc == 0 && r->key != NULL) {
        rc = sign(&signature, m, cv_buf_view(&body), r->key, err);
    }
    if (rc == 0) {
        rc = check_stored(r, m, signature, cv_buf_view(&body), arn, err);
    }
    if (rc == 0) {
        rc = cv_secrets_save(&r->save, &r->aws, m, signature, cv_buf_view(&body), err);
    }
    free(signature);
    return rc;
}

static enum cv_exit report(const struct cv_cli *cli, const struct request *r,
                           const struct cv_s3ec_meta *m, const char *arn)
{
    if (cli->json) {
        CV_CLEANUP(cv_buf_free) struct cv_buf out;
        cv_buf_init(&out, 65536);
        CV_JSON_AUTO json_t *doc = json_pack(
            "{s:s, s:i, s:s, s:b, s:s?, s:s?}", "location", r->save.where, "format", (int)m->format,
            "key_arn", arn, "signed", r->key != NULL, "version", r->version, "s3_version_id",
            r->save.version_id[0] != 0 ? r->save.version_id : NULL);
        if (doc == NULL || cv_json_dump(&out, doc) != 0) {
            return cv_cli_fail(NULL, "no memory");
        }
        (void)printf("%s\n", (const char *)out.p);
    } else {
        (void)printf("encrypted under %s, written to %s%s%s\n", arn, r->save.where,
                     r->save.version_id[0] != 0 ? "?versionId=" : "", r->save.version_id);
    }
    return cv_cli_finish();
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    struct request r = {.input = NULL};
    const char *out = NULL, *to = NULL;
    int operands;
    const struct cv_option options[] = {
        {"output", 'o', CV_OPT_TEXT, &out},
        {"to", 0, CV_OPT_TEXT, &to},
        {"cmk", 0, CV_OPT_TEXT, &r.cmk},
        {"eif", 0, CV_OPT_TEXT, &r.enclave.eif},
        {"enclave-config-file", 0, CV_OPT_TEXT, &r.enclave.config},
        {"context", 0, CV_OPT_LIST, &r.context},
        {"version", 0, CV_OPT_TEXT, &r.version},
        {"format", 0, CV_OPT_TEXT, &r.format},
        {"sign-with", 0, CV_OPT_TEXT, &r.key},
        {"env-file", 0, CV_OPT_FLAG, &r.env_file},
        {"instruction-file", 0, CV_OPT_FLAG, &r.save.instruction},
        {"create", 0, CV_OPT_FLAG, &r.save.create},
        {"profile", 0, CV_OPT_TEXT, &r.aws.profile},
        {"region", 0, CV_OPT_TEXT, &r.aws.region},
    };
    const struct cv_command *cmd = &cv_cmd_secrets_encrypt;
    if (!cv_options_parse(cmd, options, sizeof options / sizeof options[0], argc, argv,
                          &operands)) {
        return CV_EXIT_USAGE;
    }
    bool enclave = r.enclave.eif != NULL || r.enclave.config != NULL;
    if (operands != 1 || (r.cmk == NULL && !enclave) || (out == NULL) == (to == NULL)) {
        return cv_cli_usage(cmd, "name one SECRETS file, --cmk or the enclave, and one of -o and "
                                 "--to");
    }
    if (r.enclave.eif != NULL && r.enclave.config != NULL) {
        return cv_cli_usage(cmd, "--eif and --enclave-config-file say the same");
    }
    if (r.format != NULL && strcmp(r.format, "2") != 0 && strcmp(r.format, "3") != 0) {
        return cv_cli_usage(cmd, "--format is 3 or 2");
    }
    r.save.where = out != NULL ? out : to;
    if ((to != NULL) != (strncmp(r.save.where, "s3://", 5) == 0)) {
        return cv_cli_usage(cmd, "-o wants a file, --to an address like s3://bucket/key");
    }
    if (r.save.instruction && to == NULL) {
        return cv_cli_usage(cmd, "--instruction-file belongs to --to");
    }
    r.input = argv[1];
    struct cv_s3ec_meta m = {.format =
                                 r.format != NULL && r.format[0] == '2' ? CV_S3EC_V2 : CV_S3EC_V3};
    cv_buf_init(&m.edk, CV_S3EC_MAX_EDK);
    struct cv_error err;
    cv_error_clear(&err);
    char arn[CV_KMS_KEY_ID_MAX + 1] = "";
    enum cv_exit result = encrypt(&r, &m, arn, &err) == 0
                              ? report(cli, &r, &m, arn)
                              : cv_cli_fail(&err, "encrypting %s", r.input);
    cv_s3ec_meta_free(&m);
    cv_secrets_aws_free(&r.aws);
    cv_secrets_expect_free(&r.enclave);
    return result;
}

const struct cv_command cv_cmd_secrets_encrypt = {
    .name = "secrets encrypt",
    .summary = "encrypt variables and files for an enclave's boot",
    .usage = "(--cmk ARN | --eif IMAGE.eif) [options] (-o FILE | --to s3://BUCKET/KEY) SECRETS",
    .help =
        "SECRETS is YAML (environment, files) or, named *.env, lines NAME=value. The result is an\n"
        "object of the Amazon S3 Encryption Client's format, in S3 or in a container file.\n"
        "\n"
        "  -o, --output FILE      write a container file\n"
        "  --to URI               write an S3 object\n"
        "  --cmk ARN              KMS key to encrypt under\n"
        "  --eif FILE, --enclave-config-file FILE\n"
        "                         the image that is to open it, or its enclave.yaml: gives key and\n"
        "                         context where they are not given; what the enclave would refuse\n"
        "                         is not written\n"
        "  --context NAME=VALUE   pair of the encryption context; may be repeated. The enclave's\n"
        "                         settings must ask for the same pairs\n"
        "  --version N            version, for the enclave's minimum_version\n"
        "  --sign-with FILE       publisher's private key, PEM, Ed25519 or P-256\n"
        "  --format 3|2           3: with key commitment (default); 2: for older clients\n"
        "  --env-file             SECRETS has lines NAME=value\n"
        "  --instruction-file     metadata in KEY.instruction instead of on the S3 object\n"
        "  --create               never replace what is there\n"
        "  --profile, --region    of the AWS credentials\n"
        "\n"
        "Example: claviger secrets encrypt --cmk arn:aws:kms:... --context app=web --version 7 \\\n"
        "             --to s3://secrets/web secrets.yaml\n",
    .run = run,
};
