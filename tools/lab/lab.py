# SPDX-License-Identifier: BSD-2-Clause
"""One row after the other, in one world: attacks, and measurements."""
import concurrent.futures
import contextlib
import json
import pathlib
import sys
import tempfile
import time

import rows
from parts import Authority, Forwarder, dnsperf, setting
from resolvers import RESOLVERS
from world import ADDRESSES, RESOLVER_CPU, SERVER_CPU
from zones import Zones

FALSE = "203.0.113."
# How many questions an attack takes.
ATTACKED = 3


class Job:
    """A row with a transport and a resolver: what is found out about it."""

    def __init__(self, resolver, row, transport, rounds):
        self.resolver, self.row, self.transport, self.rounds = resolver, row, transport, rounds
        self.runs, self.attack, self.troubles = [], None, []

    @property
    def title(self):
        return f"{RESOLVERS[self.resolver].title}: {self.row.name}; TCP: {self.transport}"


def plan(resolver, wanted, transports, rounds):
    """What there is to do with a resolver, in the order of the report."""
    out = []
    for row in wanted:
        possible = [one for one in transports if rows.is_possible(row, one, RESOLVERS[resolver])]
        for number, transport in enumerate(possible):
            is_light = number > 0 and not row.is_by_tcp and row is not rows.ROWS[0]
            out.append(Job(resolver, row, transport, min(rounds, 1) if is_light else rounds))
    return out


class Progress:
    """A line for a person, with the time left; or a line for each step."""

    def __init__(self, steps):
        self.steps, self.done, self.begun = steps, 0, time.monotonic()

    def step(self, text):
        left = ""
        if self.done:
            seconds = (time.monotonic() - self.begun) / self.done * (self.steps - self.done)
            left = f", {seconds / 60:.0f} min left" if seconds > 90 else f", {seconds:.0f} s left"
        say(f"[{self.done + 1}/{self.steps}{left}] {text}")
        self.done += 1


def say(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)


