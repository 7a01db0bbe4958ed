#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Policies by source hold whatever carries the packets, and above all where the driver would answer.

usage: daemon_policy.py LETHED DAEMON_DB CLOCK_SHIFT
"""
import os
import re
import sys

from daemon_lib import Daemon, Scratch, need_own_network, run, wait_until
from netns import Here, Network

PORT = 5300
V4, V6 = "198.18.1.1", "fd00:198:18:1::1"
RATE, COUNT = 20, 400
HERE = os.path.dirname(os.path.abspath(__file__))

# From `source`: COUNT queries, with a cookie that the server gave if "cookie" is asked for; how many were
# answered, how many with TC=1, BADCOOKIE, not at all; and one over TCP.
CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
arguments, sys.argv[1:] = sys.argv[2:], ["", ""]
from daemon_lib import *
source, address, port, count, has_cookie = arguments
s = socket.socket(family_of(address), socket.SOCK_DGRAM)
s.bind((source, 0))
s.connect((address, int(port)))
s.settimeout(0.3)
options = b""
if has_cookie != "plain":
    options = struct.pack(">2H", 10, 8) + b"12345678"
if has_cookie == "cookie":
    s.send(query(edns=1232, options=options))
    options = s.recv(4096)[-28:]
seen = {"answered": 0, "truncated": 0, "badcookie": 0, "silent": 0}
for i in range(int(count)):
    # The same octets again and again, and others: either is what a driver knows.
    s.send(query("www.example" if i % 2 else f"n{i}.example", ident=i,
                 edns=1232 if options else None, options=options))
    try:
        response = s.recv(4096)
    except TimeoutError:
        seen["silent"] += 1
        continue
    header = Header(response)
    if header.flags & TC:
        seen["truncated"] += 1
    elif header.rcode == 7 and header.answers == 0:
        seen["badcookie"] += 1
    else:
        seen["answered"] += 1
t = socket.create_connection((address, int(port)), timeout=10, source_address=(source, 0))
t.send(framed(query()))
assert Header(read_message(t)).answers == 1
print(*seen.values())
"""

FAST = ["--tcp", "stateless", "--interface", "v0", "--udp", "fast"]
WAYS = {
    "sockets": [],
    "sockets beside stateless TCP": ["--tcp", "stateless", "--interface", "v0"],
    "libpcap": FAST + ["--io", "libpcap"],
    "packet": FAST + ["--io", "packet"],
    "packet, driver: hot": FAST + ["--io", "packet", "--driver", "hot"],
    "packet, driver: zones": FAST + ["--io", "packet", "--driver", "zones"],
    "xdp": FAST + ["--io", "xdp"],
    "xdp, driver: hot": FAST + ["--io", "xdp", "--driver", "hot"],
    "xdp, driver: zones": FAST + ["--io", "xdp", "--driver", "zones"],
}


class Link(Network):
    def __init__(self):
        super().__init__(number=1, server=Here())

    def __enter__(self):
        super().__enter__()
        self.client.run("ethtool", "-K", "v1", "gro", "on")
        for i in range(2, 9):  # each in a prefix of its own
            self.client.ip(f"address add 198.18.{i}.2/32 dev v1")
            self.client.ip(f"address add fd00:198:18:{i}::2/128 dev v1 nodad")
        self.server.ip("route add 198.18.0.0/16 dev v0")
        self.server.ip("route add fd00:198:18::/48 dev v0")
        return self

    def ask(self, source, how="plain", count=COUNT):
        done = self.client.run(sys.executable, "-c", CLIENT, HERE, source,
                               V6 if ":" in source else V4, str(PORT), str(count), how, timeout=240)
        assert done.returncode == 0, done.stderr
        return [int(word) for word in done.stdout.split()]


def serve(scratch, way, *policy):
    return Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--listen", f"{V6}@{PORT}", *way,
                  "--image", "16M", *policy)


def check_rate(link, scratch, way):
    """Below the rate all is answered; beyond it a cookie or TCP is what helps."""
    rate = ("--policy-rate-limit", str(RATE), "--policy-allow-list", "198.18.8.2")
    with serve(scratch, way, *rate) as daemon:
        for source in ("198.18.2.2", "fd00:198:18:2::2"):
            answered, truncated, badcookie, silent = link.ask(source)
            # A burst and what comes in the meantime; on a busy machine that takes some seconds.
            assert RATE <= answered < COUNT // 2 and not badcookie and not silent, answered
            assert answered + truncated == COUNT
        answered, truncated, badcookie, silent = link.ask("198.18.3.2", "asking")
        assert badcookie >= COUNT // 2 and not truncated and not silent, badcookie
        for source in ("198.18.3.2", "fd00:198:18:3::2"):
            assert link.ask(source, "cookie") == [COUNT, 0, 0, 0], source
        assert link.ask("198.18.8.2") == [COUNT, 0, 0, 0]
        assert link.ask("198.18.4.2", count=RATE // 2) == [RATE // 2, 0, 0, 0]
    said = [re.search(r"policy: (\d+) queries were over the rate of their prefix, 0 of them dropped",
                      line) for line in daemon.lines]
    assert [match for match in said if match and int(match[1]) > COUNT], daemon.lines


def check_others(link, scratch, way):
    with serve(scratch, way, "--policy-tcp-only", "always"):
        assert link.ask("198.18.2.2", count=20) == [0, 20, 0, 0]
        assert link.ask("198.18.2.2", "cookie", count=20) == [0, 20, 0, 0]
    with serve(scratch, way, "--policy-require-cookie", "always"):
        assert link.ask("198.18.2.2", count=20) == [0, 20, 0, 0]
        assert link.ask("198.18.2.2", "asking", count=20) == [0, 0, 20, 0]
        assert link.ask("198.18.2.2", "cookie", count=20) == [20, 0, 0, 0]
    with serve(scratch, way, "--policy-rate-limit", "1", "--policy-slip", "2"):
        answered, truncated, _, silent = link.ask("198.18.2.2", count=20)
        assert silent >= 5 and abs(silent - truncated) <= 1, (answered, truncated, silent)


def check_driver(link, scratch, way):
    """Without a policy the driver does answer these queries."""
    with serve(scratch, way) as daemon:
        wait_until(lambda: daemon.said("image ready"), "the image")
        assert link.ask("198.18.2.2", count=40) == [40, 0, 0, 0]
    assert any("requests were answered in the driver" in line for line in daemon.lines), way


def test_every_way():
    with Scratch() as scratch, Link() as link:
        for name, way in WAYS.items():
            if "driver" in name:
                check_driver(link, scratch, way)
            check_rate(link, scratch, way)
            check_others(link, scratch, way)
            print("   ", name)


need_own_network()
run(globals())
