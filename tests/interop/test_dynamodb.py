# SPDX-License-Identifier: Apache-2.0
"""Keys and watermarks in DynamoDB, against DynamoDB Local, dynalite or our own
stand-in, every signature checked with botocore on the way."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

from claviger_testing import dynamodb, process

try:
    import boto3
    from botocore.config import Config
    from claviger_testing import signed_proxy
except ImportError:
    process.skip("boto3 is not installed")

TOOL = pathlib.Path(os.environ["CV_BUILD_DIR"]) / "tests" / "dynamodb_tool"
PKH = ["tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb", "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU", "tz1aSkwEot3L2kmUvcoxzjMomb9mvBNuzFK6"]
CHAIN = "NetXdQprcVkpaWU"


class Tool:
    def __init__(self, env):
        self.process = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def __call__(self, do, **args):
        self.process.stdin.write(json.dumps({"do": do, **args}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        status = self.process.wait(20)
        self.process.stdout.close()
        return status


class DynamoDB(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="cv-ddb-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.server, url = dynamodb.start(cls.dir / "log")
        cls.addClassCleanup(cls.server.stop)
        cls.transactions = "dynalite" not in str(cls.server.process.args)
        cls.proxy = signed_proxy.SignedProxy(int(url.rsplit(":", 1)[1]))
        cls.addClassCleanup(cls.proxy.close)
        cls.boto = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=url, aws_access_key_id="AKIDEXAMPLE",
                                aws_secret_access_key=cls.proxy.secret, config=Config(retries={"max_attempts": 1}))
        cls.addClassCleanup(cls.boto.close)
        cls.count = 0

    def setUp(self):
        type(self).count += 1
        self.table = "table-%d" % self.count
        self.proxy.faults.clear()
        self.proxy.after = None
        self.tool = self.new_tool()

    def tearDown(self):
        self.assertEqual(self.proxy.bad_signatures, 0)

    def new_tool(self):
        tool = Tool({"AWS_ENDPOINT_URL": "http://127.0.0.1:%d" % self.proxy.port, "AWS_REGION": "us-east-1",
                     "AWS_ACCESS_KEY_ID": self.proxy.key_id, "AWS_SECRET_ACCESS_KEY": self.proxy.secret,
                     "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"})
        self.addCleanup(tool.close)
        return tool

    def ok(self, reply):
        self.assertEqual(reply["rc"], "ok", reply["error"])
        return reply

    def refused(self, reply, rc, says=""):
        self.assertEqual(reply["rc"], rc, reply)
        self.assertIn(says, reply["error"])

    def keys(self, tool=None):
        return {k[0]: (bytes.fromhex(k[1]).decode(), k[2]) for k in self.ok((tool or self.tool)("list"))["keys"]}

    # ---- keys ----

    def test_a_table_is_made_with_the_first_key(self):
        self.ok(self.tool("open", table=self.table))
        self.assertEqual(self.keys(), {})
        self.assertNotIn(self.table, self.boto.list_tables()["TableNames"])
        self.ok(self.tool("put", changes=[[PKH[0], "blob-0", {"claviger_new": True, "claviger_birth": "AAA="}]]))
        table = self.boto.describe_table(TableName=self.table)["Table"]
        self.assertEqual(table["KeySchema"], [{"AttributeName": "pkh", "KeyType": "HASH"}])
        self.assertEqual(table["BillingModeSummary"]["BillingMode"], "PAY_PER_REQUEST")
        item = self.boto.get_item(TableName=self.table, Key={"pkh": {"S": PKH[0]}})["Item"]
        self.assertEqual(item["value"], {"B": b"blob-0"})
        self.assertEqual(self.keys(), {PKH[0]: ("blob-0", {"claviger_new": True, "claviger_birth": "AAA="})})

    def signatory_table(self):
        self.boto.create_table(TableName=self.table, KeySchema=[{"AttributeName": "pkh", "KeyType": "HASH"}],
                               AttributeDefinitions=[{"AttributeName": "pkh", "AttributeType": "S"}],
                               ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5})
        self.boto.get_waiter("table_exists").wait(TableName=self.table, WaiterConfig={"Delay": 1})

    def test_what_signatory_wrote_is_read(self):
        self.signatory_table()
        self.boto.put_item(TableName=self.table, Item={"pkh": {"S": PKH[1]}, "value": {"B": b"theirs"}})
        self.ok(self.tool("open", table=self.table))
        self.assertEqual(self.keys(), {PKH[1]: ("theirs", {})})

    def test_nothing_is_overwritten(self):
        self.ok(self.tool("open", table=self.table))
        self.ok(self.tool("put", changes=[[PKH[0], "one", {}]]))
        self.ok(self.tool("put", changes=[[PKH[0], "one", {}]]))
        self.refused(self.tool("put", changes=[[PKH[0], "two", {}]]), "already exists", PKH[0])
        self.refused(self.tool("replace", pkh=PKH[0], old="not-this", blob="two"), "not allowed in this state", "changed meanwhile")
        self.refused(self.tool("replace", pkh=PKH[1], old="one", blob="two"), "not found")
        self.ok(self.tool("replace", pkh=PKH[0], old="one", blob="two"))
        self.ok(self.tool("replace", pkh=PKH[0], old="one", blob="two"))
        self.ok(self.tool("member", pkh=PKH[0], name="claviger_new", value=True))
        self.assertEqual(self.keys(), {PKH[0]: ("two", {"claviger_new": True})})
        self.ok(self.tool("member", pkh=PKH[0], name="claviger_new"))
        self.assertEqual(self.keys(), {PKH[0]: ("two", {})})
        self.refused(self.tool("member", pkh=PKH[1], name="x", value=True), "not found")

    def test_a_lost_reply_is_no_failure(self):
        self.ok(self.tool("open", table=self.table))
        self.ok(self.tool("put", changes=[[PKH[0], "one", {}]]))
        for do, args in [("put", {"changes": [[PKH[1], "new", {}]]}), ("replace", {"pkh": PKH[0], "old": "one", "blob": "two"})]:
            lost = []

            def lose(handler, action):
                if action in ("PutItem", "UpdateItem") and not lost:
                    lost.append(action)
                    return signed_proxy.drop(handler, action)
                return False
            self.proxy.after = lose
            self.ok(self.tool(do, **args))
            self.assertEqual(len(lost), 1)
        self.assertEqual(self.keys(), {PKH[0]: ("two", {}), PKH[1]: ("new", {})})

    def test_pages(self):
        self.signatory_table()
        big = "x" * 60000
        for i in range(40):
            self.boto.put_item(TableName=self.table, Item={"pkh": {"S": "tz1%033d" % i}, "value": {"B": big.encode()}})
        self.ok(self.tool("open", table=self.table))
        before = self.proxy.actions.count("Scan")
        self.assertEqual(len(self.keys()), 40)
        self.assertGreater(self.proxy.actions.count("Scan") - before, 1)

    def test_faults(self):
        self.ok(self.tool("open", table=self.table))
        self.ok(self.tool("put", changes=[[PKH[0], "one", {}]]))
        self.proxy.faults += [signed_proxy.answer(400, "ProvisionedThroughputExceededException"), signed_proxy.answer(500, "InternalServerError")]
        self.assertEqual(len(self.keys()), 1)
        self.proxy.faults.append(lambda h, a: h.reply(200, {"Items": []}, [("x-amz-crc32", "1")]) or True)
        self.assertEqual(len(self.keys()), 1)
        self.proxy.faults.append(signed_proxy.answer(400, "AccessDeniedException"))
        reply = self.tool("list")
        self.assertNotEqual(reply["rc"], "ok")
        self.assertIn("DynamoDB Scan: AccessDeniedException", reply["error"])
        self.proxy.faults += [signed_proxy.drop] * 9
        self.assertNotEqual(self.tool("list")["rc"], "ok")

    def test_a_table_of_something_else(self):
        self.boto.create_table(TableName=self.table, KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
                               AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}], BillingMode="PAY_PER_REQUEST")
        self.boto.get_waiter("table_exists").wait(TableName=self.table, WaiterConfig={"Delay": 1})
        reply = self.tool("open", table=self.table)
        self.assertIn("not one of ours", reply["error"])

    def test_notes_and_changes(self):
        other = self.new_tool()
        self.ok(self.tool("open", table=self.table))
        self.refused(self.tool("note_get", name="witness"), "not found")
        self.ok(self.tool("note_put", name="witness", blob="w1"))
        self.ok(self.tool("note_put", name="witness", blob="w2"))
        self.assertEqual(self.ok(self.tool("note_get", name="witness"))["blob"], "w2")
        self.ok(self.tool("put", changes=[[PKH[0], "one", {}]]))
        self.assertEqual(list(self.keys()), [PKH[0]])
        self.assertFalse(self.tool("changed")["changed"])
        self.ok(other("open", table=self.table))
        self.ok(other("put", changes=[[PKH[1], "two", {}]]))
        deadline = time.monotonic() + 10
        while not self.tool("changed")["changed"]:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertEqual(set(self.keys()), set(PKH[:2]))
        self.assertFalse(self.tool("changed")["changed"])

    def test_transactions(self):
        if not self.transactions:
            self.skipTest("dynalite has no transactions")
        self.ok(self.tool("open", table=self.table))
        self.ok(self.tool("put", changes=[[PKH[0], "a", {}], [PKH[1], "b", {}]]))
        self.assertEqual(set(self.keys()), set(PKH[:2]))
        self.refused(self.tool("put", changes=[[PKH[2], "c", {}], [PKH[1], "other", {}]]), "already exists")
        self.assertEqual(set(self.keys()), set(PKH[:2]))

    # ---- watermarks ----

    def mark(self, tool, level, round=0, hash="11" * 32, kind="attestation", do="advance", pkh=PKH[0]):
        return tool(do, pkh=pkh, chain=CHAIN, kind=kind, level=level, round=round, hash=hash)

    def test_the_rule(self):
        reply = self.tool("wm_open", table=self.table)
        self.refused(reply, "not found", self.table)
        self.ok(self.tool("wm_open", table=self.table, create=True))
        self.refused(self.mark(self.tool, 5), "not found", "no record")
        self.ok(self.tool("raise", pkh=PKH[0], kind="known"))
        self.ok(self.mark(self.tool, 5))
        self.ok(self.mark(self.tool, 5))
        self.refused(self.mark(self.tool, 5, hash="22" * 32), "denied", "is not above level 5, round 0")
        self.refused(self.mark(self.tool, 4), "denied")
        self.ok(self.mark(self.tool, 5, 1))
        self.refused(self.mark(self.tool, 5, 0), "denied")
        self.ok(self.mark(self.tool, 2147483647))
        self.refused(self.mark(self.tool, 2147483646, 7), "denied")
        self.ok(self.mark(self.tool, 1, kind="block"))
        self.assertNotEqual(self.mark(self.tool, -1)["rc"], "ok")
        item = self.boto.get_item(TableName=self.table, Key={"idx": {"S": "%s/%s" % (CHAIN, PKH[0])}, "request": {"S": "attestation"}})["Item"]
        self.assertEqual((item["lvl"], item["round"], item["digest"]), ({"N": "2147483647"}, {"N": "0"}, {"B": bytes.fromhex("11" * 32)}))
        self.refused(self.mark(self.tool, 3, do="raise", hash=""), "denied")
        self.ok(self.mark(self.tool, 3, do="raise", hash="", kind="preattestation"))
        self.refused(self.mark(self.tool, 3, kind="preattestation"), "denied")

    def test_signatorys_marks_count(self):
        self.boto.create_table(
            TableName=self.table, BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "idx", "KeyType": "HASH"}, {"AttributeName": "request", "KeyType": "RANGE"}],
            AttributeDefinitions=[{"AttributeName": "idx", "AttributeType": "S"}, {"AttributeName": "request", "AttributeType": "S"}])
        self.boto.get_waiter("table_exists").wait(TableName=self.table, WaiterConfig={"Delay": 1})
        for kind, level in (("block", 10), ("attestation", 20), ("attestation_with_dal", 30)):
            self.boto.put_item(TableName=self.table, Item={
                "idx": {"S": "%s/%s" % (CHAIN, PKH[0])}, "request": {"S": kind}, "lvl": {"N": str(level)}, "round": {"N": "1"},
                "digest": {"B": b"\x11" * 32}})
        self.ok(self.tool("wm_open", table=self.table))
        self.refused(self.mark(self.tool, 10, 0, kind="block"), "denied")
        self.ok(self.mark(self.tool, 10, 1, kind="block"))
        self.refused(self.mark(self.tool, 25), "denied", "above level 30")
        self.ok(self.mark(self.tool, 31))
        self.assertIn([PKH[0], "attestation", 31, 0], self.ok(self.tool("marks"))["marks"])

    def test_of_two_that_race_one_wins(self):
        tools = [self.new_tool() for _ in range(4)]
        self.ok(tools[0]("wm_open", table=self.table, create=True))
        self.ok(tools[0]("raise", pkh=PKH[0], kind="known"))
        for t in tools[1:]:
            self.ok(t("wm_open", table=self.table))
        wins = []

        def race(i):
            for level in range(1, 16):
                if self.mark(tools[i], level, hash="%02x" % (i + 1) * 32)["rc"] == "ok":
                    wins.append(level)
        threads = [threading.Thread(target=race, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(wins), len(set(wins)))
        self.assertIn(15, wins)

    def test_aws_failing_is_not_losing(self):
        self.ok(self.tool("wm_open", table=self.table, create=True))
        self.ok(self.tool("raise", pkh=PKH[0], kind="known"))
        for fault in ("AccessDeniedException", "ResourceNotFoundException", "ValidationException"):
            self.proxy.faults.append(signed_proxy.answer(400, fault))
            reply = self.mark(self.tool, 5)
            self.assertNotIn(reply["rc"], ("ok", "denied", "not found"))
            self.assertIn(fault, reply["error"])
        self.proxy.faults.append(signed_proxy.answer(400, "ThrottlingException"))
        self.ok(self.mark(self.tool, 5))
        lost = []

        def lose(handler, action):
            if action == "UpdateItem" and not lost:
                lost.append(action)
                return signed_proxy.drop(handler, action)
            return False
        self.proxy.after = lose
        self.ok(self.mark(self.tool, 6))
        self.assertEqual(len(lost), 1)


if __name__ == "__main__":
    unittest.main()
