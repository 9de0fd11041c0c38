/* SPDX-License-Identifier: Apache-2.0 */
/* The store: durability order, restart, witness, poisoning, lock. */
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/file.h"
#include "unit/watermark_samples.h"
#include "watermark/log.h"
#include "watermark/store.h"
#include "watermark/witness.h"

static char dir[64];
static char witness[128];
static char log_path[96];
static char keys[96];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/cv-wm-store-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        return -1;
    }
    snprintf(keys, sizeof keys, "%s/keys.json", dir);
    snprintf(witness, sizeof witness, "%s.witness", keys);
    snprintf(log_path, sizeof log_path, "%s/store/%s", dir, CV_WM_LOG_NAME);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static const char *store_dir(void)
{
    static char store[96];
    snprintf(store, sizeof store, "%s/store", dir);
    return store;
}

static struct cv_wm_options options(void)
{
    struct cv_keystore *ks = NULL;
    assert_int_equal(cv_keystore_open_file(&ks, keys, NULL), CV_OK);
    return (struct cv_wm_options){
        .directory = store_dir(), .keystore = ks, .create = true, .spare_blocks = 4};
}

static struct cv_wm_store *must_open(void)
{
    struct cv_wm_options o = options();
    struct cv_wm_store *s = NULL;
    struct cv_error err;
    cv_error_clear(&err);
    int r = cv_wm_open(&s, &o, &err);
    if (r != CV_OK) {
        print_error("%s\n", cv_error_top(&err));
    }
    assert_int_equal(r, CV_OK);
    return s;
}

static void wait_durable(struct cv_wm_store *s, uint64_t seq)
{
    cv_wm_kick(s);
    for (int i = 0; cv_wm_durable(s) < seq && i < 500; i++) {
        struct pollfd p = {.fd = cv_wm_fd(s), .events = POLLIN};
        (void)poll(&p, 1, 10);
        cv_wm_collect(s);
    }
    assert_true(cv_wm_durable(s) >= seq);
}

static void know(struct cv_wm_store *s, unsigned key)
{
    uint64_t seq;
    struct cv_mark m = sample_known(key);
    assert_int_equal(cv_wm_raise(s, &m, &seq), CV_OK);
    wait_durable(s, seq);
}

static void test_restart(void **state)
{
    (void)state;
    struct cv_wm_store *s = must_open();
    assert_true(cv_wm_is_new(s));
    uint64_t seq;
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 5, 0, 1);
    assert_int_equal(cv_wm_reserve(s, &m, &seq), CV_ERR_NOT_FOUND);
    know(s, 1);
    assert_int_equal(cv_wm_reserve(s, &m, &seq), CV_OK);
    wait_durable(s, seq);
    cv_wm_close(s);

    s = must_open();
    assert_false(cv_wm_is_new(s));
    uint64_t again;
    assert_int_equal(cv_wm_reserve(s, &m, &again), CV_OK); /* the same request */
    assert_true(again <= cv_wm_durable(s));
    struct cv_mark other = sample_mark(1, CV_MARK_BLOCK, 5, 0, 2);
    assert_int_equal(cv_wm_reserve(s, &other, &seq), CV_ERR_DENIED);
    other = sample_mark(1, CV_MARK_BLOCK, -1, 0, 2);
    assert_int_equal(cv_wm_reserve(s, &other, &seq), CV_ERR_INVALID);
    cv_wm_close(s);
}

static void test_repeat_waits_for_its_mark(void **state)
{
    (void)state;
    struct cv_wm_store *s = must_open();
    know(s, 1);
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 5, 0, 1);
    uint64_t first;
    uint64_t second;
    assert_int_equal(cv_wm_reserve(s, &m, &first), CV_OK);
    assert_int_equal(cv_wm_reserve(s, &m, &second), CV_OK);
    assert_int_equal(first, second);
    assert_true(cv_wm_durable(s) < second); /* nothing was flushed yet */
    wait_durable(s, second);
    cv_wm_close(s);
}

