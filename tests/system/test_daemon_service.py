# SPDX-License-Identifier: Apache-2.0
"""The daemon as a service: policy hook, TLS, caps, reload, systemd."""

import base64
import datetime
import hashlib
import http.client
import http.server
import ipaddress
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time
import unittest

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from claviger_testing import process, tezos
from claviger_testing.fake_enclave import public_key, sign
from claviger_testing.fake_stack import FakeStack, free_port
from claviger_testing.stack import environment

process.need("claviger")
UNKNOWN = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"


def text_of(answer):
    return answer.json()[0]["msg"]


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)


# --- policy hook ------------------------------------------------------------

HOOK_SECRET = hashlib.sha256(b"hook").digest()
HOOK_KEY = tezos.encode("edpk", public_key("Ed25519", HOOK_SECRET))
HOOK_PKH = tezos.key_hash(HOOK_KEY)


class Hook(http.server.BaseHTTPRequestHandler):
    """Answers as the class says; keeps what it was asked."""
    mode, asked = "yes", []

    def do_POST(self):  # pylint: disable=invalid-name
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(question)
        mode = type(self).mode
        if mode == "hang":
            time.sleep(3)
        status = {"no": 403, "broken": 500, "gone": 404, "moved": 302, "signed-no": 403}.get(mode, 200)
        body = b""
        if mode.startswith("signed"):
            payload = {"status": status, "nonce": question["nonce"], "public_key_hash": HOOK_PKH}
            if mode == "signed-no":
                payload["error"] = "not today"
            if mode == "signed-status":
                payload["status"] = 201
            if mode == "signed-nonce":
                payload["nonce"] = base64.b64encode(bytes(32)).decode()
            if mode == "signed-stranger":
                payload["public_key_hash"] = UNKNOWN
            raw = json.dumps(payload, indent=3)
            signature = tezos.encode("edsig", sign("Ed25519", HOOK_SECRET, raw.encode(), 2))
            if mode == "signed-forged":
                raw = raw.replace(HOOK_PKH, HOOK_PKH).replace('"status": 200', '"status":  200')
            body = ('{ "payload" : ' + raw + ' , "signature":"' + signature + '"}').encode()
            if mode == "signed-twice":
                body = ('{"payload":' + raw + ',"payload":' + raw + ',"signature":"' + signature + '"}').encode()
        self.send_response(status)
        if mode == "moved":
            self.send_header("Location", "http://127.0.0.1:1/")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class PolicyHook(unittest.TestCase):
    def serve(self, **hook):
        Hook.mode, Hook.asked[:] = "yes", []
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        address = f"http://127.0.0.1:{server.server_address[1]}/approve"
        self.stack = FakeStack(extra={"policy_hook": {"address": address, "timeout": "500ms", **hook}})
        self.addCleanup(self.stack.down)
        self.key, self.bls = self.stack.generate("tz1"), self.stack.generate("tz4")
        self.stack.allow(self.key["public_key_hash"])
        self.stack.allow(self.bls["public_key_hash"], {"allow_proof_of_possession": True})
        self.stack.serve()

    def ask(self, mode):
        Hook.mode = mode
        pkh = self.key["public_key_hash"]
        message = tezos.transaction(pkh, UNKNOWN, 1)
        answer = self.stack.sign(pkh, message)
        return answer.status, None if answer.status == 200 else text_of(answer)

    def test_plain(self):
        self.serve()
        pkh = self.key["public_key_hash"]
        self.assertEqual(self.ask("yes"), (200, None))
        question = Hook.asked[-1]
        self.assertEqual(set(question), {"request", "source", "public_key_hash", "nonce"})
        self.assertEqual(base64.b64decode(question["request"]), tezos.transaction(pkh, UNKNOWN, 1))
        self.assertEqual((question["source"], question["public_key_hash"]), ("127.0.0.1", pkh))
        self.assertEqual(len(base64.b64decode(question["nonce"])), 32)
        self.assertEqual(self.ask("no"), (403, "policy hook: 403 Forbidden"))
        self.assertEqual(self.ask("gone"), (403, "policy hook: 404 Not Found"))
        self.assertEqual(self.ask("broken"), (500, "policy hook: 500 Internal Server Error"))
        self.assertEqual(self.ask("moved")[0], 500)
        self.assertEqual(self.ask("hang")[0], 500)
        self.assertEqual(self.ask("yes"), (200, None))
        nonces = [q["nonce"] for q in Hook.asked]
        self.assertEqual(len(set(nonces)), len(nonces))
        # What the policy refuses, and what is no request, never gets there.
        asked = len(Hook.asked)
        self.assertEqual(self.stack.sign(pkh, b"\x05\x00\x00").status, 403)
        self.assertEqual(len(Hook.asked), asked)
        # A refusal moves no watermark.
        Hook.mode = "no"
        self.assertEqual(self.stack.sign(pkh, tezos.block(9, 0)).status, 403)
        Hook.mode = "yes"
        self.assertEqual(self.stack.sign(pkh, tezos.block(8, 0)).status, 200)
        answer = self.stack.request("GET", f"/bls_prove_possession/{self.bls['public_key_hash']}", timeout=60)
        self.assertEqual(answer.status, 200)
        self.assertEqual(Hook.asked[-1]["request"], "")

    def test_signed(self):
        self.serve(authorized_keys=HOOK_KEY)
        self.assertEqual(self.ask("signed"), (200, None))
        self.assertEqual(self.ask("signed-no"), (403, "policy hook: not today"))
        self.assertEqual(self.ask("yes")[0], 500)
        self.assertEqual(self.ask("signed-status")[0], 500)
        self.assertEqual(self.ask("signed-nonce")[0], 403)
        self.assertEqual(self.ask("signed-stranger"), (401, "policy hook: public key not found"))
        self.assertEqual(self.ask("signed-forged"), (403, "policy hook: invalid signature"))
        self.assertEqual(self.ask("signed-twice")[0], 500)
        self.assertEqual(self.ask("signed"), (200, None))

    def test_absent(self):
        self.serve()
        self.stack.stop_daemon()
        self.stack.extra["policy_hook"]["address"] = f"http://127.0.0.1:{free_port()}/"
        self.stack.write()
        self.stack.serve()
        status, text = self.ask("yes")
        self.assertEqual(status, 500)
        self.assertTrue(text.startswith("policy hook: "), text)


