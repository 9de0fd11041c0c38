/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a virtual machine: NSM (a thread), vsock device, QEMU; the
 * heartbeat of the image's init, answered as nitro-cli answers it; then until
 * the machine ends or somebody asks for it. Whatever way this process ends, its
 * children end with it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "local/nsm_internal.h"
#include "local/vhost_user.h"
#include "local/vm.h"
#include "transport/listen.h"

#define HEARTBEAT 0xB7
#define HEARTBEAT_MS 2000
#define TICK_MS 100
#define LOCK_MS 500 /* `vm describe` holds it for a moment when nothing runs */

struct machine {
    const struct cv_vm_options *o;
    struct cv_vm_programs programs;
    struct cv_vm_image image;
    struct cv_local_pki *pki;
    struct cv_local_nsm *nsm;
    struct cv_vhost device;
    struct cv_listener nsm_at, heartbeat_at;
    pthread_t thread;
    bool has_thread, stopping, beaten, announced;
    const char *accel;
    int stop_fd, signals, lock;
    pid_t vsock, qemu;
    off_t console_at;
};

/* ---- the NSM ---- */

static void answer(void *ctx, struct cv_bytes request, struct cv_buf *reply)
{
    cv_local_nsm_handle(ctx, request, reply);
}

static void *serve_nsm(void *arg)
{
    struct machine *m = arg;
    struct cv_error err;
    cv_error_clear(&err);
    if (cv_vhost_serve(&m->device, m->nsm_at.fd, m->stop_fd, &err) != 0)
        cv_log_error(CV_LOG_ERROR, "the NSM of the virtual machine", &err);
    return NULL;
}

static int make_nsm(struct machine *m, struct cv_error *err)
{
    struct cv_local_nsm_config config = m->o->nsm;
    const struct cv_eif_pcrs *p = &m->image.pcrs;
    char dir[CV_VM_PATH];
    memcpy(config.pcr[0], p->pcr0, sizeof config.pcr[0]);
    memcpy(config.pcr[1], p->pcr1, sizeof config.pcr[1]);
    memcpy(config.pcr[2], p->pcr2, sizeof config.pcr[2]);
    config.pcr_mask |= 7;
    if (p->has_pcr8) {
        memcpy(config.pcr[8], p->pcr8, sizeof config.pcr[8]);
        config.pcr_mask |= 1u << 8;
    }
    config.debug_mode = m->o->debug_mode;
    const char *at = m->o->nsm_dir != NULL ? m->o->nsm_dir : cv_vm_path(dir, m->o->dir, "nsm");
    int rc = cv_local_pki_open(&m->pki, at, err);
    if (rc == 0)
        rc = cv_local_nsm_new(&m->nsm, &config, m->pki, err);
    cv_vhost_init(&m->device);
    m->device.answer = answer;
    m->device.ctx = m->nsm;
    m->device.request_max = CV_LOCAL_NSM_REQUEST_MAX;
    m->device.reply_max = CV_LOCAL_NSM_RESPONSE_MAX;
    return rc;
}

/* ---- start ---- */

/* Nobody else's folder: what is written there is executed by the guest. */
static int own_dir(const char *dir, struct cv_error *err)
{
    struct stat st;
    int rc = cv_dir_make(dir, 0700, err);
    if (rc != 0)
        return rc;
    if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 022))
        return cv_error_set(err, CV_ERR_DENIED,
                            "%s belongs to somebody else, or others may write "
                            "to it",
                            dir);
    return 0;
}

static int enter(struct machine *m, struct cv_error *err)
{
    char path[CV_VM_PATH];
    const char *dir = m->o->dir;
    static const char *const stale[] = {"console.log", "vm.json"};
    int rc = own_dir(dir, err);
    if (rc == 0)
        rc = cv_file_lock(&m->lock, cv_vm_path(path, dir, "vm.lock"), cv_deadline(LOCK_MS), err);
    if (rc == CV_ERR_BUSY)
        cv_error_wrap(err, "a virtual machine runs already in %s", dir);
    for (size_t i = 0; rc == 0 && i < 2; i++)
        unlink(cv_vm_path(path, dir, stale[i]));
    return rc;
}

static int listen_at(struct cv_listener *l, const char *dir, const char *name, struct cv_error *err)
{
    struct cv_addr addr = {.kind = CV_ADDR_UNIX};
    snprintf(addr.path, sizeof addr.path, "%s/%s", dir, name);
    return cv_listen(l, &addr, err);
}

