/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/modern_point.h"

#include "stateless_tcp/framing.h"

#include <assert.h>

static_assert(MODERN_OFFSET_BITS + MODERN_SEQ_BITS + 1 == 32, "a point fills a TSval");
static_assert(STATELESS_TCP_STREAM_CAP < 1u << (MODERN_OFFSET_BITS - 1),
              "TSval must not pass half its range in one step");
static_assert(STATELESS_TCP_STREAM_CAP + MODERN_AHEAD_MAX < 1u << MODERN_OFFSET_BITS,
              "points are ambiguous in our stream");
static_assert(MODERN_WINDOW + MODERN_REQUESTS_MAX <= 1 << MODERN_SEQ_BITS, "points are ambiguous");

/* Whether the cache knows a connection that is about here. That it knows the connection alone says
 * nothing of who writes: its key does not depend on SEG.ACK. */
static bool is_known_here(const struct recent *recent, const struct cookie_proof *proof)
{
    const struct recent_entry *entry = recent_find(recent, proof->connection);
    if (entry == NULL)
        return false;
    uint32_t from = entry->start - STATELESS_TCP_STREAM_CAP;
    return proof->offset - from <= entry->end + MODERN_AHEAD_MAX - from;
}

/* By what its echo says. */
static bool is_proven_by_echo(const struct stateless_tcp_keys *keys, const struct packet *packet,
                              const struct recent *recent, struct cookie_proof *proof_out)
{
    if (!cookie_read(keys, packet, proof_out))
        return false;
    uint32_t ahead = point_ahead(packet->timestamp_echo, proof_out->offset);
    return point_is_exact(ahead) ||
           (point_is_near(ahead) &&
            (proof_out->offset <= MODERN_NEAR_MAX || is_known_here(recent, proof_out)));
}

/* By where the client's stream began: here, or with the length of what is here. */
static bool is_proven_by_beginning(const struct stateless_tcp_keys *keys,
                                   const struct packet *packet, struct cookie_proof *proof_out,
                                   uint32_t *seq_out)
{
    for (uint32_t behind = 0; behind <= LENGTH_LEN; behind += LENGTH_LEN) {
        *seq_out = packet->seq - behind;
        if (cookie_verify_first(keys, packet, *seq_out - 1, STATELESS_TCP_STREAM_CAP + 1,
                                proof_out))
            return true;
    }
    return false;
}

bool point_prove(const struct stateless_tcp_keys *keys, const struct packet *packet,
                 const struct recent *recent, struct cookie_proof *proof_out,
                 struct point *point_out)
{
    *point_out = (struct point){.is_done = true};
    if (!packet->has_timestamps)
        return is_proven_by_beginning(keys, packet, proof_out, &point_out->seq);
    if (!is_proven_by_echo(keys, packet, recent, proof_out))
        return false;
    *point_out = point_read(packet->timestamp_echo, proof_out->offset);
    return true;
}

bool modern_is_proven(const struct stateless_tcp_keys *keys, const struct packet *packet,
                      const struct recent *recent, struct cookie_proof *proof_out)
{
    struct point point;
    return point_prove(keys, packet, recent, proof_out, &point);
}

void point_refine(const struct packet *packet, const struct cookie_proof *proof,
                  const struct recent_entry *entry, struct point *point)
{
    uint32_t behind = (packet->seq - point->seq) & MODERN_SEQ_MASK;
    if (!packet->has_timestamps || entry == NULL || entry->seq_end != packet->seq ||
        proof->offset > entry->end + entry->has_fin || (behind == 0 && point->offset != entry->end))
        return;
    uint32_t ack = proof->offset >= entry->start ? entry->seq : entry->ack;
    if (proof->offset >= point->offset && behind <= MODERN_WINDOW)
        ack = packet->seq - behind;
    *point = (struct point){.offset = entry->end,
                            .seq = packet->seq & MODERN_SEQ_MASK,
                            .is_done = true,
                            .is_refined = true,
                            .ack = ack};
}
