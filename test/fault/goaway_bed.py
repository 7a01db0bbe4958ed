# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of GoAway share: the agent, somebody who forges messages, queries, lethed."""
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading

import goaway_messages as messages
from netns import Here, Lethed, wait_until

ZONE = ("$ORIGIN example.\n@ 60 SOA ns hostmaster 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\n"
        "www.of-a-name-that-leaves-room 60 A 192.0.2.2\n")
NAME = "www.of-a-name-that-leaves-room.example"
LIMIT = 20


class Agent:
    """lethe-goaway here, ready once it is made; its events are dictionaries."""

    def __init__(self, program, *options):
        self.events, self.lines = [], []
        self.process = subprocess.Popen([program, "--json", *options], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.readers = [threading.Thread(target=read) for read in (self._out, self._err)]
        for reader in self.readers:
            reader.start()
        wait_until(lambda: self.lines or self.process.poll() is not None, "the agent")
        assert "ready" in self.lines[0], self.lines

    def _out(self):
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def _err(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def count(self, name):
        return sum(event["event"] == name for event in list(self.events))

    def wait_for(self, name, count=1):
        wait_until(lambda: self.count(name) >= count, f"{count} x {name!r}, there is {self.events} "
                   f"{self.lines}", 10)
        return [event for event in self.events if event["event"] == name][count - 1]

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(10)
        for reader in self.readers:
            reader.join()
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        status = self.end()
        trouble = [line for line in self.lines if "Sanitizer" in line or "runtime error" in line]
        assert not trouble, trouble
        if kind is None:
            assert status == 0, (status, self.lines)
            assert "lethe-goaway" not in Here().run("nft", "list", "tables").stdout


class Forger:
    """Who writes ICMP messages in the server's name, and answers in its name."""

    def __init__(self, net, source, target):
        self.source, self.target, self.net = source, target, net
        self.process = net.server.start(sys.executable, os.path.abspath(messages.__file__), target,
                                        stdin=subprocess.PIPE, text=True)

    def say(self, octets, count=1):
        self.process.stdin.write(f"{self.source} {octets.hex()}\n" * count)
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(30)


def query(name=NAME, ident=4660):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!6H", ident, 0, 1, 0, 0, 1) + labels + b"\0\0\1\0\1" + \
        b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


def client(source, target, port=53):
    sock = socket.socket(socket.AF_INET if "." in source else socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind((source, 0))
    sock.connect((target, port))
    sock.settimeout(0.5)
    return sock


def ask(source, target, port=53, octets=None):
    """'answer', 'silence', or how this host itself refused."""
    with client(source, target, port) as sock:
        try:
            sock.send(octets or query())
            sock.recv(4096)
            return "answer"
        except socket.timeout:
            return "silence"
        except OSError as error:
            return type(error).__name__


def tcp_client(source, target, port=53, seconds=0.5):
    """A connection; or the OSError, as the socket says it."""
    sock = socket.socket(socket.AF_INET if "." in source else socket.AF_INET6)
    sock.settimeout(seconds)
    sock.bind((source, 0))
    try:
        sock.connect((target, port))
    except OSError:
        sock.close()
        raise
    return sock


def ask_connected(sock, octets=None):
    """The same as ask(), over a connection."""
    try:
        octets = octets or query()
        sock.sendall(len(octets).to_bytes(2, "big") + octets)
        return "answer" if sock.recv(4096) else "closed"
    except socket.timeout:
        return "silence"
    except OSError as error:
        return type(error).__name__


def ask_tcp(source, target, port=53, seconds=0.5):
    """Over IPv6 Linux tells who connects only with the SYN's repetition that it was refused."""
    try:
        with tcp_client(source, target, port, seconds) as sock:
            return ask_connected(sock)
    except socket.timeout:
        return "silence"
    except OSError as error:
        return type(error).__name__


def quiet(net):
    """At the server's end nobody listens, and nobody says so."""
    net.server.run("nft", "-f", "-", text="table inet quiet { chain in { type filter hook input "
                   "priority 0; meta l4proto { tcp, udp } th dport 5300 drop; }; }")


REFUSED = ("ConnectionRefusedError", "PermissionError")


def pairs(net):
    return ((net.client_v4, net.v4), (net.client_v6, net.v6))


class Watcher:
    """Counts packets to port 53 as they arrive at the server's device."""

    def __init__(self, net, protocol="udp"):
        self.net = net
        net.server.run("nft", "-f", "-", text="table netdev seen { chain in { type filter hook "
                       "ingress device v0 priority -100; " + protocol + " dport 53 counter; }; }")

    def count(self):
        listing = self.net.server.run("nft", "-j", "list", "table", "netdev", "seen").stdout
        for entry in json.loads(listing)["nftables"]:
            for expression in entry.get("rule", {}).get("expr", []):
                if "counter" in expression:
                    return expression["counter"]["packets"]
        raise AssertionError(listing)


class Bed:
    def __init__(self, directory, lethed, lethe, agent, *has):
        self.has_xdp = "xdp" in has
        self.lethed_program, self.agent_program = lethed, agent
        zone, self.database = os.path.join(directory, "zone"), os.path.join(directory, "db")
        with open(zone, "w", encoding="ascii") as file:
            file.write(ZONE)
        subprocess.run([lethe, "--db", self.database, "zone", "load", "example.", zone], check=True,
                       stdout=subprocess.DEVNULL)

    def lethed(self, net, *options, tcp="kernel"):
        arguments = []
        for address in net.addresses:
            arguments += ["--listen", f"{address}@53", "--tcp", tcp]
            if tcp == "stateless":
                arguments += ["--interface", "v0"]
        return Lethed(self.lethed_program, "--db", self.database, "--workers", "1",
                      "--goaway-limit", str(LIMIT), *arguments, *options, place=net.server)

    def agent(self, *options):
        return Agent(self.agent_program, "--rate", "5", *options)


    def listed(self):
        """What lethe-goaway says is blocked, by whichever process."""
        lines = Here().run(self.agent_program, "--list", "--json").stdout.splitlines()
        words = Here().run(self.agent_program, "--list").stdout.splitlines()
        assert words == ["nothing is blocked"] if not lines else len(words) == len(lines), words
        return [json.loads(line) for line in lines], words


def denied(net, code):
    return ("--goaway-code", code, "--goaway-deny", net.client_v4 + "/32", "--goaway-deny",
            net.client_v6 + "/128")


def blocks():
    """The elements of the agent's sets, by their sets."""
    listing = json.loads(Here().run("nft", "-j", "list", "ruleset").stdout)
    return {entry["set"]["name"]: entry["set"]["elem"] for entry in listing["nftables"]
            if "elem" in entry.get("set", {})}


class Blocks:
    """Reads the Blocks that come to the server."""

    READ = ("import sys; sys.path.insert(0, {directory!r}); import goaway_messages as m\n"
            "sock = m.raw_socket({target!r})\nprint('ready', flush=True)\n"
            "while (got := m.receive(sock, m.BLOCK.values(), 30)) is not None:\n"
            "    print(got.hex(), flush=True)\n")

    def __init__(self, net, target):
        code = self.READ.format(directory=os.path.dirname(os.path.abspath(__file__)), target=target)
        self.process = net.server.start(sys.executable, "-B", "-c", code, stdout=subprocess.PIPE,
                                        text=True)
        assert self.process.stdout.readline() == "ready\n"

    def next(self):
        return bytes.fromhex(self.process.stdout.readline())

    def has_any(self):
        return bool(select.select([self.process.stdout], [], [], 0.2)[0])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
