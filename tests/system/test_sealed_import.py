# SPDX-License-Identifier: Apache-2.0
"""Import of keys that are sealed to an attested enclave: the protocol, what it refuses, and the command."""
import json
import pathlib
import shutil
import socket
import struct
import tempfile
import threading
import unittest

import cbor2
from cryptography import x509

from claviger_testing import hpke
from claviger_testing.enclave import Enclave, RemoteError, scratch
from claviger_testing.nitro_document import Document
from claviger_testing.process import bin_dir, need, run
from claviger_testing.stack import Stack

KEY = bytes(range(1, 33))
NONCE = b"n" * 32


class Protocol(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = scratch("sealed")
        cls.enclave = Enclave(cls.folder.name, plain_import="off").start()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.enclave.stop)
        cls.arn = cls.enclave.create_key()
        root = next(pathlib.Path(cls.folder.name).rglob("root.pem"))
        cls.root = x509.load_pem_x509_certificate(root.read_bytes())

    def session(self, **more):
        c = self.enclave.session(self.arn, describe=True, **more)
        self.addCleanup(c.close)
        return c

    def offer(self, c, nonce=NONCE):
        document = Document(c.call("ImportOffer", {"nonce": nonce}))
        document.verify(self.root)
        self.assertEqual((document.nonce, document.public_key), (nonce, None))
        tag, public_key, cmk, pinned = cbor2.loads(document.user_data)
        self.assertEqual((tag, cmk, pinned), ("claviger.import.1", self.arn, False))
        return public_key, document.user_data

    def request(self, public_key, info, plain):
        enc, ciphertext = hpke.seal(public_key, info, plain)
        return {"public_key": public_key, "enc": enc, "ciphertext": ciphertext}

    def refused(self, c, request, *texts):
        with self.assertRaises(RemoteError) as caught:
            c.call("ImportSealed", request)
        for text in texts:
            self.assertIn(text, str(caught.exception))

    def test_described(self):
        with self.enclave.client() as c:
            d = c.call("Describe")
        self.assertEqual((d["sealed_import"], d["plain_import"]), (True, False))

    def test_every_scheme(self):
        for version in (1, 2):
            c = self.session(sealed_version=version)
            for scheme in ("Ed25519", "Secp256k1", "NistP256", "Bls"):
                made = c.call("ImportSealed", self.request(*self.offer(c), cbor2.dumps({scheme: KEY})))
                self.assertEqual(set(made), {"encrypted_private_key", "public_key", "handle"})
                self.assertEqual(c.call("PublicKey", made["handle"]), made["public_key"])
                again = c.call("Import", made["encrypted_private_key"])
                self.assertEqual(again["public_key"], made["public_key"])
                statement = cbor2.loads(Document(c.call("Attest", {"handle": made["handle"]})).user_data)
                self.assertEqual(statement[3], "imported")
                self.assertNotIn(KEY, made["encrypted_private_key"])

    def test_out_of_order_ids(self):
        c = self.session()
        c.send({"id": 5, "ImportOffer": {"nonce": NONCE}})
        reply = c.receive()
        self.assertEqual(reply["id"], 5)
        self.assertIn("Ok", reply)

    def test_an_offer_serves_once(self):
        c = self.session()
        request = self.request(*self.offer(c), cbor2.dumps({"Bls": KEY}))
        c.call("ImportSealed", request)
        self.refused(c, request, "signer error", "no such offer")

    def test_a_failed_import_uses_it_up(self):
        c = self.session()
        public_key, info = self.offer(c)
        good = self.request(public_key, info, cbor2.dumps({"Bls": KEY}))
        self.refused(c, {**good, "ciphertext": good["ciphertext"][:-1] + bytes([good["ciphertext"][-1] ^ 1])}, "does not open")
        self.refused(c, good, "no such offer")

    def test_a_new_offer_replaces_the_old(self):
        c = self.session()
        old = self.request(*self.offer(c), cbor2.dumps({"Bls": KEY}))
        new = self.request(*self.offer(c), cbor2.dumps({"Bls": KEY}))
        self.assertNotEqual(old["public_key"], new["public_key"])
        self.refused(c, old, "no such offer")
        c.call("ImportSealed", new)

    def test_offers_belong_to_their_session(self):
        a, b = self.session(), self.session()
        request = self.request(*self.offer(a), cbor2.dumps({"Bls": KEY}))
        self.refused(b, request, "no such offer")
        a.call("ImportSealed", request)

    def test_what_was_sealed(self):
        for plain, text in ((b"", "deserialization error"), (b"\xff", "deserialization error"),
                            (cbor2.dumps({"Rsa": KEY}), "deserialization error"),
                            (cbor2.dumps({"Bls": KEY[:31]}), "deserialization error"),
                            (cbor2.dumps({"Secp256k1": bytes(32)}), "deserialization error"),
                            (cbor2.dumps({"NistP256": b"\xff" * 32}), "deserialization error")):
            c = self.session()
            self.refused(c, self.request(*self.offer(c), plain), text)
        # The statement is bound to what was sealed: another CMK in it does not open.
        c = self.session()
        public_key, info = self.offer(c)
        another = self.arn[:-1] + ("1" if self.arn.endswith("0") else "0")
        other = cbor2.dumps(["claviger.import.1", public_key, another, False])
        self.refused(c, self.request(public_key, other, cbor2.dumps({"Bls": KEY})), "does not open")

    def test_malformed(self):
        c = self.session()
        public_key, info = self.offer(c)
        good = self.request(public_key, info, cbor2.dumps({"Bls": KEY}))
        for bad in ({**good, "public_key": b""}, {**good, "enc": good["enc"] + b"\0"}, {**good, "ciphertext": bytes(513)},
                    {k: v for k, v in good.items() if k != "enc"}):
            self.refused(c, bad)
        for argument in ({}, {"nonce": b""}, {"nonce": bytes(513)}, None):
            with self.assertRaises(RemoteError):
                c.call("ImportOffer", argument)
        self.refused(c, {**good, "enc": bytes(32)}, "does not open")

    def test_only_after_describe_and_initialize(self):
        plain = self.enclave.session(self.arn)
        self.addCleanup(plain.close)
        with self.assertRaisesRegex(RemoteError, "unknown variant"):
            plain.call("ImportOffer", {"nonce": NONCE})
        with self.enclave.client() as c:
            c.call("Describe")
            for name, argument in (("ImportOffer", {"nonce": NONCE}),
                                   ("ImportSealed", {"public_key": KEY, "enc": KEY, "ciphertext": KEY})):
                with self.assertRaisesRegex(RemoteError, "uninitialized"):
                    c.call(name, argument)


