#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Large zones and many zones: load, start, memory, and how soon a change is seen.

    scale.py [--build DIR] [--delegations N[,N...]] [--zones N] [--peers nsd,knot,bind,pdns]
             [--json FILE] [--limits] [--work DIR]

For each N a zone like that of a top-level domain (make_tld), loaded in its canonical order and
shuffled; then many small zones, loaded from a list.  Loading is held to one processor.  The peers
start with the same zones, as far as their memory is there: NSD, Knot DNS and BIND read the text at
each start, Lethe and PowerDNS load it once.  --limits: exit
with 1 if Lethe misses one of LIMITS; these are wall times, so only on a machine that has nothing
else to do.

--json, all sizes in octets, all times in seconds unless a name says _ms:

  machine         processors, model
  tld             a list, one object for each N:
    delegations, records, text_octets
    sorted, shuffled    a load: wall_s, user_s, system_s (of all of `lethe zone load`, the wait for
                        the disk in wall_s only), read_s, write_s (as it says itself), peak_octets
                        (largest resident set), records_per_s (by wall_s), records_per_cpu_s (by
                        user_s + system_s: what a machine with other work to do does not change)
    database_octets     allocated on disk after the sorted load; database_to_text: that / text
    start               server name -> first_answer_s (from exec to the first answer, files warm in
                        the page cache), resident_octets (Pss of all its processes then),
                        own_octets (without pages of files); for servers with a database of their
                        own, too: load_s, database_octets
    left_out            server name -> why it has no row
    visible             what `visible` prints (see visible.c), with the server under the load of
                        `background`: asked_per_s, sent, lost, latency p50_us, p99_us
    limits              name of each limit -> [value, limit, held]
  small           zones, records, text_octets, load (as above, with zones_per_s), database_octets,
                  database_to_text, start, visible, limits
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "interop"))

import peers

PEERS = {"nsd": (peers.Nsd, "nsd"), "knot": (peers.Knot, "knotd"), "bind": (peers.Bind, "named"),
         "pdns": (peers.Pdns, "pdnsutil")}
# Of a peer: seconds for a million of delegations, and octets of memory for one.
PEER_S_PER_MILLION, PEER_S = 120, 60
PEER_OCTETS = 1600
LIMITS = {
    "records_per_s": (">=", 1e6),
    "database_to_text": ("<=", 1.5),
    "first_answer_s": ("<", 0.1),
    "visible_ms": ("<", 10),
    "lost": ("<=", 0),
}
BACKGROUND_PER_S = 30000
PROBES_PER_S = 20000


