# SPDX-License-Identifier: BSD-2-Clause
"""A client of profile `modern`, as the documents have it, and what it must be answered.

A case tells both sides: what the client sends, and with answer() each segment that the server must
send then, and whether the network loses it. The client takes what arrives as RFC 9293, 7323 and
2018 say: its acknowledgements, echoes and SACK blocks follow, and an answer that no client could
take is an error of the case. Nothing here runs the server; check() compares afterwards.
"""
import struct

from frames import (ACK, FIN, PSH, RST, SYN, Client, cookie, framed, mss_option, name, query)

TXT = 16
WINDOW = 2560
SEGMENT = 1220
SERVER_MSS = struct.pack(">H", 1220)
NAMES = {ACK: ".", PSH | ACK: "P.", SYN | ACK: "S.", FIN | ACK: "F.", FIN | PSH | ACK: "FP.", RST: "R"}


def txt_response(owner, count, identifier):
    """Length and message: `count` strings of 200 octets, as make_database() has them."""
    record = b"\xc0\x0c" + struct.pack(">HHIHB", TXT, 1, 300, 201, 200)
    return framed(struct.pack(">HHHHHH", identifier, 0x8500, 1, count, 0, 0) + name(owner)
                  + struct.pack(">HH", TXT, 1)
                  + b"".join(record + b"%03d" % i + 197 * b"x" for i in range(count)))


def before(a, b):
    """a < b as TCP's numbers go."""
    return 0 < (b - a) % 2**32 < 2**31


def tcp_options(octets):
    found = {}
    while octets and octets[0] != 0:
        if octets[0] == 1:
            octets = octets[1:]
            continue
        found[octets[0]] = octets[2:octets[1]]
        octets = octets[octets[1]:]
    return found


