/* SPDX-License-Identifier: Apache-2.0 */
#include "nsm/message.h"

#include <string.h>

#include "cbor/cbor.h"

#define MAX_DEPTH 16
#define KEY_MAX 32 /* longer names are none of ours */

static const char *const op_names[] = {
    [CV_NSM_GET_RANDOM] = "GetRandom",     [CV_NSM_DESCRIBE_NSM] = "DescribeNSM",
    [CV_NSM_DESCRIBE_PCR] = "DescribePCR", [CV_NSM_EXTEND_PCR] = "ExtendPCR",
    [CV_NSM_LOCK_PCR] = "LockPCR",         [CV_NSM_LOCK_PCRS] = "LockPCRs",
    [CV_NSM_ATTESTATION] = "Attestation",
};

static const struct {
    const char *name;
    const char *text;
} remote_errors[] = {
    {"Success", "NSM error: success"},
    {"InvalidArgument", "NSM error: invalid argument"},
    {"InvalidIndex", "NSM error: invalid index"},
    {"InvalidResponse", "NSM error: invalid response"},
    {"ReadOnlyIndex", "NSM error: read_only index"},
    {"InvalidOperation", "NSM error: invalid operation"},
    {"BufferTooSmall", "NSM error: buffer too small"},
    {"InputTooLarge", "NSM error: input too large"},
    {"InternalError", "NSM error: internal error"},
};
#define REMOTE_ERRORS (sizeof remote_errors / sizeof remote_errors[0])
static const char internal_error[] = "NSM error: internal error";
static const char input_too_large[] = "NSM error: input too large";
static const char wrong_type[] = "wrong response type";

const char *cv_nsm_fixed_text(const struct cv_error *err)
{
    if (err == NULL || err->count == 0)
        return internal_error;
    if (err->code == CV_ERR_LIMIT)
        return input_too_large;
    if (strcmp(cv_error_text(err, 0), wrong_type) == 0)
        return wrong_type;
    for (size_t i = 0; i < REMOTE_ERRORS; i++) {
        if (err->code == CV_ERR_REMOTE && strcmp(cv_error_text(err, 0), remote_errors[i].text) == 0)
            return remote_errors[i].text;
    }
    return internal_error;
}

static void write_optional(struct cv_writer *w, const char *key, struct cv_bytes v)
{
    cv_cbor_write_tstr(w, key);
    if (v.p == NULL)
        cv_cbor_write_null(w);
    else
        cv_cbor_write_bstr(w, v);
}

int cv_nsm_request_write(struct cv_writer *w, const struct cv_nsm_request *req)
{
    bool bare = req->op == CV_NSM_GET_RANDOM || req->op == CV_NSM_DESCRIBE_NSM;

    if (!bare)
        cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, op_names[req->op]);
    switch (req->op) {
    case CV_NSM_GET_RANDOM:
    case CV_NSM_DESCRIBE_NSM:
        break;
    case CV_NSM_DESCRIBE_PCR:
    case CV_NSM_LOCK_PCR:
        cv_cbor_write_map(w, 1);
        cv_cbor_write_tstr(w, "index");
        cv_cbor_write_uint(w, req->index);
        break;
    case CV_NSM_LOCK_PCRS:
        cv_cbor_write_map(w, 1);
        cv_cbor_write_tstr(w, "range");
        cv_cbor_write_uint(w, req->index);
        break;
    case CV_NSM_EXTEND_PCR:
        cv_cbor_write_map(w, 2);
        cv_cbor_write_tstr(w, "index");
        cv_cbor_write_uint(w, req->index);
        cv_cbor_write_tstr(w, "data");
        cv_cbor_write_bstr(w, req->data);
        break;
    case CV_NSM_ATTESTATION:
        cv_cbor_write_map(w, 3);
        write_optional(w, "user_data", req->attest.user_data);
        write_optional(w, "nonce", req->attest.nonce);
        write_optional(w, "public_key", req->attest.public_key);
        break;
    }
    size_t n = 0;
    int rc = cv_writer_end(w, &n);
    return rc != 0 ? rc : n > CV_NSM_REQUEST_MAX ? CV_ERR_LIMIT : 0;
}

