/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/goaway.h"

#include "stateless_tcp/checksum.h"
#include "stateless_tcp/numbers.h"
#include "stateless_tcp/siphash.h"
#include "stateless_tcp/wire.h"

#include <assert.h>
#include <string.h>

enum {
    PROTOCOL_ICMP = 1,
    PROTOCOL_ICMPV6 = 58,
    UDP_CHECKSUM_AT = 6,
    TCP_CHECKSUM_AT = 16,
    IPV4_FRAGMENT = 0x3fff, /* more of them, or an offset */
    FORM_AT = 6,            /* 1: the quoted header is short */
    BEGIN_LEN = 8,          /* before the nonce */
};

static size_t header_len(uint8_t family)
{
    return family == 4 ? PACKET_IPV4_HEADER_LEN : PACKET_IPV6_HEADER_LEN;
}

static uint8_t icmp_protocol(uint8_t family)
{
    return family == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6;
}

/* ---- who may be written to ---- */

static bool is_host(const struct packet_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    const uint8_t *a = address->octets;
    if (address->family == 4) /* 0/8 "this network"; 224/4 multicast; 240/4 with broadcast */
        return a[0] != 0 && a[0] < 224;
    return address->family == 6 && a[0] != 0xff && !packet_address_is_any(address) &&
           memcmp(a, mapped, sizeof(mapped)) != 0;
}

static bool is_loopback(const struct packet_address *address)
{
    static const uint8_t one[16] = {[15] = 1};
    return address->family == 4 ? address->octets[0] == 127
                                : memcmp(address->octets, one, sizeof(one)) == 0;
}

bool goaway_ends_are_good(const struct goaway_ends *ends)
{
    return ends->source.family == ends->destination.family && is_host(&ends->source) &&
           is_host(&ends->destination) &&
           is_loopback(&ends->source) == is_loopback(&ends->destination) &&
           !packet_address_equal(&ends->source, &ends->destination);
}

static struct goaway_ends turned(const struct goaway_ends *ends)
{
    return (struct goaway_ends){.source = ends->destination, .destination = ends->source};
}

/* ---- packets ---- */

/* RFC 9293 3.1, RFC 8200 8.1: the pseudo-headers of both IP versions add up alike. */
static uint64_t sum_pseudo_header(const struct goaway_ends *ends, uint8_t protocol, size_t len)
{
    uint64_t sum = checksum_add_octets(0, ends->source.octets, sizeof(ends->source.octets));
    sum = checksum_add_octets(sum, ends->destination.octets, sizeof(ends->destination.octets));
    sum = checksum_add(sum, checksum_be16(protocol));
    return checksum_add(sum, checksum_be16((uint16_t)len));
}

static bool packet_begin(const struct goaway_ends *ends, uint8_t protocol, size_t payload_len,
                         struct goaway_packet *packet)
{
    size_t ip_len = header_len(ends->source.family) + payload_len;
    if (ends->source.family != ends->destination.family || ip_len > UINT16_MAX)
        return false;
    *packet = (struct goaway_packet){
        .ends = *ends,
        .protocol = protocol,
        .ip_len = (uint16_t)ip_len,
        .octets_len = (uint8_t)(payload_len < GOAWAY_QUOTE_MAX ? payload_len : GOAWAY_QUOTE_MAX),
    };
    return true;
}

bool goaway_packet_udp(const struct goaway_ends *ends, uint16_t source_port,
                       uint16_t destination_port, const uint8_t *payload, size_t payload_len,
                       struct goaway_packet *packet_out)
{
    size_t len = PACKET_UDP_HEADER_LEN + payload_len;
    if (!packet_begin(ends, PROTOCOL_UDP, len, packet_out))
        return false;
    packet_out->source_port = source_port;
    packet_out->destination_port = destination_port;
    uint8_t *octets = packet_out->octets;
    wire_store_be16(octets, source_port);
    wire_store_be16(octets + 2, destination_port);
    wire_store_be16(octets + 4, (uint16_t)len);
    uint64_t sum = sum_pseudo_header(ends, PROTOCOL_UDP, len);
    sum = checksum_add_octets(sum, octets, PACKET_UDP_HEADER_LEN);
    uint16_t checksum = (uint16_t)~checksum_fold(checksum_add_octets(sum, payload, payload_len));
    wire_store_be16(octets + UDP_CHECKSUM_AT, checksum != 0 ? checksum : 0xffff);
    if (packet_out->octets_len > PACKET_UDP_HEADER_LEN)
        memcpy(octets + PACKET_UDP_HEADER_LEN, payload,
               packet_out->octets_len - PACKET_UDP_HEADER_LEN);
    return true;
}

