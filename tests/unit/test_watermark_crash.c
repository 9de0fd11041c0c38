/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store under crashes, power cuts and failing system calls.
 *
 * A child opens the store and signs level after level; each level that it may
 * answer goes through a pipe. The system calls of the write path are wrapped
 * (-Wl,--wrap): at the K-th one the child is killed, or loses power (what was
 * not yet flushed is lost or torn, sector by sector, and a rename whose
 * directory was not flushed may be undone), or the call fails. K runs from 1
 * until a run meets no fault any more. After each, the store must open and
 * must refuse another payload at every level that was answered.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "unit/watermark_samples.h"
#include "watermark/store.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#define SECTOR 512
#define LEVELS 12
#define SPARE 4 /* blocks: the log is renewed on the way */

enum fault { FAULT_NONE, FAULT_KILL, FAULT_POWER, FAULT_EIO, FAULT_ENOSPC };

static struct {
    enum fault fault;
    unsigned at; /* the call that it hits; 0 = none */
    unsigned calls;
    uint32_t seed;
} plan;

/* What a power cut may undo: writes since the last flush of their file. */
static struct undo {
    int fd;
    off_t at;
    size_t n;
    uint8_t *old;
} undo[64];
static unsigned undo_count;
static char renamed_from[160], renamed_to[160], renamed_old[160];

ssize_t __real_pwrite(int fd, const void *p, size_t n, off_t at);
int __real_fsync(int fd);
int __real_fdatasync(int fd);
int __real_rename(const char *from, const char *to);
int __real_open(const char *path, int flags, ...);
ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at);
int __wrap_fsync(int fd);
int __wrap_fdatasync(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_open(const char *path, int flags, ...);

static uint32_t chance(void)
{
    plan.seed = plan.seed * 1664525u + 1013904223u;
    return plan.seed >> 16;
}

static void lose_power(void)
{
    for (unsigned i = undo_count; i-- > 0;) {
        for (size_t off = 0; off < undo[i].n; off += SECTOR) {
            size_t n = undo[i].n - off < SECTOR ? undo[i].n - off : SECTOR;
            if (chance() & 1) {
                ssize_t k =
                    __real_pwrite(undo[i].fd, undo[i].old + off, n, undo[i].at + (off_t)off);
                (void)k;
            }
        }
    }
    if (renamed_to[0] != '\0' && (chance() & 1)) {
        __real_rename(renamed_to, renamed_from);
        if (renamed_old[0] != '\0') {
            __real_rename(renamed_old, renamed_to);
        }
    }
}

/* True when this call must fail (errno is set); does not return from a kill. */
static bool faulty(void)
{
    if (plan.at == 0 || ++plan.calls != plan.at) {
        return false;
    }
    switch (plan.fault) {
    case FAULT_NONE:
        return false;
    case FAULT_POWER:
        lose_power();
        /* fall through */
    case FAULT_KILL:
        kill(getpid(), SIGKILL);
        for (;;) {
            pause();
        }
    case FAULT_EIO:
        errno = EIO;
        return true;
    case FAULT_ENOSPC:
        errno = ENOSPC;
        return true;
    }
    return false;
}

ssize_t __wrap_pwrite(int fd, const void *p, size_t n, off_t at)
{
    if (faulty()) {
        return -1;
    }
    if (plan.fault == FAULT_POWER && undo_count < sizeof undo / sizeof *undo) {
        struct undo *u = &undo[undo_count++];
        *u = (struct undo){.fd = fd, .at = at, .n = n, .old = calloc(1, n)};
        ssize_t k = pread(fd, u->old, n, at);
        (void)k;
    }
    return __real_pwrite(fd, p, n, at);
}

static void flushed(int fd)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < undo_count; i++) {
        if (undo[i].fd == fd) {
            free(undo[i].old);
        } else {
            undo[kept++] = undo[i];
        }
    }
    undo_count = kept;
    struct stat st;
    if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        renamed_to[0] = renamed_old[0] = '\0';
    }
}

int __wrap_fsync(int fd)
{
    if (faulty()) {
        return -1;
    }
    flushed(fd);
    return 0; /* a real one would only make the test slow */
}

int __wrap_fdatasync(int fd)
{
    return __wrap_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    if (faulty()) {
        return -1;
    }
    if (plan.fault == FAULT_POWER) {
        snprintf(renamed_from, sizeof renamed_from, "%s", from);
        snprintf(renamed_to, sizeof renamed_to, "%s", to);
        snprintf(renamed_old, sizeof renamed_old, "%.150s.old", to);
        unlink(renamed_old);
        if (link(to, renamed_old) != 0) {
            renamed_old[0] = '\0';
        }
    }
    return __real_rename(from, to);
}

int __wrap_open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(ap, mode_t) : 0;
    va_end(ap);
    if (faulty()) {
        return -1;
    }
    return __real_open(path, flags, mode);
}

