/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses of peers, as operators write them:
 *
 *   vsock:CID:PORT    both decimal, 32 bits; "any" for CID listens for every CID
 *   unix:PATH         a path of at most 107 bytes, absolute or not
 *   tcp:HOST:PORT     a name, an IPv4 address, or an [IPv6] address in brackets;
 *                     an empty HOST listens on every address; port 0 only listens
 *   vsock-uds:PATH:PORT  a virtual machine's vsock behind UNIX sockets, see
 *                     transport/vsock_uds.h
 *
 * No name is ever resolved here: that is transport/resolve.h, which the
 * enclave does not link.
 */
#ifndef CV_TRANSPORT_ADDR_H
#define CV_TRANSPORT_ADDR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "common/error.h"

enum cv_addr_kind { CV_ADDR_VSOCK, CV_ADDR_UNIX, CV_ADDR_TCP, CV_ADDR_VSOCK_UDS };

#define CV_ADDR_PATH 108    /* sun_path, with its NUL */
#define CV_ADDR_UDS_PATH 97 /* as long as PATH_PORT fits too, with its NUL */
#define CV_ADDR_HOST 254    /* a DNS name has at most 253 characters (RFC 1035) */
#define CV_ADDR_TEXT 300    /* bytes of a formatted address with its NUL */

struct cv_addr {
    enum cv_addr_kind kind;
    uint32_t cid;            /* vsock */
    uint32_t port;           /* vsock, tcp, vsock-uds */
    char path[CV_ADDR_PATH]; /* unix, vsock-uds */
    char host[CV_ADDR_HOST]; /* tcp, without brackets; "" = every address */
};

/* CV_ERR_INVALID, with a sentence that quotes the text and shows the forms. */
int cv_addr_parse(struct cv_addr *addr, const char *text, struct cv_error *err) CV_NODISCARD;

/* The text that parses to ADDR, in OUT (CV_ADDR_TEXT bytes). Returns OUT. */
char *cv_addr_format(char out[CV_ADDR_TEXT], const struct cv_addr *addr);

/* "HOST:PORT", "[IPv6]:PORT" of operators' tables (proxy_remote_address). The
 * port may be left out when DEFAULT_PORT is not 0. HOST keeps no brackets. */
int cv_hostport_parse(char host[CV_ADDR_HOST], uint16_t *port, const char *text,
                      uint16_t default_port, struct cv_error *err) CV_NODISCARD;

/* True for an IPv4 or IPv6 address, false for a name (or an empty text). */
bool cv_host_is_ip(const char *host);
/* True for letters, digits, '-', '_' and dots of a DNS name with lawful labels. */
bool cv_host_is_name(const char *host);

/* The socket address of ADDR; a tcp host must be an IP address, or empty for
 * the wildcard. CV_ERR_UNSUPPORTED for a name. Of a vsock-uds address it is the
 * socket at PATH, where a greeting must follow (transport/vsock_uds.h). */
int cv_addr_sockaddr(struct sockaddr_storage *out, socklen_t *len, const struct cv_addr *addr,
                     struct cv_error *err) CV_NODISCARD;
/* The address of a socket address (vsock, unix, IPv4, IPv6). */
int cv_addr_from_sockaddr(struct cv_addr *addr, const struct sockaddr_storage *in,
                          socklen_t len) CV_NODISCARD;

#endif
