#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed over kernel TCP (RFC 7766). usage: daemon_tcp.py LETHED DAEMON_DB"""
import socket
import struct
import time

from daemon_lib import (TC, TXT, Daemon, Header, Scratch, ask, framed, is_closed, need_own_network,
                        query, read_message, run, tcp, wait_until)

PORT = 5300
LISTEN = ("--listen", f"127.0.0.1@{PORT}", "--listen", f"::1@{PORT}")


def serve(scratch, *options, **more):
    return Daemon("--db", scratch.db, *LISTEN, *options, **more)


def is_established(client):
    """Whether the daemon's end of a client's IPv4 connection is in that state."""
    peer = f":{client.getsockname()[1]:04X}"
    with open("/proc/net/tcp", encoding="ascii") as file:
        ends = [line.split()[1:4] for line in file]
    return any(local.endswith(f":{PORT:04X}") and remote.endswith(peer) and state == "01"
               for local, remote, state in ends)


def test_both_families():
    with Scratch() as scratch, serve(scratch):
        for address in ("127.0.0.1", "::1"):
            with tcp(address, PORT) as s:
                s.sendall(framed(query(ident=5)))
                assert Header(read_message(s)).id == 5


def test_pipelining_1000_in_one_write():
    with Scratch() as scratch, serve(scratch), tcp("127.0.0.1", PORT) as s:
        s.sendall(b"".join(framed(query(ident=i)) for i in range(1000)))
        got = {Header(read_message(s)).id for _ in range(1000)}
        assert got == set(range(1000))


def test_octet_by_octet():
    with Scratch() as scratch, serve(scratch), tcp("::1", PORT) as s:
        for i in range(2):
            for octet in framed(query(ident=i)):
                s.send(bytes([octet]))
                time.sleep(0.002)
            assert Header(read_message(s)).id == i


def test_cuts_at_every_place():
    """Two messages, cut in two at every octet."""
    both = framed(query(ident=1)) + framed(query("big.example", TXT, ident=2))
    with Scratch() as scratch, serve(scratch), tcp("127.0.0.1", PORT) as s:
        for cut in range(1, len(both)):
            s.send(both[:cut])
            time.sleep(0.001)
            s.send(both[cut:])
            assert [Header(read_message(s)).id for _ in range(2)] == [1, 2], cut


def test_big_responses_come_whole():
    with Scratch() as scratch, serve(scratch), tcp("127.0.0.1", PORT) as s:
        for _ in range(20):
            s.sendall(framed(query("huge.example", TXT)))
        for _ in range(20):
            response = read_message(s)
            assert len(response) > 55000 and not Header(response).flags & TC


def test_half_close():
    """Who says all at once and closes for writing gets all responses, then the end."""
    with Scratch() as scratch, serve(scratch), tcp("127.0.0.1", PORT) as s:
        s.sendall(b"".join(framed(query("huge.example", TXT, ident=i)) for i in range(30)) + b"\0")
        s.shutdown(socket.SHUT_WR)
        for i in range(30):
            assert Header(read_message(s)).id == i
        assert s.recv(1) == b""


def test_close_at_once_is_survived():
    with Scratch() as scratch, serve(scratch):
        for i in range(50):
            s = tcp("127.0.0.1", PORT)
            s.sendall(framed(query("huge.example", TXT)) * 5)
            if i % 2:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.close()
        assert ask("127.0.0.1", PORT, query()) is not None


def test_who_never_reads_holds_little():
    """Queries for 60,000 octets each, none read: the daemon stops reading, keeps one response."""
    with Scratch() as scratch, serve(scratch, "--workers", "1") as daemon:
        with tcp("127.0.0.1", PORT) as s:  # touch everything once
            s.sendall(framed(query("huge.example", TXT)))
            read_message(s)
        before_kb = int(daemon.status("VmRSS"))
        message, sent, clients = framed(query("huge.example", TXT)), 0, []
        for _ in range(20):
            s = tcp("127.0.0.1", PORT)
            s.setblocking(False)
            clients.append(s)
        quiet = 0
        while quiet < 10:
            progress = 0
            for s in clients:
                try:
                    progress += s.send(message * 500)
                except BlockingIOError:
                    pass
            quiet = 0 if progress else quiet + 1
            sent += progress
            time.sleep(0.02)
        assert sent > 20 * 500 * len(message), "the queries did not even fill the sockets"
        grown_kb = int(daemon.status("VmRSS")) - before_kb
        # Input and one response each: 82 KB + 82 KB at most; sockets' own memory is the kernel's.
        assert grown_kb < 20 * 170, f"{grown_kb} KB more"
        daemon.must_be_at_rest()
        with tcp("127.0.0.1", PORT) as other:
            other.sendall(framed(query(ident=9)))
            assert Header(read_message(other)).id == 9
        for s in clients:
            s.close()


def test_slow_reader_gets_all():
    with Scratch() as scratch, serve(scratch), tcp("127.0.0.1", PORT) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        s.sendall(framed(query("huge.example", TXT)) * 40)
        time.sleep(0.3)
        for _ in range(40):
            assert len(read_message(s)) > 55000


