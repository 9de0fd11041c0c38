# SPDX-License-Identifier: Apache-2.0
"""A real system's root, made by debootstrap, into an image: every file's kind,
mode, owner and content. The root is kept in .cache as a tar; CV_DEBOOTSTRAP=1
makes one, which takes a mirror and some minutes."""

import os
import pathlib
import shutil
import stat
import subprocess
import sys
import unittest

from claviger_testing.image_case import ImageCase
from claviger_testing.process import skip

CACHE = pathlib.Path(os.environ["CV_SOURCE_DIR"]) / ".cache/debian-minbase.tar"
if os.geteuid() != 0:
    skip("needs root")
if not CACHE.exists() and ("CV_DEBOOTSTRAP" not in os.environ or shutil.which("debootstrap") is None):
    skip("there is no Debian root in .cache; CV_DEBOOTSTRAP=1 makes one where debootstrap is installed")


class Debian(ImageCase):
    def make_root(self):
        root = self.dir / "root"
        root.mkdir()
        if not CACHE.exists():
            done = subprocess.run(["debootstrap", "--variant=minbase", "bookworm", root], timeout=500, capture_output=True)
            if done.returncode != 0:
                self.skipTest("debootstrap has no mirror here")
            partial = CACHE.with_suffix(f".{os.getpid()}")
            subprocess.run(["tar", "--numeric-owner", "-cpf", partial, "-C", root, "."], check=True, timeout=300)
            os.rename(partial, CACHE)
            shutil.rmtree(root)
            root.mkdir()
        subprocess.run(["tar", "--numeric-owner", "-xpf", CACHE, "-C", root], check=True, timeout=300)
        return root

    def test_folder_and_tar(self):
        root = self.make_root()
        tree = self.root(self.build(root, "--", "/bin/bash"))
        folder = self.printed
        for path in root.rglob("*"):
            name = str(path.relative_to(root))
            info = path.lstat()
            if stat.S_ISSOCK(info.st_mode):
                continue
            fields, content = tree.pop(name)
            self.assertEqual((fields["mode"], fields["uid"], fields["gid"]), (info.st_mode, info.st_uid, info.st_gid), name)
            if stat.S_ISLNK(info.st_mode):
                self.assertEqual(content.decode(), os.readlink(path), name)
            elif stat.S_ISREG(info.st_mode) and info.st_nlink == 1:
                self.assertEqual(content, path.read_bytes(), name)
        self.assertEqual(tree, {}, "more than there is")
        self.build(CACHE, "--", "/bin/bash")
        self.assertEqual(self.printed, folder)


if __name__ == "__main__":
    sys.exit(unittest.main())
