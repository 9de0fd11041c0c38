/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "rpc/request.h"
#include "rpc/walk.h"

#define VARIANTS                                                                             \
    "`Initialize`, `Import`, `ImportUnencrypted`, `Generate`, `GenerateAndImport`, `Sign`, " \
    "`SignWith`, `PublicKey`, `PublicKeyFrom`, `ProvePossession`"
#define KEY_TYPES "`Secp256k1`, `NistP256`, `Ed25519`, `Bls`"

/* One field of a struct: how it is read and where it goes. */
struct field {
    const char *name;
    bool required;
    bool (*read)(struct cv_walk *w, void *out);
    void *out;
};

#define FIELDS_MAX 8

static bool read_text(struct cv_walk *w, void *out)
{
    return cv_walk_text(w, out);
}

/* Option<String>: null and undefined are absent. */
static bool read_optional_text(struct cv_walk *w, void *out)
{
    bool none;
    return cv_walk_take_none(w, &none) && (none || cv_walk_text(w, out));
}

static bool read_bytes(struct cv_walk *w, void *out)
{
    return cv_walk_bytes(w, out);
}

static bool read_optional_bytes(struct cv_walk *w, void *out)
{
    bool none;
    return cv_walk_take_none(w, &none) && (none || cv_walk_bytes(w, out));
}

static bool read_handle(struct cv_walk *w, void *out)
{
    return cv_walk_uint(w, out, UINT64_MAX, "usize");
}

static bool read_version(struct cv_walk *w, void *out)
{
    uint64_t v;
    if (!cv_walk_uint(w, &v, UINT8_MAX, "u8"))
        return false;
    if (v > CV_RPC_VERSION_2 && v != CV_RPC_VERSION_LATEST)
        return cv_walk_semantic(w, "invalid value: %u, expected one of: 0, 1, 2, 255", (unsigned)v);
    *(uint8_t *)out = (uint8_t)v;
    return true;
}

static bool read_sealed_version(struct cv_walk *w, void *out)
{
    uint64_t v;
    if (!cv_walk_uint(w, &v, UINT8_MAX, "u8"))
        return false;
    if (v != 1 && v != 2)
        return cv_walk_semantic(w, "invalid value: %u, expected one of: 1, 2", (unsigned)v);
    *(unsigned *)out = (unsigned)v;
    return true;
}

static bool one_pair(struct cv_walk *w, const struct field *fields, size_t count, bool *seen)
{
    struct cv_bytes key;
    if (!cv_walk_identifier(w, &key))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!cv_bytes_equal_str(key, fields[i].name))
            continue;
        if (seen[i])
            return cv_walk_semantic(w, "duplicate field `%s`", fields[i].name);
        seen[i] = true;
        return fields[i].read(w, fields[i].out);
    }
    return cv_walk_ignore(w);
}

/* The pairs of a map whose head was taken. */
static bool struct_map(struct cv_walk *w, const struct cv_cbor_head *h, const struct field *fields,
                       size_t count)
{
    bool seen[FIELDS_MAX] = {false};
    struct cv_walk_items it = cv_walk_items(h);
    int more;
    if (!cv_walk_enter(w))
        return false;
    while ((more = cv_walk_next(w, &it)) > 0)
        if (!one_pair(w, fields, count, seen))
            return false;
    if (more < 0)
        return false;
    cv_walk_leave(w);
    for (size_t i = 0; i < count; i++)
        if (fields[i].required && !seen[i])
            return cv_walk_semantic(w, "missing field `%s`", fields[i].name);
    return true;
}

/* A struct, which must be a map. */
static bool read_struct(struct cv_walk *w, const struct field *fields, size_t count)
{
    struct cv_cbor_head h;
    if (!cv_walk_untagged(w, &h, NULL))
        return false;
    if (h.major != CV_CBOR_MAP)
        return cv_walk_expected(w, &h, "map");
    return struct_map(w, &h, fields, count);
}

/* What a struct variant is not: named as the original's visitor names it,
 * which differs from cv_walk_expected() for some types. */
static bool not_a_variant(struct cv_walk *w, const struct cv_cbor_head *h, const char *kind)
{
    bool none = h->major == CV_CBOR_SIMPLE && !h->indefinite && h->info <= 24 &&
                (h->value == CV_CBOR_NULL || h->value == CV_CBOR_UNDEFINED);
    if (none)
        return cv_walk_semantic(w, "invalid type: Option value, expected %s", kind);
    if (h->major == CV_CBOR_BSTR)
        return cv_walk_semantic(w, "invalid type: byte array, expected %s", kind);
    if (h->major == CV_CBOR_SIMPLE && h->indefinite)
        kind = "non-break";
    else if (h->major == CV_CBOR_SIMPLE && h->info <= 24 &&
             (h->value < CV_CBOR_FALSE || h->value > CV_CBOR_UNDEFINED))
        kind = "known simple value";
    return cv_walk_expected(w, h, kind);
}

/* A struct variant: a map, or an array of the fields in order, which may go
 * on after the last one. A last field that is optional may be missing. */
