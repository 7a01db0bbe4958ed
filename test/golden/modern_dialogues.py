# SPDX-License-Identifier: BSD-2-Clause
"""Dialogues in profile `modern`: both sides, segment by segment. See modern_client.py."""
import struct

from frames import ACK, FIN, PSH, SYN, Case, fast_open_cookie, framed, mss_option, query
from modern_client import SEGMENT, TXT, WINDOW, ModernClient, txt_response

V4 = ("198.18.0.2", "198.18.0.1")
V6 = ("fd00:198:18::2", "fd00:198:18::1")
NS, SOA, MX = 2, 6, 15

# Octets of length and message. rand.apnic.net: header, question, records with compressed names.
MX_LEN, SOA_LEN, NS_LEN = 2 + 32 + 22 + 24 + 23, 2 + 32 + 51, 2 + 32 + 20 + 19
EDNS_LEN = 11  # OPT
ASK = 34       # a query for rand.apnic.net, and its length


def big(identifier=30304):
    """Three segments: 2,800 octets."""
    return "big.example", TXT, txt_response("big.example", 13, identifier), identifier


def long(identifier=30304):
    """Eighteen segments: 21,332 octets."""
    return "long.example", TXT, txt_response("long.example", 100, identifier), identifier


BIG, BIG_ASK = 2800, 2 + 12 + 17
LONG, LONG_ASK = 21332, 2 + 12 + 18
BURST = 10 * SEGMENT


class ModernCase(Case):
    options = ("--tcp-profile", "modern")

    def __init__(self, is_whole=True, **args):
        super().__init__(**args)
        self.clients, self.answers, self.is_whole = [], [], is_whole


def start(addresses=V4, **args):
    client = ModernClient(ModernCase(), addresses, **args)
    client.connect()
    return client


def complete(client, end, asked):
    """The client holds everything up to `end`: it says so, and its requests are acknowledged."""
    client.ack()
    client.answer(end, 0, asked, (end, asked, True))


def case_modern_no_timestamps_several():
    """Its request is acknowledged when its timer has sent it again: it carries no point."""
    client = start(has_timestamps=False)
    client.ask(*big())
    client.train(0, BIG, BIG_ASK, 0, lost=(1,), last=FIN | PSH | ACK)
    client.ack()
    client.again()
    client.train(1220, BIG, BIG_ASK, 0, last=FIN | PSH | ACK)
    client.ack()
    client.again()
    client.answer(BIG + 1, 0, BIG_ASK, None)
    client.fin()
    client.reset()
    return client.case


def case_modern_several_segments_ipv6():
    client = start(V6, tags=((0x8100, 0x6005),))
    client.ask(*big())
    client.train(0, BIG, BIG_ASK, 0)
    complete(client, BIG, BIG_ASK)
    client.ack()  # it says `done`: no loop
    client.case.time_us += 5 * 10**6
    client.ask("rand.apnic.net", SOA, SOA_LEN + EDNS_LEN, 2, edns=1232)
    end, asked = BIG + SOA_LEN + EDNS_LEN, BIG_ASK + ASK + EDNS_LEN
    client.answer(BIG, SOA_LEN + EDNS_LEN, asked, (end, asked, True), PSH | ACK)
    client.ack()
    client.close(end)
    return client.case


def case_modern_segment_sizes():
    """What the client offered, less Timestamps, in the classes that a cookie knows."""
    case = ModernCase()
    for port, mss, size in ((1001, 1459, 1220), (1002, 1439, 1208), (1003, 1219, 524)):
        for addresses, has_timestamps in ((V4, True), (V6, False)):
            client = ModernClient(case, addresses, has_timestamps, port=port, mss=mss)
            client.connect()
            client.ask(*big())
            if has_timestamps:
                client.train(0, BIG, BIG_ASK, 0, size=size)
                complete(client, BIG, BIG_ASK)
            else:
                size = {1208: 1220, 524: 536}.get(size, size)
                client.train(0, BIG, BIG_ASK, 0, size=size, last=FIN | PSH | ACK)
    return case


