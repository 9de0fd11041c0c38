# SPDX-License-Identifier: Apache-2.0
"""Enclave images in virtual machines: images built, booted, killed, and the
stack on the parent's side of one (KMS, daemon, a client)."""

import json
import os
import pathlib
import re
import signal
import socket
import struct
import time
import zlib

from .kms import Kms, client
from .parent import Parent
from .process import Program, bin_dir, run, skip
from .stack import Stack, environment

BOOT_SECONDS = 120  # ten times what it takes, for machines that do much else


def root():
    """The folder that `./dev vm` fills, or the script ends as skipped."""
    source = pathlib.Path(os.environ.get("CV_SOURCE_DIR", pathlib.Path(__file__).parents[3]))
    at = pathlib.Path(os.environ.get("CLAVIGER_VM_ROOT") or source / ".cache" / "vm-root")
    for name in ("usr/bin/qemu-system-x86_64", "kernel/vmlinuz"):
        if not (at / name).exists():
            skip(f"there is no {at / name}: './dev vm' fetches QEMU and a kernel")
    return at


def build(out, *arguments):
    """An image with Debian's kernel and modules; gives its registers."""
    kernel = root() / "kernel"
    modules = [str(kernel / m) for m in (kernel / "modules-load-order").read_text().split()]
    run([bin_dir() / "claviger", "eif", "build", *arguments, "--kernel", kernel / "vmlinuz",
         "--modules", ",".join(modules), "-o", out])
    return registers(out)


def registers(image):
    shown = json.loads(run([bin_dir() / "claviger", "--json", "eif", "describe", image]).stdout)
    return shown["Measurements"]


def change_one_byte(image, out):
    """Another panic time-out in the kernel's command line, and the CRC made to fit."""
    data = bytearray(pathlib.Path(image).read_bytes())
    at = data.index(b"panic=30")
    data[at + 7:at + 8] = b"1"
    crc = zlib.crc32(data[0x224:], zlib.crc32(data[:0x220]))
    struct.pack_into(">I", data, 0x220, crc)
    pathlib.Path(out).write_bytes(data)
    return registers(out)


class Vm:
    """claviger-local vm run."""

    accelerator = None  # found by the first machine that started

    def __init__(self, image, directory, nsm, *arguments, memory=256, wait=True):
        self.dir = pathlib.Path(directory)
        self.log = self.dir.parent / f"{self.dir.name}.log"
        accel = ["--accel", Vm.accelerator] if Vm.accelerator else []
        started = time.monotonic()
        self.program = Program(
            [bin_dir() / "claviger-local", "vm", "run", image, "--dir", self.dir, "--nsm", nsm,
             "--root", root(), "--memory", str(memory), *accel, *arguments], self.log, env=environment())
        if wait:
            self.wait_running()
            self.boot_seconds = time.monotonic() - started

    def socket_path(self):
        return f"{self.dir}/vm.vsock"

    def vsock(self, port):
        return f"vsock-uds:{self.socket_path()}:{port}"

    def describe(self):
        done = run([bin_dir() / "claviger-local", "vm", "describe", "--dir", self.dir], check=False)
        return json.loads(done.stdout) if done.returncode == 0 else None

    def wait_running(self, seconds=BOOT_SECONDS):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if "MemoryMiB" in self.program.out_path.read_text() and self.program.out_path.read_text().rstrip().endswith("}"):
                Vm.accelerator = self.describe()["Accelerator"]
                return
            if not self.program.alive():
                break
            time.sleep(0.05)
        self.stop()
        raise RuntimeError(f"the virtual machine did not start:\n{self.program.tail()}\n{self.console()[-2000:]}")

    def wait_port(self, port, seconds=30):
        """Until somebody listens at the enclave's PORT."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                try:
                    s.connect(self.socket_path())
                    s.sendall(f"CONNECT {port}\n".encode())
                    if s.recv(64).startswith(b"OK "):
                        return
                except OSError:
                    pass
            time.sleep(0.1)
        raise RuntimeError(f"nobody listens at port {port}:\n{self.program.tail()}\n{self.console()[-2000:]}")

    def console(self):
        path = self.dir / "console.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def wait_end(self, seconds=60):
        self.program.process.wait(seconds)
        return self.program.process.returncode

    def processes(self):
        """Ids of what it started that are still there."""
        pid = self.program.process.pid
        found = []
        for task in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = task.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid and fields[0] != "Z":
                found.append(int(task.parent.name))
        return found

    def resident(self):
        """MiB of the guest's memory that are in use."""
        status = pathlib.Path(f"/proc/{self.describe()['HypervisorPID']}/status").read_text()
        return int(re.search(r"RssShmem:\s+(\d+)", status).group(1)) // 1024

    def kill_machine(self):
        """As a power cut: no process of the guest is told."""
        os.kill(self.describe()["HypervisorPID"], signal.SIGKILL)
        self.program.process.wait(30)

    def stop(self):
        return self.program.stop(30)


class VmParent(Parent):
    """The parent of docs/protocol/parent.md, in the folder of a machine."""

    path = "vm.vsock_{}"


class VmStack(Stack):
    """KMS and daemon on this side; the signer's image in a virtual machine."""

    def __init__(self, directory):
        super().__init__(directory)
        self.kms = self.vm = None
        self.vm_dir = self.dir / "vm"
        # `up` makes what is not ours to repeat: roots, key, role, configuration.
        self.up()
        self.down()
        self.conf = dict(line.split("=", 1) for line in (self.dir / "enclave.conf").read_text().splitlines()
                         if "=" in line and not line.startswith("#"))
        self.kms = Kms(self.dir, "--root", self.dir / "nsm" / "root.pem")
        text = self.config.read_text()
        text = re.sub(r'enclave_address: "[^"]*"',
                      f'enclave_address: "vsock-uds:{self.vm_dir}/vm.vsock:2000"\n'
                      f'      proxy_local_address: "vsock-uds:{self.vm_dir}/vm.vsock:8000"\n'
                      f'      proxy_remote_address: "127.0.0.1:{self.kms.port}"', text)
        self.config.write_text(text)

    def build(self, out, *arguments):
        return build(out, "--signer", "--cmk", self.conf["cmk_arn"], "--region", self.conf["region"],
                     "--ca-file", self.dir / "ca.pem", "--set", "parent_cid=2", *arguments)

    def bind(self, *images, allow_debug=False):
        """The key's policy: these images alone."""
        admin = next(p for p in self.kms.principals() if p["arn"].endswith(":root"))
        role = next(p for p in self.kms.principals() if p.get("role_arn"))
        eifs = [a for image in images for a in ("--eif", image)]
        policy = run([self.bin / "claviger", "policy", "create", "--principal", role["role_arn"], *eifs]).stdout
        admin_client = client(self.kms, admin)
        admin_client.put_key_policy(KeyId=self.conf["cmk_arn"], PolicyName="default", Policy=policy)
        admin_client.close()

    def boot(self, image, *arguments, memory=256):
        self.vm = Vm(image, self.vm_dir, self.dir / "nsm", *arguments, memory=memory)
        self.vm.wait_port(2000)
        return self.vm

    def halt(self):
        if self.vm:
            self.vm.stop()
            self.vm = None

    def wait_ready(self, seconds=60):
        """Until the daemon has its enclave."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.utility("GET", "/readyz").status == 200:
                return
            time.sleep(0.1)
        raise RuntimeError("the daemon is not ready:\n" + self.daemon.tail())

    def down(self):
        super().down()
        self.halt()
        if self.kms:
            self.kms.stop()
            self.kms = None
