/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/goaway/sent.h"

#include "stateless_tcp/siphash.h"

#include <string.h>

static uint64_t flow_hash(const struct sent *sent, const struct goaway_ends *ends, uint8_t protocol,
                          uint16_t source_port, uint16_t destination_port, const uint8_t *begin)
{
    uint8_t input[46] = {ends->source.family,
                         protocol,
                         (uint8_t)(source_port >> 8),
                         (uint8_t)source_port,
                         (uint8_t)(destination_port >> 8),
                         (uint8_t)destination_port};
    memcpy(input + 6, ends->source.octets, 16);
    memcpy(input + 22, ends->destination.octets, 16);
    if (begin != NULL)
        memcpy(input + 38, begin, GOAWAY_QUOTE_MIN);
    return siphash_2_4_64(sent->key, input, begin != NULL ? sizeof(input) : 38);
}

static struct sent_packet *bucket_of(struct sent *sent, const struct goaway_packet *packet)
{
    uint64_t hash = flow_hash(sent, &packet->ends, packet->protocol, packet->source_port,
                              packet->destination_port, packet->octets);
    return sent->packets[hash % SENT_BUCKETS];
}

static bool is_same_flow(const struct goaway_ends *a, const struct goaway_ends *b)
{
    return packet_address_equal(&a->source, &b->source) &&
           packet_address_equal(&a->destination, &b->destination);
}

/* Whether `quoted` could be the beginning of `packet`. */
static bool is_beginning(const struct goaway_packet *packet, const struct goaway_packet *quoted)
{
    return packet->protocol == quoted->protocol && packet->ip_len == quoted->ip_len &&
           quoted->octets_len >= GOAWAY_QUOTE_MIN && quoted->octets_len <= packet->octets_len &&
           is_same_flow(&packet->ends, &quoted->ends) &&
           memcmp(packet->octets, quoted->octets, quoted->octets_len) == 0;
}

void sent_put(struct sent *sent, const struct goaway_packet *packet, uint64_t now_ms)
{
    struct sent_packet *bucket = bucket_of(sent, packet), *place = &bucket[0];
    for (unsigned i = 0; i < SENT_WAYS; i++) {
        if (bucket[i].number != 0 && bucket[i].packet.octets_len == packet->octets_len &&
            is_beginning(&bucket[i].packet, packet)) {
            place = &bucket[i]; /* sent again */
            break;
        }
        if (bucket[i].number < place->number)
            place = &bucket[i];
    }
    *place = (struct sent_packet){.packet = *packet, .sent_ms = now_ms, .number = ++sent->number};
}

static size_t answer_place(const struct sent *sent, const struct goaway_ends *ends,
                           uint8_t protocol, uint16_t source_port, uint16_t destination_port)
{
    return flow_hash(sent, ends, protocol, source_port, destination_port, NULL) % SENT_BUCKETS;
}

void sent_answer(struct sent *sent, const struct goaway_packet *packet)
{
    const struct goaway_ends ends = {packet->ends.destination, packet->ends.source};
    size_t place =
        answer_place(sent, &ends, packet->protocol, packet->destination_port, packet->source_port);
    sent->answers[place] = (struct sent_answer){.ends = ends,
                                                .source_port = packet->destination_port,
                                                .destination_port = packet->source_port,
                                                .protocol = packet->protocol,
                                                .number = ++sent->number};
}

/* What is quoted may be the beginning of several: the last is meant. */
struct sent_packet *sent_find(struct sent *sent, const struct goaway_packet *quoted)
{
    struct sent_packet *bucket = bucket_of(sent, quoted), *found = NULL;
    for (unsigned i = 0; i < SENT_WAYS; i++)
        if (bucket[i].number != 0 && is_beginning(&bucket[i].packet, quoted) &&
            (found == NULL || bucket[i].number > found->number))
            found = &bucket[i];
    return found;
}

bool sent_is_answered(const struct sent *sent, const struct sent_packet *packet)
{
    const struct goaway_packet *p = &packet->packet;
    const struct sent_answer *answer = &sent->answers[answer_place(
        sent, &p->ends, p->protocol, p->source_port, p->destination_port)];
    return answer->number > packet->number && answer->protocol == p->protocol &&
           answer->source_port == p->source_port &&
           answer->destination_port == p->destination_port && is_same_flow(&answer->ends, &p->ends);
}
