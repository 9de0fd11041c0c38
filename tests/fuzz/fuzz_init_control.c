/* SPDX-License-Identifier: Apache-2.0 */
/* A line of the control connection, and the head of a request to the HTTP proxy. */
#include <stdlib.h>
#include <string.h>

#include "init/control_message.h"
#include "init/httpproxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_control_message m;
    struct cv_httpproxy_request r;
    struct cv_error err;
    struct cv_buf out;
    cv_error_clear(&err);
    int rc = cv_control_parse(&m, CV_BYTES(data, size), &err);
    must(rc == 0 || err.count != 0);
    must(m.id >= 0 && m.seconds >= 0 && m.seconds <= CV_CONTROL_STOP_MAX);
    must(strpbrk(m.error, "\r\n") == NULL);
    cv_control_message_free(&m);

    cv_buf_init(&out, 65536);
    size_t head = cv_httpproxy_head(CV_BYTES(data, size));
    must(head <= size);
    if (head != 0 && cv_httpproxy_parse(&r, &out, CV_BYTES(data, head), &err) == 0) {
        must(r.host[0] != '\0' && strpbrk(r.host, "\r\n \"/@") == NULL && r.port != 0);
        /* What goes to the server is one head. */
        must(r.connect || cv_httpproxy_head(cv_buf_view(&out)) == out.n);
    }
    cv_buf_free(&out);
    return 0;
}