def lose_the_rest(client):
    client.ask(*big())
    client.train(0, BIG, BIG_ASK, 0, lost=(1, 2))
    client.ack()


def case_modern_resume_elsewhere():
    """All but the first segment is lost, and only when the client asks again this server sees it:
    another one with its keys began."""
    client = ModernClient(ModernCase(is_whole=False), V4)
    client.is_elsewhere = True
    client.connect()
    lose_the_rest(client)
    client.is_elsewhere = False
    client.again()
    client.train(SEGMENT, BIG, BIG_ASK, 0)
    complete(client, BIG, BIG_ASK)
    return client.case


def case_modern_completion_elsewhere():
    """Both a train and its acknowledgement reach a server that knows neither."""
    client = ModernClient(ModernCase(is_whole=False), V4)
    client.is_elsewhere = True
    client.connect()
    client.ask(*big())
    client.train(0, BIG, BIG_ASK, 0)
    client.is_elsewhere = False
    complete(client, BIG, BIG_ASK)
    client.ask("rand.apnic.net", MX, MX_LEN, 2)
    client.answer(BIG, MX_LEN, BIG_ASK + ASK, (BIG + MX_LEN, BIG_ASK + ASK, True), PSH | ACK)
    client.ack()
    return client.case


def case_modern_response_lost():
    """One segment, lost: it comes again, octet by octet."""
    client = start()
    client.ask("rand.apnic.net", MX, MX_LEN)
    client.answer(0, MX_LEN, ASK, (MX_LEN, ASK, True), PSH | ACK, "lost")
    client.again()
    client.answer(0, MX_LEN, ASK, (MX_LEN, ASK, True), PSH | ACK)
    client.ack()
    return client.case


def case_modern_continuation():
    """A burst of ten; what is acknowledged makes room for as much, and as much again."""
    client = start(window=65535)
    client.ask(*long())
    client.train(0, LONG, LONG_ASK, 0, to=BURST, fate="late")
    sent = BURST
    for _ in range(8):
        client.arrive(2)
        client.ack()
        to = min(LONG, sent + 4 * SEGMENT)
        client.train(sent, LONG, LONG_ASK, 0, to=to, fate="late")
        sent = to
    client.arrive(2)
    complete(client, LONG, LONG_ASK)
    return client.case


def case_modern_hole():
    """The third of ten is lost. SACK shows it when more than two segments came behind it: it is sent
    again, once, and what is in the air halves. The client's timer has nothing to do."""
    client = start(window=65535)
    client.ask(*long())
    client.train(0, LONG, LONG_ASK, 0, to=BURST, fate="late")
    del client.air[2]
    client.arrive(2)
    client.ack()
    client.train(BURST, LONG, LONG_ASK, 0, to=BURST + 4 * SEGMENT, fate="late")
    sent = BURST + 4 * SEGMENT
    for _ in range(2):  # new octets, as many as left the network (RFC 3042)
        client.arrive()
        client.ack()
        client.train(sent, LONG, LONG_ASK, 0, to=sent + SEGMENT, fate="late")
        sent += SEGMENT
    client.arrive()
    client.ack()
    client.train(2 * SEGMENT, LONG, LONG_ASK, 0, to=3 * SEGMENT, fate="late")
    for more in (0, 0, 0, SEGMENT, LONG - sent - SEGMENT):
        client.arrive()
        client.ack()
        client.train(sent, LONG, LONG_ASK, 0, to=sent + more, fate="late")
        sent += more
    for _ in range(6):
        client.arrive()
        client.ack()
    assert client.held == 16 * SEGMENT
    client.arrive(2)
    complete(client, LONG, LONG_ASK)
    return client.case


