/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/hex.h"
#include "json/json.h"

/* The member, or NULL when it is absent, or OBJ is not an object. */
static const json_t *member(const json_t *obj, const char *key)
{
    return json_object_get(obj, key);
}

static int missing(const char *key, struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_NOT_FOUND, "\"%s\" is missing", key);
}

static int not_a(const char *key, const char *what, struct cv_error *err)
{
    return cv_error_set(err, CV_ERR_INVALID, "\"%s\" is not %s", key, what);
}

static bool absent(const json_t *v)
{
    return v == NULL || json_is_null(v);
}

int cv_json_get_str(const json_t *obj, const char *key, const char **out, struct cv_error *err)
{
    *out = NULL;
    const json_t *v = member(obj, key);
    if (v == NULL)
        return missing(key, err);
    if (!json_is_string(v))
        return not_a(key, "a string", err);
    *out = json_string_value(v);
    return 0;
}

int cv_json_opt_str(const json_t *obj, const char *key, const char **out, const char *def,
                    struct cv_error *err)
{
    if (absent(member(obj, key))) {
        *out = def;
        return 0;
    }
    return cv_json_get_str(obj, key, out, err);
}

int cv_json_get_int(const json_t *obj, const char *key, int64_t min, int64_t max, int64_t *out,
                    struct cv_error *err)
{
    *out = 0;
    const json_t *v = member(obj, key);
    if (v == NULL)
        return missing(key, err);
    if (!json_is_integer(v))
        return not_a(key, "an integer", err);
    int64_t n = json_integer_value(v);
    if (n < min || n > max)
        return cv_error_set(err, CV_ERR_LIMIT, "\"%s\" is not between %lld and %lld", key,
                            (long long)min, (long long)max);
    *out = n;
    return 0;
}

int cv_json_opt_int(const json_t *obj, const char *key, int64_t min, int64_t max, int64_t *out,
                    int64_t def, struct cv_error *err)
{
    if (absent(member(obj, key))) {
        *out = def;
        return 0;
    }
    return cv_json_get_int(obj, key, min, max, out, err);
}

int cv_json_get_bool(const json_t *obj, const char *key, bool *out, struct cv_error *err)
{
    *out = false;
    const json_t *v = member(obj, key);
    if (v == NULL)
        return missing(key, err);
    if (!json_is_boolean(v))
        return not_a(key, "true or false", err);
    *out = json_is_true(v);
    return 0;
}

int cv_json_opt_bool(const json_t *obj, const char *key, bool *out, bool def, struct cv_error *err)
{
    if (absent(member(obj, key))) {
        *out = def;
        return 0;
    }
    return cv_json_get_bool(obj, key, out, err);
}

int cv_json_get_object(const json_t *obj, const char *key, const json_t **out, struct cv_error *err)
{
    *out = NULL;
    const json_t *v = member(obj, key);
    if (v == NULL)
        return missing(key, err);
    if (!json_is_object(v))
        return not_a(key, "an object", err);
    *out = v;
    return 0;
}

int cv_json_opt_object(const json_t *obj, const char *key, const json_t **out, struct cv_error *err)
{
    *out = NULL;
    return absent(member(obj, key)) ? 0 : cv_json_get_object(obj, key, out, err);
}

int cv_json_get_array(const json_t *obj, const char *key, const json_t **out, struct cv_error *err)
{
    *out = NULL;
    const json_t *v = member(obj, key);
    if (v == NULL)
        return missing(key, err);
    if (!json_is_array(v))
        return not_a(key, "an array", err);
    *out = v;
    return 0;
}

int cv_json_opt_array(const json_t *obj, const char *key, const json_t **out, struct cv_error *err)
{
    *out = NULL;
    return absent(member(obj, key)) ? 0 : cv_json_get_array(obj, key, out, err);
}

int cv_json_get_base64(const json_t *obj, const char *key, struct cv_buf *out, struct cv_error *err)
{
    const char *text;
    cv_buf_reset(out);
    int rc = cv_json_get_str(obj, key, &text, err);
    if (rc != 0)
        return rc;
    struct cv_bytes in = cv_bytes_str(text);
    size_t cap = CV_BASE64_MAX(in.n), n;
    if (cap > out->limit) /* the padding may make it fit */
        cap = out->limit;
    uint8_t *room = cv_buf_reserve(out, cap);
    if (room == NULL)
        return cv_error_set(err, CV_ERR_NOMEM, "no memory for \"%s\"", key);
    rc = cv_base64_decode(room, cap, &n, in);
    if (rc == CV_ERR_LIMIT)
        return cv_error_set(err, rc, "\"%s\" is larger than %zu bytes", key, out->limit);
    if (rc != 0)
        return not_a(key, "base64", err);
    cv_buf_commit(out, n);
    return 0;
}

int cv_json_only(const json_t *obj, struct cv_error *err, ...)
{
    for (void *it = json_object_iter((json_t *)(uintptr_t)obj); it != NULL;
         it = json_object_iter_next((json_t *)(uintptr_t)obj, it)) {
        const char *key = json_object_iter_key(it), *name;
        bool known = false;
        va_list ap;
        va_start(ap, err);
        while (!known && (name = va_arg(ap, const char *)) != NULL)
            known = strcmp(name, key) == 0;
        va_end(ap);
        if (!known) {
            char quoted[64];
            return cv_error_set(err, CV_ERR_INVALID, "\"%s\" is not a known member",
                                cv_error_quote(quoted, sizeof(quoted), key, strlen(key)));
        }
    }
    return 0;
}
