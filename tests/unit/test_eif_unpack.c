/* SPDX-License-Identifier: Apache-2.0 */
/* Ramdisks into folders: what comes out, and that nothing leaves the folder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#include "eif/cpio.h"
#include "eif/unpack.h"
#include "unit/eif_support.h"

static struct cv_error err;
static char top[64];

static int to_buf(void *ctx, const void *p, size_t n, struct cv_error *e)
{
    (void)e;
    return cv_buf_append(ctx, p, n);
}

struct archive {
    struct cv_buf bytes;
    struct cv_cpio cpio;
};

static void begin(struct archive *a)
{
    cv_buf_init(&a->bytes, 1 << 20);
    cv_cpio_init(&a->cpio, (struct cv_sink){to_buf, &a->bytes});
}

static void add(struct archive *a, const char *name, uint32_t mode, const char *data,
                struct cv_cpio_entry more)
{
    more.name = name;
    more.mode = mode;
    more.nlink = more.nlink != 0 ? more.nlink : 1;
    more.size = strlen(data);
    assert_int_equal(cv_cpio_entry(&a->cpio, &more, NULL), 0);
    assert_int_equal(cv_cpio_data(&a->cpio, data, strlen(data), NULL), 0);
}
#define ADD(a, name, mode, data, ...) add(a, name, mode, data, (struct cv_cpio_entry){__VA_ARGS__})

static int unpack(struct archive *a, int dir, struct cv_unpack_count *n)
{
    assert_int_equal(cv_cpio_end(&a->cpio, NULL), 0);
    struct cv_eif eif = {.fd = image_fd(a->bytes.p, a->bytes.n), .file_size = a->bytes.n};
    struct cv_eif_section s = {CV_EIF_RAMDISK, 0, a->bytes.n};
    int rc = cv_eif_unpack(&eif, &s, dir, n, &err);
    close(eif.fd);
    cv_buf_free(&a->bytes);
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)flag;
    (void)f;
    return remove(path);
}

/* A folder that the archive made unwritable keeps its files from whoever is not root. */
static int open_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
    (void)st;
    (void)f;
    return flag == FTW_D || flag == FTW_DNR ? chmod(path, 0700) : 0;
}

static int setup(void **state)
{
    char inside[80];
    (void)state;
    snprintf(top, sizeof top, "/tmp/cv-unpack-XXXXXX");
    assert_non_null(mkdtemp(top));
    snprintf(inside, sizeof inside, "%s/in", top);
    return mkdir(inside, 0700);
}

static int teardown(void **state)
{
    (void)state;
    return nftw(top, open_one, 16, FTW_PHYS) != 0 ||
           nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0;
}

static int inside(void)
{
    char path[80];
    snprintf(path, sizeof path, "%s/in", top);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void assert_content(int dir, const char *name, const char *want)
{
    char got[64] = "";
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, got, sizeof got - 1), (ssize_t)strlen(want));
    assert_string_equal(got, want);
    close(fd);
}