static int write_state(struct machine *m, const char *state, struct cv_error *err)
{
    const struct cv_vm_state s = {.o = m->o,
                                  .image = &m->image,
                                  .qemu = m->qemu,
                                  .accel = m->accel,
                                  .id = cv_local_nsm_module_id(m->nsm)};
    int rc = cv_vm_write_state(&s, state, err);
    return rc == 0 && strcmp(state, "RUNNING") == 0 ? cv_vm_announce(&s, err) : rc;
}

static int start_processes(struct machine *m, struct cv_error *err)
{
    int rc = cv_vm_start_vsock(&m->vsock, &m->programs, m->o, err);
    if (rc == 0)
        rc = cv_vm_start_qemu(&m->qemu, &m->programs, m->o, &m->image, m->accel, err);
    return rc == 0 ? write_state(m, "STARTING", err) : rc;
}

static int start(struct machine *m, struct cv_error *err)
{
    int rc;
    if ((rc = enter(m, err)) != 0 || (rc = cv_vm_find(&m->programs, m->o->root, err)) != 0 ||
        (rc = cv_vm_unpack(&m->image, m->o->image, m->o->dir, err)) != 0 ||
        (rc = make_nsm(m, err)) != 0 ||
        (rc = listen_at(&m->nsm_at, m->o->dir, "nsm.sock", err)) != 0 ||
        (rc = listen_at(&m->heartbeat_at, m->o->dir, "vm.vsock_9000", err)) != 0 ||
        (rc = start_processes(m, err)) != 0)
        return rc;
    rc = pthread_create(&m->thread, NULL, serve_nsm, m);
    if (rc != 0)
        return cv_error_errno(err, CV_ERR_NOMEM, rc, "starting the NSM's thread");
    m->has_thread = true;
    return 0;
}

/* ---- while it runs ---- */

/* nitro-cli's side of the heartbeat: one byte, sent back. */
static void take_heartbeat(struct machine *m)
{
    struct cv_stream *s = NULL;
    uint8_t byte = 0;
    int64_t deadline = cv_deadline(HEARTBEAT_MS);
    if (cv_accept(&s, &m->heartbeat_at, 0, NULL) != 0)
        return;
    if (cv_stream_read_exact(s, &byte, 1, deadline, NULL) == 0 && byte == HEARTBEAT &&
        cv_stream_write(s, CV_BYTES(&byte, 1), deadline, NULL) == 0)
        m->beaten = true;
    cv_stream_close(&s);
}

static void take_signals(struct machine *m)
{
    struct signalfd_siginfo info;
    struct pollfd p = {.fd = m->signals, .events = POLLIN};
    while (poll(&p, 1, 0) > 0 && read(m->signals, &info, sizeof info) == sizeof info)
        if (info.ssi_signo != SIGCHLD)
            m->stopping = true;
}

static bool ended(pid_t *pid, int *status)
{
    if (*pid > 0 && waitpid(*pid, status, WNOHANG) == *pid)
        *pid = 0;
    return *pid == 0;
}

/* The last line of the file NAME, which says why a program ended. */
static void last_words(char *out, size_t size, const struct machine *m, const char *name)
{
    char path[CV_VM_PATH];
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 1u << 20);
    out[0] = '\0';
    if (cv_file_read(&text, cv_vm_path(path, m->o->dir, name), NULL) != 0)
        return;
    while (text.n > 0 && text.p[text.n - 1] == '\n')
        text.p[--text.n] = '\0';
    const char *line = text.n > 0 ? strrchr((const char *)text.p, '\n') : NULL;
    if (text.n > 0)
        cv_error_quote(out, size, line != NULL ? line + 1 : (const char *)text.p,
                       strlen(line != NULL ? line + 1 : (const char *)text.p));
}

static int announce(struct machine *m, struct cv_error *err)
{
    m->announced = true;
    if (!m->beaten && m->o->heartbeat_s != 0)
        cv_log(CV_LOG_WARN,
               "no heartbeat from the image's init: nitro-cli would call this enclave "
               "failed",
               NULL);
    return write_state(m, "RUNNING", err);
}

/* A kernel may offer a KVM that cannot run a kernel (inside some virtual
 * machines). QEMU says so in its log, and stands still. */
