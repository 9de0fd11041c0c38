/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs inside an enclave resolves no names: it has no network but vsock.
 * libcrypto's BIO_lookup() would bring in the whole resolver of the C library,
 * with its files, sockets and plug-ins; these stand in its place in the static
 * programs, and say no.
 */
#include <netdb.h>
#include <stddef.h>
#include <sys/socket.h>

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **out)
{
    (void)node;
    (void)service;
    (void)hints;
    *out = NULL;
    return EAI_FAIL;
}

void freeaddrinfo(struct addrinfo *list)
{
    (void)list;
}

const char *gai_strerror(int code)
{
    (void)code;
    return "no names are resolved in an enclave";
}

int getnameinfo(const struct sockaddr *addr, socklen_t len, char *host, socklen_t hostlen,
                char *service, socklen_t servicelen, int flags)
{
    (void)addr;
    (void)len;
    (void)host;
    (void)hostlen;
    (void)service;
    (void)servicelen;
    (void)flags;
    return EAI_FAIL;
}

struct hostent *gethostbyname(const char *name)
{
    (void)name;
    return NULL;
}