static void test_many_flushes_renew_the_log(void **state)
{
    (void)state;
    struct cv_wm_store *s = must_open();
    know(s, 1);
    uint64_t seq = 0;
    for (int32_t i = 1; i < 3000; i++) {
        struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, i, 0, (uint8_t)i);
        assert_int_equal(cv_wm_reserve(s, &m, &seq), CV_OK);
        if (i % 7 == 0) {
            wait_durable(s, seq);
        }
    }
    wait_durable(s, seq);
    cv_wm_close(s);
    s = must_open();
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 2999, 0, 1);
    assert_int_equal(cv_wm_reserve(s, &m, &seq), CV_ERR_DENIED);
    cv_wm_close(s);
}

static void test_queue_is_bounded(void **state)
{
    (void)state;
    struct cv_wm_store *s = must_open();
    know(s, 1);
    int r = CV_OK;
    uint64_t seq;
    int32_t n = 0;
    while (r == CV_OK && n < 100000) {
        struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, ++n, 0, 1);
        m.hash[1] = (uint8_t)n;
        m.hash[2] = (uint8_t)(n >> 8);
        r = cv_wm_reserve(s, &m, &seq);
    }
    assert_int_equal(r, CV_ERR_BUSY);
    assert_int_equal(cv_wm_sync(s, NULL), CV_OK);
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, n, 0, 9);
    assert_int_equal(cv_wm_reserve(s, &m, &seq), CV_OK);
    cv_wm_close(s);
}

static void expect_refusal(int code, const char *part)
{
    struct cv_wm_options o = options();
    struct cv_wm_store *s = NULL;
    struct cv_error err;
    char text[1024];
    cv_error_clear(&err);
    assert_int_equal(cv_wm_open(&s, &o, &err), code);
    assert_non_null(strstr(cv_error_format(text, sizeof text, &err), part));
}

static void test_deleted_store(void **state)
{
    (void)state;
    struct cv_wm_store *s = must_open();
    cv_wm_close(s);
    assert_int_equal(unlink(log_path), 0);
    expect_refusal(CV_ERR_NOT_FOUND, "watermark init --replace");
}

static void copy_file(const char *from, const char *to)
{
    struct cv_buf b;
    cv_buf_init(&b, CV_WM_FILE_MAX);
    assert_int_equal(cv_file_read(&b, from, NULL), CV_OK);
    assert_int_equal(cv_file_replace(to, cv_buf_view(&b), 0600, NULL), CV_OK);
    cv_buf_free(&b);
}

static void test_older_copy(void **state)
{
    (void)state;
    char saved[96];
    snprintf(saved, sizeof saved, "%s/saved", dir);
    struct cv_wm_store *s = must_open();
    know(s, 1);
    copy_file(log_path, saved);
    uint64_t seq;
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 5, 0, 1);
    assert_int_equal(cv_wm_reserve(s, &m, &seq), CV_OK);
    wait_durable(s, seq);
    cv_wm_close(s);
    /* Same epoch, but the witness was told at the close how far it had come. */
    char newest[96];
    snprintf(newest, sizeof newest, "%s/newest", dir);
    copy_file(log_path, newest);
    copy_file(saved, log_path);
    expect_refusal(CV_ERR_STATE, "older copy");
    copy_file(newest, log_path);
    cv_wm_close(must_open());
    copy_file(newest, log_path); /* of the epoch before */
    expect_refusal(CV_ERR_STATE, "older copy");
}

static void test_other_machine(void **state)
{
    (void)state;
    cv_wm_close(must_open());
    struct cv_wm_witness w;
    struct cv_keystore *ks = options().keystore;
    assert_int_equal(cv_wm_witness_load(&w, ks, NULL), CV_OK);
    w.store_id[0] ^= 1;
    assert_int_equal(cv_wm_witness_save(&w, ks, NULL), CV_OK);
    cv_keystore_close(ks);
    expect_refusal(CV_ERR_STATE, "watermark init --adopt");
    unlink(witness);
    cv_wm_close(must_open()); /* epoch 1: a crash may have come before the witness */
    unlink(witness);
    expect_refusal(CV_ERR_STATE, "is missing");
}

