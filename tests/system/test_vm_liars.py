# SPDX-License-Identifier: Apache-2.0
"""A parent that lies to the signer's image in a virtual machine: certificates,
credentials, blobs, data keys, frames. One machine for all of it; after every lie
the connection that was there before signs with the key that it had: neither the
machine nor the signer in it began anew. Then machines whose NSM is not sound."""

import atexit
import json
import os
import pathlib
import random
import re
import socket
import struct
import tempfile
import time
import unittest

from cryptography.hazmat.primitives.serialization import Encoding

from claviger_testing import gateway, process, tezos, vm, wrong_frames
from claviger_testing.enclave import RemoteError
from claviger_testing.kms import Kms
from claviger_testing.parent import wait_until

process.need("claviger", "claviger-local", "claviger-enclave", "claviger-init-small")
if process.sanitized():
    process.skip("programs built with sanitizers cannot be linked statically")
vm.root()
LONG = os.environ.get("CV_VM_LONG") == "1"
TYPES = ("Ed25519", "Secp256k1", "NistP256", "Bls")

# What the KMS stand-in does to the reply of GenerateDataKey or Decrypt, and what the
# enclave's sentence has to say of it.
DATA_KEYS = (
    ("plaintext", ""), ("plaintext-and-cms", "Plaintext"), ("wrong-key-id", "another key"), ("no-key-id", ""),
    ("cms-other-key", ""), ("cms-bad-padding", ""), ("cms-sha1", ""), ("cms-truncated", ""),
    ("cms-trailing", ""), ("cms-garbage", ""), ("short-key", ""), ("garbage", ""), ("empty", ""), ("empty-object", ""),
    ("wrong-types", ""), ("bad-base64", ""), ("huge", ""), ("clock", ""))


