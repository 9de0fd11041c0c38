/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a virtual machine, and their command lines. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "local/vm.h"

#define TERM_MS 3000
#define KILL_MS 5000
#define SOCKET_MS 10000
#define ARGS 64

/* Between fork and exec: only what is async-signal-safe. */
static void become(const char *const *argv, int null, int out, pid_t parent)
{
    sigset_t none;
    union {
        const char *const *in;
        char *const *out;
    } a = {.in = argv};
    sigemptyset(&none);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(127);
    setpgid(0, 0); /* a Ctrl-C is for us alone */
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(out, STDERR_FILENO) < 0)
        _exit(127);
    execv(argv[0], a.out);
    _exit(127);
}

int cv_vm_spawn(pid_t *pid, const char *const *argv, const char *log, struct cv_error *err)
{
    pid_t parent = getpid();
    int out = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    *pid = -1;
    if (out >= 0 && null >= 0) {
        (void)fflush(NULL);
        *pid = fork();
        if (*pid == 0)
            become(argv, null, out, parent);
    }
    int saved = errno;
    if (out >= 0)
        close(out);
    if (null >= 0)
        close(null);
    return *pid > 0 ? 0 : cv_error_errno(err, CV_ERR_IO, saved, "starting %s", argv[0]);
}

static bool gone(pid_t pid, int64_t deadline)
{
    for (;;) {
        pid_t r = waitpid(pid, NULL, WNOHANG);
        if (r == pid || (r < 0 && errno == ECHILD))
            return true;
        if (cv_now_ms() >= deadline)
            return false;
        cv_sleep_ms(10);
    }
}

void cv_vm_end(pid_t *pid)
{
    if (*pid <= 0)
        return;
    kill(*pid, SIGTERM);
    if (!gone(*pid, cv_deadline(TERM_MS))) {
        kill(*pid, SIGKILL);
        (void)gone(*pid, cv_deadline(KILL_MS));
    }
    *pid = 0;
}

struct line {
    const char *argv[ARGS];
    size_t n;
    char text[8][CV_VM_PATH * 2]; /* arguments made on the spot */
    size_t texts;
};

static void add(struct line *l, const char *arg)
{
    if (l->n < ARGS - 1)
        l->argv[l->n++] = arg;
}

static void add2(struct line *l, const char *option, const char *value)
{
    add(l, option);
    add(l, value);
}

static CV_PRINTF(2, 3) const char *text(struct line *l, const char *fmt, ...)
{
    char *out = l->text[l->texts++ % 8];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(out, sizeof l->text[0], fmt, ap);
    va_end(ap);
    return out;
}

static void add_program(struct line *l, const struct cv_vm_programs *p, const char *program)
{
    if (p->root[0] != '\0') {
        add(l, p->loader);
        add2(l, "--library-path", p->libraries);
    }
    add(l, program);
}

/* Connecting would take the place of QEMU: the socket's file must do. */
static int await_socket(const char *path, pid_t *pid, struct cv_error *err)
{
    struct stat st;
    int64_t deadline = cv_deadline(SOCKET_MS);
    while (cv_now_ms() < deadline) {
        if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
            return 0;
        if (waitpid(*pid, NULL, WNOHANG) != 0) {
            *pid = 0;
            return cv_error_set(err, CV_ERR_STATE, "vhost-device-vsock ended; vsock.log tells why");
        }
        cv_sleep_ms(10);
    }
    return cv_error_set(err, CV_ERR_TIMEOUT, "vhost-device-vsock does not listen at %s", path);
}

int cv_vm_start_vsock(pid_t *pid, const struct cv_vm_programs *p, const struct cv_vm_options *o,
                      struct cv_error *err)
{
    struct line l = {.n = 0};
    char socket[CV_VM_PATH], uds[CV_VM_PATH], log[CV_VM_PATH];
    cv_vm_path(socket, o->dir, "vhost.sock");
    cv_vm_path(uds, o->dir, "vm.vsock");
    unlink(socket);
    unlink(uds);
    add_program(&l, p, p->vsock);
    add2(&l, "--vm", text(&l, "guest-cid=%u,uds-path=%s,socket=%s", o->cid, uds, socket));
    l.argv[l.n] = NULL;
    int rc = cv_vm_spawn(pid, l.argv, cv_vm_path(log, o->dir, "vsock.log"), err);
    return rc != 0 ? rc : await_socket(socket, pid, err);
}

int cv_vm_start_qemu(pid_t *pid, const struct cv_vm_programs *p, const struct cv_vm_options *o,
                     const struct cv_vm_image *image, const char *accel, struct cv_error *err)
{
    struct line l = {.n = 0};
    char kernel[CV_VM_PATH], initrd[CV_VM_PATH], console[CV_VM_PATH], log[CV_VM_PATH];
    add_program(&l, p, p->qemu);
    if (p->root[0] != '\0') {
        add2(&l, "-L", p->firmware);
        add2(&l, "-L", text(&l, "%s/usr/share/qemu", p->root));
        setenv("QEMU_MODULE_DIR", p->modules, 1);
    }
    add(&l, "-nodefaults");
    add(&l, "-no-user-config");
    add(&l, "-no-reboot");
    add2(&l, "-display", "none");
    add2(&l, "-monitor", "none");
    add2(&l, "-machine", text(&l, "q35,accel=%s,memory-backend=mem", accel));
    add2(&l, "-cpu", "max");
    add2(&l, "-smp", text(&l, "%u", o->cpus));
    add2(&l, "-m", text(&l, "%uM", o->memory));
    add2(&l, "-object", text(&l, "memory-backend-memfd,id=mem,size=%uM,share=on", o->memory));
    add2(&l, "-kernel", cv_vm_path(kernel, o->dir, "kernel"));
    add2(&l, "-initrd", cv_vm_path(initrd, o->dir, "initrd"));
    add2(&l, "-append", image->cmdline);
    add2(&l, "-chardev", text(&l, "socket,id=vsock,path=%s/vhost.sock", o->dir));
    add2(&l, "-device", "vhost-user-vsock-pci,chardev=vsock");
    if (!o->no_nsm) {
        add2(&l, "-chardev", text(&l, "socket,id=nsm,path=%s/nsm.sock", o->dir));
        add2(&l, "-device",
             "vhost-user-test-device-pci,chardev=nsm,virtio-id=33,num_vqs=1,config_size=0");
    }
    if (o->console)
        add2(&l, "-chardev",
             text(&l, "file,id=console,path=%s", cv_vm_path(console, o->dir, "console.log")));
    else
        add2(&l, "-chardev", "null,id=console");
    add2(&l, "-serial", "chardev:console");
    l.argv[l.n] = NULL;
    return cv_vm_spawn(pid, l.argv, cv_vm_path(log, o->dir, "qemu.log"), err);
}
