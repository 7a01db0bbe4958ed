/* SPDX-License-Identifier: BSD-2-Clause
 *
 * image_frames.h - zone images made by hand, of random octets, and UDP requests to them in frames:
 * for the tests that hold the program behind lethe_driver against image_respond(), on the host and
 * in the kernel.
 */
#ifndef TEST_UNIT_IMAGE_FRAMES_H
#define TEST_UNIT_IMAGE_FRAMES_H

#include "stateless_tcp/packet.h"
#include "test/unit/stateless_frames.h"
#include "zonedb/image.h"

#define IMAGE_FRAMES_PAGES 512u
#define IMAGE_FRAMES_IMAGES 6u
#define IMAGE_FRAMES_REQUEST_MAX 600u

/* An image, and the names of it to ask for. */
struct image_made {
    _Alignas(4096) uint8_t pages[IMAGE_FRAMES_PAGES * IMAGE_PAGE_LEN];
    uint64_t next; /* the first unit that is free */
    struct image_name {
        uint8_t octets[64];
        size_t len;
    } apexes[4];
    unsigned apex_count, cut_count; /* cuts below each apex; as many labels do not exist */
};

/* Number `index`, of IMAGE_FRAMES_IMAGES: apexes of several depths, cuts and names that climb below
 * them, crowded buckets, bodies of any length with pointers at any place. The lease never ends. */
void image_made_begin(struct image_made *made, unsigned index);

/* Spoil some octets of it, not the lease. */
void image_made_spoil(struct image_made *made, uint32_t seed);

/* A request over UDP from the same seed is the same. `request`: IMAGE_FRAMES_REQUEST_MAX octets. A
 * usual one, or one that is not. Returns its length. */
size_t image_request_make(const struct image_made *made, uint32_t seed, uint8_t *request);

/* The frame of such a request into `frame` (FRAME_CAP octets), as driver_frame_make() makes them:
 * to an endpoint of driver_frames.h. Returns its length. */
size_t image_frame_make(const struct image_made *made, uint32_t seed, uint8_t *frame);

/* What user space would send: the frame that image_respond() and packet_reply_udp() make of it.
 * Returns its length; 0: it is no UDP for us, or climbs. *is_short_out: the request is no longer than
 * the driver reads. */
size_t image_frame_answer(const struct image_made *made, enum packet_checksum_policy policy,
                          const uint8_t *frame, size_t len, uint8_t *answer, bool *is_short_out);

#endif
