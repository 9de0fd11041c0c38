# SPDX-License-Identifier: Apache-2.0
"""Signatures of all four schemes, checked by implementations that are not
ours: Python's cryptography (Ed25519, ECDSA), integers (RFC 6979 over P-256 and
secp256k1), py_ecc (BLS12-381). Key texts by claviger_testing."""

import hashlib
import hmac
import pathlib
import random
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from claviger_testing import tezos
from helpers import Helper, shared_vectors

SCHEMES = ("ed25519", "secp256k1", "p256", "bls")
SECRET = {"ed25519": "edsk", "secp256k1": "spsk", "p256": "p2sk", "bls": "BLsk"}
BLS_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001

# name -> (field, a, base point, order)
CURVES = {
    "p256": (0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF, -3,
             (0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
              0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5),
             0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    "secp256k1": (2**256 - 2**32 - 977, 0,
                  (0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
                   0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8),
                  0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141),
}


def multiply(curve, k):
    p, a, base, _ = CURVES[curve]

    def add(u, v):
        if u is None or v is None:
            return u or v
        if u[0] == v[0]:
            if (u[1] + v[1]) % p == 0:
                return None
            slope = (3 * u[0] * u[0] + a) * pow(2 * u[1], -1, p)
        else:
            slope = (v[1] - u[1]) * pow(v[0] - u[0], -1, p)
        x = (slope * slope - u[0] - v[0]) % p
        return x, (slope * (u[0] - x) - u[1]) % p

    result, power = None, base
    while k:
        if k & 1:
            result = add(result, power)
        power, k = add(power, power), k >> 1
    return result


def rfc6979_sign(curve, key, digest):
    """ECDSA with the nonce of RFC 6979 section 3.2; s in the lower half for
    secp256k1 alone."""
    n = CURVES[curve][3]
    x = int.from_bytes(key, "big")

    def mac(k, *parts):
        return hmac.new(k, b"".join(parts), hashlib.sha256).digest()

    v, k = b"\1" * 32, bytes(32)
    for separator in (b"\0", b"\1"):
        k = mac(k, v, separator, key, digest)
        v = mac(k, v)
    while True:
        v = mac(k, v)
        nonce = int.from_bytes(v, "big")
        if 0 < nonce < n:
            break
        k = mac(k, v, b"\0")
        v = mac(k, v)
    r = multiply(curve, nonce)[0] % n
    s = pow(nonce, -1, n) * (int.from_bytes(digest, "big") + r * x) % n
    if curve == "secp256k1" and s > n // 2:
        s = n - s
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def secret_text(scheme, key):
    return tezos.encode(SECRET[scheme], key[::-1] if scheme == "bls" else key)


class Signatures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.helper = Helper("crypto_helper")
        cls.random = random.Random(20240229)

    @classmethod
    def tearDownClass(cls):
        cls.helper.close()

    def sign(self, scheme, key, message, version=2):
        answer = self.helper.ask(f"sign {scheme} {version} {key.hex()} {message.hex() or '-'}")
        self.assertFalse(answer.startswith("error"), answer)
        return answer.split(" ")

    def some_key(self, scheme):
        key = self.random.randbytes(32)
        if scheme == "bls":
            key = (int.from_bytes(key, "big") % (BLS_ORDER - 1) + 1).to_bytes(32, "big")
        return key

    def test_random_keys_and_messages(self):
        for scheme in SCHEMES:
            for n in range(3 if scheme == "bls" else 40):
                key, message = self.some_key(scheme), self.random.randbytes(self.random.randrange(400))
                public, signature, proof = self.sign(scheme, key, message)
                self.assertTrue(tezos.verify(public, signature, message), (scheme, n))
                self.assertEqual(self.sign(scheme, key, message)[1], signature)
                if scheme == "bls" and n == 0:
                    _, augmented, _ = self.sign(scheme, key, message, 1)
                    self.assertNotEqual(augmented, signature)
                    self.assertTrue(tezos.verify(public, augmented, message, 1))
                    self.assertFalse(tezos.verify(public, augmented, message, 2))
                    self.assertTrue(tezos.verify_proof_of_possession(public, proof))
                elif scheme != "bls":
                    self.assertEqual(proof, "-")
                    self.assertFalse(tezos.verify(public, signature, message + b"x"))
                    for version in (0, 1, 255):  # without a meaning for these schemes
                        self.assertEqual(self.sign(scheme, key, message, version)[1], signature)

    def test_nonces_are_those_of_rfc_6979(self):
        high = 0
        for curve in CURVES:
            for _ in range(15):
                key, message = self.some_key(curve), self.random.randbytes(50)
                digest = hashlib.blake2b(message, digest_size=32).digest()
                _, signature, _ = self.sign(curve, key, message)
                expected = rfc6979_sign(curve, key, digest)
                self.assertEqual(tezos.decode(signature)[1], expected)
                high += curve == "p256" and expected[32] >= 0x80
        self.assertGreater(high, 0, "no P-256 signature with a high s: not normalised is not shown")

    def test_bls_refuses_version_0(self):
        key = self.some_key("bls")
        for version in (0, 3, 254):
            self.assertEqual(self.helper.ask(f"sign bls {version} {key.hex()} 03"), "error -12")

    def test_texts(self):
        for scheme in SCHEMES:
            key = self.some_key(scheme)
            text = secret_text(scheme, key)
            answer = self.helper.ask(f"import - {text.encode().hex()}").split(" ")
            public = self.sign(scheme, key, b"")[0]
            self.assertEqual(answer, [scheme, key.hex(), public, tezos.key_hash(public), text])


class SharedVectors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.vectors = shared_vectors("tezos-vectors.json")
        if cls.vectors is None:
            raise unittest.SkipTest("SKIPPED: the shared vectors are not here")
        cls.helper = Helper("crypto_helper")

    @classmethod
    def tearDownClass(cls):
        cls.helper.close()

    def sign(self, scheme, key_hex, message_hex, version=2):
        return self.helper.ask(f"sign {scheme} {version} {key_hex} {message_hex or '-'}").split(" ")

    def load(self, text, password="-"):
        answer = self.helper.ask(f"import {password} {text.encode().hex()}").split(" ")
        self.assertEqual(len(answer), 5, answer)
        return answer

    def test_bls(self):
        for case in self.vectors["crypto"]["bls"]:
            scheme, key, public, pkh, text = self.load(case["secret_b58"])
            self.assertEqual((scheme, key), ("bls", case["scalar_big_endian_hex"]))
            self.assertEqual((public, pkh), (case["public_key_b58"], case["pkh"]))
            for sig in case["signatures"]:
                for version, name in ((1, "version1_AUG"), (2, "version2_POP")):
                    got = self.sign(scheme, key, sig["message_hex"], version)
                    self.assertEqual(got[1], sig[name]["signature_b58"])
                    self.assertEqual(got[2], case["prove_possession"]["signature_b58"])

    def test_ed25519(self):
        for case in self.vectors["crypto"]["ed25519"]:
            scheme, key, _, pkh, _ = self.load(case["secret_b58"])
            self.assertEqual(pkh, case["pkh"])
            self.assertEqual(self.sign(scheme, key, case["message_hex"])[1], case["signature_b58"])

    def test_ecdsa(self):
        for case in self.vectors["crypto"]["ecdsa"]:
            scheme, key, public, pkh, _ = self.load(case["secret_b58"])
            self.assertEqual((scheme, key), (case["curve"], case["scalar_hex"]))
            self.assertEqual((public, pkh), (case["public_key_b58"], case["pkh"]))
            got = tezos.decode(self.sign(scheme, key, case["message_hex"])[1])[1]
            self.assertEqual(got.hex(), case["signature_hex_rfc6979"])
            self.assertTrue(tezos.verify(public, case["signature_b58"],
                                         bytes.fromhex(case["message_hex"])))

    def test_authentication_signatures(self):
        for case in self.vectors["crypto"]["auth"]:
            secret = case.get("client_secret", self.vectors["crypto"]["auth"][0]["client_secret"])
            scheme, key, *_ = self.load(secret)
            self.assertEqual(self.sign(scheme, key, case["bytes_to_sign_hex"])[1],
                             case["authentication_param_edsig"])

    def test_plain_keys(self):
        for case in self.vectors["keys"]["plain"]:
            _, key, public, pkh, text = self.load(case["secret"])
            payload = bytes.fromhex(case["payload_hex"])
            expected = payload[::-1] if case["secret"].startswith("BL") else payload
            self.assertEqual(key, expected.hex())
            self.assertEqual((public, pkh, text), (case["public_key"], case["pkh"], case["secret"]))

    def test_encrypted_keys(self):
        for case in self.vectors["keys"]["encrypted"]:
            password = case["password"].encode().hex()
            _, key, public, pkh, _ = self.load(case["encrypted"], password)
            self.assertEqual((public, pkh), (case["public_key"], case["pkh"]))
            self.assertEqual(self.load(case["secret"])[1], key)
            wrong = f"import 00 {case['encrypted'].encode().hex()}"
            self.assertEqual(self.helper.ask(wrong), "error -11")

    def test_pem(self):
        from cryptography.hazmat.primitives import serialization as s

        for case in self.vectors["pkcs8_pem"]:
            scheme, _, public, _, _ = self.load(case["private_pem"])
            self.assertEqual(scheme, case["alg"].lower())
            key = s.load_pem_public_key(case["public_pem"].encode())
            raw = (key.public_bytes(s.Encoding.Raw, s.PublicFormat.Raw) if scheme == "ed25519" else
                   key.public_bytes(s.Encoding.X962, s.PublicFormat.CompressedPoint))
            self.assertEqual(tezos.decode(public)[1], raw)


if __name__ == "__main__":
    unittest.main()
