/* SPDX-License-Identifier: Apache-2.0 */
/* The NSM stand-in: registers, refusals, and the shape of its documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cbor/cbor.h"
#include "common/hex.h"
#include "local/nsm_standin.h"

#define ROLE "arn:aws:iam::123456789012:role/Webserver"
/* SHA384(0^48 || ROLE), computed apart. */
#define ROLE_PCR3 \
    "78fce75db17cd4e0a3fb8dad3ad128ca5e77edbb2b2c7f75329dccd99aa5f6ef4fc1f1a452e315b9e98f9e312e6921e6"
/* SHA384(0^48 || SHA384("")): the measurement of nothing. */
#define NOTHING \
    "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c10edb30948c90ba67310f7b964fc500a"
#define ZEROS \
    "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"

static char dir[] = "/tmp/test_local_nsm.XXXXXX";
static struct cv_local_pki *pki;

static struct cv_local_nsm *make(struct cv_local_nsm_config *config)
{
    struct cv_local_nsm *nsm = NULL;

    assert_int_equal(cv_local_nsm_new(&nsm, config, pki, NULL), 0);
    return nsm;
}

/* The reply to a request, as hex. */
static const char *ask_bytes(struct cv_local_nsm *nsm, struct cv_bytes request)
{
    static char out[2 * 0x3000 + 1];
    struct cv_buf reply;

    cv_buf_init(&reply, 0x3000);
    cv_local_nsm_handle(nsm, request, &reply);
    cv_hex_encode(out, reply.p, reply.n);
    cv_buf_free(&reply);
    return out;
}

static const char *ask(struct cv_local_nsm *nsm, const char *hex)
{
    uint8_t in[8192];
    size_t n = 0;

    assert_int_equal(cv_hex_decode(in, sizeof in, &n, cv_bytes_str(hex)), 0);
    return ask_bytes(nsm, CV_BYTES(in, n));
}

#define ERROR(len, text) "a1654572726f72" len text
#define INVALID_OPERATION ERROR("70", "496e76616c69644f7065726174696f6e")
#define INVALID_INDEX ERROR("6c", "496e76616c6964496e646578")
#define READ_ONLY ERROR("6d", "526561644f6e6c79496e646578")
#define INVALID_ARGUMENT ERROR("6f", "496e76616c6964417267756d656e74")
#define TOO_LARGE ERROR("6d", "496e707574546f6f4c61726765")

#define DESCRIBE_PCR(index) "a16b4465736372696265504352a165696e646578" index
#define LOCK_PCR(index) "a1674c6f636b504352a165696e646578" index
#define LOCK_PCRS(range) "a1684c6f636b50435273a16572616e6765" range
#define EXTEND_ABC(index)                                      \
    "a169457874656e64504352a265696e646578" index "64646174614" \
    "3616263"
#define PCR_REPLY(lock, hex) "a16b4465736372696265504352a2646c6f636b" lock "64646174615830" hex

static void registers(void **state)
{
    struct cv_local_nsm_config config = {.role_arn = ROLE, .instance_id = "i-1"};
    uint8_t expected[48], got[48];
    char hex[97];

    (void)state;
    struct cv_local_nsm *nsm = make(&config);
    assert_string_equal(ask(nsm, DESCRIBE_PCR("03")), PCR_REPLY("f5", ROLE_PCR3));
    assert_string_equal(ask(nsm, DESCRIBE_PCR("0f")), PCR_REPLY("f5", ZEROS));
    assert_string_equal(ask(nsm, DESCRIBE_PCR("10")), PCR_REPLY("f4", ZEROS));
    assert_string_equal(ask(nsm, DESCRIBE_PCR("1820")), INVALID_INDEX);
    cv_local_measure_text(expected, "i-1");
    cv_local_nsm_pcr(nsm, 4, got);
    assert_memory_equal(got, expected, 48);

    /* SHA384(0^48 || "abc") is what measuring the text gives. */
    cv_local_measure_text(expected, "abc");
    cv_hex_encode(hex, expected, 48);
    const char *reply = ask(nsm, EXTEND_ABC("10"));
    assert_non_null(strstr(reply, hex));
    assert_string_equal(ask(nsm, EXTEND_ABC("03")), READ_ONLY);
    assert_string_equal(ask(nsm, EXTEND_ABC("1820")), INVALID_INDEX);

    assert_string_equal(ask(nsm, LOCK_PCR("10")), "674c6f636b504352");
    assert_string_equal(ask(nsm, LOCK_PCR("10")), READ_ONLY);
    assert_string_equal(ask(nsm, EXTEND_ABC("10")), READ_ONLY);
    cv_local_nsm_pcr(nsm, 16, got);
    assert_memory_equal(got, expected, 48);
    assert_string_equal(ask(nsm, LOCK_PCRS("1821")), INVALID_INDEX);
    assert_string_equal(ask(nsm, LOCK_PCRS("1820")), "684c6f636b50435273");
    assert_string_equal(ask(nsm, DESCRIBE_PCR("181f")), PCR_REPLY("f5", ZEROS));
    cv_local_nsm_free(nsm);
}

