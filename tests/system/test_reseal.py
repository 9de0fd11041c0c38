#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""claviger keys reseal: what it changes, what it refuses, and that no key is
lost when it is killed. CV_KILLS says how often it is (30)."""

import base64
import json
import os
import pathlib
import random
import subprocess
import tempfile
import time
import types
import unittest

from claviger_testing import tezos
from claviger_testing.kms import client
from claviger_testing.process import bin_dir, need
from claviger_testing.stack import Stack

need("claviger-local", "claviger-enclave-dev", "claviger")

MAGIC = b"CVSK"
KINDS = ("tz1", "tz2", "tz3", "tz4")


class Reseal(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cv-reseal-")
        self.addCleanup(folder.cleanup)
        self.stack = Stack(pathlib.Path(folder.name) / "s")
        self.addCleanup(self.stack.down)

    def up(self, *arguments):
        self.stack.up(*arguments)
        self.store = next(self.stack.dir.rglob("enclave_keys.json"), None)

    def make(self, *kinds):
        keys = [self.stack.generate(kind) for kind in kinds]
        self.store = next(self.stack.dir.rglob("enclave_keys.json"))
        return keys

    def entries(self):
        return json.loads(self.store.read_text())

    def blobs(self):
        return {e["public_key_hash"]: base64.b64decode(e["encrypted_private_key"]) for e in self.entries()}

    def versions(self):
        return {2 if b.startswith(MAGIC) else 1 for b in self.blobs().values()}

    def reseal(self, *arguments, status=0):
        done = self.stack.cli("--json", "keys", "reseal", "-v", "nitro", *arguments, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return (json.loads(done.stdout) if done.stdout else None), done.stderr

    def kms(self):
        """boto3 for the administrator."""
        state = json.loads((self.stack.dir / "kms.json").read_text())
        address = json.loads((self.stack.dir / "pids.json").read_text())["kms"]["address"]
        standin = types.SimpleNamespace(endpoint="https://" + address.removeprefix("tcp:"),
                                        ca=self.stack.dir / "ca.pem", region=lambda: state["region"])
        return client(standin, state["principals"][0])

    def opened(self):
        """{hash: public key} of every key that the enclave can open now."""
        listed = json.loads(self.stack.cli("--json", "list").stdout)
        return {k["public_key_hash"]: k["public_key"] for k in listed if k.get("public_key")}

    def all_sign(self, keys):
        self.stack.allow(*(k["public_key_hash"] for k in keys),
                         body="\n    allow:\n      generic: [transaction]")
        self.stack.serve()
        for k in keys:
            pkh = k["public_key_hash"]
            message = tezos.transaction(pkh, pkh, 1)
            answer = self.stack.sign(pkh, message)
            self.assertEqual(answer.status, 200, answer.body)
            self.assertTrue(tezos.verify(k["public_key"], answer.json()["signature"], message))
        self.stack.stop_daemon()

    # ---- what it is for ----

    def test_one_data_key(self):
        self.up()
        keys = self.make(*KINDS, "tz1", "tz4")
        before, others = self.store.read_bytes(), [sorted(e) for e in self.entries()]
        trial, _ = self.reseal("--dry-run")
        self.assertEqual((trial["resealed"], trial["dry_run"], trial["kms_calls_to_open_before"],
                          trial["kms_calls_to_open"]), (6, True, 6, 1))
        self.assertEqual(self.store.read_bytes(), before)
        done, _ = self.reseal()
        self.assertEqual((done["keys"], done["resealed"], done["unchanged"], done["failed"]), (6, 6, 0, []))
        self.assertEqual(done["kms_calls_to_open"], 1)
        self.assertTrue(done["cmk"].startswith("arn:aws:kms:"))
        self.assertEqual([sorted(e) for e in self.entries()], others)
        self.assertEqual([e["public_key_hash"] for e in self.entries()], [k["public_key_hash"] for k in keys])
        self.assertNotEqual(self.store.read_bytes(), before)
        self.assertEqual(len(self.opened()), 6)
        self.all_sign(keys)
        # Again: nothing to do, nothing written.
        after = self.store.read_bytes()
        again, _ = self.reseal()
        self.assertEqual((again["resealed"], again["unchanged"]), (0, 6))
        self.assertEqual(self.store.read_bytes(), after)

    def test_versions(self):
        self.up("--sealed-version", "1")
        keys = self.make(*KINDS)
        self.assertEqual(self.versions(), {1})
        self.assertEqual(self.reseal()[0]["resealed"], 0)
        done, _ = self.reseal("--sealed-version", "2")
        self.assertEqual((done["resealed"], done["kms_calls_to_open_before"], done["kms_calls_to_open"]), (4, 4, 1))
        self.assertEqual(self.versions(), {2})
        self.all_sign(keys)
        done, _ = self.reseal()
        self.assertEqual((done["resealed"], done["kms_calls_to_open"]), (4, 4))
        self.assertEqual(self.versions(), {1})
        self.all_sign(keys)
        text = self.stack.cli("keys", "reseal", "-v", "nitro").stdout
        self.assertIn("0 keys sealed anew in version 1, 4 unchanged", text)

    def test_another_key(self):
        self.up()
        keys = self.make(*KINDS)
        kms = self.kms()
        policy = json.loads(kms.get_key_policy(KeyId=self.cmk(), PolicyName="default")["Policy"])
        for statement in policy["Statement"]:
            statement.pop("Condition", None)
        other = kms.create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]
        kms.close()
        # Not pinned to it: refused, and everything stays.
        before = self.store.read_bytes()
        report, error = self.reseal("--cmk", other, status=1)
        self.assertIn("CMK", error)
        self.assertEqual(report["resealed"], 0)
        self.assertEqual(self.store.read_bytes(), before)
        self.stack.down()
        self.up("--setting", f"cmk_arn={other}", "--accept-image")
        done, _ = self.reseal("--cmk", other)
        self.assertEqual((done["resealed"], done["cmk"], done["kms_calls_to_open"]), (4, other, 1))
        self.all_sign(keys)
        # A CMK under which the new blobs would not open again: nothing is replaced.
        before = self.store.read_bytes()
        kms = self.kms()
        policy = json.loads(kms.get_key_policy(KeyId=self.cmk(), PolicyName="default")["Policy"])
        for statement in policy["Statement"]:
            if "kms:Decrypt" in statement.get("Action", []):
                statement["Action"] = [a for a in statement["Action"] if a != "kms:Decrypt"]
        kms.put_key_policy(KeyId=self.cmk(), PolicyName="default", Policy=json.dumps(policy))
        kms.close()
        report, error = self.reseal(status=1)
        self.assertIn("opening the new blob again, before anything is replaced", error)
        self.assertEqual(self.store.read_bytes(), before)

    def cmk(self):
        return next(line.split(":", 1)[1].strip().strip('"') for line in self.stack.config.read_text().splitlines()
                    if "encryption_key_id" in line)

    # ---- what it refuses ----

    def test_denied(self):
        self.up("--sealed-version", "1")
        self.make("tz1", "tz2")
        before = self.store.read_bytes()
        kms = self.kms()
        policy = json.loads(kms.get_key_policy(KeyId=self.cmk(), PolicyName="default")["Policy"])
        for statement in policy["Statement"]:
            actions = statement.get("Action", [])
            if "kms:GenerateDataKey" in actions:
                statement["Action"] = [a for a in actions if a != "kms:GenerateDataKey"]
        kms.put_key_policy(KeyId=self.cmk(), PolicyName="default", Policy=json.dumps(policy))
        kms.close()
        report, error = self.reseal("--sealed-version", "2", status=1)
        self.assertEqual(report["resealed"], 0)
        for words in ("AccessDenied", "kms:GenerateDataKey", "kms:RecipientAttestation", "sealed_version: 1",
                      "PCR0"):
            self.assertIn(words, error)
        self.assertEqual(self.store.read_bytes(), before)

    def test_altered_store(self):
        self.up()
        keys = self.make("tz1", "tz2", "tz3", "tz1")
        entries = self.entries()
        a, b = entries[0], entries[3]
        a["encrypted_private_key"], b["encrypted_private_key"] = b["encrypted_private_key"], a["encrypted_private_key"]
        damaged = bytearray(base64.b64decode(entries[1]["encrypted_private_key"]))
        damaged[-1] ^= 1
        entries[1]["encrypted_private_key"] = base64.b64encode(damaged).decode()
        self.store.write_text(json.dumps(entries, indent=4))
        old = self.blobs()
        report, error = self.reseal(status=1)
        self.assertEqual(report["resealed"], 1)
        self.assertEqual({f["public_key_hash"] for f in report["failed"]},
                         {keys[i]["public_key_hash"] for i in (0, 1, 3)})
        self.assertIn("the store was altered", error)
        new = self.blobs()
        self.assertEqual([k for k in old if old[k] != new[k]], [keys[2]["public_key_hash"]])

    def test_usage(self):
        self.up()
        self.assertEqual(self.reseal()[0]["keys"], 0)
        self.assertIsNone(self.reseal("--sealed-version", "3", status=2)[0])
        self.assertIsNone(self.reseal("--sealed-version", "1", "--cmk", "arn:x", status=2)[0])
        self.assertIn("nope", self.stack.cli("keys", "reseal", "-v", "nope", check=False).stderr)

    # ---- kill -9 ----

    def test_killed(self):
        self.up("--sealed-version", "1")
        keys = self.make(*KINDS * 3)
        known = {k["public_key_hash"]: k["public_key"] for k in keys}
        begin = time.monotonic()
        self.reseal("--sealed-version", "2")
        whole = time.monotonic() - begin
        kills, hit, mixed = int(os.environ.get("CV_KILLS", "30")), 0, 0
        for i in range(kills):
            child = subprocess.Popen([bin_dir() / "claviger", "-c", self.stack.config, "keys", "reseal", "-v", "nitro",
                                      "--sealed-version", "12"[i // 3 % 2]],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.uniform(0, whole))
            hit += child.poll() is None
            child.kill()
            child.wait(10)
            self.assertEqual(set(self.blobs()), set(known), i)
            mixed += len(self.versions()) == 2
            if i % 5 == 4:
                self.assertEqual(self.opened(), known, i)
        self.assertGreater(hit, kills // 10)
        self.assertGreater(mixed, 0, "no run was interrupted in its middle")
        done, _ = self.reseal("--sealed-version", "2", "--afresh")
        self.assertEqual((done["failed"], done["kms_calls_to_open"]), ([], 1))
        self.assertEqual(self.opened(), known)
        self.all_sign(keys)

    def test_goes_on(self):
        """An interrupted run is taken up: what it had done is not done again."""
        self.up()
        keys = self.make(*["tz1"] * 12)
        for _ in range(40):
            before = self.blobs()
            child = subprocess.Popen([bin_dir() / "claviger", "-c", self.stack.config, "keys", "reseal", "-v", "nitro"],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            while child.poll() is None and self.blobs() == before:
                time.sleep(0.001)
            child.kill()
            child.wait(10)
            middle = self.blobs()
            changed = {k for k in middle if middle[k] != before[k]}
            if 0 < len(changed) < 12:
                break
        else:
            self.skipTest("the run could not be interrupted in its middle")
        done, _ = self.reseal()
        after = self.blobs()
        self.assertEqual({k for k in after if after[k] != middle[k]}, set(middle) - changed)
        self.assertEqual((done["unchanged"], done["resealed"], done["kms_calls_to_open"]),
                         (len(changed), 12 - len(changed), 2))
        # Finished: the next run gathers all under one data key.
        self.assertEqual(self.reseal()[0]["kms_calls_to_open"], 1)
        self.all_sign(keys)


if __name__ == "__main__":
    unittest.main()
