# SPDX-License-Identifier: Apache-2.0
"""Who may ask: Octez client signatures, JSON Web Tokens; proof of possession;
metrics and readiness."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import re
import time
import unittest


from claviger_testing import process, tezos
from claviger_testing.fake_enclave import blake2b, public_key, sign
from claviger_testing.fake_stack import FakeStack

process.need("claviger")
UNKNOWN = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"


class ClientKey:
    """A client as octez-client is one."""

    def __init__(self, kind="Ed25519"):
        self.kind, self.secret = kind, hashlib.sha256(kind.encode() + bytes(str(id(self)), "ascii")).digest()
        prefix = {"Ed25519": "edpk", "Secp256k1": "sppk", "NistP256": "p2pk"}[kind]
        self.text = tezos.encode(prefix, public_key(kind, self.secret))
        self.pkh = tezos.key_hash(self.text)

    def authenticate(self, pkh, message, generic=False):
        signature = sign(self.kind, self.secret, b"\x04\x01" + tezos.key_hash_bytes(pkh) + message, 2)
        name = {"Ed25519": "edsig", "Secp256k1": "spsig1", "NistP256": "p2sig"}[self.kind]
        return tezos.encode("sig" if generic else name, signature)


def text_of(answer):
    return answer.json()[0]["msg"]


class Octez(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.alice, cls.bob, cls.carol = ClientKey(), ClientKey("Secp256k1"), ClientKey("NistP256")
        cls.mallory = ClientKey()
        cls.stack = FakeStack(server={"authorized_keys": [cls.alice.text, [cls.bob.text], cls.carol.text]})
        cls.addClassCleanup(cls.stack.down)
        cls.key, cls.private, cls.bls = (cls.stack.generate(k) for k in ("tz1", "tz2", "tz4"))
        for k in (cls.key, cls.private):
            cls.stack.allow(k["public_key_hash"])
        cls.stack.tezos[cls.private["public_key_hash"]]["authorized_keys"] = cls.bob.text
        cls.stack.allow(cls.bls["public_key_hash"], {"allow": {"block": None}, "allow_proof_of_possession": True})
        cls.stack.serve()

    def ask(self, key, authentication, message=None):
        pkh = key["public_key_hash"]
        message = message or tezos.transaction(pkh, UNKNOWN, 1)
        query = f"?authentication={authentication}" if authentication is not None else ""
        answer = self.stack.sign(pkh, message, query)
        if answer.status == 200:
            self.assertTrue(tezos.verify(key["public_key"], answer.json()["signature"], message))
        return answer

    def test_list(self):
        answer = self.stack.request("GET", "/authorized_keys")
        self.assertEqual(answer.json(), {"authorized_keys": [self.alice.pkh, self.bob.pkh, self.carol.pkh]})

    def test_clients(self):
        pkh = self.key["public_key_hash"]
        message = tezos.transaction(pkh, UNKNOWN, 1)
        for client in (self.alice, self.bob, self.carol):
            for generic in (False, True):
                self.assertEqual(self.ask(self.key, client.authenticate(pkh, message, generic)).status, 200)
        for authentication, status, text in (
                (None, 401, "missing authentication signature field"),
                ("", 401, "missing authentication signature field"),
                (self.mallory.authenticate(pkh, message), 403, "invalid authentication signature"),
                (self.alice.authenticate(pkh, message + b"x"), 403, "invalid authentication signature"),
                (self.alice.authenticate(UNKNOWN, message), 403, "invalid authentication signature")):
            answer = self.ask(self.key, authentication)
            self.assertEqual((answer.status, text_of(answer)), (status, text))
        invalid = "gotez: base58Check decoding error: invalid checksum"
        signature = self.alice.authenticate(pkh, message)
        for authentication, text in (("nonsense", invalid), (signature[:-1] + ("1" if signature[-1] != "1" else "2"), invalid),
                                     ("sig0", "gotez: base58 decoding error: unexpected character at position 3: 0"),
                                     (self.alice.text, "gotez: unknown signature type")):
            answer = self.ask(self.key, authentication)
            self.assertEqual((answer.status, text_of(answer)), (400, text))

    def test_order(self):
        # Authentication comes before the list of keys, and after the body.
        self.assertEqual(self.stack.sign(UNKNOWN, b"\x03").status, 401)
        self.assertEqual(self.stack.request("POST", f"/keys/{UNKNOWN}", '"0"').status, 400)
        # Public keys are public.
        self.assertEqual(self.stack.request("GET", f"/keys/{self.key['public_key_hash']}").status, 200)

    def test_clients_of_one_key(self):
        pkh = self.private["public_key_hash"]
        message = tezos.transaction(pkh, UNKNOWN, 1)
        self.assertEqual(self.ask(self.private, self.bob.authenticate(pkh, message)).status, 200)
        answer = self.ask(self.private, self.alice.authenticate(pkh, message))
        self.assertEqual((answer.status, text_of(answer)), (403, f"client `{self.alice.pkh}' is not allowed"))

    def test_proof_of_possession(self):
        pkh = self.bls["public_key_hash"]

        def ask(key, client):
            query = f"?authentication={client.authenticate(key, b'')}" if client else ""
            return self.stack.request("GET", f"/bls_prove_possession/{key}{query}", timeout=60)

        answer = ask(pkh, self.alice)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertTrue(tezos.verify_proof_of_possession(self.bls["public_key"],
                                                         answer.json()["bls_prove_possession"]))
        self.assertEqual(ask(pkh, None).status, 401)
        self.assertEqual(ask(pkh, self.mallory).status, 403)
        answer = ask(self.key["public_key_hash"], self.alice)
        self.assertEqual((answer.status, text_of(answer)), (400, "proof of possession is not allowed"))
        self.assertEqual(ask(UNKNOWN, self.alice).status, 403)
        proof = self.stack.cli("prove", pkh).stdout.strip()
        self.assertTrue(tezos.verify_proof_of_possession(self.bls["public_key"], proof))
        self.assertEqual(self.stack.cli("prove", self.key["public_key_hash"], check=False).returncode, 2)
        unknown = tezos.encode("tz4", bytes(20))
        self.assertEqual(self.stack.cli("prove", unknown, check=False).returncode, 1)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(user, secret, exp, algorithm="HS256", digest=hashlib.sha256):
    body = b64(json.dumps({"alg": algorithm, "typ": "JWT"}).encode()) + "." + \
        b64(json.dumps({"user": user, "exp": exp}).encode())
    return body + "." + b64(hmac.new(secret.encode(), body.encode(), digest).digest())


class Jwt(unittest.TestCase):
    BOB = {"password": "Bob-Password-1234", "secret": "Bob-Secret-1234567890-1234567890", "jwt_exp": 5}
    EVE = {"password": "Eve-Password-1234$x", "secret": "Eve-Secret-1234567890-1234567890",
           "old_cred_exp": "2099-01-01 00:00:00",
           "new_data": {"password": "New-Password-1234", "secret": "New-Secret-1234567890-1234567890"}}
    OLD = {"password": "Old-Password-1234", "secret": "Old-Secret-1234567890-1234567890",
           "new_data": {"password": "Now-Password-1234", "secret": "Now-Secret-1234567890-1234567890"}}

    @classmethod
    def setUpClass(cls):
        cls.stack = FakeStack(server={"jwt": {"users": {"bob": cls.BOB, "eve": cls.EVE, "old": cls.OLD}}})
        cls.addClassCleanup(cls.stack.down)
        cls.key, cls.bobs = cls.stack.generate("tz1"), cls.stack.generate("tz2")
        cls.stack.allow(cls.key["public_key_hash"])
        cls.stack.allow(cls.bobs["public_key_hash"])
        cls.stack.tezos[cls.bobs["public_key_hash"]]["jwt_users"] = ["bob"]
        cls.stack.write()
        cls.stack.serve()

    def login(self, user, password):
        headers = {k: v for k, v in (("username", user), ("password", password)) if v is not None}
        return self.stack.request("POST", "/login", headers=headers)

    def get(self, user, value, path=None):
        headers = {}
        if user is not None:
            headers["username"] = user
        if value is not None:
            headers["Authorization"] = value
        return self.stack.request("GET", path or f"/keys/{self.key['public_key_hash']}", headers=headers)

    def test_login(self):
        for user, password in (("bob", self.BOB["password"]), ("eve", self.EVE["password"]),
                               ("eve", self.EVE["new_data"]["password"]), ("old", self.OLD["new_data"]["password"])):
            answer = self.login(user, password)
            self.assertEqual(answer.status, 201, answer.body)
            text = answer.body.decode()
            claims = json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))
            self.assertEqual(claims["user"], user)
            self.assertAlmostEqual(claims["exp"], time.time() + (300 if user == "bob" else 3600), delta=20)
            for value in (text, "Bearer " + text):
                self.assertEqual(self.get(user, value).status, 200)
        for user, password, text in ((None, None, b"username and password required"),
                                     ("bob", None, b"username and password required"),
                                     ("bob", "wrong", b"Access denied"), ("nobody", "x", b"Access denied"),
                                     ("old", self.OLD["password"], b"Access denied")):
            answer = self.login(user, password)
            self.assertEqual((answer.status, answer.body.strip()), (401, text))

    def test_tokens(self):
        secret, later = self.BOB["secret"], int(time.time()) + 1000
        for algorithm, digest in (("HS256", hashlib.sha256), ("HS384", hashlib.sha384), ("HS512", hashlib.sha512)):
            self.assertEqual(self.get("bob", token("bob", secret, later, algorithm, digest)).status, 200)
        none = b64(b'{"alg":"none"}') + "." + b64(json.dumps({"user": "bob", "exp": later}).encode()) + "."
        for user, value, text in (
                ("bob", None, b"token required"), (None, token("bob", secret, later), b"JWT: user not found"),
                ("nobody", token("nobody", secret, later), b"JWT: user not found"),
                ("eve", token("bob", secret, later), None), ("bob", token("bob", secret, later - 2000), None),
                ("bob", token("bob", self.EVE["secret"], later), None), ("bob", none, None), ("bob", "a.b.c", None),
                ("bob", token("bob", secret, later)[:-2], None), ("bob", "x" * 5000, None),
                ("bob", token("bob", secret, later, "HS512"), None),
                ("old", token("old", self.OLD["secret"], later), None)):
            answer = self.get(user, value)
            self.assertEqual(answer.status, 401, value)
            self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
            self.assertEqual(answer.body.strip(), text or b"JWT: invalid token")
        self.assertEqual(self.get("bob", None, "/authorized_keys").status, 401)

    def test_keys_of_users(self):
        for user, secret, status in (("bob", self.BOB["secret"], 200), ("eve", self.EVE["secret"], 403)):
            headers = {"username": user, "Authorization": token(user, secret, int(time.time()) + 100)}
            message = tezos.transaction(self.bobs["public_key_hash"], UNKNOWN, 1)
            answer = self.stack.request("POST", f"/keys/{self.bobs['public_key_hash']}", json.dumps(message.hex()),
                                        headers)
            self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(text_of(answer), f"user `eve' is not authorized to access {self.bobs['public_key_hash']}")

    def test_no_secret_in_the_log(self):
        self.test_login()
        log = self.stack.log()
        for user in (self.BOB, self.EVE, self.OLD):
            self.assertNotIn(user["password"], log)
            self.assertNotIn(user["secret"], log)


METRIC = re.compile(r'^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$')


def parse_metrics(text):
    """The exposition format 0.0.4, strictly: {(name, labels): value}."""
    out, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"{name} twice"
            types[name] = kind
        elif not line.startswith("# HELP "):
            m = METRIC.match(line)
            assert m, line
            base = re.sub(r"_(bucket|sum|count)$", "", m[1])
            assert m[1] in types or types.get(base) == "histogram", line
            labels = tuple(sorted(re.findall(r'([a-z_]+)="((?:[^"\\]|\\.)*)"', m[2] or "")))
            assert (m[1], labels) not in out, line
            out[m[1], labels] = float(m[3])
    return out


class Observed(unittest.TestCase):
    def test_metrics(self):
        with FakeStack() as s:
            key = s.generate("tz1")
            pkh = key["public_key_hash"]
            s.allow(pkh)
            s.serve()
            for message, status in ((tezos.block(10, 2), 200), (tezos.block(10, 1), 409), (b"\x05\x00\x00", 403),
                                    (tezos.transaction(pkh, UNKNOWN, 1), 200), (b"\x17", 400)):
                self.assertEqual(s.sign(pkh, message).status, status)
            answer = s.utility("/metrics")
            self.assertEqual(answer.status, 200)
            self.assertTrue(answer.headers["Content-Type"].startswith("text/plain"))
            m = parse_metrics(answer.body.decode())
            chain = tezos.chain_text()

            def value(name, **labels):
                return m.get((name, tuple(sorted(labels.items()))))

            nitro = "NitroEnclave"
            self.assertEqual(value("signing_ops_total", address=pkh, vault=nitro, op="block", kind="", chain_id=chain), 1)
            self.assertEqual(value("signing_ops_total", address=pkh, vault=nitro, op="generic", kind="transaction",
                                   chain_id=""), 1)
            self.assertEqual(value("consensus_round_total", address=pkh, operation_type="block", chain_id=chain, round="2"), 1)
            for status, n in (("200", 2), ("409", 1), ("403", 1), ("400", 1)):
                self.assertEqual(value("sign_handler_requests_total", address=pkh, status=status), n)
            self.assertEqual(value("vault_sign_request_error_total", vault=nitro, code="409", chain_id=chain), 1)
            self.assertEqual(value("policy_violation_total", violation_type="pack", address=pkh, operation_type="request"), 1)
            self.assertEqual(value("watermark_operations_total", result="rejected", backend="file", request_type="block"), 1)
            self.assertEqual(value("watermark_operations_total", result="success", backend="file", request_type="generic"), 1)
            self.assertGreaterEqual(value("watermark_io_operations_total", backend="file", operation="write",
                                          table_name="", result="success"), 1)
            self.assertEqual(value("vault_sign_request_duration_milliseconds_bucket", vault=nitro, address=pkh,
                                   op="block", chain_id=chain, le="+Inf"), 1)
            self.assertEqual(value("claviger_vault_up", vault="nitro"), 1)
            self.assertEqual(value("claviger_enclave_kms_requests_total", vault="nitro", request="Import", result="success"), 1)
            self.assertEqual(value("claviger_enclave_round_trip_seconds_count"), 2)
            self.assertTrue(any(name == "signatory_build_info" for name, _ in m))
            self.assertTrue(any(name == "process_resident_memory_bytes" for name, _ in m))

    def test_dashboard_and_alerts_know_the_metrics(self):
        root = pathlib.Path(os.environ["CV_SOURCE_DIR"])
        known = set(re.findall(r'\] = \{"([a-z_]+)"', (root / "src/signer/instruments.c").read_text()))
        self.assertGreater(len(known), 15)
        used = set()
        dashboard = json.loads((root / "packaging/grafana-dashboard.json").read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                used |= set(re.findall(r"\b((?:claviger|watermark|sign|signing|vault|policy|authentication|consensus)_[a-z_]+)"
                                       r"\b(?=[\[{ )])", target["expr"]))
        text = (root / "packaging/prometheus-alerts.yaml").read_text()
        used |= set(re.findall(r"\b([a-z]+_[a-z_]+)(?=[\[{]| ==)", text))
        used = {re.sub(r"_bucket$", "", name) for name in used}
        self.assertGreater(len(used), 8)
        self.assertEqual(used - known, set())
        guide = (root / "docs/operating.md").read_text()
        for name in known:
            self.assertIn(name, guide)
        for alert in re.findall(r"alert: (\w+)", text):
            self.assertIn(alert, guide)

    def test_ready(self):
        with FakeStack() as s:
            s.generate("tz1")
            s.serve()
            deadline = time.monotonic() + 60
            while s.utility("/readyz").status != 200 and time.monotonic() < deadline:
                time.sleep(0.02)
            self.assertEqual(s.utility("/readyz").json(), {"ready": True, "reasons": [], "keys_stored": 1, "keys_usable": 1})
            s.enclave.stop()
            while s.utility("/readyz").status == 200 and time.monotonic() < deadline:
                time.sleep(0.02)
            answer = s.utility("/readyz")
            self.assertEqual(answer.status, 503)
            self.assertIn("vault nitro", answer.json()["reasons"][0])
            self.assertEqual(s.utility("/healthz").status, 503)

    def test_keys_that_cannot_sign(self):
        """One of several is told; none that can is not ready."""
        with FakeStack() as s:
            good, bad = (s.generate("tz1")["public_key_hash"] for _ in range(2))
            for pkh in (good, bad, UNKNOWN):
                s.allow(pkh)
            store = s.dir / "enclave_keys.json"
            store = store if store.exists() else s.dir / "base" / "enclave_keys.json"
            whole = json.loads(store.read_text())

            def damage(*hashes):
                store.write_text(json.dumps([
                    {**k, "encrypted_private_key": base64.b64encode(b"nonsense").decode()}
                    if k["public_key_hash"] in hashes else k for k in whole]))
                s.stop_daemon()
                s.serve()
                deadline = time.monotonic() + 30
                while (answer := s.utility("/readyz").json())["reasons"] == [] or "vault" in answer["reasons"][0][:6]:
                    self.assertLess(time.monotonic(), deadline, answer)
                    time.sleep(0.02)
                return answer, s.utility("/healthz").status

            answer, health = damage(bad)
            self.assertEqual((answer["ready"], health, answer["keys_usable"]), (True, 200, 1))
            self.assertEqual({r.split()[1] for r in answer["reasons"]}, {bad, UNKNOWN})
            self.assertIn(f"key {UNKNOWN} cannot sign: it is in no vault", answer["reasons"])
            answer, health = damage(good, bad)
            self.assertEqual((answer["ready"], health, answer["keys_usable"]), (False, 503, 0))
            self.assertEqual({r.split()[1] for r in answer["reasons"]}, {good, bad, UNKNOWN})

    def test_audit(self):
        with FakeStack() as s:
            pkh = s.generate("tz1")["public_key_hash"]
            s.allow(pkh)
            s.serve()
            s.sign(pkh, tezos.block(1, 0))
            s.sign(pkh, b"\x17")
            s.stop_daemon()
            log = s.dir / "base" / "audit.log"
            lines = [json.loads(line) for line in log.read_text().splitlines()]
            self.assertIn("sign", [x["event"] for x in lines])
            self.assertIn("refuse", [x["event"] for x in lines])
            signed = [x for x in lines if x["event"] == "sign"][0]
            self.assertEqual((signed["pkh"], signed["level"]), (pkh, "1"))
            self.assertEqual(signed["digest"], blake2b(tezos.block(1, 0)).hex())
            self.assertEqual(s.cli("audit", "verify", log).returncode, 0)
            log.write_text(log.read_text().replace('"level":"1"', '"level":"2"', 1))
            self.assertEqual(s.cli("audit", "verify", log, check=False).returncode, 1)


if __name__ == "__main__":
    unittest.main()
