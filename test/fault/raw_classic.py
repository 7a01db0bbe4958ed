#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed's raw worker, profile classic, against clients of today over a veth pair whose checksums
are left to "hardware", as by default.

usage: raw_classic.py LETHED LETHE

What goes over the wire is captured beside the client and compared with the slides of 2009.
"""
import json
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "..", "golden")
sys.path[1:1] = [GOLDEN, os.path.join(HERE, "..")]
sys.dont_write_bytecode = True
from frames import ACK, FIN, RST, SYN, Segment, framed, query  # noqa: E402
from netns import (DEADLINE_S, Lethed, Namespace, Network, run_tests, skip_unless,  # noqa: E402
                   wait_until)

LETHED, LETHE = (os.path.abspath(path) for path in sys.argv[1:3])
V4, V6, LATER = "198.18.0.1", "fd00:198:18::1", "198.18.0.7"

# Prints a line when ready, then each frame in hex, until it is ended.
SNIFFER = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
s.bind((sys.argv[1], 0))
print("ready", flush=True)
while True:
    print(s.recv(70000).hex(), flush=True)
"""

# Writes the pieces of a request apart from each other, prints the stream until its end.
PIECES = """
import socket, sys, time
s = socket.create_connection((sys.argv[1], 53), timeout=10)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for piece in sys.argv[2:]:
    s.sendall(bytes.fromhex(piece))
    time.sleep(0.05)
stream = b""
while piece := s.recv(65536):
    stream += piece
print(stream.hex())
"""


# A request in frames with VLAN tag 5; prints tag and TCP flags of what comes back. The kernel takes
# the tag off the frame and tells it beside (PACKET_AUXDATA).
TAGGED = """
import socket, struct, sys
sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
from frames import *
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(263, 8, 1)
s.settimeout(10)
s.bind(("v1", 0))

class Wire:
    time_us = 0
    def add(self, frame):
        s.send(frame)

def receive():
    while True:
        frame, extra, flags, address = s.recvmsg(70000, 1000)
        if address[2] != 4 and frame[12:14] == bytes([8, 0]) and frame[23] == 6:
            tag = struct.unpack_from("=IIIHHHH", extra[0][2])[5] if extra else 0
            print(f"{tag}:{frame[47]:02x}")
            return struct.unpack_from(">I", frame, 38)[0]

mac = bytes.fromhex(sys.argv[2].replace(":", ""))
client = Client(Wire(), "198.18.0.99", sys.argv[3], tags=((0x8100, 5),), destination=mac)
client.syn()
client.iss = receive()
client.send(1, 1, PSH | ACK, framed(query("rand.apnic.net", 15)))
for _ in range(3):
    receive()
"""


class Sniffer:
    """What passes the client's interface meanwhile."""

    def __init__(self, net):
        self.net = net

    def __enter__(self):
        self.output = tempfile.TemporaryFile("w+")
        self.process = self.net.client.start(sys.executable, "-c", SNIFFER, "v1", stdout=self.output)
        wait_until(lambda: self.frames() is not None, "the sniffer")
        return self

    def frames(self):
        self.output.seek(0)
        lines = self.output.read().splitlines()
        return [bytes.fromhex(line) for line in lines[1:]] if lines else None

    def tcp(self):
        """(is ours, segment) in order, of the connection begun last: a client of a former server may
        still repeat its FIN. Its checksums are not filled in, so not checked."""
        found, port = [], None
        for frame in self.frames():
            at = 14 if frame[12:14] != b"\x81\0" else 18
            if frame[at - 2:at] == b"\x08\0" and frame[at + 9] == 6:
                tcp = frame[at + 20:at + struct.unpack_from(">H", frame, at + 2)[0]]
            elif frame[at - 2:at] == b"\x86\xdd" and frame[at + 6] == 6:
                tcp = frame[at + 40:at + 40 + struct.unpack_from(">H", frame, at + 4)[0]]
            else:
                continue
            source, destination, seq, ack, offset, flags, window = struct.unpack_from(">HHIIBBH", tcp)
            is_ours = source == 53
            if flags & (SYN | ACK) == SYN:
                found, port = [], source
            if (destination if is_ours else source) != port:
                continue
            if is_ours:
                Segment(frame)  # asserts checksums, TTL, DF
            found.append((is_ours, flags, seq, ack, window, tcp[20:(offset >> 4) * 4],
                          tcp[(offset >> 4) * 4:]))
        return found

    def ours(self):
        return [segment[1:] for segment in self.tcp() if segment[0]]

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.output.close()


