#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed's start, signals, messages and end. usage: daemon_control.py LETHED DAEMON_DB"""
import os
import signal
import socket
import stat
import subprocess
import time

from daemon_lib import (LETHED, SOA, TXT, Daemon, Header, Scratch, ask, framed, ip, is_closed,
                        need_own_network, query, read_message, refusal, run, serial_of, tcp)

PORT, OTHER_PORT = 5300, 5301
NET_BIND_SERVICE = 10
TWO_CPUS = ("--workers", "2")


def config_file(scratch, *addresses, extra=""):
    entries = "".join(f"  - address: {address}\n" for address in addresses)
    return scratch.file("lethed.yaml", f"database: {scratch.db}\nlisten:\n{entries}{extra}")


def is_served(address, port):
    try:
        with tcp(address, port, timeout=2) as s:
            s.sendall(framed(query()))
            return Header(read_message(s)).rcode == 0
    except OSError:
        return False


def test_start_says_version_zones_addresses_and_ready():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen",
                                      f"127.0.0.1@{PORT}") as daemon:
        assert "version " in daemon.lines[0] and "1 zone from" in daemon.lines[0]
        assert f"127.0.0.1@{PORT} (UDP, TCP)" in daemon.lines[0], daemon.lines
        assert daemon.lines[1] == "lethed: ready"


def test_interrupt_ends_as_well():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen",
                                      f"127.0.0.1@{PORT}") as daemon:
        daemon.signal(signal.SIGINT)
        assert daemon.process.wait(30) == 0


def small_window(address, port):
    s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
    s.settimeout(10)
    s.connect((address, port))
    return s


def test_sigterm_drains():
    """What had arrived when the signal came is answered, however slowly it is read."""
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}",
                                      *TWO_CPUS) as daemon:
        idle = tcp("127.0.0.1", PORT)
        partial = tcp("127.0.0.1", PORT)
        partial.sendall(b"\0")
        # One with far more to send than sockets hold (4 MiB), so that it takes a while.
        counts = (150, 20, 20)
        busy = [small_window("127.0.0.1", PORT) for _ in counts]
        daemon.signal(signal.SIGSTOP)
        for s, count in zip(busy, counts):
            s.sendall(b"".join(framed(query("huge.example", TXT, ident=i)) for i in range(count)))
        late = tcp("127.0.0.1", PORT)  # in the listener's queue
        late.sendall(framed(query(ident=99)))
        asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        asked.settimeout(10)
        asked.sendto(query(ident=98), ("127.0.0.1", PORT))
        daemon.signal(signal.SIGTERM)
        daemon.signal(signal.SIGCONT)
        for s, count in zip(busy, counts):
            for i in range(count):
                assert Header(read_message(s)).id == i
            assert s.recv(1) == b""
        assert Header(read_message(late)).id == 99
        assert Header(asked.recv(512)).id == 98
        assert is_closed(idle, 10) and is_closed(partial, 10)
        assert daemon.process.wait(30) == 0


def test_drain_is_bounded():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen",
                                      f"127.0.0.1@{PORT}") as daemon:
        stubborn = tcp("127.0.0.1", PORT)
        stubborn.sendall(framed(query("huge.example", TXT)) * 500)
        time.sleep(0.3)
        daemon.signal(signal.SIGTERM)
        assert daemon.process.wait(20) == 0
        stubborn.close()


def test_sighup_adds_and_removes_addresses():
    with Scratch() as scratch:
        path = config_file(scratch, f"127.0.0.1@{PORT}", f"::1@{PORT}")
        with Daemon("--config", path, *TWO_CPUS) as daemon:
            stays = tcp("127.0.0.1", PORT)
            assert is_served("::1", PORT) and not is_served("127.0.0.1", OTHER_PORT)
            config_file(scratch, f"127.0.0.1@{PORT}", f"127.0.0.1@{OTHER_PORT}")
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("reloaded: ")
            assert is_served("127.0.0.1", OTHER_PORT) and not is_served("::1", PORT)
            assert ask("127.0.0.1", OTHER_PORT, query()) is not None
            # Old connections do not notice; all workers serve the new address.
            stays.sendall(framed(query(ident=4)))
            assert Header(read_message(stays)).id == 4
            assert all(is_served("127.0.0.1", OTHER_PORT) for _ in range(20))
            # And back, several times.
            for i in range(4):
                config_file(scratch, f"127.0.0.1@{PORT}", *([f"::1@{PORT}"] if i % 2 else []))
                daemon.lines.clear()
                daemon.signal(signal.SIGHUP)
                daemon.wait_for("reloaded: ")
                assert is_served("::1", PORT) == bool(i % 2)


