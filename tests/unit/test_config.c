/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: what loads, and what is told about what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "signer/config.h"

#define PKH "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"
#define NITRO "vaults: {n: {driver: nitro, config: {encryption_key_id: k, enclave_cid: 20}}}\n"

static struct cv_config_report report;

static struct cv_config *load(const char *text, const char *base_dir, bool lenient)
{
    struct cv_config_options options = {.base_dir = base_dir, .lenient = lenient};
    struct cv_config *c = NULL;
    int rc = cv_config_parse(&c, cv_bytes_str(text), "test.yaml", &options, &report);
    assert_int_equal(rc == 0, c != NULL);
    assert_int_equal(rc != 0, report.errors.count > 0);
    return c;
}

static struct cv_config *good(const char *text)
{
    struct cv_config *c = load(text, NULL, false);
    if (c == NULL) {
        cv_yaml_problems_print(&report.errors, stderr);
        fail_msg("refused: %s", text);
    }
    return c;
}

static bool told(const struct cv_yaml_problems *p, const char *part)
{
    for (size_t i = 0; i < p->count && i < CV_YAML_MAX_PROBLEMS; i++) {
        if (strstr(p->list[i].text, part) != NULL) {
            return true;
        }
    }
    return false;
}

/* TEXT is refused with a message that holds PART, at LINE (0 = any). */
static void bad(const char *text, unsigned line, const char *part)
{
    struct cv_config *c = load(text, NULL, false);
    assert_null(c);
    for (size_t i = 0; i < report.errors.count; i++) {
        if (strstr(report.errors.list[i].text, part) != NULL &&
            (line == 0 || report.errors.list[i].line == line)) {
            return;
        }
    }
    cv_yaml_problems_print(&report.errors, stderr);
    fail_msg("no error \"%s\" in line %u", part, line);
}

static void clear_environment(void)
{
    static const char *const names[] = {
        "ENCLAVE_CID",          "ENCLAVE_PORT", "ENCRYPTION_KEY_ID",  "PROXY_LOCAL_PORT",
        "PROXY_REMOTE_ADDRESS", "AWS_REGION",   "AWS_DEFAULT_REGION", "CV_TEST"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)unsetenv(names[i]);
    }
}

static void test_documented_file(void **state)
{
    (void)state;
    clear_environment();
    (void)setenv("HOME", "/home/baker", 1);
    struct cv_config *c = good("base_dir: ${HOME}/.signatory\n"
                               "server:\n"
                               "  address: :6732\n"
                               "  utility_address: :9583\n"
                               "vaults:\n"
                               "  nitro:\n"
                               "    driver: nitro\n"
                               "    config:\n"
                               "      proxy_remote_address: kms.us-west-2.amazonaws.com:443\n"
                               "      encryption_key_id: 771dfdac-e8e9-4f40-9747-f56d0911fce4\n");
    assert_string_equal(c->base_dir, "/home/baker/.signatory");
    assert_int_equal(c->address.port, 6732);
    assert_string_equal(c->address.host, "");
    assert_int_equal(c->utility_address.port, 9583);
    assert_int_equal(c->vault_count, 1);
    const struct cv_config_vault *v = cv_config_vault_find(c, "nitro");
    assert_non_null(v);
    assert_int_equal(v->enclave.kind, CV_ADDR_VSOCK);
    assert_int_equal(v->enclave.cid, 16);
    assert_int_equal(v->enclave.port, 2000);
    assert_true(v->cid_defaulted);
    assert_string_equal(v->proxy_remote_host, "kms.us-west-2.amazonaws.com");
    assert_int_equal(v->proxy_remote_port, 443);
    assert_int_equal(v->proxy_local.kind, CV_ADDR_VSOCK);
    assert_int_equal(v->proxy_local.port, 8000);
    assert_string_equal(v->region, "us-west-2");
    assert_string_equal(v->storage_path, "/home/baker/.signatory/enclave_keys.json");
    assert_int_equal(v->sealed_version, 2);
    assert_int_equal(c->key_count, 0);
    assert_int_equal(report.warnings.count, 0);
    cv_config_free(&c);
}

