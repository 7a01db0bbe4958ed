#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe-query and responses that are altered, unsigned, signed by others, late, or forged before the
right one comes: CHECKSUM, TSIG, COOKIE.

usage: query_protection.py LETHE_QUERY
"""
import base64
import hashlib
import hmac
import json
import os
import struct
import subprocess
import sys
import tempfile
import time

import peers
from bad_server import BadServer, question_end, record, response

QUERY = os.path.abspath(sys.argv[1])
A = record(1, b"\xc0\0\2\1")
CODE = 65002
SECRET = b"a secret of thirty-two octets..."
KEY = "hmac-sha256:test.key:" + base64.b64encode(SECRET).decode()
failed = 0


def run(server, *words):
    done = subprocess.run([QUERY, "@127.0.0.1", "-p", str(server.port), "+json", "+time=2", "+tries=1", *words,
                           "www.example."], capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, json.loads(done.stdout)


def expect(what, answer, words, code, asked=None, told=None, **wanted):
    global failed
    with BadServer(answer) as server:
        status, said = run(server, *words)
        ways = list(server.asked)
    wrong = {key: said.get(key) for key, value in wanted.items() if said.get(key) != value}
    if told is not None and not any(told in text for text in said["notes"]):
        wrong["notes"] = said["notes"]
    if status != code or wrong or (asked is not None and ways != asked):
        failed += 1
        print("FAIL", what, "exit code", status, "asked", ways, wrong, said["notes"])


# ---- CHECKSUM ----

def with_checksum(request, layout="01", nonce=None, options=1, algorithm=None):
    """A response with the digest that it should have."""
    head = 16 if layout == "00" else 8
    nonce = nonce or request[-head - (2 if layout == "00" else 1):][:head]
    number, make = (1, hashlib.sha1) if layout == "00" else (2, hashlib.sha256)
    number = algorithm or number
    start = nonce + (struct.pack("!H", number) if layout == "00" else bytes([number]))
    size = make().digest_size
    option = struct.pack("!HH", CODE, len(start) + size) + start + bytes(size)
    message = response(request, (1, 0, 1), A + record(41, option * options, ttl=0, owner=b"\0", rclass=1232))
    return message[:-size] + make(message).digest()


def alter(message, at, by=1):
    at = at % len(message)
    return message[:at] + bytes([message[at] ^ by]) + message[at + 1:]


def test_checksum():
    for layout in ("00", "01"):
        words = (f"+checksum={layout}",)

        def good(request, _, layout=layout):
            return [with_checksum(request, layout)]

        def altered(request, is_tcp, layout=layout):
            message = with_checksum(request, layout)
            return [message if is_tcp else alter(message, question_end(request) + 15)]
        expect("good", good, words, 0, [False], checksum="good")
        expect("good over TCP", good, (*words, "+tcp"), 0, [True], checksum="good")
        expect("an address altered", altered, words, 0, [False, True], checksum="good", transport="TCP",
               told="checksum bad: discarded, asking over TCP")
        expect("altered over TCP too", lambda r, _, layout=layout: [alter(with_checksum(r, layout), -1)], words, 9,
               [False, True], checksum="bad", error="no response", told="(TCP): checksum bad: discarded")
        nonce = b"n" * (16 if layout == "00" else 8)
        expect("another nonce", lambda r, _, layout=layout, nonce=nonce: [with_checksum(r, layout, nonce=nonce)],
               words, 9, [False, True], checksum="bad")
        expect("absent", lambda r, _: [response(r, (1, 0, 0), A)], words, 0, [False], checksum="absent")
        expect("twice", lambda r, _, layout=layout: [with_checksum(r, layout, options=2)], words, 0, [False],
               checksum="absent")
        expect("unknown", lambda r, _, layout=layout: [with_checksum(r, layout, algorithm=77)], words, 0, [False],
               checksum="absent")


# ---- TSIG ----

def mac_of(request):
    """The MAC of a request's TSIG record, which ends it."""
    name = peers.name_to_wire("hmac-sha256")
    at = request.rindex(name) + len(name) + 8
    return request[at + 2:at + 2 + struct.unpack("!H", request[at:at + 2])[0]]


def signed(request, message, key=SECRET, shift_s=0, error=0, has_mac=True, key_name="test.key"):
    name, algorithm = peers.name_to_wire(key_name), peers.name_to_wire("hmac-sha256")
    when = struct.pack("!Q", int(time.time()) + shift_s)[2:] + struct.pack("!H", 300)
    asked = mac_of(request)
    over = struct.pack("!H", len(asked)) + asked + message + name + b"\0\xff\0\0\0\0" + algorithm + when + \
        struct.pack("!HH", error, 0)
    mac = hmac.new(key, over, hashlib.sha256).digest() if has_mac else b""
    rdata = algorithm + when + struct.pack("!H", len(mac)) + mac + message[:2] + struct.pack("!HH", error, 0)
    count = struct.unpack("!H", message[10:12])[0] + 1
    return message[:10] + struct.pack("!H", count) + message[12:] + \
        record(250, rdata, ttl=0, owner=name, rclass=255)


