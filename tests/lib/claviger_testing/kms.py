# SPDX-License-Identifier: Apache-2.0
"""The KMS stand-in from outside: started, spoken to with boto3 and botocore."""

import base64
import json
import pathlib
import ssl
import http.client

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials

from .process import Program, bin_dir


class Kms:
    """claviger-local kms with its state in DIR."""

    def __init__(self, directory, *arguments, port=0):
        self.dir = pathlib.Path(directory)
        self.state = self.dir / "kms.json"
        self.ca = self.dir / "ca.pem"
        self.fault_file = self.dir / "kms.fault"
        argv = [bin_dir() / "claviger-local", "kms", "--state", self.state, "--ca", self.ca,
                "--fault", self.fault_file, "--listen", f"tcp:127.0.0.1:{port}", *arguments]
        self.program = Program(argv, self.dir / "kms.log")
        self.port = int(self._ready().rpartition(":")[2])
        self.endpoint = f"https://127.0.0.1:{self.port}"

    def _ready(self, seconds=20):
        import time
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for line in self.program.out_path.read_text().splitlines():
                if line.startswith("ready "):
                    return line
            if not self.program.alive():
                break
            time.sleep(0.02)
        raise RuntimeError("the KMS did not start:\n" + self.program.tail())

    def principals(self):
        return json.loads(self.state.read_text())["principals"]

    def region(self):
        return json.loads(self.state.read_text())["region"]

    def fault(self, *lines):
        self.fault_file.write_text("".join(line + "\n" for line in lines))

    def log(self):
        return self.program.log_path.read_text(errors="replace")

    def stop(self):
        return self.program.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def client(kms, principal, region=None, retries=1):
    """A boto3 client in the name of a principal of kms.json."""
    return boto3.client(
        "kms", region_name=region or kms.region(), endpoint_url=kms.endpoint, verify=str(kms.ca),
        aws_access_key_id=principal["access_key_id"],
        aws_secret_access_key=principal["secret_access_key"],
        aws_session_token=principal.get("session_token"),
        config=botocore.config.Config(retries={"max_attempts": retries - 1}, read_timeout=10,
                                      connect_timeout=10))


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body) if self.body else {}

    def error(self):
        return self.json().get("__type", "")


def raw(kms, principal, action, parameters, change=None, region=None, timeout=10):
    """One request signed with botocore; CHANGE may spoil it after signing.
    Gives what KMS answered, whatever it is."""
    body = parameters if isinstance(parameters, bytes) else json.dumps(parameters).encode()
    request = botocore.awsrequest.AWSRequest(
        method="POST", url=kms.endpoint + "/", data=body,
        headers={"Content-Type": "application/x-amz-json-1.1",
                 "X-Amz-Target": f"TrentService.{action}",
                 "Host": f"127.0.0.1:{kms.port}"})
    if principal:
        credentials = botocore.credentials.Credentials(
            principal["access_key_id"], principal["secret_access_key"], principal.get("session_token"))
        botocore.auth.SigV4Auth(credentials, "kms", region or kms.region()).add_auth(request)
    headers = dict(request.headers.items())
    method = "POST"
    if change:
        body, headers = change(body, headers) or (body, headers)
    connection = http.client.HTTPSConnection(
        "127.0.0.1", kms.port, timeout=timeout, context=ssl.create_default_context(cafile=str(kms.ca)))
    try:
        connection.request(method, "/", body, headers)
        answer = connection.getresponse()
        return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


def recipient(document):
    return {"KeyEncryptionAlgorithm": "RSAES_OAEP_SHA_256",
            "AttestationDocument": base64.b64encode(document).decode()}
