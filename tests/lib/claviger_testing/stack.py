# SPDX-License-Identifier: Apache-2.0
"""The whole stack on one machine: stand-ins, enclave, daemon, and a client."""

import http.client
import json
import os
import pathlib
import re

from .process import Program, bin_dir, run, wait_port


class Reply:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)


def http_request(host, port, method, path, body=None, headers=None, timeout=30):
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Reply(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


class Stack:
    """claviger-local up in DIR, and the daemon on its signatory.yaml."""

    def __init__(self, directory, programs=None):
        self.dir = pathlib.Path(directory)
        self.bin = pathlib.Path(programs) if programs else bin_dir()
        self.config = self.dir / "signatory.yaml"
        self.local = None
        self.daemon = None

    def up(self, *arguments):
        self.dir.mkdir(parents=True, exist_ok=True)
        self.local = Program([self.bin / "claviger-local", "up", "--dir", self.dir, *arguments],
                             self.dir.parent / f"{self.dir.name}-local.log")
        self.local.wait_line("ready", 60)
        return self

    def ports(self):
        """(main, utility) of signatory.yaml, as `up` chose them."""
        text = self.config.read_text()
        main = re.search(r"^\s+address:\s*\"?([\w.]*):(\d+)", text, re.M)
        utility = re.search(r"^\s+utility_address:\s*\"?([\w.]*):(\d+)", text, re.M)
        return int(main.group(2)), int(utility.group(2))

    def allow(self, *key_hashes, body="null"):
        """Lists keys under tezos: in signatory.yaml, replacing what it had."""
        text = re.split(r"^tezos:", self.config.read_text(), flags=re.M)[0]
        lines = "".join(f"  {k}: {body}\n" for k in key_hashes) or "  {}\n"
        self.config.write_text(text + "tezos:\n" + lines)

    def serve(self, *arguments, env=None):
        self.daemon = Program([self.bin / "claviger", "-c", self.config, "serve", *arguments],
                              self.dir.parent / f"{self.dir.name}-daemon.log", env=env)
        main, utility = self.ports()
        wait_port("127.0.0.1", main, program=self.daemon)
        wait_port("127.0.0.1", utility, program=self.daemon)
        return self

    def cli(self, *arguments, stdin=None, check=True, env=None):
        return run([self.bin / "claviger", "-c", self.config, *arguments], stdin=stdin, check=check, env=env)

    def generate(self, kind, vault="nitro"):
        done = self.cli("--json", "generate", "-v", vault, "-t", kind)
        return json.loads(done.stdout)[0]

    def request(self, method, path, body=None, headers=None):
        return http_request("127.0.0.1", self.ports()[0], method, path, body, headers)

    def utility(self, method, path):
        return http_request("127.0.0.1", self.ports()[1], method, path)

    def sign(self, pkh, message, query=""):
        return self.request("POST", f"/keys/{pkh}{query}", json.dumps(message.hex()))

    def stop_daemon(self):
        if self.daemon:
            self.daemon.stop()
            self.daemon = None

    def down(self):
        self.stop_daemon()
        if self.local:
            self.local.stop()
            self.local = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "ENCLAVE_", "PROXY_"))}
    env.update({k: str(v) for k, v in more.items()})
    return env
