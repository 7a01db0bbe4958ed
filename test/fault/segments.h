/* SPDX-License-Identifier: BSD-2-Clause
 *
 * segments.h - the client's side of TCP by hand, for tests: from addresses that no kernel owns.
 *
 *     struct segments link;
 *     segments_open(&link, "v1", "02:00:00:00:00:01", "198.18.0.1", "53");
 *     segments_add(&link, client, port, &syn, NULL, 0);     sent at the latest when many wait
 *     segments_flush(&link);
 *     while (segments_next(&link, &packet)) ...             what came from the server's port
 *
 * IPv4 only. Whatever the system refuses ends the program with a message: a test has nothing better
 * to do. One thread.
 */
#ifndef TEST_FAULT_SEGMENTS_H
#define TEST_FAULT_SEGMENTS_H

#include "stateless_tcp/packet.h"

#include <sys/uio.h>

#define SEGMENTS_BATCH 64
#define SEGMENTS_FRAME_CAP 2048

struct segments {
    int fd;
    struct packet server; /* a packet as it came from there: what we send answers it */
    struct train train;   /* waits to be sent */
    uint8_t *octets;      /* of both */
    unsigned received_count, received_next;
    unsigned received_len[SEGMENTS_BATCH];
};

/* Everything as text, as it stands on a command line. `is_deaf`: nothing is to be received. */
void segments_open(struct segments *segments, const char *interface, const char *server_mac,
                   const char *server, const char *port, bool is_deaf);

/* A segment from this client; address in host order. Waits for others. */
void segments_add(struct segments *segments, uint32_t client, uint16_t client_port,
                  const struct packet_segment *segment, const uint8_t *payload, size_t payload_len);

/* Send what waits. What finds no room in a queue is lost, as on a real wire. */
void segments_flush(struct segments *segments);

/* The next segment from the server's port, valid until the next call; false: none is there. */
bool segments_next(struct segments *segments, struct packet *packet_out);

/* Until something is there or the time is over. */
void segments_wait(const struct segments *segments, int timeout_ms);

/* The monotonic clock. */
uint64_t segments_now_ms(void);

#endif
