/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "unit/cv_test.h"

static void chain_reads_outermost_first(void **state)
{
    (void)state;
    struct cv_error err;
    char text[256];
    cv_error_clear(&err);
    assert_string_equal(cv_error_top(&err), "");
    assert_string_equal(cv_error_format(text, sizeof(text), &err), "");
    assert_int_equal(cv_error_set(&err, CV_ERR_DENIED, "access %s", "denied"), CV_ERR_DENIED);
    assert_int_equal(cv_error_wrap(&err, "importing %d", 4), CV_ERR_DENIED);
    assert_int_equal(cv_error_wrap(&err, "loading vault"), CV_ERR_DENIED);
    assert_string_equal(cv_error_format(text, sizeof(text), &err),
                        "loading vault: importing 4: access denied");
    assert_string_equal(cv_error_top(&err), "loading vault");
    assert_int_equal(err.code, CV_ERR_DENIED);

    /* Set starts anew, and may quote the chain that it replaces. */
    assert_int_equal(cv_error_set(&err, CV_ERR_IO, "after %s", cv_error_text(&err, 0)), CV_ERR_IO);
    assert_string_equal(cv_error_format(text, sizeof(text), &err), "after access denied");
}

static void no_error_object_is_fine(void **state)
{
    (void)state;
    char text[8];
    cv_error_clear(NULL);
    assert_int_equal(cv_error_set(NULL, CV_ERR_IO, "x"), CV_ERR_IO);
    assert_int_equal(cv_error_errno(NULL, CV_ERR_IO, ENOSPC, "x"), CV_ERR_IO);
    assert_int_equal(cv_error_wrap(NULL, "x"), CV_ERR_INTERNAL);
    assert_string_equal(cv_error_format(text, sizeof(text), NULL), "");
    assert_string_equal(cv_error_top(NULL), "");
}

static void wrap_of_an_empty_chain_is_internal(void **state)
{
    (void)state;
    struct cv_error err;
    cv_error_clear(&err);
    assert_int_equal(cv_error_wrap(&err, "doing it"), CV_ERR_INTERNAL);
    assert_string_equal(cv_error_top(&err), "doing it");
}

static void errno_is_told(void **state)
{
    (void)state;
    struct cv_error err;
    assert_int_equal(cv_error_errno(&err, CV_ERR_IO, ENOSPC, "cannot write %s", "f"), CV_ERR_IO);
    assert_string_equal(cv_error_top(&err), "cannot write f: No space left on device");
}

static void deep_chains_merge_outwards(void **state)
{
    (void)state;
    struct cv_error err;
    char text[256];
    (void)cv_error_set(&err, CV_ERR_IO, "0");
    for (int i = 1; i < CV_ERROR_DEPTH + 3; i++)
        assert_int_equal(cv_error_wrap(&err, "%d", i), CV_ERR_IO);
    assert_int_equal(err.count, CV_ERROR_DEPTH);
    assert_string_equal(cv_error_format(text, sizeof(text), &err),
                        "10: 9: 8: 7: 6: 5: 4: 3: 2: 1: 0");
}

static void long_texts_are_cut_and_say_so(void **state)
{
    (void)state;
    struct cv_error err;
    char big[2 * CV_ERROR_TEXT];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    (void)cv_error_set(&err, CV_ERR_IO, "%s", big);
    assert_int_equal(strlen(cv_error_top(&err)), CV_ERROR_TEXT - 1);
    assert_string_equal(cv_error_top(&err) + CV_ERROR_TEXT - 4, "...");
    (void)cv_error_errno(&err, CV_ERR_IO, EIO, "%s", big);
    assert_int_equal(strlen(cv_error_top(&err)), CV_ERROR_TEXT - 1);

    char out[10];
    (void)cv_error_set(&err, CV_ERR_IO, "0123456789");
    assert_string_equal(cv_error_format(out, sizeof(out), &err), "012345...");
    assert_string_equal(cv_error_format(out, 1, &err), "");
    (void)cv_error_set(&err, CV_ERR_IO, "012345678");
    assert_string_equal(cv_error_format(out, sizeof(out), &err), "012345678");
}

