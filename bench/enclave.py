#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the enclave costs: start with many keys, memory, and processor time for
each signature. Prints figures; exits with 1 when a limit of design is missed.

    PYTHONPATH=tests/lib CV_BIN_DIR=build/release/bin bench/enclave.py [--keys 10000] [--requests 20000]
"""
import argparse
import os
import sys
import time

import cbor2

from claviger_testing.enclave import Enclave, exchange, frame, result, scratch

TYPES = ("Ed25519", "Secp256k1", "NistP256", "Bls")


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start(enclave, arn, count):
    """Keys of all types under one data key; then a fresh enclave opens them."""
    print(f"generating {count} keys …", file=sys.stderr)
    client = enclave.session(arn, describe=True)
    frames = [frame({"id": n, "Generate": TYPES[n % 4]}) for n in range(count)]
    blobs = [cbor2.loads(r)["Ok"]["encrypted_private_key"] for r in exchange(client, frames, 512)]
    client.close()
    enclave.restart_enclave()
    empty = enclave.memory_kib()
    before = enclave.kms_log().count("action=")
    frames = [frame({"id": n, "Import": blob}) for n, blob in enumerate(blobs)]
    begin = time.monotonic()
    client = enclave.session(arn, describe=True)
    replies = exchange(client, frames, 1000)
    seconds = time.monotonic() - begin
    handles = {result(cbor2.loads(r))["handle"] for r in replies}
    assert handles == set(range(count))
    calls = enclave.kms_log().count("action=") - before
    print(f"start with {count} keys: {seconds:.3f} s, {calls} KMS calls, "
          f"{enclave.memory_kib() / 1024:.1f} MiB resident ({empty / 1024:.1f} MiB without keys)")
    missed = [text for bad, text in ((seconds >= 1, "a second"), (calls > 2, "2 KMS calls"),
                                     (enclave.memory_kib() > 16384, "16 MiB")) if bad]
    return client, missed


def throughput(enclave, arn, requests):
    pid = enclave.enclave.process.pid
    for kind in TYPES:
        count = requests if kind != "Bls" else max(requests // 20, 100)
        client = enclave.session(arn, describe=True)
        client.call("GenerateAndImport", kind)
        message = os.urandom(120)
        for window in (1, 64):
            n = count if window > 1 else min(count, 2000)
            frames = [frame({"id": i, "Sign": {"handle": 0, "message": message, "version": 2}}) for i in range(n)]
            exchange(client, frames[:100], window)
            cpu, begin = cpu_seconds(pid), time.monotonic()
            exchange(client, frames, window)
            seconds, cpu = time.monotonic() - begin, cpu_seconds(pid) - cpu
            print(f"{kind:10} {window:3} in flight: {n / seconds:8.0f}/s, {1e6 * cpu / n:7.1f} us of processor each")
        client.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--keys", type=int, default=10000)
    parser.add_argument("--requests", type=int, default=20000)
    arguments = parser.parse_args()
    missed = []
    with scratch("bench") as folder, Enclave(folder) as enclave:
        arn = enclave.create_key()
        client, missed = start(enclave, arn, arguments.keys)
        client.close()
        for check in ("on", "off"):
            enclave.restart_enclave(self_check=check)
            print(f"self_check={check}")
            throughput(enclave, arn, arguments.requests)
    if missed:
        print("missed: " + ", ".join(missed), file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
