# SPDX-License-Identifier: Apache-2.0
"""An enclave for tests of the daemon: the protocol, real signatures, and
faults on demand, without NSM and KMS. Its "sealed" blobs are plain CBOR.

    fake_enclave.py SOCKET [--original] [--fault NAME]
"""

import hashlib
import os
import random
import socket
import struct
import threading
import time

import cbor2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils

TEN = ["Initialize", "Import", "ImportUnencrypted", "Generate", "GenerateAndImport", "Sign",
       "SignWith", "PublicKey", "PublicKeyFrom", "ProvePossession"]
CURVES = {"Secp256k1": (ec.SECP256K1, 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141),
          "NistP256": (ec.SECP256R1, 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551)}
BLS_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001


def blake2b(data, size=32):
    return hashlib.blake2b(data, digest_size=size).digest()


class Refused(Exception):
    pass


def public_key(kind, secret):
    raw = serialization.Encoding.Raw
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(
            raw, serialization.PublicFormat.Raw)
    if kind == "Bls":
        from py_ecc.bls import G2ProofOfPossession as bls
        return bls.SkToPk(int.from_bytes(secret, "big"))
    key = ec.derive_private_key(int.from_bytes(secret, "big"), CURVES[kind][0]())
    return key.public_key().public_bytes(serialization.Encoding.X962,
                                         serialization.PublicFormat.CompressedPoint)


def sign(kind, secret, message, version):
    digest = blake2b(message)
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.from_private_bytes(secret).sign(digest)
    if kind == "Bls":
        from py_ecc.bls import G2MessageAugmentation, G2ProofOfPossession
        if version == 0:
            raise Refused("signer error")
        scheme = G2MessageAugmentation if version == 1 else G2ProofOfPossession
        return scheme.Sign(int.from_bytes(secret, "big"), message)
    key = ec.derive_private_key(int.from_bytes(secret, "big"), CURVES[kind][0]())
    r, s = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256()))))
    if kind == "Secp256k1" and s > CURVES[kind][1] // 2:
        s = CURVES[kind][1] - s
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def new_secret(kind):
    order = BLS_ORDER if kind == "Bls" else CURVES.get(kind, (None, 2 ** 256))[1]
    return random.SystemRandom().randrange(1, order).to_bytes(32, "big")


