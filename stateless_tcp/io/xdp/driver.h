/* SPDX-License-Identifier: BSD-2-Clause
 *
 * driver.h - what the XDP program and the process that loads it tell each other.
 *
 *     frame --> is it ours? --no--> XDP_PASS, the kernel as ever
 *                   | yes
 *                   v
 *               TCP without data, answered here? --yes--> XDP_TX, or XDP_DROP where silence is due
 *                   | no
 *                   v
 *               the program in driver_next, if there is one, which may answer, or goes on:
 *                   |
 *                   v
 *               the AF_XDP socket of its queue; if there is none XDP_PASS, where packet sockets see
 *               it
 *
 * "Ours" is what packet_parse() takes and packet_is_for() confirms, less transfer peers over TCP,
 * and less what the program cannot hand over: see driver.bpf.c. Everything the program knows is in
 * maps:
 *
 *     driver_endpoints   hash   struct driver_endpoint -> which transports (enum driver_transport)
 *     driver_peers       trie   struct driver_prefix -> 1
 *     driver_configs     array  two banks of struct driver_config; driver_bank says which counts
 *     driver_next        program entered with driver_works saying what is known of the frame
 *     driver_out         devmap the interface itself, once; driver_out_2 and so on as often
 *     driver_finish      program entered where frames with a ticket leave (copies.bpf.h)
 *     driver_works       array  one struct driver_work (tcp.bpf.h), for each processor
 *     driver_sockets     xskmap queue -> AF_XDP socket
 *     driver_counters    array  enum driver_counter -> uint64_t, for each processor
 *     driver_hot_answers array  struct driver_hot_answer, by driver_hot_place() (hot.bpf.h)
 *     driver_hot_leases  array  one struct driver_hot_lease
 *
 * All numbers in host order. Compiled for BPF and for the host alike.
 */
#ifndef STATELESS_TCP_IO_XDP_DRIVER_H
#define STATELESS_TCP_IO_XDP_DRIVER_H

#include "stateless_tcp/cookie.h"

#include <stdint.h>

#define DRIVER_ENDPOINTS_MAX 1024
#define DRIVER_PEERS_MAX 1024
#define DRIVER_QUEUES_MAX 128
#define DRIVER_COPIES_MAX 4 /* of a frame that leaves, itself included */
#define DRIVER_SEGMENTS_MAX (DRIVER_COPIES_MAX - 1)

/* A frame's place in the memory of an AF_XDP socket, and what the kernel keeps in front of it. */
#define DRIVER_CHUNK_LEN 2048u
#define DRIVER_CHUNK_HEADROOM 256u

/* Longer frames are left to the kernel, for they have no place. Requests are shorter, also where
 * frames could be longer: over TCP we offer an MSS of STATELESS_TCP_MSS_MAX at most. */
#define DRIVER_FRAME_MAX (DRIVER_CHUNK_LEN - DRIVER_CHUNK_HEADROOM)

enum driver_transport {
    DRIVER_TRANSPORT_TCP = 1,
    DRIVER_TRANSPORT_UDP = 2,
};

/* IPv4 addresses take the first four octets, zeros follow. */
struct driver_endpoint {
    uint8_t address[16];
    uint16_t port;
    uint8_t family; /* 4 or 6 */
    uint8_t zero;
};

/* One trie for both families: the family is the first octet that is compared. */
struct driver_prefix {
    uint32_t len; /* in bits, those of the family included */
    uint8_t family;
    uint8_t address[16];
    uint8_t zeros[3];
};

struct driver_config {
    struct stateless_tcp_keys keys;
    /* Of those in driver_endpoints one of each family, IPv4 first, to be known without looking
     * there; zeros: none. */
    struct {
        struct driver_endpoint endpoint __attribute__((aligned(8)));
        uint32_t transports;
    } known[2];
    uint16_t mss;
    uint16_t segment_size;
    uint16_t burst;
    uint8_t checksum_policy; /* enum packet_checksum_policy */
    uint8_t profile;         /* enum stateless_tcp_profile */
    uint8_t has_stale_reset;
    uint8_t has_fast_open;
    uint8_t is_answering; /* else all that is ours climbs */
    uint8_t has_hot;      /* UDP answers are given again */
    uint8_t next;         /* transports of what goes on to the program in driver_next */
    uint8_t has_redirect; /* send by redirecting to the interface itself, not by XDP_TX */
    uint8_t has_copies;   /* and several times, where there is no room */
    uint8_t has_peers;
    uint16_t port_low; /* no endpoint has a port beyond these two */
    uint16_t port_high;
    uint16_t mtu; /* a datagram that would be longer climbs; 0: unknown */
};

