/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claviger: the daemon and every operator command.
 *
 * It also answers to the names of the signer whose place it takes: under
 * "signatory" no subcommand means serve, and "signatory-cli" has the same
 * subcommands as "claviger". Under "vsock-proxy" it is AWS's proxy.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "common/secret.h"
#include "crypto/init.h"
#include "yaml/yaml.h"

#define DEFAULT_CONFIG "/etc/signatory.yaml"

static const char global_help[] =
    "Global options, before or after the command:\n"
    "  -c, --config FILE   configuration (default " DEFAULT_CONFIG "; \"\" for none)\n"
    "      --base-dir DIR  directory of the state files, instead of the configuration's\n"
    "      --log LEVEL     error, warn, info, debug or trace (default info)\n"
    "      --json-log      log as lines of JSON\n"
    "      --json          print results as JSON\n"
    "      --lenient       unknown configuration keys are warnings\n"
    "      --timeout SEC   give up after so many seconds altogether (default: each step\n"
    "                      has its own limit of at most two minutes)\n"
    "  -h, --help          this text, or the command's\n"
    "  -V, --version       the same as the command version\n";

static void print_overview(FILE *out, const char *program)
{
    size_t count;
    const struct cv_command *const *table = cv_command_table(&count);
    (void)fprintf(out,
                  "%s: Tezos keys and application secrets that live in AWS Nitro Enclaves\n\n"
                  "Usage: %s [global options] COMMAND [options]\n\nCommands:\n",
                  program, program);
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(out, "  %-18s  %s\n", table[i]->name, table[i]->summary);
    }
    (void)fprintf(out, "\n%s\nExample: %s COMMAND --help\n", global_help, program);
}

static void print_command(const struct cv_command *c, const char *program)
{
    (void)printf("%s %s: %s\n\nUsage: %s %s%s%s\n\n%s\n%s", program, c->name, c->summary, program,
                 c->name, c->usage[0] != 0 ? " " : "", c->usage, c->help, global_help);
}

/* Whether argv[*i] is global option NAME: then its value, "--name=VALUE" or the
 * next argument, or NULL when that is missing. */
static bool global_value(const char **value, const char *name, char letter, int argc, char **argv,
                         int *i)
{
    char *a = argv[*i];
    size_t n = strlen(name);
    *value = NULL;
    if (a[0] == '-' && a[1] == '-' && strncmp(a + 2, name, n) == 0 && a[2 + n] == '=') {
        *value = a + 3 + n;
        return true;
    }
    bool is_long = a[0] == '-' && a[1] == '-' && strcmp(a + 2, name) == 0;
    bool is_short = letter != 0 && a[0] == '-' && a[1] == letter;
    if (is_short && a[2] != 0) {
        *value = a + 2;
        return true;
    }
    if ((is_long || is_short) && *i + 1 < argc) {
        *i += 1;
        *value = argv[*i];
    }
    return is_long || is_short;
}

static enum cv_exit bad_global(const char *text, const char *program)
{
    (void)fprintf(stderr,
                  "Error: %s\nUsage: %s [global options] COMMAND [options]; see %s --help\n", text,
                  program, program);
    return CV_EXIT_USAGE;
}

static bool limit_time(const char *seconds)
{
    char *end;
    errno = 0;
    long n = strtol(seconds, &end, 10);
    if (seconds[0] < '0' || seconds[0] > '9' || *end != 0 || errno != 0 || n < 1 || n > 86400) {
        return false;
    }
    cv_cli_limit_time(n * 1000);
    return true;
}

static bool take_flag(struct cv_cli *cli, bool *help, const char *arg)
{
    static const struct {
        const char *name;
        size_t offset;
    } flags[] = {
        {"--json-log", offsetof(struct cv_cli, log_json)},
        {"--json", offsetof(struct cv_cli, json)},
        {"--lenient", offsetof(struct cv_cli, lenient)},
    };
    for (size_t k = 0; k < sizeof(flags) / sizeof(flags[0]); k++) {
        if (strcmp(arg, flags[k].name) == 0) {
            *(bool *)((char *)cli + flags[k].offset) = true;
            return true;
        }
    }
    if (strcmp(arg, "-h") != 0 && strcmp(arg, "--help") != 0) {
        return false;
    }
    *help = true;
    return true;
}

/* Whether argv[*i] is a global option with a value; *WRONG says what it wants
 * when it has not got it. */
static bool take_value(struct cv_cli *cli, const char **wrong, int argc, char **argv, int *i)
{
    const char *value;
    bool good = false;
    if (global_value(&value, "config", 'c', argc, argv, i)) {
        good = value != NULL;
        cli->config = value;
        cli->config_given = true;
        *wrong = good ? NULL : "--config wants a file name";
    } else if (global_value(&value, "base-dir", 0, argc, argv, i)) {
        good = value != NULL && value[0] != 0;
        cli->base_dir = value;
        *wrong = good ? NULL : "--base-dir wants a directory";
    } else if (global_value(&value, "log", 0, argc, argv, i)) {
        good = value != NULL && cv_log_level_parse(&cli->log, value) == 0;
        *wrong = good ? NULL : "--log wants one of error, warn, info, debug, trace";
    } else if (global_value(&value, "timeout", 0, argc, argv, i)) {
        good = value != NULL && limit_time(value);
        *wrong = good ? NULL : "--timeout wants a number of seconds from 1 to 86400";
    } else {
        return false;
    }
    return true;
}

