#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""GoAway about TCP, between two namespaces: stateless TCP that is sent what it does not want,
lethe-goaway where that comes from, and somebody who forges messages.

    goaway_tcp.py LETHED LETHE LETHE_GOAWAY [xdp]

This process is in the source's namespace.
"""
import contextlib
import os
import signal
import socket
import struct
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import goaway_messages as messages  # noqa: E402
from goaway_bed import (LIMIT, REFUSED, Bed, Blocks, Forger, Watcher, ask, ask_connected,  # noqa: E402
                        ask_tcp, blocks, denied, pairs, quiet, tcp_client)
from netns import Here, Lethed, Network, need_own_network, run_tests, skip_unless, wait_until  # noqa: E402

TCP = 6


def raw_tcp(source):
    family = socket.AF_INET if "." in source else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_RAW, TCP)
    sock.bind((source, 0))
    sock.settimeout(1)
    return sock


def segments(sock, port, seconds=1):
    """Of what comes to a port: the segments, until none comes for so long."""
    sock.settimeout(seconds)
    with contextlib.suppress(socket.timeout):
        while True:
            octets = sock.recv(2000)
            if sock.family == socket.AF_INET:
                octets = octets[(octets[0] & 15) * 4:]
            if octets[2:4] == struct.pack("!H", port):
                yield octets


class Lure:
    """A SYN that really was sent, and the GoAway that would answer it."""

    def __init__(self, source, target, port=5300, number=1):
        sent, quoted = messages.syn(source, 40000 + number, target, port, 0x12345678 + number)
        self.sock = raw_tcp(source)
        self.sock.sendto(sent, (target, 0))
        self.goaway = messages.goaway(source, target, quoted, b"12345678", TCP)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


# ---- lethed and the agent ----

def must_block_syns(bed, *options):
    with Network(client=Here()) as net, \
            bed.lethed(net, *denied(net, "port"), *options, tcp="stateless") as lethed:
        if "zones" in options:
            lethed.wait_for("image ready")
        net.client.ip("address add 198.18.0.77/24 dev v1")
        assert ask_tcp("198.18.0.77", net.v4) == "answer"
        seen = Watcher(net, "tcp")
        for source, target in pairs(net):
            with bed.agent("--dampening", "4") as agent:
                before = seen.count()
                assert ask_tcp(source, target) in ("silence", *REFUSED)
                event = agent.wait_for("blocked")
                assert event["code"] == "port" and event["protocol"] == "TCP", event
                assert event["source"] == source and event["destination"] == target, event
                for _ in range(2):
                    assert ask_tcp(source, target, seconds=3) in REFUSED
                # From frames they are taken before they are counted.
                assert seen.count() == before + ("xdp" not in options), "blocked, and left this host"
                # UDP is another matter, and gets its own GoAway.
                assert ask(source, target) == "silence"
                agent.wait_for("blocked", 2)


def test_denied_syn(bed):
    must_block_syns(bed)


def test_driver(bed):
    """It leaves each SYN to be looked at."""
    if not bed.has_xdp:
        print("SKIP: this lethed has no io: xdp")
        return
    must_block_syns(bed, "--udp", "fast", "--io", "xdp", "--driver", "zones")


def test_every_code(bed):
    with Network(client=Here()) as net:
        for code in ("host", "protocol", "source"):
            with bed.lethed(net, *denied(net, code), tcp="stateless"):
                for source, target in pairs(net):
                    with bed.agent() as agent:
                        assert ask_tcp(source, target) in ("silence", *REFUSED)
                        assert agent.wait_for("blocked")["code"] == code
                        assert list(blocks()) == [code + ("4" if "." in source else "6")], blocks()
                        assert ask_tcp(source, target, seconds=3) in REFUSED


def test_over_its_rate(bed):
    """Requests of one connection, and SYNs of many."""
    with Network(client=Here()) as net:
        allowed = [option for address in (net.client_v4 + "/32", net.client_v6 + "/128")
                   for option in ("--policy-allow-list", address)]
        for profile in ("modern", "classic"):
            with bed.lethed(net, "--goaway-code", "port", "--goaway-tcp-rate", "6", "--tcp-profile",
                            profile, tcp="stateless"):
                for source, target in pairs(net):
                    with bed.agent("--dampening", "1") as agent:
                        if profile == "modern":
                            with tcp_client(source, target) as sock:
                                said = [ask_connected(sock) for _ in range(20)]
                        else:
                            said = [ask_tcp(source, target) for _ in range(8)]
                        assert said[:2] == ["answer"] * 2, said
                        assert agent.wait_for("blocked")["protocol"] == "TCP"
                        agent.wait_for("ended")
                    # Without anybody who heeds it there are as many GoAways as are allowed; the
                    # rest is answered as ever.
                    wait_until(lambda: ask_tcp(source, target) == "answer", "an answer")
                    # Who is on the allow-list is answered in any case.
        with bed.lethed(net, "--goaway-code", "port", "--goaway-tcp-rate", "2", *allowed,
                        tcp="stateless"):
            for source, target in pairs(net):
                assert [ask_tcp(source, target) for _ in range(10)] == ["answer"] * 10


def test_reload(bed):
    """Who is denied by a reload is no longer answered, in the driver neither, and is again afterwards."""
    with Network(client=Here()) as net, tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        def configure(goaway):
            file.seek(0)
            file.truncate()
            file.write(f"database: {bed.database}\nworkers: 1\nlisten:\n")
            for address in net.addresses:
                file.write(f"  - {{address: '{address}@53', tcp: stateless, interface: v0}}\n")
            if bed.has_xdp:
                file.write("io: xdp\ndriver: zones\nudp: fast\nimage: 4M\n")
            file.write(f"goaway: {{code: port, {goaway}}}\n")
            file.flush()
        if bed.has_xdp:  # veth hands over what the driver answers
            net.client.run("ethtool", "-K", "v1", "gro", "on")
        configure("limit: 20")
        with Lethed(bed.lethed_program, "--config", file.name, place=net.server) as lethed:
            def reload(goaway):
                lines = len(lethed.lines)
                configure(goaway)
                lethed.signal(signal.SIGHUP)
                wait_until(lambda: any("reloaded" in line for line in lethed.lines[lines:]), "it")
            for source, target in pairs(net):
                assert ask_tcp(source, target) == "answer"
            reload(f"deny: [{net.client_v4}, '{net.client_v6}']")
            for source, target in pairs(net):
                with bed.agent() as agent:
                    assert ask_tcp(source, target) in ("silence", *REFUSED)
                    agent.wait_for("blocked")
            reload("limit: 20")
            for source, target in pairs(net):
                said = [ask_tcp(source, target, seconds=2) for _ in range(2)]
                assert said == ["answer"] * 2, (said, lethed.lines)


# ---- against the server ----

def test_never_larger(bed):
    """SYNs of every length: no GoAway is longer than its SYN, whatever room that leaves."""
    with Network(client=Here()) as net, bed.lethed(net, *denied(net, "port"), tcp="stateless"):
        for source, target in pairs(net):
            count = 0
            with messages.raw_socket(source) as raw, raw_tcp(source) as sock:
                for length in range(20, 44, 4):
                    octets, _ = messages.syn(source, 41000 + length, target, 53, 7, length)
                    sock.sendto(octets, (target, 0))
                    said = messages.receive(raw, messages.GOAWAY.values(), 0.3)
                    assert (said is not None) == (length >= 28), length
                    if said is not None:
                        count += 1
                        assert len(said) <= length, (len(said), length)
                # IP options are in front of it: no sender would recognize the quotation.
                options = {socket.AF_INET: (socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01\x01\x01\x00"),
                           socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_DSTOPTS,
                                             b"\x00\x00\x01\x04\x00\x00\x00\x00")}
                with raw_tcp(source) as odd:
                    odd.setsockopt(*options[odd.family])
                    odd.sendto(messages.syn(source, 41900, target, 53, 7)[0], (target, 0))
                assert messages.receive(raw, messages.GOAWAY.values(), 0.3) is None
                # Nothing is said about what asks for nothing: ACK, FIN, RST.
                for flags in (0x10, 0x11, 0x04, 0x14, 0x12):
                    octets, _ = messages.syn(source, 42000, target, 53, 7, 40, flags)
                    sock.sendto(octets, (target, 0))
                assert messages.receive(raw, messages.GOAWAY.values(), 0.3) is None
                assert not list(segments(sock, 42000, 0.1))
            assert count == 4


def test_few_goaways(bed):
    """However many SYNs, also in somebody's name: few GoAways for each prefix, and no SYN+ACK."""
    with Network(client=Here()) as net, \
            bed.lethed(net, *denied(net, "host"), tcp="stateless") as lethed:
        for source, target in pairs(net):
            with messages.raw_socket(source) as raw, raw_tcp(source) as sock:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                begun = time.monotonic()
                for number in range(2000):
                    sock.sendto(messages.syn(source, 43000, target, 53, number)[0], (target, 0))
                count = 0
                while messages.receive(raw, messages.GOAWAY.values(), 0.5) is not None:
                    count += 1
                seconds = time.monotonic() - begun
                assert not list(segments(sock, 43000, 0.1))
            assert 1 <= count <= LIMIT * (seconds + 2), (count, seconds)
        assert lethed.end() == 0