enum driver_counter {
    DRIVER_COUNT_CLIMBED,  /* handed to whoever answers requests */
    DRIVER_COUNT_ANSWERED, /* by XDP_TX */
    DRIVER_COUNT_SILENT,   /* dropped, since no answer is due */
    DRIVER_COUNT_TOO_LONG, /* ours, and left to the kernel for its length */

    /* What was answered or dropped, one of these beside one of those */
    DRIVER_COUNT_SYN,
    DRIVER_COUNT_ACK, /* wants no answer */
    DRIVER_COUNT_COMPLETION,
    DRIVER_COUNT_FIN,
    DRIVER_COUNT_RESET,   /* received */
    DRIVER_COUNT_JUNK,    /* proves nothing */
    DRIVER_COUNT_HOT,     /* a UDP answer that user space gave before */
    DRIVER_COUNT_REQUEST, /* over TCP, answered */
    DRIVER_COUNT_IMAGE,   /* over UDP, by the next program */
    DRIVER_COUNT_COPIED,  /* beside those two: with copies of the frame (copies.bpf.h) */
    DRIVER_COUNTERS,
};

/* UDP answers that user space gave before (hot.bpf.h). */
#define DRIVER_HOT_REQUEST_MAX 120u  /* octets of a request behind its ID; a multiple of 8 */
#define DRIVER_HOT_RESPONSE_MAX 512u /* of its response */
#define DRIVER_HOT_ANSWERS 8192u     /* a power of two */

/* Zeros follow; the last word is the number of octets. */
struct driver_hot_request {
    uint64_t words[DRIVER_HOT_REQUEST_MAX / 8 + 1];
};

/* One answer. Who reads it believes what was there between two looks at the same even sequence. */
struct driver_hot_answer {
    uint32_t sequence; /* odd while it is written */
    uint32_t version;
    uint32_t len;
    uint32_t sum; /* of the response's octets (RFC 1071), as they lie in memory */
    struct driver_hot_request request;
    uint8_t response[DRIVER_HOT_RESPONSE_MAX];
};

/* Answers of this version, and no others, are right until then (CLOCK_MONOTONIC). */
struct driver_hot_lease {
    uint64_t until_ns;
    uint32_t version;
    uint32_t zero;
};

/* Where the answer to a request is, if anywhere. Whoever sends what falls on one place wins nothing
 * but that others are answered as if this were not there. */
static inline uint64_t driver_hot_mix(const struct driver_hot_request *request)
{
    uint64_t mixed = 0;
    for (unsigned i = 0; i < sizeof(request->words) / sizeof(request->words[0]); i++)
        mixed = ((mixed << 5 | mixed >> 59) ^ request->words[i]) * 0x9e3779b97f4a7c15u;
    return mixed;
}

static inline uint32_t driver_hot_place(uint64_t mixed)
{
    return (uint32_t)(mixed >> 40) & (DRIVER_HOT_ANSWERS - 1);
}

/* What driver_tcp() decides (tcp.bpf.h). */
enum driver_verdict {
    DRIVER_CLIMB, /* user space's; the frame is as it came */
    DRIVER_DROP,  /* silence */
    DRIVER_TX,    /* the frame is the answer now */
};

/* A segment or datagram to an endpoint, sent by somebody who may be answered; no IP option, no
 * extension header. Octets of the frame before ... */
struct driver_frame {
    uint8_t family;    /* 4 or 6 */
    uint8_t transport; /* enum driver_transport */
    uint16_t ip_at;    /* ... its IP header: 14, 18 or 22 */
    uint16_t tcp_at;   /* ... its TCP or UDP header: 20 or 40 more */
    uint16_t end_at;   /* ... the end of the IP packet; padding follows. At most DRIVER_FRAME_MAX */
    uint8_t bank;      /* of driver_configs */
};

#endif
