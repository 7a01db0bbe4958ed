#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Honest clients beside a flood of SYNs in the name of others.

    syn_flood.py LETHED LETHE SYN_SENDER [--seconds N] [--rate SYNS] [--clients N] [--peers]
                 [--json FILE]

As many SYNs as one processor makes (or --rate a second) come from random addresses of 198.18.0.0/15.
Beside them honest clients of the Linux kernel connect, so many a second, and ask one question or two
each; a client succeeds if all answers are right and come within 20 seconds.  Of lethed, profile
modern, 99 % must succeed, and its memory must stay what it was.  --peers floods lethed on the
kernel's TCP, NSD and Knot DNS as well, and NSD once more where the kernel makes no SYN cookies.

What floods pays for the work of a server in the kernel here: on a virtual wire the receiver's kernel
runs on the sender's time.  Compare at equal --rate, or by syn_ack.
"""
import argparse
import asyncio
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import loaded  # noqa: E402
from netns import Network, skip_unless, wait_until  # noqa: E402

PATIENCE_S = 20
SHARE = 0.99
# The constant caches of lethed fill as honest clients use them; no more than they can ever be.
FLAT_KB = 5 * 1024
COLUMNS = (("server", "{}"), ("syn_per_s", "{:.0f}"), ("syn_ack", "{}"), ("clients", "{}"),
           ("success", "{:.4f}"), ("median_ms", "{:.1f}"), ("p99_ms", "{:.0f}"),
           ("longest_ms", "{:.0f}"), ("memory_kb", "{}"), ("tcp_slab_kb", "{}"))
# What answers the flood is for nobody.
SINK = """
table netdev sink {
    chain in {
        type filter hook ingress device v1 priority 0
        ip daddr != 198.18.0.0/24 counter drop
    }
}
"""


# ---- the honest clients: a process in their namespace ----

async def exchange(reader, writer, ident, wanted):
    message = struct.pack("!H", ident) + loaded.QUERY[2:]
    writer.write(struct.pack("!H", len(message)) + message)
    length = struct.unpack("!H", await reader.readexactly(2))[0]
    response = await reader.readexactly(length)
    if response != message[:2] + wanted[2:]:
        raise ValueError("another response")


async def client(address, number, wanted):
    """Two questions, or one."""
    reader, writer = await asyncio.open_connection(address, loaded.PORT)
    try:
        for i in range(1 + number % 2):
            await exchange(reader, writer, (number * 2 + i) & 0xffff, wanted)
    finally:
        writer.close()


async def timed(address, number, wanted, times, failures):
    begun = time.monotonic()
    try:
        await asyncio.wait_for(client(address, number, wanted), PATIENCE_S)
        times.append(time.monotonic() - begun)
    except Exception as error:  # pylint: disable=broad-except
        failures.append(repr(error))


async def clients(address, rate, seconds, wanted):
    """So many a second, whatever becomes of those before."""
    times, failures, tasks = [], [], []
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        due = int((time.monotonic() - begun) * rate) + 1
        while len(tasks) < due:
            tasks.append(asyncio.create_task(timed(address, len(tasks), wanted, times, failures)))
        await asyncio.sleep(0.002)
    await asyncio.gather(*tasks)
    times.sort()
    at = [times[min(len(times) - 1, int(len(times) * share))] * 1000 if times else None
          for share in (0.5, 0.99, 1)]
    return {"clients": len(tasks), "succeeded": len(times), "median_ms": at[0], "p99_ms": at[1],
            "longest_ms": at[2], "failures": sorted(set(failures))[:5]}


# ---- the flood ----

def honest(net, args, seconds, wanted):
    done = net.client.run(sys.executable, os.path.abspath(__file__), "--client", net.v4,
                          str(args.clients), str(seconds), wanted.hex(),
                          timeout=seconds + PATIENCE_S + 60)
    return json.loads(done.stdout)


def frames(net):
    """Received by the client's device."""
    said = json.loads(net.client.run("ip", "-j", "-s", "link", "show", "v1").stdout)
    return said[0]["stats64"]["rx"]["packets"]


