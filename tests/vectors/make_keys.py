#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes keys.txt: private keys in every format that is imported, and some
that are not, made with the cryptography package, hashlib and the small
implementations below (base58check, XSalsa20-Poly1305).

Each line: name, ok | invalid | denied | unsupported, scheme, private key,
password, content; the last three in hexadecimal, "-" for none. Run it in this
directory to make a new set.
"""
import hashlib
import os
import struct

from cryptography.hazmat.primitives import poly1305, serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
PREFIX = {
    "edsk": (13, 15, 58, 7), "edsk64": (43, 246, 78, 7), "spsk": (17, 162, 224, 201),
    "p2sk": (16, 81, 238, 189), "BLsk": (3, 150, 192, 40), "edesk": (7, 90, 60, 179, 41),
    "spesk": (9, 237, 241, 174, 150), "p2esk": (9, 48, 57, 115, 171), "BLesk": (2, 5, 30, 53, 25),
    "edpk": (13, 15, 37, 217),
}


def b58(kind, payload):
    data = bytes(PREFIX[kind]) + payload
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    n, out = int.from_bytes(data, "big"), ""
    while n:
        n, r = divmod(n, 58)
        out = ALPHABET[r] + out
    return ("1" * (len(data) - len(data.lstrip(b"\0"))) + out).encode()


def rounds(x):
    def qr(a, b, c, d):
        for to, p, q, n in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
            v = (x[p] + x[q]) & 0xFFFFFFFF
            x[to] ^= (v << n | v >> (32 - n)) & 0xFFFFFFFF
    for _ in range(10):
        qr(0, 4, 8, 12), qr(5, 9, 13, 1), qr(10, 14, 2, 6), qr(15, 3, 7, 11)
        qr(0, 1, 2, 3), qr(5, 6, 7, 4), qr(10, 11, 8, 9), qr(15, 12, 13, 14)


def block(key, middle):
    c = struct.unpack("<4I", b"expand 32-byte k")
    k, m = struct.unpack("<8I", key), struct.unpack("<4I", middle)
    return [c[0], *k[:4], c[1], *m, c[2], *k[4:], c[3]]


def secretbox(key, nonce, plain):
    x = block(key, nonce[:16])
    rounds(x)
    sub = struct.pack("<8I", *(x[i] for i in (0, 5, 10, 15, 6, 7, 8, 9)))
    stream = b""
    for n in range(2):
        start = block(sub, nonce[16:] + struct.pack("<Q", n))
        x = list(start)
        rounds(x)
        stream += struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(x, start)))
    cipher = bytes(a ^ b for a, b in zip(plain, stream[32:]))
    return poly1305.Poly1305.generate_tag(stream[:32], cipher) + cipher


def encrypted(kind, payload, password):
    salt = os.urandom(8)
    key = hashlib.pbkdf2_hmac("sha512", password, salt, 32768, 32)
    return b58(kind, salt + secretbox(key, bytes(24), payload))


def scalar(k):
    return k.private_numbers().private_value.to_bytes(32, "big")


PEM, DER, P8, SEC1 = (s.Encoding.PEM, s.Encoding.DER, s.PrivateFormat.PKCS8,
                      s.PrivateFormat.TraditionalOpenSSL)
NONE, PASSWORD = s.NoEncryption(), b"correct horse"
LOCKED = s.BestAvailableEncryption(PASSWORD)
ed = ed25519.Ed25519PrivateKey.generate()
seed = ed.private_bytes(s.Encoding.Raw, s.PrivateFormat.Raw, NONE)
public = ed.public_key().public_bytes(s.Encoding.Raw, s.PublicFormat.Raw)
p256, k1, p384 = (ec.generate_private_key(c()) for c in (ec.SECP256R1, ec.SECP256K1, ec.SECP384R1))
small = ec.derive_private_key(5, ec.SECP256R1())  # leading zeros
bls = int.to_bytes(0x1234567890ABCDEF << 100, 32, "big")
rsa_key = rsa.generate_private_key(65537, 2048)
cases = []


def add(name, result, scheme, key, content, password=None):
    cases.append((name, result, scheme, key.hex() if key else "-",
                  password.hex() if password else "-", content.hex() or "-"))


for name, scheme, k, raw in (("ed25519", "ed25519", ed, seed), ("p256", "p256", p256, scalar(p256)),
                             ("p256-small", "p256", small, scalar(small)),
                             ("secp256k1", "secp256k1", k1, scalar(k1))):
    formats = [("pkcs8", P8)] + ([] if k is ed else [("sec1", SEC1)])
    for label, fmt in formats:
        pem, der = k.private_bytes(PEM, fmt, NONE), k.private_bytes(DER, fmt, NONE)
        add(f"{name}-{label}-pem", "ok", scheme, raw, pem)
        add(f"{name}-{label}-pem-no-newline", "ok", scheme, raw, pem.rstrip())
        add(f"{name}-{label}-pem-crlf", "ok", scheme, raw, pem.replace(b"\n", b"\r\n") + b"\r\n\n")
        add(f"{name}-{label}-pem-remark", "ok", scheme, raw, b"Bag Attributes\n  x: 1\n" + pem)
        add(f"{name}-{label}-pem-needless-password", "ok", scheme, raw, pem, b"unused")
        add(f"{name}-{label}-der", "ok", scheme, raw, der)
        add(f"{name}-{label}-der-trailing", "invalid", scheme, None, der + b"\0")
        add(f"{name}-{label}-der-short", "invalid", scheme, None, der[:-1])
        add(f"{name}-{label}-pem-twice", "invalid", scheme, None, pem + pem)
        add(f"{name}-{label}-pem-cut", "invalid", scheme, None, pem[:-30])
        add(f"{name}-{label}-pem-damaged", "invalid", scheme, None, pem.replace(b"M", b"!", 1))
        locked = k.private_bytes(PEM, fmt, LOCKED)
        add(f"{name}-{label}-pem-encrypted", "ok", scheme, raw, locked, PASSWORD)
        add(f"{name}-{label}-pem-wrong-password", "denied", scheme, None, locked, b"wrong")
        add(f"{name}-{label}-pem-no-password", "denied", scheme, None, locked)
    locked = k.private_bytes(DER, P8, LOCKED)
    add(f"{name}-der-encrypted", "ok", scheme, raw, locked, PASSWORD)
    add(f"{name}-der-wrong-password", "denied", scheme, None, locked, b"wrong")
params = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
sec1 = p256.private_bytes(PEM, SEC1, NONE)
add("ec-parameters", "ok", "p256", scalar(p256), params + sec1)
add("ec-parameters-alone", "invalid", "-", None, params)
add("public-key-pem", "invalid", "-", None, p256.public_key().public_bytes(
    PEM, s.PublicFormat.SubjectPublicKeyInfo))
add("public-key-der", "invalid", "-", None, p256.public_key().public_bytes(
    DER, s.PublicFormat.SubjectPublicKeyInfo))
der = p256.private_bytes(DER, P8, NONE)
point = p256.public_key().public_bytes(s.Encoding.X962, s.PublicFormat.UncompressedPoint)
foreign = small.public_key().public_bytes(s.Encoding.X962, s.PublicFormat.UncompressedPoint)
add("p256-foreign-public-key", "invalid", "-", None, der.replace(point, foreign))
order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
add("p256-order", "invalid", "-", None, der.replace(scalar(p256), order.to_bytes(32, "big")))
add("p256-zero", "invalid", "-", None, der.replace(scalar(p256), bytes(32)))
for name, k in (("p384", p384), ("rsa", rsa_key), ("x25519", x25519.X25519PrivateKey.generate()),
                ("ed448", ed448.Ed448PrivateKey.generate())):
    add(f"{name}-pem", "unsupported", "-", None, k.private_bytes(PEM, P8, NONE))
    add(f"{name}-der", "unsupported", "-", None, k.private_bytes(DER, P8, NONE))
plain = (("edsk", "edesk", "ed25519", seed, seed), ("spsk", "spesk", "secp256k1", scalar(k1), scalar(k1)),
         ("p2sk", "p2esk", "p256", scalar(small), scalar(small)), ("BLsk", "BLesk", "bls", bls[::-1], bls))
for kind, locked_kind, scheme, payload, raw in plain:
    text = b58(kind, payload)
    add(kind, "ok", scheme, raw, text)
    add(f"{kind}-newline", "ok", scheme, raw, b" \t" + text + b"\r\n")
    add(f"{kind}-unencrypted", "ok", scheme, raw, b"unencrypted:" + text)
    add(f"{kind}-mistyped", "invalid", scheme, None, text[:-1] + (b"1" if text[-1:] != b"1" else b"2"))
    add(f"{kind}-short", "invalid", scheme, None, text[:-1])
    add(f"{kind}-wrong-length", "invalid", scheme, None, b58(kind, payload[:-1]))
    add(f"{kind}-inner-space", "invalid", scheme, None, text[:9] + b" " + text[9:])
    locked = encrypted(locked_kind, payload, PASSWORD)
    add(f"{locked_kind}", "ok", scheme, raw, locked + b"\n", PASSWORD)
    add(f"{locked_kind}-encrypted", "ok", scheme, raw, b"encrypted:" + locked, PASSWORD)
    add(f"{locked_kind}-wrong-password", "denied", scheme, None, locked, b"wrong")
    add(f"{locked_kind}-no-password", "denied", scheme, None, locked)
    if scheme != "ed25519":
        add(f"{kind}-zero", "invalid", scheme, None, b58(kind, bytes(32)))
        add(f"{kind}-large", "invalid", scheme, None, b58(kind, b"\xff" * 32))
        add(f"{locked_kind}-zero", "invalid", scheme, None, encrypted(locked_kind, bytes(32), b"p"), b"p")
add("edesk-empty-password", "ok", "ed25519", seed, encrypted("edesk", seed, b""))
add("edsk64", "ok", "ed25519", seed, b58("edsk64", seed + public))
add("edsk64-foreign-public-key", "invalid", "-", None, b58("edsk64", seed + bytes(32)))
add("edpk", "invalid", "-", None, b58("edpk", public))
add("empty", "invalid", "-", None, b"")
add("white-space", "invalid", "-", None, b"\n \n")
add("word", "invalid", "-", None, b"hello\n")
with open("keys.txt", "w") as f:
    for case in cases:
        f.write(" ".join(case) + "\n")
