/* SPDX-License-Identifier: BSD-2-Clause
 *
 * client_frame.bpf.h - frames of the client in the driver: read, checked, and overwritten with what
 * follows. For client.bpf.h only, which says what must be defined before.
 */
#ifndef TOOLS_BENCH_CLIENT_FRAME_BPF_H
#define TOOLS_BENCH_CLIENT_FRAME_BPF_H

#include "stateless_tcp/io/xdp/frame.bpf.h"

enum {
    CLIENT_PASS,  /* nothing of ours */
    CLIENT_DROP,  /* done, and nothing follows */
    CLIENT_TX,    /* the frame is what follows */
    CLIENT_OURS,  /* of client_parse(): go on */
    CLIENT_TWICE, /* as CLIENT_TX, in two copies, of each of which client_split() makes its part */
};

enum {
    CLIENT_ETHERNET = 14,
    CLIENT_DNS_HEADER = 12,
};

/* Of one frame. */
struct client_work {
    struct driver_segment segment; /* as if the server had sent it, also where nothing came */
    struct packet_segment reply;
    uint64_t now_ns;
    uint32_t tuple;
    uint32_t payload_at, payload_len;
    uint64_t reference; /* to be checked against, or to be sent */
    uint16_t id;
    uint8_t has_question; /* the reply */
    uint8_t is_twice;     /* an ACK alone goes before it */
    uint8_t rcode, is_truncated;
};

/* As sequence numbers go (RFC 9293 3.4). */
DRIVER_INLINE bool client_is_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* ---- questions ---- */

DRIVER_INLINE const struct client_question *client_question(uint64_t reference)
{
    const struct client_chunk *chunk = client_chunk_at((uint32_t)(reference / CLIENT_CHUNK_LEN));
    uint64_t at = reference % CLIENT_CHUNK_LEN;
    if (!chunk || at > CLIENT_RECORD_AT_MAX)
        return 0;
    __asm__ volatile("" : "+r"(at)); /* else clang adds first and looks then */
    return (const struct client_question *)(chunk->octets + at);
}

DRIVER_INLINE uint32_t client_be16(uint32_t value)
{
    return driver_be32(value) >> 16;
}

enum { CLIENT_RIGHT, CLIENT_WRONG, CLIENT_STRAY };

DRIVER_INLINE bool client_is_same(const uint8_t *at, const uint8_t *end,
                                  const struct client_question *question, uint32_t len)
{
    uint32_t done = CLIENT_DNS_HEADER;
    for (unsigned i = 0; i < CLIENT_MESSAGE_MAX / 8 && done + 8 <= len; i++) {
        if (at + 8 > end || done + 8 > CLIENT_MESSAGE_MAX - 2)
            return false;
        if (driver_load32(at) != driver_load32(question->framed + 2 + done) ||
            driver_load32(at + 4) != driver_load32(question->framed + 6 + done))
            return false;
        at += 8;
        done += 8;
        __asm__ volatile("" : "+r"(at), "+r"(done)); /* as in driver_sum_data() */
    }
#pragma GCC unroll 7
    for (unsigned i = 0; i < 7; i++) {
        if (done + i >= len)
            return true;
        if (at + i + 1 > end || done + i >= CLIENT_MESSAGE_MAX - 2 ||
            at[i] != question->framed[2 + done + i])
            return false;
    }
    return done + 7 >= len;
}

/* Whether the message at payload_at, or what there is of it, answers what was asked. */
DRIVER_STEP int client_check(struct client_context *ctx, struct client_work *work)
{
    if (!work)
        return CLIENT_WRONG;
    const uint8_t *end = client_end(ctx);
    const uint8_t *message = client_data(ctx) + (work->payload_at & 0xff);
    const struct client_question *question = client_question(work->reference);
    if (!question || message + CLIENT_DNS_HEADER > end ||
        driver_load16(message) != client_be16(work->id))
        return CLIENT_STRAY;
    work->rcode = message[3] & 0x0f;
    work->is_truncated = (message[2] & 0x02) != 0;
    /* QR, and the opcode of a query; one question */
    if ((message[2] & 0xf8) != 0x80 || driver_load16(message + 4) != client_be16(1) ||
        work->payload_len < question->question_end)
        return CLIENT_WRONG;
    return client_is_same(message + CLIENT_DNS_HEADER, end, question, question->question_end)
               ? CLIENT_RIGHT
               : CLIENT_WRONG;
}

/* ---- reading what came ---- */

