/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench_http: a load on the signing API of a daemon on this machine.
 *
 *   bench_http PORT CONNECTIONS REQUESTS generic KEY…
 *   bench_http PORT CONNECTIONS REQUESTS attestation:LEVEL KEY…
 *
 * Each connection (kept alive, one request at a time) uses one of the keys;
 * attestations rise from LEVEL, with a chain of their own where connections
 * share a key, so that each is signed. Prints one JSON object: requests a
 * second, latencies in microseconds, and how many answers were not 200.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/hex.h"
#include "common/writer.h"
#include "tezos/keytext.h"

#define CONNECTIONS_MAX 1024
#define RUN_MS_MAX 60000

struct connection {
    int fd;
    const char *key;
    struct cv_pkh pkh;
    uint8_t chain[4];
    uint32_t level;
    int64_t sent_us;
    char in[4096];
    size_t have;
};

static struct {
    int epoll;
    bool consensus;
    unsigned long wanted, sent, done, failed;
    uint32_t *latency;
    struct connection connection[CONNECTIONS_MAX];
} load;

static void die(const char *what)
{
    fprintf(stderr, "bench_http: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* A transaction from the key to itself. */
static size_t generic(uint8_t *out, size_t cap, const struct connection *c)
{
    struct cv_writer w;
    uint8_t zeros[32] = {0};
    size_t n = 0;
    cv_writer_init(&w, out, cap);
    cv_write_u8(&w, 0x03);
    cv_write_raw(&w, zeros, sizeof zeros);
    cv_write_u8(&w, 108);
    cv_write_u8(&w, (uint8_t)c->pkh.scheme);
    cv_write_raw(&w, c->pkh.p, CV_PKH_LEN);
    cv_write_raw(&w, "\x01\x01\x01\x00\x01", 5); /* fee, counter, gas, storage, amount */
    cv_write_u8(&w, 0);
    cv_write_u8(&w, (uint8_t)c->pkh.scheme);
    cv_write_raw(&w, c->pkh.p, CV_PKH_LEN);
    cv_write_u8(&w, 0);
    return cv_writer_end(&w, &n) == CV_OK ? n : 0;
}

static size_t attestation(uint8_t *out, size_t cap, struct connection *c)
{
    struct cv_writer w;
    uint8_t zeros[32] = {0};
    size_t n = 0;
    bool bls = c->pkh.scheme == CV_SCHEME_BLS;
    cv_writer_init(&w, out, cap);
    cv_write_u8(&w, 0x13);
    cv_write_raw(&w, c->chain, sizeof c->chain);
    cv_write_raw(&w, zeros, sizeof zeros);
    cv_write_u8(&w, bls ? 41 : 21);
    if (!bls) {
        cv_write_be16(&w, 0);
    }
    cv_write_be32(&w, ++c->level);
    cv_write_be32(&w, 0);
    cv_write_raw(&w, zeros, sizeof zeros);
    return cv_writer_end(&w, &n) == CV_OK ? n : 0;
}

static void send_one(struct connection *c)
{
    uint8_t message[256];
    char hex[2 * sizeof message + 1];
    char request[1024];
    size_t n = load.consensus ? attestation(message, sizeof message, c)
                              : generic(message, sizeof message, c);
    cv_hex_encode(hex, message, n);
    int len =
        snprintf(request, sizeof request,
                 "POST /keys/%s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n\"%s\"",
                 c->key, 2 * n + 2, hex);
    c->sent_us = cv_now_us();
    load.sent++;
    if (write(c->fd, request, (size_t)len) != len) {
        die("sending");
    }
}

/* True when the whole answer is there; *OK: it was 200. */
static bool whole(const struct connection *c, bool *ok)
{
    const char *end = memmem(c->in, c->have, "\r\n\r\n", 4);
    if (end == NULL) {
        return false;
    }
    const char *length = strcasestr(c->in, "content-length:");
    size_t body = length != NULL && length < end ? strtoul(length + 15, NULL, 10) : 0;
    *ok = strncmp(c->in, "HTTP/1.1 200", 12) == 0;
    return c->have >= (size_t)(end + 4 - c->in) + body;
}

static void readable(struct connection *c)
{
    ssize_t k = read(c->fd, c->in + c->have, sizeof c->in - 1 - c->have);
    bool ok = false;
    if (k <= 0) {
        die("the daemon closed a connection");
    }
    c->have += (size_t)k;
    c->in[c->have] = '\0';
    if (!whole(c, &ok)) {
        return;
    }
    load.latency[load.done++] = (uint32_t)(cv_now_us() - c->sent_us);
    if (!ok && load.failed++ == 0) {
        fprintf(stderr, "bench_http: first answer that is not 200: %s\n", c->in);
    }
    c->have = 0;
    if (load.sent < load.wanted) {
        send_one(c);
    }
}

static void open_connection(struct connection *c, unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof a) != 0 ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        epoll_ctl(load.epoll, EPOLL_CTL_ADD, c->fd, &e) != 0) {
        die("connecting");
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void run(unsigned connections)
{
    int64_t deadline = cv_deadline(RUN_MS_MAX);
    struct epoll_event events[256];
    for (unsigned i = 0; i < connections && load.sent < load.wanted; i++) {
        send_one(&load.connection[i]);
    }
    while (load.done < load.wanted && cv_now_ms() < deadline) {
        int n = epoll_wait(load.epoll, events, 256, 1000);
        for (int i = 0; i < n; i++) {
            readable(events[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fprintf(stderr,
                "usage: bench_http PORT CONNECTIONS REQUESTS generic|attestation:LEVEL KEY...\n");
        return 2;
    }
    unsigned port = (unsigned)strtoul(argv[1], NULL, 10);
    unsigned connections = (unsigned)strtoul(argv[2], NULL, 10);
    unsigned keys = (unsigned)argc - 5;
    load.wanted = strtoul(argv[3], NULL, 10);
    load.consensus = strncmp(argv[4], "attestation:", 12) == 0;
    load.latency = calloc(load.wanted + 1, sizeof *load.latency);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (connections == 0 || connections > CONNECTIONS_MAX || load.latency == NULL ||
        load.epoll < 0) {
        die("starting");
    }
    uint32_t level = load.consensus ? (uint32_t)strtoul(argv[4] + 12, NULL, 10) : 0;
    for (unsigned i = 0; i < connections; i++) {
        struct connection *c = &load.connection[i];
        c->key = argv[5 + i % keys];
        c->chain[3] = (uint8_t)(1 + i / keys);
        c->level = level;
        if (cv_pkh_parse(&c->pkh, cv_bytes_str(c->key)) != CV_OK) {
            die(c->key);
        }
        open_connection(c, port);
    }
    int64_t began = cv_now_us();
    run(connections);
    double seconds = (double)(cv_now_us() - began) / 1e6;
    qsort(load.latency, load.done, sizeof *load.latency, compare);
    printf(
        "{\"requests\": %lu, \"failed\": %lu, \"per_second\": %.0f, \"p50_us\": %u, \"p99_us\": %u}\n",
        load.done, load.failed, (double)load.done / seconds, load.latency[load.done / 2],
        load.latency[load.done * 99 / 100]);
    return load.done == load.wanted && load.failed == 0 ? 0 : 1;
}
