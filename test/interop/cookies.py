#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""DNS cookies that servers of several makes, with one secret, make for each other.

usage: cookies.py --build DIR

Each server makes a cookie, each takes it: BIND, Knot DNS and Lethe answer who has none by BADCOOKIE;
NSD gives back one that it takes. Then secrets are rolled over, and BIND resolves from a Lethe that
wants a cookie of everybody.
"""
import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import sys
import tempfile
import time

import peers

SECRET, NEXT = "e5e973e5a6b2a43f48e7dc849e37bfcf", "445536bcd2513298075a5d379663c962"
CLIENT = bytes.fromhex("2464c4abcf10c957")
BADCOOKIE = 23
ZONE = """$ORIGIN example.
@ 300 SOA ns host 1 2 3 4 5
@ 300 NS ns
ns 300 A 192.0.2.1
www 300 A 192.0.2.80
"""


class Bind(peers.Bind):
    def prepare(self):
        command = super().prepare()
        path = self.directory / "named.conf"
        path.write_text(path.read_text().replace(
            "recursion no;", f'recursion no; answer-cookie yes; cookie-algorithm siphash24; '
            f'cookie-secret "{SECRET}"; require-server-cookie yes;'))
        return command


class Knot(peers.Knot):
    def prepare(self):
        command = super().prepare()
        path = self.directory / "knot.conf"
        path.write_text(path.read_text().replace("template:\n  - id: default\n", f"""mod-cookies:
  - id: ours
    secret: 0x{SECRET}
    badcookie-slip: 1
template:
  - id: default
    global-module: mod-cookies/ours
"""))
        return command


class Nsd(peers.Nsd):
    def prepare(self):
        command = super().prepare()
        path = self.directory / "nsd.conf"
        path.write_text(path.read_text().replace(
            "answer-cookie: no", f'answer-cookie: yes\n  cookie-secret: "{SECRET}"'))
        return command


class Forwarder(peers.Bind):
    """BIND that asks one server, over UDP as long as it can, with a cookie as it always does."""

    name = "forwarder"

    def __init__(self, directory, server):
        super().__init__(directory, {})
        self.server = server

    def prepare(self):
        command = super().prepare()
        path = self.directory / "named.conf"
        path.write_text(path.read_text().replace(
            "recursion no;", "recursion yes; allow-recursion { any; }; forward only; "
            f"forwarders {{ {self.server.address} port {self.server.port}; }};"))
        return command


def ask(server, cookie, name="www.example.", flags=0):
    """RCODE, whether TC is set, and the response's cookie (None: it has none)."""
    option = struct.pack("!2H", 10, len(cookie)) + cookie
    message = struct.pack("!6H", 7, flags, 1, 0, 0, 1) + peers.name_to_wire(name)
    message += struct.pack("!2HBHHIH", 1, 1, 0, 41, 1232, 0, len(option)) + option
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        udp.connect((server.address, server.port))
        for _ in range(3):
            udp.send(message)
            try:
                response = udp.recv(4096)
                break
            except TimeoutError:
                continue
        else:
            raise AssertionError(f"{server.name} says nothing")
    mark = response.rfind(struct.pack("!2H", 10, 24) + cookie[:8])
    assert mark > 0, (server.name, response.hex())
    # OPT is the last record, and COOKIE the only option that was asked for.
    opt = response.rfind(b"\0" + struct.pack("!H", 41))
    rcode = response[5 + opt] << 4 | response[3] & 15
    return rcode, bool(response[2] & 2), response[mark + 4:mark + 28]


def learn(server):
    """A server's cookie: made for who has none."""
    _, _, cookie = ask(server, CLIENT)
    assert cookie[:8] == CLIENT and cookie[8] == 1, (server.name, cookie.hex())
    return cookie


def is_taken(server, cookie):
    """Whether a server believes a cookie, which is some seconds old."""
    rcode, _, back = ask(server, cookie)
    if server.name == "nsd":
        return back == cookie
    assert rcode in (0, BADCOOKIE), (server.name, rcode)
    return rcode == 0


