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
 * climb as a whole, the later ones in canonical order first.
 *
 * Others may read the memory (image_respond.h, or the driver while the lease in the head runs) at any
 * time: the head's version is 0 while the image is being made or changed, and whoever has begun to
 * read before may go on to read what was replaced for as long as `grace_ns` says.
 *
 * One thread at a time per image. System failures are negative errno values; then the version is 0.
 */
#ifndef ZONEDB_IMAGE_BUILD_H
#define ZONEDB_IMAGE_BUILD_H

#include "zonedb/image.h"
#include "zonedb/respond.h"

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

/* Make the image of the view's snapshot, anew. The lease in the head is left as it is.
 * Outcomes: 0; -ENOSPC not even the directory of anything fits; -ENOMEM; -EBADMSG the database is
 * damaged. The view must hold its snapshot meanwhile. */
int image_build(struct image *image, struct image_memory memory, struct zonedb_view *view);

/* Octets of the memory that are in use, whole pages; those behind were not touched. */
size_t image_used(const struct image *image);

/* About how much memory an image of the snapshot takes, and names to come. */
size_t image_estimate(struct zonedb_view *view);

/* Copy the image to other memory, which is used from now on. Outcomes: 0; -ENOSPC, it does not fit
 * and stays where it is. */
int image_move(struct image *image, struct image_memory memory);

#endif
