/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The KMS stand-in behind its authentication: operations, key policies with
 * attestation and context, KMS's errors, the reply's CMS. Documents come from
 * the NSM stand-in, and are opened with the code of the enclave.
 */
#include <stdlib.h>
#include <unistd.h>

#include "cv_test.h"

#include "cbor/cbor.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/hex.h"
#include "common/log.h"
#include "crypto/init.h"
#include "crypto/rsa.h"
#include "json/json.h"
#include "local/kms.h"
#include "local/nsm_standin.h"

#define ROLE "arn:aws:iam::111122223333:role/enclave"

static char dir[] = "/tmp/test_local_kms.XXXXXX";
static char root_path[128];
static struct cv_local_pki *pki;
static struct cv_rsa *rsa;
static struct cv_local_kms *kms;
static const struct cv_local_principal *admin, *role;
static struct cv_local_key *key;
static int64_t skew; /* of the KMS's clock */
static char last_log[8192];

static int64_t test_clock(void *ctx)
{
    (void)ctx;
    return cv_unix_ms() + skew;
}

static void keep_log(void *ctx, const char *line, size_t n)
{
    (void)ctx;
    snprintf(last_log, sizeof last_log, "%.*s", (int)n, line);
}

/* What KMS answers: the JSON object, to be released, and the status. */
static json_t *call(const struct cv_local_principal *who, const char *action, const char *body,
                    int *status)
{
    struct cv_local_kms_reply reply;
    struct cv_error err;
    json_t *out = NULL;
    cv_local_kms_dispatch(kms, who, action, cv_bytes_str(body), &reply);
    *status = reply.status;
    if (reply.body.n)
        assert_code(cv_json_parse_object(&out, cv_buf_view(&reply.body), 1u << 20, "reply", &err),
                    0, &err);
    cv_local_kms_reply_free(&reply);
    return out;
}

/* The AWS error of a call that must fail. */
static const char *refusal(const struct cv_local_principal *who, const char *action,
                           const char *body)
{
    static char code[96];
    int status;
    json_t *out = call(who, action, body, &status);
    assert_true(status >= 400);
    const char *type = json_string_value(json_object_get(out, "__type"));
    assert_non_null(type);
    snprintf(code, sizeof code, "%s", type);
    json_decref(out);
    return code;
}

static json_t *good(const struct cv_local_principal *who, const char *action, const char *body)
{
    int status;
    json_t *out = call(who, action, body, &status);
    if (status != 200)
        fail_msg("%s: %s", action, json_string_value(json_object_get(out, "message")));
    return out;
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    assert_non_null(s);
    return s;
}

/* A document of an enclave with PCR0 = 48 times FILL, in base64; PUBLIC_KEY may be empty. */
static char *document(uint8_t fill, struct cv_bytes public_key, bool indefinite)
{
    struct cv_local_nsm_config config = {.pcr_mask = 1, .indefinite = indefinite};
    struct cv_local_nsm *nsm = NULL;
    struct cv_error err;
    uint8_t request[2048];
    struct cv_writer w;
    struct cv_buf reply;
    memset(config.pcr[0], fill, CV_LOCAL_PCR_BYTES);
    cv_error_clear(&err);
    assert_code(cv_local_nsm_new(&nsm, &config, pki, &err), 0, &err);
    cv_writer_init(&w, request, sizeof request);
    cv_cbor_write_map(&w, 1);
    cv_cbor_write_tstr(&w, "Attestation");
    cv_cbor_write_map(&w, 3);
    cv_cbor_write_tstr(&w, "user_data");
    cv_cbor_write_null(&w);
    cv_cbor_write_tstr(&w, "nonce");
    cv_cbor_write_null(&w);
    cv_cbor_write_tstr(&w, "public_key");
    if (public_key.n)
        cv_cbor_write_bstr(&w, public_key);
    else
        cv_cbor_write_null(&w);
    cv_buf_init(&reply, 0x3000);
    cv_local_nsm_handle(nsm, cv_writer_view(&w), &reply);
    /* {"Attestation": {"document": bstr}} */
    struct cv_reader r;
    struct cv_cbor_iter it;
    struct cv_bytes name, doc;
    cv_reader_init(&r, cv_buf_view(&reply));
    assert_int_equal(cv_cbor_enter_map(&r, &it), 0);
    assert_int_equal(cv_cbor_read_tstr(&r, &name), 0);
    assert_int_equal(cv_cbor_enter_map(&r, &it), 0);
    assert_int_equal(cv_cbor_read_tstr(&r, &name), 0);
    assert_int_equal(cv_cbor_read_bstr(&r, &doc), 0);
    char *out = malloc(CV_BASE64_LEN(doc.n) + 1);
    assert_non_null(out);
    cv_base64_encode(out, doc.p, doc.n);
    cv_buf_free(&reply);
    cv_local_nsm_free(nsm);
    return out;
}

