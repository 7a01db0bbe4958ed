/* SPDX-License-Identifier: BSD-2-Clause
 *
 * prefix.h - sets of addresses, as networks are written: 192.0.2.0/24.
 *
 * Pure; any thread.
 */
#ifndef STATELESS_TCP_PREFIX_H
#define STATELESS_TCP_PREFIX_H

#include "stateless_tcp/packet.h"

/* Every address of the family that begins with the same `len` bits; the others are zero. */
struct prefix {
    struct packet_address address;
    uint8_t len; /* IPv4: 0..32, IPv6: 0..128 */
};

/* Whether one of the prefixes, prefix_count of them, has the address in it. */
bool prefix_has(const struct prefix *prefixes, size_t prefix_count,
                const struct packet_address *address);

#endif
