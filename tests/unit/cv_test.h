/* SPDX-License-Identifier: Apache-2.0 */
/* What cmocka wants included, in its order, and assertions on our errors. */
#ifndef CV_TEST_H
#define CV_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/error.h"

/* Fails with the sentence of ERR when CALL is not CODE. */
#define assert_code(call, code, err)                                    \
    do {                                                                \
        int rc_ = (int)(call);                                          \
        if (rc_ != (code)) {                                            \
            char t_[1024];                                              \
            fail_msg("%s gave %d, not %d: %s", #call, rc_, (int)(code), \
                     cv_error_format(t_, sizeof t_, err));              \
        }                                                               \
    } while (0)

/* The sentence of ERR holds PART. */
#define assert_says(err, part)                             \
    do {                                                   \
        char t_[2048];                                     \
        cv_error_format(t_, sizeof t_, err);               \
        if (strstr(t_, part) == NULL)                      \
            fail_msg("\"%s\" is not in \"%s\"", part, t_); \
    } while (0)

#endif