static void set_policy(const char *statements)
{
    struct cv_error err;
    char policy[4096], *p = policy;
    snprintf(policy, sizeof policy,
             "{'Version':'2012-10-17','Statement':[{'Sid':'Root','Effect':"
             "'Allow','Principal':{'AWS':'111122223333'},'Action':'kms:*','Resource':'*'}%s%s]}",
             *statements ? "," : "", statements);
    for (; *p; p++)
        if (*p == '\'')
            *p = '"';
    cv_error_clear(&err);
    assert_code(cv_local_kms_key_set_policy(key, policy, &err), 0, &err);
}

#define TO_ROLE(sid, action, condition)                                                 \
    "{'Sid':'" sid "','Effect':'Allow','Principal':{'AWS':'" ROLE "'},'Action':" action \
    ",'Resource':'*'" condition "}"
#define PCR_AA \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ATTESTED \
    ",'Condition':{'StringEqualsIgnoreCase':{'kms:RecipientAttestation:ImageSha384':'" PCR_AA "'}}"

static int setup(void **state)
{
    struct cv_error err;
    struct cv_local_kms_config config = {.root_path = root_path, .clock = test_clock};
    (void)state;
    cv_error_clear(&err);
    cv_log_sink(keep_log, NULL);
    assert_int_equal(cv_crypto_init(), 0);
    assert_non_null(mkdtemp(dir));
    assert_code(cv_local_pki_open(&pki, dir, &err), 0, &err);
    snprintf(root_path, sizeof root_path, "%s/root.pem", dir);
    assert_int_equal(cv_rsa_generate(&rsa), 0);
    assert_code(cv_local_kms_new(&kms, &config, &err), 0, &err);
    struct cv_local_kms_state *s = cv_local_kms_state(kms);
    assert_code(cv_local_kms_admin_add(s, &err), 0, &err);
    assert_code(cv_local_kms_role_add(s, "enclave", "i-1", NULL, &err), 0, &err);
    admin = &s->principals[0];
    role = &s->principals[1];
    json_decref(good(admin, "CreateKey", "{}"));
    key = s->keys[0];
    return 0;
}

static int teardown(void **state)
{
    char path[160];
    (void)state;
    cv_local_kms_free(kms);
    cv_local_pki_close(pki);
    cv_rsa_free(rsa);
    static const char *const names[] = {"root.pem", "root.key", "kms.json"};
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        unlink(path);
    }
    /* The lock file's name is the NSM stand-in's own matter. */
    char command[160];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    return system(command);
}

