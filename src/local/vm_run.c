/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a virtual machine: NSM and vsock device (threads), QEMU; the
 * heartbeat of the image's init, answered as nitro-cli answers it; then until
 * the machine ends or somebody asks for it. Whatever way this process ends, its
 * children end with it.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "local/nsm_internal.h"
#include "local/vhost_user.h"
#include "local/vm.h"
#include "transport/listen.h"

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
    struct cv_vsock_place place;
    struct cv_vsock_switch *vsock; /* of its own: one machine, and this host */
    pthread_t nsm_thread, vsock_thread;
    bool has_nsm, has_vsock, stopping, beaten, announced, printed;
    atomic_bool vsock_failed;
    const char *accel;
    int stop_fd, signals, lock;
    int held; /* lock of our CID at the switch, -1 */
    struct cv_local_child qemu;
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

static int enter(struct machine *m, struct cv_error *err)
{
    char path[CV_VM_PATH];
    const char *dir = m->o->dir;
    static const char *const stale[] = {"console.log", "vm.json"};
    int rc = cv_vm_own_dir(dir, err);
    if (rc == 0)
        rc = cv_file_lock(&m->lock, cv_vm_path(path, dir, "vm.lock"), cv_deadline(LOCK_MS), err);
    if (rc == CV_ERR_BUSY)
        cv_error_wrap(err, "a virtual machine runs already in %s", dir);
    for (size_t i = 0; rc == 0 && i < 2; i++)
        unlink(cv_vm_path(path, dir, stale[i]));
    return rc;
}

/* ---- vsock ---- */

static void *serve_vsock(void *arg)
{
    struct machine *m = arg;
    struct cv_error err;
    cv_error_clear(&err);
    if (cv_vsock_switch_serve(m->vsock, m->stop_fd, &err) != 0) {
        cv_log_error(CV_LOG_ERROR, "the vsock device of the virtual machine", &err);
        m->vsock_failed = true;
    }
    return NULL;
}

/* A place at the switch, or a device of our own. */
static int make_vsock(struct machine *m, struct cv_error *err)
{
    const struct cv_vm_options *o = m->o;
    if (o->switch_dir != NULL) {
        cv_vm_place(&m->place, o->switch_dir, o->cid);
        return cv_vm_switch_enter(&m->held, o->switch_dir, o->cid, err);
    }
    m->place.cid = o->cid;
    snprintf(m->place.vhost, sizeof m->place.vhost, "%.*s/vhost.sock", CV_VM_DIR_MAX, o->dir);
    snprintf(m->place.host, sizeof m->place.host, "%.*s/vm.vsock", CV_VM_DIR_MAX, o->dir);
    return cv_vsock_switch_new(&m->vsock, &m->place, 1, err);
}

static int start_thread(pthread_t *thread, bool *has, void *(*run)(void *), struct machine *m,
                        struct cv_error *err)
{
    int rc = pthread_create(thread, NULL, run, m);
    *has = rc == 0;
    return rc == 0 ? 0 : cv_error_errno(err, CV_ERR_NOMEM, rc, "starting a device's thread");
}

static int listen_nsm(struct machine *m, struct cv_error *err)
{
    struct cv_addr addr = {.kind = CV_ADDR_UNIX};
    snprintf(addr.path, sizeof addr.path, "%s/nsm.sock", m->o->dir);
    return cv_listen(&m->nsm_at, &addr, err);
}

/* Where our guest connects to when CID 2 is its parent. */
static int listen_heartbeat(struct machine *m, struct cv_error *err)
{
    struct cv_addr addr = {.kind = CV_ADDR_UNIX};
    snprintf(addr.path, sizeof addr.path, "%.*s_%u", CV_VM_DIR_MAX + 20, m->place.host,
             CV_VM_HEARTBEAT_PORT);
    return cv_listen(&m->heartbeat_at, &addr, err);
}

static int write_state(struct machine *m, const char *state, struct cv_error *err)
{
    const struct cv_vm_state s = {.o = m->o,
                                  .image = &m->image,
                                  .qemu = m->qemu.pid,
                                  .vsock = m->place.host,
                                  .accel = m->accel,
                                  .id = cv_local_nsm_module_id(m->nsm)};
    int rc = cv_vm_write_state(&s, state, err);
    if (rc == 0 && strcmp(state, "RUNNING") == 0 && !m->printed) {
        m->printed = true;
        rc = cv_vm_announce(&s, err);
    }
    return rc;
}

static int start_qemu(struct machine *m, struct cv_error *err)
{
    int rc =
        cv_vm_start_qemu(&m->qemu, &m->programs, m->o, &m->image, m->place.vhost, m->accel, err);
    return rc == 0 ? write_state(m, "STARTING", err) : rc;
}

static int start_devices(struct machine *m, struct cv_error *err)
{
    int rc = start_thread(&m->nsm_thread, &m->has_nsm, serve_nsm, m, err);
    if (rc == 0 && m->vsock != NULL)
        rc = start_thread(&m->vsock_thread, &m->has_vsock, serve_vsock, m, err);
    return rc;
}

static int start(struct machine *m, struct cv_error *err)
{
    int rc;
    if ((rc = enter(m, err)) != 0 || (rc = make_vsock(m, err)) != 0 ||
        (rc = cv_vm_find(&m->programs, m->o->root, err)) != 0 ||
        (rc = cv_vm_unpack(&m->image, m->o->image, m->o->dir, err)) != 0 ||
        (rc = make_nsm(m, err)) != 0 || (rc = listen_nsm(m, err)) != 0 ||
        (rc = listen_heartbeat(m, err)) != 0 || (rc = start_devices(m, err)) != 0)
        return rc;
    return start_qemu(m, err);
}

