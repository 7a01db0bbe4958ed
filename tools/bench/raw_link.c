/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/raw_link.h"

#include "stateless_tcp/wire.h"
#include "tools/bench/question.h"
#include "tools/bench/source.h"

#include <stdio.h>
#include <string.h>

enum {
    ARP_LEN = 28,
    ARP_REQUEST = 1,
    ARP_REPLY = 2,
    ND_SOLICITATION = 135,
    ND_ADVERTISEMENT = 136,
    ND_LEN = 24 + 8, /* with one option, a link-layer address */
    ND_FRAME_LEN = PACKET_ETHERNET_HEADER_LEN + PACKET_IPV6_HEADER_LEN + ND_LEN,
    OPTION_SOURCE_MAC = 1,
    OPTION_TARGET_MAC = 2,
    PROTOCOL_ICMPV6 = 58,
};

void raw_link_filter(uint8_t family, char *out)
{
    snprintf(out, RAW_LINK_FILTER_CAP, "%s",
             family == 4 ? "arp" : "(ip6[6] = 58 and (ip6[40] = 135 or ip6[40] = 136))");
}

/* ---- ARP ---- */

static bool arp_is(const uint8_t *frame, size_t frame_len, unsigned operation)
{
    static const uint8_t kind[6] = {0, 1, 8, 0, 6, 4}; /* Ethernet, IPv4 */
    const uint8_t *arp = frame + PACKET_ETHERNET_HEADER_LEN;
    return frame_len >= PACKET_ETHERNET_HEADER_LEN + ARP_LEN &&
           wire_load_be16(frame + 12) == 0x0806 && memcmp(arp, kind, sizeof kind) == 0 &&
           wire_load_be16(arp + 6) == operation;
}

static void arp_put(const struct raw_path *path, unsigned operation, const uint8_t *mac_to,
                    const uint8_t *own, const uint8_t *target_mac, const uint8_t *target,
                    struct train *train)
{
    uint8_t *at = raw_frame_room(train, PACKET_ETHERNET_HEADER_LEN + ARP_LEN);
    if (at == NULL)
        return;
    memcpy(at, mac_to, 6);
    memcpy(at + 6, path->mac_own, 6);
    wire_store_be16(at + 12, 0x0806);
    at += PACKET_ETHERNET_HEADER_LEN;
    wire_store_be32(at, 0x00010800);
    wire_store_be16(at + 4, 0x0604);
    wire_store_be16(at + 6, (uint16_t)operation);
    memcpy(at + 8, path->mac_own, 6);
    memcpy(at + 14, own, 4);
    memcpy(at + 18, target_mac, 6);
    memcpy(at + 24, target, 4);
}

static bool arp_answer(const struct raw_path *path, const uint8_t *frame, size_t frame_len,
                       struct train *train)
{
    if (!arp_is(frame, frame_len, ARP_REQUEST))
        return false;
    const uint8_t *arp = frame + PACKET_ETHERNET_HEADER_LEN;
    struct packet_address wanted = {.family = 4};
    uint32_t number;
    memcpy(wanted.octets, arp + 24, 4);
    if (source_number(&path->source, &wanted, &number))
        arp_put(path, ARP_REPLY, arp + 8, arp + 24, arp + 8, arp + 14, train);
    return true;
}

/* ---- neighbour discovery ---- */

static bool nd_is(const uint8_t *frame, size_t frame_len, unsigned type)
{
    const uint8_t *ip = frame + PACKET_ETHERNET_HEADER_LEN;
    /* hop limit 255: it comes from the link (RFC 4861 7.1) */
    return frame_len >= PACKET_ETHERNET_HEADER_LEN + PACKET_IPV6_HEADER_LEN + 24 &&
           wire_load_be16(frame + 12) == 0x86dd && ip[0] >> 4 == 6 && ip[6] == PROTOCOL_ICMPV6 &&
           ip[7] == 255 && ip[40] == type && ip[41] == 0;
}

struct nd {
    uint8_t type;
    uint8_t flags;
    uint8_t option;
    const uint8_t *mac_to;
    const uint8_t *source, *destination, *target;
};

