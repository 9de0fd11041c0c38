#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of the enclave that are broken, slow or hostile: none of them takes
memory by announcing it, and none holds up another."""
import os
import pathlib
import signal
import struct
import time
import unittest

import cbor2

from claviger_testing.enclave import Enclave, RemoteError, result, scratch
from claviger_testing.process import bin_dir, need, run, sanitized


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need("claviger-enclave-dev", "claviger-local")
        cls.folder = scratch("hostile")
        cls.enclave = Enclave(cls.folder.name).start()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.enclave.stop)
        cls.arn = cls.enclave.create_key()

    def setUp(self):
        self.good = self.enclave.session(self.arn, describe=True)
        self.addCleanup(self.good.close)
        self.good.call("GenerateAndImport", "Ed25519")

    def tearDown(self):
        self.assertTrue(self.enclave.enclave.alive(), self.enclave.enclave.tail())

    def assert_good_is_served(self, seconds=2.0):
        start = time.monotonic()
        self.assertIn("Ed25519", self.good.call("Sign", {"handle": 0, "message": b"x", "version": 2}))
        self.assertLess(time.monotonic() - start, seconds)

    def test_frames_cut_at_every_byte(self):
        frame = struct.pack(">I", 12) + cbor2.dumps({"PublicKey": 0})
        for cut in range(len(frame) + 1):
            with self.enclave.client() as c:
                for at, piece in enumerate((frame[:cut], frame[cut:])):
                    if piece:
                        c.send_raw(piece)
                    if at == 0:
                        time.sleep(0.002)
                self.assertEqual(c.receive(), {"Err": {"message": "uninitialized", "source": None}})
        for cut in range(len(frame)):
            with self.enclave.client() as c:
                c.send_raw(frame[:cut])
        self.assert_good_is_served()

    def test_an_end_in_the_middle(self):
        import socket
        for data in (b"", b"\0\0", b"\0\0\0\x0c\xa1"):
            with self.enclave.client() as c:
                c.send_raw(data)
                c.socket.shutdown(socket.SHUT_WR)
                self.assertTrue(c.closed())
        with self.enclave.client() as c:  # what was asked before the end is answered
            c.send({"PublicKey": 0})
            c.send({"PublicKey": 1})
            c.send_raw(b"\0\0\0\x0c\xa1")
            c.socket.shutdown(socket.SHUT_WR)
            self.assertIn("Err", c.receive())
            self.assertIn("Err", c.receive())
            self.assertTrue(c.closed())

    def test_announced_lengths(self):
        before = self.enclave.memory_kib()
        for length, text in ((65537, "frame too long: at most 65536 bytes before Initialize"),
                             (0xffffffff, "frame too long: at most 65536 bytes before Initialize")):
            with self.enclave.client() as c:
                c.send_raw(struct.pack(">I", length))
                self.assertEqual(c.receive(), {"Err": {"message": text, "source": None}})
                self.assertTrue(c.closed())
        with self.enclave.session(self.arn) as c:
            c.send_raw(struct.pack(">I", 1048576) + b"x" * 1000)  # never finished
            self.assert_good_is_served()
        with self.enclave.session(self.arn) as c:
            c.send_raw(struct.pack(">I", 1048577))
            self.assertEqual(c.receive()["Err"]["message"], "frame too long: at most 1048576 bytes")
        # Inside a frame too: a byte string of 2^64 - 1 bytes.
        with self.enclave.client() as c:
            self.assertIn(b"UnexpectedEof", c.call_bytes(bytes.fromhex("a166496d706f72745bffffffffffffffff00")))
        self.assertLess(self.enclave.memory_kib() - before, 2048)

    def test_a_client_that_does_not_read(self):
        before = self.enclave.memory_kib()
        c = self.enclave.session(self.arn, describe=True)
        c.call("GenerateAndImport", "Ed25519")
        c.socket.settimeout(0.5)
        self.addCleanup(c.close)
        sent = 0
        try:
            for n in range(200000):
                c.send({"id": n, "Sign": {"handle": 0, "message": b"flood", "version": 2}})
                sent += 1
        except TimeoutError:
            pass
        self.assertLess(sent, 200000, "reading never stopped")
        self.assert_good_is_served()
        self.assertLess(self.enclave.memory_kib() - before, 16384)
        c.close()
        self.assert_good_is_served()

    def test_a_flood_of_slow_requests_of_another(self):
        c = self.enclave.session(self.arn, describe=True)
        c.call("GenerateAndImport", "Bls")
        for n in range(500):
            c.send({"id": n, "Sign": {"handle": 0, "message": b"flood", "version": 2}})
        # A second of work waits there; ours is served in turn.
        self.assert_good_is_served(0.5)
        self.assertEqual(sorted(result_id(c.receive()) for _ in range(500)), list(range(500)))
        c.close()

    def test_bursts_of_every_size_are_answered(self):
        """An answer that no other one follows does not lie there."""
        self.good.socket.settimeout(10)
        number = 0
        for burst in list(range(1, 40)) * 5:
            self.good.send_raw(b"".join(
                struct.pack(">I", len(body)) + body for body in (
                    cbor2.dumps({"id": number + n, "Sign": {"handle": 0, "message": b"x", "version": 2}})
                    for n in range(burst))))
            self.assertEqual({result_id(self.good.receive()) for _ in range(burst)},
                             set(range(number, number + burst)))
            number += burst

    def test_kms_that_hangs_holds_up_nobody(self):
        c = self.enclave.session(self.arn, describe=True)
        blob = c.call("Generate", "Ed25519")["encrypted_private_key"]
        c.close()
        self.enclave.fault("hang Decrypt -")
        try:
            c = self.enclave.session(self.arn, describe=True)
            for n in range(10):
                c.send({"id": n, "Import": blob})
            self.assert_good_is_served()
            c.close()
            self.assert_good_is_served()
        finally:
            self.enclave.fault()

    def test_more_connections_than_sessions(self):
        idle = [self.enclave.client() for _ in range(7)]
        more = self.enclave.client()  # the oldest of those that never initialised goes
        self.assertIn("protocol", more.call("Describe"))
        self.assertTrue(idle[0].closed())
        for c in idle + [more]:
            c.close()
        full = [self.enclave.session(self.arn) for _ in range(7)]
        with self.enclave.client() as refused:
            self.assertTrue(refused.closed())
        self.assert_good_is_served()
        for c in full:
            c.close()
        time.sleep(0.1)
        with self.enclave.session(self.arn) as c:
            self.assertIn("public_key", c.call("Generate", "Ed25519"))

    def test_garbage(self):
        for n in range(300):
            with self.enclave.client() as c:
                body = os.urandom(n % 60)
                reply = cbor2.loads(c.call_bytes(body))
                self.assertEqual(set(reply["Err"]), {"message", "source"})
                self.assertEqual(cbor2.loads(c.call_bytes(cbor2.dumps({"PublicKey": 0})))["Err"]["message"],
                                 "uninitialized")

    def test_sessions_leave_nothing_behind(self):
        blobs = [self.good.call("Generate", kind)["encrypted_private_key"] for kind in ("Bls", "NistP256")] * 20

        def rounds(n):
            for _ in range(n):
                with self.enclave.session(self.arn, describe=True) as c:
                    for i, blob in enumerate(blobs):
                        c.send({"id": i, "Import": blob})
                    for _ in blobs:
                        result(c.receive())
                    c.call("Sign", {"handle": 1, "message": b"x", "version": 2})
            time.sleep(0.1)
            return self.enclave.memory_kib(), len(os.listdir(f"/proc/{self.enclave.enclave.process.pid}/fd"))

        memory, descriptors = rounds(30)
        memory_later, descriptors_later = rounds(100)
        if not sanitized():
            self.assertLess(memory_later - memory, 1024)
        self.assertLessEqual(descriptors_later, descriptors)

    def test_closing_with_work_in_flight(self):
        for n in range(20):
            c = self.enclave.session(self.arn, describe=True)
            for i in range(n):
                c.send({"id": i, "GenerateAndImport": ("Bls", "Ed25519")[i % 2]})
            c.close()
        self.assert_good_is_served(5)


class Program(unittest.TestCase):
    def test_options(self):
        program = bin_dir() / "claviger-enclave-dev"
        self.assertRegex(run([program, "--version"]).stdout, r"^claviger-enclave \S+ \(development build\)\n$")
        self.assertIn("--settings FILE", run([program, "--help"]).stdout)
        self.assertEqual(run([program, "--nothing"], check=False).returncode, 2)
        self.assertEqual(run([program, "--settings"], check=False).returncode, 2)
        release = bin_dir() / "claviger-enclave"
        self.assertRegex(run([release, "--version"]).stdout, r"\(release build\)")
        self.assertNotIn("--settings", run([release, "--help"]).stdout)
        self.assertEqual(run([release, "--settings", "/dev/null"], check=False).returncode, 2)

    def test_start_that_fails(self):
        with scratch("start") as folder:
            e = Enclave(folder)
            e.start_nsm()
            try:
                for name, text, settings in (
                        ("no NSM", "NSM", {"nsm_address": f"unix:{folder}/none"}),
                        ("no roots", "ca.pem", {"ca_file": f"{folder}/ca.pem"}),
                        ("unknown key", "line 1", {"nothing": "x"})):
                    path = f"{folder}/bad.conf"
                    lines = {"nsm_address": f"unix:{folder}/nsm.sock", "listen_address": f"unix:{folder}/e.sock",
                             **settings}
                    lines = dict(sorted(lines.items(), key=lambda kv: kv[0] != "nothing"))
                    with open(path, "w") as f:
                        f.write("".join(f"{k}={v}\n" for k, v in lines.items()))
                    done = run([bin_dir() / "claviger-enclave-dev", "--settings", path], check=False)
                    self.assertEqual(done.returncode, 1, name)
                    self.assertIn(text, done.stderr, name)
            finally:
                e.stop()

    def test_an_nsm_that_is_not_sound_is_fatal(self):
        for fault, word in (("no-entropy", "the NSM gave no entropy"), ("constant-entropy", "over and over"),
                            ("repeated-entropy", "the same bytes twice"), ("no-random", "internal error"),
                            ("refuses", "internal error"), ("garbage", "NSM"), ("short-entropy", None)):
            with self.subTest(fault), scratch("entropy") as folder:
                e = Enclave(folder, nsm=("--fault", fault))
                e.start_nsm()
                try:
                    path = pathlib.Path(folder, "e.conf")
                    path.write_text(f"nsm_address=unix:{folder}/nsm.sock\nlisten_address=unix:{folder}/e.sock\n")
                    if word is None:  # a byte at a time is all the same random
                        e.start_kms()
                        e.start_enclave()
                        continue
                    done = run([bin_dir() / "claviger-enclave-dev", "--settings", path], check=False)
                    self.assertEqual(done.returncode, 1)
                    self.assertIn("starting the NSM", done.stderr)
                    self.assertIn(word, done.stderr.replace("InternalError", "internal error"))
                finally:
                    e.stop()

    def test_sigterm_ends_it(self):
        with scratch("term") as folder, Enclave(folder) as e:
            arn = e.create_key()
            with e.session(arn) as c:
                c.call("GenerateAndImport", "Bls")
                e.enclave.process.send_signal(signal.SIGTERM)
                self.assertEqual(e.enclave.process.wait(10), 0)
            self.assertFalse(e.socket.exists())


def result_id(reply):
    result(reply)
    return reply["id"]


if __name__ == "__main__":
    unittest.main()
