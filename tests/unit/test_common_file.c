/* SPDX-License-Identifier: Apache-2.0 */
/* Files, with system calls that fail on command (linked with --wrap). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "unit/cv_test.h"

static char dir[64];
static char path[128];

/* What the wrapped calls do. */
static struct {
    bool eintr;     /* every other call is interrupted */
    size_t at_most; /* bytes moved by one read or write, 0 = all */
    int fsync_errno, rename_errno, close_errno, write_errno;
    int fsync_skip; /* this many succeed first */
    bool no_renameat2;
    unsigned calls, fsyncs;
} fault;

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __real_read(int fd, void *p, size_t n);
int __real_fsync(int fd);
int __real_close(int fd);
int __real_rename(const char *from, const char *to);
int __real_renameat2(int a, const char *from, int b, const char *to, unsigned flags);
ssize_t __wrap_write(int fd, const void *p, size_t n);
ssize_t __wrap_read(int fd, void *p, size_t n);
int __wrap_fsync(int fd);
int __wrap_close(int fd);
int __wrap_rename(const char *from, const char *to);
int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags);

static bool interrupted(void)
{
    if (!fault.eintr || fault.calls++ % 2 != 0)
        return false;
    errno = EINTR;
    return true;
}

ssize_t __wrap_write(int fd, const void *p, size_t n)
{
    if (interrupted())
        return -1;
    if (fault.write_errno != 0) {
        errno = fault.write_errno;
        return -1;
    }
    return __real_write(fd, p, fault.at_most != 0 && n > fault.at_most ? fault.at_most : n);
}

ssize_t __wrap_read(int fd, void *p, size_t n)
{
    if (interrupted())
        return -1;
    return __real_read(fd, p, fault.at_most != 0 && n > fault.at_most ? fault.at_most : n);
}

int __wrap_fsync(int fd)
{
    fault.fsyncs++;
    if (fault.fsync_errno != 0 && fault.fsync_skip-- <= 0) {
        errno = fault.fsync_errno;
        return -1;
    }
    return __real_fsync(fd);
}

int __wrap_close(int fd)
{
    int rc = __real_close(fd);
    if (fault.close_errno != 0) {
        errno = fault.close_errno;
        return -1;
    }
    return rc;
}

int __wrap_rename(const char *from, const char *to)
{
    if (fault.rename_errno != 0) {
        errno = fault.rename_errno;
        return -1;
    }
    return __real_rename(from, to);
}

int __wrap_renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
    if (fault.no_renameat2) {
        errno = EINVAL;
        return -1;
    }
    return __real_renameat2(a, from, b, to, flags);
}

static int setup(void **state)
{
    (void)state;
    memset(&fault, 0, sizeof(fault));
    strcpy(dir, "/tmp/cv_file_XXXXXX");
    if (mkdtemp(dir) == NULL)
        return -1;
    (void)snprintf(path, sizeof(path), "%s/file", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    memset(&fault, 0, sizeof(fault));
    char command[128];
    (void)snprintf(command, sizeof(command), "rm -rf %s", dir);
    return system(command);
}

/* Names in the directory that are not dots. */
static size_t count_files(void)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    size_t n = 0;
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

static void assert_content(const char *file, const char *want)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf b;
    struct cv_error err;
    cv_buf_init(&b, 1 << 20);
    assert_code(cv_file_read(&b, file, &err), 0, &err);
    assert_true(cv_bytes_equal_str(cv_buf_view(&b), want));
}

static void replaces_and_creates(void **state)
{
    (void)state;
    struct cv_error err;
    struct stat st;
    mode_t old = umask(0);
    assert_code(cv_file_replace(path, CV_BYTES_LIT("one"), 0600, &err), 0, &err);
    assert_int_equal(fault.fsyncs, 2); /* the file and its directory */
    assert_content(path, "one");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    (void)umask(077);
    assert_code(cv_file_replace(path, CV_BYTES_LIT("two"), 0644, &err), 0, &err);
    (void)umask(old);
    assert_content(path, "two");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_code(cv_file_create(path, CV_BYTES_LIT("three"), 0600, &err), CV_ERR_EXISTS, &err);
    assert_says(&err, path);
    assert_content(path, "two");
    assert_int_equal(unlink(path), 0);
    assert_code(cv_file_create(path, CV_BYTES_LIT(""), 0600, &err), 0, &err);
    assert_content(path, "");
    assert_int_equal(count_files(), 1);
    assert_code(cv_file_create("/nonexistent/x", CV_BYTES_LIT(""), 0600, &err), CV_ERR_NOT_FOUND,
                &err);
    assert_code(cv_file_replace(dir, CV_BYTES_LIT("x"), 0600, &err), CV_ERR_IO, &err);
}

