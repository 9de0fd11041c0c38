/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of an enclave starts with little entropy of its own, so its
 * generator is fed from the NSM before anything draws from it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/file.h"
#include "nsm/nsm.h"

/* struct rand_pool_info of linux/random.h, with room for the bytes. */
struct pool_info {
    int entropy_count; /* bits */
    int buf_size;      /* bytes */
    uint8_t buf[CV_NSM_SEED_BYTES];
};

/* 0, or an errno. */
static int add_entropy(const struct pool_info *info)
{
    int result = 0;
    int fd = open("/dev/random", O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        return errno;
    if (ioctl(fd, RNDADDENTROPY, info) != 0)
        result = errno;
    close(fd);
    return result;
}

static int mix_in(const struct pool_info *info, struct cv_error *err)
{
    int fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    int rc;

    if (fd < 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "opening /dev/urandom to seed it");
    rc = cv_fd_write_all(fd, info->buf, sizeof info->buf);
    if (rc != 0)
        cv_error_errno(err, rc, errno, "writing the seed to /dev/urandom");
    close(fd);
    return rc;
}

int cv_nsm_seed_kernel(struct cv_nsm *nsm, bool must_credit, bool *credited, struct cv_error *err)
{
    struct pool_info info = {.entropy_count = 8 * CV_NSM_SEED_BYTES, .buf_size = CV_NSM_SEED_BYTES};
    int rc = cv_nsm_random(nsm, info.buf, sizeof info.buf, err);

    if (credited != NULL)
        *credited = false;
    if (rc == 0) {
        int failed = add_entropy(&info);
        if (failed == 0) {
            if (credited != NULL)
                *credited = true;
        } else if (must_credit || (failed != EPERM && failed != EACCES)) {
            rc = cv_error_errno(err, CV_ERR_IO, failed, "crediting entropy to the kernel");
        } else {
            rc = mix_in(&info, err);
        }
    }
    cv_wipe(&info, sizeof info);
    if (rc != 0)
        cv_error_wrap(err, "seeding the kernel's random generator from the NSM");
    return rc;
}
