/* SPDX-License-Identifier: Apache-2.0 */
/* claviger watermark init, import, raise: each wants the daemon stopped. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/configuration.h"
#include "common/clock.h"
#include "json/json.h"
#include "signer/aws_section.h"
#include "signer/marks.h"
#include "watermark/dynamodb.h"
#include "watermark/signatory.h"

#define TABLE_MS 30000

struct session {
    struct cv_config *config;
    struct cv_wm_store *marks; /* driver file */
    struct cv_wm_ddb *table;   /* driver aws */
    struct cv_error err;
    unsigned raised;
    unsigned kept;
};

static int open_table(struct session *s)
{
    struct cv_aws_config *aws = NULL;
    struct cv_wm_ddb_options o = {.table = s->config->watermark_table, .create = true};
    int r = cv_aws_section_load(&aws, &s->config->watermark_credentials, &s->err);
    return r != CV_OK ? r : cv_wm_ddb_open(&s->table, &aws, &o, &s->err);
}

static int open_marks(struct session *s, enum cv_marks_open how)
{
    switch (s->config->watermark) {
    case CV_CONFIG_WATERMARK_AWS:
        return how == CV_MARKS_OPEN
                   ? open_table(s)
                   : cv_error_set(&s->err, CV_ERR_UNSUPPORTED,
                                  "a table in DynamoDB is neither replaced nor adopted");
    case CV_CONFIG_WATERMARK_MEM:
        return cv_error_set(&s->err, CV_ERR_UNSUPPORTED, "the watermark driver mem keeps nothing");
    case CV_CONFIG_WATERMARK_FILE:
        break;
    }
    return cv_signer_marks_open(&s->marks, s->config, how, &s->err);
}

static enum cv_exit open_store(struct session *s, const struct cv_cli *cli, enum cv_marks_open how)
{
    memset(s, 0, sizeof *s);
    cv_error_clear(&s->err);
    if (!cv_cli_configuration(cli, &s->config)) {
        return CV_EXIT_FAILURE;
    }
    if (open_marks(s, how) != CV_OK) {
        cv_config_free(&s->config);
        return cv_cli_fail(&s->err, "opening the watermark store");
    }
    return CV_EXIT_OK;
}

/* Makes all that was raised durable, closes, and says what was done. */
static enum cv_exit close_store(struct session *s, const struct cv_cli *cli, int r)
{
    if (r == CV_OK && s->marks != NULL) {
        r = cv_wm_sync(s->marks, &s->err);
    }
    cv_wm_close(s->marks);
    cv_wm_ddb_close(s->table);
    cv_config_free(&s->config);
    if (r != CV_OK) {
        return cv_cli_fail(&s->err, "changing the watermarks");
    }
    if (cli->json) {
        printf("{\"raised\":%u,\"kept\":%u}\n", s->raised, s->kept);
    } else {
        printf("%u record%s written, %u kept (not smaller already)\n", s->raised,
               s->raised == 1 ? "" : "s", s->kept);
    }
    return cv_cli_finish();
}

static int raise_in_table(struct session *s, const struct cv_mark *mark)
{
    int r = cv_wm_ddb_raise(s->table, mark, cv_cli_deadline(TABLE_MS), &s->err);
    s->kept += r == CV_ERR_DENIED ? 1 : 0;
    s->raised += r == CV_OK ? 1 : 0;
    return r == CV_ERR_DENIED ? CV_OK : r;
}

static int raise_one(void *ctx, const struct cv_mark *mark)
{
    struct session *s = ctx;
    uint64_t seq;
    if (s->table != NULL) {
        return raise_in_table(s, mark);
    }
    int r = cv_wm_raise(s->marks, mark, &seq);
    if (r == CV_ERR_BUSY && (r = cv_wm_sync(s->marks, &s->err)) == CV_OK) {
        r = cv_wm_raise(s->marks, mark, &seq);
    }
    if (r == CV_ERR_DENIED || (r == CV_ERR_EXISTS)) {
        s->kept++;
        return CV_OK;
    }
    if (r != CV_OK) {
        return cv_error_set(&s->err, r, "a watermark cannot be stored: %s", cv_strerror(r));
    }
    s->raised++;
    return CV_OK;
}

static int know(struct session *s, const char *text)
{
    struct cv_mark mark = {.kind = CV_MARK_KNOWN};
    char quoted[64];
    if (cv_pkh_parse(&mark.pkh, cv_bytes_str(text)) != CV_OK) {
        return cv_error_set(&s->err, CV_ERR_INVALID, "\"%s\" is no public key hash (tz1… to tz4…)",
                            cv_error_quote(quoted, sizeof quoted, text, strlen(text)));
    }
    if (s->marks != NULL && cv_marks_known(cv_wm_marks(s->marks), &mark.pkh)) {
        s->kept++;
        return CV_OK;
    }
    return raise_one(s, &mark);
}

