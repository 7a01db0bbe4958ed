/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/proxy_ring.h"

#include "stateless_tcp/wire.h"

#include <assert.h>

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

bool proxy_ring_is_taken(const struct proxy_ring *ring, const struct proxy_ticket *ticket)
{
    for (uint32_t i = 0; i < ring->count; i++)
        if (ring->keys[i].is_used && ring->keys[i].id == ticket->id &&
            ring->keys[i].port == ticket->port)
            return true;
    return false;
}

struct proxy_question *proxy_ring_find(const struct proxy_ring *ring, uint64_t number)
{
    for (uint32_t i = 0; i < ring->count; i++)
        if (ring->keys[i].is_used && ring->keys[i].number == number)
            return &ring->questions[i];
    return NULL;
}

struct proxy_question *proxy_ring_put(struct proxy_ring *ring, uint64_t number,
                                      const struct proxy_ticket *ticket, uint64_t deadline_ms)
{
    if (ring->free == NONE) {
        ring_remove(ring, ring->oldest);
        ring->dropped++;
    }
    uint32_t i = ring->free;
    ring->free = ring->keys[i].newer;
    ring->keys[i] = (struct proxy_key){.is_used = true,
                                       .port = ticket->port,
                                       .id = ticket->id,
                                       .number = number,
                                       .older = ring->newest,
                                       .newer = NONE};
    *(ring->newest != NONE ? &ring->keys[ring->newest].newer : &ring->oldest) = i;
    ring->newest = i;
    ring->questions[i].deadline_ms = deadline_ms;
    return &ring->questions[i];
}

static const struct proxy_key *key_of(const struct proxy_ring *ring,
                                      const struct proxy_question *question)
{
    const struct proxy_key *key = &ring->keys[question - ring->questions];
    assert(key->is_used);
    return key;
}

struct proxy_ticket proxy_ring_ticket(const struct proxy_ring *ring,
                                      const struct proxy_question *question)
{
    const struct proxy_key *key = key_of(ring, question);
    return (struct proxy_ticket){.id = key->id, .port = key->port};
}

uint64_t proxy_ring_number(const struct proxy_ring *ring, const struct proxy_question *question)
{
    return key_of(ring, question)->number;
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
