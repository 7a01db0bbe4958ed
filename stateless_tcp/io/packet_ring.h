/* SPDX-License-Identifier: BSD-2-Clause
 *
 * packet_ring.h - a packet socket (packet(7)) that receives into memory which it shares with us.
 *
 *     kernel   [ frame ][ frame ][ frame ][       ][       ] ...  slots, a frame each (TPACKET_V2)
 *     we        ^ taken, read in place     ^ the next one
 *
 * One slot is handed over as soon as its frame is there: blocks of frames (TPACKET_V3) would be
 * cheaper, but keep the last frames waiting for a timer of a millisecond or more. Frames longer
 * than a slot come by the socket itself, copied, up to PACKET_RING_FRAME_MAX; what is longer still
 * is cut.
 *
 * One thread at a time.
 */
#ifndef STATELESS_TCP_IO_PACKET_RING_H
#define STATELESS_TCP_IO_PACKET_RING_H

#include "stateless_tcp/io/io.h"

/* Jumbo frames pass, segments that the sender's kernel has not yet cut into packets (veth) up to
 * this size. Cut frames are for the parser to drop. */
#define PACKET_RING_FRAME_MAX 9216u

struct packet_ring {
    int fd;
    uint8_t *memory; /* slots, shared with the kernel */
    uint32_t slot_count;
    uint32_t next; /* slot */
    uint32_t held; /* slots before it that are ours until packet_ring_return() */
    uint8_t *large;
    uint32_t large_count;
    uint64_t lost; /* frames that found it full */
};

struct packet_ring_config {
    int interface_index;
    const char *filter;              /* pcap's language */
    uint32_t slot_count;             /* rounded up to whole blocks */
    const struct packet_ring *first; /* to share flows with; NULL: nobody's */
    bool is_shared;                  /* others will name it as their first */
};

/* Open and receive. Needs CAP_NET_RAW. *ring_out must not move afterwards; it is good for
 * packet_ring_close() whatever the outcome. Outcomes: 0; negative errno; `error` says what failed,
 * without the interface. */
int packet_ring_open(const struct packet_ring_config *config, struct packet_ring *ring_out,
                     struct io_error *error);

/* Take up to frame_cap frames that are there; VLAN tags that the kernel has taken off are put back.
 * They are valid until packet_ring_return(). Returns how many. */
int packet_ring_take(struct packet_ring *ring, struct io_frame *frames, int frame_cap);

/* Give all frames taken back to the kernel. */
void packet_ring_return(struct packet_ring *ring);

/* What poll(2) reported an error for. Outcomes: 0 nothing; negative errno. */
int packet_ring_problem(const struct packet_ring *ring);

/* Frames that found the ring full since it was opened. */
uint64_t packet_ring_lost(struct packet_ring *ring);

void packet_ring_close(struct packet_ring *ring);

#endif
