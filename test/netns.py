# SPDX-License-Identifier: BSD-2-Clause
"""What tests with network namespaces share: namespaces, a veth pair between two of them, segments
lost on it, lethed inside.

    with Network() as net, Lethed(program, "--listen", net.v4 + "@53", ..., place=net.server):
        net.lose(5)
        net.client.run("dig", "+tcp", "@" + net.v4, ...)

A namespace is held by a process that ends when this one does, however that ends; with it go its
interfaces, addresses and firewall rules.
"""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import traceback

SKIP = 77
DEADLINE_S = 30


def wait_until(condition, what, seconds=DEADLINE_S):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for: {what}")
        time.sleep(0.02)


class Here:
    """The network namespace of this process."""

    inside = ()

    def run(self, *command, check=True, text=None, timeout=60):
        """A finished command."""
        return subprocess.run([*self.inside, *command], capture_output=True, text=True, check=check,
                              timeout=timeout, input=text)

    def start(self, *command, **more):
        """A running command; whoever starts it ends it."""
        return subprocess.Popen([*self.inside, *command], **more)

    def ip(self, command, check=True):
        self.run("ip", *command.split(), check=check)

    def sysctl(self, **settings):
        """net.ipv4.tcp_timestamps is written net__ipv4__tcp_timestamps."""
        for name, value in settings.items():
            self.run("sysctl", "-qw", f"{name.replace('__', '.')}={value}")

    def pid(self):
        """A process in it."""
        return os.getpid()

    def end(self):
        """Nothing to do: others are in it."""

    def guards(self):
        """The firewall tables of lethed that are there, by their names."""
        return re.findall(r"\blethe-\S+", self.run("nft", "list", "tables").stdout)


class Namespace(Here):
    """Another one, without anything but its loopback interface."""

    def __init__(self):
        # It reads what never comes: the end of our side of the pipe is the end of it.
        # What interrupts us from a terminal must not take the namespace from under those inside.
        self.holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE,
                                       start_new_session=True)
        mine = os.readlink("/proc/self/ns/net")
        wait_until(lambda: os.readlink(f"/proc/{self.holder.pid}/ns/net") != mine, "a namespace")
        self.inside = ("nsenter", "--net", "--target", str(self.holder.pid))
        self.ip("link set lo up")

    def pid(self):
        return self.holder.pid

    def end(self):
        self.holder.stdin.close()
        self.holder.wait()


