# SPDX-License-Identifier: BSD-2-Clause
"""Runs: a server, a load, what it cost."""
import itertools
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import data
import figures
import loads
import machine
import servers
from idle_clients import IdleClients

HERE = pathlib.Path(__file__).resolve().parent
# Beyond the time of the run itself.
GENERATOR_LIMIT_S = 60
WARM_UP = 3000
GIVE_UP_MS = "5000"
IDLE_NAME, IDLE_TYPE = "www.host.example", 1
# Kernel memory of connections: caches that hardly anything else is in; buffers; and for each open
# descriptor what a file needs, of which strangers have too many to count the caches.
SLABS = r"^(?:TCP|request_sock_TCP|sock_inode_cache|eventpoll_)\w* +\d+ +(\d+) +(\d+)"
OF_FILES = r"^(?:filp|dentry) +\d+ +\d+ +(\d+)"


def kernel_now(side, group):
    """Kernel memory of sockets on the machine and of the server's descriptors; how many sockets of
    TCP there are in the server's namespace, and how many descriptors the server has."""
    slabs = machine.read("/proc/slabinfo")
    octets = sum(int(count) * int(size) for count, size in re.findall(SLABS, slabs, re.M))
    files = sum(len(list(pathlib.Path(f"/proc/{pid}/fd").glob("*"))) for pid in group.processes())
    octets += files * sum(int(size) for size in re.findall(OF_FILES, slabs, re.M))
    stat = side.run("cat", "/proc/net/sockstat").stdout
    tcp = re.search(r"^TCP: inuse (\d+) .* mem (\d+)", stat, re.M)
    return {"octets": octets + int(tcp[2]) * os.sysconf("SC_PAGE_SIZE"), "sockets": int(tcp[1]),
            "files": files}


def kernel_growth(before, after):
    """Octets, and sockets. Without a socket or descriptor more there is nothing of the server's:
    what has grown is others'."""
    sockets = after["sockets"] - before["sockets"]
    if sockets <= 0 and after["files"] <= before["files"]:
        return 0, sockets
    return after["octets"] - before["octets"], sockets


def start_idle_clients(program, link, address, first, question, response):
    process = link.client.start(
        "taskset", "-c", str(link.client_cpu), program, link.client_device, link.server_mac(),
        address, "53", first, question, response, GIVE_UP_MS, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True)
    return IdleClients(process, loads.Failed)


