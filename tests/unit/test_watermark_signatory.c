/* SPDX-License-Identifier: Apache-2.0 */
/* Signatory's files: three generations, both directions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/file.h"
#include "unit/mutate.h"
#include "watermark/signatory.h"

#define KEY "tz1WGcYos3hL7GXYXjKrMnSFdkT7FyXnFBvf"
#define HASH "vh2THNfr1pU3TjJyJkw7BKq19suqMX1W9PXRVAgpueELhGTAuhSx"
#define CHAIN "NetXo5iVw1vBoxM"

static uint8_t chain[CV_MARK_CHAIN_LEN];

static int put(void *ctx, const struct cv_mark *mark)
{
    return cv_marks_put(ctx, mark);
}

static const struct cv_mark *find(struct cv_marks *marks, enum cv_mark_kind kind)
{
    struct cv_pkh pkh;
    assert_int_equal(cv_pkh_parse(&pkh, cv_bytes_str(KEY)), CV_OK);
    return cv_marks_find(marks, &pkh, kind, chain);
}

static struct cv_marks *parse(enum cv_wm_signatory_version version, const char *text)
{
    struct cv_marks *marks;
    struct cv_error err;
    cv_error_clear(&err);
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    int r = cv_wm_signatory_parse(version, chain, cv_bytes_str(text), put, marks, &err);
    if (r != CV_OK) {
        print_error("%s\n", cv_error_top(&err));
    }
    assert_int_equal(r, CV_OK);
    return marks;
}

static void check(struct cv_marks *marks, enum cv_mark_kind kind, int32_t level, int32_t round,
                  bool hash)
{
    const struct cv_mark *m = find(marks, kind);
    assert_non_null(m);
    assert_int_equal(m->level, level);
    assert_int_equal(m->round, round);
    assert_int_equal(m->has_hash, hash);
}

static void test_v2(void **state)
{
    (void)state;
    struct cv_marks *m =
        parse(CV_WM_SIGNATORY_V2,
              "{\"" KEY "\":{\"block\":{\"level\":2,\"round\":0,\"hash\":\"" HASH "\"},"
              "\"endorsement\":{\"level\":7,\"round\":1,\"hash\":null},"
              "\"preattestation\":{\"level\":8,\"round\":3,\"hash\":null}}}");
    check(m, CV_MARK_BLOCK, 2, 0, true);
    check(m, CV_MARK_ATTESTATION, 7, 1, false);
    check(m, CV_MARK_PREATTESTATION, 8, 3, false);
    cv_marks_free(m);
}

static void test_v1_orders(void **state)
{
    (void)state;
    /* An endorsement at 9.0 came last: block and preendorsement of 9.0 may
     * have been signed before it. */
    struct cv_marks *m =
        parse(CV_WM_SIGNATORY_V1,
              "{\"" KEY "\":{\"level\":9,\"round\":null,\"order\":2,\"hash\":\"" HASH "\"}}");
    check(m, CV_MARK_BLOCK, 9, 0, false);
    check(m, CV_MARK_PREATTESTATION, 9, 0, false);
    check(m, CV_MARK_ATTESTATION, 9, 0, true);
    cv_marks_free(m);
    /* A block at 9.0 came last: the others of level 8 may have been signed. */
    m = parse(CV_WM_SIGNATORY_V1,
              "{\"" KEY "\":{\"level\":9,\"round\":0,\"order\":0,\"hash\":null}}");
    check(m, CV_MARK_BLOCK, 9, 0, false);
    check(m, CV_MARK_PREATTESTATION, 8, INT32_MAX, false);
    check(m, CV_MARK_ATTESTATION, 8, INT32_MAX, false);
    cv_marks_free(m);
    m = parse(CV_WM_SIGNATORY_V1,
              "{\"" KEY "\":{\"level\":9,\"round\":4,\"order\":1,\"hash\":null}}");
    check(m, CV_MARK_PREATTESTATION, 9, 4, false);
    check(m, CV_MARK_ATTESTATION, 9, 3, false);
    cv_marks_free(m);
}

static void test_v0(void **state)
{
    (void)state;
    struct cv_marks *m =
        parse(CV_WM_SIGNATORY_V0,
              "{\"endorsement\":{\"" KEY "\":{\"level\":5,\"round\":1,\"hash\":null}},"
              "\"block\":{\"" KEY "\":{\"level\":4,\"round\":0,\"hash\":\"" HASH "\"}}}");
    check(m, CV_MARK_ATTESTATION, 5, 1, false);
    check(m, CV_MARK_BLOCK, 4, 0, true);
    cv_marks_free(m);
}

