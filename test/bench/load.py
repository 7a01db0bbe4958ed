#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Instructions per record of `lethe zone load`, from the process's start to its end.

usage: load.py LETHE MAKE_TLD [--budget FILE] [--write-budget FILE]

Of a zone like that of a top-level domain, in canonical order and shuffled, and of many small zones.
Counted by callgrind; the counts repeat, so that --budget can fail the run when a case needs over
5 % more than its line in FILE says.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

DELEGATIONS, ZONES, TOLERANCE = 20000, 1000, 1.05


def counted(lethe, db, *words):
    """Instructions per record of one load."""
    calm = {key: value for key, value in os.environ.items() if key != "MALLOC_PERTURB_"}
    run = subprocess.run(
        ["valgrind", "--tool=callgrind", f"--callgrind-out-file={db}.out", lethe, "--db", db, "--json",
         "zone", "load", *words], capture_output=True, text=True, check=False, env=calm)
    match = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or not match:
        sys.exit(f"callgrind failed on {words}:\n{run.stderr}")
    return int(match.group(1)) / json.loads(run.stdout)["records"]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("lethe")
    options.add_argument("make_tld")
    options.add_argument("--budget")
    options.add_argument("--write-budget")
    args = options.parse_args()
    if shutil.which("valgrind") is None:
        print("skipped: valgrind is not installed")
        return 77
    measured = {}
    with tempfile.TemporaryDirectory() as tmp:
        top = pathlib.Path(tmp)
        for case, order in (("sorted", []), ("shuffled", ["--shuffle"])):
            with open(top / case, "wb") as file:
                subprocess.run([args.make_tld, *order, str(DELEGATIONS)], check=True, stdout=file)
            measured[case] = counted(args.lethe, f"{tmp}/db-{case}", "tld.", str(top / case))
        subprocess.run([args.make_tld, "--small", f"{tmp}/small", str(ZONES)], check=True)
        measured["list"] = counted(args.lethe, f"{tmp}/db-list", "--list", f"{tmp}/small/list")
    if args.write_budget:
        with open(args.write_budget, "w", encoding="utf-8") as file:
            file.write("# Instructions of `lethe zone load` per record; see load.py.\n")
            file.writelines(f"{case} {count:.0f}\n" for case, count in measured.items())
    budget = {}
    if args.budget:
        lines = pathlib.Path(args.budget).read_text(encoding="utf-8").splitlines()
        budget = {line.split()[0]: float(line.split()[1]) for line in lines
                  if line and line[0] != "#"}
        assert budget.keys() == measured.keys(), f"{args.budget} has other cases"
    print(f"{'case':<10}{'instructions per record':>24}{'budget':>8}")
    over = 0
    for case, count in measured.items():
        limit = budget.get(case)
        print(f"{case:<10}{count:>24,.0f}{limit or '-':>8}")
        if limit is not None and count > limit * TOLERANCE:
            print(f"over budget: {case}")
            over += 1
    return 1 if over else 0


sys.exit(main())
