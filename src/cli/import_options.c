/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/import_options.h"

#include <stddef.h>

static const char *spaces(const char *p)
{
    while (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n') {
        p++;
    }
    return p;
}

/* One word, up to END (unquoted) or the end of the text; NULL when the text ends
 * within a quotation or after a backslash. */
static const char *word(const char *p, char end)
{
    char quote = 0;
    for (; *p != 0 && (quote != 0 || *p != end); p++) {
        if (*p == '\\') {
            p++;
            if (*p == 0) {
                return NULL;
            }
        } else if (*p == quote) {
            quote = 0;
        } else if (quote == 0 && (*p == '\'' || *p == '"')) {
            quote = *p;
        }
    }
    return quote == 0 ? p : NULL;
}

bool cv_import_options_valid(const char *text)
{
    const char *p = spaces(text);
    if (*p == 0) {
        return true;
    }
    for (;;) {
        p = word(p, ':');
        if (p == NULL || *p == 0) {
            return false; /* a key without a value */
        }
        p = word(p + 1, ',');
        if (p == NULL) {
            return false;
        }
        if (*p == 0) {
            return true;
        }
        p = spaces(p + 1);
        if (*p == 0) {
            return false; /* a comma with nothing after it */
        }
    }
}