static void creates_without_renameat2(void **state)
{
    (void)state;
    struct cv_error err;
    fault.no_renameat2 = true;
    assert_code(cv_file_create(path, CV_BYTES_LIT("a"), 0600, &err), 0, &err);
    assert_code(cv_file_create(path, CV_BYTES_LIT("b"), 0600, &err), CV_ERR_EXISTS, &err);
    assert_content(path, "a");
    assert_int_equal(count_files(), 1);
}

static void interrupted_and_short_calls_go_on(void **state)
{
    (void)state;
    struct cv_error err;
    char big[10001];
    memset(big, 'x', 10000);
    big[10000] = '\0';
    fault.eintr = true;
    fault.at_most = 7;
    assert_code(cv_file_replace(path, cv_bytes_str(big), 0600, &err), 0, &err);
    assert_content(path, big);
    CV_SECRET_AUTO struct cv_secret s = CV_SECRET_INIT;
    assert_code(cv_file_read_secret(&s, path, 10000, &err), 0, &err);
    assert_int_equal(s.n, 10000);
    assert_memory_equal(s.p, big, 10000);
}

/* After a failure the old file stands and no temporary file is left. */
static void assert_fails_cleanly(const char *says)
{
    struct cv_error err;
    assert_code(cv_file_replace(path, CV_BYTES_LIT("new"), 0600, &err), CV_ERR_IO, &err);
    assert_says(&err, says);
    memset(&fault, 0, sizeof(fault));
    assert_content(path, "old");
    assert_int_equal(count_files(), 1);
}

static void failing_disks(void **state)
{
    (void)state;
    struct cv_error err;
    assert_code(cv_file_replace(path, CV_BYTES_LIT("old"), 0600, &err), 0, &err);
    fault.write_errno = ENOSPC;
    assert_fails_cleanly("No space left on device");
    fault.fsync_errno = EIO;
    assert_fails_cleanly("Input/output error");
    fault.close_errno = EDQUOT;
    assert_fails_cleanly("quota");
    fault.rename_errno = EROFS;
    assert_fails_cleanly("Read-only");
    /* When only the directory cannot be synced the new content may be there,
     * but the caller learns that it is not safe. */
    fault.fsync_errno = EIO;
    fault.fsync_skip = 1;
    assert_code(cv_file_replace(path, CV_BYTES_LIT("new"), 0600, &err), CV_ERR_IO, &err);
    assert_says(&err, "directory");
    assert_int_equal(count_files(), 1);
}

static void file_size_limit(void **state)
{
    (void)state;
    struct cv_error err;
    assert_code(cv_file_replace(path, CV_BYTES_LIT("old"), 0600, &err), 0, &err);
    static char big[100000];
    memset(big, 'x', sizeof(big));
    struct rlimit was, low;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    low = was;
    low.rlim_cur = 4096;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
    int rc = cv_file_replace(path, CV_BYTES(big, sizeof(big)), 0600, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_code(rc, CV_ERR_IO, &err);
    assert_says(&err, "File too large");
    assert_content(path, "old");
    assert_int_equal(count_files(), 1);
}

/* On a file system of 64 KiB, in a mount namespace of its own. */
static void on_a_full_disk(void)
{
    struct cv_error err;
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", dir, "tmpfs", 0, "size=64k") != 0)
        _exit(77);
    static char big[200000];
    memset(big, 'x', sizeof(big));
    if (cv_file_replace(path, CV_BYTES_LIT("old"), 0600, &err) != 0)
        _exit(1);
    if (cv_file_replace(path, CV_BYTES(big, sizeof(big)), 0600, &err) != CV_ERR_IO)
        _exit(2);
    if (strstr(cv_error_text(&err, 0), "No space left on device") == NULL)
        _exit(3);
    if (count_files() != 1)
        _exit(4);
    CV_CLEANUP(cv_buf_free) struct cv_buf b;
    cv_buf_init(&b, 100);
    if (cv_file_read(&b, path, &err) != 0 || !cv_bytes_equal_str(cv_buf_view(&b), "old"))
        _exit(5);
    /* And the space that the attempt took is free again. */
    if (cv_file_replace(path, CV_BYTES(big, 20000), 0600, &err) != 0)
        _exit(6);
    _exit(42);
}

static void full_disk(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        on_a_full_disk();
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        print_message("no right to mount here: the full tmpfs is not tested\n");
        return;
    }
    assert_int_equal(WEXITSTATUS(status), 42);
}

