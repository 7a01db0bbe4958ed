/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_runs.h - zones larger than memory: sorted runs in a file, merged into windows. Private to
 * the text files.
 *
 *     records     -> text_runs_spill()     owners of one run in canonical order, to the file
 *     runs        -> text_runs_next()      a window: the next owners of all runs, in order
 *
 * A window ends only where the next owner has another first label below the apex than the one
 * before, so that a zone cut and all below it are in one window; and each window begins with the
 * apex. So what is checked of an owner can be checked in its window, but for what spans the zone:
 * the links of the denial chain, the digest of ZONEMD, addresses of the apex' name servers.
 */
#ifndef ZONEDB_TEXT_RUNS_H
#define ZONEDB_TEXT_RUNS_H

#include "zonedb/text_zone.h"

struct text_runs;
struct text_merge;

/* The zone's owners as a run into the file (made at the first time, in options.spill_directory,
 * without a name), and out of memory. Outcomes: 0; -ENOMEM; -ENOSPC and other errors of the
 * file. */
int text_runs_spill(struct text_zone *zone);
void text_runs_free(struct text_runs *runs);

/* Begin to merge the zone's runs. `part_out`, owned by the merge: the zone that holds a window. */
int text_merge_begin(struct text_zone *zone, struct text_merge **merge_out,
                     struct text_zone **part_out);
/* The next window. 1; 0 there is none; negative errno. */
int text_merge_next(struct text_merge *merge);
/* Octets of the runs that have been merged, and of all. */
void text_merge_progress(const struct text_merge *merge, uint64_t *done_out, uint64_t *total_out);
/* NULL is allowed. */
void text_merge_end(struct text_merge *merge);

/* The apex of the first window, arranged, is kept in `top`; each further one begins with it. */
int text_top_keep(const struct text_zone *part, struct text_zone *top);
int text_top_put(struct text_zone *part, const struct text_zone *top);
/* Owner `b` is in another subtree of the apex than `a`. */
bool text_is_border(const struct text_zone *zone, const struct text_owner *a,
                    const struct text_owner *b);

#endif