bool goaway_packet_tcp(const struct goaway_ends *ends, const uint8_t *segment, size_t captured_len,
                       size_t segment_len, struct goaway_packet *packet_out)
{
    if (captured_len < PACKET_TCP_HEADER_LEN || captured_len > segment_len ||
        (captured_len < GOAWAY_QUOTE_MAX && captured_len < segment_len) ||
        !packet_begin(ends, PROTOCOL_TCP, segment_len, packet_out))
        return false;
    memcpy(packet_out->octets, segment, packet_out->octets_len);
    wire_store_be16(packet_out->octets + TCP_CHECKSUM_AT, 0);
    packet_out->source_port = wire_load_be16(segment);
    packet_out->destination_port = wire_load_be16(segment + 2);
    return true;
}

static bool open_ipv4(const uint8_t *octets, size_t len, struct goaway_ends *ends,
                      uint8_t *protocol_out, size_t *payload_len_out)
{
    size_t total_len = len >= PACKET_IPV4_HEADER_LEN ? wire_load_be16(octets + 2) : 0;
    if (octets[0] != 0x45 || total_len < PACKET_IPV4_HEADER_LEN ||
        (wire_load_be16(octets + 6) & IPV4_FRAGMENT) != 0 ||
        checksum_fold(checksum_add_octets(0, octets, PACKET_IPV4_HEADER_LEN)) != 0xffff)
        return false;
    ends->source.family = ends->destination.family = 4;
    memcpy(ends->source.octets, octets + 12, 4);
    memcpy(ends->destination.octets, octets + 16, 4);
    *protocol_out = octets[9];
    *payload_len_out = total_len - PACKET_IPV4_HEADER_LEN;
    return true;
}

bool goaway_open_packet(const uint8_t *octets, size_t len, struct goaway_ends *ends_out,
                        uint8_t *protocol_out, const uint8_t **payload_out,
                        size_t *captured_len_out, size_t *payload_len_out)
{
    memset(ends_out, 0, sizeof(*ends_out));
    if (len < PACKET_IPV4_HEADER_LEN)
        return false;
    if (octets[0] >> 4 == 4) {
        if (!open_ipv4(octets, len, ends_out, protocol_out, payload_len_out))
            return false;
    } else if (octets[0] >> 4 == 6 && len >= PACKET_IPV6_HEADER_LEN) {
        ends_out->source.family = ends_out->destination.family = 6;
        memcpy(ends_out->source.octets, octets + 8, 16);
        memcpy(ends_out->destination.octets, octets + 24, 16);
        *protocol_out = octets[6];
        *payload_len_out = wire_load_be16(octets + 4);
    } else {
        return false;
    }
    size_t captured_len = len - header_len(ends_out->source.family);
    *payload_out = octets + header_len(ends_out->source.family);
    /* What follows the packet is Ethernet's padding. */
    *captured_len_out = captured_len < *payload_len_out ? captured_len : *payload_len_out;
    return true;
}

/* ---- nonces ---- */

static uint64_t nonce_of(const uint8_t key[GOAWAY_KEY_LEN], const struct goaway_packet *packet)
{
    uint8_t input[6 + 2 * sizeof(packet->ends.source.octets)];
    input[0] = packet->ends.source.family;
    input[1] = packet->protocol;
    wire_store_be16(input + 2, packet->source_port);
    wire_store_be16(input + 4, packet->destination_port);
    memcpy(input + 6, packet->ends.source.octets, sizeof(packet->ends.source.octets));
    memcpy(input + 6 + sizeof(packet->ends.source.octets), packet->ends.destination.octets,
           sizeof(packet->ends.destination.octets));
    return siphash_2_4_64(key, input, sizeof(input));
}

bool goaway_is_ours(const struct goaway_keys *keys, const struct goaway_message *block)
{
    assert(block->kind == GOAWAY_BLOCK);
    bool is_ours = false;
    for (unsigned epoch = 0; epoch < GOAWAY_EPOCHS; epoch++)
        is_ours |= block->quoted_nonce == nonce_of(keys->epochs[epoch], &block->unwanted);
    return is_ours;
}