def dig(net, *arguments, check=True):
    result = net.client.run("dig", "+tcp", "+tries=1", "+time=5", *arguments, check=False)
    if check:
        assert result.returncode == 0 and "status: NOERROR" in result.stdout, result.stdout
    return result


def pieces(net, address, *octets):
    result = net.client.run(sys.executable, "-c", PIECES, address,
                            *(piece.hex() for piece in octets))
    return bytes.fromhex(result.stdout.strip())


def served(net, database, *addresses):
    arguments = []
    for address in addresses:
        arguments += ["--listen", f"{address}@53", "--tcp", "stateless", "--interface", "v0",
                      "--tcp-profile", "classic"]
    return Lethed(LETHED, "--db", database, "--any", "full", "--workers", "1", *arguments,
                  place=net.server)


def check_dialog(segments, stream_len):
    """What the slides show: each segment of ours by its numbers, whatever the client interleaves."""
    ours = [segment[1:] for segment in segments if segment[0]]
    theirs = [segment[1:] for segment in segments if not segment[0]]
    isn = theirs[0][1]
    request_len = len([s for s in theirs if s[5]][0][5])
    iss = ours[0][1]
    full, rest = divmod(stream_len, 512)
    lengths = [512] * full + ([rest] if rest else [])
    expected = [(SYN | ACK, 0, 1, b"\x02\x04\x04\xc4", 0), (ACK, 1, 1 + request_len, b"", 0)]
    at = 1
    for length in lengths:
        expected.append((ACK, at, 1 + request_len, b"", length))
        at += length
    expected.append((FIN | ACK, at, 1 + request_len, b"", 0))
    # Some clients close before they see our FIN; its ACK goes where they are.
    fin_ack = ([s for s in theirs if s[0] & FIN][0][2] - iss) % 2**32
    assert fin_ack in (at, at + 1)
    expected.append((ACK, fin_ack, 2 + request_len, b"", 0))
    got = [(flags, (seq - iss) % 2**32, (ack - isn) % 2**32, options, len(payload))
           for flags, seq, ack, _, options, payload in ours]
    assert got == expected, f"got {got}\nexpected {expected}"
    assert all(segment[3] == 65535 for segment in ours)


def test_dig_sees_the_slides(net, database):
    for address in (V4, V6):
        with served(net, database, V4, V6), Sniffer(net) as sniffer:
            result = dig(net, f"@{address}", "+noedns", "rand.apnic.net", "in", "any")
            assert "ANSWER: 6" in result.stdout, result.stdout
            wait_until(lambda: len(sniffer.ours()) >= 5, "the ACK of the FIN")
            check_dialog(sniffer.tcp(), 187)


def test_several_segments(net, database):
    for address in (V4, V6):
        with served(net, database, V4, V6), Sniffer(net) as sniffer:
            stream = pieces(net, address, framed(query("big.example", 16)))
            assert len(stream) == 2800 and stream[:2] == struct.pack(">H", 2798)
            wait_until(lambda: len(sniffer.ours()) >= 10, "the ACK of the FIN")
            check_dialog(sniffer.tcp(), 2800)


def test_kdig(net, database):
    with served(net, database, V4):
        result = net.client.run("kdig", "+tcp", "+retry=0", "+time=5", f"@{V4}", "rand.apnic.net",
                                "mx")
        assert "status: NOERROR" in result.stdout and "kombu.apnic.net." in result.stdout


def test_requests_in_pieces(net, database):
    request = framed(query("rand.apnic.net", 15))
    with served(net, database, V4), Sniffer(net) as sniffer:
        whole = pieces(net, V4, request)
        assert len(whole) > 50
        assert pieces(net, V4, request[:2], request[2:]) == whole
        # Cut anywhere else: the client's kernel joins the pieces when it sends them again.
        assert pieces(net, V4, request[:20], request[20:]) == whole
        assert len(pieces(net, V4, request + request)) == 2 * len(whole)
        assert not any(segment[0] & RST for segment in sniffer.ours())