static enum cv_exit init_run(const struct cv_cli *cli, int argc, char **argv)
{
    bool replace = false;
    bool adopt = false;
    const struct cv_option options[] = {{"replace", 0, CV_OPT_FLAG, &replace},
                                        {"adopt", 0, CV_OPT_FLAG, &adopt}};
    int operands = 0;
    struct session s;
    if (!cv_options_parse(&cv_cmd_watermark_init, options, 2, argc, argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (replace && adopt) {
        return cv_cli_usage(&cv_cmd_watermark_init, "--replace and --adopt exclude each other");
    }
    if (operands == 0 && !replace && !adopt) {
        return cv_cli_usage(&cv_cmd_watermark_init, "name the keys that have signed nothing yet");
    }
    enum cv_exit rc =
        open_store(&s, cli, replace ? CV_MARKS_REPLACE : (adopt ? CV_MARKS_ADOPT : CV_MARKS_OPEN));
    if (rc != CV_EXIT_OK) {
        return rc;
    }
    int r = CV_OK;
    for (int i = 1; r == CV_OK && i <= operands; i++) {
        r = know(&s, argv[i]);
    }
    return close_store(&s, cli, r);
}

static enum cv_exit import_run(const struct cv_cli *cli, int argc, char **argv)
{
    int operands = 0;
    struct session s;
    if (!cv_options_parse(&cv_cmd_watermark_import, NULL, 0, argc, argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands != 1) {
        return cv_cli_usage(&cv_cmd_watermark_import, "name one file or directory");
    }
    enum cv_exit rc = open_store(&s, cli, CV_MARKS_OPEN);
    if (rc != CV_EXIT_OK) {
        return rc;
    }
    return close_store(&s, cli, cv_wm_signatory_import(argv[1], raise_one, &s, &s.err));
}

/* 0..2147483647 of TEXT. */
static bool number(const char *text, int32_t *out)
{
    char *end = NULL;
    errno = 0;
    long v = strtol(text, &end, 10);
    bool good = text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && v <= INT32_MAX;
    *out = good ? (int32_t)v : 0;
    return good;
}

static int raise_kinds(struct session *s, struct cv_mark *mark, const char *kind)
{
    for (int k = CV_MARK_BLOCK; k < CV_MARK_KINDS; k++) {
        mark->kind = (enum cv_mark_kind)k;
        if (kind == NULL || strcmp(kind, cv_mark_kind_name(mark->kind)) == 0) {
            int r = raise_one(s, mark);
            if (r != CV_OK) {
                return r;
            }
        }
    }
    return CV_OK;
}

static enum cv_exit raise_run(const struct cv_cli *cli, int argc, char **argv)
{
    const char *chain = NULL;
    const char *kind = NULL;
    const char *level = NULL;
    const char *round = "0";
    const struct cv_option options[] = {{"chain", 0, CV_OPT_TEXT, &chain},
                                        {"kind", 0, CV_OPT_TEXT, &kind},
                                        {"level", 0, CV_OPT_TEXT, &level},
                                        {"round", 0, CV_OPT_TEXT, &round}};
    int operands = 0;
    struct session s;
    struct cv_mark mark = {.kind = CV_MARK_BLOCK};
    const struct cv_command *cmd = &cv_cmd_watermark_raise;
    if (!cv_options_parse(cmd, options, 4, argc, argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands != 1 || chain == NULL || level == NULL) {
        return cv_cli_usage(cmd, "one key, --chain and --level are wanted");
    }
    if (cv_pkh_parse(&mark.pkh, cv_bytes_str(argv[1])) != CV_OK ||
        cv_chain_parse(mark.chain, chain) != CV_OK || !number(level, &mark.level) ||
        !number(round, &mark.round)) {
        return cv_cli_usage(cmd, "the key is tz…, --chain is Net…, --level and --round are "
                                 "numbers from 0 to 2147483647");
    }
    if (kind != NULL && strcmp(kind, "block") != 0 && strcmp(kind, "preattestation") != 0 &&
        strcmp(kind, "attestation") != 0) {
        return cv_cli_usage(cmd, "--kind is block, preattestation or attestation");
    }
    enum cv_exit rc = open_store(&s, cli, CV_MARKS_OPEN);
    return rc == CV_EXIT_OK ? close_store(&s, cli, raise_kinds(&s, &mark, kind)) : rc;
}

const struct cv_command cv_cmd_watermark_init = {
    .name = "watermark init",
    .summary = "write the first record of keys that have signed nothing yet",
    .usage = "[--replace | --adopt] [KEY...]",
    .help = "A key without a record is refused, since its marks may have been lost. Say here\n"
            "that it never signed a block or an attestation, anywhere. For a key that did,\n"
            "use `watermark raise` or `watermark import`. The daemon must be stopped.\n\n"
            "      --replace  make a new, empty store in the place of one that is gone or\n"
            "                 refused (which is kept beside it)\n"
            "      --adopt    the store that is there is the right one, whatever the key store\n"
            "                 remembers\n\n"
            "Example:\n"
            "  claviger watermark init tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb\n",
    .run = init_run,
};

const struct cv_command cv_cmd_watermark_import = {
    .name = "watermark import",
    .summary = "take over watermarks from Signatory's files or an export",
    .usage = "FILE|DIR",
    .help = "FILE is what `watermark export` wrote, or Signatory's Net….json; DIR has such files\n"
            "(watermark_v2, watermark_v1 or watermark). A mark is taken only when it is greater\n"
            "than the one that is there. The daemon must be stopped.\n\n"
            "Example:\n"
            "  claviger watermark import /mnt/old/watermark_v2\n",
    .run = import_run,
};

const struct cv_command cv_cmd_watermark_raise = {
    .name = "watermark raise",
    .summary = "refuse a key everything up to a level and round",
    .usage = "KEY --chain NET --level LEVEL [--round ROUND] [--kind KIND]",
    .help =
        "After a move, or when marks were lost: nothing up to and including this level and\n"
        "round will be signed any more. A mark is never lowered. The daemon must be stopped.\n\n"
        "      --chain NET      chain id\n"
        "      --level LEVEL    a level above all that was signed anywhere\n"
        "      --round ROUND    default 0\n"
        "      --kind KIND      block, preattestation or attestation (default: all three)\n\n"
        "Example:\n"
        "  claviger watermark raise tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb \\\n"
        "      --chain NetXdQprcVkpaWU --level 9000000\n",
    .run = raise_run,
};
