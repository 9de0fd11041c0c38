# SPDX-License-Identifier: Apache-2.0
"""Container images as other people's tools write them, and layers laid over
each other as umoci lays them."""

import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
import unittest

from claviger_testing import images
from claviger_testing.image_case import CONFIG, ImageCase


def docker_tar(entries, **kw):
    """A layer that ends as Go's archive/tar ends it: two blocks of zeros."""
    raw = images.tar(entries, **kw)
    end = len(raw)
    while raw[end - 512:end] == bytes(512):
        end -= 512
    return raw[:end] + bytes(1024)


LONG = "deep/" + "/".join(str(i) * 70 for i in range(4)) + "/" + "ü" * 100
LAYERS = [
    docker_tar([("bin", "dir", None), ("bin/app", "file", "#!/bin/sh\n", {"mode": 0o4755}), ("etc", "dir", None),
                ("etc/passwd", "file", "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n"),
                ("etc/group", "file", "root:x:0:\napp:x:1001:\n"), ("usr/lib", "dir", None), ("lib", "symlink", "usr/lib"),
                ("tmp", "dir", None, {"mode": 0o1777}), ("a/b/c", "file", "below nothing"), (LONG, "file", "long"),
                ("data", "dir", None, {"owner": (1000, 1001), "mode": 0o2750}), ("data/x", "file", "x" * 5000),
                ("data/y", "link", "data/x"), ("data/z", "symlink", "../../../../etc/passwd"),
                ("swap-dir", "dir", None), ("swap-dir/in", "file", "in"), ("swap-link", "symlink", "data"),
                ("opq", "dir", None), ("opq/old", "file", "old"), ("opq/sub", "dir", None), ("opq/sub/old", "file", "o"),
                ("dev", "dir", None), ("pipe", "fifo", None)]),
    docker_tar([("lib/so.1", "file", "so"), ("lib/so", "symlink", "so.1"), ("swap-dir", "symlink", "data"),
                ("swap-link", "dir", None), ("swap-link/in", "file", "a folder now"),
                ("opq/.wh..wh..opq", "file", ""), ("opq/new", "file", "new"), ("opq/sub", "dir", None, {"mode": 0o700}),
                ("a/b/.wh.c", "file", ""), ("data/.wh.x", "file", ""), ("data/w", "link", "data/y")]),
    docker_tar([("a/.wh.b", "file", ""), ("a/b", "file", "a file now"), ("data/y", "file", "apart from w now"),
                ("bin/app", "file", "#!/bin/sh\nexit\n", {"mode": 0o755}), (".wh.absent", "file", "")]),
]


def tool(name):
    if shutil.which(name) is None:
        raise unittest.SkipTest(f"{name} is not installed")
    return name


