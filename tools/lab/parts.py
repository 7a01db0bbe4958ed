# SPDX-License-Identifier: BSD-2-Clause
"""What runs in the lab beside the resolver: lethed in all authoritative roles, lethe-forward, dnsperf."""
import pathlib
import re
import resource
import subprocess

from world import RESOLVER, RESOLVER_CPU, SERVER_CPU, wait_until
import peers

CONFIGURATION = """database: {database}
listen:
  - address: {address}@53
    tcp: {tcp}
{interface}udp-payload: {payload}
workers: 1
pin: off
tcp:
  profile: {profile}
  fast-open: {fast_open}
  idle-timeout: 30
  max-connections: 10000
tsig:
  well-known: on
  keys: {keys}
{more}"""

# The key that BIND signs by.
TSIG_NAME, TSIG_SECRET = "lab.", "c2VjcmV0IG9mIHRoZSBsYWIsIGtub3duIHRvIGFsbC4="


def held(*command):
    """A command that ends when we do, even if we are killed."""
    return ("setpriv", "--pdeathsig", "KILL", *command)


def wait_for_its_word(server, word="ready"):
    """Until a program of ours says that it is ready."""
    wait_until(lambda: word in server.log() or server.process.poll() is not None, word)
    if server.process.poll() is not None:
        raise peers.ServerError(f"{server.name} ended:\n{server.log()}")


def setting(row, transport):
    """What servers have to be told of a row: rows of the same setting can share them."""
    return (row.payload, row.has_tc, transport)


class Authority(peers.Lethed):
    """lethed with some of the lab's zones, configured as a row of the table says."""

    def __init__(self, directory, world, build, address, zones, row, transport, database):
        super().__init__(directory, zones, build, address=address, port=53,
                         prefix=held(*world.servers[address].inside, "taskset", "-c", SERVER_CPU))
        self.name = f"lethed-{address}"
        self.directory = pathlib.Path(directory, self.name)
        self.log_path = self.directory / "output"
        self.db = pathlib.Path(database)
        self.row, self.transport = row, transport

    def load(self):
        """All zones in one transaction."""
        self.db.parent.mkdir(parents=True, exist_ok=True)
        names = pathlib.Path(f"{self.db}.list")
        names.write_text("".join(f"{apex} {path}\n" for apex, path in self.zones.items()),
                         encoding="ascii")
        subprocess.run([self.tool("lethe"), "--db", str(self.db), "zone", "load", "--list",
                        str(names)], check=True, capture_output=True)

    def more(self):
        out = "policy:\n  tcp-only: always\n" if self.row.has_tc else ""
        if self.transport == "driver":
            # Frames have room for 1452 octets at most: large answers over UDP need sockets.
            has_large = self.row.payload > 1452 and not self.row.has_tc
            out += f"io: packet\ndriver: zones\nudp: {'socket' if has_large else 'fast'}\n"
        return out

    def prepare(self):
        if not self.db.exists():
            self.load()
        is_stateless = self.transport != "kernel"
        keys = self.directory / "keys"
        keys.touch(mode=0o600)
        keys.write_text(f"{TSIG_NAME} hmac-sha256 {TSIG_SECRET}\n", encoding="ascii")
        path = self.directory / "lethed.yaml"
        path.write_text(CONFIGURATION.format(
            database=self.db, address=self.address, tcp="stateless" if is_stateless else "kernel",
            interface="    interface: s0\n" if is_stateless else "", payload=self.row.payload,
            profile="classic" if self.transport == "classic" else "modern", keys=keys,
            fast_open="on" if self.transport == "fast open" else "off", more=self.more()),
            encoding="ascii")
        return [self.tool("lethed"), "--config", str(path)]

    def wait_ready(self):
        """Nobody but the resolver's namespace reaches it: what it says must do."""
        wait_for_its_word(self, "image ready")
        wait_for_its_word(self)


class Forwarder(peers.Server):
    """lethe-forward, on the way of the resolver's queries."""

    name = "lethe-forward"

    def __init__(self, directory, world, build, row):
        super().__init__(directory, {}, address="0.0.0.0", port=53,
                         prefix=held(*world.gateway.inside, "taskset", "-c", RESOLVER_CPU))
        self.build, self.row, self.world = build, row, world

    def prepare(self):
        return [str(self.build / "tools" / "lethe-forward"), "--listen", "0.0.0.0@53",
                *self.row.forward]

    def wait_ready(self):
        wait_for_its_word(self)
        self.world.divert()

    def stop(self):
        self.world.stop_diverting()
        super().stop()


def dnsperf(world, questions, seconds, clients):
    """What it says: queries a second, their fate, and how long they took; and its processor time.

    Each client has a socket of its own and mostly one question under way."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = world.resolver.run(
        *held("taskset", "-c", SERVER_CPU, "dnsperf", "-s", RESOLVER, "-d", str(questions), "-l",
              str(seconds), "-q", str(clients), "-c", str(clients), "-t", "3", "-n", "1"),
        timeout=seconds + 30)
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    text = done.stdout

    def found(pattern, default=0.0):
        match = re.search(pattern, text)
        return float(match.group(1)) if match else default
    completed, servfail = found(r"Queries completed:\s+(\d+)"), found(r"SERVFAIL (\d+)")
    # SERVFAIL is no answer.
    share = 1 - servfail / max(1.0, completed)
    return {"queries_per_s": found(r"Queries per second:\s+([\d.]+)") * share,
            "completed": completed,
            "lost": found(r"Queries lost:\s+(\d+)"),
            "servfail": servfail,
            "average_ms": found(r"Average Latency \(s\):\s+([\d.]+)") * 1000,
            "dnsperf_s": spent.ru_utime - before.ru_utime + spent.ru_stime - before.ru_stime}
