/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_denial.h - does each name have its NSEC or NSEC3, with the right types? Private to the text
 * files.
 */
#ifndef ZONEDB_TEXT_DENIAL_H
#define ZONEDB_TEXT_DENIAL_H

#include "zonedb/text_zone.h"

/* What a name is to the zone. */
enum text_place {
    TEXT_AUTHORITATIVE,
    TEXT_CUT,      /* a delegation is here */
    TEXT_OCCLUDED, /* below a delegation or a DNAME */
    TEXT_HASH,     /* an NSEC3 owner and nothing else */
};

/* Where a walk in canonical order stands; begins as {SIZE_MAX, SIZE_MAX}. */
struct text_walk {
    size_t cut, dname;
};

/* Step to owner number `owner`, each one in turn. */
enum text_place text_walk_enter(struct text_walk *walk, const struct text_zone *zone, size_t owner);

struct text_denial;

/* For a zone whose chain is closed (text_check_chain()). NULL: no memory. */
struct text_denial *text_denial_new(struct text_zone *zone);
void text_denial_free(struct text_denial *denial);

/* Check owner number `owner`, filled into `node`; each one in turn. 0; -ENOMEM. */
int text_denial_owner(struct text_denial *denial, size_t owner, const struct text_node *node,
                      enum text_place place);

/* After the last owner: NSEC3s that belong to no name. */
void text_denial_end(struct text_denial *denial);

#endif
