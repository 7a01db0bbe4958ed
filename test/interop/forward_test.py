#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe-forward between dig and lethed, while somebody alters what comes over UDP.

    forward_test.py --build DIR

The zone's only address is 192.0.2.1; whoever alters makes it 203.0.113.1.  Over TCP nobody does.
Exit code 0, 1, or 77: cannot run here.
"""
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import netns  # pylint: disable=wrong-import-position
import peers  # pylint: disable=wrong-import-position

BUILD = sys.argv[sys.argv.index("--build") + 1]
FORWARD = os.path.join(BUILD, "tools/lethe-forward")
HONEST, FALSE = "192.0.2.1", "203.0.113.1"
ZONE = """$ORIGIN forward.example.
$TTL 60
@ SOA ns hostmaster 1 3600 900 604800 60
@ NS ns
ns A 192.0.2.1
www A 192.0.2.1
""" + "".join(f"large TXT \"{number:03d} {'x' * 60}\"\n" for number in range(40))


class Wire:
    """Carries questions to a server, over UDP and TCP; what goes back over UDP is altered."""

    def __init__(self, server, has_tcp=True):
        self.server = server
        self.port = peers.free_port()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", self.port))
        self.tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.tcp.bind(("127.0.0.1", self.port))
        threading.Thread(target=self._carry_udp, daemon=True).start()
        if has_tcp:
            self.tcp.listen()
            threading.Thread(target=self._accept, daemon=True).start()

    def _carry_udp(self):
        while True:
            try:
                query, client = self.udp.recvfrom(65535)
            except OSError:
                return
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
                far.settimeout(2)
                far.sendto(query, self.server)
                with contextlib.suppress(OSError):
                    answer = far.recv(65535)
                    self.udp.sendto(answer.replace(socket.inet_aton(HONEST),
                                                   socket.inet_aton(FALSE)), client)

    def _accept(self):
        while True:
            try:
                near, _ = self.tcp.accept()
            except OSError:
                return
            far = socket.create_connection(self.server)
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry_tcp, args=(one, other), daemon=True).start()

    @staticmethod
    def _carry_tcp(one, other):
        with contextlib.suppress(OSError):
            while octets := one.recv(65535):
                other.sendall(octets)
            other.shutdown(socket.SHUT_WR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in (self.udp, self.tcp):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


class Forward:
    """lethe-forward before a port of this host."""

    def __init__(self, to_port, *options):
        self.port = peers.free_port()
        self.process = subprocess.Popen(
            [FORWARD, "--listen", f"127.0.0.1@{self.port}", "--to", f"127.0.0.1@{to_port}",
             "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stderr.readline()
        assert "ready" in line, line
        self.counts = None

    def ask(self, name="www", kind="A", *options):
        run = subprocess.run(
            ["dig", "+tries=1", "+time=3", f"@127.0.0.1", "-p", str(self.port), *options,
             f"{name}.forward.example.", kind], capture_output=True, text=True, check=False)
        return run.stdout

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGTERM)
        out, said = self.process.communicate(timeout=20)
        if kind is None:
            assert self.process.returncode == 0, (self.process.returncode, said)
            self.counts = json.loads(out)


@contextlib.contextmanager
def server(directory, config=""):
    """lethed with the zone; its address and port."""
    path = os.path.join(directory, "zone")
    with open(path, "w", encoding="ascii") as file:
        file.write(ZONE)
    with tempfile.TemporaryDirectory(dir=directory) as place:
        file = os.path.join(place, "lethed.yaml")
        with open(file, "w", encoding="ascii") as out:
            out.write(config + "\n")
        with peers.Lethed(place, {"forward.example.": path}, BUILD,
                          extra=("--config", file) if config else ()) as lethed:
            yield lethed.address, lethed.port


def must(answer, said, not_said):
    assert said in answer and not_said not in answer, answer


def test_alteration_is_believed_without(directory):
    with server(directory) as at, Wire(at) as wire, Forward(wire.port) as forward:
        must(forward.ask(), FALSE, HONEST)
    assert forward.counts["good"] == 1, forward.counts


def test_alteration_is_found(directory):
    for config, options in (("", ("--checksum", "00")), ("", ("--checksum", "01")),
                            ("tsig:\n  well-known: on", ("--tsig", "well-known"))):
        with server(directory, config) as at, Wire(at) as wire, \
                Forward(wire.port, *options) as forward:
            for _ in range(3):
                must(forward.ask(), HONEST, FALSE)
        assert forward.counts["bad"] == forward.counts["by_tcp"] == 3, (options, forward.counts)
        assert forward.counts["good"] == 3, (options, forward.counts)


def test_what_is_not_altered_stays_on_udp(directory):
    for options in (("--checksum", "00"), ("--checksum", "01"), ("--tsig", "well-known")):
        with server(directory, "tsig:\n  well-known: on") as at, \
                Forward(at[1], *options) as forward:
            answer = forward.ask()
            must(answer, HONEST, FALSE)
            assert "TSIG" not in answer and "malformed" not in answer, answer
        assert forward.counts["by_tcp"] == 0 and forward.counts["good"] == 1, forward.counts


def test_alteration_without_tcp_is_no_answer(directory):
    with server(directory) as at, Wire(at, has_tcp=False) as wire, \
            Forward(wire.port, "--checksum", "01") as forward:
        answer = forward.ask()
        assert HONEST not in answer and FALSE not in answer, answer
    assert forward.counts["bad"] == 1 and forward.counts["good"] == 0, forward.counts


def test_tcp_first(directory):
    with server(directory) as at:
        with Wire(at) as wire, Forward(wire.port, "--tcp-first") as forward:
            for _ in range(3):
                must(forward.ask(), HONEST, FALSE)
        assert forward.counts["by_tcp"] == 3 and forward.counts["fell_back"] == 0, forward.counts
        with Wire(at, has_tcp=False) as wire, Forward(wire.port, "--tcp-first") as forward:
            must(forward.ask(), FALSE, HONEST)
        assert forward.counts["fell_back"] == 1, forward.counts


def test_absent(directory):
    with server(directory, "checksum:\n  enabled: off") as at, Wire(at) as wire:
        with Forward(wire.port, "--checksum", "01") as forward:
            must(forward.ask(), FALSE, HONEST)
        assert forward.counts["absent"] == 1, forward.counts
        with Forward(wire.port, "--checksum", "01", "--absent-by-tcp") as forward:
            must(forward.ask(), HONEST, FALSE)
        # Over TCP it is absent, too, and passed on.
        assert forward.counts["absent"] == 2 and forward.counts["by_tcp"] == 1, forward.counts


def test_large_over_tcp_is_truncated_for_the_client(directory):
    with server(directory) as at, Forward(at[1], "--tcp-first") as forward:
        answer = forward.ask("large", "TXT", "+ignore", "+bufsize=1232")
        assert " tc" in answer and "ANSWER: 0" in answer, answer
        answer = forward.ask("large", "TXT", "+ignore", "+bufsize=8000")
        assert " tc" not in answer and "ANSWER: 40" in answer, answer


def test_rubbish(directory):
    with server(directory) as at, Forward(at[1]) as forward:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            for octets in (b"", b"\0", b"\0" * 12, b"\xff" * 40, b"\0\1\1\0\0\1" + b"\0" * 6,
                           b"\0\1\x81\0\0\1" + b"\0" * 11):
                udp.sendto(octets, ("127.0.0.1", forward.port))
        must(forward.ask(), HONEST, FALSE)
    assert forward.counts["refused"] == 6 and forward.counts["questions"] == 7, forward.counts


def test_usage(_):
    for options, said in ((("--to", "127.0.0.1"), "--listen is needed"),
                          (("--listen", "nowhere"), "nowhere"),
                          (("--listen", "127.0.0.1@0"), "127.0.0.1@0"),
                          (("--listen", "127.0.0.1", "--checksum", "02"), "02"),
                          (("--listen", "127.0.0.1", "--checksum-code", "70000"), "70000"),
                          (("--listen", "127.0.0.1", "--tsig", "/nowhere/key"), "/nowhere/key"),
                          (("--listen", "127.0.0.1", "more"), "more")):
        run = subprocess.run([FORWARD, *options], capture_output=True, text=True, check=False)
        assert run.returncode == 2 and said in run.stderr, (options, run)
    run = subprocess.run([FORWARD, "--listen", "192.0.2.77", "--to", "127.0.0.1"],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 1 and "192.0.2.77@53" in run.stderr, run


KEY = "key \"forward-key\" { algorithm hmac-sha256; secret \"%s\"; };\n"
SECRET, OTHER = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ICE=", "bm90IHRoYXQgb25lLCBidXQgYW5vdGhlciBvbmUgISE="


class SignedBind(peers.Bind):
    """BIND that knows the key."""

    def prepare(self):
        command = super().prepare()
        with open(self.directory / "named.conf", "a", encoding="ascii") as file:
            file.write(KEY % SECRET)
        return command


def test_key_of_ones_own(directory):
    """With lethed and BIND: altered responses are found; who has another key is not believed."""
    files = {}
    for name, text in (("key", KEY % SECRET), ("other", KEY % OTHER),
                       ("two", KEY % SECRET + (KEY % OTHER).replace("forward", "second"))):
        files[name] = os.path.join(directory, name)
        with open(files[name], "w", encoding="ascii") as file:
            file.write(text)

    @contextlib.contextmanager
    def bind():
        with SignedBind(directory, {"forward.example.": os.path.join(directory, "zone")}) as named:
            yield named.address, named.port

    for kind in (lambda: server(directory, f"tsig:\n  keys: {files['key']}"), bind):
        with kind() as at:
            with Forward(at[1], "--tsig", files["key"]) as forward:
                answer = forward.ask()
                must(answer, HONEST, FALSE)
                assert "TSIG" not in answer, answer
            assert forward.counts["good"] == 1 and forward.counts["by_tcp"] == 0, forward.counts
            with Wire(at) as wire, Forward(wire.port, "--tsig", files["key"]) as forward:
                must(forward.ask(), HONEST, FALSE)
            assert forward.counts["bad"] == forward.counts["good"] == 1, forward.counts
            with Forward(at[1], "--tsig", files["other"]) as forward:
                assert "no servers could be reached" in forward.ask()
            assert forward.counts["good"] == 0 and forward.counts["bad"] == 2, forward.counts
    run = subprocess.run([FORWARD, "--listen", "127.0.0.1", "--tsig", files["two"]],
                         capture_output=True, text=True, check=False)
    assert run.returncode == 2 and "2 keys, not one" in run.stderr, run


def test_transparent(directory):
    """On a gateway, by IPv4 and IPv6, as nobody."""
    if os.geteuid() != 0:
        print("      not tried: needs root, for namespaces")
        return
    client, gateway, far = (netns.Namespace() for _ in range(3))
    database = os.path.join(directory, "transparent")
    zone = os.path.join(directory, "zone")
    subprocess.run([os.path.join(BUILD, "tools/lethe"), "--db", database, "zone", "load",
                    "forward.example.", zone], check=True, capture_output=True)
    try:
        for number, (side, near) in enumerate(((client, "g0"), (far, "g1"))):
            gateway.ip(f"link add {near} type veth peer name e0 netns {side.pid()}")
            for place, device, host in ((gateway, near, 1), (side, "e0", 2)):
                place.ip(f"address add 198.18.{number}.{host}/24 dev {device}")
                place.ip(f"address add fd00:198:18:{number}::{host}/64 dev {device} nodad")
                place.ip(f"link set {device} up")
            side.ip(f"route add default via 198.18.{number}.1")
            side.ip(f"route add default via fd00:198:18:{number}::1")
        gateway.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        for family, table in (("-4", "ip"), ("-6", "ip6")):
            gateway.ip(f"{family} rule add fwmark 1 lookup 100")
            gateway.ip(f"{family} route add local default dev lo table 100")
            gateway.run("nft", "-f", "-", text=f"table {table} diverted {{\nchain in {{\n"
                        "type filter hook prerouting priority mangle\niifname \"g0\" "
                        "udp dport 53 tproxy to :53 meta mark set 1 accept\n}\n}\n")
        with netns.Lethed(os.path.join(BUILD, "server/lethed"), "--db", database, "--listen",
                          "0.0.0.0@53", "--listen", "::@53", place=far):
            for any_address, to in (("0.0.0.0", "198.18.1.2"), ("::", "fd00:198:18:1::2")):
                process = gateway.start(FORWARD, "--listen", any_address, "--checksum", "01",
                                        "--user", "nobody", "--json", stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
                try:
                    assert "ready" in process.stderr.readline()
                    with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                        status = dict(line.split(":\t", 1) for line in file)
                    assert "0" not in status["Uid"].split() + status["Gid"].split(), status
                    assert status["Groups"].strip() == "", status
                    assert all(not int(status[caps], 16) for caps in
                               ("CapEff", "CapPrm", "CapInh", "CapBnd")), status
                    assert status["NoNewPrivs"].strip() == "1", status
                    answer = client.run("dig", "+tries=2", "+time=3", f"@{to}",
                                        "www.forward.example.", "A", check=False).stdout
                    must(answer, HONEST, FALSE)
                    assert f"SERVER: {to}#53" in answer, answer
                finally:
                    process.terminate()
                    out, said = process.communicate(timeout=20)
                assert process.returncode == 0, said
                assert json.loads(out)["good"] >= 1, out
    finally:
        for place in (client, gateway, far):
            place.end()


def main():
    if shutil.which("dig") is None:
        print("SKIP: needs dig")
        sys.exit(netns.SKIP)
    with tempfile.TemporaryDirectory(prefix="lethe-forward-test-") as directory:
        netns.run_tests(globals(), directory)


if __name__ == "__main__":
    main()
