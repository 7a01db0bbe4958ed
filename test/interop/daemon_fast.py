#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed with UDP from captured frames (udp: fast) as a process.

usage: daemon_fast.py LETHED DAEMON_DB CLOCK_SHIFT [OPTION...]

The client lives in a second namespace behind a veth pair.
"""
import os
import re
import signal
import subprocess
import sys
import time

from daemon_lib import (SKIP, Daemon, Scratch, need_own_network, refusal, run, wait_until)
from netns import Here, Network

PORT = 5300
V4, V6, VLAN_V4 = "198.18.1.1", "fd00:198:18:1::1", "198.18.4.1"
HERE = os.path.dirname(os.path.abspath(__file__))

PRELUDE = """
import sys
sys.path.insert(0, sys.argv[1])
arguments, sys.argv[1:] = sys.argv[2:], ["", ""]
from daemon_lib import *
"""

# Every response, in hexadecimal digits, or "none".
QUESTIONS = PRELUDE + """
names = ["www.example", "example", "huge.example", "nowhere.example", "a.b.nowhere.example", "net", ""]
for address in arguments[:-1]:
    for name in names:
        for qtype in (A, NS, SOA, TXT, 28, 255, 65):
            for edns in (None, 512, 1232, 4096):
                response = ask(address, int(arguments[-1]), query(name, qtype, 7, edns))
                print(response.hex() if response else "none")
with udp(arguments[0], int(arguments[-1])) as s:
    s.settimeout(0.5)
    s.send(query()[:9])
    try:
        print(s.recv(4096).hex())
    except TimeoutError:
        print("none")
