# SPDX-License-Identifier: Apache-2.0
"""Keys of KMS that sign: the stand-in driven by boto3 and checked with Python's
cryptography, and enclave images signed by them in one step."""
import datetime
import hashlib
import json
import os
import sys
import tempfile
import unittest

from claviger_testing.process import need, skip

need("claviger", "claviger-local")
try:
    import botocore.exceptions
    from claviger_testing import eif
    from claviger_testing.image_case import ImageCase, VECTORS
    from claviger_testing.kms import Kms, client
    from cryptography import exceptions, x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, utils
except ImportError:
    skip("boto3 or cryptography is not installed")

SPECS = {"ECC_NIST_P256": ("ECDSA_SHA_256", hashes.SHA256()), "ECC_NIST_P384": ("ECDSA_SHA_384", hashes.SHA384()),
         "ECC_NIST_P521": ("ECDSA_SHA_512", hashes.SHA512()), "ECC_SECG_P256K1": ("ECDSA_SHA_256", hashes.SHA256())}


def setUpModule():
    global kms, admin, folder
    folder = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(folder.cleanup)
    kms = Kms(folder.name)
    unittest.addModuleCleanup(kms.stop)
    admin = client(kms, kms.principals()[0])


def make(spec, **more):
    return admin.create_key(KeySpec=spec, KeyUsage="SIGN_VERIFY", **more)["KeyMetadata"]


def public(arn):
    return serialization.load_der_public_key(admin.get_public_key(KeyId=arn)["PublicKey"])


def certificate(key, path, days=30, begin=0):
    """For a public key whose private half we do not have: issued by another."""
    issuer = ec.generate_private_key(ec.SECP384R1())
    now = datetime.datetime.utcnow() + datetime.timedelta(days=begin)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "images")])
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key).serial_number(
        7).not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(
            now + datetime.timedelta(days=days)).sign(issuer, hashes.SHA384())
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return made


