/* SPDX-License-Identifier: BSD-2-Clause */
#include "stateless_tcp/prefix.h"

#include <assert.h>
#include <string.h>

static bool is_in(const struct prefix *prefix, const struct packet_address *address)
{
    unsigned octets = prefix->len / 8u, bits = prefix->len % 8u;
    assert(prefix->len <= (prefix->address.family == 4 ? 32 : 128));
    if (prefix->address.family != address->family ||
        memcmp(prefix->address.octets, address->octets, octets) != 0)
        return false;
    return bits == 0 ||
           (prefix->address.octets[octets] ^ address->octets[octets]) >> (8 - bits) == 0;
}

bool prefix_has(const struct prefix *prefixes, size_t prefix_count,
                const struct packet_address *address)
{
    for (size_t i = 0; i < prefix_count; i++)
        if (is_in(&prefixes[i], address))
            return true;
    return false;
}
