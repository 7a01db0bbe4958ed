/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The XDP program: which frames are ours, and where they go (driver.h has the drawing).
 *
 * It follows packet_parse() and packet_is_for(), and hands over nothing that they refuse for its
 * headers; what takes reading all of a packet to refuse (checksums, options) is for user space,
 * which parses each frame again. Everything else is the kernel's: XDP_PASS.
 *
 * It differs on purpose in one thing: frames beyond DRIVER_FRAME_MAX are passed, ours or not.
 */
#include "stateless_tcp/io/xdp/maps.bpf.h"
/* after it */
#include "stateless_tcp/io/xdp/copies.bpf.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, DRIVER_ENDPOINTS_MAX);
    __type(key, struct driver_endpoint);
    __type(value, uint32_t);
} driver_endpoints SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, DRIVER_PEERS_MAX);
    __type(key, struct driver_prefix);
    __type(value, uint32_t);
} driver_peers SEC(".maps");

/* Where what is not answered here goes on, if anywhere. */
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, uint32_t);
} driver_next SEC(".maps");

/* And where frames with a ticket go on. */
struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 1);
    __type(key, uint32_t);
    __type(value, uint32_t);
} driver_finish SEC(".maps");

volatile uint32_t driver_bank; /* which of driver_configs counts */

/* Whether UDP answers may ever be given again. Fixed before it is loaded: the verifier does not look
 * at what is never called, which is a third of the program. */
const volatile uint8_t driver_can_hot = 1;

#include "stateless_tcp/io/xdp/hot.bpf.h"

enum {
    VLANS_MAX = 2,      /* PACKET_VLAN_MAX */
    EXTENSIONS_MAX = 4, /* both as in packet.c */
    EXTENSION_OCTETS_MAX = 256,
};

/* What is left to look at. Every parser checks, takes, and says what comes next, or -1. */
struct cursor {
    const uint8_t *begin;
    const uint8_t *at;
    const uint8_t *end; /* of the captured frame */
};

/* What is known of a frame. */
struct parsed {
    struct driver_endpoint source __attribute__((aligned(8)));
    struct driver_endpoint destination __attribute__((aligned(8)));
    uint16_t ip_at;
    uint16_t transport_at;
    uint32_t end_at;
    bool is_plain; /* no IPv4 option, no extension header */
};

static __always_inline uint32_t load_be16(const uint8_t *at)
{
    return bpf_ntohs(*(const uint16_t *)at);
}

/* By words: an octet at a time is what a plain copy of something unaligned becomes. */
static __always_inline void copy_address(uint8_t *to, const uint8_t *from, unsigned len)
{
#pragma unroll
    for (unsigned i = 0; i < len; i += 4)
        *(uint32_t *)(to + i) = *(const uint32_t *)(from + i);
}

/* Next: ethertype. */
static __always_inline int parse_ethernet(struct cursor *cursor)
{
    const uint8_t *header = cursor->at;
    if (header + 14 > cursor->end)
        return -1;
    /* The group bit: a station asks, and one station is asked. */
    if ((header[0] | header[6]) & 1)
        return -1;
    uint32_t type = load_be16(header + 12);
    cursor->at = header + 14;
#pragma unroll
    for (unsigned i = 0; i < VLANS_MAX; i++) {
        const uint8_t *tag = cursor->at;
        if (type != ETHERTYPE_VLAN_CUSTOMER && type != ETHERTYPE_VLAN_SERVICE)
            break;
        if (tag + 4 > cursor->end)
            return -1;
        type = load_be16(tag + 2);
        cursor->at = tag + 4;
    }
    return (int)type;
}

static __always_inline bool is_ipv4_answerable(const uint8_t *a)
{
    /* 0/8 "this network"; 224/4 multicast; 240/4 reserved, with limited broadcast. */
    return a[0] != 0 && a[0] < 224;
}

static __always_inline bool is_ipv4_sum_good(const uint8_t *header)
{
    const uint16_t *words = (const uint16_t *)header;
    uint32_t sum = 0;
#pragma unroll
    for (unsigned i = 0; i < 10; i++)
        sum += words[i];
    sum = (sum & 0xffff) + (sum >> 16);
    return (sum & 0xffff) + (sum >> 16) == 0xffff;
}

/* Next: protocol. */
static __always_inline int parse_ipv4(struct cursor *cursor, struct parsed *parsed)
{
    const uint8_t *header = cursor->at;
    if (header + 20 > cursor->end || header[0] >> 4 != 4)
        return -1;
    uint32_t header_len = (uint32_t)(header[0] & 0x0f) * 4;
    uint32_t total_len = load_be16(header + 2);
    if (header_len < 20 || total_len < header_len || total_len > (uint64_t)(cursor->end - header) ||
        (load_be16(header + 6) & 0x3fff) != 0)
        return -1;
    if (!is_ipv4_answerable(header + 12) || !is_ipv4_answerable(header + 16) ||
        (header[12] == 127) != (header[16] == 127))
        return -1;
    parsed->is_plain = header_len == 20;
    if (parsed->is_plain && !is_ipv4_sum_good(header))
        return -1;
    parsed->source.family = parsed->destination.family = 4;
    copy_address(parsed->source.address, header + 12, 4);
    copy_address(parsed->destination.address, header + 16, 4);
    parsed->end_at = parsed->ip_at + total_len;
    cursor->at = header + header_len;
    return header[9];
}

