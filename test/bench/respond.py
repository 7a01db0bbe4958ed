#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions and nanoseconds per query of respond() on the root zone, and the load's speed.

usage: respond.py RESPOND LETHE ROOT_ZONE_XZ [--budget FILE] [--write-budget FILE]

Instructions are counted by callgrind inside respond() only; they repeat exactly, so that --budget
can fail the run when a case needs over 5 % more than its line in FILE says. Nanoseconds are of this
machine, for people.
"""
import argparse
import lzma
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

CASES = ["referral", "referral+do", "ds", "ds+do", "nxdomain", "nxdomain+do", "apex", "apex+do"]
TOLERANCE = 1.05


def instructions(respond, db, case, rounds=2000):
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out")
        result = subprocess.run(
            ["valgrind", "--tool=callgrind", "--toggle-collect=respond", f"--callgrind-out-file={out}",
             respond, db, ".", case, str(rounds)], capture_output=True, text=True, check=False)
        match = re.search(r"Collected : (\d+)", result.stderr)
        if result.returncode != 0 or not match:
            sys.exit(f"callgrind failed on {case}:\n{result.stderr}")
        return int(match.group(1)) / rounds


def nanoseconds(respond, db, case, rounds=300000):
    runs = []
    for _ in range(3):
        _, ns, octets = subprocess.run([respond, db, ".", case, str(rounds)], capture_output=True,
                                       text=True, check=True).stdout.split()
        runs.append(float(ns))
    return sorted(runs)[1], float(octets)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("respond")
    parser.add_argument("lethe")
    parser.add_argument("zone")
    parser.add_argument("--budget")
    parser.add_argument("--write-budget")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed")
        return 77
    budget, measured, over = {}, {}, []
    if arguments.budget:
        for line in open(arguments.budget, encoding="utf-8"):
            if line.strip() and not line.startswith("#"):
                case, count = line.split()
                budget[case] = float(count)
    with tempfile.TemporaryDirectory() as scratch:
        zone, db = os.path.join(scratch, "root.zone"), os.path.join(scratch, "db")
        with lzma.open(arguments.zone) as packed, open(zone, "wb") as file:
            file.write(packed.read())
        begin = time.monotonic()
        subprocess.run([arguments.lethe, "--db", db, "zone", "load", ".", zone], check=True,
                       stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - begin
        records = sum(1 for line in open(zone, encoding="utf-8") if line.strip() and line[0] != ";")
        print(f"load of the root zone, process start to end: {seconds:.2f} s, "
              f"{records / seconds:,.0f} records/s\n")
        print(f"{'case':<14}{'instructions':>14}{'budget':>10}{'ns':>8}{'octets':>9}")
        for case in CASES:
            count = measured[case] = instructions(arguments.respond, db, case)
            ns, octets = ("-", 0) if arguments.budget else nanoseconds(arguments.respond, db, case)
            limit = budget.get(case)
            print(f"{case:<14}{count:>14,.0f}{limit or '-':>10}"
                  f"{ns if ns == '-' else format(ns, '.0f'):>8}{octets:>9.0f}")
            if limit is not None and count > limit * TOLERANCE:
                over.append(f"{case}: {count:.0f} instructions, budget {limit:.0f}")
    if arguments.write_budget:
        with open(arguments.write_budget, "w", encoding="utf-8") as file:
            file.write("# Instructions of respond() per query on the root zone; see respond.py.\n")
            file.writelines(f"{case} {count:.0f}\n" for case, count in measured.items())
    for line in over:
        print("over budget:", line)
    return 1 if over else 0


sys.exit(main())
