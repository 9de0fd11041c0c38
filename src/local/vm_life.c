/* SPDX-License-Identifier: Apache-2.0 */
/* What `vm run`, `vm switch` and `vm heartbeat` have in common: a folder of their
 * own, signals, and why a program ended. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "local/vm.h"

/* Nobody else's folder: what is written there is executed by the guest. */
int cv_vm_own_dir(const char *dir, struct cv_error *err)
{
    struct stat st;
    int rc = cv_dir_make(dir, 0700, err);
    if (rc != 0)
        return rc;
    if (lstat(dir, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 022))
        return cv_error_set(err, CV_ERR_DENIED,
                            "%s belongs to somebody else, or others may write to it", dir);
    return 0;
}

bool cv_vm_told_to_end(int signals)
{
    struct signalfd_siginfo info;
    struct pollfd p = {.fd = signals, .events = POLLIN};
    bool told = false;
    while (poll(&p, 1, 0) > 0 && read(signals, &info, sizeof info) == sizeof info)
        told |= info.ssi_signo != SIGCHLD;
    return told;
}

bool cv_vm_panic(char *out, size_t size, const char *dir)
{
    static const char head[] = "Kernel panic - not syncing: ";
    char path[CV_VM_PATH];
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 8u << 20);
    if (cv_file_read(&text, cv_vm_path(path, dir, "console.log"), NULL) != 0 || text.n == 0)
        return false;
    const char *at = strstr((const char *)text.p, head);
    if (at != NULL)
        cv_error_quote(out, size, at, strcspn(at, "\r\n"));
    return at != NULL;
}

void cv_vm_last_words(char *out, size_t size, const char *dir, const char *name)
{
    char path[CV_VM_PATH];
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 1u << 20);
    out[0] = '\0';
    if (cv_file_read(&text, cv_vm_path(path, dir, name), NULL) != 0)
        return;
    while (text.n > 0 && text.p[text.n - 1] == '\n')
        text.p[--text.n] = '\0';
    const char *line = text.n > 0 ? strrchr((const char *)text.p, '\n') : NULL;
    if (text.n > 0)
        cv_error_quote(out, size, line != NULL ? line + 1 : (const char *)text.p,
                       strlen(line != NULL ? line + 1 : (const char *)text.p));
}
