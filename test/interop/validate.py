#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Let a validating resolver judge lethed's answers.

    validate.py [--build DIR] [--count N] [--tcp]

Thousands of questions per signed zone go to lethed itself and to an Unbound that knows only
lethed's zones and their trust anchor.  What lethed answers with authority from signed zones must
come out of Unbound as secure, with the same rcode; only what an opt-out span or an insecure
delegation explains may be insecure.  Exit code 0, 1, or 77: cannot run here.
"""
import argparse
import base64
import collections
import lzma
import pathlib
import random
import shutil
import struct
import sys
import tempfile
import time

import ask
import differential
import message as dns
import peers
import proofs
import questions

SEED = 20260806
COUNT = 6000
CHAIN = 8  # Unbound gives up after 11 links
NOT_ASKED = {dns.ANY, dns.RRSIG, dns.NSEC3, dns.TYPES["NSEC3PARAM"]}  # no signed answer by design
SIZE = 16384  # larger RRsets do not fit into Unbound's buffer for canonical form
KEYS = pathlib.Path(differential.DATA, "zones", "keys")


def example_anchor():
    """The DNSKEY of example., which is the root of the tests' own hierarchy."""
    (path,) = KEYS.glob("Kexample.+*.key")
    return [line for line in path.read_text().splitlines() if not line.startswith(";")]


def root_anchor():
    """The root's key-signing keys as they stand in the zone, if their key tags are IANA's."""
    found = []
    text = lzma.decompress((differential.DATA / "root.zone.xz").read_bytes()).decode()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 6 and fields[3] == "DNSKEY" and fields[4] == "257" and fields[0] == ".":
            if key_tag(fields[4:]) in (20326, 38696):
                found.append(" ".join(fields))
    if not found:
        sys.exit("validate: the root zone has no DNSKEY with key tag 20326 or 38696")
    return found


def key_tag(fields):
    """RFC 4034 appendix B."""
    rdata = struct.pack("!HBB", *map(int, fields[:3])) + base64.b64decode("".join(fields[3:]))
    total = sum(octet if i & 1 else octet << 8 for i, octet in enumerate(rdata))
    return (total + (total >> 16)) & 0xFFFF


class Expectation:
    """What a validator must think of one answer, from the answer itself."""

    def __init__(self, zones, apexes, secure):
        self.zones, self.apexes, self.secure = zones, apexes, secure

    def place(self, name, qtype):
        if qtype == dns.DS and name[0]:
            name = dns.parent(name)
        return max((apex for apex in self.apexes if dns.is_below(name, apex)), key=len, default=None)

    def of(self, response, qname, qtype):
        """"secure", "either", or None: not for a validator."""
        if response.rcode not in (0, 3) or not response.word & dns.AA or \
                is_beyond_unbound(response, qname, qtype):
            return None
        targets = {r[0]: r[4] for r in response.answer if r[1] == dns.CNAME}
        name = qname
        for _ in range(CHAIN):
            if name not in targets:
                break
            if self.place(name, qtype) not in self.secure:
                return "either"
            name = targets[name]
        else:
            return None
        place = self.place(name, qtype)
        if place is None or any(r[1] == dns.NS for r in response.authority):
            return None  # leads out of our zones
        if place not in self.secure:
            return "either"
        denial = proofs.Denial(response.authority)
        # a covering NSEC3 with opt-out proves no more than "no secure name" (RFC 5155 9.2)
        if any(n.flags & proofs.OPT_OUT and not n.matches(name) for n in denial.nsec3):
            return "either"
        return "secure"


def is_beyond_unbound(response, qname, qtype):
    """What Unbound 1.17 cannot validate, whoever answers."""
    if len(response.raw) > SIZE or response.truncated:
        return True
    # follows a CNAME that it has in its cache, though the NSEC beside it was asked for
    if qtype == dns.NSEC and any(dns.CNAME in proofs.Nsec(r[0], r[4]).types
                                 for r in response.answer if r[1] == dns.NSEC):
        return True
    # wants signatures on the CNAME that a DNAME makes, if one of the two types is asked for
    if qtype in (dns.CNAME, dns.DNAME) and any(r[1] == dns.DNAME for r in response.answer):
        return True
    # does not take "*" as the first label of a name that another wildcard stands for
    return any(r[1] == dns.RRSIG and r[0][:2] == b"\1*" and r[4][3] < len(dns.labels(r[0])) - 1
               for r in response.answer)


def make_questions(generators, count):
    """What a referral would answer becomes a question for the DS of the cut."""
    out = {}
    for generator in generators:
        for qname, qtype in generator.questions(count):
            cut = generator.zone.cut_above(qname.lower())
            if cut:
                qname, qtype = cut, dns.DS
            if qtype not in NOT_ASKED:
                out.setdefault((qname.lower(), qtype), (qname, qtype))
    out = list(out.values())
    random.Random(SEED).shuffle(out)
    return out


