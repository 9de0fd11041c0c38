/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every truncation and every single-bit flip of an input, for tests of
 * parsers. Each variant lies at the very end of a page with nothing mapped
 * behind it, so that reading past it ends the test. A test names the source:
 *     cv_unit_test(test_x SOURCES ${CMAKE_SOURCE_DIR}/tests/unit/mutate.c DEPS cv_x)
 */
#ifndef CV_TESTS_UNIT_MUTATE_H
#define CV_TESTS_UNIT_MUTATE_H

#include <stddef.h>
#include <stdint.h>

/* Gets a variant, and what it is: "truncated to 7", "bit 3 of byte 12". */
typedef void mutate_fn(void *ctx, const uint8_t *p, size_t n, const char *what);

/* All lengths 0 .. N-1. */
void mutate_truncations(const void *p, size_t n, mutate_fn *fn, void *ctx);
/* All 8*N flips. */
void mutate_bit_flips(const void *p, size_t n, mutate_fn *fn, void *ctx);
/* Both. */
void mutate_all(const void *p, size_t n, mutate_fn *fn, void *ctx);

#endif
