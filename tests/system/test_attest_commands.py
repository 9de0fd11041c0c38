# SPDX-License-Identifier: Apache-2.0
"""claviger attest show and verify, on documents of the stand-in and (where they are at hand) of AWS."""
import base64
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import cbor2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from claviger_testing.nitro_document import Document
from claviger_testing.process import bin_dir, need, run
from claviger_testing.tezos import base58check_encode

VECTORS = pathlib.Path(os.environ["CV_VECTORS"]) / "attestation"
EXPECTED = json.loads((VECTORS / "expected.json").read_text())
ROOT = VECTORS / "root.pem"
REAL = pathlib.Path(os.environ["CV_SHARED"]) / "attestation-docs"
ROLE = "arn:aws:iam::123456789012:role/Webserver"
GOOD = VECTORS / "indefinite-all-fields.cbor"


def claviger(*arguments, check=False, stdin=None):
    return subprocess.run([str(bin_dir() / "claviger"), *map(str, arguments)], input=stdin,
                          capture_output=True, timeout=60, check=check)


def verify(*arguments, stdin=None):
    return claviger("attest", "verify", *arguments, stdin=stdin)


class Show(unittest.TestCase):
    def test_json(self):
        for name, want in EXPECTED.items():
            shown = json.loads(claviger("attest", "show", "--json", VECTORS / name, check=True).stdout)
            self.assertEqual(shown["module_id"], want["module_id"])
            self.assertEqual(shown["timestamp"], want["timestamp"])
            self.assertEqual((shown["tagged"], shown["indefinite"]), (want["tagged"], want["indefinite"]))
            self.assertEqual(len(shown["pcrs"]), want["registers"])
            for register, value in shown["pcrs"].items():
                self.assertEqual(value, want["pcrs"].get(register[3:], "00" * 48))
            for field in ("public_key", "user_data", "nonce"):
                self.assertEqual(shown[field], want[field])
            self.assertEqual(shown["debug_mode"], name == "debug.cbor")
            self.assertFalse(shown["verified"])
            self.assertEqual([c["role"] for c in shown["certificates"]],
                             ["root", "regional", "zonal", "instance", "enclave"])
            der = Document((VECTORS / name).read_bytes()).cabundle[0]
            self.assertEqual(shown["certificates"][0]["sha256"], hashlib.sha256(der).hexdigest())
            self.assertEqual(set(shown["meaning"]), {"PCR0", "PCR1", "PCR2", "PCR3", "PCR4", "PCR8"})

    def test_text(self):
        text = claviger("attest", "show", GOOD, check=True).stdout.decode()
        for part in ("i-0123456789abcdef0-enc0123456789abcdef", '"nonce"', "it is i-0123456789abcdef0", "NOT AWS's"):
            self.assertIn(part, text)
        self.assertNotIn("DEBUG", text)
        debug = claviger("attest", "show", VECTORS / "debug.cbor", check=True).stdout.decode()
        self.assertTrue(debug.startswith("DEBUG MODE"))

    def test_encodings(self):
        raw = GOOD.read_bytes()
        want = claviger("attest", "show", GOOD, check=True).stdout
        for text in (raw, base64.encodebytes(raw), raw.hex().encode(), raw.hex().upper().encode() + b"\n"):
            self.assertEqual(claviger("attest", "show", "-", stdin=text, check=True).stdout, want)

    def test_refusals(self):
        for content, status in ((b"", 1), (b"hello", 1), (GOOD.read_bytes()[:-1], 1), (b"x" * 200000, 1)):
            done = claviger("attest", "show", "-", stdin=content)
            self.assertEqual((done.returncode, done.stdout), (status, b""))
        self.assertEqual(claviger("attest", "show").returncode, 2)
        self.assertEqual(claviger("attest", "show", "a", "b").returncode, 2)
        self.assertEqual(claviger("attest", "show", "/nonexistent").returncode, 1)