def test_restart(bed):
    """Between GoAway and Block: who has the key confirms it, another server as well as the next
    process; who has not knows of no GoAway."""
    with Network(client=Here()) as net, tempfile.NamedTemporaryFile("w") as file:
        file.write("11" * 32 + "\n")
        file.flush()
        os.chmod(file.name, 0o600)
        for shared, want in ((("--tcp-key-file", file.name), "host"), ((), "no block")):
            heard = []
            lethed = bed.lethed(net, *denied(net, "host"), *shared, tcp="stateless")
            for source, target in pairs(net):
                with messages.raw_socket(source) as raw, raw_tcp(source) as sock:
                    sock.sendto(messages.syn(source, 44000, target, 53, 9)[0], (target, 0))
                    heard.append(messages.receive(raw, messages.GOAWAY.values()))
            lethed.end(signal.SIGKILL)
            with bed.lethed(net, *denied(net, "host"), *shared, tcp="stateless"):
                for (source, target), said in zip(pairs(net), heard):
                    asked = messages.block(source, target, said, b"my nonce")
                    with messages.raw_socket(source) as raw:
                        raw.sendto(asked, (target, 0))
                        got = messages.receive(raw, messages.BLOCK.values())
                    assert got == messages.reply(source, target, asked, want), (want, got)


