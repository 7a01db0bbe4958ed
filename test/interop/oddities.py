#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Messages that no resolver should send: what lethed says to them, beside NSD and Knot DNS.

    oddities.py [--build DIR]

Lethe's answer is asserted; that of the others is shown.  Exit code 0, 1, or 77: cannot run here.
"""
import argparse
import shutil
import socket
import struct
import sys
import tempfile

import differential
import message as dns
import peers

QNAME = peers.name_to_wire("www.plain.example.")
QUESTION = QNAME + struct.pack("!HH", dns.A, 1)
SILENCE = "silence"


def message(flags=0, counts=(1, 0, 0, 0), body=QUESTION):
    return struct.pack("!6H", 0x1234, flags, *counts) + body


def opt(payload=1232, version=0, flags=0, options=b"", name=b"\0", rcode=0):
    return name + struct.pack("!HHBBHH", dns.OPT, payload, rcode, version, flags,
                              len(options)) + options


def with_opt(**fields):
    return message(counts=(1, 0, 0, 1), body=QUESTION + opt(**fields))


def option(code, data=b""):
    return struct.pack("!HH", code, len(data)) + data


def asked(name, qtype, qclass=1):
    return message(body=peers.name_to_wire(name) + struct.pack("!HH", qtype, qclass))


RECORD = QNAME + struct.pack("!HHIH", dns.A, 1, 0, 4) + b"\1\2\3\4"

# what, message, what lethed must say, what decides
CASES = [
    ("a plain query", message(), "NOERROR", "RFC 1035 4.1"),
    ("a header cut off", message()[:11], SILENCE, "RFC 1035 4.1.1"),
    ("nothing", b"", SILENCE, "RFC 1035 4.1.1"),
    ("a header alone", message(counts=(0, 0, 0, 0), body=b""), "FORMERR", "RFC 9619"),
    ("a response", message(0x8000), SILENCE, "RFC 1035 4.1.1"),
    ("a response with an error", message(0x8001), SILENCE, "RFC 1035 4.1.1"),
    ("two questions", message(counts=(2, 0, 0, 0), body=QUESTION * 2), "FORMERR", "RFC 9619"),
    ("no question but its octets", message(counts=(0, 0, 0, 0)), "FORMERR", "RFC 9619"),
    ("more questions than octets", message(counts=(9, 0, 0, 0)), "FORMERR", "RFC 9619"),
    ("the question cut off", message()[:-1], "FORMERR", "RFC 1035 4.1.2"),
    ("the name cut off", message(body=QNAME[:7]), "FORMERR", "RFC 1035 3.1"),
    ("a pointer in the question", message(body=b"\xc0\x0c" + QUESTION[-4:]), "FORMERR",
     "RFC 1035 4.1.4"),
    ("a label of type 01", message(body=b"\x41a\0" + QUESTION[-4:]), "FORMERR", "RFC 6891 5"),
    ("a name of 256 octets", message(body=(b"\x3f" + b"a" * 63) * 4 + b"\0" + QUESTION[-4:]),
     "FORMERR", "RFC 1035 2.3.4"),
    ("octets behind the message", message() + b"junk", "FORMERR", "RFC 1035 4.1"),
    ("opcode IQUERY", message(1 << 11), "NOTIMP", "RFC 3425"),
    ("opcode STATUS", message(2 << 11), "NOTIMP", "RFC 1035 4.1.1"),
    ("opcode 15", message(15 << 11), "NOTIMP", "RFC 1035 4.1.1"),
    ("opcode UPDATE", message(5 << 11), "NOTIMP", "RFC 2136 3.1"),
    ("a record in the answer section", message(counts=(1, 1, 0, 0), body=QUESTION + RECORD),
     "NOERROR", "RFC 1035 4.1, what is not understood is not looked at"),
    ("TC set", message(dns.TC), "NOERROR", "RFC 1035 4.1.1"),
    ("all other flags set", message(dns.AA | dns.RD | dns.RA | dns.AD | dns.CD | 0x40), "NOERROR",
     "RFC 1035 4.1.1"),
    ("a name that is not ours", asked("www.outside.test.", dns.A), "REFUSED", "RFC 1035 4.1.1"),
    ("class HS", asked("www.plain.example.", dns.A, 4), "REFUSED", "RFC 1035 4.1.1"),
    ("class ANY", asked("www.plain.example.", dns.A, 255), "REFUSED", "RFC 1035 3.2.5"),
    ("class 0", asked("www.plain.example.", dns.A, 0), "REFUSED", "RFC 6895 3.2"),
    ("type 0", asked("www.plain.example.", 0), "NOERROR", "RFC 6895 3.1"),
    ("type OPT", asked("www.plain.example.", dns.OPT), "NOERROR", "RFC 6895 3.1"),
    ("type TSIG", asked("www.plain.example.", dns.TYPES["TSIG"]), "NOERROR", "RFC 6895 3.1"),
    ("type MAILB", asked("mb.plain.example.", dns.TYPES["MAILB"]), "NOERROR", "RFC 6895 3.1"),
    ("AXFR over UDP", asked("plain.example.", dns.TYPES["AXFR"]), "REFUSED", "RFC 5936 4.2"),
    ("IXFR over UDP", asked("plain.example.", dns.TYPES["IXFR"]), "REFUSED", "RFC 1995 2"),
    ("version.bind, not configured", asked("version.bind.", dns.TXT, 3), "REFUSED", "RFC 4892"),
    ("EDNS", with_opt(), "NOERROR", "RFC 6891"),
    ("EDNS version 1", with_opt(version=1), "BADVERS", "RFC 6891 6.1.3"),
    ("EDNS version 255", with_opt(version=255), "BADVERS", "RFC 6891 6.1.3"),
    ("EDNS payload 0", with_opt(payload=0), "NOERROR", "RFC 6891 6.2.3"),
    ("EDNS, all flags", with_opt(flags=0xFFFF), "NOERROR", "RFC 6891 6.1.4"),
    ("two OPT", message(counts=(1, 0, 0, 2), body=QUESTION + opt() * 2), "FORMERR",
     "RFC 6891 6.1.1"),
    ("OPT with a name", with_opt(name=QNAME), "FORMERR", "RFC 6891 6.1.2"),
    ("OPT in the answer section", message(counts=(1, 1, 0, 0), body=QUESTION + opt()), "FORMERR",
     "RFC 6891 6.1.1"),
    ("OPT cut off", with_opt()[:-1], "FORMERR", "RFC 6891 6.1.2"),
    ("an option longer than OPT", with_opt(options=struct.pack("!HH", 65001, 9) + b"x"), "FORMERR",
     "RFC 6891 6.1.2"),
    ("half an option header", with_opt(options=b"\0\1\0"), "FORMERR", "RFC 6891 6.1.2"),
    ("an unknown option", with_opt(options=option(65001, b"what")), "NOERROR", "RFC 6891 6.1.2"),
    ("NSID", with_opt(options=option(3)), "NOERROR", "RFC 5001"),
    ("a short cookie", with_opt(options=option(10, b"short")), "FORMERR", "RFC 7873 5.2.2"),
    ("keepalive over UDP", with_opt(options=option(11)), "NOERROR", "RFC 7828 3.3.1"),
    ("padding", with_opt(options=option(12, b"\0" * 99)), "NOERROR", "RFC 7830"),
]


def ask(address, request):
    """What a server says: an rcode's name, or silence."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(0.25)
        udp.connect(address)
        udp.send(request)
        try:
            raw = udp.recv(65535)
        except TimeoutError:
            return SILENCE
    response = dns.parse(raw)
    assert raw[:2] == request[:2], "other message ID"
    assert response.word & dns.QR, "not a response"
    return dns.RCODES.get(response.rcode, str(response.rcode))


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", default="build")
    args = options.parse_args()
    for program in ("nsd", "knotd"):
        if shutil.which(program) is None:
            print(f"SKIPPED: {program} is not installed")
            return 77
    failed = 0
    with tempfile.TemporaryDirectory(prefix="lethe-oddities-") as tmp:
        zones = {apex: differential.unpack(apex, tmp) for apex in ("plain.example.",)}
        with peers.Lethed(tmp, zones, args.build) as lethed, peers.Nsd(tmp, zones) as nsd, \
                peers.Knot(tmp, zones) as knot:
            print(f"{'':32}{'lethed':10}{'nsd':10}{'knot':10}")
            for what, request, wanted, decides in CASES:
                said = [ask((server.address, server.port), request)
                        for server in (lethed, nsd, knot)]
                good = wanted == said[0]
                failed += not good
                print(f"{what:32}{said[0]:10}{said[1]:10}{said[2]:10}"
                      + ("" if good else f"FAILED: {wanted} expected") + f"  [{decides}]")
            alive = ask((lethed.address, lethed.port), message())
            failed += alive != "NOERROR"
    print(f"{len(CASES)} messages, {failed} answered wrongly")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
