#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The guard of the daemon, through its HTTP interface: policy, watermarks that
survive restarts, refusals that name the way out, the audit log."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time
import unittest

from claviger_testing import tezos
from claviger_testing.process import need
from claviger_testing.stack import Stack

need("claviger", "claviger-local", "claviger-enclave-dev")

ALLOW = """
    allow:
      block:
      preattestation:
      attestation:
      attestation_with_dal:
      generic: [transaction, reveal, "ballot:yay"]
"""
WATERMARK = "watermark validation failed"


def with_dal(request):
    """The same attestation with a DAL bitset (tag 23)."""
    return request[:37] + bytes([23]) + request[38:] + b"\x01"


class Guard(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.base = pathlib.Path(tempfile.mkdtemp(prefix="cv-guard-"))
        cls.stack = Stack(cls.base / "stack").up()
        cls.addClassCleanup(cls.clean)
        cls.keys = {kind: cls.stack.generate(kind)["public_key_hash"] for kind in ("tz1", "tz4", "tz2")}
        cls.stack.allow(*cls.keys.values(), body=ALLOW)
        cls.stack.serve()

    @classmethod
    def clean(cls):
        cls.stack.down()
        shutil.rmtree(cls.base, ignore_errors=True)

    def restart(self):
        self.stack.stop_daemon()
        self.stack.serve()

    def expect(self, reply, status, text=None):
        self.assertEqual(reply.status, status, reply.body)
        if text is not None:
            self.assertEqual(reply.json(), [{"id": "failure", "kind": "temporary", "msg": text}])

    def test_marks_survive_a_restart(self):
        pkh = self.keys["tz1"]
        first = tezos.attestation(100, 2, b"\1" * 32)
        other = tezos.attestation(100, 2, b"\2" * 32)
        reply = self.stack.sign(pkh, first)
        self.expect(reply, 200)
        signature = reply.json()["signature"]
        self.expect(self.stack.sign(pkh, other), 409, WATERMARK)
        self.restart()
        again = self.stack.sign(pkh, first)
        self.expect(again, 200)
        self.assertEqual(again.json()["signature"], signature)
        self.expect(self.stack.sign(pkh, other), 409, WATERMARK)
        self.expect(self.stack.sign(pkh, tezos.attestation(100, 1)), 409, WATERMARK)
        self.expect(self.stack.sign(pkh, tezos.attestation(99, 9)), 409, WATERMARK)
        self.expect(self.stack.sign(pkh, tezos.attestation(100, 3)), 200)
        self.expect(self.stack.sign(pkh, tezos.attestation(101, 0)), 200)

    def test_one_bucket_for_attestations(self):
        pkh = self.keys["tz2"]
        self.expect(self.stack.sign(pkh, tezos.attestation(50, 0, b"\1" * 32)), 200)
        dal = with_dal(tezos.attestation(50, 0, b"\2" * 32))
        self.expect(self.stack.sign(pkh, dal), 409, WATERMARK)
        self.expect(self.stack.sign(pkh, dal, "?version=1"), 409, WATERMARK)
        self.expect(self.stack.sign(pkh, with_dal(tezos.attestation(51, 0))), 200)
        self.expect(self.stack.sign(pkh, tezos.attestation(51, 0)), 409, WATERMARK)

    def test_kinds_and_chains_apart(self):
        pkh = self.keys["tz4"]
        self.expect(self.stack.sign(pkh, tezos.block(70, 0)), 200)
        self.expect(self.stack.sign(pkh, tezos.preattestation(70, 0, bls=True)), 200)
        self.expect(self.stack.sign(pkh, tezos.attestation(70, 0, bls=True)), 200)
        self.expect(self.stack.sign(pkh, tezos.block(70, 0, b"\1" * 32)), 409, WATERMARK)
        self.expect(self.stack.sign(pkh, tezos.block(5, 0, chain=b"\1\2\3\4")), 200)

    def test_hostile_levels(self):
        pkh = self.keys["tz1"]
        for level in (-1, -2**31, -(8_000_000)):
            request = bytearray(tezos.attestation(1, 0))
            request[40:44] = (level & 0xFFFFFFFF).to_bytes(4, "big")
            self.assertIn(self.stack.sign(pkh, bytes(request)).status, (400, 409))

    def test_policy(self):
        pkh = self.keys["tz1"]
        self.expect(self.stack.sign(pkh, tezos.transaction(pkh, pkh, 1)), 200)
        other = tezos.transaction(self.keys["tz2"], pkh, 1)
        reply = self.stack.sign(pkh, other)
        self.assertEqual(reply.status, 403)
        self.assertIn(self.keys["tz2"], reply.json()[0]["msg"])
        self.expect(self.stack.sign(pkh, b"\x05\x01\x00\x00\x00\x01a"), 403, "request kind `pack' is not allowed")
        delegation = bytearray(tezos.transaction(pkh, pkh, 0))
        delegation = b"\x03" + bytes(32) + bytes([110]) + tezos.key_hash_bytes(pkh) + b"\1\1\1\0\0"
        self.expect(self.stack.sign(pkh, delegation), 403, "operation `delegation' is not allowed")
        ballot = b"\x03" + bytes(32) + b"\x06" + tezos.key_hash_bytes(pkh) + bytes(4) + bytes(32)
        self.expect(self.stack.sign(pkh, ballot + b"\x00"), 200)
        self.expect(self.stack.sign(pkh, ballot + b"\x01"), 403, "operation `ballot:nay' is not allowed")

    def test_strict(self):
        pkh = self.keys["tz1"]
        good = tezos.transaction(pkh, pkh, 1)
        for bad in (good + b"\0", good[:-1], good[:33], b"\x03" + bytes(32), b"\x01", b"\x14" + bytes(80), b""):
            self.assertEqual(self.stack.sign(pkh, bad).status, 400, bad.hex())
        self.expect(self.stack.sign(pkh, b"\x06abc"), 400, "gotez: unknown tag 6")

    def test_audit_line_before_the_answer(self):
        """Whoever has an answer finds its line in the file, also among many."""
        pkh, late = self.keys["tz1"], []

        def client(number):
            for i in range(40):
                signed = i % 2 == 0
                message = tezos.transaction(pkh, pkh, 1000 * number + i) if signed else b"\x05\x00" + bytes([number, i])
                reply = self.stack.sign(pkh, message)
                log = (self.stack.dir / "audit.log").read_bytes()
                if signed:
                    found = reply.status == 200 and hashlib.blake2b(message, digest_size=32).hexdigest().encode() in log
                else:
                    # Refused ones are told by their number.
                    found = reply.status >= 400 and log.count(b'"event":"refuse"') > refused.setdefault(number, 0)
                    refused[number] = log.count(b'"event":"refuse"')
                if not found:
                    late.append((number, i, reply.status, reply.body))

        refused = {}
        threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(late, [])

    def test_audit_log(self):
        self.stack.sign(self.keys["tz1"], tezos.transaction(self.keys["tz1"], self.keys["tz1"], 7))
        before = json.loads(self.stack.cli("audit", "verify", "--json").stdout)
        self.assertEqual(before["bad_line"], 0)
        self.assertGreater(before["lines"], 0)
        log = self.stack.dir / "audit.log"
        lines = log.read_bytes().splitlines(keepends=True)
        self.assertIn(b'"event":"sign"', b"".join(lines))
        forged = self.base / "forged.log"
        middle = len(lines) // 2
        lines[middle] = lines[middle].replace(b'"pkh":"tz', b'"pkh":"tx', 1)
        forged.write_bytes(b"".join(lines))
        done = self.stack.cli("audit", "verify", str(forged), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"line {middle + 1}:", done.stderr)
        cut = self.base / "cut.log"
        cut.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
        self.stack.cli("audit", "verify", str(cut))
        done = self.stack.cli("audit", "verify", "--last-hash", before["last_hash"], str(cut), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("lines were cut off", done.stderr)
        # The log goes on, and the line that was noted is still there.
        self.stack.sign(self.keys["tz1"], tezos.transaction(self.keys["tz1"], self.keys["tz1"], 8))
        done = self.stack.cli("audit", "verify", "--last-hash", before["last_hash"])
        self.assertRegex(done.stdout, r", [1-9]\d* of them after the one given")
        self.assertEqual(self.stack.cli("audit", "verify", "--last-hash", "00", check=False).returncode, 2)
        # An end that is being written is waited for.
        whole = log.read_bytes()
        cut.write_bytes(whole[:-9])
        with subprocess.Popen([self.stack.bin / "claviger", "audit", "verify", cut], stdout=subprocess.PIPE) as verifier:
            time.sleep(0.1)
            with cut.open("ab") as f:
                f.write(whole[-9:])
            self.assertIn(b"unbroken", verifier.communicate(timeout=20)[0])


class Store(unittest.TestCase):
    """What happens to the store between two lives of the daemon."""

    def setUp(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="cv-guard-"))
        self.stack = Stack(self.base / "stack").up()
        self.addCleanup(shutil.rmtree, self.base, True)
        self.addCleanup(self.stack.down)
        self.pkh = self.stack.generate("tz1")["public_key_hash"]
        self.stack.allow(self.pkh, body="{allow: {block: , attestation: , preattestation: }}")
        self.store = self.stack.dir / "watermark_store"

    def refused_start(self, *words):
        with self.assertRaises(RuntimeError):
            self.stack.serve()
        log = self.stack.daemon.tail()
        self.stack.stop_daemon()
        for word in words:
            self.assertIn(word, log)

    def test_deleted_older_and_foreign(self):
        self.stack.serve()
        self.assertEqual(self.stack.sign(self.pkh, tezos.block(10, 0)).status, 200)
        self.stack.stop_daemon()
        saved = self.base / "saved"
        shutil.copytree(self.store, saved)
        self.stack.serve()
        reply = self.stack.sign(self.pkh, tezos.block(11, 0)); self.assertEqual(reply.status, 200, reply.body)
        self.stack.stop_daemon()
        newest = self.base / "newest"
        shutil.copytree(self.store, newest)

        shutil.rmtree(self.store)
        self.refused_start("watermark init --replace")
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(saved, self.store)
        self.refused_start("older copy")
        shutil.rmtree(self.store)
        shutil.copytree(newest, self.store)
        self.stack.serve()
        self.assertEqual(self.stack.sign(self.pkh, tezos.block(11, 0, b"\1" * 32)).status, 409)
        self.stack.stop_daemon()

        other = Stack(self.base / "other").up()
        self.addCleanup(other.down)
        other.generate("tz1")
        other.serve()
        other.stop_daemon()
        shutil.rmtree(self.store)
        shutil.copytree(other.dir / "watermark_store", self.store)
        self.refused_start("another machine", "watermark init --adopt")

    def test_damaged(self):
        self.stack.serve()
        self.stack.stop_daemon()
        log = self.store / "watermarks.log"
        data = bytearray(log.read_bytes())
        data[100] ^= 1
        log.write_bytes(data)
        self.stack.serve()  # one copy repairs the other
        self.stack.stop_daemon()
        data = bytearray(log.read_bytes())
        data[100] ^= 1
        data[len(data) // 2 + 100] ^= 1
        log.write_bytes(data)
        self.refused_start("damaged")

    def test_key_without_record(self):
        keys = self.stack.dir / "enclave_keys.json"
        entries = json.loads(keys.read_text())
        for entry in entries:
            entry.pop("claviger_new", None)
        keys.write_text(json.dumps(entries))
        self.stack.serve()
        reply = self.stack.sign(self.pkh, tezos.block(10, 0))
        self.assertEqual(reply.status, 409)
        self.assertIn(f"claviger watermark init {self.pkh}", reply.json()[0]["msg"])
        self.assertRegex(self.stack.daemon.tail(1 << 16), f"a key has no watermark record.*pkh={self.pkh}")
        done = self.stack.cli("watermark", "init", self.pkh, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("stop the daemon first", done.stderr)
        self.stack.stop_daemon()
        self.stack.cli("watermark", "init", self.pkh)
        self.stack.serve()
        self.assertEqual(self.stack.sign(self.pkh, tezos.block(10, 0)).status, 200)
        self.assertEqual(self.stack.daemon.tail(1 << 16).count("a key has no watermark record"), 1)  # of the first start

    def test_signatory_files_are_taken_over(self):
        folder = self.stack.dir / "watermark_v2"
        folder.mkdir()
        chain = tezos.chain_text()
        mark = {"level": 90, "round": 1, "hash": None}
        (folder / f"{chain}.json").write_text(json.dumps({self.pkh: {"block": mark, "endorsement": mark}}))
        self.stack.serve()
        self.assertEqual(self.stack.sign(self.pkh, tezos.block(90, 1)).status, 409)
        self.assertEqual(self.stack.sign(self.pkh, tezos.attestation(90, 0)).status, 409)
        self.assertEqual(self.stack.sign(self.pkh, tezos.block(90, 2)).status, 200)
        exported = json.loads(self.stack.cli("watermark", "export").stdout)
        self.assertEqual(exported[chain][self.pkh]["block"]["level"], 90)
        self.assertEqual(exported[chain][self.pkh]["block"]["round"], 2)

    def test_memory_driver_warns(self):
        text = self.stack.config.read_text()
        self.stack.config.write_text(text + "watermark:\n  driver: mem\n")
        self.stack.serve()
        self.assertIn("memory only", self.stack.daemon.tail())
        self.assertEqual(self.stack.sign(self.pkh, tezos.block(10, 0)).status, 200)
        self.assertEqual(self.stack.sign(self.pkh, tezos.block(10, 0, b"\1" * 32)).status, 409)


if __name__ == "__main__":
    unittest.main()
