/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/proxy_ring.h"

#include "stateless_tcp/wire.h"

#include <assert.h>
#include <string.h>

#define NONE UINT32_MAX

void proxy_ring_init(struct proxy_ring *ring, struct proxy_question *questions,
                     struct proxy_key *keys, uint32_t count)
{
    assert(count > 0 && count < NONE);
    *ring = (struct proxy_ring){
        .questions = questions, .keys = keys, .count = count, .oldest = NONE, .newest = NONE};
    for (uint32_t i = 0; i < count; i++)
        keys[i] = (struct proxy_key){.newer = i + 1 < count ? i + 1 : NONE};
}

static void ring_remove(struct proxy_ring *ring, uint32_t i)
{
    struct proxy_key *key = &ring->keys[i];
    assert(key->is_used);
    *(key->older != NONE ? &ring->keys[key->older].newer : &ring->oldest) = key->newer;
    *(key->newer != NONE ? &ring->keys[key->newer].older : &ring->newest) = key->older;
    *key = (struct proxy_key){.newer = ring->free};
    ring->free = i;
}

static uint32_t segment_of(const struct packet *packet)
{
    return packet->seq ^ (uint32_t)packet->source_port << 16 ^ packet->ack;
}

static bool is_same_segment(const struct packet *a, const struct packet *b)
{
    return a->seq == b->seq && a->ack == b->ack && a->source_port == b->source_port &&
           a->destination_port == b->destination_port && a->payload_len == b->payload_len &&
           memcmp(&a->source, &b->source, sizeof a->source) == 0 &&
           memcmp(&a->destination, &b->destination, sizeof a->destination) == 0 &&
           memcmp(a->payload, b->payload, a->payload_len) == 0;
}

static bool ring_has(const struct proxy_ring *ring, const struct packet *packet)
{
    uint32_t segment = segment_of(packet);
    for (uint32_t i = 0; i < ring->count; i++)
        if (ring->keys[i].is_used && ring->keys[i].segment == segment &&
            is_same_segment(&ring->questions[i].packet, packet))
            return true;
    return false;
}

struct proxy_question *proxy_ring_put(struct proxy_ring *ring, const struct packet *packet,
                                      size_t request_at, const struct proxy_shape *shape,
                                      const struct proxy_ticket *ticket)
{
    assert(packet->payload_len <= PROXY_PAYLOAD_MAX && request_at <= 2);
    if (ring_has(ring, packet))
        return NULL;
    if (ring->free == NONE) {
        ring_remove(ring, ring->oldest);
        ring->dropped++;
    }
    uint32_t i = ring->free;
    struct proxy_question *question = &ring->questions[i];
    ring->free = ring->keys[i].newer;
    ring->keys[i] = (struct proxy_key){.is_used = true,
                                       .port = ticket->port,
                                       .id = ticket->id,
                                       .segment = segment_of(packet),
                                       .older = ring->newest,
                                       .newer = NONE};
    *(ring->newest != NONE ? &ring->keys[ring->newest].newer : &ring->oldest) = i;
    ring->newest = i;
    question->packet = *packet;
    question->packet.payload = question->payload;
    question->shape = *shape;
    question->request_at = (uint16_t)request_at;
    question->deadline_ms = ticket->deadline_ms;
    memcpy(question->payload, packet->payload, packet->payload_len);
    return question;
}

struct proxy_question *proxy_ring_match(const struct proxy_ring *ring, uint8_t port,
                                        const uint8_t *response, size_t response_len)
{
    if (response_len < 2)
        return NULL;
    unsigned id = wire_load_be16(response);
    for (uint32_t i = 0; i < ring->count; i++) {
        const struct proxy_key *key = &ring->keys[i];
        struct proxy_question *question = &ring->questions[i];
        if (key->is_used && key->port == port && key->id == id &&
            proxy_message_matches(question->payload + question->request_at, &question->shape,
                                  key->id, response, response_len))
            return question;
    }
    return NULL;
}

struct proxy_question *proxy_ring_overdue(const struct proxy_ring *ring, uint64_t now_ms)
{
    if (ring->oldest == NONE || ring->questions[ring->oldest].deadline_ms > now_ms)
        return NULL;
    return &ring->questions[ring->oldest];
}

void proxy_ring_remove(struct proxy_ring *ring, const struct proxy_question *question)
{
    ring_remove(ring, (uint32_t)(question - ring->questions));
}
