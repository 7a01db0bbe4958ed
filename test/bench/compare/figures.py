# SPDX-License-Identifier: BSD-2-Clause
"""From measurements to medians, ratios and verdicts. Nothing here measures or prints.

A measurement is a dict: server, load, round, answered, seconds, and what machine.usage() says; see
measure.py. A summary is one for each server and load.
"""
import statistics

import machine


def spread(values):
    """Median, least and greatest, and of how many."""
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "min": ordered[0], "max": ordered[-1],
            "count": len(ordered)}


# The latencies below which these shares of the answers stay make a curve.
SHARES = (0.01, 0.05, *(tenth / 10 for tenth in range(1, 10)), 0.95, 0.98, 0.99, 0.995, 0.998,
          0.999, 0.9995, 0.9998, 0.9999)


def curve(csv):
    """[[share, us], ...] from a histogram of lethe-bench: lines of upper end, count, share."""
    rows = [line.split(",") for line in csv.splitlines()[1:]]
    steps = [(float(row[2]), float(row[0])) for row in rows if len(row) == 3]
    return [[share, next(us for reached, us in steps if reached >= share - 1e-12)]
            for share in SHARES if steps and steps[-1][0] >= share]


def cost_us(measurement):
    """The whole server side, microseconds a query."""
    return measurement["total_s"] * 1e6 / measurement["answered"]


