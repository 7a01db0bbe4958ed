# SPDX-License-Identifier: BSD-2-Clause
"""DNS messages in a stream, each behind its length (RFC 1035 4.2.2).

A script that runs elsewhere, in another network namespace, begins with SOURCE.
"""
import inspect
import struct


def read_exactly(s, length):
    got = b""
    while len(got) < length:
        piece = s.recv(length - len(got))
        if not piece:
            raise EOFError(f"end after {len(got)} of {length} octets")
        got += piece
    return got


def read_message(s):
    return read_exactly(s, struct.unpack(">H", read_exactly(s, 2))[0])


SOURCE = "import struct\n\n" + "\n".join(map(inspect.getsource, (read_exactly, read_message)))
