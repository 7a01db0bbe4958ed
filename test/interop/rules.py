# SPDX-License-Identifier: BSD-2-Clause
"""Differences between servers that are allowed, each with what decides.

A rule looks at one question and two answers (ours, the peer's; sections are sets that it may
change), takes away the difference that it describes and says whether there was any.  What remains
different after all rules is a failure; a rule that finds nothing any more is one too."""


import message as dns
import proofs

NSECS = {dns.NSEC, dns.NSEC3}
SERVICES = {dns.SVCB, dns.HTTPS}
CHAIN = 16  # links of a chain that we follow


class Case:
    """One question and the two answers to it, as far as they still differ."""

    __slots__ = ("zone", "apexes", "qname", "qtype", "do", "edns", "ours", "theirs")

    def apex_of(self, name):
        """The zone on the servers that a name is in."""
        return max((apex for apex in self.apexes if dns.is_below(name, apex)), key=len, default=None)

    def settle(self):
        """The rest of the difference follows from what a rule has found."""
        self.theirs = self.ours


class Side:
    __slots__ = ("word", "rcode", "answer", "authority", "additional", "opt")

    def __init__(self, response):
        self.word = response.word
        self.rcode = response.rcode
        self.answer = set(response.answer)
        self.authority = set(response.authority)
        self.additional = set(response.additional)
        self.opt = opt_facts(response)

    def facts(self):
        return (self.word, self.answer, self.authority, self.additional, self.opt)


def opt_facts(response):
    """Of the OPT record: extended rcode, version, flags."""
    return response.opt[1:4] if response.opt else None


class Rule:
    def __init__(self, peer, name, deviates, decides, description, apply):
        self.name, self.peer, self.deviates = name, peer, deviates
        self.decides, self.description, self.apply = decides, description, apply


RULES = []


def rule(peer, deviates, decides, description):
    """Put a function on the list; its name is the rule's."""
    def put(apply):
        for one in peer.split():
            RULES.append(Rule(one, apply.__name__, deviates, decides, description, apply))
        return apply
    return put


# ---- what the rules look at ----

def is_same_header(case):
    return case.ours.word == case.theirs.word and case.ours.opt == case.theirs.opt


def covered(record):
    """The type of a record, or the type that an RRSIG covers."""
    return record[4][0] << 8 | record[4][1] if record[1] == dns.RRSIG else record[1]


def is_only_nsecs(records):
    return all(covered(record) in NSECS for record in records)


def is_exists(case, name):
    return name in case.zone.all_names


def is_equal_but(case, *sections):
    """Nothing differs but the named sections."""
    return is_same_header(case) and all(
        getattr(case.ours, section) == getattr(case.theirs, section)
        for section in ("answer", "authority", "additional") if section not in sections)


def chain(side, qname):
    """The names that the CNAMEs of an answer lead through."""
    targets = {r[0]: r[4] for r in side.answer if r[1] == dns.CNAME}
    names = [qname]
    while names[-1] in targets and targets[names[-1]] not in names:
        names.append(targets[names[-1]])
    return names


# ---- chains ----

@rule("knot", "Knot", "RFC 1034 4.3.2 step 3a",
      "a chain that leaves the zone for another on the same server is not followed there")
def other_zone_not_entered(case):
    names = chain(case.ours, case.qname)
    # DS lies in the zone above the cut
    is_ds = case.qtype == dns.DS
    places = [case.apex_of(name if not is_ds else dns.parent(name)) for name in names]
    home = places[0]
    if all(place == home for place in places) or not case.theirs.answer <= case.ours.answer:
        return False
    first = names[[place == home for place in places].index(False)]
    if first not in chain(case.theirs, case.qname):
        return False
    case.settle()
    return True


@rule("nsd knot", "nobody", "RFC 1034 3.6.2",
      f"a long chain or a loop is cut off elsewhere (Lethe: after {CHAIN} names)")
def chain_cut_off(case):
    ours, theirs = chain(case.ours, case.qname), chain(case.theirs, case.qname)
    if len(theirs) < 2 or len(ours) < 6 or len(theirs) >= len(ours) or \
            ours[:len(theirs)] != theirs or not case.theirs.answer <= case.ours.answer:
        return False
    case.settle()
    return True


@rule("nsd", "NSD", "RFC 1034 4.3.2 step 3a, RFC 5155 7.2.8",
      "QTYPE NSEC3 does not follow CNAMEs and stops at a wildcard")
def nsec3_asked(case):
    if case.qtype != dns.NSEC3 or not case.theirs.answer < case.ours.answer:
        return False
    case.settle()
    return True


@rule("knot", "nobody", "RFC 4035 2.5",
      "QTYPE NSEC or RRSIG at a CNAME that has none: no data, since they may stand beside a CNAME")
