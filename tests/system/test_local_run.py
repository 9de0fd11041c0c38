#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""claviger-local run: images that claviger eif build made, without an enclave."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest
import zlib

from claviger_testing import process
from claviger_testing.rootfs import make_root

process.need("claviger", "claviger-local", "claviger-enclave-dev", "claviger-init", "claviger-init-dev")
# As root, or in a namespace where we are.
if subprocess.run(["unshare", *([] if os.geteuid() == 0 else ["-Ur"]), "--pid", "--fork", "--mount", "--uts", "--net",
                   "--ipc", "true"], capture_output=True, check=False).returncode != 0:
    process.skip("namespaces cannot be made here")
BIN = process.bin_dir()
STAGED = ("claviger-local", "claviger-init-dev", "claviger-enclave-dev")


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = pathlib.Path(tempfile.mkdtemp(prefix="cv-run-", dir="/tmp"))
        cls.addClassCleanup(shutil.rmtree, cls.top, True)
        os.chmod(cls.top, 0o755)
        make_root(cls.top / "root")
        (cls.top / "root/etc/marker").write_text("marker of the image")
        (cls.top / "kernel").write_bytes(b"kernel")
        cls.dir = cls.top / "aws"
        cls.up = process.Program([BIN / "claviger-local", "up", "--dir", cls.dir], cls.top / "up.log")
        cls.addClassCleanup(cls.up.stop)
        cls.up.wait_line("ready")
        cls.env = dict(os.environ, HOME=str(cls.top))
        for line in (cls.dir / "aws.env").read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            cls.env[name] = value.strip("'")

    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(dir=self.top))

    def build(self, *command, yaml="", name="app"):
        """An image whose command is COMMAND; a lone string goes to bash."""
        argv = list(command) if len(command) != 1 else ["/bin/bash", "-c", command[0]]
        (self.work / "enclave.yaml").write_text("version: 1\n" + yaml)
        image = self.work / f"{name}.eif"
        done = process.run([BIN / "claviger", "eif", "build", self.top / "root", "-o", image, "--kernel",
                            self.top / "kernel", "--modules", "none", "--enclave-config-file",
                            self.work / "enclave.yaml", "--json", "--", *argv])
        self.pcr0 = json.loads(done.stdout)["Measurements"]["PCR0"]
        return image

    def start(self, image, *options, directory=None, **kw):
        program = process.Program([BIN / "claviger-local", "run", "--dir", directory or self.dir, *options, image],
                                  self.work / "run.log", **kw)
        self.addCleanup(program.stop)
        return program

    def run_it(self, image, *options, status=0, **kw):
        program = self.start(image, *options, **kw)
        self.assertEqual(program.process.wait(90), status, program.tail())
        self.assertFalse((self.dir / "run").exists())
        return program.out_path.read_text(), program.tail(1 << 20)

    def key(self):
        """A key that the administrator may use and, for Decrypt, an enclave of self.pcr0."""
        import boto3
        principals = json.loads((self.dir / "kms.json").read_text())["principals"]
        admin = next(p for p in principals if p["arn"].endswith(":root"))
        role = next(p["role_arn"] for p in principals if p.get("role_arn"))
        kms = boto3.client("kms", region_name=self.env["AWS_REGION"], verify=str(self.dir / "ca.pem"),
                           endpoint_url=self.env["AWS_ENDPOINT_URL_KMS"], aws_access_key_id=admin["access_key_id"],
                           aws_secret_access_key=admin["secret_access_key"])
        self.addCleanup(kms.close)
        cmk = kms.create_key()["KeyMetadata"]["Arn"]

        def bind(pcr0):
            root = {"AWS": "arn:aws:iam::%s:root" % cmk.split(":")[4]}
            kms.put_key_policy(KeyId=cmk, PolicyName="default", Policy=json.dumps({
                "Version": "2012-10-17", "Statement": [
                    {"Effect": "Allow", "Principal": root, "NotAction": "kms:Decrypt", "Resource": "*"},
                    {"Effect": "Allow", "Principal": {"AWS": role}, "Action": "kms:Decrypt", "Resource": "*",
                     "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": pcr0}}}]}))
        return cmk, bind

    def test_output_and_status(self):
        out, log = self.run_it(self.build("cat /etc/marker; echo; echo oops >&2; exit 9"), status=9)
        self.assertEqual(out, "stdout: marker of the image\n")
        self.assertIn("stderr: oops\n", log)
        self.assertIn(self.pcr0, log)

    def test_killed_by_a_signal(self):
        self.run_it(self.build("kill -KILL $$"), status=137)

    def test_secrets_from_the_parents_file_and_a_changed_byte(self):
        cmk, bind = self.key()
        image = self.build('echo "$A $B $UNLISTED"; cat /run/s/key', yaml=f"""
encryptedConfig: {{type: file, path: app, allow: [A, /run/s/key]}}
untrustedConfig: {{envVars: {{allow: [B]}}}}
cmk: {cmk}
boot_deadline: 30s
""")
        bind(self.pcr0)
        (self.work / "s.yaml").write_text("environment: [A=sealed]\nfiles: [{path: /run/s/key, content: the key}]\n")
        process.run([BIN / "claviger", "secrets", "encrypt", "--cmk", cmk, "-o", self.work / "app.enc",
                     self.work / "s.yaml"], env=self.env)
        options = ["--file", f"app={self.work}/app.enc", "--env", "B=given", "--env", "UNLISTED=x"]
        out, _ = self.run_it(image, *options)
        self.assertEqual(out, "stdout: sealed given \nstdout: the key\n")
        # Another measurement is refused by KMS, with the image's own registers.
        _, log = self.run_it(image, *options, "--pcr0", "ab" * 48, status=1)
        self.assertRegex(log, r"decrypt: failed: .*AccessDenied")
        data = bytearray(image.read_bytes())
        data[data.index(b"marker of the image")] ^= 1
        changed = self.work / "changed.eif"
        changed.write_bytes(data)
        _, log = self.run_it(changed, *options, status=1)
        self.assertRegex(log, "(?i)crc|checksum")
        crc = zlib.crc32(data[548:], zlib.crc32(data[:0x220]))
        data[0x220:0x224] = crc.to_bytes(4, "big")
        changed.write_bytes(data)
        _, log = self.run_it(changed, *options, status=1)
        self.assertRegex(log, r"decrypt: failed: .*AccessDenied")
        _, log = self.run_it(image, status=1)
        self.assertRegex(log, r"did not boot: fetch: ")

    def test_debug_mode_is_refused(self):
        _, log = self.run_it(self.build("true"), "--debug-mode", status=1)
        self.assertRegex(log, "did not boot: start: .*debug mode")

    def test_stop_signal(self):
        program = self.start(self.build('trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.1; done'))
        program.wait_line("stdout: up")
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(program.process.wait(30), 3, program.tail())
        self.assertIn("stdout: bye", program.out_path.read_text())

    def test_one_at_a_time(self):
        program = self.start(self.build("echo up; sleep 60"))
        program.wait_line("stdout: up")
        done = process.run([BIN / "claviger-local", "run", "--dir", self.dir, self.work / "app.eif"], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another 'claviger-local run'", done.stderr)
        program.kill()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.left():
            time.sleep(0.05)
        self.assertEqual(self.left(), [])  # a killed run leaves nothing running

    def left(self):
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if entry.name.isdigit() and str(self.dir / "run").encode() in line:
                found.append(line)
        return found

    def test_no_folder_and_no_standins(self):
        image = self.build("echo alone")
        program = process.Program([BIN / "claviger-local", "run", image], self.work / "run.log",
                                  env={"PATH": os.environ["PATH"]})
        self.addCleanup(program.stop)
        self.assertEqual(program.process.wait(90), 0, program.tail())
        self.assertEqual(program.out_path.read_text(), "stdout: alone\n")
        folder = re.search(r"/tmp/claviger-run-\w+", program.tail()).group(0)
        self.assertFalse(os.path.exists(folder))

    def test_what_is_no_image_of_ours(self):
        (self.work / "x.eif").write_bytes(b"no image")
        self.run_it(self.work / "x.eif", status=1)
        self.run_it(self.work / "absent.eif", status=1)
        done = process.run([BIN / "claviger-local", "run"], check=False)
        self.assertEqual(done.returncode, 2)

    def test_without_root(self):
        if shutil.which("setpriv") is None or os.geteuid() != 0:
            self.skipTest("needs root to become somebody else")
        who = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
        if subprocess.run([*who, "unshare", "-Urmpf", "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("user namespaces are not allowed here")
        image = self.build("id -u; cat /etc/marker")
        own = pathlib.Path(tempfile.mkdtemp(prefix="cv-run-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, own, True)
        os.chown(own, 65534, 65534)
        os.chmod(self.work, 0o755)
        staged = self.work / "bin"  # the build folder may lie where only its owner may look
        staged.mkdir()
        for name in STAGED:
            shutil.copy(BIN / name, staged / name)
        done = process.run([*who, staged / "claviger-local", "run", "--dir", own / "aws", image], check=False, seconds=90)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout, "stdout: 0\nstdout: marker of the image\n")

    def test_ports(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        # bash serves nothing; the connection must come as far as the init's forwarder.
        program = self.start(self.build("echo up; sleep 60", yaml="ports: [7001]\n"), "--expose", f"127.0.0.1:{port}:7001")
        program.wait_line("stdout: up")
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            s.settimeout(20)
            try:
                self.assertEqual(s.recv(1), b"")
            except ConnectionResetError:
                pass
        self.assertTrue(program.alive())


if __name__ == "__main__":
    unittest.main()
