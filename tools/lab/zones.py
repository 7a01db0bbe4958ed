# SPDX-License-Identifier: BSD-2-Clause
"""The zones of the lab: a root, TLDs, second-level zones, each second one signed and with large answers.

Every name below a second-level zone is there by a wildcard, so that questions need never come twice.
A large answer is an RRset of addresses that takes two fragments on a link of 1500 octets.
"""
import pathlib
import subprocess

TLDS = 5
# Addresses in a large answer: 1.6 KB. BIND takes no more than 100 records of a type.
LARGE = 96
TTL = 300


def soa(apex):
    return f"{apex} {TTL} SOA ns.{apex.lstrip('.')} hostmaster.{apex.lstrip('.')} 1 3600 900 604800 60\n"


class Zones:
    """Text of each zone by its apex, and where each is served."""

    def __init__(self, count, root, tld, leaves):
        self.count = count
        self.root, self.tld, self.leaves = root, tld, leaves
        self.texts = {}
        self.places = {}  # apex -> address
        self._make()

    def apexes(self):
        """Of the second level: (apex, has large answers)."""
        return [(f"z{number}.t{number % TLDS}.", number % 2 == 1) for number in range(self.count)]

    def _make(self):
        root = soa(".") + f". {TTL} NS ns.\nns. {TTL} A {self.root}\n"
        tlds = {f"t{number}.": "" for number in range(TLDS)}
        for apex in tlds:
            tlds[apex] = soa(apex) + f"{apex} {TTL} NS ns.{apex}\nns.{apex} {TTL} A {self.tld}\n"
            root += f"{apex} {TTL} NS ns.{apex}\nns.{apex} {TTL} A {self.tld}\n"
            self.places[apex] = self.tld
        for number, (apex, is_large) in enumerate(self.apexes()):
            address = self.leaves[number % len(self.leaves)]
            delegation = f"{apex} {TTL} NS ns.{apex}\nns.{apex} {TTL} A {address}\n"
            tlds[apex.split(".", 1)[1]] += delegation
            self.texts[apex] = soa(apex) + delegation + "".join(
                f"*.{apex} {TTL} A 198.51.100.{host + 1}\n"
                for host in range(LARGE if is_large else 1))
            self.places[apex] = address
        self.texts |= {".": root, **tlds}
        self.places["."] = self.root

    def write(self, directory, say):
        """Zone files, signed where they are to be: apex -> path."""
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        key = None
        paths = {}
        signed = {apex for apex, is_large in self.apexes() if is_large}
        for apex, text in self.texts.items():
            path = directory / (apex.rstrip(".") or "root")
            path.write_text(text, encoding="ascii")
            if apex in signed:
                say(f"signing {apex}")
                key = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", apex],
                                     cwd=directory, check=True, capture_output=True,
                                     text=True).stdout.strip()
                subprocess.run(["ldns-signzone", "-o", apex, "-f", f"{path}.signed", str(path), key],
                               cwd=directory, check=True, capture_output=True)
                path = pathlib.Path(f"{path}.signed")
            paths[apex] = path
        return paths

    def questions(self, path, count, seed):
        """dnsperf's questions, none of them twice: half of them have large answers."""
        apexes = [apex for apex, _ in self.apexes()]
        with open(path, "w", encoding="ascii") as file:
            for number in range(count):
                file.write(f"q{seed}-{number}.{apexes[number * 7 % len(apexes)]} A\n")
