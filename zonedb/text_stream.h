/* SPDX-License-Identifier: BSD-2-Clause
 *
 * text_stream.h - a large zone whose text is in canonical order goes into the database while it is
 * read, window by window (see text_runs.h for what a window is). Private to the text files.
 */
#ifndef ZONEDB_TEXT_STREAM_H
#define ZONEDB_TEXT_STREAM_H

#include "zonedb/text_zone.h"

struct text_stream;

/* The text can be read again, and all of it so far was in order: it may go on like that. */
bool text_stream_is_possible(const struct text_zone *zone);
/* Begin the transaction, write all that is complete. Outcomes: as text_stream_next(). */
int text_stream_begin(struct text_zone *zone);
/* After each record: write, if a window is full. 0; -EAGAIN a name came out of order, the zone has
 * errors, or something else is in the way: read it again in another way; other negative errno. */
int text_stream_next(struct text_zone *zone);
/* Write the rest, try the rules that span the zone, tell the warnings. As text_stream_next(). */
int text_stream_finish(struct text_zone *zone);
/* End the zone and commit. */
int text_stream_commit(struct text_zone *zone, uint64_t loaded_s);
/* Give the transaction up, if it has not been committed. */
void text_stream_free(struct text_stream *stream);

#endif
