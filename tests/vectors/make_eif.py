#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes tests/vectors/eif/: small images with the answers that a correct
reader gives. Uses none of Claviger's code. Signatures are random, so it is
run once and its output is kept; run it again only to add a case."""

import datetime
import json
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "lib"))

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import NameOID  # noqa: E402
from claviger_testing import eif  # noqa: E402

META = json.dumps({
    "ImageName": "known", "ImageVersion": "1.0",
    "BuildMetadata": {"BuildTime": "2024-01-01T00:00:00+00:00", "BuildTool": "make_eif", "BuildToolVersion": "1",
                      "OperatingSystem": "Linux", "KernelVersion": "6.6.79"},
    "DockerInfo": None, "CustomMetadata": {"commit": "abc"}}, separators=(",", ":")).encode()
BASE = [(eif.KERNEL, b"kernel bytes"), (eif.CMDLINE, b"console=ttyS0 panic=30"), (eif.METADATA, META)]
DISKS = [(eif.RAMDISK, b"first ramdisk"), (eif.RAMDISK, b"second"), (eif.RAMDISK, b"third, longer")]


def certificate(key, begin, end):
    name = x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "NL"),
                      x509.NameAttribute(NameOID.COMMON_NAME, "image signing")])
    made = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(4711).not_valid_before(begin).not_valid_after(end).sign(key, hashes.SHA256()))
    return made


def main():
    out, answers = HERE / "eif", {}
    out.mkdir(exist_ok=True)

    def put(name, sections, pcr8=None, valid=True, **kw):
        (out / f"{name}.eif").write_bytes(eif.build(sections, **kw))
        answers[name] = dict(eif.pcrs([s for s in sections if s[0] <= 3]), PCR8=pcr8, valid=valid,
                             version=kw.get("version", 4), arm64=bool(kw.get("flags")))

    put("plain", BASE + DISKS[:2])
    put("one-ramdisk", BASE + DISKS[:1])
    put("three-ramdisks-arm64", BASE + DISKS, flags=1)
    put("version3", BASE[:2] + DISKS[:2], version=3)
    put("empty-ramdisk", BASE + [(eif.RAMDISK, b""), DISKS[0]])
    sections = BASE + DISKS[:2]
    pcr0 = eif.pcrs(sections)["PCR0"]
    year = lambda n: datetime.datetime(n, 1, 1)  # noqa: E731
    for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()):
        key = ec.generate_private_key(curve)
        cert = certificate(key, year(2020), year(2120))
        pem = cert.public_bytes(serialization.Encoding.PEM)
        der = cert.public_bytes(serialization.Encoding.DER)
        put(f"signed-{curve.name}", sections + [(eif.SIGNATURE, eif.sign(pcr0, key, pem))], eif.extend(der))
    put("signed-other-pcr0", sections + [(eif.SIGNATURE, eif.sign("00" * 48, key, pem))], eif.extend(der), False)
    other = ec.generate_private_key(curve)
    put("signed-other-key", sections + [(eif.SIGNATURE, eif.sign(pcr0, other, pem))], eif.extend(der), False)
    for name, begin, end in (("expired", 2020, 2021), ("future", 2119, 2120)):
        cert = certificate(key, year(begin), year(end))
        pem = cert.public_bytes(serialization.Encoding.PEM)
        put(f"signed-{name}", sections + [(eif.SIGNATURE, eif.sign(pcr0, key, pem))],
            eif.extend(cert.public_bytes(serialization.Encoding.DER)), False)
    (out / "answers.json").write_text(json.dumps(answers, indent=1) + "\n")


main()