/* The version by the shape alone; hashes of other kinds tell no repeat. */
static void test_any(void **state)
{
    (void)state;
    struct cv_marks *m =
        parse(CV_WM_SIGNATORY_ANY,
              "{\"preendorsement\":{\"" KEY "\":{\"level\":5,\"round\":1,\"hash\":\"" KEY "\"}}}");
    check(m, CV_MARK_PREATTESTATION, 5, 1, false);
    cv_marks_free(m);
    m = parse(CV_WM_SIGNATORY_ANY,
              "{\"" KEY "\":{\"level\":9,\"round\":null,\"order\":2,\"hash\":\"other\"}}");
    check(m, CV_MARK_ATTESTATION, 9, 0, false);
    check(m, CV_MARK_BLOCK, 9, 0, false);
    cv_marks_free(m);
    m = parse(CV_WM_SIGNATORY_ANY,
              "{\"" KEY "\":{\"block\":{\"level\":4,\"round\":0,\"hash\":\"" HASH "\"}}}");
    check(m, CV_MARK_BLOCK, 4, 0, true);
    cv_marks_free(m);
    m = parse(CV_WM_SIGNATORY_ANY, "{}");
    assert_int_equal(cv_marks_count(m), 0);
    cv_marks_free(m);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{\"x\":{}}x",
        "{\"" KEY "\":1}",
        "{\"" KEY "\":{\"block\":1}}",
        "{\"" KEY "\":{\"foo\":{\"level\":1,\"round\":0,\"hash\":null}}}",
        "{\"" KEY "\":{\"block\":{\"level\":-1,\"round\":0,\"hash\":null}}}",
        "{\"" KEY "\":{\"block\":{\"level\":2147483648,\"round\":0,\"hash\":null}}}",
        "{\"" KEY "\":{\"block\":{\"level\":1.5,\"round\":0,\"hash\":null}}}",
        "{\"" KEY "\":{\"block\":{\"round\":0,\"hash\":null}}}",
        "{\"" KEY "\":{\"block\":{\"level\":1,\"round\":0,\"hash\":\"tz1\"}}}",
        "{\"" KEY "\":{\"block\":{\"level\":1,\"round\":0,\"hash\":\"" KEY "\"}}}",
        "{\"tz1bad\":{\"block\":{\"level\":1,\"round\":0,\"hash\":null}}}",
        "{\"" KEY "\":{},\"" KEY "\":{}}",
    };
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_not_equal(cv_wm_signatory_parse(CV_WM_SIGNATORY_V2, chain, cv_bytes_str(bad[i]),
                                                   put, marks, NULL),
                             CV_OK);
    }
    assert_int_equal(cv_marks_count(marks), 0);
    cv_marks_free(marks);
}

static void try_one(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    (void)ctx;
    (void)what;
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    int r = cv_wm_signatory_parse(CV_WM_SIGNATORY_V2, chain, CV_BYTES(p, n), put, marks, NULL);
    (void)r;
    cv_marks_free(marks);
}

static void test_mutations(void **state)
{
    (void)state;
    static const char text[] =
        "{\"" KEY "\":{\"block\":{\"level\":2,\"round\":0,\"hash\":\"" HASH "\"}}}";
    mutate_all(text, sizeof text - 1, try_one, NULL);
}

