#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""claviger-init: an image's application as a container runtime would run it."""

import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.environ["CV_SOURCE_DIR"], "tests/lib"))
from claviger_testing.init_case import InitCase  # noqa: E402


class Application(InitCase):
    def test_runs(self):
        out = self.boot("echo hello; echo oops >&2; exit 7", status=7)
        self.assertEqual(out, "hello\n")
        self.assertEqual(self.parent.output(2), "oops\n")
        self.assertEqual(self.parent.of("exit"), [{"type": "exit", "status": 7}])
        self.assertEqual(self.parent.of("heartbeat"), [{"type": "heartbeat", "byte": b"\xb7"}])
        hello = self.parent.of("hello")[0]
        self.assertEqual((hello["protocol"], hello["build"], hello["debug"], hello["pcr0"]),
                         (1, "development", False, "ab" * 48))
        self.assertEqual([(m["stage"], m["state"]) for m in self.parent.of("stage")],
                         [(s, e) for s in ("start", "clock", "network", "fetch", "attest", "decrypt", "check",
                                           "apply", "exec") for e in ("begin", "end")])


if __name__ == "__main__":
    unittest.main()