def nsec_asked_at_cname(case):
    end = chain(case.theirs, case.qname)[-1]
    if case.qtype not in (dns.NSEC, dns.RRSIG) or not case.theirs.answer < case.ours.answer or \
            not any(r[:2] == (end, dns.CNAME) for r in case.ours.answer):
        return False
    case.settle()
    return True


@rule("knot", "Knot", "RFC 6672 2.2, 3.2",
      "a DNAME that makes a name too long: NXDOMAIN instead of YXDOMAIN, or an SOA with it")
def overflow_not_told(case):
    if case.ours.rcode != 6 or case.theirs.rcode not in (3, 6) or \
            not any(r[1] == dns.DNAME for r in case.theirs.answer):
        return False
    case.settle()
    return True


# ---- ANY and RRSIG ----

@rule("nsd knot", "nobody", "RFC 8482 4.1", "ANY: which RRset of the name is sent")
def any_other_subset(case):
    if case.qtype != dns.ANY or not is_equal_but(case, "answer", "authority", "additional"):
        return False
    mine, other = case.ours.answer - case.theirs.answer, case.theirs.answer - case.ours.answer
    name = chain(case.ours, case.qname)[-1]
    if not mine and not other or any(record[0] != name for record in mine | other):
        return False
    if not any(r[0] == name for r in case.ours.answer) or \
            not any(r[0] == name for r in case.theirs.answer):
        return False
    case.theirs.answer = set(case.ours.answer)
    return True


@rule("knot", "Knot", "RFC 4035 3.1.1", "RRSIG: only some of the name's signatures are sent")
def rrsig_subset(case):
    if case.qtype != dns.RRSIG or not is_equal_but(case, "answer", "authority"):
        return False
    missing = case.ours.answer - case.theirs.answer
    if not missing or not case.theirs.answer < case.ours.answer or \
            any(record[1] != dns.RRSIG for record in missing):
        return False
    if not any(r[1] == dns.RRSIG and r[0] == next(iter(missing))[0] for r in case.theirs.answer):
        return False
    case.theirs.answer = set(case.ours.answer)
    return True


# ---- proofs ----

def differing_proofs(case):
    """What differs in the authority section, if it is nothing but NSEC and NSEC3."""
    mine = case.ours.authority - case.theirs.authority
    other = case.theirs.authority - case.ours.authority
    if not case.do or not mine | other or not is_only_nsecs(mine | other) or \
            not is_equal_but(case, "authority", "additional"):
        return None
    return mine, other


def take_proofs(case):
    case.theirs.authority = set(case.ours.authority)
    return True


def is_missing_proof(case):
    """Ours proves what it says, theirs does not."""
    return differing_proofs(case) is not None and \
        proofs.is_proven(case.ours, case.qname, case.qtype) and \
        not proofs.is_proven(case.theirs, case.qname, case.qtype)


@rule("nsd", "NSD", "RFC 4035 3.1.3.2, 3.1.3.3",
      "behind a DNAME the NSEC of another name is sent, instead of the one that proves or beside it")
def proof_behind_dname(case):
    if not any(r[1] == dns.DNAME for r in case.ours.answer) or differing_proofs(case) is None or \
            not proofs.is_proven(case.ours, case.qname, case.qtype):
        return False
    return take_proofs(case)


@rule("nsd", "NSD", "RFC 5155 7.2.1",
      "below an empty non-terminal without NSEC3 (opt-out) no closest encloser is proven")
def proof_below_opt_out(case):
    if not any(r[1] == dns.NSEC3 for r in case.ours.authority) or not is_missing_proof(case):
        return False
    return take_proofs(case)


@rule("nsd", "NSD", "RFC 4035 3.1.3.1, RFC 5155 7.2.5",
      "a name that begins with * gets proofs of a wildcard that it does not need")
def proof_for_star(case):
    found = differing_proofs(case)
    name = chain(case.ours, case.qname)[-1]
    if found is None or found[0] or name[:2] != b"\1*" or \
            not proofs.is_proven(case.ours, case.qname, case.qtype):
        return False
    return take_proofs(case)


@rule("knot", "Knot", "RFC 4034 6.1",
      "names with octet 0 or 1 sort wrongly: the NSEC sent does not cover the name, or none is found")
def proof_beside_zero_octet(case):
    if not {0, 1} & set(b"".join(dns.labels(case.qname))):
        return False
    if is_missing_proof(case):
        return take_proofs(case)
    if case.theirs.word & dns.AA or case.theirs.authority or case.theirs.rcode != case.ours.rcode:
        return False
    case.settle()
    return True


@rule("knot", "Knot", "RFC 4035 3.1.3.3, 3.1.3.4, RFC 5155 7.2.5, 7.2.6",
      "a wildcard's answer or NODATA lacks the proof that nothing closer exists")
