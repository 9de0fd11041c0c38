# SPDX-License-Identifier: Apache-2.0
"""The enclave is killed again and again while 32 clients sign: every answer is
a right signature or an error, and the daemon serves again within a second of
the enclave. The true enclave, with NSM and KMS stand-ins.

CV_RESTARTS sets how many times (12 by default; `./dev fault` takes 100).
"""

import http.client
import json
import os
import random
import statistics
import tempfile
import threading
import time
import unittest

from claviger_testing import process, tezos
from claviger_testing.enclave import Enclave
from claviger_testing.fake_stack import free_port
from claviger_testing.process import Program, bin_dir, run, wait_port
from claviger_testing.stack import environment, http_request

process.need("claviger", "claviger-local", "claviger-enclave-dev")
RESTARTS = int(os.environ.get("CV_RESTARTS", "12"))
CLIENTS = 32
WITHIN = 10.0 if process.sanitized() else 1.0


class Client(threading.Thread):
    """Signs transactions and attestations, each with bytes of its own."""

    def __init__(self, number, port, keys):
        super().__init__(daemon=True)
        self.number, self.port, self.keys = number, port, keys
        self.random = random.Random(number)
        self.signed, self.refused, self.faults, self.stopping = [], 0, [], False
        self.amount = number * 1000000

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        while not self.stopping:
            key = self.random.choice(self.keys)
            self.amount += 1
            message = tezos.transaction(key["public_key_hash"], key["public_key_hash"], self.amount)
            started = time.monotonic()
            try:
                connection.request("POST", f"/keys/{key['public_key_hash']}", json.dumps(message.hex()))
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as e:
                self.faults.append(f"the daemon did not answer: {e!r}")
                connection.close()
                time.sleep(0.1)
                continue
            if answer.status == 200:
                self.signed.append((started, time.monotonic(), key, message, json.loads(body)["signature"]))
                time.sleep(0.002)
            elif answer.status in (500, 503):
                self.refused += 1
                if "(Nitro)" not in body.decode():
                    self.faults.append(body)
                time.sleep(0.02)
            else:
                self.faults.append((answer.status, body))
        connection.close()


class Restarts(unittest.TestCase):
    def start(self):
        directory = tempfile.TemporaryDirectory(prefix="cv-restarts-")
        self.addCleanup(directory.cleanup)
        self.enclave = Enclave(directory.name)
        self.addCleanup(self.enclave.stop)
        self.enclave.start()
        self.port, utility = free_port(), free_port()
        self.config = {
            "base_dir": directory.name + "/base",
            "server": {"address": f"127.0.0.1:{self.port}", "utility_address": f"127.0.0.1:{utility}"},
            "vaults": {"nitro": {"driver": "nitro", "config": {
                "enclave_address": f"unix:{self.enclave.socket}", "encryption_key_id": self.enclave.create_key(),
                "credentials": {k: v for k, v in self.enclave.credentials("").items() if k != "encryption_key_id"}}}},
            "tezos": {}}
        path = self.enclave.dir / "signatory.yaml"

        def claviger(*arguments):
            path.write_text(json.dumps(self.config))
            return [bin_dir() / "claviger", "-c", path, *arguments]

        keys = []
        for kind in ("tz1", "tz1", "tz2", "tz3", "tz4"):
            keys += json.loads(run(claviger("--json", "generate", "-v", "nitro", "-t", kind), env=environment()).stdout)
        self.config["tezos"] = {k["public_key_hash"]: {"allow": {"generic": ["transaction"]}} for k in keys}
        self.daemon = Program(claviger("serve", "--log", "warn"), self.enclave.dir / "daemon.log", env=environment())
        self.addCleanup(self.daemon.stop)
        wait_port("127.0.0.1", self.port, program=self.daemon)
        wait_port("127.0.0.1", utility, program=self.daemon)
        deadline = time.monotonic() + 20
        while http_request("127.0.0.1", utility, "GET", "/healthz").status != 200:
            self.assertLess(time.monotonic(), deadline, self.daemon.tail())
            time.sleep(0.02)
        return keys

    def test_restarts(self):
        keys = self.start()
        chance = random.Random(int(os.environ.get("CV_SEED", "1")))
        clients = [Client(i, self.port, keys) for i in range(CLIENTS)]
        for c in clients:
            c.start()
        back = []
        try:
            for _ in range(RESTARTS):
                time.sleep(0.1 + 0.4 * chance.random())
                self.enclave.enclave.kill()
                time.sleep(chance.choice((0, 0, 0.3, 3)))
                self.enclave.start_enclave()
                listening = time.monotonic()
                while not (served := [s[1] for c in clients for s in c.signed[-1:] if s[0] > listening]):
                    self.assertLess(time.monotonic() - listening, 30, self.daemon.tail())
                    time.sleep(0.005)
                back.append(min(served) - listening)
        finally:
            for c in clients:
                c.stopping = True
            for c in clients:
                c.join(40)
        self.assertEqual([f for c in clients for f in c.faults], [])
        self.assertTrue(self.daemon.alive())
        signed = [s for c in clients for s in c.signed]
        slow = [s for s in signed if tezos.decode(s[2]["public_key"])[0] == "BLpk"]
        quick = [s for s in signed if tezos.decode(s[2]["public_key"])[0] != "BLpk"]
        for _, _, key, message, signature in quick + random.sample(slow, min(3, len(slow))):
            self.assertTrue(tezos.verify(key["public_key"], signature, message))
        print(f"{RESTARTS} restarts, {len(signed)} signatures, {sum(c.refused for c in clients)} errors; "
              f"serving again after {statistics.median(back):.3f} s (median), {max(back):.3f} s (longest)", flush=True)
        self.assertGreater(len(slow), 0)
        self.assertGreater(sum(c.refused for c in clients), 0)
        self.assertLess(max(back), WITHIN)


if __name__ == "__main__":
    unittest.main()
