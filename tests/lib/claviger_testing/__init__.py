# SPDX-License-Identifier: Apache-2.0
"""What the system tests, the interop tests and the demo share.

Nothing here uses Claviger's own code: encodings and verification are made
from the specifications, with Python's hashlib, cryptography and py_ecc.
"""
