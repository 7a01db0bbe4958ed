# SPDX-License-Identifier: BSD-2-Clause
"""Carry frames between two devices, and alter second fragments of the lab's own responses.

    tamper.py DEVICE DEVICE

Works on addresses of 198.18.0.0/15 alone and is started by the lab in a namespace that the lab made.
In every fragment behind the first of a UDP packet, the addresses 198.51.100.N become 203.0.113.N; the
TTL before each takes up the difference, so that the UDP checksum, which lies in the first fragment,
still holds.  Ends on SIGTERM and then says how many fragments it has altered.
"""
import select
import signal
import socket
import struct
import sys

ETH_P_ALL, ETH_P_IP = 3, 0x0800
PACKET_OUTGOING = 4
HONEST, FALSE = bytes((0, 4, 198, 51, 100)), bytes((0, 4, 203, 0, 113))
LAB = 0xc6120000 >> 17  # 198.18.0.0/15


def sum_of(octets):
    """Ones' complement."""
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def alter(payload):
    """An altered copy of DNS octets, or None. A record: ... TTL (4) RDLENGTH (2) address (4)."""
    out, at = bytearray(payload), payload.find(HONEST, 4)
    is_altered = False
    while at >= 0:
        if at + 6 <= len(out):
            before = sum_of(bytes(out[at - 4:at + 6]))
            out[at:at + 5] = FALSE
            low = struct.unpack("!H", out[at - 2:at])[0]
            after = sum_of(bytes(out[at - 4:at + 6]))
            # Ones' complement: what is too much is taken from the low half of the TTL.
            low = (low + before + 0xffff - after) % 0xffff
            out[at - 2:at] = struct.pack("!H", low)
            is_altered = True
        at = payload.find(HONEST, at + 6)
    return bytes(out) if is_altered else None


def tampered(frame):
    """The frame as it goes on, and whether it was altered."""
    if len(frame) < 34 or struct.unpack("!H", frame[12:14])[0] != ETH_P_IP:
        return frame, False
    header = (frame[14] & 15) * 4
    fragment = struct.unpack("!H", frame[20:22])[0]
    source, destination = struct.unpack("!II", frame[26:34])
    is_ours = source >> 17 == LAB and destination >> 17 == LAB
    if not is_ours or frame[23] != socket.IPPROTO_UDP or fragment & 0x1fff == 0:
        return frame, False
    end = 14 + struct.unpack("!H", frame[16:18])[0]
    altered = alter(frame[14 + header:end])
    if altered is None:
        return frame, False
    return frame[:14 + header] + altered + frame[end:], True


def opened(device):
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    out.bind((device, ETH_P_ALL))
    return out


def main():
    first, second = opened(sys.argv[1]), opened(sys.argv[2])
    far = {first: second, second: first}
    is_ended = []
    signal.signal(signal.SIGTERM, lambda *_: is_ended.append(True))
    print("ready", flush=True)
    count = 0
    while not is_ended:
        for near in select.select([first, second], [], [], 0.1)[0]:
            frame, where = near.recvfrom(65535)
            if where[2] == PACKET_OUTGOING:
                continue
            frame, was_altered = tampered(frame)
            count += was_altered
            try:
                far[near].send(frame)
            except OSError:
                pass  # lost, as on any wire
    print(count)


if __name__ == "__main__":
    main()
