/* SPDX-License-Identifier: Apache-2.0 */
/* Credentials and data from flags, descriptors, files and the environment. */
#include <string.h>
#include <unistd.h>

#include "common/file.h"
#include "common/hex.h"
#include "kmstool/kmstool.h"

#define CREDENTIALS_MAX 65536

static int from_descriptor(struct cv_aws_credentials *out, int fd, const char *source,
                           struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    cv_buf_init(&text, CREDENTIALS_MAX);
    int rc = cv_fd_read_all(&text, fd, source, err);
    if (rc == 0)
        rc = cv_aws_credentials_from_json(out, cv_buf_view(&text), source, err);
    if (rc != 0)
        cv_error_wrap(err, "reading credentials");
    return rc;
}

static void wipe(char *arg)
{
    if (arg != NULL)
        cv_wipe(arg, strlen(arg));
}

int cv_kmstool_credentials(struct cv_aws_credentials *out, const struct cv_kmstool_options *o,
                           struct cv_error *err)
{
    if (o->access_key_id != NULL) {
        const char *token = o->session_token != NULL ? o->session_token : "";
        int rc = cv_aws_credentials_set(out, cv_bytes_str(o->access_key_id),
                                        cv_bytes_str(o->secret_access_key), cv_bytes_str(token), 0,
                                        "the command line", err);
        /* They were readable in /proc until now; no longer than that. */
        wipe(o->access_key_id);
        wipe(o->secret_access_key);
        wipe(o->session_token);
        return rc;
    }
    if (o->credentials_stdin)
        return from_descriptor(out, 0, "standard input", err);
    if (o->credentials_fd >= 0)
        return from_descriptor(out, o->credentials_fd, "the given descriptor", err);
    int rc = cv_aws_credentials_from_env(out, err);
    if (rc == CV_ERR_NOT_FOUND)
        return cv_error_set(err, rc,
                            "no AWS credentials: use --credentials-stdin, --credentials-fd, or "
                            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN");
    return rc;
}

static int decode(struct cv_secret *out, const char *what, const char *base64, size_t max,
                  struct cv_error *err)
{
    size_t n = strlen(base64), got = 0;
    if (n == 0 || n > CV_BASE64_LEN(max))
        return cv_error_set(err, CV_ERR_LIMIT, "%s has 1 to %zu bytes", what, max);
    if (cv_secret_alloc(out, CV_BASE64_MAX(n) + 1) != 0)
        return cv_error_set(err, CV_ERR_NOMEM, "no secret memory for %s", what);
    if (cv_base64_decode(out->p, out->n, &got, CV_BYTES(base64, n)) != 0 || got == 0 || got > max) {
        cv_secret_free(out);
        return cv_error_set(err, CV_ERR_INVALID, "%s is no base64 of 1 to %zu bytes", what, max);
    }
    cv_secret_shrink(out, got);
    return 0;
}

int cv_kmstool_input(struct cv_secret *out, const char *what, const char *base64, const char *file,
                     size_t max, struct cv_error *err)
{
    CV_CLEANUP(cv_buf_free) struct cv_buf text;
    int rc;
    cv_buf_init(&text, max + 1);
    if (base64 != NULL)
        return decode(out, what, base64, max, err);
    if (strcmp(file, "-") == 0)
        rc = cv_fd_read_all(&text, 0, "standard input", err);
    else
        rc = cv_file_read(&text, file, err);
    if (rc != 0) {
        cv_error_wrap(err, "reading %s", what);
        return rc;
    }
    if (text.n == 0 || text.n > max)
        return cv_error_set(err, CV_ERR_LIMIT, "%s has 1 to %zu bytes", what, max);
    return cv_secret_copy(out, text.p, text.n) == 0
               ? 0
               : cv_error_set(err, CV_ERR_NOMEM, "no secret memory for %s", what);
}
