#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What only frames by XDP can get wrong. usage: daemon_xdp.py LETHED DAEMON_DB CLOCK_SHIFT PROGRAM

PROGRAM is an XDP program as an object file: somebody else's, for once.
"""
import os
import re
import signal
import subprocess
import sys
import time

from daemon_lib import (MORE, SOA, Daemon, Scratch, need_own_network, query, refusal, run, serial_of,
                        wait_until)
from netns import Here, Network, skip_unless

PROGRAM = os.path.abspath(MORE.pop())

PORT = 5300
V4, V6 = "198.18.1.1", "fd00:198:18:1::1"
BY_XDP = ("--tcp", "stateless", "--interface", "v0", "--io", "xdp")
BOTH_WAYS = (BY_XDP, BY_XDP[:-1] + ("packet", "--driver", "on"))


class Link(Network):
    """The server here, clients behind a veth pair that delivers what drivers send."""

    def __init__(self, is_heard=True):
        super().__init__(number=1, server=Here())
        self.is_heard = is_heard

    def __enter__(self):
        super().__enter__()
        if self.is_heard:
            self.client.run("ethtool", "-K", "v1", "gro", "on")
        return self

    def dig(self, address, *more):
        done = self.client.run("dig", "+tries=1", "+timeout=5", "-p", str(PORT), "@" + address,
                               "www.example", "A", *more, check=False)
        return "status: NOERROR" in done.stdout and "ANSWER: 1" in done.stdout

    def ask_udp(self, address, message):
        """Whether this UDP message is answered; it may be too long for one packet."""
        code = ("import socket, sys; m = sys.stdin.buffer.read(); a = sys.argv[1]\n"
                "s = socket.socket(socket.AF_INET6 if ':' in a else socket.AF_INET, "
                "socket.SOCK_DGRAM); s.settimeout(3); s.connect((a, int(sys.argv[2])))\n"
                "s.send(m); print('answered' if s.recv(65535)[:2] == m[:2] else 'what?')")
        done = subprocess.run([*self.client.inside, sys.executable, "-c", code, address, str(PORT)],
                              input=message, capture_output=True, timeout=30, check=False)
        return b"answered" in done.stdout


def programs(device="v0"):
    """XDP programs on the interface, by their names."""
    return re.findall(r"prog/xdp\S* id \d+ name (\S+)",
                      Here().run("ip", "-details", "link", "show", device).stdout)


def datagrams():
    """UDP datagrams that the kernel of the server has handed to a socket."""
    text = Here().run("nstat", "-asz", "UdpInDatagrams", "Udp6InDatagrams").stdout
    return sum(int(count) for count in re.findall(r"InDatagrams\s+(\d+)", text))


def listen(*addresses):
    return [word for address in addresses for word in ("--listen", f"{address}@{PORT}")]


def test_udp_and_tcp():
    """Both families; of UDP the kernel's sockets see nothing."""
    with Scratch() as scratch, Link() as link:
        for more in BOTH_WAYS:
            with Daemon("--db", scratch.db, *listen(V4, V6), *more, "--udp", "fast") as daemon:
                assert programs() == ["lethe_driver"], programs()
                assert daemon.said("the program runs in the driver"), daemon.lines
                before = datagrams()
                for address in (V4, V6):
                    for _ in range(5):
                        assert link.dig(address) and link.dig(address, "+tcp"), daemon.lines
                assert datagrams() == before
            assert programs() == []


def test_fragments():
    """The kernel joins them, and a socket answers; as they come from frames they stay apart."""
    padded = query(edns=1232, options=b"\0\x0c" + (2500).to_bytes(2, "big") + bytes(2500))
    with Scratch() as scratch, Link() as link:
        for more in ((), ("--udp", "fast")):
            with Daemon("--db", scratch.db, *listen(V4, V6), *BY_XDP, *more):
                for address in (V4, V6):
                    assert link.ask_udp(address, query())
                    before = datagrams()
                    assert link.ask_udp(address, padded), (address, more)
                    assert datagrams() == before + 1


