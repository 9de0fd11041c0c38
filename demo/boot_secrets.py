#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev demo secrets: boot-time secrets, end to end, on this machine.

nginx as Debian packages it, not changed in any way, becomes an enclave image;
its TLS key and passwords are encrypted for that image alone; it boots and
serves; one byte of the image changes, and KMS denies. Everything started is
ended.
"""

import argparse
import base64
import contextlib
import datetime
import hashlib
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))

import boto3  # noqa: E402
import botocore.config  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402

from claviger_testing.process import Program, run  # noqa: E402

PACKAGES = ["nginx", "nginx-common"]
CACHE = ROOT / ".cache" / "debs"
HOST = "web.example"
BUCKET = "demo-secrets"
CRC_OFFSET = 0x220
HEADER = 548

SITE = f"""server {{
    listen 127.0.0.1:8443 ssl;
    server_name {HOST};
    ssl_certificate /etc/nginx/tls.pem;
    ssl_certificate_key /run/secrets/tls.key;
    auth_basic "secrets";
    auth_basic_user_file /run/secrets/htpasswd;
    root /var/www;
}}
"""

ENCLAVE_YAML = """version: 1
command: [/usr/sbin/nginx, -g, "daemon off;"]
hostname: web
ports: [8443]
encryptedConfig:
  type: s3
  uri: s3://{bucket}/web
  allow: [/run/secrets/tls.key, /run/secrets/htpasswd]
cmk: {cmk}
context: {{app: web}}
minimum_version: 1
boot_deadline: 60s
"""


def say(text=""):
    print(text, flush=True)


def step(text, _count=[0]):
    _count[0] += 1
    say(f"\n{_count[0]}. {text}")


def stop(text):
    raise SystemExit(f"demo: {text}")


# ---- nginx, as Debian has it ----

def packages():
    """The package files, from the cache or from Debian's mirror."""
    CACHE.mkdir(parents=True, exist_ok=True)
    found = [sorted(CACHE.glob(f"{name}_*.deb")) for name in PACKAGES]
    if not all(found):
        done = subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=CACHE, capture_output=True, text=True,
                              check=False)
        found = [sorted(CACHE.glob(f"{name}_*.deb")) for name in PACKAGES]
        if not all(found):
            stop(f"nginx cannot be downloaded from Debian:\n{done.stderr}")
        # Under sudo: whoever has the tree must be able to remove it.
        owner = CACHE.parent.stat()
        for path in (CACHE, *(files[-1] for files in found)):
            os.chown(path, owner.st_uid, owner.st_gid)
    return [files[-1] for files in found]


