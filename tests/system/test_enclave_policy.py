#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the image decides and the parent cannot change, and what KMS may answer:
pinned CMKs, settings, denials, wrong replies, data keys that the parent made."""
import hashlib
import os
import struct
import unittest

import cbor2

from claviger_testing.enclave import PURPOSE, Enclave, RemoteError, scratch
from claviger_testing.process import need

KEY = bytes(range(1, 33))


class Base(unittest.TestCase):
    settings = {}
    nsm = ()

    @classmethod
    def setUpClass(cls):
        need("claviger-enclave-dev", "claviger-local")
        cls.folder = scratch("policy")
        cls.enclave = Enclave(cls.folder.name, nsm=cls.nsm, **cls.settings).start()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.enclave.stop)
        cls.arn = cls.enclave.create_key()

    def tearDown(self):
        self.enclave.fault()

    def chain(self, call):
        with self.assertRaises(RemoteError) as caught:
            call()
        return caught.exception.chain

    def session(self, key_id=None, **more):
        c = self.enclave.session(key_id or self.arn, **more)
        self.addCleanup(c.close)
        return c

    def initialize(self, **replace):
        with self.enclave.client() as c:
            return c.call("Initialize", {**self.enclave.credentials(self.arn), **replace})


class Pinned(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls.enclave.create_key()
        cls.second = cls.enclave.create_key()
        kms = cls.enclave.boto()
        kms.create_alias(AliasName="alias/pinned", TargetKeyId=cls.arn)
        kms.create_alias(AliasName="alias/other", TargetKeyId=cls.other)
        # A blob from before the image was pinned.
        with cls.enclave.session(cls.other) as c:
            cls.foreign = c.call("Generate", "Ed25519")["encrypted_private_key"]
        cls.enclave.restart_enclave(cmk_arn=[cls.arn, cls.second])

    def test_described(self):
        with self.enclave.client() as c:
            d = c.call("Describe")
        self.assertTrue(d["pinned"])
        self.assertEqual(d["cmks"], [self.arn, self.second])
        self.assertEqual(d["region"], "us-west-2")

    def test_other_keys_are_refused(self):
        for name in (self.other, self.other.rsplit("/", 1)[1], self.arn.replace("us-west-2", "eu-west-1"), "x", ""):
            chain = self.chain(lambda: self.initialize(encryption_key_id=name))
            self.assertEqual(chain[0], "encryption error", name)
        self.assertIsNone(self.initialize(encryption_key_id=self.second))

    def test_a_bare_id_is_the_pinned_key(self):
        c = self.session(self.arn.rsplit("/", 1)[1])
        blob = c.call("Generate", "Ed25519")["encrypted_private_key"]
        self.assertIn(self.arn.encode(), blob)

    def test_an_alias_is_what_kms_says(self):
        for version in (1, 2):
            good = self.session("alias/pinned", describe=True, sealed_version=version)
            self.assertEqual(good.call("GenerateAndImport", "Ed25519")["handle"], 0)
            bad = self.session("alias/other", describe=True, sealed_version=version)
            chain = self.chain(lambda: bad.call("Generate", "Ed25519"))
            self.assertEqual(chain, ["encryption error",
                                     "KMS answered with another key than the one that was named"])
        self.assertNotIn(f"action=Encrypt principal=arn:aws:iam::111122223333:root key={self.other}",
                         self.enclave.kms_log())

    def test_blobs_under_other_keys_are_refused(self):
        c = self.session()
        self.assertEqual(self.chain(lambda: c.call("Import", self.foreign)),
                         ["encryption error", "the blob lies under a CMK that this image is not pinned to"])

    def test_reseal_to_another_pinned_key(self):
        c = self.session(describe=True)
        old = c.call("Generate", "NistP256")
        new = c.call("Reseal", {"encrypted_private_key": old["encrypted_private_key"], "key_id": self.second})
        self.assertIn(self.second.encode(), new["encrypted_private_key"])
        self.assertEqual(c.call("Import", new["encrypted_private_key"])["public_key"], old["public_key"])
        chain = self.chain(lambda: c.call("Reseal", {"encrypted_private_key": old["encrypted_private_key"],
                                                     "key_id": self.other}))
        self.assertIn("pinned to other CMKs", chain[1])

    def test_attested_as_pinned(self):
        c = self.session(describe=True)
        c.call("GenerateAndImport", "Ed25519")
        document = cbor2.loads(c.call("Attest", {"handle": 0}))
        self.assertEqual(cbor2.loads(cbor2.loads(document[2])["user_data"])[4:], [self.arn, True])


class Closed(Base):
    settings = {"plain_import": "off", "seal_v1": "off", "region": "us-west-2", "self_check": "off"}

    def test_plain_import_is_off(self):
        c = self.session(describe=True)
        self.assertIn("plain_import=off", self.chain(lambda: c.call("ImportUnencrypted", {"Bls": KEY}))[1])

    def test_version_1_is_off(self):
        with self.enclave.client() as c:
            c.call("Describe")
            wanted = self.enclave.credentials(self.arn, sealed_version=1)
            self.assertIn("seal_v1=off", self.chain(lambda: c.call("Initialize", wanted))[1])
        c = self.session(describe=True)
        blob = c.call("Generate", "Bls")["encrypted_private_key"]
        self.assertIn("seal_v1=off", self.chain(
            lambda: c.call("Reseal", {"encrypted_private_key": blob, "sealed_version": 1}))[1])

    def test_region(self):
        for region in ("eu-west-1", "us-west-2.evil.example", "US-WEST-2", "us west", "-"):
            self.assertEqual(self.chain(lambda: self.initialize(region=region))[0], "encryption error", region)
        self.assertIsNone(self.initialize(region=""))
        self.assertIsNone(self.initialize(encryption_key_id="alias/x"))

    def test_signing_without_self_check(self):
        c = self.session()
        c.call("GenerateAndImport", "Bls")
        self.assertIn("Bls", c.call("Sign", {"handle": 0, "message": b"x", "version": 1}))


class Debug(Base):
    nsm = ("--debug-mode",)

    def test_a_debug_enclave_refuses(self):
        with self.enclave.client() as c:
            self.assertTrue(c.call("Describe")["debug"])
        self.assertIn("debug mode", self.chain(self.initialize)[1])
        self.enclave.restart_enclave(allow_debug="on")
        self.assertIsNone(self.initialize())
        self.assertIn("DEBUG MODE", self.enclave.enclave.tail())


class Denied(Base):
    def test_the_error_names_this_image(self):
        arn = self.enclave.create_key(pcr0="11" * 48)
        c = self.session(arn)
        chain = self.chain(lambda: c.call("Generate", "Ed25519"))
        self.assertEqual(chain[:2], ["encryption error", "SDK error"])
        self.assertEqual(chain[2], "KMS GenerateDataKey")
        self.assertIn("AccessDeniedException", chain[3])
        self.assertIn("request id", chain[3])
        self.assertEqual(chain[4], f"this image's PCR0 is {self.enclave.pcr0()}")
        self.assertIn("kms:GenerateDataKey", chain[5])
        self.assertIn("sealed_version: 1", chain[5])

    def test_without_generate_data_key_version_1_goes_on(self):
        arn = self.enclave.create_key(attested=("kms:Decrypt",))
        c = self.session(arn)
        self.assertIn("kms:GenerateDataKey", self.chain(lambda: c.call("Generate", "Ed25519"))[5])
        c = self.session(arn, describe=True, sealed_version=1)
        self.assertEqual(c.call("GenerateAndImport", "Ed25519")["handle"], 0)

    def test_a_denied_import_leaves_the_session_in_order(self):
        c = self.session(describe=True)
        blob = c.call("Generate", "Ed25519")["encrypted_private_key"]
        c.close()
        c = self.session(describe=True)
        self.enclave.fault("access-denied Decrypt 3")
        for n in range(3):  # they share a call that is denied, or have one each
            c.send({"id": n, "Import": blob})
        for n in range(3):
            self.assertIn("Err", c.receive())
        self.enclave.fault()
        self.assertEqual(c.call("Import", blob)["handle"], 0)


class Replies(Base):
    """Every reply of KMS that is not what it should be."""

    def test_wrong_replies(self):
        c = self.session(describe=True)
        v2 = c.call("Generate", "Ed25519")["encrypted_private_key"]
        v1 = c.call("Reseal", {"encrypted_private_key": v2, "sealed_version": 1})["encrypted_private_key"]
        faults = ("plaintext", "plaintext-and-cms", "cms-other-key", "cms-bad-padding", "cms-sha1",
                  "cms-truncated", "cms-trailing", "cms-garbage", "wrong-key-id", "no-key-id", "garbage", "empty",
                  "empty-object", "wrong-types", "bad-base64", "huge", "invalid-ciphertext", "disabled")
        for fault in faults:
            for blob in (v1, v2):
                with self.subTest(fault=fault, version=blob[:4] == b"CVSK" and 2 or 1):
                    fresh = self.enclave.session(self.arn)
                    try:
                        self.enclave.fault(f"{fault} Decrypt -")
                        self.assertEqual(self.chain(lambda: fresh.call("Import", blob))[0], "encryption error")
                        self.enclave.fault()
                        self.assertEqual(fresh.call("Import", blob)["handle"], 0)
                    finally:
                        fresh.close()

    def test_odd_but_good_replies(self):
        c = self.session(describe=True)
        blob = c.call("Generate", "Ed25519")["encrypted_private_key"]
        for fault in ("cms-chunks", "cms-primitive", "cms-definite", "slow-reply", "stall"):
            with self.subTest(fault=fault), self.enclave.session(self.arn) as fresh:
                self.enclave.fault(f"{fault} Decrypt -" + (" 200" if fault == "stall" else ""))
                self.assertEqual(fresh.call("Import", blob)["handle"], 0)

    def test_a_data_key_that_is_not_the_blobs(self):
        c = self.session()
        blob = c.call("Generate", "Ed25519")["encrypted_private_key"]
        for fault in ("made-up-key", "short-key"):
            with self.subTest(fault=fault), self.enclave.session(self.arn) as fresh:
                self.enclave.fault(f"{fault} Decrypt -")
                self.assertEqual(self.chain(lambda: fresh.call("Import", blob))[0], "encryption error")

    def test_throttled_then_well(self):
        c = self.session()
        self.enclave.fault("throttle GenerateDataKey 1", "unavailable GenerateDataKey 1")
        self.assertEqual(c.call("GenerateAndImport", "Ed25519")["handle"], 0)


def counted(b):
    return struct.pack(">H", len(b)) + b


class ParentsDataKey(Base):
    """A parent that may call kms:Encrypt wraps a data key that it knows."""

    def forge(self, private, public, data_key):
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF
        wrapped = self.enclave.boto().encrypt(KeyId=self.arn, Plaintext=data_key,
                                              EncryptionContext=PURPOSE)["CiphertextBlob"]
        salt = os.urandom(32)
        header = b"CVSK\x02\x01" + counted(public) + counted(self.arn.encode()) + counted(wrapped) + salt
        okm = HKDF(hashes.SHA512(), 64, salt, hashlib.sha256(header).digest()).derive(data_key)
        return header + okm[32:] + AESGCM(okm[:32]).encrypt(bytes(12), private, header), wrapped

    @staticmethod
    def public(private):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ed25519
        return ed25519.Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)

    def test_it_opens_but_never_seals(self):
        blob, wrapped = self.forge(KEY, self.public(KEY), os.urandom(32))
        c = self.session(describe=True)
        self.assertEqual(c.call("Import", blob)["public_key"], {"Ed25519": self.public(KEY)})
        made = c.call("Generate", "Ed25519")["encrypted_private_key"]
        again = c.call("Reseal", {"encrypted_private_key": blob})["encrypted_private_key"]
        self.assertNotIn(wrapped, made)
        self.assertNotIn(wrapped, again)

    def test_a_key_signs_only_as_what_it_is(self):
        blob, _ = self.forge(KEY, self.public(bytes(32)), os.urandom(32))
        c = self.session(describe=True)
        c.call("Import", blob)
        text = "the blob names a public key that is not its private key's"
        for name, argument in (("Sign", {"handle": 0, "message": b"x", "version": 2}), ("Attest", {"handle": 0}),
                               ("SignWith", {"encrypted_private_key": blob, "message": b"x", "version": 2}),
                               ("Reseal", {"encrypted_private_key": blob})):
            self.assertEqual(self.chain(lambda: c.call(name, argument)), ["signer error", text], name)


if __name__ == "__main__":
    unittest.main()
