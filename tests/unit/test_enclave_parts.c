/* SPDX-License-Identifier: Apache-2.0 */
/* The arena, the queue, data keys and the naming of CMKs: no threads, no KMS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/init.h"
#include "enclave/arena.h"
#include "enclave/cmk.h"
#include "enclave/datakey.h"
#include "enclave/queue.h"
#include "enclave/signer.h"

/* ---- arena ---- */

static void test_arena(void **state)
{
    (void)state;
    enum { N = 2000 };
    static struct cv_key *keys[N];
    static const uint8_t zero[CV_PRIVATE_KEY_LEN];
    for (size_t i = 0; i < N; i++) {
        keys[i] = cv_key_new(7);
        assert_non_null(keys[i]);
        assert_int_equal(keys[i]->session, 7);
        assert_memory_equal(keys[i]->private_key, zero, sizeof zero);
        if (i > 0)
            assert_true(keys[i]->id > keys[i - 1]->id);
        memset(keys[i]->private_key, 0xaa, sizeof keys[i]->private_key);
    }
    uint64_t last = keys[N - 1]->id;
    for (size_t i = 0; i < N; i++) {
        cv_key_free(keys[i]);
        assert_memory_equal(keys[i]->private_key, zero, sizeof zero);
    }
    struct cv_key *again = cv_key_new(8);
    assert_true(again->id > last);
    cv_key_free(again);
    cv_key_free(NULL);
}

static void test_arena_has_an_end(void **state)
{
    (void)state;
    static struct cv_key *keys[CV_KEYS_MAX];
    for (size_t i = 0; i < CV_KEYS_MAX; i++)
        assert_non_null(keys[i] = cv_key_new(1));
    assert_null(cv_key_new(1));
    cv_key_free(keys[5]);
    assert_non_null(keys[5] = cv_key_new(1));
    for (size_t i = 0; i < CV_KEYS_MAX; i++)
        cv_key_free(keys[i]);
}

/* ---- queue ---- */

static struct cv_job *job(void)
{
    struct cv_job *j = cv_job_new(NULL, NULL, 0);
    assert_non_null(j);
    return j;
}

static void test_queue_takes_turns(void **state)
{
    (void)state;
    struct cv_queue q;
    struct cv_job *a[3], *b[2];
    cv_queue_init(&q);
    for (size_t i = 0; i < 3; i++)
        cv_queue_push(&q, 1, a[i] = job());
    for (size_t i = 0; i < 2; i++)
        cv_queue_push(&q, 4, b[i] = job());
    assert_int_equal(cv_queue_count(&q), 5);
    struct cv_job *expect[] = {a[0], b[0], a[1], b[1], a[2]};
    for (size_t i = 0; i < 5; i++) {
        assert_ptr_equal(cv_queue_pop(&q, false), expect[i]);
        assert_int_equal(cv_queue_count(&q), 4 - i);
        cv_job_free(expect[i]);
    }
    assert_null(cv_queue_pop(&q, false));
    cv_queue_push(&q, 2, a[0] = job());
    cv_queue_push(&q, 3, a[1] = job());
    assert_ptr_equal(cv_queue_drain(&q, 2), a[0]);
    assert_null(cv_queue_drain(&q, 2));
    assert_int_equal(cv_queue_count(&q), 1);
    cv_queue_stop(&q);
    assert_null(cv_queue_pop(&q, true));
    cv_job_free(a[0]);
    cv_job_free(a[1]);
}

/* ---- data keys ---- */

static const struct cv_bytes cmk = {(const uint8_t *)"arn:cmk", 7};

static size_t length(struct cv_job *list)
{
    size_t n = 0;
    for (; list != NULL; list = list->next)
        n++;
    return n;
}

