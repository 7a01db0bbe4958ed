#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What is said when nothing else can be done.

usage: told_test.py LETHE LETHED LOCK_HOLDER

A database whose file is cut short under a running lethed ends it: with a line that says which, and
what to do. A writer that waits for another one says so, and goes on when the other is done.
"""
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import tempfile

ZONE = "@ 60 IN SOA ns1 admin 1 7200 3600 1209600 300\n@ 60 IN NS ns1\nns1 60 IN A 192.0.2.1\n"
QUERY = struct.pack(">6H", 1, 0, 1, 0, 0, 0) + b"\3ns1\7example\0\0\1\0\1"


def load(lethe, db):
    subprocess.run([lethe, "--quiet", "--db", db, "zone", "load", "example.", "-"], input=ZONE,
                   text=True, timeout=30, check=True)


def cut_short(lethe, lethed, db):
    load(lethe, db)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
    with subprocess.Popen([lethed, "--db", db, "--listen", f"127.0.0.1@{port}", "--tcp", "off"],
                          stderr=subprocess.PIPE, text=True) as server:
        told = ""
        while "ready" not in told:
            line = server.stderr.readline()
            assert line, told
            told += line
        os.truncate(os.path.join(db, "data.mdb"), 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.sendto(QUERY, ("127.0.0.1", port))
        try:
            told = server.communicate(timeout=30)[1]
        finally:
            server.kill()
        assert server.returncode == -signal.SIGBUS, (server.returncode, told)
        assert told.startswith(f"lethed: stopped by a fault with the database in {db} open"), told


def waiting(lethe, holder, db):
    load(lethe, db)
    for command in (["zone", "load", "example.", "-"], ["zone", "remove", "example."]):
        with subprocess.Popen([holder, db], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as writer:
            assert writer.stdout.readline() == "ready\n"
            with subprocess.Popen([lethe, "--quiet", "--db", db, *command], stdin=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True) as second:
                second.stdin.write(ZONE)
                second.stdin.close()
                told = second.stderr.readline()
                writer.stdin.close()
                assert "another program is writing" in told, told
                assert second.wait(30) == 0 and second.stderr.read() == "", command
            assert writer.wait(30) == 0


def main():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    lethe, lethed, holder = (os.path.abspath(path) for path in sys.argv[1:4])
    for test, *arguments in ((cut_short, lethe, lethed), (waiting, lethe, holder)):
        with tempfile.TemporaryDirectory() as directory:
            test(*arguments, os.path.join(directory, "db"))
        print(f"{test.__name__}: ok")


if __name__ == "__main__":
    main()
