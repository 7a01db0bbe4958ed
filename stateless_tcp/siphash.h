/* SPDX-License-Identifier: BSD-2-Clause
 *
 * siphash.h - SipHash-2-4 (Aumasson and Bernstein, 2012), 64 and 128 bits of output.
 *
 * A leaf: nothing but arithmetic, so that a BPF program and both rooms can include it.
 */
#ifndef STATELESS_TCP_SIPHASH_H
#define STATELESS_TCP_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_state {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t siphash_load_le64(const uint8_t *p)
{
#if defined(__bpf__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    /* BPF's verifier knows whether this may be read at once; its compiler never would. */
    return *(const uint64_t *)p;
#endif
    /* Written out, or it does not become one load. */
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

static inline void siphash_store_le64(uint8_t *p, uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        p[i] = (uint8_t)(value >> (8 * i));
}

static inline uint64_t siphash_rotl(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void siphash_round(struct siphash_state *s)
{
    s->v0 += s->v1;
    s->v1 = siphash_rotl(s->v1, 13) ^ s->v0;
    s->v0 = siphash_rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = siphash_rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = siphash_rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = siphash_rotl(s->v1, 17) ^ s->v2;
    s->v2 = siphash_rotl(s->v2, 32);
}

static inline void siphash_compress(struct siphash_state *s, uint64_t word)
{
    s->v3 ^= word;
    siphash_round(s);
    siphash_round(s);
    s->v0 ^= word;
}

static inline struct siphash_state siphash_begin_64(const uint8_t key[16])
{
    uint64_t k0 = siphash_load_le64(key), k1 = siphash_load_le64(key + 8);
    return (struct siphash_state){k0 ^ 0x736f6d6570736575U, k1 ^ 0x646f72616e646f6dU,
                                  k0 ^ 0x6c7967656e657261U, k1 ^ 0x7465646279746573U};
}

static inline struct siphash_state siphash_begin_128(const uint8_t key[16])
{
    struct siphash_state s = siphash_begin_64(key);
    s.v1 ^= 0xee;
    return s;
}

/* All of the input, the last word with the length in its top octet. */
static inline void siphash_absorb(struct siphash_state *s, const uint8_t *input, size_t input_len)
{
    size_t i = 0;
    for (; i + 8 <= input_len; i += 8)
        siphash_compress(s, siphash_load_le64(input + i));
    uint64_t last = (uint64_t)input_len << 56;
    for (unsigned shift = 0; i < input_len; i++, shift += 8)
        last |= (uint64_t)input[i] << shift;
    siphash_compress(s, last);
}

static inline uint64_t siphash_finish(struct siphash_state *s)
{
    for (unsigned i = 0; i < 4; i++)
        siphash_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

static inline void siphash_end_128(struct siphash_state *s, uint8_t out[16])
{
    s->v2 ^= 0xee;
    siphash_store_le64(out, siphash_finish(s));
    s->v1 ^= 0xdd;
    siphash_store_le64(out + 8, siphash_finish(s));
}

/* 64 bits, as a number (the specification writes it least significant octet first). */
static inline uint64_t siphash_2_4_64(const uint8_t key[16], const uint8_t *input, size_t input_len)
{
    struct siphash_state s = siphash_begin_64(key);
    siphash_absorb(&s, input, input_len);
    s.v2 ^= 0xff;
    return siphash_finish(&s);
}

/* 128 bits, as octets. */
static inline void siphash_2_4_128(const uint8_t key[16], const uint8_t *input, size_t input_len,
                                   uint8_t out[16])
{
    struct siphash_state s = siphash_begin_128(key);
    siphash_absorb(&s, input, input_len);
    siphash_end_128(&s, out);
}

#endif
