#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo of boot-time secrets: nginx boots with them, a changed image does not."""

import os
import pathlib
import subprocess
import sys
import unittest

from claviger_testing.process import bin_dir, need, skip

need("claviger", "claviger-local", "claviger-enclave-dev", "claviger-init", "claviger-init-dev")
ROOT = pathlib.Path(os.environ["CV_SOURCE_DIR"])
if not all(list((ROOT / ".cache/debs").glob(f"{name}_*.deb")) for name in ("nginx", "nginx-common")):
    skip("nginx was not downloaded: ./dev demo secrets does that")
if subprocess.run(["unshare", "--pid", "--fork", "--mount", "--uts", "--net", "--ipc", "true"],
                  capture_output=True, check=False).returncode != 0:
    skip("namespaces cannot be made here")


class Demo(unittest.TestCase):
    def test_demo(self):
        done = subprocess.run([sys.executable, ROOT / "demo" / "boot_secrets.py", "--bin", bin_dir()],
                              capture_output=True, text=True, timeout=240)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("with the password: 200; with another: 401", done.stdout)
        self.assertIn("AccessDeniedException", done.stdout)
        self.assertIn("nothing is left running", done.stdout)


if __name__ == "__main__":
    unittest.main()
