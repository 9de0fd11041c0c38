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
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "init/application.h"
#include "init/logs.h"
#include "init/machine.h"
#include "init/modules.h"
#include "init/mounts.h"

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
    const struct cv_boot_settings *s = &m->settings;
    int rc = cv_machine_settings(&m->settings, m->options.image, err);
    if (rc == 0 &&
        s->source_count + s->untrusted_env.count + s->egress.count + s->ports.count != 0) {
        rc = cv_error_set(err, CV_ERR_UNSUPPORTED,
                          "this image's settings need claviger-init, and "
                          "it was built with claviger-init-small");
    }
    m->parent.cid = (uint32_t)s->parent_cid;
    return rc;
}

static int start_machine(struct machine *m, struct cv_error *err)
{
    int rc = cv_machine_signals(&m->signals, err);
    if (rc == 0 && cv_init_build.machine) {
        rc = cv_mounts_early(err);
    }
    if (rc == 0) {
        rc = read_settings(m, err);
    }
    if (rc == 0 && cv_init_build.machine) {
        rc = cv_modules_load(m->options.image, err);
    }
    return rc == 0 ? cv_machine_enter(m->options.image, &m->settings, err) : rc;
}

static int start_application(struct machine *m, struct cv_error *err)
{
    int rc = cv_environment_image(&m->env, &m->settings, err);
    if (rc == 0) {
        rc = cv_environment_default(&m->env, "PATH", CV_DEFAULT_PATH);
    }
    if (rc == 0) {
        rc = cv_machine_heartbeat(&m->parent, &m->settings,
                                  cv_deadline((int64_t)m->settings.boot_deadline_ms), err);
    }
    const struct cv_application a = {&m->settings, cv_logs_pipe(m->logs, 0),
                                     cv_logs_pipe(m->logs, 1)};
    return rc == 0 ? cv_application_start(&m->application, &a, &m->env, err) : rc;
}

/* The log goes to the parent whatever has failed before: it is to learn of it. */
static int boot(struct machine *m, struct cv_error *err)
{
    struct cv_error silent;
    cv_error_clear(&silent);
    int rc = start_machine(m, err);
    int rc2 = cv_logs_start(&m->logs, &m->parent, cv_init_build.machine, &silent);
    if (rc == 0 && rc2 != 0) {
        *err = silent;
        rc = rc2;
    }
    return rc == 0 ? start_application(m, err) : rc;
}

/* Signals are passed on; the status of the application's end is returned. */
static int supervise(struct machine *m)
{
    for (;;) {
        struct pollfd p = {.fd = m->signals, .events = POLLIN};
        struct signalfd_siginfo s;
        if (poll(&p, 1, -1) < 0 || read(m->signals, &s, sizeof s) != (ssize_t)sizeof s) {
            continue;
        }
        if (s.ssi_signo != SIGCHLD) {
            bool ends;
            kill(m->application,
                 cv_machine_signal_for((int)s.ssi_signo, m->settings.stop_signal, &ends));
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
        bool by_signal;
        int value;
        result = cv_machine_ended(supervise(m), &by_signal, &value);
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
    cv_machine_end();
    return status;
}
