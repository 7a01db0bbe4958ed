#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Zones with something wrong, each with the messages that it must give.

usage: bad_zones_test.py LETHE DIRECTORY

Lines "; expect MESSAGE" in a zone of DIRECTORY are all messages that loading it prints, in order and
word for word. A zone with an error must be refused with exit code 1, say how many errors it has, and
leave the zone of before; one with warnings alone must be loaded.
"""
import json
import os
import subprocess
import sys
import tempfile

SERIAL = 2 ** 32 - 1  # lower than all others (RFC 1982)
GOOD = f"@ 3600 IN SOA ns1 admin {SERIAL} 7200 3600 1209600 300\n@ 3600 IN NS ns1\nns1 A 192.0.2.1\n"


def run(lethe, directory, *arguments, text=None):
    return subprocess.run([lethe, *arguments], cwd=directory, input=text, text=True,
                          capture_output=True, timeout=60, check=False)


def check_zone(lethe, db, directory, name):
    with open(os.path.join(directory, name), encoding="latin-1", newline="\n") as zone:
        expected = [line[len("; expect "):].rstrip("\n") for line in zone
                    if line.startswith("; expect ")]
    if not expected:
        return "no expectation in it"
    good = run(lethe, directory, "--db", db, "zone", "load", "example.", "-", text=GOOD)
    if good.returncode != 0:
        return f"cannot load the good zone: {good.stderr}"
    errors = sum(": error: " in message for message in expected)
    if errors > 0:
        plural = "" if errors == 1 else "s"
        expected.append(f"lethe: example.: refused, {errors} error{plural}; "
                        "the zone served before is unchanged")
    loaded = run(lethe, directory, "--db", db, "zone", "load", "example.", name)
    told = loaded.stderr.splitlines()
    if told != expected:
        return "\n  ".join(["told", *told, "expected", *expected])
    if loaded.returncode != (1 if errors > 0 else 0):
        return f"exit code {loaded.returncode}"
    stat = run(lethe, directory, "--db", db, "zone", "stat", "example.", "--json")
    serial = json.loads(stat.stdout)["serial"]
    if (serial == SERIAL) != (errors > 0):
        return f"afterwards serial {serial} is served"
    return None


def main():
    lethe, directory = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    names = sorted(name for name in os.listdir(directory) if name.endswith(".zone"))
    failures = 0
    with tempfile.TemporaryDirectory() as db:
        for name in names:
            fault = check_zone(lethe, db, directory, name)
            if fault is not None:
                failures += 1
                print(f"{name}: {fault}")
    print(f"{len(names)} zones, {failures} failed")
    return 0 if failures == 0 and len(names) >= 30 else 1


if __name__ == "__main__":
    sys.exit(main())
