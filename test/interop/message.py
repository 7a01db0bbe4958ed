# SPDX-License-Identifier: BSD-2-Clause
"""DNS messages for tests: build queries, take responses apart, name by name and octet by octet.

Names are wire-format bytes in lower case without compression.  A record is the tuple
(owner, type, class, TTL, RDATA), names inside of RDATA expanded and in lower case.
"""
import struct

TYPES = {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MB": 7, "MG": 8, "MR": 9, "WKS": 11, "PTR": 12,
    "HINFO": 13, "MINFO": 14, "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18, "X25": 19, "ISDN": 20,
    "RT": 21, "NSAP": 22, "SIG": 24, "KEY": 25, "PX": 26, "GPOS": 27, "AAAA": 28, "LOC": 29,
    "NXT": 30, "SRV": 33, "NAPTR": 35, "KX": 36, "CERT": 37, "DNAME": 39, "OPT": 41, "APL": 42,
    "DS": 43, "SSHFP": 44, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "DHCID": 49, "NSEC3": 50,
    "NSEC3PARAM": 51, "TLSA": 52, "SMIMEA": 53, "HIP": 55, "TALINK": 58, "CDS": 59, "CDNSKEY": 60,
    "OPENPGPKEY": 61, "CSYNC": 62, "ZONEMD": 63, "SVCB": 64, "HTTPS": 65, "SPF": 99, "NID": 104,
    "L32": 105, "L64": 106, "LP": 107, "EUI48": 108, "EUI64": 109, "TKEY": 249, "TSIG": 250,
    "IXFR": 251, "AXFR": 252, "MAILB": 253, "MAILA": 254, "ANY": 255, "URI": 256, "CAA": 257,
    "AVC": 258,
}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED",
          6: "YXDOMAIN", 9: "NOTAUTH", 16: "BADVERS", 23: "BADCOOKIE"}

A, NS, CNAME, SOA, MX, TXT, AAAA, SRV, DNAME, OPT, DS, RRSIG, NSEC, DNSKEY, NSEC3, SVCB, HTTPS, \
    ANY = (TYPES[name] for name in
           "A NS CNAME SOA MX TXT AAAA SRV DNAME OPT DS RRSIG NSEC DNSKEY NSEC3 SVCB HTTPS "
           "ANY".split())

QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
DO = 0x8000

# RDATA with names: (octets before, number of names).  Only those of RFC 1035 may be compressed
# (RFC 3597 section 4).
NAMES_IN_RDATA = {2: (0, 1), 3: (0, 1), 4: (0, 1), 5: (0, 1), 6: (0, 2), 7: (0, 1), 8: (0, 1),
                  9: (0, 1), 12: (0, 1), 14: (0, 2), 15: (2, 1), 17: (0, 2), 18: (2, 1),
                  21: (2, 1), 26: (2, 2), 33: (6, 1), 36: (2, 1), 39: (0, 1), 107: (2, 1)}
COMPRESSIBLE = {2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15}

HEADER = struct.Struct("!HHHHHH")
FIXED = struct.Struct("!HHIH")


class Malformed(Exception):
    """A response that is no DNS message; the text says where."""


class Response:
    """What a response says.  Sections are lists of records in the order of the message."""

    __slots__ = ("raw", "word", "question", "answer", "authority", "additional", "opt", "faults")

    @property
    def rcode(self):
        return (self.word & 15) | (self.opt[1] << 4 if self.opt else 0)

    @property
    def truncated(self):
        return bool(self.word & TC)


def read_name(m, at, seen):
    """The name at offset `at` of message `m` and the offset behind it; `seen`: offset -> name."""
    start, i, parts = at, at, []
    try:
        while True:
            n = m[i]
            if n >= 0xC0:
                to = (n & 0x3F) << 8 | m[i + 1]
                if to >= start:
                    raise Malformed(f"pointer at {i} does not point backwards")
                name = seen.get(to)
                if name is None:
                    name = read_name(m, to, seen)[0]
                i += 2
                if not parts:
                    return name, i
                parts.append(name)
                break
            if n > 63:
                raise Malformed(f"label type {n >> 6} at {i}")
            parts.append(m[i:i + n + 1])
            i += n + 1
            if n == 0:
                break
    except IndexError:
        raise Malformed(f"name at {at} leaves the message") from None
    name = b"".join(parts).lower()
    if len(name) > 255:
        raise Malformed(f"name at {at} is too long")
    seen[start] = name
    return name, i


