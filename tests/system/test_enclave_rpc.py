#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""claviger-enclave-dev over its socket, against the stand-ins: the requests of
the original protocol, byte for byte where the bytes are fixed."""
import hashlib
import json
import os
import unittest

import cbor2

from claviger_testing import tezos
from claviger_testing.enclave import Enclave, RemoteError, result, scratch
from claviger_testing.process import need

TYPES = ("Ed25519", "Secp256k1", "NistP256", "Bls")
KEY = bytes(range(1, 33))


def uninitialized():
    return cbor2.dumps({"Err": {"message": "uninitialized", "source": None}})


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need("claviger-enclave-dev", "claviger-local")
        cls.folder = scratch("rpc")
        cls.enclave = Enclave(cls.folder.name).start()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.enclave.stop)
        cls.arn = cls.enclave.create_key()

    def refused(self, call, *chain):
        with self.assertRaises(RemoteError) as caught:
            call()
        self.assertEqual(caught.exception.chain, list(chain))

    def session(self, *a, **k):
        c = self.enclave.session(self.arn, *a, **k)
        self.addCleanup(c.close)
        return c


class BeforeInitialize(Base):
    def test_every_request_is_refused_after_it_was_decoded(self):
        requests = [{"Import": b"x"}, {"ImportUnencrypted": {"Ed25519": KEY}}, {"Generate": "Bls"},
                    {"GenerateAndImport": "Bls"}, {"Sign": {"handle": 0, "message": b"x", "version": 1}},
                    {"SignWith": {"encrypted_private_key": b"x", "message": b"x", "version": 1}},
                    {"PublicKey": 0}, {"PublicKeyFrom": b"x"}, {"ProvePossession": 0}]
        with self.enclave.client() as c:
            for request in requests:
                self.assertEqual(c.call_bytes(cbor2.dumps(request)), uninitialized(), request)
            self.assertIn(b"unknown variant `Nothing`", c.call_bytes(cbor2.dumps({"Nothing": 0})))

    def test_decode_errors_word_for_word(self):
        path = os.path.join(os.environ["CV_VECTORS"], "enclave-rpc.json")
        with open(path) as f, self.enclave.client() as c:
            for v in json.load(f)["decode"]:
                if v["extended"] or (v["err_message"] is None and v["name"].startswith(("initialize", "text_in"))):
                    continue  # the latter would open the session
                reply = cbor2.loads(c.call_bytes(bytes.fromhex(v["hex"])))
                text = v["err_message"] or "uninitialized"
                self.assertEqual(reply, {"Err": {"message": text, "source": None}}, v["name"])

    def test_original_does_not_know_our_requests(self):
        with self.enclave.client() as c:
            for name in ("Renew", "Reseal", "Attest"):
                reply = cbor2.loads(c.call_bytes(cbor2.dumps({name: None})))
                self.assertIn(f"unknown variant `{name}`", reply["Err"]["message"])

    def test_initialize_twice_keeps_the_session(self):
        c = self.session()
        key = c.call("GenerateAndImport", "Ed25519")
        c.send({"Initialize": self.enclave.credentials("alias/other")})
        self.assertEqual(c.receive_body(), cbor2.dumps({"Err": {"message": "already initialized", "source": None}}))
        self.assertEqual(c.call("PublicKey", 0), key["public_key"])

    def test_initialize_makes_no_call(self):
        c = self.enclave.client()
        wrong = dict(self.enclave.credentials("alias/nothing"), secret_access_key="wrong", session_token=None)
        before = self.enclave.kms_log()
        self.assertIsNone(c.call("Initialize", wrong))
        self.assertEqual(self.enclave.kms_log(), before)
        with self.assertRaises(RemoteError) as caught:
            c.call("Generate", "Ed25519")
        self.assertEqual(caught.exception.chain[:2], ["encryption error", "SDK error"])
        c.close()


class Keys(Base):
    def test_generate_import_sign_prove(self):
        c = self.session()
        blobs = {}
        for n, kind in enumerate(TYPES):
            key = c.call("GenerateAndImport", kind)
            self.assertEqual(list(key), ["encrypted_private_key", "public_key", "handle"])
            self.assertEqual(key["handle"], n)
            blobs[kind] = key
            self.assertEqual(c.call("PublicKey", n), key["public_key"])
            for version in (1, 2, 255):
                signature = c.call("Sign", {"handle": n, "message": b"message", "version": version})
                self.assertTrue(tezos.verify_values(key["public_key"], signature, b"message", version), (kind, version))
                again = c.call("SignWith", {"encrypted_private_key": key["encrypted_private_key"],
                                            "message": b"message", "version": version})
                self.assertEqual(again, signature)
            self.assertEqual(c.call("PublicKeyFrom", key["encrypted_private_key"]), key["public_key"])
        proof = c.call("ProvePossession", 3)
        self.assertTrue(tezos.verify_proof_of_possession(
            tezos.encode("BLpk", blobs["Bls"]["public_key"]["Bls"]), tezos.encode("BLsig", proof["Bls"])))
        # A new session has none of them, and imports them in another order.
        c.close()
        c = self.session()
        self.refused(lambda: c.call("PublicKey", 0), "signer error", "invalid handle")
        for n, kind in enumerate(reversed(TYPES)):
            key = c.call("Import", blobs[kind]["encrypted_private_key"])
            self.assertEqual(list(key), ["public_key", "handle"])
            self.assertEqual(key, {"public_key": blobs[kind]["public_key"], "handle": n})
            signature = c.call("Sign", {"handle": n, "message": b"again", "version": 2})
            self.assertTrue(tezos.verify_values(key["public_key"], signature, b"again"))

    def test_generate_keeps_nothing(self):
        c = self.session()
        key = c.call("Generate", "Secp256k1")
        self.assertEqual(list(key), ["encrypted_private_key", "public_key"])
        self.refused(lambda: c.call("PublicKey", 0), "signer error", "invalid handle")

    def test_the_signature_of_ed25519_is_an_array(self):
        c = self.session()
        c.call("GenerateAndImport", "Ed25519")
        body = c.call_bytes(cbor2.dumps({"Sign": {"handle": 0, "message": b"x", "version": 0}}))
        self.assertEqual(body[:14], b"\xa1\x62Ok\xa1\x67Ed25519\x98\x40"[:14])
        self.assertEqual(cbor2.dumps(cbor2.loads(body)), body)

    def test_errors_of_keys(self):
        c = self.session()
        c.call("GenerateAndImport", "Ed25519")
        c.call("GenerateAndImport", "Bls")
        bad = cbor2.dumps({"Err": {"message": "signer error", "source": {"message": "invalid handle", "source": None}}})
        for request in ({"Sign": {"handle": 2, "message": b"", "version": 2}}, {"PublicKey": 2**64 - 1},
                        {"ProvePossession": 7}):
            self.assertEqual(c.call_bytes(cbor2.dumps(request)), bad)
        self.refused(lambda: c.call("ProvePossession", 0), "signer error", "Proof of possession is not supported")
        # The original panics here.
        self.refused(lambda: c.call("Sign", {"handle": 1, "message": b"", "version": 0}),
                     "signer error", "Invalid signing version")
        self.assertIn("Bls", c.call("Sign", {"handle": 1, "message": b"", "version": 1}))

    def test_what_is_accepted_beyond_the_original(self):
        c = self.session()
        key = c.call("GenerateAndImport", "NistP256")["public_key"]
        long = os.urandom(1000000)
        self.assertTrue(tezos.verify_values(key, c.call("Sign", {"handle": 0, "message": long, "version": 2}), long))
        self.assertTrue(tezos.verify_values(key, c.call("Sign", {"handle": 0, "message": b"no version"}), b"no version"))
        pieces = b"\xa1\x64Sign\xa2\x66handle\x00\x67message\x5f\x42ab\x41c\xff"
        self.assertTrue(tezos.verify_values(key, result(cbor2.loads(c.call_bytes(pieces))), b"abc"))
        array = cbor2.dumps({"Sign": [0, [1, 2, 255], 2]})
        self.assertTrue(tezos.verify_values(key, result(cbor2.loads(c.call_bytes(array))), b"\x01\x02\xff"))

    def test_plain_import_of_known_keys(self):
        c = self.session()
        for kind in TYPES:
            key = c.call("ImportUnencrypted", {kind: KEY})
            signature = c.call("Sign", {"handle": key["handle"], "message": b"known", "version": 1})
            self.assertTrue(tezos.verify_values(key["public_key"], signature, b"known", 1))
            self.assertEqual(c.call("PublicKeyFrom", key["encrypted_private_key"]), key["public_key"])

    def test_version_1_blobs_of_the_original(self):
        kms = self.enclave.boto()
        c = self.session()
        for kind in TYPES:
            plain = {"cbor": cbor2.dumps({kind: KEY}), "array": cbor2.dumps({kind: list(KEY)}),
                     "trailing": cbor2.dumps({kind: KEY}) + b"\xff"}
            public = c.call("ImportUnencrypted", {kind: KEY})["public_key"]
            for name, text in plain.items():
                blob = kms.encrypt(KeyId=self.arn, Plaintext=text)["CiphertextBlob"]
                self.assertEqual(c.call("Import", blob)["public_key"], public, (kind, name))
                signature = c.call("SignWith", {"encrypted_private_key": blob, "message": b"v1", "version": 2})
                self.assertTrue(tezos.verify_values(public, signature, b"v1"))
        for text, error in ((b"\xa1\x63Bls\x41x", 'Semantic(None, "invalid length 1, expected a byte array of size 32")'),
                            (cbor2.dumps({"Bls": bytes(32)}), 'Semantic(None, "Bad encoding")'),
                            (b"\xa1", 'Io(Error { kind: UnexpectedEof, message: "failed to fill whole buffer" })')):
            blob = kms.encrypt(KeyId=self.arn, Plaintext=text)["CiphertextBlob"]
            self.refused(lambda: c.call("Import", blob), "deserialization error", error)

    def test_pipelined_without_ids_in_order(self):
        c = self.session()
        blob = c.call("Generate", "Bls")["encrypted_private_key"]
        c.close()
        c = self.session()
        requests = [{"Import": blob}] + [{"Sign": {"handle": 0, "message": bytes([n]), "version": 2}} for n in range(5)]
        requests += [{"PublicKey": 0}, {"Sign": {"handle": 1, "message": b"", "version": 2}}]
        for request in requests:
            c.send(request)
        key = result(c.receive())["public_key"]
        for n in range(5):
            signature = result(c.receive())
            self.assertTrue(tezos.verify_values(key, signature, bytes([n])), n)
        self.assertEqual(result(c.receive()), key)
        self.refused(lambda: result(c.receive()), "signer error", "invalid handle")

    def test_blobs_that_were_changed(self):
        c = self.session()
        blob = c.call("Generate", "Ed25519")["encrypted_private_key"]
        for at in (3, 5, 8, 60, len(blob) - 50, len(blob) - 1):
            changed = bytearray(blob)
            changed[at] ^= 1
            with self.assertRaises(RemoteError) as caught:
                c.call("Import", bytes(changed))
            self.assertEqual(caught.exception.chain[0], "encryption error")
        for cut in (0, 1, 5, 100, len(blob) - 1):
            with self.assertRaises(RemoteError):
                c.call("Import", blob[:cut])
        self.assertEqual(c.call("Import", blob)["handle"], 0)

    def test_two_sessions_are_independent(self):
        a, b = self.session(), self.session()
        key_a = a.call("GenerateAndImport", "Ed25519")["public_key"]
        key_b = b.call("GenerateAndImport", "Ed25519")["public_key"]
        self.assertNotEqual(key_a, key_b)
        self.assertEqual(a.call("PublicKey", 0), key_a)
        self.assertEqual(b.call("PublicKey", 0), key_b)
        a.close()
        self.assertTrue(tezos.verify_values(key_b, b.call("Sign", {"handle": 0, "message": b"b", "version": 2}), b"b"))


class Extensions(Base):
    def test_describe(self):
        with self.enclave.client() as c:
            d = c.call("Describe")
        self.assertEqual(d["protocol"], 1)
        self.assertEqual(d["build"], "development")
        self.assertEqual((d["debug"], d["pinned"], d["cmks"]), (False, False, []))
        self.assertEqual((d["plain_import"], d["seal_v1"], d["self_check"]), (True, True, True))
        self.assertEqual(len(d["pcr0"]), 48)
        self.assertEqual(d["limits"], {"frame": 1048576, "in_flight": 1024, "sessions": 8, "keys": 65536})

    def test_ids_come_first_and_echo_handle_and_digest(self):
        c = self.session(describe=True)
        key = c.call("GenerateAndImport", "Ed25519")["public_key"]
        c.send({"id": 77, "Sign": {"handle": 0, "message": b"m", "version": 2}})
        reply = c.receive()
        self.assertEqual(list(reply), ["id", "handle", "digest", "Ok"])
        self.assertEqual((reply["id"], reply["handle"]), (77, 0))
        self.assertEqual(reply["digest"], hashlib.blake2b(b"m", digest_size=32).digest())
        self.assertTrue(tezos.verify_values(key, reply["Ok"], b"m"))
        c.send({"id": 78, "Sign": {"handle": 5, "message": b"m", "version": 2}})
        reply = c.receive()
        self.assertEqual((list(reply), reply["handle"]), (["id", "handle", "Err"], 5))
        c.send({"id": 79, "Nothing": 0})
        reply = c.receive()
        self.assertEqual(list(reply), ["id", "Err"])
        self.assertEqual(reply["id"], 79)
        c.send({"PublicKey": 0, "id": 80})
        self.assertEqual(c.receive()["Err"]["message"], 'Semantic(None, "invalid type: map, expected enum")')

    def test_ids_are_unknown_before_describe(self):
        c = self.session()
        c.send({"id": 1, "PublicKey": 0})
        self.assertEqual(c.receive_body(), cbor2.dumps({"Err": {
            "message": 'Semantic(None, "invalid type: map, expected enum")', "source": None}}))

    def test_signing_overtakes_kms(self):
        c = self.session(describe=True)
        key = c.call("GenerateAndImport", "Ed25519")["public_key"]
        blob = self.enclave.boto().encrypt(KeyId=self.arn, Plaintext=cbor2.dumps({"Ed25519": KEY}))["CiphertextBlob"]
        self.enclave.fault("stall Decrypt - 700")
        try:
            for n in range(4):  # more than there are KMS threads
                c.send({"id": n, "Import": blob})
            for n in range(20):
                c.send({"id": 100 + n, "Sign": {"handle": 0, "message": bytes([n]), "version": 2}})
            first = [c.receive() for _ in range(20)]
            self.assertEqual(sorted(r["id"] for r in first), list(range(100, 120)))
            for r in first:
                self.assertTrue(tezos.verify_values(key, r["Ok"], bytes([r["id"] - 100])))
            later = [c.receive() for _ in range(4)]
            self.assertEqual(sorted(r["Ok"]["handle"] for r in later), [1, 2, 3, 4])
        finally:
            self.enclave.fault()

    def test_a_request_without_id_is_a_barrier(self):
        c = self.session(describe=True)
        blob = self.enclave.boto().encrypt(KeyId=self.arn, Plaintext=cbor2.dumps({"Ed25519": KEY}))["CiphertextBlob"]
        self.enclave.fault("stall Decrypt - 300")
        try:
            c.send({"id": 1, "Import": blob})
            c.send({"PublicKey": 0})  # waits for the import
            c.send({"id": 2, "PublicKey": 0})
            self.assertEqual(c.receive()["id"], 1)
            self.assertEqual(list(c.receive()), ["Ok"])
            self.assertEqual(c.receive()["id"], 2)
        finally:
            self.enclave.fault()

    def test_one_kms_call_opens_many(self):
        c = self.session(describe=True)
        blobs = [c.call("Generate", kind)["encrypted_private_key"] for kind in TYPES for _ in range(5)]
        c.close()
        before = self.enclave.kms_log().count("action=Decrypt")
        c = self.session(describe=True)
        for n, blob in enumerate(blobs):
            c.send({"id": n, "Import": blob})
        handles = sorted(result(c.receive())["handle"] for _ in blobs)
        self.assertEqual(handles, list(range(len(blobs))))
        self.assertEqual(self.enclave.kms_log().count("action=Decrypt"), before + 1)

    def test_renew(self):
        c = self.session(describe=True)
        c.call("GenerateAndImport", "Ed25519")
        good = self.enclave.credentials(self.arn)
        self.assertIsNone(c.call("Renew", {"access_key_id": "AKIAOTHER", "secret_access_key": "x"}))
        blob = self.enclave.boto().encrypt(KeyId=self.arn, Plaintext=cbor2.dumps({"Bls": KEY}))["CiphertextBlob"]
        with self.assertRaises(RemoteError):
            c.call("Import", blob)
        self.assertIsNone(c.call("Renew", {k: good[k] for k in ("access_key_id", "secret_access_key")}))
        self.assertEqual(c.call("Import", blob)["handle"], 1)
        self.assertIn("Ed25519", c.call("PublicKey", 0))
        self.refused(lambda: c.call("Renew", {"access_key_id": "A"}), 'Semantic(None, "missing field `secret_access_key`")')

    def test_reseal_both_ways(self):
        c = self.session(describe=True)
        old = c.call("Generate", "Bls")
        v1 = c.call("Reseal", {"encrypted_private_key": old["encrypted_private_key"], "sealed_version": 1})
        self.assertEqual(list(v1), ["encrypted_private_key", "public_key"])
        self.assertEqual(v1["public_key"], old["public_key"])
        self.assertNotEqual(v1["encrypted_private_key"][:4], b"CVSK")
        v2 = c.call("Reseal", {"encrypted_private_key": v1["encrypted_private_key"]})
        self.assertEqual(v2["encrypted_private_key"][:4], b"CVSK")
        self.assertEqual(c.call("Import", v2["encrypted_private_key"])["public_key"], old["public_key"])
        other = self.enclave.create_key()
        self.refused(lambda: c.call("Reseal", {"encrypted_private_key": v2["encrypted_private_key"], "key_id": other}),
                     "encryption error", "without a pinned list a key is only resealed under the session's CMK")

    def test_sealed_version_1_by_configuration(self):
        c = self.session(describe=True, sealed_version=1)
        key = c.call("GenerateAndImport", "Ed25519")
        self.assertNotEqual(key["encrypted_private_key"][:4], b"CVSK")
        self.assertEqual(c.call("Import", key["encrypted_private_key"])["public_key"], key["public_key"])

    def attest(self, c, handle, nonce=None):
        request = {"handle": handle}
        if nonce is not None:
            request["nonce"] = nonce
        document = cbor2.loads(c.call("Attest", request))
        document = document.value if isinstance(document, cbor2.CBORTag) else document
        return cbor2.loads(document[2])

    def test_attest(self):
        c = self.session(describe=True)
        made = c.call("GenerateAndImport", "Secp256k1")
        c.call("Import", made["encrypted_private_key"])
        c.call("ImportUnencrypted", {"Bls": KEY})
        payload = self.attest(c, 0, b"nonce")
        self.assertIsNone(payload["public_key"])
        self.assertEqual(payload["nonce"], b"nonce")
        self.assertEqual(cbor2.loads(payload["user_data"]), [
            "claviger.key.1", "Secp256k1", made["public_key"]["Secp256k1"], "generated", self.arn, False])
        self.assertEqual(cbor2.loads(self.attest(c, 1)["user_data"])[3], "sealed")
        self.assertEqual(cbor2.loads(self.attest(c, 2)["user_data"])[3], "plain")
        self.assertIsNone(self.attest(c, 2)["nonce"])
        self.refused(lambda: c.call("Attest", {"handle": 9}), "signer error", "invalid handle")


if __name__ == "__main__":
    unittest.main()