class Verify(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)

    def accepted(self, *arguments):
        done = verify(*arguments)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done

    def refused(self, code, *arguments):
        done = verify("--json", *arguments)
        self.assertEqual(done.returncode, 1, (arguments, done.stderr.decode()))
        answer = json.loads(done.stdout)
        self.assertEqual((answer["verified"], answer["code"]), (False, code))
        self.assertIn(code.encode(), done.stderr)
        return answer

    def test_roots(self):
        self.refused("untrusted_root", GOOD)
        self.accepted(GOOD, "--root", ROOT)
        self.refused("untrusted_root", GOOD, "--root", VECTORS / "other-root.pem")
        self.accepted(VECTORS / "other-root.cbor", "--root", VECTORS / "other-root.pem")
        der = self.dir / "root.der"
        run(["openssl", "x509", "-in", ROOT, "-outform", "DER", "-out", der])
        answer = json.loads(self.accepted("--json", GOOD, "--root", der).stdout)
        self.assertTrue(answer["verified"])
        (self.dir / "junk").write_text("junk")
        self.refused("argument", GOOD, "--root", self.dir / "junk")

    def test_times(self):
        first, last = EXPECTED[GOOD.name]["window"]
        for seconds, code in ((first, None), (last, None), (first - 1, "not_yet_valid"), (last + 1, "expired"),
                              (0, "not_yet_valid")):
            at = datetime.datetime.utcfromtimestamp(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")
            if code is None:
                self.accepted(GOOD, "--root", ROOT, "--time", at)
            else:
                self.refused(code, GOOD, "--root", ROOT, "--time", at)
        self.assertEqual(verify(GOOD, "--root", ROOT, "--time", "yesterday").returncode, 2)

    def test_age(self):
        stamp = EXPECTED[GOOD.name]["timestamp"] // 1000
        at = datetime.datetime.utcfromtimestamp(stamp + 100).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.accepted(GOOD, "--root", ROOT, "--time", at, "--max-age", 101)
        self.refused("too_old", GOOD, "--root", ROOT, "--time", at, "--max-age", 98)
        self.refused("too_old", GOOD, "--root", ROOT, "--time", at, "--max-age", 0)
        self.accepted(GOOD, "--root", ROOT, "--time", at, "--max-age", 3153600000)
        for bad in ("", "x", "-1", "1.5", "99999999999"):
            self.assertEqual(verify(GOOD, "--root", ROOT, "--max-age", bad).returncode, 2, bad)
        self.fresh("--nonce", "aa")
        self.accepted(self.dir / "doc", "--root", self.dir / "state/root.pem", "--max-age", 300)
        self.accepted(self.dir / "doc", "--root", self.dir / "state/root.pem", "--max-age", 300, "--time", "now")

    def fresh(self, *options):
        run([bin_dir() / "claviger-local", "nsm", "--dir", self.dir / "state", "--document", self.dir / "doc", "--pcr0",
             "ab" * 48, *options])

    def test_debug(self):
        self.refused("debug_mode", VECTORS / "debug.cbor", "--root", ROOT)
        done = self.accepted(VECTORS / "debug.cbor", "--root", ROOT, "--allow-debug")
        self.assertIn(b"DEBUG MODE", done.stderr)

    def test_registers(self):
        pcrs = EXPECTED[GOOD.name]["pcrs"]
        self.accepted(GOOD, "--root", ROOT, "--pcr", "0=" + pcrs["0"], "--pcr", "PCR1=" + pcrs["1"].upper())
        answer = self.refused("pcr_mismatch", GOOD, "--root", ROOT, "--pcr", "1=" + pcrs["0"])
        self.assertEqual(answer["field"], "pcrs[1]")
        self.assertIn(pcrs["0"], answer["message"])
        self.refused("pcr_mismatch", GOOD, "--root", ROOT, "--pcr", "16=" + "00" * 48)
        self.accepted(GOOD, "--root", ROOT, "--role-arn", ROLE, "--instance-id", "i-0123456789abcdef0")
        self.refused("pcr_mismatch", GOOD, "--root", ROOT, "--role-arn", ROLE + "s")
        self.refused("pcr_mismatch", GOOD, "--root", ROOT, "--instance-id", "i-0123456789abcdef1")
        for bad in ("0", "0=12", "32=" + "00" * 48, "-1=" + "00" * 48, "x=" + "00" * 48, "0=" + "zz" * 48):
            self.assertEqual(verify(GOOD, "--root", ROOT, "--pcr", bad).returncode, 2, bad)
        done = verify(GOOD, "--root", ROOT, "--pcr", "3=" + "00" * 48, "--role-arn", ROLE)
        self.assertEqual(done.returncode, 2)
        self.assertIn(b"another value of PCR3", done.stderr)

    def test_pcrs_files(self):
        pcrs = EXPECTED[GOOD.name]["pcrs"]
        measured = {"HashAlgorithm": "Sha384 { ... }", "PCR0": pcrs["0"], "PCR1": pcrs["1"], "PCR2": pcrs["2"]}
        path = self.dir / "pcrs.json"
        for shape in (measured, {"Measurements": measured}, {"EifVersion": 4, "Measurements": measured},
                      [{"EnclaveName": "x", "Measurements": measured}]):
            path.write_text(json.dumps(shape))
            self.accepted(GOOD, "--root", ROOT, "--pcrs", path)
        path.write_text(json.dumps({"Measurements": {**measured, "PCR2": "11" * 48}}))
        self.refused("pcr_mismatch", GOOD, "--root", ROOT, "--pcrs", path)
        for bad in ("{}", "[]", "nonsense", '{"PCR0":1}', '{"PCR0":"12"}'):
            path.write_text(bad)
            self.assertIn(verify(GOOD, "--root", ROOT, "--pcrs", path).returncode, (1, 2), bad)

    def test_image(self):
        image = self.dir / "image.eif"
        image.write_bytes((VECTORS.parent / "eif/plain.eif").read_bytes())
        measured = json.loads(claviger("eif", "pcr", "--json", image, check=True).stdout)["Measurements"]
        run([bin_dir() / "claviger-local", "nsm", "--dir", self.dir / "state", "--document", self.dir / "doc",
             *[x for i in range(3) for x in ("--pcr", f"{i}={measured[f'PCR{i}']}")]])
        root = self.dir / "state/root.pem"
        self.accepted(self.dir / "doc", "--root", root, "--eif", image)
        self.refused("pcr_mismatch", GOOD, "--root", ROOT, "--eif", image)
        image.write_bytes(image.read_bytes()[:-1])
        self.assertEqual(verify(self.dir / "doc", "--root", root, "--eif", image).returncode, 1)

    def test_fields(self):
        self.accepted(GOOD, "--root", ROOT, "--nonce", b"nonce".hex(), "--user-data", b"user".hex(),
                      "--module-id", "i-0123456789abcdef0-enc0123456789abcdef")
        self.refused("nonce_mismatch", GOOD, "--root", ROOT, "--nonce", "00")
        self.refused("nonce_mismatch", VECTORS / "definite-nulls.cbor", "--root", ROOT, "--nonce", "00")
        self.accepted(VECTORS / "tagged-signed-image.cbor", "--root", ROOT, "--nonce", "")
        self.refused("user_data_mismatch", GOOD, "--root", ROOT, "--user-data", "")
        self.refused("module_id_mismatch", GOOD, "--root", ROOT, "--module-id", "i-0123456789abcdef0")
        der = bytes.fromhex(EXPECTED[GOOD.name]["public_key"])
        (self.dir / "key.der").write_bytes(der)
        (self.dir / "key.pem").write_bytes(serialization.load_der_public_key(der).public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        for name in ("key.der", "key.pem"):
            self.accepted(GOOD, "--root", ROOT, "--public-key", self.dir / name)
        other = rsa.generate_private_key(65537, 2048).public_key()
        (self.dir / "key.pem").write_bytes(other.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        self.refused("public_key_mismatch", GOOD, "--root", ROOT, "--public-key", self.dir / "key.pem")
        self.assertEqual(verify(GOOD, "--root", ROOT, "--nonce", "xyz").returncode, 2)

    def test_statement_about_a_key(self):
        key = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        digest = hashlib.blake2b(key, digest_size=20).digest()
        pkh = base58check_encode(bytes([6, 161, 159]) + digest)
        arn = "arn:aws:kms:us-west-2:123456789012:key/771dfdac-e8e9-4f40-9747-f56d0911fce4"
        good = ["claviger.key.1", "Ed25519", key, "generated", arn, True]
        root = self.dir / "state/root.pem"
        self.fresh("--user-data", cbor2.dumps(good).hex())
        answer = json.loads(self.accepted("--json", self.dir / "doc", "--root", root, "--key", pkh).stdout)
        self.assertEqual(answer["key"]["public_key_hash"], pkh)
        self.assertEqual((answer["key"]["origin"], answer["key"]["cmk"], answer["key"]["pinned"]),
                         ("generated", arn, True))
        other = base58check_encode(bytes([6, 161, 159]) + bytes(20))
        self.refused("key_mismatch", self.dir / "doc", "--root", root, "--key", other)
        self.assertEqual(verify(self.dir / "doc", "--root", root, "--key", "tz1nonsense").returncode, 2)
        for bad in (good[:5], [*good, 1], ["claviger.key.2", *good[1:]], [good[0], "Rsa", *good[2:]],
                    [good[0], good[1], key[:31], *good[3:]], [*good[:3], "imagined", *good[4:]],
                    [*good[:4], "arn\n", True], [*good[:5], 1]):
            self.fresh("--user-data", cbor2.dumps(bad).hex())
            self.refused("key_mismatch", self.dir / "doc", "--root", root, "--key", pkh)
        # With a public key it could serve as a KMS recipient: no statement.
        (self.dir / "k").write_bytes(b"k")
        self.fresh("--user-data", cbor2.dumps(good).hex(), "--public-key", self.dir / "k")
        self.refused("key_mismatch", self.dir / "doc", "--root", root, "--key", pkh)

    def test_real_documents(self):
        if not REAL.is_dir():
            self.skipTest("AWS's documents are not at hand")
        for path in sorted(REAL.glob("*.cbor")):
            if "BADSIG" in path.name:
                self.refused("bad_signature", path)
            elif "debug" in path.name:
                self.refused("debug_mode", path)
                self.accepted(path, "--allow-debug")
            else:
                self.accepted(path)
                self.refused("expired", path, "--time", "now")
                self.refused("too_old", path, "--max-age", 300)


class WithoutOurCode(unittest.TestCase):
    """docs/examples/verify_document.py: Python's own library and the openssl command."""

    SCRIPT = pathlib.Path(os.environ["CV_SOURCE_DIR"]) / "docs/examples/verify_document.py"

    def judge(self, document, root, *arguments):
        done = subprocess.run(["/usr/bin/python3", "-I", str(self.SCRIPT), str(document), str(root), *arguments],
                              capture_output=True, text=True, timeout=60)
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, done.stdout + done.stderr

    def test_agrees_with_ours(self):
        pcr0 = EXPECTED[GOOD.name]["pcrs"]["0"]
        first, last = EXPECTED[GOOD.name]["window"]
        for name, want in EXPECTED.items():
            for root in ("root.pem", "other-root.pem"):
                good = root == want["root"] and name != "debug.cbor"
                self.assertEqual(self.judge(VECTORS / name, VECTORS / root)[0], 0 if good else 1, name)
        for arguments, status in ((["--pcr", f"0={pcr0}", "--nonce", b"nonce".hex()], 0), (["--nonce", "00"], 1),
                                  (["--pcr", "0=" + "11" * 48], 1), (["--time", str(first)], 0),
                                  (["--time", str(first - 1)], 1), (["--time", str(last + 1)], 1)):
            code, text = self.judge(GOOD, ROOT, *arguments)
            self.assertEqual(code, status, text)

    def test_changed_documents(self):
        with tempfile.TemporaryDirectory() as name:
            changed, raw = pathlib.Path(name) / "doc", bytearray(GOOD.read_bytes())
            for at in (len(raw) - 1, len(raw) - 90, 700):
                raw[at] ^= 1
                changed.write_bytes(raw)
                self.assertEqual(self.judge(changed, ROOT)[0], 1)
                raw[at] ^= 1


if __name__ == "__main__":
    need("claviger", "claviger-local")
    unittest.main()
