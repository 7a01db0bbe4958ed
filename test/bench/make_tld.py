#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Write a zone like that of a large top-level domain. usage: make_tld.py DELEGATIONS FILE

Zone tld., two name servers per delegation: 60 % with a hoster outside of the zone, 25 % with one of
500 hosters inside, 15 % with hosts of their own (glue: A, every third also AAAA); every fifth has a
DS. The same number gives the same octets.
"""
import sys

HOSTERS_OUTSIDE, HOSTERS_INSIDE = 4000, 500
SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]


class Dice:
    """Numbers that are the same with every Python."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        return (self.state >> 33) % limit


def name_of(number):
    """Pronounceable and different for every number."""
    out, rest = "", number
    while True:
        rest, place = divmod(rest, len(SYLLABLES))
        out += SYLLABLES[place]
        if not rest:
            return f"{out}{number % 7}"


def delegation(number, dice):
    name = name_of(number)
    kind, out = dice.below(100), ""
    if kind < 60:
        hoster = dice.below(HOSTERS_OUTSIDE)
        out += f"{name} NS ns1.host{hoster}.example.\n{name} NS ns2.host{hoster}.example.\n"
    elif kind < 85:
        hoster = dice.below(HOSTERS_INSIDE)
        out += f"{name} NS ns1.hoster{hoster}\n{name} NS ns2.hoster{hoster}\n"
    else:
        for host in (1, 2):
            out += f"{name} NS ns{host}.{name}\nns{host}.{name} A 203.0.113.{number % 250}\n"
            if number % 3 == 0:
                out += f"ns{host}.{name} AAAA 2001:db8:a::{number & 0xffff:x}:{host}\n"
    if dice.below(5) == 0:
        digest = "".join(f"{dice.below(1 << 32):08x}" for _ in range(8))
        out += f"{name} 86400 DS {dice.below(65536)} 13 2 {digest}\n"
    return out


def write(count, file):
    dice = Dice(20260805)
    file.write("$ORIGIN tld.\n$TTL 172800\n"
               "@ 86400 SOA a.nic.tld. hostmaster.nic.tld. 2026080501 1800 900 604800 3600\n")
    for place, letter in enumerate("abcdef"):
        file.write(f"@ NS {letter}.nic\n{letter}.nic A 192.0.2.{place}\n"
                   f"{letter}.nic AAAA 2001:db8:{place}::53\n")
    for hoster in range(HOSTERS_INSIDE):
        for host in (1, 2):
            file.write(f"hoster{hoster} NS ns{host}.hoster{hoster}\n"
                       f"ns{host}.hoster{hoster} A 198.51.100.{hoster % 250}\n")
    for number in range(count):
        file.write(delegation(number, dice))


if __name__ == "__main__":
    with open(sys.argv[2], "w", encoding="ascii") as target:
        write(int(sys.argv[1]), target)
