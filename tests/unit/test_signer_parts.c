/* SPDX-License-Identifier: Apache-2.0 */
/* Small parts of the daemon: event loop, thread pool, tokens, nitro-cli's list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "signer/jwt.h"
#include "signer/nitro_cli.h"
#include "signer/pool.h"

/* ---- loop ---- */

static int fired[3];
static struct cv_loop_timer timers[3];

static void on_timer(struct cv_loop_timer *t)
{
    size_t i = (size_t)(t - timers);
    fired[i]++;
    if (i == 0) {
        cv_loop_timer_off(&timers[1]); /* one that is due in the same turn */
    } else if (i == 2 && fired[2] < 3) {
        cv_loop_timer_set(t, cv_now_ms());
    }
}

static void test_timers(void **state)
{
    (void)state;
    struct cv_loop *loop = NULL;
    assert_int_equal(cv_loop_new(&loop, NULL), 0);
    for (int i = 2; i >= 0; i--) {
        cv_loop_timer_init(loop, &timers[i], on_timer);
    }
    cv_loop_timer_set(&timers[1], cv_now_ms());
    cv_loop_timer_set(&timers[2], cv_now_ms());
    cv_loop_timer_set(&timers[0], cv_now_ms()); /* in front of the others */
    for (int i = 0; i < 5; i++) {
        assert_int_equal(cv_loop_once(loop, cv_deadline(1)), 0);
    }
    assert_int_equal(fired[0], 1);
    assert_int_equal(fired[1], 0);
    assert_int_equal(fired[2], 3);
    int64_t start = cv_now_ms();
    cv_loop_timer_set(&timers[1], cv_deadline(30));
    while (fired[1] == 0) {
        assert_int_equal(cv_loop_once(loop, CV_NO_DEADLINE), 0);
    }
    assert_true(cv_now_ms() - start >= 29);
    cv_loop_free(&loop);
}

struct source {
    struct cv_loop_source s;
    struct cv_loop *loop;
    struct source *other;
    int calls;
};

static void on_source(struct cv_loop_source *s, uint32_t events)
{
    struct source *x = (struct source *)(void *)s;
    (void)events;
    x->calls++;
    cv_loop_remove(x->loop, &x->other->s); /* whose event waits in this turn */
    cv_loop_remove(x->loop, &x->s);
}

static void test_sources(void **state)
{
    (void)state;
    struct cv_loop *loop = NULL;
    int fds[2][2];
    struct source x[2];
    memset(x, 0, sizeof(x));
    assert_int_equal(cv_loop_new(&loop, NULL), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pipe(fds[i]), 0);
        x[i] = (struct source){
            .s = {.ready = on_source, .fd = fds[i][0]}, .loop = loop, .other = &x[1 - i]};
        assert_int_equal(cv_loop_add(loop, &x[i].s, EPOLLIN), 0);
        assert_int_equal(write(fds[i][1], "x", 1), 1);
    }
    assert_int_equal(cv_loop_once(loop, cv_deadline(100)), 0);
    assert_int_equal(cv_loop_once(loop, cv_deadline(5)), 0);
    assert_int_equal(x[0].calls + x[1].calls, 1);
    for (int i = 0; i < 2; i++) {
        (void)close(fds[i][0]);
        (void)close(fds[i][1]);
    }
    cv_loop_free(&loop);
}

/* ---- pool ---- */

struct job {
    struct cv_job job;
    int worked, done;
};

static void work(struct cv_job *j)
{
    ((struct job *)(void *)j)->worked++;
    cv_sleep_ms(5);
}

static void done(struct cv_job *j)
{
    ((struct job *)(void *)j)->done++;
}

static void test_pool(void **state)
{
    (void)state;
    enum { N = 40 };
    struct cv_loop *loop = NULL;
    struct cv_pool *pool = NULL;
    static struct job jobs[N];
    size_t taken = 0;
    assert_int_equal(cv_loop_new(&loop, NULL), 0);
    assert_int_equal(cv_pool_new(&pool, loop, 4, 16, NULL), 0);
    for (int i = 0; i < N; i++) {
        jobs[i].job.work = work;
        jobs[i].job.done = done;
        int rc = cv_pool_submit(pool, &jobs[i].job);
        assert_true(rc == 0 || rc == CV_ERR_BUSY);
        taken += rc == 0 ? 1 : 0;
    }
    assert_true(taken >= 16 && taken < N); /* the queue has an end */
    for (int i = 0; i < 20; i++) {
        assert_int_equal(cv_loop_once(loop, cv_deadline(10)), 0);
    }
    size_t worked = 0, ended = 0;
    for (int i = 0; i < N; i++) {
        worked += (size_t)jobs[i].worked;
        ended += (size_t)jobs[i].done;
    }
    assert_int_equal(worked, taken);
    assert_int_equal(ended, taken);
    /* The end tells those that never ran, too. */
    memset(jobs, 0, sizeof(jobs));
    for (int i = 0; i < 10; i++) {
        jobs[i].job.work = work;
        jobs[i].job.done = done;
        assert_int_equal(cv_pool_submit(pool, &jobs[i].job), 0);
    }
    cv_pool_free(&pool);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(jobs[i].done, 1);
    }
    cv_loop_free(&loop);
}

