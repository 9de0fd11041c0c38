/* SPDX-License-Identifier: Apache-2.0 */
/* The client over its socket transport, against a peer in another thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "cbor/cbor.h"
#include "common/file.h"
#include "nsm/nsm.h"

/* What the peer does with each request. */
enum manner {
    HONEST,       /* random: a running counter, 255 bytes, so that no two are alike */
    CONSTANT,     /* random: the same byte, 255 times */
    REPEATED,     /* random: the same 255 bytes each time */
    ONE_BYTE,     /* random: the same one byte each time */
    FEW_BYTES,    /* random: 3 bytes at a time */
    NO_BYTES,     /* random: none */
    BAD_FRAME,    /* a length that no reply has */
    HALF_FRAME,   /* closes in the middle of a reply */
    SILENT_CLOSE, /* closes without a reply */
};

struct peer {
    int fd;
    enum manner manner;
    uint8_t counter;
    unsigned served;
    pthread_t thread;
};

static void peer_reply(struct peer *p, struct cv_writer *w)
{
    uint8_t random[255];
    size_t n = p->manner == FEW_BYTES  ? 3
               : p->manner == NO_BYTES ? 0
               : p->manner == ONE_BYTE ? 1
                                       : sizeof random;

    if (p->manner == REPEATED)
        p->counter = 7;
    for (size_t i = 0; i < n; i++)
        random[i] = p->manner == CONSTANT || p->manner == ONE_BYTE ? 7 : p->counter++;
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "GetRandom");
    cv_cbor_write_map(w, 1);
    cv_cbor_write_tstr(w, "random");
    cv_cbor_write_bstr(w, CV_BYTES(random, n));
}

static void *peer_main(void *ctx)
{
    struct peer *p = ctx;
    uint8_t head[4], in[4096], out[512];

    while (cv_fd_read_exact(p->fd, head, 4) == 0) {
        size_t n = (size_t)head[2] << 8 | head[3];
        if (n > sizeof in || cv_fd_read_exact(p->fd, in, n) != 0)
            break;
        p->served++;
        struct cv_writer w;
        cv_writer_init(&w, out, sizeof out);
        cv_write_be32(&w, 0);
        peer_reply(p, &w);
        size_t len = w.n - 4;
        if (p->manner == BAD_FRAME)
            len = 0x7FFFFFFF;
        out[0] = (uint8_t)(len >> 24);
        out[1] = (uint8_t)(len >> 16);
        out[2] = (uint8_t)(len >> 8);
        out[3] = (uint8_t)len;
        if (p->manner == SILENT_CLOSE)
            break;
        if (cv_fd_write_all(p->fd, out, p->manner == HALF_FRAME ? w.n / 2 : w.n) != 0 ||
            p->manner == HALF_FRAME)
            break;
    }
    close(p->fd);
    return NULL;
}

static struct cv_nsm *start(struct peer *p, enum manner manner)
{
    int pair[2];
    struct cv_nsm *nsm = NULL;

    memset(p, 0, sizeof *p);
    p->manner = manner;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    p->fd = pair[1];
    assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
    assert_int_equal(cv_nsm_open_fd(&nsm, pair[0], NULL), 0);
    return nsm;
}

static void stop(struct peer *p, struct cv_nsm *nsm)
{
    cv_nsm_close(nsm);
    pthread_join(p->thread, NULL);
}

static void random_is_gathered(void **state)
{
    struct peer p;
    uint8_t out[700];

    (void)state;
    struct cv_nsm *nsm = start(&p, HONEST);
    assert_int_equal(cv_nsm_random(nsm, out, sizeof out, NULL), 0);
    for (size_t i = 0; i < sizeof out; i++)
        assert_int_equal(out[i], (uint8_t)i);
    assert_int_equal(p.served, 3);
    /* What the last reply had too much is not given out later. */
    assert_int_equal(cv_nsm_random(nsm, out, 2, NULL), 0);
    assert_int_equal(out[0], (uint8_t)(3 * 255));
    assert_int_equal(p.served, 4);
    stop(&p, nsm);

    nsm = start(&p, FEW_BYTES);
    assert_int_equal(cv_nsm_random(nsm, out, 32, NULL), 0);
    for (size_t i = 0; i < 32; i++)
        assert_int_equal(out[i], i);
    assert_int_equal(p.served, 11);
    stop(&p, nsm);
}

static void no_entropy_is_fatal(void **state)
{
    struct peer p;
    struct cv_error err;
    uint8_t out[32], zeros[32] = {0};

    (void)state;
    cv_error_clear(&err);
    memset(out, 0xAA, sizeof out);
    struct cv_nsm *nsm = start(&p, NO_BYTES);
    assert_int_equal(cv_nsm_random(nsm, out, sizeof out, &err), CV_ERR_CRYPTO);
    assert_string_equal(cv_error_text(&err, 0), "the NSM gave no entropy");
    assert_memory_equal(out, zeros, sizeof out);
    assert_int_equal(cv_nsm_seed_kernel(nsm, false, NULL, &err), CV_ERR_CRYPTO);
    stop(&p, nsm);
}

