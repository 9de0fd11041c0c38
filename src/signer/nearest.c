/* SPDX-License-Identifier: Apache-2.0 */
#include "signer/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define NAME_MAX_LEN 48

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Optimal string alignment distance; both at most NAME_MAX_LEN characters. */
static unsigned distance(const char *a, size_t an, const char *b, size_t bn)
{
    unsigned row[3][NAME_MAX_LEN + 1];
    for (size_t j = 0; j <= bn; j++) {
        row[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= an; i++) {
        unsigned *cur = row[i % 3];
        const unsigned *up = row[(i + 2) % 3];
        const unsigned *up2 = row[(i + 1) % 3];
        cur[0] = (unsigned)i;
        for (size_t j = 1; j <= bn; j++) {
            unsigned cost = same(a[i - 1], b[j - 1]) ? 0 : 1;
            cur[j] = least(least(up[j] + 1, cur[j - 1] + 1), up[j - 1] + cost);
            if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1])) {
                cur[j] = least(cur[j], up2[j - 2] + 1);
            }
        }
    }
    return row[an % 3][bn];
}

const char *cv_nearest_name(const char *name, const char *const *names, size_t count)
{
    const char *best = NULL;
    unsigned best_distance = 0;
    size_t n = strnlen(name, NAME_MAX_LEN + 1);
    if (n == 0 || n > NAME_MAX_LEN) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        size_t m = strnlen(names[i], NAME_MAX_LEN + 1);
        if (m > NAME_MAX_LEN) {
            continue;
        }
        unsigned d = distance(name, n, names[i], m);
        unsigned enough = m < 6 ? (m < 3 ? 1 : 2) : (unsigned)(m / 3);
        if (d <= enough && d < n && (best == NULL || d < best_distance)) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
