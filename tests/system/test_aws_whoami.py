# SPDX-License-Identifier: Apache-2.0
"""claviger aws whoami against an STS that checks signatures with botocore."""
import http.server
import json
import os
import pathlib
import shutil
import tempfile
import threading
import unittest

from claviger_testing import process

process.need("claviger")
try:
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials
except ImportError:
    process.skip("botocore is not installed")

CLAVIGER = process.bin_dir() / "claviger"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
IDENTITY = """<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/Alice</Arn><UserId>AIDAEXAMPLE</UserId>
  <Account>111122223333</Account></GetCallerIdentityResult>
  <ResponseMetadata><RequestId>r-1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"""
MISMATCH = "<ErrorResponse><Error><Type>Sender</Type><Code>SignatureDoesNotMatch</Code><Message>no</Message></Error></ErrorResponse>"


class STS(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        good = body == b"Action=GetCallerIdentity&Version=2011-06-15" and self.signed(body)
        reply = (IDENTITY if good else MISMATCH).encode()
        self.send_response(200 if good else 403)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def signed(self, body):
        given = self.headers["Authorization"]
        names = given.split("SignedHeaders=")[1].split(",")[0].split(";")
        request = botocore.awsrequest.AWSRequest(
            method="POST", url="http://%s/" % self.headers["Host"], data=body, headers={n: self.headers[n] for n in names})
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials("AKIDEXAMPLE", SECRET), "sts", "eu-west-1")
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return given.endswith("Signature=" + signer.signature(text, request))


class WhoAmI(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cv-whoami-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.sts = http.server.ThreadingHTTPServer(("127.0.0.1", 0), STS)
        threading.Thread(target=self.sts.serve_forever, daemon=True).start()
        self.addCleanup(self.sts.server_close)
        self.addCleanup(self.sts.shutdown)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "AWS_EC2_METADATA_DISABLED": "true",
                    "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:%d" % self.sts.server_address[1]}

    def run_it(self, *args, **env):
        return process.run([CLAVIGER, "aws", "whoami", *args], env={**self.env, **env}, check=False)

    def test_environment(self):
        done = self.run_it("--json", AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY=SECRET, AWS_REGION="eu-west-1")
        self.assertEqual(done.returncode, 0, done.stderr)
        got = json.loads(done.stdout)
        self.assertEqual((got["account"], got["arn"], got["user_id"]), ("111122223333", "arn:aws:iam::111122223333:user/Alice", "AIDAEXAMPLE"))
        self.assertEqual((got["source"], got["region"], got["expires"]), ("environment", "eu-west-1", None))
        self.assertNotIn(SECRET, done.stdout + done.stderr)

    def test_profile(self):
        aws = self.dir / ".aws"
        aws.mkdir()
        (aws / "config").write_text("[profile work]\nregion = eu-west-1\n")
        (aws / "credentials").write_text("[work]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = %s\n" % SECRET)
        done = self.run_it("--profile", "work")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("source       profile work", done.stdout)
        done = self.run_it("--profile", "missing")
        self.assertEqual(done.returncode, 1)
        self.assertIn("profile missing is neither in", done.stderr)

    def test_wrong_secret(self):
        done = self.run_it(AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="wrong-secret", AWS_REGION="eu-west-1")
        self.assertEqual(done.returncode, 1)
        self.assertIn("SignatureDoesNotMatch", done.stderr)
        self.assertIn("credentials of environment", done.stderr)
        self.assertNotIn("wrong-secret", done.stderr)

    def test_none(self):
        done = self.run_it()
        self.assertEqual(done.returncode, 1)
        self.assertIn("no AWS credentials", done.stderr)


if __name__ == "__main__":
    unittest.main()
