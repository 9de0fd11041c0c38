/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rpc/reply.h"

#define UNKNOWN_VARIANT "unknown variant `Describe`"

static int broken(struct cv_error *err, const char *what)
{
    return cv_error_set(err, CV_ERR_PROTOCOL, "the enclave's reply cannot be read: %s", what);
}

/* Any item whole, with what the callers below do not know. */
static int skip(struct cv_reader *r)
{
    return cv_cbor_skip(r, CV_CBOR_MAX_DEPTH, NULL);
}

static void open_pair(struct cv_rpc_reply *reply, struct cv_reader *r, struct cv_bytes key,
                      bool *result)
{
    struct cv_bytes digest;
    if (cv_bytes_equal_str(key, "id") && !reply->echo.has_id) {
        reply->echo.has_id = cv_cbor_read_uint(r, &reply->echo.id) == 0;
    } else if (cv_bytes_equal_str(key, "handle") && !reply->echo.has_handle) {
        reply->echo.has_handle = cv_cbor_read_uint(r, &reply->echo.handle) == 0;
    } else if (cv_bytes_equal_str(key, "digest") && !reply->echo.has_digest) {
        if (cv_cbor_read_bstr(r, &digest) == 0 && digest.n == CV_RPC_DIGEST_LEN) {
            memcpy(reply->echo.digest, digest.p, CV_RPC_DIGEST_LEN);
            reply->echo.has_digest = true;
        } else {
            cv_reader_fail(r, CV_ERR_INVALID);
        }
    } else if (cv_bytes_equal_str(key, "Ok") || cv_bytes_equal_str(key, "Err")) {
        if (*result)
            cv_reader_fail(r, CV_ERR_INVALID);
        *result = true;
        reply->ok = key.n == 2;
        (void)cv_cbor_skip(r, CV_CBOR_MAX_DEPTH, &reply->value);
    } else if (cv_bytes_equal_str(key, "id") || cv_bytes_equal_str(key, "handle") ||
               cv_bytes_equal_str(key, "digest")) {
        cv_reader_fail(r, CV_ERR_INVALID); /* twice */
    } else {
        (void)skip(r);
    }
}

int cv_rpc_reply_open(struct cv_rpc_reply *reply, struct cv_bytes body, struct cv_error *err)
{
    struct cv_reader r;
    struct cv_cbor_iter it;
    bool result = false;
    memset(reply, 0, sizeof *reply);
    cv_reader_init(&r, body);
    if (cv_cbor_enter_map(&r, &it) != 0)
        return broken(err, "it is no CBOR map");
    while (cv_cbor_next(&r, &it)) {
        struct cv_bytes key;
        if (cv_cbor_read_tstr(&r, &key) == 0)
            open_pair(reply, &r, key, &result);
    }
    if (cv_reader_end(&r) != 0)
        return broken(err, cv_strerror(cv_reader_end(&r)));
    if (!result)
        return broken(err, "neither Ok nor Err");
    return 0;
}

/* ---- Err ---- */

/* One {message, source}; returns whether a source follows in *NEXT. */
static int read_error(struct cv_bytes in, struct cv_bytes *message, struct cv_bytes *next)
{
    struct cv_reader r;
    struct cv_cbor_iter it;
    bool named = false;
    *next = CV_BYTES(NULL, 0);
    cv_reader_init(&r, in);
    if (cv_cbor_enter_map(&r, &it) != 0)
        return CV_ERR_INVALID;
    while (cv_cbor_next(&r, &it)) {
        struct cv_bytes key;
        if (cv_cbor_read_tstr(&r, &key) != 0)
            break;
        if (cv_bytes_equal_str(key, "message"))
            named = cv_cbor_read_tstr(&r, message) == 0;
        else if (!cv_bytes_equal_str(key, "source"))
            (void)skip(&r);
        else if (!cv_cbor_take_null(&r))
            (void)cv_cbor_skip(&r, CV_CBOR_MAX_DEPTH, next);
    }
    return r.err != 0 || !named ? CV_ERR_INVALID : 0;
}

/* The chain of an Err value into ERR, outermost text last. */
static int remote_error(const struct cv_rpc_reply *reply, struct cv_error *err)
{
    struct cv_bytes texts[CV_ERROR_DEPTH], next = reply->value;
    unsigned n = 0;
    /* The innermost causes beyond our depth are dropped: the outer ones tell
     * which step failed. */
    while (next.n > 0 && n < CV_ERROR_DEPTH) {
        if (read_error(next, &texts[n], &next) != 0)
            return broken(err, "malformed Err");
        n++;
    }
    if (err == NULL)
        return CV_ERR_REMOTE;
    cv_error_clear(err);
    for (unsigned i = n; i > 0; i--) {
        char quoted[CV_ERROR_TEXT];
        cv_error_quote(quoted, sizeof quoted, texts[i - 1].p, texts[i - 1].n);
        if (i == n)
            cv_error_set(err, CV_ERR_REMOTE, "%s", quoted);
        else
            cv_error_wrap(err, "%s", quoted);
    }
    return CV_ERR_REMOTE;
}

