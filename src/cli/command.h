/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operator's commands: one row each in the table of commands.c, one file
 * each (or one for a family) in this directory.
 *
 * To add a command: write cmd_<name>.c with a `const struct cv_command
 * cv_cmd_<name>`, declare it in commands.h, add it to the table in commands.c
 * and the file to CMakeLists.txt. Names may have two words ("watermark list").
 *
 * The global flags (-c --config --base-dir --log --json-log --json --lenient
 * --timeout -h --help) are taken out of argv before a command runs, wherever they stand,
 * so no command may use these names for itself.
 */
#ifndef CV_CLI_COMMAND_H
#define CV_CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"
#include "common/log.h"

enum cv_exit {
    CV_EXIT_OK = 0,
    CV_EXIT_FAILURE = 1,
    CV_EXIT_USAGE = 2,
};

/* What the global flags said. Strings live as long as argv. */
struct cv_cli {
    const char *program;  /* the name we were called by, without folders */
    const char *config;   /* default /etc/signatory.yaml; "" = no file */
    bool config_given;    /* by -c */
    const char *base_dir; /* NULL unless --base-dir */
    enum cv_log_level log;
    bool log_json;
    bool json;    /* results for machines, on standard output */
    bool lenient; /* unknown configuration keys are warnings */
};

struct cv_command {
    const char *name;    /* one or two words */
    const char *alias;   /* another name, or NULL */
    const char *summary; /* one line for the list of commands, no full stop */
    const char *usage;   /* what follows the name: "-v VAULT [-n NUM]" */
    const char *help;    /* options, one a line, then "Example:" with at least one */
    /* argv[0] is the command's name; the global flags are gone. Results go to
     * standard output, everything else to standard error. */
    enum cv_exit (*run)(const struct cv_cli *cli, int argc, char **argv);
};

/* The command that is NAME (or its alias); NULL. */
const struct cv_command *cv_command_find(const char *name);
/* All rows in the order of the list; *COUNT of them. */
const struct cv_command *const *cv_command_table(size_t *count);

/* --- Options of one command --- */

enum cv_option_kind {
    CV_OPT_FLAG,  /* bool * */
    CV_OPT_TEXT,  /* const char **, an empty value is accepted */
    CV_OPT_COUNT, /* unsigned *, decimal, 1..1000000 */
    CV_OPT_LIST,  /* struct cv_option_list *, may be repeated */
};

#define CV_OPTION_LIST_MAX 64
struct cv_option_list {
    const char *item[CV_OPTION_LIST_MAX];
    size_t count;
};

struct cv_option {
    const char *name; /* without the dashes */
    char letter;      /* 0 = none */
    enum cv_option_kind kind;
    void *target; /* keeps its value when the option is absent */
};

/* Parses "--name VALUE", "--name=VALUE", "-n VALUE", "-nVALUE" and flags into
 * the targets; what is left over are the operands, which are moved to the
 * front of argv[1..] in their order, *OPERANDS of them ("--" ends options).
 * OPERANDS NULL = none are accepted. An option given twice (lists excepted),
 * an unknown one (the nearest name is told), a missing value: one sentence and
 * the usage line on standard error, and false. */
bool cv_options_parse(const struct cv_command *cmd, const struct cv_option *options, size_t count,
                      int argc, char **argv, int *operands) CV_NODISCARD;

/* "Error: <formatted>: <chain of ERR>" on standard error; ERR may be NULL.
 * Returns CV_EXIT_FAILURE. */
enum cv_exit cv_cli_fail(const struct cv_error *err, const char *fmt, ...) CV_PRINTF(2, 3);
/* The same with the command's usage line. Returns CV_EXIT_USAGE. */
enum cv_exit cv_cli_usage(const struct cv_command *cmd, const char *fmt, ...) CV_PRINTF(2, 3);

/* MS from now, or the end of the time that --timeout gives the whole command,
 * whichever comes first: the deadline of anything that waits for others. */
int64_t cv_cli_deadline(int64_t ms);
/* At the start: the command has MS altogether. */
void cv_cli_limit_time(int64_t ms);

/* Flushes standard output and reports a failed write (a full disk, a closed
 * pipe): CV_EXIT_FAILURE; CV_EXIT_OK otherwise. The last act of a command that
 * printed something. */
enum cv_exit cv_cli_finish(void);

#endif
