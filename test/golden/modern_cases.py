# SPDX-License-Identifier: BSD-2-Clause
"""What clients send to profile modern, case by case: as cases.py, but with timestamps.

A client gives back what the server wrote into TSval. It is foretold here from the document
(modern.h), so that captures need no server to be made.
"""
import struct

from frames import ACK, FIN, PSH, RST, SYN, Case, Client, cookie, fast_open_cookie, framed, query

V4 = ("198.18.0.2", "198.18.0.1")
V6 = ("fd00:198:18::2", "fd00:198:18::1")
VLAN = ((0x8100, 0x6005),)
MX, TXT = 15, 16
MX_REQUEST = framed(query("rand.apnic.net", MX))
TXT_REQUEST = framed(query("big.example", TXT))
MX_STREAM, TXT_STREAM = 2 + 101, 2 + 2798
SEGMENT = 1220  # ours; the client takes 1460 less the Timestamps


class Modern(Client):
    """A client with Timestamps and SACK; `at` and `ack` as tcpdump prints them."""

    def __init__(self, case, *addresses, **args):
        super().__init__(case, *addresses, **args)
        self.clock = 100

    def point(self, offset, at, done=1):
        """The TSval for: the response to what begins at `at` begins at `offset`."""
        return offset << 13 & 0xFFFFFFFF | (self.isn + at & 4095) << 1 | done

    def options(self, echo, sacks=()):
        self.clock += 1
        octets = b"\1\1\10\12" + struct.pack(">II", self.clock, echo)
        if sacks:
            octets += b"\1\1\5" + bytes([2 + 8 * len(sacks)])
            for left, right in sacks:
                octets += struct.pack(">II", (self.iss + left) % 2**32, (self.iss + right) % 2**32)
        return octets

    def syn(self, options=None, extra=b"", **args):
        offer = struct.pack(">BBH", 2, 4, self.mss) + b"\4\2\10\12" + struct.pack(">II", self.clock, 0)
        super().syn(options=offer + b"\1\3\3\7" + extra if options is None else options, **args)

    def say(self, at, ack, flags, payload=b"", echo=None, sacks=(), **args):
        self.send(at, ack, flags, payload, options=self.options(echo, sacks), **args)

    def connect(self):
        self.syn()
        self.say(1, 1, ACK, echo=self.point(0, 1))


def start(*addresses, **args):
    case = Case()
    client = Modern(case, *(addresses or V4), **args)
    client.connect()
    return case, client


class Answer:
    """A segment of the server in numbers as tcpdump prints them."""

    def __init__(self, client, segment):
        self.flags, self.payload, self.window = segment.flags, segment.payload, segment.window
        self.seq = (segment.seq - client.iss) % 2**32
        self.ack = (segment.ack - client.isn) % 2**32 if segment.flags & ACK else None
        self.value = None
        at = segment.options.find(b"\10\12")
        if at >= 0:
            self.value, self.echo = struct.unpack_from(">II", segment.options, at + 2)


def look(client, answers, expected):
    """`expected`: flags, seq, ack, payload length, (offset, at, done) of TSval or None."""
    got = [Answer(client, segment) for segment in answers]
    lines = [(a.flags, a.seq, a.ack, len(a.payload), a.value) for a in got]
    wanted = [(flags, seq, ack, length, None if point is None else client.point(*point))
              for flags, seq, ack, length, point in expected]
    assert lines == wanted, f"\n{lines}\nnot\n{wanted}"
    return got


STALE = 0x10040000  # far from any number that fits its echo
SYN_ACK = (SYN | ACK, 0, 1, 0, (0, 1, 1))
AFTER_MX = (MX_STREAM, 1 + len(MX_REQUEST), 1)
AFTER_TXT = (TXT_STREAM, 1 + len(TXT_REQUEST), 0)
TXT_END = 1 + len(TXT_REQUEST)


def dialogue(*addresses, **args):
    """Two queries on one connection, then FIN each way."""
    case, client = start(*addresses, **args)
    end, held = 1 + len(MX_REQUEST), 1 + MX_STREAM
    client.say(1, 1, PSH | ACK, MX_REQUEST, echo=client.point(0, 1))
    client.say(end, held, ACK, echo=client.point(MX_STREAM, end))
    client.say(end, held, PSH | ACK, MX_REQUEST, echo=client.point(MX_STREAM, end))
    end, held = end + len(MX_REQUEST), held + MX_STREAM
    client.say(end, held, ACK, echo=client.point(2 * MX_STREAM, end))
    client.say(end, held, FIN | ACK, echo=client.point(2 * MX_STREAM, end))
    client.say(end + 1, held + 1, ACK, echo=client.point(2 * MX_STREAM, end))
    return case, client


