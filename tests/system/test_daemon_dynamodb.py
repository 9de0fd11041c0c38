# SPDX-License-Identifier: Apache-2.0
"""Two daemons that share keys and watermarks in DynamoDB."""

import concurrent.futures
import json
import pathlib
import shutil
import tempfile
import time
import unittest

from claviger_testing import dynamodb, process, tezos
from claviger_testing.fake_stack import FakeStack
from claviger_testing.stack import environment

process.need("claviger")


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.05)


class Shared(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="cv-ddb-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir, True)
        cls.server, cls.url = dynamodb.start(cls.dir / "log")
        cls.addClassCleanup(cls.server.stop)

    def stack(self):
        s = FakeStack(extra={"watermark": {"driver": "aws", "config": {**self.credentials(), "table": "marks"}}})
        self.addCleanup(s.down)
        s.env = environment(AWS_ENDPOINT_URL_DYNAMODB=self.url, AWS_CONFIG_FILE="/dev/null",
                            AWS_SHARED_CREDENTIALS_FILE="/dev/null")
        s.storage = {"driver": "aws", "config": {**self.credentials(), "table": "keys"}}
        s.write()
        return s

    @staticmethod
    def credentials():
        return {"access_key_id": "AKIAEXAMPLEEXAMPLE00", "secret_access_key": "secret", "region": "us-east-1"}

    def test_two_daemons(self):
        a, b = self.stack(), self.stack()
        key = a.generate("tz1")
        pkh = key["public_key_hash"]
        self.assertFalse(a.keys_file.exists())
        self.assertIn(pkh, [k["public_key_hash"] for k in json.loads(b.cli("--json", "list").stdout)])
        for s in (a, b):
            s.allow(pkh)
            s.serve()
            path = f"/keys/{pkh}"
            wait_for(lambda s=s, path=path: s.request("GET", path).status == 200)
        wait_for(lambda: a.sign(pkh, tezos.block(1, 0)).status == 200)

        def ask(s, message):
            answer = s.sign(pkh, message)
            if answer.status == 200:
                self.assertTrue(tezos.verify(key["public_key"], answer.json()["signature"], message))
            return answer.status

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for level in range(10, 30):
                messages = [tezos.block(level, 0, payload=bytes([i]) * 32) for i in range(4)]
                statuses = list(pool.map(lambda x: ask(*x), [((a, b)[i % 2], m) for i, m in enumerate(messages)]))
                # One of them won; nobody else signed that level.
                self.assertEqual(sorted(statuses), [200, 409, 409, 409], level)
                winner = messages[statuses.index(200)]
                self.assertEqual((ask(a, winner), ask(b, winner)), (200, 200))
        self.assertEqual(ask(b, tezos.block(9, 0)), 409)
        self.assertEqual(ask(b, tezos.transaction(pkh, pkh, 1)), 200)
        # A key that is made now is picked up by both.
        other = b.generate("tz2")
        for s in (a, b):
            s.allow(other["public_key_hash"])
        self.assertEqual(a.request("GET", f"/keys/{pkh}").status, 200)
        # The commands work on the table, beside the daemons.
        marks = {(m["public_key_hash"], m["kind"]): m for m in json.loads(a.cli("--json", "watermark", "list").stdout)}
        self.assertEqual(marks[pkh, "block"]["level"], 29)
        done = a.cli("--json", "watermark", "raise", pkh, "--chain", tezos.chain_text(), "--level", "5000")
        self.assertEqual(json.loads(done.stdout)["raised"], 3)
        self.assertEqual((ask(a, tezos.block(5000, 0)), ask(b, tezos.block(4000, 0))), (409, 409))
        self.assertEqual(ask(b, tezos.block(5001, 0)), 200)
        self.assertIn(tezos.chain_text(), a.cli("watermark", "export").stdout)
        self.assertEqual(a.cli("watermark", "init", "--replace", check=False).returncode, 1)

    def test_table_gone(self):
        s = self.stack()
        key = s.generate("tz1")
        pkh = key["public_key_hash"]
        s.allow(pkh)
        s.serve()
        wait_for(lambda: s.sign(pkh, tezos.block(5, 0)).status == 200)
        s.stop_daemon()
        s.env = environment(AWS_ENDPOINT_URL_DYNAMODB="http://127.0.0.1:1", AWS_CONFIG_FILE="/dev/null",
                            AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_MAX_ATTEMPTS="1")
        done = s.cli("serve", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("DynamoDB", done.stderr)


if __name__ == "__main__":
    unittest.main()
