#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients that pipeline wait for no timer where the driver answers what comes first.

    ahead.py LETHED LETHE

Each sends some requests in segments of their own before it has any response, over a link with a
round trip of some milliseconds. The driver answers the first, user space those ahead of their turn,
if it knows what the driver has answered; else the client's kernel has to send them again.
"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, ".."))
sys.dont_write_bytecode = True
import tcp_client  # noqa: E402
from netns import Lethed, Namespace, need_own_network, skip_unless  # noqa: E402

SERVER, CLIENT = "198.18.0.1", "198.18.0.2"
CONVERSATIONS = 40

# Frames from r0 to r1 and back, each a few milliseconds later.
RELAY = """
import collections, select, socket, time
sockets = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) for _ in range(2)]
for each, device in zip(sockets, ("r0", "r1")):
    each.bind((device, 0))
waiting = collections.deque()
print("begun", flush=True)
while True:
    left = max(0, waiting[0][0] - time.monotonic()) if waiting else None
    for each in select.select(sockets, [], [], left)[0]:
        frame, address = each.recvfrom(4096)
        if address[2] != socket.PACKET_OUTGOING:
            waiting.append((time.monotonic() + 0.005, sockets[each is sockets[0]], frame))
    while waiting and waiting[0][0] <= time.monotonic():
        waiting[0][1].send(waiting.popleft()[2])
"""

# Asks for names in turns, all at once; prints how many responses were as they must be.
ASKER = """
import sys
sys.path.insert(1, sys.argv[1])
import tcp_client
names = sys.argv[4:]
known = dict.fromkeys(names)
for name in names:
    known.update(tcp_client.learn(sys.argv[2], 54, [name]))
conversations = [tcp_client.Conversation("apart", [names[(i + j) % len(names)] for j in range(3)], i)
                 for i in range(int(sys.argv[3]))]
result = tcp_client.converse([sys.argv[2]], 53, conversations, known, 4, 60)
print(result.responses, result.failures)
"""


def link(ours, device, namespace, other):
    ours.ip(f"link add {device} type veth peer name {other} netns {namespace.pid()}")
    for side, name in ((ours, device), (namespace, other)):
        side.ip(f"link set {name} up")
        side.run("ethtool", "-K", name, "tx", "off", "tso", "off", "gso", "off")
    # A veth delivers what the other end's driver sends only with NAPI.
    ours.run("ethtool", "-K", device, "gro", "on")


def again(client):
    """Segments that the client's kernel has sent again."""
    return int(re.search(r"TcpRetransSegs\s+(\d+)", client.run("nstat", "-asz").stdout)[1])


def converse(lethed_path, database, names, driver):
    relay, server, client = Namespace(), Namespace(), Namespace()
    forwarder = None
    try:
        link(relay, "r0", server, "v0")
        link(relay, "r1", client, "v1")
        server.ip(f"address add {SERVER}/24 dev v0")
        client.ip(f"address add {CLIENT}/24 dev v1")
        forwarder = relay.start(sys.executable, "-c", RELAY, stdout=subprocess.PIPE, text=True)
        assert forwarder.stdout.readline() == "begun\n"
        with Lethed(lethed_path, "--db", database, "--workers", "1", "--listen", f"{SERVER}@53",
                    "--tcp", "stateless", "--interface", "v0", "--io", "packet", "--listen",
                    f"{SERVER}@54", "--driver", driver, "--image", "16M", place=server) as lethed:
            lethed.wait_for("image ready")
            said = client.run(sys.executable, "-c", ASKER, HERE, SERVER, str(CONVERSATIONS),
                              *names, timeout=120).stdout
            print(f"    driver: {driver}: {said.strip()}, {again(client)} segments sent again")
            assert said == f"{3 * CONVERSATIONS} []\n", said
            return again(client)
    finally:
        if forwarder is not None:
            forwarder.kill()
            forwarder.wait()
        for each in (client, server, relay):
            each.end()


def main():
    lethed, lethe = (os.path.abspath(path) for path in sys.argv[1:])
    skip_unless("ethtool", "nstat")
    need_own_network()
    with tempfile.TemporaryDirectory(prefix="lethe-ahead-") as directory:
        zone, database = os.path.join(directory, "zone"), os.path.join(directory, "db")
        names = tcp_client.write_zone(zone, [100], cuts=7)[1:]
        subprocess.run([lethe, "--db", database, "zone", "load", "example", zone], check=True,
                       stdout=subprocess.DEVNULL)
        for driver in ("on", "zones"):
            # Each conversation would send something again; a machine that stands still may.
            assert converse(lethed, database, names, driver) < CONVERSATIONS / 2


main()