def test_sighup_turns_tcp_off_and_on():
    with Scratch() as scratch:
        path = config_file(scratch, f"127.0.0.1@{PORT}")
        with Daemon("--config", path) as daemon:
            config_file(scratch, f"127.0.0.1@{PORT}", extra="    tcp: off\n")
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("reloaded: ")
            assert not is_served("127.0.0.1", PORT)
            assert ask("127.0.0.1", PORT, query()) is not None
            config_file(scratch, f"127.0.0.1@{PORT}")
            daemon.lines.clear()
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("reloaded: ")
            assert is_served("127.0.0.1", PORT)


def test_sighup_changes_policy_and_limits():
    with Scratch() as scratch:
        path = config_file(scratch, f"127.0.0.1@{PORT}")
        with Daemon("--config", path) as daemon:
            big = query("big.example", TXT, edns=4096)
            assert len(ask("127.0.0.1", PORT, big)) <= 1232
            config_file(scratch, f"127.0.0.1@{PORT}",
                        extra="udp-payload: 4096\ntcp: {idle-timeout: 1}\n")
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("reloaded: ")
            assert len(ask("127.0.0.1", PORT, big)) > 2800
            with tcp("127.0.0.1", PORT) as s:
                assert is_closed(s, 5)


def test_sighup_loses_no_query():
    with Scratch() as scratch:
        path = config_file(scratch, f"127.0.0.1@{PORT}")
        with Daemon("--config", path, *TWO_CPUS) as daemon:
            with tcp("127.0.0.1", PORT) as s:
                for i in range(60):
                    if i % 6 == 0:
                        config_file(scratch, f"127.0.0.1@{PORT}",
                                    *([f"127.0.0.1@{OTHER_PORT}"] if i % 12 else []))
                        daemon.signal(signal.SIGHUP)
                    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as u:
                        u.settimeout(10)
                        u.sendto(query(ident=i), ("127.0.0.1", PORT))
                        assert Header(u.recv(512)).id == i
                    s.sendall(framed(query(ident=i)))
                    assert Header(read_message(s)).id == i


def test_sighup_with_a_bad_file_keeps_the_old():
    with Scratch() as scratch:
        path = config_file(scratch, f"127.0.0.1@{PORT}")
        with Daemon("--config", path) as daemon:
            for text, said in (("database: x\nlisten:\n  - address: nonsense\n", ":3: address:"),
                               ("databasee: x\n", ":1: unknown key"),
                               ("", "no database"),
                               (f"database: {scratch.db}\nlisten: [address: 192.0.2.1@53]\n",
                                "192.0.2.1@53 over UDP: no interface")):
                scratch.file("lethed.yaml", text)
                daemon.lines.clear()
                daemon.signal(signal.SIGHUP)
                daemon.wait_for("not reloaded, all stays as it was: ")
                assert daemon.said(said), (said, daemon.lines)
                assert is_served("127.0.0.1", PORT)
                assert ask("127.0.0.1", PORT, query()) is not None
            os.remove(path)
            daemon.lines.clear()
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("cannot be read")
            assert is_served("127.0.0.1", PORT)


def test_sighup_says_what_needs_a_restart():
    with Scratch() as scratch:
        path = config_file(scratch, f"127.0.0.1@{PORT}", extra="workers: 1\n")
        with Daemon("--config", path) as daemon:
            scratch.file("lethed.yaml", f"database: /nowhere\nworkers: 2\npid-file: /x\n"
                                        f"listen: [address: 127.0.0.1@{PORT}]\n")
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("reloaded: ")
            for key in ("database", "workers", "pid-file"):
                assert any(key in line and "next start" in line for line in daemon.lines), key
            assert is_served("127.0.0.1", PORT)


def test_taken_port():
    with Scratch() as scratch:
        options = ("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}")
        for kind, letter in ((socket.SOCK_DGRAM, "u"), (socket.SOCK_STREAM, "t")):
            with socket.socket(socket.AF_INET, kind) as holder:
                holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR,
                                  int(kind == socket.SOCK_STREAM))  # past TIME-WAIT
                holder.bind(("127.0.0.1", PORT))
                if kind == socket.SOCK_STREAM:
                    holder.listen()
                status, text = refusal(*options)
                assert status == 1 and f"127.0.0.1@{PORT}" in text, text
                assert f"ss -l{letter}pn 'sport = :{PORT}'" in text, text


