# SPDX-License-Identifier: Apache-2.0
"""The metrics as Prometheus sees them: read by its Python client's parser, and
by promtool where that is installed, with the alert rules."""

import os
import pathlib
import shutil
import subprocess
import unittest

from claviger_testing import process, tezos
from claviger_testing.fake_enclave import public_key
from claviger_testing.fake_stack import FakeStack

process.need("claviger")
try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    process.skip("python3-prometheus-client is not installed")
try:
    import yaml
except ImportError:
    yaml = None

ROOT = pathlib.Path(os.environ["CV_SOURCE_DIR"])
UNKNOWN = "tz1Ke2h7sDdakHJQh8WX4Z372du1KChsksyU"

# Signatory's, with the labels that dashboards made for it select by.
SIGNATORY = {
    "signing_ops_total": ("counter", {"address", "vault", "op", "kind", "chain_id"}),
    "vault_sign_request_duration_milliseconds": ("histogram", {"vault", "address", "op", "chain_id"}),
    "vault_sign_request_error_total": ("counter", {"vault", "code", "chain_id"}),
    "sign_handler_request_duration_milliseconds": ("histogram", {"address", "status"}),
    "sign_handler_requests_total": ("counter", {"address", "status"}),
    "consensus_round_total": ("counter", {"address", "operation_type", "chain_id", "round"}),
    "policy_violation_total": ("counter", {"violation_type", "address", "operation_type"}),
    "watermark_rejection_total": ("counter", {"address", "operation_type", "chain_id", "reason"}),
    "authentication_failure_total": ("counter", {"status", "auth_method", "client_ip"}),
    "watermark_operations_total": ("counter", {"result", "backend", "request_type"}),
    "watermark_operation_duration_seconds": ("histogram", {"backend"}),
    "watermark_io_operations_total": ("counter", {"backend", "operation", "table_name", "result"}),
    "watermark_io_latency_seconds": ("histogram", {"backend", "operation", "table_name"}),
    "watermark_io_errors_total": ("counter", {"backend", "error_type", "table_name", "operation"}),
    "signatory_build_info": ("gauge", {"path", "version", "checksum", "revision", "branch"}),
}
BUCKETS = {
    "vault_sign_request_duration_milliseconds": [10, 100, 1e3, 1e4, 1e5],
    "sign_handler_request_duration_milliseconds": [10, 100, 1e3, 1e4, 1e5],
    "watermark_operation_duration_seconds": [0.001 * 2 ** k for k in range(10)],
    "watermark_io_latency_seconds": [0.0001 * 2 ** k for k in range(14)],
}


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        client = tezos.encode("edpk", public_key("Ed25519", b"c" * 32))
        from claviger_testing.fake_enclave import sign
        with FakeStack(server={"authorized_keys": [client]}) as s:
            cls.key = s.generate("tz1")
            pkh = cls.pkh = cls.key["public_key_hash"]
            s.allow(pkh)
            s.serve()

            def ask(message):
                proof = sign("Ed25519", b"c" * 32, b"\x04\x01" + tezos.key_hash_bytes(pkh) + message, 2)
                return s.sign(pkh, message, "?authentication=" + tezos.encode("edsig", proof)).status

            statuses = [ask(tezos.block(7, 1)), ask(tezos.block(6, 0)), ask(b"\x05\x00\x00"), ask(b"\x17"),
                        ask(tezos.transaction(pkh, UNKNOWN, 1)), s.sign(pkh, tezos.block(8, 0)).status]
            assert statuses == [200, 409, 403, 400, 200, 401], statuses
            # A label with characters that must be escaped.
            s.request("POST", '/keys/%22%5C%0A', '"03"')
            s.utility("/healthz")
            cls.answer = s.utility("/metrics")
            cls.again = s.utility("/metrics")
        cls.text = cls.answer.body.decode()
        cls.families = {f.name: f for f in text_string_to_metric_families(cls.text)}

    def family(self, name, kind):
        return self.families[name[:-6] if kind == "counter" else name]

    def test_content_type(self):
        self.assertEqual(self.answer.headers["Content-Type"].replace(" ", "").split(";")[:2],
                         ["text/plain", "version=0.0.4"])
        self.assertTrue(self.text.endswith("\n"))

    def test_signatory(self):
        for name, (kind, labels) in SIGNATORY.items():
            with self.subTest(name):
                family = self.family(name, kind)
                self.assertEqual(family.type, kind)
                self.assertTrue(family.documentation)
                self.assertTrue(family.samples)
                for sample in family.samples:
                    self.assertEqual(set(sample.labels) - {"le"}, labels)

    def test_buckets(self):
        for name, bounds in BUCKETS.items():
            with self.subTest(name):
                samples = self.families[name].samples
                first = {k: v for k, v in samples[0].labels.items() if k != "le"}
                mine = [s for s in samples if {k: v for k, v in s.labels.items() if k != "le"} == first]
                buckets = [s for s in mine if s.name == name + "_bucket"]
                self.assertEqual([float(s.labels["le"]) for s in buckets], [*bounds, float("inf")])
                counts = [s.value for s in buckets]
                self.assertEqual(counts, sorted(counts))
                total = [s.value for s in mine if s.name == name + "_count"]
                self.assertEqual(total, [counts[-1]])
                self.assertEqual(len([s for s in mine if s.name == name + "_sum"]), 1)

    def test_values(self):
        chain = tezos.chain_text()
        for name, labels, value in (
                ("signing_ops_total", {"address": self.pkh, "vault": "NitroEnclave", "op": "block", "kind": "",
                                       "chain_id": chain}, 1),
                ("signing_ops_total", {"address": self.pkh, "vault": "NitroEnclave", "op": "generic",
                                       "kind": "transaction", "chain_id": ""}, 1),
                ("consensus_round_total", {"address": self.pkh, "operation_type": "block", "chain_id": chain, "round": "1"}, 1),
                ("sign_handler_requests_total", {"address": self.pkh, "status": "200"}, 2),
                ("sign_handler_requests_total", {"address": self.pkh, "status": "401"}, 1),
                ("sign_handler_requests_total", {"address": "unknown", "status": "400"}, 1),
                ("vault_sign_request_error_total", {"vault": "NitroEnclave", "code": "409", "chain_id": chain}, 1),
                ("authentication_failure_total", {"status": "401", "auth_method": "authentication", "client_ip": ""}, 1),
                ("policy_violation_total", {"violation_type": "pack", "address": self.pkh, "operation_type": "request"}, 1),
                ("watermark_operations_total", {"result": "rejected", "backend": "file", "request_type": "block"}, 1),
                ("watermark_io_errors_total", {"backend": "file", "error_type": "io", "table_name": "",
                                               "operation": "write"}, 0)):
            with self.subTest(name, **labels):
                samples = self.family(name, "counter").samples
                self.assertEqual([s.value for s in samples if s.labels == labels], [value])

    def test_process(self):
        for name in ("process_resident_memory_bytes", "process_start_time_seconds", "process_cpu_seconds",
                     "process_open_fds", "process_max_fds", "process_virtual_memory_bytes"):
            self.assertIn(name, self.families)
            self.assertGreater(self.families[name].samples[0].value, 0)

    def test_promtool(self):
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("promtool is not installed")
        done = subprocess.run([promtool, "check", "metrics"], input=self.text, capture_output=True, text=True,
                              timeout=60, check=False)
        # Its advice on names (units) is not ours to take: they are Signatory's.
        self.assertNotIn("error", done.stderr.lower())
        subprocess.run([promtool, "check", "rules", ROOT / "packaging" / "prometheus-alerts.yaml"], check=True, timeout=60)


class Rules(unittest.TestCase):
    def test_alerts_are_documented(self):
        if yaml is None:
            self.skipTest("python3-yaml is not installed")
        doc = yaml.safe_load((ROOT / "packaging" / "prometheus-alerts.yaml").read_text())
        operating = (ROOT / "docs" / "operating.md").read_text()
        rules = [r for g in doc["groups"] for r in g["rules"]]
        self.assertGreater(len(rules), 5)
        for rule in rules:
            self.assertIn(f"`{rule['alert']}`", operating)
            self.assertTrue(rule["expr"])
            self.assertIn(rule["labels"]["severity"], ("critical", "warning"))
            self.assertTrue(rule["annotations"]["summary"])


if __name__ == "__main__":
    unittest.main()
