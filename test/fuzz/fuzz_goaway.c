/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages about unwanted packets. The first octet chooses; then come the packet's ports and the
 * length of its payload, the payload, and alterations: where, and by what.
 *
 * What is made is taken, never longer than what it answers, and no other host's keys take it. What
 * is taken, whoever altered it, is octet by octet what would have been made; one bit turned, it is
 * not taken.
 */
#include "fuzz.h"
#include "stateless_tcp/goaway.h"
#include "stateless_tcp/wire.h"
#include "tools/goaway/agent.h"

enum {
    CHOICE_V6 = 1,
    CHOICE_TCP = 2,
    CHOICE_RAW = 4,      /* the rest is a message as it is */
    CHOICE_PACKET = 8,   /* the rest is a captured packet */
    CHOICE_UNFIXED = 16, /* checksums are not set right again */
    CHOICE_KIND = 5,     /* shift: 0 GoAway, 1 Block, 2, 3 Block Reply */
};

static const struct goaway_keys keys = {{{1}, {2}}}, later = {{{3}, {1}}}, other = {{{4}, {5}}};

static struct goaway_ends ends_of(bool is_v6)
{
    struct goaway_ends ends = {{.family = 4, .octets = {198, 18, 0, 2}},
                               {.family = 4, .octets = {198, 18, 0, 1}}};
    if (is_v6) {
        ends.source = (struct packet_address){6, {0xfd, 0, 1, 0x98, [15] = 2}};
        ends.destination = (struct packet_address){6, {0xfd, 0, 1, 0x98, [15] = 1}};
    }
    return ends;
}

static struct goaway_ends turned(const struct goaway_ends *ends)
{
    return (struct goaway_ends){ends->destination, ends->source};
}

static size_t header_len(const struct goaway_ends *ends)
{
    return ends->source.family == 4 ? 20 : 40;
}

/* Added one pair at a time, so that an error there is not repeated here. */
static void fix_checksum(const struct goaway_ends *ends, uint8_t *octets, size_t len)
{
    uint32_t sum = 0;
    wire_store_be16(octets + 2, 0);
    for (size_t i = 0; i < len; i++)
        sum += (uint32_t)octets[i] << (i % 2 == 0 ? 8 : 0);
    if (ends->source.family == 6) {
        for (size_t i = 0; i < 16; i += 2)
            sum += (uint32_t)wire_load_be16(ends->source.octets + i) +
                   wire_load_be16(ends->destination.octets + i);
        sum += (uint32_t)len + 58;
    }
    while (sum >> 16 != 0)
        sum = (sum & 0xffff) + (sum >> 16);
    wire_store_be16(octets + 2, (uint16_t)~sum);
}

/* From an exactly sized block. */
static bool read_copy(const struct goaway_ends *ends, const uint8_t *octets, size_t len,
                      struct goaway_message *message)
{
    uint8_t *copy = exact_copy(octets, len);
    bool is_taken = goaway_read(ends, copy, len, message);
    MUST(memcmp(copy, octets, len) == 0);
    free(copy);
    return is_taken;
}

/* Write again what was taken. */
static size_t again(const struct goaway_ends *ends, const struct goaway_message *message,
                    uint8_t *out)
{
    const struct goaway_ends back = turned(ends);
    uint8_t quoted[GOAWAY_MESSAGE_MAX] = {0};
    size_t quoted_len = message->quoted_ip_len - header_len(ends), len = 0;
    memcpy(quoted, message->quoted, message->quoted_len);
    switch (message->kind) {
    case GOAWAY_GOAWAY:
        len = goaway_make(&keys, &message->unwanted, out);
        wire_store_be32(out + 8, (uint32_t)(message->nonce >> 32));
        wire_store_be32(out + 12, (uint32_t)message->nonce);
        break;
    case GOAWAY_BLOCK:
        len = goaway_make_block(&back, quoted, quoted_len, message->nonce, out);
        break;
    case GOAWAY_REPLY:
        len = goaway_make_reply(&back, quoted, quoted_len, message->code, out);
        break;
    }
    fix_checksum(ends, out, len);
    return len;
}

static void must_read_well(const struct goaway_ends *ends, const uint8_t *octets, size_t len,
                           unsigned bit)
{
    struct goaway_message message, none;
    uint8_t made[GOAWAY_MESSAGE_MAX];
    if (!read_copy(ends, octets, len, &message))
        return;
    MUST(goaway_ends_are_good(ends));
    MUST(again(ends, &message, made) == len && memcmp(made, octets, len) == 0);
    const struct goaway_ends back = turned(ends);
    /* A short header has no addresses, and no checksum tells who is who. */
    bool is_bound = message.kind != GOAWAY_GOAWAY || octets[6] == 0;
    MUST(!is_bound || !read_copy(&back, octets, len, &none));
    uint8_t altered[GOAWAY_MESSAGE_MAX];
    memcpy(altered, octets, len);
    altered[bit / 8 % len] ^= (uint8_t)(1u << bit % 8);
    MUST(!read_copy(ends, altered, len, &none));
    if (len > 0)
        MUST(!read_copy(ends, octets, len - 1, &none));
}

