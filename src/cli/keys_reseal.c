/* SPDX-License-Identifier: Apache-2.0 */
/* claviger keys reseal */
#include <stdio.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "cli/vaults.h"
#include "json/json.h"
#include "signer/reseal.h"

#define ERROR_ROOM (CV_ERROR_SENTENCE)

struct show {
    bool json, terminal, drawn;
    int64_t next;
    json_t *failures;
};

static void clear(struct show *s)
{
    if (s->drawn) {
        (void)fprintf(stderr, "\r\033[K");
        s->drawn = false;
    }
}

/* On a terminal, after a second, at most five times a second. */
static void progress(void *ctx, size_t done, size_t total)
{
    struct show *s = ctx;
    int64_t now = cv_now_ms();
    if (!s->terminal || now < s->next) {
        return;
    }
    s->next = now + 200;
    s->drawn = true;
    (void)fprintf(stderr, "\r%zu of %zu keys\033[K", done, total);
}

static void failed(void *ctx, const char *pkh, const struct cv_error *err)
{
    struct show *s = ctx;
    char text[ERROR_ROOM];
    clear(s);
    (void)cv_cli_fail(err, "%s stays as it is", pkh);
    if (s->json && s->failures != NULL) {
        (void)cv_error_format(text, sizeof(text), err);
        (void)json_array_append_new(s->failures,
                                    json_pack("{s:s, s:s}", "public_key_hash", pkh, "error", text));
    }
}

static void print_json(const struct show *s, const char *vault, const struct cv_reseal_options *o,
                       const struct cv_reseal_report *r)
{
    CV_JSON_AUTO json_t *doc = json_pack(
        "{s:s, s:i, s:s*, s:b, s:I, s:I, s:I, s:I, s:I, s:O*}", "vault", vault, "sealed_version",
        (int)o->version, "cmk", r->cmk[0] != 0 ? r->cmk : NULL, "dry_run", (int)o->dry_run, "keys",
        (json_int_t)r->keys, "resealed", (json_int_t)r->resealed, "unchanged", (json_int_t)r->kept,
        "kms_calls_to_open_before", (json_int_t)r->opens_before, "kms_calls_to_open",
        (json_int_t)r->opens_after, "failed", s->failures);
    (void)json_dumpf(doc, stdout, JSON_COMPACT);
    (void)printf("\n");
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

static void print_text(const struct cv_reseal_options *o, const struct cv_reseal_report *r)
{
    if (r->keys == 0) {
        (void)printf("the vault has no keys\n");
        return;
    }
    (void)printf("%zu key%s%s sealed anew in version %u%s%s, %zu unchanged\n", r->resealed,
                 plural(r->resealed), o->dry_run ? " would be" : "", o->version,
                 r->cmk[0] != 0 ? " under " : "", r->cmk, r->kept);
    (void)printf("calls to KMS that open all: %zu%s %zu\n", r->opens_before,
                 o->dry_run ? ", then" : " before, now", r->opens_after);
}

static enum cv_exit reseal(const struct cv_cli *cli, struct cv_cli_vault *v,
                           struct cv_reseal_options *o)
{
    struct cv_error err;
    struct cv_reseal_report report;
    enum cv_exit rc = CV_EXIT_OK;
    CV_JSON_AUTO json_t *failures = json_array();
    struct show s = {.json = cli->json,
                     .terminal = isatty(STDERR_FILENO) == 1,
                     .next = cv_now_ms() + 1000,
                     .failures = failures};
    o->ctx = &s;
    o->deadline = cv_cli_deadline(CV_NO_DEADLINE / 2);
    o->progress = progress;
    o->failed = failed;
    cv_error_clear(&err);
    int code = cv_reseal_store(v->vault, o, &report, &err);
    clear(&s);
    if (code != 0 && report.resealed > 0) {
        rc = cv_cli_fail(
            &err, "sealing the keys of vault %s anew: %zu are stored, the same command goes on",
            cv_vault_name(v->vault), report.resealed);
    } else if (code != 0) {
        rc = cv_cli_fail(&err, "sealing the keys of vault %s anew", cv_vault_name(v->vault));
    }
    if (cli->json) {
        print_json(&s, cv_vault_name(v->vault), o, &report);
    } else if (code == 0) {
        print_text(o, &report);
    }
    enum cv_exit printed = cv_cli_finish();
    return rc != CV_EXIT_OK || report.failures > 0 ? CV_EXIT_FAILURE : printed;
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    const char *vault = NULL;
    struct cv_reseal_options o = {.version = 0};
    const struct cv_option options[] = {
        {"vault", 'v', CV_OPT_TEXT, &vault},   {"sealed-version", 0, CV_OPT_COUNT, &o.version},
        {"cmk", 0, CV_OPT_TEXT, &o.cmk},       {"dry-run", 0, CV_OPT_FLAG, &o.dry_run},
        {"afresh", 0, CV_OPT_FLAG, &o.afresh},
    };
    struct cv_cli_vault v;
    CV_CLEANUP(cv_config_free) struct cv_config *config = NULL;
    if (!cv_options_parse(&cv_cmd_keys_reseal, options, 5, argc, argv, NULL)) {
        return CV_EXIT_USAGE;
    }
    if (vault == NULL) {
        return cv_cli_usage(&cv_cmd_keys_reseal, "--vault is wanted");
    }
    if (o.version > 2) {
        return cv_cli_usage(&cv_cmd_keys_reseal, "--sealed-version is 1 or 2");
    }
    if (o.version == 1 && o.cmk != NULL) {
        return cv_cli_usage(
            &cv_cmd_keys_reseal,
            "a version 1 blob opens under the vault's encryption_key_id alone: reseal to "
            "version 2 under --cmk, change encryption_key_id, then reseal to version 1");
    }
    if (!cv_cli_configuration(cli, &config) || !cv_cli_vault_open(&v, config, vault, false)) {
        return CV_EXIT_FAILURE;
    }
    if (o.version == 0) {
        o.version = o.cmk != NULL ? 2 : cv_vault_config(v.vault)->sealed_version;
    }
    enum cv_exit rc = reseal(cli, &v, &o);
    cv_cli_vault_close(&v);
    return rc;
}

const struct cv_command cv_cmd_keys_reseal = {
    .name = "keys reseal",
    .summary = "seal stored keys anew: one data key for all, another version or KMS key",
    .usage = "-v VAULT [--sealed-version 1|2] [--cmk ARN] [--dry-run] [--afresh]",
    .help = "  -v, --vault VAULT     the vault's name in the configuration\n"
            "  --sealed-version N    the format to write (default: the vault's sealed_version)\n"
            "  --cmk ARN             another KMS key, which the enclave's image must be pinned to\n"
            "  --dry-run             seal one key anew, as a trial; store nothing\n"
            "  --afresh              do not go on where an earlier run was interrupted\n\n"
            "In version 2 all keys come to lie under one data key, so that they open with one\n"
            "call to KMS. Each key is replaced durably, and only by a blob under a data key that\n"
            "was opened again; the daemon may run. After an interruption run it again.\n\n"
            "Example: claviger keys reseal -v nitro --dry-run\n",
    .run = run,
};
