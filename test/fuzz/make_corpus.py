#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Write the first inputs of fuzz targets: make_corpus.py DIRECTORY"""
import hmac
import os
import struct
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
from cases import CASES  # noqa: E402
from frames import ACK, FIN, PSH, Case, Client, framed, query  # noqa: E402

NSEC_ZONE = """@ 60 IN SOA a b 1 2 3 4 5
@ 60 IN NS a
@ 60 IN DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==
@ 60 IN NSEC a NS SOA RRSIG NSEC DNSKEY
@ 60 IN RRSIG SOA 13 1 60 20300101000000 20200101000000 1 example. AAAA
a 60 IN A 192.0.2.1
a 60 IN NSEC @ A RRSIG NSEC
"""
NSEC3_ZONE = """@ 60 IN SOA a b 1 2 3 4 5
@ 60 IN NS a
@ 60 IN DNSKEY 257 3 8 AwEAAQ==
@ 60 IN NSEC3PARAM 1 0 2 AABB
2t7b4g4vsa5smi47k61mv5bv1a22bojr 60 IN NSEC3 1 1 2 AABB 1T7B4G4VSA5SMI47K61MV5BV1A22BOJR A
1t7b4g4vsa5smi47k61mv5bv1a22bojr 60 IN NSEC3 1 1 2 AABB 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A
2t7b4g4vsa5smi47k61mv5bv1a22bojr 60 IN RRSIG NSEC3 8 2 60 20300101000000 20200101000000 1 example. AAAA
a.b.c 60 IN A 192.0.2.1
d 60 IN NS a
d 60 IN DS 1 8 2 00
@ 60 IN ZONEMD 1 1 240 000102030405060708090a0b
"""


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def opt(options=b"", payload=1232, version=0, do=0x8000):
    return b"\0" + struct.pack(">HHBBHH", 41, payload, 0, version, do, len(options)) + options


def option(code, data):
    return struct.pack(">HH", code, len(data)) + data


def request(qname, qtype, extra=b"", extra_count=0, qclass=1, flags=0x0100):
    return (struct.pack(">HHHHHH", 0x1234, flags, 1, 0, 0, extra_count) + name(qname)
            + struct.pack(">HH", qtype, qclass) + extra)


def number(value):
    octets = b""
    while value >= 0x80:
        octets += bytes([value & 0x7f | 0x80])
        value >>= 7
    return octets + bytes([value])


