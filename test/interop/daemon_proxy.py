#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed as a proxy, in front of NSD, of Unbound and of back ends that misbehave.
usage: daemon_proxy.py LETHED DAEMON_DB classic|modern [TEST..]

dig asks over TCP from a namespace behind a veth pair; the back end listens on loopback beside
lethed.
"""
import hashlib
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import peers
from daemon_lib import (A, QR, SKIP, TC, TXT, Daemon, Header, need_own_network, query, refusal, run,
                        udp)
import framing
from netns import Here, Network, wait_until

PORT, BACK_PORT = 5300, 5353
V4, V6 = "198.18.1.1", "fd00:198:18:1::1"
OPT = 41
PROFILE = sys.argv[3]


class Pair(Network):
    """A client behind a veth pair."""

    def __init__(self):
        super().__init__(number=1, server=Here())

    def start(self, name, *options, address=V4):
        return self.client.start("dig", "+tcp", "+tries=1", "+time=15", f"@{address}", "-p",
                                 str(PORT), name, *options, stdout=subprocess.PIPE, text=True)

    def dig(self, name, *options, address=V4):
        client = self.start(name, *options, address=address)
        return client.communicate(timeout=40)[0]


def proxy(*more, to=f"127.0.0.1@{BACK_PORT}"):
    return Daemon("--proxy", to, "--listen", f"{V4}@{PORT}", "--listen", f"{V6}@{PORT}", "--tcp",
                  "stateless", "--tcp-profile", PROFILE, *more)


def must(output, *words, no=()):
    for word in words:
        assert word in output, f"no {word!r} in {output}"
    for word in no:
        assert word not in output, f"{word!r} in {output}"


class BackEnd:
    """A back end that says what the test wants."""

    def __enter__(self):
        self.socket = self.open(BACK_PORT)
        return self

    def __exit__(self, *_):
        self.socket.close()

    @staticmethod
    def open(port):
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        s.bind(("127.0.0.1", port))
        s.settimeout(10)
        return s

    def take(self):
        """A question and who asked."""
        return self.socket.recvfrom(65535)

    def is_quiet(self, seconds=0.3):
        self.socket.settimeout(seconds)
        try:
            self.socket.recvfrom(65535)
            return False
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(10)

    def say(self, octets, who):
        self.socket.sendto(octets, who)


def question_end(message):
    at = 12
    while message[at]:
        at += 1 + message[at]
    return at + 5


def answer(question, flags=0, address="192.0.2.77"):
    """An A record, and an OPT behind it."""
    end = question_end(question)
    return (question[:2] + struct.pack(">5H", QR | 0x0180 | flags, 1, 1, 0, 1) + question[12:end] +
            struct.pack(">HHHIH", 0xc00c, A, 1, 60, 4) + socket.inet_aton(address) +
            b"\0" + struct.pack(">HHIH", OPT, 1232, 0, 0))


def opt_of(question):
    """Payload size and options."""
    end = question_end(question)
    assert Header(question).additional == 1 and question[end:end + 3] == b"\0\0\x29", question
    return struct.unpack(">H", question[end + 3:end + 5])[0], question[end + 11:]


def test_nsd():
    with tempfile.TemporaryDirectory(prefix="lethe-proxy-") as tmp, Pair() as pair:
        zone = os.path.join(tmp, "zone")
        with open(zone, "w", encoding="ascii") as file:
            file.write("$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.80\n")
            for name, count in (("big", 17), ("huge", 60)):
                for i in range(count):
                    file.write(f'{name} TXT "{i:03d}{"x" * 200}"\n')
        with peers.Nsd(tmp, {"example.": zone}, port=BACK_PORT), proxy() as daemon:
            assert daemon.said(f"proxy for 127.0.0.1@{BACK_PORT}, listening on {V4}@{PORT} "
                               "(stateless TCP on v0)"), daemon.lines
            for address in (V4, V6):
                for options in ((), ("+noedns",), ("+dnssec", "+nsid"), ("+cookie", "+keepalive")):
                    output = pair.dig("www.example", *options, address=address)
                    must(output, "NOERROR", "192.0.2.80", "flags: qr aa", no=("WARNING: Mess",))
                    assert ("OPT PSEUDOSECTION" in output) == (options != ("+noedns",)), output
                must(pair.dig("nothing.example", address=address), "NXDOMAIN", "SOA")
                output = pair.dig("big.example", "TXT", address=address)
                assert output.count('"0') == 17, output
                # what NSD does not send over UDP
                output = pair.dig("huge.example", "TXT", address=address)
                must(output, "SERVFAIL", "EDE: 0", "truncated", no=("ANSWER SECTION",))
                must(pair.dig("huge.example", "TXT", "+noedns", address=address), "SERVFAIL",
                     no=("EDE", "OPT"))
                must(pair.dig("example", "IXFR=1", "+noall", "+comments", address=address),
                     "NOTIMP")


def test_unbound():
    with tempfile.TemporaryDirectory(prefix="lethe-proxy-") as tmp, Pair() as pair:
        data = ['local-zone: "home.test." static', "max-udp-size: 65507",
                'local-data: "www.home.test. 60 IN A 192.0.2.81"']
        data += [f"local-data: 'big.home.test. 60 IN TXT \"{i:03d}{'x' * 200}\"'"
                 for i in range(200)]
        with peers.Unbound(tmp, {}, [], data, port=BACK_PORT), proxy():
            for address in (V4, V6):
                for options in ((), ("+noedns",), ("+dnssec",), ("+cookie",)):
                    must(pair.dig("www.home.test", *options, address=address), "NOERROR",
                         "192.0.2.81", " ra")
                must(pair.dig("nothing.home.test", address=address), "NXDOMAIN")
                for options in ((), ("+noedns",)):
                    output = pair.dig("big.home.test", "TXT", *options, address=address)
                    assert output.count('"') == 400 and "ANSWER: 200" in output, output[:2000]


def test_back_end_on_ipv6():
    with Pair() as pair, socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.bind(("::1", BACK_PORT))
        s.settimeout(10)
        with proxy(to=f"::1@{BACK_PORT}"):
            client = pair.start("www.example")
            question, who = s.recvfrom(65535)
            s.sendto(answer(question), who)
            must(client.communicate(timeout=30)[0], "NOERROR", "192.0.2.77")


def test_what_is_asked():
    with Pair() as pair, BackEnd() as back, proxy():
        asked = set()
        for i in range(20):
            client = pair.start("www.example", "+qid=7", "+nocookie",
                                "+noedns" if i % 2 else "+nsid")
            question, who = back.take()
            payload, options = opt_of(question)
            assert payload == 65535, question
            assert options == (b"" if i % 2 else b"\0\3\0\0"), options
            asked.add((question[:2], who[1]))
            back.say(answer(question), who)
            output = client.communicate(timeout=30)[0]
            must(output, "NOERROR", "192.0.2.77", "id: 7")
            assert ("OPT PSEUDOSECTION" in output) == (i % 2 == 0), output
        # nobody could have guessed them
        assert len({ident for ident, _ in asked}) > 15 and len({port for _, port in asked}) > 4, asked


def test_others_are_ignored():
    with Pair() as pair, BackEnd() as back, proxy():
        ports = set()
        while len(ports) < 2:
            client = pair.start("www.example")
            question, who = back.take()
            ports.add(who)
            back.say(answer(question), who)
            client.communicate(timeout=30)
        client = pair.start("www.example")
        question, who = back.take()
        wrong = answer(question, address="192.0.2.66")
        back.say(bytes([wrong[0], wrong[1] ^ 1]) + wrong[2:], who)              # ID
        back.say(wrong[:13] + b"x" + wrong[14:], who)                           # name
        end = question_end(question)
        back.say(wrong[:end - 4] + b"\0\x1c" + wrong[end - 2:], who)            # type
        back.say(wrong[:2] + bytes([wrong[2] & 0x7f]) + wrong[3:], who)         # a query
        back.say(wrong[:4] + b"\0\0" + wrong[6:], who)                          # no question
        back.say(wrong[:11], who)
        back.say(b"", who)
        back.say(wrong, next(port for port in ports if port != who))            # port of ours
        with BackEnd.open(BACK_PORT + 1) as stranger:
            stranger.sendto(wrong, who)                                         # port of its
        back.say(answer(question), who)
        back.say(wrong, who)                                                    # late
        must(client.communicate(timeout=30)[0], "NOERROR", "192.0.2.77", no=("192.0.2.66",))


def test_bad_responses():
    with Pair() as pair, BackEnd() as back, proxy():
        for what, spoil in (("truncated", lambda q: answer(q, TC)),
                            ("malformed", lambda q: answer(q)[:-1]),
                            ("malformed", lambda q: answer(q) + b"x")):
            for options in ((), ("+noedns",)):
                client = pair.start("www.example", *options)
                question, who = back.take()
                back.say(spoil(question), who)
                output = client.communicate(timeout=30)[0]
                must(output, "SERVFAIL", "QUERY: 1", no=("192.0.2.77",))
                assert (f"response is {what}" in output) == (options == ()), output


def test_no_response():
    """The client's kernel sends the request again; the back end is reminded twice, no more."""
    with Pair() as pair, BackEnd() as back, proxy() as daemon:
        client = pair.start("www.example")
        asked = {back.take() for _ in range(3)}
        assert len(asked) == 1, asked
        output = client.communicate(timeout=30)[0]
        must(output, "SERVFAIL", "EDE: 23", "does not answer")
        assert back.is_quiet(), "asked again"
        daemon.must_be_at_rest()
    with Pair() as pair, proxy() as daemon:  # nobody there at all
        must(pair.dig("www.example"), "SERVFAIL", "EDE: 23")
        daemon.must_be_at_rest()


