# SPDX-License-Identifier: BSD-2-Clause
"""Hundreds of DNS conversations over TCP at once, as the kernel's TCP holds them; each response is
compared with what it must be.

    known = learn(address, port, names)                  one after the other, where nothing is lost
    result = converse([address], port, plan(known, 1000, seed), known, at_once=300, stuck_s=120)
    assert result.failures == []

A conversation asks for some names over one connection, in one of the ways of HOW.  When the server
ends the connection between two responses (RFC 7766 6.2.4), having sent a good deal, what is left is
asked over another one; any other end is a failure.
"""
import asyncio
import dataclasses
import random
import socket
import struct
import time

TXT = 16

# How requests travel, and how often. `alone`: one only; `turns`: the next when the response to the
# one before is there; `joined`: all in one write; `apart`: each in a write of its own, at once;
# `halves`: the length, then the message; `half-close`: all in one write, with the end of the stream
# behind; `long`: as turns, but many. `pieces`: all at once, cut anywhere into writes of 1 to 59
# octets; a kernel may not be able to join so many, and a server that has forgotten what came may
# end the connection at any time.
HOW = {"alone": 8, "turns": 3, "joined": 3, "apart": 3, "halves": 2, "half-close": 3, "long": 1}
MANY = 40

# A connection may be ended by the server after so much, not sooner.
LEAST_STREAM = 65536


@dataclasses.dataclass
class Conversation:
    how: str
    names: list
    number: int = 0


@dataclasses.dataclass
class Result:
    responses: int = 0
    connections: int = 0
    reopened: int = 0       # connections that the server ended
    failures: list = dataclasses.field(default_factory=list)
    times: list = dataclasses.field(default_factory=list)  # (how, names, seconds) of conversations


def query(name, ident):
    message = struct.pack(">6H", ident, 0x0100, 1, 0, 0, 0)  # RD, for resolvers
    for label in name.split("."):
        message += bytes([len(label)]) + label.encode()
    return message + b"\0" + struct.pack(">2H", TXT, 1)


def framed(message):
    return struct.pack(">H", len(message)) + message


class EndOfStream(Exception):
    """The server has ended the connection where it may."""


class Connection:
    """One of the kernel's connections; used as `async with`."""

    def __init__(self, address, port):
        self.address, self.port = address, port
        self.got = b""
        self.received = 0  # octets of whole messages
        self.least_stream = LEAST_STREAM

    async def __aenter__(self):
        family = socket.AF_INET6 if ":" in self.address else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.loop = asyncio.get_running_loop()
        try:
            await self.loop.sock_connect(self.socket, (self.address, self.port))
        except BaseException:
            self.socket.close()
            raise
        return self

    async def __aexit__(self, *_):
        self.socket.close()

    async def write(self, octets):
        try:
            await self.loop.sock_sendall(self.socket, octets)
        except (ConnectionResetError, BrokenPipeError) as error:
            self.end(error)

    def end(self, how):
        if self.received < self.least_stream or (self.got and self.least_stream):
            raise AssertionError(f"{how!r} after {self.received} octets of messages, "
                                 f"{len(self.got)} of another")
        raise EndOfStream

    async def message(self):
        while len(self.got) < 2 or len(self.got) < 2 + struct.unpack(">H", self.got[:2])[0]:
            try:
                piece = await self.loop.sock_recv(self.socket, 262144)
            except ConnectionResetError as error:
                self.end(error)
            if not piece:
                self.end("end of stream")
            self.got += piece
        whole = 2 + struct.unpack(">H", self.got[:2])[0]
        message, self.got = self.got[2:whole], self.got[whole:]
        self.received += whole
        return message

    async def must_end(self):
        assert self.got == b"" and await self.loop.sock_recv(self.socket, 1) == b"", "no end"


async def send(connection, how, requests):
    """All of them, or the first if they go in turns; returns how many."""
    if how in ("joined", "half-close"):
        await connection.write(b"".join(framed(request) for request in requests))
        if how == "half-close":
            connection.socket.shutdown(socket.SHUT_WR)
        return len(requests)
    if how == "apart":
        for request in requests:
            await connection.write(framed(request))
        return len(requests)
    if how == "pieces":
        octets = b"".join(framed(request) for request in requests)
        chance = random.Random(requests[0])
        pause = chance.choice((None, 0, 0.002))
        while octets:
            length = chance.randint(1, 59)
            await connection.write(octets[:length])
            octets = octets[length:]
            if pause == 0 or (pause and chance.random() < 0.3):
                await asyncio.sleep(pause)
        return len(requests)
    if how == "halves":
        for part in (framed(requests[0])[:2], requests[0]):
            await connection.write(part)
            await asyncio.sleep(0.002)
        return 1
    await connection.write(framed(requests[0]))
    return 1