def main():
    top = sys.argv[1]
    requests = {}
    names = ["example.", "www.example.", "alias.example.", "loop.example.", "x.wild.example.",
             "x.cwild.example.", "ent.example.", "a.sub.example.", "sub.example.", "x.old.example.",
             "x.grow.example.", "svc.example.", "srv.example.", "odd.example.", "mail.example.",
             "nope.example.", "a.b.nope.example.", "x.sub.example.", "nope.signed.", "cut.signed.", "x.cut.signed.", "signed.", "other.", "."]
    for qname in names:
        for qtype in (1, 2, 5, 15, 33, 43, 46, 47, 64, 255):
            requests[f"{qname}{qtype}"] = request(qname, qtype, opt(), 1)
    plain = request("www.example.", 1)
    requests["plain"] = plain
    requests["nsid-keepalive-padding"] = request(
        "www.example.", 1, opt(option(3, b"") + option(11, b"") + option(12, b"\0\0")), 1)
    requests["checksum-01"] = request("x.sub.example.", 1, opt(option(65002, b"n" * 8 + b"\0")), 1)
    requests["checksum-00"] = request("big.example.", 16, opt(option(65002, b"n" * 16 + b"\0\0")), 1)
    requests["checksum-twice"] = request("big.example.", 16, opt(option(65002, b"n" * 8 + b"\0") * 2), 1)
    for length in (0, 7, 8, 9, 16, 24, 40, 41):
        requests[f"cookie-{length}"] = request("www.example.", 1, opt(option(10, b"c" * length)), 1)
    requests["cookie-twice"] = request("x.sub.example.", 1, opt(option(10, b"c" * 8) + option(10, b"c")), 1)
    requests["cookie-alone"] = struct.pack(">6H", 1, 0, 0, 0, 0, 1) + opt(option(10, b"c" * 24))
    requests["cookie-checksum"] = request(
        "big.example.", 16, opt(option(10, b"c" * 24) + option(65002, b"n" * 8 + b"\0")), 1)
    requests["badvers"] = request("example.", 6, opt(version=1), 1)
    requests["chaos"] = request("version.bind.", 16, qclass=3)
    requests["axfr"] = request("example.", 252)
    requests["notify"] = request("example.", 6, flags=0x2000)
    requests["long"] = request(".".join(["x" * 63] * 3 + ["y" * 61]), 1)
    requests["labels"] = request(".".join(["x"] * 127), 1)
    requests["nulls"] = request("a\0b.\1.example.", 1)
    os.makedirs(os.path.join(top, "respond"), exist_ok=True)
    os.makedirs(os.path.join(top, "query"), exist_ok=True)
    for title, octets in requests.items():
        with open(os.path.join(top, "query", title.replace("/", "_")), "wb") as file:
            file.write(b"\0" + octets)
    for title, octets in requests.items():
        for choice in (0, 0x20, 0x1d):
            path = os.path.join(top, "respond", f"{title.replace('/', '_')}-{choice:02x}")
            with open(path, "wb") as file:
                file.write(bytes([choice]) + octets)
    os.makedirs(os.path.join(top, "image"), exist_ok=True)
    for title, octets in requests.items():
        for damage in (0, 0x20, 0x41, 3):
            path = os.path.join(top, "image", f"{title.replace('/', '_')}-{damage:02x}")
            with open(path, "wb") as file:
                file.write(bytes([damage]) + b"\0\1\2" * (damage & 7) + octets)
    rrset = lambda qtype, *rdata: bytes([len(rdata) << 3, qtype]) + number(sum(
        2 + len(r) for r in rdata)) + b"".join(struct.pack(">H", len(r)) + r for r in rdata)
    soa = rrset(6, name("a.example.") * 2 + b"\0\0\0\1" * 5)
    cases = [(b"", 0, soa + rrset(2, name("a.example."), name("b.example."))),
             (b"a\0", 0, rrset(1, b"\xc0\0\2\1") + rrset(46, b"\0\1" + b"s" * 30)),
             (b"b\0", 0, rrset(5, name("a.example."))), (b"c\0", 1, rrset(2, name("ns.c.example."))),
             (b"c\0ns\0", 0x82, rrset(28, b"a" * 16)), (b"d\0", 2, rrset(39, name("e.example."))),
             (b"e\0", 0x89, b""), (b"f\0", 1, b""), (b"m\0", 0, rrset(15, b"\0\1" + name("a.example."))),
             (b"w\0*\0", 0, b"\x03\1\1" + rrset(16, b"\1w")[1:])]
    block = lambda apex, *nodes: b"\0\0\0<" + b"".join(
        bytes([apex]) + number(len(key)) + number(1 + len(rrsets)) + key + bytes([place]) + rrsets
        for key, place, rrsets in nodes)
    head = struct.pack(">IBBBB", 1, 0, 9, 9, 9)
    record = head + block(8, *cases)
    with_next = head[:4] + b"\x20" + head[5:] + b"\2a\0" + block(8, *cases[:1])
    stored = [record, record[:60], head, b"", with_next, block(6, *cases[1:]), block(6, *cases[3:5]),
              head[:4] + b"\x08" + head[5:] + b"\0\2\0\3ab" + block(8, *cases)]
    os.makedirs(os.path.join(top, "stored"), exist_ok=True)
    for target in range(3):
        for i, octets in enumerate(stored):
            with open(os.path.join(top, "stored", f"{target}-{i}"), "wb") as file:
                file.write(bytes([target]) + octets)
    os.makedirs(os.path.join(top, "name"), exist_ok=True)
    inputs = [name("www.example."), b"\0", name(".".join(["x"] * 127)), b"\x01\x00\x01\x01\0",
              b"example\0www\0", b"\1\1\0a\1\2b\0", b"a.b\\.c.\\255\\000.", b"\\", b"\xc0\x0c"]
    for i, octets in enumerate(inputs):
        with open(os.path.join(top, "name", str(i)), "wb") as file:
            file.write(octets)
    os.makedirs(os.path.join(top, "zone_text"), exist_ok=True)
    for title, text in (("nsec", NSEC_ZONE), ("nsec3", NSEC3_ZONE)):
        with open(os.path.join(top, "zone_text", title), "w", encoding="ascii") as file:
            file.write(text)
    os.makedirs(os.path.join(top, "tinydns"), exist_ok=True)
    for title, text in (("one", ".a:1.2.3.4:b\n"), ("two", "Za:b:c:1:2:3:4:5:6\n&a:1.2.3.4:b\n=*.a:1.2.3.4"),
                        ("times", ".a:1.2.3.4:b:0:4000000fffffffff\n+c.a:1.2.3.4:9:4000000000000000\n"),
                        ("generic", ".a::b.\n:a:257:\\000\\005issueca\n'a:\\1\\\\x:5\n")):
        with open(os.path.join(top, "tinydns", title), "w", encoding="ascii") as file:
            file.write(text)
    make_cookies(os.path.join(top, "cookie"))
    make_frames(os.path.join(top, "frame"))
    make_proxied(os.path.join(top, "proxy"), requests)
    make_proxied(os.path.join(top, "forward"), requests)
    make_client(os.path.join(top, "client"))
    make_goaways(os.path.join(top, "goaway"))
    make_responses(top)
    make_audits(os.path.join(top, "audit"))
    make_signed(os.path.join(top, "tsig"), requests)
    make_dialogues(os.path.join(top, "dialogue"))


