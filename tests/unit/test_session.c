/* SPDX-License-Identifier: Apache-2.0 */
/* The session against enclaves of every kind: ours, an original one, and
 * rogues that reorder, repeat, delay, truncate and make replies up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "crypto/blake2b.h"
#include "rpc/frame.h"
#include "signer/session.h"
#include "transport/listen.h"

/* ---- the other side ---- */

struct peer {
    int fd;
    bool extended;
    struct cv_rpc_assembler in;
};

static void peer_send(struct peer *p, const struct cv_buf *out)
{
    assert_int_equal(send(p->fd, out->p, out->n, MSG_NOSIGNAL), (ssize_t)out->n);
}

/* ---- the test's state ---- */

struct call {
    struct cv_call call;
    int done; /* times */
    int code;
    bool has_signature;
    struct cv_signature signature;
    char text[CV_ERROR_TEXT];
};

static struct {
    struct cv_loop *loop;
    struct cv_session *session;
    struct peer peer;
    int ups, downs, down_code;
    bool described;
    char why[CV_ERROR_TEXT * 4];
} t;

static void on_up(void *ctx, const struct cv_rpc_description *d)
{
    (void)ctx;
    t.ups++;
    t.described = d != NULL;
}

static void on_down(void *ctx, const struct cv_error *why)
{
    (void)ctx;
    t.downs++;
    t.down_code = why->code;
    (void)cv_error_format(t.why, sizeof(t.why), why);
}

static void turn(int times)
{
    for (int i = 0; i < times; i++) {
        assert_int_equal(cv_loop_once(t.loop, cv_deadline(5)), 0);
    }
}

/* The next request that the session sent. Views into the assembler. */
static bool peer_request(struct cv_rpc_request *request)
{
    struct cv_rpc_fault fault;
    for (int i = 0; i < 4; i++) {
        uint8_t *body;
        size_t n;
        int rc = cv_rpc_assembler_next(&t.peer.in, &body, &n);
        assert_true(rc >= 0);
        if (rc == 1) {
            assert_int_equal(cv_rpc_request_decode(request, body, n, t.peer.extended, &fault), 0);
            return true;
        }
        turn(1);
        size_t room = 65536;
        uint8_t *p = cv_rpc_assembler_room(&t.peer.in, &room);
        ssize_t r = recv(t.peer.fd, p, room, MSG_DONTWAIT);
        if (r > 0) {
            cv_rpc_assembler_fed(&t.peer.in, (size_t)r);
        }
    }
    return false;
}

