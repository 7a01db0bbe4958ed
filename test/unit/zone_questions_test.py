#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Answers from templates, or from images, are those without, over all zones that the tests have.

usage: zone_questions_test.py LETHE PROGRAM DATA MAKE_TLD [PERCENT...]

PERCENT: of the questions to each database in turn, so many at least are to be answered that way.
"""
import lzma
import pathlib
import subprocess
import sys
import tempfile

lethe, program, data, make_tld = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4]
floors = [[percent] for percent in sys.argv[5:]] or [[]] * 4
# Each its own database: the root's zone would hold all the others.
SETS = [["root.zone.xz"], ["gov.zone.xz"], sorted(str(p.relative_to(data)) for p in
                                                  (data / "zones").glob("*.zone.xz"))]
worst = 0
with tempfile.TemporaryDirectory() as scratch:
    scratch = pathlib.Path(scratch)
    tld = scratch / "tld.zone"
    with open(tld, "wb") as file:
        subprocess.run([make_tld, "6000"], stdout=file, check=True)
    for number, names in enumerate(SETS + [[tld]]):
        for name in names:
            path, apex = data / name, pathlib.Path(name).name.removesuffix(".xz").removesuffix("zone")
            text = scratch / "zone"
            packed = path.read_bytes()
            text.write_bytes(lzma.decompress(packed) if path.suffix == ".xz" else packed)
            subprocess.run([lethe, "--db", scratch / f"db{number}", "zone", "load",
                            "." if apex == "root." else apex, text], check=True,
                           stdout=subprocess.DEVNULL)
        worst |= subprocess.run([program, scratch / f"db{number}", *floors[number]], check=False).returncode
sys.exit(worst != 0)
