# SPDX-License-Identifier: Apache-2.0
"""Enclave images read, verified, signed: against known answers, a reader that
shares nothing with Claviger, and OpenSSL."""

import json
import subprocess
import sys
import unittest

from claviger_testing import eif
from claviger_testing.image_case import ImageCase, SHARED, VECTORS


class Reading(ImageCase):
    def test_known_answers(self):
        answers = json.loads((VECTORS / "eif/answers.json").read_text())
        for name, want in answers.items():
            path = VECTORS / f"eif/{name}.eif"
            got = json.loads(self.run_cli("--json", "eif", "describe", path).stdout)
            for pcr in ("PCR0", "PCR1", "PCR2", "PCR8"):
                self.assertEqual(got["Measurements"].get(pcr), want[pcr], f"{name} {pcr}")
            self.assertEqual(got["Measurements"]["HashAlgorithm"], "Sha384 { ... }")
            self.assertEqual(got["EifVersion"], want["version"])
            self.assertEqual(got["IsSigned"], want["PCR8"] is not None)
            self.assertTrue(got["CheckCRC"])
            if got["IsSigned"]:
                self.assertEqual(got["SignatureCheck"], want["valid"])
            self.assertEqual(self.run_cli("eif", "verify", path, check=False).returncode, 0 if want["valid"] else 1)
            self.assertEqual(self.run_cli("eif", "pcr", path, check=False).returncode, 0 if want["valid"] else 1)

    def test_made_by_awss_own_library(self):
        """Images that aws-nitro-enclaves-image-format 0.5.0 has built and signed, and what its reader says of
        them (tests/vectors/eif/aws-tool)."""
        answers = json.loads((VECTORS / "eif/aws-answers.json").read_text())
        self.assertEqual(len(answers), 9)
        for name, want in answers.items():
            path = VECTORS / f"eif/{name}.eif"
            if name == "aws-signed-again":
                # Its sign-eif leaves the old size of a signature in the header's table; QEMU refuses that too.
                self.assertIn("header's table says", self.run_cli("eif", "describe", path, check=False).stderr)
                continue
            got = json.loads(self.run_cli("--json", "eif", "describe", path).stdout)
            for key in ("EifVersion", "Measurements", "IsSigned", "CheckCRC", "SignatureCheck", "SigningCertificate"):
                self.assertEqual(got.get(key), want.get(key), f"{name} {key}")
            meta = want["Metadata"]
            self.assertEqual((got["ImageName"], got["ImageVersion"]), (meta["ImageName"], meta["ImageVersion"]))
            flat = {**meta["BuildMetadata"], "DockerInfo": meta["DockerInfo"], **(meta["CustomMetadata"] or {})}
            self.assertEqual(got["Metadata"], flat, name)
            self.run_cli("eif", "verify", path)
            raw = path.read_bytes()
            image = eif.parse(raw)
            self.assertEqual(eif.build(image["sections"], flags=image["flags"]), raw, name)

    def test_shared_known_answers_both_ways(self):
        if not SHARED.exists():
            self.skipTest("no shared vectors")
        for name in ("eif-kat.bin", "eif-kat-signed.bin"):
            raw = (SHARED / name).read_bytes()
            image = eif.parse(raw)
            self.assertEqual(eif.build(image["sections"]), raw)
            got = json.loads(self.run_cli("--json", "eif", "describe", SHARED / name, "--time",
                                          "2025-01-01T00:00:00Z").stdout)
            for pcr, value in eif.pcrs([s for s in image["sections"] if s[0] <= 3]).items():
                self.assertEqual(got["Measurements"][pcr], value)
            parts = self.dir / name
            done = json.loads(self.run_cli("--json", "eif", "extract", "-d", parts, SHARED / name).stdout)
            self.assertEqual(sorted(done["Files"]), sorted(p.name for p in parts.iterdir()))
            self.assertEqual((parts / "kernel").read_bytes(), b"KERNEL-BYTES")
            self.assertEqual((parts / "ramdisk1.cpio").read_bytes(), b"RAMDISK-ONE")

    def test_verify_expectations(self):
        good = VECTORS / "eif/signed-secp384r1.eif"
        plain = VECTORS / "eif/plain.eif"
        answers = json.loads((VECTORS / "eif/answers.json").read_text())["signed-secp384r1"]
        self.run_cli("eif", "verify", "--require-signature", "--pcr", "0=" + answers["PCR0"], "--pcr",
                     "8=" + answers["PCR8"].upper(), good)
        self.assertEqual(self.run_cli("eif", "verify", "--require-signature", plain, check=False).returncode, 1)
        self.assertEqual(self.run_cli("eif", "verify", "--pcr", "0=" + "00" * 48, good, check=False).returncode, 1)
        self.assertEqual(self.run_cli("eif", "verify", "--pcr", "8=" + answers["PCR8"], plain,
                                      check=False).returncode, 1)
        pcrs = self.dir / "pcrs.json"
        pcrs.write_text(self.run_cli("--json", "eif", "pcr", good).stdout)
        self.run_cli("eif", "verify", "--pcrs", pcrs, good)
        self.assertEqual(self.run_cli("eif", "verify", "--pcrs", pcrs, plain, check=False).returncode, 1)
        self.assertEqual(self.run_cli("eif", "verify", "--time", "2119-12-31T23:59:59Z", good,
                                      check=False).returncode, 0)
        self.assertEqual(self.run_cli("eif", "verify", "--time", "2120-01-01T00:00:01Z", good,
                                      check=False).returncode, 1)

    def test_damaged(self):
        raw = bytearray((VECTORS / "eif/plain.eif").read_bytes())
        raw[560] ^= 1
        bad = self.dir / "bad.eif"
        bad.write_bytes(raw)
        self.assertFalse(json.loads(self.run_cli("--json", "eif", "describe", bad).stdout)["CheckCRC"])
        for command in ("verify", "pcr"):
            done = self.run_cli("eif", command, bad, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("damaged", done.stderr)

    def test_texts_do_not_steer_the_terminal(self):
        meta = json.dumps({"ImageName": "a\u001b[31mred\u009b", "ImageVersion": "v\n2", "BuildMetadata": {},
                           "DockerInfo": None, "CustomMetadata": None}).encode()
        (self.dir / "x.eif").write_bytes(eif.build([(eif.KERNEL, b"k"), (eif.CMDLINE, b"c"), (eif.METADATA, meta),
                                                    (eif.RAMDISK, b"r")]))
        shown = self.run_cli("eif", "describe", "x.eif").stdout
        self.assertFalse(any(c < " " and c != "\n" or "\x7f" <= c <= "\x9f" for c in shown), shown)
        self.assertEqual(shown.split("\n")[0][:15], "image          ")

    def test_pcr_of_files(self):
        (self.dir / "f").write_bytes(b"content")
        self.assertEqual(json.loads(self.run_cli("--json", "eif", "pcr", "--input", "f").stdout),
                         {"PCR": eif.extend(b"content")})


class Signing(ImageCase):
    def certificate(self, curve, name="signer"):
        key, cert = self.dir / f"{name}.key", self.dir / f"{name}.pem"
        subprocess.run(["openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", key], check=True,
                       timeout=60)
        subprocess.run(["openssl", "req", "-new", "-x509", "-key", key, "-subj", f"/CN={name}", "-days", "30", "-out",
                        cert], check=True, timeout=60, capture_output=True)
        return key, cert

    def check(self, path):
        image = eif.parse(path.read_bytes())
        self.assertEqual(image["sections"][-1][0], eif.SIGNATURE)
        self.assertEqual([t for t, _ in image["sections"]].count(eif.SIGNATURE), 1)
        pcr0 = eif.pcrs([s for s in image["sections"] if s[0] <= 3])["PCR0"]
        return eif.verify(image["sections"][-1][1], pcr0)

    def test_build_sign_and_sign_again(self):
        (self.dir / "app").mkdir()
        for curve in ("prime256v1", "secp384r1", "secp521r1"):
            key, cert = self.certificate(curve)
            self.build(self.dir / "app", "--signing-certificate", cert, "--private-key", key, "--", "/x")
            self.assertEqual(self.check(self.dir / "out/x.eif"), self.printed["PCR8"])
            again, pem = self.certificate("secp384r1", "a certificate with another and longer name")
            done = self.run_cli("--json", "eif", "sign", "--signing-certificate", pem, "--private-key", again,
                                "out/x.eif")
            printed = json.loads(done.stdout)["Measurements"]
            self.assertEqual(printed["PCR0"], self.printed["PCR0"])
            self.assertEqual(self.check(self.dir / "out/x.eif"), printed["PCR8"])
            self.assertNotEqual(printed["PCR8"], self.printed["PCR8"])
            self.run_cli("eif", "verify", "--require-signature", "--signing-certificate", pem, "out/x.eif")
            wrong = self.run_cli("eif", "verify", "--signing-certificate", cert, "out/x.eif", check=False)
            self.assertEqual(wrong.returncode, 1)

    def test_offline(self):
        for curve, digest in (("prime256v1", "-sha256"), ("secp384r1", "-sha384"), ("secp521r1", "-sha512")):
            key, cert = self.certificate(curve)
            self.run_cli("eif", "sign", "--signing-certificate", cert, "--to-be-signed", "tbs",
                         VECTORS / "eif/plain.eif")
            subprocess.run(["openssl", "dgst", digest, "-sign", key, "-out", "sig", "tbs"], cwd=self.dir, check=True,
                           timeout=60)
            self.run_cli("eif", "sign", "--signing-certificate", cert, "--attach", "sig", "-o", "signed.eif",
                         VECTORS / "eif/plain.eif")
            self.check(self.dir / "signed.eif")
            section = eif.parse((self.dir / "signed.eif").read_bytes())["sections"][-1][1]
            (self.dir / "section").write_bytes(section)
            self.run_cli("eif", "sign", "--attach", "section", "-o", "again.eif", VECTORS / "eif/plain.eif")
            self.assertEqual((self.dir / "again.eif").read_bytes(), (self.dir / "signed.eif").read_bytes())
            self.assertEqual(self.run_cli("eif", "sign", "--attach", "section", "-o", "bad.eif",
                                          VECTORS / "eif/one-ramdisk.eif", check=False).returncode, 1)
            self.assertEqual(self.run_cli("eif", "sign", "--attach", "sig", "-o", "bad.eif", VECTORS / "eif/plain.eif",
                                          check=False).returncode, 1)
            raw = bytearray((self.dir / "sig").read_bytes())
            raw[-1] ^= 1
            (self.dir / "sig").write_bytes(raw)
            done = self.run_cli("eif", "sign", "--signing-certificate", cert, "--attach", "sig", "-o", "bad.eif",
                                VECTORS / "eif/plain.eif", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertFalse((self.dir / "bad.eif").exists())

    def test_refusals(self):
        key, cert = self.certificate("secp384r1")
        other, _ = self.certificate("secp384r1", "other")
        done = self.run_cli("eif", "sign", "--signing-certificate", cert, "--private-key", other, "-o", "x.eif",
                            VECTORS / "eif/plain.eif", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is not that of the certificate", done.stderr)
        subprocess.run(["openssl", "genrsa", "-out", "rsa.key", "2048"], cwd=self.dir, check=True, timeout=60,
                       capture_output=True)
        subprocess.run(["openssl", "req", "-new", "-x509", "-key", "rsa.key", "-subj", "/CN=r", "-out", "rsa.pem"],
                       cwd=self.dir, check=True, timeout=60, capture_output=True)
        done = self.run_cli("eif", "sign", "--signing-certificate", "rsa.pem", "--private-key", "rsa.key", "-o",
                            "x.eif", VECTORS / "eif/plain.eif", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertFalse((self.dir / "x.eif").exists())

if __name__ == "__main__":
    sys.exit(unittest.main())