/* A string of type MAJOR, in one piece or in chunks, copied to OUT. */
static void read_string(struct cv_reader *r, enum cv_cbor_major major, uint8_t *out, size_t cap,
                        size_t *n)
{
    struct cv_cbor_head head;
    bool chunked;

    *n = 0;
    if (cv_cbor_read_head(r, &head) != 0)
        return;
    if (head.major != major) {
        cv_reader_fail(r, CV_ERR_INVALID);
        return;
    }
    chunked = head.indefinite;
    do {
        if (chunked) {
            if (cv_cbor_read_head(r, &head) != 0)
                return;
            if (head.major == CV_CBOR_SIMPLE && head.indefinite)
                return;
            if (head.major != major || head.indefinite) {
                cv_reader_fail(r, CV_ERR_INVALID);
                return;
            }
        }
        if (head.value > cap - *n) {
            cv_reader_fail(r, CV_ERR_LIMIT);
            return;
        }
        cv_read_copy(r, out + *n, (size_t)head.value);
        *n += (size_t)head.value;
    } while (chunked && r->err == 0);
}

/* Text of at most SIZE-1 bytes, without NUL bytes inside; "" on error. */
static void read_text(struct cv_reader *r, char *out, size_t size)
{
    size_t n = 0;

    read_string(r, CV_CBOR_TSTR, (uint8_t *)out, size - 1, &n);
    if (r->err == 0 && (memchr(out, 0, n) != NULL || !cv_utf8_valid(CV_BYTES(out, n))))
        cv_reader_fail(r, CV_ERR_INVALID);
    out[r->err == 0 ? n : 0] = '\0';
}

/* A name; one too long to be ours becomes "?". */
static void read_key(struct cv_reader *r, char out[KEY_MAX])
{
    struct cv_cbor_head head;

    if (cv_cbor_peek(r, &head) == 0 && head.major == CV_CBOR_TSTR && !head.indefinite &&
        head.value >= KEY_MAX) {
        cv_cbor_skip(r, MAX_DEPTH, NULL);
        memcpy(out, "?", 2);
        return;
    }
    read_text(r, out, KEY_MAX);
}

static void read_u16(struct cv_reader *r, uint16_t *out)
{
    uint64_t v = 0;

    if (cv_cbor_read_uint(r, &v) == 0 && v > UINT16_MAX)
        cv_reader_fail(r, CV_ERR_LIMIT);
    *out = (uint16_t)v;
}

static void read_locked(struct cv_reader *r, uint64_t *mask)
{
    struct cv_cbor_iter it;

    cv_cbor_enter_array(r, &it);
    while (cv_cbor_next(r, &it)) {
        uint64_t index = 0;
        if (cv_cbor_read_uint(r, &index) == 0 && index >= CV_NSM_PCRS_MAX)
            cv_reader_fail(r, CV_ERR_LIMIT);
        else if (r->err == 0)
            *mask |= UINT64_C(1) << index;
    }
}

/* The fields of each reply, as a table: name, reader, and a bit in "seen". */
enum field {
    F_RANDOM,
    F_DATA,
    F_DOCUMENT,
    F_LOCK,
    F_MAJOR,
    F_MINOR,
    F_PATCH,
    F_MODULE,
    F_MAX,
    F_LOCKED,
    F_DIGEST,
};
static const struct {
    enum cv_nsm_op op;
    enum field field;
    const char *name;
} fields[] = {
    {CV_NSM_GET_RANDOM, F_RANDOM, "random"},
    {CV_NSM_DESCRIBE_PCR, F_LOCK, "lock"},
    {CV_NSM_DESCRIBE_PCR, F_DATA, "data"},
    {CV_NSM_EXTEND_PCR, F_DATA, "data"},
    {CV_NSM_ATTESTATION, F_DOCUMENT, "document"},
    {CV_NSM_DESCRIBE_NSM, F_MAJOR, "version_major"},
    {CV_NSM_DESCRIBE_NSM, F_MINOR, "version_minor"},
    {CV_NSM_DESCRIBE_NSM, F_PATCH, "version_patch"},
    {CV_NSM_DESCRIBE_NSM, F_MODULE, "module_id"},
    {CV_NSM_DESCRIBE_NSM, F_MAX, "max_pcrs"},
    {CV_NSM_DESCRIBE_NSM, F_LOCKED, "locked_pcrs"},
    {CV_NSM_DESCRIBE_NSM, F_DIGEST, "digest"},
};
#define FIELDS (sizeof fields / sizeof fields[0])

