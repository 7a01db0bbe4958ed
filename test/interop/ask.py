# SPDX-License-Identifier: BSD-2-Clause
"""Ask several servers many questions at once."""
import select
import socket
import struct

BATCH = 96
TRIES = 5
WAIT_S = 1.0


def udp_socket(address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, socket.SOCK_DGRAM)
    for option in (33, socket.SO_RCVBUF):  # SO_RCVBUFFORCE
        try:
            s.setsockopt(socket.SOL_SOCKET, option, 8 << 20)
            break
        except OSError:
            pass
    s.connect((address, port))
    s.setblocking(False)
    return s


def with_id(number, message):
    return struct.pack("!H", number) + message[2:]


class UdpBatch:
    """One batch of messages on its way to one server."""

    def __init__(self, sock, messages):
        self.sock = sock
        self.messages = messages
        self.answers = [None] * len(messages)
        self.missing = len(messages)
        self.send_missing()

    def send_missing(self):
        for number, message in enumerate(self.messages):
            if self.answers[number] is None:
                while True:
                    try:
                        self.sock.send(with_id(number, message))
                        break
                    except BlockingIOError:
                        select.select([], [self.sock], [], 1)
                    except ConnectionRefusedError:
                        return

    def collect(self):
        """All answers, None for silence; asks again what stays without answer."""
        for _ in range(TRIES):
            while self.missing:
                if not select.select([self.sock], [], [], WAIT_S)[0]:
                    break
                self.receive()
            if not self.missing:
                break
            self.send_missing()
        return self.answers

    def receive(self):
        try:
            while self.missing:
                answer = self.sock.recv(65535)
                if len(answer) < 2:
                    continue
                number = answer[0] << 8 | answer[1]
                if number < len(self.answers) and self.answers[number] is None \
                        and answer[12:12 + 4] == self.messages[number][12:12 + 4]:
                    self.answers[number] = answer
                    self.missing -= 1
        except (BlockingIOError, ConnectionRefusedError):
            pass


def udp(servers, messages):
    """Yield (number of the first, one list of answers per server), batch by batch; the next batch
    is on its way while the caller looks at this one.  `servers`: (address, port) each."""
    socks = [[udp_socket(*server) for server in servers] for _ in range(2)]
    ahead = None
    try:
        for turn, start in enumerate(range(0, len(messages), BATCH)):
            part = messages[start:start + BATCH]
            now = (start, [UdpBatch(sock, part) for sock in socks[turn % 2]])
            if ahead:
                yield ahead[0], [batch.collect() for batch in ahead[1]]
            ahead = now
        if ahead:
            yield ahead[0], [batch.collect() for batch in ahead[1]]
    finally:
        for pair in socks:
            for sock in pair:
                sock.close()


def tcp(server, messages, window=16, timeout_s=20):
    """Answers over TCP connections, pipelined; None where the server closed without one."""
    answers = [None] * len(messages)
    todo = list(range(len(messages)))
    failures = 0
    while todo and failures < 3:
        got = 0
        with socket.create_connection(server, timeout=timeout_s) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                got = tcp_run(s, messages, answers, todo, window)
            except OSError:
                pass
        todo = [number for number in todo if answers[number] is None]
        failures = 0 if got else failures + 1
    return answers


def tcp_run(s, messages, answers, todo, window):
    got = 0
    for start in range(0, len(todo), window):
        part = todo[start:start + window]
        data = b"".join(struct.pack("!HH", len(messages[number]), place) + messages[number][2:]
                        for place, number in enumerate(part))
        s.sendall(data)
        for _ in part:
            size = struct.unpack("!H", exactly(s, 2))[0]
            answer = exactly(s, size)
            place = answer[0] << 8 | answer[1]
            answers[part[place]] = answer
            got += 1
    return got


def exactly(s, size):
    data = bytearray()
    while len(data) < size:
        more = s.recv(size - len(data))
        if not more:
            raise OSError("closed")
        data += more
    return bytes(data)