static void test_encrypt_and_decrypt(void **state)
{
    char body[8192];
    (void)state;
    set_policy("");
    snprintf(body, sizeof body,
             "{\"KeyId\":\"%s\",\"Plaintext\":\"aGVsbG8=\",\"EncryptionContext\":"
             "{\"a\":\"1\",\"b\":\"2\"}}",
             key->id);
    json_t *sealed = good(admin, "Encrypt", body);
    assert_string_equal(text(sealed, "KeyId"), key->arn);
    assert_string_equal(text(sealed, "EncryptionAlgorithm"), "SYMMETRIC_DEFAULT");
    const char *blob = text(sealed, "CiphertextBlob");
    assert_null(strstr(blob, "aGVsbG8"));

    /* The order of the context does not matter; everything else does. */
    snprintf(body, sizeof body,
             "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"b\":\"2\",\"a\":"
             "\"1\"}}",
             blob);
    json_t *opened = good(admin, "Decrypt", body);
    assert_string_equal(text(opened, "Plaintext"), "aGVsbG8=");
    assert_string_equal(text(opened, "KeyId"), key->arn);
    json_decref(opened);
    static const char *const wrong[] = {"{}",
                                        "{\"a\":\"1\"}",
                                        "{\"a\":\"1\",\"b\":\"3\"}",
                                        "{\"a\":\"1\",\"B\":\"2\"}",
                                        "{\"a\":\"1\",\"b\":\"2\",\"c\":\"\"}",
                                        "{\"a\":\"1b\",\"\":\"2\"}"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        snprintf(body, sizeof body, "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":%s}", blob,
                 wrong[i]);
        assert_string_equal(refusal(admin, "Decrypt", body), "InvalidCiphertextException");
    }
    /* Another key named; every byte of the blob counts. */
    json_t *other = good(admin, "CreateKey", "{\"Description\":\"another\"}");
    snprintf(body, sizeof body, "{\"CiphertextBlob\":\"%s\",\"KeyId\":\"%s\"}", blob,
             text(json_object_get(other, "KeyMetadata"), "KeyId"));
    assert_string_equal(refusal(admin, "Decrypt", body), "IncorrectKeyException");
    json_decref(other);
    uint8_t raw[1024];
    size_t n;
    assert_int_equal(cv_base64_decode(raw, sizeof raw, &n, cv_bytes_str(blob)), 0);
    for (size_t i = 0; i < n; i++) {
        char changed[2048];
        raw[i] ^= 1;
        cv_base64_encode(changed, raw, n);
        raw[i] ^= 1;
        snprintf(body, sizeof body,
                 "{\"CiphertextBlob\":\"%s\",\"EncryptionContext\":{\"a\":\"1\","
                 "\"b\":\"2\"}}",
                 changed);
        assert_string_equal(refusal(admin, "Decrypt", body), "InvalidCiphertextException");
    }
    json_decref(sealed);
}

static void test_key_names(void **state)
{
    char body[1024];
    (void)state;
    set_policy("");
    snprintf(body, sizeof body, "{\"AliasName\":\"alias/test/one\",\"TargetKeyId\":\"%s\"}",
             key->id);
    assert_null(good(admin, "CreateAlias", body));
    assert_string_equal(refusal(admin, "CreateAlias", body), "AlreadyExistsException");
    const char *const names[] = {key->id, key->arn, "alias/test/one",
                                 "arn:aws:kms:us-west-2:111122223333:alias/test/one"};
    for (size_t i = 0; i < 4; i++) {
        snprintf(body, sizeof body, "{\"KeyId\":\"%s\"}", names[i]);
        json_t *o = good(admin, "DescribeKey", body);
        assert_string_equal(text(json_object_get(o, "KeyMetadata"), "Arn"), key->arn);
        json_decref(o);
    }
    static const char *const unknown[] = {"alias/none", "00000000-0000-4000-8000-000000000000", "",
                                          "arn:aws:kms:us-east-1:111122223333:key/x",
                                          "arn:aws:kms:us-west-2:111122223333:what/x"};
    for (size_t i = 0; i < 5; i++) {
        snprintf(body, sizeof body, "{\"KeyId\":\"%s\"}", unknown[i]);
        assert_string_equal(refusal(admin, "DescribeKey", body), "NotFoundException");
    }
    json_t *o = good(admin, "ListAliases", "{}");
    assert_int_equal(json_array_size(json_object_get(o, "Aliases")), 1);
    json_decref(o);
    assert_null(good(admin, "DeleteAlias", "{\"AliasName\":\"alias/test/one\"}"));
    assert_string_equal(refusal(admin, "DescribeKey", "{\"KeyId\":\"alias/test/one\"}"),
                        "NotFoundException");
}

