#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed's raw worker, profile modern, against the Linux client while segments are lost.

usage: raw_modern.py LETHED LETHE

Losses are made by nftables at the client's device, both ways: a packet socket at the server sees
frames before the server's firewall does. Every stream is compared with what the kernel's TCP gets
from the same server on another port, where nothing is lost.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
LETHED, LETHE = (os.path.abspath(path) for path in sys.argv[1:3])
SKIP = 77
DEADLINE_S = 20
SERVER, CLIENT = (f"lethe-m{what}-{os.getpid()}" for what in ("s", "c"))
V4, V6 = "198.18.0.1", "fd00:198:18::1"
SIZES = (100, 600, 1100, 1500, 3000, 9000, 20000, 60000)

# Asks; reads commands, one a line: ADDRESS PORT COUNT THREADS SIZE,SIZE.. ; says what went wrong.
# Each connection asks twice: two sizes, one after the other.
ASKER = r"""
import socket, struct, sys, threading, time

def request(size):
    name = b"".join(bytes([len(l)]) + l for l in (b"t%d" % size, b"example")) + b"\0"
    message = struct.pack(">HHHHHH", size % 65536, 0, 1, 0, 0, 0) + name + struct.pack(">HH", 16, 1)
    return struct.pack(">H", len(message)) + message

def read(s, length):
    octets = b""
    while len(octets) < length:
        piece = s.recv(length - len(octets))
        if not piece:
            raise EOFError(f"end after {len(octets)} of {length} octets")
        octets += piece
    return octets

def ask(s, size):
    s.sendall(request(size))
    return read(s, struct.unpack(">H", read(s, 2))[0])

def connect(address, port):
    s = socket.create_connection((address, port), timeout=90)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s

def one(address, port, sizes, first, failures, times):
    start = time.monotonic()
    try:
        with connect(address, port) as s:
            for size in (sizes[first % len(sizes)], sizes[(first * 3 + 1) % len(sizes)]):
                if ask(s, size) != known[size]:
                    failures.append(f"size {size}: other octets")
    except Exception as error:
        failures.append(f"sizes from {sizes[first % len(sizes)]}: {error!r}")
    times.append(time.monotonic() - start)

def many(address, port, sizes, count, threads):
    failures, times = [], []
    places = threading.Semaphore(threads)
    def run(i):
        with places:
            one(address, port, sizes, i, failures, times)
    all_of_them = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for t in all_of_them: t.start()
    for t in all_of_them: t.join()
    times.sort()
    return f"{count} connections, {len(failures)} failed {failures[:3]}; seconds: " \
           f"median {times[count // 2]:.3f}, longest {times[-1]:.2f}"

known, kept = {}, None
for line in sys.stdin:
    command, *words = line.split()
    try:
        if command == "know":
            with connect(words[0], int(words[1])) as s:
                known = {int(size): ask(s, int(size)) for size in words[2:]}
            answer = "lengths " + " ".join(str(len(o)) for o in known.values())
        elif command == "many":
            answer = many(words[0], int(words[1]), [int(w) for w in words[4:]], int(words[2]),
                          int(words[3]))
        elif command == "connect":
            kept = connect(words[0], int(words[1]))
            answer = "connected"
        elif command == "ask":
            answer = "same" if ask(kept, int(words[0])) == known[int(words[0])] else "other octets"
        elif command == "pipeline":
            kept.sendall(b"".join(request(int(w)) for w in words))
            answer = "same"
            for w in words:
                if read(kept, struct.unpack(">H", read(kept, 2))[0]) != known[int(w)]:
                    answer = "other octets"
        elif command == "pipeline-apart":
            for w in words:
                kept.sendall(request(int(w)))
            answer = "same"
            for w in words:
                if read(kept, struct.unpack(">H", read(kept, 2))[0]) != known[int(w)]:
                    answer = "other octets"
        elif command == "pieces":
            octets = request(int(words[0]))
            for part in (octets[:2], octets[2:]):
                kept.sendall(part)
                time.sleep(0.02)
            answer = "same" if read(kept, struct.unpack(">H", read(kept, 2))[0]) == \
                known[int(words[0])] else "other octets"
        elif command == "half-close":
            kept.sendall(request(int(words[0])))
            kept.shutdown(socket.SHUT_WR)
            octets = read(kept, len(known[int(words[0])]) + 2)[2:]
            answer = "same" if octets == known[int(words[0])] and kept.recv(1) == b"" else "other"
        elif command == "close":
            kept.shutdown(socket.SHUT_WR)
            answer = "end" if kept.recv(1) == b"" else "more"
            kept.close()
    except Exception as error:
        answer = f"failed: {error!r}"
    print(answer, flush=True)
"""