static char dir[64];
static char store_dir[80];
static char keys[80];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/cv-wm-crash-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    snprintf(store_dir, sizeof store_dir, "%s/store", dir);
    snprintf(keys, sizeof keys, "%s/keys.json", dir);
    return 0;
}

static int drop_dir(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static struct cv_wm_store *open_store(struct cv_error *err)
{
    struct cv_wm_options o = {.directory = store_dir, .create = true, .spare_blocks = SPARE};
    struct cv_wm_store *s = NULL;
    if (cv_keystore_open_file(&o.keystore, keys, err) != CV_OK ||
        cv_wm_open(&s, &o, err) != CV_OK) {
        return NULL;
    }
    return s;
}

/* Signs levels FIRST.. and tells OUT each that may be answered. */
static void child(int out, int32_t first)
{
    struct cv_wm_store *s = open_store(NULL);
    if (s == NULL) {
        _exit(1);
    }
    uint64_t seq;
    struct cv_mark known = sample_known(1);
    if (!cv_marks_known(cv_wm_marks(s), &known.pkh) &&
        (cv_wm_raise(s, &known, &seq) != CV_OK || cv_wm_sync(s, NULL) != CV_OK)) {
        _exit(1);
    }
    for (int32_t level = first; level < first + LEVELS; level++) {
        struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, level, 0, 1);
        m.hash[0] = (uint8_t)level;
        if (cv_wm_reserve(s, &m, &seq) != CV_OK) {
            _exit(1); /* a refusal: nothing was signed */
        }
        int r = cv_wm_sync(s, NULL);
        if (cv_wm_durable(s) >= seq) {
            if (write(out, &level, sizeof level) != sizeof level) {
                _exit(2);
            }
        } else if (r == CV_OK) {
            _exit(2); /* it claims success without being durable */
        }
    }
    cv_wm_close(s);
    _exit(0);
}

/* One run with a fault at call AT. Returns false when no fault was met. */
static bool run(enum fault fault, unsigned at, int32_t first, int32_t *highest)
{
    int pipe_fd[2];
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(pipe_fd[0]);
        plan.fault = fault;
        plan.at = at;
        plan.seed = at * 2654435761u + (uint32_t)first;
        child(pipe_fd[1], first);
    }
    close(pipe_fd[1]);
    int32_t level;
    while (read(pipe_fd[0], &level, sizeof level) == sizeof level) {
        *highest = level;
    }
    close(pipe_fd[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 2);
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void check(int32_t highest)
{
    struct cv_error err;
    char text[1024];
    cv_error_clear(&err);
    struct cv_wm_store *s = open_store(&err);
    if (s == NULL) {
        print_error("%s\n", cv_error_format(text, sizeof text, &err));
    }
    assert_non_null(s);
    uint64_t seq;
    if (highest > 0) {
        struct cv_mark other = sample_mark(1, CV_MARK_BLOCK, highest, 0, 2);
        assert_int_equal(cv_wm_reserve(s, &other, &seq), CV_ERR_DENIED);
        other.level = highest - 1;
        assert_int_equal(cv_wm_reserve(s, &other, &seq), CV_ERR_DENIED);
    }
    cv_wm_close(s);
}

static void quiet(void *ctx, const char *line, size_t n)
{
    (void)ctx;
    (void)line;
    (void)n;
}

static void sweep(enum fault fault, unsigned seeds)
{
    cv_log_sink(quiet, NULL);
    int32_t highest = 0;
    unsigned at = 1;
    bool hit = true;
    for (; hit && at < 2000; at++) {
        hit = false;
        for (unsigned i = 0; i < seeds; i++) {
            /* Half of the runs go on with the store of the run before. */
            if (at % 2 == 0) {
                drop_dir(NULL);
                assert_int_equal(mkdir(dir, 0700), 0);
                highest = 0;
            }
            hit |= run(fault, at, highest + 1, &highest);
            check(highest);
        }
    }
    print_message("%u points\n", at - 1);
    assert_true(at > 20);   /* the faults were met at all */
    assert_true(at < 2000); /* and came to an end */
}

static void test_kill(void **state)
{
    (void)state;
    sweep(FAULT_KILL, 1);
}

static void test_power(void **state)
{
    (void)state;
#if defined(SANITIZED)
    sweep(FAULT_POWER, 2);
#else
    sweep(FAULT_POWER, 8);
#endif
}

static void test_eio(void **state)
{
    (void)state;
    sweep(FAULT_EIO, 1);
}

static void test_enospc(void **state)
{
    (void)state;
    sweep(FAULT_ENOSPC, 1);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, make_dir, drop_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_DIR(test_kill), WITH_DIR(test_power),
                                       WITH_DIR(test_eio), WITH_DIR(test_enospc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
