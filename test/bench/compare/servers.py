# SPDX-License-Identifier: BSD-2-Clause
"""What is compared: Lethe in each of its modes, and the servers of start scripts (../peers)."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time

import data
import link as links
import machine

HERE = pathlib.Path(__file__).resolve().parent
PEERS = HERE.parent / "peers"
DEFAULT_PEERS = ("nsd", "knot", "knot-xdp", "bind", "pdns", "froot")
# No servers: the least that anything of the kind can cost.
CEILINGS = ("ceiling-socket", "ceiling-packet", "ceiling-xdp", "ceiling-driver")
# Whoever reads no zones at the start is up at once or not at all; the others have so long for each
# megabyte of text.
START_LIMIT_S, START_LIMIT_S_PER_MB = 15, 2
STARTS_FAILED_MAX = 2
STOP_LIMIT_S, LAST_STOP_LIMIT_S = 20, 1
# What lethed says when it answers from an image of its zones, and how long it may take.
READY, READY_LIMIT_S = re.compile(r"image ready(?:.*?(\d+) octets)?"), 60
PORT = 53

STATELESS, FAST = ["--tcp", "stateless", "--interface", "{interface}"], ["--udp", "fast"]
IMAGE = ["--image", "2G"]
ZONES = ["--driver", "zones", *IMAGE]
# name, what it is, the kinds of load that it is for, arguments of lethed ({interface})
LETHE_MODES = (
    ("socket", "UDP and TCP sockets of the kernel", ("udp", "tcp"), ["--tcp", "kernel"]),
    ("socket-image", "the same, answers from an image", ("udp", "tcpp"),
     ["--tcp", "kernel", *IMAGE]),
    ("pcap", "stateless TCP by libpcap and libnet", ("tcp1-tld", "tcpp"),
     [*STATELESS, "--io", "libpcap"]),
    ("packet", "packet socket rings, UDP on them too", ("udp", "tcp"),
     [*STATELESS, *FAST, "--io", "packet", "--driver", "off"]),
    ("packet-image", "the same, answers from an image", ("udp", "tcp1-tld", "tcp1-big", "tcpp"),
     [*STATELESS, *FAST, "--io", "packet", "--driver", "off", *IMAGE]),
    ("packet-classic", "packet socket rings, profile classic", ("tcp1-tld", "tcp1-big"),
     [*STATELESS, *FAST, "--io", "packet", "--driver", "off", "--tcp-profile", "classic"]),
    ("packet-driver", "packet socket rings, handshakes in the driver", ("tcp",),
     [*STATELESS, *FAST, "--io", "packet", "--driver", "on"]),
    ("xdp", "AF_XDP, UDP on it too", ("udp", "tcp1-tld", "tcpp"),
     [*STATELESS, *FAST, "--io", "xdp", "--driver", "off"]),
    ("xdp-driver", "AF_XDP, handshakes in the driver", ("udp", "tcp"),
     [*STATELESS, *FAST, "--io", "xdp", "--driver", "on"]),
    ("xdp-image", "the same, answers from an image", ("udp", "tcp"),
     [*STATELESS, *FAST, "--io", "xdp", "--driver", "on", *IMAGE]),
    ("packet-zones", "packet socket rings, handshakes and answers in the driver",
     ("udp", "tcp1-tld", "tcp1-big", "tcpp"), [*STATELESS, *FAST, "--io", "packet", *ZONES]),
    ("xdp-zones", "AF_XDP, handshakes and answers in the driver", ("udp", "tcp"),
     [*STATELESS, *FAST, "--io", "xdp", *ZONES]),
    ("xdp-hot", "AF_XDP, handshakes and what is asked often in the driver", ("udp-hot",),
     [*STATELESS, *FAST, "--io", "xdp", "--driver", "hot"]),
)
# Those that clients without sockets ask, unless told otherwise.
FAST_MODES = ("socket", "packet-image", "packet-zones", "xdp-driver", "xdp-image", "xdp-zones")
# Connections are the same with an image, and the same in some modes as in others.
IDLE_MODES = ("socket", "packet", "packet-driver", "xdp-driver", "xdp-zones")


class Unavailable(Exception):
    """Not on this machine, not in this build; the text says why."""


class NotUp(Exception):
    """Did not answer; the text says what it said."""


class Script:
    """A server that a start script starts."""

    is_lethe = has_image = False

    def __init__(self, path, build):
        self.build = pathlib.Path(build).resolve()
        self.path = pathlib.Path(path).resolve()
        self.name = self.path.name
        about = dict(re.findall(r"^# ([a-z-]+): (.*?)\s*$",
                                self.path.read_text(encoding="utf-8"), re.M))
        self.label = about.get("label", self.name)
        self.rival = about.get("rival")
        self.is_device = about.get("device") == "yes"
        self.owns_address = about.get("address") == "none"
        self.zone_sets = tuple(about.get("zones", " ".join(data.ZONE_SETS)).split())
        self.families = tuple(map(int, about.get("families", "4 6").split()))
        self.tcp_families = tuple(map(int, about.get("tcp-families",
                                                     about.get("families", "4 6")).split()))
        self.loads = tuple(about.get("loads", "udp tcp").split())
        self.needs = about.get("needs", "").split()
        self.wants_pass = about.get("peer-xdp") == "yes"
        self.answers = about.get("answers", "all")
        self.has_changes = about.get("changes") == "yes"
        self.is_fast = about.get("fast") != "no"
        self.holds_connections = "tcp" in self.loads and self.answers == "all"
        self.connections = int(about.get("connections", "15000"))

    def check(self):
        for program in self.needs:
            if shutil.which(program) is None:
                raise Unavailable(f"{program} is not installed")
        if not self.version():
            raise Unavailable("is not there, or not built")

    def version(self):
        try:
            done = subprocess.run([self.path, "version"], capture_output=True, text=True,
                                  check=False, timeout=20,
                                  env={**os.environ, "BUILD": str(self.build)})
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"{self.path}: {error}") from error
        return done.stdout.strip()

    def environment(self, zone_set, zones, address, interface):
        return {**os.environ, "ZONES": " ".join(f"{apex}={path}" for apex, path in zones.items()),
                "ADDRESS": address, "PORT": str(PORT), "INTERFACE": interface,
                "ZONE_SET": zone_set, "BUILD": str(self.build)}

    def load(self, directory, environment):
        """Seconds, or None where there is nothing to load. Databases of an earlier run serve again
        where zones and server are the same."""
        zones = [word.split("=", 1)[1] for word in environment["ZONES"].split()]
        made_of = [self.version(), *([path, os.stat(path).st_mtime_ns] for path in zones)]
        stamp = directory / "loaded"
        told = json.loads(machine.read(stamp) or "{}")
        if told.get("of") == made_of:
            return told["seconds"]
        shutil.rmtree(directory)
        directory.mkdir()
        begun = time.monotonic()
        done = subprocess.run([self.path, "load"], cwd=directory, env=environment, check=False,
                              capture_output=True, text=True, timeout=1200)
        if done.returncode:
            raise NotUp(f"load: {done.stderr[-500:]}")
        seconds = time.monotonic() - begun if any(directory.iterdir()) else None
        stamp.write_text(json.dumps({"of": made_of, "seconds": seconds}), encoding="utf-8")
        return seconds

    def clean(self, directory, environment, link):
        """What it leaves behind in the namespace."""
        done = link.server.start(str(self.path), "clean", cwd=directory, env=environment,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            done.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            done.kill()
            done.wait()

    def command(self, _directory, _address, _interface):
        return [str(self.path), "serve"]

    def change_command(self, _zone_set, how):
        return [str(self.path), how]


class LetheMode:
    """lethed with the options of one mode."""

    is_lethe, is_device, owns_address, rival, answers = True, True, False, None, "all"
    zone_sets, has_changes = tuple(data.ZONE_SETS), True
    families = tcp_families = (4, 6)

    def __init__(self, build, databases, name, about, loads, options):
        self.name, self.about, self.loads, self.options = f"lethe-{name}", about, loads, options
        self.label = f"Lethe, {name}"
        self.build, self.databases = pathlib.Path(build).resolve(), databases
        self.has_image = "--image" in options
        if not self.has_image:
            self.options = [*options, "--image", "0"]
        self.holds_connections, self.is_fast = name in IDLE_MODES, name in FAST_MODES
        driver = options[options.index("--driver") + 1] if "--driver" in options else "off"
        self.wants_pass = driver != "off"
        # Where the kernel serves TCP, a descriptor for each.
        self.connections = 15000 if "kernel" in options else 1000000
        # Of the ceilings, that of the hook that answers.
        self.ceiling = "driver" if driver == "zones" else \
            {"pcap": None}.get(name, name.split("-", maxsplit=1)[0])

    def check(self):
        if not (self.build / "server" / "lethed").exists():
            raise Unavailable(f"no lethed below {self.build}")
        done = subprocess.run([*self.command("root", "192.0.2.1", "lo"), "--check-config"],
                              capture_output=True, text=True, check=False, timeout=20)
        if done.returncode:
            raise Unavailable("not in this build: " + (done.stderr or done.stdout).strip()[:200])

    def version(self):
        done = subprocess.run([self.build / "server" / "lethed", "--version"], capture_output=True,
                              text=True, check=False, timeout=20)
        return done.stdout.strip()

    def environment(self, *_):
        return dict(os.environ)

    def load(self, _directory, _environment):
        return None

    def clean(self, *_):
        """The guard goes with the process."""

    def command(self, zone_set, address, interface):
        return [str(self.build / "server" / "lethed"),
                "--db", str(self.databases.get(zone_set, ".")), "--workers", "1",
                "--pin", "off", "--listen", f"{address}@{PORT}",
                "--tcp-max-connections", "30000", "--tcp-idle-timeout", "600",
                *(option.format(interface=interface) for option in self.options)]


    def change_command(self, zone_set, how):
        sign = "+" if how == "add" else "-"
        return ["sh", "-c", f"echo '{sign} '$OWNER' 3600 NS ns1.host1.example.' | exec \"$@\"",
                "sh", str(self.build / "tools" / "lethe"), "--db", str(self.databases[zone_set]),
                "zone", "change", "tld."]


def load_database(build, directory, zone_set, zones):
    """Lethe's database of a zone set: (path, figures)."""
    database = directory / f"lethe-{zone_set}"
    shutil.rmtree(database, ignore_errors=True)
    begun = time.monotonic()
    for apex, path in zones.items():
        done = subprocess.run([pathlib.Path(build, "tools", "lethe"), "--db", database, "zone",
                               "load", apex, path], capture_output=True, text=True, check=False,
                              timeout=1200)
        if done.returncode:
            raise NotUp(f"lethe zone load {apex}: {done.stderr[-500:]}")
    seconds = time.monotonic() - begun
    size = sum(os.stat(file).st_blocks * 512 for file in database.iterdir())
    text = sum(path.stat().st_size for path in zones.values())
    # Inside a long response only what was committed a while ago is gone on with.
    old = time.time() - 3600
    os.utime(database / "data.mdb", (old, old))
    return database, {"load_s": seconds, "octets": size, "text_octets": text}