static void debug_mode(void **state)
{
    struct cv_local_nsm_config config = {.role_arn = ROLE, .debug_mode = true, .pcr_mask = 0x107};

    (void)state;
    for (unsigned i = 0; i < 32; i++)
        memset(config.pcr[i], 0x11, 48);
    struct cv_local_nsm *nsm = make(&config);
    assert_string_equal(ask(nsm, DESCRIBE_PCR("00")), PCR_REPLY("f5", ZEROS));
    assert_string_equal(ask(nsm, DESCRIBE_PCR("01")), PCR_REPLY("f5", ZEROS));
    assert_string_equal(ask(nsm, DESCRIBE_PCR("02")), PCR_REPLY("f5", ZEROS));
    assert_string_equal(ask(nsm, DESCRIBE_PCR("08")), PCR_REPLY("f5", ZEROS));
    assert_string_equal(ask(nsm, DESCRIBE_PCR("03")), PCR_REPLY("f5", ROLE_PCR3));
    assert_string_not_equal(ask(nsm, DESCRIBE_PCR("04")), PCR_REPLY("f5", ZEROS));
    cv_local_nsm_free(nsm);
}

static void malformed_requests(void **state)
{
    static const char *const bad[] = {
        "",
        "f6",
        "00",
        "a0",
        "60",
        "6a47657452616e646f6d00",
        "6967657472616e646f6d",
        "a16947657452616e646f6da0",                                 /* a bare name as a map */
        "6b4465736372696265504352",                                 /* a map's name alone */
        "a16b4465736372696265504352a0",                             /* no index */
        "a16b4465736372696265504352a165696e64657820",               /* negative */
        "a16b4465736372696265504352a165696e6465781a00010000",       /* over 16 bits */
        "a16b4465736372696265504352a265696e6465780065696e64657801", /* twice */
        "a169457874656e64504352a165696e64657810",                   /* no data */
        "a16b4174746573746174696f6ea1656e6f6e636501",               /* not bytes */
        "6947657452616e646f6d00",                                   /* trailing */
    };
    struct cv_local_nsm_config config = {0};

    (void)state;
    struct cv_local_nsm *nsm = make(&config);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_string_equal(ask(nsm, bad[i]), INVALID_OPERATION);
    cv_local_nsm_free(nsm);
}

static const char *attest_sized(struct cv_local_nsm *nsm, size_t user_data, size_t nonce,
                                size_t key)
{
    static uint8_t buf[8192], zeros[4096];
    struct cv_writer w;

    cv_writer_init(&w, buf, sizeof buf);
    cv_cbor_write_map(&w, 1);
    cv_cbor_write_tstr(&w, "Attestation");
    cv_cbor_write_map(&w, 3);
    cv_cbor_write_tstr(&w, "user_data");
    cv_cbor_write_bstr(&w, CV_BYTES(zeros, user_data));
    cv_cbor_write_tstr(&w, "nonce");
    cv_cbor_write_bstr(&w, CV_BYTES(zeros, nonce));
    cv_cbor_write_tstr(&w, "public_key");
    cv_cbor_write_bstr(&w, CV_BYTES(zeros, key));
    return ask_bytes(nsm, cv_writer_view(&w));
}

#define ATTESTATION_REPLY "a16b4174746573746174696f6ea168646f63756d656e7459"

