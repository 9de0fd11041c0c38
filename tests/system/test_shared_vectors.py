#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The shared vectors (CV_SHARED) through the real programs: keys imported by
the command, requests posted to the daemon, signatures made in the enclave."""

import json
import os
import pathlib
import re
import sys
import tempfile
import unittest

from claviger_testing import process, tezos
from claviger_testing.enclave import Client
from claviger_testing.fake_stack import FakeStack
from claviger_testing.stack import Stack

process.need("claviger", "claviger-local", "claviger-enclave-dev")
VECTORS = pathlib.Path(os.environ.get("CV_SHARED", "/nonexistent")) / "vectors" / "tezos-vectors.json"
if not VECTORS.exists():
    print(f"SKIPPED: {VECTORS} is absent")
    sys.exit(77)
V = json.loads(VECTORS.read_text(encoding="utf-8"))
OPERATIONS = [line[6:] for line in process.run([process.bin_dir() / "claviger", "list-ops"]).stdout.splitlines()[1:]]
ALL = {"allow": {"block": None, "preattestation": None, "attestation": None, "attestation_with_dal": None, "pack": None,
                 "generic": OPERATIONS}, "allow_other_source": True, "allow_proof_of_possession": True}


def text_of(answer):
    return None if answer.status == 200 else answer.json()[0]["msg"]


class Policy(unittest.TestCase):
    def test_cases(self):
        """In the deprecated form, which has the lists as the cases have them."""
        with FakeStack() as s:
            keys = []
            for case in V["policy_cases"]:
                key = s.generate("tz1")["public_key_hash"]
                keys.append(key)
                s.allow(key, {"allowed_operations": case["allowed_requests"], "allowed_kinds": case["allowed_ops"],
                              "allow_other_source": True})
            s.serve()
            for case, key in zip(V["policy_cases"], keys):
                with self.subTest(case["title"]):
                    answer = s.sign(key, bytes.fromhex(case["message_hex"]))
                    self.assertEqual(text_of(answer), case["expected_error"])
                    self.assertEqual(answer.status, 403 if case["expected_error"] else 200)

    def test_requests(self):
        """Each by a key of its own, so that no watermark is in the way."""
        cases = V["sign_requests"]
        with FakeStack() as s:
            keys = [s.generate("tz1") for _ in cases]
            for key in keys:
                s.allow(key["public_key_hash"], ALL)
            s.serve()
            for case, key in zip(cases, keys):
                with self.subTest(case["title"]):
                    message = bytes.fromhex(case["hex"])
                    query = "?version=1" if case["profile"] == "022" else ""
                    answer = s.sign(key["public_key_hash"], message, query)
                    if case.get("expect") is None and case["profile"] != "022":
                        self.assertEqual((answer.status, text_of(answer)), (400, "gotez: " + case["expect_error"]))
                    elif case["profile"] == "022" and "expect" not in case:
                        self.assertEqual(answer.status, 200)  # which the one parser knows
                    elif case["strict_ok"] is False:
                        self.assertEqual(answer.status, 400)
                    else:
                        self.assertEqual(answer.status, 200, answer.body)
                        self.assertTrue(tezos.verify(key["public_key"], answer.json()["signature"], message))
            for case in V["single_operations"]:
                with self.subTest(case["title"]):
                    answer = s.sign(keys[0]["public_key_hash"], b"\3" + bytes(32) + bytes.fromhex(case["hex"]))
                    self.assertEqual(answer.status, 200 if "kind_024" in case else 400, answer.body)
            # What a key may not do is told by the operation's name.
            for case, key in zip(cases, keys):
                s.allow(key["public_key_hash"], {"allow": {"generic": []}, "allow_other_source": True})
            s.stop_daemon()
            s.serve()
            for case, key in zip(cases, keys):
                operations = (case.get("expect") or {}).get("operations")
                if operations and case.get("strict_ok"):
                    with self.subTest(case["title"], operations=operations):
                        answer = s.sign(key["public_key_hash"], bytes.fromhex(case["hex"]))
                        self.assertEqual((answer.status, text_of(answer)),
                                         (403, f"operation `{operations[0]}' is not allowed"))


class Signatures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.base = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.base.cleanup)
        cls.stack = Stack(pathlib.Path(cls.base.name) / "stack").up()
        cls.addClassCleanup(cls.stack.down)
        nitro = cls.stack.config.read_text()
        cls.cmk = re.search(r'encryption_key_id: "(\S+)"', nitro)[1]
        cls.credentials = dict(re.findall(r'(access_key_id|secret_access_key|session_token): "(\S+)"', nitro))
        file = pathlib.Path(cls.base.name) / "key"
        crypto = V["crypto"]
        cls.keys = {}
        for case in crypto["bls"] + crypto["ed25519"] + crypto["ecdsa"]:
            if case["pkh"] not in cls.keys:
                file.write_text(case["secret_b58"] + "\n")
                done = json.loads(cls.stack.cli("--json", "import", "-v", "nitro", "-f", file).stdout)
                cls.keys[case["pkh"]] = done[0]["public_key"]
        cls.stack.allow(*cls.keys, body=json.dumps(ALL))
        cls.stack.serve()

    def through_http(self, pkh, message, query=""):
        """The signature, or None of a message that is no request."""
        answer = self.stack.sign(pkh, message, query)
        if answer.status == 400:
            self.assertIn("malformed request", text_of(answer))
            return None
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["signature"]

    def directly(self, scheme, scalar, message, version):
        """What a client of the enclave's protocol gets, which may sign anything."""
        with Client(self.stack.dir / "enclave.sock") as client:
            client.call("Initialize", {"access_key_id": "a", "secret_access_key": "b", "region": "us-west-2",
                                       "encryption_key_id": self.cmk, **self.credentials})
            handle = client.call("ImportUnencrypted", {scheme: scalar})["handle"]
            return client.call("Sign", {"handle": handle, "message": message, "version": version})[scheme]

    def test_bls(self):
        http = 0
        for case in V["crypto"]["bls"]:
            self.assertEqual(self.keys[case["pkh"]], case["public_key_b58"])
            scalar = bytes.fromhex(case["scalar_big_endian_hex"])
            for one in case["signatures"]:
                message = bytes.fromhex(one["message_hex"])
                for version, name, query in ((1, "version1_AUG", "?version=1"), (2, "version2_POP", "?version=2"),
                                             (255, "version2_POP", "")):
                    expected = one[name]
                    self.assertEqual(self.directly("Bls", scalar, message, version).hex(), expected["signature_hex"])
                    signature = self.through_http(case["pkh"], message, query)
                    if signature is not None:
                        self.assertEqual(signature, expected["signature_b58"])
                        http += 1
            answer = self.stack.request("GET", f"/bls_prove_possession/{case['pkh']}")
            self.assertEqual(answer.json()["bls_prove_possession"], case["prove_possession"]["signature_b58"])
            self.assertIn(case["prove_possession"]["signature_b58"], self.stack.cli("prove", case["pkh"]).stdout)
        self.assertGreater(http, 0)

    def test_ed25519(self):
        done = 0
        for case in V["crypto"]["ed25519"]:
            answer = self.stack.sign(case["pkh"], bytes.fromhex(case["message_hex"]))
            if answer.status == 409:  # another payload of the same level and round
                continue
            self.assertEqual((answer.status, answer.json()), (200, {"signature": case["signature_b58"]}))
            done += 1
        self.assertGreater(done, 3)

    def test_ecdsa(self):
        schemes = {"secp256k1": "Secp256k1", "p256": "NistP256"}
        for case in V["crypto"]["ecdsa"]:
            message = bytes.fromhex(case["message_hex"])
            scheme = schemes[case["curve"].lower().replace("-", "").replace("nist", "").replace("secp256r1", "p256")]
            signature = self.directly(scheme, bytes.fromhex(case["scalar_hex"]), message, 2)
            self.assertEqual(signature.hex(), case["signature_hex_rfc6979"])
            own = b"\x05\x03\x0b"
            self.assertTrue(tezos.verify(case["public_key_b58"], self.through_http(case["pkh"], own), own))


