#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Every program, its help and its manual page tell of the same options; so do sources that have a table.

    manual_test.py TOP BUILD
"""
import pathlib
import re
import shutil
import subprocess
import sys

TOP, BUILD = map(pathlib.Path, sys.argv[1:3])
# Program, page, sources with a table of getopt, exit code of wrong use.
PROGRAMS = (("tools/lethe", "lethe.1", ["tools/lethe.c"], 2),
            ("server/lethed", "lethed.8", [], 2),
            ("tools/lethe-query", "lethe-query.1", [], 1),
            ("tools/lethe-bench", "lethe-bench.1", ["tools/bench/config.c"], 2),
            ("tools/lethe-replay", "lethe-replay.1", ["tools/lethe-replay.c"], 2),
            ("tools/lethe-forward", "lethe-forward.8", ["tools/forward/main.c"], 2),
            ("tools/lethe-goaway", "lethe-goaway.8", ["tools/goaway/options.c"], 2))
SECTIONS = ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO")
failures = []


def check(is_good, *what):
    if not is_good:
        failures.append(" ".join(map(str, what)))


def run(*words):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)


def options_of_help(program):
    """Of its help, and that of its subcommands, which stand in it as "lethe ... zone load ..."."""
    text = run(program, "--help").stdout
    for words in set(re.findall(r"^ +lethe (?:--db DIR )?((?:(?:zone|db) )?[a-z]+)", text, re.M)):
        text += run(program, *words.split(), "--help").stdout
    return words_of(text)


def words_of(text):
    """-x, --long and +plus (not +noplus, nor +[no]plus)."""
    words = set(re.findall(r"(?<![\w/=+-])(--[a-z][a-z0-9-]+|-[A-Za-z0-9])(?![\w-])", text))
    plus = set(re.findall(r"\+(?:\[no\])?([a-z][a-z0-9-]*)", text))
    return words | {"+" + word for word in plus if not (word[:2] == "no" and word[2:] in plus)}


def options_of_page(page):
    """What Fl marks, and +words."""
    text, words = page.read_text(encoding="ascii"), set()
    for line in re.findall(r"^\.(.*)", text, re.M):
        is_flag = False
        for word in line.replace("\\-", "-").split():
            if re.fullmatch(r"[A-Z][a-z]", word):
                is_flag = word == "Fl"
            elif word in ":;.":
                is_flag = False
            elif is_flag and re.fullmatch(r"-?[A-Za-z0-9][A-Za-z0-9-]*", word):
                words.add("-" + word)
    return words | {word for word in words_of(text.replace("\\-", "-")) if word[0] == "+"}


def check_program(name, page, tables, wrong_use):
    program, page = BUILD / name, TOP / "doc" / page
    if not program.exists():
        print("NOT TRIED:", name, "is not built here")
        return
    short = program.name
    by_help, by_page = options_of_help(program), options_of_page(page)
    if any(word[0] == "+" for word in by_help):  # there --word is +word
        by_help = {word for word in by_help if "+" + word[2:] not in by_help}
    for word in sorted(by_help ^ by_page):
        if word[0] == "+" and word in by_page:  # another name, or cut short
            by_help.add(word)
            continue
        check(False, f"{short}: {word} is in its {'help' if word in by_help else 'page'} only")
    known = set()
    for table in tables:
        known |= set(re.findall(r'\{"([a-z-]+)", (?:no|required)_argument', (TOP / table).read_text()))
    for word in sorted(known ^ {word[2:] for word in by_help if word[:2] == "--"} if tables else []):
        check(False, f"{short}: --{word} is in its {'sources' if word in known else 'help'} only")
    for word in sorted(word for word in by_help if word[0] == "+"):  # read before --version ends it
        values = ("", "=1", "=01", "=192.0.2.1", "=well-known")
        check(any(run(program, word + value, "--version").returncode == 0 for value in values),
              f"{short}: {word} is not taken")
    version = run(program, "--version")
    check(version.returncode == 0 and re.fullmatch(short + r" [0-9.]+\n", version.stdout), short, "--version:", version)
    told = run(program, "--help")
    check(told.returncode == 0 and told.stderr == "", short, "--help:", told.returncode, told.stderr)
    check(max(map(len, told.stdout.splitlines())) <= 110, short, "--help has lines of more than 110 columns")
    wrong = run(program, "--no-such-option")
    check(wrong.returncode == wrong_use and wrong.stdout == "" and "no-such-option" in wrong.stderr
          and "--help" in wrong.stderr, short, "of a wrong option:", wrong)
    sections = re.findall(r'^\.Sh "?([A-Z ]+)', page.read_text(), re.M)
    check(all(section in sections for section in SECTIONS), page.name, "has only", sections)


def check_page(page):
    for name, section in re.findall(r"^\.Xr (lethe\S*) (\d)", page.read_text(), re.M):
        check((TOP / "doc" / f"{name}.{section}").exists(), page.name, f"names {name}({section})")
    if shutil.which("groff"):
        made = run("groff", "-ww", "-mdoc", "-Tutf8", page)
        check(made.returncode == 0 and made.stderr == "", page.name, made.stderr)
    if shutil.which("mandoc"):
        made = run("mandoc", "-Tlint", "-W", "warning", page)
        check(made.stdout == "", page.name, made.stdout)


for arguments in PROGRAMS:
    check_program(*arguments)
for path in sorted((TOP / "doc").glob("*.[1-8]")):
    check_page(path)
print("\n".join(failures))
print(f"{len(failures)} failed")
sys.exit(1 if failures else 0)
