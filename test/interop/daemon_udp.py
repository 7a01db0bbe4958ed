#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed over UDP. usage: daemon_udp.py LETHED DAEMON_DB"""
import struct

from daemon_lib import (AA, QR, SOA, TC, TXT, Daemon, Header, Scratch, ask, need_own_network, query,
                        run, serial_of, udp)

PORT = 5300


def test_both_families():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}",
                                      "--listen", f"::1@{PORT}"):
        for address in ("127.0.0.1", "::1"):
            response = ask(address, PORT, query(ident=77))
            header = Header(response)
            assert header.id == 77 and header.flags & QR and header.flags & AA
            assert response.endswith(bytes([192, 0, 2, 80])), response


def test_wildcard_answers_from_the_address_asked():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"0.0.0.0@{PORT}", "--listen",
                                      f"::@{PORT}"):
        for address in ("127.0.0.1", "198.18.0.1", "198.18.0.2", "127.0.0.9", "::1",
                        "fd00:198:18::1", "fd00:198:18::2"):
            # Connected sockets: an answer from another address would not arrive.
            assert ask(address, PORT, query()) is not None, address


def test_many_clients_in_one_batch():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"0.0.0.0@{PORT}",
                                      "--workers", "2"):
        clients = [udp(f"198.18.0.{1 + i % 2}", PORT) for i in range(150)]
        for i, client in enumerate(clients):
            client.send(query(ident=i))
        for i, client in enumerate(clients):
            assert Header(client.recv(512)).id == i
            client.close()


def test_too_big_is_truncated():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}"):
        for edns, limit in ((None, 512), (512, 512), (1000, 1000), (1232, 1232), (4096, 1232)):
            response = ask("127.0.0.1", PORT, query("big.example", TXT, edns=edns))
            assert Header(response).flags & TC, edns
            assert len(response) <= limit, (edns, len(response))


def test_payload_as_configured():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}",
                                      "--udp-payload", "4096"):
        response = ask("127.0.0.1", PORT, query("big.example", TXT, edns=4096))
        assert not Header(response).flags & TC and len(response) > 2800, len(response)


def test_rubbish_is_survived():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}"):
        with udp("127.0.0.1", PORT) as s:
            s.settimeout(0.3)
            for datagram in (b"", b"\0", query()[:11], b"\xff" * 12, query() + b"x" * 5000,
                             struct.pack(">6H", 1, QR, 1, 0, 0, 0) + query()[12:]):
                s.send(datagram)
                try:
                    got = s.recv(65535)
                except TimeoutError:
                    continue
                raise AssertionError(f"{datagram[:20]!r} got {got!r}")
        assert ask("127.0.0.1", PORT, query()) is not None


def test_new_zone_content_is_seen_at_once():
    with Scratch() as scratch, Daemon("--db", scratch.db, "--listen", f"127.0.0.1@{PORT}"):
        for serial in (2, 3, 4):
            scratch.load(serial)
            response = ask("127.0.0.1", PORT, query("example", SOA))
            assert serial_of(response) == serial, response


need_own_network()
run(globals())
