# SPDX-License-Identifier: BSD-2-Clause
"""The report: Markdown, the figures as JSON, plots as SVG. All of it from what was measured."""
import json
import pathlib
import statistics
import time

import figures
import loads
import machine
import plots

NOT = "not measured"
MIB = 1 << 20
# Who answers less of an offered load does not bear it.
KEEPS_UP = 0.95


def number(value):
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


def spread(values, scale=1):
    """Median and, where there is more than one, least and greatest."""
    if values is None:
        return "-"
    median = number(values["median"] * scale)
    if values["count"] == 1:
        return median
    return f"{median} ({number(values['min'] * scale)}-{number(values['max'] * scale)})"


def percent(values):
    return f"{values['median'] * 100:.1f}" if values else "-"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in rows:
        cells = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def remark(measured):
    """What takes from the weight of a latency."""
    return ", ".join(what for what, is_so in (
        ("generator late", measured.get("is_limited")),
        ("disturbed", measured["foreign"] > machine.FOREIGN_LIMIT)) if is_so)


def verdict(is_reached, rows=()):
    """In words; rows: the comparisons that it is made of."""
    if is_reached and any(row["name"] is None for row in rows):
        return "**reached**, as far as measured"
    return {True: "**reached**", False: "not reached", None: NOT}[is_reached]