/* Takes the global flags out of argv. Returns CV_EXIT_OK and the number of
 * arguments left. */
static enum cv_exit take_globals(struct cv_cli *cli, bool *help, int *argc, char **argv)
{
    int n = 1;
    for (int i = 1; i < *argc; i++) {
        const char *wrong = NULL;
        if (strcmp(argv[i], "--") == 0) {
            while (i < *argc) {
                argv[n++] = argv[i++];
            }
            break;
        }
        if (take_flag(cli, help, argv[i])) {
            continue;
        }
        if (!take_value(cli, &wrong, *argc, argv, &i)) {
            argv[n++] = argv[i];
        } else if (wrong != NULL) {
            return bad_global(wrong, cli->program);
        }
    }
    argv[n] = NULL;
    *argc = n;
    return CV_EXIT_OK;
}

/* The command that argv[1], or argv[1] with argv[2], names. *WORDS = 1 or 2. */
static const struct cv_command *find_command(int argc, char **argv, int *words)
{
    char two[128];
    *words = 2;
    if (argc > 2) {
        (void)snprintf(two, sizeof(two), "%.60s %.60s", argv[1], argv[2]);
        const struct cv_command *c = cv_command_find(two);
        if (c != NULL) {
            return c;
        }
    }
    *words = 1;
    return cv_command_find(argv[1]);
}

/* Lists the commands whose first word is WORD; false when there are none. */
static bool print_family(FILE *out, const char *program, const char *word)
{
    size_t count;
    size_t n = strlen(word);
    bool family = false;
    const struct cv_command *const *table = cv_command_table(&count);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(table[i]->name, word, n) == 0 && table[i]->name[n] == ' ') {
            if (!family) {
                (void)fprintf(out, "%s%s wants one of these commands:\n",
                              out == stderr ? "Error: " : "", word);
            }
            family = true;
            (void)fprintf(out, "  %s %-18s  %s\n", program, table[i]->name, table[i]->summary);
        }
    }
    return family;
}

/* Says that argv[1] is no command: the members of a family when it is the
 * first word of one, else the nearest name. */
static enum cv_exit unknown_command(const struct cv_cli *cli, int argc, char **argv)
{
    const char *names[64];
    char quoted[128];
    size_t count;
    const struct cv_command *const *table = cv_command_table(&count);
    if (print_family(stderr, cli->program, argv[1])) {
        return CV_EXIT_USAGE;
    }
    size_t k = 0;
    for (; k < count && k < 63; k++) {
        names[k] = table[k]->name;
    }
    names[k] = NULL;
    const char *near = cv_yaml_nearest(argv[1], names);
    (void)argc;
    cv_error_quote(quoted, sizeof(quoted), argv[1], strlen(argv[1]));
    (void)fprintf(stderr, "Error: unknown command %s", quoted);
    if (near != NULL) {
        (void)fprintf(stderr, "; did you mean %s?", near);
    }
    (void)fprintf(stderr, "\nUsage: %s [global options] COMMAND [options]; see %s --help\n",
                  cli->program, cli->program);
    return CV_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static char serve_name[] = "serve";
    static char version_name[] = "version";
    char *only_serve[] = {serve_name, NULL};
    struct cv_cli cli = {.config = DEFAULT_CONFIG, .log = CV_LOG_INFO};
    bool help = false;
    const struct cv_command *c;
    int words = 1;

    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    cli.program = argc < 1 ? "claviger" : (slash != NULL ? slash + 1 : argv[0]);
    bool is_signatory = strcmp(cli.program, "signatory") == 0;
    cv_process_harden();
    (void)signal(SIGPIPE, SIG_IGN);
    enum cv_exit rc = take_globals(&cli, &help, &argc, argv);
    if (rc != CV_EXIT_OK) {
        return (int)rc;
    }
    cv_log_setup(cli.log, cli.log_json);
    if (cv_crypto_init() != 0) {
        return (int)cv_cli_fail(NULL, "the cryptographic libraries could not be started");
    }

    if (argc > 1 && strcmp(argv[1], "help") == 0) {
        help = true;
        argv++;
        argc--;
    }
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
        argv[1] = version_name;
    }
    if (strcmp(cli.program, "vsock-proxy") == 0 && argv[1] != version_name) {
        c = cv_command_find("proxy");
        words = 0;
    } else if (argc < 2 || (is_signatory && argv[1][0] == '-')) {
        c = is_signatory ? cv_command_find("serve") : NULL;
        if (c == NULL || (help && argc < 2)) {
            print_overview(help ? stdout : stderr, cli.program);
            return help ? (int)cv_cli_finish() : (int)CV_EXIT_USAGE;
        }
        if (argc < 2) {
            return (int)c->run(&cli, 1, only_serve);
        }
        argv[0] = serve_name;
        words = 0;
    } else {
        c = find_command(argc, argv, &words);
        if (c == NULL && help && argc == 2 && print_family(stdout, cli.program, argv[1])) {
            return (int)cv_cli_finish();
        }
        if (c == NULL) {
            return (int)unknown_command(&cli, argc, argv);
        }
    }
    if (help) {
        print_command(c, cli.program);
        return (int)cv_cli_finish();
    }
    return (int)c->run(&cli, argc - words, argv + words);
}