def check_dialogue(client, answers):
    end, held = 1 + len(MX_REQUEST), 1 + MX_STREAM
    second = (2 * MX_STREAM, end + len(MX_REQUEST), 1)
    got = look(client, answers, [
        SYN_ACK,
        (PSH | ACK, 1, end, MX_STREAM, AFTER_MX),
        (PSH | ACK, held, end + len(MX_REQUEST), MX_STREAM, second),
        (FIN | ACK, held + MX_STREAM, end + len(MX_REQUEST) + 1, 0, second)])
    assert got[1].payload == got[2].payload
    assert struct.unpack(">H", got[1].payload[:2])[0] == MX_STREAM - 2


def case_modern_dialogue_ipv4():
    return dialogue(*V4)


def case_modern_dialogue_ipv6():
    return dialogue(*V6)


def case_modern_dialogue_vlan():
    return dialogue(*V4, tags=VLAN)


check_modern_dialogue_ipv4 = check_modern_dialogue_ipv6 = check_modern_dialogue_vlan = check_dialogue


def case_modern_no_timestamps():
    """One exchange, which our FIN ends; the client's FIN cannot be proven."""
    case = Case()
    client = Modern(case, *V4)
    client.syn(options=b"\2\4\5\xb4")
    client.iss = cookie(case.frames[0][0] // 10**6, *V4, client.port, 53, client.mss, client.isn)
    end = 1 + len(MX_REQUEST)
    client.send(1, 1, ACK)
    client.send(1, 1, PSH | ACK, MX_REQUEST)
    client.send(end, 2 + MX_STREAM, ACK)
    client.send(end, 2 + MX_STREAM, FIN | ACK)
    return case, client


def check_modern_no_timestamps(client, answers):
    look(client, answers, [
        (SYN | ACK, 0, 1, 0, None),
        (FIN | PSH | ACK, 1, 1 + len(MX_REQUEST), MX_STREAM, None),
        (RST, 2 + MX_STREAM, None, 0, None)])


def txt_segments(from_, ack=1):
    """What is sent of the long response, from an octet on."""
    segments = []
    while from_ < TXT_STREAM:
        length = min(SEGMENT, TXT_STREAM - from_)
        last = from_ + length == TXT_STREAM
        segments.append((PSH | ACK if last else ACK, 1 + from_, ack, length, AFTER_TXT))
        from_ += length
    return segments


def case_modern_several_segments():
    """Nothing is acknowledged before the client has everything: then it is, once."""
    case, client = start()
    client.say(1, 1, PSH | ACK, TXT_REQUEST, echo=client.point(0, 1))
    point = client.point(*AFTER_TXT)
    client.say(TXT_END, 1 + 2 * SEGMENT, ACK, echo=point)
    client.say(TXT_END, 1 + TXT_STREAM, ACK, echo=point)
    client.say(TXT_END, 1 + TXT_STREAM, ACK, echo=point | 1)
    return case, client


COMPLETE = (ACK, 1 + TXT_STREAM, TXT_END, 0, (TXT_STREAM, TXT_END, 1))


def check_modern_several_segments(client, answers):
    got = look(client, answers, [SYN_ACK, *txt_segments(0), COMPLETE])
    stream = b"".join(answer.payload for answer in got)
    assert len(stream) == TXT_STREAM and struct.unpack(">H", stream[:2])[0] == TXT_STREAM - 2


def case_modern_resume():
    """All but the first segment is lost, and so is what comes then, but for the second."""
    case, client = start()
    point = client.point(*AFTER_TXT)
    client.say(1, 1, PSH | ACK, TXT_REQUEST, echo=client.point(0, 1))
    client.say(1, 1 + SEGMENT, PSH | ACK, TXT_REQUEST, echo=point)
    client.say(1, 1 + 2 * SEGMENT, PSH | ACK, TXT_REQUEST, echo=point)
    client.say(TXT_END, 1 + TXT_STREAM, ACK, echo=point)
    return case, client


def check_modern_resume(client, answers):
    last = (PSH | ACK, 1 + 2 * SEGMENT, TXT_END, TXT_STREAM - 2 * SEGMENT, (TXT_STREAM, TXT_END, 1))
    got = look(client, answers, [SYN_ACK, *txt_segments(0), *txt_segments(SEGMENT), last, COMPLETE])
    assert got[2].payload == got[4].payload and got[3].payload == got[5].payload == got[6].payload


def case_modern_first_lost():
    """The first segment is lost: the echo is of the SYN+ACK, but SACK shows the hole."""
    case, client = start()
    first, sacks = client.point(0, 1), [(1 + SEGMENT, 1 + TXT_STREAM)]
    client.say(1, 1, PSH | ACK, TXT_REQUEST, echo=first)
    client.say(TXT_END, 1, ACK, echo=first, sacks=[(1 + SEGMENT, 1 + 2 * SEGMENT)])
    client.say(TXT_END, 1, ACK, echo=first, sacks=sacks)
    client.say(TXT_END, 1 + TXT_STREAM, ACK, echo=client.point(*AFTER_TXT))
    return case, client


def check_modern_first_lost(client, answers):
    got = look(client, answers, [SYN_ACK, *txt_segments(0), txt_segments(0)[0], COMPLETE])
    assert got[1].payload == got[4].payload


def case_modern_selective():
    """The second segment is lost: SACK shows it, and it comes again without a timer."""
    case, client = start()
    client.say(1, 1, PSH | ACK, TXT_REQUEST, echo=client.point(0, 1))
    point = client.point(*AFTER_TXT)
    client.say(TXT_END, 1 + SEGMENT, ACK, echo=point)
    client.say(TXT_END, 1 + SEGMENT, ACK, echo=point, sacks=[(1 + 2 * SEGMENT, 1 + TXT_STREAM)])
    client.say(TXT_END, 1 + TXT_STREAM, ACK, echo=point)
    return case, client


def check_modern_selective(client, answers):
    got = look(client, answers, [SYN_ACK, *txt_segments(0), txt_segments(SEGMENT)[0], COMPLETE])
    assert got[2].payload == got[4].payload


def case_modern_window():
    """A window smaller than the response: it goes on as the client makes room."""
    case, client = start()
    point = client.point(*AFTER_TXT)
    client.say(1, 1, PSH | ACK, TXT_REQUEST, echo=client.point(0, 1), window=1500)
    client.say(TXT_END, 1 + SEGMENT, ACK, echo=point, window=1500)
    client.say(TXT_END, 1 + 2 * SEGMENT, ACK, echo=point, window=1500)
    client.say(TXT_END, 1 + TXT_STREAM, ACK, echo=point, window=1500)
    return case, client


def check_modern_window(client, answers):
    look(client, answers, [SYN_ACK, *txt_segments(0), COMPLETE])


def case_modern_half_close():
    """Request and FIN in one segment."""
    case, client = start()
    client.say(1, 1, PSH | FIN | ACK, MX_REQUEST, echo=client.point(0, 1))
    client.say(2 + len(MX_REQUEST), 2 + MX_STREAM, ACK, echo=client.point(*AFTER_MX))
    return case, client


def check_modern_half_close(client, answers):
    look(client, answers, [
        SYN_ACK, (FIN | PSH | ACK, 1, 2 + len(MX_REQUEST), MX_STREAM, AFTER_MX)])


def case_modern_length_apart():
    case, client = start()
    client.say(1, 1, PSH | ACK, MX_REQUEST[:2], echo=client.point(0, 1))
    client.say(3, 1, PSH | ACK, MX_REQUEST[2:], echo=client.point(0, 1))
    client.say(1 + len(MX_REQUEST), 1 + MX_STREAM, ACK, echo=client.point(*AFTER_MX))
    return case, client


def check_modern_length_apart(client, answers):
    look(client, answers, [
        SYN_ACK, (ACK, 1, 3, 0, (0, 1, 1)),
        (PSH | ACK, 1, 1 + len(MX_REQUEST), MX_STREAM, AFTER_MX)])


def case_modern_split():
    """Cut in the midst; then the client's timer joins the pieces."""
    case, client = start()
    first = client.point(0, 1)
    client.say(1, 1, PSH | ACK, MX_REQUEST[:20], echo=first)
    client.say(21, 1, PSH | ACK, MX_REQUEST[20:], echo=first)
    client.say(1 + len(MX_REQUEST), 1 + MX_STREAM, ACK, echo=client.point(*AFTER_MX))
    return case, client


def check_modern_split(client, answers):
    look(client, answers, [SYN_ACK, (PSH | ACK, 1, 1 + len(MX_REQUEST), MX_STREAM, AFTER_MX)])


def case_modern_pipelined():
    """Three in one segment, the second a long one."""
    case, client = start()
    client.say(1, 1, PSH | ACK, MX_REQUEST + TXT_REQUEST + MX_REQUEST, echo=client.point(0, 1))
    return case, client


PIPELINED_STREAM = 2 * MX_STREAM + TXT_STREAM
PIPELINED_END = 1 + 2 * len(MX_REQUEST) + len(TXT_REQUEST)


def check_modern_pipelined(client, answers):
    point = (PIPELINED_STREAM, PIPELINED_END, 0)
    segments = [(ACK if at + SEGMENT < PIPELINED_STREAM else PSH | ACK, 1 + at, 1,
                 min(SEGMENT, PIPELINED_STREAM - at), point)
                for at in range(0, PIPELINED_STREAM, SEGMENT)]
    # The last octet once more: what is there already is acknowledged at once (RFC 9293 3.10.7.4).
    got = look(client, answers, [
        SYN_ACK, *segments, (PSH | ACK, PIPELINED_STREAM, 1, 1, point)])[:-1]
    stream = b"".join(answer.payload for answer in got)
    assert stream[:MX_STREAM] == stream[-MX_STREAM:]


def case_modern_ahead():
    """Two in segments of their own, before anything is answered."""
    case, client = start()
    first, end = client.point(0, 1), 1 + len(MX_REQUEST)
    client.say(1, 1, PSH | ACK, MX_REQUEST, echo=first)
    client.say(end, 1, PSH | ACK, MX_REQUEST, echo=first)
    return case, client


def check_modern_ahead(client, answers):
    end = 1 + len(MX_REQUEST)
    second = (2 * MX_STREAM, end + len(MX_REQUEST), 0)
    look(client, answers, [SYN_ACK, (PSH | ACK, 1, end, MX_STREAM, AFTER_MX),
                           (PSH | ACK, 1 + MX_STREAM, 1, MX_STREAM, second)])


def case_modern_stale():
    """A request under a cookie of long ago, on a connection that never was, and a FIN of one."""
    case, client = start()
    client.say(1, 1 + STALE, PSH | ACK, MX_REQUEST, echo=client.point(0, 1))
    client.say(1, 1 + STALE, ACK, echo=client.point(0, 1, 0))
    client.say(1, 1 + STALE, FIN | ACK, echo=client.point(0, 1))
    return case, client


def check_modern_stale(client, answers):
    look(client, answers, [
        SYN_ACK, (RST, 1 + STALE, None, 0, None), (RST, 1 + STALE, None, 0, None)])


def case_modern_small_syn():
    """Options as far as there is room for as many, Timestamps first."""
    case = Case()
    client = Modern(case, *V6)
    timestamps = b"\1\1\10\12\0\0\0\1\0\0\0\0"
    for options in (b"", b"\4\2\1\1", timestamps, b"\4\2" + timestamps[2:], b"\2\4\5\xb4"):
        client.syn(options=options)
    return case, client


def check_modern_small_syn(_client, answers):
    kinds = [segment.options for segment in answers]
    assert [len(options) for options in kinds] == [0, 4, 12, 12, 4]
    assert kinds[1] == kinds[4] == b"\2\4\x04\xc4"
    assert kinds[2][:4] == b"\1\1\10\12" and kinds[3][:4] == b"\4\2\10\12"


def case_modern_fast_open():
    """It asks for a cookie; uses it; and once more with what does not fit one segment; and with a
    cookie that is none."""
    case = Case()
    good = fast_open_cookie(case.time_us // 10**6, *V4)
    client = Modern(case, *V4)
    client.syn(extra=b"\42\2\1\1")
    for port, shown, request in ((1001, good, MX_REQUEST), (1002, good, TXT_REQUEST),
                                 (1003, bytes(8), MX_REQUEST)):
        client = Modern(case, *V4, port=port)
        client.syn(extra=b"\1\1\42\12" + shown, payload=request)
    return case, client


def check_modern_fast_open(_client, answers):
    isn = 2201103970
    got = [(a.destination_port, a.flags, (a.ack - isn) % 2**32, len(a.payload)) for a in answers]
    end = 1 + len(MX_REQUEST)
    assert got == [(55998, SYN | ACK, 1, 0),
                   (1001, SYN | ACK, end, 0), (1001, PSH | ACK, end, MX_STREAM),
                   (1002, SYN | ACK, 1, 0), (1003, SYN | ACK, 1, 0)], got
    good = fast_open_cookie(1242345600, *V4)
    assert all(good in a.options for a in answers if a.flags & SYN)
    assert (answers[2].seq - answers[1].seq) % 2**32 == 1


CASES = {function[5:]: value for function, value in list(globals().items())
         if function.startswith("case_")}
CHECKS = {function[6:]: value for function, value in list(globals().items())
          if function.startswith("check_")}
