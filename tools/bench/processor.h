/* SPDX-License-Identifier: BSD-2-Clause
 *
 * processor.h - how busy processors are, by whatever they do.
 */
#ifndef TOOLS_BENCH_PROCESSOR_H
#define TOOLS_BENCH_PROCESSOR_H

#include <stdint.h>

/* Since the machine was started, in ticks. */
struct processor_load {
    uint64_t busy, all;
    uint64_t is_used; /* the caller's: this one counts */
};

/* Fill in `busy` and `all` of processors 0 to count - 1, as far as the kernel tells. */
void processor_read(struct processor_load *loads, uint32_t count);

/* The largest share of its time that one of those that count was busy since then; 0 where the time
 * was too short to tell. */
double processor_share(const struct processor_load *before, uint32_t count);

#endif
