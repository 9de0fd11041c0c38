/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/init.h"
#include "rpc/frame.h"
#include "rpc/request.h"
#include "unit/mutate.h"
#include "unit/rpc_vectors.h"

static struct cv_buf body, out;
static struct cv_rpc_fault fault;

/* What ours accepts although the original does not: documented, on purpose. */
static bool superset(const char *name)
{
    static const char *const names[] = {"sign_noversion", "sign_msg_4097", "sign_msg_indef"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static void check_decode(const char *name, bool extended, const char *text)
{
    struct cv_rpc_request req;
    int rc;
    if (strncmp(name, "P:", 2) == 0) {
        enum cv_scheme scheme;
        struct cv_bytes key;
        rc = cv_rpc_private_key_decode(&scheme, &key, body.p, body.n, &fault);
    } else {
        rc = cv_rpc_request_decode(&req, body.p, body.n, extended, &fault);
    }
    if (text == NULL && rc != 0)
        fail_msg("%s: refused with %s", name, fault.text);
    if (text != NULL && rc == 0)
        fail_msg("%s: accepted", name);
    if (text != NULL && strcmp(text, fault.text) != 0)
        fail_msg("%s: %s, expected %s", name, fault.text, text);
}

static void check_all(json_t *list, bool theirs)
{
    size_t i;
    json_t *entry;
    assert_true(json_array_size(list) > 0);
    json_array_foreach (list, i, entry) {
        const char *name = rpc_vectors_text(entry, "name");
        const char *text = rpc_vectors_text(entry, "err_message");
        rpc_vectors_bytes(&body, entry);
        check_decode(name, json_is_true(json_object_get(entry, "extended")),
                     theirs && superset(name) ? NULL : text);
    }
}

static void test_decode(void **state)
{
    (void)state;
    json_t *v = rpc_vectors_load("CV_VECTORS", "enclave-rpc.json");
    assert_non_null(v);
    check_all(json_object_get(v, "decode"), false);
    json_decref(v);
}

static void test_decode_measured(void **state)
{
    (void)state;
    json_t *v = rpc_vectors_load("CV_SHARED", "vectors/enclave-rpc-vectors.json");
    if (v == NULL) {
        print_message("CV_SHARED has no enclave-rpc-vectors.json\n");
        skip();
    }
    check_all(json_object_get(v, "decode_behaviour"), true);
    json_decref(v);
}

static void check_round_trip(const char *name, bool extended)
{
    struct cv_rpc_request req;
    struct cv_buf frame;
    cv_buf_init(&frame, CV_RPC_FRAME_MAX + CV_RPC_FRAME_HEAD);
    assert_int_equal(cv_rpc_frame_append(&frame, cv_buf_view(&body)), 0);
    if (cv_rpc_request_decode(&req, body.p, body.n, extended, &fault) != 0)
        fail_msg("%s: %s", name, fault.text);
    cv_buf_reset(&out);
    assert_int_equal(cv_rpc_request_encode(&out, &req), 0);
    if (!cv_bytes_equal(cv_buf_view(&out), cv_buf_view(&frame)))
        fail_msg("%s: encoded otherwise", name);
    cv_buf_free(&frame);
}

static void test_round_trip(void **state)
{
    (void)state;
    size_t i;
    json_t *entry, *v = rpc_vectors_load("CV_VECTORS", "enclave-rpc.json");
    assert_non_null(v);
    json_array_foreach (json_object_get(v, "requests"), i, entry) {
        rpc_vectors_bytes(&body, entry);
        check_round_trip(rpc_vectors_text(entry, "name"),
                         json_is_true(json_object_get(entry, "extended")));
    }
    json_decref(v);
}

static void test_round_trip_clients(void **state)
{
    (void)state;
    size_t i;
    json_t *entry, *v = rpc_vectors_load("CV_SHARED", "vectors/enclave-rpc-vectors.json");
    if (v == NULL) {
        print_message("CV_SHARED has no enclave-rpc-vectors.json\n");
        skip();
    }
    json_array_foreach (json_object_get(v, "requests"), i, entry) {
        const char *name = rpc_vectors_text(entry, "name");
        struct cv_rpc_request req;
        rpc_vectors_bytes(&body, entry);
        if (strcmp(name, "go_empty_import") == 0)
            check_decode(name, false, "Semantic(None, \"invalid type: map, expected enum\")");
        else if (strcmp(name, "rust_initialize_no_session") == 0 ||
                 strcmp(name, "go_sign_with") == 0)
            assert_int_equal(cv_rpc_request_decode(&req, body.p, body.n, false, &fault), 0);
        else
            check_round_trip(name, false);
    }
    json_decref(v);
}

/* The values, not only that they are accepted. */
static void test_values(void **state)
{
    (void)state;
    struct cv_rpc_request req;
    uint8_t pieces[] = "\xa1\x64Sign\xa2\x66handle\x18\x2a\x67message\x5f\x42"
                       "ab\x40\x41"
                       "c\xff";
    assert_int_equal(cv_rpc_request_decode(&req, pieces, sizeof pieces - 1, false, &fault), 0);
    assert_int_equal(req.op, CV_RPC_SIGN);
    assert_int_equal(req.handle, 42);
    assert_int_equal(req.version, CV_RPC_VERSION_LATEST);
    assert_true(cv_bytes_equal_str(req.message, "abc"));

    uint8_t array[] =
        "\xa1\x64Sign\xa2\x66handle\x00\x67message\x84\x18\x61\x19\x00\x62\xc2\x41\x63\x00";
    assert_int_equal(cv_rpc_request_decode(&req, array, sizeof array - 1, false, &fault), 0);
    assert_int_equal(req.message.n, 4);
    assert_memory_equal(req.message.p, "abc", 4);

    uint8_t with_id[] = "\xa2\x62id\x18\x63\x69PublicKey\x05";
    assert_int_equal(cv_rpc_request_decode(&req, with_id, sizeof with_id - 1, true, &fault), 0);
    assert_true(req.has_id);
    assert_int_equal(req.id, 99);
    assert_int_equal(req.handle, 5);

    uint8_t bad[] = "\xa2\x62id\x18\x63\x69PublicKey\x20";
    assert_int_equal(cv_rpc_request_decode(&req, bad, sizeof bad - 1, true, &fault),
                     CV_ERR_INVALID);
    assert_true(fault.has_id);
    assert_int_equal(fault.id, 99);
}

static void decode_variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    (void)what;
    /* In place on the guarded page: reading or writing past the end stops us. */
    struct cv_rpc_request req;
    uint8_t copy[8192];
    assert_true(n <= sizeof copy);
    memcpy(copy, p, n);
    uint8_t *tail = copy + (sizeof copy - n);
    memmove(tail, copy, n);
    if (cv_rpc_request_decode(&req, tail, n, ctx != NULL, &fault) == 0) {
        assert_true((unsigned)req.op < CV_RPC_OP_COUNT);
        assert_true(req.message.n <= n && req.blob.n <= n);
    } else {
        assert_true(fault.text[0] != '\0');
    }
}

static void test_mutations(void **state)
{
    (void)state;
    size_t i;
    json_t *entry, *v = rpc_vectors_load("CV_VECTORS", "enclave-rpc.json");
    assert_non_null(v);
    json_array_foreach (json_object_get(v, "requests"), i, entry) {
        rpc_vectors_bytes(&body, entry);
        if (body.n > 512)
            continue;
        bool extended = json_is_true(json_object_get(entry, "extended"));
        mutate_all(body.p, body.n, decode_variant, extended ? &body : NULL);
    }
    json_decref(v);
}

static void test_private_key(void **state)
{
    (void)state;
    for (int s = 0; s < CV_SCHEME_COUNT; s++) {
        uint8_t key[CV_RPC_PRIVATE_KEY_LEN], text[CV_RPC_PRIVATE_KEY_CBOR + 1];
        struct cv_writer w;
        enum cv_scheme scheme;
        struct cv_bytes back;
        for (size_t i = 0; i < sizeof key; i++)
            key[i] = (uint8_t)(i + 1);
        cv_writer_init(&w, text, CV_RPC_PRIVATE_KEY_CBOR);
        assert_int_equal(cv_rpc_private_key_encode(&w, (enum cv_scheme)s, key), 0);
        text[w.n] = 0xff; /* bytes after the item are ignored */
        assert_int_equal(cv_rpc_private_key_decode(&scheme, &back, text, w.n + 1, NULL), 0);
        assert_int_equal(scheme, s);
        assert_memory_equal(back.p, key, sizeof key);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),      cmocka_unit_test(test_decode_measured),
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_round_trip_clients),
        cmocka_unit_test(test_values),      cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_private_key),
    };
    if (cv_crypto_init() != 0)
        return 1;
    cv_buf_init(&body, 1u << 20);
    cv_buf_init(&out, 1u << 20);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    cv_buf_free(&body);
    cv_buf_free(&out);
    return rc;
}
