/* SPDX-License-Identifier: Apache-2.0 */
/* What every command does in the same way: failures, usage, the time it has. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "common/clock.h"

static int64_t time_ends = CV_NO_DEADLINE;

void cv_cli_limit_time(int64_t ms)
{
    time_ends = cv_deadline(ms);
}

int64_t cv_cli_deadline(int64_t ms)
{
    int64_t at = cv_deadline(ms);
    return at < time_ends ? at : time_ends;
}

enum cv_exit cv_cli_fail(const struct cv_error *err, const char *fmt, ...)
{
    char text[2048];
    char chain[CV_ERROR_SENTENCE];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (err != NULL && err->count > 0) {
        (void)fprintf(stderr, "Error: %s%s%s\n", text, text[0] != 0 ? ": " : "",
                      cv_error_format(chain, sizeof(chain), err));
    } else {
        (void)fprintf(stderr, "Error: %s\n", text);
    }
    return CV_EXIT_FAILURE;
}

enum cv_exit cv_cli_usage(const struct cv_command *cmd, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    (void)fprintf(stderr, "Error: %s\nUsage: claviger %s%s%s\n", text, cmd->name,
                  cmd->usage[0] != 0 ? " " : "", cmd->usage);
    return CV_EXIT_USAGE;
}

enum cv_exit cv_cli_finish(void)
{
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "Error: writing the result to standard output: %s\n",
                      strerror(errno != 0 ? errno : EIO));
        return CV_EXIT_FAILURE;
    }
    return CV_EXIT_OK;
}