def case_modern_pipelined_short():
    """Three requests, one segment each way."""
    client = start()
    client.write(client.request("rand.apnic.net", MX, MX_LEN, 1)
                 + client.request("rand.apnic.net", SOA, SOA_LEN, 2)
                 + client.request("rand.apnic.net", NS, NS_LEN, 3))
    end = MX_LEN + SOA_LEN + NS_LEN
    client.answer(0, end, 3 * ASK, (end, 3 * ASK, True), PSH | ACK)
    client.ack()
    client.close(end)
    return client.case


def case_modern_pipelined_several():
    """Three requests in a segment, several segments back, and the last octet once more: a client
    that pipelines acknowledges it at once."""
    client = start()
    client.write(client.request("rand.apnic.net", MX, MX_LEN, 1) + client.request(*big(2))
                 + client.request("rand.apnic.net", SOA, SOA_LEN, 3))
    end, asked = MX_LEN + BIG + SOA_LEN, 2 * ASK + BIG_ASK
    client.train(0, end, asked, 0)
    client.answer(end - 1, 1, 0, (end, asked, False), PSH | ACK)
    complete(client, end, asked)
    client.close(end)
    return client.case


def ahead():
    """A second request while the first response is in the air: it is answered at once, behind that,
    and acknowledges nothing."""
    client = start()
    client.ask(*big(1))
    client.train(0, BIG, BIG_ASK, 0, fate="late")
    client.ask("rand.apnic.net", MX, MX_LEN, 2)
    client.answer(BIG, MX_LEN, 0, (BIG + MX_LEN, BIG_ASK + ASK, False), PSH | ACK, "late")
    return client


def case_modern_ahead_in_turn():
    """Its turn comes: the first request is acknowledged, behind the second response and with its
    point, as neither TSval nor SEG.SEQ may be lower than before."""
    client = ahead()
    client.arrive(3)
    client.ack()
    client.answer(BIG + MX_LEN, 0, BIG_ASK, (BIG + MX_LEN, BIG_ASK + ASK, False), ACK, "late")
    client.arrive(2)
    complete(client, BIG + MX_LEN, BIG_ASK + ASK)
    return client.case


def case_modern_ahead_stale_echo():
    """The client acknowledges every other segment, and so echoes the first point still when it holds
    all up to the second."""
    client = ahead()
    client.arrive(2)
    client.ack()
    client.arrive(2)
    complete(client, BIG + MX_LEN, BIG_ASK + ASK)
    return client.case


def case_modern_ahead_first_lost():
    """Two long responses, and the second one's first segment is lost: what tells of the hole bears
    the first point still. The client's timer asks for the second. Its first segment, which brings its
    point, acknowledges the first request once more; the others may come without it, and do not."""
    client = start()
    client.ask(*big(1))
    client.train(0, BIG, BIG_ASK, 0, fate="late")
    client.ask(*big(2))
    client.train(BIG, 2 * BIG, 2 * BIG_ASK, 0, fate="late")
    del client.air[3]
    client.arrive(3)
    client.ack()
    client.answer(2 * BIG, 0, BIG_ASK, (2 * BIG, 2 * BIG_ASK, False))
    client.arrive(2)
    client.ack()
    client.again()
    client.train(BIG, 2 * BIG, 2 * BIG_ASK, BIG_ASK, to=BIG + SEGMENT)
    client.train(BIG + SEGMENT, 2 * BIG, 2 * BIG_ASK, 0)
    complete(client, 2 * BIG, 2 * BIG_ASK)
    return client.case


def case_modern_ahead_lost():
    """The first response is lost but for its beginning. The client sends both requests again, in one
    segment, and is answered both, in turn."""
    client = ahead()
    client.arrive()
    client.air = []
    client.ack()
    client.again()
    end, asked = BIG + MX_LEN, BIG_ASK + ASK
    client.train(SEGMENT, end, asked, 0)
    client.answer(end - 1, 1, 0, (end, asked, False), PSH | ACK)
    complete(client, end, asked)
    return client.case


