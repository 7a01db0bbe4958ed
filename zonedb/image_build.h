/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_build.h - make an image (image.h) of a snapshot, and keep it up with later ones.
 *
 *     image_open(&policy, &image);
 *     image_build(image, memory, view);                  or again, in the same memory
 *     for (;;) {
 *         zonedb_view_refresh(view);
 *         if (image_patch(image, view, now_ns, 1 s) == IMAGE_OUTDATED)
 *             image_build(image, memory, view);
 *     }
 *
 * MEMORY is the caller's: aligned to 16 octets, any length. It need not be there before it is
 * touched: an image takes it from the beginning, image_used() octets, and in the end for names that
 * are added. All places in it are relative: image_move() copies it elsewhere. Zones that do not fit
 * climb as a whole, the later ones in canonical order first. The keeper has some 20 octets for each
 * delegation besides.
 *
 * Others may read the memory (image_respond.h, or the driver while the lease in the head runs) at
 * any time: the head's version is 0 while the image is being made or changed, and whoever has begun
 * to read before may go on to read what was replaced for as long as `grace_ns` says.
 *
 * One thread at a time per image. System failures are negative errno values; then the version is 0.
 */
#ifndef ZONEDB_IMAGE_BUILD_H
#define ZONEDB_IMAGE_BUILD_H

#include "zonedb/image.h"
#include "zonedb/respond.h"

#include <stdatomic.h>

struct image; /* an image, and what its keeper knows besides */

struct image_memory {
    void *octets;
    size_t len;
};

/* Can there be an image of what respond() answers with this policy? */
bool image_can(const struct respond_policy *policy);

/* Begin. `policy` is copied, what it points to must live as long as the image; image_can() must
 * hold. Outcomes: 0; -ENOMEM. */
int image_open(const struct respond_policy *policy, struct image **image_out);

/* End. The memory stays the caller's, with version 0. NULL is allowed. */
void image_close(struct image *image);

/* Where others say that image_build() is to end soon, with -ECANCELED; NULL: nobody does. */
void image_set_stop(struct image *image, const atomic_bool *stop);

/* Make the image of the view's snapshot, anew. The lease in the head is left as it is.
 * Outcomes: 0; -ENOSPC not even the directory of anything fits; -ENOMEM; -ECANCELED; -EBADMSG the
 * database is damaged. The view must hold its snapshot meanwhile. */
int image_build(struct image *image, struct image_memory memory, struct zonedb_view *view);

/* Bring the image up to the view's snapshot, which is a later one, by the log of what commits
 * touched (zonedb_view_changes()). `now_ns`: a clock that never goes back; what was replaced at
 * least `grace_ns` ago gives its room. Some microseconds for each owner that was touched, and for
 * each delegation elsewhere that names it as a server. Outcomes: 0; IMAGE_OUTDATED, call
 * image_build(): zones were loaded or removed, how one is signed has changed, or NSEC3 records of
 * one that is signed so, too much was touched, or there is no room; -EBADMSG. After both the
 * version is 0. */
#define IMAGE_OUTDATED 1
int image_patch(struct image *image, struct zonedb_view *view, uint64_t now_ns, uint64_t grace_ns);

/* Octets of the memory that are in use, whole pages; those behind were not touched. 0 after
 * image_build() has failed: the memory is the caller's again. */
size_t image_used(const struct image *image);

/* What the image was made of. */
struct image_counts {
    uint64_t delegations; /* right below an apex */
    uint64_t rrsets;      /* of other names, as they were when it was made */
    uint64_t zones;
    uint64_t zones_out; /* that climb as a whole */
};
struct image_counts image_count(const struct image *image);

/* Copy the image to other memory, which is used from now on. Outcomes: 0; -ENOSPC, it does not fit
 * and stays where it is, or there is none. */
int image_move(struct image *image, struct image_memory memory);

#endif
