/* SPDX-License-Identifier: Apache-2.0 */
/* claviger audit verify */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "cli/commands.h"
#include "cli/configuration.h"
#include "common/file.h"
#include "json/json.h"

static int path_of(char out[PATH_MAX], const struct cv_cli *cli, int operands, char **argv)
{
    if (operands == 1) {
        return snprintf(out, PATH_MAX, "%s", argv[1]) < PATH_MAX ? CV_OK : CV_ERR_LIMIT;
    }
    CV_CLEANUP(cv_config_free) struct cv_config *config = NULL;
    if (!cv_cli_configuration(cli, &config)) {
        return CV_ERR_CONFIG;
    }
    return cv_path_join(out, PATH_MAX, config->base_dir, "audit.log");
}

static enum cv_exit report(const struct cv_cli *cli, const struct cv_audit_report *r,
                           const char *path, const char *expected)
{
    static const char gone[] = "the line with the hash given is not there: lines were cut off";
    bool missing = expected != NULL && r->bad_line == 0 && r->known_line == 0;
    if (cli->json) {
        json_t *doc = json_pack("{s:I, s:I, s:s, s:s}", "lines", (json_int_t)r->lines, "bad_line",
                                (json_int_t)r->bad_line, "reason", missing ? gone : r->reason,
                                "last_hash", r->last_hash);
        json_dumpf(doc, stdout, JSON_COMPACT);
        printf("\n");
        json_decref(doc);
    } else if (r->bad_line != 0) {
        fprintf(stderr, "Error: %s: line %llu: %s\n", path, (unsigned long long)r->bad_line,
                r->reason);
    } else if (missing) {
        fprintf(stderr, "Error: %s: %s; the last hash is %s\n", path, gone, r->last_hash);
    } else {
        printf("%llu lines, unbroken", (unsigned long long)r->lines);
        if (expected != NULL) {
            printf(", %llu of them after the one given",
                   (unsigned long long)(r->lines - r->known_line));
        }
        printf("; last hash %s\n", r->last_hash[0] != '\0' ? r->last_hash : "(none)");
    }
    enum cv_exit rc = cv_cli_finish();
    return r->bad_line != 0 || missing ? CV_EXIT_FAILURE : rc;
}

/* "-" is standard input. */
static int open_log(const char *path)
{
    return strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
}

static enum cv_exit run(const struct cv_cli *cli, int argc, char **argv)
{
    const char *expected = NULL;
    const struct cv_option options[] = {{"last-hash", 0, CV_OPT_TEXT, &expected}};
    int operands = 0;
    char path[PATH_MAX];
    struct cv_error err;
    struct cv_audit_report r;
    cv_error_clear(&err);
    if (!cv_options_parse(&cv_cmd_audit_verify, options, 1, argc, argv, &operands)) {
        return CV_EXIT_USAGE;
    }
    if (operands > 1) {
        return cv_cli_usage(&cv_cmd_audit_verify, "name one file at the most");
    }
    if (expected != NULL && (strlen(expected) != 2 * (size_t)CV_AUDIT_HASH_LEN ||
                             strspn(expected, "0123456789abcdef") != strlen(expected))) {
        return cv_cli_usage(&cv_cmd_audit_verify, "--last-hash wants 64 hexadecimal digits");
    }
    int rc = path_of(path, cli, operands, argv);
    if (rc != CV_OK) {
        return rc == CV_ERR_CONFIG ? CV_EXIT_FAILURE
                                   : cv_cli_fail(NULL, "the path of the audit log is too long");
    }
    int fd = open_log(path);
    if (fd < 0) {
        cv_error_errno(&err, CV_ERR_IO, errno, "opening %s", path);
        return cv_cli_fail(&err, "verifying the audit log");
    }
    rc = cv_audit_verify(&r, fd, expected, &err);
    close(fd);
    return rc == CV_OK ? report(cli, &r, path, expected)
                       : cv_cli_fail(&err, "verifying the audit log");
}

const struct cv_command cv_cmd_audit_verify = {
    .name = "audit verify",
    .summary = "find the first altered or missing line of the audit log",
    .usage = "[--last-hash HASH] [FILE]",
    .help = "FILE is base_dir/audit.log without it (\"-\": standard input). Each line carries the\n"
            "hash of the one before it. Lines cut off at the very end are only seen with\n"
            "--last-hash, the hash that this command printed before and that was kept elsewhere:\n"
            "its line must still be there. May run beside the daemon.\n\n"
            "Example:\n"
            "  claviger audit verify /var/lib/signatory/audit.log\n",
    .run = run,
};
