#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Unmodified clients ask lethed: dig, kdig, drill and a validating Unbound.

    clients.py [--build DIR] kernel|stateless|classic|fast

lethed serves the root and the test zones in a network namespace of its own, on 198.18.0.53 and
fd00:198:18::53, with TCP of the kernel or without state.  The clients live in another namespace
behind a veth pair.  Both namespaces end with this process.  Exit code 0, 1, or 77: cannot run here.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time

import ask
import differential
import message as dns
import peers
import validate

V4, V6 = "198.18.0.53", "fd00:198:18::53"
CLIENT_V4, CLIENT_V6 = "198.18.0.1", "fd00:198:18::1"
OWN_NETWORK = "LETHE_CLIENTS_NETWORK"
NSID = "lethe-under-test"

# name, type, what the output must hold (all of it), status
ASKED = [
    ("www.nsec.example", "A", ["192.0.2.80"], "NOERROR"),
    ("www.nsec3.example", "AAAA", ["2001:db8::80"], "NOERROR"),
    ("any.thing.wild.nsec.example", "A", ["192.0.2.20"], "NOERROR"),
    ("x.dname.plain.example", "TXT", [], "NXDOMAIN"),
    ("www.dname.plain.example", "A", ["192.0.2.41", "CNAME"], "NOERROR"),
    ("cname12.plain.example", "A", ["192.0.2.80"], "NOERROR"),
    ("ent.nsec3.example", "A", ["SOA"], "NOERROR"),
    ("does.not.exist.nsec.example", "A", ["SOA"], "NXDOMAIN"),
    ("www.cut.nsec.example", "A", ["ns1.cut.nsec.example"], "NOERROR"),
    ("com", "NS", ["com.", "NS", "AAAA"], "NOERROR"),
    (".", "DNSKEY", ["DNSKEY"], "NOERROR"),
]
# over UDP these come truncated, and the client turns to TCP by itself
LARGE = [("big1300.nsec.example", "TXT", 6), ("big4200.nsec3.example", "TXT", 20),
         ("big16k.nsec.example", "MX", 1500)]

# what Unbound is asked: name, type, rcode, whether it is secure
RESOLVED = [
    (".", "SOA", 0, True), (".", "NS", 0, True), (".", "DNSKEY", 0, True), ("com.", "DS", 0, True),
    ("org.", "DS", 0, True), ("no-such-tld.", "A", 3, True), ("a.no-such-tld.", "AAAA", 3, True),
    ("example.", "SOA", 0, True), ("www.example.", "A", 0, True),
    ("leaf.child.nsec.example.", "A", 0, True), ("leaf.child.nsec3.example.", "TXT", 0, True),
    ("tochild.example.", "A", 0, True), ("some.thing.wild.example.", "A", 0, True),
    ("any.wild.nsec.example.", "TXT", 0, True), ("nothing.nsec.example.", "A", 3, True),
    ("nothing.child.nsec3.example.", "A", 3, True), ("ent.nsec.example.", "A", 0, True),
    ("www.dname.example.", "A", 0, True), ("cname3.nsec.example.", "A", 0, True),
    ("secure.nsec3.example.", "DS", 0, True), ("cut.nsec.example.", "DS", 0, True),
    ("bigmx.nsec.example.", "MX", 0, True), ("big4200.nsec.example.", "TXT", 0, True),
    ("www.plain.example.", "A", 0, False), ("tocut.example.", "A", 0, False),
    ("nothing.plain.example.", "A", 3, False), ("leaf.child.plain.example.", "A", 0, False),
    ("big4200.plain.example.", "TXT", 0, False),
]

failures = []
checks = 0


def check(good, what, output=""):
    global checks
    checks += 1
    if not good:
        failures.append(what)
        print(f"FAILED: {what}\n{output[-1500:]}")


def run(command, **more):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **more)


