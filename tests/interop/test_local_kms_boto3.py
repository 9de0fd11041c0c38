# SPDX-License-Identifier: Apache-2.0
"""The KMS stand-in driven by boto3, and its signature check by botocore's signer."""

import base64
import concurrent.futures
import datetime
import json
import os
import stat
import subprocess
import tempfile
import time
import unittest
from unittest import mock

import botocore.auth
import botocore.exceptions
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from claviger_testing.kms import Kms, client, raw, recipient
from claviger_testing.process import bin_dir, need, run

need("claviger-local")


def code(caught):
    return caught.exception.response["Error"]["Code"]


class Standin(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.dir = cls.folder.name
        cls.nsm_dir = os.path.join(cls.dir, "nsm")
        cls.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        spki = cls.key.public_key().public_bytes(serialization.Encoding.DER,
                                                 serialization.PublicFormat.SubjectPublicKeyInfo)
        cls.spki = os.path.join(cls.dir, "spki.der")
        with open(cls.spki, "wb") as out:
            out.write(spki)
        cls.document("00" * 48)  # makes the root
        cls.kms = Kms(cls.dir, "--root", os.path.join(cls.nsm_dir, "root.pem"))
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.kms.stop)
        cls.root = cls.kms.principals()[0]
        cls.admin = client(cls.kms, cls.root)

    @classmethod
    def document(cls, pcr0, *arguments):
        out = os.path.join(cls.dir, "document")
        run([bin_dir() / "claviger-local", "nsm", "--dir", cls.nsm_dir, "--pcr0", pcr0,
             "--document", out, "--public-key", cls.spki, *arguments])
        with open(out, "rb") as file:
            return file.read()


