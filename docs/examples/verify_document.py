#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Verifies a Nitro attestation document with Python's own library and the openssl command.

    verify_document.py DOCUMENT ROOT.pem [--pcr N=HEX]... [--nonce HEX] [--key PKH] [--time SECONDS] [--allow-debug]

DOCUMENT is the file itself, or its base64. ROOT.pem is AWS's root certificate (check its
fingerprint first), or that of a local stand-in. Nothing of Claviger is used here.
"""
import argparse
import base64
import hashlib
import pathlib
import subprocess
import sys
import tempfile


def cbor(data, at=0):
    """One item of CBOR (RFC 8949) at AT: (value, where the next one begins)."""
    major, info = data[at] >> 5, data[at] & 31
    at += 1
    if info == 31 and major in (4, 5):                       # indefinite array or map
        items = []
        while data[at] != 0xFF:
            item, at = cbor(data, at)
            items.append(item)
        return (dict(zip(items[::2], items[1::2])) if major == 5 else items), at + 1
    if info >= 24:
        width = {24: 1, 25: 2, 26: 4, 27: 8}[info]
        info, at = int.from_bytes(data[at:at + width], "big"), at + width
    if major == 0:
        return info, at
    if major == 1:
        return -1 - info, at
    if major in (2, 3):
        if at + info > len(data):
            raise ValueError("a string goes past the end")
        value = data[at:at + info]
        return (value if major == 2 else value.decode()), at + info
    if major in (4, 5):
        items = []
        for _ in range(info * (major - 3)):
            item, at = cbor(data, at)
            items.append(item)
        return (dict(zip(items[::2], items[1::2])) if major == 5 else items), at
    if major == 6:
        return cbor(data, at)                                # a tag: COSE_Sign1 is 18
    return {20: False, 21: True, 22: None}[info], at


def whole(data):
    value, end = cbor(data)
    if end != len(data):
        raise ValueError("bytes follow the document")
    return value


def bstr(data):
    return b"\x59" + len(data).to_bytes(2, "big") + data


def der_integer(data):
    data = data.lstrip(b"\0") or b"\0"
    data = (b"\0" if data[0] & 0x80 else b"") + data
    return b"\x02" + bytes([len(data)]) + data


def openssl(*arguments):
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        sys.exit(f"refused: openssl {arguments[0]}: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return done.stdout


def check_chain(folder, root, payload, seconds):
    """The leaf chains up to ROOT, in the order of the bundle, at that time."""
    der = [*payload["cabundle"], payload["certificate"]]
    pem = []
    for i, cert in enumerate(der):
        (folder / f"{i}.der").write_bytes(cert)
        openssl("x509", "-inform", "DER", "-in", folder / f"{i}.der", "-out", folder / f"{i}.pem")
        pem.append((folder / f"{i}.pem").read_text())
    # The document's own root is compared with ours, and never trusted.
    fingerprints = [openssl("x509", "-in", p, "-noout", "-fingerprint", "-sha256") for p in (root, folder / "0.pem")]
    if fingerprints[0] != fingerprints[1]:
        sys.exit("refused: the chain does not start at the trusted root")
    (folder / "between.pem").write_text("".join(pem[1:-1]))
    openssl("verify", "-attime", seconds, "-CAfile", root, "-no-CApath", "-no-CAstore",
            "-untrusted", folder / "between.pem", folder / f"{len(pem) - 1}.pem")
    return folder / f"{len(pem) - 1}.pem"


def check_signature(folder, leaf, protected, payload, signature):
    """ECDSA P-384 with SHA-384 over COSE's Sig_structure; r and s are 48 bytes each."""
    signed = b"\x84\x6aSignature1" + bytes([0x40 + len(protected)]) + protected + b"\x40" + bstr(payload)
    pair = der_integer(signature[:48]) + der_integer(signature[48:])
    (folder / "signed").write_bytes(signed)
    (folder / "signature").write_bytes(b"\x30" + bytes([len(pair)]) + pair)
    (folder / "key.pem").write_text(openssl("x509", "-in", leaf, "-noout", "-pubkey"))
    openssl("dgst", "-sha384", "-verify", folder / "key.pem", "-signature", folder / "signature", folder / "signed")


def key_hash(scheme, public_key):
    """tz1… to tz4… of a public key."""
    prefix = {"Ed25519": "06a19f", "Secp256k1": "06a1a1", "NistP256": "06a1a4", "Bls": "06a1a6"}[scheme]
    data = bytes.fromhex(prefix) + hashlib.blake2b(public_key, digest_size=20).digest()
    data += hashlib.sha256(hashlib.sha256(data).digest()).digest()[:4]
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[digit] + text
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("document")
    parser.add_argument("root")
    parser.add_argument("--pcr", action="append", default=[])
    parser.add_argument("--nonce")
    parser.add_argument("--key")
    parser.add_argument("--time", type=int, help="default: the document's own")
    parser.add_argument("--allow-debug", action="store_true")
    o = parser.parse_args()

    data = pathlib.Path(o.document).read_bytes()
    if data[:1] not in (b"\x84", b"\xd2"):
        data = base64.b64decode(data)
    protected, unprotected, payload_bytes, signature = whole(data)
    payload = whole(payload_bytes)
    if whole(protected) != {1: -35} or unprotected != {} or len(signature) != 96 or payload["digest"] != "SHA384":
        sys.exit("refused: not an attestation document signed with ES384")

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        leaf = check_chain(folder, o.root, payload, o.time or payload["timestamp"] // 1000)
        check_signature(folder, leaf, protected, payload_bytes, signature)

    pcrs = payload["pcrs"]
    if not any(pcrs[0]) and not o.allow_debug:
        sys.exit("refused: PCR0 is all zeros, the enclave runs in debug mode")
    for wanted in o.pcr:
        index, value = wanted.split("=")
        if pcrs.get(int(index)) != bytes.fromhex(value):
            sys.exit(f"refused: PCR{index} is not the one that is expected")
    if o.nonce is not None and payload["nonce"] != bytes.fromhex(o.nonce):
        sys.exit("refused: another nonce")
    if o.key:
        tag, scheme, public_key, origin, cmk, pinned = whole(payload["user_data"])
        if tag != "claviger.key.1" or payload["public_key"] is not None or key_hash(scheme, public_key) != o.key:
            sys.exit("refused: not a statement about this key")
        print(f"{o.key}: {origin}, under {cmk}" + (", to which the image is pinned" if pinned else ""))
    print(f"verified: {payload['module_id']}, PCR0 {pcrs[0].hex()}")


if __name__ == "__main__":
    main()
