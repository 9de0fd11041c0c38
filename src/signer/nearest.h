/* SPDX-License-Identifier: Apache-2.0 */
/* "did you mean": the known name that a mistyped one is nearest to. */
#ifndef CV_SIGNER_NEAREST_H
#define CV_SIGNER_NEAREST_H

#include <stddef.h>

/* The one of COUNT names with the smallest edit distance (insertions,
 * deletions, substitutions and swapped neighbours, case ignored), or NULL when
 * none is near enough to be meant (about a third of its length). */
const char *cv_nearest_name(const char *name, const char *const *names, size_t count);

#endif