DRIVER_INLINE bool client_find_tuple(const struct client_config *config,
                                     const struct driver_segment *segment, uint32_t *tuple_out)
{
    const uint32_t *from = segment->addresses, *to = segment->addresses + 4;
    const uint32_t *server = config->server_wire, *source = config->source_wire;
    uint32_t differing = (from[0] ^ server[0]) | (from[1] ^ server[1]) | (from[2] ^ server[2]) |
                         (from[3] ^ server[3]);
    uint32_t number = driver_be32(to[0]) - driver_be32(source[0]);
    if (config->family == 6) {
        differing |= (to[0] ^ source[0]) | (to[1] ^ source[1]) | (to[2] ^ source[2]);
        number = driver_be32(to[3]) - driver_be32(source[3]);
    }
    number -= config->number_first;
    uint32_t ports = driver_be32(segment->words[0]);
    uint32_t port = (ports & 0xffff) - config->port_first;
    return differing == 0 && number < config->tuples.address_count &&
           ports >> 16 == config->server_port && port < config->tuples.port_count &&
           tuple_number(&config->tuples, port, number, tuple_out);
}

/* The address and port of a tuple, as if the server had sent something to it. */
DRIVER_INLINE void client_put_tuple(const struct client_config *config, uint32_t tuple,
                                    struct driver_segment *segment)
{
    uint32_t port, number;
    tuple_place(&config->tuples, tuple, &port, &number);
    port += config->port_first;
    number += config->number_first;
    segment->family = config->family;
    segment->words[0] = driver_be32((uint32_t)config->server_port << 16 | port);
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) {
        segment->addresses[i] = config->server_wire[i];
        segment->addresses[4 + i] = config->source_wire[i];
    }
    if (config->family == 4)
        segment->addresses[4] = driver_be32(driver_be32(config->source_wire[0]) + number);
    else
        segment->addresses[7] = driver_be32(driver_be32(config->source_wire[3]) + number);
}

/* Returns the octet behind the IP header; 0: not ours. *end_at_out: behind the packet. */
DRIVER_INLINE uint32_t client_read_ip(const struct client_config *config, const uint8_t *data,
                                      const uint8_t *end, struct driver_segment *segment,
                                      uint32_t *end_at_out)
{
    const uint8_t *ip = data + CLIENT_ETHERNET;
    uint8_t protocol = config->is_udp ? PROTOCOL_UDP : PROTOCOL_TCP;
    if (ip + PACKET_IPV6_HEADER_LEN > end) /* the shortest over IPv4 is as long */
        return 0;
    bool is_ours = false;
    uint32_t at = 0;
    if (config->family == 4) {
        at = CLIENT_ETHERNET + PACKET_IPV4_HEADER_LEN;
        *end_at_out = CLIENT_ETHERNET + client_be16(driver_load16(ip + 2));
        is_ours = driver_load16(ip - 2) == client_be16(ETHERTYPE_IPV4) && ip[0] == 0x45 &&
                  (driver_load16(ip + 6) & client_be16(0x3fff)) == 0 && ip[9] == protocol;
    } else {
        at = CLIENT_ETHERNET + PACKET_IPV6_HEADER_LEN;
        *end_at_out = at + client_be16(driver_load16(ip + 4));
        is_ours = driver_load16(ip - 2) == client_be16(ETHERTYPE_IPV6) && ip[6] == protocol;
    }
    if (!is_ours || *end_at_out > (uint64_t)(end - data) ||
        !driver_read_addresses(ip, end, segment))
        return 0;
    return at;
}

DRIVER_INLINE int client_read_udp(const uint8_t *udp, const uint8_t *end, uint32_t at,
                                  uint32_t end_at, struct client_work *work)
{
    if (udp + PACKET_UDP_HEADER_LEN > end)
        return CLIENT_PASS;
    uint32_t len = client_be16(driver_load16(udp + 4));
    if (len < PACKET_UDP_HEADER_LEN || at + len > end_at)
        return CLIENT_DROP;
    work->payload_at = at + PACKET_UDP_HEADER_LEN;
    work->payload_len = len - PACKET_UDP_HEADER_LEN;
    return CLIENT_OURS;
}

DRIVER_INLINE int client_read_tcp(const uint8_t *tcp, const uint8_t *end, uint32_t at,
                                  uint32_t end_at, struct client_work *work)
{
    if (!driver_read_header(tcp, end, &work->segment))
        return CLIENT_PASS;
    uint32_t header_len = work->segment.header_len;
    if (header_len < PACKET_TCP_HEADER_LEN || at + header_len > end_at)
        return CLIENT_DROP;
    work->segment.flags = tcp[13];
    work->payload_at = at + header_len;
    work->payload_len = end_at - at - header_len;
    return CLIENT_OURS;
}

