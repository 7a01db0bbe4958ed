#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe-query and servers that answer what no server should.

usage: query_bad.py LETHE_QUERY
"""
import json
import os
import subprocess
import sys
import tempfile

from bad_server import BadServer, record, response

QUERY = os.path.abspath(sys.argv[1])
A = record(1, b"\xc0\x00\x02\x01")
failed = 0


def run(server, *words, text=None):
    done = subprocess.run([QUERY, "@127.0.0.1", "-p", str(server.port), "+time=1", "+tries=1", *words],
                          input=text, capture_output=True, timeout=60, check=False)
    for stream in (done.stdout, done.stderr):
        if any(octet > 0x7e or (octet < 0x20 and octet not in b"\n\t") for octet in stream):
            fail(words, "octets that a terminal might obey", stream)
    return done.returncode, done.stdout.decode("latin-1"), done.stderr.decode("latin-1")


def fail(*what):
    global failed
    failed += 1
    print("FAIL", *what)


def expect(what, answer, code, *said, words=("www.example.", "+noedns"), asked=None):
    """Against this server the exit code is this one, and this is said, on whatever stream."""
    with BadServer(answer) as server:
        status, out, err = run(server, *words)
        ways = list(server.asked)
    if status != code:
        fail(what, f"exit code {status}, not {code}\n{out}{err}")
    for text in said:
        if text not in out + err:
            fail(what, f"{text!r} was not said:\n{out}{err}")
    if asked is not None and ways != asked:
        fail(what, f"asked {ways}, not {asked} (True: TCP)")


def then_good(*before):
    """These first, then the answer."""
    return lambda request, _: [b(request) if callable(b) else b for b in before] + \
        [response(request, (1, 0, 0), A)]


def only(make):
    return lambda request, _: [make(request)]


def test_strangers():
    good = "192.0.2.1"
    expect("a good answer", then_good(), 0, good, "status: NOERROR", "flags: qr aa;")
    expect("octets", then_good(b"\x01", b"", b"\xff" * 11), 0, good, "shorter than a DNS header")
    expect("another identifier", then_good(lambda r: bytes([r[0] ^ 1]) + response(r)[1:]), 0, good,
           "wrong identifier: ignored")
    expect("a query", then_good(lambda r: r), 0, good, "not a response")
    expect("another question",
           then_good(lambda r: response(r, question=b"\3evil\0"[:4] + b"\0\0\1\0\1")), 0, good,
           "another question than asked: ignored")
    expect("a question that points", then_good(lambda r: response(r, question=b"\xc0\x0c\0\1\0\1")), 0,
           good, "another question")
    expect("two questions", then_good(lambda r: r[:2] + b"\x84\0\0\2" + b"\0" * 6 + r[12:] + r[12:]), 0,
           good, "another question")
    expect("only strangers", only(lambda r: bytes([r[0] ^ 1]) + response(r)[1:]), 9,
           "wrong identifier", "timed out", "lethe-query: no response")
    expect("a flood", lambda r, _: [b"x" * 12] * 100 + [response(r, (1, 0, 0), A)], 0, good)
    expect("nothing", lambda *_: [], 9, "timed out", asked=[False])


def test_malformed():
    def broken(body, counts=(1, 0, 0)):
        return only(lambda request: response(request, counts, body))
    expect("a record that is not there", broken(b""), 9, "answer record 1: missing: discarded")
    expect("a record cut off", broken(A[:-1]), 9, "answer record 1: cut off")
    expect("more records than octets", broken(A, (65535, 65535, 65535)), 9, "answer record 2: missing")
    expect("a loop", broken(record(1, b"\1\2\3\4", owner=b"\xc0\x1d")), 9, "malformed name")
    expect("a pointer to itself", broken(record(5, b"\xc0\x2c", owner=b"\xc0\x0c")), 0, "malformed RDATA")
    expect("a pointer ahead", broken(record(1, b"\1\2\3\4", owner=b"\xc0\xff")), 9, "malformed name")
    expect("a label of 64", broken(b"\x40" + A), 9, "malformed name")
    expect("a long name", broken(b"\x3f" + (b"a" * 63 + b"\x3f") * 4 + b"\0" * 64 + A), 9, "malformed name")
    expect("RDATA beyond", broken(record(16, b"\1a", length=3)), 9, "cut off")
    expect("A of three octets", broken(record(1, b"\1\2\3")), 0, "malformed RDATA", "\\# 3 010203")
    expect("a TXT that ends early", broken(record(16, b"\xff" + b"a")), 0, "\\# 2 FF61")
    expect("octets behind", broken(A + b"more"), 0, "192.0.2.1", "4 octets behind the last record")
    expect("OPT as answer", broken(record(41, b"", owner=b"\0")), 9, "OPT in this section")
    expect("two OPTs", broken(2 * record(41, b"", owner=b"\0"), (0, 0, 2)), 9, "a second OPT")
    expect("OPT of a name", broken(record(41, b""), (0, 0, 1)), 9, "OPT of another name")
    expect("an option beyond OPT", broken(record(41, b"\0\3\0\5abcd", owner=b"\0"), (0, 0, 1)), 9,
           "ends beyond OPT")
    expect("half an option", broken(record(41, b"\0\3\0", owner=b"\0"), (0, 0, 1)), 9, "ends beyond OPT")
    expect("words for the terminal",
           broken(record(41, b"\0\3\0\4\x1b[2J" + b"\0\x0f\0\x05\0\x12\x1b]0", owner=b"\0"), (0, 0, 1)), 0,
           "NSID: 1b5b324a (\"\\027[2J\")", "EDE: 18 (Prohibited): (\\027]0)")


def test_options_of_any_length():
    """Every option code, too short and too long for it: shown, nothing worse."""
    options = b"".join(bytes([0, code, 0, length]) + b"\xa5" * length
                       for code in range(24) for length in (0, 1, 2, 3, 4, 5, 7, 8, 9, 40))
    expect("options", only(lambda r: response(r, (0, 0, 1), record(41, options, owner=b"\0"))), 0,
           "NSID", "COOKIE", "ZONEVERSION", "OPT0")
    expect("options as JSON", only(lambda r: response(r, (0, 0, 1), record(41, options, owner=b"\0"))), 0,
           '"code": 23', words=("www.example.", "+json"))


def test_tcp():
    truncated = [False, True]

    def cut(over_tcp):
        return lambda request, is_tcp: over_tcp(request) if is_tcp else \
            [response(request, (1, 0, 0), A[:7], flags=0x8600)]
    expect("TC", cut(lambda r: [response(r, (1, 0, 0), A)]), 0, "truncated, asking over TCP", "192.0.2.1",
           "(TCP)", asked=truncated)
    expect("TC ignored", cut(lambda r: []), 0, "malformed from here on", "flags: qr aa tc",
           words=("www.example.", "+noedns", "+ignore"), asked=[False])
    expect("a length alone", cut(lambda r: [(b"", 0)]), 9, "shorter than a DNS header", asked=truncated)
    expect("the end within", cut(lambda r: [(response(r), 999)]), 9, "closed by the server within",
           asked=truncated)
    expect("silence", lambda *_: [], 9, "timed out", words=("www.example.", "+tcp"), asked=[True])
    expect("strangers", then_good(b"\0" * 12), 0, "wrong identifier: ignored", "192.0.2.1",
           words=("www.example.", "+tcp"), asked=[True])


def test_no_server():
    with BadServer(lambda *_: []) as server:
        pass
    for words in (("a.example.",), ("a.example.", "+tcp")):
        status, out, err = run(server, *words)
        if status != 9 or "Connection refused" not in out + err:
            fail("nobody there", words, status, out, err)


def test_json():
    with BadServer(then_good(b"\0")) as server:
        status, out, _ = run(server, "www.example.", "--json", "+qid=7")
        good = json.loads(out)
    if status != 0 or good["responseMessage"]["answerRRs"][0]["rdataA"] != "192.0.2.1" or \
            good["responseMessage"]["ID"] != 7 or len(good["notes"]) != 1:
        fail("JSON", out)
    with BadServer(lambda *_: []) as server:
        status, out, _ = run(server, "www.example.", "--json")
        bad = json.loads(out)
    if status != 9 or "error" not in bad or "responseMessage" in bad:
        fail("JSON without response", out)


def test_several():
    with BadServer(then_good()) as server, tempfile.NamedTemporaryFile("w") as file:
        file.write("# a comment\n\na.example. +short\nb.example. TXT +json\n")
        file.flush()
        status, out, err = run(server, "+short", "-f", file.name)
        lines = out.splitlines()
        if status != 0 or lines[0] != "192.0.2.1" or json.loads(lines[1])["queryMessage"]["QTYPE"] != 16:
            fail("a file of queries", status, out, err)
        status, out, _ = run(server, "-f", file.name + "x")
        if status != 8:
            fail("no file", status)
        status, out, _ = run(server, "+tcp", "+keepopen", "+short", "a.", "b.", "c.")
        if status != 0 or out != "192.0.2.1\n" * 3:
            fail("three on a connection", status, out)


def test_habits():
    """What dig's users type."""
    requests = []

    def answer(request, _):
        requests.append(request)
        return [response(request, (1, 0, 0), A)]
    with BadServer(answer) as server:
        for words, said in ((("+noall", "+ans", "+nottl", "+nocl"), "A\t192.0.2.1\n"),
                            (("+short", "+identify", "-u", "-r"), "192.0.2.1 from server 127.0.0.1 in "),
                            (("+noall", "+ans", "+unkn"), "A\t\\# 4 C0000201\n"),
                            (("+noall", "+ques", "-x", "192.0.2"), ";2.0.192.in-addr.arpa."),
                            (("+noall", "+qr", "+zfl"), ";; flags: rd z; QUERY: 1, ANSWER: 0"),
                            (("-q", "tcp.", "-t", "MX", "-c", "CH", "+noall", "+ques"), "CH\tMX\n"),
                            (("+tsig=k:AAAA", "+noall", "+cmd"), "(key) +noall"),
                            (("+subnet=192.0.2.255/20", "+qr"), "CLIENT-SUBNET: 192.0.0.0/20/0"),
                            (("+subnet=2001:db8:ff::/33",), "status: NOERROR"),
                            (("+subnet=0", "+opcode=query", "+qr"), "opcode: QUERY")):
            status, out, err = run(server, "www.example." if "-x" not in words and "-q" not in words else "+nocd",
                                   *words)
            if status not in ((9,) if "+tsig=k:AAAA" in words else (0,)) or said not in out or "AAAA" in out:
                fail(words, status, out, err)
    for option in ("0008000700011400c00000", "000800090002210020010db800", "0008000400010000"):  # RFC 7871 6
        if not any(bytes.fromhex(option) in request for request in requests):
            fail("not asked with", option)


