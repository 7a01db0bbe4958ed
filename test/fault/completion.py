#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""How long a response takes over a network that loses segments: profile modern beside the TCP of
the kernel, in lethed and in NSD.

    completion.py --build DIR [--loss 0,1,5,20] [--sizes 100,3000,60000] [--count 400]
                  [--plot out.svg] [--json out.json]

From connect() to the last octet, one response on each connection, --at-once of them at a time; the
servers one after the other with the same losses each way. Prints a table. A plot needs gnuplot
(package gnuplot-nox).
"""
import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "interop")]
sys.dont_write_bytecode = True
import peers  # noqa: E402
import tcp_client  # noqa: E402
from bed import Bed  # noqa: E402
from netns import Here, Network, need_own_network, skip_unless  # noqa: E402

PERCENTILES = (50, 75, 90, 95, 99, 100)
# Which server, its port, the name in the table.
PORTS = {"modern": 53, "kernel": 54, "nsd": 55}
NAMES = {"modern": "lethed, modern", "kernel": "lethed, kernel TCP", "nsd": "NSD, kernel TCP"}


class Nsd(peers.Nsd):
    """On IPv6 too."""

    def prepare(self):
        command = super().prepare()
        path = self.directory / "nsd.conf"
        path.write_text(path.read_text().replace("server:\n", "server:\n  ip-address: "
                                                 "fd00:198:18::1\n", 1))
        return command


def percentile(sorted_times, percent):
    return sorted_times[max(0, -(-len(sorted_times) * percent // 100) - 1)]


def measure(bed, known, server, percent, size, options):
    """Seconds of each, sorted, and how many failed."""
    conversations = [tcp_client.Conversation("alone", [f"t{size}.example"], i)
                     for i in range(options.count)]
    bed.net.lose(percent, PORTS.values())
    try:
        result = tcp_client.converse(bed.net.addresses, PORTS[server], conversations, known,
                                     options.at_once, options.stuck)
    finally:
        bed.net.lose(0)
    return sorted(each[2] for each in result.times), result.failures


def say(server, percent, size, times, failures):
    print(f"{percent:4} % {size:7}  {NAMES[server]:19}" +
          "".join(f"{percentile(times, p):9.3f}" for p in PERCENTILES) +
          (f"  {len(failures)} failed" if failures else ""), flush=True)


def plot(path, rows, options):
    """A field for each loss and size: the share that is complete, over the logarithm of time."""
    terminal = "pngcairo" if path.endswith(".png") else "svg dynamic background rgb 'white'"
    script = [f"set terminal {terminal} size 1300,1100 font 'sans,11'",
              f"set output '{path}'",
              f"set multiplot layout {len(options.loss)},{len(options.sizes)} title "
              "'Time from connect() to the last octet, by loss each way and size of the response'",
              "set logscale x", "set xrange [0.0003:200]", "set yrange [0:1]", "set grid",
              "set key right bottom", "set format x '%g s'", "set format y '%.1f'"]
    for percent in options.loss:
        for size in options.sizes:
            curves = []
            for row in rows:
                if (row["loss"], row["size"]) == (percent, size):
                    name = f"$d{len(script)}x{len(curves)}"
                    times = row["times"]
                    points = [f"{t:.6f} {(i + 1) / len(times):.5f}" for i, t in enumerate(times)]
                    script.insert(2, "\n".join([f"{name} << EOD", *points, "EOD"]))
                    curves.append(f"{name} using 1:2 with steps lw 2 title '{row['server']}'")
            script.append(f"set title '{percent} % lost, {size} octets'")
            script.append("plot " + ", ".join(curves))
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)


def numbers(text):
    return [int(part) for part in text.split(",")]


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build", help="where lethe and lethed were built")
    parser.add_argument("--loss", type=numbers, default=[0, 1, 5, 20], help="in a hundred, each way")
    parser.add_argument("--sizes", type=numbers, default=[100, 3000, 60000], help="in octets")
    parser.add_argument("--count", type=int, default=400, help="responses of each kind")
    parser.add_argument("--at-once", type=int, default=20, help="connections")
    parser.add_argument("--stuck", type=int, default=300, help="seconds after which one has failed")
    parser.add_argument("--servers", default="modern,kernel,nsd", help="in this order")
    parser.add_argument("--plot", help="write a plot: .svg or .png")
    parser.add_argument("--json", help="write all times")
    options = parser.parse_args()
    options.servers = options.servers.split(",")
    if "nsd" in options.servers and shutil.which("nsd") is None:
        print("without NSD: it is not installed")
        options.servers.remove("nsd")
    if options.plot and shutil.which("gnuplot") is None:
        parser.error("--plot needs gnuplot: install the package gnuplot-nox")
    return options


def main():
    options = parse()
    skip_unless("ethtool", "sysctl")
    need_own_network()
    rows = []
    with tempfile.TemporaryDirectory(prefix="lethe-completion-") as directory, \
            Network(client=Here()) as net:
        bed = Bed(options.build, directory, net, options.sizes)
        # Offloads would make one large frame of many segments, and lose them together; and what
        # one connection found out must not help the next.
        net.server.run("ethtool", "-K", "v0", "tso", "off", "gso", "off", "gro", "off")
        net.client.run("ethtool", "-K", "v1", "tso", "off", "gso", "off", "gro", "off")
        for place in (net.server, net.client):
            place.sysctl(net__ipv4__tcp_no_metrics_save=1)
        with contextlib.ExitStack() as servers:
            servers.enter_context(bed.serve())
            if "nsd" in options.servers:
                servers.enter_context(Nsd(directory, {"example.": bed.zone}, address=net.v4,
                                          port=PORTS["nsd"], prefix=net.server.inside))
            known = {server: bed.learn(54 if server == "modern" else PORTS[server])
                     for server in options.servers}
            print("seconds: loss, octets, server, then percentiles\n" + " " * 34 +
                  "".join(f"{p:>7} %" for p in PERCENTILES))
            for percent in options.loss:
                for size in options.sizes:
                    for server in options.servers:
                        times, failures = measure(bed, known[server], server, percent, size, options)
                        say(server, percent, size, times, failures)
                        rows.append({"server": NAMES[server], "loss": percent, "size": size,
                                     "failed": len(failures), "times": times})
    if options.json:
        with open(options.json, "w", encoding="ascii") as file:
            json.dump(rows, file)
    if options.plot:
        plot(options.plot, rows, options)


main()