def test_all_take_all(tmp, zones, build):
    lethed = peers.Lethed(tmp, zones, build, extra=(
        "--cookie-key-file", key_file(tmp, SECRET), "--policy-require-cookie", "always"))
    lethed.wait_ready = lambda: wait_for_socket(lethed)
    with contextlib.ExitStack() as stack:
        servers = []
        for make, program in ((Bind, "named"), (Knot, "knotd"), (Nsd, "nsd")):
            if shutil.which(program) is None:
                print(f"    {program}: not installed, not compared")
                continue
            servers.append(stack.enter_context(make(tmp, zones)))
        servers.append(stack.enter_context(lethed))
        cookies = {server.name: learn(server) for server in servers}
        time.sleep(1.1)  # what is made anew differs from now on
        for maker, cookie in cookies.items():
            for server in servers:
                assert is_taken(server, cookie), f"{server.name} does not take {maker}'s"
                forged = cookie[:-1] + bytes([cookie[-1] ^ 1])
                assert not is_taken(server, forged), f"{server.name} takes {maker}'s, altered"
        print(f"    {len(servers)} servers took the cookies of {len(servers)}")


def wait_for_socket(server):
    """Until there is an answer of any kind: a policy may be in the way of others."""
    limit = time.monotonic() + peers.READY_S
    while True:
        try:
            ask(server, CLIENT)
            return
        except (AssertionError, OSError):
            if time.monotonic() > limit or server.process.poll() is not None:
                raise peers.ServerError(server.log()) from None
            time.sleep(0.05)


def key_file(tmp, *secrets):
    path = pathlib.Path(tmp, "cookie.keys")
    path.write_text("".join(secret + "\n" for secret in secrets))
    return str(path)


def test_rollover(tmp, zones, build):
    """Old cookies hold as long as their secret stands in the file; SIGHUP is enough."""
    lethed = peers.Lethed(tmp, zones, build, extra=(
        "--cookie-key-file", key_file(tmp, SECRET), "--policy-require-cookie", "always"))
    lethed.wait_ready = lambda: wait_for_socket(lethed)
    with lethed:
        old, steps = learn(lethed), 0
        for secrets, takes_old in (((SECRET, NEXT), True), ((NEXT, SECRET), True), ((NEXT,), False)):
            key_file(tmp, *secrets)
            lethed.process.send_signal(signal.SIGHUP)
            steps += 1
            limit = time.monotonic() + peers.READY_S
            while lethed.log_path.read_text(errors="replace").count("reloaded: ") < steps:
                assert time.monotonic() < limit, lethed.log()
                time.sleep(0.02)
            assert is_taken(lethed, old) == takes_old, secrets
            assert is_taken(lethed, learn(lethed))
        # A file that is not right changes nothing.
        new = learn(lethed)
        key_file(tmp, NEXT, "short")
        lethed.process.send_signal(signal.SIGHUP)
        limit = time.monotonic() + peers.READY_S
        while "cookie.keys:2: must be" not in lethed.log_path.read_text(errors="replace"):
            assert time.monotonic() < limit, lethed.log()
            time.sleep(0.02)
        assert is_taken(lethed, new)


def test_resolver(tmp, zones, build):
    """BIND learns the cookie and resolves over UDP: there is no TCP to go to."""
    if shutil.which("named") is None:
        print("    named: not installed")
        return
    lethed = peers.Lethed(tmp, zones, build, options=("--tcp", "off"),
                          extra=("--policy-require-cookie", "always"))
    lethed.wait_ready = lambda: wait_for_socket(lethed)
    with lethed, Forwarder(tmp, lethed) as resolver:
        limit = time.monotonic() + peers.READY_S
        while True:
            with contextlib.suppress(AssertionError, OSError):
                rcode, is_truncated, _ = ask(resolver, CLIENT, flags=0x100)
                if rcode == 0 and not is_truncated:
                    break
            assert time.monotonic() < limit, resolver.log()
            time.sleep(0.1)
        for i in range(20):
            rcode, is_truncated, _ = ask(resolver, CLIENT, f"nope{i}.example.", 0x100)
            assert rcode == 3 and not is_truncated, rcode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    build = parser.parse_args().build
    failed = 0
    for test in (test_all_take_all, test_rollover, test_resolver):
        with tempfile.TemporaryDirectory(prefix="lethe-cookies-") as tmp:
            os.chmod(tmp, 0o755)
            zone = pathlib.Path(tmp, "example.zone")
            zone.write_text(ZONE)
            try:
                test(tmp, {"example.": zone}, build)
                print("ok  ", test.__name__)
            except (AssertionError, peers.ServerError, OSError) as error:
                failed += 1
                print("FAIL", test.__name__, error)
    sys.exit(failed != 0)


main()