/* ANSWER to Describe: an error, or NULL for our enclave's description. */
static void begin_with(const char *answer)
{
    bool original = answer != NULL;
    int fds[2];
    struct cv_rpc_request request;
    struct cv_buf out;
    const struct cv_session_events events = {.up = on_up, .down = on_down};
    const struct cv_addr addr = {.kind = CV_ADDR_UNIX, .path = "test"};
    memset(&t, 0, sizeof(t));
    assert_int_equal(cv_loop_new(&t.loop, NULL), 0);
    assert_int_equal(cv_session_new(&t.session, t.loop, &addr, &events, NULL), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    t.peer.fd = fds[1];
    cv_rpc_assembler_init(&t.peer.in, CV_RPC_FRAME_MAX);
    cv_session_adopt(t.session, fds[0]);
    assert_true(peer_request(&request));
    assert_int_equal(request.op, CV_RPC_DESCRIBE);
    assert_false(request.has_id);
    cv_buf_init(&out, 65536);
    if (original) {
        assert_int_equal(cv_rpc_reply_err_text(&out, NULL, answer), 0);
    } else {
        static const uint8_t pcr0[48];
        struct cv_rpc_description d = {.protocol = 1,
                                       .version = CV_BYTES_LIT("1"),
                                       .build = CV_BYTES_LIT("development"),
                                       .pcr0 = CV_BYTES(pcr0, 48)};
        assert_int_equal(cv_rpc_reply_ok_description(&out, NULL, &d), 0);
        t.peer.extended = true;
    }
    peer_send(&t.peer, &out);
    cv_buf_free(&out);
    turn(2);
    assert_int_equal(t.ups, 1);
    assert_int_equal(t.described, !original);
    assert_true(cv_session_is_up(t.session));
    assert_int_equal(cv_session_has_ids(t.session), !original);
}

static void begin(bool original)
{
    begin_with(original ? "Semantic(None, \"unknown variant `Describe`, expected one of "
                          "`Initialize`\")"
                        : NULL);
}

static void end(void)
{
    cv_session_free(&t.session);
    cv_loop_free(&t.loop);
    cv_rpc_assembler_free(&t.peer.in);
    if (t.peer.fd >= 0) {
        (void)close(t.peer.fd);
    }
}

static void on_done(struct cv_call *call, int code, const struct cv_rpc_reply *reply,
                    const struct cv_error *err)
{
    struct call *c = (struct call *)(void *)call;
    c->done++;
    c->code = code;
    if (err != NULL) {
        (void)snprintf(c->text, sizeof(c->text), "%s", cv_error_top(err));
    }
    if (code == 0) {
        c->has_signature = cv_rpc_reply_read_signature(&c->signature, reply, NULL) == 0;
    }
}

static void digest_of(uint64_t handle, uint8_t digest[32])
{
    char text[32];
    (void)snprintf(text, sizeof(text), "message %llu", (unsigned long long)handle);
    cv_blake2b_256(digest, cv_bytes_str(text));
}

/* Asks to sign "message HANDLE" with the key HANDLE. */
static void ask(struct call *c, uint64_t handle, int64_t ms)
{
    char text[32];
    uint8_t digest[32];
    memset(c, 0, sizeof(*c));
    c->call.done = on_done;
    (void)snprintf(text, sizeof(text), "message %llu", (unsigned long long)handle);
    digest_of(handle, digest);
    struct cv_rpc_request request = {
        .op = CV_RPC_SIGN, .handle = handle, .message = cv_bytes_str(text), .version = 2};
    assert_int_equal(cv_session_call(t.session, &c->call, &request, digest, cv_deadline(ms), NULL),
                     0);
    assert_int_equal(c->done, 0);
}

/* A signature whose first byte tells the handle. */
static void signature_of(uint64_t handle, struct cv_signature *sig)
{
    memset(sig, 0, sizeof(*sig));
    sig->scheme = CV_SCHEME_ED25519;
    sig->n = 64;
    sig->p[0] = (uint8_t)handle;
    sig->p[1] = 0x55;
}

static void echo_of(const struct cv_rpc_request *request, struct cv_rpc_echo *echo)
{
    *echo = (struct cv_rpc_echo){.has_id = request->has_id,
                                 .id = request->id,
                                 .has_handle = true,
                                 .handle = request->handle,
                                 .has_digest = true};
    digest_of(request->handle, echo->digest);
}

static void answer(const struct cv_rpc_echo *echo, uint64_t handle, size_t cut)
{
    struct cv_signature sig;
    struct cv_buf out;
    cv_buf_init(&out, 65536);
    signature_of(handle, &sig);
    assert_int_equal(cv_rpc_reply_ok_signature(&out, t.peer.extended ? echo : NULL, &sig), 0);
    if (cut > 0) {
        out.n -= cut;
    }
    peer_send(&t.peer, &out);
    cv_buf_free(&out);
}

static void assert_signed(const struct call *c, uint64_t handle)
{
    assert_int_equal(c->done, 1);
    assert_int_equal(c->code, 0);
    assert_true(c->has_signature);
    assert_int_equal(c->signature.p[0], handle);
}

/* ---- tests ---- */

static void test_reordered(void **state)
{
    (void)state;
    enum { N = 300 };
    static struct call calls[N];
    static struct cv_rpc_echo echo[N];
    begin(false);
    for (unsigned i = 0; i < N; i++) {
        ask(&calls[i], i & 0xff, 5000);
    }
    assert_int_equal(cv_session_in_flight(t.session), N);
    for (unsigned i = 0; i < N; i++) {
        struct cv_rpc_request request;
        assert_true(peer_request(&request));
        assert_true(request.has_id);
        assert_int_equal(request.handle, i & 0xff);
        echo_of(&request, &echo[i]);
        for (unsigned k = 0; k < i; k++) {
            assert_true(echo[k].id != request.id);
        }
    }
    for (unsigned i = N; i-- > 0;) {
        answer(&echo[i], i & 0xff, 0);
        if (i % 16 == 0) {
            turn(1);
        }
    }
    turn(4);
    for (unsigned i = 0; i < N; i++) {
        assert_signed(&calls[i], i & 0xff);
    }
    assert_int_equal(cv_session_in_flight(t.session), 0);
    assert_int_equal(t.downs, 0);
    end();
}

static void test_in_order(void **state)
{
    (void)state;
    struct call a, b;
    struct cv_rpc_request request;
    begin(true);
    ask(&a, 1, 5000);
    ask(&b, 2, 5000);
    assert_true(peer_request(&request));
    assert_false(request.has_id);
    assert_int_equal(request.handle, 1);
    assert_true(peer_request(&request));
    assert_int_equal(request.handle, 2);
    answer(NULL, 1, 0);
    answer(NULL, 2, 0);
    turn(2);
    assert_signed(&a, 1);
    assert_signed(&b, 2);
    end();
}

/* With an original enclave a time-out ends the connection: the late reply must
 * not become the answer of the next caller. */
static void test_in_order_time_out(void **state)
{
    (void)state;
    struct call a, b;
    begin(true);
    ask(&a, 1, 20);
    ask(&b, 2, 5000);
    turn(10);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.code, CV_ERR_CLOSED);
    assert_int_equal(b.done, 1);
    assert_int_equal(b.code, CV_ERR_CLOSED);
    assert_int_equal(t.downs, 1);
    assert_int_equal(t.down_code, CV_ERR_TIMEOUT);
    end();
}