static void test_defaults(void **state)
{
    (void)state;
    clear_environment();
    struct cv_config *c = good("");
    assert_string_equal(c->base_dir, "/var/lib/signatory");
    assert_int_equal(c->address.port, 6732);
    assert_int_equal(c->utility_address.port, 9583);
    assert_int_equal(c->watermark, CV_CONFIG_WATERMARK_FILE);
    assert_int_equal(c->vault_count, 0);
    cv_config_free(&c);
    c = good("watermark:\nserver:\nvaults:\ntezos:\npolicy_hook:\n");
    assert_int_equal(c->watermark, CV_CONFIG_WATERMARK_FILE);
    cv_config_free(&c);
    c = load("base_dir: /elsewhere\n", "/here", false);
    assert_non_null(c);
    assert_string_equal(c->base_dir, "/here");
    cv_config_free(&c);
}

static void test_environment(void **state)
{
    (void)state;
    clear_environment();
    (void)setenv("ENCLAVE_CID", "21", 1);
    (void)setenv("ENCLAVE_PORT", "2001", 1);
    (void)setenv("ENCRYPTION_KEY_ID", "alias/x", 1);
    (void)setenv("PROXY_LOCAL_PORT", "8001", 1);
    (void)setenv("PROXY_REMOTE_ADDRESS", "kms.eu-west-1.amazonaws.com:443", 1);
    struct cv_config *c = good("vaults: {n: {driver: nitro}}\n");
    const struct cv_config_vault *v = &c->vaults[0];
    assert_int_equal(v->enclave.cid, 21);
    assert_int_equal(v->enclave.port, 2001);
    assert_false(v->cid_defaulted);
    assert_string_equal(v->encryption_key_id, "alias/x");
    assert_int_equal(v->proxy_local.port, 8001);
    assert_string_equal(v->region, "eu-west-1");
    cv_config_free(&c);
    /* What is written beats the environment, what is empty does not. */
    c = good("vaults: {n: {driver: nitro, config: {enclave_cid: 30, encryption_key_id: ''}}}\n");
    assert_int_equal(c->vaults[0].enclave.cid, 30);
    assert_string_equal(c->vaults[0].encryption_key_id, "alias/x");
    cv_config_free(&c);
    c = good("vaults: {n: {driver: nitro, config: {enclave_cid: '${ENCLAVE_CID}', "
             "enclave_port: $ENCLAVE_PORT}}}\n");
    assert_int_equal(c->vaults[0].enclave.cid, 21);
    assert_int_equal(c->vaults[0].enclave.port, 2001);
    cv_config_free(&c);
    (void)setenv("ENCLAVE_CID", "many", 1);
    bad("vaults: {n: {driver: nitro}}\n", 1, "ENCLAVE_CID: many is no whole number");
    clear_environment();
    bad("vaults: {n: {driver: nitro, config: {enclave_cid: 4294967296, encryption_key_id: k}}}\n",
        1, "enclave_cid");
    bad("vaults:\n  n:\n    driver: nitro\n    config:\n      enclave_cid: 3\n", 5,
        "missing encryption key id");
    c = good("base_dir: /a$CV_TEST/b\n" NITRO);
    assert_string_equal(c->base_dir, "/a/b");
    assert_true(told(&report.warnings, "CV_TEST is not set"));
    cv_config_free(&c);
}

/* Whom the built-in proxies are for. */
static void test_cids(void **state)
{
    static const struct {
        const char *b; /* of the second vault */
        size_t count;
    } cases[] = {
        {"enclave_cid: 21", 2},
        {"enclave_cid: auto", 0},
        {"enclave_address: 'vsock:21:2000'", 2},
        {"enclave_address: 'unix:/run/e.sock'", 0},
    };
    uint32_t cids[2];
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[300];
        (void)snprintf(text, sizeof(text),
                       "vaults: {a: {driver: nitro, config: {encryption_key_id: k, "
                       "enclave_cid: 20}}, b: {driver: nitro, config: {encryption_key_id: k, "
                       "%s}}}\n",
                       cases[i].b);
        struct cv_config *c = good(text);
        assert_int_equal(cv_config_cids(c, cids, 2), cases[i].count);
        if (cases[i].count == 2) {
            assert_int_equal(cids[0], 20);
            assert_int_equal(cids[1], 21);
            assert_int_equal(cv_config_cids(c, cids, 1), 0); /* rather all than some */
        }
        cv_config_free(&c);
    }
}