class Operations(Standin):
    def test_whole_life_of_a_key(self):
        made = self.admin.create_key(Description="über alles")["KeyMetadata"]
        self.assertEqual(made["KeyState"], "Enabled")
        self.assertEqual(made["Description"], "über alles")
        self.assertRegex(made["Arn"], r"^arn:aws:kms:us-west-2:111122223333:key/[0-9a-f-]{36}$")
        self.assertLess(abs((datetime.datetime.now(datetime.timezone.utc) - made["CreationDate"])
                            .total_seconds()), 60)
        self.admin.create_alias(AliasName="alias/boto", TargetKeyId=made["KeyId"])
        self.assertEqual(self.admin.describe_key(KeyId="alias/boto")["KeyMetadata"]["Arn"], made["Arn"])
        self.assertIn(made["KeyId"], [k["KeyId"] for k in self.admin.list_keys()["Keys"]])
        self.assertIn("alias/boto", [a["AliasName"] for a in self.admin.list_aliases()["Aliases"]])
        context = {"a": "1", "é": "ü"}
        sealed = self.admin.encrypt(KeyId="alias/boto", Plaintext=b"secret", EncryptionContext=context)
        self.assertEqual(sealed["KeyId"], made["Arn"])
        opened = self.admin.decrypt(CiphertextBlob=sealed["CiphertextBlob"], EncryptionContext=context)
        self.assertEqual(opened["Plaintext"], b"secret")
        self.assertRegex(opened["ResponseMetadata"]["RequestId"], r"^[0-9a-f-]{36}$")
        with self.assertRaises(self.admin.exceptions.InvalidCiphertextException):
            self.admin.decrypt(CiphertextBlob=sealed["CiphertextBlob"])
        for spec, size in (("AES_256", 32), ("AES_128", 16)):
            data = self.admin.generate_data_key(KeyId=made["Arn"], KeySpec=spec)
            self.assertEqual(len(data["Plaintext"]), size)
            again = self.admin.decrypt(CiphertextBlob=data["CiphertextBlob"], KeyId=made["KeyId"])
            self.assertEqual(again["Plaintext"], data["Plaintext"])
        data = self.admin.generate_data_key_without_plaintext(KeyId=made["Arn"], NumberOfBytes=100)
        self.assertNotIn("Plaintext", data)
        self.assertEqual(len(self.admin.decrypt(CiphertextBlob=data["CiphertextBlob"])["Plaintext"]), 100)
        self.assertEqual(len(self.admin.generate_random(NumberOfBytes=77)["Plaintext"]), 77)
        self.admin.disable_key(KeyId=made["KeyId"])
        with self.assertRaises(self.admin.exceptions.DisabledException):
            self.admin.encrypt(KeyId=made["KeyId"], Plaintext=b"x")
        self.admin.enable_key(KeyId=made["KeyId"])

    def test_errors_have_their_names(self):
        one = self.admin.create_key()["KeyMetadata"]["KeyId"]
        two = self.admin.create_key()["KeyMetadata"]["KeyId"]
        blob = self.admin.encrypt(KeyId=one, Plaintext=b"x")["CiphertextBlob"]
        with self.assertRaises(self.admin.exceptions.IncorrectKeyException):
            self.admin.decrypt(CiphertextBlob=blob, KeyId=two)
        with self.assertRaises(self.admin.exceptions.NotFoundException):
            self.admin.describe_key(KeyId="alias/nothing")
        with self.assertRaises(self.admin.exceptions.MalformedPolicyDocumentException):
            self.admin.put_key_policy(KeyId=one, PolicyName="default", Policy="{}")
        with self.assertRaises(self.admin.exceptions.UnsupportedOperationException):
            self.admin.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            self.admin.create_grant(KeyId=one, GranteePrincipal="arn:aws:iam::1:role/x",
                                    Operations=["Decrypt"])
        self.assertEqual(code(caught), "UnsupportedOperationException")

    def test_policy_round_trip_and_denial(self):
        key = self.admin.create_key()["KeyMetadata"]
        policy = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": "111122223333"}, "NotAction": "kms:Decrypt",
             "Resource": "*"}]})
        self.admin.put_key_policy(KeyId=key["KeyId"], PolicyName="default", Policy=policy)
        self.assertEqual(self.admin.get_key_policy(KeyId=key["KeyId"], PolicyName="default")["Policy"],
                         policy)
        blob = self.admin.encrypt(KeyId=key["KeyId"], Plaintext=b"x")["CiphertextBlob"]
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            self.admin.decrypt(CiphertextBlob=blob)
        self.assertEqual(code(caught), "AccessDeniedException")
        self.assertIn("is not authorized to perform: kms:Decrypt", str(caught.exception))

    def test_state_is_private_and_survives(self):
        key = self.admin.create_key()["KeyMetadata"]["KeyId"]
        blob = self.admin.encrypt(KeyId=key, Plaintext=b"kept")["CiphertextBlob"]
        self.assertEqual(stat.S_IMODE(os.stat(self.kms.state).st_mode), 0o600)
        second = subprocess.run([bin_dir() / "claviger-local", "kms", "--state", self.kms.state,
                                 "--ca", self.kms.ca], capture_output=True, text=True, timeout=20)
        self.assertEqual(second.returncode, 1)
        self.assertIn("another KMS stand-in runs", second.stderr)
        type(self).kms.program.kill()
        type(self).kms = Kms(self.dir, "--root", os.path.join(self.nsm_dir, "root.pem"))
        self.addClassCleanup(self.kms.stop)
        type(self).admin = client(self.kms, self.root)
        self.assertEqual(self.admin.decrypt(CiphertextBlob=blob)["Plaintext"], b"kept")

    def test_many_at_once(self):
        key = self.admin.create_key()["KeyMetadata"]["KeyId"]

        def one(n):
            text = f"message {n}".encode()
            blob = self.admin.encrypt(KeyId=key, Plaintext=text)["CiphertextBlob"]
            return self.admin.decrypt(CiphertextBlob=blob)["Plaintext"] == text
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.assertTrue(all(pool.map(one, range(80))))


