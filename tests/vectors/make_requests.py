#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes requests.txt: requests to sign and what the independent parser of
tests/interop/tezos_request.py makes of them. Each line: the request in
hexadecimal ("-" for none), then the expected line of request_helper, or
"error". Run with PYTHONPATH=tests/lib:tests/interop; the result is always the
same."""

import pathlib
import random
import struct

import tezos_request

maker = tezos_request.Maker(random.Random(20240605))
lines = {}


def add(data):
    try:
        answer = tezos_request.parse(data)
    except tezos_request.UnknownTag as e:
        answer = f"error unknown tag {e.args[0]}"
    except tezos_request.Bad:
        answer = "error"
    lines[data] = answer
    return answer


def short(make, most=700):
    """One that is short enough, or the shortest of fifty."""
    best = make()
    for _ in range(50):
        if len(best) < most:
            break
        best = min(best, make(), key=len)
    return best


add(b"")
for magic in range(256):
    add(bytes([magic]) + bytes(9))
# every operation, some damage that is refused and some that is not
for tag in tezos_request.NAMES:
    for _ in range(5):
        operation = short(lambda: maker.operation(tag))
        add(b"\3" + maker.raw(32) + operation)
    seen = set()
    for _ in range(24):
        answer = add(b"\3" + bytes(32) + maker.mutate(short(lambda: maker.operation(tag), 300)))
        seen.add(answer)
        if len(seen) > 20:
            break
for tag in range(256):
    add(b"\3" + bytes(32) + bytes([tag]) + bytes(3))
    add(b"\5" + bytes([tag]) + bytes(4))
    add(b"\x12" + bytes(36) + bytes([tag]) + bytes(3))
    add(b"\x13" + bytes(36) + bytes([tag]) + bytes(3))
for _ in range(60):
    add(short(maker.request, 400))
for head in (0x11, 0x12, 0x13):
    for _ in range(60):
        data = short(maker.request, 400)
        if data[0] == head:
            add(data)
            for _ in range(10):
                add(maker.mutate(data))
# every form of a refutation
dyn = b"\0\0\0\2ab"
for refutation in (b"\0" + bytes(64), b"\0" + bytes(63), b"\2", b"\1\1\0" + bytes(4), b"\1\1\2",
                   b"\1\1\1" + dyn + b"\0", b"\1\1\1" + dyn + b"\xff\0" + bytes(4) + b"\1" + dyn,
                   b"\1\1\1" + dyn + b"\xff\1\0" + dyn, b"\1\1\1" + dyn + b"\xff\1\1",
                   b"\1\1\1" + dyn + b"\xff\1\2" + bytes(7) + dyn, b"\1\1\1" + dyn + b"\xff\1\3",
                   b"\1\1\1" + dyn + b"\xff\1\4", b"\1\1\1" + dyn + b"\xff\2",
                   b"\1\1\1" + dyn + b"\xff\3", b"\1\1\1" + dyn + b"\1"):
    add(b"\3" + bytes(32) + b"\xcc" + bytes(21) + b"\1" * 4 + bytes(20 + 21) + refutation)
# fitness: each part of another length, another version, another level
for parts in ([b"\2", 4, 0, 4, 4], [b"\2", 4, 4, 4, 4], [b"\1", 4, 0, 4, 4], [b"\2\0", 4, 0, 4, 4],
              [b"", 4, 0, 4, 4], [b"\2", 3, 0, 4, 4], [b"\2", 4, 3, 4, 4], [b"\2", 4, 8, 4, 4],
              [b"\2", 4, 0, 5, 4], [b"\2", 4, 0, 4, 0], [b"\2", 4, 0, 4, 8], [b"\2", 4, 0, 4]):
    for level in (b"\0\0\0\1", b"\0\0\0\2"):
        body = [parts[0], level[:parts[1]].ljust(parts[1], b"\0"), *(bytes(n) for n in parts[2:])]
        fitness = b"".join(struct.pack(">I", len(p)) + p for p in body)
        for extra in (b"", b"\0"):
            full = fitness + extra
            add(b"\x11" + bytes(4) + b"\0\0\0\1" + bytes(74) + struct.pack(">I", len(full)) + full +
                bytes(76) + b"\0\0")
valid = short(lambda: b"\x11" + maker.raw(4) + maker.header())
for n in range(len(valid)):
    add(valid[:n])
for votes in (0, 15, 16, 255):
    add(valid[:-1] + bytes([votes]))
# numbers
head, tail = b"\3" + bytes(32) + b"\x70" + bytes(21), bytes(3) + b"\0"
for number in (b"\0", b"\x80\0", b"\x81\x80\0", b"\x80\1", b"\xff" * 31 + b"\1", b"\xff" * 32 + b"\1",
               b"\xff" * 9 + b"\1", b"\xff" * 9 + b"\2", b"\xff" * 9 + b"\0", b"\x80" * 9 + b"\1",
               b"\x80" * 10 + b"\1", b"\x80" * 31 + b"\1", b"\x80" * 8 + b"\x7f"):
    add(head + number + tail)
for number in (b"\0", b"\x3f", b"\x40", b"\x41", b"\xc0\0", b"\xc0\1", b"\x80\0",
               b"\x80" * 100 + b"\1", b"\xff" * 4095 + b"\1", b"\xff" * 4096 + b"\1"):
    add(b"\5\0" + number)
# depth
for depth in (999, 1000, 1001):
    leaf = b"\0\1"
    for _ in range(depth):
        leaf = b"\2" + struct.pack(">I", len(leaf)) + leaf
    add(b"\5" + leaf)
    add(b"\5" + b"\5\0" * (depth - 1) + b"\3\0")
# what a pseudo-operation is, and is not
source, other = b"\2" + bytes(19) + b"\1", b"\2" + bytes(19) + b"\2"
manager = b"\x6c" + source + b"\1\2\3\4\5"
for entry in (*(bytes([n]) for n in range(12)), b"\xff\5stake", b"\xff\0", b"\xff\x1f" + b"e" * 31,
              b"\xff\x20" + b"e" * 32):
    for destination in (b"\0" + source, b"\0" + other, b"\0\1" + source[1:],
                        b"\1" + source[1:] + b"\0", b"\1" + source[1:] + b"\1", b"\2" + source):
        add(b"\3" + bytes(32) + manager + destination + b"\xff" + entry + b"\0\0\0\2\3\x0b")
for flag in (0, 1, 0xFE, 0xFF):
    add(b"\3" + bytes(32) + manager + b"\0" + source + bytes([flag]))
path = pathlib.Path(__file__).with_name("requests.txt")
path.write_text("".join(f"{data.hex() or '-'} {answer}\n" for data, answer in lines.items()))
