# SPDX-License-Identifier: BSD-2-Clause
"""Questions that a zone invites: its names, what is near them, below them and between them.

The zone's records come by AXFR; everything else is chosen with a fixed seed."""
import random
import socket
import struct

import ask
import message as dns

ASKED = [dns.TYPES[name] for name in
         "A NS CNAME SOA PTR MX TXT AAAA SRV DS RRSIG NSEC DNSKEY NSEC3 DNAME SVCB HTTPS CAA "
         "ANY".split()]
RARE = [dns.TYPES["NSEC3PARAM"], dns.TYPES["NAPTR"], 65280, 1234, dns.TYPES["LOC"], 3,
        dns.TYPES["ZONEMD"], dns.TYPES["SPF"]]
OCTETS = b"abcdefghijklmnopqrstuvwxyz0123456789-_"


def transfer(server, apex):
    """All records of a zone, SOA first."""
    query = dns.query(apex, dns.TYPES["AXFR"])
    records, ends = [], 0
    with socket.create_connection(server, timeout=30) as s:
        s.sendall(struct.pack("!H", len(query)) + query)
        while ends < 2:
            size = struct.unpack("!H", ask.exactly(s, 2))[0]
            response = dns.parse(ask.exactly(s, size))
            if response.rcode:
                raise RuntimeError(f"AXFR of {dns.text(apex)}: rcode {response.rcode}")
            if not response.answer:
                raise RuntimeError(f"AXFR of {dns.text(apex)}: a message without records")
            records += response.answer
            ends += sum(record[1] == dns.SOA for record in response.answer)
    return records[:-1]


class Zone:
    """What is in a zone, for making questions and for judging answers."""

    def __init__(self, apex, records):
        self.apex = apex
        self.rrsets = {}
        for owner, rtype, _, ttl, rdata in records:
            self.rrsets.setdefault(owner, {}).setdefault(rtype, []).append((ttl, rdata))
        self.names = sorted(self.rrsets)
        self.cuts = {owner for owner, types in self.rrsets.items()
                     if dns.NS in types and owner != apex}
        self.all_names = set()
        for name in self.names:
            while name != apex and name not in self.all_names:
                self.all_names.add(name)
                name = dns.parent(name)
        self.all_names.add(apex)

    def cut_above(self, name):
        """The zone cut at or above `name`, or None."""
        found = None
        while len(name) >= len(self.apex):
            if name in self.cuts:
                found = name
            if name == self.apex:
                break
            name = dns.parent(name)
        return found


class Generator:
    def __init__(self, zone, seed):
        self.zone = zone
        self.random = random.Random(seed)
        self.special = [name for name, types in zone.rrsets.items()
                        if dns.CNAME in types or dns.DNAME in types or dns.NS in types
                        or name[:2] == b"\1*"]
        self.ents = sorted(zone.all_names - set(zone.rrsets))
        self.nsec3 = [name for name, types in zone.rrsets.items() if dns.NSEC3 in types]
        self.plain = [name for name, types in zone.rrsets.items() if dns.NSEC3 not in types]

    def label(self):
        r = self.random
        kind = r.random()
        if kind < 0.85:
            return bytes(r.choice(OCTETS) for _ in range(r.randint(1, 12)))
        if kind < 0.95:
            return bytes(r.randrange(256) for _ in range(r.randint(1, 8)))
        return bytes(r.choice(OCTETS) for _ in range(63))

    def below(self, name):
        count = self.random.choice((1, 1, 1, 2, 3, 5))
        parts = [self.label() for _ in range(count)] + dns.labels(name)
        if self.random.random() < 0.08:
            parts[0] = b"*"
        return parts

    def near(self, name):
        """A name that sorts next to another."""
        r = self.random
        parts = dns.labels(name)
        if not parts:
            return [self.label()]
        place = 0 if r.random() < 0.8 else r.randrange(len(parts))
        label = bytearray(parts[place])
        kind = r.randrange(6)
        if kind == 0:
            label += b"\0"
        elif kind == 1:
            label += bytes([r.choice(OCTETS)])
        elif kind == 2 and len(label) > 1:
            del label[-1]
        elif kind == 3:
            label[-1] = (label[-1] + 1) % 256
        elif kind == 4:
            label[-1] = (label[-1] - 1) % 256
        else:
            label = bytearray(b"*")
        parts[place] = bytes(label[:63])
        return parts

    def longest(self, name):
        """Filled up to 255 octets."""
        parts = dns.labels(name)
        room = 255 - len(name)
        while room > 1:
            n = min(63, room - 1)
            if room - n - 1 == 1:
                n -= 1
            if n < 1:
                break
            parts.insert(0, b"l" * n)
            room -= n + 1
        return parts

    def outside(self):
        parts = dns.labels(self.zone.apex)
        r = self.random
        kind = r.randrange(4)
        if kind == 0:
            return [self.label()]
        if kind == 1:
            return parts[r.randint(0, len(parts)):]
        if kind == 2 and parts:
            return [parts[0] + b"x"] + parts[1:]
        return [self.label(), b"outside", b"test"]

    def name(self):
        r = self.random
        kind = r.random()
        if kind < 0.22:
            return dns.labels(r.choice(self.plain))
        if kind < 0.34:
            return self.below(r.choice(self.plain))
        if kind < 0.58:
            special = r.choice(self.special or self.plain)
            if special[:2] == b"\1*" and r.random() < 0.7:
                special = dns.parent(special)
            return self.below(special) if r.random() < 0.8 else dns.labels(special)
        if kind < 0.66 and self.ents:
            ent = r.choice(self.ents)
            return dns.labels(ent) if r.random() < 0.5 else self.below(ent)
        if kind < 0.84:
            return self.near(r.choice(self.plain))
        if kind < 0.93:
            return self.below(self.zone.apex)
        if kind < 0.95:
            return dns.labels(self.zone.apex)
        if kind < 0.96 and self.nsec3:
            return dns.labels(r.choice(self.nsec3))
        if kind < 0.97:
            return self.longest(r.choice(self.plain))
        if kind < 0.98:
            return self.outside()
        return dns.labels(r.choice(self.plain))[r.randint(0, 1):]

    def mixed(self, name):
        return bytes(octet ^ 0x20 if 65 <= octet & 0xDF <= 90 and self.random.random() < 0.5
                     else octet for octet in name)

    def qtype(self, name):
        r = self.random
        present = self.zone.rrsets.get(name)
        if present and r.random() < 0.4:
            return r.choice(sorted(present))
        return r.choice(RARE) if r.random() < 0.05 else r.choice(ASKED)

    def questions(self, count):
        """`count` different questions: (name as asked, type)."""
        done, out = set(), []

        def add(name, qtype):
            if (name, qtype) not in done:
                done.add((name, qtype))
                shown = self.mixed(name) if self.random.random() < 0.25 else name
                out.append((shown, qtype))

        # everything that is in the zone, once, as far as half of the room goes
        every = [(name, rtype) for name in self.plain for rtype in self.zone.rrsets[name]]
        if len(every) > count // 2:
            every = self.random.sample(every, count // 2)
        for name, rtype in every:
            add(name, rtype)
        while len(out) < count:
            name = dns.name_of(self.name()).lower()
            if len(name) <= 255:
                add(name, self.qtype(name))
        return out
