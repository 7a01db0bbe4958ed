# SPDX-License-Identifier: BSD-2-Clause
"""The resolver in the middle, one out of four, unmodified, and as a row of the table wants it."""
from parts import TSIG_NAME, TSIG_SECRET, held
from world import RESOLVER, RESOLVER_CPU, SERVERS, wait_until
import peers

BUFSIZE = 4096


class Resolver(peers.Server):
    """It begins with an empty cache and knows the lab's root."""

    title = None
    has_fast_open = False
    # Over TCP alone, as far as it can be told to: on a connection for each query, on kept ones.
    asks = frozenset()
    can_sign = False

    def __init__(self, directory, world, root, anchor, row, transport):
        super().__init__(directory, {}, address=RESOLVER, port=53,
                         prefix=held(*world.resolver.inside, "taskset", "-c", RESOLVER_CPU))
        self.row, self.transport = row, transport
        self.hints = self.directory / "hints"
        self.root, self.anchor = root, anchor
        self.world = world

    def start(self, wait=True):
        self.directory.mkdir(parents=True, exist_ok=True)
        self.hints.write_text(f". 3600000 NS ns.\nns. 3600000 A {self.root}\n", encoding="ascii")
        super().start(wait)

    def wait_ready(self):
        def answers():
            if self.process.poll() is not None:
                raise peers.ServerError(f"{self.name} ended:\n{self.log()}")
            return "status:" in self.ask(".", "SOA").stdout
        wait_until(answers, f"{self.name} to answer")

    def ask(self, name, kind="A"):
        return self.world.resolver.run("dig", "+tries=1", "+time=8", "+noedns", "+tcp",
                                       f"@{RESOLVER}", name, kind, check=False)


class Unbound(Resolver):
    name, title = "unbound", "Unbound"
    has_fast_open = True  # it follows the system's setting
    asks = frozenset(("each", "kept"))

    def prepare(self):
        path = self.directory / "unbound.conf"
        modules = "validator iterator" if self.row.is_validating else "iterator"
        anchor = f'trust-anchor: "{self.anchor}"' if self.row.is_validating else ""
        path.write_text(f"""
server:
  directory: "{self.directory}"
  pidfile: ""
  chroot: ""
  username: ""
  use-syslog: no
  interface: {RESOLVER}
  access-control: 0.0.0.0/0 allow
  module-config: "{modules}"
  {anchor}
  root-hints: "{self.hints}"
  do-ip6: no
  num-threads: 1
  outgoing-range: 4096
  num-queries-per-thread: 2048
  outgoing-num-tcp: 1000
  incoming-num-tcp: 200
  msg-cache-size: 64m
  rrset-cache-size: 128m
  qname-minimisation: no
  edns-buffer-size: {BUFSIZE}
  tcp-upstream: {"yes" if self.row.asks else "no"}
  {self.reuse()}
remote-control:
  control-enable: no
""", encoding="ascii")
        return ["unbound", "-d", "-c", str(path)]

    def reuse(self):
        is_each = self.row.asks == "each" or self.transport == "classic"
        return "max-reuse-tcp-queries: 0" if is_each else ""


class Bind(Resolver):
    name, title = "bind", "BIND"
    asks = frozenset(("each",))
    can_sign = True

    def prepare(self):
        path = self.directory / "named.conf"
        to_servers = "tcp-only yes; " if self.row.asks else ""
        key = ""
        if self.row.is_signing:
            key = f'key "{TSIG_NAME}" {{ algorithm hmac-sha256; secret "{TSIG_SECRET}"; }};'
            to_servers += f'keys {{ "{TSIG_NAME}"; }}; '
        anchor = ""
        if self.row.is_validating:
            *_, tag, algorithm, digest, hexadecimal = self.anchor.split()
            anchor = (f'trust-anchors {{ . static-ds {tag} {algorithm} {digest} "{hexadecimal}"; }};')
        path.write_text(f"""
options {{
    directory "{self.directory}";
    pid-file none;
    session-keyfile none;
    listen-on {{ {RESOLVER}; }};
    listen-on-v6 {{ none; }};
    recursion yes;
    allow-query {{ any; }};
    dnssec-validation {"yes" if self.row.is_validating else "no"};
    empty-zones-enable no;
    qname-minimization off;
    recursive-clients 10000;
    edns-udp-size {BUFSIZE};
    max-udp-size 4096;
}};
controls {{ }};
{key}
{f"server {SERVERS}0/24 {{ {to_servers}}};" if to_servers else ""}
{anchor}
zone "." {{ type hint; file "{self.hints}"; }};
""", encoding="ascii")
        return ["named", "-4", "-n", "1", "-g", "-c", str(path)]


class KnotResolver(Resolver):
    name, title = "knot-resolver", "Knot Resolver"
    asks = frozenset(("kept",))

    def prepare(self):
        (self.directory / "cache").mkdir(exist_ok=True)
        path = self.directory / "kresd.conf"
        tcp = "policy.add(policy.all(policy.FLAGS({'TCP'})))" if self.row.asks else ""
        anchor = f"trust_anchors.add([[{self.anchor}]])" if self.row.is_validating else ""
        path.write_text(f"""
net.listen('{RESOLVER}', 53, {{ kind = 'dns' }})
net.ipv6 = false
net.bufsize({BUFSIZE}, 4096)
trust_anchors.remove('.')
for _, name in ipairs({{'ta_update', 'ta_signal_query', 'ta_sentinel', 'priming',
                       'detect_time_skew', 'detect_time_jump'}}) do
    pcall(modules.unload, name)
end
modules.load('hints')
modules.load('policy')
hints.root_file('{self.hints}')
{anchor}
{tcp}
cache.open(200 * MB, 'lmdb://{self.directory}/cache')
""", encoding="ascii")
        return ["kresd", "-n", "-q", "-c", str(path), str(self.directory)]


class Recursor(Resolver):
    """It has no switch for TCP alone."""

    name, title = "recursor", "PowerDNS Recursor"

    def prepare(self):
        lua = ""
        if self.row.is_validating:
            path = self.directory / "anchor.lua"
            path.write_text(f"clearTA()\naddTA('.', \"{self.anchor.split('DS')[1].strip()}\")\n",
                            encoding="ascii")
            lua = f"lua-config-file={path}"
        (self.directory / "recursor.conf").write_text(f"""
config-dir={self.directory}
socket-dir={self.directory}
local-address={RESOLVER}
hint-file={self.hints}
allow-from=0.0.0.0/0
edns-outgoing-bufsize={BUFSIZE}
udp-truncation-threshold=4096
dont-query=
dnssec={"validate" if self.row.is_validating else "off"}
{lua}
daemon=no
disable-syslog=yes
write-pid=no
threads=1
security-poll-suffix=
qname-minimization=no
max-qperq=200
""", encoding="ascii")
        return ["pdns_recursor", f"--config-dir={self.directory}"]


RESOLVERS = {one.name: one for one in (Unbound, Bind, KnotResolver, Recursor)}
