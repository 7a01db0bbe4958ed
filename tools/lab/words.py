# SPDX-License-Identifier: BSD-2-Clause
"""What the report says in words, computed from what was found."""
import statistics

import rows
from resolvers import RESOLVERS


def percent(ratio):
    return "" if ratio is None else f"{(ratio - 1) * 100:+.0f} %"


def published(row):
    return " / ".join(f"{number:+g} %" for number in row.published)


def in_words(jobs):
    """Of attacks."""
    attacks = [job.attack for job in jobs if job.attack]
    if not attacks:
        return ""
    believed, answered, asked = (sum(attack[key] for attack in attacks)
                                 for key in ("believed", "answered", "asked"))
    if believed:
        return f"**believed**, {believed} of {asked}"
    return f"no; {'all' if answered == asked else f'{answered} of {asked}'} answered"


def listed(words):
    words = list(words)
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def of_attacks(results):
    tried = [job for job in results.jobs if job.attack]
    plain = [job.resolver for job in tried if job.row is rows.ROWS[0] and job.attack["believed"]]
    taken = {job.row.name: job for job in tried if job.row.is_safe and job.attack["believed"]}
    safe = [job for job in tried if job.row.is_safe]
    out = []
    if plain:
        names = dict.fromkeys(RESOLVERS[name].title for name in plain)
        out.append("Over plain UDP whoever altered second fragments was believed by "
                   f"{listed(names)}.")
    if safe and not taken:
        out.append(f"With a mitigation nobody was: {len({job.row for job in safe})} mitigations, "
                   f"{len(safe)} times tried.")
    if taken:
        out.append(f"**It was believed in spite of** {listed(taken)}.")
    return out


def of_noise(results):
    """How far plain UDP differs from itself."""
    out = []
    for name in results.resolvers:
        rates = [run["queries_per_s"] for job in results.jobs
                 if job.resolver == name and job.row is rows.ROWS[0] for run in job.runs]
        base = results.bases[name]
        if base and len(rates) > 1:
            out.append(f"{RESOLVERS[name].title} {percent(min(rates) / base)} to "
                       f"{percent(max(rates) / base)} in {len(rates)} runs")
    return [f"Plain UDP beside its own median, so much is chance: {'; '.join(out)}."] if out else []


def of_cost(results, row):
    """A mitigation: queries a second, resolver by resolver, kernel TCP beside stateless TCP."""
    out = []
    for name in results.resolvers:
        found = {transport: results.ratio(results.by_place.get((name, row.key, transport)))
                 for transport in rows.TRANSPORTS}
        found = {transport: ratio for transport, ratio in found.items() if ratio}
        if not found:
            continue
        said = [f"{percent(found['kernel'])} (kernel TCP)"] if "kernel" in found else []
        stateless = [one for one in found if one != "kernel"]
        if not row.is_by_tcp:
            said = [percent(statistics.median(found.values()))]
        elif stateless:
            least, most = min(stateless, key=found.get), max(stateless, key=found.get)
            said.append(f"{percent(found[least])} ({least})" if least == most else
                        f"{percent(found[least])} ({least}) to {percent(found[most])} ({most})")
        out.append(f"{RESOLVERS[name].title} {', '.join(said)}")
    told = f"; published {published(row)}" if row.published else ""
    return f"- {row.name}{told}: {'; '.join(out)}.\n" if out else ""


def of_servers(results, row):
    """Where TCP carries all: what a query takes of the servers' processor."""
    out = []
    for name in results.resolvers:
        spent = {}
        for transport in rows.TRANSPORTS:
            job = results.by_place.get((name, row.key, transport))
            if job and job.runs:
                spent[transport] = statistics.median(run["servers_machine_us"] for run in job.runs)
        kernel = spent.pop("kernel", None)
        if kernel and kernel > 0 and spent:
            out.append(f"{RESOLVERS[name].title} {kernel:.0f} us by the kernel's TCP, " + ", ".join(
                f"{us:.0f} ({percent(us / kernel)}) {transport}" for transport, us in spent.items()))
    return f"- {row.name}: {'; '.join(out)}.\n" if out else ""


def summary(results):
    text = " ".join(of_attacks(results) + of_noise(results)) + "\n\n"
    text += ("Queries a second beside plain UDP, by the kernel's TCP and, where TCP carries them, by the "
             "worst and the best of stateless TCP:\n\n")
    text += "".join(of_cost(results, row) for row in results.rows if row is not rows.ROWS[0])
    servers = "".join(of_servers(results, row) for row in results.rows if row.is_by_tcp)
    if servers:
        text += "\nProcessor time of the servers and their kernel for a query:\n\n" + servers
    return text
