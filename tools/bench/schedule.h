/* SPDX-License-Identifier: BSD-2-Clause
 *
 * schedule.h - when each query is to be sent, fixed before the first one is.
 *
 * A latency is counted from the time that stands here, not from when the query got out: a server
 * that makes the generator wait cannot hide that ("coordinated omission").
 *
 * Pure. One thread at a time.
 */
#ifndef TOOLS_BENCH_SCHEDULE_H
#define TOOLS_BENCH_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

enum schedule_arrivals {
    SCHEDULE_EVEN,    /* all at the same distance */
    SCHEDULE_POISSON, /* at random: distances are exponentially distributed */
};

struct schedule {
    enum schedule_arrivals arrivals;
    double interval_ns;
    double next_ns; /* after the start */
    uint64_t start_ns;
    uint64_t random;
};

/* `per_s` > 0: queries a second of this thread. `index` of `threads` threads: with SCHEDULE_EVEN
 * their queries interleave evenly. `seed`: the same seed and index give the same times. */
void schedule_begin(struct schedule *schedule, enum schedule_arrivals arrivals, double per_s,
                    unsigned index, unsigned threads, uint64_t seed, uint64_t start_ns);

/* When the next query is due. */
uint64_t schedule_due_ns(const struct schedule *schedule);

/* It is taken: go on to the one after it. */
void schedule_advance(struct schedule *schedule);

/* Next number of a sequence that looks random; `state` holds where it is. */
uint64_t schedule_random(uint64_t *state);

#endif
