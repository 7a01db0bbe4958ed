# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the daemon share: a network of their own, lethed as a process, DNS by hand."""
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import netns  # noqa: E402
from framing import read_message  # noqa: E402,F401
from netns import DEADLINE_S, SKIP, wait_until  # noqa: E402
from netns import run_tests as run  # noqa: E402

LETHED, DAEMON_DB = sys.argv[1:3]
MORE = sys.argv[4:]  # options for every lethed
A, NS, SOA, TXT = 1, 2, 6, 16
TC, QR, AA = 0x0200, 0x8000, 0x0400


def need_own_network():
    """Start over in a network namespace that ends with this process."""
    netns.need_own_network()
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


def serial_of(response):
    """Of a SOA response whose names are ns.example. and compressed or not: the 5 numbers end it."""
    return struct.unpack(">I", response[-20:-16])[0]


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


class Daemon(netns.Lethed):
    """lethed in our own network."""

    def __init__(self, *options, **more):
        super().__init__(LETHED, *options, *MORE, **more)


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
