# SPDX-License-Identifier: Apache-2.0
"""Container images made by hand: layers, docker save archives, OCI layouts."""

import gzip
import hashlib
import io
import json
import pathlib
import tarfile


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def tar(entries, fmt=tarfile.PAX_FORMAT):
    """ENTRIES: (name, kind, value, keywords). Kinds: file, dir, link, symlink,
    char, fifo; value: content, target or (major, minor)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as archive:
        for name, kind, value, *rest in entries:
            info = tarfile.TarInfo(name)
            options = rest[0] if rest else {}
            info.mode = options.get("mode", 0o755 if kind == "dir" else 0o644)
            info.uid, info.gid = options.get("owner", (0, 0))
            info.mtime = options.get("mtime", 1700000000)
            info.pax_headers = options.get("pax", {})
            data = None
            if kind == "file":
                data = value.encode() if isinstance(value, str) else value
                info.size = len(data)
            elif kind == "dir":
                info.type = tarfile.DIRTYPE
            elif kind in ("link", "symlink"):
                info.type = tarfile.LNKTYPE if kind == "link" else tarfile.SYMTYPE
                info.linkname = value
            elif kind == "char":
                info.type = tarfile.CHRTYPE
                info.devmajor, info.devminor = value
            elif kind == "fifo":
                info.type = tarfile.FIFOTYPE
            archive.addfile(info, io.BytesIO(data) if data is not None else None)
    return out.getvalue()


def configuration(layers, config, arch="amd64"):
    return json.dumps({"architecture": arch, "os": "linux", "created": "2024-01-01T00:00:00Z", "config": config,
                       "rootfs": {"type": "layers", "diff_ids": [sha256(d) for d in layers]}}).encode()


def docker_save(path, layers, config, tags=("app:1.2",), arch="amd64", links=False, change=None):
    """The older shape: HEX.json, ID/layer.tar, manifest.json. With LINKS the
    layers are symbolic links to files, as podman writes them."""
    conf = configuration(layers, config, arch)
    name = sha256(conf)[7:] + ".json"
    entries, members = [(name, "file", conf)], []
    for i, layer in enumerate(layers):
        member = f"{i:064d}/layer.tar"
        members.append(member)
        if links:
            entries.append((f"{sha256(layer)[7:]}.tar", "file", layer))
            entries.append((member, "symlink", f"../{sha256(layer)[7:]}.tar"))
        else:
            entries.append((member, "file", layer))
    manifest = [{"Config": name, "RepoTags": list(tags), "Layers": members}]
    entries.append(("manifest.json", "file", json.dumps(manifest)))
    if change is not None:
        entries = change(entries)
    pathlib.Path(path).write_bytes(tar(entries))


def oci_files(layers, config, packed=True, arch="amd64", extra=(), name="app:1.2"):
    """{member: content} of an OCI layout with one image, and more manifest
    descriptors in EXTRA."""
    files = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def blob(data):
        files["blobs/sha256/" + sha256(data)[7:]] = data
        return {"digest": sha256(data), "size": len(data)}

    conf = configuration(layers, config, arch)
    kind = "application/vnd.oci.image.layer.v1.tar"
    manifest = {
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(conf)},
        "layers": [{"mediaType": kind + ("+gzip" if packed else ""),
                    **blob(gzip.compress(d, mtime=0) if packed else d)} for d in layers]}
    entry = {"mediaType": manifest["mediaType"], **blob(json.dumps(manifest).encode()),
             "platform": {"os": "linux", "architecture": arch},
             "annotations": {"org.opencontainers.image.ref.name": name}}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": [*extra, entry]}).encode()
    return files


def oci_layout(path, files):
    for name, data in files.items():
        target = pathlib.Path(path) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def oci_archive(path, files):
    pathlib.Path(path).write_bytes(tar([(n, "file", d) for n, d in files.items()]))


# Three layers with whiteouts, an opaque folder, a link to a folder that is
# written through, a folder that becomes a file, a hard link into a layer below.
LAYERS = [
    tar([("bin", "dir", None), ("bin/app", "file", "v1", {"mode": 0o755}), ("etc", "dir", None),
                ("etc/old", "file", "old"), ("etc/keep", "file", "keep"), ("etc/passwd", "file", "root:x:0:0::/:/bin/sh\n"
                                                                           "app:x:1000:1001::/:/bin/sh\n"),
                ("etc/group", "file", "root:x:0:\nstaff:x:50:\n"),
                ("opt", "dir", None), ("opt/a", "file", "a"), ("opt/sub", "dir", None), ("opt/sub/b", "file", "b"),
                ("lib", "symlink", "usr/lib"), ("usr/lib", "dir", None), ("gone", "dir", None),
                ("gone/x", "file", "x"), ("tofile", "dir", None), ("tofile/in", "file", "in")]),
    tar([("etc/.wh.old", "file", ""), ("opt", "dir", None, {"mode": 0o700}), ("opt/new", "file", "new"),
                ("opt/.wh..wh..opq", "file", ""), (".wh.gone", "file", ""), ("lib/so", "file", "library"),
                ("bin/app", "file", "v2", {"mode": 0o755}), ("tofile", "file", "now a file"),
                (".wh..wh.aufs", "file", ""), (".wh.never-there", "file", "")]),
    tar([("gone", "dir", None), ("gone/again", "link", "bin/app"), ("etc/old", "file", "born again")]),
]