/* ---- Ok ---- */

static int begin(struct cv_reader *r, const struct cv_rpc_reply *reply, struct cv_error *err)
{
    if (!reply->ok)
        return remote_error(reply, err);
    cv_reader_init(r, reply->value);
    return 0;
}

static int end(const struct cv_reader *r, struct cv_error *err, const char *what)
{
    return cv_reader_end(r) == 0 ? 0 : broken(err, what);
}

/* {"Ed25519": value}: the scheme; the value is next. */
static int enter_scheme(struct cv_reader *r, enum cv_scheme *scheme)
{
    struct cv_cbor_iter it;
    struct cv_bytes name;
    if (cv_cbor_enter_map(r, &it) != 0 || it.indefinite || it.left != 1 || !cv_cbor_next(r, &it) ||
        cv_cbor_read_tstr(r, &name) != 0 || cv_scheme_from_rpc_name(scheme, name) != 0) {
        cv_reader_fail(r, CV_ERR_INVALID);
        return CV_ERR_INVALID;
    }
    return 0;
}

/* Exactly N bytes, as a byte string or an array of integers. */
static void read_fixed(struct cv_reader *r, uint8_t *out, size_t n)
{
    struct cv_cbor_head h;
    if (cv_cbor_peek(r, &h) != 0) {
        cv_reader_fail(r, CV_ERR_INVALID);
    } else if (h.major == CV_CBOR_ARRAY) {
        struct cv_cbor_iter it;
        size_t got = 0;
        (void)cv_cbor_enter_array(r, &it);
        while (cv_cbor_next(r, &it)) {
            uint64_t v;
            if (cv_cbor_read_uint(r, &v) != 0 || v > UINT8_MAX || got == n) {
                cv_reader_fail(r, CV_ERR_INVALID);
                break;
            }
            out[got++] = (uint8_t)v;
        }
        if (got != n)
            cv_reader_fail(r, CV_ERR_INVALID);
    } else {
        struct cv_bytes b;
        if (cv_cbor_read_bstr(r, &b) != 0 || b.n != n)
            cv_reader_fail(r, CV_ERR_INVALID);
        else
            memcpy(out, b.p, n);
    }
}

static void read_key(struct cv_reader *r, struct cv_public_key *k)
{
    if (enter_scheme(r, &k->scheme) != 0)
        return;
    k->n = cv_public_key_len(k->scheme);
    read_fixed(r, k->p, k->n);
}

static void read_sig(struct cv_reader *r, struct cv_signature *s)
{
    if (enter_scheme(r, &s->scheme) != 0)
        return;
    s->n = cv_signature_len(s->scheme);
    read_fixed(r, s->p, s->n);
}

int cv_rpc_reply_read_null(const struct cv_rpc_reply *reply, struct cv_error *err)
{
    struct cv_reader r;
    int rc = begin(&r, reply, err);
    if (rc != 0)
        return rc;
    (void)cv_cbor_read_null(&r);
    return end(&r, err, "null was expected");
}

static void key_pair(struct cv_rpc_key_result *k, struct cv_reader *r, struct cv_bytes name,
                     bool *has_key)
{
    if (cv_bytes_equal_str(name, "encrypted_private_key")) {
        (void)cv_cbor_read_bstr(r, &k->blob);
    } else if (cv_bytes_equal_str(name, "public_key")) {
        read_key(r, &k->public_key);
        *has_key = true;
    } else if (cv_bytes_equal_str(name, "handle")) {
        k->has_handle = cv_cbor_read_uint(r, &k->handle) == 0;
    } else {
        (void)skip(r);
    }
}

int cv_rpc_reply_read_key(struct cv_rpc_key_result *k, const struct cv_rpc_reply *reply,
                          struct cv_error *err)
{
    struct cv_reader r;
    struct cv_cbor_iter it;
    bool has_key = false;
    memset(k, 0, sizeof *k);
    int rc = begin(&r, reply, err);
    if (rc != 0)
        return rc;
    if (cv_cbor_enter_map(&r, &it) != 0)
        return broken(err, "a key was expected");
    while (cv_cbor_next(&r, &it)) {
        struct cv_bytes name;
        if (cv_cbor_read_tstr(&r, &name) == 0)
            key_pair(k, &r, name, &has_key);
    }
    if (!has_key)
        cv_reader_fail(&r, CV_ERR_INVALID);
    return end(&r, err, "a key was expected");
}

int cv_rpc_reply_read_signature(struct cv_signature *sig, const struct cv_rpc_reply *reply,
                                struct cv_error *err)
{
    struct cv_reader r;
    memset(sig, 0, sizeof *sig);
    int rc = begin(&r, reply, err);
    if (rc != 0)
        return rc;
    read_sig(&r, sig);
    return end(&r, err, "a signature was expected");
}

int cv_rpc_reply_read_public_key(struct cv_public_key *k, const struct cv_rpc_reply *reply,
                                 struct cv_error *err)
{
    struct cv_reader r;
    memset(k, 0, sizeof *k);
    int rc = begin(&r, reply, err);
    if (rc != 0)
        return rc;
    read_key(&r, k);
    return end(&r, err, "a public key was expected");
}

