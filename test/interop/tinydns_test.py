#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A tinydns-data file, answered by tinydns and, imported, by lethed.

usage: tinydns_test.py --build DIR DATA

Each name of the file, and some that are not in it, is asked for with many types; both answers are
printed by the tools of djbdns, tinydns-get and dnsq. Response code, AA, the records of the name itself,
referrals and SOAs must be the same. Runs in a network namespace of its own. Exit code 0, 1, or 77:
cannot run here.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

import peers

OWN_NETWORK = "LETHE_TINYDNS_NETWORK"
TYPES = ["a", "ns", "mx", "txt", "ptr", "cname", "soa", "28", "33", "65280"]
MORE = ["nothing.example.com", "a.b.nothing.example.com", "x.wild.example.com", "y.x.wild.example.com",
        "x.other.example.com", "deeper.sub.example.com", "sub.example.com", "x.else.example.com",
        "x.child.example.net", "ns1.example.net", "here.other.example.com", "a.ns.example.com",
        "m.mx.example.com", "1.2.0.192.in-addr.arpa", "10.2.0.192.in-addr.arpa",
        "77.2.0.192.in-addr.arpa"]
OUTSIDE = ["example.org", "stray.example.org", "com"]


class Imported(peers.Lethed):
    """lethed with all zones of the file."""

    def load(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.zones["example.com."]
        done = subprocess.run([self.tool("lethe"), "--db", str(self.db), "zone", "import", path],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise peers.ServerError(done.stderr)


def run(*command, cwd=None):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=30,
                          check=False).stdout


def lowest(records):
    """TTLs in one RRset are the same in a zone: the lowest of the file."""
    ttls = {}
    for owner, ttl, rtype, _ in records:
        ttls[owner, rtype] = min(int(ttl), ttls.get((owner, rtype), 1 << 31))
    return sorted((owner, ttls[owner, rtype], rtype, data) for owner, _, rtype, data in records)


def read(name, text):
    """rcode, AA, records at the name, referral, SOA."""
    lines = text.splitlines()
    if len(lines) < 3:
        return None
    sections = {"answer": [], "authority": []}
    for line in lines[3:]:
        section, owner, ttl, rtype, *data = line.split(" ")
        if section != "additional:":
            sections[section[:-1]].append((owner.lower(), ttl, rtype, " ".join(data).lower()))
    rcode = lines[1].split(", ")[-1]
    answer = lowest([r for r in sections["answer"] if r[0] == name.lower()])
    if answer:
        return rcode, "authoritative" in lines[1], answer
    # The TTL of a negative answer is min(SOA TTL, MINIMUM) here, the SOA's there.
    return (rcode, "authoritative" in lines[1],
            lowest([r for r in sections["authority"] if r[2] == "NS"]),
            [(r[0], r[3]) for r in sections["authority"] if r[2] == "SOA"])


def names_of(path):
    with open(path, encoding="ascii") as file:
        names = {line[1:].split(":")[0] for line in file if line[0] in ".&=+@'^CZ:"}
    names = {name.replace("\\101", "a") for name in names}
    return sorted(names - {"empty.example.com", "stray.example.org"}) + MORE  # a TXT without a string is none in a zone


def compare(directory, server, names):
    wrong = 0
    for name in names:
        asked = name.replace("*", "any")
        for rtype in TYPES:
            theirs = read(asked, run("tinydns-get", rtype, asked, cwd=directory))
            ours = read(asked, run("dnsq", rtype, asked, server.address))
            if theirs != ours:
                wrong += 1
                print(f"{asked} {rtype}\n  tinydns {theirs}\n  lethed  {ours}")
    for name in OUTSIDE:  # tinydns keeps silence, dnsq would ask again and again
        said = run("dig", "+norec", "+tries=1", f"@{server.address}", name)
        if read(name, run("tinydns-get", "a", name, cwd=directory)) or "REFUSED" not in said:
            wrong += 1
            print(f"{name}: in no zone, but answered\n{said}")
    return wrong


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--build", default="build")
    options.add_argument("data")
    args = options.parse_args()
    missing = [tool for tool in ("tinydns-data", "tinydns-get", "dnsq", "dig", "unshare")
               if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        print(f"SKIPPED: {' and '.join(missing) + ' not installed' if missing else 'not root'}")
        return 77
    if OWN_NETWORK not in os.environ:
        return subprocess.run(["unshare", "--net", sys.executable, *sys.argv], check=False,
                              env={**os.environ, OWN_NETWORK: "1"}).returncode
    run("ip", "link", "set", "lo", "up")
    with tempfile.TemporaryDirectory(prefix="lethe-tinydns-") as tmp:
        path = os.path.join(tmp, "data")
        shutil.copyfile(args.data, path)
        os.utime(path, (time.time(), 1700000000))  # the serial
        made = subprocess.run(["tinydns-data"], cwd=tmp, capture_output=True, text=True, check=False)
        assert made.returncode == 0, made.stderr
        names = names_of(path)
        with Imported(tmp, {"example.com.": path}, args.build, port=53) as server:
            wrong = compare(tmp, server, names)
    print(f"{len(names)} names, {len(names) * len(TYPES)} questions, {wrong} answered otherwise")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