def signed(message, algorithm=b"\x0bhmac-sha256\0", owner=b"\0", mac_len=32, other=b"nonce"):
    """By the key that everybody knows, at the time that fuzz_tsig.c lives in."""
    times, behind = struct.pack(">HIH", 0, 1700000000, 300), struct.pack(">HH", 0, len(other)) + other
    covered = message + b"\0" + struct.pack(">HI", 255, 0) + algorithm + times + behind
    mac = hmac.new(bytes(32), covered, "sha256").digest()[:mac_len]
    rdata = algorithm + times + struct.pack(">H", len(mac)) + mac + message[:2] + behind
    count = struct.unpack(">H", message[10:12])[0] + 1
    return (message[:10] + struct.pack(">H", count) + message[12:] + owner
            + struct.pack(">HHIH", 250, 255, 0, len(rdata)) + rdata)


def make_signed(directory, requests):
    os.makedirs(directory, exist_ok=True)
    plain, large = requests["plain"], request("x.example.", 16, opt(), 1)
    inputs = {"signed": signed(plain), "signed-opt": signed(large), "short": signed(plain, mac_len=16),
              "too-short": signed(plain, mac_len=9), "twice": signed(signed(plain)),
              "unknown": signed(plain, algorithm=b"\x08hmac-md5\7sig-alg\3reg\3int\0"),
              "pointer": signed(plain, owner=b"\xc0\x18"), "other": signed(plain, other=b"o" * 300)}
    for title, octets in inputs.items():
        for choice in (0, 0x14, 0x20):
            with open(os.path.join(directory, f"{title}-{choice:02x}"), "wb") as file:
                file.write(bytes([choice, 0, 0, 0]) + octets)
    for title, octets in (("plain", plain), ("large", large), ("badvers", requests["badvers"]),
                          ("notify", requests["notify"]), ("root", requests[".1"]),
                          ("options", requests["nsid-keepalive-padding"])):
        for choice in (8, 9, 10, 11, 0x0c, 0x18, 0x28, 0x48, 0x4b):
            for shift in (0, 60, 61, 195):
                with open(os.path.join(directory, f"{title}-{choice:02x}-{shift}"), "wb") as file:
                    file.write(bytes([choice, shift, 0, 50]) + octets)


def timestamps():
    """A connection of profile modern, as far as a client can foretell the points (modern.h)."""
    case = Case()
    client = Client(case, "198.18.0.2", "198.18.0.1")
    request = framed(query("big.example", 16))
    option = lambda offset, at, done: b"\1\1\10\12" + struct.pack(
        ">II", 7, offset << 13 | (client.isn + at & 4095) << 1 | done)
    client.syn(options=b"\2\4\5\xb4\4\2" + option(0, 0, 0)[2:])
    client.send(1, 1, ACK, options=option(0, 1, 1))
    client.send(1, 1, PSH | ACK, request, options=option(0, 1, 1))
    end = 1 + len(request)
    for held in (500, 1000, 1220, 2800):
        client.send(1, 1 + held, PSH | ACK, request, options=option(2800, end, 0))
    client.send(end, 2801, ACK, options=option(2800, end, 0))
    client.send(end, 2801, PSH | ACK, 2 * request, options=option(2800, end, 1))
    client.send(end, 2801, PSH | ACK, request[:2], options=option(2800, end, 1))
    client.send(end + 2, 2801, PSH | ACK, request[2:], options=option(2800, end, 1))
    client.send(end, 2801, FIN | ACK, options=option(2800, end, 1))
    return case


