/* SPDX-License-Identifier: Apache-2.0 */
#include "init/system.h"

#include <arpa/inet.h>
#include <errno.h>
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

int cv_system_local_address(const char *ip, unsigned number, struct cv_error *err)
{
    struct in_addr four;
    if (inet_pton(AF_INET, ip, &four) != 1)
        return cv_error_set(err, CV_ERR_UNSUPPORTED, "%s is no IPv4 address", ip);
    if (add4(four, number) != 0 && errno != EEXIST)
        return cv_error_errno(err, CV_ERR_IO, errno, "giving the loopback interface the address %s",
                              ip);
    return 0;
}