class FakeEnclave:
    def __init__(self, path, original=False, fault=None):
        self.path, self.original, self.fault = str(path), original, fault
        self.requests = []          # (name, argument) of every request, for assertions
        self.connections = 0
        self.lock = threading.Lock()
        self.open = set()
        self.listener = socket.socket(socket.AF_UNIX)
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.stopping = False
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self):
        self.stopping = True
        self.listener.close()
        self.drop()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def drop(self):
        """Ends every connection, as an enclave that dies does."""
        with self.lock:
            for s in list(self.open):
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _accept(self):
        while not self.stopping:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with self.lock:
                self.open.add(s)
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        state = {"init": False, "keys": [], "ids": False, "held": []}
        try:
            while True:
                head = self._exact(s, 4)
                if head is None:
                    return
                body = self._exact(s, struct.unpack(">I", head)[0])
                if body is None:
                    return
                if not self._answer(s, state, cbor2.loads(body)):
                    return
        except OSError:
            pass
        finally:
            with self.lock:
                self.open.discard(s)
            s.close()

    @staticmethod
    def _exact(s, n):
        data = b""
        while len(data) < n:
            piece = s.recv(n - len(data))
            if not piece:
                return None
            data += piece
        return data

    def _answer(self, s, state, request):
        ident = request.get("id") if len(request) == 2 else None
        name = [k for k in request if k != "id"][0]
        argument = request[name]
        self.requests.append((name, argument))
        reply = {} if ident is None else {"id": ident}
        try:
            if len(request) != (1 if ident is None else 2):
                raise Refused('Semantic(None, "invalid type: map, expected enum")')
            value = self._perform(state, name, argument, reply if ident is not None else {})
            reply["Ok"] = value
        except Refused as e:
            reply["Err"] = {"message": str(e), "source": None}
        return self._send(s, state, name, reply)

    def _send(self, s, state, name, reply):
        frame = self._frame(reply)
        fault = self.fault if name == "Sign" else None
        if self.fault == "slow-kms" and name in ("Import", "GenerateAndImport", "Generate", "Reseal", "ImportUnencrypted"):
            return True  # as if KMS never answered
        if fault == "hang":
            return True
        if fault == "close":
            return False
        if fault == "truncate":
            s.sendall(frame[:len(frame) // 2])
            return False
        if fault == "late":
            time.sleep(float(os.environ.get("FAKE_LATE", "12")))
        if fault == "repeat":
            s.sendall(frame + frame)
            return True
        if fault == "foreign" and "id" in reply:
            reply["id"] += 1000
            frame = self._frame(reply)
        if fault == "garbage":
            frame = struct.pack(">I", 3) + b"\xff\xff\xff"
        if fault == "huge":
            frame = struct.pack(">I", 0x7fffffff) + b"x"
        if fault == "foreign-later":
            # A right answer, and then one to an id that was never sent.
            s.sendall(frame)
            reply["id"] = 1 << 62
            frame = self._frame(reply)
        if fault == "again" and "id" in reply:
            # The answer before this one once more, under its old id.
            frame = state.get("before", b"") + frame
            state["before"] = self._frame(reply)
        if fault == "no-id":
            reply.pop("id", None)
            frame = self._frame(reply)
        if fault == "huge-id" and "id" in reply:
            reply["id"] = (1 << 64) - 1
            frame = self._frame(reply)
        if fault == "swap-ids":
            # Two answers, each under the other's id.
            state["held"].append(reply)
            if len(state["held"]) < 2:
                return True
            a, b = state["held"]
            state["held"] = []
            if "id" in a:
                a["id"], b["id"] = b["id"], a["id"]
            else:
                a, b = b, a
            frame = self._frame(a) + self._frame(b)
        if fault == "swap-signatures":
            # Two answers, each with the other's signature: handle and digest are right.
            state["held"].append(reply)
            if len(state["held"]) < 2:
                return True
            a, b = state["held"]
            state["held"] = []
            a["Ok"], b["Ok"] = b["Ok"], a["Ok"]
            frame = self._frame(a) + self._frame(b)
        if fault == "drip":
            for byte in frame:
                s.sendall(bytes([byte]))
            return True
        if fault == "trailing":
            body = frame[4:] + b"\x00"
            frame = struct.pack(">I", len(body)) + body
        if fault == "empty":
            frame = struct.pack(">I", 0)
        if fault == "unasked":
            frame = self._frame({**({"id": 1} if "id" in reply else {}), "Ok": None}) + frame
        if fault == "both":
            reply["Err"] = {"message": "x", "source": None}
            frame = self._frame(reply)
        if fault == "reorder":
            state["held"].append(frame)
            if len(state["held"]) < 4:
                return True
            frame = b"".join(reversed(state["held"]))
            state["held"] = []
        s.sendall(frame)
        return True

    @staticmethod
    def _frame(reply):
        body = cbor2.dumps(reply)
        return struct.pack(">I", len(body)) + body

    def _perform(self, state, name, a, echo):
        if name == "Describe" and not self.original:
            state["ids"] = True
            return {"protocol": 1, "version": "fake", "build": "development", "debug": False,
                    "pinned": False, "cmks": [], "plain_import": True, "seal_v1": True,
                    "self_check": True, "pcr0": bytes(48),
                    "limits": {"frame": 1 << 20, "in_flight": 1024, "sessions": 8, "keys": 100000}}
        if name == "Renew" and not self.original and state["init"]:
            return None
        if name not in TEN:
            raise Refused('Semantic(None, "unknown variant `%s`, expected one of %s")'
                          % (name, ", ".join("`%s`" % t for t in TEN)))
        if name == "Initialize":
            if state["init"]:
                raise Refused("already initialized")
            state["init"] = True
            return None
        if not state["init"]:
            raise Refused("uninitialized")
        return getattr(self, "_do_" + name)(state, a, echo)

    def _keep(self, state, kind, secret, blob):
        state["keys"].append((kind, secret))
        result = {"public_key": {kind: public_key(kind, secret)}, "handle": len(state["keys"]) - 1}
        if blob is not None:
            result = {"encrypted_private_key": blob, **result}
        return result

    def _do_GenerateAndImport(self, state, kind, _):
        secret = new_secret(kind)
        return self._keep(state, kind, secret, b"SEALED" + cbor2.dumps({kind: secret}))

    def _do_ImportUnencrypted(self, state, a, _):
        (kind, secret), = a.items()
        return self._keep(state, kind, secret, b"SEALED" + cbor2.dumps({kind: secret}))

    def _do_Import(self, state, blob, _):
        if not blob.startswith(b"SEALED"):
            raise Refused("encryption error")
        try:
            (kind, secret), = cbor2.loads(blob[6:]).items()
        except Exception:
            raise Refused("deserialization error")
        return self._keep(state, kind, secret, None)

    def _key(self, state, handle):
        if handle >= len(state["keys"]):
            raise Refused("signer error")
        return state["keys"][handle]

    def _do_Sign(self, state, a, echo):
        kind, secret = self._key(state, a["handle"])
        message = a["message"]
        if self.fault == "other-key":
            secret = new_secret(kind)
            echo_message = message + b"x"
        elif self.fault == "other-message":
            echo_message = message = message + b"x"
        else:
            echo_message = message
        if self.fault == "refuse":
            raise Refused("signer error")
        if echo is not None and "id" in echo:
            echo["handle"] = a["handle"] + (1 if self.fault == "other-handle" else 0)
            echo["digest"] = blake2b(echo_message)
        if self.fault == "liar":
            secret = new_secret(kind)   # and says nothing of it in its echo
        if self.fault == "other-scheme":
            kind, secret = "NistP256", new_secret("NistP256")
        signature = sign(kind, secret, message, a.get("version", 255))
        if self.fault == "bit":
            signature = signature[:20] + bytes([signature[20] ^ 4]) + signature[21:]
        if self.fault == "short":
            signature = signature[:-1]
        if self.fault == "long":
            signature += b"\x00"
        if kind == "Ed25519":
            signature = list(signature)
        return {kind: signature}

    def _do_ProvePossession(self, state, handle, echo):
        kind, secret = self._key(state, handle)
        if kind != "Bls":
            raise Refused("signer error")
        from py_ecc.bls import G2ProofOfPossession as bls
        if echo is not None and "id" in echo:
            echo["handle"] = handle
        return {kind: bls.PopProve(int.from_bytes(secret, "big"))}


if __name__ == "__main__":
    import argparse
    import signal

    p = argparse.ArgumentParser()
    p.add_argument("socket")
    p.add_argument("--original", action="store_true")
    p.add_argument("--fault")
    args = p.parse_args()
    enclave = FakeEnclave(args.socket, args.original, args.fault)
    print("ready", flush=True)
    signal.sigwait([signal.SIGTERM, signal.SIGINT])
    enclave.stop()
