# SPDX-License-Identifier: BSD-2-Clause
"""The networks of the lab: servers, a wire with or without somebody who tampers, resolver and clients.

    server [s0] --- [q0] router [q9] --- [w0] wire [w1] --- [g1] gateway [g0] --- [r0] resolver, clients
    ...    [s0] --- [q1]

lethed sends no fragments: its link takes packets of 3000 octets, and it is the router, whose other
link takes 1500, that makes fragments of them, as routers of IPv4 do. The gateway routes, or forwards
the resolver's queries by lethe-forward.

Where the kernel lets us, what comes to the router is handled by the processor of the servers, and what
comes to the gateway by that of the resolver, as if they were two machines.

All addresses are in 198.18.0.0/15 and in namespaces that end with this process.
"""
import os
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(1, os.path.join(ROOT, "test"))
sys.path.insert(1, os.path.join(ROOT, "test", "interop"))
from netns import Namespace, wait_until  # noqa: E402

# Of each server a link of its own: .1 and the router .2, .5 and .6, ...
SERVERS = "198.18.1."
ADDRESSES = tuple(f"{SERVERS}{4 * number + 1}" for number in range(4))
ROUTER_OUTSIDE = "198.18.3.1"
GATEWAY, GATEWAY_INSIDE = "198.18.3.2", "198.18.2.1"
RESOLVER = "198.18.2.2"
# The most that XDP takes on a veth pair is 3504. lethe-forward truncates what it would have to send in
# fragments, so there is room behind it; other packets than its own there are as long as on the wire.
SERVERS_MTU, MTU, NEAR_MTU = 3000, 1500, 3000
# How long the resolver's kernel waits for the other fragments: 30 by default.
FRAGMENT_S = 1
SERVER_CPU, RESOLVER_CPU = "0", "1"


