/* SPDX-License-Identifier: Apache-2.0 */
/* Running a program in this process's name, for program.c and helper.c. */
#ifndef CV_PROGRAM_RUN_H
#define CV_PROGRAM_RUN_H

#include "program/program.h"

/* How it went; what the helper sends before the output. */
struct cv_program_result {
    int32_t code;   /* enum cv_code */
    int32_t number; /* errno of CV_ERR_CONFIG and CV_ERR_IO */
    int32_t status;
    uint32_t size; /* of the output */
};

/* As cv_program_run() without a helper. It is killed, too, when WATCH (or -1)
 * is closed at its other end. */
void cv_program_run_here(const char *const *argv, struct cv_buf *out, int64_t deadline, int watch,
                         struct cv_program_result *result);

/* ---- argv as bytes ---- */

/* ARGV one after the other, each with its NUL. CV_ERR_LIMIT. */
int cv_program_pack(struct cv_buf *out, const char *const *argv) CV_NODISCARD;
/* The arguments in TEXT, which outlives them. CV_ERR_INVALID. */
int cv_program_unpack(const char *argv[CV_PROGRAM_ARGUMENTS + 1],
                      struct cv_bytes text) CV_NODISCARD;

/* What the helper does from its start to its end. */
void cv_program_serve(int control) __attribute__((noreturn));

#endif
