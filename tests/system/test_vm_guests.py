# SPDX-License-Identifier: Apache-2.0
"""A parent instance and its enclaves, each a virtual machine: the daemon and
claviger enclave serve speak real AF_VSOCK on both ends, to the very images of
production (parent_cid 3), with the release programs. A client and what it
verifies are outside. CV_VM_LONG=1 (`./dev vm`) kills the enclave more often."""

import atexit
import json
import os
import pathlib
import random
import re
import tempfile
import time
import unittest

from claviger_testing import guests, process, tezos, vm
from claviger_testing.kms import client
from claviger_testing.rootfs import make_root
from claviger_testing.stack import environment, http_request

process.need("claviger", "claviger-local", "claviger-enclave", "claviger-init", "claviger-init-small")
if process.sanitized():
    process.skip("programs built with sanitizers cannot be linked statically")
vm.root()

KILLS = int(os.environ.get("CV_VM_KILLS", "10" if os.environ.get("CV_VM_LONG") == "1" else "1"))
CONF = f"{guests.HOME}/signatory.yaml"
POLICY = ("{allow: {block: , attestation: , preattestation: , attestation_with_dal: , "
          "generic: [transaction, reveal]}, allow_other_source: true}")
SECRET = "value-that-nobody-may-see"
COMMAND = "echo length ${#DB_PASSWORD} file $(wc -c < /run/app/key) user $(id -un); exit 7"
APP_TOOLS = ("/bin/bash", "/usr/bin/id", "/usr/bin/wc")