static __always_inline bool is_ipv6_answerable(const uint8_t *a)
{
    const uint32_t *words = (const uint32_t *)a;
    bool is_unspecified = (words[0] | words[1] | words[2] | words[3]) == 0;
    bool is_mapped = (words[0] | words[1]) == 0 && words[2] == bpf_htonl(0xffff);
    return a[0] != 0xff && !is_unspecified && !is_mapped;
}

static __always_inline bool is_ipv6_loopback(const uint8_t *a)
{
    const uint32_t *words = (const uint32_t *)a;
    return (words[0] | words[1] | words[2]) == 0 && words[3] == bpf_htonl(1);
}

/* Next: protocol after the extension headers that packet_parse() walks. */
static __always_inline int parse_extensions(struct cursor *cursor, uint32_t next)
{
    const uint8_t *at = cursor->at;
    uint32_t walked = 0;
    for (unsigned i = 0; i <= EXTENSIONS_MAX; i++) {
        if (next != PROTOCOL_HOP_BY_HOP && next != PROTOCOL_DESTINATION &&
            next != PROTOCOL_ROUTING) {
            cursor->at = at;
            return (int)next;
        }
        if ((next == PROTOCOL_HOP_BY_HOP && i > 0) || at + 8 > cursor->end)
            return -1;
        uint32_t len = 8u + 8u * at[1];
        /* A routing header with segments left asks us to be a router (RFC 8200 4.4). */
        if (next == PROTOCOL_ROUTING && at[3] != 0)
            return -1;
        next = at[0];
        walked += len;
        if (walked > EXTENSION_OCTETS_MAX)
            return -1;
        at = cursor->at + (walked & 0x1ff);
    }
    return -1;
}

/* Next: protocol. */
static __always_inline int parse_ipv6(struct cursor *cursor, struct parsed *parsed)
{
    const uint8_t *header = cursor->at;
    if (header + 40 > cursor->end || header[0] >> 4 != 6)
        return -1;
    uint32_t payload_len = load_be16(header + 4);
    if (payload_len + 40 > (uint64_t)(cursor->end - header))
        return -1;
    const uint8_t *source = header + 8, *destination = header + 24;
    if (!is_ipv6_answerable(source) || !is_ipv6_answerable(destination) ||
        is_ipv6_loopback(source) != is_ipv6_loopback(destination))
        return -1;
    parsed->source.family = parsed->destination.family = 6;
    copy_address(parsed->source.address, source, 16);
    copy_address(parsed->destination.address, destination, 16);
    parsed->end_at = parsed->ip_at + 40 + payload_len;
    cursor->at = header + 40;
    uint32_t next = header[6];
    parsed->is_plain = next == PROTOCOL_TCP || next == PROTOCOL_UDP;
    return parsed->is_plain ? (int)next : parse_extensions(cursor, next);
}

/* Take the ports. Returns the transport (enum driver_transport), 0 if the header is not whole. */
static __always_inline uint32_t parse_transport(struct cursor *cursor, int protocol,
                                                struct parsed *parsed)
{
    const uint8_t *header = cursor->at;
    uint32_t at = (uint32_t)(header - cursor->begin);
    if (header + 8 > cursor->end || at + 8 > parsed->end_at)
        return 0;
    uint32_t left = parsed->end_at - at;
    parsed->transport_at = (uint16_t)at;
    parsed->source.port = (uint16_t)load_be16(header);
    parsed->destination.port = (uint16_t)load_be16(header + 2);
    if (parsed->source.port == 0)
        return 0;
    if (protocol == PROTOCOL_UDP) {
        uint32_t len = load_be16(header + 4);
        bool has_sum = parsed->source.family == 4 || load_be16(header + 6) != 0;
        return has_sum && len >= 8 && len <= left ? DRIVER_TRANSPORT_UDP : 0;
    }
    if (header + 20 > cursor->end)
        return 0;
    uint32_t header_len = (uint32_t)(header[12] >> 4) * 4;
    return header_len >= 20 && header_len <= left ? DRIVER_TRANSPORT_TCP : 0;
}

/* Whether the transport of an endpoint is served by us, not by a socket of the kernel's. */
static __always_inline bool is_served(const struct driver_config *config,
                                      const struct driver_endpoint *endpoint, uint32_t transport)
{
    const uint32_t *asked = (const uint32_t *)(const void *)endpoint;
    unsigned which = endpoint->family == 6;
    const uint32_t *known = (const uint32_t *)(const void *)&config->known[which].endpoint;
    uint32_t apart = 0;
#pragma unroll
    for (unsigned i = 0; i < sizeof(*endpoint) / 4; i++)
        apart |= asked[i] ^ known[i];
    if (apart == 0)
        return (config->known[which].transports & transport) != 0;
    const uint32_t *served = bpf_map_lookup_elem(&driver_endpoints, endpoint);
    return served && (*served & transport) != 0;
}