class Network:
    """A server (device v0) and a client (v1) on one link.

    `number` tells apart networks that know of each other. `server` or `client` is a namespace that
    is there already: Here()."""

    def __init__(self, number=0, server=None, client=None):
        self.v4, self.v6 = f"198.18.{number}.1", f"fd00:198:18:{number}::1".replace(":0::", "::")
        self.client_v4, self.client_v6 = self.v4[:-1] + "2", self.v6[:-1] + "2"
        self.addresses = [self.v4, self.v6]
        self.given = server, client

    def __enter__(self):
        server, client = self.given
        self.server, self.client = server or Namespace(), client or Namespace()
        try:
            self.server.ip(f"link add v0 type veth peer name v1 netns {self.client.pid()}")
            for side, device, v4, v6 in ((self.server, "v0", self.v4, self.v6),
                                         (self.client, "v1", self.client_v4, self.client_v6)):
                side.ip(f"address add {v4}/24 dev {device}")
                side.ip(f"address add {v6}/64 dev {device} nodad")
                side.ip(f"link set {device} up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.server.ip("link delete v0", check=False)
        self.client.end()
        self.server.end()

    def lose(self, percent, ports=(53,)):
        """Lose this share of the segments from and to the server's ports, each way.

        At the client's device, before and behind all else of its kernel: a packet socket at the
        server would see frames that the server's firewall drops."""
        self.client.run("nft", "delete", "table", "netdev", "losses", check=False)
        if percent:
            of_ports = "{ " + ", ".join(str(port) for port in ports) + " }"
            self.client.run("nft", "-f", "-", text="table netdev losses {\n" + "\n".join(
                f"chain {hook} {{ type filter hook {hook} device v1 priority 0; "
                f"tcp {port} {of_ports} numgen random mod 1000 < {round(percent * 10)} "
                "counter drop; }" for hook, port in (("ingress", "sport"), ("egress", "dport")))
                + "\n}\n")

    def lost(self):
        """Segments lost since lose()."""
        listing = self.client.run("nft", "list", "table", "netdev", "losses").stdout
        return sum(int(count) for count in re.findall(r"counter packets (\d+)", listing))


@contextlib.contextmanager
def captured(path, device="v1"):
    """Write what passes a device of this namespace to a file, if there is a path."""
    capture = path and subprocess.Popen(["tcpdump", "-i", device, "-s", "120", "-w", path],
                                        stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        if capture:
            capture.terminate()
            capture.wait()


class Lethed:
    """lethed, ready to answer once it is made; a with statement ends it by SIGTERM and expects a
    clean end, unless it was ended before."""

    def __init__(self, program, *options, place=Here(), environment=None, wait=True, prefix=()):
        self.lines = []
        self.is_ended = False
        self.process = place.start(*prefix, program, *options, stderr=subprocess.PIPE, text=True,
                                   env={**os.environ, **(environment or {})})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        if wait:
            wait_until(lambda: self.said("ready") or self.process.poll() is not None, "ready")
            if self.process.poll() is not None:
                raise AssertionError(f"lethed ended: {self.lines}")

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line.rstrip("\n"))

    def said(self, text):
        return any(text in line for line in list(self.lines))

    def wait_for(self, text):
        wait_until(lambda: self.said(text), f"the daemon to say {text!r}, it said {self.lines}")

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return line.split(":")[1].split()[0]
        raise KeyError(field)

    def memory_kb(self):
        """What it holds for itself: without the pages of files that it maps, such as a database."""
        return int(self.status("RssAnon"))

    def cpu_ticks(self):
        """CPU time so far, in hundredths of a second."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    def must_be_at_rest(self):
        """A spinning thread would use a hundred hundredths in a second."""
        before = self.cpu_ticks()
        time.sleep(1)
        assert self.cpu_ticks() - before < 50, "it spins"

    def end(self, how=signal.SIGTERM):
        """Its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            status = self.process.wait(DEADLINE_S)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        self.is_ended = True
        self.reader.join(DEADLINE_S)
        return status

    def signal(self, number):
        self.process.send_signal(number)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        status = 0 if self.is_ended else self.end()
        if kind is None and status != 0:
            raise AssertionError(f"exit status {status}: {self.lines}")
        trouble = [line for line in self.lines if "Sanitizer" in line or "runtime error" in line]
        if trouble:
            raise AssertionError(trouble)


def skip_unless(*programs):
    """End this script as skipped unless it runs as root and the programs are there."""
    if os.geteuid() != 0:
        print("SKIP: needs root, for network namespaces")
        sys.exit(SKIP)
    for program in ("unshare", "nsenter", "ip", "nft", *programs):
        if shutil.which(program) is None:
            print("SKIP: needs", program)
            sys.exit(SKIP)


def need_own_network():
    """Start this script over in a network namespace that ends with it."""
    if os.environ.get("LETHE_TEST_NETWORK") != "own":
        if os.geteuid() != 0:
            print("SKIP: needs root, for a network namespace of its own")
            sys.exit(SKIP)
        os.environ["LETHE_TEST_NETWORK"] = "own"
        os.execvp("unshare", ["unshare", "--net", sys.executable] + sys.argv)
    Here().ip("link set lo up")


def run_tests(namespace, *arguments):
    """Every test_* function of a script, in order; ends the script."""
    failed = 0
    tests = [(n, f) for n, f in namespace.items() if n.startswith("test_") and callable(f)]
    for name, function in tests:
        begun = time.monotonic()
        try:
            function(*arguments)
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print("FAIL", name)
            traceback.print_exc(file=sys.stdout)
        else:
            print(f"ok   {name} ({time.monotonic() - begun:.1f} s)")
        sys.stdout.flush()
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
