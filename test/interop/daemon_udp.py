#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed over UDP. usage: daemon_udp.py LETHED DAEMON_DB"""
import os
import struct
import subprocess
import sys

from daemon_lib import (AA, QR, SOA, TC, TXT, Daemon, Header, Scratch, ask, ip, need_own_network,
                        query, run, serial_of, udp, wait_until)

PORT = 5300


def test_both_families():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}",
                                      "--listen", f"::1@{PORT}"):
        for address in ("127.0.0.1", "::1"):
            response = ask(address, PORT, query(ident=77))
            header = Header(response)
            assert header.id == 77 and header.flags & QR and header.flags & AA
            assert response.endswith(bytes([192, 0, 2, 80])), response


def test_wildcard_answers_from_the_address_asked():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"0.0.0.0@{PORT}", "--listen",
                                      f"::@{PORT}"):
        for address in ("127.0.0.1", "198.18.0.1", "198.18.0.2", "127.0.0.9", "::1",
                        "fd00:198:18::1", "fd00:198:18::2"):
            # Connected sockets: an answer from another address would not arrive.
            assert ask(address, PORT, query()) is not None, address


def test_many_clients_in_one_batch():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"0.0.0.0@{PORT}",
                                      "--workers", "2"):
        clients = [udp(f"198.18.0.{1 + i % 2}", PORT) for i in range(150)]
        for i, client in enumerate(clients):
            client.send(query(ident=i))
        for i, client in enumerate(clients):
            assert Header(client.recv(512)).id == i
            client.close()


def test_too_big_is_truncated():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}"):
        for edns, limit in ((None, 512), (512, 512), (1000, 1000), (1232, 1232), (4096, 1232)):
            response = ask("127.0.0.1", PORT, query("big.example", TXT, edns=edns))
            assert Header(response).flags & TC, edns
            assert len(response) <= limit, (edns, len(response))


def test_payload_as_configured():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}",
                                      "--udp-payload", "4096"):
        response = ask("127.0.0.1", PORT, query("big.example", TXT, edns=4096))
        assert not Header(response).flags & TC and len(response) > 2800, len(response)


def test_rubbish_is_survived():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}"):
        with udp("127.0.0.1", PORT) as s:
            s.settimeout(0.3)
            for datagram in (b"", b"\0", query()[:11], b"\xff" * 12, query() + b"x" * 5000,
                             struct.pack(">6H", 1, QR, 1, 0, 0, 0) + query()[12:]):
                s.send(datagram)
                try:
                    got = s.recv(65535)
                except TimeoutError:
                    continue
                raise AssertionError(f"{datagram[:20]!r} got {got!r}")
        assert ask("127.0.0.1", PORT, query()) is not None


def test_new_zone_content_is_seen_at_once():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}"):
        for serial in (2, 3, 4):
            scratch.load(serial)
            response = ask("127.0.0.1", PORT, query("example", SOA))
            assert serial_of(response) == serial, response


# Asks for what is too long for the link, while it counts fragments of either family; prints how many.
CLIENT = """
import socket, struct, sys
sys.path.insert(0, sys.argv[1]); mtu = int(sys.argv[2]); sys.argv[1:] = ["", ""]
from daemon_lib import *
raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
addresses = {"198.18.1.1": 28, "fd00:198:18:1::1": 48} if mtu >= 1280 else {"198.18.1.1": 28}
for address, headers in addresses.items():
    for edns in (None, 512, 1232, 1400, 4096, 65535):
        response = ask(address, 5300, query("big.example", TXT, edns=edns))
        assert response is not None and Header(response).flags & TC, (address, edns)
        assert len(response) + headers <= mtu
        assert Header(ask(address, 5300, query(edns=edns))).answers == 1
fragments = 0
try:
    raw.settimeout(0.5)
    while True:
        packet, source = raw.recvfrom(4000)
        if source[2] == 4 or packet[0] >> 4 not in (4, 6) or source[1] not in (0x0800, 0x86dd):
            continue
        if packet[0] >> 4 == 6:
            fragments += packet[6] == 44
            continue
        flags = struct.unpack(">H", packet[6:8])[0]
        fragments += flags & 0x3fff != 0
except TimeoutError:
    pass
print("fragments", fragments)
"""


def test_never_a_fragment():
    """Links of MTU 600 (IPv4) and 1280, and routes of less: all is whole, or TC."""
    with Scratch() as scratch:
        peer = subprocess.Popen(["unshare", "--net", "sleep", "60"])
        try:
            wait_until(lambda: os.readlink(f"/proc/{peer.pid}/ns/net") !=
                       os.readlink("/proc/self/ns/net"), "the other namespace")
            ip("link add v0 type veth peer name v1")
            ip(f"link set v1 netns {peer.pid}")
            inside = ["nsenter", "--net", "--target", str(peer.pid)]
            for prefix, interface, host in (([], "v0", 1), (inside, "v1", 2)):
                for command in (f"link set {interface} mtu 1280 up",
                                f"address add 198.18.1.{host}/24 dev {interface}",
                                f"address add fd00:198:18:1::{host}/64 dev {interface} nodad"):
                    subprocess.run(prefix + ["ip"] + command.split(), check=True)
            fast = ["--tcp", "stateless", "--interface", "v0", "--udp", "fast", "--io"]
            # The route's own MTU is not looked at: it may be of somebody else's making.
            for mtu, mode in ((1280, []), (1280, fast + ["packet"]), (1280, fast + ["libpcap"]),
                              (600, []), (600, fast + ["packet"])):
                ip(f"link set v0 mtu {mtu}")
                ip("route replace 198.18.1.0/24 dev v0 scope link src 198.18.1.1 mtu 600")
                family = ["--listen", f"fd00:198:18:1::1@{PORT}"] if mtu == 1280 else []
                with Daemon("--db", scratch.db, "--listen", f"198.18.1.1@{PORT}", *family, *mode,
                            "--udp-payload", "4096"):
                    done = subprocess.run(
                        inside + [sys.executable, "-c", CLIENT, os.path.dirname(
                            os.path.abspath(__file__)), str(mtu)], capture_output=True, text=True,
                        timeout=60, check=False)
                    assert done.stdout == "fragments 0\n", (mtu, mode, done.stdout + done.stderr)
        finally:
            ip("link delete v0", check=False)
            peer.kill()
            peer.wait()


need_own_network()
run(globals())