static uint64_t load_nonce(const uint8_t *octets)
{
    return (uint64_t)wire_load_be32(octets) << 32 | wire_load_be32(octets + 4);
}

/* ---- write ---- */

/* A header of which nobody on the way has changed anything. Returns its length. */
static size_t put_header(uint8_t *octets, const struct goaway_ends *ends, uint8_t protocol,
                         size_t ip_len)
{
    size_t len = header_len(ends->source.family);
    memset(octets, 0, len);
    if (ends->source.family == 4) {
        octets[0] = 0x45;
        wire_store_be16(octets + 2, (uint16_t)ip_len);
        octets[9] = protocol;
        memcpy(octets + 12, ends->source.octets, 4);
        memcpy(octets + 16, ends->destination.octets, 4);
    } else {
        octets[0] = 0x60;
        wire_store_be16(octets + 4, (uint16_t)(ip_len - len));
        octets[6] = protocol;
        memcpy(octets + 8, ends->source.octets, 16);
        memcpy(octets + 24, ends->destination.octets, 16);
    }
    return len;
}

static uint16_t message_checksum(const struct goaway_ends *ends, const uint8_t *octets, size_t len)
{
    uint8_t family = ends->source.family;
    uint64_t sum = family == 4 ? 0 : sum_pseudo_header(ends, icmp_protocol(family), len);
    sum = checksum_add_octets(sum, octets, 2);
    return (uint16_t)~checksum_fold(checksum_add_octets(sum, octets + 4, len - 4));
}

static uint8_t type_of(enum goaway_kind kind, uint8_t family)
{
    if (kind == GOAWAY_GOAWAY)
        return family == 4 ? GOAWAY_TYPE_V4 : GOAWAY_TYPE_V6;
    return family == 4 ? GOAWAY_TYPE_BLOCK_V4 : GOAWAY_TYPE_BLOCK_V6;
}

/* What stands before the quotation. */
static void put_begin(uint8_t *octets, enum goaway_kind kind, uint8_t family, enum goaway_code code,
                      bool is_short, uint64_t nonce)
{
    memset(octets, 0, GOAWAY_HEADER_LEN);
    octets[0] = type_of(kind, family);
    octets[1] = kind == GOAWAY_REPLY;
    octets[4] = GOAWAY_VERSION;
    octets[5] = (uint8_t)code;
    octets[FORM_AT] = is_short;
    wire_store_be32(octets + 8, (uint32_t)(nonce >> 32));
    wire_store_be32(octets + 12, (uint32_t)nonce);
}

static size_t put_end(uint8_t *octets, size_t len, const struct goaway_ends *ends)
{
    wire_store_be16(octets + 2, message_checksum(ends, octets, len));
    return len;
}

/* What a GoAway quotes of a packet, and in which form. */
struct quote {
    bool is_short;
    size_t len; /* behind the header; less than GOAWAY_QUOTE_MIN: there must be no GoAway */
};

/* The header is short where a whole one leaves no room: between the two the addresses are known. */
static struct quote quote_of(const struct goaway_packet *packet)
{
    size_t header = header_len(packet->ends.source.family), without = header + GOAWAY_HEADER_LEN;
    size_t room = packet->ip_len > without ? packet->ip_len - without : 0;
    bool is_short = room < header + GOAWAY_QUOTE_MIN;
    size_t taken = is_short ? GOAWAY_SHORT_HEADER_LEN : header;
    room = room > taken ? room - taken : 0;
    return (struct quote){is_short, room < packet->octets_len ? room : packet->octets_len};
}

bool goaway_is_possible(const struct goaway_packet *packet)
{
    return goaway_ends_are_good(&packet->ends) && quote_of(packet).len >= GOAWAY_QUOTE_MIN;
}

static size_t put_quoted_header(uint8_t *octets, const struct goaway_packet *packet, bool is_short)
{
    if (!is_short)
        return put_header(octets, &packet->ends, packet->protocol, packet->ip_len);
    wire_store_be16(octets, packet->ip_len);
    octets[2] = packet->protocol;
    octets[3] = 0;
    return GOAWAY_SHORT_HEADER_LEN;
}

