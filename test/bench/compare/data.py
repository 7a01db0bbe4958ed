# SPDX-License-Identifier: BSD-2-Clause
"""Zones and questions.

Sets of zones, each served by an instance of its own: `tld`, a large zone of delegations and
host.example. with one response of three kilobytes; `root`, the root zone alone; `signed`, a smaller
zone of delegations, signed with NSEC3 and opt-out as registries do it. Questions are in dnsperf's
format; the same numbers give the same questions.
"""
import itertools
import lzma
import os
import pathlib
import random
import shutil
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent.parent

# In a hundred questions: below existing delegations.
EXISTING = 60
TYPES = ["A"] * 55 + ["AAAA"] * 22 + ["NS"] * 8 + ["DS"] * 8 + ["MX"] * 4 + ["TXT"] * 2 + ["SOA"]
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
BIG_STRINGS = 12
HOT = 1000
HOST_ZONE = """$ORIGIN host.example.
$TTL 3600
@ SOA ns1 hostmaster 2026080501 1800 900 604800 300
@ NS ns1
@ NS ns2
ns1 A 192.0.2.1
ns2 A 192.0.2.2
www A 192.0.2.80
"""
# By set: apexes, and the file of each.
ZONE_SETS = {"tld": {"tld.": "tld", "host.example.": "host"}, "root": {".": "root"},
             "signed": {"tld.": "signed"}}
# A name that a server of the set answers for, asked to know that it is up.
PROBES = {"tld": "tld.", "root": ".", "signed": "tld."}
# Signing a million would take a minute; proofs are as long.
SIGNED_MAX = 100000
LABELS = {"tld": "tld.", "host": "host.example.", "root": ".", "signed": "tld., signed"}


class Dice(random.Random):
    """The same numbers for the same seed, with every Python."""

    def below(self, limit):
        return int(self.random() * limit)


def word(dice, shortest, longest):
    count = shortest + dice.below(longest - shortest + 1)
    return "".join(LETTERS[dice.below(36)] for _ in range(count))


def delegations_of(path):
    """Owner names of delegations of a generated zone tld., without its own name servers."""
    names, last = [], b""
    with open(path, "rb") as file:
        for line in file:
            if b" NS " in line or b"\tNS\t" in line:
                words = line.split(None, 5)
                if b"NS" not in words[1:4]:
                    continue  # where NSEC3 tells of it
                owner = words[0]
                if owner not in (last, b"@", b"tld."):
                    names.append(owner.decode("ascii").removesuffix(".tld."))
                last = owner
    return names


def tld_question(dice, names, known):
    """At the cut, or at www or mail below it; or below a name that does not exist."""
    kind = TYPES[dice.below(len(TYPES))]
    if dice.below(100) < EXISTING:
        prefix = ("", "www.", "mail.")[(dice.below(100) >= 35) + (dice.below(100) >= 80)]
        return f"{prefix}{names[dice.below(len(names))]}.tld. {kind}\n"
    name = word(dice, 6, 15)
    while name in known:
        name = word(dice, 6, 15)
    return f"{'www.' if dice.below(100) < 30 else ''}{name}.tld. {kind}\n"


def root_question(dice, names):
    if dice.below(100) < EXISTING:
        kind = ("A", "AAAA", "NS", "DS")[dice.below(4)]
        return f"h{dice.below(999)}.d{dice.below(99999)}.{names[dice.below(len(names))]} {kind}\n"
    return f"{word(dice, 6, 6)}.{word(dice, 9, 9)}x {('A', 'AAAA')[dice.below(2)]}\n"


def write_questions(path, count, question):
    with open(path, "w", encoding="ascii") as file:
        for _ in range(count):
            file.write(question())


class Missing(Exception):
    """A zone cannot be made here; the text says why."""


