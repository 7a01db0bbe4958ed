# SPDX-License-Identifier: BSD-2-Clause
"""What clients send, case by case. Each function makes one request capture.

A check_NAME function beside a case says what the answers must be, segment by segment, whatever the
committed capture says.
"""
import struct

from frames import (ACK, FIN, PSH, RST, SYN, URG, Case, Client, Segment, cookie, ethernet, framed,
                    ip_packet, query)

V4 = ("198.18.0.2", "198.18.0.1")
V6 = ("fd00:198:18::2", "fd00:198:18::1")
ANY, MX, TXT = 255, 15, 16

# Octets of the stream that answers ANY rand.apnic.net: length and message. On the slides it is 231:
# the server of 2009 also gave the addresses of sec3, 16 and 28 octets, as additional data.
SLIDES_STREAM = 231 - 16 - 28
BIG_STREAM = 2 + 2798


def slides(addresses, **client_args):
    """dig +tcp @server rand.apnic.net in any: the client's side of the trace on the slides."""
    case = Case()
    client = Client(case, *addresses, **client_args)
    client.syn()
    client.send(1, 1, ACK)
    client.send(1, 1, PSH | ACK, framed(query("rand.apnic.net", ANY)))
    client.send(35, 1 + SLIDES_STREAM, ACK)
    client.send(35, 2 + SLIDES_STREAM, ACK)
    client.send(35, 2 + SLIDES_STREAM, FIN | ACK)
    return case


