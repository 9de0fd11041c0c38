#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev bench: what a signature costs, from the raw primitive to HTTP.

  ./dev bench [--json] [--quick]   raw primitive, enclave protocol, HTTP
  ./dev bench start [--keys N]     start with many keys: time, KMS calls, memory
  ./dev bench attest [--json]      verification of an attestation document

Everything is measured in one run on one machine, so that the ratios hold even
where the machine is slow or busy. --json prints one object on standard output.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from claviger_testing.stack import Stack  # noqa: E402

KINDS = ["tz1", "tz2", "tz3", "tz4"]
CONNECTIONS = [1, 8, 64]
ALLOW = "{allow: {generic: [transaction], block: , attestation: , preattestation: }}"
KEYS_A_KIND = 4  # times 16 chains: a watermark of its own for each of 64 connections


def say(text):
    print(text, file=sys.stderr, flush=True)


def cpu_seconds(pid):
    """Processor time of all threads, to the nanosecond."""
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


class Bench:
    def __init__(self, options):
        self.options = options
        self.bin = pathlib.Path(options.bin).resolve()
        self.tools = self.bin.parent / "bench"
        self.level = 1
        self.rows = []

    def raw(self):
        return json.loads(subprocess.run([self.tools / "bench_sign"], check=True, capture_output=True).stdout)

    def floor(self):
        """CPU of a server that does nothing but receive and answer, at 64 connections."""
        server = subprocess.Popen([self.tools / "bench_floor"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            port = server.stdout.readline().strip()
            requests = 20000 if self.options.quick else 100000
            before = cpu_seconds(server.pid)
            result = json.loads(subprocess.run([self.tools / "bench_http", port, "64", str(requests), "generic",
                                                "tz1VSUr8wwNhLAzempoch5d6hLRiTh8Cjcjb"],
                                               check=True, capture_output=True, text=True).stdout)
            return {"cpu_us": round((cpu_seconds(server.pid) - before) * 1e6 / requests, 1),
                    "per_second": result["per_second"]}
        finally:
            server.stdin.close()
            server.wait(10)

    def http(self, stack, keys, connections, requests, marks):
        mode = "generic"
        if marks:
            mode = f"attestation:{self.level}"
            self.level += requests + 1
        pids = json.loads((stack.dir / "pids.json").read_text())
        enclave = next(p["pid"] for p in pids["processes"] if p["name"] == "enclave") \
            if isinstance(pids, dict) and "processes" in pids else pids["enclave"]["pid"]
        daemon = stack.daemon.process.pid
        before = cpu_seconds(daemon), cpu_seconds(enclave)
        done = subprocess.run([self.tools / "bench_http", str(stack.ports()[0]), str(connections), str(requests), mode,
                               *keys], capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"bench: {done.stdout}{done.stderr}")
        after = cpu_seconds(daemon), cpu_seconds(enclave)
        result = json.loads(done.stdout)
        result["daemon_cpu_us"] = (after[0] - before[0]) * 1e6 / requests
        result["enclave_cpu_us"] = (after[1] - before[1]) * 1e6 / requests
        return result

    def stack_rows(self, raw, self_check):
        base = pathlib.Path(tempfile.mkdtemp(prefix="cv-bench-"))
        stack = Stack(base / "stack", self.bin)
        try:
            stack.up("--setting", f"self_check={self_check}")
            keys = {}
            for kind in KINDS:
                done = json.loads(stack.cli("--json", "generate", "-v", "nitro", "-t", kind, "-n",
                                            str(KEYS_A_KIND)).stdout)
                keys[kind] = [k["public_key_hash"] for k in done]
            stack.allow(*[k for kind in KINDS for k in keys[kind]], body=ALLOW)
            stack.serve("--log", "warn")
            for kind in KINDS:
                # The first signature of each key is verified, which no later one has to pay for.
                self.http(stack, keys[kind], KEYS_A_KIND, 16 * KEYS_A_KIND, False)
                for marks in (False, True):
                    for connections in CONNECTIONS:
                        if self_check == "off" and (connections != 64 or marks):
                            continue  # what the check costs shows in one row a kind
                        self.row(stack, raw, kind, keys[kind], connections, marks, self_check)
        finally:
            stack.down()
            shutil.rmtree(base, ignore_errors=True)

    def row(self, stack, raw, kind, keys, connections, marks, self_check):
        requests = 400 if kind == "tz4" else 4000
        if connections == 1:
            requests //= 4
        if self.options.quick:
            requests //= 4
        result = self.http(stack, keys, connections, requests, marks)
        signature_us = raw[kind] / 1000 * (2 if self_check == "on" else 1)
        cpu = result["daemon_cpu_us"] + result["enclave_cpu_us"]
        row = {"kind": kind, "connections": connections, "watermarks": marks, "self_check": self_check == "on",
               "signature_us": round(signature_us, 1), "overhead_us": round(cpu - signature_us, 1), **result}
        self.rows.append(row)
        say(f"{kind}  {connections:2} connections  marks {'on ' if marks else 'off'}  self-check {self_check:3}  "
            f"{result['per_second']:7.0f}/s  p50 {result['p50_us']:6} us  p99 {result['p99_us']:6} us  "
            f"CPU daemon {result['daemon_cpu_us']:6.1f} enclave {result['enclave_cpu_us']:7.1f} us  "
            f"signature {signature_us:7.1f} us  overhead {row['overhead_us']:6.1f} us")

    def enclave_alone(self):
        command = [sys.executable, str(ROOT / "bench" / "enclave.py"), "--keys", "64", "--requests",
                   "2000" if self.options.quick else "10000"]
        env = dict(os.environ, CV_BIN_DIR=str(self.bin), PYTHONPATH=str(ROOT / "tests" / "lib"))
        done = subprocess.run(command, env=env, capture_output=True, text=True)
        text = [line for line in done.stdout.splitlines() if line]
        for line in text:
            say("enclave protocol: " + line)
        return text

    def main(self):
        say("raw primitive, one core:")
        raw = self.raw()
        for kind in KINDS:
            say(f"  {kind}  {raw[kind] / 1000:8.1f} us  {1e9 / raw[kind]:8.0f}/s")
        floor = self.floor()
        say(f"HTTP alone: a server that only receives and answers takes {floor['cpu_us']:.1f} us CPU a request at 64 "
            f"connections, {floor['per_second']:.0f}/s")
        alone = self.enclave_alone()
        for self_check in ("on", "off"):
            self.stack_rows(raw, self_check)
        return {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "raw_ns": raw,
                "http_floor": floor, "enclave_protocol": alone, "http": self.rows}


def start(options):
    env = dict(os.environ, CV_BIN_DIR=str(pathlib.Path(options.bin).resolve()),
               PYTHONPATH=str(ROOT / "tests" / "lib"))
    return subprocess.call([sys.executable, str(ROOT / "bench" / "enclave.py"), "--keys", str(options.keys),
                            "--requests", "1000"], env=env)


def attest(options):
    vectors = ROOT / "tests" / "vectors" / "attestation"
    tool = pathlib.Path(options.bin).resolve().parent / "bench" / "bench_attest"
    report = json.loads(subprocess.run([tool, vectors / "definite-nulls.cbor", vectors / "root.pem"], check=True,
                                       capture_output=True).stdout)
    say(f"P-384 verification   {report['p384_verify_ns'] / 1000:8.1f} us, five of them "
        f"{report['five_ns'] / 1000:.1f} us")
    say(f"attestation document {report['document_ns'] / 1000:8.1f} us, {report['documents_per_second']:.0f}/s: "
        f"{report['over_raw']:.2f} times the five")
    if options.json:
        print(json.dumps(report))


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=["start", "attest"],
                        help="start: ten thousand keys at once; attest: a document against five raw verifications")
    parser.add_argument("--bin", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.add_argument("--quick", action="store_true", help="fewer requests")
    parser.add_argument("--keys", type=int, default=10000)
    options = parser.parse_args()
    if options.what == "start":
        sys.exit(start(options))
    if options.what == "attest":
        return attest(options)
    report = Bench(options).main()
    if options.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
