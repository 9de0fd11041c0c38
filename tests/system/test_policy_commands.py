# SPDX-License-Identifier: Apache-2.0
"""claviger policy create and explain: written from images, installed in the
local KMS, and explained as that KMS then decides."""

import json
import os
import pathlib
import subprocess
import tempfile
import types
import unittest

from claviger_testing.kms import Kms, client, raw, recipient
from claviger_testing.process import bin_dir, need, run
from claviger_testing.stack import Stack

need("claviger", "claviger-local", "claviger-enclave-dev")

CLAVIGER = bin_dir() / "claviger"
VECTORS = pathlib.Path(os.environ["CV_VECTORS"])
ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/app/one"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
PCR = {"a": "aa" * 48, "b": "bb" * 48, "0": "00" * 48}


def policy(*arguments, stdin=None):
    return subprocess.run([CLAVIGER, *map(str, arguments)], input=stdin, capture_output=True, text=True,
                          timeout=30)


def policy_of(*statements):
    return {"Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Resource": "*", **({} if "Action" in s else {"Action": "kms:*"}), **s}
                          for s in statements]}


class Create(unittest.TestCase):
    def create(self, *arguments):
        done = policy("policy", "create", *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def refused(self, word, *arguments, status=2):
        done = policy("policy", "create", *arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertIn(word, done.stderr)
        self.assertEqual(done.stdout, "")

    def conditions(self, document, sid="EnclaveMayUse"):
        statement = next(s for s in document["Statement"] if s["Sid"] == sid)
        return statement["Condition"]["StringEqualsIgnoreCase"]

    def answers(self, name):
        measured = json.loads(policy("--json", "eif", "pcr", VECTORS / "eif" / name).stdout)
        return measured["Measurements"]

    def test_from_an_image(self):
        image = VECTORS / "eif" / "signed-secp384r1.eif"
        wanted = self.answers("signed-secp384r1.eif")
        made = self.create("--principal", ROLE, "--eif", image)
        self.assertEqual(self.conditions(made), {"kms:RecipientAttestation:PCR0": wanted["PCR0"]})
        made = self.create("--principal", ROLE, "--eif", image, "--use", "0,1,2,8")
        self.assertEqual(self.conditions(made),
                         {f"kms:RecipientAttestation:PCR{n}": wanted[f"PCR{n}"] for n in (0, 1, 2, 8)})
        sids = {s["Sid"] for s in made["Statement"]}
        self.assertEqual(sids, {"Administration", "EnclaveMayUse", "DenyOtherPCR0", "DenyOtherPCR1",
                                "DenyOtherPCR2", "DenyOtherPCR8", "DenyDetours", "DenyEncrypt"})

    def test_from_a_measurement_file(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"Measurements": {"HashAlgorithm": "Sha384 { ... }", "PCR0": PCR["a"],
                                        "PCR1": PCR["b"], "PCR2": PCR["b"]}}, file)
            file.flush()
            made = self.create("--principal", ROLE, "--pcrs", file.name)
            self.assertEqual(self.conditions(made), {"kms:RecipientAttestation:PCR0": PCR["a"]})
            self.refused("does not name register 8", "--principal", ROLE, "--pcrs", file.name, "--use", "0,8")

    def test_role_instance_certificate(self):
        # The registers that AWS documents for them, computed here.
        import hashlib

        def extend(data):
            return hashlib.sha384(bytes(48) + data).hexdigest()
        made = self.create("--role-arn", ROLE, "--instance-id", "i-0123456789abcdef0", "--pcr", f"0={PCR['a']}")
        self.assertEqual(self.conditions(made), {
            "kms:RecipientAttestation:PCR0": PCR["a"],
            "kms:RecipientAttestation:PCR3": extend(ROLE.encode()),
            "kms:RecipientAttestation:PCR4": extend(b"i-0123456789abcdef0")})
        self.assertEqual(made["Statement"][1]["Principal"]["AWS"], ROLE)
        done = policy("policy", "create", "--role-arn", ROLE)
        self.assertEqual(done.returncode, 0)
        self.assertIn("no register of an image", done.stderr)

    def test_upgrade(self):
        one, two = VECTORS / "eif" / "plain.eif", VECTORS / "eif" / "three-ramdisks-arm64.eif"
        made = self.create("--principal", ROLE, "--eif", one, "--eif", two)
        self.assertEqual(sorted(self.conditions(made)["kms:RecipientAttestation:PCR0"]),
                         sorted([self.answers("plain.eif")["PCR0"], self.answers("three-ramdisks-arm64.eif")["PCR0"]]))

    def test_administrators_and_encrypt(self):
        made = self.create("--principal", ROLE, "--pcr", f"0={PCR['a']}", "--admin",
                           f"arn:aws:iam::{ACCOUNT}:role/Admin", "--allow-encrypt", "--context", "purpose=boot")
        statements = {s["Sid"]: s for s in made["Statement"]}
        self.assertEqual(statements["Administration"]["Principal"]["AWS"], [f"arn:aws:iam::{ACCOUNT}:role/Admin"])
        self.assertEqual(statements["EncryptForVersion1"]["Action"], "kms:Encrypt")
        self.assertNotIn("DenyEncrypt", statements)
        self.assertEqual(statements["EnclaveMayUse"]["Condition"]["StringEquals"],
                         {"kms:EncryptionContext:purpose": "boot"})

    def test_publishers(self):
        publisher = f"arn:aws:iam::{ACCOUNT}:role/Publisher"
        made = self.create("--principal", ROLE, "--pcr", f"0={PCR['a']}", "--publisher", publisher, "--context",
                           "app=web")
        statements = {s["Sid"]: s for s in made["Statement"]}
        self.assertEqual(statements["EnclaveMayUse"]["Action"], "kms:Decrypt")
        self.assertEqual(statements["DenyOtherPCR0"]["Action"], ["kms:Decrypt", "kms:DeriveSharedSecret"])
        self.assertEqual(statements["PublishersMayEncrypt"],
                         {"Sid": "PublishersMayEncrypt", "Effect": "Allow", "Principal": {"AWS": publisher},
                          "Action": "kms:GenerateDataKey", "Resource": "*",
                          "Condition": {"StringEquals": {"kms:EncryptionContext:app": "web"}}})
        self.assertEqual(statements["DenyOtherPublishers"]["Condition"],
                         {"ArnNotEquals": {"aws:PrincipalArn": publisher}})
        self.refused("publisher is no ARN", "--principal", ROLE, "--pcr", f"0={PCR['a']}", "--publisher", "me",
                     status=1)

    def test_refused(self):
        self.refused("nothing says which enclave", "--principal", ROLE)
        self.refused("96 hex digits", "--principal", ROLE, "--pcr", "0=ab")
        self.refused("debug", "--principal", ROLE, "--pcr", f"0={PCR['0']}")
        self.create("--principal", ROLE, "--pcr", f"0={PCR['0']}", "--allow-debug")
        self.refused("--use", "--principal", ROLE, "--pcr", f"0={PCR['a']}", "--use", "0,x")
        self.refused("NAME=VALUE", "--principal", ROLE, "--pcr", f"0={PCR['a']}", "--context", "x")
        self.refused("no principal", "--pcr", f"0={PCR['a']}", status=1)
        self.refused("principal is no ARN", "--principal", "me", "--pcr", f"0={PCR['a']}", status=1)
        self.refused("", "--principal", ROLE, "--eif", "/nonexistent", status=1)

    def test_output_file(self):
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "policy.json"
            done = policy("policy", "create", "--principal", ROLE, "--pcr", f"0={PCR['a']}", "-o", out)
            self.assertEqual((done.returncode, done.stdout), (0, ""))
            json.loads(out.read_text())


class Explain(unittest.TestCase):
    def test_words_and_traps(self):
        default = json.dumps({"Version": "2012-10-17", "Statement": [
            {"Sid": "Enable IAM User Permissions", "Effect": "Allow", "Principal": {"AWS": ROOT},
             "Action": "kms:*", "Resource": "*"}]})
        done = policy("policy", "explain", "-", stdin=default)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"allows {ROOT} kms:*", done.stdout)
        self.assertIn("[unattested-decrypt]", done.stdout)
        codes = [w["code"] for w in json.loads(policy("--json", "policy", "explain", "-", stdin=default).stdout)["warnings"]]
        self.assertIn("grant", codes)

    def test_refused(self):
        for stdin, word in (("{}", "Statement"), ("x", "JSON"), ("", "JSON")):
            done = policy("policy", "explain", "-", stdin=stdin)
            self.assertEqual(done.returncode, 1)
            self.assertIn(word, done.stderr)
        self.assertEqual(policy("policy", "explain").returncode, 2)
        self.assertEqual(policy("policy", "explain", "-", "--action", "kms:Decrypt", stdin="{}").returncode, 1)
        self.assertEqual(policy("policy", "explain", "-", "--attribute", "x", "--action", "kms:Decrypt",
                                stdin=json.dumps(policy_of({"Principal": "*"}))).returncode, 2)

    def requests(self, document, *arguments, status=0):
        done = policy("--json", "policy", "explain", "-", *arguments, stdin=json.dumps(document))
        self.assertEqual(done.returncode, status, done.stderr)
        return {(r["principal"], r["action"], r["attested"]): r["decision"] for r in json.loads(done.stdout)["requests"]}

    def test_nobody_named(self):
        """An enclave alone: each principal of the policy is asked for."""
        bound = {"Condition": {"StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": PCR["a"]}}}
        user = f"arn:aws:iam::{ACCOUNT}:user/path/alice"
        document = policy_of({"Principal": {"AWS": [ACCOUNT, user]}, "Action": "kms:Put*"},
                             {"Principal": {"AWS": [ROLE, user]}, "Action": "kms:Decrypt", **bound},
                             {"Effect": "Deny", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/mallory"}})
        got = self.requests(document, "--pcr", f"0={PCR['a']}")
        self.assertEqual({k[0] for k in got}, {ROOT, user, ROLE})
        self.assertEqual([got[w, "kms:Decrypt", True] for w in (ROLE, user, ROOT)], ["allowed", "allowed", "denied"])
        self.assertEqual({got[w, "kms:Decrypt", False] for w in (ROLE, user, ROOT)}, {"denied"})
        self.requests(document, "--pcr", f"0={PCR['a']}", "--action", "kms:Decrypt")
        self.requests(document, "--pcr", f"0={PCR['b']}", "--action", "kms:Decrypt", status=1)
        everybody = self.requests(policy_of({"Principal": "*", **bound}), "--pcr", f"0={PCR['a']}")
        self.assertTrue(everybody)
        self.assertEqual({d for k, d in everybody.items() if not k[2]}, {"denied"})

    def test_attributes(self):
        """Condition keys that KMS has from the network, and those it always has."""
        document = policy_of({"Principal": {"AWS": ROLE}, "Action": "kms:Decrypt", "Condition": {
            "StringEquals": {"aws:SourceVpce": ["vpce-1", "vpce-2"], "kms:EncryptionAlgorithm": "SYMMETRIC_DEFAULT"},
            "Bool": {"aws:SecureTransport": "true", "aws:ViaAWSService": "false"},
            "DateGreaterThan": {"aws:CurrentTime": "2020-01-01"}, "NumericGreaterThan": {"aws:EpochTime": 1000}}},
            {"Effect": "Deny", "Principal": "*", "Condition": {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}})
        ask = ["--principal", ROLE, "--action", "kms:Decrypt"]
        good = ["--attribute", "aws:SourceVpce=vpce-2", "--attribute", "aws:sourceip=10.1.2.3"]
        self.requests(document, *ask, *good)
        self.requests(document, *ask, *good[2:], status=1)
        self.requests(document, *ask, *good[:2], status=1)
        self.requests(document, *ask, *good, "--attribute", "aws:SecureTransport=false", status=1)
        self.requests(document, *ask, *good, "--attribute", "aws:CurrentTime=2019-06-01T00:00:00Z", status=1)
        named = policy_of({"Principal": {"AWS": ACCOUNT}, "Action": "kms:Decrypt", "Condition": {
            "StringLike": {"aws:username": "al?c*"}, "StringEquals": {"aws:PrincipalType": "User"}}})
        allow = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}})
        with tempfile.NamedTemporaryFile("w") as identity:
            identity.write(allow)
            identity.flush()
            for name, status in (("alice", 0), ("team/alice", 0), ("bob", 1)):
                self.requests(named, "--principal", f"arn:aws:iam::{ACCOUNT}:user/{name}", "--action", "kms:Decrypt",
                              "--identity-policy", identity.name, status=status)


