#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Packets a second of unwanted traffic at the server, before and after its source runs lethe-goaway.

    goaway_load.py LETHED LETHE LETHE_GOAWAY [--rate PACKETS] [--seconds N] [--dampening N]
                   [--json FILE]

A client that the server denies sends queries at a rate; they are counted as they arrive at the
server's device. For people: nothing depends on what comes out.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import goaway_bed as goaway  # noqa: E402
from netns import Here, Network, need_own_network, skip_unless  # noqa: E402

SENDER = """
import socket, sys, time
source, target, rate, query = sys.argv[1], sys.argv[2], int(sys.argv[3]), bytes.fromhex(sys.argv[4])
sock = socket.socket(socket.AF_INET if "." in source else socket.AF_INET6, socket.SOCK_DGRAM)
sock.bind((source, 0))
sock.connect((target, 53))
begun, sent = time.monotonic(), 0
while True:
    due = int((time.monotonic() - begun) * rate)
    while sent < due:
        sent += 1
        try:
            sock.send(sent.to_bytes(4, "big")[2:] + query[2:])
        except OSError:
            pass  # this host refuses
    time.sleep(0.001)
"""


def measure(seen, lethed, seconds):
    """Packets a second at the device, and the processor's share that lethed takes."""
    count, ticks, begun = seen.count(), lethed.cpu_ticks(), time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - begun
    return (seen.count() - count) / passed, (lethed.cpu_ticks() - ticks) / passed


def row(bed, args, net, source, target, code):
    seen = goaway.Watcher(net)
    with bed.lethed(net, *goaway.denied(net, code)) as lethed:
        sender = subprocess.Popen([sys.executable, "-c", SENDER, source, target, str(args.rate),
                                   goaway.query().hex()])
        try:
            time.sleep(0.5)
            before = measure(seen, lethed, args.seconds)
            with bed.agent("--dampening", str(args.dampening), "--watch", "port 53") as agent:
                agent.wait_for("blocked")
                after = measure(seen, lethed, args.seconds)
        finally:
            sender.kill()
            sender.wait()
    return {"family": 4 if "." in source else 6, "code": code,
            "packets_per_s_before": before[0], "packets_per_s_after": after[0],
            "lethed_cpu_percent_before": before[1], "lethed_cpu_percent_after": after[1],
            "asked": agent.count("asked"), "blocked": agent.count("blocked")}


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for program in ("lethed", "lethe", "agent"):
        options.add_argument(program, type=os.path.abspath)
    options.add_argument("--rate", type=int, default=20000)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--dampening", type=int, default=60)
    options.add_argument("--json", type=os.path.abspath)
    args = options.parse_args()
    skip_unless()
    need_own_network()
    rows = []
    with tempfile.TemporaryDirectory(prefix="lethe-goaway-") as directory:
        os.chmod(directory, 0o755)
        bed = goaway.Bed(directory, args.lethed, args.lethe, args.agent)
        for number in (0, 1):
            with Network(client=Here()) as net:
                rows.append(row(bed, args, net, *goaway.pairs(net)[number], "port"))
    print(f"unwanted queries, {args.rate} a second sent, dampening {args.dampening} s")
    for each in rows:
        print(f"IPv{each['family']}: {each['packets_per_s_before']:.0f} packets/s at the server "
              f"({each['lethed_cpu_percent_before']:.0f} % of a processor in lethed), with the agent "
              f"{each['packets_per_s_after']:.1f} ({each['lethed_cpu_percent_after']:.0f} %)")
    if args.json:
        with open(args.json, "w", encoding="ascii") as file:
            json.dump(rows, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