class Guests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cv-vg-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)
        cls.nsm = cls.dir / "s" / "nsm"
        cls.signer, cls.app = cls.dir / "signer.eif", cls.dir / "app.eif"
        cls.prepare()
        started = time.monotonic()
        cls.switch = guests.Switch(cls.dir / "sw", guests.PARENT_CID, 16, 17)
        cls.stop_later(cls.switch)
        cls.parent = guests.ParentGuest(cls.dir / "p", cls.switch, cls.dir / "s", cls.region)
        cls.stop_later(cls.parent)
        cls.enclave = cls.boot(16, cls.signer)
        cls.other = cls.boot(17, cls.signer)
        cls.parent.wait()
        cls.parent.start("kms", "claviger-local", "kms", "--state", f"{guests.HOME}/kms.json", "--ca",
                         f"{guests.HOME}/ca.pem", "--root", f"{guests.HOME}/nsm/root.pem", "--listen",
                         f"tcp:127.0.0.1:{guests.KMS_PORT}")
        cls.heart = cls.parent.start("heart", "claviger-local", "vm", "heartbeat")
        cls.parent.await_log("kms", "ready")
        for guest in (cls.enclave, cls.other):
            guest.wait_port(2000, vm.BOOT_SECONDS)
        print(f"three machines after {time.monotonic() - started:.1f} s", flush=True)
        cls.keys = [json.loads(cls.cli("--json", "generate", "-v", "nitro", "-t", kind))[0]
                    for kind in ("tz1", "tz2", "tz3", "tz4")]
        cls.parent.write(CONF, cls.config.replace("tezos: {}", "tezos:\n" + "".join(
            f"  {k['public_key_hash']}: {POLICY}\n" for k in cls.keys)))
        cls.serve()

    @classmethod
    def stop_later(cls, thing):
        cls.addClassCleanup(thing.stop)
        atexit.register(thing.stop)  # for whoever interrupts it

    @classmethod
    def prepare(cls):
        """Images, keys of KMS and their policies, the encrypted configuration: all before the parent starts."""
        stack = vm.VmStack(cls.dir / "s")
        try:
            cls.region = stack.conf["region"]
            # The image of production: its parent is CID 3.
            vm.build(cls.signer, "--signer", "--cmk", stack.conf["cmk_arn"], "--region", cls.region,
                     "--ca-file", stack.dir / "ca.pem")
            stack.bind(cls.signer)
            admin = next(p for p in stack.kms.principals() if p["arn"].endswith(":root"))
            cls.aws = {"AWS_ACCESS_KEY_ID": admin["access_key_id"], "AWS_SECRET_ACCESS_KEY": admin["secret_access_key"],
                       "AWS_EC2_METADATA_DISABLED": "true", "AWS_REGION": cls.region}
            boto = client(stack.kms, admin)
            cmk = boto.create_key()["KeyMetadata"]["Arn"]
            cls.build_app(cmk, stack.dir / "ca.pem")
            measured = vm.registers(cls.app)["PCR0"]
            boto.put_key_policy(KeyId=cmk, PolicyName="default", Policy=cls.policy(admin["arn"], measured))
            boto.close()
            (cls.dir / "secrets.yaml").write_text(
                f"environment:\n  - DB_PASSWORD={SECRET}\nfiles:\n  - {{path: /run/app/key, content: \"{SECRET}\", "
                "mode: 0400, owner: app}\n")
            process.run([process.bin_dir() / "claviger", "secrets", "encrypt", "--cmk", cmk, "-o",
                         stack.dir / "app.enc", cls.dir / "secrets.yaml"],
                        env=environment(AWS_ENDPOINT_URL_KMS=stack.kms.endpoint, AWS_CA_BUNDLE=stack.kms.ca, **cls.aws))
        finally:
            stack.down()
        cls.config = guests.configuration(stack.config.read_text(), stack.dir)
        stack.config.write_text(cls.config)
        (stack.dir / "allow.yaml").write_text(f"allowlist:\n- {{address: 127.0.0.1, port: {guests.KMS_PORT}}}\n")

    @classmethod
    def build_app(cls, cmk, ca):
        root = cls.dir / "rootfs"
        make_root(root, APP_TOOLS)
        (root / "etc/ssl/certs").mkdir(parents=True)
        (root / "etc/ssl/certs/ca-certificates.crt").write_bytes(ca.read_bytes())
        (cls.dir / "enclave.yaml").write_text(
            f"version: 1\ncommand: [/bin/bash, -c, {json.dumps(COMMAND)}]\nuser: app\n"
            "encryptedConfig:\n  type: file\n  path: app\n  allow: [DB_PASSWORD, /run/app/key]\n"
            f"cmk: {cmk}\nregion: {cls.region}\nboot_deadline: 3m\n")
        vm.build(cls.app, root, "--enclave-config-file", cls.dir / "enclave.yaml", "--compress", "gzip")

    @staticmethod
    def policy(root, pcr0):
        """Administration for the account, Decrypt for that image alone."""
        return json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": root}, "NotAction": "kms:Decrypt", "Resource": "*"},
            {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:Decrypt", "Resource": "*",
             "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": pcr0}}}]})

    @classmethod
    def boot(cls, cid, image, *arguments):
        guest = guests.Guest(cls.switch, cid, image, cls.dir / f"e{cid}", cls.nsm, *arguments, wait=False)
        cls.stop_later(guest)
        return guest

    @classmethod
    def cli(cls, *arguments, config=CONF):
        """Standard output of claviger in the parent."""
        return cls.parent.run(f"claviger -c {config} {' '.join(arguments)} 2>/run/cli || {{ cat /run/cli; false; }}")

    @classmethod
    def serve(cls):
        cls.daemon = cls.parent.start("daemon", "claviger", "-c", CONF, "serve")
        cls.wait_ready()

    @classmethod
    def wait_ready(cls, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if http_request("127.0.0.1", cls.parent.utility_port, "GET", "/readyz", timeout=10).status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.1)
        raise RuntimeError("the daemon is not ready:\n" + cls.parent.log("daemon"))

    def sign(self, key, message, timeout=30):
        return http_request("127.0.0.1", self.parent.main_port, "POST", f"/keys/{key['public_key_hash']}",
                            json.dumps(message.hex()), timeout=timeout)

    def sign_with_all(self):
        for key in self.keys:
            pkh = key["public_key_hash"]
            message = tezos.transaction(pkh, pkh, amount=random.randrange(1, 1 << 30))
            reply = self.sign(key, message)
            self.assertEqual(reply.status, 200, f"{pkh}: {reply.body}\n{self.parent.log('daemon')}")
            self.assertTrue(tezos.verify(key["public_key"], reply.json()["signature"], message), pkh)

    def attest(self, key, level, fill=0):
        """Status of an attestation; a signature is verified."""
        message = tezos.attestation(level, 0, payload=bytes([fill]) * 32,
                                    bls=key["public_key_hash"].startswith("tz4"))
        reply = self.sign(key, message)
        if reply.status == 200:
            self.assertTrue(tezos.verify(key["public_key"], reply.json()["signature"], message))
        return reply.status

    def attest_soon(self, key, level):
        started = time.monotonic()
        status = self.attest(key, level)
        took = time.monotonic() - started
        print(f"{status} after {took:.2f} s", flush=True)
        self.assertLess(took, 10)
        return status

    def test_1_signs_with_all_types(self):
        self.sign_with_all()
        log = self.parent.log("heart")
        self.assertRegex(log, "heartbeat from=vsock:16:")
        self.assertRegex(log, "heartbeat from=vsock:17:")

    def test_2_enclave_of_another_cid_is_refused(self):
        # The same image, which KMS allows, and credentials that are good: what
        # it lacks is the CID of the enclave that the daemon's proxy is for.
        text = re.sub(r"enclave_cid: 16\n\s+proxy_remote_address.*", "enclave_cid: 17", self.config)
        self.parent.run("mkdir /run/other")
        self.parent.write("/run/other.yaml", text.replace(f'base_dir: "{guests.HOME}"', "base_dir: /run/other"))
        status, said = self.parent.run("claviger -c /run/other.yaml generate -v nitro -t tz1", check=False)
        self.assertEqual(status, 1, said)
        self.assertIn("KMS GenerateDataKey", said)
        self.assertRegex(self.parent.log("daemon"), "another enclave.*vsock:17:")
        # With a proxy that is for it, nothing else is wrong.
        self.parent.end(self.daemon)
        proxy = self.parent.start("proxy", "claviger", "--config", f"{guests.HOME}/allow.yaml", "proxy", "--cid", "17",
                                  "8000", "127.0.0.1", guests.KMS_PORT)
        try:
            self.parent.await_log("proxy", "proxy listening")
            self.cli("generate", "-v", "nitro", "-t", "tz1", config="/run/other.yaml")
            status, said = self.parent.run(f"claviger -c {CONF} generate -v nitro -t tz1", check=False)
            self.assertEqual(status, 1, said)
            self.assertRegex(self.parent.log("proxy"), "another enclave.*vsock:16:")
        finally:
            self.parent.end(proxy)
            self.serve()
        self.sign_with_all()

    def test_3_enclave_killed_and_booted_again(self):
        key, level = self.keys[3], 1000
        for turn in range(KILLS):
            level += 10
            self.assertEqual(self.attest(key, level), 200)
            self.enclave.kill_machine()
            if turn % 2 == 0:
                self.assertIn(self.attest_soon(key, level + 1), (500, 503), self.parent.log("daemon"))
            type(self).enclave = self.boot(16, self.signer)
            self.enclave.wait_port(2000, vm.BOOT_SECONDS)
            if turn % 2 == 1:  # only now it is known that the other one has gone
                self.assertIn(self.attest_soon(key, level + 1), (200, 500, 503), self.parent.log("daemon"))
            self.wait_ready()
            self.sign_with_all()
            self.assertEqual(self.attest(key, level, fill=1), 409)
            self.assertEqual(self.attest(key, level - 1), 409)
            self.assertEqual(self.attest(key, level + 2), 200)

    def test_4_secrets_image(self):
        self.other.stop()
        self.parent.end(self.daemon)
        self.parent.end(self.heart)  # enclave serve answers it
        arguments = ["--region", self.region, "--file", f"app={guests.HOME}/app.enc", "--aws-endpoint",
                     f"kms.{self.region}.amazonaws.com:443=tcp:127.0.0.1:{guests.KMS_PORT}"]
        # First a parent's side that waits for another enclave.
        side = self.parent.start("side", "claviger", "enclave", "serve", "--cid", "16", *arguments, env=self.aws)
        self.parent.await_log("side", "waiting for the enclave")
        app = self.boot(17, self.app)
        self.parent.await_log("side", "it comes from another enclave", vm.BOOT_SECONDS)
        self.parent.end(side, "KILL")
        said = self.parent.log("side")
        self.assertNotIn("length", said)
        # Then its own.
        side = self.parent.start("side", "claviger", "enclave", "serve", "--cid", "17", *arguments, env=self.aws)
        self.parent.await_end(side, vm.BOOT_SECONDS)
        said = self.parent.log("side")
        n = len(SECRET)
        self.assertIn(f"length {n} file {n} user app", said)
        self.assertNotIn(SECRET, said)
        self.assertEqual(app.wait_end(), 0, app.program.tail())

    def test_5_places_at_the_switch(self):
        def fails(words, *arguments):
            done = process.run([process.bin_dir() / "claviger-local", "vm", "run", self.signer, "--dir",
                                self.dir / "m", "--root", vm.root(), *arguments], check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(words, done.stderr)

        fails("another machine has CID 16", "--switch", self.switch.dir, "--cid", "16")
        fails("has no CID 18", "--switch", self.switch.dir, "--cid", "18")
        fails("no switch runs in", "--switch", self.dir / "none", "--cid", "16")
        done = process.run([process.bin_dir() / "claviger-local", "vm", "switch", "--dir", self.switch.dir, "--cid",
                            "3"], check=False)
        self.assertIn("runs already", done.stderr)
        self.assertEqual(self.enclave.describe()["VsockPath"], f"{self.switch.dir}/16.vsock")
        # Without it, its machines end too, and leave nothing.
        left = [p for guest in (self.enclave, self.parent.guest) for p in guest.processes()]
        self.assertEqual(len(left), 2)
        self.switch.program.kill()
        for guest in (self.enclave, self.parent.guest):
            self.assertEqual(guest.wait_end(20), 1)
            self.assertIn("no switch runs", guest.program.tail())
        self.assertEqual([p for p in left if os.path.exists(f"/proc/{p}")], [])

    def test_6_usage(self):
        for arguments in (["switch"], ["switch", "--dir", "/tmp/x"], ["switch", "--cid", "3"],
                          ["switch", "--dir", "/tmp/x", "--cid", "3", "--cid", "3"], ["run", "a", "--cid", "3", "--cid", "4"],
                          ["describe", "--switch", "/tmp/x"], ["run", "a", "--switch", "/" + "x" * 90]):
            done = process.run([process.bin_dir() / "claviger-local", "vm", *arguments], check=False)
            self.assertEqual(done.returncode, 2, arguments)


if __name__ == "__main__":
    unittest.main()
