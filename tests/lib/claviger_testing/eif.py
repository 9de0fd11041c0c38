# SPDX-License-Identifier: Apache-2.0
"""Enclave images, read and written from the format's description alone."""

import hashlib
import json
import struct
import zlib

HEADER = struct.Struct(">4sHHQQHH")
KERNEL, CMDLINE, RAMDISK, SIGNATURE, METADATA = range(1, 6)


def build(sections, version=4, flags=0):
    """Bytes of an image of SECTIONS, a list of (type, data)."""
    offsets, at = [], 548
    for _, data in sections:
        offsets.append(at)
        at += 12 + len(data)
    pad = [0] * (32 - len(sections))
    head = HEADER.pack(b".eif", version, flags, 1 << 30, 2, 0, len(sections))
    head += struct.pack(">32Q", *(offsets + pad))
    head += struct.pack(">32Q", *([len(d) for _, d in sections] + pad))
    head += struct.pack(">I", 0)
    body = b"".join(struct.pack(">HHQ", t, 0, len(d)) + d for t, d in sections)
    return head + struct.pack(">I", zlib.crc32(body, zlib.crc32(head))) + body


def parse(image):
    """{"version", "flags", "sections": [(type, data)]}, everything asserted."""
    magic, version, flags, _, _, reserved, count = HEADER.unpack_from(image)
    assert magic == b".eif" and reserved == 0
    offsets = struct.unpack_from(">32Q", image, 28)
    sizes = struct.unpack_from(">32Q", image, 28 + 256)
    unused, crc = struct.unpack_from(">II", image, 540)
    assert unused == 0
    assert crc == zlib.crc32(image[548:], zlib.crc32(image[:544])), "CRC"
    at, sections = 548, []
    for i in range(count):
        assert offsets[i] == at, "offset table"
        kind, sflags, size = struct.unpack_from(">HHQ", image, at)
        assert sflags == 0 and size == sizes[i]
        at += 12
        assert at + size <= len(image)
        sections.append((kind, image[at:at + size]))
        at += size
    assert at == len(image), "trailing bytes"
    assert not any(offsets[count:]) and not any(sizes[count:])
    return {"version": version, "flags": flags, "sections": sections}


def extend(content):
    return hashlib.sha384(bytes(48) + hashlib.sha384(content).digest()).hexdigest()


def pcrs(sections):
    boot = b"".join(d for t, d in sections if t in (KERNEL, CMDLINE))
    disks = [d for t, d in sections if t == RAMDISK]
    everything = b"".join(d for t, d in sections if t in (KERNEL, CMDLINE, RAMDISK))
    assert everything == boot + b"".join(disks), "only for kernel, cmdline, ramdisks in this order"
    return {"PCR0": extend(everything), "PCR1": extend(boot + disks[0]),
            "PCR2": extend(b"".join(disks[1:]))}


def cbor_list(data):
    """Bytes as a definite array of unsigned integers."""
    head = bytes([0x80 + len(data)]) if len(data) < 24 else (
        bytes([0x98, len(data)]) if len(data) < 256 else struct.pack(">BH", 0x99, len(data)))
    return head + b"".join(bytes([b]) if b < 24 else bytes([0x18, b]) for b in data)


def cbor_bytes(data):
    head = bytes([0x40 + len(data)]) if len(data) < 24 else (
        bytes([0x58, len(data)]) if len(data) < 256 else struct.pack(">BH", 0x59, len(data)))
    return head + data


def cbor_text(text):
    return bytes([0x60 + len(text)]) + text.encode()


def signed_payload(pcr0):
    return (b"\xa2" + cbor_text("register_index") + b"\x00" + cbor_text("register_value")
            + cbor_list(bytes.fromhex(pcr0)))


def to_be_signed(protected, payload):
    return b"\x84\x6aSignature1" + cbor_bytes(protected) + b"\x40" + cbor_bytes(payload)


PROTECTED = {"secp256r1": b"\xa1\x01\x26", "secp384r1": b"\xa1\x01\x38\x22", "secp521r1": b"\xa1\x01\x38\x23"}


def curve_hash(name):
    from cryptography.hazmat.primitives import hashes
    return {"secp256r1": hashes.SHA256, "secp384r1": hashes.SHA384, "secp521r1": hashes.SHA512}[name]()


def sign(pcr0, key, pem):
    """The signature section by an EC private KEY whose certificate is PEM."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
    size = (key.curve.key_size + 7) // 8
    protected, payload = PROTECTED[key.curve.name], signed_payload(pcr0)
    r, s = decode_dss_signature(key.sign(to_be_signed(protected, payload), ec.ECDSA(curve_hash(key.curve.name))))
    cose = (b"\x84" + cbor_bytes(protected) + b"\xa0" + cbor_bytes(payload)
            + cbor_bytes(r.to_bytes(size, "big") + s.to_bytes(size, "big")))
    return (b"\x81\xa2" + cbor_text("signing_certificate") + cbor_list(pem)
            + cbor_text("signature") + cbor_list(cose))


def verify(section, pcr0):
    """Checks a signature section with cbor2; returns PCR8."""
    import cbor2
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    entries = cbor2.loads(section)
    assert isinstance(entries, list) and list(entries[0]) == ["signing_certificate", "signature"]
    assert cbor2.dumps(entries) == section, "not the shortest encoding"
    certificate = x509.load_pem_x509_certificate(bytes(entries[0]["signing_certificate"]))
    cose = bytes(entries[0]["signature"])
    assert cose[0] == 0x84, "COSE_Sign1 must not be tagged"
    protected, unprotected, payload, raw = cbor2.loads(cose)
    key = certificate.public_key()
    assert protected == PROTECTED[key.curve.name] and unprotected == {}
    assert payload == signed_payload(pcr0)
    half = len(raw) // 2
    assert half == (key.curve.key_size + 7) // 8
    signature = encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))
    key.verify(signature, to_be_signed(protected, payload), ec.ECDSA(curve_hash(key.curve.name)))
    return extend(certificate.public_bytes(serialization.Encoding.DER))


def metadata(image):
    return json.loads(next(d for t, d in image["sections"] if t == METADATA))


def cpio_entries(data):
    """newc archive(s), as the kernel reads them: {name: (fields, content)} in order."""
    if data[:2] == b"\x1f\x8b":
        unpacked = zlib.decompressobj(31)
        plain = unpacked.decompress(data)
        assert unpacked.eof and not any(unpacked.unused_data) and len(data) % 512 == 0
        assert data[4:8] == bytes(4), "a time in the gzip header"
        data = plain
    entries, at = [], 0
    while at < len(data):
        if data[at] == 0:
            at += 1
            continue
        assert at % 4 == 0, "archive not aligned"
        assert data[at:at + 6] == b"070701", data[at:at + 6]
        names = ("ino", "mode", "uid", "gid", "nlink", "mtime", "filesize", "devmajor", "devminor",
                 "rdevmajor", "rdevminor", "namesize", "check")
        fields = {n: int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i, n in enumerate(names)}
        assert fields["check"] == 0
        end = at + 110 + fields["namesize"]
        assert data[end - 1] == 0
        name = data[at + 110:end - 1].decode("utf-8", "surrogateescape")
        start = (end + 3) & ~3
        content = data[start:start + fields["filesize"]]
        assert len(content) == fields["filesize"]
        at = (start + fields["filesize"] + 3) & ~3
        if name != "TRAILER!!!":
            entries.append((name, fields, content))
    return entries