static void field_limits(void **state)
{
    struct cv_local_nsm_config config = {0};

    (void)state;
    struct cv_local_nsm *nsm = make(&config);
    assert_int_equal(
        strncmp(attest_sized(nsm, 1024, 1024, 1024), ATTESTATION_REPLY, strlen(ATTESTATION_REPLY)),
        0);
    assert_int_equal(
        strncmp(attest_sized(nsm, 0, 0, 1), ATTESTATION_REPLY, strlen(ATTESTATION_REPLY)), 0);
    assert_string_equal(attest_sized(nsm, 1025, 0, 1), TOO_LARGE);
    assert_string_equal(attest_sized(nsm, 0, 1025, 1), TOO_LARGE);
    assert_string_equal(attest_sized(nsm, 0, 0, 1025), TOO_LARGE);
    assert_string_equal(attest_sized(nsm, 0, 0, 0), INVALID_ARGUMENT);
    assert_string_equal(attest_sized(nsm, 4096, 0, 0), TOO_LARGE);
    cv_local_nsm_free(nsm);
}

static void document_shapes(void **state)
{
    struct cv_local_nsm_config config = {
        .indefinite = true, .tagged = true, .module_id = "i-1-enc2"};
    static const char attest[] = "a16b4174746573746174696f6ea0";
    char want[256];

    (void)state;
    /* {module_id: …} starts an indefinite map in a tagged COSE_Sign1. */
    struct cv_local_nsm *nsm = make(&config);
    const char *reply = ask(nsm, attest);
    assert_non_null(strstr(reply, "d28444a1013822a059"));
    assert_non_null(strstr(reply, "bf696d6f64756c655f696468692d312d656e6332"));
    cv_local_nsm_free(nsm);

    config.indefinite = config.tagged = false;
    nsm = make(&config);
    reply = ask(nsm, attest);
    snprintf(want, sizeof want, "8444a1013822a059");
    assert_ptr_equal(strstr(reply, want), reply + strlen(ATTESTATION_REPLY) + 4);
    assert_non_null(strstr(reply, "a9696d6f64756c655f696468692d312d656e6332"));
    assert_non_null(strstr(reply, "6a7075626c69635f6b6579f669757365725f64617461f6656e6f6e6365f6"));
    cv_local_nsm_free(nsm);
}

static void randomness(void **state)
{
    struct cv_local_nsm_config config = {0};
    char first[600];

    (void)state;
    struct cv_local_nsm *nsm = make(&config);
    const char *reply = ask(nsm, "6947657452616e646f6d");
    assert_int_equal(strlen(reply), 2 * (22 + 256));
    snprintf(first, sizeof first, "%s", reply);
    assert_string_not_equal(ask(nsm, "6947657452616e646f6d"), first);
    cv_local_nsm_free(nsm);

    config.fault = CV_LOCAL_NSM_NO_ENTROPY;
    nsm = make(&config);
    assert_string_equal(ask(nsm, "6947657452616e646f6d"),
                        "a16947657452616e646f6da16672616e646f6d40");
    cv_local_nsm_free(nsm);
}

static void measuring(void **state)
{
    uint8_t pcr[48], want[48];
    size_t n = 0;
    const char *none[1] = {"/nonexistent"};
    struct cv_error err;

    (void)state;
    cv_error_clear(&err);
    assert_int_equal(cv_local_measure(pcr, NULL, 0, &err), 0);
    assert_int_equal(cv_hex_decode(want, 48, &n, cv_bytes_str(NOTHING)), 0);
    assert_memory_equal(pcr, want, 48);
    assert_int_equal(cv_local_measure(pcr, none, 1, &err), CV_ERR_NOT_FOUND);
}

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    return cv_local_pki_open(&pki, dir, NULL);
}

static int teardown(void **state)
{
    static const char *const names[] = {CV_LOCAL_ROOT_PEM, CV_LOCAL_ROOT_KEY, ".pki.lock"};
    char path[128];

    (void)state;
    cv_local_pki_close(pki);
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers),          cmocka_unit_test(debug_mode),
        cmocka_unit_test(malformed_requests), cmocka_unit_test(field_limits),
        cmocka_unit_test(document_shapes),    cmocka_unit_test(randomness),
        cmocka_unit_test(measuring),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
