/* SPDX-License-Identifier: Apache-2.0 */
#include "attest/statement.h"

#include <string.h>

#include "cbor/cbor.h"

#define KEY_MEMBERS 6
#define OFFER_MEMBERS 4
#define ARN_MAX 2048

static bool read_head(struct cv_reader *r, uint64_t members, const char *name)
{
    struct cv_cbor_head head;
    struct cv_bytes tag;

    return cv_cbor_read_head(r, &head) == 0 && head.major == CV_CBOR_ARRAY && !head.indefinite &&
           head.value == members && cv_cbor_read_tstr(r, &tag) == 0 &&
           cv_bytes_equal_str(tag, name);
}

bool cv_key_statement_is(struct cv_bytes user_data)
{
    struct cv_reader r;

    cv_reader_init(&r, user_data);
    return read_head(&r, KEY_MEMBERS, CV_STATEMENT_KEY);
}

static bool known_origin(struct cv_bytes origin)
{
    return cv_bytes_equal_str(origin, "generated") || cv_bytes_equal_str(origin, "sealed") ||
           cv_bytes_equal_str(origin, "imported") || cv_bytes_equal_str(origin, "plain");
}

static bool printable(struct cv_bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < 0x21 || text.p[i] > 0x7E)
            return false;
    }
    return text.n > 0 && text.n <= ARN_MAX;
}

int cv_key_statement_read(struct cv_key_statement *out, struct cv_bytes user_data,
                          struct cv_error *err)
{
    struct cv_reader r;
    struct cv_bytes name, key;
    enum cv_scheme scheme;

    *out = (struct cv_key_statement){0};
    cv_reader_init(&r, user_data);
    if (!read_head(&r, KEY_MEMBERS, CV_STATEMENT_KEY))
        return cv_error_set(err, CV_ERR_INVALID, "user_data is no statement about a key");
    cv_cbor_read_tstr(&r, &name);
    cv_cbor_read_bstr(&r, &key);
    cv_cbor_read_tstr(&r, &out->origin);
    cv_cbor_read_tstr(&r, &out->cmk);
    cv_cbor_read_bool(&r, &out->pinned);
    if (cv_reader_end(&r) != 0 || !known_origin(out->origin) || !printable(out->cmk))
        return cv_error_set(err, CV_ERR_INVALID,
                            "the statement about a key in user_data is malformed");
    if (cv_scheme_from_rpc_name(&scheme, name) != 0 ||
        cv_public_key_parse(&out->public_key, scheme, key) != 0)
        return cv_error_set(err, CV_ERR_INVALID,
                            "the statement in user_data holds no valid public key");
    return 0;
}

int cv_offer_statement_read(struct cv_offer_statement *out, struct cv_bytes user_data,
                            struct cv_error *err)
{
    struct cv_reader r;
    struct cv_bytes key = {NULL, 0};

    *out = (struct cv_offer_statement){0};
    cv_reader_init(&r, user_data);
    if (!read_head(&r, OFFER_MEMBERS, CV_STATEMENT_IMPORT))
        return cv_error_set(err, CV_ERR_INVALID, "user_data is no offer to import a key");
    cv_cbor_read_bstr(&r, &key);
    cv_cbor_read_tstr(&r, &out->cmk);
    cv_cbor_read_bool(&r, &out->pinned);
    if (cv_reader_end(&r) != 0 || key.n != CV_OFFER_KEY_LEN || !printable(out->cmk))
        return cv_error_set(err, CV_ERR_INVALID,
                            "the offer to import a key in user_data is malformed");
    memcpy(out->public_key, key.p, CV_OFFER_KEY_LEN);
    return 0;
}
