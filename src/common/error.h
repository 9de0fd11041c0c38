/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: a code for programs, a fixed text for people, a chain of causes.
 *
 * Functions that can fail return int: 0, or one of the negative codes below.
 * Where a sentence helps, the last parameter is a struct cv_error, which may
 * be NULL. The function that finds the fault calls cv_error_set(); each caller
 * that knows more calls cv_error_wrap(), so that the operator reads
 * "loading vault nitro: importing tz4…: KMS AccessDeniedException (request …)".
 *
 * Texts never hold a secret, and never raw bytes from outside: what came from
 * outside is quoted with cv_error_quote().
 */
#ifndef CV_COMMON_ERROR_H
#define CV_COMMON_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#define CV_NODISCARD __attribute__((warn_unused_result))
#define CV_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define CV_NOINLINE __attribute__((noinline))
/* A large buffer on a busy path that is written before it is read: we compile
 * so that others are cleared. */
#define CV_UNINITIALIZED __attribute__((uninitialized))

enum cv_code {
    CV_OK = 0,
    CV_ERR_INVALID = -1,   /* malformed input */
    CV_ERR_TRUNCATED = -2, /* input ends too early */
    CV_ERR_TRAILING = -3,  /* input goes on after its end */
    CV_ERR_LIMIT = -4,     /* larger, deeper or more than we accept */
    CV_ERR_NOMEM = -5,     /* no memory, or memory could not be locked */
    CV_ERR_IO = -6,        /* a system call failed */
    CV_ERR_TIMEOUT = -7,   /* a deadline passed */
    CV_ERR_CLOSED = -8,    /* the peer closed the connection */
    CV_ERR_NOT_FOUND = -9,
    CV_ERR_EXISTS = -10,
    CV_ERR_DENIED = -11, /* policy, credentials or permissions say no */
    CV_ERR_UNSUPPORTED = -12,
    CV_ERR_CRYPTO = -13,    /* a signature, tag or padding does not verify */
    CV_ERR_STATE = -14,     /* not now: not initialised, already done */
    CV_ERR_PROTOCOL = -15,  /* a peer broke its protocol */
    CV_ERR_REMOTE = -16,    /* a peer answered with an error of its own */
    CV_ERR_THROTTLED = -17, /* a peer asks us to come back later */
    CV_ERR_CONFIG = -18,    /* the operator's configuration is wrong */
    CV_ERR_BUSY = -19,      /* a queue or a limit is full, a lock is held */
    CV_ERR_CANCELLED = -20, /* we are shutting down */
    CV_ERR_INTERNAL = -21,  /* a bug of ours */
};

#define CV_ERROR_DEPTH 8    /* causes kept; deeper ones are merged into the last */
#define CV_ERROR_TEXT 1024  /* bytes of one text with its NUL; longer ones are cut */
#define CV_ERROR_CHAIN 2560 /* bytes of all texts, each with its NUL: room for cv_error_format() */

/* The texts lie one after another, so that a long one (what KMS says when it
 * denies) is kept whole and the many short ones cost little. */
struct cv_error {
    int code;                    /* of the innermost cause */
    unsigned count;              /* texts in use */
    unsigned used;               /* bytes of CHAIN in use */
    unsigned at[CV_ERROR_DEPTH]; /* where each text begins; [0] is the innermost cause */
    char chain[CV_ERROR_CHAIN];
};

/* Empties ERR. An error object needs it once before its first use. */
void cv_error_clear(struct cv_error *err);

/* Starts a chain: forgets what ERR held, keeps CODE and the text. Returns
 * CODE, so that "return cv_error_set(…)" reads well. ERR may be NULL. */
int cv_error_set(struct cv_error *err, int code, const char *fmt, ...) CV_PRINTF(3, 4);

/* The same, with ": " and strerror(ERRNUM) appended. */
int cv_error_errno(struct cv_error *err, int code, int errnum, const char *fmt, ...)
    CV_PRINTF(4, 5);

#if (defined(__clang_analyzer__) || defined(CV_ANALYZER)) && !defined(CV_ERROR_IMPLEMENTATION)
/* The analyzer sees one file at a time: it is told that the code given comes
 * back, or it takes every failure for a possible success. */
#define cv_error_set(err, code, ...) ((void)cv_error_set(err, code, __VA_ARGS__), (code))
#define cv_error_errno(err, code, errnum, ...) \
    ((void)cv_error_errno(err, code, errnum, __VA_ARGS__), (code))
#endif

/* Adds an outer text around what ERR holds. Returns err->code, or
 * CV_ERR_INTERNAL for an empty chain; with ERR NULL it returns CV_ERR_INTERNAL,
 * so callers that may have no ERR return their own code. */
int cv_error_wrap(struct cv_error *err, const char *fmt, ...) CV_PRINTF(2, 3);

/* Writes "outer: inner: cause" into OUT (SIZE bytes, NUL included, cut with
 * "..." when too long) and returns OUT. CV_ERROR_SENTENCE bytes are enough for
 * any chain. */
#define CV_ERROR_SENTENCE (CV_ERROR_CHAIN + CV_ERROR_DEPTH)
char *cv_error_format(char *out, size_t size, const struct cv_error *err);

/* Text I of the chain, 0 the innermost; "" when there is none. */
const char *cv_error_text(const struct cv_error *err, unsigned i);

/* The outermost text, "" for an empty chain. */
const char *cv_error_top(const struct cv_error *err);

/* A fixed name for a code ("invalid input", "timed out" …). */
const char *cv_strerror(int code);

/* Quotes N bytes from outside for a message: printable ASCII as it is, the
 * rest as \xNN, at most SIZE-1 bytes, "..." when cut. Returns OUT. */
char *cv_error_quote(char *out, size_t size, const void *p, size_t n);

#endif
