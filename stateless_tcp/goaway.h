/* SPDX-License-Identifier: BSD-2-Clause
 *
 * goaway.h - ask a host that sends unwanted packets to stop, so that it can tell who asks.
 *
 *     source                                          target
 *        | ---- unwanted packet -----------------------> |
 *        | <--- GoAway, nonce N, packet quoted --------- |   N is recomputed, never remembered
 *     sent that, had no answer to it                     |
 *        | ---- Block, nonce M, GoAway quoted ---------> |
 *        |                                            N is right
 *        | <--- Block Reply, code, nonce M, Block quoted |
 *     blocks for a time
 *
 * Whoever can hear neither side knows neither nonce, and moves nobody to block; and who is asked for a
 * Block that it never sent a GoAway for says "no block". A man in the middle is out of scope: it can
 * drop packets anyway. (After Sean Donelan, NANOG list, 6 October 2003.)
 *
 *       0               1               2               3
 *     +---------------+---------------+-------------------------------+
 *     |     type      |     code      |           checksum            |   of ICMP, or of ICMPv6 with
 *     +---------------+---------------+-------------------------------+   its pseudo-header
 *     |  version (1)  |  block code   |     form      | reserved (0)  |
 *     +---------------+---------------+-------------------------------+
 *     |                             nonce                             |   8 octets
 *     +---------------------------------------------------------------+
 *     |      IP header of what it answers, 20 or 40 octets; form 1: 4 |
 *     +---------------------------------------------------------------+
 *     |      what follows there, up to 64 octets                      |
 *     +---------------------------------------------------------------+
 *
 *                      ICMPv4     ICMPv6     (for experiments: RFC 4727, RFC 4443)
 *     GoAway           253, 0     100, 0     block code 0
 *     Block            254, 0     200, 0     block code 0
 *     Block Reply      254, 1     200, 1     block code 0 to 4
 *
 * A quoted header is as it left: but for version, length, protocol and addresses all of it is zero,
 * since routers change it and sockets do not tell it. The checksum of a quoted UDP datagram is
 * always given, that of a quoted TCP segment never: senders leave them to hardware.
 *
 * Nothing of ours is longer than what it answers, but for a Block, for which a host must first have
 * sent a packet. A GoAway quotes as much as there is room for, 8 octets at least: they have the
 * ports, and 32 bits or more that cannot be guessed. Where a whole header leaves no room for that,
 * as with a SYN, the form is 1: all that is quoted of the header is
 *
 *     +-------------------------------+---------------+---------------+
 *     |   length of the whole packet  |   protocol    |       0       |
 *     +-------------------------------+---------------+---------------+
 *
 * and the addresses are those of the GoAway itself. What has fewer than 48 octets (IPv4) or 68 (IPv6)
 * has no room for that either: it gets no GoAway.
 *
 * Pure; any thread.
 */
#ifndef STATELESS_TCP_GOAWAY_H
#define STATELESS_TCP_GOAWAY_H

#include "stateless_tcp/packet.h"

#define GOAWAY_KEY_LEN 16
#define GOAWAY_EPOCHS 2
#define GOAWAY_VERSION 1
#define GOAWAY_QUOTE_MIN 8
#define GOAWAY_QUOTE_MAX 64
#define GOAWAY_HEADER_LEN 16 /* nonce included */
#define GOAWAY_SHORT_HEADER_LEN 4

/* The longest message, without its own IP header. */
#define GOAWAY_MESSAGE_MAX (GOAWAY_HEADER_LEN + PACKET_IPV6_HEADER_LEN + GOAWAY_QUOTE_MAX)

/* Types of ICMP messages. */
enum {
    GOAWAY_TYPE_V4 = 253,
    GOAWAY_TYPE_V6 = 100,
    GOAWAY_TYPE_BLOCK_V4 = 254,
    GOAWAY_TYPE_BLOCK_V6 = 200,
};

/* What the target wants blocked: all packets to it, or those of the protocol, of protocol and
 * destination port, or the latter from this source address alone. */
enum goaway_code {
    GOAWAY_NO_BLOCK,
    GOAWAY_HOST,
    GOAWAY_PROTOCOL,
    GOAWAY_PORT,
    GOAWAY_SOURCE,
    GOAWAY_CODE_COUNT,
};

enum goaway_kind {
    GOAWAY_GOAWAY,
    GOAWAY_BLOCK,
    GOAWAY_REPLY,
};

/* [0] of the present epoch, which makes nonces; [1] of a neighbour, which is taken too. */
struct goaway_keys {
    uint8_t epochs[GOAWAY_EPOCHS][GOAWAY_KEY_LEN];
};

/* Two addresses of one family. */
struct goaway_ends {
    struct packet_address source;
    struct packet_address destination;
};

