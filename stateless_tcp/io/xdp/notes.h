/* SPDX-License-Identifier: BSD-2-Clause
 *
 * notes.h - memory where a next program (next.h) notes for the workers' caches what it has answered
 * (recent.h). For loader.c only.
 */
#ifndef STATELESS_TCP_IO_XDP_NOTES_H
#define STATELESS_TCP_IO_XDP_NOTES_H

#include "stateless_tcp/io/xdp/next.h"
#include "stateless_tcp/recent.h"

struct notes {
    const struct recent_note *notes;   /* RECENT_NOTES; NULL: none */
    const struct recent_train *trains; /* RECENT_TRAINS; NULL: none */
    int notes_map, trains_map;         /* if there are */
};

/* `notes`: zeros. What the kernel does not let us have stays NULL: the next program makes its own
 * then, which nobody sees. */
void notes_make(struct notes *notes);

/* The maps, by their names in the program, NOTES_MAPS at most. Returns how many. */
#define NOTES_MAPS 2
size_t notes_maps(const struct notes *notes, struct next_map *maps_out);

/* Undo notes_make(); zeros are allowed. */
void notes_free(struct notes *notes);

#endif
