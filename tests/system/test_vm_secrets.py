# SPDX-License-Identifier: Apache-2.0
"""An unmodified program of this machine in an image with claviger-init, booted
in a virtual machine: it starts with its secrets, and what fails on the way is
told to the parent (claviger enclave serve). CV_VM_LONG=1 takes every failure."""

import json
import os
import pathlib
import tempfile
import time
import unittest

from claviger_testing import process, vm
from claviger_testing.kms import Kms, client
from claviger_testing.rootfs import make_root

process.need("claviger", "claviger-local", "claviger-init")
if process.sanitized():
    process.skip("programs built with sanitizers cannot be linked statically")
vm.root()


LONG = os.environ.get("CV_VM_LONG") == "1"
SECRET = "value-that-nobody-may-see"
COMMAND = ("echo length ${#DB_PASSWORD} file $(wc -c < /run/app/key) user $(id -un) pid1 $(cat /proc/1/comm) "
           "devices $(ls /dev/nsm /dev/vsock | wc -l) disks $(ls /sys/block | wc -l) links $(ls /sys/class/net); exit 7")


class SecretsImage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cv-vs-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)
        process.run([process.bin_dir() / "claviger-local", "nsm", "--dir", cls.dir / "nsm", "--document",
                     cls.dir / "first.doc"])
        cls.kms = Kms(cls.dir, "--root", cls.dir / "nsm" / "root.pem")
        cls.addClassCleanup(cls.kms.stop)
        cls.principal = cls.kms.principals()[0]
        cls.boto = client(cls.kms, cls.principal)
        cls.addClassCleanup(cls.boto.close)
        cls.cmk = cls.boto.create_key()["KeyMetadata"]["Arn"]
        cls.env = {"PATH": os.environ["PATH"], "HOME": str(cls.dir), "AWS_EC2_METADATA_DISABLED": "true",
                   "AWS_ACCESS_KEY_ID": cls.principal["access_key_id"],
                   "AWS_SECRET_ACCESS_KEY": cls.principal["secret_access_key"], "AWS_REGION": cls.kms.region(),
                   "AWS_ENDPOINT_URL_KMS": cls.kms.endpoint, "AWS_CA_BUNDLE": str(cls.kms.ca)}
        cls.host = f"kms.{cls.kms.region()}.amazonaws.com"
        cls.image = cls.build()
        cls.policy(vm.registers(cls.image)["PCR0"])
        cls.encrypt()

    @classmethod
    def build(cls):
        root = cls.dir / "rootfs"
        make_root(root)
        (root / "etc/ssl/certs").mkdir(parents=True)
        (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(cls.kms.ca.read_bytes())
        (cls.dir / "enclave.yaml").write_text(
            f"version: 1\ncommand: [/bin/bash, -c, {json.dumps(COMMAND)}]\nuser: app\n"
            "encryptedConfig:\n  type: file\n  path: app\n  allow: [DB_PASSWORD, /run/app/key]\n"
            f"cmk: {cls.cmk}\nregion: {cls.kms.region()}\nparent_cid: 2\nboot_deadline: 3m\n")
        image = cls.dir / "app.eif"
        vm.build(image, root, "--enclave-config-file", cls.dir / "enclave.yaml", "--compress", "gzip")
        return image

    @classmethod
    def policy(cls, pcr0):
        """Administration for the account, Decrypt for that image alone."""
        account = json.loads(cls.kms.state.read_text())["account"]
        root = {"AWS": f"arn:aws:iam::{account}:root"}
        text = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": root, "NotAction": "kms:Decrypt", "Resource": "*"},
            {"Effect": "Allow", "Principal": root, "Action": "kms:Decrypt", "Resource": "*",
             "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": pcr0}}}]})
        cls.boto.put_key_policy(KeyId=cls.cmk, PolicyName="default", Policy=text)

    @classmethod
    def encrypt(cls):
        (cls.dir / "secrets.yaml").write_text(
            f"environment:\n  - DB_PASSWORD={SECRET}\nfiles:\n  - {{path: /run/app/key, content: \"{SECRET}\", "
            "mode: 0400, owner: app}\n")
        cls.sealed = cls.dir / "app.enc"
        process.run([process.bin_dir() / "claviger", "secrets", "encrypt", "--cmk", cls.cmk, "-o", cls.sealed,
                     cls.dir / "secrets.yaml"], env=cls.env)

    def boot(self, *arguments, sealed=None, kms_port=None):
        """The parent's side and the machine, to the end; gives status and output."""
        where = pathlib.Path(tempfile.mkdtemp(dir=self.dir))
        machine_dir = where / "vm"
        machine_dir.mkdir(mode=0o700)
        parent = process.Program(
            [process.bin_dir() / "claviger", "enclave", "serve", "--vm", machine_dir / "vm.vsock",
             "--region", self.kms.region(), "--no-heartbeat", "--file", f"app={sealed or self.sealed}",
             "--aws-endpoint", f"{self.host}:443=tcp:127.0.0.1:{kms_port or self.kms.port}"],
            where / "parent.log", env=self.env)
        self.addCleanup(parent.stop)
        self.await_text(parent, "waiting for the enclave")
        machine = vm.Vm(self.image, machine_dir, self.dir / "nsm", *arguments, wait=False)
        self.addCleanup(machine.stop)
        status = parent.process.wait(vm.BOOT_SECONDS)
        said = parent.tail(1 << 20) + parent.out_path.read_text(errors="replace")
        self.assertNotIn(SECRET, said)
        self.assertNotIn(SECRET, machine.console())
        self.assertEqual(machine.wait_end(), 1 if "--no-nsm" in arguments else 0, machine.program.tail())
        return status, said

    def await_text(self, program, text, seconds=20):
        deadline = time.monotonic() + seconds
        while text not in program.tail(1 << 20):
            if time.monotonic() > deadline or not program.alive():
                self.fail(f"no {text!r}:\n{program.tail()}")
            time.sleep(0.05)

    def test_1_starts_with_its_secrets(self):
        status, said = self.boot()
        self.assertEqual(status, 7, said)
        n = len(SECRET)
        self.assertIn(f"length {n} file {n} user app", said)
        self.assertIn("disks 0 links lo", said)

    def test_2_kms_refuses_another_image(self):
        self.policy("ab" * 48)
        try:
            status, said = self.boot()
        finally:
            self.policy(vm.registers(self.image)["PCR0"])
        self.assertEqual(status, 1)
        self.assertIn("AccessDenied", said)
        self.assertNotIn("length", said)

    @unittest.skipUnless(LONG, "the long form: ./dev vm")
    def test_3_ciphertext_spoiled(self):
        data = bytearray(self.sealed.read_bytes())
        data[-3] ^= 1
        spoiled = self.dir / "spoiled.enc"
        spoiled.write_bytes(data)
        status, said = self.boot(sealed=spoiled)
        self.assertEqual(status, 1)
        self.assertNotIn("length", said)

    @unittest.skipUnless(LONG, "the long form: ./dev vm")
    def test_4_another_certificate(self):
        other = self.dir / "other"
        other.mkdir()
        with Kms(other, "--root", self.dir / "nsm" / "root.pem") as kms:
            status, said = self.boot(kms_port=kms.port)
        self.assertEqual(status, 1)
        self.assertIn("certificate", said)
        self.assertNotIn("length", said)

    @unittest.skipUnless(LONG, "the long form: ./dev vm")
    def test_5_no_nsm(self):
        status, said = self.boot("--no-nsm")
        self.assertEqual(status, 1)
        self.assertNotIn("length", said)


if __name__ == "__main__":
    unittest.main()
