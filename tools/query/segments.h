/* SPDX-License-Identifier: BSD-2-Clause
 *
 * segments.h - what the TCP segments of a connection did, seen by a packet socket beside it. Where the
 * kernel joins or cuts segments (offloads), so they are here.
 */
#ifndef TOOLS_QUERY_SEGMENTS_H
#define TOOLS_QUERY_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

#define SEGMENTS_MAX 4096

struct segment {
    int64_t time_us; /* after the first */
    bool is_ours;    /* from the client */
    uint8_t flags;
    uint32_t seq, ack; /* after the SYNs of their streams */
    uint32_t len;
    uint16_t window, mss; /* mss: 0, the option is not there */
    bool has_timestamps, has_sack_permitted, has_fast_open;
    uint8_t sack_count;
    uint32_t timestamp, echo;
};

struct segments {
    int fd; /* -1: not begun */
    struct sockaddr_storage client, server;
    int interface; /* of the first segment: on others they would be seen again */
    int64_t first_us;
    bool has_client_isn, has_server_isn;
    uint32_t client_isn, server_isn;
    /* The server is one of Lethe's stateless TCP, profile modern: the time stamp of its SYN says so. */
    bool is_stateless;
    size_t count, lost; /* lost: more than SEGMENTS_MAX */
    struct segment list[SEGMENTS_MAX];
};

/* Begin to watch what goes to and comes from the server; before connect(). segments_end() it.
 * Outcomes: 0; -EPERM: CAP_NET_RAW is missing; other negative errno. */
int segments_begin(struct segments *segments, const struct sockaddr_storage *server);

/* Forget what was seen, but not whose connection it is. */
void segments_clear(struct segments *segments);

/* Read what was seen of the connection from `client` until `wait_ms` pass without more. */
void segments_collect(struct segments *segments, const struct sockaddr_storage *client,
                      int wait_ms);

/* One packet, its IP header first, as it was seen on `interface` at `time_us`. Pure. */
void segments_take(struct segments *segments, const uint8_t *packet, size_t len, int interface,
                   int64_t time_us);

void segments_end(struct segments *segments);

/* What a stateless server says in its time stamp (stateless_tcp/modern.h): where in its stream the
 * response ends (modulo 2^19), which octet of the client's comes then (modulo 2^12), and whether
 * nothing is left to acknowledge. */
struct segment_point {
    uint32_t response_end, request_next;
    bool is_done;
};
struct segment_point segments_point(const struct segments *segments, uint32_t timestamp);

/* A line for each. */
void segments_show(const struct segments *segments, FILE *to);

/* Flags as letters: "SA". `text` has room for 9. Returns `text`. */
const char *segments_flags(uint8_t flags, char *text);

#endif
