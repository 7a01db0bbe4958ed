/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stateless_frames.h - frames as a client sends them, for tests, and a second opinion on ours.
 *
 * Written without packet.c on purpose: checksums are added one octet pair at a time here, so that
 * an error there is not repeated here.
 */
#ifndef TEST_UNIT_STATELESS_FRAMES_H
#define TEST_UNIT_STATELESS_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_CAP 70000

struct frame_spec {
    int family;           /* 4 or 6 */
    const uint16_t *tags; /* pairs of TPID and TCI */
    unsigned tag_count;
    uint8_t source[16], destination[16];
    bool is_udp;
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;        /* 0: 64240 */
    const uint8_t *options; /* TCP; a multiple of four octets */
    size_t options_len;
    const uint8_t *extensions; /* IPv6 extension headers; the last one's next header is filled in */
    size_t extensions_len;
    uint8_t extension_first;
    const uint8_t *payload;
    size_t payload_len;
    bool is_checksum_unset; /* as a stack leaves it to hardware */
};

/* A client at 198.18.0.2 or fd00:198:18::2, port 40000, a server at ...1, port 53. */
struct frame_spec frame_spec_client(int family);

/* Build into `frame` (FRAME_CAP octets), return the length. */
size_t frame_build(const struct frame_spec *spec, uint8_t *frame);

/* Whether IPv4 header and transport checksums of a plain frame (tags allowed, no extension
 * headers) are right and its lengths agree with frame_len exactly. */
bool frame_is_sound(const uint8_t *frame, size_t frame_len);

/* What the test wants to know of a frame of ours. */
struct frame_view {
    int family;
    uint8_t ttl;
    uint16_t source_port, destination_port;
    uint32_t seq, ack;
    uint8_t flags;
    uint16_t window;
    const uint8_t *options;
    size_t options_len;
    const uint8_t *payload;
    size_t payload_len;
    size_t ip_len;
};

/* Look at a sound TCP frame. */
struct frame_view frame_view(const uint8_t *frame, size_t frame_len);

#endif
