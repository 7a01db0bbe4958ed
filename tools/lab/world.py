# SPDX-License-Identifier: BSD-2-Clause
"""The networks of the lab: servers, a wire with or without somebody who tampers, resolver and clients.

    servers [s0] --- [q0] router [q1] --- [w0] wire [w1] --- [g1] gateway [g0] --- [r0] resolver, clients

lethed sends no fragments: its link takes packets of 9000 octets, and it is the router, whose other
link takes 1500, that makes fragments of them, as routers of IPv4 do. The gateway routes, or forwards
the resolver's queries by lethe-forward.

All addresses are in 198.18.0.0/15 and in namespaces that end with this process.
"""
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(1, os.path.join(ROOT, "test"))
sys.path.insert(1, os.path.join(ROOT, "test", "interop"))
from netns import Namespace, wait_until  # noqa: E402

SERVERS = "198.18.1."
ROUTER, ROUTER_OUTSIDE = "198.18.1.254", "198.18.3.1"
GATEWAY, GATEWAY_INSIDE = "198.18.3.2", "198.18.2.1"
RESOLVER = "198.18.2.2"
SERVERS_MTU, MTU = 9000, 1500


class World:
    """Made by a with statement, gone behind it."""

    def __init__(self, addresses):
        self.addresses = list(addresses)
        self.tamperer = None
        self.is_bridged = False

    def __enter__(self):
        self.servers, self.router, self.wire = Namespace(), Namespace(), Namespace()
        self.gateway, self.resolver = Namespace(), Namespace()
        try:
            self._connect()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop_tampering()
        for place in (self.resolver, self.gateway, self.wire, self.router, self.servers):
            place.end()

    def _connect(self):
        for place, device, to, far, mtu in (
                (self.servers, "s0", self.router, "q0", SERVERS_MTU),
                (self.router, "q1", self.wire, "w0", MTU),
                (self.gateway, "g1", self.wire, "w1", MTU),
                (self.resolver, "r0", self.gateway, "g0", MTU)):
            place.ip(f"link add {device} type veth peer name {far} netns {to.pid()}")
            for side, name in ((place, device), (to, far)):
                # What is seen on the wire is what would be seen on a wire: whole checksums, and
                # no segments larger than the link takes.
                side.run("ethtool", "-K", name, "tx", "off", "rx", "off", "tso", "off", "gso",
                         "off", "gro", "off", check=False)
                side.ip(f"link set {name} mtu {mtu} up")
        for address in self.addresses:
            self.servers.ip(f"address add {address}/24 dev s0")
        for place, address, device in ((self.router, ROUTER, "q0"),
                                       (self.router, ROUTER_OUTSIDE, "q1"),
                                       (self.gateway, GATEWAY, "g1"),
                                       (self.gateway, GATEWAY_INSIDE, "g0"),
                                       (self.resolver, RESOLVER, "r0")):
            place.ip(f"address add {address}/24 dev {device}")
        self.servers.ip(f"route add default via {ROUTER}")
        self.router.ip(f"route add {RESOLVER} via {GATEWAY}")
        self.gateway.ip(f"route add {SERVERS}0/24 via {ROUTER_OUTSIDE}")
        self.resolver.ip(f"route add default via {GATEWAY_INSIDE}")
        for place in (self.router, self.gateway):
            place.sysctl(net__ipv4__ip_forward=1, net__ipv4__conf__all__rp_filter=0,
                         net__ipv4__conf__default__rp_filter=0)
        self.gateway.sysctl(net__ipv4__conf__g0__rp_filter=0)
        self.gateway.ip("rule add fwmark 1 lookup 100")
        self.gateway.ip("route add local 0.0.0.0/0 dev lo table 100")
        for place in (self.servers, self.resolver):
            place.sysctl(net__ipv4__tcp_fastopen=3, net__ipv4__tcp_tw_reuse=1,
                         net__ipv4__ip_local_port_range="10000 60000",
                         net__core__somaxconn=65535)
        self.bridge()

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
        self.tamperer = self.wire.start(sys.executable, os.path.join(HERE, "tamper.py"), "w0", "w1",
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
        text = self.router.run("nstat", "-asz", "IpFragCreates").stdout
        return int(text.split("IpFragCreates")[1].split()[0])


__all__ = ["World", "SERVERS", "RESOLVER", "wait_until"]
