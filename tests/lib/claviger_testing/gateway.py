# SPDX-License-Identifier: Apache-2.0
"""The parent's side of the enclave's way to AWS, honest or not: a UNIX socket
whose connections are led where a test wants them; and servers with certificates
that nobody should take for AWS's."""

import datetime
import pathlib
import socket
import ssl
import threading

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .parent import Parent


class Gateway:
    """Listens on PATH; SERVE is called with each connection, in a thread of its own."""

    def __init__(self, path, serve):
        self.serve = serve
        self.open = set()
        self.listener = socket.socket(socket.AF_UNIX)
        pathlib.Path(path).unlink(missing_ok=True)
        self.listener.bind(str(path))
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.add(connection)
            threading.Thread(target=self.guard, args=(connection,), daemon=True).start()

    def guard(self, connection):
        with connection:
            try:
                self.serve(connection)
            except (OSError, ValueError):
                pass
            self.open.discard(connection)

    def switch(self, serve):
        """Another SERVE from now on; what was connected is hung up."""
        self.serve = serve
        for connection in list(self.open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.switch(closes)


def to_port(port):
    """Leads connections to PORT of this machine, as an honest proxy does."""
    def serve(connection):
        with socket.create_connection(("127.0.0.1", port), 10) as up:
            up.settimeout(None)
            Parent.relay(connection, up)
    return serve


def answers(data):
    """Says DATA whatever is asked, and hangs up."""
    def serve(connection):
        connection.settimeout(20)
        connection.recv(1024)
        connection.sendall(data)
    return serve


def closes(_):
    """Hangs up at once."""


def silent(connection):
    """Reads, and never answers."""
    connection.settimeout(None)
    while connection.recv(65536):
        pass


class Impostor:
    """A TLS server with a certificate of our making, and an HTTP answer ready. What it
    is sent after the handshake is kept: it should never be anything."""

    def __init__(self, folder, name, certificates, key, reply=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
                 highest=None):
        chain, private = pathlib.Path(folder, f"{name}.pem"), pathlib.Path(folder, f"{name}.key")
        chain.write_bytes(b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates))
        private.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                              serialization.NoEncryption()))
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if highest is not None:
            self.context.minimum_version = self.context.maximum_version = highest
            self.context.set_ciphers("ALL:@SECLEVEL=0")
        self.context.load_cert_chain(chain, private)
        self.reply, self.heard = reply, b""

    def __call__(self, connection):
        connection.settimeout(20)
        with self.context.wrap_socket(connection, server_side=True) as tls:
            self.heard += tls.recv(65536)
            tls.sendall(self.reply)


def read_authority(path):
    """(certificate, key) of the stand-ins' authority in PATH and PATH.key."""
    return (x509.load_pem_x509_certificate(pathlib.Path(path).read_bytes()),
            serialization.load_pem_private_key(pathlib.Path(f"{path}.key").read_bytes(), None))


def certificate(name, issuer=None, days=(-1, 30), authority=False, hosts=None):
    """(certificate, key) for NAME, by ISSUER (certificate, key) or by itself, valid
    between DAYS from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.utcnow()
    builder = (x509.CertificateBuilder().subject_name(subject)
               .issuer_name(issuer[0].subject if issuer else subject).public_key(key.public_key())
               .serial_number(x509.random_serial_number())
               .not_valid_before(now + datetime.timedelta(days=days[0]))
               .not_valid_after(now + datetime.timedelta(days=days[1]))
               .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True))
    if not authority:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(h) for h in hosts or [name]]), critical=False)
    return builder.sign(issuer[1] if issuer else key, hashes.SHA256()), key


def impostors(folder, ca, host):
    """Certificates that a parent could come up with for HOST, by what is wrong with them."""
    trusted, strange = read_authority(ca), certificate("Some other CA", authority=True)
    leaf = certificate(host, trusted)
    cases = {
        "self-signed": [certificate(host)],
        "another authority's": [certificate(host, strange), strange],
        "expired": [certificate(host, trusted, days=(-30, -1)), trusted],
        "not yet valid": [certificate(host, trusted, days=(1, 30)), trusted],
        "another host's": [certificate("kms.us-west-2.example.com", trusted), trusted],
        "another region's": [certificate("kms.eu-west-1.amazonaws.com", trusted), trusted],
        "a wildcard for all": [certificate("*", trusted), trusted],
        # An ordinary certificate is no authority, whatever it signs.
        "by an ordinary certificate": [certificate(host, leaf), leaf, trusted],
    }
    made = {name: Impostor(folder, f"impostor-{i}", [c for c, _ in chain], chain[0][1])
            for i, (name, chain) in enumerate(cases.items())}
    old = [certificate(host, trusted), trusted]
    made["TLS 1.1"] = Impostor(folder, "impostor-old", [c for c, _ in old], old[0][1], highest=ssl.TLSVersion.TLSv1_1)
    return made
