# SPDX-License-Identifier: Apache-2.0
"""What an image decides: enclave.yaml, and the image of the signer."""

import json
import os
import pathlib
import stat
import subprocess
import sys
import unittest

from claviger_testing import eif, images
from claviger_testing.image_case import CONFIG, ImageCase
from claviger_testing.process import bin_dir


class Settings(ImageCase):
    YAML = """\
version: 1
environment: [MODE=test, "EXTRA=a\\nb"]
files:
  - path: /etc/app/conf.ini
    content: |
      key=value
    mode: 0400
    owner: app:staff
  - {path: /etc/motd, source: motd.txt}
hostname: app-1
ports: [8080, "443:8443"]
command: [/bin/app, --now]
encryptedConfig:
  - {type: s3, uri: "s3://bucket/app/secrets", allow: [DB_PASSWORD, "APP_*", /run/secret]}
  - type: file
    path: secrets.enc
    allow: {environment: [TOKEN], files: ["/etc/keys/*"]}
untrustedConfig: {envVars: {allow: [LOG_LEVEL]}}
cmk: arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555
region: eu-west-1
context: {app: server, stage: prod}
minimum_version: 7
egress: ["api.example.org:443", {host: db.example.org, port: 5432}]
boot_deadline: 1m30s
allow_debug: false
"""

    def test_everything(self):
        (self.dir / "motd.txt").write_text("hello")
        (self.dir / "enclave.yaml").write_text(self.YAML)
        images.docker_save(self.dir / "d.tar", images.LAYERS, CONFIG)
        image = self.build(self.dir / "d.tar", "--enclave-config-file", self.dir / "enclave.yaml")
        self.assertEqual(self.extra(image, "claviger/boot.conf"), """\
format=1
arg=/bin/app
arg=--now
env=PATH=/bin
env=MODE=test
env=EXTRA=a\\nb
user=app:app
workdir=/srv
hostname=app-1
stop_signal=SIGQUIT
port=8080
port=443:8443
egress=api.example.org:443
egress=db.example.org:5432
source=s3 s3://bucket/app/secrets
allow_env=DB_PASSWORD
allow_env=APP_*
allow_path=/run/secret
source=local secrets.enc
allow_env=TOKEN
allow_path=/etc/keys/*
untrusted_env=LOG_LEVEL
cmk=arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555
region=eu-west-1
context=app=server
context=stage=prod
minimum_version=7
parent_cid=3
boot_deadline_ms=90000
allow_debug=off
minimum_format=2
config_pcr=16
""")
        root = self.root(image)
        conf = root["etc/app/conf.ini"]
        self.assertEqual((conf[0]["mode"], conf[0]["uid"], conf[0]["gid"], conf[1]),
                         (stat.S_IFREG | 0o400, 1000, 50, b"key=value\n"))
        self.assertEqual(root["etc/motd"][1], b"hello")
        before = self.printed
        (self.dir / "enclave.yaml").write_text(self.YAML.replace("minimum_version: 7", "minimum_version: 8"))
        self.build(self.dir / "d.tar", "--enclave-config-file", self.dir / "enclave.yaml")
        self.assertNotEqual(self.printed["PCR0"], before["PCR0"])
        self.assertEqual(self.printed["PCR1"], before["PCR1"])
        self.assertNotEqual(self.printed["PCR2"], before["PCR2"])

    def test_root_certificates(self):
        (self.dir / "motd.txt").write_text("hello")
        (self.dir / "enclave.yaml").write_text(self.YAML)
        images.docker_save(self.dir / "d.tar", images.LAYERS, CONFIG)
        options = ("--enclave-config-file", self.dir / "enclave.yaml")
        self.build(self.dir / "d.tar", *options)
        self.assertIn("no root certificates", self.warnings)
        pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        (self.dir / "ca.pem").write_text(pem)
        image = self.build(self.dir / "d.tar", *options, "--ca-file", self.dir / "ca.pem")
        self.assertNotIn("no root certificates", self.warnings)
        self.assertEqual(self.extra(image, "claviger/ca.pem"), pem)
        (self.dir / "ca.pem").write_text("no certificate")
        (self.dir / "out/x.eif").unlink()
        self.refused(self.dir / "d.tar", "no certificate in PEM", *options, "--ca-file", self.dir / "ca.pem")

    def test_all_problems_at_once(self):
        (self.dir / "enclave.yaml").write_text(
            "version: 2\nenviroment: []\nports: [0]\nboot_deadline: soon\nallow_debug: maybe\n"
            "files:\n  - {path: relative, content: x, mode: 999}\n  - {path: /a, content: x, source: y}\n"
            "encryptedConfig: {type: s3, uri: \"http://x\"}\ncmk: alias/mine\n"
            "publisher_key: nonsense\ncontext: {\"aws:x-amz-cek-alg\": 115}\n")
        done = self.build(str(self.dir), "--enclave-config-file", self.dir / "enclave.yaml", check=False)
        self.assertEqual(done.returncode, 1)
        for line, why in ((1, "version"), (2, "did you mean \"environment\""), (3, "ports"), (4, "duration"),
                          (5, "true or false"), (7, "absolute, plain path"), (7, "octal"), (8, "one of content and source"),
                          (9, "s3://"), (10, "ARN"), (11, "Ed25519"), (12, "not of AWS's own")):
            self.assertTrue(any(f"enclave.yaml:{line}:" in e and why in e for e in done.stderr.splitlines()),
                            f"{line} {why}\n{done.stderr}")

    def test_other_ways_to_write(self):
        (self.dir / "app").mkdir()
        (self.dir / "enclave.yaml").write_text(
            "version: 1.6\ncontext: [app=server, \"x=y=z\"]\negress: [{host: a.example, ports: [80, 443]}]\n"
            "cmk: [arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555]\n"
            "encryptedConfig: {type: s3, uri: \"s3://bucket/k\", allow: {names: [A], paths: [/b]}}\n")
        image = self.build(self.dir / "app", "--enclave-config-file", self.dir / "enclave.yaml", "--", "/x")
        text = self.extra(image, "claviger/boot.conf")
        for line in ("context=app=server", "context=x=y=z", "egress=a.example:80", "egress=a.example:443", "allow_env=A",
                     "allow_path=/b"):
            self.assertIn(line + "\n", text)

    def test_addresses_heartbeat_and_names(self):
        (self.dir / "app").mkdir()
        (self.dir / "enclave.yaml").write_text(
            "version: 1\nenvironment: [discovery.type=single-node, my-app=1]\nheartbeat: required\nminimum_format: 3\n"
            "egress: [\"192.0.2.1:80\", \"[2001:db8::1]:443\", {host: \"2001:db8::2\", ports: [1, 2]}]\n")
        image = self.build(self.dir / "app", "--enclave-config-file", self.dir / "enclave.yaml", "--", "/x")
        text = self.extra(image, "claviger/boot.conf")
        for line in ("egress=192.0.2.1:80", "egress=[2001:db8::1]:443", "egress=[2001:db8::2]:1", "egress=[2001:db8::2]:2",
                     "heartbeat=required", "minimum_format=3", "config_pcr=0", "env=discovery.type=single-node", "env=my-app=1"):
            self.assertIn(line + "\n", text)
        os.unlink(self.dir / "out/x.eif")
        for bad, why in (("egress: [\"2001:db8::1:80\"]", "[IPV6]:PORT"), ("egress: [\"[fe80::1]:80\"]", "[IPV6]:PORT"),
                         ("heartbeat: sometimes", "wanted, required, off"), ("config_pcr: 8", "config_pcr"),
                         ("environment: [\"a b=1\"]", "NAME=value")):
            (self.dir / "enclave.yaml").write_text(f"version: 1\n{bad}\n")
            done = self.build(self.dir / "app", "--enclave-config-file", self.dir / "enclave.yaml", "--", "/x",
                              check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stderr)

    def test_publisher_key(self):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
        for key in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())):
            pem = key.public_key().public_bytes(serialization.Encoding.PEM,
                                                serialization.PublicFormat.SubjectPublicKeyInfo).decode()
            body = "".join(pem.splitlines()[1:-1])
            (self.dir / "pub.pem").write_text(pem)
            for text in ("|\n  " + pem.replace("\n", "\n  "), body, "pub.pem", str(self.dir / "pub.pem")):
                (self.dir / "enclave.yaml").write_text(f"version: 1\npublisher_key: {text}\n")
                (self.dir / "app").mkdir(exist_ok=True)
                image = self.build(self.dir / "app", "--enclave-config-file", self.dir / "enclave.yaml", "--", "/x")
                self.assertIn(f"publisher_key={body}\n", self.extra(image, "claviger/boot.conf"))


