# SPDX-License-Identifier: Apache-2.0
"""claviger-kmstool against the NSM and KMS stand-ins."""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import cbor2

from claviger_testing import enclave, process

process.need("claviger-kmstool-dev", "claviger-local", "claviger-enclave-dev")
TOOL = process.bin_dir() / "claviger-kmstool-dev"


class KmsTool(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="cv-kmstool-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)
        cls.stack = enclave.Enclave(cls.dir)
        cls.addClassCleanup(cls.stack.stop)
        cls.stack.start_nsm()
        cls.stack.start_kms()
        cls.who = cls.stack.state()["principals"][0]
        document = cls.plain("attest")
        cls.pcr0 = cls.payload(document.stdout)["pcrs"][0].hex()
        cls.key = cls.stack.create_key(pcr0=cls.pcr0)
        cls.foreign = cls.stack.create_key(pcr0="ab" * 48)

    def setUp(self):
        self.stack.fault()

    @classmethod
    def run_tool(cls, command, *args, env=None, stdin=None, program=TOOL, check=True, pass_fds=()):
        argv = [str(program), command, "--nsm", str(cls.dir / "nsm.sock")]
        if command != "attest":
            argv += ["--region", cls.stack.state()["region"], "--proxy", cls.stack.kms_address,
                     "--endpoint", "https://localhost:%d" % cls.stack.kms_port, "--ca-file", str(cls.dir / "ca.pem")]
        done = subprocess.run(argv + [str(a) for a in args], input=stdin, capture_output=True, text=True, timeout=60,
                              env=env or {}, pass_fds=pass_fds)
        if check and done.returncode != 0:
            raise AssertionError("%s gave %d: %s" % (argv, done.returncode, done.stderr))
        return done

    @classmethod
    def plain(cls, command, *args, **more):
        """With credentials of the environment."""
        env = {"AWS_ACCESS_KEY_ID": cls.who["access_key_id"], "AWS_SECRET_ACCESS_KEY": cls.who["secret_access_key"]} \
            if command != "attest" else {}
        return cls.run_tool(command, *args, env=env, **more)

    @staticmethod
    def fields(text):
        return {k: base64.b64decode(v, validate=True) for k, v in (line.split(": ") for line in text.splitlines())}

    @classmethod
    def payload(cls, text):
        return cbor2.loads(cbor2.loads(cls.fields(text)["DOCUMENT"])[2])

    def encrypt(self, key, data=b"secret", context=None):
        more = {"EncryptionContext": context} if context else {}
        blob = self.stack.boto().encrypt(KeyId=key, Plaintext=data, **more)["CiphertextBlob"]
        return base64.b64encode(blob).decode()

    def test_decrypt_as_the_original_prints_it(self):
        done = self.plain("decrypt", "--ciphertext", self.encrypt(self.key))
        self.assertEqual(done.stdout, "PLAINTEXT: %s\n" % base64.b64encode(b"secret").decode())
        self.assertEqual(done.stderr, "")

    def test_flags_and_name_of_the_original(self):
        original = self.dir / "kmstool_enclave_cli"
        if not original.exists():
            original.symlink_to(TOOL)
        credentials = ["--aws-access-key-id", self.who["access_key_id"], "--aws-secret-access-key",
                       self.who["secret_access_key"], "--aws-session-token", ""]
        done = self.run_tool("decrypt", "--ciphertext", self.encrypt(self.key), *credentials, program=original)
        self.assertEqual(self.fields(done.stdout), {"PLAINTEXT": b"secret"})
        done = self.run_tool("decrypt", "--ciphertext", self.encrypt(self.foreign), *credentials, program=original, check=False)
        self.assertEqual((done.returncode, done.stdout), (255, ""))
        done = self.run_tool("genkey", "--key-id", self.key, *credentials, program=original, check=False)
        self.assertEqual(done.returncode, 1)

    def test_genkey_and_genrandom(self):
        for spec, size in (("AES-256", 32), ("AES-128", 16)):
            got = self.fields(self.plain("genkey", "--key-id", self.key, "--key-spec", spec).stdout)
            self.assertEqual(list(got), ["CIPHERTEXT", "PLAINTEXT"])
            self.assertEqual(len(got["PLAINTEXT"]), size)
            again = self.plain("decrypt", "--ciphertext", base64.b64encode(got["CIPHERTEXT"]).decode())
            self.assertEqual(self.fields(again.stdout)["PLAINTEXT"], got["PLAINTEXT"])
        a, b = (self.fields(self.plain("genrandom", "--length", "100").stdout)["PLAINTEXT"] for _ in range(2))
        self.assertEqual((len(a), len(b)), (100, 100))
        self.assertNotEqual(a, b)

    def test_encrypt_with_context_and_json(self):
        secret = self.dir / "secret"
        secret.write_bytes(bytes(range(256)))
        done = self.plain("encrypt", "--key-id", self.key, "--plaintext-file", secret, "--encryption-context", "app=x=y",
                          "--encryption-context", "n=\u00e9", "--json")
        got = json.loads(done.stdout)
        self.assertEqual(got["key_id"], self.key)
        self.assertTrue(got["request_id"])
        blob = self.dir / "blob"
        blob.write_bytes(base64.b64decode(got["ciphertext"]))
        context = ["--encryption-context", "n=\u00e9", "--encryption-context", "app=x=y"]
        done = self.plain("decrypt", "--ciphertext-file", blob, "--key-id", self.key, *context)
        self.assertEqual(self.fields(done.stdout)["PLAINTEXT"], bytes(range(256)))
        done = self.plain("decrypt", "--ciphertext-file", blob, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("InvalidCiphertextException", done.stderr)

    def test_credentials_from_stdin_and_descriptor(self):
        creds = json.dumps({"AccessKeyId": self.who["access_key_id"], "SecretAccessKey": self.who["secret_access_key"], "Token": ""})
        done = self.run_tool("decrypt", "--credentials-stdin", "--ciphertext", self.encrypt(self.key), stdin=creds)
        self.assertEqual(self.fields(done.stdout), {"PLAINTEXT": b"secret"})
        r, w = os.pipe()
        os.write(w, creds.encode())
        os.close(w)
        done = self.run_tool("decrypt", "--credentials-fd", r, "--ciphertext", self.encrypt(self.key), pass_fds=(r,))
        os.close(r)
        self.assertEqual(self.fields(done.stdout), {"PLAINTEXT": b"secret"})
        done = self.run_tool("genrandom", "--length", "1", "--credentials-stdin", stdin="{}", check=False)
        self.assertEqual(done.returncode, 1)
        done = self.run_tool("genrandom", "--length", "1", check=False)
        self.assertIn("no AWS credentials", done.stderr)

    def test_denied_shows_our_measurements(self):
        done = self.plain("decrypt", "--ciphertext", self.encrypt(self.foreign), check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("AccessDeniedException", done.stderr)
        self.assertRegex(done.stderr, r"request id [0-9a-f-]{36}")
        self.assertIn("PCR0 " + self.pcr0, done.stderr)

    def test_attest(self):
        nonce, data = b"n" * 1024, b"user data" * 100
        done = self.plain("attest", "--nonce", base64.b64encode(nonce).decode(), "--user-data", base64.b64encode(data).decode())
        payload = self.payload(done.stdout)
        self.assertEqual((payload["nonce"], payload["user_data"], payload["public_key"]), (nonce, data, None))

    def test_faults_that_a_retry_cures(self):
        blob = self.encrypt(self.key)
        for fault in ("throttle", "internal", "dependency-timeout", "key-unavailable", "unavailable", "close", "half-reply"):
            self.stack.fault("%s Decrypt 1" % fault)
            done = self.plain("decrypt", "--ciphertext", blob)
            self.assertEqual(self.fields(done.stdout), {"PLAINTEXT": b"secret"}, fault)
        # Not attested: a document would be as old as the clocks are apart.
        self.stack.fault("clock Encrypt - 3000")
        self.assertIn("CIPHERTEXT", self.plain("encrypt", "--key-id", self.key, "--plaintext", "AAAA").stdout)
        for shape in ("cms-chunks", "cms-primitive", "cms-definite", "slow-reply"):
            self.stack.fault("%s Decrypt -" % shape)
            done = self.plain("decrypt", "--ciphertext", blob)
            self.assertEqual(self.fields(done.stdout), {"PLAINTEXT": b"secret"}, shape)

    def test_faults_that_end_it(self):
        blob = self.encrypt(self.key)
        expected = {
            "access-denied": "AccessDeniedException", "not-found": "NotFoundException", "disabled": "DisabledException",
            "key-state": "KMSInvalidStateException", "invalid-ciphertext": "InvalidCiphertextException",
            "validation": "ValidationException", "expired-token": "ExpiredTokenException",
            "unrecognized-client": "UnrecognizedClientException", "throttle": "after 3 attempts",
            "plaintext": "Plaintext although a Recipient", "plaintext-and-cms": "Plaintext although a Recipient",
            "cms-other-key": "opening CiphertextForRecipient",
            "cms-bad-padding": "opening CiphertextForRecipient", "cms-sha1": "opening CiphertextForRecipient",
            "cms-truncated": "opening CiphertextForRecipient", "cms-trailing": "opening CiphertextForRecipient",
            "cms-garbage": "opening CiphertextForRecipient", "no-key-id": "no KeyId", "garbage": "no JSON object",
            "empty": "no JSON object", "empty-object": "no KeyId", "wrong-types": "the reply is not what KMS answers",
            "bad-base64": "the reply is not what KMS answers", "huge": "larger than",
        }
        for fault, says in expected.items():
            with self.subTest(fault):
                self.stack.fault("%s Decrypt -" % fault)
                done = self.plain("decrypt", "--ciphertext", blob, check=False)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(says, done.stderr)
                self.assertIn("KMS Decrypt", done.stderr)
        self.stack.fault("wrong-key-id Decrypt -")
        done = self.plain("decrypt", "--ciphertext", blob, "--key-id", self.key, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("another key", done.stderr)
        self.stack.fault("short-key GenerateDataKey -")
        done = self.plain("genkey", "--key-id", self.key, "--key-spec", "AES-256", check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("wrong length", done.stderr)
        self.stack.fault("hang Decrypt -")
        done = self.plain("decrypt", "--ciphertext", blob, "--timeout", "1", check=False)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("in time", done.stderr)

    def test_wrong_certificate_and_dead_proxy(self):
        other = self.dir / "other.pem"
        other.write_bytes((self.dir / "nsm" / "root.pem").read_bytes())
        done = self.plain("genrandom", "--length", "1", "--ca-file", other, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("unknown issuer", done.stderr)
        done = self.plain("genrandom", "--length", "1", "--proxy", "unix:%s" % (self.dir / "nobody.sock"), check=False)
        self.assertIn("nobody.sock", done.stderr)
        done = self.plain("genrandom", "--length", "1", "--ca-file", "/nonexistent", check=False)
        self.assertIn("--ca-file", done.stderr)
        done = self.plain("attest", "--nsm", self.dir / "no-nsm", check=False)
        self.assertIn("runs inside an enclave", done.stderr)

    def test_usage(self):
        for args, says in [
            (["decrypt"], "--ciphertext"),
            (["decrypt", "--ciphertext", "AA==", "--ciphertext-file", "x"], "--ciphertext"),
            (["decrypt", "--ciphertext", "AA==", "--encryption-algorithm", "X"], "--key-id"),
            (["genkey", "--key-id", "k", "--key-spec", "RSA"], "AES-256"),
            (["genrandom", "--length", "0"], "1 to 1024"),
            (["genrandom", "--length", "1025"], "1 to 1024"),
            (["genrandom", "--length", "5", "--key-id", "k"], "takes no such option"),
            (["attest", "--region", "us-east-1"], "takes no such option"),
            (["encrypt", "--key-id", "k"], "--plaintext"),
            (["genrandom", "--length", "5", "--region", "US"], "region"),
            (["genrandom", "--length", "5", "--nonsense"], "unknown option"),
            (["genrandom", "--length"], "no value"),
            (["genrandom", "--length", "5", "extra"], "no option wants"),
            (["frobnicate"], "no such command"),
            ([], "a command is missing"),
        ]:
            done = subprocess.run([TOOL, *args], capture_output=True, text=True, env={}, timeout=20)
            self.assertEqual((done.returncode, done.stdout), (2, ""), args)
            self.assertIn(says, done.stderr, args)
        done = subprocess.run([TOOL, "genrandom", "--length", "5", "--aws-access-key-id", "x"], capture_output=True, text=True, env={}, timeout=20)
        self.assertIn("go together", done.stderr)
        for flag in ("--help", "--version"):
            done = subprocess.run([TOOL, flag], capture_output=True, text=True, timeout=20)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("claviger-kmstool", done.stdout)

    def test_bad_input(self):
        done = self.plain("decrypt", "--ciphertext", "not base64", check=False)
        self.assertIn("no base64", done.stderr)
        done = self.plain("decrypt", "--ciphertext-file", "/nonexistent", check=False)
        self.assertIn("/nonexistent", done.stderr)
        big = self.dir / "big"
        big.write_bytes(b"x" * 6145)
        done = self.plain("decrypt", "--ciphertext-file", big, check=False)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    unittest.main()
