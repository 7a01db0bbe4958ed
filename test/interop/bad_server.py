# SPDX-License-Identifier: BSD-2-Clause
"""A name server that answers as it is told to, also what no server should.

    with BadServer(answer) as server: ... server.port

`answer(request, is_tcp)` returns a list of messages; over TCP also (message, length to announce).
"""
import socket
import struct
import threading

import peers


def question_end(request):
    at = 12
    while request[at]:
        at += 1 + request[at]
    return at + 5


def response(request, counts=(0, 0, 0), body=b"", flags=0x8400, ident=None, question=None):
    """A response to this request, with so many records in `body`."""
    if ident is None:
        ident = struct.unpack("!H", request[:2])[0]
    if question is None:
        question = request[12:question_end(request)]
    return struct.pack("!6H", ident, flags, 1 if question else 0, *counts) + question + body


def record(rtype, rdata, ttl=60, owner=b"\xc0\x0c", rclass=1, length=None):
    return owner + struct.pack("!HHIH", rtype, rclass, ttl,
                               len(rdata) if length is None else length) + rdata


class BadServer:
    def __init__(self, answer, address="127.0.0.1", port=None):
        self.answer, self.address, self.port = answer, address, port
        self.asked = []  # True: over TCP
        self.is_over = False

    def __enter__(self):
        self.port = self.port or peers.free_port(self.address)
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((self.address, self.port))
        self.tcp = socket.create_server((self.address, self.port))
        for s in (self.udp, self.tcp):
            s.settimeout(0.1)
        self.threads = [threading.Thread(target=serve) for serve in (self.serve_udp, self.serve_tcp)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        for thread in self.threads:
            thread.join()
        self.udp.close()
        self.tcp.close()

    def serve_udp(self):
        while not self.is_over:
            try:
                request, client = self.udp.recvfrom(65535)
            except OSError:
                continue
            self.asked.append(False)
            for message in self.answer(request, False):
                self.udp.sendto(message, client)

    def serve_tcp(self):
        while not self.is_over:
            try:
                connection, _ = self.tcp.accept()
            except OSError:
                continue
            with connection:
                connection.settimeout(5)
                self.serve_connection(connection)

    def serve_connection(self, connection):
        while True:
            try:
                prefix = connection.recv(2, socket.MSG_WAITALL)
                if len(prefix) < 2:
                    return
                request = connection.recv(struct.unpack("!H", prefix)[0], socket.MSG_WAITALL)
                self.asked.append(True)
                for message in self.answer(request, True):
                    message, length = message if isinstance(message, tuple) else (message, len(message))
                    connection.sendall(struct.pack("!H", length) + message)
                    if length != len(message):
                        return
            except OSError:
                return
