# SPDX-License-Identifier: Apache-2.0
"""claviger secrets: encrypted configurations in files and in S3, under the KMS
stand-in; what is refused, and that no value is ever told."""

import base64
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from claviger_testing import images
from claviger_testing.process import bin_dir, need, skip

need("claviger", "claviger-local")
try:
    from claviger_testing import kms as kms_module
    from claviger_testing.s3 import S3
except ImportError:
    skip("boto3 is not installed")

CLAVIGER = bin_dir() / "claviger"
SECRET = "s3cr3t-value-that-must-not-leak"
YAML = f"""\
environment:
  - DB_PASSWORD={SECRET}
  - "APP_TWO=line\\nbreak"
files:
  - path: /run/app/key.pem
    content: |
      {SECRET}
    mode: 0440
    owner: app:app
  - {{path: /run/app/bin, base64: AAEC/w==}}
"""


class Secrets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = pathlib.Path(tempfile.mkdtemp(prefix="cv-secrets-"))
        cls.kms = kms_module.Kms(cls.top)
        cls.principal = cls.kms.principals()[0]
        boto = kms_module.client(cls.kms, cls.principal)
        cls.boto = boto
        cls.cmk = boto.create_key()["KeyMetadata"]["Arn"]
        cls.other_cmk = boto.create_key()["KeyMetadata"]["Arn"]
        cls.s3 = S3(cls.principal["access_key_id"], cls.principal["secret_access_key"],
                    cls.principal.get("session_token"), cls.kms.region())

    @classmethod
    def tearDownClass(cls):
        cls.s3.stop()
        cls.kms.stop()
        shutil.rmtree(cls.top)

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(dir=self.top))
        (self.dir / "secrets.yaml").write_text(YAML)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "AWS_EC2_METADATA_DISABLED": "true",
                    "AWS_ACCESS_KEY_ID": self.principal["access_key_id"],
                    "AWS_SECRET_ACCESS_KEY": self.principal["secret_access_key"],
                    "AWS_REGION": self.kms.region(), "AWS_ENDPOINT_URL_KMS": self.kms.endpoint,
                    "AWS_ENDPOINT_URL_S3": self.s3.endpoint, "AWS_CA_BUNDLE": str(self.kms.ca)}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def run_cli(self, *argv, check=True):
        done = subprocess.run([CLAVIGER, "secrets", *map(str, argv)], capture_output=True, text=True, timeout=120,
                              cwd=self.dir, env=self.env)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        if argv[0] != "decrypt":
            self.assertNotIn(SECRET, done.stdout + done.stderr)
        return done

    def encrypt(self, *argv, source="secrets.yaml"):
        return self.run_cli("encrypt", "--cmk", self.cmk, *argv, source)

    def refused(self, why, *argv):
        done = self.run_cli(*argv, check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(why, done.stderr)
        self.assertEqual(done.stderr.count("Error: "), 1)

    def unpack(self, name):
        raw = (self.dir / name).read_bytes()
        self.assertEqual(raw[:8], b"CLAVSEC1")
        n = struct.unpack(">I", raw[8:12])[0]
        return json.loads(raw[12:12 + n]), raw[12 + n:]

    def pack(self, name, metadata, body):
        text = json.dumps(metadata).encode()
        (self.dir / name).write_bytes(b"CLAVSEC1" + struct.pack(">I", len(text)) + text + body)

    def test_file_round_trip(self):
        for form in ("3", "2"):
            self.encrypt("-o", "x.enc", "--format", form, "--context", "app=web", "--version", "7")
            self.assertNotIn(SECRET.encode(), (self.dir / "x.enc").read_bytes())
            text = self.run_cli("decrypt", "x.enc").stdout
            self.run_cli("encrypt", "--cmk", self.cmk, "-o", "y.enc", "secrets.yaml")
            (self.dir / "again.yaml").write_text(text)
            self.encrypt("-o", "z.enc", source="again.yaml")
            self.assertEqual(self.run_cli("diff", "x.enc", "z.enc").stdout, "")
            shown = json.loads(self.run_cli("show", "x.enc", "--json").stdout)
            self.assertEqual((shown["format"], shown["version"], shown["signed"]), (int(form), 7, False))
            self.assertEqual(shown["encryption_context"]["app"], "web")
            self.assertEqual(os.stat(self.dir / "x.enc").st_mode & 0o777, 0o644)
        plain = json.loads(self.run_cli("decrypt", "--json", "x.enc").stdout)
        self.assertEqual(plain["environment"], {"DB_PASSWORD": SECRET, "APP_TWO": "line\nbreak"})
        self.assertEqual(plain["files"][1], {"path": "/run/app/key.pem", "mode": "0440", "owner": "app:app",
                                             "base64": base64.b64encode(SECRET.encode() + b"\n").decode()})
        self.run_cli("decrypt", "-o", "plain.yaml", "x.enc")
        self.assertEqual(os.stat(self.dir / "plain.yaml").st_mode & 0o777, 0o600)
        self.assertIn(SECRET, (self.dir / "plain.yaml").read_text())

    def test_decrypted_by_others(self):
        """boto3 and the formats' description open what we wrote."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        import hashlib
        import hmac
        self.encrypt("-o", "x.enc", "--context", "app=web")
        meta, body = self.unpack("x.enc")
        context = json.loads(meta["x-amz-t"])
        self.assertEqual(context, {"app": "web", "aws:x-amz-cek-alg": "115"})
        key = self.boto.decrypt(CiphertextBlob=base64.b64decode(meta["x-amz-3"]), EncryptionContext=context,
                                KeyId=self.cmk)["Plaintext"]
        prk = hmac.new(base64.b64decode(meta["x-amz-i"]), key, hashlib.sha512).digest()
        commit = hmac.new(prk, b"\0\x73COMMITKEY\1", hashlib.sha512).digest()[:28]
        self.assertEqual(commit, base64.b64decode(meta["x-amz-d"]))
        dek = hmac.new(prk, b"\0\x73DERIVEKEY\1", hashlib.sha512).digest()[:32]
        plain = AESGCM(dek).decrypt(b"\1" * 12, body, b"\0\x73")
        self.assertTrue(plain.startswith(b"\x83\x72claviger.secrets.1\x82"))
        self.assertIn(SECRET.encode(), plain)

    def test_s3_round_trip(self):
        for extra in ([], ["--instruction-file"]):
            key = "web/" + ("a b+c" if extra else "plain")
            uri = f"s3://bucket/{key}"
            done = json.loads(self.encrypt("--to", uri, "--version", "1", "--json", *extra).stdout)
            self.assertEqual(done["s3_version_id"], "v1")
            self.encrypt("--to", uri, "--version", "2", *extra)
            metadata, body = self.s3.objects[f"/bucket/{key}"][-1]
            self.assertEqual("x-amz-3" in metadata, not extra)
            self.assertTrue({"x-amz-c", "x-amz-d", "x-amz-i"} <= set(metadata))
            self.assertIn(SECRET, self.run_cli("decrypt", uri).stdout)
            if not extra:
                old = json.loads(self.run_cli("show", "--json", uri + "?versionId=v1").stdout)
                self.assertEqual(old["version"], 1)
            self.run_cli("copy", uri, "back.enc")
            self.assertEqual(self.unpack("back.enc")[1], body)
            self.run_cli("copy", "back.enc", "s3://bucket/copy")
            self.assertEqual(self.run_cli("diff", uri, "s3://bucket/copy").stdout, "")
        self.refused("already", "encrypt", "--cmk", self.cmk, "--to", uri, "--create", "secrets.yaml")
        self.refused("NoSuchKey", "show", "s3://bucket/absent")
        self.refused("not an address", "show", "s3://b/x")

    def test_large_contexts_need_an_instruction_file(self):
        context = [a for i in range(20) for a in ("--context", f"name{i}=" + "v" * 100)]
        self.refused("--instruction-file", "encrypt", "--cmk", self.cmk, "--to", "s3://bucket/big", *context,
                     "secrets.yaml")
        self.encrypt("--to", "s3://bucket/big", "--instruction-file", *context)
        self.assertIn(SECRET, self.run_cli("decrypt", "s3://bucket/big").stdout)

    def test_env_file_and_diff(self):
        (self.dir / "a.env").write_text("A=1\nB=2\n")
        (self.dir / "b.env").write_text("# c\nB=3\nC=4\n")
        self.encrypt("-o", "a.enc", source="a.env")
        self.encrypt("-o", "b.enc", source="b.env")
        self.assertEqual(self.run_cli("diff", "a.enc", "b.enc").stdout, "+ variable C\n- variable A\n~ variable B\n")
        changed = json.loads(self.run_cli("diff", "--json", "a.enc", "b.enc").stdout)
        self.assertEqual(changed, {"added": ["variable C"], "removed": ["variable A"], "changed": ["variable B"]})

    def test_tampering_is_refused(self):
        for form in ("3", "2"):
            self.encrypt("-o", "x.enc", "--format", form, "--context", "app=web")
            meta, body = self.unpack("x.enc")
            self.encrypt("-o", "y.enc", "--format", form, "--context", "app=web")
            other_meta, other_body = self.unpack("y.enc")
            self.pack("t.enc", meta, body[:-1] + bytes([body[-1] ^ 1]))
            self.refused("does not decrypt", "decrypt", "t.enc")
            self.pack("t.enc", meta, other_body)
            self.refused("does not decrypt", "decrypt", "t.enc")
            name = "x-amz-3" if form == "3" else "x-amz-key-v2"
            self.pack("t.enc", dict(meta, **{name: other_meta[name]}), body)
            self.refused("committed" if form == "3" else "does not decrypt", "decrypt", "t.enc")
            name = "x-amz-t" if form == "3" else "x-amz-matdesc"
            self.pack("t.enc", dict(meta, **{name: meta[name].replace("web", "xxx")}), body)
            self.refused("InvalidCiphertextException", "decrypt", "t.enc")
            self.refused("", "decrypt", "--cmk", self.other_cmk, "x.enc")
            (self.dir / "t.enc").write_bytes((self.dir / "x.enc").read_bytes()[:40])
            self.refused("", "show", "t.enc")

    def keys(self):
        for name, argv in (("ed", ["-algorithm", "ed25519"]),
                           ("ec", ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])):
            subprocess.run(["openssl", "genpkey", *argv, "-out", f"{name}.key"], cwd=self.dir, check=True, timeout=60)
            subprocess.run(["openssl", "pkey", "-in", f"{name}.key", "-pubout", "-out", f"{name}.pub"], cwd=self.dir,
                           check=True, timeout=60)
            yield name

    def test_publisher(self):
        names = list(self.keys())
        for name in names:
            self.encrypt("-o", "x.enc", "--sign-with", f"{name}.key", "--version", "3")
            self.run_cli("verify", "--publisher-key", f"{name}.pub", "--minimum-version", "3", "x.enc")
            self.refused("older one", "verify", "--publisher-key", f"{name}.pub", "--minimum-version", "4", "x.enc")
            other = names[1 - names.index(name)]
            self.refused("not the publisher's", "verify", "--publisher-key", f"{other}.pub", "x.enc")
            meta, body = self.unpack("x.enc")
            self.pack("t.enc", meta, body[:-1] + bytes([body[-1] ^ 1]))
            self.refused("not the publisher's", "verify", "--no-decrypt", "--publisher-key", f"{name}.pub", "t.enc")
            del meta["claviger-signature"]
            self.pack("t.enc", meta, body)
            self.refused("not signed", "verify", "--publisher-key", f"{name}.pub", "t.enc")
            self.run_cli("copy", "x.enc", "s3://bucket/signed")
            self.run_cli("verify", "--publisher-key", f"{name}.pub", "s3://bucket/signed")

    def test_verify_against_an_image(self):
        """The settings that are measured decide, read out of the image."""
        (self.dir / "kernel").write_text("kernel")
        (self.dir / "init").write_text("init")
        images.docker_save(self.dir / "app.tar", images.LAYERS, {"Cmd": ["/bin/app"]})
        rules = ("version: 1\nregion: {region}\ncmk: {cmk}\ncontext: {{app: web}}\nminimum_version: 5\n"
                 "encryptedConfig:\n  type: s3\n  uri: s3://bucket/app\n  allow: {allow}\n")
        good = "[DB_PASSWORD, \"APP_*\", \"/run/app/*\"]"

        def image(allow=good, cmk=self.cmk):
            (self.dir / "enclave.yaml").write_text(rules.format(region=self.kms.region(), cmk=cmk, allow=allow))
            subprocess.run([CLAVIGER, "eif", "build", "app.tar", "-o", "app.eif", "--kernel", "kernel", "--init", "init",
                            "--arch", "x86_64", "--compress", "gzip", "--enclave-config-file", "enclave.yaml"],
                           cwd=self.dir, check=True, capture_output=True, timeout=60)

        image()
        self.encrypt("--to", "s3://bucket/app", "--context", "app=web", "--version", "5")
        for how in (["--eif", "app.eif"], ["--enclave-config-file", "enclave.yaml"]):
            done = json.loads(self.run_cli("verify", "--json", *how, "s3://bucket/app").stdout)
            self.assertEqual((done["version"], done["variables"], done["files"], done["key_arn"]),
                             (5, 2, 2, self.cmk))
        image(allow="[DB_PASSWORD, \"/run/app/*\"]")
        self.refused("the variable APP_TWO", "verify", "--eif", "app.eif", "s3://bucket/app")
        image(allow="[DB_PASSWORD, \"APP_*\", /run/app/bin]")
        self.refused("the file /run/app/key.pem", "verify", "--eif", "app.eif", "s3://bucket/app")
        image(cmk=self.other_cmk)
        self.refused("", "verify", "--eif", "app.eif", "s3://bucket/app")
        image()
        self.encrypt("--to", "s3://bucket/app", "--context", "app=web", "--version", "4")
        self.refused("an older one", "verify", "--eif", "app.eif", "s3://bucket/app")
        self.encrypt("--to", "s3://bucket/app", "--context", "app=other", "--version", "5")
        self.refused("has not \"app=web\"", "verify", "--eif", "app.eif", "s3://bucket/app")
        self.encrypt("--to", "s3://bucket/app", "--context", "app=web", "--context", "x=y", "--version", "5")
        self.refused("not expected", "verify", "--eif", "app.eif", "s3://bucket/app")

    def test_encrypt_for_an_enclave(self):
        """Key and context come from the enclave's settings; what it would refuse is not written."""
        rules = ("version: 1\nregion: {region}\ncmk: {cmk}\ncontext: {{app: web}}\nminimum_version: 5\n{more}"
                 "encryptedConfig:\n  type: file\n  path: app\n  allow: {allow}\n")
        good = "[DB_PASSWORD, \"APP_*\", \"/run/app/*\"]"
        enclave = ("--enclave-config-file", "enclave.yaml")

        def settings(allow=good, cmk=self.cmk, more=""):
            (self.dir / "enclave.yaml").write_text(rules.format(region=self.kms.region(), cmk=cmk, allow=allow, more=more))

        settings()
        self.run_cli("encrypt", *enclave, "--version", "5", "-o", "x.enc", "secrets.yaml")
        shown = json.loads(self.run_cli("show", "--json", "x.enc").stdout)
        self.assertEqual((shown["version"], shown["encryption_context"]["app"]), (5, "web"))
        self.run_cli("verify", *enclave, "x.enc")
        for argv, why in ((("--version", "4"), "an older one"), ((), "at least 5"),
                          (("--version", "5", "--context", "app=other"), "has not \"app=web\""),
                          (("--version", "5", "--cmk", self.other_cmk), "which the enclave's settings do not list")):
            self.refused(why, "encrypt", *enclave, *argv, "-o", "bad.enc", "secrets.yaml")
        settings(more="minimum_format: 3\n")
        self.refused("has format 2", "encrypt", *enclave, "--version", "5", "--format", "2", "-o", "bad.enc", "secrets.yaml")
        settings(allow="[DB_PASSWORD, \"/run/app/*\"]")
        self.refused("the variable APP_TWO", "encrypt", *enclave, "--version", "5", "-o", "bad.enc", "secrets.yaml")
        settings(cmk=f"[{self.cmk}, {self.other_cmk}]")
        self.refused("takes 2 keys", "encrypt", *enclave, "--version", "5", "-o", "bad.enc", "secrets.yaml")
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.dir / "p.pem"], check=True)
        subprocess.run(["openssl", "pkey", "-in", self.dir / "p.pem", "-pubout", "-out", self.dir / "pub.pem"], check=True)
        settings(more="publisher_key: pub.pem\n")
        self.refused("not signed", "encrypt", *enclave, "--version", "5", "-o", "bad.enc", "secrets.yaml")
        self.run_cli("encrypt", *enclave, "--version", "5", "--sign-with", "p.pem", "-o", "y.enc", "secrets.yaml")
        self.run_cli("verify", *enclave, "y.enc")
        self.assertFalse((self.dir / "bad.enc").exists())

    def test_verify_where_the_key_is_the_enclaves_alone(self):
        key = self.boto.create_key()["KeyMetadata"]["Arn"]
        self.run_cli("encrypt", "--cmk", key, "-o", "x.enc", "secrets.yaml")
        policy = json.loads(self.boto.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
        policy["Statement"].append({"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*"})
        self.boto.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(policy))
        self.refused("--no-decrypt", "verify", "x.enc")
        self.run_cli("verify", "--no-decrypt", "x.enc")

    def test_bad_input(self):
        (self.dir / "bad.yaml").write_text(f"enviroment: [A={SECRET}]\nfiles:\n  - {{path: x, content: {SECRET}}}\n")
        done = self.run_cli("encrypt", "--cmk", self.cmk, "-o", "x.enc", "bad.yaml", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("bad.yaml:1:1: unknown key", done.stderr)
        self.assertIn("bad.yaml:3:", done.stderr)
        self.assertFalse((self.dir / "x.enc").exists())
        self.refused("reserved", "encrypt", "--cmk", self.cmk, "-o", "x.enc", "--context", "aws:x=y", "secrets.yaml")
        self.refused("no number", "encrypt", "--cmk", self.cmk, "-o", "x.enc", "--version", "0", "secrets.yaml")
        self.refused("NotFoundException", "encrypt", "--cmk", self.cmk[:-4] + "0000", "-o", "x.enc", "secrets.yaml")
        self.assertFalse((self.dir / "x.enc").exists())
        for argv in (["encrypt", "secrets.yaml"], ["encrypt", "--cmk", "x", "-o", "s3://bucket/x", "secrets.yaml"],
                     ["show"], ["diff", "x"], ["verify", "--eif", "a", "--enclave-config-file", "b", "c"]):
            self.assertEqual(self.run_cli(*argv, check=False).returncode, 2, argv)


if __name__ == "__main__":
    sys.exit(unittest.main())
