/* SPDX-License-Identifier: Apache-2.0 */
/* The NSM's messages: bytes of every request, and replies in every shape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/hex.h"
#include "nsm/message.h"
#include "unit/mutate.h"

static void expect_request(const struct cv_nsm_request *req, const char *hex)
{
    uint8_t buf[CV_NSM_REQUEST_MAX];
    char got[2 * sizeof buf + 1];
    struct cv_writer w;

    cv_writer_init(&w, buf, sizeof buf);
    assert_int_equal(cv_nsm_request_write(&w, req), 0);
    cv_hex_encode(got, buf, w.n);
    assert_string_equal(got, hex);
}

static void requests(void **state)
{
    (void)state;
    expect_request(&(struct cv_nsm_request){.op = CV_NSM_GET_RANDOM}, "6947657452616e646f6d");
    expect_request(&(struct cv_nsm_request){.op = CV_NSM_DESCRIBE_NSM}, "6b44657363726962654e534d");
    expect_request(&(struct cv_nsm_request){.op = CV_NSM_DESCRIBE_PCR, .index = 3},
                   "a16b4465736372696265504352a165696e64657803");
    expect_request(
        &(struct cv_nsm_request){.op = CV_NSM_EXTEND_PCR, .index = 16, .data = CV_BYTES_LIT("ab")},
        "a169457874656e64504352a265696e6465781064646174614261"
        "62");
    expect_request(&(struct cv_nsm_request){.op = CV_NSM_LOCK_PCR, .index = 300},
                   "a1674c6f636b504352a165696e64657819012c");
    expect_request(&(struct cv_nsm_request){.op = CV_NSM_LOCK_PCRS, .index = 32},
                   "a1684c6f636b50435273a16572616e67651820");
    expect_request(&(struct cv_nsm_request){.op = CV_NSM_ATTESTATION,
                                            .attest = {.nonce = CV_BYTES("\x01", 1)}},
                   "a16b4174746573746174696f6ea369757365725f64617461f6656e6f6e6365410"
                   "16a7075626c69635f6b6579f6");
}

static void request_limit(void **state)
{
    static const uint8_t bytes[CV_NSM_REQUEST_MAX];
    uint8_t buf[CV_NSM_REQUEST_MAX + 64];
    struct cv_writer w;
    struct cv_nsm_request req = {.op = CV_NSM_ATTESTATION};

    (void)state;
    /* Three fields of 1024 bytes fit, as AWS's NSM takes them. */
    req.attest =
        (struct cv_nsm_attest){CV_BYTES(bytes, 1024), CV_BYTES(bytes, 1024), CV_BYTES(bytes, 1024)};
    cv_writer_init(&w, buf, sizeof buf);
    assert_int_equal(cv_nsm_request_write(&w, &req), 0);
    req.attest.user_data.n = 2048;
    cv_writer_init(&w, buf, sizeof buf);
    assert_int_equal(cv_nsm_request_write(&w, &req), CV_ERR_LIMIT);
}

struct parsed {
    int rc;
    uint8_t data[64];
    struct cv_nsm_reply reply;
    struct cv_error err;
};

static struct parsed parse(enum cv_nsm_op op, const char *hex)
{
    static struct parsed p;
    uint8_t in[1024];
    size_t n = 0;

    memset(&p, 0, sizeof p);
    cv_error_clear(&p.err);
    assert_int_equal(cv_hex_decode(in, sizeof in, &n, cv_bytes_str(hex)), 0);
    p.reply.data = p.data;
    p.reply.cap = sizeof p.data;
    p.rc = cv_nsm_reply_read(&p.reply, op, CV_BYTES(in, n), &p.err);
    return p;
}

#define RANDOM_ABC "a16947657452616e646f6da16672616e646f6d43616263"
#define DESCRIBE_NSM                                                                                  \
    "a16b44657363726962654e534da76d76657273696f6e5f6d616a6f72016d76657273696f6e5f6d696e6f72026d76657" \
    "273696f6e5f706174636803696d6f64756c655f696463692d3168"                                           \
    "6d61785f7063727318206b6c6f636b65645f70637273830001181f666469676573746653484133"                  \
    "3834"

