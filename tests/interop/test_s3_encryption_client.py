# SPDX-License-Identifier: Apache-2.0
"""Encrypted configurations in both directions with the official Amazon S3
Encryption Client for Python, over the KMS stand-in and a small S3.

The client wants a newer boto3 than Debian's, so it lives in a Python of its
own: .cache/s3ec (python3 -m venv .cache/s3ec; .cache/s3ec/bin/pip install
amazon-s3-encryption-client-python==4.0.0), or the one in CV_S3EC_PYTHON."""

import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from claviger_testing.process import bin_dir, need, skip

need("claviger", "claviger-local")
PYTHON = os.environ.get("CV_S3EC_PYTHON", os.path.join(os.environ["CV_SOURCE_DIR"], ".cache/s3ec/bin/python3"))
try:
    from claviger_testing import kms as kms_module
    from claviger_testing.s3 import S3
except ImportError:
    skip("boto3 is not installed")
if not os.path.exists(PYTHON) or subprocess.run([PYTHON, "-c", "import s3_encryption"], capture_output=True,
                                                timeout=60).returncode != 0:
    skip("the Amazon S3 Encryption Client is not installed")

CLIENT = pathlib.Path(__file__).parent / "s3ec_client.py"
YAML = "environment: [\"PASSWORD=x y\\n\\u20ac\"]\nfiles: [{path: /run/k, base64: AAEC/w==}]\n"


class Official(unittest.TestCase):
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

    def claviger(self, *argv):
        done = subprocess.run([bin_dir() / "claviger", "secrets", *argv], cwd=self.dir, env=self.env, capture_output=True,
                              text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

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
            shown = json.loads(self.claviger("show", "--json", f"s3://bucket/{theirs}"))
            self.assertEqual((shown["format"], shown["version"]), (form, 7))
            self.claviger("verify", "--context", "app=web", "--minimum-version", "7", f"s3://bucket/{theirs}")


if __name__ == "__main__":
    sys.exit(unittest.main())
