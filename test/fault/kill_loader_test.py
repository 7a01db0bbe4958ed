#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""kill -9 of a loader at 200 moments.

usage: kill_loader_test.py LETHE SNAPSHOT_READER LETHED

Two versions of a zone are loaded in turn; the loader is killed at a moment between its start and a
little after its usual end, while a reader looks at one snapshot after the other, and lethed is asked
over UDP without a pause. The reader must see the one version or the other, whole; every question
must be answered from one of them; the database must open, be complete and take a load afterwards.
"""
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

RECORDS = 15000
KILLS = 200
LIMIT_S = 100


def make_zone(path, serial):
    with open(path, "w", encoding="ascii") as zone:
        zone.write(f"@ 60 IN SOA ns1 admin {serial} 7200 3600 1209600 300\n@ 60 IN NS ns1\n")
        zone.write("ns1 60 IN A 192.0.2.1\n")
        for i in range(RECORDS):
            zone.write(f"n{i * 7919 % RECORDS} 60 IN TXT \"{serial}\"\n")


def load(lethe, db, path):
    return subprocess.Popen([lethe, "--quiet", "--db", db, "zone", "load", "example.", path],
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def load_whole(lethe, db, path):
    begun = time.monotonic()
    loader = load(lethe, db, path)
    _, told = loader.communicate(timeout=60)
    if loader.returncode != 0:
        raise RuntimeError(f"cannot load: {told.decode()}")
    return time.monotonic() - begun


def kill_loaders(lethe, db, paths, usual_s, deadline):
    killed = finished = 0
    while killed < KILLS and time.monotonic() < deadline:
        loader = load(lethe, db, paths[(killed + finished) % 2])
        time.sleep(random.uniform(0, usual_s * 1.1))
        if loader.poll() is None:
            loader.kill()
            killed += 1
        else:
            finished += 1
        loader.communicate(timeout=60)
        if loader.returncode not in (0, -signal.SIGKILL):
            raise RuntimeError(f"the loader ended with {loader.returncode}")
    return killed, finished


def check_afterwards(lethe, db, paths):
    """The database is one version, whole; and it can be written."""
    dump = subprocess.run([lethe, "--db", db, "zone", "dump", "example."], capture_output=True,
                          text=True, timeout=60, check=True).stdout
    serial = re.search(r"\tSOA\t\S+ \S+ (\d+) ", dump).group(1)
    if dump.count(f'\tTXT\t"{serial}"\n') != RECORDS or dump.count("\n") != RECORDS + 3:
        raise RuntimeError("the zone is not whole afterwards")
    for path in paths:
        load_whole(lethe, db, path)


class Asker(threading.Thread):
    """Asks lethed one question after the other; each must be answered, by one version or the other."""

    def __init__(self, lethed, db):
        super().__init__()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.server = subprocess.Popen([lethed, "--db", db, "--listen", f"127.0.0.1@{self.port}",
                                        "--tcp", "off"], stderr=subprocess.DEVNULL)
        self.is_over = threading.Event()
        self.answers = {b"1": 0, b"2": 0}
        self.faults = []

    def ask(self, udp, ident):
        owner = b"n%d" % (ident * 31 % RECORDS)
        udp.send(struct.pack(">6H", ident, 0, 1, 0, 0, 0) + bytes([len(owner)]) + owner
                 + b"\7example\0\0\x10\0\1")
        answer = udp.recv(512)
        if answer[:2] != struct.pack(">H", ident) or answer[3] & 15 or answer[-1:] not in self.answers:
            self.faults.append(answer.hex())
        else:
            self.answers[answer[-1:]] += 1

    def run(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect(("127.0.0.1", self.port))
            udp.settimeout(5)
            ident = 0
            while not self.is_over.is_set() and len(self.faults) < 5:
                ident = ident % 65535 + 1
                try:
                    self.ask(udp, ident)
                except OSError as error:
                    if sum(self.answers.values()) == 0 and self.server.poll() is None:
                        time.sleep(0.05)  # it is still starting
                    else:
                        self.faults.append(str(error))

    def stop(self):
        self.is_over.set()
        self.join(timeout=30)
        self.server.terminate()
        if self.server.wait(timeout=30) != 0:
            self.faults.append(f"lethed ended with {self.server.returncode}")


def main():
    lethe, reader_path, lethed = sys.argv[1:4]
    seed = random.randrange(1 << 32)
    random.seed(seed)
    with tempfile.TemporaryDirectory() as directory:
        db = f"{directory}/db"
        paths = [f"{directory}/{serial}.zone" for serial in (1, 2)]
        for serial, path in zip((1, 2), paths):
            make_zone(path, serial)
        usual_s = max(load_whole(lethe, db, path) for path in paths * 2)
        with subprocess.Popen([reader_path, db, str(RECORDS)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) as reader:
            asker = Asker(lethed, db)
            asker.start()
            try:
                if reader.stdout.readline() != "ready\n":
                    raise RuntimeError("the reader does not begin")
                killed, finished = kill_loaders(lethe, db, paths, usual_s,
                                                time.monotonic() + LIMIT_S)
                check_afterwards(lethe, db, paths)
            finally:
                asker.stop()
                reader.send_signal(signal.SIGTERM)
                told, faults = reader.communicate(timeout=60)
        print(f"seed {seed}: {killed} loaders killed, {finished} were faster; reader: "
              f"{told.strip()}{faults}")
        print(f"lethed: {asker.answers[b'1']} and {asker.answers[b'2']} answers from the two versions",
              *asker.faults)
        versions = int(re.search(r"(\d+) versions", told).group(1)) if reader.returncode == 0 else 0
        is_good = killed == KILLS and versions >= 2 and not asker.faults
        return 0 if is_good and all(asker.answers.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
