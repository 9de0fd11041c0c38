#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/vectors/enclave-rpc.json with cbor2, independently of our codec.

    tests/vectors/gen/enclave_rpc.py > tests/vectors/enclave-rpc.json
"""
import json
import sys

import cbor2

KEY = bytes(range(1, 33))
SIG64 = bytes(range(64))
SIG96 = bytes(range(96))
INITIALIZE = {"access_key_id": "AKIDEXAMPLE", "secret_access_key": "SECRETEXAMPLE",
              "session_token": "TOKENEXAMPLE", "encryption_key_id": "alias/tee", "region": "us-west-2"}


def without(d, *names):
    return {k: v for k, v in d.items() if k not in names}


def enc(v):
    return cbor2.dumps(v).hex()


def semantic(text):
    return 'Semantic(None, "%s")' % text


# What the daemon writes and the enclave reads: decoding and encoding again
# gives the same bytes. "extended": after Describe.
requests = {
    "initialize": (False, {"Initialize": INITIALIZE}),
    "initialize_no_token": (False, {"Initialize": without(INITIALIZE, "session_token")}),
    "import": (False, {"Import": b"\x01\x02\x03"}),
    "import_unencrypted_ed25519": (False, {"ImportUnencrypted": {"Ed25519": KEY}}),
    "import_unencrypted_bls": (False, {"ImportUnencrypted": {"Bls": KEY}}),
    "generate": (False, {"Generate": "NistP256"}),
    "generate_and_import": (False, {"GenerateAndImport": "Secp256k1"}),
    "sign": (False, {"Sign": {"handle": 0, "message": b"text", "version": 2}}),
    "sign_large": (False, {"Sign": {"handle": 70000, "message": b"m" * 5000, "version": 255}}),
    "sign_with": (False, {"SignWith": {"encrypted_private_key": b"blob", "message": b"", "version": 1}}),
    "public_key": (False, {"PublicKey": 24}),
    "public_key_from": (False, {"PublicKeyFrom": b"blob"}),
    "prove_possession": (False, {"ProvePossession": 3}),
    "describe": (False, {"Describe": None}),
    "describe_again": (True, {"Describe": None}),
    "initialize_v1": (True, {"Initialize": dict(INITIALIZE, sealed_version=1)}),
    "sign_id": (True, {"id": 7, "Sign": {"handle": 1, "message": b"text", "version": 2}}),
    "import_id_large": (True, {"id": 2**40, "Import": b"blob"}),
    "renew": (True, {"Renew": {"access_key_id": "A", "secret_access_key": "S", "session_token": "T"}}),
    "renew_no_token": (True, {"id": 0, "Renew": {"access_key_id": "A", "secret_access_key": "S"}}),
    "reseal": (True, {"id": 1, "Reseal": {"encrypted_private_key": b"blob"}}),
    "reseal_to": (True, {"id": 1, "Reseal": {"encrypted_private_key": b"blob", "key_id": "arn:aws:kms:x",
                                            "sealed_version": 1}}),
    "attest": (True, {"id": 9, "Attest": {"handle": 4}}),
    "import_offer": (True, {"id": 10, "ImportOffer": {"nonce": b"n"}}),
    "import_sealed": (True, {"id": 11, "ImportSealed": {"public_key": bytes(32), "enc": bytes(range(32)),
                                                       "ciphertext": bytes(60)}}),
    "attest_nonce": (True, {"id": 9, "Attest": {"handle": 4, "nonce": b"\x00" * 32}}),
}

replies = {
    "ok_null": {"Ok": None},
    "ok_null_id": {"id": 3, "Ok": None},
    "err": {"Err": {"message": "uninitialized", "source": None}},
    "err_chain": {"id": 4, "Err": {"message": "signer error", "source": {"message": "invalid handle", "source": None}}},
    "key_import": {"Ok": {"public_key": {"Ed25519": KEY}, "handle": 0}},
    "key_generate": {"Ok": {"encrypted_private_key": b"blob", "public_key": {"Secp256k1": b"\x02" + KEY}}},
    "key_generate_and_import": {"id": 2**33, "Ok": {"encrypted_private_key": b"blob",
                                                    "public_key": {"Bls": bytes(48)}, "handle": 300}},
    "sig_ed25519": {"Ok": {"Ed25519": list(SIG64)}},
    "sig_secp256k1": {"Ok": {"Secp256k1": SIG64}},
    "sig_bls_echo": {"id": 7, "handle": 1, "digest": KEY, "Ok": {"Bls": SIG96}},
    "public_key": {"id": 8, "handle": 2, "Ok": {"NistP256": b"\x03" + KEY}},
    "proof": {"Ok": {"Bls": SIG96}},
    "bytes": {"id": 1, "handle": 0, "Ok": b"document"},
    "description": {"Ok": {"protocol": 1, "version": "0.1.0", "build": "release", "debug": False, "pinned": True,
                           "cmks": ["arn:aws:kms:us-west-2:111122223333:key/a"], "region": "us-west-2",
                           "plain_import": True, "sealed_import": True, "seal_v1": False, "self_check": True, "pcr0": bytes(48),
                           "limits": {"frame": 1048576, "in_flight": 1024, "sessions": 8, "keys": 65536}}},
}

TEN = ("`Initialize`, `Import`, `ImportUnencrypted`, `Generate`, `GenerateAndImport`, `Sign`, `SignWith`, "
       "`PublicKey`, `PublicKeyFrom`, `ProvePossession`")
EOF = 'Io(Error { kind: UnexpectedEof, message: "failed to fill whole buffer" })'
sign = {"handle": 0, "message": b"x", "version": 2}


def unknown(name):
    return semantic("unknown variant `%s`, expected one of %s" % (name, TEN))


# name: (extended, bytes, text of the refusal or None when it is accepted)
decode = {
    "array_argument": (False, enc({"Sign": [0, b"x", 2]}), None),
    "array_argument_long": (False, enc({"Sign": [0, b"x", 2, 3, 4]}), None),
    "array_argument_indefinite": (False, "a1645369676e9f00417802ff", None),
    "array_argument_short": (False, enc({"Sign": [0]}),
                             semantic("invalid length 1, expected struct variant Req::Sign with 3 elements")),
    "initialize_array": (False, enc({"Initialize": ["a", "b", None, "c", "d"]}),
                         semantic("invalid type: sequence, expected map")),
    "initialize_missing": (False, enc({"Initialize": without(INITIALIZE, "region")}), semantic("missing field `region`")),
    "initialize_empty": (False, enc({"Initialize": {}}), semantic("missing field `access_key_id`")),
    "initialize_token_null": (False, enc({"Initialize": dict(INITIALIZE, session_token=None)}), None),
    "initialize_token_undefined": (False, enc({"Initialize": dict(INITIALIZE, session_token=cbor2.undefined)}), None),
    "initialize_token_number": (False, enc({"Initialize": dict(INITIALIZE, session_token=5)}),
                                semantic("invalid type: integer `5`, expected string")),
    "initialize_sealed_version_unknown_to_original": (
        False, enc({"Initialize": dict(INITIALIZE, sealed_version="whatever")}), None),
    "initialize_sealed_version_bad": (True, enc({"Initialize": dict(INITIALIZE, sealed_version=3)}),
                                      semantic("invalid value: 3, expected one of: 1, 2")),
    "text_in_pieces": (False, "a16a496e697469616c697a65a4" + "6d6163636573735f6b65795f69647f61416142ff" +
                       enc(without(INITIALIZE, "session_token", "access_key_id"))[2:], None),
    "key_in_pieces": (False, "a1645369676ea17f6168ff00", semantic("invalid type: string, expected str or bytes")),
    "integer_key": (False, enc({"Sign": {0: 1}}), semantic("invalid type: integer `0`, expected str or bytes")),
    "negative_key": (False, enc({"Sign": {-5: 1}}), semantic("invalid type: integer `-5`, expected str or bytes")),
    "duplicate": (False, "a1645369676ea26668616e646c65006668616e646c6500", semantic("duplicate field `handle`")),
    "handle_negative": (False, enc({"PublicKey": -1}), semantic("unexpected negative integer")),
    "handle_float": (False, "a1695075626c69634b6579fb0000000000000000",
                     semantic("invalid type: floating point `0.0`, expected integer")),
    "handle_half": (False, "a1695075626c69634b6579f93e00",
                    semantic("invalid type: floating point `1.5`, expected integer")),
    "handle_large_float": (False, "a1695075626c69634b6579fb" + "4415af1d78b58c40",
                           semantic("invalid type: floating point `100000000000000000000.0`, expected integer")),
    "handle_small_float": (False, "a1695075626c69634b6579fb" + "3f50624dd2f1a9fc",
                           semantic("invalid type: floating point `0.001`, expected integer")),
    "handle_infinite": (False, "a1695075626c69634b6579f97c00",
                        semantic("invalid type: floating point `inf`, expected integer")),
    "handle_true": (False, enc({"PublicKey": True}), semantic("invalid type: boolean `true`, expected integer")),
    "handle_bignum_large": (False, enc({"PublicKey": 2**64}), semantic("integer too large")),
    "handle_bignum_huge": (False, enc({"PublicKey": 2**128}), semantic("bigint too large")),
    "handle_bignum_zeros": (False, "a1695075626c69634b6579c24a00000000000000000007", None),
    "handle_tagged": (False, "a1695075626c69634b6579d8641905dc", None),
    "message_missing": (False, enc({"Sign": {"handle": 0, "version": 2}}), semantic("missing field `message`")),
    "version_missing": (False, enc({"Sign": without(sign, "version")}), None),
    "version_255": (False, enc({"Sign": dict(sign, version=255)}), None),
    "version_254": (False, enc({"Sign": dict(sign, version=254)}),
                    semantic("invalid value: 254, expected one of: 0, 1, 2, 255")),
    "sign_null": (False, enc({"Sign": None}), semantic("invalid type: Option value, expected struct variant Req::Sign")),
    "sign_bytes": (False, enc({"Sign": b"x"}), semantic("invalid type: byte array, expected struct variant Req::Sign")),
    "message_pieces": (False, "a1645369676ea2" + "6668616e646c6500" + "676d657373616765" + "5f41014102ff", None),
    "message_null": (False, enc({"Sign": dict(sign, message=None)}), semantic("invalid type: null, expected bytes")),
    "message_bad_element": (False, enc({"Sign": dict(sign, message=["a"])}),
                            semantic("invalid type: string, expected integer")),
    "piece_of_wrong_type": (False, "a166496d706f72745f6161ff", "Syntax(9)"),
    "name_bad_utf8": (False, "a162c328", "Syntax(1)"),
    "name_as_bytes": (False, "a149" + b"PublicKey".hex() + "00", None),
    "name_quoted": (False, enc({'a"b\n': 0}), semantic('unknown variant `a\\"b\\n`, expected one of ' + TEN)),
    "name_as_bad_bytes": (False, "a141ff00", unknown("\N{REPLACEMENT CHARACTER}")),
    "name_of_ours": (False, enc({"Renew": {}}), unknown("Renew")),
    "name_too_long": (False, "a1" + enc("x" * 4097) + "00", semantic("invalid type: string, expected str or bytes")),
    "id_before_describe": (False, enc({"id": 7, "PublicKey": 0}), semantic("invalid type: map, expected enum")),
    "id_second": (True, enc({"PublicKey": 0, "id": 7}), semantic("invalid type: map, expected enum")),
    "id_text": (True, enc({"id": "7", "PublicKey": 0}), semantic("invalid type: string, expected integer")),
    "id_three": (True, enc({"id": 7, "PublicKey": 0, "x": 0}), semantic("invalid type: map, expected enum")),
    "id_unknown": (True, enc({"id": 7, "Frobnicate": 0}), unknown("Frobnicate")),
    "private_key_short": (False, enc({"ImportUnencrypted": {"Bls": KEY[:31]}}),
                          semantic("invalid length 31, expected a byte array of size 32")),
    "private_key_zero": (False, enc({"ImportUnencrypted": {"Secp256k1": bytes(32)}}), semantic("signature error")),
    "private_key_order": (False, enc({"ImportUnencrypted": {"NistP256": b"\xff" * 32}}), semantic("signature error")),
    "private_key_bls_zero": (False, enc({"ImportUnencrypted": {"Bls": bytes(32)}}), semantic("Bad encoding")),
    "private_key_unknown": (False, enc({"ImportUnencrypted": {"Dsa": KEY}}),
                            semantic("unknown variant `Dsa`, expected one of `Secp256k1`, `NistP256`, `Ed25519`, `Bls`")),
    "offer_without_nonce": (True, enc({"ImportOffer": {}}), semantic("missing field `nonce`")),
    "offer_empty_nonce": (True, enc({"ImportOffer": {"nonce": b""}}),
                          semantic("invalid length 0, expected a nonce of 1 to 512 bytes")),
    "sealed_short_key": (True, enc({"ImportSealed": {"public_key": bytes(31), "enc": bytes(32), "ciphertext": b""}}),
                         semantic("invalid length 31, expected a key of 32 bytes")),
    "sealed_long_enc": (True, enc({"ImportSealed": {"public_key": bytes(32), "enc": bytes(33), "ciphertext": b""}}),
                        semantic("invalid length 33, expected a key of 32 bytes")),
    "sealed_long": (True, enc({"ImportSealed": {"public_key": bytes(32), "enc": bytes(32), "ciphertext": bytes(513)}}),
                    semantic("invalid length 513, expected a ciphertext of at most 512 bytes")),
    "sealed_unknown_before_describe": (False, enc({"ImportSealed": {}}), unknown("ImportSealed")),
    "nonce_too_long": (True, enc({"Attest": {"handle": 0, "nonce": bytes(513)}}),
                       semantic("invalid length 513, expected a nonce of at most 512 bytes")),
    "zero_length": (False, "", EOF),
    "head_cut": (False, "a1695075626c69634b657919", EOF),
    "string_longer_than_input": (False, "a166496d706f72745bffffffffffffffff00", EOF),
    "array_of_many": (False, "a166496d706f72749bffffffffffffffff00", EOF),
    "reserved_inside": (False, "a1695075626c69634b65791d", "Syntax(11)"),
    "indefinite_integer": (False, "a1695075626c69634b65791f", "Syntax(11)"),
    "deep_ignored": (False, "a1645369676ea1" + "6178" + "81" * 300 + "00", "RecursionLimitExceeded"),
    "break_ignored": (False, "a1645369676ea1" + "6178" + "ff", semantic("invalid type: break, expected non-break")),
    "simple_ignored": (False, "a1645369676ea1" + "6178" + "e0", semantic("invalid type: simple, expected known simple value")),
    "trailing": (False, enc({"PublicKey": 0}) + "ffffff", None),
}

json.dump({
    "about": "made by tests/vectors/gen/enclave_rpc.py with cbor2",
    "requests": [{"name": n, "extended": e, "hex": enc(v)} for n, (e, v) in requests.items()],
    "replies": [{"name": n, "hex": enc(v)} for n, v in replies.items()],
    "decode": [{"name": n, "extended": e, "hex": h, "err_message": t} for n, (e, h, t) in decode.items()],
}, sys.stdout, indent=1)
print()