class Meddler:
    """Between the command and the enclave: remembers requests, and may answer ImportOffer itself."""

    def __init__(self, path, target, answer=None):
        self.requests, self.answer, self.target = [], answer, str(target)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    @staticmethod
    def frame(s):
        def exactly(n):
            data = b""
            while len(data) < n:
                more = s.recv(n - len(data))
                if not more:
                    raise EOFError
                data += more
            return data
        return exactly(struct.unpack(">I", exactly(4))[0])

    def serve(self, client):
        enclave = socket.socket(socket.AF_UNIX)
        enclave.connect(self.target)
        try:
            while True:
                body = self.frame(client)
                request = cbor2.loads(body)
                self.requests.append(request)
                if self.answer and "ImportOffer" in request:
                    reply = cbor2.dumps({"id": request["id"], "Ok": self.answer(request["ImportOffer"]["nonce"])})
                else:
                    enclave.sendall(struct.pack(">I", len(body)) + body)
                    reply = self.frame(enclave)
                client.sendall(struct.pack(">I", len(reply)) + reply)
        except (EOFError, OSError):
            pass
        finally:
            client.close()
            enclave.close()

    def names(self):
        return [next(k for k in r if k != "id") for r in self.requests]

    def close(self):
        self.listener.close()


class Command(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.tmp)
        cls.stack = Stack(cls.tmp / "s")
        cls.addClassCleanup(cls.stack.down)
        cls.stack.up()
        cls.root = next(cls.stack.dir.rglob("root.pem"))
        key = cls.stack.generate("tz1")
        document = json.loads(run([bin_dir() / "claviger", "attest", "show", "--json", "-"], stdin=cls.stack.cli(
            "attest", "get", key["public_key_hash"]).stdout).stdout)
        cls.pcr0 = document["pcrs"]["PCR0"]
        cls.config = cls.stack.config.read_text()

    def through(self, answer=None):
        """The vault's enclave address leads to a Meddler."""
        path = self.tmp / f"{self.id().rsplit('.', 1)[1]}.sock"
        meddler = Meddler(path, self.stack.dir / "enclave.sock", answer)
        self.addCleanup(meddler.close)
        changed = self.config.replace(str(self.stack.dir / "enclave.sock"), str(path))
        self.assertNotEqual(changed, self.config)
        self.stack.config.write_text(changed)
        self.addCleanup(self.stack.config.write_text, self.config)
        return meddler

    def key_file(self, curve="ED25519"):
        path = self.tmp / "key.pem"
        run(["openssl", "genpkey", "-algorithm", curve, "-out", path])
        return path

    def stored(self):
        return len(json.loads((self.stack.dir / "enclave_keys.json").read_text()))

    def test_sealed_by_default(self):
        meddler = self.through()
        done = self.stack.cli("--json", "import", "-v", "nitro", "-f", self.key_file())
        self.assertIn("not verified", done.stderr)
        self.assertIn("ImportSealed", meddler.names())
        self.assertNotIn("ImportUnencrypted", meddler.names())
        self.assertRegex(json.loads(done.stdout)[0]["public_key_hash"], "^tz1")

    def test_verified(self):
        done = self.stack.cli("import", "-v", "nitro", "-f", self.key_file(), "--root", self.root, "--pcr", f"0={self.pcr0}")
        self.assertNotIn("not verified", done.stderr)

    def test_another_image_gets_nothing(self):
        meddler, before = self.through(), self.stored()
        for arguments in (["--root", self.root, "--pcr", "0=" + "11" * 48], ["--pcr", f"0={self.pcr0}"],
                          ["--root", self.root, "--role-arn", "arn:aws:iam::123456789012:role/x"]):
            done = self.stack.cli("import", "-v", "nitro", "-f", self.key_file(), *arguments, check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("the key was not sent", done.stderr)
        self.assertEqual(set(meddler.names()) & {"ImportSealed", "ImportUnencrypted"}, set())
        self.assertEqual(self.stored(), before)

    def forged(self, *, root, cmk=None, keep_nonce=True):
        """Answers ImportOffer with a document of another stand-in about a key of the meddler's."""
        def answer(nonce):
            config = self.stack.config.read_text()
            arn = cmk or config.split("encryption_key_id:")[1].split()[0].strip("\"'")
            user_data = cbor2.dumps(["claviger.import.1", bytes(range(32)), arn, True])
            run([bin_dir() / "claviger-local", "nsm", "--dir", root, "--pcr0", self.pcr0, "--document", self.tmp / "forged",
                 "--user-data", user_data.hex(), "--nonce", (nonce if keep_nonce else b"x").hex()])
            return (self.tmp / "forged").read_bytes()
        return answer

    def meddled(self, answer, text):
        meddler, before = self.through(answer), self.stored()
        done = self.stack.cli("import", "-v", "nitro", "-f", self.key_file(), "--root", self.root, "--pcr",
                              f"0={self.pcr0}", check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(text, done.stderr)
        self.assertEqual(set(meddler.names()) & {"ImportSealed", "ImportUnencrypted"}, set())
        self.assertEqual(self.stored(), before)

    def test_a_forged_offer(self):
        self.meddled(self.forged(root=self.tmp / "other-root"), "untrusted_root")

    def test_an_offer_of_another_time(self):
        self.meddled(self.forged(root=self.root.parent, keep_nonce=False), "nonce_mismatch")

    def test_another_cmk(self):
        self.meddled(self.forged(root=self.root.parent, cmk="arn:aws:kms:us-west-2:111122223333:key/evil"),
                     "not under the vault's CMK")

    def test_no_document(self):
        self.meddled(lambda nonce: b"nonsense", "the key was not sent")

    def test_plain(self):
        meddler = self.through()
        self.stack.cli("import", "-v", "nitro", "-f", self.key_file(), "--plain")
        self.assertIn("ImportUnencrypted", meddler.names())
        done = self.stack.cli("import", "-v", "nitro", "-f", self.key_file(), "--plain", "--pcr", f"0={self.pcr0}", check=False)
        self.assertEqual(done.returncode, 2)


if __name__ == "__main__":
    need("claviger", "claviger-local", "claviger-enclave-dev")
    unittest.main()
