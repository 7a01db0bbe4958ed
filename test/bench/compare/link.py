# SPDX-License-Identifier: BSD-2-Clause
"""A server's and a client's network namespace with a veth pair between them."""
import ctypes
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(1, os.path.join(HERE, "..", ".."))
import machine  # noqa: E402
from netns import Namespace  # noqa: E402

# By family, 4 or 6. Sockets of the load generator are spread over CLIENT_COUNT addresses from
# CLIENT on: one has too few ports. No kernel owns RAW_NETWORK: clients that make their segments
# themselves. KEEPER keeps the network on the server's device while no kernel owns SERVER.
NETWORK = {4: 15, 6: 48}  # 198.18.0.0/15, fd00:198:18::/48
SERVER = {4: "198.18.0.1", 6: "fd00:198:18::1"}
KEEPER = {4: "198.18.0.2", 6: "fd00:198:18::2"}
CLIENT = {4: "198.18.0.128", 6: "fd00:198:18::80"}
CLIENT_COUNT = 16
RAW_NETWORK = {4: "198.18.64.0/18", 6: "fd00:198:18:64::/64"}


def family_of(address):
    return 6 if ":" in address else 4


def server_address(family, number):
    """Of a server that has one of its own."""
    return f"198.18.0.{10 + number}" if family == 4 else f"fd00:198:18::{0x100 + number:x}"


def client_addresses(family):
    first = ipaddress.ip_address(CLIENT[family])
    return [str(first + number) for number in range(CLIENT_COUNT)]


BPF_PROG_LOAD, BPF_LINK_CREATE = 5, 28
BPF_PROG_TYPE_XDP, BPF_XDP = 6, 37
XDP_PASS = 2
SYS_BPF = {"x86_64": 321, "aarch64": 280}