static bool read_variant(struct cv_walk *w, const struct field *fields, size_t count,
                         const char *kind)
{
    struct cv_cbor_head h;
    if (!cv_walk_untagged(w, &h, NULL))
        return false;
    if (h.major == CV_CBOR_MAP)
        return struct_map(w, &h, fields, count);
    if (h.major != CV_CBOR_ARRAY)
        return not_a_variant(w, &h, kind);
    struct cv_walk_items it = cv_walk_items(&h);
    if (!cv_walk_enter(w))
        return false;
    for (size_t i = 0; i < count; i++) {
        int more = cv_walk_next(w, &it);
        if (more < 0)
            return false;
        if (more == 0)
            return cv_walk_semantic(w, "invalid length %zu, expected %s with %zu elements", i, kind,
                                    count);
        if (!fields[i].read(w, fields[i].out))
            return false;
    }
    cv_walk_leave(w);
    return true;
}

static bool read_scheme_name(struct cv_walk *w, enum cv_scheme *scheme)
{
    struct cv_bytes name;
    if (!cv_walk_enum(w) || !cv_walk_identifier(w, &name))
        return false;
    if (cv_scheme_from_rpc_name(scheme, name) != 0)
        return cv_walk_unknown_variant(w, name, KEY_TYPES);
    return true;
}

static bool read_private_key(struct cv_walk *w, enum cv_scheme *scheme, struct cv_bytes *key)
{
    if (!read_scheme_name(w, scheme) || !cv_walk_bytes(w, key))
        return false;
    if (key->n != CV_PRIVATE_KEY_LEN)
        return cv_walk_semantic(w, "invalid length %zu, expected a byte array of size 32", key->n);
    if (cv_private_key_check(*scheme, key->p) != 0)
        return cv_walk_semantic(w, *scheme == CV_SCHEME_BLS ? "Bad encoding" : "signature error");
    return true;
}

static bool read_credentials(struct cv_walk *w, struct cv_rpc_credentials *c, bool initialize,
                             bool extended)
{
    const struct field all[] = {
        {"access_key_id", true, read_text, &c->access_key_id},
        {"secret_access_key", true, read_text, &c->secret_access_key},
        {"session_token", false, read_optional_text, &c->session_token},
        {"encryption_key_id", true, read_text, &c->encryption_key_id},
        {"region", true, read_text, &c->region},
        {"sealed_version", false, read_sealed_version, &c->sealed_version},
    };
    return read_struct(w, all, !initialize ? 3 : extended ? 6 : 5);
}

static bool read_sign(struct cv_walk *w, struct cv_rpc_request *req)
{
    /* The version is required by the original; left out it means the latest,
     * as in a request that its own Go client builds. */
    req->version = CV_RPC_VERSION_LATEST;
    const struct field sign[] = {
        {"handle", true, read_handle, &req->handle},
        {"message", true, read_bytes, &req->message},
        {"version", false, read_version, &req->version},
    };
    const struct field sign_with[] = {
        {"encrypted_private_key", true, read_bytes, &req->blob},
        {"message", true, read_bytes, &req->message},
        {"version", false, read_version, &req->version},
    };
    if (req->op == CV_RPC_SIGN)
        return read_variant(w, sign, 3, "struct variant Req::Sign");
    return read_variant(w, sign_with, 3, "struct variant Req::SignWith");
}

static bool read_reseal(struct cv_walk *w, struct cv_rpc_request *req)
{
    const struct field fields[] = {
        {"encrypted_private_key", true, read_bytes, &req->blob},
        {"key_id", false, read_optional_text, &req->key_id},
        {"sealed_version", false, read_sealed_version, &req->sealed_version},
    };
    return read_struct(w, fields, 3);
}

static bool read_attest(struct cv_walk *w, struct cv_rpc_request *req)
{
    const struct field fields[] = {
        {"handle", true, read_handle, &req->handle},
        {"nonce", false, read_optional_bytes, &req->nonce},
    };
    if (!read_struct(w, fields, 2))
        return false;
    if (req->nonce.n > CV_RPC_NONCE_MAX)
        return cv_walk_semantic(w, "invalid length %zu, expected a nonce of at most %d bytes",
                                req->nonce.n, CV_RPC_NONCE_MAX);
    return true;
}

static bool read_import_offer(struct cv_walk *w, struct cv_rpc_request *req)
{
    const struct field fields[] = {{"nonce", true, read_bytes, &req->nonce}};
    if (!read_struct(w, fields, 1))
        return false;
    if (req->nonce.n == 0 || req->nonce.n > CV_RPC_NONCE_MAX)
        return cv_walk_semantic(w, "invalid length %zu, expected a nonce of 1 to %d bytes",
                                req->nonce.n, CV_RPC_NONCE_MAX);
    return true;
}

