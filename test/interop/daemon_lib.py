# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the daemon share: a network of their own, lethed as a process, DNS by hand."""
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback

SKIP = 77
DEADLINE_S = 30
LETHED, DAEMON_DB = sys.argv[1:3]
A, NS, SOA, TXT = 1, 2, 6, 16
TC, QR, AA = 0x0200, 0x8000, 0x0400


def need_own_network():
    """Start over in a network namespace that ends with this process."""
    if os.environ.get("DAEMON_TEST_NETWORK") != "own":
        if os.geteuid() != 0:
            print("SKIP: needs root, for a network namespace of its own")
            sys.exit(SKIP)
        os.environ["DAEMON_TEST_NETWORK"] = "own"
        os.execvp("unshare", ["unshare", "--net", sys.executable] + sys.argv)
    ip("link set lo up")
    for address in ("198.18.0.1/32", "198.18.0.2/32", "fd00:198:18::1/128", "fd00:198:18::2/128"):
        ip(f"address add {address} dev lo", "nodad" if ":" in address else "")


def ip(command, extra="", check=True):
    return subprocess.run(["ip"] + command.split() + extra.split(), check=check,
                          capture_output=not check)


def name_wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def query(name="www.example", qtype=A, ident=1, edns=None, options=b""):
    message = struct.pack(">6H", ident, 0, 1, 0, 0, 0 if edns is None else 1)
    message += name_wire(name) + struct.pack(">2H", qtype, 1)
    if edns is not None:
        message += b"\0" + struct.pack(">HHIH", 41, edns, 0, len(options)) + options
    return message


def framed(message):
    return struct.pack(">H", len(message)) + message


class Header:
    def __init__(self, message):
        (self.id, self.flags, self.questions, self.answers, self.authority,
         self.additional) = struct.unpack(">6H", message[:12])
        self.rcode = self.flags & 15


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def udp(address, port):
    """A socket that takes datagrams from exactly this address and port."""
    s = socket.socket(family_of(address), socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((address, port))
    return s


def ask(address, port, message):
    """One exchange over UDP; None when nothing came twice."""
    with udp(address, port) as s:
        for _ in range(2):
            s.send(message)
            try:
                return s.recv(65535)
            except (TimeoutError, ConnectionRefusedError):
                continue
    return None


def tcp(address, port, timeout=10):
    s = socket.create_connection((address, port), timeout=timeout)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def read_exactly(s, length):
    got = b""
    while len(got) < length:
        piece = s.recv(length - len(got))
        if not piece:
            raise EOFError(f"end after {len(got)} of {length} octets")
        got += piece
    return got


def read_message(s):
    return read_exactly(s, struct.unpack(">H", read_exactly(s, 2))[0])


def serial_of(response):
    """Of a SOA response whose names are ns.example. and compressed or not: the 5 numbers end it."""
    return struct.unpack(">I", response[-20:-16])[0]


def wait_until(condition, what, seconds=DEADLINE_S):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for: {what}")
        time.sleep(0.02)


class Scratch:
    """A directory with a database; gone afterwards."""

    def __enter__(self):
        self.path = tempfile.mkdtemp(prefix="lethe-daemon-")
        os.chmod(self.path, 0o755)
        self.db = os.path.join(self.path, "db")
        self.load(1)
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.path)

    def load(self, serial):
        subprocess.run([DAEMON_DB, self.db, str(serial)], check=True)

    def file(self, name, text):
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path


class Daemon:
    """lethed, ready to answer when the with statement begins, ended by SIGTERM after it."""

    def __init__(self, *options, environment=None, wait=True, prefix=()):
        self.lines = []
        self.process = subprocess.Popen([*prefix, LETHED, *options], stderr=subprocess.PIPE,
                                        text=True, env={**os.environ, **(environment or {})})
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

    def signal(self, number):
        self.process.send_signal(number)

    def status(self, field):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            for line in file:
                if line.startswith(field + ":"):
                    return line.split(":")[1].split()[0]
        raise KeyError(field)

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

    def end(self):
        """Its exit status after SIGTERM."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        status = self.process.wait(DEADLINE_S)
        self.reader.join(DEADLINE_S)
        return status

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            status = self.end()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
        if kind is None and status != 0:
            raise AssertionError(f"exit status {status}: {self.lines}")
        trouble = [line for line in self.lines if "Sanitizer" in line or "runtime error" in line]
        if trouble:
            raise AssertionError(trouble)


def refusal(*options, environment=None):
    """Run lethed where it must not come up: exit status and what it said."""
    done = subprocess.run([LETHED, *options], capture_output=True, text=True, timeout=DEADLINE_S,
                          env={**os.environ, **(environment or {})}, check=False)
    return done.returncode, done.stderr + done.stdout


def is_closed(s, seconds):
    """Whether the peer ends the connection in time, without sending anything."""
    readable, _, _ = select.select([s], [], [], seconds)
    if not readable:
        return False
    try:
        return s.recv(1) == b""
    except ConnectionResetError:
        return True


def run(namespace):
    """Every test_* function of a script, in order."""
    failed = 0
    tests = [(n, f) for n, f in namespace.items() if n.startswith("test_") and callable(f)]
    for name, function in tests:
        begun = time.monotonic()
        try:
            function()
        except Exception:  # pylint: disable=broad-except
            failed += 1
            print("FAIL", name)
            traceback.print_exc(file=sys.stdout)
        else:
            print(f"ok   {name} ({time.monotonic() - begun:.1f} s)")
        sys.stdout.flush()
    print(f"{len(tests) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