def test_second_daemon_is_kept_out():
    """SO_REUSEPORT alone would let it in."""
    with Scratch() as scratch:
        options = ("--db", scratch.db, "--listen", f"0.0.0.0@{PORT}")
        with Daemon(*options):
            for address in ("0.0.0.0", "127.0.0.1"):
                status, text = refusal("--db", scratch.db, "--listen", f"{address}@{PORT}")
                assert status == 1 and "another program has the port" in text, text


def test_restart_at_once():
    """Connections in TIME-WAIT keep nobody out."""
    with Scratch() as scratch:
        for _ in range(3):
            with Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}"):
                s = tcp("127.0.0.1", PORT)
                s.sendall(framed(query()))
                read_message(s)
            s.close()


def test_missing_privilege():
    with Scratch() as scratch:
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
             "--bounding-set=-all"] + list(lethed_on(scratch, "127.0.0.1@53")),
            capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 1, done
        assert "CAP_NET_BIND_SERVICE" in done.stderr or "lock.mdb" in done.stderr, done.stderr
        # With a database that it may use, the port is what is left to complain of.
        subprocess.run(["chmod", "-R", "a+rwX", scratch.db], check=True)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
             "--bounding-set=-all"] + list(lethed_on(scratch, "127.0.0.1@53")),
            capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 1 and "CAP_NET_BIND_SERVICE" in done.stderr, done.stderr


def lethed_on(scratch, address):
    return LETHED, "--db", scratch.db, "--listen", address


def test_capabilities_are_given_up():
    with Scratch() as scratch:
        for address, kept in ((f"127.0.0.1@{PORT}", 0), ("127.0.0.1@53", 1 << NET_BIND_SERVICE)):
            with Daemon("--db", scratch.db, "--listen", address) as daemon:
                for field in ("CapEff", "CapPrm"):
                    assert int(daemon.status(field), 16) == kept, (address, daemon.status(field))
                assert daemon.status("NoNewPrivs") == "1"
                for thread in os.listdir(f"/proc/{daemon.process.pid}/task"):
                    path = f"/proc/{daemon.process.pid}/task/{thread}/status"
                    with open(path, encoding="ascii") as file:
                        effective = [line for line in file if line.startswith("CapEff")][0]
                    assert int(effective.split()[1], 16) == kept, thread


def test_user_is_changed():
    with Scratch() as scratch:
        with Daemon("--db", scratch.db, "--listen", "127.0.0.1@53", "--user", "nobody") as daemon:
            assert daemon.status("Uid") == "65534" and daemon.status("Gid") == "65534"
            assert int(daemon.status("CapEff"), 16) == 1 << NET_BIND_SERVICE
            assert is_served("127.0.0.1", 53)
        status, text = refusal("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}", "--user",
                               "no-such-user")
        assert status == 1 and "no-such-user" in text and "useradd" in text, text


def test_low_port_can_be_added_later():
    """The one capability that is kept is for this."""
    with Scratch() as scratch:
        path = config_file(scratch, "127.0.0.1@53")
        os.chmod(path, 0o644)
        with Daemon("--config", path, "--user", "nobody") as daemon:
            config_file(scratch, "127.0.0.1@53", "127.0.0.1@54")
            daemon.signal(signal.SIGHUP)
            daemon.wait_for("reloaded: ")
            assert is_served("127.0.0.1", 54)


def test_missing_database():
    with Scratch() as scratch:
        nothing = os.path.join(scratch.path, "nothing")
        status, text = refusal("--db", nothing, "--listen", f"127.0.0.1@{PORT}")
        assert status == 1 and f"lethe --db {nothing} zone load NAME FILE" in text, text


def test_damaged_database():
    with Scratch() as scratch:
        with open(os.path.join(scratch.db, "data.mdb"), "r+b") as file:
            file.write(b"\xa5" * 8192)
        status, text = refusal("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}")
        assert status == 1 and "damaged" in text, text


