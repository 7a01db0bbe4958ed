/* SPDX-License-Identifier: BSD-2-Clause
 *
 * packet.h - frames taken apart, and frames built that go back where one came from.
 *
 *     Ethernet (RFC 894, 2464) [802.1ad tag] [802.1Q tag]
 *       IPv4 (RFC 791)  or  IPv6 (RFC 8200) [hop-by-hop, destination options, used-up routing]
 *         TCP (RFC 9293) with options  or  UDP (RFC 768)
 *           payload
 *
 * Everything in the structs is in host order; network order exists in packet.c only. Nothing here
 * knows a connection, a cookie or a DNS message.
 *
 * Pure: no clock, no allocation, no state; any thread.
 */
#ifndef STATELESS_TCP_PACKET_H
#define STATELESS_TCP_PACKET_H

#include "stateless_tcp/train.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PACKET_ETHERNET_HEADER_LEN 14
#define PACKET_IPV4_HEADER_LEN 20
#define PACKET_IPV6_HEADER_LEN 40
#define PACKET_TCP_HEADER_LEN 20
#define PACKET_TCP_MSS_OPTION_LEN 4
#define PACKET_TCP_TIMESTAMPS_OPTION_LEN 12 /* with what aligns it: padding, or SACK-permitted */
#define PACKET_TCP_FAST_OPEN_OPTION_LEN 12  /* with two octets of padding */
#define PACKET_FAST_OPEN_COOKIE_LEN 8       /* of ours (RFC 7413 4.1.1 allows 4 to 16) */
#define PACKET_SACKS_MAX 4                  /* as many as fit a header (RFC 2018 3) */
#define PACKET_UDP_HEADER_LEN 8

/* Two tags: an 802.1ad service tag around an 802.1Q customer tag. */
#define PACKET_VLAN_MAX 2

/* Headers in front of a payload of ours, at most. */
#define PACKET_HEADERS_MAX                                                                  \
    (PACKET_ETHERNET_HEADER_LEN + 4 * PACKET_VLAN_MAX + PACKET_IPV6_HEADER_LEN +            \
     PACKET_TCP_HEADER_LEN + PACKET_TCP_MSS_OPTION_LEN + PACKET_TCP_TIMESTAMPS_OPTION_LEN + \
     PACKET_TCP_FAST_OPEN_OPTION_LEN)

/* Largest UDP payload that fits an Ethernet frame of 1500 octets under both IP versions. We never
 * fragment, so this is the end, whatever the client offers. */
#define PACKET_UDP_PAYLOAD_MAX (1500 - PACKET_IPV6_HEADER_LEN - PACKET_UDP_HEADER_LEN)

/* TCP flags (RFC 9293 3.1). */
enum {
    PACKET_FIN = 0x01,
    PACKET_SYN = 0x02,
    PACKET_RST = 0x04,
    PACKET_PSH = 0x08,
    PACKET_ACK = 0x10,
};

/* What to do with checksums of received frames. */
enum packet_checksum_policy {
    /* Wrong ones are dropped, but TCP and UDP checksums that the sender's stack left to hardware
     * pass: the field then holds the sum of the pseudo-header. So come frames that never saw a
     * wire: loopback, veth, virtio. */
    PACKET_CHECKSUM_AUTO,
    PACKET_CHECKSUM_ALWAYS, /* every wrong one is dropped */
    PACKET_CHECKSUM_NEVER,  /* none is looked at: hardware has done it */
};

struct packet_address {
    uint8_t family;     /* 4 or 6 */
    uint8_t octets[16]; /* IPv4: the first four; the others are zero */
};

static inline bool packet_address_equal(const struct packet_address *a,
                                        const struct packet_address *b)
{
    return a->family == b->family && memcmp(a->octets, b->octets, sizeof(a->octets)) == 0;
}

/* 0.0.0.0 or ::. */
static inline bool packet_address_is_any(const struct packet_address *address)
{
    static const uint8_t zeros[sizeof(address->octets)];
    return memcmp(address->octets, zeros, sizeof(zeros)) == 0;
}

/* An address and port that we serve. Family 0: every address; no other one has that port then. */
struct packet_endpoint {
    struct packet_address address;
    uint16_t port;
};

struct packet_vlan {
    uint16_t protocol; /* 0x8100 or 0x88a8 */
    uint16_t control;  /* priority, drop eligible, VLAN identifier */
};

/* Octets of ours that the client holds out of order: `left` up to, not including, `right`. */
struct packet_sack {
    uint32_t left;
    uint32_t right;
};

struct packet {
    uint8_t mac_source[6];
    uint8_t mac_destination[6];
    struct packet_vlan vlans[PACKET_VLAN_MAX]; /* outermost first */
    uint8_t vlan_count;

