#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Lethe beside other name servers on this machine: what a query costs, and everything around it.

    python3 test/bench/compare --build DIR [--out DIR] ...
    python3 test/bench/compare --render REPORT.json --out DIR

Two network namespaces and a veth pair; the server has one core, the load generator the other. Every
server in turn answers the same questions for the same zones, round by round; the report has medians
and spreads of the whole server side's CPU time for a query, the kernel's part included. Needs root.
Packages: tools/install-packages build test bench.
"""
import argparse
import contextlib
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
import changes  # noqa: E402
import data  # noqa: E402
import figures  # noqa: E402
import large  # noqa: E402
import link as links  # noqa: E402
import loads  # noqa: E402
import machine  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402

SKIP = 77
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
QUICK = {"rounds": 1, "seconds": 0.3, "delegations": 20000, "questions": 20000, "repeat": 0,
         "quiet": 0, "settle": 0.3, "idle": [1000], "rates": {}, "scale": [], "changes": True,
         "peers": ["nsd", "knot-xdp", *servers.CEILINGS],
         "modes": ["socket", "packet", "xdp-driver"],
         "loads": ["udp-tld", "tcp1-tld", "tcp1-big", "tcpp-tld", "raw1-tld"]}


def words(text):
    return [word for word in text.split(",") if word]


def numbers(text):
    return [int(word) for word in words(text)]


def parse():
    options = argparse.ArgumentParser(
        prog="compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--build", default="build/plain", help="where Lethe was built")
    options.add_argument("--out", default="compare-report", help="directory for the report")
    options.add_argument("--state", help="directory for zones and databases, to keep them")
    options.add_argument("--peers", type=words,
                         default=list(servers.DEFAULT_PEERS + servers.CEILINGS),
                         help="names below test/bench/peers, comma-separated")
    options.add_argument("--extra", action="append", default=[], metavar="SCRIPT",
                         help="a further server: a start script, see test/bench/peers/README.md")
    options.add_argument("--modes", type=words, help="of Lethe: " + ", ".join(
        mode[0] for mode in servers.LETHE_MODES))
    options.add_argument("--loads", type=words,
                         help=", ".join(load.name for load in loads.ALL_LOADS))
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=0.4, help="of each run")
    options.add_argument("--family", type=int, choices=[4, 6],
                         help="all loads over IPv4 or IPv6, whatever they say")
    options.add_argument("--delegations", type=int, default=1000000)
    options.add_argument("--questions", type=int, default=500000, help="in each file of them")
    options.add_argument("--generator", choices=[g.name for g in loads.GENERATORS],
                         help="default: the first of them that is there")
    options.add_argument("--idle", type=numbers, default=[1000, 100000],
                         help="so many connections at once, for memory; empty: none")
    options.add_argument("--no-changes", dest="changes", action="store_false",
                         help="do not measure how soon a change is seen")
    options.add_argument("--rates-udp", type=numbers,
                         default=[10000, 50000, 100000, 200000],
                         help="offered loads for latency; empty: none")
    options.add_argument("--rates-tcp", type=numbers, default=[2000, 5000, 10000, 20000])
    options.add_argument("--scale", type=numbers, default=[1000000],
                         help="delegations for load time, size, restart, updates; e.g. "
                         "1000000,10000000; empty: none")
    options.add_argument("--scale-zones", type=int, default=100000, help="small zones, likewise")
    options.add_argument("--repeat", type=int, default=1,
                         help="how often a run that others disturbed is done again")
    options.add_argument("--quiet", type=float, default=5,
                         help="seconds to wait, at most, for an idle machine before a run")
    options.add_argument("--patience", type=float, default=120,
                         help="seconds in all for waiting and for runs done again")
    options.add_argument("--settle", type=float, default=1,
                         help="seconds before memory is measured")
    options.add_argument("--install", action="store_true",
                         help="first install the packages it needs")
    options.add_argument("--server-cpu", type=int, default=0)
    options.add_argument("--client-cpu", type=int, default=1)
    options.add_argument("--quick", action="store_true",
                         help="a smoke test: its figures mean nothing")
    options.add_argument("--render", metavar="REPORT.json", help="only write a report anew")
    args = options.parse_args()
    args.rates = {"udp-tld": args.rates_udp, "tcp1-tld": args.rates_tcp}
    if args.quick:
        vars(args).update(QUICK)
    return args


def say(text):
    print(time.strftime("%H:%M:%S"), text, flush=True)


def contestants(args, databases):
    """(those that can take part, those that cannot and why)."""
    scripts = [servers.PEERS / name for name in args.peers] + [pathlib.Path(p) for p in args.extra]
    modes = [mode for mode in servers.LETHE_MODES if args.modes is None or mode[0] in args.modes]
    makers = [(f"lethe-{mode[0]}", servers.LetheMode, (args.build, databases, *mode))
              for mode in modes]
    makers += [(path.name, servers.Script, (path, args.build)) for path in scripts]
    there, missing = [], []
    for name, maker, arguments in makers:
        try:
            server = maker(*arguments)
            server.check()
            if name in (one.name for one in there):
                raise servers.Unavailable("there is another of that name")
            there.append(server)
        except (servers.Unavailable, OSError, ValueError, subprocess.SubprocessError) as why:
            missing.append({"server": name, "why": str(why)})
    return there, missing


def rotated(row, by):
    by %= max(1, len(row))
    return row[by:] + row[:by]


@contextlib.contextmanager
def survived(comparison, server, what):
    """What one server makes go wrong is told, and does not end the run of the others."""
    try:
        yield
    except Exception as error:  # pylint: disable=broad-except
        comparison.fail(server.name, f"{what}: {type(error).__name__}: {error}")


def is_asked(options, server, load):
    """Unless loads are named, clients without sockets ask those alone that can gain by them."""
    return loads.fits(server, load) and \
        (options.loads is not None or server.is_fast or not load.kind.startswith("raw"))


def throughput(comparison, there, wanted):
    """Rounds over all servers and loads; each round begins with another server."""
    options = comparison.options
    comparison.total = options.rounds * sum(is_asked(options, server, load) for server in there
                                            for load in wanted)
    for number in range(options.rounds):
        for zone_set, family in measure.served_of(wanted):
            for server in rotated(there, number):
                with survived(comparison, server, "throughput"):
                    ask_all(comparison, server, number, [
                        load for load in wanted if is_asked(options, server, load) and
                        (load.zone_set, load.family) == (zone_set, family)])


def ask_all(comparison, server, number, fitting):
    """One round of one server: loads of the same zones and family."""
    instance = comparison.serving(server, fitting[0].zone_set, fitting[0].family) if fitting \
        else None
    for load in fitting:
        comparison.done += 1
        measured = comparison.run(instance, load, number) if instance else None
        if measured is None:
            continue
        comparison.measurements.append(measured)
        say(f"{comparison.done:4} of {comparison.total} {load.name:10} {server.name:22}"
            f"{figures.cost_us(measured):8.2f} us"
            f"{measured['answered'] / measured['seconds']:10,.0f}/s"
            f"{'  disturbed' if measured['foreign'] > machine.FOREIGN_LIMIT else ''}")


def latencies(comparison, there):
    for name, rates in comparison.options.rates.items():
        load = loads.BY_NAME[name]._replace(family=comparison.options.family or 4)
        for server in there if rates else ():
            if loads.fits(server, load) and server.answers == "all":
                with survived(comparison, server, "latency"):
                    ask_at(comparison, server, load, rates)


def ask_at(comparison, server, load, rates):
    instance = comparison.serving(server, load.zone_set, load.family)
    for rate in rates if instance else ():
        measured = comparison.run(instance, load, 0, rate)
        if measured is None:
            break
        comparison.latencies.append(measured)
        say(f"latency {load.name:10} {server.name:18} {rate:8,}/s "
            f"{measured['latency_us'].get('p99', measured['latency_us']['mean']):8.0f} us")
        if measured["answered"] < 0.5 * rate * measured["seconds"]:
            break  # far beyond what it can


def idle(comparison, there):
    options = comparison.options
    for server in there if options.idle else ():
        if "tld" in server.zone_sets and server.holds_connections and \
                (server.is_lethe or not options.quick):
            with survived(comparison, server, "idle connections"):
                hold(comparison, server)


def change(comparison, there):
    """Last, as it leaves other zones behind than it found."""
    for server in there if comparison.options.changes else ():
        if server.has_changes and {"udp", "tcp"} <= set(server.loads):
            with survived(comparison, server, "changes"):
                instance = comparison.serving(server, "tld")
                if instance is None:
                    continue
                changed = changes.measure(instance)
                comparison.changes.append(changed)
                say(f"change {server.name:18} seen after "
                    f"{figures.spread(changed['seen_s'])['median'] * 1000:.1f} ms")


def hold(comparison, server):
    instance = comparison.serving(server, "tld")
    for count in comparison.options.idle if instance else ():
        held = comparison.hold_idle(instance, min(count, server.connections))
        held["asked_for"] = count
        comparison.idle.append(held)
        say(f"idle {server.name:18} {held['opened']:7} connections "
            f"{held['each_octets']:9.0f} octets each")


def heed_interrupts():
    for number in INTERRUPTS:
        signal.signal(number, signal.default_int_handler)


def raise_descriptor_limit():
    for wanted in (1048576, 262144, 65536):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return
        except (ValueError, OSError):
            continue


def wanted_loads(args):
    wanted = [load for load in loads.ALL_LOADS
              if (load in loads.DEFAULT_LOADS if args.loads is None else load.name in args.loads)]
    return loads.over_family(wanted, args.family) if args.family else wanted


def zone_sets_made(args, files, wanted, missing):
    """The loads whose zones there are, after making those."""
    needed = dict.fromkeys(load.zone_set for load in wanted)
    if args.idle or args.changes or any(args.rates.values()):
        needed["tld"] = None
    for zone_set in needed:
        say(f"zones: {zone_set}")
        try:
            files.make(zone_set)
        except data.Missing as why:
            missing.append({"server": f"loads of zones {zone_set}", "why": str(why)})
            wanted = [load for load in wanted if load.zone_set != zone_set]
    return wanted


def load_databases(comparison, databases, loaded, wanted):
    """Of Lethe, for every set of zones."""
    options = comparison.options
    for zone_set in dict.fromkeys([load.zone_set for load in wanted] + ["tld"]):
        if set(data.ZONE_SETS[zone_set].values()) <= comparison.files.made:
            databases[zone_set], loaded[zone_set] = servers.load_database(
                options.build, pathlib.Path(options.state), zone_set,
                comparison.files.zone_set(zone_set))


def measure_all(comparison, there, wanted, databases, loaded):
    """All that needs the link; what an interruption leaves is a report of its own."""
    try:
        load_databases(comparison, databases, loaded, wanted)
        throughput(comparison, there, wanted)
        idle(comparison, there)
        latencies(comparison, there)
        change(comparison, there)
    except KeyboardInterrupt:
        comparison.is_interrupted = True
        comparison.fail("compare", "interrupted: the report has what there is")
    except (servers.NotUp, OSError, subprocess.SubprocessError) as error:
        comparison.fail("compare", error)
    finally:
        # Only once: whoever is impatient waits for the end of what is being removed.
        for number in INTERRUPTS:
            signal.signal(number, signal.SIG_IGN)
        comparison.end()


def compare(args):
    """The whole of it: what the report is made of."""
    raise_descriptor_limit()
    os.sched_setaffinity(0, {args.client_cpu})
    files = data.Data(pathlib.Path(args.state, "data"), args.delegations, args.questions,
                      str(pathlib.Path(args.build, "test", "bench", "make_tld").resolve()))
    began, databases, loaded = time.time(), {}, {}
    there, missing = contestants(args, databases)
    wanted = zone_sets_made(args, files, wanted_loads(args), missing)
    with links.Link(args.server_cpu, args.client_cpu) as link:
        if gone := [load.name for load in wanted if load.family not in link.families]:
            missing.append({"server": ", ".join(gone), "why": "no IPv6 in this kernel"})
            wanted = [load for load in wanted if load.family in link.families]
        for gone in missing:
            say(f"without {gone['server']}: {gone['why']}")
        comparison = measure.Comparison(args, link, files, say)
        comparison.generator = loads.choose(args.generator, args.build)
        measure_all(comparison, there, wanted, databases, loaded)
    if not comparison.is_interrupted:
        heed_interrupts()
    # Loading may use what it likes.
    os.sched_setaffinity(0, range(os.cpu_count()))
    scales = None
    if args.scale and not comparison.is_interrupted:
        scales = large.figures(args.build, args, say)
        if "why" in scales:
            comparison.fail("compare", "large zones: " + scales["why"].strip().splitlines()[-1])
    return {"machine": machine.describe(), "began": began, "took_s": time.time() - began,
            "options": {name: value for name, value in vars(args).items() if name != "render"},
            "generator": comparison.generator.version(), "zones": files.describe(),
            "receives_in_threads": link.has_threads, "accounting": comparison.accounting(),
            "servers": [describe(server) for server in there], "missing": missing,
            "failures": comparison.failures, "measurements": comparison.measurements,
            "latencies": comparison.latencies, "idle": comparison.idle,
            "changes": comparison.changes,
            "starts": measure.starts(comparison), "databases": loaded, "scale": scales}


def describe(server):
    return {"name": server.name, "label": server.label, "version": server.version(),
            "rival": server.rival, "is_lethe": server.is_lethe,
            "about": getattr(server, "about", ""), "ceiling": getattr(server, "ceiling", None)}


def main():
    args = parse()
    heed_interrupts()
    if args.render:
        with open(args.render, encoding="utf-8") as file:
            report.write(json.load(file), args.out)
        return 0
    if os.geteuid() != 0:
        print("SKIP: needs root, for network namespaces")
        return SKIP
    if args.server_cpu not in (cores := os.sched_getaffinity(0)) or args.client_cpu not in cores:
        print("SKIP: needs two processors")
        return SKIP
    if args.install:
        subprocess.run([data.TOP / "tools" / "install-packages", "build", "test", "bench"],
                       check=True)
    try:
        with tempfile.TemporaryDirectory(prefix="lethe-compare-") as directory:
            args.state = args.state or directory
            result = compare(args)
    except KeyboardInterrupt:
        say("interrupted before anything was measured")
        return 130
    report.write(result, args.out)
    say(f"report: {pathlib.Path(args.out, 'report.md')}")
    # What others cannot is in the report; what Lethe cannot is a fault.
    faults = [f for f in result["failures"] if f["server"].startswith(("lethe", "compare"))]
    return 0 if result["measurements"] and not faults else 1


if __name__ == "__main__":
    sys.exit(main())
