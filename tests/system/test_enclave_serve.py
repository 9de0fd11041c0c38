# SPDX-License-Identifier: Apache-2.0
"""claviger enclave serve, against an init that is slow, dead or hostile: a fake
one, over the UNIX sockets of docs/protocol/parent.md."""
import base64
import contextlib
import http.server
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
import unittest

from claviger_testing import process

process.need("claviger")
CLAVIGER = process.bin_dir() / "claviger"
KMS = "kms.us-west-2.amazonaws.com:443"


class Echo:
    """Echoes until the client's half-close, then says bye."""

    def __init__(self, path=None):
        if path is None:
            self.listener = socket.create_server(("127.0.0.1", 0))
            self.port = self.listener.getsockname()[1]
        else:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(str(path))
            self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(s,), daemon=True).start()

    @staticmethod
    def serve(s):
        with s:
            with contextlib.suppress(OSError):
                while data := s.recv(65536):
                    s.sendall(data)
                s.sendall(b"bye")

    def close(self):
        self.listener.close()


class Init:
    """The control connection as claviger-init makes it."""

    def __init__(self, directory, hello=True):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(10)
        self.s.connect(str(directory / "parent_9001"))
        self.file = self.s.makefile("rb")
        if hello:
            self.say(type="hello", protocol=1, version="1", build="development", debug=False, pcr0="ab" * 48)

    def say(self, **message):
        self.s.sendall(json.dumps(message).encode() + b"\n")

    def hear(self):
        line = self.file.readline()
        return json.loads(line) if line else None

    def ask(self, number, what, **more):
        self.say(type="want", id=number, what=what, **more)
        return self.hear()

    def close(self):
        self.file.close()
        self.s.close()


def read_all(s):
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while part := s.recv(65536):
            data += part
    return data


class Metadata(http.server.BaseHTTPRequestHandler):
    """A container credentials endpoint whose keys last for LIFE seconds."""
    protocol_version = "HTTP/1.1"
    life = 3600
    asked = 0

    def log_message(self, *_):
        pass

    def do_GET(self):
        cls = type(self)
        cls.asked += 1
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + cls.life))
        body = json.dumps({"AccessKeyId": "ASIA%012d" % cls.asked, "SecretAccessKey": "s" * 40,
                           "Token": "token-%d" % cls.asked, "Expiration": end}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cv-es-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.number = itertools.count()
        self.echo = Echo()
        self.addCleanup(self.echo.close)
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "AWS_EC2_METADATA_DISABLED": "true",
                    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "the-secret-key"}

    def start(self, *args, wait=True, **env):
        program = process.Program([CLAVIGER, "enclave", "serve", "--dir", self.dir, "--region", "us-west-2", *args],
                                  self.dir / f"log{next(self.number)}", env={**self.env, **env})
        self.addCleanup(program.kill)
        if wait:
            self.wait(program, "waiting for the enclave")
        return program

    def wait(self, program, text, seconds=10, out=False):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            seen = program.out_path.read_text(errors="replace") if out else program.tail(100000)
            if re.search(text, seen):
                return seen
            time.sleep(0.02)
        self.fail(f"no {text!r} in\n{program.tail()}\n{program.out_path.read_text(errors='replace')}")

    def init(self, **kw):
        init = Init(self.dir, **kw)
        self.addCleanup(init.close)
        return init

    def open(self, port, data=b"", prefix="parent"):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(15)
        s.connect(str(self.dir / f"{prefix}_{port}"))
        s.sendall(data)
        return s

    def ends(self, program, status, seconds=15):
        self.assertEqual(program.process.wait(seconds), status, program.tail())


