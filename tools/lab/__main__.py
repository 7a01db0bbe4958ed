# SPDX-License-Identifier: BSD-2-Clause
"""The scale model of the DNS, and what mitigations of fragmentation cost in it.

    python3 tools/lab --build DIR [--out DIR] [--resolver unbound|bind|knot-resolver|recursor]

Builds root, TLDs, second-level zones (half of them signed and with answers that take two fragments), a
resolver and clients in network namespaces; for each row of the table shows first whether somebody on
the wire who alters second fragments is believed, then measures. Report: report.md, report.json, and a
plot. Needs root; packages: tools/install-packages build test.
"""
import argparse
import contextlib
import pathlib
import sys
import tempfile

import report
import rows
from parts import Authority, Forwarder, RESOLVER_CPU, RESOLVERS, SERVER_CPU, dnsperf
from world import SERVERS, World
from zones import Zones
import peers

ROOT, TLD, LEAVES = SERVERS + "1", SERVERS + "2", (SERVERS + "3", SERVERS + "4")
FALSE = "203.0.113."


def say(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


class Lab:
    """The zones, the networks, and one row after the other in them."""

    def __init__(self, options, world, directory):
        self.options, self.world, self.directory = options, world, pathlib.Path(directory)
        self.zones = Zones(options.zones, ROOT, TLD, LEAVES)
        self.paths = self.zones.write(self.directory / "zones", say)
        self.questions = 0

    @contextlib.contextmanager
    def running(self, row):
        """All servers, and the resolver with an empty cache."""
        with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory(
                prefix="run-", dir=self.directory) as run:
            authorities = []
            for address in (ROOT, TLD, *LEAVES):
                served = {apex: path for apex, path in self.paths.items()
                          if self.zones.places[apex] == address}
                authorities.append(stack.enter_context(Authority(
                    run, self.world, self.options.build, address, served, row,
                    self.directory / "db" / address)))
            resolver = RESOLVERS[self.options.resolver](run, self.world, ROOT, row)
            if row.rule:
                self.world.filter(row.rule)
                stack.callback(self.world.stop_filtering)
            askers = [stack.enter_context(resolver)]
            if row.forward:
                askers.append(stack.enter_context(
                    Forwarder(run, self.world, self.options.build, row)))
            yield authorities, askers

    def large_name(self, label):
        apex = next(apex for apex, is_large in self.zones.apexes() if is_large)
        return f"{label}.{apex}"

    def attack(self, row):
        """Is somebody believed who alters second fragments?"""
        with self.running(row) as (_, (resolver, *_)):
            self.world.tamper()
            try:
                answers = [resolver.ask(self.large_name(f"attack{n}")).stdout for n in range(3)]
            finally:
                altered = self.world.stop_tampering()
        return {"fragments_altered": altered,
                "believed": sum(FALSE in answer for answer in answers),
                "answered": sum("NOERROR" in answer and "198.51.100." in answer
                                for answer in answers), "asked": len(answers)}

    def measure(self, row):
        """One run with questions that nobody has asked before."""
        self.questions += 1
        path = self.directory / "questions"
        self.zones.questions(path, self.options.seconds * 40000, self.questions)
        with self.running(row) as (authorities, askers):
            dnsperf(self.world, self.warm(), 1, 20)
            before = [cpu_s(one) for one in (authorities, askers)]
            fragments, machine = self.world.fragments(), machine_s()
            found = dnsperf(self.world, path, self.options.seconds, self.options.outstanding)
            used = [cpu_s(one) - was for one, was in zip((authorities, askers), before)]
            answered = max(1.0, found["completed"])
            return {**found, "machine_us": (machine_s() - machine) / answered * 1e6,
                    "servers_us": used[0] / answered * 1e6,
                    "resolver_us": used[1] / answered * 1e6,
                    "fragments": (self.world.fragments() - fragments) / answered}

    def warm(self):
        """Each second-level zone once, so that what is measured is not the way to them."""
        path = self.directory / "warm"
        path.write_text("".join(f"warm.{apex} A\n" for apex, _ in self.zones.apexes()),
                        encoding="ascii")
        return path

    def run(self, table):
        results = [{"row": row, "runs": [], "attack": None, "why": None} for row in table]
        for number in range(self.options.rounds + 1):
            for result in results:
                row = result["row"]
                if result["why"]:
                    continue
                say(f"{'attack' if number == 0 else f'round {number}'}: {row.title}")
                try:
                    if number == 0:
                        result["attack"] = self.attack(row)
                    else:
                        result["runs"].append(self.measure(row))
                except (peers.ServerError, AssertionError, OSError) as error:
                    result["why"] = str(error)[-400:]
        return results


def machine_s():
    """Seconds that the lab's two processors were busy with anything, so far."""
    with open("/proc/stat", encoding="ascii") as file:
        lines = [line.split() for line in file if line.split()[0] in (
            "cpu" + SERVER_CPU, "cpu" + RESOLVER_CPU)]
    # user nice system idle iowait irq softirq steal
    return sum(sum(map(int, line[1:4])) + int(line[6]) + int(line[7]) for line in lines) / 100


def cpu_s(servers):
    """Of these processes and all their threads, so far."""
    total = 0
    for server in servers:
        with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / 100


def parse():
    options = argparse.ArgumentParser(prog="lab", description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--build", required=True, help="where Lethe was built")
    options.add_argument("--out", default="lab-report", help="directory for the report")
    options.add_argument("--resolver", choices=sorted(RESOLVERS), default="unbound")
    options.add_argument("--zones", type=int, default=200, help="of the second level")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=3, help="of each run")
    options.add_argument("--outstanding", type=int, default=50, help="questions at a time")
    options.add_argument("--transports", default=",".join(rows.TRANSPORTS),
                         help="of TCP at the servers")
    return options.parse_args()


def main():
    options = parse()
    transports = options.transports.split(",")
    unknown = set(transports) - set(rows.TRANSPORTS)
    if unknown:
        sys.exit(f"lab: no such transport: {', '.join(sorted(unknown))}; "
                 f"there are {', '.join(rows.TRANSPORTS)}")
    if not RESOLVERS[options.resolver].has_fast_open:
        transports = [one for one in transports if one != "fast open"]
    options.build = pathlib.Path(options.build).resolve()
    with tempfile.TemporaryDirectory(prefix="lethe-lab-") as directory, \
            World((ROOT, TLD, *LEAVES)) as world:
        table = [row for row in rows.table(transports)
                 if not row.asks_by_tcp or RESOLVERS[options.resolver].has_tcp_only]
        results = Lab(options, world, directory).run(table)
    faults = report.write(options, results)
    for fault in faults:
        print("lab:", fault)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
