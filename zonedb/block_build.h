/* SPDX-License-Identifier: BSD-2-Clause
 *
 * block_build.h - put nodes into a block (see node.h). Private to the room.
 */
#ifndef ZONEDB_BLOCK_BUILD_H
#define ZONEDB_BLOCK_BUILD_H

#include "zonedb/block.h"

/* Begins as zeroes; reusable. */
struct block_builder {
    uint8_t *octets; /* malloc()ed */
    size_t len, cap;
    size_t node_count;
    uint32_t ttl;
    size_t apex_len;
    /* Key of the last node, be it of this block or of the one before, behind room for a zone id. */
    bool has_last;
    size_t last_len;
    uint8_t last[ZONE_ID_LEN + NAME_KEY_MAX];
};

/* Begin the first block of a zone; a further one. */
void block_build_first(struct block_builder *builder, size_t apex_len);
void block_build_next(struct block_builder *builder, uint32_t ttl);

/* Octets that the block will have, and LMDB with it, with one node more. */
size_t block_build_size(const struct block_builder *builder, size_t key_len, size_t node_len);

/* Add a node of so many octets, which the caller writes to *octets_out.
 * Outcomes: 0; -EINVAL its key is not behind the one before; -ENOMEM. */
int block_build_add(struct block_builder *builder, const uint8_t *key, size_t key_len,
                    size_t node_len, uint8_t **octets_out);

/* Make room for so many octets in all. 0; -ENOMEM. */
int block_build_reserve(struct block_builder *builder, size_t octets);

/* Octets of a node with these RRsets, in a block with this TTL; and those octets. */
size_t node_size(const struct zonedb_rrset *rrsets, size_t rrset_count, uint32_t ttl);
void node_write(uint8_t *out, uint8_t place, const struct zonedb_rrset *rrsets, size_t rrset_count,
                uint32_t ttl);

/* Octets of RRsets alone; and those octets. */
size_t rrsets_size(const struct zonedb_rrset *rrsets, size_t rrset_count, uint32_t ttl);
void rrsets_write(uint8_t *out, const struct zonedb_rrset *rrsets, size_t rrset_count,
                  uint32_t ttl);

/* Write a number (see node.h); returns how many octets it took, ten at most. */
size_t number_put(uint8_t *out, uint64_t number);

#endif
