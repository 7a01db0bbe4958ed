/* SPDX-License-Identifier: BSD-2-Clause
 *
 * histogram.h - how often which duration was seen, in a fixed amount of memory.
 *
 * Buckets are linear within a power of two and so never wider than 1/128 of what they hold (0.8 %):
 *
 *     0 .. 255 ns        one bucket each
 *     256 .. 511         128 buckets of 2
 *     512 .. 1023        128 buckets of 4
 *     ...                up to 2^37 ns, 137 s; what is longer counts there
 *
 * Pure. One thread at a time.
 */
#ifndef TOOLS_BENCH_HISTOGRAM_H
#define TOOLS_BENCH_HISTOGRAM_H

#include <stdint.h>

#define HISTOGRAM_BITS 7 /* of precision */
#define HISTOGRAM_MAX_BITS 37
#define HISTOGRAM_BUCKETS ((HISTOGRAM_MAX_BITS - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

/* All zero: nothing seen yet. */
struct histogram {
    uint64_t count;
    uint64_t sum_ns;
    uint64_t min_ns; /* meaningful when count > 0 */
    uint64_t max_ns;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* How many bits a value below 2^HISTOGRAM_MAX_BITS has; of 0: 1. */
static inline uint32_t histogram_bits(uint64_t value)
{
#ifdef __bpf__ /* clang knows no other way there */
    uint32_t bits = 1;
    for (uint32_t step = 32; step > 0; step /= 2)
        if (value >> step != 0) {
            value >>= step;
            bits += step;
        }
    return bits;
#else
    return 64 - (uint32_t)__builtin_clzll(value | 1);
#endif
}

/* Where a duration counts. Values below 2 * 128 are their own index; above, the octave says how many
 * low bits to leave out. */
static inline uint32_t histogram_bucket(uint64_t ns)
{
    if (ns >= (uint64_t)1 << HISTOGRAM_MAX_BITS)
        return HISTOGRAM_BUCKETS - 1;
    uint32_t bits = histogram_bits(ns);
    uint32_t shift = bits > HISTOGRAM_BITS + 1 ? bits - HISTOGRAM_BITS - 1 : 0;
    return (shift << HISTOGRAM_BITS) + (uint32_t)(ns >> shift);
}

/* Count one duration. Inline, for it is compiled for BPF too. */
static inline void histogram_record(struct histogram *histogram, uint64_t ns)
{
    uint32_t bucket = histogram_bucket(ns);
    if (bucket < HISTOGRAM_BUCKETS) /* always */
        histogram->buckets[bucket]++;
    if (histogram->count == 0 || ns < histogram->min_ns)
        histogram->min_ns = ns;
    if (ns > histogram->max_ns)
        histogram->max_ns = ns;
    histogram->count++;
    histogram->sum_ns += ns;
}

/* Count in `into` all that `from` has counted. */
void histogram_add(struct histogram *into, const struct histogram *from);

/* The duration that no more than a share of 1 - quantile exceeds; quantile 0 to 1. Never below the
 * true one and never above it by more than 1/128. 0 when nothing was counted. */
uint64_t histogram_quantile_ns(const struct histogram *histogram, double quantile);

/* The longest duration that counts in a bucket, but for the last one. */
uint64_t histogram_bucket_ns(unsigned bucket);

/* 0 when nothing was counted. */
double histogram_mean_ns(const struct histogram *histogram);

#endif