/* The messages of one exchange, each for the next. Returns the length of the one chosen. */
static size_t exchange(const struct goaway_packet *packet, unsigned kind, uint8_t *out)
{
    const struct goaway_ends there = packet->ends, back = turned(&there);
    uint8_t goaway[GOAWAY_MESSAGE_MAX], block[GOAWAY_MESSAGE_MAX], reply[GOAWAY_MESSAGE_MAX];
    struct goaway_message message;
    size_t header = header_len(&there), goaway_len = goaway_make(&keys, packet, goaway);
    if (goaway_len == 0)
        return 0;
    MUST(header + goaway_len <= packet->ip_len);
    MUST(read_copy(&back, goaway, goaway_len, &message) && message.kind == GOAWAY_GOAWAY);
    MUST(message.unwanted.ip_len == packet->ip_len &&
         message.unwanted.source_port == packet->source_port &&
         message.unwanted.destination_port == packet->destination_port &&
         memcmp(message.unwanted.octets, packet->octets, message.unwanted.octets_len) == 0);
    size_t block_len = goaway_make_block(&back, goaway, goaway_len, 77, block);
    MUST(read_copy(&there, block, block_len, &message) && message.kind == GOAWAY_BLOCK);
    MUST(message.nonce == 77 && goaway_is_ours(&keys, &message) &&
         goaway_is_ours(&later, &message) && !goaway_is_ours(&other, &message));
    size_t reply_len = goaway_make_reply(&there, block, block_len, GOAWAY_PORT, reply);
    MUST(read_copy(&back, reply, reply_len, &message) && message.kind == GOAWAY_REPLY);
    MUST(message.nonce == 77 && message.code == GOAWAY_PORT && reply_len <= block_len);
    MUST(memcmp(message.quoted, block, message.quoted_len) == 0);
    const uint8_t *chosen = kind == 0 ? goaway : kind == 1 ? block : reply;
    size_t len = kind == 0 ? goaway_len : kind == 1 ? block_len : reply_len;
    memcpy(out, chosen, len);
    return len;
}

/* ---- the agent ---- */

static struct agent agent;
static uint64_t now_ms = 1;
static unsigned sent_count, block_count;
static uint8_t sent[GOAWAY_MESSAGE_MAX]; /* the last one */
static size_t sent_len;

static int agent_send(void *context, const struct goaway_ends *ends, const uint8_t *octets,
                      size_t len)
{
    struct goaway_message message;
    (void)context;
    MUST(read_copy(ends, octets, len, &message) && message.kind == GOAWAY_BLOCK);
    sent_count++;
    memcpy(sent, octets, len);
    sent_len = len;
    return 0;
}

static int agent_block(void *context, enum goaway_code code, const struct goaway_packet *packet,
                       unsigned seconds)
{
    (void)context;
    MUST(code > GOAWAY_NO_BLOCK && code < GOAWAY_CODE_COUNT && seconds == 9);
    MUST(goaway_ends_are_good(&packet->ends));
    block_count++;
    return 0;
}

static void agent_tell(void *context, const struct agent_news *news)
{
    (void)context;
    MUST(news->event < AGENT_EVENT_COUNT);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const struct agent_config config = {.dampening_s = 9, .rate = 1000};
    const struct agent_io io = {NULL, agent_send, agent_block, agent_tell};
    (void)argc;
    (void)argv;
    agent_begin(&agent, &config, &io);
    return 0;
}

static void show(const struct goaway_ends *ends, uint8_t protocol, bool is_outgoing,
                 const uint8_t *payload, size_t len)
{
    uint8_t octets[PACKET_IPV6_HEADER_LEN + 512] = {0};
    size_t header = header_len(ends);
    if (header == PACKET_IPV4_HEADER_LEN) {
        octets[0] = 0x45;
        wire_store_be16(octets + 2, (uint16_t)(header + len));
        octets[9] = protocol;
        memcpy(octets + 12, ends->source.octets, 4);
        memcpy(octets + 16, ends->destination.octets, 4);
        uint32_t sum = 0;
        for (size_t i = 0; i < header; i += 2)
            sum += wire_load_be16(octets + i);
        sum = (sum & 0xffff) + (sum >> 16);
        wire_store_be16(octets + 10, (uint16_t) ~(sum + (sum >> 16)));
    } else {
        octets[0] = 0x60;
        wire_store_be16(octets + 4, (uint16_t)len);
        octets[6] = protocol;
        memcpy(octets + 8, ends->source.octets, 16);
        memcpy(octets + 24, ends->destination.octets, 16);
    }
    memcpy(octets + header, payload, len);
    uint8_t *copy = exact_copy(octets, header + len);
    agent_packet(&agent, now_ms, is_outgoing, copy, header + len);
    free(copy);
}

