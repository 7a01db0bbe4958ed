#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions and nanoseconds of a benchmark's cases on the root zone, and the load's speed.

usage: instructions.py respond|frames PROGRAM LETHE ROOT_ZONE_XZ [TLD_ZONE]
                       [--budget FILE] [--write-budget FILE] [--case CASE]...

Cases that begin with tld/ are of the zone TLD_ZONE.

Instructions are counted by callgrind inside one function only, less what another that it calls does;
they repeat exactly, so that --budget can fail the run when a case needs over 5 % more than its line
in FILE says. Nanoseconds are of this machine, for people.
"""
import argparse
import lzma
import os
import shutil
import subprocess
import sys
import tempfile
import time

# What is counted, what of it is not, rounds under callgrind and without, cases.
BENCHES = {
    "respond": ("measured", None, 4000, 300000, (
        "referral", "referral+do", "ds", "ds+do", "nxdomain", "nxdomain+do", "apex", "apex+do",
        "referral+do+cold", "ds+cold", "nxdomain+do+cold", "tld/outside+edns+cold",
        "tld/inside+edns+cold", "tld/glue+edns+cold", "tld/nxdomain+edns+cold",
        "tld/mix+edns+cold", "tld/mix+edns", "referral+image", "referral+do+image", "nxdomain+image",
        "apex+image", "apex+do+image", "tld/outside+edns+image", "tld/glue+edns+image",
        "tld/nxdomain+edns+image", "tld/mix+edns+cold+image", "referral+do+tsig",
        "nxdomain+do+tsig", "referral+edns", "referral+edns+cookie", "referral+edns+known")),
    "frames": ("measured*", "respond", 1024, 256 * 1024, (
        "udp4", "udp6", "udp4-many", "syn4", "syn6", "ack4", "request4", "request6", "next4",
        "train4", "completion4", "fin4", "forged4", "junk4", "rate4", "rate6", "over4", "known4")),
}
TOLERANCE = 1.05


def inclusive(path, function):
    """Instructions of all calls of a function."""
    total, callee = 0, None
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("cfn="):
                callee = line[4:].strip()
            elif line.startswith("calls="):
                cost = int(next(lines).split()[1])
                total += cost if callee == function else 0
    return total


def where(db, case):
    """Database, zone and case of a case's name."""
    return (db + "/tld", "tld.", case[4:]) if case.startswith("tld/") else (db + "/root", ".", case)


def instructions(program, db, case, bench):
    """Per round: what is counted, and what was taken off it."""
    counted, less, rounds, _, _ = bench
    with tempfile.TemporaryDirectory() as scratch:
        out = os.path.join(scratch, "out")
        result = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--toggle-collect={counted}", "--compress-strings=no",
             "--compress-pos=no", f"--callgrind-out-file={out}", program, *where(db, case),
             str(rounds)], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            sys.exit(f"callgrind failed on {case}:\n{result.stderr}")
        with open(out, encoding="utf-8") as lines:
            total = next(int(line.split()[1]) for line in lines if line.startswith("totals:"))
        rounds = int(result.stdout.split()[0])
        off = inclusive(out, less) if less else 0
        return (total - off) / rounds, off / rounds


def nanoseconds(program, db, case, bench):
    runs = []
    for _ in range(3):
        _, ns, octets = subprocess.run([program, *where(db, case), str(bench[3])], check=True,
                                       capture_output=True, text=True).stdout.split()
        runs.append(float(ns))
    return sorted(runs)[1], float(octets)


def load(lethe, zones, directory):
    """The directory of the databases, and how fast the first was made."""
    for name, apex, source in zip(("root", "tld"), (".", "tld."), zones):
        zone, db = os.path.join(directory, name + ".zone"), os.path.join(directory, name)
        with (lzma.open if source.endswith(".xz") else open)(source, "rb") as octets:
            with open(zone, "wb") as file:
                shutil.copyfileobj(octets, file)
        begin = time.monotonic()
        subprocess.run([lethe, "--db", db, "zone", "load", apex, zone], check=True,
                       stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - begin
        with open(zone, encoding="utf-8") as lines:
            records = sum(1 for line in lines if line.strip() and line[0] != ";")
        print(f"load of {apex}, process start to end: {seconds:.2f} s, "
              f"{records / seconds:,.0f} records/s")
    return directory


def read_budget(path):
    with open(path, encoding="utf-8") as lines:
        return {case: float(count) for case, count in
                (line.split() for line in lines if line.strip() and line[0] != "#")}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("bench", choices=BENCHES)
    for name in ("program", "lethe"):
        parser.add_argument(name)
    parser.add_argument("zone", nargs="+")
    parser.add_argument("--budget")
    parser.add_argument("--write-budget")
    parser.add_argument("--case", action="append")
    arguments = parser.parse_args()
    bench = BENCHES[arguments.bench]
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed")
        return 77
    budget = read_budget(arguments.budget) if arguments.budget else {}
    measured, over = {}, []
    with tempfile.TemporaryDirectory() as scratch:
        db = load(arguments.lethe, arguments.zone, scratch)
        print(f"\n{'case':<24}{'instructions':>14}{'budget':>10}"
              + (f"{bench[1] + '()':>14}" if bench[1] else "") + f"{'ns':>8}{'octets':>9}")
        for case in arguments.case or bench[4]:
            count, off = instructions(arguments.program, db, case, bench)
            measured[case] = count
            ns, octets = ("-", 0) if arguments.budget else nanoseconds(arguments.program, db, case,
                                                                       bench)
            limit = budget.get(case)
            print(f"{case:<24}{count:>14,.0f}{limit or '-':>10}"
                  + (f"{off:>14,.0f}" if bench[1] else "")
                  + f"{ns if ns == '-' else format(ns, '.0f'):>8}{octets:>9.0f}", flush=True)
            if limit is not None and count > limit * TOLERANCE:
                over.append(f"{case}: {count:.0f} instructions, budget {limit:.0f}")
    if arguments.write_budget:
        with open(arguments.write_budget, "w", encoding="utf-8") as file:
            file.write(f"# Instructions of `{arguments.bench}`, case by case; see "
                       "instructions.py.\n")
            file.writelines(f"{case} {count:.0f}\n" for case, count in measured.items())
    for line in over:
        print("over budget:", line)
    return 1 if over else 0


sys.exit(main())
