# SPDX-License-Identifier: Apache-2.0
"""Clients that mean no good: whatever they do, good clients are served, in
time, and the daemon's memory stays flat.

CV_IDLE sets how many idle connections there are (10,000, or what the limit of
open files allows).
"""

import contextlib
import http.client
import json
import os
import resource
import socket
import ssl
import struct
import threading
import time
import unittest

from claviger_testing import process, tezos
from claviger_testing.fake_stack import FakeStack
from claviger_testing.stack import Reply

process.need("claviger")
UNKNOWN = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"
MIB = 1 << 20


def files():
    """How many descriptors this process may open, after asking for all."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


IDLE = min(int(os.environ.get("CV_IDLE", "10000")), files() - 500)


class GoodClient(threading.Thread):
    """Signs again and again, each time over a new connection, and checks what
    it gets."""

    def __init__(self, stack, key):
        super().__init__(daemon=True)
        self.stack, self.key = stack, key
        self.slowest, self.served, self.faults, self.stopping = 0.0, 0, [], False

    def once(self):
        started = time.monotonic()
        pkh = self.key["public_key_hash"]
        message = tezos.transaction(pkh, UNKNOWN, self.served + 1)
        try:
            answer = self.stack.sign(pkh, message)
            if answer.status != 200:
                self.faults.append((answer.status, answer.body))
            elif not tezos.verify(self.key["public_key"], answer.json()["signature"], message):
                self.faults.append("a wrong signature")
        except Exception as e:  # pylint: disable=broad-except
            self.faults.append(repr(e))
        self.slowest = max(self.slowest, time.monotonic() - started)
        self.served += 1

    def run(self):
        while not self.stopping:
            self.once()
            time.sleep(0.01)


class Hostile(unittest.TestCase):
    limits = {"request_seconds": 2, "idle_seconds": 5}

    @classmethod
    def setUpClass(cls):
        cls.stack = FakeStack(server={"limits": cls.limits})
        cls.addClassCleanup(cls.stack.down)
        cls.key = cls.stack.generate("tz1")
        cls.stack.allow(cls.key["public_key_hash"])
        cls.stack.serve()

    def rss(self):
        with open(f"/proc/{self.stack.daemon.process.pid}/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.stack.daemon.process.pid}/fd"))

    @contextlib.contextmanager
    def served_meanwhile(self, seconds=4.0, grows=16 * MIB):
        """A good client is served while the body runs; afterwards the memory
        is what it was, and no descriptor is left."""
        for _ in range(20):
            GoodClient(self.stack, self.key).once()  # what grows once has grown
        before, open_before = self.rss(), self.descriptors()
        good = GoodClient(self.stack, self.key)
        good.start()
        try:
            yield
        finally:
            good.stopping = True
            good.join(30)
        for _ in range(3):
            good.once()
        self.assertEqual(good.faults, [])
        self.assertLess(good.slowest, seconds)
        if os.environ.get("CV_VERBOSE"):
            print(f"{self.id()}: {good.served} served meanwhile, slowest {good.slowest:.3f} s, "
                  f"memory {before // 1024} to {self.rss() // 1024} KiB", flush=True)
        deadline = time.monotonic() + 12
        while self.descriptors() > open_before + 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertLessEqual(self.descriptors(), open_before + 4)
        if not process.sanitized():
            deadline = time.monotonic() + 3
            while self.rss() > before + grows and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertLess(self.rss(), before + grows)

    def connect(self, timeout=10):
        return socket.create_connection(("127.0.0.1", self.stack.main), timeout)

    def post(self, extra="", length=None, amount=1):
        pkh = self.key["public_key_hash"]
        body = json.dumps(tezos.transaction(pkh, UNKNOWN, amount).hex())
        head = f"POST /keys/{pkh} HTTP/1.1\r\nHost: x\r\n{extra}"
        return (head + f"Content-Length: {len(body) if length is None else length}\r\n\r\n").encode(), body.encode()

    @staticmethod
    def read_all(s):
        """What comes until the connection ends, by whichever end."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while piece := s.recv(65536):
                data += piece
        return data

    # --- who leave ------------------------------------------------------------

    def test_leaving(self):
        head, body = self.post()
        whole = head + body
        with self.served_meanwhile():
            for reset in (False, True):
                for cut in list(range(1, len(whole), 37)) + [len(head), len(whole)]:
                    s = self.connect()
                    if reset:  # RST in place of FIN
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    s.sendall(whole[:cut])
                    s.close()

    def test_half_closed(self):
        """Who closes its half after a whole request gets the answer; who
        closes it earlier gets no signature."""
        head, body = self.post(amount=77)
        with self.served_meanwhile():
            for cut in [None] * 60 + [len(head) // 2, len(head), len(head) + 9]:
                with self.connect() as s:
                    s.sendall((head + body)[:cut])
                    s.shutdown(socket.SHUT_WR)
                    data = self.read_all(s)
                if cut is None:
                    self.assertIn(b" 200 ", data[:16])
                    signature = json.loads(data.split(b"\r\n\r\n", 1)[1])["signature"]
                    message = tezos.transaction(self.key["public_key_hash"], UNKNOWN, 77)
                    self.assertTrue(tezos.verify(self.key["public_key"], signature, message))
                else:
                    self.assertNotIn(b" 200 ", data[:16])

    def test_never_reading(self):
        """Thousands of requests on one connection whose answers nobody reads."""
        head, body = self.post()
        with self.served_meanwhile():
            sockets = [self.connect() for _ in range(4)]
            for s in sockets:
                s.settimeout(0.5)
                with contextlib.suppress(OSError):
                    for _ in range(200):
                        s.sendall((head + body) * 20)
            time.sleep(1)
            for s in sockets:
                s.close()

    # --- who are slow ---------------------------------------------------------

    def dribble(self, parts, count=100, seconds=7.0):
        """COUNT connections that send a byte of PARTS now and then, for ever.
        Returns how long the last of them was let live."""
        conns = []
        for _ in range(count):
            s = self.connect()
            s.setblocking(False)
            conns.append(s)
        started, last = time.monotonic(), 0.0
        position = 0
        while conns and time.monotonic() - started < seconds:
            byte = parts[position:position + 1] or parts[-1:]
            position += 1
            for s in list(conns):
                try:
                    s.send(byte)
                    if s.recv(4096) == b"":
                        raise ConnectionError
                except BlockingIOError:
                    pass
                except OSError:
                    conns.remove(s)
                    s.close()
                    last = time.monotonic() - started
            time.sleep(0.15)
        left = len(conns)
        for s in conns:
            s.close()
        self.assertEqual(left, 0, "slow connections were let live")
        return last

    def test_slow_headers(self):
        with self.served_meanwhile():
            self.dribble(b"POST /keys/x HTTP/1.1\r\nHost: x\r\nX-A: a")

    def test_slow_bodies(self):
        head, _ = self.post(length=1000)
        with self.served_meanwhile():
            conns = []
            for _ in range(100):
                s = self.connect()
                s.sendall(head)
                conns.append(s)
            deadline = time.monotonic() + 7
            while conns and time.monotonic() < deadline:
                for s in list(conns):
                    s.setblocking(False)
                    try:
                        s.send(b"0")
                        if s.recv(4096) == b"":
                            raise ConnectionError
                    except BlockingIOError:
                        pass
                    except OSError:
                        conns.remove(s)
                        s.close()
                time.sleep(0.15)
            left = len(conns)
            for s in conns:
                s.close()
            self.assertEqual(left, 0, "slow bodies were let live")

    # --- who are many ---------------------------------------------------------

    def idle(self, count):
        conns = []
        for _ in range(count):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.stack.main))
            conns.append(s)
            if len(conns) % 100 == 0:
                time.sleep(0.01)
        return conns

    # --- who talk nonsense ----------------------------------------------------

    def talk(self, data, seconds=10):
        """Sends DATA, and returns what came until the daemon closed."""
        with self.connect(seconds) as s:
            s.settimeout(seconds)
            with contextlib.suppress(ConnectionError):
                s.sendall(data)
            return self.read_all(s)

    def test_large_headers(self):
        with self.served_meanwhile():
            for data in (b"GET / HTTP/1.1\r\nX: " + b"a" * MIB, b"GET /" + b"a" * MIB + b" HTTP/1.1\r\n\r\n",
                         b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * (MIB // 6), b"a" * MIB, b"\r\n" * (MIB // 2),
                         b"GET / HTTP/1.1\r\n" + b" folded\r\n" * (MIB // 9), bytes(MIB), b"\xff" * MIB):
                answer = self.talk(data)
                self.assertTrue(answer == b"" or answer[9:10] == b"4", (data[:30], answer[:60]))

    def test_bad_chunks(self):
        pkh = self.key["public_key_hash"]
        head = f"POST /keys/{pkh} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        with self.served_meanwhile():
            for chunk in (b"ZZ\r\n", b"-1\r\n", b"ffffffffffffffff\r\nx", b"10000000000000000\r\n", b"0x2\r\n\"\"\r\n",
                          b"2\r\n\"\"XX0\r\n\r\n", b"2;" + b"e" * MIB, b"2\n\"\"\n0\n\n" + b"X" * 100, b"\r\n\r\n\r\n"):
                answer = self.talk(head + chunk)
                self.assertNotIn(b" 200 ", answer[:16], chunk[:20])

    def test_both_lengths(self):
        """A body of two lengths is how requests are smuggled."""
        head, body = self.post("Transfer-Encoding: chunked\r\n")
        with self.served_meanwhile():
            answer = self.talk(head + b"0\r\n\r\n" + head + body)
            self.assertNotIn(b" 200 ", answer)
            for lengths in ("Content-Length: 5\r\n", "Content-Length: -5\r\n", "Content-Length: 99999999999999999999\r\n",
                            "Content-Length: 5x\r\n"):
                head, body = self.post(lengths)
                answer = self.talk(head + body)
                self.assertNotIn(b" 200 ", answer[:16], lengths)

    def test_endless_bodies(self):
        pkh = self.key["public_key_hash"]
        head = f"POST /keys/{pkh} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        chunk = b"10000\r\n" + b"0" * 65536 + b"\r\n"
        ended = []

        def pour():
            started = time.monotonic()
            with self.connect() as s:
                with contextlib.suppress(OSError):
                    s.sendall(head)
                    while time.monotonic() - started < 8:
                        s.sendall(chunk)
            ended.append(time.monotonic() - started)

        with self.served_meanwhile():
            threads = [threading.Thread(target=pour) for _ in range(4)]
            for t in threads:
                t.start()
            for t in threads:
                t.join(30)
        self.assertEqual(len(ended), 4)
        if os.environ.get("CV_VERBOSE"):
            print(ended)
        self.assertLess(max(ended), 7)

    def test_pipelining(self):
        """Five hundred requests in one breath: as many answers, in order."""
        requests, messages = b"", []
        pkh = self.key["public_key_hash"]
        for i in range(500):
            head, body = self.post(amount=1000 + i)
            requests += head + body
            messages.append(tezos.transaction(pkh, UNKNOWN, 1000 + i))
        with self.served_meanwhile():
            with self.connect(30) as s:
                threading.Thread(target=s.sendall, args=(requests,), daemon=True).start()
                data = b""
                while data.count(b'{"signature"') < 500 or not data.endswith(b"}\n"):
                    piece = s.recv(65536)
                    self.assertTrue(piece, data[-200:])
                    data += piece
        answers = [json.loads(line) for line in data.decode().splitlines() if line.startswith("{")]
        self.assertEqual(len(answers), 500)
        for answer, message in list(zip(answers, messages))[::7]:
            self.assertTrue(tezos.verify(self.key["public_key"], answer["signature"], message))

    def test_garbage(self):
        chance = __import__("random").Random(4)
        head, body = self.post()
        with self.served_meanwhile():
            for _ in range(150):
                data = bytearray(head + body)
                for _ in range(chance.randrange(1, 8)):
                    data[chance.randrange(len(data))] = chance.randrange(256)
                with self.connect() as s:
                    s.settimeout(0.05)
                    with contextlib.suppress(OSError):
                        s.sendall(data)
                        s.recv(4096)


class Idle(Hostile):
    """With the limits that are the default."""
    limits = {}
    # pylint: disable=missing-function-docstring

    def test_idle(self):
        """More idle connections than there may be: new ones still get in."""
        if IDLE < 1000:
            self.skipTest("too few files may be opened")
        opened = []
        try:
            with self.served_meanwhile(seconds=6.0):
                opened = self.idle(IDLE)
                time.sleep(1)
                head, body = self.post()
                with self.connect() as s:
                    s.sendall(head + body)
                    self.assertIn(b" 200 ", s.recv(4096)[:16])
                for s in opened:
                    s.close()
            with self.served_meanwhile(seconds=6.0):  # and a second time, nothing grows
                opened = self.idle(IDLE)
                time.sleep(0.5)
                for s in opened:
                    s.close()
        finally:
            for s in opened:
                s.close()

    def test_small_cap(self):
        """A cap of a few connections, all taken by idle ones."""
        with FakeStack(server={"limits": {"connections": 4}}) as stack:
            key = stack.generate("tz1")
            stack.allow(key["public_key_hash"])
            stack.serve()
            conns = [socket.create_connection(("127.0.0.1", stack.main), 10) for _ in range(12)]
            good = GoodClient(stack, key)
            for _ in range(5):
                good.once()
            self.assertEqual(good.faults, [])
            for s in conns:
                s.close()


class Tls(Hostile):
    """The same nonsense where TLS is spoken, and handshakes that never end."""
    limits = {"request_seconds": 2, "idle_seconds": 5}

    @classmethod
    def setUpClass(cls):
        cls.stack = FakeStack()
        cls.addClassCleanup(cls.stack.down)
        pem, key = cls.stack.dir / "tls.pem", cls.stack.dir / "tls.key"
        process.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", pem])
        cls.stack.server = {"limits": cls.limits, "tls": {"certificate": str(pem), "key": str(key)}}
        cls.key = cls.stack.generate("tz1")
        cls.stack.allow(cls.key["public_key_hash"])
        cls.stack.serve()
        context = ssl.create_default_context(cafile=pem)

        def request(method, path, body=None, headers=None, timeout=30):
            connection = http.client.HTTPSConnection("localhost", cls.stack.main, timeout=timeout, context=context)
            connection.connect()
            try:
                connection.request(method, path, body, headers or {})
                answer = connection.getresponse()
                return Reply(answer.status, dict(answer.getheaders()), answer.read())
            finally:
                connection.close()

        cls.stack.request = request

    def test_handshakes(self):
        hello = bytes.fromhex("1603010200010001fc0303") + bytes(32)  # the beginning of one
        with self.served_meanwhile():
            conns = []
            for data in (b"", b"\x16", hello, b"\x80" * 20, b"GET / HTTP/1.1\r\n\r\n", b"\x15\x03\x01\x00\x02\x02\x28"):
                for _ in range(30):
                    s = self.connect()
                    with contextlib.suppress(OSError):
                        s.sendall(data)
                    conns.append(s)
            deadline = time.monotonic() + 8
            for s in conns:  # each of them is ended
                s.settimeout(max(0.1, deadline - time.monotonic()))
                with contextlib.suppress(ConnectionError):
                    while s.recv(4096):
                        pass
                s.close()


for inherited in [n for n in dir(Hostile) if n.startswith("test_") and n not in ("test_leaving", "test_large_headers")]:
    setattr(Tls, inherited, None)
for inherited in [n for n in dir(Hostile) if n.startswith("test_")]:
    setattr(Idle, inherited, None)  # they ran with the shorter limits already


if __name__ == "__main__":
    unittest.main()
