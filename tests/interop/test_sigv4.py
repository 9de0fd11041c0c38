# SPDX-License-Identifier: Apache-2.0
"""Every signature of ours is what botocore computes for the same request."""
import base64
import datetime
import json
import os
import random
import subprocess
import sys
import unittest
import urllib.parse
from unittest import mock

try:
    import botocore.auth
    import botocore.awsrequest
    import botocore.credentials
except ImportError:
    print("skipped: python3-botocore is not installed")
    sys.exit(77)

TOOL = os.path.join(os.environ["CV_BUILD_DIR"], "tests", "sigv4_tool")
NOW = datetime.datetime(2026, 11, 29, 6, 25, 12)
ODD_KEYS = [
    "plain", "a b", "a+b", "a=b&c", "k%2Fv", "é", "日本/語", "q'(1)*!", "x//y", "/lead", "./dot/../dot",
    "a:b@c$d,e;f", "tilde~-._", "emoji\U0001f600", "%", "%25", "trailing/", "[brackets]{braces}", "back\\slash", "a?b#c",
]


class Frozen(datetime.datetime):
    @classmethod
    def utcnow(cls):
        return NOW


def botocore_authorization(case, target):
    request = botocore.awsrequest.AWSRequest(
        method=case["method"], url="https://%s%s" % (dict(case["headers"])["Host"], target),
        data=base64.b64decode(case["body"]), headers=dict(case["headers"]))
    credentials = botocore.credentials.Credentials(case["id"], case["secret"], case["token"] or None)
    signer = botocore.auth.S3SigV4Auth if case["service"] == "s3" else botocore.auth.SigV4Auth
    with mock.patch("botocore.auth.datetime.datetime", Frozen):
        signer(credentials, case["service"], case["region"]).add_auth(request)
    return request.headers["Authorization"]


class SigV4(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tool = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    @classmethod
    def tearDownClass(cls):
        cls.tool.stdin.close()
        assert cls.tool.wait(timeout=10) == 0
        cls.tool.stdout.close()

    def check(self, service, method="POST", path="/", query=(), headers=(), body=b"", token="", host=None):
        host = host or "%s.eu-west-1.amazonaws.com" % service
        headers = [("Host", host), *headers]
        if service == "s3":
            import hashlib
            headers.append(("X-Amz-Content-SHA256", hashlib.sha256(body).hexdigest()))
        case = {"method": method, "path": path, "query": [list(p) for p in query], "headers": [list(h) for h in headers],
                "body": base64.b64encode(body).decode(), "region": "eu-west-1", "service": service,
                "date": NOW.strftime("%Y%m%dT%H%M%SZ"), "id": "AKIDEXAMPLE",
                "secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token": token}
        self.tool.stdin.write(json.dumps(case) + "\n")
        self.tool.stdin.flush()
        got = json.loads(self.tool.stdout.readline())
        self.assertEqual(got["target"].partition("?")[0], urllib.parse.quote(path, safe="/~"))
        pairs = urllib.parse.parse_qsl(got["target"].partition("?")[2], keep_blank_values=True)
        self.assertEqual(sorted(pairs), sorted(tuple(p) for p in query))
        self.assertEqual(got["authorization"], botocore_authorization(case, got["target"]))

    def test_kms(self):
        for action in ("Encrypt", "Decrypt", "GenerateDataKey", "GenerateRandom", "DescribeKey"):
            for token in ("", "FwoGZXIvYXdzE/+=" * 40):
                self.check("kms", headers=[("Content-Type", "application/x-amz-json-1.1"),
                                           ("X-Amz-Target", "TrentService." + action)],
                           body=json.dumps({"KeyId": "alias/x", "Plaintext": "é"}).encode(), token=token)

    def test_dynamodb(self):
        for action in ("GetItem", "PutItem", "UpdateItem", "Query", "CreateTable"):
            self.check("dynamodb", headers=[("Content-Type", "application/x-amz-json-1.0"),
                                            ("X-Amz-Target", "DynamoDB_20120810." + action)],
                       body=b'{"TableName":"watermark"}', token="t", host="localhost:8000")

    def test_sts(self):
        self.check("sts", headers=[("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")],
                   body=b"Action=GetCallerIdentity&Version=2011-06-15")

    def test_s3_odd_keys(self):
        for key in ODD_KEYS:
            for method, body in (("GET", b""), ("PUT", b"content"), ("HEAD", b"")):
                self.check("s3", method=method, path="/" + key, body=body, host="bucket.s3.eu-west-1.amazonaws.com",
                           headers=[("x-amz-meta-x-amz-key-v2", "a  b"), ("If-None-Match", "*")] if method == "PUT" else [])

    def test_queries(self):
        self.check("s3", method="GET", query=[("versionId", "a/b+c=="), ("prefix", "é ~"), ("acl", ""), ("A", "1"), ("a", "2"), ("a", "10")])
        self.check("sts", method="GET", query=[("Action", "GetCallerIdentity"), ("Version", "2011-06-15")])

    def test_header_values(self):
        self.check("kms", headers=[("X-Amz-A", "  lead and   inner\t tab  "), ("x-amz-b", ""), ("X-AMZ-Z", "é".encode().decode())], body=b"{}")

    def test_random_requests(self):
        rng = random.Random(7)
        letters = "aZ09-._~ /+=&%'()*!é€😀"
        word = lambda n: "".join(rng.choice(letters) for _ in range(rng.randrange(n)))
        for _ in range(300):
            self.check("s3", method=rng.choice(["GET", "PUT", "HEAD"]), path="/" + word(30),
                       query=[(str(i) + word(5), word(8)) for i in range(rng.randrange(5))],
                       body=word(50).encode(), token=rng.choice(["", "token+/="]))


if __name__ == "__main__":
    unittest.main()
