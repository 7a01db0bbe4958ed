/* SPDX-License-Identifier: BSD-2-Clause
 *
 * driver_frames.h - frames for the XDP program, and what user space does with them without it:
 * shared by the tests that run the program on the host and in the kernel.
 */
#ifndef TEST_UNIT_DRIVER_FRAMES_H
#define TEST_UNIT_DRIVER_FRAMES_H

#include "stateless_tcp/io/xdp/driver.h"
#include "stateless_tcp/stateless_tcp.h"
#include "test/unit/stateless_frames.h"

#define DRIVER_SERVERS 8

extern const struct stateless_tcp_keys driver_keys;

/* Where they go. */
extern const struct packet_endpoint driver_endpoints[2];

/* Number `index`, of DRIVER_SERVERS: profiles, switches, checksum policies. */
struct stateless_tcp_config driver_server(unsigned index);

/* Build a frame to port 53 of 198.18.0.1 or fd00:198:18::1 into `frame` (FRAME_CAP octets), return
 * the length. The same seed, the same frame: a segment of any kind from a client in any state,
 * options in any layout, tags, padding, checksums right or left out; one in four is spoilt. */
size_t driver_frame_make(uint32_t seed, uint8_t *frame);

/* How often what was decided. */
struct driver_tally {
    unsigned climbed, dropped, answered;
    unsigned counters[DRIVER_COUNTERS];
    unsigned silent_climbs, answered_climbs; /* climbed, and was not a query */
    unsigned single_climbs; /* climbed, and was a request with a response in one segment */
};

/* A response of any length, 0 and too many octets for a segment included, for a request of which it
 * begins with a copy. `response`: room for 16,384. The same request, the same response. */
size_t driver_respond(const uint8_t *request, size_t request_len, uint8_t *response);

/* Hold the verdict on `frame`, and what is then in `result`, against stateless_tcp_receive() with
 * no cache, and driver_respond(); end the test where the two disagree. `counter`: what the program counted it as. */
void driver_compare(const struct stateless_tcp_config *config, const uint8_t *frame, size_t len,
                    enum driver_verdict verdict, enum driver_counter counter, const uint8_t *result,
                    size_t result_len, struct driver_tally *tally);

/* Everything must have occurred. */
void driver_tally_check(const struct driver_tally *tally);

#endif
