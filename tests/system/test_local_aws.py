# SPDX-License-Identifier: Apache-2.0
"""The stand-ins of instance metadata, STS and S3 beside the local KMS."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

from claviger_testing import process

process.need("claviger", "claviger-local", "claviger-kmstool-dev")
try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import ClientError
except ImportError:
    process.skip("boto3 is not installed")

CLAVIGER, LOCAL = process.bin_dir() / "claviger", process.bin_dir() / "claviger-local"
S3_TOOL = pathlib.Path(os.environ["CV_BUILD_DIR"]) / "tests" / "s3_tool"
REGION, ROLE = "us-west-2", "claviger-local"


class LocalAws(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="cv-aws-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.state, cls.ca = cls.dir / "kms.json", cls.dir / "ca.pem"
        cls.kms = cls.start("kms", "--ca", cls.ca)
        doc = json.loads(cls.state.read_text())
        cls.root = doc["principals"][0]
        # A role, as `up` makes one: a principal that has it.
        cls.kms_program.stop()
        doc["principals"].append({
            "access_key_id": "ASIAFIXED0000000", "secret_access_key": "fixed-secret", "session_token": "fixed-token",
            "arn": "arn:aws:sts::111122223333:assumed-role/%s/i-0" % ROLE, "role_arn": "arn:aws:iam::111122223333:role/" + ROLE})
        cls.state.write_text(json.dumps(doc))
        cls.kms = cls.start("kms", "--ca", cls.ca)
        cls.imds = cls.start("imds", "--life", "4", "--token", "Bearer t")
        cls.sts = cls.start("sts", "--ca", cls.ca, "--token", "web-token")
        cls.s3 = cls.start("s3", "--ca", cls.ca, "--dir", cls.dir / "objects")
        cls.key = cls.boto("kms").create_key(Policy=json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"}, "Action": "kms:*", "Resource": "*"},
            {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:role/" + ROLE}, "Action": "kms:Encrypt", "Resource": "*"},
        ]}))["KeyMetadata"]["Arn"]

    @classmethod
    def start(cls, name, *args):
        program = process.Program([LOCAL, name, "--state", cls.state, *args], cls.dir / (name + ".log"))
        cls.addClassCleanup(program.stop)
        deadline = time.monotonic() + 20
        while "ready" not in program.out_path.read_text():
            if time.monotonic() > deadline or not program.alive():
                raise RuntimeError(program.tail())
            time.sleep(0.02)
        if name == "kms":
            cls.kms_program = program
        return program.out_path.read_text().split()[1].replace("tcp:", "")

    @classmethod
    def boto(cls, service, **creds):
        creds = creds or {"aws_access_key_id": cls.root["access_key_id"], "aws_secret_access_key": cls.root["secret_access_key"]}
        address = {"kms": cls.kms, "sts": cls.sts, "s3": cls.s3}[service]
        client = boto3.client(service, region_name=REGION, endpoint_url="https://" + address, verify=str(cls.ca),
                              config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}), **creds)
        cls.addClassCleanup(client.close)
        return client

    def env(self, **more):
        return {"PATH": os.environ["PATH"], "HOME": str(self.dir), "AWS_CA_BUNDLE": str(self.ca), "AWS_REGION": REGION,
                "AWS_ENDPOINT_URL_STS": "https://" + self.sts, "AWS_ENDPOINT_URL_S3": "https://" + self.s3,
                "AWS_CONFIG_FILE": str(self.dir / "none"), "AWS_SHARED_CREDENTIALS_FILE": str(self.dir / "none"),
                "AWS_EC2_METADATA_DISABLED": "true", **more}

    def root_env(self, **more):
        return self.env(AWS_ACCESS_KEY_ID=self.root["access_key_id"], AWS_SECRET_ACCESS_KEY=self.root["secret_access_key"], **more)

    def whoami(self, env):
        done = process.run([CLAVIGER, "aws", "whoami", "--json"], env=env, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    # ---- metadata ----

    def imds_request(self, path, method="GET", **headers):
        r = urllib.request.Request("http://" + self.imds + path, method=method, headers={k.replace("_", "-"): v for k, v in headers.items()})
        try:
            return urllib.request.urlopen(r, timeout=5).read().decode()
        except urllib.error.HTTPError as e:
            e.close()
            return e.code

    def test_metadata_wants_its_token(self):
        path = "/latest/meta-data/iam/security-credentials/"
        self.assertEqual(self.imds_request(path), 401)
        self.assertEqual(self.imds_request("/latest/api/token"), 405)
        self.assertEqual(self.imds_request("/latest/api/token", "PUT"), 400)
        self.assertEqual(self.imds_request("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="21601"), 400)
        self.assertEqual(self.imds_request("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60", X_Forwarded_For="1.2.3.4"), 403)
        token = self.imds_request("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="1")
        self.assertEqual(self.imds_request(path, X_aws_ec2_metadata_token=token), ROLE)
        self.assertEqual(self.imds_request("/latest/meta-data/placement/region", X_aws_ec2_metadata_token=token), REGION)
        self.assertEqual(self.imds_request(path + "other", X_aws_ec2_metadata_token=token), 404)
        time.sleep(1.1)
        self.assertEqual(self.imds_request(path, X_aws_ec2_metadata_token=token), 401)

    def test_our_chain_finds_the_instance_role(self):
        env = self.env(AWS_EC2_METADATA_SERVICE_ENDPOINT="http://" + self.imds)
        del env["AWS_EC2_METADATA_DISABLED"], env["AWS_REGION"]
        got = self.whoami(env)
        self.assertEqual(got["source"], "IMDS, role " + ROLE)
        self.assertEqual(got["arn"], "arn:aws:sts::111122223333:assumed-role/%s/i-0123456789abcdef0" % ROLE)
        self.assertEqual(got["region"], REGION)
        self.assertIsNotNone(got["expires"])

    def test_our_chain_finds_the_container(self):
        url = "http://%s/v2/credentials" % self.imds
        got = self.whoami(self.env(AWS_CONTAINER_CREDENTIALS_FULL_URI=url, AWS_CONTAINER_AUTHORIZATION_TOKEN="Bearer t"))
        self.assertEqual(got["source"], "container endpoint")
        done = process.run([CLAVIGER, "aws", "whoami"], env=self.env(AWS_CONTAINER_CREDENTIALS_FULL_URI=url), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("HTTP 401", done.stderr)

    # ---- sessions ----

    def test_roles_are_assumed(self):
        config = self.dir / "config"
        config.write_text("[profile r]\nrole_arn = arn:aws:iam::111122223333:role/%s\nrole_session_name = me\ncredential_source = Environment\n" % ROLE)
        self.assertEqual(self.whoami(self.root_env(AWS_CONFIG_FILE=str(config)))["source"], "environment")
        done = process.run([CLAVIGER, "aws", "whoami", "--profile", "r", "--json"], env=self.root_env(AWS_CONFIG_FILE=str(config)), check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["arn"], "arn:aws:sts::111122223333:assumed-role/%s/me" % ROLE)
        config.write_text("[profile r]\nrole_arn = arn:aws:iam::111122223333:role/nobody\ncredential_source = Environment\n")
        done = process.run([CLAVIGER, "aws", "whoami", "--profile", "r"], env=self.root_env(AWS_CONFIG_FILE=str(config)), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("AccessDenied", done.stderr)

    def test_web_identity(self):
        token = self.dir / "web-token"
        token.write_text("web-token\n")
        env = self.env(AWS_WEB_IDENTITY_TOKEN_FILE=str(token), AWS_ROLE_ARN="arn:aws:iam::111122223333:role/" + ROLE)
        self.assertEqual(self.whoami(env)["source"], "web identity of the environment")
        token.write_text("another")
        done = process.run([CLAVIGER, "aws", "whoami"], env=env, check=False)
        self.assertIn("InvalidIdentityToken", done.stderr)

    def assume(self):
        c = self.boto("sts").assume_role(RoleArn="arn:aws:iam::111122223333:role/" + ROLE, RoleSessionName="boto")["Credentials"]
        return {"aws_access_key_id": c["AccessKeyId"], "aws_secret_access_key": c["SecretAccessKey"], "aws_session_token": c["SessionToken"]}

    def test_kms_takes_sessions_until_they_expire(self):
        creds = self.assume()
        self.boto("kms", **creds).encrypt(KeyId=self.key, Plaintext=b"x")
        with self.assertRaises(ClientError) as caught:
            self.boto("kms", **creds).describe_key(KeyId=self.key)
        self.assertEqual(caught.exception.response["Error"]["Code"], "AccessDeniedException")
        for change in ({"aws_session_token": creds["aws_session_token"][:-1] + ("0" if creds["aws_session_token"][-1] != "0" else "1")}, {"aws_session_token": "x"}, {"aws_access_key_id": "ASIAOTHER0000000"}):
            with self.assertRaises(ClientError) as caught:
                self.boto("kms", **{**creds, **change}).encrypt(KeyId=self.key, Plaintext=b"x")
            self.assertEqual(caught.exception.response["Error"]["Code"], "UnrecognizedClientException")
        with self.assertRaises(ClientError) as caught:
            self.boto("kms", **{**creds, "aws_secret_access_key": "wrong"}).encrypt(KeyId=self.key, Plaintext=b"x")
        self.assertEqual(caught.exception.response["Error"]["Code"], "InvalidSignatureException")
        token = self.imds_request("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
        c = json.loads(self.imds_request("/latest/meta-data/iam/security-credentials/" + ROLE, X_aws_ec2_metadata_token=token))
        short = {"aws_access_key_id": c["AccessKeyId"], "aws_secret_access_key": c["SecretAccessKey"], "aws_session_token": c["Token"]}
        self.boto("kms", **short).encrypt(KeyId=self.key, Plaintext=b"x")
        time.sleep(4.2)
        with self.assertRaises(ClientError) as caught:
            self.boto("kms", **short).encrypt(KeyId=self.key, Plaintext=b"x")
        self.assertEqual(caught.exception.response["Error"]["Code"], "ExpiredTokenException")

    def test_sts_checks_signatures(self):
        self.assertEqual(self.boto("sts").get_caller_identity()["Account"], "111122223333")
        with self.assertRaises(ClientError) as caught:
            self.boto("sts", aws_access_key_id=self.root["access_key_id"], aws_secret_access_key="wrong").get_caller_identity()
        self.assertEqual(caught.exception.response["Error"]["Code"], "SignatureDoesNotMatch")

    # ---- S3 ----

    def tool(self, *args, body=b"", env=None, check=True):
        done = subprocess.run([S3_TOOL, *args], input=body, capture_output=True, env=env or self.root_env(), timeout=60)
        if check:
            self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_objects_by_boto_and_by_us(self):
        s3 = self.boto("s3")
        s3.create_bucket(Bucket="bucket")
        stream = self.root_env(S3_STREAM="tcp:" + self.s3)
        for key in ("plain", "a b/c+d=e", "\u00e9/\u65e5", "q'(1)*!~", "x//y", "./dot/../dot", "per%25cent", "a:b@c$d,e;f"):
            s3.put_object(Bucket="bucket", Key=key, Body=key.encode(), Metadata={"x-amz-key-v2": "abc==", "n": "1  2"})
            got = self.tool("get", "s3://bucket/" + key)
            self.assertEqual(got.stdout, key.encode())
            self.assertIn(b"x-amz-meta-x-amz-key-v2: abc==", got.stderr)
            version = self.tool("put", "s3://bucket/" + key, "who=us", body=b"\0\xff" * 1000).stdout.strip().decode()
            reply = s3.get_object(Bucket="bucket", Key=key)
            self.assertEqual((reply["Body"].read(), reply["Metadata"], reply["VersionId"]), (b"\0\xff" * 1000, {"who": "us"}, version))
            self.assertEqual(s3.head_object(Bucket="bucket", Key=key)["ContentLength"], 2000)
            for env in (None, stream):
                head = self.tool("head", "s3://bucket/" + key, env=env)
                self.assertEqual(head.stdout, b"")
                self.assertIn(b"Content-Length: 2000\n", head.stderr)
                self.assertIn(b"x-amz-meta-who: us", head.stderr)
            self.assertEqual(self.tool("get", "s3://bucket/" + key, env=stream).stdout, b"\0\xff" * 1000)
            self.tool("put", "s3://bucket/" + key, "by=stream", body=b"streamed", env=stream)
            self.assertEqual(s3.get_object(Bucket="bucket", Key=key)["Metadata"], {"by": "stream"})
        self.assertEqual(self.tool("get", "s3://bucket/plain?versionId=v1").stdout, b"plain")
        session = self.boto("s3", **self.assume())
        self.assertEqual(session.get_object(Bucket="bucket", Key="plain", VersionId="v1")["Body"].read(), b"plain")

    def test_create_only(self):
        self.boto("s3").create_bucket(Bucket="once")
        self.tool("put", "s3://once/k", "create", body=b"1")
        done = self.tool("put", "s3://once/k", "create", body=b"2", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"already exists", done.stderr)
        self.assertEqual(self.tool("get", "s3://once/k").stdout, b"1")

    def test_refusals_of_s3(self):
        self.boto("s3").create_bucket(Bucket="bucket-x")
        for args, env, says in [
            (("get", "s3://bucket-x/none"), self.root_env(), b"NoSuchKey"),
            (("get", "s3://no-bucket/none"), self.root_env(), b"NoSuchBucket"),
            (("get", "s3://bucket-x/k"), self.root_env(AWS_REGION="eu-west-1"), b"the bucket is in us-west-2"),
            (("get", "s3://bucket-x/k"), {**self.root_env(), "AWS_SECRET_ACCESS_KEY": "wrong"}, b"SignatureDoesNotMatch"),
            (("get", "s3://bucket-x/k"), {**self.root_env(), "AWS_ACCESS_KEY_ID": "AKIAOTHER"}, b"InvalidAccessKeyId"),
            (("head", "s3://bucket-x/none"), self.root_env(), b"HTTP 404"),
            (("get", "s3://Bad_Bucket/k"), self.root_env(), b"s3://bucket/key"),
        ]:
            done = self.tool(*args, env=env, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(says, done.stderr)
        r = urllib.request.Request("https://%s/bucket-x/k" % self.s3)
        import ssl
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(r, timeout=5, context=ssl.create_default_context(cafile=self.ca))
        self.assertEqual(caught.exception.code, 403)
        caught.exception.close()


if __name__ == "__main__":
    unittest.main()