def delegations():
    """Over UDP, what a zone image answers: at, below and beside a delegation."""
    case = Case()
    for pair in (("198.18.0.2", "198.18.0.1"), ("fd00:198:18::2", "fd00:198:18::1")):
        for name in ("sub.example", "www.SUB.example", "ns.sub.example", "none.example"):
            case.udp(*pair, query(name, 1, edns=1232))
            case.udp(*pair, query(name, 28))
    return case


def make_frames(directory):
    """The golden tests' captures, as they are and with choices that let mutations go deeper."""
    os.makedirs(directory, exist_ok=True)
    for title, make in {**CASES, "timestamps": timestamps, "delegations": delegations}.items():
        frames = b"".join(struct.pack(">H", len(frame)) + frame for _, frame in make().frames)
        for choice in (0, 0x07, 0x0D, 0x17, 0x3D):
            with open(os.path.join(directory, f"{title}-{choice:02x}"), "wb") as file:
                file.write(bytes([choice]) + frames)


def make_dialogues(directory):
    """Scripts for fuzz_dialogue.c: how server and clients are, then steps."""
    os.makedirs(directory, exist_ok=True)
    step = lambda number, argument=0: number << 3 | argument
    (connect, ask, fin, timer, ack, deliver, overtake, lose, repeat, run) = range(10)
    snapshot, settle, rotate, syn, segment, again, forge, echo, drain = (
        16, 18, 20, 21, 22, 25, 26, 27, 28)
    open_to = lambda how: bytes([step(connect), how, 1, step(run)])
    scripts = {
        "one": bytes([step(ask), 2, step(run), step(fin)]),
        "long": bytes([step(ask), 13, step(deliver, 4), step(lose), step(run), step(timer)]),
        "apart": bytes([step(ask, 2), 8, step(run)]),
        "cut": bytes([step(ask, 4), 8, 10, step(run), step(timer), step(run)]),
        "joined": bytes([step(ask, 6), 1, 8, 3, step(deliver, 4), step(overtake), step(run)]),
        "ahead": bytes([step(ask), 12, step(ask), 2, step(ask), 3, step(lose, 2), step(run),
                        step(timer), step(run)]),
        "repeated": bytes([step(ask), 12, step(repeat), step(deliver), step(repeat), step(run)]),
        "changed": bytes([step(ask), 0x4C, step(deliver, 2), step(snapshot), step(timer),
                          step(run), step(settle), step(drain), step(connect), 0, 1]),
        "rotated": bytes([step(ask), 2, step(rotate), step(run), step(rotate), step(ask), 3]),
        "two": bytes([step(connect, 1), 0, 2, step(run, 1), step(ask, 1), 8, step(ask), 12,
                      step(deliver, 1), step(deliver), step(run, 1), step(run)]),
        "half-closed": bytes([step(ask), 12, step(fin), step(run), step(timer), step(run)]),
        "hostile": bytes([step(syn), 0, step(segment), 0x20, 1, 8, step(segment, 1), 0x21, 0, 19, 0,
                          step(echo), step(again, 2), 40, 1, 41, 2, step(echo, 1)]),
        "hostile-selective": bytes([step(syn), 0, step(segment), 0x20, 1, 0x8C, step(segment), 0x61,
                                    0, 19, 2, 0, 2, 0, 0, step(segment), 0x23, 0, 19, 2, 0, 0]),
        "forged": bytes([step(ask), 8, step(forge), 0, 0, 0, 0, 0, 9, 1, 2, step(run),
                         step(forge, 4), 0, 0, 1, 0, 0, 0, 2, 0, 2, 0, 0]),
        "servers": bytes([step(19, 0), step(ask), 13, step(deliver), step(deliver, 2), step(19, 1),
                          step(deliver, 4), step(19, 5), step(run), step(19, 2), step(run)]),
        "driven": bytes([step(19, 0), step(19, 3), step(ask), 2, step(run), step(ask), 3, step(ask),
                         1, step(deliver), step(deliver), step(ask), 13, step(run), step(19, 1),
                         step(ask), 2, step(ask), 8, step(deliver), step(lose), step(timer),
                         step(run), step(fin), step(run)]),
        "reused": bytes([step(19, 0), step(ask), 13, step(deliver, 4), step(connect), 0, 2,
                         step(run), step(ask), 29, step(deliver), step(19, 0), step(run)]),
        "fast": bytes([step(drain), step(connect), 0x80, 1, step(run), step(connect), 0x80, 3, 8,
                       step(run), step(ask), 12, step(run), step(fin), step(run)]),
        "selective": bytes([step(19, 0), step(ask), 13, step(deliver), step(lose, 2),
                            step(deliver, 6), step(lose), step(run), step(run)]),
        "echoes": bytes([step(ask), 12, step(deliver), step(echo, 1), step(deliver), step(echo)]),
    }
    for title, script in scripts.items():
        for server in (0, 1, 8, 0x10, 0x42, 0xD0):
            for how in (0, 0x10, 0x44, 0x2A):
                with open(os.path.join(directory, f"{title}-{server:02x}-{how:02x}"), "wb") as file:
                    file.write(bytes([server]) + open_to(how) + script)