def say(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text and "--progress" in sys.argv:
        print(text, file=sys.stderr, flush=True)


def done():
    say("")


def family(pid):
    """A process and its children, all generations."""
    found = [pid]
    for one in found:
        for task in pathlib.Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def memory(pid):
    """What is resident of all processes, and what of it is not pages of files."""
    total = anonymous = 0
    for one in family(pid):
        for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            words = line.split()
            total += int(words[1]) * 1024 if words[0] == "Pss:" else 0
            anonymous += int(words[1]) * 1024 if words[0] == "Pss_Anon:" else 0
    return {"resident_octets": total, "own_octets": anonymous}


def allocated(directory):
    """The files may have holes: what is allocated counts."""
    return sum(os.stat(path).st_blocks * 512 for path in pathlib.Path(directory).iterdir())


def available_octets():
    for line in pathlib.Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


class Scale:
    """One run: where the programs are, where files go, what was found."""

    def __init__(self, args, work):
        self.args = args
        self.work = pathlib.Path(work)
        self.build = pathlib.Path(args.build).resolve()
        self.result = {"machine": self.machine(), "tld": [], "small": None}

    @staticmethod
    def machine():
        model = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="ascii")
                 if line.startswith("model name")]
        return {"processors": os.cpu_count(), "model": model[0] if model else "unknown"}

    def program(self, name):
        return str(self.build / name)

    def make(self, *arguments, to=None):
        with open(to or os.devnull, "wb") as file:
            subprocess.run([self.program("test/bench/make_tld"), *map(str, arguments)],
                           check=True, stdout=file)

    def load(self, db, *words):
        """`lethe zone load` on one processor."""
        cpu = min(os.sched_getaffinity(0))
        begun = time.monotonic()
        with subprocess.Popen([self.program("tools/lethe"), "--db", str(db), "--json", "zone", "load",
                               *map(str, words)], stdout=subprocess.PIPE, text=True,
                              preexec_fn=lambda: os.sched_setaffinity(0, {cpu})) as process:
            said = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - begun
        if process.returncode:
            sys.exit(f"scale.py: lethe zone load {words} failed")
        told = json.loads(said)
        return told, {"wall_s": wall_s, "user_s": usage.ru_utime, "system_s": usage.ru_stime,
                      "read_s": told["read_s"], "write_s": told["write_s"],
                      "peak_octets": usage.ru_maxrss * 1024,
                      "records_per_s": told["records"] / wall_s,
                      "records_per_cpu_s": told["records"] / (usage.ru_utime + usage.ru_stime)}

    @staticmethod
    def start(server):
        """Start a server; it runs on. What it took."""
        begun = time.monotonic()
        server.start()
        return {"first_answer_s": time.monotonic() - begun, **memory(server.process.pid)}

    def visible(self, server, apex, questions):
        """Change while `server` is under load."""
        options = ["--flows", "32", "--rate", str(PROBES_PER_S), "--changes", "50"]
        rate = BACKGROUND_PER_S
        if self.args.small:
            options, rate = ["--flows", "8", "--rate", "2000", "--changes", "5"], 2000
        bench = subprocess.Popen(
            [self.program("tools/lethe-bench"), "udp", "-s", f"{server.address}@{server.port}",
             "-d", str(questions), "-Q", str(rate), "-l", "6" if not self.args.small else "2",
             "--json", "--quiet"], stdout=subprocess.PIPE, text=True)
        time.sleep(0.2)
        run = subprocess.run([self.program("test/bench/visible"), server.address, str(server.port),
                              str(server.db), apex, *options], stdout=subprocess.PIPE, check=True)
        loaded = json.loads(bench.communicate()[0])
        return {**json.loads(run.stdout), "background": {
            "asked_per_s": rate, "sent": loaded["sent"], "lost": loaded["lost"],
            "p50_us": loaded["latency_us"]["p50"], "p99_us": loaded["latency_us"]["p99"]}}

    @staticmethod
    def judge(found, load):
        """Each limit: value, limit, whether it is held."""
        visible = found["visible"]
        values = {"records_per_s": load["records_per_s"],
                  "database_to_text": found["database_to_text"],
                  "first_answer_s": found["start"]["lethed"]["first_answer_s"],
                  "visible_ms": visible["visible_ms"]["max"],
                  "lost": visible["lost"] + visible["background"]["lost"]}
        tests = {">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b, "<": lambda a, b: a < b}
        return {name: [values[name], limit, tests[how](values[name], limit)]
                for name, (how, limit) in LIMITS.items()}

    def tld(self, delegations, names):
        zone, db = self.work / "tld.zone", self.work / f"db-{delegations}"
        found = {"delegations": delegations}
        for order in ("shuffled", "sorted"):
            say(f"{delegations} delegations, {order}: making the zone")
            self.make(*(["--shuffle"] if order == "shuffled" else []), delegations, to=zone)
            shutil.rmtree(db, ignore_errors=True)
            say(f"{delegations} delegations, {order}: loading")
            told, found[order] = self.load(db, "tld.", zone)
        found |= {"records": told["records"], "text_octets": zone.stat().st_size,
                  "database_octets": allocated(db)}
        found["database_to_text"] = found["database_octets"] / found["text_octets"]
        questions = self.work / "questions"
        self.questions(zone, questions)
        say(f"{delegations} delegations: starting lethed")
        server = peers.Lethed(self.work, {"tld.": zone}, self.build)
        server.db = db
        found["start"] = {"lethed": self.start(server)}
        try:
            say(f"{delegations} delegations: changing")
            found["visible"] = self.visible(server, "tld.", questions)
        finally:
            server.stop()
        shutil.rmtree(db)
        self.start_peers(found, names, {"tld.": zone}, delegations)
        found["limits"] = self.judge(found, found["sorted"])
        return found

    def start_peers(self, found, names, zones, delegations):
        """A row for each, or why not."""
        found["left_out"] = {}
        for name in names:
            if delegations * PEER_OCTETS > available_octets():
                found["left_out"][name] = "there may not be memory enough"
                continue
            say(f"{delegations} delegations: starting {name}")
            try:
                found["start"][name] = self.start_peer(name, zones, delegations)
            except (peers.ServerError, OSError, subprocess.TimeoutExpired) as error:
                found["left_out"][name] = str(error)[-300:]

    def start_peer(self, name, zones, delegations):
        peer = PEERS[name][0](self.work, zones)
        peer.ready_s = PEER_S + PEER_S_PER_MILLION * delegations / 1e6
        row = {}
        try:
            if hasattr(peer, "load"):
                begun = time.monotonic()
                peer.load()
                row = {"load_s": time.monotonic() - begun,
                       "database_octets": allocated(peer.directory / "database")}
            return self.start(peer) | row
        finally:
            peer.stop()
            shutil.rmtree(peer.directory, ignore_errors=True)

    @staticmethod
    def questions(zone, path, every=997):
        """Owners of the zone here and there, and as many names that are not there."""
        with open(zone, encoding="ascii") as text, open(path, "w", encoding="ascii") as file:
            for number, line in enumerate(text):
                if number % every == 0 and line[0] not in "$@":
                    name = line.split()[0]
                    file.write(f"www.{name}.tld. A\n{name}-no.tld. A\n")

    def small(self, zones):
        directory, db = self.work / "small", self.work / "db-small"
        say(f"{zones} zones: making them")
        self.make("--small", directory, zones)
        found = {"zones": zones,
                 "text_octets": sum(file.stat().st_size for file in os.scandir(directory)
                                    if file.name != "list")}
        say(f"{zones} zones: loading")
        told, load = self.load(db, "--list", directory / "list")
        found |= {"records": told["records"], "database_octets": allocated(db),
                  "load": load | {"zones_per_s": zones / load["wall_s"]}}
        found["database_to_text"] = found["database_octets"] / found["text_octets"]
        questions = self.work / "questions"
        questions.write_text("".join(f"www.z{i * 7919 % zones}.example. A\n"
                                     for i in range(min(zones, 10000))))
        last = f"z{zones - 1}.example."
        say(f"{zones} zones: starting lethed")
        server = peers.Lethed(self.work, {last: None}, self.build)
        server.db = db
        found["start"] = {"lethed": self.start(server)}
        try:
            say(f"{zones} zones: changing")
            found["visible"] = self.visible(server, last, questions)
        finally:
            server.stop()
        shutil.rmtree(db)
        shutil.rmtree(directory)
        found["limits"] = self.judge(found, load)
        return found


def mib(octets):
    return f"{octets / (1 << 20):,.0f} MiB"


def print_load(what, load):
    print(f"  {what:<9} {load['wall_s']:7.2f} s ({load['user_s']:.2f} user, {load['system_s']:.2f} "
          f"system), {load['records_per_s']:>9,.0f} records/s, peak {mib(load['peak_octets'])}")


def print_rest(found):
    print(f"  database  {mib(found['database_octets'])}, {found['database_to_text']:.2f} x the text "
          f"of {mib(found['text_octets'])}")
    base = found["start"]["lethed"]["first_answer_s"]
    for name, start in found["start"].items():
        print(f"  start     {name:<7}{start['first_answer_s']:8.3f} s to the first answer"
              f"{start['first_answer_s'] / base:8.1f} x   {mib(start['resident_octets']):>10} "
              f"resident, {mib(start['own_octets'])} its own"
              + (f"; loaded in {start['load_s']:.0f} s, database {mib(start['database_octets'])}"
                 if "load_s" in start else ""))
    for name, why in found.get("left_out", {}).items():
        print(f"  left out  {name}: {why}")
    visible, background = found["visible"], found["visible"]["background"]
    print(f"  change    {visible['change_ms']['median']:.2f} ms (max {visible['change_ms']['max']:.2f}"
          f"), seen after {visible['visible_ms']['median']:.2f} ms (max "
          f"{visible['visible_ms']['max']:.2f}); {visible['lost'] + background['lost']} of "
          f"{visible['queries'] + background['sent']:,} queries lost")
    for name, (value, limit, held) in found["limits"].items():
        print(f"  {'holds' if held else 'MISSES'}    {name} {LIMITS[name][0]} {limit:g}: {value:g}")


def report(result):
    done()
    for found in result["tld"]:
        print(f"{found['delegations']:,} delegations, {found['records']:,} records")
        print_load("sorted", found["sorted"])
        print_load("shuffled", found["shuffled"])
        print_rest(found)
    if result["small"]:
        found = result["small"]
        print(f"{found['zones']:,} zones, {found['records']:,} records, "
              f"{found['load']['zones_per_s']:,.0f} zones/s")
        print_load("list", found["load"])
        print_rest(found)


def check_small_form(result):
    """What holds on any machine, however busy."""
    faults = []
    for found in result["tld"] + [result["small"]]:
        lost = found["visible"]["lost"] + found["visible"]["background"]["lost"]
        if lost:
            faults.append(f"{lost} queries were lost")
        if found["start"]["lethed"]["own_octets"] > 64 << 20:
            faults.append(f"lethed holds {mib(found['start']['lethed']['own_octets'])} of its own")
    tld = result["tld"][0]
    if tld["database_to_text"] > LIMITS["database_to_text"][1]:
        faults.append(f"the database is {tld['database_to_text']:.2f} x the text")
    for fault in faults:
        print("FAIL", fault)
    return 1 if faults else 0


def parse():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    options.add_argument("--build", default="build")
    options.add_argument("--delegations", default="1000000")
    options.add_argument("--zones", type=int, default=100000)
    options.add_argument("--peers", default="nsd,knot,bind,pdns", help="or none")
    options.add_argument("--json", metavar="FILE")
    options.add_argument("--limits", action="store_true")
    options.add_argument("--progress", action="store_true", help="tell it without a terminal too")
    options.add_argument("--work", metavar="DIR", help="where files go: room for twice the text")
    options.add_argument("--small", action="store_true",
                         help="a short run with few questions, for tests; only sizes are judged")
    return options.parse_args()


def main():
    args = parse()
    wanted = [] if args.peers == "none" else args.peers.split(",")
    names = [name for name in wanted if shutil.which(PEERS[name][1])]
    for name in set(wanted) - set(names):
        print(f"{name} is not installed: no row")
    with tempfile.TemporaryDirectory(prefix="lethe-scale-", dir=args.work) as work:
        os.chmod(work, 0o755)
        scale = Scale(args, work)
        for delegations in args.delegations.split(","):
            scale.result["tld"].append(scale.tld(int(delegations), names))
        scale.result["small"] = scale.small(args.zones) if args.zones else None
    report(scale.result)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(scale.result, indent=1) + "\n")
    if args.small:
        return check_small_form(scale.result)
    found = scale.result["tld"] + ([scale.result["small"]] if args.zones else [])
    is_held = all(held for one in found for _, _, held in one["limits"].values())
    return 1 if args.limits and not is_held else 0


if __name__ == "__main__":
    sys.exit(main())
