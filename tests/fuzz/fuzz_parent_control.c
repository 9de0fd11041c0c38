/* SPDX-License-Identifier: Apache-2.0 */
/* What an enclave may send its parent: control lines, and a tunnel's first line. */
#include <string.h>

#include "parent/message.h"
#include "parent/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check_text(const char *text, size_t size)
{
    if (memchr(text, 0, size) == NULL)
        __builtin_trap();
    for (; *text != 0; text++) {
        if (*text < 0x20 || *text > 0x7e)
            __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct cv_parent_message m;
    struct cv_error err;
    char host[CV_ADDR_HOST];
    uint16_t port;
    cv_error_clear(&err);
    if (cv_parent_message_parse(&m, CV_BYTES(p, n), &err) == 0) {
        check_text(m.version, sizeof m.version);
        check_text(m.stage, sizeof m.stage);
        check_text(m.error, sizeof m.error);
        if (m.type == CV_PARENT_EXIT && (m.status < 0 || m.status > 255))
            __builtin_trap();
    } else if (err.count == 0) {
        __builtin_trap();
    }
    if (cv_parent_connect_parse(host, &port, CV_BYTES(p, n), NULL) == 0 &&
        ((!cv_host_is_name(host) && !cv_host_is_ip(host)) || port == 0))
        __builtin_trap();
    return 0;
}
