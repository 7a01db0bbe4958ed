#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What `lethe zone dump` writes, read by BIND and ldns.

usage: dump_test.py LETHE DATA

Each zone is loaded and dumped. The dump must load back to the same dump, named-compilezone must make
the same of it as of the original, and ldns-read-zone must find as many records. Owners are stored in
lower case; BIND keeps RRsets of one name in the order of the file: both are evened out.
"""
import lzma
import os
import shutil
import stat
import subprocess
import sys
import tempfile

lethe, data = os.path.abspath(sys.argv[1]), sys.argv[2]
ZONES = {".": "root.zone.xz", "gov": "gov.zone.xz", "example": "zones/types.zone",
         "nsec.example": "zones/nsec.example.zone.xz", "nsec3.example": "zones/nsec3.example.zone.xz",
         "plain.example": "zones/plain.example.zone.xz"}

SMALL = "@ 60 IN SOA ns admin 1 7200 3600 1209600 300\n@ 60 IN NS ns\nns 60 IN A 192.0.2.1\n"


def run(*command, text=None):
    done = subprocess.run(command, input=text, encoding="latin-1", capture_output=True, timeout=100,
                          check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} {command[1]}: {done.stdout}{done.stderr}"[:2000])
    return done.stdout


def read(name):
    path = os.path.join(data, name)
    with (lzma.open if name.endswith(".xz") else open)(path, "rt", encoding="latin-1") as file:
        return file.read()


# APL and HIP with RDATA that ends too early, a name that BIND takes for a bit label: lethe keeps
# the first two as they are, BIND refuses.
BIND_REFUSES = ("TYPE42 ", "TYPE55 ", "\\[")


def for_bind(name, text):
    if not name.endswith("types.zone"):
        return text
    return "".join(line for line in text.splitlines(keepends=True)
                   if not any(refused in line for refused in BIND_REFUSES))


def compile_zone(zone, text, directory):
    source, target = os.path.join(directory, "in"), os.path.join(directory, "out")
    with open(source, "w", encoding="latin-1") as file:
        file.write(text)
    run("named-compilezone", "-i", "none", "-k", "ignore", "-n", "ignore", "-m", "ignore", "-r",
        "ignore", "-s", "full", "-o", target, zone, source)
    with open(target, encoding="latin-1") as file:
        return sorted(" ".join(line.lower().split()) for line in file)


def check(zone, name, directory):
    db = os.path.join(directory, "db")
    text = read(name)
    run(lethe, "--quiet", "--db", db, "zone", "load", zone, "-", text=text)
    dump = run(lethe, "--db", db, "zone", "dump", zone)
    run(lethe, "--quiet", "--db", db, "zone", "load", zone, "-", text=dump)
    if run(lethe, "--db", db, "zone", "dump", zone) != dump:
        return "does not load back the same"
    readable = for_bind(name, text)
    if readable != text:
        run(lethe, "--quiet", "--db", db, "zone", "load", zone, "-", text=readable)
        dump = run(lethe, "--db", db, "zone", "dump", zone)
    if compile_zone(zone, dump, directory) != compile_zone(zone, readable, directory):
        return "BIND reads something else than in the original"
    with open(os.path.join(directory, "dump"), "w", encoding="latin-1") as file:
        file.write(dump)
    read_by_ldns = run("ldns-read-zone", os.path.join(directory, "dump")).count("\n")
    if read_by_ldns != dump.count("\n"):
        return f"ldns reads {read_by_ldns} records of {dump.count(chr(10))}"
    return None


def check_pipe(directory):
    """A target that is no regular file, here a named pipe, is written to and stays what it is."""
    db, pipe = os.path.join(directory, "db"), os.path.join(directory, "pipe")
    run(lethe, "--quiet", "--db", db, "zone", "load", "example", "-", text=SMALL)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        run(lethe, "--db", db, "zone", "dump", "example", pipe)
        got = os.read(reader, 65536).decode() if stat.S_ISFIFO(os.stat(pipe).st_mode) else None
    finally:
        os.close(reader)
    if got is None:
        return "replaced by a file"
    return None if got == run(lethe, "--db", db, "zone", "dump", "example") else "not the dump"


def main():
    with tempfile.TemporaryDirectory() as directory:
        fault = check_pipe(directory)
    print(f"to a named pipe: {fault or 'ok'}")
    if fault is not None:
        return 1
    missing = [tool for tool in ("named-compilezone", "ldns-read-zone") if shutil.which(tool) is None]
    if missing:
        print(f"SKIPPED: {' and '.join(missing)} not installed")
        return 77
    failures = 0
    for zone, name in ZONES.items():
        with tempfile.TemporaryDirectory() as directory:
            fault = check(zone, name, directory)
        print(f"{zone}: {fault or 'ok'}")
        failures += fault is not None
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
