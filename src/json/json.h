/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259), a thin and strict use of jansson.
 *
 * Duplicate members, trailing bytes, invalid UTF-8, "\u0000" and nesting past
 * a cap are refused. Errors name the member. jansson's memory is wiped when it
 * is freed, since documents carry credentials (linking this module does that).
 */
#ifndef CV_JSON_JSON_H
#define CV_JSON_JSON_H

#include <jansson.h>

#include "common/bytes.h"

#define CV_JSON_MAX_DEPTH 64 /* objects and arrays inside each other */

/* Parses one document: any value, white space around it. *OUT is a new
 * reference. NAME says in errors what it is ("reply of KMS", a file name);
 * with line and column. CV_ERR_LIMIT past MAX bytes or too deep,
 * CV_ERR_INVALID. */
int cv_json_parse(json_t **out, struct cv_bytes text, size_t max, const char *name,
                  struct cv_error *err) CV_NODISCARD;
/* The same, and the value must be an object. */
int cv_json_parse_object(json_t **out, struct cv_bytes text, size_t max, const char *name,
                         struct cv_error *err) CV_NODISCARD;

/* json_decref() for locals: CV_JSON_AUTO json_t *doc = NULL; */
void cv_json_release(json_t **v);
#define CV_JSON_AUTO CV_CLEANUP(cv_json_release)

/*
 * Members of an object, by name. The get functions want the member:
 * CV_ERR_NOT_FOUND when it is absent, CV_ERR_INVALID when it is of another
 * type ("KeyId" is missing, "KeyId" is not a string). The opt functions take
 * an absent or null member for the default given, and refuse another type.
 * Strings and values are borrowed from OBJ.
 */
int cv_json_get_str(const json_t *obj, const char *key, const char **out,
                    struct cv_error *err) CV_NODISCARD;
int cv_json_opt_str(const json_t *obj, const char *key, const char **out, const char *def,
                    struct cv_error *err) CV_NODISCARD;
/* An integer (no fraction, no exponent) between MIN and MAX: CV_ERR_LIMIT. */
int cv_json_get_int(const json_t *obj, const char *key, int64_t min, int64_t max, int64_t *out,
                    struct cv_error *err) CV_NODISCARD;
int cv_json_opt_int(const json_t *obj, const char *key, int64_t min, int64_t max, int64_t *out,
                    int64_t def, struct cv_error *err) CV_NODISCARD;
int cv_json_get_bool(const json_t *obj, const char *key, bool *out,
                     struct cv_error *err) CV_NODISCARD;
int cv_json_opt_bool(const json_t *obj, const char *key, bool *out, bool def,
                     struct cv_error *err) CV_NODISCARD;
int cv_json_get_object(const json_t *obj, const char *key, const json_t **out,
                       struct cv_error *err) CV_NODISCARD;
int cv_json_opt_object(const json_t *obj, const char *key, const json_t **out,
                       struct cv_error *err) CV_NODISCARD;
int cv_json_get_array(const json_t *obj, const char *key, const json_t **out,
                      struct cv_error *err) CV_NODISCARD;
int cv_json_opt_array(const json_t *obj, const char *key, const json_t **out,
                      struct cv_error *err) CV_NODISCARD;
/* A string of standard base64, decoded into OUT, which is emptied first. */
int cv_json_get_base64(const json_t *obj, const char *key, struct cv_buf *out,
                       struct cv_error *err) CV_NODISCARD;

/* CV_ERR_INVALID, naming it, when OBJ has a member that is not in the list of
 * names, which ends with NULL. */
int cv_json_only(const json_t *obj, struct cv_error *err, ...) CV_NODISCARD
    __attribute__((sentinel));

/* Appends VALUE without white space, members in order of insertion. On an
 * error OUT is as it was: CV_ERR_LIMIT, CV_ERR_NOMEM. */
int cv_json_dump(struct cv_buf *out, const json_t *value) CV_NODISCARD;
/* The same with INDENT spaces a level (1..31), one member a line. */
int cv_json_dump_indent(struct cv_buf *out, const json_t *value, unsigned indent) CV_NODISCARD;

/* Appends TEXT as a JSON string, quotes included, escaped as Go's
 * encoding/json does, so that our HTTP replies are byte for byte what clients
 * know: <, >, & and U+2028, U+2029 as \uXXXX, invalid UTF-8 as \ufffd. */
int cv_json_append_str(struct cv_buf *out, struct cv_bytes text) CV_NODISCARD;

#endif