def need_own_network():
    """Start over in a network namespace that ends with this process."""
    if os.environ.get(OWN_NETWORK) == "yes":
        return
    os.environ[OWN_NETWORK] = "yes"
    os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])


class Network:
    """The server's namespace, joined to ours by a veth pair."""

    def __enter__(self):
        self.holder = subprocess.Popen(["unshare", "--net", "sleep", "600"])
        limit = time.monotonic() + 10
        while os.readlink(f"/proc/{self.holder.pid}/ns/net") == os.readlink("/proc/self/ns/net"):
            if time.monotonic() > limit:
                raise RuntimeError("no second namespace")
            time.sleep(0.01)
        self.inside = ["nsenter", "--net", "--target", str(self.holder.pid)]
        self.ip([], "link set lo up")
        self.ip([], f"link add qc type veth peer name qs netns {self.holder.pid}")
        for prefix, name, v4, v6 in (([], "qc", CLIENT_V4, CLIENT_V6), (self.inside, "qs", V4, V6)):
            self.ip(prefix, f"address add {v4}/24 dev {name}")
            self.ip(prefix, f"address add {v6}/64 dev {name} nodad")
            self.ip(prefix, f"link set {name} up")
        self.ip(self.inside, "link set lo up")
        return self

    def __exit__(self, *unused):
        self.holder.kill()
        self.holder.wait()

    @staticmethod
    def ip(prefix, command):
        subprocess.run(prefix + ["ip"] + command.split(), check=True)


def wait_for_link():
    """Until IPv6 works on both ends of the pair."""
    limit = time.monotonic() + 10
    while True:
        done = run(["dig", "+time=1", "+tries=1", f"@{V6}", ".", "SOA"])
        if "NOERROR" in done.stdout:
            return
        if time.monotonic() > limit:
            raise RuntimeError(f"no answer over IPv6: {done.stdout}")


# ---- dig, kdig, drill ----

def dig(address, name, rtype, options):
    return run(["dig", f"@{address}", "+norec", "+tries=2", "+time=3", *options, name, rtype]).stdout


def kdig(address, name, rtype, options):
    return run(["kdig", f"@{address}", "+norec", "+retry=1", "+time=3", *options, name,
                rtype]).stdout


def drill(address, name, rtype, options):
    return run(["drill", "-o", "rd", *options, f"@{address}", name, rtype]).stdout


TOOLS = [
    ("dig", dig, [[], ["+tcp"], ["+dnssec"], ["+dnssec", "+tcp"], ["+noedns"], ["+bufsize=512"],
                  ["+cookie"], ["+nsid"], ["+nsid", "+tcp"], ["+subnet=192.0.2.0/24"],
                  ["+ednsopt=65001:00"], ["+padding=128", "+tcp"]]),
    ("kdig", kdig, [[], ["+tcp"], ["+dnssec"], ["+dnssec", "+tcp"], ["+bufsize=512"], ["+cookie"],
                    ["+nsid"], ["+nsid", "+tcp"], ["+tcp", "+keepopen"]]),
    ("drill", drill, [[], ["-t"], ["-D"], ["-D", "-t"], ["-b", "512"]]),
]


def ask_with_tools():
    for tool, call, variants in TOOLS:
        for address in (V4, V6):
            for options in variants:
                for name, rtype, wanted, status in ASKED:
                    output = call(address, name, rtype, options)
                    # drill wraps nothing, the others print the same words
                    good = status in output and all(word in output for word in wanted)
                    if "+nsid" in options:
                        good = good and NSID in output
                    if options in (["+dnssec"], ["+dnssec", "+tcp"], ["-D"], ["-D", "-t"]) \
                            and "plain" not in name:
                        good = good and "RRSIG" in output
                    check(good, f"{tool} @{address} {' '.join(options)} {name} {rtype}", output)
            for name, rtype, count in LARGE:
                for options in (["-a"], ["-t"]) if tool == "drill" else ([], ["+tcp"]):
                    output = call(address, name, rtype, options)
                    found = sum(line.startswith(name) and f"\t{rtype}\t" in line
                                for line in output.splitlines())
                    check(found == count, f"{tool} @{address} {' '.join(options)} {name} {rtype}: "
                                          f"{found} of {count} records", output)


