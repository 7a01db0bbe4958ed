#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""GoAway between two namespaces: lethed that is sent what it does not want, lethe-goaway where that
comes from, and somebody who forges all there is to forge.

    goaway.py LETHED LETHE LETHE_GOAWAY [xdp]

This process is in the source's namespace.
"""
import os
import signal
import socket
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import goaway_messages as messages  # noqa: E402
from goaway_bed import (LIMIT, REFUSED, Bed, Blocks, Forger, Watcher, ask, ask_tcp,  # noqa: E402
                        blocks, client, denied, pairs, query, quiet)
from netns import Here, Lethed, Network, need_own_network, run_tests, skip_unless, wait_until  # noqa: E402


# ---- lethed and the agent ----

def test_denied_then_blocked_then_over(bed):
    with Network(client=Here()) as net, bed.lethed(net, *denied(net, "port")):
        seen = Watcher(net)
        for source, target in pairs(net):
            with bed.agent("--dampening", "2") as agent:
                before = seen.count()
                assert ask(source, target) == "silence"
                event = agent.wait_for("blocked")
                assert event["code"] == "port" and event["destination_port"] == 53, event
                assert event["destination"] == target and event["source"] == source, event
                assert event["seconds"] == 2 and event["protocol"] == "UDP", event
                for _ in range(5):
                    said = ask(source, target)
                    assert said in REFUSED, said
                assert seen.count() == before + 1, "blocked packets left this host"
                # What is not blocked goes its way: another port, and TCP, which is denied there.
                assert ask(source, target, 54) == "ConnectionRefusedError"
                assert ask_tcp(source, target) == "ConnectionResetError"
                agent.wait_for("ended")
                wait_until(lambda: not blocks(), "the set to be empty")
                assert ask(source, target) == "silence"
                assert seen.count() == before + 2
                agent.wait_for("blocked", 2)


def test_every_code(bed):
    with Network(client=Here()) as net:
        for code in ("host", "protocol", "port", "source"):
            with bed.lethed(net, *denied(net, code)):
                for source, target in pairs(net):
                    with bed.agent("--dampening", "60") as agent:
                        assert ask(source, target) == "silence"
                        assert agent.wait_for("blocked")["code"] == code
                        assert list(blocks()) == [code + ("4" if "." in source else "6")], blocks()
                        assert ask(source, target) in REFUSED
                        (block,), (words,) = bed.listed()
                        assert block["code"] == code and block["destination"] == target, block
                        assert ("protocol" in block) == (code != "host"), block
                        assert (block.get("destination_port") == 53) == (code in ("port", "source"))
                        assert block.get("source") == (source if code == "source" else None), block
                        assert 0 < block["seconds"] <= 60, block
                        assert words.startswith("until ") and target in words, words
    assert bed.listed()[0] == []


def test_over_its_rate(bed):
    with Network(client=Here()) as net, \
            bed.lethed(net, "--goaway-code", "port", "--policy-rate-limit", "3"):
        for source, target in pairs(net):
            with bed.agent() as agent:
                assert ask(source, target) == "answer"
                said = [ask(source, target) for _ in range(10)]
                agent.wait_for("blocked")
                assert ask(source, target) in REFUSED, said


def test_fast_udp(bed):
    must_block_from_frames(bed)


def test_driver(bed):
    """It leaves each query over UDP to be looked at."""
    if not bed.has_xdp:
        print("SKIP: this lethed has no io: xdp")
        return
    must_block_from_frames(bed, "--io", "xdp", "--driver", "zones")


def must_block_from_frames(bed, *options):
    with Network(client=Here()) as net, \
            bed.lethed(net, *denied(net, "host"), "--udp", "fast", *options,
                       tcp="stateless") as lethed:
        if options:
            lethed.wait_for("image ready")
        net.client.ip("address add 198.18.0.77/24 dev v1")
        assert ask("198.18.0.77", net.v4) == "answer"
        for source, target in pairs(net):
            with bed.agent() as agent:
                assert ask(source, target) == "silence"
                agent.wait_for("blocked")
                assert ask(source, target) in REFUSED


def test_privileges(bed):
    """CAP_NET_ADMIN for new blocks, and nothing else; as somebody else too."""
    with Network(client=Here()) as net, bed.lethed(net, *denied(net, "port")):
        source, target = pairs(net)[0]
        for options, wanted in ((("--user", "nobody"), 1 << 12), (("--dry-run",), 0)):
            with bed.agent(*options) as agent:
                with open(f"/proc/{agent.process.pid}/status", encoding="ascii") as file:
                    status = dict(line.split(":", 1) for line in file)
                assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == wanted, status
                assert status["NoNewPrivs"].strip() == "1"
                assert ask(source, target) == "silence"
                agent.wait_for("blocked")
                if wanted != 0:
                    assert ask(source, target) in REFUSED


def test_dry_run_and_keep(bed):
    with Network(client=Here()) as net, bed.lethed(net, *denied(net, "port")):
        source, target = pairs(net)[0]
        with bed.agent("--dry-run") as agent:
            assert ask(source, target) == "silence"
            agent.wait_for("blocked")
            assert ask(source, target) == "silence"
        with bed.agent() as agent:
            assert ask(source, target) == "silence"
            agent.wait_for("blocked")
        assert ask(source, target) == "silence", "the table went with the agent"
        agent = bed.agent("--keep")
        try:
            assert ask(source, target) == "silence"
            agent.wait_for("blocked")
        finally:
            agent.end()
        assert ask(source, target) in REFUSED, "the table was to stay"
        Here().run("nft", "delete", "table", "inet", "lethe-goaway")


def test_denied_and_not_asked(bed):
    with Network(client=Here()) as net, \
            bed.lethed(net, "--goaway-deny", "198.18.0.0/26") as lethed:
        net.client.ip("address add 198.18.0.77/24 dev v1")
        assert ask("198.18.0.77", net.v4) == "answer"
        (source, target), others = pairs(net)
        with messages.raw_socket(source) as raw:
            assert ask(source, target) == "silence"
            assert messages.receive(raw, messages.GOAWAY.values(), 0.3) is None
        assert ask(*others) == "answer"
        assert int(lethed.status("CapEff"), 16) & 1 << 13 == 0


def test_reload(bed):
    """The sockets go on, without the privilege that opened them; to begin takes a restart."""
    with Network(client=Here()) as net, tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        def configure(goaway):
            file.seek(0)
            file.truncate()
            file.write(f"database: {bed.database}\nworkers: 1\nlisten:\n")
            for address in net.addresses:
                file.write(f"  - address: '{address}@53'\n")
            file.write(f"goaway: {{limit: {LIMIT}, {goaway}}}\n")
            file.flush()
        deny = f"deny: [{net.client_v4}, '{net.client_v6}']"
        configure("code: port, " + deny)
        with Lethed(bed.lethed_program, "--config", file.name, place=net.server) as lethed:
            for goaway in ("code: host, " + deny, "code: protocol, " + deny):
                lines = len(lethed.lines)
                configure(goaway)
                lethed.signal(signal.SIGHUP)
                wait_until(lambda: any("reloaded" in line for line in lethed.lines[lines:]), "it")
                for source, target in pairs(net):
                    with bed.agent() as agent:
                        assert ask(source, target) == "silence"
                        assert agent.wait_for("blocked")["code"] in goaway
        assert lethed.said("2 GoAways sent"), lethed.lines
        configure("code: off")
        with Lethed(bed.lethed_program, "--config", file.name, place=net.server) as lethed:
            configure("code: host, " + deny)
            lethed.signal(signal.SIGHUP)
            lethed.wait_for("not reloaded, all stays as it was: goaway: raw socket")
            for source, target in pairs(net):
                assert ask(source, target) == "answer"


def test_off_by_default(bed):
    with Network(client=Here()) as net, bed.lethed(net) as lethed:
        for source, target in pairs(net):
            assert ask(source, target) == "answer"
            forged = messages.block(source, target, messages.goaway(
                source, target, messages.datagram(source, 40000, target, 53, query()), b"12345678"),
                b"abcdefgh")
            with messages.raw_socket(source) as sock:
                sock.sendto(forged, (target, 0))
                assert messages.receive(sock, messages.BLOCK.values(), 0.5) is None
        assert int(lethed.status("CapEff"), 16) & 1 << 13 == 0


# ---- against the server ----

def test_never_larger(bed):
    """A GoAway for each query that leaves room for one, and never one that is longer."""
    with Network(client=Here()) as net, bed.lethed(net, *denied(net, "port")):
        for source, target in pairs(net):
            family, longest = messages.family_of(source), 0
            least, whole = 20, {4: 36, 6: 56}[family]
            with messages.raw_socket(source) as raw:
                for length in (17, least - 1, least, whole - 1, whole, whole + 55, whole + 56, 200):
                    with client(source, target) as sock:
                        sock.send(query()[:12] + bytes(length - 12))
                        said = messages.receive(raw, messages.GOAWAY.values(), 0.4)
                    if length < least:
                        assert said is None, length
                        continue
                    assert said is not None, length
                    assert len(said) <= 8 + length, (len(said), length)
                    assert said[6] == (length < whole), length
                    longest = max(longest, len(said))
            assert longest == 16 + messages.HEADER[family] + 64


def exchange(source, target):
    """A real GoAway, and the raw socket it came to."""
    raw = messages.raw_socket(source)
    with client(source, target) as sock:
        sock.send(query())
        said = messages.receive(raw, messages.GOAWAY.values())
    assert said is not None
    return raw, said


def test_forged_block(bed):
    with Network(client=Here()) as net, bed.lethed(net, *denied(net, "host")) as lethed:
        for source, target in pairs(net):
            kinds = messages.BLOCK.values()
            raw, said = exchange(source, target)
            with raw:
                right = messages.block(source, target, said, b"my nonce")
                raw.sendto(right, (target, 0))
                got = messages.receive(raw, kinds)
                assert got == messages.reply(source, target, right, "host"), got
                # Another nonce, and another packet: no block, and no longer than what asked.
                for about in (said[:8] + b"\0" * 8 + said[16:],
                              said[:-1] + bytes([said[-1] ^ 1])):
                    family = messages.family_of(source)
                    about = messages.message(target, source, about[0], 0, 0, about[8:16], about[16:])
                    wrong = messages.block(source, target, about, b"my nonce")
                    raw.sendto(wrong, (target, 0))
                    got = messages.receive(raw, kinds)
                    # Only addresses, protocol and ports are in the nonce.
                    want = "no block" if about[8:16] == b"\0" * 8 else "host"
                    assert got == messages.reply(source, target, wrong, want), (got, family)
                    assert len(got) <= len(wrong)
                # Damaged, cut, about ICMP, or a Block Reply: nothing at all.
                icmp = messages.goaway(source, target, bytes(80), b"12345678", protocol=1)
                for hostile in (right[:-1], right[:4] + b"\2" + right[5:], right[:20], right[:4],
                                messages.block(source, target, icmp, b"12345678"),
                                messages.reply(target, source, right, "host")):
                    raw.sendto(hostile, (target, 0))
                assert messages.receive(raw, kinds, 0.5) is None
        assert lethed.end() == 0


def test_flood_of_blocks(bed):
    """Whoever forges Blocks in somebody's name gets that one few replies, none of them longer."""
    with Network(client=Here()) as net, bed.lethed(net, *denied(net, "host")) as lethed:
        for source, target in pairs(net):
            about = messages.goaway(source, target, messages.datagram(
                source, 40000, target, 53, query()), b"12345678")
            forged = messages.block(source, target, about, b"abcdefgh")
            with messages.raw_socket(source) as raw:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                begun = time.monotonic()
                for _ in range(3000):
                    raw.sendto(forged, (target, 0))
                count, longest = 0, 0
                while (got := messages.receive(raw, messages.BLOCK.values(), 0.5)) is not None:
                    count, longest = count + 1, max(longest, len(got))
                    assert got[1] == 1 and got[5] == 0, got
                seconds = time.monotonic() - begun
            assert 1 <= count <= LIMIT * (seconds + 2), (count, seconds)
            assert longest <= len(forged)
        # And serves others meanwhile.
        net.client.ip("address add 198.18.0.77/24 dev v1")
        assert ask("198.18.0.77", net.v4) == "answer"
        assert lethed.end() == 0