def test_back_end_restart():
    """What was refused or lost meanwhile is asked again, in time."""
    with Pair() as pair, proxy():
        client = pair.start("www.example")
        wait_until(lambda: client.poll() is not None or
                   f":{PORT}" in pair.client.run("ss", "-Hnt", "state", "established").stdout,
                   "a connection")
        time.sleep(0.3)
        with BackEnd() as back:
            question, who = back.take()
            back.say(answer(question), who)
            must(client.communicate(timeout=30)[0], "NOERROR", "192.0.2.77")


def test_ede_off():
    with Pair() as pair, BackEnd() as back, proxy("--edns-ede", "off"):
        for say in (lambda q: answer(q, TC), lambda q: answer(q)[:-1], None):
            client = pair.start("www.example")
            question, who = back.take()
            if say:
                back.say(say(question), who)
            must(client.communicate(timeout=30)[0], "SERVFAIL", "OPT PSEUDOSECTION", no=("EDE",))
        must(pair.dig("example", "IXFR=1", "+noall", "+comments", "+edns"), "NOTIMP", no=("EDE",))


# Connects COUNT times, asks on each connection for another name; prints how many were answered.
MANY = r"""
import resource, select, socket, struct, sys, time
address, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 50, count + 50))
message = lambda i: struct.pack(">HHHHHH", i, 256, 1, 0, 0, 0) + b"\5n%04d\0\0\1\0\1" % i
sockets, poll = {}, select.poll()
for i in range(count):
    s = socket.create_connection((address, port), timeout=20)
    s.sendall(struct.pack(">H", len(message(i))) + message(i))
    sockets[s.fileno()] = s, i
    poll.register(s, select.POLLIN)
print("asked", flush=True)
answered, end = 0, time.monotonic() + 20
while sockets and time.monotonic() < end:
    for descriptor, _ in poll.poll(1000):
        s, i = sockets.pop(descriptor)
        poll.unregister(s)
        octets = s.recv(65535)
        answered += octets[2:4] == struct.pack(">H", i) and octets[14:20] == message(i)[12:18] \
            and octets[5] & 15 == 0
        s.close()
print(answered, flush=True)
"""