class Signatures(Standin):
    def expect(self, wanted, principal, change=None, region=None, action="ListKeys"):
        reply = raw(self.kms, principal, action, {}, change, region)
        self.assertEqual(reply.error(), wanted, reply.body)
        self.assertGreaterEqual(reply.status, 400)
        self.assertIn("x-amzn-requestid", reply.headers)
        return reply

    def test_good(self):
        reply = raw(self.kms, self.root, "ListKeys", {})
        self.assertEqual(reply.status, 200)
        self.assertEqual(reply.headers["content-type"], "application/x-amz-json-1.1")
        self.assertIn("date", reply.headers)

    def test_who(self):
        self.expect("MissingAuthenticationTokenException", None)
        self.expect("UnrecognizedClientException", dict(self.root, access_key_id="AKIAIOSFODNN7EXAMPLE"))
        self.expect("UnrecognizedClientException", dict(self.root, session_token="x"))
        reply = self.expect("InvalidSignatureException", dict(self.root, secret_access_key="wrong"))
        self.assertIn("does not match the signature you provided", reply.json()["message"])

    def test_scope(self):
        self.expect("InvalidSignatureException", self.root, region="eu-west-1")

    def test_malformed(self):
        def without(part):
            def change(body, headers):
                value = headers["Authorization"]
                pieces = [p for p in value.replace("AWS4-HMAC-SHA256 ", "").split(", ") if not p.startswith(part)]
                headers["Authorization"] = "AWS4-HMAC-SHA256 " + ", ".join(pieces)
                return body, headers
            return change
        for part in ("Credential", "SignedHeaders", "Signature"):
            self.expect("IncompleteSignatureException", self.root, without(part))

        def other_algorithm(body, headers):
            headers["Authorization"] = headers["Authorization"].replace("AWS4-HMAC-SHA256", "AWS4-X")
            return body, headers
        self.expect("IncompleteSignatureException", self.root, other_algorithm)

        def no_date(body, headers):
            del headers["X-Amz-Date"]
            return body, headers
        self.expect("IncompleteSignatureException", self.root, no_date)

    def test_changed_after_signing(self):
        def body_changed(body, headers):
            return b'{"Limit":5}', headers

        def target_changed(body, headers):
            headers["X-Amz-Target"] = "TrentService.ListAliases"
            return body, headers

        def host_changed(body, headers):
            headers["Host"] = "kms.us-west-2.amazonaws.com"
            return body, headers

        def header_added(body, headers):
            headers["X-Amz-Extra"] = "1"
            return body, headers

        def signature_flipped(body, headers):
            text = headers["Authorization"]
            headers["Authorization"] = text[:-1] + ("0" if text[-1] != "0" else "1")
            return body, headers
        for change in (body_changed, target_changed, host_changed, header_added, signature_flipped):
            with self.subTest(change.__name__):
                self.expect("InvalidSignatureException", self.root, change)

    def test_clock(self):
        for minutes, text in ((-6, "Signature expired"), (6, "Signature not yet current")):
            then = datetime.datetime.utcnow() + datetime.timedelta(minutes=minutes)
            with mock.patch("botocore.auth.datetime.datetime") as clock:
                clock.utcnow.return_value = then
                reply = raw(self.kms, self.root, "ListKeys", {})
            self.assertEqual(reply.error(), "InvalidSignatureException")
            self.assertIn(text, reply.json()["message"])
        for minutes in (-4, 4):
            then = datetime.datetime.utcnow() + datetime.timedelta(minutes=minutes)
            with mock.patch("botocore.auth.datetime.datetime") as clock:
                clock.utcnow.return_value = then
                self.assertEqual(raw(self.kms, self.root, "ListKeys", {}).status, 200)

    def test_not_kms_at_all(self):
        self.assertEqual(raw(self.kms, self.root, "NoSuchOperation", {}).error(),
                         "UnknownOperationException")

        def plain_json(body, headers):
            headers["Content-Type"] = "application/json"
            return body, headers
        self.expect("UnknownOperationException", self.root, plain_json)