class ModernClient(Client):
    """Offsets count octets after the SYN, in the client's stream and in the server's; a FIN is one."""

    def __init__(self, case, addresses, has_timestamps=True, window=64240, **args):
        super().__init__(case, *addresses, **args)
        self.has_timestamps, self.window = has_timestamps, window
        self.is_elsewhere = False      # its packets take another way: this server sees none
        self.sent = b""                # its stream
        self.acked = self.sent_end = 0
        self.held = 0                  # of the server's stream, in order
        self.pieces = []               # out of order, the latest first
        self.air = []                  # what is on its way to the client
        self.duplicate = None          # what came twice, until it is said (RFC 2883)
        self.echo = self.acked_last = 0
        self.responses = b""           # octets that are due; None where only the length is known
        self.due = []
        case.clients.append(self)

    # What it sends.

    def clock(self):
        return self.case.time_us // 1000 % 2**32

    def options(self):
        options = b""
        if self.has_timestamps:
            options = b"\1\1" + struct.pack(">BBII", 8, 10, self.clock(), self.echo)
        blocks = ([self.duplicate] if self.duplicate else []) + self.pieces
        if blocks:
            blocks = blocks[:3 if self.has_timestamps else 4]
            options += b"\1\1" + struct.pack(">BB", 5, 2 + 8 * len(blocks))
            for left, right in blocks:
                options += struct.pack(">II", *((self.iss + 1 + at) % 2**32 for at in (left, right)))
        self.duplicate = None
        return options

    def put(self, flags, seq, ack, payload=b"", options=b"", is_lost=False):
        """Onto the wire; the server may not see it."""
        self.said = (self.clock(), ack)
        if self.is_elsewhere or is_lost:
            self.case.time_us += 1000
        else:
            self.segment(seq, ack, flags, payload, options, window=self.window)

    def say(self, at, payload=b"", flags=ACK, is_lost=False):
        options = self.options()
        self.acked_last = self.held
        self.put(flags, self.isn + 1 + at, (self.iss + 1 + self.held) % 2**32, payload, options,
                 is_lost)
        self.sent_end = max(self.sent_end, at + len(payload) + (1 if flags & FIN else 0))

    def ack(self):
        self.say(self.sent_end)

    def write(self, payload, flags=PSH | ACK, is_lost=False):
        at, self.sent = len(self.sent), self.sent + payload
        self.say(at, payload, flags, is_lost)

    def again(self, to=None):
        """The retransmission timer: the oldest octets that are not acknowledged, up to `to`."""
        self.case.time_us += 200000
        self.say(self.acked, self.sent[self.acked:to], PSH | ACK)

    def fin(self):
        self.say(len(self.sent), flags=FIN | ACK)

    def fin_again(self):
        self.case.time_us += 200000
        self.fin()

    def request(self, qname, qtype, length, identifier=30304, **args):
        """A query, whose response has `length` octets, or is what `length` holds."""
        message = framed(query(qname, qtype, identifier, **args))
        due_len = length if isinstance(length, int) else len(length)
        self.due.append((identifier, due_len, None if isinstance(length, int) else length))
        return message

    # What it gets.

    def answer(self, at, length, ack, point, flags=ACK, fate="arrives",
               window=WINDOW):
        """A segment with `length` octets from `at` that acknowledges the client's before `ack`; its
        TSval is the point: (offset in the server's stream, in the client's, done). It arrives, is
        lost, or is "late": arrive() takes what is."""
        value = None
        if self.has_timestamps:
            offset, seq, is_done = point
            value = (offset << 13 | (self.isn + 1 + seq) % 4096 << 1 | is_done) % 2**32
        if self.is_elsewhere:
            pass
        else:
            self.case.answers.append((len(self.case.frames) - 1, self, (
                NAMES[flags], (self.iss + 1 + at) % 2**32, (self.isn + 1 + ack) % 2**32, length,
                window, value, self.said[0] if self.has_timestamps else None)))
        segment = (at, at + length + (1 if flags & FIN else 0), ack, value)
        if fate == "arrives":
            self.take(*segment)
        elif fate == "late":
            self.air.append(segment)

    def arrive(self, count=1):
        for _ in range(count):
            self.take(*self.air.pop(0))

    def take(self, at, end, ack, value):
        """RFC 9293 3.10.7.4, RFC 7323 4.3 and 5.3."""
        if value is not None:
            assert not before(value, self.echo), "PAWS drops this answer"
            if at <= self.acked_last:
                self.echo = value
        assert ack <= self.sent_end, "an answer acknowledges what was never sent"
        self.acked = max(self.acked, ack)
        if end == at:
            room = self.acked_last + self.window - self.held
            assert at in (-1, self.held) or 0 < at - self.held < room, "no acceptable number"
            return
        if end <= self.held or any(left <= at and end <= right for left, right in self.pieces):
            self.duplicate = (at, end)
            return
        assert end <= self.acked_last + self.window, "an answer beyond the window"
        if at <= self.held:
            self.held = end
            for left, right in sorted(self.pieces):
                self.held = max(self.held, right) if left <= self.held else self.held
            self.pieces = [piece for piece in self.pieces if piece[1] > self.held]
            return
        for piece in [p for p in self.pieces if p[0] <= end and at <= p[1]]:
            self.pieces.remove(piece)
            at, end = min(at, piece[0]), max(end, piece[1])
        self.pieces.insert(0, (at, end))

    def train(self, at, end, asked, ack, to=None, lost=(), fate="arrives", last=PSH | ACK, size=SEGMENT):
        """Segments from `at`, of a train that ends at `end` and answers what is before `asked`."""
        to, i = to or end, 0
        while at < to:
            length = min(size, to - at)
            self.answer(at, length, ack, (end, asked, False), last if at + length == end else ACK,
                        "lost" if i in lost else fate)
            at, i = at + length, i + 1

    # Dialogues have these in common.

    def syn_options(self):
        options = mss_option(self.mss)
        if self.has_timestamps:
            return options + b"\4\2" + struct.pack(">BBII", 8, 10, self.clock(), 0) + b"\1\3\3\7"
        return options + b"\1\1\4\2"

    def begin(self, options=None, payload=b""):
        """SYN; the numbers and the echo follow."""
        irs = None if self.has_timestamps else self.isn
        self.iss = cookie(self.case.time_us // 10**6, self.client, self.server, self.port,
                          self.server_port, self.mss, irs)
        self.sent = payload
        self.offered = self.syn_options() if options is None else options
        self.offered_data_len = len(payload)
        self.put(SYN, self.isn, 0, payload, self.offered)
        self.echo = 0 if not self.has_timestamps else (self.isn + 1) % 4096 << 1 | 1
        self.sent_end = len(payload)

    def connect(self):
        self.begin()
        self.syn_ack()
        self.ack()

    def syn_ack(self, ack=0):
        self.answer(-1, 0, ack, (0, 0, True), SYN | ACK)

    def ask(self, qname, qtype, length, identifier=30304, **args):
        self.write(self.request(qname, qtype, length, identifier, **args))

    def close(self, end):
        """All is there: FIN, FIN, ACK."""
        asked = len(self.sent)
        self.fin()
        self.answer(end, 0, asked + 1, (end, asked, True), FIN | ACK)
        self.held = end + 1
        self.ack()

    def reset(self):
        """RFC 9293 3.10.7.1: RST that bears what the client acknowledges, and no options."""
        clock, ack = self.said
        self.case.answers.append((len(self.case.frames) - 1, self, (
            "R", ack, 0, 0, 0, None, None)))


