# SPDX-License-Identifier: Apache-2.0
"""The enclave with its stand-ins, and a client of its protocol made of cbor2."""

import json
import os
import pathlib
import re
import socket
import struct
import threading
import time

import cbor2

from .process import Program, bin_dir

PURPOSE = {"purpose": "claviger-sealed-key", "format": "2"}


class RemoteError(Exception):
    """An Err reply: its texts, outermost first."""

    def __init__(self, error):
        self.chain = []
        while error is not None:
            self.chain.append(error["message"])
            assert set(error) == {"message", "source"}, error
            error = error["source"]
        super().__init__(" -> ".join(self.chain))


class Client:
    """One connection to the enclave."""

    def __init__(self, path, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise

    def send_raw(self, data):
        self.socket.sendall(data)

    def send_body(self, body):
        self.send_raw(struct.pack(">I", len(body)) + body)

    def send(self, request):
        self.send_body(cbor2.dumps(request))

    def receive_exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise EOFError(f"closed after {len(data)} of {n} bytes")
            data += more
        return data

    def receive_body(self):
        return self.receive_exactly(struct.unpack(">I", self.receive_exactly(4))[0])

    def receive(self):
        return cbor2.loads(self.receive_body())

    def call(self, name, argument=None, **more):
        """Sends {name: argument} (after the keys of MORE) and returns Ok."""
        self.send({**more, name: argument})
        return result(self.receive())

    def call_bytes(self, body):
        self.send_body(body)
        return self.receive_body()

    def closed(self):
        """True when the peer has closed: waits for it."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def result(reply):
    if "Err" in reply:
        raise RemoteError(reply["Err"])
    return reply["Ok"]


def frame(request):
    body = cbor2.dumps(request)
    return struct.pack(">I", len(body)) + body


def exchange(client, frames, window):
    """Sends all FRAMES with at most WINDOW unanswered; returns the replies' bodies."""
    credit = threading.Semaphore(window)

    def send():
        # In pieces, so that the sender is no bottleneck.
        step = max(1, window // 4)
        for at in range(0, len(frames), step):
            piece = frames[at:at + step]
            for _ in piece:
                credit.acquire()
            client.socket.sendall(b"".join(piece))

    sender = threading.Thread(target=send)
    sender.start()
    replies, data = [], bytearray()
    while len(replies) < len(frames):
        more = client.socket.recv(1 << 18)
        if not more:
            raise EOFError("the enclave closed the connection")
        data += more
        at = 0
        while len(data) - at >= 4:
            n = struct.unpack_from(">I", data, at)[0]
            if len(data) - at - 4 < n:
                break
            replies.append(bytes(data[at + 4:at + 4 + n]))
            credit.release()
            at += 4 + n
        del data[:at]
    sender.join()
    return replies


class Enclave:
    """NSM, KMS and claviger-enclave-dev in DIRECTORY, each with a log there.
    SETTINGS: more lines of enclave.conf, or values that replace ours."""

    def __init__(self, directory, nsm=(), kms=(), **settings):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.programs = []
        self.clients = {}
        self.nsm_arguments, self.kms_arguments = nsm, kms
        self.settings = settings
        self.socket = self.dir / "enclave.sock"

    # ---- programs ----

    def start(self):
        try:
            self.start_nsm()
            self.start_kms()
            self.start_enclave()
        except BaseException:
            self.stop()
            raise
        return self

    def program(self, log, *argv):
        p = Program(argv, self.dir / log)
        self.programs.append(p)
        return p

    def start_nsm(self):
        binary = bin_dir() / "claviger-enclave-dev"
        self.nsm = self.program("nsm.log", bin_dir() / "claviger-local", "nsm", "--dir", self.dir / "nsm",
                                "--socket", self.dir / "nsm.sock", "--measure", binary, *self.nsm_arguments)
        self.nsm.wait_line("ready")

    def start_kms(self):
        self.kms = self.program("kms.log", bin_dir() / "claviger-local", "kms", "--state", self.dir / "kms.json",
                                "--ca", self.dir / "ca.pem", "--root", self.dir / "nsm" / "root.pem",
                                "--fault", self.dir / "faults", *self.kms_arguments)
        deadline = time.monotonic() + 30
        while "ready" not in self.kms.out_path.read_text():
            if time.monotonic() > deadline or not self.kms.alive():
                raise RuntimeError("the KMS stand-in does not start:\n" + self.kms.tail())
            time.sleep(0.02)
        self.kms_address = self.kms.out_path.read_text().split()[1]
        self.kms_port = int(self.kms_address.rsplit(":", 1)[1])

    def state(self):
        return json.loads((self.dir / "kms.json").read_text())

    def start_enclave(self):
        settings = {
            "listen_address": f"unix:{self.socket}", "nsm_address": f"unix:{self.dir}/nsm.sock",
            "proxy_address": self.kms_address, "endpoint": f"https://localhost:{self.kms_port}",
            "ca_file": str(self.dir / "ca.pem"),
        }
        settings.update(self.settings)
        lines = []
        for key, value in settings.items():
            lines += [f"{key}={v}" for v in (value if isinstance(value, list) else [value])]
        (self.dir / "enclave.conf").write_text("\n".join(lines) + "\n")
        self.enclave = self.program("enclave.log", bin_dir() / "claviger-enclave-dev",
                                    "--settings", self.dir / "enclave.conf")
        self.wait_listening()

    def wait_listening(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.enclave.alive():
            try:
                with Client(self.socket):
                    return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("the enclave does not listen:\n" + self.enclave.tail())

    def restart_enclave(self, **settings):
        self.enclave.stop()
        self.settings.update(settings)
        self.start_enclave()

    def stop(self):
        for boto in self.clients.values():
            boto.close()
        self.clients = {}
        for p in reversed(self.programs):
            p.stop()
        self.programs = []
        log = self.dir / "enclave.log"
        found = log.exists() and re.search(r"^.*(Sanitizer|runtime error).*$(.*\n){0,40}", log.read_text(errors="replace"), re.M)
        if found:
            raise AssertionError(found.group(0))

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    # ---- KMS ----

    def boto(self, principal=0):
        import boto3
        from botocore.config import Config
        who = self.state()["principals"][principal]
        if principal not in self.clients:
            self.clients[principal] = self.new_boto(boto3, Config, who)
        return self.clients[principal]

    def new_boto(self, boto3, Config, who):
        return boto3.client("kms", region_name=self.state()["region"], aws_access_key_id=who["access_key_id"],
                            aws_secret_access_key=who["secret_access_key"],
                            endpoint_url=f"https://localhost:{self.kms_port}", verify=str(self.dir / "ca.pem"),
                            config=Config(retries={"max_attempts": 1}))

    def pcr0(self):
        with self.client() as c:
            return c.call("Describe")["pcr0"].hex()

    def create_key(self, attested=("kms:Decrypt", "kms:GenerateDataKey"), plain=("kms:Encrypt",), pcr0=None):
        """A CMK whose policy allows ATTESTED to this image only; its ARN."""
        account = self.state()["account"]
        root = {"AWS": f"arn:aws:iam::{account}:root"}
        statements = [{"Sid": "Admin", "Effect": "Allow", "Principal": root, "Resource": "*",
                       "NotAction": ["kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt"]}]
        if plain:
            statements.append({"Sid": "Plain", "Effect": "Allow", "Principal": root, "Resource": "*",
                               "Action": list(plain)})
        if attested:
            statements.append({
                "Sid": "Enclave", "Effect": "Allow", "Principal": root, "Resource": "*", "Action": list(attested),
                "Condition": {"StringEqualsIgnoreCase": {
                    "kms:RecipientAttestation:ImageSha384": pcr0 or self.pcr0()}}})
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        return self.boto().create_key(Policy=policy)["KeyMetadata"]["Arn"]

    def fault(self, *lines):
        """Faults of the stand-in, one a line (claviger-local kms); none ends them."""
        (self.dir / "faults").write_text("".join(line + "\n" for line in lines))

    # ---- the protocol ----

    def client(self, timeout=60):
        return Client(self.socket, timeout)

    def credentials(self, key_id, **more):
        who = self.state()["principals"][0]
        return {"access_key_id": who["access_key_id"], "secret_access_key": who["secret_access_key"],
                "encryption_key_id": key_id, "region": self.state()["region"], **more}

    def session(self, key_id, describe=False, **more):
        c = self.client()
        if describe:
            c.call("Describe")
        assert c.call("Initialize", self.credentials(key_id, **more)) is None
        return c

    def kms_log(self):
        return (self.dir / "kms.log").read_text(errors="replace")

    def memory_kib(self):
        status = pathlib.Path(f"/proc/{self.enclave.process.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+)", status, re.M).group(1))


def scratch(name):
    import tempfile
    return tempfile.TemporaryDirectory(prefix=f"cv-{name}-", dir=os.environ.get("TMPDIR", "/tmp"))
