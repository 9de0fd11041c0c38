# SPDX-License-Identifier: Apache-2.0
"""claviger proxy and names whose addresses change, with a name server of our own
in namespaces of our own: resolver files and the port 53 that nobody else sees."""
import fcntl
import json
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from claviger_testing import process
from claviger_testing.fake_stack import FakeStack

process.need("claviger")
CLAVIGER = process.bin_dir() / "claviger"
INSIDE = "CV_INSIDE_NAMESPACES"


class NameServer(threading.Thread):
    """Answers A of any name with ADDRESSES and TTL."""

    def __init__(self, addresses, ttl):
        super().__init__(daemon=True)
        self.addresses, self.ttl, self.questions = addresses, ttl, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 53))
        self.start()

    def run(self):
        while True:
            query, client = self.socket.recvfrom(4096)
            end = query.index(0, 12) + 5
            kind = struct.unpack(">H", query[end - 4:end - 2])[0]
            answers = self.addresses if kind == 1 else []
            self.questions += kind == 1
            body = b"".join(struct.pack(">HHHIH", 0xc00c, 1, 1, self.ttl, 4) + socket.inet_aton(a) for a in answers)
            self.socket.sendto(query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(answers), 0, 0) + query[12:end] + body,
                               client)


class Saying:
    """Says its own address to whoever connects."""

    def __init__(self, address, port=0):
        self.listener = socket.create_server((address, port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, args=(address,), daemon=True).start()

    def run(self, address):
        while True:
            client, _ = self.listener.accept()
            client.sendall(address.encode())
            client.close()


@unittest.skipUnless(os.environ.get(INSIDE), "runs inside")
class Names(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        with socket.socket() as s:  # lo up
            flags = fcntl.ioctl(s, 0x8913, struct.pack("16sH22x", b"lo", 0))
            up = struct.unpack("16sH22x", flags)[1] | 1
            fcntl.ioctl(s, 0x8914, struct.pack("16sH22x", b"lo", up))
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="cv-names-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        for name, text in (("resolv.conf", "nameserver 127.0.0.1\n"), ("nsswitch.conf", "hosts: files dns\n"),
                           ("hosts", "127.0.0.9 written.example\n")):
            (cls.dir / name).write_text(text)
            subprocess.run(["mount", "--bind", cls.dir / name, f"/etc/{name}"], check=True)
        cls.names = NameServer(["127.0.0.2"], 1)
        cls.one = Saying("127.0.0.2")
        cls.two = Saying("127.0.0.3", cls.one.port)

    def setUp(self):
        self.names.addresses, self.names.ttl = ["127.0.0.2"], 1

    def start(self, host, *more, allow=None, program="claviger"):
        port = self.one.port
        allowed = self.dir / "allow.yaml"
        allowed.write_text("---\n# as AWS writes it\nallowlist:\n" +
                           "".join("- {address: %s, port: %d}\n" % (a, port) for a in (allow or [host])))
        path = self.dir / "s"
        path.unlink(missing_ok=True)
        words = [CLAVIGER, "proxy"] if program == "claviger" else [program]
        p = process.Program([*words, "--config", allowed, "--listen", f"unix:{path}", *more, "8000", host, str(port)],
                            self.dir / "log")
        self.addCleanup(p.stop)
        deadline = time.monotonic() + 10
        while not path.exists():
            self.assertTrue(p.alive() and time.monotonic() < deadline, p.tail())
            time.sleep(0.02)
        return p

    def ask(self):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(15)
            s.connect(str(self.dir / "s"))
            return s.recv(100).decode()

    def becomes(self, answer, seconds):
        begin = time.monotonic()
        while self.ask() != answer:
            self.assertLess(time.monotonic() - begin, seconds)
            time.sleep(0.1)
        return time.monotonic() - begin

    def test_again_by_the_time_to_live(self):
        self.start("a.example")
        self.assertEqual(self.ask(), "127.0.0.2")
        self.names.addresses = ["127.0.0.3"]
        self.becomes("127.0.0.3", 5)

    def test_no_earlier_than_that(self):
        self.names.ttl = 600
        self.start("b.example")
        self.assertEqual(self.ask(), "127.0.0.2")
        asked = self.names.questions
        self.names.addresses = ["127.0.0.3"]
        time.sleep(3)
        self.assertEqual(self.ask(), "127.0.0.2")
        self.assertEqual(self.names.questions, asked)

    def test_interval_beats_it(self):
        self.names.ttl = 600
        self.start("c.example", "--resolve-interval", "1")
        self.assertEqual(self.ask(), "127.0.0.2")
        self.names.addresses = ["127.0.0.3"]
        self.becomes("127.0.0.3", 5)

    def test_every_address_is_tried(self):
        self.names.addresses = ["127.0.0.8", "127.0.0.7", "127.0.0.3"]
        self.start("d.example")
        self.assertEqual(self.ask(), "127.0.0.3")

    def test_only_addresses_on_the_list(self):
        """A name that is allowed by its address is not followed elsewhere."""
        self.start("e.example", allow=["127.0.0.2"])
        self.assertEqual(self.ask(), "127.0.0.2")
        self.names.addresses = ["127.0.0.3", "127.0.0.2"]
        time.sleep(2.5)
        self.assertEqual(self.ask(), "127.0.0.2")
        self.names.addresses = ["127.0.0.3"]
        self.becomes("", 5)
        self.names.addresses = ["127.0.0.2"]
        self.becomes("127.0.0.2", 8)

    def test_called_vsock_proxy(self):
        name = self.dir / "vsock-proxy"
        if not name.exists():
            name.symlink_to(CLAVIGER)
        self.start("f.example", "-4", "-w", "20", program=name)
        self.assertEqual(self.ask(), "127.0.0.2")

    def test_the_daemons_own(self):
        """Inside the daemon's sandbox, which kills for a system call that is not on its list."""
        with FakeStack() as s:
            config = json.loads(s.config.read_text())
            config["vaults"]["nitro"]["config"].update(
                proxy_remote_address=f"g.example:{self.one.port}", proxy_local_address=f"unix:{self.dir}/s")
            s.config.write_text(json.dumps(config))
            (self.dir / "s").unlink(missing_ok=True)
            s.env["CLAVIGER_SANDBOX"] = "kill"
            s.serve()
            self.becomes("127.0.0.2", 5)
            self.names.addresses = ["127.0.0.3"]
            self.becomes("127.0.0.3", 5)
            self.assertIsNone(s.daemon.process.poll())

    def test_from_the_hosts_file(self):
        saying = Saying("127.0.0.9", self.one.port)
        self.start("written.example")
        self.assertEqual(self.ask(), "127.0.0.9")
        saying.listener.close()


def main():
    if os.environ.get(INSIDE):
        unittest.main()
    command = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
    if os.geteuid() == 0 and subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True).returncode == 0:
        command = ["unshare", "--net", "--mount"]
    elif shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode != 0:
        process.skip("no namespaces can be made here")
    sys.exit(subprocess.run([*command, sys.executable, __file__, *sys.argv[1:]], env=dict(os.environ, **{INSIDE: "1"}),
                            timeout=300).returncode)


if __name__ == "__main__":
    main()
