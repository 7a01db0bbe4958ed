#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Ask lethed, NSD and Knot DNS the same questions and compare what they say.

    differential.py [--build DIR] [--quick] [--zones a,b] [--servers lethed,nsd,knot]

Per zone 20,000 questions (2,000 with --quick), each without EDNS, with EDNS, and with DO.  Answers
that are truncated are asked for again over TCP.  The first server is the one that is judged; every
difference must be listed in rules.py.  Exit code 0: it is; 1: it is not; 77: cannot run here.
"""
import argparse
import collections
import lzma
import multiprocessing
import pathlib
import random
import shutil
import sys
import tempfile
import time

import ask
import message as dns
import peers
import questions
import rules

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
SEED = 20260805
COUNT, QUICK = 20000, 2000
SHOWN = 12
PEER_SIZE = ("--tcp", "kernel", "--udp-payload", "4096")  # as NSD and Knot are configured

EXAMPLES = ["example.", "nsec.example.", "nsec3.example.", "plain.example.", "dname.example.",
            "child.nsec.example.", "child.nsec3.example.", "child.plain.example."]
# name of the test -> zones on the servers, zone that is asked about
SETS = {
    "root": (["."], "."),
    "gov": (["gov."], "gov."),
    "nsec": (EXAMPLES, "nsec.example."),
    "nsec3": (EXAMPLES, "nsec3.example."),
    "plain": (EXAMPLES, "plain.example."),
    "children": (EXAMPLES, ["example.", "dname.example.", "child.nsec.example.",
                            "child.nsec3.example.", "child.plain.example."]),
}
FILES = {".": "root.zone.xz", "gov.": "gov.zone.xz"}


def unpack(apex, directory):
    """The zone's file, decompressed into `directory`."""
    path = DATA / FILES[apex] if apex in FILES else DATA / "zones" / f"{apex}zone.xz"
    target = pathlib.Path(directory, "root.zone" if apex == "." else f"{apex}zone")
    if not target.exists():
        target.write_bytes(lzma.decompress(path.read_bytes()))
    return target


class Variant:
    """One way to ask a question."""

    __slots__ = ("qname", "qtype", "payload", "do", "flags")

    def __init__(self, qname, qtype, payload, do, flags):
        self.qname, self.qtype, self.payload, self.do, self.flags = qname, qtype, payload, do, flags

    def message(self):
        return dns.query(self.qname, self.qtype, flags=self.flags, payload=self.payload, do=self.do)

    def limit(self):
        return max(512, self.payload or 512)

    def dig(self, server):
        options = f"+bufsize={self.payload}" if self.payload else "+noedns"
        options += " +dnssec" if self.do else ""
        options += " +rec" if self.flags & dns.RD else " +norec"
        options += " +adflag" if self.flags & dns.AD else " +noadflag"
        options += " +cd" if self.flags & dns.CD else ""
        return (f"dig @{server[0]} -p {server[1]} +ignore +nocookie {options} "
                f"'{dns.text(self.qname)}' {dns.type_text(self.qtype)}")


def variants(asked, seed):
    r = random.Random(seed)
    out = []
    for qname, qtype in asked:
        for payload, do in ((None, False), (r.choice((1232, 4096)), False),
                            (r.choice((1232, 1232, 4096)), True)):
            flags = r.choice((0, 0, dns.RD)) | r.choice((0,) * 7 + (dns.CD,)) | \
                r.choice((0,) * 7 + (dns.AD,))
            out.append(Variant(qname, qtype, payload, do, flags))
    return out


class Tally:
    """Counts of one run, or of a part of it."""

    def __init__(self, peer_names):
        self.asked = 0
        self.tcp = 0
        self.agree = dict.fromkeys(peer_names, 0)
        self.explained = dict.fromkeys(peer_names, 0)
        self.failed = dict.fromkeys(peer_names, 0)
        self.listed = collections.Counter()
        self.failures = {}  # signature -> [count, dig command, text]
        self.broken = {}    # what is wrong with our own answer -> [count, dig command]

    def add(self, other):
        self.asked += other.asked
        self.tcp += other.tcp
        for mine, more in ((self.agree, other.agree), (self.explained, other.explained),
                           (self.failed, other.failed)):
            for peer, count in more.items():
                mine[peer] += count
        self.listed.update(other.listed)
        for mine, more in ((self.failures, other.failures), (self.broken, other.broken)):
            for key, entry in more.items():
                if key in mine:
                    mine[key][0] += entry[0]
                else:
                    mine[key] = entry

    def note(self, where, key, *rest):
        entry = where.setdefault(key, [0, *rest])
        entry[0] += 1


