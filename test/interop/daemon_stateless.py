#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed with stateless TCP as a process.

usage: daemon_stateless.py LETHED DAEMON_DB CLOCK_SHIFT [OPTION...]

The client lives in a second namespace behind a veth pair: what the kernel sends to itself never
shows up as frames on an interface with addresses of its own.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

from daemon_lib import (LETHED, MORE, SKIP, Daemon, Scratch, is_closed, need_own_network, refusal, run,
                        tcp, wait_until)
from netns import Here, Network

PORT, OTHER_PORT = 5300, 5301
CLOCK_SHIFT = os.path.abspath(sys.argv[3])
EPOCH_S = 300
V4, V6, PEER_V4, PEER_V6 = "198.18.1.1", "fd00:198:18:1::1", "198.18.1.2", "fd00:198:18:1::2"
OTHER_V4, OTHER_V6 = "198.18.1.5", "fd00:198:18:1::5"

CLIENT = """
import sys
sys.path.insert(0, sys.argv[1])
arguments, sys.argv[1:] = sys.argv[2:], ["", ""]
from daemon_lib import *
address, port, name, qtype, count, profile = arguments
for i in range(int(count)):
    with tcp(address, int(port), timeout=3) as s:
        s.sendall(framed(query(name, int(qtype), ident=i)))
        response = read_message(s)
        assert Header(response).id == i, "another"
        assert profile == "modern" or s.recv(1) == b"", "no end"
print("length", len(response))
"""


# Connects from a source, asks, says how long the response was, and keeps the connection.
SESSION = """
import sys
sys.path.insert(0, sys.argv[1])
arguments, sys.argv[1:] = sys.argv[2:], ["", ""]
from daemon_lib import *
source, address, port, qtype = arguments
with socket.create_connection((address, int(port)), timeout=3, source_address=(source, 0)) as s:
    s.sendall(framed(query("www.example", int(qtype))))
    print(Header(read_message(s)).rcode, flush=True)
    sys.stdin.read()
"""


# Asks on one connection as often as it is told to; prints "yes", or why not.
IDLER = """
import sys
sys.path.insert(0, sys.argv[1])
arguments, sys.argv[1:] = sys.argv[2:], ["", ""]
from daemon_lib import *
with tcp(arguments[0], int(arguments[1]), timeout=5) as s:
    for ident, _ in enumerate(sys.stdin):
        try:
            s.sendall(framed(query("www.example", ident=ident)))
            print("yes" if Header(read_message(s)).id == ident else "another", flush=True)
        except OSError as problem:
            print(type(problem).__name__, flush=True)
"""


class Session:
    """A connection of the client, held while the server's side of it is looked at."""

    def __init__(self, peer, source, address, qtype=1):
        self.process = peer.client.start(
            sys.executable, "-c", SESSION, os.path.dirname(os.path.abspath(__file__)), source,
            address, str(PORT), str(qtype), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        self.rcode = int(line) if line else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.communicate("")


class Peer(Network):
    """A client behind a veth pair."""

    def __init__(self):
        super().__init__(number=1, server=Here())

    def __enter__(self):
        super().__enter__()
        if MORE:  # frames of an XDP program reach the other end of a veth only so
            self.client.run("ethtool", "-K", "v1", "gro", "on")
        return self

    def ask(self, address, port=PORT, name="www.example", qtype=1, count=1, profile="modern"):
        """Length of the response over TCP; None: no response."""
        done = self.client.run(sys.executable, "-c", CLIENT,
                               os.path.dirname(os.path.abspath(__file__)), address, str(port), name,
                               str(qtype), str(count), profile, check=False)
        if "length" in done.stdout:
            return int(done.stdout.split()[1])
        print("      client:", done.stderr.strip().split("\n")[-1])
        return None

    def counter(self, name):
        """Of the client's kernel, as nstat(8) names it."""
        return int(self.client.run("nstat", "-asz", name).stdout.split(name)[1].split()[0])

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
        for profile, more in (("modern", ()), ("classic", ("--tcp-profile", "classic"))):
            with Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--listen", f"{V6}@{PORT}",
                        "--tcp", "stateless", *more) as daemon:
                assert daemon.said(f"{V4}@{PORT} (UDP, stateless TCP on v0)"), daemon.lines
                assert listening_tcp() == "", "the kernel listens"
                assert guards() == 1
                for address in (V4, V6):
                    assert peer.ask(address, count=20, profile=profile) is not None
                    assert peer.ask(address, name="huge.example", qtype=16, profile=profile) > 55000
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
            assert daemon.said("lethed: reloaded: "), daemon.lines
            assert guards() == 0 and V4 in listening_tcp()
            configure(one)
            reload()
            assert daemon.said("lethed: reloaded: "), daemon.lines
            assert guards() == 1 and listening_tcp() == "" and peer.ask(V4) is not None