size_t goaway_make(const struct goaway_keys *keys, const struct goaway_packet *packet,
                   uint8_t *message_out)
{
    const struct quote quote = quote_of(packet);
    if (!goaway_is_possible(packet))
        return 0;
    const struct goaway_ends ends = turned(&packet->ends);
    uint8_t *at = message_out;
    put_begin(at, GOAWAY_GOAWAY, ends.source.family, GOAWAY_NO_BLOCK, quote.is_short,
              nonce_of(keys->epochs[0], packet));
    at += GOAWAY_HEADER_LEN;
    at += put_quoted_header(at, packet, quote.is_short);
    memcpy(at, packet->octets, quote.len);
    at += quote.len;
    return put_end(message_out, (size_t)(at - message_out), &ends);
}

/* An answer to the ICMP message that came from ends->source, of which `quoted` octets are quoted. */
static size_t put_answer(uint8_t *out, enum goaway_kind kind, enum goaway_code code, uint64_t nonce,
                         const struct goaway_ends *ends, const uint8_t *message, size_t message_len,
                         size_t quoted)
{
    const struct goaway_ends back = turned(ends);
    uint8_t family = ends->source.family;
    uint8_t *at = out;
    put_begin(at, kind, family, code, false, nonce);
    at += GOAWAY_HEADER_LEN;
    at += put_header(at, ends, icmp_protocol(family), header_len(family) + message_len);
    memcpy(at, message, quoted);
    at += quoted;
    return put_end(out, (size_t)(at - out), &back);
}

size_t goaway_make_block(const struct goaway_ends *ends, const uint8_t *goaway, size_t goaway_len,
                         uint64_t nonce, uint8_t *message_out)
{
    assert(goaway_len <= GOAWAY_MESSAGE_MAX);
    size_t quoted = goaway_len < GOAWAY_QUOTE_MAX ? goaway_len : GOAWAY_QUOTE_MAX;
    return put_answer(message_out, GOAWAY_BLOCK, GOAWAY_NO_BLOCK, nonce, ends, goaway, goaway_len,
                      quoted);
}

/* A Block Reply quotes as much of the Block as that quotes of the GoAway: they are of one length. */
size_t goaway_make_reply(const struct goaway_ends *ends, const uint8_t *block, size_t block_len,
                         enum goaway_code code, uint8_t *message_out)
{
    size_t before = GOAWAY_HEADER_LEN + header_len(ends->source.family);
    assert(block_len >= before + GOAWAY_HEADER_LEN && block_len <= before + GOAWAY_QUOTE_MAX);
    return put_answer(message_out, GOAWAY_REPLY, code, load_nonce(block + 8), ends, block,
                      block_len, block_len - before);
}

/* ---- read ---- */

/* Compare with what would be written: so all that is not looked at below must be zero. */
static bool has_header(const uint8_t *octets, const struct goaway_ends *ends, uint8_t protocol,
                       size_t ip_len)
{
    uint8_t header[PACKET_IPV6_HEADER_LEN];
    size_t len = put_header(header, ends, protocol, ip_len);
    return memcmp(octets, header, len) == 0;
}

static bool has_begin(const uint8_t *octets, size_t len, enum goaway_kind kind, uint8_t family,
                      enum goaway_code code)
{
    uint8_t begin[GOAWAY_HEADER_LEN];
    bool is_short = kind == GOAWAY_GOAWAY && len > FORM_AT && octets[FORM_AT] == 1;
    put_begin(begin, kind, family, code, is_short, 0);
    for (size_t i = 0; i < BEGIN_LEN && i < len; i++)
        if (octets[i] != begin[i] && i / 2 != 1) /* its checksum */
            return false;
    return true;
}

/* Length and protocol in a quoted header, not yet trusted. */
static size_t header_ip_len(const uint8_t *header, uint8_t family)
{
    return family == 4 ? wire_load_be16(header + 2)
                       : (size_t)PACKET_IPV6_HEADER_LEN + wire_load_be16(header + 4);
}

