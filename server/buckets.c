/* SPDX-License-Identifier: BSD-2-Clause */
#include "server/buckets.h"

#include "stateless_tcp/siphash.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define UNITS_PER_US 16
#define UNITS_PER_S (UINT64_C(1000000) * UNITS_PER_US)
#define BURST (BUCKETS_BURST_S * UNITS_PER_S)
#define TIME_BITS 48
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)
/* Others were quicker so often: let it pass. */
#define ATTEMPTS_MAX 16
#define ADDRESS_LEN_MAX 16

struct buckets {
    uint8_t key[16];
    uint64_t cost;       /* of one, in units */
    uint64_t group_mask; /* groups of BUCKETS_WAYS words */
    _Atomic uint64_t words[];
};

int buckets_open(size_t size, unsigned rate, struct buckets **buckets_out)
{
    size_t count = BUCKETS_SIZE_MIN / sizeof(uint64_t);
    assert(rate > 0 && rate <= BUCKETS_RATE_MAX && size <= BUCKETS_SIZE_MAX);
    while (2 * count * sizeof(uint64_t) <= size)
        count *= 2;
    *buckets_out = NULL;
    struct buckets *buckets = calloc(1, sizeof *buckets + count * sizeof buckets->words[0]);
    if (buckets == NULL)
        return -ENOMEM;
    if (getrandom(buckets->key, sizeof buckets->key, 0) != sizeof buckets->key) {
        free(buckets);
        return -EIO;
    }
    buckets->cost = UNITS_PER_S / rate;
    buckets->group_mask = count / BUCKETS_WAYS - 1;
    *buckets_out = buckets;
    return 0;
}

void buckets_close(struct buckets *buckets)
{
    free(buckets);
}

/* A family's prefixes are not another's: the input's length tells them apart. */
static uint64_t prefix_hash(const struct buckets *buckets, const uint8_t *address,
                            uint8_t address_len, unsigned prefix_len)
{
    uint8_t prefix[ADDRESS_LEN_MAX] = {0};
    assert((address_len == 4 || address_len == 16) && prefix_len <= 8u * address_len);
    memcpy(prefix, address, prefix_len / 8);
    if (prefix_len % 8 != 0)
        prefix[prefix_len / 8] = (uint8_t)(address[prefix_len / 8] & 0xff00 >> prefix_len % 8);
    return siphash_2_4_64(buckets->key, prefix, address_len);
}

/* What is missing in a bucket. None lacks more than all, but by what clocks of threads are apart: such
 * a time is one long past. */
static uint64_t missing(uint64_t word, uint64_t now)
{
    uint64_t units = (word - now) & TIME_MASK;
    return units <= 2 * BURST ? units : 0;
}

/* The word that has the mark, else the one of the fullest bucket. */
static _Atomic uint64_t *word_find(_Atomic uint64_t *group, uint64_t mark, uint64_t now,
                                   uint64_t *word_out)
{
    _Atomic uint64_t *fullest = group;
    uint64_t least = UINT64_MAX;
    for (unsigned i = 0; i < BUCKETS_WAYS; i++) {
        uint64_t word = atomic_load_explicit(&group[i], memory_order_relaxed);
        if (word >> TIME_BITS == mark) {
            *word_out = word;
            return &group[i];
        }
        if (missing(word, now) < least) {
            least = missing(word, now);
            fullest = &group[i];
            *word_out = word;
        }
    }
    return fullest;
}

bool buckets_take(struct buckets *buckets, const uint8_t *address, uint8_t address_len,
                  unsigned prefix_len, uint64_t now_us)
{
    uint64_t hash = prefix_hash(buckets, address, address_len, prefix_len);
    uint64_t mark = hash >> TIME_BITS, now = now_us * UNITS_PER_US;
    mark += mark == 0; /* what was never written to is nobody's */
    _Atomic uint64_t *group = &buckets->words[(hash & buckets->group_mask) * BUCKETS_WAYS];
    for (unsigned i = 0; i < ATTEMPTS_MAX; i++) {
        uint64_t word, lacks = buckets->cost;
        _Atomic uint64_t *place = word_find(group, mark, now, &word);
        if (word >> TIME_BITS == mark)
            lacks += missing(word, now);
        if (lacks > BURST)
            return false;
        uint64_t next = mark << TIME_BITS | ((now + lacks) & TIME_MASK);
        if (atomic_compare_exchange_weak_explicit(place, &word, next, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    }
    return true;
}
