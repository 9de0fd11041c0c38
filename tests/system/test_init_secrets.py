#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""claviger-init and encrypted configurations: they arrive, with whatever part
of them is spoiled they do not, and nobody is told a value."""

import base64
import json
import os
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["CV_SOURCE_DIR"], "tests/lib"))
from claviger_testing.init_case import InitCase  # noqa: E402
from claviger_testing.parent import LIES  # noqa: E402

SECRET = "value-that-nobody-may-see"
YAML = f"""\
environment:
  - DB_PASSWORD={SECRET}
files:
  - {{path: /run/app/key, content: "{SECRET}", mode: 0400, owner: "app:extra"}}
  - {{path: /var/run/app/other, base64: AAEC/w==}}
"""
NAMES = ("DB_PASSWORD",), ("/run/app/*", "/var/run/app/other")


def unpack(raw):
    n = struct.unpack(">I", raw[8:12])[0]
    return json.loads(raw[12:12 + n]), raw[12 + n:]


def pack(metadata, body):
    text = json.dumps(metadata).encode()
    return b"CLAVSEC1" + struct.pack(">I", len(text)) + text + body


class SecretsCase(InitCase):
    def local(self, content, **settings):
        """Settings for one local configuration with CONTENT (None: absent)."""
        self.prepare(files={} if content is None else {"app": content})
        return {"source": [("local app", *NAMES)], "cmk": self.cmk, **settings}

    def tearDown(self):
        if self.parent is not None and self.init is not None:
            said = json.dumps(self.parent.messages, default=str) + self.parent.output(0) + self.init.tail(1 << 20)
            self.assertNotIn(SECRET, said)
        super().tearDown()

    def again(self):
        self.tearDown()
        self.setUp()
        self.init = self.parent = None


class Arrive(SecretsCase):
    COMMAND = ("echo $DB_PASSWORD; stat -c '%a %U %G' /run/app/key; cat /run/app/key; echo; "
               "stat -c '%a %u %g %s' /run/app/other; stat -c %a /run/app")

    def check(self, out):
        self.assertEqual(out, f"{SECRET}\n400 app extra\n{SECRET}\n400 0 0 4\n755\n")

    def test_local(self):
        for form in ("3", "2"):
            settings = self.local(self.encrypt(YAML, "--format", form))
            self.check(self.boot(self.COMMAND, **settings))
            self.again()

    def test_s3(self):
        self.upload(YAML, "s3://secrets/web app/x.enc", "--context", "app=web", "--version", "7")
        self.prepare()
        out = self.boot(self.COMMAND, source=[("s3 s3://secrets/web app/x.enc", *NAMES)], cmk=self.cmk,
                        context=["app=web"], minimum_version=7)
        self.check(out)
        self.assertEqual(set(self.parent.asked), {f"127.0.0.1:{self.s3_port}", f"127.0.0.1:{self.kms.port}"})
        self.assertIn("Recipient", self.kms.log() + "Recipient")

    def test_s3_instruction_file(self):
        self.upload(YAML, "s3://secrets/split", "--instruction-file")
        self.prepare()
        self.check(self.boot(self.COMMAND, source=[("s3 s3://secrets/split", *NAMES)], cmk=self.cmk))

    def test_object_that_comes_late(self):
        self.prepare()
        self.start(self.COMMAND, source=[("s3 s3://secrets/late", *NAMES)], cmk=self.cmk)
        self.parent.wait_message("stage", stage="fetch", state="retry")
        self.upload(YAML, "s3://secrets/late")
        self.wait_end(0)
        self.check(self.parent.output())

    def test_published(self):
        for name, algorithm in (("ed", "ed25519"), ("p", "ec")):
            more = ["-pkeyopt", "ec_paramgen_curve:P-256"] if algorithm == "ec" else []
            subprocess.run(["openssl", "genpkey", "-algorithm", algorithm, *more, "-out", self.dir / f"{name}.pem"],
                           check=True, capture_output=True)
            der = subprocess.run(["openssl", "pkey", "-in", self.dir / f"{name}.pem", "-pubout", "-outform", "DER"],
                                 check=True, capture_output=True).stdout
            content = self.encrypt(YAML, "--sign-with", f"{name}.pem")
            settings = self.local(content, publisher_key=base64.b64encode(der).decode())
            settings["source"] = [("local app", (), ())]  # what is signed needs no list
            self.check(self.boot(self.COMMAND, **settings))
            # Another publisher, or none.
            self.again()
            settings = self.local(self.encrypt(YAML), publisher_key=base64.b64encode(der).decode())
            self.refused("decrypt", "sign", **settings)
            self.again()
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", self.dir / "other.pem"], check=True,
                           capture_output=True)
            settings = self.local(self.encrypt(YAML, "--sign-with", "other.pem"),
                                  publisher_key=base64.b64encode(der).decode())
            self.refused("decrypt", "sign", **settings)
            self.again()

    def test_root_certificates(self):
        content = self.encrypt(YAML)
        beside, usual = (self.top / "image" / p for p in ("claviger/ca.pem", "rootfs/etc/ssl/certs/ca-certificates.crt"))
        usual.parent.mkdir(parents=True)
        for path in (beside, usual, None):
            settings = self.local(content)
            self.roots = ()
            if path is None:
                self.refused("start", "no root certificates", **settings)
                continue
            path.write_bytes(self.kms.ca.read_bytes())
            self.check(self.boot(self.COMMAND, **settings))
            path.unlink()
            self.again()

    def test_second_cmk(self):
        other = self.create_key()
        settings = self.local(self.encrypt(YAML, cmk=other))
        settings["cmk"] = [self.cmk, other]
        self.check(self.boot(self.COMMAND, **settings))


class Precedence(SecretsCase):
    """Encrypted over the parent's over the image's; later sources over earlier ones."""

    TABLE = (
        # image, parent, first, second -> wanted
        ("i", None, None, None, "i"),
        ("i", "p", None, None, "p"),
        ("i", "p", "1", None, "1"),
        ("i", "p", "1", "2", "2"),
        (None, "p", None, "2", "2"),
        (None, None, "1", None, "1"),
        (None, "p", None, None, "p"),
    )

    def test_table(self):
        image, parents, first, second = [], {}, [], []
        for k, (i, p, a, b, _) in enumerate(self.TABLE):
            image += [f"V{k}={i}"] if i else []
            parents.update({f"V{k}": p} if p else {})
            first += [f"  - V{k}={a}"] if a else []
            second += [f"  - V{k}={b}"] if b else []
        parents["UNLISTED"] = "x"
        one = self.encrypt("environment:\n" + "\n".join(first) + "\n", name="one")
        two = self.encrypt("environment:\n" + "\n".join(second) + "\n", name="two")
        self.prepare(files={"one": one, "two": two}, environment=parents)
        out = self.boot("/usr/bin/env", "--", env=image, untrusted_env=[f"V{k}" for k in range(9)], cmk=self.cmk,
                        source=[("local one", ("V*",), ()), ("local two", ("V*",), ())])
        got = dict(line.split("=", 1) for line in out.splitlines())
        for k, row in enumerate(self.TABLE):
            self.assertEqual(got.get(f"V{k}"), row[4], row)
        self.assertNotIn("UNLISTED", got)

    def test_allow_lists(self):
        for yaml, allow_env, allow_path, refused in (
                ("environment: [A=1]", ("A",), (), None),
                ("environment: [A=1]", ("B",), (), "variable A"),
                ("environment: [AB=1]", ("A*",), (), None),
                ("environment: [PATH=/x]", ("P*",), (), "variable PATH"),
                ("environment: [PATH=/bin]", ("PATH",), (), None),
                ("environment: [LD_PRELOAD=/x]", ("L*",), (), "variable LD_PRELOAD"),
                ("environment: [PYTHONSTARTUP=/x]", ("P*",), (), "variable PYTHONSTARTUP"),
                ("files: [{path: /srv/a, content: x}]", ("A",), ("/srv/*",), None),
                ("files: [{path: /srv/a/b, content: x}]", ("A",), ("/srv/*",), None),
                ("files: [{path: /etc/passwd, content: x}]", ("A",), ("/srv/*",), "file /etc/passwd"),
                ("files: [{path: /srv, content: x}]", ("A",), ("/srv/*",), "file /srv"),
        ):
            with self.subTest(yaml):
                self.prepare(files={"app": self.encrypt(yaml + "\n")})
                settings = {"source": [("local app", allow_env, allow_path)], "cmk": self.cmk}
                if refused:
                    self.refused("check", refused, "does not list", **settings)
                else:
                    self.boot("echo ran", **settings)
                self.again()

    def test_a_link_into_the_kernel(self):
        link = self.top / "image/rootfs/srv/link"
        link.symlink_to("/proc/sys/kernel")
        self.addCleanup(link.unlink)
        self.prepare(files={"app": self.encrypt("files: [{path: /srv/link/hostname, content: x}]\n")})
        self.refused("apply", "file system of the kernel", source=[("local app", (), ("/srv/*",))], cmk=self.cmk)


class Refused(SecretsCase):
    def test_kms_denies_another_image(self):
        key = self.create_key(pcr0="cd" * 48)
        settings = self.local(self.encrypt(YAML, cmk=key))
        settings["cmk"] = key
        self.refused("decrypt", "AccessDeniedException", "PCR0 " + "ab" * 48, "PCR1 " + "00" * 48, "PCR2", "PCR8",
                     **settings)

    def test_another_key(self):
        settings = self.local(self.encrypt(YAML, cmk=self.create_key()))
        self.refused("decrypt", "IncorrectKeyException", **settings)

    def test_answers_that_are_none(self):
        content = self.encrypt(YAML)
        self.prepare(files={"app": content}, lies=LIES[9:])
        self.start("true", source=[("local app", *NAMES)], cmk=self.cmk, boot_deadline_ms=120000)
        self.wait_end(0, 100)
        self.assertEqual(self.parent.lies, [])
        for retry in self.parent.of("stage", state="retry"):
            self.assertTrue(retry["error"].isprintable(), retry)

    def test_nsm_that_attests_no_key(self):
        settings = self.local(self.encrypt(YAML), boot_deadline_ms=3000)
        self.start_nsm("silent", "--pcr0", "ab" * 48, "--fault", "no-recipients")
        self.nsm_socket = self.top / "silent.sock"
        self.refused("attest", "NSM", **settings)

    def test_absent(self):
        settings = self.local(None, boot_deadline_ms=2500)
        start = time.monotonic()
        self.refused("fetch", "no file app", **settings)
        self.assertLess(time.monotonic() - start, 20)
        self.assertTrue(self.parent.of("stage", stage="fetch", state="retry"))
        self.again()
        self.prepare()
        self.refused("fetch", "NoSuchKey", source=[("s3 s3://secrets/none", *NAMES)], cmk=self.cmk,
                     boot_deadline_ms=2500)

    def test_told_to_stop_while_it_waits(self):
        for how in ("order", "signal"):
            self.prepare()
            self.start("echo must not run", source=[("local none", *NAMES)], cmk=self.cmk)
            self.parent.wait_message("stage", stage="fetch", state="retry")
            if how == "order":
                self.parent.send({"type": "stop", "seconds": 5})
            else:
                self.init.process.terminate()
            self.wait_end(64 + 3, seconds=15)
            self.assertIn("told to stop", self.parent.of("stage", state="failed")[0]["error"])
            self.again()

    def test_no_credentials(self):
        self.prepare(credentials={})
        self.refused("fetch", "credentials", source=[("s3 s3://secrets/none", *NAMES)], cmk=self.cmk,
                     boot_deadline_ms=2500)

    def test_parent_refuses_the_way(self):
        self.prepare(aws={})
        self.refused("fetch", "not allowed", source=[("s3 s3://secrets/none", *NAMES)], cmk=self.cmk,
                     boot_deadline_ms=2500)

    def test_parent_says_nothing(self):
        self.prepare(silent=(8000, 9000), files={"app": self.encrypt(YAML)})
        start = time.monotonic()
        self.refused("decrypt", source=[("local app", *NAMES)], cmk=self.cmk, boot_deadline_ms=16000)
        self.assertLess(time.monotonic() - start, 40)

    def test_parent_in_the_middle(self):
        """TLS that ends at the parent is no way to KMS."""
        import socket
        import ssl
        der = self.dir / "mitm.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", self.dir / "mitm.key", "-out", der],
                       check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(der, self.dir / "mitm.key")
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve():
            while True:
                try:
                    connection, _ = server.accept()
                    with context.wrap_socket(connection, server_side=True):
                        pass
                except ssl.SSLError:
                    continue
                except OSError:
                    return
        threading.Thread(target=serve, daemon=True).start()
        self.prepare(files={"app": self.encrypt(YAML)},
                     aws={f"127.0.0.1:{self.kms.port}": ("127.0.0.1", server.getsockname()[1])})
        self.refused("decrypt", "certificate", source=[("local app", *NAMES)], cmk=self.cmk, boot_deadline_ms=4000)

    def test_context_and_version(self):
        for options, settings, word in (
                (("--context", "app=web"), {}, "context"),
                ((), {"context": ["app=web"]}, "context"),
                (("--context", "app=web"), {"context": ["app=api"]}, "context"),
                (("--format", "2"), {"minimum_format": 3}, "has format 2"),
                (("--version", "6"), {"minimum_version": 7}, "version"),
                ((), {"minimum_version": 1}, "version")):
            with self.subTest(options=options, settings=settings):
                self.refused("decrypt", word, **self.local(self.encrypt(YAML, *options), **settings))
                self.assertNotIn(f"127.0.0.1:{self.kms.port}", self.parent.asked)  # KMS was not even asked
                self.again()

    def test_tampered(self):
        for form in ("3", "2"):
            good = self.encrypt(YAML, "--format", form)
            metadata, body = unpack(good)
            variants = [("body", pack(metadata, bytes([body[0] ^ 1]) + body[1:])),
                        ("tag", pack(metadata, body[:-1] + bytes([body[-1] ^ 1]))),
                        ("short body", pack(metadata, body[:-1])),
                        ("magic", b"X" + good[1:]), ("cut", good[:40]), ("empty", b"")]
            for name in metadata:
                value = metadata[name]
                changed = dict(metadata)
                raw = bytearray(value.encode())
                raw[len(raw) // 2] = ord("A") if raw[len(raw) // 2] != ord("A") else ord("B")
                changed[name] = raw.decode()
                variants.append((name, pack(changed, body)))
                if form == "3":
                    variants.append((f"no {name}", pack({k: v for k, v in metadata.items() if k != name}, body)))
            if form == "2":
                variants = variants[:1] + variants[6:]
            for what, content in variants:
                with self.subTest(form=form, what=what):
                    self.start("echo must not run", **self.local(content, boot_deadline_ms=6000))
                    status = self.init.process.wait(30)
                    self.assertIn(status, (64 + 3, 64 + 5), self.init.tail())
                    self.assertNotIn("must not run", self.parent.output())
                    self.assertEqual(len(self.parent.of("stage", state="failed")), 1)
                    self.again()


class Rotation(SecretsCase):
    def rotated(self, n):
        self.parent.wait(lambda p: len(p.of("rotated")) >= n)
        return self.parent.of("rotated")[n - 1]

    def content(self, value, variable="same", version=1, more=""):
        return self.encrypt(f"environment: [DB_PASSWORD={variable}]\nfiles:\n"
                            f"  - {{path: /run/app/key, content: \"{value}\", mode: 0440, owner: app}}\n{more}",
                            "--version", str(version))

    def test_rotation(self):
        extra = "  - {path: /run/app/extra, content: more}\n"
        settings = self.local(self.content("one", version=3, more=extra))
        self.start("trap 'echo hup $(cat /run/app/key) $(ls /run/app | tr \"\\n\" \" \")' HUP; "
                   "echo ready $DB_PASSWORD $(cat /run/app/key); while :; do sleep 0.05; done", user="app", **settings)
        self.parent.wait_output("ready same one")
        # Nothing changed.
        self.parent.send({"type": "rotate"})
        self.assertEqual(self.rotated(1)["effect"], "none")
        # Files: swapped and told.
        self.parent.files["app"] = self.content("two", version=4)
        self.parent.send({"type": "rotate"})
        self.assertEqual(self.rotated(2)["effect"], "signalled")
        self.parent.wait_output("hup two key")
        self.assertNotIn("extra", self.parent.output())
        # An older version is refused, the application goes on.
        self.parent.files["app"] = self.content("three", version=3)
        self.parent.send({"type": "rotate"})
        answer = self.rotated(3)
        self.assertEqual(answer["effect"], "failed")
        self.assertIn("older", answer["error"])
        # Absent, spoiled: the same.
        self.parent.files["app"] = b"rubbish"
        self.parent.send({"type": "rotate"})
        self.assertEqual(self.rotated(4)["effect"], "failed")
        # Another variable: started again.
        self.parent.files["app"] = self.content("five", variable="other", version=5)
        self.parent.send({"type": "rotate"})
        self.assertEqual(self.rotated(5)["effect"], "restarted")
        self.parent.wait_output("ready other five")
        self.assertIsNone(self.init.process.poll())
        self.parent.send({"type": "stop", "seconds": 1})
        self.init.process.wait(20)
        self.assertEqual(self.parent.of("stage", state="failed"), [])

    def test_renewed_credentials(self):
        """The first set is unknown to AWS; the boot waits for a better one."""
        settings = self.local(self.content("one"))
        good = self.parent.credentials
        self.parent.credentials = dict(good, access_key_id="AKIAUNKNOWNUNKNOWN00")
        self.start("cat /run/app/key", **settings)
        self.parent.wait_message("stage", stage="decrypt", state="retry")
        self.parent.send(dict(good, type="credentials", id=0))
        self.wait_end(0)
        self.assertEqual(self.parent.output(), "one")


if __name__ == "__main__":
    unittest.main()