/* A late reply to an abandoned id is dropped, and everything else goes on. */
static void test_abandoned(void **state)
{
    (void)state;
    struct call slow, quick, next;
    struct cv_rpc_request request;
    struct cv_rpc_echo late, echo;
    begin(false);
    ask(&slow, 1, 30);
    ask(&quick, 2, 5000);
    assert_true(peer_request(&request));
    echo_of(&request, &late);
    assert_true(peer_request(&request));
    echo_of(&request, &echo);
    turn(1);
    cv_sleep_ms(2);
    answer(&echo, 2, 0);
    turn(2);
    assert_signed(&quick, 2);
    turn(12);
    assert_int_equal(slow.done, 1);
    assert_int_equal(slow.code, CV_ERR_TIMEOUT);
    assert_int_equal(t.downs, 0);
    ask(&next, 3, 5000);
    answer(&late, 1, 0);
    turn(2);
    assert_int_equal(next.done, 0);
    assert_int_equal(slow.done, 1);
    assert_true(peer_request(&request));
    echo_of(&request, &echo);
    answer(&echo, 3, 0);
    turn(2);
    assert_signed(&next, 3);
    /* A second late reply is one that nobody awaits. */
    answer(&late, 1, 0);
    turn(2);
    assert_int_equal(t.downs, 1);
    assert_int_equal(t.down_code, CV_ERR_PROTOCOL);
    end();
}

/* Nothing at all comes back: the peer is stuck. */
static void test_stalled(void **state)
{
    (void)state;
    struct call a, b;
    begin(false);
    cv_sleep_ms(3);
    turn(1);
    ask(&a, 1, 20);
    ask(&b, 2, 5000);
    turn(10);
    assert_int_equal(a.code, CV_ERR_CLOSED);
    assert_int_equal(b.code, CV_ERR_CLOSED);
    assert_int_equal(t.downs, 1);
    end();
}

enum rogue {
    FOREIGN_ID,
    OTHER_HANDLE,
    OTHER_DIGEST,
    NO_ECHO,
    NO_ID,
    REPEAT,
    GARBAGE,
    HUGE_FRAME,
    CLOSE,
    TRUNCATED,
    OTHER_VALUE,
    ROGUES
};