def test_key_file():
    with Scratch() as scratch, Peer() as peer:
        options = ("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp", "stateless",
                   "--tcp-key-file")
        good = scratch.file("key", "0123456789abcdef" * 4 + "\n")
        with Daemon(*options, good):
            assert peer.ask(V4) is not None
        assert guards() == 1  # for the time of a restart: who has the key can go on
        wait_until(lambda: guards() == 0, "the guard to go")
        bad = scratch.file("bad", "0123\n")
        status, text = refusal(*options, bad)
        assert status == 1 and "hexadecimal" in text and bad in text, text


def may_lock_all(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        return any(line.startswith("Max locked memory") and line.split()[3] == "unlimited"
                   for line in file)


def test_privileges():
    """CAP_NET_RAW (13) and CAP_NET_ADMIN (12) are kept for a reload; CAP_IPC_LOCK (14) if AF_XDP could
    not lock its memory otherwise."""
    with Scratch() as scratch, Peer() as peer:
        with Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp", "stateless", "--user",
                    "nobody") as daemon:
            kept = 1 << 12 | 1 << 13
            if "xdp" in MORE and not may_lock_all(daemon.process.pid):
                kept |= 1 << 14
            assert int(daemon.status("CapEff"), 16) == kept
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
    for more in ((), ("--tcp-transfer-peers", PEER_V4)):
        for profile in ("classic", "modern"):
            with Scratch() as scratch, Peer():
                daemon = Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp",
                                "stateless", "--tcp-profile", profile, *more)
                assert guards() == 1 and (V4 in listening_tcp()) == bool(more)
                daemon.end(signal.SIGKILL)
                wait_until(lambda: guards() == 0, "the guard to go")
                assert listening_tcp() == ""


def test_keepalive():
    """What dig is told, over the wire (RFC 7828)."""
    with Scratch() as scratch, Peer() as peer:
        for profile, expected in (("modern", ["TCP KEEPALIVE: 295.0 secs"]), ("classic", [])):
            with Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp", "stateless",
                        "--tcp-profile", profile):
                said = peer.client.run("dig", "+tcp", "+keepalive", "+tries=1", "-p", str(PORT),
                                       "@" + V4, "www.example", "A").stdout
                assert "status: NOERROR" in said and "ANSWER: 1" in said, said
                assert re.findall("TCP KEEPALIVE: .*", said) == expected, said


def clock_by(file):
    """For a daemon that lives as many seconds later as the file says."""
    return {"LD_PRELOAD": CLOCK_SHIFT, "CLOCK_SHIFT": file,
            "ASAN_OPTIONS": "verify_asan_link_order=0"}


# Asks as often as told, with the SYN if the kernel has a cookie; prints the lengths.
OPENER = """
import sys
sys.path.insert(0, sys.argv[1])
arguments, sys.argv[1:] = sys.argv[2:], ["", ""]
from daemon_lib import *
address, port, count = arguments
for ident in range(int(count)):
    with socket.socket(family_of(address), socket.SOCK_STREAM) as s:
        s.sendto(framed(query("www.example", ident=ident)), socket.MSG_FASTOPEN,
                 (address, int(port)))
        s.settimeout(5)
        assert Header(read_message(s)).id == ident
"""


def test_fast_open():
    """Off unless asked for; then the second request of a client comes with its SYN."""
    with Scratch() as scratch, Peer() as peer:
        peer.client.sysctl(net__ipv4__tcp_fastopen=1)
        for more, expected in (((), 0), (("--tcp-fast-open", "on"), 4)):
            with Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--listen", f"{V6}@{PORT}",
                        "--tcp", "stateless", *more):
                for address in (V4, V6):
                    peer.client.run(sys.executable, "-c", OPENER,
                                    os.path.dirname(os.path.abspath(__file__)), address, str(PORT),
                                    "3")
            assert peer.counter("TcpExtTCPFastOpenActive") == expected


