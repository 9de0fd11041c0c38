/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

#include "common/hex.h"
#include "unit/eif_support.h"

static struct cv_error err;

static void assert_pcr(const uint8_t pcr[CV_EIF_PCR_LEN], const json_t *want)
{
    char hex[2 * CV_EIF_PCR_LEN + 1];
    cv_hex_encode(hex, pcr, CV_EIF_PCR_LEN);
    assert_string_equal(hex, json_string_value(want));
}

/* Every image of tests/vectors/eif against the answers of make_eif.py. */
static void test_known_answers(void **state)
{
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/eif/answers.json", getenv("CV_VECTORS"));
    json_t *answers = json_load_file(path, 0, NULL);
    assert_non_null(answers);
    assert_true(json_object_size(answers) >= 12);
    const char *name;
    json_t *want;
    json_object_foreach (answers, name, want) {
        struct cv_buf image;
        char file[128];
        snprintf(file, sizeof file, "eif/%s.eif", name);
        image_load(&image, "CV_VECTORS", file);
        struct cv_eif_pcrs pcrs;
        int rc = image_check(image.p, image.n, &pcrs, &err);
        assert_int_equal(rc == 0, json_is_true(json_object_get(want, "valid")));
        assert_pcr(pcrs.pcr0, json_object_get(want, "PCR0"));
        assert_pcr(pcrs.pcr1, json_object_get(want, "PCR1"));
        assert_pcr(pcrs.pcr2, json_object_get(want, "PCR2"));
        json_t *pcr8 = json_object_get(want, "PCR8");
        assert_int_equal(pcrs.has_pcr8, json_is_string(pcr8));
        if (pcrs.has_pcr8) {
            assert_pcr(pcrs.pcr8, pcr8);
        }
        cv_buf_free(&image);
    }
    json_decref(answers);
}

/* The images of the specification's author, where they are at hand. */
static void test_shared_known_answers(void **state)
{
    (void)state;
    char path[1024];
    snprintf(path, sizeof path, "%s/vectors/eif-kat-signed.bin",
             getenv("CV_SHARED") != NULL ? getenv("CV_SHARED") : "");
    if (access(path, R_OK) != 0) {
        print_message("SKIPPED: no shared vectors\n");
        skip();
    }
    struct cv_buf image;
    image_load(&image, "CV_SHARED", "vectors/eif-kat-signed.bin");
    struct cv_eif eif;
    struct cv_eif_pcrs pcrs;
    assert_int_equal(cv_eif_open_fd(&eif, image_fd(image.p, image.n), &err), 0);
    assert_int_equal(cv_eif_measure(&eif, &pcrs, &err), 0);
    char hex[2 * CV_EIF_PCR_LEN + 1];
    cv_hex_encode(hex, pcrs.pcr0, CV_EIF_PCR_LEN);
    assert_string_equal(hex, "c876f2bba8a45ab4d65ec6c3f5f54c242b1ff616b8fa905407a81e763d30aa65"
                             "4cd8f30b0c511be80ca2b3f2e97e8981");
    cv_hex_encode(hex, pcrs.pcr8, CV_EIF_PCR_LEN);
    assert_string_equal(hex, "2be7dab1fb4fbdec004e6a20ac82e7ac318b78d5cf36932c430fc5e338c17992"
                             "386a05a24fe5876adf229b51a62b4fa6");
    bool good;
    assert_int_equal(cv_eif_check_crc(&eif, &good, &err), 0);
    assert_true(good);
    cv_eif_close(&eif);
    cv_buf_free(&image);
}

static void test_pcr3(void **state)
{
    (void)state;
    uint8_t pcr[CV_EIF_PCR_LEN];
    char hex[2 * CV_EIF_PCR_LEN + 1];
    assert_int_equal(cv_eif_pcr_of_text(pcr, "arn:aws:iam::123456789012:role/Webserver", &err), 0);
    cv_hex_encode(hex, pcr, sizeof pcr);
    assert_string_equal(hex, "78fce75db17cd4e0a3fb8dad3ad128ca5e77edbb2b2c7f75329dccd99aa5f6ef"
                             "4fc1f1a452e315b9e98f9e312e6921e6");
    /* A single ramdisk: PCR2 of nothing. */
    assert_int_equal(cv_eif_pcr_of_bytes(pcr, CV_BYTES(NULL, 0), &err), 0);
    cv_hex_encode(hex, pcr, sizeof pcr);
    assert_string_equal(hex, "21b9efbc184807662e966d34f390821309eeac6802309798826296bf3e8bec7c"
                             "10edb30948c90ba67310f7b964fc500a");
}

