/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The option -o of `import`, which vaults of the original take for names and
 * the like. No vault of ours does, but a mistyped one is told.
 */
#ifndef CV_CLI_IMPORT_OPTIONS_H
#define CV_CLI_IMPORT_OPTIONS_H

#include <stdbool.h>

/* key:value[,key:value…]: spaces around words, '…' and "…" around what holds
 * separators, a backslash before any character. */
bool cv_import_options_valid(const char *text);

#endif
