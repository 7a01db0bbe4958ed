# SPDX-License-Identifier: BSD-2-Clause
"""One question, from inside the client's namespace.

    ask.py first ADDRESS PORT NAME SECONDS all|nothing
                     when the name's SOA is first answered for (monotonic time), or with nothing
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


def first(address, port, name, seconds, has_answer):
    # With EDNS: some add more to an answer than fits into 512 octets, and then leave it out.
    end, question = time.monotonic() + seconds, query(name, 6, True)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.settimeout(0.005)
        udp.connect((address, port))
        print("asking", flush=True)
        while time.monotonic() < end:
            try:
                udp.send(question)
                answer = udp.recv(4096)
                # NOERROR, and an answer
                if answer[:2] == question[:2] and answer[3] & 15 == 0 and \
                        (answer[7] or not has_answer):
                    print(time.monotonic())
                    return 0
            except OSError:
                pass
            time.sleep(0.002)
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
    if sys.argv[1] == "first":
        sys.exit(first(sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]),
                       sys.argv[6] == "all"))
    sys.exit(tcp(sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])))
