/* SPDX-License-Identifier: Apache-2.0 */
/* claviger watermark list, claviger watermark export */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "common/file.h"
#include "json/json.h"
#include "common/clock.h"
#include "signer/aws_section.h"
#include "signer/marks.h"
#include "watermark/dynamodb.h"
#include "watermark/signatory.h"

#define OUTPUT_MAX ((size_t)256 << 20)

static int put_mark(void *ctx, const struct cv_mark *mark)
{
    return cv_marks_put(ctx, mark);
}

/* All marks of a table in DynamoDB. */
static int read_table(struct cv_marks *marks, const struct cv_config *config, struct cv_error *err)
{
    struct cv_aws_config *aws = NULL;
    struct cv_wm_ddb *table = NULL;
    struct cv_wm_ddb_options o = {.table = config->watermark_table};
    int r = cv_aws_section_load(&aws, &config->watermark_credentials, err);
    if (r == CV_OK) {
        r = cv_wm_ddb_open(&table, &aws, &o, err);
    }
    if (r == CV_OK) {
        r = cv_wm_ddb_each(table, put_mark, marks, cv_cli_deadline(120000), err);
    }
    cv_wm_ddb_close(table);
    return r;
}

/* The marks as they are on the disk, beside a running daemon or not. */
static bool read_marks(const struct cv_cli *cli, struct cv_marks **out)
{
    struct cv_error err;
    char directory[PATH_MAX];
    CV_CLEANUP(cv_config_free) struct cv_config *config = NULL;
    cv_error_clear(&err);
    if (!cv_cli_configuration(cli, &config)) {
        return false;
    }
    if (cv_signer_marks_directory(directory, sizeof directory, config) != CV_OK ||
        cv_marks_new(out) != CV_OK) {
        (void)cv_cli_fail(NULL, "reading the watermarks: no memory, or base_dir is too long");
        return false;
    }
    bool table = config->watermark == CV_CONFIG_WATERMARK_AWS;
    int r = table ? read_table(*out, config, &err) : cv_wm_read(*out, directory, &err);
    if (r == CV_ERR_NOT_FOUND && !table) {
        (void)cv_cli_fail(
            NULL, "there is no watermark store in %s yet: the daemon makes it when it first starts",
            directory);
    } else if (r != CV_OK) {
        (void)cv_cli_fail(&err, "reading the watermarks");
    }
    if (r != CV_OK) {
        cv_marks_free(*out);
    }
    return r == CV_OK;
}

static int collect(void *ctx, const struct cv_mark *mark)
{
    struct cv_mark **next = ctx;
    *(*next)++ = *mark;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct cv_mark *x = a;
    const struct cv_mark *y = b;
    int r = memcmp(x->pkh.p, y->pkh.p, CV_PKH_LEN);
    if (r == 0) {
        r = memcmp(x->chain, y->chain, CV_MARK_CHAIN_LEN);
    }
    return r != 0 ? r : (int)x->kind - (int)y->kind;
}

/* A key that has marks is not listed as "nothing signed yet" as well. */
static bool shown(const struct cv_mark *marks, size_t count, size_t i)
{
    return marks[i].kind != CV_MARK_KNOWN || i + 1 == count ||
           !cv_pkh_equal(&marks[i].pkh, &marks[i + 1].pkh);
}

static void print_table(const struct cv_mark *marks, size_t count)
{
    printf("%-36s  %-15s  %-14s  %10s  %5s\n", "KEY", "CHAIN", "KIND", "LEVEL", "ROUND");
    for (size_t i = 0; i < count; i++) {
        char pkh[CV_PKH_TEXT_SIZE];
        char chain[CV_CHAIN_TEXT_SIZE];
        cv_pkh_format(pkh, &marks[i].pkh);
        cv_chain_format(chain, marks[i].chain);
        if (!shown(marks, count, i)) {
            continue;
        }
        if (marks[i].kind == CV_MARK_KNOWN) {
            printf("%-36s  nothing signed yet\n", pkh);
        } else {
            printf("%-36s  %-15s  %-14s  %10d  %5d\n", pkh, chain, cv_mark_kind_name(marks[i].kind),
                   (int)marks[i].level, (int)marks[i].round);
        }
    }
}

static void print_json(const struct cv_mark *marks, size_t count)
{
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        char pkh[CV_PKH_TEXT_SIZE];
        char chain[CV_CHAIN_TEXT_SIZE];
        cv_pkh_format(pkh, &marks[i].pkh);
        cv_chain_format(chain, marks[i].chain);
        if (!shown(marks, count, i)) {
            continue;
        }
        json_t *one = marks[i].kind == CV_MARK_KNOWN
                          ? json_pack("{s:s, s:n}", "public_key_hash", pkh, "kind")
                          : json_pack("{s:s, s:s, s:s, s:i, s:i}", "public_key_hash", pkh,
                                      "chain_id", chain, "kind", cv_mark_kind_name(marks[i].kind),
                                      "level", (int)marks[i].level, "round", (int)marks[i].round);
        json_array_append_new(list, one);
    }
    json_dumpf(list, stdout, JSON_COMPACT);
    printf("\n");
    json_decref(list);
}