# --- TLS --------------------------------------------------------------------

class Authority:
    def __init__(self, directory, name):
        self.directory = directory
        self.usage = None
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self.sign(self.name, self.key, ca=True)
        self.path = directory / f"{name}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def sign(self, name, key, ca=False):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
                   .not_valid_after(now + datetime.timedelta(days=2))
                   .add_extension(x509.BasicConstraints(ca=ca, path_length=None), True))
        if not ca:
            builder = builder.add_extension(x509.SubjectAlternativeName(
                [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
            if self.usage:
                builder = builder.add_extension(x509.ExtendedKeyUsage([self.usage]), False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, name):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key)
        paths = self.directory / f"{name}.crt", self.directory / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                               serialization.NoEncryption()))
        return paths[0], paths[1], certificate


class Tls(unittest.TestCase):
    def setUp(self):
        self.stack = FakeStack()
        self.addCleanup(self.stack.down)
        self.ca = Authority(self.stack.dir, "ca")
        self.certificate, self.key_file, _ = self.ca.issue("server")
        self.key = self.stack.generate("tz1")
        self.stack.allow(self.key["public_key_hash"])

    def serve(self, **tls):
        self.stack.server["tls"] = {"certificate": str(self.certificate), "key": str(self.key_file), **tls}
        self.stack.write()
        self.stack.serve()

    def get(self, client=None, version=None):
        context = ssl.create_default_context(cafile=self.ca.path)
        if client:
            context.load_cert_chain(*client)
        if version:
            context.minimum_version = context.maximum_version = version
        connection = http.client.HTTPSConnection("127.0.0.1", self.stack.main, timeout=10, context=context)
        try:
            pkh = self.key["public_key_hash"]
            connection.request("POST", f"/keys/{pkh}", json.dumps(tezos.transaction(pkh, UNKNOWN, 1).hex()))
            answer = connection.getresponse()
            answer.read()
            return answer.status, connection.sock.getpeercert() if connection.sock else None
        finally:
            connection.close()

    def test_server(self):
        self.serve()
        self.assertEqual(self.get()[0], 200)
        self.assertEqual(self.get(version=ssl.TLSVersion.TLSv1_2)[0], 200)
        with self.assertRaises((ssl.SSLError, OSError)):
            ssl.create_default_context().wrap_socket(socket.create_connection(("127.0.0.1", self.stack.main), 5),
                                                     server_hostname="127.0.0.1")
        with self.assertRaises((http.client.HTTPException, OSError)):
            self.stack.request("GET", "/authorized_keys", timeout=5)  # plain HTTP
        # A new certificate is taken without a restart; a bad one is not.
        for path, name in ((self.certificate, "server2.crt"), (self.key_file, "server2.key")):
            self.ca.issue("server2")
            break
        os.replace(self.stack.dir / "server2.crt", self.certificate)
        os.replace(self.stack.dir / "server2.key", self.key_file)
        self.stack.daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "configuration reloaded" in self.stack.log())
        self.assertEqual(self.get()[0], 200)
        self.key_file.write_text("nonsense")
        self.stack.daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "the old one stays in force" in self.stack.log())
        self.assertEqual(self.get()[0], 200)

    def test_wrong_files(self):
        self.key_file.write_text("nonsense")
        self.stack.server["tls"] = {"certificate": str(self.certificate), "key": str(self.key_file)}
        self.stack.write()
        done = self.stack.cli("serve", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("server.key", done.stderr)

    def test_client_certificates(self):
        other = Authority(self.stack.dir, "other")
        alice, bob, mallory = self.ca.issue("alice"), self.ca.issue("bob"), other.issue("mallory")
        fingerprint = hashlib.sha256(alice[2].public_bytes(serialization.Encoding.DER)).hexdigest()
        self.stack.tezos[self.key["public_key_hash"]]["client_certificates"] = [
            ":".join(fingerprint[i:i + 2] for i in range(0, 64, 2)).upper()]
        self.serve(client_ca=str(self.ca.path))
        self.assertEqual(self.get(alice[:2])[0], 200)
        self.assertEqual(self.get(bob[:2])[0], 403)
        self.assertEqual(self.get()[0], 401)
        try:
            self.assertEqual(self.get(mallory[:2])[0], 401)
        except (ssl.SSLError, OSError):
            pass  # refused in the handshake already


    def reload(self, says):
        before = self.stack.log().count(says)
        self.stack.daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.stack.log().count(says) > before)

    def status_of(self, client=None):
        """Of a new connection; 0 when the handshake fails."""
        try:
            return self.get(client)[0]
        except (ssl.SSLError, OSError):
            return 0

    def test_authorities_are_reloaded(self):
        other = Authority(self.stack.dir, "other")
        alice, mallory = self.ca.issue("alice")[:2], other.issue("mallory")[:2]
        authorities = self.stack.dir / "clients.pem"
        authorities.write_bytes(self.ca.path.read_bytes())
        self.serve(client_ca=str(authorities))
        self.assertEqual((self.status_of(alice), self.status_of()), (200, 401))
        self.assertIn(self.status_of(mallory), (0, 401))

        context = ssl.create_default_context(cafile=self.ca.path)
        context.load_cert_chain(*alice)
        connection = http.client.HTTPSConnection("127.0.0.1", self.stack.main, timeout=10, context=context)
        self.addCleanup(connection.close)

        def ask():
            connection.request("GET", "/authorized_keys")
            answer = connection.getresponse()
            answer.read()
            return answer.status, answer.getheader("Connection")

        self.assertEqual(ask()[0], 200)
        # Others are let in, and those who were are not: on open connections neither.
        authorities.write_bytes(other.path.read_bytes())
        self.reload("configuration reloaded")
        self.assertEqual(self.status_of(mallory), 200)
        self.assertIn(self.status_of(alice), (0, 401))
        self.assertEqual(ask(), (401, "close"))
        # All or nothing: a file that is not good leaves the certificate as it is, too.
        serial = self.serial(mallory)
        self.ca.issue("server2")
        os.replace(self.stack.dir / "server2.crt", self.certificate)
        os.replace(self.stack.dir / "server2.key", self.key_file)
        for bad in (b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"):
            authorities.write_bytes(bad)
            self.reload("the old one stays in force")
            self.assertIn("clients.pem", self.stack.log())
            self.assertEqual((self.status_of(mallory), self.status_of()), (200, 401))
            self.assertEqual(self.serial(mallory), serial)
        # Both, and the certificate with them.
        authorities.write_bytes(other.path.read_bytes() + self.ca.path.read_bytes())
        self.reload("configuration reloaded")
        self.assertEqual((self.status_of(mallory), self.status_of(alice), self.status_of()), (200, 200, 401))
        self.assertNotEqual(self.serial(mallory), serial)
        # Nobody's certificate is wanted any more, and then again.
        del self.stack.server["tls"]["client_ca"]
        self.stack.write()
        self.reload("configuration reloaded")
        self.assertEqual(self.status_of(), 200)
        self.stack.server["tls"]["client_ca"] = str(authorities)
        self.stack.write()
        self.reload("configuration reloaded")
        self.assertEqual((self.status_of(), self.status_of(alice)), (401, 200))

    def serial(self, client):
        return self.get(client)[1]["serialNumber"]

    def test_certificates_of_servers_are_no_clients(self):
        """A certificate that says what it is for, and that is not for clients."""
        self.serve(client_ca=str(self.ca.path))
        for usage, status in ((x509.oid.ExtendedKeyUsageOID.SERVER_AUTH, 401),
                              (x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH, 200)):
            self.ca.usage = usage
            self.assertEqual(self.status_of(self.ca.issue("someone")[:2]), status)

    def test_no_authority_is_no_configuration(self):
        """An empty file must not mean that nobody is asked."""
        empty = self.stack.dir / "empty.pem"
        empty.write_text("")
        self.stack.server["tls"] = {"certificate": str(self.certificate), "key": str(self.key_file),
                                    "client_ca": str(empty)}
        self.stack.write()
        done = self.stack.cli("serve", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("there is no certificate in", done.stderr)


# --- caps -------------------------------------------------------------------

class Caps(unittest.TestCase):
    def serve(self, **limits):
        self.stack = FakeStack(server={"limits": limits})
        self.addCleanup(self.stack.down)
        self.key = self.stack.generate("tz1")
        self.stack.allow(self.key["public_key_hash"])
        self.stack.serve()

    def sign(self):
        pkh = self.key["public_key_hash"]
        return self.stack.sign(pkh, tezos.transaction(pkh, UNKNOWN, 1))

    def test_rate(self):
        self.serve(requests_per_second=5, burst=10)
        statuses = [self.sign().status for _ in range(30)]
        self.assertGreaterEqual(statuses.count(200), 10)
        self.assertGreaterEqual(statuses.count(429), 10)
        time.sleep(0.5)
        self.assertEqual(self.sign().status, 200)

    def test_body(self):
        self.serve(body_bytes=2048)
        path = f"/keys/{self.key['public_key_hash']}"
        self.assertEqual(self.stack.request("POST", path, json.dumps("00" * 2000)).status, 413)
        self.assertEqual(self.sign().status, 200)

    def test_slow_clients(self):
        self.serve(request_seconds=1, idle_seconds=2)
        head = f"POST /keys/{self.key['public_key_hash']} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n".encode()
        for whole, part in ((head, head[:20]), (head + b'"0', head + b'"0')):
            with socket.create_connection(("127.0.0.1", self.stack.main), 10) as s:
                s.sendall(part)
                started = time.monotonic()
                try:
                    while time.monotonic() - started < 8:
                        s.sendall(whole[len(part):len(part) + 1] or b"0")
                        s.settimeout(0.3)
                        try:
                            if s.recv(1000) == b"":
                                break
                        except socket.timeout:
                            pass
                except OSError:
                    pass
                self.assertLess(time.monotonic() - started, 6)
                self.assertEqual(self.sign().status, 200)

    def test_many_idle_and_headers(self):
        self.serve()
        idle = []
        try:
            for _ in range(500):
                idle.append(socket.create_connection(("127.0.0.1", self.stack.main), 10))
            self.assertEqual(self.sign().status, 200)
        finally:
            for s in idle:
                s.close()
        with socket.create_connection(("127.0.0.1", self.stack.main), 10) as s:
            try:
                s.sendall(b"GET / HTTP/1.1\r\nX: " + b"a" * (1 << 20))
            except OSError:
                pass
            data = b""
            try:
                data = s.recv(1000)
            except OSError:
                pass
            self.assertTrue(data == b"" or b" 4" in data[:14], data[:40])
        self.assertEqual(self.sign().status, 200)

    def test_unix_socket(self):
        stack = FakeStack()
        self.addCleanup(stack.down)
        path = stack.dir / "api.sock"
        key = stack.generate("tz1")
        stack.server["address"] = f"unix:{path}"
        stack.write()
        daemon = process.Program([process.bin_dir() / "claviger", "-c", stack.config, "serve"],
                                 stack.dir / "daemon.log", env=environment())
        self.addCleanup(daemon.stop)
        process.wait_port("127.0.0.1", stack.utility_port, program=daemon)
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(str(path))
            s.sendall(f"GET /keys/{key['public_key_hash']} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            data = b""
            while piece := s.recv(4096):
                data += piece
        self.assertIn(key["public_key"].encode(), data)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
        self.assertEqual(daemon.stop(), 0)
        self.assertFalse(path.exists())


# --- life -------------------------------------------------------------------

class Life(unittest.TestCase):
    def test_reload(self):
        with FakeStack() as s:
            a, b = s.generate("tz1"), s.generate("tz2")
            s.allow(a["public_key_hash"])
            s.serve()

            def status(key):
                pkh = key["public_key_hash"]
                return s.sign(pkh, tezos.transaction(pkh, UNKNOWN, 1)).status

            self.assertEqual((status(a), status(b)), (200, 403))
            s.tezos.clear()
            s.allow(b["public_key_hash"])
            s.daemon.process.send_signal(signal.SIGHUP)
            wait_for(lambda: status(b) == 200)
            self.assertEqual(status(a), 403)
            s.config.write_text("nonsense: true\n")
            s.daemon.process.send_signal(signal.SIGHUP)
            wait_for(lambda: "old one stays in force" in s.log())
            self.assertIn("nonsense", s.log())
            self.assertEqual((status(a), status(b)), (403, 200))
            for _ in range(20):
                s.write()
                s.daemon.process.send_signal(signal.SIGHUP)
                self.assertEqual(status(b), 200)

    def test_systemd(self):
        with FakeStack() as s:
            path = s.dir / "notify.sock"
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n:
                n.bind(str(path))
                n.settimeout(10)
                s.daemon = process.Program([process.bin_dir() / "claviger", "-c", s.config, "serve"], s.dir / "daemon.log",
                                           env=environment(NOTIFY_SOCKET=path, WATCHDOG_USEC=200000))
                seen = set()
                while not {b"READY=1", b"WATCHDOG=1"} <= seen:
                    seen.add(n.recv(4096))
                s.daemon.process.send_signal(signal.SIGTERM)
                while b"STOPPING=1" not in seen:
                    seen.add(n.recv(4096))
                self.assertEqual(s.daemon.process.wait(10), 0)

    def test_every_request_has_its_line(self):
        with FakeStack(server={"limits": {"requests_per_second": 1, "burst": 7}}) as s:
            pkh = s.generate("tz1")["public_key_hash"]
            s.allow(pkh)
            s.daemon = process.Program([process.bin_dir() / "claviger", "--json-log", "-c", s.config, "serve"],
                                       s.dir / "daemon.log", env=s.env)
            process.wait_port("127.0.0.1", s.main, program=s.daemon)
            statuses = [s.sign(pkh, tezos.block(7, 0)).status, s.request("GET", f"/keys/{pkh}").status,
                        s.request("GET", "/authorized_keys").status, s.request("POST", "/keys/x", '"03"').status,
                        s.request("GET", "/no/such%22path").status,
                        s.request("DELETE", f"/keys/{pkh}").status, s.request("GET", f"/bls_prove_possession/{pkh}").status]
            self.assertEqual(statuses[:4] + statuses[4:6], [200, 200, 200, 400, 404, 405])
            while s.request("GET", "/authorized_keys").status != 429:
                pass
            s.utility("/healthz")
            s.stop_daemon()
            lines = [json.loads(line) for line in s.log().splitlines()]
            mine = [line for line in lines if "request" in line]
            self.assertEqual([line["request"] for line in mine], [str(n + 1) for n in range(len(mine))])
            self.assertEqual([mine[0]["msg"], mine[0]["pkh"], mine[0]["kind"], mine[0]["level"], mine[0]["round"]],
                             ["signed", pkh, "block", "7", "0"])
            self.assertEqual([line["status"] for line in mine[1:6]], ["200", "200", "400", "404", "405"])
            self.assertEqual((mine[4]["method"], mine[4]["path"], mine[4]["from"]), ("GET", "/no/such\"path", "127.0.0.1"))
            self.assertEqual(mine[-1]["status"], "429")
            for line in mine:
                self.assertGreaterEqual(int(line["us"]), 0)
            self.assertNotIn("healthz", s.log())

    def test_unprivileged(self):
        if os.getuid() != 0:
            self.skipTest("this is an unprivileged user already")
        with FakeStack() as s:
            key = s.generate("tz1")
            pkh = key["public_key_hash"]
            s.allow(pkh)
            for path in [s.dir, s.dir / "enclave.sock", s.config, *(s.dir / "base").rglob("*"), s.dir / "base"]:
                os.chown(path, 65534, 65534)
            log = open(s.dir / "daemon.log", "wb")  # pylint: disable=consider-using-with
            daemon = subprocess.Popen([process.bin_dir() / "claviger", "--json-log", "-c", s.config, "serve"], stderr=log,
                                      user=65534, group=65534, extra_groups=[], env=environment(HOME=s.dir))
            try:
                process.wait_port("127.0.0.1", s.main)
                message = tezos.block(7, 0)
                answer = s.sign(pkh, message)
                self.assertEqual(answer.status, 200, answer.body)
                self.assertTrue(tezos.verify(key["public_key"], answer.json()["signature"], message))
                self.assertEqual(s.sign(pkh, tezos.block(6, 0)).status, 409)
                status = process.pathlib.Path(f"/proc/{daemon.pid}/status").read_text()
                self.assertIn("CapEff:\t0000000000000000", status)
            finally:
                daemon.terminate()
                self.assertEqual(daemon.wait(20), 0)
                log.close()
            lines = [json.loads(line) for line in (s.dir / "daemon.log").read_text().splitlines()]
            signed = [x for x in lines if x.get("message", x.get("msg")) == "signed"][0]
            self.assertEqual((signed["pkh"], signed["kind"], signed["level"], signed["chain"]),
                             (pkh, "block", "7", tezos.chain_text()))

    def test_cid_of_nitro_cli(self):
        with FakeStack() as s:
            tools = s.dir / "bin"
            tools.mkdir()
            script = tools / "nitro-cli"
            config = json.loads(s.config.read_text())
            vault = config["vaults"]["nitro"]["config"]
            del vault["enclave_address"]
            vault.update(enclave_cid="auto", enclave_port=2345)
            s.config.write_text(json.dumps(config))
            s.env = environment(PATH=f"{tools}:{os.environ['PATH']}")

            def ask(enclaves):
                script.write_text("#!/bin/sh\n[ \"$1\" = describe-enclaves ] || exit 9\necho '" + json.dumps(enclaves) + "'\n")
                script.chmod(0o755)
                done = s.cli("list", check=False)
                self.assertEqual(done.returncode, 1)
                return done.stderr

            one = {"EnclaveName": "signer", "EnclaveCID": 4000000077, "State": "RUNNING"}
            self.assertIn("vsock:4000000077:2345", ask([one]))
            self.assertIn("no running enclave", ask([]))
            self.assertIn("no running enclave", ask([{**one, "State": "TERMINATING"}]))
            self.assertIn("enclave_name", ask([one, {**one, "EnclaveCID": 78, "EnclaveName": "x"}]))
            self.assertIn("no good EnclaveCID", ask([{**one, "EnclaveCID": 2}]))
            vault["enclave_name"] = "signer"
            s.config.write_text(json.dumps(config))
            self.assertIn("vsock:4000000077:2345", ask([one, {**one, "EnclaveCID": 78, "EnclaveName": "x"}]))
            script.write_text("#!/bin/sh\nexit 3\n")
            self.assertIn("status 3", s.cli("list", check=False).stderr)
            script.unlink()
            self.assertIn("nitro-cli", s.cli("list", check=False).stderr)

    def helper_of(self, pid):
        """The child of the daemon that runs programs for it, or None."""
        children = process.pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else None

    def test_helper_runs_nitro_cli(self):
        """The CID is asked for again and again, by a process that is not the daemon."""
        with FakeStack() as s:
            tools = s.dir / "bin"
            tools.mkdir()
            script = tools / "nitro-cli"
            config = json.loads(s.config.read_text())
            vault = config["vaults"]["nitro"]["config"]
            del vault["enclave_address"]
            vault.update(enclave_cid="auto", enclave_port=2345, enclave_name="signer")
            s.config.write_text(json.dumps(config))
            s.env = environment(PATH=f"{tools}:{os.environ['PATH']}")

            def enclave(cid):
                new = tools / "new"
                new.write_text(f"#!/bin/sh\n[ \"$1\" = describe-enclaves ] || exit 9\necho $PPID >>{s.dir}/parents\n"
                               f"echo '[{{\"EnclaveName\":\"signer\",\"EnclaveCID\":{cid},\"State\":\"RUNNING\"}}]'\n")
                new.chmod(0o755)
                new.rename(script)

            def told(what):
                deadline = time.monotonic() + 15
                while what not in (text := s.utility("/readyz").body.decode()):
                    self.assertLess(time.monotonic(), deadline, text)
                    time.sleep(0.1)

            enclave(4000000077)
            s.serve()
            pid = s.daemon.process.pid
            told("vsock:4000000077:2345")
            enclave(4000000078)  # it was started again
            told("vsock:4000000078:2345")
            helper = self.helper_of(pid)
            self.assertIsNotNone(helper)
            self.assertEqual(process.pathlib.Path(f"/proc/{helper}/comm").read_text(), "claviger-run\n")
            self.assertNotIn(str(pid), (s.dir / "parents").read_text().split())
            # What it cannot run is told, and it goes on.
            script.unlink()
            told("nitro-cli")
            enclave(4000000079)
            told("vsock:4000000079:2345")
            # It ignores what tells everybody to end, and ends with the daemon, even when that is killed.
            os.kill(helper, signal.SIGTERM)
            os.kill(helper, signal.SIGHUP)
            enclave(4000000080)
            told("vsock:4000000080:2345")
            s.daemon.process.kill()
            s.daemon.process.wait(10)
            deadline = time.monotonic() + 10
            while os.path.exists(f"/proc/{helper}") and \
                    ") Z" not in process.pathlib.Path(f"/proc/{helper}/stat").read_text():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.05)

    def test_sandbox(self):
        with FakeStack() as s:
            s.serve()
            # It listens a moment before the sandbox closes, and has nothing to run.
            deadline = time.monotonic() + 10
            status, filtered = "", "Seccomp:\t0" if process.sanitized() else "Seccomp:\t2"
            while self.helper_of(s.daemon.process.pid) is not None or filtered not in status:
                status = (process.pathlib.Path("/proc") / str(s.daemon.process.pid) / "status").read_text()
                self.assertLess(time.monotonic(), deadline, status)
                time.sleep(0.05)
            self.assertIn("NoNewPrivs:\t1", status)
            if process.sanitized():
                wait_for(lambda: "no sandbox: this program was built with a sanitizer" in s.log())
                return
            for task in process.pathlib.Path(f"/proc/{s.daemon.process.pid}/task").iterdir():
                self.assertIn("Seccomp:\t2", (task / "status").read_text())

    def test_require_vaults(self):
        with FakeStack() as s:
            s.enclave.stop()
            done = s.cli("serve", "--require-vaults", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("vault nitro", done.stderr)


if __name__ == "__main__":
    unittest.main()
