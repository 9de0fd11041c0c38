# SPDX-License-Identifier: Apache-2.0
"""Encrypted configurations in both directions with the official Amazon S3
Encryption Clients for Python and for Java, over the KMS stand-in and a small S3.

The first wants a newer boto3 than Debian's, so it lives in a Python of its own:
.cache/s3ec, or the one in CV_S3EC_PYTHON. The second is in .cache/s3ec-java/lib,
or in the folder CV_S3EC_JAVA. `./dev deps` gets both."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

from claviger_testing.process import Program, bin_dir, need, skip

need("claviger", "claviger-local")
PYTHON = os.environ.get("CV_S3EC_PYTHON", os.path.join(os.environ["CV_SOURCE_DIR"], ".cache/s3ec/bin/python3"))
try:
    from claviger_testing import kms as kms_module
    from claviger_testing.s3 import S3
except ImportError:
    skip("boto3 is not installed")
JAVA_LIB = pathlib.Path(os.environ.get("CV_S3EC_JAVA", os.path.join(os.environ["CV_SOURCE_DIR"], ".cache/s3ec-java"))) / "lib"
HAVE_PYTHON = os.path.exists(PYTHON) and subprocess.run([PYTHON, "-c", "import s3_encryption"], capture_output=True,
                                                        timeout=60, check=False).returncode == 0
HAVE_JAVA = all(shutil.which(tool) for tool in ("java", "javac", "keytool")) and any(JAVA_LIB.glob("*encryption*.jar"))
if not HAVE_PYTHON and not HAVE_JAVA:
    skip("no Amazon S3 Encryption Client is installed")

CLIENT = pathlib.Path(__file__).parent / "s3ec_client.py"
YAML = "environment: [\"PASSWORD=x y\\n\\u20ac\"]\nfiles: [{path: /run/k, base64: AAEC/w==}]\n"


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cv-s3ec-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.kms = kms_module.Kms(self.dir)
        self.addCleanup(self.kms.stop)
        who = self.kms.principals()[0]
        self.cmk = kms_module.client(self.kms, who).create_key()["KeyMetadata"]["Arn"]
        self.s3 = S3(who["access_key_id"], who["secret_access_key"], who.get("session_token"), self.kms.region())
        self.addCleanup(self.s3.stop)
        self.who = who
        self.env = dict(os.environ, HOME=str(self.dir), AWS_EC2_METADATA_DISABLED="true",
                        AWS_ACCESS_KEY_ID=who["access_key_id"], AWS_SECRET_ACCESS_KEY=who["secret_access_key"],
                        AWS_REGION=self.kms.region(), AWS_ENDPOINT_URL_KMS=self.kms.endpoint,
                        AWS_ENDPOINT_URL_S3=self.s3.endpoint, AWS_CA_BUNDLE=str(self.kms.ca))
        (self.dir / "s.yaml").write_text(YAML)

    def claviger(self, *argv, text=True):
        done = subprocess.run([bin_dir() / "claviger", "secrets", *argv], cwd=self.dir, env=self.env, capture_output=True,
                              text=text, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def both_ways(self):
        for form in (3, 2):
            for extra in ([], ["--instruction-file"]):
                key = f"ours-{form}{len(extra)}"
                self.claviger("encrypt", "--cmk", self.cmk, "--to", f"s3://bucket/{key}", "--format", str(form),
                              "--context", "app=web", "--version", "7", *extra, "s.yaml")
                context = {"app": "web", "claviger:version": "7"}
                plain = self.official(form, "get", key, context)
                self.assertTrue(plain.startswith(b"\x83\x72claviger.secrets.1"))
                wrong = self.official(form, "get", key, {"app": "other", "claviger:version": "7"}, check=False)
                self.assertNotEqual(wrong.returncode, 0)
            theirs = f"theirs-{form}"
            self.official(form, "put", theirs, context, plain)
            self.assertEqual(self.claviger("diff", f"s3://bucket/{key}", f"s3://bucket/{theirs}"), "")
            self.official(form, "put", "other", context, b"any\0content\n\xff")
            self.assertEqual(self.claviger("decrypt", "--raw", "s3://bucket/other", text=False), b"any\0content\n\xff")
            shown = json.loads(self.claviger("show", "--json", f"s3://bucket/{theirs}"))
            self.assertEqual((shown["format"], shown["version"]), (form, 7))
            # A copy elsewhere is measured as the object is.
            self.claviger("copy", f"s3://bucket/{theirs}", "copied.enc")
            self.assertEqual(self.claviger("pcr", "copied.enc"), self.claviger("pcr", f"s3://bucket/{theirs}"))
            self.claviger("verify", "--context", "app=web", "--minimum-version", "7", f"s3://bucket/{theirs}")


@unittest.skipUnless(HAVE_PYTHON, "the client for Python is not installed")
class Python(Case):
    def official(self, form, do, key, context, body=b"", check=True):
        ask = {"region": self.kms.region(), "key_id": self.who["access_key_id"], "format": form, "do": do,
               "secret": self.who["secret_access_key"], "kms": self.kms.endpoint, "ca": str(self.kms.ca),
               "s3": self.s3.endpoint, "cmk": self.cmk, "bucket": "bucket", "key": key, "context": context,
               "body": base64.b64encode(body).decode()}
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "AWS_CA_BUNDLE")}
        done = subprocess.run([PYTHON, CLIENT], input=json.dumps(ask), env=env, capture_output=True, text=True,
                              timeout=60)
        if not check:
            return done
        self.assertEqual(done.returncode, 0, done.stderr)
        return base64.b64decode(json.loads(done.stdout).get("body", ""))

    def test_both_ways(self):
        self.both_ways()


@unittest.skipUnless(HAVE_JAVA, "the client for Java is not installed")
class Java(Case):
    def setUp(self):
        super().setUp()
        (self.dir / "s3/bucket").mkdir(parents=True)
        server = Program([bin_dir() / "claviger-local", "s3", "--state", self.kms.state, "--ca", self.kms.ca, "--dir",
                          self.dir / "s3"], self.dir / "s3.log")
        self.addCleanup(server.stop)
        while not (line := server.out_path.read_text()).startswith("ready "):
            self.assertTrue(server.alive(), server.tail())
            time.sleep(0.02)
        port = line.strip().rpartition(":")[2]
        self.s3_endpoint = self.env["AWS_ENDPOINT_URL_S3"] = f"https://127.0.0.1:{port}"
        subprocess.run(["keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", self.kms.ca, "-keystore",
                        self.dir / "trust.p12", "-storetype", "PKCS12", "-storepass", "changeit"], check=True,
                       capture_output=True, timeout=60)
        subprocess.run(["javac", "-cp", f"{JAVA_LIB}/*", "-d", self.dir / "classes",
                        pathlib.Path(__file__).parent / "s3ec-java/Client.java"], check=True, capture_output=True,
                       timeout=120)

        self.java = subprocess.Popen(
            ["java", "-cp", f"{self.dir}/classes:{JAVA_LIB}/*", f"-Djavax.net.ssl.trustStore={self.dir}/trust.p12",
             "-Djavax.net.ssl.trustStorePassword=changeit", "Client", self.kms.region(), self.kms.endpoint,
             self.s3_endpoint, self.cmk, "bucket"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.env, text=True,
            stderr=subprocess.DEVNULL)
        self.addCleanup(self.end_java)

    def end_java(self):
        self.java.kill()
        self.java.communicate(timeout=30)

    def official(self, form, do, key, context, body=b"", check=True, instruction=False):
        self.java.stdin.write("\t".join([do, str(form), key, "yes" if instruction else "no",
                                         ",".join(f"{k}={v}" for k, v in context.items()),
                                         base64.b64encode(body).decode()]) + "\n")
        self.java.stdin.flush()
        line = self.java.stdout.readline().rstrip("\n")
        if not check:
            return subprocess.CompletedProcess([], 1 if line.startswith("refused") else 0)
        self.assertFalse(line.startswith("refused"), line)
        return base64.b64decode(line)

    def test_both_ways(self):
        self.both_ways()

    def test_instruction_files(self):
        self.claviger("encrypt", "--cmk", self.cmk, "--to", "s3://bucket/ours", "--context", "app=web", "s.yaml")
        plain = self.official(3, "get", "ours", {"app": "web"})
        for form in (3, 2):
            self.official(form, "put", f"theirs-{form}", {"app": "web"}, plain, instruction=True)
            self.assertEqual(self.claviger("diff", "s3://bucket/ours", f"s3://bucket/theirs-{form}"), "")
            self.claviger("copy", f"s3://bucket/theirs-{form}", "local.enc")
            self.assertEqual(self.claviger("diff", "s3://bucket/ours", "local.enc"), "")


if __name__ == "__main__":
    sys.exit(unittest.main())