def test_tsig():
    def plain(request):
        return response(request, (1, 0, 0), A)

    def refused(request):
        return signed(request, response(request, flags=0x8009), error=17, has_mac=False)
    words = ("-y", KEY, "+noedns")
    expect("good", lambda r, _: [signed(r, plain(r))], words, 0, tsig="good", tsigError=None)
    expect("good over TCP", lambda r, _: [signed(r, plain(r))], (*words, "+tcp"), 0, tsig="good")
    expect("altered", lambda r, _: [alter(signed(r, plain(r)), question_end(r) + 15)], words, 9, tsig="bad",
           told="TSIG bad: discarded")
    expect("another secret", lambda r, _: [signed(r, plain(r), key=b"x" * 32)], words, 9, tsig="bad")
    expect("another key", lambda r, _: [signed(r, plain(r), key_name="other.key")], words, 9, tsig="bad")
    expect("late", lambda r, _: [signed(r, plain(r), shift_s=-1000)], words, 9, tsig="bad",
           told="not of this time")
    expect("unsigned", lambda r, _: [plain(r)], words, 9, tsig="absent")
    expect("unsigned over TCP", lambda r, _: [plain(r)], (*words, "+tcp"), 9, tsig="absent")
    expect("refused by anybody", lambda r, _: [refused(r)], words, 9, tsig="refused, unsigned",
           tsigError="BADKEY")
    expect("refused by the server",
           lambda r, _: [signed(r, response(r, flags=0x8009), error=18)], words, 0, tsig="refused",
           tsigError="BADTIME")
    expect("forged before it", lambda r, _: [plain(r), refused(r), alter(signed(r, plain(r)), -20),
                                             signed(r, plain(r))], words, 0, [False], tsig="good")
    expect("the well-known key, not known", lambda r, _: [plain(r)], ("+tsig=well-known",), 0, tsig="absent")
    expect("TC without a signature", lambda r, is_tcp: [signed(r, plain(r)) if is_tcp else response(
        r, flags=0x8200)], words, 0, [False, True], tsig="good", transport="TCP")


def test_key_files():
    """As people and programs write them; and what is no key."""
    secret = base64.b64encode(SECRET).decode()
    good = (KEY, KEY + "\n", f"test.key.:{secret}\n",
            f'key "test.key" {{\n\talgorithm hmac-sha256;\n\tsecret "{secret}";\n}};\n',
            f"key test.key. {{ secret {secret}; }};",
            f"# {KEY}\nkey:\n  - id: test.key\n    algorithm: hmac-sha256\n    secret: {secret}\n")
    bad = ("", "#", "key", "key \"", "key a { };", "a:b:c:d", "hmac-md9:a:AAAA", "a..b:AAAA", "a:!!!", "a:", ":AAAA",
           "key { secret", "key: id secret", "a" * 20000, "\0" * 50, KEY[:-1])
    with tempfile.NamedTemporaryFile("w", suffix=".key") as file, \
            BadServer(lambda r, _: [signed(r, response(r, (1, 0, 0), A))]) as server:
        for text, code in [(text, 0) for text in good] + [(text, 8) for text in bad]:
            file.seek(0)
            file.truncate()
            file.write(text)
            file.flush()
            done = subprocess.run([QUERY, "@127.0.0.1", "-p", str(server.port), "+short", "+tries=1", "+time=2",
                                   "-k", file.name, "www.example."], capture_output=True, text=True, timeout=60,
                                  check=False)
            if done.returncode != code or (code == 0) != (done.stdout == "192.0.2.1\n"):
                global failed
                failed += 1
                print("FAIL key file", repr(text[:80]), done)


# ---- COOKIE ----

def test_cookie():
    seen = []

    def demands(request, _):
        """BADCOOKIE, until its own cookie comes."""
        cookie = request[request.index(b"\0\x0a\0") + 2:]
        cookie = cookie[2:2 + struct.unpack("!H", cookie[:2])[0]]
        seen.append(cookie)
        option = struct.pack("!HH", 10, 16) + cookie[:8] + b"servers!"
        is_good = cookie[8:] == b"servers!"
        opt = record(41, option, ttl=0 if is_good else 0x01000000, owner=b"\0", rclass=1232)
        return [response(request, (is_good, 0, 1), (A if is_good else b"") + opt,
                         flags=0x8400 if is_good else 0x8007)]
    expect("BADCOOKIE", demands, ("+cookie",), 0, [False, False], told="BADCOOKIE: asking again")
    if len(seen) != 2 or len(seen[0]) != 8 or seen[1] != seen[0] + b"servers!":
        print("FAIL cookies:", seen)
        sys.exit(1)

    def never(request, _):
        cookie = request[request.index(b"\0\x0a\0") + 4:][:8]
        return [response(request, (0, 0, 1), record(41, struct.pack("!HH", 10, 16) + cookie + b"anything",
                                                    ttl=0x01000000, owner=b"\0"), flags=0x8007)]
    expect("BADCOOKIE for ever", never, ("+cookie=0102030405060708",), 0, [False, False])


for test in (test_checksum, test_tsig, test_key_files, test_cookie):
    test()
sys.exit(1 if failed else 0)
