# SPDX-License-Identifier: Apache-2.0
"""@taquito/remote-signer, unmodified from npm, as a client of the daemon: with
and without client authentication. It is installed into .cache/taquito by
`npm install` of tests/interop/taquito/package.json."""

import json
import os
import pathlib
import shutil
import subprocess
import unittest

from claviger_testing import process, tezos
from claviger_testing.fake_stack import FakeStack

process.need("claviger")
ROOT = pathlib.Path(os.environ["CV_SOURCE_DIR"])
MODULES = ROOT / ".cache" / "taquito" / "node_modules"
CLIENT = ROOT / "tests" / "interop" / "taquito" / "client.cjs"
if not shutil.which("node") or not (MODULES / "@taquito" / "remote-signer").is_dir():
    process.skip("@taquito/remote-signer is not installed in .cache/taquito")

BOB = {"password": "Bob-Password-1234", "secret": "Bob-Secret-1234567890-1234567890"}


def taquito(jobs):
    done = subprocess.run(["node", CLIENT], input=json.dumps(jobs), capture_output=True, text=True, timeout=120,
                          env={**os.environ, "NODE_PATH": str(MODULES)}, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


class Taquito(unittest.TestCase):
    def jobs(self, stack, keys, **more):
        out = []
        for kind, key in keys.items():
            request = tezos.transaction(key["public_key_hash"], key["public_key_hash"], 7)
            out.append({"pkh": key["public_key_hash"], "url": f"http://127.0.0.1:{stack.main}/", "bytes": request[1:].hex(),
                        "watermark": [3], "verify": kind != "tz4", **more})
        return out

    def check(self, keys, jobs, results):
        for (kind, key), job, result in zip(keys.items(), jobs, results):
            with self.subTest(kind=kind):
                self.assertNotIn("error", result)
                self.assertEqual(result["publicKey"], key["public_key"])
                self.assertEqual(result["publicKeyHash"], key["public_key_hash"])
                request = bytes([3]) + bytes.fromhex(job["bytes"])
                self.assertTrue(tezos.verify(key["public_key"], result["signed"]["prefixSig"], request))
                if kind != "tz4":
                    self.assertTrue(result["verified"])

    def test_without_authentication(self):
        with FakeStack() as s:
            keys = {k: s.generate(k) for k in ("tz1", "tz2", "tz3")}
            for k in keys.values():
                s.allow(k["public_key_hash"])
            s.serve()
            jobs = self.jobs(s, keys)
            self.check(keys, jobs, taquito(jobs))
            # What is refused arrives as Taquito's own errors.
            other = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"
            refused = taquito([{**jobs[0], "pkh": other}, {**jobs[0], "watermark": [1]}])
            self.assertEqual(refused[0]["error"], "PublicKeyNotFoundError")
            self.assertEqual(refused[1]["error"], "BadSigningData")

    def test_with_authentication(self):
        with FakeStack(server={"jwt": {"users": {"bob": BOB}}}) as s:
            keys = {k: s.generate(k) for k in ("tz1", "tz3")}
            for k in keys.values():
                s.allow(k["public_key_hash"])
            s.serve()
            token = s.request("POST", "/login", headers={"username": "bob", "password": BOB["password"]}).body.decode()
            jobs = self.jobs(s, keys, headers={"Authorization": f"Bearer {token}", "username": "bob"})
            self.check(keys, jobs, taquito(jobs))
            refused = taquito([{**jobs[0], "headers": {}}])
            self.assertEqual(refused[0]["status"], 401)


if __name__ == "__main__":
    unittest.main()