def facts(response):
    return (response.word, frozenset(response.answer), frozenset(response.authority),
            frozenset(response.additional), rules.opt_facts(response))


class Judge:
    def __init__(self, zone, apexes, servers, tally):
        self.zone = zone
        self.apexes = apexes  # of all zones on the servers
        self.servers = servers  # [(name, (address, port))], ours first
        self.tally = tally
        self.rules = {name: [rule for rule in rules.RULES if rule.peer == name]
                      for name, _ in servers[1:]}

    def parse(self, variant, raw, number):
        """One server's answer; None when there is none or it is broken, which is noted for ours."""
        fault = None
        response = None
        if raw is None:
            fault = "no answer"
        else:
            try:
                response = dns.parse(raw)
                fault = response.faults
            except dns.Malformed as error:
                fault = f"malformed: {error}"
        if number == 0:
            fault = fault or self.own_fault(variant, response)
            if fault:
                self.tally.note(self.tally.broken, fault, variant.dig(self.servers[0][1]))
        return response

    def own_fault(self, variant, response):
        """What must hold for our answer, whatever the others say."""
        query = variant.message()
        if response.question != query[12:len(variant.qname) + 16]:
            return "the question is not echoed octet by octet"
        for section in (response.answer, response.authority, response.additional):
            if len(set(section)) != len(section):
                return "a record stands twice in a section"
        if (response.opt is None) != (variant.payload is None):
            return "OPT in the response without OPT in the query, or the reverse"
        return None

    def compare(self, variant, ours, theirs, peer):
        """True: the same or explained; else the case with what is left."""
        if facts(ours) == facts(theirs):
            self.tally.agree[peer] += 1
            return True
        case = self.case(variant, ours, theirs)
        used = []
        for rule in self.rules[peer]:
            if rule.apply(case):
                used.append(rule.name)
                if case.ours.facts() == case.theirs.facts():
                    break
        if case.ours.facts() == case.theirs.facts():
            self.tally.explained[peer] += 1
            self.tally.listed.update((name, peer) for name in used)
            return True
        return case

    def case(self, variant, ours, theirs):
        case = rules.Case()
        case.zone, case.apexes = self.zone, self.apexes
        case.qname, case.qtype = variant.qname.lower(), variant.qtype
        case.do, case.edns = variant.do, variant.payload is not None
        case.ours, case.theirs = rules.Side(ours), rules.Side(theirs)
        return case

    def fail(self, variant, case, peer, over):
        self.tally.failed[peer] += 1
        signature = f"{self.servers[0][0]} - {peer} ({over}): {difference(case)}"
        self.tally.note(self.tally.failures, signature, variant.dig(self.servers[0][1]),
                        detail(case, self.servers[0][0], peer))


def difference(case):
    """The kind of a difference, so that like cases fall together."""
    ours, theirs = case.ours, case.theirs
    parts = []
    if ours.rcode != theirs.rcode:
        parts.append(f"rcode {dns.RCODES.get(ours.rcode, ours.rcode)}"
                     f"/{dns.RCODES.get(theirs.rcode, theirs.rcode)}")
    for name in ("AA", "TC", "RD", "RA", "AD", "CD"):
        bit = getattr(dns, name)
        if (ours.word ^ theirs.word) & bit:
            parts.append(f"{'+' if ours.word & bit else '-'}{name}")
    if ours.opt != theirs.opt:
        parts.append(f"OPT {ours.opt}/{theirs.opt}")
    for section in ("answer", "authority", "additional"):
        a, b = getattr(ours, section), getattr(theirs, section)
        for sign, extra in (("+", a - b), ("-", b - a)):
            if extra:
                kinds = sorted({dns.type_text(record[1]) for record in extra})
                parts.append(f"{section} {sign}{','.join(kinds)}")
    kind = dns.type_text(case.qtype) if case.qtype in (dns.ANY, dns.DS, dns.RRSIG, dns.NSEC) else "x"
    return f"[{kind}{' DO' if case.do else ''}] " + "; ".join(parts)


def detail(case, our_name, peer):
    lines = []
    for section in ("answer", "authority", "additional"):
        a, b = getattr(case.ours, section), getattr(case.theirs, section)
        for name, extra in ((our_name, a - b), (peer, b - a)):
            for record in sorted(extra)[:6]:
                lines.append(f"      only {name}: {section}: {dns.record_text(record)}")
    return "\n".join(lines)