def make_proxied(directory, requests):
    """Requests with what a back end could say to them."""
    os.makedirs(directory, exist_ok=True)
    record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + b"\xc0\0\2\1"
    asked = {title: requests[title] for title in (
        "plain", "nsid-keepalive-padding", "checksum-01", "badvers", "axfr", "notify", "long",
        "labels", "www.example.1")}
    asked["cut"] = requests["plain"][:20]
    for title, octets in asked.items():
        at = 12
        while at < len(octets) and octets[at]:
            at += 1 + octets[at]
        question = octets[12:at + 5]
        says = {"opt": (0x8180, 1, 1, record + opt()),
                "opt-first": (0x8180, 1, 2, record + opt(option(3, b"x")) + record),
                "none": (0x8183, 0, 0, b""), "truncated": (0x8380, 1, 0, record),
                "large": (0x8180, 400, 0, record * 400)}
        for what, (flags, answers, additional, records) in says.items():
            response = struct.pack(">6H", 0xbeef, flags, 1, answers, 0, additional) + question + records
            for choice in (1, 5, 6, 9, 0x1f, 0x29, 0x3f):
                with open(os.path.join(directory, f"{title}-{what}-{choice}"), "wb") as file:
                    file.write(bytes([choice]) + struct.pack(">H", len(octets)) + octets + response)
    # Its length comes alone (the response has two octets, there it is cut), and a request is inside.
    octets = requests["plain"][:12] + b"\1" + framed(requests["plain"])
    with open(os.path.join(directory, "request-inside"), "wb") as file:
        file.write(bytes([0x29]) + struct.pack(">H", len(octets)) + octets + b"\0\0")


def make_goaways(directory):
    """For fuzz_goaway.c: packets that are unwanted, with alterations of what is said about them."""
    os.makedirs(directory, exist_ok=True)
    ports = struct.pack(">HH", 40000, 53)
    segment = ports + b"\1\2\3\4\0\0\0\0\x50\2\xff\xff\xaa\xbb\0\0"
    payloads = {"short": bytes(20), "just": bytes(range(36)), "some": bytes(range(57)),
                "long": bytes(range(150)), "segment": segment + bytes(50), "syn": segment + bytes(20)}
    edits = {"none": b"", "nonce": b"\x09\1", "code": b"\5\1", "quote": b"\x20\1\x30\1"}
    for title, payload in payloads.items():
        for what, edit in edits.items():
            for choice in (0, 1, 2, 3, 0x10, 0x20, 0x21, 0x23, 0x40, 0x41, 0x42):
                with open(os.path.join(directory, f"{title}-{what}-{choice:02x}"), "wb") as file:
                    file.write(bytes([choice]) + ports + bytes([len(payload)]) + payload + edit)
    packet = bytes.fromhex("45000020000040004011aea5c6120002c61200019c400035000c000061626364")
    for title, octets in (("v4", packet), ("v6", b"\x60\0\0\0\0\x14\6\x40" + bytes(32) + segment)):
        with open(os.path.join(directory, "captured-" + title), "wb") as file:
            file.write(b"\x08" + octets)


