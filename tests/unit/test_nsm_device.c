/* SPDX-License-Identifier: Apache-2.0 */
/* The device transport, as far as it goes without the device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "nsm/nsm.h"

static void no_device(void **state)
{
    struct cv_nsm *nsm;
    struct cv_error err;

    (void)state;
    cv_error_clear(&err);
    assert_string_equal(cv_nsm_transport_name(), "device");
    assert_int_equal(cv_nsm_open(&nsm, "/nonexistent/nsm", &err), CV_ERR_NOT_FOUND);
    assert_null(nsm);
    assert_non_null(strstr(cv_error_text(&err, 0), "/nonexistent/nsm"));
}

static void another_device(void **state)
{
    struct cv_nsm *nsm;
    struct cv_error err;
    uint8_t out[8];

    (void)state;
    cv_error_clear(&err);
    assert_int_equal(cv_nsm_open(&nsm, "/dev/null", &err), 0);
    assert_int_equal(cv_nsm_random(nsm, out, sizeof out, &err), CV_ERR_IO);
    assert_string_equal(cv_nsm_fixed_text(&err), "NSM error: internal error");
    assert_int_equal(cv_nsm_seed_kernel(nsm, true, NULL, &err), CV_ERR_IO);
    cv_nsm_close(nsm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_device),
                                       cmocka_unit_test(another_device)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