def case_modern_length_apart_no_timestamps():
    """The message proves itself by the length that must have been before it."""
    client = start(has_timestamps=False)
    request = client.request("rand.apnic.net", MX, MX_LEN)
    client.write(request[:2])
    client.answer(0, 0, 2, None)
    client.write(request[2:])
    client.answer(0, MX_LEN, ASK, None, FIN | PSH | ACK)
    client.ack()
    return client.case


def case_modern_cut():
    """The client's kernel cuts what it sends in the midst of the second request."""
    client = start()
    stream = (client.request("rand.apnic.net", MX, MX_LEN, 1)
              + client.request("rand.apnic.net", SOA, SOA_LEN, 2))
    client.write(stream[:ASK + 10])
    client.answer(0, MX_LEN, ASK, (MX_LEN, ASK, True), PSH | ACK)
    client.write(stream[ASK + 10:])
    end = MX_LEN + SOA_LEN
    client.answer(MX_LEN, SOA_LEN, 2 * ASK, (end, 2 * ASK, True), PSH | ACK)
    client.ack()
    return client.case


def case_modern_cut_lost():
    """The rest of it is lost, and the client's timer sends the beginning alone: it is acknowledged,
    and the window shrinks by as much."""
    client = start()
    stream = (client.request("rand.apnic.net", MX, MX_LEN, 1)
              + client.request("rand.apnic.net", SOA, SOA_LEN, 2))
    client.write(stream[:ASK + 10])
    client.answer(0, MX_LEN, ASK, (MX_LEN, ASK, True), PSH | ACK)
    client.write(stream[ASK + 10:], is_lost=True)
    client.again(to=ASK + 10)
    client.answer(MX_LEN, 0, ASK + 10, (MX_LEN, ASK, True), window=WINDOW - 10)
    client.again()
    end = MX_LEN + SOA_LEN
    client.answer(MX_LEN, SOA_LEN, 2 * ASK, (end, 2 * ASK, True), PSH | ACK)
    client.ack()
    return client.case


def case_modern_half_close_several():
    """Request and FIN in one segment, several back. Their FIN comes with the last of them; the
    client's is acknowledged with its request."""
    client = start(V6)
    client.write(client.request(*big()), FIN | PSH | ACK)
    client.train(0, BIG, BIG_ASK, 0, last=FIN | PSH | ACK)
    client.ack()
    client.answer(BIG + 1, 0, BIG_ASK + 1, (BIG, BIG_ASK, True))
    return client.case


def case_modern_fin():
    """FIN while responses are missing is met with silence, until the client has them."""
    client = start()
    client.ask(*big())
    client.train(0, BIG, BIG_ASK, 0, fate="late")
    client.fin()
    client.arrive(3)
    complete(client, BIG, BIG_ASK)
    client.fin_again()
    client.answer(BIG, 0, BIG_ASK + 1, (BIG, BIG_ASK, True), FIN | ACK)
    client.ack()
    return client.case


def case_modern_epochs():
    """Requests after most of two epochs, and when none of the keys is known any more."""
    case = ModernCase()
    clients = [ModernClient(case, V4, port=port) for port in (1001, 1002, 1003)]
    case.time_us += 299 * 10**6
    for client in clients:
        client.connect()
    for client, time_s in zip(clients, (1242345899, 1242346194, 1242346799)):
        case.time_us = time_s * 10**6 + 500000
        client.ask("rand.apnic.net", MX, MX_LEN)
        if time_s < 1242346195:
            client.answer(0, MX_LEN, ASK, (MX_LEN, ASK, True), PSH | ACK)
            client.ack()
        else:
            client.reset()
            client.due = []
    # Of a connection that was never made.
    stranger = ModernClient(case, V4, port=1004)
    stranger.iss, stranger.echo = clients[0].iss + 1000, clients[0].echo
    stranger.ask("rand.apnic.net", MX, MX_LEN)
    stranger.due = []
    stranger.reset()
    return case


