/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_block.h - blocks of an image (image.h), rendered. Private to the room.
 *
 * The bodies are what respond() writes, for the block's own name as the question; what would not
 * serve all other questions gets no body, or no block.
 */
#ifndef ZONEDB_IMAGE_BLOCK_H
#define ZONEDB_IMAGE_BLOCK_H

#include "zonedb/find.h"
#include "zonedb/image.h"
#include "zonedb/respond.h"

/* Names with more types climb. */
#define IMAGE_TYPES_MAX 32u

/* What a block is made of: a name (lower case) of a zone, or its apex. */
struct image_source {
    struct zonedb_view *view;
    const struct respond_policy *policy;
    const struct find_zone *zone;
    const uint8_t *name;
    uint8_t name_len;
    uint8_t label_count;
};

/* A block to be copied to its place. */
struct image_draft {
    _Alignas(struct image_block) uint8_t octets[IMAGE_PAGE_LEN];
    size_t len; /* whole units; 0: there is none, the name climbs */
};

/* The apex's block. `has_wildcard`: there is one right below it. */
void image_block_apex(const struct image_source *source, bool has_wildcard,
                      struct image_draft *draft_out);

/* The block of a zone cut, whose node is `node`. */
void image_block_cut(const struct image_source *source, const struct node *node,
                     struct image_draft *draft_out);

/* A block without bodies, of a name right below the apex: it climbs, and is known by its name. */
void image_block_climb(const struct image_source *source, struct image_draft *draft_out);

/* The block of the RRset of a type at `node`, of DS at a zone cut; without bodies, if there can't be
 * any. */
void image_block_rrset(const struct image_source *source, const struct node *node, uint16_t type,
                       struct image_draft *draft_out);

/* The same where the name is an alias, whose target has the type. */
void image_block_alias(const struct image_source *source, uint16_t type,
                       struct image_draft *draft_out);

/* The block that tells that the RRsets of these types are there, and no others. */
void image_block_types(const struct image_source *source, const uint16_t *types, unsigned count,
                       bool has_alias, struct image_draft *draft_out);

/* Octets that a block takes in the image. */
size_t image_block_len(const struct image_block *block);

#endif
