/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/goaway/agent.h"

#include "stateless_tcp/numbers.h"
#include "stateless_tcp/siphash.h"
#include "stateless_tcp/wire.h"

#include <assert.h>
#include <string.h>

enum { PROTOCOL_ICMP = 1, PROTOCOL_ICMPV6 = 58, TOKEN = 1000 };

void agent_begin(struct agent *agent, const struct agent_config *config, const struct agent_io *io)
{
    memset(agent, 0, sizeof(*agent));
    agent->config = *config;
    agent->io = *io;
    memcpy(agent->sent.key, config->key, sizeof(agent->sent.key));
    agent->tokens_thousandth = (uint64_t)config->rate * TOKEN;
}

static void tell(struct agent *agent, enum agent_event event, const struct goaway_packet *packet)
{
    const struct agent_news news = {.event = event, .packet = packet};
    agent->counts[event]++;
    agent->io.tell(agent->io.context, &news);
}

static void tell_failure(struct agent *agent, const struct goaway_packet *packet, int outcome)
{
    const struct agent_news news = {.event = AGENT_FAILED, .packet = packet, .problem = -outcome};
    agent->counts[AGENT_FAILED]++;
    agent->io.tell(agent->io.context, &news);
}

static void tell_block(struct agent *agent, enum agent_event event, const struct agent_block *block)
{
    const struct agent_news news = {.event = event,
                                    .packet = &block->packet,
                                    .code = block->code,
                                    .seconds = agent->config.dampening_s};
    agent->counts[event]++;
    agent->io.tell(agent->io.context, &news);
}

/* ---- bounds ---- */

static bool has_token(struct agent *agent, uint64_t now_ms)
{
    uint64_t most = (uint64_t)agent->config.rate * TOKEN;
    uint64_t passed_ms = now_ms - agent->tokens_ms < TOKEN ? now_ms - agent->tokens_ms : TOKEN;
    uint64_t tokens = agent->tokens_thousandth + passed_ms * agent->config.rate;
    agent->tokens_thousandth = tokens < most ? tokens : most;
    agent->tokens_ms = now_ms;
    return agent->tokens_thousandth >= TOKEN;
}

static struct agent_pending *pending_free(struct agent *agent)
{
    for (unsigned i = 0; i < AGENT_PENDING_MAX; i++)
        if (agent->pending[i].until_ms == 0)
            return &agent->pending[i];
    return NULL;
}

static bool is_covered_by(const struct agent_block *block, const struct goaway_packet *packet,
                          bool is_edge)
{
    const struct goaway_packet *b = &block->packet;
    if (!packet_address_equal(&b->ends.destination, &packet->ends.destination) ||
        (is_edge && !packet_address_equal(&b->ends.source, &packet->ends.source)))
        return false;
    switch (block->code) {
    case GOAWAY_HOST:
        return true;
    case GOAWAY_PROTOCOL:
        return b->protocol == packet->protocol;
    case GOAWAY_PORT:
        return b->protocol == packet->protocol && b->destination_port == packet->destination_port;
    case GOAWAY_SOURCE:
        return b->protocol == packet->protocol && b->destination_port == packet->destination_port &&
               packet_address_equal(&b->ends.source, &packet->ends.source);
    case GOAWAY_NO_BLOCK:
    case GOAWAY_CODE_COUNT:
        break;
    }
    return false;
}

static bool is_covered(const struct agent *agent, const struct goaway_packet *packet,
                       uint64_t now_ms)
{
    for (unsigned i = 0; i < AGENT_BLOCKS_MAX; i++)
        if (agent->blocks[i].until_ms > now_ms &&
            is_covered_by(&agent->blocks[i], packet, agent->config.is_edge))
            return true;
    return false;
}

/* ---- the exchange ---- */

static void send_block(struct agent *agent, uint64_t now_ms, struct agent_pending *pending,
                       struct sent_packet *about, const struct goaway_ends *ends,
                       const uint8_t *goaway, size_t goaway_len)
{
    uint8_t count[8];
    siphash_store_le64(count, ++agent->nonces);
    *pending = (struct agent_pending){
        .nonce = siphash_2_4_64(agent->config.key, count, sizeof(count)),
        .until_ms = now_ms + AGENT_WAIT_MS,
        .number = about->number,
        .packet = about->packet,
        .ends = {ends->destination, ends->source},
    };
    pending->block_len =
        goaway_make_block(ends, goaway, goaway_len, pending->nonce, pending->block);
    about->is_asked = true;
    agent->tokens_thousandth -= TOKEN;
    int outcome =
        agent->io.send(agent->io.context, &pending->ends, pending->block, pending->block_len);
    if (outcome == 0) {
        tell(agent, AGENT_ASKED, &pending->packet);
    } else {
        pending->until_ms = 0;
        tell_failure(agent, &pending->packet, outcome);
    }
}

