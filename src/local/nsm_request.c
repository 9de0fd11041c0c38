/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as the NSM reads them: a bare name, or a map of one name to a map
 * of arguments (aws-nitro-enclaves-nsm-api, src/api). */
#include "cbor/cbor.h"
#include "local/nsm_internal.h"

#define MAX_DEPTH 16

static const struct {
    const char *name;
    bool bare;
} ops[] = {
    [CV_LOCAL_GET_RANDOM] = {"GetRandom", true},
    [CV_LOCAL_DESCRIBE_NSM] = {"DescribeNSM", true},
    [CV_LOCAL_DESCRIBE_PCR] = {"DescribePCR", false},
    [CV_LOCAL_EXTEND_PCR] = {"ExtendPCR", false},
    [CV_LOCAL_LOCK_PCR] = {"LockPCR", false},
    [CV_LOCAL_LOCK_PCRS] = {"LockPCRs", false},
    [CV_LOCAL_ATTESTATION] = {"Attestation", false},
};
#define OPS (sizeof ops / sizeof ops[0])

static void read_optional(struct cv_reader *r, struct cv_bytes *out)
{
    static const uint8_t empty[1];

    if (cv_cbor_take_null(r)) {
        *out = (struct cv_bytes){NULL, 0};
        return;
    }
    cv_cbor_read_bstr(r, out);
    if (out->n == 0)
        out->p = empty; /* empty, yet present */
}

static void read_index(struct cv_reader *r, uint16_t *out)
{
    uint64_t v = 0;

    if (cv_cbor_read_uint(r, &v) == 0 && v > UINT16_MAX)
        cv_reader_fail(r, CV_ERR_INVALID);
    *out = (uint16_t)v;
}

/* True when the argument is one of OP's; SEEN says which were there. */
static bool read_argument(struct cv_reader *r, struct cv_local_nsm_request *req,
                          struct cv_bytes key, unsigned *seen)
{
    enum cv_local_nsm_op op = req->op;
    bool index =
        op == CV_LOCAL_DESCRIBE_PCR || op == CV_LOCAL_EXTEND_PCR || op == CV_LOCAL_LOCK_PCR;
    unsigned bit;

    if ((index && cv_bytes_equal_str(key, "index")) ||
        (op == CV_LOCAL_LOCK_PCRS && cv_bytes_equal_str(key, "range"))) {
        bit = 1;
        read_index(r, &req->index);
    } else if (op == CV_LOCAL_EXTEND_PCR && cv_bytes_equal_str(key, "data")) {
        bit = 2;
        cv_cbor_read_bstr(r, &req->data);
    } else if (op == CV_LOCAL_ATTESTATION && cv_bytes_equal_str(key, "user_data")) {
        bit = 4;
        read_optional(r, &req->user_data);
    } else if (op == CV_LOCAL_ATTESTATION && cv_bytes_equal_str(key, "nonce")) {
        bit = 8;
        read_optional(r, &req->nonce);
    } else if (op == CV_LOCAL_ATTESTATION && cv_bytes_equal_str(key, "public_key")) {
        bit = 16;
        read_optional(r, &req->public_key);
    } else {
        return false;
    }
    if (*seen & bit)
        cv_reader_fail(r, CV_ERR_INVALID);
    *seen |= bit;
    return true;
}

static void read_arguments(struct cv_reader *r, struct cv_local_nsm_request *req)
{
    struct cv_cbor_iter it;
    unsigned seen = 0;
    unsigned wanted = 0;

    cv_cbor_enter_map(r, &it);
    while (cv_cbor_next(r, &it)) {
        struct cv_bytes key;
        if (cv_cbor_read_tstr(r, &key) == 0 && !read_argument(r, req, key, &seen))
            cv_cbor_skip(r, MAX_DEPTH, NULL);
    }
    if (req->op == CV_LOCAL_EXTEND_PCR)
        wanted = 1 | 2;
    else if (req->op != CV_LOCAL_ATTESTATION)
        wanted = 1;
    if ((seen & wanted) != wanted)
        cv_reader_fail(r, CV_ERR_INVALID);
}

int cv_local_nsm_request_read(struct cv_local_nsm_request *req, struct cv_bytes in)
{
    struct cv_reader r;
    struct cv_cbor_head head;
    struct cv_cbor_iter it = {0};
    struct cv_bytes name = {NULL, 0};
    size_t op;

    *req = (struct cv_local_nsm_request){0};
    cv_reader_init(&r, in);
    bool map = cv_cbor_peek(&r, &head) == 0 && head.major == CV_CBOR_MAP;
    if (map) {
        cv_cbor_enter_map(&r, &it);
        if (!cv_cbor_next(&r, &it))
            return CV_ERR_INVALID;
    }
    if (cv_cbor_read_tstr(&r, &name) != 0)
        return CV_ERR_INVALID;
    for (op = 0; op < OPS; op++) {
        if (ops[op].bare != map && cv_bytes_equal_str(name, ops[op].name))
            break;
    }
    if (op == OPS)
        return CV_ERR_INVALID;
    req->op = (enum cv_local_nsm_op)op;
    if (map) {
        read_arguments(&r, req);
        if (cv_cbor_next(&r, &it))
            return CV_ERR_INVALID;
    }
    return cv_reader_end(&r) == 0 ? 0 : CV_ERR_INVALID;
}