static void test_data_keys_share_one_fetch(void **state)
{
    (void)state;
    struct cv_datakeys keys = {0};
    struct cv_datakey *entry, *same, *other;
    struct cv_job *jobs[4] = {job(), job(), job(), job()};
    struct cv_bytes w1 = CV_BYTES_LIT("wrapped 1"), w2 = CV_BYTES_LIT("wrapped 2");
    assert_int_equal(cv_datakey_for_opening(&entry, &keys, jobs[0], 1, cmk, w1), CV_DATAKEY_FETCH);
    assert_int_equal(cv_datakey_for_opening(&same, &keys, jobs[1], 1, cmk, w1), CV_DATAKEY_WAIT);
    assert_ptr_equal(same, entry);
    assert_int_equal(cv_datakey_for_opening(&other, &keys, jobs[2], 1, cmk, w2), CV_DATAKEY_FETCH);
    assert_ptr_not_equal(other, entry);
    struct cv_key *secret = cv_key_new(1);
    memset(secret->private_key, 0x5a, sizeof secret->private_key);
    struct cv_job *waiting = cv_datakey_fetched(entry, secret, NULL);
    assert_int_equal(length(waiting), 2);
    assert_ptr_equal(jobs[0]->datakey, entry);
    assert_ptr_equal(jobs[1]->datakey, entry);
    assert_int_equal(cv_datakey_bytes(entry)[31], 0x5a);
    assert_false(cv_datakey_seals(entry));
    assert_int_equal(cv_datakey_for_opening(&same, &keys, jobs[3], 1, cmk, w1), CV_DATAKEY_READY);
    assert_int_equal(length(cv_datakey_failed(&keys, other)), 1);
    assert_int_equal(keys.count, 1);
    for (size_t i = 0; i < 4; i++) {
        cv_datakey_release(jobs[i]);
        cv_job_free(jobs[i]);
    }
    cv_datakeys_free(&keys);
    assert_int_equal(keys.count, 0);
}

/* A key from a blob never becomes one that seals, even of the same bytes. */
static void test_data_keys_of_two_kinds(void **state)
{
    (void)state;
    struct cv_datakeys keys = {0};
    struct cv_datakey *opens, *seals;
    struct cv_job *a = job(), *b = job(), *c = job();
    struct cv_wrapped wrapped = {.cmk = "arn:cmk", .n = 1, .p = "w"};
    assert_int_equal(cv_datakey_for_opening(&opens, &keys, a, 1, cmk, CV_BYTES_LIT("w")),
                     CV_DATAKEY_FETCH);
    assert_int_equal(length(cv_datakey_fetched(opens, cv_key_new(1), NULL)), 1);
    assert_int_equal(cv_datakey_for_sealing(&seals, &keys, b, 1, "arn:cmk"), CV_DATAKEY_FETCH);
    assert_ptr_not_equal(seals, opens);
    assert_string_equal(cv_datakey_cmk(seals), "arn:cmk");
    assert_int_equal(length(cv_datakey_fetched(seals, cv_key_new(1), &wrapped)), 1);
    assert_true(cv_datakey_seals(seals));
    /* And the blobs that it seals are opened by asking KMS, not by it. */
    struct cv_datakey *entry;
    cv_datakey_release(a);
    assert_int_equal(cv_datakey_for_opening(&entry, &keys, a, 1, cmk, CV_BYTES_LIT("w")),
                     CV_DATAKEY_READY);
    assert_ptr_equal(entry, opens);
    assert_int_equal(cv_datakey_for_sealing(&entry, &keys, c, 1, "arn:other"), CV_DATAKEY_FETCH);
    assert_int_equal(length(cv_datakey_failed(&keys, entry)), 1);
    cv_datakey_release(a);
    cv_datakey_release(b);
    cv_job_free(a);
    cv_job_free(b);
    cv_job_free(c);
    cv_datakeys_free(&keys);
}

