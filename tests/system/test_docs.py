#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the documents say exists: files they link to, manual pages they name,
commands and options they show."""

import functools
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from claviger_testing.process import bin_dir, need

need("claviger", "claviger-local")
ROOT = pathlib.Path(os.environ["CV_SOURCE_DIR"])
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
MANUALS = sorted((ROOT / "docs/man").glob("*.scd"))

# Where a command line ends, in a block or in a sentence.
END = re.compile(r"[|;&#`>()\"',]|\s--\s|$")
# Looks like a command, and is the first line of a file.
NO_COMMAND = "watermark witness 1"


def fenced(text):
    """The fenced blocks of a page, continued lines joined."""
    for block in re.findall(r"^```[a-z]*\n(.*?)^```", text, re.S | re.M):
        yield from block.replace("\\\n", " ").split("\n")


def shown(path):
    """Lines of code of a page: blocks and code in sentences."""
    text = path.read_text()
    if path.suffix == ".scd":
        # Bold and underlined names, and lines indented as examples.
        text = re.sub(r"\\(.)", r"\1", text)
        for line in text.replace("\\\n", " ").split("\n"):
            if line.startswith("\t") or re.match(r"claviger[\w-]* (?!- )", line):
                yield re.sub(r"[*_]", "", line)
        yield from (re.sub(r"[*_]", "", c) for c in re.findall(r"[*_](claviger[^*_\n]*)[*_]", text))
        return
    yield from fenced(text)
    outside = re.sub(r"^```.*?^```", "", text, flags=re.S | re.M)
    yield from (code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", outside))


def calls(program, line):
    """The words after PROGRAM at each place in LINE where it is called."""
    for match in re.finditer(rf"(?<![\w./-]){program}\s+(?=\S)", line):
        rest = line[match.end():]
        yield rest[:END.search(rest).start()].split()


@functools.cache
def help_text(program, *words):
    done = subprocess.run([bin_dir() / program, *words, "--help"], capture_output=True, text=True, timeout=20,
                          check=False)
    return done.stdout if done.returncode == 0 else None


@functools.cache
def commands(program):
    text = help_text(program)
    body = re.split(r"^[Cc]ommands:\n", text, flags=re.M)[1].split("\n\n")[0]
    return {re.split(r"\s{2,}|(?<=\S) (?=[a-z]+ing\b)", line.strip())[0] if program == "claviger"
            else line.split()[0] for line in body.splitlines()}


def faults(program, words):
    """What is wrong with `PROGRAM WORDS...`, by its own help."""
    known, globals_ = commands(program), set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", help_text(program)))
    with_value = {"-c", "--config", "--base-dir", "--log", "--timeout"}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0).split("=")[0]
        if option not in globals_:
            return f"{program} has no option {option}"
        if option in with_value and rest:
            rest.pop(0)
    if not rest or not re.fullmatch(r"[a-z][a-z-]*", rest[0]):
        return None # a sentence, or a place for any command
    two = " ".join(rest[:2])
    families = {name.split()[0] for name in known if " " in name}
    if two in known:
        name = two
    elif rest[0] in known:
        name = rest[0]
    elif rest[0] in families and (len(rest) == 1 or not re.fullmatch(r"[a-z]+", rest[1])):
        return None # the family as a whole
    else:
        return f"there is no {program} {two}"
    text = help_text(program, *name.split()) or ""
    has = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", text)) | globals_
    for word in rest[len(name.split()):]:
        option = word.split("=")[0].rstrip("].")
        if re.fullmatch(r"--?[a-zA-Z][\w-]*", option) and option not in has:
            return f"{program} {name} has no option {option}"
    return None


class Links(unittest.TestCase):
    def test_relative_links(self):
        broken, seen = [], 0
        for page in PAGES:
            text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.S | re.M)
            for target in re.findall(r"\]\(([^)\s]+)\)", text):
                if re.match(r"[a-z]+:", target):
                    continue
                seen += 1
                name, _, anchor = target.partition("#")
                file = page.parent / name if name else page
                if not file.exists():
                    broken.append(f"{page.relative_to(ROOT)}: {target}")
                elif anchor:
                    titles = re.findall(r"^#+ (.*)$", file.read_text(), re.M)
                    made = {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}
                    if anchor not in made:
                        broken.append(f"{page.relative_to(ROOT)}: {target}: no such title")
        self.assertEqual(broken, [])
        self.assertGreater(seen, 30)

    def test_every_page_is_linked(self):
        linked = set()
        for page in PAGES:
            linked |= {(page.parent / name).resolve() for name in re.findall(r"\]\(([^)\s#]+\.md)", page.read_text())
                       if not name.startswith("http")} - {page}
        lonely = [str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md") if p.resolve() not in linked]
        self.assertEqual(lonely, [])

    def test_files_named_in_the_text(self):
        """`src/x.h`, `packaging/y`, ... in backquotes are files of the tree."""
        missing, seen = [], 0
        for page in PAGES:
            for code in re.findall(r"`([^`\s]+)`", page.read_text()):
                if not re.fullmatch(r"(src|docs|tests|tools|demo|bench|packaging|cmake|include)/[\w./@-]+", code):
                    continue
                seen += 1
                if not (ROOT / code).exists():
                    missing.append(f"{page.relative_to(ROOT)}: {code}")
        self.assertEqual(missing, [])
        self.assertGreater(seen, 10)

    def test_manual_pages(self):
        have = {tuple(p.stem.rsplit(".", 1)) for p in MANUALS}
        named = set()
        for page in [*PAGES, *MANUALS]:
            text = re.sub(r"[*_\\]", "", page.read_text())
            named |= set(re.findall(r"\b((?:lib)?claviger[\w-]*|signatory\.yaml|enclave\.(?:conf|yaml))\((\d)\)", text))
        self.assertEqual(named - have, set())
        self.assertGreater(len(named), 8)


@unittest.skipUnless(shutil.which("scdoc") and shutil.which("mandoc"), "scdoc or mandoc is not installed")
class Manuals(unittest.TestCase):
    def faults(self, source):
        page = subprocess.run(["scdoc"], input=source, capture_output=True, text=True, timeout=20, check=False)
        if page.returncode != 0:
            return [page.stderr.strip()]
        done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning"], input=page.stdout, capture_output=True,
                              text=True, timeout=20, check=False)
        # scdoc writes a paragraph before every list and title, which mandoc leaves out and tells.
        return [line for line in (done.stdout + done.stderr).splitlines() if "skipping paragraph macro: PP" not in line]

    def test_manual_pages_are_sound(self):
        self.assertEqual({page.name: found for page in MANUALS if (found := self.faults(page.read_text()))}, {})
        self.assertGreater(len(MANUALS), 10)

    def test_the_rule_can_fail(self):
        self.assertNotEqual(self.faults("x(1)\n\n# NAME\n\nx - *y _z*\n"), [])
        self.assertNotEqual(self.faults("x(1)\n\n# NAME\n\nx - y\n\n\tone++\n\ttwo\n"), [])


class Commands(unittest.TestCase):
    def check(self, program, least):
        wrong, seen = [], 0
        for page in [*PAGES, *MANUALS]:
            for line in shown(page):
                for words in calls(program, line):
                    if " ".join(words) == NO_COMMAND:
                        continue
                    seen += 1
                    fault = faults(program, words)
                    if fault:
                        wrong.append(f"{page.relative_to(ROOT)}: {fault}: {line.strip()[:90]}")
        self.assertEqual(wrong, [])
        self.assertGreater(seen, least)

    def test_claviger(self):
        self.check("claviger", 100)

    def test_claviger_local(self):
        self.check("claviger-local", 20)

    def test_dev(self):
        usage = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, timeout=20, check=True).stdout
        verbs = set(re.findall(r"^  ([a-z]+)(?= )", usage, re.M)) | {"help"}
        named = set()
        for page in PAGES:
            for line in shown(page):
                named |= set(re.findall(r"\./dev\s+([a-z]+)", line))
        self.assertEqual(named - verbs, set())
        self.assertGreater(len(named), 5)

    def test_the_rules_can_fail(self):
        for words, why in (("serv --check", "no claviger serv"), ("attest prove", "no claviger attest prove"),
                           ("serve --chek", "no option --chek"), ("--cnofig x serve", "no option --cnofig"),
                           ("eif build x --outputt y", "no option --outputt")):
            self.assertIn(why, faults("claviger", words.split()) or "", words)
        for words in ("serve --check", "-c FILE serve", "attest", "COMMAND --help", "eif build x -o y --cmk Z"):
            self.assertIsNone(faults("claviger", words.split()), words)
        self.assertEqual(list(calls("claviger", "a; claviger -c x list | grep b; claviger serve &")),
                         [["-c", "x", "list"], ["serve"]])


if __name__ == "__main__":
    unittest.main()