static void replies(void **state)
{
    struct parsed p;

    (void)state;
    p = parse(CV_NSM_GET_RANDOM, RANDOM_ABC);
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.reply.n, 3);
    assert_memory_equal(p.data, "abc", 3);

    p = parse(CV_NSM_DESCRIBE_NSM, DESCRIBE_NSM);
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.reply.description.version_major, 1);
    assert_int_equal(p.reply.description.version_minor, 2);
    assert_int_equal(p.reply.description.version_patch, 3);
    assert_string_equal(p.reply.description.module_id, "i-1");
    assert_int_equal(p.reply.description.max_pcrs, 32);
    assert_true(p.reply.description.locked_pcrs == 0x80000003U);
    assert_string_equal(p.reply.description.digest, "SHA384");

    p = parse(CV_NSM_DESCRIBE_PCR, "a16b4465736372696265504352a2646c6f636bf56464617461420102");
    assert_int_equal(p.rc, 0);
    assert_true(p.reply.locked);
    assert_int_equal(p.reply.n, 2);

    assert_int_equal(parse(CV_NSM_LOCK_PCR, "674c6f636b504352").rc, 0);
    assert_int_equal(parse(CV_NSM_LOCK_PCRS, "684c6f636b50435273").rc, 0);
    p = parse(CV_NSM_ATTESTATION, "a16b4174746573746174696f6ea168646f63756d656e744184");
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.data[0], 0x84);
}

static void indefinite_replies(void **state)
{
    struct parsed p;

    (void)state;
    /* Maps, keys and strings of indefinite length; a key that we do not know. */
    p = parse(CV_NSM_GET_RANDOM, "bf6947657452616e646f6dbf6672616e646f6d43616263ffff");
    assert_int_equal(p.rc, 0);
    assert_memory_equal(p.data, "abc", 3);
    p = parse(CV_NSM_GET_RANDOM, "a16947657452616e646f6da16672616e646f6d5f4161426263ff");
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.reply.n, 3);
    assert_memory_equal(p.data, "abc", 3);
    p = parse(CV_NSM_GET_RANDOM, "a17f634765746652616e646f6dffa16672616e646f6d43616263");
    assert_int_equal(p.rc, 0);
    p = parse(CV_NSM_GET_RANDOM, "a16947657452616e646f6da263666f6f8201a1026161"
                                 "6672616e646f6d43616263");
    assert_int_equal(p.rc, 0);
    assert_int_equal(p.reply.n, 3);
    p = parse(CV_NSM_DESCRIBE_PCR,
              "bf6b4465736372696265504352bf6464617461420102646c6f636bf4647a7a7a7a9f01ffffff");
    assert_int_equal(p.rc, 0);
    assert_false(p.reply.locked);
}

