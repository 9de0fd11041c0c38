#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/vectors/sealed-key.json by docs/protocol/sealed-key.md with
hashlib and cryptography, independently of our code.

    tests/vectors/gen/sealed_key.py > tests/vectors/sealed-key.json
"""
import hashlib
import json
import struct
import sys

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from py_ecc.bls import G2Basic

PRIVATE = bytes(range(1, 33))
DATA_KEY = bytes(range(32))
SALT = bytes(range(0xa0, 0xc0))
ARN = b"arn:aws:kms:us-west-2:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
WRAPPED = b"wrapped data key (sample"


def ec_public(curve):
    key = ec.derive_private_key(int.from_bytes(PRIVATE, "big"), curve).public_key()
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)


PUBLIC = {
    "Ed25519": (1, ed25519.Ed25519PrivateKey.from_private_bytes(PRIVATE).public_key().public_bytes(
        serialization.Encoding.Raw, serialization.PublicFormat.Raw)),
    "Secp256k1": (2, ec_public(ec.SECP256K1())),
    "NistP256": (3, ec_public(ec.SECP256R1())),
    "Bls": (4, bytes(G2Basic.SkToPk(int.from_bytes(PRIVATE, "big")))),
}


def counted(b):
    return struct.pack(">H", len(b)) + b


def seal(number, public):
    header = b"CVSK" + bytes([2, number]) + counted(public) + counted(ARN) + counted(WRAPPED) + SALT
    okm = HKDF(hashes.SHA512(), 64, SALT, hashlib.sha256(header).digest()).derive(DATA_KEY)
    return header + okm[32:] + AESGCM(okm[:32]).encrypt(bytes(12), PRIVATE, header)


json.dump({
    "about": "made by tests/vectors/gen/sealed_key.py with hashlib and cryptography",
    "private_key": PRIVATE.hex(), "data_key": DATA_KEY.hex(), "salt": SALT.hex(), "cmk": ARN.decode(),
    "wrapped": WRAPPED.hex(),
    "blobs": [{"scheme": n, "public_key": p.hex(), "hex": seal(i, p).hex()} for n, (i, p) in PUBLIC.items()],
}, sys.stdout, indent=1)
print()