class Tools(ImageCase):
    def setUp(self):
        super().setUp()
        images.oci_layout(self.dir / "layout", images.oci_files(LAYERS, CONFIG))

    def run_tool(self, *argv):
        subprocess.run([tool(argv[0]), *argv[1:]], cwd=self.dir, check=True, timeout=60, capture_output=True)

    def test_every_form_that_skopeo_writes(self):
        self.build(self.dir / "layout")
        first = self.printed
        for name, *options in (("oci:zstd:app:1", "--dest-compress", "--dest-compress-format", "zstd"),
                               ("oci:chunked:app:1", "--dest-compress", "--dest-compress-format", "zstd:chunked"),
                               ("oci:gzip:app:1", "--dest-compress", "--dest-compress-format", "gzip"),
                               ("docker-archive:docker.tar:app:1",), ("oci-archive:oci.tar:app:1",)):
            self.run_tool("skopeo", "copy", *options, "oci:layout", name)
            path = self.dir / name.split(":")[1]
            if "zstd" in options or "zstd:chunked" in options:
                self.assertTrue(any(b.read_bytes()[:4] == b"\x28\xb5\x2f\xfd"
                                    for b in (path / "blobs/sha256").iterdir()), "not packed with zstd")
            self.build(path)
            self.assertEqual(self.printed, first, name)

    def test_layers_as_umoci_lays_them(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("umoci makes owners and devices as root only")
        self.run_tool("umoci", "unpack", "--image", "layout:app:1.2", "bundle")
        root = self.root(self.build(self.dir / "layout"))
        there, links = self.compare(root, self.dir / "bundle/rootfs")
        self.assertEqual(there["data/w"][3], b"x" * 5000)
        self.assertEqual(len(links), 0, "what was one file with two names is two now")

    def compare(self, root, top):
        """ROOT, read out of an image, is what lies at TOP; gives both that and files of several names."""
        there = {}
        for path in top.rglob("*"):
            st = path.lstat()
            kind = stat.S_IFMT(st.st_mode)
            content = os.readlink(path).encode() if kind == stat.S_IFLNK else path.read_bytes() if kind == stat.S_IFREG else b""
            there[str(path.relative_to(top))] = (st.st_mode, st.st_uid, st.st_gid, content)
        made = {"dev", "proc", "run", "sys", "tmp", "var"}  # mount points that the image gets in any case
        links = {}
        for name, (fields, content) in root.items():
            if stat.S_ISREG(fields["mode"]) and fields["nlink"] > 1:
                links.setdefault(fields["ino"], []).append((name, content))
        whole = {name: max(c for _, c in group) for group in links.values() for name, _ in group}
        ours = {n: (f["mode"], f["uid"], f["gid"], whole.get(n, c)) for n, (f, c) in root.items()
                if n not in made or n in there}
        self.assertEqual(set(ours), set(there))
        for name, value in there.items():
            self.assertEqual(ours[name], value, name)
        return there, links

    def test_layers_that_umoci_made(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("umoci makes owners and devices as root only")
        top = self.dir / "b/rootfs"

        def umoci(*argv):
            self.run_tool("umoci", *argv)

        def layer():
            umoci("repack", "--image", "made:app", "b")
            shutil.rmtree(self.dir / "b")
            umoci("unpack", "--image", "made:app", "b")

        umoci("init", "--layout", "made")
        umoci("new", "--image", "made:app")
        umoci("unpack", "--image", "made:app", "b")
        for name in ("usr/bin", "usr/share/doc/a", "etc", "var/cache/x", "dev"):
            (top / name).mkdir(parents=True)
        for i in range(20):
            (top / f"usr/bin/p{i}").write_bytes(bytes([i]) * 1000 * i)
            (top / f"usr/share/doc/a/{i}").write_text("doc")
        os.symlink("usr/bin", top / "bin")
        layer()
        shutil.rmtree(top / "usr/share/doc")
        (top / "usr/share/doc").mkdir()
        (top / "usr/share/doc/new").write_text("new")
        os.unlink(top / "usr/bin/p1")
        os.rename(top / "usr/bin/p2", top / "usr/bin/renamed")
        os.link(top / "usr/bin/p3", top / "usr/bin/p3-again")
        os.chmod(top / "usr/bin/p4", 0o4711)
        os.chown(top / "usr/bin/p5", 33, 34)
        shutil.rmtree(top / "var/cache")
        os.symlink("/tmp", top / "var/cache")
        os.mknod(top / "dev/foo", 0o20600, os.makedev(1, 3))
        os.mkfifo(top / "etc/pipe")
        deep = top / "/".join(["d" * 100] * 12)
        deep.mkdir(parents=True)
        (deep / "f").write_text("deep")
        with open(top / "var/sparse", "wb") as f:
            f.truncate(3 << 20)
            f.seek(0, 2)
            f.write(b"end")
        layer()
        os.unlink(top / "bin")
        (top / "bin").mkdir()
        (top / "bin/sh").write_text("a folder now")
        layer()
        umoci("config", "--image", "made:app", "--config.entrypoint", "/usr/bin/p3", "--config.cmd", "-c", "--config.user",
              "www-data", "--config.workingdir", "/srv", "--config.env", "discovery.type=single", "--config.stopsignal",
              "SIGQUIT")
        image = self.build(self.dir / "made")
        self.compare(self.root(image), top)
        for line in ("arg=/usr/bin/p3", "arg=-c", "env=discovery.type=single", "user=www-data", "workdir=/srv",
                     "stop_signal=SIGQUIT"):
            self.assertIn(line + "\n", self.extra(image, "claviger/boot.conf"))

    def test_packed_by_the_zstd_program(self):
        images.docker_save(self.dir / "d.tar", LAYERS, CONFIG)
        self.build(self.dir / "d.tar")
        first = self.printed
        for options in (["-1"], ["-19"], ["--ultra", "-22", "--long=27"], ["--no-check"], ["--rsyncable"]):
            self.run_tool("zstd", "-qf", *options, "d.tar", "-o", "d.tar.zst")
            self.build(self.dir / "d.tar.zst")
            self.assertEqual(self.printed, first, options)
        frames = b""  # several frames, a skippable one first and one between
        raw = (self.dir / "d.tar").read_bytes()
        skip = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
        for at in range(0, len(raw), 7000):
            frames += skip + subprocess.run(["zstd", "-qc"], input=raw[at:at + 7000], capture_output=True, check=True,
                                            timeout=60).stdout
        for end in (skip, bytes(70000), bytes(3) + skip + bytes(5)):
            (self.dir / "d.tar.zst").write_bytes(frames + end)
            self.build(self.dir / "d.tar.zst")
            self.assertEqual(self.printed, first)
        shutil.rmtree(self.dir / "out")
        (self.dir / "out").mkdir()
        for cut in (5, 100, len(frames) // 2, len(frames) - 1, len(frames) - 4):
            (self.dir / "d.tar.zst").write_bytes(frames[:cut])
            self.refused(self.dir / "d.tar.zst", "")
        (self.dir / "d.tar.zst").write_bytes(frames + b"trailing")
        self.refused(self.dir / "d.tar.zst", "something other than zstd")
        bad = bytearray(frames)
        bad[len(skip) + 200] ^= 4
        (self.dir / "d.tar.zst").write_bytes(bad)
        self.refused(self.dir / "d.tar.zst", "damaged")
        bomb = subprocess.run("head -c 300000000 /dev/zero | zstd -q --long=30", shell=True, cwd=self.dir, check=True,
                              capture_output=True, timeout=60).stdout
        (self.dir / "d.tar.zst").write_bytes(bomb)
        self.refused(self.dir / "d.tar.zst", "128 MiB")
        bomb = subprocess.run("head -c 300000000 /dev/zero | zstd -q", shell=True, cwd=self.dir, check=True,
                              capture_output=True, timeout=60).stdout
        (self.dir / "d.tar.zst").write_bytes(bomb)
        self.refused(self.dir / "d.tar.zst", "", "--max-size", "100")

    def test_other_packings_are_named(self):
        images.docker_save(self.dir / "d.tar", LAYERS, CONFIG)
        for name in ("xz", "bzip2"):
            packed = subprocess.run([tool(name), "-c", "d.tar"], cwd=self.dir, check=True, capture_output=True,
                                    timeout=60).stdout
            (self.dir / "d.packed").write_bytes(packed)
            self.refused(self.dir / "d.packed", f"packed with {name}")
        (self.dir / "s.tar").write_bytes(images.tar([("BZh", "file", "a name that looks like bzip2")]))
        self.assertIn("BZh", self.root(self.build(self.dir / "s.tar", "--", "/x")))


class Shapes(ImageCase):
    def test_order_of_the_members_does_not_count(self):
        entries = [("a", "dir", None), ("a/one", "file", "1"), ("a/two", "link", "a/one"), ("b", "file", "b" * 3000),
                   ("c", "symlink", "a"), ("d/e/f", "file", "deep")]
        (self.dir / "s.tar").write_bytes(images.tar(entries))
        first = self.build(self.dir / "s.tar", "--", "/b")
        order = [entries[i] for i in (5, 3, 4, 1, 0, 2)]
        (self.dir / "s.tar").write_bytes(images.tar(order))
        self.assertEqual(self.build(self.dir / "s.tar", "--", "/b"), first)

    def test_from_standard_input(self):
        images.docker_save(self.dir / "d.tar", LAYERS, CONFIG)
        first = self.build(self.dir / "d.tar")
        raw = (self.dir / "d.tar").read_bytes()
        (self.dir / "d.tgz").write_bytes(gzip.compress(raw))
        for name in ("d.tar", "d.tgz"):
            with open(self.dir / name, "rb") as whole:  # a file
                self.assertEqual(self.build("-", stdin=whole), first)
            with subprocess.Popen(["cat", self.dir / name], stdout=subprocess.PIPE) as pipe:
                self.assertEqual(self.build("-", stdin=pipe.stdout), first)
        os.unlink(self.dir / "out/x.eif")
        with subprocess.Popen(["head", "-c", "9000", self.dir / "d.tar"], stdout=subprocess.PIPE) as pipe:
            self.refused("-", "too early", stdin=pipe.stdout)
        with subprocess.Popen(["head", "-c", "30000000", "/dev/zero"], stdout=subprocess.PIPE) as pipe:
            self.refused("-", "--max-size", "--max-size", "8", stdin=pipe.stdout)
        os.mkfifo(self.dir / "fifo")
        self.refused(self.dir / "fifo", "neither a directory nor a file")

    def test_an_image_of_nothing(self):
        for layers in ([], None):
            config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["/x"]},
                                 "rootfs": {"type": "layers", "diff_ids": layers}})
            manifest = json.dumps([{"Config": "c.json", "RepoTags": None, "Layers": layers}])
            (self.dir / "d.tar").write_bytes(images.tar([("c.json", "file", config), ("manifest.json", "file", manifest)]))
            root = self.root(self.build(self.dir / "d.tar"))
            self.assertEqual(set(root), {"dev", "proc", "run", "sys", "tmp", "var"})

    def test_newer_docker_save(self):
        """Docker 25 and later: blobs by digest, an index beside manifest.json."""
        files = images.oci_files(LAYERS, CONFIG, packed=False)
        manifest = json.loads(files["blobs/sha256/" + json.loads(files["index.json"])["manifests"][0]["digest"][7:]])
        path = lambda d: "blobs/sha256/" + d["digest"][7:]
        files["manifest.json"] = json.dumps([{
            "Config": path(manifest["config"]), "RepoTags": ["app:1.2"], "Layers": [path(d) for d in manifest["layers"]],
            "LayerSources": {d["digest"]: d for d in manifest["layers"]}}]).encode()
        files["repositories"] = b'{"app":{"1.2":"x"}}'
        images.oci_archive(self.dir / "new.tar", files)
        images.docker_save(self.dir / "old.tar", LAYERS, CONFIG)
        new = self.build(self.dir / "new.tar")
        self.assertEqual(self.build(self.dir / "old.tar"), new)

    def test_an_application_with_a_manifest_of_its_own(self):
        (self.dir / "s.tar").write_bytes(images.tar([("manifest.json", "file", '{"name": "web"}'), ("x", "file", "x")]))
        self.refused(self.dir / "s.tar", "--type tar", "--", "/x")
        self.assertIn("manifest.json", self.root(self.build(self.dir / "s.tar", "--type", "tar", "--", "/x")))


