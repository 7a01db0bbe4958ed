/* SPDX-License-Identifier: BSD-2-Clause
 *
 * cookie_hash.h - the arithmetic of cookie.h, for those who have no struct packet: cookie.c takes
 * one apart for it, the XDP program reads the frame.
 *
 * A leaf: pure, inline, no libc; also compiled for BPF.
 */
#ifndef STATELESS_TCP_COOKIE_HASH_H
#define STATELESS_TCP_COOKIE_HASH_H

#include "stateless_tcp/cookie.h"
#include "stateless_tcp/siphash.h"

/* 0       1                 17                33       35       37
 * | family | client address | server address  | port   | port   | use |     38 octets
 * IPv4 addresses fill their first four octets; the family keeps them apart from IPv6 ones. Cookies
 * without timestamps have the client's initial sequence number in four octets more. */
#define COOKIE_INPUT_LEN 38u
#define COOKIE_FIRST_INPUT_LEN 42u

/* The second and third class begin here: an IPv6 path of 1280; Ethernet under IPv6. */
#define COOKIE_CLASS_1_MSS 1220
#define COOKIE_CLASS_2_MSS 1440

enum cookie_use {
    COOKIE_USE_ISS = 0,
    COOKIE_USE_FAST_OPEN = 1,
};

/* Who is hashed. Addresses: 16 octets, the first the least significant of [0]. */
struct cookie_ends {
    uint64_t client[2], server[2];
    uint16_t client_port, server_port;
    uint8_t family;
};

static inline uint64_t cookie_swap16(uint16_t value)
{
    return (uint64_t)(value & 0xff) << 8 | value >> 8;
}

/* The state after octets 0..31; returns the octets 32..37, the beginning of the next word. */
static inline uint64_t cookie_hash_begin(const uint8_t key[COOKIE_KEY_LEN],
                                         const struct cookie_ends *ends, enum cookie_use use,
                                         struct siphash_state *s_out)
{
    struct siphash_state s = siphash_begin_64(key);
    siphash_compress(&s, ends->family | ends->client[0] << 8);
    siphash_compress(&s, ends->client[0] >> 56 | ends->client[1] << 8);
    siphash_compress(&s, ends->client[1] >> 56 | ends->server[0] << 8);
    siphash_compress(&s, ends->server[0] >> 56 | ends->server[1] << 8);
    *s_out = s;
    return ends->server[1] >> 56 | cookie_swap16(ends->client_port) << 8 |
           cookie_swap16(ends->server_port) << 24 | (uint64_t)use << 40;
}

static inline uint64_t cookie_hash_end(struct siphash_state *s, uint64_t last)
{
    siphash_compress(s, last);
    s->v2 ^= 0xff;
    return siphash_finish(s);
}

static inline uint64_t cookie_hash(const uint8_t key[COOKIE_KEY_LEN],
                                   const struct cookie_ends *ends, enum cookie_use use)
{
    struct siphash_state s;
    uint64_t word = cookie_hash_begin(key, ends, use, &s);
    return cookie_hash_end(&s, word | (uint64_t)COOKIE_INPUT_LEN << 56);
}

/* With the client's initial sequence number. */
static inline uint64_t cookie_hash_first(const uint8_t key[COOKIE_KEY_LEN],
                                         const struct cookie_ends *ends, uint32_t irs)
{
    struct siphash_state s;
    uint64_t word = cookie_hash_begin(key, ends, COOKIE_USE_ISS, &s);
    siphash_compress(&s, word | cookie_swap16((uint16_t)(irs >> 16)) << 48);
    return cookie_hash_end(&s,
                           cookie_swap16((uint16_t)irs) | (uint64_t)COOKIE_FIRST_INPUT_LEN << 56);
}

/* The ISS for class 0. */
static inline uint32_t cookie_iss_base(const uint8_t key[COOKIE_KEY_LEN], uint64_t hash)
{
    return (uint32_t)(key[0] & 1) << 31 | ((uint32_t)hash & (COOKIE_STREAM_MAX - 1));
}

static inline unsigned cookie_mss_class(uint16_t mss)
{
    return mss < COOKIE_CLASS_1_MSS ? 0 : mss < COOKIE_CLASS_2_MSS ? 1 : 2;
}

/* The longest segment for clients of a class. 536: nothing offered, or old. */
static inline uint16_t cookie_class_limit(unsigned mss_class)
{
    return mss_class == 0 ? 536 : mss_class == 1 ? COOKIE_CLASS_1_MSS : COOKIE_CLASS_2_MSS;
}

static inline uint32_t cookie_iss(const uint8_t key[COOKIE_KEY_LEN], uint64_t hash, uint16_t mss)
{
    return cookie_iss_base(key, hash) + cookie_mss_class(mss) * COOKIE_STREAM_MAX;
}

/* Which of the epochs made the cookie that `ack` acknowledges, if any did. */
static inline const uint8_t *cookie_key(const struct stateless_tcp_keys *keys, uint32_t ack)
{
    return keys->epochs[(keys->epochs[0][0] & 1) != (ack - 1) >> 31];
}

/* How far `ack` is above the lowest cookie with this hash; it is none if that is not below
 * COOKIE_CLASSES * COOKIE_STREAM_MAX. */
static inline uint32_t cookie_above(const uint8_t key[COOKIE_KEY_LEN], uint64_t hash, uint32_t ack)
{
    return ack - 1 - cookie_iss_base(key, hash);
}

#endif