STATEMENTS = {
    "root": {"Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:*", "Resource": "*"},
    "role": {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": ["kms:Decrypt", "kms:Encrypt"], "Resource": "*"},
    "all": {"Effect": "Allow", "Principal": "*", "Action": "kms:*", "Resource": "*"},
    "attested": {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "kms:*", "Resource": "*", "Condition": {
        "StringEqualsIgnoreCase": {"kms:RecipientAttestation:ImageSha384": PCR["a"].upper()}}},
    "exact": {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "kms:*", "Resource": "*", "Condition": {
        "StringEquals": {"kms:RecipientAttestation:PCR0": PCR["a"].upper()}}},
    "ifexists": {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "kms:*", "Resource": "*", "Condition": {
        "StringLikeIfExists": {"kms:RecipientAttestation:PCR0": "aa*"}}},
    "deny": {"Effect": "Deny", "Principal": "*", "Action": "kms:Decrypt", "Resource": "*", "Condition": {
        "StringNotEqualsIgnoreCase": {"kms:RecipientAttestation:PCR0": PCR["a"]}}},
    "null": {"Effect": "Deny", "Principal": {"AWS": ROLE}, "NotAction": "kms:Encrypt", "Resource": "*", "Condition": {
        "Null": {"kms:RecipientAttestation:ImageSha384": "true"}}},
    "context": {"Effect": "Allow", "Principal": {"AWS": ROLE}, "Action": "kms:Decrypt", "Resource": "*", "Condition": {
        "StringEquals": {"kms:EncryptionContext:App": "x"},
        "ForAllValues:StringEquals": {"kms:EncryptionContextKeys": ["App", "Env"]}}},
}
MIXES = [["root"], ["role"], ["all"], ["attested"], ["exact"], ["ifexists"], ["context"], ["all", "deny"],
         ["role", "null"], ["role", "deny"], ["ifexists", "deny"], ["root", "attested", "null"]]


class AsTheKmsDecides(unittest.TestCase):
    """Every mix of statements, every request: one verdict from both."""

    @classmethod
    def setUpClass(cls):
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.dir = pathlib.Path(cls.folder.name)
        with Kms(cls.dir) as first:
            state = json.loads(first.state.read_text())
        state["principals"].append({"access_key_id": "ASIAAPP0000000000001", "secret_access_key": "s" * 40,
                                    "session_token": "t", "arn": SESSION, "role_arn": ROLE})
        first.state.write_text(json.dumps(state))
        spki = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        (cls.dir / "spki").write_bytes(spki)
        for name in ("a", "b"):
            run([bin_dir() / "claviger-local", "nsm", "--dir", cls.dir / "nsm", "--pcr0", PCR[name],
                 "--document", cls.dir / f"document-{name}", "--public-key", cls.dir / "spki"])
        cls.kms = Kms(cls.dir, "--root", cls.dir / "nsm" / "root.pem")
        cls.addClassCleanup(cls.kms.stop)
        cls.root, cls.app = cls.kms.principals()
        cls.admin = client(cls.kms, cls.root)
        cls.key = cls.admin.create_key()["KeyMetadata"]
        cls.blob = {json.dumps(c): cls.admin.encrypt(KeyId=cls.key["KeyId"], Plaintext=b"x",
                                                     EncryptionContext=c)["CiphertextBlob"]
                    for c in ({}, {"App": "x"}, {"App": "x", "Other": "y"})}

    def kms_allows(self, who, context, document):
        import base64
        call = {"CiphertextBlob": base64.b64encode(self.blob[json.dumps(context)]).decode(),
                "EncryptionContext": context}
        if document:
            call["Recipient"] = recipient((self.dir / f"document-{document}").read_bytes())
        reply = raw(self.kms, who, "Decrypt", call)
        self.assertIn(reply.error(), ("", "AccessDeniedException"), reply.body)
        return reply.status == 200

    def explain_allows(self, text, principal, context, document):
        arguments = ["--json", "policy", "explain", "-", "--principal", principal, "--key", self.key["Arn"],
                     "--action", "kms:Decrypt"]
        for name, value in context.items():
            arguments += ["--context", f"{name}={value}"]
        if document:
            arguments += ["--document", self.dir / f"document-{document}"]
        done = policy(*arguments, stdin=text)
        self.assertIn(done.returncode, (0, 1), done.stderr)
        requests = json.loads(done.stdout)["requests"]
        asked = next(r for r in requests if r["attested"] == bool(document))
        self.assertEqual(done.returncode == 0, asked["decision"] == "allowed")
        return asked["decision"] == "allowed"

    def test_all(self):
        # The account root, who writes the policies, keeps the right to do so.
        keep = {"Sid": "Keep", "Effect": "Allow", "Principal": {"AWS": ROOT}, "Action": "kms:PutKeyPolicy",
                "Resource": "*"}
        seen = set()
        for mix in MIXES:
            text = json.dumps({"Version": "2012-10-17", "Statement": [keep] + [STATEMENTS[m] for m in mix]})
            self.admin.put_key_policy(KeyId=self.key["KeyId"], PolicyName="default", Policy=text)
            for who, principal in ((self.app, ROLE), (self.root, ROOT)):
                for context in ({}, {"App": "x"}, {"App": "x", "Other": "y"}):
                    for document in (None, "a", "b"):
                        with self.subTest(mix=mix, who=principal, context=context, document=document):
                            decided = self.kms_allows(who, context, document)
                            explained = self.explain_allows(text, principal, context, document)
                            if principal == ROOT:
                                # Its own IAM policies, which the root needs none of.
                                self.assertTrue(decided or not explained)
                            else:
                                self.assertEqual(explained, decided)
                            seen.add((principal, decided))
        self.assertEqual(len(seen), 4)


class WithAnEnclave(unittest.TestCase):
    def test_created_policy_is_enough(self):
        with tempfile.TemporaryDirectory(prefix="cv-pol-") as folder:
            with Stack(pathlib.Path(folder) / "s") as stack:
                stack.up()
                state = json.loads((stack.dir / "kms.json").read_text())
                measured = json.loads(state["keys"][0]["policy"])["Statement"][1]["Condition"][
                    "StringEqualsIgnoreCase"]["kms:RecipientAttestation:ImageSha384"]
                role = state["principals"][1]["role_arn"]
                address = json.loads((stack.dir / "pids.json").read_text())["kms"]["address"]
                admin = client(types.SimpleNamespace(endpoint="https://" + address.removeprefix("tcp:"),
                                                     ca=stack.dir / "ca.pem", region=lambda: state["region"]),
                               state["principals"][0])

                def install(*arguments):
                    made = run([CLAVIGER, "policy", "create", "--principal", role, *arguments])
                    admin.put_key_policy(KeyId=state["keys"][0]["id"],
                                         PolicyName="default", Policy=made.stdout)
                install("--pcr", f"0={measured}", "--role-arn", role)
                stack.generate("tz1")
                self.assertEqual(len(json.loads(stack.cli("--json", "list").stdout)), 1)
                install("--pcr", f"0={PCR['a']}")
                self.assertIn("AccessDenied", stack.cli("list", check=False).stderr)
                install("--pcr", f"0={measured}", "--pcr", f"3={PCR['b']}")
                self.assertIn("AccessDenied", stack.cli("list", check=False).stderr)
                install("--pcr", f"0={measured}")
                self.assertEqual(stack.cli("list").returncode, 0)


if __name__ == "__main__":
    unittest.main(warnings="ignore")