async def hold(connection, conversation, left, known, result):
    """Take from `left`, a dictionary from ID to name, what is answered."""
    if conversation.how == "pieces":
        connection.least_stream = 0
    while left:
        waiting = await send(connection, conversation.how,
                             [query(name, ident) for ident, name in left.items()])
        for _ in range(waiting):
            message = await connection.message()
            name = left.pop(struct.unpack(">H", message[:2])[0], None)
            assert name, "a response to nothing that was asked"
            assert message[2:] == known[name][2:], f"other octets for {name}: {len(message)} of " \
                                                   f"{len(known[name])}"
            result.responses += 1
    if conversation.how == "half-close":
        await connection.must_end()


async def one(address, port, conversation, known, result, stuck_s):
    begun, ports = time.monotonic(), []
    first = random.Random(conversation.number).randrange(65536)
    left = {(first + i * 7919) % 65536: name for i, name in enumerate(conversation.names)}
    try:
        async with asyncio.timeout(stuck_s * (1 if len(left) < 10 else 3)):
            while left:
                async with Connection(address, port) as connection:
                    ports.append(connection.socket.getsockname()[1])
                    result.connections += 1
                    try:
                        await hold(connection, conversation, left, known, result)
                    except EndOfStream:
                        result.reopened += 1
    except Exception as error:  # pylint: disable=broad-except
        result.failures.append(f"{conversation.how} {conversation.names[:8]} from {address} to "
                               f"ports {ports[-3:]}, {time.monotonic() - begun:.1f} s: "
                               f"{error!r}, {len(left)} left")
    result.times.append((conversation.how, conversation.names, time.monotonic() - begun))


async def all_of_them(addresses, port, conversations, known, at_once, stuck_s):
    result, queue = Result(), list(reversed(conversations))

    async def work():
        while queue:
            conversation = queue.pop()
            await one(addresses[conversation.number % len(addresses)], port, conversation, known,
                      result, stuck_s)

    await asyncio.gather(*(work() for _ in range(at_once)))
    return result


def converse(addresses, port, conversations, known, at_once=200, stuck_s=120):
    """Hold them, so many at a time, the addresses in turns. Stuck is who takes longer than that
    (three times that for many names)."""
    return asyncio.run(all_of_them(addresses, port, conversations, known, at_once, stuck_s))


def plan(names, count, seed, how=None):
    """Conversations with so many responses in all, the same for the same seed."""
    chance, names, conversations = random.Random(seed), sorted(names), []
    how = how or HOW
    while count > 0:
        way = chance.choices(list(how), list(how.values()))[0]
        few = chance.randint(1 if way == "half-close" else 2, 4)
        some = min({"alone": 1, "long": MANY, "pieces": MANY}.get(way, few), count)
        conversations.append(Conversation(way, [chance.choice(names) for _ in range(some)],
                                          len(conversations)))
        count -= some
    # What takes longest begins first.
    return sorted(conversations, key=lambda each: each.how != "long")


def learn(address, port, names):
    """What the responses are: from where nothing is lost."""
    async def ask():
        known = {}
        for name in names:
            async with Connection(address, port) as connection:
                await connection.write(framed(query(name, 1)))
                known[name] = await connection.message()
                assert known[name][3] & 15 == 0 and known[name][6:10] != bytes(4), name
        return known
    return asyncio.run(ask())


def write_zone(path, sizes, cuts=0, seed=1):
    """A zone `example` whose t<size>.example TXT has a response of about so many octets, at least
    100, and with delegations, below each of which is a name to ask for; returns the names. The text
    is random: no octet looks like that of another place."""
    chance = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
    with open(path, "w", encoding="ascii") as file:
        file.write("$ORIGIN example.\n$TTL 300\n@ SOA ns host 1 2 3 4 5\n@ NS ns\n"
                   "ns A 198.18.0.1\n")
        for size in sizes:
            left = size - 12 - len(f"t{size}.example") - 6
            while left > 13:
                length = min(left - 13, 200 + chance.randrange(50))
                file.write(f't{size} TXT "{"".join(chance.choices(letters, k=length))}"\n')
                left -= 13 + length
        for i in range(cuts):
            file.write(f"d{i} NS ns.d{i}\nns.d{i} A 192.0.2.{i % 250}\n")
    return [f"t{size}.example" for size in sizes] + [f"www.d{i}.example" for i in range(cuts)]
