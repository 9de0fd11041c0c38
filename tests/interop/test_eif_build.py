# SPDX-License-Identifier: Apache-2.0
"""Enclave images built from folders, tars and container images; and what is
refused."""

import gzip
import json
import os
import pathlib
import resource
import shutil
import stat
import subprocess
import sys
import tarfile
import unittest

from claviger_testing import eif, images
from claviger_testing.image_case import CLAVIGER, CONFIG, ImageCase


class Folders(ImageCase):
    def make(self, top):
        top = pathlib.Path(top)
        (top / "bin").mkdir(parents=True)
        (top / "empty").mkdir()
        (top / "bin/app").write_text("#!/bin/sh\n")
        (top / "bin/app").chmod(0o4755)
        os.link(top / "bin/app", top / "bin/again")
        os.symlink("/etc/passwd", top / "absolute")
        os.symlink("../../..", top / "up")
        os.mkfifo(top / "fifo", 0o600)
        (top / ("n" * 255)).write_text("long")
        (top / "sparse").touch()
        os.truncate(top / "sparse", 70000)
        (top / "zero").touch()
        (top / "odd\nname\xe9").write_text("odd")
        for path in top.rglob("*"):
            if not path.is_symlink() and path.name != "app":
                path.chmod(0o755 if path.is_dir() else 0o640)
        (top / "bin/app").chmod(0o4755)
        return top

    def test_every_kind_of_file(self):
        top = self.make(self.dir / "app")
        root = self.root(self.build(top, "--", "/bin/app"))
        self.assertEqual(root["bin/again"][0]["ino"], root["bin/app"][0]["ino"])
        self.assertEqual((root["bin/again"][1], root["bin/app"][1]), (b"", b"#!/bin/sh\n"))
        self.assertEqual(root["bin/app"][0]["mode"], stat.S_IFREG | 0o4755)
        self.assertEqual(root["bin/app"][0]["nlink"], 2)
        self.assertEqual(root["absolute"][1], b"/etc/passwd")
        self.assertEqual(root["up"][1], b"../../..")
        self.assertEqual(root["fifo"][0]["mode"], stat.S_IFIFO | 0o640)
        self.assertEqual(root["sparse"][1], bytes(70000))
        self.assertEqual(root["n" * 255][1], b"long")
        self.assertEqual(root["odd\nname\xe9"][1], b"odd")
        self.assertEqual(root["zero"][1], b"")
        for name in ("dev", "proc", "run", "sys", "tmp", "var"):
            self.assertTrue(stat.S_ISDIR(root[name][0]["mode"]), name)
        for fields, _ in root.values():
            self.assertEqual((fields["mtime"], fields["devmajor"], fields["devminor"]), (0, 0, 0))
            self.assertEqual((fields["uid"], fields["gid"]), (0, 0))

    def cpio(self, number, *argv, **kw):
        with open(self.dir / f"parts/ramdisk{number}.cpio", "rb") as archive:
            return subprocess.run(["cpio", "--quiet", *argv], stdin=archive, capture_output=True, check=True, timeout=60,
                                  **kw).stdout

    def test_cpio_program_agrees(self):
        top = self.make(self.dir / "app")
        self.build(top, "--", "/bin/app")
        self.run_cli("eif", "extract", "-d", "parts", "out/x.eif")
        listed = self.cpio(1, "-it")
        names = [n.split(b"rootfs/")[-1] for n in listed.split(b"\n") if b"rootfs/" in n]
        self.assertIn(b"bin/again", names)
        (self.dir / "tree").mkdir()
        self.cpio(1, "-id", cwd=self.dir / "tree")
        tree = self.dir / "tree/rootfs"
        self.assertEqual((tree / "bin/again").read_text(), "#!/bin/sh\n")
        self.assertTrue((tree / "bin/again").samefile(tree / "bin/app"))
        self.assertEqual(os.readlink(tree / "up"), "../../..")
        self.assertIn(b"init", self.cpio(0, "-itv"))

    def test_same_bytes_elsewhere(self):
        one = self.make(self.dir / "one")
        (self.dir / "far/away").mkdir(parents=True)
        two = self.make(self.dir / "far/away/two")
        for path in [two, *two.rglob("*")]:
            os.utime(path, (1, 1), follow_symlinks=False)
        self.build(one, "--", "/bin/app", out="out/1.eif")
        env = dict(os.environ, TZ="Asia/Tokyo", LC_ALL="C", HOME="/", USER="someone")
        self.build("two", "--", "/bin/app", out="out/2.eif", cwd=self.dir / "far/away", env=env, umask=0o077)
        self.assertEqual((self.dir / "out/1.eif").read_bytes(), (self.dir / "out/2.eif").read_bytes())
        if os.geteuid() == 0:
            for path in [self.dir, *self.dir.rglob("*")]:
                os.chown(path, 65534, 65534, follow_symlinks=False)
            (self.dir / "one/bin/app").chmod(0o4755)
            if os.access(CLAVIGER, os.X_OK) and (os.stat(CLAVIGER.parent).st_mode & 0o005) == 0o005:
                try:
                    self.build(one, "--", "/bin/app", out="out/3.eif", user=65534, group=65534, extra_groups=[])
                except PermissionError:
                    return  # the build tree is not open to others
                self.assertEqual((self.dir / "out/1.eif").read_bytes(), (self.dir / "out/3.eif").read_bytes())

    def test_source_date_epoch_is_the_build_time_alone(self):
        top = self.make(self.dir / "app")
        first = self.build(top, "--", "/bin/app")
        pcrs = self.printed
        second = self.build(top, "--", "/bin/app", env=dict(os.environ, SOURCE_DATE_EPOCH="1700000000"))
        self.assertEqual(self.printed, pcrs)
        self.assertEqual(eif.metadata(first)["BuildMetadata"]["BuildTime"], "1970-01-01T00:00:00+00:00")
        self.assertEqual(eif.metadata(second)["BuildMetadata"]["BuildTime"], "2023-11-14T22:13:20+00:00")

    def test_the_output_is_no_part_of_its_source(self):
        (self.dir / "out/app").write_text("x")
        first = self.build(self.dir / "out", "--", "/app")
        self.assertEqual(self.build(self.dir / "out", "--", "/app"), first)
        self.assertNotIn("x.eif", self.root(first))

    def test_compressed(self):
        top = self.make(self.dir / "app")
        plain = self.build(top, "--", "/bin/app")
        packed = self.build(top, "--compress", "gzip", "--", "/bin/app")
        for i in (3, 4):
            self.assertEqual(packed["sections"][i][1][:2], b"\x1f\x8b")
            self.assertEqual(eif.cpio_entries(packed["sections"][i][1]), eif.cpio_entries(plain["sections"][i][1]))

    def test_nothing_to_start_with(self):
        self.refused(self.dir / "absent", "No such file")
        (self.dir / "kernel").unlink()
        (self.dir / "app").mkdir()
        self.refused(self.dir / "app", "kernel")

    def test_bootstrap_and_blobs(self):
        top = self.make(self.dir / "app")
        for name in ("a.ko", "b.ko"):
            (self.dir / name).write_text(name)
        image = self.build(top, "--modules", f"{self.dir}/b.ko,{self.dir}/a.ko", "--cmdline", " quiet \n", "--name",
                           "n", "--version", "v", "--", "/bin/app")
        first = {n: (f, c) for n, f, c in eif.cpio_entries(image["sections"][3][1])}
        self.assertEqual(list(first), ["dev", "init", "b.ko", "a.ko", "modules-load-order"])
        self.assertEqual(first["init"], (first["init"][0], b"an init"))
        self.assertEqual(first["init"][0]["mode"], 0o100755)
        self.assertEqual(first["modules-load-order"][1], b"b.ko\na.ko\n")
        self.assertEqual(image["sections"][1][1], b"quiet")
        self.assertEqual((eif.metadata(image)["ImageName"], eif.metadata(image)["ImageVersion"]), ("n", "v"))
        self.assertEqual(len(image["sections"][3][1]) % 512, 0)
        self.assertEqual(len(image["sections"][4][1]) % 512, 0)
        blobs = self.dir / "blobs"
        blobs.mkdir()
        (blobs / "bzImage").write_bytes(b"blob kernel")
        (blobs / "bzImage.config").write_text("#\n# Automatically\n# Linux/x86_64 6.6.79 Kernel Configuration\n")
        (blobs / "cmdline").write_text("from=blobs\n")
        (blobs / "nsm.ko").write_text("nsm")
        self.run_cli("eif", "build", top, "--init", "init", "--arch", "x86_64", "-o", "b.eif", "--", "/bin/app",
                     env=dict(os.environ, NITRO_CLI_BLOBS=str(blobs)))
        image = eif.parse((self.dir / "b.eif").read_bytes())
        self.assertEqual([d for _, d in image["sections"][:2]], [b"blob kernel", b"from=blobs"])
        build = eif.metadata(image)["BuildMetadata"]
        self.assertEqual((build["OperatingSystem"], build["KernelVersion"]), ("Linux", "6.6.79"))
        self.assertIn("nsm.ko", [n for n, _, _ in eif.cpio_entries(image["sections"][3][1])])
        image = self.build(top, "--omit-build-info", "--", "/bin/app")
        self.assertNotIn("claviger", json.dumps(eif.metadata(image)))