/* What the functions that make packets see to. */
static bool is_segment_sound(uint8_t protocol, const uint8_t *octets, size_t len, size_t whole_len)
{
    if (protocol == PROTOCOL_UDP)
        return whole_len == wire_load_be16(octets + 4) &&
               wire_load_be16(octets + UDP_CHECKSUM_AT) != 0;
    return protocol == PROTOCOL_TCP && whole_len >= PACKET_TCP_HEADER_LEN &&
           (len <= TCP_CHECKSUM_AT || octets[TCP_CHECKSUM_AT] == 0) &&
           (len <= TCP_CHECKSUM_AT + 1 || octets[TCP_CHECKSUM_AT + 1] == 0);
}

/* Length and protocol of what a GoAway quotes, and room for as much of it as there was; false: not as
 * put_quoted_header() has it. */
static bool read_quoted_header(const uint8_t *header, bool is_short, struct goaway_packet *unwanted)
{
    uint8_t family = unwanted->ends.source.family;
    size_t len = header_len(family);
    size_t ip_len = is_short ? wire_load_be16(header) : header_ip_len(header, family);
    unwanted->protocol = header[is_short ? 2 : family == 4 ? 9 : 6];
    if (ip_len > UINT16_MAX || ip_len < len + GOAWAY_QUOTE_MIN)
        return false;
    unwanted->ip_len = (uint16_t)ip_len;
    unwanted->octets_len =
        (uint8_t)(ip_len - len < GOAWAY_QUOTE_MAX ? ip_len - len : GOAWAY_QUOTE_MAX);
    return is_short ? header[3] == 0
                    : has_header(header, &unwanted->ends, unwanted->protocol, ip_len);
}

/* The beginning of a GoAway, or all of it: it came from ends->source. `whole_len`: how long it is. */
static bool read_goaway(const struct goaway_ends *ends, const uint8_t *octets, size_t len,
                        size_t whole_len, uint64_t *nonce_out, struct goaway_packet *unwanted)
{
    uint8_t family = ends->source.family;
    if (len < GOAWAY_HEADER_LEN || !has_begin(octets, len, GOAWAY_GOAWAY, family, GOAWAY_NO_BLOCK))
        return false;
    bool is_short = octets[FORM_AT] == 1;
    size_t before = GOAWAY_HEADER_LEN + (is_short ? GOAWAY_SHORT_HEADER_LEN : header_len(family));
    if (len < before + GOAWAY_QUOTE_MIN || whole_len > before + GOAWAY_QUOTE_MAX)
        return false;
    const uint8_t *payload = octets + before;
    *unwanted = (struct goaway_packet){
        .ends = turned(ends),
        .source_port = wire_load_be16(payload),
        .destination_port = wire_load_be16(payload + 2),
    };
    if (!read_quoted_header(octets + GOAWAY_HEADER_LEN, is_short, unwanted) ||
        !is_segment_sound(unwanted->protocol, payload, len - before,
                          unwanted->ip_len - header_len(family)))
        return false;
    /* As much as there was room for, and there was room. */
    const struct quote must_be = quote_of(unwanted);
    if (must_be.is_short != is_short || whole_len != before + must_be.len ||
        must_be.len < GOAWAY_QUOTE_MIN)
        return false;
    unwanted->octets_len = (uint8_t)(len - before);
    memcpy(unwanted->octets, payload, unwanted->octets_len);
    *nonce_out = load_nonce(octets + 8);
    return true;
}

/* The quotation in a Block or Block Reply: of how long a message, and how much of it. */
static bool read_quoted(const struct goaway_ends *ends, const uint8_t *octets, size_t len,
                        struct goaway_message *message)
{
    uint8_t family = ends->source.family;
    const struct goaway_ends back = turned(ends);
    size_t before = GOAWAY_HEADER_LEN + header_len(family);
    if (len < before + GOAWAY_HEADER_LEN || len > before + GOAWAY_QUOTE_MAX)
        return false;
    const uint8_t *header = octets + GOAWAY_HEADER_LEN;
    size_t ip_len = header_ip_len(header, family);
    if (ip_len > header_len(family) + GOAWAY_MESSAGE_MAX ||
        ip_len < header_len(family) + GOAWAY_HEADER_LEN ||
        !has_header(header, &back, icmp_protocol(family), ip_len))
        return false;
    message->quoted_ip_len = (uint16_t)ip_len;
    message->quoted_len = (uint16_t)(len - before);
    memcpy(message->quoted, octets + before, message->quoted_len);
    return true;
}

