# SPDX-License-Identifier: Apache-2.0
"""A proxy that lets only rightly signed AWS requests through.

Signatures are recomputed with botocore from what arrived. Faults may be put
in front of the next requests: a function that gets the handler and the action
and returns True when it has answered (or closed) itself.
"""
import http.client
import http.server
import json
import threading
import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body, headers=()):
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        self.send_response(status)
        for k, v in headers:
            self.send_header(k, v)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def aws_error(self, status, code, message=""):
        self.reply(status, {"__type": "com.amazonaws.x#" + code, "message": message}, [("x-amzn-RequestId", "proxy-id")])

    def signed(self, body):
        owner = self.server.owner
        given = self.headers.get("Authorization", "")
        if "SignedHeaders=" not in given:
            return False
        names = given.split("SignedHeaders=")[1].split(",")[0].split(";")
        region, service = given.split("Credential=")[1].split(",")[0].split("/")[2:4]
        request = botocore.awsrequest.AWSRequest(
            method=self.command, url="http://%s%s" % (self.headers["Host"], self.path), data=body,
            headers={n: self.headers[n] for n in names})
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        signer = (botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth)(
            botocore.credentials.Credentials(owner.key_id, owner.secret), service, region)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return given.endswith("Signature=" + signer.signature(text, request))

    def handle_request(self):
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        action = self.headers.get("X-Amz-Target", self.command).split(".")[-1]
        with owner.lock:
            owner.actions.append(action)
            fault = owner.faults.pop(0) if owner.faults else None
        if not self.signed(body):
            owner.bad_signatures += 1
            self.aws_error(400, "InvalidSignatureException", "The request signature we calculated does not match")
            return
        if fault is not None and fault(self, action):
            return
        c = http.client.HTTPConnection("127.0.0.1", owner.target_port, timeout=30)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        headers["Host"] = self.headers["Host"]
        c.request(self.command, self.path, body, headers)
        r = c.getresponse()
        data = r.read()
        c.close()
        if owner.after is not None and owner.after(self, action):
            return
        self.reply(r.status, data, [(k, v) for k, v in r.getheaders()
                                    if k.lower() not in ("content-length", "connection", "transfer-encoding", "date", "server", "keep-alive")])

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_request


class SignedProxy:
    """Listens on a free port of 127.0.0.1, forwards to TARGET_PORT there."""

    def __init__(self, target_port, key_id="AKIDEXAMPLE", secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"):
        self.target_port, self.key_id, self.secret = target_port, key_id, secret
        self.lock = threading.Lock()
        self.actions, self.faults, self.bad_signatures, self.after = [], [], 0, None
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.owner = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def answer(status, code):
    """A fault: this AWS error, once."""
    return lambda handler, action: handler.aws_error(status, code) or True


def drop(handler, action):
    """A fault: the connection is closed without an answer."""
    handler.close_connection = True
    return True
