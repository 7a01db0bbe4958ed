/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/schedule.h"

#include <math.h>

/* A counter, well mixed: any state is a good one. */
uint64_t schedule_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double distance_ns(struct schedule *schedule)
{
    if (schedule->arrivals == SCHEDULE_EVEN)
        return schedule->interval_ns;
    /* above 0, so that its logarithm is finite */
    double uniform = ((double)(schedule_random(&schedule->random) >> 11) + 1) * 0x1p-53;
    return -log(uniform) * schedule->interval_ns;
}

void schedule_begin(struct schedule *schedule, enum schedule_arrivals arrivals, double per_s,
                    unsigned index, unsigned threads, uint64_t seed, uint64_t start_ns)
{
    *schedule = (struct schedule){
        .arrivals = arrivals,
        .interval_ns = 1e9 / per_s,
        .start_ns = start_ns,
        .random = seed + index * 0x632be59bd9b4e019u,
    };
    schedule->next_ns =
        arrivals == SCHEDULE_EVEN ? schedule->interval_ns * index / threads : distance_ns(schedule);
}

uint64_t schedule_due_ns(const struct schedule *schedule)
{
    return schedule->start_ns + (uint64_t)schedule->next_ns;
}

void schedule_advance(struct schedule *schedule)
{
    schedule->next_ns += distance_ns(schedule);
}