class Tunnels(Case):
    def test_connect_line_then_bytes_both_ways_with_half_close(self):
        self.start("--aws-endpoint", f"{KMS}=tcp:127.0.0.1:{self.echo.port}")
        s = self.open(8000, f"CONNECT {KMS}\nhello".encode())
        self.assertEqual(s.recv(3, socket.MSG_WAITALL), b"OK\n")
        big = os.urandom(1 << 20)
        threading.Thread(target=lambda: (s.sendall(big), s.shutdown(socket.SHUT_WR)), daemon=True).start()
        self.assertEqual(read_all(s), b"hello" + big + b"bye")

    def test_a_line_in_single_bytes(self):
        self.start("--aws-endpoint", f"{KMS}=tcp:127.0.0.1:{self.echo.port}")
        s = self.open(8000)
        for byte in f"CONNECT {KMS}\n".encode():
            s.sendall(bytes([byte]))
            time.sleep(0.002)
        self.assertEqual(s.recv(3, socket.MSG_WAITALL), b"OK\n")

    def test_bare_tls_goes_to_kms(self):
        self.start("--aws-endpoint", f"{KMS}=tcp:127.0.0.1:{self.echo.port}")
        record = b"\x16\x03\x01\x00\x05hello"
        s = self.open(8000, record)
        s.shutdown(socket.SHUT_WR)
        self.assertEqual(read_all(s), record + b"bye")
        # On the port of the application it is no line at all.
        self.assertNotEqual(read_all(self.open(8001, b"\x16" * 400))[:4], b"OK\n")

    def test_targets_that_are_refused(self):
        self.start("--egress", f"127.0.0.1:{self.echo.port}", "--aws-endpoint", "*.example.test:443=tcp:127.0.0.1:%d" % self.echo.port)
        for port, target in [(8000, "example.com:443"), (8000, "kms.eu-west-1.amazonaws.com:443"),
                             (8000, "kms.us-west-2.amazonaws.com:80"), (8000, f"127.0.0.1:{self.echo.port}"),
                             (8000, "example.test:443"), (8000, "xexample.test:443"),
                             (8001, KMS), (8001, "127.0.0.1:1"), (8001, "localhost:%d" % self.echo.port),
                             (8001, "169.254.169.254:80")]:
            with self.subTest(target=target):
                self.assertRegex(read_all(self.open(port, f"CONNECT {target}\n".encode())), rb"\AERR [^\n]+\n\Z")
        for line in [b"GET / HTTP/1.1\n", b"CONNECT \n", b"CONNECT a\n", b"CONNECT a:0\n", b"CONNECT a:99999\n",
                     b"CONNECT \x00:1\n", b"CONNECT a b:1\n", b"\n", b"x" * 5000]:
            with self.subTest(line=line[:20]):
                self.assertRegex(read_all(self.open(8001, line)), rb"\AERR [^\n]+\n\Z")
        for target in [f"127.0.0.1:{self.echo.port}"]:
            self.assertEqual(self.open(8001, f"CONNECT {target}\n".encode()).recv(3), b"OK\n")
        for target in ["a.example.test:443", "A.B.EXAMPLE.TEST:443"]:
            self.assertEqual(self.open(8000, f"CONNECT {target}\n".encode()).recv(3), b"OK\n")

    def test_buckets_of_the_region_are_allowed(self):
        # Every name of the region would be resolved, so the mapping shows that the rule is met.
        self.start("--aws-endpoint", f"*.s3.us-west-2.amazonaws.com:443=tcp:127.0.0.1:{self.echo.port}")
        self.assertEqual(self.open(8000, b"CONNECT bucket.s3.us-west-2.amazonaws.com:443\n").recv(3), b"OK\n")
        self.assertRegex(read_all(self.open(8000, b"CONNECT bucket.s3.us-east-1.amazonaws.com:443\n")), b"^ERR")

    def test_name_is_resolved_and_all_addresses_are_tried(self):
        # localhost may have ::1 first, where nobody listens.
        self.start("--egress", f"localhost:{self.echo.port}")
        self.assertEqual(self.open(8001, f"CONNECT localhost:{self.echo.port}\n".encode()).recv(3), b"OK\n")

    def test_nobody_at_the_target(self):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        self.start("--egress", f"127.0.0.1:{port}", "--egress", "no-such-name.invalid:1")
        self.assertRegex(read_all(self.open(8001, f"CONNECT 127.0.0.1:{port}\n".encode())), rb"ERR .*refused")
        self.assertRegex(read_all(self.open(8001, b"CONNECT no-such-name.invalid:1\n")), rb"\AERR ")

    def test_cap_and_that_nobody_holds_up_another(self):
        self.start("--aws-endpoint", f"{KMS}=tcp:127.0.0.1:{self.echo.port}", "--max-connections", "4",
                   "--egress", f"127.0.0.1:{self.echo.port}")
        slow = [self.open(8001) for _ in range(4)]
        self.assertEqual(read_all(self.open(8001)), b"")
        # The other ports are as free as before.
        self.assertEqual(self.open(8000, f"CONNECT {KMS}\n".encode()).recv(3), b"OK\n")
        slow[0].close()
        deadline = time.monotonic() + 5
        answer = b""
        while time.monotonic() < deadline and answer != b"OK\n":
            with contextlib.suppress(OSError):
                answer = self.open(8001, f"CONNECT 127.0.0.1:{self.echo.port}\n".encode()).recv(3)
        self.assertEqual(answer, b"OK\n")

    def test_a_silent_client_is_closed_in_time(self):
        self.start()
        s = self.open(8001)
        before = time.monotonic()
        self.assertEqual(read_all(s), b"")
        self.assertLess(time.monotonic() - before, 13)

    def test_exposed_port(self):
        with socket.create_server(("127.0.0.1", 0)) as unused:
            port = unused.getsockname()[1]
        inside = Echo(self.dir / "enclave_8443")
        self.addCleanup(inside.close)
        self.start("--expose", f"127.0.0.1:{port}:8443")
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            s.sendall(b"hello")
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(s), b"hellobye")
        inside.close()
        (self.dir / "enclave_8443").unlink()
        with socket.create_connection(("127.0.0.1", port), 10) as s:
            self.assertEqual(read_all(s), b"")

    def test_heartbeat(self):
        program = self.start()
        self.assertEqual(read_all(self.open(9000, b"\xb7")), b"\xb7")
        self.wait(program, "the enclave has booted")
        self.assertEqual(read_all(self.open(9000, b"\x00")), b"")
        program.kill()
        self.start("--no-heartbeat")
        with self.assertRaises(OSError):
            self.open(9000, b"\xb7")


