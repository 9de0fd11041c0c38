# SPDX-License-Identifier: Apache-2.0
"""Attestation documents of Nitro enclaves, verified with cbor2 and cryptography alone.

An implementation apart from libclaviger-attest, to test it against."""
import datetime
import hashlib

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

FIELDS = ["module_id", "digest", "timestamp", "pcrs", "certificate", "cabundle",
          "public_key", "user_data", "nonce"]


class Refused(Exception):
    pass


class Document:
    """Takes apart; raises Refused for what is not a document."""

    def __init__(self, raw):
        self.raw = raw
        outer = cbor2.loads(raw)
        if isinstance(outer, cbor2.CBORTag):
            if outer.tag != 18:
                raise Refused("tag")
            outer = outer.value
        if not isinstance(outer, list) or len(outer) != 4:
            raise Refused("shape")
        self.protected, self.unprotected, self.payload_bytes, self.signature = outer
        if cbor2.loads(self.protected) != {1: -35} or self.unprotected != {}:
            raise Refused("header")
        self.payload = cbor2.loads(self.payload_bytes)
        if list(self.payload) != FIELDS:
            raise Refused("fields")
        self.leaf = x509.load_der_x509_certificate(self.payload["certificate"])
        self.bundle = [x509.load_der_x509_certificate(c) for c in self.payload["cabundle"]]

    def __getattr__(self, name):
        if name in FIELDS:
            return self.payload[name]
        raise AttributeError(name)

    @property
    def time(self):
        return datetime.datetime.utcfromtimestamp(self.timestamp / 1000)

    def window(self):
        """Seconds since 1970 between which all certificates are valid, ends included."""
        certs = self.bundle + [self.leaf]
        utc = datetime.timezone.utc
        first = max(c.not_valid_before.replace(tzinfo=utc) for c in certs)
        last = min(c.not_valid_after.replace(tzinfo=utc) for c in certs)
        return int(first.timestamp()), int(last.timestamp())

    def verify(self, root, at=None):
        """ROOT: the trusted x509 certificate. Raises Refused."""
        at = at or self.time
        if self.bundle[0].public_bytes(serialization.Encoding.DER) != \
                root.public_bytes(serialization.Encoding.DER):
            raise Refused("root")
        chain = self.bundle + [self.leaf]
        for issuer, cert in zip(chain, chain[1:]):
            if cert.issuer != issuer.subject:
                raise Refused("names")
            try:
                issuer.public_key().verify(cert.signature, cert.tbs_certificate_bytes,
                                           ec.ECDSA(cert.signature_hash_algorithm))
            except InvalidSignature:
                raise Refused("certificate signature")
        for depth, cert in enumerate(chain):
            if not cert.not_valid_before <= at <= cert.not_valid_after:
                raise Refused("time")
            constraints = cert.extensions.get_extension_for_class(x509.BasicConstraints).value
            usage = cert.extensions.get_extension_for_class(x509.KeyUsage).value
            if cert is self.leaf:
                if constraints.ca or not usage.digital_signature:
                    raise Refused("leaf")
            else:
                below = len(chain) - 2 - depth
                if not constraints.ca or not usage.key_cert_sign:
                    raise Refused("ca")
                if constraints.path_length is not None and constraints.path_length < below:
                    raise Refused("path length")
        r, s = int.from_bytes(self.signature[:48], "big"), int.from_bytes(self.signature[48:], "big")
        signed = cbor2.dumps(["Signature1", self.protected, b"", self.payload_bytes])
        try:
            self.leaf.public_key().verify(utils.encode_dss_signature(r, s), signed,
                                          ec.ECDSA(hashes.SHA384()))
        except InvalidSignature:
            raise Refused("signature")


def measure(content):
    """A register extended once from zeros by the digest of CONTENT."""
    return hashlib.sha384(bytes(48) + hashlib.sha384(content).digest()).digest()


def measure_text(text):
    """PCR3 of a role ARN, PCR4 of an instance id."""
    return hashlib.sha384(bytes(48) + text.encode("ascii")).digest()
