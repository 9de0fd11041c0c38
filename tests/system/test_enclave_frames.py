#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Frames of every wrong kind against the enclave: each is answered with one error
and nothing else happens. tests/system/test_vm_liars.py does the same in a
virtual machine."""

import socket
import struct
import time
import unittest

from claviger_testing import wrong_frames
from claviger_testing.enclave import Enclave, scratch
from claviger_testing.process import need


class Frames(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        need("claviger-enclave-dev", "claviger-local")
        cls.folder = scratch("frames")
        cls.enclave = Enclave(cls.folder.name).start()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(cls.enclave.stop)
        cls.arn = cls.enclave.create_key()
        cls.good = cls.enclave.session(cls.arn, describe=True)
        cls.addClassCleanup(cls.good.close)
        cls.good.call("GenerateAndImport", "Ed25519")

    def tearDown(self):
        self.assertIn("Ed25519", self.good.call("Sign", {"handle": 0, "message": b"x", "version": 2}))

    def session(self):
        c = self.enclave.session(self.arn, describe=True)
        c.call("GenerateAndImport", "Bls")
        return c

    def put(self, connect, frames, window=32):
        faults, count = wrong_frames.put(connect, frames, window)
        self.assertEqual(faults, [])
        return count

    def test_before_initialize(self):
        for name in wrong_frames.REQUESTS:
            with self.subTest(name):
                self.assertGreater(self.put(self.enclave.client, wrong_frames.wrong(name)), 10)
        self.put(self.enclave.client, wrong_frames.no_request())

    def test_in_a_session(self):
        for number in (None, 9):
            for name in wrong_frames.REQUESTS:
                with self.subTest(name, id=number):
                    self.put(self.session, wrong_frames.wrong(name, number), 32 if number is None else 1)
            self.put(self.session, wrong_frames.no_request(number), 32 if number is None else 1)

    def test_noise(self):
        self.put(self.session, wrong_frames.random_bodies(time.time_ns(), 500))

    def test_framing(self):
        for initialised in (False, True):
            for what, data, answered in wrong_frames.framings(initialised):
                with self.subTest(what), (self.session if initialised else self.enclave.client)() as c:
                    try:
                        c.send_raw(data)
                        c.socket.shutdown(socket.SHUT_WR)
                    except (BrokenPipeError, ConnectionResetError):
                        pass  # it has said what it thinks, and hung up
                    if answered:
                        self.assertIsNone(wrong_frames.judge(what, c.receive_body(), "a frame" not in what))
                    while not c.closed():
                        pass
                    self.tearDown()

    def test_byte_by_byte(self):
        for name in wrong_frames.REQUESTS:
            data = wrong_frames.body(name)
            with self.subTest(name), self.enclave.client() as c:
                for byte in struct.pack(">I", len(data)) + data:
                    c.send_raw(bytes([byte]))
                self.assertIsNone(wrong_frames.judge(name, c.receive_body(), name not in ("Initialize", "Describe")))


if __name__ == "__main__":
    unittest.main()
