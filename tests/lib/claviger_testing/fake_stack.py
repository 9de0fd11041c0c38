# SPDX-License-Identifier: Apache-2.0
"""The daemon and the commands on a fake enclave: no KMS, no NSM, quick."""

import json
import os
import pathlib
import re
import shutil
import socket
import tempfile

from .fake_enclave import FakeEnclave
from .process import Program, bin_dir, run, wait_port
from .stack import environment, http_request

CMK = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class FakeStack:
    def __init__(self, original=False, fault=None, **config):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="claviger-"))
        self.original = original
        self.enclave = FakeEnclave(self.dir / "enclave.sock", original, fault)
        self.main, self.utility_port = free_port(), free_port()
        self.config = self.dir / "signatory.yaml"
        self.daemon = None
        self.tezos = {}
        self.server = config.get("server", {})
        self.extra = config.get("extra", {})
        self.credentials = {"access_key_id": "AKIAEXAMPLEEXAMPLE00", "secret_access_key": "not-a-secret-not-a-secret"}
        self.storage = None
        self.env = environment()
        self.write()

    def write(self):
        # JSON is YAML.
        self.config.write_text(json.dumps({
            "base_dir": str(self.dir / "base"),
            "server": {"address": f"127.0.0.1:{self.main}",
                       "utility_address": f"127.0.0.1:{self.utility_port}", **self.server},
            "vaults": {"nitro": {"driver": "nitro", "config": {
                "enclave_address": f"unix:{self.dir}/enclave.sock", "encryption_key_id": CMK,
                **({"credentials": self.credentials} if self.credentials else {}),
                **({"storage": self.storage} if self.storage else {})}}},
            "tezos": self.tezos, **self.extra}, indent=1))

    def allow(self, pkh, policy=None):
        self.tezos[pkh] = policy if policy is not None else {"allow": {
            "block": None, "attestation": None, "preattestation": None, "attestation_with_dal": None,
            "generic": ["transaction", "reveal"]}, "allow_other_source": True}
        self.write()

    @property
    def keys_file(self):
        return self.dir / "base" / "enclave_keys.json"

    def cli(self, *arguments, program="claviger", stdin=None, check=True, env=None):
        return run([bin_dir() / program, "-c", self.config, *arguments], stdin=stdin, check=check,
                   env=env or self.env)

    def generate(self, kind):
        return json.loads(self.cli("--json", "generate", "-v", "nitro", "-t", kind).stdout)[0]

    def serve(self, *arguments, program="claviger"):
        self.daemon = Program([bin_dir() / program, "-c", self.config,
                               *(["serve"] if program == "claviger" else []), *arguments],
                              self.dir / "daemon.log", env=self.env)
        wait_port("127.0.0.1", self.main, program=self.daemon)
        wait_port("127.0.0.1", self.utility_port, program=self.daemon)
        return self

    def stop_daemon(self):
        if self.daemon:
            self.daemon.stop()
            self.daemon = None

    def restart_enclave(self, fault=None):
        self.enclave.stop()
        self.enclave = FakeEnclave(self.dir / "enclave.sock", self.original, fault)

    def request(self, method, path, body=None, headers=None, timeout=30):
        return http_request("127.0.0.1", self.main, method, path, body, headers, timeout)

    def utility(self, path, method="GET"):
        return http_request("127.0.0.1", self.utility_port, method, path)

    def sign(self, pkh, message, query=""):
        return self.request("POST", f"/keys/{pkh}{query}", json.dumps(message.hex()))

    def log(self):
        return (self.dir / "daemon.log").read_text(errors="replace")

    def down(self):
        self.stop_daemon()
        self.enclave.stop()
        log = self.dir / "daemon.log"
        found = log.exists() and re.search(r"^.*(Sanitizer:|runtime error).*$(.*\n){0,60}", log.read_text(errors="replace"), re.M)
        if "CV_KEEP" not in os.environ:
            shutil.rmtree(self.dir, ignore_errors=True)
        if found:
            raise AssertionError(found.group(0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()
