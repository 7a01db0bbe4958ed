# SPDX-License-Identifier: BSD-2-Clause
"""What is asked, and by which program."""
import collections
import json
import pathlib
import re
import shutil
import subprocess

# more: further arguments of lethe-bench
Load = collections.namedtuple("Load", "name about kind zone_set questions family more",
                              defaults=(4, ()))
# By family. Kernel sockets of the generator are spread over these addresses: one has too few ports.
# No kernel owns those of its own frames.
CLIENTS = {4: "198.18.0.128/28", 6: "fd00:198:18::80/124"}
RAW_CLIENTS = {4: "198.18.96.0/24", 6: "fd00:198:18:64::/120"}
# A veth device holds 256 frames and drops what is beyond: whoever loses a SYN waits for a second.
# Kinds: udp, 200 questions outstanding; tcp1, a connection per query, 60 at a time; tcpp, 100
# connections that stay, one question outstanding on each; tcpw, 20 connections that stay, 20
# questions outstanding on each.
LOADS = (
    Load("udp-tld", "UDP, zone of delegations, 60 % existing", "udp", "tld", "tld"),
    Load("udp-root", "UDP, root zone", "udp", "root", "root"),
    Load("tcp1-root", "TCP, a connection per query, root zone", "tcp1", "root", "root"),
    Load("tcp1-tld", "TCP, a connection per query, zone of delegations", "tcp1", "tld", "tld"),
    Load("tcp1-big", "TCP, a connection per query, responses of 3 KB", "tcp1", "tld", "big"),
    Load("tcpp-tld", "TCP, 100 connections that stay, one question outstanding", "tcpp", "tld",
         "tld"),
    Load("udp-signed", "UDP, signed zone of delegations (NSEC3, opt-out), DO set", "udp", "signed",
         "signed", 4, ("-D",)),
    Load("udp-root6", "UDP over IPv6, root zone", "udp", "root", "root", 6),
)
# The same by clients without sockets, which are so cheap that the server is the limit.
RAW_LOADS = (
    Load("rawudp-tld", "UDP, zone of delegations, clients without sockets", "rawudp", "tld", "tld"),
    Load("rawudp-root", "UDP, root zone, clients without sockets", "rawudp", "root", "root"),
    Load("raw1-root", "TCP, a connection per query, root zone, clients without sockets", "raw1",
         "root", "root"),
    Load("raw1-tld", "TCP, a connection per query, zone of delegations, clients without sockets",
         "raw1", "tld", "tld"),
    Load("raw1-big", "TCP, a connection per query, responses of 3 KB, clients without sockets",
         "raw1", "tld", "big"),
    Load("rawp-tld", "TCP, 100 connections that stay, clients without sockets", "rawp", "tld",
         "tld"),
)
# Not asked unless named: a thousand questions again and again.
MORE_LOADS = (
    Load("tcpw-tld", "TCP, 20 connections that stay, 20 questions outstanding", "tcpw", "tld",
         "tld"),
    Load("udp-hot", "UDP, zone of delegations, a thousand questions", "udp", "tld", "hot"),
)
DEFAULT_LOADS = LOADS + RAW_LOADS
ALL_LOADS = DEFAULT_LOADS + MORE_LOADS
BY_NAME = {load.name: load for load in ALL_LOADS}


def over_family(wanted, family):
    """The same loads over that family; those that differ in nothing else then, once."""
    seen, out = set(), []
    for load in wanted:
        moved = load._replace(family=family)
        if moved[2:] not in seen:
            seen.add(moved[2:])
            out.append(moved)
    return out


def fits(server, load):
    families = server.families if "udp" in load.kind else server.tcp_families
    if load.family not in families:
        return False
    kind, name = with_sockets(load.kind), with_sockets(load.name)
    return load.zone_set in server.zone_sets and not \
        {load.name, name, kind, kind[:3]}.isdisjoint(server.loads)


def with_sockets(name):
    """The load, or kind of load, that is the same but for the clients."""
    for raw, kernel in (("rawudp", "udp"), ("raw1", "tcp1"), ("rawp", "tcpp")):
        if name.startswith(raw):
            return kernel + name[len(raw):]
    return name


class Failed(Exception):
    """The generator gave no figures; the text says what it gave."""


