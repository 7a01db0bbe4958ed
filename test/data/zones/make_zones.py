#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Make the zones of the interop tests from cases.in and the keys in keys/.

    make_zones.py [--check]

Writes NAME.zone.xz beside itself.  Everything is deterministic (Ed25519 signatures, fixed times,
committed keys), so --check makes them anew and compares.  Needs bind9-utils (dnssec-signzone,
named-compilezone, named-rrchecker) and python3-dnspython.

    example.                   NSEC; delegates to those below; its DS is the tests' trust anchor
    nsec.example.              cases.in, NSEC
    nsec3.example.             cases.in, NSEC3 with opt-out, no salt, no iterations
    plain.example.             cases.in, unsigned, an insecure delegation
    child.nsec.example.        NSEC
    child.nsec3.example.       NSEC3 without opt-out, with salt and iterations
    child.plain.example.       unsigned
    dname.example.             DNAME at the apex, NSEC
"""
import functools
import lzma
import pathlib
import subprocess
import sys
import tempfile

try:
    import dns.rdatatype
except ImportError:
    sys.exit("make_zones: needs the package python3-dnspython")

HERE = pathlib.Path(__file__).resolve().parent
# Types whose usual notation all servers read; the others are written as RFC 3597 says.
COMMON = set("""A AAAA NS SOA CNAME DNAME MX TXT PTR SRV DS DNSKEY NSEC NSEC3 NSEC3PARAM RRSIG CAA
    NAPTR TLSA SSHFP SVCB HTTPS HINFO URI CDS CDNSKEY RP AFSDB KX LOC APL""".split())
INCEPTION, EXPIRATION = "20200101000000", "20400101000000"

PARENT = """\
$TTL 3600
@       SOA   ns1 hostmaster 2026080501 7200 900 1209600 300
@       NS    ns1
ns1     A     198.18.0.53
ns1     AAAA  fd00:198:18::53
nsec    NS    ns1.nsec
nsec    NS    ns2.nsec
nsec    NS    ns.outside.test.
ns1.nsec  A     198.18.0.53
ns1.nsec  AAAA  fd00:198:18::53
ns2.nsec  A     198.18.0.53
nsec3   NS    ns1.nsec3
ns1.nsec3 A     198.18.0.53
ns1.nsec3 AAAA  fd00:198:18::53
plain   NS    ns1.plain
ns1.plain A     198.18.0.53
ns1.plain AAAA  fd00:198:18::53
dname   NS    ns1
lame    NS    ns.outside.test.
tocut   CNAME www.plain
tochild CNAME leaf.child.nsec
*.wild  CNAME leaf.child.nsec3
www     A     192.0.2.90
"""

CHILD = """\
$TTL 3600
@       SOA   ns1 hostmaster 2026080501 7200 900 1209600 300
@       NS    ns1
@       NS    ns.outside.test.
ns1     A     198.18.0.53
ns1     AAAA  fd00:198:18::53
leaf    A     192.0.2.91
leaf    TXT   "the leaf"
www     CNAME leaf
*.wild  A     192.0.2.92
a.ent   A     192.0.2.93
up      CNAME www.{parent}
dup     DNAME {parent}
cut     NS    ns.cut
ns.cut  A     192.0.2.94
scut    NS    ns.cut
scut    DS    12345 15 2 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
"""

DNAME = """\
$TTL 3600
@       SOA   ns1.example. hostmaster.example. 2026080501 7200 900 1209600 300
@       NS    ns1.example.
@       DNAME nsec.example.
@       TXT   "all of this zone is another"
"""


def wire_len(origin):
    return len(origin) + 1  # "a.b." is 1 a 1 b 0


def of_length(origin, total, first="", label=1):
    """A relative name that has `total` octets in wire format, of labels with `label` octets."""
    room = total - wire_len(origin)
    labels = []
    if first:
        labels.append(first)
        room -= len(first) + 1
    while room > 0:
        n = min(label, room - 1)
        if room - (n + 1) == 1:
            n += 1 if n < 63 else -1
        labels.append("n" * n)
        room -= n + 1
    return ".".join(labels)


def txt(size, salt):
    """RDATA of a TXT record with exactly `size` octets."""
    parts, n = [], 0
    while size:
        take = min(size, 256)
        if size - take == 1 and take > 1:
            take -= 1
        text = f"{salt}.{n}."
        parts.append('"' + (text + "." * 256)[:take - 1] + '"')
        size -= take
        n += 1
    return " ".join(parts)


def generated(origin):
    out = []
    add = out.append
    # names of the greatest length; dnssec-signzone hashes "*." before each name for NSEC3, so that
    # 253 octets are its limit there
    limit = 253 if origin == "nsec3.example." else 255
    for name in (of_length(origin, limit), of_length(origin, limit, label=63),
                 of_length(origin, limit, "*", 30), of_length(origin, limit - 2, "*", 20),
                 of_length(origin, limit, "x", 40)):
        add(f"{name} A 192.0.2.200")
    add(of_length(origin, limit, "alias", 50) + " CNAME " + of_length(origin, limit))
    add(of_length(origin, 250, "cut", 25) + " NS " + of_length(origin, limit, label=63))
    add(of_length(origin, 240, "dn", 35) + " DNAME dtarget")
    # big RRsets: over 1232, over 4096, over 16383 (what a compression pointer reaches)
    for name, count in (("big1300", 6), ("big4200", 20)):
        for i in range(count):
            add(f"{name} TXT {txt(200, i)}")
    for i in range(1500):
        add(f"big16k MX {i} m{i:04}.big16k.outside.test.")
    for i in range(700):
        add(f"big16kin MX {i} www")
        if i % 7 == 0:
            add(f"big16kin MX {i} h{i}.big16kin")
            add(f"h{i}.big16kin A 192.0.2.201")
    # the largest response: without EDNS exactly 65,535 octets; with an OPT it is too large
    room = 65535 - 12 - (len("big64k.") + wire_len(origin) + 4)
    size = 0
    for i in range(10):
        size = 6000
        add(f"big64k TXT {txt(size, i)}")
        room -= 12 + size
    add(f"big64k TXT {txt(room - 12, 10)}")
    # one record of nearly 64 KiB
    add(f"big1rr TXT {txt(65000, 0)}")
    for i in range(60):
        add(f"bigmx MX {i} h{i}.bigmx")
        add(f"h{i}.bigmx A 192.0.2.{i}")
        add(f"h{i}.bigmx AAAA 2001:db8:1::{i:x}")
    for i in range(200):
        add(f"bigsrv SRV 0 {i} {i} h{i % 60}.bigmx")
    add("cnamebig64k CNAME big64k")
    # referrals that fill up
    for i in range(13):
        add(f"cutmany NS ns{i}.cutmany")
        add(f"ns{i}.cutmany A 192.0.2.{i}")
        add(f"ns{i}.cutmany AAAA 2001:db8:2::{i:x}")
    for i in range(60):
        label = f"ns{i}-" + "x" * 50
        add(f"cutlarge NS {label}.cutlarge")
        add(f"{label}.cutlarge A 192.0.2.{i}")
        add(f"{label}.cutlarge AAAA 2001:db8:3::{i:x}")
    add("seclarge DS 12349 15 2 " + "ab" * 32)
    for i in range(12):
        label = f"ns{i}-" + "y" * 20
        add(f"seclarge NS {label}.seclarge")
        add(f"{label}.seclarge A 192.0.2.{i}")
        add(f"{label}.seclarge AAAA 2001:db8:4::{i:x}")
    for i in range(30):
        add(f"cutsibs NS ns{i}.cutmany" if i < 13 else f"cutsibs NS s{i}.sibs")
        add(f"s{i}.sibs AAAA 2001:db8:5::{i:x}")
    add("sibs NS ns.outside.test.")
    for i in range(60):
        add(f"bigaddr A 192.0.2.{i}")
        add(f"bigaddr AAAA 2001:db8:6::{i:x}")
    return "\n".join(out) + "\n"


def key_of(origin):
    (key,) = (HERE / "keys").glob(f"K{origin}+*.key")
    return key


def ds_of(child):
    text = subprocess.run(["dnssec-dsfromkey", "-2", str(key_of(child))], check=True,
                          capture_output=True, text=True).stdout
    return text.strip() + "\n"


def without_comments(text):
    return "".join(f"{line}\n" for line in text.splitlines()
                   if line.strip() and not line.startswith(";"))


def plain_name(name):
    """A name with \\DDD for everything that some parser has been seen to stumble over."""
    out, i = "", 0
    while i < len(name):
        char = name[i]
        if char == "\\" and name[i + 1].isdigit():
            out += name[i:i + 4]
            i += 4
            continue
        if char == "\\":
            i += 1
            out += f"\\{ord(name[i]):03}"
        else:
            out += char if char.isalnum() or char in "-_*." else f"\\{ord(char):03}"
        i += 1
    return out


def generic(type_name, rdata):
    """Type and RDATA in the notation of RFC 3597."""
    run = subprocess.run(["named-rrchecker", "-u"], input=f"IN {type_name} {rdata}\n", check=True,
                         capture_output=True, text=True)
    return run.stdout.strip().split(None, 2)[1:]


@functools.cache
def type_number(type_name):
    if type_name in COMMON:
        return type_name
    if type_name == "TALINK":
        return "TYPE58"
    try:
        return f"TYPE{int(dns.rdatatype.from_text(type_name))}"
    except dns.rdatatype.UnknownRdatatype:
        return type_name  # not a type but a hash or a number


def finish(text):
    """A zone that every server can parse, in an order that does not change from run to run (the
    signer's does), the SOA first."""
    lines = []
    for line in without_comments(text).splitlines():
        owner, ttl, _, type_name, rdata = line.split(None, 4)
        if type_name in ("NSEC", "NSEC3"):
            rdata = " ".join([plain_name(rdata.split()[0])] +
                             [type_number(word) for word in rdata.split()[1:]])
        elif type_name == "RRSIG":
            covered, rest = rdata.split(None, 1)
            rdata = f"{type_number(covered)} {rest}"
        elif type_name in ("CNAME", "DNAME", "NS", "PTR"):
            rdata = plain_name(rdata)
        elif type_name not in COMMON:
            type_name, rdata = generic(type_name, rdata)
        lines.append(f"{plain_name(owner)} {ttl} IN {type_name} {rdata}")
    lines.sort(key=lambda line: (line.split(" ", 4)[3] != "SOA", line))
    return "\n".join(lines) + "\n"


def sign(origin, text, *options):
    key = key_of(origin)
    public = without_comments(key.read_text())
    with tempfile.TemporaryDirectory() as tmp:
        source, target = pathlib.Path(tmp, "in"), pathlib.Path(tmp, "out")
        source.write_text(text + public)
        run = subprocess.run(
            ["dnssec-signzone", "-q", "-P", "-z", "-O", "full", "-s", INCEPTION, "-e", EXPIRATION,
             "-d", tmp, "-o", origin, "-f", str(target), *options, str(source), str(key)],
            capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"make_zones: {origin}: {run.stderr}{run.stdout}")
        return finish(target.read_text())


def expand(origin, text):
    """An unsigned zone with absolute names, a record a line."""
    with tempfile.TemporaryDirectory() as tmp:
        source, target = pathlib.Path(tmp, "in"), pathlib.Path(tmp, "out")
        source.write_text(text)
        run = subprocess.run(["named-compilezone", "-q", "-i", "none", "-k", "ignore", "-m", "ignore",
                              "-M", "ignore", "-n", "ignore", "-r", "ignore", "-S", "ignore", "-T",
                              "ignore", "-s", "full", "-o", str(target), origin, str(source)],
                             capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"make_zones: {origin}: {run.stderr}{run.stdout}")
        return finish(target.read_text())


def make():
    cases = (HERE / "cases.in").read_text()
    zones = {}

    def origin_text(origin, text):
        return f"$ORIGIN {origin}\n{text}"

    def cases_of(origin):
        return origin_text(origin, cases + generated(origin))

    zones["plain.example."] = expand("plain.example.", cases_of("plain.example."))
    zones["child.plain.example."] = expand(
        "child.plain.example.", origin_text("child.plain.example.", CHILD.format(parent="plain.example.")))
    zones["child.nsec.example."] = sign(
        "child.nsec.example.",
        origin_text("child.nsec.example.", CHILD.format(parent="nsec.example.")))
    zones["child.nsec3.example."] = sign(
        "child.nsec3.example.",
        origin_text("child.nsec3.example.", CHILD.format(parent="nsec3.example.")),
        "-3", "00aabbccddeeff01", "-H", "3")
    zones["nsec.example."] = sign(
        "nsec.example.", cases_of("nsec.example.") + ds_of("child.nsec.example."))
    zones["nsec3.example."] = sign(
        "nsec3.example.", cases_of("nsec3.example.") + ds_of("child.nsec3.example."),
        "-3", "-", "-A", "-H", "0")
    zones["dname.example."] = sign("dname.example.", origin_text("dname.example.", DNAME))
    zones["example."] = sign(
        "example.", origin_text("example.", PARENT) + ds_of("nsec.example.") +
        ds_of("nsec3.example.") + ds_of("dname.example."))
    return zones


def main():
    check = sys.argv[1:] == ["--check"]
    for origin, text in make().items():
        path = HERE / f"{origin}zone.xz"
        data = text.encode()
        if check:
            if lzma.decompress(path.read_bytes()) != data:
                sys.exit(f"make_zones: {path.name} differs from what its source makes")
        else:
            path.write_bytes(lzma.compress(data, preset=9))
            print(f"{path.name}: {len(data)} octets")


if __name__ == "__main__":
    main()
