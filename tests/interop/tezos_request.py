# SPDX-License-Identifier: Apache-2.0
"""A parser of requests to sign, written from the description of the encoding
and not from our C code, and a generator of random requests of every kind."""

import struct
import sys

from claviger_testing import tezos


# Expressions nest to a depth of a thousand, at some frames a level.
sys.setrecursionlimit(20000)


class Bad(Exception):
    """Not a request that may be signed."""


class UnknownTag(Bad):
    pass


SIZES = [32, 33, 33, 48]


class Window:
    """Bytes, read in order. Every reader raises Bad."""

    def __init__(self, data, top=True):
        self.data, self.at, self.top = data, 0, top

    def left(self):
        return len(self.data) - self.at

    def take(self, n):
        if n > self.left():
            raise Bad("too short")
        self.at += n
        return self.data[self.at - n:self.at]

    def integer(self, n, signed=False):
        return int.from_bytes(self.take(n), "big", signed=signed)

    def flag(self):
        value = self.integer(1)
        if value not in (0, 255):
            raise Bad("flag")
        return value == 255

    def dyn(self):
        return self.take(self.integer(4))

    def window(self):
        return Window(self.dyn(), False)

    def end(self):
        if self.left():
            raise Bad("trailing")

    def groups(self, limit, first_bits):
        """(value, sign bit)"""
        byte = first = self.integer(1)
        value, shift = first & ((1 << first_bits) - 1), first_bits
        count = 1
        while byte & 0x80:
            if count == limit:
                raise Bad("number too long")
            byte = self.integer(1)
            count += 1
            value |= (byte & 0x7F) << shift
            shift += 7
        if count > 1 and byte == 0:
            raise Bad("number not minimal")
        return value, bool(first & 0x40) and first_bits == 6

    def natural(self):
        return min(self.groups(32, 7)[0], 2**64 - 1)

    def zed(self, limit=32):
        value, negative = self.groups(limit, 6)
        if negative and value == 0:
            raise Bad("minus zero")

    def pkh(self):
        tag = self.integer(1)
        if tag > 3:
            raise UnknownTag(tag)
        return tezos.encode(f"tz{tag + 1}", self.take(20))

    def pk(self):
        tag = self.integer(1)
        if tag > 3:
            raise UnknownTag(tag)
        self.take(SIZES[tag])

    def kt1(self):
        text = tezos.base58check_encode(bytes([2, 90, 121]) + self.take(20))
        if self.take(1) != b"\0":
            raise Bad("padding")
        return text

    def contract(self):
        tag = self.integer(1)
        if tag == 0:
            return self.pkh()
        if tag == 1:
            return self.kt1()
        raise UnknownTag(tag)

    def originated(self):
        tag = self.integer(1)
        if tag != 1:
            raise UnknownTag(tag)
        self.kt1()

    def many(self, n):
        """dyn of whole items of n bytes"""
        if len(self.dyn()) % n:
            raise Bad("not whole items")

    def each(self, read):
        inner = self.window()
        while inner.left():
            read(inner)

    def michelson(self, depth=0):
        tag = self.integer(1)
        if tag in (2, 3, 4, 5, 6, 7, 8, 9) and depth == 1000:
            raise Bad("too deep")
        if tag == 0:
            self.zed(4096)
        elif tag in (1, 10):
            self.dyn()
        elif tag == 2:
            self.each(lambda w: w.michelson(depth + 1))
        elif tag <= 9:
            self.take(1)
            if tag == 9:
                self.each(lambda w: w.michelson(depth + 1))
            else:
                for _ in range((tag - 3) // 2):
                    self.michelson(depth + 1)
            if tag in (4, 6, 8, 9):
                self.dyn()
        else:
            raise UnknownTag(tag)

    def dyn_michelson(self):
        inner = self.window()
        inner.michelson()
        inner.end()

    # --- consensus ---

    def fitness(self):
        inner = self.window()
        if inner.dyn() != b"\x02":
            raise Bad("fitness version")
        parts = [inner.dyn() for _ in range(4)]
        inner.end()
        if [len(p) for p in parts] not in ([4, 0, 4, 4], [4, 4, 4, 4]):
            raise Bad("fitness shape")
        return (int.from_bytes(parts[0], "big", signed=True),
                int.from_bytes(parts[3], "big", signed=True))

    def header(self):
        level = self.integer(4, True)
        self.take(1 + 32 + 8 + 1 + 32)
        fitness_level, round_ = self.fitness()
        if fitness_level != level:
            raise Bad("fitness level")
        self.take(32 + 32 + 4 + 8)
        if self.flag():
            self.take(32)
        if self.integer(1) > 15:
            raise Bad("votes")
        return level, round_

    def consensus(self, tag):
        if tag in (20, 21, 23):
            self.take(2)
        level, round_ = self.integer(4, True), self.integer(4, True)
        self.take(32)
        if tag == 23:
            self.zed()
        return level, round_

    def signature(self):
        if self.left() not in (64, 96):
            raise Bad("signature length")
        self.take(self.left())

    def aggregate(self, tag):
        self.take(4 + 4 + 32)
        if tag == 30:
            self.many(2)
        else:
            self.each(lambda w: (w.take(2), w.flag() and w.zed()))

    def inlined(self):
        inner = self.window()
        inner.take(32)
        tag = inner.integer(1)
        if tag in (20, 21, 23):
            inner.consensus(tag)
        elif tag in (30, 31):
            inner.aggregate(tag)
        else:
            raise UnknownTag(tag)
        inner.signature()

    # --- rollups ---

    def refutation(self):
        tag = self.integer(1)
        if tag == 0:
            return self.take(64)
        if tag != 1:
            raise UnknownTag(tag)
        self.natural()
        step = self.integer(1)
        if step == 0:
            return self.each(lambda w: (w.flag() and w.take(32), w.natural()))
        if step != 1:
            raise UnknownTag(step)
        self.dyn()
        if self.flag():
            kind = self.integer(1)
            if kind == 0:
                self.take(4), self.natural(), self.dyn()
            elif kind == 1:
                reveal = self.integer(1)
                if reveal == 0:
                    self.dyn()
                elif reveal == 2:
                    self.take(7), self.dyn()
                elif reveal not in (1, 3):
                    raise UnknownTag(reveal)
            elif kind != 2:
                raise UnknownTag(kind)

    def zk_operation(self):
        self.take(4 + 32), self.zed(), self.pkh(), self.take(20), self.many(32)
        if self.flag():
            self.michelson(), self.michelson(), self.contract()

    # --- the batch ---

    def operation(self):
        """name/source/fee/amount/destination, "-" where there is none."""
        tag = self.integer(1)
        if tag not in NAMES:
            raise UnknownTag(tag)
        name, source, fee, amount, destination = NAMES[tag], "-", "-", "-", "-"
        if 107 <= tag <= 252:
            source, fee = self.pkh(), self.natural()
            self.natural(), self.natural(), self.natural()
        if tag == 1:
            self.take(36)
        elif tag == 2:
            self.take(2), self.inlined(), self.inlined()
        elif tag == 3:
            for _ in range(2):
                inner = self.window()
                inner.header()
                inner.signature()
        elif tag == 4:
            self.take(40)
        elif tag == 5:
            source = self.pkh()
            self.take(4), self.many(32)
        elif tag == 6:
            source = self.pkh()
            self.take(36)
            vote = self.integer(1)
            if vote > 2:
                raise UnknownTag(vote)
            name += ":" + ("yay", "nay", "pass")[vote]
        elif tag == 8:
            self.take(200)
        elif tag == 9:
            source, _, destination, amount = self.pkh(), self.pkh(), self.pkh(), 2**64 - 1
        elif tag == 17:
            self.dyn()
        elif tag == 24:
            self.inlined(), self.take(7), self.dyn(), self.take(48)
        elif tag in (30, 31):
            self.aggregate(tag)
        elif tag in (107, 114, 115):
            self.pk()
            # the proof is younger than reveal and update_consensus_key
            if tag == 115 or self.left():
                if self.flag() and len(self.dyn()) != 96:
                    raise Bad("proof")
        elif tag == 108:
            amount, destination = self.natural(), self.contract()
            if self.flag():
                entry = self.integer(1)
                if entry == 255:
                    if len(self.take(self.integer(1))) > 31:
                        raise Bad("entrypoint")
                elif entry > 9:
                    raise UnknownTag(entry)
                self.dyn_michelson()
                if destination == source and 6 <= entry <= 9:
                    name = PSEUDO[entry]
                    destination = "-"
        elif tag == 109:
            amount = self.natural()
            if self.flag():
                self.pkh()
            self.dyn_michelson(), self.dyn_michelson()
        elif tag == 110:
            if self.flag():
                self.pkh()
        elif tag == 111:
            self.dyn_michelson()
        elif tag == 112:
            if self.flag():
                self.natural()
        elif tag == 113:
            self.zed(), self.originated()
        elif tag == 158:
            self.dyn_michelson(), self.dyn_michelson(), self.contract(), self.natural()
            destination = self.contract()
            self.dyn()
        elif tag == 200:
            kind = self.integer(1)
            if kind > 2:
                raise UnknownTag(kind)
            self.dyn(), self.dyn_michelson()
            if self.flag():
                self.each(lambda w: w.pkh())
        elif tag == 201:
            self.each(lambda w: w.dyn())
        elif tag == 202:
            self.take(20)
        elif tag == 203:
            self.take(20 + 32 + 4 + 32 + 8)
        elif tag == 204:
            self.take(20), self.pkh(), self.refutation()
        elif tag == 205:
            self.take(20), self.pkh(), self.pkh()
        elif tag == 206:
            self.take(20 + 32), self.dyn()
        elif tag == 207:
            self.take(20), self.pkh()
        elif tag == 230:
            self.take(1 + 48 + 96)
        elif tag == 250:
            self.dyn(), self.each(lambda w: (w.dyn(), w.take(1))), self.many(32), self.take(4)
        elif tag == 251:
            self.take(20), self.each(lambda w: w.zk_operation())
        elif tag == 252:
            self.take(20)
            self.each(lambda w: (w.dyn(), w.many(32), w.take(32), w.flag()))
            self.each(lambda w: (w.dyn(), w.many(32), w.take(32)))
            self.many(32), self.dyn()
        elif tag == 255:
            kind = self.integer(1)
            if kind != 3:
                raise UnknownTag(kind)
            self.take(32)
        return "/".join(map(str, (name, source, fee, amount, destination)))


PSEUDO = {6: "stake", 7: "unstake", 8: "finalize_unstake", 9: "set_delegate_parameters"}
NAMES = {
    1: "seed_nonce_revelation", 2: "double_consensus_operation_evidence",
    3: "double_baking_evidence", 4: "activate_account", 5: "proposals", 6: "ballot",
    8: "vdf_revelation", 9: "drain_delegate", 17: "failing_noop", 24: "dal_entrapment_evidence",
    30: "preattestations_aggregate", 31: "attestations_aggregate", 107: "reveal",
    108: "transaction", 109: "origination", 110: "delegation", 111: "register_global_constant",
    112: "set_deposits_limit", 113: "increase_paid_storage", 114: "update_consensus_key",
    115: "update_companion_key", 158: "transfer_ticket", 200: "smart_rollup_originate",
    201: "smart_rollup_add_messages", 202: "smart_rollup_cement", 203: "smart_rollup_publish",
    204: "smart_rollup_refute", 205: "smart_rollup_timeout",
    206: "smart_rollup_execute_outbox_message", 207: "smart_rollup_recover_bond",
    230: "dal_publish_commitment", 250: "zk_rollup_origination", 251: "zk_rollup_publish",
    252: "zk_rollup_update", 255: "signature_prefix",
}


def parse(data):
    """The line that request_helper answers with, or raises Bad."""
    w = Window(data)
    magic = w.integer(1)
    if magic == 0x03:
        w.take(32)
        operations = []
        while w.left() or not operations:
            operations.append(w.operation())
        return "generic - 0 0 0 " + ",".join(operations)
    if magic == 0x05:
        w.michelson()
        w.end()
        return "pack - 0 0 0 -"
    if magic == 0x11:
        chain = w.take(4)
        level, round_ = w.header()
        w.end()
        return f"block {chain.hex()} {level} {round_} 0 -"
    if magic not in (0x12, 0x13):
        raise UnknownTag(magic)
    chain = w.take(4)
    w.take(32)
    tag = w.integer(1)
    kinds = {(0x12, 20): "preattestation", (0x12, 40): "preattestation", (0x13, 21): "attestation",
             (0x13, 41): "attestation", (0x13, 23): "attestation_with_dal"}
    if (magic, tag) not in kinds:
        raise UnknownTag(tag)
    level, round_ = w.consensus(tag)
    w.end()
    return f"{kinds[magic, tag]} {chain.hex()} {level} {round_} {tag} -"


class Maker:
    """Random requests, valid unless said otherwise."""

    def __init__(self, random):
        self.r = random

    def raw(self, n):
        return self.r.randbytes(n)

    def some(self, read, most=3):
        return b"".join(read() for _ in range(self.r.randrange(most + 1)))

    def maybe(self, read):
        return b"\xff" + read() if self.r.random() < 0.5 else b"\0"

    @staticmethod
    def dyn(data):
        return struct.pack(">I", len(data)) + data

    def any_dyn(self):
        return self.dyn(self.raw(self.r.choice([0, 1, 5, 40])))

    def n(self):
        return tezos.zarith(self.r.getrandbits(self.r.choice([0, 1, 7, 8, 20, 63, 64, 65, 200])))

    def z(self):
        value, sign = self.r.getrandbits(self.r.choice([0, 1, 6, 7, 30, 150])), self.r.getrandbits(1)
        first, rest = value & 0x3F, value >> 6
        head = first | (0x40 if sign and value else 0) | (0x80 if rest else 0)
        return bytes([head]) + (tezos.zarith(rest) if rest else b"")

    def pkh(self):
        return bytes([self.r.randrange(4)]) + self.raw(20)

    def pk(self):
        tag = self.r.randrange(4)
        return bytes([tag]) + self.raw(SIZES[tag])

    def contract(self):
        return b"\0" + self.pkh() if self.r.random() < 0.5 else b"\1" + self.raw(20) + b"\0"

    def michelson(self, depth=0):
        tag = self.r.randrange(11) if depth < 6 else self.r.choice([0, 1, 3, 4, 10])
        inner = lambda: self.michelson(depth + 1)
        body = bytes([tag])
        if tag == 0:
            return body + self.z()
        if tag in (1, 10):
            return body + self.any_dyn()
        if tag == 2:
            return body + self.dyn(self.some(inner))
        body += self.raw(1)
        if tag == 9:
            return body + self.dyn(self.some(inner)) + self.any_dyn()
        body += b"".join(inner() for _ in range((tag - 3) // 2))
        return body + (self.any_dyn() if tag % 2 == 0 else b"")

    def expr(self):
        return self.dyn(self.michelson())

    def header(self):
        level, round_ = self.raw(4), self.raw(4)
        locked = self.dyn(self.raw(self.r.choice([0, 4])))
        fitness = self.dyn(b"\2") + self.dyn(level) + locked + self.dyn(self.raw(4)) + self.dyn(round_)
        return (level + self.raw(74) + self.dyn(fitness) + self.raw(76) +
                self.maybe(lambda: self.raw(32)) + bytes([self.r.randrange(16)]))

    def consensus(self, tag):
        slot = self.raw(2) if tag < 40 else b""
        return slot + self.raw(40) + (self.z() if tag == 23 else b"")

    def signature(self):
        return self.raw(self.r.choice([64, 96]))

    def aggregate(self, tag):
        if tag == 30:
            return self.raw(40) + self.dyn(self.some(lambda: self.raw(2)))
        return self.raw(40) + self.dyn(self.some(lambda: self.raw(2) + self.maybe(self.z)))

    def inlined(self):
        tag = self.r.choice([20, 21, 23, 30, 31])
        body = self.aggregate(tag) if tag >= 30 else self.consensus(tag)
        return self.dyn(self.raw(32) + bytes([tag]) + body + self.signature())

    def input(self):
        kind = self.r.randrange(3)
        if kind == 0:
            return b"\0" + self.raw(4) + self.n() + self.any_dyn()
        if kind == 2:
            return b"\2"
        reveal = self.r.randrange(4)
        body = {0: self.any_dyn(), 2: self.raw(7) + self.any_dyn()}.get(reveal, b"")
        return bytes([1, reveal]) + body

    def refutation(self):
        if self.r.random() < 0.3:
            return b"\0" + self.raw(64)
        if self.r.random() < 0.5:
            steps = self.some(lambda: self.maybe(lambda: self.raw(32)) + self.n())
            return b"\1" + self.n() + b"\0" + self.dyn(steps)
        return b"\1" + self.n() + b"\1" + self.any_dyn() + self.maybe(self.input)

    def scalars(self):
        return self.dyn(self.some(lambda: self.raw(32)))

    def zk_operation(self):
        ticket = lambda: self.michelson() + self.michelson() + self.contract()
        return (self.raw(36) + self.z() + self.pkh() + self.raw(20) + self.scalars() +
                self.maybe(ticket))

    def transaction(self, source):
        self_contract = b"\0" + source
        destination = self_contract if self.r.random() < 0.5 else self.contract()
        entry = self.r.choice([bytes([self.r.randrange(10)]),
                               b"\xff" + (lambda s: bytes([len(s)]) + s)(self.raw(self.r.randrange(32))),
                               b"\xff\x05stake"])
        return self.n() + destination + self.maybe(lambda: entry + self.expr())

    def operation(self, tag=None):
        tag = tag or self.r.choice(list(NAMES))
        source = self.pkh()
        head = bytes([tag])
        if 107 <= tag <= 252:
            head += source + b"".join(self.n() for _ in range(4))
        proof = lambda: self.maybe(lambda: self.dyn(self.raw(96)))
        bodies = {
            1: lambda: self.raw(36), 2: lambda: self.raw(2) + self.inlined() + self.inlined(),
            3: lambda: b"".join(self.dyn(self.header() + self.signature()) for _ in range(2)),
            4: lambda: self.raw(40), 5: lambda: self.pkh() + self.raw(4) + self.scalars(),
            6: lambda: self.pkh() + self.raw(36) + bytes([self.r.randrange(3)]),
            8: lambda: self.raw(200), 9: lambda: self.pkh() + self.pkh() + self.pkh(),
            17: self.any_dyn,
            24: lambda: self.inlined() + self.raw(7) + self.any_dyn() + self.raw(48),
            30: lambda: self.aggregate(30), 31: lambda: self.aggregate(31),
            107: lambda: self.pk() + proof(), 108: lambda: self.transaction(source),
            109: lambda: self.n() + self.maybe(self.pkh) + self.expr() + self.expr(),
            110: lambda: self.maybe(self.pkh), 111: self.expr, 112: lambda: self.maybe(self.n),
            113: lambda: self.z() + b"\1" + self.raw(20) + b"\0", 114: lambda: self.pk() + proof(),
            115: lambda: self.pk() + proof(),
            158: lambda: (self.expr() + self.expr() + self.contract() + self.n() +
                          self.contract() + self.any_dyn()),
            200: lambda: (bytes([self.r.randrange(3)]) + self.any_dyn() + self.expr() +
                          self.maybe(lambda: self.dyn(self.some(self.pkh)))),
            201: lambda: self.dyn(self.some(self.any_dyn)), 202: lambda: self.raw(20),
            203: lambda: self.raw(96), 204: lambda: self.raw(20) + self.pkh() + self.refutation(),
            205: lambda: self.raw(20) + self.pkh() + self.pkh(),
            206: lambda: self.raw(52) + self.any_dyn(), 207: lambda: self.raw(20) + self.pkh(),
            230: lambda: self.raw(145),
            250: lambda: (self.any_dyn() + self.dyn(self.some(lambda: self.any_dyn() + self.raw(1))) +
                          self.scalars() + self.raw(4)),
            251: lambda: self.raw(20) + self.dyn(self.some(self.zk_operation)),
            252: lambda: (self.raw(20) +
                          self.dyn(self.some(lambda: self.any_dyn() + self.scalars() + self.raw(32) +
                                             self.r.choice([b"\0", b"\xff"]))) +
                          self.dyn(self.some(lambda: self.any_dyn() + self.scalars() + self.raw(32))) +
                          self.scalars() + self.any_dyn()),
            255: lambda: b"\3" + self.raw(32),
        }
        return head + bodies[tag]()

    def request(self):
        magic = self.r.choice([3, 3, 3, 3, 5, 0x11, 0x12, 0x13])
        head = bytes([magic])
        if magic == 3:
            return head + self.raw(32) + self.operation() + self.some(self.operation)
        if magic == 5:
            return head + self.michelson()
        if magic == 0x11:
            return head + self.raw(4) + self.header()
        tag = self.r.choice([20, 40] if magic == 0x12 else [21, 23, 41])
        return head + self.raw(36) + bytes([tag]) + self.consensus(tag)

    def mutate(self, data):
        """A few small changes where they hurt."""
        out = bytearray(data)
        for _ in range(self.r.choice([1, 1, 1, 2, 5])):
            at = self.r.randrange(len(out) + 1)
            what = self.r.randrange(6)
            if what == 0 and out:
                out[at % len(out)] ^= 1 << self.r.randrange(8)
            elif what == 1 and out:
                out[at % len(out)] = self.r.choice([0, 1, 2, 0x40, 0x7F, 0x80, 0xC0, 0xFF])
            elif what == 2:
                del out[at:at + self.r.choice([1, 1, 4, 20])]
            elif what == 3:
                out[at:at] = self.raw(self.r.choice([1, 1, 4, 20]))
            elif what == 4:
                del out[at:]
            else:
                out += self.raw(self.r.choice([1, 2]))
        return bytes(out)