static void test_data_keys_oldest_goes(void **state)
{
    (void)state;
    struct cv_datakeys keys = {0};
    struct cv_datakey *entry;
    struct cv_job *j = job();
    for (unsigned i = 0; i < CV_DATAKEYS_MAX + 10; i++) {
        uint8_t w[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        assert_int_equal(cv_datakey_for_opening(&entry, &keys, j, 1, cmk, CV_BYTES(w, 2)),
                         CV_DATAKEY_FETCH);
        assert_int_equal(length(cv_datakey_fetched(entry, cv_key_new(1), NULL)), 1);
        cv_datakey_release(j);
    }
    assert_int_equal(keys.count, CV_DATAKEYS_MAX);
    uint8_t last[2] = {(CV_DATAKEYS_MAX + 9) >> 8, (uint8_t)(CV_DATAKEYS_MAX + 9)};
    assert_int_equal(cv_datakey_for_opening(&entry, &keys, j, 1, cmk, CV_BYTES(last, 2)),
                     CV_DATAKEY_READY);
    cv_datakey_release(j);
    cv_job_free(j);
    cv_datakeys_free(&keys);
}

static void test_data_keys_in_use_stay(void **state)
{
    (void)state;
    struct cv_datakeys keys = {0};
    struct cv_datakey *entry;
    static struct cv_job *jobs[CV_DATAKEYS_MAX + 1];
    for (unsigned i = 0; i <= CV_DATAKEYS_MAX; i++) {
        uint8_t w[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        jobs[i] = job();
        assert_int_equal(cv_datakey_for_opening(&entry, &keys, jobs[i], 1, cmk, CV_BYTES(w, 2)),
                         i < CV_DATAKEYS_MAX ? CV_DATAKEY_FETCH : CV_DATAKEY_NO_ROOM);
    }
    while (keys.first != NULL)
        (void)cv_datakey_failed(&keys, keys.first);
    for (unsigned i = 0; i <= CV_DATAKEYS_MAX; i++)
        cv_job_free(jobs[i]);
}

/* ---- names of CMKs ---- */

#define ARN1 "arn:aws:kms:eu-west-1:111122223333:key/11111111-1111-1111-1111-111111111111"
#define ARN2 "arn:aws:kms:eu-west-1:111122223333:key/22222222-2222-2222-2222-222222222222"

static int name(const struct cv_settings *s, const char *id, const char *expect)
{
    char out[512];
    int rc = cv_cmk_name(out, sizeof out, s, cv_bytes_str(id), NULL);
    if (rc == 0)
        assert_string_equal(out, expect);
    return rc;
}

static void test_names(void **state)
{
    (void)state;
    struct cv_settings open, pinned;
    cv_settings_default(&open);
    cv_settings_default(&pinned);
    memcpy(pinned.cmk_arn[0], ARN1, sizeof ARN1);
    pinned.cmk_count = 1;
    assert_int_equal(name(&open, ARN2, ARN2), 0);
    assert_int_equal(name(&open, "alias/x", "alias/x"), 0);
    assert_int_equal(name(&open, "", ""), CV_ERR_INVALID);
    assert_int_equal(name(&open, "a b", ""), CV_ERR_INVALID);
    assert_int_equal(name(&pinned, ARN1, ARN1), 0);
    assert_int_equal(name(&pinned, "11111111-1111-1111-1111-111111111111", ARN1), 0);
    assert_int_equal(name(&pinned, ARN2, ""), CV_ERR_DENIED);
    assert_int_equal(name(&pinned, "22222222-2222-2222-2222-222222222222", ""), CV_ERR_DENIED);
    assert_int_equal(name(&pinned, "alias/x", "alias/x"), 0);
    assert_true(cv_cmk_is_alias("arn:aws:kms:eu-west-1:111122223333:alias/x"));
    assert_false(cv_cmk_is_alias(ARN1));
    assert_true(cv_cmk_is(&open, ARN2, ARN2));
    assert_true(cv_cmk_is(&open, ARN2, "alias/x"));
    assert_false(cv_cmk_is(&open, ARN2, ARN1));
    assert_true(cv_cmk_is(&pinned, ARN1, "alias/x"));
    assert_false(cv_cmk_is(&pinned, ARN2, "alias/x"));
    assert_false(cv_cmk_is(&pinned, ARN2, ARN2));
}

/* ---- signing ---- */

static void test_signer_checks_the_public_key(void **state)
{
    (void)state;
    struct cv_signer *signer;
    assert_int_equal(cv_signer_new(&signer, true), 0);
    for (int s = 0; s < CV_SCHEME_COUNT; s++) {
        struct cv_signing_key ready = {.ready = false};
        struct cv_key *key = cv_key_new(3);
        memset(key->private_key, 0x11, sizeof key->private_key);
        key->scheme = (uint8_t)s;
        assert_int_equal(cv_signing_key_init(&ready, (enum cv_scheme)s, key->private_key), 0);
        memcpy(key->public_key, ready.public_key.p, ready.public_key.n);
        struct cv_job *j = job();
        j->key = key;
        j->req.op = CV_RPC_SIGN;
        j->req.version = CV_RPC_VERSION_1;
        j->req.message = CV_BYTES_LIT("message");
        j->echo.has_digest = true;
        for (int twice = 0; twice < 2; twice++) { /* the second time from the cache */
            cv_signer_sign(j, signer);
            assert_int_equal(j->rc, 0);
            assert_int_equal(
                cv_verify(&ready.public_key, CV_SIGN_VERSION_1, j->req.message, &j->signature), 0);
        }
        cv_signer_purge(signer, 3);
        key->public_key[5] ^= 1;
        cv_signer_sign(j, signer);
        assert_int_equal(j->rc, CV_ERR_CRYPTO);
        assert_int_equal(j->signature.n, 0);
        cv_signing_key_free(&ready);
        cv_job_free(j);
        cv_key_free(key);
    }
    cv_signer_free(signer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena),
        cmocka_unit_test(test_arena_has_an_end),
        cmocka_unit_test(test_queue_takes_turns),
        cmocka_unit_test(test_data_keys_share_one_fetch),
        cmocka_unit_test(test_data_keys_of_two_kinds),
        cmocka_unit_test(test_data_keys_oldest_goes),
        cmocka_unit_test(test_data_keys_in_use_stay),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_signer_checks_the_public_key),
    };
    if (cv_crypto_init() != 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