def application(folder):
    """A root directory with nginx, what it loads, and nothing else."""
    for package in packages():
        run(["dpkg-deb", "-x", package, folder])
    nginx = folder / "usr/sbin/nginx"
    libraries = re.findall(r"(/\S+) \(0x", run(["ldd", nginx]).stdout)
    for library in libraries:
        target = folder / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    for name in ("tmp", "run", "proc", "sys", "dev", "var/log/nginx", "var/lib/nginx", "var/www"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/bin/sh\n")
    (folder / "etc/group").write_text("root:x:0:\nwww-data:x:33:\n")
    (folder / "var/www/index.html").write_text("Served from inside.\n")
    return nginx, len(libraries)


def certificate():
    """A key, which is a secret, and its certificate, which is not."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.utcnow()
    cert = (x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=2))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), False).sign(key, hashes.SHA256()))
    pem = serialization.Encoding.PEM
    return (key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode(),
            cert.public_bytes(pem).decode())


# ---- the stages of the story ----

class Demo:
    def __init__(self, base, bin_dir):
        self.base, self.bin = base, bin_dir
        self.aws = base / "aws"
        self.up = None
        self.password = secrets.token_urlsafe(12)

    def claviger(self, *argv):
        return run([self.bin / "claviger", *argv], env=self.env)

    def client(self, service, **more):
        return boto3.client(service, region_name=self.env["AWS_REGION"], verify=str(self.aws / "ca.pem"),
                            endpoint_url=self.env[f"AWS_ENDPOINT_URL_{service.upper()}"],
                            aws_access_key_id=self.admin["access_key_id"],
                            aws_secret_access_key=self.admin["secret_access_key"],
                            config=botocore.config.Config(retries={"max_attempts": 1}, **more))

    def start(self):
        step("Start local stand-ins of AWS: a KMS that verifies attestation, S3.")
        self.up = Program([self.bin / "claviger-local", "up", "--dir", self.aws], self.base / "up.log")
        self.up.wait_line("ready")
        self.env = dict(os.environ, HOME=str(self.base))
        for line in (self.aws / "aws.env").read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.env[name] = value.strip("'")
        principals = json.loads((self.aws / "kms.json").read_text())["principals"]
        self.admin = next(p for p in principals if p["arn"].endswith(":root"))
        self.role = next(p["role_arn"] for p in principals if p.get("role_arn"))
        self.kms = self.client("kms")
        self.cmk = self.kms.create_key()["KeyMetadata"]["Arn"]
        self.client("s3", s3={"addressing_style": "path"}).create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": self.env["AWS_REGION"]})
        say(f"   KMS key {self.cmk}")

    def build(self):
        step("Pack nginx into an enclave image: Debian's own program, not changed in any way.")
        root = self.base / "root"
        nginx, libraries = application(root)
        key, cert = certificate()
        (self.base / "tls.pem").write_text(cert)
        (root / "etc/nginx/tls.pem").write_text(cert)
        (root / "etc/nginx/conf.d").mkdir(exist_ok=True)
        (root / "etc/nginx/conf.d/demo.conf").write_text(SITE)
        (self.base / "enclave.yaml").write_text(ENCLAVE_YAML.format(bucket=BUCKET, cmk=self.cmk))
        # The kernel is measured; it runs only in a real enclave.
        (self.base / "kernel").write_bytes(b"a stand-in for a kernel")
        self.image = self.base / "web.eif"
        done = self.claviger("eif", "build", root, "-o", self.image, "--kernel", self.base / "kernel", "--modules",
                             "none", "--enclave-config-file", self.base / "enclave.yaml", "--json")
        self.pcr0 = json.loads(done.stdout)["Measurements"]["PCR0"]
        version = run(["dpkg-deb", "-f", packages()[0], "Version"]).stdout.strip()
        say(f"   nginx {version}, SHA-256 {hashlib.sha256(nginx.read_bytes()).hexdigest()[:16]}…, "
            f"{libraries} libraries, {self.image.stat().st_size >> 20} MiB")
        say(f"   PCR0 {self.pcr0[:48]}…")
        return key

    def allow(self):
        step("Bind the KMS key to that image: Decrypt for this PCR0 alone.")
        policy = self.claviger("policy", "create", "--principal", self.role, "--publisher", self.admin["arn"], "--eif",
                               self.image).stdout
        self.kms.put_key_policy(KeyId=self.cmk, PolicyName="default", Policy=policy)
        say("   Not even the account's administrator may decrypt now.")

    def encrypt(self, key):
        step("Encrypt its secrets, a TLS key and a password file, and put them into S3.")
        salt = secrets.token_bytes(8)
        digest = base64.b64encode(hashlib.sha1(self.password.encode() + salt).digest() + salt).decode()
        secret = {"files": [{"path": "/run/secrets/tls.key", "content": key, "mode": "0400"},
                            {"path": "/run/secrets/htpasswd", "content": f"baker:{{SSHA}}{digest}\n", "mode": "0440",
                             "owner": "root:www-data"}]}
        file = self.base / "secrets.yaml"
        file.write_text(json.dumps(secret))  # JSON is YAML
        self.claviger("secrets", "encrypt", "--cmk", self.cmk, "--context", "app=web", "--version", "1", "--to",
                      f"s3://{BUCKET}/web", file)
        file.unlink()
        stored = b"".join(p.read_bytes() for p in (self.aws / "s3").rglob("*") if p.is_file())
        if digest.encode() in stored or b"PRIVATE KEY" in stored:
            stop("a secret lies in S3 in the clear")
        say(f"   s3://{BUCKET}/web: {len(stored)} bytes of ciphertext and metadata")

    def boot(self, image, port):
        return Program([self.bin / "claviger-local", "run", "--dir", self.aws, "--expose", f"127.0.0.1:{port}:8443",
                        image], self.base / f"{image.stem}.log")

    def succeed(self):
        step("Boot it: the enclave attests, KMS decrypts for it, nginx finds its secrets.")
        port = free_port()
        program = self.boot(self.image, port)
        try:
            self.talk(port, program)
        finally:
            status = program.stop(30)
        for line in program.tail(100000).splitlines():
            if re.match(r"enclave: (fetch|attest|decrypt|apply): end", line):
                say(f"   {line}")
        say(f"   https://{HOST}/ with the password: 200; with another: 401; TLS key: the one that was encrypted")
        say(f"   Stopped with the signal that it wants; its exit status {status} is ours.")

    def talk(self, port, program):
        if self.get(port, self.password, program) != (200, b"Served from inside.\n"):
            stop("nginx did not answer:\n" + program.tail())
        if self.get(port, "wrong", program)[0] != 401:
            stop("nginx takes any password")
        shown = program.tail(1 << 20) + program.out_path.read_text(errors="replace")
        if self.password in shown or "PRIVATE KEY" in shown:
            stop("a secret was logged")

    def get(self, port, password, program):
        context = ssl.create_default_context(cafile=self.base / "tls.pem")
        header = base64.b64encode(f"baker:{password}".encode()).decode()
        deadline = time.monotonic() + 60
        while True:
            try:
                raw = socket.create_connection(("127.0.0.1", port), 5)
                connection = http.client.HTTPConnection(HOST)
                connection.sock = context.wrap_socket(raw, server_hostname=HOST)
                with contextlib.closing(connection):
                    connection.request("GET", "/", headers={"Authorization": f"Basic {header}"})
                    reply = connection.getresponse()
                    return reply.status, reply.read()
            except (OSError, http.client.HTTPException):
                if time.monotonic() > deadline or not program.alive():
                    stop("nginx does not serve:\n" + program.tail())
                time.sleep(0.1)

    def refuse(self):
        step("Change one byte of the image, with its checksum made good: KMS denies.")
        image = bytearray(self.image.read_bytes())
        at = image.index(b"Served from inside.")
        image[at] ^= 0x20
        crc = zlib.crc32(image[HEADER:], zlib.crc32(image[:CRC_OFFSET]))
        image[CRC_OFFSET:CRC_OFFSET + 4] = crc.to_bytes(4, "big")
        changed = self.base / "changed.eif"
        changed.write_bytes(image)
        program = self.boot(changed, free_port())
        try:
            status = program.process.wait(90)
        finally:
            program.stop()
        log = program.tail(1 << 20)
        found = re.search(r"^enclave: (decrypt: failed: .*AccessDenied.*)$", log, re.M)
        if status == 0 or found is None:
            stop(f"the changed image was not refused by KMS (status {status}):\n{log}")
        say(f"   {found.group(1)}")

    def stop(self):
        if self.up is not None:
            self.up.stop()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def main():
    parser = argparse.ArgumentParser(prog="./dev demo secrets", description="Boot-time secrets on this machine.")
    parser.add_argument("--bin", required=True, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if os.geteuid() != 0:
        stop("namespaces with users of their own need root")
    began = time.monotonic()
    base = pathlib.Path(tempfile.mkdtemp(prefix="claviger-demo-"))
    demo = Demo(base, pathlib.Path(options.bin).resolve())
    try:
        demo.start()
        key = demo.build()
        demo.allow()
        demo.encrypt(key)
        demo.succeed()
        demo.refuse()
    finally:
        demo.stop()
        shutil.rmtree(base, ignore_errors=True)
    say(f"\nDone in {time.monotonic() - began:.0f} s; nothing is left running.")


if __name__ == "__main__":
    main()
