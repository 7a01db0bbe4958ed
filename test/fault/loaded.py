# SPDX-License-Identifier: BSD-2-Clause
"""Servers under load in a network of their own, lethed and its peers, and what memory they take.

    with Network() as net, loaded.start("lethed modern", net, directory, lethed, lethe) as server:
        before = server.memory_kb()
"""
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "interop")]
import peers  # noqa: E402

PORT = 53
APEX = "example."
ZONE = """$ORIGIN example.
$TTL 300
@ SOA ns host 1 3600 900 86400 300
@ NS ns
ns A 198.18.0.1
www A 192.0.2.80
"""
QUERY = struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + b"\3www\7example\0" + struct.pack("!HH", 1, 1)
# What a server with a descriptor for each connection shall hold.
PEER_CONNECTIONS = 15000
IDLE_S = 600

ASK = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(2)
s.connect((sys.argv[1], 53))
for _ in range(5):
    s.send(bytes.fromhex(sys.argv[2]))
    try:
        print(s.recv(65535).hex())
        break
    except OSError:
        pass
"""


class Loaded:
    """A server in the network's server namespace; its clients are in the other one."""

    net = None

    def response(self):
        """What it answers to QUERY."""
        said = self.net.client.run(sys.executable, "-c", ASK, self.address, QUERY.hex()).stdout
        return bytes.fromhex(said.strip())

    def wait_ready(self):
        limit = time.monotonic() + peers.READY_S
        while True:
            if self.process.poll() is not None or time.monotonic() > limit:
                raise peers.ServerError(f"{self.name} does not come up:\n{self.log()}")
            if self.is_up():
                return
            time.sleep(0.05)

    def is_up(self):
        """Answers over TCP."""
        done = self.net.client.run("dig", "+tcp", "+time=1", "+tries=1", "@" + self.address,
                                   "www.example", "A", check=False)
        return "192.0.2.80" in done.stdout

    def memory_kb(self):
        """What all its processes hold for themselves: without pages of files."""
        found, total = [self.process.pid], 0
        for pid in found:
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            total += sum(int(kb) for kb in re.findall(r"Rss(?:Anon|Shmem):\s+(\d+)", status))
        return total

    def sockets(self):
        """Connections that the server's kernel knows of, open or about to be."""
        said = self.net.server.run("ss", "-Htn", "state", "connected", "exclude", "time-wait").stdout
        return len(said.splitlines())


class LoadedLethed(Loaded, peers.Lethed):
    """As the kind says; made of the two programs, wherever they are."""

    programs = {}

    def tool(self, which):
        return self.programs[which]

    def load(self):
        super().load()
        # inside a response only what was committed long ago is gone on with
        old = time.time() - 3600
        os.utime(self.db / "data.mdb", (old, old))


class LoadedNsd(Loaded, peers.Nsd):
    """Beyond half of tcp-count it ends idle connections after 200 ms."""

    def prepare(self):
        command = super().prepare()
        path = self.directory / "nsd.conf"
        path.write_text(path.read_text()
                        .replace("tcp-count: 200", f"tcp-count: {2 * PEER_CONNECTIONS}")
                        .replace("tcp-timeout: 60", f"tcp-timeout: {IDLE_S}"))
        return command


class LoadedKnot(Loaded, peers.Knot):
    def prepare(self):
        command = super().prepare()
        path = self.directory / "knot.conf"
        path.write_text(path.read_text().replace(
            "tcp-idle-timeout: 60",
            f"tcp-idle-timeout: {IDLE_S}\n    tcp-max-clients: {PEER_CONNECTIONS}"))
        return command


OURS = ("lethed modern", "lethed kernel")
PEERS = ("nsd", "knot")


def start(kind, net, directory, lethed, lethe):
    """A server, to be used in a with statement."""
    zone = os.path.join(directory, "zone")
    pathlib.Path(zone).write_text(ZONE, encoding="ascii")
    place = {"address": net.v4, "port": PORT, "prefix": net.server.inside}
    if kind in OURS:
        how = {"lethed modern": ["--tcp", "stateless", "--interface", "v0", "--tcp-profile",
                                 "modern"], "lethed kernel": ["--tcp", "kernel"]}[kind]
        extra = ["--workers", "1", "--tcp-max-connections", str(PEER_CONNECTIONS),
                 "--tcp-idle-timeout", str(IDLE_S)]
        server = LoadedLethed(os.path.join(directory, kind.replace(" ", "-")), {APEX: zone},
                              directory, how, extra=extra, **place)
        server.programs = {"lethed": lethed, "lethe": lethe}
    else:
        server = {"nsd": LoadedNsd, "knot": LoadedKnot}[kind](directory, {APEX: zone}, **place)
    server.net = net
    return server


def slab_kb():
    """The kernel's own memory, of the whole machine."""
    return int(re.search(r"Slab:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])


def tcp_slab_kb():
    """What of it is for TCP and its sockets: caches named so, and what sockets need beside them."""
    total = 0
    for line in pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]:
        name, _, objects, size = line.split()[:4]
        if re.search(r"TCP|sock_inode|tcp_|eventpoll", name):
            total += int(objects) * int(size)
    return total // 1024


def server_mac(net):
    return json.loads(net.server.run("ip", "-j", "link", "show", "v0").stdout)[0]["address"]


def prepare_routes(net):
    """To addresses that no kernel owns the way leads over the client, whose kernel drops what comes
    for them."""
    net.server.ip(f"route add 198.18.0.0/15 via {net.client_v4}")
    net.server.sysctl(net__ipv4__conf__all__rp_filter=0, net__ipv4__conf__v0__rp_filter=0)
    net.client.sysctl(net__ipv4__ip_forward=0)


def table(rows, columns):
    """Text: one line for each row, a dict."""
    lines = [[column for column, _ in columns]]
    lines += [[form.format(row[column]) if row.get(column) is not None else "-"
               for column, form in columns] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join("  ".join(cell.rjust(width) if i else cell.ljust(width)
                               for i, (cell, width) in enumerate(zip(line, widths)))
                     for line in lines)


def report(rows, columns, json_path, faults):
    """Print the table and what is wrong; returns the exit status."""
    print(table(rows, columns))
    if json_path:
        with open(json_path, "w", encoding="ascii") as file:
            json.dump(rows, file, indent=1)
    print(*faults, sep="\n", end="\n" if faults else "")
    print("failed" if faults else "passed")
    return 1 if faults else 0
