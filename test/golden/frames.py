# SPDX-License-Identifier: BSD-2-Clause
"""Frames, cookies and capture files for the golden tests, with Python's own library only.

Written from the documents, not from the C code, so that the two check each other.
"""
import hashlib
import hmac
import ipaddress
import struct

SECRET = bytes(32)
EPOCH_S = 300
FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
CLIENT_MAC, SERVER_MAC = b"\x02\0\0\0\0\x02", b"\x02\0\0\0\0\x01"


def siphash_2_4(key, data):
    mask = 2**64 - 1
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D,
         k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rounds(count):
        for _ in range(count):
            for a, b, c, d, first, second in ((0, 1, 2, 3, 13, 16), (2, 1, 0, 3, 17, 21)):
                v[a] = (v[a] + v[b]) & mask
                v[b] = ((v[b] << first | v[b] >> (64 - first)) & mask) ^ v[a]
                v[a] = (v[a] << 32 | v[a] >> 32) & mask
                v[c] = (v[c] + v[d]) & mask
                v[d] = ((v[d] << second | v[d] >> (64 - second)) & mask) ^ v[c]

    padded = data + bytes(-(len(data) + 1) % 8) + bytes([len(data) & 255])
    for i in range(0, len(padded), 8):
        word = struct.unpack_from("<Q", padded, i)[0]
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def epoch_key(epoch):
    key = hmac.new(SECRET, b"lethe cookie key" + epoch.to_bytes(8, "big"), hashlib.sha256).digest()
    return bytes([key[0] & 0xFE | epoch & 1]) + key[1:16]


def cookie(now_s, client, server, client_port, server_port, mss, irs=None):
    """The ISS that the server will choose; `irs`: in profile modern without timestamps."""
    epoch = now_s // EPOCH_S
    mss_class = 2 if mss >= 1440 else 1 if mss >= 1220 else 0
    addresses = b"".join(ipaddress.ip_address(a).packed.ljust(16, b"\0") for a in (client, server))
    data = (bytes([ipaddress.ip_address(client).version]) + addresses
            + struct.pack(">HHB", client_port, server_port, 0))
    if irs is not None:
        data += struct.pack(">I", irs)
    return (epoch & 1) << 31 | mss_class << 29 | siphash_2_4(epoch_key(epoch), data) & 0x1FFFFFFF


