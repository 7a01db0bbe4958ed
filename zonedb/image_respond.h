/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_respond.h - a request in, a response out, from an image alone. Pure.
 *
 * An image (image.h) is right for one snapshot: ask it only while image_version() is the number of
 * the view's (zonedb_view_version()). If another thread changes it meanwhile, it climbs.
 */
#ifndef ZONEDB_IMAGE_RESPOND_H
#define ZONEDB_IMAGE_RESPOND_H

#include "zonedb/image.h"

#include <stdbool.h>
#include <stddef.h>

/* The snapshot that the image is equal to; 0: none. `image`: at least one page. */
static inline uint64_t image_version(const void *image)
{
    const struct image_head *head = image;
    return __atomic_load_n(&head->version, __ATOMIC_ACQUIRE);
}

/* Answer one request, octet for octet as respond() does of the same snapshot, for any client of
 * that transport, with the policy that the image was made with.
 *
 * `image`: image_len octets, aligned to 16; what is damaged in it may make answers wrong, but is
 * never followed beyond them. `request`, `response`: as in respond(), with any response_cap.
 * Returns the response's length; 0: it climbs, ask respond().
 * Threads: any number, while one makes or changes the image (image_build.h). */
size_t image_respond(const void *image, size_t image_len, bool is_tcp, const uint8_t *request,
                     size_t request_len, uint8_t *response, size_t response_cap);

#endif
