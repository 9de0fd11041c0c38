/* SPDX-License-Identifier: Apache-2.0 */
/* claviger secrets decrypt, and secrets diff */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/secrets_store.h"
#include "common/file.h"
#include "common/hex.h"
#include "json/json.h"
#include "sealed/secrets_file.h"

/* A configuration, opened. */
struct opened {
    struct cv_secrets_object object;
    struct cv_secret plain;
    struct cv_secrets secrets;
    char arn[CV_KMS_KEY_ID_MAX + 1];
};

static void opened_free(struct opened *o)
{
    cv_secrets_free(&o->secrets);
    cv_secret_free(&o->plain);
    cv_secrets_object_free(&o->object);
}

static int open_one(struct opened *o, struct cv_secrets_aws *aws, const char *cmk,
                    const char *where, struct cv_error *err)
{
    int rc = cv_secrets_load(&o->object, aws, where, err);
    if (rc == 0) {
        rc = cv_secrets_open(aws, cmk, &o->object, &o->plain, &o->secrets, o->arn, err);
        if (rc != 0) {
            cv_error_wrap(err, "opening %.200s", where);
        }
    }
    return rc;
}

/* ---- decrypt ---- */

/* {"environment": {name: value}, "files": [{path, mode, owner, base64}]} */
static int to_json(struct cv_buf *out, const struct cv_secrets *secrets, struct cv_error *err)
{
    CV_JSON_AUTO json_t *env = json_object(), *files = json_array();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < secrets->env_count; i++) {
        struct cv_bytes v = secrets->env[i].value;
        rc = json_object_set_new(env, secrets->env[i].name, json_stringn((const char *)v.p, v.n));
    }
    for (size_t i = 0; rc == 0 && i < secrets->file_count; i++) {
        const struct cv_secret_file *f = &secrets->file[i];
        CV_CLEANUP(cv_buf_free) struct cv_buf text;
        char mode[16];
        cv_buf_init(&text, 2 * CV_SECRETS_MAX_BYTES);
        snprintf(mode, sizeof mode, "0%o", f->mode);
        rc = cv_base64_append(&text, f->content.p, f->content.n);
        if (rc == 0) {
            rc = json_array_append_new(files, json_pack("{s:s, s:s, s:s, s:s}", "path", f->path,
                                                        "mode", mode, "owner", f->owner, "base64",
                                                        text.n != 0 ? (const char *)text.p : ""));
        }
    }
    CV_JSON_AUTO json_t *doc =
        rc == 0 ? json_pack("{s:O, s:O}", "environment", env, "files", files) : NULL;
    if (doc == NULL || cv_json_dump_indent(out, doc, 2) != 0 || cv_buf_append_str(out, "\n") != 0) {
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "a value or a path is no text that JSON could "
                            "hold");
    }
    return 0;
}

static int put(struct cv_bytes text, const char *out, struct cv_error *err)
{
    if (out != NULL) {
        return cv_file_replace(out, text, 0600, err);
    }
    return fwrite(text.p, 1, text.n, stdout) == text.n
               ? 0
               : cv_error_set(err, CV_ERR_IO, "writing to standard output");
}

/* The content as it is, of whichever object of the S3 Encryption Client. */
static int decrypt_raw(struct opened *o, struct cv_secrets_aws *aws, const char *cmk,
                       const char *where, const char *out, struct cv_error *err)
{
    int rc = cv_secrets_load(&o->object, aws, where, err);
    if (rc == 0) {
        rc = cv_secrets_open_raw(aws, cmk, &o->object, &o->plain, o->arn, err);
        if (rc != 0) {
            cv_error_wrap(err, "opening %.200s", where);
        }
    }
    return rc == 0 ? put(cv_secret_view(&o->plain), out, err) : rc;
}