class Lab:
    """The zones, the networks, and what runs in them."""

    def __init__(self, options, world, directory):
        self.options, self.world, self.directory = options, world, pathlib.Path(directory)
        root, tld, *leaves = ADDRESSES
        self.zones = Zones(options.zones, options.names, root, tld, leaves)
        self.paths = self.zones.write(self.directory / "zones", say)
        self.questions, self.warm = self.directory / "questions", self.directory / "warm"
        self.zones.questions(self.questions)
        # Each second-level zone once, so that what is measured is not the way to them.
        self.warm.write_text("".join(f"ns.{apex} A\n" for apex, _ in self.zones.apexes()),
                             encoding="ascii")
        self.serving, self.authorities = None, []
        self.stack = contextlib.ExitStack()

    def close(self):
        """End the servers."""
        self.serving, self.authorities = None, []
        self.stack.close()

    def serve(self, job):
        """The servers as a job wants them: those that run, or others."""
        if self.serving == setting(job.row, job.transport):
            return
        self.close()
        run = self.stack.enter_context(tempfile.TemporaryDirectory(dir=self.directory))
        for address in ADDRESSES:
            served = {apex: path for apex, path in self.paths.items()
                      if self.zones.places[apex] == address}
            self.authorities.append(self.stack.enter_context(Authority(
                run, self.world, self.options.build, address, served, job.row, job.transport,
                self.directory / "db" / address)))
        self.serving = setting(job.row, job.transport)

    @contextlib.contextmanager
    def running(self, job):
        """All servers, and the resolver with an empty cache; maybe lethe-forward behind it."""
        self.serve(job)
        with contextlib.ExitStack() as stack:
            run = stack.enter_context(tempfile.TemporaryDirectory(dir=self.directory))
            resolver = RESOLVERS[job.resolver](run, self.world, self.zones.root, self.zones.anchor,
                                               job.row, job.transport)
            if job.row.rule:
                self.world.filter(job.row.rule)
                stack.callback(self.world.stop_filtering)
            askers = [stack.enter_context(resolver)]
            if job.row.forward:
                askers.append(stack.enter_context(
                    Forwarder(run, self.world, self.options.build, job.row)))
            yield askers

    def attack(self, job):
        """Is somebody believed who alters second fragments?"""
        names = self.zones.spare()[:ATTACKED]
        # A resolver that had to wait long asks again, for less: that proves nothing, so try again.
        for _ in range(1 if job.row.is_safe else 5):
            found = self.attack_once(job, names)
            if found["believed"]:
                break
        return found

    def attack_once(self, job, names):
        with self.running(job) as askers:
            self.world.tamper()
            try:
                with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
                    answers = [done.stdout for done in pool.map(askers[0].ask, names)]
            finally:
                altered = self.world.stop_tampering()
            counts = forward_counts(askers)
        return {"fragments_altered": altered,
                "believed": sum(FALSE in answer for answer in answers),
                "answered": sum("NOERROR" in answer and "198.51.100." in answer and
                                FALSE not in answer for answer in answers),
                "asked": len(names), "forward": counts}

    def measure(self, job):
        """One run; to the resolver, whose cache is empty, every question is new."""
        world, seconds, clients = self.world, self.options.seconds, self.options.clients
        with self.running(job) as askers:
            dnsperf(world, self.warm, 2, clients)
            counted = (world.fragments, world.connections)
            before = [count() for count in counted]
            used = cpu_s(self.authorities), cpu_s(askers), busy_s(SERVER_CPU), busy_s(RESOLVER_CPU)
            found = dnsperf(world, self.questions, seconds, clients)
            now = cpu_s(self.authorities), cpu_s(askers), busy_s(SERVER_CPU), busy_s(RESOLVER_CPU)
            counts = forward_counts(askers)
            answered = max(1.0, found["completed"])
            spent = [(later - earlier) / answered * 1e6 for later, earlier in zip(now, used)]
            fragments, connections = ((count() - was) / answered
                                      for count, was in zip(counted, before))
        dnsperf_us = found["dnsperf_s"] / answered * 1e6
        return {**found, "servers_us": spent[0], "resolver_us": spent[1],
                "machine_us": spent[2] + spent[3], "servers_machine_us": spent[2] - dnsperf_us,
                "resolver_machine_us": spent[3], "fragments": fragments,
                "connections": connections, "forward": counts}

    def run(self, jobs):
        """Fills the jobs in; what fails is told of and gone on from."""
        steps = list(order(jobs, self.options.rounds))
        progress = Progress(len(steps))
        for what, job in steps:
            progress.step(f"{what}: {job.title}")
            try:
                if what == "attack":
                    job.attack = self.attack(job)
                else:
                    job.runs.append(self.measure(job))
            except Exception as error:  # pylint: disable=broad-except
                # The rest of the night's table is worth more than this row.
                job.troubles.append(f"{what}: {type(error).__name__}: {str(error)[-400:]}")
                self.close()


def order(jobs, rounds):
    """(what, job), resolver by resolver; in a round rows that can share servers are together."""
    for resolver in dict.fromkeys(job.resolver for job in jobs):
        mine = [job for job in jobs if job.resolver == resolver]
        groups = dict.fromkeys(setting(job.row, job.transport)
                               for job in sorted(mine, key=lambda one: rows.TRANSPORTS.index(one.transport)))
        for number in range(max(rounds, 1)):
            for group in groups:
                for job in (one for one in mine if setting(one.row, one.transport) == group):
                    if number == 0:
                        yield "attack", job
                    if number < job.rounds:
                        yield f"round {number + 1}", job
            # What all others are told as ratios to, once more at the end of each round.
            if rounds:
                yield f"round {number + 1}", mine[0]


def forward_counts(askers):
    """What lethe-forward says at its end, if it was there."""
    if len(askers) < 2:
        return None
    askers[1].stop()
    text = askers[1].log()
    return json.loads(text[text.rindex("{"):])


def busy_s(processor):
    """Seconds that a processor was busy with anything, so far, but for what is of low priority."""
    with open("/proc/stat", encoding="ascii") as file:
        line = next(line.split() for line in file if line.split()[0] == "cpu" + processor)
    # user nice system idle iowait irq softirq steal
    return (int(line[1]) + int(line[3]) + int(line[6]) + int(line[7])) / 100


def cpu_s(servers):
    """Of these processes and all their threads, so far."""
    total = 0
    for server in servers:
        with open(f"/proc/{server.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / 100
