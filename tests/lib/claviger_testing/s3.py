# SPDX-License-Identifier: Apache-2.0
"""A small S3: PutObject and GetObject over HTTP, path style, versions, user
metadata, and signatures that botocore recomputes."""

import hashlib
import http.server
import threading
import urllib.parse

import botocore.auth
import botocore.awsrequest
import botocore.credentials

MAX_METADATA = 2048


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def error(self, status, code):
        self.answer(status, f"<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message>"
                    "<RequestId>R1</RequestId></Error>".encode())

    def signed(self, body):
        store = self.server.store
        given = self.headers.get("Authorization", "")
        if "SignedHeaders=" not in given:
            return False
        names = given.split("SignedHeaders=")[1].split(",")[0].split(";")
        must = {"host", "x-amz-content-sha256", "x-amz-date"} | {
            n.lower() for n in self.headers if n.lower().startswith("x-amz-meta-")}
        if not must <= set(names):
            return False
        if self.headers["X-Amz-Content-Sha256"] != hashlib.sha256(body).hexdigest():
            return False
        request = botocore.awsrequest.AWSRequest(
            method=self.command, url=f"http://{self.headers['Host']}{self.path}", data=body,
            headers={n: self.headers[n] for n in names})
        request.context["timestamp"] = self.headers["X-Amz-Date"]
        signer = botocore.auth.S3SigV4Auth(
            botocore.credentials.Credentials(store.key_id, store.secret, store.token), "s3", store.region)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return given.endswith("Signature=" + signer.signature(text, request))

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        store = self.server.store
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        metadata = {n.lower()[11:]: v for n, v in self.headers.items() if n.lower().startswith("x-amz-meta-")}
        if not self.signed(body):
            return self.error(403, "SignatureDoesNotMatch")
        if sum(len(n) + len(v) for n, v in metadata.items()) > MAX_METADATA:
            return self.error(400, "MetadataTooLarge")
        versions = store.objects.setdefault(path, [])
        if self.headers.get("If-None-Match") == "*" and versions:
            return self.error(412, "PreconditionFailed")
        versions.append((metadata, body))
        self.answer(200, headers=[("x-amz-version-id", f"v{len(versions)}")])

    def do_GET(self):
        store = self.server.store
        split = urllib.parse.urlsplit(self.path)
        versions = store.objects.get(urllib.parse.unquote(split.path), [])
        wanted = urllib.parse.parse_qs(split.query).get("versionId", [f"v{len(versions)}"])[0]
        if not self.signed(b""):
            return self.error(403, "SignatureDoesNotMatch")
        if not wanted[1:].isdigit() or not 1 <= int(wanted[1:]) <= len(versions):
            return self.error(404, "NoSuchKey")
        metadata, body = versions[int(wanted[1:]) - 1]
        self.answer(200, body, [("x-amz-version-id", wanted)] +
                    [(f"x-amz-meta-{n}", v) for n, v in metadata.items()])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that is gone is no news."""


class S3:
    """objects: {"/bucket/key": [(metadata, body), …]}, oldest first."""

    def __init__(self, key_id, secret, token=None, region="us-west-2"):
        self.key_id, self.secret, self.token, self.region = key_id, secret, token, region
        self.objects = {}
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.store = self
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)
