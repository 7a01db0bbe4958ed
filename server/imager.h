/* SPDX-License-Identifier: BSD-2-Clause
 *
 * imager.h - the thread that makes the image of the zones and keeps it equal to the database.
 *
 *     imager_open(&config, &imager);     a place in memory, empty: everything is answered elsewhere
 *     imager_start(imager);              the thread is there
 *     imager_begin(imager);              and works; the image comes when it is made
 *     imager_close(imager);              nobody reads the memory any more
 *
 * Where XDP programs answer from it too it lies in memory that they see: they believe it for as
 * long as the lease in its head says, which the thread renews while it is equal to the database.
 *
 * Nothing depends on the image but time. The memory stays at its place from imager_open() to
 * imager_close(), readable as a whole whatever is in it; who reads it needs no lock (answer.h).
 *
 * One thread calls these, but imager_wake(): any thread.
 */
#ifndef SERVER_IMAGER_H
#define SERVER_IMAGER_H

#include "server/answer.h"
#include "server/park.h"

struct imager;

/* What is pointed to outlives the imager. */
struct imager_config {
    struct zonedb *db;
    struct park *park;
    const struct respond_policy *policy;
    size_t size_max; /* octets that the image may take */
    bool has_driver; /* the next programs of interfaces (io.h) shall answer from it too */
};

/* Outcomes: 0; -ENOMEM; -ENOTSUP no image can answer by this policy. */
int imager_open(const struct imager_config *config, struct imager **imager_out);

/* Where the image is; for as long as the imager. NULL is allowed, and returned. */
const struct answer_image *imager_image(const struct imager *imager);

/* Outcomes: 0; negative errno: no thread. */
int imager_start(struct imager *imager);

/* Let it work. NULL is allowed. */
void imager_begin(struct imager *imager);

/* Have the thread look at park_is_asked(). NULL is allowed. */
void imager_wake(struct imager *imager);

/* End the thread and take the image away: from now on everything climbs. NULL is allowed. */
void imager_halt(struct imager *imager);

/* The same, and free. NULL is allowed. */
void imager_close(struct imager *imager);

#endif