static bool read_block(const struct goaway_ends *ends, const uint8_t *octets, size_t len,
                       struct goaway_message *message)
{
    const struct goaway_ends back = turned(ends);
    uint8_t family = ends->source.family;
    if (!has_begin(octets, len, GOAWAY_BLOCK, family, GOAWAY_NO_BLOCK) ||
        !read_quoted(ends, octets, len, message))
        return false;
    size_t whole_len = message->quoted_ip_len - header_len(family);
    size_t must_be = whole_len < GOAWAY_QUOTE_MAX ? whole_len : GOAWAY_QUOTE_MAX;
    if (message->quoted_len != must_be ||
        !read_goaway(&back, message->quoted, message->quoted_len, whole_len, &message->quoted_nonce,
                     &message->unwanted))
        return false;
    return message->quoted_len < whole_len ||
           wire_load_be16(message->quoted + 2) ==
               message_checksum(&back, message->quoted, whole_len);
}

/* The beginning of a Block, as far as a Block Reply has it: its nonce, and of which GoAway it was. */
static bool is_block_begin(const struct goaway_ends *ends, const uint8_t *octets, size_t len)
{
    uint8_t family = ends->destination.family, quoted[PACKET_IPV6_HEADER_LEN];
    const struct goaway_ends back = turned(ends);
    size_t header = header_len(family), before = GOAWAY_HEADER_LEN + header;
    size_t least = GOAWAY_HEADER_LEN + GOAWAY_SHORT_HEADER_LEN + GOAWAY_QUOTE_MIN;
    if (len < least || !has_begin(octets, len, GOAWAY_BLOCK, family, GOAWAY_NO_BLOCK))
        return false;
    size_t ip_len = header_ip_len(octets + GOAWAY_HEADER_LEN, family);
    if (ip_len < header + least || ip_len > header + before + GOAWAY_QUOTE_MAX)
        return false;
    size_t must_be = ip_len - header < GOAWAY_QUOTE_MAX ? ip_len - header : GOAWAY_QUOTE_MAX;
    put_header(quoted, &back, icmp_protocol(family), ip_len);
    if (len != must_be || memcmp(octets + GOAWAY_HEADER_LEN, quoted,
                                 len < before ? len - GOAWAY_HEADER_LEN : header) != 0)
        return false;
    return len <= before ||
           has_begin(octets + before, len - before, GOAWAY_GOAWAY, family, GOAWAY_NO_BLOCK);
}

static bool read_reply(const struct goaway_ends *ends, const uint8_t *octets, size_t len,
                       struct goaway_message *message)
{
    const struct goaway_ends back = turned(ends);
    size_t header = header_len(ends->source.family), before = GOAWAY_HEADER_LEN + header;
    if (octets[5] >= GOAWAY_CODE_COUNT)
        return false;
    message->code = (enum goaway_code)octets[5];
    return has_begin(octets, len, GOAWAY_REPLY, ends->source.family, message->code) &&
           read_quoted(ends, octets, len, message) &&
           message->quoted_ip_len == header + before + message->quoted_len &&
           is_block_begin(&back, message->quoted, message->quoted_len) &&
           load_nonce(message->quoted + 8) == message->nonce;
}

bool goaway_read(const struct goaway_ends *ends, const uint8_t *octets, size_t len,
                 struct goaway_message *message_out)
{
    struct goaway_message *message = message_out;
    uint8_t family = ends->source.family;
    if (len < GOAWAY_HEADER_LEN || len > GOAWAY_MESSAGE_MAX || !goaway_ends_are_good(ends) ||
        wire_load_be16(octets + 2) != message_checksum(ends, octets, len))
        return false;
    *message = (struct goaway_message){.nonce = load_nonce(octets + 8)};
    if (octets[0] == type_of(GOAWAY_GOAWAY, family)) {
        message->kind = GOAWAY_GOAWAY;
        return read_goaway(ends, octets, len, len, &message->nonce, &message->unwanted);
    }
    if (octets[0] != type_of(GOAWAY_BLOCK, family))
        return false;
    message->kind = octets[1] == 0 ? GOAWAY_BLOCK : GOAWAY_REPLY;
    return message->kind == GOAWAY_BLOCK ? read_block(ends, octets, len, message)
                                         : read_reply(ends, octets, len, message);
}
