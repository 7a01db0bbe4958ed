#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed with an image of the zones: its answers are those of the database, whatever happens to that.

usage: daemon_image.py LETHED DAEMON_DB CLOCK_SHIFT LETHE [OPTION...]

With options that name an `--io` the image is asked in the driver, over UDP and TCP, by a client behind a
veth pair; without, in user space.
"""
import os
import random
import re
import signal
import struct
import subprocess
import sys
import time

from daemon_lib import MORE, Daemon, Scratch, name_wire, need_own_network, run, wait_until
from netns import Here, Network, skip_unless

LETHE = os.path.abspath(MORE.pop(0))
PORT, PLAIN_PORT = 5300, 5301
V4, V6 = "198.18.1.1", "fd00:198:18:1::1"
HAS_DRIVER = "--io" in MORE
# What is committed is seen by whoever asks so long afterwards: 12 ms, and a tick of the kernel's.
LEASE_NS = 22_000_000

# Asks what comes as lines "udp|tcp HEX", prints the answers.
CLIENT = """
import socket, struct, sys
address, port = sys.argv[1], int(sys.argv[2])
family = socket.AF_INET6 if ':' in address else socket.AF_INET
def exactly(s, count):
    octets = b''
    while len(octets) < count:
        more = s.recv(count - len(octets))
        if not more:
            raise OSError('closed')
        octets += more
    return octets
def udp(s, message):
    s.settimeout(2)
    for _ in range(3):
        s.send(message)
        try:
            while True:
                answer = s.recv(65535)
                if answer[:2] == message[:2]:
                    return answer
        except TimeoutError:
            pass
    return b''
def tcp(message):
    with socket.create_connection((address, port), timeout=10) as s:
        s.sendall(struct.pack('>H', len(message)) + message)
        return exactly(s, struct.unpack('>H', exactly(s, 2))[0])
datagrams = socket.socket(family, socket.SOCK_DGRAM)
datagrams.connect((address, port))
for line in sys.stdin:
    how, message = line.split()
    message = bytes.fromhex(message)
    print((udp(datagrams, message) if how == 'udp' else tcp(message)).hex())