static void test_every_truncation(void **state)
{
    (void)state;
    struct cv_buf image;
    struct cv_eif_pcrs pcrs;
    image_load(&image, "CV_VECTORS", "eif/signed-secp384r1.eif");
    for (size_t n = 0; n < image.n; n++) {
        assert_int_not_equal(image_check(image.p, n, &pcrs, &err), 0);
    }
    assert_int_equal(image_check(image.p, image.n, &pcrs, &err), 0);
    uint8_t longer[8192];
    memcpy(longer, image.p, image.n);
    longer[image.n] = 0;
    image_fix_crc(longer, image.n + 1);
    assert_int_equal(image_check(longer, image.n + 1, &pcrs, &err), CV_ERR_TRAILING);
    cv_buf_free(&image);
}

static void test_every_bit(void **state)
{
    (void)state;
    struct cv_buf image;
    struct cv_eif_pcrs pcrs;
    image_load(&image, "CV_VECTORS", "eif/plain.eif");
    for (size_t bit = 0; bit < 8 * image.n; bit++) {
        image.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(image_check(image.p, image.n, &pcrs, &err), 0);
        image.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cv_buf_free(&image);
}

/* With the CRC made right again, what is measured must move or be refused. */
static void test_every_bit_of_a_signed_image(void **state)
{
    (void)state;
    struct cv_buf image;
    struct cv_eif_pcrs pcrs, first;
    image_load(&image, "CV_VECTORS", "eif/signed-secp256r1.eif");
    assert_int_equal(image_check(image.p, image.n, &first, &err), 0);
    struct cv_eif eif;
    assert_int_equal(cv_eif_open_fd(&eif, image_fd(image.p, image.n), &err), 0);
    const struct cv_eif_section *sections = eif.sections;
    for (unsigned i = 0; i < eif.count; i++) {
        if (sections[i].type == CV_EIF_METADATA) {
            continue; /* neither measured nor signed */
        }
        for (size_t bit = 0; bit < 8 * sections[i].size; bit++) {
            uint8_t *at = image.p + sections[i].offset + bit / 8;
            *at ^= (uint8_t)(1u << bit % 8);
            image_fix_crc(image.p, image.n);
            int rc = image_check(image.p, image.n, &pcrs, &err);
            /* The certificate's own signature is nobody's business: PCR8 has
             * the whole of it. Everything else is refused. */
            if (rc == 0) {
                assert_int_equal(sections[i].type, CV_EIF_SIGNATURE);
                assert_memory_equal(pcrs.pcr0, first.pcr0, 3 * CV_EIF_PCR_LEN);
            }
            *at ^= (uint8_t)(1u << bit % 8);
        }
    }
    cv_eif_close(&eif);
    cv_buf_free(&image);
}

struct poke {
    size_t offset;
    unsigned bytes;
    uint64_t value;
    int code;
    const char *why;
};

static void test_hostile_headers(void **state)
{
    (void)state;
    static const struct poke pokes[] = {
        {0, 4, 0x2e656967, CV_ERR_INVALID, "no enclave image"},
        {4, 2, 5, CV_ERR_UNSUPPORTED, "version 5"},
        {4, 2, 1, CV_ERR_UNSUPPORTED, "version 1"},
        {6, 2, 2, CV_ERR_INVALID, "flags"},
        {0x18, 2, 1, CV_ERR_INVALID, "reserved"},
        {0x1a, 2, 1, CV_ERR_INVALID, "1 sections"},
        {0x1a, 2, 33, CV_ERR_INVALID, "33 sections"},
        {0x1a, 2, 4, CV_ERR_INVALID, "beyond its 4"},
        {0x1c, 8, 549, CV_ERR_INVALID, "the header's table says 549"},
        {0x1c, 8, UINT64_MAX, CV_ERR_INVALID, "the header's table says"},
        {0x11c, 8, 13, CV_ERR_INVALID, "the header's table says 13"},
        {0x11c + 8 * 31, 8, 1, CV_ERR_INVALID, "beyond"},
        {548, 2, 0, CV_ERR_INVALID, "unknown type 0"},
        {548, 2, 6, CV_ERR_INVALID, "unknown type 6"},
        {548, 2, 2, CV_ERR_INVALID, "before the kernel"},
        {548, 2, 5, CV_ERR_INVALID, "before the kernel"},
        {550, 2, 1, CV_ERR_INVALID, "section 0 has unknown flags"},
        {552, 8, UINT64_MAX, CV_ERR_INVALID, "section 0 has 18446744073709551615 bytes"},
    };
    for (size_t i = 0; i < sizeof pokes / sizeof pokes[0]; i++) {
        struct cv_buf image;
        struct cv_eif_pcrs pcrs;
        image_load(&image, "CV_VECTORS", "eif/plain.eif");
        for (unsigned b = 0; b < pokes[i].bytes; b++) {
            image.p[pokes[i].offset + b] =
                (uint8_t)(pokes[i].value >> (8 * (pokes[i].bytes - 1 - b)));
        }
        image_fix_crc(image.p, image.n);
        assert_int_equal(image_check(image.p, image.n, &pcrs, &err), pokes[i].code);
        if (strstr(cv_error_top(&err), pokes[i].why) == NULL) {
            fail_msg("\"%s\" does not say \"%s\"", cv_error_top(&err), pokes[i].why);
        }
        cv_buf_free(&image);
    }
}

static void test_announced_size_beyond_the_file(void **state)
{
    (void)state;
    struct cv_buf image;
    struct cv_eif_pcrs pcrs;
    image_load(&image, "CV_VECTORS", "eif/plain.eif");
    for (unsigned i = 0; i < 8; i++) { /* table and section agree on a size of 2^63 */
        image.p[0x11c + 8 * 4 + i] = i == 0 ? 0x80 : 0;
    }
    size_t last = image.n - 6 - 12;
    memcpy(image.p + last + 4, image.p + 0x11c + 8 * 4, 8);
    image_fix_crc(image.p, image.n);
    assert_int_equal(image_check(image.p, image.n, &pcrs, &err), CV_ERR_TRUNCATED);
    cv_buf_free(&image);
}

static void test_describe(void **state)
{
    (void)state;
    struct cv_buf image;
    image_load(&image, "CV_VECTORS", "eif/signed-secp521r1.eif");
    struct cv_eif eif;
    json_t *json;
    bool good;
    assert_int_equal(cv_eif_open_fd(&eif, image_fd(image.p, image.n), &err), 0);
    assert_int_equal(cv_eif_describe(&eif, AT_2024, &json, &good, &err), 0);
    assert_true(good);
    const char *issuer, *alg, *before, *name, *commit, *kernel;
    int signed_, crc, check;
    assert_int_equal(json_unpack(json, "{s:b, s:b, s:b, s:s, s:{s:{s:s}, s:s, s:s}, s:{s:s, s:s}}",
                                 "IsSigned", &signed_, "CheckCRC", &crc, "SignatureCheck", &check,
                                 "ImageName", &name, "SigningCertificate", "IssuerName",
                                 "commonName", &issuer, "Algorithm", &alg, "NotBefore", &before,
                                 "Metadata", "commit", &commit, "KernelVersion", &kernel),
                     0);
    assert_true(signed_ && crc && check);
    assert_string_equal(issuer, "image signing");
    assert_string_equal(alg, "ecdsa-with-SHA256");
    assert_string_equal(before, "Jan  1 00:00:00 2020 GMT");
    assert_string_equal(name, "known");
    assert_string_equal(commit, "abc");
    assert_string_equal(kernel, "6.6.79");
    json_decref(json);
    /* One second outside the certificate's validity (2020 to 2120). */
    assert_int_equal(cv_eif_describe(&eif, 1577836799000LL, &json, &good, &err), 0);
    assert_false(good);
    json_decref(json);
    assert_int_equal(cv_eif_describe(&eif, 1577836800000LL, &json, &good, &err), 0);
    assert_true(good);
    json_decref(json);
    assert_int_equal(cv_eif_describe(&eif, 4733510400000LL, &json, &good, &err), 0);
    assert_true(good);
    json_decref(json);
    assert_int_equal(cv_eif_describe(&eif, 4733510401000LL, &json, &good, &err), 0);
    assert_false(good);
    json_decref(json);
    cv_eif_close(&eif);
    cv_buf_free(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_shared_known_answers),
        cmocka_unit_test(test_pcr3),
        cmocka_unit_test(test_every_truncation),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_every_bit_of_a_signed_image),
        cmocka_unit_test(test_hostile_headers),
        cmocka_unit_test(test_announced_size_beyond_the_file),
        cmocka_unit_test(test_describe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
