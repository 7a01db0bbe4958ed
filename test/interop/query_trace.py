#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe-query +trace in a small world on loopback addresses: a root, two top-level domains and a zone on
lethed, and servers that refer to where they should not.

    query_trace.py [--build DIR]
"""
import argparse
import contextlib
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import peers
from bad_server import BadServer, record, response

ROOT, TEST, ZONE, EVIL, NOBODY = (f"127.0.0.{n}" for n in (21, 22, 23, 24, 25))
SOA = "@ 60 SOA ns.invalid. admin.invalid. 1 7200 3600 1209600 300\n"
WORLD = {
    ROOT: {".": f"""{SOA}@ 60 NS a.root.
a.root. 60 A {ROOT}
test. 60 NS ns1.test.
test. 60 NS ns2.test.
ns1.test. 60 A {NOBODY}
ns2.test. 60 A {TEST}
other. 60 NS ns.other.
ns.other. 60 A {ZONE}
dead. 60 NS ns.dead.
ns.dead. 60 A {NOBODY}
"""},
    TEST: {"test.": f"""{SOA}@ 60 NS ns2.test.
ns2 60 A {TEST}
zone 60 NS ns.zone
ns.zone 60 A {ZONE}
away 60 NS ns.away.other.
lame 60 NS ns2
evil 60 NS ns.evil
ns.evil 60 A {EVIL}
loop1 60 NS ns.loop2
loop2 60 NS ns.loop1
www 60 A 192.0.2.80
""" + "".join(f"many 60 NS n{i}.loop1\n" for i in range(40))},
    ZONE: {"zone.test.": f"{SOA}@ 60 NS ns\nns 60 A {ZONE}\nwww 60 A 192.0.2.1\nalias 60 CNAME www\n",
           "other.": f"{SOA}@ 60 NS ns\nns 60 A {ZONE}\nns.away 60 A {ZONE}\n",
           "away.test.": f"{SOA}@ 60 NS ns.away.other.\nwww 60 TXT away\n"},
}
failures = []
asked_evil = []


def name(text):
    return peers.name_to_wire(text)


def evil(request, _):
    """Refers upwards, or to a name of somebody else's with an address of its own."""
    asked_evil.append(request)
    labels = request[12:]
    if b"upward" in labels:
        return [response(request, (0, 1, 1), record(2, name("a.root."), owner=b"\0")
                         + record(1, bytes([127, 0, 0, 24]), owner=name("a.root.")), flags=0x8000)]
    if b"stolen" in labels:
        cut = name("stolen.evil.test.")
        return [response(request, (0, 1, 1), record(2, name("ns.away.other."), owner=cut)
                         + record(1, bytes([127, 0, 0, 24]), owner=name("ns.away.other.")), flags=0x8000)]
    if b"sideways" in labels:
        return [response(request, (0, 1, 1), record(2, name("a.root."), owner=name("zone.test."))
                         + record(1, bytes([127, 0, 0, 24]), owner=name("a.root.")), flags=0x8000)]
    if b"deeper" in labels:  # a label more each time
        depth = labels.count(b"\1x") - len(asked_evil) + 1
        cut = name("x." * max(0, 60 - depth) + "deeper.evil.test.")
        return [response(request, (0, 1, 1), record(2, name("ns.evil.test."), owner=cut)
                         + record(1, bytes([127, 0, 0, 24]), owner=name("ns.evil.test.")), flags=0x8000)]
    return [response(request, flags=0x8005)]


def expect(tool, port, hints, words, code, *said, unsaid=()):
    done = subprocess.run([tool, "+trace", "--hints", hints, "-p", str(port), "+time=1", "+tries=1", *words],
                          capture_output=True, text=True, timeout=120, check=False)
    out = done.stdout + done.stderr
    problems = [f"exit code {done.returncode}, not {code}"] * (done.returncode != code)
    problems += [f"{text!r} was not said" for text in said if text not in out]
    problems += [f"{text!r} was said" for text in unsaid if text in out]
    if problems:
        failures.append(f"{words}: {'; '.join(problems)}\n{out}")
    return done.stdout


def try_all(tool, port, hints):
    def check(*arguments, **more):
        return expect(tool, port, hints, *arguments, **more)
    check(["www.zone.test."], 0, "a.root.", "ns1.test.", "Connection refused", f"from {TEST}@", "192.0.2.1",
          f"Received 5", "status: NOERROR\n")
    check(["www.zone.test.", "+short"], 0, unsaid=("NS",))
    check(["nothing.zone.test."], 0, "status: NXDOMAIN", "SOA")
    check(["www.zone.test.", "TXT"], 0, "status: NOERROR", "SOA")
    check(["alias.zone.test."], 0, "CNAME")
    check(["zone.test.", "DS"], 0, f"from {TEST}@", unsaid=(f"from {ZONE}@",))
    check(["www.zone.test.", "+tcp"], 0, "192.0.2.1", "(TCP)")
    check(["www.away.test.", "TXT"], 0, '"away"', f"from {ZONE}@")
    check(["www.lame.test."], 9, "is lame: NOERROR", "no server of lame.test.")
    check(["www.dead."], 9, "Connection refused", "no server of dead.")
    check(["www.loop1.test."], 9, "no server of loop1.test.")
    check(["www.many.test."], 9, "no server of many.test.")
    check(["www.upward.evil.test."], 9, "is lame")
    check(["www.sideways.evil.test."], 9, "is lame")
    check(["www.evil.test."], 9, "is lame: REFUSED")
    asked_evil.clear()
    check(["www.stolen.evil.test.", "TXT"], 9, f"{ZONE}@{port} is lame")
    if len(asked_evil) != 1:
        failures.append(f"a server's address for a name of another zone was believed: {len(asked_evil)} asked")
    asked_evil.clear()
    check(["x." * 60 + "deeper.evil.test."], 9)
    if not 2 < len(asked_evil) <= 200:
        failures.append(f"{len(asked_evil)} queries for a referral that never ends")
    lines = check(["www.zone.test.", "+json"], 0).splitlines()
    steps = [json.loads(line) for line in lines]
    if [step["server"].split("@")[0] for step in steps] != [ROOT, ROOT, TEST, ZONE] or \
            steps[-1]["responseMessage"]["answerRRs"][0]["rdataA"] != "192.0.2.1":
        failures.append(f"JSON: {lines}")
    if any(step["queryMessage"]["RD"] for step in steps):
        failures.append("RD was set")
    check(["--hints", hints + "x", "a."], 8, "No such file")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/plain")
    build = parser.parse_args().build
    tool = str(pathlib.Path(build) / "tools" / "lethe-query")
    with tempfile.TemporaryDirectory(prefix="lethe-trace-") as tmp, contextlib.ExitStack() as stack:
        port = peers.free_port("0.0.0.0")
        for address, zones in WORLD.items():
            place = pathlib.Path(tmp, address)
            place.mkdir()
            for apex, text in zones.items():
                (place / (apex + "zone")).write_text(text)
            stack.enter_context(peers.Lethed(place, {apex: place / (apex + "zone") for apex in zones}, build,
                                             address=address, port=port))
        stack.enter_context(BadServer(evil, EVIL, port))
        hints = pathlib.Path(tmp, "hints")
        hints.write_text(f"; the root\n. 60 NS a.root.\na.root. 3600000 A {ROOT}\n")
        try_all(tool, port, str(hints))
    for text in failures[:10]:
        print("FAIL", text[:3000])
    return 1 if failures else 0


sys.exit(main())