def ask_with_several_on_one_connection():
    """Only on a connection that stays open."""
    words = sum(([name, rtype] for name, rtype, _, _ in ASKED[:6]), [])
    output = run(["dig", f"@{V4}", "+norec", "+tcp", "+keepopen", *words]).stdout
    check(output.count("status: ") == 6, "dig +tcp +keepopen with six questions", output)


# ---- Unbound ----

def resolve(directory, address, is_tcp, more):
    anchors = validate.root_anchor() + validate.example_anchor()
    settings = ["do-ip6: yes", f"tcp-upstream: {'yes' if is_tcp else 'no'}",
                f"outgoing-interface: {CLIENT_V6 if ':' in address else CLIENT_V4}", *more]
    stubs = {".": [address], "example.": [address]}
    with peers.Unbound(directory, stubs, anchors, settings) as unbound:
        queries = [dns.query(peers.name_to_wire(name), dns.TYPES[rtype], flags=dns.RD | dns.AD,
                             payload=4096) for name, rtype, _, _ in RESOLVED]
        answers = next(ask.udp([(unbound.address, unbound.port)], queries))[1][0]
        for (name, rtype, rcode, is_secure), raw in zip(RESOLVED, answers):
            how = f"unbound over {'TCP' if is_tcp else 'UDP'} from {address}: {name} {rtype}"
            if raw is None:
                check(False, f"{how}: no answer", unbound.log())
                continue
            response = dns.parse(raw)
            check(response.rcode == rcode and bool(response.word & dns.AD) == is_secure,
                  f"{how}: {dns.RCODES.get(response.rcode)}, "
                  f"{'secure' if response.word & dns.AD else 'not secure'}", unbound.log())


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--build", default="build")
    options.add_argument("mode", choices=["kernel", "stateless", "classic", "fast"])
    args = options.parse_args()
    if os.geteuid() != 0:
        print("SKIPPED: needs root, for network namespaces")
        return 77
    for program in ("dig", "kdig", "drill", "unbound"):
        if shutil.which(program) is None:
            print(f"SKIPPED: {program} is not installed")
            return 77
    need_own_network()
    peers.limit_core_dumps()
    how, more = ["--tcp", "kernel"], []
    if args.mode != "kernel":
        how = ["--tcp", "stateless", "--interface", "qs"]
    if args.mode == "fast":
        how += ["--udp", "fast"]
    if args.mode == "classic":
        # This profile ends every connection after one answer, as its model did in 2009: Unbound
        # must not send further questions behind the first.
        how += ["--tcp-profile", "classic"]
        more = ["max-reuse-tcp-queries: 1", "outgoing-num-tcp: 100"]
    apexes = [".", *differential.EXAMPLES]
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lethe-clients-") as tmp, Network() as network:
        os.chmod(tmp, 0o755)
        zones = {apex: differential.unpack(apex, tmp) for apex in apexes}
        lethed = peers.Lethed(tmp, zones, os.path.abspath(args.build), [*how],
                              more_addresses=[V6], extra=["--nsid", NSID], address=V4, port=53,
                              prefix=network.inside)
        with lethed:
            wait_for_link()
            ask_with_tools()
            if args.mode != "classic":
                ask_with_several_on_one_connection()
            for number, (address, is_tcp) in enumerate(
                    (address, is_tcp) for address in (V4, V6) for is_tcp in (False, True)):
                resolve(os.path.join(tmp, str(number)), address, is_tcp, more)
            check(lethed.process.poll() is None, "lethed is still there", lethed.log())
    print(f"TCP {args.mode}: {checks} checks, {len(failures)} failed "
          f"({time.monotonic() - start:.0f} s)")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
