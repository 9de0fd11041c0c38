# SPDX-License-Identifier: Apache-2.0
"""claviger serve over HTTP on a fake enclave: answers, refusals, faults."""

import concurrent.futures
import http.client
import json
import os
import signal
import socket
import time
import unittest

from claviger_testing import process, tezos
from claviger_testing.fake_stack import FakeStack

process.need("claviger")
UNKNOWN = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"
JSON = "application/json; charset=utf-8"


def failure(text):
    return ('[{"id":"failure","kind":"temporary","msg":' + json.dumps(text) + "}]\n").encode()


def wait_for(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)


class Served(unittest.TestCase):
    original = False

    @classmethod
    def setUpClass(cls):
        cls.stack = FakeStack(original=cls.original)
        cls.addClassCleanup(cls.stack.down)
        cls.keys = {k: cls.stack.generate(k) for k in ("tz1", "tz2", "tz3", "tz4")}
        for k in cls.keys.values():
            cls.stack.allow(k["public_key_hash"])
        cls.other = cls.stack.generate("tz1")
        cls.stack.serve()
        cls.level = 100

    def next_level(self):
        type(self).level += 1
        return self.level

    def transaction(self, pkh, amount=1):
        return tezos.transaction(pkh, self.other["public_key_hash"], amount)

    def check(self, key, message, version=2):
        query = f"?version={version}" if version != 2 else ""
        answer = self.stack.sign(key["public_key_hash"], message, query)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers["Content-Type"], JSON)
        self.assertTrue(answer.body.endswith(b'"}\n'))
        self.assertEqual(list(answer.json()), ["signature"])
        self.assertTrue(tezos.verify(key["public_key"], answer.json()["signature"], message, version))
        return answer.json()["signature"]

    def test_signatures_of_every_kind(self):
        for kind, key in self.keys.items():
            with self.subTest(kind=kind):
                self.assertTrue(self.check(key, self.transaction(key["public_key_hash"]))
                                .startswith(tezos.SIGNATURES[kind]))
                level = self.next_level()
                self.check(key, tezos.block(level, 0))
                self.check(key, tezos.preattestation(level, 0, bls=kind == "tz4"))
                self.check(key, tezos.attestation(level, 0, bls=kind == "tz4"))
        self.check(self.keys["tz4"], self.transaction(self.keys["tz4"]["public_key_hash"], 2), 1)

    def test_version_0(self):
        # Only BLS knows versions, and 0 is none of them; nothing else suffers.
        key = self.keys["tz4"]
        answer = self.stack.sign(key["public_key_hash"], self.transaction(key["public_key_hash"]), "?version=0")
        self.assertEqual(answer.status, 500)
        self.assertIn("(Nitro)", answer.json()[0]["msg"])
        self.check(key, self.transaction(key["public_key_hash"]))

    def test_keys(self):
        for key in list(self.keys.values()) + [self.other]:
            answer = self.stack.request("GET", f"/keys/{key['public_key_hash']}")
            self.assertEqual((answer.status, answer.body),
                             (200, f'{{"public_key":"{key["public_key"]}"}}\n'.encode()))
        answer = self.stack.request("GET", f"/keys/{UNKNOWN}")
        self.assertEqual((answer.status, answer.body), (404, failure("this key not found in any vault")))

    def test_routes(self):
        answer = self.stack.request("GET", "/authorized_keys")
        self.assertEqual((answer.status, answer.body, answer.headers["Content-Type"]), (200, b"{}\n", JSON))
        for path in ("/", "/keys", "/keys/", "/known_keys", f"/keys/{UNKNOWN}/", "/keys/a/b"):
            answer = self.stack.request("GET", path)
            self.assertEqual((answer.status, answer.body), (404, b"404 page not found\n"), path)
            self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
        for method, path in (("DELETE", f"/keys/{UNKNOWN}"), ("POST", "/authorized_keys"), ("HEAD", f"/keys/{UNKNOWN}")):
            answer = self.stack.request(method, path)
            self.assertEqual((answer.status, answer.body), (405, b""), path)

    def test_bad_hashes(self):
        for pkh, text in ((UNKNOWN[:-1] + "V", "gotez: base58Check decoding error: invalid checksum"),
                          ("edpkvGfYw3LyB1UcCahKQk4rF2tvbMUk8GFiTuMjL75uGXrpvKXhjn", "gotez: unknown public key prefix")):
            for method in ("GET", "POST"):
                answer = self.stack.request(method, f"/keys/{pkh}", '"03"' if method == "POST" else None)
                self.assertEqual((answer.status, answer.body), (400, failure(text)))
        self.assertEqual(self.stack.request("GET", "/keys/0OIl").status, 400)
        self.assertEqual(self.stack.request("GET", "/keys/" + "1" * 5000).status, 400)

    def test_bodies(self):
        path = f"/keys/{self.keys['tz1']['public_key_hash']}"
        for body, text in (("", "unexpected end of JSON input"),
                           ("\x03", "invalid character '\\x03' looking for beginning of value"),
                           ('"03ZZZZ"', "encoding/hex: invalid byte: U+005A 'Z'"),
                           ('"030"', "encoding/hex: odd length hex string"),
                           ("17", "json: cannot unmarshal number into Go value of type string"),
                           ('{"<":"&"}', "json: cannot unmarshal object into Go value of type string")):
            answer = self.stack.request("POST", path, body)
            self.assertEqual((answer.status, answer.body), (400, failure(text)), body)
        for message in (b"", b"\x01abc", b"\x02abc", b"\x04abc", b"\xff"):
            self.assertEqual(self.stack.sign(self.keys["tz1"]["public_key_hash"], message).status, 400)
        answer = self.stack.sign(self.keys["tz1"]["public_key_hash"], b"\x17")
        self.assertEqual(answer.json()[0]["msg"], "gotez: unknown tag 23")

    def test_refusals(self):
        pkh = self.other["public_key_hash"]
        answer = self.stack.sign(pkh, self.transaction(pkh))
        self.assertEqual((answer.status, answer.body), (403, failure(f"{pkh} is not listed in config")))
        answer = self.stack.sign(self.keys["tz1"]["public_key_hash"], b"\x05\x00\x00")
        self.assertEqual((answer.status, answer.body), (403, failure("request kind `pack' is not allowed")))

    def test_watermark(self):
        key, level = self.keys["tz2"], self.next_level()
        pkh = key["public_key_hash"]
        message = tezos.attestation(level, 3)
        self.check(key, message)
        self.check(key, message)
        for other in (tezos.attestation(level, 3, payload=bytes([1]) * 32), tezos.attestation(level, 2),
                      tezos.attestation(level - 1, 9)):
            answer = self.stack.sign(pkh, other)
            self.assertEqual((answer.status, answer.body), (409, failure("watermark validation failed")))
        self.check(key, tezos.attestation(level, 4))
        self.check(key, tezos.preattestation(level, 3))

    def test_many_at_once(self):
        keys = [self.keys[k] for k in ("tz1", "tz2", "tz3")]

        def one(i):
            key = keys[i % 3]
            message = self.transaction(key["public_key_hash"], i + 1)
            answer = self.stack.sign(key["public_key_hash"], message)
            return answer.status == 200 and tezos.verify(key["public_key"], answer.json()["signature"], message)

        with concurrent.futures.ThreadPoolExecutor(32) as pool:
            self.assertEqual(list(pool.map(one, range(200))), [True] * 200)

    def test_keep_alive_and_pipelining(self):
        key = self.keys["tz1"]
        body = json.dumps(self.transaction(key["public_key_hash"]).hex())
        request = (f"POST /keys/{key['public_key_hash']} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                   ).encode()
        with socket.create_connection(("127.0.0.1", self.stack.main), 10) as s:
            s.sendall(request * 5)
            data = b""
            while data.count(b'{"signature"') < 5:
                piece = s.recv(65536)
                self.assertTrue(piece)
                data += piece
        self.assertEqual(data.count(b"HTTP/1.1 200"), 5)

    def test_large_bodies(self):
        path = f"/keys/{self.keys['tz1']['public_key_hash']}"
        connection = http.client.HTTPConnection("127.0.0.1", self.stack.main, timeout=20)
        connection.putrequest("POST", path)
        connection.putheader("Content-Length", str(10 ** 12))
        connection.endheaders()
        answer = connection.getresponse()
        self.assertEqual(answer.status, 413)
        connection.close()
        chunks = (b'"' + b"00" * 30000 for _ in range(40))
        connection.request("POST", path, chunks, encode_chunked=True)
        self.assertEqual(connection.getresponse().status, 413)
        connection.close()
        self.test_keys()

    def test_clients_that_leave(self):
        key = self.keys["tz3"]
        body = json.dumps(self.transaction(key["public_key_hash"]).hex())
        head = f"POST /keys/{key['public_key_hash']} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        whole = (head + body).encode()
        for cut in (1, len(head) // 2, len(head), len(whole) - 1, len(whole)):
            for _ in range(8):
                with socket.create_connection(("127.0.0.1", self.stack.main), 10) as s:
                    s.sendall(whole[:cut])
        self.check(key, self.transaction(key["public_key_hash"]))

    def test_half_closed(self):
        key = self.keys["tz1"]
        body = json.dumps(self.transaction(key["public_key_hash"]).hex())
        request = (f"POST /keys/{key['public_key_hash']} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                   ).encode()
        for cut in (0, 0, 0, 20, len(request) - 1, 40, 60, 80):
            with socket.create_connection(("127.0.0.1", self.stack.main), 10) as s:
                s.sendall(request[:cut])
                s.sendall(request[cut:])
                s.shutdown(socket.SHUT_WR)
                data = b""
                while piece := s.recv(65536):
                    data += piece
            # libmicrohttpd may take it for a client that has left.
            self.assertTrue(data == b"" or (data.startswith(b"HTTP/1.1 200") and b'{"signature"' in data), data)
        self.check(key, self.transaction(key["public_key_hash"]))

    def test_health(self):
        answer = self.stack.utility("/healthz")
        self.assertEqual(answer.status, 200)
        self.assertTrue(answer.json()["ready"])


class ServedByOriginal(Served):
    """The same on an enclave that knows neither ids nor Describe."""
    original = True


class Life(unittest.TestCase):
    def start(self, fault=None, original=False):
        self.stack = FakeStack(original=original)
        self.addCleanup(self.stack.down)
        self.key = self.stack.generate("tz1")
        self.stack.allow(self.key["public_key_hash"])
        if fault:
            self.stack.restart_enclave(fault)
        self.stack.serve()

    def message(self, amount=1):
        return tezos.transaction(self.key["public_key_hash"], UNKNOWN, amount)

    def sign(self, amount=1):
        message = self.message(amount)
        answer = self.stack.sign(self.key["public_key_hash"], message)
        if answer.status == 200:
            self.assertTrue(tezos.verify(self.key["public_key"], answer.json()["signature"], message))
        return answer

    def test_enclave_comes_back(self):
        self.start()
        self.assertEqual(self.sign().status, 200)
        self.stack.enclave.drop()
        wait_for(lambda: self.sign().status == 200)
        self.stack.enclave.stop()
        wait_for(lambda: self.stack.utility("/healthz").status == 503)
        answer = self.sign()
        self.assertEqual(answer.status, 500)
        self.assertIn("enclave.sock", answer.json()[0]["msg"])
        # The public key is known all the same.
        self.assertEqual(self.stack.request("GET", f"/keys/{self.key['public_key_hash']}").status, 200)
        self.stack.restart_enclave()
        started = time.monotonic()
        wait_for(lambda: self.sign().status == 200)
        self.assertLess(time.monotonic() - started, 10)
        wait_for(lambda: self.stack.utility("/healthz").status == 200)

    def signs(self):
        return sum(r[0] == "Sign" for r in self.stack.enclave.requests)

    def test_a_request_outlives_its_enclave(self):
        """Lost with the enclave that had it, it is sent to the next, once."""
        self.start()
        self.assertEqual(self.sign().status, 200)
        old = self.stack.enclave
        old.fault = "hang"
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            before = self.signs()
            answers = [pool.submit(self.sign, 100 + i) for i in range(8)]
            wait_for(lambda: self.signs() == before + 8)
            self.stack.restart_enclave()
            self.assertEqual([a.result().status for a in answers], [200] * 8)
        self.assertEqual(self.signs(), 8)
        # And of one that each enclave dies of, the client is told.
        self.stack.restart_enclave("close")
        wait_for(lambda: self.stack.enclave.connections)
        wait_for(lambda: self.stack.utility("/healthz").status == 200)
        answer = self.sign(7)
        self.assertEqual(answer.status, 500)
        self.assertEqual(self.signs(), 2)

    def test_requests_wait_a_moment_for_a_lost_enclave(self):
        self.start()
        self.assertEqual(self.sign().status, 200)
        self.stack.enclave.stop()
        wait_for(lambda: self.stack.utility("/healthz").status == 503)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            answers = [pool.submit(self.sign, 200 + i) for i in range(4)]
            time.sleep(0.3)
            self.stack.restart_enclave()
            self.assertEqual([a.result().status for a in answers], [200] * 4)

    def test_an_absent_enclave_uses_up_no_level(self):
        self.start()
        pkh = self.key["public_key_hash"]
        self.assertEqual(self.stack.sign(pkh, tezos.block(100, 0)).status, 200)
        self.stack.enclave.stop()
        wait_for(lambda: self.stack.sign(pkh, tezos.block(101, 0, payload=b"\x01" * 32)).status == 500)
        self.stack.restart_enclave()
        wait_for(lambda: self.sign().status == 200)
        self.assertEqual(self.stack.sign(pkh, tezos.block(101, 0, payload=b"\x02" * 32)).status, 200)
        self.assertEqual(self.stack.sign(pkh, tezos.block(101, 0, payload=b"\x03" * 32)).status, 409)

    def test_enclave_absent_at_start(self):
        self.stack = FakeStack()
        self.addCleanup(self.stack.down)
        self.key = self.stack.generate("tz1")
        self.stack.allow(self.key["public_key_hash"])
        self.stack.enclave.stop()
        self.stack.serve()
        self.assertEqual(self.sign().status, 500)
        self.assertEqual(self.stack.request("GET", f"/keys/{self.key['public_key_hash']}").status, 500)
        self.assertEqual(self.stack.request("GET", f"/keys/{UNKNOWN}").status, 404)
        self.stack.restart_enclave()
        wait_for(lambda: self.sign().status == 200)

    def test_new_keys_are_noticed(self):
        self.start()
        key = self.stack.generate("tz2")
        path = f"/keys/{key['public_key_hash']}"
        wait_for(lambda: self.stack.request("GET", path).status == 200)
        self.assertEqual(self.stack.request("GET", path).json()["public_key"], key["public_key"])

    def test_restart_keeps_keys_and_marks(self):
        self.start()
        pkh = self.key["public_key_hash"]
        self.assertEqual(self.stack.sign(pkh, tezos.block(50, 0)).status, 200)
        for kill in (False, True):
            if kill:
                self.stack.daemon.kill()
                self.stack.daemon = None
            else:
                self.stack.stop_daemon()
            self.stack.serve()
            self.assertEqual(self.stack.sign(pkh, tezos.block(50, 0)).status, 200)
            self.assertEqual(self.stack.sign(pkh, tezos.block(50, 0, payload=b"\x01" * 32)).status, 409)

    def test_termination_drains(self):
        os.environ["FAKE_LATE"] = "1.5"
        self.start("late")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            waiting = pool.submit(self.sign)
            wait_for(lambda: any(r[0] == "Sign" for r in self.stack.enclave.requests))
            self.stack.daemon.process.send_signal(signal.SIGTERM)
            self.assertEqual(waiting.result(20).status, 200)
        self.assertEqual(self.stack.daemon.process.wait(15), 0)
        self.assertIn("stopped", self.stack.log())

    def test_signatory_serves_without_a_subcommand(self):
        self.stack = FakeStack()
        self.addCleanup(self.stack.down)
        self.stack.serve(program="signatory")
        self.assertEqual(self.stack.request("GET", "/authorized_keys").status, 200)

    def test_port_taken(self):
        self.start()
        done = self.stack.cli("serve", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"Error: serve: .*")

    def test_faults(self):
        """Whatever the enclave does to one reply: an error, never a wrong
        signature; and the next enclave is used again."""
        for original, faults in ((False, ("close", "truncate", "foreign", "other-handle", "other-message", "garbage",
                                          "huge", "refuse", "repeat")),
                                 (True, ("close", "truncate", "other-key", "other-message", "garbage", "refuse"))):
            for fault in faults:
                with self.subTest(original=original, fault=fault):
                    self.start(fault, original)
                    statuses = {self.sign(i + 1).status for i in range(3)}
                    self.assertLessEqual(statuses, {200, 500, 503})
                    if fault != "repeat":
                        self.assertNotIn(200, statuses)
                    self.stack.restart_enclave()
                    wait_for(lambda: self.sign().status == 200)
                    self.stack.down()

    def test_reordered(self):
        self.start("reorder")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda i: self.sign(i + 1).status, range(32)))
        self.assertEqual(answers, [200] * 32)

    def test_restarts_under_load(self):
        self.start()
        stop = []
        answers = []

        def client(number):
            n = 0
            while not stop:
                n += 1
                answers.append(self.sign(number * 100000 + n).status)

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            futures = [pool.submit(client, i) for i in range(8)]
            for _ in range(10):
                time.sleep(0.2)
                self.stack.enclave.drop()
            time.sleep(0.5)
            stop.append(True)
            for f in futures:
                f.result(30)
        self.assertLessEqual(set(answers), {200, 500, 503})
        self.assertGreater(answers.count(200), 100)
        self.assertEqual(self.sign().status, 200)


if __name__ == "__main__":
    unittest.main()