def run_tool(*words, cwd):
    """What it prints."""
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise Missing(f"{words[0]}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout.strip()


class Data:
    """Files in a directory; made where they are not there yet."""

    def __init__(self, directory, delegations, questions, make_tld):
        self.directory = pathlib.Path(directory)
        self.delegations, self.question_count = delegations, questions
        self.signed_delegations = min(delegations, SIGNED_MAX)
        self.make_tld = make_tld
        self.zones = {"tld": self.directory / f"tld-{delegations}.zone",
                      "host": self.directory / "host.zone",
                      "root": self.directory / "root.zone",
                      "signed": self.directory / f"signed-{self.signed_delegations}.zone"}
        self.questions = {name: self.directory / f"{name}-{delegations}-{questions}.questions"
                          for name in ("tld", "hot", "root", "big", "small", "signed")}
        self.made = set()

    def zone_set(self, name):
        return {apex: self.zones[file] for apex, file in ZONE_SETS[name].items()}

    def make(self, zone_set):
        """All that a set needs."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if zone_set == "tld":
            self._make(self.zones["tld"], lambda p: self._write_tld(p, self.delegations))
            self._make(self.zones["host"], self._write_host)
            self._make(self.questions["tld"], lambda p: self._ask_tld(p, "tld"))
            self._make(self.questions["hot"], self._ask_hot)
            self._make(self.questions["big"], lambda p: p.write_text("big.host.example. TXT\n"))
            self._make(self.questions["small"], lambda p: p.write_text("www.host.example. A\n"))
        elif zone_set == "root":
            self._make(self.zones["root"], self._write_root)
            self._make(self.questions["root"], self._ask_root)
        else:
            self._make(self.zones["signed"], self._write_signed)
            self._make(self.questions["signed"], lambda p: self._ask_tld(p, "signed"))
        self.made |= set(ZONE_SETS[zone_set].values())

    @staticmethod
    def _make(path, write):
        """Whole or not at all."""
        if not path.exists():
            part = path.with_suffix(".part")
            write(part)
            os.rename(part, path)

    def _write_tld(self, path, delegations):
        with open(path, "wb") as file:
            subprocess.run([self.make_tld, str(delegations)], check=True, timeout=600, stdout=file)

    def _write_signed(self, path):
        """One key, as the generator asks for no DNSKEY; NSEC3 without salt or iterations, for cuts
        with DS alone (RFC 9276)."""
        for tool in ("dnssec-keygen", "dnssec-signzone"):
            if shutil.which(tool) is None:
                raise Missing(f"{tool} is not installed")
        here = self.directory / "signing"
        shutil.rmtree(here, ignore_errors=True)
        here.mkdir()
        try:
            self._write_tld(here / "zone", self.signed_delegations)
            run_tool("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", "tld.", cwd=here)
            run_tool("dnssec-signzone", "-q", "-P", "-S", "-z", "-3", "-", "-A", "-H", "0", "-O",
                     "full", "-o", "tld.", "-f", "signed", "zone", cwd=here)
            os.rename(here / "signed", path)
        finally:
            shutil.rmtree(here)

    @staticmethod
    def _write_host(path):
        text = HOST_ZONE + "".join(f'big TXT "{i:02}{"b" * 238}"\n' for i in range(BIG_STRINGS))
        path.write_text(text, encoding="ascii")

    @staticmethod
    def _write_root(path):
        path.write_bytes(lzma.decompress((TOP / "test/data/root.zone.xz").read_bytes()))

    def _ask_tld(self, path, zone):
        dice, names = Dice(1), delegations_of(self.zones[zone])
        known = set(names)
        write_questions(path, self.question_count, lambda: tld_question(dice, names, known))

    def _ask_hot(self, path):
        with open(self.questions["tld"], encoding="ascii") as file:
            path.write_text("".join(itertools.islice(file, HOT)), encoding="ascii")

    def _ask_root(self, path):
        with open(self.zones["root"], encoding="ascii") as file:
            fields = [line.split() for line in file]
        names = sorted({f[0] for f in fields if len(f) > 3 and f[3] == "NS" and f[0] != "."})
        dice = Dice(2)
        write_questions(path, self.question_count, lambda: root_question(dice, names))

    def describe(self):
        return {LABELS[name]: {"octets": self.zones[name].stat().st_size,
                               "lines": sum(1 for _ in open(self.zones[name], "rb"))}
                for name in LABELS if name in self.made}
