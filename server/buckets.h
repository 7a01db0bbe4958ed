/* SPDX-License-Identifier: BSD-2-Clause
 *
 * buckets.h - how often something happens for each source, counted in memory of constant size.
 *
 * A bucket is full at first, holds what comes in BUCKETS_BURST_S seconds at the rate, and is filled
 * at the rate. It is kept as the time at which it will be full again, so that a word is all there is of
 * it, and one that is full need not be kept at all:
 *
 *     63     48 47                         0
 *     +--------+----------------------------+
 *     | mark   | full at, in 1/16 us        |     of the prefix, and BUCKETS_WAYS places where
 *     +--------+----------------------------+     it may stand, by a keyed hash
 *
 * Where a place is wanted and all are taken, the fullest bucket is forgotten: that of the heaviest
 * source goes last. Whoever takes no part in it can make another's bucket neither emptier nor
 * fuller, but by a chance of some 2^-14 for each other source.
 *
 * Any number of threads, without locks.
 */
#ifndef SERVER_BUCKETS_H
#define SERVER_BUCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUCKETS_WAYS 4
#define BUCKETS_BURST_S 1
#define BUCKETS_RATE_MAX 1000000
#define BUCKETS_SIZE_MIN ((size_t)1 << 12)
#define BUCKETS_SIZE_DEFAULT ((size_t)1 << 20)
#define BUCKETS_SIZE_MAX ((size_t)1 << 30)

struct buckets;

/* `size`: octets, of which as many are used as are a power of two, at least BUCKETS_SIZE_MIN; `rate`:
 * of each source, a second, 1..BUCKETS_RATE_MAX. Outcomes: 0, the caller's until buckets_close();
 * -ENOMEM; other negative errno: there is no random key. */
int buckets_open(size_t size, unsigned rate, struct buckets **buckets_out);

/* NULL is allowed. */
void buckets_close(struct buckets *buckets);

/* Take one from the bucket of the sources whose first `prefix_len` bits are those of `address`, 4 or
 * 16 octets in network order; `now_us` is of a clock that is never set back. False: it is empty. */
bool buckets_take(struct buckets *buckets, const uint8_t *address, uint8_t address_len,
                  unsigned prefix_len, uint64_t now_us);

#endif