static void test_all_kinds(void **state)
{
    struct archive a;
    struct cv_unpack_count n;
    struct stat st, other;
    char target[16] = "";
    int dir = inside();
    (void)state;
    begin(&a);
    ADD(&a, "etc", S_IFDIR | 0555, "");
    ADD(&a, "etc/shadow", S_IFREG | 0400, "secret");
    ADD(&a, "bin", S_IFDIR | 0755, "");
    ADD(&a, "bin/su", S_IFREG | 04755, "program", .uid = 0);
    ADD(&a, "one", S_IFREG | 0444, "", .ino = 77, .nlink = 2);
    ADD(&a, "two", S_IFREG | 0444, "shared", .ino = 77, .nlink = 2);
    ADD(&a, "link", S_IFLNK | 0777, "etc/shadow");
    ADD(&a, "pipe", S_IFIFO | 0640, "");
    ADD(&a, "null", S_IFCHR | 0666, "", .rmajor = 1, .rminor = 3);
    assert_int_equal(unpack(&a, dir, &n), 0);
    assert_int_equal(n.files, 9);
    assert_int_equal(n.skipped, 1);
    assert_content(dir, "etc/shadow", "secret");
    assert_content(dir, "one", "shared");
    assert_int_equal(fstatat(dir, "one", &st, 0), 0);
    assert_int_equal(fstatat(dir, "two", &other, 0), 0);
    assert_int_equal(st.st_ino, other.st_ino);
    assert_int_equal(st.st_mode & 07777, 0444);
    assert_int_equal(fstatat(dir, "etc", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 0555);
    assert_int_equal(fstatat(dir, "bin/su", &st, 0), 0);
    assert_int_equal(st.st_mode & 07777, 04755);
    assert_int_equal(readlinkat(dir, "link", target, sizeof target - 1), 10);
    assert_string_equal(target, "etc/shadow");
    assert_int_equal(fstatat(dir, "null", &st, AT_SYMLINK_NOFOLLOW), -1);
    close(dir);
}

/* Each of these would write, or change a mode, outside. */
static void test_nothing_leaves(void **state)
{
    static const char *const names[] = {"../out", "/tmp/out", "a/../../out", "..",
                                        "./x",    "a//b",     "a/",          ""};
    struct cv_unpack_count n;
    struct archive a;
    struct stat st, before;
    int dir = inside();
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        begin(&a);
        /* The writer refuses such names too. */
        struct cv_cpio_entry e = {.name = "x", .mode = S_IFREG | 0644, .nlink = 1};
        assert_int_equal(cv_cpio_entry(&a.cpio, &e, NULL), 0);
        size_t len = strlen(names[i]);
        cv_buf_reset(&a.bytes);
        assert_int_equal(
            cv_buf_printf(&a.bytes, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08zx%08x",
                          1, S_IFREG | 0644, 0, 0, 1, 0, 0, 0, 0, 0, 0, len + 1, 0),
            0);
        assert_int_equal(cv_buf_append(&a.bytes, names[i], len + 1), 0);
        while (a.bytes.n % 4 != 0)
            assert_int_equal(cv_buf_append_u8(&a.bytes, 0), 0);
        assert_int_not_equal(unpack(&a, dir, &n), 0);
    }
    assert_int_equal(fstatat(dir, "..", &before, 0), 0);
    begin(&a);
    ADD(&a, "way", S_IFLNK | 0777, "..");
    ADD(&a, "way/out", S_IFREG | 0644, "x");
    assert_int_not_equal(unpack(&a, dir, &n), 0);
    begin(&a);
    ADD(&a, "way2", S_IFLNK | 0777, "..");
    ADD(&a, "way2", S_IFDIR | 0777, "");
    assert_int_not_equal(unpack(&a, dir, &n), 0);
    begin(&a);
    ADD(&a, "file", S_IFLNK | 0777, "../out");
    ADD(&a, "file", S_IFREG | 0644, "x");
    assert_int_not_equal(unpack(&a, dir, &n), 0);
    assert_int_equal(fstatat(dir, "../out", &st, 0), -1);
    assert_int_equal(fstatat(dir, "..", &st, 0), 0);
    assert_int_equal(st.st_mode, before.st_mode);
    close(dir);
}

static void test_truncations(void **state)
{
    struct archive a;
    struct cv_unpack_count n;
    (void)state;
    begin(&a);
    ADD(&a, "folder", S_IFDIR | 0755, "");
    ADD(&a, "folder/file", S_IFREG | 0644, "content");
    size_t whole = a.bytes.n;
    uint8_t *copy = malloc(whole);
    memcpy(copy, a.bytes.p, whole);
    cv_buf_free(&a.bytes);
    for (size_t k = 1; k < whole; k++) {
        int dir = inside();
        struct cv_eif eif = {.fd = image_fd(copy, k), .file_size = k};
        struct cv_eif_section s = {CV_EIF_RAMDISK, 0, k};
        int rc = cv_eif_unpack(&eif, &s, dir, &n, &err);
        /* An archive may end after an entry: the kernel wants no trailer either. */
        if (rc == 0)
            assert_true(n.files == 1);
        (void)unlinkat(dir, "folder/file", 0);
        (void)unlinkat(dir, "folder", AT_REMOVEDIR);
        close(eif.fd);
        close(dir);
    }
    free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_kinds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_leaves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncations, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
