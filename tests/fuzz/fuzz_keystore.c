/* SPDX-License-Identifier: Apache-2.0 */
/* enclave_keys.json of any bytes: what is accepted keeps every entry and
 * member when a key is added to it. */
#include <stdlib.h>
#include <string.h>

#include "keystore/driver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds)
{
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cv_error err;
    CV_JSON_AUTO json_t *doc = NULL;
    if (cv_keystore_document_parse(&doc, CV_BYTES(data, size), "f", &err) != 0) {
        must(doc == NULL && err.count > 0 && err.code < 0);
        return 0;
    }
    struct cv_keystore_list list;
    struct cv_keystore_change put = {
        .op = CV_KEYSTORE_PUT, .pkh = "tz1new", .blob = CV_BYTES_LIT("blob")};
    bool dirty;
    if (cv_keystore_document_entries(doc, "f", &list, &err) != 0) {
        must(list.entries == NULL && list.n == 0 && err.count > 0 && err.code < 0);
        must(cv_keystore_document_apply(doc, "f", &put, 1, &dirty, &err) < 0 && !dirty);
        return 0;
    }
    for (size_t i = 0; i < list.n; i++)
        must(cv_keystore_pkh_valid(cv_bytes_str(list.entries[i].pkh)) &&
             list.entries[i].blob.n > 0 && json_is_object(list.entries[i].members));

    CV_JSON_AUTO json_t *before = json_deep_copy(doc);
    int rc = cv_keystore_document_apply(doc, "f", &put, 1, &dirty, &err);
    must(rc == 0 || rc == CV_ERR_EXISTS);
    must(json_array_size(doc) == list.n + (dirty ? 1 : 0));
    for (size_t i = 0; i < list.n; i++)
        must(json_equal(json_array_get(doc, i), json_array_get(before, i)));
    cv_keystore_list_free(&list);
    return 0;
}
