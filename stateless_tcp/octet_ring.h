/* SPDX-License-Identifier: BSD-2-Clause
 *
 * octet_ring.h - octets that are kept until as many came after them: whoever comes later overwrites
 * the oldest. Each piece is in one piece, so that one may leave some octets free at the end.
 *
 * Pure but for the memory that it is given; one thread at a time.
 */
#ifndef STATELESS_TCP_OCTET_RING_H
#define STATELESS_TCP_OCTET_RING_H

#include <stddef.h>
#include <stdint.h>

struct octet_ring {
    uint8_t *octets;
    uint32_t cap;
    uint64_t written; /* octets ever, those left free at the end included */
};

/* A ring in `len` octets of memory, which stays the caller's and must outlive it. */
static inline struct octet_ring octet_ring_make(uint8_t *memory, size_t len)
{
    return (struct octet_ring){.octets = memory,
                               .cap = len < UINT32_MAX ? (uint32_t)len : UINT32_MAX};
}

/* Room for `len` octets, whatever was there; they count as written. *at_out is for
 * octet_ring_find(). NULL: more than the ring has. */
static inline uint8_t *octet_ring_take(struct octet_ring *ring, uint32_t len, uint64_t *at_out)
{
    if (len > ring->cap)
        return NULL;
    uint32_t place = (uint32_t)(ring->written % ring->cap);
    if (len > ring->cap - place) { /* from the beginning again */
        ring->written += ring->cap - place;
        place = 0;
    }
    *at_out = ring->written;
    ring->written += len;
    return ring->octets + place;
}

/* What was written at `at`; NULL: it was overwritten. Valid until the next octet_ring_take(). */
static inline const uint8_t *octet_ring_find(const struct octet_ring *ring, uint64_t at)
{
    return ring->written - at > ring->cap ? NULL : ring->octets + at % ring->cap;
}

#endif
