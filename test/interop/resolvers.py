#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Resolvers that people run ask lethed over stateless TCP, profile modern.

    resolvers.py [--build DIR] [--names N] [--loss PERCENT] [--only NAME] [--pcap FILE] [--kernel]
                 [--policies]

Unbound, BIND, Knot Resolver and PowerDNS Recursor resolve N different names each: addresses, names
and types that are not there, aliases, TXT records of up to 20 KB.  Every answer is compared with
what the zone was made from.  That they came over TCP is seen at the server's interface: nothing
reaches its UDP port.  With --policies they ask as they like, a server that answers nobody over UDP
just so: TC=1 to everybody, only who has a cookie, few queries a second.  Resolver and asker live in one network namespace, lethed in another.
Exit code 0, 1, or 77: cannot run here.
"""
import argparse
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import ask
import clients
import message as dns
import peers
import resolver_peers

APEX = "load.example."
ADDRESS = clients.V4
CONNECTIONS, WINDOW = 4, 16
TIMEOUT_S = 60
SEGMENT = 1220
# octets of TXT RDATA; one in 50 names
LARGE = (900, 1300, 2500, 4000, 9000, 20000)


# ---- the zone, and what is asked of it ----

class Name:
    """One question and what the zone holds for it."""

    def __init__(self, number):
        self.number = number
        self.kind = "txt" if number % 50 == 7 else ("a", "nxdomain", "nodata", "cname")[number % 4]
        self.wire = peers.name_to_wire(f"{self.kind}{number}.{APEX}")
        self.qtype = {"txt": dns.TXT, "nodata": dns.AAAA}.get(self.kind, dns.A)

    def address(self):
        n = self.number
        return f"198.51.{n // 250 % 250}.{n % 250}"

    def target(self):
        return f"target{self.number % 64}.{APEX}"

    def texts(self):
        """TXT records of five strings of 100 octets each, different everywhere; no more than 100
        records, BIND's limit for an RRset."""
        size = LARGE[self.number // 50 % len(LARGE)]
        return [[f"{self.number}-{i}-{j}-".ljust(100, "x") for j in range(5)]
                for i in range(size // 500 + 1)]

    def zone_lines(self):
        label = f"{self.kind}{self.number}"
        if self.kind in ("a", "nodata"):
            return [f"{label} A {self.address()}"]
        if self.kind == "cname":
            return [f"{label} CNAME {self.target()}"]
        if self.kind == "txt":
            return [f"{label} TXT {' '.join(strings)}" for strings in self.texts()]
        return []

    def answer(self):
        """The records of the answer section as (owner, type, RDATA), and the rcode."""
        if self.kind == "a":
            return {(self.wire, dns.A, socket.inet_aton(self.address()))}, 0
        if self.kind == "cname":
            target = peers.name_to_wire(self.target())
            return {(self.wire, dns.CNAME, target),
                    (target, dns.A, target_address(self.number % 64))}, 0
        if self.kind == "txt":
            return {(self.wire, dns.TXT, b"".join(bytes([len(s)]) + s.encode() for s in strings))
                    for strings in self.texts()}, 0
        return set(), 3 if self.kind == "nxdomain" else 0

    def fault_of(self, raw):
        """What is wrong with an answer; None: nothing."""
        if raw is None:
            return "no answer"
        response = dns.parse(raw)
        records, rcode = self.answer()
        if response.rcode != rcode:
            return f"rcode {response.rcode}, not {rcode}"
        if response.truncated:
            return "truncated"
        got = [(owner, rtype, rdata) for owner, rtype, _, _, rdata in response.answer]
        if len(got) != len(records) or set(got) != records:
            return f"{len(got)} records, {len(records & set(got))} of {len(records)} right"
        if not records and not any(r[1] == dns.SOA for r in response.authority):
            return "no SOA with a negative answer"
        return None


def target_address(number):
    return socket.inet_aton(f"203.0.113.{number}")


def write_zone(path, names):
    with open(path, "w", encoding="ascii") as file:
        file.write(f"$ORIGIN {APEX}\n$TTL 3600\n@ SOA ns host 1 3600 900 86400 3600\n@ NS ns\n"
                   f"ns A {ADDRESS}\n")
        for i in range(64):
            file.write(f"target{i} A 203.0.113.{i}\n")
        for name in names:
            file.writelines(line + "\n" for line in name.zone_lines())


# ---- the network ----

def nft(prefix, text):
    done = subprocess.run([*prefix, "nft", "-f", "-"], input=text, capture_output=True, text=True,
                          check=False)
    if done.returncode:
        raise RuntimeError(f"nft: {done.stderr}")


# Before the guard, which drops what lethed takes as frames.
COUNTERS = """
table netdev counted {
    chain in {
        type filter hook ingress device qs priority -400
        udp dport 53 counter comment "udp"
        tcp dport 53 counter comment "segments"
        tcp dport 53 tcp flags & (syn | ack) == syn counter comment "connections"
        tcp dport 53 tcp flags & rst == rst counter comment "resets"
        tcp dport 53 tcp flags & fin == fin counter comment "ends"
    }
}
"""
REDIRECT = """
table ip truncating {
    chain in {
        type nat hook prerouting priority -100
        udp dport 53 redirect to :5399
    }
}
"""


def counts(prefix):
    listing = subprocess.run([*prefix, "nft", "list", "table", "netdev", "counted"],
                             capture_output=True, text=True, check=True).stdout
    return {line.split('comment "')[1].rstrip('"'): int(line.split("packets ")[1].split()[0])
            for line in listing.splitlines() if 'comment "' in line}


def lose(percent):
    """Drop this share of TCP segments both ways, at the resolver's device."""
    text = "table netdev losses {\n"
    for hook, port in (("ingress", "sport"), ("egress", "dport")):
        text += (f"chain {hook} {{ type filter hook {hook} device qc priority 0; "
                 f"tcp {port} 53 numgen random mod 100 < {percent} drop; }}\n")
    nft([], text + "}\n")


def kernel_counters():
    """TCP counters of this namespace."""
    found = {}
    for path in ("/proc/net/snmp", "/proc/net/netstat"):
        with open(path, encoding="ascii") as file:
            lines = file.read().splitlines()
        for keys, values in zip(lines[::2], lines[1::2]):
            if keys.startswith("Tcp"):
                found.update(zip(keys.split()[1:], map(int, values.split()[1:])))
    return {key: found[key] for key in ("RetransSegs", "TCPTimeouts", "TCPDSACKRecv")}


class Capture:
    """Every frame at the resolver's device, in a file."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        if self.path:
            self.process = subprocess.Popen(["tcpdump", "-Z", "root", "-U", "-i", "qc", "-s", "200",
                                             "-w", self.path], stderr=subprocess.PIPE, text=True)
            self.process.stderr.readline()

    def __exit__(self, *unused):
        if self.path:
            time.sleep(0.5)
            self.process.terminate()
            self.process.communicate()


class Truncator:
    """Answers every question over UDP with TC and nothing else, where the server's UDP port seems
    to be."""

    def __init__(self, network):
        self.network = network
        self.count = 0

    def __enter__(self):
        nft(self.network.inside, REDIRECT)
        self.process = subprocess.Popen([*self.network.inside, sys.executable, "-c", """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 5399))
print("ready", flush=True)
while True:
    m, who = s.recvfrom(4096)
    at = 12
    while at < len(m) and m[at]:
        at += 1 + m[at]
    s.sendto(m[:2] + bytes([m[2] & 0x79 | 0x86, 0]) + m[4:6] + bytes(6) + m[12:at + 5], who)
"""], stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError("the truncating responder did not come up")
        return self

    def __exit__(self, *unused):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        nft(self.network.inside, "delete table ip truncating\n")


# ---- the run ----

def resolve(resolver, names):
    """What each name was answered, asked over several connections at once."""
    answers = [None] * len(names)

    def part(first):
        numbers = range(first, len(names), CONNECTIONS)
        queries = [dns.query(names[i].wire, names[i].qtype, flags=dns.RD, payload=1232)
                   for i in numbers]
        for i, raw in zip(numbers, ask.tcp((resolver.address, resolver.port), queries, WINDOW,
                                           TIMEOUT_S)):
            answers[i] = raw

    threads = [threading.Thread(target=part, args=(i,)) for i in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def check_resolver(kind, directory, network, names):
    """Number of failures; prints a line."""
    before, kernel_before = counts(network.inside), kernel_counters()
    begun = time.monotonic()
    with kind(directory, APEX, ADDRESS) as resolver:
        answers = resolve(resolver, names)
        log = resolver.log()
    seconds = time.monotonic() - begun
    after, kernel_after = counts(network.inside), kernel_counters()
    passed = {key: after[key] - before[key] for key in after}
    waits = {key: kernel_after[key] - kernel_before[key] for key in kernel_after}
    faults = []
    for name, raw in zip(names, answers):
        fault = name.fault_of(raw)
        if fault:
            faults.append(f"{dns.text(name.wire)} {dns.type_text(name.qtype)}: {fault}")
    udp = passed.pop("udp")
    print(f"{kind.name}: {len(names)} names, {len(faults)} failures, {seconds:.1f} s; over UDP "
          f"{udp}{' (truncated all)' if kind.is_truncation_needed else ''}; TCP {passed}, {waits}",
          flush=True)
    if not kind.is_truncation_needed and udp:
        faults.append(f"{udp} questions over UDP")
    if passed["connections"] == 0 or passed["segments"] < len(names) // WINDOW:
        faults.append(f"too little TCP: {passed}")
    for fault in faults[:10]:
        print("   ", fault)
    if faults:
        print(log[-1500:])
    return len(faults)


# What the server does over UDP, and its options. Where half of the queries beyond the rate are dropped
# those without a cookie may fail: see "slip" in lethed.yaml(5).
POLICIES = {
    "tcp-only": ("--policy-tcp-only", "always"),
    "require-cookie": ("--policy-require-cookie", "always"),
    "rate-limit": ("--policy-rate-limit", "20"),
    "rate-limit, slip": ("--policy-rate-limit", "20", "--policy-slip", "2"),
}


def check_policy(kind, policy, directory, network, names):
    """Number of failures; prints a line."""
    before = counts(network.inside)
    begun = time.monotonic()
    with kind(directory, APEX, ADDRESS, is_tcp=False) as resolver:
        answers = resolve(resolver, names)
    seconds = time.monotonic() - begun
    passed = {key: count - before[key] for key, count in counts(network.inside).items()}
    faults = [f"{dns.text(name.wire)}: {name.fault_of(raw)}" for name, raw in zip(names, answers)
              if name.fault_of(raw)]
    print(f"{policy}, {kind.name}: {len(names)} names, {len(faults)} failures, {seconds:.1f} s; "
          f"{passed['udp']} over UDP, {passed['connections']} connections", flush=True)
    if passed["udp"] == 0 or (policy == "tcp-only" and passed["connections"] == 0):
        faults.append(f"not asked as was meant: {passed}")
    print("".join(f"    {fault}\n" for fault in faults[:10]), end="")
    return len(faults)


def run_policies(args, tmp, network):
    names = [Name(number) for number in range(args.names)]
    zone = os.path.join(tmp, "zone")
    write_zone(zone, names)
    nft(network.inside, COUNTERS)
    failures = 0
    for policy, options in POLICIES.items():
        lethed = peers.Lethed(tmp, {APEX: zone}, os.path.abspath(args.build),
                              ["--tcp", "stateless", "--interface", "qs", "--udp", "fast"],
                              extra=options, address=ADDRESS, port=53, prefix=network.inside)
        lethed.start(wait=False)  # which would be for an answer over UDP
        try:
            limit = time.monotonic() + TIMEOUT_S
            while "lethed: ready" not in lethed.log():
                if time.monotonic() > limit:
                    raise peers.ServerError(lethed.log())
                time.sleep(0.05)
            for kind in resolver_peers.ALL:
                is_meant = "slip" not in policy or kind is resolver_peers.Bind
                if args.only in (None, kind.name) and is_meant:
                    place = os.path.join(tmp, policy)  # their caches are of one policy
                    failures += check_policy(kind, policy, place, network, names)
            if lethed.process.poll() is not None:
                failures += 1
                print(f"lethed ended:\n{lethed.log()}")
        finally:
            lethed.stop()
    return failures


def run(args, tmp, network):
    names = [Name(number) for number in range(args.names)]
    zone = os.path.join(tmp, "zone")
    write_zone(zone, names)
    nft(network.inside, COUNTERS)
    failures = 0
    kinds = [kind for kind in resolver_peers.ALL if args.only in (None, kind.name)]
    how = ["--tcp", "kernel"] if args.kernel else ["--tcp", "stateless", "--interface", "qs",
                                                   "--tcp-profile", "modern"]
    lethed = peers.Lethed(tmp, {APEX: zone}, os.path.abspath(args.build), how,
                          address=ADDRESS, port=53, prefix=network.inside)
    lethed.load()
    # sending goes on inside a response only if it was the same for some seconds
    old = time.time() - 3600
    os.utime(lethed.db / "data.mdb", (old, old))
    with lethed, Capture(args.pcap):
        if args.loss:
            lose(args.loss)
        for kind in kinds:
            if kind.is_truncation_needed:
                with Truncator(network):
                    failures += check_resolver(kind, tmp, network, names)
            else:
                failures += check_resolver(kind, tmp, network, names)
        if lethed.process.poll() is not None:
            failures += 1
            print(f"lethed ended:\n{lethed.log()}")
    return failures


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", default="build")
    options.add_argument("--names", type=int, default=1000)
    options.add_argument("--loss", type=int, default=0, help="percent of segments, each way")
    options.add_argument("--only", help="one resolver")
    options.add_argument("--kernel", action="store_true", help="ask the kernel's TCP, to compare")
    options.add_argument("--pcap", help="write all frames there")
    options.add_argument("--policies", action="store_true", help="of the server, over UDP")
    args = options.parse_args()
    if os.geteuid() != 0:
        print("SKIPPED: needs root, for network namespaces")
        return 77
    missing = [name for name in ("nft", *(kind.program for kind in resolver_peers.ALL))
               if shutil.which(name) is None]
    if missing:
        print("SKIPPED: not installed:", *missing)
        return 77
    clients.need_own_network()
    peers.limit_core_dumps()
    with tempfile.TemporaryDirectory(prefix="lethe-resolvers-") as tmp, \
            clients.Network() as network:
        os.chmod(tmp, 0o755)
        failures = (run_policies if args.policies else run)(args, tmp, network)
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
