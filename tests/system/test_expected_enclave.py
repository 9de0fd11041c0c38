# SPDX-License-Identifier: Apache-2.0
"""expected_pcrs, enclave_image and attestation_root of a vault: what the daemon
and the commands do with the enclave that is expected, and with any other."""
import json
import pathlib
import re
import shutil
import tempfile
import time
import unittest

from claviger_testing import tezos
from claviger_testing.fake_stack import FakeStack
from claviger_testing.process import bin_dir, need, run
from claviger_testing.stack import Stack

need("claviger", "claviger-local", "claviger-enclave-dev")


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.05)


class Expected(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.tmp)
        cls.stack = Stack(cls.tmp / "s")
        cls.addClassCleanup(cls.stack.down)
        cls.stack.up()
        cls.root = next(cls.stack.dir.rglob("root.pem"))
        cls.pkh = cls.stack.generate("tz1")["public_key_hash"]
        cls.stack.allow(cls.pkh, body="{allow: {block: null}}")
        document = run([bin_dir() / "claviger", "attest", "show", "--json", "-"],
                       stdin=cls.stack.cli("attest", "get", cls.pkh).stdout).stdout
        cls.pcrs = {k: v for k, v in json.loads(document)["pcrs"].items() if k in ("PCR0", "PCR1", "PCR2")}
        cls.text = cls.stack.config.read_text()

    def setUp(self):
        self.addCleanup(self.stack.config.write_text, self.text)
        self.addCleanup(self.stack.stop_daemon)

    def expect(self, **settings):
        lines = [f"{k}: {json.dumps(str(v) if isinstance(v, pathlib.Path) else v)}" for k, v in settings.items()]
        changed = re.sub(r"\n( +)encryption_key_id:[^\n]*",
                         lambda m: m[0] + "".join(f"\n{m[1]}{line}" for line in lines), self.text, count=1)
        self.assertNotEqual(changed, self.text)
        self.stack.config.write_text(changed)

    def reasons(self):
        return self.stack.utility("GET", "/readyz").json()["reasons"]

    def test_the_right_one(self):
        self.expect(expected_pcrs={"0": self.pcrs["PCR0"], "PCR1": self.pcrs["PCR1"].upper(), "2": self.pcrs["PCR2"]},
                    attestation_root=self.root)
        self.stack.serve()
        wait_for(lambda: self.reasons() == [])
        wait_for(lambda: self.stack.sign(self.pkh, tezos.block(1, 0)).status == 200)
        self.assertIn("the enclave is the one expected", self.stack.daemon.tail())
        self.stack.stop_daemon()
        # Import needs no options any more, and does not warn.
        key = self.tmp / "key.pem"
        run(["openssl", "genpkey", "-algorithm", "ED25519", "-out", key])
        done = self.stack.cli("import", "-v", "nitro", "-f", key)
        self.assertNotIn("not verified", done.stderr)
        self.stack.generate("tz2")
        # Options may add to it, but not contradict it.
        run(["openssl", "genpkey", "-algorithm", "ED25519", "-out", key])
        done = self.stack.cli("import", "-v", "nitro", "-f", key, "--pcr", "0=" + "11" * 48, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another value of PCR0", done.stderr)
        done = self.stack.cli("import", "-v", "nitro", "-f", key, "--role-arn", "arn:aws:iam::1:role/x", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("the key was not sent", done.stderr)

    def test_another_one(self):
        self.expect(expected_pcrs={"0": "11" * 48}, attestation_root=self.root)
        self.stack.serve()
        wait_for(lambda: any("expects" in r for r in self.reasons()))
        self.assertRegex(self.reasons()[0], r"vault nitro: this is not the enclave that the configuration expects "
                         r"\(pcr_mismatch\): pcrs\[0\]: is [0-9a-f]{96}; expected (11){48}")
        self.assertNotEqual(self.stack.sign(self.pkh, tezos.block(2, 0)).status, 200)
        self.stack.stop_daemon()
        stored = (self.stack.dir / "enclave_keys.json").read_text()
        for command in (["generate", "-v", "nitro"], ["list"]):
            done = self.stack.cli(*command, check=False)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertIn("not the enclave that the configuration expects", done.stderr)
        self.assertEqual((self.stack.dir / "enclave_keys.json").read_text(), stored)

    def test_another_root(self):
        """AWS's, when none is named: no stand-in passes for an enclave."""
        self.expect(expected_pcrs={"0": self.pcrs["PCR0"]})
        done = self.stack.cli("list", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("not the enclave that the configuration expects (untrusted", done.stderr)

    def test_an_image(self):
        image = pathlib.Path(__file__).parents[1] / "vectors/eif/plain.eif"
        self.expect(enclave_image=image, attestation_root=self.root)
        done = self.stack.cli("list", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("(pcr_mismatch): pcrs[0]", done.stderr)
        self.expect(enclave_image=image, expected_pcrs={"0": self.pcrs["PCR0"]}, attestation_root=self.root)
        self.assertIn("differ in PCR0", self.stack.cli("list", check=False).stderr)
        self.expect(enclave_image=self.tmp / "absent.eif")
        self.assertIn("enclave_image", self.stack.cli("serve", check=False).stderr)

    def test_mistakes(self):
        for settings, text in (({"expected_pcrs": {"32": "11" * 48}}, "from 0 to 31"),
                               ({"expected_pcrs": {"0": "11" * 47}}, "PCR0: wanted are 96"),
                               ({"expected_pcrs": {"0": "zz" * 48}}, "PCR0: wanted are 96"),
                               ({"expected_pcrs": {"0": "11" * 48, "PCR0": "11" * 48}}, "given twice"),
                               ({"expected_pcrs": {}}, "names no register"), ({"expected_pcrs": "x"}, "mapping"),
                               ({"attestation_root": "/x"}, "goes with")):
            self.expect(**settings)
            done = self.stack.cli("list", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(text, done.stderr)

    def test_an_enclave_that_cannot_say(self):
        """An original one gives no documents: it is refused, not believed."""
        with FakeStack(original=True) as s:
            text = json.loads(s.config.read_text())
            text["vaults"]["nitro"]["config"]["expected_pcrs"] = {"0": "11" * 48}
            s.config.write_text(json.dumps(text))
            done = s.cli("generate", "-v", "nitro", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("gives no document", done.stderr)
            self.assertFalse(s.keys_file.exists())

    def test_debug_mode_is_told(self):
        self.expect(expected_pcrs={"0": "00" * 48}, attestation_root=self.root)
        done = self.stack.cli("list", check=False)
        self.assertIn("expects an enclave in debug mode", done.stderr)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()
