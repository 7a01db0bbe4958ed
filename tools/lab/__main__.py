# SPDX-License-Identifier: BSD-2-Clause
"""The scale model of the DNS, and what mitigations of fragmentation cost in it.

    python3 tools/lab --build DIR [--out DIR] [--resolver NAME,...|all] [option...]

Builds root, TLDs, second-level zones (half of them signed and with answers that take two fragments), a
resolver and clients in network namespaces; for each row of the table shows first whether somebody on
the wire who alters second fragments is believed, then measures. Report: report.md, report.json, and a
plot. Needs root; packages: tools/install-packages build test.
"""
import argparse
import contextlib
import pathlib
import signal
import sys
import tempfile

import report
import rows
from lab import Lab, plan, say
from resolvers import RESOLVERS
from world import World


class Ended(BaseException):
    """By a signal."""


def end_in_order():
    """A signal unwinds what was built up; the next ones do not disturb that."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number, _):
        for one in numbers:
            signal.signal(one, signal.SIG_IGN)
        raise Ended(signal.Signals(number).name)
    for number in numbers:
        signal.signal(number, end)


def parse():
    options = argparse.ArgumentParser(prog="lab", description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--build", required=True, help="where Lethe was built")
    options.add_argument("--out", default="lab-report", help="directory for the report")
    options.add_argument("--resolver", default="unbound",
                         help=f"comma list of {', '.join(RESOLVERS)}; or all")
    options.add_argument("--rows", default="all",
                         help=f"comma list of {', '.join(row.key for row in rows.ROWS)}; or all")
    options.add_argument("--transports", default=",".join(rows.TRANSPORTS),
                         help="of TCP at the servers, comma list")
    options.add_argument("--zones", type=int, default=200, help="of the second level")
    options.add_argument("--names", type=int, default=200, help="to ask for, in each zone")
    options.add_argument("--rounds", type=int, default=2, help="0: only who is believed")
    options.add_argument("--seconds", type=int, default=2, help="of each run")
    options.add_argument("--clients", type=int, default=200)
    out = options.parse_args()
    out.build = pathlib.Path(out.build).resolve()
    out.resolvers = list(RESOLVERS) if out.resolver == "all" else out.resolver.split(",")
    out.transports = out.transports.split(",")
    for what, names, known in (("resolver", out.resolvers, RESOLVERS),
                               ("transport", out.transports, rows.TRANSPORTS)):
        for name in set(names) - set(known):
            options.error(f"no such {what}: {name}; there are {', '.join(known)}")
    try:
        out.wanted = rows.wanted(out.rows)
    except ValueError as error:
        options.error(str(error))
    if out.zones < 2 or min(out.names, out.seconds, out.clients) < 1 or out.rounds < 0:
        options.error("at least 2 zones, one name, one second and one client")
    return out


def main():
    options = parse()
    end_in_order()
    jobs = [job for resolver in options.resolvers
            for job in plan(resolver, options.wanted, options.transports, options.rounds)]
    ended = None
    try:
        with tempfile.TemporaryDirectory(prefix="lethe-lab-") as directory, World() as world, \
                contextlib.ExitStack() as stack:
            options.is_divided = world.is_divided
            lab = Lab(options, world, directory)
            stack.callback(lab.close)
            lab.run(jobs)
    except Ended as error:
        ended = str(error)
    say("")
    if ended and not any(job.attack for job in jobs):
        sys.exit(f"lab: ended by {ended}, before anything was found")
    faults = report.write(options, jobs)
    if ended:
        faults.append(f"ended by {ended}")
    for fault in faults:
        print("lab:", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
