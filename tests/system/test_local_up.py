# SPDX-License-Identifier: Apache-2.0
"""claviger-local up: what it makes, what it refuses, and that it leaves nothing running."""

import base64
import json
import os
import pathlib
import signal
import stat
import subprocess
import tempfile
import time
import types
import unittest

import botocore.exceptions

from claviger_testing.kms import client
from claviger_testing.process import bin_dir, need
from claviger_testing.stack import Stack

need("claviger-local", "claviger-enclave-dev", "claviger")

LOCAL = bin_dir() / "claviger-local"


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


def gone(pids, seconds=15):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(alive(p) for p in pids):
            return True
        time.sleep(0.02)
    return False


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


class Background(unittest.TestCase):
    """up --background and --stop, as the README shows them."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="cv-up-")
        self.addCleanup(self.folder.cleanup)
        self.dir = pathlib.Path(self.folder.name) / "s"

    def local(self, *arguments):
        return subprocess.run([LOCAL, "up", "--dir", self.dir, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)

    def test_it_outlives_its_command_until_it_is_stopped(self):
        # Nothing of it holds the output of its command: else this would not return.
        started = self.local("--background")
        self.addCleanup(self.local, "--stop")
        self.assertEqual((started.returncode, started.stdout, started.stderr), (0, "ready\n", ""))
        named = json.loads((self.dir / "pids.json").read_text())
        pids = [named["up"]] + [child["pid"] for name, child in named.items() if name != "up"]
        self.assertTrue(all(alive(p) for p in pids))
        self.assertEqual(os.getsid(named["up"]), named["up"])
        made = subprocess.run([bin_dir() / "claviger", "-c", self.dir / "signatory.yaml", "generate", "-v", "nitro"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(made.returncode, 0, made.stderr)

        second = self.local("--background")
        self.assertEqual((second.returncode, second.stdout), (1, ""))
        self.assertIn("another 'claviger-local up' runs on", second.stderr)
        self.assertTrue(alive(named["up"]))

        stopped = self.local("--stop")
        self.assertEqual((stopped.returncode, stopped.stderr), (0, ""))
        self.assertFalse(any(alive(p) for p in pids))
        again = self.local("--stop")
        self.assertEqual(again.returncode, 1)
        self.assertIn("no 'claviger-local up' runs on", again.stderr)

        self.assertEqual(self.local("--background").stdout, "ready\n")
        listed = subprocess.run([bin_dir() / "claviger", "-c", self.dir / "signatory.yaml", "list"],
                                capture_output=True, text=True, timeout=60)
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertIn(made.stdout.split()[0] if made.stdout.startswith("tz") else "tz1", listed.stdout)

    def test_why_it_does_not_come_up(self):
        done = self.local("--background", "--enclave", "/bin/false")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("enclave ended instead of serving", done.stderr)
        self.assertFalse((self.dir / "pids.json").exists())
        # The reason of the first failure is not told as that of the second.
        done = self.local("--background", "--enclave", "/nonexistent")
        self.assertIn("/nonexistent cannot be run", done.stderr)
        self.assertNotIn("instead of serving", done.stderr)

    def test_nothing_to_stop(self):
        done = self.local("--stop")
        self.assertEqual(done.returncode, 1)
        self.assertIn("no 'claviger-local up' runs on", done.stderr)
        self.assertFalse(self.dir.exists())


class Up(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="cv-up-")
        self.addCleanup(self.folder.cleanup)
        self.stack = Stack(pathlib.Path(self.folder.name) / "s")
        self.addCleanup(self.stack.down)
        self.dir = self.stack.dir

    def up(self, *arguments):
        self.stack.up(*arguments)
        return self

    def pids(self):
        named = json.loads((self.dir / "pids.json").read_text())
        return {k: v["pid"] for k, v in named.items() if k != "up"}

    def address(self, name):
        return json.loads((self.dir / "pids.json").read_text())[name]["address"]

    def log(self):
        return self.stack.local.log_path.read_text(errors="replace")

    def state(self):
        return json.loads((self.dir / "kms.json").read_text())

    def kms(self, who):
        """boto3 for the administrator (0) or the role (1)."""
        endpoint = "https://" + self.address("kms").removeprefix("tcp:")
        standin = types.SimpleNamespace(endpoint=endpoint, ca=self.dir / "ca.pem",
                                        region=lambda: self.state()["region"])
        return client(standin, self.state()["principals"][who])

    def key(self):
        return self.state()["keys"][0]

    def sids(self):
        return {s["Sid"] for s in json.loads(self.key()["policy"])["Statement"]}

    def fails(self, *arguments, status=1):
        done = subprocess.run([LOCAL, "up", *map(str, arguments)], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertNotIn("ready", done.stdout)
        return done.stderr


class Folder(Up):
    def test_everything_is_there_and_answers(self):
        self.up()
        for name in ("ca.pem", "kms.json", "nsm.sock", "proxy.sock", "enclave.sock", "enclave.conf",
                     "signatory.yaml", "credentials", "pids.json", "aws.env", "s3"):
            self.assertTrue((self.dir / name).exists(), name)
        for name in ("kms.json", "signatory.yaml", "credentials", "ca.pem.key"):
            self.assertEqual(stat.S_IMODE((self.dir / name).stat().st_mode), 0o600, name)
        self.assertEqual(self.stack.local.out_path.read_text(), "ready\n")
        self.assertEqual(len(set(self.pids().values())), 7)
        self.assertTrue(all(alive(p) for p in self.pids().values()))
        arn = self.kms(0).describe_key(KeyId="alias/claviger")["KeyMetadata"]["Arn"]
        self.assertIn(f"cmk_arn={arn}\n", (self.dir / "enclave.conf").read_text())
        self.assertIn(arn, (self.dir / "signatory.yaml").read_text())

    def test_aws_finds_its_way(self):
        self.up()
        env = {"PATH": os.environ["PATH"], "HOME": self.folder.name}
        script = f". '{self.dir}/aws.env'; exec '{bin_dir()}/claviger' aws whoami --json"
        for more, source in (({}, "profile default"), ({"AWS_PROFILE": "enclave"}, "profile enclave"),
                             ({"AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}, "IMDS, role claviger-local")):
            line = "".join(f"export {k}={v}; " for k, v in more.items())
            shell = script.replace("exec ", line + "exec ")
            done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, env=env, timeout=60)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout)["source"], source)

    def test_nothing_without_attestation(self):
        self.up()
        self.stack.generate("tz1")
        role, arn = self.kms(1), self.state()["keys"][0]["id"]
        blob = base64.b64decode(json.loads((self.dir / "enclave_keys.json").read_text())[0]["encrypted_private_key"])
        for call, arguments in (("decrypt", {"CiphertextBlob": blob[:200]}),
                                ("encrypt", {"KeyId": arn, "Plaintext": b"x"}),
                                ("generate_data_key", {"KeyId": arn, "KeySpec": "AES_256"}),
                                ("generate_data_key_without_plaintext", {"KeyId": arn, "KeySpec": "AES_256"}),
                                ("put_key_policy", {"KeyId": arn, "PolicyName": "default", "Policy": "{}"}),
                                ("create_key", {})):
            with self.subTest(call), self.assertRaises(botocore.exceptions.ClientError) as caught:
                getattr(role, call)(**arguments)
            self.assertIn(caught.exception.response["Error"]["Code"],
                          ("AccessDeniedException", "InvalidCiphertextException"))
        admin = self.kms(0)
        for call, arguments in (("encrypt", {"KeyId": arn, "Plaintext": b"x"}),
                                ("generate_data_key", {"KeyId": arn, "KeySpec": "AES_256"})):
            with self.subTest(call), self.assertRaises(botocore.exceptions.ClientError) as caught:
                getattr(admin, call)(**arguments)
            self.assertEqual(caught.exception.response["Error"]["Code"], "AccessDeniedException")

    def test_again_on_the_same_folder(self):
        self.up()
        kept = {n: (self.dir / n).read_bytes() for n in ("enclave.conf", "signatory.yaml", "ca.pem")}
        made = [self.stack.generate(kind)["public_key_hash"] for kind in ("tz1", "tz4")]
        key = self.key()
        self.stack.down()
        self.up()
        self.assertEqual({n: (self.dir / n).read_bytes() for n in kept}, kept)
        self.assertEqual(self.key(), key)
        listed = json.loads(self.stack.cli("--json", "list").stdout)
        self.assertEqual(sorted(k["public_key_hash"] for k in listed), sorted(made))

    def test_another_measurement_is_denied(self):
        self.up()
        self.stack.generate("tz1")
        policy = self.key()["policy"]
        measured = json.loads(policy)["Statement"][1]["Condition"]["StringEqualsIgnoreCase"][
            "kms:RecipientAttestation:ImageSha384"]
        self.stack.down()
        self.up("--pcr0", "ab" * 48)
        self.assertEqual(self.key()["policy"], policy)
        done = self.stack.cli("list", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("AccessDenied", done.stderr)
        self.assertIn(f"expected {measured}, the request has '{'ab' * 48}'", self.log())
        self.stack.down()
        self.up("--pcr0", "ab" * 48, "--accept-image")
        self.assertEqual(self.stack.cli("list").returncode, 0)
        self.stack.down()
        self.up()
        self.assertEqual(self.stack.cli("list").returncode, 0)

    def test_a_changed_setting_is_another_image(self):
        self.up()
        self.stack.generate("tz1")
        self.stack.down()
        self.up("--unpinned")
        self.assertNotIn("cmk_arn", (self.dir / "enclave.conf").read_text())
        self.assertIn("AccessDenied", self.stack.cli("list", check=False).stderr)
        self.assertIn("does not accept this enclave", self.log())

    def test_unpinned(self):
        self.up("--unpinned")
        self.assertNotIn("cmk_arn", (self.dir / "enclave.conf").read_text())
        self.stack.generate("tz1")

    def test_version_1(self):
        self.up("--sealed-version", "1")
        self.assertIn("sealed_version: 1", (self.dir / "signatory.yaml").read_text())
        self.assertIn("EncryptForVersion1", self.sids())
        self.kms(1).encrypt(KeyId=self.key()["id"], Plaintext=b"x")
        self.stack.generate("tz1")
        self.stack.down()
        self.up("--sealed-version", "2")
        self.assertIn("sealed_version: 2", (self.dir / "signatory.yaml").read_text())
        self.assertNotIn("EncryptForVersion1", self.sids())
        self.stack.generate("tz2")
        self.assertEqual(len(json.loads(self.stack.cli("--json", "list").stdout)), 2)

    def test_region(self):
        self.up("--region", "eu-central-1")
        self.assertIn("arn:aws:kms:eu-central-1:", self.key_arn())
        self.stack.generate("tz1")
        self.stack.down()
        self.assertIn("is of region eu-central-1 already", self.fails("--dir", self.dir, "--region", "us-east-1"))

    def key_arn(self):
        return self.kms(0).describe_key(KeyId="alias/claviger")["KeyMetadata"]["Arn"]

    def test_debug_mode(self):
        self.up("--debug-mode")
        self.stack.generate("tz1")
        self.assertIn("attested=" + "00" * 48, self.log())

    def test_edited_yaml_is_kept(self):
        self.up()
        self.stack.allow("tz1burnburnburnburnburnburnburjAYjjX")
        edited = (self.dir / "signatory.yaml").read_text()
        self.stack.down()
        self.up()
        self.assertEqual((self.dir / "signatory.yaml").read_text(), edited)


class Lifetime(Up):
    def end(self, number):
        pids = list(self.pids().values())
        self.stack.local.process.send_signal(number)
        self.stack.local.process.wait(20)
        self.assertTrue(gone(pids), "children are left")
        return self.stack.local.process.returncode

    def test_sigterm(self):
        self.up()
        self.assertEqual(self.end(signal.SIGTERM), 0)
        for name in ("pids.json", "nsm.sock", "proxy.sock"):
            self.assertFalse((self.dir / name).exists(), name)

    def test_ctrl_c(self):
        self.up()
        self.assertEqual(self.end(signal.SIGINT), 0)

    def test_killed(self):
        self.up()
        self.assertEqual(self.end(signal.SIGKILL), -signal.SIGKILL)
        self.up()  # what is left lying about is no obstacle
        self.stack.generate("tz1")

    def test_stopped_child_does_not_hold_it_up(self):
        self.up()
        os.kill(self.pids()["kms"], signal.SIGSTOP)
        self.assertEqual(self.end(signal.SIGTERM), 0)

    def test_dead_children_come_back(self):
        self.up()
        self.stack.generate("tz1")
        for name in ("enclave", "kms", "proxy", "nsm"):
            with self.subTest(name):
                old, where = self.pids()[name], self.address(name)
                os.kill(old, signal.SIGKILL)
                self.assertTrue(wait_until(lambda: self.pids()[name] != old and alive(self.pids()[name])))
                self.assertEqual(self.address(name), where)
                self.assertTrue(wait_until(lambda: self.stack.cli("list", check=False).returncode == 0))
        self.assertIn("a child was started again", self.log())

    def test_no_restart(self):
        self.up("--no-restart")
        enclave = self.pids()["enclave"]
        os.kill(enclave, signal.SIGKILL)
        self.assertTrue(gone([enclave]))
        time.sleep(0.5)
        self.assertFalse(self.stack.cli("list", check=False).returncode == 0)
        self.assertTrue(self.stack.local.alive())

    def test_one_at_a_time(self):
        self.up()
        self.assertIn("another 'claviger-local up' runs", self.fails("--dir", self.dir))
        self.assertTrue(all(alive(p) for p in self.pids().values()))


class Refusals(Up):
    def test_usage(self):
        for arguments in ([], ["--dir"], ["--dir", ""], ["--dir", self.dir, "more"], ["--what"],
                          ["--dir", self.dir, "--pcr0", "abc"], ["--dir", self.dir, "--sealed-version", "3"],
                          ["--dir", self.dir, "--region", "US West"]):
            with self.subTest(arguments):
                self.assertIn("--help", self.fails(*arguments, status=2))

    def test_folder_that_cannot_be(self):
        self.assertIn("too long for the sockets", self.fails("--dir", pathlib.Path(self.folder.name) / ("x" * 100)))
        file = pathlib.Path(self.folder.name) / "file"
        file.write_text("")
        self.fails("--dir", file)

    def test_enclave_missing_or_not_serving(self):
        self.assertIn("cannot be run", self.fails("--dir", self.dir, "--enclave", "/nonexistent"))
        self.assertIn("enclave ended instead of serving", self.fails("--dir", self.dir, "--enclave", "/bin/false"))
        self.assertFalse((self.dir / "pids.json").exists())

    def test_damaged_state_is_refused_and_kept(self):
        self.dir.mkdir(parents=True)
        (self.dir / "kms.json").write_text('{"format": "something else"}')
        self.assertIn("kms.json", self.fails("--dir", self.dir))
        self.assertEqual((self.dir / "kms.json").read_text(), '{"format": "something else"}')


if __name__ == "__main__":
    unittest.main(warnings="ignore")