def test_ring_overflow():
    """1024 questions stand in the ring: more drop the oldest, whose clients' kernels ask again."""
    count, room = 1000 + 100, 1024
    with Pair() as pair, BackEnd() as back, proxy() as daemon:
        back.socket.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)  # SO_RCVBUFFORCE
        client = pair.client.start(sys.executable, "-c", MANY, V4, str(PORT), str(count),
                                   stdout=subprocess.PIPE, text=True)
        first, again = {}, []
        while len(first) < count:
            question, who = back.take()
            first.setdefault(question[12:18], (question, who))
        for question, who in first.values():
            back.say(answer(question), who)
        # Those that were dropped match nothing now; they come again.
        back.socket.settimeout(3)
        try:
            while True:
                question, who = back.take()
                again.append(question[12:18])
                back.say(answer(question), who)
        except TimeoutError:
            pass
        said = client.communicate(timeout=60)[0].split()
        assert said == ["asked", str(count)], said
        assert set(list(first)[:count - room]) <= set(again), again
        print(f"    {count} at once, {len(again)} asked again, all answered")
        daemon.must_be_at_rest()


# On each of COUNT connections asks for NAMES, one after the other, or all before the first answer
# (each in a segment of its own, or all in one); prints what came: name, number of octets, and a
# hash of all but the ID; or what went wrong.
ASKER = framing.SOURCE + r"""
import hashlib, random, socket, sys, threading
address, port, count, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
names = sys.argv[5:]

def request(name):
    wire = b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0"
    ident = random.getrandbits(16)
    message = struct.pack(">HHHHHH", ident, 0, 1, 0, 0, 0) + wire + struct.pack(">HH", 16, 1)
    return struct.pack(">H", len(message)) + message

def take(s, name, asked):
    octets = read_message(s)
    end = len(asked) - 6
    assert octets[:2] == asked[2:4] and octets[12:end] == asked[14:end + 2], "another's response"
    return f"{name} {len(octets)} {hashlib.sha256(octets[2:]).hexdigest()}"

def connection(i):
    said, mine = [], [names[(i + n) % len(names)] for n in range(len(names))]
    try:
        with socket.create_connection((address, port), timeout=60) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            asked = [(name, request(name)) for name in mine]
            if how == "one":
                s.sendall(b"".join(octets for _, octets in asked))
            for name, octets in asked if how == "apart" else ():
                s.sendall(octets)
            for name, octets in asked:
                if how == "in turn":
                    s.sendall(octets)
                said.append(take(s, name, octets))
    except ConnectionResetError:
        said.append("reset")
    except Exception as error:
        said.append(f"error {error!r} {len(said)}")
    with lock:
        print("\n".join(said), flush=True)

lock = threading.Lock()
threads = [threading.Thread(target=connection, args=(i,)) for i in range(count)]
for t in threads: t.start()
for t in threads: t.join()
"""