def test_idle_connections_are_closed():
    with Scratch() as scratch, serve(scratch, "--tcp-idle-timeout", "1"):
        with tcp("127.0.0.1", PORT) as silent, tcp("127.0.0.1", PORT) as partial, \
                tcp("127.0.0.1", PORT) as reader:
            reader.sendall(framed(query("huge.example", TXT)) * 200)  # and does not read
            begun = time.monotonic()
            partial.sendall(framed(query())[:7])
            while not is_closed(silent, 0.3):
                assert time.monotonic() - begun < 20
                try:  # octets that complete no message are no life sign
                    partial.send(b"\0")
                except OSError:
                    pass
            assert time.monotonic() - begun > 0.9
            assert is_closed(partial, 10)
            wait_until(lambda: not is_established(reader), "the end of who does not read")
            # What did not fit the sockets was thrown away with the connection.
            got = 0
            try:
                while piece := reader.recv(1 << 20):
                    got += len(piece)
            except ConnectionResetError:
                pass
            assert got < 200 * 55000, got


def test_busy_connections_are_not():
    with Scratch() as scratch, serve(scratch, "--tcp-idle-timeout", "1"):
        with tcp("127.0.0.1", PORT) as s:
            for i in range(8):
                s.sendall(framed(query(ident=i)))
                assert Header(read_message(s)).id == i
                time.sleep(0.3)


def test_oldest_idle_goes_when_full():
    with Scratch() as scratch, serve(scratch, "--workers", "1", "--tcp-max-connections", "4"):
        clients = [tcp("127.0.0.1", PORT) for _ in range(4)]
        for i, s in enumerate(clients):
            s.sendall(framed(query(ident=i)))
            assert Header(read_message(s)).id == i
        # The first one speaks again: now the second is the one idle longest.
        time.sleep(0.05)
        clients[0].sendall(framed(query(ident=100)))
        read_message(clients[0])
        clients.append(tcp("127.0.0.1", PORT))
        clients[4].sendall(framed(query(ident=4)))
        assert Header(read_message(clients[4])).id == 4
        assert is_closed(clients[1], 10)
        for i in (0, 2, 3, 4):
            clients[i].sendall(framed(query(ident=i)))
            assert Header(read_message(clients[i])).id == i, i
        for s in clients:
            s.close()


def test_no_descriptors_left():
    """With 40 descriptors and 200 clients the oldest go, the newest are served, nothing spins."""
    with Scratch() as scratch:
        with serve(scratch, "--workers", "1",
                   prefix=("prlimit", "--nofile=40:40", "setpriv", "--bounding-set=-sys_resource",
                           "--inh-caps=-sys_resource", "--")) as daemon:
            daemon.wait_for("RLIMIT_NOFILE")
            clients = []
            for i in range(200):
                clients.append(tcp("127.0.0.1", PORT))
                clients[i].sendall(framed(query(ident=i)))
                assert Header(read_message(clients[i])).id == i, i
            assert is_closed(clients[0], 5)
            assert ask("127.0.0.1", PORT, query()) is not None
            daemon.must_be_at_rest()
            for s in clients:
                s.close()


def test_lost_framing_ends_the_connection():
    for prefix in (b"\0\0", b"\0\x0b" + b"x" * 11):
        with Scratch() as scratch, serve(scratch), tcp("127.0.0.1", PORT) as s:
            s.sendall(framed(query(ident=3)) + prefix)
            assert Header(read_message(s)).id == 3
            assert is_closed(s, 10)


def test_a_response_is_not_answered():
    with Scratch() as scratch, serve(scratch), tcp("127.0.0.1", PORT) as s:
        message = bytearray(query(ident=1))
        message[2] |= 0x80
        s.sendall(framed(bytes(message)) + framed(query(ident=2)))
        assert Header(read_message(s)).id == 2


def test_keepalive_tells_the_idle_timeout():
    with Scratch() as scratch, serve(scratch, "--tcp-idle-timeout", "7"):
        with tcp("127.0.0.1", PORT) as s:
            s.sendall(framed(query(edns=1232, options=struct.pack(">HH", 11, 0))))
            response = read_message(s)
            assert struct.pack(">HHH", 11, 2, 70) in response, response
            s.sendall(framed(query(edns=1232)))
            assert struct.pack(">HH", 11, 2) not in read_message(s)


def test_longest_message():
    """65,535 octets: a query and what does not belong to it."""
    with Scratch() as scratch, serve(scratch), tcp("127.0.0.1", PORT) as s:
        message = query(ident=6)
        s.sendall(framed(message + b"x" * (65535 - len(message))) + framed(query(ident=7)))
        assert [Header(read_message(s)).id for _ in range(2)] == [6, 7]


def test_many_connections():
    with Scratch() as scratch, serve(scratch, "--tcp-max-connections", "2000"):
        clients = [tcp("127.0.0.1", PORT) for _ in range(400)]
        for round_ in range(3):
            for i, s in enumerate(clients):
                s.sendall(framed(query(ident=round_ * 1000 + i)))
            for i, s in enumerate(clients):
                assert Header(read_message(s)).id == round_ * 1000 + i
        for s in clients:
            s.close()


def test_tcp_off():
    with Scratch() as scratch, serve(scratch, "--tcp", "off"):
        assert ask("127.0.0.1", PORT, query()) is not None
        try:
            tcp("127.0.0.1", PORT).close()
        except ConnectionRefusedError:
            return
        raise AssertionError("TCP is on")


need_own_network()
run(globals())