static void test_damaged(void **state)
{
    (void)state;
    cv_wm_close(must_open());
    struct cv_buf b;
    cv_buf_init(&b, CV_WM_FILE_MAX);
    assert_int_equal(cv_file_read(&b, log_path, NULL), CV_OK);
    b.p[0] ^= 1;
    b.p[b.n / 2] ^= 1;
    assert_int_equal(cv_file_replace(log_path, cv_buf_view(&b), 0600, NULL), CV_OK);
    cv_buf_free(&b);
    expect_refusal(CV_ERR_INVALID, "is damaged");
}

static void test_lock(void **state)
{
    (void)state;
    struct cv_wm_store *s = must_open();
    expect_refusal(CV_ERR_BUSY, "stop the daemon first");
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    assert_int_equal(cv_wm_read(marks, store_dir(), NULL), CV_OK); /* reading needs no lock */
    cv_marks_free(marks);
    cv_wm_close(s);
}

static void test_poison(void **state)
{
    (void)state;
    struct cv_wm_store *s = must_open();
    know(s, 1);
    /* No file may grow: the renewal of the full log fails. */
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    uint64_t seq = 0;
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 5, 0, 1);
    assert_int_equal(cv_wm_reserve(s, &m, &seq), CV_OK);
    struct cv_error err;
    cv_error_clear(&err);
    int r = cv_wm_sync(s, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(r, CV_ERR_IO);
    assert_true(cv_wm_poisoned(s, NULL));
    assert_true(cv_wm_durable(s) < seq); /* its signature must not leave */
    m = sample_mark(1, CV_MARK_BLOCK, 6, 0, 1);
    assert_int_equal(cv_wm_reserve(s, &m, &seq), CV_ERR_STATE);
    cv_wm_close(s);
    s = must_open(); /* a restart goes on from what is on the disk */
    assert_int_equal(cv_wm_reserve(s, &m, &seq), CV_OK);
    cv_wm_close(s);
}

static void test_raise_never_lowers(void **state)
{
    (void)state;
    struct cv_wm_store *s = must_open();
    uint64_t seq;
    struct cv_mark m = sample_mark(1, CV_MARK_BLOCK, 5, 0, 1);
    assert_int_equal(cv_wm_raise(s, &m, &seq), CV_OK);
    m = sample_mark(1, CV_MARK_BLOCK, 4, 9, 1);
    assert_int_equal(cv_wm_raise(s, &m, &seq), CV_ERR_DENIED);
    cv_wm_close(s);
}

static void test_witness_text(void **state)
{
    (void)state;
    struct cv_wm_witness w = {.epoch = 3, .floor = 1ull << 63};
    memset(w.store_id, 0xab, sizeof w.store_id);
    struct cv_keystore *ks = options().keystore;
    assert_int_equal(cv_wm_witness_save(&w, ks, NULL), CV_OK);
    cv_keystore_close(ks);
    struct cv_buf b;
    cv_buf_init(&b, 4096);
    assert_int_equal(cv_file_read(&b, witness, NULL), CV_OK);
    struct cv_wm_witness back;
    assert_int_equal(cv_wm_witness_parse(&back, cv_buf_view(&b), NULL), CV_OK);
    assert_int_equal(back.floor, w.floor);
    for (size_t n = 0; n < b.n; n++) {
        assert_int_not_equal(cv_wm_witness_parse(&back, CV_BYTES(b.p, n), NULL), CV_OK);
    }
    cv_buf_free(&b);
}

#define WITH_DIR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DIR(test_restart),
        WITH_DIR(test_repeat_waits_for_its_mark),
        WITH_DIR(test_many_flushes_renew_the_log),
        WITH_DIR(test_queue_is_bounded),
        WITH_DIR(test_deleted_store),
        WITH_DIR(test_older_copy),
        WITH_DIR(test_other_machine),
        WITH_DIR(test_damaged),
        WITH_DIR(test_lock),
        WITH_DIR(test_poison),
        WITH_DIR(test_raise_never_lowers),
        WITH_DIR(test_witness_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
