#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev on its own, with stand-ins for the tools that it starts."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(os.environ["CV_SOURCE_DIR"])

# Notes how it was called, and answers as the files beside it say.
TOOL = """#!/bin/sh
name=$(basename "$0")
echo "$name $*" >> "$CV_CALLS"
[ ! -f "$CV_STUBS/$name.says" ] || cat "$CV_STUBS/$name.says"
exit "$(cat "$CV_STUBS/$name.status" 2>/dev/null || echo 0)"
"""
TOOLS = ("cmake", "cpack", "ctest", "dpkg-query", "pkg-config", "apt-get", "npm", "mvn", "java")
# What the script uses of the system.
SYSTEM = ("sh", "env", "basename", "dirname", "cat", "sed", "grep", "mkdir", "rm", "mv", "cp", "cut", "sha256sum",
          "tail", "find", "ls", "awk", "nproc", "id", "true", "false")


class Dev(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cv-dev-")
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        self.tree, self.stubs, self.calls = self.top / "tree", self.top / "stubs", self.top / "calls"
        for part in ("cmake", "tests/interop"):
            (self.tree / part).mkdir(parents=True)
        self.stubs.mkdir()
        shutil.copy(ROOT / "dev", self.tree / "dev")
        shutil.copy(ROOT / "cmake/Blst.cmake", self.tree / "cmake/Blst.cmake")
        requirements = self.tree / "tests/interop/requirements.txt"
        shutil.copy(ROOT / "tests/interop/requirements.txt", requirements)
        venv = self.tree / ".cache/venv"
        venv.mkdir(parents=True)
        have = subprocess.run(["sha256sum", requirements], capture_output=True, text=True, check=True).stdout.split()[0]
        (venv / ".requirements").write_text(have)
        for name in TOOLS:
            (self.stubs / name).write_text(TOOL)
            (self.stubs / name).chmod(0o755)
        for name in SYSTEM:
            (self.stubs / name).symlink_to(shutil.which(name, path="/usr/bin:/bin"))
        self.set("dpkg-query", says="install ok installed")

    def set(self, tool, says=None, status=None):
        if says is not None:
            (self.stubs / f"{tool}.says").write_text(says)
        if status is not None:
            (self.stubs / f"{tool}.status").write_text(str(status))

    def dev(self, *arguments):
        """Runs it; the calls of its tools are what is new in self.called."""
        self.calls.write_text("")
        done = subprocess.run([self.tree / "dev", *arguments], capture_output=True, text=True, timeout=60, check=False,
                              stdin=subprocess.DEVNULL, env={"PATH": str(self.stubs), "CV_STUBS": str(self.stubs),
                                                             "CV_CALLS": str(self.calls)})
        self.called = self.calls.read_text().splitlines()
        return done

    def with_calls(self, word):
        return [c for c in self.called if c.startswith(word)]

    def test_build(self):
        for arguments, preset in ((("build",), "release"), (("build", "debug"), "debug")):
            with self.subTest(arguments):
                done = self.dev(*arguments)
                self.assertEqual(done.returncode, 0, done.stderr)
                configured, built = self.with_calls("cmake ")
                self.assertEqual(configured, f"cmake --preset {preset}")
                self.assertRegex(built, rf"^cmake --build --preset {preset} -j \d+$")
                self.assertEqual(self.with_calls("apt-get"), [])
        self.set("cmake", status=3)
        self.assertEqual(self.dev("build").returncode, 3)

    def test_configures_once(self):
        (self.tree / "build/release").mkdir(parents=True)
        (self.tree / "build/release/build.ninja").touch()
        self.assertEqual(self.dev("build").returncode, 0)
        self.assertEqual(len(self.with_calls("cmake ")), 1)

    def test_tests(self):
        self.set("npm", status=1) # no network: what interop tests are run against is left out
        done = self.dev("test", "unit/x")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([c.split(" -j")[0] for c in self.with_calls("ctest")],
                         ["ctest --preset asan", "ctest --preset release"])
        self.assertTrue(all(c.endswith("-R unit/x") for c in self.with_calls("ctest")))
        self.assertNotIn("skipped", done.stdout)
        log = self.tree / "build/asan/Testing/Temporary/LastTest.log"
        log.parent.mkdir(parents=True)
        log.write_text("1/2 Testing: system/test_a\nSKIPPED: no kvm here\nSKIPPED: no kvm here\n"
                       "2/2 Testing: unit/test_b\nx\n")
        self.assertIn("\nskipped in the asan build:\n  system/test_a: no kvm here\n", "\n" + self.dev("test").stdout)
        self.set("ctest", status=8)
        self.assertEqual(self.dev("test").returncode, 1)
        self.assertEqual(len(self.with_calls("ctest")), 2)

    @unittest.skipUnless(os.geteuid() == 0, "installing is done as root")
    def test_packages(self):
        self.set("dpkg-query", says="", status=1)
        self.set("apt-get", says="Get:1 a package\n")
        done = self.dev("build")
        self.assertEqual(done.returncode, 0, done.stderr)
        updated, installed = self.with_calls("apt-get")
        self.assertRegex(updated, "update$")
        self.assertRegex(installed, "install -y --no-install-recommends .*cmake")
        self.assertNotIn("Get:1", done.stdout + done.stderr)
        self.assertEqual((self.tree / ".cache/apt.log").read_text(), "Get:1 a package\n" * 2)
        self.set("apt-get", says="E: no such mirror\n", status=100)
        done = self.dev("build")
        self.assertEqual(done.returncode, 1)
        self.assertIn("E: no such mirror", done.stderr)
        self.assertIn("dev: the packages could not be installed", done.stderr)
        self.assertEqual(self.with_calls("cmake"), [])

    def test_packages_without_root(self):
        self.set("dpkg-query", says="", status=1)
        (self.stubs / "id").unlink()
        (self.stubs / "id").write_text("#!/bin/sh\necho 1000\n")
        (self.stubs / "id").chmod(0o755)
        done = self.dev("build")
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"needs root.*apt-get install --no-install-recommends gcc ")
        self.assertEqual(self.with_calls("apt-get"), [])
        (self.stubs / "sudo").write_text('#!/bin/sh\necho "sudo $*" >> "$CV_CALLS"\n')
        (self.stubs / "sudo").chmod(0o755)
        self.assertEqual(self.dev("build").returncode, 0)
        self.assertEqual(len(self.with_calls("sudo env DEBIAN_FRONTEND=noninteractive apt-get")), 2)

    def test_debian_packages(self):
        (self.tree / "build/release").mkdir(parents=True)
        made = self.tree / "build/packages"
        (self.stubs / "cpack").write_text(TOOL.replace(
            "exit", f"mkdir -p {made}/_CPack_Packages && : >{made}/claviger_1_amd64.deb\nexit"))
        done = self.dev("package")
        self.assertEqual((done.returncode, done.stdout), (0, "build/packages/claviger_1_amd64.deb\n"), done.stderr)
        self.assertEqual(self.with_calls("cpack"), [f"cpack -G DEB -B {made}"])
        self.assertEqual([p.name for p in made.iterdir()], ["claviger_1_amd64.deb"])
        asked = " ".join(self.with_calls("dpkg-query"))
        self.assertIn(" file", asked)
        self.assertIn(" dpkg-dev", asked)
        self.set("cpack", says="CPack Error: no space\n", status=1)
        done = self.dev("package")
        self.assertEqual(done.returncode, 1)
        self.assertIn("CPack Error: no space", done.stderr)

    def test_usage(self):
        self.assertIn("usage: ./dev VERB", self.dev("help").stdout)
        self.assertEqual(self.dev("help").returncode, 0)
        done = self.dev("bild")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("there is no verb 'bild'\nusage: ./dev VERB", done.stderr)


if __name__ == "__main__":
    unittest.main()