static int write_out(const struct cv_cli *cli, const struct cv_secrets *secrets, const char *out,
                     struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 4 * CV_SECRETS_MAX_BYTES);
    int rc = cli->json ? to_json(&text, secrets, err) : cv_secrets_to_yaml(&text, secrets, err);
    return rc == 0 ? put(cv_buf_view(&text), out, err) : rc;
}

static enum cv_exit run_decrypt(const struct cv_cli *cli, int argc, char **argv)
{
    struct cv_secrets_aws aws = {NULL, NULL, NULL};
    const char *out = NULL, *cmk = NULL;
    bool raw = false;
    int operands;
    const struct cv_option options[] = {
        {"output", 'o', CV_OPT_TEXT, &out},      {"raw", 0, CV_OPT_FLAG, &raw},
        {"cmk", 0, CV_OPT_TEXT, &cmk},           {"profile", 0, CV_OPT_TEXT, &aws.profile},
        {"region", 0, CV_OPT_TEXT, &aws.region},
    };
    if (!cv_options_parse(&cv_cmd_secrets_decrypt, options, 5, argc, argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands != 1) {
        return cv_cli_usage(&cv_cmd_secrets_decrypt, "name one configuration");
    }
    struct cv_error err;
    cv_error_clear(&err);
    struct opened o = {.plain = CV_SECRET_INIT};
    int rc = raw ? decrypt_raw(&o, &aws, cmk, argv[1], out, &err)
                 : open_one(&o, &aws, cmk, argv[1], &err);
    if (rc == 0 && !raw) {
        rc = write_out(cli, &o.secrets, out, &err);
    } else if (rc == CV_ERR_INVALID && o.plain.n != 0) {
        cv_error_wrap(&err,
                      "it holds no variables and files in our form (--raw gives it as it is)");
    }
    opened_free(&o);
    cv_secrets_aws_free(&aws);
    return rc == 0 ? cv_cli_finish() : cv_cli_fail(&err, "decrypting");
}

const struct cv_command cv_cmd_secrets_decrypt = {
    .name = "secrets decrypt",
    .summary = "decrypt an encrypted configuration with your own credentials",
    .usage = "[--cmk ARN] [-o FILE] [--raw] (FILE | s3://BUCKET/KEY)",
    .help =
        "Prints the variables and files as YAML, which \"secrets encrypt\" takes again. Needs\n"
        "kms:Decrypt outside the enclave, which the key's policy may well refuse.\n"
        "\n"
        "  -o, --output FILE    write there (mode 0600) instead of printing\n"
        "  --raw                the content as it is: of any object that an Amazon S3 Encryption\n"
        "                       Client has written with KMS\n"
        "  --cmk ARN            the KMS key that it must be encrypted under\n"
        "  --profile, --region  of the AWS credentials\n"
        "\n"
        "Example: claviger secrets decrypt -o secrets.yaml s3://secrets/web\n",
    .run = run_decrypt,
};

/* ---- diff ---- */

struct changes {
    json_t *added, *removed, *changed;
};

static void note(json_t *list, const char *kind, const char *name)
{
    char quoted[1024], line[1100];
    snprintf(line, sizeof line, "%s %s", kind,
             cv_error_quote(quoted, sizeof quoted, name, strlen(name)));
    (void)json_array_append_new(list, json_string(line));
}

static void compare_env(struct changes *c, const struct cv_secrets *a, const struct cv_secrets *b)
{
    size_t i = 0, k = 0;
    while (i < a->env_count || k < b->env_count) { /* both are sorted */
        int order = i == a->env_count   ? 1
                    : k == b->env_count ? -1
                                        : strcmp(a->env[i].name, b->env[k].name);
        if (order < 0) {
            note(c->removed, "variable", a->env[i++].name);
        } else if (order > 0) {
            note(c->added, "variable", b->env[k++].name);
        } else {
            if (!cv_bytes_equal(a->env[i].value, b->env[k].value)) {
                note(c->changed, "variable", a->env[i].name);
            }
            i++;
            k++;
        }
    }
}

static bool same_file(const struct cv_secret_file *a, const struct cv_secret_file *b)
{
    return a->mode == b->mode && strcmp(a->owner, b->owner) == 0 &&
           cv_bytes_equal(a->content, b->content);
}

static void compare_files(struct changes *c, const struct cv_secrets *a, const struct cv_secrets *b)
{
    size_t i = 0, k = 0;
    while (i < a->file_count || k < b->file_count) {
        int order = i == a->file_count   ? 1
                    : k == b->file_count ? -1
                                         : strcmp(a->file[i].path, b->file[k].path);
        if (order < 0) {
            note(c->removed, "file", a->file[i++].path);
        } else if (order > 0) {
            note(c->added, "file", b->file[k++].path);
        } else {
            if (!same_file(&a->file[i], &b->file[k])) {
                note(c->changed, "file", a->file[i].path);
            }
            i++;
            k++;
        }
    }
}

static void print_list(char mark, const json_t *list)
{
    size_t i;
    json_t *v;
    json_array_foreach (list, i, v) {
        (void)printf("%c %s\n", mark, json_string_value(v));
    }
}

static enum cv_exit print_changes(const struct cv_cli *cli, struct changes *c)
{
    if (cli->json) {
        CV_JSON_AUTO json_t *doc = json_pack("{s:O, s:O, s:O}", "added", c->added, "removed",
                                             c->removed, "changed", c->changed);
        (void)json_dumpf(doc, stdout, JSON_INDENT(2));
        (void)putchar('\n');
    } else {
        print_list('+', c->added);
        print_list('-', c->removed);
        print_list('~', c->changed);
    }
    return cv_cli_finish();
}

static enum cv_exit run_diff(const struct cv_cli *cli, int argc, char **argv)
{
    struct cv_secrets_aws aws = {NULL, NULL, NULL};
    const char *cmk = NULL;
    int operands;
    const struct cv_option options[] = {
        {"cmk", 0, CV_OPT_TEXT, &cmk},
        {"profile", 0, CV_OPT_TEXT, &aws.profile},
        {"region", 0, CV_OPT_TEXT, &aws.region},
    };
    if (!cv_options_parse(&cv_cmd_secrets_diff, options, 3, argc, argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands != 2) {
        return cv_cli_usage(&cv_cmd_secrets_diff, "name two configurations");
    }
    struct cv_error err;
    cv_error_clear(&err);
    struct opened a = {.plain = CV_SECRET_INIT}, b = {.plain = CV_SECRET_INIT};
    int rc = open_one(&a, &aws, cmk, argv[1], &err);
    if (rc == 0) {
        rc = open_one(&b, &aws, cmk, argv[2], &err);
    }
    enum cv_exit result = CV_EXIT_FAILURE;
    if (rc == 0) {
        struct changes c = {json_array(), json_array(), json_array()};
        compare_env(&c, &a.secrets, &b.secrets);
        compare_files(&c, &a.secrets, &b.secrets);
        result = print_changes(cli, &c);
        json_decref(c.added);
        json_decref(c.removed);
        json_decref(c.changed);
    } else {
        (void)cv_cli_fail(&err, "comparing");
    }
    opened_free(&a);
    opened_free(&b);
    cv_secrets_aws_free(&aws);
    return result;
}

const struct cv_command cv_cmd_secrets_diff = {
    .name = "secrets diff",
    .summary = "compare two encrypted configurations, by names only",
    .usage = "[--cmk ARN] OLD NEW",
    .help = "Decrypts both and says which variables and files were added (+), removed (-) or\n"
            "changed (~). Values are never shown.\n"
            "\n"
            "  --cmk ARN            the KMS key that both must be encrypted under\n"
            "  --profile, --region  of the AWS credentials\n"
            "\n"
            "Example: claviger secrets diff \"s3://secrets/web?versionId=ID\" s3://secrets/web\n",
    .run = run_diff,
};
