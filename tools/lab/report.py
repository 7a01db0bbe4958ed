# SPDX-License-Identifier: BSD-2-Clause
"""The lab's report: Markdown, JSON and a plot. Nothing in it is typed by hand."""
import dataclasses
import json
import os
import pathlib
import statistics
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "..", "..", "test", "bench", "compare"))
import plots  # noqa: E402


def spread(runs, key):
    values = [run[key] for run in runs]
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def in_words(attack):
    if attack["believed"]:
        return f"**believed**, {attack['believed']} of {attack['asked']}"
    if attack["answered"] == attack["asked"]:
        return "not believed, answered"
    return f"not believed, {attack['answered']} of {attack['asked']} answered"


def faults_of(results):
    """What contradicts the table: the plain row must be believed, no other."""
    out = []
    for result in results:
        row, attack = result["row"], result["attack"]
        if result["why"]:
            out.append(f"{row.title}: {result['why']}")
        elif row.holds and attack["believed"]:
            out.append(f"{row.title}: altered fragments were believed")
        elif not row.holds and not attack["believed"]:
            out.append(f"{row.title}: altered fragments were not believed; the attack is no proof")
    return out


def table_row(result, base):
    row, runs = result["row"], result["runs"]
    if result["why"] or not runs:
        said = in_words(result["attack"]) if result["attack"] else "not tried"
        return f"| {row.title} | {row.published} | {said} | not measured | | | | | | |\n"
    rate = spread(runs, "queries_per_s")
    ratio = f"{rate['median'] / base:.2f}"
    lost = sum(run["lost"] + run["servfail"] for run in runs)
    return (f"| {row.title} | {row.published} | {in_words(result['attack'])} | {ratio} | "
            f"{rate['median']:,.0f} ({rate['min']:,.0f}-{rate['max']:,.0f}) | "
            f"{spread(runs, 'machine_us')['median']:.1f} | "
            f"{spread(runs, 'servers_us')['median']:.1f} | "
            f"{spread(runs, 'resolver_us')['median']:.1f} | "
            f"{spread(runs, 'fragments')['median']:.2f} | {lost:.0f} |\n")


def markdown(options, results):
    base = spread(results[0]["runs"], "queries_per_s")["median"] if results[0]["runs"] else 1
    return (f"# Mitigations of fragmentation\n\nResolver: {options.resolver}; {options.zones} "
            "second-level zones, half of them signed and with answers of two fragments; "
            f"{options.rounds} rounds of {options.seconds} s, medians (least-greatest). Every "
            "question is asked once. *Ratio*: queries/s to those of the first row. *Altered*: is "
            "somebody on the wire who alters second fragments believed? *us*: CPU time for a "
            "query: all of the machine, the kernel's included; the processes of the servers; those "
            "of the resolver and of lethe-forward.\n\n"
            "| mitigation | published | altered | ratio | queries/s | machine us | servers us | resolver us | "
            "fragments a query | lost, SERVFAIL |\n" + "| --- " * 10 + "|\n"
            + "".join(table_row(result, base) for result in results)
            + "\n![queries a second](lab.svg)\n"
            + "".join(f"\n{result['row'].title}: {result['why']}\n" for result in results
                      if result["why"]))


def write(options, results):
    """Into the directory; returns what contradicts the table."""
    out = pathlib.Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.md").write_text(markdown(options, results), encoding="utf-8")
    told = [{**result, "row": dataclasses.asdict(result["row"])} for result in results]
    with open(out / "report.json", "w", encoding="utf-8") as file:
        json.dump({"resolver": options.resolver, "zones": options.zones, "rows": told}, file,
                  indent=1)
    bars = [(result["row"].title, spread(result["runs"], "queries_per_s"),
             plots.THEIRS if result["row"].transport == "kernel" else plots.OURS)
            for result in results if result["runs"]]
    (out / "lab.svg").write_text(plots.bars("queries a second; longer is better", "queries/s",
                                            bars), encoding="utf-8")
    return faults_of(results)
