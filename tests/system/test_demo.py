#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo does what the README says, and leaves nothing running."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

from claviger_testing.process import bin_dir, need

need("claviger", "claviger-local", "claviger-enclave-dev")
ROOT = pathlib.Path(os.environ["CV_SOURCE_DIR"])


def running(program):
    """Processes of PROGRAM in this build, by their executable."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and os.readlink(entry / "exe") == str(bin_dir() / program):
                found.append((entry / "cmdline").read_bytes())
        except OSError:
            continue
    return found


class Demo(unittest.TestCase):
    def test_demo(self):
        done = subprocess.run([sys.executable, ROOT / "demo" / "demo.py", "--bin", bin_dir()], capture_output=True,
                              text=True, timeout=180)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for kind in ("tz1", "tz2", "tz3", "tz4"):
            # Signed and verified in the first life and in the second.
            self.assertEqual(len(re.findall(rf"^   {kind}\w+  \w+…  verified$", done.stdout, re.M)), 2, done.stdout)
        self.assertIn("AccessDeniedException", done.stdout)
        self.assertIn("this image's PCR0 is abab", done.stdout)
        self.assertIn("nothing is left running", done.stdout)
        for program in ("claviger", "claviger-local", "claviger-enclave-dev"):
            self.assertEqual([c for c in running(program) if b"claviger-demo-" in c], [])


if __name__ == "__main__":
    unittest.main()
