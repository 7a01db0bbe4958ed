# SPDX-License-Identifier: BSD-2-Clause
"""One question, from inside the client's namespace.

    ask.py first ADDRESS PORT NAME SECONDS all|nothing
                     when the name's SOA is first answered for (monotonic time), or with nothing
    ask.py seen ADDRESS PORT NAME SECONDS all|nothing
                     when there is a referral to the name, or NXDOMAIN (monotonic time)
    ask.py tcp ADDRESS PORT NAME TYPE        the response over TCP, in hexadecimal
"""
import socket
import struct
import sys
import time


OPT = struct.pack("!BHHIH", 0, 41, 1232, 0, 0)


def query(name, kind, has_edns=False):
    wire = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label)
    return struct.pack("!HHHHHH", 4711, 0, 1, 0, 0, has_edns) + wire + \
        struct.pack("!BHH", 0, kind, 1) + OPT * has_edns


def is_first(answer, wanted):
    """NOERROR, and an answer if one is wanted."""
    return answer[3] & 15 == 0 and (answer[7] or wanted == "nothing")


def is_seen(answer, wanted):
    return answer[3] & 15 == (0 if wanted == "all" else 3)


def until(is_it, address, port, name, kind, seconds, wanted):
    # With EDNS: some add more to an answer than fits into 512 octets, and then leave it out.
    end, question = time.monotonic() + seconds, query(name, kind, True)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(0.002)
        udp.connect((address, port))
        print("asking", flush=True)
        while time.monotonic() < end:
            try:
                udp.send(question)
                answer = udp.recv(4096)
                if answer[:2] == question[:2] and is_it(answer, wanted):
                    print(time.monotonic())
                    return 0
            except OSError:
                pass
            time.sleep(0.0005)
    return 1


def tcp(address, port, name, kind):
    with socket.create_connection((address, port), 5) as stream:
        question = query(name, kind)
        stream.sendall(struct.pack("!H", len(question)) + question)
        got = b""
        while len(got) < 2 or len(got) < 2 + struct.unpack("!H", got[:2])[0]:
            more = stream.recv(65537)
            if not more:
                return 1
            got += more
    print(question.hex(), got[2:].hex())
    return 0


if __name__ == "__main__":
    if sys.argv[1] != "tcp":
        is_this, kind_asked = (is_first, 6) if sys.argv[1] == "first" else (is_seen, 1)
        sys.exit(until(is_this, sys.argv[2], int(sys.argv[3]), sys.argv[4], kind_asked,
                       float(sys.argv[5]), sys.argv[6]))
    sys.exit(tcp(sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])))
