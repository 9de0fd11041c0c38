# SPDX-License-Identifier: Apache-2.0
"""Keys that prove where they live: over HTTP, by attest get, and by the document of their birth."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import cbor2
from cryptography import x509

from claviger_testing.nitro_document import Document, Refused
from claviger_testing.process import bin_dir, need, run
from claviger_testing.stack import Stack
from claviger_testing.tezos import base58check_decode

KINDS = {"tz1": ("Ed25519", b"\x0d\x0f\x25\xd9"), "tz2": ("Secp256k1", b"\x03\xfe\xe2\x56"),
         "tz3": ("NistP256", b"\x03\xb2\x8b\x7f"), "tz4": ("Bls", b"\x06\x95\x87\xcc")}


class KeyAttestation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tmp = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, tmp)
        cls.tmp = tmp
        cls.stack = Stack(tmp / "stack")
        cls.addClassCleanup(cls.stack.down)
        cls.stack.up()
        cls.keys = {kind: cls.stack.generate(kind) for kind in KINDS}
        cls.stack.allow(*[k["public_key_hash"] for k in cls.keys.values()])
        cls.stack.serve()
        cls.root_path = next(cls.stack.dir.rglob("root.pem"))
        cls.root = x509.load_pem_x509_certificate(cls.root_path.read_bytes())

    def statement(self, document, nonce, key, kind, origin):
        document.verify(self.root)
        self.assertEqual(document.nonce, nonce)
        self.assertIsNone(document.public_key)
        tag, scheme, public_key, found, arn, pinned = cbor2.loads(document.user_data)
        self.assertEqual((tag, scheme, found), ("claviger.key.1", KINDS[kind][0], origin))
        self.assertEqual(KINDS[kind][1] + public_key, base58check_decode(key["public_key"]))
        self.assertRegex(arn, "^arn:aws:kms:")
        return pinned

    def test_over_http(self):
        for kind, key in self.keys.items():
            pkh = key["public_key_hash"]
            for nonce in (b"", b"n", bytes(range(256)) * 2):
                reply = self.stack.request("GET", f"/keys/{pkh}/attestation?nonce={nonce.hex()}")
                self.assertEqual(reply.status, 200, reply.body)
                body = reply.json()
                self.assertEqual((body["public_key_hash"], body["public_key"], body["nonce"]),
                                 (pkh, key["public_key"], nonce.hex()))
                document = Document(base64.b64decode(body["document"]))
                self.statement(document, nonce or None, key, kind, "sealed")
            self.assertEqual(self.stack.request("GET", f"/keys/{pkh}/attestation").status, 200)

    def test_http_refusals(self):
        pkh = self.keys["tz1"]["public_key_hash"]
        for path, status in [(f"/keys/{pkh}/attestation?nonce=0", 400), (f"/keys/{pkh}/attestation?nonce=zz", 400),
                             (f"/keys/{pkh}/attestation?nonce={'00' * 513}", 400), ("/keys/tz1nonsense/attestation", 400),
                             ("/keys/tz1burnburnburnburnburnburnburjAYjjX/attestation", 404),
                             (f"/keys/{pkh}/attestations", 404), (f"/keys/{pkh}/", 404), ("/keys//attestation", 404),
                             (f"/keys/{pkh}/attestation/x", 404)]:
            self.assertEqual(self.stack.request("GET", path).status, status, path)
        self.assertEqual(self.stack.request("POST", f"/keys/{pkh}/attestation", "{}").status, 405)

    def verify(self, path, *arguments):
        return subprocess.run([str(bin_dir() / "claviger"), "attest", "verify", "--root", str(self.root_path), *arguments,
                               str(path)], capture_output=True, text=True, timeout=60)

    def test_attest_get(self):
        key = self.keys["tz4"]
        pkh = key["public_key_hash"]
        pcr0 = json.loads(run([bin_dir() / "claviger", "attest", "show", "--json", "-"], stdin=self.stack.cli(
            "attest", "get", pkh).stdout).stdout)["pcrs"]["PCR0"]
        path = self.tmp / "key.doc"
        answer = json.loads(self.stack.cli("--json", "attest", "get", pkh, "-v", "nitro", "--nonce", "aabb", "-o", path,
                                           "--root", self.root_path, "--pcr", f"0={pcr0}").stdout)
        self.assertEqual((answer["public_key_hash"], answer["nonce"], answer["verified"]), (pkh, "aabb", True))
        self.assertEqual(base64.b64decode(answer["document"]), path.read_bytes())
        self.statement(Document(path.read_bytes()), b"\xaa\xbb", key, "tz4", "sealed")
        done = self.verify(path, "--key", pkh, "--nonce", "aabb", "--pcr", f"0={pcr0}", "--max-age", "300")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(pkh, done.stdout)
        self.assertEqual(self.verify(path, "--key", self.keys["tz1"]["public_key_hash"]).returncode, 1)
        # What is expected decides, and AWS's root is the default.
        for arguments in (["--root", self.root_path, "--pcr", "0=" + "11" * 48], ["--pcr", f"0={pcr0}"]):
            refused = self.stack.cli("attest", "get", pkh, *arguments, check=False)
            self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        unknown = self.stack.cli("attest", "get", "tz1burnburnburnburnburnburnburjAYjjX", check=False)
        self.assertEqual(unknown.returncode, 1)
        self.assertIn("no vault has the key", unknown.stderr)
        for arguments in ([], ["nonsense"], [pkh, "--nonce", "x"], [pkh, "--birth", "--nonce", "aa"]):
            self.assertEqual(self.stack.cli("attest", "get", *arguments, check=False).returncode, 2)

    def test_without_our_code(self):
        """The document verified by Python's own library and the openssl command."""
        script = pathlib.Path(os.environ["CV_SOURCE_DIR"]) / "docs/examples/verify_document.py"
        for kind, key in self.keys.items():
            pkh = key["public_key_hash"]
            body = self.stack.request("GET", f"/keys/{pkh}/attestation?nonce=0102").json()
            path = self.tmp / "doc.b64"
            path.write_text(body["document"])
            done = run(["/usr/bin/python3", "-I", script, path, self.root_path, "--key", pkh, "--nonce", "0102"])
            self.assertIn(f"{pkh}: sealed, under arn:aws:kms:", done.stdout)
            other = self.keys["tz1" if kind != "tz1" else "tz2"]["public_key_hash"]
            done = run(["/usr/bin/python3", "-I", script, path, self.root_path, "--key", other], check=False)
            self.assertEqual(done.returncode, 1)

    def test_birth(self):
        for kind, key in self.keys.items():
            pkh = key["public_key_hash"]
            done = self.stack.cli("attest", "get", "--birth", "--root", self.root_path, pkh)
            document = Document(base64.b64decode(done.stdout))
            self.statement(document, None, key, kind, "generated")
        stored = json.loads((self.stack.dir / "enclave_keys.json").read_text())
        entry = next(e for e in stored if e["public_key_hash"] == pkh)
        self.assertEqual(base64.b64decode(entry["claviger_birth"]), document.raw)
        with self.assertRaises(Refused):
            document.verify(x509.load_pem_x509_certificate(
                (pathlib.Path(__file__).parent.parent / "vectors/attestation/root.pem").read_bytes()))


