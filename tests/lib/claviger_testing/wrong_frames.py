# SPDX-License-Identifier: Apache-2.0
"""Requests of the enclave's protocol (docs/protocol/enclave-rpc.md) that are wrong
in every way: each value of each request in every other type, members that lack
or come twice, cuts at every byte, lengths that lie, nesting, and frames that
break the framing. Shares nothing with Claviger's decoder."""

import random
import struct

import cbor2

from .enclave import Client

MAX_BEFORE, MAX_AFTER = 65536, 1048576

# Kinds of values, and which items of the table below are lawful for them.
TEXT, OPTIONAL_TEXT, BYTES, OPTIONAL_BYTES, UINT, U8, STRUCT, VARIANT, ENUM, KEY, ANY = (
    "text", "optional text", "bytes", "optional bytes", "uint", "u8", "struct", "variant", "enum", "key", "any")

ITEMS = {  # name: (item, kinds for which it is no wrong type)
    "null": ("f6", {OPTIONAL_TEXT, OPTIONAL_BYTES}),
    "undefined": ("f7", {OPTIONAL_TEXT, OPTIONAL_BYTES}),
    "true": ("f5", ()),
    "false": ("f4", ()),
    "zero": ("00", {UINT, U8}),
    "largest integer": ("1bffffffffffffffff", {UINT}),
    "integer in more bytes than it needs": ("1b0000000000000001", {UINT, U8}),
    "negative": ("20", ()),
    "most negative": ("3bffffffffffffffff", ()),
    "half float": ("f93c00", ()),
    "NaN": ("f97e00", ()),
    "double": ("fb3ff0000000000000", ()),
    "simple value": ("e0", ()),
    "simple value of two bytes": ("f8ff", ()),
    "simple value in a form that is none": ("f810", ()),
    "break": ("ff", ()),
    "text": ("6178", {TEXT, OPTIONAL_TEXT}),
    "empty text": ("60", {TEXT, OPTIONAL_TEXT}),
    "text that is no UTF-8": ("62c328", ()),
    "text in pieces": ("7f61786179ff", {TEXT, OPTIONAL_TEXT}),
    "text in pieces of bytes": ("7f4178ff", ()),
    "bytes": ("420102", {BYTES, OPTIONAL_BYTES}),
    "empty bytes": ("40", {BYTES, OPTIONAL_BYTES}),
    "bytes in pieces": ("5f41014102ff", {BYTES, OPTIONAL_BYTES}),
    "bytes in pieces of text": ("5f6101ff", ()),
    "array of bytes": ("820102", {BYTES, OPTIONAL_BYTES, VARIANT}),
    "array of what is no byte": ("82190100f6", {VARIANT}),
    "array of texts": ("826161" "6162", ()),
    "empty array": ("80", {BYTES, OPTIONAL_BYTES}),
    "array without end": ("9f01", ()),
    "map": ("a10101", ()),
    "empty map": ("a0", ()),
    "map without end": ("bf", ()),
    "map that ends after a key": ("bf6161ff", ()),
    # A tag changes nothing before bytes.
    "bignum": ("c24101", {UINT, U8, BYTES, OPTIONAL_BYTES}),
    "bignum beyond 64 bits": ("c249010000000000000000", {BYTES, OPTIONAL_BYTES}),
    "negative bignum": ("c34101", {BYTES, OPTIONAL_BYTES}),
    "tag before nothing": ("c1", ()),
    "tag before an integer": ("c100", {UINT, U8}),
    "reserved length of an integer": ("1c", ()),
    "reserved length of bytes": ("5d", ()),
    "reserved length of a text": ("7e", ()),
    "reserved length of an array": ("9c", ()),
    "reserved length of a map": ("bd", ()),
    "reserved simple value": ("fe", ()),
    "bytes longer than the frame": ("5a00100000", ()),
    "bytes of 2^64 - 1": ("5bffffffffffffffff", ()),
    "text of 2^64 - 1": ("7bffffffffffffffff", ()),
    "array of 2^64 - 1": ("9bffffffffffffffff", ()),
    "map of 2^64 - 1": ("bbffffffffffffffff", ()),
    "arrays in arrays": ("81" * 2000 + "00", ()),
    "maps in maps": ("a100" * 2000 + "00", ()),
    "tags on tags": ("c1" * 2000 + "00", {UINT, U8}),
    "arrays without end in each other": ("9f" * 2000, ()),
}

CREDENTIALS = {"access_key_id": (TEXT, "AKIDEXAMPLE"), "secret_access_key": (TEXT, "SECRETEXAMPLE"),
               "session_token": (OPTIONAL_TEXT, "TOKEN")}
