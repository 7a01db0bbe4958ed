# SPDX-License-Identifier: BSD-2-Clause
"""The messages of stateless_tcp/goaway.h, written and read without it, and raw sockets for them.

    goaway_messages.py ADDRESS      send what standard input says, from that address: lines TO HEX
"""
import ipaddress
import socket
import struct
import sys

GOAWAY, BLOCK = {4: 253, 6: 100}, {4: 254, 6: 200}
CODES = ["no block", "host", "protocol", "port", "source"]
ICMP = {4: 1, 6: 58}
HEADER = {4: 20, 6: 40}


def family_of(address):
    return ipaddress.ip_address(address).version


def packed(address):
    return ipaddress.ip_address(address).packed


def folded(octets):
    octets += b"\0" * (len(octets) % 2)
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def pseudo(source, destination, protocol, length):
    return packed(source) + packed(destination) + struct.pack("!HH", protocol, length)


def header(source, destination, protocol, payload_len):
    """An IP header with nothing in it that changes on the way."""
    if family_of(source) == 4:
        return (struct.pack("!BBHHHBBH", 0x45, 0, 20 + payload_len, 0, 0, 0, protocol, 0) +
                packed(source) + packed(destination))
    return (struct.pack("!IHBB", 0x60000000, payload_len, protocol, 0) + packed(source) +
            packed(destination))


def message(source, destination, kind, code, block_code, nonce, quoted, form=0):
    head = struct.pack("!BBHBBBB", kind, code, 0, 1, block_code, form, 0) + nonce
    octets = head + quoted
    over = octets
    if family_of(source) == 6:
        over = pseudo(source, destination, 58, len(octets)) + octets
    return octets[:2] + struct.pack("!H", folded(over)) + octets[4:]


def datagram(source, source_port, destination, destination_port, payload):
    """A UDP datagram as it is quoted."""
    head = struct.pack("!HHHH", source_port, destination_port, 8 + len(payload), 0)
    checksum = folded(pseudo(source, destination, 17, 8 + len(payload)) + head + payload) or 0xffff
    return head[:6] + struct.pack("!H", checksum) + payload


def syn(source, source_port, destination, destination_port, sequence, length=40, flags=2):
    """A SYN with as many of Linux's options as fit, as it is sent and as it is quoted."""
    head = struct.pack("!HHIIBBHHH", source_port, destination_port, sequence, 0, length << 2, flags,
                       64240, 0, 0)
    options = bytes.fromhex("020405b4" "0402080a0000000100000000" "01030307")[:length - 20]
    if 24 < length < 36:
        options = options[:4] + bytes(length - 24)
    checksum = folded(pseudo(source, destination, 6, length) + head + options)
    return head[:16] + struct.pack("!H", checksum) + head[18:] + options, head + options


def goaway(source, destination, segment, nonce, protocol=17):
    """What `destination` says to `source` about its packet."""
    family = family_of(source)
    room = len(segment) - 16 - HEADER[family]
    if room >= 8:
        quoted = header(source, destination, protocol, len(segment)) + segment[:min(64, room)]
    else:
        quoted = (struct.pack("!HBB", HEADER[family] + len(segment), protocol, 0) +
                  segment[:min(64, len(segment) - 20)])
    return message(destination, source, GOAWAY[family], 0, 0, nonce, quoted, room < 8)


def block(source, destination, about, nonce):
    """What `source` says to `destination` about a GoAway."""
    family = family_of(source)
    quoted = header(destination, source, ICMP[family], len(about)) + about[:64]
    return message(source, destination, BLOCK[family], 0, 0, nonce, quoted)


def reply(source, destination, about, code, nonce=None):
    """What `destination` says to `source` about a Block."""
    family = family_of(source)
    quoted = (header(source, destination, ICMP[family], len(about)) +
              about[:len(about) - 16 - HEADER[family]])
    return message(destination, source, BLOCK[family], 1, CODES.index(code), nonce or about[8:16],
                   quoted)


def raw_socket(address):
    family = family_of(address)
    sock = (socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) if family == 4 else
            socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6))
    sock.bind((address, 0))
    return sock


def receive(sock, kinds, seconds=5):
    """The next message of these types, without its IP header, or None."""
    sock.settimeout(seconds)
    try:
        while True:
            octets = sock.recv(2000)
            if sock.family == socket.AF_INET:
                octets = octets[(octets[0] & 15) * 4:]
            if octets[0] in kinds:
                return octets
    except socket.timeout:
        return None


def main():
    sock = raw_socket(sys.argv[1])
    for line in sys.stdin:
        to, octets = line.split()
        sock.sendto(bytes.fromhex(octets), (to, 0))


if __name__ == "__main__":
    main()
