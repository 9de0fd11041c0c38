/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients that close their sending side once they have asked (shutdown(2),
 * nc -N) and read on. libmicrohttpd drops a connection as soon as it reads that
 * end, also when the answer is still to come; so the answer to a request that
 * had to wait goes out by us, just before libmicrohttpd reads on.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "signer/server_impl.h"

static bool half_closed(int fd)
{
    char byte;
    ssize_t n;
    do {
        n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n == 0;
}

static int append_head(struct cv_buf *out, const struct cv_http *h)
{
    char date[64];
    time_t now = time(NULL);
    struct tm tm;
    (void)gmtime_r(&now, &tm);
    (void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    int rc = cv_buf_printf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
                           h->status, MHD_get_reason_phrase_for(h->status), date, h->reply.n);
    if (rc == 0 && h->content_type != NULL) {
        rc = cv_buf_printf(out, "Content-Type: %s\r\n", h->content_type);
    }
    if (rc == 0 && h->retry_later) {
        rc = cv_buf_append_str(out, "Retry-After: 1\r\n");
    }
    return rc == 0 ? cv_buf_append_str(out, "\r\n") : rc;
}

bool cv_http_answer_half_closed(const struct cv_http *h)
{
    int fd = cv_conn_fd(h->conn);
    if (h->endpoint->tls != NULL || fd < 0 || !half_closed(fd)) {
        return false;
    }
    CV_CLEANUP(cv_buf_free) struct cv_buf out;
    cv_buf_init(&out, h->reply.n + 1024);
    if (append_head(&out, h) == 0 && cv_buf_append(&out, h->reply.p, h->reply.n) == 0) {
        /* What a socket does not take at once is more than any such answer has. */
        ssize_t ignored = send(fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)ignored;
    }
    return true;
}