def segment_text(client, fields):
    flags, seq, ack, length, window, value, echo = fields
    text = f"{flags} seq {(seq - client.iss) % 2**32} ack {(ack - client.isn) % 2**32} len {length}"
    text += f" win {window}"
    if value is not None:
        text += (f" point ({value >> 13}, {((value >> 1) - client.isn - 1) % 4096}"
                 f"{', done' if value & 1 else ''}) echo {echo}")
    return text


def check_options(client, options, length):
    """Of a SYN+ACK: only what was offered, and no more octets than the SYN and its data had."""
    offered = tcp_options(client.offered)
    assert set(options) <= set(offered) | {2} and 3 not in options, "not offered"
    assert options.get(2, SERVER_MSS) == SERVER_MSS
    assert length <= len(client.offered) + client.offered_data_len
    assert (8 in options) == (8 in offered)
    if len(client.offered) >= 20 and 34 not in offered:
        assert set(options) == set(offered) - {3}, "left out although there was room"


def check_segments(case, answers):
    """Segment by segment: flags, numbers, length, window, TSval, TSecr, and what it answers."""
    got, latest = [], {}
    for segment in answers:
        options = tcp_options(segment.options)
        value, echo = struct.unpack(">II", options[8]) if 8 in options else (None, None)
        client = next(c for c in case.clients if (c.client, c.port) == (
            segment.destination, segment.destination_port))
        if value is not None:
            assert not before(value, latest.get(client, value)), "TSval decreases"
            latest[client] = value
        assert (segment.source, segment.source_port) == (client.server, client.server_port)
        assert tuple(segment.tags) == tuple(client.ethernet_args.get("tags", ()))
        if segment.flags == SYN | ACK:
            check_options(client, options, len(segment.options))
        else:
            assert set(options) <= {8}, "options that only a SYN may bear"
        got.append((segment.time_us, segment_text(client, (
            NAMES[segment.flags], segment.seq, segment.ack, len(segment.payload), segment.window,
            value, echo))))
    due = [(case.frames[index][0], segment_text(client, fields))
           for index, client, fields in case.answers]
    for i in range(max(len(got), len(due))):
        mine, theirs = (part[i] if i < len(part) else "nothing" for part in (due, got))
        assert mine == theirs, f"segment {i + 1}:\n  due {mine}\n  got {theirs}"


def check_octets(case, answers):
    """Whatever was sent, and however often: these are the responses, and nothing else."""
    for client in case.clients:
        end = sum(length for _, length, _ in client.due)
        stream = bytearray(end)
        known = bytearray(end)
        for segment in answers:
            if (segment.destination_port, segment.destination) != (client.port, client.client):
                continue
            at, payload = (segment.seq - client.iss - 1) % 2**32, segment.payload
            for i, octet in enumerate(payload, at):
                assert i < end and (not known[i] or stream[i] == octet), f"octet {i}"
                stream[i], known[i] = octet, 1
        at = 0
        for identifier, length, octets in client.due:
            here, is_known = stream[at:at + length], known[at:at + length]
            at += length
            if octets is not None:
                assert all(a == b for a, b, k in zip(here, octets, is_known) if k), "octets"
            elif any(is_known):
                assert struct.unpack_from(">HH", here) == (length - 2, identifier)
                assert struct.unpack_from(">HH", here, 4)[0] & 0xFE0F == 0x8400
        if case.is_whole:
            assert all(known), f"{end - sum(known)} octets were never sent"


def check(case, answers):
    check_segments(case, answers)
    check_octets(case, answers)