/* ---- while it runs ---- */

static int announce(struct machine *m, struct cv_error *err)
{
    m->announced = true;
    if (!m->beaten && m->o->heartbeat_s != 0) /* else it is somebody else's to answer */
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
    if (m->o->accel != NULL || strcmp(m->accel, "kvm") != 0 || m->beaten)
        return false;
    return cv_file_read(&text, cv_vm_path(path, m->o->dir, "qemu.log"), NULL) == 0 && text.n > 0 &&
           strstr((const char *)text.p, "KVM internal error") != NULL;
}

static int without_kvm(struct machine *m, struct cv_error *err)
{
    cv_log(CV_LOG_WARN, "this machine's KVM does not work: going on without it (--accel tcg)",
           NULL);
    cv_local_children_stop(&m->qemu, 1);
    m->accel = "tcg";
    m->announced = false;
    m->console_at = 0;
    return start_qemu(m, err);
}

/* The machine's end: 0 when it is one that an enclave may have. */
static int qemu_ended(const struct machine *m, int status, struct cv_error *err)
{
    char why[300];
    bool panicked = cv_vm_panic(why, sizeof why, m->o->dir);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && m->announced && !panicked) {
        cv_log(CV_LOG_INFO, "the enclave ended", NULL);
        return 0;
    }
    if (!panicked)
        cv_vm_last_words(why, sizeof why, m->o->dir, "qemu.log");
    if (why[0] == '\0' && WIFSIGNALED(status))
        snprintf(why, sizeof why, "killed by signal %d", WTERMSIG(status));
    else if (why[0] == '\0')
        snprintf(why, sizeof why, "%u MiB may be too little memory%s", m->o->memory,
                 m->o->console ? ""
                               : "; --console shows what the kernel says, "
                                 "--debug-mode what the enclave says");
    return cv_error_set(
        err, CV_ERR_STATE, "%s: %s",
        m->announced ? "QEMU ended" : "the virtual machine ended before it had started", why);
}

static int check_vsock(const struct machine *m, struct cv_error *err)
{
    if (m->o->switch_dir != NULL)
        return cv_vm_switch_running(m->o->switch_dir, err);
    return m->vsock_failed ? cv_error_set(err, CV_ERR_STATE, "the vsock device has ended") : 0;
}

/* Where it was asked for; in debug mode beside our log at least, so that standard
 * output stays what nitro-cli prints. */
static void show_console(struct machine *m)
{
    if (m->o->attach || m->o->debug_mode)
        cv_vm_follow(m->o->attach ? STDOUT_FILENO : STDERR_FILENO, m->o->dir, &m->console_at);
}

static int watch(struct machine *m, struct cv_error *err)
{
    int status = 0, rc = 0;
    int64_t heartbeat = cv_deadline((int64_t)m->o->heartbeat_s * 1000);
    while (!m->stopping && rc == 0) {
        struct pollfd p[2] = {{.fd = m->signals, .events = POLLIN},
                              {.fd = m->heartbeat_at.fd, .events = POLLIN}};
        (void)poll(p, 2, TICK_MS);
        m->stopping = cv_vm_told_to_end(m->signals);
        if (p[1].revents != 0 && cv_vm_take_heartbeat(&m->heartbeat_at))
            m->beaten = true;
        show_console(m);
        if (kvm_failed(m)) {
            rc = without_kvm(m, err);
            continue;
        }
        if (cv_local_child_gone(&m->qemu, &status))
            return qemu_ended(m, status, err);
        rc = check_vsock(m, err);
        if (rc == 0 && !m->announced && (m->beaten || cv_now_ms() >= heartbeat))
            rc = announce(m, err);
    }
    return rc;
}

static void stop(struct machine *m)
{
    static const char *const files[] = {"vm.json", "kernel", "initrd"};
    char path[CV_VM_PATH];
    cv_local_children_stop(&m->qemu, 1);
    if (m->stop_fd >= 0)
        (void)eventfd_write(m->stop_fd, 1);
    if (m->has_nsm)
        pthread_join(m->nsm_thread, NULL);
    if (m->has_vsock)
        pthread_join(m->vsock_thread, NULL);
    cv_vsock_switch_free(&m->vsock);
    show_console(m);
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
    if (m->held >= 0)
        close(m->held);
    if (m->lock >= 0)
        close(m->lock);
}

int cv_vm_run(const struct cv_vm_options *o, struct cv_error *err)
{
    static struct machine m; /* large, and there is one */
    m = (struct machine){.o = o,
                         .nsm_at = CV_LISTENER_INIT,
                         .heartbeat_at = CV_LISTENER_INIT,
                         .accel = o->accel != NULL ? o->accel : cv_vm_accelerator(),
                         .lock = -1,
                         .held = -1,
                         .qemu.out = -1,
                         .signals = cv_local_children_signals(),
                         .stop_fd = eventfd(0, EFD_CLOEXEC)};
    int rc = m.signals < 0 || m.stop_fd < 0
                 ? cv_error_errno(err, CV_ERR_IO, errno, "preparing for signals")
                 : start(&m, err);
    if (rc == 0)
        rc = watch(&m, err);
    stop(&m);
    return rc;
}