def test_few_goaways(bed):
    """However many unwanted queries, GoAways are few for each prefix."""
    with Network(client=Here()) as net, bed.lethed(net, *denied(net, "host")):
        for source, target in pairs(net):
            with messages.raw_socket(source) as raw, client(source, target) as sock:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
                begun = time.monotonic()
                for ident in range(3000):
                    sock.send(query(ident=ident))
                count = 0
                while messages.receive(raw, messages.GOAWAY.values(), 0.5) is not None:
                    count += 1
                seconds = time.monotonic() - begun
            assert 1 <= count <= LIMIT * (seconds + 2), (count, seconds)


# ---- against the source ----

class Lure:
    """A packet that really was sent to nobody's port, and the GoAway that would answer it."""

    def __init__(self, source, target, ident=1):
        self.sock = client(source, target, 5300)
        self.octets = query(ident=ident)
        self.sock.send(self.octets)
        self.segment = messages.datagram(source, self.sock.getsockname()[1], target, 5300,
                                         self.octets)
        self.goaway = messages.goaway(source, target, self.segment, b"12345678")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def test_spoofed_goaway(bed):
    with Network(client=Here()) as net:
        quiet(net)
        for source, target in pairs(net):
            with bed.agent() as agent, Forger(net, source, target) as forger, \
                    Lure(source, target) as lure, Blocks(net, target) as heard:
                other = messages.datagram(source, 40000, target, 53, query())
                forger.say(messages.goaway(source, target, other, b"12345678"))
                agent.wait_for("unknown")
                # The right packet, but for one bit of it.
                almost = lure.segment[:6] + bytes([lure.segment[6] ^ 1]) + lure.segment[7:]
                forger.say(messages.goaway(source, target, almost, b"12345678"))
                agent.wait_for("unknown", 2)
                # About an error, with a wrong checksum, about somebody else's packet.
                forger.say(messages.goaway(source, target, lure.segment, b"12345678",
                                           protocol=messages.ICMP[messages.family_of(source)]))
                if "." in source:  # of ICMPv6 the kernel makes the checksum
                    forger.say(lure.goaway[:2] + b"\0\0" + lure.goaway[4:])
                elsewhere = messages.goaway(source, target[:-1] + "9", lure.segment, b"12345678")
                forger.say(messages.message(target, source, elsewhere[0], 0, 0, b"12345678",
                                            elsewhere[16:]))
                agent.wait_for("unsound", 3 if "." in source else 2)
                assert agent.count("asked") == 0 and not blocks() and not heard.has_any()


