/* SPDX-License-Identifier: Apache-2.0 */
/* Trees, archives damaged in every way, and the cpio writer. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/file.h"
#include "eif/ramdisk.h"
#include "eif/source.h"
#include "unit/mutate.h"

static struct cv_error err;

static int open_bytes(struct cv_source *s, struct cv_source_options *o, const void *p, size_t n)
{
    static char path[64];
    int fd = memfd_create("source", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(cv_fd_write_all(fd, p, n), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    *o = (struct cv_source_options){
        .path = path, .arch = "amd64", .spool_dir = "/tmp", .max_bytes = 1u << 20};
    int rc = cv_source_open(s, o, &err);
    close(fd);
    return rc;
}

static void corpus(struct cv_buf *out, const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/../fuzz/corpus/fuzz_source/%s", getenv("CV_VECTORS"), name);
    cv_buf_init(out, 1u << 20);
    assert_int_equal(cv_file_read(out, path, &err), 0);
}

struct seen {
    size_t full, accepted;
};

static void try_one(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    struct seen *seen = ctx;
    struct cv_source s;
    struct cv_source_options o;
    (void)what;
    cv_error_clear(&err);
    int rc = open_bytes(&s, &o, p, n);
    if (rc == 0) {
        seen->accepted++;
        cv_source_close(&s);
    } else {
        assert_true(err.count > 0);
    }
}

static void test_truncations(void **state)
{
    (void)state;
    static const char *const names[] = {"plain.tar",   "plain.tgz", "plain.tzst", "gsparse.tar",
                                        "psparse.tar", "gnu.tar",   "docker.tar", "oci.tar"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct cv_buf raw;
        struct seen seen = {0, 0};
        corpus(&raw, names[i]);
        /* Both blocks of zeros at the end may be missing in part: one is enough. */
        size_t n = raw.n;
        try_one(&seen, raw.p, n, "whole");
        assert_int_equal(seen.accepted, 1);
        seen.accepted = 0;
        mutate_truncations(raw.p, n > 512 ? n - 512 : n, try_one, &seen);
        assert_int_equal(seen.accepted, 0);
        cv_buf_free(&raw);
    }
}

static void test_bit_flips(void **state)
{
    (void)state;
    struct cv_buf raw;
    struct seen seen = {0, 0};
    corpus(&raw, "plain.tgz");
    mutate_bit_flips(raw.p, raw.n, try_one, &seen);
    /* Of the gzip header, fields without meaning: time, flags, system. */
    assert_true(seen.accepted < 60);
    cv_buf_free(&raw);
    /* Its content has a checksum; what is left are bits of the coding without meaning. */
    corpus(&raw, "plain.tzst");
    seen.accepted = 0;
    mutate_bit_flips(raw.p, raw.n, try_one, &seen);
    assert_true(seen.accepted < 30);
    cv_buf_free(&raw);
    corpus(&raw, "plain.tar");
    mutate_bit_flips(raw.p, raw.n, try_one, &seen);
    cv_buf_free(&raw);
}

/* ---- trees ---- */

static struct cv_tree tree;

static int put(const char *path, uint32_t mode, const char *target)
{
    struct cv_tree_attr attr = {.mode = mode, .target = target};
    return cv_tree_put(&tree, path, &attr, &err);
}

static void test_layers(void **state)
{
    (void)state;
    assert_int_equal(cv_tree_init(&tree, 1000, &err), 0);
    assert_int_equal(put("d/a", S_IFREG | 0644, NULL), 0);
    assert_int_equal(put("d/sub/b", S_IFREG | 0644, NULL), 0);
    assert_int_equal(put("file", S_IFREG | 0644, NULL), 0);
    cv_tree_next_layer(&tree);
    assert_int_equal(put("d/new", S_IFREG | 0644, NULL), 0);
    assert_int_equal(put("d/sub/c", S_IFREG | 0644, NULL), 0);
    /* Wherever it stands in the layer, it hides the layers below only. */
    assert_int_equal(cv_tree_opaque(&tree, "d", &err), 0);
    assert_null(cv_tree_find(&tree, "d/a", false));
    assert_null(cv_tree_find(&tree, "d/sub/b", false));
    assert_non_null(cv_tree_find(&tree, "d/new", false));
    assert_non_null(cv_tree_find(&tree, "d/sub/c", false));
    assert_int_equal(cv_tree_whiteout(&tree, "d/new", &err), 0);
    assert_non_null(cv_tree_find(&tree, "d/new", false));
    assert_int_equal(cv_tree_whiteout(&tree, "file", &err), 0);
    assert_null(cv_tree_find(&tree, "file", false));
    assert_int_equal(cv_tree_whiteout(&tree, "absent/x", &err), 0);
    assert_int_not_equal(cv_tree_whiteout(&tree, ".", &err), 0);
    assert_int_equal(tree.count, 4);
    cv_tree_free(&tree);
}

