#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A zone moves away, its old server goes on answering, and somebody asks a cache all the time.

usage: kiting_test.py --build DIR [--dnscache FILE]

    root, example.      lethed
    zone.example.       the old server (NSD, then lethed with the audit on) and the new one (lethed)
    two caches          dnscache of djbdns 1.05 as published, and Debian's

What a cache believes is looked at with `lethe kiting`: a ghost's at first, in every case. dnscache as
published takes NS of a zone's own servers for news: it stays kited with NSD as the old server, as long as
somebody asks, and learns of the move if that is lethed. Debian's is mended in this respect
(CVE-2012-1191), and learns of it in both cases. The TTLs are some seconds; the rest of time is as it is.
Runs in a network namespace of its own. --dnscache: the published one; else tools/install-dnscache has
put it there. Exit code 0, 1, or 77: cannot run here, or that one is missing.
"""
import argparse
import concurrent.futures
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

import peers

OWN_NETWORK = "LETHE_KITING_NETWORK"
PUBLISHED = "/opt/lethe-test/bin/dnscache"
ROOT, PARENT, OLD, NEW, CACHE, CACHE_MENDED = (f"198.18.0.{i}" for i in range(2, 8))
TTL = 6
ROOT_ZONE = f"""@ 60 IN SOA a.root. admin 1 7200 3600 1209600 300
@ 60 IN NS a.root.
a.root. 60 IN A {ROOT}
example. 60 IN NS ns.example.
ns.example. 60 IN A {PARENT}
"""
PARENT_ZONE = """@ 60 IN SOA ns admin {serial} 7200 3600 1209600 300
@ 60 IN NS ns
ns 60 IN A {parent}
zone {ttl} IN NS {name}.zone
{name}.zone {ttl} IN A {address}
"""
ZONE = """$ORIGIN zone.example.
@ 60 IN SOA {name} admin 1 7200 3600 1209600 300
@ {ttl} IN NS {name}
{name} {ttl} IN A {address}
www 1 IN A {www}
"""
WWW_OLD, WWW_NEW = "192.0.2.1", "192.0.2.2"


class Dnscache(peers.Server):
    """dnscache of djbdns, which begins at our root."""

    def __init__(self, directory, program, address):
        self.name = f"dnscache-{address}"
        self.program = program
        super().__init__(directory, {}, address=address, port=53)

    def prepare(self):
        os.makedirs(self.directory / "ip", exist_ok=True)
        os.makedirs(self.directory / "servers", exist_ok=True)
        (self.directory / "ip" / "198.18").write_text("")
        (self.directory / "servers" / "@").write_text(ROOT + "\n")
        environment = {"ROOT": self.directory, "IP": self.address, "IPSEND": self.address, "UID": "0",
                       "GID": "0", "CACHESIZE": "1000000"}
        return ["env", *(f"{key}={value}" for key, value in environment.items()), self.program]

    def wait_ready(self):
        peers_deadline = time.monotonic() + peers.READY_S
        while not dig(self.address, "ns.example", "A"):
            assert time.monotonic() < peers_deadline, self.log()


class Nsd(peers.Nsd):
    """As NSD is by default: NS of the apex go along with every positive answer."""

    def prepare(self):
        command = super().prepare()
        path = self.directory / "nsd.conf"
        path.write_text(path.read_text().replace("minimal-responses: yes", "minimal-responses: no"))
        return command


def dig(server, name, rtype):
    done = subprocess.run(["dig", "+short", "+tries=1", "+time=2", "+noedns", f"@{server}", name, rtype],
                          capture_output=True, text=True, check=False)
    return sorted(done.stdout.split()) if done.returncode == 0 else []


class Story:
    def __init__(self, directory, build, caches):
        self.directory, self.build, self.serial = directory, build, 0
        self.root = self.lethed("root", ROOT, {".": self.file("root", ROOT_ZONE)})
        self.parent = self.lethed("parent", PARENT, {"example.": self.delegate_text("old", OLD)})
        old = {"zone.example.": self.file("zone-old", ZONE.format(name="old", address=OLD, www=WWW_OLD,
                                                                  ttl=TTL))}
        new = {"zone.example.": self.file("zone-new", ZONE.format(name="new", address=NEW, www=WWW_NEW,
                                                                  ttl=TTL))}
        self.new = self.lethed("new", NEW, new)
        self.nsd = Nsd(os.path.join(directory, "nsd"), old, address=OLD, port=53)
        self.old = self.lethed("old", OLD, old)
        self.caches = [Dnscache(directory, program, address) for program, address in caches]

    def lethed(self, what, address, zones):
        return peers.Lethed(os.path.join(self.directory, what), zones, self.build, address=address, port=53)

    def file(self, name, text):
        path = os.path.join(self.directory, "text-" + name)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        return path

    def delegate_text(self, name, address):
        self.serial += 1
        return self.file("parent-zone", PARENT_ZONE.format(serial=self.serial, parent=PARENT, ttl=TTL,
                                                           name=name, address=address))

    def lethe(self, *arguments):
        return subprocess.run([self.old.tool("lethe"), *arguments], capture_output=True, text=True,
                              timeout=60, check=False)

    def delegate(self, name, address):
        done = self.lethe("--db", str(self.parent.db), "zone", "load", "example.",
                          self.delegate_text(name, address))
        assert done.returncode == 0, done.stderr

    def kiting(self, cache):
        done = self.lethe("kiting", "--json", "--cache", cache, "--parent", PARENT, "--timeout", "1",
                          "zone.example")
        return json.loads(done.stdout)[0], done.returncode

    def expect(self, verdict, exit_code):
        """Of every cache, at once, as their time runs; returns what is said of the last one."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            found = list(pool.map(self.kiting, (cache.address for cache in self.caches)))
        for cache, (said, code) in zip(self.caches, found):
            assert (said["verdict"], code) == (verdict, exit_code), f"{cache.name}: {said}"
        return said

    def look(self, seconds, until=None):
        """Somebody asks all the time; returns the last answers, cache by cache."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for cache in self.caches:
                dig(cache.address, "zone.example", "NS")
            answers = [dig(cache.address, "www.zone.example", "A") for cache in self.caches]
            if answers == [until] * len(self.caches):
                break
            time.sleep(0.4)
        return answers


def move(story):
    """Away from the old server, which the caches know and go on to believe in for a TTL."""
    assert story.look(20, [WWW_OLD]) == [[WWW_OLD]] * len(story.caches)
    story.expect("good", 0)
    story.delegate("new", NEW)
    said = story.expect("ghost", 1)
    assert said["cache"] == ["old.zone.example."] and said["parent"] == ["new.zone.example."], said
    assert said["cache_ttl"] <= TTL == said["parent_ttl"], said


def old_is_nsd(story):
    with story.nsd:
        move(story)
        answers = story.look(4 * TTL)
        for cache, www in zip(story.caches, answers):
            is_kited = cache.address == CACHE
            said, code = story.kiting(cache.address)
            wanted = ("ghost", 1) if is_kited else ("good", 0)
            assert (said["verdict"], code) == wanted, f"{cache.name}: {said}"
            assert www == [WWW_OLD if is_kited else WWW_NEW], f"{cache.name}: {www}"
            print(f"NSD, {4 * TTL} s after the move, TTL {TTL} s: {cache.program}: {said['verdict']}")
    story.delegate("old", OLD)
    for cache in story.caches:  # they begin anew
        cache.stop()
        cache.start()


def old_is_lethed(story):
    story.old.extra = ["--audit-interval", "1", "--audit-findings", "2", "--audit-spread", "1",
                       "--audit-program", story.old.tool("lethe")]
    story.old.load()
    done = story.lethe("--db", str(story.old.db), "audit", "--parent", PARENT, "--policy", "withhold",
                       "zone.example")
    assert ": delegated;" in done.stdout, done.stdout + done.stderr
    with story.old:
        move(story)
        begun = time.monotonic()
        healed = [[WWW_NEW]] * len(story.caches)
        assert story.look(40, [WWW_NEW]) == healed, "the caches should be healed"
        print(f"lethed with the audit: healed after {time.monotonic() - begun:.0f} s")
        assert story.look(2 * TTL) == healed
        story.expect("good", 0)
        assert dig(OLD, "www.zone.example", "A") == [] and "withheld" in story.old.log()


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--build", default="build")
    options.add_argument("--dnscache", type=os.path.abspath)
    args = options.parse_args()
    missing = [tool for tool in ("dnscache", "nsd", "dig", "unshare") if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        print(f"SKIPPED: {' and '.join(missing) + ' not installed' if missing else 'not root'}")
        return 77
    if OWN_NETWORK not in os.environ:
        return subprocess.run(["unshare", "--net", sys.executable, *sys.argv], check=False,
                              env={**os.environ, OWN_NETWORK: "1"}).returncode
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (ROOT, PARENT, OLD, NEW, CACHE, CACHE_MENDED):
        subprocess.run(["ip", "address", "add", f"{address}/32", "dev", "lo"], check=True)
    caches = [("dnscache", CACHE_MENDED)]
    published = args.dnscache or PUBLISHED
    if os.access(published, os.X_OK):
        caches.insert(0, (published, CACHE))
    with tempfile.TemporaryDirectory(prefix="lethe-kiting-") as tmp:
        story = Story(tmp, args.build, caches)
        with contextlib.ExitStack() as running:
            for server in (story.root, story.parent, story.new, *story.caches):
                running.enter_context(server)
            old_is_nsd(story)
            old_is_lethed(story)
    if len(caches) == 1:
        print(f"SKIPPED: no cache that can be kited was looked at: {published} is not there; "
              "tools/install-dnscache makes it. Debian's mended one did as it should.")
        return 77
    return 0


if __name__ == "__main__":
    sys.exit(main())