def believed(measurements):
    """Without those that strangers disturbed, where at least half and three are left."""
    answered = [m for m in measurements if m["answered"] > 0]
    clean = [m for m in answered if m["foreign"] <= machine.FOREIGN_LIMIT]
    if len(clean) >= max(3, (len(answered) + 1) // 2):
        return clean
    return answered


def summarize(measurements):
    """One server under one load; None where nothing was answered."""
    runs = believed(measurements)
    if not runs:
        return None
    percentiles = [m["latency_us"] for m in runs if m.get("latency_us")]
    shared = set.intersection(*(set(p) for p in percentiles)) if percentiles else set()
    return {"cost_us": spread([cost_us(m) for m in runs]),
            "core_us": spread([m["core_s"] * 1e6 / m["answered"] for m in runs]),
            "server_us": spread([m["server_s"] * 1e6 / m["answered"] for m in runs]),
            "kernel_receive_us": spread([(m["receive_s"] + m["softirq_s"]) * 1e6 / m["answered"]
                                         for m in runs]),
            "frames_in": spread([m["frames_in"] for m in runs]) if "frames_in" in runs[0] else None,
            "frames_out": spread([m["frames_out"] for m in runs])
                          if "frames_out" in runs[0] else None,
            "qps": spread([m["answered"] / m["seconds"] for m in runs]),
            "lost": spread([(m["sent"] - m["answered"]) / max(1, m["sent"]) for m in runs]),
            "server_busy": spread([m["server_busy"] for m in runs]),
            "client_busy": spread([m["client_busy"] for m in runs]),
            "foreign": spread([m["foreign"] for m in runs]),
            "latency_us": {key: spread([p[key] for p in percentiles]) for key in sorted(shared)},
            "runs": len(measurements), "disturbed": len(measurements) - len(runs),
            "is_limited": any(m.get("is_limited") for m in runs)}


def summaries(measurements):
    """By load and server."""
    grouped = {}
    for m in measurements:
        grouped.setdefault(m["load"], {}).setdefault(m["server"], []).append(m)
    out = {}
    for load, servers in grouped.items():
        for server, runs in servers.items():
            summary = summarize(runs)
            if summary is not None:
                out.setdefault(load, {})[server] = summary
    return out


# What is to be reached: a load; (rival, so many times less than it) for the least and for the goal;
# or at most so many times an in-driver ceiling or that of the I/O used.
TARGETS = (
    {"work": "UDP, zone of delegations, 60 % existing", "load": "udp-tld",
     "least": (("nsd", 2.8), ("knot", 2.8), ("knot-xdp", 2.5)), "goal": (("nsd", 5),)},
    {"work": "UDP, root zone", "load": "udp-root", "least": (("nsd", 2), ("froot", 2)),
     "goal": (("nsd", 3), ("froot", 3))},
    {"work": "TCP, a connection per query, root zone", "load": "tcp1-root",
     "least": (("froot", 2), ("nsd", 3.5)), "goal_ceiling": 1.2},
    {"work": "TCP, a connection per query, zone of delegations", "load": "tcp1-tld",
     "least": (("nsd", 4.5), ("knot-xdp", 2.5)), "goal_ceiling": 1.2},
    {"work": "TCP, a connection per query, responses of 3 KB", "load": "tcp1-big",
     "least": (("nsd", 3.5), ("knot-xdp", 2.5)), "goal": (("nsd", 6), ("knot-xdp", 6))},
    {"work": "persistent TCP", "load": "tcpp-tld", "least": (("nsd", 6), ("knot-xdp", 2.5)),
     "goal_ceiling": 1.4},
)
# The same work, asked by clients without sockets.
RAW_LOADS = {"udp-tld": "rawudp-tld", "udp-root": "rawudp-root", "tcp1-root": "raw1-root",
             "tcp1-tld": "raw1-tld", "tcp1-big": "raw1-big", "tcpp-tld": "rawp-tld"}
IO_TARGET = {"least": 1.35, "goal": 1.15}
IDLE_TARGET_OCTETS = 0
START_TARGET_S = {"least": 0.1, "goal": 0.02}


def best(summary, names):
    """The cheapest of these servers, by its median."""
    there = [name for name in names if name in summary]
    return min(there, key=lambda name: summary[name]["cost_us"]["median"]) if there else None


def rivals(servers):
    """Names by what they stand for: the packaged server and others of its kind."""
    out = {}
    for server in servers:
        if server.get("rival"):
            out.setdefault(server["rival"], []).append(server["name"])
    return out


def ratio_spread(theirs, ours):
    """How many times less ours costs: of medians, and at worst and best of the spreads."""
    return {"ratio": theirs["median"] / ours["median"], "min": theirs["min"] / ours["max"],
            "max": theirs["max"] / ours["min"]}


def against(summary, ours, wanted, names):
    """Ratios to the cheapest rival of each kind; whether all are reached, None: not measured."""
    rows, is_reached = [], True
    for rival, factor in wanted:
        name = best(summary, names.get(rival, ()))
        if name is None:
            rows.append({"rival": rival, "factor": factor, "name": None})
            continue
        ratio = ratio_spread(summary[name]["cost_us"], summary[ours]["cost_us"])
        rows.append({"rival": rival, "factor": factor, "name": name, **ratio,
                     "is_reached": ratio["ratio"] >= factor})
    measured = [row for row in rows if row["name"]]
    is_reached = all(row["is_reached"] for row in measured) if measured else None
    return rows, is_reached


def below_ceiling(summary, ours, names, factor):
    """Our cost over that of the cheapest ceiling of the kind."""
    name = best(summary, names)
    if name is None:
        return {"name": None, "factor": factor, "is_reached": None}
    ratio = summary[ours]["cost_us"]["median"] / summary[name]["cost_us"]["median"]
    return {"name": name, "factor": factor, "ratio": ratio, "is_reached": ratio <= factor}


def verdicts(all_summaries, servers):
    """One for each target and kind of clients."""
    names, out = rivals(servers), []
    lethe = [server["name"] for server in servers if server.get("is_lethe")]
    both = [(target, load, clients) for target in TARGETS for load, clients in (
        (target["load"], "of the kernel"), (RAW_LOADS[target["load"]], "without sockets"))]
    for target, load, clients in both:
        summary = all_summaries.get(load, {})
        ours = best(summary, lethe)
        row = {"work": target["work"], "load": load, "clients": clients, "ours": ours}
        if ours is not None:
            row["cost_us"] = summary[ours]["cost_us"]
            row["least"], row["is_least_reached"] = against(summary, ours, target["least"], names)
            if "goal" in target:
                row["goal"], row["is_goal_reached"] = against(summary, ours, target["goal"], names)
            else:
                row["ceiling"] = below_ceiling(summary, ours, names.get("ceiling-driver", ()),
                                               target["goal_ceiling"])
                row["is_goal_reached"] = row["ceiling"]["is_reached"]
        out.append(row)
    return out


def io_verdicts(all_summaries, servers):
    """Distance to the ceiling of the I/O that each of Lethe's modes uses, UDP."""
    names, out = rivals(servers), []
    for load in ("udp-tld", "rawudp-tld", "udp-root", "rawudp-root"):
        summary = all_summaries.get(load, {})
        for server in servers:
            ceilings = names.get(f"ceiling-{server.get('ceiling')}", ())
            if server.get("is_lethe") and server["name"] in summary and ceilings:
                least = below_ceiling(summary, server["name"], ceilings, IO_TARGET["least"])
                goal = below_ceiling(summary, server["name"], ceilings, IO_TARGET["goal"])
                if least["name"]:
                    out.append({"load": load, "ours": server["name"], "ceiling": least["name"],
                                "ratio": least["ratio"], "is_least_reached": least["is_reached"],
                                "is_goal_reached": goal["is_reached"]})
    return out
