#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed with stateless TCP as a process. usage: daemon_stateless.py LETHED DAEMON_DB

The client lives in a second namespace behind a veth pair: what the kernel sends to itself never
shows up as frames on an interface with addresses of its own.
"""
import os
import shutil
import signal
import subprocess
import sys

from daemon_lib import (LETHED, SKIP, Daemon, Scratch, need_own_network, refusal, run, tcp,
                        wait_until)
from netns import Here, Network

PORT, OTHER_PORT = 5300, 5301
V4, V6 = "198.18.1.1", "fd00:198:18:1::1"

CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
arguments, sys.argv[1:] = sys.argv[2:], ["", ""]
from daemon_lib import *
address, port, name, qtype, count = arguments
for i in range(int(count)):
    with tcp(address, int(port), timeout=3) as s:
        s.sendall(framed(query(name, int(qtype), ident=i)))
        response = read_message(s)
        assert Header(response).id == i and s.recv(1) == b"", "no end"
print("length", len(response))
"""


class Peer(Network):
    """A client behind a veth pair."""

    def __init__(self):
        super().__init__(number=1, server=Here())

    def ask(self, address, port=PORT, name="www.example", qtype=1, count=1):
        """Length of the response over TCP; None: no response."""
        done = self.client.run(sys.executable, "-c", CLIENT,
                               os.path.dirname(os.path.abspath(__file__)), address, str(port), name,
                               str(qtype), str(count), check=False)
        if "length" in done.stdout:
            return int(done.stdout.split()[1])
        print("      client:", done.stderr.strip().split("\n")[-1])
        return None

    def ask_udp(self, address, port=PORT):
        done = self.client.run(sys.executable, "-c",
                               "import sys; sys.path.insert(0, sys.argv[1]); a = sys.argv[2:]; "
                               "sys.argv[1:] = ['', '']; from daemon_lib import *; "
                               "print('length', len(ask(a[0], int(a[1]), query()) or b''))",
                               os.path.dirname(os.path.abspath(__file__)), address, str(port),
                               check=False)
        return int(done.stdout.split()[1])


def guards():
    return len(Here().guards())


def listening_tcp():
    return subprocess.run(["ss", "-Htln", f"sport = :{PORT}"], capture_output=True, text=True,
                          check=True).stdout


def test_interface_is_found_and_both_families_served():
    with Scratch() as scratch, Peer() as peer:
        with Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--listen", f"{V6}@{PORT}",
                    "--tcp", "stateless", "--tcp-profile", "classic") as daemon:
            assert daemon.said(f"{V4}@{PORT} (UDP, stateless TCP on v0)"), daemon.lines
            assert listening_tcp() == "", "the kernel listens"
            assert guards() == 1
            for address in (V4, V6):
                assert peer.ask(address, count=20) is not None
                assert peer.ask(address, name="huge.example", qtype=16) > 55000
                assert peer.ask_udp(address) > 12
        assert guards() == 0


def test_wildcard_with_interface():
    with Scratch() as scratch, Peer() as peer:
        with Daemon("--db", scratch.db, "--listen", f"0.0.0.0@{PORT}", "--listen", f"::@{PORT}",
                    "--tcp", "stateless", "--interface", "v0"):
            for address in (V4, V6):
                assert peer.ask(address) is not None
                assert peer.ask_udp(address) > 12


def test_one_each():
    with Scratch() as scratch, Peer() as peer:
        with Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp", "stateless",
                    "--interface", "v0", "--listen", f"127.0.0.1@{PORT}", "--tcp", "kernel"):
            assert peer.ask(V4) is not None
            assert f"127.0.0.1:{PORT}" in listening_tcp() and V4 not in listening_tcp()
            with tcp("127.0.0.1", PORT):
                pass


def test_reload():
    """Addresses, segment size and mode change; what stays the same stays up."""
    with Scratch() as scratch, Peer() as peer:
        def configure(text):
            return scratch.file("lethed.yaml", f"database: {scratch.db}\n{text}")

        one = f"listen:\n  - {{address: {V4}@{PORT}, tcp: stateless}}\n"
        two = one + f"  - {{address: '{V6}@{OTHER_PORT}', tcp: stateless, interface: v0}}\n"
        path = configure(one)
        with Daemon("--config", path) as daemon:
            def reload():
                daemon.lines.clear()
                daemon.signal(signal.SIGHUP)
                wait_until(lambda: daemon.said("reloaded"), "the reload")

            assert peer.ask(V4) is not None and peer.ask(V6, OTHER_PORT) is None
            for text in (two, two + "tcp: {segment: 1000}\n", two + "udp-payload: 4096\n"):
                configure(text)
                reload()
                assert daemon.said("lethed: reloaded: "), daemon.lines
                assert guards() == 1
                assert peer.ask(V4) is not None and peer.ask(V6, OTHER_PORT) is not None
            configure(two + "tcp: {key-file: /nowhere}\n")
            reload()
            assert daemon.said("not reloaded") and daemon.said("/nowhere"), daemon.lines
            assert guards() == 1 and peer.ask(V4) is not None
            configure(one.replace("stateless", "kernel"))
            reload()
            assert guards() == 0 and V4 in listening_tcp()
            configure(one)
            reload()
            assert guards() == 1 and listening_tcp() == "" and peer.ask(V4) is not None


def test_key_file():
    with Scratch() as scratch, Peer() as peer:
        options = ("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp", "stateless",
                   "--tcp-key-file")
        good = scratch.file("key", "0123456789abcdef" * 4 + "\n")
        with Daemon(*options, good):
            assert peer.ask(V4) is not None
        bad = scratch.file("bad", "0123\n")
        status, text = refusal(*options, bad)
        assert status == 1 and "hexadecimal" in text and bad in text, text


def test_privileges():
    """CAP_NET_RAW (13) and CAP_NET_ADMIN (12) are kept for a reload, nothing else."""
    with Scratch() as scratch, Peer() as peer:
        with Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp", "stateless", "--user",
                    "nobody") as daemon:
            assert int(daemon.status("CapEff"), 16) == 1 << 12 | 1 << 13
            assert peer.ask(V4) is not None
    with Scratch() as scratch, Peer() as peer:
        subprocess.run(["chmod", "-R", "a+rwX", scratch.db], check=True)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
             "--bounding-set=-all", LETHED, "--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp",
             "stateless"], capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 1 and "CAP_NET_RAW" in done.stderr, done.stderr


def test_nobody_has_the_address():
    with Scratch() as scratch, Peer():
        for more in ((), ("--interface", "v0")):
            status, text = refusal("--db", scratch.db, "--listen", f"198.18.77.1@{PORT}", "--tcp",
                                   "stateless", *more)
            assert status == 1 and "198.18.77.1" in text, text
        status, text = refusal("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp", "stateless",
                               "--interface", "nosuch0")
        assert status == 1 and "nosuch0" in text, text


def test_kill_leaves_no_guard():
    with Scratch() as scratch, Peer():
        daemon = Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp", "stateless")
        assert guards() == 1
        daemon.end(signal.SIGKILL)
        wait_until(lambda: guards() == 0, "the guard to go")


need_own_network()
if shutil.which("nft") is None:
    print("SKIP: needs nft, of the package nftables")
    sys.exit(SKIP)
run(globals())
