# SPDX-License-Identifier: Apache-2.0
"""Several machines at one switch: a parent instance as a virtual machine too,
and enclaves that it reaches by real vsock addresses, as on Nitro."""

import pathlib
import re
import shlex
import socket
import time

from . import vm
from .process import Program, bin_dir
from .rootfs import copy_in, make_root
from .stack import environment

PARENT_CID = 3
KMS_PORT, MAIN_PORT, UTILITY_PORT = 7000, 6732, 9583
HOME = "/srv/stack"  # of the signer's files, in the parent's root directory
TOOLS = ("/bin/bash", "/bin/cat", "/bin/mkdir")
# Takes commands, a line each, and answers "STATUS LENGTH\nOUTPUT".
DRIVER = """exec 3<>/dev/tcp/driver/4000
while IFS= read -r line <&3; do
    out=$(eval "$line" 2>&1 </dev/null 3>&-)
    status=$?
    printf '%d %d\\n%s' $status ${#out} "$out" >&3
done
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Switch:
    """claviger-local vm switch."""

    def __init__(self, directory, *cids):
        self.dir = pathlib.Path(directory)
        self.program = Program(
            [bin_dir() / "claviger-local", "vm", "switch", "--dir", self.dir, "--root", vm.root(),
             *[a for cid in cids for a in ("--cid", str(cid))]],
            self.dir.parent / f"{self.dir.name}.log", env=environment())
        self.program.wait_line("ready", vm.BOOT_SECONDS)

    def stop(self):
        return self.program.stop()


class Guest(vm.Vm):
    """A machine with a CID of a switch."""

    def __init__(self, switch, cid, image, directory, nsm, *arguments, **more):
        self.switch, self.cid = switch, cid
        super().__init__(image, directory, nsm, "--switch", switch.dir, "--cid", str(cid), *arguments, **more)

    def socket_path(self):
        return f"{self.switch.dir}/{self.cid}.vsock"


class ParentGuest:
    """The parent instance: an image with Claviger's programs for a parent, a
    folder of files at HOME, and a shell that takes commands from here. This
    host is to it what a parent is to an enclave."""

    def __init__(self, directory, switch, stack, region):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir()
        self.main_port, self.utility_port = free_port(), free_port()
        self.driver = None
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.image = self.dir / "parent.eif"
        self.build(stack)
        self.side = Program(
            [bin_dir() / "claviger", "enclave", "serve", "--vm", f"{switch.dir}/{PARENT_CID}.vsock",
             "--region", region, "--no-heartbeat", "--no-credentials",
             "--egress", f"driver:4000=tcp:127.0.0.1:{self.listener.getsockname()[1]}",
             "-p", f"127.0.0.1:{self.main_port}:{MAIN_PORT}",
             "-p", f"127.0.0.1:{self.utility_port}:{UTILITY_PORT}"],
            self.dir / "side.log", env=environment())
        self.guest = Guest(switch, PARENT_CID, self.image, self.dir / "vm", self.dir / "nsm", "--heartbeat",
                           str(vm.BOOT_SECONDS), "--console", wait=False)

    def build(self, stack):
        root = self.dir / "rootfs"
        make_root(root, [*TOOLS, *((bin_dir() / p, f"/usr/bin/{p}") for p in ("claviger", "claviger-local"))])
        for file in pathlib.Path(stack).rglob("*"):
            if file.is_file():
                copy_in(root, file, f"{HOME}/{file.relative_to(stack)}")
        (root / "driver").write_text(DRIVER)
        (self.dir / "enclave.yaml").write_text(
            "version: 1\ncommand: [/bin/bash, /driver]\nenvironment: [LC_ALL=C, HOME=/root]\n"
            f"ports: [{MAIN_PORT}, {UTILITY_PORT}]\negress: ['driver:4000']\nparent_cid: 2\nboot_deadline: 3m\n")
        vm.build(self.image, root, "--enclave-config-file", self.dir / "enclave.yaml")

    def wait(self):
        """Until its shell takes commands."""
        self.guest.wait_running()
        self.listener.settimeout(vm.BOOT_SECONDS)
        try:
            self.driver, _ = self.listener.accept()
        except OSError:
            raise RuntimeError(f"the parent did not start:\n{self.side.tail()}\n{self.said()}\n"
                               f"{self.guest.program.tail()}\n{self.guest.console()[-2000:]}") from None
        self.answers = self.driver.makefile("rb")

    def said(self):
        return self.side.out_path.read_text(errors="replace")

    def run(self, command, check=True, seconds=60):
        """Status and output of a line of bash in the parent."""
        self.driver.settimeout(seconds)
        self.driver.sendall(command.encode() + b"\n")
        head = self.answers.readline()
        if not head:
            raise RuntimeError(f"the parent ended:\n{self.side.tail()}\n{self.said()[-2000:]}")
        status, length = (int(n) for n in head.split())
        output = self.answers.read(length).decode(errors="replace")
        if check and status != 0:
            raise RuntimeError(f"{command} gave {status}:\n{output}")
        return (output if check else (status, output))

    def write(self, path, text):
        escaped = text.replace("\\", "\\\\").replace("\n", "\\n")
        self.run(f"printf %b {shlex.quote(escaped)} >{shlex.quote(str(path))}")

    def start(self, name, *argv, env=None):
        """A program in its background, with its output in /run/NAME; gives its id."""
        words = shlex.join(map(str, argv))
        variables = " ".join(f"{k}={shlex.quote(v)}" for k, v in (env or {}).items())
        return int(self.run(f"{variables} {words} </dev/null >/run/{name}.out 2>/run/{name} & echo $!"))

    def log(self, name):
        return self.run(f"cat /run/{name}.out /run/{name}")

    def await_log(self, name, text, seconds=30):
        deadline = time.monotonic() + seconds
        while text not in self.log(name):
            if time.monotonic() > deadline:
                raise RuntimeError(f"no {text!r} in {name}:\n{self.log(name)}")
            time.sleep(0.1)

    def await_end(self, pid, seconds=20):
        deadline = time.monotonic() + seconds
        while self.run(f"[ -e /proc/{pid} ]", check=False)[0] == 0:
            if time.monotonic() > deadline:
                raise RuntimeError(f"process {pid} of the parent does not end")
            time.sleep(0.1)

    def end(self, pid, signal="TERM", seconds=20):
        self.run(f"kill -{signal} {pid}")
        self.await_end(pid, seconds)

    def stop(self):
        for s in (self.driver, self.listener):
            if s is not None:
                s.close()
        self.guest.stop()
        self.side.stop()


def configuration(text, directory):
    """A signatory.yaml of `claviger-local up` in DIRECTORY, as the parent has it."""
    text = re.sub(r"^(\s+)enclave_address:.*\n(\s+proxy_\w+_address:.*\n)*",
                  rf"\1enclave_cid: 16\n\1proxy_remote_address: 127.0.0.1:{KMS_PORT}\n", text, flags=re.M)
    text = re.sub(r"^(\s+address:).*", rf"\1 127.0.0.1:{MAIN_PORT}", text, flags=re.M)
    text = re.sub(r"^(\s+utility_address:).*", rf"\1 127.0.0.1:{UTILITY_PORT}", text, flags=re.M)
    return text.replace(str(directory), HOME)