def test_recent_responses():
    """Only time and memory depend on it: without, the client's kernel asks for each ten segments."""
    with Scratch() as scratch, Peer() as peer:
        memory, repeated = {}, {}
        later = clock_by(scratch.file("shift", "60"))  # nothing was committed just now
        for size in ("0", "256K", "64M"):
            with Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp", "stateless",
                        "--tcp-recent-responses", size, "--image", "0",
                        environment=later) as daemon:
                # What was captured before the daemon came is not its to answer, and by its clock
                # that is all of the first second.
                time.sleep(1.1)
                before = peer.counter("TcpRetransSegs")
                assert peer.ask(V4, name="huge.example", qtype=16) > 55000
                repeated[size] = peer.counter("TcpRetransSegs") - before
                memory[size] = int(daemon.status("VmSize"))
        assert repeated["0"] >= 4 and repeated["0"] > 2 * repeated["256K"], repeated
        assert 60 * 1024 < memory["64M"] - memory["256K"] < 70 * 1024, memory


def test_idle_connections_and_time():
    """The keys of a running server change; a connection outlives that once, and a restart too."""
    with Scratch() as scratch, Peer() as peer:
        # The daemon's time is the beginning of an epoch, so that none ends between two steps.
        begin = EPOCH_S - int(time.time()) % EPOCH_S
        shift = scratch.file("shift", str(begin))
        key = scratch.file("key", "0123456789abcdef" * 4 + "\n")
        options = ("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--tcp", "stateless",
                   "--tcp-key-file", key)
        environment = clock_by(shift)
        def ask_after(seconds):
            scratch.file("shift", str(begin + seconds))
            idler.stdin.write("\n")
            idler.stdin.flush()
            return idler.stdout.readline().strip()

        with Daemon(*options, environment=environment):
            idler = peer.client.start(
                sys.executable, "-c", IDLER, os.path.dirname(os.path.abspath(__file__)), V4,
                str(PORT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert ask_after(0) == "yes"
            assert ask_after(EPOCH_S) == "yes"
        with Daemon(*options, environment=environment):
            assert ask_after(EPOCH_S) == "yes"
            assert ask_after(2 * EPOCH_S) == "ConnectionResetError"
        idler.communicate()
        assert idler.returncode == 0
        wait_until(lambda: guards() == 0, "the guard to go")


def kernel_connections():
    """Addresses whose connections the kernel of the server knows."""
    listed = subprocess.run(["ss", "-Htn", "state", "established", f"sport = :{PORT}"],
                            capture_output=True, text=True, check=True).stdout
    return [line.split()[-1].rsplit(":", 1)[0].strip("[]") for line in listed.splitlines()]


def who_answers(peer, source, address):
    """"kernel", "stateless", or nobody."""
    with Session(peer, source, address) as session:
        if session.rcode != 0:
            return None
        return "kernel" if source in kernel_connections() else "stateless"


def keeps_strangers(address, source=None):
    """Whether a connection from the host itself is let in."""
    try:
        with socket.create_connection((address, PORT), timeout=3,
                                      source_address=source and (source, 0)) as s:
            return not is_closed(s, 1)
    except ConnectionResetError:
        return False


def test_transfer_peers():
    """On one port: the kernel's TCP for peers, ours for others, both families."""
    wait_until(lambda: guards() == 0, "the guard of a test before this one to go")
    with Scratch() as scratch, Peer() as peer:
        peer.client.ip(f"address add {OTHER_V4}/24 dev v1")
        peer.client.ip(f"address add {OTHER_V6}/64 dev v1 nodad")
        for profile in ("classic", "modern"):
            with Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--listen", f"{V6}@{PORT}",
                        "--tcp", "stateless", "--tcp-profile", profile, "--tcp-transfer-peers",
                        PEER_V4, "--tcp-transfer-peers", PEER_V6 + "/128") as daemon:
                assert daemon.said("kernel TCP there for 2 transfer peers"), daemon.lines
                assert who_answers(peer, PEER_V4, V4) == "kernel"
                assert who_answers(peer, PEER_V6, V6) == "kernel"
                assert who_answers(peer, OTHER_V4, V4) == "stateless"
                assert who_answers(peer, OTHER_V6, V6) == "stateless"
                with Session(peer, PEER_V4, V4, 252) as session:
                    assert session.rcode == 5, session.rcode
                # From the host itself, so past interface and guard: nobody's.
                assert not keeps_strangers(V4)
            assert guards() == 0 and listening_tcp() == ""


def test_transfer_peers_of_all_addresses():
    """Privileges gone, a peer is added."""
    with Scratch() as scratch, Peer() as peer:
        subprocess.run(["chmod", "-R", "a+rwX", scratch.db], check=True)

        def configure(peers):
            return scratch.file("lethed.yaml", f"database: {scratch.db}\nuser: nobody\nlisten:\n"
                                f"  - {{address: 0.0.0.0@{PORT}, tcp: stateless, interface: v0}}\n"
                                f"  - {{address: '::@{PORT}', tcp: stateless, interface: v0}}\n"
                                f"tcp: {{transfer-peers: [{peers}]}}\n")

        with Daemon("--config", configure("")) as daemon:
            assert listening_tcp() == ""
            assert who_answers(peer, PEER_V4, V4) == who_answers(peer, PEER_V6, V6) == "stateless"
            configure("198.18.1.0/29, 'fd00:198:18:1::/64'")
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: daemon.said("reloaded"), "the reload")
            assert daemon.said("lethed: reloaded: "), daemon.lines
            assert who_answers(peer, PEER_V4, V4) == who_answers(peer, PEER_V6, V6) == "kernel"
            assert not keeps_strangers("127.0.0.1") and not keeps_strangers("::1")
            configure("127.0.0.1")
            daemon.lines.clear()
            daemon.signal(signal.SIGHUP)
            wait_until(lambda: daemon.said("reloaded"), "the reload")
            assert "[::]" not in listening_tcp(), "for no peer"
            assert keeps_strangers("127.0.0.1") and not keeps_strangers("127.0.0.1", "127.0.0.2")
            assert who_answers(peer, PEER_V4, V4) == "stateless"