class DebugMode(unittest.TestCase):
    """Registers of zeros work end to end when the policy says so, and everybody says what they are worth."""

    def test_end_to_end(self):
        with tempfile.TemporaryDirectory() as name:
            with Stack(pathlib.Path(name) / "s") as stack:
                stack.up("--debug-mode")
                done = stack.cli("--json", "generate", "-v", "nitro", "-t", "tz2")
                self.assertIn("debug mode", done.stderr)
                pkh = json.loads(done.stdout)[0]["public_key_hash"]
                root = next(stack.dir.rglob("root.pem"))
                zeros = "0=" + "00" * 48
                refused = stack.cli("attest", "get", "--root", root, "--pcr", zeros, pkh, check=False)
                self.assertEqual((refused.returncode, refused.stdout), (1, ""))
                self.assertIn("debug_mode", refused.stderr)
                shown = stack.cli("attest", "get", "--root", root, "--pcr", zeros, "--allow-debug", pkh)
                self.assertIn("DEBUG MODE", shown.stderr)
                document = Document(base64.b64decode(shown.stdout))
                for index in (0, 1, 2, 8):
                    self.assertEqual(document.pcrs[index], bytes(48))
                self.assertNotEqual(document.pcrs[4], bytes(48))


if __name__ == "__main__":
    need("claviger", "claviger-local", "claviger-enclave-dev")
    unittest.main()
