#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The house keeps its order (CONTRIBUTING.md): who may include whom, what is
linked into what runs inside an enclave, and the rules that a compiler does not
check."""
import os
import re
import shutil
import subprocess
import unittest
from pathlib import Path

SOURCE = Path(os.environ.get("CV_SOURCE_DIR", Path(__file__).resolve().parents[2]))
BIN = Path(os.environ["CV_BIN_DIR"]) if "CV_BIN_DIR" in os.environ else None

# The order of the floors is that of src/CMakeLists.txt; these may not swap.
DESIGN = ("common cbor json crypto transport http tezos nsm settings attest eif policy aws sealed "
          "rpc proxy keystore").split()
PROGRAMS = "enclave init kmstool signer local cli".split()
# The command line drives the daemon, so it alone stands above another program.
ABOVE = {"cli": {"signer"}}

# Directories whose code may run inside, and libraries of theirs that may not:
# what runs inside does not resolve names, and speaks to AWS over one stream.
INSIDE = {
    "claviger-enclave": set("common cbor json http crypto transport tezos nsm settings aws sealed "
                            "rpc enclave".split()),
    "claviger-init": set("common cbor json http crypto transport nsm settings aws sealed "
                         "init".split()),
}
NEVER_INSIDE = {"cv_transport_resolve", "cv_aws_curl", "cv_local_nsm", "cv_yaml"}
THIRD_PARTY = {"c", "m", "pthread", "dl", "rt", "gcc", "gcc_eh", "gcc_s", "sodium", "secp256k1",
               "crypto", "ssl", "blst", "jansson", "seccomp", "z", "atomic"}

LIBRARIES = [name for name in re.search(
    r"foreach\(module\s+(.*?)\)", (SOURCE / "src/CMakeLists.txt").read_text(), re.S).group(1).split()
    if name not in PROGRAMS]

FORBIDDEN = ("strcpy strcat sprintf vsprintf gets atoi atol atof strtok alloca system popen "
             "tmpnam mktemp rand srand").split()

# The aims of CONTRIBUTING.md; text in columns may go on a little.
MAX_LINES = 500  # of a source or public header
MAX_FUNCTION = 70  # lines between its braces: about a screen
MAX_COLUMNS = 120


def sources(*tops):
    for top in tops:
        for path in sorted((SOURCE / top).rglob("*")):
            if path.suffix in (".c", ".h") and path.is_file():
                yield path


def bare(text, keep_comments=False):
    """C text with the inside of strings, and comments, blanked; lines stay."""
    def blank(match):
        token = match.group(0)
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[-1]
        if keep_comments and token.startswith("//"):
            return token
        return re.sub(r"[^\n]", " ", token)
    return re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', blank, text,
                  flags=re.S)


def includes(text):
    """(line, path) of each include of our own, with comments left out."""
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.S)
    for number, line in enumerate(text.split("\n"), 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if match:
            yield number, match.group(1)


def floor_fault(module, target):
    """Why a file of MODULE may not include one of TARGET, or None."""
    if module == target:
        return None
    if target not in LIBRARIES + PROGRAMS:
        return f"{target} is no floor of the house"
    if target in PROGRAMS:
        if module in PROGRAMS:
            return None if target in ABOVE.get(module, ()) else f"{target} is a sibling"
        return f"{target} stands above"
    if module in PROGRAMS or LIBRARIES.index(target) < LIBRARIES.index(module):
        return None
    return f"{target} stands above"


class Layout(unittest.TestCase):
    def test_files_are_laid_out(self):
        formatter = shutil.which("clang-format-14")
        if formatter is None:
            self.skipTest("clang-format-14 is not installed")
        files = [p for p in sources("src", "tests", "bench", "include") if ".cache" not in p.parts]
        self.assertGreater(len(files), 500)
        done = subprocess.run([formatter, "--dry-run", "-Werror", *files], capture_output=True, text=True,
                              timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:] + "\n'./dev format' lays files out")


class Floors(unittest.TestCase):
    def test_every_directory_has_its_floor(self):
        found = {p.name for p in (SOURCE / "src").iterdir() if p.is_dir()}
        self.assertEqual(found - set(LIBRARIES + PROGRAMS), set())
        self.assertEqual([name for name in LIBRARIES if name in DESIGN], DESIGN)

    def test_nothing_includes_upwards(self):
        faults, seen = [], 0
        for path in sources("src"):
            module = path.relative_to(SOURCE / "src").parts[0]
            for line, target in includes(path.read_text()):
                seen += 1
                where = f"{path.relative_to(SOURCE)}:{line}: {target}"
                if target.startswith("claviger/"):
                    # The public header of the verifier: for it and who stands above.
                    fault = floor_fault(module, "attest")
                elif "/" not in target:
                    fault = "includes are rooted at src/"
                else:
                    fault = floor_fault(module, target.split("/")[0])
                if fault:
                    faults.append(f"{where}: {fault}")
        self.assertEqual(faults, [])
        self.assertGreater(seen, 100)

    def test_the_rule_can_fail(self):
        self.assertIsNone(floor_fault("cbor", "common"))
        self.assertIsNotNone(floor_fault("common", "cbor"))
        self.assertIsNotNone(floor_fault("keystore", "cli"))
        self.assertIsNotNone(floor_fault("enclave", "signer"))
        self.assertIsNone(floor_fault("cli", "signer"))
        self.assertIsNotNone(floor_fault("signer", "cli"))
        self.assertIsNotNone(floor_fault("cli", "nowhere"))
        self.assertEqual(list(includes('/* #include "a/b.h" */\n# include "c/d.h"')),
                         [(2, "c/d.h")])

    def test_every_header_stands_alone(self):
        compiler = os.environ.get("CC", "cc")
        headers = [p for p in sources("src", "include") if p.suffix == ".h"]
        flags = subprocess.run(["pkg-config", "--cflags", "jansson", "yaml-0.1", "libmicrohttpd"],
                               capture_output=True, text=True, check=False).stdout.split()
        text = "".join(f'#include "{p}"\n' for p in headers)
        faults = []
        for header in headers:
            done = subprocess.run(
                [compiler, "-std=gnu17", "-D_GNU_SOURCE", f"-I{SOURCE / 'src'}",
                 f"-I{SOURCE / 'include'}", *flags, "-fsyntax-only", "-x", "c", str(header)],
                capture_output=True, text=True, timeout=60, check=False)
            if done.returncode != 0:
                faults.append(done.stderr.strip().split("\n")[0])
        self.assertEqual(faults, [])
        self.assertIn("common/bytes.h", text)


class Style(unittest.TestCase):
    def check(self, tops, rule):
        faults, seen = [], 0
        for path in sources(*tops):
            seen += 1
            faults += [f"{path.relative_to(SOURCE)}{fault}" for fault in rule(path.read_text())]
        self.assertGreater(seen, 10)
        self.assertEqual(faults, [])

    def test_licence_line(self):
        def rule(text):
            if not text.startswith("/* SPDX-License-Identifier: Apache-2.0 */\n"):
                yield ": the first line is not the licence's"
        self.check(("src", "include", "tests", "bench"), rule)
        self.assertEqual(list(rule("/* SPDX-License-Identifier: Apache-2.0 */\n")), [])
        self.assertEqual(len(list(rule("int x;\n"))), 1)

    def test_length(self):
        def rule(text):
            lines = text.count("\n")
            if lines > MAX_LINES:
                yield f": {lines} lines; a file of more than {MAX_LINES} has two concerns"
        self.check(("src", "include"), rule)
        self.assertEqual(len(list(rule("\n" * (MAX_LINES + 1)))), 1)

    def test_length_of_functions(self):
        def rule(text):
            lines = text.split("\n")
            # A body's braces, and no others, stand alone in the first column.
            for start in (n for n, line in enumerate(lines) if line == "{"):
                length = lines.index("}", start) - start if "}" in lines[start:] else 0
                if length > MAX_FUNCTION:
                    yield f":{start}: {length} lines in a function"
        self.check(("src",), rule)
        self.assertEqual(len(list(rule("int f(void)\n{\n" + "    x();\n" * MAX_FUNCTION + "}\n"))), 1)
        self.assertEqual(list(rule("int f(void)\n{\n" + "    x();\n" * (MAX_FUNCTION - 1) + "}\n")), [])

    def test_width_and_white_space(self):
        def rule(text):
            for number, line in enumerate(text.split("\n"), 1):
                if len(line) > MAX_COLUMNS:
                    yield f":{number}: {len(line)} columns"
                if "\t" in line or line != line.rstrip():
                    yield f":{number}: tab, or white space at the end"
            if not text.endswith("\n") or text.endswith("\n\n"):
                yield ": ends without, or with more than, one line break"
        self.check(("src", "include"), rule)
        self.assertEqual(len(list(rule("a \n\tb\n"))), 2)

    def test_comments(self):
        def rule(text):
            for number, line in enumerate(bare(text, keep_comments=True).split("\n"), 1):
                if "//" in line:
                    yield f":{number}: comments are /* such */"
        self.check(("src", "include", "tests", "bench"), rule)
        self.assertEqual(len(list(rule('char *s = "//"; /* // */\nint x; // no\n'))), 1)

    def test_forbidden_functions(self):
        pattern = re.compile(r"(?<![\w.>])(" + "|".join(FORBIDDEN) + r")\s*\(")

        def rule(text):
            for number, line in enumerate(bare(text).split("\n"), 1):
                match = pattern.search(line)
                if match:
                    yield f":{number}: {match.group(1)}() is not used here"
        self.check(("src", "include"), rule)
        self.assertEqual(len(list(rule('strcpy(a, b); /* gets(x) */ s = "atoi(1)"; o->system(1);'))),
                         1)

    def test_no_vsock_or_file_is_inherited(self):
        """Descriptors are close-on-exec from their first moment."""
        calls = {"socket": "SOCK_CLOEXEC", "open": "O_CLOEXEC", "openat": "O_CLOEXEC",
                 "accept4": "SOCK_CLOEXEC", "pipe2": "O_CLOEXEC", "epoll_create1": "EPOLL_CLOEXEC",
                 "eventfd": "EFD_CLOEXEC", "signalfd": "SFD_CLOEXEC",
                 "timerfd_create": "TFD_CLOEXEC", "socketpair": "SOCK_CLOEXEC"}
        pattern = re.compile(r"(?<![\w.>])(" + "|".join([*calls, "accept", "pipe", "epoll_create"])
                             + r")\s*\(")

        def rule(text):
            text = bare(text)
            for match in pattern.finditer(text):
                depth, end = 0, match.end() - 1
                while end < len(text):
                    depth += {"(": 1, ")": -1}.get(text[end], 0)
                    if depth == 0:
                        break
                    end += 1
                line = text.count("\n", 0, match.start()) + 1
                name, args = match.group(1), text[match.end():end]
                # Flags may be built in a variable; then the function sets them nearby.
                near = text[max(0, match.start() - 400):end]
                if re.match(r"\s*(const |struct |int |void)", args) or not args.strip():
                    continue # a declaration
                if name not in calls or calls[name] not in near:
                    yield f":{line}: {name}() without close-on-exec"
        self.check(("src",), rule)
        self.assertEqual(len(list(rule("fd = open(p, O_RDONLY);"))), 1)
        self.assertEqual(list(rule("fd = open(p, O_RDONLY | O_CLOEXEC);")), [])


def linked(program):
    """(directory, library, object) of ours, and names of foreign archives, from
    the linker's map: whole objects on its command line, and archive members
    that something referred to."""
    text = (BIN / f"{program}.map").read_text(errors="replace")
    ours, foreign = set(), set()
    head = text.split("\nDiscarded input sections")[0].split("\nAllocating common symbols")[0]
    for match in re.finditer(r"^(\S+\.a)\(([^)]+)\)\s*$|^(\S+\.a)\(([^)]+)\)\s", head, re.M):
        archive, member = match.group(1) or match.group(3), match.group(2) or match.group(4)
        name = Path(archive).name[3:-2]
        if name.startswith("cv_"):
            ours.add((Path(archive).parent.name, name, member))
        else:
            foreign.add(name)
    for match in re.finditer(r"^LOAD (\S+\.o)\s*$", text, re.M):
        path = Path(match.group(1))
        if "CMakeFiles" in path.parts:
            ours.add((path.parts[path.parts.index("CMakeFiles") - 1], "", path.name))
    return ours, foreign


def needed(program):
    text = subprocess.run(["readelf", "-d", str(BIN / program)], capture_output=True, text=True,
                          check=True).stdout
    return {re.sub(r"^lib|\.so.*$", "", name)
            for name in re.findall(r"\(NEEDED\).*\[(.*?)\]", text)}


class Inside(unittest.TestCase):
    """What runs inside is what a reviewer must read: nothing else is linked."""

    def have(self, program):
        if BIN is None or not (BIN / f"{program}.map").exists():
            self.skipTest(f"{program} is not built")
        cache = (BIN.parent / "CMakeCache.txt").read_text()
        if "CV_SANITIZE:BOOL=ON" in cache or "CV_TSAN:BOOL=ON" in cache:
            self.skipTest("a build with sanitizers links the shared libraries")

    def check_inside(self, program, release):
        self.have(program)
        ours, foreign = linked(program)
        self.assertTrue(ours, "the map names no object of ours")
        allowed = INSIDE[release]
        self.assertEqual({o for o in ours if o[0] not in allowed}, set())
        self.assertEqual({o for o in ours if o[1] in NEVER_INSIDE}, set())
        self.assertEqual(foreign - THIRD_PARTY, set())

    def test_enclave(self):
        self.check_inside("claviger-enclave", "claviger-enclave")

    def test_enclave_development(self):
        self.check_inside("claviger-enclave-dev", "claviger-enclave")

    def test_enclave_only_signs(self):
        """In the place of libsecp256k1's table for verification stand two bytes."""
        self.have("claviger-enclave")
        for program in ("claviger-enclave", "claviger-enclave-dev"):
            objects = {o[2] for o in linked(program)[0]}
            self.assertIn("no_verify_table.c.o", objects)
            self.assertEqual(objects & {"verify.c.o", "secp256k1_verify.c.o"}, set())
            self.assertLess((BIN / program).stat().st_size, 6.5 * 2**20)
        self.assertIn("secp256k1_verify.c.o", {o[2] for o in linked("claviger")[0]})

    def test_init(self):
        self.check_inside("claviger-init", "claviger-init")

    def test_static_programs_resolve_and_load_nothing(self):
        for program in INSIDE:
            if BIN is None or not (BIN / f"{program}.map").exists() or self.sanitized():
                continue
            with self.subTest(program):
                objects = {o[2] for o in linked(program)[0]}
                self.assertIn("no_resolver.c.o", objects)
                self.assertIn("no_loader.c.o", objects)
                text = (BIN / f"{program}.map").read_text(errors="replace")
                libc = set(re.findall(r"^\S*libc\.a\((\S+)\.o\)", text, re.M))
                self.assertIn("malloc", libc)
                self.assertEqual(libc & {"getaddrinfo", "gethstbynm", "getnameinfo", "nsswitch",
                                         "nss_module"}, set())

    def test_static_programs_need_no_library(self):
        for program in INSIDE:
            if BIN is None or not (BIN / program).exists():
                continue
            with self.subTest(program):
                libraries = needed(program)
                if libraries & {"asan", "tsan", "clang_rt.asan"} or self.sanitized():
                    self.skipTest("sanitizers do not link statically")
                self.assertEqual(libraries, set())

    def sanitized(self):
        cache = BIN.parent / "CMakeCache.txt"
        text = cache.read_text() if cache.exists() else ""
        return "CV_SANITIZE:BOOL=ON" in text or "CV_TSAN:BOOL=ON" in text

    def check_development(self, release, development):
        self.have(release)
        self.have(development)
        a, b = linked(release)[0], linked(development)[0]
        self.assertTrue(a & b)
        only_release, only_development = {o[2] for o in a - b}, {o[2] for o in b - a}
        # One object stands in for another: the device for the socket, and the
        # word that says which build it is.
        self.assertEqual(only_release, {"nsm_device.c.o", "build_release.c.o"})
        self.assertEqual(only_development, {"nsm_socket.c.o", "build_development.c.o"})

    def test_enclave_development_differs_in_named_objects(self):
        self.check_development("claviger-enclave", "claviger-enclave-dev")

    def test_init_development_differs_in_named_objects(self):
        self.check_development("claviger-init", "claviger-init-dev")

    def test_release_programs_have_no_stand_in(self):
        for program in ("claviger-enclave", "claviger-init", "claviger-kmstool", "claviger"):
            if BIN is None or not (BIN / f"{program}.map").exists():
                continue
            with self.subTest(program):
                objects = {o[2] for o in linked(program)[0]}
                self.assertNotIn("nsm_socket.c.o", objects)
                self.assertEqual({o for o in linked(program)[0] if o[0] == "local"}, set())


if __name__ == "__main__":
    unittest.main()