def run(*command, netns=None, check=True, text=None):
    prefix = ["ip", "netns", "exec", netns] if netns else []
    return subprocess.run(prefix + list(command), capture_output=True, text=True, check=check,
                          timeout=60, input=text)


def ip(netns, command):
    run("ip", "-n", netns, *command.split())


def wait_until(condition, what):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {DEADLINE_S} s for {what}")
        time.sleep(0.05)


class Lethed:
    """The daemon, ready: stateless on port 53, the kernel's TCP on port 54."""

    def __init__(self, database, key_file):
        self.log = tempfile.TemporaryFile("w+")
        arguments = []
        for address in (V4, V6):
            arguments += ["--listen", f"{address}@53", "--tcp", "stateless", "--interface", "v0",
                          "--listen", f"{address}@54", "--tcp", "kernel"]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", SERVER, LETHED, "--db", database, "--workers", "1",
             "--tcp-profile", "modern", "--tcp-key-file", key_file, *arguments],
            stdout=self.log, stderr=self.log)

    def __enter__(self):
        sign = f"lethe-{self.process.pid}-"
        wait_until(lambda: sign in run("nft", "list", "ruleset", netns=SERVER).stdout
                   or self.process.poll() is not None, "the guard")
        assert self.process.poll() is None, self.said()
        return self

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def end(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        return self.process.wait(DEADLINE_S)

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.end(signal.SIGKILL)
        self.log.close()


class Asker:
    """A client process."""

    def __enter__(self):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", CLIENT, sys.executable, "-c", ASKER], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        return self

    def say(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def lose(percent):
    """Drop this share of stateless TCP both ways, at the client's device."""
    run("nft", "delete", "table", "netdev", "losses", netns=CLIENT, check=False)
    if percent:
        chain = ("chain {0} {{ type filter hook {0} device v1 priority 0; "
                 "tcp {1} 53 numgen random mod 100 < {2} counter drop; }}")
        run("nft", "-f", "-", netns=CLIENT,
            text="table netdev losses {\n" + chain.format("ingress", "sport", percent) + "\n"
                 + chain.format("egress", "dport", percent) + "\n}\n")


def dropped():
    listing = run("nft", "list", "table", "netdev", "losses", netns=CLIENT).stdout
    return sum(int(line.split("packets ")[1].split()[0]) for line in listing.splitlines()
               if "counter packets" in line)


def learn(asker):
    said = asker.say("know", V4, 54, *SIZES)
    lengths = [int(word) for word in said.split()[1:]]
    assert len(lengths) == len(SIZES) and all(a > b - 50 for a, b in zip(lengths, SIZES)), said


def expect(said, wanted):
    assert said == wanted, said


def test_nothing_lost(lethed, asker):
    del lethed
    said = asker.say("many", V6, 53, 40, 20, *SIZES)
    assert " 0 failed" in said, said
    print("    no loss:", said)


def check_losses(asker, percent, sizes, count):
    lose(percent)
    try:
        # The longest takes long (ten segments for each timer of the client): once is enough.
        for address, these in ((V4, sizes), (V6, sizes[:4])):
            said = asker.say("many", address, 53, count, count, *these)
            print(f"    {percent} %:", said, flush=True)
            assert " 0 failed" in said, said
        assert dropped() > 0
    finally:
        lose(0)


def test_1_percent_lost(lethed, asker):
    del lethed
    check_losses(asker, 1, SIZES, 60)


def test_5_percent_lost(lethed, asker):
    del lethed
    check_losses(asker, 5, SIZES[:-1], 60)


def test_20_percent_lost(lethed, asker):
    del lethed
    check_losses(asker, 20, SIZES[:5], 40)


def test_requests_as_they_come(lethed, asker):
    del lethed
    expect(asker.say("connect", V4, 53), "connected")
    for size in (100, 3000, 600, 100):
        expect(asker.say("ask", size), "same")
    expect(asker.say("pipeline", 100, 600, 1500, 100), "same")
    expect(asker.say("pipeline-apart", 100, 600, 3000, 100), "same")
    expect(asker.say("pieces", 600), "same")
    expect(asker.say("pieces", 3000), "same")
    expect(asker.say("ask", 1500), "same")
    expect(asker.say("close"), "end")
    for size in (100, 9000):
        expect(asker.say("connect", V6, 53), "connected")
        expect(asker.say("half-close", size), "same")


def test_long_lived_connection_ends_in_order(lethed, asker):
    """Our stream has an end, and it is a FIN behind a whole response."""
    del lethed
    expect(asker.say("connect", V4, 53), "connected")
    said = [asker.say("ask", 9000) for _ in range(60)]
    same = said.count("same")
    assert 10 < same < 60 and said[:same] == ["same"] * same, said
    assert "end after 0 of 2 octets" in said[same] or "Error" in said[same], said[same]


def test_without_timestamps(lethed, asker):
    del lethed
    run("sysctl", "-w", "net.ipv4.tcp_timestamps=0", netns=CLIENT)
    try:
        lose(5)
        for size in (100, 3000) * 6:
            expect(asker.say("connect", V4, 53), "connected")
            expect(asker.say("ask", size), "same")
            expect(asker.say("close"), "end")
    finally:
        lose(0)
        run("sysctl", "-w", "net.ipv4.tcp_timestamps=1", netns=CLIENT)


def test_connection_outlives_the_server(lethed, asker, again):
    expect(asker.say("connect", V4, 53), "connected")
    expect(asker.say("ask", 600), "same")
    for _ in range(3):
        time.sleep(0.3)  # idle
        lethed.end(signal.SIGKILL)
        run("ip", "netns", "exec", SERVER, "true")
        lethed = again()
        expect(asker.say("ask", 3000), "same")
    expect(asker.say("close"), "end")


def set_up():
    for netns in (SERVER, CLIENT):
        run("ip", "netns", "add", netns)
        ip(netns, "link set lo up")
    run("ip", "link", "add", "v0", "netns", SERVER, "type", "veth", "peer", "name", "v1", "netns",
        CLIENT)
    ip(SERVER, f"addr add {V4}/24 dev v0")
    ip(SERVER, f"addr add {V6}/64 dev v0 nodad")
    ip(CLIENT, "addr add 198.18.0.2/24 dev v1")
    ip(CLIENT, "addr add fd00:198:18::2/64 dev v1 nodad")
    ip(SERVER, "link set v0 up")
    ip(CLIENT, "link set v1 up")


def make_database(directory):
    database = os.path.join(directory, "db")
    example = os.path.join(directory, "example.zone")
    with open(example, "w", encoding="ascii") as file:
        file.write("$ORIGIN example.\n$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n")
        for size in SIZES:
            for i in range(size // 250):
                file.write(f't{size} TXT "{i:03d}{"x" * 250}"\n')
            if size < 250:
                file.write(f't{size} TXT "{"y" * size}"\n')
    run(LETHE, "--db", database, "zone", "load", "example", example)
    return database


def run_tests(directory):
    database = make_database(directory)
    key_file = os.path.join(directory, "key")
    with open(key_file, "w", encoding="ascii") as file:
        file.write("5a" * 32 + "\n")
    # Inside a response only what was committed long ago is gone on with.
    old = time.time() - 3600
    os.utime(os.path.join(database, "data.mdb"), (old, old))
    failed = 0
    for title, test in [item for item in globals().items() if item[0].startswith("test_")]:
        daemons = []

        def start(daemons=daemons):
            daemons.append(Lethed(database, key_file).__enter__())
            return daemons[-1]

        try:
            with Asker() as asker:
                lethed = start()
                learn(asker)
                if test is test_connection_outlives_the_server:
                    test(lethed, asker, start)
                else:
                    test(lethed, asker)
            print("ok  ", title, flush=True)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print("FAIL", title)
            traceback.print_exc(file=sys.stdout)
        finally:
            for daemon in daemons:
                daemon.__exit__()
    return failed


def main():
    missing = [tool for tool in ("ip", "nft", "sysctl") if not shutil.which(tool)]
    if os.geteuid() != 0 or missing:
        print("SKIP: needs root, for network namespaces", *missing)
        return SKIP
    failed = 1
    with tempfile.TemporaryDirectory() as directory:
        try:
            set_up()
            failed = run_tests(directory)
        finally:
            for netns in (SERVER, CLIENT):
                run("ip", "netns", "del", netns, check=False)
    return 1 if failed else 0


sys.exit(main())
