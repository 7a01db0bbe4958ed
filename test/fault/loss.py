#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Profile modern loses no response, whatever the network loses.

    loss.py --build DIR [--responses 1=10000,5=10000,20=10000] [--pieces 10000] [--io NAME]
            [--driver | --zones] [--pcap FILE]

Segments are lost both ways, so many in a hundred. The kernel's TCP, dnsperf, kdig and Unbound ask;
each response must be the one that the kernel's TCP of the same server gives where nothing is lost.
Nothing is said here about how long it takes (completion.py measures that), but that it ends.
"""
import argparse
import os
import re
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "interop")]
sys.dont_write_bytecode = True
import peers  # noqa: E402
import tcp_client  # noqa: E402
from bed import MEMORY_KB, SIZES, Bed, must_all_be_right, said  # noqa: E402
from netns import (Here, Network, captured, need_own_network, run_tests,  # noqa: E402
                   skip_unless)

# No test is stopped by less than what the client's own timers may take when they back off.
STUCK_S = {1: 120, 5: 180, 20: 400}



def test_kernel_clients(bed, options):
    with bed.serve() as lethed:
        known = bed.learn()
        # What memory is taken by use is taken now.
        must_all_be_right(tcp_client.converse(bed.net.addresses, 53, tcp_client.plan(known, 300, 7),
                                              known, at_once=100), 300)
        memory = lethed.memory_kb()
        for percent, count in options.responses.items():
            bed.net.lose(percent)
            begun = time.monotonic()
            conversations = tcp_client.plan(known, count, options.seed + percent)
            result = tcp_client.converse(bed.net.addresses, 53, conversations, known,
                                         options.at_once, STUCK_S.get(percent, 400))
            print(f"    {percent} % lost ({bed.net.lost()} segments): {said(result, begun)}",
                  flush=True)
            must_all_be_right(result, count)
            assert bed.net.lost() > 0
            print(f"    memory of lethed: {memory} kB before, {lethed.memory_kb()} kB after")
            assert lethed.memory_kb() - memory < MEMORY_KB
        bed.net.lose(0)


def test_trains(bed, options):
    """Responses of several segments, each over a connection of its own, from the driver, which
    keeps nothing of them, and from the workers."""
    for driver in ("zones", "off") if options.zones else ("off",):
        with bed.serve(driver=driver) as lethed:
            known = bed.learn()
            names = [name for name in known if 2000 < len(known[name]) < 3600]
            bed.net.lose(2)
            begun = time.monotonic()
            result = tcp_client.converse(bed.net.addresses, 53,
                                         tcp_client.plan(names, options.trains, options.seed,
                                                         {"alone": 1}), known, 100, 60)
            slow = sum(each[2] > 0.15 for each in result.times)
            print(f"    trains, driver: {driver}, 2 % lost ({bed.net.lost()} segments): "
                  f"{said(result, begun)}; {slow} waited for a timer", flush=True)
            must_all_be_right(result, options.trains)
            bed.net.lose(0)
        if driver == "zones":
            copied = re.search(r"\((\d+) in copies", "\n".join(lethed.lines))
            assert int(copied[1]) >= options.trains, lethed.lines


def test_pieces(bed, options):
    """Many requests at once, cut anywhere. Who cannot be understood any more is told so."""
    with bed.serve():
        known = bed.learn()
        for percent, longest in ((2, 400), (5, 400), (2, 4000)):
            names = [name for name in known if len(known[name]) < longest]
            count = options.pieces if longest == 400 else options.pieces // 4
            bed.net.lose(percent)
            begun = time.monotonic()
            conversations = tcp_client.plan(names, count * tcp_client.MANY, options.seed + percent,
                                            {"pieces": 1})
            result = tcp_client.converse(bed.net.addresses, 53, conversations, known, 100, 40)
            print(f"    pieces, {percent} % lost: {said(result, begun)}", flush=True)
            must_all_be_right(result, count * tcp_client.MANY)
            assert result.reopened <= count // 50, result.reopened
        bed.net.lose(0)


def test_dnsperf(bed, options):
    count = max(200, min(options.responses.values()) // 4)
    with bed.serve():
        known = bed.learn()
        names = [name for name in bed.names if len(known[name]) < 4096]
        path = os.path.join(bed.directory, "names")
        with open(path, "w", encoding="ascii") as file:
            file.writelines(f"{name} TXT\n" for name in names)
        rounds = -(-count // len(names))
        mean = sum(len(known[name]) for name in names) / len(names)
        for percent in options.responses:
            bed.net.lose(percent)
            output = Here().run("dnsperf", "-m", "tcp", "-s", bed.net.v4, "-p", "53", "-d", path,
                                "-n", str(rounds), "-c", "20", "-q", "20", "-t", "300",
                                timeout=900).stdout
            bed.net.lose(0)
            words = {key: re.search(key + r":\s+([\d.]+)", output)[1]
                     for key in ("Queries sent", "Queries completed", "Queries lost")}
            size = float(re.search(r"Average packet size:.*response ([\d.]+)", output)[1])
            print(f"    dnsperf, {percent} % lost: {words}, mean size {size} of {mean:.1f}",
                  flush=True)
            assert int(words["Queries completed"]) == rounds * len(names), output
            assert f"NOERROR {rounds * len(names)} (100.00%)" in output, output
            assert abs(size - mean) < 1, (output, mean)


def kdig(bed, port):
    """Many questions over one connection; what differs each time is left out."""
    words = sum(([name, "TXT"] for name in bed.names), [])
    output = Here().run("kdig", "+tcp", "+keepopen", "+retry=0", "+time=400", "+nocookie", "-p",
                        str(port), f"@{bed.net.v4}", *words, timeout=900).stdout
    return re.sub(r";; (->>HEADER.*|Received .*|Time .*|From .*)", "", output)


def test_kdig(bed, options):
    with bed.serve():
        wanted = kdig(bed, 54)
        assert wanted.count("ANSWER SECTION") == len(bed.names), wanted[-2000:]
        for percent in options.responses:
            bed.net.lose(percent)
            got = kdig(bed, 53)
            bed.net.lose(0)
            print(f"    kdig, {percent} % lost: {got.count('ANSWER SECTION')} responses on one "
                  "connection", flush=True)
            assert got == wanted, got[-2000:]


def texts(message):
    """The records of the answer section, without their TTLs, sorted."""
    at = message.index(b"\0", 12) + 5  # behind the question
    found = []
    for _ in range(int.from_bytes(message[6:8], "big")):
        at = at + 2 if message[at] >= 0xc0 else message.index(b"\0", at) + 1
        length = int.from_bytes(message[at + 8:at + 10], "big")
        found.append(message[at + 10:at + 10 + length])
        at += 10 + length
    return sorted(found)


def resolve(unbound, names):
    """Over TCP; as clients do, again after SERVFAIL: a resolver gives up sooner than TCP does."""
    got = {}
    for _ in range(20):
        left = [name for name in names if name not in got]
        for name in left:
            try:
                got.update(tcp_client.learn(unbound.address, unbound.port, [name]))
            except (AssertionError, OSError):
                pass
    return got


def test_unbound(bed, options):
    settings = ["do-ip6: yes", "tcp-upstream: yes", "rrset-roundrobin: no", "infra-host-ttl: 1",
                "tcp-auth-query-timeout: 300000", "discard-timeout: 0", "msg-cache-size: 16m"]
    with bed.serve():
        known = bed.learn()
        for percent in options.responses:
            for address in bed.net.addresses:
                # A new resolver each time, with an empty cache.
                with tempfile.TemporaryDirectory(prefix="lethe-unbound-") as directory, \
                        peers.Unbound(directory, {"example.": [address]}, [], settings) as unbound:
                    bed.net.lose(percent)
                    got = resolve(unbound, bed.names)
                    bed.net.lose(0)
                wrong = [name for name in bed.names
                         if got.get(name) is None or texts(got[name]) != texts(known[name])]
                print(f"    unbound, {percent} % lost, {address}: "
                      f"{len(bed.names) - len(wrong)} of {len(bed.names)} right", flush=True)
                assert not wrong, (wrong, unbound.log())


def counts(text):
    return {int(part.split("=")[0]): int(part.split("=")[1]) for part in text.split(",")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build", help="where lethe and lethed were built")
    parser.add_argument("--responses", type=counts, default=counts("1=3000,5=2000,20=300"),
                        help="percent lost=how many responses, with commas")
    parser.add_argument("--pieces", type=int, default=400, help="connections of test_pieces")
    parser.add_argument("--trains", type=int, default=1000, help="connections of test_trains")
    parser.add_argument("--at-once", type=int, default=300, help="connections")
    parser.add_argument("--full", action="store_true", help="10,000 responses for each loss")
    parser.add_argument("--seed", type=int, default=0, help="another choice of questions")
    parser.add_argument("--only", help="kernel_clients, trains, pieces, dnsperf, kdig or unbound")
    parser.add_argument("--io", help="how lethed carries frames")
    parser.add_argument("--driver", action="store_true", help="a program in the driver answers too")
    parser.add_argument("--zones", action="store_true",
                        help="it answers requests too, for half of the names; kernel_clients and trains only")
    parser.add_argument("--pcap", help="write what passes the client's interface")
    options = parser.parse_args()
    if options.full:
        options.responses = counts("1=10000,5=10000,20=10000")
    skip_unless("dnsperf", "kdig", "unbound", *["ethtool"] * (options.driver or options.zones))
    need_own_network()
    tests = {name: test for name, test in globals().items() if name.startswith("test_")
             and options.only in (None, name[5:])}
    with tempfile.TemporaryDirectory(prefix="lethe-loss-") as directory, \
            Network(client=Here()) as net, captured(options.pcap):
        # A veth delivers what the other end's driver sends only with NAPI.
        if options.driver or options.zones:
            Here().run("ethtool", "-K", "v1", "gro", "on")
            # One by one: else all segments of a train would be lost together.
            Here().run("ip", "link", "set", "v1", "gro_max_size", "1600")
        how = ["--io", options.io] * (options.io is not None) + ["--driver", "on"] * options.driver
        how += ["--driver", "zones", "--image", "16M"] * options.zones
        cuts = len(SIZES) if options.zones else 0
        run_tests(tests, Bed(options.build, directory, net, cuts=cuts, options=how), options)



main()
