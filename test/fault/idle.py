#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Very many idle TCP connections: what they cost the server, and whether they are still answered.

    idle.py LETHED LETHE IDLE_CLIENTS [--connections N] [--sample N] [--hold SECONDS] [--peers]
            [--json FILE]

Connections are opened by a client without sockets; nearly all ask a question, then all are idle.
lethed, profile modern, must hold no more memory than before, nor may its kernel have a socket more;
then a sample chosen at random must be answered on the connections as they are.  --peers measures
lethed on the kernel's TCP, NSD and Knot DNS as well, with 15,000 connections or fewer.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
import loaded  # noqa: E402
from idle_clients import IdleClients  # noqa: E402
from netns import Network, skip_unless  # noqa: E402

# The constant caches of lethed fill as they are used; no more than they can ever be.
FLAT_KB = 5 * 1024
WARM_UP = 500
FIRST_ADDRESS = "198.18.64.1"
COLUMNS = (("server", "{}"), ("connections", "{}"), ("memory_kb", "{}"),
           ("memory_each_b", "{:.0f}"), ("kernel_sockets", "{}"), ("tcp_slab_kb", "{}"),
           ("slab_kb", "{}"), ("kernel_each_b", "{:.0f}"), ("asked", "{}"), ("right", "{}"))


def start_clients(program, net, server):
    """The client without sockets."""
    return IdleClients(net.client.start(
        program, "v1", loaded.server_mac(net), net.v4, str(loaded.PORT), FIRST_ADDRESS,
        loaded.QUERY.hex(), server.response().hex(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        text=True))


def measure(server):
    return {"memory_kb": server.memory_kb(), "kernel_sockets": server.sockets(),
            "tcp_slab_kb": loaded.tcp_slab_kb(), "slab_kb": loaded.slab_kb()}


def hold_idle(kind, args, count, directory):
    """One server: the row of the table."""
    with Network() as net:
        loaded.prepare_routes(net)
        with loaded.start(kind, net, directory, args.lethed, args.lethe) as server, \
                start_clients(args.idle_clients, net, server) as clients:
            clients.say("open", WARM_UP)
            clients.say("ask", WARM_UP, args.seed)
            before = measure(server)
            said = clients.say("open", count - WARM_UP)
            opened = said["opened"] + WARM_UP
            first = clients.say("ask", count - WARM_UP, args.seed + 1)
            time.sleep(args.hold)
            after = measure(server)
            second = clients.say("ask", args.sample, args.seed + 2)
            memory_end = server.memory_kb()
            clients.say("close")
    row = {key: after[key] - before[key] for key in after}
    more = max(1, opened - WARM_UP)
    row.update(server=kind, connections=opened, memory_before_kb=before["memory_kb"],
               memory_end_kb=memory_end - before["memory_kb"], not_opened=said,
               memory_each_b=row["memory_kb"] * 1024 / more,
               kernel_each_b=row["slab_kb"] * 1024 / more, first=first, second=second,
               asked=sum(second.values()), right=second["right"])
    return row


def faults_of(row, args):
    """What of lethed, profile modern, is not as it should be."""
    wanted = {"wrong": 0, "reset": 0, "silent": 0}
    faults = []
    if row["connections"] != args.connections:
        faults.append(f"{row['connections']} of {args.connections} opened: {row['not_opened']}")
    for which, count in (("first", args.connections - WARM_UP), ("second", args.sample)):
        if row[which] != {"right": count, **wanted}:
            faults.append(f"{count} asked: {row[which]}")
    for key in ("memory_kb", "memory_end_kb"):
        if row[key] > FLAT_KB:
            faults.append(f"{key} grew by {row[key]} KB")
    if row["kernel_sockets"] > 0:
        faults.append(f"{row['kernel_sockets']} sockets more")
    return faults


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    for program in ("lethed", "lethe", "idle_clients"):
        options.add_argument(program, type=os.path.abspath)
    options.add_argument("--connections", type=int, default=20000)
    options.add_argument("--sample", type=int, default=1000)
    options.add_argument("--hold", type=float, default=1)
    options.add_argument("--peers", action="store_true")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--json")
    args = options.parse_args()
    skip_unless("dig", *(("nsd", "knotd") if args.peers else ()))
    kinds = ("lethed modern",) + (("lethed kernel", *loaded.PEERS) if args.peers else ())
    rows, faults = [], []
    with tempfile.TemporaryDirectory(prefix="lethe-idle-") as directory:
        os.chmod(directory, 0o755)
        for kind in kinds:
            count = args.connections
            if kind != "lethed modern":
                count = min(count, loaded.PEER_CONNECTIONS - WARM_UP)
            rows.append(hold_idle(kind, args, count, directory))
            if kind == "lethed modern":
                faults = faults_of(rows[-1], args)
    return loaded.report(rows, COLUMNS, args.json, faults)


if __name__ == "__main__":
    sys.exit(main())