class SessionsAndRoles(unittest.TestCase):
    """Several principals, added to kms.json by hand while the stand-in rests."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        with Kms(self.folder.name) as first:
            state = json.loads(first.state.read_text())
        role = "arn:aws:iam::111122223333:role/app"
        session = "arn:aws:sts::111122223333:assumed-role/app/one"
        secret = "s" * 40
        state["principals"] += [
            {"access_key_id": "ASIAAPP0000000000001", "secret_access_key": secret,
             "session_token": "token/of+the=session", "arn": session, "role_arn": role},
            {"access_key_id": "ASIAAPP0000000000002", "secret_access_key": secret,
             "session_token": "t", "arn": session, "role_arn": role, "expires": "2020-01-01T00:00:00Z"},
            {"access_key_id": "AKIAALICE00000000001", "secret_access_key": secret,
             "arn": "arn:aws:iam::111122223333:user/alice",
             "policy": json.dumps({"Version": "2012-10-17", "Statement": [
                 {"Effect": "Allow", "Action": ["kms:Encrypt", "kms:GenerateRandom"], "Resource": "*"}]})},
        ]
        first.state.write_text(json.dumps(state))
        self.kms = Kms(self.folder.name)
        self.addCleanup(self.kms.stop)
        self.admin, self.app, self.expired, self.alice = [client(self.kms, p) for p in self.kms.principals()]
        self.principals = self.kms.principals()
        self.key = self.admin.create_key()["KeyMetadata"]["KeyId"]

    def denied(self, call, **arguments):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**arguments)
        self.assertEqual(code(caught), "AccessDeniedException")

    def test_tokens(self):
        self.denied(self.app.encrypt, KeyId=self.key, Plaintext=b"x")
        reply = raw(self.kms, dict(self.principals[1], session_token="other"), "ListKeys", {})
        self.assertEqual(reply.error(), "UnrecognizedClientException")
        reply = raw(self.kms, dict(self.principals[1], session_token=None), "ListKeys", {})
        self.assertEqual(reply.error(), "UnrecognizedClientException")
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            self.expired.list_keys()
        self.assertEqual(code(caught), "ExpiredTokenException")

    def test_default_policy_leaves_it_to_iam(self):
        blob = self.alice.encrypt(KeyId=self.key, Plaintext=b"x")["CiphertextBlob"]
        self.denied(self.alice.decrypt, CiphertextBlob=blob)
        self.assertEqual(len(self.alice.generate_random(NumberOfBytes=3)["Plaintext"]), 3)
        self.denied(self.app.generate_random, NumberOfBytes=3)
        self.denied(self.alice.create_key)

    def test_role_named_in_key_policy(self):
        self.admin.put_key_policy(KeyId=self.key, PolicyName="default", Policy=json.dumps({
            "Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
                 "Action": "kms:*", "Resource": "*"},
                {"Sid": "App", "Effect": "Allow",
                 "Principal": {"AWS": "arn:aws:iam::111122223333:role/app"},
                 "Action": "kms:Encrypt", "Resource": "*",
                 "Condition": {"StringEquals": {"kms:EncryptionContext:App": "one"}}}]}))
        self.app.encrypt(KeyId=self.key, Plaintext=b"x", EncryptionContext={"App": "one"})
        self.denied(self.app.encrypt, KeyId=self.key, Plaintext=b"x", EncryptionContext={"App": "two"})
        log = self.kms.log()
        self.assertIn("(statement App does not allow it by itself: StringEquals "
                      "kms:EncryptionContext:App: expected one, the request has 'two')", log)
        self.assertNotIn("s" * 40, log)


class Attested(Standin):
    PCR0 = "ab" * 48

    def setUp(self):
        self.arn = self.admin.create_key(Policy=json.dumps({
            "Version": "2012-10-17", "Statement": [
                {"Sid": "Root", "Effect": "Allow", "Principal": {"AWS": "111122223333"},
                 "NotAction": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*"},
                {"Sid": "Enclave", "Effect": "Allow", "Principal": {"AWS": "111122223333"},
                 "Action": ["kms:Decrypt", "kms:GenerateDataKey"], "Resource": "*",
                 "Condition": {"StringEqualsIgnoreCase": {
                     "kms:RecipientAttestation:ImageSha384": self.PCR0.upper()}}}]}))["KeyMetadata"]["Arn"]

    def open(self, cms):
        """By OpenSSL's command line."""
        with tempfile.TemporaryDirectory() as folder:
            key = os.path.join(folder, "key.pem")
            with open(key, "wb") as out:
                out.write(self.key.private_bytes(serialization.Encoding.PEM,
                          serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
            done = subprocess.run(["openssl", "cms", "-decrypt", "-inform", "DER", "-inkey", key],
                                  input=cms, capture_output=True, timeout=20, check=True)
        return done.stdout

    def test_the_reply_is_for_the_recipient_alone(self):
        for form in ([], ["--indefinite"], ["--tagged"]):
            with self.subTest(form=form):
                document = self.document(self.PCR0, *form)
                made = raw(self.kms, self.root, "GenerateDataKey",
                           {"KeyId": self.arn, "KeySpec": "AES_256", "Recipient": recipient(document)})
                self.assertEqual(made.status, 200, made.body)
                self.assertNotIn("Plaintext", made.json())
                secret = self.open(base64.b64decode(made.json()["CiphertextForRecipient"]))
                self.assertEqual(len(secret), 32)
                opened = raw(self.kms, self.root, "Decrypt",
                             {"CiphertextBlob": made.json()["CiphertextBlob"], "Recipient": recipient(document)})
                self.assertEqual(self.open(base64.b64decode(opened.json()["CiphertextForRecipient"])), secret)
                self.assertNotIn("Plaintext", opened.json())
        random = raw(self.kms, self.root, "GenerateRandom",
                     {"NumberOfBytes": 24, "Recipient": recipient(self.document("cd" * 48))})
        self.assertEqual(len(self.open(base64.b64decode(random.json()["CiphertextForRecipient"]))), 24)

    def test_refusals(self):
        document = self.document(self.PCR0)
        made = raw(self.kms, self.root, "GenerateDataKey",
                   {"KeyId": self.arn, "KeySpec": "AES_256", "Recipient": recipient(document)}).json()
        blob = {"CiphertextBlob": made["CiphertextBlob"]}

        def refused(wanted, **more):
            reply = raw(self.kms, self.root, "Decrypt", {**blob, **more})
            self.assertEqual((reply.status, reply.error()), (400, wanted), reply.body)
        refused("AccessDeniedException")
        refused("AccessDeniedException", Recipient=recipient(self.document("cd" * 48)))
        self.assertIn(f"expected {self.PCR0.upper()}, the request has '{'cd' * 48}'", self.kms.log())
        refused("AccessDeniedException", Recipient=recipient(self.document(self.PCR0, "--debug-mode")))
        refused("ValidationException", Recipient=recipient(document[:-1]))
        refused("ValidationException", Recipient=recipient(bytes([document[0]]) + document[1:-1] +
                                                           bytes([document[-1] ^ 1])))
        refused("ValidationException", Recipient=dict(recipient(document), KeyEncryptionAlgorithm="RSAES_OAEP_SHA_1"))
        # The same enclave under a root that this KMS does not know.
        with tempfile.TemporaryDirectory() as other:
            out = os.path.join(other, "document")
            run([bin_dir() / "claviger-local", "nsm", "--dir", other, "--pcr0", self.PCR0,
                 "--document", out, "--public-key", self.spki])
            with open(out, "rb") as file:
                refused("ValidationException", Recipient=recipient(file.read()))

    def test_document_grows_old(self):
        document = self.document(self.PCR0)
        self.kms.fault("clock GenerateDataKey - 240")
        self.addCleanup(self.kms.fault)
        call = {"KeyId": self.arn, "KeySpec": "AES_256", "Recipient": recipient(document)}

        def at(seconds):
            self.kms.fault(f"clock GenerateDataKey - {seconds}")
            then = datetime.datetime.utcnow() + datetime.timedelta(seconds=seconds)
            with mock.patch("botocore.auth.datetime.datetime") as clock:
                clock.utcnow.return_value = then
                return raw(self.kms, self.root, "GenerateDataKey", call)
        self.assertEqual(at(240).status, 200)
        self.assertEqual(at(310).error(), "ValidationException")


class Tls(Standin):
    def test_certificate(self):
        with open(self.kms.ca, "rb") as file:
            ca = x509.load_pem_x509_certificate(file.read())
        self.assertTrue(ca.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
        self.assertEqual(stat.S_IMODE(os.stat(f"{self.kms.ca}.key").st_mode), 0o600)

    def test_garbage_and_silence_do_no_harm(self):
        import socket
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"A" * 300, b""):
            with socket.create_connection(("127.0.0.1", self.kms.port), 5) as s:
                s.sendall(noise)
        idle = [socket.create_connection(("127.0.0.1", self.kms.port), 5) for _ in range(20)]
        self.assertEqual(raw(self.kms, self.root, "ListKeys", {}).status, 200)
        for s in idle:
            s.close()


class Faults(Standin):
    def setUp(self):
        self.addCleanup(self.kms.fault)
        self.id = self.admin.create_key()["KeyMetadata"]["KeyId"]

    def generate(self, **more):
        return raw(self.kms, self.root, "GenerateDataKey",
                   {"KeyId": self.id, "KeySpec": "AES_256", **more})

    def test_counted(self):
        self.kms.fault("throttle GenerateDataKey 2", "internal GenerateDataKey 1")
        self.assertEqual([self.generate().error() for _ in range(4)],
                         ["ThrottlingException", "ThrottlingException", "KMSInternalException", ""])
        self.assertEqual(raw(self.kms, self.root, "ListKeys", {}).status, 200)

    def test_errors(self):
        for fault, name, status in (
                ("access-denied", "AccessDeniedException", 400), ("not-found", "NotFoundException", 400),
                ("disabled", "DisabledException", 400), ("key-state", "KMSInvalidStateException", 400),
                ("dependency-timeout", "DependencyTimeoutException", 503),
                ("key-unavailable", "KeyUnavailableException", 500),
                ("expired-token", "ExpiredTokenException", 400),
                ("unrecognized-client", "UnrecognizedClientException", 400),
                ("invalid-ciphertext", "InvalidCiphertextException", 400)):
            self.kms.fault(f"{fault} * 1")
            reply = self.generate()
            self.assertEqual((reply.error(), reply.status), (name, status))

    def test_broken_replies(self):
        self.kms.fault("unavailable * 1")
        self.assertEqual(self.generate().status, 503)
        self.kms.fault("garbage * 1")
        with self.assertRaises(ValueError):
            self.generate().json()
        self.kms.fault("empty * 1")
        self.assertEqual(self.generate().body, b"")
        self.kms.fault("empty-object * 1")
        self.assertEqual(self.generate().json(), {})
        self.kms.fault("wrong-types * 1")
        self.assertEqual(self.generate().json()["KeyId"], [1])
        self.kms.fault("bad-base64 * 1")
        self.assertEqual(self.generate().json()["CiphertextBlob"], "*not base64*")
        self.kms.fault("huge * 1")
        self.assertEqual(len(self.generate().body), 2 << 20)
        self.kms.fault("wrong-key-id * 1")
        self.assertNotIn(self.id, self.generate().json()["KeyId"])
        self.kms.fault("no-key-id * 1")
        self.assertNotIn("KeyId", self.generate().json())
        self.kms.fault("short-key * 1")
        self.assertEqual(len(base64.b64decode(self.generate().json()["Plaintext"])), 31)
        for fault in ("half-reply", "close"):
            self.kms.fault(f"{fault} * 1")
            with self.assertRaises(Exception):
                self.generate()
        self.kms.fault("hang * 1")
        with self.assertRaises(TimeoutError):
            raw(self.kms, self.root, "ListKeys", {}, timeout=1)
        self.assertEqual(self.generate().status, 200)

    def test_late_reply_and_early_end(self):
        self.kms.fault("stall ListKeys 1 300")
        began = time.monotonic()
        self.assertEqual(raw(self.kms, self.root, "ListKeys", {}).status, 200)
        self.assertGreater(time.monotonic() - began, 0.3)
        # A stand-in of its own, ended while a request hangs in it and another is late.
        with tempfile.TemporaryDirectory() as folder, Kms(folder) as other:
            other.fault("hang ListKeys -", "stall ListAliases - 60000")
            root = other.principals()[0]
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                calls = [pool.submit(raw, other, root, a, {}) for a in ("ListKeys", "ListAliases")]
                time.sleep(0.5)
                began = time.monotonic()
                self.assertEqual(other.stop(), 0)
                self.assertLess(time.monotonic() - began, 3)
                for call in calls:
                    self.assertIsNotNone(call.exception(10))

    def test_recipient_faults(self):
        document = self.document("ab" * 48)
        call = {"Recipient": recipient(document)}
        self.kms.fault("plaintext * 1")
        self.assertNotIn("CiphertextForRecipient", self.generate(**call).json())
        self.kms.fault("plaintext-and-cms * 1")
        reply = self.generate(**call).json()
        self.assertIn("CiphertextForRecipient", reply)
        self.assertIn("Plaintext", reply)
        for shape in ("chunks", "primitive", "definite"):
            self.kms.fault(f"cms-{shape} * 1")
            cms = base64.b64decode(self.generate(**call).json()["CiphertextForRecipient"])
            self.assertEqual(len(Attested.open(self, cms)), 32, shape)
        for shape in ("other-key", "sha1", "truncated", "garbage"):
            self.kms.fault(f"cms-{shape} * 1")
            cms = base64.b64decode(self.generate(**call).json()["CiphertextForRecipient"])
            with self.assertRaises(subprocess.CalledProcessError):
                Attested.open(self, cms)


if __name__ == "__main__":
    # boto3's pooled connections are left to the garbage collector.
    unittest.main(warnings="ignore")
