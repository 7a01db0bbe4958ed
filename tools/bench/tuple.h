/* SPDX-License-Identifier: BSD-2-Clause
 *
 * tuple.h - addresses and ports of the client, numbered: all addresses of the first port, then of
 * the next. A client has `count` of them from `first` on, which go on at the beginning behind the
 * last of all. Compiled for BPF and for the host alike.
 */
#ifndef BENCH_TUPLE_H
#define BENCH_TUPLE_H

#include <stdbool.h>
#include <stdint.h>

struct tuple_range {
    uint32_t address_count, port_count; /* of all */
    uint32_t first, count;
};

/* The number of a port and an address, both counted from the first. Returns false: not of these. */
static inline bool tuple_number(const struct tuple_range *range, uint32_t port, uint32_t address,
                                uint32_t *tuple_out)
{
    uint64_t tuples = (uint64_t)range->address_count * range->port_count;
    uint64_t at = (uint64_t)port * range->address_count + address;
    at = at >= range->first ? at - range->first : at + tuples - range->first;
    *tuple_out = (uint32_t)at;
    return at < range->count;
}

/* The other way. */
static inline void tuple_place(const struct tuple_range *range, uint32_t tuple, uint32_t *port_out,
                               uint32_t *address_out)
{
    uint64_t tuples = (uint64_t)range->address_count * range->port_count;
    uint64_t at = (uint64_t)range->first + tuple;
    if (at >= tuples)
        at -= tuples;
    *port_out = (uint32_t)(at / range->address_count);
    *address_out = (uint32_t)(at % range->address_count);
}

#endif