def test_wrong_and_replayed_nonces(bed):
    with Network(client=Here()) as net:
        quiet(net)
        for source, target in pairs(net):
            with bed.agent("--dampening", "1") as agent, Forger(net, source, target) as forger, \
                    Lure(source, target) as lure, Blocks(net, target) as heard:
                forger.say(lure.goaway)
                asked = heard.next()
                # A Block Reply of somebody who cannot read the Block.
                guess = messages.block(source, target, lure.goaway, b"87654321")
                forger.say(messages.reply(source, target, guess, "host"))
                agent.wait_for("unasked")
                forger.say(lure.goaway)
                agent.wait_for("repeated")
                assert not blocks()
                right = messages.reply(source, target, asked, "port")
                forger.say(right)
                agent.wait_for("blocked")
                forger.say(right)
                agent.wait_for("unasked", 2)
                agent.wait_for("ended")
                # All of it replayed when it is over.
                forger.say(lure.goaway)
                forger.say(right)
                agent.wait_for("repeated", 2)
                agent.wait_for("unasked", 3)
                assert agent.count("blocked") == 1 and not blocks()


def test_declined(bed):
    with Network(client=Here()) as net:
        quiet(net)
        for source, target in pairs(net):
            with bed.agent() as agent, Forger(net, source, target) as forger, \
                    Lure(source, target) as lure, Blocks(net, target) as heard:
                forger.say(lure.goaway)
                forger.say(messages.reply(source, target, heard.next(), "no block"))
                agent.wait_for("declined")
                assert not blocks()


