#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""claviger-init's network: names of the egress list lead to the parent, nothing
else leads anywhere; inbound ports; the HTTP proxy; ends and halves of
connections."""

import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["CV_SOURCE_DIR"], "tests/lib"))
from claviger_testing.init_case import InitCase  # noqa: E402
from claviger_testing.rootfs import copy_in  # noqa: E402


class Server:
    """Serves each connection by HANDLER in a thread."""

    def __init__(self, handler):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.handler = handler
        self.count = 0
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.count += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection:
            try:
                self.handler(connection)
            except OSError:
                pass

    def close(self):
        self.socket.close()


def echo_after_the_end(connection):
    """Answers only when the other side has ended its half."""
    data = b""
    while more := connection.recv(65536):
        data += more
    connection.sendall(hashlib.sha256(data).hexdigest().encode() + b"\n")


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{self.path} {self.headers['Host']} {self.headers.get('Connection')}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Network(InitCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = cls.top / "image/rootfs"
        perl = shutil.which("perl")
        copy_in(cls.root, perl, "/usr/bin/perl")
        libs = subprocess.run(["ldd", perl], capture_output=True, text=True, check=True).stdout
        for word in libs.split():
            if word.startswith("/"):
                copy_in(cls.root, word, word)
        for folder in ("/usr/lib/x86_64-linux-gnu/perl-base", "/usr/lib/aarch64-linux-gnu/perl-base"):
            if os.path.isdir(folder):
                shutil.copytree(folder, cls.root / folder.lstrip("/"))

    def server(self, handler):
        s = Server(handler)
        self.addCleanup(s.close)
        return s

    def test_by_name(self):
        one, two = (self.server(lambda c, n=n: c.sendall(n)) for n in (b"one\n", b"two\n"))
        self.prepare(egress={"db.example:5432": one.address, "db.example:5433": two.address,
                             "api.example:443": two.address})
        out = self.boot("for t in db.example/5432 db.example/5433 API.example/443; do exec 3<>/dev/tcp/$t; cat <&3; "
                        "exec 3<&-; done; cat /etc/hosts",
                        egress=["db.example:5432", "DB.example:5433", "api.example:443"], hostname="inside")
        self.assertEqual(out, "one\ntwo\ntwo\n127.0.0.1 localhost\n10.9.8.7 from-the-image\n127.0.0.1 inside\n"
                              "127.77.0.2 db.example\n127.77.0.3 api.example\n")
        self.assertEqual(sorted(self.parent.asked), ["api.example:443", "db.example:5432", "db.example:5433"])

    def test_by_address(self):
        one = self.server(lambda c: c.sendall(b"by ip\n"))
        self.prepare(egress={"10.1.2.3:80": one.address, "127.9.9.9:81": one.address})
        out = self.boot("for t in 10.1.2.3/80 127.9.9.9/81; do exec 3<>/dev/tcp/$t; cat <&3; "
                        "exec 3<&-; done", egress=["10.1.2.3:80", "127.9.9.9:81"])
        self.assertEqual(out, "by ip\n" * 2)

    def test_by_ipv6_address(self):
        if not os.path.exists("/proc/net/if_inet6"):
            self.skipTest("the kernel has no IPv6")
        one = self.server(lambda c: c.sendall(b"by six\n"))
        self.prepare(egress={"[2001:db8::7]:80": one.address, "[fd00::1:2]:443": one.address})
        out = self.boot("for t in 2001:db8::7/80 2001:0db8:0:0::7/80 fd00::1:2/443; do exec 3<>/dev/tcp/$t; cat <&3; "
                        "exec 3<&-; done; (exec 3<>/dev/tcp/2001:db8::8/80) 2>/dev/null || echo no way",
                        egress=["[2001:db8::7]:80", "[FD00:0::1:2]:443"])
        self.assertEqual(out, "by six\n" * 3 + "no way\n")
        self.assertEqual(sorted(set(self.parent.asked)), ["[2001:db8::7]:80", "[fd00::1:2]:443"])

    def test_nothing_else(self):
        self.prepare(egress={"db.example:5432": ("127.0.0.1", 1)})
        out = self.boot("for t in 10.1.2.3/80 db.example/99 other.example/443 169.254.169.254/80; do "
                        "(exec 3<>/dev/tcp/$t) 2>/dev/null && echo reached $t; done; echo end",
                        egress=["db.example:5432"])
        self.assertEqual(out, "end\n")
        self.assertEqual(self.parent.asked, [])

    def test_the_parent_refuses(self):
        self.prepare(egress={"dead.example:1": ("127.0.0.1", 1)})
        out = self.boot("for t in db.example/5432 dead.example/1; do exec 3<>/dev/tcp/$t; cat <&3; echo ended; "
                        "exec 3<&-; done", egress=["db.example:5432", "dead.example:1"])
        self.assertEqual(out, "ended\nended\n")
        self.assertIn("does not connect to db.example:5432", self.parent.output(0))

    def test_half_close_and_bulk(self):
        server = self.server(echo_after_the_end)
        self.prepare(egress={"sum.example:7": server.address})
        script = ("use IO::Socket::INET; my $s = IO::Socket::INET->new(PeerAddr => 'sum.example:7') or die $!; "
                  "print $s 'x' x 1048576 for 1..8; $s->flush; shutdown($s, 1); print <$s>;")
        out = self.boot("/usr/bin/perl", "-e", script, egress=["sum.example:7"])
        self.assertEqual(out.strip(), hashlib.sha256(b"x" * (8 << 20)).hexdigest())

    def test_many_connections(self):
        server = self.server(lambda c: (c.recv(10), c.sendall(b"y")))
        self.prepare(egress={"many.example:7": server.address})
        script = ("use IO::Socket::INET; my @s; for (1..300) { push @s, IO::Socket::INET->new(PeerAddr => "
                  "'many.example:7') or die $! } for (@s) { print $_ 'x'; $_->flush } my $n = 0; "
                  "for (@s) { my $b; $n += read($_, $b, 1); close $_ } print \"$n\\n\";")
        self.assertEqual(self.boot("/usr/bin/perl", "-e", script, egress=["many.example:7"]), "300\n")
        self.assertEqual(server.count, 300)

    def test_http_proxy(self):
        web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        self.addCleanup(web.server_close)
        self.addCleanup(web.shutdown)
        raw = self.server(echo_after_the_end)
        self.prepare(egress={"web.example:80": web.server_address, "raw.example:443": raw.address})
        out = self.boot(
            "p=${http_proxy#http://}; p=${p/:/\\/}; "
            "ask() { exec 3<>/dev/tcp/$p; printf \"$1\" >&3; cat <&3; echo; exec 3<&-; }; "
            "ask 'GET http://web.example/a?b HTTP/1.1\\r\\nHost: web.example\\r\\nProxy-Connection: keep-alive\\r\\n\\r\\n'; "
            "ask 'GET http://web.example:81/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'; "
            "ask 'CONNECT other.example:443 HTTP/1.1\\r\\n\\r\\n'; "
            "ask 'rubbish\\r\\n\\r\\n'; "
            "[ $https_proxy = $http_proxy ] && echo $no_proxy; "
            "exec 3<>/dev/tcp/$p; printf 'CONNECT raw.example:443 HTTP/1.1\\r\\n\\r\\n' >&3; read -r line <&3; echo $line",
            egress=["web.example:80", "raw.example:443"], hostname="inside")
        self.assertIn("/a?b web.example close", out)
        self.assertEqual(out.count("403 Forbidden"), 2)
        self.assertIn("400 Bad Request", out)
        self.assertIn("localhost,127.0.0.1,::1,inside", out)
        self.assertIn("200 Connection established", out)
        self.assertEqual(self.parent.asked, ["web.example:80", "raw.example:443"])

    def test_the_images_own_proxy_stays(self):
        self.prepare()
        out = self.boot("echo $http_proxy,$https_proxy", egress=["a.example:1"], env=["https_proxy=http://mine:1"])
        self.assertEqual(out, ",http://mine:1\n")

    def test_inbound(self):
        self.prepare()
        script = ("use IO::Socket::INET; $| = 1; my $l = IO::Socket::INET->new(LocalAddr => '127.0.0.1', "
                  "LocalPort => 8080, Listen => 5, ReuseAddr => 1) or die $!; print \"listening\\n\"; "
                  "for (1..2) { my $c = $l->accept; my $line = <$c>; print $c 'got ' . $line; "
                  "my $rest = <$c>; print $c 'end'; close $c }")
        self.start("/usr/bin/perl", "-e", script, port=["8080", "443:8080"])
        self.parent.wait_output("listening")
        for port in (8080, 443):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20)
                s.connect(str(self.parent.dir / f"enclave_{port}"))
                s.sendall(b"hello\n")
                s.shutdown(socket.SHUT_WR)
                data = b""
                while more := s.recv(100):
                    data += more
                self.assertEqual(data, b"got hello\nend")
        self.wait_end(0)

    def test_inbound_before_the_application_listens(self):
        self.prepare()
        self.start("echo up; sleep 3", port=["8080"])
        self.parent.wait_output("up")
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(self.parent.dir / "enclave_8080"))
            self.assertEqual(s.recv(1), b"")
        self.wait_end(0)

    def test_a_dead_parent_holds_nobody_up(self):
        self.prepare(silent=(8001,))
        start = time.monotonic()
        self.start("exec 3<>/dev/tcp/db.example/5432; echo connected; exit 3", egress=["db.example:5432"])
        self.wait_end(3)
        self.assertLess(time.monotonic() - start, 20)

    def test_host_name(self):
        out = self.boot("hostname; cat /proc/net/dev | grep -c lo:", hostname="host-1")
        self.assertEqual(out, "host-1\n1\n")


if __name__ == "__main__":
    unittest.main()