def validate(title, apexes, targets, secure, anchors, build, count, settings):
    """Returns the number of answers that are not as they should be."""
    wires = {apex: peers.name_to_wire(apex) for apex in apexes}
    with tempfile.TemporaryDirectory(prefix="lethe-validate-") as tmp:
        files = {apex: differential.unpack(apex, tmp) for apex in apexes}
        with peers.Knot(tmp, files) as knot:
            source = (knot.address, knot.port)
            zones = {apex: questions.Zone(wires[apex], questions.transfer(source, wires[apex]))
                     for apex in targets}
        with peers.Lethed(tmp, files, build) as lethed:
            stub = [f"{lethed.address}@{lethed.port}"]
            with peers.Unbound(tmp, dict.fromkeys(apexes, stub), anchors, settings) as unbound:
                asked = make_questions([questions.Generator(zone, SEED)
                                        for zone in zones.values()], count)
                expect = Expectation(zones, set(wires.values()), {wires[apex] for apex in secure})
                bad = judge(title, asked, expect, lethed, unbound)
                if bad:
                    print(unbound.log())
            with peers.Unbound(tmp, dict.fromkeys(apexes, stub), [damaged(anchors[-1])],
                               settings) as unbound:
                return bad + judge_wrong_anchor(asked, unbound)


def judge(title, asked, expect, lethed, unbound):
    start = time.monotonic()
    told = {}
    direct = [dns.query(qname, qtype, payload=1232, do=True) for qname, qtype in asked]
    for at, (answers,) in ask.udp([(lethed.address, lethed.port)], direct):
        for place, raw in enumerate(answers):
            told[at + place] = dns.parse(raw)
    truncated = [number for number, response in told.items() if response.truncated]
    whole = ask.tcp((lethed.address, lethed.port), [direct[number] for number in truncated])
    told.update((number, dns.parse(raw)) for number, raw in zip(truncated, whole))

    wanted = {number: expect.of(told[number], asked[number][0].lower(), asked[number][1])
              for number in told}
    todo = [number for number, want in wanted.items() if want]
    counts, failures = collections.Counter(), []
    queries = [dns.query(*asked[number], flags=dns.RD | dns.AD, payload=1232) for number in todo]
    for at, (answers,) in ask.udp([(unbound.address, unbound.port)], queries):
        for place, raw in enumerate(answers):
            number = todo[at + place]
            verdict = verdict_of(raw, told[number], wanted[number])
            counts[verdict] += 1
            if verdict not in ("secure", "insecure by design"):
                failures.append((verdict, number))
    seconds = time.monotonic() - start
    kinds = ", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items()))
    print(f"{title}: {len(asked)} questions, {len(todo)} for the validator: {kinds} ({seconds:.0f} s)")
    for verdict, number in failures[:10]:
        qname, qtype = asked[number]
        print(f"  {verdict}: dig @{lethed.address} -p {lethed.port} +dnssec '{dns.text(qname)}' "
              f"{dns.type_text(qtype)}")
    if counts["secure"] < len(asked) // 4:
        print(f"  only {counts['secure']} secure answers: the test does not test")
        return len(failures) + 1
    return len(failures)


def damaged(anchor):
    """The key with another octet in its middle."""
    place = len(anchor) - 24
    return anchor[:place] + ("A" if anchor[place] != "A" else "B") + anchor[place + 1:]


def judge_wrong_anchor(asked, unbound):
    """The judge can say no: with a wrong trust anchor nothing is secure."""
    queries = [dns.query(*question, flags=dns.RD | dns.AD, payload=1232) for question in asked[:96]]
    secure = 0
    for _, (answers,) in ask.udp([(unbound.address, unbound.port)], queries):
        secure += sum(raw is not None and bool(dns.parse(raw).word & dns.AD) for raw in answers)
    if secure:
        print(f"  {secure} answers are secure with a wrong trust anchor: the test does not test")
    return secure


def verdict_of(raw, ours, want):
    if raw is None:
        return "NO ANSWER from the validator"
    response = dns.parse(raw)
    if response.rcode == 2:
        return "BOGUS"
    if response.rcode != ours.rcode:
        return "OTHER RCODE"
    if response.word & dns.AD:
        return "secure"
    return "insecure by design" if want == "either" else "INSECURE"


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", default="build")
    options.add_argument("--count", type=int, default=COUNT, help="questions per zone")
    options.add_argument("--tcp", action="store_true", help="Unbound asks over TCP")
    args = options.parse_args()
    for program in ("unbound", "knotd"):
        if shutil.which(program) is None:
            print(f"SKIPPED: {program} is not installed")
            return 77
    peers.limit_core_dumps()
    settings = ["tcp-upstream: yes"] if args.tcp else []
    secure = [apex for apex in differential.EXAMPLES if not apex.endswith("plain.example.")]
    bad = validate("root", ["."], ["."], ["."], root_anchor(), args.build, args.count, settings)
    for targets in (["nsec.example."], ["nsec3.example."],
                    ["example.", "dname.example.", "child.nsec.example.", "child.nsec3.example."]):
        bad += validate(" ".join(targets), differential.EXAMPLES, targets, secure,
                        example_anchor(), args.build, args.count // len(targets), settings)
    print(f"{bad} answers not as they should be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