static void what_cannot_be_random_is_fatal(void **state)
{
    static const struct {
        enum manner manner;
        size_t n;
        const char *word;
    } cases[] = {{CONSTANT, 32, "over and over"},
                 {CONSTANT, 1, "over and over"},
                 {ONE_BYTE, 32, "over and over"},
                 {REPEATED, 700, "twice"}};
    uint8_t out[700], zeros[700] = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer p;
        struct cv_error err;
        cv_error_clear(&err);
        memset(out, 0xAA, sizeof out);
        struct cv_nsm *nsm = start(&p, cases[i].manner);
        assert_int_equal(cv_nsm_random(nsm, out, cases[i].n, &err), CV_ERR_CRYPTO);
        assert_non_null(strstr(cv_error_text(&err, 0), cases[i].word));
        assert_memory_equal(out, zeros, cases[i].n);
        stop(&p, nsm);
    }
}

static void seeding(void **state)
{
    struct peer p;
    struct cv_error err;
    bool credited = true;

    (void)state;
    cv_error_clear(&err);
    struct cv_nsm *nsm = start(&p, HONEST);
    assert_int_equal(cv_nsm_seed_kernel(nsm, false, &credited, &err), 0);
    assert_int_equal(p.served, (CV_NSM_SEED_BYTES + 254) / 255);
    stop(&p, nsm);
}

static void broken_peers(void **state)
{
    static const struct {
        enum manner manner;
        int code;
    } cases[] = {
        {BAD_FRAME, CV_ERR_PROTOCOL}, {HALF_FRAME, CV_ERR_CLOSED}, {SILENT_CLOSE, CV_ERR_CLOSED}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct peer p;
        struct cv_error err;
        uint8_t out[8];
        cv_error_clear(&err);
        struct cv_nsm *nsm = start(&p, cases[i].manner);
        assert_int_equal(cv_nsm_random(nsm, out, sizeof out, &err), cases[i].code);
        assert_string_equal(cv_nsm_fixed_text(&err), "NSM error: internal error");
        /* Out of step, so never used again. */
        assert_int_equal(cv_nsm_random(nsm, out, sizeof out, &err), CV_ERR_CLOSED);
        assert_int_equal(p.served, 1);
        stop(&p, nsm);
    }
}

static void wrong_reply(void **state)
{
    struct peer p;
    struct cv_error err;

    (void)state;
    cv_error_clear(&err);
    struct cv_nsm *nsm = start(&p, HONEST);
    assert_int_equal(cv_nsm_lock_pcr(nsm, 16, &err), CV_ERR_PROTOCOL);
    assert_string_equal(cv_nsm_fixed_text(&err), "wrong response type");
    stop(&p, nsm);
}

struct shared {
    struct cv_nsm *nsm;
    unsigned failures;
};

static void *many_calls(void *ctx)
{
    struct shared *s = ctx;

    for (int i = 0; i < 100; i++) {
        uint8_t out[255];
        bool ok = cv_nsm_random(s->nsm, out, sizeof out, NULL) == 0;
        for (size_t j = 1; ok && j < sizeof out; j++)
            ok = out[j] == (uint8_t)(out[0] + j);
        if (!ok)
            __atomic_add_fetch(&s->failures, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void calls_are_serialised(void **state)
{
    struct peer p;
    pthread_t threads[4];
    struct shared s = {0};

    (void)state;
    s.nsm = start(&p, HONEST);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many_calls, &s), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(s.failures, 0);
    assert_int_equal(p.served, 400);
    stop(&p, s.nsm);
}

static void opening_fails(void **state)
{
    struct cv_nsm *nsm;
    struct cv_error err;
    char longer[200];

    (void)state;
    cv_error_clear(&err);
    assert_string_equal(cv_nsm_transport_name(), "socket");
    assert_int_equal(cv_nsm_open(&nsm, NULL, &err), CV_ERR_CONFIG);
    assert_int_equal(cv_nsm_open(&nsm, "unix:/nonexistent/nsm.sock", &err), CV_ERR_NOT_FOUND);
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(cv_nsm_open(&nsm, longer, &err), CV_ERR_LIMIT);
    assert_null(nsm);
    cv_nsm_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_is_gathered),
        cmocka_unit_test(no_entropy_is_fatal),
        cmocka_unit_test(what_cannot_be_random_is_fatal),
        cmocka_unit_test(seeding),
        cmocka_unit_test(broken_peers),
        cmocka_unit_test(wrong_reply),
        cmocka_unit_test(calls_are_serialised),
        cmocka_unit_test(opening_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
