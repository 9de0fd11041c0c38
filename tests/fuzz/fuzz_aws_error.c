/* SPDX-License-Identifier: Apache-2.0 */
/* cv_aws_error_decode: error bodies in JSON, XML, and neither. */
#include <string.h>

#include "aws/error.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cv_http_message m;
    struct cv_aws_error e;
    char text[700];
    cv_http_message_init(&m, 1u << 20);
    m.status = n > 0 ? 300 + p[0] : 500;
    if (cv_buf_append(&m.body, p, n) == 0) {
        cv_aws_error_decode(&e, &m);
        for (const char *c = e.message; *c != '\0'; c++)
            if (*c < 0x20 || *c >= 0x7f)
                __builtin_trap();
        if (strlen(cv_aws_error_format(text, sizeof text, &e)) >= sizeof text)
            __builtin_trap();
        (void)cv_aws_error_classify(&e);
        (void)cv_aws_error_code(&e);
    }
    cv_http_message_free(&m);
    return 0;
}
