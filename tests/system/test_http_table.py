# SPDX-License-Identifier: Apache-2.0
"""Signatory's HTTP interface row by row: status, body and headers, exactly;
its published cases of bodies, watermarks and configuration errors (shared
vectors, where they are there)."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import socket
import tempfile
import time
import unittest

from claviger_testing import process, tezos
from claviger_testing.fake_stack import FakeStack

process.need("claviger")
UNKNOWN = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"
EVE = "tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"
JSON, TEXT = "application/json; charset=utf-8", "text/plain; charset=utf-8"
VECTORS = pathlib.Path(os.environ.get("CV_SHARED", "/nonexistent")) / "vectors" / "tezos-vectors.json"
NOT_FOUND = b"404 page not found\n"


def failure(text):
    # As Go writes JSON.
    text = json.dumps(text, ensure_ascii=False)
    for char in "<>&":
        text = text.replace(char, "\\u%04x" % ord(char))
    return ('[{"id":"failure","kind":"temporary","msg":' + text + "}]\n").encode()


def vectors(name):
    if not VECTORS.exists():
        raise unittest.SkipTest(f"{VECTORS} is absent")
    return json.loads(VECTORS.read_text(encoding="utf-8"))[name]


class Table(unittest.TestCase):
    def row(self, stack, method, path, status, body, kind=JSON, send=None, headers=None):
        with self.subTest(method=method, path=path[:80], send=send and send[:60], headers=headers):
            answer = stack.request(method, path, send, headers)
            self.assertEqual((answer.status, answer.body), (status, body))
            self.assertEqual(answer.headers.get("Content-Type"), kind)
            self.assertEqual(answer.headers.get("Content-Length"), str(len(answer.body)))
            return answer


class Routes(Table):
    @classmethod
    def setUpClass(cls):
        cls.stack = FakeStack()
        cls.addClassCleanup(cls.stack.down)
        cls.key, cls.bls, cls.unlisted = (cls.stack.generate(k) for k in ("tz1", "tz4", "tz1"))
        cls.pkh = cls.key["public_key_hash"]
        cls.stack.allow(cls.pkh, {"allow": {"block": None, "generic": ["transaction", "ballot:yay"]},
                                  "allowed_chains": [tezos.chain_text()], "allow_other_source": True})
        cls.stack.allow(cls.bls["public_key_hash"], {})
        cls.stack.allow(EVE)  # listed, and in no vault
        cls.stack.serve()

    def test_paths(self):
        for path in ("/", "", "/keys", "/keys/", f"/keys/{self.pkh}/", f"/keys/{self.pkh}/x", "//keys/x", "/known_keys",
                     "/Keys/x", "/authorized_keys/", "/bls_prove_possession", "/bls_prove_possession/", "/login/",
                     "/healthz", "/metrics", "/favicon.ico"):
            for method in ("GET", "POST", "DELETE"):
                if path:
                    self.row(self.stack, method, path, 404, NOT_FOUND, TEXT)

    def test_methods(self):
        for method, path in (("PUT", f"/keys/{self.pkh}"), ("DELETE", f"/keys/{self.pkh}"), ("HEAD", f"/keys/{self.pkh}"),
                             ("OPTIONS", f"/keys/{self.pkh}"), ("POST", "/authorized_keys"), ("HEAD", "/authorized_keys"),
                             ("POST", f"/bls_prove_possession/{self.pkh}"), ("PATCH", "/authorized_keys")):
            with self.subTest(method=method, path=path):
                answer = self.stack.request(method, path)
                self.assertEqual((answer.status, answer.body), (405, b""))

    def test_utility_paths(self):
        for path, status in (("/healthz", 200), ("/metrics", 200), ("/readyz", 200), ("/", 404), ("/keys/x", 404),
                             ("/healthz/", 404)):
            self.assertEqual(self.stack.utility(path).status, status, path)
        answer = self.stack.utility("/healthz")
        self.assertEqual(json.loads(answer.body), {"ready": True})
        self.assertEqual(answer.headers["Content-Type"], JSON)
        for path in ("/healthz", "/metrics"):
            answer = self.stack.utility(path, "POST")
            self.assertEqual((answer.status, answer.body), (405, b""))

    def test_listed_in_vain(self):
        told = [line for line in self.stack.log().splitlines() if "a key that the configuration lists is in no vault" in line]
        self.assertEqual(len(told), 1)
        self.assertIn(f"pkh={EVE}", told[0])

    def test_no_login(self):
        self.row(self.stack, "POST", "/login", 404, NOT_FOUND, TEXT)

    def test_get_key(self):
        for key in (self.key, self.bls, self.unlisted):  # listed or not
            self.row(self.stack, "GET", f"/keys/{key['public_key_hash']}", 200,
                     f'{{"public_key":"{key["public_key"]}"}}\n'.encode())
        self.row(self.stack, "GET", f"/keys/{UNKNOWN}", 404, failure("this key not found in any vault"))
        self.row(self.stack, "GET", "/authorized_keys", 200, b"{}\n")

    def test_hashes(self):
        for text, why in ((UNKNOWN[:-1] + "V", "gotez: base58Check decoding error: invalid checksum"),
                          (self.key["public_key"], "gotez: unknown public key prefix"),
                          ("KT1GyeRktoGPEKsWpchWguyy8FAf3aNHkw2T", "gotez: unknown public key prefix"),
                          ("1" * 36, "gotez: base58Check decoding error: invalid checksum"),
                          ("t" * 300, "gotez: base58Check decoding error: invalid checksum"),
                          ("tz10", "gotez: base58 decoding error: unexpected character at position 3: 0"),
                          ("%20" + UNKNOWN, "gotez: base58 decoding error: unexpected character at position 0:  "),
                          ("tz%C3", "gotez: base58 decoding error: unexpected character at position 2: \u00c3"),
                          ("abc", "gotez: base58Check decoding error: data is too short: 3"),
                          ("11", "gotez: base58Check decoding error: data is too short: 2"),
                          ("z", "gotez: base58Check decoding error: data is too short: 1"),
                          ("3MNQE1X", "gotez: unknown Tezos base58 prefix")):
            for method, path in (("GET", "/keys/"), ("POST", "/keys/"), ("GET", "/bls_prove_possession/")):
                self.row(self.stack, method, path + text, 400, failure(why), send='"03"' if method == "POST" else None)
        for end in ("%00", "%00x", "%01", "%2F", "%0a", "%20", "%zz"):
            self.assertIn(self.stack.request("GET", f"/keys/{self.pkh}{end}").status, (400, 404), end)
        # In the path, percent escapes are decoded as they are everywhere.
        self.row(self.stack, "GET", f"/keys/%74{self.pkh[1:]}", 200, f'{{"public_key":"{self.key["public_key"]}"}}\n'.encode())

    def test_bodies(self):
        for body, why in (("", "unexpected end of JSON input"), ("  \n", "unexpected end of JSON input"),
                          ('"03', "unexpected end of JSON input"),
                          ("3", "json: cannot unmarshal number into Go value of type string"),
                          ("[]", "json: cannot unmarshal array into Go value of type string"),
                          ("{}", "json: cannot unmarshal object into Go value of type string"),
                          ("true", "json: cannot unmarshal bool into Go value of type string"),
                          ('"03" x', "invalid character 'x' after top-level value"),
                          ('"03zz"', "encoding/hex: invalid byte: U+007A 'z'"),
                          ('"0x03"', "encoding/hex: invalid byte: U+0078 'x'"),
                          ('"030"', "encoding/hex: odd length hex string")):
            self.row(self.stack, "POST", f"/keys/{self.pkh}", 400, failure(why), send=body)
        # An empty message, which is no request.
        for body in ("null", '""'):
            answer = self.stack.request("POST", f"/keys/{self.pkh}", body)
            self.assertEqual(answer.status, 400)
        for headers in ({}, {"Content-Type": "text/html"}, {"Content-Type": "application/x-www-form-urlencoded"}):
            self.row(self.stack, "POST", f"/keys/{self.pkh}", 400, failure("gotez: unknown tag 23"), send='"17"',
                     headers=headers)

    def test_order_and_refusals(self):
        transaction = tezos.transaction(self.pkh, EVE, 1)

        def row(pkh, message, status, text):
            self.row(self.stack, "POST", f"/keys/{pkh}", status, failure(text), send=json.dumps(message.hex()))

        row(UNKNOWN, transaction, 403, f"{UNKNOWN} is not listed in config")
        row(self.unlisted["public_key_hash"], b"\x17", 403, f"{self.unlisted['public_key_hash']} is not listed in config")
        row(EVE, b"\x17", 400, "gotez: unknown tag 23")  # decoded before it is looked for
        row(EVE, transaction, 404, "this key not found in any vault")
        chain = bytes.fromhex("00000001")
        row(self.pkh, tezos.attestation(5, 0, chain=chain), 403, f"chain `{tezos.chain_text(chain)}' is not allowed")
        row(self.pkh, tezos.attestation(5, 0), 403, "request kind `attestation' is not allowed")
        row(self.pkh, b"\x05\x00\x00", 403, "request kind `pack' is not allowed")
        row(self.bls["public_key_hash"], tezos.block(5, 0), 403, "request kind `block' is not allowed")  # {} denies all
        ballot = b"\x06" + tezos.key_hash_bytes(self.pkh) + bytes(4) + bytes(32)
        for vote, name in ((1, "nay"), (2, "pass")):
            row(self.pkh, b"\x03" + bytes(32) + ballot + bytes([vote]), 403, f"operation `ballot:{name}' is not allowed")
        answer = self.stack.sign(self.pkh, b"\x03" + bytes(32) + ballot + b"\x00")
        self.assertEqual(answer.status, 200, answer.body)
        delegation = b"\x6e" + tezos.key_hash_bytes(self.pkh) + b"\x01\x01\x01\x00\x00"
        row(self.pkh, b"\x03" + bytes(32) + delegation, 403, "operation `delegation' is not allowed")
        self.assertEqual(self.stack.sign(self.pkh, tezos.block(50, 0)).status, 200)
        row(self.pkh, tezos.block(49, 0), 409, "watermark validation failed")

    def test_proof_of_possession(self):
        get = "/bls_prove_possession/"
        self.row(self.stack, "GET", get + UNKNOWN, 403, failure(f"{UNKNOWN} is not listed in config"))
        self.row(self.stack, "GET", get + EVE, 404, failure("this key not found in any vault"))
        self.row(self.stack, "GET", get + self.bls["public_key_hash"], 400, failure("proof of possession is not allowed"))

    def test_signature(self):
        message = tezos.transaction(self.pkh, EVE, 1)
        for query, extra in (("", {}), ("?version=2", {}), ("?version=nonsense", {}), ("?version=1", {}),
                             ("?authentication=whatever", {}), ("?a=b&c", {"X-Y": "z"})):
            answer = self.stack.request("POST", f"/keys/{self.pkh}{query}", json.dumps(message.hex()), extra)
            self.assertEqual((answer.status, answer.headers["Content-Type"]), (200, JSON))
            signature = answer.json()["signature"]
            self.assertEqual(answer.body, f'{{"signature":"{signature}"}}\n'.encode())
            self.assertTrue(tezos.verify(self.key["public_key"], signature, message))
            self.assertNotIn("Access-Control-Allow-Origin", answer.headers)

    def test_upper_case_and_spaces(self):
        message = tezos.transaction(self.pkh, EVE, 1).hex()
        for body in (f' "{message.upper()}"\n', '"' + "".join(f"\\u{ord(c):04x}" for c in message) + '"'):
            self.assertEqual(self.stack.request("POST", f"/keys/{self.pkh}", body).status, 200)


class JwtTexts(Table):
    BOB = {"password": "Bob-Password-1234", "secret": "Bob-Secret-1234567890-1234567890"}

    def test_rows(self):
        with FakeStack(server={"jwt": {"users": {"bob": self.BOB}}}) as s:
            pkh = s.generate("tz1")["public_key_hash"]
            s.serve()
            login = s.request("POST", "/login", headers={"username": "bob", "password": self.BOB["password"]})
            self.assertEqual((login.status, login.body.count(b".")), (201, 2))
            token = login.body.decode()
            for method, path in (("GET", f"/keys/{pkh}"), ("POST", f"/keys/{pkh}"), ("GET", "/authorized_keys"),
                                 ("GET", f"/bls_prove_possession/{pkh}")):
                for headers, text in (({}, b"token required"), ({"username": "bob"}, b"token required"),
                                      ({"Authorization": token}, b"JWT: user not found"),
                                      ({"Authorization": token, "username": "eve"}, b"JWT: user not found"),
                                      ({"Authorization": f"Bearer {token[:-3]}", "username": "bob"}, None)):
                    with self.subTest(method=method, path=path, headers=headers):
                        answer = s.request(method, path, "" if method == "POST" else None, headers)
                        self.assertEqual((answer.status, answer.headers["Content-Type"]), (401, TEXT))
                        if text is not None:
                            self.assertEqual(answer.body.strip(), text)
            # Paths that are none, and methods, before tokens.
            self.row(s, "GET", "/nothing", 404, NOT_FOUND, TEXT)
            for headers, text in (({}, b"username and password required"), ({"username": "bob"}, b"username and password required"),
                                  ({"username": "bob", "password": "x"}, b"Access denied"),
                                  ({"username": "eve", "password": "x"}, b"Access denied")):
                answer = s.request("POST", "/login", headers=headers)
                self.assertEqual((answer.status, answer.body.strip()), (401, text))
            answer = s.request("GET", f"/keys/{pkh}", headers={"Authorization": f"Bearer {token}", "username": "bob"})
            self.assertEqual(answer.status, 200)


class Published(Table):
    """What the original publishes of itself."""

    def test_http_bodies(self):
        cases = vectors("http_bodies")
        with FakeStack() as s:
            pkh = s.generate("tz1")["public_key_hash"]
            s.allow(pkh)
            s.serve()
            done = 0
            for case in cases:
                if "request_body" in case:
                    self.row(s, "POST", f"/keys/{pkh}", case["status"], case["body"].encode(), send=case["request_body"])
                    # The key of the published case is in no vault: the body is looked at first.
                    self.row(s, "POST", f"/keys/{UNKNOWN}", case["status"], case["body"].encode(), send=case["request_body"])
                    done += 1
                elif case["body"].startswith('{"public_key"'):
                    answer = s.request("GET", f"/keys/{pkh}")
                    self.assertEqual(list(answer.json()), list(json.loads(case["body"])))
                    self.assertEqual(len(answer.body), len(case["body"]))
                    done += 1
                elif case["body"].startswith('{"signature"'):
                    answer = s.sign(pkh, tezos.transaction(pkh, EVE, 1))
                    self.assertEqual((list(answer.json()), len(answer.body)), (list(json.loads(case["body"])), len(case["body"])))
                    done += 1
            self.assertGreaterEqual(done, 5)

    def baker(self, stack):
        secret = [k for k in vectors("keys")["plain"] if k["name"] == "Baker"][0]
        file = stack.dir / "baker"
        file.write_text(secret["secret"])
        stack.cli("import", "--vault", "nitro", "-f", file)
        # As Signatory leaves it: the key, and nothing about what it signed.
        stored = json.loads(stack.keys_file.read_text())
        stack.keys_file.write_text(json.dumps([{k: e[k] for k in ("public_key_hash", "encrypted_private_key")} for e in stored]))
        stack.allow(secret["pkh"])
        return secret["pkh"]

    def test_watermarks(self):
        scenarios = vectors("watermark_http_scenarios")
        requests = {r["title"]: bytes.fromhex(r["hex"]) for r in vectors("sign_requests") if "hex" in r}
        # B1 is B2 with another payload.
        requests.setdefault("B1", requests["B2"][:-60] + bytes(32) + requests["B2"][-28:])
        hashes = scenarios["hashes"]
        name = pathlib.Path(scenarios["file"])
        for case in scenarios["scenarios"]:
            with self.subTest(case["title"]), FakeStack() as s:
                pkh = self.baker(s)
                self.assertEqual(pkh, scenarios["pkh"])
                base = s.dir / "base"
                if case["before"]:
                    (base / name).parent.mkdir(exist_ok=True)
                    (base / name).write_text(json.dumps({pkh: {
                        kind: {"level": level, "round": round_, "hash": hashes[h]}
                        for kind, (level, round_, h) in case["before"].items()}}, indent=4))
                else:
                    s.cli("watermark", "init", pkh)
                s.serve("--no-list")
                if case.get("concurrent"):
                    with concurrent.futures.ThreadPoolExecutor(10) as pool:
                        answers = list(pool.map(lambda r: (r, s.sign(pkh, requests[r])), case["requests"]))
                    good = {r for r, a in answers if a.status == 200}
                    self.assertEqual(len(good), 1)
                    self.assertEqual(sorted(a.status for _, a in answers), [200] * 5 + [409] * 5)
                    continue
                for request, status in zip(case["requests"], case["status"]):
                    answer = s.sign(pkh, requests[request])
                    self.assertEqual(answer.status, status, (request, answer.body))
                    if status != 200:
                        self.assertEqual(answer.json(), scenarios["refusal"]["body"])
                        self.assertEqual(status, scenarios["refusal"]["status"])
                s.stop_daemon()
                s.cli("watermark", "export", "--dir", s.dir / "out")
                after = json.loads((s.dir / "out" / name.name).read_text())[pkh]
                for kind, (level, round_, request) in case["after"].items():
                    self.assertEqual((after[kind]["level"], after[kind]["round"]), (level, round_))
                    if request in ("A1", "A2", "B2", "C1", "C2", "C3") or case["before"] == case["after"]:
                        self.assertEqual(after[kind]["hash"], hashes[request], (kind, request))

    def test_config_errors(self):
        done = 0
        for case in vectors("config_errors"):
            with self.subTest(case), tempfile.TemporaryDirectory() as directory:
                base = pathlib.Path(directory)
                config = {"base_dir": str(base / "base"), "tezos": {}}
                if "tezos_key" in case:
                    config["tezos"][case["tezos_key"]] = None
                elif "allow" in case:
                    config["tezos"][UNKNOWN] = {"allow": case["allow"]}
                elif "server.address" in case:
                    config["server"] = {"address": case["server.address"]}
                else:
                    config.update({k: v for k, v in case.items() if k != "error"})
                (base / "c.yaml").write_text(json.dumps(config))
                result = process.run([process.bin_dir() / "claviger", "-c", base / "c.yaml", "serve", "--check"], check=False)
                self.assertEqual(result.returncode, 1)
                self.assertIn(case["error"], result.stderr)
                done += 1
        self.assertGreaterEqual(done, 10)


class Connections(unittest.TestCase):
    def raw(self, port, text, answers=None):
        """What comes back: so many answers, or all until the server closes."""
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            s.sendall(text.encode())
            answer = b""
            while (answers is None or answer.count(b"}]\n") + answer.count(b"{}\n") < answers) and (more := s.recv(65536)):
                answer += more
            return answer

    def test_half_closed_clients_see_the_end(self):
        with FakeStack() as s:
            s.serve()
            begun = time.monotonic()
            for requests in (1, 2):
                with socket.create_connection(("127.0.0.1", s.main), timeout=10) as c:
                    c.sendall(b"GET /authorized_keys HTTP/1.1\r\nHost: x\r\n\r\n" * requests)
                    c.shutdown(socket.SHUT_WR)
                    answer = b""
                    while more := c.recv(65536):
                        answer += more
                    self.assertEqual(answer.count(b"HTTP/1.1 200"), requests)
            self.assertLess(time.monotonic() - begun, 9)

    def test_framing(self):
        with FakeStack() as s:
            key = s.generate("tz1")
            s.serve()
            head = f"POST /keys/{key['public_key_hash']} HTTP/1.1\r\nHost: x\r\n"
            # Whoever reads the other length sees another request behind it: none is answered.
            hidden = "GET /authorized_keys HTTP/1.1\r\nHost: x\r\n\r\n"
            for lengths in ("Content-Length: 4\r\nContent-Length: 50\r\n", "Content-Length: 4\r\ncontent-length: 04\r\n",
                            "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"):
                answer = self.raw(s.main, head + lengths + '\r\n"03"' + hidden)
                self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1)
                self.assertIn(b"the request has two lengths", answer)
            for same in ("Content-Length: 4\r\nContent-Length: 4\r\n", "Content-Length: 4\r\n",
                         "Transfer-Encoding: chunked\r\n"):
                body = '4\r\n"03"\r\n0\r\n\r\n' if "chunked" in same else '"03"'
                answer = self.raw(s.main, head + same + "\r\n" + body + hidden, answers=2)
                self.assertEqual(answer.count(b"HTTP/1.1 "), 2, answer)
            for target, status in ((f"http://signer:6732/keys/{key['public_key_hash']}", 200),
                                   (f"HTTP://x/keys/{key['public_key_hash']}?a=b", 200), ("http://x", 404), ("http://", 404),
                                   ("http://x/", 404), ("ftp://x/authorized_keys", 404), ("https://x/authorized_keys", 200)):
                answer = self.raw(s.main, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertTrue(answer.startswith(f"HTTP/1.1 {status} ".encode()), (target, answer))

    def test_keep_alive_after_errors(self):
        with FakeStack() as s:
            s.serve()
            connection = http.client.HTTPConnection("127.0.0.1", s.main, timeout=10)
            for method, path, status in (("GET", "/nothing", 404), ("PUT", "/authorized_keys", 405),
                                         ("GET", f"/keys/{UNKNOWN}", 404), ("POST", f"/keys/{UNKNOWN}", 400),
                                         ("GET", "/authorized_keys", 200)):
                connection.request(method, path)
                answer = connection.getresponse()
                answer.read()
                self.assertEqual(answer.status, status)
                self.assertIsNotNone(connection.sock, "the connection was closed")
            connection.close()


if __name__ == "__main__":
    unittest.main()