class ImportOptions(unittest.TestCase):
    def test_syntax(self):
        alice = next(k for k in V["keys"]["plain"] if k["name"] == "Alice")
        with FakeStack() as s:
            for case in V["parse_map"]:
                if case["sep"] != ":,":
                    continue  # of another program
                done = s.cli("import", "--vault", "nitro", "-o", case["in"], stdin=alice["secret"], check=False)
                self.assertEqual(done.returncode, 2 if "error" in case else 0, done.stderr)
                if "error" in case:
                    self.assertIn(case["error"], done.stderr)


class Clients(unittest.TestCase):
    def test_authentication(self):
        cases = V["crypto"]["auth"]
        baker = next(k for k in V["keys"]["plain"] if k["pkh"] == cases[0]["target_pkh"])
        client = cases[0]["client_public_key"]
        with FakeStack(server={"authorized_keys": client}) as s:
            (s.dir / "key").write_text(baker["secret"])
            s.cli("import", "--vault", "nitro", "-f", s.dir / "key")
            s.allow(baker["pkh"], ALL)
            s.serve()
            self.assertEqual(s.request("GET", "/authorized_keys").json(), {"authorized_keys": [cases[0]["client_pkh"]]})
            for case in cases:
                message = bytes.fromhex(case["message_hex"])
                for name in ("authentication_param_edsig", "same_as_generic_sig"):
                    if case.get(name):
                        answer = s.sign(baker["pkh"], message, f"?authentication={case[name]}")
                        self.assertEqual(answer.status, 200 if message else 400, answer.body)
                if not message:  # what possession is proved with
                    get = f"/bls_prove_possession/{baker['pkh']}"
                    self.assertEqual(s.request("GET", get).status, 401)
                    answer = s.request("GET", f"{get}?authentication={case['authentication_param_edsig']}")
                    self.assertEqual((answer.status, text_of(answer)), (400, "proof of possession is not supported"))
                answer = s.sign(baker["pkh"], message)
                self.assertEqual((answer.status, text_of(answer)), (401, "missing authentication signature field"))
                answer = s.sign(baker["pkh"], message + b"\0", f"?authentication={case['authentication_param_edsig']}")
                self.assertEqual((answer.status, text_of(answer)), (403, "invalid authentication signature"))


if __name__ == "__main__":
    unittest.main()
