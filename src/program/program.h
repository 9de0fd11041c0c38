/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a program and taking what it prints: nitro-cli, a credential_process.
 *
 * A process that is about to give up the right to run programs starts a helper
 * first, before it has secrets, threads or descriptors, and names to it what
 * may have to be run. Once sealed, the helper runs exactly these commands, for
 * a limited time and with limited output, and nothing else whatever it is
 * told: whoever takes the daemon over gains no shell by it.
 *
 * Between the two lies a socketpair of packets (SOCK_SEQPACKET), from the
 * daemon to the helper alone:
 *
 *   'A' argv            may be run (before the seal)
 *   'S'                 seal
 *   'R' u32 milliseconds, u32 bytes of output, argv; with a stream socket
 *
 * argv: each argument with its NUL. Numbers are of this machine. The answer
 * comes on the stream socket that came with 'R': struct cv_program_result and
 * the output. Closing it ends the program. A packet that is none of these, or
 * the end of the socketpair, ends the helper.
 */
#ifndef CV_PROGRAM_PROGRAM_H
#define CV_PROGRAM_PROGRAM_H

#include <stdint.h>

#include "common/bytes.h"

#define CV_PROGRAM_ARGV_MAX 8192         /* bytes of all arguments */
#define CV_PROGRAM_ARGUMENTS 16          /* most of them */
#define CV_PROGRAM_OUTPUT_MAX (1u << 20) /* bytes */
#define CV_PROGRAM_COMMANDS 64           /* that one helper knows */
#define CV_PROGRAM_MS_MAX (10 * 60 * 1000)

/* Runs ARGV (ended by NULL; a name without a slash is looked for in the PATH)
 * with /dev/null as its input and our standard error, until it ends, at most
 * until DEADLINE: then it and its children are killed. What it prints is
 * appended to OUT, whose limit must be finite. *STATUS is its exit status, -1
 * when a signal ended it. With a helper, that one runs it. CV_ERR_CONFIG: it
 * cannot be started; CV_ERR_DENIED: the helper was not told of it;
 * CV_ERR_TIMEOUT, CV_ERR_LIMIT, CV_ERR_IO. Blocks; from any thread. */
int cv_program_run(const char *const *argv, struct cv_buf *out, int *status, int64_t deadline,
                   struct cv_error *err) CV_NODISCARD;

/* Starts the helper of this process: while it has one thread. */
int cv_program_helper_start(struct cv_error *err) CV_NODISCARD;
/* Lets ARGV be run. CV_ERR_LIMIT; CV_ERR_STATE without a helper, or sealed. */
int cv_program_helper_allow(const char *const *argv, struct cv_error *err) CV_NODISCARD;
/* True while there is a helper that takes more commands. */
bool cv_program_helper_open(void);
/* No more are let in. A helper that has nothing to run ends. */
int cv_program_helper_seal(struct cv_error *err) CV_NODISCARD;
/* Ends it, with what it runs. Harmless without one. */
void cv_program_helper_stop(void);

#endif
