/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a key: every refusal with its words, and their order. */
#include "unit/cv_test.h"
#include "unit/from_hex.h"

#include "common/writer.h"
#include "crypto/init.h"
#include "tezos/policy.h"

static const struct cv_pkh me = {CV_SCHEME_ED25519, {1}};
static const struct cv_pkh other = {CV_SCHEME_BLS, {2}};
static const char ME_TEXT[] = "tz1KjKNJzY3kyypxHNaNms1QGyLJCEkE2wxu";

static uint8_t chain_a[1][4] = {{0x7a, 0x06, 0xa7, 0x70}}; /* NetXdQprcVkpaWU */

static void all(struct cv_key_rules *rules)
{
    memset(rules, 0, sizeof(*rules));
    rules->requests = UINT32_MAX;
    rules->operations = UINT64_MAX;
}

/* A batch under construction. */
static uint8_t batch[4096];
static struct cv_writer w;

static void start(void)
{
    static const uint8_t branch[32];
    cv_writer_init(&w, batch, sizeof(batch));
    cv_write_u8(&w, 3);
    cv_write_raw(&w, branch, sizeof(branch));
}

static void put_pkh(const struct cv_pkh *pkh)
{
    cv_write_u8(&w, (uint8_t)pkh->scheme);
    cv_write_raw(&w, pkh->p, 20);
}

static void put_n(uint64_t v)
{
    for (; v > 0x7f; v >>= 7)
        cv_write_u8(&w, (uint8_t)(v | 0x80));
    cv_write_u8(&w, (uint8_t)v);
}

static void put_manager(uint8_t tag, const struct cv_pkh *source, uint64_t fee)
{
    cv_write_u8(&w, tag);
    put_pkh(source);
    put_n(fee);
    for (int i = 0; i < 3; i++)
        put_n(1);
}

static void put_transaction(const struct cv_pkh *source, uint64_t fee, uint64_t amount,
                            const struct cv_pkh *to)
{
    put_manager(108, source, fee);
    put_n(amount);
    cv_write_u8(&w, 0);
    put_pkh(to);
    cv_write_u8(&w, 0);
}

static void put_delegation(const struct cv_pkh *source, uint64_t fee)
{
    put_manager(110, source, fee);
    cv_write_u8(&w, 0);
}

static void put_origination(const struct cv_pkh *source, uint64_t balance)
{
    put_manager(109, source, 1);
    put_n(balance);
    cv_write_u8(&w, 0);
    for (int i = 0; i < 2; i++) {
        cv_write_be32(&w, 2);
        cv_write_be16(&w, 0x030b);
    }
}

static void put_ballot(uint8_t vote)
{
    static const uint8_t zeros[36];
    cv_write_u8(&w, 6);
    put_pkh(&other);
    cv_write_raw(&w, zeros, sizeof(zeros));
    cv_write_u8(&w, vote);
}

static void put_drain(void)
{
    cv_write_u8(&w, 9);
    put_pkh(&me);
    put_pkh(&me);
    put_pkh(&other);
}

/* The sentence of the refusal, or "" when allowed. */
static const char *check(const struct cv_key_rules *rules, const struct cv_pkh *client,
                         struct cv_refusal *why)
{
    struct cv_request request;
    memset(why, 0, sizeof(*why));
    assert_int_equal(cv_request_parse(&request, cv_writer_view(&w), NULL), 0);
    int rc = cv_policy_check_request(rules, &request, &me, client, why);
    assert_int_equal(rc, why->text[0] == '\0' ? 0 : CV_ERR_DENIED);
    return why->text;
}

static void put_attestation(void)
{
    uint8_t request[78] = {0x13, 0x7a, 0x06, 0xa7, 0x70, [37] = 41};
    cv_writer_init(&w, batch, sizeof(batch));
    cv_write_raw(&w, request, sizeof(request));
}

static void chains(void **state)
{
    (void)state;
    struct cv_key_rules rules;
    struct cv_refusal why;
    uint8_t two[2][4] = {{1, 2, 3, 4}, {0x7a, 0x06, 0xa7, 0x70}};
    all(&rules);
    put_attestation();
    assert_string_equal(check(&rules, NULL, &why), "");
    rules.chains_given = true;
    assert_string_equal(check(&rules, NULL, &why), "chain `NetXdQprcVkpaWU' is not allowed");
    assert_int_equal(why.reason, CV_REFUSED_CHAIN);
    assert_null(why.kind);
    rules.chains = (const uint8_t(*)[4])chain_a;
    rules.chain_count = 1;
    assert_string_equal(check(&rules, NULL, &why), "");
    rules.chains = (const uint8_t(*)[4])two;
    assert_string_equal(check(&rules, NULL, &why), "chain `NetXdQprcVkpaWU' is not allowed");
    rules.chain_count = 2;
    assert_string_equal(check(&rules, NULL, &why), "");
    /* a batch has no chain */
    rules.chain_count = 0;
    start();
    put_delegation(&me, 1);
    assert_string_equal(check(&rules, NULL, &why), "");
}

