#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""lethe-query +segments between two network namespaces: a stateless server, and one with state.

    query_segments.py [--build DIR]
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import netns  # noqa: E402

ZONE = "@ 60 SOA ns admin 1 2 3 4 5\n@ 60 NS ns\nns 60 A 192.0.2.1\nbig 60 TXT" + \
    ' "' + '" "'.join("x" * 200 for _ in range(30)) + '"\n'
TOOL = None


def ask(net, *words, inside=()):
    done = net.client.run(*inside, TOOL, "+json", "+time=3", *words, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def check(net, address, is_stateless):
    """Every octet of the response is in the segments; a stateless server tells where it ends."""
    code, (said,) = ask(net, f"@{address}", "big.example.", "TXT", "+segments")
    assert code == 0 and said["transport"] == "TCP", said["notes"]
    seen = said["segments"]
    theirs = [s for s in seen if s["from"] == "server"]
    end = 1 + 2 + said["responseMessage"]["messageOctets"]
    assert [s["flags"] for s in seen[:2]] == ["S", "SA"] and seen[1]["ack"] == 1, seen[:2]
    assert max(s["seq"] + s["len"] for s in theirs if s["len"]) == end, (end, seen)
    assert any("F" in s["flags"] for s in theirs) and seen[0]["microseconds"] == 0, seen
    assert said["statelessServer"] == is_stateless, seen[1]
    if is_stateless:
        asked = 1 + 2 + len(said["queryMessage"]["messageOctetsHEX"]) // 2
        last = [s for s in theirs if s["len"]][-1]
        assert last["responseEnd"] == end - 1 and last["requestNext"] == asked, last
    else:
        assert not any("responseEnd" in s for s in seen)


def check_kept_open(net):
    code, said = ask(net, f"@{net.v4}", "+segments", "+keepopen", "example.", "SOA", "example.", "NS")
    assert code == 0 and len(said) == 2, said
    assert said[0]["segments"][0]["flags"] == "S" and \
        all("S" not in s["flags"] for s in said[1]["segments"]), said[1]["segments"]
    first, second = ([s for s in one["segments"] if s["from"] == "server" and s["len"]] for one in said)
    assert second[0]["seq"] == first[-1]["seq"] + first[-1]["len"], (first, second)


def check_without_privilege(net):
    code, (said,) = ask(net, f"@{net.v4}", "example.", "SOA", "+segments",
                        inside=("setpriv", "--reuid", "65534", "--bounding-set=-all", "--inh-caps=-all"))
    assert code == 0 and "segments" not in said, said
    assert any("CAP_NET_RAW is needed" in text for text in said["notes"]), said["notes"]


def main():
    global TOOL
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/plain")
    build = pathlib.Path(parser.parse_args().build)
    netns.need_own_network()
    with tempfile.TemporaryDirectory(prefix="lethe-segments-") as tmp, netns.Network() as net:
        # Where others than root can run it, too.
        pathlib.Path(tmp).chmod(0o755)
        TOOL = str(pathlib.Path(tmp, "lethe-query"))
        subprocess.run(["cp", build / "tools/lethe-query", TOOL], check=True)
        zone = pathlib.Path(tmp, "zone")
        zone.write_text(ZONE)
        subprocess.run([build / "tools/lethe", "--db", f"{tmp}/db", "zone", "load", "example.", zone],
                       check=True, capture_output=True)
        for mode in ("stateless", "kernel"):
            with netns.Lethed(str(build / "server/lethed"), "--db", f"{tmp}/db", "--listen", f"{net.v4}@53",
                              "--listen", f"{net.v6}@53", "--tcp", mode,
                              *(("--interface", "v0") if mode == "stateless" else ()), place=net.server):
                for address in net.addresses:
                    check(net, address, mode == "stateless")
                check_kept_open(net)
                check_without_privilege(net)
    return 0


sys.exit(main())
