# SPDX-License-Identifier: BSD-2-Clause
"""What is asked, and by which program."""
import collections
import re
import shutil
import subprocess

Load = collections.namedtuple("Load", "name about kind zone_set questions")
# Kinds: udp; tcp1, a connection per query; tcpp, 100 connections that stay, one question outstanding
# on each; tcpw, 20 connections that stay, 20 questions outstanding on each.
LOADS = (
    Load("udp-tld", "UDP, zone of delegations, 60 % existing", "udp", "tld", "tld"),
    Load("udp-root", "UDP, root zone", "udp", "root", "root"),
    Load("tcp1-root", "TCP, a connection per query, root zone", "tcp1", "root", "root"),
    Load("tcp1-tld", "TCP, a connection per query, zone of delegations", "tcp1", "tld", "tld"),
    Load("tcp1-big", "TCP, a connection per query, responses of 3 KB", "tcp1", "tld", "big"),
    Load("tcpp-tld", "TCP, 100 connections that stay, one question outstanding", "tcpp", "tld", "tld"),
    Load("tcpw-tld", "TCP, 20 connections that stay, 20 questions outstanding", "tcpw", "tld", "tld"),
)
BY_NAME = {load.name: load for load in LOADS}


def fits(server, load):
    family = "udp" if load.kind == "udp" else "tcp"
    return load.zone_set in server.zone_sets and (load.kind in server.loads or family in server.loads)


class Failed(Exception):
    """The generator gave no figures; the text says what it gave."""


class Dnsperf:
    """dnsperf, of the package of that name: closed loop, kernel sockets, one address."""

    name = "dnsperf"
    HOW = {"udp": ["-c", "16", "-q", "400", "-t", "1"],
           "tcp1": ["-m", "tcp", "-c", "200", "-q", "200", "-t", "2", "-O", "num-queries-per-conn=1"],
           "tcpp": ["-m", "tcp", "-c", "100", "-q", "100", "-t", "2"],
           "tcpw": ["-m", "tcp", "-c", "20", "-q", "400", "-t", "2"]}

    def __init__(self, _build):
        pass

    def is_there(self):
        return shutil.which("dnsperf") is not None

    def version(self):
        done = subprocess.run(["dnsperf", "-h"], capture_output=True, text=True, check=False)
        return "dnsperf " + re.search(r"Version ([\d.]+)", done.stdout + done.stderr)[1]

    def command(self, load, questions, address, seconds, rate=None):
        return ["dnsperf", "-s", address, "-p", "53", "-d", str(questions), "-l", f"{seconds:g}", "-T",
                "1", "-e", "-O", "suppress=timeout,unexpected", *self.HOW[load.kind],
                *(["-Q", str(rate)] if rate else [])]

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


GENERATORS = (Dnsperf,)


def choose(wanted, build):
    """A generator, by its name, or the first that is there."""
    for kind in GENERATORS:
        generator = kind(build)
        if (wanted is None or wanted == kind.name) and generator.is_there():
            return generator
    raise Failed("no load generator: build lethe-bench, or install dnsperf")
