# SPDX-License-Identifier: Apache-2.0
"""The stand-in's documents, verified by cbor2 and cryptography, and by OpenSSL's command line."""
import hashlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import unittest

import cbor2
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from claviger_testing.nitro_document import Document, Refused, measure, measure_text
from claviger_testing.process import Program, bin_dir, need, run

VECTORS = pathlib.Path(os.environ["CV_VECTORS"]) / "attestation"
ROLE = "arn:aws:iam::123456789012:role/Webserver"
PCR0 = "ab" * 48


class Nsm:
    """A client of the stand-in's socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(path))

    def ask(self, request):
        data = cbor2.dumps(request)
        self.socket.sendall(len(data).to_bytes(4, "big") + data)
        return cbor2.loads(self.receive(int.from_bytes(self.receive(4), "big")))

    def receive(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError
            data += more
        return data

    def document(self, **fields):
        request = {"user_data": None, "nonce": None, "public_key": None, **fields}
        return Document(self.ask({"Attestation": request})["Attestation"]["document"])

    def close(self):
        self.socket.close()


class StandIn(unittest.TestCase):
    options = []

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir)
        self.program = Program([bin_dir() / "claviger-local", "nsm", "--dir", self.dir / "state",
                                "--socket", self.dir / "nsm.sock", "--role-arn", ROLE,
                                "--instance-id", "i-0123456789abcdef0", *self.options], self.dir / "log")
        self.addCleanup(self.program.stop)
        self.program.wait_line("ready")
        self.root = x509.load_pem_x509_certificate((self.dir / "state/root.pem").read_bytes())
        self.nsm = Nsm(self.dir / "nsm.sock")
        self.addCleanup(self.nsm.close)

    def check_with_openssl(self, document):
        """The chain by `openssl verify`, without a line of our own."""
        names = []
        for i, cert in enumerate(document.bundle[1:] + [document.leaf]):
            names.append(self.dir / f"{i}.pem")
            names[-1].write_bytes(cert.public_bytes(serialization.Encoding.PEM))
        (self.dir / "between.pem").write_bytes(b"".join(n.read_bytes() for n in names[:-1]))
        done = run(["openssl", "verify", "-CAfile", self.dir / "state/root.pem", "-no-CApath", "-no-CAstore",
                    "-untrusted", self.dir / "between.pem", "-show_chain", names[-1]])
        self.assertIn("OK", done.stdout)
        self.assertIn("depth=4", done.stdout)

    def check_signature_with_openssl(self, document):
        der = cbor2.dumps(["Signature1", document.protected, b"", document.payload_bytes])
        (self.dir / "signed").write_bytes(der)
        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
        r, s = (int.from_bytes(document.signature[i:i + 48], "big") for i in (0, 48))
        (self.dir / "sig").write_bytes(encode_dss_signature(r, s))
        (self.dir / "key.pem").write_bytes(document.leaf.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
        run(["openssl", "dgst", "-sha384", "-verify", self.dir / "key.pem", "-signature", self.dir / "sig",
             self.dir / "signed"])


class Plain(StandIn):
    options = ["--pcr0", PCR0, "--pcr", "8=" + "cd" * 48]

    def test_document(self):
        document = self.nsm.document(nonce=b"n" * 32, user_data=b"", public_key=b"k" * 1024)
        document.verify(self.root)
        self.check_with_openssl(document)
        self.check_signature_with_openssl(document)
        self.assertEqual(document.raw[0], 0x84)
        self.assertEqual(document.payload_bytes[0], 0xa9)
        self.assertEqual(document.payload_bytes[document.payload_bytes.index(b"timestamp") + 9], 0x1b)
        self.assertEqual((document.nonce, document.user_data, document.public_key),
                         (b"n" * 32, b"", b"k" * 1024))
        self.assertEqual(document.digest, "SHA384")
        self.assertRegex(document.module_id, r"^i-0123456789abcdef0-enc[0-9a-f]{16}$")
        self.assertEqual(sorted(document.pcrs), list(range(16)))
        self.assertEqual(document.pcrs[0].hex(), PCR0)
        self.assertEqual(document.pcrs[3], measure_text(ROLE))
        self.assertEqual(document.pcrs[4], measure_text("i-0123456789abcdef0"))
        self.assertEqual(document.pcrs[8].hex(), "cd" * 48)
        self.assertEqual(document.pcrs[15], bytes(48))
        self.assertIsNone(self.nsm.document().nonce)

    def test_certificates_look_like_aws(self):
        document = self.nsm.document()
        root, regional, zonal, instance = document.bundle
        day = 86400
        for cert, low, high in [(root, 29 * 365 * day, 31 * 365 * day), (regional, 20 * day, 21 * day),
                                (zonal, 6 * day, 7 * day), (instance, day, day + 7200),
                                (document.leaf, 3 * 3600, 3 * 3600 + 60)]:
            life = (cert.not_valid_after - cert.not_valid_before).total_seconds()
            self.assertTrue(low <= life <= high, life)
            self.assertEqual(cert.signature_algorithm_oid.dotted_string, "1.2.840.10045.4.3.3")
            self.assertEqual(cert.public_key().curve.name, "secp384r1")
        for cert, length in [(root, None), (regional, 2), (zonal, 1), (instance, 0)]:
            constraints = cert.extensions.get_extension_for_class(x509.BasicConstraints)
            self.assertTrue(constraints.critical)
            self.assertEqual(constraints.value.path_length, length)
            self.assertTrue(cert.extensions.get_extension_for_class(x509.KeyUsage).critical)
        usage = document.leaf.extensions.get_extension_for_class(x509.KeyUsage)
        self.assertFalse(usage.critical)
        self.assertTrue(usage.value.digital_signature and usage.value.content_commitment)
        for cert in document.bundle + [document.leaf]:
            text = cert.subject.rfc4514_string() + cert.issuer.rfc4514_string()
            self.assertNotIn("Amazon", text)
            self.assertNotIn("aws.nitro", text)
            self.assertIn("Not AWS", text)

    def test_leaf_is_reused_and_documents_differ(self):
        first, second = self.nsm.document(), self.nsm.document()
        self.assertEqual(first.certificate, second.certificate)
        self.assertNotEqual(first.signature, second.signature)

    def test_registers(self):
        ask = self.nsm.ask
        self.assertEqual(ask({"DescribePCR": {"index": 16}})["DescribePCR"], {"lock": False, "data": bytes(48)})
        value = hashlib.sha384(bytes(48) + b"abc").digest()
        self.assertEqual(ask({"ExtendPCR": {"index": 16, "data": b"abc"}}), {"ExtendPCR": {"data": value}})
        self.assertNotIn(16, self.nsm.document().pcrs)
        self.assertEqual(ask({"LockPCR": {"index": 16}}), "LockPCR")
        self.assertEqual(ask({"ExtendPCR": {"index": 16, "data": b"abc"}}), {"Error": "ReadOnlyIndex"})
        document = self.nsm.document()
        document.verify(self.root)
        self.assertEqual(document.pcrs[16], value)
        # One state for all clients, as the enclave has one NSM.
        other = Nsm(self.dir / "nsm.sock")
        self.addCleanup(other.close)
        self.assertEqual(other.ask({"LockPCRs": {"range": 32}}), "LockPCRs")
        document = self.nsm.document(nonce=b"n" * 1024, user_data=b"u" * 1024, public_key=b"k" * 1024)
        self.assertEqual(sorted(document.pcrs), list(range(32)))
        document.verify(self.root)
        description = ask("DescribeNSM")["DescribeNSM"]
        self.assertEqual(description["locked_pcrs"], list(range(32)))
        self.assertEqual((description["max_pcrs"], description["digest"]), (32, "SHA384"))

    def test_randomness(self):
        first, second = (self.nsm.ask("GetRandom")["GetRandom"]["random"] for _ in range(2))
        self.assertEqual((len(first), len(second)), (256, 256))
        self.assertNotEqual(first, second)

    def test_hostile_clients(self):
        big = Nsm(self.dir / "nsm.sock")
        big.socket.sendall((1 << 31).to_bytes(4, "big") + b"x" * 100)
        with self.assertRaises((EOFError, ConnectionError)):
            big.receive(1)
        big.close()
        slow = [Nsm(self.dir / "nsm.sock") for _ in range(20)]
        for client in slow:
            client.socket.sendall(b"\0\0\0\x0aG")
        self.assertIn("GetRandom", self.nsm.ask("GetRandom"))
        # Two requests in one write are answered in order.
        data = b"".join(len(d).to_bytes(4, "big") + d for d in (cbor2.dumps("DescribeNSM"), cbor2.dumps("GetRandom")))
        slow[0].close()
        pipelined = Nsm(self.dir / "nsm.sock")
        pipelined.socket.sendall(data)
        replies = [cbor2.loads(pipelined.receive(int.from_bytes(pipelined.receive(4), "big"))) for _ in range(2)]
        self.assertEqual([next(iter(r)) for r in replies], ["DescribeNSM", "GetRandom"])
        for client in [*slow[1:], pipelined]:
            client.close()
        self.assertEqual(self.nsm.ask({"Nonsense": 1}), {"Error": "InvalidOperation"})

    def test_root_is_kept(self):
        self.assertEqual(self.program.stop(), 0)
        self.assertFalse((self.dir / "nsm.sock").exists())
        key = self.dir / "state/root.key"
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        again = Program([bin_dir() / "claviger-local", "nsm", "--dir", self.dir / "state", "--pcr0", PCR0],
                        self.dir / "log2")
        self.addCleanup(again.stop)
        again.wait_line("ready")
        client = Nsm(self.dir / "state/nsm.sock")
        self.addCleanup(client.close)
        client.document().verify(self.root)
        # The same place twice at once is refused.
        twice = run([bin_dir() / "claviger-local", "nsm", "--dir", self.dir / "state"], check=False)
        self.assertEqual(twice.returncode, 1)
        self.assertIn("another process serves", twice.stderr)


class Shapes(StandIn):
    options = ["--pcr0", PCR0, "--indefinite", "--tagged"]

    def test_document(self):
        document = self.nsm.document(nonce=b"n")
        self.assertEqual(document.raw[:2], b"\xd2\x84")
        self.assertEqual((document.payload_bytes[0], document.payload_bytes[-1]), (0xbf, 0xff))
        document.verify(self.root)
        self.check_with_openssl(document)


class Debug(StandIn):
    options = ["--pcr0", PCR0, "--pcr", "8=" + "cd" * 48, "--debug-mode"]

    def test_document(self):
        document = self.nsm.document()
        document.verify(self.root)
        for index in (0, 1, 2, 8):
            self.assertEqual(document.pcrs[index], bytes(48))
        self.assertEqual(document.pcrs[3], measure_text(ROLE))
        self.assertNotEqual(document.pcrs[4], bytes(48))


class Measured(unittest.TestCase):
    def test_files(self):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            (folder / "program").write_bytes(os.urandom(200000))
            (folder / "settings").write_bytes(b"region=local-1\n")
            run([bin_dir() / "claviger-local", "nsm", "--dir", folder / "state", "--measure", folder / "program",
                 "--measure", folder / "settings", "--document", folder / "doc"])
            document = Document((folder / "doc").read_bytes())
            program, settings = ((folder / n).read_bytes() for n in ("program", "settings"))
            self.assertEqual(document.pcrs[0], measure(program + settings))
            self.assertEqual(document.pcrs[1], measure(program))
            self.assertEqual(document.pcrs[2], measure(settings))
            document.verify(x509.load_pem_x509_certificate((folder / "state/root.pem").read_bytes()))

    def test_usage(self):
        for arguments, text in [([], "--dir"), (["--dir", "x", "--pcr0", "12"], "96 hex"),
                                (["--dir", "x", "--pcr", "32=" + "00" * 48], "0 to 31"),
                                (["--dir", "x", "--nonsense"], "unknown option"), (["--dir", "x", "y"], "operands")]:
            done = run([bin_dir() / "claviger-local", "nsm", *arguments], check=False)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(text, done.stderr)


class Vectors(unittest.TestCase):
    def test_expected(self):
        import json
        expected = json.loads((VECTORS / "expected.json").read_text())
        self.assertEqual(sorted(expected), sorted(p.name for p in VECTORS.glob("*.cbor")))
        for name, want in expected.items():
            document = Document((VECTORS / name).read_bytes())
            root = x509.load_pem_x509_certificate((VECTORS / want["root"]).read_bytes())
            document.verify(root)
            self.assertEqual(list(document.window()), want["window"])
            self.assertEqual({str(k): v.hex() for k, v in document.pcrs.items() if any(v)}, want["pcrs"])
            other = "root.pem" if want["root"] != "root.pem" else "other-root.pem"
            with self.assertRaises(Refused):
                document.verify(x509.load_pem_x509_certificate((VECTORS / other).read_bytes()))


if __name__ == "__main__":
    need("claviger-local")
    unittest.main()