/* Phase I: is it about a packet of ours that nobody has answered? */
static void take_goaway(struct agent *agent, uint64_t now_ms, const struct goaway_ends *ends,
                        const struct goaway_message *message, const uint8_t *octets, size_t len)
{
    struct sent_packet *about = sent_find(&agent->sent, &message->unwanted);
    struct agent_pending *pending = NULL;
    if (about == NULL || now_ms - about->sent_ms > AGENT_MEMORY_MS)
        tell(agent, AGENT_UNKNOWN, &message->unwanted);
    else if (sent_is_answered(&agent->sent, about))
        tell(agent, AGENT_ANSWERED, &message->unwanted);
    else if (about->is_asked)
        tell(agent, AGENT_REPEATED, &message->unwanted);
    else if (!has_token(agent, now_ms) || (pending = pending_free(agent)) == NULL)
        tell(agent, AGENT_BUSY, &message->unwanted);
    else if (is_covered(agent, &message->unwanted, now_ms))
        tell(agent, AGENT_COVERED, &message->unwanted);
    else
        send_block(agent, now_ms, pending, about, ends, octets, len);
}

static void begin_block(struct agent *agent, uint64_t now_ms, enum goaway_code code,
                        const struct goaway_packet *packet)
{
    struct agent_block *block = NULL;
    for (unsigned i = 0; i < AGENT_BLOCKS_MAX && block == NULL; i++)
        if (agent->blocks[i].until_ms == 0)
            block = &agent->blocks[i];
    if (block == NULL || is_covered(agent, packet, now_ms)) {
        tell(agent, block == NULL ? AGENT_BUSY : AGENT_COVERED, packet);
        return;
    }
    int outcome = agent->io.block(agent->io.context, code, packet, agent->config.dampening_s);
    if (outcome != 0) {
        tell_failure(agent, packet, outcome);
        return;
    }
    *block = (struct agent_block){
        .code = code,
        .packet = *packet,
        .until_ms = now_ms + (uint64_t)agent->config.dampening_s * 1000,
    };
    tell_block(agent, AGENT_BLOCKED, block);
}

/* Phase II: is it the reply to the very Block that was sent, from where that was sent to? */
static struct agent_pending *pending_find(struct agent *agent, uint64_t now_ms,
                                          const struct goaway_ends *ends,
                                          const struct goaway_message *message)
{
    for (unsigned i = 0; i < AGENT_PENDING_MAX; i++) {
        struct agent_pending *pending = &agent->pending[i];
        if (pending->until_ms > now_ms && pending->nonce == message->nonce &&
            packet_address_equal(&pending->ends.destination, &ends->source) &&
            packet_address_equal(&pending->ends.source, &ends->destination) &&
            message->quoted_len <= pending->block_len &&
            memcmp(pending->block, message->quoted, message->quoted_len) == 0)
            return pending;
    }
    return NULL;
}

static void take_reply(struct agent *agent, uint64_t now_ms, const struct goaway_ends *ends,
                       const struct goaway_message *message)
{
    struct agent_pending *pending = pending_find(agent, now_ms, ends, message);
    if (pending == NULL) {
        tell(agent, AGENT_UNASKED, NULL);
        return;
    }
    pending->until_ms = 0;
    const struct sent_packet about = {.packet = pending->packet, .number = pending->number};
    if (message->code == GOAWAY_NO_BLOCK)
        tell(agent, AGENT_DECLINED, &pending->packet);
    else if (sent_is_answered(&agent->sent, &about))
        tell(agent, AGENT_ANSWERED, &pending->packet);
    else
        begin_block(agent, now_ms, message->code, &pending->packet);
}

