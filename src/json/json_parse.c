/* SPDX-License-Identifier: Apache-2.0 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "common/utf8.h"
#include "json/json.h"

/* jansson leaves what it frees as it was. */
static void wiping_free(void *p)
{
    if (p == NULL)
        return;
    cv_wipe(p, malloc_usable_size(p));
    free(p);
}

__attribute__((constructor)) static void wipe_what_jansson_frees(void)
{
    json_set_alloc_funcs(malloc, wiping_free);
}

void cv_json_release(json_t **v)
{
    json_decref(*v);
    *v = NULL;
}

/* Depth of the deepest value, counted over the text, since jansson's own limit
 * (2048, and recursive) is not ours to set. Brackets in strings do not count. */
static size_t depth_of(struct cv_bytes text)
{
    size_t depth = 0, deepest = 0;
    bool string = false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                string = false;
        } else if (c == '"') {
            string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > deepest)
                deepest = depth;
        } else if ((c == ']' || c == '}') && depth > 0) {
            depth--;
        }
    }
    return deepest;
}

int cv_json_parse(json_t **out, struct cv_bytes text, size_t max, const char *name,
                  struct cv_error *err)
{
    *out = NULL;
    if (text.n > max)
        return cv_error_set(err, CV_ERR_LIMIT, "%s is larger than %zu bytes", name, max);
    if (depth_of(text) > CV_JSON_MAX_DEPTH)
        return cv_error_set(err, CV_ERR_LIMIT, "%s is nested more than %d deep", name,
                            CV_JSON_MAX_DEPTH);
    json_error_t why;
    json_t *v = json_loadb(text.n == 0 ? "" : (const char *)text.p, text.n,
                           JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    if (v == NULL) {
        if (json_error_code(&why) == json_error_out_of_memory)
            return cv_error_set(err, CV_ERR_NOMEM, "no memory to parse %s", name);
        /* jansson's text can quote the input: only its kind is passed on. */
        const char *what = "is not valid JSON";
        switch (json_error_code(&why)) {
        case json_error_premature_end_of_input:
            what = "ends too early";
            break;
        case json_error_end_of_input_expected:
            what = "goes on after its end";
            break;
        case json_error_invalid_utf8:
            what = "has invalid UTF-8";
            break;
        case json_error_null_character:
        case json_error_null_byte_in_key:
            what = "has a NUL character in a string";
            break;
        case json_error_duplicate_key:
            what = "has a member twice in one object";
            break;
        case json_error_numeric_overflow:
            what = "has a number that is too large";
            break;
        default:
            break;
        }
        return cv_error_set(err, CV_ERR_INVALID, "%s %s (line %d, column %d)", name, what, why.line,
                            why.column);
    }
    *out = v;
    return 0;
}

int cv_json_parse_object(json_t **out, struct cv_bytes text, size_t max, const char *name,
                         struct cv_error *err)
{
    int rc = cv_json_parse(out, text, max, name, err);
    if (rc == 0 && !json_is_object(*out)) {
        cv_json_release(out);
        return cv_error_set(err, CV_ERR_INVALID, "%s is not a JSON object", name);
    }
    return rc;
}
