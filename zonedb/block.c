/* SPDX-License-Identifier: BSD-2-Clause */
#include "zonedb/block.h"

size_t block_common(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    size_t len = a_len < b_len ? a_len : b_len, common = 0;
    for (; len - common >= 8; common += 8) {
        uint64_t x, y;
        memcpy(&x, a + common, 8);
        memcpy(&y, b + common, 8);
        if (x != y)
            break;
    }
    while (common < len && a[common] == b[common])
        common++;
    return common;
}

int block_key_compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    size_t common = block_common(a, a_len, b, b_len);
    if (common < a_len && common < b_len)
        return a[common] < b[common] ? -1 : 1;
    return (a_len > b_len) - (a_len < b_len);
}

/* One node of a block as it is stored. */
struct stored_node {
    size_t shared; /* octets of the key before that its own begins with */
    const uint8_t *suffix;
    size_t suffix_len;
    const uint8_t *octets;
    size_t len;
};

/* Take a node off the octets from *from to `end`. Returns 1, 0 at the end, -1 these are no nodes. */
static inline int stored_next(const uint8_t **from, const uint8_t *end, struct stored_node *out)
{
    const uint8_t *at = *from;
    uint64_t suffix_len, len;
    if (at == end)
        return 0;
    out->shared = *at;
    if (end - at >= 3 && (at[1] | at[2]) < 0x80) { /* nearly always: numbers of one octet */
        suffix_len = at[1];
        len = at[2];
        at += 3;
    } else {
        at++;
        if (!number_get(&at, end, &suffix_len) || !number_get(&at, end, &len))
            return -1;
    }
    uint64_t left = (uint64_t)(end - at);
    if (suffix_len > left || len > left - suffix_len)
        return -1;
    out->suffix = at;
    out->suffix_len = suffix_len;
    out->octets = at + suffix_len;
    out->len = len;
    *from = out->octets + len;
    return 1;
}

bool block_first(const struct block *block, struct node *node_out)
{
    struct stored_node stored;
    const uint8_t *at = block->octets + BLOCK_TTL_LEN;
    return block->len > BLOCK_TTL_LEN &&
           stored_next(&at, block->octets + block->len, &stored) == 1 &&
           node_parse(stored.octets, stored.len, load_be32(block->octets), node_out);
}

int block_walk_begin(const struct block *block, struct block_walk *walk)
{
    if (block->len <= BLOCK_TTL_LEN || block->apex_len > sizeof walk->key)
        return -1;
    walk->at = block->octets + BLOCK_TTL_LEN;
    walk->end = block->octets + block->len;
    walk->ttl = load_be32(block->octets);
    walk->key_len = block->apex_len;
    memcpy(walk->key, block->apex, block->apex_len);
    return block_walk_next(walk);
}

int block_walk_next(struct block_walk *walk)
{
    struct stored_node stored;
    int status = stored_next(&walk->at, walk->end, &stored);
    if (status != 1)
        return status;
    if (stored.shared > walk->key_len || stored.suffix_len > sizeof walk->key - stored.shared)
        return -1;
    memcpy(walk->key + stored.shared, stored.suffix, stored.suffix_len);
    walk->key_len = stored.shared + stored.suffix_len;
    walk->stored = stored.octets;
    walk->stored_len = stored.len;
    return node_parse(stored.octets, stored.len, walk->ttl, &walk->node) ? 1 : -1;
}

/* The key shares `common` octets with the node before, which sorts before it. What that node shares
 * with the next tells most of how the key and the next one compare:
 *
 *     more than `common`     the next one is before the key as well
 *     else                   its suffix is to be compared with what the key has there
 */
int block_find(const struct block *block, const uint8_t *key, size_t key_len,
               struct block_place *place)
{
    const uint8_t *at = block->octets + BLOCK_TTL_LEN, *end = block->octets + block->len;
    const uint8_t *last = NULL;
    size_t last_len = 0, last_key_len = 0, common = block->apex_len;
    struct stored_node node;
    int status = -1;
    if (block->len <= BLOCK_TTL_LEN)
        return -1;
    place->is_exact = place->has_next = false;
    while ((status = stored_next(&at, end, &node)) == 1) {
        size_t same = node.shared, node_key_len = node.shared + node.suffix_len;
        if (same <= common) {
            const uint8_t *suffix = node.suffix, *suffix_end = suffix + node.suffix_len;
            while (suffix < suffix_end && same < key_len && *suffix == key[same]) {
                suffix++;
                same++;
            }
            if (same < block->apex_len)
                return -1;
            if (suffix < suffix_end && (same == key_len || *suffix > key[same])) {
                place->has_next = true;
                place->next_common = same;
                break;
            }
            common = same;
        }
        last = node.octets;
        last_len = node.len;
        last_key_len = node_key_len;
        if (common == key_len && node_key_len == key_len) {
            place->is_exact = true;
            break;
        }
    }
    if (status < 0 || last == NULL)
        return status < 0 ? -1 : 0;
    place->block = *block;
    place->node_common = common;
    place->is_node_above = common == last_key_len;
    return node_parse(last, last_len, load_be32(block->octets), &place->node) ? 1 : -1;
}

size_t block_place_key(const struct block_place *place, uint8_t key[NAME_KEY_MAX])
{
    struct block_walk walk;
    int status = block_walk_begin(&place->block, &walk);
    while (status == 1 && walk.node.rrsets.at != place->node.rrsets.at)
        status = block_walk_next(&walk);
    if (status != 1)
        return 0;
    memcpy(key, walk.key, walk.key_len);
    return walk.key_len;
}
