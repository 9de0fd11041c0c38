/* SPDX-License-Identifier: Apache-2.0 */
#include "init/machine.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/log.h"
#include "init/application.h"
#include "init/mounts.h"
#include "init/system.h"

#define HEARTBEAT_MS 10000

int cv_machine_settings(struct cv_boot_settings *s, const char *image, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    char path[PATH_MAX];
    cv_buf_init(&text, CV_BOOT_MAX_TEXT);
    int rc = cv_path_join(path, sizeof path, image, CV_BOOT_FILE);
    if (rc == 0)
        rc = cv_file_read(&text, path, err);
    if (rc == 0)
        rc = cv_boot_decode(s, cv_buf_view(&text), err);
    if (rc != 0)
        cv_error_wrap(err, "measured settings");
    return rc;
}

int cv_machine_enter(const char *image, const struct cv_boot_settings *s, struct cv_error *err)
{
    char path[PATH_MAX];
    int rc = cv_path_join(path, sizeof path, image, "rootfs");
    if (rc != 0)
        return cv_error_set(err, rc, "the path of the image is too long");
    rc = cv_mounts_switch_root(path, err);
    if (rc == 0)
        rc = cv_mounts_late(!cv_init_build.machine, err);
    if (rc == 0)
        rc = cv_system_loopback(err);
    return rc != 0 ? rc : cv_system_hostname(s->hostname, err);
}

int cv_machine_signals(int *fd, struct cv_error *err)
{
    static const int handled[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP,  SIGQUIT,
                                  SIGUSR1, SIGUSR2, SIGPWR, SIGWINCH};
    /* A fault must end us, not loop. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    sigset_t set, all;
    sigemptyset(&set);
    for (size_t k = 0; k < sizeof handled / sizeof handled[0]; k++)
        sigaddset(&set, handled[k]);
    sigfillset(&all);
    for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++)
        sigdelset(&all, faults[k]);
    *fd = sigprocmask(SIG_SETMASK, &all, NULL) == 0 ? signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)
                                                    : -1;
    return *fd >= 0 ? 0 : cv_error_set(err, CV_ERR_IO, "taking the signals");
}

int cv_machine_signal_for(int number, const char *stop_signal, bool *ends)
{
    *ends = number == SIGTERM || number == SIGINT || number == SIGPWR;
    return *ends ? cv_machine_stop_signal(stop_signal) : number;
}

int cv_machine_stop_signal(const char *name)
{
    int number = cv_signal_number(name);
    return number != 0 ? number : SIGTERM;
}

int cv_machine_heartbeat(const struct cv_parent *parent, const struct cv_boot_settings *s,
                         int64_t deadline, struct cv_error *err)
{
    struct cv_error missed;
    int64_t until = cv_deadline(HEARTBEAT_MS);
    if (s->heartbeat != NULL && strcmp(s->heartbeat, "off") == 0)
        return 0;
    cv_error_clear(&missed);
    int rc = cv_heartbeat(parent, until < deadline ? until : deadline, &missed);
    if (rc == 0)
        return 0;
    if (s->heartbeat != NULL) { /* "required" */
        *err = missed;
        return rc;
    }
    cv_log_error(CV_LOG_WARN, "no heartbeat, going on", &missed);
    return 0;
}

int cv_machine_ended(int status, bool *by_signal, int *value)
{
    *by_signal = WIFSIGNALED(status);
    *value = *by_signal ? WTERMSIG(status) : WEXITSTATUS(status);
    cv_log(CV_LOG_INFO, "the application has ended", *by_signal ? "signal" : "status",
           cv_logf("%d", *value), NULL);
    return *by_signal ? 128 + *value : *value;
}

void cv_machine_end(void)
{
    if (!cv_init_build.machine)
        return;
    sync();
    /* An enclave ends by rebooting; a first process that returned would be a panic
     * of the kernel. */
    (void)!reboot(RB_AUTOBOOT);
    for (;;)
        pause();
}