static void clients(void **state)
{
    (void)state;
    struct cv_key_rules rules;
    struct cv_refusal why;
    struct cv_pkh listed[2] = {other, me};
    all(&rules);
    put_attestation();
    assert_string_equal(check(&rules, &other, &why), "");
    rules.clients_given = true;
    assert_string_equal(check(&rules, NULL, &why), "authentication required");
    assert_int_equal(why.reason, CV_REFUSED_NO_CLIENT);
    char want[128];
    snprintf(want, sizeof(want), "client `%s' is not allowed", ME_TEXT);
    assert_string_equal(check(&rules, &me, &why), want);
    assert_int_equal(why.reason, CV_REFUSED_CLIENT);
    rules.clients = listed;
    rules.client_count = 1;
    assert_string_equal(check(&rules, &me, &why), want);
    rules.client_count = 2;
    assert_string_equal(check(&rules, &me, &why), "");
}

static void kinds(void **state)
{
    (void)state;
    struct cv_key_rules rules;
    struct cv_refusal why;
    all(&rules);
    rules.requests &= ~CV_REQUEST_BIT(CV_REQUEST_ATTESTATION);
    put_attestation();
    assert_string_equal(check(&rules, NULL, &why), "request kind `attestation' is not allowed");
    assert_string_equal(why.kind, "attestation");
    assert_int_equal(why.reason, CV_REFUSED_REQUEST);
    /* the first operation that is not allowed is named */
    all(&rules);
    rules.operations = CV_OP_BIT(CV_OP_TRANSACTION);
    start();
    put_transaction(&me, 1, 1, &other);
    assert_string_equal(check(&rules, NULL, &why), "");
    put_delegation(&me, 1);
    put_origination(&me, 1);
    assert_string_equal(check(&rules, NULL, &why), "operation `delegation' is not allowed");
    assert_string_equal(why.kind, "delegation");
    assert_int_equal(why.reason, CV_REFUSED_OPERATION);
}

static void ballots(void **state)
{
    (void)state;
    static const char *const names[] = {"ballot:yay", "ballot:nay", "ballot:pass"};
    static const enum cv_vote votes[] = {CV_VOTE_YAY, CV_VOTE_NAY, CV_VOTE_PASS};
    for (uint8_t vote = 0; vote < 3; vote++) {
        struct cv_key_rules rules;
        struct cv_refusal why;
        char want[64];
        all(&rules);
        start();
        put_ballot(vote);
        snprintf(want, sizeof(want), "operation `%s' is not allowed", names[vote]);
        rules.operations = ~(CV_OP_BIT(CV_OP_BALLOT) | CV_VOTE_BIT(votes[vote]));
        assert_string_equal(check(&rules, NULL, &why), want);
        assert_string_equal(why.kind, names[vote]);
        rules.operations = CV_OP_BIT(CV_OP_BALLOT);
        assert_string_equal(check(&rules, NULL, &why), "");
        rules.operations = CV_VOTE_BIT(votes[vote]);
        assert_string_equal(check(&rules, NULL, &why), "");
    }
}

static void sources(void **state)
{
    (void)state;
    struct cv_key_rules rules;
    struct cv_refusal why;
    all(&rules);
    start();
    put_delegation(&me, 1);
    put_ballot(0); /* of another account, but no manager operation */
    assert_string_equal(check(&rules, NULL, &why), "");
    put_delegation(&other, 1);
    assert_non_null(strstr(check(&rules, NULL, &why), "operation `delegation' is of `tz4"));
    assert_int_equal(why.reason, CV_REFUSED_SOURCE);
    rules.allow_other_source = true;
    assert_string_equal(check(&rules, NULL, &why), "");
    /* Signatory's refusals come first, even for a later operation */
    rules.allow_other_source = false;
    rules.operations = ~CV_OP_BIT(CV_OP_TRANSACTION);
    put_transaction(&me, 1, 1, &me);
    assert_string_equal(check(&rules, NULL, &why), "operation `transaction' is not allowed");
}

