/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"
#include "unit/rpc_vectors.h"

json_t *rpc_vectors_load(const char *dir, const char *file)
{
    const char *root = getenv(dir);
    char path[1024];
    if (root == NULL)
        return NULL;
    snprintf(path, sizeof path, "%s/%s", root, file);
    return json_load_file(path, 0, NULL);
}

const char *rpc_vectors_text(json_t *entry, const char *key)
{
    return json_string_value(json_object_get(entry, key));
}

static void append_hex(struct cv_buf *out, const char *hex, size_t digits)
{
    size_t n;
    uint8_t *p = cv_buf_reserve(out, digits / 2 + 1);
    assert_non_null(p);
    assert_int_equal(cv_hex_decode(p, digits / 2 + 1, &n, CV_BYTES(hex, digits)), 0);
    cv_buf_commit(out, n);
}

void rpc_vectors_bytes(struct cv_buf *out, json_t *entry)
{
    static const char version[] = "6776657273696f6e02";
    const char *hex = rpc_vectors_text(entry, "hex");
    const char *dots = strstr(hex, "...(");
    assert_non_null(hex);
    cv_buf_reset(out);
    append_hex(out, hex, dots == NULL ? strlen(hex) : (size_t)(dots - hex));
    if (dots == NULL)
        return;
    size_t total = strtoul(dots + 4, NULL, 10);
    while (out->n < total - strlen(version) / 2)
        assert_int_equal(cv_buf_append_u8(out, out->p[out->n - 1]), 0);
    append_hex(out, version, strlen(version));
    assert_int_equal(out->n, total);
}
