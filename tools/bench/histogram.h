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

/* Count one duration. */
void histogram_record(struct histogram *histogram, uint64_t ns);

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
