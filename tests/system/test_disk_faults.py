#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each system call on the write path of the watermarks made to fail, one by
one, in the real daemon: a refusal and no signature, and after a restart nothing
that was signed may be signed in another way."""

import errno
import json
import os
import pathlib
import unittest

from claviger_testing import process, tezos
from claviger_testing.fake_stack import FakeStack
from claviger_testing.process import Program, bin_dir, wait_port
from claviger_testing.stack import environment

process.need("claviger")
BUILD = pathlib.Path(os.environ.get("CV_BUILD_DIR", bin_dir().parent))
SHIM = BUILD / "tests" / "libfault_shim.so"
if not SHIM.exists():
    process.skip("the fault shim is not built (sanitizers cannot be preloaded over)")

FAULTS = [("open", errno.EMFILE), ("read", errno.EIO), ("pwrite", errno.EIO), ("pwrite", errno.ENOSPC),
          ("fsync", errno.EIO), ("fdatasync", errno.EIO), ("rename", errno.EIO)]


class DiskFaults(unittest.TestCase):
    def setUp(self):
        self.stack = FakeStack()
        self.addCleanup(self.stack.down)
        self.pkh = self.stack.generate("tz1")["public_key_hash"]
        self.stack.allow(self.pkh)
        self.level = 100
        self.signed = []
        self.stack.serve()
        self.sign(1)
        self.stack.stop_daemon()

    def sign(self, count):
        """Asks for COUNT blocks at rising levels; returns the statuses."""
        statuses = []
        for _ in range(count):
            self.level += 1
            message = tezos.block(self.level, 0, b"\1" * 32)
            reply = self.stack.sign(self.pkh, message)
            if reply.status == 200:
                self.signed.append((self.level, reply.json()["signature"]))
            else:
                self.assertNotIn(b"signature\":", reply.body)
            statuses.append(reply.status)
        return statuses

    def serve_with(self, fault, mark):
        env = environment(LD_PRELOAD=SHIM, CV_FAULT=fault, CV_FAULT_PATH="watermark_store", CV_FAULT_MARK=mark)
        self.stack.daemon = Program([bin_dir() / "claviger", "-c", self.stack.config, "serve"],
                                    self.stack.dir / "daemon.log", env=env)
        try:
            wait_port("127.0.0.1", self.stack.main, program=self.stack.daemon)
            return True
        except RuntimeError:
            self.assertNotEqual(self.stack.daemon.stop(), 0)
            return False

    def one(self, call, number, k):
        mark = self.stack.dir / "met"
        mark.unlink(missing_ok=True)
        if self.serve_with(f"{call}:{k}:{number}", mark):
            statuses = self.sign(4)
            if mark.exists() and call in ("pwrite", "fdatasync"):
                self.assertTrue(all(s in (200, 500, 503) for s in statuses), statuses)
                if 500 in statuses:  # poisoned: nothing more is signed
                    self.assertEqual(set(statuses[statuses.index(500):]), {500})
        self.stack.stop_daemon()
        met = mark.exists()
        # Without the fault: the store opens, and remembers all that was signed.
        self.stack.serve()
        level, signature = self.signed[-1]
        self.assertEqual(self.stack.sign(self.pkh, tezos.block(level, 0, b"\2" * 32)).status, 409, (call, number, k))
        again = self.stack.sign(self.pkh, tezos.block(level, 0, b"\1" * 32))
        if again.status == 200:
            self.assertEqual(again.json()["signature"], signature)
        else:  # a mark above it became durable, though its signature never left
            self.assertEqual(again.status, 409)
        self.assertEqual(self.sign(1), [200])
        self.stack.stop_daemon()
        return met

    def test_every_call(self):
        met = 0
        for call, number in FAULTS:
            # The log is read in many pieces at the start: some of them do.
            points = (1, 2, 3, 20, 100, 500) if call == "read" else range(1, 60)
            count = 0
            for k in points:
                if not self.one(call, number, k):
                    break
                count += 1
            self.assertLess(count, 59)
            print(f"{call} {errno.errorcode[number]}: {count} points", flush=True)
            met += count
        self.assertGreater(met, 20)


if __name__ == "__main__":
    unittest.main()
