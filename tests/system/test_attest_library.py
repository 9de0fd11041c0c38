# SPDX-License-Identifier: Apache-2.0
"""libclaviger-attest as others use it: pkg-config, shared and static, exported symbols."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from claviger_testing.process import run, skip

BUILD = pathlib.Path(os.environ["CV_BUILD_DIR"])
SOURCE = pathlib.Path(os.environ["CV_SOURCE_DIR"])
VECTORS = pathlib.Path(os.environ["CV_VECTORS"]) / "attestation"
LIB = BUILD / "lib"
EXAMPLE = SOURCE / "docs/examples/attest_verify.c"
# Registers of the documents, as their README says: digests of short texts.
PCR0 = __import__("json").loads((VECTORS / "expected.json").read_text())["definite-nulls.cbor"]["pcrs"]["0"]


class Library(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = pathlib.Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.tmp)
        run(["cmake", "--install", BUILD, "--prefix", cls.tmp / "usr", "--component", "attest"])
        pc = next(cls.tmp.rglob("claviger-attest.pc"))
        cls.libdir = pc.parent.parent
        cls.env = dict(os.environ, PKG_CONFIG_PATH=str(pc.parent))
        # The file names the prefix of the configuration; the test installs elsewhere.
        cls.pkg_config = ["pkg-config", f"--define-variable=prefix={cls.tmp / 'usr'}"]

    def flags(self, *options):
        return run([*self.pkg_config, *options, "claviger-attest"], env=self.env).stdout.split()

    def build(self, name, *flags):
        out = self.tmp / name
        run(["cc", "-Wall", "-Wextra", "-Werror", EXAMPLE, "-o", out, *flags])
        return out

    def check(self, program, env=None):
        good = run([program, VECTORS / "definite-nulls.cbor", PCR0, VECTORS / "root.pem"], env=env)
        self.assertEqual(good.stdout, "genuine: i-0123456789abcdef0-enc0123456789abcdef\n")
        for arguments, code in [
                ([VECTORS / "definite-nulls.cbor", PCR0], "untrusted_root"),
                ([VECTORS / "definite-nulls.cbor", "11" * 48, VECTORS / "root.pem"], "pcr_mismatch"),
                ([VECTORS / "debug.cbor", PCR0, VECTORS / "root.pem"], "debug_mode")]:
            bad = run([program, *arguments], env=env, check=False)
            self.assertEqual(bad.returncode, 1)
            self.assertIn(f"refused ({code})", bad.stderr)

    def test_shared(self):
        program = self.build("shared", *self.flags("--cflags", "--libs"))
        self.check(program, dict(os.environ, LD_LIBRARY_PATH=str(self.libdir)))

    def test_static(self):
        flags = [f for f in self.flags("--static", "--cflags", "--libs")]
        archive = self.libdir / "libclaviger-attest.a"
        program = self.build("static", *[str(archive) if f == "-lclaviger-attest" else f for f in flags])
        needed = run(["readelf", "-d", program]).stdout
        self.assertNotIn("claviger", needed)
        self.check(program)

    def test_exported_symbols(self):
        wanted = sorted((SOURCE / "src/attest/exported.txt").read_text().split())
        shared = run(["nm", "-D", "--defined-only", "--format=posix", LIB / "libclaviger-attest.so"]).stdout
        names = sorted(line.split("@")[0].split()[0] for line in shared.splitlines() if " A " not in line)
        self.assertEqual(names, wanted)
        static = run(["nm", "-g", "--defined-only", "--format=posix", LIB / "libclaviger-attest.a"]).stdout
        self.assertEqual(sorted(line.split()[0] for line in static.splitlines() if " T " in line), wanted)
        header = (SOURCE / "include/claviger/attest.h").read_text()
        for name in wanted:
            self.assertIn(f"{name}(", header)

    def test_depends_on_libcrypto_alone(self):
        needed = run(["readelf", "-d", LIB / "libclaviger-attest.so"]).stdout
        libraries = [line.split("[")[1].rstrip("]") for line in needed.splitlines() if "(NEEDED)" in line]
        self.assertEqual([lib for lib in libraries if not lib.startswith(("libcrypto", "libc."))], [])

    def test_header_from_cpp(self):
        if shutil.which("c++") is None:
            self.skipTest("no C++ compiler")
        source = self.tmp / "x.cc"
        source.write_text("#include <claviger/attest.h>\nint main() { return cv_attest_version()[0] == 0; }\n")
        subprocess.run(["c++", "-Wall", "-Werror", str(source), "-o", str(self.tmp / "xx"),
                        *self.flags("--cflags", "--libs")], check=True, timeout=60)


if __name__ == "__main__":
    if not (LIB / "libclaviger-attest.so").exists():
        skip("libclaviger-attest is not built (sanitizers leave it out)")
    if shutil.which("cc") is None or shutil.which("pkg-config") is None:
        skip("no cc or pkg-config")
    unittest.main()