def run_part(zone, apexes, servers, todo):
    """Ask and judge one part of the questions, in a process of its own."""
    tally = Tally([name for name, _ in servers[1:]])
    judge = Judge(zone, apexes, servers, tally)
    again = []
    for start, answers in ask.udp([server for _, server in servers],
                                  [variant.message() for variant in todo]):
        for place in range(len(answers[0])):
            variant = todo[start + place]
            tally.asked += 1
            responses = [judge.parse(variant, raw[place], number)
                         for number, raw in enumerate(answers)]
            if judge_udp(judge, variant, responses):
                again.append((variant, responses))
    ask_again(judge, servers, again)
    return tally


def judge_udp(judge, variant, responses):
    """True: this one must be asked over TCP to be judged."""
    ours = responses[0]
    if ours is None:
        return False
    crowded = any(r is not None and (r.truncated or len(r.raw) > variant.limit() - 300)
                  for r in responses)
    left = []
    for (peer, _), theirs in zip(judge.servers[1:], responses[1:]):
        if theirs is None:
            judge.tally.failed[peer] += 1
            judge.tally.note(judge.tally.failures, f"{peer}: no answer or a malformed one",
                             variant.dig(judge.servers[0][1]), "")
        elif crowded:
            left.append(peer)
        else:
            case = judge.compare(variant, ours, theirs, peer)
            if case is not True:
                judge.fail(variant, case, peer, "UDP")
    return bool(left)


def ask_again(judge, servers, again):
    """What was too large for UDP: compare the whole answers, and ours over UDP with ours over TCP."""
    if not again:
        return
    messages = [variant.message() for variant, _ in again]
    whole = [ask.tcp(server, messages) for _, server in servers]
    for place, (variant, responses) in enumerate(again):
        judge.tally.tcp += 1
        full = [judge.parse(variant, raw[place], number) for number, raw in enumerate(whole)]
        if full[0] is None:
            continue
        fault = udp_against_tcp(variant, responses[0], full[0])
        if fault:
            judge.tally.note(judge.tally.broken, fault, variant.dig(servers[0][1]))
        for (peer, _), theirs, short in zip(servers[1:], full[1:], responses[1:]):
            if theirs is None or short is None:
                continue
            case = judge.compare(variant, full[0], theirs, peer)
            if case is not True:
                judge.fail(variant, case, peer, "TCP")


def udp_against_tcp(variant, short, full):
    """RFC 2181 section 9, RFC 9471: what a response over UDP may leave out, and when it says TC."""
    if len(short.raw) > variant.limit():
        return "larger than the requestor's payload size"
    if len(full.raw) <= variant.limit() and short.raw[2:] != full.raw[2:]:
        return "the whole answer would have fitted, and is another over TCP"
    if short.word | dns.TC != full.word | dns.TC:
        return "other flags over UDP than over TCP"
    if not set(short.additional) <= set(full.additional):
        return "additional records over UDP that are not there over TCP"
    if not short.truncated:
        if set(short.answer) != set(full.answer) or set(short.authority) != set(full.authority):
            return "answer or authority section incomplete without TC"
        if rrsets(full.additional, rrsets(short.additional)) != rrsets(short.additional):
            return "part of an RRset in the additional section"
        if is_glue_missing(short, full):
            return "in-domain glue left out without TC (RFC 9471)"
    return None


def rrsets(records, wanted=None):
    """(owner, type, type covered) -> records; only of those wanted, if given."""
    out = {}
    for record in records:
        key = (record[0], record[1], record[4][:2] if record[1] == dns.RRSIG else None)
        if wanted is None or key in wanted:
            out.setdefault(key, set()).add(record)
    return out


def is_glue_missing(short, full):
    if full.answer or full.word & dns.AA:
        return False
    cuts = {record[0] for record in full.authority if record[1] == dns.NS}
    missing = set(full.additional) - set(short.additional)
    return any(dns.is_below(record[0], cut) for record in missing for cut in cuts)


_job = None


def run_job(part):
    zone, apexes, servers, todo = _job
    return run_part(zone, apexes, servers, todo[part::processes()])


def processes():
    return max(1, min(4, multiprocessing.cpu_count()))


def run_questions(zone, apexes, servers, todo):
    global _job
    _job = (zone, apexes, servers, todo)
    total = Tally([name for name, _ in servers[1:]])
    with multiprocessing.get_context("fork").Pool(processes()) as pool:
        for tally in pool.imap_unordered(run_job, range(processes())):
            total.add(tally)
    return total


