# SPDX-License-Identifier: Apache-2.0
"""The parent of an enclave (docs/protocol/parent.md) in Python, on UNIX sockets."""

import base64
import json
import pathlib
import select
import socket
import struct
import threading
import time


class Parent:
    """Listens on DIR/parent_P. AWS and EGRESS map "host:port" to the (host,
    port) that a CONNECT is led to. What arrives is kept in messages and logs."""

    path = "parent_{}"

    def __init__(self, directory, credentials=None, environment=None, files=None, aws=None, egress=None,
                 silent=(), lies=()):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir(parents=True, exist_ok=True)
        self.credentials = credentials
        self.environment = environment or {}
        self.files = files or {}
        self.aws, self.egress = aws or {}, egress or {}
        self.silent = set(silent)       # ports that accept and say nothing
        self.lies = list(lies)          # of LIES: what the first questions are answered with
        self.messages, self.records = [], []
        self.asked = []                 # CONNECT lines
        self.changed = threading.Condition()
        self.control = None
        self.sockets, self.stopping = [], False

    def start(self, ports=(9000, 8000, 8001, 9001, 9002)):
        for port in ports:
            self.listen(port)
        return self

    def listen(self, port):
        handler = {9000: self.heartbeat, 8000: self.connect_aws, 8001: self.connect_egress,
                   9001: self.control_lines, 9002: self.logs}[port]
        server = socket.socket(socket.AF_UNIX)
        path = self.dir / self.path.format(port)
        if path.exists():
            path.unlink()
        server.bind(str(path))
        server.listen(64)
        self.sockets.append(server)
        threading.Thread(target=self.accept, args=(server, port, handler), daemon=True).start()

    def accept(self, server, port, handler):
        while not self.stopping:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self.sockets.append(connection)
            if port not in self.silent:
                threading.Thread(target=self.guard, args=(handler, connection), daemon=True).start()

    @staticmethod
    def guard(handler, connection):
        try:
            handler(connection)
        except OSError:
            pass
        finally:
            connection.close()

    def heartbeat(self, connection):
        byte = connection.recv(1)
        with self.changed:
            self.messages.append({"type": "heartbeat", "byte": byte})
            self.changed.notify_all()
        connection.sendall(b"\xb7")

    # ---- connections outwards ----

    def connect_aws(self, connection):
        self.connect(connection, self.aws)

    def connect_egress(self, connection):
        self.connect(connection, self.egress)

    def connect(self, connection, table):
        line = b""
        while not line.endswith(b"\n"):
            more = connection.recv(1)
            if not more or len(line) > 300:
                return
            line += more
        word, _, target = line.decode().strip().partition(" ")
        self.asked.append(target)
        where = table.get(target)
        if word != "CONNECT" or where is None:
            connection.sendall(f"ERR {target} is not allowed\n".encode())
            return
        try:
            up = socket.create_connection(where, 10)
        except OSError as e:
            connection.sendall(f"ERR {e}\n".encode())
            return
        up.settimeout(None)
        connection.sendall(b"OK\n")
        with up:
            self.relay(connection, up)

    @staticmethod
    def relay(a, b):
        open_ends = {a: b, b: a}
        while open_ends:
            for s in select.select(list(open_ends), [], [], 60)[0]:
                data = s.recv(65536)
                if data:
                    open_ends[s].sendall(data)
                else:
                    open_ends.pop(s).shutdown(socket.SHUT_WR)

    # ---- control ----

    def control_lines(self, connection):
        with self.changed:
            self.control = connection
            self.changed.notify_all()
        with connection.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                assert isinstance(message, dict)
                with self.changed:
                    self.messages.append(message)
                    self.changed.notify_all()
                if message["type"] == "want":
                    self.answer(message)

    def answer(self, message):
        if self.lies:
            lie = self.lies.pop(0)
            self.send(lie(message) if callable(lie) else lie)
        elif message["what"] == "credentials" and self.credentials:
            self.send(dict(self.credentials, type="credentials", id=message["id"]))
        elif message["what"] == "environment":
            self.send({"type": "environment", "id": message["id"], "variables": self.environment})
        elif message["what"] == "file":
            content = self.files.get(message["name"])
            if content is None:
                self.send({"type": "file", "id": message["id"], "error": f"no file {message['name']}"})
            else:
                self.send({"type": "file", "id": message["id"], "content": base64.b64encode(content).decode()})

    def send(self, message):
        data = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        self.wait(lambda p: p.control is not None)
        self.control.sendall(data)

    # ---- logs ----

    def logs(self, connection):
        data = b""
        while True:
            more = connection.recv(65536)
            if not more:
                return
            data += more
            while len(data) >= 5 and len(data) >= 5 + struct.unpack_from(">I", data, 1)[0]:
                stream, n = struct.unpack_from(">BI", data)
                assert n <= 8192
                with self.changed:
                    self.records.append((stream, data[5:5 + n]))
                    self.changed.notify_all()
                data = data[5 + n:]

    # ---- what the tests ask ----

    def wait(self, predicate, seconds=20):
        with self.changed:
            if not self.changed.wait_for(lambda: predicate(self), seconds):
                raise TimeoutError(f"messages: {self.messages}\nlogs: {self.text()}")

    def of(self, kind, **members):
        return [m for m in list(self.messages) if m["type"] == kind
                and all(m.get(k) == v for k, v in members.items())]

    def wait_message(self, kind, seconds=20, **members):
        self.wait(lambda p: p.of(kind, **members), seconds)
        return self.of(kind, **members)[0]

    def output(self, stream=1):
        return b"".join(d for s, d in list(self.records) if s == stream).decode(errors="replace")

    def text(self):
        return "".join(f"[{s}] {d.decode(errors='replace')}" for s, d in list(self.records))

    def wait_output(self, text, stream=1, seconds=20):
        self.wait(lambda p: text in p.output(stream), seconds)

    def stop(self):
        self.stopping = True
        for s in self.sockets:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()


def line(value):
    return json.dumps(value).encode() + b"\n"


# Answers that are none, after which what was asked for is asked for again.
LIES = (
    b"no JSON\n", b"[]\n", b"\xff\xfe\n", b"{\n", line("text"), line({"type": 7}), line({}),
    b"x" * (2 << 20) + b"\n", b"[" * 100000 + b"\n",
    lambda m: line({"type": "credentials", "id": m["id"]}),
    lambda m: line({"type": "credentials", "id": m["id"], "access_key_id": 1, "secret_access_key": [],
                    "session_token": {}, "expiration": "never"}),
    lambda m: line({"type": "credentials", "id": m["id"], "access_key_id": "A\r\nX: y",
                    "secret_access_key": "s", "session_token": "", "expiration": None}),
    lambda m: line({"type": m["what"], "id": m["id"], "error": ""}),
    lambda m: line({"type": m["what"], "id": m["id"], "error": "no\x1b[31m today"}),
    lambda m: line({"type": "file", "id": m["id"], "content": "*"}),
    lambda m: line({"type": "file", "id": m["id"], "content": "AAAA"}),
    lambda m: line({"type": "environment", "id": m["id"], "variables": {}}),
    lambda m: line({"type": "error", "id": m["id"], "error": "what?"}),
)


def wait_until(predicate, seconds=20):
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)