"""

# Asks one question after another until it is told to stop; says how many were answered and how many not,
# and how many responses came twice.
STREAM = PRELUDE + """
s = udp(arguments[0], int(arguments[1]))
s.settimeout(1)
ident, lost, twice = 0, 0, 0
print("begun", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    ident = (ident + 1) & 0xffff
    s.send(query(ident=ident))
    try:
        while Header(s.recv(4096)).id != ident:
            twice += 1
    except (TimeoutError, ConnectionRefusedError):
        lost += 1
print(ident, lost, twice)
"""

# A question of `length` octets, most of them padding; the length of the response.
PADDED = PRELUDE + """
length = int(arguments[2])
option = struct.pack(">HH", 12, length) + bytes(length)
response = ask(arguments[0], int(arguments[1]), query(edns=1232, options=option))
print(len(response) if response else 0)
"""


class Peer(Network):
    """A client behind a veth pair."""

    def __init__(self):
        super().__init__(number=1, server=Here())

    def __enter__(self):
        super().__enter__()
        self.client.run("ethtool", "-K", "v1", "gro", "on")  # needed by frames of an XDP program
        return self

    def python(self, script, *arguments):
        return self.client.run(sys.executable, "-c", script, HERE, *map(str, arguments)).stdout

    def responses(self):
        return self.python(QUESTIONS, V4, V6, PORT).split()

    def padded(self, address, length):
        return int(self.python(PADDED, address, PORT, length))


def options(scratch, udp):
    return ("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--listen", f"{V6}@{PORT}", "--tcp",
            "stateless", "--interface", "v0", "--udp", udp)


def received_by_sockets():
    """Datagrams that UDP sockets here have got."""
    said = Here().run("nstat", "-asz", "UdpInDatagrams", "Udp6InDatagrams").stdout
    return sum(int(number) for number in re.findall(r"^Udp\w+\s+(\d+)", said, re.M))


def test_answers_as_sockets_do():
    with Scratch() as scratch, Peer() as peer:
        answers = {}
        for udp in ("socket", "fast"):
            with Daemon(*options(scratch, udp)) as daemon:
                assert daemon.said("UDP and stateless TCP on v0") == (udp == "fast"), daemon.lines
                before = received_by_sockets()
                answers[udp] = peer.responses()
                assert (received_by_sockets() == before) == (udp == "fast"), "who answered?"
        different = [pair for pair in zip(*answers.values()) if pair[0] != pair[1]]
        assert len(answers["fast"]) == 393 and not different, different[:3]
        assert answers["fast"].count("none") == 1  # nine octets are no question


def test_reload_loses_nothing():
    """Between sockets and frames, and with other addresses, while a client asks."""
    with Scratch() as scratch, Peer() as peer:
        def configure(udp, more=""):
            return scratch.file("lethed.yaml", f"database: {scratch.db}\nudp: {udp}\nlisten:\n"
                                f"  - {{address: {V4}@{PORT}, tcp: stateless}}\n{more}")

        path = configure("socket")
        with Daemon("--config", path) as daemon:
            client = peer.client.start(sys.executable, "-c", STREAM, HERE, V4, str(PORT),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                assert client.stdout.readline() == "begun\n"
                other = f"  - {{address: '{V6}@{PORT}', tcp: stateless}}\n"
                for change in (("fast",), ("socket",), ("fast",), ("fast", other), ("fast",),
                               ("socket", other), ("fast", other), ("socket",)):
                    configure(*change)
                    daemon.lines.clear()
                    daemon.signal(signal.SIGHUP)
                    wait_until(lambda: daemon.said("reloaded"), "the reload")
                    assert daemon.said("lethed: reloaded: "), daemon.lines
            finally:
                said = client.communicate("\n", timeout=30)[0]
        asked, lost, twice = map(int, said.split())
        print(f"      {asked} questions, {lost} lost, {twice} answered twice")
        assert asked > 100 and lost == 0


def test_fragments_are_for_sockets():
    with Scratch() as scratch, Peer() as peer:
        with Daemon(*options(scratch, "fast")):
            for address in (V4, V6):
                before = received_by_sockets()
                whole = peer.padded(address, 100)
                assert whole > 12 and received_by_sockets() == before
                assert peer.padded(address, 3000) == whole
                assert received_by_sockets() == before + 1


def test_vlan():
    """A VLAN over the interface is served with it, and each question is answered once."""
    with Scratch() as scratch, Peer() as peer:
        for side, device, address in ((peer.server, "v0", VLAN_V4), (peer.client, "v1", "198.18.4.2")):
            if side.run("ip", "link", "add", "link", device, "name", f"{device}.5", "type", "vlan",
                        "id", "5", check=False).returncode != 0:
                print("      not tried: this kernel has no VLANs")
                return
            side.ip(f"address add {address}/24 dev {device}.5")
            side.ip(f"link set {device}.5 up")
        with Daemon("--db", scratch.db, "--listen", f"{VLAN_V4}@{PORT}", "--tcp", "stateless",
                    "--interface", "v0", "--udp", "fast"):
            before = received_by_sockets()
            assert peer.padded(VLAN_V4, 100) > 12
            assert received_by_sockets() == before
            answer = peer.client.run("dig", "+tcp", "+tries=1", "+time=3", "-p", str(PORT),
                                     "@" + VLAN_V4, "www.example", "A").stdout
            assert "NOERROR" in answer, answer


def test_interface_goes_and_comes():
    """While there is no capture, sockets answer."""
    with Scratch() as scratch, Peer() as peer:
        peer.server.ip("link add spare type veth peer name spare1")
        peer.server.ip(f"address add {VLAN_V4}/32 dev spare")
        peer.server.ip("link set spare up")
        with Daemon("--db", scratch.db, "--listen", f"{VLAN_V4}@{PORT}", "--tcp", "stateless",
                    "--interface", "spare", "--udp", "fast") as daemon:
            peer.server.ip("link delete spare")
            daemon.wait_for("is not served there until it is back")
            peer.server.ip(f"address add {VLAN_V4}/24 dev v0")
            peer.client.ip("address add 198.18.4.2/24 dev v1")
            before = received_by_sockets()
            assert peer.padded(VLAN_V4, 100) > 12
            assert received_by_sockets() == before + 1
            peer.server.ip("link add spare type veth peer name spare1")
            peer.server.ip("link set spare up")
            daemon.wait_for("interface spare is back")


def test_interface_is_replaced():
    """By another of its name, at once, when it was down already: nothing is heard of that."""
    with Scratch() as scratch, Peer() as peer:
        with Daemon(*options(scratch, "fast")) as daemon:
            peer.server.ip("link set v0 down")
            time.sleep(0.5)
            peer.server.run("ip", "-batch", "-", text="link delete v0\n"
                            f"link add v0 type veth peer name v1 netns {peer.client.pid()}\n"
                            f"address add {V4}/24 dev v0\nlink set v0 up\n")
            peer.client.ip(f"address add {peer.client_v4}/24 dev v1")
            peer.client.ip("link set v1 up")
            daemon.wait_for(f"interface v0: no interface of this host has the address {V6}")
            peer.server.ip(f"address add {V6}/64 dev v0 nodad")
            daemon.wait_for("interface v0 is back")
            before = received_by_sockets()
            assert peer.padded(V4, 100) > 12 and received_by_sockets() == before


def test_refusals():
    with Scratch() as scratch:
        for arguments, reason in (
                (("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}"), "no address has that"),
                (("--proxy", "127.0.0.1@54", "--listen", f"{V4}@{PORT}", "--tcp", "stateless"),
                 "a proxy does not serve UDP")):
            status, said = refusal(*arguments, "--udp", "fast")
            assert status == 2 and "--udp: " in said and reason in said, said


def main():
    if os.geteuid() != 0:
        print("SKIP: needs root")
        return SKIP
    need_own_network()
    return run(globals())


if __name__ == "__main__":
    sys.exit(main())