# A UDP query and a SYN in a frame of our own, two tags on it; prints the answers' tags and kind.
TAGGED = """
import socket, struct, sys
sys.path.insert(0, sys.argv[1])
import frames
client, server, port, mac_client, mac_server = sys.argv[2:]
tags = ((0x88a8, 7), (0x8100, 0x2005))
SOL_PACKET, PACKET_AUXDATA, OUTGOING = 263, 8, 4
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.bind(("v1", 0))
s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
s.settimeout(3)
message = frames.query("www.example", 1)
udp = struct.pack(">HHHH", 4444, int(port), 8 + len(message), 0) + message
syn = struct.pack(">HHIIBBHHH", 4444, int(port), 1, 0, 0x60, 2, 65535, 0, 0) + frames.mss_option(1460)
for protocol, transport, sum_at in ((17, udp, 6), (6, syn, 16)):
    packet = frames.ip_packet(client, server, protocol, transport, sum_at)
    s.send(frames.ethernet(packet, tags, bytes.fromhex(mac_client), bytes.fromhex(mac_server)))
    while True:
        frame, extra, _, sender = s.recvmsg(2048, 256)
        if sender[2] == OUTGOING or not extra:
            continue
        outer = struct.unpack_from("=HH", extra[0][2], 16)  # control, protocol
        inner = struct.unpack_from(">HH", frame, 12)
        if outer == (7, 0x88a8) and inner == (0x8100, 0x2005):
            at = 18 + (20 if ":" not in client else 40)
            print("query answered" if protocol == 17 and frame[at + 10] & 0x80 else
                  "connected" if protocol == 6 and frame[at + 13] == 0x12 else "what?")
            break
"""


def test_vlan():
    """Two tags, by frames: not every kernel here has VLAN devices."""
    golden = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
    with Scratch() as scratch, Link() as link:
        macs = [re.search(r"link/ether (\S+)", side.run("ip", "link", "show", device).stdout)[1]
                .replace(":", "") for side, device in ((link.client, "v1"), (link.server, "v0"))]
        with Daemon("--db", scratch.db, *listen(V4, V6), *BY_XDP, "--udp", "fast"):
            for address in (V4, V6):
                said = link.client.run(sys.executable, "-c", TAGGED, golden, address[:-1] + "2",
                                       address, str(PORT), *macs).stdout.split("\n")
                assert said[:2] == ["query answered", "connected"], said


def test_foreign_program():
    """It may be a firewall: it stays, and we do not come up."""
    with Scratch() as scratch, Link() as link:
        for more in BOTH_WAYS:
            Here().run("ip", "link", "set", "dev", "v0", "xdp", "object", PROGRAM, "section", "xdp")
            there = programs()
            assert len(there) == 1
            status, text = refusal("--db", scratch.db, *listen(V4), *more)
            assert status == 1 and there[0] in text and "xdp off" in text, text
            assert programs() == there
            Here().run("ip", "link", "set", "dev", "v0", "xdp", "off")
            with Daemon("--db", scratch.db, *listen(V4), *more):
                assert link.dig(V4, "+tcp")
                status, text = refusal("--db", scratch.db, *listen(V6), *more)
                assert status == 1 and "lethe_driver" in text, text
                assert link.dig(V4, "+tcp")


def test_kill():
    """Nothing stays attached, and the queue is free for who comes next, while a guard lingers."""
    with Scratch() as scratch, Link() as link:
        key = scratch.file("key", "0123456789abcdef" * 4 + "\n")
        for more in BOTH_WAYS:
            for _ in range(3):
                daemon = Daemon("--db", scratch.db, *listen(V4), *more, "--tcp-key-file", key)
                assert programs() == ["lethe_driver"] and link.dig(V4, "+tcp")
                daemon.end(signal.SIGKILL)
                wait_until(lambda: programs() == [], "the program to go", 2)
                assert Here().guards()
        wait_until(lambda: not Here().guards(), "the guards to go")


def test_reload_keeps_the_program():
    with Scratch() as scratch, Link() as link:
        def configure(text, io="xdp"):
            return scratch.file("lethed.yaml", f"database: {scratch.db}\nio: {io}\n"
                                f"listen: [{{address: {V4}@{PORT}, tcp: stateless}}]\n{text}")

        def number():
            shown = Here().run("ip", "-details", "link", "show", "v0").stdout
            return re.findall(r"prog/xdp id (\d+)", shown)

        with Daemon("--config", configure("")) as daemon:
            before = number()
            for text in ("tcp: {segment: 1000}\n", "driver: off\n", "udp: fast\n", ""):
                configure(text)
                daemon.lines.clear()
                daemon.signal(signal.SIGHUP)
                daemon.wait_for("reloaded: ")
                assert number() == before != []
                assert link.dig(V4, "+tcp") and link.dig(V4)
            configure("", "packet")
            daemon.lines.clear()
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("reloaded: ")
            assert number() == [] and link.dig(V4, "+tcp")


def test_interface_comes_back():
    """Without the capability that loading the program took."""
    with Scratch() as scratch:
        subprocess.run(["chmod", "-R", "a+rwX", scratch.db], check=True)
        with Link() as link:
            daemon = Daemon("--db", scratch.db, *listen("0.0.0.0"), *BY_XDP, "--user", "nobody")
            assert link.dig(V4, "+tcp")
        with Link() as link, daemon:
            daemon.wait_for("interface v0 is back")
            assert programs() == ["lethe_driver"]
            wait_until(lambda: link.dig(V4, "+tcp"), "an answer")


