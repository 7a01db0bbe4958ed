/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Ceilings inside the driver: `answer` sends every query back as its own response, UDP and TCP,
 * with no more of TCP than its clients need; `redirect` hands UDP to AF_XDP. IPv4 without options;
 * over IPv6 UDP alone.
 *
 * TCP: SYN -> SYN+ACK with MSS alone, so that segments with data have no options and responses stay
 * as long as their requests, checksums mended (RFC 1624); FIN -> FIN+ACK; other ACKs are dropped.
 * The number of a SYN+ACK is a product of addresses and ports: no cookie, nothing is proven.
 */
#include "test/bench/ceilings/echo.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include <stddef.h>

#define BE16(value) __builtin_bswap16(value)
#define BE32(value) __builtin_bswap32(value)

struct frame {
    uint8_t to[6], from[6];
    uint16_t type;
    uint8_t version, service;
    uint16_t len, id, fragment;
    uint8_t ttl, protocol;
    uint16_t ip_checksum;
    uint32_t source, destination;
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint8_t offset, flags;
    uint16_t window, checksum, urgent;
    uint8_t rest[];
} __attribute__((packed));

enum { IP_LEN = 20, TCP_LEN = 20, FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16 };

struct {
    __uint(type, BPF_MAP_TYPE_XSKMAP);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, uint32_t);
} sockets SEC(".maps");

static inline __attribute__((always_inline)) uint16_t folded(uint64_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

static inline __attribute__((always_inline)) uint32_t halves(uint32_t word)
{
    return (word & 0xffff) + (word >> 16);
}

/* What of the TCP header is not the same in an answer. */
static inline __attribute__((always_inline)) uint32_t changing(const struct frame *frame)
{
    return halves(frame->seq) + halves(frame->ack) + (frame->offset | (uint32_t)frame->flags << 8) +
           frame->window;
}

/* A segment without data: a header of so many octets, all of it made anew. */
static inline __attribute__((always_inline)) int answer_bare(struct xdp_md *ctx, uint32_t have,
                                                             uint32_t len)
{
    if (have < ECHO_ETHERNET_LEN + IP_LEN + len ||
        bpf_xdp_adjust_tail(ctx, (int)(ECHO_ETHERNET_LEN + IP_LEN + len) - (int)have) != 0)
        return XDP_DROP;
    struct frame *frame = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    if ((void *)(frame + 1) + (len - TCP_LEN) > end)
        return XDP_DROP;
    uint16_t old = frame->len;
    frame->len = BE16((uint16_t)(IP_LEN + len));
    frame->ip_checksum =
        (uint16_t)~folded((uint64_t)(uint16_t)~frame->ip_checksum + (uint16_t)~old + frame->len);
    frame->offset = (uint8_t)(len / 4 << 4);
    frame->window = 65535;
    frame->urgent = 0;
    uint64_t sum = halves(frame->source) + halves(frame->destination) + BE16(6) +
                   BE16((uint16_t)len) + frame->source_port + frame->destination_port +
                   changing(frame);
    if (len > TCP_LEN) {
        frame->rest[0] = 2;
        frame->rest[1] = 4;
        frame->rest[2] = 1220 >> 8;
        frame->rest[3] = 1220 & 255;
        sum += BE16(2 << 8 | 4) + BE16(1220);
    }
    frame->checksum = (uint16_t)~folded(sum);
    return XDP_TX;
}

static inline __attribute__((always_inline)) int answer_tcp(struct xdp_md *ctx, struct frame *frame,
                                                            void *end)
{
    uint32_t have = (uint32_t)(end - (void *)frame);
    uint32_t header = (uint32_t)(frame->offset >> 4) * 4;
    uint32_t len = BE16(frame->len) - IP_LEN, before = changing(frame);
    uint32_t seq = BE32(frame->seq), ack = frame->ack;
    uint8_t flags = frame->flags;
    if (flags & RST || len < header || header < TCP_LEN)
        return XDP_DROP;
    uint32_t data = len - header;
    if ((flags & (SYN | FIN)) == 0 && data == 0)
        return XDP_DROP;
    echo_swap((uint8_t *)frame, 6);
    echo_swap((uint8_t *)frame + ECHO_ADDRESSES, 4);
    echo_swap((uint8_t *)frame + ECHO_PORTS, 2);
    frame->seq = ack;
    frame->ack = BE32(seq + data + ((flags & (SYN | FIN)) != 0));
    if (flags & SYN) {
        frame->seq = (frame->source ^ frame->destination_port * 2654435761u) * 2246822519u;
        frame->flags = SYN | ACK;
        return answer_bare(ctx, have, TCP_LEN + 4);
    }
    if (data == 0) {
        frame->flags = FIN | ACK;
        return answer_bare(ctx, have, TCP_LEN);
    }
    /* length, ID, then the flags of DNS */
    if (header != TCP_LEN || (void *)(frame->rest + 6) > end)
        return XDP_DROP;
    frame->flags = PSH | ACK;
    frame->window = 65535;
    uint32_t dns_before = frame->rest[4];
    frame->rest[4] |= ECHO_QR_AA;
    frame->checksum =
        (uint16_t)~folded((uint64_t)(uint16_t)~frame->checksum + (uint16_t)~folded(before) +
                          changing(frame) + (uint16_t)~dns_before + frame->rest[4]);
    return XDP_TX;
}

static inline __attribute__((always_inline)) struct frame *ours(struct xdp_md *ctx)
{
    struct frame *frame = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    if ((void *)(frame + 1) > end || frame->type != BE16(0x0800) || frame->version != 0x45 ||
        frame->destination_port != BE16(ECHO_PORT))
        return NULL;
    return frame;
}

/* A query over UDP and IPv6, or NULL. */
static inline __attribute__((always_inline)) uint8_t *ours_ipv6(struct xdp_md *ctx)
{
    uint8_t *frame = (void *)(long)ctx->data;
    void *end = (void *)(long)ctx->data_end;
    if ((void *)(frame + ECHO_FRAME_MIN + ECHO_IPV6_SHIFT) > end || frame[ECHO_TYPE] != 0x86 ||
        !echo_is_ipv6(frame) || frame[ECHO_IPV6_PROTOCOL] != 17 ||
        frame[ECHO_PORTS + 2 + ECHO_IPV6_SHIFT] != 0 ||
        frame[ECHO_PORTS + 3 + ECHO_IPV6_SHIFT] != ECHO_PORT)
        return NULL;
    return frame;
}

SEC("xdp") int answer(struct xdp_md *ctx)
{
    struct frame *frame = ours(ctx);
    if (frame == NULL) {
        uint8_t *ipv6 = ours_ipv6(ctx);
        if (ipv6 == NULL)
            return XDP_PASS;
        echo_turn_ipv6(ipv6);
        return XDP_TX;
    }
    if (frame->protocol == 6)
        return answer_tcp(ctx, frame, (void *)(long)ctx->data_end);
    if (frame->protocol != 17)
        return XDP_PASS;
    echo_turn((uint8_t *)frame);
    return XDP_TX;
}

SEC("xdp") int redirect(struct xdp_md *ctx)
{
    struct frame *frame = ours(ctx);
    if (frame == NULL ? ours_ipv6(ctx) == NULL : frame->protocol != 17)
        return XDP_PASS;
    return (int)bpf_redirect_map(&sockets, 0, XDP_PASS);
}

char licence[] SEC("license") = "Dual BSD/GPL";