static void misbehave(enum rogue what, const struct cv_rpc_request *request)
{
    static const uint8_t garbage[] = {0, 0, 0, 3, 0xff, 0xff, 0xff};
    static const uint8_t huge[] = {0x7f, 0xff, 0xff, 0xff, 0};
    static const uint8_t nothing[] = {0, 0, 0, 0};
    struct cv_rpc_echo echo;
    echo_of(request, &echo);
    switch (what) {
    case FOREIGN_ID:
        echo.id += 4096;
        break;
    case OTHER_HANDLE:
        echo.handle++;
        break;
    case OTHER_DIGEST:
        echo.digest[7] ^= 1;
        break;
    case NO_ECHO:
        echo.has_handle = echo.has_digest = false;
        break;
    case NO_ID:
        echo.has_id = false;
        break;
    case REPEAT:
        answer(&echo, request->handle, 0);
        break;
    case GARBAGE:
        assert_int_equal(send(t.peer.fd, garbage, sizeof(garbage), 0), sizeof(garbage));
        return;
    case HUGE_FRAME:
        assert_int_equal(send(t.peer.fd, huge, sizeof(huge), 0), sizeof(huge));
        return;
    case OTHER_VALUE:
        assert_int_equal(send(t.peer.fd, nothing, sizeof(nothing), 0), sizeof(nothing));
        return;
    case CLOSE:
        (void)close(t.peer.fd);
        t.peer.fd = -1;
        return;
    case TRUNCATED:
        answer(&echo, request->handle, 10);
        (void)close(t.peer.fd);
        t.peer.fd = -1;
        return;
    case ROGUES:
        break;
    }
    answer(&echo, request->handle, 0);
}

static void test_rogues(void **state)
{
    (void)state;
    for (int what = 0; what < ROGUES; what++) {
        struct call a, b;
        struct cv_rpc_request request;
        begin(false);
        ask(&a, 1, 5000);
        ask(&b, 2, 5000);
        assert_true(peer_request(&request));
        misbehave((enum rogue)what, &request);
        turn(4);
        assert_int_equal(t.downs, 1);
        assert_false(cv_session_is_up(t.session));
        assert_int_equal(a.done, 1);
        if (what == REPEAT) {
            assert_signed(&a, 1); /* the first one was right */
        } else {
            assert_int_equal(a.code, CV_ERR_CLOSED);
        }
        assert_int_equal(b.done, 1);
        assert_int_equal(b.code, CV_ERR_CLOSED);
        /* Down means down. */
        struct call c = {.call = {.done = on_done}};
        struct cv_rpc_request again = {.op = CV_RPC_SIGN, .message = CV_BYTES_LIT("x")};
        uint8_t digest[32] = {0};
        assert_int_equal(cv_session_call(t.session, &c.call, &again, digest, cv_deadline(9), NULL),
                         CV_ERR_STATE);
        end();
    }
}

/* One byte at a time, in both directions. */
static void test_dribble(void **state)
{
    (void)state;
    struct call a;
    struct cv_rpc_request request;
    struct cv_rpc_echo echo;
    struct cv_signature sig;
    struct cv_buf out;
    begin(false);
    ask(&a, 9, 5000);
    assert_true(peer_request(&request));
    echo_of(&request, &echo);
    cv_buf_init(&out, 65536);
    signature_of(9, &sig);
    assert_int_equal(cv_rpc_reply_ok_signature(&out, &echo, &sig), 0);
    for (size_t i = 0; i < out.n; i++) {
        assert_int_equal(a.done, 0);
        assert_int_equal(send(t.peer.fd, out.p + i, 1, 0), 1);
        turn(1);
    }
    cv_buf_free(&out);
    assert_signed(&a, 9);
    end();
}

static void test_remote_error(void **state)
{
    (void)state;
    struct call a;
    struct cv_rpc_request request;
    struct cv_rpc_echo echo = {.has_id = true};
    struct cv_buf out;
    begin(false);
    ask(&a, 1, 5000);
    assert_true(peer_request(&request));
    echo.id = request.id;
    cv_buf_init(&out, 65536);
    assert_int_equal(cv_rpc_reply_err_text(&out, &echo, "signer error"), 0);
    peer_send(&t.peer, &out);
    cv_buf_free(&out);
    turn(2);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.code, CV_ERR_REMOTE);
    assert_string_equal(a.text, "signer error");
    assert_int_equal(t.downs, 0);
    end();
}

static void test_limits(void **state)
{
    (void)state;
    static struct call calls[CV_SESSION_IN_FLIGHT];
    struct call more = {.call = {.done = on_done}};
    uint8_t digest[32] = {0};
    struct cv_rpc_request request = {.op = CV_RPC_SIGN, .message = CV_BYTES_LIT("x")};
    begin(false);
    for (unsigned i = 0; i < CV_SESSION_IN_FLIGHT; i++) {
        ask(&calls[i], 1, 5000);
    }
    assert_int_equal(cv_session_call(t.session, &more.call, &request, digest, cv_deadline(9), NULL),
                     CV_ERR_BUSY);
    /* Freeing tells each of them. */
    end();
    for (unsigned i = 0; i < CV_SESSION_IN_FLIGHT; i++) {
        assert_int_equal(calls[i].done, 1);
        assert_int_equal(calls[i].code, CV_ERR_CANCELLED);
    }
    assert_int_equal(more.done, 0);
    begin(true);
    request.op = CV_RPC_ATTEST;
    assert_int_equal(cv_session_call(t.session, &more.call, &request, NULL, cv_deadline(9), NULL),
                     CV_ERR_UNSUPPORTED);
    end();
}