static void test_directories(void **state)
{
    (void)state;
    char base[] = "/tmp/cv-wm-sig-XXXXXX";
    char path[256];
    assert_non_null(mkdtemp(base));
    unsigned files;
    struct cv_marks *marks;
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    assert_int_equal(cv_wm_signatory_migrate(base, &files, put, marks, NULL), CV_OK);
    assert_int_equal(files, 0);
    static const char v0[] = "{\"block\":{\"" KEY "\":{\"level\":4,\"round\":0,\"hash\":null}}}";
    static const char v2[] = "{\"" KEY "\":{\"block\":{\"level\":6,\"round\":0,\"hash\":null}}}";
    snprintf(path, sizeof path, "%s/watermark", base);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/watermark/" CHAIN ".json", base);
    assert_int_equal(cv_file_create(path, CV_BYTES_LIT(v0), 0600, NULL), CV_OK);
    assert_int_equal(cv_wm_signatory_migrate(base, &files, put, marks, NULL), CV_OK);
    assert_int_equal(files, 1);
    check(marks, CV_MARK_BLOCK, 4, 0, false);
    /* The newest generation wins. */
    snprintf(path, sizeof path, "%s/watermark_v2", base);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/watermark_v2/" CHAIN ".json", base);
    /* … if it holds anything: a mark must not be lost to an empty file. */
    assert_int_equal(cv_file_create(path, CV_BYTES_LIT("{}"), 0600, NULL), CV_OK);
    struct cv_marks *older;
    assert_int_equal(cv_marks_new(&older), CV_OK);
    assert_int_equal(cv_wm_signatory_migrate(base, &files, put, older, NULL), CV_OK);
    assert_int_equal(files, 1);
    check(older, CV_MARK_BLOCK, 4, 0, false);
    cv_marks_free(older);
    assert_int_equal(cv_file_replace(path, CV_BYTES_LIT(v2), 0600, NULL), CV_OK);
    assert_int_equal(cv_wm_signatory_migrate(base, &files, put, marks, NULL), CV_OK);
    check(marks, CV_MARK_BLOCK, 6, 0, false);

    /* Written, and read back, in both spellings. */
    struct cv_buf one;
    struct cv_buf all;
    struct cv_marks *back;
    cv_buf_init(&one, 1 << 20);
    cv_buf_init(&all, 1 << 20);
    assert_int_equal(cv_wm_signatory_dump(&one, marks, chain, NULL), CV_OK);
    assert_non_null(strstr((const char *)one.p, "    \"" KEY "\": {\n        \"block\": {\n"));
    assert_int_equal(cv_wm_signatory_dump_all(&all, marks, NULL), CV_OK);
    assert_int_equal(cv_marks_new(&back), CV_OK);
    assert_int_equal(cv_file_replace(path, cv_buf_view(&one), 0600, NULL), CV_OK);
    assert_int_equal(cv_wm_signatory_import(path, put, back, NULL), CV_OK);
    check(back, CV_MARK_BLOCK, 6, 0, false);
    snprintf(path, sizeof path, "%s/all", base);
    assert_int_equal(cv_file_create(path, cv_buf_view(&all), 0600, NULL), CV_OK);
    assert_int_equal(cv_wm_signatory_import(path, put, back, NULL), CV_OK);
    snprintf(path, sizeof path, "%s/watermark_v2", base);
    assert_int_equal(cv_wm_signatory_import(path, put, back, NULL), CV_OK);
    cv_marks_free(back);
    cv_marks_free(marks);
    cv_buf_free(&one);
    cv_buf_free(&all);
    snprintf(path, sizeof path, "rm -rf %s", base);
    assert_int_equal(system(path), 0);
}

static void mark(struct cv_marks *marks, uint8_t first, enum cv_mark_kind kind, int32_t level)
{
    struct cv_mark m = {.kind = kind, .level = level};
    m.pkh.p[0] = first;
    if (kind != CV_MARK_KNOWN) {
        memcpy(m.chain, chain, sizeof m.chain);
    }
    assert_int_equal(cv_marks_put(marks, &m), CV_OK);
}

/* Sorted as the original does, whose two attestations are one mark here. */
static void test_written(void **state)
{
    (void)state;
    struct cv_marks *marks;
    struct cv_buf text;
    cv_buf_init(&text, 1 << 20);
    assert_int_equal(cv_marks_new(&marks), CV_OK);
    mark(marks, 9, CV_MARK_PREATTESTATION, 3);
    mark(marks, 9, CV_MARK_BLOCK, 2);
    mark(marks, 1, CV_MARK_ATTESTATION, 4);
    mark(marks, 5, CV_MARK_KNOWN, 0);
    assert_int_equal(cv_wm_signatory_dump(&text, marks, chain, NULL), CV_OK);
    static const char *const order[] = {
        "\"tz1", "\"attestation\"", "\"level\": 4", "\"attestation_with_dal\"", "\"level\": 4",
        "\"tz1", "\"block\"",       "\"level\": 2", "\"preattestation\"",       "\"level\": 3"};
    const char *at = (const char *)text.p;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        at = strstr(at, order[i]);
        assert_non_null(at);
        at++;
    }
    cv_buf_reset(&text);
    assert_int_equal(cv_wm_signatory_dump_all(&text, marks, NULL), CV_OK);
    assert_null(strstr((const char *)text.p, "attestation_with_dal"));
    at = strstr((const char *)text.p, "\"known\": [");
    assert_non_null(at);
    assert_null(strchr(at, ',')); /* the one key without marks */
    cv_marks_free(marks);
    cv_buf_free(&text);
}

int main(void)
{
    if (cv_chain_parse(chain, CHAIN) != CV_OK) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_v2),          cmocka_unit_test(test_v1_orders),
        cmocka_unit_test(test_v0),          cmocka_unit_test(test_any),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_directories), cmocka_unit_test(test_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
