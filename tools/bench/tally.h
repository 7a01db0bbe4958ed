/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tally.h - what is counted during a run. All zero: nothing yet.
 *
 * Pure. One thread at a time.
 */
#ifndef TOOLS_BENCH_TALLY_H
#define TOOLS_BENCH_TALLY_H

#include "tools/bench/histogram.h"

#define TALLY_RCODES 16 /* of the header; extended ones are not told apart */

/* Each query sent ends as one of: answered, wrong, lost. */
struct tally {
    uint64_t sent;
    uint64_t answered;
    uint64_t wrong;  /* an answer came that is none to what was asked */
    uint64_t lost;   /* none came: timeout, reset, connection not opened */
    uint64_t stray;  /* messages that nobody waited for: late, doubled */
    uint64_t unsent; /* due, but never sent: no room for one more outstanding within the timeout */
    uint64_t held;   /* sent late, since so many were outstanding; they do not count in `lag` */
    uint64_t truncated;
    uint64_t unexpected; /* answered, but with another RCODE or other octets than expected */
    uint64_t compared;   /* answers that were compared */
    uint64_t different;  /* of these; they are unexpected too */
    uint64_t checksum_good, checksum_bad, checksum_absent;
    uint64_t rcodes[TALLY_RCODES];
    uint64_t octets_sent;     /* of DNS messages */
    uint64_t octets_received; /* of DNS messages */

    uint64_t connections; /* opened */
    uint64_t refused;     /* not opened: reset, unreachable or no answer */
    uint64_t resets;      /* lost after they were open */
    uint64_t no_port;     /* not tried: no source port left */
    uint64_t fast_open;   /* requests that were accepted with the SYN */
    uint64_t segments_sent, segments_received;
    uint64_t retransmissions;

    struct histogram latency; /* of what was answered */
    struct histogram lag;     /* from when a query was due until it was sent; open loop only */
};

/* Count in `into` all that `from` has counted. */
void tally_add(struct tally *into, const struct tally *from);

#endif