def test_pid_file():
    with Scratch() as scratch:
        path = os.path.join(scratch.path, "lethed.pid")
        with Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}", "--pid-file",
                    path) as daemon:
            with open(path, encoding="ascii") as file:
                assert int(file.read()) == daemon.process.pid
        assert not os.path.exists(path)
        status, text = refusal("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}", "--pid-file",
                               "/nowhere/pid")
        assert status == 1 and "/nowhere/pid" in text, text


def test_pid_file_that_is_no_file():
    with Scratch() as scratch:
        pipe = os.path.join(scratch.path, "pipe")
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        with Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}", "--pid-file",
                    pipe) as daemon:
            assert int(os.read(reader, 64)) == daemon.process.pid
        os.close(reader)
        assert os.path.exists(pipe)


def test_systemd_is_told():
    with Scratch() as scratch, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(os.path.join(scratch.path, "notify"))
        notify.settimeout(20)
        path = config_file(scratch, f"127.0.0.1@{PORT}")
        with Daemon("--config", path, environment={"NOTIFY_SOCKET": notify.getsockname()}) as d:
            assert b"READY=1" in notify.recv(512)
            d.signal(signal.SIGHUP)
            assert b"RELOADING=1" in notify.recv(512)
            assert b"READY=1" in notify.recv(512)
            d.signal(signal.SIGTERM)
            assert b"STOPPING=1" in notify.recv(512)


def test_priorities_in_the_journal():
    """Only when standard error is the journal's own socket."""
    read_end, write_end = os.pipe()
    about = os.fstat(write_end)
    assert stat.S_ISFIFO(about.st_mode)
    command = [LETHED, "--db", "/nowhere", "--listen", f"127.0.0.1@{PORT}"]
    for stream, begin in ((f"{about.st_dev}:{about.st_ino}", b"<3>"),
                          ("1:1", b"lethed: error: ")):
        subprocess.run(command, stderr=write_end, check=False,
                       env={**os.environ, "JOURNAL_STREAM": stream})
        assert os.read(read_end, 4096).startswith(begin), stream
    os.close(read_end)
    os.close(write_end)


def test_check_config():
    with Scratch() as scratch:
        path = config_file(scratch, "192.0.2.1@53", extra="    tcp: stateless\n    interface: no0\n")
        status, text = refusal("--check-config", "--config", path)
        assert status == 0 and text == f"{path}: good\n", text
        status, text = refusal("--check-config", "--db", "/x", "--listen", "::1")
        assert status == 0, text
        bad = scratch.file("bad.yaml", "udp-payload: 1\n")
        status, text = refusal("--check-config", "--config", bad)
        assert status == 2 and f"{bad}:1: udp-payload: " in text, text
        # What it names must be there, too.
        for option, value, said in (("--tcp-key-file", "/nowhere", "/nowhere: "), ("--cookie-key-file", bad, "bad.yaml"),
                                    ("--user", "nobody-at-all", "there is no such user")):
            status, text = refusal("--check-config", "--db", "/x", "--listen", "::1", option, value)
            assert status == 2 and said in text, (option, status, text)


def test_usage_errors():
    for options, said in (((), "no database"), (("--db", "x"), "nothing to listen on"),
                          (("--what",), "--what"), (("--db",), "needs a value"),
                          (("--db", "x", "--listen", "::1", "--tcp-profile", "baroque"),
                           "is not classic or modern"),
                          (("--db", "x", "--listen", "::1", "--interface", "lo"), "--interface"),
                          (("--config", "/nowhere.yaml"), "/nowhere.yaml")):
        status, text = refusal(*options)
        assert status == 2 and said in text, (options, status, text)
    for option in ("--help", "--version"):
        status, text = refusal(option)
        assert status == 0 and "lethed" in text


def test_address_that_goes_and_comes_back():
    """Losing an address is no reason to end; it is served again when it is back."""
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen",
                                      f"198.18.0.1@{PORT}") as daemon:
        ip("address del 198.18.0.1/32 dev lo")
        time.sleep(0.2)
        ip("address add 198.18.0.1/32 dev lo")
        assert ask("198.18.0.1", PORT, query()) is not None
        assert daemon.process.poll() is None


def test_zone_load_while_answering():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}"):
        with tcp("127.0.0.1", PORT) as s:
            for serial in range(2, 12):
                scratch.load(serial)
                s.sendall(framed(query("example", SOA)))
                assert serial_of(read_message(s)) == serial


need_own_network()
run(globals())
