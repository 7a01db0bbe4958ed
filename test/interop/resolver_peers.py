# SPDX-License-Identifier: BSD-2-Clause
"""Resolvers for tests, each told to ask one server for one zone, and nobody else: over TCP, or
as it likes.

    with KnotResolver(tmp, "load.example.", "198.18.0.53") as resolver:
        ... resolver.address, resolver.port

All take questions over UDP and TCP and validate nothing.  How each is brought to TCP is said at its
class.
"""
import socket
import struct
import time

import peers

DEADLINE_S = 60


class Resolver(peers.Server):
    """What they have in common: one zone, one server."""

    is_truncation_needed = False  # asks over TCP only after a truncated answer
    program = None

    def __init__(self, directory, apex, server, is_tcp=True, **more):
        super().__init__(directory, {}, **more)
        self.is_tcp = is_tcp
        self.apex = apex
        self.server = server

    def wait_ready(self):
        """Until it resolves the zone's SOA."""
        limit = time.monotonic() + DEADLINE_S
        query = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + peers.name_to_wire(self.apex) + \
            b"\0\6\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect((self.address, self.port))
            udp.settimeout(0.5)
            while True:
                if self.process.poll() is not None or time.monotonic() > limit:
                    raise peers.ServerError(f"{self.name} does not come up:\n{self.log()}")
                try:
                    udp.send(query)
                    answer = udp.recv(65535)
                    if answer[3] & 15 == 0 and answer[7] == 1:
                        return
                except OSError:
                    pass
                time.sleep(0.02)


class Unbound(Resolver):
    """tcp-upstream: all upstream queries over TCP, several on a connection."""

    name = program = "unbound"

    def prepare(self):
        d = self.directory
        (d / "unbound.conf").write_text(peers.unbound_head(self) + f"""
  module-config: "iterator"
  tcp-upstream: {'yes' if self.is_tcp else 'no'}
  do-not-query-localhost: no
  do-ip6: no
  target-fetch-policy: "0 0 0 0 0"
remote-control:
  control-enable: no
stub-zone:
  name: "{self.apex}"
  stub-prime: no
  stub-addr: {self.server}
""")
        return ["unbound", "-d", "-c", str(d / "unbound.conf")]


class Bind(Resolver):
    """tcp-only for the server; the zone is static-stub."""

    name = "bind-resolver"
    program = "named"

    def prepare(self):
        d = self.directory
        tcp_only = f"server {self.server} {{ tcp-only yes; }};" if self.is_tcp else ""
        (d / "named.conf").write_text(f"""
options {{
    directory "{d}";
    pid-file "{d}/named.pid";
    session-keyfile "{d}/session.key";
    listen-on port {self.port} {{ {self.address}; }};
    listen-on-v6 {{ none; }};
    recursion yes;
    allow-query {{ any; }};
    dnssec-validation no;
    empty-zones-enable no;
}};
controls {{ }};
{tcp_only}
zone "{self.apex}" {{ type static-stub; server-addresses {{ {self.server}; }}; }};
""")
        return ["named", "-4", "-n", "1", "-g", "-c", str(d / "named.conf")]


class KnotResolver(Resolver):
    """The flag TCP on all queries; the zone's by policy STUB."""

    name = program = "kresd"

    def prepare(self):
        d = self.directory
        (d / "cache").mkdir(exist_ok=True)
        tcp = "policy.add(policy.all(policy.FLAGS({'TCP'})))" if self.is_tcp else ""
        (d / "kresd.conf").write_text(f"""
net.listen('{self.address}', {self.port}, {{ kind = 'dns' }})
net.ipv6 = false
trust_anchors.remove('.')
for _, name in ipairs({{'ta_update', 'ta_signal_query', 'ta_sentinel', 'priming',
                       'detect_time_skew', 'detect_time_jump'}}) do
    pcall(modules.unload, name)
end
modules.load('policy')
{tcp}
policy.add(policy.suffix(policy.STUB({{'{self.server}'}}), {{todname('{self.apex}')}}))
cache.open(100 * MB, 'lmdb://{d}/cache')
""")
        return ["kresd", "-n", "-q", "-c", str(d / "kresd.conf"), str(d)]


class Recursor(Resolver):
    """It has no switch: it asks over UDP, and over TCP what came truncated."""

    name = "recursor"
    program = "pdns_recursor"
    is_truncation_needed = True

    def prepare(self):
        d = self.directory
        (d / "recursor.conf").write_text(f"""
config-dir={d}
socket-dir={d}
local-address={self.address}
local-port={self.port}
forward-zones={self.apex}={self.server}
dont-query=
dnssec=off
daemon=no
disable-syslog=yes
write-pid=no
threads=1
hint-file=no
security-poll-suffix=
max-concurrent-requests-per-tcp-connection=64
""")
        return ["pdns_recursor", f"--config-dir={d}"]


ALL = (Unbound, Bind, KnotResolver, Recursor)
