#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sealed keys read by docs/protocol/sealed-key.md alone: this file uses nothing
of ours but the page. Version 2 is opened with hashlib and cryptography, with
the data key from the stand-in's KMS; version 1 is the CBOR that KMS decrypts."""
import hashlib
import hmac
import json
import os
import re
import struct
import unittest
from pathlib import Path

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PUBLIC_LENGTHS = {1: 32, 2: 33, 3: 33, 4: 48}
NAMES = {1: "Ed25519", 2: "Secp256k1", 3: "NistP256", 4: "Bls"}


class Refused(Exception):
    pass


def parse(blob):
    """Step 1 of the page: every length checked, nothing left over."""
    def take(n):
        nonlocal at
        if len(blob) - at < n:
            raise Refused("too short")
        at += n
        return blob[at - n:at]

    def counted():
        return take(struct.unpack(">H", take(2))[0])

    at = 0
    if take(4) != b"CVSK" or take(1) != b"\x02":
        raise Refused("magic or format")
    scheme = take(1)[0]
    fields = {"scheme": scheme, "public_key": counted(), "cmk": counted(), "wrapped": counted(), "salt": take(32)}
    if len(fields["public_key"]) != PUBLIC_LENGTHS.get(scheme) or not fields["cmk"].startswith(b"arn:"):
        raise Refused("scheme, public key or ARN")
    if not 1 <= len(fields["wrapped"]) <= 1024 or len(fields["cmk"]) > 256:
        raise Refused("length")
    fields["header"] = blob[:at]
    fields["commitment"], fields["sealed"] = take(32), take(48)
    if at != len(blob):
        raise Refused("trailing bytes")
    return fields


def open_v2(blob, data_key):
    """Steps 1 to 3."""
    f = parse(blob)
    okm = HKDF(hashes.SHA512(), 64, f["salt"], hashlib.sha256(f["header"]).digest()).derive(data_key)
    if not hmac.compare_digest(okm[32:], f["commitment"]):
        raise Refused("commitment")
    try:
        return f, AESGCM(okm[:32]).decrypt(bytes(12), f["sealed"], f["header"])
    except InvalidTag:
        raise Refused("tag") from None


def public_key(scheme, private):
    """Step 4."""
    if scheme == 1:
        return ed25519.Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    if scheme == 4:
        from py_ecc.bls import G2Basic
        return bytes(G2Basic.SkToPk(int.from_bytes(private, "big")))
    curve = ec.SECP256K1() if scheme == 2 else ec.SECP256R1()
    return ec.derive_private_key(int.from_bytes(private, "big"), curve).public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)


class Vectors(unittest.TestCase):
    def setUp(self):
        with open(Path(os.environ["CV_VECTORS"]) / "sealed-key.json") as f:
            self.v = json.load(f)

    def test_blobs(self):
        data_key = bytes.fromhex(self.v["data_key"])
        for entry in self.v["blobs"]:
            blob = bytes.fromhex(entry["hex"])
            fields, private = open_v2(blob, data_key)
            self.assertEqual(NAMES[fields["scheme"]], entry["scheme"])
            self.assertEqual(private.hex(), self.v["private_key"])
            self.assertEqual(public_key(fields["scheme"], private), fields["public_key"])
            with self.assertRaises(Refused):
                open_v2(blob, bytes(32))
            with self.assertRaises(Refused):
                open_v2(blob[:-1] + bytes([blob[-1] ^ 1]), data_key)

    def test_the_page_shows_the_same(self):
        page = (Path(os.environ["CV_SOURCE_DIR"]) / "docs/protocol/sealed-key.md").read_text()
        shown = {name: re.sub(r"\s", "", text)
                 for name, text in re.findall(r"^\*\*(\w+)\*\*\n\n```\n([0-9a-f\n]+)```", page, re.M)}
        self.assertEqual(shown, {e["scheme"]: e["hex"] for e in self.v["blobs"]})


class FromTheEnclave(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from claviger_testing.enclave import Enclave, scratch
        from claviger_testing.process import need
        need("claviger-enclave-dev", "claviger-local")
        cls.folder = scratch("sealed")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.enclave = Enclave(cls.folder.name).start()
        cls.addClassCleanup(cls.enclave.stop)
        # For this test the policy opens without attestation too.
        cls.arn = cls.enclave.create_key(plain=("kms:Encrypt", "kms:Decrypt"))

    def test_version_2(self):
        with self.enclave.session(self.arn) as c:
            for scheme, name in NAMES.items():
                made = c.call("Generate", name)
                blob = made["encrypted_private_key"]
                header = parse(blob)
                self.assertEqual(header["cmk"].decode(), self.arn)
                reply = self.enclave.boto().decrypt(
                    KeyId=self.arn, CiphertextBlob=header["wrapped"],
                    EncryptionContext={"purpose": "claviger-sealed-key", "format": "2"})
                fields, private = open_v2(blob, reply["Plaintext"])
                self.assertEqual(fields["scheme"], scheme)
                self.assertEqual(made["public_key"], {name: public_key(scheme, private)})

    def test_the_context_binds_the_data_key(self):
        with self.enclave.session(self.arn) as c:
            wrapped = parse(c.call("Generate", "Ed25519")["encrypted_private_key"])["wrapped"]
        for context in ({}, {"purpose": "claviger-sealed-key"}, {"purpose": "other", "format": "2"}):
            with self.assertRaises(self.enclave.boto().exceptions.InvalidCiphertextException):
                self.enclave.boto().decrypt(KeyId=self.arn, CiphertextBlob=wrapped, EncryptionContext=context)

    def test_version_1(self):
        with self.enclave.session(self.arn, describe=True, sealed_version=1) as c:
            for scheme, name in NAMES.items():
                made = c.call("Generate", name)
                plain = self.enclave.boto().decrypt(KeyId=self.arn,
                                                    CiphertextBlob=made["encrypted_private_key"])["Plaintext"]
                item = cbor2.loads(plain)
                self.assertEqual(list(item), [name])
                self.assertEqual(len(item[name]), 32)
                self.assertEqual(cbor2.dumps(item), plain)
                self.assertEqual(made["public_key"], {name: public_key(scheme, item[name])})


if __name__ == "__main__":
    unittest.main()
