#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an enclave was started with stands in PCR16, locked, as anybody can
compute it; and the heartbeat, as the settings want it."""

import hashlib
import json
import os
import pathlib
import socket
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["CV_SOURCE_DIR"], "tests/lib"))
from claviger_testing.init_case import InitCase  # noqa: E402
from claviger_testing.process import bin_dir  # noqa: E402

try:
    import cbor2
except ImportError:
    print("SKIP: python3-cbor2 is not installed")
    sys.exit(77)

NAMES = ("x-amz-3", "x-amz-c", "x-amz-cek-alg", "x-amz-d", "x-amz-i", "x-amz-iv", "x-amz-key-v2", "x-amz-matdesc",
         "x-amz-t", "x-amz-tag-len", "x-amz-w", "x-amz-wrap-alg")
YAML = "environment: [A=secret, B=other]"


def register(containers, variables):
    """The value by docs/protocol/encrypted-configuration.md."""
    configurations = []
    for raw in containers:
        n = struct.unpack(">I", raw[8:12])[0]
        metadata, body = json.loads(raw[12:12 + n]), raw[12 + n:]
        signed = cbor2.dumps(["claviger.config.1", {k: metadata[k] for k in NAMES if k in metadata},
                              hashlib.sha256(body).digest()])
        context = json.loads(metadata.get("x-amz-t") or metadata.get("x-amz-matdesc"))
        configurations.append([int(context.get("claviger:version", 0)), hashlib.sha384(signed).digest()])
    text = cbor2.dumps(["claviger.applied.1", configurations, [[k, variables[k]] for k in sorted(variables)]])
    return hashlib.sha384(bytes(48) + hashlib.sha384(text).digest()).hexdigest()


class Measured(InitCase):
    number = 0

    def setUp(self):
        super().setUp()
        Measured.number += 1
        name = f"nsm{Measured.number}"
        self.start_nsm(name, "--pcr0", "ab" * 48)
        self.nsm_socket = self.top / f"{name}.sock"

    def nsm_call(self, request):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(self.nsm_socket))
            raw = cbor2.dumps(request)
            s.sendall(struct.pack(">I", len(raw)) + raw)
            head = s.recv(4, socket.MSG_WAITALL)
            return cbor2.loads(s.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL))

    def pcr(self, number=16):
        reply = self.nsm_call({"DescribePCR": {"index": number}})["DescribePCR"]
        return reply["lock"], reply["data"].hex()

    def test_configurations_and_variables(self):
        one = self.encrypt(YAML, "--version", "7", "--context", "app=web", name="one.enc")
        two = self.encrypt(YAML, "--format", "2", "--version", "9", "--context", "app=web", name="two.enc")
        self.prepare(files={"one": one, "two": two},
                     environment={"LEVEL": "debug", "EMPTY": "", "DENIED": "x", "\u00fc": "x"})
        out = self.boot("echo $A $LEVEL", source=[("local one", ("A", "B"), ()), ("local two", ("A", "B"), ())],
                        context=["app=web"], untrusted_env=["LEVEL", "EMPTY", "ABSENT"], cmk=self.cmk, config_pcr=16)
        self.assertEqual(out, "secret debug\n")
        want = register([one, two], {"LEVEL": "debug", "EMPTY": ""})
        self.assertEqual(self.pcr(), (True, want))
        self.assertIn(want, self.parent.output(0))
        told = self.cli("secrets", "pcr", "-e", "EMPTY=", "-e", "LEVEL=first", "-e", "LEVEL=debug", "one.enc",
                        "two.enc").stdout
        self.assertEqual(told, f"PCR16  {want}\n")
        # Every later document of the enclave has it.
        document = self.nsm_call({"Attestation": {"user_data": None, "nonce": None, "public_key": None}})
        payload = cbor2.loads(cbor2.loads(document["Attestation"]["document"])[2])
        self.assertEqual(payload["pcrs"][16].hex(), want)
        (self.dir / "document").write_bytes(document["Attestation"]["document"])
        verify = ("attest", "verify", "--root", self.top / "nsm/root.pem", "--pcr")
        self.cli(*verify, f"16={want}", "document")
        done = subprocess.run([bin_dir() / "claviger", *map(str, verify), f"16={'0' * 96}", "document"], cwd=self.dir,
                              env=self.env, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("pcrs[16]", done.stderr)
        (self.dir / "pcr.json").write_text(self.cli("--json", "secrets", "pcr", "-e", "EMPTY=", "-e", "LEVEL=debug",
                                                    "one.enc", "two.enc").stdout)
        self.cli(*verify[:-1], "--pcrs", "pcr.json", "document")
        self.assertIn("Error", self.nsm_call({"ExtendPCR": {"index": 16, "data": b"more"}}))
        # The order counts, a changed byte counts, the place does not.
        self.assertNotEqual(register([two, one], {"LEVEL": "debug", "EMPTY": ""}), want)
        self.cli("secrets", "copy", "one.enc", "s3://secrets/measured")
        moved = self.cli("--json", "secrets", "pcr", "-e", "LEVEL=debug", "-e", "EMPTY=", "s3://secrets/measured",
                         "two.enc").stdout
        self.assertEqual(json.loads(moved), {"PCR16": want})

    def test_another_register_and_none(self):
        one = self.encrypt(YAML, name="one.enc")
        settings = {"source": [("local one", ("A", "B"), ())], "cmk": self.cmk}
        self.prepare(files={"one": one})
        self.boot("true", config_pcr=23, **settings)
        self.assertEqual(self.pcr(23), (True, register([one], {})))
        self.assertEqual(self.pcr(16), (False, "00" * 48))
        self.again()
        self.prepare(files={"one": one})
        self.boot("true", config_pcr=0, **settings)
        self.assertEqual(self.pcr(16), (False, "00" * 48))

    def test_a_register_that_was_used(self):
        """It cannot be, in an enclave, which then would not start. A stand-in's may be from another boot: this
        build says so and goes on."""
        self.nsm_call({"ExtendPCR": {"index": 16, "data": b"before"}})
        self.nsm_call({"LockPCR": {"index": 17}})
        for number, why in ((16, "was not empty before"), (17, "PCR17: "), (16, "PCR16: ")):
            self.prepare(environment={"LEVEL": "x"})
            self.assertEqual(self.boot("echo runs", untrusted_env=["LEVEL"], config_pcr=number), "runs\n")
            self.assertIn("an enclave would not start so", self.parent.output(0))
            self.assertIn(why, self.parent.output(0))
            self.again()

    def again(self):
        self.tearDown()
        self.init = self.parent = None
        self.dir = pathlib.Path(str(self.dir) + "x")
        self.dir.mkdir()

    def test_built_images_measure_by_default(self):
        (self.dir / "kernel").write_bytes(b"kernel")
        (self.dir / "root").mkdir()
        (self.dir / "one.enc").write_bytes(self.encrypt(YAML, "--version", "3", name="one.enc"))
        config = ["version: 1", f"cmk: {self.cmk}", "encryptedConfig: {type: file, path: one, allow: [A, B]}",
                  "untrustedConfig: {envVars: {allow: [LEVEL]}}"]
        build = ("eif", "build", "root", "--kernel", "kernel", "--init", "kernel", "-o", "x.eif",
                 "--enclave-config-file", "enclave.yaml", "--", "/bin/true")
        for more, number in ((None, "16"), ("config_pcr: 20", "20"), ("config_pcr: off", "0")):
            (self.dir / "enclave.yaml").write_text("\n".join(config + ([more] if more else [])))
            self.cli(*build)
            self.cli("eif", "extract", "-d", f"parts{number}", "x.eif")
            raw = (self.dir / f"parts{number}/ramdisk1.cpio").read_bytes()
            self.assertIn(f"\nconfig_pcr={number}\n".encode(), raw)
            if number != "0":
                told = self.cli("secrets", "pcr", "--eif", "x.eif", "-e", "LEVEL=1", "one.enc").stdout
                want = register([(self.dir / "one.enc").read_bytes()], {"LEVEL": "1"})
                self.assertEqual(told, f"PCR{number}  {want}\n")
        for argv, why in ((("--eif", "x.eif", "one.enc"), "measures nothing"),
                          (("-e", "1", "one.enc"), "NAME=VALUE"), (("absent.enc",), "absent.enc")):
            done = subprocess.run([bin_dir() / "claviger", "secrets", "pcr", *argv], cwd=self.dir, env=self.env,
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stderr)
        (self.dir / "enclave.yaml").write_text("\n".join(config))
        self.cli(*build)
        for argv, why in ((("one.enc", "one.enc"), "opens 1 configurations"),
                          (("-e", "OTHER=1", "one.enc"), "OTHER")):
            done = subprocess.run([bin_dir() / "claviger", "secrets", "pcr", "--eif", "x.eif", *argv], cwd=self.dir,
                                  env=self.env, capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stderr)

    def test_heartbeat(self):
        others = (8000, 8001, 9001, 9002)
        self.prepare()
        self.refused("start", "heartbeat", ports=others, heartbeat="required", boot_deadline_ms=2000)
        self.again()
        self.prepare()
        began = time.monotonic()
        self.start("echo runs", ports=others, heartbeat="off")
        self.wait_end(0)
        self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(self.parent.output(), "runs\n")
        self.assertNotIn("no heartbeat", self.parent.output(0))
        self.again()
        self.prepare()
        self.assertEqual(self.boot("echo runs", heartbeat="required"), "runs\n")
        self.assertEqual(len(self.parent.of("heartbeat")), 1)


if __name__ == "__main__":
    unittest.main()
