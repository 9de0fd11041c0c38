# SPDX-License-Identifier: Apache-2.0
"""Tezos text encodings and signature verification by other implementations."""

import hashlib

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

# text prefix -> (prefix bytes, payload length)
PREFIXES = {
    "tz1": (bytes([6, 161, 159]), 20),
    "tz2": (bytes([6, 161, 161]), 20),
    "tz3": (bytes([6, 161, 164]), 20),
    "tz4": (bytes([6, 161, 166]), 20),
    "edpk": (bytes([13, 15, 37, 217]), 32),
    "sppk": (bytes([3, 254, 226, 86]), 33),
    "p2pk": (bytes([3, 178, 139, 127]), 33),
    "BLpk": (bytes([6, 149, 135, 204]), 48),
    "edsk": (bytes([13, 15, 58, 7]), 32),
    "spsk": (bytes([17, 162, 224, 201]), 32),
    "p2sk": (bytes([16, 81, 238, 189]), 32),
    "BLsk": (bytes([3, 150, 192, 40]), 32),
    "edsig": (bytes([9, 245, 205, 134, 18]), 64),
    "spsig1": (bytes([13, 115, 101, 19, 63]), 64),
    "p2sig": (bytes([54, 240, 44, 52]), 64),
    "sig": (bytes([4, 130, 43]), 64),
    "BLsig": (bytes([40, 171, 64, 207]), 96),
    "Net": (bytes([87, 82, 0]), 4),
}
KINDS = {"edpk": "tz1", "sppk": "tz2", "p2pk": "tz3", "BLpk": "tz4"}
SIGNATURES = {"tz1": "edsig", "tz2": "spsig1", "tz3": "p2sig", "tz4": "BLsig"}

BLS_AUG = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_AUG_"
BLS_POP_SCHEME = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
BLS_PROOF = b"BLS_POP_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"


def base58check_decode(text):
    number = 0
    for char in text:
        number = number * 58 + ALPHABET.index(char)
    zeros = len(text) - len(text.lstrip("1"))
    raw = bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")
    body, check = raw[:-4], raw[-4:]
    if hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4] != check:
        raise ValueError("base58check: wrong checksum")
    return body


def base58check_encode(body):
    raw = body + hashlib.sha256(hashlib.sha256(body).digest()).digest()[:4]
    number = int.from_bytes(raw, "big")
    text = ""
    while number:
        number, digit = divmod(number, 58)
        text = ALPHABET[digit] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


def encode(name, payload):
    prefix, size = PREFIXES[name]
    if len(payload) != size:
        raise ValueError(f"{name} wants {size} bytes")
    return base58check_encode(prefix + payload)


def decode(text):
    """Returns (name, payload) of a key, key hash or signature text."""
    body = base58check_decode(text)
    for name, (prefix, size) in PREFIXES.items():
        if body.startswith(prefix) and len(body) == len(prefix) + size:
            return name, body[len(prefix):]
    raise ValueError("unknown prefix")


def key_hash(public_key_text):
    name, payload = decode(public_key_text)
    return encode(KINDS[name], hashlib.blake2b(payload, digest_size=20).digest())