def make_servers(names, directory, zones, build):
    made = []
    for name in names:
        if name == "lethed":
            made.append(peers.Lethed(directory, zones, build, PEER_SIZE))
        else:
            made.append({"nsd": peers.Nsd, "knot": peers.Knot}[name](directory, zones))
    return made


def run_set(title, names, build, count):
    """One set of zones on all servers; returns the tally."""
    apexes, targets = SETS[title]
    targets = [targets] if isinstance(targets, str) else targets
    with tempfile.TemporaryDirectory(prefix="lethe-differential-") as tmp:
        zones = {apex: unpack(apex, tmp) for apex in apexes}
        servers = make_servers(names, tmp, zones, build)
        try:
            for server in servers:
                server.start()
            addresses = [(server.name, (server.address, server.port)) for server in servers]
            source = [a for n, a in addresses if n == "knot"][0]
            wires = [peers.name_to_wire(apex) for apex in apexes]
            total = Tally(names[1:])
            for apex in targets:
                wire = peers.name_to_wire(apex)
                zone = questions.Zone(wire, questions.transfer(source, wire))
                asked = questions.Generator(zone, SEED).questions(count // len(targets))
                total.add(run_questions(zone, wires, addresses, variants(asked, SEED)))
            for server in servers:
                if server.process.poll() is not None:
                    raise peers.ServerError(f"{server.name} died:\n{server.log()}")
            return total
        finally:
            for server in servers:
                server.stop()


def report(title, tally, seconds):
    print(f"{title}: {tally.asked} questions asked of each server, {tally.tcp} of them over TCP "
          f"too, {seconds:.0f} s")
    for peer in tally.agree:
        print(f"  {peer:5} {tally.agree[peer]:7} equal  {tally.explained[peer]:7} listed  "
              f"{tally.failed[peer]:7} unlisted")
    for fault, entry in sorted(tally.broken.items()):
        print(f"  BROKEN x{entry[0]}: {fault}\n    {entry[1]}")
    worst = sorted(tally.failures.items(), key=lambda item: -item[1][0])
    for signature, entry in worst[:SHOWN]:
        print(f"  UNLISTED x{entry[0]}: {signature}\n    {entry[1]}\n{entry[2]}")
    if len(worst) > SHOWN:
        print(f"  ... and {len(worst) - SHOWN} more kinds")
    sys.stdout.flush()


def report_rules(total, names, all_sets):
    """The list of differences; returns the number of rules that found nothing."""
    print("\nlisted differences:")
    idle = 0
    for rule in rules.RULES:
        for peer in names[1:]:
            if rule.peer != peer:
                continue
            count = total.listed[(rule.name, peer)]
            print(f"  {count:7}  {peer:5} {rule.name}: {rule.description} "
                  f"[{rule.decides}; {rule.deviates}]")
            if count == 0 and all_sets:
                print("           ^ found nothing: take it off the list")
                idle += 1
    return idle


def main():
    global SHOWN
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", default="build", help="meson build directory")
    options.add_argument("--quick", action="store_true", help=f"{QUICK} questions per zone")
    options.add_argument("--zones", default=",".join(SETS), help="default: %(default)s")
    options.add_argument("--servers", default="lethed,nsd,knot", help="the first is judged")
    options.add_argument("--kinds", type=int, default=SHOWN, help="kinds of failures to show")
    args = options.parse_args()
    SHOWN = args.kinds
    names, titles = args.servers.split(","), args.zones.split(",")
    for program in {"nsd": "nsd", "knot": "knotd"}.values():
        if shutil.which(program) is None:
            print(f"SKIPPED: {program} is not installed")
            return 77
    peers.limit_core_dumps()
    total = Tally(names[1:])
    for title in titles:
        start = time.monotonic()
        tally = run_set(title, names, args.build, QUICK if args.quick else COUNT)
        report(title, tally, time.monotonic() - start)
        total.add(tally)
    idle = report_rules(total, names, set(titles) == set(SETS) and not args.quick)
    failed = sum(total.failed.values()) + sum(entry[0] for entry in total.broken.values())
    print(f"\n{total.asked} questions x {len(names)} servers; {failed} unlisted differences or "
          f"faults, {idle} idle rules")
    return 1 if failed or idle else 0


if __name__ == "__main__":
    sys.exit(main())
