#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The property that matters: whatever is signed, and however often the daemon
is killed, one key never signs two different payloads for one chain, kind,
level and round, and never steps back. CV_KILLS sets how often it is killed."""

import json
import os
import pathlib
import random
import shutil
import tempfile
import threading
import time
import unittest

from claviger_testing import tezos
from claviger_testing.process import need
from claviger_testing.stack import Stack, http_request

need("claviger", "claviger-local", "claviger-enclave-dev")

KILLS = int(os.environ.get("CV_KILLS", "200"))
CLIENTS = 8
ALLOW = "{allow: {block: , attestation: , preattestation: }}"


class Client(threading.Thread):
    """Asks for random consensus operations around a level that all share."""

    def __init__(self, shared, port, keys, seed):
        super().__init__(daemon=True)
        self.shared, self.port, self.keys = shared, port, keys
        self.random = random.Random(seed)
        self.signed = []  # (sent, answered, key, kind, level, round, message, signature)
        self.refused = self.failed = 0

    def one(self):
        level = max(1, self.shared["level"] + self.random.randint(-2, 2))
        round_ = self.random.randint(0, 2)
        payload = bytes([self.random.randint(0, 2)]) * 32
        key = self.random.choice(self.keys)
        bls = key.startswith("tz4")
        kind = self.random.choice(["block", "preattestation", "attestation"])
        if kind == "block":
            message = tezos.block(level, round_, payload)
        elif kind == "preattestation":
            message = tezos.preattestation(level, round_, payload, bls=bls)
        else:
            message = tezos.attestation(level, round_, payload, bls=bls)
        sent = time.monotonic()
        try:
            reply = http_request("127.0.0.1", self.port, "POST", f"/keys/{key}", json.dumps(message.hex()), timeout=10)
        except OSError:
            self.failed += 1
            time.sleep(0.01)
            return
        except Exception:  # a reply cut off in the middle is no signature
            self.failed += 1
            return
        if reply.status == 200:
            signature = reply.json()["signature"]
            self.signed.append((sent, time.monotonic(), key, kind, level, round_, message, signature))
            self.shared["level"] = max(self.shared["level"], level)
        elif reply.status == 409:
            self.refused += 1
            if self.random.random() < 0.3:
                self.shared["level"] += 1
        else:
            self.failed += 1

    def run(self):
        while not self.shared["stop"]:
            self.one()


class Kill(unittest.TestCase):
    def test_never_twice(self):
        base = pathlib.Path(tempfile.mkdtemp(prefix="cv-kill-"))
        self.addCleanup(shutil.rmtree, base, True)
        stack = Stack(base / "stack").up()
        self.addCleanup(stack.down)
        keys = [stack.generate(kind)["public_key_hash"] for kind in ("tz1", "tz2", "tz3", "tz4")]
        stack.allow(*keys, body=ALLOW)
        seed = int(os.environ.get("CV_SEED", random.randrange(2**32)))
        print(f"seed {seed}, {KILLS} kills", flush=True)
        chance = random.Random(seed)
        shared = {"stop": False, "level": 1}
        stack.serve()
        clients = [Client(shared, stack.ports()[0], keys, seed + i) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        try:
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.0, 0.15))
                stack.daemon.kill()
                stack.serve()
        finally:
            time.sleep(0.3)
            shared["stop"] = True
            for client in clients:
                client.join(30)
        signed = sorted(entry for client in clients for entry in client.signed)
        refused = sum(client.refused for client in clients)
        print(f"{len(signed)} signatures, {refused} refusals, "
              f"{sum(c.failed for c in clients)} requests lost with the daemon", flush=True)
        self.assertGreater(len(signed), KILLS)
        self.assertGreater(refused, 0)
        self.check(signed)

    def check(self, signed):
        payloads, last = {}, {}
        for _, answered, key, kind, level, round_, message, signature in signed:
            place = (key, kind, level, round_)
            known = payloads.setdefault(place, (message, signature))
            self.assertEqual(known, (message, signature), f"two payloads signed at {place}")
        # No step back: a request that was sent after an answer had arrived.
        answers = sorted((e[1], e) for e in signed)
        for sent, _, key, kind, level, round_, message, _ in signed:
            while answers and answers[0][0] < sent:
                done = answers.pop(0)[1]
                best = last.get((done[2], done[3]))
                if best is None or (done[4], done[5]) > best[0]:
                    last[(done[2], done[3])] = ((done[4], done[5]), done[6])
            before = last.get((key, kind))
            if before is not None and message != before[1]:
                self.assertGreater((level, round_), before[0], f"a step back for {key} {kind}")


if __name__ == "__main__":
    unittest.main()
