#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""./dev demo: the main job, end to end, on this machine.

Everything it starts it ends, unless --keep is given. The signatures are
verified with implementations that are not Claviger's (Python's cryptography
and py_ecc), outside the enclave.
"""

import argparse
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "lib"))

from claviger_testing import tezos  # noqa: E402
from claviger_testing.stack import Stack  # noqa: E402

KINDS = ["tz1", "tz2", "tz3", "tz4"]
KEEP_DIR = ROOT / ".cache" / "demo"
POLICY = "{allow: {generic: [transaction]}}"


def say(text=""):
    print(text, flush=True)


def step(text, _count=[0]):
    _count[0] += 1
    say(f"\n{_count[0]}. {text}")


def sign_and_verify(stack, key):
    pkh = key["public_key_hash"]
    request = tezos.transaction(pkh, pkh, amount=1_000_000)
    reply = stack.sign(pkh, request)
    if reply.status != 200:
        raise SystemExit(f"demo: {pkh}: HTTP {reply.status}: {reply.body.decode()}")
    signature = reply.json()["signature"]
    shown = stack.request("GET", f"/keys/{pkh}").json()["public_key"]
    if shown != key["public_key"] or tezos.key_hash(shown) != pkh:
        raise SystemExit(f"demo: {pkh}: the daemon shows another public key")
    if not tezos.verify(shown, signature, request):
        raise SystemExit(f"demo: {pkh}: the signature does not verify")
    say(f"   {pkh}  {signature[:24]}…  verified")


def first_life(stack):
    step("Start a local KMS that verifies attestation, an emulated NSM, and the enclave signer.")
    stack.up()
    say(f"   KMS key policy: only an enclave with the measured PCR0 may decrypt ({stack.dir / 'kms.json'}).")
    step("Generate a key of each type inside the enclave. What leaves it is ciphertext.")
    keys = [stack.generate(kind) for kind in KINDS]
    for key in keys:
        say(f"   {key['public_key_hash']}  {key['public_key']}")
    say(f"   Ciphertext, as it rests on disk: {stack.dir / 'enclave_keys.json'}")
    stack.allow(*[k["public_key_hash"] for k in keys], body=POLICY)
    step("Start the daemon and sign a Tezos transaction with each key over HTTP; verify each outside.")
    stack.serve()
    for key in keys:
        sign_and_verify(stack, key)
    return keys


def second_life(stack, keys):
    step("Stop everything, start again: the keys open from their ciphertext through attested KMS Decrypt.")
    stack.down()
    stack.up()
    stack.serve()
    for key in keys:
        sign_and_verify(stack, key)


def refusal(stack, keys):
    step("Offer the same ciphertext to an enclave with another measurement: KMS denies.")
    stack.down()
    other = "ab" * 48
    stack.up("--pcr0", other)
    done = stack.cli("list", check=False)
    if done.returncode == 0:
        raise SystemExit("demo: the wrong enclave opened the keys")
    reason = [line for line in done.stderr.splitlines() if "AccessDenied" in line] or done.stderr.splitlines()
    say(f"   {reason[-1].strip()}")
    if "AccessDenied" not in done.stderr:
        raise SystemExit("demo: the enclave failed, but not because KMS denied it:\n" + done.stderr)
    stack.down()


def show_curl(stack, keys):
    main, utility = stack.ports()
    say("\nThe stack is up. Try:")
    for key in keys:
        pkh = key["public_key_hash"]
        request = tezos.transaction(pkh, pkh, amount=1_000_000).hex()
        say(f"  curl -s -X POST http://127.0.0.1:{main}/keys/{pkh} -d '\"{request}\"'")
    say(f"  curl -s http://127.0.0.1:{main}/keys/{keys[0]['public_key_hash']}")
    say(f"  curl -s http://127.0.0.1:{utility}/healthz")
    say("End it with: ./dev demo --stop")


def stop_kept():
    try:
        pids = json.loads((KEEP_DIR / "demo.json").read_text())
    except FileNotFoundError:
        say("No demo is running.")
        return
    for name, pid, started in pids:
        if start_time(pid) == started:
            os.kill(pid, signal.SIGTERM)
            for _ in range(200):
                if start_time(pid) != started:
                    break
                time.sleep(0.05)
        say(f"{name} ended")
    shutil.rmtree(KEEP_DIR)


def start_time(pid):
    """Identifies a process beyond its number, which may have been reused."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        return None


def keep(stack, keys):
    stack.up()
    stack.serve()
    running = [("claviger serve", stack.daemon.process.pid), ("claviger-local up", stack.local.process.pid)]
    (KEEP_DIR / "demo.json").write_text(json.dumps([[n, p, start_time(p)] for n, p in running]))
    show_curl(stack, keys)


def main():
    parser = argparse.ArgumentParser(prog="./dev demo", description="Claviger's main job on this machine.")
    parser.add_argument("--bin", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help="leave the stack up and print curl lines")
    parser.add_argument("--stop", action="store_true", help="end a stack that --keep left up")
    options = parser.parse_args()
    if options.stop:
        stop_kept()
        return
    if (KEEP_DIR / "demo.json").exists():
        raise SystemExit("demo: a demo is up already; end it with ./dev demo --stop")
    began = time.monotonic()
    base = KEEP_DIR if options.keep else pathlib.Path(tempfile.mkdtemp(prefix="claviger-demo-"))
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True, mode=0o700)
    stack = Stack(base / "stack", pathlib.Path(options.bin).resolve())
    kept = False
    try:
        keys = first_life(stack)
        second_life(stack, keys)
        refusal(stack, keys)
        if options.keep:
            keep(stack, keys)
            kept = True
    finally:
        if not kept:
            stack.down()
            shutil.rmtree(base, ignore_errors=True)
    if not kept:
        say(f"\nDone in {time.monotonic() - began:.0f} s; nothing is left running.")
        say("./dev demo --keep leaves the stack up to play with.")


if __name__ == "__main__":
    main()
