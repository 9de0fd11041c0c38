/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vectors/requests.txt (made by make_requests.py with an independent
 * parser): every line, and every truncation and bit flip of some. */
#include "unit/cv_test.h"
#include "unit/mutate.h"
#include "unit/request_line.h"

#include "crypto/init.h"

static FILE *open_cases(void)
{
    char path[512];
    const char *dir = getenv("CV_VECTORS");
    snprintf(path, sizeof(path), "%s/requests.txt", dir != NULL ? dir : "tests/vectors");
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    return f;
}

/* The request of the next line, of exact size on the heap, and what follows. */
static uint8_t *next_case(FILE *f, size_t *n, char *expected, size_t size)
{
    static char line[40000];
    if (fgets(line, sizeof(line), f) == NULL)
        return NULL;
    char *space = strchr(line, ' ');
    assert_non_null(space);
    *space = '\0';
    snprintf(expected, size, "%s", space + 1);
    size_t len = strcmp(line, "-") == 0 ? 0 : strlen(line);
    uint8_t *bytes = malloc(len / 2 + 1);
    assert_non_null(bytes);
    assert_int_equal(cv_hex_decode(bytes, len / 2, n, CV_BYTES(line, len)), 0);
    return bytes;
}

static void vectors(void **state)
{
    (void)state;
    static char expected[20000];
    unsigned count = 0;
    uint8_t *bytes;
    size_t n;
    FILE *f = open_cases();
    for (; (bytes = next_case(f, &n, expected, sizeof(expected))) != NULL; count++) {
        char *got = NULL;
        size_t got_len = 0;
        FILE *out = open_memstream(&got, &got_len);
        assert_non_null(out);
        request_line(out, CV_BYTES(bytes, n));
        fclose(out);
        unsigned tag;
        if (strcmp(expected, "error\n") == 0) {
            if (strncmp(got, "error -", 7) != 0 || strstr(got, "unknown tag") != NULL)
                fail_msg("line %u: %s", count + 1, got);
            assert_non_null(strstr(got, " malformed request"));
        } else if (sscanf(expected, "error unknown tag %u", &tag) == 1) {
            char want[64];
            snprintf(want, sizeof(want), "error -12 gotez: unknown tag %u\n", tag);
            assert_string_equal(got, want);
        } else {
            assert_string_equal(got, expected);
        }
        free(got);
        free(bytes);
    }
    fclose(f);
    assert_in_range(count, 1500, 100000);
}

static void parse(void *ctx, const uint8_t *p, size_t n, const char *what)
{
    struct cv_request request;
    struct cv_operations it;
    struct cv_operation op;
    size_t count = 0;
    (void)ctx;
    (void)what;
    int rc = cv_request_parse(&request, CV_BYTES(p, n), NULL);
    if (rc != 0)
        return;
    cv_operations_start(&it, &request);
    while (cv_operations_next(&it, &op))
        count++;
    assert_int_equal(count, request.operation_count);
}

static void damage(void **state)
{
    (void)state;
    static char expected[20000];
    uint8_t *bytes;
    size_t n;
    FILE *f = open_cases();
    for (unsigned i = 0; (bytes = next_case(f, &n, expected, sizeof(expected))) != NULL; i++) {
        if (i % 5 == 0 && n < 400 && strncmp(expected, "error", 5) != 0)
            mutate_all(bytes, n, parse, NULL);
        free(bytes);
    }
    fclose(f);
}

static void fitness(void **state)
{
    (void)state;
    static const uint8_t good[] = {0, 0, 0, 1, 2,   0,   0,   0,   4, 0, 0, 0, 9, 0, 0, 0, 0,
                                   0, 0, 0, 4, 255, 255, 255, 255, 0, 0, 0, 4, 0, 0, 0, 7};
    uint8_t copy[sizeof(good) + 1] = {0};
    int32_t level = 0, round = 0;
    assert_int_equal(cv_fitness_parse(CV_BYTES(good, sizeof(good)), &level, &round), 0);
    assert_int_equal(level, 9);
    assert_int_equal(round, 7);
    for (size_t cut = 0; cut < sizeof(good); cut++)
        assert_int_not_equal(cv_fitness_parse(CV_BYTES(good, cut), &level, &round), 0);
    memcpy(copy, good, sizeof(good));
    assert_int_equal(cv_fitness_parse(CV_BYTES(copy, sizeof(copy)), &level, &round),
                     CV_ERR_TRAILING);
    static const size_t lengths_and_version[] = {3, 4, 8, 16, 20, 28};
    for (size_t i = 0; i < sizeof(lengths_and_version) / sizeof(lengths_and_version[0]); i++) {
        memcpy(copy, good, sizeof(good));
        copy[lengths_and_version[i]] ^= 1;
        assert_int_not_equal(cv_fitness_parse(CV_BYTES(copy, sizeof(good)), &level, &round), 0);
    }
}

static void addresses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU", "tz4XXtsYav3fZz2FSDa7hcx4F8sh8SaDWNME",
        "KT1PWx2mnDueood7fEmfbBDKx1D9BAnnXitn", "KT1WvzYHCNBvDSdwafTHv7nJ1dWmZ8GCYuuC"};
    struct cv_address a[4], other;
    for (size_t i = 0; i < 4; i++) {
        char text[CV_PKH_TEXT_SIZE];
        assert_int_equal(cv_address_parse(&a[i], cv_bytes_str(texts[i])), 0);
        cv_address_format(text, &a[i]);
        assert_string_equal(text, texts[i]);
        for (size_t j = 0; j <= i; j++)
            assert_int_equal(cv_address_equal(&a[i], &a[j]), i == j);
    }
    assert_int_equal(cv_address_parse(&other, CV_BYTES_LIT("sr1Ghq66tYK9y3r8CC1Tf8i8m5nxh8nTvZEf")),
                     CV_ERR_INVALID);
    assert_int_equal(cv_address_parse(&other, CV_BYTES_LIT("KT1PWx2mnDueood7fEmfbBDKx1D9BAnnXitm")),
                     CV_ERR_CRYPTO);
}

static int setup(void **state)
{
    (void)state;
    return cv_crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors),
        cmocka_unit_test(damage),
        cmocka_unit_test(fitness),
        cmocka_unit_test(addresses),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