class Comparison:
    """The servers that take part, and what was measured of them."""

    def __init__(self, options, link, files, say):
        self.options, self.link, self.files, self.say = options, link, files, say
        self.meter = machine.Meter(link.server_cpu, link.client_cpu, link.server_device)
        self.instances, self.failures = {}, []
        self.measurements, self.latencies, self.idle, self.changes = [], [], [], []
        self.numbers = itertools.count()
        self.idle_networks = itertools.cycle(range(64, 96))
        self.generator = None
        self.on_device = None
        self.done = self.total = 0
        self.is_interrupted = False
        self.patience_s = options.patience

    def end(self):
        """All of them, whatever fails; the namespaces end with us, so nobody is waited for long."""
        for instance in self.instances.values():
            instance.signal(signal.SIGTERM)
        for instance in self.instances.values():
            try:
                instance.stop(servers.LAST_STOP_LIMIT_S)
            except (OSError, subprocess.SubprocessError) as error:
                self.fail(instance.server.name, f"at its end: {error}")

    def accounting(self):
        """By which means the time of the servers was had."""
        return sorted({instance.group.method() for instance in self.instances.values()
                       if instance.group is not None})

    def fail(self, who, what):
        self.failures.append({"server": who, "what": str(what)})
        self.say(f"{who}: {what}")

    def instance(self, server, zone_set, family):
        key = server.name, zone_set, family
        if key not in self.instances:
            self.instances[key] = servers.Instance(
                server, zone_set, family, self.files.zone_set(zone_set), self.link,
                pathlib.Path(self.options.state, "run"), next(self.numbers))
        return self.instances[key]

    def serving(self, server, zone_set, family=4):
        """A running instance; those on the device make place for each other, and for those that the
        kernel serves. None if it does not come up."""
        instance = self.instance(server, zone_set, family)
        if instance.is_hopeless():
            return None
        if self.on_device is not None and self.on_device is not instance:
            self.on_device.stop()
            self.on_device = None
        self.link.pass_frames(server.wants_pass)
        is_new = False
        if not instance.is_up():
            try:
                instance.start()
            except (servers.NotUp, OSError, subprocess.SubprocessError) as error:
                self.fail(server.name, error)
                return None
            is_new = True
        if server.is_device:
            self.on_device = instance
        if is_new:
            self.warm_up(instance)
        return instance

    def warm_up(self, instance):
        """What is done for the first time is not what a query costs."""
        fitting = [load._replace(family=instance.family) for load in loads.LOADS
                   if load.zone_set == instance.zone_set]
        fitting = [load for load in fitting if loads.fits(instance.server, load)]
        for kind in ("udp", "tcp1"):
            load = next((one for one in fitting if one.kind == kind), None)
            if load is not None:
                command = self.generator.command(load, self.files.questions[load.questions],
                                                 instance.address, 0.2, None, self.link, 0.2)
                self.link.client.run(*command, check=False, timeout=GENERATOR_LIMIT_S)

    def run(self, instance, load, number, rate=None):
        """One measurement, or None; again where strangers disturbed it, while there is patience."""
        best = None
        for attempt in range(1 + self.options.repeat):
            begun = time.monotonic()
            measured = self._run_once(instance, load, number, rate)
            if measured is None and best is None and instance.is_up():
                # A closed loop whose first questions are all lost asks no more.
                self.say(f"{instance.server.name}: {load.name}: once more")
                measured = self._run_once(instance, load, number, rate, True)
            if attempt:
                self.patience_s -= time.monotonic() - begun
            if measured is None:
                return best
            if best is None or measured["foreign"] < best["foreign"]:
                best = measured
            if best["foreign"] <= machine.FOREIGN_LIMIT or self.patience_s <= 0:
                break
        return best

    def _wait_quiet(self):
        begun = time.monotonic()
        is_quiet = machine.wait_quiet(min(self.options.quiet, max(0.0, self.patience_s)))
        self.patience_s -= max(0.0, time.monotonic() - begun - machine.QUIET_S)
        return is_quiet

    def _run_once(self, instance, load, number, rate, is_last=False):
        seconds = self.options.seconds
        histogram = pathlib.Path(self.options.state, "histogram.csv") if rate else None
        if histogram:
            histogram.unlink(missing_ok=True)
        has_driver = self.generator.has_driver(load)
        command = self.generator.command(load, self.files.questions[load.questions],
                                         instance.address, seconds, rate, self.link,
                                         histogram=histogram, has_driver=has_driver)
        # Its own program there lets frames of XDP_TX arrive, too.
        self.link.pass_frames(instance.server.wants_pass and not has_driver)
        self.link.pin()
        is_quiet = self._wait_quiet()
        frames = self.link.frames()
        self.meter.start(instance.group)
        try:
            done = self.link.client.run("taskset", "-c", str(self.link.client_cpu), *command,
                                        check=False, timeout=seconds + GENERATOR_LIMIT_S)
            used = self.meter.stop()
            result = self.generator.parse(done.stdout or done.stderr)
        except (loads.Failed, subprocess.TimeoutExpired) as error:
            self.fail(instance.server.name, f"{load.name}: {error}")
            return None
        if not instance.is_up():
            self.fail(instance.server.name, f"{load.name}: it ended: {instance.said()}")
            return None
        if not result["answered"]:
            if is_last:
                self.fail(instance.server.name, f"{load.name}: nothing answered, twice")
            return None
        used["server_busy"] = used["total_s"] / result["seconds"]
        for name, before, after in zip(("in", "out"), frames, self.link.frames()):
            used["frames_" + name] = (after - before) / result["answered"]
        if histogram:
            used["curve_us"] = figures.curve(machine.read(histogram))
        return {"server": instance.server.name, "load": load.name, "round": number, "rate": rate,
                "was_quiet": is_quiet, **used, **result}

    def hold_idle(self, instance, count):
        """What so many connections, each of which has asked once, cost the server."""
        program = pathlib.Path(self.options.build, "test", "fault", "idle_clients").resolve()
        asked = self.link.client.run(sys.executable, str(HERE / "ask.py"), "tcp", instance.address,
                                     "53", IDLE_NAME, str(IDLE_TYPE)).stdout.split()
        if len(asked) != 2:
            raise loads.Failed("no response over TCP")
        first = f"198.18.{next(self.idle_networks)}.1"
        self.link.pin()
        with start_idle_clients(str(program), self.link, instance.address, first,
                                *asked) as clients:
            clients.say("open", WARM_UP)
            clients.say("ask", WARM_UP, 1)
            time.sleep(self.options.settle)
            own, _ = instance.group.memory_kb()
            before = kernel_now(self.link.server, instance.group)
            opened = clients.say("open", count)["opened"]
            right = clients.say("ask", count, 2)["right"]
            time.sleep(self.options.settle)
            own_later, _ = instance.group.memory_kb()
            kernel, sockets = kernel_growth(before, kernel_now(self.link.server,
                                                               instance.group))
            clients.say("close")
        own_growth = (own_later - own) * 1024
        return {"server": instance.server.name, "wanted": count, "opened": opened,
                "answered": right, "own_octets": own_growth, "kernel_octets": kernel,
                "sockets": sockets, "each_octets": (own_growth + kernel) / max(1, opened)}


def starts(comparison):
    """How instances came up, by server and zones."""
    out = []
    for (name, zone_set, family), instance in comparison.instances.items():
        if instance.starts:
            out.append({"server": name, "zone_set": zone_set, "family": family,
                        "load_s": instance.load_s, "starts": instance.starts})
    return out


def served_of(wanted):
    """What the loads need, in order: (set of zones, family)."""
    return [(name, family) for name in data.ZONE_SETS for family in (4, 6)
            if any((load.zone_set, load.family) == (name, family) for load in wanted)]


