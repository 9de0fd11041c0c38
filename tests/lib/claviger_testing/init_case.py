# SPDX-License-Identifier: Apache-2.0
"""claviger-init-dev with an image made of this machine's own programs, stand-ins
of NSM, KMS and S3, and a parent in Python."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time
import unittest

from .kms import Kms, client
from .parent import Parent
from .process import Program, bin_dir, need, skip
from .rootfs import make_root

need("claviger-init-dev", "claviger-local", "claviger")
if os.geteuid() != 0:
    skip("namespaces need root")
if subprocess.run(["unshare", "--pid", "--fork", "--mount", "--uts", "--net", "--ipc", "true"],
                  capture_output=True, check=False).returncode != 0:
    skip("namespaces cannot be made here")

ORDER = ("arg", "env", "user", "workdir", "hostname", "stop_signal", "port", "egress", "source",
         "untrusted_env", "cmk", "region", "context", "minimum_version", "publisher_key", "parent_cid",
         "boot_deadline_ms", "allow_debug", "heartbeat", "minimum_format",
         "config_pcr")


def escape(text):
    out = text.replace("\\", "\\\\").replace("\n", "\\n")
    return re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\x{ord(m.group(0)):02x}", out)


def settings_text(**settings):
    """boot.conf; lists for keys that repeat. A source is (text, allow_env, allow_path)."""
    settings = {"minimum_version": 0, "parent_cid": 3, "boot_deadline_ms": 20000, "allow_debug": "off", **settings}
    lines = ["format=1"]
    for key in ORDER:
        value = settings.pop(key, [])
        for item in value if isinstance(value, list) else [value]:
            if key == "source":
                lines.append(f"source={item[0]}")
                lines += [f"allow_env={n}" for n in item[1]] + [f"allow_path={n}" for n in item[2]]
            else:
                lines.append(f"{key}={escape(str(item))}")
    assert not settings, settings
    return "\n".join(lines) + "\n"


class InitCase(unittest.TestCase):
    nsm_arguments = ()
    program = "claviger-init-dev"

    @classmethod
    def setUpClass(cls):
        cls.top = pathlib.Path(tempfile.mkdtemp(prefix="cv-init-"))
        cls.addClassCleanup(shutil.rmtree, cls.top, True)
        os.chmod(cls.top, 0o755)
        (cls.top / "image/rootfs").mkdir(parents=True)
        (cls.top / "image/claviger").mkdir()
        make_root(cls.top / "image/rootfs")
        cls.nsm = cls.start_nsm("nsm", "--pcr0", "ab" * 48, *cls.nsm_arguments)
        cls.kms = Kms(cls.top, "--root", cls.top / "nsm/root.pem")
        cls.addClassCleanup(cls.kms.stop)
        (cls.top / "s3/secrets").mkdir(parents=True)
        cls.s3 = Program([bin_dir() / "claviger-local", "s3", "--state", cls.kms.state, "--ca", cls.kms.ca,
                          "--dir", cls.top / "s3"], cls.top / "s3.log")
        cls.addClassCleanup(cls.s3.stop)
        while not (line := cls.s3.out_path.read_text()).startswith("ready "):
            if not cls.s3.alive():
                raise RuntimeError(cls.s3.tail())
            time.sleep(0.02)
        cls.s3_port = int(line.rpartition(":")[2])
        cls.principal = cls.kms.principals()[0]
        cls.boto = client(cls.kms, cls.principal)
        cls.cmk = cls.create_key()
        cls.env = {"PATH": os.environ["PATH"], "HOME": str(cls.top), "AWS_EC2_METADATA_DISABLED": "true",
                   "AWS_ACCESS_KEY_ID": cls.principal["access_key_id"],
                   "AWS_SECRET_ACCESS_KEY": cls.principal["secret_access_key"],
                   "AWS_REGION": cls.kms.region(), "AWS_ENDPOINT_URL_KMS": cls.kms.endpoint,
                   "AWS_ENDPOINT_URL_S3": f"https://127.0.0.1:{cls.s3_port}", "AWS_CA_BUNDLE": str(cls.kms.ca)}

    @classmethod
    def start_nsm(cls, name, *arguments):
        nsm = Program([bin_dir() / "claviger-local", "nsm", "--dir", cls.top / "nsm", "--socket",
                       cls.top / f"{name}.sock", *arguments], cls.top / f"{name}.log")
        cls.addClassCleanup(nsm.stop)
        nsm.wait_line("ready")
        return nsm

    @classmethod
    def create_key(cls, pcr0="ab" * 48):
        """A CMK that only an enclave of that PCR0 may open."""
        account = json.loads(cls.kms.state.read_text())["account"]
        root = {"AWS": f"arn:aws:iam::{account}:root"}
        policy = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": root, "NotAction": "kms:Decrypt", "Resource": "*"},
            {"Effect": "Allow", "Principal": root, "Action": "kms:Decrypt", "Resource": "*",
             "Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": pcr0}}}]}
        return cls.boto.create_key(Policy=json.dumps(policy))["KeyMetadata"]["Arn"]

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(dir=self.top))
        self.parent, self.init = None, None
        self.nsm_socket = self.top / "nsm.sock"
        self.roots = ("--ca-file", self.kms.ca)

    def tearDown(self):
        if self.init is not None:
            self.init.kill()
            found = re.search(r"^.*(Sanitizer|runtime error).*$(.*\n){0,40}", self.init.tail(100000), re.M)
            self.assertIsNone(found, found and found.group(0))
        if self.parent is not None:
            self.parent.stop()

    # ---- configurations ----

    def cli(self, *argv):
        done = subprocess.run([bin_dir() / "claviger", *map(str, argv)], capture_output=True, text=True, timeout=60,
                              cwd=self.dir, env=self.env, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def encrypt(self, yaml, *options, cmk=None, name="x.enc"):
        """A container file's content."""
        (self.dir / "secrets.yaml").write_text(yaml)
        self.cli("secrets", "encrypt", "--cmk", cmk or self.cmk, "-o", name, *options, "secrets.yaml")
        return (self.dir / name).read_bytes()

    def upload(self, yaml, uri, *options):
        (self.dir / "secrets.yaml").write_text(yaml)
        self.cli("secrets", "encrypt", "--cmk", self.cmk, "--to", uri, *options, "secrets.yaml")

    # ---- running ----

    def prepare(self, **parent):
        where = ("127.0.0.1", self.kms.port), ("127.0.0.1", self.s3_port)
        self.parent = Parent(self.dir / "vsock", **{
            "credentials": {"access_key_id": self.principal["access_key_id"],
                            "secret_access_key": self.principal["secret_access_key"],
                            "session_token": self.principal.get("session_token") or "", "expiration": None},
            "aws": {f"{h}:{p}": (h, p) for h, p in where}, **parent})
        return self.parent

    def start(self, *command, ports=None, **settings):
        """Boots an image whose command is COMMAND; a lone string goes to bash."""
        if self.parent is None:
            self.prepare()
        self.parent.start(*([ports] if ports is not None else []))
        argv = list(command) if len(command) != 1 else ["/bin/bash", "-c", command[0]]
        (self.top / "image/claviger/boot.conf").write_text(settings_text(arg=argv, **settings))
        self.init = Program([bin_dir() / self.program, "--image", self.top / "image", "--parent",
                             self.parent.dir, "--nsm", self.nsm_socket, *self.roots, "--kms-endpoint",
                             self.kms.endpoint, "--s3-endpoint", f"https://127.0.0.1:{self.s3_port}"],
                            self.dir / "init.log", env=self.init_env())
        return self.init

    @staticmethod
    def init_env():
        """LeakSanitizer cannot trace the first process of a namespace."""
        options = os.environ.get("ASAN_OPTIONS")
        return dict(os.environ, ASAN_OPTIONS=(options + ":" if options else "") + "detect_leaks=0")

    def wait_end(self, status=0, seconds=30):
        self.assertEqual(self.init.process.wait(seconds), status, self.init.tail() + self.parent.text())

    def boot(self, *command, status=0, **settings):
        """Runs to the end; gives the application's standard output."""
        self.start(*command, **settings)
        self.wait_end(status)
        return self.parent.output()

    def refused(self, stage, *words, **settings):
        """The boot fails in STAGE with one sentence that has all WORDS."""
        stages = ("start", "clock", "network", "fetch", "attest", "decrypt", "check", "apply", "exec")
        self.start("echo must not run", **settings)
        self.wait_end(64 + stages.index(stage))
        failed = self.parent.of("stage", state="failed")
        self.assertEqual([m["stage"] for m in failed], [stage], failed)
        for word in words:
            self.assertIn(word, failed[0]["error"])
        self.assertNotIn("\n", failed[0]["error"])
        self.assertEqual(self.parent.of("exit"), [])
        self.assertNotIn("must not run", self.parent.output())
        return failed[0]["error"]