def proof_of_wildcard(case):
    found = differing_proofs(case)
    if found is None or found[1]:
        return False
    # nobody can tell from an answer without data signed (QTYPE NSEC or RRSIG at a wildcard)
    if not is_missing_proof(case) and case.qtype not in (dns.NSEC, dns.RRSIG):
        return False
    return take_proofs(case)


# ---- additional section ----

def targets(side):
    """Hosts that the records of the answer name."""
    at = {dns.NS: 0, dns.MX: 2, dns.SRV: 6, dns.SVCB: 2, dns.HTTPS: 2}
    found = set()
    for owner, rtype, _, _, rdata in side.answer | side.authority:
        if rtype in at:
            name = dns.read_name(rdata, at[rtype], {})[0]
            found.add(owner if name == b"\0" and rtype in SERVICES else name)
    return found


def cuts(side):
    return [record[0] for record in side.authority if record[1] == dns.NS]


@rule("nsd", "nobody", "RFC 1034 4.3.2 step 6, RFC 9471 3.2",
      "minimal-responses: optional additional records and sibling glue are left out")
def additional_left_out(case):
    missing = case.ours.additional - case.theirs.additional
    if not missing or not case.theirs.additional <= case.ours.additional:
        return False
    if not all(record[0] in targets(case.ours) for record in missing) or \
            any(dns.is_below(record[0], cut) for record in missing for cut in cuts(case.ours)):
        return False
    case.theirs.additional = set(case.ours.additional)
    return True


@rule("nsd", "NSD", "RFC 9471 3.1",
      "minimal-responses: in-domain glue is left out beyond 1,220 octets, without TC")
def glue_left_out(case):
    missing = case.ours.additional - case.theirs.additional
    if not missing or not cuts(case.ours) or case.theirs.word & dns.TC or \
            not case.theirs.additional <= case.ours.additional or \
            not all(record[0] in targets(case.ours) for record in missing):
        return False
    case.theirs.additional = set(case.ours.additional)
    return True


@rule("nsd knot", "nobody", "RFC 1034 4.3.2 step 6",
      "addresses that a wildcard gives to a target are sent; Lethe sends those of names that exist")
def additional_from_wildcard(case):
    extra = {record for record in case.theirs.additional - case.ours.additional
             if covered(record) in (dns.A, dns.AAAA) and record[0] in targets(case.theirs)
             and not is_exists(case, record[0])}
    case.theirs.additional -= extra
    return bool(extra)


@rule("knot", "Lethe", "RFC 9460 4.1 (SHOULD)",
      "SVCB, HTTPS: the proof that a target has no further such record comes along")
def additional_service_proof(case):
    extra = {record for record in case.theirs.additional - case.ours.additional
             if covered(record) in NSECS and case.qtype in SERVICES}
    case.theirs.additional -= extra
    return bool(extra)


@rule("knot", "Knot", "RFC 9460 2.5.2, 4.1 (SHOULD)",
      "SVCB, HTTPS with target \".\": the owner's own addresses do not come along")
def additional_service_own(case):
    missing = {record for record in case.ours.additional - case.theirs.additional
               if covered(record) in (dns.A, dns.AAAA)}
    if not missing or not all((record[0], case.qtype) in
                              {(owner, rtype) for owner, rtype, _, _, rdata in case.ours.answer
                               if rtype in SERVICES and rdata[2:3] == b"\0" and rdata[:2] != b"\0\0"}
                              for record in missing):
        return False
    case.theirs.additional |= missing
    return True


@rule("knot", "nobody", "RFC 8482 4.1", "ANY: addresses of the sent RRset's targets come along")
def additional_of_any(case):
    extra = case.theirs.additional - case.ours.additional
    if case.qtype != dns.ANY or not extra or \
            any(covered(record) not in (dns.A, dns.AAAA) for record in extra):
        return False
    case.theirs.additional -= extra
    return True


@rule("knot", "nobody", "RFC 4035 3.1.1",
      "many targets: addresses come without their signatures")
def additional_unsigned(case):
    missing = case.ours.additional - case.theirs.additional
    if not missing or any(record[1] != dns.RRSIG for record in missing):
        return False
    case.theirs.additional |= missing
    return True


# ---- size ----

@rule("nsd", "nobody", "RFC 2181 9", "what stands in a truncated response is of no meaning")
def truncated_content(case):
    if not case.ours.word & case.theirs.word & dns.TC or not is_same_header(case):
        return False
    case.settle()
    return True


@rule("knot", "Knot", "RFC 2181 9", "what exceeds 65,535 octets is SERVFAIL instead of truncated")
def too_large_for_tcp(case):
    if case.theirs.rcode != 2 or not case.ours.word & dns.TC:
        return False
    case.settle()
    return True