/* A Block is sent for what was sent, if that went out, and once. */
static void must_ask_once(const struct goaway_packet *packet, const uint8_t *payload,
                          size_t payload_len, const uint8_t *goaway, size_t goaway_len)
{
    const struct goaway_ends back = turned(&packet->ends);
    uint8_t icmp = packet->ends.source.family == 4 ? 1 : 58;
    uint8_t segment[PACKET_UDP_HEADER_LEN + UINT8_MAX] = {0};
    size_t header = packet->protocol == 17 ? PACKET_UDP_HEADER_LEN : 0;
    if (header != 0)
        memcpy(segment, packet->octets, header - 2); /* no checksum yet */
    memcpy(segment + header, payload, payload_len);
    agent_tick(&agent, now_ms += 20000); /* what was before is over */
    sent_count = 0;
    show(&back, icmp, false, goaway, goaway_len);
    MUST(sent_count == 0);
    show(&packet->ends, packet->protocol, true, segment, header + payload_len);
    show(&back, icmp, false, goaway, goaway_len);
    show(&back, icmp, false, goaway, goaway_len);
    MUST(sent_count == 1);
}

/* Nothing is blocked by what is not, but for its code, the reply to the Block that was sent; and by
 * that once, if the real host has not answered. */
static void must_block_once(const struct goaway_packet *packet, const uint8_t *edits,
                            const uint8_t *end, bool is_answered)
{
    const struct goaway_ends back = turned(&packet->ends);
    uint8_t icmp = packet->ends.source.family == 4 ? 1 : 58;
    uint8_t reply[GOAWAY_MESSAGE_MAX], altered[GOAWAY_MESSAGE_MAX], answer[64] = {0};
    size_t len = goaway_make_reply(&packet->ends, sent, sent_len, GOAWAY_PORT, reply);
    memcpy(altered, reply, len);
    for (; end - edits >= 2; edits += 2)
        if (edits[0] % len != 5)
            altered[edits[0] % len] ^= edits[1];
    fix_checksum(&back, altered, len);
    block_count = 0;
    if (memcmp(altered, reply, len) != 0)
        show(&back, icmp, false, altered, len);
    MUST(block_count == 0);
    if (is_answered) {
        wire_store_be16(answer, packet->destination_port);
        wire_store_be16(answer + 2, packet->source_port);
        show(&back, packet->protocol, false, answer, sizeof(answer));
    }
    show(&back, icmp, false, reply, len);
    show(&back, icmp, false, reply, len);
    MUST(block_count == (is_answered ? 0 : 1));
}

static void captured(const uint8_t *octets, size_t len)
{
    struct goaway_ends ends;
    struct goaway_packet packet;
    struct goaway_message message;
    const uint8_t *payload;
    uint8_t protocol;
    size_t captured_len, payload_len;
    if (!goaway_open_packet(octets, len, &ends, &protocol, &payload, &captured_len, &payload_len))
        return;
    MUST(payload >= octets && captured_len <= payload_len);
    MUST((size_t)(payload - octets) + captured_len <= len);
    agent_packet(&agent, now_ms, true, octets, len);
    agent_packet(&agent, now_ms, false, octets, len);
    goaway_read(&ends, payload, captured_len, &message);
    if (goaway_packet_tcp(&ends, payload, captured_len, payload_len, &packet))
        MUST(packet.octets_len >= 20 && packet.octets_len <= captured_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6)
        return 0;
    uint8_t choice = data[0];
    const struct goaway_ends there = ends_of((choice & CHOICE_V6) != 0), back = turned(&there);
    unsigned kind = choice >> CHOICE_KIND & 3, bit = wire_load_be16(data + 1);
    if (choice & CHOICE_PACKET) {
        uint8_t *copy = exact_copy(data + 1, size - 1);
        captured(copy, size - 1);
        free(copy);
        return 0;
    }
    if (choice & CHOICE_RAW) {
        must_read_well(&there, data + 5, size - 5, bit);
        return 0;
    }
    struct goaway_packet packet;
    uint8_t message[GOAWAY_MESSAGE_MAX];
    size_t payload_len = data[5] < size - 6 ? data[5] : size - 6;
    const uint8_t *payload = data + 6, *edits = payload + payload_len, *end = data + size;
    bool is_made = choice & CHOICE_TCP
                       ? goaway_packet_tcp(&there, payload, payload_len, payload_len, &packet)
                       : goaway_packet_udp(&there, wire_load_be16(data + 1),
                                           wire_load_be16(data + 3), payload, payload_len, &packet);
    size_t len = is_made ? exchange(&packet, kind, message) : 0;
    if (len == 0)
        return 0;
    if (kind == 0) {
        must_ask_once(&packet, payload, payload_len, message, len);
        must_block_once(&packet, edits, end, (choice & CHOICE_UNFIXED) != 0);
    }
    for (; end - edits >= 2; edits += 2)
        message[edits[0] % len] ^= edits[1];
    const struct goaway_ends *ends = kind == 1 ? &there : &back;
    if (!(choice & CHOICE_UNFIXED))
        fix_checksum(ends, message, len);
    must_read_well(ends, message, len, bit);
    return 0;
}
