/* SPDX-License-Identifier: Apache-2.0 */
#include "unit/cv_test.h"

#include "common/clock.h"
#include "transport/listen.h"
#include "transport/resolve.h"
#include "transport/resolve_ttl.h"

static void addresses_resolve_to_themselves(void **state)
{
    struct cv_resolved r;
    (void)state;
    assert_int_equal(cv_resolve(&r, "127.0.0.1", 80, CV_RESOLVE_ANY, cv_deadline(1000), NULL), 0);
    assert_int_equal(r.n, 1);
    assert_string_equal(r.addr[0].host, "127.0.0.1");
    assert_int_equal(r.addr[0].port, 80);
    assert_int_equal(cv_resolve(&r, "::1", 80, CV_RESOLVE_IPV6, cv_deadline(1000), NULL), 0);
    assert_int_equal(cv_resolve(&r, "::1", 80, CV_RESOLVE_IPV4, cv_deadline(1000), NULL),
                     CV_ERR_NOT_FOUND);
}

static void localhost_connects(void **state)
{
    struct cv_listener l;
    struct cv_addr a;
    struct cv_stream *s, *peer;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    assert_int_equal(cv_addr_parse(&a, "tcp:127.0.0.1:0", NULL), 0);
    assert_int_equal(cv_listen(&l, &a, NULL), 0);
    strcpy(l.addr.host, "localhost");
    assert_code(cv_resolve_connect(&s, &l.addr, cv_deadline(3000), &err), 0, &err);
    assert_int_equal(cv_accept(&peer, &l, cv_deadline(1000), NULL), 0);
    cv_stream_close(&s);
    cv_stream_close(&peer);
    cv_listener_close(&l);
    assert_code(cv_resolve_connect(&s, &l.addr, cv_deadline(3000), &err), CV_ERR_IO, &err);
    assert_says(&err, "localhost");
}

static void bad_names(void **state)
{
    struct cv_resolved r;
    struct cv_error err;
    (void)state;
    cv_error_clear(&err);
    assert_code(cv_resolve(&r, "a b", 1, CV_RESOLVE_ANY, cv_deadline(1000), &err), CV_ERR_INVALID,
                &err);
    /* RFC 6761: .invalid never exists; without a resolver it fails otherwise. */
    int rc = cv_resolve(&r, "claviger.invalid", 1, CV_RESOLVE_ANY, cv_deadline(3000), &err);
    assert_true(rc == CV_ERR_NOT_FOUND || rc == CV_ERR_IO || rc == CV_ERR_TIMEOUT);
    assert_says(&err, "claviger.invalid");
    assert_int_equal(r.n, 0);
}

static void a_deadline_in_the_past_ends_at_once(void **state)
{
    struct cv_resolved r;
    (void)state;
    int64_t t = cv_now_ms();
    int rc = cv_resolve(&r, "slow.claviger.invalid", 1, CV_RESOLVE_ANY, t - 1, NULL);
    assert_true(rc != 0);
    assert_in_range(cv_now_ms() - t, 0, 1000);
}

/* An answer to "kms.example A?": a CNAME for 60 s, two addresses for 5 s and 9 s. */
static const uint8_t answer[] = {
    0x12, 0x34, 0x81, 0x80, 0, 1,   0,   3,   0,   0,   0,   0, /* header */
    3,    'k',  'm',  's',  7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0,   0,   1,    0,
    1,                                                                                /* question */
    0xc0, 12,   0,    5,    0, 1,   0,   0,   0,   60,  0,   4,   1,   'a', 0xc0, 16, /* CNAME */
    0xc0, 41,   0,    1,    0, 1,   0,   0,   0,   5,   0,   4,   192, 0,   2,    1,  /* A */
    0xc0, 41,   0,    1,    0, 1,   0,   0,   0,   9,   0,   4,   192, 0,   2,    2,  /* A */
};

static void the_time_to_live_of_an_answer(void **state)
{
    struct cv_resolved r = {.n = 1}, other = {.n = 1};
    uint8_t copy[sizeof answer];
    (void)state;
    strcpy(r.addr[0].host, "192.0.2.2");
    strcpy(other.addr[0].host, "192.0.2.3");
    assert_int_equal(cv_dns_answer_ttl(CV_BYTES(answer, sizeof answer), &r), 5);
    /* Another answer than getaddrinfo's says nothing about its addresses. */
    assert_int_equal(cv_dns_answer_ttl(CV_BYTES(answer, sizeof answer), &other),
                     CV_RESOLVE_TTL_UNKNOWN);
    /* The CNAME's may be the smallest. */
    memcpy(copy, answer, sizeof answer);
    copy[38] = 3;
    assert_int_equal(cv_dns_answer_ttl(CV_BYTES(copy, sizeof copy), &r), 3);
    copy[35] = 0x80; /* more than 31 bits: none */
    assert_int_equal(cv_dns_answer_ttl(CV_BYTES(copy, sizeof copy), &r), 0);
    copy[3] = 0x83; /* no such name */
    assert_int_equal(cv_dns_answer_ttl(CV_BYTES(copy, sizeof copy), &r), CV_RESOLVE_TTL_UNKNOWN);
    for (size_t n = 0; n < sizeof answer; n++)
        assert_int_equal(cv_dns_answer_ttl(CV_BYTES(answer, n), &r), CV_RESOLVE_TTL_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_resolve_to_themselves),
        cmocka_unit_test(localhost_connects),
        cmocka_unit_test(bad_names),
        cmocka_unit_test(the_time_to_live_of_an_answer),
        cmocka_unit_test(a_deadline_in_the_past_ends_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