class Control(Case):
    def test_answers(self):
        sealed = os.urandom(300000)
        (self.dir / "app.sealed").write_bytes(sealed)
        (self.dir / "big").write_bytes(bytes((512 << 10) + 1))
        (self.dir / "env").write_text("# comment\nA=1\n\nB=x=y\n")
        self.start("--env-file", self.dir / "env", "--env", "C=ü", "--env", "A=2",
                   "--file", f"app={self.dir}/app.sealed", "--file", f"big={self.dir}/big", AWS_SESSION_TOKEN="tok")
        init = self.init()
        self.assertEqual(init.ask(1, "credentials"),
                         {"type": "credentials", "id": 1, "access_key_id": "AKIDEXAMPLE",
                          "secret_access_key": "the-secret-key", "session_token": "tok", "expiration": None})
        self.assertEqual(init.ask(2, "environment"),
                         {"type": "environment", "id": 2, "variables": {"A": "2", "B": "x=y", "C": "ü"}})
        answer = init.ask(3, "file", name="app")
        self.assertEqual((answer["type"], answer["id"]), ("file", 3))
        self.assertEqual(base64.b64decode(answer["content"]), sealed)
        for number, name in [(4, "other"), (5, "big"), (6, "../app"), (7, "")]:
            answer = init.ask(number, "file", name=name)
            self.assertEqual((answer["type"], answer["id"]), ("file", number))
            self.assertTrue(answer["error"])
            self.assertNotIn("content", answer)
        # Read anew each time.
        (self.dir / "app.sealed").write_bytes(b"new")
        self.assertEqual(base64.b64decode(init.ask(8, "file", name="app")["content"]), b"new")
        self.assertIn("error", init.ask(9, "moon"))
        init.say(type="of a later version", more=[1, {"x": None}])
        self.assertEqual(init.ask(10, "environment", unknown=1)["id"], 10)

    def test_no_credentials(self):
        self.start("--no-credentials")
        self.assertIn("error", self.init().ask(1, "credentials"))

    def test_credentials_that_are_not_there_come_later(self):
        env = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
        program = self.start(**env)
        init = self.init()
        answer = init.ask(1, "credentials")
        self.assertEqual((answer["type"], answer["id"]), ("credentials", 1))
        self.assertIn("error", answer)
        self.wait(program, "AWS credentials")
        self.assertEqual(init.ask(2, "environment")["id"], 2)

    def test_renewed_credentials_are_pushed(self):
        handler = type("Handler", (Metadata,), {"life": 4})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.start(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="",
                   AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1:%d/" % server.server_address[1])
        init = self.init()
        first = init.ask(5, "credentials")
        self.assertEqual(first["id"], 5)
        self.assertRegex(first["expiration"], r"^2\d\d\d-\d\d-\d\dT[\d:.]+Z$")
        pushed = init.hear()
        self.assertEqual((pushed["type"], pushed["id"]), ("credentials", 0))
        self.assertNotEqual(pushed["access_key_id"], first["access_key_id"])
        self.assertNotEqual(pushed["session_token"], first["session_token"])

    def test_the_instance_role_from_instance_metadata(self):
        if not all((process.bin_dir() / name).exists() for name in ("claviger-local", "claviger-enclave-dev")):
            self.skipTest("the stand-ins are not built")
        local = process.bin_dir() / "claviger-local"
        up = process.Program([local, "up", "--dir", self.dir / "up"], self.dir / "up.log")
        self.addCleanup(up.stop)
        up.wait_line("ready")
        imds = process.Program([local, "imds", "--state", self.dir / "up/kms.json", "--life", "6"], self.dir / "imds.log")
        self.addCleanup(imds.stop)
        self.wait(imds, "ready ", out=True)
        address = imds.out_path.read_text().split()[1].replace("tcp:", "")
        self.env.pop("AWS_EC2_METADATA_DISABLED")
        self.start(AWS_ACCESS_KEY_ID="", AWS_SECRET_ACCESS_KEY="", AWS_EC2_METADATA_SERVICE_ENDPOINT=f"http://{address}")
        init = self.init()
        seen = [init.ask(1, "credentials")]
        for _ in range(2):
            seen.append(init.hear())
        self.assertEqual([m["id"] for m in seen], [1, 0, 0])
        self.assertEqual(len({m["session_token"] for m in seen}), 3)
        for m in seen:
            self.assertTrue(m["access_key_id"].startswith("ASIA"), m["access_key_id"])

    def test_the_newest_connection_wins(self):
        self.start()
        old = self.init()
        self.assertEqual(old.ask(1, "environment")["id"], 1)
        new = self.init()
        self.assertIsNone(old.hear())
        self.assertEqual(new.ask(2, "environment")["id"], 2)

    def test_hostile_lines_end_the_connection_and_nothing_else(self):
        program = self.start()
        for line in [b"\n", b"[]\n", b"{}\n", b"nonsense\n", b'{"type":1}\n', b'{"type":"hello"}\n',
                     b'{"type":"hello","protocol":2}\n', b'{"type":"want","id":1,"what":"environment"}\n',
                     b'{"type":"exit","status":0}\n', b"\xff\xfe\n", b"{" * 100000 + b"\n", b"x" * ((1 << 20) + 70000)]:
            with self.subTest(line=line[:40]):
                init = self.init(hello=False)
                with contextlib.suppress(OSError):
                    init.s.sendall(line)
                    self.assertEqual(read_all(init.s), b"")
        for line in [b'{"type":"want","id":0,"what":"file"}\n', b'{"type":"want","id":1,"what":"file"}\n',
                     b'{"type":"exit"}\n', b'{"type":"exit","status":0,"signal":1}\n', b'{"type":"exit","status":256}\n',
                     b'{"type":"stage","stage":1,"state":"end"}\n',
                     b'{"type":"want","id":1,"what":"file","name":"' + b"n" * 300 + b'"}\n']:
            with self.subTest(line=line[:40]):
                init = self.init()
                init.s.sendall(line)
                self.assertEqual(read_all(init.s), b"")
        self.assertEqual(self.init().ask(1, "environment")["id"], 1)
        self.assertTrue(program.alive())

    def test_one_that_asks_and_never_reads(self):
        (self.dir / "big").write_bytes(bytes(400 << 10))
        program = self.start("--file", f"big={self.dir}/big")
        init = self.init()
        init.s.settimeout(1)
        with contextlib.suppress(OSError):
            for number in range(1, 20000):
                init.say(type="want", id=number, what="file", name="big")
        rss = int(re.search(r"VmRSS:\s+(\d+)", pathlib.Path(f"/proc/{program.process.pid}/status").read_text()).group(1))
        self.assertLess(rss, 64 << 10)
        self.assertEqual(self.init().ask(1, "environment")["id"], 1)

    def test_rotate_stop_and_exit_status(self):
        program = self.start("--stop-timeout", "7")
        program.process.send_signal(signal.SIGHUP)
        self.wait(program, "no rotation")
        init = self.init()
        init.ask(1, "environment")
        program.process.send_signal(signal.SIGHUP)
        self.assertEqual(init.hear(), {"type": "rotate"})
        program.process.send_signal(signal.SIGTERM)
        self.assertEqual(init.hear(), {"type": "stop", "seconds": 7})
        self.assertTrue(program.alive())
        init.say(type="exit", signal=15)
        self.assertIsNone(init.hear())
        self.ends(program, 128 + 15)

    def test_rotation_by_the_clock(self):
        self.start("--rotate-every", "1")
        init = self.init()
        init.ask(1, "environment")
        for _ in range(2):
            self.assertEqual(init.hear(), {"type": "rotate"})

    def test_exit_status_and_the_last_lines_of_the_log(self):
        program = self.start()
        logs = self.open(9002)
        init = self.init()
        init.say(type="exit", status=42)
        self.assertIsNone(init.hear())
        logs.sendall(b"\x01" + struct.pack(">I", 10) + b"last words")
        logs.close()
        self.ends(program, 42)
        self.assertIn("stdout: last words\n", program.out_path.read_text())

    def test_stages_are_shown_and_a_failed_one_is_the_end(self):
        program = self.start()
        init = self.init()
        init.say(type="stage", stage="fetch", state="begin")
        init.say(type="stage", stage="fetch", state="retry", error="S3 says \x1b[31mno\nsecond line")
        init.say(type="stage", stage="decrypt", state="failed", error="KMS denies; PCR0 is abcd")
        init.close()
        self.ends(program, 1)
        log = program.tail()
        self.assertIn("enclave: fetch: begin\n", log)
        self.assertNotIn("\x1b", log)
        self.assertIn("did not boot: decrypt: KMS denies; PCR0 is abcd", log)

    def test_sigterm_without_an_enclave_and_a_second_one(self):
        program = self.start()
        program.process.send_signal(signal.SIGTERM)
        self.ends(program, 0)
        program = self.start()
        self.init().ask(1, "environment")
        program.process.send_signal(signal.SIGTERM)
        self.wait(program, "told to stop")
        program.process.send_signal(signal.SIGTERM)
        self.ends(program, 0)

    def test_json(self):
        program = self.start("--json")
        logs = self.open(9002, b"\x02" + struct.pack(">I", 4) + b"a\xffb\n")
        init = self.init()
        init.say(type="stage", stage="clock", state="end")
        init.say(type="exit", status=3)
        init.hear()
        logs.close()
        self.ends(program, 3)
        lines = [json.loads(line) for line in program.out_path.read_text().splitlines()]
        for line in lines:
            self.assertRegex(line.pop("time"), r"^2\d\d\d-")
        self.assertIn({"type": "hello", "version": "1", "build": "development", "debug": False, "pcr0": "ab" * 48}, lines)
        self.assertIn({"type": "stage", "stage": "clock", "state": "end", "error": None}, lines)
        self.assertIn({"type": "log", "stream": "stderr", "text": "a\\xffb"}, lines)
        self.assertEqual(lines[-1] if lines[-1]["type"] == "exit" else lines[-2], {"type": "exit", "status": 3})

    def test_secrets_are_not_shown(self):
        program = self.start("--env", "NAME=the-value-of-it")
        init = self.init()
        init.ask(1, "credentials")
        init.ask(2, "environment")
        program.process.send_signal(signal.SIGTERM)
        init.hear()
        init.say(type="exit", status=0)
        self.ends(program, 0)
        seen = program.tail(1 << 20) + program.out_path.read_text()
        self.assertNotIn("the-secret-key", seen)
        self.assertNotIn("the-value-of-it", seen)


class Logs(Case):
    @staticmethod
    def record(stream, data):
        return bytes([stream]) + struct.pack(">I", len(data)) + data

    def test_lines_of_each_stream(self):
        program = self.start()
        s = self.open(9002)
        data = b"".join([self.record(1, b"one\ntw"), self.record(2, b"error \x1b[2J\n"), self.record(1, b"o\n"),
                         self.record(0, b"from the init\n"), self.record(3, struct.pack(">Q", 12345)),
                         self.record(1, b"")])
        for byte in data:
            s.sendall(bytes([byte]))
        out = self.wait(program, "stdout: two\n", out=True)
        self.assertEqual(out, "stdout: one\nstdout: two\n")
        log = self.wait(program, "init: from the init\n")
        self.assertIn("stderr: error \\x1b[2J\n", log)
        self.assertIn("12345 bytes of its log are lost", log)
        # A line without an end is shown after a while, a long one in pieces.
        s.sendall(self.record(1, b"prompt> "))
        self.wait(program, "stdout: prompt> \n", out=True)
        s.sendall(self.record(1, b"x" * 8192) + self.record(1, b"y\n"))
        self.assertIn("stdout: " + "x" * 8192 + "\nstdout: y\n", self.wait(program, "stdout: y\n", out=True))

    def test_what_is_no_record_ends_the_connection(self):
        program = self.start()
        for bad in [b"\x04\x00\x00\x00\x00", b"\x01\x00\x00\x20\x01", b"\x01\xff\xff\xff\xff", b"\x03\x00\x00\x00\x07"]:
            self.assertEqual(read_all(self.open(9002, bad)), b"")
        self.open(9002, self.record(1, b"still here\n"))
        self.wait(program, "still here", out=True)

    def test_log_folder(self):
        (self.dir / "logs").mkdir()
        program = self.start("--log-dir", self.dir / "logs")
        self.open(9002, self.record(1, b"kept\n"))
        file = self.dir / "logs" / "enclave.log"
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and "kept" not in file.read_text():
            time.sleep(0.02)
        self.assertRegex(file.read_text(), r"^2\d\d\d-\d\d-\d\dT[\d:.]+Z stdout: kept\n$")
        self.assertEqual(program.out_path.read_text(), "")
        self.assertEqual(file.stat().st_mode & 0o777 & ~0o640, 0)

    def test_a_reader_that_hangs_holds_nothing_up(self):
        import subprocess
        program = subprocess.Popen([CLAVIGER, "enclave", "serve", "--dir", self.dir, "--region", "us-west-2"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=self.env)
        self.addCleanup(program.stdout.close)
        self.addCleanup(program.wait, 20)
        self.addCleanup(program.kill)
        deadline = time.monotonic() + 10
        while not (self.dir / "parent_9000").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        s = self.open(9002)
        s.settimeout(1)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 << 20:
                s.sendall(self.record(1, b"x" * 8000 + b"\n"))
                sent += 8006
        self.assertLess(sent, 16 << 20)  # its queue has an end
        init = self.init()
        self.assertEqual(init.ask(1, "environment")["id"], 1)
        self.assertEqual(read_all(self.open(9000, b"\xb7")), b"\xb7")


class Usage(Case):
    def test_wrong_use(self):
        for args in [[], ["--cid", "3"], ["--cid", "x"], ["--cid", "16", "--dir", "/tmp"], ["--dir", "/tmp", "more"]]:
            done = process.run([CLAVIGER, "enclave", "serve", *args], env=self.env, check=False)
            self.assertEqual(done.returncode, 2, done.stderr)
        for args in [["--egress", "host"], ["--egress", "h:1=tcp:name:1"], ["--expose", "80"], ["--expose", "1:99999"],
                     ["--aws-endpoint", "*.127.0.0.1:1"], ["--env", "=x"], ["--env", "novalue"],
                     ["--file", "x=/does/not/exist"], ["--file", "x"],
                     ["--log-dir", "/does/not/exist"]]:
            done = process.run([CLAVIGER, "enclave", "serve", "--dir", self.dir, "--region", "us-west-2", *args],
                               env=self.env, check=False)
            self.assertEqual(done.returncode, 1, (args, done.stderr))
            self.assertIn("Error: ", done.stderr)

    def test_only_one_serves(self):
        self.start()
        done = process.run([CLAVIGER, "enclave", "serve", "--dir", self.dir, "--region", "us-west-2"], env=self.env, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another process serves", done.stderr)


if __name__ == "__main__":
    unittest.main()