static void nd_put(const struct raw_path *path, const struct nd *nd, struct train *train)
{
    uint8_t *frame = raw_frame_room(train, ND_FRAME_LEN);
    if (frame == NULL)
        return;
    memset(frame, 0, ND_FRAME_LEN);
    memcpy(frame, nd->mac_to, 6);
    memcpy(frame + 6, path->mac_own, 6);
    wire_store_be16(frame + 12, 0x86dd);
    uint8_t *ip = frame + PACKET_ETHERNET_HEADER_LEN, *icmp = ip + PACKET_IPV6_HEADER_LEN;
    ip[0] = 0x60;
    wire_store_be16(ip + 4, ND_LEN);
    ip[6] = PROTOCOL_ICMPV6;
    ip[7] = 255;
    memcpy(ip + 8, nd->source, 16);
    memcpy(ip + 24, nd->destination, 16);
    icmp[0] = nd->type;
    icmp[4] = nd->flags;
    memcpy(icmp + 8, nd->target, 16);
    icmp[24] = nd->option;
    icmp[25] = 1;
    memcpy(icmp + 26, path->mac_own, 6);
    uint32_t sum =
        (uint32_t)question_sum(ip + 8, 32) + PROTOCOL_ICMPV6 + ND_LEN + question_sum(icmp, ND_LEN);
    sum = (sum & 0xffff) + (sum >> 16);
    wire_store_be16(icmp + 2, (uint16_t) ~(sum + (sum >> 16)));
}

static bool nd_answer(const struct raw_path *path, const uint8_t *frame, size_t frame_len,
                      struct train *train)
{
    static const uint8_t nobody[16];
    static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
    static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
    if (!nd_is(frame, frame_len, ND_SOLICITATION))
        return false;
    const uint8_t *asker = frame + PACKET_ETHERNET_HEADER_LEN + 8;
    const uint8_t *target = frame + PACKET_ETHERNET_HEADER_LEN + PACKET_IPV6_HEADER_LEN + 8;
    struct packet_address wanted = {.family = 6};
    uint32_t number;
    memcpy(wanted.octets, target, 16);
    if (!source_number(&path->source, &wanted, &number))
        return true;
    /* who probes for duplicates has no address yet (RFC 4861 7.2.4) */
    bool is_probe = memcmp(asker, nobody, 16) == 0;
    const struct nd nd = {
        .type = ND_ADVERTISEMENT,
        .flags = is_probe ? 0x20 : 0x60, /* override, solicited */
        .option = OPTION_TARGET_MAC,
        .mac_to = is_probe ? all_nodes_mac : frame + 6,
        .source = target,
        .destination = is_probe ? all_nodes : asker,
        .target = target,
    };
    nd_put(path, &nd, train);
    return true;
}

static void nd_ask(const struct raw_path *path, const uint8_t *source, const uint8_t *target,
                   struct train *train)
{
    uint8_t group[16] = {0xff, 0x02, [11] = 1, [12] = 0xff}; /* solicited-node (RFC 4291 2.7.1) */
    uint8_t mac[6] = {0x33, 0x33, 0xff};
    memcpy(group + 13, target + 13, 3);
    memcpy(mac + 3, target + 13, 3);
    const struct nd nd = {
        .type = ND_SOLICITATION,
        .option = OPTION_SOURCE_MAC,
        .mac_to = mac,
        .source = source,
        .destination = group,
        .target = target,
    };
    nd_put(path, &nd, train);
}

/* The option that tells the MAC; without one, the frame's own sender. */
static void nd_learn(const uint8_t *frame, size_t frame_len, uint8_t mac_out[6])
{
    size_t at = PACKET_ETHERNET_HEADER_LEN + PACKET_IPV6_HEADER_LEN + 24;
    memcpy(mac_out, frame + 6, 6);
    while (at + 8 <= frame_len && frame[at + 1] > 0) {
        if (frame[at] == OPTION_TARGET_MAC && frame[at + 1] == 1)
            memcpy(mac_out, frame + at + 2, 6);
        at += 8u * frame[at + 1];
    }
}

/* ---- both ---- */

bool raw_link_answer(const struct raw_path *path, const uint8_t *frame, size_t frame_len,
                     struct train *train)
{
    return path->server.family == 4 ? arp_answer(path, frame, frame_len, train)
                                    : nd_answer(path, frame, frame_len, train);
}

void raw_link_ask(const struct raw_path *path, const struct packet_address *target,
                  struct train *train)
{
    static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t unknown[6];
    struct packet_address own = source_address(&path->source, 0);
    if (path->server.family == 4)
        arp_put(path, ARP_REQUEST, broadcast, own.octets, unknown, target->octets, train);
    else
        nd_ask(path, own.octets, target->octets, train);
}

bool raw_link_learn(const uint8_t *frame, size_t frame_len, const struct packet_address *target,
                    uint8_t mac_out[6])
{
    if (target->family == 4) {
        const uint8_t *arp = frame + PACKET_ETHERNET_HEADER_LEN;
        if (!arp_is(frame, frame_len, ARP_REPLY) || memcmp(arp + 14, target->octets, 4) != 0)
            return false;
        memcpy(mac_out, arp + 8, 6);
        return true;
    }
    const uint8_t *told = frame + PACKET_ETHERNET_HEADER_LEN + PACKET_IPV6_HEADER_LEN + 8;
    if (!nd_is(frame, frame_len, ND_ADVERTISEMENT) || memcmp(told, target->octets, 16) != 0)
        return false;
    nd_learn(frame, frame_len, mac_out);
    return true;
}
