# SPDX-License-Identifier: BSD-2-Clause
"""What runs in the lab: lethed in all authoritative roles, one resolver out of four, dnsperf."""
import pathlib
import re
import subprocess

from world import RESOLVER, wait_until
import peers

SERVER_CPU, RESOLVER_CPU = "0", "1"
CONFIGURATION = """database: {database}
listen:
  - address: {address}@53
    tcp: {tcp}
{interface}udp-payload: {payload}
workers: 1
pin: off
tcp:
  profile: {profile}
  fast-open: {fast_open}
  idle-timeout: 30
  max-connections: 10000
{more}"""


def wait_for_its_word(server):
    """Until a program of ours says that it is ready."""
    wait_until(lambda: "ready" in server.log() or server.process.poll() is not None, "ready")
    if server.process.poll() is not None:
        raise peers.ServerError(f"{server.name} ended:\n{server.log()}")


class Authority(peers.Lethed):
    """lethed with some of the lab's zones, configured as a row of the table says."""

    def __init__(self, directory, world, build, address, zones, row, database):
        super().__init__(directory, zones, build, address=address, port=53,
                         prefix=(*world.servers.inside, "taskset", "-c", SERVER_CPU))
        self.name = f"lethed-{address}"
        self.directory = pathlib.Path(directory, self.name)
        self.log_path = self.directory / "output"
        self.db = pathlib.Path(database)
        self.row = row

    def load(self):
        """All zones in one transaction."""
        self.db.parent.mkdir(parents=True, exist_ok=True)
        names = pathlib.Path(f"{self.db}.list")
        names.write_text("".join(f"{apex} {path}\n" for apex, path in self.zones.items()),
                         encoding="ascii")
        subprocess.run([self.tool("lethe"), "--db", str(self.db), "zone", "load", "--list",
                        str(names)], check=True, capture_output=True)

    def prepare(self):
        if not self.db.exists():
            self.load()
        transport = self.row.transport
        is_stateless = transport != "kernel"
        path = self.directory / "lethed.yaml"
        path.write_text(CONFIGURATION.format(
            database=self.db, address=self.address, tcp="stateless" if is_stateless else "kernel",
            interface="    interface: s0\n" if is_stateless else "", payload=self.row.payload,
            profile="classic" if transport == "classic" else "modern",
            fast_open="on" if transport == "fast open" else "off", more=self.row.lethed),
            encoding="ascii")
        return [self.tool("lethed"), "--config", str(path)]

    def wait_ready(self):
        """Nobody but the resolver's namespace reaches it: what it says must do."""
        wait_for_its_word(self)


class Resolver(peers.Server):
    """In the middle, unmodified; it begins with an empty cache and knows the lab's root."""

    program = None
    has_fast_open = False
    has_tcp_only = True

    def __init__(self, directory, world, root, row):
        super().__init__(directory, {}, address=RESOLVER, port=53,
                         prefix=(*world.resolver.inside, "taskset", "-c", RESOLVER_CPU))
        self.row = row
        self.hints = self.directory / "hints"
        self.root = root
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
        return self.world.resolver.run("dig", "+tries=1", "+time=5", "+noedns", "+tcp",
                                       f"@{RESOLVER}", name, kind, check=False)


class Unbound(Resolver):
    name = program = "unbound"
    has_fast_open = True  # it follows the system's setting

    def prepare(self):
        path = self.directory / "unbound.conf"
        path.write_text(f"""
server:
  directory: "{self.directory}"
  pidfile: ""
  chroot: ""
  username: ""
  use-syslog: no
  interface: {RESOLVER}
  access-control: 0.0.0.0/0 allow
  module-config: "iterator"
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
  edns-buffer-size: {self.row.bufsize}
  tcp-upstream: {"yes" if self.row.asks_by_tcp else "no"}
  {"max-reuse-tcp-queries: 1" if self.row.transport == "classic" else ""}
remote-control:
  control-enable: no
""", encoding="ascii")
        return ["unbound", "-d", "-c", str(path)]


