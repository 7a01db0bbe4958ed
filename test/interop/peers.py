# SPDX-License-Identifier: BSD-2-Clause
"""Start and end name servers for tests: each on a loopback address and port of its own, with its
files in a temporary directory, ended by its process id.

    with tempfile.TemporaryDirectory() as tmp:
        with Nsd(tmp, {"example.": path}) as nsd: ... nsd.address, nsd.port
"""
import os
import pathlib
import resource
import shutil
import signal
import socket
import struct
import subprocess
import time

READY_S = 60


def free_port(address="127.0.0.1"):
    """A port that is free for UDP and TCP at this moment."""
    for _ in range(100):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((address, 0))
            port = udp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
                try:
                    tcp.bind((address, port))
                except OSError:
                    continue
            return port
    raise RuntimeError("no free port found")


def name_to_wire(text):
    """Presentation to wire format; only what zone names of the tests need, no escapes."""
    out = b""
    for label in text.rstrip(".").split("."):
        if label:
            out += bytes([len(label)]) + label.encode()
    return out + b"\0"


class ServerError(Exception):
    """A server did not come up; the text says why."""


class Server:
    """A name server process: subclasses say how to configure it and what to run."""

    name = "server"
    ready_s = READY_S

    def __init__(self, directory, zones, address="127.0.0.1", port=None, prefix=()):
        self.directory = pathlib.Path(directory, self.name)
        self.zones = zones  # apex with final dot -> path of the zone file
        self.address = address
        self.port = port or free_port(address)
        self.prefix = list(prefix)  # e.g. ip netns exec NAME
        self.process = None
        self.log_path = self.directory / "output"

    def prepare(self):
        """Write configuration; return the command."""
        raise NotImplementedError

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *unused):
        self.stop()

    def start(self, wait=True):
        self.directory.mkdir(parents=True, exist_ok=True)
        command = self.prepare()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.prefix + command, stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, cwd=self.directory)
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.stop()
                raise

    def wait_ready(self):
        """Until every zone is answered for."""
        limit = time.monotonic() + self.ready_s
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.connect((self.address, self.port))
            for apex in self.zones:
                query = struct.pack("!HHHHHH", 7, 0, 1, 0, 0, 0) + name_to_wire(apex) + b"\0\6\0\1"
                while True:
                    if self.process.poll() is not None:
                        raise ServerError(f"{self.name} ended with {self.process.returncode}:\n"
                                          + self.log())
                    if time.monotonic() > limit:
                        raise ServerError(f"{self.name} does not answer for {apex}:\n" + self.log())
                    try:
                        udp.settimeout(0.05)
                        udp.send(query)
                        answer = udp.recv(65535)
                        if answer[3] & 15 == 0 and answer[7]:
                            break
                    except OSError:
                        pass
                    time.sleep(0.002)

    def log(self):
        text = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        return text[-3000:]

    def stop(self):
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Nsd(Server):
    name = "nsd"

    def prepare(self):
        d = self.directory
        text = f"""
server:
  ip-address: {self.address}
  port: {self.port}
  server-count: 1
  username: ""
  chroot: ""
  database: ""
  zonesdir: "{d}"
  pidfile: "{d}/nsd.pid"
  zonelistfile: "{d}/zone.list"
  xfrdfile: "{d}/xfrd.state"
  xfrdir: "{d}"
  logfile: "{d}/output"
  ipv4-edns-size: 4096
  ipv6-edns-size: 4096
  minimal-responses: yes
  round-robin: no
  refuse-any: no
  answer-cookie: no
  tcp-count: 200
  tcp-timeout: 60
  rrl-ratelimit: 0
  rrl-whitelist-ratelimit: 0
remote-control:
  control-enable: no
"""
        for apex, path in self.zones.items():
            text += f'zone:\n  name: "{apex}"\n  zonefile: "{path}"\n'
        (d / "nsd.conf").write_text(text)
        return ["nsd", "-d", "-c", str(d / "nsd.conf")]


class Knot(Server):
    name = "knot"

    def prepare(self):
        d = self.directory
        text = f"""
server:
    rundir: "{d}"
    listen: {self.address}@{self.port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
    udp-max-payload: 4096
    tcp-idle-timeout: 60
log:
  - target: stderr
    any: warning
database:
    storage: "{d}"
acl:
  - id: transfer
    address: 127.0.0.1
    action: transfer
template:
  - id: default
    acl: transfer
    storage: "{d}"
    zonefile-sync: -1
    journal-content: none
    semantic-checks: off
zone:
"""
        for apex, path in self.zones.items():
            text += f'  - domain: {apex}\n    file: "{path}"\n'
        (d / "knot.conf").write_text(text)
        return ["knotd", "-c", str(d / "knot.conf")]


class Bind(Server):
    name = "bind"

    def prepare(self):
        d = self.directory
        text = f"""
options {{
    directory "{d}";
    pid-file "{d}/named.pid";
    session-keyfile "{d}/session.key";
    listen-on port {self.port} {{ {self.address}; }};
    listen-on-v6 {{ none; }};
    recursion no;
    notify no;
    dnssec-validation no;
    edns-udp-size 4096;
    max-udp-size 4096;
}};
controls {{ }};
"""
        for apex, path in self.zones.items():
            text += f'zone "{apex}" {{ type primary; file "{path}"; check-names ignore; }};\n'
        (d / "named.conf").write_text(text)
        return ["named", "-g", "-c", str(d / "named.conf")]


