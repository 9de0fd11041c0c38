# SPDX-License-Identifier: Apache-2.0
"""The official Amazon S3 Encryption Client for Python, driven by one JSON line
on standard input; run by test_s3_encryption_client.py in a Python that has it."""

import base64
import json
import sys

import boto3
from botocore.config import Config
from s3_encryption import S3EncryptionClient, S3EncryptionClientConfig
from s3_encryption.materials.kms_keyring import KmsKeyring
from s3_encryption.materials.materials import AlgorithmSuite, CommitmentPolicy


def main():
    ask = json.load(sys.stdin)
    common = {"region_name": ask["region"], "aws_access_key_id": ask["key_id"], "aws_secret_access_key": ask["secret"]}
    kms = boto3.client("kms", endpoint_url=ask["kms"], verify=ask["ca"], **common)
    s3 = boto3.client("s3", endpoint_url=ask["s3"], config=Config(
        s3={"addressing_style": "path"}, request_checksum_calculation="when_required",
        response_checksum_validation="when_required"), **common)
    suite = {3: AlgorithmSuite.ALG_AES_256_GCM_HKDF_SHA512_COMMIT_KEY, 2: AlgorithmSuite.ALG_AES_256_GCM_IV12_TAG16_NO_KDF}
    policy = (CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT if ask["format"] == 3
              else CommitmentPolicy.FORBID_ENCRYPT_ALLOW_DECRYPT)
    client = S3EncryptionClient(s3, S3EncryptionClientConfig(
        keyring=KmsKeyring(kms, ask["cmk"]), encryption_algorithm=suite[ask["format"]], commitment_policy=policy))
    where = {"Bucket": ask["bucket"], "Key": ask["key"], "EncryptionContext": ask["context"]}
    if ask["do"] == "put":
        client.put_object(Body=base64.b64decode(ask["body"]), **where)
        print("{}")
    else:
        print(json.dumps({"body": base64.b64encode(client.get_object(**where)["Body"].read()).decode()}))


main()