REQUESTS = {  # name: (kind, argument); members are (kind, value)
    "Initialize": (STRUCT, {**CREDENTIALS, "encryption_key_id": (TEXT, "alias/tee"), "region": (TEXT, "us-west-2")}),
    "Import": (BYTES, b"a blob"),
    "ImportUnencrypted": (KEY, {"Ed25519": (BYTES, b"k" * 32)}),
    "Generate": (ENUM, "Ed25519"),
    "GenerateAndImport": (ENUM, "Bls"),
    "Sign": (VARIANT, {"handle": (UINT, 0), "message": (BYTES, b"message"), "version": (U8, 2)}),
    "SignWith": (VARIANT, {"encrypted_private_key": (BYTES, b"a blob"), "message": (BYTES, b"message"),
                           "version": (U8, 2)}),
    "PublicKey": (UINT, 0),
    "PublicKeyFrom": (BYTES, b"a blob"),
    "ProvePossession": (UINT, 0),
    "Describe": (ANY, None),
    "Renew": (STRUCT, CREDENTIALS),
    "Reseal": (STRUCT, {"encrypted_private_key": (BYTES, b"a blob"), "key_id": (OPTIONAL_TEXT, "alias/tee"),
                        "sealed_version": (U8, 2)}),
    "Attest": (STRUCT, {"handle": (UINT, 0), "nonce": (OPTIONAL_BYTES, b"nonce")}),
    "ImportOffer": (STRUCT, {"nonce": (BYTES, b"nonce")}),
    "ImportSealed": (STRUCT, {"public_key": (BYTES, b"p" * 32), "enc": (BYTES, b"e" * 32),
                              "ciphertext": (BYTES, b"c" * 40)}),
}
OPTIONAL = {"session_token", "version", "key_id", "sealed_version"} | {("Attest", "nonce")}


class Raw(bytes):
    """An item that is encoded already."""


def encode(value):
    if isinstance(value, Raw):
        return bytes(value)
    if isinstance(value, list):  # pairs of a map, in this order
        return map_head(len(value)) + b"".join(encode(k) + encode(v) for k, v in value)
    return cbor2.dumps(value)


def map_head(n):
    return bytes([0xa0 + n])


def plain(argument):
    return [(k, v) for k, (_, v) in argument.items()] if isinstance(argument, dict) else argument


def body(name, argument=None, number=None):
    """The request as it should be (ARGUMENT: another one), with an id perhaps."""
    pair = (name, plain(REQUESTS[name][1]) if argument is None else argument)
    return encode([pair] if number is None else [("id", number), pair])


def with_member(argument, member, value):
    return [(k, value if k == member else v) for k, v in plain(argument)]


def wrong(name, number=None):
    """(what, body, whether it must be refused) for every wrong form of the request."""
    kind, argument = REQUESTS[name]

    def make(what, value, refused=True):
        return f"{name}: {what}", body(name, value, number), refused

    for what, (item, lawful) in ITEMS.items():
        item = Raw(bytes.fromhex(item))
        if kind != ANY:
            yield make(f"{what} in the place of its {kind}", item, kind not in lawful)
        for member, (of, _) in argument.items() if isinstance(argument, dict) else ():
            yield make(f"{member}: {what} in the place of its {of}", with_member(argument, member, item),
                       of not in lawful)
    if isinstance(argument, dict) and kind != KEY:
        for member in argument:
            optional = member in OPTIONAL or (name, member) in OPTIONAL
            yield make(f"no {member}", [p for p in plain(argument) if p[0] != member], not optional)
            yield make(f"{member} twice", plain(argument) + [(member, argument[member][1])])
        head = Raw(map_head(len(argument) + 1) + encode(plain(argument))[1:])
        yield make("a member fewer than announced", head)
        yield make("an unknown member", plain(argument) + [("later", 1)], False)
        yield make("members without end", Raw(b"\xbf" + encode(plain(argument))[1:]))
    if kind == ENUM:
        for text in ("ed25519", "", "Ed25519 ", "P256", "x" * 3000):
            yield make(f"key type {text[:20]!r}", text)
    if kind == KEY:
        for key, value in (("Ed25519", b"k" * 31), ("Ed25519", b"k" * 33), ("Secp256k1", b"\0" * 32),
                           ("NistP256", b"\xff" * 32), ("Bls", b"\xff" * 32), ("Other", b"k" * 32)):
            yield make(f"{key} of {value[:2]!r} {len(value)}", [(key, value)])
    whole = body(name, number=number)
    end = len(whole) - (1 if kind == ANY else 0)  # what Describe carries is nobody's business
    for cut in range(end):
        yield f"{name}: cut after {cut} of {len(whole)} bytes", whole[:cut], True
    yield f"{name}: bytes behind it", whole + b"\xff\x00 behind", False


