#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""No response over UDP leaves lethed in fragments, whatever carries it, and whatever the path is.

usage: daemon_path.py LETHED DAEMON_DB CLOCK_SHIFT [has_xdp]

    lethed v0 ---- v1 router r1 ---- c1 client

The router's r1 has an MTU of 1280; in other tests it is v0 that has less. What leaves lethed is looked at
where it arrives, at v1: an XDP program's answers are seen nowhere before.
"""
import ast
import os
import subprocess
import sys

from daemon_lib import MORE, Daemon, Scratch, need_own_network, run, wait_until
from netns import Here, Namespace, Network

HAS_XDP = MORE.pop() == "has_xdp" if MORE else False
PORT = 5300
V4, V6 = "198.18.1.1", "fd00:198:18:1::1"
CLIENT_V4, CLIENT_V6 = "198.18.9.2", "fd00:198:18:9::2"
HERE = os.path.dirname(os.path.abspath(__file__))
# Octets of the responses, with OPT; a MTU of 1280 carries 1252 and 1232.
NAMES = {"www": 56, "some": 893, "edge": 1281, "more": 1319, "big": 3022}

FAST = ["--tcp", "stateless", "--interface", "v0", "--udp", "fast", "--image", "16M", "--io"]
WAYS = {
    "sockets": [],
    "libpcap": FAST + ["libpcap"],
    "packet": FAST + ["packet"],
}
if HAS_XDP:
    WAYS.update({
        "packet, driver: zones": FAST + ["packet", "--driver", "zones"],
        "xdp": FAST + ["xdp", "--driver", "off"],
        "xdp, driver: hot": FAST + ["xdp", "--driver", "hot"],
        "xdp, driver: zones": FAST + ["xdp", "--driver", "zones"],
    })

PRELUDE = """
import sys
sys.path.insert(0, sys.argv[1])
arguments, sys.argv[1:] = sys.argv[2:], ["", ""]
from daemon_lib import *
"""

# Asks each question twice, as a driver may know the second one's answer. Prints how that was answered: by
# how many octets, negative if truncated.
UDP = PRELUDE + """
answers = {}
for address, name, edns, patience in eval(arguments[1]):
    for _ in range(2):
        with udp(address, int(arguments[0])) as s:
            s.settimeout(patience)
            s.send(query(name + ".example", TXT if name != "www" else A, edns=edns or None))
            try:
                response = s.recv(65535)
                answer = -len(response) if Header(response).flags & TC else len(response)
            except TimeoutError:
                answer = 0
                break
    answers[address, name, edns] = answer
print(answers)
"""

TCP = PRELUDE + """
for address in arguments[1].split():
    for name in ("big", "huge"):
        with tcp(address, int(arguments[0])) as s:
            s.send(framed(query(name + ".example", TXT)))
            assert Header(read_message(s)).answers == (14 if name == "big" else 280), (address, name)
print("all")
"""

# Tells the server that nothing larger than this reaches the client: a lie.
FORGE = """
import socket, struct, sys
v4, v6, me4, me6, port = sys.argv[1:]
udp = struct.pack("!4H", int(port), 4000, 1400, 0) + bytes(600)
ip = struct.pack("!BBHHHBBH", 0x45, 0, 1420, 0, 0x4000, 64, 17, 0)
ip += socket.inet_aton(v4) + socket.inet_aton(me4)
def checksum(octets):
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total ^ 0xffff
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
    for mtu in (1000, 600, 68, 0):
        message = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + (ip + udp)[:548]
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        s.sendto(message, (v4, 0))
ip = struct.pack("!IHBB", 6 << 28, 1400, 17, 64)
ip += socket.inet_pton(socket.AF_INET6, v6) + socket.inet_pton(socket.AF_INET6, me6)
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as s:
    for mtu in (1280, 1000, 68, 0):
        s.sendto(struct.pack("!BBHI", 2, 0, 0, mtu) + (ip + udp)[:1000], (v6, 0))
