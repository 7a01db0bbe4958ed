/* SPDX-License-Identifier: BSD-2-Clause
 *
 * watch.h - what goes out of this host and comes in, by libpcap; and a way to send ICMP messages.
 *
 * One thread at a time.
 */
#ifndef TOOLS_GOAWAY_WATCH_H
#define TOOLS_GOAWAY_WATCH_H

#include "stateless_tcp/goaway.h"

#define WATCH_BATCH 256

struct watch;

struct watch_error {
    char text[512];
};

typedef void watch_packet(void *context, bool is_outgoing, const uint8_t *octets, size_t len);

/* Open the capture. `interface`: its name; NULL: all of them. `filter`: packets besides our messages
 * that are of interest, in pcap's language. `is_edge`: what goes out there may be others' packets, in
 * whose names messages can be sent too. Needs CAP_NET_RAW; afterwards not.
 * Outcomes: 0; negative errno with `error`. */
int watch_open(const char *interface, const char *filter, bool is_edge, struct watch **watch_out,
               struct watch_error *error);

/* Readable when there may be packets. */
int watch_descriptor(const struct watch *watch);

/* Hand over what was captured, WATCH_BATCH packets at most, IP header first, valid during the call.
 * Outcomes: how many; negative errno with `error`. */
int watch_read(struct watch *watch, watch_packet *take, void *context, struct watch_error *error);

/* Packets that were lost because they came too fast. */
unsigned watch_lost(const struct watch *watch);

/* Send an ICMP message from an address of ours; at an edge, of anybody's. Outcomes: 0; negative errno. */
int watch_send(struct watch *watch, const struct goaway_ends *ends, const uint8_t *octets,
               size_t len);

/* NULL is allowed. */
void watch_close(struct watch *watch);

#endif