def ask_many(pair, count, *names, how="in turn", loss=5):
    """What clients get while segments are lost, at both addresses."""
    pair.lose(loss, (PORT,))
    try:
        clients = [pair.client.start(sys.executable, "-c", ASKER, address, str(PORT), str(count),
                                     how, *names, stdout=subprocess.PIPE, text=True)
                   for address in (V4, V6)]
        lines = [line for client in clients
                 for line in client.communicate(timeout=120)[0].splitlines()]
        assert pair.lost() > 0
    finally:
        pair.lose(0)
    return lines


def hash_over_udp(name):
    """The same that a client sees, asked for at the back end."""
    question = query(name, TXT, edns=65535)
    with udp("127.0.0.1", BACK_PORT) as s:
        s.send(question)
        message = s.recv(65535)
    assert message[-11:-8] == b"\0\0\x29", message[-11:]  # OPT
    message = message[:11] + b"\0" + message[12:-11]
    return f"{name} {len(message)} {hashlib.sha256(message[2:]).hexdigest()}"


def must_all_be(lines, count, *names):
    expected = {hash_over_udp(name) for name in names}
    assert len(lines) == 2 * count * len(names) and set(lines) == expected, \
        (len(lines), set(lines) - expected)


class Fickle(threading.Thread):
    """A back end that says each time something else, of another length, after another while."""

    def __init__(self):
        super().__init__()
        self.back = BackEnd.open(BACK_PORT)
        self.back.settimeout(0.02)
        self.said, self.asked, self.is_ending, self.queue = {}, 0, False, []
        self.random = random.Random(1)

    def response(self, question):
        end = question_end(question)
        body = b""
        count = self.random.choice((1, 1, 1, 2, 7, 30, 100, 230))
        for _ in range(count):
            text = self.random.randbytes(self.random.randrange(100, 256))
            body += (struct.pack(">HHHIH", 0xc00c, TXT, 1, 60, 1 + len(text)) +
                     bytes([len(text)]) + text)
        return (question[:2] + struct.pack(">5H", QR | 0x0180, 1, count, 0, 0) +
                question[12:end] + body)

    def run(self):
        while not self.is_ending or self.queue:
            try:
                question, who = self.back.recvfrom(65535)
                self.asked += 1
                # often as long as the client's timer waits
                delay = self.random.choice((0, self.random.uniform(0.15, 0.26),
                                            self.random.uniform(0, 0.6)))
                self.queue.append((time.monotonic() + delay, question, who))
            except TimeoutError:
                pass
            for one in [one for one in self.queue if one[0] < time.monotonic()]:
                self.queue.remove(one)
                message = self.response(one[1])
                self.said[hashlib.sha256(message[2:]).hexdigest()] = len(message)
                self.back.sendto(message, one[2])

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_ending = True
        self.join()
        self.back.close()


