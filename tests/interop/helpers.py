# SPDX-License-Identifier: Apache-2.0
"""The small programs that put our libraries behind lines of text."""

import os
import pathlib
import subprocess
import sys


class Helper:
    """One answer a line; a dead helper ends the test with what it said."""

    def __init__(self, name):
        path = pathlib.Path(os.environ["CV_BUILD_DIR"], "tests", name)
        if not path.exists():
            print(f"SKIPPED: {path} is not built", file=sys.stderr)
            sys.exit(77)
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, bufsize=1)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise AssertionError(f"helper died ({self.process.wait(10)}) of: {line[:2000]}")
        return answer.rstrip("\n")

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(30)
        self.process.stdout.close()
        if code != 0:
            raise AssertionError(f"helper ended with {code}")


def shared_vectors(name):
    """The JSON file NAME of the shared vectors, or None where there are none."""
    import json

    path = pathlib.Path(os.environ.get("CV_SHARED", "/nonexistent"), "vectors", name)
    return json.loads(path.read_text()) if path.exists() else None
