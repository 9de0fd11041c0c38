/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The development build runs in namespaces of its own on an ordinary machine:
 * it makes them itself, so that nothing it mounts can ever be seen outside.
 * The image's files lie below an overlay in memory, as in an enclave.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "init/build.h"

static const char usage[] =
    "usage: claviger-init-dev --image DIR --parent DIR --nsm PATH [OPTION]...\n"
    "\n"
    "Runs the application of an enclave image as claviger-init does in an enclave, in\n"
    "namespaces on this machine (root only). This is a development build.\n"
    "\n"
    "  --image DIR         what the second ramdisk holds: claviger/boot.conf, rootfs/\n"
    "  --parent DIR        port P of the parent is the UNIX socket DIR/parent_P, port P\n"
    "                      of the enclave DIR/enclave_P\n"
    "  --nsm PATH          socket of \"claviger-local nsm\"\n"
    "  --ca-file FILE      roots of TLS, instead of the image's\n"
    "  --kms-endpoint URL  KMS, asked for through the parent's port 8000\n"
    "  --s3-endpoint URL   S3, likewise\n"
    "\n"
    "Example: claviger-init-dev --image x/ramdisk1 --parent x/vsock --nsm x/nsm.sock\n"
    "Ends with the application's exit status, 128 and the number of the signal that\n"
    "ended it, or 64 and the number of the stage that failed (0 start … 8 exec).\n";

#define PATH_SIZE 64

static bool end(int *status, int value)
{
    *status = value;
    return false;
}

static bool parse(struct cv_init_options *o, int argc, char **argv, int *status)
{
    static const struct option longs[] = {
        {"image", required_argument, NULL, 'i'},
        {"parent", required_argument, NULL, 'p'},
        {"nsm", required_argument, NULL, 'n'},
        {"ca-file", required_argument, NULL, 'c'},
        {"kms-endpoint", required_argument, NULL, 'k'},
        {"s3-endpoint", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "hV", longs, NULL)) != -1) {
        switch (c) {
        case 'i':
            o->image = optarg;
            break;
        case 'p':
            o->parent = optarg;
            break;
        case 'n':
            o->nsm = optarg;
            break;
        case 'c':
            o->ca_file = optarg;
            break;
        case 'k':
            o->kms_endpoint = optarg;
            break;
        case 's':
            o->s3_endpoint = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            return end(status, 0);
        case 'V':
            printf("claviger-init %s (development build)\n", CV_VERSION);
            return end(status, 0);
        default:
            fputs("(claviger-init-dev --help shows the options)\n", stderr);
            return end(status, 2);
        }
    }
    if (optind != argc || o->image == NULL || o->parent == NULL || o->nsm == NULL) {
        fputs(usage, stderr);
        return end(status, 2);
    }
    if (geteuid() != 0) {
        fputs("claviger-init-dev: making namespaces needs root\n", stderr);
        return end(status, 1);
    }
    return true;
}

/* What was named outside is reached through descriptors, wherever our root is. */
static bool hold(const char **path, int *status)
{
    int fd;
    char *held;
    if (*path == NULL)
        return true;
    fd = open(*path, O_PATH | O_CLOEXEC);
    if (fd < 0 || (held = malloc(PATH_SIZE)) == NULL) {
        fprintf(stderr, "claviger-init-dev: %s: %s\n", *path, strerror(errno));
        return end(status, 1);
    }
    snprintf(held, PATH_SIZE, "/proc/self/fd/%d", fd);
    *path = held;
    return true;
}

static pid_t child;

static void pass_on(int number)
{
    if (child > 0)
        kill(child, number);
}

/* The process outside waits for the one inside. */
static int stand_by(void)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    struct sigaction act = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    int status = 0;
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &act, NULL);
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return 1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static bool failed(const char *step, int *status)
{
    fprintf(stderr, "claviger-init-dev: %s: %s\n", step, strerror(errno));
    return end(status, 1);
}

/* An overlay on rootfs whose upper layer is memory. */
static bool cover(const char *image, int *status)
{
    char root[PATH_MAX], options[256];
    if (snprintf(root, sizeof root, "%s/rootfs", image) >= (int)sizeof root)
        return end(status, 1);
    int lower = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (lower < 0 || mount("tmpfs", root, "tmpfs", MS_NODEV, "mode=0755") != 0)
        return failed(root, status);
    int memory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (memory < 0 || mkdirat(memory, "upper", 0755) != 0 || mkdirat(memory, "work", 0755) != 0)
        return failed("making memory for the image's changes", status);
    snprintf(
        options, sizeof options,
        "lowerdir=/proc/self/fd/%d,upperdir=/proc/self/fd/%d/upper,workdir=/proc/self/fd/%d/work",
        lower, memory, memory);
    if (mount("overlay", root, "overlay", 0, options) != 0)
        return failed("laying memory over the image's files", status);
    close(lower);
    close(memory);
    return true;
}

/* A few harmless devices of this machine's, which also a namespace without the
 * right to make any may have. */
static bool devices(const char *image, int *status)
{
    static const char *const names[] = {"null", "zero", "full", "random", "urandom", "tty"};
    char dev[PATH_MAX], path[PATH_MAX + 16], outside[32];
    if (snprintf(dev, sizeof dev, "%s/rootfs/dev", image) >= (int)sizeof dev)
        return end(status, 1);
    (void)mkdir(dev, 0755);
    if (mount("tmpfs", dev, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755") != 0)
        return failed("making /dev", status);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", dev, names[i]);
        snprintf(outside, sizeof outside, "/dev/%s", names[i]);
        int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
        if (fd >= 0)
            close(fd);
        if (fd < 0 || mount(outside, path, NULL, MS_BIND, NULL) != 0)
            return failed(outside, status);
    }
    return true;
}

static bool prepare(struct cv_init_options *o, int argc, char **argv, int *status)
{
    if (!parse(o, argc, argv, status) || !hold(&o->parent, status) || !hold(&o->nsm, status) ||
        !hold(&o->ca_file, status))
        return false;
    o->image = realpath(o->image, NULL);
    if (o->image == NULL)
        return failed("--image", status);
    if (unshare(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET) != 0)
        return failed("making namespaces", status);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return failed("making the mounts private", status);
    pid_t outside = getpid();
    child = fork();
    if (child < 0)
        return failed("starting the first process", status);
    if (child > 0)
        return end(status, stand_by());
    setsid();
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || outside == 0)
        return failed("tying the first process to us", status);
    return cover(o->image, status) && devices(o->image, status);
}

const struct cv_init_build cv_init_build = {
    .name = "development",
    .development = true,
    .lock = CV_LOCK_WARN,
    .machine = false,
    .prepare = prepare,
};
