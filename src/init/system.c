/* SPDX-License-Identifier: Apache-2.0 */
#include "init/system.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int cv_system_hostname(const char *name, struct cv_error *err)
{
    if (name != NULL && sethostname(name, strlen(name)) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "setting the host name %s", name);
    return 0;
}

static int with_socket(unsigned long request, void *argument)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int rc = ioctl(fd, request, argument);
    int number = errno;
    close(fd);
    errno = number;
    return rc;
}

int cv_system_loopback(struct cv_error *err)
{
    struct ifreq r = {.ifr_name = "lo"};
    if (with_socket(SIOCGIFFLAGS, &r) == 0) {
        r.ifr_flags = (short)(r.ifr_flags | IFF_UP | IFF_RUNNING);
        if (with_socket(SIOCSIFFLAGS, &r) == 0)
            return 0;
    }
    return cv_error_errno(err, CV_ERR_IO, errno, "bringing the loopback interface up");
}

static int add4(struct in_addr ip, unsigned number)
{
    struct ifreq r;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = ip};
    memset(&r, 0, sizeof r);
    snprintf(r.ifr_name, sizeof r.ifr_name, "lo:%u", number);
    memcpy(&r.ifr_addr, &in, sizeof in);
    if (with_socket(SIOCSIFADDR, &r) != 0)
        return -1;
    in.sin_addr.s_addr = 0xffffffff;
    memcpy(&r.ifr_addr, &in, sizeof in);
    return with_socket(SIOCSIFNETMASK, &r);
}

/* Asks the kernel by netlink, since the older way does not let us leave out the
 * search for duplicates, before whose end nobody can listen there. */
static int add6(const struct in6_addr *ip)
{
    struct {
        struct nlmsghdr head;
        struct ifaddrmsg body;
        struct rtattr attr;
        struct in6_addr address;
        struct rtattr flags_attr;
        uint32_t flags;
    } ask = {
        .head = {.nlmsg_len = sizeof ask,
                 .nlmsg_type = RTM_NEWADDR,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL},
        .body = {.ifa_family = AF_INET6,
                 .ifa_prefixlen = 128,
                 .ifa_scope = RT_SCOPE_UNIVERSE,
                 .ifa_index = if_nametoindex("lo")},
        .attr = {.rta_len = RTA_LENGTH(sizeof ask.address), .rta_type = IFA_LOCAL},
        .address = *ip,
        .flags_attr = {.rta_len = RTA_LENGTH(sizeof ask.flags), .rta_type = IFA_FLAGS},
        .flags = IFA_F_NODAD | IFA_F_PERMANENT,
    };
    struct {
        struct nlmsghdr head;
        struct nlmsgerr body;
        uint8_t rest[512]; /* our message, sent back */
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    ssize_t n = fd >= 0 && send(fd, &ask, sizeof ask, 0) == (ssize_t)sizeof ask
                    ? recv(fd, &answer, sizeof answer, 0)
                    : -1;
    int number = n < (ssize_t)NLMSG_LENGTH(sizeof answer.body) ? (n < 0 ? errno : EPROTO)
                 : answer.head.nlmsg_type != NLMSG_ERROR       ? EPROTO
                                                               : -answer.body.error;
    if (fd >= 0)
        close(fd);
    errno = number;
    return number == 0 ? 0 : -1;
}

int cv_system_local_address(const char *ip, unsigned number, struct cv_error *err)
{
    struct in_addr four;
    struct in6_addr six;
    if (inet_pton(AF_INET6, ip, &six) == 1) {
        if (add6(&six) != 0 && errno != EEXIST)
            return errno == EOPNOTSUPP || errno == EAFNOSUPPORT
                       ? cv_error_set(err, CV_ERR_UNSUPPORTED,
                                      "the image's kernel has no IPv6, and %s is such an address",
                                      ip)
                       : cv_error_errno(err, CV_ERR_IO, errno,
                                        "giving the loopback interface the address %s", ip);
        return 0;
    }
    if (inet_pton(AF_INET, ip, &four) != 1)
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "%s is no IP address", ip);
    if (add4(four, number) != 0 && errno != EEXIST)
        return cv_error_errno(err, CV_ERR_IO, errno, "giving the loopback interface the address %s",
                              ip);
    return 0;
}