/* What KMS says when it denies is as long as this, and is told whole. */
static void a_denial_is_told_whole(void **state)
{
    (void)state;
    static const char said[] =
        "AccessDeniedException (HTTP 400, request id 01234567-89ab-cdef-0123-456789abcdef): User: "
        "arn:aws:sts::123456789012:assumed-role/a-role-with-a-rather-long-name-of-64-characters-x/"
        "i-0123456789abcdef0 is not authorized to perform: kms:Decrypt on resource: "
        "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab because no "
        "resource-based policy allows the kms:Decrypt action";
    static const char measured[] =
        "this image's PCR0 is 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
        "0123456789abcdef0123456789abcdef; the key's policy wants 0123456789abcdef0123456789abcdef"
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    struct cv_error err;
    char text[CV_ERROR_SENTENCE];
    (void)cv_error_set(&err, CV_ERR_DENIED, "%s", measured);
    (void)cv_error_wrap(&err, "%s", said);
    (void)cv_error_wrap(&err, "SDK error");
    (void)cv_error_wrap(&err, "encryption error");
    (void)cv_error_format(text, sizeof(text), &err);
    assert_non_null(strstr(text, said));
    assert_non_null(strstr(text, measured));
    assert_string_equal(cv_error_text(&err, 0), measured);
    assert_string_equal(cv_error_text(&err, 4), "");
}

static void a_full_chain_keeps_its_beginning(void **state)
{
    (void)state;
    struct cv_error err;
    char big[CV_ERROR_TEXT];
    char text[CV_ERROR_SENTENCE];
    memset(big, 'a', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    (void)cv_error_set(&err, CV_ERR_IO, "%s", big);
    for (int i = 1; i < CV_ERROR_DEPTH + 3; i++)
        assert_int_equal(cv_error_wrap(&err, "%s", big), CV_ERR_IO);
    assert_int_equal(err.count, CV_ERROR_DEPTH);
    assert_true(err.used <= sizeof(err.chain));
    for (unsigned i = 0; i < err.count; i++)
        assert_string_equal(cv_error_text(&err, i) + strlen(cv_error_text(&err, i)) - 3,
                            i < 2 ? "aaa" : "...");
    (void)cv_error_format(text, sizeof(text), &err);
    assert_true(strlen(text) < sizeof(text));
    assert_non_null(strstr(text, big));
}

static void every_code_has_a_name(void **state)
{
    (void)state;
    for (int code = CV_ERR_INTERNAL; code <= CV_OK; code++) {
        assert_string_not_equal(cv_strerror(code), "unknown error");
        for (int other = code + 1; other <= CV_OK; other++)
            assert_string_not_equal(cv_strerror(code), cv_strerror(other));
    }
    assert_string_equal(cv_strerror(1), "unknown error");
    assert_string_equal(cv_strerror(-100), "unknown error");
}

static void quoting(void **state)
{
    (void)state;
    char out[16];
    assert_string_equal(cv_error_quote(out, sizeof(out), "abc", 3), "abc");
    assert_string_equal(cv_error_quote(out, sizeof(out), "", 0), "");
    assert_string_equal(cv_error_quote(out, sizeof(out), "a\n\0\xff", 4), "a\\x0a\\x00\\xff");
    assert_string_equal(cv_error_quote(out, sizeof(out), "\\x", 2), "\\x5cx");
    assert_string_equal(cv_error_quote(out, sizeof(out), "123456789012345", 15), "123456789012345");
    assert_string_equal(cv_error_quote(out, sizeof(out), "1234567890123456", 16),
                        "123456789012...");
    assert_string_equal(cv_error_quote(out, 1, "abc", 3), "");
    /* Never past the size, whatever the size. */
    for (size_t size = 1; size < sizeof(out); size++) {
        memset(out, 'Z', sizeof(out));
        (void)cv_error_quote(out, size, "\n\n\n\n\n\n\n\n", 8);
        assert_true(strlen(out) < size);
        assert_int_equal(out[size], 'Z');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chain_reads_outermost_first),
        cmocka_unit_test(no_error_object_is_fine),
        cmocka_unit_test(wrap_of_an_empty_chain_is_internal),
        cmocka_unit_test(errno_is_told),
        cmocka_unit_test(deep_chains_merge_outwards),
        cmocka_unit_test(a_denial_is_told_whole),
        cmocka_unit_test(a_full_chain_keeps_its_beginning),
        cmocka_unit_test(long_texts_are_cut_and_say_so),
        cmocka_unit_test(every_code_has_a_name),
        cmocka_unit_test(quoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