class World:
    """Made by a with statement, gone behind it."""

    def __init__(self):
        self.tamperer = None
        self.is_bridged = False
        self.places = []

    def namespace(self):
        self.places.append(Namespace())
        return self.places[-1]

    def __enter__(self):
        try:
            self.servers = {address: self.namespace() for address in ADDRESSES}
            self.router, self.wire = self.namespace(), self.namespace()
            self.gateway, self.resolver = self.namespace(), self.namespace()
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.stop_tampering()
        finally:
            for place in reversed(self.places):
                place.end()

    @staticmethod
    def _link(place, device, to, far, mtu):
        place.ip(f"link add {device} type veth peer name {far} netns {to.pid()}")
        for side, name in ((place, device), (to, far)):
            # What is seen on the wire is what would be seen on a wire: whole checksums, and no
            # segments larger than the link takes.
            side.run("ethtool", "-K", name, "tx", "off", "rx", "off", "tso", "off", "gso", "off",
                     "gro", "off", check=False)
            side.ip(f"link set {name} mtu {mtu} up")

    def _connect(self):
        for number, (address, server) in enumerate(self.servers.items()):
            router = f"{SERVERS}{4 * number + 2}"
            self._link(server, "s0", self.router, f"q{number}", SERVERS_MTU)
            # Else what an XDP program at the server sends does not arrive.
            self.router.run("ethtool", "-K", f"q{number}", "gro", "on")
            server.ip(f"address add {address}/30 dev s0")
            self.router.ip(f"address add {router}/30 dev q{number}")
            server.ip(f"route add default via {router}")
        for place, device, far, address, far_address in (
                (self.router, "q9", "w0", ROUTER_OUTSIDE, None),
                (self.gateway, "g1", "w1", GATEWAY, None),
                (self.resolver, "r0", "g0", RESOLVER, GATEWAY_INSIDE)):
            to = self.wire if far_address is None else self.gateway
            self._link(place, device, to, far, MTU if far_address is None else NEAR_MTU)
            place.ip(f"address add {address}/24 dev {device}")
            if far_address is not None:
                to.ip(f"address add {far_address}/24 dev {far}")
        self.router.ip(f"route add {RESOLVER} via {GATEWAY}")
        self.gateway.ip(f"route add {SERVERS}0/24 via {ROUTER_OUTSIDE}")
        self.resolver.ip(f"route add default via {GATEWAY_INSIDE} mtu {MTU} advmss {MTU - 40}")
        self._set_up()
        self.bridge()

    def _set_up(self):
        for place in (self.router, self.gateway):
            place.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__rp_filter=0,
                         net__ipv4__conf__default__rp_filter=0)
        self.gateway.sysctl(net__ipv4__conf__g0__rp_filter=0)
        # What is left of answers whose other fragments were discarded fills the room for fragments;
        # the rows behind would pay for that.
        self.resolver.sysctl(net__ipv4__ipfrag_time=FRAGMENT_S)
        self.gateway.ip("rule add fwmark 1 lookup 100")
        self.gateway.ip("route add local 0.0.0.0/0 dev lo table 100")
        for place in (*self.servers.values(), self.gateway, self.resolver):
            place.sysctl(net__ipv4__tcp_fastopen=3, net__ipv4__tcp_tw_reuse=1,
                         net__ipv4__ip_local_port_range="10000 60000",
                         net__core__somaxconn=65535)
        self.is_divided = all([_steer(self.router, "q9", SERVER_CPU),
                               _steer(self.gateway, "g1", RESOLVER_CPU)])

    def bridge(self):
        """Let the wire be a wire."""
        if self.is_bridged:
            return
        self.wire.ip("link add b0 type bridge")
        for device in ("w0", "w1"):
            self.wire.ip(f"link set {device} master b0")
        self.wire.ip("link set b0 up")
        self.is_bridged = True

    def tamper(self):
        """Have somebody on the wire who alters second fragments."""
        if self.is_bridged:
            self.wire.ip("link delete b0")
            self.is_bridged = False
        # The first of the command's words ends it with us, even if we are killed.
        self.tamperer = self.wire.start("setpriv", "--pdeathsig", "KILL", sys.executable,
                                        os.path.join(HERE, "tamper.py"), "w0", "w1",
                                        stdout=subprocess.PIPE, text=True)
        if self.tamperer.stdout.readline().strip() != "ready":
            raise RuntimeError("the tamperer did not start")

    def stop_tampering(self):
        """How many fragments it has altered."""
        if self.tamperer is None:
            return 0
        tamperer, self.tamperer = self.tamperer, None
        tamperer.send_signal(signal.SIGTERM)
        try:
            told = tamperer.communicate(timeout=10)[0]
        except subprocess.TimeoutExpired:
            tamperer.kill()
            tamperer.wait()
            raise
        self.bridge()
        return int(told.split()[-1])

    def filter(self, rule):
        """A rule for what comes to the resolver, before anything puts fragments together."""
        self.resolver.run("nft", "-f", "-", text="table netdev lab {\nchain in {\ntype filter hook "
                          f"ingress device r0 priority 0\n{rule} counter drop\n}}\n}}\n")

    def stop_filtering(self):
        """What the rule has dropped."""
        listing = self.resolver.run("nft", "-j", "list", "table", "netdev", "lab", check=False)
        self.resolver.run("nft", "delete", "table", "netdev", "lab", check=False)
        time.sleep(1.5 * FRAGMENT_S)
        return listing.stdout.count('"counter"') and int(
            listing.stdout.split('"packets": ')[1].split(",")[0])

    def divert(self):
        """Queries of the resolver go to a socket of the gateway, TCP goes on."""
        self.gateway.run("nft", "-f", "-", text="table ip lab {\nchain in {\ntype filter hook "
                         "prerouting priority mangle\niifname \"g0\" udp dport 53 "
                         "tproxy to :53 meta mark set 1 accept\n}\n}\n")

    def stop_diverting(self):
        self.gateway.run("nft", "delete", "table", "ip", "lab", check=False)

    def fragments(self):
        """Fragments that the router has made."""
        return _counted(self.router, "IpFragCreates")

    def connections(self):
        """TCP connections that the resolver, or lethe-forward, has begun."""
        return sum(_counted(place, "TcpActiveOpens") for place in (self.resolver, self.gateway))


def _steer(place, device, processor):
    """Have what comes to a device handled by a processor, not by the sender's. Whether it is so."""
    mask = f"{1 << int(processor):x}"
    # A file system of its own shows the devices of this namespace.
    done = place.run("unshare", "--mount", "sh", "-c", "mount -t sysfs none /sys && "
                     f"echo {mask} > /sys/class/net/{device}/queues/rx-0/rps_cpus", check=False)
    return done.returncode == 0


def _counted(place, what):
    """A counter of the kernel's, in this namespace."""
    text = place.run("nstat", "-asz", what).stdout
    return int(text.split(what)[1].split()[0])
