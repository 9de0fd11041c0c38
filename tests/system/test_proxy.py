# SPDX-License-Identifier: Apache-2.0
"""claviger proxy: the real program, over UNIX sockets and loopback TCP."""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

from claviger_testing import process

process.need("claviger")
CLAVIGER = process.bin_dir() / "claviger"


class Echo:
    """Echoes until the client's half-close, then says bye."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
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
            try:
                while data := s.recv(65536):
                    s.sendall(data)
                s.sendall(b"bye")
            except OSError:
                pass

    def close(self):
        self.listener.close()


def read_all(s):
    data = b""
    while part := s.recv(65536):
        data += part
    return data


class Proxy(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cv-proxy-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.echo = Echo()
        self.addCleanup(self.echo.close)

    def start(self, *args, allow=None):
        allow = [("127.0.0.1", self.echo.port)] if allow is None else allow
        config = self.dir / "allow.yaml"
        config.write_text("allowlist:\n" + "".join("- {address: %s, port: %d}\n" % a for a in allow))
        program = process.Program([CLAVIGER, "proxy", "--config", config, *args], self.dir / "log")
        self.addCleanup(program.stop)
        return program

    def wait(self, program, text, seconds=10):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if re.search(text, program.tail()):
                return re.search(text, program.tail())
            if not program.alive():
                break
            time.sleep(0.02)
        self.fail("no %r in:\n%s" % (text, program.tail()))

    def dial(self, path):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(10)
        s.connect(str(path))
        self.addCleanup(s.close)
        return s

    def test_several_targets_and_half_close(self):
        second = Echo()
        self.addCleanup(second.close)
        a, b = self.dir / "a.sock", self.dir / "b.sock"
        program = self.start("--listen", "unix:%s" % a, "8000", "127.0.0.1", self.echo.port,
                             "--forward", "unix:%s=127.0.0.1:%d" % (b, second.port),
                             allow=[("127.0.0.1", self.echo.port), ("localhost", second.port)])
        self.wait(program, "(?s)proxy listening.*proxy listening")
        for path in (a, b):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            s = self.dial(path)
            s.sendall(b"x" * 100000)
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(s), b"x" * 100000 + b"bye")
        self.assertEqual(program.stop(), 0)
        self.assertFalse(a.exists() or b.exists())
        self.assertIn("bytes_up=100000", program.tail())

    def test_cap_and_metrics(self):
        path = self.dir / "p.sock"
        program = self.start("-w", "2", "--listen", "unix:%s" % path, "--metrics", "tcp:127.0.0.1:0",
                             "8000", "127.0.0.1", self.echo.port)
        port = self.wait(program, r"metrics listening.*tcp:127\.0\.0\.1:(\d+)").group(1)
        held = [self.dial(path) for _ in range(2)]
        for s in held:
            s.sendall(b"ping")
            self.assertEqual(s.recv(4), b"ping")
        self.assertEqual(read_all(self.dial(path)), b"")
        text = urllib.request.urlopen("http://127.0.0.1:%s/metrics" % port, timeout=5).read().decode()
        self.assertRegex(text, r'claviger_proxy_connections\{listen="unix:[^"]*",target="127.0.0.1:\d+"\} 2\n')
        self.assertRegex(text, r"claviger_proxy_refused_total\{[^}]*\} 1\n")
        with self.assertRaises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen("http://127.0.0.1:%s/other" % port, timeout=5)
        self.assertEqual(caught.exception.code, 404)

    def test_dead_target_and_recovery(self):
        path = self.dir / "p.sock"
        placeholder = socket.create_server(("127.0.0.1", 0))
        port = placeholder.getsockname()[1]
        placeholder.close()
        program = self.start("--listen", "unix:%s" % path, "8000", "localhost", port, allow=[("localhost", port)])
        self.wait(program, "proxy listening")
        self.assertEqual(read_all(self.dial(path)), b"")
        self.wait(program, "Connection refused")
        revived = socket.create_server(("127.0.0.1", port))
        self.addCleanup(revived.close)
        s = self.dial(path)
        revived.settimeout(10)
        peer, _ = revived.accept()
        peer.sendall(b"back")
        self.assertEqual(s.recv(4), b"back")
        peer.close()

    def test_two_hundred_connections_and_a_slow_reader(self):
        path = self.dir / "p.sock"
        program = self.start("--listen", "unix:%s" % path, "8000", "127.0.0.1", self.echo.port)
        self.wait(program, "proxy listening")
        slow = self.dial(path)
        slow.settimeout(0.3)
        try:
            while True:
                slow.sendall(b"z" * 1000000)
        except OSError:
            pass
        many = [self.dial(path) for _ in range(200)]
        for i, s in enumerate(many):
            s.sendall(b"%04d" % i)
        for i, s in enumerate(many):
            self.assertEqual(s.recv(4), b"%04d" % i)

    def test_refusals(self):
        kms = "kms.us-east-1.amazonaws.com"
        for args, status, says in [
            (["8000", "evil.example", "443"], 1, "not on the allowlist"),
            (["8000", "127.0.0.1", "1"], 1, "not on the allowlist"),
            (["-4", "-6", "8000", kms, "443"], 2, "exclude each other"),
            (["-w", "0", "8000", kms, "443"], 2, "num_workers"),
            (["x", kms, "443"], 2, "vsock port"),
            (["8000", "a b", "443"], 2, "remote address"),
            (["8000", kms, "70000"], 2, "remote port"),
            (["8000", kms], 2, "expected LOCAL_PORT"),
            ([], 2, "no target"),
            (["--forward", "nonsense"], 2, "--forward"),
            (["--forward", "tcp:127.0.0.1:0=host"], 2, "--forward"),
        ]:
            config = self.dir / "allow.yaml"
            config.write_text("allowlist:\n- {address: 127.0.0.1, port: 2}\n")
            done = process.run([CLAVIGER, "proxy", "--config", config, *args], check=False, seconds=20)
            self.assertEqual(done.returncode, status, (args, done.stderr))
            self.assertIn(says, done.stderr, args)
        (self.dir / "allow.yaml").write_text("allowlist:\n- {address: x}\n")
        done = process.run([CLAVIGER, "proxy", "--config", self.dir / "allow.yaml", "1", kms, "443"], check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("allow.yaml:2", done.stderr)
        busy = self.dir / "busy.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(busy))
            other.listen()
            program = self.start("--listen", "unix:%s" % busy, "8000", "127.0.0.1", self.echo.port)
            self.assertEqual(program.process.wait(10), 1)
            self.assertIn("another process serves", program.tail())


if __name__ == "__main__":
    unittest.main()