class Liars(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cv-vl-")
        cls.dir = pathlib.Path(cls.folder.name)
        cls.addClassCleanup(cls.folder.cleanup)
        cls.stack = vm.VmStack(cls.dir / "s")
        atexit.register(cls.stack.down)
        cls.addClassCleanup(cls.stack.down)
        cls.add_principals()
        cls.host = f"kms.{cls.stack.kms.region()}.amazonaws.com"
        cls.image = cls.dir / "signer.eif"
        cls.stack.build(cls.image)
        cls.stack.bind(cls.image)
        cls.stack.vm_dir.mkdir(mode=0o700)
        cls.honest = staticmethod(gateway.to_port(cls.stack.kms.port))
        cls.gateway = gateway.Gateway(cls.stack.vm_dir / "vm.vsock_8000", cls.honest)
        cls.addClassCleanup(cls.gateway.close)
        cls.stack.boot(cls.image)
        cls.machine = cls.stack.vm.describe()
        cls.good = cls.session()
        cls.addClassCleanup(cls.good.close)
        cls.keys = [cls.good.call("GenerateAndImport", kind) for kind in TYPES]

    @classmethod
    def add_principals(cls):
        """Somebody else's role of the same account, and one whose session is over."""
        kms, port = cls.stack.kms, cls.stack.kms.port
        kms.stop()
        state = json.loads(kms.state.read_text())
        cls.role = next(p for p in state["principals"] if p.get("role_arn"))
        cls.other = {**cls.role, "access_key_id": "ASIAOTHEROTHEROTHER0", "session_token": "other-token",
                     "arn": cls.role["arn"].replace("assumed-role/", "assumed-role/other-"),
                     "role_arn": cls.role["role_arn"].replace("role/", "role/other-")}
        cls.expired = {**cls.role, "access_key_id": "ASIAEXPIREDEXPIRED00", "session_token": "expired-token",
                       "expires": "2020-01-01T00:00:00Z"}
        state["principals"] += [cls.other, cls.expired]
        kms.state.write_text(json.dumps(state))
        cls.stack.kms = Kms(cls.stack.dir, "--root", cls.stack.dir / "nsm" / "root.pem", port=port)

    @classmethod
    def connect(cls):
        return wrong_frames.VsockClient(cls.stack.vm_dir / "vm.vsock")

    @classmethod
    def credentials(cls, who=None, **replace):
        who = who or cls.role
        return {"access_key_id": who["access_key_id"], "secret_access_key": who["secret_access_key"],
                "session_token": who["session_token"], "encryption_key_id": cls.stack.conf["cmk_arn"],
                "region": cls.stack.kms.region(), **replace}

    @classmethod
    def session(cls, who=None, **replace):
        c = cls.connect()
        try:
            c.call("Describe")
            c.call("Initialize", cls.credentials(who, **replace))
        except BaseException:
            c.close()
            raise
        return c

    def setUp(self):
        self.addCleanup(self.assert_same_boot)

    def assert_same_boot(self):
        """The connection from before all lies signs, with its key, in the same machine."""
        message = random.randbytes(40)
        signature = self.good.call("Sign", {"handle": 0, "message": message, "version": 2})
        self.assertTrue(tezos.verify_values(self.keys[0]["public_key"], signature, message))
        now = self.stack.vm.describe()
        self.assertEqual((now["HypervisorPID"], now["EnclaveID"], now["State"]),
                         (self.machine["HypervisorPID"], self.machine["EnclaveID"], "RUNNING"))

    def refused(self, call, *words):
        """CALL is answered with an error that says WORDS; the machine is the same."""
        with self.assertRaises(RemoteError) as caught:
            call()
        said = " -> ".join(caught.exception.chain)
        self.assertGreater(len(said), 20)
        self.assertNotIn(self.role["secret_access_key"], said)
        for word in words:
            self.assertIn(word, said)
        self.assert_same_boot()
        return said

    # ---- who answers for AWS ----

    def lie_about_aws(self, serve, *words):
        self.gateway.switch(serve)
        try:
            with self.session() as c:
                return self.refused(lambda: c.call("Generate", "Ed25519"), *words)
        finally:
            self.gateway.switch(self.honest)

    def test_certificates(self):
        for name, impostor in gateway.impostors(self.dir, self.stack.dir / "ca.pem", self.host).items():
            with self.subTest(name):
                said = self.lie_about_aws(impostor, "TLS" if name.startswith("TLS") else "certificate")
                self.assertIn(self.host, said)
                self.assertEqual(impostor.heard, b"")

    def test_the_right_certificate_is_taken(self):
        """What refuses the others is the certificate: the same server with AWS's name is heard."""
        authority = gateway.read_authority(self.stack.dir / "ca.pem")
        right = gateway.certificate(self.host, authority)
        reply = b'HTTP/1.1 400 Bad\r\nContent-Length: 41\r\n\r\n{"__type":"Xy","message":"I am the right"}'
        impostor = gateway.Impostor(self.dir, "right", [right[0], authority[0]], right[1],
                                    reply.replace(b"41", b"%d" % len(reply.split(b"\r\n\r\n")[1])))
        self.lie_about_aws(impostor, "I am the right")
        self.assertIn(b"TrentService.GenerateDataKey", impostor.heard)

    def test_another_kms(self):
        """One with the same keys and another authority, as a parent could run it."""
        other = self.dir / "other"
        other.mkdir()
        state = other / "kms.json"
        state.write_bytes(self.stack.kms.state.read_bytes())
        state.chmod(0o600)
        with Kms(other, "--root", self.stack.dir / "nsm" / "root.pem") as kms:
            self.lie_about_aws(gateway.to_port(kms.port), "certificate")
            self.assertNotIn("action=", kms.log())

    def test_what_is_no_tls(self):
        for name, serve in (("HTTP", gateway.answers(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")),
                            ("noise", gateway.answers(random.randbytes(4000))),
                            ("a TLS record without end", gateway.answers(b"\x16\x03\x03\xff\xff" + bytes(3000))),
                            ("a TLS alert", gateway.answers(b"\x15\x03\x03\x00\x02\x02\x28")),
                            ("the hang-up", gateway.closes)):
            with self.subTest(name):
                self.lie_about_aws(serve, self.host)

    @unittest.skipUnless(LONG, "the long form: ./dev vm")
    def test_silence(self):
        began = time.monotonic()
        self.lie_about_aws(gateway.silent, self.host)
        self.assertLess(time.monotonic() - began, 60)

    def test_nobody(self):
        self.gateway.close()
        try:
            with self.session() as c:
                self.refused(lambda: c.call("Generate", "Ed25519"), self.host)
        finally:
            type(self).gateway = gateway.Gateway(self.stack.vm_dir / "vm.vsock_8000", self.honest)
            self.addClassCleanup(self.gateway.close)
        with self.session() as c:
            c.call("Generate", "Ed25519")

    # ---- credentials ----

    def test_credentials_of_others(self):
        for who, words in ((self.other, ("AccessDenied", self.other["arn"])), (self.expired, ("Expired",)),
                           ({**self.role, "secret_access_key": self.other["access_key_id"]}, ("Signature",)),
                           ({**self.role, "session_token": self.other["session_token"]}, ("security token",)),
                           ({**self.role, "session_token": None}, ()),
                           ({**self.role, "access_key_id": "ASIANOBODYNOBODY0000"}, ("UnrecognizedClient",))):
            with self.subTest(who["access_key_id"]), self.session(who) as c:
                self.refused(lambda c=c: c.call("Generate", "Ed25519"), *words)
                self.refused(lambda c=c: c.call("Import", self.keys[1]["encrypted_private_key"]), *words)

    def test_credentials_swapped_in_a_session(self):
        members = ("access_key_id", "secret_access_key", "session_token")
        with self.session() as c:
            key = c.call("GenerateAndImport", "Secp256k1")
            for who in (self.other, self.expired):
                c.call("Renew", {m: who[m] for m in members})
                self.refused(lambda c=c: c.call("Import", self.keys[1]["encrypted_private_key"]))
                signature = c.call("Sign", {"handle": key["handle"], "message": b"m", "version": 2})
                self.assertTrue(tezos.verify_values(key["public_key"], signature, b"m"))
            c.call("Renew", {m: self.role[m] for m in members})
            self.assertEqual(c.call("Import", self.keys[1]["encrypted_private_key"])["public_key"],
                             self.keys[1]["public_key"])

    def test_malformed_credentials(self):
        values = ("", " ", "x\r\nX-Amz-Evil: 1", "x\0y", "\x7f", "ключ", "/" * 300, "x" * 60000)
        for member in ("access_key_id", "secret_access_key", "session_token"):
            for value in values:
                with self.subTest(member, value=value[:12]):
                    if value == "" and member == "session_token":
                        continue  # the same as none
                    # Refused at once, or by KMS; nothing is sent that breaks the request's form.
                    try:
                        with self.session(**{member: value}) as c:
                            self.refused(lambda c=c: c.call("Generate", "Ed25519"))
                    except RemoteError as e:
                        self.assertGreater(len(e.chain), 1, e.chain)
                    self.assert_same_boot()
        self.assertNotIn("evil", self.stack.kms.log().lower())

    def test_other_regions_and_keys(self):
        arn = self.stack.conf["cmk_arn"]
        for change, words in (({"region": "eu-west-1"}, ("region",)), ({"region": "../../x"}, ("region",)),
                              ({"region": "us-west-2.evil.example"}, ("region",)),
                              ({"encryption_key_id": arn[:-1] + ("0" if arn[-1] != "0" else "1")}, ("pinned",)),
                              ({"encryption_key_id": arn.replace("us-west-2", "eu-west-1")}, ("pinned",)),
                              ({"encryption_key_id": ""}, ()), ({"encryption_key_id": "x" * 60000}, ())):
            with self.subTest(change):
                self.refused(lambda change=change: self.session(**change), "encryption error", *words)

    # ---- blobs ----

    def test_blobs(self):
        first, second = (k["encrypted_private_key"] for k in self.keys[:2])
        self.assertEqual(first[:4], b"CVSK")
        head = {b: 8 + b[7] + 2 + struct.unpack_from(">H", b, 8 + b[7])[0] for b in (first, second)}
        cuts = range(len(first)) if LONG else list(range(0, len(first), 16)) + [len(first) - 1]
        flips = range(len(first)) if LONG else range(0, len(first), 16)
        blobs = [("nothing", b""), ("too long", first + b"\0"), ("twice", first + first), ("zeros", bytes(len(first))),
                 ("the other's seal", first[:-112] + second[-112:]),
                 ("the other's header", second[:-112] + first[-112:]),
                 ("the other's commitment", first[:-80] + second[-80:-48] + first[-48:]),
                 ("another public key", second[:head[second]] + first[head[first]:]),
                 ("another scheme", first[:5] + b"\2" + first[6:]), ("format 1", first[:4] + b"\1" + first[5:]),
                 ("format 3", first[:4] + b"\3" + first[5:]), ("64 KiB", first + bytes(65536))]
        blobs += [(f"cut at {n}", first[:n]) for n in cuts]
        blobs += [(f"bit of byte {n}", first[:n] + bytes([first[n] ^ 1 << n % 8]) + first[n + 1:]) for n in flips]
        with self.session() as c:
            for what, blob in blobs:
                for request in ("Import", "PublicKeyFrom") if LONG else ("Import",):
                    with self.subTest(what, request=request), self.assertRaises(RemoteError) as caught:
                        c.call(request, blob)
                    self.assertGreater(len(" ".join(caught.exception.chain)), 20, what)
            # Both as they are open to what they are, in whatever order.
            for i in (1, 0):
                self.assertEqual(c.call("Import", self.keys[i]["encrypted_private_key"])["public_key"],
                                 self.keys[i]["public_key"])

    def test_a_data_key_of_the_parents(self):
        """The parent has a data key made, without Recipient, under the very CMK, and seals
        a blob with it: it may not have one."""
        admin = next(p for p in self.stack.kms.principals() if p["arn"].endswith(":root"))
        for who in (admin, self.role):
            boto = vm.client(self.stack.kms, who)
            try:
                with self.assertRaisesRegex(Exception, "AccessDenied"):
                    boto.generate_data_key(KeyId=self.stack.conf["cmk_arn"], KeySpec="AES_256",
                                           EncryptionContext={"purpose": "claviger-sealed-key", "format": "2"})
            finally:
                boto.close()

    # ---- data keys ----

    def test_data_keys_made_up(self):
        blob = self.keys[1]["encrypted_private_key"]
        try:
            for action, call in (("GenerateDataKey", ("Generate", "NistP256")), ("Decrypt", ("Import", blob))):
                for fault, word in DATA_KEYS + ((("made-up-key", ""),) if action == "Decrypt" else ()):
                    self.stack.kms.fault(f"{fault} {action} - 900")
                    with self.subTest(fault, action=action), self.session() as c:
                        self.refused(lambda c=c, call=call: c.call(*call), word)
        finally:
            self.stack.kms.fault()
        with self.session() as c:
            self.assertEqual(c.call("Import", blob)["public_key"], self.keys[1]["public_key"])
            c.call("Generate", "NistP256")

    # ---- frames ----

    def put(self, connect, frames, window=32):
        faults, count = wrong_frames.put(connect, frames, window)
        self.assertEqual(faults, [])
        self.assert_same_boot()
        return count

    def with_key(self):
        c = self.session()
        c.call("Import", self.keys[3]["encrypted_private_key"])
        return c

    def test_frames(self):
        count = 0
        for name in wrong_frames.REQUESTS:
            with self.subTest(name):
                count += self.put(self.connect, wrong_frames.wrong(name))
                count += self.put(self.with_key, wrong_frames.wrong(name))
                if LONG:
                    count += self.put(self.with_key, wrong_frames.wrong(name, 9), 1)
        for connect in (self.connect, self.with_key):
            count += self.put(connect, wrong_frames.no_request())
            count += self.put(connect, wrong_frames.random_bodies(time.time_ns(), 5000 if LONG else 500))
        print(f"{count} wrong frames", flush=True)

    def test_framing(self):
        for initialised in (False, True):
            for what, data, answered in wrong_frames.framings(initialised):
                with self.subTest(what), (self.session if initialised else self.connect)() as c:
                    try:
                        c.send_raw(data)
                        c.socket.shutdown(socket.SHUT_WR)
                    except (BrokenPipeError, ConnectionResetError):
                        self.assertIn("longest", what)  # it has said what it thinks, and hung up
                    if answered:
                        self.assertIsNone(wrong_frames.judge(what, c.receive_body(), "a frame" not in what))
                    while not c.closed():
                        pass
                    self.assert_same_boot()

    def test_frames_over_time(self):
        unfinished = [self.connect(), self.session()]
        began = time.monotonic()
        for c in unfinished:
            c.send_raw(struct.pack(">I", 60000) + b"\x9f")
        for name in wrong_frames.REQUESTS:  # byte by byte
            data = wrong_frames.body(name)
            with self.subTest(name), self.connect() as c:
                for byte in struct.pack(">I", len(data)) + data:
                    c.send_raw(bytes([byte]))
                    time.sleep(0.0005)
                self.assertIsNone(wrong_frames.judge(name, c.receive_body(), name not in ("Initialize", "Describe")))
                self.assert_same_boot()
        for _ in range(20):  # gone in the middle, without a word
            with self.connect() as c:
                c.send_raw(struct.pack(">I", 100) + random.randbytes(random.randrange(100)))
        self.assert_same_boot()
        if LONG:  # what was begun and is not finished is hung up
            for c in unfinished:
                while not c.closed():
                    pass
            self.assertLess(time.monotonic() - began, 60)
        for c in unfinished:
            c.close()

    def test_too_many_connections(self):
        idle = [self.connect() for _ in range(40)]
        self.assert_same_boot()
        for c in idle:
            c.close()
        with self.session() as c:
            c.call("Generate", "Ed25519")

    def test_z_all_keys_are_there(self):
        for handle, key in enumerate(self.keys):
            message = random.randbytes(50)
            signature = self.good.call("Sign", {"handle": handle, "message": message, "version": 2})
            self.assertTrue(tezos.verify_values(key["public_key"], signature, message))
        # What the daemon makes of the same machine, with the proxy of its own.
        self.gateway.close()
        made = self.stack.generate("tz1")
        self.stack.allow(made["public_key_hash"], body="{allow: {generic: [transaction]}}")
        self.stack.serve()
        self.stack.wait_ready()
        message = tezos.transaction(made["public_key_hash"], made["public_key_hash"], amount=7)
        reply = self.stack.sign(made["public_key_hash"], message)
        self.assertEqual(reply.status, 200, reply.body)
        self.assertTrue(tezos.verify(made["public_key"], reply.json()["signature"], message))


class Nsm(unittest.TestCase):
    """No NSM, or one that is not sound: the signer does not start, and says why on the
    log that the parent reads."""
    FAULTS = (("constant-entropy", "over and over"), ("no-entropy", "no entropy"), ("repeated-entropy", "twice"),
              ("no-random", "NSM"), ("refuses", "NSM"), ("garbage", "NSM"), (None, "NSM"))

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cv-vn-")
        cls.dir = pathlib.Path(cls.folder.name)
        cls.addClassCleanup(cls.folder.cleanup)
        cls.image, roots = cls.dir / "signer.eif", cls.dir / "ca.pem"
        roots.write_bytes(gateway.certificate("CA", authority=True)[0].public_bytes(Encoding.PEM))
        vm.build(cls.image, "--signer", "--unpinned", "--region", "us-west-2", "--set", "parent_cid=2",
                 "--ca-file", roots)

    def boot(self, name, *arguments):
        folder = self.dir / name
        folder.mkdir(mode=0o700)
        parent = vm.VmParent(folder).start((9002,))
        self.addCleanup(parent.stop)
        machine = vm.Vm(self.image, folder, self.dir / "nsm", *arguments, wait=False)
        self.addCleanup(machine.stop)
        return machine, parent

    def test_unsound(self):
        for fault, word in self.FAULTS if LONG else self.FAULTS[:1]:
            with self.subTest(fault):
                machine, parent = self.boot(fault or "none", *(["--nsm-fault", fault] if fault else ["--no-nsm"]))
                machine.wait_end(vm.BOOT_SECONDS)
                said = parent.text()
                self.assertIn("starting the NSM", said)
                self.assertIn(word, said)
                self.assertNotRegex(said, "listening|panic")

    @unittest.skipUnless(LONG, "the long form: ./dev vm")
    def test_lawful(self):
        """Bytes that come one by one are bytes; no document is no reason not to start."""
        for fault in ("short-entropy", "no-documents"):
            with self.subTest(fault):
                machine, parent = self.boot(fault, "--nsm-fault", fault)
                machine.wait_running()
                machine.wait_port(2000)
                with wrong_frames.VsockClient(machine.dir / "vm.vsock") as c:
                    self.assertFalse(c.call("Describe")["debug"])
                wait_until(lambda parent=parent: re.search("seeded", parent.text()))
                machine.stop()


if __name__ == "__main__":
    unittest.main(warnings="ignore")
