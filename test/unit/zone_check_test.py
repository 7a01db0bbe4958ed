#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe zone check on signed zones, as they are and with one thing wrong.

usage: zone_check_test.py LETHE DATA

DATA has root.zone.xz (NSEC, RSA, ZONEMD) and zones/nsec3.example.zone.xz (NSEC3, Ed25519).
"""
import lzma
import os
import re
import subprocess
import sys

lethe, data = sys.argv[1:3]
failures = []
TIME = "20260805000000"


def read(name):
    with lzma.open(os.path.join(data, name), "rt", encoding="latin-1") as file:
        return file.read()


def check(zone, text, time=TIME):
    done = subprocess.run([lethe, "zone", "check", "--time", time, zone, "-"], input=text,
                          encoding="latin-1", capture_output=True, timeout=100, check=False)
    return done.returncode, done.stdout, done.stderr


def expect(title, zone, text, told, code=1, time=TIME):
    """`told`: a pattern that a message must match."""
    got_code, out, err = check(zone, text, time)
    if got_code != code or not re.search(told, out + err):
        failures.append(title)
        print(f"FAIL {title}: exit code {got_code}\n{out}{err[:1000]}")
    else:
        print(f"ok   {title}")


def change(text, pattern, replacement):
    changed, count = re.subn(pattern, replacement, text, count=1, flags=re.M)
    if count != 1:
        raise RuntimeError(f"nothing matches {pattern}")
    return changed


def without_zonemd(text):
    return re.sub(r"^\.\s+\d+\s+IN\s+ZONEMD\s.*\n", "", text, flags=re.M)


def test_root():
    root = read("root.zone.xz")
    expect("the root zone is good", ".", root,
           r"24877 records .* 2792 signatures verified, ZONEMD verified; 0 errors, 0 warnings", 0)
    expect("the root zone is expired later", ".", root,
           r"warning: 2792 signatures have expired", 0, "20270101000000")
    expect("the root zone is early before", ".", root,
           r"warning: 2792 signatures are not valid yet", 0, "20250101000000")
    expect("one digit of a DS: ZONEMD sees it", ".",
           change(root, r"^(aaa\.\s.*\sDS\s.*)[0-9A-F]$", r"\g<1>0"),
           r"ZONEMD does not match")
    expect("one record less: ZONEMD sees it", ".", change(root, r"^aaa\.\s.*\sNS\s.*\n", ""),
           r"ZONEMD does not match")

    bare = without_zonemd(root)
    expect("the bitmap misses ZONEMD now", ".", bare, r"the type bitmap has 6 types, the name has 5")
    bare = change(bare, r"^(\.\s.*\sNSEC\s.*) ZONEMD$", r"\1")
    expect("an NSEC changed: its signature does not verify", ".", bare,
           r"the signature does not verify")
    expect("a DS without RRSIG", ".", change(bare, r"^aaa\.\s.*\sRRSIG\s+DS\s.*\n", ""),
           r"no RRSIG covers DS")


def test_nsec3():
    name = "nsec3.example"
    zone = read("zones/nsec3.example.zone.xz")
    expect("the NSEC3 zone is good", name, zone, r"1030 signatures verified; 0 errors", 0)
    expect("a digit of an address", name, change(zone, r"192\.0\.2\.11$", "192.0.2.99"),
           r"the signature does not verify")
    expect("an RRset without RRSIG", name, change(zone, r"^\S+\s.*\sRRSIG\s+MX\s.*\n", ""),
           r"no RRSIG covers MX")
    expect("a name without NSEC3", name, zone + f"new.{name}. 300 IN A 192.0.2.1\n",
           rf"no NSEC3 matches new\.{name}\.")
    expect("an empty non-terminal without NSEC3", name, zone + f"x.ent9.{name}. 300 IN A 192.0.2.1\n",
           rf"no NSEC3 matches ent9\.{name}\. \(an empty non-terminal\)")
    expect("a type that the bitmap misses", name, zone + f"{name}. 300 IN LOC 1 N 1 E 1m\n",
           r"the type bitmap misses LOC")
    expect("another signer", name, zone.replace(f" {name}. ", " example. "),
           r"the signer of an RRSIG must be the zone's apex")
    expect("another key", name, change(zone, r"(\sDNSKEY\s+)257\s", r"\g<1>256 "),
           r"the zone has no DNSKEY of tag \d+ and algorithm 15(.|\n)*no good signature covers SOA")


def test_ds():
    head = "@ 60 IN SOA a.test. b.test. 1 2 3 4 5\n@ 60 IN NS a.test.\nsub 60 IN NS a.test.\n"
    expect("a DS too short", "example", head + "sub 60 IN DS 1 8 2 00\n",
           r"DS digest of type 2 has 1 octets instead of 32")
    expect("a DS of an unknown type", "example", head + "sub 60 IN DS 1 8 77 00\n",
           r"warning: DS digest of unknown type 77", 0)


test_root()
test_nsec3()
test_ds()
print(f"{len(failures)} failed")
sys.exit(1 if failures else 0)
