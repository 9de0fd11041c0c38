/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of the control connection (docs/protocol/parent.md, 9001). */
#ifndef CV_INIT_CONTROL_MESSAGE_H
#define CV_INIT_CONTROL_MESSAGE_H

#include <jansson.h>

#include "aws/credentials.h"

#define CV_CONTROL_LINE (1u << 20)   /* bytes of a line */
#define CV_CONTROL_FILE (512u << 10) /* bytes of a file's content */
#define CV_CONTROL_ERROR 256
#define CV_CONTROL_STOP_MAX 86400

enum cv_control_type {
    CV_CONTROL_UNKNOWN, /* of a later version: passed over */
    CV_CONTROL_CREDENTIALS,
    CV_CONTROL_ENVIRONMENT,
    CV_CONTROL_FILE_CONTENT,
    CV_CONTROL_ROTATE,
    CV_CONTROL_STOP,
};

struct cv_control_message {
    enum cv_control_type type;
    int64_t id;                            /* 0: unasked */
    struct cv_aws_credentials credentials; /* credentials */
    json_t *variables;                     /* environment: object of strings, owned */
    struct cv_buf content;                 /* file */
    bool has_error;                        /* any answer: the parent cannot give it */
    char error[CV_CONTROL_ERROR];          /* printable */
    int64_t seconds;                       /* stop */
};

/* LINE without its newline. M is initialised here and freed by the caller in
 * any case. CV_ERR_INVALID, CV_ERR_LIMIT. */
int cv_control_parse(struct cv_control_message *m, struct cv_bytes line,
                     struct cv_error *err) CV_NODISCARD;
void cv_control_message_free(struct cv_control_message *m);

#endif