class Report:
    """What was measured, by the names that people read."""

    def __init__(self, result):
        self.result = result
        self.servers = {server["name"]: server for server in result["servers"]}
        self.summaries = figures.summaries(result["measurements"])

    def label(self, name):
        return self.servers[name]["label"] if name in self.servers else name

    def head(self):
        about, options = self.result["machine"], self.result["options"]
        began = time.strftime("%Y-%m-%d %H:%M", time.gmtime(self.result["began"]))
        disturbed = sum(m["foreign"] > machine.FOREIGN_LIMIT for m in self.result["measurements"])
        family = options.get("family")
        lines = [
            "# Lethe beside other name servers\n",
            f"Measured {began} UTC in {self.result['took_s'] / 60:.0f} minutes; every figure is "
            "made by `test/bench/compare`.\n",
            f"- machine: {about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB"
            f"{', virtual' if about['is_virtual'] else ''}; Linux {about['kernel']}, "
            f"{about['system']}",
            f"- server on core {options['server_cpu']}, load generator "
            f"({self.result['generator']}) on core {options['client_cpu']}, veth pair with "
            + ("threaded NAPI on the receiver's core" if self.result["receives_in_threads"]
               else "receive packet steering: what the kernel receives is in /proc/stat only"),
            f"- CPU time of servers by {', '.join(self.result['accounting'])}; of the kernel's "
            "receiving by its threads; checked against /proc/stat of the core",
            f"- over {f'IPv{family} throughout' if family else 'IPv4 unless a load says IPv6'}; "
            "memory of connections over IPv4",
            f"- {options['rounds']} rounds, {options['seconds']:g} s each run; "
            f"{len(self.result['measurements'])} runs, {disturbed} disturbed by others using "
            f"more than {machine.FOREIGN_LIMIT * 100:g} % of the server's core\n"]
        if options["quick"]:
            lines.insert(1, "**A quick run, to try the instrument: its figures mean nothing.**\n")
        rows = [(s["label"], s["version"], s["about"]) for s in self.result["servers"]]
        zones = [(apex, f"{zone['octets']:,}", f"{zone['lines']:,}")
                 for apex, zone in self.result["zones"].items()]
        return "\n".join(lines) + "\n" + table(("server", "version", ""), rows) + "\n" + \
            table(("zone", "octets of text", "lines"), zones)

    def factor_cells(self, rows):
        cells = []
        for row in rows:
            if row["name"] is None:
                cells.append(f"{row['rival']} {row['factor']:g} x: {NOT}")
            else:
                cells.append(f"{self.label(row['name'])}: **{row['ratio']:.2f} x** "
                             f"({row['min']:.1f}-{row['max']:.1f}) of {row['factor']:g} x")
        return "; ".join(cells)

    def ceiling_cell(self, row):
        if row["name"] is None:
            return f"{row['factor']:g} x the in-driver ceiling: {NOT}"
        return f"{row['ratio']:.2f} x {self.label(row['name'])}, of {row['factor']:g} x"

    def targets(self):
        rows = []
        for v in figures.verdicts(self.summaries, self.result["servers"]):
            if v["ours"] is None:
                rows.append((v["work"], v["clients"], NOT, "", "", "", ""))
                continue
            goal = self.factor_cells(v["goal"]) if "goal" in v else self.ceiling_cell(v["ceiling"])
            rows.append((v["work"], v["clients"],
                         f"{spread(v['cost_us'])}, {self.label(v['ours'])}",
                         self.factor_cells(v["least"]),
                         verdict(v["is_least_reached"], v["least"]), goal,
                         verdict(v["is_goal_reached"], v.get("goal", ()))))
        text = "## To be reached\n\nMicroseconds of the whole server side for a query, medians "\
            "(least-greatest); how many times less than the cheapest server of each kind. Clients "\
            "of the kernel keep a core busy with 20,000 to 30,000 connections a second: cheaper "\
            "servers are woken for every frame then. Clients without sockets are cheap enough to "\
            "keep the server busy.\n\n" + \
            table(("work", "clients", "Lethe, its cheapest mode", "at least", "", "goal", ""), rows)
        return text + self.io_targets() + self.other_targets()

    def io_targets(self):
        rows = [(f"{loads.BY_NAME[v['load']].about}, {self.label(v['ours'])}",
                 f"{v['ratio']:.2f} x {self.label(v['ceiling'])}",
                 f"{figures.IO_TARGET['least']}: {verdict(v['is_least_reached'])}",
                 f"{figures.IO_TARGET['goal']}: {verdict(v['is_goal_reached'])}")
                for v in figures.io_verdicts(self.summaries, self.result["servers"])]
        head = ("distance to the ceiling of the I/O used", "", "at least", "goal")
        return "\n" + table(head, rows) if rows else ""

    def other_targets(self):
        rows = []
        for held in self.result["idle"]:
            if self.servers[held["server"]]["is_lethe"] and held["sockets"] <= 0:
                rows.append((f"idle TCP connections, {self.label(held['server'])}, "
                             f"{held['opened']:,}", f"{held['each_octets']:.1f} octets each",
                             verdict(round(held["each_octets"]) <= figures.IDLE_TARGET_OCTETS)))
        for start in self.result["starts"]:
            if self.servers[start["server"]]["is_lethe"] and start["zone_set"] == "tld" and \
                    start.get("family", 4) == 4:
                median = statistics.median(s["first_answer_s"] for s in start["starts"])
                rows.append((f"start to first answer, {self.label(start['server'])}",
                             f"{median * 1000:.1f} ms; goal "
                             f"{figures.START_TARGET_S['goal'] * 1000:g} ms: "
                             f"{verdict(median < figures.START_TARGET_S['goal'])}",
                             verdict(median < figures.START_TARGET_S["least"])))
        return "\n" + table(("other", "", ""), rows) if rows else ""

    def load_section(self, load):
        summary = self.summaries[load.name]
        lethe = [name for name in summary if self.servers[name]["is_lethe"]]
        ours = figures.best(summary, lethe)
        rows = []
        for name in sorted(summary, key=lambda n: summary[n]["cost_us"]["median"]):
            s = summary[name]
            ratio = s["cost_us"]["median"] / summary[ours]["cost_us"]["median"] if ours else None
            tail = s["latency_us"].get("p99") or s["latency_us"].get("mean")
            rows.append((self.label(name), f"**{spread(s['cost_us'])}**",
                         f"{ratio:.2f}" if ratio else "-", spread(s["server_us"]),
                         spread(s["kernel_receive_us"]), spread(s["core_us"]),
                         " / ".join(number(s[key]["median"]) if s[key] else "-"
                                    for key in ("frames_in", "frames_out")), spread(s["qps"]),
                         number(1e6 / s["cost_us"]["median"]), spread(tail), percent(s["lost"]),
                         f"{percent(s['server_busy'])} / {percent(s['client_busy'])}"
                         f"{', limited' if s['is_limited'] else ''}",
                         f"{s['runs']}"
                         + (f", {s['disturbed']} left out" if s["disturbed"] else "")))
        return f"### {load.about}\n\n" + table(
            ("server", "us a query", "times", "processes", "kernel receive", "/proc/stat",
             "frames in / out", "queries/s", "a core's worth/s", "p99 us", "lost %",
             "busy % server / client", "runs"), rows) + \
            f"\n![{load.about}]({load.name}.svg)\n"

    def loads(self):
        parts = ["## What a query costs\n\n*us a query*: whole server side, processes and the "
                 "kernel's receiving. */proc/stat*: the same by the clock ticks of the core, "
                 "strangers included. *frames*: for a query, at the server's device. *times*: as a "
                 "multiple of Lethe's cheapest mode. *p99*: of a closed loop, so of a full queue "
                 "(the mean, where the generator knows no more). Below saturation more frames have "
                 "a wake-up to themselves: compare what is near in queries/s, too.\n"]
        parts += [self.load_section(load) for load in loads.ALL_LOADS
                  if load.name in self.summaries]
        return "\n".join(parts)

    def latency(self):
        parts = []
        for name in dict.fromkeys(m["load"] for m in self.result["latencies"]):
            rows = []
            for m in self.result["latencies"]:
                if m["load"] == name:
                    l = m["latency_us"]
                    rows.append((self.label(m["server"]), f"{m['rate']:,}",
                                 number(m["answered"] / m["seconds"]),
                                 *(number(l[key]) if key in l else "-"
                                   for key in ("mean", "p50", "p90", "p99", "p999", "max")),
                                 f"{(m['sent'] - m['answered']) / max(1, m['sent']) * 100:.2f}",
                                 f"{m['server_busy'] * 100:.0f}", remark(m)))
            parts.append(f"### {loads.BY_NAME[name].about}\n\n" + table(
                ("server", "offered/s", "answered/s", "mean us", "p50", "p90", "p99", "p99.9",
                 "max", "lost %", "core busy %", ""), rows) + f"\n![latency](latency-{name}.svg)\n"
                + (f"\n![percentiles](percentiles-{name}.svg)\n"
                   if self.curves_rate(name) else ""))
        return "## Latency against offered load\n\nAn open loop: queries leave at times that were "\
            "fixed beforehand, and latency counts from those. In the plots a curve ends where "\
            f"fewer than {KEEPS_UP * 100:g} % of the offered queries are answered; percentiles "\
            "are at the greatest load at which most servers are not there yet. *Generator late*: "\
            "it did not hold its own times, and its lateness counts as latency.\n\n" + \
            "\n".join(parts) if parts else ""

    def idle(self):
        rows = [(self.label(h["server"]), f"{h['asked_for']:,}", f"{h['opened']:,}",
                 f"{h['answered']:,}", f"{h['sockets']:,}",
                 f"{h['own_octets'] / max(1, h['opened']):,.0f}",
                 f"{h['kernel_octets'] / max(1, h['opened']):,.0f}", f"**{h['each_octets']:,.0f}**")
                for h in self.result["idle"]]
        return "## Memory of open connections\n\nEach has asked one question and idles. Kernel "\
            "memory: that of TCP's sockets, their descriptors and buffers. A server with a "\
            "descriptor for each connection is asked to hold 15,000 at most.\n\n" + table(
                ("server", "wanted", "open", "answered", "kernel sockets", "octets each, processes",
                 "octets each, kernel", "octets each"), rows) if rows else ""

    def changes(self):
        rows = [(self.label(c["server"]), len(c["seen_s"]),
                 *(spread(figures.spread(c[key]), 1000) for key in ("took_s", "seen_s")))
                for c in self.result.get("changes", ())]
        return "## A changed delegation\n\nAdded to the zone of delegations, or taken away, by "\
            "what the server has for it: from the start of that command until it ends, and until "\
            "a client that asks all the time sees it (no other load). NSD reads the zone anew; "\
            "caches are emptied where there is a command for it.\n\n" + table(
                ("server", "changes", "command ms", "seen after ms"), rows) if rows else ""

    def starts(self):
        rows = []
        for start in self.result["starts"]:
            series = {key: figures.spread([s[key] for s in start["starts"]])
                      for key in ("first_answer_s", "cpu_s", "own_kb", "present_kb")}
            maps = statistics.median(s.get("maps_kb", 0) for s in start["starts"])
            over = ", IPv6" if start.get("family", 4) == 6 else ""
            loaded = self.result["databases"].get(start["zone_set"]) if \
                self.servers[start["server"]]["is_lethe"] else None
            rows.append((self.label(start["server"]), start["zone_set"] + over,
                         spread(series["first_answer_s"], 1000), spread(series["cpu_s"], 1000),
                         number(series["own_kb"]["median"] / 1024),
                         number(series["present_kb"]["median"] / 1024), number(maps / 1024),
                         number(loaded["load_s"]) if loaded else
                         number(start["load_s"]) if start["load_s"] else "-",
                         f"{loaded['octets'] / MIB:,.0f} "
                         f"({loaded['octets'] / loaded['text_octets']:.2f} x text)"
                         if loaded else "-"))
        return "## Start\n\nFrom the start of the process to the first answer that is right; "\
            "memory then. Databases are made once, before.\n\n" + table(
                ("server", "zones", "first answer ms", "CPU ms", "own MiB", "present MiB",
                 "BPF maps MiB", "database made in s", "database MiB"), rows) + \
            self.images() if rows else ""

    def images(self):
        """What the modes that answer from images of zones need for them."""
        rows = []
        for start in self.result["starts"]:
            ready = [s for s in start["starts"] if "image_s" in s]
            if ready:
                middle = {key: statistics.median(s[key] or 0 for s in ready) for key in (
                    "image_octets", "image_own_kb", "image_present_kb", "image_maps_kb")}
                rows.append((self.label(start["server"]), start["zone_set"],
                             spread(figures.spread([s["image_s"] for s in ready]), 1000),
                             spread(figures.spread([s["image_cpu_s"] for s in ready]), 1000),
                             number(middle["image_octets"] / MIB),
                             number(middle["image_own_kb"] / 1024),
                             number(middle["image_present_kb"] / 1024),
                             number(middle["image_maps_kb"] / 1024)))
        return "\nImages of zones are made after the start, while the database answers; loads "\
            "begin when they are ready. Memory then.\n\n" + table(
                ("server", "zones", "image ready ms", "CPU ms", "image MiB", "own MiB",
                 "present MiB", "BPF maps MiB"), rows) if rows else ""

    def scale(self):
        scale = self.result["scale"]
        if not scale:
            return ""
        if "why" in scale:
            return f"## Large zones\n\n{NOT}: {scale['why'].strip().splitlines()[-1]}\n"
        parts = ["## Large zones\n\nLoads on one processor; changes while the server is under "
                 "load.\n"]
        for found in [*scale["tld"], *filter(None, [scale["small"]])]:
            what = f"{found['delegations']:,} delegations" if "delegations" in found else \
                f"{found['zones']:,} small zones"
            parts += [f"### {what}, {found['records']:,} records\n", large_table(found),
                      start_table(found), limit_table(found)]
        if scale.get("skipped"):
            parts.append("Not measured:\n\n" + "".join(f"- {what}\n" for what in
                                                      scale["skipped"]))
        return "\n".join(parts)

    def missing(self):
        rows = [(m["server"], m["why"]) for m in self.result["missing"]]
        rows += [(f["server"], f["what"]) for f in self.result["failures"]]
        return "## Left out, and failures\n\n" + table(("who", "why"), rows) if rows else ""

    def markdown(self):
        parts = (self.head(), self.targets(), self.loads(), self.latency(), self.idle(),
                 self.starts(), self.changes(), self.scale(), self.missing())
        return "\n".join(part for part in parts if part)

    def colour(self, name):
        if self.servers[name]["is_lethe"]:
            return plots.OURS
        is_ceiling = (self.servers[name]["rival"] or "").startswith("ceiling")
        return plots.CEILING if is_ceiling else plots.THEIRS

    def plots(self):
        """SVG by file name."""
        out = {}
        for load in loads.ALL_LOADS:
            summary = self.summaries.get(load.name)
            if summary:
                order = sorted(summary, key=lambda n: summary[n]["cost_us"]["median"])
                out[f"{load.name}.svg"] = plots.bars(
                    load.about, "whole server side, us a query: median, least, greatest",
                    [(self.label(n), summary[n]["cost_us"], self.colour(n)) for n in order])
        for name in dict.fromkeys(m["load"] for m in self.result["latencies"]):
            keys = ("p50", "p99") if any("p99" in m["latency_us"]
                                         for m in self.result["latencies"]) else ("mean",)
            about = loads.BY_NAME[name].about
            out[f"latency-{name}.svg"] = plots.lines(
                "Latency against offered load: " + about, "offered queries a second",
                "latency, us", [(key, self.latency_curves(name, key)) for key in keys])
            rate = self.curves_rate(name)
            if rate:
                curves = [(*self.look(m["server"]), m["curve_us"]) for m in self.keeping_up(name)
                          if m["rate"] == rate]
                out[f"percentiles-{name}.svg"] = plots.lines(
                    "Latency of answers: " + about, "share of the answers that take no longer",
                    "latency, us", [(f"at {rate:,} queries a second", curves)], True)
        return out

    def look(self, name):
        """Name, colour and dash of a server's curves."""
        ours = [s["name"] for s in self.result["servers"] if s["is_lethe"]]
        theirs = [s["name"] for s in self.result["servers"] if not s["is_lethe"]]
        return (self.label(name), *plots.looks(ours, theirs)[name])

    def keeping_up(self, load):
        return [m for m in self.result["latencies"] if m["load"] == load and
                m["answered"] >= KEEPS_UP * m["rate"] * m["seconds"]]

    def latency_curves(self, load, key):
        curves = {}
        for m in self.keeping_up(load):
            latency = m["latency_us"].get(key, m["latency_us"]["mean"])
            curves.setdefault(self.look(m["server"]), []).append((m["rate"], latency))
        return [(*look, points) for look, points in curves.items()]

    def curves_rate(self, load):
        """The offered load of the percentile curves: the greatest that most servers bear."""
        there = {m["server"] for m in self.result["latencies"] if m["load"] == load}
        bearing = {}
        for m in self.keeping_up(load):
            if m.get("curve_us"):
                bearing.setdefault(m["rate"], set()).add(m["server"])
        return max((rate for rate, names in bearing.items() if 2 * len(names) > len(there)),
                   default=None)