static void read_field(struct cv_reader *r, enum field field, struct cv_nsm_reply *reply)
{
    struct cv_nsm_description *d = &reply->description;

    switch (field) {
    case F_RANDOM:
    case F_DATA:
    case F_DOCUMENT:
        read_string(r, CV_CBOR_BSTR, reply->data, reply->cap, &reply->n);
        break;
    case F_LOCK:
        cv_cbor_read_bool(r, &reply->locked);
        break;
    case F_MAJOR:
        read_u16(r, &d->version_major);
        break;
    case F_MINOR:
        read_u16(r, &d->version_minor);
        break;
    case F_PATCH:
        read_u16(r, &d->version_patch);
        break;
    case F_MODULE:
        read_text(r, d->module_id, sizeof d->module_id);
        break;
    case F_MAX:
        read_u16(r, &d->max_pcrs);
        break;
    case F_LOCKED:
        read_locked(r, &d->locked_pcrs);
        break;
    case F_DIGEST:
        read_text(r, d->digest, sizeof d->digest);
        break;
    }
}

static void read_body(struct cv_reader *r, enum cv_nsm_op op, struct cv_nsm_reply *reply)
{
    struct cv_cbor_iter it;
    unsigned seen = 0;
    unsigned wanted = 0;

    cv_cbor_enter_map(r, &it);
    while (cv_cbor_next(r, &it)) {
        char key[KEY_MAX];
        size_t i;
        read_key(r, key);
        for (i = 0; i < FIELDS; i++) {
            if (fields[i].op == op && strcmp(fields[i].name, key) == 0)
                break;
        }
        if (r->err != 0)
            return;
        if (i == FIELDS) {
            cv_cbor_skip(r, MAX_DEPTH, NULL);
        } else if (seen & 1U << i) {
            cv_reader_fail(r, CV_ERR_INVALID);
        } else {
            seen |= 1U << i;
            read_field(r, fields[i].field, reply);
        }
    }
    for (size_t i = 0; i < FIELDS; i++)
        wanted |= fields[i].op == op ? 1U << i : 0;
    if (seen != wanted)
        cv_reader_fail(r, CV_ERR_INVALID);
}

static int remote_error(struct cv_reader *r, struct cv_cbor_iter *it, struct cv_error *err)
{
    char name[KEY_MAX];

    read_key(r, name);
    cv_cbor_next(r, it);
    if (cv_reader_end(r) != 0)
        return cv_error_set(err, CV_ERR_PROTOCOL, "the NSM's error cannot be read");
    for (size_t i = 0; i < REMOTE_ERRORS; i++) {
        if (strcmp(remote_errors[i].name, name) == 0)
            return cv_error_set(err, CV_ERR_REMOTE, "%s", remote_errors[i].text);
    }
    return cv_error_set(err, CV_ERR_REMOTE, "the NSM answers with an error that is not known");
}

int cv_nsm_reply_read(struct cv_nsm_reply *reply, enum cv_nsm_op op, struct cv_bytes in,
                      struct cv_error *err)
{
    bool bare = op == CV_NSM_LOCK_PCR || op == CV_NSM_LOCK_PCRS;
    struct cv_reader r;
    struct cv_cbor_head head;
    struct cv_cbor_iter it = {0};
    char name[KEY_MAX] = "";
    bool map;

    reply->n = 0;
    reply->locked = false;
    memset(&reply->description, 0, sizeof reply->description);
    cv_reader_init(&r, in);
    map = cv_cbor_peek(&r, &head) == 0 && head.major == CV_CBOR_MAP;
    if (map) {
        cv_cbor_enter_map(&r, &it);
        if (!cv_cbor_next(&r, &it))
            cv_reader_fail(&r, CV_ERR_INVALID);
    }
    read_key(&r, name);
    if (r.err == 0 && map && strcmp(name, "Error") == 0)
        return remote_error(&r, &it, err);
    if (r.err == 0 && (map == bare || strcmp(name, op_names[op]) != 0))
        return cv_error_set(err, CV_ERR_PROTOCOL, "%s", wrong_type);
    if (map) {
        read_body(&r, op, reply);
        if (cv_cbor_next(&r, &it))
            cv_reader_fail(&r, CV_ERR_INVALID);
    }
    if (cv_reader_end(&r) != 0) {
        if (reply->n > 0)
            cv_wipe(reply->data, reply->n);
        reply->n = 0;
        memset(&reply->description, 0, sizeof reply->description);
        return cv_error_set(err, CV_ERR_PROTOCOL, "the NSM's reply to %s cannot be read",
                            op_names[op]);
    }
    return 0;
}
