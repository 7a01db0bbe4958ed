/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is put into an image of a zone, name by name.
 */
#include "zonedb/image_room.h"

bool image_apex_set(struct image_apex *apex, struct zonedb_view *view, const MDB_val *key,
                    const struct find_zone *zone)
{
    apex->view = view;
    apex->key = *key;
    apex->zone = zone;
    size_t len = name_from_key(key->mv_data, key->mv_size, apex->name);
    apex->len = (uint8_t)len;
    return len > 0;
}

static struct image_source source_of(const struct image *image, const struct image_apex *apex,
                                     const uint8_t *name, size_t len, unsigned label_count)
{
    return (struct image_source){
        .view = apex->view,
        .policy = &image->policy,
        .zone = apex->zone,
        .name = name,
        .name_len = (uint8_t)len,
        .label_count = (uint8_t)label_count,
    };
}

void image_draft_cut(const struct image *image, const struct image_apex *apex, const uint8_t *name,
                     size_t len, const struct node *node, struct image_draft *draft_out)
{
    const struct image_source source = source_of(image, apex, name, len, apex->zone->depth + 1u);
    image_block_cut(&source, node, draft_out);
}

void image_draft_climb(const struct image *image, const struct image_apex *apex,
                       const uint8_t *name, size_t len, struct image_draft *draft_out)
{
    const struct image_source source = source_of(image, apex, name, len, apex->zone->depth + 1u);
    image_block_climb(&source, draft_out);
}

void image_draft_rrset(const struct image *image, const struct image_apex *apex,
                       const uint8_t *name, size_t len, const struct node *node, uint16_t type,
                       struct image_draft *draft_out)
{
    const struct image_source source = source_of(image, apex, name, len, name_label_count(name));
    if (node != NULL)
        image_block_rrset(&source, node, type, draft_out);
    else
        image_block_alias(&source, type, draft_out);
}

void image_draft_types(const struct image *image, const struct image_apex *apex,
                       const uint8_t *name, size_t len, const uint16_t *types, unsigned count,
                       bool has_alias, struct image_draft *draft_out)
{
    const struct image_source source = source_of(image, apex, name, len, name_label_count(name));
    image_block_types(&source, types, count, has_alias, draft_out);
}

void image_draft_apex(const struct image *image, const struct image_apex *apex, bool has_wildcard,
                      struct image_draft *draft_out)
{
    const struct image_source source =
        source_of(image, apex, apex->name, apex->len, apex->zone->depth);
    image_block_apex(&source, has_wildcard, draft_out);
}

void image_version_set(struct image *image, uint64_t version)
{
    __atomic_store_n(&image_head_of(image)->version, version, __ATOMIC_RELEASE);
}
