# SPDX-License-Identifier: BSD-2-Clause
"""The zones of the lab: a root, TLDs, second-level zones; a chain of trust from the root on.

Root and TLDs are signed, and each second zone below them, whose answers are large: an RRset of
addresses that takes two fragments on a link of 1500 octets. For the other zones the TLDs prove that
there is no DS.
"""
import concurrent.futures
import pathlib
import subprocess

TLDS = 5
# Addresses in a large answer: 1.6 KB. BIND takes no more than 100 records of a type.
LARGE = 96
TTL = 300
# Names of each zone that no run asks for: whoever alters fragments is tried on them.
SPARE = 8


def head(apex, address):
    """What each zone begins with."""
    within = "" if apex == "." else "." + apex.rstrip(".")
    return (f"$ORIGIN {apex}\n$TTL {TTL}\n@ SOA ns{within}. hostmaster{within}. 1 3600 900 604800 60\n"
            f"@ NS ns{within}.\nns{within}. A {address}\n")


class Zones:
    """Text of each zone by its apex, and where each is served."""

    def __init__(self, count, names, root, tld, leaves):
        self.count, self.names = count, names
        self.root, self.tld, self.leaves = root, tld, leaves
        self.tlds = [f"t{number}." for number in range(TLDS)]
        self.places = {".": root, **{apex: tld for apex in self.tlds}}  # apex -> address
        self.places |= {apex: leaves[number // 2 % len(leaves)]
                        for number, (apex, _) in enumerate(self.apexes())}
        self.anchor = None  # DS of the root, known once it is written

    def apexes(self):
        """Of the second level: (apex, is signed and has large answers)."""
        return [(f"z{number}.t{number % TLDS}.", number % 2 == 1) for number in range(self.count)]

    def leaf(self, apex, is_large):
        lines = [head(apex, self.places[apex])]
        for name in range(self.names + SPARE):
            lines += [f"h{name} A 198.51.100.1\n",
                      *(f" A 198.51.100.{host + 1}\n" for host in range(1, LARGE * is_large))]
        return "".join(lines)

    def parent(self, apex, children, signers):
        """A zone that delegates these, with DS of those that are signed."""
        return head(apex, self.places[apex]) + "".join(
            f"{child} NS ns.{child}\nns.{child} A {self.places[child]}\n{signers.get(child, '')}"
            for child in children)

    def write(self, directory, say):
        """Zone files, signed where they are to be: apex -> path."""
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        paths, signers = {}, {}

        def write(apex, text, is_signed):
            path = directory / (apex.rstrip(".") or "root")
            path.write_text(text, encoding="ascii")
            if is_signed:
                say(f"signing {apex}")
                signers[apex] = sign(directory, path, apex)
                path = pathlib.Path(f"{path}.signed")
            paths[apex] = path

        # Children first: the parents have their DS.
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda leaf: write(leaf[0], self.leaf(*leaf), leaf[1]), self.apexes()))
        for tld in self.tlds:
            write(tld, self.parent(tld, [apex for apex, _ in self.apexes()
                                         if apex.endswith("." + tld)], signers), True)
        write(".", self.parent(".", self.tlds, signers), True)
        self.anchor = signers["."].strip()
        return paths

    def questions(self, path):
        """dnsperf's questions, none of them twice: half of them have large answers."""
        with open(path, "w", encoding="ascii") as file:
            for name in range(self.names):
                file.writelines(f"h{name}.{apex} A\n" for apex, _ in self.apexes())

    def spare(self):
        """Names with large answers that are not among the questions, each in a zone of its own."""
        large = [apex for apex, is_large in self.apexes() if is_large]
        return [f"h{self.names + number % SPARE}.{large[number % len(large)]}"
                for number in range(min(SPARE, len(large)))]


def sign(directory, path, apex):
    """Signs a zone by a key of its own; the key's DS as a line of text."""
    key = subprocess.run(["ldns-keygen", "-a", "ECDSAP256SHA256", "-k", apex], cwd=directory,
                         check=True, capture_output=True, text=True).stdout.strip()
    subprocess.run(["ldns-signzone", "-o", apex, "-f", f"{path}.signed", str(path), key],
                   cwd=directory, check=True, capture_output=True)
    return (directory / f"{key}.ds").read_text(encoding="ascii")
