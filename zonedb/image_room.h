/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_room.h - the memory of an image: its directory and the room for blocks. Private to the
 * room.
 */
#ifndef ZONEDB_IMAGE_ROOM_H
#define ZONEDB_IMAGE_ROOM_H

#include "zonedb/image_block.h"
#include "zonedb/image_build.h"
#include "zonedb/view.h"

#define IMAGE_UNITS_MAX (IMAGE_PAGE_LEN / IMAGE_UNIT_LEN)

/* A zone that is in the image. */
struct image_zone {
    uint32_t id;
    uint32_t apex_at; /* in `apexes` */
    uint8_t apex_len;
    uint8_t signing;
};

/* Hosts whose addresses are in referrals of cuts that they are not below. */
struct image_hosts {
    uint64_t *filter;
    uint64_t filter_mask; /* bits, a power of two, less one */
    uint64_t *notes;
    size_t note_count, note_cap;
    size_t clean_at; /* so many notes; 0: not known yet */
    bool has_lost;   /* there was no memory for all */
};

/* A block that was replaced, and since when. */
struct image_retired {
    uint64_t place;
    uint64_t since_ns;
};

struct image {
    struct respond_policy policy;
    uint8_t *octets;
    size_t len; /* whole pages */
    uint32_t bucket_mask, bucket_shift;
    uint32_t filter_page, filter_mask;
    uint16_t *page_next;                 /* in each page of the directory, the first unused unit */
    uint64_t next;                       /* behind them, the first unit that was never used */
    uint64_t spare[IMAGE_UNITS_MAX + 1]; /* by units: first of a list of places to use again */
    struct image_retired *retired;       /* oldest first */
    size_t retired_count, retired_cap;
    struct image_zone *zones; /* by id */
    size_t zone_count;
    uint8_t *apexes; /* their names */
    size_t apexes_len;
    struct image_counts counts;
    bool has_rrsets;  /* there was room for some */
    uint64_t version; /* of the snapshot that it was made or patched of last; 0: none */
    const atomic_bool *stop;
    struct image_hosts hosts;
};

/* A zone whose names are being put in. */
struct image_apex {
    struct zonedb_view *view;
    const struct find_zone *zone;
    MDB_val key; /* without zone id; of length 0 for the root */
    uint8_t name[NAME_MAX_LEN];
    uint8_t len;
};

/* ---- image_zone.c ---- */

/* Returns false if the key is none. */
bool image_apex_set(struct image_apex *apex_out, struct zonedb_view *view, const MDB_val *key,
                    const struct find_zone *zone);

/* The block of a zone cut right below the apex. */
void image_draft_cut(const struct image *image, const struct image_apex *apex, const uint8_t *name,
                     size_t len, const struct node *node, struct image_draft *draft_out);

/* The block of another name there, or where the cut's can't be. */
void image_draft_climb(const struct image *image, const struct image_apex *apex,
                       const uint8_t *name, size_t len, struct image_draft *draft_out);

void image_draft_apex(const struct image *image, const struct image_apex *apex, bool has_wildcard,
                      struct image_draft *draft_out);

/* Those of an RRset (`node`: NULL where the name is an alias and its target has it), and of the types
 * of a name. */
void image_draft_rrset(const struct image *image, const struct image_apex *apex,
                       const uint8_t *name, size_t len, const struct node *node, uint16_t type,
                       struct image_draft *draft_out);
void image_draft_types(const struct image *image, const struct image_apex *apex,
                       const uint8_t *name, size_t len, const uint16_t *types, unsigned count,
                       bool has_alias, struct image_draft *draft_out);

/* In the head. What is written afterwards may be seen before it: fence. */
void image_version_set(struct image *image, uint64_t version);

/* ---- image_rrsets.c ---- */

/* What the image could have of a node's RRsets, of a zone cut's its DS: how many entries, and about
 * how many octets of blocks. Both 0: nothing, they climb. Returns 0; -EBADMSG. */
int image_rrsets_count(const struct find_zone *zone, const struct node *node, size_t name_len,
                       uint64_t *entries_out, uint64_t *octets_out);

/* Put them in, for a name that has none there yet, of a plain node or a zone cut. `draft`:
 * room to work in. Outcomes: 0; -ENOSPC; -EBADMSG. */
int image_rrsets_add(struct image *image, const struct image_apex *apex, const uint8_t *name,
                     size_t len, const struct node *node, struct image_draft *draft);

/* ---- image_hosts.c ---- */

/* None, of so many names to come. Outcomes: 0; -ENOMEM. */
int image_hosts_begin(struct image *image, uint64_t name_count);
void image_hosts_end(struct image *image);

/* Note whose addresses the referral at `place` has, or would have. */
void image_hosts_note(struct image *image, const struct image_apex *apex, const uint8_t *cut,
                      size_t cut_len, const struct node *node, uint64_t place);

/* The same for the answer with this RRset of a name. */
void image_hosts_note_rrset(struct image *image, const struct image_apex *apex, const uint8_t *name,
                            size_t len, const struct zonedb_rrset *rrset, uint64_t place);

/* Forget what is out of date, now and then. */
void image_hosts_clean(struct image *image);

/* False: no block has the addresses of this name (in any case), but those of cuts above it and of the
 * name itself. */
bool image_hosts_may_have(const struct image *image, const uint8_t *host);

/* Call `visit` with the block of each cut or RRset that may have them, some twice; it may change the image.
 * A value other than 0 ends it and is returned. Outcomes else: 0; -ENOMEM, not all were noted. */
typedef int image_host_visit(void *context, const struct image_block *block);
int image_hosts_visit(struct image *image, const uint8_t *host, image_host_visit *visit,
                      void *context);

/* ---- image_room.c ---- */

/* No names and no blocks; a filter for so many names, and a directory for so many entries, whose
 * blocks will take so many octets. Outcomes: 0; -ENOSPC not even that fits; -ENOMEM. */
int image_room_begin(struct image *image, struct image_memory memory, uint64_t name_count,
                     uint64_t entry_count, uint64_t octet_count);

static inline struct image_head *image_head_of(const struct image *image)
{
    return (struct image_head *)(void *)image->octets;
}

static inline const struct image_block *image_block_of(const struct image *image, uint64_t place)
{
    return (const struct image_block *)(const void *)(image->octets + place * IMAGE_UNIT_LEN);
}

/* `what`: image_what(), here and below. `name`: wire format in lower case. */
uint64_t image_name_hash(uint32_t what, const uint8_t *name, size_t len);

/* Copy a draft into free room, near the bucket of the hash. Returns its place, 0: there is no room.
 */
uint64_t image_block_put(struct image *image, uint64_t hash, const struct image_draft *draft);

/* The room of a block is free. */
void image_block_give(struct image *image, uint64_t place);

/* The entry of this name, which may be of another one with the same fingerprint if it is
 * IMAGE_PLACE_CLIMB; NULL: there is none. */
uint64_t *image_entry_find(struct image *image, uint32_t what, const uint8_t *name, size_t len);

/* Has the bucket of this hash lost names, which climb? */
bool image_entry_may_be_lost(const struct image *image, uint64_t hash);

/* Enter a name that has no entry. Where there is no room, or the same fingerprint, it climbs, and
 * may make another name climb; their blocks' room is lost. */
void image_entry_add(struct image *image, uint32_t what, uint64_t hash, uint64_t place);

/* Exchange an entry's place; 0: no entry any more. */
void image_entry_set(uint64_t *entry, uint64_t place);

#endif
