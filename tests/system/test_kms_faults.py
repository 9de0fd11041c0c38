# SPDX-License-Identifier: Apache-2.0
"""A KMS that denies, throttles, hangs or answers nonsense: the enclave and the
operator's commands end with one clear sentence, nothing is lost, and all works
again once the KMS does."""

import concurrent.futures
import json
import pathlib
import sys
import tempfile
import time
import unittest

from claviger_testing.process import need
from claviger_testing.stack import Stack

need("claviger-local", "claviger-enclave-dev", "claviger")

# What ends well: another lawful form, or asking again helps.
HEALED = [
    "throttle {} 1", "throttle {} 2", "internal {} 2", "dependency-timeout {} 1", "key-unavailable {} 1",
    "unavailable {} 2", "close {} 1", "half-reply {} 1", "stall {} 1 700", "slow-reply {} 1",
    "cms-chunks {} -", "cms-primitive {} -", "cms-definite {} -",
]
# What must fail, and a word that the sentence holds.
FATAL = [
    ("access-denied {} -", "AccessDenied"), ("disabled {} -", "Disabled"), ("key-state {} -", "KMSInvalidState"),
    ("not-found {} -", "NotFound"), ("validation {} -", "Validation"), ("throttle {} -", "Throttling"),
    ("internal {} -", "KMSInternal"), ("expired-token {} -", "ExpiredToken"),
    ("unrecognized-client {} -", "UnrecognizedClient"),
    # The document would be fresh, the KMS's clock is not.
    ("clock {} - 900", ""), ("unavailable {} -", "503"),
    ("plaintext {} -", ""), ("plaintext-and-cms {} -", ""), ("wrong-key-id {} -", ""), ("no-key-id {} -", ""),
    ("garbage {} -", ""), ("empty {} -", ""), ("empty-object {} -", ""), ("wrong-types {} -", ""),
    ("bad-base64 {} -", ""), ("huge {} -", ""), ("short-key {} -", ""),
    ("cms-other-key {} -", ""), ("cms-sha1 {} -", ""), ("cms-truncated {} -", ""),
    ("cms-trailing {} -", ""), ("cms-garbage {} -", ""), ("close {} -", ""), ("half-reply {} -", ""),
]
LIMIT = 60  # seconds for one command, whatever the KMS does


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cv-flt-")
        cls.addClassCleanup(cls.folder.cleanup)
        cls.stack = Stack(pathlib.Path(cls.folder.name) / "s")
        cls.addClassCleanup(cls.stack.down)
        cls.stack.up()
        cls.fault_file = cls.stack.dir / "kms.fault"
        cls.keys_file = cls.stack.dir / "enclave_keys.json"
        cls.first = cls.stack.generate("tz1")["public_key_hash"]
        cls.kept = cls.keys_file.read_bytes()

    def tearDown(self):
        self.fault_file.unlink(missing_ok=True)
        self.keys_file.write_bytes(self.kept)

    def fault(self, line, action):
        self.fault_file.write_text(line.format(action) + "\n")

    def command(self, *arguments):
        began = time.monotonic()
        done = self.stack.cli("--json", *arguments, check=False)
        took = time.monotonic() - began
        if took > 1:
            print(f"  {took:.1f} s: {arguments[0]} with {self.line()}", file=sys.stderr)
        self.assertLess(took, LIMIT)
        return done

    def line(self):
        return self.fault_file.read_text().strip() if self.fault_file.exists() else "no fault"

    def refused(self, done, word):
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertGreater(done.returncode, 0, "killed by a signal")
        self.assertIn(word, done.stderr)
        self.assertNotIn("Sanitizer", done.stderr)
        # Somebody said in a sentence what the matter was.
        self.assertRegex(done.stderr, r"(?m)^.{20,}$")

    def whole(self):
        """The enclave still serves and opens what was there before."""
        self.fault_file.unlink(missing_ok=True)
        listed = json.loads(self.command("list").stdout)
        self.assertIn(self.first, [k["public_key_hash"] for k in listed])

    def test_generate_heals(self):
        for line in HEALED:
            with self.subTest(line):
                self.fault(line, "GenerateDataKey")
                done = self.command("generate", "-v", "nitro", "-t", "tz1")
                self.assertEqual(done.returncode, 0, done.stderr)
                made = json.loads(done.stdout)[0]["public_key_hash"]
                self.assertIn(made, self.keys_file.read_text())
        self.whole()

    def test_generate_fails_and_loses_nothing(self):
        before = self.keys_file.read_bytes()
        for line, word in FATAL:
            with self.subTest(line):
                self.fault(line, "GenerateDataKey")
                done = self.command("generate", "-v", "nitro", "-t", "tz1")
                after = self.keys_file.read_bytes()
                self.keys_file.write_bytes(before)
                self.refused(done, word)
                self.assertEqual(after, before)
        self.whole()

    def test_import_heals(self):
        for line in HEALED:
            with self.subTest(line):
                self.fault(line, "Decrypt")
                done = self.command("list")
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_import_fails_and_loses_nothing(self):
        before = self.keys_file.read_bytes()
        for line, word in FATAL + [("made-up-key {} -", ""), ("invalid-ciphertext {} -", "InvalidCiphertext")]:
            with self.subTest(line):
                self.fault(line, "Decrypt")
                self.refused(self.command("list"), word)
                self.assertEqual(self.keys_file.read_bytes(), before)
        self.whole()

    def test_hang(self):
        self.fault_file.write_text("hang GenerateDataKey -\nhang Decrypt -\n")
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for done in pool.map(lambda a: self.command(*a), (("generate", "-v", "nitro", "-t", "tz1"), ("list",))):
                self.refused(done, "")
        self.whole()

    def test_silent_data_key(self):
        """KMS hands out a data key that does not belong to its ciphertext: what is
        sealed under it could never be opened. The damage shows at once, or at the
        next start; it never passes for a good key."""
        self.fault("made-up-key {} -", "GenerateDataKey")
        done = self.command("generate", "-v", "nitro", "-t", "tz1")
        self.fault_file.unlink()
        if done.returncode != 0:
            self.assertEqual(self.keys_file.read_bytes(), self.kept)
            return
        made = json.loads(done.stdout)[0]["public_key_hash"]
        listed = self.command("list")
        shown = {k["public_key_hash"]: k["public_key"] for k in json.loads(listed.stdout or "[]")}
        self.assertFalse(shown.get(made), "a key that cannot be opened passes for a good one")
        self.assertIn(made, listed.stderr)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
