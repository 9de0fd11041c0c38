/* SPDX-License-Identifier: Apache-2.0 */
#include "init/relay.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "common/bytes.h"
#include "common/clock.h"

#define BUFFER 16384

/* One direction. */
struct flow {
    int from, to;
    uint8_t p[BUFFER];
    size_t at, n; /* bytes at..n wait to be sent */
    bool ended;   /* FROM has no more, and TO was told */
};

/* 1 moved, 0 nothing to do now, -1 lost. */
static int pull(struct flow *f)
{
    if (f->ended || f->at != f->n)
        return 0;
    ssize_t n = recv(f->from, f->p, BUFFER, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    f->at = 0;
    f->n = (size_t)n;
    if (n == 0) {
        f->ended = true;
        shutdown(f->to, SHUT_WR);
    }
    return 1;
}

static int push(struct flow *f)
{
    if (f->at == f->n)
        return 0;
    ssize_t n = send(f->to, f->p + f->at, f->n - f->at, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    f->at += (size_t)n;
    return 1;
}

static short events(const struct flow *in, const struct flow *out)
{
    short wanted = 0;
    if (!in->ended && in->at == in->n)
        wanted |= POLLIN;
    if (out->at != out->n)
        wanted |= POLLOUT;
    return wanted;
}

/* A descriptor of which nothing is wanted must not wake us up for its hang-up. */
static int waited(int fd, short wanted)
{
    return wanted != 0 ? fd : -1;
}

void cv_relay_run(int a, int b, int stop)
{
    struct flow *f = calloc(2, sizeof *f);
    if (f == NULL)
        return;
    f[0].from = f[1].to = a;
    f[0].to = f[1].from = b;
    while (!f[0].ended || !f[1].ended || f[0].at != f[0].n || f[1].at != f[1].n) {
        short on_a = events(&f[0], &f[1]), on_b = events(&f[1], &f[0]);
        struct pollfd p[3] = {
            {.fd = waited(a, on_a), .events = on_a},
            {.fd = waited(b, on_b), .events = on_b},
            {.fd = stop, .events = POLLIN},
        };
        int n = poll(p, 3, f[0].ended || f[1].ended ? CV_RELAY_HALF_MS : CV_RELAY_IDLE_MS);
        if (n == 0 || (n < 0 && errno != EINTR) || p[2].revents != 0)
            break;
        int moved = 0;
        for (int i = 0; i < 2 && moved >= 0; i++) {
            moved = pull(&f[i]);
            if (moved >= 0)
                moved = push(&f[i]);
        }
        if (moved < 0)
            break;
    }
    cv_wipe(f, 2 * sizeof *f);
    free(f);
}
