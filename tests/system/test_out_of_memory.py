#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One allocation fails, each in turn: the daemon and the enclave's signer end
with a sentence, or refuse one request and go on; they never crash, never hang,
and never give a wrong answer. CV_OOM_RUNS says how many are tried (40 of each,
spread over all)."""

import http.client
import os
import pathlib
import struct
import tempfile
import time
import unittest



from claviger_testing import process, tezos
from claviger_testing.enclave import Client, Enclave, RemoteError
from claviger_testing.fake_stack import FakeStack
from claviger_testing.process import Program, bin_dir
from claviger_testing.stack import environment

process.need("claviger", "claviger-local", "claviger-enclave-dev")
BUILD = pathlib.Path(os.environ.get("CV_BUILD_DIR", bin_dir().parent))
SHIM = BUILD / "tests" / "liboom_shim.so"
SIGNER = BUILD / "tests" / "enclave_dynamic"
if not SHIM.exists() or not SIGNER.exists():
    process.skip("the shim is not built (sanitizers cannot be preloaded over)")
RUNS = int(os.environ.get("CV_OOM_RUNS", "40"))


def chosen(count):
    """RUNS of the numbers 1 to COUNT, spread evenly; all when there are fewer."""
    return sorted({1 + i * count // RUNS for i in range(RUNS)} if count > RUNS else set(range(1, count + 1)))


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cv-oom-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.mark = self.dir / "met"

    def preloaded(self, k):
        self.mark.unlink(missing_ok=True)
        if k is None:
            return environment(LD_PRELOAD=SHIM, CV_OOM_COUNT=self.dir / "count")
        return environment(LD_PRELOAD=SHIM, CV_OOM=k, CV_OOM_MARK=self.mark)

    def count(self):
        return struct.unpack("=Q", (self.dir / "count").read_bytes()[:8])[0]

    def ended_well(self, program, k):
        """Ended by itself or by our SIGTERM: with a status, not by a signal."""
        status = program.process.returncode
        self.assertGreaterEqual(status, 0, f"allocation {k}: ended by signal {-status}:\n{program.tail()}")
        self.assertNotIn("stack smashing", program.tail())


class Daemon(Case):
    def test_each(self):
        self.stack = FakeStack()
        self.addCleanup(self.stack.down)
        self.key = self.stack.generate("tz1")
        self.pkh = self.key["public_key_hash"]
        self.stack.allow(self.pkh)
        self.level = 100
        self.run_once(None)
        count, met = self.count(), 0
        self.assertGreater(count, 50)
        for k in chosen(count):
            self.run_once(k)
            met += self.mark.exists()
        self.assertGreater(met, min(RUNS, count) * 3 // 4)
        self.stack.serve()
        self.assertEqual(self.sign(), 200)

    def sign(self):
        self.level += 1
        message = tezos.block(self.level, 0)
        try:
            answer = self.stack.sign(self.pkh, message)
        except (OSError, ValueError, http.client.HTTPException):
            return None
        if answer.status == 200:
            self.assertTrue(tezos.verify(self.key["public_key"], answer.json()["signature"], message))
        return answer.status

    def run_once(self, k):
        program = Program([bin_dir() / "claviger", "-c", self.stack.config, "serve"], self.dir / "daemon.log",
                          env=self.preloaded(k))
        try:
            deadline = time.monotonic() + 20
            statuses = []
            while program.alive() and statuses.count(200) < 2:
                self.assertLess(time.monotonic(), deadline, f"allocation {k}: {statuses}\n{program.tail()}")
                statuses.append(self.sign())
                if statuses[-1] == 500 and self.mark.exists():
                    break  # a poisoned store signs no more, and says so
                if statuses[-1] != 200:
                    time.sleep(0.02)
        finally:
            program.stop(20)
        self.ended_well(program, k)
        if k is None:
            self.assertEqual(program.process.returncode, 0, program.tail())
        elif program.process.returncode != 0:
            self.assertIn("memory", program.tail().lower(), f"allocation {k}")


class Signer(Case):
    def test_each(self):
        self.enclave = Enclave(self.dir / "e")
        self.enclave.start()
        self.addCleanup(self.enclave.stop)
        self.arn = self.enclave.create_key()
        self.enclave.enclave.stop()
        self.argv = [SIGNER, *self.enclave.enclave.process.args[1:]]
        self.failures = 0
        self.work(None)
        count, met = self.count(), 0
        self.assertGreater(count, 20)
        for k in chosen(count):
            self.work(k)
            met += self.mark.exists()
        self.assertGreater(met, min(RUNS, count) * 3 // 4)
        self.assertLess(self.failures, min(RUNS, count) // 8)

    def connect(self, program, k):
        deadline = time.monotonic() + 15
        while program.alive():
            self.assertLess(time.monotonic(), deadline, f"allocation {k}: it does not listen\n{program.tail()}")
            try:
                return Client(self.enclave.socket, 20)
            except OSError:
                time.sleep(0.01)
        return None

    def session(self, c):
        c.call("Describe")
        c.call("Initialize", self.enclave.credentials(self.arn))
        for n, kind in enumerate(("Ed25519", "Bls")):
            key = c.call("GenerateAndImport", kind, id=10 + n)
            self.assertIn(kind, key["public_key"])
            (name, _), = c.call("Sign", {"handle": key["handle"], "message": b"m", "version": 2}, id=20 + n).items()
            self.assertEqual(name, kind)
            again = c.call("Import", key["encrypted_private_key"], id=30 + n)
            self.assertEqual(again["public_key"], key["public_key"])
        c.call("Attest", {"handle": 0, "nonce": b"n"}, id=40)
        sealed = c.call("Reseal", {"encrypted_private_key": key["encrypted_private_key"]}, id=50)
        self.assertEqual(sealed["public_key"], key["public_key"])

    def work(self, k):
        """Sessions until one succeeds, three at the most: OpenSSL may be left without a part of
        itself when it had no memory for it at the start, and then says so each time."""
        program = Program(self.argv, self.dir / "signer.log", env=self.preloaded(k))
        try:
            for attempt in (1, 2, 3):
                c = self.connect(program, k)
                if c is None:
                    break
                try:
                    with c:
                        self.session(c)
                    break
                except (RemoteError, EOFError, OSError) as e:
                    self.assertIsNotNone(k, f"without a fault: {e}")
                    self.assertNotIsInstance(e, TimeoutError, f"allocation {k}: no answer")
                    self.failures += attempt == 3
        finally:
            program.stop(20)
        self.ended_well(program, k)


if __name__ == "__main__":
    unittest.main()