static bool read_import_sealed(struct cv_walk *w, struct cv_rpc_request *req)
{
    const struct field fields[] = {
        {"public_key", true, read_bytes, &req->offer},
        {"enc", true, read_bytes, &req->enc},
        {"ciphertext", true, read_bytes, &req->ciphertext},
    };
    if (!read_struct(w, fields, 3))
        return false;
    if (req->offer.n != CV_RPC_OFFER_KEY_LEN || req->enc.n != CV_RPC_OFFER_KEY_LEN)
        return cv_walk_semantic(w, "invalid length %zu, expected a key of %d bytes",
                                req->offer.n != CV_RPC_OFFER_KEY_LEN ? req->offer.n : req->enc.n,
                                CV_RPC_OFFER_KEY_LEN);
    if (req->ciphertext.n > CV_RPC_SEALED_IMPORT_MAX)
        return cv_walk_semantic(w, "invalid length %zu, expected a ciphertext of at most %d bytes",
                                req->ciphertext.n, CV_RPC_SEALED_IMPORT_MAX);
    return true;
}

static bool read_argument(struct cv_walk *w, struct cv_rpc_request *req, bool extended)
{
    switch (req->op) {
    case CV_RPC_INITIALIZE:
        return read_credentials(w, &req->credentials, true, extended);
    case CV_RPC_RENEW:
        return read_credentials(w, &req->credentials, false, extended);
    case CV_RPC_IMPORT:
    case CV_RPC_PUBLIC_KEY_FROM:
        return cv_walk_bytes(w, &req->blob);
    case CV_RPC_IMPORT_UNENCRYPTED:
        return read_private_key(w, &req->scheme, &req->private_key);
    case CV_RPC_GENERATE:
    case CV_RPC_GENERATE_AND_IMPORT:
        return read_scheme_name(w, &req->scheme);
    case CV_RPC_SIGN:
    case CV_RPC_SIGN_WITH:
        return read_sign(w, req);
    case CV_RPC_PUBLIC_KEY:
    case CV_RPC_PROVE_POSSESSION:
        return cv_walk_uint(w, &req->handle, UINT64_MAX, "usize");
    case CV_RPC_RESEAL:
        return read_reseal(w, req);
    case CV_RPC_ATTEST:
        return read_attest(w, req);
    case CV_RPC_IMPORT_OFFER:
        return read_import_offer(w, req);
    case CV_RPC_IMPORT_SEALED:
        return read_import_sealed(w, req);
    case CV_RPC_DESCRIBE: /* whatever follows: like a unit variant there */
    case CV_RPC_OP_COUNT:
    default:
        return true;
    }
}

/* {"id": N, …}: taken when the item is a map of two whose first key is "id".
 * Everything else is left for the original's rules. */
static bool take_id(struct cv_walk *w, struct cv_rpc_request *req, struct cv_rpc_fault *fault,
                    bool *taken)
{
    struct cv_walk saved = *w;
    struct cv_cbor_head h;
    struct cv_bytes key;
    *taken = false;
    if (cv_walk_untagged(w, &h, NULL) && h.major == CV_CBOR_MAP && !h.indefinite && h.value == 2 &&
        cv_walk_identifier(w, &key) && cv_bytes_equal_str(key, "id")) {
        *taken = true;
        if (!cv_walk_enter(w) || !cv_walk_uint(w, &req->id, UINT64_MAX, "u64"))
            return false;
        req->has_id = fault->has_id = true;
        fault->id = req->id;
        return true;
    }
    *w = saved;
    w->text[0] = '\0';
    return true;
}

static bool find_op(struct cv_bytes name, bool extended, enum cv_rpc_op *op)
{
    for (int i = 0; i < CV_RPC_OP_COUNT; i++) {
        *op = (enum cv_rpc_op)i;
        if (cv_bytes_equal_str(name, cv_rpc_op_name(*op)))
            return extended || *op == CV_RPC_DESCRIBE || !cv_rpc_op_is_extension(*op);
    }
    return false;
}

int cv_rpc_request_decode(struct cv_rpc_request *req, uint8_t *body, size_t n, bool extended,
                          struct cv_rpc_fault *fault)
{
    struct cv_walk w;
    struct cv_bytes name;
    bool with_id = false;
    memset(req, 0, sizeof *req);
    fault->has_id = false;
    fault->id = 0;
    cv_walk_init(&w, body, n, fault->text, sizeof fault->text);
    if (extended && !take_id(&w, req, fault, &with_id))
        return CV_ERR_INVALID;
    if (!with_id && !cv_walk_enum(&w))
        return CV_ERR_INVALID;
    if (!cv_walk_identifier(&w, &name))
        return CV_ERR_INVALID;
    if (!find_op(name, extended, &req->op)) {
        cv_walk_unknown_variant(&w, name, VARIANTS);
        return CV_ERR_INVALID;
    }
    return read_argument(&w, req, extended) ? 0 : CV_ERR_INVALID;
}

int cv_rpc_private_key_decode(enum cv_scheme *scheme, struct cv_bytes *key, uint8_t *in, size_t n,
                              struct cv_rpc_fault *fault)
{
    struct cv_walk w;
    char text[256];
    cv_walk_init(&w, in, n, fault != NULL ? fault->text : text,
                 fault != NULL ? sizeof fault->text : sizeof text);
    return read_private_key(&w, scheme, key) ? 0 : CV_ERR_INVALID;
}