def fast_open_cookie(now_s, client, server):
    """What proves the client's address in a SYN (RFC 7413)."""
    addresses = b"".join(ipaddress.ip_address(a).packed.ljust(16, b"\0") for a in (client, server))
    data = bytes([ipaddress.ip_address(client).version]) + addresses + b"\0\0\0\0\1"
    return struct.pack(">Q", siphash_2_4(epoch_key(now_s // EPOCH_S), data))


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def ip_packet(source, destination, protocol, transport, checksum_at, unset=False, spoil=0):
    """IP header and transport, the latter's checksum filled in."""
    a, b = ipaddress.ip_address(source), ipaddress.ip_address(destination)
    pseudo = a.packed + b.packed + struct.pack(">II", len(transport), protocol)
    value = checksum(pseudo) if unset else 0xFFFF ^ checksum(pseudo + transport)
    transport = (transport[:checksum_at] + struct.pack(">H", value ^ spoil)
                 + transport[checksum_at + 2:])
    if a.version == 4:
        header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(transport), 0x1234, 0x4000, 63,
                             protocol, 0, a.packed, b.packed)
        header = header[:10] + struct.pack(">H", 0xFFFF ^ checksum(header)) + header[12:]
        return header + transport
    return (struct.pack(">IHBB", 6 << 28 | 0xABCDE, len(transport), protocol, 63)
            + a.packed + b.packed + transport)


def ethernet(packet, tags=(), source=CLIENT_MAC, destination=SERVER_MAC):
    tagged = b"".join(struct.pack(">HH", protocol, control) for protocol, control in tags)
    ethertype = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    return (destination + source + tagged + struct.pack(">H", ethertype) + packet).ljust(60, b"\0")


def mss_option(mss):
    return struct.pack(">BBH", 2, 4, mss) if mss else b""


class Client:
    """One connection of a client, seen from its kernel."""

    def __init__(self, case, client, server, port=55998, isn=2201103970, mss=1460, **ethernet_args):
        self.case, self.client, self.server, self.port = case, client, server, port
        self.isn, self.mss, self.ethernet_args = isn, mss, ethernet_args
        self.server_port = 53
        self.iss = None

    def segment(self, seq, ack, flags, payload=b"", options=b"", window=65535, **ip_args):
        """Send with absolute numbers."""
        header = struct.pack(">HHIIBBHHH", self.port, self.server_port, seq % 2**32, ack % 2**32,
                             (20 + len(options)) // 4 << 4, flags, window, 0, 0)
        packet = ip_packet(self.client, self.server, 6, header + options + payload, 16, **ip_args)
        self.case.add(ethernet(packet, **self.ethernet_args))

    def syn(self, options=None, **args):
        self.iss = cookie(self.case.time_us // 10**6, self.client, self.server, self.port,
                          self.server_port, self.mss)
        self.segment(self.isn, 0, SYN, options=mss_option(self.mss) if options is None else options,
                     **args)

    def send(self, seq, ack, flags, payload=b"", **args):
        """Send with relative numbers, as tcpdump prints them."""
        self.segment(self.isn + seq, self.iss + ack, flags, payload, **args)

    def connect(self):
        self.syn()
        self.send(1, 1, ACK)


class Case:
    """A capture in the making. Each frame is a millisecond after the one before."""

    def __init__(self, time_s=1242345600):
        self.time_us, self.frames = time_s * 10**6, []

    def add(self, frame):
        self.frames.append((self.time_us, frame))
        self.time_us += 1000

    def udp(self, client, server, payload, port=40000, server_port=53, zero=False, **args):
        header = struct.pack(">HHHH", port, server_port, 8 + len(payload), 0)
        packet = ip_packet(client, server, 17, header + payload, 6, **args)
        if zero:  # IPv4 only
            packet = packet[:26] + b"\0\0" + packet[28:]
        self.add(ethernet(packet))


def name(text):
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".") if label) + b"\0"


def query(qname, qtype, identifier=30304, flags=0x0100, edns=None):
    opt = b"\0" + struct.pack(">HHIH", 41, edns, 0, 0) if edns else b""
    return (struct.pack(">HHHHHH", identifier, flags, 1, 0, 0, 1 if edns else 0) + name(qname)
            + struct.pack(">HH", qtype, 1) + opt)


def framed(message):
    return struct.pack(">H", len(message)) + message


def pcap_bytes(frames):
    out = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for time_us, frame in frames:
        out += struct.pack("<IIII", time_us // 10**6, time_us % 10**6, len(frame), len(frame)) + frame
    return out


def pcap_frames(octets):
    frames, at = [], 24
    while at < len(octets):
        time_s, time_us, length, _ = struct.unpack_from("<IIII", octets, at)
        frames.append((time_s * 10**6 + time_us, octets[at + 16:at + 16 + length]))
        at += 16 + length
    return frames


class Segment:
    """A TCP segment of the server, its checksums verified."""

    def __init__(self, frame):
        self.destination_mac, self.source_mac = frame[:6], frame[6:12]
        at = 12
        self.tags = []
        while struct.unpack_from(">H", frame, at)[0] in (0x8100, 0x88A8):
            self.tags.append(struct.unpack_from(">HH", frame, at))
            at += 4
        packet = frame[at + 2:]
        self.version = packet[0] >> 4
        if self.version == 4:
            assert checksum(packet[:20]) == 0xFFFF and packet[0] == 0x45
            assert struct.unpack_from(">H", packet, 2)[0] == len(packet)
            assert packet[4:9] == b"\0\0\x40\0\x40", "identification 0, DF, TTL 64"
            addresses, protocol, tcp = packet[12:20], packet[9], packet[20:]
        else:
            assert struct.unpack_from(">H", packet, 4)[0] == len(packet) - 40
            assert packet[7] == 64
            self.flow_label = struct.unpack_from(">I", packet)[0] & 0xFFFFF
            addresses, protocol, tcp = packet[8:40], packet[6], packet[40:]
        assert protocol == 6
        assert checksum(addresses + struct.pack(">II", len(tcp), 6) + tcp) == 0xFFFF
        half = len(addresses) // 2
        self.source, self.destination = (str(ipaddress.ip_address(a))
                                         for a in (addresses[:half], addresses[half:]))
        (self.source_port, self.destination_port, self.seq, self.ack, offset, self.flags,
         self.window) = struct.unpack_from(">HHIIBBH", tcp)
        self.options = tcp[20:(offset >> 4) * 4]
        self.payload = tcp[(offset >> 4) * 4:]