class LetheBench:
    """Our own: open loop where there is a rate, percentiles, frames of its own for raw loads."""

    name = "lethe-bench"
    HOW = {"udp": ["udp", "-c", "16", "-q", "200"],
           "tcp1": ["tcp", "-c", "60"],
           "tcpp": ["tcp", "-c", "100", "--queries-per-connection", "0"],
           "tcpw": ["tcp", "-c", "20", "--queries-per-connection", "0", "--pipeline", "20"],
           "raw1": ["raw", "-c", "60"],
           "rawp": ["raw", "-c", "100", "--queries-per-connection", "0"],
           "rawudp": ["raw-udp", "-q", "100"]}

    def __init__(self, build):
        self.program = pathlib.Path(build, "tools", "lethe-bench").resolve()
        self.can_driver = self.is_there() and "--driver" in subprocess.run(
            [self.program, "--help"], capture_output=True, text=True, check=False).stdout

    def is_there(self):
        return self.program.exists()

    def has_driver(self, load):
        """Whether its own XDP program is on the client's interface then."""
        return load.kind.startswith("raw") and self.can_driver

    def version(self):
        return subprocess.run([self.program, "--version"], capture_output=True, text=True,
                              check=False).stdout.strip()

    def command(self, load, questions, address, seconds, rate, link, timeout=1, histogram=None,
                has_driver=False):
        how = self.HOW[load.kind]
        if rate:
            # Then so many at a time is all that there may be, not what there is.
            how = [how[0], "-c", {"udp": "16", "tcp1": "5000"}[load.kind]]
        where = ["-a", CLIENTS[load.family]] if not how[0].startswith("raw") else \
            ["-a", RAW_CLIENTS[load.family], "-i", link.client_device, "--mac", link.server_mac()]
        if histogram:
            where += ["--histogram", str(histogram)]
        if has_driver:
            where.append("--driver")
        return [str(self.program), *how, "-s", f"{address}@53", "-d", str(questions), "-e", "-l",
                f"{seconds:g}", "-t", f"{timeout:g}", *where, "--json", "--quiet",
                *load.more, *(["-Q", str(rate)] if rate else [])]

    def parse(self, text):
        try:
            told = json.loads(text[text.index("{"):text.rindex("}") + 1])
        except ValueError as error:
            raise Failed(text[-500:]) from error
        latency = {key: value for key, value in told["latency_us"].items() if key != "count"}
        return {"sent": told["sent"], "answered": told["answered"], "wrong": told["wrong"],
                "seconds": told["seconds"], "rcodes": told["rcodes"], "latency_us": latency,
                "response_octets": told["octets_received"] / max(1, told["answered"]),
                "generator_us": told["generator"]["us_per_answer"],
                "is_limited": bool(told["rate"] and told["generator"]["warnings"]),
                "warnings": told["generator"]["warnings"], "generator": self.name}


class Dnsperf:
    """dnsperf, of the package of that name: closed loop, kernel sockets, one address."""

    name = "dnsperf"
    HOW = {"udp": ["-c", "16", "-q", "200"],
           "tcp1": ["-m", "tcp", "-c", "60", "-q", "60", "-O", "num-queries-per-conn=1"],
           "tcpp": ["-m", "tcp", "-c", "100", "-q", "100"],
           "tcpw": ["-m", "tcp", "-c", "20", "-q", "400"]}

    def __init__(self, _build):
        pass

    def is_there(self):
        return shutil.which("dnsperf") is not None

    def has_driver(self, _load):
        return False

    def version(self):
        done = subprocess.run(["dnsperf", "-h"], capture_output=True, text=True, check=False)
        return "dnsperf " + re.search(r"Version ([\d.]+)", done.stdout + done.stderr)[1]

    def command(self, load, questions, address, seconds, rate, _link, timeout=1, histogram=None,
                has_driver=False):
        del histogram, has_driver  # it has none
        return ["dnsperf", "-s", address, "-p", "53", "-d", str(questions), "-l", f"{seconds:g}",
                "-T", "1", "-t", f"{timeout:g}", "-e", "-O", "suppress=timeout,unexpected",
                *self.HOW[load.kind], *load.more, *(["-Q", str(rate)] if rate else [])]

    def parse(self, text):
        def number(pattern):
            found = re.search(pattern, text)
            if found is None:
                raise Failed(text[-500:])
            return float(found[1])
        codes = re.search(r"Response codes:\s+(.*)", text)
        return {"sent": int(number(r"Queries sent:\s+(\d+)")),
                "answered": int(number(r"Queries completed:\s+(\d+)")),
                "seconds": number(r"Run time \(s\):\s+([\d.]+)"),
                "response_octets": number(r"Average packet size:\s+request \d+, response (\d+)"),
                "rcodes": {name: int(count) for name, count in
                           re.findall(r"(\w+) (\d+) \(", codes[1] if codes else "")},
                "latency_us": {"mean": number(r"Average Latency \(s\):\s+([\d.]+)") * 1e6,
                               "max": number(r"max ([\d.]+)\)") * 1e6},
                "is_limited": False, "generator": self.name}


GENERATORS = (LetheBench, Dnsperf)


def choose(wanted, build):
    """A generator, by its name, or the first that is there."""
    for kind in GENERATORS:
        generator = kind(build)
        if (wanted is None or wanted == kind.name) and generator.is_there():
            return generator
    raise Failed("no load generator: build lethe-bench, or install dnsperf")