static void test_nitro_fields(void **state)
{
    (void)state;
    clear_environment();
    struct cv_config *c =
        good("vaults:\n"
             "  n:\n"
             "    driver: nitro\n"
             "    config:\n"
             "      enclave_address: unix:/run/enclave.sock\n"
             "      proxy_local_address: unix:/run/proxy.sock\n"
             "      encryption_key_id: arn:aws:kms:ap-south-1:123456789012:key/k\n"
             "      sealed_version: 1\n"
             "      storage: {driver: file, config: $HOME/keys.json}\n"
             "      credentials: {access_key_id: AK, secret_access_key: S$x, session_token: T}\n");
    const struct cv_config_vault *v = &c->vaults[0];
    assert_int_equal(v->enclave.kind, CV_ADDR_UNIX);
    assert_string_equal(v->enclave.path, "/run/enclave.sock");
    assert_string_equal(v->proxy_local.path, "/run/proxy.sock");
    assert_string_equal(v->region, "ap-south-1");
    assert_int_equal(v->sealed_version, 1);
    assert_string_equal(v->storage_path, "/home/baker/keys.json");
    assert_string_equal(v->credentials.access_key_id, "AK");
    assert_int_equal(v->credentials.secret_access_key.n, 3); /* its dollar is its own */
    cv_config_free(&c);
    c = good(
        "vaults: {n: {driver: nitro, config: {encryption_key_id: k, storage: {driver: dynamodb, "
        "config: {region: r, table: t}}}}}\n");
    assert_int_equal(c->vaults[0].storage, CV_CONFIG_STORAGE_AWS);
    assert_string_equal(c->vaults[0].storage_table, "t");
    cv_config_free(&c);
    bad("vaults: {n: {driver: nitro, config: {encryption_key_id: k, enclave_adress: x}}}\n", 1,
        "enclave_address");
    bad("vaults: {n: {driver: nitro, config: {encryption_key_id: k, enclave_address: nonsense}}}\n",
        1, "nonsense");
    bad("vaults: {n: {driver: nitro, config: {encryption_key_id: k, sealed_version: 3}}}\n", 1,
        "1 to 2");
    bad("vaults: {n: {driver: nitro, config: {encryption_key_id: k, proxy_remote_address: host}}}\n",
        1, "proxy_remote_address");
    bad("vaults: {n: {driver: nitro, config: {encryption_key_id: k, storage: {driver: fil}}}}\n", 1,
        "did you mean file");
    bad("vaults: {n: {driver: nitro, config: {encryption_key_id: k, credentials: {access_key_id: a}}}}\n",
        1, "without secret_access_key");
    bad("vaults: {n: {driver: nitr, config: {}}}\n", 1, "did you mean nitro");
    bad("vaults: {n: {driver: awskms, config: {}}}\n", 1, "awskms is not supported");
    bad("vaults: {n: {config: {}}}\n", 1, "wants a driver");
    bad("vaults:\n  kms: null\n", 2, "a vault wants a driver");
}

