/* SPDX-License-Identifier: Apache-2.0 */
/* The gate: who is told when a watermark is durable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/writer.h"
#include "crypto/blake2b.h"
#include "signer/gate.h"
#include "tezos/keytext.h"

#define PKH "tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"
#define TURN_MS 20

static int told;

static void on_durable(void *ctx)
{
    (void)ctx;
    told++;
}

/* An attestation of LEVEL, without a DAL attestation. */
static struct cv_bytes attestation(uint8_t out[128], uint32_t level)
{
    struct cv_writer w;
    uint8_t zeros[32] = {0};
    size_t n = 0;
    cv_writer_init(&w, out, 128);
    cv_write_u8(&w, 0x13);
    cv_write_raw(&w, zeros, 4);
    cv_write_raw(&w, zeros, sizeof(zeros));
    cv_write_u8(&w, 21);
    cv_write_be16(&w, 0);
    cv_write_be32(&w, level);
    cv_write_be32(&w, 0);
    cv_write_raw(&w, zeros, sizeof(zeros));
    assert_int_equal(cv_writer_end(&w, &n), CV_OK);
    return CV_BYTES(out, n);
}

/* A watermark in memory, whose flush begins with the next turn of the loop. */
static void reserve(struct cv_gate *gate, uint32_t level, struct cv_gate_ticket *ticket)
{
    struct cv_pkh pkh;
    struct cv_request request;
    struct cv_verdict verdict;
    uint8_t message[128], digest[CV_MARK_HASH_LEN];
    struct cv_bytes m = attestation(message, level);
    assert_int_equal(cv_pkh_parse(&pkh, cv_bytes_str(PKH)), 0);
    cv_gate_decode(gate, &request, m, &verdict);
    assert_int_equal(verdict.status, 0);
    cv_blake2b_256(digest, m);
    cv_gate_reserve(gate, &pkh, &request, digest, ticket, &verdict);
    assert_int_equal(verdict.status, 0);
    assert_int_equal(cv_gate_settled(gate, &pkh, ticket, &verdict), CV_GATE_WAIT);
}

static bool durable(struct cv_gate *gate, const struct cv_gate_ticket *ticket)
{
    struct cv_pkh pkh;
    struct cv_verdict verdict;
    assert_int_equal(cv_pkh_parse(&pkh, cv_bytes_str(PKH)), 0);
    return cv_gate_settled(gate, &pkh, ticket, &verdict) == CV_GATE_DURABLE;
}

/* Whoever else waits for the store takes the event of a flush. Those whose
 * answers are held must hear of it all the same, and without another flush. */
static void test_told_although_another_waited(void **state)
{
    (void)state;
    char dir[] = "/tmp/cv-gate-XXXXXX", text[512], path[128], clean[160];
    struct cv_config *config = NULL;
    struct cv_config_options how = {0};
    struct cv_config_report report = {0};
    struct cv_loop *loop = NULL;
    struct cv_gate *gate = NULL;
    struct cv_keystore *store = NULL;
    struct cv_gate_ticket ticket = {0};
    struct cv_pkh pkh;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(text, sizeof(text), "base_dir: %s\ntezos:\n  %s:\n", dir, PKH);
    (void)snprintf(path, sizeof(path), "%s/enclave_keys.json", dir);
    assert_int_equal(cv_config_parse(&config, cv_bytes_str(text), "test", &how, &report), 0);
    assert_int_equal(cv_loop_new(&loop, NULL), 0);
    assert_int_equal(cv_keystore_open_file(&store, path, NULL), 0);
    assert_int_equal(cv_pkh_parse(&pkh, cv_bytes_str(PKH)), 0);
    const struct cv_gate_options options = {loop, config, on_durable, NULL};
    assert_int_equal(cv_gate_new(&gate, &options, NULL), 0);

    cv_gate_key(gate, store, &pkh, true); /* its first record, and its mark to be ended */
    reserve(gate, 5, &ticket);
    told = 0;
    cv_gate_settle_new_keys(gate); /* waits for the flush, and so takes its event */
    assert_true(durable(gate, &ticket));
    assert_int_equal(told, 0);
    assert_int_equal(cv_loop_once(loop, cv_deadline(TURN_MS)), 0);
    assert_true(told > 0);

    /* And each flush of its own is told of. */
    told = 0;
    reserve(gate, 6, &ticket);
    for (int i = 0; i < 200 && !(told > 0 && durable(gate, &ticket)); i++) {
        assert_int_equal(cv_loop_once(loop, cv_deadline(TURN_MS)), 0);
    }
    assert_true(durable(gate, &ticket));
    assert_true(told > 0);
    /* Nothing is told where nothing has become durable. */
    told = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cv_loop_once(loop, cv_deadline(1)), 0);
    }
    assert_true(told <= 1); /* the event of the last flush may still come */

    cv_gate_free(&gate);
    cv_keystore_close(store);
    cv_loop_free(&loop);
    cv_config_free(&config);
    (void)snprintf(clean, sizeof(clean), "rm -rf '%s'", dir);
    assert_int_equal(system(clean), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_told_although_another_waited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