    struct packet_address source;
    struct packet_address destination;
    uint32_t flow_label; /* IPv6; 0 for IPv4 */
    uint32_t ip_len;     /* the packet, IP header first */

    uint16_t source_port;
    uint16_t destination_port;

    /* TCP only */
    uint32_t seq;
    uint32_t ack;
    uint16_t window;
    uint8_t flags;
    uint16_t mss; /* option; 0: not there */
    bool has_sack_permitted;
    bool has_timestamps;
    uint32_t timestamp_value;
    uint32_t timestamp_echo;
    uint8_t sack_count;
    struct packet_sack sacks[PACKET_SACKS_MAX]; /* as received */
    bool has_fast_open;                         /* RFC 7413; without a cookie it asks for one */
    bool has_fast_open_cookie;                  /* one as long as ours */
    uint8_t fast_open_cookie[PACKET_FAST_OPEN_COOKIE_LEN];

    /* In the frame's memory, and valid as long. */
    const uint8_t *payload;
    uint32_t payload_len;
    bool is_joined; /* by us, of the data of several segments; never so from packet_parse() */
};

enum packet_outcome {
    PACKET_DROP, /* nothing that may be answered; *packet_out is undefined */
    PACKET_UDP,
    PACKET_TCP,
};

/* Take one Ethernet frame apart.
 *
 * `frame`: frame_len octets, link layer first, as captured; padding after the IP packet is ignored.
 * `is_checksum_unset`: the capture says that the TCP or UDP checksum was left to hardware; believed
 * under PACKET_CHECKSUM_AUTO.
 * PACKET_DROP: neither TCP nor UDP; cut short or malformed; a fragment; a wrong checksum; IPv6
 * extension headers beyond the bound, or that say "discard if unknown"; and whatever must not be
 * answered, whoever sent it (RFC 1122 3.2.1.3, RFC 9293 3.9.2): broadcast or multicast at link or
 * IP level, unspecified, reserved and IPv4-mapped addresses, a loopback address facing one that
 * is not, source port 0. */
enum packet_outcome packet_parse(const uint8_t *frame, size_t frame_len, bool is_checksum_unset,
                                 enum packet_checksum_policy policy, struct packet *packet_out);

/* The order of two endpoints, for qsort(). */
int packet_endpoint_compare(const void *a, const void *b);

/* Whether the packet is sent to one of the endpoints, and by none of them: a server that answers
 * itself would never end. `endpoints`: in that order. */
bool packet_is_for(const struct packet *packet, const struct packet_endpoint *endpoints,
                   size_t endpoint_count);

/* A TCP segment of ours, less what is mirrored from the packet that it answers. */
struct packet_segment {
    uint32_t seq;
    uint32_t ack;
    uint16_t window;
    uint8_t flags;
    uint16_t mss; /* option; 0: left out */
    bool has_sack_permitted;
    bool has_timestamps;
    uint32_t timestamp_value;
    uint32_t timestamp_echo;
    const uint8_t *fast_open_cookie; /* PACKET_FAST_OPEN_COOKIE_LEN octets; NULL: left out */
};

/* Append to `train` a segment that answers `packet`: addresses, ports and MACs exchanged, VLAN tags
 * and IPv6 flow label (RFC 6438) kept, TTL 64, IPv4 identification 0 with DF set (RFC 6864 4.1).
 * `payload`: payload_len octets, not in the train; NULL is allowed for 0.
 * Returns false, with the train unchanged, when it is full. */
bool packet_reply_tcp(const struct packet *packet, const struct packet_segment *segment,
                      const uint8_t *payload, size_t payload_len, struct train *train);

/* Where the payload of the next packet_reply_udp() would go: PACKET_UDP_PAYLOAD_MAX octets of the
 * train's memory. A payload that is made there need not be copied. NULL: the train is full. */
uint8_t *packet_udp_room(const struct packet *packet, struct train *train);

/* Append a UDP datagram that answers `packet`, in the same way. DF is set here too (RFC 9715 3.1, R2):
 * without it a router would make the fragments that we do not, and without state there is no
 * identification that would keep those of two datagrams apart (RFC 6864 4.3), or that nobody could
 * guess. The price: what is longer than the path's MTU is lost, which no ICMP message is asked
 * about; so the caller has a limit that paths carry (R3).
 * `payload`: at most PACKET_UDP_PAYLOAD_MAX octets, not in the train but where packet_udp_room()
 * says. Returns false when the train is full. */
bool packet_reply_udp(const struct packet *packet, const uint8_t *payload, size_t payload_len,
                      struct train *train);

#endif