def case_modern_small_syn_ipv4():
    """Options go into a SYN+ACK as far as the SYN had room for as many; data is not looked at."""
    case = ModernCase()
    timestamps = struct.pack(">BBII", 8, 10, 7, 0)
    for port, options, has_timestamps, payload in (
            (1001, b"", False, b""),
            (1002, mss_option(1460), False, b""),
            (1003, mss_option(1460) + b"\1\1\4\2", False, b""),
            (1004, b"\1\1" + timestamps, True, b""),
            (1005, b"\4\2" + timestamps, True, b""),
            (1006, mss_option(1460) + b"\4\2" + timestamps, True, b""),
            (1007, b"", False, framed(query("rand.apnic.net", MX)))):
        client = ModernClient(case, V4, has_timestamps, port=port,
                              mss=1460 if options[:1] == b"\2" else 0)
        client.begin(options, payload)
        client.said = (7, 0)
        client.syn_ack()
    return case


def case_modern_window_shut():
    """No more than the client has room for, and no silly pieces but where nothing else goes."""
    client = start(window=2000)
    client.ask(*big())
    client.train(0, BIG, BIG_ASK, 0, to=SEGMENT)
    client.ack()
    client.train(SEGMENT, BIG, BIG_ASK, 0)
    complete(client, BIG, BIG_ASK)
    client.window = 500
    client.ask(*big(2))
    asked, end = 2 * BIG_ASK, 2 * BIG
    for at in range(BIG, end, 500):
        client.train(at, end, asked, BIG_ASK, to=min(end, at + 500))
        if at == BIG:  # no room at all for a while
            client.window = 0
            client.ack()
            client.window = 500
        if at + 500 < end:
            client.ack()
    complete(client, end, asked)
    return client.case


def case_modern_fast_open_dialogues():
    """A cookie is asked for; then requests come with the SYN: answered behind the SYN+ACK, or, when
    their responses are longer than a segment, as if they came after it."""
    case = ModernCase()
    case.options += ("--tcp-fast-open", "on")
    cookie = fast_open_cookie(case.time_us // 10**6, *V4)
    first = ModernClient(case, V4, port=1001)
    first.begin(first.syn_options() + b"\x22\2\1\1")
    first.syn_ack()
    first.ack()
    short = ModernClient(case, V4, port=1002)
    short.begin(short.syn_options() + b"\x22\x0a" + cookie + b"\1\1",
                short.request("rand.apnic.net", MX, MX_LEN))
    short.syn_ack(ASK)
    short.answer(0, MX_LEN, ASK, (MX_LEN, ASK, True), PSH | ACK)
    short.ack()
    short.close(MX_LEN)
    several = ModernClient(case, V4, port=1003)
    several.begin(several.syn_options() + b"\x22\x0a" + cookie + b"\1\1", several.request(*big()))
    several.syn_ack()
    several.say(0, several.sent, PSH | ACK)
    several.train(0, BIG, BIG_ASK, 0)
    complete(several, BIG, BIG_ASK)
    stranger = ModernClient(case, V4, port=1004)
    stranger.begin(stranger.syn_options() + b"\x22\x0a" + bytes(8) + b"\1\1",
                   stranger.request("rand.apnic.net", MX, MX_LEN))
    stranger.syn_ack()
    stranger.say(0, stranger.sent, PSH | ACK)
    stranger.answer(0, MX_LEN, ASK, (MX_LEN, ASK, True), PSH | ACK)
    stranger.ack()
    # No cookie where it would make the answer longer, or where nothing could be proven later.
    small = ModernClient(case, V4, port=1005, mss=0)
    small.begin(b"\1\1" + struct.pack(">BBII", 8, 10, small.clock(), 0) + b"\x22\2\1\1")
    small.syn_ack()
    first = ModernClient(case, V4, has_timestamps=False, port=1006)
    first.begin(first.syn_options() + b"\x22\2" + b"\1" * 14)
    first.syn_ack()
    return case


CASES = {function[5:]: value for function, value in list(globals().items())
         if function.startswith("case_")}
