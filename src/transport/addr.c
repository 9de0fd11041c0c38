/* SPDX-License-Identifier: Apache-2.0 */
#include "transport/addr.h"

#include <arpa/inet.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "common/bytes.h"

#define FORMS "expected vsock:CID:PORT, unix:PATH, tcp:HOST:PORT or vsock-uds:PATH:PORT"

static int bad(struct cv_error *err, const char *text, const char *why)
{
    char quoted[128];
    cv_error_quote(quoted, sizeof quoted, text, strlen(text));
    return cv_error_set(err, CV_ERR_INVALID, "address \"%s\": %s", quoted, why);
}

/* Decimal digits only, no sign, no leading white space, at most MAX. */
static bool parse_u32(uint32_t *out, const char *s, uint32_t max)
{
    uint64_t v = 0;
    if (*s == '\0' || strlen(s) > 10)
        return false;
    for (; *s != '\0'; s++) {
        if (*s < '0' || *s > '9')
            return false;
        v = v * 10 + (uint64_t)(*s - '0');
    }
    if (v > max)
        return false;
    *out = (uint32_t)v;
    return true;
}

bool cv_host_is_ip(const char *host)
{
    unsigned char buf[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, buf) == 1 || inet_pton(AF_INET6, host, buf) == 1;
}

bool cv_host_is_name(const char *host)
{
    size_t label = 0, n = strlen(host);
    if (n == 0 || n >= CV_ADDR_HOST || host[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = host[i];
        if (c == '.') {
            if (label == 0 || host[i - 1] == '-')
                return false;
            label = 0;
            continue;
        }
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && c != '_' && !(c == '-' && label > 0))
            return false;
        if (++label > 63)
            return false;
    }
    return host[n - 1] != '-';
}

/* Splits "HOST:PORT" or "[IPv6]:PORT" of N bytes; *PORT is NULL without one. */
static const char *split_host(char host[CV_ADDR_HOST], const char **port, const char *text)
{
    const char *start = text, *end;
    if (*text == '[') {
        start = text + 1;
        end = strchr(start, ']');
        if (end == NULL || (end[1] != ':' && end[1] != '\0'))
            return "the bracket of the IPv6 address is not closed";
        *port = end[1] == ':' ? end + 2 : NULL;
    } else {
        end = strchr(start, ':');
        if (end != NULL && strchr(end + 1, ':') != NULL)
            return "an IPv6 address stands in brackets: [2001:db8::1]:443";
        *port = end != NULL ? end + 1 : NULL;
        if (end == NULL)
            end = start + strlen(start);
    }
    size_t n = (size_t)(end - start);
    if (n >= CV_ADDR_HOST)
        return "the host name is too long";
    memcpy(host, start, n);
    host[n] = '\0';
    if (*text == '[') {
        unsigned char buf[sizeof(struct in6_addr)];
        if (inet_pton(AF_INET6, host, buf) != 1)
            return "what stands in brackets is not an IPv6 address";
    } else if (n > 0 && !cv_host_is_name(host)) {
        return "this is no host name";
    }
    return NULL;
}

static int parse_tcp(struct cv_addr *a, const char *text, const char *rest, struct cv_error *err)
{
    const char *port = NULL;
    const char *why = split_host(a->host, &port, rest);
    if (why != NULL)
        return bad(err, text, why);
    if (port == NULL || !parse_u32(&a->port, port, 65535))
        return bad(err, text, "the port must be a number from 0 to 65535");
    return 0;
}

static int parse_vsock(struct cv_addr *a, const char *text, const char *rest, struct cv_error *err)
{
    char cid[16];
    const char *colon = strchr(rest, ':');
    if (colon == NULL || (size_t)(colon - rest) >= sizeof cid)
        return bad(err, text, FORMS);
    memcpy(cid, rest, (size_t)(colon - rest));
    cid[colon - rest] = '\0';
    if (strcmp(cid, "any") == 0)
        a->cid = VMADDR_CID_ANY;
    else if (!parse_u32(&a->cid, cid, UINT32_MAX))
        return bad(err, text, "the CID must be a 32-bit number or \"any\"");
    if (!parse_u32(&a->port, colon + 1, UINT32_MAX))
        return bad(err, text, "the vsock port must be a 32-bit number");
    return 0;
}

static int parse_vsock_uds(struct cv_addr *a, const char *text, const char *rest,
                           struct cv_error *err)
{
    const char *colon = strrchr(rest, ':');
    size_t n = colon != NULL ? (size_t)(colon - rest) : 0;
    if (n == 0 || n >= CV_ADDR_UDS_PATH)
        return bad(err, text, "expected vsock-uds:PATH:PORT with a path of 1 to 96 bytes");
    if (!parse_u32(&a->port, colon + 1, UINT32_MAX))
        return bad(err, text, "the vsock port must be a 32-bit number");
    memcpy(a->path, rest, n);
    a->path[n] = '\0';
    return 0;
}

