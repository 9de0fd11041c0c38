/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include "aws/pacer.h"

static double fake_now(void *ctx)
{
    return *(double *)ctx;
}

/* One request: waits as it is told, is answered 1/RATE seconds later. */
static double request(struct cv_aws_pacer *p, double *now, double *slept, double pause,
                      bool throttled)
{
    double before = *slept;
    assert_int_equal(p->wait_ms(p), 0); /* nothing is slept here */
    double waited = *slept - before;
    *now += waited + pause;
    p->heard(p, throttled);
    return waited;
}

static void nothing_is_held_back_before_the_first_throttle(void **state)
{
    double now = 1000, slept = 0;
    struct cv_aws_pacer *p;
    (void)state;
    assert_int_equal(cv_aws_pacer_new_at(&p, fake_now, &now, &slept), 0);
    for (int i = 0; i < 1000; i++)
        request(p, &now, &slept, 0.001, false);
    assert_true(slept == 0);
    p->free(p);
}

/* A server that takes LIMIT requests a second: the client ends up near it. */
static void the_rate_settles_at_what_the_server_takes(void **state)
{
    double now = 5000, slept = 0;
    const double limit = 20;
    double window = 0, begun = now;
    unsigned taken = 0, throttles = 0, late = 0, refused_late = 0;
    struct cv_aws_pacer *p;
    (void)state;
    assert_int_equal(cv_aws_pacer_new_at(&p, fake_now, &now, &slept), 0);
    while (now < begun + 120) {
        if (now - window >= 1) {
            window = now;
            taken = 0;
        }
        bool refuse = ++taken > limit;
        throttles += refuse;
        request(p, &now, &slept, 0.01, refuse); /* alone it would send 100 a second */
        if (now > begun + 30) {
            late++;
            refused_late += refuse;
        }
    }
    assert_true(throttles > 0 && slept > 60);
    double rate = late / 90.0;
    assert_true(rate > limit / 3 && rate < limit * 1.3);
    assert_true(refused_late * 5 < late); /* few in vain */
    p->free(p);
}

static void it_recovers_when_nobody_throttles(void **state)
{
    double now = 100, slept = 0;
    struct cv_aws_pacer *p;
    (void)state;
    assert_int_equal(cv_aws_pacer_new_at(&p, fake_now, &now, &slept), 0);
    for (int i = 0; i < 200; i++)
        request(p, &now, &slept, 0.01, false);
    for (int i = 0; i < 5; i++)
        request(p, &now, &slept, 0.01, true);
    double held = slept;
    request(p, &now, &slept, 0.01, false);
    for (int i = 0; i < 2000; i++)
        request(p, &now, &slept, 0.01, false);
    assert_true(held > 0 || slept > held);
    double before = slept;
    for (int i = 0; i < 100; i++)
        request(p, &now, &slept, 0.01, false);
    assert_true(slept - before < 0.5);
    p->free(p);
}

/* Never slower than one request in two seconds, however long it is throttled. */
static void it_never_stops(void **state)
{
    double now = 100, slept = 0, most = 0;
    struct cv_aws_pacer *p;
    (void)state;
    assert_int_equal(cv_aws_pacer_new_at(&p, fake_now, &now, &slept), 0);
    for (int i = 0; i < 500; i++) {
        double waited = request(p, &now, &slept, 0.01, true);
        most = waited > most ? waited : most;
    }
    assert_true(most > 1 && most <= 2.01);
    p->free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_held_back_before_the_first_throttle),
        cmocka_unit_test(the_rate_settles_at_what_the_server_takes),
        cmocka_unit_test(it_recovers_when_nobody_throttles),
        cmocka_unit_test(it_never_stops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