static void reads_are_bounded(void **state)
{
    (void)state;
    struct cv_error err;
    CV_CLEANUP(cv_buf_free) struct cv_buf b;
    cv_buf_init(&b, 5);
    assert_code(cv_file_replace(path, CV_BYTES_LIT("12345"), 0600, &err), 0, &err);
    assert_code(cv_file_read(&b, path, &err), 0, &err);
    assert_string_equal((char *)b.p, "12345");
    assert_code(cv_file_replace(path, CV_BYTES_LIT("123456"), 0600, &err), 0, &err);
    assert_code(cv_file_read(&b, path, &err), CV_ERR_LIMIT, &err);
    assert_says(&err, "larger than 5 bytes");
    CV_SECRET_AUTO struct cv_secret s = CV_SECRET_INIT;
    assert_code(cv_file_read_secret(&s, path, 5, &err), CV_ERR_LIMIT, &err);
    assert_null(s.p);
    assert_code(cv_file_read_secret(&s, path, 6, &err), 0, &err);
    assert_int_equal(s.n, 6);
    assert_code(cv_file_read(&b, "/nonexistent", &err), CV_ERR_NOT_FOUND, &err);
    assert_says(&err, "cannot open /nonexistent: No such file or directory");
    assert_code(cv_file_read_secret(&s, "/nonexistent", 6, &err), CV_ERR_NOT_FOUND, &err);
    assert_code(cv_file_read(&b, dir, &err), CV_ERR_INVALID, &err);
    assert_code(cv_file_read(&b, "/dev/zero", &err), CV_ERR_INVALID, &err);
    assert_code(cv_file_read(&b, path, NULL), CV_ERR_LIMIT, &err);
}

static void pipes_are_read_to_their_end(void **state)
{
    (void)state;
    struct cv_error err;
    int fds[2];
    char name[32];
    for (int secret = 0; secret < 2; secret++) {
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        assert_int_equal(cv_fd_write_all(fds[1], "from a pipe", 11), 0);
        assert_int_equal(close(fds[1]), 0);
        (void)snprintf(name, sizeof(name), "/dev/fd/%d", fds[0]);
        if (secret) {
            CV_SECRET_AUTO struct cv_secret s = CV_SECRET_INIT;
            assert_code(cv_file_read_secret(&s, name, 100, &err), 0, &err);
            assert_int_equal(s.n, 11);
            assert_memory_equal(s.p, "from a pipe", 11);
        } else {
            assert_content(name, "from a pipe");
        }
        assert_int_equal(close(fds[0]), 0);
    }
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(cv_fd_write_all(fds[1], "abcde", 5), 0);
    assert_int_equal(close(fds[1]), 0);
    char buf[4];
    fault.at_most = 1;
    assert_int_equal(cv_fd_read_exact(fds[0], buf, 4), 0);
    assert_memory_equal(buf, "abcd", 4);
    assert_int_equal(cv_fd_read_exact(fds[0], buf, 2), CV_ERR_TRUNCATED);
    assert_int_equal(cv_fd_read_exact(fds[0], buf, 2), CV_ERR_CLOSED);
    assert_int_equal(cv_fd_read_exact(fds[0], buf, 0), 0);
    assert_int_equal(close(fds[0]), 0);
    assert_int_equal(cv_fd_read_exact(fds[0], buf, 1), CV_ERR_IO);
    assert_int_equal(cv_fd_write_all(fds[0], buf, 1), CV_ERR_IO);
}

static void links_are_followed_when_ours(void **state)
{
    (void)state;
    struct cv_error err;
    struct stat st;
    char link_path[160];
    (void)snprintf(link_path, sizeof(link_path), "%s/link", dir);
    assert_code(cv_file_replace(path, CV_BYTES_LIT("a"), 0600, &err), 0, &err);
    assert_int_equal(symlink(path, link_path), 0);
    assert_code(cv_file_replace(link_path, CV_BYTES_LIT("b"), 0600, &err), 0, &err);
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    assert_content(path, "b");
    assert_code(cv_file_create(link_path, CV_BYTES_LIT("c"), 0600, &err), CV_ERR_EXISTS, &err);
    if (geteuid() == 0) {
        assert_int_equal(lchown(link_path, 65534, 65534), 0);
        assert_code(cv_file_replace(link_path, CV_BYTES_LIT("c"), 0600, &err), CV_ERR_DENIED, &err);
        assert_content(path, "b");
    }
    assert_int_equal(unlink(path), 0);
    if (geteuid() == 0)
        assert_int_equal(lchown(link_path, 0, 0), 0);
    assert_code(cv_file_replace(link_path, CV_BYTES_LIT("c"), 0600, &err), CV_ERR_NOT_FOUND, &err);
}

