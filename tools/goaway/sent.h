/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sent.h - what this host has sent lately, and whether it was answered, in memory of constant size.
 *
 * A packet is known by its addresses, ports and first eight octets, which every GoAway quotes. An
 * answer is whatever came the other way between the same addresses and ports, after the packet. Of
 * more than fit the oldest are forgotten: then a GoAway is taken for unknown, or an answer is
 * overlooked and the target's nonce alone decides.
 *
 * No clock; one thread at a time.
 */
#ifndef TOOLS_GOAWAY_SENT_H
#define TOOLS_GOAWAY_SENT_H

#include "stateless_tcp/goaway.h"

#define SENT_BUCKETS 16384
#define SENT_WAYS 4

struct sent_packet {
    struct goaway_packet packet;
    uint64_t sent_ms;
    uint64_t number; /* of what was seen; 0: the place is free */
    bool is_asked;   /* a Block was sent for it */
};

struct sent_answer {
    struct goaway_ends ends; /* the packet's, not the answer's */
    uint16_t source_port, destination_port;
    uint8_t protocol;
    uint64_t number; /* 0: free */
};

struct sent {
    uint8_t key[16]; /* random, so that nobody can aim at a bucket; the owner's to fill */
    uint64_t number;
    struct sent_packet packets[SENT_BUCKETS][SENT_WAYS];
    struct sent_answer answers[SENT_BUCKETS];
};

/* Take note of a packet that went out. */
void sent_put(struct sent *sent, const struct goaway_packet *packet, uint64_t now_ms);

/* Take note of a packet that came in. */
void sent_answer(struct sent *sent, const struct goaway_packet *packet);

/* The packet that `quoted` is the beginning of, all of it equal; NULL: none is known. Valid until the
 * next sent_put(). */
struct sent_packet *sent_find(struct sent *sent, const struct goaway_packet *quoted);

/* Whether it was answered since. */
bool sent_is_answered(const struct sent *sent, const struct sent_packet *packet);

#endif
