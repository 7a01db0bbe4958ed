#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`lethe audit` beside a lethed, with another lethed as the parent: delegated, gone, withheld, back. And
with parents that are not what they seem.

usage: audit_test.py --build DIR

Time is made short by what is configured: a TTL of one second at the parent, two findings, no spread.
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time

import message as dns
import oddities
import peers
from bad_server import BadServer, question_end, record, response

CHILD = """@ 3600 IN SOA ns1 admin 7 7200 3600 1209600 300
@ 3600 IN NS ns1
@ 3600 IN NS ns.elsewhere.net.
ns1 IN A 127.0.0.9
www IN A 192.0.2.1
"""
ROOT = """@ 60 IN SOA a.root. admin 1 7200 3600 1209600 300
@ 60 IN NS a.root.
a.root. IN A 127.0.0.2
example. 60 IN NS ns.example.
ns.example. 60 IN A 127.0.0.3
"""
PARENT = """@ 60 IN SOA ns admin {serial} 7200 3600 1209600 300
@ 60 IN NS ns
ns 60 IN A 127.0.0.3
{delegation}
"""


class Beds:
    """The zone's server, and that of the zone above."""

    def __init__(self, directory, build):
        self.directory = directory
        self.serial = 0
        self.child = peers.Lethed(os.path.join(directory, "c"), {"zone.example.": self.file("zone", CHILD)},
                                  build)
        self.parent_file = self.write_parent("")
        port = peers.free_port()
        self.parent = peers.Lethed(os.path.join(directory, "p"), {"example.": self.parent_file}, build,
                                   address="127.0.0.3", port=port)
        self.root = peers.Lethed(os.path.join(directory, "r"), {".": self.file("root", ROOT)}, build,
                                 address="127.0.0.2", port=port)

    def file(self, name, text):
        path = os.path.join(self.directory, name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def write_parent(self, delegation):
        self.serial += 1
        return self.file("parent", PARENT.format(serial=self.serial, delegation=delegation))

    def delegate(self, text):
        """Load the parent anew, with this delegation."""
        self.lethe(self.parent, "zone", "load", "example.", self.write_parent(text))

    def lethe(self, server, *arguments, exit_codes=(0,)):
        done = subprocess.run([server.tool("lethe"), "--db", str(server.db), *arguments],
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode in exit_codes, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def audit(self, *more):
        text = self.lethe(self.child, "audit", "--json", "--findings", "2", "--spread", "0", "--timeout",
                          "1", *more, exit_codes=(0, 1))
        return json.loads(text)[0]

    def expect(self, state, found, doing, *more):
        said = self.audit(*more)
        got = said["state"], said["found"], said["doing"]
        assert got == (state, found, doing), f"{said}, expected {state}, {found}, {doing}"

    def answers(self):
        request = dns.query(peers.name_to_wire("www.zone.example"), 1, ident=7)
        return oddities.ask((self.child.address, self.child.port), request)


def expect_answer(beds, wanted):
    end = time.monotonic() + 20
    while beds.answers() != wanted:
        assert time.monotonic() < end, f"{beds.answers()} instead of {wanted}"
        time.sleep(0.05)


OURS = "zone 1 IN NS ns1.zone\nns1.zone 1 IN A 127.0.0.9"
THEIRS = "zone 1 IN NS ns.other.net."


def run_by_parent(beds):
    parent = ("--parent", f"127.0.0.3@{beds.parent.port}")
    beds.delegate(OURS)
    # What is given once is remembered.
    beds.expect("delegated", "delegated", "served", *parent, "--policy", "withhold", "zone.example")
    beds.expect("delegated", "delegated", "served")
    beds.parent.stop()
    for _ in range(3):
        beds.expect("delegated", "unknown", "served")
    beds.parent.start()
    for gone, name in (("", "undelegated"), (THEIRS, "mismatched")):
        beds.delegate(gone)
        beds.expect("delegated", name, "served")
        time.sleep(1.1)
        beds.expect(name, name, "withheld from now on")
        expect_answer(beds, "REFUSED")
        beds.expect(name, name, "withheld")
        # A load does not bring it back.
        beds.lethe(beds.child, "zone", "load", "zone.example", beds.child.zones["zone.example."])
        expect_answer(beds, "REFUSED")
        listed = json.loads(beds.lethe(beds.child, "zone", "list", "--json"))[0]
        assert listed["state"] == "withheld" and listed["delegation"]["state"] == name, listed
        beds.delegate(OURS)
        beds.expect("delegated", "delegated", "served again")
        expect_answer(beds, "NOERROR")
    # Loaded while its TTL was cut: it has brought its own.
    assert beds.audit()["ns_ttl"] == 3600


def run_cut(beds):
    beds.expect("delegated", "delegated", "served", "--policy", "cut-ttl", "zone.example")
    beds.delegate("")
    beds.expect("delegated", "undelegated", "served")
    beds.expect("undelegated", "undelegated", "served, TTL of NS cut")
    assert beds.audit()["ns_ttl"] == 60
    beds.delegate(OURS)
    beds.expect("delegated", "delegated", "served, TTL of NS as before")
    assert beds.audit()["ns_ttl"] == 3600


def run_by_hints(beds):
    """From the root downwards, for a database that knows of no parent."""
    hints = beds.file("hints", f"a.root. 60 A 127.0.0.2@{beds.root.port}\n")
    beds.lethe(beds.child, "zone", "load", "new.example", beds.child.zones["zone.example."])
    beds.delegate("new 1 IN NS ns1.new\nns1.new 1 IN A 127.0.0.9")
    said = beds.audit("--hints", hints, "new.example")
    assert said["found"] == "delegated", said
    beds.delegate("")
    said = beds.audit("--hints", hints, "new.example")
    assert said["found"] == "undelegated", said
    # Nobody to ask is no finding.
    assert beds.audit("new.example")["found"] == "unknown"
    # The zone above in the same database is asked where nothing else is known.
    beds.lethe(beds.child, "zone", "load", "example.", beds.write_parent(THEIRS.replace("zone", "new")))
    said = beds.audit("new.example")
    assert said["found"] == "mismatched", said
    # And its NS are compared with it when a zone is loaded.
    for cap, is_warned in (("off", True), ("1", False)):
        beds.lethe(beds.child, "db", "set", "ns-ttl-cap", cap)
        done = subprocess.run([beds.child.tool("lethe"), "--db", str(beds.child.db), "zone", "load",
                               "new.example", beds.child.zones["zone.example."]],
                              capture_output=True, text=True, check=True)
        assert ("TTL of 3600" in done.stderr) == is_warned, done.stderr


def referral(request, name="ns.elsewhere.net", glue="", cut=b"\xc0\x0c"):
    """To a name server; where `glue` is an address it comes along."""
    server = peers.name_to_wire(name)
    body = record(dns.NS, server, owner=cut)
    if glue:
        body += record(dns.A, bytes(map(int, glue.split("."))), owner=server)
    return response(request, (0, 1, 1 if glue else 0), body, flags=0x8000)


def nothing(request):
    """There is no such delegation."""
    apex = peers.name_to_wire("example")
    return response(request, (0, 1, 0), record(6, apex + apex + bytes(20), owner=apex), flags=0x8403)


def lower(message):
    end = question_end(message) - 4
    return message[:12] + message[12:end].lower() + message[end:]


def cut(message):
    return response(message, flags=0x8600)


def run_lied_to(beds):
    """Nothing counts against a zone that came over UDP, and nothing for it that would be news."""
    def both(over_udp, over_tcp):
        return lambda request, is_tcp: [(over_tcp if is_tcp else over_udp)(request)]

    none, silent = (lambda request: b""), (lambda request, is_tcp: [])
    for over_udp, over_tcp, found, transports in (
            (referral, none, "delegated", [False]),
            (nothing, nothing, "undelegated", [False, True]),
            (nothing, referral, "delegated", [False, True]),
            (nothing, none, "unknown", [False, True]),
            (cut, referral, "delegated", [False, True]),
            (lambda request: lower(nothing(request)), referral, "delegated", [False, True])):
        beds.lethe(beds.child, "zone", "load", "lied.example", beds.child.zones["zone.example."])
        with BadServer(both(over_udp, over_tcp)) as parent:
            said = beds.audit("--parent", f"127.0.0.1@{parent.port}", "lied.example")
            assert said["found"] == found, (said, parent.asked)
            assert parent.asked == transports, parent.asked
            if found == "undelegated":  # that it is back would be news
                parent.answer, parent.asked = both(referral, nothing), []
                said = beds.audit("lied.example")
                assert said["found"] == "undelegated" and parent.asked == [True], (said, parent.asked)
                parent.answer = both(nothing, referral)
                assert beds.audit("lied.example")["found"] == "delegated"
    # A referral that is a lie leads astray over UDP only.
    apex = peers.name_to_wire("example")
    astray = lambda request: referral(request, "a.example", "127.0.0.1", apex)
    right = lambda request: referral(request, "b.example", "127.0.0.4", apex)
    with contextlib.ExitStack() as running:
        liar = running.enter_context(BadServer(both(nothing, nothing)))
        port = liar.port
        running.enter_context(BadServer(both(astray, right), "127.0.0.2", port))
        running.enter_context(BadServer(both(referral, referral), "127.0.0.4", port))
        said = beds.audit("--parent", f"127.0.0.2@{port}", "lied.example")
        assert said["found"] == "delegated" and liar.asked == [False], (said, liar.asked)
        # Who is silent is not the last one; who says nothing of use neither.
        mute = running.enter_context(BadServer(silent, "127.0.0.3", port))
        lame = running.enter_context(BadServer(lambda r, _: [response(r, flags=0x8005)], "127.0.0.5", port))
        said = beds.audit("--parent", f"127.0.0.3@{port}", "--parent", f"127.0.0.5@{port}", "--parent",
                          f"127.0.0.4@{port}", "lied.example")
        assert said["found"] == "delegated" and mute.asked == [False] * 2 and lame.asked, said


ZONES = 300


def run_many(beds):
    """All zones of a database at once, one after the other with the same parents, one of them mute."""
    names = [f"z{i}.example" for i in range(ZONES)]
    list_file = beds.file("list", "".join(f"{name} {beds.child.zones['zone.example.']}\n" for name in names))
    beds.lethe(beds.child, "zone", "load", "--list", list_file)
    beds.delegate("\n".join(f"z{i} 1 IN NS ns1.z{i}\nns1.z{i} 1 IN A 127.0.0.9"
                            for i in range(ZONES) if i % 10 != 0))
    asked = {}
    with BadServer(lambda request, is_tcp: [], "127.0.0.6", beds.parent.port) as mute:
        text = beds.lethe(beds.child, "audit", "--json", "--timeout", "1", "--parent",
                          f"127.0.0.6@{mute.port}", "--parent", f"127.0.0.3@{beds.parent.port}",
                          exit_codes=(0, 1))
        for said in json.loads(text):
            assert said["zone"] not in asked, said["zone"]
            asked[said["zone"]] = said["found"]
        for i, name in enumerate(names):
            wanted = "delegated" if i % 10 != 0 else "undelegated"
            assert asked[name + "."] == wanted, f"{name}: {asked[name + '.']}"
        # The first of them met it, the others did not wait for it; those that are bad asked all.
        assert len(mute.asked) < ZONES / 2, len(mute.asked)
    # All that is to be withheld is, whatever is removed meanwhile; and all of it comes back.
    commits = lambda: json.loads(beds.lethe(beds.child, "zone", "stat", "--json"))["version"]
    for policy, wanted in (("withhold", "withheld"), ("warn", "serving")):
        before = commits()
        beds.lethe(beds.child, "audit", "--quiet", "--findings", "1", "--spread", "0", "--parent",
                   f"127.0.0.3@{beds.parent.port}", "--policy", policy, exit_codes=(0, 1))
        listed = {zone["zone"]: zone["state"]
                  for zone in json.loads(beds.lethe(beds.child, "zone", "list", "--json"))}
        for i, name in enumerate(names):
            state = wanted if i % 10 == 0 else "serving"
            assert listed[name + "."] == state, f"{name}: {listed[name + '.']}"
        assert commits() - before <= ZONES // 64 + 1, "a commit for many of them"


def run_by_timer(tmp, build):
    """The daemon runs the audit by itself: gone, and back."""
    beds = Beds(tmp, build)
    lethe = beds.child.tool("lethe")
    beds.child.extra = ["--audit-interval", "1", "--audit-findings", "2", "--audit-spread", "1",
                        "--audit-program", lethe]
    with beds.parent, beds.child:
        beds.delegate(OURS)
        beds.audit("--parent", f"127.0.0.3@{beds.parent.port}", "--policy", "withhold", "zone.example")
        expect_answer(beds, "NOERROR")
        beds.delegate(THEIRS)
        expect_answer(beds, "REFUSED")
        beds.parent.stop()  # nobody there is no news
        time.sleep(2.5)
        assert beds.answers() == "REFUSED"
        beds.parent.start()
        beds.delegate(OURS)
        expect_answer(beds, "NOERROR")
    log = beds.child.log()
    assert "withheld from now on" in log and "served again" in log, log


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--build", default="build")
    args = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="lethe-audit-") as tmp:
        beds = Beds(tmp, args.build)
        with beds.child, beds.parent, beds.root:
            for run in (run_by_parent, run_cut, run_by_hints, run_lied_to, run_many):
                run(beds)
                print(f"{run.__name__}: good")
    with tempfile.TemporaryDirectory(prefix="lethe-audit-") as tmp:
        run_by_timer(tmp, args.build)
        print("run_by_timer: good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