def make_responses(top):
    """For fuzz_checksum.c and fuzz_received.c: messages with many kinds of records and options."""
    pointed = lambda rtype, rdata: b"\xc0\x0c" + struct.pack(">HHIH", rtype, 1, 60, len(rdata)) + rdata
    records = [pointed(1, b"\xc0\0\2\1"), pointed(2, b"\2ns\xc0\x0c"), pointed(15, b"\0\1\xc0\x0c"),
               pointed(16, b"\3abc\0"), pointed(28, b"a" * 16), pointed(47, b"\1a\xc0\x0c\0\1\x40"),
               pointed(6, b"\1a\xc0\x0c\xc0\x0c" + bytes(20)), pointed(64, b"\0\1\0\0\1\0\3\2h2"),
               pointed(46, b"\0\1\5\2" + bytes(14) + b"\xc0\x0csig"), pointed(999, b"\1\2"),
               pointed(250, name("hmac-sha256.") + bytes(8) + b"\0\4abcd" + bytes(6))]
    types = [1, 2, 5, 6, 12, 13, 14, 15, 16, 17, 18, 21, 24, 25, 28, 29, 33, 35, 36, 37, 39, 42, 43, 44, 45,
             46, 47, 48, 49, 50, 51, 52, 53, 55, 59, 60, 61, 62, 63, 64, 65, 99, 104, 105, 106, 107, 108,
             109, 249, 250, 256, 257, 260, 65535]
    rdata = [b"\1\0\0\1\2ab\4abcd\0\1\x40", b"\0\1\1\2\3ns1\0\0\1\0\2h2" + bytes(20), bytes(48),
             b"\1\1\1\1\2\xab\xcd\x14" + b"h" * 20 + b"\0\6\x40\0\0\0\0\3", b"\5a b c\1\0\1;"]
    options = b"".join(option(code, data) for code, data in (
        (3, b"id"), (8, b"\0\1\x18\0\xc0\0\2"), (10, b"c" * 16), (11, b"\0\7"), (12, bytes(5)),
        (15, b"\0\x12no"), (18, name("r.example.")), (19, b"\1\0\0\0\0\7")))
    digests = {"01": b"n" * 8 + b"\2" + bytes(32), "00": b"n" * 16 + b"\0\1" + bytes(20),
               "siphash": b"n" * 8 + b"\xf0" + bytes(16)}
    asked = name("www.example.") + b"\0\1\0\1"
    for kind, choices in (("checksum", (0, 1, 2, 3)), ("received", (0, 1, 2, 3, 7))):
        os.makedirs(os.path.join(top, kind), exist_ok=True)
        for title, digest in digests.items():
            for count in (0, 1, len(records)):
                body = asked + b"".join(records[:count]) + opt(options + option(65002, digest))
                octets = struct.pack(">6H", 7, 0x8400, 1, count, 0, 1) + body
                for choice in choices:
                    with open(os.path.join(top, kind, f"{title}-{count}-{choice}"), "wb") as file:
                        file.write(bytes([choice]) + octets)
    for rtype in types:
        for i, octets in enumerate(rdata):
            body = asked + pointed(rtype, octets) + pointed(rtype, octets[:-1])
            with open(os.path.join(top, "received", f"type{rtype}-{i}"), "wb") as file:
                file.write(b"\2" + struct.pack(">6H", 7, 0x8400, 1, 2, 0, 0) + body)


