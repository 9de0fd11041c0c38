#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""claviger-init: an image's application as a container runtime would run it, in
namespaces of its own, with a parent that is good, slow, hostile or dead."""

import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.environ["CV_SOURCE_DIR"], "tests/lib"))
from claviger_testing.init_case import InitCase  # noqa: E402
from claviger_testing.parent import wait_until  # noqa: E402
from claviger_testing.process import bin_dir  # noqa: E402

STAGES = ("start", "clock", "network", "fetch", "attest", "decrypt", "check", "apply", "exec")


class Application(InitCase):
    def test_runs(self):
        out = self.boot("echo hello; echo oops >&2; exit 7", status=7)
        self.assertEqual(out, "hello\n")
        self.assertEqual(self.parent.output(2), "oops\n")
        self.assertEqual(self.parent.of("exit"), [{"type": "exit", "status": 7}])
        self.assertEqual(self.parent.of("heartbeat"), [{"type": "heartbeat", "byte": b"\xb7"}])
        hello = self.parent.of("hello")[0]
        self.assertEqual((hello["protocol"], hello["build"], hello["debug"], hello["pcr0"]),
                         (1, "development", False, "ab" * 48))
        self.assertEqual([(m["stage"], m["state"]) for m in self.parent.of("stage")],
                         [(s, e) for s in STAGES for e in ("begin", "end")])

    def test_arguments_environment_and_defaults(self):
        out = self.boot("/usr/bin/env", "--", env=["A=1", "B=line\nbreak \\x", "A_EMPTY="], hostname="inside")
        self.assertEqual(out.split("\n")[:3], ["A=1", "B=line", "break \\x"])
        got = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
        self.assertEqual(got["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        self.assertEqual((got["HOME"], got["HOSTNAME"], got["A_EMPTY"]), ("/root", "inside", ""))
        self.assertEqual(set(got), {"A", "B", "A_EMPTY", "PATH", "HOME", "HOSTNAME"})
        self.init = None
        self.setUp()
        out = self.boot("/bin/bash", "-c", 'printf "<%s>" "$@"', "x", "a b", "", "new\nline")
        self.assertEqual(out, "<a b><><new\nline>")

    def test_path_lookup(self):
        self.assertIn("uid=0", self.boot("id", env=["PATH=/nowhere:/usr/bin"]))

    def test_user_groups_directory(self):
        for user, want in (("app", "uid=1000(app) gid=1001(staff) groups=1001(staff),1002(extra)"),
                           ("1000:extra", "uid=1000(app) gid=1002(extra) groups=1002(extra)"),
                           ("4321", "uid=4321 gid=0(root) groups=0(root)")):
            self.setUp()
            out = self.boot("id; pwd; echo $HOME; echo > /dev/stdout x; umask", user=user, workdir="/srv/made/here")
            self.assertEqual(out.splitlines(), [want, "/srv/made/here", "/home/app" if "1000" in want else "/",
                                                "x", "0022"])
            self.tearDown()
            self.init = self.parent = None

    def test_process_tree(self):
        out = self.boot("echo $$ $PPID; ls -l /proc/self/fd; cat /proc/self/status | grep -E '^Sig(Blk|Ign)'")
        lines = out.splitlines()
        self.assertEqual(lines[0].split()[1], "1")
        self.assertEqual(len([x for x in lines if " -> " in x]), 4, out)  # 0, 1, 2 and the folder itself
        blocked = [x.split()[1] for x in lines if x.startswith("Sig")]
        self.assertEqual(blocked, ["0" * 16] * 2)

    def test_zombies_are_reaped(self):
        # Grandchildren whose parents die become ours.
        out = self.boot("for i in 1 2 3 4 5; do (sleep 0.1 & ) ; done; sleep 1; ps -e -o stat,comm")
        self.assertNotIn("Z", "".join(line.split()[0] for line in out.splitlines()[1:]), out)
        self.assertNotIn("sleep", out)

    def test_left_behind_processes_end_with_it(self):
        start = time.monotonic()
        self.boot("sleep 300 & echo started")
        self.assertLess(time.monotonic() - start, 20)

    def test_ended_by_a_signal(self):
        self.boot("kill -SEGV $$", status=128 + signal.SIGSEGV)
        self.assertEqual(self.parent.of("exit"), [{"type": "exit", "signal": int(signal.SIGSEGV)}])

    def test_stop_signal(self):
        self.start("trap 'echo got quit; exit 3' QUIT; echo ready; while :; do sleep 0.05; done",
                   stop_signal="SIGQUIT")
        self.parent.wait_output("ready")
        self.init.process.send_signal(signal.SIGTERM)
        self.wait_end(3)
        self.assertIn("got quit", self.parent.output())

    def test_other_signals_are_passed_on(self):
        self.start("trap 'echo got hup' HUP; trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done")
        self.parent.wait_output("ready")
        self.init.process.send_signal(signal.SIGHUP)
        self.parent.wait_output("got hup")
        self.init.process.send_signal(signal.SIGUSR1)
        self.wait_end(5)

    def test_parent_stops_it(self):
        self.start("trap 'echo stopping; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
        self.parent.wait_output("ready")
        self.parent.send({"type": "stop", "seconds": 10})
        self.wait_end(0)
        self.assertIn("stopping", self.parent.output())

    def test_parent_stops_what_does_not_listen(self):
        self.start("trap '' TERM; echo ready; while :; do sleep 0.05; done")
        self.parent.wait_output("ready")
        self.parent.send({"type": "stop", "seconds": 1})
        self.wait_end(128 + signal.SIGKILL)

    def test_file_systems(self):
        out = self.boot("while read _ p t _; do echo $p $t; done < /proc/mounts; ls /dev; "
                        "echo x > /dev/null && head -c4 /dev/urandom | wc -c; echo y > /run/a; echo z > /tmp/b; "
                        "echo w > /dev/shm/c; cat /run/a /tmp/b /dev/shm/c; cat /var/run/a; stat -c %a /tmp /run")
        for line in ("/ overlay", "/proc proc", "/sys sysfs", "/dev tmpfs", "/dev/pts devpts", "/dev/shm tmpfs",
                     "/run tmpfs", "/tmp tmpfs"):
            self.assertIn(line, out.splitlines())
        self.assertTrue(out.endswith("4\ny\nz\nw\ny\n1777\n755\n"), out)
        for name in ("null", "zero", "full", "random", "urandom", "fd", "stdin", "stdout", "stderr", "ptmx"):
            self.assertIn(name, out.splitlines())

    def test_what_the_image_has_in_run_stays(self):
        kept = self.top / "image/rootfs/run/kept"
        kept.write_text("kept\n")
        self.addCleanup(kept.unlink)
        self.assertEqual(self.boot("cat /run/kept; echo changed > /run/kept"), "kept\n")
        self.assertEqual(kept.read_text(), "kept\n")  # the image is not changed

    def test_no_program(self):
        for command, word in ((["/no/such"], "/no/such"), (["nosuch"], "nosuch"), (["/etc/passwd"], "Permission")):
            self.setUp()
            self.start(*command, "x")
            self.wait_end(64 + 8)
            failed = self.parent.of("stage", state="failed")[0]
            self.assertEqual(failed["stage"], "exec")
            self.assertIn(word, failed["error"])
            self.tearDown()
            self.init = self.parent = None

    def test_a_directory_that_is_none(self):
        self.assertIn("entering its directory /etc/passwd: Not a directory",
                      self.refused("exec", workdir="/etc/passwd"))

    def test_a_stop_signal_that_does_not_exist(self):
        self.start("trap 'echo told; exit 4' TERM; echo ready; sleep 60 & wait", stop_signal="SIGNONE")
        self.parent.wait_output("ready\n")
        self.init.process.terminate()
        self.wait_end(4)
        self.assertEqual(self.parent.output(), "ready\ntold\n")

    def test_two_ports_alike(self):
        self.refused("network", "port 8080", "another process serves", port=["8080", "8080:81"])

    def test_no_such_user(self):
        self.refused("apply", "no user \"nobody-here\"", user="nobody-here")

    def test_bad_settings(self):
        self.prepare()
        self.start("true")
        self.wait_end(0)
        self.setUp()
        text = (self.top / "image/claviger/boot.conf").read_text()
        self.prepare().start()
        (self.top / "image/claviger/boot.conf").write_text(text + "surprise=1\n")
        done = subprocess.run([bin_dir() / "claviger-init-dev", "--image", self.top / "image", "--parent",
                               self.parent.dir, "--nsm", self.nsm_socket], capture_output=True, text=True, timeout=30,
                              check=False, env=self.init_env())
        self.assertEqual(done.returncode, 64, done.stderr)
        self.assertIn("measured settings", self.parent.of("stage", state="failed")[0]["error"])

    def test_usage(self):
        for argv, status in (([], 2), (["--what"], 2), (["--help"], 0), (["--version"], 0)):
            done = subprocess.run([bin_dir() / "claviger-init-dev", *argv], capture_output=True, text=True, timeout=10,
                                  check=False)
            self.assertEqual(done.returncode, status)
        release = bin_dir() / "claviger-init"
        if release.exists():
            done = subprocess.run([release], capture_output=True, text=True, timeout=10, check=False)
            self.assertEqual(done.returncode, 2)
            self.assertIn("process 1 of an enclave", done.stdout)


class Logs(InitCase):
    def test_nobody_listens_for_a_while(self):
        self.prepare()
        self.start("for i in {1..30000}; do echo line $i; done; echo done >&2; sleep 3.14159",
                   ports=(9000, 8000, 8001, 9001))
        wait_until(lambda: any(b"3.14159" in sleeping for sleeping in self.command_lines("sleep")), 30)
        self.parent.listen(9002)
        self.wait_end(0)
        lost = [int.from_bytes(d, "big") for s, d in self.parent.records if s == 3]
        self.assertGreater(sum(lost), 100000)
        out = self.parent.output()
        self.assertTrue(out.endswith("line 30000\n"))
        self.assertIn("done", self.parent.output(2))
        total = sum(len(f"line {i}\n") for i in range(1, 30001))
        got = sum(len(d) for s, d in self.parent.records if s in (1,))
        self.assertLessEqual(got, total)
        self.assertGreater(got, 100000)

    @staticmethod
    def command_lines(program):
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = path.read_bytes()
            except OSError:
                continue
            if text.split(b"\0")[0].rpartition(b"/")[2] == program.encode():
                yield text

    def test_a_slow_parent_does_not_stop_the_application(self):
        self.prepare(silent=(9002,))  # accepts, never reads
        start = time.monotonic()
        self.start("for i in {1..60000}; do echo a longer line of the log $i; done; exit 4")
        self.wait_end(4)
        self.assertLess(time.monotonic() - start, 25)

    def test_dead_parent(self):
        self.prepare()
        start = time.monotonic()
        self.start("exit 6", ports=())
        self.wait_end(6, seconds=60)
        self.assertLess(time.monotonic() - start, 40)
        self.assertIn("no heartbeat", self.init.tail())

    def test_control_comes_later_and_breaks(self):
        self.prepare()
        self.start("trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done", ports=(9000, 9002))
        self.parent.wait_output("ready")
        self.parent.listen(9001)
        self.parent.wait_message("stage", stage="exec", state="end")
        before = len(self.parent.of("hello"))
        self.parent.send(b"this is no JSON\n")
        self.parent.wait(lambda p: len(p.of("hello")) > before)
        self.parent.send(b'{"type":"later"}\n{"type":"stop","seconds":5}\n')
        self.wait_end(9)
        self.assertEqual(self.parent.of("exit")[-1]["status"], 9)


class Debug(InitCase):
    def test_debug_mode(self):
        self.start_nsm("debug", "--debug-mode")
        self.nsm_socket = self.top / "debug.sock"
        self.refused("start", "debug mode", "allow_debug")
        self.setUp()
        self.nsm_socket = self.top / "debug.sock"
        self.assertEqual(self.boot("echo ok", allow_debug="on"), "ok\n")
        self.assertTrue(self.parent.of("hello")[0]["debug"])

    def test_an_nsm_that_is_not_sound(self):
        for fault, stage, words in (
                ("no-entropy", "start", ("NSM", "no entropy")), ("constant-entropy", "start", ("NSM", "over and over")),
                ("repeated-entropy", "start", ("NSM", "twice")), ("refuses", "start", ("NSM",)),
                ("garbage", "start", ("NSM",)), ("no-documents", "clock", ("NSM",))):
            with self.subTest(fault):
                self.setUp()
                self.start_nsm(fault, "--pcr0", "ab" * 48, "--fault", fault)
                self.nsm_socket = self.top / f"{fault}.sock"
                self.refused(stage, *words)


if __name__ == "__main__":
    unittest.main()
