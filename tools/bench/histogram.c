/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/histogram.h"

uint64_t histogram_bucket_ns(unsigned bucket)
{
    unsigned octave = bucket >> HISTOGRAM_BITS;
    unsigned shift = octave > 1 ? octave - 1 : 0;
    uint64_t first = (uint64_t)(bucket - (shift << HISTOGRAM_BITS)) << shift;
    return first + ((uint64_t)1 << shift) - 1;
}

void histogram_add(struct histogram *into, const struct histogram *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min_ns < into->min_ns)
        into->min_ns = from->min_ns;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->buckets[i] += from->buckets[i];
}

uint64_t histogram_quantile_ns(const struct histogram *histogram, double quantile)
{
    if (histogram->count == 0)
        return 0;
    double wanted = quantile * (double)histogram->count;
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t end = histogram_bucket_ns(i);
            return end < histogram->max_ns && i < HISTOGRAM_BUCKETS - 1 ? end : histogram->max_ns;
        }
    }
    return histogram->max_ns;
}

double histogram_mean_ns(const struct histogram *histogram)
{
    return histogram->count > 0 ? (double)histogram->sum_ns / (double)histogram->count : 0;
}