static void limits(void **state)
{
    (void)state;
    struct cv_key_rules rules;
    struct cv_refusal why;
    all(&rules);
    rules.has_max_fee = true;
    rules.max_fee = 1000;
    start();
    put_ballot(1); /* pays no fee */
    put_delegation(&me, 1000);
    assert_string_equal(check(&rules, NULL, &why), "");
    put_delegation(&me, 1001);
    assert_string_equal(check(&rules, NULL, &why),
                        "operation `delegation' pays a fee of 1001 mutez, more than "
                        "limits.max_fee");
    assert_int_equal(why.reason, CV_REFUSED_FEE);

    rules.has_max_amount = true;
    rules.max_amount = 5;
    start();
    put_delegation(&me, 1); /* moves nothing */
    put_transaction(&me, 1, 5, &other);
    put_origination(&me, 5);
    assert_string_equal(check(&rules, NULL, &why), "");
    put_origination(&me, 6);
    assert_string_equal(check(&rules, NULL, &why),
                        "operation `origination' moves 6 mutez, more than limits.max_amount");
    assert_int_equal(why.reason, CV_REFUSED_AMOUNT);
    start();
    put_transaction(&me, 1, UINT64_MAX, &other);
    assert_non_null(strstr(check(&rules, NULL, &why), "moves 18446744073709551615 mutez"));
    start();
    put_drain();
    assert_string_equal(check(&rules, NULL, &why),
                        "operation `drain_delegate' moves a whole balance, more than "
                        "limits.max_amount");
}

static void destinations(void **state)
{
    (void)state;
    struct cv_key_rules rules;
    struct cv_refusal why;
    struct cv_address listed[2] = {{.kind = CV_ADDRESS_ORIGINATED},
                                   {.kind = CV_ADDRESS_IMPLICIT, .pkh = other}};
    all(&rules);
    rules.destinations_given = true;
    start();
    put_delegation(&me, 1); /* goes nowhere */
    put_origination(&me, 0);
    assert_string_equal(check(&rules, NULL, &why), "");
    put_transaction(&me, 1, 1, &other);
    assert_non_null(strstr(check(&rules, NULL, &why), "operation `transaction' goes to `tz4"));
    assert_int_equal(why.reason, CV_REFUSED_DESTINATION);
    rules.destinations = listed;
    rules.destination_count = 2;
    assert_string_equal(check(&rules, NULL, &why), "");
    put_drain();
    assert_string_equal(check(&rules, NULL, &why), "");
    put_origination(&me, 1);
    assert_non_null(strstr(check(&rules, NULL, &why), "to a new contract"));
    start();
    put_transaction(&me, 1, 1, &me);
    char want[160];
    snprintf(want, sizeof(want),
             "operation `transaction' goes to `%s', which is not in limits.destinations", ME_TEXT);
    assert_string_equal(check(&rules, NULL, &why), want);
    /* a stake stays with its account */
    start();
    put_manager(108, &me, 1);
    put_n(7);
    cv_write_u8(&w, 0);
    put_pkh(&me);
    cv_write_u8(&w, 0xff);
    cv_write_u8(&w, 6);
    cv_write_be32(&w, 2);
    cv_write_be16(&w, 0x030b);
    assert_string_equal(check(&rules, NULL, &why), "");
    rules.operations = ~CV_OP_BIT(CV_OP_STAKE);
    assert_string_equal(check(&rules, NULL, &why), "operation `stake' is not allowed");
}

/* chain, client, request kind, operation kind */
static void order(void **state)
{
    (void)state;
    struct cv_key_rules rules = {.chains_given = true, .clients_given = true};
    struct cv_refusal why;
    put_attestation();
    check(&rules, NULL, &why);
    assert_int_equal(why.reason, CV_REFUSED_CHAIN);
    rules.chains_given = false;
    check(&rules, NULL, &why);
    assert_int_equal(why.reason, CV_REFUSED_NO_CLIENT);
    rules.clients_given = false;
    check(&rules, NULL, &why);
    assert_int_equal(why.reason, CV_REFUSED_REQUEST);
    start();
    put_delegation(&other, 1);
    rules.requests = CV_REQUEST_BIT(CV_REQUEST_GENERIC);
    check(&rules, NULL, &why);
    assert_int_equal(why.reason, CV_REFUSED_OPERATION);
}

static int setup(void **state)
{
    (void)state;
    return cv_crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains),       cmocka_unit_test(clients), cmocka_unit_test(kinds),
        cmocka_unit_test(ballots),      cmocka_unit_test(sources), cmocka_unit_test(limits),
        cmocka_unit_test(destinations), cmocka_unit_test(order),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
