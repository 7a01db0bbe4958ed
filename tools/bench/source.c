/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/source.h"

#include "stateless_tcp/wire.h"

static unsigned host_bits(const struct prefix *prefix)
{
    return (prefix->address.family == 4 ? 32u : 128u) - prefix->len;
}

uint32_t source_count(const struct prefix *prefix)
{
    unsigned bits = host_bits(prefix);
    if (bits > 16)
        return SOURCE_COUNT_MAX;
    uint32_t all = 1u << bits;
    if (bits < 2)
        return all;
    return prefix->address.family == 4 ? all - 2 : all - 1;
}

static uint32_t first_number(const struct prefix *prefix)
{
    return host_bits(prefix) < 2 ? 0 : 1;
}

/* The last 32 bits count; a prefix has its host bits clear. */
struct packet_address source_address(const struct prefix *prefix, uint32_t number)
{
    struct packet_address address = prefix->address;
    uint8_t *last = address.octets + (address.family == 4 ? 0 : 12);
    wire_store_be32(last, wire_load_be32(last) + first_number(prefix) + number);
    return address;
}

bool source_number(const struct prefix *prefix, const struct packet_address *address,
                   uint32_t *number_out)
{
    if (!prefix_has(prefix, 1, address))
        return false;
    unsigned at = address->family == 4 ? 0 : 12;
    uint32_t number = wire_load_be32(address->octets + at) -
                      wire_load_be32(prefix->address.octets + at) - first_number(prefix);
    *number_out = number;
    if (number >= source_count(prefix))
        return false;
    struct packet_address same = source_address(prefix, number);
    for (unsigned i = 0; i < 16; i++)
        if (same.octets[i] != address->octets[i])
            return false;
    return true;
}
