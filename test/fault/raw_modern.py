#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed's raw worker, profile modern, against the Linux client while segments are lost.

usage: raw_modern.py LETHED LETHE

Losses are made by nftables at the client's device, both ways: a packet socket at the server sees
frames before the server's firewall does. Every stream is compared with what the kernel's TCP gets
from the same server on another port, where nothing is lost.
"""
import os
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
sys.dont_write_bytecode = True
import framing  # noqa: E402
from netns import Lethed, Network, run_tests, skip_unless, wait_until  # noqa: E402

LETHED, LETHE = (os.path.abspath(path) for path in sys.argv[1:3])
V4, V6 = "198.18.0.1", "fd00:198:18::1"
SIZES = (100, 600, 1100, 1500, 3000, 9000, 20000, 60000)

# Asks; reads commands, one a line: ADDRESS PORT COUNT THREADS SIZE,SIZE.. ; says what went wrong.
# Each connection asks twice: two sizes, one after the other.
ASKER = framing.SOURCE + r"""
import socket, sys, threading, time

def request(size):
    name = b"".join(bytes([len(l)]) + l for l in (b"t%d" % size, b"example")) + b"\0"
    message = struct.pack(">HHHHHH", size % 65536, 0, 1, 0, 0, 0) + name + struct.pack(">HH", 16, 1)
    return struct.pack(">H", len(message)) + message

def ask(s, size):
    s.sendall(request(size))
    return read_message(s)

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
                if read_message(kept) != known[int(w)]:
                    answer = "other octets"
        elif command == "pipeline-apart":
            for w in words:
                kept.sendall(request(int(w)))
            answer = "same"
            for w in words:
                if read_message(kept) != known[int(w)]:
                    answer = "other octets"
        elif command == "pieces":
            octets = request(int(words[0]))
            for part in (octets[:2], octets[2:]):
                kept.sendall(part)
                time.sleep(0.02)
            answer = "same" if read_message(kept) == known[int(words[0])] else "other octets"
        elif command == "half-close":
            kept.sendall(request(int(words[0])))
            kept.shutdown(socket.SHUT_WR)
            octets = read_exactly(kept, len(known[int(words[0])]) + 2)[2:]
            answer = "same" if octets == known[int(words[0])] and kept.recv(1) == b"" else "other"
        elif command == "close":
            kept.shutdown(socket.SHUT_WR)
            answer = "end" if kept.recv(1) == b"" else "more"
            kept.close()
    except Exception as error:
        answer = f"failed: {error!r}"
    print(answer, flush=True)
"""


class Asker:
    """A client process, and the server that it asks."""

    def __init__(self, net, database):
        self.net, self.database, self.lethed = net, database, None

    def __enter__(self):
        self.process = self.net.client.start(sys.executable, "-c", ASKER, stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, text=True)
        return self

    def serve(self):
        """Stateless on port 53, the kernel's TCP on port 54."""
        arguments = []
        for address in (V4, V6):
            arguments += ["--listen", f"{address}@53", "--tcp", "stateless", "--interface", "v0",
                          "--listen", f"{address}@54", "--tcp", "kernel"]
        self.lethed = Lethed(LETHED, "--db", self.database, "--workers", "1", "--tcp-profile",
                             "modern", "--tcp-key-file", self.database + ".key", *arguments,
                             place=self.net.server)
        return self.lethed

    def say(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def learn(asker):
    said = asker.say("know", V4, 54, *SIZES)
    lengths = [int(word) for word in said.split()[1:]]
    assert len(lengths) == len(SIZES) and all(a > b - 50 for a, b in zip(lengths, SIZES)), said


def expect(said, wanted):
    assert said == wanted, said


def test_nothing_lost(asker):
    said = asker.say("many", V6, 53, 40, 20, *SIZES)
    assert " 0 failed" in said, said
    print("    no loss:", said)


def check_losses(asker, percent, sizes, count):
    asker.net.lose(percent)
    try:
        for address, these in ((V4, sizes), (V6, sizes)):
            said = asker.say("many", address, 53, count, count, *these)
            print(f"    {percent} %:", said, flush=True)
            assert " 0 failed" in said, said
        assert asker.net.lost() > 0
    finally:
        asker.net.lose(0)


def test_1_percent_lost(asker):
    check_losses(asker, 1, SIZES, 60)


def test_5_percent_lost(asker):
    check_losses(asker, 5, SIZES, 60)


def test_20_percent_lost(asker):
    check_losses(asker, 20, SIZES, 40)


def test_requests_as_they_come(asker):
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


def test_long_lived_connection_goes_on(asker):
    """Beyond what the cookie alone proves inside a train, with losses: 4 MiB."""
    expect(asker.say("connect", V4, 53), "connected")
    asker.net.lose(1)
    try:
        said = [asker.say("ask", 60000) for _ in range(80)]
    finally:
        asker.net.lose(0)
    assert said == ["same"] * 80, said
    expect(asker.say("close"), "end")


def test_without_timestamps(asker):
    asker.net.client.sysctl(net__ipv4__tcp_timestamps=0)
    try:
        asker.net.lose(5)
        for size in (100, 3000) * 6:
            expect(asker.say("connect", V4, 53), "connected")
            expect(asker.say("ask", size), "same")
            expect(asker.say("close"), "end")
    finally:
        asker.net.lose(0)
        asker.net.client.sysctl(net__ipv4__tcp_timestamps=1)


def test_connection_outlives_the_server(asker):
    expect(asker.say("connect", V4, 53), "connected")
    expect(asker.say("ask", 600), "same")
    for _ in range(3):
        time.sleep(0.3)  # idle
        asker.lethed.end(signal.SIGKILL)
        assert asker.net.server.guards()  # it lingers, so that nobody is reset
        time.sleep(0.1)
        with asker.serve():
            expect(asker.say("ask", 3000), "same")
            asker.lethed.end(signal.SIGKILL)
    with asker.serve():
        expect(asker.say("close"), "end")
    wait_until(lambda: not asker.net.server.guards(), "the guards to go")


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
    subprocess.run([LETHE, "--db", database, "zone", "load", "example", example], check=True)
    # Inside a response only what was committed long ago is gone on with.
    old = time.time() - 3600
    os.utime(os.path.join(database, "data.mdb"), (old, old))
    with open(database + ".key", "w", encoding="ascii") as file:
        file.write("5a" * 32 + "\n")
    return database


def beside_a_server(test):
    """Each test has a server and a client of its own."""
    def run(net, database):
        with Asker(net, database) as asker, asker.serve():
            learn(asker)
            test(asker)
    return run


def main():
    skip_unless("sysctl")
    tests = {n: beside_a_server(f) for n, f in globals().items() if n.startswith("test_")}
    with tempfile.TemporaryDirectory() as directory, Network() as net:
        run_tests(tests, net, make_database(directory))


main()
