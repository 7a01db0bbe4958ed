/* SPDX-License-Identifier: BSD-2-Clause
 *
 * block.h - read the nodes of a block (see node.h), and find a name among them. Private to the room.
 * Pure. Pointers are valid as long as the block's octets.
 */
#ifndef ZONEDB_BLOCK_H
#define ZONEDB_BLOCK_H

#include "zonedb/name.h"
#include "zonedb/node.h"

/* A stored block; keys here and below are name keys, without a zone id. */
struct block {
    const uint8_t *octets;
    size_t len;
    const uint8_t *apex; /* key of the zone, with which all keys begin */
    size_t apex_len;
};

/* A walk through a block, node by node, in key order. */
struct block_walk {
    const uint8_t *at, *end; /* what is to come */
    uint32_t ttl;            /* of the block */
    struct node node;
    const uint8_t *stored; /* the node's octets */
    size_t stored_len;
    size_t key_len;
    uint8_t key[NAME_KEY_MAX];
};

/* Begin to walk. Returns 1 at the first node; -1 it is no block. */
int block_walk_begin(const struct block *block, struct block_walk *walk_out);

/* Returns 1 at the next node; 0 there is none; -1 these are no nodes. */
int block_walk_next(struct block_walk *walk);

/* The first node alone. Returns false if it is no block. */
bool block_first(const struct block *block, struct node *node_out);

/* Where a key stands among the nodes of a block. */
struct block_place {
    bool is_exact;
    struct node node;   /* of the key, or the last one before it */
    size_t node_common; /* octets that the key shares with that one's */
    bool is_node_above; /* that is all of that one's: it is an ancestor */
    bool has_next;      /* there is a node behind the key */
    size_t next_common; /* octets that the key shares with that one's */
    struct block block;
};

/* Find a key, which is that of the apex or below it. Returns 1; 0 the first node is behind the key,
 * place_out->next_common tells of it; -1 the block is none. */
int block_find(const struct block *block, const uint8_t *key, size_t key_len,
               struct block_place *place_out);

/* The key of place->node into `key`. Returns its length, 0 if the
 * block is none. */
size_t block_place_key(const struct block_place *place, uint8_t key[NAME_KEY_MAX]);

/* How many octets two keys share at their beginning. */
size_t block_common(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

/* Canonical order of two keys: negative, 0, positive. */
int block_key_compare(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len);

#endif