static void test_server(void **state)
{
    (void)state;
    clear_environment();
    struct cv_config *c = good("server: {address: '[::1]:6732', utility_address: '127.0.0.1:0'}\n");
    assert_string_equal(c->address.host, "::1");
    assert_string_equal(c->utility_address.host, "127.0.0.1");
    cv_config_free(&c);
    c = good(
        "server:\n  authorized_keys: edpkvGfYw3LyB1UcCahKQk4rF2tvbMUk8GFiTuMjL75uGXrpvKXhjn\n");
    assert_int_equal(c->authorized_keys.count, 1);
    cv_config_free(&c);
    c = good(
        "server:\n  authorized_keys:\n  - edpkvGfYw3LyB1UcCahKQk4rF2tvbMUk8GFiTuMjL75uGXrpvKXhjn\n"
        "  - [edpkurPsQ8eUApnLUJ9ZPDvu98E8VNj4KtJa1aZr16Cr5ow5VHKnz4]\n");
    assert_int_equal(c->authorized_keys.count, 2);
    cv_config_free(&c);
    bad("server: {address: xxxx}\n", 1, "xxxx is no address");
    bad("server: {address: ':99999'}\n", 1, "no address");
    bad("server:\n  adress: :6732\n", 2, "address");
    bad("server: {authorized_keys: [edpkX]}\n", 1, "edpkX is not a public key");
    bad("server: []\n", 1, "");
#define USER "{password: 'Aa1!aaaaaaaaaaaa', secret: 'Aa1!aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'"
    c = good("server: {jwt: {users: {bob: " USER ", jwt_exp: 5}}}}\ntezos: {" PKH
             ": {jwt_users: [bob]}}");
    assert_int_equal(c->jwt_user_count, 1);
    assert_int_equal(c->jwt_users[0].now.expiry_minutes, 5);
    assert_int_equal(report.warnings.count, 0);
    cv_config_free(&c);
    c = good(
        "server: {jwt: {users: {bob: " USER ", old_cred_exp: '2026-01-02 03:04:05', new_data: "
        "{password: 'Bb1!aaaaaaaaaaaa', secret: 'Bb1!aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'}}}}}\n");
    assert_true(c->jwt_users[0].rotating);
    assert_int_equal(c->jwt_users[0].old_expiry_ms, 1767323045000);
    cv_config_free(&c);
    bad("server: {jwt: {users: {bob: {password: short, secret: short}}}}\n", 1, "password wants");
    bad("server: {jwt: {users: {bob: {password: short, secret: short}}}}\n", 1, "secret wants");
    bad("server: {jwt: {users: {bob: " USER ", new_data: " USER "}}}}}\n", 1, "is the old one");
    bad("server: {jwt: {users: {bob: " USER ", old_cred_exp: tomorrow}}}}\n", 1, "2026-01-31");
    bad("server: {authorized_keys: edpkurPsQ8eUApnLUJ9ZPDvu98E8VNj4KtJa1aZr16Cr5ow5VHKnz4, jwt: "
        "{users: {bob: " USER "}}}}\n",
        1, "cannot use both JWT and static authorized keys");
}

static bool allows(const struct cv_config_key *k, enum cv_request_kind r)
{
    return (k->requests >> r & 1) != 0;
}

static bool allows_operation(const struct cv_config_key *k, const char *name)
{
    for (size_t i = 0; cv_operation_names[i] != NULL; i++) {
        if (strcmp(cv_operation_names[i], name) == 0) {
            return (k->operations >> i & 1) != 0;
        }
    }
    fail();
    return false;
}

static void test_tezos(void **state)
{
    (void)state;
    clear_environment();
    struct cv_config *c = good("tezos:\n  " PKH ":\n");
    assert_true(c->keys[0].default_policy);
    assert_true(allows(&c->keys[0], CV_REQUEST_BLOCK));
    assert_true(allows(&c->keys[0], CV_REQUEST_PREATTESTATION));
    assert_true(allows(&c->keys[0], CV_REQUEST_ATTESTATION));
    assert_false(allows(&c->keys[0], CV_REQUEST_ATTESTATION_WITH_DAL));
    assert_false(allows(&c->keys[0], CV_REQUEST_GENERIC));
    assert_string_equal(c->keys[0].text, PKH);
    assert_int_equal(c->keys[0].line, 2);
    assert_ptr_equal(cv_config_key_find(c, &c->keys[0].pkh), &c->keys[0]);
    cv_config_free(&c);
    c = good("tezos: {" PKH ": {}}\n");
    assert_false(c->keys[0].default_policy);
    assert_int_equal(c->keys[0].requests, 0);
    cv_config_free(&c);
    c = good(
        "tezos:\n  " PKH ":\n    log_payloads: true\n    allow:\n      block:\n      endorsement:\n"
        "      generic: [transaction, 'ballot:yay']\n    allowed_chains: [NetXdQprcVkpaWU]\n"
        "    limits: {max_fee: 1000, destinations: [" PKH "]}\n    allow_other_source: true\n");
    struct cv_config_key *k = &c->keys[0];
    assert_true(k->log_payloads && k->allow_other_source);
    assert_true(allows(k, CV_REQUEST_BLOCK) && allows(k, CV_REQUEST_ATTESTATION));
    assert_true(allows(k, CV_REQUEST_GENERIC) && !allows(k, CV_REQUEST_PREATTESTATION));
    assert_true(allows_operation(k, "transaction"));
    assert_false(allows_operation(k, "ballot"));
    assert_true(k->operations >> (cv_operation_name_count() + 2) & 1);
    assert_true(told(&report.warnings, "`endorsement` is called `attestation` now"));
    assert_true(k->limits.has_max_fee && k->limits.max_fee == 1000 && !k->limits.has_max_amount);
    assert_int_equal(k->allowed_chains.count, 1);
    cv_config_free(&c);
    c = good("tezos: {" PKH
             ": {allowed_operations: [block, endorsement], allowed_kinds: [reveal]}}\n");
    assert_true(allows(&c->keys[0], CV_REQUEST_ATTESTATION));
    assert_false(allows(&c->keys[0], CV_REQUEST_PREATTESTATION));
    assert_true(allows_operation(&c->keys[0], "reveal"));
    assert_true(told(&report.warnings, "`allowed_operations` is deprecated: write "
                                       "allow: {attestation: , block: } instead"));
    cv_config_free(&c);
    /* As the original's own example has it, whose last line has had no effect for long. */
    c = good("tezos: {" PKH ": {allowed_operations: [generic, block, endorsement], "
             "allowed_kinds: [transaction, reveal, endorsement]}}\n");
    assert_true(allows_operation(&c->keys[0], "transaction"));
    assert_true(
        told(&report.warnings, "allow: {attestation: , block: , generic: [reveal, transaction]}"));
    assert_true(told(&report.warnings, "`endorsement` is no operation of a batch any more"));
    cv_config_free(&c);
    bad("tezos: {" PKH ": {allowed_kinds: [endorsement:foo]}}\n", 1, "attestation:foo");
    bad("tezos: {" PKH ": {allowed_kinds: [nothing]}}\n", 1, "nothing");
    c = good("tezos: {" PKH ": {allow_proof_of_possession: true, jwt_users: [nobody]}}\n");
    assert_true(told(&report.warnings, "only tz4"));
    assert_true(told(&report.warnings, "nobody is not among"));
    cv_config_free(&c);
    bad("tezos: {" PKH ": {allowed_chains: [NetX]}}\n", 1, "NetX is no chain");
    bad("tezos: {" PKH ": {allow: [block]}}\n", 1, "");
    bad("tezos: {" PKH ": {alow: {block: }}}\n", 1, "allow");
    bad("tezos: {" PKH ": , " PKH ": }\n", 1, "");
    bad("tezos: {" PKH ": {limits: {destinations: [x]}}}\n", 1, "x is no address");
}

