/* SPDX-License-Identifier: Apache-2.0 */
#include "init/application.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "init/build.h"

int cv_signal_number(const char *name)
{
    char *end;
    if (name == NULL)
        return SIGTERM;
    unsigned long n = strtoul(name, &end, 10);
    if (name[0] >= '0' && name[0] <= '9')
        return *end == '\0' && n != 0 && n <= (unsigned long)SIGRTMAX ? (int)n : 0;
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    if (strncmp(name, "RTMIN", 5) == 0) {
        n = name[5] == '+' ? strtoul(name + 6, &end, 10) : 0;
        bool whole = name[5] == '\0' || (name[5] == '+' && name[6] != '\0' && *end == '\0');
        return whole && n <= (unsigned long)(SIGRTMAX - SIGRTMIN) ? SIGRTMIN + (int)n : 0;
    }
    for (int i = 1; i < 32; i++) {
        const char *known = sigabbrev_np(i);
        if (known != NULL && strcmp(known, name) == 0)
            return i;
    }
    return 0;
}

/* ---- after the fork: system calls only ---- */

struct plan {
    struct cv_user user;
    char **argv, **envp;
    char **candidates; /* paths to try, ended by NULL */
    const char *workdir;
    int out, err;
};

/* What the parent of the fork is told. */
struct failure {
    int step, number;
};
enum { STREAMS, GROUPS, BECOMING, ENTERING, RUNNING };
static const char *const steps[] = {
    [STREAMS] = "taking its standard streams",
    [GROUPS] = "taking its groups",
    [BECOMING] = "becoming its user",
    [ENTERING] = "entering its directory",
    [RUNNING] = "running",
};

static void give_up(int report, int step)
{
    const struct failure f = {step, errno};
    int ignored = cv_fd_write_all(report, &f, sizeof f);
    (void)ignored;
    _exit(127);
}

static int streams(const struct plan *p)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0 || dup2(nothing, 0) < 0)
        return -1;
    /* So that it can open /dev/stdout and /dev/stderr anew. */
    (void)!fchown(p->out, p->user.uid, p->user.gid);
    (void)!fchown(p->err, p->user.uid, p->user.gid);
    return dup2(p->out, 1) < 0 || dup2(p->err, 2) < 0 ? -1 : 0;
}

static void defaults(void)
{
    sigset_t none;
    for (int i = 1; i <= SIGRTMAX; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(022);
}

__attribute__((noreturn)) static void become(const struct plan *p, int report)
{
    int denied = 0;
    setsid();
    if (streams(p) != 0)
        give_up(report, STREAMS);
    /* A user namespace of one user, where a development build may run, has no
     * groups to take. */
    if (setgroups(p->user.group_count, p->user.groups) != 0 &&
        !(errno == EPERM && cv_init_build.development && p->user.uid == getuid()))
        give_up(report, GROUPS);
    if (setresgid(p->user.gid, p->user.gid, p->user.gid) != 0 ||
        setresuid(p->user.uid, p->user.uid, p->user.uid) != 0)
        give_up(report, BECOMING);
    if (chdir(p->workdir) != 0)
        give_up(report, ENTERING);
    defaults();
    errno = ENOENT;
    for (char **path = p->candidates; *path != NULL; path++) {
        execve(*path, p->argv, p->envp);
        if (errno == EACCES)
            denied = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            break;
    }
    if (denied != 0 && (errno == ENOENT || errno == ENOTDIR))
        errno = denied;
    give_up(report, RUNNING);
    _exit(127);
}

/* ---- before it ---- */

static void free_candidates(char **list)
{
    for (char **p = list; p != NULL && *p != NULL; p++)
        free(*p);
    free(list);
}

/* Where NAME may be: itself when it has a slash, else in each folder of PATH. */
static char **candidates(const char *name, const char *path)
{
    size_t count = 2;
    for (const char *p = path; *p != '\0'; p++)
        count += *p == ':';
    char **list = calloc(count + 1, sizeof *list);
    if (list == NULL)
        return NULL;
    if (strchr(name, '/') != NULL) {
        list[0] = strdup(name);
        return list;
    }
    for (size_t i = 0; i < count - 1; i++) {
        size_t n = strcspn(path, ":");
        if (asprintf(&list[i], "%.*s%s%s", (int)n, path, n != 0 ? "/" : "./", name) < 0) {
            list[i] = NULL;
            break;
        }
        path += n;
        if (*path == '\0')
            break;
        path++;
    }
    return list;
}

/* As container runtimes do, an absent working directory is made, root's. */
static void make_workdir(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0 && errno == ENOENT)
        (void)!cv_dir_make(path, 0755, NULL);
}

static int wait_exec(pid_t pid, int report, const struct plan *p, struct cv_error *err)
{
    struct failure f = {0, 0};
    char quoted[160];
    ssize_t n;
    while ((n = read(report, &f, sizeof f)) < 0 && errno == EINTR)
        ;
    if (n == 0)
        return 0;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof f || f.step < 0 || (size_t)f.step >= sizeof steps / sizeof steps[0])
        return cv_error_set(err, CV_ERR_IO, "starting the application");
    const char *what = f.step == RUNNING ? p->argv[0] : f.step == ENTERING ? p->workdir : "";
    return cv_error_errno(err, f.number == ENOENT ? CV_ERR_NOT_FOUND : CV_ERR_IO, f.number,
                          "the application: %s%s%s", steps[f.step], what[0] != '\0' ? " " : "",
                          cv_error_quote(quoted, sizeof quoted, what, strlen(what)));
}

static int launch(pid_t *pid, const struct plan *p, struct cv_error *err)
{
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0)
        return cv_error_errno(err, CV_ERR_IO, errno, "starting the application");
    pid_t child = fork();
    if (child == 0)
        become(p, report[1]);
    int number = errno;
    close(report[1]);
    int rc = child < 0 ? cv_error_errno(err, CV_ERR_IO, number, "starting the application")
                       : wait_exec(child, report[0], p, err);
    close(report[0]);
    *pid = rc == 0 ? child : -1;
    return rc;
}

/* The plan's lists, and the start. */
static int start_planned(pid_t *pid, struct plan *p, const struct cv_boot_settings *s,
                         const char *path, struct cv_error *err)
{
    int rc = CV_ERR_NOMEM;
    p->candidates = candidates(s->argv.item[0], path != NULL ? path : CV_DEFAULT_PATH);
    p->argv = calloc(s->argv.count + 1, sizeof *p->argv);
    if (p->candidates == NULL || p->argv == NULL) {
        (void)cv_error_set(err, rc, "no memory for the application's command");
    } else {
        memcpy(p->argv, s->argv.item, s->argv.count * sizeof *p->argv);
        rc = launch(pid, p, err);
    }
    free(p->argv);
    free_candidates(p->candidates);
    return rc;
}

int cv_application_start(pid_t *pid, const struct cv_application *a,
                         const struct cv_environment *env, struct cv_error *err)
{
    const struct cv_boot_settings *s = a->settings;
    struct plan p = {.envp = env->v,
                     .workdir = s->workdir != NULL ? s->workdir : "/",
                     .out = a->out,
                     .err = a->err};
    *pid = -1;
    if (s->argv.count == 0)
        return cv_error_set(err, CV_ERR_CONFIG, "the image has no command");
    int rc = cv_user_find(&p.user, "/", s->user, err);
    if (rc != 0)
        return rc;
    make_workdir(p.workdir);
    return start_planned(pid, &p, s, cv_environment_get(env, "PATH"), err);
}
