/* SPDX-License-Identifier: BSD-2-Clause
 *
 * modern_point.h - where a connection is, as its client says: what its cookie proves, and the point
 * that came back in TSecr (modern.h). For the other files of `modern` only.
 */
#ifndef STATELESS_TCP_MODERN_POINT_H
#define STATELESS_TCP_MODERN_POINT_H

#include "stateless_tcp/modern.h"

struct point {
    uint32_t offset; /* in our stream */
    uint32_t seq;    /* in the client's, modulo 2^MODERN_SEQ_BITS */
    bool is_done;
    bool is_refined; /* not the client's own, but known from the cache; then: */
    uint32_t ack; /* a number of the client's: all before it is answered, there, and in its echo */
};

#define POINT_OFFSET_MASK ((1u << MODERN_OFFSET_BITS) - 1)

/* The value of a TSval. */
static inline uint32_t point_make(uint32_t offset, uint32_t seq, bool is_done)
{
    return offset << (MODERN_SEQ_BITS + 1) | (seq & MODERN_SEQ_MASK) << 1 | is_done;
}

/* Whether the point in such a value is done. */
static inline bool point_is_done(uint32_t value)
{
    return value & 1;
}

/* Whether a segment without data or FIN that begins at `seq` and brings back such a value is to be
 * met with silence: the point is done, and this is no keep-alive probe of who has sent nothing
 * behind it (RFC 9293 3.8.4). */
static inline bool point_is_silent(uint32_t value, uint32_t seq)
{
    return point_is_done(value) && (((value >> 1) - seq) & MODERN_SEQ_MASK) != 1;
}

/* How far a client that holds `held` octets is ahead of the point in such a value, modulo
 * 2^MODERN_OFFSET_BITS. */
static inline uint32_t point_ahead(uint32_t value, uint32_t held)
{
    return (held - (value >> (MODERN_SEQ_BITS + 1))) & POINT_OFFSET_MASK;
}

/* What is believed of that (modern.h, PROOF): wherever in our stream; near its beginning only, or
 * where the cache knows the connection to be. */
static inline bool point_is_exact(uint32_t ahead)
{
    return ahead <= 1; /* our FIN counts as one */
}

static inline bool point_is_near(uint32_t ahead)
{
    return ahead <= MODERN_AHEAD_MAX || ahead >= POINT_OFFSET_MASK + 1 - STATELESS_TCP_STREAM_CAP;
}

/* The point in a value that came back from a client that holds `held` octets, and is near to it. */
static inline struct point point_read(uint32_t value, uint32_t held)
{
    uint32_t ahead = point_ahead(value, held);
    return (struct point){
        .offset = ahead <= MODERN_AHEAD_MAX ? held - ahead : held - ahead + POINT_OFFSET_MASK + 1,
        .seq = value >> 1 & MODERN_SEQ_MASK,
        .is_done = point_is_done(value),
    };
}

/* What the sender of a segment that is no SYN proves, and the point that it carries; without
 * timestamps that is where its stream began. `recent`: NULL is allowed. False: it proves nothing,
 * *proof_out and *point_out are undefined. */
bool point_prove(const struct stateless_tcp_keys *keys, const struct packet *packet,
                 const struct recent *recent, struct cookie_proof *proof_out,
                 struct point *point_out);

/* Where a segment begins right behind the train sent last, that train's end is the point, whatever
 * came back: the client may not have got it yet, or echoes the one before (RFC 7323 4.3 (2)).
 * `entry`: of the connection; NULL: none. */
void point_refine(const struct packet *packet, const struct cookie_proof *proof,
                  const struct recent_entry *entry, struct point *point);

#endif
