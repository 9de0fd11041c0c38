/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon's seccomp filter: what a signer needs goes on, the rest fails; in
 * the tests' mode it ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "signer/sandbox.h"

/* How a child ends that enters the sandbox and then does FN: its exit status,
 * or minus the signal. */
static int outcome(int (*fn)(void), bool deadly)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct cv_error err;
        const struct rlimit none = {0, 0};
        (void)setrlimit(RLIMIT_CORE, &none);
        if (deadly) {
            setenv("CLAVIGER_SANDBOX", "kill", 1);
        } else {
            unsetenv("CLAVIGER_SANDBOX");
        }
        _exit(cv_sandbox_enter(&err) != 0 ? 99 : fn());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- what goes on ---- */

static int do_files(void)
{
    char path[] = "/tmp/cv-sandbox-XXXXXX", to[] = "/tmp/cv-sandbox-to-XXXXXX";
    int fd = mkstemp(path), other = mkstemp(to);
    bool good = fd >= 0 && other >= 0 && write(fd, "x", 1) == 1 && fdatasync(fd) == 0 &&
                pwrite(fd, "y", 1, 5) == 1 && fsync(fd) == 0 && ftruncate(fd, 2) == 0 &&
                fchmod(fd, 0600) == 0 && rename(path, to) == 0 && unlink(to) == 0 &&
                access("/", R_OK) == 0;
    return good ? 0 : 1;
}

static void *in_thread(void *arg)
{
    *(int *)arg = 7;
    return NULL;
}

static int do_thread(void)
{
    pthread_t t;
    int seen = 0;
    return pthread_create(&t, NULL, in_thread, &seen) == 0 && pthread_join(t, NULL) == 0 &&
                   seen == 7
               ? 0
               : 1;
}

static int do_resolve(void)
{
    struct addrinfo *found = NULL;
    int rc = getaddrinfo("localhost", "80", NULL, &found);
    if (rc == 0) {
        freeaddrinfo(found);
    }
    return rc == 0 ? 0 : 1;
}

static int do_sockets(void)
{
    static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_VSOCK};
    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        int fd = socket(families[i], SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0 && errno != EAFNOSUPPORT && errno != ENODEV) {
            return 1 + (int)i;
        }
        (void)close(fd);
    }
    return 0;
}

static int do_abort(void)
{
    abort(); /* is a signal of its own, and must end it as ever */
}

/* ---- what fails: 0 when it does, with what it should ---- */

static int fails(long result, int with)
{
    return result == -1 && errno == with ? 0 : 1;
}

static int do_exec(void)
{
    char *argv[] = {NULL};
    return fails(execve("/bin/true", argv, argv), EPERM);
}

static int do_exec_at(void)
{
    char *argv[] = {NULL};
    return fails(syscall(SYS_execveat, AT_FDCWD, "/bin/true", argv, argv, 0), EPERM);
}

static int do_fork(void)
{
    return fails(syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L), ENOSYS);
}

static int do_vfork_flags(void)
{
    return fails(syscall(SYS_clone, (long)(CLONE_VM | CLONE_VFORK | SIGCHLD), 0L, 0L, 0L, 0L),
                 ENOSYS);
}

static int do_clone3(void)
{
    return fails(syscall(SYS_clone3, NULL, 0L), ENOSYS);
}

static int do_ptrace(void)
{
    return fails(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM);
}

static int do_read_other(void)
{
    return fails(syscall(SYS_process_vm_readv, (long)getppid(), NULL, 0L, NULL, 0L, 0L), EPERM);
}

static int do_kill(void)
{
    return fails(kill(getppid(), 0), EPERM);
}

static int do_signal_other(void)
{
    return fails(syscall(SYS_tgkill, (long)getppid(), (long)getppid(), 0L), ENOSYS);
}

static int do_written_code(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? 1 : fails(mprotect(p, 4096, PROT_READ | PROT_EXEC), ENOSYS);
}

static int do_anonymous_code(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
                       MAP_FAILED &&
                   errno == ENOSYS
               ? 0
               : 1;
}

static int do_hidden_file(void)
{
    return fails(syscall(SYS_memfd_create, "x", 0L), EPERM);
}

static int do_packets(void)
{
    return fails(socket(AF_PACKET, SOCK_RAW, 0), ENOSYS);
}

static int do_uring(void)
{
    return fails(syscall(SYS_io_uring_setup, 1L, NULL), EPERM);
}

static int do_namespace(void)
{
    return fails(syscall(SYS_unshare, 0x10000000L), EPERM);
}

static int do_user(void)
{
    return fails(syscall(SYS_setuid, 0L), EPERM);
}

static int do_dumpable(void)
{
    return fails(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), ENOSYS);
}

static int do_unknown(void)
{
    return fails(syscall(9999L), ENOSYS);
}

static int do_limits_of_other(void)
{
    struct rlimit r;
    return fails(prlimit(getppid(), RLIMIT_NOFILE, NULL, &r), ENOSYS);
}

static const struct {
    const char *name;
    int (*fn)(void);
} good[] =
    {
        {"files", do_files},
        {"a thread", do_thread},
        {"name resolution", do_resolve},
        {"sockets", do_sockets},
},
  bad[] = {
      {"execve", do_exec},
      {"execveat", do_exec_at},
      {"fork", do_fork},
      {"vfork", do_vfork_flags},
      {"ptrace", do_ptrace},
      {"process_vm_readv", do_read_other},
      {"kill", do_kill},
      {"tgkill of another", do_signal_other},
      {"code that was written", do_written_code},
      {"anonymous code", do_anonymous_code},
      {"memfd_create", do_hidden_file},
      {"AF_PACKET", do_packets},
      {"io_uring", do_uring},
      {"unshare", do_namespace},
      {"setuid", do_user},
      {"dumpable", do_dumpable},
      {"an unknown call", do_unknown},
      {"limits of another", do_limits_of_other},
};

static void test_needed(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        for (int deadly = 0; deadly < 2; deadly++) {
            int end = outcome(good[i].fn, deadly != 0);
            if (end != 0) {
                fail_msg("%s: %d", good[i].name, end);
            }
        }
    }
    assert_int_equal(outcome(do_abort, false), -SIGABRT);
}

static void test_refused(void **state)
{
    (void)state;
    if (!CV_SANDBOX_BUILT) {
        skip();
    }
    assert_int_equal(outcome(do_clone3, false), 0);
    assert_int_equal(outcome(do_clone3, true), 0); /* so that clone is taken */
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int end = outcome(bad[i].fn, false);
        if (end != 0) {
            fail_msg("%s is not refused as it should be: %d", bad[i].name, end);
        }
        end = outcome(bad[i].fn, true);
        if (end != -SIGSYS) {
            fail_msg("%s does not end the process: %d", bad[i].name, end);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_needed),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
