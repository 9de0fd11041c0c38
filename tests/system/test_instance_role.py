# SPDX-License-Identifier: Apache-2.0
"""The whole stack on an instance role whose credentials live six seconds: the
daemon signs on, and keys are made, long after the first ones have expired."""
import pathlib
import re
import signal
import tempfile
import threading
import time
import unittest

from claviger_testing import process, tezos
from claviger_testing.process import Program, bin_dir
from claviger_testing.stack import Stack, environment

process.need("claviger", "claviger-local", "claviger-enclave-dev")


class InstanceRole(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cv-role-")
        self.addCleanup(folder.cleanup)
        self.stack = Stack(pathlib.Path(folder.name) / "s").up()
        self.addCleanup(self.stack.down)
        text = self.stack.config.read_text()
        # Without the credentials that `up` wrote: the region stays.
        text, n = re.subn(r"\n +(access_key_id|secret_access_key|session_token): .*", "", text)
        self.assertGreaterEqual(n, 2)
        self.stack.config.write_text(text)
        self.imds = Program([bin_dir() / "claviger-local", "imds", "--state", self.stack.dir / "kms.json", "--life", "6"],
                            self.stack.dir / "imds.log")
        self.addCleanup(self.imds.stop)
        deadline = time.monotonic() + 20
        while "ready" not in self.imds.out_path.read_text():
            self.assertLess(time.monotonic(), deadline, self.imds.tail())
            time.sleep(0.02)
        address = self.imds.out_path.read_text().split()[1].replace("tcp:", "")
        self.env = environment(AWS_EC2_METADATA_SERVICE_ENDPOINT="http://" + address, HOME=folder.name,
                               AWS_CONFIG_FILE="/dev/null", AWS_SHARED_CREDENTIALS_FILE="/dev/null")

    def generate(self, kind="tz1"):
        import json
        done = self.stack.cli("--json", "generate", "-v", "nitro", "-t", kind, env=self.env)
        return json.loads(done.stdout)[0]

    def test_it_works_on(self):
        key = self.generate()
        pkh = key["public_key_hash"]
        self.stack.allow(pkh, body="{allow: {generic: [transaction]}}")
        self.stack.serve(env=self.env)
        statuses, stop = [], threading.Event()

        def load():
            while not stop.is_set():
                message = tezos.transaction(pkh, pkh, len(statuses) + 1)
                answer = self.stack.sign(pkh, message)
                good = answer.status == 200 and tezos.verify(key["public_key"], answer.json()["signature"], message)
                statuses.append(answer.status if good or answer.status != 200 else "bad signature")
        thread = threading.Thread(target=load)
        thread.start()
        try:
            time.sleep(9)
            # KMS is asked now: for the command line, and by the daemon's own
            # session, which picks the new key up.
            new = self.generate("tz2")
            other = new["public_key_hash"]
            self.stack.allow(pkh, other, body="{allow: {generic: [transaction]}}")
            self.stack.daemon.process.send_signal(signal.SIGHUP)
            message = tezos.transaction(other, other, 1)
            deadline = time.monotonic() + 20
            while (answer := self.stack.sign(other, message)).status != 200 and time.monotonic() < deadline:
                time.sleep(0.1)
            self.assertEqual(answer.status, 200, answer.body)
            self.assertTrue(tezos.verify(new["public_key"], answer.json()["signature"], message))
        finally:
            stop.set()
            thread.join(30)
        self.assertGreater(len(statuses), 50)
        self.assertEqual(set(statuses), {200})
        credentials = self.imds.tail(100000).count("security-credentials/claviger-local")
        self.assertGreater(credentials, 3)
        expired = [line for line in self.stack.daemon.tail(1000000).splitlines() if "ExpiredToken" in line]
        self.assertEqual(expired, [])


if __name__ == "__main__":
    unittest.main()
