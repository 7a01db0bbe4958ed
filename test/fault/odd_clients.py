#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Kernels that are set up oddly, and programs that use their sockets oddly; nothing is lost.

    odd_clients.py --build BUILD [--io IO] [--driver DRIVER]

The client's kernel is the judge: each stream is compared with what the kernel's TCP of the same
server says, and what the client's kernel counts of segments that it had to doubt stays nothing.
"""
import argparse
import os
import socket
import struct
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, ".."))
sys.dont_write_bytecode = True
import tcp_client  # noqa: E402
from bed import Bed  # noqa: E402
from framing import read_exactly, read_message  # noqa: E402
from netns import Here, Network, need_own_network, run_tests, skip_unless  # noqa: E402

SIZES = [100, 520, 1199, 1204, 1206, 1208, 1500, 2414, 5500, 14000, 40000]
BIG = "t40000.example"

# What a kernel counts when the other end makes mistakes: old or impossible numbers, timestamps that
# go back, acknowledgements of what was never sent, bad checksums, RSTs nobody expects.
DOUBTS = ("TcpInErrs", "TcpInCsumErrors", "TcpEstabResets", "TcpExtPAWSEstab", "TcpExtPAWSActive",
          "TcpExtTCPACKSkippedPAWS", "TcpExtTCPACKSkippedSeq", "TcpExtTCPACKSkippedSynRecv",
          "TcpExtTCPACKSkippedFinWait2", "TcpExtTCPACKSkippedTimeWait",
          "TcpExtTCPACKSkippedChallenge", "TcpExtTCPChallengeACK", "TcpExtTCPSYNChallenge",
          "TcpExtTCPOFOQueue", "TcpExtTCPSACKReneging", "TcpExtTCPSACKDiscard",
          "TcpExtTCPDSACKIgnoredOld", "TcpExtTCPOldAck", "TcpExtTCPAbortFailed",
          "TcpExtTCPTimeWaitOverflow", "TcpExtTCPRcvQDrop", "TcpExtTCPZeroWindowDrop")
# For people: timers that fire.
WAITS = ("TcpExtTCPTimeouts", "TcpRetransSegs", "TcpExtTCPAbortOnTimeout")

ORDINARY = {"net__ipv4__tcp_timestamps": 1, "net__ipv4__tcp_sack": 1, "net__ipv4__tcp_dsack": 1,
            "net__ipv4__tcp_window_scaling": 1, "net__ipv4__tcp_ecn": 2}
SETTINGS = [{}, {"tcp_timestamps": 0}, {"tcp_timestamps": 2}, {"tcp_sack": 0}, {"tcp_dsack": 0},
            {"tcp_window_scaling": 0}, {"tcp_ecn": 1}, {"tcp_timestamps": 0, "tcp_sack": 0},
            {"tcp_timestamps": 0, "tcp_sack": 0, "tcp_window_scaling": 0}]
MTUS = (576, 1280, 9000, 1500)


def counters():
    words = Here().run("nstat", "-asz").stdout.split()
    return {name: int(words[words.index(name) + 1]) for name in DOUBTS + WAITS if name in words}


class Watch:
    """Nothing in here makes the client's kernel doubt."""

    def __init__(self, what, but=()):
        self.what, self.but = what, but

    def __enter__(self):
        self.before = counters()
        return self

    def __exit__(self, kind, *_):
        after = counters()
        counted = {name: after[name] - self.before[name] for name in after
                   if after[name] != self.before[name]}
        print(f"    {self.what}: {counted}", flush=True)
        if kind is None:
            doubts = {name: n for name, n in counted.items() if name in DOUBTS and
                      name not in self.but}
            assert not doubts, (self.what, doubts)


def settings(changed):
    Here().sysctl(**{**ORDINARY, **{"net__ipv4__" + name: value for name, value in changed.items()}})


def converse(bed, known, has_timestamps, addresses=None):
    how = None if has_timestamps else {"alone": 1, "joined": 1, "half-close": 1}
    # Where no point travels one train is all there is.
    names = [name for name in known if has_timestamps or len(known[name]) < 3000]
    result = tcp_client.converse(addresses or bed.net.addresses, 53,
                                 tcp_client.plan(names, 60, 1, how), known, 6, 20)
    assert not result.failures, "\n".join(result.failures[:5])
    assert result.responses == 60


def test_settings(bed, known):
    try:
        for changed in SETTINGS:
            settings(changed)
            has_timestamps = changed.get("tcp_timestamps") != 0
            # Without them the client's end proves nothing (modern.h).
            with Watch(changed, but=() if has_timestamps else ("TcpEstabResets",)):
                converse(bed, known, has_timestamps)
    finally:
        settings({})