def test_nobody_gets_a_mix():
    """Two answers in one stream would be octets that nobody said."""
    if PROFILE == "classic":
        return  # one answer for each connection, and what is lost stays lost
    count, names = 60, [f"n{i}.example" for i in range(5)]
    with Pair() as pair, Fickle() as fickle, proxy():
        # A queue, so that what is under way is overtaken by the client's timer.
        pair.server.run(*"tc qdisc add dev v0 root tbf rate 16mbit burst 5000 latency 60ms".split())
        for how in ("in turn", "apart", "one"):
            asked = fickle.asked
            lines = ask_many(pair, count, *names, how=how)
            reset = lines.count("reset")
            for line in lines:
                words = line.split()
                assert words == ["reset"] or (
                    words[0] != "error" and fickle.said.get(words[2]) == int(words[1])), line
            print(f"    {how}: {len(lines)} responses, {fickle.asked - asked} questions, "
                  f"{len(fickle.said)} different answers; {reset} connections reset")
            # What is asked in turn is always remembered. Where responses that were sent ahead of
            # what got lost are too long to be sent in one train, it may be RST.
            assert reset <= (0 if how == "in turn" else 2 * count // 20), reset
            if reset == 0:
                assert len({line.split()[2] for line in lines}) == 2 * count * len(names)


def test_nsd_under_loss():
    if PROFILE == "classic":
        return
    with tempfile.TemporaryDirectory(prefix="lethe-proxy-") as tmp, Pair() as pair:
        zone = os.path.join(tmp, "zone")
        with open(zone, "w", encoding="ascii") as file:
            file.write("$TTL 60\n@ SOA a b 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n")
            for name, records in (("a", 1), ("b", 6), ("c", 18)):
                for i in range(records):
                    file.write(f'{name} TXT "{i:03d}{"x" * 200}"\n')
        names = ("a.example", "c.example", "b.example", "none.example")
        with peers.Nsd(tmp, {"example.": zone}, port=BACK_PORT), proxy():
            must_all_be(ask_many(pair, 50, *names), 50, *names)


def test_unbound_under_loss():
    if PROFILE == "classic":
        return
    with tempfile.TemporaryDirectory(prefix="lethe-proxy-") as tmp, Pair() as pair:
        data = ['local-zone: "home.test." static', "max-udp-size: 65507", "rrset-roundrobin: no"]
        for name, records in (("a", 1), ("b", 30), ("c", 290)):
            data += [f"local-data: '{name}.home.test. 60 IN TXT \"{i:03d}{'x' * 200}\"'"
                     for i in range(records)]
        names = ("a.home.test", "b.home.test", "c.home.test", "none.home.test")
        with peers.Unbound(tmp, {}, [], data, port=BACK_PORT), proxy():
            must_all_be(ask_many(pair, 20, *names), 20, *names)


# One connection; asks whenever told to, and prints the number of answers.
KEEPER = r"""
import socket, struct, sys
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20) as s:
    for line in sys.stdin:
        message = struct.pack(">HHHHHH", 5, 256, 1, 0, 0, 0) + b"\3www\4home\4test\0\0\1\0\1"
        s.sendall(struct.pack(">H", len(message)) + message)
        octets = s.recv(4096)
        print(struct.unpack(">H", octets[8:10])[0], flush=True)
"""


def test_restart():
    """Connections outlive a proxy that is killed, and one back end after the other."""
    if PROFILE == "classic":
        return
    with tempfile.TemporaryDirectory(prefix="lethe-proxy-") as tmp, Pair() as pair:
        key = os.path.join(tmp, "key")
        with open(key, "w", encoding="ascii") as file:
            file.write("5" * 64 + "\n")
        keeper = None

        def ask():
            keeper.stdin.write("ask\n")
            keeper.stdin.flush()
            return keeper.stdout.readline().strip()
        try:
            for data in range(2):
                with peers.Unbound(tempfile.mkdtemp(dir=tmp), {}, [], [
                        'local-zone: "home.test." static',
                        'local-data: "www.home.test. 60 IN A 192.0.2.81"'], port=BACK_PORT):
                    for _ in range(3):
                        daemon = proxy("--tcp-key-file", key)
                        keeper = keeper or pair.client.start(
                            sys.executable, "-c", KEEPER, V4, str(PORT), text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                        assert [ask(), ask()] == ["1", "1"], data
                        daemon.end(signal.SIGKILL)
        finally:
            if keeper:
                keeper.stdin.close()
                keeper.wait(20)


def test_lost_question():
    """Answered late, but within the time of the question."""
    with Pair() as pair, BackEnd() as back, proxy():
        client = pair.start("www.example")
        question, who = back.take()
        assert back.is_quiet(1), "the same request, sent again, was asked again"
        back.say(answer(question), who)
        must(client.communicate(timeout=30)[0], "NOERROR", "192.0.2.77")


def test_only_tcp_is_served():
    with Pair(), BackEnd(), proxy("--user", "nobody") as daemon:
        listening = subprocess.run(["ss", "-Hlnut", f"sport = :{PORT}"], capture_output=True,
                                   text=True, check=True).stdout
        assert listening == "", listening
        daemon.signal(signal.SIGHUP)
        daemon.wait_for("reloaded: proxy for")


def test_refusals():
    one = ("--listen", f"{V4}@{PORT}", "--tcp", "stateless")
    for options, reason in (
            (("--proxy", "nowhere", *one), "--proxy: \"nowhere\" is not ADDRESS@PORT"),
            (("--proxy", "0.0.0.0@53", *one), "--proxy: \"0.0.0.0@53\" is not"),
            (("--proxy", "127.0.0.1", "--db", "/d", *one), "--proxy: there is a database too"),
            (("--proxy", "127.0.0.1", "--listen", f"{V4}@{PORT}"), "must have tcp: stateless")):
        status, text = refusal(*options)
        assert status == 2 and reason in text, text


need_own_network()
for program in ("dig", "nsd", "unbound", "tc"):
    if shutil.which(program) is None:
        print(f"SKIP: needs {program}")
        sys.exit(SKIP)
ONLY = sys.argv[4:]
run({n: f for n, f in globals().items() if not ONLY or n in ONLY})