def no_request(number=None):
    """What is no request at all."""
    for what, (item, _) in ITEMS.items():
        yield f"{what} in the place of a request", bytes.fromhex(item), True
    for text in ("", "Nothing", "sign", "Sign ", "\0", "x" * 5000, "é" * 100):
        yield f"request {text[:10]!r}", encode([(text, 0)] if number is None else [("id", number), (text, 0)]), True
    sign = ("Sign", plain(REQUESTS["Sign"][1]))
    yield "two requests in one", encode([sign, sign]), True
    yield "no request in it", b"\xa0", True
    yield "an id alone", encode([("id", 1)]), True
    yield "an id behind", encode([sign, ("id", 1)]), True
    yield "two ids", encode([("id", 1), ("id", 2), sign]), True
    for item in ("20", "f6", "616b", "f93c00", "c249010000000000000000"):
        yield f"id {item}", encode([("id", Raw(bytes.fromhex(item))), sign]), True


def random_bodies(seed, count):
    """Lawful requests with some bytes changed, and noise."""
    chance = random.Random(seed)
    for _ in range(count):
        data = bytearray(body(chance.choice([n for n in REQUESTS if n not in ("Generate", "GenerateAndImport")])))
        for _ in range(chance.randrange(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        yield "noise", bytes(data) if chance.random() < 0.8 else chance.randbytes(chance.randrange(1, 300)), False


def judge(what, reply, refused):
    """What is not right about the reply, or None."""
    try:
        answer = cbor2.loads(reply)
    except Exception as e:  # whatever cbor2 does not like
        return f"{what}: {reply[:80].hex()} is no CBOR: {e}"
    if not isinstance(answer, dict) or len({"Ok", "Err"} & set(answer)) != 1 or \
            set(answer) - {"id", "handle", "digest", "Ok", "Err"}:
        return f"{what}: {answer} is no reply"
    if refused and "Ok" in answer:
        return f"{what}: taken for a request: {answer}"[:400]
    error = answer.get("Err")
    while error is not None:
        if set(error) != {"message", "source"} or not isinstance(error["message"], str) or not error["message"]:
            return f"{what}: {error} is no error"
        error = error["source"]
    return None


def put(connect, frames, window=32):
    """Sends FRAMES (what, body, refused) and judges the replies, with WINDOW at most
    unanswered (1 where there are ids, whose replies come in any order); an Initialize
    that was understood ends a connection, and the next goes on. CONNECT makes one.
    Returns what is wrong, and how many were sent."""
    faults, count, waiting, client = [], 0, [], None

    def gather(keep):
        while len(waiting) > keep:
            what, refused = waiting.pop(0)
            fault = judge(what, client.receive_body(), refused)
            if fault is not None:
                faults.append(fault)

    for what, data, refused in frames:
        if client is None:
            client = connect()
        client.send_body(data)
        waiting.append((what, refused))
        count += 1
        gather(window - 1)
        if what.startswith("Initialize") and not refused:
            gather(0)
            client.close()
            client = None
    if client is not None:
        gather(0)
        client.close()
    return faults, count


class VsockClient(Client):
    """A connection through the vsock device's socket to PORT of the guest."""

    def __init__(self, path, port=2000, timeout=60):
        super().__init__(path, timeout)
        self.send_raw(b"CONNECT %d\n" % port)
        line = b""
        while not line.endswith(b"\n"):
            more = self.socket.recv(1)
            if not more:
                self.close()
                raise EOFError(f"nobody listens at port {port}")
            line += more
        if not line.startswith(b"OK "):
            self.close()
            raise EOFError(f"port {port}: {line!r}")


def framings(initialised):
    """(what, bytes to send, whether a reply must come) of frames that break the
    framing or come strangely; "half" and "byte by byte" are the sender's affair."""
    limit = MAX_AFTER if initialised else MAX_BEFORE
    good = body("PublicKey")
    frame = struct.pack(">I", len(good)) + good
    yield "an empty frame", b"\0\0\0\0", True
    yield "many empty frames", b"\0\0\0\0" * 50, True
    yield "one byte too many", struct.pack(">I", limit + 1), True
    yield "the longest length", b"\xff\xff\xff\xff", True
    yield "half of all lengths", b"\x80\0\0\0" + b"x" * 100, True
    yield "the longest frame, of zeros", struct.pack(">I", limit) + bytes(limit), True
    yield "the longest frame, of open arrays", struct.pack(">I", limit) + b"\x9f" * limit, True
    yield "the longest frame, of tags", struct.pack(">I", limit) + b"\xc1" * limit, True
    yield "a part of a length", frame[:3], False
    yield "a length alone", frame[:4], False
    yield "half of a frame", frame[:4 + len(good) // 2], False
    yield "a frame and half of the next", frame + frame[:7], True
