#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe-goaway on a router, between those behind it and a server that does not want their packets.

    goaway_edge.py LETHED LETHE LETHE_GOAWAY

    behind (v1) -- 198.18.1.0/24 -- (v0) this process (v1) -- 198.18.0.0/24 -- (v0) server
"""
import os
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import goaway_messages as messages  # noqa: E402
from goaway_bed import (REFUSED, Bed, Blocks, Forger, Watcher, ask, blocks, denied, query,  # noqa: E402
                        quiet)
from netns import Here, Network, need_own_network, run_tests, skip_unless, wait_until  # noqa: E402

EDGE = ("--edge", "--interface", "v1")


class Behind:
    """A process behind the router that does what it is told."""

    LOOP = ("import sys; sys.path[:0] = {paths!r}; from goaway_bed import *\n"
            "import goaway_messages as messages\n"
            "for line in sys.stdin:\n    print(repr(eval(line)), flush=True)\n")

    def __init__(self, place):
        here = os.path.dirname(os.path.abspath(__file__))
        code = self.LOOP.format(paths=[here, os.path.join(here, "..")])
        self.process = place.start(sys.executable, "-B", "-c", code, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, text=True)

    def do(self, what):
        self.process.stdin.write(what + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"it failed: {what}"
        return eval(line)  # what repr() wrote

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Edge:
    """The two networks, with a router between them: `out` and `inside`."""

    def __enter__(self):
        self.out = Network(client=Here()).__enter__()
        self.inside = Network(1, server=Here()).__enter__()
        Here().sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        for place, net, via4, via6 in (
                (self.out.server, self.inside, self.out.client_v4, self.out.client_v6),
                (self.inside.client, self.out, self.inside.v4, self.inside.v6)):
            place.ip(f"route add {net.v4[:-1]}0/24 via {via4}")
            place.ip(f"route add {net.v6[:-1]}/64 via {via6}")
        self.inside.client.ip("address add 198.18.1.77/24 dev v1")
        self.inside.client.ip("address add fd00:198:18:1::77/64 dev v1 nodad")
        for place in (self.out.server, Here(), self.inside.client):
            wait_until(lambda p=place: not p.run("ip", "-6", "address", "show", "tentative").stdout,
                       "addresses to be nobody else's")
        self.behind = Behind(self.inside.client)
        return self

    def __exit__(self, *_):
        self.behind.end()
        self.inside.__exit__()
        self.out.__exit__()

    def pairs(self):
        """Who is behind, another one there, and the server."""
        return ((self.inside.client_v4, "198.18.1.77", self.out.v4),
                (self.inside.client_v6, "fd00:198:18:1::77", self.out.v6))

    def ask(self, source, target, how="ask", **more):
        return self.behind.do(f"{how}({source!r}, {target!r}, **{more!r})")

    def hear(self, source, kinds):
        """Begin to hear ICMP messages behind; what heard() says is their types and codes."""
        self.behind.do(f"globals().update(raw=messages.raw_socket({source!r}), kinds={kinds!r})")

    def heard(self):
        return self.behind.do("(lambda got: got and got[:2])(messages.receive(raw, kinds, 0.4))")


def test_every_code(bed):
    """One behind the router is blocked, another one and the router itself are not."""
    with Edge() as edge:
        for code in ("host", "protocol", "port", "source"):
            with bed.lethed(edge.out, *denied(edge.inside, code)):
                seen = Watcher(edge.out)
                for source, other, target in edge.pairs():
                    with bed.agent(*EDGE, "--dampening", "60") as agent:
                        edge.hear(source, list(messages.GOAWAY.values()))
                        before = seen.count()
                        assert edge.ask(source, target) == "silence"
                        event = agent.wait_for("blocked")
                        assert event["code"] == code and event["source"] == source, event
                        assert edge.heard() is None, "the GoAway was not for who is behind"
                        said = edge.ask(source, target)
                        assert said in REFUSED, said
                        assert seen.count() == before + 1
                        (block,), (words,) = bed.listed()
                        assert block["code"] == code and block["source"] == source, block
                        assert source in words and target in words, words
                        assert edge.ask(other, target) == "answer"
                        assert ask(edge.out.client_v4 if "." in source else edge.out.client_v6,
                                   target) == "answer"
                edge.out.server.run("nft", "delete", "table", "netdev", "seen")


def test_tcp(bed):
    with Edge() as edge, \
            bed.lethed(edge.out, *denied(edge.inside, "port"), tcp="stateless"):
        for source, other, target in edge.pairs():
            with bed.agent(*EDGE, "--dampening", "2") as agent:
                assert edge.ask(source, target, "ask_tcp") in ("silence", *REFUSED)
                assert agent.wait_for("blocked")["protocol"] == "TCP"
                assert edge.ask(source, target, "ask_tcp", seconds=3) in REFUSED
                assert edge.ask(other, target, "ask_tcp") == "answer"
                agent.wait_for("ended")
                assert not blocks()


def test_hostile(bed):
    """Spoofed, wrong nonces, replayed, from the inside, and late."""
    lure = ("(lambda s: (s.send(query()), s.getsockname()[1])[1])"
            "(globals().setdefault({name!r}, client({source!r}, {target!r}, {port})))")
    with Edge() as edge:
        quiet(edge.out)
        for source, other, target in edge.pairs():
            with bed.agent(*EDGE, "--dampening", "1") as agent, \
                    Forger(edge.out, source, target) as forger, Blocks(edge.out, target) as heard:
                def about(port, number, target_port=5300):
                    segment = messages.datagram(number, port, target, target_port, query())
                    return messages.goaway(number, target, segment, b"12345678")
                port = edge.behind.do(lure.format(name="a" + source, source=source, target=target,
                                                  port=5300))
                forger.say(about(port ^ 1, source))
                agent.wait_for("unknown")
                # In the target's name, but by somebody behind the router: nobody hears it.
                edge.behind.do(f"messages.raw_socket({other!r}).sendto({about(port, source)!r}, "
                               f"({edge.inside.v4 if '.' in source else edge.inside.v6!r}, 0))")
                assert agent.count("asked") == 0 and not heard.has_any()
                forger.say(about(port, source))
                asked = heard.next()
                guess = messages.block(source, target, about(port, source), b"87654321")
                forger.say(messages.reply(source, target, guess, "host"))
                agent.wait_for("unasked")
                assert not blocks()
                right = messages.reply(source, target, asked, "port")
                forger.say(right)
                agent.wait_for("blocked")
                agent.wait_for("ended")
                forger.say(about(port, source))
                forger.say(right)
                agent.wait_for("repeated")
                agent.wait_for("unasked", 2)
                assert agent.count("blocked") == 1 and not blocks()
        with bed.lethed(edge.out):
            for source, _, target in edge.pairs():
                with bed.agent(*EDGE) as agent, Forger(edge.out, source, target) as forger:
                    port = edge.behind.do(lure.format(name="b" + source, source=source,
                                                      target=target, port=53))
                    edge.behind.do(f"{'b' + source!r} in globals() and "
                                   f"bool(globals()[{'b' + source!r}].recv(4096))")
                    segment = messages.datagram(source, port, target, 53, query())
                    forger.say(messages.goaway(source, target, segment, b"12345678"))
                    agent.wait_for("answered")
                    assert agent.count("asked") == 0 and not blocks()


def test_what_passes(bed):
    """A Block to a server behind the router does, a GoAway and a Block Reply do not."""
    with Edge() as edge, bed.agent(*EDGE):
        for source, _, target in edge.pairs():
            segment = messages.datagram(source, 40000, target, 53, query())
            said = messages.goaway(source, target, segment, b"12345678")
            asked = messages.block(target, source, messages.goaway(
                target, source, messages.datagram(target, 40000, source, 53, query()),
                b"12345678"), b"abcdefgh")
            edge.hear(source, [*messages.GOAWAY.values(), *messages.BLOCK.values()])
            with Forger(edge.out, source, target) as forger:
                forger.say(said)
                forger.say(messages.reply(source, target, messages.block(
                    source, target, said, b"abcdefgh"), "host"))
                forger.say(asked)
            got = edge.heard()
            assert got == asked[:2], got
            assert edge.heard() is None


def test_ends(bed):
    """Killed, all of the table goes; with --keep blocks stay, and what keeps messages back does not."""
    def tables():
        return Here().run("nft", "list", "tables").stdout.split("\n")[:-1]
    with Edge() as edge, bed.lethed(edge.out, *denied(edge.inside, "port")):
        source, other, target = edge.pairs()[0]
        for forwards in (0, 1):
            Here().sysctl(net__ipv4__ip_forward=forwards, net__ipv6__conf__all__forwarding=forwards)
            with bed.agent(*EDGE) as agent:
                pass
            assert any("forwards nothing" in line for line in agent.lines) == (not forwards)
        agent = bed.agent(*EDGE)
        assert edge.ask(source, target) == "silence"
        agent.wait_for("blocked")
        agent.process.send_signal(signal.SIGKILL)
        agent.end()
        wait_until(lambda: not tables(), "the table to go")
        assert edge.ask(source, target) == "silence"
        for how in (signal.SIGTERM, signal.SIGKILL):
            agent = bed.agent(*EDGE, "--keep", "--dampening", "60")
            if how == signal.SIGTERM:
                edge.ask(source, target)
                agent.wait_for("blocked")
            assert edge.ask(source, target) in REFUSED
            assert len(tables()) == 2, tables()
            agent.process.send_signal(how)
            agent.end()
            wait_until(lambda: tables() == ["table inet lethe-goaway-edge"], "the other one to go")
            assert edge.ask(source, target) in REFUSED
            assert edge.ask(other, target) == "answer"
        Here().run("nft", "delete", "table", "inet", "lethe-goaway-edge")


def main():
    skip_unless()
    need_own_network()
    programs = [os.path.abspath(program) for program in sys.argv[1:4]] + sys.argv[4:]
    with tempfile.TemporaryDirectory(prefix="lethe-goaway-") as directory:
        os.chmod(directory, 0o755)
        run_tests(globals(), Bed(directory, *programs))


if __name__ == "__main__":
    main()
