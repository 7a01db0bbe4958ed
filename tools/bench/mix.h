/* SPDX-License-Identifier: BSD-2-Clause
 *
 * mix.h - questions made from a zone: names that are there, names that are not, random ones.
 *
 *   existing   an owner name of the zone, each as likely as any other, and one of its types; at a
 *              zone cut A, as resolvers ask there
 *   NXDOMAIN   the same with another first label: a name among its neighbours that is not there
 *   random     a random label right below the apex, never the same: what a flood of random
 *              subdomains looks like
 *
 * For each the expected RCODE is what the engine says.
 */
#ifndef TOOLS_BENCH_MIX_H
#define TOOLS_BENCH_MIX_H

#include "tools/bench/question.h"
#include "zonedb/zonedb.h"

struct mix_order {
    const uint8_t *apex;
    unsigned parts[3]; /* existing, NXDOMAIN, random; not all zero */
    uint32_t count;    /* 1 or more */
    uint64_t seed;     /* the same seed and snapshot give the same questions */
};

/* Append the questions to the pool.
 * Outcomes: 0; -ENOENT no such zone; -ENOMEM; -EFBIG; -EBADMSG the database is damaged. */
int mix_make(struct question_pool *pool, struct zonedb_view *view, const struct mix_order *order);

#endif