class Archives(ImageCase):
    def test_tar_formats(self):
        long = "d/" + "/".join("x" * 60 for _ in range(6)) + "/file"
        entries = [("d", "dir", None, {"owner": (1000, 100), "mode": 0o2750}), (long, "file", "deep"),
                   ("to", "symlink", "y" * 150), ("./b", "file", "bbb", {"owner": (70000, 3000000)}),
                   ("hard", "link", "./b"), ("/abs", "file", "absolute")]
        for fmt in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            for packed in (False, True):
                raw = images.tar(entries + [("null", "char", (1, 3)), ("pipe", "fifo", None)], fmt)
                (self.dir / "s.tar").write_bytes(gzip.compress(raw) if packed else raw)
                root = self.root(self.build(self.dir / "s.tar", "--", "/b"))
                self.assertEqual(root[long][1], b"deep")
                self.assertEqual(root["to"][1], b"y" * 150)
                self.assertEqual((root["b"][0]["uid"], root["b"][0]["gid"]), (70000, 3000000))
                self.assertEqual(root["hard"][1], b"bbb")
                self.assertEqual(root["hard"][0]["ino"], root["b"][0]["ino"])
                self.assertEqual(root["abs"][1], b"absolute")
                self.assertEqual((root["null"][0]["rdevmajor"], root["null"][0]["rdevminor"]), (1, 3))
                self.assertEqual(root["d"][0]["mode"], stat.S_IFDIR | 0o2750)

    def test_sparse_files_of_gnu_tar(self):
        path = self.dir / "holes"
        with open(path, "wb") as f:
            for at, text in ((4096 * 5, b"one"), (4096 * 300, b"two"), (4096 * 301, b"three")):
                f.seek(at)
                f.write(text)
            f.truncate(4096 * 900 + 7)
        for kind in (["--format=gnu"], ["--format=posix", "--sparse-version=0.0"],
                     ["--format=posix", "--sparse-version=0.1"], ["--format=posix", "--sparse-version=1.0"]):
            subprocess.run(["tar", "-cSf", "s.tar", *kind, "holes"], cwd=self.dir, check=True, timeout=60)
            self.assertLess((self.dir / "s.tar").stat().st_size, 200000, "not sparse")
            for packed in (False, True):
                if packed:
                    (self.dir / "s.tar").write_bytes(gzip.compress((self.dir / "s.tar").read_bytes()))
                root = self.root(self.build(self.dir / "s.tar", "--", "/x"))
                self.assertEqual(root["holes"][1], path.read_bytes(), kind)

    def test_escapes_are_refused(self):
        for entries, why in (
                ([("../evil", "file", "x")], "leads out of the tree"),
                ([("a/../../evil", "file", "x")], "leads out of the tree"),
                ([("h", "link", "../../etc/passwd")], "leads out of the tree"),
                ([("h", "link", "nothing")], "hard link to what is no file"),
                ([("a", "file", "x"), ("a/b", "file", "y")], "lies below a file"),
                ([("l", "symlink", "m"), ("m", "symlink", "l"), ("l/x", "file", "y")], "loop of symbolic links"),
                ([("x" * 256, "file", "y")], "file name of 256 bytes"),
                ([("/".join(["d"] * 300), "file", "y")], "nested deeper"),
                ([("f", "file", "", {"pax": {"size": "99999999999999999999"}})], "pax"),
                ([("f", "file", "", {"pax": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}})], "")):
            (self.dir / "s.tar").write_bytes(images.tar(entries))
            self.refused(self.dir / "s.tar", why)

    def test_links_stay_within_the_tree(self):
        (self.dir / "s.tar").write_bytes(images.tar([
            ("etc", "dir", None), ("out", "symlink", "/"), ("up", "symlink", "../../../../etc"),
            ("out/etc/one", "file", "1"), ("up/two", "file", "2"), ("dangling", "symlink", "new/folder"),
            ("dangling/three", "file", "3")]))
        root = self.root(self.build(self.dir / "s.tar", "--", "/x"))
        self.assertEqual((root["etc/one"][1], root["etc/two"][1], root["new/folder/three"][1]), (b"1", b"2", b"3"))
        self.assertEqual(root["out"][1], b"/")
        self.assertFalse(os.path.exists("/etc/one") or os.path.exists("/etc/two"))

    def test_bombs_are_refused(self):
        info = tarfile.TarInfo("huge")
        head = tarfile.TarInfo("huge")
        head.size = 500 << 30
        (self.dir / "s.tar").write_bytes(head.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
        self.refused(self.dir / "s.tar", "at most 4 GiB in one", "--type", "tar", "--max-size", "1000000")
        head.size = 3 << 30
        (self.dir / "s.tar").write_bytes(head.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
        self.refused(self.dir / "s.tar", "end too early", "--type", "tar")
        self.refused(self.dir / "s.tar", "", "--type", "tar")
        pax = {"GNU.sparse.size": str(1 << 50), "GNU.sparse.map": "", "GNU.sparse.numblocks": "0"}
        info.pax_headers = pax
        (self.dir / "s.tar").write_bytes(info.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
        self.refused(self.dir / "s.tar", "--max-size")
        subprocess.run("head -c 40000000 /dev/zero | gzip > zeros.gz", shell=True, check=True, cwd=self.dir)
        self.refused(self.dir / "zeros.gz", "", "--max-size", "8")
        raw = images.tar([("z", "file", bytes(30000000))])
        (self.dir / "s.tgz").write_bytes(gzip.compress(raw))
        self.refused(self.dir / "s.tgz", "--max-size", "--max-size", "8")

    def test_truncations_are_refused(self):
        raw = images.tar([("a", "file", "x" * 3000), ("b", "file", "y" * 3000)])
        raw = raw[:2 * (512 + 3072) + 1024]
        for n in (0, 1, 511, 512, 600, 3000, 3584, 4000, 7167, 7168):
            (self.dir / "s.tar").write_bytes(raw[:n])
            self.refused(self.dir / "s.tar", "early" if n else "")
        packed = gzip.compress(raw)
        for n in (10, 100, len(packed) - 8, len(packed) - 1):
            (self.dir / "s.tar").write_bytes(packed[:n])
            self.refused(self.dir / "s.tar", "early")
        bad = bytearray(packed)
        bad[-6] ^= 1
        (self.dir / "s.tar").write_bytes(bad)
        self.refused(self.dir / "s.tar", "damaged")

    def test_memory_is_bounded(self):
        with tarfile.open(self.dir / "big.tar", "w") as archive:
            info = tarfile.TarInfo("big")
            info.size = 200 << 20
            with open("/dev/urandom", "rb") as f:
                archive.addfile(info, f)
        before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.run_cli("eif", "build", "big.tar", "--kernel", "kernel", "--init", "init", "-o", "out/x.eif", "--", "/x")
        after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        self.assertLess(after, max(before, 64 << 10), "more than 64 MiB resident")
        self.assertGreater((self.dir / "out/x.eif").stat().st_size, 200 << 20)


class Containers(ImageCase):
    def check_root(self, image):
        root = self.root(image)
        files = {n: c for n, (f, c) in root.items() if stat.S_ISREG(f["mode"])}
        self.assertEqual(set(files), {"bin/app", "etc/old", "etc/keep", "etc/passwd", "etc/group", "opt/new",
                                      "usr/lib/so", "gone/again", "tofile"})
        self.assertEqual(files["etc/old"], b"born again")
        self.assertEqual(files["bin/app"] + files["gone/again"], b"v2")
        self.assertEqual(root["bin/app"][0]["ino"], root["gone/again"][0]["ino"])
        self.assertEqual(files["usr/lib/so"], b"library")
        self.assertEqual(files["tofile"], b"now a file")
        self.assertEqual(root["opt"][0]["mode"], stat.S_IFDIR | 0o700)
        self.assertEqual(root["lib"][1], b"usr/lib")

    def test_all_shapes_are_the_same_image(self):
        seen = []
        images.docker_save(self.dir / "d.tar", images.LAYERS, CONFIG)
        images.docker_save(self.dir / "l.tar", images.LAYERS, CONFIG, links=True)
        (self.dir / "d.tgz").write_bytes(gzip.compress((self.dir / "d.tar").read_bytes()))
        files = images.oci_files(images.LAYERS, CONFIG)
        images.oci_archive(self.dir / "o.tar", files)
        images.oci_layout(self.dir / "layout", files)
        images.oci_archive(self.dir / "p.tar", images.oci_files(images.LAYERS, CONFIG, packed=False))
        for source in ("d.tar", "l.tar", "d.tgz", "o.tar", "layout", "p.tar"):
            image = self.build(self.dir / source)
            self.check_root(image)
            seen.append(self.printed)
            meta = eif.metadata(image)
            self.assertEqual(meta["ImageName"], "app")
            self.assertEqual("sha256:" + meta["ImageVersion"], meta["DockerInfo"]["Id"])
            self.assertEqual(meta["DockerInfo"]["Config"], CONFIG)
        self.assertTrue(all(p == seen[0] for p in seen))

    def test_configuration_is_kept(self):
        images.docker_save(self.dir / "d.tar", images.LAYERS, CONFIG)
        image = self.build(self.dir / "d.tar")
        self.assertEqual(self.extra(image, "claviger/boot.conf").splitlines()[:9], [
            "format=1", "arg=/bin/app", "arg=--serve", "arg=a b", "arg=c", "env=PATH=/bin", "env=MODE=prod",
            "user=app:app", "workdir=/srv"])
        self.assertEqual(self.extra(image, "cmd"), "/bin/app\n--serve\na b\nc\n")
        self.assertEqual(self.extra(image, "env"), "PATH=/bin\nMODE=prod\n")

    def test_newlines_in_arguments(self):
        images.docker_save(self.dir / "d.tar", images.LAYERS, {"Cmd": ["/bin/app", "two\nlines \\"], "Env": ["A=x\ny"]})
        image = self.build(self.dir / "d.tar")
        lines = self.extra(image, "claviger/boot.conf").splitlines()
        self.assertEqual(lines[1:4], ["arg=/bin/app", "arg=two\\nlines \\\\", "env=A=x\\ny"])
        self.root(image)
        self.assertNotIn("cmd", self.names)
        self.assertNotIn("env", self.names)

    def test_choice_among_images(self):
        other = images.oci_files(images.LAYERS[:1], CONFIG, name="other:2")
        descriptor = json.loads(other["index.json"])["manifests"]
        files = {**other, **images.oci_files(images.LAYERS, CONFIG, extra=descriptor)}
        images.oci_archive(self.dir / "o.tar", files)
        self.refused(self.dir / "o.tar", "--image")
        self.check_root(self.build(self.dir / "o.tar", "--image", "app:1.2"))
        os.unlink(self.dir / "out/x.eif")
        self.refused(self.dir / "o.tar", "no manifest of the name", "--image", "third")
        arm = images.oci_files(images.LAYERS[:1], CONFIG, arch="arm64")
        files = {**arm, **images.oci_files(images.LAYERS, CONFIG, extra=json.loads(arm["index.json"])["manifests"])}
        images.oci_archive(self.dir / "o.tar", files)
        self.check_root(self.build(self.dir / "o.tar"))
        os.unlink(self.dir / "out/x.eif")
        images.docker_save(self.dir / "d.tar", images.LAYERS, CONFIG, arch="arm64")
        self.refused(self.dir / "d.tar", "is for arm64")

    def test_damage_is_refused(self):
        def swap(entries):
            return [(n, k, images.LAYERS[0] if n.startswith("0" * 63 + "1") else v) for n, k, v in entries]
        images.docker_save(self.dir / "d.tar", images.LAYERS, CONFIG, change=swap)
        self.refused(self.dir / "d.tar", "layer 2 has not the digest")
        for what in ("layers", "config"):
            files = images.oci_files(images.LAYERS, CONFIG)
            manifest = json.loads(files["blobs/sha256/" + json.loads(files["index.json"])["manifests"][0]["digest"][7:]])
            target = manifest["layers"][1] if what == "layers" else manifest["config"]
            name = "blobs/sha256/" + target["digest"][7:]
            original = files[name]
            files[name] = original[:-1] + bytes([original[-1] ^ 1])
            images.oci_archive(self.dir / "o.tar", files)
            self.refused(self.dir / "o.tar", "")
            files[name] = original[:-10]
            images.oci_archive(self.dir / "o.tar", files)
            self.refused(self.dir / "o.tar", "bytes")
            del files[name]
            images.oci_archive(self.dir / "o.tar", files)
            self.refused(self.dir / "o.tar", "lacks")
        cut = images.LAYERS[0][:2000]
        images.docker_save(self.dir / "d.tar", [cut], CONFIG)
        self.refused(self.dir / "d.tar", "layer 1 of 1: the tar archive ends too early")
        images.docker_save(self.dir / "d.tar", [b"\x28\xb5\x2f\xfd" + bytes(100)], CONFIG)
        self.refused(self.dir / "d.tar", "layer 1 of 1")

    def test_a_layer_digest_that_lies(self):
        files = images.oci_files(images.LAYERS, CONFIG)
        index = json.loads(files["index.json"])
        index["manifests"][0]["digest"] = "sha256:" + "0" * 64
        files["index.json"] = json.dumps(index).encode()
        images.oci_archive(self.dir / "o.tar", files)
        self.refused(self.dir / "o.tar", "lacks")
        index["manifests"][0]["digest"] = "sha256:../../../../etc/passwd"
        files["index.json"] = json.dumps(index).encode()
        images.oci_layout(self.dir / "layout", files)
        self.refused(self.dir / "layout", "SHA-256")


if __name__ == "__main__":
    sys.exit(unittest.main())