/* A packet of UDP or TCP, and how it begins behind its IP header. */
struct goaway_packet {
    struct goaway_ends ends;
    uint8_t protocol;
    uint16_t source_port;
    uint16_t destination_port;
    uint16_t ip_len; /* whole, IP header included */
    uint8_t octets[GOAWAY_QUOTE_MAX];
    uint8_t octets_len; /* GOAWAY_QUOTE_MIN or more; as many as there are */
};

/* A message of ours, taken apart. */
struct goaway_message {
    enum goaway_kind kind;
    enum goaway_code code; /* of a GOAWAY_REPLY; else GOAWAY_NO_BLOCK */
    uint64_t nonce;        /* of a GOAWAY_REPLY: that of the Block which it answers */
    uint64_t quoted_nonce; /* GOAWAY_BLOCK: of the GoAway that it answers */
    struct goaway_packet
        unwanted;        /* GOAWAY_GOAWAY, GOAWAY_BLOCK: octets are as many as are quoted */
    uint16_t quoted_len; /* GOAWAY_BLOCK, GOAWAY_REPLY: octets in `quoted` */
    uint8_t quoted[GOAWAY_QUOTE_MAX]; /* and the beginning of the ICMP message it answers */
    uint16_t quoted_ip_len;           /* GOAWAY_BLOCK, GOAWAY_REPLY: of that message's packet */
};

/* The packet with this UDP payload. `payload`: payload_len octets, all of them.
 * False: too long for a packet, or addresses of different families. */
bool goaway_packet_udp(const struct goaway_ends *ends, uint16_t source_port,
                       uint16_t destination_port, const uint8_t *payload, size_t payload_len,
                       struct goaway_packet *packet_out);

/* The packet with this TCP segment, header first, of which `captured_len` octets are at hand, at
 * least 20. False: too short, too long, or addresses of different families. */
bool goaway_packet_tcp(const struct goaway_ends *ends, const uint8_t *segment, size_t captured_len,
                       size_t segment_len, struct goaway_packet *packet_out);

/* Whether the two may write to each other about it at all: one host each, not the same, neither
 * unspecified, multicast, broadcast or reserved, and both of this host or neither (loopback). */
bool goaway_ends_are_good(const struct goaway_ends *ends);

/* Whether a GoAway may answer the packet: it is long enough, and its addresses are good. */
bool goaway_is_possible(const struct goaway_packet *packet);

/* Write the GoAway that answers `packet`, for packet->ends.source. message_out: GOAWAY_MESSAGE_MAX
 * octets. Returns its length; 0: none may be sent, since the packet is too short or its addresses
 * are not good. */
size_t goaway_make(const struct goaway_keys *keys, const struct goaway_packet *packet,
                   uint8_t *message_out);

/* Write the Block that answers a GoAway, with a nonce that nobody can know beforehand.
 * `goaway`: the ICMP message that goaway_read() took, goaway_len octets; `ends`: its own, from whom
 * to whom it came. Returns the length in message_out (GOAWAY_MESSAGE_MAX octets). */
size_t goaway_make_block(const struct goaway_ends *ends, const uint8_t *goaway, size_t goaway_len,
                         uint64_t nonce, uint8_t *message_out);

/* Write the Block Reply. `block`: the ICMP message that goaway_read() took for a GOAWAY_BLOCK,
 * block_len octets; `ends`: its own. Returns the length in message_out (GOAWAY_MESSAGE_MAX octets),
 * which is block_len at most. */
size_t goaway_make_reply(const struct goaway_ends *ends, const uint8_t *block, size_t block_len,
                         enum goaway_code code, uint8_t *message_out);

/* Whether a Block answers a GoAway that was made by one of the keys. */
bool goaway_is_ours(const struct goaway_keys *keys, const struct goaway_message *block);

/* Take an ICMP message apart that came from ends->source to ends->destination, without its IP
 * header, its checksum included. True: it is one of the three, octet by octet as the functions above
 * would have written it, and between the right two hosts. False: anything else; *message_out is
 * undefined then. Whether anybody wanted it, or a nonce is right, it does not tell. */
bool goaway_read(const struct goaway_ends *ends, const uint8_t *octets, size_t len,
                 struct goaway_message *message_out);

/* Whether `octets`, len of them from an IP header on, are a whole packet that is no fragment and has
 * no IPv4 options; gives its ends, protocol, and where its payload begins and ends. `ip_len` is what
 * the header says: payload_len_out may be less where the capture was cut. */
bool goaway_open_packet(const uint8_t *octets, size_t len, struct goaway_ends *ends_out,
                        uint8_t *protocol_out, const uint8_t **payload_out,
                        size_t *captured_len_out, size_t *payload_len_out);

#endif