# ---- against the source ----

def test_spoofed_goaway(bed):
    with Network(client=Here()) as net:
        quiet(net)
        for source, target in pairs(net):
            with bed.agent() as agent, Forger(net, source, target) as forger, \
                    Lure(source, target), Blocks(net, target) as heard:
                # A SYN that was not sent; and that one, but for its sequence number.
                for port, number in ((40002, 0x12345679), (40001, 0x12345678)):
                    _, other = messages.syn(source, port, target, 5300, number)
                    forger.say(messages.goaway(source, target, other, b"12345678", TCP))
                agent.wait_for("unknown", 2)
                assert agent.count("asked") == 0 and not blocks() and not heard.has_any()


def test_wrong_and_replayed_nonces(bed):
    with Network(client=Here()) as net:
        quiet(net)
        for source, target in pairs(net):
            with bed.agent("--dampening", "1") as agent, Forger(net, source, target) as forger, \
                    Lure(source, target) as lure, Blocks(net, target) as heard:
                forger.say(lure.goaway)
                asked = heard.next()
                guess = messages.block(source, target, lure.goaway, b"87654321")
                forger.say(messages.reply(source, target, guess, "host"))
                agent.wait_for("unasked")
                assert not blocks()
                right = messages.reply(source, target, asked, "port")
                forger.say(right)
                event = agent.wait_for("blocked")
                assert event["protocol"] == "TCP" and event["destination_port"] == 5300, event
                forger.say(lure.goaway)
                forger.say(right)
                agent.wait_for("repeated")
                agent.wait_for("unasked", 2)
                agent.wait_for("ended")
                assert agent.count("blocked") == 1 and not blocks()


def test_late_goaway(bed):
    """The SYN+ACK came back, then somebody says GoAway in the server's name; and the same for a
    request, which was answered."""
    with Network(client=Here()) as net, bed.lethed(net, tcp="stateless"):
        for source, target in pairs(net):
            with bed.agent() as agent, Forger(net, source, target) as forger, \
                    Lure(source, target, 53) as lure:
                assert next(segments(lure.sock, 40001))[13] == 0x12
                forger.say(lure.goaway)
                agent.wait_for("answered")
                assert agent.count("asked") == 0 and not blocks()


def test_goaway_before_the_answer(bed):
    """Forged before the SYN+ACK comes: the agent asks, and the real server knows of none."""
    with Network(client=Here()) as net, \
            bed.lethed(net, "--goaway-code", "host", "--goaway-deny", "192.0.2.0/24",
                       tcp="stateless"):
        quiet(net)
        for source, target in pairs(net):
            with bed.agent() as agent, Forger(net, source, target) as forger, \
                    Lure(source, target) as lure:
                forger.say(lure.goaway)
                agent.wait_for("declined")
                assert not blocks() and ask_tcp(source, target) == "answer"


def main():
    skip_unless("ethtool")
    need_own_network()
    programs = [os.path.abspath(program) for program in sys.argv[1:4]] + sys.argv[4:]
    with tempfile.TemporaryDirectory(prefix="lethe-goaway-") as directory:
        os.chmod(directory, 0o755)
        run_tests(globals(), Bed(directory, *programs))


if __name__ == "__main__":
    main()
