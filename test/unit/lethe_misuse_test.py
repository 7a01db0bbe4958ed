#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe used wrongly: what it says names what is wrong and what to do, and its exit code tells
refusal (1) from wrong use (2).

usage: lethe_misuse_test.py LETHE
"""
import os
import pathlib
import subprocess
import sys
import tempfile

LETHE = os.path.abspath(sys.argv[1])
ZONE = "@ 60 SOA ns a 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
DISK_KB = 256
failed = 0


def expect(code, said, *words, text=None, inside=()):
    """Ends with this code and says this on standard error; nothing else crashes."""
    global failed
    run = subprocess.run([*inside, LETHE, *map(str, words)], input=text, capture_output=True, text=True,
                         check=False)
    if run.returncode != code or said not in run.stderr:
        failed += 1
        print(f"FAIL {words}: {run.returncode}, not {code}\n{run.stderr}wanted: {said}")


def test_use(top):
    db, zone = top / "db", top / "zone"
    zone.write_text(ZONE)
    expect(2, "", "zone")
    expect(2, 'no subcommand "zone lod"', "zone", "lod")
    expect(2, "--db DIR is missing", "zone", "load", "a.", zone)
    expect(1, "is the one above it there?", "--db", top / "none/db", "zone", "load", "a.", zone)
    expect(1, "Not a directory", "--db", zone / "db", "zone", "load", "a.", zone)
    expect(1, "make one with: lethe", "--db", db, "zone", "list")
    expect(2, "is not a domain name", "--db", db, "zone", "load", "a..b", zone)
    expect(2, "is not a domain name", "--db", db, "zone", "load", "@", zone)
    (top / "other").write_text("$ORIGIN other.\n" + ZONE)
    expect(1, "a SOA of other., is that the zone meant?", "--db", db, "zone", "load", "a.", top / "other")
    expect(0, "", "--db", db, "zone", "load", "a.", zone)
    zone.write_text(ZONE.replace(" 1 ", " 4294967295 "))
    expect(0, "serial 4294967295 is lower than 1, which", "--db", db, "zone", "load", "a.", zone)
    zone.write_text(ZONE)
    expect(1, "no zone b. there", "--db", db, "zone", "dump", "b.")
    expect(1, "no zone b. there", "--db", db, "zone", "change", "b.", text="+ x 60 A 192.0.2.1\n")
    expect(1, "no zone b. there", "--db", db, "zone", "change", "b.", text="; nothing\n")
    expect(1, "there is a database already", "--db", db, "db", "copy", db)
    expect(1, "No such file", "--db", db, "db", "copy", top / "none/copy")
    expect(0, "", "--db", db, "zone", "stat", "a.")


def test_full_disk(top):
    """On a small disk, which is this test's alone."""
    if os.geteuid() != 0:
        print("NOT TRIED: a full disk: needs root")
        return
    disk, zone, large = top / "disk", top / "zone", top / "large"
    disk.mkdir()
    zone.write_text(ZONE)
    large.write_text(ZONE + "".join(f"n{i} 60 TXT {'x' * 200}\n" for i in range(5000)))
    steps = (("--db", "first", "zone", "load", "a.", zone, 0),
             ("--db", "first", "zone", "load", "b.", large, 1),
             ("--db", "first", "zone", "stat", "a.", 0),
             ("--db", "second", "zone", "load", "a.", zone, 1),
             ("--db", top / "db", "db", "copy", "third", 1))
    script = f"mount -t tmpfs -o size={DISK_KB}k none {disk}; cd {disk}\n" + "".join(
        ("head -c 1M /dev/zero > fill 2> /dev/null\n" if "second" in step else "")
        + f"{LETHE} {' '.join(map(str, step[:-1]))} > /dev/null; echo {step[-1]} $? >> {top}/codes\n"
        for step in steps) + f"ls third > {top}/left\n"
    run = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True,
                         check=False)
    codes = (top / "codes").read_text().splitlines()
    global failed
    if len(codes) != len(steps) or any(line.split()[0] != line.split()[1] for line in codes) or \
            run.stderr.count("no room on the disk") != 3 or (top / "left").read_text() != "":
        failed += 1
        print("FAIL on a full disk:", codes, run.stderr, (top / "left").read_text())


with tempfile.TemporaryDirectory() as folder:
    test_use(pathlib.Path(folder))
    test_full_disk(pathlib.Path(folder))
sys.exit(1 if failed else 0)