static enum cv_exit list_run(const struct cv_cli *cli, int argc, char **argv)
{
    struct cv_marks *marks = NULL;
    if (!cv_options_parse(&cv_cmd_watermark_list, NULL, 0, argc, argv, NULL)) {
        return CV_EXIT_USAGE;
    }
    if (!read_marks(cli, &marks)) {
        return CV_EXIT_FAILURE;
    }
    size_t count = cv_marks_count(marks);
    struct cv_mark *sorted = calloc(count + 1, sizeof *sorted);
    if (sorted == NULL) {
        cv_marks_free(marks);
        return cv_cli_fail(NULL, "no memory for %zu watermarks", count);
    }
    struct cv_mark *next = sorted;
    cv_marks_each(marks, collect, &next);
    qsort(sorted, count, sizeof *sorted, by_key);
    if (cli->json) {
        print_json(sorted, count);
    } else {
        print_table(sorted, count);
    }
    free(sorted);
    cv_marks_free(marks);
    return cv_cli_finish();
}

struct writing {
    const struct cv_marks *marks;
    const char *directory;
    struct cv_error *err;
};

static int write_chain(void *ctx, const uint8_t chain[CV_MARK_CHAIN_LEN])
{
    struct writing *w = ctx;
    char name[CV_CHAIN_TEXT_SIZE + 8];
    char path[PATH_MAX];
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, OUTPUT_MAX);
    char text_of_chain[CV_CHAIN_TEXT_SIZE];
    cv_chain_format(text_of_chain, chain);
    snprintf(name, sizeof name, "%s.json", text_of_chain);
    int r = cv_wm_signatory_dump(&text, w->marks, chain, w->err);
    if (r == CV_OK && (r = cv_path_join(path, sizeof path, w->directory, name)) != CV_OK) {
        r = cv_error_set(w->err, r, "the path is too long");
    }
    return r == CV_OK ? cv_file_replace(path, cv_buf_view(&text), 0600, w->err) : r;
}

static int write_stdout(const struct cv_marks *marks, const char *chain_text, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    uint8_t chain[CV_MARK_CHAIN_LEN];
    cv_buf_init(&text, OUTPUT_MAX);
    int r;
    if (chain_text == NULL) {
        r = cv_wm_signatory_dump_all(&text, marks, err);
    } else if ((r = cv_chain_parse(chain, chain_text)) != CV_OK) {
        r = cv_error_set(err, r, "--chain wants a chain id, Net…");
    } else {
        r = cv_wm_signatory_dump(&text, marks, chain, err);
    }
    if (r == CV_OK) {
        printf("%s\n", (const char *)text.p);
    }
    return r;
}

static enum cv_exit export_run(const struct cv_cli *cli, int argc, char **argv)
{
    const char *chain = NULL;
    const char *directory = NULL;
    const struct cv_option options[] = {{"chain", 0, CV_OPT_TEXT, &chain},
                                        {"dir", 'd', CV_OPT_TEXT, &directory}};
    struct cv_marks *marks = NULL;
    struct cv_error err;
    cv_error_clear(&err);
    if (!cv_options_parse(&cv_cmd_watermark_export, options, 2, argc, argv, NULL)) {
        return CV_EXIT_USAGE;
    }
    if (chain != NULL && directory != NULL) {
        return cv_cli_usage(&cv_cmd_watermark_export, "--chain and --dir exclude each other");
    }
    if (!read_marks(cli, &marks)) {
        return CV_EXIT_FAILURE;
    }
    int r;
    if (directory == NULL) {
        r = write_stdout(marks, chain, &err);
    } else if ((r = cv_dir_make(directory, 0750, &err)) == CV_OK) {
        struct writing w = {.marks = marks, .directory = directory, .err = &err};
        r = cv_wm_chains_each(marks, write_chain, &w);
    }
    cv_marks_free(marks);
    return r == CV_OK ? cv_cli_finish() : cv_cli_fail(&err, "exporting the watermarks");
}

const struct cv_command cv_cmd_watermark_list = {
    .name = "watermark list",
    .summary = "show what each key signed last",
    .usage = "",
    .help = "One line a key, chain and kind: the level and round that were signed last.\n"
            "May run beside the daemon.\n\n"
            "Example:\n"
            "  claviger watermark list\n",
    .run = list_run,
};

const struct cv_command cv_cmd_watermark_export = {
    .name = "watermark export",
    .summary = "write the watermarks in Signatory's format",
    .usage = "[--chain NET | --dir DIR]",
    .help = "Without options, one JSON object {\"Net…\": {…}} of all chains on standard output,\n"
            "which `claviger watermark import` takes. May run beside the daemon; for a move to\n"
            "another machine stop the daemon first.\n\n"
            "      --chain NET  the content of Signatory's watermark_v2/NET.json\n"
            "  -d, --dir DIR    write a file DIR/Net….json for each chain\n\n"
            "What is written for Signatory has the mark of attestations twice, since Signatory\n"
            "keeps attestation and attestation_with_dal apart.\n\n"
            "Example:\n"
            "  claviger watermark export --dir /var/lib/signatory/watermark_v2\n",
    .run = export_run,
};
