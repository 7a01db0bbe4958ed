/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/tally.h"

#include <stddef.h>

void tally_add(struct tally *into, const struct tally *from)
{
    /* every member before the histograms is a counter */
    _Static_assert(offsetof(struct tally, latency) % sizeof(uint64_t) == 0, "only counters");
    uint64_t *to = &into->sent;
    const uint64_t *count = &from->sent;
    for (size_t i = 0; i < offsetof(struct tally, latency) / sizeof(uint64_t); i++)
        to[i] += count[i];
    histogram_add(&into->latency, &from->latency);
    histogram_add(&into->lag, &from->lag);
}
