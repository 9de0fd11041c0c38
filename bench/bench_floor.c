/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_floor: the least that a request over HTTP can cost on this machine. A
 * server that reads each request with one recv(2), does nothing, and answers
 * with one sendmsg(2) what the daemon would. Prints its port; ends with its
 * standard input.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define EVENTS 64

static char body[] =
    "{\"signature\":\"edsigtXomBKi5CTRf5cjATJWSyaRvhfYNHqSUGrn4SdbYRcGwQrUGjzEfQDTuqHh"
    "uA8b2d8NarZjz8TRf65WkpQmo423BtomS8Q\"}\n";
static char head[256];
static size_t head_n;

static void die(const char *what)
{
    fprintf(stderr, "bench_floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void watch(int epoll, int fd, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) != 0) {
        die("epoll_ctl");
    }
}

static int listen_somewhere(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 || listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&a, &n) != 0) {
        die("listening");
    }
    printf("%u\n", (unsigned)ntohs(a.sin_port));
    fflush(stdout);
    return fd;
}

static void answer(int fd)
{
    char request[8192];
    ssize_t n = recv(fd, request, sizeof request, 0);
    if (n <= 0) {
        (void)close(fd);
        return;
    }
    struct iovec parts[] = {{head, head_n}, {body, sizeof body - 1}};
    struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
    if (sendmsg(fd, &m, MSG_NOSIGNAL) < 0) {
        (void)close(fd);
    }
}

int main(void)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_somewhere(), one = 1;
    head_n = (size_t)snprintf(head, sizeof head,
                              "HTTP/1.1 200 OK\r\nDate: Sun, 29 Nov 2026 10:00:00 GMT\r\n"
                              "Content-Type: application/json; charset=utf-8\r\n"
                              "Content-Length: %zu\r\n\r\n",
                              sizeof body - 1);
    watch(epoll, listener, EPOLLIN);
    watch(epoll, STDIN_FILENO, EPOLLIN);
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = events[i].data.fd;
            if (fd == STDIN_FILENO) {
                return 0;
            }
            if (fd != listener) {
                answer(fd);
                continue;
            }
            int c = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (c < 0 || setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) {
                die("accepting");
            }
            watch(epoll, c, EPOLLIN | EPOLLET);
        }
    }
}
