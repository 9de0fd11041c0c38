#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/vectors/s3ec.json: objects of the Amazon S3 Encryption Client's
formats with fixed keys and nonces, by hashlib, hmac and cryptography alone."""

import base64
import hashlib
import hmac
import json
import pathlib

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY = bytes(range(32, 64))
EDK = b"wrapped:" + bytes(range(100))


def b64(data):
    return base64.b64encode(data).decode()


def expand(prk, info, size):
    out, block, i = b"", b"", 1
    while len(out) < size:
        block = hmac.new(prk, block + info + bytes([i]), hashlib.sha512).digest()
        out += block
        i += 1
    return out[:size]


def v2(context, plaintext, iv):
    context = dict(context, **{"aws:x-amz-cek-alg": "AES/GCM/NoPadding"})
    return {"x-amz-key-v2": b64(EDK), "x-amz-iv": b64(iv), "x-amz-cek-alg": "AES/GCM/NoPadding",
            "x-amz-wrap-alg": "kms+context", "x-amz-tag-len": "128", "x-amz-matdesc": json.dumps(context)}, \
        AESGCM(KEY).encrypt(iv, plaintext, None)


def v3(context, plaintext, message_id):
    context = dict(context, **{"aws:x-amz-cek-alg": "115"})
    prk = hmac.new(message_id, KEY, hashlib.sha512).digest()
    key = expand(prk, b"\0\x73DERIVEKEY", 32)
    commitment = expand(prk, b"\0\x73COMMITKEY", 28)
    return {"x-amz-c": "115", "x-amz-w": "12", "x-amz-3": b64(EDK), "x-amz-i": b64(message_id),
            "x-amz-d": b64(commitment), "x-amz-t": json.dumps(context)}, \
        AESGCM(key).encrypt(b"\1" * 12, plaintext, b"\0\x73")


def main():
    cases = []
    for name, make, nonce in (("v2", v2, bytes(range(1, 13))), ("v3", v3, bytes(range(1, 29)))):
        for i, (context, plaintext) in enumerate((({}, b""), ({"app": "server", "claviger:version": "7"}, b"secret"),
                                                  ({"b": "2", "a": "\"quoted\" \\"}, bytes(range(256)) * 5))):
            meta, body = make(context, plaintext, nonce)
            cases.append({"name": f"{name}-{i}", "meta": meta, "context": context, "nonce": nonce.hex(),
                          "plaintext": plaintext.hex(), "body": body.hex()})
    out = {"key": KEY.hex(), "edk": EDK.hex(), "cases": cases}
    (pathlib.Path(__file__).parent / "s3ec.json").write_text(json.dumps(out, indent=1) + "\n")


main()
