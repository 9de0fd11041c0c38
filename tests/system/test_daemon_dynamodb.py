# SPDX-License-Identifier: Apache-2.0
"""Two daemons that share keys and watermarks in DynamoDB."""

import concurrent.futures
import json
import pathlib
import shutil
import socket
import tempfile
import threading
import time
import unittest

try:
    import boto3
except ImportError:
    boto3 = None

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


class Relay:
    """A port that leads to another one while it is open."""

    def __init__(self, target):
        self.target, self.is_open, self.sockets = target, False, set()
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = None

    def open(self):
        self.server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, args=(self.server,), daemon=True).start()

    def accept(self, server):
        while True:
            try:
                client = server.accept()[0]
            except OSError:
                return
            other = socket.create_connection(("127.0.0.1", self.target))
            self.sockets |= {client, other}
            for a, b in ((client, other), (other, client)):
                threading.Thread(target=self.copy, args=(a, b), daemon=True).start()

    @staticmethod
    def copy(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def shut(self):
        if self.server:
            self.server.shutdown(socket.SHUT_RDWR)
            self.server.close()
            self.server = None
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()
        self.sockets = set()

    close = shut


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

    def reasons(self, s):
        ready = s.utility("/readyz")
        self.assertEqual(ready.status, 200 if ready.json()["ready"] else 503)
        return ready.json()["reasons"]

    def test_unreachable_at_the_start(self):
        """Not ready, and tried again, until AWS answers."""
        s = self.stack()
        key = s.generate("tz1")
        pkh = key["public_key_hash"]
        s.allow(pkh)
        relay = Relay(int(self.url.rsplit(":", 1)[1]))
        self.addCleanup(relay.close)
        s.env = environment(AWS_ENDPOINT_URL_DYNAMODB=relay.url, AWS_CONFIG_FILE="/dev/null",
                            AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_MAX_ATTEMPTS="1")
        s.serve()
        wait_for(lambda: len(self.reasons(s)) == 2)
        marks, vault = self.reasons(s)
        self.assertRegex(marks, "watermark table: .*DynamoDB DescribeTable")
        wait_for(lambda: "DynamoDB" in self.reasons(s)[1])
        self.assertRegex(self.reasons(s)[1], "vault nitro: reading the key store: DynamoDB DescribeTable")
        self.assertEqual(s.utility("/healthz").status, 503)
        self.assertNotEqual(s.sign(pkh, tezos.block(5, 0)).status, 200)
        self.assertIsNone(s.daemon.process.poll())
        # The commands do not wait for it.
        done = s.cli("generate", "-v", "nitro", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("DynamoDB DescribeTable", done.stderr)
        relay.open()
        wait_for(lambda: self.reasons(s) == [], 40)
        # The first record of the new key is written though the table was late.
        wait_for(lambda: s.sign(pkh, tezos.block(5, 0)).status == 200)
        self.assertEqual(s.sign(pkh, tezos.block(5, 0, payload=b"x" * 32)).status, 409)
        # Away while it runs: refused without a verdict, then as before.
        relay.shut()
        answer = s.sign(pkh, tezos.block(6, 0))
        self.assertIn(answer.status, (500, 503))
        self.assertIn("DynamoDB", answer.body.decode())
        relay.open()
        wait_for(lambda: s.sign(pkh, tezos.block(6, 0)).status == 200)

    def test_only_the_watermarks_are_away(self):
        s = self.stack()
        s.storage = None
        s.write()
        other = s.generate("tz1")["public_key_hash"]
        s.allow(other)
        relay = Relay(int(self.url.rsplit(":", 1)[1]))
        self.addCleanup(relay.close)
        s.env = environment(AWS_ENDPOINT_URL_DYNAMODB=relay.url, AWS_CONFIG_FILE="/dev/null",
                            AWS_SHARED_CREDENTIALS_FILE="/dev/null", AWS_MAX_ATTEMPTS="1")
        s.serve()
        wait_for(lambda: s.request("GET", f"/keys/{other}").status == 200)
        refused = s.sign(other, tezos.block(7, 0))
        self.assertEqual(refused.status, 503)
        self.assertIn("watermark table", refused.body.decode())
        # What needs no watermark is signed.
        self.assertEqual(s.sign(other, tezos.transaction(other, other, 1)).status, 200)
        relay.open()
        wait_for(lambda: s.utility("/readyz").status == 200, 40)
        wait_for(lambda: s.sign(other, tezos.block(7, 0)).status == 200)
        wait_for(lambda: "claviger_new" not in s.keys_file.read_text())

    def test_many_new_keys(self):
        """More than one transaction of DynamoDB ends the marks of."""
        if "dynalite" in str(self.server.process.args):
            self.skipTest("dynalite has no transactions")
        if boto3 is None:
            self.skipTest("boto3 is not installed")
        s = self.stack()
        s.extra = {}
        s.write()
        made = []
        for _ in range(2):
            made += json.loads(s.cli("--json", "generate", "-v", "nitro", "-n", "64").stdout)
        self.assertEqual(len(made), 128)
        s.serve()
        wait_for(lambda: s.utility("/readyz").status == 200)
        table = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=self.url,
                             aws_access_key_id="AKIAEXAMPLEEXAMPLE00", aws_secret_access_key="secret")
        self.addCleanup(table.close)
        mine = {k["public_key_hash"] for k in made}

        def marked():
            items = table.scan(TableName="keys", ConsistentRead=True)["Items"]
            return sum(1 for i in items if i["pkh"]["S"] in mine and "claviger_new" in i)

        wait_for(lambda: marked() == 0)
        self.assertNotIn("stay marked as new", s.log())


if __name__ == "__main__":
    unittest.main()
