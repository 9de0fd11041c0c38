/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/log.h"
#include "common/secret.h"
#include "unit/cv_test.h"

/* The sanitizers make mlock(2) do nothing and succeed. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#if __has_feature(address_sanitizer)
#define STAYS_DUMPABLE 1 /* LeakSanitizer needs it */
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif
#ifndef STAYS_DUMPABLE
#define STAYS_DUMPABLE 0
#endif

/* The VmFlags and the locked kB of the mapping that holds P. */
static bool mapping_of(const void *p, char flags[static 256], long *locked_kb)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    assert_non_null(f);
    char line[512];
    bool here = false, found = false;
    *locked_kb = 0;
    while (fgets(line, sizeof(line), f) != NULL) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            here = (uintptr_t)p >= from && (uintptr_t)p < to;
        else if (here && strncmp(line, "Locked:", 7) == 0)
            *locked_kb = strtol(line + 7, NULL, 10);
        else if (here && strncmp(line, "VmFlags:", 8) == 0) {
            (void)snprintf(flags, 256, "%.255s", line + 8);
            found = true;
        }
    }
    (void)fclose(f);
    return found;
}

static void pages_are_locked_and_stay_out_of_dumps(void **state)
{
    (void)state;
    CV_SECRET_AUTO struct cv_secret s = CV_SECRET_INIT;
    assert_int_equal(cv_secret_alloc(&s, 32), 0);
    memset(s.p, 7, s.n);
    char flags[256];
    long locked;
    assert_true(mapping_of(s.p, flags, &locked));
    assert_non_null(strstr(flags, " dd")); /* MADV_DONTDUMP */
    assert_non_null(strstr(flags, " dc")); /* MADV_DONTFORK */
    if (SANITIZED)
        return;
    struct rlimit lim;
    assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &lim), 0);
    if (lim.rlim_cur < 65536) {
        print_message("RLIMIT_MEMLOCK is too low here to test locking\n");
        return;
    }
    assert_non_null(strstr(flags, " lo"));
    assert_true(locked >= 4);
}

static void copies_moves_shrinks(void **state)
{
    (void)state;
    struct cv_secret a = CV_SECRET_INIT, b = CV_SECRET_INIT;
    assert_int_equal(cv_secret_copy(&a, "0123456789", 10), 0);
    assert_int_equal(cv_secret_copy(&b, "0123456789", 10), 0);
    assert_true(cv_secret_equal(&a, &b));
    b.p[9] ^= 1;
    assert_false(cv_secret_equal(&a, &b));
    assert_int_equal(cv_secret_copy(&a, a.p + 2, 4), 0); /* of itself */
    assert_memory_equal(cv_secret_view(&a).p, "2345", 4);
    cv_secret_shrink(&a, 2);
    assert_int_equal(a.n, 2);
    assert_memory_equal(a.p, "23\0\0", 4);
    assert_false(cv_secret_equal(&a, &b));
    cv_secret_move(&b, &a);
    assert_null(a.p);
    assert_int_equal(b.n, 2);
    cv_secret_move(&b, &b);
    assert_int_equal(b.n, 2);
    cv_secret_shrink(&b, 0);
    assert_null(b.p);
    cv_secret_free(&b);
    cv_secret_free(&b);
    assert_true(cv_secret_equal(&a, &b));
    assert_int_equal(cv_secret_alloc(&a, 0), 0);
    assert_null(a.p);
    assert_int_equal(cv_secret_alloc(&a, SIZE_MAX), CV_ERR_NOMEM);
    assert_int_equal(cv_secret_alloc(&a, SIZE_MAX / 2), CV_ERR_NOMEM);
}