def check_slides(case, answers, addresses, tags=()):
    """The server's side, with the one number set right that was wrong in 2009: the last ACK bears
    the sequence number after our FIN."""
    isn = 2201103970
    iss = cookie(case.frames[0][0] // 10**6, *addresses, 55998, 53, 1460)
    expected = [
        # flags, seq, ack, payload length, options
        (SYN | ACK, 0, 1, 0, b"\x02\x04\x04\xc4"),
        (ACK, 1, 35, 0, b""),
        (ACK, 1, 35, SLIDES_STREAM, b""),
        (FIN | ACK, 1 + SLIDES_STREAM, 35, 0, b""),
        (ACK, 2 + SLIDES_STREAM, 36, 0, b""),
    ]
    assert len(answers) == len(expected), f"{len(answers)} segments"
    for i, (segment, (flags, seq, ack, length, options)) in enumerate(zip(answers, expected)):
        got = (segment.flags, (segment.seq - iss) % 2**32, (segment.ack - isn) % 2**32,
               len(segment.payload), segment.options)
        assert got == (flags, seq, ack, length, options), f"segment {i}: {got}"
        assert segment.window == 65535
        assert (segment.source, segment.destination) == (addresses[1], addresses[0])
        assert (segment.source_port, segment.destination_port) == (53, 55998)
        assert tuple(segment.tags) == tuple(tags)
        if segment.version == 6:
            assert segment.flow_label == 0xABCDE
    message = answers[2].payload[2:]
    assert struct.unpack(">H", answers[2].payload[:2])[0] == len(message)
    identifier, flags, *counts = struct.unpack_from(">HHHHHH", message)
    assert (identifier, flags & 0xFE0F, counts) == (30304, 0x8400, [1, 6, 0, 0]), \
        f"30304* 6/0 on the slides, here {identifier} {flags:04x} {counts}"


def case_slides_ipv4():
    return slides(V4)


def check_slides_ipv4(case, answers):
    check_slides(case, answers, V4)


def case_slides_ipv6():
    return slides(V6)


def check_slides_ipv6(case, answers):
    check_slides(case, answers, V6)


VLAN = ((0x8100, 0x6005),)
QINQ = ((0x88A8, 0x0064), (0x8100, 0x0005))


def case_slides_vlan():
    return slides(V4, tags=VLAN)


def check_slides_vlan(case, answers):
    check_slides(case, answers, V4, VLAN)


def case_slides_qinq():
    return slides(V6, tags=QINQ)


def check_slides_qinq(case, answers):
    check_slides(case, answers, V6, QINQ)


def several_segments(addresses):
    case = Case()
    client = Client(case, *addresses)
    client.connect()
    client.send(1, 1, PSH | ACK, framed(query("big.example", TXT)))
    request_len = len(framed(query("big.example", TXT)))
    for acked in (513, 1025, 1537, 2049, 2561, 1 + BIG_STREAM, 2 + BIG_STREAM):
        client.send(1 + request_len, acked, ACK)
    client.send(1 + request_len, 2 + BIG_STREAM, FIN | ACK)
    return case


def check_several_segments(case, answers, addresses):
    iss = cookie(case.frames[0][0] // 10**6, *addresses, 55998, 53, 1460)
    lengths = [512] * (BIG_STREAM // 512) + [BIG_STREAM % 512]
    train = answers[2:-2]
    assert [len(segment.payload) for segment in train] == lengths
    at = 1
    for segment in train:
        assert segment.seq == (iss + at) % 2**32 and segment.flags == ACK
        at += len(segment.payload)
    assert answers[-2].flags == FIN | ACK and answers[-2].seq == (iss + at) % 2**32
    assert answers[-1].flags == ACK and answers[-1].seq == (iss + at + 1) % 2**32
    stream = b"".join(segment.payload for segment in train)
    assert struct.unpack(">H", stream[:2])[0] == len(stream) - 2


def case_several_segments_ipv4():
    return several_segments(V4)


def check_several_segments_ipv4(case, answers):
    check_several_segments(case, answers, V4)


def case_several_segments_ipv6():
    return several_segments(V6)


def check_several_segments_ipv6(case, answers):
    check_several_segments(case, answers, V6)


def case_longest_train():
    """65,421 octets of message: an RRset that just fits."""
    case = Case()
    client = Client(case, *V6)
    client.connect()
    client.send(1, 1, PSH | ACK, framed(query("huge.example", TXT)))
    return case


def check_longest_train(_case, answers):
    stream = b"".join(segment.payload for segment in answers[2:-1])
    assert len(stream) > 65000 and struct.unpack(">H", stream[:2])[0] == len(stream) - 2
    assert len(answers) == 1 + 1 + -(-len(stream) // 512) + 1
    assert struct.unpack_from(">HHH", stream, 4)[0] & 0x0200 == 0, "TC is not set"


def silence(addresses):
    """Everything that gets no answer, after one handshake that does."""
    case = Case()
    client = Client(case, *addresses)
    client.connect()
    request = framed(query("rand.apnic.net", MX))
    # Segments without a request, with proof.
    client.send(1, 1, ACK)
    client.send(0, 1, ACK)                                     # keep-alive probe
    client.send(0, 1, ACK, b"\0")                              # keep-alive probe with an octet
    client.send(1, 1, PSH | ACK, request[:1])                  # pieces
    client.send(1, 1, PSH | ACK, request[:20])
    client.send(21, 1, PSH | ACK, request[20:])
    client.send(1, 1, PSH | ACK, b"\0\0")                      # ... an empty message has a length
    # Resets, impossible flags, SYN+ACK.
    client.send(1, 1, RST)
    client.send(1, 1, RST | ACK, request)
    client.send(1, 1, SYN | ACK)
    client.send(1, 1, SYN | ACK, request)
    client.send(1, 1, SYN | FIN)
    client.send(1, 1, SYN | RST)
    client.send(1, 1, FIN)
    client.send(1, 1, PSH, request)
    client.send(1, 1, 0, request)
    client.send(1, 1, FIN | PSH | URG)
    # No proof.
    client.send(1, 0, PSH | ACK, request)
    client.send(1, 1 + 65539, PSH | ACK, request)
    client.send(35, 0, FIN | ACK)
    client.send(35, 1 + 65539, FIN | ACK)
    client.segment(client.isn + 1, 0, PSH | ACK, request)
    client.segment(client.isn + 1, 0x5EED5EED, PSH | ACK, request)
    other = Client(case, *addresses, port=55999)
    other.iss = client.iss
    other.send(1, 1, PSH | ACK, request)                       # another's cookie
    # Wrong checksums.
    client.send(1, 1, PSH | ACK, request, spoil=1)
    client.syn(spoil=0x8000)
    # Not for us, from nobody, from ourselves.
    for port, server_port in ((55998, 54), (0, 53), (53, 53)):
        stranger = Client(case, *addresses, port=port)
        stranger.server_port = server_port
        stranger.syn()
    group = {4: ("224.0.0.1", "255.255.255.255", "0.0.0.0"), 6: ("ff02::1", "::")}
    version = 4 if "." in addresses[0] else 6
    for address in group[version]:
        Client(case, address, addresses[1]).syn()
        Client(case, addresses[0], address).syn()
    Client(case, *addresses, destination=b"\xff" * 6).syn()
    Client(case, *addresses, destination=b"\x33\x33\0\0\0\x01").syn()
    # Messages that are no queries.
    client.send(1, 1, PSH | ACK, framed(query("rand.apnic.net", MX, flags=0x8400)))
    case.udp(*addresses, query("rand.apnic.net", MX, flags=0x8400))
    case.udp(*addresses, b"short")
    case.udp(*addresses, query("rand.apnic.net", MX), spoil=1)
    # A fragment, a cut frame, another protocol, ARP.
    syn = case.frames[0][1]
    if version == 4:
        header = syn[14:34]
        header = header[:6] + b"\x20\0" + header[8:10] + b"\0\0" + header[12:]
        total = sum(struct.unpack(">10H", header))
        total = (total & 0xFFFF) + (total >> 16)
        header = header[:10] + struct.pack(">H", 0xFFFF ^ total) + header[12:]
        case.add(syn[:14] + header + syn[34:])
    case.add(syn[:40])
    case.add(ethernet(ip_packet(*addresses, 132, bytes(32), 16)))
    case.add(b"\xff" * 6 + b"\x02\0\0\0\0\x02" + b"\x08\x06" + bytes(46))
    case.add(b"")
    return case


def check_silence(_case, answers):
    # The handshake, and the ACK of two octets that may be a length.
    assert [segment.flags for segment in answers] == [SYN | ACK, ACK], \
        [segment.flags for segment in answers]


def case_silence_ipv4():
    return silence(V4)


def case_silence_ipv6():
    return silence(V6)


check_silence_ipv4 = check_silence_ipv6 = check_silence


def case_length_apart():
    """A client that writes the length and the message separately."""
    case = Case()
    client = Client(case, *V4)
    client.connect()
    request = framed(query("rand.apnic.net", MX))
    client.send(1, 1, PSH | ACK, request[:2])
    client.send(3, 1, PSH | ACK, request[2:])
    return case


def check_length_apart(_case, answers):
    assert [segment.flags for segment in answers] == [SYN | ACK, ACK, ACK, ACK, FIN | ACK]
    first, second = answers[1], answers[2]
    assert (second.ack - first.ack) % 2**32 == 32 and len(answers[3].payload) > 2


def case_pipelined():
    case = Case()
    client = Client(case, *V4)
    client.connect()
    requests = [framed(query("rand.apnic.net", qtype, identifier)) for identifier, qtype in
                ((1, MX), (2, 6), (3, 2))]
    client.send(1, 1, PSH | ACK, b"".join(requests))
    return case


def check_pipelined(_case, answers):
    assert [segment.flags for segment in answers] == [SYN | ACK, ACK, ACK, ACK, ACK, FIN | ACK]
    assert [struct.unpack_from(">H", segment.payload, 2)[0] for segment in answers[2:5]] == [1, 2, 3]


def case_half_close():
    """Request and FIN in one segment."""
    case = Case()
    client = Client(case, *V4)
    client.connect()
    client.send(1, 1, PSH | FIN | ACK, framed(query("rand.apnic.net", MX)))
    return case


def check_half_close(_case, answers):
    assert [segment.flags for segment in answers] == [SYN | ACK, ACK, ACK, FIN | ACK]
    assert (answers[1].ack - answers[0].ack) % 2**32 == 34 + 1


def case_epochs():
    """A cookie is good in its epoch and the next one but for its end, and then no more."""
    case = Case(time_s=1242345600 + 299)
    clients = []
    for port in (1001, 1002, 1003):
        clients.append(Client(case, *V4, port=port))
        clients[-1].connect()
    request = framed(query("rand.apnic.net", MX))
    for client, time_s in zip(clients, (1242345899, 1242346194, 1242346195)):
        case.time_us = time_s * 10**6 + 500000
        client.send(1, 1, PSH | ACK, request)
    return case


def check_epochs(_case, answers):
    requests = [segment for segment in answers if segment.payload]
    assert [segment.destination_port for segment in requests] == [1001, 1002]


def case_offload():
    """What a veth or loopback hands over: the sender's stack left checksums to hardware."""
    case = Case()
    for addresses in (V4, V6):
        client = Client(case, *addresses)
        client.syn(unset=True, options=b"\x02\x04\x05\xb4\x04\x02\x08\x0a\0\0\0\1\0\0\0\0\1\3\3\7")
        client.send(1, 1, PSH | ACK, framed(query("rand.apnic.net", MX)), unset=True)
        case.udp(*addresses, query("rand.apnic.net", MX), unset=True)
    return case


def check_offload(_case, answers):
    assert [segment.flags for segment in answers] == 2 * [SYN | ACK, ACK, ACK, FIN | ACK]


def case_small_syn():
    """A SYN without options gets none back; one with data gets no more than one without."""
    case = Case()
    client = Client(case, *V4, mss=0)
    client.syn()
    client.segment(client.isn, 0, SYN, framed(query("rand.apnic.net", MX)))
    return case


def check_small_syn(_case, answers):
    assert [segment.options for segment in answers] == [b"", b"\x02\x04\x04\xc4"]
    assert answers[0].ack == answers[1].ack == 2201103971


def case_udp():
    case = Case()
    for addresses in (V4, V6):
        case.udp(*addresses, query("rand.apnic.net", MX))
        case.udp(*addresses, query("rand.apnic.net", MX, edns=1232))
        case.udp(*addresses, query("big.example", TXT, edns=4096))     # TC
        case.udp(*addresses, query("www.example.org", 1))              # REFUSED
    case.udp(*V4, query("rand.apnic.net", MX), zero=True)
    return case


CASES = {function[5:]: value for function, value in list(globals().items())
         if function.startswith("case_")}
CHECKS = {function[6:]: value for function, value in list(globals().items())
          if function.startswith("check_")}