class Instance:
    """One server with one set of zones, running or not."""

    def __init__(self, server, zone_set, family, zones, link, directory, number):
        self.server, self.zone_set, self.zones, self.link = server, zone_set, zones, link
        self.family = family
        self.directory = pathlib.Path(directory, f"{server.name}-{zone_set}-{family}")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.address = links.SERVER[family] if server.is_device else \
            links.server_address(family, number)
        self.group = self.process = None
        self.load_s = None
        self.starts = []
        self.begun = None
        self.environment = server.environment(zone_set, zones, self.address, link.server_device)
        self.is_loaded = False
        self.failed_starts = 0

    def is_hopeless(self):
        return self.failed_starts >= STARTS_FAILED_MAX

    def is_up(self):
        return self.process is not None and self.process.poll() is None

    def start(self):
        """Until the first answer."""
        if not self.is_loaded:
            self.load_s = self.server.load(self.directory, self.environment)
            self.is_loaded = True
        if self.server.owns_address:
            self.link.remove_address(self.address)
        elif not self.server.is_device:
            self.link.add_address(self.address)
        limit_s = START_LIMIT_S
        if not self.server.is_lethe and self.server.answers == "all":
            limit_s += START_LIMIT_S_PER_MB * sum(os.stat(path).st_size
                                                  for path in self.zones.values()) / 1e6
        self.group = machine.Group(f"compare-{os.getpid()}-{self.directory.name}")
        probe = self.link.client.start(
            "taskset", "-c", str(self.link.client_cpu), sys.executable, str(HERE / "ask.py"),
            "first", self.address, str(PORT), data.PROBES[self.zone_set], str(limit_s),
            self.server.answers,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            probe.stdout.readline()
            self._spawn()
            answered = self._wait_for(probe)
            self.starts.append(self._started(answered))
        except BaseException:
            self.failed_starts += 1
            self.stop()
            raise
        finally:
            if probe.poll() is None:
                probe.kill()
            probe.wait()
            probe.stdout.close()

    def _started(self, answered):
        """What it took until the first answer; and until the image was ready, if it makes one."""
        # Not the programs that put it into its place.
        wall_s = int(machine.read(self.directory / "started")) / 1e9
        self.begun = wall_s - (time.time() - time.monotonic())
        own, total = self.group.memory_kb()
        told = {"first_answer_s": answered - self.begun, "cpu_s": self.group.used_s(),
                "own_kb": own, "present_kb": total, "maps_kb": self.group.maps_kb()}
        if self.server.has_image:
            end = time.monotonic() + READY_LIMIT_S
            while not (said := READY.search(machine.read(self.directory / "output"))):
                if time.monotonic() > end or self.process.poll() is not None:
                    raise NotUp(f"answers, but no image is ready: {self.said()}")
                time.sleep(0.005)
            told["image_s"] = time.monotonic() - self.begun
            told["image_octets"] = int(said[1]) if said[1] else None
            told["image_own_kb"], told["image_present_kb"] = self.group.memory_kb()
            told["image_maps_kb"] = self.group.maps_kb()
            told["image_cpu_s"] = self.group.used_s()
        return told

    def _spawn(self):
        command = self.server.command(
            self.zone_set if self.server.is_lethe else self.directory, self.address,
            self.link.server_device)
        with open(self.directory / "output", "wb") as log:
            # Whatever becomes of this process, the server ends with it.
            self.process = self.link.server.start(
                "setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(self.link.server_cpu),
                *self.group.prefix(), *command,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                env=self.environment, start_new_session=True)
        self.group.pid = self.process.pid

    def _wait_for(self, probe):
        while probe.poll() is None:
            if self.process.poll() is not None:
                raise NotUp(f"ended with {self.process.returncode}: {self.said()}")
            time.sleep(0.01)
        said = probe.stdout.readline().split()
        if not said:
            raise NotUp(f"no answer: {self.said()}")
        return float(said[0])

    def said(self):
        return machine.read(self.directory / "output")[-500:]

    def signal(self, how):
        """To all of its processes, if there are any."""
        pids = set(self.group.processes()) if self.group else set()
        if self.is_up():
            pids.add(self.process.pid)
        for pid in pids:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                pass

    def stop(self, term_limit_s=STOP_LIMIT_S):
        if self.process is None:
            if self.group is not None:
                self.group.remove()
            return
        for how, limit_s in ((signal.SIGTERM, term_limit_s), (signal.SIGKILL, 10)):
            self.signal(how)
            end = time.monotonic() + limit_s
            while time.monotonic() < end and (self.is_up() or self.group.processes()):
                time.sleep(0.02)
            if not self.is_up() and not self.group.processes():
                break
        self.process.wait(60)
        self.process = None
        self.group.remove()
        self.server.clean(self.directory, self.environment, self.link)
        if self.server.is_device:
            self.link.detach()
        if self.server.owns_address:
            self.link.add_address(self.address)