class Indices(ImageCase):
    """What lies beside the image in an index."""

    def pack(self, own, extra, nested=False):
        files = images.oci_files(LAYERS, CONFIG)
        index = json.loads(files["index.json"])
        index["manifests"][0].update(own)
        index["manifests"] = [*(e for e in extra), *index["manifests"]]
        if nested:
            inner = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                                "manifests": index["manifests"]}).encode()
            files["blobs/sha256/" + images.sha256(inner)[7:]] = inner
            index["manifests"] = [{"mediaType": "application/vnd.oci.image.index.v1+json",
                                   "digest": images.sha256(inner), "size": len(inner),
                                   "annotations": {"org.opencontainers.image.ref.name": "app:1.2"}}]
        files["index.json"] = json.dumps(index).encode()
        images.oci_archive(self.dir / "o.tar", files)
        return index["manifests"][-1]

    def descriptor(self, number=0, **more):
        return {"mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": "sha256:" + f"{number:064x}", "size": 10, **more}

    def test_what_is_no_image_for_us(self):
        attestation = self.descriptor(1, platform={"os": "unknown", "architecture": "unknown"},
                                      annotations={"vnd.docker.reference.type": "attestation-manifest"})
        unlabelled = self.descriptor(2, annotations={"vnd.docker.reference.type": "attestation-manifest"})
        signature = self.descriptor(3, annotations={"kind": "dev.cosignproject.cosign/sigs"})
        artifact = self.descriptor(4, artifactType="application/vnd.example.sbom")
        arm = self.descriptor(5, platform={"os": "linux", "architecture": "arm64", "variant": "v8"})
        windows = self.descriptor(6, platform={"os": "windows", "architecture": "amd64"})
        newer = self.descriptor(7, platform={"os": "linux", "architecture": "amd64", "variant": "v3"})
        everything = [attestation, unlabelled, signature, artifact, arm, windows, newer]
        for nested in (False, True):
            self.pack({}, everything, nested)
            self.assertIn("bin/app", self.root(self.build(self.dir / "o.tar")))

    def test_one_image_under_two_names(self):
        entry = self.pack({}, [])
        twin = dict(entry, annotations={"org.opencontainers.image.ref.name": "app:latest"})
        self.pack({}, [twin])
        self.build(self.dir / "o.tar")
        self.build(self.dir / "o.tar", "--image", "app:latest")
        other = self.descriptor(9, platform={"os": "linux", "architecture": "amd64"})
        self.pack({}, [twin, other])
        os.unlink(self.dir / "out/x.eif")
        self.refused(self.dir / "o.tar", "holds 2 images")

    def test_only_for_a_newer_processor(self):
        self.pack({"platform": {"os": "linux", "architecture": "amd64", "variant": "v3"}}, [])
        self.build(self.dir / "o.tar")


if __name__ == "__main__":
    sys.exit(unittest.main())
