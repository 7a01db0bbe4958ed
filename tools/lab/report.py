# SPDX-License-Identifier: BSD-2-Clause
"""The lab's report: Markdown, JSON and a plot. Nothing in it is typed by hand."""
import dataclasses
import json
import pathlib
import statistics

import plot
import rows
from resolvers import RESOLVERS
from words import in_words, percent, published, summary

DETAILS = (("queries/s", "queries_per_s", ",.0f"), ("latency ms", "average_ms", ".1f"),
           ("servers us", "servers_machine_us", ".0f"), ("resolver us", "resolver_machine_us", ".0f"),
           ("lethed us", "servers_us", ".1f"), ("connections", "connections", ".2f"),
           ("fragments", "fragments", ".2f"))


class Results:
    """What was found, by resolver, row and transport."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.resolvers = list(dict.fromkeys(job.resolver for job in jobs))
        self.rows = [row for row in rows.ROWS if any(job.row is row for job in jobs)]
        self.by_place = {(job.resolver, job.row.key, job.transport): job for job in jobs}
        # The first job of a resolver is plain UDP.
        self.bases = {name: median(next(job for job in jobs if job.resolver == name), "queries_per_s")
                      for name in self.resolvers}

    def ratio(self, job):
        """Queries a second to those of plain UDP, or None."""
        rate = job and median(job, "queries_per_s")
        base = job and self.bases[job.resolver]
        return rate / base if rate and base else None

    def places(self):
        """(row, transport) that at least one resolver has, in order."""
        there = {(job.row.key, job.transport) for job in self.jobs}
        return [(row, transport) for row in self.rows for transport in rows.TRANSPORTS
                if (row.key, transport) in there]

    def cell(self, job):
        """Queries a second beside plain UDP, and what was not answered."""
        ratio = self.ratio(job)
        if ratio is None:
            return ""
        asked = sum(run["completed"] + run["lost"] for run in job.runs)
        failed = sum(run["lost"] + run["servfail"] for run in job.runs) / max(1, asked)
        return percent(ratio) + (f" ({failed * 100:.0f} % failed)" if failed >= 0.01 else "")


def median(job, key):
    values = [run[key] for run in job.runs if run["completed"]]
    return statistics.median(values) if values else None


def faults_of(results):
    """What contradicts the table: plain UDP must be believed, no mitigation may be."""
    out = [f"{job.title}: {trouble}" for job in results.jobs for trouble in job.troubles]
    missing = sum(not job.troubles and (job.attack is None or len(job.runs) < job.rounds)
                  for job in results.jobs)
    if missing:
        out.append(f"{missing} rows were not reached, or not in all rounds")
    for job in results.jobs:
        row, attack = job.row, job.attack
        if attack is None:
            continue
        if row.is_safe and attack["believed"]:
            out.append(f"{job.title}: altered fragments were believed")
        elif not row.is_safe and not attack["believed"]:
            out.append(f"{job.title}: altered fragments were not believed; the attack is no proof")
        is_checked = {"--tsig", "--checksum"} & set(row.forward)
        if is_checked and not attack["forward"]["bad"]:
            out.append(f"{job.title}: lethe-forward has found nothing altered")
    return out


def ratios(results):
    """The table: published and ours, side by side."""
    titles = [RESOLVERS[name].title for name in results.resolvers]
    out = (f"| mitigation | TCP at the servers | published | {' | '.join(titles)} |\n"
           + "| --- " * (3 + len(titles)) + "|\n")
    before = None
    for row, transport in results.places():
        cells = [results.cell(results.by_place.get((name, row.key, transport)))
                 for name in results.resolvers]
        first = (row.name, published(row)) if row is not before else ("", "")
        out += f"| {first[0]} | {transport} | {first[1]} | {' | '.join(cells)} |\n"
        before = row
    return out


def attacks(results):
    titles = [RESOLVERS[name].title for name in results.resolvers]
    out = f"| mitigation | {' | '.join(titles)} |\n" + "| --- " * (1 + len(titles)) + "|\n"
    for row in results.rows:
        cells = [in_words([job for job in results.jobs if job.row is row and job.resolver == name])
                 for name in results.resolvers]
        out += f"| {row.name} | {' | '.join(cells)} |\n"
    return out


def details(results, resolver):
    out = (f"\n### {RESOLVERS[resolver].title}\n\n| mitigation | TCP | ratio | "
           + " | ".join(title for title, _, _ in DETAILS) + " | lost, SERVFAIL |\n"
           + "| --- " * (4 + len(DETAILS)) + "|\n")
    for job in results.jobs:
        ratio = results.ratio(job)
        if job.resolver != resolver or ratio is None:
            continue
        failed = sum(run["lost"] + run["servfail"] for run in job.runs)
        cells = [f"{median(job, key):{how}}" for _, key, how in DETAILS]
        rates = [run["queries_per_s"] for run in job.runs]
        if len(rates) > 1:
            cells[0] += f" ({min(rates):,.0f}-{max(rates):,.0f})"
        out += f"| {job.row.name} | {job.transport} | {ratio:.2f} | {' | '.join(cells)} | {failed:.0f} |\n"
    return out


def markdown(options, results, faults):
    has_runs = any(job.runs for job in results.jobs)
    divided = ("*servers* is the processor of the servers and the router, their kernel included "
               "and dnsperf left out; *resolver* that of the resolver, the gateway, lethe-forward."
               if options.is_divided else
               "Both processors do some of everybody's work in the kernel: add *servers* and "
               "*resolver* up.")
    text = (f"# Mitigations of fragmentation: what they cost\n\n{options.zones} second-level zones, "
            "half of them signed and with answers of two fragments; "
            f"{options.clients} clients; runs of {options.seconds} s at most, in rounds: "
            f"{options.rounds}, but one where TCP carries nothing; medians. The resolver's cache is empty "
            "at the start of each run, and every question is asked once. *Published*: a study of "
            "2019-2021, in a lab of its own. What a resolver cannot do is left blank.\n\n")
    if has_runs:
        text += (f"## In short\n\n{summary(results)}\n## Queries a second beside plain UDP\n\n{ratios(results)}\n"
                 "![beside plain UDP](lab.svg)\n\n")
    text += ("## Is somebody believed who alters second fragments?\n\nOver all transports; *answered*: with "
             f"the truth.\n\n{attacks(results)}\n")
    if has_runs:
        text += (f"## In full\n\n*us*: processor time for a query. {divided} *lethed*: its processes alone; "
                 "what the XDP program does is not among it. *Connections*, *fragments*: for a query.\n"
                 + "".join(details(results, name) for name in results.resolvers))
    if faults:
        text += "\n## What went wrong\n\n" + "".join(f"- {fault}\n" for fault in faults)
    return text


def write(options, jobs):
    """Into the directory; returns what contradicts the table."""
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    results = Results(jobs)
    faults = faults_of(results)
    told = [{"resolver": job.resolver, "row": dataclasses.asdict(job.row), "transport": job.transport,
             "ratio": results.ratio(job), "attack": job.attack, "runs": job.runs,
             "troubles": job.troubles} for job in jobs]
    with open(out / "report.json", "w", encoding="utf-8") as file:
        json.dump({"zones": options.zones, "names": options.names, "clients": options.clients,
                   "rounds": options.rounds, "seconds": options.seconds,
                   "is_divided": options.is_divided, "rows": told, "faults": faults}, file, indent=1)
    (out / "report.md").write_text(markdown(options, results, faults), encoding="utf-8")
    if any(job.runs for job in jobs):
        (out / "lab.svg").write_text(plot.multiples(results), encoding="utf-8")
    return faults
