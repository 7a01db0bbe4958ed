/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/node.h"

const uint8_t *rrset_head(const uint8_t *at, const uint8_t *end, struct zonedb_rrset *rrset,
                          uint32_t *ttl, uint64_t *len)
{
    unsigned form = *at++;
    if ((size_t)(end - at) < rrset_fixed_len(form))
        return NULL;
    rrset->type = *at++;
    if ((form & RRSET_HAS_WIDE_TYPE) != 0)
        rrset->type = (uint16_t)(rrset->type << 8 | *at++);
    rrset->rr_count = (uint16_t)(form >> RRSET_COUNT_SHIFT);
    if (rrset->rr_count == 0) {
        rrset->rr_count = load_be16(at);
        at += 2;
    }
    if ((form & RRSET_HAS_TTL) != 0) {
        *ttl = load_be32(at);
        at += 4;
    }
    return number_get(&at, end, len) && *len <= UINT32_MAX ? at : NULL;
}
