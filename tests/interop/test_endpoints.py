# SPDX-License-Identifier: Apache-2.0
"""Endpoints of every service and region that botocore knows, by botocore's own
rules: plain, FIPS, dual-stack, both."""
import json
import os
import subprocess
import sys
import unittest

from claviger_testing.process import skip

try:
    import botocore.session
    from botocore.endpoint_provider import EndpointProvider
    from botocore.exceptions import EndpointProviderError
except ImportError:
    skip("this botocore has no endpoint rules")

TOOL = os.path.join(os.environ["CV_BUILD_DIR"], "tests", "sigv4_tool")


class Endpoints(unittest.TestCase):
    def test_all(self):
        loader = botocore.session.Session().get_component("data_loader")
        partitions = loader.load_data("partitions")
        # Newer partitions than our spec knows are not ours to answer for.
        regions = [r for p in partitions["partitions"] if p["id"] in (
            "aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc")
            for r in p["regions"] if not r.endswith("global")]
        self.assertGreater(len(regions), 25)
        tool = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(tool.stdout.close)
        for service in ("kms", "dynamodb", "s3", "sts"):
            rules = EndpointProvider(loader.load_service_model(service, "endpoint-rule-set-1"), partitions)
            for region in regions:
                for fips in (False, True):
                    for dual in (False, True):
                        want = {"Region": region, "UseFIPS": fips, "UseDualStack": dual}
                        if service == "sts":
                            want["UseGlobalEndpoint"] = False
                        try:
                            host = rules.resolve_endpoint(**want).url.removeprefix("https://")
                        except EndpointProviderError:
                            host = ""
                        tool.stdin.write(json.dumps({"endpoint": service, "region": region, "fips": fips, "dual": dual})
                                         + "\n")
                        tool.stdin.flush()
                        got = json.loads(tool.stdout.readline())["host"]
                        with self.subTest(service=service, region=region, fips=fips, dual=dual):
                            self.assertEqual(got, host)
        tool.stdin.close()
        self.assertEqual(tool.wait(20), 0)


if __name__ == "__main__":
    sys.exit(unittest.main())
