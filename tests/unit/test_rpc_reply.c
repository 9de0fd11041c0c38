/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/frame.h"
#include "rpc/reply.h"
#include "unit/mutate.h"
#include "unit/rpc_vectors.h"

static struct cv_buf body, out;

/* Which kind of reply a vector is, by its name. */
static bool starts(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Reads the reply and writes it again; CV_ERR_PROTOCOL when it is not one. */
static int read_and_write(const char *name, struct cv_bytes in)
{
    struct cv_rpc_reply r;
    struct cv_rpc_key_result key;
    struct cv_public_key pub;
    struct cv_signature sig;
    struct cv_rpc_description d;
    struct cv_bytes bytes;
    struct cv_error err;
    int rc = cv_rpc_reply_open(&r, in, &err);
    cv_buf_reset(&out);
    if (rc != 0)
        return rc;
    if (!r.ok) {
        rc = cv_rpc_reply_read_null(&r, &err);
        return rc == CV_ERR_REMOTE ? cv_rpc_reply_err(&out, &r.echo, &err) : rc;
    }
    if (starts(name, "key_") || starts(name, "import_") || starts(name, "generate_")) {
        rc = cv_rpc_reply_read_key(&key, &r, &err);
        return rc != 0 ? rc : cv_rpc_reply_ok_key(&out, &r.echo, &key);
    }
    if (starts(name, "sig_")) {
        rc = cv_rpc_reply_read_signature(&sig, &r, &err);
        return rc != 0 ? rc : cv_rpc_reply_ok_signature(&out, &r.echo, &sig);
    }
    if (starts(name, "pop_") || starts(name, "proof")) {
        rc = cv_rpc_reply_read_proof(&sig, &r, &err);
        return rc != 0 ? rc : cv_rpc_reply_ok_proof(&out, &r.echo, &sig);
    }
    if (starts(name, "public_key")) {
        rc = cv_rpc_reply_read_public_key(&pub, &r, &err);
        return rc != 0 ? rc : cv_rpc_reply_ok_public_key(&out, &r.echo, &pub);
    }
    if (starts(name, "bytes")) {
        rc = cv_rpc_reply_read_bytes(&bytes, &r, &err);
        return rc != 0 ? rc : cv_rpc_reply_ok_bytes(&out, &r.echo, bytes);
    }
    if (starts(name, "description")) {
        rc = cv_rpc_reply_read_description(&d, &r, &err);
        return rc != 0 ? rc : cv_rpc_reply_ok_description(&out, &r.echo, &d);
    }
    rc = cv_rpc_reply_read_null(&r, &err);
    return rc != 0 ? rc : cv_rpc_reply_ok_null(&out, &r.echo);
}

static void check(json_t *list)
{
    size_t i;
    json_t *entry;
    assert_true(json_array_size(list) > 0);
    json_array_foreach (list, i, entry) {
        const char *name = rpc_vectors_text(entry, "name");
        struct cv_buf frame;
        rpc_vectors_bytes(&body, entry);
        cv_buf_init(&frame, CV_RPC_FRAME_MAX + CV_RPC_FRAME_HEAD);
        assert_int_equal(cv_rpc_frame_append(&frame, cv_buf_view(&body)), 0);
        if (read_and_write(name, cv_buf_view(&body)) != 0)
            fail_msg("%s: cannot be read", name);
        /* A byte string is read too where the original writes an array. */
        if (!starts(name, "sig_ed25519_bytes") &&
            !cv_bytes_equal(cv_buf_view(&out), cv_buf_view(&frame)))
            fail_msg("%s: written otherwise", name);
        cv_buf_free(&frame);
    }
}

static void test_vectors(void **state)
{
    (void)state;
    json_t *v = rpc_vectors_load("CV_VECTORS", "enclave-rpc.json");
    assert_non_null(v);
    check(json_object_get(v, "replies"));
    json_decref(v);
}

static void test_original(void **state)
{
    (void)state;
    json_t *v = rpc_vectors_load("CV_SHARED", "vectors/enclave-rpc-vectors.json");
    if (v == NULL) {
        print_message("CV_SHARED has no enclave-rpc-vectors.json\n");
        skip();
    }
    check(json_object_get(v, "replies"));
    json_decref(v);
}

static void test_error_chain(void **state)
{
    (void)state;
    static const char text[] =
        "\xa1\x63"
        "Err\xa2\x67message\x65outer\x66source\xa2\x67message\x65inner\x66source\xf6";
    struct cv_rpc_reply r;
    struct cv_error err;
    char line[128];
    assert_int_equal(cv_rpc_reply_open(&r, CV_BYTES(text, sizeof text - 1), &err), 0);
    assert_false(r.ok);
    assert_int_equal(cv_rpc_reply_read_null(&r, &err), CV_ERR_REMOTE);
    assert_string_equal(cv_error_format(line, sizeof line, &err), "outer: inner");
}

static void test_original_has_no_describe(void **state)
{
    (void)state;
    struct cv_rpc_reply r;
    struct cv_rpc_description d;
    struct cv_error err;
    cv_buf_reset(&out);
    assert_int_equal(
        cv_rpc_reply_err_text(&out, NULL,
                              "Semantic(None, \"unknown variant `Describe`, expected one "
                              "of `Initialize`\")"),
        0);
    assert_int_equal(cv_rpc_reply_open(&r, CV_BYTES(out.p + 4, out.n - 4), &err), 0);
    assert_int_equal(cv_rpc_reply_read_description(&d, &r, &err), CV_ERR_UNSUPPORTED);
}

static void try_variant(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    (void)what;
    int rc = read_and_write(ctx, CV_BYTES(p, n));
    assert_true(rc == 0 || rc == CV_ERR_PROTOCOL || rc == CV_ERR_REMOTE ||
                rc == CV_ERR_UNSUPPORTED);
}

static void refuse_truncated(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    if (read_and_write(ctx, CV_BYTES(p, n)) != CV_ERR_PROTOCOL)
        fail_msg("%s: accepted", what);
}

static void test_mutations(void **state)
{
    (void)state;
    size_t i;
    json_t *entry, *v = rpc_vectors_load("CV_VECTORS", "enclave-rpc.json");
    assert_non_null(v);
    json_array_foreach (json_object_get(v, "replies"), i, entry) {
        char name[64];
        strncpy(name, rpc_vectors_text(entry, "name"), sizeof name - 1);
        name[sizeof name - 1] = '\0';
        rpc_vectors_bytes(&body, entry);
        mutate_truncations(body.p, body.n, refuse_truncated, name);
        mutate_bit_flips(body.p, body.n, try_variant, name);
    }
    json_decref(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),     cmocka_unit_test(test_original),
        cmocka_unit_test(test_error_chain), cmocka_unit_test(test_original_has_no_describe),
        cmocka_unit_test(test_mutations),
    };
    cv_buf_init(&body, 1u << 20);
    cv_buf_init(&out, 1u << 20);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    cv_buf_free(&body);
    cv_buf_free(&out);
    return rc;
}
