#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What unwanted packets cost a server, before and after their source runs lethe-goaway.

    goaway_load.py LETHED LETHE LETHE_GOAWAY [--rate PACKETS] [--seconds N] [--dampening N]
                   [--json FILE]

A client that the server denies sends queries over UDP, or SYNs, at a rate; they are counted as it
tries to send them, and as they arrive at the server's device. Blocks are short, so that what
it takes to renew them is in it. The processor's time is that of lethed, not of the kernel before it.
For people: nothing depends on what comes out.
"""
import argparse
import glob
import json
import mmap
import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import goaway_bed as goaway  # noqa: E402
import goaway_messages as messages  # noqa: E402
from netns import Here, Network, need_own_network, skip_unless  # noqa: E402

# From standard input: the packets, in turn, to be tried at a rate; how many were is in a file.
SENDER = """
import mmap, socket, sys, time
source, target, protocol, rate, path = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
family = socket.AF_INET if "." in source else socket.AF_INET6
sock = (socket.socket(family, socket.SOCK_DGRAM) if protocol == "UDP" else
        socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP))
sock.bind((source, 0))
sock.connect((target, 53 if protocol == "UDP" else 0))
packets = [bytes.fromhex(line) for line in sys.stdin]
with open(path, "r+b") as file:
    count = mmap.mmap(file.fileno(), 8)
begun, sent = time.monotonic(), 0
while True:
    due = int((time.monotonic() - begun) * rate)
    while sent < due:
        sent += 1
        try:
            sock.send(packets[sent % len(packets)])
        except OSError:
            pass  # this host refuses
        if sent % 64 == 0:
            count[:] = sent.to_bytes(8, "big")
    time.sleep(0.001)
"""


class Sender:
    def __init__(self, protocol, source, target, rate):
        if protocol == "UDP":
            packets = [goaway.query(ident=ident) for ident in range(1000)]
        else:
            packets = [messages.syn(source, 20000 + n, target, 53, n)[0] for n in range(1000)]
        self.file = tempfile.NamedTemporaryFile()
        self.file.write(bytes(8))
        self.file.flush()
        self.shared = mmap.mmap(self.file.fileno(), 8)
        self.process = subprocess.Popen([sys.executable, "-c", SENDER, source, target, protocol,
                                         str(rate), self.file.name], stdin=subprocess.PIPE, text=True)
        self.process.stdin.write("\n".join(packet.hex() for packet in packets))
        self.process.stdin.close()

    def count(self):
        return int.from_bytes(self.shared[:], "big")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.shared.close()
        self.file.close()


def cpu_s(lethed):
    """Of all its threads."""
    total = 0
    for path in glob.glob(f"/proc/{lethed.process.pid}/task/*/schedstat"):
        with open(path, encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e9


def measure(sender, seen, lethed, seconds):
    def now():
        return time.monotonic(), sender.count(), seen.count(), cpu_s(lethed)
    begun = now()
    time.sleep(seconds)
    passed_s, offered, arrived, cpu = (b - a for a, b in zip(begun, now()))
    return {"offered_per_s": offered / passed_s, "arrived_per_s": arrived / passed_s,
            "cpu_percent": 100 * cpu / passed_s,
            "cpu_s_per_million_offered": 1e6 * cpu / offered if offered else None}


def row(bed, args, net, protocol, source, target):
    seen = goaway.Watcher(net, protocol.lower())
    with bed.lethed(net, *goaway.denied(net, "port"),
                    tcp="kernel" if protocol == "UDP" else "stateless") as lethed:
        sender = Sender(protocol, source, target, args.rate)
        try:
            time.sleep(0.5)
            before = measure(sender, seen, lethed, args.seconds)
            with bed.agent("--dampening", str(args.dampening), "--watch", "port 53") as agent:
                agent.wait_for("blocked")
                renewed = agent.count("blocked")
                after = measure(sender, seen, lethed, args.seconds)
                renewed = agent.count("blocked") - renewed
        finally:
            sender.end()
    return {"protocol": protocol, "family": 4 if "." in source else 6, "before": before,
            "after": after, "blocks_renewed": renewed, "dampening_s": args.dampening,
            "arrived_per_renewal": after["arrived_per_s"] * args.seconds / renewed if renewed else None}


def print_row(each):
    before, after = each["before"], each["after"]
    print(f"{each['protocol']} IPv{each['family']}: {before['offered_per_s']:.0f} offered a second; "
          f"arrive {before['arrived_per_s']:.0f} -> {after['arrived_per_s']:.0f} a second, "
          f"lethed {before['cpu_percent']:.1f} -> {after['cpu_percent']:.1f} % of a processor, "
          f"{before['cpu_s_per_million_offered']:.2f} -> {after['cpu_s_per_million_offered']:.3f} s "
          "for a million offered")
    if each["arrived_per_renewal"] is not None:
        print(f"    {each['blocks_renewed']} blocks renewed, {each['arrived_per_renewal']:.0f} packets "
              "arrive until one is in force again")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for program in ("lethed", "lethe", "agent"):
        options.add_argument(program, type=os.path.abspath)
    options.add_argument("--rate", type=int, default=20000)
    options.add_argument("--seconds", type=int, default=4)
    options.add_argument("--dampening", type=int, default=2)
    options.add_argument("--json", type=os.path.abspath)
    args = options.parse_args()
    skip_unless()
    need_own_network()
    rows = []
    print(f"unwanted packets, {args.rate} a second tried, without -> with lethe-goaway at the source, "
          f"which blocks for {args.dampening} s at a time")
    with tempfile.TemporaryDirectory(prefix="lethe-goaway-") as directory:
        os.chmod(directory, 0o755)
        bed = goaway.Bed(directory, args.lethed, args.lethe, args.agent)
        for protocol in ("UDP", "TCP"):
            for number in (0, 1):
                with Network(client=Here()) as net:
                    rows.append(row(bed, args, net, protocol, *goaway.pairs(net)[number]))
                print_row(rows[-1])
    if args.json:
        with open(args.json, "w", encoding="ascii") as file:
            json.dump(rows, file, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