def parse(m):
    """Take a response apart; raises Malformed."""
    if len(m) < 12:
        raise Malformed("shorter than a header")
    r = Response()
    r.raw = m
    _, r.word, questions, *counts = HEADER.unpack_from(m)
    r.opt = None
    r.faults = None
    seen = {}
    i = 12
    for _ in range(questions):
        i = read_name(m, i, seen)[1] + 4
    r.question = m[12:i]
    size = len(m)
    sections = []
    try:
        for count in counts:
            section = []
            for _ in range(count):
                # nearly all owners are a pointer to a name that was read already
                owner = seen.get((m[i] & 0x3F) << 8 | m[i + 1]) if m[i] >= 0xC0 else None
                if owner is None:
                    owner, i = read_name(m, i, seen)
                else:
                    i += 2
                rtype, rclass, ttl, length = FIXED.unpack_from(m, i)
                i += 10
                end = i + length
                if end > size:
                    raise Malformed(f"RDATA at {i} leaves the message")
                shape = NAMES_IN_RDATA.get(rtype)
                if shape is None:
                    rdata = m[i:end]
                    if rtype == OPT:
                        if r.opt is not None:
                            raise Malformed("two OPT records")
                        r.opt = (rclass, ttl >> 24, ttl >> 16 & 255, ttl & 0xFFFF, rdata, owner)
                        i = end
                        continue
                else:
                    rdata, i = read_names(m, i, end, shape, seen, rtype, r)
                i = end
                section.append((owner, rtype, rclass, ttl, rdata))
            sections.append(section)
    except (IndexError, struct.error):
        raise Malformed(f"record at {i} leaves the message") from None
    if i != size:
        raise Malformed(f"{size - i} octets behind the message")
    r.answer, r.authority, r.additional = sections
    return r


def read_names(m, i, end, shape, seen, rtype, r):
    """RDATA with its names expanded."""
    before, count = shape
    parts = [m[i:i + before]]
    i += before
    for _ in range(count):
        start = i
        name, i = read_name(m, i, seen)
        if rtype not in COMPRESSIBLE and len(name) != i - start:
            r.faults = f"compressed name in RDATA of type {rtype}"
        parts.append(name)
    if i > end:
        raise Malformed(f"name in RDATA before {end} leaves it")
    parts.append(m[i:end])
    return b"".join(parts), end


def query(qname, qtype, qclass=1, flags=0, payload=None, do=False, options=b"", ident=0):
    """A query message; with an OPT record if `payload` is not None."""
    message = HEADER.pack(ident, flags, 1, 0, 0, payload is not None) + qname + \
        struct.pack("!HH", qtype, qclass)
    if payload is not None:
        message += struct.pack("!BHHIH", 0, OPT, payload, DO if do else 0, len(options)) + options
    return message


def labels(name):
    """The labels of a wire-format name, without the root."""
    out, i = [], 0
    while name[i]:
        out.append(name[i + 1:i + 1 + name[i]])
        i += 1 + name[i]
    return out


def name_of(parts):
    return b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def parent(name):
    return name[1 + name[0]:]


def is_below(name, ancestor):
    """`name` is `ancestor` or below it (both in lower case)."""
    if not name.endswith(ancestor):
        return False
    i, n = 0, len(name) - len(ancestor)
    while i < n:
        i += 1 + name[i]
    return i == n


def text(name):
    """Presentation format; what a shell and every tool's parser takes without harm."""
    out = ""
    for label in labels(name):
        for octet in label:
            char = chr(octet)
            out += char if char.isalnum() and octet < 128 or char in "-_*" else f"\\{octet:03}"
        out += "."
    return out or "."


def type_text(number):
    return TYPE_NAMES.get(number, f"TYPE{number}")


def record_text(record):
    owner, rtype, rclass, ttl, rdata = record
    shape = NAMES_IN_RDATA.get(rtype)
    if rtype == RRSIG:
        shown = f"{type_text(struct.unpack('!H', rdata[:2])[0])} ..."
    elif shape == (0, 1):
        shown = text(rdata)
    elif rtype == A:
        shown = ".".join(str(octet) for octet in rdata)
    elif rtype == NSEC:
        shown = text(read_name(rdata, 0, {})[0])
    else:
        shown = rdata.hex() if len(rdata) < 40 else rdata[:40].hex() + "..."
    return f"{text(owner)} {ttl} {type_text(rtype)} {shown}"
