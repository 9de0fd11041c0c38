/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp filter: what serving needs goes on, the rest ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/secret.h"
#include "enclave/sandbox.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define NO_SANDBOX 1
#endif
#endif

static bool local;

/* How a child ends that enters the sandbox and then does FN: its exit status,
 * or minus the signal. */
static int outcome(int (*fn)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        cv_process_harden();
        struct cv_error err;
        if (cv_sandbox_enter(local, &err) != 0)
            _exit(99);
        _exit(fn());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int do_nothing(void)
{
    return 0;
}

static int do_memory(void)
{
    struct cv_secret s = CV_SECRET_INIT;
    char random[16];
    void *p = malloc(1u << 22);
    if (p == NULL || cv_secret_alloc(&s, 4096) != 0)
        return 1;
    cv_random(random, sizeof random);
    free(p);
    cv_secret_free(&s);
    return 0;
}

static int do_open(void)
{
    return open("/etc/passwd", O_RDONLY) < 0 && errno == EACCES ? 0 : 1;
}

static int do_exec(void)
{
    char *argv[] = {NULL};
    return execve("/bin/true", argv, argv);
}

static int do_fork(void)
{
    return fork() >= 0;
}

static int do_inet(void)
{
    return socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 0 : 1;
}

static int do_unix(void)
{
    return socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? 0 : 1;
}

static int do_netlink(void)
{
    return socket(AF_NETLINK, SOCK_RAW, 0) >= 0;
}

static int do_map_exec(void)
{
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
           MAP_FAILED;
}

static int do_protect_exec(void)
{
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int do_ptrace(void)
{
    return (int)ptrace(PTRACE_TRACEME, 0, NULL, NULL);
}

static int do_ioctl(void)
{
    return ioctl(0, FIONREAD, NULL);
}

static int do_nsm_ioctl(void)
{
    return ioctl(-1, 0xC0200A00ul, NULL) < 0 && errno == EBADF ? 0 : 1;
}

static int do_unlink(void)
{
    return unlink("/nonexistent/file") < 0 && errno == ENOENT ? 0 : 1;
}

static void check(bool is_local, int (*fn)(void), int expected)
{
    local = is_local;
    assert_int_equal(outcome(fn), expected);
}

static void test_filter(void **state)
{
    (void)state;
#ifdef NO_SANDBOX
    skip();
#endif
    for (int l = 0; l < 2; l++) {
        check(l, do_nothing, 0);
        check(l, do_memory, 0);
        check(l, do_nsm_ioctl, 0);
        check(l, do_open, 0);
        check(l, do_exec, -SIGSYS);
        check(l, do_fork, -SIGSYS);
        check(l, do_netlink, -SIGSYS);
        check(l, do_map_exec, -SIGSYS);
        check(l, do_protect_exec, -SIGSYS);
        check(l, do_ptrace, -SIGSYS);
        check(l, do_ioctl, -SIGSYS);
    }
    check(false, do_inet, -SIGSYS);
    check(false, do_unix, -SIGSYS);
    check(false, do_unlink, -SIGSYS);
    check(true, do_inet, 0);
    check(true, do_unix, 0);
    check(true, do_unlink, 0);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void *late(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&gate);
    (void)do_exec();
    return NULL;
}

/* Threads that run already are in it too. */
static int do_exec_elsewhere(void)
{
    pthread_mutex_unlock(&gate);
    sleep(5);
    return 0;
}

static void test_other_threads(void **state)
{
    (void)state;
#ifdef NO_SANDBOX
    skip();
#endif
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        pthread_t thread;
        struct cv_error err;
        pthread_mutex_lock(&gate);
        if (pthread_create(&thread, NULL, late, NULL) != 0)
            _exit(98);
        cv_process_harden();
        if (cv_sandbox_enter(false, &err) != 0)
            _exit(99);
        _exit(do_exec_elsewhere());
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_filter),
        cmocka_unit_test(test_other_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
