# SPDX-License-Identifier: BSD-2-Clause
"""The rows of the table: each mitigation, as servers, resolver and firewall are told of it; and the
transports of TCP that each is tried with."""
import dataclasses

# At the servers: their kernel's TCP, or stateless TCP in its profiles; "driver" is modern, answered in
# the XDP program.
TRANSPORTS = ("kernel", "classic", "modern", "fast open", "driver")
# More fragments (0x2000) or an offset.
FRAGMENT = "ip frag-off & 0x3fff != 0"
# Percent; the study has two numbers for its three versions together, and does not say which is whose.
TCP_ONLY = (-30, -50)


@dataclasses.dataclass(frozen=True)
class Row:
    """One configuration of the resolver's side and the servers', whatever the transport."""

    key: str
    name: str
    published: tuple = ()      # percent of the queries/s won, as the study of 2019-2021 says
    payload: int = 4096        # largest response over UDP, servers
    has_tc: bool = False       # servers answer UDP by TC=1, always
    asks: str = ""             # the resolver over TCP alone: "each" on a connection of its own, or "kept"
    is_signing: bool = False   # the resolver, by TSIG
    is_validating: bool = False
    rule: str = ""             # of the resolver's firewall
    forward: tuple = ()        # options of lethe-forward before the resolver
    is_safe: bool = True       # against altered fragments
    # Whether TCP carries what is measured; else one round is enough for all transports but the first.
    is_by_tcp: bool = False


ROWS = (
    # The first row is what all others are told as ratios to.
    Row("plain", "plain UDP, 4096", is_safe=False),
    Row("tcp", "TCP only, a connection for each query", published=TCP_ONLY, asks="each",
        is_by_tcp=True),
    Row("tcp-kept", "TCP only, connections kept open", published=TCP_ONLY, asks="kept",
        is_by_tcp=True),
    Row("tc", "TCP only, by the servers (TC=1)", has_tc=True, is_by_tcp=True),
    Row("tcp-first", "TCP first, else UDP: lethe-forward", published=(-50,),
        forward=("--json", "--tcp-first"), is_by_tcp=True),
    Row("small", "UDP for small responses, 1232", published=(-3.2, 5.2), payload=1232,
        is_by_tcp=True),
    Row("discard", "fragments discarded", published=(-3.7, 4.7), rule=FRAGMENT,
        is_by_tcp=True),
    Row("discard-small", "small fragments discarded", rule=f"{FRAGMENT} meta length < 1000", is_by_tcp=True),
    Row("tsig-bind", "TSIG, a key of its own: BIND", published=(0.3,), is_signing=True),
    Row("forward", "lethe-forward, no protection", forward=("--json",), is_safe=False),
    Row("tsig", "TSIG, the key known to all: lethe-forward", published=(0.3,),
        forward=("--json", "--tsig", "well-known")),
    Row("checksum", "CHECKSUM: lethe-forward", forward=("--json", "--checksum", "01")),
    Row("dnssec", "DNSSEC validation", is_validating=True),
)


def is_possible(row, transport, resolver):
    """Whether there is such a row: with `resolver` (its class) and `transport` at the servers."""
    if transport == "fast open" and not resolver.has_fast_open:
        return False
    # Each response of classic ends its connection.
    asks = ({"each"} if resolver.asks else set()) if transport == "classic" else resolver.asks
    return (not row.asks or row.asks in asks) and (not row.is_signing or resolver.can_sign)


def wanted(keys):
    """The rows of a comma list, and always the first."""
    names = [row.key for row in ROWS] if keys == "all" else keys.split(",")
    unknown = set(names) - {row.key for row in ROWS}
    if unknown:
        raise ValueError(f"no such row: {', '.join(sorted(unknown))}; "
                         f"there are {', '.join(row.key for row in ROWS)}")
    return [row for row in ROWS if row.key in names or row is ROWS[0]]