int cv_rpc_reply_read_proof(struct cv_signature *proof, const struct cv_rpc_reply *reply,
                            struct cv_error *err)
{
    int rc = cv_rpc_reply_read_signature(proof, reply, err);
    if (rc == 0 && proof->scheme != CV_SCHEME_BLS)
        return broken(err, "a proof of possession was expected");
    return rc;
}

int cv_rpc_reply_read_bytes(struct cv_bytes *value, const struct cv_rpc_reply *reply,
                            struct cv_error *err)
{
    struct cv_reader r;
    *value = CV_BYTES(NULL, 0);
    int rc = begin(&r, reply, err);
    if (rc != 0)
        return rc;
    (void)cv_cbor_read_bstr(&r, value);
    return end(&r, err, "bytes were expected");
}

/* ---- Describe ---- */

static void read_limits(struct cv_rpc_description *d, struct cv_reader *r)
{
    struct cv_cbor_iter it;
    (void)cv_cbor_enter_map(r, &it);
    while (r->err == 0 && cv_cbor_next(r, &it)) {
        struct cv_bytes name;
        if (cv_cbor_read_tstr(r, &name) != 0)
            return;
        uint64_t *where = cv_bytes_equal_str(name, "frame")       ? &d->max_frame
                          : cv_bytes_equal_str(name, "in_flight") ? &d->max_in_flight
                          : cv_bytes_equal_str(name, "sessions")  ? &d->max_sessions
                          : cv_bytes_equal_str(name, "keys")      ? &d->max_keys
                                                                  : NULL;
        if (where != NULL)
            (void)cv_cbor_read_uint(r, where);
        else
            (void)skip(r);
    }
}

static void read_cmks(struct cv_rpc_description *d, struct cv_reader *r)
{
    struct cv_cbor_iter it;
    d->cmk_count = 0;
    (void)cv_cbor_enter_array(r, &it);
    while (r->err == 0 && cv_cbor_next(r, &it)) {
        if (d->cmk_count == CV_RPC_CMKS_MAX) {
            cv_reader_fail(r, CV_ERR_LIMIT);
            return;
        }
        (void)cv_cbor_read_tstr(r, &d->cmks[d->cmk_count++]);
    }
}

static void description_pair(struct cv_rpc_description *d, struct cv_reader *r,
                             struct cv_bytes name)
{
    struct {
        const char *name;
        struct cv_bytes *text;
        bool *flag;
    } const known[] = {
        {"version", &d->version, NULL},
        {"build", &d->build, NULL},
        {"region", &d->region, NULL},
        {"debug", NULL, &d->debug},
        {"pinned", NULL, &d->pinned},
        {"plain_import", NULL, &d->plain_import},
        {"seal_v1", NULL, &d->seal_v1},
        {"self_check", NULL, &d->self_check},
        {"sealed_import", NULL, &d->sealed_import},
    };
    uint64_t protocol;
    if (cv_bytes_equal_str(name, "protocol")) {
        if (cv_cbor_read_uint(r, &protocol) == 0)
            d->protocol = protocol > UINT16_MAX ? UINT16_MAX : (unsigned)protocol;
        return;
    }
    if (cv_bytes_equal_str(name, "cmks")) {
        read_cmks(d, r);
        return;
    }
    if (cv_bytes_equal_str(name, "limits")) {
        read_limits(d, r);
        return;
    }
    if (cv_bytes_equal_str(name, "pcr0")) {
        (void)cv_cbor_read_bstr(r, &d->pcr0);
        return;
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!cv_bytes_equal_str(name, known[i].name))
            continue;
        if (known[i].text != NULL)
            (void)cv_cbor_read_tstr(r, known[i].text);
        else
            (void)cv_cbor_read_bool(r, known[i].flag);
        return;
    }
    (void)skip(r);
}

int cv_rpc_reply_read_description(struct cv_rpc_description *d, const struct cv_rpc_reply *reply,
                                  struct cv_error *err)
{
    struct cv_reader r;
    struct cv_cbor_iter it;
    memset(d, 0, sizeof *d);
    if (!reply->ok) {
        struct cv_bytes text, next;
        static const char mark[] = UNKNOWN_VARIANT;
        if (read_error(reply->value, &text, &next) == 0 &&
            memmem(text.p, text.n, mark, sizeof mark - 1) != NULL)
            return cv_error_set(err, CV_ERR_UNSUPPORTED, "the enclave runs an original signer");
        return remote_error(reply, err);
    }
    cv_reader_init(&r, reply->value);
    if (cv_cbor_enter_map(&r, &it) != 0)
        return broken(err, "a description was expected");
    while (cv_cbor_next(&r, &it)) {
        struct cv_bytes name;
        if (cv_cbor_read_tstr(&r, &name) == 0)
            description_pair(d, &r, name);
    }
    if (d->protocol == 0)
        cv_reader_fail(&r, CV_ERR_INVALID);
    return end(&r, err, "a description was expected");
}