static void take_message(struct agent *agent, uint64_t now_ms, const struct goaway_ends *ends,
                         const uint8_t *octets, size_t len)
{
    bool is_v4 = ends->source.family == 4;
    struct goaway_message message;
    if (len == 0 || (octets[0] != (is_v4 ? GOAWAY_TYPE_V4 : GOAWAY_TYPE_V6) &&
                     octets[0] != (is_v4 ? GOAWAY_TYPE_BLOCK_V4 : GOAWAY_TYPE_BLOCK_V6)))
        return;
    if (!goaway_read(ends, octets, len, &message)) {
        tell(agent, AGENT_UNSOUND, NULL);
        return;
    }
    switch (message.kind) {
    case GOAWAY_GOAWAY:
        take_goaway(agent, now_ms, ends, &message, octets, len);
        return;
    case GOAWAY_REPLY:
        take_reply(agent, now_ms, ends, &message);
        return;
    case GOAWAY_BLOCK: /* for a server on this host */
        return;
    }
}

/* ---- what is seen ---- */

static bool open_segment(const struct goaway_ends *ends, uint8_t protocol, const uint8_t *segment,
                         size_t captured_len, size_t len, struct goaway_packet *packet_out)
{
    if (protocol == PROTOCOL_TCP)
        return goaway_packet_tcp(ends, segment, captured_len, len, packet_out);
    /* The checksum is of all of it, and may not be there yet. */
    return protocol == PROTOCOL_UDP && captured_len == len && len >= PACKET_UDP_HEADER_LEN &&
           wire_load_be16(segment + 4) == len &&
           goaway_packet_udp(ends, wire_load_be16(segment), wire_load_be16(segment + 2),
                             segment + PACKET_UDP_HEADER_LEN, len - PACKET_UDP_HEADER_LEN,
                             packet_out);
}

/* An answer may be larger than what was captured of it: its ports will do. */
static void take_answer(struct agent *agent, const struct goaway_ends *ends, uint8_t protocol,
                        const uint8_t *segment, size_t captured_len)
{
    if ((protocol != PROTOCOL_UDP && protocol != PROTOCOL_TCP) || captured_len < 4)
        return;
    const struct goaway_packet answer = {
        .ends = *ends,
        .protocol = protocol,
        .source_port = wire_load_be16(segment),
        .destination_port = wire_load_be16(segment + 2),
    };
    sent_answer(&agent->sent, &answer);
}

void agent_packet(struct agent *agent, uint64_t now_ms, bool is_outgoing, const uint8_t *octets,
                  size_t len)
{
    struct goaway_ends ends;
    struct goaway_packet packet;
    const uint8_t *segment;
    uint8_t protocol;
    size_t captured_len, segment_len;
    if (!goaway_open_packet(octets, len, &ends, &protocol, &segment, &captured_len, &segment_len))
        return;
    if (is_outgoing) {
        if (goaway_ends_are_good(&ends) &&
            open_segment(&ends, protocol, segment, captured_len, segment_len, &packet))
            sent_put(&agent->sent, &packet, now_ms);
    } else if (protocol == (ends.source.family == 4 ? PROTOCOL_ICMP : PROTOCOL_ICMPV6)) {
        if (captured_len == segment_len)
            take_message(agent, now_ms, &ends, segment, segment_len);
    } else {
        take_answer(agent, &ends, protocol, segment, captured_len);
    }
}

void agent_tick(struct agent *agent, uint64_t now_ms)
{
    for (unsigned i = 0; i < AGENT_PENDING_MAX; i++) {
        struct agent_pending *pending = &agent->pending[i];
        if (pending->until_ms == 0 || pending->until_ms > now_ms)
            continue;
        pending->until_ms = 0;
        tell(agent, AGENT_SILENT, &pending->packet);
    }
    for (unsigned i = 0; i < AGENT_BLOCKS_MAX; i++) {
        struct agent_block *block = &agent->blocks[i];
        if (block->until_ms == 0 || block->until_ms > now_ms)
            continue;
        block->until_ms = 0;
        tell_block(agent, AGENT_ENDED, block);
    }
}

const char *agent_event_name(enum agent_event event)
{
    static const char *const names[AGENT_EVENT_COUNT] = {
        "asked",   "blocked",  "declined", "failed",  "ended", "silent",  "unsound",
        "unknown", "answered", "repeated", "covered", "busy",  "unasked",
    };
    assert(event < AGENT_EVENT_COUNT);
    return names[event];
}

const char *agent_code_name(enum goaway_code code)
{
    static const char *const names[GOAWAY_CODE_COUNT] = {"no block", "host", "protocol", "port",
                                                         "source"};
    assert(code < GOAWAY_CODE_COUNT);
    return names[code];
}
