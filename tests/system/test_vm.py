# SPDX-License-Identifier: Apache-2.0
"""The signer's image in a virtual machine: the release programs, Debian's
kernel, real AF_VSOCK and /dev/nsm. CV_VM_LONG=1 (`./dev vm`) takes the long
form: fifty kills, the smallest memory."""

import atexit
import http.client
import json
import os
import pathlib
import random
import tempfile
import threading
import time
import unittest

from claviger_testing import process, tezos, vm

process.need("claviger", "claviger-local", "claviger-enclave", "claviger-init-small")
if process.sanitized():
    process.skip("programs built with sanitizers cannot be linked statically")
vm.root()
LONG = os.environ.get("CV_VM_LONG") == "1"
KILLS = int(os.environ.get("CV_VM_KILLS", "50" if LONG else "3"))
POLICY = ("{allow: {block: , attestation: , preattestation: , attestation_with_dal: , "
          "generic: [transaction, reveal]}, allow_other_source: true}")


def report(text):
    print(text, flush=True)


class Client(threading.Thread):
    """Attestations at rising levels, some twice with another payload."""

    def __init__(self, stack, key, seed, shared):
        super().__init__(daemon=True)
        self.stack, self.key, self.shared = stack, key, shared
        self.random = random.Random(seed)
        self.signed, self.faults = [], []
        self.asked = self.refused = self.unavailable = 0

    def run(self):
        port = self.stack.ports()[0]
        while not self.shared["stop"]:
            with self.shared["lock"]:
                self.shared["level"] += self.random.choice((0, 1))
                level = self.shared["level"]
            message = tezos.attestation(level, 0, payload=bytes([self.random.randrange(2)]) * 32,
                                        bls=self.key["public_key_hash"].startswith("tz4"))
            self.asked += 1
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            try:
                connection.request("POST", f"/keys/{self.key['public_key_hash']}", json.dumps(message.hex()))
                answer = connection.getresponse()
                body = answer.read()
            except (OSError, http.client.HTTPException) as e:
                self.faults.append(e)
                continue
            finally:
                connection.close()
            if answer.status == 200:
                self.signed.append((level, message, json.loads(body)["signature"]))
            elif answer.status == 409:
                self.refused += 1
            elif answer.status in (500, 503):
                self.unavailable += 1
                time.sleep(0.05)
            else:
                self.faults.append((answer.status, body))

    def answered(self):
        return len(self.signed) + self.refused + self.unavailable