"""

# Counts IP packets at an interface until its input ends.
COUNT = """
import select, socket, struct, sys
device, port = sys.argv[1], int(sys.argv[2])
raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
raw.bind((device, 0))
seen = {"fragments": 0, "longest": 0, "df": 0, "no df": 0, "too big": 0}
print("begun", flush=True)
while raw in (ready := select.select([raw, sys.stdin], [], [])[0]):
    packet, source = raw.recvfrom(65535)
    is_out = source[2] == 4
    if source[1] == 0x86dd:
        protocol, ports = packet[6], packet[40:44]
        seen["fragments"] += protocol == 44 and not is_out
        seen["too big"] += protocol == 58 and packet[40] == 2
    elif source[1] == 0x0800:
        flags, protocol, ports = struct.unpack("!H", packet[6:8])[0], packet[9], packet[20:24]
        seen["fragments"] += flags & 0x3fff != 0 and not is_out
        seen["too big"] += protocol == 1 and packet[20:22] == bytes([3, 4])
        if protocol == 17 and not is_out:
            seen["df" if flags & 0x4000 else "no df"] += 1
    else:
        continue
    if protocol == 17 and not is_out and struct.unpack("!H", ports[:2])[0] == port:
        seen["longest"] = max(seen["longest"], len(packet))
print(seen)
"""


class Counter:
    """What a place saw of packets; in `seen` afterwards."""

    def __init__(self, place, device):
        self.process = place.start(sys.executable, "-c", COUNT, device, str(PORT),
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.seen = None

    def __enter__(self):
        assert self.process.stdout.readline() == "begun\n"
        return self

    def __exit__(self, *_):
        self.seen = ast.literal_eval(self.process.communicate(timeout=30)[0])


class Path(Network):
    def __init__(self):
        super().__init__(number=1, server=Here())
        self.far = Namespace()

    def __enter__(self):
        super().__enter__()
        router = self.client
        router.run("ethtool", "-K", "v1", "gro", "on")  # needed by frames of an XDP program
        router.ip(f"link add r1 type veth peer name c1 netns {self.far.pid()}")
        for place, device, host in ((router, "r1", 1), (self.far, "c1", 2)):
            place.ip(f"address add 198.18.9.{host}/24 dev {device}")
            place.ip(f"address add fd00:198:18:9::{host}/64 dev {device} nodad")
            place.ip(f"link set {device} up")
        router.ip("link set r1 mtu 1280")
        router.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1,
                      net__ipv6__icmp__ratelimit=0, net__ipv4__icmp_ratelimit=0)
        for place, towards, v4, v6 in ((self.server, "9", self.client_v4, self.client_v6),
                                       (self.far, "1", "198.18.9.1", "fd00:198:18:9::1")):
            place.ip(f"route add 198.18.{towards}.0/24 via {v4}")
            place.ip(f"route add fd00:198:18:{towards}::/64 via {v6}")
        self.wait_for_ipv6()
        return self

    def wait_for_ipv6(self):
        wait_until(lambda: self.far.run("ping", "-6", "-c", "1", "-W", "1", V6,
                                        check=False).returncode == 0, "the path over IPv6")

    def __exit__(self, *_):
        self.far.end()
        super().__exit__()

    def python(self, script, *arguments):
        done = self.far.run(sys.executable, "-c", script, *arguments, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def check_udp(self, expected):
        """Ask what is expected, and expect that; 0: to be lost."""
        asked = [(*question, 5 if length else 0.2) for question, length in expected.items()]
        answers = ast.literal_eval(self.python(UDP, HERE, str(PORT), repr(asked)))
        assert answers == expected, {question: (answers[question], length)
                                     for question, length in expected.items()
                                     if answers[question] != length}

    def has_answer(self, question, length):
        asked = [(*question, 0.2)]
        return ast.literal_eval(self.python(UDP, HERE, str(PORT), repr(asked)))[question] == length

    def tcp(self, addresses=(V4, V6)):
        assert self.python(TCP, HERE, str(PORT), " ".join(addresses)) == "all\n"

    def forget(self):
        for family in ("-4", "-6"):
            self.server.ip(f"{family} route flush cache")

    def learned(self):
        """Whether the server's kernel believes anything of the path's MTU."""
        return "mtu" in "".join(self.server.run("ip", "route", "get", to).stdout
                                for to in (CLIENT_V4, CLIENT_V6))


def serve(scratch, way, payload, addresses=(V4, V6)):
    listen = [word for address in addresses for word in ("--listen", f"{address}@{PORT}")]
    return Daemon("--db", scratch.db, *listen, *way, "--udp-payload", str(payload))


def expected(payload, addresses=(V4, V6), mtu=1500, path=lambda address, length: length):
    """Each question's response: its length; negative: that of a truncated one."""
    answers = {}
    for address in addresses:
        room = min(payload, 1452, mtu - (48 if ":" in address else 28))
        for name, length in NAMES.items():
            for edns in (0, 512, 1232, 1400, 4096):
                opt = 11 if edns else 0
                whole, truncated = length - 11 + opt, 12 + len(name) + 10 + 4 + opt
                is_whole = whole <= min(max(edns, 512), room)
                answers[address, name, edns] = path(address, whole) if is_whole else -truncated
    return answers


