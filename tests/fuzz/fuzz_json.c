/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes: what is accepted is written again as the same document, and the
 * getters and the escaper never leave their bounds. */
#include <stdlib.h>

#include "common/utf8.h"
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void try_getters(const json_t *doc)
{
    struct cv_error err;
    const char *s;
    const json_t *v;
    int64_t i;
    bool b;
    CV_CLEANUP(cv_buf_free) struct cv_buf bin;
    cv_buf_init(&bin, 64);
    cv_error_clear(&err);
    (void)!cv_json_opt_str(doc, "a", &s, "", &err);
    (void)!cv_json_opt_int(doc, "n", -5, 5, &i, 0, &err);
    (void)!cv_json_opt_bool(doc, "n", &b, false, &err);
    (void)!cv_json_opt_array(doc, "n", &v, &err);
    (void)!cv_json_opt_object(doc, "a", &v, &err);
    (void)!cv_json_get_base64(doc, "CiphertextBlob", &bin, &err);
    (void)!cv_json_only(doc, &err, "a", "b", NULL);
    must(bin.n <= 64);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_error err;
    struct cv_bytes in = CV_BYTES(data, size);
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, 8 * size + 64);

    CV_JSON_AUTO json_t *doc = NULL;
    if (cv_json_parse(&doc, in, 65536, "input", &err) == 0) {
        try_getters(doc);
        must(cv_json_dump(&text, doc) == 0 && cv_utf8_valid(cv_buf_view(&text)));
        CV_JSON_AUTO json_t *again = NULL;
        must(cv_json_parse(&again, cv_buf_view(&text), SIZE_MAX, "copy", &err) == 0);
        must(json_equal(doc, again));
    } else {
        must(doc == NULL && err.count == 1 && err.code < 0);
    }

    /* The escaper makes a JSON string of anything, with nothing lost that was
     * valid. */
    cv_buf_reset(&text);
    must(cv_json_append_str(&text, in) == 0);
    bool nul = false;
    for (size_t i = 0; i < size; i++)
        nul |= data[i] == 0;
    CV_JSON_AUTO json_t *str = NULL;
    int rc = cv_json_parse(&str, cv_buf_view(&text), SIZE_MAX, "string", &err);
    must(nul ? rc == CV_ERR_INVALID : rc == 0 && json_is_string(str));
    if (!nul && cv_utf8_valid(in))
        must(cv_bytes_equal(in, CV_BYTES(json_string_value(str), json_string_length(str))));
    return 0;
}
