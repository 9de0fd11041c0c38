/* SPDX-License-Identifier: Apache-2.0 */
/* cv_http_read_request: bytes of a hostile client, in pieces of any size. */
#include "http/message.h"
#include "unit/memory_stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct memory_stream s;
    struct cv_http_conn c;
    struct cv_http_message m;
    if (n < 1)
        return 0;
    memory_stream_init(&s, CV_BYTES(p + 1, n - 1), p[0] & 63);
    s.cut = (p[0] & 64) != 0;
    cv_http_conn_init(&c, &s.base);
    cv_http_message_init(&m, 1000);
    while (cv_http_read_request(&c, &m, 0, NULL) == 0) {
        if (m.method == NULL || m.target == NULL || m.body.n > 1000)
            __builtin_trap();
        if (!m.keep_alive)
            break;
    }
    cv_http_message_free(&m);
    cv_http_conn_free(&c);
    memory_close(&s.base);
    return 0;
}
