# SPDX-License-Identifier: Apache-2.0
"""Programs under test: started, waited for, always ended, by their own id."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time


def bin_dir():
    return pathlib.Path(os.environ["CV_BIN_DIR"])


def skip(reason):
    """Ends the whole script as skipped."""
    print(f"SKIPPED: {reason}", file=sys.stderr)
    sys.exit(77)


def need(*programs):
    for program in programs:
        if not (bin_dir() / program).exists():
            skip(f"{program} is not built")


def sanitized():
    """True for programs built with sanitizers, whose memory tells nothing."""
    cache = bin_dir().parent / "CMakeCache.txt"
    return cache.exists() and ("CV_SANITIZE:BOOL=ON" in cache.read_text() or "CV_TSAN:BOOL=ON" in cache.read_text())


class Program:
    """One running program. Its standard error goes to LOG, its standard
    output to LOG.out: files, so that it never blocks on a full pipe and may
    outlive the script that started it."""

    def __init__(self, argv, log, env=None, cwd=None):
        self.log_path = pathlib.Path(log)
        self.out_path = pathlib.Path(f"{log}.out")
        with open(self.log_path, "ab") as err, open(self.out_path, "wb") as out:
            self.process = subprocess.Popen(
                [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                env=env, cwd=cwd, start_new_session=True)

    def wait_line(self, line, seconds=30):
        """Waits until the program has printed LINE on its standard output."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if line in self.out_path.read_text(errors="replace").splitlines():
                return
            if not self.alive():
                break
            time.sleep(0.02)
        raise RuntimeError(f"{self.process.args[0]} did not print {line!r}:\n{self.tail()}")

    def tail(self, size=4000):
        return self.log_path.read_bytes()[-size:].decode(errors="replace")

    def alive(self):
        return self.process.poll() is None

    def stop(self, seconds=15):
        """SIGTERM, then SIGKILL to what is left; returns the exit status."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        return self.process.returncode

    def kill(self):
        if self.alive():
            self.process.kill()
            self.process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def wait_port(host, port, seconds=15, program=None):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((host, port), 1).close()
            return
        except OSError:
            if program is not None and not program.alive():
                break
            time.sleep(0.02)
    raise RuntimeError(f"nothing listens on {host}:{port}" + (":\n" + program.tail() if program else ""))


def run(argv, stdin=None, env=None, seconds=60, check=True):
    done = subprocess.run([str(a) for a in argv], input=stdin, capture_output=True, text=True, env=env, timeout=seconds)
    if check and done.returncode != 0:
        raise RuntimeError(f"{argv} gave {done.returncode}:\n{done.stdout}{done.stderr}")
    return done
