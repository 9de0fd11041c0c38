# SPDX-License-Identifier: Apache-2.0
"""Root directories of images, made of this machine's own programs."""

import os
import pathlib
import re
import shutil
import subprocess

PROGRAMS = ("/bin/bash", "/bin/cat", "/usr/bin/env", "/usr/bin/id", "/bin/sleep", "/usr/bin/stat",
            "/bin/ls", "/bin/hostname", "/bin/ps", "/usr/bin/head", "/bin/ln", "/usr/bin/tr", "/usr/bin/wc",
            "/bin/dd", "/bin/mkdir", "/bin/grep")
PASSWD = "root:x:0:0::/root:/bin/bash\napp:x:1000:1001::/home/app:/bin/bash\n"
GROUP = "root:x:0:\nstaff:x:1001:\nextra:x:1002:app,other\nmore:x:1003:other\n"


def make_root(root, programs=PROGRAMS):
    """A small image: PROGRAMS, what they load, users, a folder or two. A program
    is a path, or the pair of where it is here and in the image."""
    for path in programs:
        if isinstance(path, tuple):
            source, target = path
        else:
            source, target = shutil.which(os.path.basename(path), path=os.path.dirname(path) + ":/bin:/usr/bin"), path
        copy_in(root, source, target)
        for lib in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", source], capture_output=True, text=True,
                                                            check=True).stdout):
            copy_in(root, lib, lib)
    for folder in ("etc", "tmp", "run", "proc", "sys", "dev", "var", "srv", "root", "home/app"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text(PASSWD)
    (root / "etc/group").write_text(GROUP)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n10.9.8.7 from-the-image\n")
    (root / "var/run").symlink_to("/run")
    os.chmod(root, 0o755)


def copy_in(root, source, target):
    to = pathlib.Path(root) / str(target).lstrip("/")
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, to)
