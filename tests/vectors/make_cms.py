#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes cms/key.der and cms/cases.txt: CMS envelopes (RFC 5652) of many
shapes, encoded by hand here and encrypted with the cryptography package.

Each line of cases.txt: name, ok | protocol | crypto, plaintext, envelope; the
last two in hexadecimal, "-" for none. Run it in this directory to make a new
set: the key, and so every line, will be another one.
"""
import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

key = rsa.generate_private_key(65537, 2048)
other = rsa.generate_private_key(65537, 2048)


def tlv(tag, *parts, indefinite=False, long_form=False):
    body = b"".join(parts)
    if indefinite:
        return bytes([tag, 0x80]) + body + b"\0\0"
    if len(body) < 128 and not long_form:
        return bytes([tag, len(body)]) + body
    n = (len(body).bit_length() + 7) // 8 or 1
    return bytes([tag, 0x80 | n]) + len(body).to_bytes(n, "big") + body


def oid(text):
    first, second, *rest = map(int, text.split("."))
    out = bytes([first * 40 + second])
    for v in rest:
        group = [v & 127]
        while v := v >> 7:
            group.append(v & 127 | 128)
        out += bytes(reversed(group))
    return tlv(6, out)


def alg(name, *params):
    return tlv(0x30, oid(name), *params)


NULL = b"\5\0"
SHA1, SHA256, SHA384 = "1.3.14.3.2.26", "2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2"
MGF1, OAEP, PKCS1 = "1.2.840.113549.1.1.8", "1.2.840.113549.1.1.7", "1.2.840.113549.1.1.1"
LABEL = "1.2.840.113549.1.1.9"
AES256, AES128, AES256GCM = (f"2.16.840.1.101.3.4.1.{n}" for n in (42, 2, 46))
DATA, ENVELOPED, SIGNED = (f"1.2.840.113549.1.7.{n}" for n in (1, 3, 2))


def oaep_alg(hash_oid=SHA256, mgf_oid=SHA256, null=True, label=None, mgf=MGF1, empty=False):
    params = NULL if null else b""
    parts = [tlv(0xA0, alg(hash_oid, params)), tlv(0xA1, alg(mgf, alg(mgf_oid, params)))]
    if label is not None:
        parts.append(tlv(0xA2, alg(LABEL, tlv(4, label))))
    return alg(OAEP, tlv(0x30, *([] if empty else parts)))


def wrap(content_key, to=key, digest=hashes.SHA256, mgf=hashes.SHA256):
    return to.public_key().encrypt(
        content_key, padding.OAEP(mgf=padding.MGF1(mgf()), algorithm=digest(), label=None))


def cbc(content_key, iv, plain, pad=None):
    fill = 16 - len(plain) % 16
    padded = plain + (bytes([fill]) * fill if pad is None else pad)
    enc = Cipher(algorithms.AES(content_key), modes.CBC(iv)).encryptor()
    return enc.update(padded) + enc.finalize()


def envelope(plain, *, indef=True, chunks=1, primitive=False, ktri=2, version=2, rid=None,
             key_alg=None, to=key, content_key=None, wrapped=None, content_alg=None, iv=None,
             cipher=None, pad=None, content_type=DATA, outer=ENVELOPED, originator=b"", copies=1,
             attrs=b"", no_content=False, tail=b"", long_form=False):
    content_key = content_key or os.urandom(32)
    iv = iv if iv is not None else os.urandom(16)
    cipher = cipher if cipher is not None else cbc(content_key, iv[:16].ljust(16), plain, pad)
    wrapped = wrapped if wrapped is not None else wrap(content_key, to)
    spki = key.public_key().public_bytes(serialization.Encoding.DER,
                                         serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(spki)
    rid = rid or tlv(0x80, digest.finalize())
    recipient = tlv(0x30, tlv(2, bytes([ktri])), rid, key_alg or oaep_alg(), tlv(4, wrapped),
                    long_form=long_form)
    if primitive:
        content = tlv(0x80, cipher)
    else:
        size = -(-len(cipher) // chunks) if cipher else 1
        content = tlv(0xA0, *[tlv(4, cipher[i:i + size]) for i in range(0, len(cipher), size)],
                      indefinite=indef)
    info = tlv(0x30, oid(content_type), content_alg or alg(AES256, tlv(4, iv)),
               b"" if no_content else content, indefinite=indef)
    body = tlv(0x30, tlv(2, bytes([version])), originator, tlv(0x31, recipient * copies), info,
               attrs, indefinite=indef)
    return tlv(0x30, oid(outer), tlv(0xA0, body, indefinite=indef), indefinite=indef) + tail


short, key32, long = b"x", os.urandom(32), os.urandom(4096)
issuer = tlv(0x30, tlv(0x30, tlv(0x31, tlv(0x30, oid("2.5.4.3"), tlv(12, b"kms")))), tlv(2, b"\1"))
cases = [
    ("indefinite", "ok", key32, envelope(key32)),
    ("indefinite-chunks", "ok", key32, envelope(key32, chunks=3)),
    ("indefinite-primitive-content", "ok", key32, envelope(key32, primitive=True)),
    ("definite", "ok", key32, envelope(key32, indef=False, primitive=True)),
    ("definite-constructed-content", "ok", key32, envelope(key32, indef=False, chunks=2)),
    ("long-lengths", "ok", key32, envelope(key32, long_form=True)),
    ("one-byte", "ok", short, envelope(short)),
    ("whole-block", "ok", b"y" * 16, envelope(b"y" * 16)),
    ("largest", "ok", long, envelope(long, chunks=5)),
    ("originator", "ok", key32, envelope(key32, originator=tlv(0xA0, tlv(0xA0, issuer)))),
    ("issuer-and-serial", "ok", key32, envelope(key32, rid=issuer, ktri=0, version=0)),
    ("hash-without-null", "ok", key32, envelope(key32, key_alg=oaep_alg(null=False))),
    ("empty-label", "ok", key32, envelope(key32, key_alg=oaep_alg(label=b""))),
    ("empty", "protocol", None, b""),
    ("trailing", "protocol", None, envelope(key32, tail=b"\0")),
    ("trailing-definite", "protocol", None, envelope(key32, indef=False, tail=b"\5\0")),
    ("signed-data", "protocol", None, envelope(key32, outer=SIGNED)),
    ("version-1", "protocol", None, envelope(key32, version=1)),
    ("version-4", "protocol", None, envelope(key32, version=4)),
    ("recipient-version-3", "protocol", None, envelope(key32, ktri=3)),
    ("no-recipient", "protocol", None, envelope(key32, copies=0)),
    ("two-recipients", "protocol", None, envelope(key32, copies=2)),
    ("attributes", "protocol", None, envelope(key32, attrs=tlv(0xA1, tlv(0x30, oid(DATA), tlv(0x31))))),
    ("pkcs1", "protocol", None, envelope(key32, key_alg=alg(PKCS1, NULL))),
    ("oaep-sha1-default", "protocol", None, envelope(key32, key_alg=oaep_alg(empty=True))),
    ("oaep-no-parameters", "protocol", None, envelope(key32, key_alg=alg(OAEP))),
    ("oaep-sha384", "protocol", None, envelope(key32, key_alg=oaep_alg(SHA384))),
    ("mgf1-sha1", "protocol", None, envelope(key32, key_alg=oaep_alg(mgf_oid=SHA1))),
    ("mgf-unknown", "protocol", None, envelope(key32, key_alg=oaep_alg(mgf=PKCS1))),
    ("label", "protocol", None, envelope(key32, key_alg=oaep_alg(label=b"l"))),
    ("wrapped-key-short", "protocol", None, envelope(key32, wrapped=b"\1" * 255)),
    ("content-type", "protocol", None, envelope(key32, content_type=SIGNED)),
    ("aes-128", "protocol", None, envelope(key32, content_alg=alg(AES128, tlv(4, b"i" * 16)))),
    ("aes-gcm", "protocol", None,
     envelope(key32, content_alg=alg(AES256GCM, tlv(0x30, tlv(4, b"i" * 12))))),
    ("iv-15", "protocol", None, envelope(key32, iv=b"i" * 15)),
    ("iv-absent", "protocol", None, envelope(key32, content_alg=alg(AES256))),
    ("no-content", "protocol", None, envelope(key32, no_content=True)),
    ("empty-content", "protocol", None, envelope(key32, cipher=b"", primitive=True)),
    ("partial-block", "protocol", None, envelope(key32, cipher=b"c" * 17)),
    ("other-key", "crypto", None, envelope(key32, to=other)),
    ("oaep-wrong-hash", "crypto", None,
     envelope(key32, content_key=(k := os.urandom(32)), wrapped=wrap(k, digest=hashes.SHA1))),
    ("oaep-wrong-mgf", "crypto", None,
     envelope(key32, content_key=k, wrapped=wrap(k, mgf=hashes.SHA1))),
    ("wrapped-16", "crypto", None, envelope(key32, wrapped=wrap(os.urandom(16)))),
    ("wrapped-33", "crypto", None, envelope(key32, wrapped=wrap(os.urandom(33)))),
    ("wrapped-above-modulus", "crypto", None, envelope(key32, wrapped=b"\xff" * 256)),
    ("wrapped-zero", "crypto", None, envelope(key32, wrapped=b"\0" * 256)),
    ("padding-0", "crypto", None, envelope(b"p" * 15, pad=b"\0")),
    ("padding-17", "crypto", None, envelope(b"p" * 15, pad=b"\x11")),
    ("padding-mixed", "crypto", None, envelope(b"p" * 13, pad=b"\3\2\3")),
    ("padding-first-differs", "crypto", None, envelope(b"", pad=b"\x0f" + b"\x10" * 15)),
]
os.makedirs("cms", exist_ok=True)
with open("cms/key.der", "wb") as f:
    f.write(key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8,
                              serialization.NoEncryption()))
with open("cms/cases.txt", "w") as f:
    for name, result, plain, data in cases:
        f.write(f"{name} {result} {plain.hex() if plain else '-'} {data.hex() or '-'}\n")