/* Read what came. Returns one of CLIENT_PASS, CLIENT_DROP, CLIENT_OURS. */
DRIVER_STEP int client_parse(struct client_context *ctx, struct client_work *work)
{
    const struct client_config *config = client_settings();
    if (!work || !config)
        return CLIENT_PASS;
    const uint8_t *data = client_data(ctx), *end = client_end(ctx);
    uint32_t end_at = 0;
    work->segment = (struct driver_segment){.family = config->family};
    uint32_t at = client_read_ip(config, data, end, &work->segment, &end_at);
    const uint8_t *transport = data + (at & 0x3f);
    if (at == 0 || transport + 4 > end)
        return CLIENT_PASS;
    work->segment.words[0] = driver_load32(transport);
    if (!client_find_tuple(config, &work->segment, &work->tuple))
        return CLIENT_PASS;
    return config->is_udp ? client_read_udp(transport, end, at, end_at, work)
                          : client_read_tcp(transport, end, at, end_at, work);
}

/* ---- sending ---- */

/* No station has a group's address: so is marked what client_split() is to look at. */
enum { CLIENT_MARK = 1 };

DRIVER_INLINE bool client_put_link(const struct client_config *config, uint8_t *data,
                                   const uint8_t *end, uint8_t mark)
{
    if (data + CLIENT_ETHERNET > end)
        return false;
#pragma GCC unroll 3
    for (unsigned i = 0; i < 6; i += 2) {
        driver_store16(data + i, driver_load16(config->mac_peer + i));
        driver_store16(data + 6 + i, driver_load16(config->mac_own + i));
    }
    data[6] |= mark;
    driver_store16(data + 12,
                   (uint16_t)client_be16(config->family == 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6));
    return true;
}

DRIVER_INLINE bool client_put_ip(const struct client_config *config, uint8_t *ip,
                                 const uint8_t *end, uint32_t len,
                                 const struct driver_segment *segment)
{
    uint32_t protocol = config->is_udp ? PROTOCOL_UDP : PROTOCOL_TCP;
    if (config->family == 4)
        return driver_put_ipv4(ip, end, protocol, len, segment);
    if (ip + 4 > end)
        return false;
    driver_store32(ip, 0); /* no flow label */
    return driver_put_ipv6(ip, end, protocol, len, segment);
}

/* `sum`: of the payload. */
DRIVER_INLINE bool client_put_udp(uint8_t *udp, const uint8_t *end, uint32_t len,
                                  const struct client_work *work, uint64_t sum)
{
    uint32_t ports = work->segment.words[0];
    uint8_t *at = udp;
    sum += driver_sum_pseudo_header(&work->segment, PROTOCOL_UDP, len);
    bool is_put = driver_put(&at, end, ports << 16 | ports >> 16, &sum) &&
                  driver_put(&at, end, driver_be32(len << 16), &sum);
    if (!is_put || udp + PACKET_UDP_HEADER_LEN > end)
        return false;
    uint16_t folded = (uint16_t)~driver_fold(sum);
    driver_store16(udp + 6, folded == 0 ? 0xffff : folded);
    return true;
}

/* `len` octets of the framed question from `from` on, and the ID. */
DRIVER_INLINE bool client_put_question(uint8_t *to, const uint8_t *end,
                                       const struct client_question *question, uint32_t from,
                                       uint32_t len, uint16_t id)
{
    uint8_t *id_at = to + 2 - from;
    uint32_t done = from;
    len += from;
    for (unsigned i = 0; i < CLIENT_MESSAGE_MAX / 8 && done + 8 <= len; i++) {
        if (to + 8 > end || done > CLIENT_MESSAGE_MAX - 8)
            return false;
        driver_store32(to, driver_load32(question->framed + done));
        driver_store32(to + 4, driver_load32(question->framed + done + 4));
        to += 8;
        done += 8;
        __asm__ volatile("" : "+r"(to), "+r"(done)); /* as in driver_sum_data() */
    }
#pragma GCC unroll 7
    for (unsigned i = 0; i < 7; i++) {
        if (done + i >= len)
            break;
        if (to + i + 1 > end || done + i >= CLIENT_MESSAGE_MAX)
            return false;
        to[i] = question->framed[done + i];
    }
    if (id_at + 2 > end)
        return false;
    driver_store16(id_at, (uint16_t)client_be16(id));
    return true;
}