static void test_absent(void **state)
{
    (void)state;
    const struct cv_session_events events = {.up = on_up, .down = on_down};
    const struct cv_addr addr = {.kind = CV_ADDR_UNIX, .path = "/nonexistent/enclave.sock"};
    memset(&t, 0, sizeof(t));
    assert_int_equal(cv_loop_new(&t.loop, NULL), 0);
    assert_int_equal(cv_session_new(&t.session, t.loop, &addr, &events, NULL), 0);
    cv_session_connect(t.session);
    assert_int_equal(t.downs, 1);
    assert_non_null(strstr(t.why, "/nonexistent/enclave.sock"));
    cv_session_free(&t.session);
    cv_loop_free(&t.loop);
}

/* ---- through the vsock device of a virtual machine ---- */

static int device_accept(int listener, const char *reply)
{
    char line[32] = {0};
    int fd = -1;
    for (int i = 0; i < 20 && fd < 0; i++) {
        turn(1);
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    assert_true(fd >= 0);
    for (int i = 0; i < 20 && line[0] == 0; i++) {
        turn(1);
        (void)!recv(fd, line, sizeof(line) - 1, 0);
    }
    assert_string_equal(line, "CONNECT 2000\n");
    /* In two pieces: the session must wait for the rest. */
    assert_int_equal(send(fd, reply, 2, MSG_NOSIGNAL), 2);
    turn(2);
    assert_int_equal(send(fd, reply + 2, strlen(reply + 2), MSG_NOSIGNAL), strlen(reply + 2));
    return fd;
}

static void greets_the_vsock_device(void **state)
{
    static const char *const replies[] = {"OK 1073741824\n", "NO\n"};
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct cv_rpc_request request;
        struct cv_listener listener;
        struct cv_addr addr;
        const struct cv_session_events events = {.up = on_up, .down = on_down};
        char dir[] = "/tmp/cv-session-XXXXXX", text[128];
        memset(&t, 0, sizeof(t));
        assert_non_null(mkdtemp(dir));
        snprintf(text, sizeof(text), "unix:%s/vm.vsock", dir);
        assert_int_equal(cv_addr_parse(&addr, text, NULL), 0);
        assert_int_equal(cv_listen(&listener, &addr, NULL), 0);
        snprintf(text, sizeof(text), "vsock-uds:%s/vm.vsock:2000", dir);
        assert_int_equal(cv_addr_parse(&addr, text, NULL), 0);
        assert_int_equal(cv_loop_new(&t.loop, NULL), 0);
        assert_int_equal(cv_session_new(&t.session, t.loop, &addr, &events, NULL), 0);
        cv_rpc_assembler_init(&t.peer.in, CV_RPC_FRAME_MAX);
        cv_session_connect(t.session);
        t.peer.fd = device_accept(listener.fd, replies[i]);
        turn(2);
        if (i == 0) {
            assert_true(peer_request(&request));
            assert_int_equal(request.op, CV_RPC_DESCRIBE);
            assert_int_equal(t.downs, 0);
        } else {
            assert_int_equal(t.downs, 1);
            assert_int_equal(t.down_code, CV_ERR_PROTOCOL);
        }
        end();
        cv_listener_close(&listener);
        (void)rmdir(dir);
    }
}

/* Other enclaves of the original's protocol may refuse in words of their own. */
static void test_any_refusal_means_original(void **state)
{
    (void)state;
    static const char *const answers[] = {"uninitialized", "unknown request", ""};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        begin_with(answers[i]);
        end();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_refusal_means_original),
        cmocka_unit_test(test_reordered),
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_in_order_time_out),
        cmocka_unit_test(test_abandoned),
        cmocka_unit_test(test_stalled),
        cmocka_unit_test(test_rogues),
        cmocka_unit_test(test_dribble),
        cmocka_unit_test(test_remote_error),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(greets_the_vsock_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
