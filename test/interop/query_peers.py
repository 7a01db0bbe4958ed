#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe-query and dig ask lethed, NSD, Knot DNS and BIND the same, and understand the same.

    query_peers.py [--build DIR]

Every type of record, every kind of answer, with and without DNSSEC records, over UDP and TCP: status,
flags, and each record octet by octet. Then TSIG with each server that has the key, and CHECKSUM with
lethed. Exit code 0, 1, or 77: cannot run here.
"""
import argparse
import collections
import json
import lzma
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import peers

DATA = pathlib.Path(__file__).resolve().parent.parent / "data" / "zones"
SECRET = "c2VjcmV0IG9mIHRoZSB0ZXN0cyBvZiBsZXRoZS1xdWVyeQ=="
KEY = f"hmac-sha256:test.key:{SECRET}"
# What not all of the servers load.
REFUSED = ("TYPE42 ", "TYPE55 ", "TYPE29 ", "\\[", "\\000", "HIP", "APL", "TYPE65535")
SIGNED_OWNERS = 60
# BADVERS, NOTIMP, no EDNS at all, flags that are not meant for authorities: ours, and what dig calls it.
ODD = ((("+edns=1",), ("+edns=1", "+noednsnegotiation")), (("+opcode=2",), ("+opcode=status",)),
       (("+noedns",), ("+noedns",)), (("+cd", "+ad", "+rec"), ("+cdflag", "+adflag", "+recurse")))
failures = []


class KeyedNsd(peers.Nsd):
    def prepare(self):
        command = super().prepare()
        with open(self.directory / "nsd.conf", "a", encoding="ascii") as conf:
            conf.write(f'key:\n  name: "test.key"\n  algorithm: hmac-sha256\n  secret: "{SECRET}"\n')
        return command


class KeyedKnot(peers.Knot):
    def prepare(self):
        command = super().prepare()
        path = self.directory / "knot.conf"
        path.write_text(path.read_text().replace(
            "acl:\n", f'key:\n  - id: test.key\n    algorithm: hmac-sha256\n    secret: "{SECRET}"\nacl:\n'
            "  - id: signed\n    key: test.key\n    action: transfer\n").replace(
                "acl: transfer", "acl: [transfer, signed]"))
        return command


class KeyedBind(peers.Bind):
    def prepare(self):
        command = super().prepare()
        path = self.directory / "named.conf"
        path.write_text(path.read_text().replace(
            "notify no;", "notify no; max-records-per-type 0; max-types-per-name 0;")
            + f'key "test.key" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\n')
        return command


def unpack(directory):
    """The zones, and the questions about them: (name, type)."""
    types = "".join(line for line in (DATA / "types.zone").read_text(encoding="latin-1").splitlines(True)
                    if not any(word in line for word in REFUSED))
    zones = {"types.example.": types,
             "nsec3.example.": lzma.open(DATA / "nsec3.example.zone.xz", "rt", encoding="latin-1").read()}
    todo = []
    for apex, text in zones.items():
        (directory / apex).write_text(text, encoding="latin-1")
        owners = {}
        for owner, rtype in re.findall(r"^(\S+)[ \t]+\d+[ \t]+IN[ \t]+(\S+)", text, re.M):
            name = apex if owner == "@" else owner if owner.endswith(".") else f"{owner}.{apex}"
            if rtype not in ("RRSIG", "NSEC3"):
                owners.setdefault(name, []).append(rtype)
        names = sorted(owners)
        step = max(1, len(names) // SIGNED_OWNERS) if apex.startswith("nsec3") else 1
        for name in names[::step]:
            todo += [(name, rtype) for rtype in sorted(set(owners[name]))]
            todo += [(name, "TYPE999")] + [("no-such-name." + name, "A")] * (len(name) < 200)
    return {apex: directory / apex for apex in zones}, todo + [("elsewhere.test.", "A")]


def wire(name):
    """Name in presentation format to octets, in lower case."""
    labels, label, i = [], b"", 0
    while i < len(name):
        if name[i] == "\\":
            step = 4 if name[i + 1].isdigit() else 2
            label += bytes([int(name[i + 1:i + 4])]) if step == 4 else name[i + 1].encode()
            i += step
            continue
        if name[i] == ".":
            labels, label = labels + [label], b""
        else:
            label += name[i].encode("latin-1")
        i += 1
    return tuple(part.lower() for part in labels + [label] if part)


SECTIONS = ("ANSWER", "AUTHORITY", "ADDITIONAL")
MEMBERS = ("answerRRs", "authorityRRs", "additionalRRs")


def by_dig(server, words, path):
    """What dig understands, question by question."""
    done = subprocess.run(["dig", f"@{server.address}", "-p", str(server.port), "+noall", "+comments",
                           "+answer", "+authority", "+additional", "+unknownformat", "+norec", "+noad",
                           "+nocookie", "+bufsize=1232", "+tries=2", *words, "-f", path],
                          capture_output=True, text=True, encoding="latin-1", timeout=200, check=False)
    out, section = [], None
    for line in done.stdout.splitlines():
        header = re.match(r";; ->>HEADER<<- opcode: \w+, status: (\S+), id", line)
        if header:
            out.append({"status": header[1], "flags": None, **{name: [] for name in SECTIONS}})
        elif line.startswith(";; flags: "):
            out[-1]["flags"] = set(line[10:].split(";")[0].split())
        elif re.match(r";; \w+ SECTION:", line):
            section = line.split()[1]
        elif line and line[0] != ";":
            name, ttl, rclass, rtype, _, _, *octets = line.split()
            out[-1][section].append((wire(name), int(ttl), rclass, rtype, "".join(octets).lower()))
    return out


def by_us(tool, server, words, path):
    done = subprocess.run([tool, f"@{server.address}", "-p", str(server.port), "+json", "+norec", "+tries=2",
                           *words, "-f", path], capture_output=True, text=True, timeout=200, check=False)
    out = []
    for line in done.stdout.splitlines():
        m = json.loads(line).get("responseMessage", {})
        flags = {name.lower() for name in ("AA", "TC", "RD", "RA", "AD", "CD") if m.get(name)} | {"qr"}
        out.append({"status": m.get("RCODEname"), "flags": flags})
        for name, member in zip(SECTIONS, MEMBERS):
            out[-1][name] = [(wire(r["NAME"]), r["TTL"], f"CLASS{r['CLASS']}", f"TYPE{r['TYPE']}",
                              r["RDATAHEX"]) for r in m.get(member, [])]
    return done, out


def compare(tool, server, words, path, todo, dig_words=None):
    theirs = by_dig(server, dig_words or words, path)
    done, ours = by_us(tool, server, words, path)
    if done.returncode != 0 or not len(ours) == len(theirs) == len(todo):
        failures.append(f"{server.name}: {len(todo)} questions, {len(ours)} answers for us, {len(theirs)} for "
                        f"dig, exit code {done.returncode}: {done.stderr[:500]}")
        return 0
    statuses = collections.Counter()
    for question, us, dig in zip(todo, ours, theirs):
        for name in SECTIONS:
            us[name].sort()
            dig[name].sort()
        if us != dig:
            failures.append(f"{server.name} {words} {question}:\n  we {us}\n dig {dig}")
        statuses[us["status"]] += 1
    print(f"{server.name:7} {' '.join(words) or 'plain':16} {dict(statuses)}")
    return sum(len(us[name]) for us in ours for name in SECTIONS)


def ask(tool, server, *words, address=None):
    done = subprocess.run([tool, f"@{address or server.address}", "-p", str(server.port), "+json", "+time=2",
                           "types.example.", "SOA", *words], capture_output=True, text=True, timeout=60,
                          check=False)
    return done.returncode, json.loads(done.stdout)


def expect(what, got, **wanted):
    code, said = got
    seen = {"code": code, **said, "status": said.get("responseMessage", {}).get("RCODEname")}
    for key, value in wanted.items():
        if seen.get(key) != value:
            failures.append(f"{what}: {key} is {seen.get(key)!r}, not {value!r}: {said['notes']}")


def sign(tool, server):
    """TSIG: good, over UDP and TCP; a key that nobody has; a wrong secret."""
    for words in ((), ("+tcp",), ("+dnssec", "+padding", "+nsid")):
        expect(f"{server.name} {words}", ask(tool, server, "-y", KEY, *words), code=0, tsig="good",
               status="NOERROR")
    expect(f"{server.name}: no such key", ask(tool, server, "-y", f"other.key:{SECRET}"), code=9,
           tsig="refused, unsigned", tsigError="BADKEY", status="NOTAUTH")
    expect(f"{server.name}: wrong secret", ask(tool, server, "-y", "test.key:AAAA"), code=9,
           tsig="refused, unsigned", tsigError="BADSIG", status="NOTAUTH")


def sign_well_known(tool, server, has_it):
    """The key that everybody knows, also with CHECKSUM; and a key from a file."""
    for words in ((), ("+tcp",), ("+checksum",), ("+checksum=00", "+dnssec")):
        if has_it:
            expect(f"{server.name}, well-known {words}", ask(tool, server, "+tsig=well-known", *words), code=0,
                   tsig="good", status="NOERROR", checksum="good" if "+checksum" in str(words) else None)
    if not has_it:
        code, said = ask(tool, server, "+tsig=well-known")
        expect(f"{server.name}, well-known", (code, said), code=0, tsig="refused, unsigned", status="NOTAUTH")
    else:
        expect("key and checksum", ask(tool, server, "-y", KEY, "+checksum"), code=0, tsig="good",
               checksum="good", status="NOERROR")
        keys = server.directory.parent / "keys"
        expect("a key from a file", ask(tool, server, "-k", str(keys)), code=0, tsig="good", status="NOERROR")


def check(tool, server, has_it):
    if has_it:
        for words in ((), ("+tcp",), ("+bufsize=512", "+dnssec")):
            expect(f"IPv6 {words}", ask(tool, server, *words, address="::1"), code=0, status="NOERROR",
                   server=f"::1@{server.port}")
        expect("IPv4 alone", ask(tool, server, "-4", address="::1"), code=9,
               error="no server of the family that is wanted")
    for words in (("+checksum",), ("+checksum=00",), ("+checksum", "+tcp"), ("+checksum", "+dnssec")):
        expect(f"{server.name} {words}", ask(tool, server, *words), code=0, status="NOERROR",
               checksum="good" if has_it else "absent")


def run(build, directory):
    zones, todo = unpack(directory)
    path = directory / "questions"
    path.write_text("".join(f"{name} {rtype}\n" for name, rtype in todo), encoding="latin-1")
    tool = str(pathlib.Path(build) / "tools" / "lethe-query")
    records = 0
    keys = directory / "keys"
    keys.write_text(f'key "test.key" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n')
    keys.chmod(0o600)
    signing = ("--tsig-keys", str(keys), "--tsig-well-known", "on")
    for make in (lambda: peers.Lethed(directory, zones, build, extra=signing, more_addresses=["::1"]), lambda: KeyedNsd(directory, zones),
                 lambda: KeyedKnot(directory, zones), lambda: KeyedBind(directory, zones)):
        # Made now: a port that was free before may be that of a client's closed connection.
        with make() as server:
            for words in ((), ("+dnssec",), ("+tcp",)):
                records += compare(tool, server, words, path, todo)
            few = directory / "few"
            few.write_text("".join(f"{name} {rtype}\n" for name, rtype in todo[:3]))
            for words, dig_words in ODD:
                compare(tool, server, words, few, todo[:3], dig_words)
            check(tool, server, server.name == "lethed")
            sign(tool, server)
            sign_well_known(tool, server, server.name == "lethed")
    print(f"{len(todo)} questions, {records} records")
    if records < 5000:
        failures.append("fewer records than there are")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/plain")
    options = parser.parse_args()
    missing = [name for name in ("dig", "nsd", "knotd", "named") if shutil.which(name) is None]
    if missing:
        print("skipped: not installed:", *missing)
        return 77
    with tempfile.TemporaryDirectory(prefix="lethe-query-") as tmp:
        run(options.build, pathlib.Path(tmp))
    for text in failures[:20]:
        print("FAIL", text[:1500])
    return 1 if failures else 0


sys.exit(main())