static void root_keeps_the_owner(void **state)
{
    (void)state;
    if (geteuid() != 0)
        return;
    struct cv_error err;
    struct stat st;
    char lock[160];
    int fd;
    (void)snprintf(lock, sizeof(lock), "%s/lock", dir);
    assert_int_equal(chown(dir, 1234, 1235), 0);
    assert_code(cv_file_replace(path, CV_BYTES_LIT("a"), 0600, &err), 0, &err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 1234);
    assert_int_equal(st.st_gid, 1235);
    assert_int_equal(chown(path, 1236, 1237), 0);
    assert_code(cv_file_replace(path, CV_BYTES_LIT("b"), 0600, &err), 0, &err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_uid, 1236);
    assert_code(cv_file_lock(&fd, lock, 0, &err), 0, &err);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_uid, 1234);
    assert_int_equal(close(fd), 0);
}

static void locks_exclude(void **state)
{
    (void)state;
    struct cv_error err;
    int a, b;
    assert_code(cv_file_lock(&a, path, 0, &err), 0, &err);
    assert_true((fcntl(a, F_GETFD) & FD_CLOEXEC) != 0);
    int64_t start = cv_now_ms();
    assert_code(cv_file_lock(&b, path, 0, &err), CV_ERR_BUSY, &err); /* the same process, even */
    assert_true(cv_now_ms() - start < 1000);
    assert_int_equal(b, -1);
    start = cv_now_ms();
    assert_code(cv_file_lock(&b, path, cv_deadline(80), &err), CV_ERR_BUSY, &err);
    assert_true(cv_now_ms() - start >= 79);
    assert_says(&err, "locked");

    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) { /* waits until the parent lets go */
        (void)close(a);
        _exit(cv_file_lock(&b, path, cv_deadline(10000), NULL) == 0 ? 42 : 1);
    }
    cv_sleep_ms(50);
    assert_int_equal(close(a), 0);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 42);
    assert_code(cv_file_lock(&a, path, 0, &err), 0, &err); /* a dead holder holds nothing */
    assert_int_equal(close(a), 0);
    assert_code(cv_file_lock(&a, "/nonexistent/lock", 0, &err), CV_ERR_NOT_FOUND, &err);
    assert_code(cv_file_lock(&a, dir, 0, &err), CV_ERR_IO, &err);
}

static void directories(void **state)
{
    (void)state;
    struct cv_error err;
    struct stat st;
    char deep[160];
    (void)snprintf(deep, sizeof(deep), "%s/a//b/c/", dir);
    assert_code(cv_dir_make(deep, 0700, &err), 0, &err);
    assert_int_equal(stat(deep, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_code(cv_dir_make(deep, 0700, &err), 0, &err);
    assert_code(cv_dir_make("/", 0700, &err), 0, &err);
    assert_code(cv_dir_make("", 0700, &err), CV_ERR_INVALID, &err);
    assert_code(cv_file_create(path, CV_BYTES_LIT(""), 0600, &err), 0, &err);
    assert_code(cv_dir_make(path, 0700, &err), CV_ERR_EXISTS, &err);
    (void)snprintf(deep, sizeof(deep), "%s/x", path);
    assert_code(cv_dir_make(deep, 0700, &err), CV_ERR_IO, &err);
    assert_code(cv_dir_sync(dir, &err), 0, &err);
    assert_code(cv_dir_sync("/nonexistent", &err), CV_ERR_NOT_FOUND, &err);
}

static void path_joining(void **state)
{
    (void)state;
    char out[16];
    assert_int_equal(cv_path_join(out, sizeof(out), "/a", "b"), 0);
    assert_string_equal(out, "/a/b");
    assert_int_equal(cv_path_join(out, sizeof(out), "/a//", "b"), 0);
    assert_string_equal(out, "/a/b");
    assert_int_equal(cv_path_join(out, sizeof(out), "/", "b"), 0);
    assert_string_equal(out, "/b");
    assert_int_equal(cv_path_join(out, sizeof(out), "", "b"), 0);
    assert_string_equal(out, "b");
    assert_int_equal(cv_path_join(out, sizeof(out), "/12345678", "12345"), 0);
    assert_int_equal(cv_path_join(out, sizeof(out), "/12345678", "123456"), CV_ERR_LIMIT);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(replaces_and_creates),
        T(creates_without_renameat2),
        T(interrupted_and_short_calls_go_on),
        T(failing_disks),
        T(file_size_limit),
        T(full_disk),
        T(reads_are_bounded),
        T(pipes_are_read_to_their_end),
        T(links_are_followed_when_ours),
        T(root_keeps_the_owner),
        T(locks_exclude),
        T(directories),
        T(path_joining),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