class Pdns(Server):
    """PowerDNS on an LMDB database, that `load` fills from the zone files."""

    name = "pdns"

    def configure(self):
        d = self.directory
        d.mkdir(parents=True, exist_ok=True)
        (d / "pdns.conf").write_text(f"""
launch=lmdb
lmdb-filename={d}/database/pdns.lmdb
lmdb-sync-mode=nosync
local-address={self.address}
local-port={self.port}
socket-dir={d}
setuid=
setgid=
daemon=no
guardian=no
receiver-threads=1
distributor-threads=1
loglevel=3
webserver=no
api=no
""")

    def load(self):
        self.configure()
        (self.directory / "database").mkdir()
        for apex, path in self.zones.items():
            run = subprocess.run(["pdnsutil", f"--config-dir={self.directory}", "load-zone", apex,
                                  str(path)], capture_output=True, text=True, timeout=self.ready_s)
            if run.returncode:
                raise ServerError(f"pdnsutil load-zone {apex}: {run.stderr[-500:]}")

    def prepare(self):
        self.configure()
        if not (self.directory / "database").exists():
            self.load()
        return ["pdns_server", f"--config-dir={self.directory}", "--config-name="]


class Lethed(Server):
    """`lethed` on a database that `lethe` fills from the zone files."""

    name = "lethed"

    def __init__(self, directory, zones, build, options=("--tcp", "kernel"), more_addresses=(),
                 extra=(), **more):
        super().__init__(directory, zones, **more)
        self.more_addresses = more_addresses
        self.extra = extra
        self.build = pathlib.Path(build)
        self.options = list(options)
        self.db = self.directory / "db"

    def tool(self, which):
        for path in (self.build / "tools" / which, self.build / "server" / which,
                     self.build / which):
            if path.is_file() and os.access(path, os.X_OK):
                return str(path)
        found = shutil.which(which)
        if found is None:
            raise ServerError(f"{which} not found below {self.build}: build it first")
        return found

    def load(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        for apex, path in self.zones.items():
            run = subprocess.run([self.tool("lethe"), "--db", str(self.db), "zone", "load", apex,
                                  str(path)], capture_output=True, text=True)
            if run.returncode:
                raise ServerError(f"lethe zone load {apex}: {run.stderr}{run.stdout}")

    def prepare(self):
        if not self.db.exists():
            self.load()
        command = [self.tool("lethed"), "--db", str(self.db), *self.extra]
        for address in (self.address, *self.more_addresses):
            command += ["--listen", f"{address}@{self.port}", *self.options]
        return command


def unbound_head(server):
    """Where this one works and listens; more of the clause "server" may follow."""
    return f"""
server:
  directory: "{server.directory}"
  pidfile: "{server.directory}/unbound.pid"
  chroot: ""
  username: ""
  use-syslog: no
  interface: {server.address}
  port: {server.port}
  num-threads: 1"""


class Unbound(Server):
    """A validating resolver that knows nothing but stub zones and trust anchors, at a fixed date."""

    name = "unbound"

    def __init__(self, directory, stubs, anchors, settings=(), **more):
        super().__init__(directory, [], **more)
        self.stubs = stubs      # apex -> [address@port, ...]
        self.anchors = anchors  # lines: DS or DNSKEY records
        self.settings = settings

    def prepare(self):
        text = unbound_head(self) + """
  access-control: 0.0.0.0/0 allow
  module-config: "validator iterator"
  do-not-query-localhost: no
  val-override-date: "20260805000000"
  val-log-level: 2
  ede: yes
  qname-minimisation: no
  aggressive-nsec: no
  harden-below-nxdomain: no
  harden-referral-path: no
  target-fetch-policy: "0 0 0 0 0"
  local-zone: "test." nodefault
  outgoing-range: 900
  num-queries-per-thread: 900
  jostle-timeout: 5000
"""
        text += "".join(f"  {line}\n" for line in self.settings)
        text += "".join(f"  trust-anchor: \"{line}\"\n" for line in self.anchors)
        text += "remote-control:\n  control-enable: no\n"
        for apex, addresses in self.stubs.items():
            text += f'stub-zone:\n  name: "{apex}"\n  stub-prime: no\n'
            text += "".join(f"  stub-addr: {address}\n" for address in addresses)
        path = self.directory / "unbound.conf"
        path.write_text(text)
        return ["unbound", "-d", "-c", str(path)]

    def wait_ready(self):
        limit = time.monotonic() + READY_S
        query = struct.pack("!HHHHHH", 7, 0x100, 1, 0, 0, 0) + name_to_wire("localhost") + \
            b"\0\1\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect((self.address, self.port))
            udp.settimeout(0.1)
            while True:
                if self.process.poll() is not None or time.monotonic() > limit:
                    raise ServerError(f"unbound does not come up:\n{self.log()}")
                try:
                    udp.send(query)
                    udp.recv(65535)
                    return
                except OSError:
                    time.sleep(0.02)


def limit_core_dumps():
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
