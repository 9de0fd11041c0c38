/* SPDX-License-Identifier: Apache-2.0 */
/*
 * claviger-init-small: the first process of an image whose application needs
 * no more than a machine: the signer's, which fetches its keys itself. It
 * mounts, loads modules, tells nitro-cli that the enclave has booted, runs the
 * application, reaps, sends the log to the parent, and ends the enclave with
 * it. No TLS, no AWS, no NSM: what it has not cannot fail, and the image stays
 * small. Settings that it could not honour are refused.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "init/application.h"
#include "init/build.h"
#include "init/logs.h"
#include "init/modules.h"
#include "init/mounts.h"
#include "init/system.h"

#define HEARTBEAT_MS 10000
#define LAST_WORDS_MS 3000
#define FAILED_STATUS 64

struct machine {
    struct cv_init_options options;
    struct cv_boot_settings settings;
    struct cv_parent parent;
    struct cv_environment env;
    struct cv_logs *logs;
    int signals;
    pid_t application;
};

static int read_settings(struct machine *m, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    char path[4096];
    cv_buf_init(&text, CV_BOOT_MAX_TEXT);
    int rc = cv_path_join(path, sizeof path, m->options.image, CV_BOOT_FILE);
    if (rc == 0) {
        rc = cv_file_read(&text, path, err);
    }
    if (rc == 0) {
        rc = cv_boot_decode(&m->settings, cv_buf_view(&text), err);
    }
    const struct cv_boot_settings *s = &m->settings;
    if (rc == 0 &&
        s->source_count + s->untrusted_env.count + s->egress.count + s->ports.count != 0) {
        rc = cv_error_set(err, CV_ERR_UNSUPPORTED,
                          "this image's settings need claviger-init, and "
                          "it was built with claviger-init-small");
    }
    m->parent.cid = (uint32_t)s->parent_cid;
    return rc;
}

static int enter_root(struct machine *m, struct cv_error *err)
{
    char path[4096];
    int rc = cv_path_join(path, sizeof path, m->options.image, "rootfs");
    if (rc == 0) {
        rc = cv_mounts_switch_root(path, err);
    }
    return rc == 0 ? cv_mounts_late(!cv_init_build.machine, err) : rc;
}

static int make_environment(struct machine *m, struct cv_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->settings.env.count; i++) {
        rc = cv_environment_assign(&m->env, m->settings.env.item[i]);
    }
    if (rc == 0) {
        rc = cv_environment_default(&m->env, "PATH", CV_DEFAULT_PATH);
    }
    return rc == 0 ? 0 : cv_error_set(err, rc, "making the application's environment");
}

static int take_signals(struct machine *m, struct cv_error *err)
{
    sigset_t set, all;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGABRT);
    if (sigprocmask(SIG_SETMASK, &all, NULL) != 0) {
        return cv_error_set(err, CV_ERR_IO, "taking the signals");
    }
    m->signals = signalfd(-1, &set, SFD_CLOEXEC);
    return m->signals >= 0 ? 0 : cv_error_set(err, CV_ERR_IO, "taking the signals");
}

static int boot(struct machine *m, struct cv_error *err)
{
    int rc = take_signals(m, err);
    if (rc == 0 && cv_init_build.machine) {
        rc = cv_mounts_early(err);
    }
    if (rc == 0) {
        rc = read_settings(m, err);
    }
    if (rc == 0 && cv_init_build.machine) {
        rc = cv_modules_load(m->options.image, err);
    }
    if (rc == 0) {
        rc = enter_root(m, err);
    }
    if (rc == 0) {
        rc = cv_system_loopback(err);
    }
    if (rc == 0) {
        rc = cv_system_hostname(m->settings.hostname, err);
    }
    if (rc == 0) {
        rc = make_environment(m, err);
    }
    if (rc == 0) {
        rc = cv_logs_start(&m->logs, &m->parent, cv_init_build.machine, err);
    }
    if (rc != 0) {
        return rc;
    }
    struct cv_error silent;
    cv_error_clear(&silent);
    if (cv_heartbeat(&m->parent, cv_deadline(HEARTBEAT_MS), &silent) != 0) {
        cv_log_error(CV_LOG_WARN, "no heartbeat, going on", &silent);
    }
    const struct cv_application a = {&m->settings, cv_logs_pipe(m->logs, 0),
                                     cv_logs_pipe(m->logs, 1)};
    return cv_application_start(&m->application, &a, &m->env, err);
}

/* Signals are passed on; the status of the application's end is returned. */
static int supervise(struct machine *m)
{
    for (;;) {
        struct signalfd_siginfo s;
        if (read(m->signals, &s, sizeof s) != (ssize_t)sizeof s) {
            continue;
        }
        if (s.ssi_signo != SIGCHLD) {
            kill(m->application,
                 s.ssi_signo == SIGHUP ? SIGHUP : cv_signal_number(m->settings.stop_signal));
            continue;
        }
        int status;
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
            if (pid == m->application) {
                return status;
            }
        }
    }
}

static int run(struct machine *m)
{
    struct cv_error err;
    cv_error_clear(&err);
    int result = FAILED_STATUS;
    if (boot(m, &err) != 0) {
        cv_log_error(CV_LOG_ERROR, "the boot failed", &err);
    } else {
        int status = supervise(m);
        bool by_signal = WIFSIGNALED(status);
        int value = by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
        cv_log(CV_LOG_INFO, "the application has ended", by_signal ? "signal" : "status",
               cv_logf("%d", value), NULL);
        result = by_signal ? 128 + value : value;
    }
    if (m->logs != NULL) {
        cv_logs_stop(&m->logs, LAST_WORDS_MS);
    }
    cv_environment_free(&m->env);
    cv_boot_free(&m->settings);
    return result;
}

int main(int argc, char **argv)
{
    static struct machine m = {.signals = -1, .application = -1};
    static const struct rlimit none = {0, 0};
    int status = 0;
    if (!cv_init_build.prepare(&m.options, argc, argv, &status)) {
        return status;
    }
    (void)!setrlimit(RLIMIT_CORE, &none);
    (void)!prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    cv_log_setup(CV_LOG_INFO, false);
    cv_boot_init(&m.settings);
    m.parent = (struct cv_parent){.cid = CV_BOOT_PARENT_CID, .folder = m.options.parent};
    status = run(&m);
    if (cv_init_build.machine) {
        sync();
        (void)!reboot(RB_AUTOBOOT);
        for (;;) {
            pause();
        }
    }
    return status;
}