def make_audits(directory):
    """What servers above zone.example may say of it: it is there, others have it, ask there, it is not."""
    os.makedirs(directory, exist_ok=True)
    record = lambda owner, rtype, rdata: name(owner) + struct.pack(">HHIH", rtype, 1, 60, len(rdata)) + rdata
    ds = bytes.fromhex("060b0502092f6282650b950e680c2602a4ce3a51738a3b7b249fc7d18addea54f61bf8b4")
    glue = [record("ns1.zone.example", 1, b"\xc0\0\2\1"), record("a.example", 28, b"a" * 16)]
    servers = lambda owner, *names: [record(owner, 2, name(n)) for n in names]
    soa = lambda owner: [record(owner, 6, name("a.example") * 2 + bytes(20))]
    says = {"delegated": (0x8000, servers("zone.example", "ns1.zone.example", "ns.other.net"), glue),
            "signed": (0x8000, servers("zone.example", "ns.host.net") + [record("zone.example", 43, ds)], []),
            "strange": (0x8000, servers("zone.example", "ns.host.net")
                        + [record("zone.example", 43, ds[:3] + b"\xfe" + ds[4:])], []),
            "others": (0x8000, servers("zone.example", "ns.other.net"), []),
            "example": (0x8000, servers("example", "a.example", "ns1.zone.example"), glue),
            "beside": (0x8000, servers("other.example", "a.example"), glue),
            "root": (0x8000, servers(".", "a.example"), glue),
            "many": (0x8000, servers("example", *(f"n{i}.example" for i in range(80))),
                     [record(f"n{i}.example", 1, bytes([10, 0, 0, i])) for i in range(80)]),
            "none": (0x8403, soa("example"), []), "no-data": (0x8400, soa("example"), []),
            "none-root": (0x8403, soa("."), []), "none-own": (0x8403, soa("zone.example"), []),
            "both": (0x8400, soa("example") + servers("zone.example", "ns.host.net"), []),
            "refused": (0x8005, [], [])}
    for title, (flags, authority, additional) in says.items():
        body = name("zone.example") + b"\0\2\0\1" + b"".join(authority + additional)
        octets = struct.pack(">6H", 7, flags, 1, 0, len(authority), len(additional)) + body
        for above in range(4):
            with open(os.path.join(directory, f"{title}-{above}"), "wb") as file:
                file.write(bytes([above]) + octets)


def make_cookies(directory):
    """Cookies right, old, early and damaged, and other data; see fuzz_cookie.c."""
    os.makedirs(directory, exist_ok=True)
    address = bytes([192, 0, 2, 1]) + b"\x20\x01" * 6
    for how in range(64):
        for now, made in ((3600, 0), (3601, 0), (0, 300), (0, 301), (1800, 0), (1801, 0),
                          (0x7fffffff, 0x7fffff00), (0, 0xffffff00)):
            head = bytes([how]) + struct.pack(">2I", now, made) + address + b"\x10\1"
            with open(os.path.join(directory, f"made-{how:02x}-{now:x}-{made:x}"), "wb") as file:
                file.write(head + b"12345678")
    for length in (0, 7, 8, 15, 16, 24, 40, 41):
        with open(os.path.join(directory, f"data-{length}"), "wb") as file:
            file.write(bytes(9) + address + bytes(2) + b"c" * 8 + b"\1" + b"\0" * (length - 9)
                       if length > 8 else bytes(9) + address + bytes(2) + b"c" * length)


def make_client(directory):
    """Scripts of a server for the client of lethe-bench."""
    os.makedirs(directory, exist_ok=True)
    wait, syn_ack, answer, fin, reset, segment, ack, ahead = range(8)
    opened = bytes([syn_ack, 0, 11])
    scripts = {
        "one": bytes([answer, 0, 0, 0, ack, 0, fin, 0, wait, 50]),
        "all": b"".join(bytes([syn_ack, i, 15, answer, i, 0, 0, fin, i, ack, i]) for i in range(16)),
        "cut": bytes([answer, 0, 0, 9, wait, 10, answer, 0, 0, 0, fin, 0]),
        "ahead": bytes([ahead, 0, 0, 0, 0, 40, ahead, 0, 0, 0, 0, 90, wait, 60, answer, 0, 0, 0]),
        "old": bytes([answer, 0, 0, 0, ahead, 0, 0, 0, 0xff, 0xf0, wait, 60]),
        "reset": bytes([reset, 0, wait, 60]),
        "closed": bytes([fin, 0, wait, 60, ack, 0]),
        "silent": bytes([wait, 100, wait, 250, wait, 250]),
        "segments": bytes([segment, 0, 0x18, 0, 0, 0, 0, 0x13, 3, 0, 1, 7,
                           segment, 0, 0x11, 0, 1, 0xff, 0xff, 8, 0]),
        "challenged": bytes([segment, 1, 0x10, 0, 9, 0, 9, 0, 0, syn_ack, 1, 3]),
        "many": b"".join(bytes([answer, 0, i, 0, ack, 0]) for i in range(5)) + bytes([fin, 0]),
    }
    for title, script in scripts.items():
        for how in (0, 1, 2, 6, 8, 16, 0x26, 0x20, 0x40, 0x4F):
            with open(os.path.join(directory, f"{title}-{how:02x}"), "wb") as file:
                file.write(bytes([how]) + opened + script)


main()
