/* SPDX-License-Identifier: Apache-2.0 */
/* The NSM behind the kernel's driver (linux/nsm.h, drivers/misc/nsm.c). */
#include "nsm/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "nsm/nsm.h"

/* struct nsm_raw of linux/nsm.h, which the C library's headers may lack. */
struct nsm_raw {
    struct iovec request;
    struct iovec response;
};
#define NSM_IOCTL_RAW _IOWR(0x0A, 0x0, struct nsm_raw)
_Static_assert(NSM_IOCTL_RAW == 0xC0200A00U, "the driver's request number");

const char *cv_nsm_transport_name(void)
{
    return "device";
}

int cv_nsm_transport_open(int *fd, const char *path, struct cv_error *err)
{
    const char *name = path != NULL ? path : CV_NSM_DEVICE;

    do {
        *fd = open(name, O_RDWR | O_CLOEXEC);
    } while (*fd < 0 && errno == EINTR);
    if (*fd < 0)
        return cv_error_errno(err, errno == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, errno,
                              "opening the NSM device %s", name);
    return 0;
}

int cv_nsm_transport_exchange(int fd, struct cv_bytes request, uint8_t *response, size_t cap,
                              size_t *n, struct cv_error *err)
{
    struct nsm_raw raw;
    int r;

    do {
        /* The driver only reads the request, but iovec has no const. */
        raw.request.iov_base = (void *)(uintptr_t)request.p;
        raw.request.iov_len = request.n;
        raw.response.iov_base = response;
        raw.response.iov_len = cap;
        r = ioctl(fd, NSM_IOCTL_RAW, &raw);
    } while (r < 0 && errno == EINTR);
    if (r < 0) {
        int code = CV_ERR_IO;
        if (errno == EMSGSIZE)
            code = CV_ERR_LIMIT;
        else if (errno == ETIMEDOUT)
            code = CV_ERR_TIMEOUT;
        return cv_error_errno(err, code, errno, "asking the NSM device");
    }
    if (raw.response.iov_len > cap)
        return cv_error_set(err, CV_ERR_PROTOCOL, "the NSM device says its reply is %zu bytes long",
                            raw.response.iov_len);
    *n = raw.response.iov_len;
    return 0;
}