def dropped(net):
    listing = net.client.run("nft", "list", "table", "netdev", "sink").stdout
    return int(re.search(r"counter packets (\d+)", listing)[1])


def flood(kind, args, directory, has_cookies=True):
    """One server: the row of the table."""
    with Network() as net:
        net.server.sysctl(net__ipv4__tcp_syncookies=int(has_cookies))
        loaded.prepare_routes(net)
        net.client.run("nft", "-f", "-", text=SINK)
        with loaded.start(kind, net, directory, args.lethed, args.lethe) as server:
            wanted = server.response()
            calm = honest(net, args, 1, wanted)
            before = server.memory_kb(), loaded.tcp_slab_kb()
            sender = net.client.start(args.syn_sender, "v1", loaded.server_mac(net), net.v4,
                                      str(loaded.PORT), str(args.seconds + 2 * PATIENCE_S),
                                      str(args.rate),
                                      stdout=subprocess.PIPE, text=True)
            try:
                wait_until(lambda: dropped(net) > 100, "answers to the flood")
                row = honest(net, args, args.seconds, wanted)
                sender.terminate()  # not before the last of them
                sent, milliseconds = map(int, sender.communicate(timeout=120)[0].split())
            finally:
                if sender.poll() is None:
                    sender.kill()
                    sender.wait()
            row.update(memory_kb=server.memory_kb() - before[0],
                       tcp_slab_kb=loaded.tcp_slab_kb() - before[1])
        row.update(server=kind + ("" if has_cookies else ", no SYN cookies"), calm=calm,
                   syn_sent=sent, syn_per_s=sent * 1000 / milliseconds, syn_ack=dropped(net),
                   memory_before_kb=before[0], success=row["succeeded"] / row["clients"])
    return row


def faults_of(row):
    """What of lethed, profile modern, is not as it should be."""
    faults = []
    if row["calm"]["succeeded"] != row["calm"]["clients"]:
        faults.append(f"before the flood: {row['calm']}")
    if row["success"] < SHARE:
        faults.append(f"{row['succeeded']} of {row['clients']} clients succeeded; "
                      f"{row['failures']}")
    if row["memory_kb"] > FLAT_KB:
        faults.append(f"memory grew by {row['memory_kb']} KB")
    if row["syn_sent"] < 10000 or row["syn_ack"] < row["syn_sent"] // 100:
        faults.append(f"no flood: {row['syn_sent']} sent, {row['syn_ack']} answered")
    return faults


def main():
    if sys.argv[1:2] == ["--client"]:
        address, rate, seconds, wanted = sys.argv[2:]
        print(json.dumps(asyncio.run(clients(address, float(rate), float(seconds),
                                             bytes.fromhex(wanted)))))
        return 0
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for program in ("lethed", "lethe", "syn_sender"):
        options.add_argument(program, type=os.path.abspath)
    options.add_argument("--seconds", type=int, default=6)
    options.add_argument("--rate", type=int, default=0)
    options.add_argument("--clients", type=int, default=200)
    options.add_argument("--peers", action="store_true")
    options.add_argument("--json")
    args = options.parse_args()
    skip_unless("dig", *(("nsd", "knotd") if args.peers else ()))
    rows, faults = [], []
    with tempfile.TemporaryDirectory(prefix="lethe-flood-") as directory:
        os.chmod(directory, 0o755)
        for kind in ("lethed modern", *(("lethed kernel", *loaded.PEERS) if args.peers else ())):
            rows.append(flood(kind, args, directory))
            if kind == "lethed modern":
                faults = faults_of(rows[-1])
        if args.peers:
            rows.append(flood("nsd", args, directory, has_cookies=False))
    return loaded.report(rows, COLUMNS, args.json, faults)


if __name__ == "__main__":
    sys.exit(main())