"""

# Asks the same over and over until its input ends; prints when each request was sent and the answer's last
# four octets.
WATCHER = """
import select, socket, sys, time
address, port, message = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
s = socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((address, port))
s.settimeout(2)
seen = []
print('begun', flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    sent = time.monotonic_ns()
    s.send(message)
    try:
        seen.append((sent, s.recv(65535)[-4:].hex()))
    except TimeoutError:
        seen.append((sent, 'nothing'))
for sent, answer in seen:
    print(sent, answer)
"""


class Link(Network):
    """The server here, the client behind a veth pair that delivers what drivers send."""

    def __init__(self):
        super().__init__(number=1, server=Here())

    def __enter__(self):
        super().__enter__()
        if HAS_DRIVER:
            self.client.run("ethtool", "-K", "v1", "gro", "on")
        return self

    def answers(self, address, port, requests):
        """To requests, each a transport and a message."""
        text = "".join(f"{how} {message.hex()}\n" for how, message in requests)
        done = self.client.run(sys.executable, "-c", CLIENT, address, str(port), text=text,
                               timeout=120)
        return done.stdout.split("\n")[:-1]

    def watch(self, message):
        watcher = self.client.start(sys.executable, "-c", WATCHER, V4, str(PORT), message.hex(),
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert watcher.stdout.readline() == "begun\n"
        return watcher


def zone_text(serial, count=400, changed="192.0.2.1"):
    """Delegations of all kinds, and what else may be beside them."""
    lines = ["$ORIGIN tld.", "$TTL 3600", f"@ SOA ns hostmaster {serial} 1800 900 604800 300",
             "@ NS ns", "ns A 192.0.2.53", "www A 192.0.2.80", "deep.er.name A 192.0.2.81",
             f"changed NS ns.changed", f"ns.changed A {changed}"]
    for i in range(count):
        name = f"d{i}" if i % 5 else f"a-longer-name-of-a-delegation-{i}"
        if i % 8 == 5:  # more than a frame has room for
            lines += [f"{name} NS g{j}.servers" for j in range(13)]
        elif i % 4 == 0:
            lines += [f"{name} NS ns1.{name}", f"{name} NS ns2.{name}", f"ns1.{name} A 192.0.2.7",
                      f"ns2.{name} AAAA 2001:db8::{i:x}"]
        elif i % 4 == 1:
            lines += [f"{name} NS ns.h{i % 7}", f"{name} NS ns.elsewhere.example."]
        elif i % 4 == 2:
            lines += [f"{name} NS ns{j}.far.example." for j in range(1 + i % 5)]
        else:
            lines += [f"{name} NS ns.{name}", f"ns.{name} A 192.0.2.9",
                      f"{name} DS {i} 13 2 {'ab' * 32}"]
    lines += [f"ns.h{i} A 192.0.2.{i}" for i in range(7)]
    for i in range(13):
        lines += [f"g{i}.servers A 192.0.2.{i}", f"g{i}.servers AAAA 2001:db8::{i}"]
    for i in range(40):
        lines += [f'long{i} TXT "{j} {"x" * 116}"' for j in range(i)]
    return "\n".join(lines) + "\n"


def question(name, qtype=1, ident=1, flags=0, qclass=1, edns=None, options=b""):
    message = struct.pack(">6H", ident, flags, 1, 0, 0, edns is not None)
    message += name_wire(name) + struct.pack(">2H", qtype, qclass)
    if edns is not None:
        size, has_do = edns
        message += b"\0" + struct.pack(">2HIH", 41, size, 0x8000 * has_do, len(options)) + options
    return message


def questions(count, seed, transports=("udp", "tcp")):
    """Much like what clients ask, with the unusual among it."""
    chance = random.Random(seed)
    for ident in range(count):
        i = chance.randrange(500)
        cut = f"d{i}" if i % 5 else f"a-longer-name-of-a-delegation-{i}"
        suffix = chance.choice((cut, cut, cut, f"no{i}", f"no{i}", "www", "ns", "name", "deep", "changed",
                                "h3", "-", ""))
        name = ".".join(filter(None, (chance.choice(("", "", "www", "ns1", "ns", "a.b.c", "x" * 60)),
                                      suffix, "tld")))
        if chance.random() < 0.1:
            name = "".join(chance.choice((c.upper(), c)) for c in name)
        edns = chance.choice((None, (1232, 0), (1232, 0), (1232, 1), (512, 0), (4096, 1), (0, 0)))
        rare = chance.random() < 0.1
        yield chance.choice(transports), question(
            name, chance.choice((1, 1, 1, 28, 2, 43, 15, 16, 255, 6, 65)), ident & 0xffff,
            chance.choice((0, 0x100, 0x110, 0x30, 0x7800 if rare else 0)),
            chance.choice((1, 3, 255)) if rare else 1, edns,
            b"\0\x0a\0\x08" + bytes(8) if rare and edns else b"")


class Zones(Scratch):
    """A database with that zone, beside the one that tests of the daemon have."""

    def __enter__(self):
        super().__enter__()
        self.load_tld(zone_text(1))
        subprocess.run(["chmod", "-R", "a+rwX", self.db], check=True)
        return self

    def load_tld(self, text):
        self.lethe("load", "tld.", self.file("tld.zone", text))

    def lethe(self, *command):
        subprocess.run([LETHE, "--db", self.db, "zone", *command], check=True, capture_output=True)


def served(scratch, *more):
    """Options of the lethed that is looked at; cookies would be no other's."""
    how = ["--tcp", "stateless", "--interface", "v0", "--udp", "fast", "--driver", "zones", "--user",
           "nobody"] if HAS_DRIVER else []
    return ["--db", scratch.db, "--listen", f"{V4}@{PORT}", "--listen", f"{V6}@{PORT}", *how,
            "--cookie", "off", "--image", "64M", *more]


class Plain(Daemon):
    """One without an image, beside it."""

    def __init__(self, scratch):
        more, MORE[:] = MORE[:], []
        try:
            super().__init__("--db", scratch.db, "--listen", f"{V4}@{PLAIN_PORT}", "--listen",
                             f"{V6}@{PLAIN_PORT}", "--tcp", "kernel", "--cookie", "off", "--image", "0")
        finally:
            MORE[:] = more


def ready(daemon, times=1):
    """Until an image was made so often."""
    wait_until(lambda: sum("image ready" in line for line in list(daemon.lines)) >= times,
               "an image")
    assert not HAS_DRIVER or daemon.said("image ready in the driver"), daemon.lines
    time.sleep(0.05)  # the first lease


def answered_in_driver(daemon, what=r"(\d+) requests were answered in the driver"):
    said = [re.search(what, line) for line in daemon.lines]
    return max([int(found[1]) for found in said if found], default=0)


def must_agree(link, address, requests):
    requests = list(requests)
    ours, others = (link.answers(address, port, requests) for port in (PORT, PLAIN_PORT))
    assert len(ours) == len(others) == len(requests)
    for (how, message), our, other in zip(requests, ours, others):
        assert our == other, (how, message.hex(), our, other)


def test_same_answers():
    with Zones() as scratch, Link() as link, Plain(scratch):
        daemon = Daemon(*served(scratch))
        with daemon:
            ready(daemon)
            for seed, address in enumerate((V4, V6)):
                must_agree(link, address, questions(3000, seed))
        print(f"    {answered_in_driver(daemon)} of 6000 requests were answered in the driver")
        assert answered_in_driver(daemon) >= 1500 * HAS_DRIVER
        copied = answered_in_driver(daemon, r"\((\d+) in copies of their frames\)")
        print(f"    {copied} of them in copies of their frames")
        assert copied >= 50 * HAS_DRIVER


def test_long_answers():
    """Over TCP, in one segment or several."""
    requests = [("tcp", question(f"long{i}.tld", 16, i, 0x100 * (i % 2), edns=(None, (1232, 0), (4096, 1))[i % 3]))
                for i in range(40)] + list(questions(200, 3, ("tcp",)))
    with Zones() as scratch, Link() as link, Plain(scratch):
        for segment in ("512", "1220"):
            how = ["--tcp-segment", segment] if HAS_DRIVER else []
            daemon = Daemon(*served(scratch, *how))
            with daemon:
                ready(daemon)
                for address in (V4, V6):
                    must_agree(link, address, requests)
            copied = answered_in_driver(daemon, r"\((\d+) in copies of their frames\)")
            print(f"    {copied} of 480 requests were answered in copies of their frames")
            assert copied >= 20 * HAS_DRIVER


def test_changes():
    """While somebody asks: a lease after a commit nobody is answered from before it any more."""
    with Zones() as scratch, Link() as link, Daemon(*served(scratch)) as daemon:
        ready(daemon)
        watcher = link.watch(question("www.changed.tld"))
        commits = []
        for i in range(1, 41):
            scratch.lethe("change", "tld.", scratch.file(
                "changes", f"- ns.changed 3600 A 192.0.2.{i}\n+ ns.changed 3600 A 192.0.2.{i + 1}\n"))
            commits.append((time.monotonic_ns(), i + 1))
            time.sleep(0.02)
        seen = watcher.communicate("")[0].split("\n")[:-1]
        asked = newest = 0
        for line in seen:
            sent, answer = line.split()
            state = int(answer[6:], 16)
            assert answer.startswith("c00002"), line
            while asked < len(commits) and commits[asked][0] + LEASE_NS <= int(sent):
                newest = commits[asked][1]
                asked += 1
            assert state >= newest, (line, newest)
        assert newest == 41 or state == 41
        print(f"    {len(seen)} answers while 40 changes were made")
        assert not daemon.said("error"), daemon.lines


def test_loads_and_removals():
    with Zones() as scratch, Link() as link, Plain(scratch), Daemon(*served(scratch)) as daemon:
        ready(daemon)
        for times, (serial, count) in enumerate(((2, 450), (3, 100), (4, 2000)), start=2):
            scratch.load_tld(zone_text(serial, count))
            must_agree(link, V4, questions(300, serial))
            ready(daemon, times)
            must_agree(link, V4, questions(500, serial + 100))
        scratch.lethe("remove", "tld.")
        time.sleep(LEASE_NS / 1e9)
        must_agree(link, V4, questions(300, 5))
        ready(daemon, 5)
        must_agree(link, V6, questions(300, 6))


def test_kill_and_restart():
    with Zones() as scratch, Link() as link, Plain(scratch):
        for how in (signal.SIGKILL, signal.SIGTERM):
            daemon = Daemon(*served(scratch))
            must_agree(link, V4, questions(20, 7))
            ready(daemon)
            must_agree(link, V4, questions(200, 8))
            daemon.end(how)
            wait_until(lambda: not Here().guards(), "the guard to go")
            shown = Here().run("ip", "-details", "link", "show", "v0").stdout
            assert "prog/xdp" not in shown, shown
            wait_until(lambda: subprocess.run(["pgrep", "-P", "1", "-r", "S,R,D", "lethed-image"],
                                              capture_output=True, check=False).stdout == b"",
                       "the process that loads programs to end")


def capabilities(path):
    with open(path + "/status", encoding="ascii") as file:
        mask = int(next(line.split()[1] for line in file if line.startswith("CapEff")), 16)
    return {bit for bit in range(64) if mask >> bit & 1}


def prompt_threads(process):
    """How many go before all others."""
    return [os.sched_getscheduler(int(thread)) for thread in os.listdir(f"{process}/task")].count(
        os.SCHED_FIFO)


def may_be_prompt():
    return HAS_DRIVER and subprocess.run(["chrt", "-f", "1", "true"], capture_output=True,
                                         check=False).returncode == 0


def test_privileges():
    """What only the start takes is gone: CAP_BPF and CAP_PERFMON but in the process that loads the
    program."""
    if not HAS_DRIVER:
        return
    net_admin, net_raw, ipc_lock, nice, perfmon, bpf = 12, 13, 14, 23, 38, 39
    with Zones() as scratch, Link(), Daemon(*served(scratch)) as daemon:
        ready(daemon)
        process = f"/proc/{daemon.process.pid}"
        threads = [f"{process}/task/{thread}" for thread in os.listdir(f"{process}/task")]
        assert capabilities(process) - {ipc_lock, nice} == {net_admin, net_raw}
        assert all(capabilities(thread) <= {net_admin, net_raw, ipc_lock, nice} for thread in threads)
        loader = subprocess.run(["pgrep", "-P", str(daemon.process.pid), "lethed-image"],
                                capture_output=True, text=True, check=True).stdout.split()
        assert len(loader) == 1
        assert capabilities(f"/proc/{loader[0]}") == {net_admin, perfmon, bpf}
        assert prompt_threads(process) == may_be_prompt()


def test_reload():
    """Image, limit and driver come and go."""
    with Zones() as scratch, Link() as link, Plain(scratch):
        def configure(text):
            how = "\n    tcp: stateless\n    interface: v0" if HAS_DRIVER else ""
            fast = "udp: fast\n" if HAS_DRIVER else ""
            return scratch.file("lethed.yaml", f"database: {scratch.db}\n{fast}{text}"
                                "cookie: {enabled: off}\nlisten:\n"
                                f"  - address: {V4}@{PORT}{how}\n")

        zones = "driver: zones\n" if HAS_DRIVER else ""
        daemon = Daemon("--config", configure("image: 64M\n" + zones))
        with daemon:
            made = 1
            ready(daemon, made)
            process = f"/proc/{daemon.process.pid}"
            assert prompt_threads(process) == may_be_prompt()
            for text, is_made in (("image: 64M\nudp-payload: 600\n" + zones, True),
                                  ("image: 64M\n", HAS_DRIVER), ("image: 0\n", False),
                                  ("image: 32M\n" + zones, True),
                                  ("image: 32M\nany: full\n" + zones, False)):
                configure(text)
                daemon.signal(signal.SIGHUP)
                wait_until(lambda: daemon.said("reloaded: "), "the reload")
                made += is_made
                wait_until(lambda: sum("image ready" in line for line in list(daemon.lines)) >= made,
                           "an image")
                daemon.lines[:] = [line for line in daemon.lines if "reloaded: " not in line]
                if "600" not in text and "any" not in text:
                    must_agree(link, V4, questions(300, made))
                else:
                    assert "" not in link.answers(V4, PORT, questions(300, made))
            assert prompt_threads(process) == may_be_prompt()
        assert not HAS_DRIVER or answered_in_driver(daemon) > 0


def test_too_little_memory():
    """Zones that do not fit are answered all the same."""
    with Zones() as scratch, Link() as link, Plain(scratch), \
            Daemon(*served(scratch, "--image", "1M")) as daemon:
        scratch.load_tld(zone_text(2, 20000))
        wait_until(lambda: daemon.said("more only in the database") or daemon.said("no image"),
                   "a word of it")
        must_agree(link, V4, questions(300, 9))


need_own_network()
skip_unless("ethtool")
run(globals())