static __always_inline bool is_port_ours(const struct driver_config *config, uint16_t port)
{
    return port >= config->port_low && port <= config->port_high;
}

static __always_inline bool is_peer(const struct driver_endpoint *source)
{
    struct driver_prefix prefix = {.len = 8 + (source->family == 4 ? 32 : 128),
                                   .family = source->family};
    __builtin_memcpy(prefix.address, source->address, 16);
    return bpf_map_lookup_elem(&driver_peers, &prefix) != NULL;
}

/* Whether to answer at all: to an endpoint, from none, and not from a transfer peer over TCP. */
static __always_inline bool is_ours(const struct driver_config *config, const struct parsed *parsed,
                                    uint32_t transport)
{
    if (!is_port_ours(config, parsed->destination.port) ||
        !is_served(config, &parsed->destination, transport))
        return false;
    if (is_port_ours(config, parsed->source.port) &&
        bpf_map_lookup_elem(&driver_endpoints, &parsed->source))
        return false;
    return transport != DRIVER_TRANSPORT_TCP || !config->has_peers || !is_peer(&parsed->source);
}

/* All that is known of a frame from its headers. Returns the transport (enum driver_transport), 0
 * if it is nobody's who may be answered. A function of its own, so that the verifier follows its
 * many ways through once, and not again with each way onwards. */
__attribute__((noinline)) int driver_parse(struct xdp_md *ctx, struct parsed *parsed)
{
    if (!parsed)
        return 0;
    struct cursor cursor = {(void *)(long)ctx->data, (void *)(long)ctx->data,
                            (void *)(long)ctx->data_end};
    int type = parse_ethernet(&cursor), protocol = -1;
    parsed->ip_at = (uint16_t)(cursor.at - cursor.begin);
    if (type == ETHERTYPE_IPV4)
        protocol = parse_ipv4(&cursor, parsed);
    else if (type == ETHERTYPE_IPV6)
        protocol = parse_ipv6(&cursor, parsed);
    if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP)
        return 0;
    return (int)parse_transport(&cursor, protocol, parsed);
}

SEC("xdp")
int lethe_driver(struct xdp_md *ctx)
{
    struct parsed parsed = {0};
    uint32_t bank = driver_bank & 1, zero = 0;
    uint32_t transport = (uint32_t)driver_parse(ctx, &parsed);
    const struct driver_config *config = bpf_map_lookup_elem(&driver_configs, &bank);
    if (!config)
        return XDP_PASS;
    if (transport == 0 || !is_ours(config, &parsed, transport))
        return XDP_PASS;
    if (ctx->data_end - ctx->data > DRIVER_FRAME_MAX) {
        driver_count(DRIVER_COUNT_TOO_LONG);
        return XDP_PASS;
    }
    struct driver_work *work = bpf_map_lookup_elem(&driver_works, &zero);
    if (!parsed.is_plain || !work)
        return driver_climb_up(ctx);
    work->frame = (struct driver_frame){.family = parsed.source.family,
                                        .transport = (uint8_t)transport,
                                        .ip_at = parsed.ip_at & 0x1f,
                                        .tcp_at = parsed.transport_at & 0x7f,
                                        .end_at = (uint16_t)(parsed.end_at & 0x7ff),
                                        .bank = (uint8_t)bank};
    bool is_tcp = transport == DRIVER_TRANSPORT_TCP;
    enum driver_verdict verdict = DRIVER_CLIMB;
    if (is_tcp ? config->is_answering : driver_can_hot && config->has_hot)
        verdict = is_tcp ? driver_tcp(ctx, &work->frame, config) : driver_hot(ctx, config);
    switch (verdict) {
    case DRIVER_CLIMB:
        break;
    case DRIVER_DROP:
        driver_count(DRIVER_COUNT_SILENT);
        return XDP_DROP;
    case DRIVER_TX:
        return driver_send(ctx, config);
    }
    bool is_request = !is_tcp || (config->is_answering && driver_is_undecided(&work->decision));
    if (is_request && (config->next & transport) != 0)
        bpf_tail_call(ctx, &driver_next, 0); /* comes back if there is none */
    return driver_climb_up(ctx);
}

/* All that leaves by driver_out goes through here first. */
SEC("xdp/devmap")
int lethe_out(struct xdp_md *ctx)
{
    if (driver_ticket_is_none(ctx))
        return XDP_PASS;
    bpf_tail_call(ctx, &driver_finish, 0);
    return XDP_DROP;
}

/* None of the functions that the kernel keeps for GPL programs is called. */
char driver_license[] SEC("license") = "BSD-2-Clause";
