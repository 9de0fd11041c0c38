# SPDX-License-Identifier: Apache-2.0
"""An enclave that lies: replies reordered, repeated, delayed, cut off, under
ids that are another's or nobody's, signatures of another key. Nobody ever gets
a wrong signature, and a good enclave is used again at once."""

import concurrent.futures
import os
import time
import unittest

from claviger_testing import process, tezos
from claviger_testing.fake_stack import FakeStack

process.need("claviger")
UNKNOWN = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"

# Faults that leave every answer right, if late: clients are served.
HARMLESS = ("reorder", "drip")
# In these some answers are right, and some are not.
MIXED = ("repeat", "foreign-later", "again", "swap-ids", "unasked")
# In these none is.
FATAL = ("close", "truncate", "foreign", "other-handle", "other-message", "other-key", "garbage", "huge", "refuse",
         "no-id", "huge-id", "swap-signatures", "liar", "other-scheme", "bit", "short", "long", "trailing", "empty", "both")
# What has no meaning for an enclave without ids, or is right there.
WITH_IDS_ONLY = ("foreign", "other-handle", "no-id", "huge-id", "swap-ids", "foreign-later", "reorder", "again")


class Rogue(unittest.TestCase):
    original = False

    def setUp(self):
        self.stack = FakeStack(original=self.original)
        self.addCleanup(self.stack.down)
        self.keys = [self.stack.generate(k) for k in ("tz1", "tz1", "tz2")]
        for k in self.keys:
            self.stack.allow(k["public_key_hash"])
        self.stack.serve("--log", "error")
        self.amount = 0
        self.until(200)

    def ask(self, number):
        key = self.keys[number % len(self.keys)]
        message = tezos.transaction(key["public_key_hash"], UNKNOWN, 1 + number)
        answer = self.stack.sign(key["public_key_hash"], message)
        if answer.status == 200:
            self.assertTrue(tezos.verify(key["public_key"], answer.json()["signature"], message), "a wrong signature")
        else:
            self.assertIn(answer.status, (500, 503))
            self.assertIn("(Nitro)", answer.json()[0]["msg"])
        return answer.status

    def until(self, status, seconds=15):
        deadline = time.monotonic() + seconds
        while self.ask(0) != status:
            self.assertLess(time.monotonic(), deadline, self.stack.log()[-2000:])
            time.sleep(0.02)

    def statuses(self, fault, count=16):
        self.stack.restart_enclave(fault)
        deadline = time.monotonic() + 10
        while not self.stack.enclave.connections and time.monotonic() < deadline:
            time.sleep(0.01)
        out = []
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for _ in range(2):
                out += pool.map(self.ask, range(self.amount, self.amount + count // 2))
                self.amount += count // 2
                time.sleep(0.15)  # a new connection, perhaps
        return out

    def test_faults(self):
        for fault in HARMLESS + MIXED + FATAL:
            if self.original and fault in WITH_IDS_ONLY:
                continue
            with self.subTest(fault=fault):
                out = self.statuses(fault)
                if fault in FATAL:
                    self.assertNotIn(200, out)
                if fault in HARMLESS:
                    self.assertGreaterEqual(out.count(200), 12)
                self.assertTrue(self.stack.daemon.alive())
                self.assertTrue(any(r[0] == "Sign" for r in self.stack.enclave.requests), "it was never asked")
                self.stack.restart_enclave()
                self.until(200)

    def test_silence(self):
        """No answer at all: an error in time, and the way out is found."""
        self.stack.restart_enclave("hang")
        self.until_connected()
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            out = list(pool.map(self.ask, range(8)))
        self.assertNotIn(200, out)
        self.assertLess(time.monotonic() - started, 25)
        self.stack.restart_enclave()
        self.until(200)

    def until_connected(self):
        deadline = time.monotonic() + 10
        while self.stack.utility("/healthz").status != 200:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)

    def test_late(self):
        """Answers that come after their client was told that none came: they
        are nobody's, and the next client gets its own."""
        os.environ["FAKE_LATE"] = "11"
        self.addCleanup(os.environ.pop, "FAKE_LATE", None)
        self.stack.restart_enclave("late")
        self.until_connected()
        self.assertNotEqual(self.ask(1), 200)
        os.environ["FAKE_LATE"] = "0"
        time.sleep(1.5)
        self.until(200)
        for i in range(10):
            self.ask(100 + i)  # verifies


class Always(Rogue):
    """verify_signatures: one that is good at first and lies now and then."""

    def setUp(self):
        super().setUp()
        self.stack.stop_daemon()
        text = self.stack.config.read_text()
        self.stack.config.write_text(text.replace('"enclave_address"', '"verify_signatures": true, "enclave_address"'))
        self.stack.serve("--log", "error")
        self.until(200)

    def test_liar_later(self):
        for i in range(20):
            self.assertEqual(self.ask(i), 200)
        self.stack.enclave.fault = "liar"  # on the connection that was good
        out = [self.ask(i) for i in range(20)]
        self.assertNotIn(200, out)
        self.stack.enclave.fault = None
        self.until(200)

    test_faults = test_silence = test_late = None


if __name__ == "__main__":
    unittest.main()
