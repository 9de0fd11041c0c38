#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""claviger-init-small: a machine for one application, and nothing else."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["CV_SOURCE_DIR"], "tests/lib"))
from claviger_testing.init_case import InitCase  # noqa: E402
from claviger_testing.process import need  # noqa: E402

need("claviger-init-small-dev")


class Small(InitCase):
    program = "claviger-init-small-dev"

    def test_runs(self):
        out = self.boot("echo hello; echo oops >&2; exit 7", status=7)
        self.assertEqual(out, "hello\n")
        self.assertEqual(self.parent.output(2), "oops\n")
        self.assertEqual(self.parent.of("heartbeat"), [{"type": "heartbeat", "byte": b"\xb7"}])
        self.assertIn("the application has ended", self.parent.text())

    def test_machine(self):
        out = self.boot("id -u; id -g; pwd; hostname; env | grep ^A=; ls /proc/self/fd >/dev/null && echo proc;"
                        "cat /proc/1/comm", user="app", workdir="/srv", hostname="signer-1", env=["A=x y"])
        self.assertEqual(out.split("\n")[:6], ["1000", "1001", "/srv", "signer-1", "A=x y", "proc"])

    def test_zombies_are_reaped_and_signals_passed_on(self):
        self.start("for i in 1 2 3; do (sleep 0.1 &) ; done; sleep 0.6; ps -eo stat | grep -c ^Z; "
                   "trap 'echo stopped; exit 5' QUIT; echo ready; while :; do sleep 0.05; done", stop_signal="SIGQUIT")
        deadline = time.monotonic() + 20
        while "ready" not in self.parent.output() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.init.process.terminate()
        self.wait_end(5)
        self.assertEqual(self.parent.output().split("\n")[1:3], ["ready", "stopped"])
        self.assertEqual(self.parent.output().split("\n")[0], "0")

    def test_settings_that_need_the_other_init(self):
        for settings in ({"egress": "example.org:443"}, {"port": "8080"}, {"untrusted_env": "A"},
                         {"source": [("local x", ["A"], [])], "cmk": self.cmk}):
            self.start("echo must not run", **settings)
            self.wait_end(64)
            self.assertIn("need claviger-init", self.init.tail())
            self.init = None
            self.parent.stop()
            self.parent = None

    def test_a_command_that_is_not_there(self):
        self.start("/bin/absent", "x")
        self.wait_end(64)
        self.assertIn("/bin/absent", self.init.tail() + self.parent.text())


if __name__ == "__main__":
    unittest.main()