def test_transfer_peers_port_taken():
    """What cannot be had leaves all as it was: listeners, guards, answers."""
    with Scratch() as scratch, Peer() as peer:
        def configure(*peers):
            return scratch.file("lethed.yaml", f"database: {scratch.db}\nlisten:\n"
                                f"  - {{address: {V4}@{PORT}, tcp: stateless}}\n"
                                f"tcp: {{transfer-peers: [{', '.join(peers)}]}}\n")

        path = configure()
        with Daemon("--config", path) as daemon:
            with socket.create_server((V4, PORT)):
                configure(PEER_V4)
                daemon.signal(signal.SIGHUP)
                wait_until(lambda: daemon.said("reloaded"), "the reload")
                assert daemon.said("not reloaded") and daemon.said("another program"), daemon.lines
                assert guards() == 1 and who_answers(peer, PEER_V4, V4) == "stateless"
        with socket.create_server((V4, PORT)):
            status, text = refusal("--config", path)
            assert status == 1 and f"{V4}@{PORT} over TCP" in text, text
        assert guards() == 0


def test_transfer_peers_reload():
    with Scratch() as scratch, Peer() as peer:
        def configure(tcp_mode, *peers):
            return scratch.file("lethed.yaml", f"database: {scratch.db}\nlisten:\n"
                                f"  - {{address: {V4}@{PORT}, tcp: {tcp_mode}}}\n"
                                f"tcp: {{transfer-peers: [{', '.join(peers)}]}}\n")

        with Daemon("--config", configure("stateless")) as daemon:
            assert listening_tcp() == "" and who_answers(peer, PEER_V4, V4) == "stateless"
            for tcp_mode, peers, expected in (
                    ("stateless", ["198.18.1.0/30"], "kernel"), ("stateless", [OTHER_V4], "stateless"),
                    ("stateless", [OTHER_V4, PEER_V4], "kernel"), ("kernel", [OTHER_V4], "kernel"),
                    ("stateless", [OTHER_V4], "stateless"), ("stateless", [PEER_V4], "kernel"),
                    ("stateless", [], "stateless"), ("off", [PEER_V4], None)):
                configure(tcp_mode, *peers)
                daemon.lines.clear()
                daemon.signal(signal.SIGHUP)
                wait_until(lambda: daemon.said("reloaded"), "the reload")
                assert daemon.said("lethed: reloaded: "), daemon.lines
                assert who_answers(peer, PEER_V4, V4) == expected, (tcp_mode, peers, expected)
                assert guards() == (tcp_mode == "stateless")
                assert (V4 in listening_tcp()) == (tcp_mode == "kernel" or
                                                   tcp_mode == "stateless" and peers != [])


need_own_network()
for program, package in (("nft", "nftables"), ("dig", "bind9-dnsutils"), ("ethtool", "ethtool")):
    if shutil.which(program) is None:
        print(f"SKIP: needs {program}, of the package {package}")
        sys.exit(SKIP)
run(globals())