def test_usage():
    with BadServer(lambda *_: []) as server:
        for words, said in ((("+nosuch",), "no such option"), (("-z",), "no such option"),
                            (("a..b",), "not a domain name"), (("+time=0",), "1 to 300"),
                            (("+ednsopt=1:abc",), "hexadecimal"), (("example.", "AXFR"), "transfer"),
                            (("-x", "1.2.x"), "not an address"), (("-x", "1.2.3.4.5"), "not an address"),
                            (("+re",), "beginning of several"), (("+subnet=192.0.2.1/33",), "a subnet is"),
                            (("+opcode=16",), "opcodes are"), (("-p",), "a value is missing"),
                            (("+nobufsize",), "no such option"), (("+tcp=1",), "takes no value"),
                            (("+checksum=02",), "a layout is 00 or 01"), (("@",), "not a server"),
                            (("-p", "0"), "not a port"), (("+cookie=zz",), "hexadecimal")):
            status, out, err = run(server, *words)
            if status != 1 or said not in err:
                fail(words, status, out, err)
        if server.asked:
            fail("a question was asked all the same")


for test in (test_strangers, test_malformed, test_options_of_any_length, test_tcp, test_no_server, test_json,
             test_several, test_habits, test_usage):
    test()
sys.exit(1 if failed else 0)