/* ---- tokens ---- */

#define HOUR 3600000

static void test_tokens(void **state)
{
    (void)state;
    static char name[] = "bob";
    struct cv_config_jwt_user user = {.name = name};
    struct cv_config config = {.jwt_users = &user, .jwt_user_count = 1};
    struct cv_buf token;
    const int64_t now = 1767225600000;
    assert_int_equal(cv_secret_copy(&user.now.secret, "old secret", 10), 0);
    assert_int_equal(cv_secret_copy(&user.now.password, "old password", 12), 0);
    assert_int_equal(cv_secret_copy(&user.next.secret, "new secret", 10), 0);
    assert_int_equal(cv_secret_copy(&user.next.password, "new password", 12), 0);
    cv_buf_init(&token, CV_JWT_MAX);
    assert_null(cv_jwt_login(&config, "bob", "old password", now, &token));
    const char *text = (const char *)token.p;
    assert_null(cv_jwt_check(&config, text, "bob", now));
    assert_null(cv_jwt_check(&config, text, "bob", now + HOUR - 1000));
    assert_string_equal(cv_jwt_check(&config, text, "bob", now + HOUR), "JWT: invalid token");
    assert_string_equal(cv_jwt_check(&config, text, "eve", now), "JWT: user not found");
    assert_string_equal(cv_jwt_check(&config, NULL, "bob", now), "token required");
    /* Every single bit and every length of it counts. */
    for (size_t i = 0; i < token.n; i++) {
        for (int bit = 0; bit < 7; bit++) {
            char c = (char)token.p[i];
            token.p[i] ^= (uint8_t)(1 << bit);
            if (token.p[i] != 0 && cv_jwt_check(&config, text, "bob", now) == NULL) {
                fail_msg("byte %zu, bit %d", i, bit);
            }
            token.p[i] = (uint8_t)c;
        }
    }
    for (size_t n = 0; n < token.n; n++) {
        char c = (char)token.p[n];
        token.p[n] = 0;
        assert_non_null(cv_jwt_check(&config, text, "bob", now));
        token.p[n] = (uint8_t)c;
    }
    /* Rotation: both until the old one's end, then the new one alone. */
    user.rotating = user.has_old_expiry = true;
    user.old_expiry_ms = now + 1000;
    assert_null(cv_jwt_check(&config, text, "bob", now));
    assert_non_null(cv_jwt_check(&config, text, "bob", now + 1000));
    cv_buf_reset(&token);
    assert_string_equal(cv_jwt_login(&config, "bob", "old password", now + 1000, &token),
                        "Access denied");
    assert_null(cv_jwt_login(&config, "bob", "new password", now + 1000, &token));
    cv_buf_free(&token);
    cv_secret_free(&user.now.secret);
    cv_secret_free(&user.now.password);
    cv_secret_free(&user.next.secret);
    cv_secret_free(&user.next.password);
}

/* ---- nitro-cli ---- */

static int choose(const char *name, const char *json, uint32_t *cid)
{
    *cid = 0;
    return cv_nitro_cli_choose(cid, name, cv_bytes_str(json), NULL);
}

static void test_nitro_cli(void **state)
{
    (void)state;
    uint32_t cid;
    static const char two[] =
        "[{\"EnclaveName\":\"a\",\"EnclaveCID\":16,\"State\":\"RUNNING\"},"
        "{\"EnclaveName\":\"b\",\"EnclaveCID\":17,\"State\":\"RUNNING\"},"
        "{\"EnclaveName\":\"c\",\"EnclaveCID\":18,\"State\":\"TERMINATING\"}]";
    assert_int_equal(choose("b", two, &cid), 0);
    assert_int_equal(cid, 17);
    assert_int_equal(choose(NULL, two, &cid), CV_ERR_CONFIG);
    assert_int_equal(choose("c", two, &cid), CV_ERR_NOT_FOUND);
    assert_int_equal(choose(NULL, "[]", &cid), CV_ERR_NOT_FOUND);
    assert_int_equal(choose(NULL, "{}", &cid), CV_ERR_INVALID);
    assert_int_equal(choose(NULL, "", &cid), CV_ERR_INVALID);
    assert_int_equal(choose(NULL, "[1,null,[],{}]", &cid), CV_ERR_NOT_FOUND);
    assert_int_equal(choose(NULL, "[{\"EnclaveCID\":\"16\",\"State\":\"RUNNING\"}]", &cid),
                     CV_ERR_INVALID);
    assert_int_equal(choose(NULL, "[{\"EnclaveCID\":2,\"State\":\"RUNNING\"}]", &cid),
                     CV_ERR_INVALID);
    assert_int_equal(choose(NULL, "[{\"EnclaveCID\":4294967295,\"State\":\"RUNNING\"}]", &cid),
                     CV_ERR_INVALID);
    assert_int_equal(choose(NULL, "[{\"EnclaveCID\":3,\"State\":\"RUNNING\"}]", &cid), 0);
    assert_int_equal(cid, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timers),    cmocka_unit_test(test_sources),
        cmocka_unit_test(test_pool),      cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_nitro_cli),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
