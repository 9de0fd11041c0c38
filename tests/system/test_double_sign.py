# SPDX-License-Identifier: Apache-2.0
"""The property that everything else is for: over all replies ever sent, no two
different payloads are signed by one key at one chain, kind, level and round,
and no mark steps back, though the daemon is killed at random moments.

CV_KILLS sets how many times (200 by default; `./dev fault` takes 10,000).
"""

import http.client
import json
import os
import random
import threading
import time
import unittest

from claviger_testing import process, tezos
from claviger_testing.fake_stack import FakeStack

process.need("claviger")
KILLS = int(os.environ.get("CV_KILLS", "200"))
CLIENTS = 6
CHAINS = (tezos.MAINNET, bytes.fromhex("00000001"))


class Client(threading.Thread):
    """Sends random consensus requests around a slowly rising level, so that
    most of them race with one another."""

    def __init__(self, stack, keys, seed, shared):
        super().__init__(daemon=True)
        self.stack, self.keys, self.shared = stack, keys, shared
        self.random = random.Random(seed)
        self.replies = []
        self.refused = 0
        self.faults = []

    def run(self):
        connection = None
        while not self.shared["stop"]:
            kind = self.random.choice(("block", "preattestation", "attestation"))
            chain, key = self.random.choice(CHAINS), self.random.choice(self.keys)
            level = self.shared["level"] + self.random.choice((-1, 0, 0, 0, 1))
            round_, payload = self.random.randrange(2), self.random.randrange(3)
            message = getattr(tezos, kind)(level, round_, payload=bytes([payload]) * 32, chain=chain)
            started = time.monotonic()
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.stack.main, timeout=20)
                connection.request("POST", f"/keys/{key}", json.dumps(message.hex()))
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException):
                connection.close()
                connection = None
                time.sleep(0.005)
                continue
            if answer.status == 200:
                self.replies.append((started, time.monotonic(), (key, chain, kind), (level, round_), message,
                                     json.loads(body)["signature"]))
            elif answer.status == 409:
                self.refused += 1
            elif answer.status not in (500, 503):
                self.faults.append((answer.status, body))
            if self.random.randrange(40) == 0:
                self.shared["level"] += 1
        if connection is not None:
            connection.close()


class DoubleSign(unittest.TestCase):
    def test_never(self):
        seed = int(os.environ.get("CV_SEED", random.SystemRandom().randrange(1 << 32)))
        print(f"seed {seed}, {KILLS} kills", flush=True)
        chance = random.Random(seed)
        with FakeStack() as stack:
            keys = {k["public_key_hash"]: k["public_key"] for k in (stack.generate("tz1"), stack.generate("tz1"))}
            for pkh in keys:
                stack.allow(pkh)
            shared = {"stop": False, "level": 1000}
            clients = [Client(stack, sorted(keys), seed + i, shared) for i in range(CLIENTS)]
            for c in clients:
                c.start()
            for _ in range(KILLS):
                stack.serve("--no-list", "--log", "error")
                time.sleep(chance.choice((0.0, 0.01, 0.03, 0.1)) * chance.random() + 0.02)
                stack.daemon.kill()
            stack.serve("--no-list", "--log", "error")
            time.sleep(0.5)
            shared["stop"] = True
            for c in clients:
                c.join(30)
            self.assertEqual([f for c in clients for f in c.faults], [])
            self.judge(sorted((r for c in clients for r in c.replies), key=lambda r: r[1]), keys)
            refused = sum(c.refused for c in clients)
        print(f"{sum(len(c.replies) for c in clients)} signatures, {refused} refusals", flush=True)
        self.assertGreater(sum(len(c.replies) for c in clients), KILLS)
        self.assertGreater(refused, 0)

    def judge(self, replies, keys):
        payloads, last = {}, {}
        for started, ended, subject, mark, message, signature in replies:
            before = payloads.setdefault((subject, mark), message)
            self.assertEqual(before, message, f"two payloads signed for {subject} at {mark}")
            # A request that began after another one was answered must not be
            # for a smaller mark.
            for earlier_end, earlier_mark in last.get(subject, ()):
                if earlier_end < started:
                    self.assertGreaterEqual(mark, earlier_mark, f"{subject} stepped back")
            best = last.setdefault(subject, [])
            best.append((ended, mark))
            best.sort(key=lambda x: x[1], reverse=True)
            del best[8:]
        for _, _, subject, _, message, signature in random.sample(replies, min(300, len(replies))):
            self.assertTrue(tezos.verify(keys[subject[0]], signature, message))


if __name__ == "__main__":
    unittest.main()
