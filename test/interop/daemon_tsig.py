#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethed asked with signatures, over every transport, by clients and a resolver of others.

usage: daemon_tsig.py LETHED DAEMON_DB CLOCK_SHIFT [driver]

kdig, dig and dnspython ask and verify; BIND resolves through a server whose queries it signs.
"driver": with an XDP program, too. The clients live in a second namespace behind a veth pair.
"""
import base64
import json
import os
import shutil
import signal
import subprocess
import sys

import daemon_lib
from daemon_lib import Daemon, Scratch, need_own_network, refusal, run, wait_until
from netns import SKIP, Here, Network

HAS_DRIVER = "driver" in daemon_lib.MORE
daemon_lib.MORE.clear()
PORT = 53
V4, V6 = "198.18.1.1", "fd00:198:18:1::1"
CLIENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tsig_client.py")
ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512")
TRUNCATED = ("hmac-sha256-128", "hmac-sha384-192", "hmac-sha512-256")
WELL_KNOWN = {"key": ".", "secret": bytes(32).hex(), "algorithm": "hmac-sha256"}

SOCKETS = ()
STATELESS = ("--tcp", "stateless", "--interface", "v0")
MODES = {"sockets": SOCKETS,
         "stateless": STATELESS,
         "classic": STATELESS + ("--tcp-profile", "classic"),
         "fast": STATELESS + ("--udp", "fast", "--io", "packet"),
         "no image": ("--image", "0")}
if HAS_DRIVER:
    MODES = {"hot": STATELESS + ("--udp", "fast", "--io", "packet", "--driver", "hot"),
             "zones": STATELESS + ("--udp", "fast", "--io", "packet", "--driver", "zones"),
             "xdp": STATELESS + ("--udp", "fast", "--io", "xdp", "--driver", "zones")}


def secret_of(algorithm):
    return (algorithm.encode() * 4)[:40]


def key_lines(algorithms):
    return "".join(f"k-{a} {a} {base64.b64encode(secret_of(a)).decode()}\n" for a in algorithms)


def keyed(algorithm):
    return {"key": f"K-{algorithm}", "secret": secret_of(algorithm).hex(), "algorithm": algorithm}


class Peer(Network):
    """Clients behind a veth pair."""

    def __init__(self):
        super().__init__(number=1, server=Here())

    def __enter__(self):
        super().__enter__()
        self.client.run("ethtool", "-K", "v1", "gro", "on")  # needed by frames of an XDP program
        return self

    def ask(self, *jobs):
        """What dnspython says of each job."""
        full = [{"address": V4, "port": PORT, "transport": "udp", "name": "www.example", "type": "A",
                 **job} for job in jobs]
        done = self.client.run(CLIENT, text="".join(json.dumps(job) + "\n" for job in full),
                               timeout=120)
        said = [json.loads(line) for line in done.stdout.splitlines()]
        assert len(said) == len(jobs), done
        return said

    def dig(self, program, *arguments):
        return self.client.run(program, f"@{V4}", "-p", str(PORT), *arguments, check=False).stdout


def daemon(scratch, *options):
    return Daemon("--db", scratch.db, "--listen", f"{V4}@{PORT}", "--listen", f"{V6}@{PORT}", *options)


def keys_file(scratch, text):
    path = scratch.file("keys", text)
    os.chmod(path, 0o600)
    return path


def test_every_transport_and_algorithm():
    for mode, options in MODES.items():
        with Scratch() as scratch, Peer() as peer, \
                daemon(scratch, "--tsig-keys", keys_file(scratch, key_lines(ALGORITHMS + TRUNCATED)),
                       *options) as server:
            if mode in ("hot", "zones", "xdp"):
                server.wait_for("image ready")
            jobs = [{"transport": transport, "address": address, **keyed(algorithm)}
                    for transport in ("udp", "tcp") for address in (V4, V6)
                    for algorithm in ALGORITHMS + TRUNCATED]
            for job, said in zip(jobs, peer.ask(*jobs)):
                assert said["outcome"] == "good" and said["answers"] == 1, (mode, job, said)


def test_same_request_same_octets():
    """Though the clock goes on: what stateless TCP makes again is what it made before."""
    for mode, options in MODES.items():
        with Scratch() as scratch, Peer() as peer, \
                daemon(scratch, "--tsig-keys", keys_file(scratch, key_lines(ALGORITHMS)), *options):
            jobs = [{"transport": transport, "name": name, "type": qtype, "again": 1.2,
                     **keyed("hmac-sha512")}
                    for transport, name, qtype in (("udp", "www.example", "A"),
                                                   ("udp", "nowhere.example", "A"),
                                                   ("tcp", "www.example", "A"),
                                                   ("tcp", "huge.example", "TXT"))]
            for job, said in zip(jobs, peer.ask(*jobs)):
                assert said["outcome"] == "good" and said["same"], (mode, job, said)
            assert said["len"] > 20000, said


def test_answers_are_not_given_again_past_their_time():
    """A request that was good, and answered often enough to be known by any cache, is refused when its
    time is over; so is one whose time has not come."""
    for mode, options in MODES.items():
        with Scratch() as scratch, Peer() as peer, \
                daemon(scratch, "--tsig-keys", keys_file(scratch, key_lines(ALGORITHMS)), *options):
            key = keyed("hmac-sha256")
            for shift, outcome in ((290, "good"), (-290, "good"), (310, "PeerBadTime"),
                                   (-310, "PeerBadTime")):
                for said in peer.ask(*[{"shift": shift, "transport": t, **key}
                                       for t in ("udp", "tcp")]):
                    assert said["outcome"] == outcome, (mode, shift, said)
                    assert said["rcode"] == (0 if outcome == "good" else 9), (mode, shift, said)
            # Without EDNS it is short enough for the driver to remember.
            said = peer.ask({"shift": -296, "again": 5.5, "payload": 0, **key})[0]
            assert said["outcome"] == "good" and said["later"] == 9, (mode, said)


def test_well_known_key():
    with Scratch() as scratch, Peer() as peer:
        jobs = [{**WELL_KNOWN, "transport": transport, "other": other, "again": 1.2}
                for transport in ("udp", "tcp") for other in ("", "0123456789abcdef")]
        with daemon(scratch, "--tsig-well-known", "on"):
            for said in peer.ask(*jobs):
                assert said["outcome"] == "good" and said["same"], said
        with daemon(scratch):
            for said in peer.ask(*jobs):
                assert said["outcome"] == "PeerBadKey" and said["rcode"] == 9, said


def test_wrong_keys():
    with Scratch() as scratch, Peer() as peer, \
            daemon(scratch, "--tsig-keys", keys_file(scratch, key_lines(ALGORITHMS))):
        good = keyed("hmac-sha256")
        for job, outcome in (({**good, "secret": "00"}, "PeerBadSignature"),
                             ({**good, "key": "nobody"}, "PeerBadKey"),
                             ({**good, "algorithm": "hmac-sha512"}, "PeerBadKey"),
                             ({**good, "algorithm": "hmac-sha256-128"}, "PeerBadKey"),
                             ({**good, "algorithm": "hmac-sha1"}, "PeerBadKey")):
            for transport in ("udp", "tcp"):
                said = peer.ask({**job, "transport": transport})[0]
                assert said["outcome"] == outcome and said["rcode"] == 9, (job, said)
                assert said["answers"] == 0, said


def test_room_over_udp():
    with Scratch() as scratch, Peer() as peer, \
            daemon(scratch, "--tsig-keys", keys_file(scratch, key_lines(ALGORITHMS))):
        for payload in (0, 512, 1232, 4096):
            said = peer.ask({"name": "big.example", "type": "TXT", "payload": payload,
                             **keyed("hmac-sha512")})[0]
            limit = min(max(payload, 512), 1232)
            assert said["outcome"] == "good" and said["tc"] and said["len"] <= limit, (payload, said)


def test_dig_and_kdig():
    with Scratch() as scratch, Peer() as peer:
        generated = "".join(Here().run("tsig-keygen", "-a", a, f"g-{a}").stdout for a in ALGORITHMS)
        generated += Here().run("keymgr", "-t", "knot-key", "hmac-sha384").stdout
        with daemon(scratch, "--tsig-keys", keys_file(scratch, generated), "--tsig-well-known", "on"):
            keys = [f"{a}:g-{a}:" + generated.split(f'"g-{a}"')[1].split('secret "')[1].split('"')[0]
                    for a in ALGORITHMS]
            keys += ["hmac-sha384:knot-key:" + generated.split("secret: ")[1].strip(),
                     "hmac-sha256:.:" + base64.b64encode(bytes(32)).decode()]
            for key in keys:
                for arguments in (["www.example"], ["+tcp", "www.example"], ["+dnssec", "nope.example"],
                                  ["+tcp", "huge.example", "TXT"], ["+norec", "example", "SOA"]):
                    for program in ("dig", "kdig"):
                        said = peer.dig(program, "-y", key, *arguments)
                        name = key.split(":")[1].rstrip(".")
                        assert f"\n{name}." in said and "TSIG PSEUDOSECTION" in said, said
                        assert "could not be validated" not in said and ";; ERROR" not in said, said
                        assert "status: NOTAUTH" not in said and "WARNING: TSIG" not in said, said
            wrong = keys[0][:-8] + "AAAAAAA="
            assert "BADSIG" in peer.dig("dig", "-y", wrong, "www.example")


NAMED = """
options {{
    directory "{directory}"; pid-file none; session-keyfile "{directory}/session.key";
    listen-on port 5353 {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
    recursion yes; dnssec-validation no; empty-zones-enable no;
}};
controls {{ }};
key "k-{algorithm}" {{ algorithm {algorithm}; secret "{secret}"; }};
server {address} {{ keys {{ "k-{algorithm}"; }}; tcp-only {tcp_only}; }};
zone "example" {{ type static-stub; server-addresses {{ {address}; }}; }};
"""


def resolve(peer, scratch, algorithm, tcp_only, secret):
    """What BIND says of three names when it signs its queries with that secret."""
    directory = os.path.join(scratch.path, "named")
    os.makedirs(directory, exist_ok=True)
    conf = scratch.file("named.conf", NAMED.format(
        directory=directory, algorithm=algorithm, address=V4, tcp_only=tcp_only,
        secret=base64.b64encode(secret).decode()))
    ask = lambda name, qtype: peer.client.run("dig", "@127.0.0.1", "-p", "5353", "+tries=1",
                                              "+time=8", name, qtype, check=False).stdout
    process = peer.client.start("named", "-4", "-n", "1", "-g", "-c", conf, stdout=subprocess.DEVNULL,
                                stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: "status: " in ask("version.bind", "A"), "BIND")
        return [ask(*question) for question in (("www.example", "A"), ("nope.example", "A"),
                                                ("big.example", "TXT"))]
    finally:
        process.terminate()
        process.wait(30)


def test_bind_signs_its_queries():
    for mode, options in MODES.items():
        if mode in ("no image", "classic"):  # classic is not for resolvers that keep connections
            continue
        with Scratch() as scratch, Peer() as peer, \
                daemon(scratch, "--tsig-keys", keys_file(scratch, key_lines(ALGORITHMS + TRUNCATED)),
                       *options):
            for algorithm, tcp_only in (("hmac-sha256", "no"), ("hmac-sha512", "yes"),
                                        ("hmac-sha256-128", "no")):
                www, nope, big = resolve(peer, scratch, algorithm, tcp_only, secret_of(algorithm))
                assert "192.0.2.80" in www, (mode, algorithm, www)
                assert "status: NXDOMAIN" in nope, (mode, algorithm, nope)
                assert "status: NOERROR" in big and "ANSWER: 14" in big, (mode, algorithm, big)
            www = resolve(peer, scratch, "hmac-sha256", "no", b"another secret")[0]
            assert "status: SERVFAIL" in www, (mode, www)


def test_reload():
    with Scratch() as scratch, Peer() as peer:
        path = keys_file(scratch, key_lines(ALGORITHMS[:1]))
        old, new = keyed("hmac-sha256"), keyed("hmac-sha512")

        def outcomes():
            return [said["outcome"] for said in peer.ask(
                *[{**key, "transport": t} for key in (old, new) for t in ("udp", "tcp")])]

        for options in (SOCKETS, STATELESS):
            keys_file(scratch, key_lines(ALGORITHMS[:1]))
            with daemon(scratch, "--tsig-keys", path, *options) as server:
                assert outcomes() == ["good", "good", "PeerBadKey", "PeerBadKey"]
                keys_file(scratch, key_lines(ALGORITHMS[2:]))
                server.signal(signal.SIGHUP)
                server.wait_for("reloaded: ")
                assert outcomes() == ["PeerBadKey", "PeerBadKey", "good", "good"]
                keys_file(scratch, "\n" + key_lines(["hmac-sha255"]))
                server.signal(signal.SIGHUP)
                server.wait_for(f"not reloaded, all stays as it was: {path}:2: the algorithm is none of")
                assert outcomes() == ["PeerBadKey", "PeerBadKey", "good", "good"]


def test_refusals_and_warnings():
    with Scratch() as scratch:
        listen = ("--db", scratch.db, "--listen", "127.0.0.1@5300")
        secret = base64.b64encode(secret_of("x")).decode()
        path = keys_file(scratch, f"a hmac-sha1 {secret}\n")
        for check in ((), ("--check-config",)):
            status, said = refusal(*listen, "--tsig-keys", path, *check)
            assert status == (2 if check else 1), (status, said)
            assert f"{path}:1: hmac-sha1 is not recommended" in said and secret not in said, said
        assert refusal(*listen, "--tsig-keys", path, "--tsig-sha1", "on", "--check-config")[0] == 0
        status, said = refusal(*listen, "--tsig-keys", scratch.path + "/none")
        assert status == 1 and "none: cannot be read: No such file" in said, said
        os.chmod(path, 0o644)
        with Daemon(*listen, "--tsig-keys", path, "--tsig-sha1", "on") as server:
            assert server.said("everybody on this machine can read them"), server.lines
            assert not server.said(secret), server.lines


need_own_network()
for program in ("dig", "kdig", "named", "tsig-keygen", "keymgr", "ethtool"):
    if shutil.which(program) is None:
        print("SKIP: needs", program)
        sys.exit(SKIP)
if Here().run(CLIENT, text="", check=False).returncode == SKIP:
    print("SKIP: needs python3-dnspython")
    sys.exit(SKIP)
run(globals())