int cv_addr_parse(struct cv_addr *a, const char *text, struct cv_error *err)
{
    memset(a, 0, sizeof *a);
    if (strncmp(text, "tcp:", 4) == 0) {
        a->kind = CV_ADDR_TCP;
        return parse_tcp(a, text, text + 4, err);
    }
    if (strncmp(text, "vsock:", 6) == 0) {
        a->kind = CV_ADDR_VSOCK;
        return parse_vsock(a, text, text + 6, err);
    }
    if (strncmp(text, "vsock-uds:", 10) == 0) {
        a->kind = CV_ADDR_VSOCK_UDS;
        return parse_vsock_uds(a, text, text + 10, err);
    }
    if (strncmp(text, "unix:", 5) == 0) {
        size_t n = strlen(text + 5);
        a->kind = CV_ADDR_UNIX;
        if (n == 0 || n >= CV_ADDR_PATH)
            return bad(err, text, "a socket path has 1 to 107 bytes");
        memcpy(a->path, text + 5, n + 1);
        return 0;
    }
    return bad(err, text, FORMS);
}

int cv_hostport_parse(char host[CV_ADDR_HOST], uint16_t *port, const char *text,
                      uint16_t default_port, struct cv_error *err)
{
    const char *p = NULL;
    uint32_t v = default_port;
    const char *why = split_host(host, &p, text);
    if (why != NULL)
        return bad(err, text, why);
    if (host[0] == '\0')
        return bad(err, text, "the host is missing");
    if (p != NULL ? !parse_u32(&v, p, 65535) || v == 0 : v == 0)
        return bad(err, text, "expected HOST:PORT with a port from 1 to 65535");
    *port = (uint16_t)v;
    return 0;
}

char *cv_addr_format(char out[CV_ADDR_TEXT], const struct cv_addr *a)
{
    switch (a->kind) {
    case CV_ADDR_VSOCK:
        if (a->cid == VMADDR_CID_ANY)
            snprintf(out, CV_ADDR_TEXT, "vsock:any:%u", a->port);
        else
            snprintf(out, CV_ADDR_TEXT, "vsock:%u:%u", a->cid, a->port);
        break;
    case CV_ADDR_UNIX:
        snprintf(out, CV_ADDR_TEXT, "unix:%s", a->path);
        break;
    case CV_ADDR_VSOCK_UDS:
        snprintf(out, CV_ADDR_TEXT, "vsock-uds:%s:%u", a->path, a->port);
        break;
    case CV_ADDR_TCP:
        snprintf(out, CV_ADDR_TEXT, strchr(a->host, ':') ? "tcp:[%s]:%u" : "tcp:%s:%u", a->host,
                 a->port);
        break;
    }
    return out;
}

static int tcp_sockaddr(struct sockaddr_storage *out, socklen_t *len, const struct cv_addr *a,
                        struct cv_error *err)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)a->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)a->port)};
    if (inet_pton(AF_INET, a->host, &v4.sin_addr) == 1) {
        memcpy(out, &v4, sizeof v4);
        *len = sizeof v4;
        return 0;
    }
    if (a->host[0] == '\0')
        v6.sin6_addr = in6addr_any;
    else if (inet_pton(AF_INET6, a->host, &v6.sin6_addr) != 1)
        return cv_error_set(err, CV_ERR_UNSUPPORTED,
                            "host \"%s\" is a name, and an IP address is needed here", a->host);
    memcpy(out, &v6, sizeof v6);
    *len = sizeof v6;
    return 0;
}

int cv_addr_sockaddr(struct sockaddr_storage *out, socklen_t *len, const struct cv_addr *a,
                     struct cv_error *err)
{
    memset(out, 0, sizeof *out);
    if (a->kind == CV_ADDR_TCP)
        return tcp_sockaddr(out, len, a, err);
    if (a->kind == CV_ADDR_UNIX || a->kind == CV_ADDR_VSOCK_UDS) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        memcpy(un.sun_path, a->path, sizeof a->path);
        memcpy(out, &un, sizeof un);
        *len = sizeof un;
        return 0;
    }
    struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = a->cid, .svm_port = a->port};
    memcpy(out, &vm, sizeof vm);
    *len = sizeof vm;
    return 0;
}

int cv_addr_from_sockaddr(struct cv_addr *a, const struct sockaddr_storage *in, socklen_t len)
{
    memset(a, 0, sizeof *a);
    if (in->ss_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        struct sockaddr_in v4;
        memcpy(&v4, in, sizeof v4);
        a->kind = CV_ADDR_TCP;
        a->port = ntohs(v4.sin_port);
        inet_ntop(AF_INET, &v4.sin_addr, a->host, sizeof a->host);
        return 0;
    }
    if (in->ss_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        struct sockaddr_in6 v6;
        memcpy(&v6, in, sizeof v6);
        a->kind = CV_ADDR_TCP;
        a->port = ntohs(v6.sin6_port);
        inet_ntop(AF_INET6, &v6.sin6_addr, a->host, sizeof a->host);
        return 0;
    }
    if (in->ss_family == AF_VSOCK && len >= sizeof(struct sockaddr_vm)) {
        struct sockaddr_vm vm;
        memcpy(&vm, in, sizeof vm);
        a->kind = CV_ADDR_VSOCK;
        a->cid = vm.svm_cid;
        a->port = vm.svm_port;
        return 0;
    }
    if (in->ss_family == AF_UNIX) {
        struct sockaddr_un un;
        memcpy(&un, in, sizeof un);
        a->kind = CV_ADDR_UNIX;
        memcpy(a->path, un.sun_path, sizeof a->path - 1);
        return 0;
    }
    return CV_ERR_UNSUPPORTED;
}