def test_mtus(bed, known):
    for mtu in MTUS:
        if Here().run("ip", "link", "set", "v1", "mtu", str(mtu), check=False).returncode != 0:
            assert mtu == 9000  # too long for the XDP program at the other end
            continue
        try:
            # Below 1280 there is no IPv6.
            with Watch(f"MTU {mtu}"):
                converse(bed, known, True, None if mtu >= 1280 else [bed.net.v4])
        finally:
            Here().ip("link set v1 mtu 1500")
            Here().ip(f"address replace {bed.net.client_v6}/64 dev v1 nodad")


def test_mtus_of_the_server(bed, known):
    """IPv6's least is carried by any path; less is looked at every other second."""
    try:
        bed.net.server.ip("link set v0 mtu 1280")
        converse(bed, known, True)
        bed.net.server.ip("link set v0 mtu 600")
        time.sleep(2.5)
        converse(bed, known, True, [bed.net.v4])
    finally:
        bed.net.server.ip("link set v0 mtu 1500")
        bed.net.server.ip(f"address replace {bed.net.v6}/64 dev v0 nodad")
        time.sleep(2.5)


def connect(address, **options):
    s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    s.settimeout(10)
    for level, option, value in options.get("set", ()):
        s.setsockopt(level, option, value)
    if "port" in options:
        s.bind(("", options["port"]))
    s.connect((address, 53))
    return s


def request(name, ident=1):
    return tcp_client.framed(tcp_client.query(name, ident))


def must_get(s, known, name):
    assert read_message(s) == known[name], name


def test_small_buffer_and_slow_reader(bed, known):
    """The window closes and opens again, and is never passed."""
    with Watch("slow readers"):
        for address in bed.net.addresses:
            with connect(address, set=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)]) as s:
                s.sendall(request("t14000.example"))
                time.sleep(0.3)
                got = b""
                while len(got) < 2 + len(known["t14000.example"]):
                    got += read_exactly(s, min(700, 2 + len(known["t14000.example"]) - len(got)))
                    time.sleep(0.005)
                assert got[2:] == known["t14000.example"]
                s.sendall(request("t100.example"))
                must_get(s, known, "t100.example")


def test_keepalive(bed, known):
    """Who asks whether we are there is told so (RFC 9293 3.8.4)."""
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
               (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1),
               (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1),
               (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)]
    with Watch("keep-alive"):
        held = [connect(address, set=options) for address in bed.net.addresses]
        for s, names in zip(held, (["t100.example"], ["t1500.example", "t100.example"])):
            for name in names:
                s.sendall(request(name))
                must_get(s, known, name)
        fresh = connect(bed.net.v4, set=options)  # has not asked anything yet
        time.sleep(4.5)
        for s in [*held, fresh]:
            s.sendall(request("t520.example"))
            must_get(s, known, "t520.example")
            s.close()


def test_urgent(bed, known):
    """To TCP urgent data is data (RFC 9293 3.8.5)."""
    with Watch("urgent"):
        for address in bed.net.addresses:
            with connect(address) as s:
                s.send(request("t1500.example"), socket.MSG_OOB)
                must_get(s, known, "t1500.example")


def test_closes(bed, known):
    """Both ends at once; the client in the middle; by RST, and again from the same port."""
    reset = [(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))]
    with Watch("closes"):
        for address in bed.net.addresses:
            with connect(address) as s:
                s.sendall(request(BIG))
                s.shutdown(socket.SHUT_WR)
                must_get(s, known, BIG)
                assert s.recv(1) == b""
            with connect(address) as s:
                s.sendall(request(BIG))
                assert s.recv(1000)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
    # A RST of the client's own is counted as one, and so is what it finds of the connection before
    # in the air; but it is not read.
    with Watch("resets", but=("TcpEstabResets", "TcpExtTCPChallengeACK",
                              "TcpExtTCPACKSkippedChallenge")):
        for address in bed.net.addresses:
            for turn in range(20):
                name = BIG if turn % 2 else "t100.example"
                with connect(address, set=reset, port=20000) as s:
                    s.sendall(request(name))
                    assert read_exactly(s, 50)[2:] == known[name][:48]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--io")
    parser.add_argument("--driver")
    options = parser.parse_args()
    skip_unless("nstat", "ethtool")
    need_own_network()
    how = ["--io", options.io] * bool(options.io) + ["--driver", options.driver] * bool(options.driver)
    how += ["--image", "16M"] * (options.driver == "zones")
    with tempfile.TemporaryDirectory(prefix="lethe-odd-") as directory, Network(client=Here()) as net:
        if options.driver:
            Here().run("ethtool", "-K", "v1", "gro", "on")
        # So that frames are as long as on a wire.
        for side, device in ((net.server, "v0"), (net.client, "v1")):
            side.run("ethtool", "-K", device, "tso", "off", "gso", "off")
        bed = Bed(options.build, directory, net, sizes=SIZES, options=how)
        with bed.serve() as lethed:
            run_tests({name: test for name, test in globals().items() if name.startswith("test_")},
                      bed, bed.learn())
            lethed.must_be_at_rest()


if __name__ == "__main__":
    main()
