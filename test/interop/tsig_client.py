#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Ask with signatures by dnspython: one job a line, as JSON; for each a line says what came.

A job names address, port, transport, name, type, key, secret (hex) and algorithm; `shift` moves the
client's clock, `other` is Other Data (hex), `payload` the EDNS size (0: none). With `again` the same
octets are sent thrice at once and once more so many seconds later: "same" says whether all responses
were the same octets, "later" is the RCODE of the last.
Exit code 77: there is no dnspython.
"""
import json
import socket
import struct
import sys
import time
from unittest import mock

try:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.tsig
except ImportError:
    sys.exit(77)


def receive(s, length):
    octets = b""
    while len(octets) < length:
        more = s.recv(length - len(octets))
        if not more:
            raise EOFError
        octets += more
    return octets


def exchange(job, wire):
    family = socket.AF_INET6 if ":" in job["address"] else socket.AF_INET
    if job["transport"] == "tcp":
        with socket.create_connection((job["address"], job["port"]), timeout=10) as s:
            s.sendall(struct.pack(">H", len(wire)) + wire)
            return receive(s, struct.unpack(">H", receive(s, 2))[0])
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        s.connect((job["address"], job["port"]))
        for _ in range(3):
            s.send(wire)
            try:
                return s.recv(65535)
            except TimeoutError:
                pass
    raise TimeoutError


def ask(job):
    key = dns.tsig.Key(job["key"], bytes.fromhex(job["secret"]), job["algorithm"])
    ring = {key.name: key}
    query = dns.message.make_query(job["name"], job["type"], payload=job.get("payload", 1232),
                                   use_edns=job.get("payload", 1232) != 0)
    query.use_tsig(ring, keyname=key.name, other_data=bytes.fromhex(job.get("other", "")))
    now = time.time() + job.get("shift", 0)
    with mock.patch("time.time", return_value=now):
        wire = query.to_wire()
        octets = exchange(job, wire)
        said = {"len": len(octets), "rcode": octets[3] & 15, "tc": bool(octets[2] & 2),
                "answers": struct.unpack(">H", octets[6:8])[0]}
        try:
            response = dns.message.from_wire(octets, keyring=ring, request_mac=query.mac)
            said["outcome"] = "good" if response.had_tsig else "unsigned"
        except dns.exception.DNSException as problem:
            said["outcome"] = type(problem).__name__
    if job.get("again"):
        others = [exchange(job, wire) for _ in range(2)]
        time.sleep(job["again"])
        others.append(exchange(job, wire))
        said["same"] = all(other == octets for other in others)
        said["later"] = others[-1][3] & 15
    return said


for line in sys.stdin:
    try:
        print(json.dumps(ask(json.loads(line))), flush=True)
    except (OSError, EOFError) as trouble:
        print(json.dumps({"outcome": type(trouble).__name__}), flush=True)
