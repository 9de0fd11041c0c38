/* SPDX-License-Identifier: Apache-2.0 */
#include "tezos/keyimport.h"

#include <string.h>

#include "tezos/keyimport_kinds.h"

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The clients' notation of how a key is kept may stand before it. */
static struct cv_bytes strip(struct cv_bytes in, const char *prefix)
{
    size_t n = strlen(prefix);
    return in.n > n && memcmp(in.p, prefix, n) == 0 ? CV_BYTES(in.p + n, in.n - n) : in;
}

/* DER is binary: its last byte may look like a newline, so it is left alone
 * unless what is there is text. */
static struct cv_bytes trim(struct cv_bytes in)
{
    if (cv_key_is_der(in))
        return in;
    while (in.n > 0 && is_space(in.p[0])) {
        in.p++;
        in.n--;
    }
    while (in.n > 0 && is_space(in.p[in.n - 1]))
        in.n--;
    return strip(strip(in, "unencrypted:"), "encrypted:");
}

bool cv_key_is_encrypted(struct cv_bytes in)
{
    if (in.n > CV_KEY_FILE_MAX)
        return false;
    in = trim(in);
    if (cv_key_is_pem(in))
        return cv_key_is_encrypted_pem(in);
    if (cv_key_is_der(in))
        return cv_key_is_encrypted_der(in);
    return cv_key_is_encrypted_base58(in);
}

int cv_key_import(struct cv_secret *out, enum cv_scheme *scheme, struct cv_bytes in,
                  struct cv_bytes password, struct cv_error *err)
{
    cv_secret_free(out);
    if (in.n > CV_KEY_FILE_MAX)
        return cv_error_set(err, CV_ERR_INVALID, "too long to be a private key");
    in = trim(in);
    if (in.n == 0)
        return cv_error_set(err, CV_ERR_INVALID, "there is no private key in the input");
    if (cv_key_is_pem(in))
        return cv_key_import_pem(out, scheme, in, password, err);
    if (cv_key_is_der(in))
        return cv_key_import_der(out, scheme, in, password, err);
    return cv_key_import_base58(out, scheme, in, password, err);
}
