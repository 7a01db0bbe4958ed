/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/block_build.h"

#include <errno.h>
#include <stdlib.h>

static size_t number_size(uint64_t number)
{
    size_t size = 1;
    while (number >= 0x80) {
        number >>= 7;
        size++;
    }
    return size;
}

size_t number_put(uint8_t *out, uint64_t number)
{
    size_t size = 1;
    for (; number >= 0x80; number >>= 7, size++)
        *out++ = (uint8_t)(number | 0x80);
    *out = (uint8_t)number;
    return size;
}

/* ---- RRsets ---- */

static unsigned form_of(const struct zonedb_rrset *rrset, uint32_t ttl)
{
    return (rrset->type > UINT8_MAX ? RRSET_HAS_WIDE_TYPE : 0) |
           (rrset->ttl != ttl ? RRSET_HAS_TTL : 0) |
           (rrset->rr_count <= RRSET_COUNT_MAX ? (unsigned)rrset->rr_count << RRSET_COUNT_SHIFT
                                               : 0);
}

size_t rrsets_size(const struct zonedb_rrset *rrsets, size_t rrset_count, uint32_t ttl)
{
    size_t size = 0;
    for (size_t i = 0; i < rrset_count; i++) {
        unsigned form = form_of(&rrsets[i], ttl);
        size += 1 + rrset_fixed_len(form) + number_size(rrsets[i].rdata_len) + rrsets[i].rdata_len;
        ttl = rrsets[i].ttl;
    }
    return size;
}

void rrsets_write(uint8_t *out, const struct zonedb_rrset *rrsets, size_t rrset_count, uint32_t ttl)
{
    for (size_t i = 0; i < rrset_count; i++) {
        unsigned form = form_of(&rrsets[i], ttl);
        *out++ = (uint8_t)form;
        if ((form & RRSET_HAS_WIDE_TYPE) != 0)
            *out++ = (uint8_t)(rrsets[i].type >> 8);
        *out++ = (uint8_t)rrsets[i].type;
        if (form >> RRSET_COUNT_SHIFT == 0) {
            store_be16(out, rrsets[i].rr_count);
            out += 2;
        }
        if ((form & RRSET_HAS_TTL) != 0) {
            store_be32(out, rrsets[i].ttl);
            out += 4;
        }
        out += number_put(out, rrsets[i].rdata_len);
        memcpy(out, rrsets[i].rdata, rrsets[i].rdata_len);
        out += rrsets[i].rdata_len;
        ttl = rrsets[i].ttl;
    }
}

size_t node_size(const struct zonedb_rrset *rrsets, size_t rrset_count, uint32_t ttl)
{
    return 1 + rrsets_size(rrsets, rrset_count, ttl);
}

void node_write(uint8_t *out, uint8_t place, const struct zonedb_rrset *rrsets, size_t rrset_count,
                uint32_t ttl)
{
    out[0] = place;
    rrsets_write(out + 1, rrsets, rrset_count, ttl);
}

/* ---- blocks ---- */

int block_build_reserve(struct block_builder *builder, size_t octets)
{
    if (octets <= builder->cap)
        return 0;
    size_t cap = octets < 2048 ? 2048 : octets * 2;
    uint8_t *grown = realloc(builder->octets, cap);
    if (grown == NULL)
        return -ENOMEM;
    builder->octets = grown;
    builder->cap = cap;
    return 0;
}

void block_build_first(struct block_builder *builder, size_t apex_len)
{
    builder->node_count = 0;
    builder->apex_len = apex_len;
    builder->has_last = false;
    builder->last_len = 0;
}

void block_build_next(struct block_builder *builder, uint32_t ttl)
{
    builder->node_count = 0;
    builder->len = BLOCK_TTL_LEN;
    builder->ttl = ttl;
}

size_t block_build_size(const struct block_builder *builder, size_t key_len, size_t node_len)
{
    return BLOCK_ENTRY_LEN + ZONE_ID_LEN + key_len + builder->len + 1 + number_size(key_len) +
           key_len + number_size(node_len) + node_len;
}

int block_build_add(struct block_builder *builder, const uint8_t *key, size_t key_len,
                    size_t node_len, uint8_t **octets_out)
{
    uint8_t *last = builder->last + ZONE_ID_LEN;
    size_t common = block_common(last, builder->last_len, key, key_len);
    bool is_behind =
        common < key_len && (common == builder->last_len || key[common] > last[common]);
    if (builder->has_last && !is_behind)
        return -EINVAL;
    if (block_build_reserve(builder, builder->len + 1 + 2 * 10 + key_len + node_len) != 0)
        return -ENOMEM;
    uint8_t *out = builder->octets + builder->len;
    size_t shared = builder->node_count == 0 ? builder->apex_len : common;
    if (shared > BLOCK_SHARED_MAX)
        shared = BLOCK_SHARED_MAX;
    if (builder->node_count == 0)
        store_be32(builder->octets, builder->ttl);
    *out++ = (uint8_t)shared;
    out += number_put(out, key_len - shared);
    out += number_put(out, node_len);
    memcpy(out, key + shared, key_len - shared);
    *octets_out = out + (key_len - shared);
    builder->len = (size_t)(*octets_out - builder->octets) + node_len;
    builder->node_count++;
    builder->has_last = true;
    memcpy(last + common, key + common, key_len - common);
    builder->last_len = key_len;
    return 0;
}