static void test_bad_requests(void **state)
{
    (void)state;
    set_policy("");
    static const struct {
        const char *action, *body, *code;
    } cases[] = {
        {"Encrypt", "", "SerializationException"},
        {"Encrypt", "[]", "SerializationException"},
        {"Encrypt", "{", "SerializationException"},
        {"Encrypt", "{}", "ValidationException"},
        {"Encrypt", "{\"KeyId\":1}", "SerializationException"},
        {"Encrypt", "{\"KeyId\":\"%s\"}", "ValidationException"},
        {"Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"\"}", "ValidationException"},
        {"Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"a\"}", "SerializationException"},
        {"Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"YQ==\",\"EncryptionContext\":[]}",
         "SerializationException"},
        {"Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"YQ==\",\"EncryptionContext\":{\"a\":1}}",
         "SerializationException"},
        {"Encrypt",
         "{\"KeyId\":\"%s\",\"Plaintext\":\"YQ==\",\"EncryptionAlgorithm\":"
         "\"RSAES_OAEP_SHA_256\"}",
         "InvalidKeyUsageException"},
        {"Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"YQ==\",\"GrantTokens\":[\"x\"]}",
         "InvalidGrantTokenException"},
        {"Encrypt", "{\"KeyId\":\"%s\",\"Plaintext\":\"YQ==\",\"DryRun\":true}",
         "DryRunOperationException"},
        {"Decrypt", "{}", "ValidationException"},
        {"Decrypt", "{\"CiphertextBlob\":\"YQ==\"}", "InvalidCiphertextException"},
        {"GenerateDataKey", "{\"KeyId\":\"%s\"}", "ValidationException"},
        {"GenerateDataKey", "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_192\"}", "ValidationException"},
        {"GenerateDataKey", "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\",\"NumberOfBytes\":32}",
         "ValidationException"},
        {"GenerateDataKey", "{\"KeyId\":\"%s\",\"NumberOfBytes\":0}", "ValidationException"},
        {"GenerateDataKey", "{\"KeyId\":\"%s\",\"NumberOfBytes\":1025}", "ValidationException"},
        {"GenerateDataKey", "{\"KeyId\":\"%s\",\"NumberOfBytes\":\"32\"}",
         "SerializationException"},
        {"GenerateRandom", "{}", "ValidationException"},
        {"GenerateRandom", "{\"NumberOfBytes\":1025}", "ValidationException"},
        {"CreateKey", "{\"KeySpec\":\"RSA_2048\"}", "UnsupportedOperationException"},
        {"CreateKey", "{\"Policy\":\"{}\"}", "MalformedPolicyDocumentException"},
        {"PutKeyPolicy", "{\"KeyId\":\"%s\"}", "ValidationException"},
        {"PutKeyPolicy", "{\"KeyId\":\"%s\",\"Policy\":\"x\"}", "MalformedPolicyDocumentException"},
        {"GetKeyPolicy", "{\"KeyId\":\"%s\",\"PolicyName\":\"x\"}", "NotFoundException"},
        {"CreateGrant", "{}", "UnsupportedOperationException"},
        {"ReEncrypt", "{}", "UnsupportedOperationException"},
        {"NoSuchThing", "{}", "UnknownOperationException"},
        {"CreateAlias", "{\"AliasName\":\"alias/aws/x\"}", "ValidationException"},
        {"CreateAlias", "{\"AliasName\":\"alias/x\"}", "NotFoundException"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[1024], *hole;
        snprintf(body, sizeof body, "%s", cases[i].body);
        hole = strstr(body, "%s");
        if (hole)
            snprintf(hole, sizeof body - (size_t)(hole - body), "%s%s", key->id,
                     strstr(cases[i].body, "%s") + 2);
        const char *code = refusal(admin, cases[i].action, body);
        if (strcmp(code, cases[i].code))
            fail_msg("%s %s gave %s, not %s", cases[i].action, body, code, cases[i].code);
    }
}

static void test_sizes_of_plaintexts(void **state)
{
    static char body[16384], b64[8192];
    static uint8_t plain[4097];
    (void)state;
    set_policy("");
    memset(plain, 7, sizeof plain);
    cv_base64_encode(b64, plain, 4096);
    snprintf(body, sizeof body, "{\"KeyId\":\"%s\",\"Plaintext\":\"%s\"}", key->id, b64);
    json_t *o = good(admin, "Encrypt", body);
    assert_true(CV_BASE64_MAX(strlen(text(o, "CiphertextBlob"))) <= 6144);
    snprintf(body, sizeof body, "{\"CiphertextBlob\":\"%s\"}", text(o, "CiphertextBlob"));
    json_t *back = good(admin, "Decrypt", body);
    assert_string_equal(text(back, "Plaintext"), b64);
    json_decref(back);
    json_decref(o);
    cv_base64_encode(b64, plain, 4097);
    snprintf(body, sizeof body, "{\"KeyId\":\"%s\",\"Plaintext\":\"%s\"}", key->id, b64);
    assert_string_equal(refusal(admin, "Encrypt", body), "ValidationException");
}

static char *with_recipient(const char *members, const char *doc)
{
    static char body[32768];
    snprintf(body, sizeof body,
             "{%s,\"Recipient\":{\"KeyEncryptionAlgorithm\":\"RSAES_OAEP_SHA_256\","
             "\"AttestationDocument\":\"%s\"}}",
             members, doc);
    return body;
}

static void open_cms(struct cv_secret *out, const json_t *reply)
{
    uint8_t cms[8192];
    size_t n;
    struct cv_error err;
    assert_null(json_object_get(reply, "Plaintext"));
    assert_int_equal(
        cv_base64_decode(cms, sizeof cms, &n, cv_bytes_str(text(reply, "CiphertextForRecipient"))),
        0);
    cv_error_clear(&err);
    assert_code(cv_cms_unwrap(out, rsa, CV_BYTES(cms, n), &err), 0, &err);
    /* AWS's shape: ContentInfo and EnvelopedData of indefinite length. */
    static const uint8_t start[] = {0x30, 0x80, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                    0xf7, 0x0d, 0x01, 0x07, 0x03, 0xa0, 0x80, 0x30,
                                    0x80, 0x02, 0x01, 0x02, 0x31, 0x82};
    assert_memory_equal(cms, start, sizeof start);
}

static void test_attested_calls(void **state)
{
    char members[2048];
    struct cv_secret CV_SECRET_AUTO first = CV_SECRET_INIT, again = CV_SECRET_INIT;
    (void)state;
    set_policy(TO_ROLE("Enclave", "['kms:Decrypt','kms:GenerateDataKey']", ATTESTED));
    char *doc = document(0xaa, cv_rsa_spki(rsa), false);
    snprintf(members, sizeof members, "\"KeyId\":\"%s\",\"KeySpec\":\"AES_256\"", key->arn);
    json_t *o = good(role, "GenerateDataKey", with_recipient(members, doc));
    open_cms(&first, o);
    assert_int_equal(first.n, 32);
    snprintf(members, sizeof members, "\"CiphertextBlob\":\"%s\"", text(o, "CiphertextBlob"));
    json_decref(o);

    /* The same by Decrypt, with a document in the newer, indefinite form. */
    char *newer = document(0xaa, cv_rsa_spki(rsa), true);
    o = good(role, "Decrypt", with_recipient(members, newer));
    open_cms(&again, o);
    assert_true(cv_secret_equal(&first, &again));
    json_decref(o);

    /* Another image, no document, no public key, none of RSA. */
    char *other = document(0xbb, cv_rsa_spki(rsa), false);
    char *keyless = document(0xaa, CV_BYTES("", 0), false);
    char *odd = document(0xaa, CV_BYTES_LIT("not a key"), false);
    char plain[2100];
    snprintf(plain, sizeof plain, "{%s}", members);
    assert_string_equal(refusal(role, "Decrypt", with_recipient(members, other)),
                        "AccessDeniedException");
    assert_string_equal(refusal(role, "Decrypt", plain), "AccessDeniedException");
    assert_string_equal(refusal(role, "Decrypt", with_recipient(members, keyless)),
                        "ValidationException");
    assert_string_equal(refusal(role, "Decrypt", with_recipient(members, odd)),
                        "ValidationException");
    assert_string_equal(refusal(role, "Decrypt", with_recipient(members, "AAAA")),
                        "ValidationException");
    assert_string_equal(refusal(role, "Decrypt", with_recipient(members, "")),
                        "ValidationException");
    free(other);
    free(keyless);
    free(odd);

    /* Fresh for five minutes, and not from the future. */
    skew = 4 * 60 * 1000;
    json_decref(good(role, "Decrypt", with_recipient(members, doc)));
    skew = 5 * 60 * 1000 + 2000;
    assert_string_equal(refusal(role, "Decrypt", with_recipient(members, doc)),
                        "ValidationException");
    skew = -2 * 60 * 1000;
    assert_string_equal(refusal(role, "Decrypt", with_recipient(members, doc)),
                        "ValidationException");
    skew = 0;

    /* Every byte of a document counts. */
    uint8_t raw[8192];
    char b64[12000];
    size_t n;
    assert_int_equal(cv_base64_decode(raw, sizeof raw, &n, cv_bytes_str(doc)), 0);
    for (size_t i = 0; i < n; i += 97) {
        raw[i] ^= 0x10;
        cv_base64_encode(b64, raw, n);
        raw[i] ^= 0x10;
        assert_string_equal(refusal(role, "Decrypt", with_recipient(members, b64)),
                            "ValidationException");
    }
    free(newer);
    free(doc);
}

/* An explicit condition on the context, and the trap of ForAllValues. */
static void test_context_conditions(void **state)
{
    char body[1024];
    (void)state;
    set_policy(TO_ROLE("Ctx", "'kms:GenerateDataKey*'",
                       ",'Condition':{'StringEquals':"
                       "{'kms:EncryptionContext:App':'claviger'},'ForAllValues:StringEquals':"
                       "{'kms:EncryptionContextKeys':['App','Env']}}"));
    static const struct {
        const char *context;
        bool allowed;
    } cases[] = {
        {"{\"App\":\"claviger\"}", true},
        {"{\"App\":\"claviger\",\"Env\":\"x\"}", true},
        {"{\"App\":\"Claviger\"}", false},
        {"{\"App\":\"claviger\",\"More\":\"x\"}", false},
        {"{}", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int status;
        snprintf(body, sizeof body,
                 "{\"KeyId\":\"%s\",\"KeySpec\":\"AES_128\",\"EncryptionContext\":"
                 "%s}",
                 key->id, cases[i].context);
        json_decref(call(role, "GenerateDataKeyWithoutPlaintext", body, &status));
        assert_int_equal(status, cases[i].allowed ? 200 : 400);
    }
}

static void test_policies_through_the_api(void **state)
{
    char body[2048];
    (void)state;
    set_policy("");
    /* Only the root statement: the role has no identity policy. */
    snprintf(body, sizeof body, "{\"KeyId\":\"%s\",\"Plaintext\":\"YQ==\"}", key->id);
    assert_string_equal(refusal(role, "Encrypt", body), "AccessDeniedException");
    assert_string_equal(refusal(role, "CreateKey", "{}"), "AccessDeniedException");
    assert_string_equal(refusal(role, "ListKeys", "{}"), "AccessDeniedException");
    assert_string_equal(refusal(role, "GenerateRandom", "{\"NumberOfBytes\":1}"),
                        "AccessDeniedException");
    /* A policy that locks its own writer out is refused, unless told otherwise. */
    static const char lockout[] =
        "{\\\"Version\\\":\\\"2012-10-17\\\",\\\"Statement\\\":[{\\\"Effect\\\":"
        "\\\"Allow\\\",\\\"Principal\\\":{\\\"AWS\\\":\\\"" ROLE
        "\\\"},\\\"Action\\\":\\\"kms:*\\\","
        "\\\"Resource\\\":\\\"*\\\"}]}";
    snprintf(body, sizeof body, "{\"KeyId\":\"%s\",\"Policy\":\"%s\"}", key->id, lockout);
    assert_string_equal(refusal(admin, "PutKeyPolicy", body), "MalformedPolicyDocumentException");
    snprintf(body, sizeof body,
             "{\"KeyId\":\"%s\",\"Policy\":\"%s\",\"BypassPolicyLockoutSafetyCheck\":"
             "true}",
             key->id, lockout);
    assert_null(good(admin, "PutKeyPolicy", body));
    snprintf(body, sizeof body, "{\"KeyId\":\"%s\"}", key->id);
    assert_string_equal(refusal(admin, "GetKeyPolicy", body), "AccessDeniedException");
    json_t *o = good(role, "GetKeyPolicy", body);
    assert_non_null(strstr(text(o, "Policy"), "role/enclave"));
    json_decref(o);
    /* A disabled key does nothing. */
    assert_null(good(role, "DisableKey", body));
    snprintf(body, sizeof body, "{\"KeyId\":\"%s\",\"Plaintext\":\"YQ==\"}", key->id);
    assert_string_equal(refusal(role, "Encrypt", body), "DisabledException");
    snprintf(body, sizeof body, "{\"KeyId\":\"%s\"}", key->id);
    assert_null(good(role, "EnableKey", body));
    set_policy("");
}

static void test_state_survives(void **state)
{
    struct cv_local_kms_state a, b;
    struct cv_local_key *k;
    struct cv_error err;
    char path[128];
    (void)state;
    cv_error_clear(&err);
    snprintf(path, sizeof path, "%s/kms.json", dir);
    assert_code(cv_local_kms_state_load(&a, path, "eu-west-1", "444455556666", &err), 0, &err);
    assert_code(cv_local_kms_admin_add(&a, &err), 0, &err);
    assert_code(cv_local_kms_role_add(&a, "r", "s",
                                      "{\"Statement\":{\"Effect\":\"Allow\",\"Action\":"
                                      "\"kms:GenerateRandom\",\"Resource\":\"*\"}}",
                                      &err),
                0, &err);
    assert_code(cv_local_kms_key_add(&k, &a, "d",
                                     "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":"
                                     "\"*\",\"Action\":\"kms:*\",\"Resource\":\"*\"}}",
                                     1234567890123, &err),
                0, &err);
    assert_int_equal(cv_local_kms_alias_add(&a, "alias/x", k->id, 5), 0);
    assert_code(cv_local_kms_state_save(&a, &err), 0, &err);
    assert_code(cv_local_kms_state_load(&b, path, "xx-yy-1", "000000000000", &err), 0, &err);
    assert_string_equal(b.region, "eu-west-1");
    assert_int_equal(b.n_principals, 2);
    assert_string_equal(b.principals[1].secret_access_key, a.principals[1].secret_access_key);
    assert_string_equal(b.principals[1].session_token, a.principals[1].session_token);
    assert_non_null(b.principals[1].policy);
    assert_int_equal(b.n_keys, 1);
    assert_string_equal(b.keys[0]->arn, k->arn);
    assert_memory_equal(b.keys[0]->material, k->material, 32);
    assert_true(cv_local_kms_key_find(&b, "alias/x") == b.keys[0]);
    /* Nobody else may read it. */
    assert_int_equal(access(path, R_OK), 0);
    struct cv_buf file;
    cv_buf_init(&file, 65536);
    assert_code(cv_file_read(&file, path, &err), 0, &err);
    assert_non_null(strstr((char *)file.p, "protect nothing"));
    cv_buf_free(&file);
    cv_local_kms_state_free(&a);
    cv_local_kms_state_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encrypt_and_decrypt),
        cmocka_unit_test(test_key_names),
        cmocka_unit_test(test_bad_requests),
        cmocka_unit_test(test_sizes_of_plaintexts),
        cmocka_unit_test(test_attested_calls),
        cmocka_unit_test(test_context_conditions),
        cmocka_unit_test(test_policies_through_the_api),
        cmocka_unit_test(test_state_survives),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
