# SPDX-License-Identifier: Apache-2.0
"""The parser of requests to sign against an independent one (tezos_request.py)
on random requests and damaged ones, and against the shared vectors."""

import pathlib
import random
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import tezos_request
from helpers import Helper, shared_vectors


class Requests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.helper = Helper("request_helper")

    @classmethod
    def tearDownClass(cls):
        cls.helper.close()

    def compare(self, data):
        """Both agree on DATA; returns whether it is accepted."""
        got = self.helper.ask(data.hex())
        try:
            expected = tezos_request.parse(data)
        except tezos_request.UnknownTag as e:
            self.assertEqual(got, f"error -12 gotez: unknown tag {e.args[0]}", data.hex())
            return False
        except tezos_request.Bad as e:
            self.assertRegex(got, "^error -", f"{e}: {data.hex()}")
            self.assertNotIn("unknown tag", got, f"{e}: {data.hex()}")
            return False
        self.assertEqual(got, expected, data.hex())
        return True

    def test_every_operation_alone(self):
        maker = tezos_request.Maker(random.Random(1))
        for tag in tezos_request.NAMES:
            for _ in range(30):
                operation = maker.operation(tag)
                data = b"\3" + bytes(32) + operation
                self.assertTrue(self.compare(data), (tag, data.hex()))
                self.compare(data + b"\0")
                accepted = [n for n in range(len(data)) if self.compare(data[:n])]
                # only a proof that is younger than its operation may be missing
                self.assertLessEqual(len(accepted), 1 if tag in (107, 114) else 0, data.hex())

    def test_random_requests_and_damaged_ones(self):
        maker = tezos_request.Maker(random.Random(2))
        accepted = 0
        for _ in range(4000):
            data = maker.request()
            self.assertTrue(self.compare(data), data.hex())
            for _ in range(4):
                accepted += self.compare(maker.mutate(data))
        self.assertGreater(accepted, 1000)  # damage in free fields passes
        self.assertLess(accepted, 12000)

    def test_noise(self):
        source = random.Random(3)
        for _ in range(3000):
            head = source.choice([b"", b"\3" + bytes(32), b"\5", b"\x11", b"\x12", b"\x13"])
            self.compare(head + source.randbytes(source.randrange(120)))

    def test_tags(self):
        for magic in range(256):
            self.compare(bytes([magic]) + bytes(200))
            self.compare(b"\3" + bytes(32) + bytes([magic]) + bytes(300))
            self.compare(b"\5" + bytes([magic]) + bytes(20))
            for request in (b"\x12", b"\x13"):
                self.compare(request + bytes(36) + bytes([magic]) + bytes(42))

    def test_depth(self):
        for depth in (1, 998, 999, 1000, 1001, 5000):
            nested = b"\3\0"
            for _ in range(depth):
                nested = b"\5\0" + nested
            self.assertEqual(self.compare(b"\5" + nested), depth < 1000)
            leaf = b"\0\1"
            for _ in range(depth):
                leaf = b"\2" + struct.pack(">I", len(leaf)) + leaf
            self.assertEqual(self.compare(b"\5" + leaf), depth <= 1000)

    def test_numbers(self):
        head = b"\3" + bytes(32) + b"\x70" + bytes(21)
        tail = bytes(3) + b"\0"
        for number, ok in ((b"\0", True), (b"\x80\0", False), (b"\x81\x80\0", False),
                           (b"\x80\1", True), (b"\xff" * 31 + b"\1", True),
                           (b"\xff" * 32 + b"\1", False), (b"\xff" * 9 + b"\1", True),
                           (b"\xff" * 9 + b"\2", True)):
            self.assertEqual(self.compare(head + number + tail), ok, number.hex())
        for number, ok in ((b"\0", True), (b"\x40", False), (b"\xc0\0", False), (b"\xc0\1", True),
                           (b"\x80" * 4095 + b"\1", True), (b"\x80" * 4096 + b"\1", False)):
            self.assertEqual(self.compare(b"\5\0" + number), ok, number[:9].hex())


class SharedVectors(Requests):
    """The shared vectors; the random tests are not repeated."""

    @classmethod
    def setUpClass(cls):
        cls.vectors = shared_vectors("tezos-vectors.json")
        if cls.vectors is None:
            raise unittest.SkipTest("SKIPPED: the shared vectors are not here")
        super().setUpClass()

    for name in [n for n in dir(Requests) if n.startswith("test_")]:
        locals()[name] = None
    del name

    def operations(self, answer):
        return [part.split("/")[0] for part in answer.split(" ")[5].split(",")]

    def test_requests(self):
        for case in self.vectors["sign_requests"]:
            data = bytes.fromhex(case["hex"])
            self.compare(data)
            answer = self.helper.ask(case["hex"])
            expect = case.get("expect")
            if case["profile"] == "022":
                # "version" chooses a ciphersuite, never another parser
                kind = "attestation_with_dal" if data[37] == 23 else "attestation"
                self.assertEqual(answer.split(" ")[0], kind)
            elif expect is None:
                self.assertEqual(answer, f"error -12 gotez: {case['expect_error']}")
            elif not case["strict_ok"]:
                self.assertRegex(answer, "^error -3 ")
            else:
                kind, chain, level, round_, tag, _ = answer.split(" ")
                self.assertEqual(kind, expect["kind"], case["title"])
                if "level" in expect:
                    self.assertEqual((chain, int(level), int(round_), int(tag)),
                                     (expect["chain_id_hex"], expect["level"], expect["round"],
                                      expect.get("op_tag", 0)))
                if "operations" in expect:
                    self.assertEqual(self.operations(answer), expect["operations"])

    def test_single_operations(self):
        for case in self.vectors["single_operations"]:
            data = b"\3" + bytes(32) + bytes.fromhex(case["hex"])
            self.compare(data)
            answer = self.helper.ask(data.hex())
            if "kind_024" in case:
                self.assertEqual(self.operations(answer), [case["kind_024"]])
            else:
                self.assertRegex(answer, "^error ")
                if case["error_024"].startswith("unknown tag"):
                    self.assertIn(case["error_024"], answer)

    def test_policy(self):
        for case in self.vectors["policy_cases"]:
            lists = [",".join(case[k]) or "-" for k in ("allowed_requests", "allowed_ops")]
            got = self.helper.ask(f"policy {' '.join(lists)} {case['message_hex']}")
            self.assertEqual(got, case["expected_error"] or "allowed", case["title"])

    def test_fitness(self):
        header = next(bytes.fromhex(c["hex"]) for c in self.vectors["sign_requests"]
                      if c["title"] == "block")
        old = struct.unpack(">I", header[83:87])[0]
        for case in self.vectors["fitness_round"]:
            fitness = bytes.fromhex(case["fitness_hex"])
            level = fitness[9:13]
            data = (header[:5] + level + header[9:83] + struct.pack(">I", len(fitness)) + fitness +
                    header[87 + old:])
            self.assertTrue(self.compare(data))
            self.assertEqual(int(self.helper.ask(data.hex()).split(" ")[3]), case["round"])


if __name__ == "__main__":
    unittest.main()
