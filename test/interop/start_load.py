#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long servers take from start to the first answer, and what memory they hold then.

    start_load.py [--build DIR] [--delegations N]

One zone like that of a large top-level domain, made anew; Lethe, NSD, Knot DNS and BIND one after the
other in the same run.  Lethe reads zone text once, with `lethe zone load`, and then maps its
database; the others read the text at every start.  A table for people; nothing is asserted.
"""
import argparse
import os
import pathlib
import shutil
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

import ask
import make_tld
import message as dns
import peers

QUESTIONS = 100000


def family(pid):
    """A process and its children, all generations."""
    found = [pid]
    for one in found:
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def memory_mb(pid):
    """(all that is mapped and present, what of it is not just cache of files) of all processes."""
    total = anonymous = 0
    for one in family(pid):
        for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            words = line.split()
            if words[0] == "Pss:":
                total += int(words[1])
            elif words[0] == "Pss_Anon:":
                anonymous += int(words[1])
    return total / 1024, anonymous / 1024


def measure(server, delegations):
    start = time.monotonic()
    server.start()
    try:
        seconds = time.monotonic() - start
        at_first = memory_mb(server.process.pid)
        dice = make_tld.Dice(1)
        queries = [dns.query(peers.name_to_wire(f"www.{make_tld.name_of(dice.below(delegations))}"
                                                ".tld."), dns.A, payload=1232, do=True)
                   for _ in range(QUESTIONS)]
        answered = sum(raw is not None for _, (answers,) in
                       ask.udp([(server.address, server.port)], queries) for raw in answers)
        assert answered == QUESTIONS, f"{server.name}: {answered} of {QUESTIONS} answers"
        return seconds, at_first, memory_mb(server.process.pid)
    finally:
        server.stop()


def load(server, records):
    """Seconds of `lethe zone load`, and the size of the database."""
    start = time.monotonic()
    server.load()
    seconds = time.monotonic() - start
    # the file has holes: count what is allocated
    size = sum(os.stat(path).st_blocks * 512 for path in server.db.iterdir())
    print(f"lethe zone load: {seconds:.2f} s, {records / seconds:,.0f} records per second, "
          f"database of {size / (1 << 20):.0f} MiB")
    return seconds


def report(rows):
    base = rows[0][1]
    print(f"\n{'':8}{'first answer':>14}{'times':>8}   {'memory then':>12}{'of it own':>11}"
          f"   {'after questions':>15}{'of it own':>11}")
    for name, seconds, first, later in rows:
        print(f"{name:8}{seconds:12.3f} s{seconds / base:8.1f}   {first[0]:8.0f} MiB"
              f"{first[1]:7.0f} MiB   {later[0]:11.0f} MiB{later[1]:7.0f} MiB")
    print("\n\"of it own\": without pages of files, which the kernel can drop and read again.")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", default="build")
    options.add_argument("--delegations", type=int, default=1000000)
    args = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="lethe-start-") as tmp:
        os.chmod(tmp, 0o755)
        zone = pathlib.Path(tmp, "tld.zone")
        with open(zone, "w", encoding="ascii") as file:
            make_tld.write(args.delegations, file)
        with open(zone, "rb") as file:
            records = sum(1 for _ in file) - 2
        print(f"zone tld.: {args.delegations} delegations, {records} records, "
              f"{zone.stat().st_size / (1 << 20):.0f} MiB of text")
        zones = {"tld.": zone}
        lethed = peers.Lethed(tmp, zones, args.build)
        load(lethed, records)
        rows = [("lethed", *measure(lethed, args.delegations))]
        for peer, program in ((peers.Nsd, "nsd"), (peers.Knot, "knotd"), (peers.Bind, "named")):
            if shutil.which(program) is None:
                print(f"{program} is not installed: no row")
                continue
            rows.append((peer.name, *measure(peer(tmp, zones), args.delegations)))
        report(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