class Signer(ImageCase):
    CMK = "arn:aws:kms:eu-west-1:123456789012:key/11111111-2222-3333-4444-555555555555"

    def test_signer(self):
        (self.dir / "program").write_bytes(b"claviger-enclave")
        image = self.build(None, "--signer", "--cmk", self.CMK, "--region", "eu-west-1", "--set", "plain_import=off",
                           "--program", self.dir / "program")
        root = self.root(image)
        self.assertEqual(root["etc/claviger/enclave.conf"][1].decode(),
                         f"cmk_arn={self.CMK}\nregion=eu-west-1\nplain_import=off\n")
        self.assertEqual(root["claviger-enclave"][1], b"claviger-enclave")
        self.assertEqual(self.extra(image, "cmd"), "/claviger-enclave\n")

    def test_recipe(self):
        (self.dir / "program").write_bytes(b"claviger-enclave")
        (self.dir / "bzImage").write_bytes(b"kernel")
        (self.dir / "Image").write_bytes(b"kernel")
        recipe = pathlib.Path(os.environ["CV_SOURCE_DIR"]) / "packaging/signer-image.sh"
        env = dict(os.environ, NITRO_CLI_BLOBS=str(self.dir), CLAVIGER=str(bin_dir() / "claviger"))
        argv = [recipe, "x.eif", self.CMK, "--program", "program", "--init", "init"]
        done = subprocess.run(argv, cwd=self.dir, env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout), json.loads((self.dir / "x.json").read_text()))
        image = eif.parse((self.dir / "x.eif").read_bytes())
        self.assertEqual(json.loads(done.stdout)["Measurements"]["PCR0"],
                         eif.pcrs([s for s in image["sections"] if s[0] <= 3])["PCR0"])
        (self.dir / "init").write_bytes(os.urandom(5 << 20))
        done = subprocess.run(argv, cwd=self.dir, env=env, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("more than 4 MiB", done.stderr)

    def test_a_choice_of_keys_is_needed(self):
        (self.dir / "program").write_bytes(b"x")
        self.refused(None, "--unpinned", "--signer", "--program", self.dir / "program")
        self.refused(None, "", "--signer", "--cmk", "alias/mine", "--program", self.dir / "program")
        self.refused(None, "", "--signer", "--unpinned", "--set", "nonsense=1", "--program", self.dir / "program")

    def test_size_of_the_real_one(self):
        for name in ("claviger-enclave", "claviger-init-small"):
            if not (bin_dir() / name).exists() or (bin_dir() / name).stat().st_size > 12 << 20:
                self.skipTest(f"{name} is not built, or by a sanitizer")
        done = self.run_cli("eif", "build", "--signer", "--unpinned", "--kernel", "kernel", "-o", "x.eif")
        self.assertNotIn("nitro-cli", done.stderr)
        image = eif.parse((self.dir / "x.eif").read_bytes())
        first = {n: c for n, _, c in eif.cpio_entries(image["sections"][3][1])}
        self.assertEqual(first["init"], (bin_dir() / "claviger-init-small").read_bytes())
        size = (self.dir / "x.eif").stat().st_size - (self.dir / "kernel").stat().st_size
        print(f"the signer's image without the kernel: {size} bytes ({size / (1 << 20):.2f} MiB)", flush=True)
        self.assertLessEqual(size, 4 << 20)

    def test_more_than_a_machine_wants_claviger_init(self):
        if not (bin_dir() / "claviger-init").exists():
            self.skipTest("claviger-init is not built")
        (self.dir / "program").write_bytes(b"x")
        (self.dir / "enclave.yaml").write_text("version: 1\nports: [8080]\n")
        self.run_cli("eif", "build", "--signer", "--unpinned", "--program", "program", "--kernel", "kernel",
                     "--enclave-config-file", "enclave.yaml", "-o", "x.eif")
        image = eif.parse((self.dir / "x.eif").read_bytes())
        first = {n: c for n, _, c in eif.cpio_entries(image["sections"][3][1])}
        self.assertEqual(first["init"], (bin_dir() / "claviger-init").read_bytes())


if __name__ == "__main__":
    sys.exit(unittest.main())
