# SPDX-License-Identifier: Apache-2.0
"""The daemon as its own user without any privilege, in its sandbox: all that it
does still works, and the kernel agrees about what it may not."""

import http.server
import json
import os
import pathlib
import signal
import stat
import subprocess
import threading
import time
import unittest

from claviger_testing import process, tezos
from claviger_testing.fake_stack import FakeStack

process.need("claviger")
if os.geteuid() != 0:
    process.skip("only root can become another user")
NOBODY = 65534
UNKNOWN = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"


def wait_for(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.02)


class Yes(http.server.BaseHTTPRequestHandler):
    def do_POST(self):  # pylint: disable=invalid-name
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Unprivileged(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        hook = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Yes)
        threading.Thread(target=hook.serve_forever, daemon=True).start()
        cls.addClassCleanup(hook.server_close)
        cls.addClassCleanup(hook.shutdown)
        # By name: the resolver and what it loads must work inside, too.
        cls.stack = s = FakeStack(extra={"policy_hook": {"address": f"http://localhost:{hook.server_address[1]}/"}})
        cls.addClassCleanup(s.down)
        os.chmod(s.dir, 0o755)
        os.chmod(s.dir / "enclave.sock", 0o666)
        (s.dir / "base").mkdir()
        cls.give(s.dir / "base")
        cls.keys = [cls.generate(k) for k in ("tz1", "tz2")]
        s.allow(cls.keys[0]["public_key_hash"])
        cls.serve()

    @staticmethod
    def give(path):
        os.chown(path, NOBODY, NOBODY)

    @classmethod
    def as_nobody(cls, *arguments):
        return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all",
                process.bin_dir() / "claviger", "-c", cls.stack.config, *arguments]

    @classmethod
    def generate(cls, kind):
        return json.loads(process.run(cls.as_nobody("--json", "generate", "-v", "nitro", "-t", kind),
                                      env=cls.stack.env).stdout)[0]

    @classmethod
    def serve(cls):
        s = cls.stack
        s.daemon = process.Program(cls.as_nobody("serve"), s.dir / "daemon.log", env=s.env)
        process.wait_port("127.0.0.1", s.main, program=s.daemon)
        process.wait_port("127.0.0.1", s.utility_port, program=s.daemon)
        wait_for(lambda: s.utility("/healthz").status == 200)

    def sign(self, key, message=None):
        message = message or tezos.transaction(key["public_key_hash"], UNKNOWN, 1)
        answer = self.stack.sign(key["public_key_hash"], message)
        if answer.status == 200:
            self.assertTrue(tezos.verify(key["public_key"], answer.json()["signature"], message))
        return answer.status

    def status(self, task):
        text = pathlib.Path(task, "status").read_text(encoding="ascii")
        return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)

    def test_what_the_kernel_says(self):
        tasks = list(pathlib.Path(f"/proc/{self.stack.daemon.process.pid}/task").iterdir())
        self.assertGreater(len(tasks), 2)
        for task in tasks:
            status = self.status(task)
            self.assertEqual(set(status["Uid"].split()), {str(NOBODY)})
            self.assertEqual(status["Groups"].strip(), "")
            self.assertEqual(status["NoNewPrivs"], "1")
            self.assertEqual(int(status["CapEff"], 16), 0)
            self.assertEqual(int(status["CapPrm"], 16), 0)
            if not process.sanitized():
                self.assertEqual(status["Seccomp"], "2", task)
        limits = pathlib.Path(f"/proc/{self.stack.daemon.process.pid}/limits").read_text(encoding="ascii")
        core = [line for line in limits.splitlines() if line.startswith("Max core file size")][0]
        self.assertEqual(core.split()[4:6], ["0", "0"])
        if not process.sanitized():  # not dumpable: its memory is root's, not its user's
            self.assertEqual(os.stat(f"/proc/{self.stack.daemon.process.pid}/mem").st_uid, 0)

    def test_another_process_of_the_user_cannot_look(self):
        if process.sanitized():
            self.skipTest("its leak checker wants to look")
        pid = self.stack.daemon.process.pid
        for name in ("mem", "environ", "maps"):
            done = subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                                   "head", "-c", "1", f"/proc/{pid}/{name}"], capture_output=True, check=False)
            self.assertNotEqual(done.returncode, 0, name)

    def test_it_all_works(self):
        s, (first, second) = self.stack, self.keys
        self.assertEqual(self.sign(first), 200)  # asks the hook
        self.assertEqual(self.sign(first, tezos.block(5, 0)), 200)
        self.assertEqual(self.sign(first, tezos.block(4, 0)), 409)
        self.assertEqual(s.request("GET", f"/keys/{second['public_key_hash']}").status, 200)
        for path in ("/healthz", "/readyz", "/metrics"):
            self.assertEqual(s.utility(path).status, 200)
        self.assertIn("process_open_fds", s.utility("/metrics").body.decode())
        # Another key, another policy.
        third = self.generate("tz3")
        s.allow(second["public_key_hash"])
        s.allow(third["public_key_hash"])
        s.daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: self.sign(second) == 200)
        wait_for(lambda: self.sign(third) == 200)
        # Another enclave.
        s.restart_enclave()
        os.chmod(s.dir / "enclave.sock", 0o666)
        wait_for(lambda: self.sign(first) == 200)
        # And once more from the start.
        s.stop_daemon()
        self.assertIn("stopped", s.log())
        self.serve()
        self.assertEqual(self.sign(first, tezos.block(5, 0, payload=b"\x01" * 32)), 409)
        self.assertEqual(self.sign(first), 200)
        if not process.sanitized(): # such a build says that it has none
            self.assertNotIn("sandbox", s.log().lower())

    def test_credentials_in_a_closed_home(self):
        """HOME is still root's, as after su: no file there is ours to read."""
        self.stack.env["HOME"] = "/root"
        self.addCleanup(self.stack.env.pop, "HOME")
        self.generate("tz1")

    def test_zz_files(self):
        """What it keeps is its user's alone."""
        for path in (self.stack.dir / "base").rglob("*"):
            mode = path.stat()
            self.assertEqual(mode.st_uid, NOBODY, path)
            if stat.S_ISREG(mode.st_mode):
                # The audit log may be read by the group: it holds no secret.
                self.assertEqual(mode.st_mode & (0o027 if path.name == "audit.log" else 0o077), 0, path)


if __name__ == "__main__":
    unittest.main()
