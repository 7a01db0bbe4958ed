#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Connections of profile modern outlive the server, and live with two of them.

    survive.py --build DIR [--kills 20] [--responses 1500]

First a server is killed by SIGKILL and started again, so many times, while hundreds of clients ask.
Then a second one is refused where the first one serves. Then two servers with the same keys and the
same zone have one address, and the packets of each connection go to the one and the other in turns.
Each response must be the one that the kernel's TCP gives in peace, and each connection lives to its
end.
"""
import argparse
import os
import signal
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[1:1] = [os.path.join(HERE, "..")]
sys.dont_write_bytecode = True
import tcp_client  # noqa: E402
from bed import MEMORY_KB, SIZES, Bed, must_all_be_right, said  # noqa: E402
from netns import (Here, Lethed, Namespace, Network, captured, need_own_network,  # noqa: E402
                   run_tests, skip_unless, wait_until)

class Switch(Network):
    """A client and two servers with the same addresses and the same MAC address; what the client
    sends goes to the one and the other in turns, packet by packet."""

    def __enter__(self):
        self.client, self.middle, self.servers = Here(), Namespace(), [Namespace(), Namespace()]
        self.server = self.servers[0]
        self.middle.ip(f"link add m0 type veth peer name v1 netns {self.client.pid()}")
        for server, device in zip(self.servers, ("toa", "tob")):
            self.middle.ip(f"link add {device} type veth peer name v0 netns {server.pid()}")
            server.ip("link set v0 address 02:00:00:00:00:53")
        ends = [(server, "v0", self.v4, self.v6) for server in self.servers]
        for side, device, v4, v6 in [*ends, (self.client, "v1", self.client_v4, self.client_v6)]:
            side.ip(f"address add {v4}/24 dev {device}")
            side.ip(f"address add {v6}/64 dev {device} nodad")
            side.ip(f"link set {device} up")
        text = "table netdev turns {\n"
        for device, rule in (("m0", 'numgen inc mod 2 == 0 counter fwd to "toa"\n'
                                    '        counter fwd to "tob"'),
                             ("toa", 'fwd to "m0"'), ("tob", 'fwd to "m0"')):
            self.middle.ip(f"link set {device} up")
            text += f"    chain {device} {{\n        type filter hook ingress device {device} " \
                    f"priority 0;\n        {rule}\n    }}\n"
        self.middle.run("nft", "-f", "-", text=text + "}\n")
        return self

    def __exit__(self, *_):
        self.client.ip("link delete v1", check=False)
        for namespace in (self.middle, *self.servers):
            namespace.end()


class Load(threading.Thread):
    """Clients, until they are told to stop."""

    def __init__(self, net, known):
        super().__init__()
        self.net, self.known = net, known
        self.is_over, self.results, self.error = False, [], None

    def run(self):
        seed = 0
        try:
            while not self.is_over:
                seed += 1
                conversations = tcp_client.plan(self.known, 500, seed)
                self.results.append(tcp_client.converse(self.net.addresses, 53, conversations,
                                                        self.known, at_once=100, stuck_s=120))
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def must_be_right(self):
        self.join()
        if self.error:
            raise self.error
        for result in self.results:
            must_all_be_right(result, 500)
        return self.results


def how(options):
    return (["--io", options.io] * (options.io is not None) + ["--driver", "on"] * options.driver +
            ["--driver", "zones", "--image", "16M"] * options.zones)


def test_kill(directory, options):
    with Network(client=Here()) as net, captured(options.pcap):
        cuts = len(SIZES) if options.zones else 0
        bed = Bed(options.build, directory, net, cuts=cuts, options=how(options))
        # A veth delivers what the other end's driver sends only with NAPI.
        if options.driver or options.zones:
            Here().run("ethtool", "-K", "v1", "gro", "on")
        with bed.serve() as lethed:
            known = bed.learn()
            lethed.end(signal.SIGKILL)
        load, memory = Load(net, known), []
        begun = time.monotonic()
        lethed = bed.serve()
        try:
            load.start()
            for i in range(options.kills):
                time.sleep(0.05 + 0.1 * (i % 5))
                memory.append(lethed.memory_kb())
                lethed.end(signal.SIGKILL)
                lethed = bed.serve()
        finally:
            load.is_over = True
            load.join()
            lethed.end(signal.SIGKILL)
        results = load.must_be_right()
        print(f"    killed {options.kills} times while "
              f"{sum(result.responses for result in results)} responses went over "
              f"{sum(result.connections for result in results)} connections, all right, none lost, "
              f"{time.monotonic() - begun:.0f} s; memory when killed: {min(memory)} to "
              f"{max(memory)} kB")
        assert max(memory) - memory[0] < MEMORY_KB, memory
        wait_until(lambda: net.server.guards() == [], "the firewall rules to go")


def test_second(directory, options):
    """Two daemons would both answer each frame. The second must not start, unless it is elsewhere."""
    with Network(client=Here()) as net:
        bed = Bed(options.build, directory, net, options=how(options))
        common = ["--db", bed.database, "--workers", "1", *bed.options]

        def start(*addresses, place=net.server, more=("--udp", "fast")):
            listens = sum((["--listen", address, "--tcp", "stateless", "--interface", "v0"]
                           for address in addresses), [])
            return Lethed(bed.program("server/lethed"), *common, *more, *listens, place=place,
                          wait=False)

        def must_run(lethed):
            lethed.wait_for("ready")
            return lethed

        def must_be_refused(lethed, pid):
            status = lethed.process.wait(20)
            lethed.end()
            assert status == 1 and lethed.said("already") and lethed.said(f"process {pid} "), \
                (status, lethed.lines)

        v4, v6 = f"{net.v4}@53", f"{net.v6}@53"
        with must_run(start(v4)) as first:
            pid = first.process.pid
            must_be_refused(start(v4), pid)
            must_be_refused(start(v4, more=()), pid)  # UDP by sockets
            must_be_refused(start(v6, v4), pid)
            must_be_refused(start("0.0.0.0@53"), pid)
            first.signal(signal.SIGHUP)
            first.wait_for("reloaded")
            must_be_refused(start(v4), pid)
            with must_run(start(v6)), must_run(start(f"{net.v4}@5353", "0.0.0.0@54")) as third:
                must_be_refused(start(f"{net.v4}@54"), third.process.pid)
            with Network() as elsewhere:  # the same interface, address and port
                with must_run(start(v4, place=elsewhere.server)):
                    pass
            first.end(signal.SIGKILL)
            with must_run(start(v4)):
                pass


def test_two_servers(directory, options):
    with Network(client=Here()) as net:
        bed = Bed(options.build, directory, net, options=how(options))
        with bed.serve():
            known = bed.learn()
    with Switch() as net, captured(options.pcap):
        bed.net = net
        with bed.serve(net.servers[0]) as one, bed.serve(net.servers[1]) as other:
            for percent in (0, 5):
                net.lose(percent)
                memory = one.memory_kb(), other.memory_kb()
                begun = time.monotonic()
                conversations = tcp_client.plan(known, options.responses, 40 + percent)
                result = tcp_client.converse(net.addresses, 53, conversations, known, 200, 180)
                print(f"    {percent} % lost: {said(result, begun)}; memory before {memory}, after "
                      f"{one.memory_kb()}, {other.memory_kb()} kB", flush=True)
                must_all_be_right(result, options.responses)
                assert max(one.memory_kb(), other.memory_kb()) - max(memory) < MEMORY_KB
            used = [server.cpu_ticks() for server in (one, other)]
            assert min(used) * 4 > max(used), f"not in turns: {used}"
            net.lose(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", default="build", help="where lethe and lethed were built")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--responses", type=int, default=1500, help="of two servers")
    parser.add_argument("--only", help="kill, second or two_servers")
    parser.add_argument("--pcap", help="write what passes the client's interface")
    parser.add_argument("--io", help="how lethed carries frames")
    parser.add_argument("--driver", action="store_true", help="a program in the driver answers too")
    parser.add_argument("--zones", action="store_true", help="and requests, for half of the names")
    options = parser.parse_args()
    skip_unless(*["ethtool"] * (options.driver or options.zones))
    need_own_network()
    tests = {name: test for name, test in globals().items() if name.startswith("test_")
             and options.only in (None, name[5:])}
    with tempfile.TemporaryDirectory(prefix="lethe-survive-") as directory:
        run_tests(tests, directory, options)


main()