class Link:
    """Made by a with statement, gone behind it."""

    def __init__(self, server_cpu, client_cpu):
        self.server_cpu, self.client_cpu = server_cpu, client_cpu
        self.server_device, self.client_device = f"s{os.getpid():x}", f"c{os.getpid():x}"
        self.server = self.client = None
        self.has_threads = False
        self.families = (4,)
        self.passer = None

    def __enter__(self):
        self.server, self.client = Namespace(), Namespace()
        try:
            self._connect()
            self._settle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.pass_frames(False)
        self.client.end()
        self.server.end()

    def _connect(self):
        queues = "numrxqueues 1 numtxqueues 1"
        for side in (self.server, self.client):
            # Nothing that kernels say by themselves.
            side.run("sysctl", "-qw", *(f"net.ipv6.conf.default.{setting}" for setting in (
                "accept_dad=0", "accept_ra=0", "autoconf=0", "router_solicitations=0",
                "addr_gen_mode=1")), check=False)
        self.server.ip(f"link add {self.server_device} {queues} type veth "
                       f"peer name {self.client_device} {queues} netns {self.client.pid()}")
        for side, device in self.ends():
            # Real checksums, and one frame for each segment.
            side.run("ethtool", "-K", device, "tx", "off", "rx", "off", "tso", "off", "gso", "off",
                     "gro", "off", check=False)
            side.ip(f"link set {device} mtu 1500 up")
        self._connect_family(4)
        try:
            self._connect_family(6)
            self.families = (4, 6)
        except subprocess.CalledProcessError:
            pass  # a kernel without

    def _connect_family(self, family):
        for address in (KEEPER[family], SERVER[family]):
            self.add_address(address)
        mac = self.client_mac()
        for address in client_addresses(family):
            self.client.ip(f"address add {address}/{NETWORK[family]} dev {self.client_device}")
            self.server.ip(f"neighbour replace {address} lladdr {mac} nud permanent "
                           f"dev {self.server_device}")
        # To addresses that no kernel owns the way leads over the client, which drops them.
        self.server.ip(f"route add {RAW_NETWORK[family]} via {CLIENT[family]}")

    def ends(self):
        return (self.server, self.server_device), (self.client, self.client_device)

    def _settle(self):
        for side, _ in self.ends():
            for setting in ("net.ipv4.tcp_max_syn_backlog=65536", "net.core.somaxconn=65535",
                            "net.ipv4.ip_local_port_range=10000 60000",
                            "net.ipv4.conf.all.promote_secondaries=1",
                            "net.ipv4.tcp_tw_reuse=1", "net.ipv4.tcp_tw_reuse_delay=100",
                            "net.ipv4.tcp_max_tw_buckets=2000000", "net.ipv4.icmp_ratelimit=0",
                            "net.ipv4.ip_forward=0", "net.ipv4.conf.all.rp_filter=0"):
                side.run("sysctl", "-qw", setting, check=False)
        self.has_threads = all([self._receive_on(side, device, cpu) for (side, device), cpu in
                                zip(self.ends(), (self.server_cpu, self.client_cpu))])

    def _receive_on(self, side, device, cpu):
        """On a veth pair the sender's core would do the receiver's work; give it to a thread of
        the receiver's core."""
        side.run("ethtool", "-K", device, "gro", "on", check=False)
        files = f"/sys/class/net/{device}"
        side.run("unshare", "--mount", "sh", "-c", f"mount -t sysfs sysfs /sys && "
                 f"echo 1 > {files}/threaded", check=False)
        threads = machine.kernel_threads(f"napi/{device}-")
        if not threads:
            # Older kernels: by an interrupt of the other core, dearer and not to be told apart.
            side.run("unshare", "--mount", "sh", "-c", f"mount -t sysfs sysfs /sys && "
                     f"for q in {files}/queues/rx-*; do echo {1 << cpu:x} > $q/rps_cpus; done")
        return bool(threads)

    def pin(self):
        """Threads may have been made anew since the last time."""
        for (_, device), cpu in zip(self.ends(), (self.server_cpu, self.client_cpu)):
            for pid in machine.kernel_threads(f"napi/{device}-"):
                os.sched_setaffinity(pid, {cpu})

    def mac(self, side, device):
        return json.loads(side.run("ip", "-j", "link", "show", device).stdout)[0]["address"]

    def server_mac(self):
        return self.mac(self.server, self.server_device)

    def client_mac(self):
        return self.mac(self.client, self.client_device)

    def frames(self):
        """What the server's device has received and sent, XDP's frames included."""
        told = self.server.run("ip", "-j", "-s", "link", "show", self.server_device).stdout
        counts = json.loads(told)[0]["stats64"]
        return counts["rx"]["packets"], counts["tx"]["packets"]

    def add_address(self, address):
        self.server.ip(f"address replace {address}/{NETWORK[family_of(address)]} "
                       f"dev {self.server_device}")
        self.client.ip(f"neighbour replace {address} lladdr {self.server_mac()} nud permanent "
                       f"dev {self.client_device}")

    def remove_address(self, address):
        self.server.ip(f"address delete {address}/{NETWORK[family_of(address)]} "
                       f"dev {self.server_device}")

    def detach(self):
        """Programs of others stay on an interface when they end, and slow down what comes next."""
        for side, device in self.ends():
            for kind in ("xdp", "xdpdrv", "xdpgeneric"):
                side.ip(f"link set dev {device} {kind} off", check=False)

    def pass_frames(self, is_wanted):
        """On veth, frames sent by XDP_TX arrive only where the receiver has an XDP program too."""
        if is_wanted and self.passer is None:
            self.passer = self.client.start(sys.executable, __file__, self.client_device,
                                            stdin=-1, stdout=-1, text=True,
                                            start_new_session=True)
            if self.passer.stdout.readline() != "attached\n":
                raise OSError("no XDP program on the client's interface")
        elif not is_wanted and self.passer is not None:
            self.passer.stdin.close()
            self.passer.wait(10)
            self.passer.stdout.close()
            self.passer = None
            # Removing it makes the interface start anew.
            time.sleep(0.1)


def bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    block = ctypes.create_string_buffer(attributes.ljust(128, b"\0"), 128)
    result = libc.syscall(SYS_BPF[os.uname().machine], command, block, 128)
    if result < 0:
        raise OSError(ctypes.get_errno(), "bpf: " + os.strerror(ctypes.get_errno()))
    return result


def attach_pass(device):
    """The smallest XDP program, `return XDP_PASS`; it goes with this process."""
    code = ctypes.create_string_buffer(
        struct.pack("=BBhiBBhi", 0xb7, 0, 0, XDP_PASS, 0x95, 0, 0, 0))
    licence = ctypes.create_string_buffer(b"BSD")
    program = bpf(BPF_PROG_LOAD, struct.pack("=IIQQ", BPF_PROG_TYPE_XDP, 2, ctypes.addressof(code),
                                             ctypes.addressof(licence)))
    index = socket.if_nametoindex(device)
    return bpf(BPF_LINK_CREATE, struct.pack("=IIII", program, index, BPF_XDP, 0))


if __name__ == "__main__":
    attach_pass(sys.argv[1])
    print("attached", flush=True)
    sys.stdin.read()
