/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The syntax of our settings files: a line "key=value", white space around
 * both ignored, empty lines and lines that begin with # ignored. Keys are
 * [a-z0-9_]+. Values are printable text up to the end of the line (UTF-8, no
 * quotes, no escapes, no comment after them).
 */
#ifndef CV_SETTINGS_KEYVALUE_H
#define CV_SETTINGS_KEYVALUE_H

#include "common/bytes.h"

#define CV_KEYVALUE_MAX 65536 /* bytes of a settings file */

/* Takes one setting; KEY and VALUE are views into the text. A code that is not
 * 0 ends the parse; what it says in ERR gets "line N" around it. */
typedef int cv_keyvalue_fn(void *ctx, struct cv_bytes key, struct cv_bytes value,
                           struct cv_error *err);

/* Calls FN for each setting in TEXT, in order. NAME is the file's, for errors. */
int cv_keyvalue_parse(struct cv_bytes text, const char *name, cv_keyvalue_fn *fn, void *ctx,
                      struct cv_error *err) CV_NODISCARD;

/* Values: "on" or "off"; a decimal of 32 bits, digits only, between MIN and
 * MAX; text of at most SIZE-1 bytes. Errors say what was expected. */
int cv_keyvalue_switch(bool *out, struct cv_bytes value, struct cv_error *err) CV_NODISCARD;
int cv_keyvalue_u32(uint32_t *out, uint32_t min, uint32_t max, struct cv_bytes value,
                    struct cv_error *err) CV_NODISCARD;
int cv_keyvalue_text(char *out, size_t size, struct cv_bytes value,
                     struct cv_error *err) CV_NODISCARD;

#endif