class Bind(Resolver):
    name, program = "bind", "named"

    def prepare(self):
        path = self.directory / "named.conf"
        clauses = f"edns-udp-size {self.row.bufsize}; max-udp-size 4096;"
        tcp = "server 198.18.0.0/15 { tcp-only yes; };" if self.row.asks_by_tcp else ""
        path.write_text(f"""
options {{
    directory "{self.directory}";
    pid-file none;
    session-keyfile none;
    listen-on {{ {RESOLVER}; }};
    listen-on-v6 {{ none; }};
    recursion yes;
    allow-query {{ any; }};
    dnssec-validation no;
    empty-zones-enable no;
    qname-minimization off;
    recursive-clients 10000;
    {clauses}
}};
controls {{ }};
{tcp}
{self.row.bind}
zone "." {{ type hint; file "{self.hints}"; }};
""", encoding="ascii")
        return ["named", "-4", "-n", "1", "-g", "-c", str(path)]


class KnotResolver(Resolver):
    name = program = "kresd"

    def prepare(self):
        (self.directory / "cache").mkdir(exist_ok=True)
        path = self.directory / "kresd.conf"
        tcp = "policy.add(policy.all(policy.FLAGS({'TCP'})))" if self.row.asks_by_tcp else ""
        path.write_text(f"""
net.listen('{RESOLVER}', 53, {{ kind = 'dns' }})
net.ipv6 = false
net.bufsize({self.row.bufsize}, 4096)
trust_anchors.remove('.')
for _, name in ipairs({{'ta_update', 'ta_signal_query', 'ta_sentinel', 'priming',
                       'detect_time_skew', 'detect_time_jump'}}) do
    pcall(modules.unload, name)
end
modules.load('hints')
modules.load('policy')
hints.root_file('{self.hints}')
{tcp}
cache.open(200 * MB, 'lmdb://{self.directory}/cache')
""", encoding="ascii")
        return ["kresd", "-n", "-q", "-c", str(path), str(self.directory)]


class Recursor(Resolver):
    """It has no switch for TCP alone."""

    name, program = "recursor", "pdns_recursor"
    has_tcp_only = False

    def prepare(self):
        (self.directory / "recursor.conf").write_text(f"""
config-dir={self.directory}
socket-dir={self.directory}
local-address={RESOLVER}
hint-file={self.hints}
allow-from=0.0.0.0/0
edns-outgoing-bufsize={self.row.bufsize}
udp-truncation-threshold=4096
dont-query=
dnssec=off
daemon=no
disable-syslog=yes
write-pid=no
threads=1
security-poll-suffix=
qname-minimization=no
max-qperq=200
""", encoding="ascii")
        return ["pdns_recursor", f"--config-dir={self.directory}"]


RESOLVERS = {"unbound": Unbound, "bind": Bind, "knot-resolver": KnotResolver, "recursor": Recursor}


class Forwarder(peers.Server):
    """lethe-forward, on the way of the resolver's queries."""

    name = "lethe-forward"

    def __init__(self, directory, world, build, row):
        super().__init__(directory, {}, address="0.0.0.0", port=53,
                         prefix=(*world.gateway.inside, "taskset", "-c", RESOLVER_CPU))
        self.build, self.row, self.world = build, row, world

    def prepare(self):
        return [str(self.build / "tools" / "lethe-forward"), "--listen", "0.0.0.0@53",
                *self.row.forward]

    def wait_ready(self):
        wait_for_its_word(self)
        self.world.divert()

    def stop(self):
        self.world.stop_diverting()
        super().stop()


def dnsperf(world, questions, seconds, outstanding):
    """What it says: queries a second, their fate, and how long they took."""
    text = world.resolver.run("taskset", "-c", SERVER_CPU, "dnsperf", "-s", RESOLVER, "-d",
                              str(questions), "-l", str(seconds), "-q", str(outstanding), "-t", "3",
                              "-n", "1", "-c", "8", timeout=seconds + 60).stdout

    def found(pattern, default=0.0):
        match = re.search(pattern, text)
        return float(match.group(1)) if match else default
    return {"queries_per_s": found(r"Queries per second:\s+([\d.]+)"),
            "completed": found(r"Queries completed:\s+(\d+)"),
            "lost": found(r"Queries lost:\s+(\d+)"),
            "servfail": found(r"SERVFAIL (\d+)"),
            "average_ms": found(r"Average Latency \(s\):\s+([\d.]+)") * 1000}
