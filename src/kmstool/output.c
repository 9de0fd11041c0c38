/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>

#include "common/file.h"
#include "common/hex.h"
#include "json/json.h"
#include "kmstool/kmstool.h"

#define OUTPUT_MAX 65536

static int add_line(struct cv_buf *b, const char *label, struct cv_bytes value)
{
    int rc = cv_buf_printf(b, "%s: ", label);
    if (rc == 0)
        rc = cv_base64_append(b, value.p, value.n);
    return rc == 0 ? cv_buf_append_u8(b, '\n') : rc;
}

static int add_member(struct cv_buf *b, const char *name, struct cv_bytes value)
{
    int rc = cv_buf_printf(b, "%c\"%s\":\"", b->n == 0 ? '{' : ',', name);
    if (rc == 0)
        rc = cv_base64_append(b, value.p, value.n);
    return rc == 0 ? cv_buf_append_u8(b, '"') : rc;
}

static int add_text(struct cv_buf *b, const char *name, const char *value)
{
    int rc = cv_buf_printf(b, "%c\"%s\":", b->n == 0 ? '{' : ',', name);
    return rc == 0 ? cv_json_append_str(b, cv_bytes_str(value)) : rc;
}

static int lines(struct cv_buf *b, const struct cv_kmstool_output *out)
{
    int rc = 0;
    if (out->ciphertext.n > 0)
        rc = add_line(b, "CIPHERTEXT", out->ciphertext);
    if (rc == 0 && out->plaintext.n > 0)
        rc = add_line(b, "PLAINTEXT", out->plaintext);
    if (rc == 0 && out->document.n > 0)
        rc = add_line(b, "DOCUMENT", out->document);
    return rc;
}

static int object(struct cv_buf *b, const struct cv_kmstool_output *out)
{
    int rc = 0;
    if (out->ciphertext.n > 0)
        rc = add_member(b, "ciphertext", out->ciphertext);
    if (rc == 0 && out->plaintext.n > 0)
        rc = add_member(b, "plaintext", out->plaintext);
    if (rc == 0 && out->document.n > 0)
        rc = add_member(b, "document", out->document);
    if (rc == 0 && out->key_id != NULL && *out->key_id != '\0')
        rc = add_text(b, "key_id", out->key_id);
    if (rc == 0 && out->request_id != NULL && *out->request_id != '\0')
        rc = add_text(b, "request_id", out->request_id);
    return rc == 0 ? cv_buf_append_str(b, b->n == 0 ? "{}\n" : "}\n") : rc;
}

int cv_kmstool_print(const struct cv_kmstool_options *o, const struct cv_kmstool_output *out,
                     struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf b;
    cv_buf_init(&b, OUTPUT_MAX);
    int rc = o->json ? object(&b, out) : lines(&b, out);
    if (rc != 0)
        return cv_error_set(err, rc, "the result does not fit");
    /* Not through stdio, whose buffers nobody wipes. */
    rc = cv_fd_write_all(1, b.p, b.n);
    return rc == 0 ? 0
                   : cv_error_errno(err, CV_ERR_IO, errno, "writing the result to standard output");
}
