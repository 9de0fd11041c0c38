# SPDX-License-Identifier: Apache-2.0
"""A folder with a kernel and an init, and the commands on images in it: every
image that is built is read back and measured by code that shares nothing with
Claviger."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from . import eif
from .process import bin_dir, need

need("claviger")
CLAVIGER = bin_dir() / "claviger"
VECTORS = pathlib.Path(os.environ["CV_VECTORS"])
SHARED = pathlib.Path(os.environ.get("CV_SHARED", "/nonexistent")) / "vectors"
CONFIG = {"Entrypoint": ["/bin/app", "--serve"], "Cmd": ["a b", "c"], "Env": ["PATH=/bin", "MODE=prod"],
          "User": "app:app", "WorkingDir": "/srv", "StopSignal": "SIGQUIT"}


class ImageCase(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.dir, True)
        (self.dir / "kernel").write_bytes(b"a kernel")
        (self.dir / "init").write_bytes(b"an init")
        (self.dir / "out").mkdir()

    def run_cli(self, *argv, check=True, **kw):
        done = subprocess.run([CLAVIGER, *map(str, argv)], capture_output=True, text=True, timeout=120,
                              cwd=kw.pop("cwd", self.dir), **kw)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def build(self, source, *argv, out="out/x.eif", check=True, **kw):
        done = self.run_cli("--json", "eif", "build", "--kernel", self.dir / "kernel", "--init", self.dir / "init",
                            "-o", self.dir / out, "--arch", "x86_64", *([source] if source else []), *argv,
                            check=check, **kw)
        if not check:
            return done
        self.printed = json.loads(done.stdout)["Measurements"]
        self.warnings = done.stderr
        image = eif.parse((self.dir / out).read_bytes())
        want = eif.pcrs([s for s in image["sections"] if s[0] <= 3])
        for name, value in want.items():
            self.assertEqual(self.printed[name], value, name)
        self.assertEqual([t for t, _ in image["sections"]][:5], [1, 2, 5, 3, 3])
        return image

    def root(self, image):
        """{path under rootfs: (fields, content)} and the list of names."""
        entries = eif.cpio_entries(image["sections"][4][1])
        names = [e[0] for e in entries]
        self.assertEqual(len(set(names)), len(names), "a name twice")
        for name in names:
            parent = name.rpartition("/")[0]
            self.assertTrue(parent == "" or names.index(parent) < names.index(name), "parents come first")
            self.assertNotIn("..", name.split("/"))
        self.names = names
        return {n[7:]: (f, c) for n, f, c in entries if n.startswith("rootfs/")}

    def extra(self, image, name):
        return next(c for n, _, c in eif.cpio_entries(image["sections"][4][1]) if n == name).decode()

    def refused(self, source, why, *argv, **kw):
        (self.dir / "out/keep").write_text("untouched")
        done = self.build(source, *argv, check=False, **kw)
        self.assertEqual(done.returncode, 1, f"not refused: {why}")
        errors = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        self.assertEqual(len(errors), 1, done.stderr)
        self.assertIn(why, errors[0])
        self.assertEqual(os.listdir(self.dir / "out"), ["keep"], "something is left behind")
        return errors[0]