static bool kvm_failed(const struct machine *m)
{
    char path[CV_VM_PATH];
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 1u << 20);
    if (m->o->accel != NULL || strcmp(m->accel, "kvm") != 0 || m->announced)
        return false;
    return cv_file_read(&text, cv_vm_path(path, m->o->dir, "qemu.log"), NULL) == 0 && text.n > 0 &&
           strstr((const char *)text.p, "KVM internal error") != NULL;
}

static int without_kvm(struct machine *m, struct cv_error *err)
{
    cv_log(CV_LOG_WARN, "this machine's KVM does not work: going on without it (--accel tcg)",
           NULL);
    cv_vm_end(&m->qemu);
    cv_vm_end(&m->vsock);
    m->accel = "tcg";
    m->console_at = 0;
    return start_processes(m, err);
}

static int watch(struct machine *m, struct cv_error *err)
{
    char why[200];
    int status = 0, rc = 0;
    int64_t heartbeat = cv_deadline((int64_t)m->o->heartbeat_s * 1000);
    while (!m->stopping && rc == 0) {
        struct pollfd p[2] = {{.fd = m->signals, .events = POLLIN},
                              {.fd = m->heartbeat_at.fd, .events = POLLIN}};
        (void)poll(p, 2, TICK_MS);
        take_signals(m);
        if (p[1].revents != 0)
            take_heartbeat(m);
        if (m->o->attach)
            cv_vm_follow(m->o->dir, &m->console_at);
        if (kvm_failed(m)) {
            rc = without_kvm(m, err);
            continue;
        }
        if (ended(&m->qemu, &status)) {
            last_words(why, sizeof why, m, "qemu.log");
            if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && m->announced) {
                cv_log(CV_LOG_INFO, "the enclave ended", NULL);
                return 0;
            }
            if (why[0] == '\0' && !m->o->console)
                snprintf(why, sizeof why,
                         "--debug-mode --attach-console shows what the enclave says");
            return cv_error_set(err, CV_ERR_STATE, "%s: %s",
                                m->announced ? "QEMU ended"
                                             : "the virtual machine ended before it had started",
                                why);
        }
        if (ended(&m->vsock, &status)) {
            last_words(why, sizeof why, m, "vsock.log");
            return cv_error_set(err, CV_ERR_STATE, "vhost-device-vsock ended: %s", why);
        }
        if (!m->announced && (m->beaten || cv_now_ms() >= heartbeat))
            rc = announce(m, err);
    }
    return rc;
}

static void stop(struct machine *m)
{
    static const char *const files[] = {"vm.json", "kernel", "initrd", "vhost.sock", "vm.vsock"};
    char path[CV_VM_PATH];
    cv_vm_end(&m->qemu);
    cv_vm_end(&m->vsock);
    if (m->has_thread) {
        (void)eventfd_write(m->stop_fd, 1);
        pthread_join(m->thread, NULL);
    }
    if (m->o->attach)
        cv_vm_follow(m->o->dir, &m->console_at);
    cv_listener_close(&m->nsm_at);
    cv_listener_close(&m->heartbeat_at);
    for (size_t i = 0; m->lock >= 0 && i < sizeof files / sizeof *files; i++)
        unlink(cv_vm_path(path, m->o->dir, files[i]));
    cv_local_nsm_free(m->nsm);
    cv_local_pki_close(m->pki);
    if (m->stop_fd >= 0)
        close(m->stop_fd);
    if (m->signals >= 0)
        close(m->signals);
    if (m->lock >= 0)
        close(m->lock);
}

static int block_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC);
}

int cv_vm_run(const struct cv_vm_options *o, struct cv_error *err)
{
    static struct machine m; /* large, and there is one */
    m = (struct machine){.o = o,
                         .nsm_at = CV_LISTENER_INIT,
                         .heartbeat_at = CV_LISTENER_INIT,
                         .accel = o->accel != NULL ? o->accel : cv_vm_accelerator(),
                         .lock = -1,
                         .signals = block_signals(),
                         .stop_fd = eventfd(0, EFD_CLOEXEC)};
    int rc = m.signals < 0 || m.stop_fd < 0
                 ? cv_error_errno(err, CV_ERR_IO, errno, "preparing for signals")
                 : start(&m, err);
    if (rc == 0)
        rc = watch(&m, err);
    stop(&m);
    return rc;
}