class SignerImage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cv-vm-")
        cls.dir = pathlib.Path(cls.folder.name)
        cls.stack = vm.VmStack(cls.dir / "s")
        atexit.register(cls.stack.down)  # for whoever interrupts it
        cls.image = cls.dir / "signer.eif"
        cls.measured = cls.stack.build(cls.image)
        cls.stack.bind(cls.image)
        cls.stack.boot(cls.image)
        report(f"booted with {vm.Vm.accelerator} in {cls.stack.vm.boot_seconds:.1f} s, "
               f"{cls.stack.vm.resident()} MiB of 256 in use")
        cls.keys = [cls.stack.generate(kind) for kind in ("tz1", "tz2", "tz3", "tz4")]
        cls.stack.allow(*[k["public_key_hash"] for k in cls.keys], body=POLICY)
        cls.stack.serve()

    @classmethod
    def tearDownClass(cls):
        cls.stack.down()
        cls.folder.cleanup()

    def again(self, image=None, *arguments, **more):
        """The machine halted and booted, perhaps with another image."""
        self.stack.halt()
        return self.stack.boot(image or self.image, *arguments, **more)

    def sign_with_all(self):
        for key in self.keys:
            pkh = key["public_key_hash"]
            message = tezos.transaction(pkh, pkh, amount=random.randrange(1, 1 << 30))
            reply = self.stack.sign(pkh, message)
            self.assertEqual(reply.status, 200, f"{pkh}: {reply.body}\n{self.stack.daemon.tail()}")
            self.assertTrue(tezos.verify(key["public_key"], reply.json()["signature"], message), pkh)

    def refused(self, image, *arguments):
        """What KMS and daemon say when this machine is to open the keys."""
        before = len(self.stack.kms.log())
        self.again(image, *arguments)
        self.stack.stop_daemon()
        done = self.stack.cli("generate", "-v", "nitro", "-t", "tz1", check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        return done.stderr, self.stack.kms.log()[before:]

    def recover(self):
        self.again()
        if not self.stack.daemon:
            self.stack.serve()
        self.stack.wait_ready()
        self.sign_with_all()

    def test_1_signs_with_all_types(self):
        self.assertEqual(self.stack.vm.describe()["Measurements"]["PCR0"], self.measured["PCR0"])
        self.stack.wait_ready()
        self.sign_with_all()

    def test_2_keys_open_after_a_restart(self):
        self.again()
        self.stack.wait_ready()
        self.sign_with_all()

    def test_3_documents_name_the_image(self):
        document, pkh = self.dir / "key.doc", self.keys[3]["public_key_hash"]
        other = self.dir / "other.eif"
        vm.change_one_byte(self.image, other)
        self.stack.cli("attest", "get", "--eif", self.image, "--root", self.stack.dir / "nsm" / "root.pem",
                       "-o", document, pkh)
        verify = [self.stack.bin / "claviger", "attest", "verify", "--root",
                  self.stack.dir / "nsm" / "root.pem", "--key", pkh]
        process.run([*verify, "--eif", self.image, document])
        done = process.run([*verify, "--eif", other, document], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("pcr_mismatch", done.stderr)

    def test_3_swapped_blobs_are_noticed(self):
        swapped = self.dir / "swapped"
        swapped.mkdir()
        stored = json.loads((self.stack.dir / "enclave_keys.json").read_text())
        first, second = [i for i, k in enumerate(stored) if k["public_key_hash"] in
                         (self.keys[0]["public_key_hash"], self.keys[1]["public_key_hash"])]
        name = next(n for n in stored[first] if "encrypted" in n)
        stored[first][name], stored[second][name] = stored[second][name], stored[first][name]
        (swapped / "enclave_keys.json").write_text(json.dumps(stored))
        for key in self.keys[:2]:
            done = self.stack.cli("--base-dir", swapped, "attest", "get", key["public_key_hash"], check=False)
            self.assertEqual(done.returncode, 1)
        self.stack.cli("--base-dir", swapped, "attest", "get", self.keys[2]["public_key_hash"])

    def test_4_one_byte_changed(self):
        other = self.dir / "changed.eif"
        theirs = vm.change_one_byte(self.image, other)["PCR0"]
        self.assertNotEqual(theirs, self.measured["PCR0"])
        said, logged = self.refused(other)
        self.assertIn("AccessDenied", said)
        self.assertIn(theirs, said)
        failed = f"kms:RecipientAttestation:PCR0: expected {self.measured['PCR0']}, the request has '{theirs}'"
        self.assertIn("action=GenerateDataKey", logged)
        self.assertIn(failed, logged)
        # Nor are the keys opened that were there before.
        before = len(self.stack.kms.log())
        opened = self.stack.cli("list", check=False)
        self.assertIn("AccessDenied", opened.stderr)
        self.assertIn(theirs, opened.stderr)
        logged = self.stack.kms.log()[before:]
        self.assertEqual(logged.count("action=Decrypt"), len(self.keys))
        self.assertEqual(logged.count(failed), len(self.keys))

    def test_5_debug_mode_attests_zeros(self):
        if LONG: # the image as it is refuses by itself
            said, _ = self.refused(self.image, "--debug-mode")
            self.assertIn("runs in debug mode", said)
        allowed = self.dir / "debug.eif"
        self.stack.build(allowed, "--set", "allow_debug=on")
        said, logged = self.refused(allowed, "--debug-mode")
        self.assertIn(f"kms:RecipientAttestation:PCR0: expected {self.measured['PCR0']}, the request has '{'0' * 96}'",
                      logged)
        self.assertIn("debug", said)
        self.assertIn("Run /init", self.stack.vm.console())
        self.assertIn("Run /init", self.stack.vm.program.log_path.read_text(errors="replace"))
        shown = process.Program([self.stack.bin / "claviger-local", "vm", "console", "--dir", self.stack.vm_dir],
                                self.dir / "console.log")
        self.addCleanup(shown.stop)
        self.assertEqual(self.stack.vm.describe()["Flags"], "DEBUG_MODE")
        self.stack.halt()
        self.assertEqual(shown.process.wait(10), 0)
        self.assertIn("Run /init", shown.out_path.read_text())
        self.recover()

    def test_6_no_console_outside_debug_mode(self):
        self.assertEqual(self.stack.vm.console(), "")
        done = process.run([self.stack.bin / "claviger-local", "vm", "console", "--dir", self.stack.vm_dir],
                           check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--debug-mode", done.stderr)

    def test_7_killed_under_load(self):
        if not self.stack.daemon:
            self.recover()
        key = self.keys[3]
        shared = {"stop": False, "level": 1000, "lock": threading.Lock()}
        seed = random.SystemRandom().randrange(1 << 32)
        chance = random.Random(seed)
        clients = [Client(self.stack, key, seed + i, shared) for i in range(4)]
        counts = []
        began = time.monotonic()
        for c in clients:
            c.start()
        for _ in range(KILLS):
            time.sleep(1 + chance.random() * 2)
            self.stack.vm.kill_machine()
            self.again()
            self.stack.wait_ready()
            counts.append(sum(len(c.signed) for c in clients))
        time.sleep(2)
        shared["stop"] = True
        for c in clients:
            c.join(60)
        self.assertEqual([f for c in clients for f in c.faults], [])
        self.assertEqual([c.answered() for c in clients], [c.asked for c in clients], "an answer is lost")
        signed = [s for c in clients for s in c.signed]
        self.assertGreater(len(signed), counts[-1], "nothing was signed after the last kill")
        by_level = {}
        for level, message, signature in signed:
            self.assertEqual(by_level.setdefault(level, message), message, f"two payloads at {level}, seed {seed}")
        for _, message, signature in random.sample(signed, min(20, len(signed))):
            self.assertTrue(tezos.verify(key["public_key"], signature, message))
        self.watermark_holds(key, *max(signed)[:2])
        report(f"{KILLS} kills in {time.monotonic() - began:.0f} s: {len(signed)} signatures, {sum(c.refused for c in clients)} refused, "
               f"{sum(c.unavailable for c in clients)} while the machine was down; seed {seed}")

    def watermark_holds(self, key, level, message):
        """What was signed last is signed again, and nothing else at its level or below."""
        def status(*arguments, **more):
            return self.stack.sign(key["public_key_hash"], tezos.attestation(*arguments, bls=True, **more)).status

        self.assertEqual(self.stack.sign(key["public_key_hash"], message).status, 200)
        self.assertEqual(status(level, 0, payload=b"x" * 32), 409)
        self.assertEqual(status(level - 1, 0), 409)
        self.assertEqual(status(level + 1, 0), 200)

    def test_8_ends_with_all_its_processes(self):
        machine = self.stack.vm
        self.assertEqual(len(machine.processes()), 1)
        pids = machine.processes()
        shown = json.loads(process.run([self.stack.bin / "claviger-local", "vm", "terminate", "--dir",
                                        self.stack.vm_dir]).stdout)
        self.assertEqual(shown["Terminated"], True)
        self.assertEqual(machine.wait_end(), 0)
        machine = self.again()
        pids += machine.processes()
        machine.program.kill()  # SIGKILL: nothing of ours runs any more
        deadline = time.monotonic() + 10
        while any(os.path.exists(f"/proc/{p}") for p in pids) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual([p for p in pids if os.path.exists(f"/proc/{p}")], [])
        self.stack.vm = None

    def boots_with(self, size):
        """(seconds, MiB in use) when the image boots in SIZE MiB and makes a key there, or None."""
        self.stack.halt()
        try:
            machine = self.stack.boot(self.image, memory=size)
        except RuntimeError:
            return None
        done = self.stack.cli("generate", "-v", "nitro", "-t", "tz1", check=False)
        return (machine.boot_seconds, machine.resident()) if done.returncode == 0 else None

    @unittest.skipUnless(LONG, "the long form: ./dev vm")
    def test_9_the_smallest_memory(self):
        self.stack.stop_daemon()
        too_little, enough, found = 32, 128, self.boots_with(128)
        self.assertIsNotNone(found, "128 MiB should be enough")
        while enough - too_little > 2:
            middle = (too_little + enough) // 4 * 2
            result = self.boots_with(middle)
            too_little, enough, found = (too_little, middle, result) if result else (middle, enough, found)
        report(f"smallest memory: {enough} MiB (booted in {found[0]:.1f} s, {found[1]} MiB in use); "
               f"{too_little} MiB is too little")
        self.recover()

    @unittest.skipUnless(LONG, "the long form: ./dev vm")
    def test_9_too_little_memory_is_told(self):
        """A kernel's panic ends the machine at once, and its words are in the sentence."""
        self.stack.halt()
        for size, options, word in ((80, ("--console",), "Kernel panic"), (48, (), "too little memory")):
            started = time.monotonic()
            machine = vm.Vm(self.image, self.dir / f"m{size}", self.stack.dir / "nsm", *options, memory=size, wait=False)
            self.addCleanup(machine.stop)
            self.assertEqual(machine.wait_end(vm.BOOT_SECONDS), 1)
            self.assertLess(time.monotonic() - started, 60)
            self.assertIn("ended before it had started", machine.program.tail())
            self.assertIn(word, machine.program.tail())
        self.recover()


class Commands(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="cv-vm-")
        self.dir = pathlib.Path(self.folder.name)
        self.addCleanup(self.folder.cleanup)
        self.image = self.dir / "x.eif"
        vm.build(self.image, "--signer", "--unpinned", "--region", "us-west-2", "--set", "parent_cid=2")

    def command(self, *arguments, env=None):
        return process.run([process.bin_dir() / "claviger-local", "vm", *arguments], check=False, env=env)

    def test_old_qemu_is_named(self):
        fake = self.dir / "qemu-system-x86_64"
        fake.write_text("#!/bin/sh\necho 'QEMU emulator version 7.2.15 (Debian 1:7.2+dfsg-7)'\n")
        fake.chmod(0o755)
        done = self.command("run", self.image, "--dir", self.dir / "m",
                            env={"PATH": str(self.dir) + ":/usr/bin:/bin"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("QEMU 7.2 is too old", done.stderr)
        self.assertIn("qemu-system-x86", done.stderr)

    def test_a_broken_image_is_refused(self):
        data = bytearray(self.image.read_bytes())
        data[-1] ^= 1
        self.image.write_bytes(data)
        done = self.command("run", self.image, "--dir", self.dir / "m", "--root", vm.root())
        self.assertEqual(done.returncode, 1)
        self.assertIn("CRC", done.stderr)

    def test_nothing_runs(self):
        for verb in ("describe", "console", "terminate"):
            done = self.command(verb, "--dir", self.dir / "none")
            self.assertEqual(done.returncode, 1)
            self.assertIn("no virtual machine runs", done.stderr)

    def test_usage(self):
        for arguments in ([], ["walk"], ["run"], ["run", "a", "b"], ["run", "a", "--memory", "1"],
                          ["run", "a", "--cid", "2"], ["describe", "x"], ["run", "a", "--dir", "/" + "x" * 90]):
            self.assertEqual(self.command(*arguments).returncode, 2, arguments)


if __name__ == "__main__":
    unittest.main()
