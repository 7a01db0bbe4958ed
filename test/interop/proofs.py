# SPDX-License-Identifier: BSD-2-Clause
"""Do the NSEC and NSEC3 records of an answer prove what it says?  Signatures are not looked at: a
validator does that in validate.py; here it is the logic of RFC 4035 5.4 and RFC 5155 8."""
import base64
import functools
import hashlib
import struct

import message as dns

HEX = bytes.maketrans(b"0123456789ABCDEFGHIJKLMNOPQRSTUV", b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
OPT_OUT = 1


def order(name):
    """Sort key of RFC 4034 6.1."""
    return dns.labels(name)[::-1]


def bitmap(octets):
    types, i = set(), 0
    while i + 2 <= len(octets):
        window, size = octets[i], octets[i + 1]
        for place, octet in enumerate(octets[i + 2:i + 2 + size]):
            for bit in range(8):
                if octet & 0x80 >> bit:
                    types.add(window * 256 + place * 8 + bit)
        i += 2 + size
    return types


@functools.lru_cache(100000)
def hashed(name, salt, iterations):
    digest = hashlib.sha1(name + salt).digest()
    for _ in range(iterations):
        digest = hashlib.sha1(digest + salt).digest()
    return digest


class Nsec:
    def __init__(self, owner, rdata):
        self.owner = owner
        self.next, end = dns.read_name(rdata, 0, {})
        self.types = bitmap(rdata[end:])

    def covers(self, name):
        low, key, high = order(self.owner), order(name), order(self.next)
        return low < key and (key < high or high <= low)


class Nsec3:
    def __init__(self, owner, rdata):
        label = dns.labels(owner)[0].upper().translate(HEX)
        self.owner = base64.b32decode(label)
        _, self.flags, self.iterations, size = struct.unpack_from("!BBHB", rdata)
        self.salt = rdata[5:5 + size]
        end = 6 + size + rdata[5 + size]
        self.next = rdata[6 + size:end]
        self.types = bitmap(rdata[end:])

    def hash(self, name):
        return hashed(name, self.salt, self.iterations)

    def matches(self, name):
        return self.hash(name) == self.owner

    def covers(self, name):
        low, key, high = self.owner, self.hash(name), self.next
        return low < key < high or (high <= low and (key > low or key < high))


def wildcard(name):
    return b"\1*" + name


class Denial:
    """The proofs in an authority section."""

    def __init__(self, records):
        self.nsec = [Nsec(r[0], r[4]) for r in records if r[1] == dns.NSEC]
        self.nsec3 = [Nsec3(r[0], r[4]) for r in records if r[1] == dns.NSEC3]
        signers = [dns.read_name(r[4], 18, {})[0] for r in records if r[1] == dns.RRSIG]
        self.apexes = set(signers)

    def apex_of(self, name):
        found = [apex for apex in self.apexes if dns.is_below(name, apex)]
        return max(found, key=len) if found else None

    def covered(self, name):
        return next((n for n in self.nsec if n.covers(name)), None)

    def covered3(self, name):
        return next((n for n in self.nsec3 if n.covers(name)), None)

    def encloser(self, name):
        """Closest encloser of a name that an NSEC covers."""
        covering = self.covered(name)
        if covering is None:
            return None
        while name[0]:
            name = dns.parent(name)
            if dns.is_below(covering.owner, name) or dns.is_below(covering.next, name):
                return name
        return name

    def encloser3(self, name):
        """Closest provable encloser (RFC 5155 8.3) and the record that covers the next closer."""
        apex = self.apex_of(name)
        while apex is not None and name != apex:
            closer, name = name, dns.parent(name)
            if any(n.matches(name) for n in self.nsec3):
                covering = self.covered3(closer)
                return (name, covering) if covering else (None, None)
        return None, None

    def no_name(self, name):
        if self.nsec:
            encloser = self.encloser(name)
            return encloser is not None and self.covered(wildcard(encloser)) is not None
        encloser, _ = self.encloser3(name)
        return encloser is not None and self.covered3(wildcard(encloser)) is not None

    def lacks(self, name, qtype):
        """A record at the very name, without the type; or the name is an empty non-terminal."""
        for n in self.nsec:
            if n.owner == name and not {qtype, dns.CNAME} & n.types:
                return True
            if n.covers(name) and dns.is_below(n.next, name):
                return True
        return any(n.matches(name) and not {qtype, dns.CNAME} & n.types for n in self.nsec3)

    def no_type(self, name, qtype):
        if self.lacks(name, qtype):
            return True
        if self.nsec:
            encloser = self.encloser(name)
            return encloser is not None and self.lacks(wildcard(encloser), qtype)
        encloser, covering = self.encloser3(name)
        if encloser is None:
            return False
        # with opt-out also an empty non-terminal above insecure delegations (RFC 5155 7.1)
        return bool(covering.flags & OPT_OUT) or self.lacks(wildcard(encloser), qtype)

    def no_closer(self, name, labels):
        """Nothing is closer to `name` than the wildcard's parent, which has `labels` labels."""
        parts = dns.labels(name)
        closer = dns.name_of(parts[len(parts) - labels - 1:])
        if self.nsec:
            return self.covered(name) is not None and \
                len(dns.labels(self.encloser(name))) == labels
        return self.covered3(closer) is not None


def final_name(answer, qname):
    """Where the CNAMEs of the answer section lead; the last name that is not there again."""
    targets = {r[0]: r[4] for r in answer if r[1] == dns.CNAME}
    seen = set()
    while qname in targets and qname not in seen:
        seen.add(qname)
        qname = targets[qname]
    return qname


def is_proven(side, qname, qtype):
    """Whether the authority section proves what the other sections and the rcode say."""
    denial = Denial(side.authority)
    for owner, rtype, _, _, rdata in side.answer:
        if rtype == dns.RRSIG and qtype != dns.RRSIG:
            parts = dns.labels(owner)
            labels = rdata[3]
            is_literal = parts[:1] == [b"*"] and labels == len(parts) - 1
            if labels < len(parts) and not is_literal and not denial.no_closer(owner, labels):
                return False
    name = final_name(side.answer, qname)
    referrals = {r[0] for r in side.authority if r[1] == dns.NS}
    soas = [r for r in side.authority if r[1] == dns.SOA]
    if side.rcode == 3:
        return denial.no_name(name)
    if referrals:
        (cut,) = referrals
        secure = any(r[1] == dns.DS for r in side.authority)
        return secure or denial.no_type(cut, dns.DS)
    if soas:
        return denial.no_type(name, qtype)
    return True
