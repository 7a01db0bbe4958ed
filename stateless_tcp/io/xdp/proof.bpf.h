/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proof.bpf.h - what a segment that is no SYN proves: point_prove() and cookie_verify(), without a
 * cache. For tcp.bpf.h and request.bpf.h only.
 */
#ifndef STATELESS_TCP_IO_XDP_PROOF_BPF_H
#define STATELESS_TCP_IO_XDP_PROOF_BPF_H

#include "stateless_tcp/cookie_hash.h"
#include "stateless_tcp/framing.h"
#include "stateless_tcp/io/xdp/frame.bpf.h"
#include "stateless_tcp/modern_point.h"

enum driver_proof {
    DRIVER_PROVEN,
    DRIVER_UNPROVEN, /* whatever a cache says */
    DRIVER_UNSURE,   /* a cache might know */
};

DRIVER_INLINE uint64_t driver_le64(uint32_t low, uint32_t high)
{
    if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
        return (uint64_t)high << 32 | low;
    return (uint64_t)__builtin_bswap32(high) << 32 | __builtin_bswap32(low);
}

DRIVER_INLINE struct cookie_ends driver_ends(

    const struct driver_segment *segment)
{
    const uint32_t *a = segment->addresses;
    uint32_t ports = driver_be32(segment->words[0]);
    return (struct cookie_ends){
        .client = {driver_le64(a[0], a[1]), driver_le64(a[2], a[3])},
        .server = {driver_le64(a[4], a[5]), driver_le64(a[6], a[7])},
        .client_port = (uint16_t)(ports >> 16),
        .server_port = (uint16_t)ports,
        .family = segment->family,
    };
}

/* Where the connection is, as its client says. */
struct driver_place {
    uint64_t connection; /* as in cookie.h */
    uint32_t held;       /* octets of our stream; UINT32_MAX: the number is no cookie */
    uint32_t mss_class;
    /* All before the segment is answered and there: its first octet is the point (modern.h), and
     * what the client holds is where the response to it begins. */
    bool is_at_point;
};

/* Octets of our stream that the sender holds, if the cookie has this hash; UINT32_MAX: none. */
DRIVER_INLINE uint32_t driver_held(const uint8_t *key, uint64_t hash, uint32_t ack)
{
    uint32_t above = cookie_above(key, hash, ack);
    return above < COOKIE_CLASSES * COOKIE_STREAM_MAX ? above % COOKIE_STREAM_MAX : UINT32_MAX;
}

DRIVER_INLINE struct driver_place driver_place(const uint8_t *key, uint64_t hash, uint32_t ack)
{
    return (struct driver_place){.connection = hash,
                                 .held = driver_held(key, hash, ack),
                                 .mss_class = cookie_above(key, hash, ack) / COOKIE_STREAM_MAX};
}

DRIVER_INLINE bool driver_is_at(const struct point *point, uint32_t seq)
{
    return ((seq - point->seq) & MODERN_SEQ_MASK) == 0;
}

/* cookie_verify(): `classic`. */
DRIVER_INLINE enum driver_proof driver_prove_classic(const struct driver_config *config,

                                                     const struct driver_segment *segment)
{
    const struct cookie_ends ends = driver_ends(segment);
    const uint8_t *key = cookie_key(&config->keys, segment->ack);
    uint64_t hash = cookie_hash(key, &ends, COOKIE_USE_ISS);
    return driver_held(key, hash, segment->ack) <= COOKIE_OFFSET_MAX ? DRIVER_PROVEN
                                                                     : DRIVER_UNPROVEN;
}

/* is_proven_by_echo() in modern_point.c: `modern`, with timestamps. */
DRIVER_INLINE enum driver_proof driver_prove_echo(const struct driver_config *config,

                                                  const struct driver_segment *segment,
                                                  struct driver_place *place_out)
{
    const struct cookie_ends ends = driver_ends(segment);
    const uint8_t *key = cookie_key(&config->keys, segment->ack);
    uint64_t hash = cookie_hash(key, &ends, COOKIE_USE_ISS);
    *place_out = driver_place(key, hash, segment->ack);
    uint32_t held = place_out->held, ahead = point_ahead(segment->timestamp_echo, held);
    if (held == UINT32_MAX)
        return DRIVER_UNPROVEN;
    const struct point point = point_read(segment->timestamp_echo, held);
    place_out->is_at_point = ahead == 0 && driver_is_at(&point, segment->seq);
    if (point_is_exact(ahead))
        return DRIVER_PROVEN;
    if (!point_is_near(ahead))
        return DRIVER_UNPROVEN;
    return held <= MODERN_NEAR_MAX ? DRIVER_PROVEN : DRIVER_UNSURE;
}

/* is_proven_by_beginning() there, for one place where the client's stream may have begun. */
DRIVER_INLINE bool driver_is_beginning(const struct driver_config *config,
                                       const struct cookie_ends *ends, uint32_t seq, uint32_t ack,
                                       struct driver_place *place_out)
{
    const uint8_t *key = cookie_key(&config->keys, ack);
    *place_out = driver_place(key, cookie_hash_first(key, ends, seq - 1), ack);
    return place_out->held <= STATELESS_TCP_STREAM_CAP + 1;
}

/* point_prove(): `modern`. */
DRIVER_INLINE enum driver_proof driver_prove_modern(const struct driver_config *config,
                                                    const struct driver_segment *segment,
                                                    struct driver_place *place_out)
{
    if (segment->has_timestamps)
        return driver_prove_echo(config, segment, place_out);
    const struct cookie_ends ends = driver_ends(segment);
    for (uint32_t behind = 0; behind <= LENGTH_LEN; behind += LENGTH_LEN) {
        if (driver_is_beginning(config, &ends, segment->seq - behind, segment->ack, place_out)) {
            place_out->is_at_point = behind == 0 && place_out->held == 0;
            return DRIVER_PROVEN;
        }
    }
    return DRIVER_UNPROVEN;
}

#endif
