# SPDX-License-Identifier: Apache-2.0
"""test_rogue_enclave.py with an enclave of the original kind, which knows no
ids: order and signatures are all that there is to go by."""

import unittest

import test_rogue_enclave


class RogueOriginal(test_rogue_enclave.Rogue):
    original = True


if __name__ == "__main__":
    unittest.main()