def test_privileges():
    """Four capabilities do; without those for programs it says what it lacks."""
    with Scratch() as scratch, Link() as link:
        subprocess.run(["chmod", "-R", "a+rwX", scratch.db], check=True)
        for more in BOTH_WAYS:
            for names, is_enough in (("+net_raw,+net_admin,+bpf,+perfmon", True),
                                     ("+net_raw,+net_admin", False)):
                daemon = Daemon("--db", scratch.db, *listen(V4), *more, wait=False, prefix=(
                    "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--nnp",
                    *(f"--{kind}=-all,{names}" for kind in ("inh-caps", "ambient-caps",
                                                            "bounding-set"))))
                if is_enough:
                    with daemon:
                        daemon.wait_for("ready")
                        assert link.dig(V4, "+tcp")
                        assert int(daemon.status("CapEff"), 16) == 1 << 12 | 1 << 13
                else:
                    daemon.wait_for("CAP_BPF")
                    assert daemon.process.wait(30) == 1
                    daemon.end()


def test_nobody_hears_the_driver():
    """The other end lets what drivers send fall: after a moment our worker answers instead."""
    with Scratch() as scratch, Link(is_heard=False) as link:
        for more in BOTH_WAYS:
            with Daemon("--db", scratch.db, *listen(V4), *more) as daemon:
                wait_until(lambda: link.dig(V4, "+tcp"), "an answer")
                daemon.wait_for("nobody hears what the driver answers")
                assert link.dig(V4, "+tcp")


# In the client's namespace: requests in hexadecimal are asked over and over, the daemon is stopped now and
# then right before; prints each request's answers, and how many came while it stood still.
REPEAT = """
import os, signal, socket, struct, sys, time
address, port, pid, stops = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((address, port))
def ask(message, ident, timeout):
    s.settimeout(timeout)
    s.send(struct.pack('>H', ident) + message[2:])
    try:
        while True:
            answer = s.recv(65535)
            if answer[:2] == struct.pack('>H', ident):
                return answer[2:].hex()
    except TimeoutError:
        return 'nothing'
def is_still():
    return open('/proc/%d/stat' % pid).read().rsplit(')', 1)[1].split()[0] == 'T'
while_still = 0
for message in [bytes.fromhex(text) for text in sys.argv[5:]]:
    answers = [ask(message, i, 3) for i in range(30)]
    for i in range(stops):
        answers += [ask(message, 1000 + i, 3)]
        os.kill(pid, signal.SIGSTOP)
        while not is_still():
            pass
        answer = ask(message, 2000 + i, 0.02)
        stale = ask(message, 3000 + i, 0.05) if time.sleep(0.02) is None else None
        os.kill(pid, signal.SIGCONT)
        while_still += answer != 'nothing'
        answers += [answer] if answer != 'nothing' else []
        assert stale == 'nothing', stale
    print(*sorted(set(answers)))
print(while_still)
"""


def test_hot_answers():
    """Known UDP answers come from the driver: the same octets, while the daemon stands still, but not
    for long, and none from before a commit."""
    messages = [query(), query(edns=1232), query("nosuch.example", edns=1232),
                query("example", SOA), query("example", SOA, edns=1232)]
    with Scratch() as scratch, Link() as link:
        for more in BOTH_WAYS:
            more = more[:-2] + ("--driver", "hot") if "--driver" in more else \
                (*more, "--driver", "hot")
            with Daemon("--db", scratch.db, *listen(V4, V6), *more, "--udp", "fast") as daemon:
                for serial in (7, 8):
                    for address in (V4, V6):
                        *answers, still = link.client.run(
                            sys.executable, "-c", REPEAT, address, str(PORT),
                            str(daemon.process.pid), "4",
                            *(message.hex() for message in messages)).stdout.splitlines()
                        print(f"    {address}: {still} answers of 20 while it stood still")
                        assert int(still) > 0
                        assert len(answers) == len(messages) and "nothing" not in answers
                        assert not any(" " in each for each in answers), answers
                    scratch.load(serial)
                    time.sleep(0.01)
                    for address in (V4, V6):
                        answer = link.client.run(sys.executable, "-c", REPEAT, address, str(PORT),
                                                 "0", "0", messages[3].hex()).stdout.split()[0]
                        assert serial_of(b"id" + bytes.fromhex(answer)) == serial, answer


need_own_network()
skip_unless("dig", "ethtool", "nstat")
run(globals())