static void test_links(void **state)
{
    (void)state;
    assert_int_equal(cv_tree_init(&tree, 1000, &err), 0);
    assert_int_equal(put("real/dir", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(put("link", S_IFLNK | 0777, "/real"), 0);
    assert_int_equal(put("real/up", S_IFLNK | 0777, "../../../real/dir"), 0);
    assert_int_equal(put("link/up/x", S_IFREG | 0644, NULL), 0);
    assert_ptr_equal(cv_tree_find(&tree, "real/dir/x", false),
                     cv_tree_find(&tree, "link/dir/x", false));
    assert_non_null(cv_tree_find(&tree, "real/dir/x", false));
    /* A link at the end of a path is replaced, not followed. */
    assert_int_equal(put("link", S_IFREG | 0644, NULL), 0);
    assert_true(S_ISREG(cv_tree_find(&tree, "link", false)->mode));
    assert_true(S_ISDIR(cv_tree_find(&tree, "real", false)->mode));
    assert_int_equal(put("loop", S_IFLNK | 0777, "loop"), 0);
    assert_int_not_equal(put("loop/x", S_IFREG | 0644, NULL), 0);
    assert_int_not_equal(cv_tree_link(&tree, "hard", "real", &err), 0);
    assert_int_not_equal(cv_tree_link(&tree, "hard", "nothing", &err), 0);
    assert_int_not_equal(put("a/../b", S_IFREG | 0644, NULL), 0);
    assert_int_not_equal(put("/", S_IFREG | 0644, NULL), 0);
    assert_int_equal(put("/", S_IFDIR | 0700, NULL), 0);
    cv_tree_free(&tree);
}

static void test_hard_links_share_and_outlive(void **state)
{
    (void)state;
    assert_int_equal(cv_tree_init(&tree, 100, &err), 0);
    struct cv_tree_attr attr = {.mode = S_IFREG | 0644, .blob = cv_tree_blob_new(-1, 0, 60)};
    assert_int_equal(cv_tree_put(&tree, "d/one", &attr, &err), 0);
    assert_int_equal(cv_tree_link(&tree, "two", "d/one", &err), 0);
    assert_int_equal(tree.bytes, 60);
    /* The link takes the place of the folder that its target lies in. */
    assert_int_equal(cv_tree_link(&tree, "d", "d/one", &err), 0);
    assert_int_equal(cv_tree_find(&tree, "two", false)->blob->refs, 2);
    assert_int_equal(tree.bytes, 60);
    attr.blob = cv_tree_blob_new(-1, 0, 60);
    assert_int_equal(cv_tree_put(&tree, "three", &attr, &err), CV_ERR_LIMIT);
    assert_int_equal(cv_tree_link(&tree, "two", "two", &err), 0);
    assert_int_equal(put("two", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(put("d", S_IFDIR | 0755, NULL), 0);
    assert_int_equal(tree.bytes, 0);
    cv_tree_free(&tree);
}

/* ---- cpio ---- */

static int collect(void *ctx, const void *p, size_t n, struct cv_error *e)
{
    (void)e;
    return cv_buf_append(ctx, p, n);
}

static void test_cpio(void **state)
{
    (void)state;
    struct cv_buf out;
    cv_buf_init(&out, 65536);
    struct cv_cpio c;
    cv_cpio_init(&c, (struct cv_sink){collect, &out});
    assert_int_equal(cv_ramdisk_file(&c, "a", 0640, CV_BYTES_LIT("12345"), &err), 0);
    assert_int_equal(cv_cpio_end(&c, &err), 0);
    static const char want[] = "07070100000001000081A0000000000000000000000001000000000000000500"
                               "00000000000000000000000000000000000002"
                               "00000000a\0"
                               "12345\0\0\0";
    assert_int_equal(out.n, 512);
    assert_memory_equal(out.p, want, sizeof want - 1);
    assert_memory_equal(out.p + sizeof want - 1, "070701", 6);
    struct cv_cpio_entry e = {.name = "b", .mode = S_IFREG, .size = (uint64_t)1 << 32};
    assert_int_equal(cv_cpio_entry(&c, &e, &err), CV_ERR_LIMIT);
    e.size = 2;
    assert_int_equal(cv_cpio_entry(&c, &e, &err), 0);
    assert_int_equal(cv_cpio_data(&c, "xyz", 3, &err), CV_ERR_STATE);
    assert_int_equal(cv_cpio_end(&c, &err), CV_ERR_STATE);
    cv_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_bit_flips),
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_hard_links_share_and_outlive),
        cmocka_unit_test(test_cpio),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
