/* SPDX-License-Identifier: Apache-2.0 */
#include "local/kms_blob.h"

#include <stdlib.h>
#include <string.h>

#include "common/reader.h"
#include "crypto/aead.h"

#define MAGIC "CLK\1"
#define HEAD (sizeof MAGIC - 1 + CV_LOCAL_KMS_ID - 1)
#define OVERHEAD (HEAD + CV_AEAD_IV_LEN + CV_AEAD_TAG_LEN)

struct pair {
    const char *name;
    const char *value;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->name, ((const struct pair *)b)->name);
}

static int append_text(struct cv_buf *out, const char *s)
{
    size_t n = strlen(s);
    uint8_t len[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};
    int rc = cv_buf_append(out, len, sizeof len);
    return rc ? rc : cv_buf_append(out, s, n);
}

/* Head of the blob, then the canonical form of the context. */
static int make_aad(struct cv_buf *out, struct cv_bytes head, const json_t *context)
{
    size_t n = json_object_size(context), i = 0;
    struct pair *pairs = calloc(n ? n : 1, sizeof *pairs);
    int rc = pairs ? cv_buf_append(out, head.p, head.n) : CV_ERR_NOMEM;
    const char *name;
    const json_t *value;
    /* jansson's iteration wants a pointer to non-const; it changes nothing. */
    json_t *object;
    memcpy(&object, &context, sizeof object);
    if (!rc) {
        void *it = json_object_iter(object);
        for (; it; it = json_object_iter_next(object, it)) {
            name = json_object_iter_key(it);
            value = json_object_iter_value(it);
            pairs[i++] = (struct pair){name, json_string_value(value)};
        }
        qsort(pairs, n, sizeof *pairs, by_name);
    }
    for (i = 0; !rc && i < n; i++) {
        rc = append_text(out, pairs[i].name);
        if (!rc)
            rc = append_text(out, pairs[i].value);
    }
    free(pairs);
    return rc;
}

int cv_local_blob_seal(struct cv_buf *out, const struct cv_local_key *key, const json_t *context,
                       struct cv_bytes plaintext)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) aad;
    uint8_t head[HEAD], iv[CV_AEAD_IV_LEN];
    cv_buf_init(&aad, CV_LOCAL_BLOB_MAX + 8 * CV_LOCAL_CONTEXT_MAX);
    if (plaintext.n > CV_LOCAL_BLOB_MAX - OVERHEAD)
        return CV_ERR_LIMIT;
    memcpy(head, MAGIC, sizeof MAGIC - 1);
    memcpy(head + sizeof MAGIC - 1, key->id, CV_LOCAL_KMS_ID - 1);
    cv_random(iv, sizeof iv);
    int rc = make_aad(&aad, CV_BYTES(head, HEAD), context);
    if (rc || (rc = cv_buf_append(out, head, HEAD)) || (rc = cv_buf_append(out, iv, sizeof iv)))
        return rc;
    uint8_t *room = cv_buf_reserve(out, plaintext.n + CV_AEAD_TAG_LEN);
    if (!room)
        return CV_ERR_NOMEM;
    rc = cv_aead_seal(room, key->material, iv, cv_buf_view(&aad), plaintext);
    if (!rc)
        cv_buf_commit(out, plaintext.n + CV_AEAD_TAG_LEN);
    return rc;
}

int cv_local_blob_key_id(char id[CV_LOCAL_KMS_ID], struct cv_bytes blob)
{
    if (blob.n < OVERHEAD || blob.n > CV_LOCAL_BLOB_MAX || memcmp(blob.p, MAGIC, sizeof MAGIC - 1))
        return CV_ERR_INVALID;
    memcpy(id, blob.p + sizeof MAGIC - 1, CV_LOCAL_KMS_ID - 1);
    id[CV_LOCAL_KMS_ID - 1] = '\0';
    return 0;
}

int cv_local_blob_open(struct cv_secret *out, const struct cv_local_key *key, const json_t *context,
                       struct cv_bytes blob)
{
    struct cv_buf CV_CLEANUP(cv_buf_free) aad;
    char id[CV_LOCAL_KMS_ID];
    cv_buf_init(&aad, CV_LOCAL_BLOB_MAX + 8 * CV_LOCAL_CONTEXT_MAX);
    int rc = cv_local_blob_key_id(id, blob);
    if (rc)
        return rc;
    if (strcmp(id, key->id))
        return CV_ERR_CRYPTO;
    size_t n = blob.n - OVERHEAD;
    if ((rc = make_aad(&aad, CV_BYTES(blob.p, HEAD), context)) ||
        (rc = cv_secret_alloc(out, n ? n : 1)))
        return rc;
    rc = cv_aead_open(out->p, key->material, blob.p + HEAD, cv_buf_view(&aad),
                      CV_BYTES(blob.p + HEAD + CV_AEAD_IV_LEN, n + CV_AEAD_TAG_LEN));
    if (rc)
        cv_secret_free(out);
    else
        cv_secret_shrink(out, n);
    return rc;
}