/* 0 is what the original takes for nothing; 0x… is a number in YAML too. */
static void test_numbers_of_the_vault(void **state)
{
    (void)state;
    struct cv_config *c = good("vaults: {n: {driver: nitro, config: {encryption_key_id: k, "
                               "enclave_cid: 0x14, enclave_port: 0, proxy_local_port: 8001}}}\n");
    assert_int_equal(c->vaults[0].enclave.cid, 20);
    assert_int_equal(c->vaults[0].enclave.port, CV_CONFIG_DEFAULT_ENCLAVE_PORT);
    assert_int_equal(c->vaults[0].proxy_local.port, 8001);
    cv_config_free(&c);
    static const char *const wrong[] = {"-1", "1.5", "4294967296", "0x", "0xg", "1_6", "x"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[160];
        (void)snprintf(text, sizeof(text),
                       "vaults: {n: {driver: nitro, config: {encryption_key_id: k, "
                       "enclave_cid: %s}}}\n",
                       wrong[i]);
        bad(text, 1, "is no whole number of 32 bits");
    }
}

/* The rejections that the signer whose file this is makes, too. */
static void test_known_rejections(void **state)
{
    (void)state;
    clear_environment();
    bad("tezos: {111111111111111111111111111111111111: }\n", 1, "checksum is wrong");
    bad("tezos: {edpkv45regue1bWtuHnCgLU8xWKLwa9qRqv4gimgJKro4LSc3C5VjV: }\n", 1,
        "no public key hash");
    bad("base_dir: ''\n", 1, "base_dir must not be empty");
    bad("base_dir:\n", 1, "base_dir must not be empty");
    bad("tezos: {" PKH ": {allow: {foo: }}}\n", 1, "invalid request kind `foo` in `allow` list");
    bad("tezos: {" PKH ": {allow: {generic: [invalid_op]}}}\n", 1,
        "invalid operation kind `invalid_op` in `allow.generic` list");
    bad("tezos: {" PKH ": {allow: {generic: ['ballot:invalid']}}}\n", 1,
        "invalid operation kind `ballot:invalid` in `allow.generic` list");
    bad("tezos: {" PKH ": {allow: {generic: ['endorsement:foo']}}}\n", 1,
        "invalid operation kind `attestation:foo` in `allow.generic` list");
    bad("tezos: {" PKH ": {allow: {generic: [attestation]}}}\n", 1,
        "invalid operation kind `attestation` in `allow.generic` list");
}