/* Write the reply over the frame. */
DRIVER_STEP int client_send(struct client_context *ctx, struct client_work *work)
{
    const struct client_config *config = client_settings();
    struct client_tally *counts = client_counts();
    if (!work || !config || !counts)
        return CLIENT_DROP;
    uint32_t ip_len = config->family == 4 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN;
    uint32_t header_len =
        config->is_udp ? (uint32_t)PACKET_UDP_HEADER_LEN : driver_reply_len(&work->reply);
    uint32_t payload_len = 0;
    uint32_t from = config->is_udp ? 2 : 0; /* of what the question is framed in */
    uint64_t sum = 0;
    const struct client_question *question = 0;
    if (work->has_question) {
        question = client_question(work->reference);
        if (!question || question->len > CLIENT_MESSAGE_MAX - 2)
            return CLIENT_DROP;
        payload_len = question->len + 2u - from;
        sum = (uint64_t)question->sum_wire + client_be16(work->id) +
              (config->is_udp ? 0 : client_be16(question->len));
    }
    uint32_t len = header_len + payload_len;
    if (!client_resize(ctx, CLIENT_ETHERNET + ip_len + len))
        return CLIENT_DROP;
    uint8_t *data = client_data(ctx), *transport = data + CLIENT_ETHERNET + ip_len;
    const uint8_t *end = client_end(ctx);
    bool is_put = client_put_link(config, data, end, work->is_twice ? CLIENT_MARK : 0) &&
                  client_put_ip(config, data + CLIENT_ETHERNET, end, len, &work->segment) &&
                  (config->is_udp ? client_put_udp(transport, end, len, work, sum)
                                  : driver_put_tcp(transport, end, header_len, &work->segment,
                                                   &work->reply, payload_len, sum));
    if (is_put && question)
        is_put = client_put_question(transport + (header_len & 0x3c), end, question, from,
                                     payload_len, work->id);
    counts->tally.segments_sent += is_put && !config->is_udp;
    if (!is_put)
        return CLIENT_DROP;
    return work->is_twice ? CLIENT_TWICE : CLIENT_TX;
}

/* What client_split() remembers: the copy that it saw last, and made an ACK of. */
struct client_copy {
    uint32_t ports_wire, seq_wire, ack_wire, is_seen;
};

/* Make an ACK alone of a marked frame. */
DRIVER_INLINE int client_make_ack(struct client_context *ctx, const uint8_t *tcp,
                                  struct client_work *work)
{
    struct driver_segment *segment = &work->segment;
    if (!driver_read_header(tcp, client_end(ctx), segment) ||
        driver_read_options(segment) != DRIVER_PARSED)
        return CLIENT_DROP;
#pragma GCC unroll 4
    for (unsigned i = 0; i < 4; i++) { /* it is ours, not the server's */
        uint32_t own = segment->addresses[i];
        segment->addresses[i] = segment->addresses[4 + i];
        segment->addresses[4 + i] = own;
    }
    uint32_t ports = segment->words[0];
    segment->words[0] = ports << 16 | ports >> 16;
    work->reply = (struct packet_segment){
        .seq = segment->seq,
        .ack = segment->ack,
        .window = (uint16_t)driver_be32(segment->words[3]),
        .flags = PACKET_ACK,
        .has_timestamps = segment->has_timestamps,
        .timestamp_value = segment->timestamp_value,
        .timestamp_echo = segment->timestamp_echo,
    };
    work->has_question = work->is_twice = 0;
    return CLIENT_TX;
}

/* A frame leaves. Of two marked copies, which come one behind the other, the first becomes an ACK
 * alone; from the second the mark is taken. All others stay as they are. CLIENT_PASS: it may go. */
DRIVER_STEP int client_split(struct client_context *ctx, struct client_work *work,
                             struct client_copy *copy)
{
    const struct client_config *config = client_settings();
    uint8_t *data = client_data(ctx);
    const uint8_t *end = client_end(ctx);
    if (!work || !copy || !config || data + CLIENT_ETHERNET + PACKET_IPV6_HEADER_LEN > end ||
        (data[6] & CLIENT_MARK) == 0)
        return CLIENT_PASS;
    uint32_t ip_len = config->family == 4 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN;
    const uint8_t *tcp = data + CLIENT_ETHERNET + ip_len;
    if (tcp + PACKET_TCP_HEADER_LEN > end)
        return CLIENT_PASS;
    uint32_t ports = driver_load32(tcp), seq = driver_load32(tcp + 4);
    uint32_t ack = driver_load32(tcp + 8);
    data[6] &= (uint8_t)~CLIENT_MARK;
    if (copy->is_seen && copy->ports_wire == ports && copy->seq_wire == seq &&
        copy->ack_wire == ack) {
        copy->is_seen = 0;
        return CLIENT_PASS;
    }
    *copy =
        (struct client_copy){.ports_wire = ports, .seq_wire = seq, .ack_wire = ack, .is_seen = 1};
    work->segment = (struct driver_segment){.family = config->family};
    if (!driver_read_addresses(data + CLIENT_ETHERNET, end, &work->segment) ||
        client_make_ack(ctx, tcp, work) != CLIENT_TX)
        return CLIENT_DROP;
    return client_send(ctx, work) == CLIENT_TX ? CLIENT_PASS : CLIENT_DROP;
}

#endif
