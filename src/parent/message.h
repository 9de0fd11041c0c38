/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the control connection, as the parent reads and writes them
 * (docs/protocol/parent.md, 9001). */
#ifndef CV_PARENT_MESSAGE_H
#define CV_PARENT_MESSAGE_H

#include "aws/credentials.h"

#define CV_PARENT_LINE_MAX (1u << 20)   /* bytes of a line, without its newline */
#define CV_PARENT_FILE_MAX (512u << 10) /* bytes of a file's content */
#define CV_PARENT_NAME_MAX 256          /* of a file, a stage, a version */
#define CV_PARENT_TEXT_MAX 2048         /* of an error */

enum cv_parent_type {
    CV_PARENT_UNKNOWN, /* of a later version: passed over */
    CV_PARENT_HELLO,
    CV_PARENT_WANT,
    CV_PARENT_STAGE,
    CV_PARENT_EXIT,
};

enum cv_parent_want {
    CV_PARENT_CREDENTIALS,
    CV_PARENT_ENVIRONMENT,
    CV_PARENT_FILE,
    CV_PARENT_WANT_OTHER
};

/* Texts are printable: everything else in them is escaped, long ones are cut. */
struct cv_parent_message {
    enum cv_parent_type type;
    /* hello */
    int64_t protocol;
    char version[CV_PARENT_NAME_MAX], build[CV_PARENT_NAME_MAX], pcr0[CV_PARENT_NAME_MAX];
    bool debug;
    /* want */
    int64_t id;
    enum cv_parent_want want;
    char name[CV_PARENT_NAME_MAX]; /* of the file, as sent */
    /* stage */
    char stage[CV_PARENT_NAME_MAX], state[CV_PARENT_NAME_MAX];
    char error[CV_PARENT_TEXT_MAX]; /* "" = none */
    /* exit */
    bool signalled;
    int64_t status; /* exit status 0..255, or the signal's number */
};

/* LINE without its newline. CV_ERR_INVALID, CV_ERR_LIMIT: the connection is not
 * to be trusted any further. */
int cv_parent_message_parse(struct cv_parent_message *m, struct cv_bytes line,
                            struct cv_error *err) CV_NODISCARD;

/* These append one line to OUT: CV_ERR_LIMIT, CV_ERR_NOMEM, and OUT is as before. */
int cv_parent_write_credentials(struct cv_buf *out, int64_t id,
                                const struct cv_aws_credentials *c) CV_NODISCARD;
struct cv_parent_pair {
    const char *name, *value;
};
int cv_parent_write_environment(struct cv_buf *out, int64_t id, const struct cv_parent_pair *pairs,
                                size_t n) CV_NODISCARD;
int cv_parent_write_file(struct cv_buf *out, int64_t id, struct cv_bytes content) CV_NODISCARD;
/* The answer to a want that cannot be given: TYPE "credentials", "file" … */
int cv_parent_write_error(struct cv_buf *out, const char *type, int64_t id,
                          const char *error) CV_NODISCARD;
int cv_parent_write_rotate(struct cv_buf *out) CV_NODISCARD;
int cv_parent_write_stop(struct cv_buf *out, unsigned seconds) CV_NODISCARD;

#endif