static void refused_replies(void **state)
{
    static const struct {
        enum cv_nsm_op op;
        const char *hex;
    } cases[] = {
        {CV_NSM_GET_RANDOM, ""},
        {CV_NSM_GET_RANDOM, "f6"},
        {CV_NSM_GET_RANDOM, "a0"},
        {CV_NSM_GET_RANDOM, "6947657452616e646f6d"},                           /* no body */
        {CV_NSM_GET_RANDOM, "a16947657452616e646f6da0"},                       /* no field */
        {CV_NSM_GET_RANDOM, "a16947657452616e646f6da16672616e646f6df6"},       /* null */
        {CV_NSM_GET_RANDOM, "a16947657452616e646f6da16672616e646f6d63616263"}, /* text */
        {CV_NSM_GET_RANDOM, RANDOM_ABC "00"},                                  /* trailing */
        {CV_NSM_GET_RANDOM, "a26947657452616e646f6da16672616e646f6d43616263"
                            "6161"
                            "00"}, /* two variants */
        {CV_NSM_GET_RANDOM, "a16947657452616e646f6da26672616e646f6d436162636672616e646f6d43616263"},
        {CV_NSM_GET_RANDOM, "a16947657452616e646f6da16672616e646f6d5841" /* 65 bytes do not fit */
                            "0000000000000000000000000000000000000000000000000000000000000000"
                            "000000000000000000000000000000000000000000000000000000000000000000"},
        {CV_NSM_GET_RANDOM, "a16947657452616e646f6da16672616e646f6d5bffffffffffffffff61"},
        {CV_NSM_LOCK_PCR, "a1674c6f636b504352a0"}, /* a map where a name is due */
        {CV_NSM_LOCK_PCR, "684c6f636b50435273"},   /* LockPCRs */
        {CV_NSM_DESCRIBE_NSM, RANDOM_ABC},         /* another reply */
        {CV_NSM_DESCRIBE_PCR, "a16b4465736372696265504352a2646c6f636b016464617461420102"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed p = parse(cases[i].op, cases[i].hex);
        assert_int_equal(p.rc, CV_ERR_PROTOCOL);
        assert_int_equal(p.reply.n, 0);
        const char *text = cv_nsm_fixed_text(&p.err);
        assert_true(strcmp(text, "NSM error: internal error") == 0 ||
                    strcmp(text, "wrong response type") == 0);
    }
}

static void remote_errors(void **state)
{
    static const struct {
        const char *hex;
        const char *text;
    } cases[] = {
        {"a1654572726f726753756363657373", "NSM error: success"},
        {"a1654572726f726f496e76616c6964417267756d656e74", "NSM error: invalid argument"},
        {"a1654572726f726c496e76616c6964496e646578", "NSM error: invalid index"},
        {"a1654572726f726f496e76616c6964526573706f6e7365", "NSM error: invalid response"},
        {"a1654572726f726d526561644f6e6c79496e646578", "NSM error: read_only index"},
        {"a1654572726f7270496e76616c69644f7065726174696f6e", "NSM error: invalid operation"},
        {"a1654572726f726e427566666572546f6f536d616c6c", "NSM error: buffer too small"},
        {"a1654572726f726d496e707574546f6f4c61726765", "NSM error: input too large"},
        {"bf654572726f726d496e7465726e616c4572726f72ff", "NSM error: internal error"},
        {"a1654572726f726a536f6d657468696e6773", "NSM error: internal error"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed p = parse(CV_NSM_LOCK_PCR, cases[i].hex);
        assert_int_equal(p.rc, CV_ERR_REMOTE);
        assert_string_equal(cv_nsm_fixed_text(&p.err), cases[i].text);
    }
}

static void fixed_texts(void **state)
{
    struct cv_error err;

    (void)state;
    assert_string_equal(cv_nsm_fixed_text(NULL), "NSM error: internal error");
    cv_error_clear(&err);
    assert_string_equal(cv_nsm_fixed_text(&err), "NSM error: internal error");
    cv_error_set(&err, CV_ERR_LIMIT, "too long");
    assert_string_equal(cv_nsm_fixed_text(&err), "NSM error: input too large");
    cv_error_set(&err, CV_ERR_IO, "broken");
    assert_string_equal(cv_nsm_fixed_text(&err), "NSM error: internal error");
}

static void try_variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    uint8_t data[64];
    struct cv_nsm_reply reply = {.data = data, .cap = sizeof data};

    int rc = cv_nsm_reply_read(&reply, *(enum cv_nsm_op *)ctx, CV_BYTES(p, n), NULL);
    if (strncmp(what, "truncated", 9) == 0 && rc == 0)
        fail_msg("accepted: %s", what);
    assert_true(reply.n <= sizeof data);
}

static void mutations(void **state)
{
    static const struct {
        enum cv_nsm_op op;
        const char *hex;
    } cases[] = {
        {CV_NSM_GET_RANDOM, RANDOM_ABC},
        {CV_NSM_DESCRIBE_NSM, DESCRIBE_NSM},
        {CV_NSM_DESCRIBE_PCR,
         "bf6b4465736372696265504352bf6464617461420102646c6f636bf4647a7a7a7a9f01ffffff"},
        {CV_NSM_LOCK_PCR, "a1654572726f726d526561644f6e6c79496e646578"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t in[512];
        size_t n = 0;
        enum cv_nsm_op op = cases[i].op;
        assert_int_equal(cv_hex_decode(in, sizeof in, &n, cv_bytes_str(cases[i].hex)), 0);
        mutate_all(in, n, try_variant, &op);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests),        cmocka_unit_test(request_limit),
        cmocka_unit_test(replies),         cmocka_unit_test(indefinite_replies),
        cmocka_unit_test(refused_replies), cmocka_unit_test(remote_errors),
        cmocka_unit_test(fixed_texts),     cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