static void test_everything_at_once(void **state)
{
    (void)state;
    clear_environment();
    struct cv_config *c =
        load("base_dir: ''\nservr: 1\nserver: {address: x}\nvaults: {a: , b: {driver: c}}\n"
             "watermark: {driver: fil}\ntezos: {x: }\n",
             NULL, false);
    assert_null(c);
    assert_true(report.errors.count >= 7);
    assert_true(told(&report.errors, "servr"));
    assert_true(told(&report.errors, "unknown watermark backend: fil"));
}

static void test_lenient(void **state)
{
    (void)state;
    clear_environment();
    struct cv_config *c = load("unknown: 1\nserver: {foo: 1}\n", NULL, true);
    assert_non_null(c);
    assert_int_equal(report.warnings.count, 2);
    cv_config_free(&c);
    c = load("unknown: 1\nserver: {address: x}\n", NULL, true);
    assert_null(c);
    /* As Signatory's guide has it for a baker with a companion key. */
    c = load("vaults:\n  aws-kms: {driver: awskms, config: {region: us-west-2}}\n"
             "  nitro: {driver: nitro, config: {encryption_key_id: k, enclave_cid: 20}}\n"
             "tezos: {" PKH ": {vault: nitro, allow: {block: []}}}\n",
             NULL, true);
    assert_non_null(c);
    assert_int_equal(c->vault_count, 1);
    assert_string_equal(c->vaults[0].name, "nitro");
    assert_true(told(&report.warnings, "awskms is not supported"));
    assert_true(told(&report.warnings, "this vault is left out"));
    assert_true(told(&report.warnings, "`vault` means nothing under a key"));
    cv_config_free(&c);
    assert_null(load("vaults: {v: {driver: nitr}}\n", NULL, true));
}

static void test_rest(void **state)
{
    (void)state;
    clear_environment();
    struct cv_config *c = good("watermark: {driver: aws, config: {region: r}}\n");
    assert_int_equal(c->watermark, CV_CONFIG_WATERMARK_AWS);
    assert_string_equal(c->watermark_table, "watermark");
    cv_config_free(&c);
    c = good("watermark: {driver: mem}\npolicy_hook: {address: 'https://h/x', authorized_keys: "
             "edpkurPsQ8eUApnLUJ9ZPDvu98E8VNj4KtJa1aZr16Cr5ow5VHKnz4}\n");
    assert_string_equal(c->policy_hook, "https://h/x");
    assert_int_equal(c->policy_hook_keys.count, 1);
    cv_config_free(&c);
    bad("watermark: {driver: gcp}\n", 1, "unknown watermark backend: gcp");
    bad("policy_hook: {authorized_keys: []}\n", 1, "policy_hook wants an address");
    bad("a: [\n", 0, "");
    bad("[]\n", 1, "");
    bad("a: 1\n---\nb: 2\n", 0, "");
    struct cv_config_options options = {0};
    assert_int_equal(cv_config_load(&c, "/nonexistent/signatory.yaml", &options, &report),
                     CV_ERR_CONFIG);
    assert_true(report.errors.count == 1);
}

/* No truncation of a good file crashes, and each gives a result or a message. */
static void test_truncations(void **state)
{
    (void)state;
    static const char text[] = "base_dir: ${HOME}\nserver: {address: ':1', jwt: {users: {u: " USER
                               "}}}}\n" NITRO "tezos: {" PKH ": {allow: {generic: [reveal]}}}\n";
    char part[sizeof(text)];
    for (size_t n = 0; n < sizeof(text); n++) {
        memcpy(part, text, n);
        part[n] = 0;
        struct cv_config *c = load(part, NULL, false);
        cv_config_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documented_file),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_cids),
        cmocka_unit_test(test_nitro_fields),
        cmocka_unit_test(test_server),
        cmocka_unit_test(test_tezos),
        cmocka_unit_test(test_numbers_of_the_vault),
        cmocka_unit_test(test_known_rejections),
        cmocka_unit_test(test_everything_at_once),
        cmocka_unit_test(test_lenient),
        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_truncations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