class Operations(unittest.TestCase):
    def refused(self, code, call, **parameters):
        with self.assertRaises(botocore.exceptions.ClientError) as caught:
            call(**parameters)
        self.assertEqual(caught.exception.response["Error"]["Code"], code)
        return caught.exception.response["Error"]["Message"]

    def test_sign_and_verify(self):
        for spec, (algorithm, digest) in SPECS.items():
            meta = make(spec)
            arn = meta["Arn"]
            self.assertEqual((meta["KeySpec"], meta["KeyUsage"], meta["SigningAlgorithms"]),
                             (spec, "SIGN_VERIFY", [algorithm]))
            self.assertNotIn("EncryptionAlgorithms", meta)
            given = admin.get_public_key(KeyId=arn)
            self.assertEqual((given["KeyId"], given["KeySpec"], given["KeyUsage"], given["SigningAlgorithms"]),
                             (arn, spec, "SIGN_VERIFY", [algorithm]))
            for kind, message in (("RAW", os.urandom(4096)), ("DIGEST", os.urandom(digest.digest_size))):
                signed = admin.sign(KeyId=meta["KeyId"], Message=message, MessageType=kind, SigningAlgorithm=algorithm)
                self.assertEqual((signed["KeyId"], signed["SigningAlgorithm"]), (arn, algorithm))
                how = ec.ECDSA(digest) if kind == "RAW" else ec.ECDSA(utils.Prehashed(digest))
                public(arn).verify(signed["Signature"], message, how)
                again = dict(KeyId=arn, Message=message, MessageType=kind, SigningAlgorithm=algorithm)
                self.assertTrue(admin.verify(Signature=signed["Signature"], **again)["SignatureValid"])
                again["Message"] = bytes([message[0] ^ 1]) + message[1:]
                self.refused("KMSInvalidSignatureException", admin.verify, Signature=signed["Signature"], **again)
            with self.assertRaises(exceptions.InvalidSignature):
                public(arn).verify(signed["Signature"], b"other", ec.ECDSA(digest))

    def test_refusals(self):
        arn, symmetric = make("ECC_NIST_P384")["Arn"], admin.create_key()["KeyMetadata"]["Arn"]
        digest = b"d" * 48
        good = dict(KeyId=arn, Message=digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_384")
        admin.sign(**good)
        self.refused("ValidationException", admin.sign, **{**good, "Message": b"d" * 47})
        self.refused("ValidationException", admin.sign, **{**good, "Message": b"d" * 4097, "MessageType": "RAW"})
        self.refused("ValidationException", admin.sign, **{**good, "SigningAlgorithm": "MD5"})
        self.refused("ValidationException", admin.sign, **{**good, "MessageType": "TEXT"})
        for algorithm in ("ECDSA_SHA_256", "RSASSA_PSS_SHA_384"):
            self.refused("InvalidKeyUsageException", admin.sign, **{**good, "SigningAlgorithm": algorithm})
        self.refused("InvalidKeyUsageException", admin.sign, **{**good, "KeyId": symmetric})
        self.refused("UnsupportedOperationException", admin.get_public_key, KeyId=symmetric)
        self.assertIn("SIGN_VERIFY", self.refused("InvalidKeyUsageException", admin.encrypt, KeyId=arn, Plaintext=b"x"))
        self.refused("InvalidKeyUsageException", admin.generate_data_key, KeyId=arn, KeySpec="AES_256")
        blob = admin.encrypt(KeyId=symmetric, Plaintext=b"x")["CiphertextBlob"]
        self.refused("InvalidKeyUsageException", admin.decrypt, KeyId=arn, CiphertextBlob=blob)
        self.refused("ValidationException", admin.create_key, KeySpec="ECC_NIST_P384")
        self.refused("ValidationException", admin.create_key, KeySpec="ECC_NIST_P384", KeyUsage="ENCRYPT_DECRYPT")
        self.refused("ValidationException", admin.create_key, KeyUsage="SIGN_VERIFY")
        self.refused("UnsupportedOperationException", admin.create_key, KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")
        admin.disable_key(KeyId=arn)
        self.refused("DisabledException", admin.sign, **good)
        admin.enable_key(KeyId=arn)
        admin.sign(**good)

    def test_policy_of_signing(self):
        root = "arn:aws:iam::" + admin.create_key()["KeyMetadata"]["AWSAccountId"] + ":root"
        policy = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": root}, "NotAction": "kms:Sign", "Resource": "*"},
            {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:Sign", "Resource": "*", "Condition": {
                "StringEquals": {"kms:SigningAlgorithm": "ECDSA_SHA_256", "kms:MessageType": "DIGEST",
                                 "kms:KeySpec": "ECC_NIST_P256"}}}]}
        arn = make("ECC_NIST_P256", Policy=json.dumps(policy))["Arn"]
        admin.sign(KeyId=arn, Message=b"d" * 32, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")
        # The account itself may, by its own power, unless it is denied.
        policy["Statement"][0] = {"Effect": "Allow", "Principal": {"AWS": root}, "Action": "kms:*", "Resource": "*"}
        policy["Statement"].append({"Effect": "Deny", "Principal": "*", "Action": "kms:Sign", "Resource": "*",
                                    "Condition": {"StringNotEquals": {"kms:MessageType": "DIGEST"}}})
        admin.put_key_policy(KeyId=arn, Policy=json.dumps(policy), PolicyName="default")
        admin.sign(KeyId=arn, Message=b"d" * 32, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256")
        self.refused("AccessDeniedException", admin.sign, KeyId=arn, Message=b"d", MessageType="RAW",
                     SigningAlgorithm="ECDSA_SHA_256")

    def test_kept_over_a_restart(self):
        arn = make("ECC_NIST_P521")["Arn"]
        before = admin.get_public_key(KeyId=arn)["PublicKey"]
        with tempfile.TemporaryDirectory() as other:
            with open(os.path.join(other, "kms.json"), "w") as out:
                out.write(kms.state.read_text())
            with Kms(other) as again:
                self.assertEqual(client(again, kms.principals()[0]).get_public_key(KeyId=arn)["PublicKey"], before)


class Images(ImageCase):
    def setUp(self):
        super().setUp()
        who = kms.principals()[0]
        self.env = dict(os.environ, HOME=str(self.dir), AWS_EC2_METADATA_DISABLED="true",
                        AWS_ACCESS_KEY_ID=who["access_key_id"], AWS_SECRET_ACCESS_KEY=who["secret_access_key"],
                        AWS_ENDPOINT_URL_KMS=kms.endpoint, AWS_CA_BUNDLE=str(kms.ca))
        # The region is the ARN's.
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
            self.env.pop(name, None)
        (self.dir / "app").mkdir()

    def check(self, path, cert):
        image = eif.parse(path.read_bytes())
        pcr0 = eif.pcrs([s for s in image["sections"] if s[0] <= 3])["PCR0"]
        pcr8 = eif.verify(image["sections"][-1][1], pcr0)
        der = cert.public_bytes(serialization.Encoding.DER)
        self.assertEqual(pcr8, hashlib.sha384(bytes(48) + hashlib.sha384(der).digest()).hexdigest())
        return pcr8

    def test_one_step(self):
        for spec in ("ECC_NIST_P256", "ECC_NIST_P384", "ECC_NIST_P521"):
            arn = make(spec)["Arn"]
            cert = certificate(public(arn), self.dir / "c.pem")
            for option in ("--kms-key", "--private-key"):  # the second as nitro-cli has it
                done = self.run_cli("--json", "eif", "sign", "--signing-certificate", "c.pem", option, arn, "-o",
                                    "signed.eif", VECTORS / "eif/plain.eif", env=self.env)
                self.assertEqual(json.loads(done.stdout)["Measurements"]["PCR8"],
                                 self.check(self.dir / "signed.eif", cert))
                self.run_cli("eif", "verify", "--require-signature", "--signing-certificate", "c.pem", "signed.eif")
                self.build(self.dir / "app", "--signing-certificate", "c.pem", option, arn, "--", "/x", env=self.env)
                self.assertEqual(self.printed["PCR8"], self.check(self.dir / "out/x.eif", cert))
        # KMS saw digests, and nothing else was asked of it.
        self.assertIn("action=Sign", kms.log())

    def refused(self, text, *options):
        before = kms.log().count("action=Sign")
        for command in (["sign", "-o", "bad.eif", VECTORS / "eif/plain.eif"],
                        ["build", "--kernel", "kernel", "--init", "init", "-o", "bad.eif", "app", "--", "/x"]):
            at = 2 if command[0] == "sign" else 1
            done = self.run_cli("eif", command[0], *options, *command[1:], check=False, env=self.env)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(text, done.stderr)
            self.assertFalse((self.dir / "bad.eif").exists(), at)
        self.assertEqual(kms.log().count("action=Sign"), before, "it was signed all the same")

    def test_refusals(self):
        arn, other = make("ECC_NIST_P384")["Arn"], make("ECC_NIST_P384")["Arn"]
        symmetric = admin.create_key()["KeyMetadata"]["Arn"]
        certificate(public(arn), self.dir / "c.pem")
        self.refused("is not that of the certificate", "--signing-certificate", "c.pem", "--kms-key", other)
        self.refused("UnsupportedOperationException", "--signing-certificate", "c.pem", "--kms-key", symmetric)
        self.refused("NotFoundException", "--signing-certificate", "c.pem", "--kms-key", arn[:-4] + "0000")
        alias = arn.rsplit(":", 1)[0] + ":alias/images"
        self.refused("is not the ARN of a KMS key", "--signing-certificate", "c.pem", "--kms-key", alias)
        admin.disable_key(KeyId=arn)
        self.refused("DisabledException", "--signing-certificate", "c.pem", "--kms-key", arn)
        # A key file and a key in KMS at once, or a file as a key in KMS.
        for words in (["--kms-key", arn, "--private-key", "k.pem"], ["--kms-key", "k.pem"]):
            for command in (["sign"], ["build", "-o", "x.eif"]):
                done = self.run_cli("eif", *command, "--signing-certificate", "c.pem", *words, "app", check=False)
                self.assertEqual(done.returncode, 2, done.stderr)

    def test_expired_certificate(self):
        arn = make("ECC_NIST_P384")["Arn"]
        certificate(public(arn), self.dir / "old.pem", days=-1, begin=-10)
        done = self.run_cli("eif", "sign", "--signing-certificate", "old.pem", "--kms-key", arn, "-o", "bad.eif",
                            VECTORS / "eif/plain.eif", check=False, env=self.env)
        self.assertEqual(done.returncode, 1)
        self.assertIn("certificate", done.stderr)
        self.assertFalse((self.dir / "bad.eif").exists())


if __name__ == "__main__":
    sys.exit(unittest.main())