def _ecdsa_verify(curve, point, signature, digest):
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    key = ec.EllipticCurvePublicKey.from_encoded_point(curve, point)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key.verify(utils.encode_dss_signature(r, s), digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return True
    except InvalidSignature:
        return False


def bls_verify(public_key, signature, message, dst):
    """min-pk: key in G1 (48 bytes), signature in G2 (96 bytes)."""
    from py_ecc.bls.ciphersuites import G2Basic

    class Suite(G2Basic):
        DST = dst

    return Suite._CoreVerify(public_key, message, signature, dst)


def verify(public_key_text, signature_text, message, version=2):
    """True when SIGNATURE_TEXT signs MESSAGE (the whole request, magic byte
    included) under PUBLIC_KEY_TEXT. version selects the BLS ciphersuite."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519

    key_name, public_key = decode(public_key_text)
    sig_name, signature = decode(signature_text)
    if sig_name != SIGNATURES[KINDS[key_name]]:
        return False
    if key_name == "BLpk":
        if version == 1:
            return bls_verify(public_key, signature, public_key + message, BLS_AUG)
        return bls_verify(public_key, signature, message, BLS_POP_SCHEME)
    digest = hashlib.blake2b(message, digest_size=32).digest()
    if key_name == "edpk":
        try:
            ed25519.Ed25519PublicKey.from_public_bytes(public_key).verify(signature, digest)
            return True
        except InvalidSignature:
            return False
    if key_name == "sppk":
        half = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141 // 2
        if int.from_bytes(signature[32:], "big") > half:
            return False  # Tezos refuses a high S on secp256k1
        return _ecdsa_verify(ec.SECP256K1(), public_key, signature, digest)
    return _ecdsa_verify(ec.SECP256R1(), public_key, signature, digest)


def verify_values(public_key, signature, message, version=2):
    """The same of {"Ed25519": bytes} and the like, as the enclave's protocol has them."""
    (kind, key), = public_key.items()
    (sig_kind, sig), = signature.items()
    prefix = {"Ed25519": "edpk", "Secp256k1": "sppk", "NistP256": "p2pk", "Bls": "BLpk"}[kind]
    return kind == sig_kind and verify(encode(prefix, key), encode(SIGNATURES[KINDS[prefix]], bytes(sig)),
                                       message, version)


def verify_proof_of_possession(public_key_text, proof_text):
    _, public_key = decode(public_key_text)
    _, proof = decode(proof_text)
    return bls_verify(public_key, proof, public_key, BLS_PROOF)


# --- requests to sign -------------------------------------------------------

MAINNET = bytes.fromhex("7a06a770")


def chain_text(chain=MAINNET):
    return encode("Net", chain)


def key_hash_bytes(pkh_text):
    name, payload = decode(pkh_text)
    return bytes([["tz1", "tz2", "tz3", "tz4"].index(name)]) + payload


def zarith(number):
    out = bytearray()
    while True:
        byte = number & 0x7F
        number >>= 7
        out.append(byte | (0x80 if number else 0))
        if not number:
            return bytes(out)


def transaction(source, destination, amount, fee=1000, counter=1, branch=bytes(32)):
    """A generic request (0x03) with one transaction between implicit accounts."""
    operation = bytes([108]) + key_hash_bytes(source) + zarith(fee) + zarith(counter)
    operation += zarith(10600) + zarith(0) + zarith(amount)
    operation += b"\x00" + key_hash_bytes(destination) + b"\x00"
    return b"\x03" + branch + operation


def attestation(level, round_, payload=bytes(32), chain=MAINNET, branch=bytes(32), slot=0, bls=False):
    if bls:
        operation = bytes([41]) + level.to_bytes(4, "big") + round_.to_bytes(4, "big") + payload
    else:
        operation = bytes([21]) + slot.to_bytes(2, "big") + level.to_bytes(4, "big")
        operation += round_.to_bytes(4, "big") + payload
    return b"\x13" + chain + branch + operation


def preattestation(level, round_, payload=bytes(32), chain=MAINNET, branch=bytes(32), slot=0, bls=False):
    request = bytearray(attestation(level, round_, payload, chain, branch, slot, bls))
    request[0] = 0x12
    request[37] = 40 if bls else 20
    return bytes(request)


def block(level, round_, payload=bytes(32), chain=MAINNET, predecessor=bytes(32)):
    fitness = b"\x00\x00\x00\x01\x02" + b"\x00\x00\x00\x04" + level.to_bytes(4, "big")
    fitness += b"\x00\x00\x00\x00" + b"\x00\x00\x00\x04\xff\xff\xff\xff"
    fitness += b"\x00\x00\x00\x04" + round_.to_bytes(4, "big")
    header = level.to_bytes(4, "big") + b"\x18" + predecessor + (1700000000 + level).to_bytes(8, "big")
    header += b"\x04" + bytes(32) + len(fitness).to_bytes(4, "big") + fitness + bytes(32)
    header += payload + round_.to_bytes(4, "big") + bytes(8) + b"\x00" + b"\x0a"
    return b"\x11" + chain + header