def large_table(found):
    rows = [("load" if name == "load" else f"load, {name}",
             f"{load['wall_s']:.2f} s ({load['user_s']:.2f} user, {load['system_s']:.2f} "
             f"system), {load['records_per_s']:,.0f} records/s, at most "
             f"{load['peak_octets'] / MIB:,.0f} MiB")
            for name in ("sorted", "shuffled", "load") if (load := found.get(name))]
    visible, background = found["visible"], found["visible"]["background"]
    rows += [("database", f"{found['database_octets'] / MIB:,.0f} MiB, "
              f"{found['database_to_text']:.2f} x the text of "
              f"{found['text_octets'] / MIB:,.0f} MiB"),
             ("a change, until committed", f"{visible['change_ms']['median']:.2f} ms, at most "
              f"{visible['change_ms']['max']:.2f}"),
             ("until seen by queries", f"{visible['visible_ms']['median']:.2f} ms, at most "
              f"{visible['visible_ms']['max']:.2f}"),
             ("queries lost meanwhile", f"{visible['lost'] + background['lost']} of "
              f"{visible['queries'] + background['sent']:,}")]
    return table(("", ""), rows)


def start_table(found):
    rows = [(name, number(start["first_answer_s"] * 1000), number(start["resident_octets"] / MIB),
             number(start["own_octets"] / MIB), number(start["load_s"]) if "load_s" in start else "",
             number(start["database_octets"] / MIB) if "load_s" in start else "")
            for name, start in found["start"].items()]
    out = table(("start", "first answer ms", "resident MiB", "own MiB", "loaded in s",
                 "database MiB"), rows)
    return out + "".join(f"\nLeft out: {name}, {why}\n" for name, why in
                         found.get("left_out", {}).items())


LIMITS = {"records_per_s": "records loaded a second", "database_to_text": "database, x text",
          "first_answer_s": "seconds from start to first answer", "visible_ms": "a change seen, ms",
          "lost": "queries lost"}


def limit_table(found):
    return table(("to be reached", "is", "limit", ""), [
        (LIMITS.get(name, name), number(value), number(limit) if limit >= 100 else f"{limit:g}",
         verdict(is_held))
        for name, (value, limit, is_held) in found["limits"].items()])


def write(result, directory):
    directory = pathlib.Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    made = Report(result)
    with open(directory / "report.json", "w", encoding="utf-8") as file:
        json.dump({**result, "summaries": made.summaries,
                   "verdicts": figures.verdicts(made.summaries, result["servers"])}, file, indent=1)
    (directory / "report.md").write_text(made.markdown(), encoding="utf-8")
    for name, svg in made.plots().items():
        (directory / name).write_text(svg, encoding="utf-8")
