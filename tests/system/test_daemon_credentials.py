# SPDX-License-Identifier: Apache-2.0
"""Credentials of a vault: found, missing, and renewed in the enclave while it
signs."""

import threading
import time
import unittest

from claviger_testing import process, tezos
from claviger_testing.fake_stack import FakeStack
from claviger_testing.stack import environment

process.need("claviger")
UNKNOWN = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"

PROCESS = """#!/bin/sh
n=$(cat {dir}/count 2>/dev/null || echo 0); n=$((n + 1)); echo $n > {dir}/count
printf '{{"Version":1,"AccessKeyId":"AKIAEXAMPLE%09d","SecretAccessKey":"secret-%s-secret","SessionToken":"token-%s","Expiration":"%s"}}' \\
    $n $n $n "$(date -u -d '+4 seconds' +%Y-%m-%dT%H:%M:%SZ)"
"""


class Credentials(unittest.TestCase):
    def start(self, original=False):
        self.stack = s = FakeStack(original=original)
        self.addCleanup(s.down)
        s.credentials = None
        script = s.dir / "credentials.sh"
        script.write_text(PROCESS.format(dir=s.dir))
        script.chmod(0o755)
        (s.dir / "config").write_text(f"[default]\nregion = eu-west-1\ncredential_process = {script}\n")
        s.env = environment(AWS_CONFIG_FILE=s.dir / "config", AWS_SHARED_CREDENTIALS_FILE=s.dir / "none",
                            AWS_EC2_METADATA_DISABLED="true", HOME=s.dir)
        s.write()
        self.key = s.generate("tz1")
        s.allow(self.key["public_key_hash"])

    def sign(self, amount=1):
        pkh = self.key["public_key_hash"]
        message = tezos.transaction(pkh, UNKNOWN, amount)
        answer = self.stack.sign(pkh, message)
        if answer.status == 200:
            self.assertTrue(tezos.verify(self.key["public_key"], answer.json()["signature"], message))
        return answer.status

    def test_renewed(self):
        self.start()
        self.stack.enclave.requests.clear()
        self.stack.serve()
        stop, statuses = [], []

        def load():
            while not stop:
                statuses.append(self.sign(len(statuses) + 1))

        thread = threading.Thread(target=load)
        thread.start()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and \
                len([1 for name, _ in self.stack.enclave.requests if name == "Renew"]) < 2:
            time.sleep(0.1)
        stop.append(True)
        thread.join(30)
        requests = [r for r in self.stack.enclave.requests if r[0] in ("Initialize", "Renew")]
        self.assertEqual(requests[0][0], "Initialize")
        self.assertGreaterEqual(len(requests), 3, self.stack.log())
        self.assertEqual(set(requests[1][1]), {"access_key_id", "secret_access_key", "session_token"})
        keys = [r[1]["access_key_id"] for r in requests]
        self.assertEqual(len(set(keys)), len(keys))
        self.assertEqual(self.stack.enclave.connections, 2)  # generate, and one for the daemon
        self.assertEqual(set(statuses), {200})
        for secret in ("secret-", "token-"):
            self.assertNotIn(secret, self.stack.log())

    def test_original_enclave_has_them_when_kms_is_needed(self):
        self.start(original=True)
        self.stack.serve()
        self.assertEqual(self.sign(), 200)
        time.sleep(7)
        self.assertGreater(self.stack.enclave.connections, 2)  # generate, the daemon, and its renewals
        key = self.stack.generate("tz2")
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline and \
                self.stack.request("GET", f"/keys/{key['public_key_hash']}").status != 200:
            time.sleep(0.1)
        self.assertEqual(self.stack.request("GET", f"/keys/{key['public_key_hash']}").status, 200)
        self.assertEqual(self.sign(), 200)

    def test_original_enclave_gets_them_beside_the_old_connection(self):
        """Under load: a second connection takes over, and no signature fails."""
        self.start(original=True)
        self.stack.enclave.requests.clear()
        self.stack.serve()
        stop, statuses, lock = [], [], threading.Lock()

        def load(n):
            while not stop:
                status = self.sign(n)
                n += 10
                with lock:
                    statuses.append(status)

        threads = [threading.Thread(target=load, args=(i + 1,)) for i in range(8)]
        for t in threads:
            t.start()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.stack.log().count("renewed by a new connection") < 2:
            time.sleep(0.1)
        # A key that is made now needs KMS, and is there soon.
        key = self.stack.generate("tz2")
        self.stack.allow(key["public_key_hash"])
        while time.monotonic() < deadline and \
                self.stack.request("GET", f"/keys/{key['public_key_hash']}").status != 200:
            time.sleep(0.1)
        self.assertEqual(self.stack.request("GET", f"/keys/{key['public_key_hash']}").status, 200)
        stop.append(True)
        for t in threads:
            t.join(30)
        self.assertGreaterEqual(self.stack.log().count("renewed by a new connection"), 2, self.stack.log())
        self.assertEqual(set(statuses), {200})
        self.assertGreater(len(statuses), 200)
        sent = [r[1]["access_key_id"] for r in self.stack.enclave.requests if r[0] == "Initialize"]
        self.assertGreaterEqual(len(set(sent)), 3)
        self.assertNotIn("not connected", self.stack.log())
        # The old connections end.
        wait = time.monotonic() + 10
        while time.monotonic() < wait and len(self.stack.enclave.open) > 1:
            time.sleep(0.1)
        self.assertLessEqual(len(self.stack.enclave.open), 2)

    def test_missing(self):
        self.start()
        self.stack.env = environment(AWS_CONFIG_FILE=self.stack.dir / "none", HOME=self.stack.dir,
                                     AWS_SHARED_CREDENTIALS_FILE=self.stack.dir / "none",
                                     AWS_EC2_METADATA_DISABLED="true")
        done = self.stack.cli("generate", "-v", "nitro", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("(Nitro): missing credentials", done.stderr)
        self.stack.serve()
        self.assertEqual(self.sign(), 500)
        self.assertIn("missing credentials", self.stack.utility("/readyz").json()["reasons"][0])


if __name__ == "__main__":
    unittest.main()
