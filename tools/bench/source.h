/* SPDX-License-Identifier: BSD-2-Clause
 *
 * source.h - the addresses of a prefix, numbered. Pure.
 */
#ifndef TOOLS_BENCH_SOURCE_H
#define TOOLS_BENCH_SOURCE_H

#include "stateless_tcp/prefix.h"

/* More are not used. */
#define SOURCE_COUNT_MAX 65536u

/* How many addresses of a prefix are used: at least 1. Of an IPv4 prefix up to /30 the first and
 * the last are left out, which may be network and broadcast address; of an IPv6 prefix up to /126
 * the first, which is the routers' (RFC 4291 2.6.1). */
uint32_t source_count(const struct prefix *prefix);

/* Address number `number` < source_count(). */
struct packet_address source_address(const struct prefix *prefix, uint32_t number);

/* The reverse. false: it is none of them. */
bool source_number(const struct prefix *prefix, const struct packet_address *address,
                   uint32_t *number_out);

#endif