def test_late_goaway(bed):
    """The real host answers, then somebody says GoAway in its name."""
    with Network(client=Here()) as net, bed.lethed(net):
        for source, target in pairs(net):
            with bed.agent() as agent, Forger(net, source, target) as forger, \
                    client(source, target) as sock:
                sock.send(query())
                assert sock.recv(4096)
                segment = messages.datagram(source, sock.getsockname()[1], target, 53, query())
                forger.say(messages.goaway(source, target, segment, b"12345678"))
                agent.wait_for("answered")
                assert agent.count("asked") == 0 and not blocks()


def test_forged_goaway_and_a_real_server(bed):
    """It matches a packet that waits for its answer: the agent asks, and the server knows of none."""
    with Network(client=Here()) as net, \
            bed.lethed(net, "--goaway-code", "host", "--goaway-deny", "192.0.2.0/24"):
        quiet(net)
        for source, target in pairs(net):
            with bed.agent() as agent, Forger(net, source, target) as forger, \
                    Lure(source, target) as lure:
                forger.say(lure.goaway)
                agent.wait_for("declined")
                assert not blocks()


def test_flood_of_goaways(bed):
    with Network(client=Here()) as net:
        quiet(net)
        for source, target in pairs(net):
            with bed.agent() as agent, Forger(net, source, target) as forger, \
                    Blocks(net, target) as heard:
                other = messages.datagram(source, 40000, target, 53, query())
                forger.say(messages.goaway(source, target, other, b"12345678"), 20000)
                lures = [Lure(source, target, ident) for ident in range(50)]
                for lure in lures:
                    forger.say(lure.goaway)
                # The agent is still there for who is right.
                forger.say(messages.reply(source, target, heard.next(), "port"))
                agent.wait_for("blocked")
                for lure in lures:
                    lure.sock.close()
            sums = agent.events[-1]
            assert sums["event"] == "end" and sums["unknown"] > 1000, sums
            assert 1 <= sums["asked"] <= 25, sums
            assert len(agent.events) < 200, "it tells of each"


def main():
    skip_unless()
    need_own_network()
    programs = [os.path.abspath(program) for program in sys.argv[1:4]] + sys.argv[4:]
    with tempfile.TemporaryDirectory(prefix="lethe-goaway-") as directory:
        os.chmod(directory, 0o755)
        run_tests(globals(), Bed(directory, *programs))


if __name__ == "__main__":
    main()
