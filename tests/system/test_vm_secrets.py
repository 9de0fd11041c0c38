# SPDX-License-Identifier: Apache-2.0
"""An unmodified program of this machine in an image with claviger-init, booted
in a virtual machine: it starts with its secrets, and what fails on the way is
told to the parent (claviger enclave serve). CV_VM_LONG=1 takes every failure."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import tempfile
import time
import unittest

from claviger_testing import process, vm

process.need("claviger", "claviger-local", "claviger-init")
if process.sanitized():
    process.skip("programs built with sanitizers cannot be linked statically")
vm.root()

from claviger_testing.init_case import make_root  # noqa: E402  (it may skip)
from claviger_testing.kms import Kms, client  # noqa: E402
from claviger_testing.parent import LIES  # noqa: E402

LONG = os.environ.get("CV_VM_LONG") == "1"
SECRET = "value-that-nobody-may-see"
COMMAND = ("echo length ${#DB_PASSWORD} file $(wc -c < /run/app/key) user $(id -un) pid1 $(cat /proc/1/comm) "
           "devices $(ls /dev/nsm /dev/vsock | wc -l) disks $(ls /sys/block | wc -l) links $(ls /sys/class/net); exit 7")
PROBE = process.bin_dir().parent / "tests" / "nsm_probe"
ASK = ("module describe 0 describe 16 extend 16 late extend 0 late lock 0 extend 17 one extend 17 two describe 17 "
       "lock 18 describe 18 extend 18 late lock 18 range 20 describe 19 extend 19 late extend 20 three extend 31 four "
       "describe 32 extend 32 late lock 32 range 33 attest of-the-host").split()


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
        cls.make_root()
        cls.image = cls.build()
        cls.policy(vm.registers(cls.image)["PCR0"])
        cls.sealed = cls.encrypt()

    @classmethod
    def make_root(cls):
        cls.root = cls.dir / "rootfs"
        make_root(cls.root)
        (cls.root / "etc/ssl/certs").mkdir(parents=True)
        (cls.root / "etc/ssl/certs/ca-certificates.crt").write_bytes(cls.kms.ca.read_bytes())
        if PROBE.exists():
            shutil.copy(PROBE, cls.root / "usr/bin/nsm_probe")

    @classmethod
    def build(cls, name="app", command=("/bin/bash", "-c", COMMAND), user="app", deadline="3m"):
        (cls.dir / "enclave.yaml").write_text(
            f"version: 1\ncommand: {json.dumps(list(command))}\nuser: {user}\n"
            "encryptedConfig:\n  type: file\n  path: app\n  allow: [DB_PASSWORD, /run/app/key]\n"
            f"cmk: {cls.cmk}\nregion: {cls.kms.region()}\nparent_cid: 2\nboot_deadline: {deadline}\n")
        image = cls.dir / f"{name}.eif"
        vm.build(image, cls.root, "--enclave-config-file", cls.dir / "enclave.yaml", "--compress", "gzip")
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
    def encrypt(cls, name="app", variable="DB_PASSWORD", owner="app"):
        (cls.dir / "secrets.yaml").write_text(
            f"environment:\n  - {variable}={SECRET}\nfiles:\n  - {{path: /run/app/key, content: \"{SECRET}\", "
            f"mode: 0400, owner: {owner}}}\n")
        sealed = cls.dir / f"{name}.enc"
        process.run([process.bin_dir() / "claviger", "secrets", "encrypt", "--cmk", cls.cmk, "-o", sealed,
                     cls.dir / "secrets.yaml"], env=cls.env)
        return sealed

    def boot(self, *arguments, image=None, sealed=None, kms_port=None, file=True, **variables):
        """The parent's side and the machine, to the end; gives status and output."""
        where = pathlib.Path(tempfile.mkdtemp(dir=self.dir))
        machine_dir = where / "vm"
        machine_dir.mkdir(mode=0o700)
        files = ["--file", f"app={sealed or self.sealed}"] if file else []
        parent = process.Program(
            [process.bin_dir() / "claviger", "enclave", "serve", "--vm", machine_dir / "vm.vsock",
             "--region", self.kms.region(), "--no-heartbeat", *files,
             "--aws-endpoint", f"{self.host}:443=tcp:127.0.0.1:{kms_port or self.kms.port}"],
            where / "parent.log", env={**self.env, **variables})
        self.addCleanup(parent.stop)
        self.await_text(parent, "waiting for the enclave")
        machine = vm.Vm(image or self.image, machine_dir, self.dir / "nsm", *arguments, wait=False)
        self.addCleanup(machine.stop)
        status = parent.process.wait(vm.BOOT_SECONDS)
        said = parent.tail(1 << 20) + parent.out_path.read_text(errors="replace")
        self.assertNotIn(SECRET, said)
        self.assertNotIn(SECRET, machine.console())
        machine.wait_end()
        return status, said

    def failed(self, stage, *words, **boot):
        """The boot ends in STAGE, and the parent is told so, and why, in one line."""
        arguments = boot.pop("arguments", ())
        status, said = self.boot(*arguments, **boot)
        told = re.findall(r"(\w+): failed: (.*)", said)
        self.assertEqual([s for s, _ in told], [stage], said)
        self.assertGreater(len(told[0][1]), 20)
        for word in words:
            self.assertIn(word, told[0][1])
        self.assertNotIn("length", said)
        self.assertEqual(status, 1, said)

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
        own = vm.registers(self.image)["PCR0"]
        self.policy("ab" * 48)
        try:
            self.failed("decrypt", "AccessDenied", own)
        finally:
            self.policy(own)
        self.assertIn(own, self.kms.log())
        self.assertIn("ab" * 48, self.kms.log())

    def test_3_registers_through_the_driver(self):
        """The application extends and locks registers on /dev/nsm; documents have them."""
        if not PROBE.exists():
            self.skipTest("nsm_probe is not built")
        image = self.build("probe", ["/usr/bin/nsm_probe", *ASK], user="root")
        measured = vm.registers(image)
        self.policy(measured["PCR0"])
        status, said = self.boot(image=image)
        self.policy(vm.registers(self.image)["PCR0"])
        self.assertEqual(status, 0, said)
        # Long lines come in pieces, each as a line.
        told = "".join(l[8:] if re.match(r"stdout: [0-9a-f]+$", l) else "\n" + l[8:]
                       for l in said.splitlines() if l.startswith("stdout: "))
        got = [l.partition(": ")[2] for l in told.splitlines()[1:]]
        self.assertEqual(len(got), 23, said)

        def extended(*texts):
            value = bytes(48)
            for text in texts:
                value = hashlib.sha384(value + text.encode()).digest()
            return value.hex()

        applied = json.loads(process.run([process.bin_dir() / "claviger", "--json", "secrets", "pcr", "--eif", image,
                                          self.sealed], env=self.env).stdout)
        applied = next(v for v in applied.values() if isinstance(v, str) and len(v) == 96)
        locked, index = "error NSM error: read_only index", "error NSM error: invalid index"
        self.assertRegex(got[0], r"^i-[0-9a-f]+-enc[0-9a-f]+$")
        self.assertEqual(got[1:-1], [
            f"locked {measured['PCR0']}", f"locked {applied}", locked, locked, locked,
            f"open {extended('one')}", f"open {extended('one', 'two')}", f"open {extended('one', 'two')}",
            "", f"locked {extended()}", locked, locked, "", f"locked {extended()}", locked,
            f"open {extended('three')}", f"open {extended('four')}", index, index, index, index])
        document = self.dir / "probe.doc"
        document.write_bytes(bytes.fromhex(got[-1]))
        verify = [process.bin_dir() / "claviger", "attest", "verify", "--root", self.dir / "nsm" / "root.pem",
                  "--eif", image, "--nonce", b"of-the-host".hex()]
        process.run([*verify, "--pcr", f"16={applied}", "--pcr", f"17={extended('one', 'two')}", document])
        done = process.run([*verify, "--pcr", f"17={extended('one')}", document], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("pcr_mismatch", done.stderr)


@unittest.skipUnless(LONG, "the long form: ./dev vm")
class EveryStageReports(SecretsImage):
    """Whatever stage of the boot fails, the parent is told which, and why."""
    test_1_starts_with_its_secrets = test_2_kms_refuses_another_image = None
    test_3_registers_through_the_driver = None

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.short = cls.build("short", deadline="30s")
        cls.own = vm.registers(cls.image)["PCR0"]

    def test_all_stages_are_here(self):
        """The stages of the program, as its source lists them: each has its test."""
        source = (pathlib.Path(os.environ["CV_SOURCE_DIR"]) / "src/init/stages.c").read_text()
        names = re.findall(r'"(\w+)"', re.search(r"names\[CV_STAGES\] = \{(.*?)\}", source, re.S).group(1))
        self.assertEqual(len(names), 9)
        for name in names:
            self.assertTrue([t for t in dir(self) if t.startswith(f"test_{name}_")], f"no test fails the stage {name}")

    def test_start_without_nsm(self):
        self.failed("start", "NSM", arguments=("--no-nsm",))

    def test_start_with_an_unsound_nsm(self):
        for fault, word in (("no-entropy", "no entropy"), ("constant-entropy", "over and over"),
                            ("repeated-entropy", "twice"), ("refuses", "NSM"), ("garbage", "NSM")):
            with self.subTest(fault):
                self.failed("start", "starting the NSM", word, arguments=("--nsm-fault", fault))

    def test_start_in_debug_mode(self):
        self.failed("start", "debug mode", arguments=("--debug-mode",))

    def test_clock_without_documents(self):
        self.failed("clock", "NSM", arguments=("--nsm-fault", "no-documents"))

    def test_network_with_a_strange_hosts_file(self):
        hosts = self.root / "etc/hosts"
        text = hosts.read_text()
        hosts.unlink()
        hosts.mkdir()
        try:
            image = self.build("hosts")
        finally:
            hosts.rmdir()
            hosts.write_text(text)
        self.failed("network", "/etc/hosts", image=image)

    def test_fetch_of_what_the_parent_lacks(self):
        self.failed("fetch", "app", image=self.short, file=False)

    def test_fetch_of_what_is_no_configuration(self):
        path = self.dir / "noise.enc"
        path.write_bytes(os.urandom(3000))
        self.failed("fetch", "app", sealed=path, image=self.short)

    def test_attest_of_no_key(self):
        self.failed("attest", "NSM", image=self.short, arguments=("--nsm-fault", "no-recipients"))

    def test_decrypt_of_a_spoiled_configuration(self):
        data = bytearray(self.sealed.read_bytes())
        data[-3] ^= 1
        spoiled = self.dir / "spoiled.enc"
        spoiled.write_bytes(data)
        self.failed("decrypt", "app", sealed=spoiled)

    def test_decrypt_with_another_certificate(self):
        other = self.dir / "other"
        other.mkdir()
        with Kms(other, "--root", self.dir / "nsm" / "root.pem") as kms:
            self.failed("decrypt", "certificate", kms_port=kms.port)

    def test_decrypt_with_credentials_of_nobody(self):
        for variable, value, word in (("AWS_ACCESS_KEY_ID", "ASIANOBODYNOBODY0000", "UnrecognizedClient"),
                                      ("AWS_SECRET_ACCESS_KEY", "anothersecret", "signature")):
            with self.subTest(variable):
                # Asked for again until the deadline: new ones take a while to be known.
                self.failed("decrypt", word, image=self.short, **{variable: value})

    def test_decrypt_by_a_kms_that_lies(self):
        for fault in ("plaintext", "cms-other-key", "made-up-key", "wrong-key-id", "cms-garbage"):
            with self.subTest(fault):
                self.kms.fault(f"{fault} Decrypt -")
                try:
                    self.failed("decrypt")
                finally:
                    self.kms.fault()

    def test_check_of_names(self):
        self.failed("check", "LD_PRELOAD", "does not list", sealed=self.encrypt("names", variable="LD_PRELOAD"))

    def test_apply_for_nobody(self):
        self.failed("apply", "nobody-here", sealed=self.encrypt("owner", owner="nobody-here"))

    def test_exec_of_what_is_not_there(self):
        image = self.build("none", ["/no/such/program"])
        self.policy(vm.registers(image)["PCR0"])
        try:
            self.failed("exec", "/no/such/program", image=image)
        finally:
            self.policy(self.own)


@unittest.skipUnless(LONG, "the long form: ./dev vm")
class Liar(SecretsImage):
    """A parent that breaks the protocol: asked again until it says what can be."""
    test_1_starts_with_its_secrets = test_2_kms_refuses_another_image = None
    test_3_registers_through_the_driver = None

    def test_lies_then_the_truth(self):
        where = pathlib.Path(tempfile.mkdtemp(dir=self.dir)) / "vm"
        where.mkdir(mode=0o700)
        parent = vm.VmParent(where, lies=LIES, files={"app": self.sealed.read_bytes()}, credentials={
            "access_key_id": self.principal["access_key_id"], "expiration": None,
            "secret_access_key": self.principal["secret_access_key"], "session_token": ""},
            aws={f"{self.host}:443": ("127.0.0.1", self.kms.port)}).start((8000, 9001, 9002))
        self.addCleanup(parent.stop)
        machine = vm.Vm(self.image, where, self.dir / "nsm", wait=False)
        self.addCleanup(machine.stop)
        parent.wait_message("exit", seconds=vm.BOOT_SECONDS + 60, status=7)
        self.assertEqual(parent.lies, [])
        self.assertIn(f"length {len(SECRET)}", parent.output())
        self.assertEqual(len({m["pcr0"] for m in parent.of("hello")}), 1)
        self.assertEqual(parent.of("stage", state="failed"), [])
        for retry in parent.of("stage", state="retry"):
            self.assertGreater(len(retry["error"]), 15)
            self.assertTrue(retry["error"].isprintable(), retry)
        self.assertEqual(len(parent.of("stage", stage="start", state="begin")), 1, "it began anew")


if __name__ == "__main__":
    unittest.main()