static void every_size_is_zeroed_aligned_and_writable(void **state)
{
    (void)state;
    for (size_t n = 1; n < 9000; n += n < 70 ? 1 : 997) {
        CV_SECRET_AUTO struct cv_secret s = CV_SECRET_INIT;
        assert_int_equal(cv_secret_alloc(&s, n), 0);
        assert_int_equal((uintptr_t)s.p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(s.p[i], 0);
        memset(s.p, 0xaa, n);
    }
}

/* Runs FN in a child; gives its wait status. */
static int in_child(void (*fn)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)signal(SIGSEGV, SIG_DFL);
        fn();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void overrun(void)
{
    struct cv_secret s = CV_SECRET_INIT;
    if (cv_secret_alloc(&s, 32) != 0)
        _exit(9);
    volatile uint8_t *p = s.p;
    p[32] = 1; /* 32 is a multiple of 16: the guard page begins here */
}

static void underrun(void)
{
    struct cv_secret s = CV_SECRET_INIT;
    if (cv_secret_alloc(&s, 32) != 0)
        _exit(9);
    volatile uint8_t *p = s.p;
    for (int i = 1; i <= 32; i++)
        p[-i] = 0;
    cv_secret_free(&s);
}

static void grown_by_hand(void)
{
    struct cv_secret s = CV_SECRET_INIT;
    if (cv_secret_alloc(&s, 32) != 0)
        _exit(9);
    cv_secret_shrink(&s, 33);
}

static void writing_past_it_ends_the_process(void **state)
{
    (void)state;
    int status = in_child(overrun);
    /* A sanitizer turns the fault into an exit of its own. */
    assert_true((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) ||
                (WIFEXITED(status) && WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != 9));
    status = in_child(underrun);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    status = in_child(grown_by_hand);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static struct cv_secret parents_secret = CV_SECRET_INIT;

static void touch_parents_secret(void)
{
    volatile uint8_t *p = parents_secret.p;
    (void)p[0];
}

static void forks_do_not_have_it(void **state)
{
    (void)state;
    assert_int_equal(cv_secret_copy(&parents_secret, "key", 3), 0);
    int status = in_child(touch_parents_secret);
    assert_true(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    assert_memory_equal(parents_secret.p, "key", 3);
    cv_secret_free(&parents_secret);
}

static size_t warnings;

static void count_warnings(void *ctx, const char *line, size_t n)
{
    (void)ctx;
    if (memmem(line, n, "RLIMIT_MEMLOCK", 14) != NULL)
        warnings++;
}

/* Nothing may be locked: root's CAP_IPC_LOCK is given up with the user id. */
static void without_locked_memory(void)
{
    struct rlimit none = {0, 0};
    struct cv_secret s = CV_SECRET_INIT, t = CV_SECRET_INIT;
    if (setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (geteuid() == 0 && setuid(65534) != 0))
        _exit(8);
    cv_log_sink(count_warnings, NULL);
    if (cv_secret_alloc(&s, 32) != 0 || cv_secret_alloc(&t, 32) != 0)
        _exit(1);
    if (warnings != 1) /* once, though two allocations failed to lock */
        _exit(2);
    memset(s.p, 1, 32);
    cv_secret_policy(CV_LOCK_FATAL);
    if (cv_secret_alloc(&t, 32) != CV_ERR_NOMEM || t.p != NULL)
        _exit(3);
    cv_secret_free(&s);
    _exit(42);
}

static void lock_policy(void **state)
{
    (void)state;
    if (SANITIZED)
        return;
    int status = in_child(without_locked_memory);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void harden(void)
{
    struct rlimit core;
    cv_process_harden();
    if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_cur != 0 || core.rlim_max != 0)
        _exit(1);
    if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        _exit(2);
    _exit(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0 ? 42 : 43);
}

static void process_is_hardened(void **state)
{
    (void)state;
    int status = in_child(harden);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), STAYS_DUMPABLE ? 43 : 42);
}

static void random_bytes(void **state)
{
    (void)state;
    uint8_t a[1000] = {0}, b[1000] = {0};
    cv_random(a, sizeof(a));
    cv_random(b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    size_t zeros = 0;
    for (size_t i = 0; i < sizeof(a); i++)
        zeros += a[i] == 0;
    assert_true(zeros < 50);
    cv_random(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_locked_and_stay_out_of_dumps),
        cmocka_unit_test(copies_moves_shrinks),
        cmocka_unit_test(every_size_is_zeroed_aligned_and_writable),
        cmocka_unit_test(writing_past_it_ends_the_process),
        cmocka_unit_test(forks_do_not_have_it),
        cmocka_unit_test(lock_policy),
        cmocka_unit_test(process_is_hardened),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