def check_path(path, scratch, name, way, payload):
    """With a router that carries 1280 octets, and somebody who says that it carries less."""
    is_fast = name != "sockets"

    def through(address, length):
        # Sockets do not set DF; then the router makes the fragments.
        is_carried = length <= (1232 if ":" in address else 1252)
        return length if is_carried or not is_fast and address == V4 else 0

    path.forget()  # what its TCP has learned
    with serve(scratch, way, payload) as daemon:
        if "zones" in name:
            daemon.wait_for("image ready")
        assert is_fast == daemon.said("UDP and stateless TCP on v0"), daemon.lines
        with Counter(path.client, "v1") as near, Counter(path.far, "c1") as far:
            path.python(FORGE, V4, V6, CLIENT_V4, CLIENT_V6, str(PORT))
            path.check_udp(expected(payload, path=through))
        assert not path.learned(), name
        path.tcp()
    assert near.seen["fragments"] == 0, near.seen
    assert not near.seen["no df" if is_fast else "df"], near.seen
    # The router's own word, beside the eight that were forged.
    assert (near.seen["too big"] > 8) == (payload == 4096), near.seen
    assert (far.seen["fragments"] > 0) == (payload == 4096 and not is_fast), far.seen


def test_path_of_1280():
    with Scratch() as scratch, Path() as path:
        for name, way in WAYS.items():
            check_path(path, scratch, name, way, 4096)
            if name in ("sockets", "packet", "xdp, driver: zones"):
                check_path(path, scratch, name, way, 1232)
            print("   ", name)


def test_short_link():
    """An interface that becomes one of less than 1500: than IPv6 takes, than 512 octets take."""
    with Scratch() as scratch, Path() as path:
        path.client.ip("link set r1 mtu 1500")
        for name, way in WAYS.items():
            if name in ("libpcap", "xdp"):
                continue  # as packet, but for what carries the frames
            path.server.ip("link set v0 mtu 1500")
            path.server.ip(f"address replace {V6}/64 dev v0 nodad")
            path.server.ip(f"route replace fd00:198:18:9::/64 via {path.client_v6}")
            path.wait_for_ipv6()
            with serve(scratch, way, 4096) as daemon:
                if "zones" in name:
                    daemon.wait_for("image ready")
                for mtu in (1500, 1280, 500):
                    answers = expected(4096, (V4, V6) if mtu >= 1280 else (V4,), mtu)
                    question = (V4, "some" if mtu == 500 else "edge", 4096)
                    with Counter(path.client, "v1") as near:
                        path.server.ip(f"link set v0 mtu {mtu}")
                        wait_until(lambda: path.has_answer(question, answers[question]),
                                   f"{name}: the new MTU of {mtu}")
                        path.check_udp(answers)
                    assert near.seen["fragments"] == 0, (name, near.seen)
            print("   ", name)


if __name__ == "__main__":
    need_own_network()
    run(globals())
