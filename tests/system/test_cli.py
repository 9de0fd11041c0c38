# SPDX-License-Identifier: Apache-2.0
"""The commands that make and show keys, and every bad input they may get."""

import base64
import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import threading
import time
import unittest

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from claviger_testing import process, tezos
from claviger_testing.fake_stack import FakeStack
from claviger_testing.stack import environment

process.need("claviger")
ALICE = "edsk3QoqBuvdamxouPhin7swCvkQNgq4jP5KZPbwWNnwdZpSpJiEbq"
ALICE_PKH = "tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"
ALICE_PK = "edpkvGfYw3LyB1UcCahKQk4rF2tvbMUk8GFiTuMjL75uGXrpvKXhjn"
TYPES = {"tz1": "edpk", "tz2": "sppk", "tz3": "p2pk", "tz4": "BLpk"}


def claviger(*arguments, program="claviger", **more):
    return process.run([process.bin_dir() / program, *arguments], check=False, env=environment(), **more)


class Program(unittest.TestCase):
    def test_version(self):
        for program in ("claviger", "signatory", "signatory-cli"):
            done = claviger("version", program=program)
            self.assertEqual(done.returncode, 0)
            self.assertRegex(done.stdout, r"^Release Version: \d+\.\d+\.\d+\n$")
        self.assertIn("version", json.loads(claviger("version", "--json").stdout))
        self.assertIn("version", json.loads(claviger("--json", "version").stdout))

    def test_version_of_every_program(self):
        """--version and -V, -h and --help, wherever a program is there."""
        done = 0
        for program in ("claviger", "signatory", "signatory-cli", "claviger-enclave", "claviger-enclave-dev", "claviger-init",
                        "claviger-init-dev", "claviger-init-small", "claviger-kmstool", "claviger-local"):
            if not (process.bin_dir() / program).exists():
                continue
            done += 1
            said = {claviger(option, program=program).stdout for option in ("--version", "-V")}
            self.assertEqual(len(said), 1, program)
            self.assertRegex(said.pop(), r"\d+\.\d+\.\d+")
            for option in ("--help", "-h"):
                answer = claviger(option, program=program)
                self.assertEqual(answer.returncode, 0, (program, option))
                self.assertRegex(answer.stdout, r"(?i)usage:")
        self.assertGreater(done, 2)

    def test_usage(self):
        for arguments, part in (
                ((), "Usage:"), (("verson",), "did you mean version?"), (("watermark",), "watermark list"),
                (("generate",), "--vault is wanted"), (("generate", "--vualt", "x"), "did you mean --vault?"),
                (("generate", "-v", "x", "-t", "tz9"), "unknown key type: tz9"),
                (("generate", "-v", "x", "-n", "0"), "--num wants a number"),
                (("generate", "-v"), "--vault wants a value"),
                (("generate", "-v", "a", "--vault", "b"), "given twice"),
                (("list", "more"), "unexpected operand"), (("--log", "loud", "version"), "--log wants one of"),
                (("version", "--config"), "--config wants a file name")):
            with self.subTest(arguments=arguments):
                done = claviger(*arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(part, done.stderr)
                self.assertEqual(done.stdout, "")

    def test_help_of_every_command(self):
        overview = claviger("--help")
        self.assertEqual(overview.returncode, 0)
        commands = [line[2:20].strip() for line in overview.stdout.split("Commands:\n")[1].split("\n\n")[0].splitlines()]
        self.assertIn("serve", commands)
        for command in commands:
            with self.subTest(command=command):
                done = claviger(*command.split(), "--help")
                self.assertEqual(done.returncode, 0)
                self.assertIn(f"claviger {command}", done.stdout)
                self.assertRegex(done.stdout, r"Examples?:")
        for family in {command.split()[0] for command in commands if " " in command}:
            with self.subTest(family=family):
                for arguments in ((family, "--help"), ("help", family)):
                    done = claviger(*arguments)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    listed = re.findall(rf"^  claviger ({family} [a-z-]+) ", done.stdout, re.M)
                    self.assertEqual(listed, [c for c in commands if c.startswith(family + " ")])

    def test_kinds(self):
        done = claviger("list-requests")
        self.assertEqual(done.stdout, "Possible request types:\n    - attestation\n    - attestation_with_dal\n"
                         "    - block\n    - generic\n    - pack\n    - preattestation\n")
        done = claviger("list-ops", program="signatory-cli")
        lines = done.stdout.splitlines()
        self.assertEqual(lines[0], "Possible operation types:")
        self.assertEqual(lines[1], "    - activate_account")
        self.assertEqual(len(lines), 40)
        self.assertEqual(lines[1:], sorted(lines[1:]))

    def test_configuration_faults(self):
        with FakeStack() as s:
            bad = s.dir / "bad.yaml"
            bad.write_text("base_dir: ''\nservr:\n  x: 1\nvaults:\n  v:\n    driver: nitr\n")
            done = claviger("-c", bad, "list")
            self.assertEqual(done.returncode, 1)
            for part in (f"{bad}:1:", f"{bad}:2:", "server", f"{bad}:6:", "nitro"):
                self.assertIn(part, done.stderr)
            bad.write_text("a: [1,\n")
            self.assertRegex(claviger("-c", bad, "serve").stderr, r"bad\.yaml:\d+:\d+:")
            done = claviger("-c", s.dir / "absent.yaml", "serve")
            self.assertEqual(done.returncode, 1)
            self.assertIn("absent.yaml", done.stderr)
            done = claviger("serve", "--check", "-c", s.config)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertFalse((s.dir / "base").exists())
            bad.write_text("unknown: 1\n")
            self.assertEqual(claviger("serve", "--check", "-c", bad).returncode, 1)
            self.assertEqual(claviger("serve", "--check", "--lenient", "-c", bad).returncode, 0)


class Keys(unittest.TestCase):
    def setUp(self):
        self.stack = FakeStack()
        self.addCleanup(self.stack.down)

    def stored(self):
        return json.loads(self.stack.keys_file.read_text())

    def test_generate(self):
        for kind, prefix in TYPES.items():
            done = self.stack.cli("generate", "-v", "nitro", "-t", kind, program="signatory-cli")
            lines = done.stdout.splitlines()
            self.assertEqual(len(lines), 6, done.stdout)
            fields = dict(line.split(":", 1) for line in lines if line)
            pkh, key = fields["Public Key Hash"].strip(), fields["Public Key"].strip()
            self.assertTrue(lines[0].startswith("Public Key Hash:           " + kind))
            self.assertTrue(lines[1].startswith("Public Key:                " + prefix))
            self.assertEqual(lines[2], "Reference:                 ")
            self.assertEqual(lines[3], "Vault:                     NitroEnclave")
            self.assertEqual(lines[5], "")
            self.assertEqual(tezos.key_hash(key), pkh)
            self.assertEqual(self.stored()[-1]["public_key_hash"], pkh)
            self.assertTrue(base64.b64decode(self.stored()[-1]["encrypted_private_key"]))
        self.assertEqual(os.stat(self.stack.keys_file).st_mode & 0o777, 0o600)
        keys = json.loads(self.stack.cli("generate", "--vault=nitro", "-t", "p256", "-n3", "--json").stdout)
        self.assertEqual([set(k) for k in keys], [{"public_key_hash", "public_key", "vault", "active"}] * 3)
        listed = json.loads(self.stack.cli("list", "--json").stdout)
        self.assertEqual(len(listed), 7)
        self.assertEqual(listed[-3:], keys)
        self.stack.allow(keys[0]["public_key_hash"], {"allow": {"block": None, "generic": ["reveal", "ballot:yay"]}})
        text = self.stack.cli("list").stdout
        self.assertIn("Active:                    true\nAllowed Requests:          [block generic]\n"
                      "Allowed Operations:        [ballot:yay reveal]\nAllow Proof of Possession: false\n\n", text)

    def check_imported(self, *arguments, pkh=ALICE_PKH, stdin=None):
        before = len(self.stored()) if self.stack.keys_file.exists() else 0
        done = self.stack.cli("--json", "import", "-v", "nitro", *arguments, stdin=stdin)
        self.assertEqual(json.loads(done.stdout)[0]["public_key_hash"], pkh)
        self.assertNotIn(ALICE, done.stdout + done.stderr)
        return len(self.stored()) - before

    def write(self, name, content):
        path = self.stack.dir / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def test_import(self):
        self.assertEqual(self.check_imported("-f", self.write("k1", ALICE)), 1)
        # The same key again is stored once, and is no error.
        self.assertEqual(self.check_imported("--from", self.write("k2", ALICE + "\n")), 0)
        self.assertEqual(self.check_imported(stdin=ALICE + "\n"), 0)
        self.assertEqual(self.check_imported("--from", "-", stdin=ALICE), 0)

    def test_import_pem_and_der(self):
        seed = tezos.decode(ALICE)[1] if isinstance(tezos.decode(ALICE), tuple) else None
        seed = seed or bytes.fromhex("616c696365" * 6 + "616c")
        key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
        none = serialization.NoEncryption()
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, none)
        der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, none)
        self.check_imported("-f", self.write("k.pem", pem))
        self.check_imported("-f", self.write("k.der", der))
        ecc = ec.generate_private_key(ec.SECP256R1())
        point = ecc.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
        pkh = tezos.key_hash(tezos.encode("p2pk", point))
        sec1 = ecc.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, none)
        self.check_imported("-f", self.write("sec1.pem", sec1), pkh=pkh)

    def refused(self, *arguments, code=1, part, stdin=None):
        before = self.stack.keys_file.read_bytes() if self.stack.keys_file.exists() else None
        done = self.stack.cli(*arguments, check=False, stdin=stdin)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(part, done.stderr)
        self.assertEqual(done.stdout.strip() or "[]", "[]")
        after = self.stack.keys_file.read_bytes() if self.stack.keys_file.exists() else None
        self.assertEqual(before, after)
        return done.stderr

    def test_secrets_on_the_command_line(self):
        text = self.refused("import", "-v", "nitro", ALICE, code=2, part="--from FILE")
        self.assertNotIn(ALICE, text)
        text = self.refused("import", "-v", "nitro", "--password", "hunter2", "-f", "x", code=2, part="--password-file")
        self.assertNotIn("hunter2", text)

    def test_bad_input(self):
        self.refused("import", "-v", "nitro", "-f", self.write("bad", ALICE[:-1] + "c"), part="importing the key")
        self.refused("import", "-v", "nitro", "-f", self.write("empty", ""), part="importing the key")
        self.refused("import", "-v", "nitro", "-f", self.stack.dir / "absent", part="absent")
        self.refused("import", "-v", "nitr", "-f", "x", part="did you mean nitro?")
        self.refused("generate", "-v", "other", part="vault other is not found")
        encrypted = "edesk1uiM6BaysskGto8pRtzKQqFqsy1sea1QRjTzaQYuBxYNhuN6eqEU78TGRXZocsVRJYcN7AaU9JDykwUd8KW"
        self.refused("import", "-v", "nitro", "-f", self.write("enc", encrypted), "--password-file",
                     self.write("pw", "wrong password\n"), part="import")

    def test_encrypted(self):
        shared = os.environ.get("CV_SHARED", "")
        path = os.path.join(shared, "vectors", "tezos-vectors.json")
        if not os.path.exists(path):
            self.skipTest("no shared vectors")
        with open(path, encoding="utf-8") as f:
            keys = json.load(f)["keys"]
        done = 0
        for k in keys.get("encrypted", []):
            secret = k.get("encrypted") or k.get("secret") or k.get("encrypted_secret")
            password = k.get("password")
            if not secret or password is None:
                continue
            pkh = k.get("pkh")
            self.check_imported("-f", self.write("enc", secret + "\n"), "--password-file",
                                self.write("pw", password + "\n"), **({"pkh": pkh} if pkh else {}))
            self.refused("import", "-v", "nitro", "-f", self.write("enc", secret), "--password-file",
                         self.write("pw", password + "x\n"), part="password")
            done += 1
            if done == 2:
                break
        self.assertGreater(done, 0, "no encrypted key in the vectors")

    def at_terminal(self, *dialogue):
        """`import` at a terminal: waits for each prompt, types what follows it."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(process.bin_dir() / "claviger", ["claviger", "-c", str(self.stack.config), "--log", "error", "import",
                                                      "-v", "nitro"], environment())
        shown, left, deadline = b"", list(dialogue), time.monotonic() + 20
        try:
            while time.monotonic() < deadline:
                if not select.select([terminal], [], [], 0.2)[0]:
                    continue
                try:
                    more = os.read(terminal, 4096)
                except OSError:  # the other side is closed
                    break
                shown += more
                if left and shown.endswith(left[0][0].encode()):
                    os.write(terminal, left.pop(0)[1].encode())
        finally:
            os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()

    def test_prompts(self):
        status, shown = self.at_terminal(("Enter the secret key: ", ALICE + "\n"))
        self.assertEqual(status, 0, shown)
        self.assertIn(ALICE_PKH, shown)
        self.assertNotIn(ALICE, shown)
        for typed in ("\x03", "\x04", "nonsense\n"):
            status, shown = self.at_terminal(("Enter the secret key: ", typed))
            self.assertEqual(status, 1, shown)
            self.assertIn("Error: importing the key: ", shown)
        encrypted = "edesk1uiM6BaysskGto8pRtzKQqFqsy1sea1QRjTzaQYuBxYNhuN6eqEU78TGRXZocsVRJYcN7AaU9JDykwUd8KW"
        status, shown = self.at_terminal(("Enter the secret key: ", encrypted + "\n"), ("Enter the password: ", "wrong\n"))
        self.assertEqual(status, 1, shown)
        self.assertIn("the password of the encrypted key is wrong", shown)
        self.assertNotIn("wrong\r", shown.split("Enter the password: ")[1].split("Error")[0])

    def test_no_terminal(self):
        done = subprocess.run([process.bin_dir() / "claviger", "-c", self.stack.config, "import", "-v", "nitro", "-f",
                               self.write("enc", "edesk1uiM6BaysskGto8pRtzKQqFqsy1sea1QRjTzaQYuBxYNhuN6eqEU78TGRXZocsVRJYcN7AaU9JDykwUd8KW")],
                              capture_output=True, text=True, timeout=30, env=environment(), stdin=subprocess.DEVNULL,
                              start_new_session=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("terminal", done.stderr)

    def test_absent_enclave(self):
        self.stack.enclave.stop()
        text = self.refused("generate", "-v", "nitro", part="enclave.sock")
        self.assertLess(len(text.splitlines()), 4)

    def test_full_disk(self):
        self.stack.generate("tz1")
        before = self.stack.keys_file.read_bytes()

        def no_space():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (16, 16))

        done = subprocess.run([process.bin_dir() / "claviger", "-c", self.stack.config, "--json", "generate", "-v",
                               "nitro"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30,
                              env=environment(), preexec_fn=no_space, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("tz1", done.stdout)
        self.assertEqual(self.stack.keys_file.read_bytes(), before)
        self.assertEqual([p.name for p in (self.stack.dir / "base").iterdir() if "tmp" in p.name], [])

    def test_two_at_once(self):
        made, faults = [], []

        def generate():
            try:
                made.append(self.stack.generate("tz1")["public_key_hash"])
            except Exception as e:  # pylint: disable=broad-except
                faults.append(e)

        threads = [threading.Thread(target=generate) for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(faults, [])
        self.assertEqual(sorted(k["public_key_hash"] for k in self.stored()), sorted(made))
        self.assertEqual(len(set(made)), 8)

    def test_tampered_store(self):
        a, b = self.stack.generate("tz1"), self.stack.generate("tz1")
        entries = self.stored()
        entries[0]["encrypted_private_key"] = entries[1]["encrypted_private_key"]
        self.stack.keys_file.write_text(json.dumps(entries))
        done = self.stack.cli("--json", "list", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"is the key {b['public_key_hash']}", done.stderr)
        listed = {k["public_key_hash"]: k for k in json.loads(done.stdout)}
        self.assertEqual(listed[a["public_key_hash"]]["public_key"], "")
        self.assertEqual(listed[b["public_key_hash"]]["public_key"], b["public_key"])
        entries[0]["encrypted_private_key"] = base64.b64encode(b"nonsense").decode()
        self.stack.keys_file.write_text(json.dumps(entries))
        done = self.stack.cli("list", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("encryption error", done.stderr)
        self.assertIn(b["public_key"], done.stdout)
        self.stack.keys_file.write_text("{")
        done = self.stack.cli("list", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("enclave_keys.json", done.stderr)
        self.assertEqual(self.stack.keys_file.read_text(), "{")

    def test_time_is_limited(self):
        """An enclave whose KMS never answers: every command ends, and says so."""
        key = self.stack.generate("tz1")
        self.stack.restart_enclave("slow-kms")
        for command in (("list",), ("generate", "-v", "nitro"), ("import", "-v", "nitro", "-f", self.write("k", ALICE)),
                        ("keys", "reseal", "-v", "nitro"), ("attest", "get", key["public_key_hash"])):
            with self.subTest(command=command):
                begun = time.monotonic()
                done = self.stack.cli("--timeout", "1", *command, check=False)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("Error: ", done.stderr)
                self.assertLess(time.monotonic() - begun, 10)
        done = self.stack.cli("list", "--timeout=1", "--json", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no answer in time", done.stderr)
        self.assertEqual([k["public_key_hash"] for k in json.loads(done.stdout)], [key["public_key_hash"]])
        for wrong in ("0", "x", "-1", "1.5", "86401", ""):
            self.assertEqual(claviger("list", "--timeout", wrong).returncode, 2)

    def test_original_enclave(self):
        with FakeStack(original=True) as s:
            key = s.generate("tz2")
            self.assertEqual(tezos.key_hash(key["public_key"]), key["public_key_hash"])
            self.assertEqual([k["public_key"] for k in json.loads(s.cli("--json", "list").stdout)],
                             [key["public_key"]])


if __name__ == "__main__":
    unittest.main()