def test_vlan_tags_stay(net, database):
    """Frames by hand, with a tag for which neither side has an interface."""
    with served(net, database, V4):
        mac = json.loads(net.server.run("ip", "-j", "link", "show", "v0").stdout)[0]["address"]
        result = net.client.run(sys.executable, "-c", TAGGED, GOLDEN, mac, V4)
        assert result.stdout.split() == ["5:12", "5:10", "5:10", "5:11"], result.stdout


def test_wildcards_follow_addresses(net, database):
    with served(net, database, "0.0.0.0", "::"):
        dig(net, f"@{V4}", "rand.apnic.net", "mx")
        dig(net, f"@{V6}", "rand.apnic.net", "mx")
        assert dig(net, f"@{LATER}", "+time=1", "rand.apnic.net", "mx", check=False).returncode != 0
        net.server.ip(f"addr add {LATER}/24 dev v0")
        try:
            wait_until(lambda: dig(net, f"@{LATER}", "+time=1", "rand.apnic.net", "mx",
                                   check=False).returncode == 0, "an answer from a new address")
        finally:
            net.server.ip(f"addr del {LATER}/24 dev v0")


def test_interface_down_and_up(net, database):
    with served(net, database, V4) as lethed:
        dig(net, f"@{V4}", "rand.apnic.net", "mx")
        net.server.ip("link set v0 down")
        time.sleep(0.3)
        net.server.ip("link set v0 up")
        net.server.ip(f"addr replace {V6}/64 dev v0 nodad")
        wait_until(lambda: dig(net, f"@{V4}", "+time=1", "rand.apnic.net", "mx",
                               check=False).returncode == 0, "an answer after the link came back")
        assert lethed.process.poll() is None


def test_guard_keeps_the_kernel_silent(net, database):
    """No RST while it serves; the kernel's RST as soon as it does not, however it ended."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with served(net, database, V4, V6) as lethed, Sniffer(net) as sniffer:
            assert len(net.server.guards()) == 1
            dig(net, f"@{V4}", "rand.apnic.net", "mx")
            assert not any(segment[0] & RST for segment in sniffer.ours())
            lethed.end(how)
            wait_until(lambda: not net.server.guards(), "the guard to go")
            result = dig(net, f"@{V4}", "rand.apnic.net", "mx", check=False)
            assert "refused" in result.stdout + result.stderr, result.stdout + result.stderr


def test_loopback(net, database):
    del net
    loop = Namespace()

    def ask(address):
        return loop.run("dig", "+tcp", "+tries=1", "+time=5", f"@{address}", "rand.apnic.net", "mx",
                        check=False).stdout

    def listen(*addresses, **more):
        arguments = []
        for address in addresses:
            arguments += ["--listen", address, "--tcp", "stateless", "--interface", "lo",
                          "--tcp-profile", "classic"]
        return Lethed(LETHED, "--db", database, *arguments, place=loop, **more)

    try:
        with listen("::1"):
            assert "ANSWER: 3" in ask("::1")
        for switch in ("accept_local", "route_localnet"):
            refused = listen("127.0.0.1", wait=False)
            assert refused.process.wait(DEADLINE_S) == 1
            refused.end()
            assert refused.said(switch), refused.lines
            loop.run("sysctl", "-w", f"net.ipv4.conf.lo.{switch}=1")
        with listen("127.0.0.1", "::1"):
            assert "ANSWER: 3" in ask("127.0.0.1")
            assert "ANSWER: 3" in ask("::1")
    finally:
        loop.end()


def make_database(directory):
    database = os.path.join(directory, "db")
    example = os.path.join(directory, "example.zone")
    with open(example, "w", encoding="ascii") as file:
        file.write("$ORIGIN example.\n$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n")
        file.writelines(f'big TXT "{i:03d}{"x" * 197}"\n' for i in range(13))
    for apex, path in (("example", example),
                       ("rand.apnic.net", os.path.join(GOLDEN, "zones", "rand.apnic.net.zone"))):
        subprocess.run([LETHE, "--db", database, "zone", "load", apex, path], check=True)
    return database


def main():
    skip_unless("dig", "kdig", "sysctl")
    with tempfile.TemporaryDirectory() as directory, Network() as net:
        run_tests(globals(), net, make_database(directory))


main()
