# SPDX-License-Identifier: BSD-2-Clause
"""The rows of the table: each mitigation, as servers, resolver and firewall are told of it."""
import dataclasses

TRANSPORTS = ("kernel", "classic", "modern", "fast open")
# More fragments (0x2000) or an offset.
FRAGMENT = "ip frag-off & 0x3fff != 0"


@dataclasses.dataclass(frozen=True)
class Row:
    """One configuration of the whole lab."""

    name: str
    published: str = ""        # what the study of 2019-2021 found for it
    transport: str = "kernel"  # of TCP, at the servers
    payload: int = 4096        # largest response over UDP, servers
    bufsize: int = 4096        # the same, as the resolver says it
    asks_by_tcp: bool = False  # the resolver, always
    rule: str = ""             # of the resolver's firewall
    lethed: str = ""           # more of its configuration
    forward: tuple = ()        # options of lethe-forward before the resolver
    bind: str = ""             # clauses for BIND as resolver
    holds: bool = True         # against altered fragments
    needs: str = ""            # a resolver that alone can do it

    @property
    def title(self):
        by_tcp = (self.asks_by_tcp or self.payload < 4096 or self.rule or
                  "tcp-only" in self.lethed or "--tcp-first" in self.forward)
        return f"{self.name}; TCP: {self.transport}" if by_tcp else self.name


def of_each(transports, **more):
    return [Row(transport=transport, **more) for transport in transports]


def table(transports):
    """The first row is what all others are told as ratios to."""
    return [
        Row("plain UDP, 4096", "1", holds=False),
        *of_each(transports, name="TCP only, by the resolver", published="-30 % / -50 %",
                 asks_by_tcp=True),
        *of_each(transports, name="TCP only, by the servers (TC=1)", published="-30 % / -50 %",
                 lethed="policy:\n  tcp-only: always\n"),
        *of_each(transports, name="UDP for small responses, 1232", published="-3.2 % / +5.2 %",
                 payload=1232),
        Row("lethe-forward alone", "", forward=("--json",), holds=False),
        *of_each(transports, name="TCP first, UDP where it fails, by lethe-forward",
                 published="-50 %", forward=("--json", "--tcp-first")),
        Row("TSIG, key known to all, by lethe-forward", "+0.3 %",
            forward=("--json", "--tsig", "well-known"), lethed="tsig:\n  well-known: on\n"),
        Row("CHECKSUM, by lethe-forward", "not measured",
            forward=("--json", "--checksum", "01")),
        *of_each(transports[:1], name="fragments discarded", published="-3.7 % / +4.7 %",
                 rule=FRAGMENT),
        *of_each(transports[:1], name="small fragments discarded", published="no benefit",
                 rule=f"{FRAGMENT} meta length < 1000", holds=True),
    ]
